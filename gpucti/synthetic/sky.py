"""The synthetic sky as a camera sees it: a field of stars with known places and fluxes, and its distortion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gpucti.synthetic.instrument import PSF, SCALE, SIZE, Floats, pixel_share, sensitivity_factor

#: Photometry of undispersed images: erg/s/cm**2/Angstrom per electron per second by date, pivot wavelength, bandwidth.
PHOT_DATES = (51000.0, 53000.0, 55000.0, 57000.0, 62000.0)
PHOTFLAM = (9.95e-20, 9.99e-20, 1.005e-19, 1.011e-19, 1.022e-19)
PHOTPLAM, PHOTBW, PHOTZPT = 5740.0, 1836.0, -21.1
#: Sky in electrons per second and pixel.
SKY_RATE = 0.02
#: Least distance between two stars, pixels, and how far their light is computed.
SPACING, REACH = 16.0, 14
#: Slope of the power law of fluxes.
_SLOPE = 0.7
#: Distortion, from corrected to detector positions: (i, j) is arcsec_x**j arcsec_y**(i - j); pixels.
CX = {
    (1, 1): 1.0 / SCALE,
    (2, 1): 3.1e-4,
    (2, 2): -2.4e-4,
    (3, 0): 4.0e-7,
    (3, 1): 9.0e-7,
    (3, 2): 1.3e-6,
    (3, 3): 2e-6,
}
CY = {
    (1, 0): 1.0 / SCALE,
    (2, 0): 3.5e-4,
    (2, 1): -1.2e-4,
    (3, 0): 1.1e-6,
    (3, 1): 1.4e-6,
    (3, 2): 8.0e-7,
    (3, 3): 3e-7,
}
#: Reference pixel of the distortion, counted from 1.
IDC_CENTRE = 512.0


@dataclass(frozen=True)
class Stars:
    """Stars of an image.

    Attributes
    ----------
    x, y : (n,) float64
        Places in columns and rows of the trimmed detector frame, counted from 0.
    electrons : (n,) float64
        Expected electrons per exposure.
    """

    x: Floats
    y: Floats
    electrons: Floats


def make_stars(rng: np.random.Generator, n: int, faintest: float, brightest: float) -> Stars:
    """Return up to `n` stars that keep their distance from each other, with a power law of fluxes."""
    kept: list[tuple[float, float]] = []
    cells: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for x, y in rng.uniform(8.0, SIZE - 9.0, (4 * n, 2)):
        cell = int(x // SPACING), int(y // SPACING)
        near = (star for i in (-1, 0, 1) for j in (-1, 0, 1) for star in cells.get((cell[0] + i, cell[1] + j), ()))
        if all((x - a) ** 2 + (y - b) ** 2 >= SPACING**2 for a, b in near):
            cells.setdefault(cell, []).append((x, y))
            kept.append((x, y))
        if len(kept) == n:
            break
    places = np.array(kept)
    low, high = faintest**-_SLOPE, brightest**-_SLOPE
    electrons = (low - rng.random(len(places)) * (low - high)) ** (-1.0 / _SLOPE)
    return Stars(places[:, 0], places[:, 1], np.asarray(electrons, dtype=np.float64))


def star_image(stars: Stars) -> Floats:
    """Return the expected electrons of all stars, ``(rows, columns)``."""
    pad = REACH
    image = np.zeros((SIZE + 2 * pad, SIZE + 2 * pad))
    window = np.arange(-REACH, REACH + 1)
    for x, y, electrons in zip(stars.x, stars.y, stars.electrons, strict=True):
        column, row = round(x), round(y)
        for part, spread in PSF:
            up, across = pixel_share(window + row - y, spread), pixel_share(window + column - x, spread)
            place = np.s_[row : row + 2 * pad + 1, column : column + 2 * pad + 1]
            image[place] += (part * electrons) * np.outer(up, across)
    return image[pad:-pad, pad:-pad]


def detector_place(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return where pixels of a geometrically corrected image lie on the detector, all counted from 0."""
    arc_x, arc_y = (x + 1.0 - IDC_CENTRE) * SCALE, (y + 1.0 - IDC_CENTRE) * SCALE
    return tuple(  # type: ignore[return-value]
        IDC_CENTRE - 1.0 + sum(value * arc_x**j * arc_y ** (i - j) for (i, j), value in terms.items())
        for terms in (CX, CY)
    )


def corrected_place(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return where detector pixels lie in a geometrically corrected image, all counted from 0."""
    at_x, at_y = x.copy(), y.copy()
    for _ in range(8):
        found_x, found_y = detector_place(at_x, at_y)
        at_x, at_y = at_x + x - found_x, at_y + y - found_y
    return at_x, at_y


def flux_per_electron(mjd: float, temperature: float) -> float:
    """Return erg/s/cm**2/Angstrom for one electron per second, as PHOTCORR gives it for gain 1."""
    heat = float(sensitivity_factor("MIRVIS", PHOTPLAM, mjd, temperature))
    return float(np.interp(mjd, PHOT_DATES, PHOTFLAM)) / heat
