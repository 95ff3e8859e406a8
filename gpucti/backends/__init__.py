"""Choose a backend: once, at the edge, by name."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, NamedTuple, cast

from gpucti._lazy import submodules
from gpucti.backends.base import Backend
from gpucti.errors import BackendUnavailable, InputError

log = logging.getLogger(__name__)

#: Where ``auto`` looks, in this order.
PREFERENCE = ("cuda", "numba", "numpy")
#: Names the default.
VARIABLE = "GPUCTI_BACKEND"
ALLOWED = "auto, cpu, numpy, numba, cuda, cuda:N or a device number N"


class Available(NamedTuple):
    """One line of `available`: a backend, whether it runs here, with what or why not, and what mends that."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


def get_backend(name: str | int | Backend | None = None, *, threads: int | None = None) -> Backend:
    """Return the backend of that name; one that is chosen already is returned as it is.

    Parameters
    ----------
    name : str, int, Backend or None
        ``auto`` (the first of cuda, numba, numpy that runs), ``cpu`` (numba, else numpy), ``numpy``, ``numba``,
        ``cuda``, ``cuda:N``, or a device number ``N``. None: what the environment variable ``GPUCTI_BACKEND`` says,
        else ``auto``.
    threads : int, optional
        Threads that Numba computes on; by default all there are. The other backends have no such choice.

    Raises
    ------
    BackendUnavailable
        A backend asked for by name cannot run here; the message says why.
    InputError
        The name is none of these.
    """
    if hasattr(name, "remove_cti"):
        return cast(Backend, name)
    wanted = str((os.environ.get(VARIABLE) or "auto") if name is None else name).strip().lower()
    if wanted in ("auto", "cpu"):
        return _first_of(PREFERENCE if wanted == "auto" else PREFERENCE[1:], threads)
    try:
        return _make(wanted, threads)
    except InputError as error:
        if name is None:
            raise InputError(f"environment variable {VARIABLE}: {error}") from None
        raise


def available() -> list[Available]:
    """Return every backend with what it would run on, or why it cannot run here."""
    rows = []
    for name in PREFERENCE:
        try:
            backend = _make(name)
        except BackendUnavailable as error:
            rows.append(Available(name, False, error.found, error.remedy))
        else:
            rows.append(Available(name, True, backend.describe()))
    return rows


def compiled_code() -> Available | None:
    """Return where Numba's compiled code is kept, or why it cannot be kept; None where Numba does not run.

    A file is written there, read and removed.
    """
    try:
        from gpucti.backends._numba import NumbaBackend

        store = NumbaBackend().store
    except BackendUnavailable:
        return None
    store.probe()
    return Available("compiled code", not store.problem, store.problem or str(store.folder), store.remedy)


def _first_of(names: tuple[str, ...], threads: int | None) -> Backend:
    reasons: list[BackendUnavailable] = []
    for name in names:
        try:
            backend = _make(name, threads)
        except BackendUnavailable as error:
            reasons.append(error)
        else:
            # Worth more than a whisper: without Numba a CPU is a good deal slower than it need be; what is broken can
            # be mended.
            loud = backend.name == "numpy" or any(reason.broken for reason in reasons)
            level = logging.WARNING if loud else logging.INFO
            log.log(level, "backend %s%s", backend.name, "".join(f"; {reason}" for reason in reasons))
            return backend
    raise BackendUnavailable("; ".join(map(str, reasons)))


def _make(name: str, threads: int | None = None) -> Backend:
    if name == "numpy":
        from gpucti.backends._numpy import NumpyBackend

        return NumpyBackend()
    from gpucti.backends._optional import prove

    if name == "numba":
        from gpucti.backends._numba import NumbaBackend

        return prove(NumbaBackend(threads))
    device = "0" if name == "cuda" else name.removeprefix("cuda:")
    if device.isdecimal():
        from gpucti.backends._cuda import CudaBackend

        return prove(CudaBackend(int(device)))
    raise InputError(f"unknown backend {name!r}; expected {ALLOWED}")


if not TYPE_CHECKING:
    __getattr__ = submodules(__name__)
