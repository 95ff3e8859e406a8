"""Light of the target in a wavecal, subtracted: until late 1998 the shutter was open while a lamp shone (``cs11``)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gpucti.calibration.base import Trailer
from gpucti.calibration.geometry import PixelMap
from gpucti.calibration.spectra.wavecal.peaks import nearest
from gpucti.errors import InputError
from gpucti.io.exposure import Exposure, ImageSet
from gpucti.io.fitsfile import integer_keyword, number_keyword, text_keyword
from gpucti.io.fitstables import ascii_text

#: Lamps whose light comes in behind the shutter, and since when (MJD) it is closed then.
LAMPS, CLOSED = ("HITM1", "HITM2"), 51126.0
#: What has to be the same.
MODE = ("OPT_ELEM", "CENWAVE", "APERTURE")
#: Keeps the edges of pixels off those of larger ones.
SMALL = 0.001


def subtract_science(wavecal: Exposure, science: Exposure, trailer: Trailer) -> Exposure:
    """Return a wavecal without the light of the target; itself if there is none in it.

    Parameters
    ----------
    wavecal : Exposure
        After basic reduction.
    science : Exposure
        The calibrated exposure; of its image sets the one nearest in time is scaled and subtracted.
    trailer : Trailer
        Is told what was done.

    Raises
    ------
    InputError
        A keyword is missing or makes no sense.
    """
    where = f"{wavecal.path}[0]"
    lamp = text_keyword(wavecal.primary, "SCLAMP", where)
    start = number_keyword(wavecal.primary, "TEXPSTRT", where, default=0)
    if lamp not in LAMPS or start >= CLOSED:
        return wavecal
    other = [name for name in MODE if wavecal.primary.get(name) != science.primary.get(name)]
    if other:
        trailer.say(f"Wavecal: light of the target is not subtracted, {', '.join(other)} of {science.path.name} differ")
        return wavecal
    ours, theirs = _gain(science), _gain(wavecal)
    middles, exptimes = zip(*(_time(science, n) for n in range(science.n_imsets)), strict=True)
    imsets = []
    for number, imset in enumerate(wavecal.imsets):
        middle, exptime = _time(wavecal, number)
        chosen = min(range(len(middles)), key=lambda n: abs(middle - middles[n]))
        if exptimes[chosen] <= 0:
            raise InputError(
                f"EXPTIME is {exptimes[chosen]}; its light cannot be scaled to the wavecal",
                where=f"{science.path}[SCI,{chosen + 1}]",
            )
        ratio = exptime / exptimes[chosen] * ours / theirs
        trailer.say(f"Wavecal imset {number + 1}: {ratio:.6g} times imset {chosen + 1} of the exposure subtracted")
        sci = _difference(imset, science.imsets[chosen], ratio, trailer, f"{wavecal.path}[SCI,{number + 1}]")
        imsets.append(replace(imset, sci=sci))
    result = wavecal.with_imsets(imsets)
    result.primary.add_history(ascii_text(f"Light of the target subtracted: {science.path.name}"))
    return result


def _gain(exposure: Exposure) -> float:
    """Return electrons per count: ATODGAIN, or CCDGAIN where that is missing or zero."""
    where = f"{exposure.path}[0]"
    gain = float(number_keyword(exposure.primary, "ATODGAIN", where, default=0))
    gain = gain if gain > 0 else float(integer_keyword(exposure.primary, "CCDGAIN", where, default=1))
    if gain <= 0:
        raise InputError(f"CCDGAIN is {gain:g}; expected electrons per count", where=where)
    return gain


def _time(exposure: Exposure, number: int) -> tuple[float, float]:
    """Return the middle (MJD) and the length (s) of an image set, counted from 0."""
    header, where = exposure.sci_headers[number], f"{exposure.path}[SCI,{number + 1}]"
    start, end, exptime = (float(number_keyword(header, name, where)) for name in ("EXPSTART", "EXPEND", "EXPTIME"))
    return (start + end) / 2.0, exptime


def _difference(
    wavecal: ImageSet, science: ImageSet, ratio: float, trailer: Trailer, where: str
) -> npt.NDArray[np.float32]:
    """Return SCI of the wavecal less `ratio` times that of the exposure, which may be binned otherwise or smaller."""
    theirs, ours = PixelMap.of(wavecal.headers[0], where), PixelMap.of(science.headers[0], where)
    sci = wavecal.sci.astype(np.float32)
    axes = []
    for axis in (0, 1):  # columns, rows
        size, m, v = science.sci.shape[1 - axis], theirs.scale[axis] / ours.scale[axis], ours.offset[axis]
        first = nearest((-0.5 - v) * m + theirs.offset[axis] + SMALL)
        last = nearest((size - 0.5 - v) * m + theirs.offset[axis] - SMALL)
        first, last = max(first, 0), min(last, sci.shape[1 - axis] - 1)
        start = nearest((first - 0.5 + SMALL - theirs.offset[axis]) / m + v)
        bin_ = ours.scale[axis] / theirs.scale[axis]
        # Where the pixels that lie in each pixel of the wavecal begin: the steps are added up.
        begins = np.add.accumulate(np.r_[start + SMALL, np.full(max(last - first, 0), bin_)]).astype(np.intp)
        n = max(nearest(bin_), 1)
        begins = begins[: max(last - first + 1, 0)]
        begins = begins[(begins >= 0) & (begins + n <= size)]
        axes.append((first, begins, n, bin_))
    (left, columns, nx, bin_x), (bottom, rows, ny, bin_y) = axes
    if len(columns) < sci.shape[1] or len(rows) < sci.shape[0]:
        trailer.say(f"{where}: the exposure covers {len(columns)} x {len(rows)} pixels of the wavecal only")
    light: Any = np.zeros((len(rows), len(columns)))
    for dy in range(ny):
        for dx in range(nx):
            light = light + science.sci[np.ix_(rows + dy, columns + dx)]
    factor = ratio
    if not bin_x == bin_y == 1:
        for bin_ in (bin_x, bin_y):  # of a larger pixel the part that lies in one of the wavecal; CalSTIS's precision
            factor = float(np.float32(np.float32(factor) * np.float64(min(bin_, 1.0))))
    part = np.s_[bottom : bottom + len(rows), left : left + len(columns)]
    sci[part] = sci[part] - factor * light
    return sci
