"""What was won by the correction: products with and without it beside the truth of a synthetic visit.

Everything is measured on the truth as on the products, so that a ratio of 1 is what a perfect correction gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from gpucti.detector import DQ_HOT, LIGHT_KM_S
from gpucti.io.fitsfile import read_hdus

Floats = npt.NDArray[np.float64]
Places = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]

#: Rows from the amplifier from which on a source counts as far, of 1024.
FAR = 683
#: Limits of the brightness bins of stars, electrons per exposure.
BRIGHTNESS = (120.0, 300.0, 1000.0, 4000.0, 40_000.0)
#: Half width of the box in which a star is measured; pixels from its column between which its background lies.
APERTURE, SIDE = 2, (6, 12)
#: Rows behind a hot pixel over which its trail is followed; columns on both sides that tell what lies there anyway.
TRAIL, ASIDE = 20, (3, 5)
#: Hot pixels: limits of their charge, electrons; what no other pixel near in the column may exceed.
HOT, QUIET = (200.0, 2000.0), 60.0
#: Pixels that a spectrum is averaged over, for the picture.
BIN = 32
#: DQ bits that keep a pixel out: all but those of hot and of extrapolated pixels.
BAD = ~DQ_HOT


class Ratio(NamedTuple):
    """Something measured in units of its truth, with its standard error."""

    value: float
    error: float

    def __str__(self) -> str:
        """Return it as ``0.81 ± 0.02``."""
        return f"{self.value:.3f} ± {self.error:.3f}"


@dataclass(frozen=True)
class Pair:
    """The same thing measured without and with the correction.

    Attributes
    ----------
    what : str
        What was measured.
    truth : float
        What a perfect correction gives.
    before, after : Ratio
        What was found.
    """

    what: str
    truth: float
    before: Ratio
    after: Ratio


@dataclass(frozen=True, eq=False)
class Stars:
    """Stars far from the amplifier: electrons per exposure, and measured flux over true flux; and by brightness."""

    electrons: Floats
    before: Floats
    after: Floats
    middles: Floats
    bins: tuple[Pair, ...]


@dataclass(frozen=True, eq=False)
class Spectrum:
    """An extracted spectrum in bins of wavelength (Angstrom, erg/s/cm**2/Angstrom), and over all wavelengths."""

    grating: str
    row: float
    wavelength: Floats
    truth: Floats
    before: Floats
    before_error: Floats
    after: Floats
    after_error: Floats
    whole: Pair


@dataclass(frozen=True, eq=False)
class HotPixels:
    """Mean profile behind the hot pixels of the darks, in units of their charge, from the pixel itself on."""

    count: int
    charge: float
    before: Floats
    after: Floats
    kept: Pair
    trail: Pair


def ratio(measured: Floats, truth: Floats) -> Ratio:
    """Return the sum of what was measured over the sum of the truth; the error is told by the scatter."""
    value = float(measured.sum() / truth.sum())
    scatter = np.sqrt(np.square(measured - value * truth).sum() * truth.size / (truth.size - 1.0))
    return Ratio(value, float(scatter / truth.sum()))


# ---- the image ------------------------------------------------------------------------------------------


class Image(NamedTuple):
    """A combined image of the sky and its truth, electrons, with the DQ bits of both versions."""

    truth: Floats
    before: Floats
    after: Floats
    bits: npt.NDArray[np.int64]
    stars: fits.FITS_rec
    exposures: int


def read_image(truth: Path, before: Path, after: Path) -> Image:
    """Read the truth and both versions of a combined image."""
    real = read_hdus(truth)[0]
    without, with_it = (read_hdus(path)[0] for path in (before, after))
    gain = real[0].header["ATODGAIN"]
    exposures = round(without["SCI", 1].header["EXPTIME"] / real[0].header["EXPTIME"])
    return Image(
        exposures * _pixels(real["SCENE"]),
        gain * _pixels(without["SCI", 1]),
        gain * _pixels(with_it["SCI", 1]),
        without["DQ", 1].data.astype(np.int64) | with_it["DQ", 1].data.astype(np.int64),
        real["STARS"].data,
        exposures,
    )


def measure_stars(image: Image) -> Stars:
    """Measure all stars that are far from the amplifier, in a box round their true places."""
    far = image.stars[image.stars["TRANSFERS"] >= FAR]
    places = [(round(y - 1.0), round(x - 1.0)) for x, y in zip(far["X"], far["Y"], strict=True)]
    fluxes = np.array([
        [_flux(part, row, column) for part in (image.truth, image.before, image.after)]
        if _is_good(image.bits, row, column) else [np.nan] * 3
        for row, column in places
    ])  # fmt: skip
    good = np.isfinite(fluxes[:, 0])
    (truth, before, after), electrons = fluxes[good].T, np.asarray(far["ELECTRONS"][good], dtype=np.float64)
    bins, middles = [], []
    for low, high in zip(BRIGHTNESS[:-1], BRIGHTNESS[1:], strict=True):
        here = (electrons >= low) & (electrons < high)
        what = f"flux of {here.sum()} stars of {low:,.0f} to {high:,.0f} e-"
        bins.append(Pair(what, 1.0, ratio(before[here], truth[here]), ratio(after[here], truth[here])))
        middles.append(np.exp(np.log(electrons[here]).mean()))
    return Stars(electrons, before / truth, after / truth, np.array(middles), tuple(bins))


def _is_good(bits: npt.NDArray[np.int64], row: int, column: int) -> bool:
    """Tell whether the box and its background lie on the chip, and the box has no flagged pixel but hot ones."""
    size = bits.shape[0]
    inside = APERTURE <= row < size - APERTURE and SIDE[1] <= column < size - SIDE[1]
    box = np.s_[row - APERTURE : row + APERTURE + 1, column - APERTURE : column + APERTURE + 1]
    return inside and not (bits[box] & BAD).any()


def _flux(image: Floats, row: int, column: int) -> float:
    """Return the sum over the box, less the median of the columns on both sides of it."""
    rows = image[row - APERTURE : row + APERTURE + 1]
    sides = (rows[:, column - SIDE[1] : column - SIDE[0] + 1], rows[:, column + SIDE[0] : column + SIDE[1] + 1])
    box = rows[:, column - APERTURE : column + APERTURE + 1]
    return float(box.sum() - box.size * np.median(np.concatenate(sides, axis=1)))


def measure_sky(image: Image) -> Pair:
    """Return by how many electrons per pixel the sky far from the amplifier is too bright: what trails end as."""
    rows = slice(0, image.truth.shape[0] - FAR)
    dark = image.truth[rows] <= np.median(image.truth[rows])
    dark &= image.bits[rows] == 0
    excess = [(part[rows] - image.truth[rows])[dark] for part in (image.before, image.after)]
    # the median of skewed Poisson noise lies below its mean; cosmic rays and new hot pixels would spoil the mean
    found = [Ratio(float(np.median(values)), float(1.2533 * values.std() / np.sqrt(values.size))) for values in excess]
    return Pair("excess of the sky, e- per pixel", 0.0, *found)


# ---- the spectrum ---------------------------------------------------------------------------------------


def measure_spectrum(truth: Path, before: Path, after: Path) -> Spectrum:
    """Compare extracted spectra (``sx1``, ``s1c``) with the true flux of the star.

    Wavelengths that are flagged in either are left out of both.
    """
    real = read_hdus(truth)[0]["STAR"].data
    hdus = [read_hdus(path)[0] for path in (before, after)]
    tables = [spectrum[1].data[0] for spectrum in hdus]
    good = (tables[0]["DQ"] == 0) & (tables[1]["DQ"] == 0)
    totals, binned = [], []
    for spectrum, table in zip(hdus, tables, strict=True):
        wave, flux = (np.asarray(table[name], dtype=np.float64) for name in ("WAVELENGTH", "FLUX"))
        seen = wave / (1.0 - _velocity(spectrum[1].header) / LIGHT_KM_S)  # as it was observed, like the truth
        true, electrons = (np.interp(seen, real["WAVELENGTH"], real[name]) for name in ("FLUX", "ELECTRONS"))
        totals.append(ratio((flux / true * electrons)[good], electrons[good]))
        binned.append([_bin(wave[part], true[part], flux[part], electrons[part]) for part in _parts(good)])
    (wave, truths, fluxes, errors), (_, _, with_it, errors_with_it) = (np.array(bins).T for bins in binned)
    grating = str(hdus[0][0].header["OPT_ELEM"])
    whole = Pair(f"flux of the {grating} spectrum", 1.0, *totals)
    return Spectrum(
        grating, float(np.median(real["ROW"])), wave, truths, fluxes, errors, with_it, errors_with_it, whole
    )  # fmt: skip


def _velocity(header: fits.Header) -> float:
    """Return by how many km/s wavelengths were corrected for the Earth's motion; 0 if they were not."""
    return float(header.get("V_HELIO", 0.0)) if header.get("HELCORR") == "COMPLETE" else 0.0


