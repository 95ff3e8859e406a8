"""The loops of the Numba backend: one column at a time, all passes in one sweep over its rows.

Twins of the functions in `_numpy.py`. Nothing here allocates in a loop or holds the GIL.
A column's traps are, per pass, a stack of segments: traps at the levels ``first .. top`` that were filled
at the same row; the newest lies on top of the stack and covers the lowest levels. The names are those of the table
in docs/algorithm.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from gpucti.backends._numba_cache import keep, open_store
from gpucti.backends.base import (
    MAX_NOISE_STEPS,
    MAX_ROUNDS,
    MIN_NOISE_STEPS,
    NOISE_BOX_LIMIT,
    NOISE_STEP,
    REPAIR_TAPER,
)
from gpucti.model.traps import AGES, REFERENCE_ROW, TAIL

# Unsigned, and never mixed with signed: Numba then leaves out the test for negative indices.
ZERO, ONE = np.uintp(0), np.uintp(1)
#: Slots per stack: the guard in slot 0, which is never popped, at most 60 live segments, and one being pushed.
SLOTS = np.uintp(64)
#: Top level of the guard: above every level.
GUARD = np.uintp(2**30)
#: From one level to the next in the table of held charge, and the age from which nothing is held.
LEVEL, OLD = np.uintp(AGES), np.uintp(TAIL)
#: AGES is a power of two: what these bits leave of a place in the table is the age.
AGE_BITS = np.uintp(AGES - 1)
#: Columns a thread takes at a time: one cache line of float64.
BLOCK = 8

#: Columns of the noise split that go side by side, at most.
NOISE_COLUMNS = 64

#: Where the compiled code is kept.
STORE = open_store()


def kernel(function: Any) -> Any:
    """Compile a function at its first call."""
    return keep(njit(nogil=True, error_model="numpy")(function), STORE)


@kernel
def _sweep(
    observed, current, read_out, scale, sim_nit, shft_nit,
    fill, segment_scale, top, first, count, trapped, older, levels, inverse_step, level_of, held,
):  # fmt: skip
    """Take one column through ``sim_nit`` iterations of ``current += observed - readout(current)``.

    `current` is start and result; `read_out` receives what the last simulated readout gave.

    The segments of pass k are the slots ``SLOTS * k ..`` of fill, segment_scale, top and first; `count` says how many
    are in use, `trapped` what they hold. `top` and `first` are level * AGES less the row of capture: adding the present
    row gives the place in the table, whose low bits are the age.

    All in one function, and arrays one by one: a call, or a tuple of arrays, costs more here than the arithmetic.
    """
    for k in range(count.size):
        count[k] = ONE
        trapped[k] = 0.0
        top[k * SLOTS] = GUARD
    older[0] = 0.0
    n_charges = level_of.size
    lowest = levels[0]
    scale_before = scale[0]
    for i in range(observed.size):
        row = np.uintp(i)
        scale_here = scale[i]
        falls = scale_here < scale_before  # fewer traps than one row before
        ratio = scale_here / scale_before if falls else 1.0
        scale_before = scale_here
        estimate = current[i]
        charge = estimate
        k = ZERO
        for _ in range(sim_nit):
            charge = estimate
            for _ in range(shft_nit):
                # Release. Charge is conserved: what is read out is what came in, plus what the traps held before,
                # less what they hold after.
                base = k * SLOTS
                end = base + count[k]
                before = trapped[k]
                if falls:
                    before *= ratio
                    for m in range(base + ONE, end):
                        segment_scale[m] *= ratio
                if end > base + ONE and (top[base + ONE] + row) & AGE_BITS >= OLD:  # the oldest is empty by now
                    for m in range(base + ONE, end - ONE):
                        fill[m] = fill[m + ONE]
                        segment_scale[m] = segment_scale[m + ONE]
                        top[m] = top[m + ONE]
                        first[m] = first[m + ONE]
                    end -= ONE
                after = 0.0
                for m in range(base + ONE, end):
                    place = top[m] + row
                    full = held[place]
                    filled = full + fill[m] * (held[place + LEVEL] - full)
                    after += segment_scale[m] * (filled - held[first[m] + row])
                    older[m - base] = after

                # Capture: the traps up to the level reached are emptied and filled afresh.
                present = charge + (before - after)
                if present >= lowest:
                    level = level_of[n_charges - 1]
                    if present < n_charges:
                        level = level_of[np.uintp(present)]
                    new_fill = (present - levels[level]) * inverse_step[level]
                    if new_fill > 1.0:
                        new_fill = 1.0
                    reached = np.uintp(level) * LEVEL
                    while top[end - ONE] + row < reached + LEVEL:
                        end -= ONE
                    m = end - ONE
                    after = 0.0
                    if m > base:  # keeps its levels above the one reached
                        place = top[m] + row
                        full = held[place]
                        filled = full + fill[m] * (held[place + LEVEL] - full)
                        higher = reached + LEVEL + (place & AGE_BITS)
                        after = older[m - base - ONE] + segment_scale[m] * (filled - held[higher])
                        first[m] = higher - row
                    full = held[reached]
                    after += scale_here * (full + new_fill * (held[reached + LEVEL] - full))
                    fill[end] = new_fill
                    segment_scale[end] = scale_here
                    top[end] = reached - row
                    first[end] = ZERO - row
                    end += ONE
                charge += before - after
                trapped[k] = after
                count[k] = end - base
                k += ONE
            estimate += observed[i] - charge
        current[i] = estimate
        read_out[i] = charge


@kernel
def _lower_scale(current, observed, scale, threshold):
    """Lower the trap scale round the first over-subtracted pixel; return whether there was one to mend.

    The rules, the index j - 1 among them, are those of stis_cti's FixYCte.
    """
    rows = current.size
    for i in range(2, rows - 2):
        if not (current[i] - observed[i] < threshold and current[i] < threshold):
            continue
        source = -1  # the nearest pixel towards the register that gained charge
        for j in range(i - 1, 0, -1):
            if current[j] < observed[j - 1]:
                source = j - 1
                break
        if source < 0:
            continue
        signal = max(observed[i], 0.0)
        divisor = signal - current[i]
        factor = 0.0
        if signal != 0.0 and divisor != 0.0:
            factor = signal / divisor
        for j in range(source, i + 1):
            scale[j] = max(scale[j] * factor, 0.0)
        for k in range(len(REPAIR_TAPER)):
            if i + 1 + k < rows:
                scale[i + 1 + k] *= 1.0 - REPAIR_TAPER[k] * (1.0 - factor)
        return True
    return False


@kernel
def _column_scale(cte_frac, col_scale, first_row, scale):
    for i in range(scale.size):
        scale[i] = cte_frac * col_scale * (first_row + i + 1) / REFERENCE_ROW


@kernel
def _stacks(passes):
    """Return the room for the segments of all passes over a column, in the order of `_sweep`'s arguments."""
    slots = passes * SLOTS
    fill, segment_scale = np.empty(slots), np.empty(slots)
    top, first = np.empty(slots, np.uintp), np.empty(slots, np.uintp)
    count, trapped, older = np.empty(passes, np.uintp), np.empty(passes), np.empty(SLOTS)
    return fill, segment_scale, top, first, count, trapped, older


