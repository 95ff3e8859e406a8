"""Statistics of an image without its outliers, in the precision of the image."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gpucti.backends.base import Array


class Clipped(NamedTuple):
    """What is left after clipping: mean, median and standard deviation, float32."""

    mean: np.float32
    median: np.float32
    std: np.float32


def sigma_clip(image: Array, xp: Any, *limits: tuple[float, int]) -> list[Clipped]:
    """Return the statistics of an image, clipped once for each of `limits`.

    Values further from the median than `sigma` standard deviations are left out, the rest is looked at again, until
    none are left out or `rounds` are over. On the CPU every bit equals `astropy.stats.sigma_clipped_stats`; sorting
    once in place of a median per round makes it fast.

    Parameters
    ----------
    image : float32, any shape
        Finite values, native byte order, on the device of `xp`.
    xp : module
        NumPy, or what a backend has in its place.
    *limits : (sigma, rounds)
        One pair for each result.
    """
    values = image.ravel()
    ordered = xp.sort(values)
    return [_clip(values, ordered, np.float32(sigma), rounds, xp) for sigma, rounds in limits]


def _clip(kept: Array, ordered: Array, sigma: np.float32, rounds: int, xp: Any) -> Clipped:
    """Clip values, kept in their own order for the sums and in ascending order for the median."""
    for _ in range(rounds):
        median, spread = _median(ordered), _single(kept.std())
        low, high = median - spread * sigma, median + spread * sigma
        below, above = (int(xp.count_nonzero(outside)) for outside in (kept < low, kept > high))
        if not below + above:
            break
        ordered = ordered[below : len(ordered) - above]
        kept = kept[(kept >= low) & (kept <= high)]
    return Clipped(_single(kept.mean()), _median(ordered), _single(kept.std()))


def _median(ordered: Array) -> np.float32:
    """Return the median; of an even number of values the mean of the two in the middle, rounded once."""
    half = len(ordered) // 2
    if len(ordered) % 2:
        return _single(ordered[half])
    return _single(ordered[half - 1 : half + 1].mean())


def _single(scalar: Array) -> np.float32:
    """Return one number in host memory."""
    return np.float32(float(scalar))
