"""The CUDA twin: the kernels of `gpucti.kernels`, launched through CuPy on one device.

Everything between `CudaBackend.asarray` and `CudaBackend.asnumpy` stays on the device: also which columns
need another round, and how many steps the noise takes, are decided there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from gpucti.backends._cuda_device import SEGMENT_BYTES, WARP, Gpu
from gpucti.backends.base import (
    MAX_NOISE_STEPS,
    MAX_ROUNDS,
    MIN_NOISE_STEPS,
    Array,
    Restored,
    check_scales,
    check_stack,
    check_traps,
)
from gpucti.errors import InputError
from gpucti.model.traps import AGES, TrapTable
from gpucti.options import CorrectionOptions

#: Threads of a block (four columns of 32 lanes: one 32-byte sector per row), and threads that a multiprocessor holds.
BLOCK = 128
RESIDENT_THREADS = 2048
#: Local memory of each thread: the ring of segments in kernels/trap.cuh.
RING_BYTES = AGES * SEGMENT_BYTES
#: Device memory per pixel of a batch: the stack, its signal and noise, the noise before it is limited, the
#: corrected signal, its scale, the charge between two passes, and one more stack for the caller.
BYTES_PER_PIXEL = 8 * 8


class CudaBackend:
    """Spreads columns over the threads of one GPU; see `gpucti.backends.base.Backend`.

    Parameters
    ----------
    device : int
        CUDA's number of the device.
    gpu : Gpu, optional
        The device itself, or what stands in for it.
    most_lanes : int
        Tuning, for benchmarks and tests: threads that may share a column; 1 gives each column one thread.
    """

    def __init__(self, device: int = 0, *, gpu: Any = None, most_lanes: int = WARP) -> None:
        self._gpu = gpu or Gpu(device)
        self._most_lanes = most_lanes
        self.name: str = self._gpu.name
        self.xp: Any = self._gpu.xp

    def asarray(self, array: Array) -> Array:
        """See `Backend.asarray`. Host arrays cross the bus in their own width."""
        with self._gpu.active():
            if not isinstance(array, self.xp.ndarray):
                array = self.xp.asarray(native(array))
            return self.xp.ascontiguousarray(array, dtype=np.float64)

    def asnumpy(self, array: Array) -> npt.NDArray[Any]:
        """See `Backend.asnumpy`."""
        with self._gpu.active():
            result: npt.NDArray[Any] = self._gpu.asnumpy(array)
            return result

    def describe(self) -> str:
        """Return what this backend runs on."""
        return str(self._gpu.describe())

    def images_per_batch(self, rows: int, cols: int) -> int:
        """See `Backend.images_per_batch`: free memory over `BYTES_PER_PIXEL`, less the threads' local memory."""
        with self._gpu.active():
            free = self._gpu.free_bytes() - self._gpu.multiprocessors * RESIDENT_THREADS * RING_BYTES
        return max(1, int(free // (BYTES_PER_PIXEL * max(1, rows * cols))))

    def split_noise(self, stack: Array, options: CorrectionOptions) -> tuple[Array, Array]:
        """See `Backend.split_noise`."""
        n, rows, cols = self._shape(stack)
        xp, launch, read_noise = self.xp, self._gpu.launch, options.read_noise
        with self._gpu.active():
            if options.noise_model == 0 or stack.size == 0:
                return stack.copy(), xp.zeros_like(stack)

            signal, noise = xp.empty_like(stack), xp.empty_like(stack)
            steps = xp.full(n, MAX_NOISE_STEPS, dtype=np.int32)
            squares = xp.empty((n, MAX_NOISE_STEPS - MIN_NOISE_STEPS + 1, cols))
            shape = {"rows": rows, "cols": cols}
            columns = geometry(n * cols, 1)
            split = {
                "stack": stack, "steps": steps, "read_noise": read_noise, "noise": noise, "signal": signal,
                "squares": squares, "n_columns": n * cols, **shape,
            }  # fmt: skip
            # All steps for every image; then, where fewer are enough, only those.
            launch("noise", "split_noise", columns, again=0, **split)
            launch("noise", "choose_steps", (n, WARP), squares=squares, read_noise=read_noise, steps=steps, **shape)
            launch("noise", "split_noise", columns, again=1, **split)
            if options.noise_model == 2:
                return signal, noise

            limited = xp.empty_like(stack)
            launch(
                "noise", "limit_noise", geometry(stack.size, 1), stack=stack, noise=noise, read_noise=read_noise,
                limited=limited, signal=signal, n_pixels=stack.size, **shape,
            )  # fmt: skip
            return signal, limited

    def remove_cti(
        self,
        signal: Array,
        cte_frac: npt.NDArray[np.float64],
        col_scale: npt.NDArray[np.float64],
        traps: TrapTable,
        options: CorrectionOptions,
        *,
        first_row: int = 0,
        keep_scale: bool = False,
    ) -> Restored:
        """See `Backend.remove_cti`."""
        n, rows, cols = self._shape(signal)
        check_traps(traps, options)
        xp = self.xp
        with self._gpu.active():
            current = xp.empty_like(signal)
            scale = xp.empty_like(signal)  # touched only in columns that are repaired
            repairs = xp.zeros((n, cols), dtype=np.int32)
            if signal.size == 0:
                return Restored(current, repairs, scale if keep_scale else None)

            lanes = layout(options.n_passes, self._most_lanes)
            kernel = "remove_cti_lanes" if lanes > 1 else "remove_cti_threads"
            whole = {"first_row": first_row, "n_columns": n * cols, "rows": rows, "cols": cols}
            reference_scale = self._reference_scale(cte_frac, col_scale, n, cols)
            arguments = {
                "observed": signal, "reference_scale": reference_scale, **self._upload(traps),
                "sim_nit": options.sim_nit, "shft_nit": options.shft_nit, "threshold": options.oversub_thresh,
                "current": current, "scale": scale, "repairs": repairs, **whole,
                "work": xp.empty((2, n * cols), dtype=np.int32), "n_work": xp.zeros(MAX_ROUNDS + 1, dtype=np.int32),
                **({"lanes": lanes} if lanes > 1 else {"passed": xp.empty_like(signal)}),
            }  # fmt: skip
            for round_ in range(MAX_ROUNDS):
                # Later rounds read the length of their list on the device: a full machine loops over it.
                most = None if round_ == 0 else self._gpu.multiprocessors * RESIDENT_THREADS
                self._gpu.launch("restore", kernel, geometry(n * cols, lanes, most), round=round_, **arguments)
            if not keep_scale:
                return Restored(current, repairs, None)
            self._gpu.launch(
                "restore", "complete_scale", geometry(n * cols, 1), reference_scale=reference_scale, repairs=repairs,
                scale=scale, **whole,
            )  # fmt: skip
            return Restored(current, repairs, scale)

    def add_cti(
        self,
        signal: Array,
        cte_frac: npt.NDArray[np.float64],
        col_scale: npt.NDArray[np.float64],
        traps: TrapTable,
        *,
        first_row: int = 0,
    ) -> Array:
        """See `Backend.add_cti`."""
        n, rows, cols = self._shape(signal)
        with self._gpu.active():
            trailed = self.xp.empty_like(signal)
            if signal.size == 0:
                return trailed
            lanes = layout(traps.shft_nit, self._most_lanes)
            kernel, shared = ("add_cti_lanes", {"lanes": lanes}) if lanes > 1 else ("add_cti_threads", {})
            self._gpu.launch(
                "readout", kernel, geometry(n * cols, lanes), signal=signal,
                reference_scale=self._reference_scale(cte_frac, col_scale, n, cols), **self._upload(traps),
                n_passes=traps.shft_nit, first_row=first_row, trailed=trailed, n_columns=n * cols, rows=rows, cols=cols,
                **shared,
            )  # fmt: skip
            return trailed

    def _shape(self, stack: Array) -> tuple[int, int, int]:
        """Return the shape of a stack that the kernels can walk: they see a pointer and ignore strides."""
        n, rows, cols = check_stack(stack, self.xp)
        if max(rows * cols, n * cols * WARP) >= 2**31:  # kernels count threads, and pixels of an image, in an int
            raise InputError(f"stack is {stack.shape}, too large for one call; cut it to images_per_batch()")
        return n, rows, cols

    def _reference_scale(
        self, cte_frac: npt.NDArray[np.float64], col_scale: npt.NDArray[np.float64], n: int, cols: int
    ) -> Array:
        """Return the trap scale of every column at the reference row, ``(n, cols)``, on the device."""
        cte_frac, col_scale = check_scales(cte_frac, col_scale, n, cols)
        return self.xp.asarray(np.multiply.outer(cte_frac, col_scale))

    def _upload(self, traps: TrapTable) -> dict[str, Any]:
        """Return the kernels' view of the table, by the names of their parameters."""
        if traps.held.shape != (len(traps.levels), AGES):
            raise InputError(f"traps.held is {traps.held.shape}; expected ({len(traps.levels)}, {AGES})")
        tables = {
            "levels": traps.levels, "inverse_step": traps.inverse_step, "held": traps.held,
            "level_of": traps.level_of.astype(np.int16),
        }  # fmt: skip
        on_device = {name: self.xp.asarray(np.ascontiguousarray(table)) for name, table in tables.items()}
        return {**on_device, "last_charge": len(traps.level_of) - 1}


def layout(n_passes: int, most_lanes: int = WARP) -> int:
    """Return how many threads share a column: a power of two, one per pass; 1 where a thread makes all passes.

    Lanes share a column wherever its passes fit into a warp: one image then keeps a GPU busy. That this is also the
    better layout for a batch is an assumption; benchmarks/gpu.py measures both.
    """
    return 1 if n_passes > most_lanes else 1 << (n_passes - 1).bit_length()


def geometry(n_items: int, threads_per_item: int, most_threads: int | None = None) -> tuple[int, int]:
    """Return (blocks, threads per block) that give every item its threads, at most about `most_threads` in all."""
    threads = n_items * threads_per_item
    if most_threads is not None:
        threads = min(threads, most_threads)
    return max(1, -(-threads // BLOCK)), BLOCK


def native(array: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return a host array as a device can take it: native byte order, and a width that CuPy knows."""
    host = np.asarray(array)
    if host.dtype.kind not in "biuf" or host.dtype.itemsize > 8:
        return host.astype(np.float64)
    return host.astype(host.dtype.newbyteorder("="), copy=False)
