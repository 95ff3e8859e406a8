"""Statistics of good pixels, written into the SCI and ERR headers (CalSTIS 3.5.0, `doStat`)."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.io import fits

from gpucti.backends.base import Array
from gpucti.calibration.reffiles import stored


def serious_bits(sdqflags: int) -> np.int16:
    """Return SDQFLAGS as the 16-bit mask that data-quality pixels are compared with."""
    return np.int16((int(sdqflags) + 0x8000) % 0x10000 - 0x8000)


def do_statistics(
    sci: Array,
    err: Array,
    dq: Array,
    sdqflags: int,
    sci_header: fits.Header,
    err_header: fits.Header,
    xp: Any = np,
) -> None:
    """Write NGOODPIX, GOODMIN, GOODMAX, GOODMEAN and, for SCI, SNRMIN, SNRMAX, SNRMEAN into the headers.

    A pixel is good if no bit of `sdqflags` is set, and if it has an error where SCI is above zero. Without good
    pixels only NGOODPIX is written.

    Parameters
    ----------
    sci, err : (rows, cols) float32
        One image and its errors.
    dq : (rows, cols) int16
        Data-quality bits.
    sdqflags : int
        Bits that count as bad.
    sci_header, err_header : fits.Header
        Changed.
    """
    good = (dq & serious_bits(sdqflags)) == 0
    good &= ~((err <= 0) & (sci > 0))
    count = int(good.sum())
    for header in (sci_header, err_header):
        header["NGOODPIX"] = (count, "good pixels")
    if not count:
        return
    if count < good.size:
        sci, err = sci[good], err[good]
    with np.errstate(all="ignore"):
        ratio = xp.divide(sci, err, dtype=np.float64)
    if not float(err.min()) > 0:
        ratio = xp.where(err <= 0, 0.0, ratio)  # zero over zero counts as no signal
    for header, values, prefix, what in (
        (sci_header, sci, "GOOD", "value"),
        (sci_header, ratio, "SNR", "signal to noise"),
        (err_header, err, "GOOD", "error"),
    ):
        for name, value in zip(("MIN", "MAX", "MEAN"), _extent(values, xp), strict=True):
            header[f"{prefix}{name}"] = (stored(value), f"{name.lower()} {what} of good pixels")


def _extent(values: Array, xp: Any) -> tuple[float, float, float]:
    """Return minimum, maximum and mean; FITS has no NaN or infinity, so those are left out."""
    mean = float(values.mean(dtype=np.float64))
    if not np.isfinite(mean):
        values = values[xp.isfinite(values)]
        if not values.size:
            return 0.0, 0.0, 0.0
        mean = float(values.mean(dtype=np.float64))
    return float(values.min()), float(values.max()), mean
