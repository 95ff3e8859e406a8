"""Arithmetic on images with errors and data quality, in single precision and CalSTIS's order of operations.

Every operation rounds to float32, left to right, and nothing is fused: the results have CalSTIS's bits.
Device-neutral: arrays of NumPy, or of `xp` throughout.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gpucti.backends.base import Array
from gpucti.detector import DQ_BAD_REFERENCE


class Pixels(NamedTuple):
    """SCI, ERR and DQ of one image: (rows, cols) float32, float32, int16."""

    sci: Array
    err: Array
    dq: Array


def subtract(image: Pixels, other: Pixels, xp: Any = np) -> Pixels:
    """Return `image` minus `other`; errors in quadrature, data quality combined."""
    with np.errstate(all="ignore"):  # overflow gives infinity, as in C
        return Pixels(image.sci - other.sci, _quadrature(image.err, other.err, xp), image.dq | other.dq)


def scale(image: Pixels, factor: float) -> Pixels:
    """Return SCI and ERR times `factor`, which is rounded to float32 first; unchanged where that is 1."""
    with np.errstate(all="ignore"):
        rounded = np.float32(factor)
        return image if rounded == 1 else Pixels(rounded * image.sci, rounded * image.err, image.dq)


def add_constant(image: Pixels, constant: float) -> Pixels:
    """Return `image` with `constant` added to SCI."""
    return image._replace(sci=np.float32(constant) + image.sci)


def multiply(image: Pixels, other: Pixels, xp: Any = np) -> Pixels:
    """Return `image` times `other`; data quality combined."""
    with np.errstate(all="ignore"):
        err = _quadrature(image.sci * other.err, other.sci * image.err, xp)
        return Pixels(image.sci * other.sci, err, image.dq | other.dq)


def divide(image: Pixels, other: Pixels, xp: Any = np) -> Pixels:
    """Return `image` over `other`; where `other` is zero SCI and ERR stay, and DQ gets 512."""
    zero = other.sci == 0
    with np.errstate(all="ignore"):
        share = other.err * image.sci
        share /= other.sci
        share /= other.sci
        sci, err = image.sci / other.sci, _quadrature(image.err / other.sci, share, xp)
    dq = image.dq | other.dq
    if zero.any():
        sci, err = xp.where(zero, image.sci, sci), xp.where(zero, image.err, err)
        dq |= zero.astype(np.int16) * np.int16(DQ_BAD_REFERENCE)
    return Pixels(sci, err, dq)


def initial_error(sci: Array, bias: np.float32, gain: np.float32, read_noise: np.float32, xp: Any = np) -> Array:
    """Return the error of raw counts: Poisson and read noise, (rows, cols) float32 counts.

    Parameters
    ----------
    sci : (rows, cols) float32
        Counts.
    bias : float32
        What is still to be taken off `sci`.
    gain : float32
        Electrons per count.
    read_noise : float32
        Electrons.
    """
    with np.errstate(all="ignore"):
        electrons = (sci - bias) * gain
        variance = electrons + read_noise * read_noise
        err = xp.sqrt(variance, dtype=np.float64)  # and divided in double: rounded once
        err /= np.float64(gain)
        return xp.where(electrons > 0, err.astype(np.float32), np.float32(read_noise / gain))


def _quadrature(a: Array, b: Array, xp: Any) -> Array:
    total = a * a
    total += b * b
    return xp.sqrt(total, out=total)