@kernel
def _block(block, cols):
    """Return image and columns ``left .. right - 1`` of a block, counted through all images of a stack."""
    per_image = (cols + BLOCK - 1) // BLOCK
    left = (block % per_image) * BLOCK
    return block // per_image, left, min(left + BLOCK, cols)


@kernel
def remove_cti_block(
    block, signal, cte_frac, col_scale, first_row, sim_nit, shft_nit, threshold,
    levels, inverse_step, level_of, held, restored, repairs, final_scale,
):  # fmt: skip
    """Correct the columns of a block, repairs included; fill `final_scale` unless it is empty."""
    rows = signal.shape[1]
    fill, segment_scale, top, first, count, trapped, older = _stacks(sim_nit * shft_nit)
    image, left, right = _block(block, signal.shape[2])
    observed = signal[image, :, left:right].T.copy()  # a cache line at a time
    current = observed.copy()
    read_out = np.empty(rows)
    scale = np.empty(rows)
    for c in range(right - left):
        _column_scale(cte_frac[image], col_scale[left + c], first_row, scale)
        lowered = 0
        for _ in range(MAX_ROUNDS):
            _sweep(
                observed[c], current[c], read_out, scale, sim_nit, shft_nit,
                fill, segment_scale, top, first, count, trapped, older, levels, inverse_step, level_of, held,
            )  # fmt: skip
            if not _lower_scale(current[c], observed[c], scale, threshold):
                break
            lowered += 1
        repairs[image, left + c] = lowered
        if final_scale.size > 0:
            final_scale[image, :, left + c] = scale
    restored[image, :, left:right] = current.T


