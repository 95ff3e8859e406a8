"""How far a lamp's spectrum lies off its place: WAVECORR on one rectified image set (CalSTIS's ``cs4``).

Both shifts are found in one-dimensional profiles, in double precision and in CalSTIS's order of summation; rows and
columns are 0-based pixels of the rectified image. A shift is positive where the spectrum lies at larger pixel numbers
than the tables say.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from gpucti.calibration.base import Trailer
from gpucti.calibration.spectra.aperture import Slit
from gpucti.calibration.spectra.constants import ARCSEC_PER_DEGREE
from gpucti.calibration.spectra.wavecal.cosmic_rays import flag_cosmic_rays
from gpucti.calibration.spectra.wavecal.lamps import Lamp, SearchParameters
from gpucti.calibration.spectra.wavecal.peaks import (
    NoShiftError,
    Profile,
    Vector,
    correlation_peak,
    likeness,
    median,
    ordered_sum,
)
from gpucti.calibration.spectra.wavecal.slits import bars_shift, ends_shift, short_slit_shift
from gpucti.calibration.statistics import serious_bits
from gpucti.detector import DQ_ALL, DQ_BLEMISH, DQ_COSMIC_RAY, DQ_HOT, DQ_MASKED, nint
from gpucti.io.cards import Cards
from gpucti.io.exposure import ImageSet
from gpucti.io.pixelgrid import PixelGrid

#: What stands in a header for a shift that was not found.
UNDEFINED = -9999.0
#: Bits that do not keep a pixel of a wavecal from being used: behind a bar, warm, small blemish.
FORGIVEN = DQ_MASKED | DQ_HOT | DQ_BLEMISH
#: Rows of a rectified image where a star in a pseudo-aperture E1 or E2 lies, first and last.
E_ROWS = (970, 1010)
#: Columns at each end of the good ones where the template is dropped.
CHOPPED = 10
#: Lengths (arcseconds) between short, medium and long slits.
MEDIUM, LONG = 5.0, 7.0


class Shifts(NamedTuple):
    """Shifts along and across the dispersion, unbinned pixels; `UNDEFINED` where none was found.

    `likeness` tells how well the lamp's lines are seen, 0 (not at all) to 1.
    """

    dispersion: float
    spatial: float
    likeness: float = 1.0


@dataclass(frozen=True)
class Coordinates:
    """What the header of a rectified image set says of its pixels.

    Attributes
    ----------
    crpix : (float, float)
        Reference pixel, 0-based column and row.
    crval : float
        Wavelength there, Angstrom.
    cdelt : (float, float)
        Angstrom per column, degrees per row.
    scale : (float, float)
        Unbinned pixels per pixel.
    """

    crpix: tuple[float, float]
    crval: float
    cdelt: tuple[float, float]
    scale: tuple[float, float]

    @classmethod
    def of(cls, sci: Cards) -> Self:
        """Read CRPIX, CRVAL1, CD and LTM.

        Raises
        ------
        InputError
            A pixel covers no Angstroms, degrees or unbinned pixels.
        """
        crpix = tuple(sci.number(name, default=0.0) - 1 for name in ("CRPIX1", "CRPIX2"))
        cdelt = tuple(sci.number(name, default=1.0) for name in ("CD1_1", "CD2_2"))
        ltm = PixelGrid.of(sci).ltm
        if min(cdelt) <= 0:
            raise sci.wrong(f"CD1_1, CD2_2 are {cdelt}; expected numbers above 0")
        crval = float(sci.number("CRVAL1", default=0.0))
        return cls((crpix[0], crpix[1]), crval, (cdelt[0], cdelt[1]), (1.0 / ltm[0], 1.0 / ltm[1]))


def find_shifts(
    imset: ImageSet,
    sci: Cards,
    slit: Slit,
    lamp: Lamp,
    parameters: SearchParameters,
    *,
    e_rows: bool,
    trailer: Trailer,
) -> Shifts:
    """Return the shifts of one rectified image set of a wavecal.

    Parameters
    ----------
    imset : ImageSet
        Rectified without shift; not changed.
    sci : Cards
        Its SCI header.
    slit : Slit
        Of the wavecal.
    lamp : Lamp
        Its spectrum.
    parameters : SearchParameters
        Where and how far to search.
    e_rows : bool
        Look for the lines in `E_ROWS`: the exposure that is calibrated was taken near the readout.
    trailer : Trailer
        Is told the shifts, or why there is none.

    Raises
    ------
    InputError
        The header makes no sense.
    """
    place = Coordinates.of(sci)
    flags = int(serious_bits(sci.whole("SDQFLAGS", default=DQ_ALL))) & ~FORGIVEN
    dq = imset.dq
    if flags & DQ_COSMIC_RAY:
        dq = flag_cosmic_rays(imset.sci, dq, flags, parameters)
    image = _Image(imset.sci, (dq & np.int16(flags)) == 0, place, parameters, unflagged=flags == 0)
    found, similarity = [], 1.0
    for axis, direction in enumerate(("along the dispersion", "across the dispersion")):
        try:
            if axis == 0:
                shift, similarity = _along_dispersion(image, slit, lamp, e_rows)
                shift *= place.scale[0]
            else:
                shift = _across_dispersion(image, slit, trailer) * place.scale[1]
        except NoShiftError as error:
            trailer.say(f"WAVECORR: shift {direction} not found: {error}")
            found.append(UNDEFINED)
        else:
            trailer.say(f"WAVECORR: shift {direction} {shift:.3f} pixels")
            found.append(shift)
    return Shifts(found[0], found[1], similarity)


class _Image(NamedTuple):
    """Pixels of a rectified image set, which of them are good, where they lie, and where to search."""

    sci: npt.NDArray[np.floating[Any]]
    good: npt.NDArray[np.bool_]
    place: Coordinates
    parameters: SearchParameters
    unflagged: bool

    def profile(self, values: Vector, good: npt.NDArray[np.bool_]) -> Profile:
        """Return a profile; where no bit is serious, nothing is flagged in CalSTIS, not even what was left out."""
        return Profile(values, good | self.unflagged)

    def section(self, trim: int, axis: int) -> tuple[int, int]:
        """Return first and last pixel (columns: axis 0, rows: axis 1) that a trim in unbinned pixels leaves."""
        size = self.sci.shape[1 - axis]
        off = nint(trim / self.place.scale[axis])
        first, last = max(off, 0), min(size - 1 - off, size - 1)
        return (first, last) if last > first else (0, size - 1)

    def spectrum(self, columns: tuple[int, int], rows: tuple[int, int]) -> Profile:
        """Return the mean of the good pixels of each column, less the median of all, zero where that is negative.

        Columns outside count as zeros in the median and are flagged.
        """
        size = self.sci.shape[1]
        values, good = np.zeros(size), np.zeros(size, dtype=bool)
        part = np.s_[rows[0] : rows[1] + 1, columns[0] : columns[1] + 1]
        count = self.good[part].sum(axis=0)
        total = ordered_sum(np.where(self.good[part], self.sci[part], 0).astype(np.float64), 0)
        inside = slice(columns[0], columns[1] + 1)
        good[inside] = count > 0
        values[inside] = np.where(count > 0, total / np.maximum(count, 1), 0.0)
        level = median(values)
        return self.profile(np.where(values < level, 0.0, values - level), good)


def _along_dispersion(image: _Image, slit: Slit, lamp: Lamp, e_rows: bool) -> tuple[float, float]:
    """Return the shift of the lamp's lines, pixels (``WaveShift``), and how well they are seen there."""
    parameters, place = image.parameters, image.place
    columns, rows = image.section(parameters.wl_trim1, 0), image.section(parameters.wl_trim2, 1)
    if e_rows:
        rows = (E_ROWS[0], min(E_ROWS[1], image.sci.shape[0] - 1))
        if rows[1] < rows[0]:
            raise NoShiftError(f"the image has {image.sci.shape[0]} rows, none of the rows {E_ROWS[0]} to {E_ROWS[1]}")
    spectrum = image.spectrum(columns, rows)
    size = len(spectrum.values)
    limits = place.crval + (np.arange(size + 1, dtype=np.float64) - 0.5 - place.crpix[0]) * place.cdelt[0]
    width = slit.width[0] / (place.cdelt[1] * (place.scale[0] / place.scale[1]) * ARCSEC_PER_DEGREE)
    template = _chopped(running_mean(lamp.over(limits), width), spectrum.good)
    if not spectrum.values.any():
        raise NoShiftError("the wavecal shows no light where the lines are looked for")
    if not template.any():
        raise NoShiftError("the LAMPTAB has no light in the range of wavelengths of the wavecal")
    shift = correlation_peak(spectrum, template, parameters.wl_range)
    return shift, likeness(spectrum, template, shift)


