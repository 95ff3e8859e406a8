"""What a user's arrays must be before they are corrected, and how results are given back."""

from __future__ import annotations

import operator
import sys
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gpucti.backends import get_backend
from gpucti.backends.base import Array, Backend
from gpucti.errors import InputError, ReferenceFileError
from gpucti.pctetab import Pctetab
from gpucti.readout import FULL_COLS, FULL_ROWS, steps_from_corner, to_readout

#: Rows of an untrimmed frame: image and virtual overscan; more cannot have been read out.
MAX_ROWS = 1044
NAN_CHOICES = ("raise", "keep")


@dataclass(frozen=True)
class Checked:
    """Arrays and numbers fit for the correction, and what is needed to give the result back."""

    stack: Array
    err: Array | None
    mjd: npt.NDArray[np.float64]
    gain: npt.NDArray[np.float64]
    origin: tuple[int, int] | None
    backend: Backend
    shape: tuple[int, ...]
    bad: Array | None
    original: Array

    def finish(self, stack: Array) -> Array:
        """Return a corrected stack in the user's shape, pixels that are no numbers put back."""
        if self.bad is not None:
            stack[self.bad] = self.original[self.bad]
        return stack.reshape(self.shape)


def check(
    sci: Any, table: Pctetab, mjd: Any, gain: Any, amp: str, err: Any, device: Any, nan: Any, origin: Any
) -> Checked:
    """Check everything that `gpucti.correct_arrays` is given; raise `InputError` for what cannot be right."""
    require_nan_choice(nan)
    image = _image("sci", sci)
    shape = tuple(int(size) for size in image.shape)
    stack = image.reshape((-1, *shape[-2:]))
    n, rows, cols = stack.shape
    place = _origin(origin, rows, cols)
    if place is not None and place[1] + cols > table.n_columns:
        raise InputError(
            f"origin is {place}: the array reaches column {place[1] + cols}, COL_SCALE of {table.name} has "
            f"{table.n_columns}"
        )
    if rows > MAX_ROWS or cols > table.n_columns:
        raise InputError(
            f"sci has {rows} rows and {cols} columns; expected at most {MAX_ROWS} and {table.n_columns}: "
            "subtract the bias and trim the overscan first"
        )

    xp = namespace(stack)
    finite = xp.isfinite(stack)
    bad = None
    original = stack
    if not bool(finite.all()):
        if nan == "raise":
            index = tuple(int(i) for i in xp.argwhere(~finite)[0])
            raise InputError(
                f"sci{list(index[-len(shape) :])} is {float(stack[index])}; expected finite counts "
                '(nan="keep" corrects round such pixels)'
            )
        bad = ~finite
        stack = xp.where(bad, stack.dtype.type(0), stack)

    errors = None
    if err is not None:
        errors = _image("err", err)
        if tuple(errors.shape) != shape:
            raise InputError(f"err has shape {tuple(errors.shape)}; expected that of sci, {shape}")
        if namespace(errors) is not xp:
            raise InputError("err and sci are different kinds of arrays; pass both as NumPy or both as CuPy")
        errors = errors.reshape(stack.shape)
    gains = _positive(per_image("gain", gain, n))
    with np.errstate(over="ignore"):
        largest = max(abs(float(stack.max())), abs(float(stack.min()))) * gains.max()
    if not np.isfinite(largest):
        raise InputError(f"sci times gain is up to {largest:g} electrons; expected finite charges")
    return Checked(
        stack=stack,
        err=errors,
        mjd=_covered(per_image("mjd", mjd, n), table),
        gain=gains,
        origin=place,
        backend=_backend(stack, device),
        shape=shape,
        bad=bad,
        original=original,
    )


def require_nan_choice(nan: Any) -> None:
    """Raise `InputError` unless `nan` is one of `NAN_CHOICES`."""
    if not isinstance(nan, str) or nan not in NAN_CHOICES:
        raise InputError(f"nan is {nan!r}; expected {' or '.join(map(repr, NAN_CHOICES))}")


def namespace(array: Any) -> Any:
    """Return the module, numpy or cupy, that an array belongs to."""
    cupy = sys.modules.get("cupy")
    return cupy if cupy is not None and isinstance(array, cupy.ndarray) else np


