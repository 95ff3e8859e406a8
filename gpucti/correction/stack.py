"""The story of one image, or of a batch: counts in file orientation in, the same corrected out.

Counts become electrons, the image is turned so that the readout register is below row 0, the read noise is set aside,
the traps are undone, the noise comes back, electrons become counts, and the image is turned back. Rows that were read
out before a subarray and not kept are taken for sky.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gpucti.backends.base import Array, Backend
from gpucti.detector import first_row, from_readout, steps_from_corner, to_readout
from gpucti.model.pctetab import Pctetab
from gpucti.model.traps import TAIL, TrapTable
from gpucti.options import CorrectionOptions

#: Share of the correction that is added in quadrature to the error (stis_cti YCte).
ERROR_SHARE = 0.1
#: Rows in front of a subarray that are read as sky, at most, and rows at hand that the sky is taken from. Traps
#: remember `TAIL` rows; the others let the iteration settle before the image begins (docs/algorithm.md, "Subarrays").
SKY_ROWS = 96


class Corrected(NamedTuple):
    """What `correct_stack` returns.

    Attributes
    ----------
    sci, err : (n, rows, cols)
        Counts, orientation, kind and dtype as given; `err` is None if none was given.
    repairs : (n,) int64
        Columns of each image whose trap scale was lowered because a pixel came out over-subtracted.
    """

    sci: Array
    err: Array | None
    repairs: Array


def correct_stack(
    sci: Array,
    *,
    mjd: npt.NDArray[np.float64],
    gain: npt.NDArray[np.float64],
    amp: str,
    pctetab: Pctetab,
    options: CorrectionOptions,
    backend: Backend,
    err: Array | None = None,
    origin: tuple[int, int] | None = None,
) -> Corrected:
    """Correct a stack of images for CTI, a batch at a time.

    Parameters
    ----------
    sci, err : (n, rows, cols) float
        Counts, file orientation, finite. NumPy, or CuPy on the backend's device.
    mjd, gain : (n,) float64
        Start of each exposure; electrons per count.
    amp : str
        Amplifier of all of them.
    origin : (row, col) or None
        See `gpucti.correct_arrays`.
    """
    xp = namespace(sci)
    corrected = xp.empty(sci.shape, dtype=sci.dtype)
    sigma = None if err is None else xp.empty(err.shape, dtype=err.dtype)
    repaired = xp.zeros(len(sci), dtype=np.int64)
    front = sky_rows(amp, sci.shape[1], origin)
    edge = min(front, 1)  # one row of sky is enough for the noise; more would count as rows without any
    for part, traps, setup in _batches(sci, mjd, amp, pctetab, options.shft_nit, backend, origin):
        per_count = backend.asarray(gain[part])[:, None, None]
        electrons = backend.asarray(to_readout(sci[part], amp)) * per_count  # counts -> electrons
        sky = _sky(electrons, front, backend)
        signal, noise = backend.split_noise(_behind(sky[:, :edge], electrons, backend), options)
        restored = backend.remove_cti(_behind(sky[:, edge:], signal, backend), traps=traps, options=options, **setup)
        del signal
        result = restored.signal[:, front:]
        result += noise[:, edge:]
        del noise
        if err is not None and sigma is not None:
            change = electrons - result
            del electrons
            change *= ERROR_SHARE
            old = backend.asarray(to_readout(err[part], amp)) * per_count
            sigma_part = backend.xp.sqrt(old * old + change * change) / per_count
            sigma[part] = _give(backend, from_readout(sigma_part, amp), sigma)
        result /= per_count  # electrons -> counts
        corrected[part] = _give(backend, from_readout(result, amp), sci)
        repaired[part] = _give(backend, (restored.repairs > 0).sum(axis=1), repaired)
    return Corrected(corrected, sigma, repaired)


def add_cti_stack(
    sci: Array,
    *,
    mjd: npt.NDArray[np.float64],
    gain: npt.NDArray[np.float64],
    amp: str,
    pctetab: Pctetab,
    shft_nit: int,
    backend: Backend,
    origin: tuple[int, int] | None = None,
) -> Array:
    """Trail a stack of images as the readout would; arguments as in `correct_stack`."""
    xp = namespace(sci)
    trailed = xp.empty(sci.shape, dtype=sci.dtype)
    front = sky_rows(amp, sci.shape[1], origin)
    for part, traps, setup in _batches(sci, mjd, amp, pctetab, shft_nit, backend, origin):
        per_count = backend.asarray(gain[part])[:, None, None]
        electrons = backend.asarray(to_readout(sci[part], amp)) * per_count  # counts -> electrons
        sky = _sky(electrons, front, backend)
        result = backend.add_cti(_behind(sky, electrons, backend), traps=traps, **setup)[:, front:]
        result /= per_count  # electrons -> counts
        trailed[part] = _give(backend, from_readout(result, amp), sci)
    return trailed


def _batches(
    sci: Array,
    mjd: npt.NDArray[np.float64],
    amp: str,
    pctetab: Pctetab,
    shft_nit: int,
    backend: Backend,
    origin: tuple[int, int] | None,
) -> Iterator[tuple[Any, TrapTable, dict[str, Any]]]:
    """Yield which images go together (one epoch of the table, no more than fit), their traps and their scales."""
    n, rows, cols = sci.shape
    col_scale = column_scale(pctetab, amp, cols, origin)
    cte_frac = np.array([pctetab.time_scale(date) for date in mjd])
    epochs = [pctetab.epoch(date) for date in mjd]
    front = sky_rows(amp, rows, origin)
    size = backend.images_per_batch(front + rows, cols)
    begin = first_row(amp, rows, origin) - front
    for epoch in dict.fromkeys(epochs):
        traps = pctetab.traps_of(epoch, shft_nit)
        members = np.flatnonzero([each is epoch for each in epochs])
        for start in range(0, len(members), size):
            part = members[start : start + size]
            setup = {"cte_frac": cte_frac[part], "col_scale": col_scale, "first_row": begin}
            # consecutive images are a view, others a copy
            whole = slice(int(part[0]), int(part[-1]) + 1) if part[-1] - part[0] == len(part) - 1 else part
            yield whole, traps, setup


def sky_rows(amp: str, rows: int, origin: tuple[int, int] | None) -> int:
    """Return how many rows of sky are put between the register and an image: 0 if the image begins there."""
    return min(first_row(amp, rows, origin), SKY_ROWS)


def unknown_rows(amp: str, rows: int, origin: tuple[int, int] | None) -> int:
    """Return how many rows of an image, from the readout side, have traps that were filled by rows not kept."""
    return min(rows, TAIL) if first_row(amp, rows, origin) else 0


def _sky(electrons: Array, rows: int, backend: Backend) -> Array:
    """Return `rows` rows of sky, ``(n, rows, cols)``: what each column is in the middle of its first rows."""
    n, _, cols = electrons.shape
    if rows == 0:
        return electrons[:, :0]
    level = backend.xp.median(electrons[:, :SKY_ROWS], axis=1, keepdims=True)
    return backend.xp.broadcast_to(level, (n, rows, cols))


def _behind(sky: Array, stack: Array, backend: Backend) -> Array:
    """Return the stack with rows of sky in front; the stack itself if there are none."""
    return backend.xp.concatenate([sky, stack], axis=1) if sky.shape[1] else stack


def _give(backend: Backend, array: Array, like: Array) -> Array:
    """Hand a result back as `like` is: rounded to its dtype before it leaves the device, if it leaves it."""
    array = array.astype(like.dtype, copy=False)
    return array if namespace(like) is backend.xp else backend.asnumpy(array)


def namespace(array: Any) -> Any:
    """Return the module, numpy or cupy, that an array belongs to."""
    cupy = sys.modules.get("cupy")
    return cupy if cupy is not None and isinstance(array, cupy.ndarray) else np


def column_scale(table: Pctetab, amp: str, cols: int, origin: tuple[int, int] | None) -> npt.NDArray[np.float64]:
    """Return the trap scale of the image's columns in readout orientation, ``(cols,)`` float64."""
    turned = to_readout(table.col_scale[amp][np.newaxis], amp)[0]
    start = 0 if origin is None else steps_from_corner(amp, origin[1], cols, len(turned))
    return np.array(turned[start : start + cols], dtype=np.float64)
