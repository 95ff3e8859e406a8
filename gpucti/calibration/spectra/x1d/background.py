"""The background of an extracted spectrum: from two boxes beside it, a mean or a line per column, then smoothed.

The rules are CalSTIS's (``cs6``: background.c). Rows and columns are 0-based.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gpucti.calibration.resample import interpolate_images
from gpucti.detector import DQ_BACKGROUND, DQ_OUTSIDE
from gpucti.io.pixelgrid import PixelGrid

Vector = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]

#: The background of a column is uncertain if more than this share of the samples was left out.
BAD_SHARE = np.float32(0.33333)
#: Samples farther than this from the fit, in units of their scatter, are left out; rounds of that at most.
CLIP = 3.0
MAX_ROUNDS = 5
#: A scatter so large that nothing is left out in the first round.
NO_CLIPPING = np.finfo(np.float64).max / 3.1
#: The running median of column i covers columns i - 5 to i + 4.
MEDIAN_BEFORE, MEDIAN_AFTER = 5, 4
#: Columns at the left end, and one more than those at the right end, that keep the median: no polynomial there.
MARGIN = 10


@dataclass(frozen=True, eq=False)
class Background:
    """Counts per pixel across the dispersion, one line ``value[0] + value[1] * row`` for each column of the image.

    Attributes
    ----------
    value : (2, cols) float64
        Constant, and slope per image row.
    variance : (2, cols) float64
        Variance of the constant, and what has to be multiplied by the square of the row.
    dq : (cols,) int16
        `DQ_BACKGROUND` or 0.
    """

    value: Vector
    variance: Vector
    dq: npt.NDArray[np.int16]

    @classmethod
    def none(cls, cols: int) -> Background:
        """Return a background of zero."""
        return cls(np.zeros((2, cols)), np.zeros((2, cols)), np.zeros(cols, dtype=np.int16))


def fit_background(
    sci: Floats,
    dq: npt.NDArray[np.int16],
    centre: Vector,
    size: tuple[float, float],
    offset: tuple[float, float],
    tilt: Vector,
    order: int,
    pixels: PixelGrid,
) -> Background:
    """Fit the background of each column to the samples of two boxes.

    Samples are taken at whole steps through each box; those with a pixel outside the aperture or the image
    (bit `DQ_OUTSIDE`) are left out, other flags do not matter.

    Parameters
    ----------
    sci : (rows, cols) float32
        Counts.
    dq : (rows, cols) int16
        Data-quality bits.
    centre : (cols,) float64
        Row of the spectrum, unbinned pixels of the full frame.
    size, offset : (float, float)
        Heights of the boxes, and their distances from the spectrum, unbinned pixels.
    tilt : (cols,) float64
        Of the boxes, degrees.
    order : int
        0 fits a mean, 1 a line.
    pixels : PixelGrid
        Where the image lies on the detector.
    """
    cols = sci.shape[1]
    value, flags, rows = _samples(sci, dq, centre, size, offset, tilt, pixels)
    if not len(value):
        return Background.none(cols)
    good = (flags & DQ_OUTSIDE) == 0
    outside = (~good).sum(axis=0)
    values, squares = value.astype(np.float64), (value * value).astype(np.float64)

    fit, variance = np.zeros((2, cols)), np.zeros((2, cols))
    bad = np.zeros(cols, dtype=bool)
    sigma = np.full(cols, NO_CLIPPING)
    active = np.ones(cols, dtype=bool)
    for turn in range(1, MAX_ROUNDS + 1):
        residual = np.abs(values - (fit[0] + fit[1] * rows))
        kept = good & (residual <= CLIP * sigma)
        n = kept.sum(axis=0).astype(np.float64)
        clipped = (good & ~kept).sum(axis=0)
        sums = [_total(term, kept) for term in (rows, values, rows * rows, rows * values, squares)]
        new_fit, new_variance = _line(n, *sums) if order == 1 else _mean(n, *sums)
        fit = np.where(active, new_fit, fit)
        variance = np.where(active, new_variance, variance)
        share = (outside + clipped).astype(np.float32) / np.float32(len(value))
        bad = np.where(active, share > BAD_SHARE, bad)
        scatter = np.sqrt(_total(residual * residual, kept) / np.maximum(n - 1.0, 1.0))
        active = active & (n > 1) & ((clipped > 0) | (turn == 1))
        sigma = np.where(active, scatter, sigma)
        if not active.any():
            break
    return Background(fit, variance, np.where(bad, DQ_BACKGROUND, 0).astype(np.int16))


def _samples(
    sci: Floats,
    dq: npt.NDArray[np.int16],
    centre: Vector,
    size: tuple[float, float],
    offset: tuple[float, float],
    tilt: Vector,
    pixels: PixelGrid,
) -> tuple[Floats, npt.NDArray[np.int16], Vector]:
    """Return values, flags and image rows of the samples in both boxes: (samples, cols) each.

    CalSTIS takes sizes and offsets in unbinned pixels, but steps through the box in image pixels; so does this.
    """
    (mx, my), (vx, vy) = pixels.ltm, pixels.zero
    angle = tilt / 180.0 * np.pi
    sine, cosine = np.sin(angle), np.cos(angle)
    column = (np.arange(sci.shape[1]) - vx) / mx
    xs: list[Vector] = []
    ys: list[Vector] = []
    for length, distance in zip(size, offset, strict=True):
        half = length / 2.0
        x = ((column + distance * sine) - half * sine) * mx + vx
        y = ((centre + distance * cosine) - half * cosine + 0.5) * my + vy
        for _ in range(int(length + 0.5)):
            xs.append(x)
            ys.append(y)
            x, y = x + sine, y + cosine
    if not xs:
        nothing = np.zeros((0, sci.shape[1]))
        return nothing.astype(np.float32), nothing.astype(np.int16), nothing
    rows = np.array(ys)
    value, _, flags = interpolate_images(sci, np.broadcast_to(np.float32(0), sci.shape), dq, np.array(xs), rows)
    return value, flags, rows


def _total(terms: Vector, kept: npt.NDArray[np.bool_]) -> Vector:
    """Return the sum of the samples that are kept, added one after the other."""
    total: Vector = np.where(kept, terms, 0.0).sum(axis=0)
    return total


def _mean(n: Vector, x: Vector, y: Vector, xx: Vector, xy: Vector, yy: Vector) -> tuple[Vector, Vector]:
    """Return the mean, with a slope of zero, and its sample variance; zero without samples."""
    some = np.maximum(n, 1.0)
    zero = np.zeros_like(y)
    variance = np.where(n > 1, (yy - y * y / some) / np.maximum(n - 1.0, 1.0), 0.0)
    return np.array([y / some, zero]), np.array([variance, zero])


def _line(n: Vector, x: Vector, y: Vector, xx: Vector, xy: Vector, yy: Vector) -> tuple[Vector, Vector]:
    """Return constant and slope of the straight line of least squares, and their variances; zero if undetermined."""
    determinant = n * xx - x * x
    solved = np.abs(determinant) > 0
    d = np.where(solved, determinant, 1.0)
    fit = np.array([(xx * y - x * xy) / d, (xy * n - x * y) / d])
    return np.where(solved, fit, 0.0), np.where(solved, np.array([xx / d, n / d]), 0.0)


def smooth(background: Floats, order: int = 3) -> Floats:
    """Return a background smoothed along the dispersion: a running median, then a polynomial.

    The median covers ten columns, `MEDIAN_BEFORE` to `MEDIAN_AFTER`. The polynomial is fitted to the medians, without
    the ends of the spectrum, and replaces them there.

    Parameters
    ----------
    background : (cols,) float32
        Summed over the extraction box.
    order : int
        Of the polynomial.
    """
    medians = _running_median(background)
    n = len(medians)
    inner = slice(MARGIN, n - MARGIN + 1)
    count = n - 2 * MARGIN + 1
    if count <= order:
        return medians
    x = np.arange(n, dtype=np.float64)[inner]
    y = medians[inner].astype(np.float64)
    middle, level = x.mean(), y.mean()
    scaled = (x - middle) / max(count / 2, 1)
    matrix = np.vander(scaled, order + 1, increasing=True)
    coefficients = np.linalg.lstsq(matrix, y - level, rcond=None)[0]
    medians[inner] = matrix @ coefficients + level
    return medians


def _running_median(values: Floats) -> Floats:
    """Return the median of the window round each column; windows are cut at the ends of the spectrum."""
    n, width = len(values), MEDIAN_BEFORE + 1 + MEDIAN_AFTER
    result = np.empty_like(values)
    last = n - MEDIAN_AFTER  # one past the last column with a whole window
    if n >= width:
        result[MEDIAN_BEFORE:last] = _median(np.lib.stride_tricks.sliding_window_view(values, width))
    for column in range(n):
        if n < width or not MEDIAN_BEFORE <= column < last:
            window = values[max(column - MEDIAN_BEFORE, 0) : column + MEDIAN_AFTER + 1]
            result[column] = _median(window[np.newaxis])[0]
    return result


def _median(windows: Floats) -> Floats:
    """Return the median of each row; of an even number the mean of the middle two, in float32."""
    ordered = np.sort(windows, axis=1)
    size = ordered.shape[1]
    if size % 2:
        return ordered[:, size // 2]
    middle: Floats = (ordered[:, size // 2 - 1] + ordered[:, size // 2]) / np.float32(2)
    return middle
