"""Profiles along one axis, and where they fit a template best, to a fraction of a pixel."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gpucti.detector import nint

Vector = npt.NDArray[np.float64]

#: A parabola needs three points.
MIN_RANGE = 3


class NoShiftError(Exception):
    """No shift can be found; the message says why. It never leaves this package."""


class Profile(NamedTuple):
    """Values along one axis, (n,) float64, and which of them are good, (n,) bool."""

    values: Vector
    good: npt.NDArray[np.bool_]


def ordered_sum(values: npt.NDArray[Any], axis: int) -> Vector:
    """Return sums along an axis, one term after the other, as a loop would make them."""
    if values.shape[axis] == 0:
        return np.zeros(np.delete(values.shape, axis))
    sums: Vector = np.add.accumulate(values, axis=axis).take(-1, axis=axis)
    return sums


def median(values: Vector) -> float:
    """Return the middle value, or the mean of the two middle ones; there is at least one."""
    ordered = np.sort(values)
    middle = len(ordered) // 2
    return float(ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2.0)


def correlation_peak(profile: Profile, template: Vector, search: int) -> float:
    """Return by how many pixels a profile lies above its template (``XCPeak``).

    Parameters
    ----------
    profile : Profile
        Bad values count as zero.
    template : (n,) float64
        What it would look like without shift.
    search : int
        Pixels searched, in all; made odd, and at most about half of n.

    Raises
    ------
    NoShiftError
        Nothing is good, or the best fit lies at an end of the range.
    """
    size = len(template)
    search = max(min(search, size // 2), MIN_RANGE)
    search += search % 2 == 0
    half = (search - 1) // 2
    if search > size:
        raise NoShiftError(f"{size} pixels are too few")
    inner = slice(half, size - half)
    if not profile.good[inner].any():
        raise NoShiftError("every pixel is flagged as bad")
    values = np.where(profile.good, profile.values, 0.0)[inner]
    shifted = np.lib.stride_tricks.sliding_window_view(template, size - 2 * half)[::-1]
    fit = ordered_sum(values * shifted, 1)
    peak = first_maximum(fit)
    if peak in (0, search - 1):
        raise NoShiftError(
            f"the best fit lies at the end of the {search} pixels searched (no lines, another lamp, or a wrong range)"
        )
    return parabola(fit, peak) + peak - search // 2


def likeness(profile: Profile, template: Vector, shift: float) -> float:
    """Return how well a profile follows its template at a shift: Pearson's coefficient over the good pixels, 0 to 1.

    Not CalSTIS's, which takes the best fit whatever it is like.
    """
    step = nint(shift)
    places = np.flatnonzero(profile.good)
    places = places[(places - step >= 0) & (places - step < len(template))]
    seen, expected = profile.values[places], template[places - step]
    if len(places) < MIN_RANGE or np.ptp(seen) == 0 or np.ptp(expected) == 0:
        return 0.0
    return max(float(np.corrcoef(seen, expected)[0, 1]), 0.0)


def first_maximum(values: Vector) -> int:
    """Return where the largest value is, the first of several; 0 if some are no numbers."""
    return 0 if np.isnan(values).any() else int(np.argmax(values))


def parabola(values: Vector, middle: int) -> float:
    """Return where, off the middle, the parabola through three neighbours has its extreme (``PeakQuad3``)."""
    low, centre, high = values[middle - 1 : middle + 2].tolist()
    bend = low - 2.0 * centre + high
    if bend == 0:
        raise NoShiftError("the best fit has no peak")
    return float((low - high) / (2.0 * bend))
