"""The range of an axis that shows the lines of a spectrum whole, and does not follow single wild pixels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

#: Points with errors larger than this, in medians, lie where there is no sensitivity, unless they are `SURE`.
LARGE_ERROR = 5.0
#: Signal to noise of a point that is real whatever its error.
SURE = 5.0
#: A line is at least this high, of its peak, in one pixel beside the peak, and in the other; at an end in the only one.
SHOULDER, FOOT, END = 0.25, 0.1, 0.5
#: Pixels on each side that tell how high the surroundings are.
AROUND = 7
#: Share of flagged pixels above which flags tell nothing.
MOST = 0.5


def points_that_count(values: Vector, error: Vector | None = None, flagged: Mask | None = None) -> Mask:
    """Return which points of a spectrum an axis has to show.

    These are points with usual errors, and those that are well above a large one, unless they stand alone above or
    below their surroundings: a line has a shoulder and a foot, as the optics makes them, a cosmic ray mostly not. The
    shoulder of one that is flagged must not be flagged, or there is one on each side.

    Parameters
    ----------
    values : (n,) float64
        May hold NaN.
    error : (n,) float64, optional
        One standard deviation.
    flagged : (n,) bool, optional
        Pixels with a flag.
    """
    finite = np.isfinite(values)
    good = finite
    if error is not None and (known := np.isfinite(error) & (error > 0)).any():
        large = error > LARGE_ERROR * np.median(error[known])
        good = finite & (~large | (np.abs(values) > SURE * error))
    if not good.any():
        return finite
    height = values - _surroundings(np.where(good, values, np.nan))
    seen, side_of, high = np.where(good, height, np.nan), np.sign(height), np.abs(height)
    left, right = (_neighbour(seen, side) * side_of for side in (1, -1))
    shoulders, ends = np.fmax(left, right), np.isnan(left) | np.isnan(right)
    wide = (shoulders >= SHOULDER * high) & (np.fmin(left, right) >= FOOT * high)
    counts = good & np.where(ends, shoulders >= END * high, wide)
    if flagged is not None and flagged[good].mean() <= MOST:
        clean = (~flagged).astype(np.float64)
        before, behind = left >= SHOULDER * high, right >= SHOULDER * high
        sure = (before & behind) | (before & (_neighbour(clean, 1) > 0)) | (behind & (_neighbour(clean, -1) > 0))
        counts &= ~flagged | sure
    return counts if counts.any() else good


def padded(values: Vector) -> tuple[float, float]:
    """Return a range a little wider than the values; from 0 where that is not far."""
    low, high = float(values.min()), float(values.max())
    if 0 < low < 0.6 * high:
        low = 0.0
    elif 0.6 * low < high < 0:
        high = 0.0
    margin = 0.12 * (high - low) or 0.1 * abs(high) or 1.0
    return (low if low == 0 else low - margin), high + margin


def _surroundings(values: Vector) -> Vector:
    """Return the running median; NaN where all is NaN."""
    wide = np.pad(values, AROUND, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(wide, 2 * AROUND + 1)
    known = ~np.isnan(windows).all(axis=1)
    medians = np.full(len(values), np.nan)
    medians[known] = np.nanmedian(windows[known], axis=1)
    return medians


def _neighbour(values: Vector, side: int) -> Vector:
    """Return the values of the pixels before (1) or behind (-1); NaN where there are none."""
    moved = np.roll(values, side)
    moved[0 if side == 1 else -1] = np.nan
    return moved
