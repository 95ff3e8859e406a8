"""How far the image of a slit lies off its place across the dispersion: by its length, its ends, or its bars.

Profiles are along the rows of a rectified wavecal, 0-based; the methods are CalSTIS's (``cs4``).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gpucti.calibration.base import Trailer
from gpucti.calibration.spectra.interpolate import natural_spline
from gpucti.calibration.spectra.wavecal.peaks import (
    NoShiftError,
    Profile,
    Vector,
    correlation_peak,
    first_maximum,
    median,
    ordered_sum,
    parabola,
)
from gpucti.detector import nint

#: Largest difference, pixels, of the shifts of ends or bars; that from which the faintest bar is dropped.
FAR_APART, APART = 10.0, 5.0
#: Rows next to each other that the search for an end needs.
MIN_EDGE = 5
#: Sections of the slit in which its light is measured: at first, and without the bars.
SECTIONS = (8, 12)
#: Median absolute deviations at which a row is taken for part of a bar.
MAX_DEVIATION = 6.0
#: Limits of a bar's weight: how deep it is, as a part of what is expected.
WEIGHTS = (0.5, 1.5)
#: Where the width of a correlation peak is measured: down to this part of it.
LOWEST_CUT = 0.5
#: Largest deviation, pixels, of a peak's centre from the median of all.
OUTLIER = 0.3


def short_slit_shift(profile: Profile, centre: float, length: float, search: int) -> float:
    """Return the shift of a slit that is seen whole (``XCEchelle``).

    Parameters
    ----------
    profile : Profile
        Light by row.
    centre, length : float
        Where the slit is expected, rows.
    search : int
        Rows searched, in all.

    Raises
    ------
    NoShiftError
        The slit lies off the image, or there is no peak.
    """
    size = len(profile.values)
    low, high = centre - length / 2.0, centre + length / 2.0
    first, last = nint(low), nint(high)
    if min(first, last) < 0 or max(first, last) >= size:
        raise NoShiftError(f"the slit, rows {low:.1f} to {high:.1f}, does not fit into {size} rows")
    template = np.zeros(size)
    template[first + 1 : last] = 1.0
    template[first] = low + 0.5 - first  # the part that is not covered: so it is in CalSTIS
    template[last] = last - (high - 0.5)
    return correlation_peak(profile, template, search)


def ends_shift(profile: Profile, centre: float, length: float, search: int, trailer: Trailer) -> float:
    """Return the shift of a slit by its two ends, or one of them (``FindEnds``).

    Parameters are those of `short_slit_shift`; the trailer is told of ends that are not found.

    Raises
    ------
    NoShiftError
        No end is found, or the two do not agree.
    """
    low = centre - length / 2.0
    shifts = []
    for name, expected, sign in (("lower", low, 1.0), ("upper", low + length, -1.0)):
        try:
            shifts.append(_edge(profile, expected, search, sign) - expected)
        except NoShiftError as error:
            trailer.say(f"WAVECORR: {name} end of the slit not found: {error}")
    if not shifts:
        raise NoShiftError("neither end of the slit is found")
    if max(shifts) - min(shifts) > FAR_APART:
        raise NoShiftError(f"the ends of the slit give {shifts[0]:.2f} and {shifts[1]:.2f} pixels")
    return _total(shifts) / len(shifts)


def _edge(profile: Profile, expected: float, search: int, sign: float) -> float:
    """Return the row where the light begins (`sign` 1) or ends (-1) (``FindEdge``)."""
    values, good = profile
    size, start = len(values), nint(expected)
    if not 0 <= start < size:
        raise NoShiftError(f"row {expected:.1f} lies off the image")
    first = int(expected + 0.5) - search // 2
    last = min(first + search - 1, size - 1)
    first = max(first, 0)
    bad = np.flatnonzero(~good)
    first = max(first, *(int(row) + 1 for row in bad[bad <= start]), 0)
    last = min(last, *(int(row) - 1 for row in bad[bad >= start]), size)
    if last - first + 1 < MIN_EDGE:
        raise NoShiftError(f"around row {expected:.1f} fewer than {MIN_EDGE} rows are good")
    step = np.zeros(size)
    step[1 : size - 3] = values[2 : size - 2] - values[: size - 4]
    peak = first + first_maximum(sign * step[first : last + 1])
    if peak in (first, last):
        raise NoShiftError(f"it seems to lie outside rows {first} to {last}")
    return parabola(step, peak) + float(peak - 1) + 1.0


def bars_shift(profile: Profile, bars: Sequence[tuple[float, float]], search: int, trailer: Trailer) -> float:
    """Return the shift of a long slit by the occulting bars across it (``FindBars``).

    Parameters
    ----------
    profile : Profile
        Light by row.
    bars : sequence of (float, float)
        Centre and width of each, rows.
    search : int
        Rows searched, in all.
    trailer : Trailer
        Is told of bars that are not found.

    Raises
    ------
    NoShiftError
        No bar is found, or they do not agree.
    """
    dark = _darkness(profile)
    found: list[tuple[float, float]] = []
    for number, (centre, width) in enumerate(bars, start=1):
        try:
            shift, weight = _bar(dark, centre, width, search)
        except NoShiftError as error:
            trailer.say(f"WAVECORR: bar {number} not found: {error}")
        else:
            trailer.say(f"WAVECORR: bar {number} shifted by {shift:.3f}, weight {weight:.4g}")
            found.append((shift, weight))
    return _average(found, trailer)


def _darkness(profile: Profile) -> Vector:
    """Return the light of each row as a part of what is missing of the light around it (``InvertSlit``)."""
    values, good = profile
    rows = np.arange(len(values), dtype=np.float64)
    places = np.flatnonzero(good)
    if len(places) < 2:
        raise NoShiftError("fewer than two rows are good")
    first, last = int(places[0]), int(places[-1])
    smooth = _spline_through(rows, *_sections(values, good, first, last, SECTIONS[0]))
    deviation = np.abs(values - smooth)
    lit = good & ~(deviation > MAX_DEVIATION * median(deviation[good]))
    centres, medians = _sections(values, lit, first, last, SECTIONS[1])
    smooth = _spline_through(rows, centres, _positive(medians, median(values[lit])))
    seen = good & (smooth > 0)
    return np.where(seen, (smooth - values) / np.where(seen, smooth, 1.0), 0.0)


def _sections(values: Vector, good: npt.NDArray[np.bool_], first: int, last: int, n: int) -> tuple[Vector, Vector]:
    """Return centre and median light of up to n sections of equal length; those without good rows are left out."""
    length = -(-(last - first + 1) // n)
    centres, medians = [], []
    for start in range(first, last, length)[:n]:
        stop = min(start + length, last + 1)
        chosen = values[start:stop][good[start:stop]]
        if len(chosen):
            centres.append(start + (stop - start - 1) / 2.0)
            medians.append(median(chosen))
    return np.array(centres), np.array(medians)


def _spline_through(rows: Vector, centres: Vector, medians: Vector) -> Vector:
    if len(centres) < 2:
        raise NoShiftError("too few rows are good to tell the bars from the slit")
    return natural_spline(rows, centres, medians)


def _positive(medians: Vector, level: float) -> Vector:
    """Return medians without those that are not above zero: each takes the value before it, from the middle out."""
    result = medians.copy()
    middle = len(medians) // 2
    for walk in (range(middle, len(medians)), range(middle - 1, -1, -1)):
        previous = level
        for index in walk:
            if result[index] <= 0:
                result[index] = previous
            previous = float(result[index])
    return result


def _bar(dark: Vector, centre: float, width: float, search: int) -> tuple[float, float]:
    """Return shift and weight of one bar."""
    if width <= 0:
        raise NoShiftError("it has no width")
    fit = _correlation(dark, _bar_template(len(dark), centre, width), search)
    peak = first_maximum(fit)
    weight = float(fit[peak]) / width
    if not WEIGHTS[0] <= weight <= WEIGHTS[1]:
        raise NoShiftError(f"its depth is {weight:.3g} of what is expected, not {WEIGHTS[0]} to {WEIGHTS[1]}")
    if peak in (0, search - 1):
        raise NoShiftError(f"it seems to lie outside the {search} rows searched")
    return _centre(fit.tolist(), peak) - search // 2, weight


def _bar_template(size: int, centre: float, width: float) -> Vector:
    """Return 1 behind a bar and 0 elsewhere, and at its ends the part that is covered."""
    low, high = centre - width / 2.0, centre + width / 2.0
    first, last = nint(low), nint(high)
    template = np.zeros(size)
    if last > 0 and first < size - 1:
        template[0 if first < 0 else first + 1 : size if last >= size else last] = 1.0
    if 0 <= first < size:
        template[first] = 0.5 - low + first
    if 0 <= last < size:
        template[last] = high + 0.5 - last
    return template


def _correlation(dark: Vector, template: Vector, search: int) -> Vector:
    """Return the sum of the darkness behind the template at each shift; what lies off the image does not count."""
    half, size = (search - 1) // 2, len(dark)
    fit = np.zeros(search)
    for shift in range(-min(half, size - 1), min(half, size - 1) + 1):
        low, high = max(shift, 0), size + min(shift, 0)
        fit[half + shift] = ordered_sum(dark[low:high] * template[low - shift : high - shift], 0)
    return fit


def _centre(fit: list[float], peak: int) -> float:
    """Return the centre of a peak: the mean of the middles of horizontal cuts, one apart, down to half its height."""
    top = fit[peak]
    middles = []
    cut = top - 1.0
    while cut > top * LOWEST_CUT:
        left = next((i for i in range(peak, 0, -1) if fit[i] <= cut < fit[i + 1]), None)
        right = next((i for i in range(peak, len(fit) - 1) if fit[i] >= cut > fit[i + 1]), None)
        if left is None or right is None:
            break
        x_left = left + (cut - fit[left]) / (fit[left + 1] - fit[left])
        x_right = right + (fit[right] - cut) / (fit[right] - fit[right + 1])
        middles.append((x_left + x_right) / 2.0)
        cut -= 1.0
    if not middles:
        raise NoShiftError("its peak is too flat")
    middle = median(np.array(middles))
    kept = [value for value in middles if not abs(value - middle) > OUTLIER]
    if not kept:
        raise NoShiftError("the middles of its peak do not agree")
    return _total(kept) / len(kept)


def _average(found: Sequence[tuple[float, float]], trailer: Trailer) -> float:
    """Return the weighted mean of the shifts of bars (``AvgShifts``)."""
    if not found:
        raise NoShiftError("no occulting bar is found")
    used = [(shift, weight) for shift, weight in found if weight > WEIGHTS[0]]
    if not used:
        raise NoShiftError("no occulting bar is deep enough")
    spread = max(shift for shift, _ in used) - min(shift for shift, _ in used)
    if spread > FAR_APART:
        raise NoShiftError(f"the shifts of the occulting bars differ by {spread:.2f} pixels")
    if spread > APART:
        faintest = min(used, key=lambda bar: bar[1])
        trailer.say(
            f"WAVECORR: the shifts of the bars differ by {spread:.2f} pixels; that with weight {faintest[1]:.4g} is "
            "left out"
        )
        used.remove(faintest)
    return _total([shift * weight for shift, weight in used]) / _total([weight for _, weight in used])


def _total(values: Sequence[float]) -> float:
    """Add plainly; Python's own sum keeps lost digits in some versions."""
    return float(ordered_sum(np.array(values), 0))
