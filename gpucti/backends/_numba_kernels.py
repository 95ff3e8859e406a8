"""The loops of the Numba backend: one column at a time, all passes in one sweep over its rows.

Twins of the functions in `_numpy.py`. Nothing here allocates in a loop or holds the GIL.
A column's traps are, per pass, a stack of segments: traps at the levels ``first .. top`` that were filled
at the same row; the newest lies on top of the stack and covers the lowest levels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

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
#: Slots per stack: at most 60 live segments, one being pushed, and the bottom that is never popped.
SLOTS = np.uintp(64)
#: Top level of the bottom: above every level.
BOTTOM = np.uintp(2**30)
#: From one level to the next in the table of held charge, and the age from which nothing is held.
LEVEL, OLD = np.uintp(AGES), np.uintp(TAIL)
#: AGES is a power of two: what these bits leave of a place in the table is the age.
AGE_BITS = np.uintp(AGES - 1)
#: Columns a thread takes at a time: one cache line of float64.
BLOCK = 8

#: Columns of the noise split that go side by side, at most.
NOISE_COLUMNS = 64

JIT: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}


@njit(**JIT)
def _sweep(
    observed, current, scale, sim_nit, shft_nit, only_read,
    fraction, density, top, first, count, trapped, below, levels, inverse_step, level_of, held,
):  # fmt: skip
    """Take one column through all passes; `current` is start and result.

    Either ``sim_nit`` iterations of ``current += observed - readout(current)``, or, with `only_read`, one readout.

    The traps of pass k are the slots ``SLOTS * k ..`` of fraction (of the top level, filled), density (trap scale), top
    and first; `count` says how many are in use, `trapped` what they hold. `top` and `first` are level * AGES less the
    row of capture: adding the present row gives the place in the table, whose low bits are the age.

    All in one function, and arrays one by one: a call, or a tuple of arrays, costs more here than the arithmetic.
    """
    for k in range(count.size):
        count[k] = ONE
        trapped[k] = 0.0
        top[k * SLOTS] = BOTTOM
    below[0] = 0.0
    n_charges = level_of.size
    lowest = levels[0]
    above = scale[0]
    for i in range(observed.size):
        now = np.uintp(i)
        here = scale[i]
        fewer = here < above  # traps than one row before
        ratio = here / above if fewer else 1.0
        above = here
        corrected = current[i]
        k = ZERO
        for _ in range(sim_nit):
            x = corrected
            for _ in range(shft_nit):
                # Release. Charge is conserved: what is read out is what came in, plus what the traps held before,
                # less what they hold after.
                base = k * SLOTS
                end = base + count[k]
                before = trapped[k]
                if fewer:
                    before *= ratio
                    for m in range(base + ONE, end):
                        density[m] *= ratio
                if end > base + ONE and (top[base + ONE] + now) & AGE_BITS >= OLD:  # the oldest is empty by now
                    for m in range(base + ONE, end - ONE):
                        fraction[m] = fraction[m + ONE]
                        density[m] = density[m + ONE]
                        top[m] = top[m + ONE]
                        first[m] = first[m + ONE]
                    end -= ONE
                after = 0.0
                for m in range(base + ONE, end):
                    place = top[m] + now
                    full = held[place]
                    filled = full + fraction[m] * (held[place + LEVEL] - full)
                    after += density[m] * (filled - held[first[m] + now])
                    below[m - base] = after

                # Capture: the traps up to the level reached are emptied and filled afresh.
                charge = x + (before - after)
                if charge >= lowest:
                    level = level_of[n_charges - 1]
                    if charge < n_charges:
                        level = level_of[np.uintp(charge)]
                    part = (charge - levels[level]) * inverse_step[level]
                    if part > 1.0:
                        part = 1.0
                    reached = np.uintp(level) * LEVEL
                    while top[end - ONE] + now < reached + LEVEL:
                        end -= ONE
                    m = end - ONE
                    after = 0.0
                    if m > base:  # keeps its levels above the one reached
                        place = top[m] + now
                        full = held[place]
                        filled = full + fraction[m] * (held[place + LEVEL] - full)
                        lowest_left = reached + LEVEL + (place & AGE_BITS)
                        after = below[m - base - ONE] + density[m] * (filled - held[lowest_left])
                        first[m] = lowest_left - now
                    full = held[reached]
                    after += here * (full + part * (held[reached + LEVEL] - full))
                    fraction[end] = part
                    density[end] = here
                    top[end] = reached - now
                    first[end] = ZERO - now
                    end += ONE
                x += before - after
                trapped[k] = after
                count[k] = end - base
                k += ONE
            corrected += observed[i] - x
        current[i] = x if only_read else corrected


@njit(**JIT)
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
        for step in range(len(REPAIR_TAPER)):
            if i + 1 + step < rows:
                scale[i + 1 + step] *= 1.0 - REPAIR_TAPER[step] * (1.0 - factor)
        return True
    return False


@njit(**JIT)
def _column_scale(cte_frac, col_scale, first_row, scale):
    for i in range(scale.size):
        scale[i] = cte_frac * col_scale * (first_row + i + 1) / REFERENCE_ROW


@njit(**JIT)
def read_out_block(
    block, signal, cte_frac, col_scale, first_row, sim_nit, shft_nit, only_read, threshold,
    levels, inverse_step, level_of, held, result, repairs, final_scale,
):  # fmt: skip
    """Treat the columns ``BLOCK * block ...`` of a stack, counted through all images.

    They are corrected and repaired, or, with `only_read`, read out once.
    """
    n, rows, cols = signal.shape
    passes = sim_nit * shft_nit
    fraction, density = np.empty(passes * SLOTS), np.empty(passes * SLOTS)
    top, first = np.empty(passes * SLOTS, np.uintp), np.empty(passes * SLOTS, np.uintp)
    count, trapped, below = np.empty(passes, np.uintp), np.empty(passes), np.empty(SLOTS)
    observed = np.empty((BLOCK, rows))
    current = np.empty((BLOCK, rows))
    scale = np.empty(rows)
    per_image = (cols + BLOCK - 1) // BLOCK
    image = block // per_image
    left = (block % per_image) * BLOCK
    width = min(BLOCK, cols - left)
    for i in range(rows):  # a cache line at a time
        for c in range(width):
            observed[c, i] = signal[image, i, left + c]
            current[c, i] = observed[c, i]
    for c in range(width):
        _column_scale(cte_frac[image], col_scale[left + c], first_row, scale)
        lowered = 0
        for _ in range(MAX_ROUNDS):
            _sweep(
                observed[c], current[c], scale, sim_nit, shft_nit, only_read,
                fraction, density, top, first, count, trapped, below, levels, inverse_step, level_of, held,
            )  # fmt: skip
            if only_read or not _lower_scale(current[c], observed[c], scale, threshold):
                break
            lowered += 1
        repairs[image, left + c] = lowered
        if final_scale.size > 0:
            final_scale[image, :, left + c] = scale
    for i in range(rows):
        for c in range(width):
            result[image, i, left + c] = current[c, i]


@njit(**JIT)
def split_noise_block(left, right, image, steps, read_noise, noise, squares):
    """Take the noise of the columns ``left .. right - 1`` after `steps` steps; all steps in one sweep over the rows.

    `squares` receives the sums of the squared noise after the steps 25 to 30.
    """
    rows = image.shape[0]
    limit = NOISE_STEP * read_noise
    width = right - left
    previous = np.empty((MAX_NOISE_STEPS, NOISE_COLUMNS))  # signal of the row before, at each step
    observed = np.empty(NOISE_COLUMNS)
    signal = np.empty(NOISE_COLUMNS)
    removed = np.empty(NOISE_COLUMNS)
    squares[:] = 0.0
    for c in range(width):
        noise[0, left + c] = 0.0
        for j in range(steps):
            previous[j, c] = image[0, left + c]
    for i in range(1, rows):
        for c in range(width):
            observed[c] = image[i, left + c]
            signal[c] = observed[c]
            removed[c] = 0.0
        for j in range(steps):
            for c in range(width):
                s = signal[c]
                difference = s - previous[j, c]
                difference = limit if difference > limit else difference  # not min(): that keeps it from vectorising
                difference = -limit if difference < -limit else difference
                previous[j, c] = s
                removed[c] += difference
                signal[c] = observed[c] - removed[c]
            if j + 1 >= MIN_NOISE_STEPS:
                total = 0.0
                for c in range(width):
                    total += removed[c] * removed[c]
                squares[j + 1 - MIN_NOISE_STEPS] += total
        for c in range(width):
            noise[i, left + c] = removed[c]


@njit(**JIT)
def limit_noise_block(start, stop, image, noise, read_noise, limited, signal, soften):
    """Scale the noise of the rows ``start .. stop - 1`` down where its 3 x 3 box is too loud, and take it off."""
    rows, cols = image.shape
    for i in range(start, stop):
        for j in range(cols):
            value = noise[i, j]
            if soften and 1 < i < rows - 1 and 0 < j < cols - 1:
                power = 0.0
                for column in range(j + 1, j - 2, -1):
                    for line in range(i - 1, i + 2):
                        power += noise[line, column] * noise[line, column]
                excess = np.sqrt(power / 9.0) / (NOISE_BOX_LIMIT * read_noise)
                if excess > 1.0:
                    value /= excess
            limited[i, j] = value
            signal[i, j] = image[i, j] - value
