"""CPU backends against stis_cti's C functions on the same arrays, in one run; see README.md beside this file.

    python benchmarks/cpu.py [--columns 1024] [--repeats 3] [--scenes dark,stars,bright] [--numpy-images 8]
                             [--output FILE]

Single thread unless said otherwise. Times are of the noise split and the correction together. The two are run in turn,
and ratios are taken pair by pair, because machines are shared and noisy. Needs the extras ``peer`` and ``test``.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numba
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import peer_oracle as upstream
from scenes import bright_repaired

import gpucti
from gpucti.backends import get_backend
from gpucti.backends.base import Backend, trap_scale
from gpucti.model.pctetab import Pctetab
from gpucti.synthetic import scenes as simulate

MJD = 57000.0
READ_NOISE = 5.6


def scenes(columns: int) -> dict[str, tuple[np.ndarray, float, int]]:
    """Return frame, factor on the trap density, and noise model of every scene."""
    shape = (1024, columns)
    rng = np.random.default_rng(2010)

    def noisy(scene: np.ndarray) -> np.ndarray:
        return simulate.observe(scene, rng, read_noise=READ_NOISE)

    return {
        "dark": (noisy(simulate.dark(shape, rng)), 1.0, 1),
        "stars, low sky": (noisy(simulate.star_field(shape, rng, sky=2.0)), 1.0, 1),
        "stars, saturated": (noisy(simulate.star_field(shape, rng, sky=20.0, saturated=True)), 1.0, 1),
        "bright, every column repaired": (bright_repaired(shape, rng), 1.5, 0),
    }


def clock(work: Callable[[], object]) -> float:
    """Return wall seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def pairs(first: Callable[[], object], second: Callable[[], object], repeats: int) -> tuple[list[float], list[float]]:
    """Time the two in turn."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        times[0].append(clock(first))
        times[1].append(clock(second))
    return times


def ours(backend: Backend, stack: np.ndarray, factor: float, options: gpucti.CorrectionOptions, table: Pctetab) -> Any:
    """Split and correct as the library does."""
    frac = np.full(len(stack), factor * table.time_scale(MJD))
    signal, noise = backend.split_noise(stack, options)
    restored = backend.remove_cti(signal, frac, np.ones(stack.shape[2]), table.traps(MJD), options)
    return restored.signal + noise


def theirs(image: np.ndarray, factor: float, options: Any, table: Pctetab, oracle: dict[str, np.ndarray]) -> Any:
    """Split and correct as stis_cti does."""
    scale = trap_scale(np.array([factor * table.time_scale(MJD)]), np.ones(image.shape[1]), image.shape[0])[0]
    signal, noise = upstream.split_noise(image, options.read_noise, options.noise_model)
    corrected, _ = upstream.remove_cti(signal, scale, oracle, options)
    return corrected + noise


def summary(times: list[float]) -> str:
    """Return median and range."""
    return f"{statistics.median(times):.3g} ({min(times):.3g} to {max(times):.3g})"


def compare(columns: int, repeats: int, only: list[str], numpy_images: int) -> list[list[str]]:
    """Return the table's rows."""
    table = Pctetab.default()
    oracle = upstream.tables(table, MJD, table.defaults.shft_nit)
    fast, plain = get_backend("numba"), get_backend("numpy")
    rows = []
    for name, (image, factor, model) in scenes(columns).items():
        if only and not any(name.startswith(word) for word in only):
            continue
        options = table.options(noise_model=model)
        stack = fast.asarray(image[np.newaxis])
        batch = np.repeat(stack, numpy_images, axis=0)
        c_code = partial(theirs, image, factor, options, table, oracle)
        numpy_code = partial(ours, plain, batch, factor, options, table)

        def numba_code(threads: int, stack: np.ndarray = stack, factor: float = factor, options: Any = options) -> None:
            numba.set_num_threads(threads)
            ours(fast, stack, factor, options, table)

        ours(fast, stack[:, :, :8].copy(), factor, options, table)  # compile
        slow, quick = pairs(c_code, partial(numba_code, 1), repeats)
        row = [name, summary(slow), summary(quick), summary(ratios(slow, quick))]
        if numba.config.NUMBA_NUM_THREADS >= 2:
            row.append(summary(ratios(*pairs(partial(numba_code, 1), partial(numba_code, 2), repeats))))
        else:
            row.append("one thread here")
        slow, batched = pairs(c_code, numpy_code, max(1, repeats // 2))
        row.append(summary([numpy_images * ratio for ratio in ratios(slow, batched)]))
        rows.append(row)
        print("| " + " | ".join(row) + " |", file=sys.stderr, flush=True)
    return rows


def ratios(first: list[float], second: list[float]) -> list[float]:
    """Return the ratio of each pair."""
    return [a / b for a, b in zip(first, second, strict=True)]


MEMORY = """
import json, resource, time, numpy as np, gpucti
from gpucti.synthetic import scenes as simulate
rng = np.random.default_rng(1)
one = simulate.observe(simulate.dark((1024, 1024), rng), rng).astype(np.float32)
sci = np.repeat(one[None], 54, axis=0)
start = time.perf_counter()
gpucti.correct_arrays(sci, mjd=57000.0, err=None, device="numba")
print(json.dumps([time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20]))
"""
FIRST_CALL = """
import time; start = time.perf_counter()
import numpy as np, gpucti
gpucti.correct_arrays(np.full((1024, 8), 20.0), mjd=57000.0, device="numba")
print(time.perf_counter() - start)
"""


def child(code: str) -> str:
    """Run code in a new process and return what it prints."""
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def environment() -> str:
    """Return machine, date and versions."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        cpu = next((line.split(":")[1].strip() for line in info.read_text().splitlines() if "model name" in line), cpu)
    versions = ", ".join(f"{name} {version(name)}" for name in ("gpucti", "numpy", "numba", "stis_cti"))
    return (
        f"{datetime.date.today()}; {cpu}, {numba.config.NUMBA_NUM_THREADS} threads, {platform.system()}; "
        f"Python {platform.python_version()}, {versions}"
    )


def main() -> None:
    """Measure and print a markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--columns", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--scenes", default="")
    parser.add_argument("--numpy-images", type=int, default=8, help="images in NumPy's batch")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()

    lines = [
        f"# CPU backends against stis_cti's C\n\n{environment()}\n",
        f"Frames of 1024 x {arguments.columns} pixels.\n",
    ]
    head = [
        "scene", "stis_cti, s", "numba, 1 thread, s", "stis_cti / numba", "numba 1 / 2 threads",
        f"stis_cti / numpy (batch of {arguments.numpy_images})",
    ]  # fmt: skip
    lines += ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    only = [word for word in arguments.scenes.split(",") if word]
    lines += [
        "| " + " | ".join(row) + " |"
        for row in compare(arguments.columns, arguments.repeats, only, arguments.numpy_images)
    ]
    seconds, memory = json.loads(child(MEMORY))
    first = [float(child(FIRST_CALL)) for _ in range(4)][1:]
    lines += [
        "",
        f"54 darks of 1024 x 1024, float32, all threads: {seconds:.1f} s; "
        f"largest memory of the process {memory:.2f} GiB.",
        f"Import and first call of numba in a new process, compiled code cached: {summary(first)} s.",
        "Median (range) everywhere; ratios above 1 mean faster than stis_cti.",
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