def running_mean(values: Vector, width: float) -> Vector:
    """Return the mean over a box as wide as the slit, an odd number of pixels; narrow slits change nothing.

    Parameters
    ----------
    values : (n,) float64
        Zero outside.
    width : float
        Of the slit in pixels, rounded down and, if even, up by one.
    """
    box = int(min(width, 2.0 * len(values)))
    box += box % 2 == 0
    if box < 3:
        return values
    half = box // 2
    padded = np.concatenate([np.zeros(half), values, np.zeros(half)])
    # The sum slides: what is rounded in one place stays in the sum.
    first = np.add.accumulate(np.concatenate([[0.0], padded[:box]]))[-1:]
    return np.add.accumulate(np.concatenate([first, padded[box:] - padded[:-box]])) / box


def _chopped(template: Vector, good: npt.NDArray[np.bool_]) -> Vector:
    """Return the template without what lies outside, or near the ends of, the good columns."""
    places = np.flatnonzero(good)
    first, last = (int(places[0]), int(places[-1])) if len(places) else (0, len(good) - 1)
    first, last = first + CHOPPED, last - CHOPPED
    if first >= len(good) or last < 0:
        return template
    chopped = template.copy()
    chopped[:first] = 0.0
    chopped[last + 1 :] = 0.0
    return chopped


