"""BLEVCORR: the bias level of every line from the serial overscan, its drift along lines from the parallel one.

Source: CalSTIS 3.5.0, `doBlev`, `FindOverscan`, `FindBlev`, `BlevDrift`. Fits and levels are float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gpucti.backends.base import Array, Backend
from gpucti.calibration.basic2d.arithmetic import Pixels
from gpucti.detector import FULL_COLS, FULL_ROWS, OVERSCAN_COLS, OVERSCAN_ROWS
from gpucti.errors import InputError

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

#: Columns, first and last, that the bias level is taken from, for amplifier A: full frame, and by column binning.
SECTION = (1046, 1060)
BINNED_SECTION = {1: (1046, 1052), 2: (524, 530), 4: (263, 269)}
#: Values of the parallel overscan this many median deviations off do not count for its scatter.
CLIP_DEVIATIONS = 4.5
#: Values that a hot one is replaced by the median of.
WINDOW = 21


@dataclass(frozen=True)
class Overscan:
    """Where the overscan of a frame is: numbers of columns and rows to trim, 0-based columns of the bias section.

    Attributes
    ----------
    left, right, bottom, top : int
        Columns and rows to trim.
    section : (int, int)
        First and last column of the bias section.
    virtual_rows : (int, int)
        First row of the parallel overscan, and the row behind its last.
    """

    left: int
    right: int
    bottom: int
    top: int
    section: tuple[int, int]
    virtual_rows: tuple[int, int]


class Levels(NamedTuple):
    """The bias level of a frame.

    Attributes
    ----------
    line : (rows,) float64
        Of every line kept.
    drift : (cols,) float64
        To be added to it in every column kept.
    fitted : bool
        The lines were fitted; False: they are the default level.
    drift_fitted : bool
        The drift was fitted; False: it is zero.
    lines_left_out : int
        Lines without good overscan pixels.
    """

    line: Floats
    drift: Floats
    fitted: bool
    drift_fitted: bool
    lines_left_out: int

    @property
    def mean(self) -> np.float32:
        """Level averaged over all lines, at the middle column (MEANBLEV)."""
        levels = self.line + self.drift[len(self.drift) // 2]
        return np.float32(_total(levels) / len(self.line))


def find_overscan(amp: str, shape: tuple[int, int], binning: tuple[int, int], where: str) -> Overscan | None:
    """Return where the overscan is in a frame of (rows, cols), or None if the frame is too small to have any.

    Raises
    ------
    InputError
        The binning (x, y) is none that the CCD has, or nothing would be left of the frame.
    """
    (rows, cols), (bx, by) = shape, binning
    if not {bx, by} <= set(BINNED_SECTION):
        raise InputError(f"binned {bx} x {by} (1/LTM); expected 1, 2 or 4 for BLEVCORR", where=where)
    full = (bx, by) == (1, 1) and rows > FULL_ROWS
    subarray = (bx, by) == (1, 1) and not full
    if full:
        left = right = OVERSCAN_COLS
        top, section = OVERSCAN_ROWS, SECTION
    elif subarray:
        left = right = OVERSCAN_COLS - 1
        top, section = 0, (SECTION[0], SECTION[1] - 1)
    else:
        left = OVERSCAN_COLS if bx == 1 else (OVERSCAN_COLS + 1) // bx
        right = cols - (FULL_COLS if bx == 1 else FULL_COLS // bx - 1) - left
        top, section = rows - FULL_ROWS // by, BINNED_SECTION[bx]
    bottom = 0
    if amp in "BD":
        left, right, section = right, left, (cols - 1 - section[1], cols - 1 - section[0])
    if amp in "CD":
        bottom, top = top, bottom

    kept_cols, kept_rows = cols - left - right, rows - bottom - top
    too_small = ((full or subarray) and kept_cols < FULL_COLS) or (full and kept_rows < FULL_ROWS)
    if too_small or min(left, right, bottom, top) < 0:
        return None
    if kept_cols < WINDOW or kept_rows < 1 or section[0] < 0 or section[1] >= cols:
        raise InputError(
            f"{cols} x {rows} pixels (columns x rows) binned {bx} x {by} have no overscan in columns "
            f"{section[0]} to {section[1]}; expected a whole frame for BLEVCORR",
            where=where,
        )
    return Overscan(left, right, bottom, top, section, (0, bottom) if amp in "CD" else (rows - top, rows))


def bias_levels(
    image: Pixels, overscan: Overscan, sdqflags: int, default_level: np.float32, clip: np.float32, backend: Backend
) -> Levels:
    """Return the bias level of an untrimmed frame.

    Parameters
    ----------
    image : Pixels
        The frame, counts.
    overscan : Overscan
        Of the frame.
    sdqflags : int
        Data-quality bits that make a pixel bad.
    default_level : float32
        Counts, where the overscan has no good pixels (CCDBIAS).
    clip : float32
        Hot values in the parallel overscan are above this many sigma (BLEV_CLIP).
    """
    rows, cols = image.sci.shape
    kept = np.s_[overscan.bottom : rows - overscan.top, overscan.left : cols - overscan.right]
    n_rows, n_cols = image.sci[kept].shape

    section = np.s_[kept[0], overscan.section[0] : overscan.section[1] + 1]
    values, good = _host(image, section, sdqflags, backend)
    levels, count = middle(values, good)
    used = count > 0
    line = fit_line(np.arange(n_rows)[used] - n_rows // 2, levels[used])
    slope, level = line or (0.0, float(default_level))
    lines = slope * (np.arange(n_rows) - n_rows // 2) + level

    drift = None
    first, behind = overscan.virtual_rows
    if n_cols > 1 and behind - first > 1:
        values, good = _host(image, np.s_[first:behind, kept[1]], sdqflags, backend)
        replace_hot(values, float(clip))
        levels, count = middle(values.T, good.T)
        column, usable = np.arange(n_cols) + overscan.left, count > 0
        drift = fit_line(column[usable] - (2 * overscan.left + n_cols - 1) // 2, levels[usable])
    zero = (overscan.section[0] + overscan.section[1]) / 2 - overscan.left
    drifts = (np.arange(n_cols) - zero) * (drift[0] if drift else 0.0)
    return Levels(lines, drifts, line is not None, drift is not None, int(n_rows - np.count_nonzero(used)))


def subtract_levels(image: Pixels, overscan: Overscan, levels: Levels, backend: Backend) -> Pixels:
    """Return the frame without bias level and overscan."""
    rows, cols = image.sci.shape
    kept = np.s_[overscan.bottom : rows - overscan.top, overscan.left : cols - overscan.right]
    sci = image.sci[kept] - backend.asarray(levels.line)[:, np.newaxis]  # float64
    sci -= backend.asarray(levels.drift)
    return Pixels(sci.astype(np.float32), image.err[kept], image.dq[kept])


def fit_line(x: npt.NDArray[Any], y: Floats) -> tuple[float, float] | None:
    """Return slope and intercept of an unweighted straight line; None without data, or if `x` is constant."""
    n = float(len(x))
    if n < 1:
        return None
    x = x.astype(np.float64)
    sx, sy, sxy, sxx = _total(x), _total(y), _total(x * y), _total(x * x)
    spread = sxx - sx * sx / n
    if spread == 0:
        return None
    slope = (sxy - (sx / n) * (sy / n) * n) / spread
    return slope, sy / n - slope * (sx / n)


def replace_hot(values: Floats, clip: float) -> None:
    """Replace, in place, values of the parallel overscan above its median by `clip` sigma or more.

    Each becomes the median of 21 values round it in its row. Row by row, left to right: later medians see
    earlier replacements.
    """
    center = float(middle(values.reshape(1, -1))[0][0])
    off = np.sort(np.abs(values - center), axis=None)
    small = off[off <= CLIP_DEVIATIONS * float(middle(off.reshape(1, -1))[0][0])]
    sigma = np.sqrt(_total(small * small) / len(small))
    width = values.shape[1]
    for y, x in np.argwhere(values > center + clip * sigma):
        start = min(max(x - WINDOW // 2, 0), width - WINDOW)
        values[y, x] = np.median(values[y, start : start + WINDOW])


def middle(values: Floats, good: Flags | None = None) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Return the median of each row of (n, m) values over the good ones, and how many are good."""
    n, m = values.shape
    if good is None or good.all():
        ordered, count = np.sort(values, axis=1), np.full(n, m)
    else:
        ordered, count = np.sort(np.where(good, values, np.inf), axis=1), good.sum(axis=1)
    each = np.arange(n)
    low, high = ordered[each, np.maximum(count - 1, 0) // 2], ordered[each, np.minimum(count // 2, m - 1)]
    return np.where(low == high, low, (low + high) / 2), count


def _host(image: Pixels, place: Any, sdqflags: int, backend: Backend) -> tuple[Floats, Flags]:
    """Return SCI in double precision and what is good of a part of the image, on the host."""
    sci, dq = backend.asnumpy(image.sci[place]), backend.asnumpy(image.dq[place])
    return sci.astype(np.float64), dq & np.int16(sdqflags) == 0


def _total(values: Array) -> float:
    """Return the sum, term after term as C forms it (numpy's own sum has another order)."""
    return float(np.add.accumulate(values)[-1]) if len(values) else 0.0
