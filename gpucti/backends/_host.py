"""What the two CPU backends share: arrays in main memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from gpucti.backends.base import MAX_NOISE_STEPS, MIN_NOISE_STEPS, NOISE_RMS_ENOUGH, Array

#: Working memory that one call may take, in bytes; a batch is cut to fit.
WORKING_MEMORY = 512 * 2**20
#: float64 planes per image in the course of a correction: input, signal, noise, result, and what a
#: repair of every column needs besides (observed, current, scale).
PLANES = 7


class HostArrays:
    """Array tools of a backend whose arrays are NumPy's."""

    xp: Any = np

    def asarray(self, array: Array) -> npt.NDArray[np.float64]:
        """See `Backend.asarray`."""
        return np.ascontiguousarray(array, dtype=np.float64)

    def asnumpy(self, array: Array) -> npt.NDArray[Any]:
        """See `Backend.asnumpy`."""
        return np.asarray(array)

    def images_per_batch(self, rows: int, cols: int) -> int:
        """See `Backend.images_per_batch`."""
        return max(1, WORKING_MEMORY // (PLANES * 8 * rows * cols))


def noise_steps(squares: npt.NDArray[np.float64], count: int, read_noise: float) -> int:
    """Return after how many steps the noise of an image is taken.

    Parameters
    ----------
    squares : (6,) float64
        Sums of the squared noise after 25, 26, ... 30 steps, electrons squared.
    count : int
        Pixels summed: all but those of row 0.
    read_noise : float
        Electrons.
    """
    if count == 0:
        return MIN_NOISE_STEPS
    loud = np.sqrt(squares / count) >= NOISE_RMS_ENOUGH * read_noise
    return MIN_NOISE_STEPS + int(np.argmax(loud)) if loud.any() else MAX_NOISE_STEPS