def per_image(name: str, value: Any, n: int) -> npt.NDArray[np.float64]:
    """Return one finite number per image, ``(n,)``; raise `InputError` naming the first that is not."""
    try:
        values = np.asarray(value)
        if values.dtype.kind not in "iuf":
            raise TypeError
        values = np.broadcast_to(values.astype(np.float64), (n,))
    except (TypeError, ValueError):
        raise InputError(f"{name} is {value!r}; expected one number, or one per image ({n})") from None
    if not np.isfinite(values).all():
        index = int(np.flatnonzero(~np.isfinite(values))[0])
        raise InputError(f"{name}[{index}] is {values[index]}; expected a finite number")
    return values


def column_scale(table: Pctetab, amp: str, cols: int, origin: tuple[int, int] | None) -> npt.NDArray[np.float64]:
    """Return the trap scale of the image's columns in readout orientation, ``(cols,)`` float64."""
    turned = to_readout(table.col_scale[amp][np.newaxis], amp)[0]
    start = 0 if origin is None else steps_from_corner(amp, origin[1], cols, len(turned))
    return np.array(turned[start : start + cols], dtype=np.float64)


def warn_if_extrapolated(table: Pctetab, mjd: npt.NDArray[np.float64]) -> None:
    """Warn, once per call, where the trap density is extrapolated."""
    if len(mjd) and mjd.max() > table.last_scale_mjd:
        warnings.warn(
            f"{table.name} gives the trap density up to MJD {table.last_scale_mjd:g}; "
            f"that of MJD {mjd.max():g} is extrapolated",
            UserWarning,
            stacklevel=3,
        )


def _image(name: str, array: Any) -> Array:
    """Return a 2-D or 3-D array of native float32 or float64 with pixels in it."""
    xp = namespace(array)
    if xp is np:
        if np.ma.isMaskedArray(array):
            raise InputError(f"{name} is a masked array; fill it first, or use NaN and nan='keep'")
        if hasattr(array, "mask") or hasattr(array, "unit"):
            kind = type(array).__name__
            raise InputError(f"{name} is a {kind}, whose mask or unit would be lost; pass the plain array of counts")
        try:
            array = np.asarray(array)
        except ValueError:
            raise InputError(f"{name} cannot be made an array (rows of different length?); pass an array") from None
    if array.dtype.kind not in "iufb":
        raise InputError(f"{name} has dtype {array.dtype}; expected real numbers")
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise InputError(
            f"{name} has shape {tuple(array.shape)}; expected (rows, cols) or (n, rows, cols), none of them 0"
        )
    single = array.dtype.kind == "f" and array.dtype.itemsize == 4
    return array.astype(np.float32 if single else np.float64, copy=False)  # and native byte order


def _origin(origin: Any, rows: int, cols: int) -> tuple[int, int] | None:
    if origin is None:
        return None
    try:
        row, col = (operator.index(value) for value in origin)
    except (TypeError, ValueError):
        raise InputError(f"origin is {origin!r}; expected (row, col), two whole numbers") from None
    if row < 0 or col < 0 or row + rows > FULL_ROWS or col + cols > FULL_COLS:
        raise InputError(
            f"origin is {(row, col)}: an array of {rows} x {cols} there does not lie on the "
            f"{FULL_ROWS} x {FULL_COLS} frame"
        )
    return row, col


def _covered(mjd: npt.NDArray[np.float64], table: Pctetab) -> npt.NDArray[np.float64]:
    """Return the dates if the table covers them all, else raise naming the first image."""
    for index, date in enumerate(mjd.tolist()):
        try:
            table.time_scale(date)
            table.epoch(date)
        except ReferenceFileError as error:
            raise ReferenceFileError(f"mjd[{index}]: {error}") from None
    return mjd


def _positive(gain: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    if not (gain > 0).all():
        index = int(np.flatnonzero(~(gain > 0))[0])
        raise InputError(f"gain[{index}] is {gain[index]:g}; expected electrons per count, above 0")
    return gain


def _backend(stack: Array, device: Any) -> Backend:
    """Choose the backend: a CuPy array decides it."""
    if hasattr(device, "remove_cti"):
        backend: Backend = device
        if namespace(stack) is not np and namespace(stack) is not backend.xp:
            raise InputError(f"sci is a CuPy array, which the backend {backend.name} cannot take")
        return backend
    if namespace(stack) is np:
        return get_backend(device)
    here = f"cuda:{stack.device.id}"
    wanted = "auto" if device is None else str(device)
    if wanted not in ("auto", "cuda", here, str(stack.device.id)):
        raise InputError(f"device is {wanted!r} but sci is a CuPy array on {here}; pass device='auto'")
    return get_backend(here)
