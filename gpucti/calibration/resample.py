"""Images resampled at positions between their pixels, as CalSTIS does it (``interp2d.c``).

Values are samples: surface brightness is kept, flux per pixel is not. Pixels are 0-based; the first coordinate, x, runs
along columns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from gpucti.backends.base import Array, Backend
from gpucti.detector import DQ_OUTSIDE, FULL_COLS, FULL_ROWS, nint
from gpucti.io.exposure import ImageSet
from gpucti.io.pixelgrid import PixelGrid

#: Output rows treated at a time: temporaries stay in the processor's cache.
BLOCK_ROWS = 32
#: Pixels of a block on a GPU.
BLOCK_PIXELS_GPU = 1 << 24

Planes = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.int16]]


def output_size(pixels: PixelGrid, size: tuple[int, int], shape: tuple[int, int]) -> tuple[int, int]:
    """Return columns and rows of a resampled image.

    Parameters
    ----------
    pixels : PixelGrid
        Of the image to be resampled.
    size : (columns, rows)
        For an unbinned full frame.
    shape : (rows, columns)
        Of the image to be resampled: what a subarray lacks is taken off.
    """
    sizes = []
    for number, step, have, full in zip(size, pixels.ltm, shape[::-1], (FULL_COLS, FULL_ROWS), strict=True):
        sizes.append(nint(number * step) - max(nint(full * step) - have, 0))
    return sizes[0], sizes[1]


def resample(
    imset: ImageSet,
    pixels: PixelGrid,
    shape: tuple[int, int],
    locate: Callable[[npt.NDArray[np.float64]], tuple[Array, Array]],
    backend: Backend,
) -> Planes:
    """Return SCI, ERR and DQ of a resampled image, computed a block of rows at a time.

    Parameters
    ----------
    imset : ImageSet
        The image.
    pixels : PixelGrid
        Where its pixels lie on the detector.
    shape : (rows, columns)
        Of the result.
    locate : callable
        Is given some rows of the result, (n,) float64; returns x and y of their pixels, (n, columns) float64 each: in
        unbinned pixels of the full frame, in the memory of the backend.
    backend : Backend
        Computes.
    """
    xp = backend.xp
    sci, err, dq = (
        xp.asarray(np.ascontiguousarray(plane), dtype=dtype)
        for plane, dtype in ((imset.sci, np.float32), (imset.err, np.float32), (imset.dq, np.int16))
    )
    (m1, m2), (v1, v2) = pixels.ltm, pixels.zero
    rows, columns = shape
    block = BLOCK_ROWS if xp is np else max(BLOCK_PIXELS_GPU // columns, 1)
    out = [np.empty(shape, dtype=dtype) for dtype in (np.float32, np.float32, np.int16)]
    for start in range(0, rows, block):
        stop = min(start + block, rows)
        x, y = locate(np.arange(start, stop, dtype=np.float64))
        made = interpolate_images(sci, err, dq, x * m1 + v1, y * m2 + v2, xp)
        for target, result in zip(out, made, strict=True):
            target[start:stop] = backend.asnumpy(result)
    return out[0], out[1], out[2]


def interpolate_images(
    sci: Array, err: Array, dq: Array, x: Array, y: Array, xp: Any = np
) -> tuple[Array, Array, Array]:
    """Interpolate linearly between the four nearest pixels, as CalSTIS does (Interp2D).

    In the outer half pixel of the image the line is continued; farther out SCI and ERR are 0 and DQ is `DQ_OUTSIDE`.
    Flagged pixels count in full. The weights act on the variance linearly, so that resampled noise looks as large as
    it was. SCI and ERR are computed in float32, in CalSTIS's order.

    Parameters
    ----------
    sci, err : (rows, cols) float32
        The image.
    dq : (rows, cols) int16
        Data-quality bits; those of the four pixels are joined.
    x, y : float64, any shape
        Positions, 0-based column and row.
    xp : module
        NumPy or CuPy, whose arrays these are.
    """
    rows, cols = sci.shape
    # The nearest pixel lies in the image: nint(x) in 0 .. cols - 1.
    inside = (x - 0.5 > -1) & (x + 0.5 < cols) & (y - 0.5 > -1) & (y + 0.5 < rows)
    x, y = xp.where(inside, x, 0.0), xp.where(inside, y, 0.0)
    left = xp.minimum(x.astype(np.int32), cols - 2)  # astype rounds towards zero, so never below 0 here
    low = xp.minimum(y.astype(np.int32), rows - 2)
    q, s = (x - left).astype(np.float32), (y - low).astype(np.float32)
    p, r = 1 - q, 1 - s
    corner = low * np.int32(cols) + left
    value: Any = None
    variance: Any = None
    bits: Any = None
    for weight, step in ((p * r, 0), (q * r, 1), (p * s, cols), (q * s, cols + 1)):
        at = corner + np.int32(step)
        error = err.ravel()[at]
        terms = weight * sci.ravel()[at], (weight * error) * error, dq.ravel()[at]
        if value is None:
            value, variance, bits = terms
        else:
            value += terms[0]
            variance += terms[1]
            bits |= terms[2]
    variance = xp.where(inside & (variance > 0), variance, np.float32(0))
    return (
        xp.where(inside, value, np.float32(0)),
        xp.sqrt(variance),
        xp.where(inside, bits, np.int16(DQ_OUTSIDE)),
    )
