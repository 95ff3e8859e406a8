"""The story of one image, or of a batch: counts in file orientation in, the same corrected out.

Counts become electrons, the image is turned so that the readout register is below row 0, the read noise is set aside,
the traps are undone, the noise comes back, electrons become counts, and the image is turned back.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gpucti import arrays
from gpucti.backends.base import Array, Backend
from gpucti.errors import InputError
from gpucti.options import CorrectionOptions
from gpucti.pctetab import Pctetab
from gpucti.readout import check_amp, first_row, from_readout, to_readout
from gpucti.traps import TrapTable

#: Share of the correction that is added in quadrature to the error (stis_cti YCte).
ERROR_SHARE = 0.1


class Corrected(NamedTuple):
    """What `correct_stack` returns.

    Attributes
    ----------
    sci, err : (n, rows, cols)
        Counts, orientation, kind and dtype as given; `err` is None if none was given.
    repairs : (n,) int64
        Columns of each image whose trap scale was lowered because a pixel came out over-subtracted.
    """

    sci: Array
    err: Array | None
    repairs: Array


def correct_stack(
    sci: Array,
    *,
    mjd: npt.NDArray[np.float64],
    gain: npt.NDArray[np.float64],
    amp: str,
    pctetab: Pctetab,
    options: CorrectionOptions,
    backend: Backend,
    err: Array | None = None,
    origin: tuple[int, int] | None = None,
) -> Corrected:
    """Correct a stack of images for CTI, a batch at a time.

    Parameters
    ----------
    sci, err : (n, rows, cols) float
        Counts, file orientation, finite. NumPy, or CuPy on the backend's device.
    mjd, gain : (n,) float64
        Start of each exposure; electrons per count.
    amp : str
        Amplifier of all of them.
    origin : (row, col) or None
        See `gpucti.correct_arrays`.
    """
    xp = arrays.namespace(sci)
    corrected = xp.empty(sci.shape, dtype=sci.dtype)
    sigma = None if err is None else xp.empty(err.shape, dtype=err.dtype)
    repaired = xp.zeros(len(sci), dtype=np.int64)
    for part, traps, setup in _batches(sci, mjd, amp, pctetab, options.shft_nit, backend, origin):
        per_count = backend.asarray(gain[part])[:, None, None]
        electrons = backend.asarray(to_readout(sci[part], amp)) * per_count  # counts -> electrons
        signal, noise = backend.split_noise(electrons, options)
        restored = backend.remove_cti(signal, traps=traps, options=options, **setup)
        del signal
        result = restored.signal
        result += noise
        del noise
        if err is not None and sigma is not None:
            change = electrons - result
            del electrons
            change *= ERROR_SHARE
            old = backend.asarray(to_readout(err[part], amp)) * per_count
            sigma_part = backend.xp.sqrt(old * old + change * change) / per_count
            sigma[part] = _give(backend, from_readout(sigma_part, amp), sigma)
        result /= per_count  # electrons -> counts
        corrected[part] = _give(backend, from_readout(result, amp), sci)
        repaired[part] = _give(backend, (restored.repairs > 0).sum(axis=1), repaired)
    return Corrected(corrected, sigma, repaired)


def add_cti_stack(
    sci: Array,
    *,
    mjd: npt.NDArray[np.float64],
    gain: npt.NDArray[np.float64],
    amp: str,
    pctetab: Pctetab,
    shft_nit: int,
    backend: Backend,
    origin: tuple[int, int] | None = None,
) -> Array:
    """Trail a stack of images as the readout would; arguments as in `correct_stack`."""
    xp = arrays.namespace(sci)
    trailed = xp.empty(sci.shape, dtype=sci.dtype)
    for part, traps, setup in _batches(sci, mjd, amp, pctetab, shft_nit, backend, origin):
        per_count = backend.asarray(gain[part])[:, None, None]
        electrons = backend.asarray(to_readout(sci[part], amp)) * per_count  # counts -> electrons
        result = backend.add_cti(electrons, traps=traps, **setup)
        result /= per_count  # electrons -> counts
        trailed[part] = _give(backend, from_readout(result, amp), sci)
    return trailed


def _batches(
    sci: Array,
    mjd: npt.NDArray[np.float64],
    amp: str,
    pctetab: Pctetab,
    shft_nit: int,
    backend: Backend,
    origin: tuple[int, int] | None,
) -> Iterator[tuple[Any, TrapTable, dict[str, Any]]]:
    """Yield which images go together (one epoch of the table, no more than fit), their traps and their scales."""
    n, rows, cols = sci.shape
    col_scale = arrays.column_scale(pctetab, amp, cols, origin)
    cte_frac = np.array([pctetab.time_scale(date) for date in mjd])
    epochs = [pctetab.epoch(date) for date in mjd]
    size = backend.images_per_batch(rows, cols)
    for epoch in dict.fromkeys(epochs):
        traps = pctetab.traps_of(epoch, shft_nit)
        members = np.flatnonzero([one is epoch for one in epochs])
        for start in range(0, len(members), size):
            part = members[start : start + size]
            setup = {"cte_frac": cte_frac[part], "col_scale": col_scale, "first_row": first_row(amp, rows, origin)}
            # consecutive images are a view, others a copy
            whole = slice(int(part[0]), int(part[-1]) + 1) if part[-1] - part[0] == len(part) - 1 else part
            yield whole, traps, setup


def _give(backend: Backend, array: Array, like: Array) -> Array:
    """Hand a result back as `like` is: rounded to its dtype before it leaves the device, if it leaves it."""
    array = array.astype(like.dtype, copy=False)
    return array if arrays.namespace(like) is backend.xp else backend.asnumpy(array)


# ---- what users call ------------------------------------------------------------------------------------


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
    **overrides: Any,
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
        Start of each exposure. None: the date at which the table's trap density is 1, with a `UserWarning`.
    gain : float or (n,) floats
        Electrons per count (header ATODGAIN).
    amp : {"A", "B", "C", "D"}
        Amplifier that read the images out (header CCDAMP).
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
        the frame starts at the readout corner.
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
    arrays.warn_if_extrapolated(table, checked.mjd)
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
    **overrides: Any,
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
    arrays.warn_if_extrapolated(table, checked.mjd)
    result = add_cti_stack(
        checked.stack, mjd=checked.mjd, gain=checked.gain, amp=amp, pctetab=table, shft_nit=options.shft_nit,
        backend=checked.backend, origin=checked.origin,
    )  # fmt: skip
    return checked.finish(result)


def _check(
    sci: Any, pctetab: Any, mjd: Any, gain: Any, amp: Any, err: Any, device: Any, nan: Any, origin: Any
) -> tuple[Pctetab, arrays.Checked]:
    check_amp(amp)
    table = _table(pctetab)
    if mjd is None:
        mjd = table.reference_mjd
        warnings.warn(
            f"no date given: using MJD {mjd:.1f}, at which the trap density of {table.name} is 1; pass mjd=",
            UserWarning,
            stacklevel=3,
        )
    return table, arrays.check(sci, table, mjd, gain, amp, err, device, nan, origin)


def _table(pctetab: Any) -> Pctetab:
    if pctetab is None:
        return Pctetab.default()
    if isinstance(pctetab, Pctetab):
        return pctetab
    if isinstance(pctetab, (str, os.PathLike)):
        return Pctetab.read(Path(pctetab))
    raise InputError(f"pctetab is {pctetab!r}; expected a path, a Pctetab or None")