def _across_dispersion(image: _Image, slit: Slit, trailer: Trailer) -> float:
    """Return the shift of the slit's image, pixels (``SpatialShift``)."""
    parameters, place = image.parameters, image.place
    columns, rows = image.section(parameters.sp_trim1, 0), image.section(parameters.sp_trim2, 1)
    weights = image.spectrum(columns, image.section(parameters.wl_trim2, 1)).values
    size = image.sci.shape[0]
    values, good = np.zeros(size), np.zeros(size, dtype=bool)
    part = np.s_[rows[0] : rows[1] + 1, columns[0] : columns[1] + 1]
    inside = slice(columns[0], columns[1] + 1)
    weight = np.where(image.good[part], weights[inside], 0.0)
    sums = ordered_sum(weight, 1)
    total = ordered_sum(np.where(image.good[part], image.sci[part], 0) * weight, 1)
    good[rows[0] : rows[1] + 1] = sums > 0
    values[rows[0] : rows[1] + 1] = np.where(sums > 0, total / np.where(sums > 0, sums, 1.0), total)
    profile = image.profile(values, good)
    length = _slit_length(slit.name)
    pixel = place.cdelt[1] * ARCSEC_PER_DEGREE
    if length == 0:
        raise NoShiftError(f"aperture {slit.name} is no slit (its name does not begin with a length)")
    if not profile.good.any():
        raise NoShiftError("no row shows light that is not flagged")
    if length < MEDIUM:
        return short_slit_shift(profile, place.crpix[1], slit.width[1] / pixel, parameters.sp_range)
    if length < LONG:
        return ends_shift(profile, place.crpix[1], slit.width[1] / pixel, parameters.sp_range, trailer)
    if not slit.bars:
        raise NoShiftError(f"aperture {slit.name} has no occulting bars")
    bars = [(place.crpix[1] + centre / pixel, width / pixel) for centre, width in slit.bars]
    return bars_shift(profile, bars, parameters.sp_range, trailer)


def _slit_length(aperture: str) -> float:
    """Return the number, arcseconds, that the name of an aperture begins with, 0 if it begins with none."""
    number = re.match(r"[+-]?(\d+\.?\d*|\.\d+)", aperture.strip())
    length = float(number[0]) if number else 0.0
    return length if math.isfinite(length) else 0.0
