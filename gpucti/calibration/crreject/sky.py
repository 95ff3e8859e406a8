"""The sky of an image, as CalSTIS's ocrreject finds it before images are compared."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpucti.backends.base import Array
from gpucti.errors import InputError

f32 = np.float32
#: The histogram: lowest value looked at, and bins at most (counts).
SKY_MINIMUM, SKY_BINS = -1000, 2**26


def sky_mode(sci: Array, dq: Array, xp: Any) -> np.float32:
    """Return the most frequent value of the pixels without any data-quality bit, counts.

    Histogram bins are 1 count wide, but counts truncate towards zero, so that the bin of 0 is 2 wide; the peak is
    refined by a parabola. 0 without good pixels.
    """
    good = sci[dq == 0]
    if good.size == 0:
        return f32(0)
    lowest = min(f32(0), f32(float(good.min())))
    low = SKY_MINIMUM if lowest < SKY_MINIMUM else int(lowest) - 1
    mean = float(f32(float(xp.cumsum(good, dtype=f32)[-1])) / f32(good.size))  # a running sum, as in the original
    high = 1 if mean <= 0 else 2 * int(min(mean, SKY_BINS) + 1)
    if high - low >= SKY_BINS:
        raise InputError(f"the mean of an image is {mean:g} counts; expected less than {SKY_BINS // 2}")
    good = good[(good > f32(low - 1)) & (good < f32(high + 1))]
    counts = xp.bincount(good.astype(np.int32) - low, minlength=high - low + 1)
    peak = int(counts.argmax())
    if peak in (0, high - low):
        return f32(low + peak + 0.5)
    before, top, after = (f32(int(count)) for count in counts[peak - 1 : peak + 2])
    rise, fall = top - before, top - after
    middle = f32(peak + 1 + 0.5 * float(rise - fall) / float(rise + fall))
    return f32(low + (float(middle) - 0.5))
