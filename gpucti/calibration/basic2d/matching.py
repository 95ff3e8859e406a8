"""Pixel coordinates, and how a reference image is cut and binned to match an exposure.

Source: CalSTIS 3.5.0, `FindBin`, `bin2d`, `BinCoords`. Pairs are (x, y), that is columns before rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from astropy.io import fits

from gpucti.calibration.basic2d.arithmetic import Pixels
from gpucti.calibration.refdata import ReferenceImage
from gpucti.calibration.reffiles import stored_double
from gpucti.errors import ReferenceFileError
from gpucti.io.cards import Cards
from gpucti.io.pixelgrid import PixelGrid


class Match(NamedTuple):
    """How a reference image compares with an image.

    Attributes
    ----------
    same : bool
        It can be used as it is.
    coarser : bool
        Its pixels are larger than those of the image: it cannot be used (but for a low-order flat).
    ratio : (x, y)
        Reference pixels per image pixel; the inverse where it is coarser.
    start : (x, y)
        Reference pixel, 0-based, where the image begins.
    """

    same: bool
    coarser: bool
    ratio: tuple[int, int]
    start: tuple[int, int]


def find_match(grid: PixelGrid, shape: tuple[int, int], ref: PixelGrid, ref_shape: tuple[int, int]) -> Match | None:
    """Return how a reference image compares with an image of (rows, cols); None if the pixel sizes do not fit."""
    if (grid.corner, grid.bin, shape) == (ref.corner, ref.bin, ref_shape):
        return Match(True, False, (1, 1), (0, 0))
    if ref.bin[0] > grid.bin[0] or ref.bin[1] > grid.bin[1]:
        return Match(False, True, (ref.bin[0] // grid.bin[0], ref.bin[1] // grid.bin[1]), (0, 0))
    if grid.bin[0] % ref.bin[0] or grid.bin[1] % ref.bin[1]:
        return None
    start = tuple(math.trunc((grid.corner[k] - ref.corner[k]) / ref.bin[k]) for k in range(2))
    return Match(False, False, (grid.bin[0] // ref.bin[0], grid.bin[1] // ref.bin[1]), (start[0], start[1]))


def bin2d(
    image: Pixels, start: tuple[int, int], ratio: tuple[int, int], shape: tuple[int, int], *, average: bool
) -> Pixels:
    """Return (rows, cols) blocks of an image, summed or averaged; data quality combined.

    Sums are float32 and run along the rows of each block. The region must lie inside the image.
    """
    (x0, y0), (bx, by), (rows, cols) = start, ratio, shape
    if ratio == (1, 1):
        return Pixels(*(array[y0 : y0 + rows, x0 : x0 + cols] for array in image))
    sci, squares = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    dq = np.zeros(shape, np.int16)
    for y in range(y0, y0 + by):
        for x in range(x0, x0 + bx):
            place = np.s_[y : y + rows * by : by, x : x + cols * bx : bx]
            sci += image.sci[place]
            squares += image.err[place] * image.err[place]
            dq |= image.dq[place]
    if average:
        weight = np.float32(bx * by)
        return Pixels(sci / weight, (np.sqrt(squares, dtype=np.float64) / weight).astype(np.float32), dq)
    return Pixels(sci, np.sqrt(squares), dq)


def matched(
    reference: Pixels, ref: PixelGrid, grid: PixelGrid, shape: tuple[int, int], *, average: bool, where: str
) -> Pixels | None:
    """Return a reference image cut and binned to an image of (rows, cols); None if its pixels are larger.

    Raises
    ------
    ReferenceFileError
        It does not cover the image.
    """
    rows, cols = reference.sci.shape
    match = find_match(grid, shape, ref, (rows, cols))
    if match is not None and match.same:
        return reference
    if match is not None and match.coarser:
        return None
    ends = [] if match is None else [match.start[k] + shape[1 - k] * match.ratio[k] for k in range(2)]
    if match is None or min(match.start) < 0 or ends[0] > cols or ends[1] > rows:
        raise ReferenceFileError(
            f"{cols} x {rows} pixels (columns x rows) binned {ref.bin}, from {ref.corner} on, do not cover "
            f"an image of {shape[1]} x {shape[0]} binned {grid.bin}, from {grid.corner} on; use the reference file "
            "for this mode (an image with overscan needs BLEVCORR first)",
            where=where,
        )
    return bin2d(reference, match.start, match.ratio, shape, average=average)


def image_grid(image: ReferenceImage) -> PixelGrid:
    """Return where the pixels of a reference image lie."""
    return PixelGrid.of(image.sci_cards)


def image_pixels(image: ReferenceImage) -> Pixels:
    """Return the arrays of a reference image, which must not be written to."""
    return Pixels(image.sci, image.err, image.dq)


def shift_coordinates(old: Cards, headers: Sequence[fits.Header], offset: tuple[int, int]) -> None:
    """Write the coordinates of an image that begins at `offset` (x, y) of the old one into all headers."""
    grid = PixelGrid.of(old)
    new: dict[str, float] = {}
    for k in range(2):
        axis = k + 1
        new[f"CRPIX{axis}"] = old.number(f"CRPIX{axis}", default=0) - offset[k]
        new[f"CD1_{axis}"] = old.number(f"CD1_{axis}", default=float(axis == 1))
        new[f"CD2_{axis}"] = old.number(f"CD2_{axis}", default=float(axis == 2))
        new[f"LTV{axis}"] = grid.ltv[k] - offset[k]
        new[f"LTM{axis}_{axis}"] = grid.ltm[k]
    for header in headers:
        for name, value in new.items():
            header[name] = stored_double(value)
