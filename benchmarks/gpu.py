"""The CUDA backend on one GPU: times, kernels, bandwidth, and agreement with NumPy; see README.md beside this file.

    python benchmarks/gpu.py [--device 0] [--darks 54] [--repeats 10] [--output FILE]

Times are from device array to device array, by CUDA events, after a first call that compiles. Needs CuPy and a GPU.
"""

from __future__ import annotations

import argparse
import datetime
import statistics
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import gpucti
from gpucti.backends import get_backend
from gpucti.backends._cuda import CudaBackend
from gpucti.synthetic import scenes as simulate

MJD = 57000.0
SHAPE = (1024, 1024)


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


def summary(times: list[float]) -> str:
    """Return median and range."""
    return f"{statistics.median(times):.3g} ({min(times):.3g} to {max(times):.3g})"


def main() -> None:
    """Measure and print markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", type=int, default=0)
    parser.add_argument("--darks", type=int, default=54)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()

    lanes = CudaBackend(arguments.device)
    threads = CudaBackend(arguments.device, most_lanes=1)
    cupy = lanes.xp
    table = gpucti.Pctetab.default()
    options, traps = table.options(), table.traps(MJD)
    frac = np.full(arguments.darks, table.time_scale(MJD))
    ones = np.ones(SHAPE[1])
    host = darks(arguments.darks)
    lines = [
        "# The CUDA backend\n",
        f"{datetime.date.today()}; {lanes.describe()}; gpucti {gpucti.__version__}.",
        f"Darks of 1024 x 1024 float32, {arguments.repeats} repeats: median (range).\n",
    ]
    with cupy.cuda.Device(arguments.device):
        whole = cupy.asarray(host)

        def public(stack: Any) -> Any:
            return gpucti.correct_arrays(stack, table, mjd=MJD)

        def core(backend: CudaBackend, stack: Any) -> Any:
            signal, noise = backend.split_noise(stack, options)
            restored = backend.remove_cti(signal, frac[: len(stack)], ones, traps, options)
            return restored.signal + noise

        lines += ["| images | what | ms | ms per image |", "|---|---|---|---|"]
        for number in sorted({1, min(8, arguments.darks), arguments.darks}):
            part = whole[:number]
            stack = lanes.asarray(part)
            cases: list[tuple[str, Callable[[], Any]]] = [
                ("correct_arrays, CuPy to CuPy", lambda p=part: public(p)),
                ("split and correction, lanes of a warp", lambda s=stack: core(lanes, s)),
                ("split and correction, a thread per column", lambda s=stack: core(threads, s)),
            ]
            for name, work in cases:
                work()
                times = milliseconds(cupy, work, arguments.repeats)
                lines.append(f"| {number} | {name} | {summary(times)} | {statistics.median(times) / number:.3g} |")

        stack = lanes.asarray(whole)
        # What must move at least: every pixel read once and written once, in float64.
        least = 2 * 8 * stack.size
        lines += [
            "",
            "| kernel | layout | launches | ms in all | least traffic / time, GB/s |",
            "|---|---|---|---|---|",
        ]
        for name, backend in (("lanes", lanes), ("threads", threads)):
            watched = Watched(backend._gpu)
            core(CudaBackend(gpu=watched, most_lanes=backend._most_lanes), stack)
            for kernel, times in watched.times.items():
                speed = least / (sum(times) * 1e6)
                lines.append(f"| {kernel} | {name} | {len(times)} | {sum(times):.3g} | {speed:.3g} |")

        few = lanes.asarray(whole[:1, :, :32])
        plain = get_backend("numpy")
        expected = plain.remove_cti(plain.asarray(lanes.asnumpy(few)), frac[:1], ones[:32], traps, options).signal
        for name, backend in (("lanes", lanes), ("threads", threads)):
            found = backend.remove_cti(few, frac[:1], ones[:32], traps, options).signal
            lines.append(
                f"\nLargest difference from NumPy ({name}): {np.abs(lanes.asnumpy(found) - expected).max():.1e} e-."
            )
    text = "\n".join(lines) + "\n"
    print(text)
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
