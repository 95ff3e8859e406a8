"""Where on the detector a spectrum lies: the trace along which the image is brightest (CalSTIS's CrossCorr)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gpucti.backends.base import Array, Backend
from gpucti.calibration.spectra.dispersion import bracket
from gpucti.calibration.spectra.trace import Traces
from gpucti.detector import DQ_BLEMISH, DQ_HOT, DQ_OUTSIDE
from gpucti.io.pixelgrid import PixelGrid

#: Bits that do not keep a pixel out of the search, whatever SDQFLAGS says: hot pixels and small blemishes.
TOLERATED = DQ_HOT | DQ_BLEMISH
#: Positions of a block on a CPU: the temporaries stay small.
BLOCK_POSITIONS = 256


class Search(NamedTuple):
    """What came of the search.

    Attributes
    ----------
    offset : float or None
        How far the trace lies above the nominal one, unbinned pixels; None if none was found.
    reason : str
        Why none was found.
    """

    offset: float | None
    reason: str = ""


def find_offset(
    sci: npt.NDArray[np.float32],
    dq: npt.NDArray[np.int16],
    traces: Traces,
    nominal: float,
    maxsrch: int,
    flags: int,
    pixels: PixelGrid,
    backend: Backend,
) -> Search:
    """Return how far from its nominal place the brightest trace of an image lies.

    The image is averaged along the trace for each whole step up to `maxsrch` from `nominal`; a parabola through the
    highest mean and its neighbours gives the place.

    Parameters
    ----------
    sci, dq : (rows, cols)
        The image, not rectified.
    traces : Traces
        Of the mode, at the date of the exposure.
    nominal : float
        A2CENTER expected, 0-based unbinned row.
    maxsrch : int
        Steps in both directions; 0 gives an offset of 0.
    flags : int
        Data-quality bits of pixels to leave out (SDQFLAGS); `TOLERATED` ones stay.
    pixels : PixelGrid
        Where the image lies on the detector.
    backend : Backend
        Computes.
    """
    if maxsrch == 0:
        return Search(0.0)
    lines = _lines(nominal, maxsrch)
    mean, seen = mean_along_traces(sci, dq, traces, lines, flags & ~TOLERATED, pixels, backend)
    if not seen.any():
        return Search(None, "no pixel without flags lies on the image along any trace searched")
    peak = int(np.argmax(np.where(seen & ~np.isnan(mean), mean, -np.inf)))
    place = f"the brightest of {len(lines)} traces, at row {_image_row(lines[peak], pixels):.2f}"
    if peak in (0, len(lines) - 1):
        return Search(None, f"{place}, is at the end of the search, so that the spectrum may lie beyond")
    mean = np.where(seen, mean, 0.0)
    below, top, above = mean[peak - 1 : peak + 2].tolist()
    if min(below, top, above) < 0:
        return Search(None, f"{place}, or one beside it, is negative ({below:.4g}, {top:.4g}, {above:.4g})")
    bend = 2.0 * top - above - below
    if bend == 0:
        return Search(None, f"{place}, is as bright as those beside it ({top:.4g})")
    offset = peak - 0.5 * (below - above) / bend - maxsrch
    if not abs(offset) <= maxsrch:
        return Search(None, f"{place}, has no peak within the search")
    return Search(offset)


def mean_along_traces(
    sci: npt.NDArray[np.float32],
    dq: npt.NDArray[np.int16],
    traces: Traces,
    lines: npt.NDArray[np.float64],
    flags: int,
    pixels: PixelGrid,
    backend: Backend,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return the mean of the good pixels along the trace through each line, and whether there was any.

    Between two rows the image is interpolated linearly; a sample with a flagged pixel among the four round it is left
    out. Arguments as for `find_offset`.
    """
    xp = backend.xp
    rows, cols = sci.shape
    columns = np.trunc((np.arange(cols) - pixels.zero[0]) / pixels.ltm[0]).astype(np.intp)
    bent = (columns > 0) & (columns < traces.displacements.shape[1])  # not column 0: so does CalSTIS
    displacements = np.where(bent, traces.displacements[:, np.where(bent, columns, 0)], 0.0)
    on_image = _may_touch(lines, displacements, pixels, rows)

    # Column after column, so that sums run along the dispersion in CalSTIS's order and gathers stay local.
    image = xp.asarray(np.ascontiguousarray(sci.T), dtype=np.float32)
    bits = xp.asarray(np.ascontiguousarray(dq.T), dtype=np.int16)
    joined = bits.copy()
    joined[:-1] |= bits[1:]
    joined[-1] |= bits[-2]
    joined[:, :-1] |= joined[:, 1:].copy()
    joined[:, -1] = joined[:, -2]
    serious = np.array(flags & 0xFFFF, dtype=np.uint16).view(np.int16)[()]
    usable = ((joined & serious) == 0) & (joined != DQ_OUTSIDE)

    shape = xp.asarray(np.ascontiguousarray(displacements.T))
    mean, seen = np.zeros(len(lines)), np.zeros(len(lines), dtype=bool)
    chosen = np.flatnonzero(on_image)
    block = BLOCK_POSITIONS if xp is np else max(len(chosen), 1)
    start_of_column = xp.arange(cols, dtype=np.int32)[:, np.newaxis] * np.int32(rows)
    for start in range(0, len(chosen), block):
        at = chosen[start : start + block]
        y = _rows_of(lines[at], shape, traces, pixels, xp)
        inside = (y - 0.5 > -1) & (y + 0.5 < rows)
        y = xp.where(inside, y, 0.0)
        low = xp.minimum(y.astype(np.int32), np.int32(rows - 2))
        upper = (y - low).astype(np.float32)
        low += start_of_column
        inside &= usable.ravel()[low]
        value = (np.float32(1) - upper) * image.ravel()[low]
        value += upper * image.ravel()[low + np.int32(1)]
        total = xp.where(inside, value, np.float32(0)).sum(axis=0, dtype=np.float64)
        count = inside.sum(axis=0)
        mean[at] = backend.asnumpy(total / xp.maximum(count, 1))
        seen[at] = backend.asnumpy(count) > 0
    return mean, seen