def _parts(good: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.intp]]:
    """Return the good pixels of each bin; pixels left over at the end are left out."""
    return [np.flatnonzero(good[first : first + BIN]) + first for first in range(0, good.size - BIN + 1, BIN)]


def _bin(wave: Floats, true: Floats, flux: Floats, electrons: Floats) -> tuple[float, float, float, float]:
    """Return mean wavelength, truth, flux and its standard error, each pixel with the weight of its electrons."""
    part, mean = ratio(flux / true * electrons, electrons), float(true.mean())
    return float(wave.mean()), mean, part.value * mean, part.error * mean


# ---- the darks ------------------------------------------------------------------------------------------


class DarkImage(NamedTuple):
    """A component dark without and with the correction, and what is expected in it, electrons."""

    truth: Floats
    before: Floats
    after: Floats


def read_dark(rates: Path, before: Path, after: Path) -> DarkImage:
    """Read both versions of a component dark, and compute the charge expected in it."""
    real = read_hdus(rates)[0]
    without, with_it = (read_hdus(path)[0] for path in (before, after))
    primary, facts = without[0].header, real["RATE"].header
    rate, warm = _pixels(real["RATE"]), real["WARM"].data
    alive = (warm["START"] <= primary["TEXPSTRT"]) & (primary["TEXPSTRT"] < warm["END"])
    np.add.at(rate, (warm["Y"][alive] - 1, warm["X"][alive] - 1), warm["RATE"][alive])
    warmth = without["SCI", 1].header["OCCDHTAV"] - facts["REF_TEMP"]
    expected = rate * (without["SCI", 1].header["EXPTIME"] * (1.0 + facts["DRK_VS_T"] * warmth))
    gain = primary["ATODGAIN"]
    return DarkImage(expected, gain * _pixels(without["SCI", 1]), gain * _pixels(with_it["SCI", 1]))


