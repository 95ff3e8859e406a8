"""The CUDA backend on one GPU: times, kernels, bandwidth, and agreement with NumPy; see README.md beside this file.

    python benchmarks/gpu.py [--device 0] [--darks 54] [--repeats 10] [--output FILE]

Times are from device array to device array, by CUDA events, after a first call that compiles. Needs CuPy and a GPU.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from common import MJD, machine, parser, publish, summary, table

import gpucti
from gpucti.backends import get_backend
from gpucti.backends._cuda import CudaBackend
from gpucti.backends.base import Backend
from gpucti.synthetic import scenes as simulate

SHAPE = (1024, 1024)
PCTETAB = gpucti.Pctetab.default()
OPTIONS = PCTETAB.options()
CALLS = ["images", "what", "ms", "ms per image"]
KERNELS = ["kernel", "layout", "launches", "ms in all", "least traffic / time, GB/s"]


def darks(number: int) -> np.ndarray:
    """Return simulated darks, ``(number, 1024, 1024)`` float32 counts; eight different ones, repeated."""
    rng = np.random.default_rng(54)
    some = [simulate.observe(simulate.dark(SHAPE, rng), rng).astype(np.float32) for _ in range(min(8, number))]
    return np.stack([some[i % len(some)] for i in range(number)])


def milliseconds(cupy: Any, work: Callable[[], Any], repeats: int) -> list[float]:
    """Return the time of each call, from event to event on the current stream."""
    times = []
    for _ in range(repeats):
        start, stop = cupy.cuda.Event(), cupy.cuda.Event()
        start.record()
        work()
        stop.record()
        stop.synchronize()
        times.append(float(cupy.cuda.get_elapsed_time(start, stop)))
    return times


class Watched:
    """A device that times every kernel it launches."""

    def __init__(self, gpu: Any) -> None:
        self._gpu = gpu
        self.times: dict[str, list[float]] = defaultdict(list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gpu, name)

    def launch(self, file: str, kernel: str, geometry: tuple[int, int], /, **arguments: Any) -> None:
        """Launch and wait."""
        work = lambda: self._gpu.launch(file, kernel, geometry, **arguments)  # noqa: E731
        self.times[kernel] += milliseconds(self._gpu.xp, work, 1)


def correct(backend: CudaBackend, stack: Any) -> Any:
    """Split and correct a stack on the device as the library does."""
    signal, noise = backend.split_noise(stack, OPTIONS)
    return remove_cti(backend, signal) + noise


def remove_cti(backend: Backend, signal: Any) -> Any:
    """Correct a stack without splitting it."""
    frac = np.full(len(signal), PCTETAB.time_scale(MJD))
    return backend.remove_cti(signal, frac, np.ones(signal.shape[2]), PCTETAB.traps(MJD), OPTIONS).signal


def whole_calls(layouts: dict[str, CudaBackend], whole: Any, repeats: int) -> list[list[object]]:
    """Time the public function and both layouts on one image, eight, and all."""
    rows: list[list[object]] = []
    for number in sorted({1, min(8, len(whole)), len(whole)}):
        part = whole[:number]
        cases: dict[str, Callable[[], Any]] = {
            "correct_arrays, CuPy to CuPy": partial(gpucti.correct_arrays, part, PCTETAB, mjd=MJD)
        }
        for layout, backend in layouts.items():
            cases[f"split and correction, {layout}"] = partial(correct, backend, backend.asarray(part))
        for name, work in cases.items():
            work()
            times = milliseconds(backend.xp, work, repeats)
            rows.append([number, name, summary(times), f"{statistics.median(times) / number:.3g}"])
    return rows


def kernels(layouts: dict[str, CudaBackend], whole: Any) -> list[list[object]]:
    """Time each kernel in both layouts."""
    rows: list[list[object]] = []
    for layout, backend in layouts.items():
        watched = Watched(backend._gpu)
        stack = backend.asarray(whole)
        correct(CudaBackend(gpu=watched, most_lanes=backend._most_lanes), stack)
        least = 2 * 8 * stack.size  # every pixel read once and written once, in float64
        for kernel, times in watched.times.items():
            speed = least / (sum(times) * 1e6)
            rows.append([kernel, layout, len(times), f"{sum(times):.3g}", f"{speed:.3g}"])
    return rows


def differences(layouts: dict[str, CudaBackend], whole: Any) -> list[str]:
    """Compare some columns of one image with NumPy."""
    plain, lines = get_backend("numpy"), []
    for layout, backend in layouts.items():
        few = backend.asarray(whole[:1, :, :32])
        apart = backend.asnumpy(remove_cti(backend, few)) - remove_cti(plain, backend.asnumpy(few))
        lines.append(f"Largest difference from NumPy, {layout}: {np.abs(apart).max():.1e} e-.")
    return lines


def main() -> None:
    """Measure and print markdown tables."""
    options = parser(__doc__)
    options.add_argument("--device", type=int, default=0)
    options.add_argument("--darks", type=int, default=54)
    options.add_argument("--repeats", type=int, default=10)
    arguments = options.parse_args()

    layouts = {
        "lanes of a warp": CudaBackend(arguments.device),
        "a thread per column": CudaBackend(arguments.device, most_lanes=1),
    }
    backend = layouts["lanes of a warp"]
    host = darks(arguments.darks)
    with backend.xp.cuda.Device(arguments.device):
        whole = backend.xp.asarray(host)
        publish(
            "The CUDA backend",
            [
                f"{machine('numpy')}; {backend.describe()}.",
                f"Darks of 1024 x 1024 float32, {arguments.repeats} repeats: median (range).",
                "",
                *table(CALLS, whole_calls(layouts, whole, arguments.repeats)),
                "",
                *table(KERNELS, kernels(layouts, whole)),
                "",
                *differences(layouts, whole),
            ],
            arguments.output,
        )


if __name__ == "__main__":
    main()
