"""Arrays in, corrected arrays of the same kind out: `correct_arrays`, `add_cti_arrays`, and the checks of both."""

from __future__ import annotations

import operator
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from gpucti.backends import get_backend
from gpucti.backends.base import Array, Backend
from gpucti.correction.stack import add_cti_stack, correct_stack, namespace
from gpucti.detector import FULL_COLS, FULL_ROWS, OVERSCAN_ROWS, check_amp
from gpucti.errors import InputError, ReferenceFileError
from gpucti.model.doubts import doubts
from gpucti.model.pctetab import Pctetab
from gpucti.options import CorrectionArguments

#: Rows of an untrimmed frame: image and virtual overscan; more cannot have been read out.
MAX_ROWS = FULL_ROWS + OVERSCAN_ROWS
NAN_CHOICES = ("raise", "keep")


def correct_arrays(
    sci: Array,
    pctetab: Any = None,
    *,
    mjd: Any = None,
    gain: Any = 1.0,
    amp: str = "D",
    err: Array | None = None,
    device: str | int | Backend | None = "auto",
    nan: str = "raise",
    origin: tuple[int, int] | None = None,
    **overrides: Unpack[CorrectionArguments],
) -> Any:
    """Return images of the STIS CCD corrected for CTI trails.

    Parameters
    ----------
    sci : (rows, cols) or (n, rows, cols) array
        Counts, bias-subtracted, orientation as in the FITS file. NumPy, or CuPy (then the device is the array's and
        nothing visits the host). float32 and float64 are kept; other types come back as float64. Never changed.
    pctetab : path, Pctetab or None
        Reference table; None: the packaged one.
    mjd : float or (n,) floats, optional
        Start of each exposure. None: the date at which the table's trap density is 1, with a `UserWarning`; others
        say that a date lies past the table's, or before 2009-05-01, where about twice too much is put back.
    gain : float or (n,) floats
        Electrons per count (header ATODGAIN).
    amp : {"A", "B", "C", "D"}
        Amplifier that read the images out (header CCDAMP); the released tables are measured on D.
    err : array of the shape of `sci`, optional
        Errors in counts; a tenth of the correction is added in quadrature.
    device : str, int, Backend or None
        ``auto``, ``cpu``, ``numpy``, ``numba``, ``cuda``, ``cuda:N`` or ``N``, or what `gpucti.get_backend` returned;
        None: see there.
    nan : {"raise", "keep"}
        What to do about NaN and infinity in `sci`: refuse, naming the first index; or correct around them, as if they
        were zero, and put them back.
    origin : (row, col), optional
        Where pixel [0, 0] lies on the full 1024 x 1024 frame, 0-based, in file orientation. None: an array smaller than
        the frame starts at the readout corner. Else the rows that were read out before are taken for sky, and the first
        60 rows are as sure as that: what lay there is not known. Files have DQ for it; arrays do not.
    **overrides
        ``read_noise, noise_model, oversub_thresh, sim_nit, shft_nit`` in place of the table's; see `CorrectionOptions`.

    Returns
    -------
    array, or (array, array) if `err` is given
        Corrected counts (and errors), same kind, shape and orientation.

    Raises
    ------
    InputError
        Wrong shape or type, unknown amplifier, gain not positive, NaN or infinity, an unknown option.
    ReferenceFileError
        The table is unreadable or does not cover the date.
    BackendUnavailable
        The device asked for cannot run here.

    References
    ----------
    Anderson & Bedin 2010, PASP 122, 1035.

    Examples
    --------
    >>> import numpy as np, gpucti
    >>> trailed = np.random.default_rng(1).poisson(20.0, (1024, 4)).astype(np.float32)
    >>> clean = gpucti.correct_arrays(trailed, mjd=57000.0, device="numpy")
    >>> clean.shape, clean.dtype
    ((1024, 4), dtype('float32'))
    """
    table, checked = _check(sci, pctetab, mjd, gain, amp, err, device, nan, origin)
    options = table.options(**overrides)
    _warn_of_dates(table, checked.mjd)
    result = correct_stack(
        checked.stack, mjd=checked.mjd, gain=checked.gain, amp=amp, pctetab=table, options=options,
        backend=checked.backend, err=checked.err, origin=checked.origin,
    )  # fmt: skip
    clean = checked.finish(result.sci)
    return clean if result.err is None else (clean, result.err.reshape(checked.shape))


def add_cti_arrays(
    sci: Array,
    pctetab: Any = None,
    *,
    mjd: Any = None,
    gain: Any = 1.0,
    amp: str = "D",
    device: str | int | Backend | None = "auto",
    nan: str = "raise",
    origin: tuple[int, int] | None = None,
    **overrides: Unpack[CorrectionArguments],
) -> Any:
    """Return images as the readout of the STIS CCD would trail them: the forward model.

    Arguments, result and errors as in `correct_arrays`; of the options only ``shft_nit`` matters.

    Examples
    --------
    >>> import numpy as np, gpucti
    >>> star = np.zeros((1024, 1))
    >>> star[800] = 1000.0
    >>> trail = gpucti.add_cti_arrays(star, mjd=57000.0, device="numpy")
    >>> bool(trail[800, 0] < 1000.0), bool(trail[799, 0] > 0.0)  # amplifier D reads the last row first
    (True, True)
    """
    table, checked = _check(sci, pctetab, mjd, gain, amp, None, device, nan, origin)
    options = table.options(**overrides)
    _warn_of_dates(table, checked.mjd)
    result = add_cti_stack(
        checked.stack, mjd=checked.mjd, gain=checked.gain, amp=amp, pctetab=table, shft_nit=options.shft_nit,
        backend=checked.backend, origin=checked.origin,
    )  # fmt: skip
    return checked.finish(result)


def _check(
    sci: Any, pctetab: Any, mjd: Any, gain: Any, amp: Any, err: Any, device: Any, nan: Any, origin: Any
) -> tuple[Pctetab, Checked]:
    check_amp(amp)
    table = _table(pctetab)
    if mjd is None:
        mjd = table.reference_mjd
        warnings.warn(
            f"no date given: using MJD {mjd:.1f}, at which the trap density of {table.name} is 1; pass mjd=",
            UserWarning,
            stacklevel=3,
        )
    return table, check(sci, table, mjd, gain, amp, err, device, nan, origin)


def _table(pctetab: Any) -> Pctetab:
    if pctetab is None:
        return Pctetab.default()
    if isinstance(pctetab, Pctetab):
        return pctetab
    if isinstance(pctetab, (str, os.PathLike)):
        return Pctetab.read(Path(pctetab))
    raise InputError(f"pctetab is {pctetab!r}; expected a path, a Pctetab or None")


# ---- what arrays must be --------------------------------------------------------------------------------


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


def _warn_of_dates(table: Pctetab, mjd: npt.NDArray[np.float64]) -> None:
    """Warn, once per call, of dates that the table was not measured at."""
    for doubt in doubts(table, mjd.tolist()):
        warnings.warn(doubt, UserWarning, stacklevel=3)
    if len(mjd) and table.extrapolates(mjd.max()):
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
            raise error.at(f"mjd[{index}]") from None
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