def measure_hot_pixels(darks: Sequence[DarkImage]) -> HotPixels:
    """Follow the trails of hot pixels that are far from the amplifier, no other hot pixel near in their column.

    What lies beside the trail, in columns without the hot pixel, is subtracted; cosmic rays fall out with medians.
    """
    places = [_hot_places(dark.truth) for dark in darks]
    charge = np.concatenate([dark.truth[at] for dark, at in zip(darks, places, strict=True)])
    profiles, kept, trail = [], [], []
    for k in (1, 2):
        excess = np.concatenate([_profiles(dark[k] - dark.truth, *at) for dark, at in zip(darks, places, strict=True)])
        steps = [_median(step) for step in (excess / charge[:, np.newaxis]).T]
        profiles.append(np.array([step.value for step in steps]))
        kept.append(Ratio(1.0 + steps[0].value, steps[0].error))
        error = float(np.sqrt(sum(step.error**2 for step in steps[1:])))
        trail.append(Ratio(sum(step.value for step in steps[1:]), error))
    what = f"charge left in {charge.size:,} hot pixels of darks"
    return HotPixels(
        charge.size, float(charge.mean()), profiles[0], profiles[1],
        Pair(what, 1.0, *kept), Pair(f"  in the {TRAIL} pixels behind each", 0.0, *trail),
    )  # fmt: skip


def _hot_places(truth: Floats) -> Places:
    """Return rows and columns of hot pixels far from the amplifier, no other hot one in the column near them."""
    side, hot = ASIDE[1], (truth >= HOT[0]) & (truth < HOT[1])
    hot[:TRAIL], hot[truth.shape[0] - FAR :] = False, False
    hot[:, :side], hot[:, -side:] = False, False
    rows, columns = np.nonzero(hot)
    away = np.arange(1, TRAIL + 1)[:, np.newaxis]
    quiet = (truth[rows - away, columns] < QUIET).all(axis=0) & (truth[rows + away, columns] < QUIET).all(axis=0)
    return rows[quiet], columns[quiet]


def _profiles(excess: Floats, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]) -> Floats:
    """Return the excess from each hot pixel on, away from the amplifier, above that of the columns on both sides."""
    along = rows[:, np.newaxis] - np.arange(TRAIL + 1)
    offsets = [sign * step for step in range(ASIDE[0], ASIDE[1] + 1) for sign in (-1, 1)]
    aside = np.median([excess[along, columns[:, np.newaxis] + offset] for offset in offsets], axis=0)
    return np.asarray(excess[along, columns[:, np.newaxis]] - aside, dtype=np.float64)


def _median(values: Floats) -> Ratio:
    """Return the median and its standard error, from the quartiles."""
    low, middle, high = np.percentile(values, (25.0, 50.0, 75.0))
    return Ratio(float(middle), float(1.2533 * (high - low) / 1.349 / np.sqrt(values.size)))


def _pixels(hdu: fits.ImageHDU) -> Floats:
    return np.asarray(hdu.data, dtype=np.float64)
