"""The CUDA twin: the kernels of `gpucti.kernels`, launched through CuPy on one device.

Everything between `CudaBackend.asarray` and `CudaBackend.asnumpy` stays on the device: also which columns
need another round, and how many steps the noise takes, are decided there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

from gpucti.backends.base import (
    MAX_NOISE_STEPS,
    MAX_ROUNDS,
    MIN_NOISE_STEPS,
    NOISE_BOX_LIMIT,
    NOISE_RMS_ENOUGH,
    NOISE_STEP,
    Array,
    Restored,
    check_scales,
    check_stack,
    check_traps,
)
from gpucti.errors import BackendUnavailable, InputError
from gpucti.model.traps import AGES, REFERENCE_ROW, TAIL, TrapTable
from gpucti.options import CorrectionOptions

#: Sizes that the kernels are compiled for.
SIZES = {
    "TAIL": TAIL,
    "AGES": AGES,
    "REFERENCE_ROW": REFERENCE_ROW,
    "MIN_NOISE_STEPS": MIN_NOISE_STEPS,
    "MAX_NOISE_STEPS": MAX_NOISE_STEPS,
}
#: Fused multiply-add is the compiler's default and stays on: results agree to 1e-6 electrons, not in every bit.
COMPILER_OPTIONS = ("--std=c++17", "--fmad=true")

#: Lanes of a warp, threads of a block (four columns of 32 lanes: one 32-byte sector per row), and threads that
#: a multiprocessor holds.
WARP = 32
BLOCK = 128
RESIDENT_THREADS = 2048
#: Bytes of local memory per thread: the ring of segments in kernels/trap.cuh.
RING_BYTES = AGES * 24
#: Device memory per pixel of a batch: the stack, its signal and noise, the noise before it is limited, the
#: corrected signal, its scale, the charge between two passes, and one more stack for the caller.
BYTES_PER_PIXEL = 8 * 8


class Gpu:
    """One CUDA device: all that `CudaBackend` asks of CuPy. Tests put a host emulation in its place.

    Raises
    ------
    BackendUnavailable
        CuPy or NVRTC is not installed, no GPU answers, or there is no such device.
    """

    def __init__(self, device: int = 0) -> None:
        try:
            import cupy
        except ImportError as error:
            raise BackendUnavailable(
                f"backend 'cuda': CuPy cannot be imported ({error}); "
                "pip install 'gpucti[cuda12]', or conda env create -f environment-cuda.yml"
            ) from error
        installed = f"backend 'cuda': CuPy {cupy.__version__} is installed"
        try:
            count = cupy.cuda.runtime.getDeviceCount()
        except RuntimeError as error:
            raise BackendUnavailable(f"{installed} but no GPU answers ({error}); nvidia-smi should list one") from error
        if not 0 <= device < count:
            known = f"0 to {count - 1}" if count else "none"
            raise BackendUnavailable(f"backend 'cuda:{device}': no such device; devices here: {known}")
        try:
            cupy.cuda.nvrtc.getVersion()
        except (ImportError, OSError, RuntimeError) as error:
            raise BackendUnavailable(
                f"{installed} but its compiler NVRTC cannot be loaded ({error}); pip install 'gpucti[cuda12]'"
            ) from error

        self.xp: Any = cupy
        self.name = f"cuda:{device}" if device else "cuda"
        self._device = cupy.cuda.Device(device)
        self.multiprocessors = int(self._device.attributes["MultiProcessorCount"])
        self._modules: dict[str, Any] = {}

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Make this the current device."""
        with self._device:
            yield

    def describe(self) -> str:
        """Return the device's name, its size and the versions in use, for people."""
        properties = self.xp.cuda.runtime.getDeviceProperties(self._device.id)
        runtime = self.xp.cuda.runtime.runtimeGetVersion()
        return (
            f"{properties['name'].decode()}, {properties['totalGlobalMem'] / 2**30:.0f} GiB, "
            f"CuPy {self.xp.__version__}, CUDA {runtime // 1000}.{runtime % 1000 // 10}"
        )

    def free_bytes(self) -> int:
        """Return what can still be allocated: free memory and the pool's unused blocks."""
        free, _ = self.xp.cuda.runtime.memGetInfo()
        return int(free) + int(self.xp.get_default_memory_pool().free_bytes())

    def asnumpy(self, array: Array) -> npt.NDArray[Any]:
        """Return `array` in host memory."""
        return np.asarray(self.xp.asnumpy(array))

    def launch(self, file: str, kernel: str, geometry: tuple[int, int], *arguments: Any) -> None:
        """Run `kernel` of ``kernels/<file>.cu`` on the current stream; the file is compiled at its first use."""
        if file not in self._modules:
            self._modules[file] = self._compile(file)
        grid, block = geometry
        self._modules[file].get_function(kernel)((grid,), (block,), arguments)

    def _compile(self, file: str) -> Any:
        code = source(file)
        module = self.xp.RawModule(code=code, options=compiler_options(), backend="nvrtc")
        try:
            module.compile()
        except self.xp.cuda.compiler.CompileException as error:
            raise BackendUnavailable(f"kernels/{file}.cu does not compile: {error}\n{numbered(code)}") from error
        return module


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
            shape = int32(n * cols, rows, cols)
            columns = geometry(n * cols, 1)
            for again in int32(0, 1):  # all steps for every image; then, where fewer are enough, only those
                sizes = (np.float64(NOISE_STEP * read_noise), again)
                launch("noise", "split_noise", columns, stack, steps, *sizes, noise, signal, squares, *shape)
                if not again:
                    enough = np.float64(NOISE_RMS_ENOUGH * read_noise)
                    launch("noise", "choose_steps", (n, WARP), squares, enough, steps, *int32(rows, cols))
            if options.noise_model == 2:
                return signal, noise

            limited = xp.empty_like(stack)
            limit = np.float64(NOISE_BOX_LIMIT * read_noise)
            pixels = (np.int64(stack.size), *int32(rows, cols))
            launch("noise", "limit_noise", geometry(stack.size, 1), stack, noise, limit, limited, signal, *pixels)
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

            work = xp.empty((2, n * cols), dtype=np.int32)
            n_work = xp.zeros(MAX_ROUNDS + 1, dtype=np.int32)
            unit = self._scale_at_reference(cte_frac, col_scale, n, cols)
            table = self._upload(traps)
            lanes = layout(options.n_passes, self._most_lanes)
            if lanes > 1:
                kernel, last = "remove_cti_lanes", np.int32(lanes)
            else:
                kernel, last = "remove_cti_threads", xp.empty_like(signal)
            shape = int32(n * cols, rows, cols)
            how = (*int32(options.sim_nit, options.shft_nit), np.float64(options.oversub_thresh), np.int32(first_row))
            for round_ in range(MAX_ROUNDS):
                # Later rounds read the length of their list on the device: a full machine loops over it.
                most = None if round_ == 0 else self._gpu.multiprocessors * RESIDENT_THREADS
                grid = geometry(n * cols, lanes, most)
                state = (np.int32(round_), current, scale, repairs, work, n_work)
                self._gpu.launch("restore", kernel, grid, signal, unit, *table, *how, *state, *shape, last)
            if keep_scale:
                grid = geometry(n * cols, 1)
                self._gpu.launch("restore", "complete_scale", grid, unit, repairs, np.int32(first_row), scale, *shape)
            return Restored(current, repairs, scale if keep_scale else None)

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
            out = self.xp.empty_like(signal)
            if signal.size == 0:
                return out
            unit = self._scale_at_reference(cte_frac, col_scale, n, cols)
            table = self._upload(traps)
            lanes = layout(traps.shft_nit, self._most_lanes)
            kernel, last = ("add_cti_lanes", int32(lanes)) if lanes > 1 else ("add_cti_threads", ())
            shape = int32(n * cols, rows, cols)
            how = int32(traps.shft_nit, first_row)
            grid = geometry(n * cols, lanes)
            self._gpu.launch("readout", kernel, grid, signal, unit, *table, *how, out, *shape, *last)
            return out

    def _shape(self, stack: Array) -> tuple[int, int, int]:
        """Return the shape of a stack that the kernels can walk: they see a pointer and ignore strides."""
        n, rows, cols = check_stack(stack, self.xp)
        if max(rows * cols, n * cols * WARP) >= 2**31:  # kernels count threads, and pixels of an image, in an int
            raise InputError(f"stack is {stack.shape}, too large for one call; cut it to images_per_batch()")
        return n, rows, cols

    def _scale_at_reference(
        self, cte_frac: npt.NDArray[np.float64], col_scale: npt.NDArray[np.float64], n: int, cols: int
    ) -> Array:
        """Return the trap scale of every column at the reference row, ``(n, cols)``, on the device."""
        cte_frac, col_scale = check_scales(cte_frac, col_scale, n, cols)
        return self.xp.asarray(np.multiply.outer(cte_frac, col_scale))

    def _upload(self, traps: TrapTable) -> tuple[Any, ...]:
        """Return the kernels' view of the table: ``levels, inverse_step, held, level_of, last_charge``."""
        if traps.held.shape != (len(traps.levels), AGES):
            raise InputError(f"traps.held is {traps.held.shape}; expected ({len(traps.levels)}, {AGES})")
        floats = [self.xp.asarray(np.ascontiguousarray(t)) for t in (traps.levels, traps.inverse_step, traps.held)]
        level_of = self.xp.asarray(np.ascontiguousarray(traps.level_of, dtype=np.int16))
        return (*floats, level_of, np.int32(len(traps.level_of) - 1))


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


