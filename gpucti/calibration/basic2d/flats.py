"""FLATCORR: the product of pixel, delta and low-order flats, the last one interpolated.

Source: CalSTIS 3.5.0, `doFlat`, `unbin2d`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gpucti.calibration.basic2d.arithmetic import Pixels, multiply
from gpucti.calibration.basic2d.matching import find_match, image_grid, image_pixels, matched
from gpucti.calibration.refdata import LARGEST, ReferenceImage
from gpucti.errors import ReferenceFileError
from gpucti.io.pixelgrid import PixelGrid

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]


@dataclass
class FlatField:
    """The flats of an exposure; any but not all may be missing.

    Attributes
    ----------
    pixel, delta, low : ReferenceImage or None
        PFLTFILE, DFLTFILE, LFLTFILE.
    strict : bool
        Data quality of the low-order flat as CalSTIS takes it: all rows from those of the last row.
    """

    pixel: ReferenceImage | None
    delta: ReferenceImage | None
    low: ReferenceImage | None
    strict: bool = False
    _product: tuple[Pixels, PixelGrid] | None = None

    def matched(self, grid: PixelGrid, shape: tuple[int, int]) -> Pixels:
        """Return the product of all flats for an image of (rows, cols).

        Raises
        ------
        ReferenceFileError
            The flats do not fit each other, or do not cover the image.
        """
        if self._product is None:
            self._product = self._multiply(grid, shape)
        product, flat_grid = self._product
        flat = matched(product, flat_grid, grid, shape, average=True, where=self._name)
        if flat is None:
            raise ReferenceFileError(f"binned {flat_grid.bin}, coarser than the image's {grid.bin}", where=self._name)
        return flat

    @property
    def _name(self) -> str:
        return ", ".join(str(image.path) for image in (self.pixel, self.delta, self.low) if image)

    def _multiply(self, grid: PixelGrid, shape: tuple[int, int]) -> tuple[Pixels, PixelGrid]:
        fine = [image for image in (self.pixel, self.delta) if image]
        low = self.low
        if not fine:
            if low is None:
                raise ReferenceFileError("FLATCORR: no flat field")
            coarse = image_grid(low)
            match = find_match(grid, shape, coarse, low.sci.shape)
            rx, ry = match.ratio if match else (1, 1)
            rows, cols = low.sci.shape
            expanded = self._expand(low, (rows * ry, cols * rx))
            ltm = (coarse.ltm[0] * rx, coarse.ltm[1] * ry)
            ltv = tuple((v + (1 / r - 1) / 2) * r for v, r in zip(coarse.ltv, (rx, ry), strict=True))
            return expanded, PixelGrid(ltm, (ltv[0], ltv[1]))
        product = image_pixels(fine[0])
        if len(fine) == 2:
            if fine[0].sci.shape != fine[1].sci.shape:
                raise ReferenceFileError(
                    f"{fine[1].sci.shape} pixels (rows, columns); expected {fine[0].sci.shape} as in "
                    f"{fine[0].path.name}",
                    where=fine[1].path,
                )
            product = multiply(product, image_pixels(fine[1]))
        if low:
            product = multiply(product, self._expand(low, product.sci.shape))
        return product, image_grid(fine[0])

    def _expand(self, low: ReferenceImage, shape: tuple[int, int]) -> Pixels:
        try:
            return unbin2d(image_pixels(low), shape, strict=self.strict)
        except ReferenceFileError as error:
            raise error.at(low.path) from error


def unbin2d(image: Pixels, shape: tuple[int, int], *, strict: bool = False) -> Pixels:
    """Return an image expanded to (rows, cols) by linear interpolation, at the borders extrapolation.

    Squared errors are interpolated like SCI and may come out below zero at the borders: NaN. Data quality is
    combined from the pixels on both sides.

    Parameters
    ----------
    image : Pixels
        (rows / by, cols / bx).
    shape : (rows, cols)
        Whole multiples of the input's.
    strict : bool
        Where both axes expand, take data quality in every row from the input rows of the last one (CalSTIS).

    Raises
    ------
    ReferenceFileError
        The shape is no multiple, or one pixel would have to be expanded.
    """
    small = image.sci.shape
    by, bx = (n // m for n, m in zip(shape, small, strict=True))
    if max(shape) > LARGEST or by < 1 or bx < 1 or (by * small[0], bx * small[1]) != shape:
        raise ReferenceFileError(
            f"{small} pixels (rows, columns) cannot be expanded to {shape}; expected a whole fraction of the image"
        )
    if (by > 1 and small[0] < 2) or (bx > 1 and small[1] < 2):
        raise ReferenceFileError(
            f"{small} pixels (rows, columns) are too few to interpolate; expected 2 or more each way"
        )
    if (by, bx) == (1, 1):
        return image
    y, x = _positions(shape[0], by), _positions(shape[1], bx)
    with np.errstate(all="ignore"):
        sci = _interpolate(image.sci, y, x)
        err = np.sqrt(_interpolate(image.err, y, x, squared=True))
    y_quality = np.full_like(y, y[-1]) if strict and y is not None and x is not None else y
    return Pixels(sci, err, _combine(image.dq, y_quality, x))


def _positions(size: int, block: int) -> Floats | None:
    """Return where output pixels lie on the input, float32; None where an axis does not expand."""
    if block == 1:
        return None
    return (np.arange(size, dtype=np.float32) - np.float32(block - 1) / np.float32(2)) / np.float32(block)


def _weights(positions: Floats, size: int) -> tuple[Indices, Floats, Floats]:
    low = np.clip(np.trunc(positions).astype(np.int64), 0, size - 2)
    upper = positions - low.astype(np.float32)
    return low, np.float32(1) - upper, upper


def _interpolate(a: Floats, y: Floats | None, x: Floats | None, *, squared: bool = False) -> Floats:
    """Return weighted sums of the neighbours; of their squares, each weight times value times value, if `squared`."""
    corners: list[tuple[Any, Floats]] = []
    if x is None and y is not None:
        j, r, s = _weights(y, a.shape[0])
        corners = [(a[j], r[:, None]), (a[j + 1], s[:, None])]
    elif y is None and x is not None:
        i, p, q = _weights(x, a.shape[1])
        corners = [(a[:, i], p), (a[:, i + 1], q)]
    elif x is not None and y is not None:
        (i, p, q), (j, r, s) = _weights(x, a.shape[1]), _weights(y, a.shape[0])
        below, above = a[j], a[j + 1]
        corners = [
            (below[:, i], p * r[:, None]),
            (below[:, i + 1], q * r[:, None]),
            (above[:, i], p * s[:, None]),
            (above[:, i + 1], q * s[:, None]),
        ]
    total: Any = None
    for value, weight in corners:
        term = weight * value
        if squared:
            term *= value
        total = term if total is None else total + term
    result: Floats = total
    return result


def _combine(dq: npt.NDArray[np.int16], y: Floats | None, x: Floats | None) -> npt.NDArray[np.int16]:
    """Return the data quality of the input pixels on both sides of each output pixel."""
    for axis, positions in ((0, y), (1, x)):
        if positions is None:
            continue
        last = dq.shape[axis] - 1
        low = np.trunc(positions).astype(np.int64)
        single = (positions == low) | (low <= 0) | (low >= last)
        low = np.clip(low, 0, last)
        dq = dq.take(low, axis) | dq.take(np.where(single, low, np.minimum(low + 1, last)), axis)
    return dq
