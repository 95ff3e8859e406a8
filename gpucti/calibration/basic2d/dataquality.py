"""DQICORR: saturation, regions outside the field of view, and the pixels of the bad-pixel table.

Source: CalSTIS 3.5.0, `doDQI`, `FlagFilter`. Masks are made on the host, for untrimmed frames as for trimmed ones.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gpucti.backends.base import Array
from gpucti.calibration.base import Trailer
from gpucti.calibration.refdata import ANY_TEXT, ReferenceTable
from gpucti.detector import DQ_OUTSIDE, DQ_SATURATED, FULL_COLS, FULL_ROWS, nint
from gpucti.errors import ReferenceFileError
from gpucti.io.cards import Cards
from gpucti.io.pixelgrid import PixelGrid

#: Heights of a field of view, arcsec, that leave parts of the detector dark.
SHORTEST, LONGEST = 5.0, 45.0
#: Detector pixels that the field of view may be off by.
BORDER = 10
_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)")
#: Offsets tolerated when bins are compared with the edges of the detector, pixels.
_EDGE = 0.001

Mask = npt.NDArray[np.int16]


def flag_saturation(sci: Array, dq: Array, saturate: np.float32, xp: Any = np) -> Array:
    """Return `dq` with bit 256 where SCI, cut to a whole number, is above `saturate` counts."""
    full = xp.trunc(sci) > saturate
    return dq | full.astype(np.int16) * np.int16(DQ_SATURATED) if full.any() else dq


@dataclass(frozen=True)
class FieldOfView:
    """The part of the detector that light falls on through an aperture, in the middle of the frame.

    Attributes
    ----------
    half_width, half_height : float
        Detector pixels from the middle, with a border for errors of pointing.
    imaging : bool
        The width matters too; a spectrum reaches beyond the aperture.
    """

    half_width: float
    half_height: float
    imaging: bool


def read_field_of_view(primary: Cards, sci: Cards, grid: PixelGrid, trailer: Trailer) -> FieldOfView | None:
    """Return the field of view of an exposure (APER_FOV), or None if it is the whole detector or is not known."""
    if primary.text("TARGNAME", default="") in ("BIAS", "DARK"):
        return None
    field = primary.text("APER_FOV", default="")
    height, width = _height_and_width(field)
    if not height or not width:
        trailer.say(f"DQICORR: APER_FOV is {field!r}, no HEIGHTxWIDTH; nothing flagged outside the aperture")
        return None
    if not SHORTEST <= height <= LONGEST:
        return None
    obstype = primary.text("OBSTYPE", default="")
    cd = {
        name: float(sci.number(name, default=float(name in ("CD1_1", "CD2_2"))))
        for name in ("CD1_1", "CD1_2", "CD2_1", "CD2_2")
    }
    if obstype == "IMAGING":
        steps = (
            math.sqrt(cd["CD1_1"] * cd["CD1_1"] + cd["CD2_1"] * cd["CD2_1"]),
            math.sqrt(cd["CD1_2"] * cd["CD1_2"] + cd["CD2_2"] * cd["CD2_2"]),
        )
    elif obstype == "SPECTROSCOPIC":
        along = sci.whole("DISPAXIS", default=1)
        steps = (cd["CD2_2"],) * 2 if along == 1 else (cd["CD1_1"],) * 2
    else:
        steps = (0.0, 0.0)
    scales = tuple(abs(step * m) * 3600.0 for step, m in zip(steps, grid.ltm, strict=True))
    if not all(scales):
        trailer.say("DQICORR: no pixel scale (OBSTYPE, CD matrix); nothing flagged outside the aperture")
        return None
    return FieldOfView(width / scales[0] / 2 + BORDER, height / scales[1] / 2 + BORDER, obstype == "IMAGING")


def _height_and_width(text: str) -> tuple[float, float]:
    """Return height and width of an APER_FOV such as ``28x50``, zero for what cannot be read."""
    height = _NUMBER.match(text)
    width = _NUMBER.match(text, height.end() + 1) if height else None
    return (float(height[1]) if height else 0.0), (float(width[1]) if width else 0.0)


def flag_outside(mask: Mask, field: FieldOfView, grid: PixelGrid, trailer: Trailer) -> None:
    """Set bit 4 in `mask` (rows, cols) where the detector lies outside the field of view; overscan is left alone."""
    rows, cols = mask.shape
    (xm, ym), (x0, y0) = grid.ltm, grid.zero
    x_middle, y_middle = FULL_COLS / 2, FULL_ROWS / 2
    left, right = nint((x_middle - field.half_width) * xm + x0), nint((x_middle + field.half_width) * xm + x0)
    low, high = nint((y_middle - field.half_height) * ym + y0), nint((y_middle + field.half_height) * ym + y0)
    if low > rows - 1 or high < 0 or (field.imaging and (left > cols - 1 or right < 0)):
        trailer.say("DQICORR: the image lies outside the aperture; nothing flagged there")
        return
    # the detector, then the field of view, both cut to the image
    det_left, det_right = max(nint(x0), 0), min(nint((FULL_COLS - 1.0) * xm + x0), cols - 1)
    det_low, det_high = max(nint(y0), 0), min(nint((FULL_ROWS - 1.0) * ym + y0), rows - 1)
    left, right, low, high = max(left, 0), min(right, cols - 1), max(low, 0), min(high, rows - 1)
    regions = [(det_low, low - 1, det_left, det_right), (high + 1, det_high, det_left, det_right)]
    if field.imaging:
        regions += [(low, high, det_left, left - 1), (low, high, right + 1, det_right)]
    for bottom, top, first, last in regions:
        if bottom <= top and first <= last:
            mask[bottom : top + 1, first : last + 1] |= DQ_OUTSIDE


@dataclass(frozen=True)
class BadPixels:
    """The runs of bad pixels of a BPIXTAB that hold for one optical element.

    Attributes
    ----------
    x, y : (n,) int64
        First pixel, 0-based detector coordinates.
    length : (n,) int64
        Pixels in the run.
    along_x : (n,) bool
        The run goes along x; else along y.
    value : (n,) int16
        Bits.
    size : (x, y)
        Of the frame that the table is for.
    ignored : int
        Rows whose first pixel lies outside that frame.
    """

    x: npt.NDArray[np.int64]
    y: npt.NDArray[np.int64]
    length: npt.NDArray[np.int64]
    along_x: npt.NDArray[np.bool_]
    value: Mask
    size: tuple[int, int]
    ignored: int


def read_bad_pixels(table: ReferenceTable, opt_elem: str) -> BadPixels:
    """Return what a BPIXTAB says for an optical element; raise `ReferenceFileError` if it cannot be used."""
    columns = {name: _integers(table, name) for name in ("PIX1", "PIX2", "LENGTH", "AXIS", "VALUE")}
    size = tuple(table.header.get(name) for name in ("SIZAXIS1", "SIZAXIS2"))
    if not all(isinstance(n, int) and not isinstance(n, bool) and 0 < n <= 2**14 for n in size):
        raise ReferenceFileError(
            f"SIZAXIS1, SIZAXIS2 are {size}; expected the size of the frame", where=f"{table.path}[1]"
        )
    for name, bad, allowed in (
        ("AXIS", (columns["AXIS"] != 1) & (columns["AXIS"] != 2), "1 or 2"),
        ("LENGTH", columns["LENGTH"] <= 0, "above 0"),
        ("VALUE", np.abs(columns["VALUE"] + 0.5) > 2**15, "data-quality bits, 16-bit integers"),
    ):
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise ReferenceFileError(
                f"{name} of row {row + 1} is {columns[name][row]}; expected {allowed}", where=table.path
            )
    x, y = columns["PIX1"] - 1, columns["PIX2"] - 1
    chosen = np.ones(table.n_rows, dtype=bool)
    if table.has("OPT_ELEM"):
        elements = table.column("OPT_ELEM")
        chosen = (elements == ANY_TEXT) | (elements == opt_elem)
    inside = (x >= 0) & (x < size[0]) & (y >= 0) & (y < size[1])
    ignored, chosen = int(np.count_nonzero(chosen & ~inside)), chosen & inside
    return BadPixels(
        x[chosen],
        y[chosen],
        columns["LENGTH"][chosen],
        columns["AXIS"][chosen] == 1,
        columns["VALUE"][chosen].astype(np.int16),
        (int(size[0]), int(size[1])),
        ignored,
    )


def _integers(table: ReferenceTable, name: str) -> npt.NDArray[np.int64]:
    cells = table.column(name)
    if cells.dtype.kind not in "iu" or cells.ndim != 1:
        raise ReferenceFileError(f"{name} holds {cells.dtype}; expected integers", where=table.path)
    return cells.astype(np.int64)


def flag_bad_pixels(mask: Mask, bad: BadPixels, grid: PixelGrid) -> None:
    """Set the bits of the bad-pixel table in `mask` (rows, cols)."""
    if grid.bin == (1, 1):
        _flag_runs(mask, bad, grid.zero)
        return
    frame: Mask = np.zeros((bad.size[1], bad.size[0]), np.int16)
    _flag_runs(frame, bad, (0.0, 0.0))
    along_x, along_y = (_whole_bins(grid.ltm[k], grid.zero[k], mask.shape[1 - k], bad.size[k]) for k in range(2))
    if along_x is None or along_y is None:
        return
    (x_first, x_count, x_start), (y_first, y_count, y_start) = along_x, along_y
    part = mask[y_first : y_first + y_count, x_first : x_first + x_count]
    bx, by = grid.bin
    for y in range(y_start, y_start + by):
        for x in range(x_start, x_start + bx):
            part |= frame[y : y + y_count * by : by, x : x + x_count * bx : bx]


def _flag_runs(mask: Mask, bad: BadPixels, zero: tuple[float, float]) -> None:
    rows, cols = mask.shape
    xs, ys = np.trunc(bad.x + zero[0]).astype(int).tolist(), np.trunc(bad.y + zero[1]).astype(int).tolist()
    for x, y, n, along_x, value in zip(xs, ys, bad.length.tolist(), bad.along_x.tolist(), bad.value, strict=True):
        if along_x and 0 <= y < rows:
            mask[y, max(x, 0) : max(x + n, 0)] |= value
        elif not along_x and 0 <= x < cols:
            mask[max(y, 0) : max(y + n, 0), x] |= value


def _whole_bins(step: float, zero: float, size: int, full: int) -> tuple[int, int, int] | None:
    """Return first image pixel that lies wholly in the full frame, how many do, and the frame pixel they begin at."""
    lower = (np.arange(size) - 0.5 - zero) / step
    upper = (np.arange(size) + 0.5 - zero) / step
    inside = np.flatnonzero((lower + _EDGE >= -0.5) & (upper - _EDGE <= full - 1.0 + 0.5))
    if not len(inside):
        return None
    first, count, start, width = int(inside[0]), len(inside), nint(float(lower[inside[0]]) + 0.5), nint(1 / step)
    return first, min(count, (full - start) // width), start
