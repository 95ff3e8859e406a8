"""Cosmic rays in a rectified wavecal: found by column, where the light of the lamp is the same in all lit rows."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gpucti.calibration.spectra.wavecal.lamps import SearchParameters
from gpucti.calibration.spectra.wavecal.peaks import ordered_sum
from gpucti.detector import DQ_COSMIC_RAY, DQ_MASKED


class _Clipped(NamedTuple):
    """Mean and standard deviation of each line of pixels, outliers left out, and how many values these are from."""

    used: npt.NDArray[np.intp]
    mean: npt.NDArray[np.float64]
    sigma: npt.NDArray[np.float64]


def flag_cosmic_rays(
    sci: npt.NDArray[Any], dq: npt.NDArray[Any], flags: int, parameters: SearchParameters
) -> npt.NDArray[Any]:
    """Return data quality with `DQ_COSMIC_RAY` where a cosmic ray hit (``FlagCR``).

    Parameters
    ----------
    sci : (rows, cols) float32
        A rectified wavecal.
    dq : (rows, cols) int16
        Data-quality bits; not changed.
    flags : int
        Bits that make a pixel bad; that of masked pixels is not among them.
    parameters : SearchParameters
        Limits.
    """
    # A column of the image becomes a row here: sorting runs along memory.
    pixels, bits = np.ascontiguousarray(sci.T, dtype=np.float32), np.ascontiguousarray(dq.T)
    good, masked = (bits & np.int16(flags)) == 0, (bits & DQ_MASKED) != 0
    with np.errstate(all="ignore"):  # pixels that are no numbers stay unflagged
        lit, dark = (_clipped(pixels, good & chosen, parameters) for chosen in (~masked, masked))
        sigma_lit = np.where(lit.used == 0, dark.sigma, lit.sigma)
        sigma_dark = np.where(dark.used == 0, lit.sigma, dark.sigma)
        hit = pixels > (lit.mean + parameters.nsig_cr * sigma_lit)[:, np.newaxis]
        hit &= good & ~masked
        rows = masked.any(axis=0)
        behind = pixels[:, rows]
        stray = behind > (dark.mean + parameters.nsig_cr * sigma_dark)[:, np.newaxis]
        stray &= np.abs(behind - lit.mean[:, np.newaxis]) > (parameters.nsig_ill * sigma_lit)[:, np.newaxis]
    hit[:, rows] |= stray & masked[:, rows]
    hit &= ((lit.used > 0) | (dark.used > 0))[:, np.newaxis]
    return np.where(hit.T, dq | DQ_COSMIC_RAY, dq)


def _clipped(pixels: npt.NDArray[np.float32], chosen: npt.NDArray[np.bool_], parameters: SearchParameters) -> _Clipped:
    """Return clipped mean and standard deviation of the chosen pixels of each row (``CleanMean``)."""
    n = chosen.sum(axis=1)
    some = chosen.any(axis=0)
    if not some.any():
        nothing = np.zeros(len(n))
        return _Clipped(n, nothing, nothing)
    values = np.sort(np.where(chosen[:, some], pixels[:, some], np.float32(np.inf)), axis=1)
    inside = np.arange(values.shape[1]) < n[:, np.newaxis]
    distance = np.abs(values - _middle(values, n)[:, np.newaxis])
    spread = _middle(np.sort(np.where(inside, distance, np.float32(np.inf)), axis=1), n)
    spread = np.where(spread < np.float64(parameters.min_mad), np.float32(parameters.min_mad), spread)
    kept = inside & (distance < (np.float64(parameters.mad_rej) * spread)[:, np.newaxis])
    count = kept.sum(axis=1)
    # In the order of the sorted values, one after the other.
    used = np.where(kept, values, np.float32(0)).astype(np.float64)
    total, squares = ordered_sum(used, 1), ordered_sum(used * used, 1)
    number = count.astype(np.float64)
    mean = np.where(count > 0, total / number, 0.0)
    sigma = np.sqrt(number / (number - 1.0) * (squares / number - mean * mean))
    sigma = np.where(count > 1, sigma, 0.0)
    # One or two values are not clipped.
    first, second = values[:, 0], values[:, min(1, values.shape[1] - 1)]
    mean = np.where(n > 2, mean, np.where(n > 0, first, 0.0))
    sigma = np.where(n > 2, sigma, np.where(n == 2, np.abs(first - second), 0.0))
    return _Clipped(np.where(n > 2, count, n), mean, sigma)


def _middle(ordered: npt.NDArray[np.float32], n: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
    """Return the median of the first n values of each sorted row, in single precision."""
    rows = np.arange(len(ordered))
    high = ordered[rows, np.minimum(n // 2, ordered.shape[1] - 1)]
    low = ordered[rows, np.maximum(n // 2 - 1, 0)]
    middle: npt.NDArray[np.float32] = np.where(n % 2 == 1, high, (low + high) / np.float32(2))
    return middle
