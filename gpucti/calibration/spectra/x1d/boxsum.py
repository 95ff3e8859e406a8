"""The sum of an image over the extraction box, column by column (CalSTIS's X1DSpec, unweighted)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gpucti.calibration.spectra.x1d.background import Background
from gpucti.io.pixelgrid import PixelGrid

Vector = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class BoxSums:
    """Sums over the extraction box, divided by the exposure time: counts per second.

    Attributes
    ----------
    gross, background, net, error : (cols,) float32
        All of it, what is background, the difference, and the standard deviation.
    dq : (cols,) int16
        Flags of all pixels in the box, and of the background.
    outside : int
        Columns whose box has no row on the image; they are zero.
    """

    gross: Floats
    background: Floats
    net: Floats
    error: Floats
    dq: npt.NDArray[np.int16]
    outside: int


def sum_box(
    sci: Floats,
    err: Floats,
    dq: npt.NDArray[np.int16],
    centre: Vector,
    height: float,
    background: Background,
    exptime: float,
    pixels: PixelGrid,
    *,
    background_noise: bool,
) -> BoxSums:
    """Sum an image over a box along the trace; rows at its ends count by the share that lies in it.

    All pixels count, flagged or not. Row 0 of the image never does, as in CalSTIS.

    Parameters
    ----------
    sci, err : (rows, cols) float32
        Counts and their standard deviations.
    dq : (rows, cols) int16
        Data-quality bits.
    centre : (cols,) float64
        Row of the spectrum, unbinned pixels of the full frame, 0-based.
    height : float
        Of the box, unbinned pixels.
    background : Background
        What is subtracted.
    exptime : float
        Seconds; without any exposure all sums are zero.
    pixels : PixelGrid
        Where the image lies on the detector.
    background_noise : bool
        Whether the variance of the background adds to the error.
    """
    rows, cols = sci.shape
    place = centre * pixels.ltm[1] + pixels.zero[1]
    half = height * pixels.ltm[1] / 2.0
    low, high = place - half, place + half
    first, last = _nearest(low), _nearest(high)

    # In CalSTIS's order: the row at the lower end, that at the upper end, then those between.
    between = np.maximum(first + 1, 1) + np.arange(_most_between(first, last, rows))[:, np.newaxis]
    row = np.concatenate([first[np.newaxis], last[np.newaxis], between])
    share = np.ones(row.shape)
    share[0], share[1] = 0.5 - (low - first), 0.5 + high - last
    inside = (row > 0) & (row < rows)
    inside[1] &= last > first
    inside[2:] &= between < last

    at = np.where(inside, row, 0), np.arange(cols)
    counts, deviation = sci[at].astype(np.float64), err[at].astype(np.float64)
    level = background.value[0] + background.value[1] * row
    variance = deviation * deviation
    if background_noise:
        variance += background.variance[0] + background.variance[1] * row * row
    gross, back, net, noise = (
        np.where(inside, terms * share, 0.0).sum(axis=0) for terms in (counts, level, counts - level, variance)
    )
    flags = np.bitwise_or.reduce(np.where(inside, dq[at], 0), axis=0).astype(np.int16) | background.dq
    filled = inside.any(axis=0)
    measured = filled & (exptime > 0)
    noise = np.sqrt(np.where(noise > 0, noise, 0.0))
    rates: list[Floats] = []
    for total in (gross, back, net, noise):  # rounded before the division and after it, as in CalSTIS
        rate = total.astype(np.float32).astype(np.float64) / (exptime or 1.0)
        rates.append(np.where(measured, rate, 0.0).astype(np.float32))
    return BoxSums(rates[0], rates[1], rates[2], rates[3], flags, int(cols - filled.sum()))


def _nearest(edge: Vector) -> npt.NDArray[np.int64]:
    """Return the row that an edge of the box lies in: the fraction 0.5 belongs to the row above."""
    low = np.trunc(edge)
    return (low + (edge - low >= 0.5)).astype(np.int64)


def _most_between(first: npt.NDArray[np.int64], last: npt.NDArray[np.int64], rows: int) -> int:
    """Return how many whole rows of the image lie in the box, at most."""
    count = np.minimum(last - 1, rows - 1) - np.maximum(first + 1, 1) + 1
    return max(int(count.max()), 0)
