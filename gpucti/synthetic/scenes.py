"""Scenes on the STIS CCD: what tests, examples and benchmarks look at.

A scene is the expected charge in electrons, ``(rows, cols)`` float64, without noise and without trails. Row 0 is the
row next to the readout register, columns are dispersion in spectra. The same generator state gives the same scene.

What happens to a scene has an order: photons arrive (Poisson), the readout trails the charge, the amplifier adds
its noise. `observe` leaves out the trails, `read_out` does all three.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from gpucti.errors import InputError

Floats = npt.NDArray[np.float64]
Rng = np.random.Generator
Shape = tuple[int, int]

#: Standard deviation of the point-spread function in pixels (a FWHM of 1.6 pixels).
PSF_SIGMA = 0.68
#: Pixels on each side of a star's own that its light may reach.
_PSF_REACH = 5
#: Slopes of the power laws ``N(> x) ~ x ** -slope`` of stellar fluxes and of the rates of warm pixels.
_STAR_SLOPE, _WARM_SLOPE = 0.7, 0.9
#: Charge in the brightest pixel of a star of the option `saturated`, electrons.
_SATURATED_PEAK = (100_000.0, 160_000.0)
#: Longest track of a cosmic ray in pixels, and the median charge it leaves per pixel of its way, electrons.
_LONGEST_TRACK, _CHARGE_PER_PIXEL = 40.0, 900.0

_erf = np.frompyfunc(math.erf, 1, 1)


def star_field(
    shape: Shape,
    rng: Rng,
    sky: float = 2.0,
    n_stars: int | None = None,
    brightest: float = 50_000.0,
    *,
    faintest: float = 50.0,
    saturated: bool = False,
) -> Floats:
    """Return a field of stars, electrons, ``(rows, cols)``.

    Parameters
    ----------
    shape : (rows, cols)
        Size of the image.
    rng : numpy.random.Generator
        Source of positions and fluxes.
    sky : float
        Background, electrons per pixel.
    n_stars : int, optional
        By default one per 2500 pixels, at least one.
    brightest, faintest : float
        Limits of the power law of fluxes, electrons per star.
    saturated : bool
        Give one star in a hundred, at least one, more than 100 000 electrons in its brightest pixel.

    Examples
    --------
    >>> import numpy as np
    >>> scene = star_field((64, 48), np.random.default_rng(1), sky=2.0)
    >>> scene.shape, bool(scene.min() >= 2.0)
    ((64, 48), True)
    """
    rows, cols = _checked(shape)
    if n_stars is None:
        n_stars = max(1, rows * cols // 2500)
    row, col = rng.uniform(-0.5, rows - 0.5, n_stars), rng.uniform(-0.5, cols - 0.5, n_stars)
    flux = _power_law(rng, n_stars, faintest, brightest, _STAR_SLOPE)
    scene = np.full((rows, cols), float(sky))
    for r, c, electrons in zip(row, col, flux, strict=True):
        _add_star(scene, r, c, electrons)
    if saturated:
        for r, c, peak in zip(row, col, rng.uniform(*_SATURATED_PEAK, max(1, n_stars // 100)), strict=False):
            missing = peak - scene[round(r), round(c)]
            if missing > 0:
                _add_star(scene, r, c, missing / _share_of_brightest_pixel(r, c))
    return scene


def long_slit(
    shape: Shape,
    rng: Rng,
    sky: float = 2.0,
    *,
    continuum: float = 300.0,
    n_lines: int = 12,
    brightest_line: float = 5_000.0,
    slit_row: float | None = None,
) -> Floats:
    """Return a long-slit spectrum, electrons, ``(rows, cols)``: slit along the rows, dispersion along the columns.

    A star gives a slightly tilted trace with a continuum and lines; every line also fills the slit, a hundred
    times fainter than on the star.

    Parameters
    ----------
    shape, rng
        See `star_field`.
    sky : float
        Background, electrons per pixel.
    continuum : float
        Mean continuum of the star, electrons per column.
    n_lines : int
        Emission lines.
    brightest_line : float
        Flux of the brightest line, electrons.
    slit_row : float, optional
        Row of the star at the middle column; by default the middle row.
    """
    rows, cols = _checked(shape)
    place = np.linspace(-1.0, 1.0, cols) if cols > 1 else np.zeros(1)
    spectrum = continuum * (1.0 + 0.3 * place - 0.2 * (3.0 * place**2 - 1.0))
    lines = np.zeros(cols)
    centres = rng.uniform(-0.5, cols - 0.5, n_lines)
    for centre, flux in zip(centres, brightest_line * rng.uniform(0.0, 1.0, n_lines) ** 3, strict=True):
        lines += flux * _gaussian_share(np.arange(cols), centre)
    tilt = rng.uniform(-0.004, 0.004) * cols
    trace = (0.5 * (rows - 1) if slit_row is None else slit_row) + 0.5 * tilt * place
    profile = _gaussian_share(np.arange(rows)[:, np.newaxis], trace)
    return sky + profile * (spectrum + lines) + 0.01 * lines


def dark(
    shape: Shape,
    rng: Rng,
    exposure: float = 1100.0,
    *,
    rate: float = 0.006,
    warm_fraction: float = 0.03,
    cosmic_rays: bool = False,
    hits: float = 5e-6,
) -> Floats:
    """Return a dark exposure, electrons, ``(rows, cols)``.

    The dark current grows by a third from the register to the last row; warm and hot pixels follow a power law from
    a few times the dark current to 20 electrons per second.

    Parameters
    ----------
    shape, rng
        See `star_field`.
    exposure : float
        Seconds.
    rate : float
        Mean dark current of ordinary pixels, electrons per second.
    warm_fraction : float
        Part of the pixels that are warm or hot.
    cosmic_rays : bool
        Add cosmic rays; their charge is not subject to photon noise in nature, here it is like all charge.
    hits : float
        Cosmic rays per pixel of area and second.
    """
    rows, cols = _checked(shape)
    slope = np.linspace(-0.15, 0.15, rows) if rows > 1 else np.zeros(1)
    current = np.repeat(rate * (1.0 + slope)[:, np.newaxis], cols, axis=1)
    warm = rng.random((rows, cols)) < warm_fraction
    current[warm] += _power_law(rng, int(warm.sum()), 5.0 * rate, max(20.0, 10.0 * rate), _WARM_SLOPE)
    scene = exposure * current
    if cosmic_rays:
        add_cosmic_rays(scene, rng, int(rng.poisson(hits * exposure * rows * cols)))
    return scene


def flat_field(shape: Shape, level: float = 20_000.0) -> Floats:
    """Return even light, `level` electrons in every pixel, ``(rows, cols)``."""
    return np.full(_checked(shape), float(level))


def observe(scene: npt.ArrayLike, rng: Rng, read_noise: float = 5.6) -> Floats:
    """Return a scene with photon noise and read noise, electrons, of the shape of `scene`; no trails.

    Parameters
    ----------
    scene : (..., rows, cols)
        Expected electrons, not negative.
    rng : numpy.random.Generator
        Source of the noise.
    read_noise : float
        Standard deviation of the amplifier's noise, electrons.
    """
    charge = rng.poisson(_expected(scene)).astype(np.float64)
    return charge + rng.normal(0.0, read_noise, charge.shape)


def read_out(
    scene: npt.ArrayLike,
    rng: Rng,
    *,
    mjd: float,
    pctetab: Any = None,
    amp: str = "A",
    read_noise: float = 5.6,
    device: str | int = "auto",
) -> Floats:
    """Return a scene as an amplifier reads it: photon noise, then trails, then read noise; electrons.

    Parameters
    ----------
    scene : (rows, cols) or (n, rows, cols)
        Expected electrons, not negative, in file orientation: for amplifiers A and B row 0 is next to the register,
        for C and D the last row.
    rng, read_noise
        See `observe`.
    mjd, pctetab, amp, device
        See `gpucti.add_cti_arrays`.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> image = read_out(star_field((1024, 8), rng), rng, mjd=57000.0, device="numpy")
    >>> image.shape
    (1024, 8)
    """
    from gpucti.correction.arrays import add_cti_arrays

    charge = rng.poisson(_expected(scene)).astype(np.float64)
    trailed = add_cti_arrays(charge, pctetab, mjd=mjd, amp=amp, device=device)
    result: Floats = trailed + rng.normal(0.0, read_noise, charge.shape)
    return result


def _checked(shape: Shape) -> Shape:
    try:
        rows, cols = (int(size) for size in shape)
    except (TypeError, ValueError):
        raise InputError(f"shape is {shape!r}; expected (rows, cols)") from None
    if rows < 1 or cols < 1:
        raise InputError(f"shape is {shape!r}; expected (rows, cols), each 1 or more")
    return rows, cols


def _expected(scene: npt.ArrayLike) -> Floats:
    expected = np.asarray(scene, dtype=np.float64)
    if not (expected >= 0).all():
        raise InputError("scene holds negative or NaN pixels; expected electrons, 0 or more")
    return expected


def _power_law(rng: Rng, n: int, low: float, high: float, slope: float) -> Floats:
    """Return `n` values between `low` and `high` with ``N(> x) ~ x ** -slope``."""
    values: Floats = (low**-slope - rng.random(n) * (low**-slope - high**-slope)) ** (-1.0 / slope)
    return values


def _gaussian_share(pixel: npt.ArrayLike, centre: npt.ArrayLike) -> Floats:
    """Return the part of a Gaussian at `centre` that falls into each `pixel`, one dimension."""
    offset = (np.asarray(pixel) - np.asarray(centre)) / (math.sqrt(2.0) * PSF_SIGMA)
    half = 0.5 / (math.sqrt(2.0) * PSF_SIGMA)
    share: Floats = 0.5 * np.asarray(_erf(offset + half) - _erf(offset - half)).astype(np.float64)
    return share


def _share_of_brightest_pixel(row: float, col: float) -> float:
    return float(_gaussian_share(round(row), row) * _gaussian_share(round(col), col))


def _add_star(scene: Floats, row: float, col: float, electrons: float) -> None:
    rows, cols = scene.shape
    r = np.arange(max(round(row) - _PSF_REACH, 0), min(round(row) + _PSF_REACH + 1, rows))
    c = np.arange(max(round(col) - _PSF_REACH, 0), min(round(col) + _PSF_REACH + 1, cols))
    scene[r[0] : r[-1] + 1, c[0] : c[-1] + 1] += electrons * np.outer(_gaussian_share(r, row), _gaussian_share(c, col))


def add_cosmic_rays(scene: Floats, rng: Rng, n: int) -> None:
    """Add `n` cosmic rays to a scene in place: straight tracks from all directions, most a few pixels long."""
    rows, cols = scene.shape
    row, col = rng.uniform(-0.5, rows - 0.5, n), rng.uniform(-0.5, cols - 0.5, n)
    angle = rng.uniform(0.0, 2.0 * np.pi, n)
    sine = np.sqrt(rng.random(n))  # of the angle to the normal, for rays that cross a plane from all sides
    length = np.minimum(sine / np.sqrt(1.0 - sine**2), _LONGEST_TRACK)
    per_pixel = _CHARGE_PER_PIXEL * np.exp(rng.normal(0.0, 0.6, n))
    steps = np.ceil(4.0 * length).astype(int) + 1
    track = np.repeat(np.arange(n), steps)
    along = (np.arange(len(track)) - np.repeat(np.cumsum(steps) - steps, steps)) / np.repeat(steps, steps)
    r = np.rint(row[track] + along * length[track] * np.sin(angle[track])).astype(int)
    c = np.rint(col[track] + along * length[track] * np.cos(angle[track])).astype(int)
    charge = (per_pixel * np.maximum(length, 1.0) / steps)[track]
    inside = (r >= 0) & (r < rows) & (c >= 0) & (c < cols)
    np.add.at(scene, (r[inside], c[inside]), charge[inside])