def source(file: str) -> str:
    """Return the text of ``kernels/<file>.cu`` behind that of ``trap.cuh``.

    Pasted, not included: CuPy's cache of compiled kernels is keyed by this text and does not look into headers.
    """
    folder = files("gpucti.kernels")
    return "\n".join(folder.joinpath(name).read_text(encoding="utf-8") for name in ("trap.cuh", f"{file}.cu"))


def compiler_options() -> tuple[str, ...]:
    """Return the options that every kernel file is compiled with."""
    return (*COMPILER_OPTIONS, *(f"-D{name}={value}" for name, value in SIZES.items()))


def numbered(code: str) -> str:
    """Return `code` with the line numbers that the compiler's messages speak of."""
    return "\n".join(f"{number:4d}  {line}" for number, line in enumerate(code.splitlines(), start=1))


def native(array: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return a host array as a device can take it: native byte order, and a width that CuPy knows."""
    host = np.asarray(array)
    if host.dtype.kind not in "biuf" or host.dtype.itemsize > 8:
        return host.astype(np.float64)
    return host.astype(host.dtype.newbyteorder("="), copy=False)


def int32(*values: int) -> tuple[np.int32, ...]:
    """Return kernel arguments of C type ``int``; a bare Python integer would be passed as 64 bits."""
    return tuple(np.int32(value) for value in values)
