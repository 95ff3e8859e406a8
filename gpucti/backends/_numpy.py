"""The definition: the correction in plain NumPy, to be read beside docs/algorithm.md.

All passes over a column run at once, each one row behind the pass before it, for many columns side by side: one step
here moves one row through every pass of every column. A *lane* is one pass of one column.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gpucti.backends._host import HostArrays, noise_steps
from gpucti.backends.base import (
    MAX_NOISE_STEPS,
    MAX_ROUNDS,
    MIN_NOISE_STEPS,
    NOISE_BOX_LIMIT,
    NOISE_STEP,
    REPAIR_TAPER,
    Array,
    Restored,
    check_scales,
    check_stack,
    check_traps,
    trap_scale,
)
from gpucti.model.traps import REFERENCE_ROW, TAIL, Floats, TrapTable
from gpucti.options import CorrectionOptions

#: Lanes worked on together: few enough that their segments stay in the second-level cache.
_LANES = 4096
#: Columns of the noise split worked on together, for the same reason.
_NOISE_COLUMNS = 32
#: Steps between two clearings of segments too old to hold anything.
_CLEARING = 16
_STRIDE = TAIL + _CLEARING + 1
#: Input of a pass that has not begun, or is past the last row: below every level, so it captures nothing.
_NO_CHARGE = -1.0
#: Top level of an unused slot; every step counts it among those to be filled anew.
_UNUSED = -2 * _STRIDE

Ints = npt.NDArray[np.int64]


class NumpyBackend(HostArrays):
    """See `Backend`. One thread."""

    name = "numpy"

    def describe(self) -> str:
        """See `Backend.describe`."""
        return f"NumPy {np.__version__}, 1 thread"

    def split_noise(self, stack: Array, options: CorrectionOptions) -> tuple[Array, Array]:
        """See `Backend.split_noise`."""
        check_stack(stack, np)
        if options.noise_model == 0:
            return stack.copy(), np.zeros_like(stack)
        noise = np.stack([_take_noise(image, options.read_noise) for image in stack])
        if options.noise_model == 1:
            for image in noise:
                _limit_noise(image, options.read_noise)
        return stack - noise, noise

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
        n, rows, cols = check_stack(signal, np)
        cte_frac, col_scale = check_scales(cte_frac, col_scale, n, cols)
        check_traps(traps, options)
        restored = signal.copy()
        repairs = np.zeros((n, cols), dtype=np.int32)
        kept = trap_scale(cte_frac, col_scale, rows, first_row) if keep_scale else None

        image, col = np.divmod(np.arange(n * cols), cols)
        repaired: dict[int, Floats] = {}  # the trap scale of the columns that were, by their number in the stack
        todo = np.arange(n * cols)
        for _ in range(MAX_ROUNDS):
            again = []
            for columns in np.array_split(todo, -(-len(todo) // max(1, _LANES // options.n_passes))):
                here = (image[columns], slice(None), col[columns])
                observed, current = signal[here].T, restored[here].T
                scale = cte_frac[image[columns]] * col_scale[col[columns]] * _rows(rows, first_row) / REFERENCE_ROW
                for k, number in enumerate(columns):
                    if number in repaired:
                        scale[:, k] = repaired[number]
                current = _restore(observed, current, scale, options.sim_nit, traps)
                restored[here] = current.T
                lowered = _lower_scale(current, observed, scale, options.oversub_thresh)
                repaired.update((int(columns[k]), scale[:, k].copy()) for k in lowered)
                again.append(columns[lowered])
            todo = np.concatenate(again)
            repairs[image[todo], col[todo]] += 1
            if len(todo) == 0:
                break
        if kept is not None:
            for number, scale in repaired.items():
                kept[image[number], :, col[number]] = scale
        return Restored(restored, repairs, kept)

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
        n, rows, cols = check_stack(signal, np)
        cte_frac, col_scale = check_scales(cte_frac, col_scale, n, cols)
        trailed = np.empty_like(signal)
        image, col = np.divmod(np.arange(n * cols), cols)
        for columns in np.array_split(np.arange(n * cols), -(-n * cols // max(1, _LANES // traps.shft_nit))):
            here = (image[columns], slice(None), col[columns])
            scale = cte_frac[image[columns]] * col_scale[col[columns]] * _rows(rows, first_row) / REFERENCE_ROW
            trailed[here] = _read_out(signal[here].T, scale, traps).T
        return trailed


def _rows(rows: int, first_row: int) -> Floats:
    return np.arange(first_row + 1.0, first_row + rows + 1.0)[:, np.newaxis]


class _Traps:
    """The traps of many lanes: a list of segments, in no order, each with the lane that owns it.

    A segment is the traps at the levels ``first .. top`` that were filled at the same row, `age` rows ago; of the top
    level the fraction `fill` is filled. Segments of a lane do not overlap, and the newest covers the lowest levels.
    `top` and `first` are kept as places in the flattened table `held`, so that place + age is an entry.
    """

    def __init__(self, lanes: int, traps: TrapTable) -> None:
        held = np.zeros((len(traps.levels), _STRIDE))
        held[:, :TAIL] = traps.held[:, :TAIL]
        self.held = held.ravel()
        self.next_level = np.append(np.diff(held, axis=0), np.zeros((1, _STRIDE)), axis=0).ravel()
        self.table = traps
        self.lanes = lanes
        self.trapped: Floats = np.zeros(lanes)  # electrons held in each lane after the last row
        slots = 8 * lanes
        self.used = 1  # of the slots; the first one starts empty
        self.owner = np.zeros(slots, dtype=np.intp)
        self.top = np.full(slots, _UNUSED, dtype=np.intp)
        self.first = np.zeros(slots, dtype=np.intp)
        self.age = np.zeros(slots, dtype=np.intp)
        self.fill = np.zeros(slots)
        self.scale = np.zeros(slots)

    def read_row(self, charge: Floats, scale: Floats, ratio: Floats | None) -> Floats:
        """Move one row through every lane: traps release, then capture; return what is read out, ``(lanes,)``.

        Charge is conserved: what is read out is what came in, plus what the traps held before, less what they hold
        after.
        """
        here = slice(self.used)
        owner, top, first, age = self.owner[here], self.top[here], self.first[here], self.age[here]
        before = self.trapped
        if ratio is not None:  # fewer traps than one row before: they hold less
            before = before * ratio
            self.scale[here] *= ratio[owner]

        age += 1
        place = top + age
        segment = self.held[place]
        segment += self.fill[here] * self.next_level[place]
        segment -= self.held[first + age]
        segment *= self.scale[here]
        after = np.asarray(np.bincount(owner, segment, self.lanes), dtype=np.float64)

        present = charge + (before - after)
        table = self.table
        level = table.level_of[np.clip(present, 0.0, len(table.level_of) - 1.0).astype(np.intp)]
        fill = np.minimum((present - table.levels[level]) * table.inverse_step[level], 1.0)
        captures = np.flatnonzero(present >= table.levels[0])
        reached: Ints = np.full(self.lanes, -_STRIDE, dtype=np.intp)
        reached[captures] = level[captures] * np.intp(_STRIDE)

        # Traps up to the level reached are emptied and filled afresh; those above keep their charge.
        reached_by_owner = reached[owner]
        swallowed = top <= reached_by_owner
        cut = np.flatnonzero((first <= reached_by_owner) & ~swallowed)
        emptied = np.flatnonzero(swallowed)
        after -= np.bincount(owner[emptied], segment[emptied], self.lanes)
        lanes_cut = owner[cut]
        higher = reached[lanes_cut] + _STRIDE
        lost = self.held[higher + age[cut]] - self.held[first[cut] + age[cut]]
        after[lanes_cut] -= self.scale[cut] * lost  # one such segment in a lane at most
        first[cut] = higher

        new_top: Ints = reached[captures]
        new_fill: Floats = fill[captures]
        new_scale: Floats = scale[captures]
        after[captures] += new_scale * (self.held[new_top] + new_fill * self.next_level[new_top])
        self._push(emptied, captures, new_top, new_fill, new_scale)
        self.trapped = after
        return charge + (before - after)

    def _push(self, free: Ints, owner: Ints, top: Ints, fill: Floats, scale: Floats) -> None:
        """Put new segments, from level 0 up, into the free slots and as many more as needed."""
        missing = len(owner) - len(free)
        if missing > 0:
            if self.used + missing > len(self.owner):
                self._grow(missing)
            free = np.concatenate([free, np.arange(self.used, self.used + missing)])
            self.used += missing
        taken, left_over = free[: len(owner)], free[len(owner) :]
        self.owner[taken] = owner
        self.top[taken] = top
        self.first[taken] = 0
        self.age[taken] = 0
        self.fill[taken] = fill
        self.scale[taken] = scale
        self._release_slots(left_over)

    def clear_old(self) -> None:
        """Free the slots of segments that hold nothing any more."""
        self._release_slots(np.flatnonzero(self.age[: self.used] >= TAIL))

    def _release_slots(self, slots: Ints) -> None:
        self.top[slots] = _UNUSED
        self.first[slots] = 0
        self.age[slots] = 0
        self.scale[slots] = 0.0

    def _grow(self, missing: int) -> None:
        more = max(missing, len(self.owner))
        for name in ("owner", "top", "first", "age", "fill", "scale"):
            array = getattr(self, name)
            setattr(self, name, np.concatenate([array, np.zeros(more, dtype=array.dtype)]))


def _restore(observed: Floats, current: Floats, scale: Floats, sim_nit: int, traps: TrapTable) -> Floats:
    """Return the columns ``(rows, m)`` after all iterations ``current += observed - readout(current)``."""
    return _sweep(current, observed, scale, sim_nit, traps)


def _read_out(charge: Floats, scale: Floats, traps: TrapTable) -> Floats:
    """Return the columns ``(rows, m)`` after one readout."""
    return _sweep(charge, None, scale, 1, traps)


def _sweep(start: Floats, observed: Floats | None, scale: Floats, sim_nit: int, traps: TrapTable) -> Floats:
    """Take the columns through ``sim_nit * shft_nit`` passes; with `observed`, each readout corrects the next start.

    Pass k works on row ``step - k``, so that all passes work at once on what they handed on one step before.
    """
    rows, m = start.shape
    passes = sim_nit * traps.shft_nit
    last = np.arange(1, sim_nit + 1) * traps.shft_nit - 1  # the pass that ends each simulated readout
    border = np.zeros((passes - 1, m))
    scale = np.concatenate([border, scale, border])  # rows outside the column come before and after it
    fall = np.ones_like(scale)
    np.divide(scale[passes:], scale[passes - 1 : -1], out=fall[passes:], where=scale[passes - 1 : -1] > 0)
    fall[:passes], fall[passes - 1 + rows :] = 1.0, 1.0
    np.minimum(fall, 1.0, out=fall)
    falls = np.any(fall < 1.0, axis=1)

    lanes = _Traps(passes * m, traps)
    charge = np.full((passes, m), _NO_CHARGE)
    current = np.full((passes, m), _NO_CHARGE)
    result = np.empty((rows, m))
    for step in range(rows + passes - 1):
        window = slice(step, step + passes)  # the row of the last pass first
        charge[0] = current[0] = start[step] if step < rows else _NO_CHARGE
        ratio = fall[window][::-1].ravel() if falls[window].any() else None
        charge = lanes.read_row(charge.ravel(), scale[window][::-1].ravel(), ratio).reshape(passes, m)
        if observed is not None:
            row = step - last
            inside = (row >= 0) & (row < rows)
            current[last[inside]] += observed[row[inside]] - charge[last[inside]]
            charge[last] = current[last]
        if step >= passes - 1:
            result[step - passes + 1] = charge[-1]
        charge[1:] = charge[:-1].copy()
        current[1:] = current[:-1].copy()
        if step % _CLEARING == 0:
            lanes.clear_old()
    return result


def _lower_scale(current: Floats, observed: Floats, scale: Floats, threshold: float) -> Ints:
    """Lower the trap scale round the first over-subtracted pixel of each column; return the columns lowered.

    All arrays are ``(rows, m)``; `scale` is changed. The rules, the index j - 1 among them, are those of stis_cti's
    ``FixYCte``: the scale falls from the nearest pixel towards the register that gained charge up to the
    over-subtracted one, and less and less over the four rows that follow.
    """
    rows, m = current.shape
    if rows < 5:
        return np.empty(0, dtype=np.intp)
    row = np.arange(rows)[:, np.newaxis]
    gained = np.zeros((rows, m), dtype=bool)
    gained[1:] = current[1:] < observed[:-1]
    nearest = np.maximum.accumulate(np.where(gained, row, -1), axis=0)
    low = (current - observed < threshold) & (current < threshold)
    mend = low[2:-2] & (nearest[1:-3] >= 1)
    columns = np.flatnonzero(mend.any(axis=0))
    i = np.argmax(mend[:, columns], axis=0) + 2
    source = nearest[i - 1, columns] - 1

    signal = np.maximum(observed[i, columns], 0.0)
    divisor = signal - current[i, columns]
    factor = np.zeros(len(columns))
    np.divide(signal, divisor, out=factor, where=(signal != 0) & (divisor != 0))
    between = (row >= source) & (row <= i)
    scale[:, columns] = np.where(between, np.maximum(scale[:, columns] * factor, 0.0), scale[:, columns])
    for distance, share in enumerate(REPAIR_TAPER, start=1):
        near = i + distance < rows
        scale[i[near] + distance, columns[near]] *= 1.0 - share * (1.0 - factor[near])
    return columns


def _take_noise(image: Floats, read_noise: float) -> Floats:
    """Return the noise of an image: what makes a pixel differ from its neighbour one row nearer the register.

    In each step a pixel moves towards that neighbour by at most a tenth of the read noise; enough steps are taken for
    the noise to reach its rms, between 25 and 30.
    """
    rows, cols = image.shape
    largest_change = NOISE_STEP * read_noise
    squares = np.zeros(MAX_NOISE_STEPS - MIN_NOISE_STEPS + 1)
    noise = np.empty_like(image)

    def run(steps: int) -> None:
        for left in range(0, cols, _NOISE_COLUMNS):
            strip = image[:, left : left + _NOISE_COLUMNS].copy()
            signal, taken = strip.copy(), np.zeros_like(strip)
            for step in range(1, steps + 1):
                change = np.diff(signal, axis=0)
                taken[1:] += np.clip(change, -largest_change, largest_change, out=change)
                np.subtract(strip, taken, out=signal)
                if step >= MIN_NOISE_STEPS:
                    squares[step - MIN_NOISE_STEPS] += np.vdot(taken, taken)
            noise[:, left : left + _NOISE_COLUMNS] = taken

    run(MAX_NOISE_STEPS)
    steps = noise_steps(squares, (rows - 1) * cols, read_noise)
    if steps < MAX_NOISE_STEPS:
        run(steps)
    return noise


def _limit_noise(noise: Floats, read_noise: float) -> None:
    """Scale the noise down, in place, where the rms of its 3 x 3 box exceeds 1.25 times the read noise.

    There a source is near, and what was taken for noise is part of it.
    """
    rows, cols = noise.shape
    if rows < 4 or cols < 3:
        return
    square = np.square(noise)
    tall = square[1:-2] + square[2:-1] + square[3:]  # of rows 2 .. rows - 2
    power = tall[:, 2:] + tall[:, 1:-1] + tall[:, :-2]  # of the box
    excess = np.sqrt(power / 9.0) / (NOISE_BOX_LIMIT * read_noise)
    noise[2:-1, 1:-1] /= np.maximum(excess, 1.0)
