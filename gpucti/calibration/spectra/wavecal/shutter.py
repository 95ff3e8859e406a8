"""Light of the target in a wavecal, subtracted: until late 1998 the shutter was open while a lamp shone (``cs11``)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gpucti.calibration.base import Trailer
from gpucti.detector import nint
from gpucti.io.cards import Cards
from gpucti.io.exposure import Exposure
from gpucti.io.fitstables import ascii_text
from gpucti.io.pixelgrid import PixelGrid

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
    lamp, start = wavecal.cards.text("SCLAMP"), wavecal.cards.number("TEXPSTRT", default=0)
    if lamp not in LAMPS or start >= CLOSED:
        return wavecal
    other = [name for name in MODE if wavecal.primary.get(name) != science.primary.get(name)]
    if other:
        trailer.say(f"Wavecal: light of the target is not subtracted, {', '.join(other)} of {science.path.name} differ")
        return wavecal
    science_gain, wavecal_gain = _gain(science.cards), _gain(wavecal.cards)
    middles, exptimes = zip(*map(_time, science.sci_cards), strict=True)
    imsets = []
    for number, (imset, cards) in enumerate(zip(wavecal.imsets, wavecal.sci_cards, strict=True), start=1):
        middle, exptime = _time(cards)
        chosen = min(range(len(middles)), key=lambda n: abs(middle - middles[n]))
        science_cards = science.sci_cards[chosen]
        if exptimes[chosen] <= 0:
            raise science_cards.wrong(f"EXPTIME is {exptimes[chosen]}; its light cannot be scaled to the wavecal")
        ratio = exptime / exptimes[chosen] * science_gain / wavecal_gain
        trailer.say(f"Wavecal imset {number}: {ratio:.6g} times imset {chosen + 1} of the exposure subtracted")
        light = science.imsets[chosen].sci
        sci = _difference(imset.sci, cards, light, PixelGrid.of(science_cards), ratio, trailer)
        imsets.append(replace(imset, sci=sci))
    result = wavecal.with_imsets(imsets)
    result.primary.add_history(ascii_text(f"Light of the target subtracted: {science.path.name}"))
    return result


def _gain(primary: Cards) -> float:
    """Return electrons per count: ATODGAIN, or CCDGAIN where that is missing or zero."""
    gain = float(primary.number("ATODGAIN", default=0))
    gain = gain if gain > 0 else float(primary.whole("CCDGAIN", default=1))
    if gain <= 0:
        raise primary.wrong(f"CCDGAIN is {gain:g}; expected electrons per count")
    return gain


def _time(sci: Cards) -> tuple[float, float]:
    """Return the middle (MJD) and the length (s) of an image set."""
    start, end, exptime = (float(sci.number(name)) for name in ("EXPSTART", "EXPEND", "EXPTIME"))
    return (start + end) / 2.0, exptime


def _difference(
    wavecal: npt.NDArray[Any],
    cards: Cards,
    science: npt.NDArray[Any],
    pixels: PixelGrid,
    ratio: float,
    trailer: Trailer,
) -> npt.NDArray[np.float32]:
    """Return SCI of the wavecal less `ratio` times that of the exposure, which may be binned otherwise or smaller.

    Parameters
    ----------
    wavecal, cards : (rows, columns), Cards
        SCI of the wavecal and its header.
    science, pixels : (rows, columns), PixelGrid
        SCI of the exposure, and where its pixels lie.
    ratio : float
        Of exposure times and gains.
    trailer : Trailer
        Is told if the exposure covers a part only.
    """
    target, sci = PixelGrid.of(cards), wavecal.astype(np.float32)
    axes = []
    for axis in (0, 1):  # columns, rows
        size, m, v = science.shape[1 - axis], target.ltm[axis] / pixels.ltm[axis], pixels.zero[axis]
        first = nint((-0.5 - v) * m + target.zero[axis] + SMALL)
        last = nint((size - 0.5 - v) * m + target.zero[axis] - SMALL)
        first, last = max(first, 0), min(last, sci.shape[1 - axis] - 1)
        start = nint((first - 0.5 + SMALL - target.zero[axis]) / m + v)
        bin_ = pixels.ltm[axis] / target.ltm[axis]
        # Where the pixels that lie in each pixel of the wavecal begin: the steps are added up.
        begins = np.add.accumulate(np.r_[start + SMALL, np.full(max(last - first, 0), bin_)]).astype(np.intp)
        n = max(nint(bin_), 1)
        begins = begins[: max(last - first + 1, 0)]
        begins = begins[(begins >= 0) & (begins + n <= size)]
        axes.append((first, begins, n, bin_))
    (left, columns, nx, bin_x), (bottom, rows, ny, bin_y) = axes
    if len(columns) < sci.shape[1] or len(rows) < sci.shape[0]:
        trailer.say(f"{cards.where}: the exposure covers {len(columns)} x {len(rows)} pixels of the wavecal only")
    light: Any = np.zeros((len(rows), len(columns)))
    for dy in range(ny):
        for dx in range(nx):
            light = light + science[np.ix_(rows + dy, columns + dx)]
    factor = ratio
    if not bin_x == bin_y == 1:
        for bin_ in (bin_x, bin_y):  # of a larger pixel the part that lies in one of the wavecal; CalSTIS's precision
            factor = float(np.float32(np.float32(factor) * np.float64(min(bin_, 1.0))))
    part = np.s_[bottom : bottom + len(rows), left : left + len(columns)]
    sci[part] = sci[part] - factor * light
    return sci
