"""How exact is exact? stis_cti, numba and numpy against the same rules in extended precision.

    python benchmarks/precision.py [--columns 24] [--seed 8] [--output FILE]

The frame is the one in which every column is repaired up to ten times: there roundings grow most. The reference follows
every charge level by itself, as the model is written down, in 80-bit numbers; it takes a few minutes. Needs the extras
``peer`` and ``test``, and a platform whose ``numpy.longdouble`` has more than 53 bits.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from common import MJD, machine, parser, publish, table

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from gpucti.backends import get_backend
from gpucti.backends.base import MAX_ROUNDS, REPAIR_TAPER, trap_scale
from gpucti.model.pctetab import Pctetab
from gpucti.model.traps import TAIL, TrapTable
from gpucti.options import CorrectionOptions
from support import peer_oracle as upstream
from support.scenes import bright_repaired

Extended = np.longdouble


def read_out(column: np.ndarray, scale: np.ndarray, traps: TrapTable) -> np.ndarray:
    """Return the columns ``(rows, m)`` after one pass, level by level."""
    rows, m = column.shape
    n_levels = len(traps.levels) - 1
    low, high = (traps.levels[part, np.newaxis].astype(Extended) for part in (slice(0, -1), slice(1, None)))
    capacity = traps.charge[1:, np.newaxis].astype(Extended)
    leak = np.zeros((TAIL + 2, n_levels), dtype=Extended)
    still = np.zeros((TAIL + 2, n_levels), dtype=Extended)
    leak[1:-1], still[1:-1] = traps.leak[:, :-1], traps.open[:, :-1]
    still[TAIL] = 0
    held = np.zeros((n_levels, m), dtype=Extended)
    age = np.full((n_levels, m), TAIL + 1)
    level = np.arange(n_levels)[:, np.newaxis]
    out = np.empty_like(column)
    for i in range(rows):
        if i:
            fall = scale[i] < scale[i - 1]
            held[:, fall] *= scale[i, fall] / scale[i - 1, fall]
        np.minimum(age + 1, TAIL + 1, out=age)
        released = (leak[age, level] * held).sum(axis=0)
        charge = column[i] + released
        reached = charge >= low
        fill = np.where(reached, np.minimum((charge - low) / (high - low), 1), 0) * capacity * scale[i]
        released += np.where(reached, still[age, level] * held, 0).sum(axis=0) - fill.sum(axis=0)
        held = np.where(reached, fill, held)
        age[reached] = 0
        out[i] = column[i] + released
    return out


def restore(observed: np.ndarray, scale: np.ndarray, traps: TrapTable, options: CorrectionOptions) -> np.ndarray:
    """Return the corrected columns, repaired by the rules of stis_cti's FixYCte."""
    rows, m = observed.shape
    current = observed.copy()
    todo = np.arange(m)
    for _ in range(MAX_ROUNDS):
        part = current[:, todo]
        for _ in range(options.sim_nit):
            passed = part
            for _ in range(options.shft_nit):
                passed = read_out(passed, scale[:, todo], traps)
            part = part + observed[:, todo] - passed
        current[:, todo] = part
        todo = np.array([c for c in todo if lower(current[:, c], observed[:, c], scale[:, c], options.oversub_thresh)])
        if len(todo) == 0:
            break
    return current


def lower(current: np.ndarray, observed: np.ndarray, scale: np.ndarray, threshold: float) -> bool:
    """Lower the scale of one column in place; return whether there was need."""
    rows = len(current)
    for i in range(2, rows - 2):
        if current[i] - observed[i] < threshold and current[i] < threshold:
            gained = np.flatnonzero(current[1:i] < observed[: i - 1])
            if len(gained) == 0:
                continue
            signal = max(observed[i], Extended(0))
            factor = signal / (signal - current[i]) if signal else Extended(0)
            scale[gained[-1] : i + 1] = np.maximum(scale[gained[-1] : i + 1] * factor, 0)
            for step, share in enumerate(REPAIR_TAPER, start=1):
                if i + step < rows:
                    scale[i + step] *= 1 - Extended(share) * (1 - factor)
            return True
    return False


def main() -> None:
    """Measure and print a markdown table."""
    choices = parser(__doc__)
    choices.add_argument("--columns", type=int, default=24)
    choices.add_argument("--seed", type=int, default=8)
    arguments = choices.parse_args()
    if np.finfo(Extended).nmant <= 52:
        choices.error("numpy.longdouble is no wider than float64 here")

    pctetab = Pctetab.default()
    options = pctetab.options(noise_model=0)
    traps = pctetab.traps(MJD)
    image = bright_repaired((1024, arguments.columns), np.random.default_rng(arguments.seed))
    frac, ones = np.array([1.5 * pctetab.time_scale(MJD)]), np.ones(arguments.columns)
    scale = trap_scale(frac, ones, 1024)[0]
    results = {"stis_cti": upstream.remove_cti(image, scale, upstream.tables(pctetab, MJD, 4), options)[0]}
    for name in ("numba", "numpy"):
        results[name] = get_backend(name).remove_cti(image[np.newaxis], frac, ones, traps, options).signal[0]
    exact = restore(image.astype(Extended), scale.astype(Extended), traps, options)

    rows = []
    for name, result in results.items():
        apart = np.abs(result - exact).max(axis=0).astype(float)
        rows.append([name, f"{np.median(apart):.1e}", f"{apart.max():.1e}", np.count_nonzero(apart > 1e-6)])
    publish(
        "Against extended precision",
        [
            machine("numpy", "numba", "stis_cti"),
            "",
            f"{arguments.columns} columns of 1024 pixels, every one repaired (1.5 times the trap density of MJD "
            f"{MJD:g}); largest difference in a column, electrons.",
            "",
            *table(["", "median column", "worst column", "columns beyond 1e-6"], rows),
        ],
        arguments.output,
    )


if __name__ == "__main__":
    main()