@kernel
def add_cti_block(
    block, signal, cte_frac, col_scale, first_row, shft_nit, levels, inverse_step, level_of, held, trailed,
):  # fmt: skip
    """Read the columns of a block out once."""
    rows = signal.shape[1]
    fill, segment_scale, top, first, count, trapped, older = _stacks(shft_nit)
    image, left, right = _block(block, signal.shape[2])
    observed = signal[image, :, left:right].T.copy()
    current = observed.copy()
    read_out = np.empty((right - left, rows))
    scale = np.empty(rows)
    for c in range(right - left):
        _column_scale(cte_frac[image], col_scale[left + c], first_row, scale)
        _sweep(
            observed[c], current[c], read_out[c], scale, 1, shft_nit,
            fill, segment_scale, top, first, count, trapped, older, levels, inverse_step, level_of, held,
        )  # fmt: skip
    trailed[image, :, left:right] = read_out.T


@kernel
def split_noise_block(left, right, image, steps, read_noise, noise, squares):
    """Take the noise of the columns ``left .. right - 1`` after `steps` steps; all steps in one sweep over the rows.

    `squares` receives the sums of the squared noise after the steps 25 to 30.
    """
    rows = image.shape[0]
    largest_change = NOISE_STEP * read_noise
    width = right - left
    previous = np.empty((MAX_NOISE_STEPS, NOISE_COLUMNS))  # signal of the row before, at each step
    value = np.empty(NOISE_COLUMNS)
    signal = np.empty(NOISE_COLUMNS)
    taken = np.empty(NOISE_COLUMNS)
    squares[:] = 0.0
    for c in range(width):
        noise[0, left + c] = 0.0
        for j in range(steps):
            previous[j, c] = image[0, left + c]
    for i in range(1, rows):
        for c in range(width):
            value[c] = image[i, left + c]
            signal[c] = value[c]
            taken[c] = 0.0
        for j in range(steps):
            for c in range(width):
                s = signal[c]
                change = s - previous[j, c]
                change = largest_change if change > largest_change else change  # min() would not be vectorised
                change = -largest_change if change < -largest_change else change
                previous[j, c] = s
                taken[c] += change
                signal[c] = value[c] - taken[c]
            if j + 1 >= MIN_NOISE_STEPS:
                total = 0.0
                for c in range(width):
                    total += taken[c] * taken[c]
                squares[j + 1 - MIN_NOISE_STEPS] += total
        for c in range(width):
            noise[i, left + c] = taken[c]


@kernel
def limit_noise_block(start, stop, image, noise, read_noise, limited, signal, limiting):
    """Take the noise off the rows ``start .. stop - 1``; if `limiting`, less of it where its 3 x 3 box is too loud."""
    rows, cols = image.shape
    limit = NOISE_BOX_LIMIT * read_noise
    for i in range(start, stop):
        for j in range(cols):
            value = noise[i, j]
            if limiting and 1 < i < rows - 1 and 0 < j < cols - 1:
                power = 0.0
                for column in range(j + 1, j - 2, -1):
                    for line in range(i - 1, i + 2):
                        power += noise[line, column] * noise[line, column]
                excess = np.sqrt(power / 9.0) / limit
                if excess > 1.0:
                    value /= excess
            limited[i, j] = value
            signal[i, j] = image[i, j] - value
