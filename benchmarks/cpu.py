"""CPU backends against stis_cti's C functions on the same arrays, in one run; see README.md beside this file.

    python benchmarks/cpu.py [--columns 1024] [--repeats 3] [--scenes dark,stars,bright] [--numpy-images 8]
                             [--output FILE]

Single thread unless said otherwise. Times are of the noise split and the correction together. The two are run in turn,
and ratios are taken pair by pair, because machines are shared and noisy. Needs the extras ``peer`` and ``test``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numba
import numpy as np
from common import MJD, READ_NOISE, clock, machine, parser, publish, ratios, row, summary, table

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import gpucti
from gpucti.backends import get_backend
from gpucti.backends.base import Backend, trap_scale
from gpucti.model.pctetab import Pctetab
from gpucti.synthetic import scenes as simulate
from support import peer_oracle as upstream
from support.scenes import bright_repaired


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


def pairs(first: Callable[[], object], second: Callable[[], object], repeats: int) -> tuple[list[float], list[float]]:
    """Time the two in turn."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        times[0].append(clock(first))
        times[1].append(clock(second))
    return times


def ours(
    backend: Backend, stack: np.ndarray, factor: float, options: gpucti.CorrectionOptions, pctetab: Pctetab
) -> Any:
    """Split and correct as the library does."""
    frac = np.full(len(stack), factor * pctetab.time_scale(MJD))
    signal, noise = backend.split_noise(stack, options)
    restored = backend.remove_cti(signal, frac, np.ones(stack.shape[2]), pctetab.traps(MJD), options)
    return restored.signal + noise


def theirs(image: np.ndarray, factor: float, options: Any, pctetab: Pctetab, oracle: dict[str, np.ndarray]) -> Any:
    """Split and correct as stis_cti does."""
    scale = trap_scale(np.array([factor * pctetab.time_scale(MJD)]), np.ones(image.shape[1]), image.shape[0])[0]
    signal, noise = upstream.split_noise(image, options.read_noise, options.noise_model)
    corrected, _ = upstream.remove_cti(signal, scale, oracle, options)
    return corrected + noise


def compare(columns: int, repeats: int, only: list[str], numpy_images: int) -> list[list[str]]:
    """Return the table's rows."""
    pctetab = Pctetab.default()
    oracle = upstream.tables(pctetab, MJD, pctetab.defaults.shft_nit)
    fast, plain = get_backend("numba"), get_backend("numpy")
    rows = []
    for name, (image, factor, model) in scenes(columns).items():
        if only and not any(name.startswith(word) for word in only):
            continue
        options = pctetab.options(noise_model=model)
        stack = fast.asarray(image[np.newaxis])
        batch = np.repeat(stack, numpy_images, axis=0)
        c_code = partial(theirs, image, factor, options, pctetab, oracle)
        numpy_code = partial(ours, plain, batch, factor, options, pctetab)

        def numba_code(threads: int, stack: np.ndarray = stack, factor: float = factor, options: Any = options) -> None:
            numba.set_num_threads(threads)
            ours(fast, stack, factor, options, pctetab)

        ours(fast, stack[:, :, :8].copy(), factor, options, pctetab)  # compile
        slow, quick = pairs(c_code, partial(numba_code, 1), repeats)
        cells = [name, summary(slow), summary(quick), summary(ratios(slow, quick))]
        if numba.config.NUMBA_NUM_THREADS >= 2:
            cells.append(summary(ratios(*pairs(partial(numba_code, 1), partial(numba_code, 2), repeats))))
        else:
            cells.append("one thread here")
        slow, batched = pairs(c_code, numpy_code, max(1, repeats // 2))
        cells.append(summary([numpy_images * ratio for ratio in ratios(slow, batched)]))
        rows.append(cells)
        print(row(cells), file=sys.stderr, flush=True)
    return rows


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


def main() -> None:
    """Measure and print a markdown table."""
    options = parser(__doc__)
    options.add_argument("--columns", type=int, default=1024)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--scenes", default="")
    options.add_argument("--numpy-images", type=int, default=8, help="images in NumPy's batch")
    arguments = options.parse_args()

    only = [word for word in arguments.scenes.split(",") if word]
    rows = compare(arguments.columns, arguments.repeats, only, arguments.numpy_images)
    seconds, memory = json.loads(child(MEMORY))
    first = [float(child(FIRST_CALL)) for _ in range(4)][1:]
    head = [
        "scene", "stis_cti, s", "numba, 1 thread, s", "stis_cti / numba", "numba 1 / 2 threads",
        f"stis_cti / numpy (batch of {arguments.numpy_images})",
    ]  # fmt: skip
    publish(
        "CPU backends against stis_cti's C",
        [
            machine("numpy", "numba", "stis_cti"),
            "",
            f"Frames of 1024 x {arguments.columns} pixels.",
            "",
            *table(head, rows),
            "",
            f"54 darks of 1024 x 1024, float32, {numba.config.NUMBA_NUM_THREADS} threads: {seconds:.1f} s; "
            f"largest memory of the process {memory:.2f} GiB.",
            f"Import and first call of numba in a new process, compiled code cached: {summary(first)} s.",
            "Median (range) everywhere; ratios above 1 mean faster than stis_cti.",
        ],
        arguments.output,
    )


if __name__ == "__main__":
    main()