def _lines(nominal: float, maxsrch: int) -> npt.NDArray[np.float64]:
    """Return the lines searched: whole steps, added one by one as CalSTIS does, up to the last one."""
    steps = np.ones(2 * maxsrch + 1)
    steps[0] = nominal - maxsrch
    lines = np.cumsum(steps)
    return lines[lines <= nominal + maxsrch]


def _rows_of(lines: npt.NDArray[np.float64], shape: Array, traces: Traces, pixels: PixelGrid, xp: Array) -> Array:
    """Return the image rows of traces: (columns, lines) float64; `shape` holds the displacements, column by column."""
    low, high, p = bracket(lines, traces.lines)
    p = xp.asarray(p)
    y = shape[:, xp.asarray(low)]
    if np.any(low != high):
        y *= xp.where(xp.asarray(low == high), 1.0, 1.0 - p)
        y += xp.where(xp.asarray(low == high), 0.0, p) * shape[:, xp.asarray(high)]
    y += xp.asarray(lines)
    if pixels.ltm[1] != 1:
        y *= pixels.ltm[1]
    if pixels.zero[1] != 0:
        y += pixels.zero[1]
    return y


def _may_touch(
    lines: npt.NDArray[np.float64], displacements: npt.NDArray[np.float64], pixels: PixelGrid, rows: int
) -> npt.NDArray[np.bool_]:
    """Tell which lines have traces that reach the image; with a pixel to spare."""
    low = (lines + displacements.min()) * pixels.ltm[1] + pixels.zero[1]
    high = (lines + displacements.max()) * pixels.ltm[1] + pixels.zero[1]
    touches: npt.NDArray[np.bool_] = (high > -2) & (low < rows + 1)
    return touches


def _image_row(line: float, pixels: PixelGrid) -> float:
    """Return the 1-based row of the image."""
    return line * pixels.ltm[1] + pixels.zero[1] + 1
