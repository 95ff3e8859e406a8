"""Interpolation between pixels, and the size of what is resampled."""

from __future__ import annotations

import math

import numpy as np
import pytest
from astropy.io import fits

from gpucti.backends.base import Backend
from gpucti.calibration.resample import interpolate_images, output_size
from gpucti.io.cards import Cards
from gpucti.io.pixelgrid import PixelGrid

ROWS, COLS = 30, 24


def loop(sci: np.ndarray, err: np.ndarray, dq: np.ndarray, x: float, y: float) -> tuple[np.float32, np.float32, int]:
    """Interpolate at one place, word by word as CalSTIS's Interp2D is described."""
    rows, cols = sci.shape
    nearest = [math.trunc(p + 0.5) if p >= 0 else math.trunc(p - 0.5) for p in (x, y)]
    if not (0 <= nearest[0] < cols and 0 <= nearest[1] < rows):
        return np.float32(0), np.float32(0), 4
    i, j = min(max(math.trunc(x), 0), cols - 2), min(max(math.trunc(y), 0), rows - 2)
    q, s = np.float32(x - i), np.float32(y - j)
    p, r = np.float32(1) - q, np.float32(1) - s
    value = variance = np.float32(0)
    bits = 0
    for weight, at in ((p * r, (j, i)), (q * r, (j, i + 1)), (p * s, (j + 1, i)), (q * s, (j + 1, i + 1))):
        value = np.float32(value + weight * sci[at])
        variance = np.float32(variance + (weight * err[at]) * err[at])
        bits |= int(dq[at])
    return value, np.sqrt(variance) if variance > 0 else np.float32(0), bits


def test_interpolation(rng: np.random.Generator, backend: Backend) -> None:
    """Oracle: the rules one pixel at a time, to the bit, also at edges, where roundings change and far outside."""
    shape = (ROWS, COLS)
    sci, err = rng.normal(100, 30, shape).astype(np.float32), rng.uniform(1, 9, shape).astype(np.float32)
    dq = (1 << rng.integers(0, 14, shape)).astype(np.int16)
    edges = [-0.5, np.nextafter(-0.5, 0), -0.25, 0.0, 0.5, 1.0, -1e12, 1e12, np.inf, np.nan]
    for size in (COLS, ROWS):
        edges += [size - 2.0, size - 1.5, size - 1.0, size - 0.5, np.nextafter(size - 0.5, 0), float(size)]
    x = np.concatenate([np.repeat(edges, len(edges)), rng.uniform(-1, COLS, 2000)])
    y = np.concatenate([np.tile(edges, len(edges)), rng.uniform(-1, ROWS, 2000)])
    xp = backend.xp
    made = interpolate_images(*(xp.asarray(array) for array in (sci, err, dq, x, y)), xp)
    finite = np.isfinite(x) & np.isfinite(y)
    expected = [
        loop(sci, err, dq, *place) if good else (0, 0, 4)
        for *place, good in zip(x.tolist(), y.tolist(), finite, strict=True)
    ]
    for array, values in zip(made, zip(*expected, strict=True), strict=True):
        assert np.array_equal(backend.asnumpy(array), values)


@pytest.mark.parametrize(
    ("binning", "shape", "size"),
    [
        (1, (1024, 1024), (1030, 1020)),
        (2, (512, 512), (515, 510)),
        (1, (500, 1024), (1030, 496)),
        (2, (512, 300), (303, 510)),
    ],
)
def test_size(binning: int, shape: tuple[int, int], size: tuple[int, int]) -> None:
    """Oracle: by hand: CXSIZE, CYSIZE over the binning, less what the image lacks of the full frame."""
    header = fits.Header({"LTM1_1": 1 / binning, "LTM2_2": 1 / binning, "LTV1": 0.0, "LTV2": 0.0})
    assert output_size(PixelGrid.of(Cards(header, "here")), (1030, 1020), shape) == size
