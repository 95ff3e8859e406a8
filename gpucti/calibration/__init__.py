"""Choose a calibration engine: once, at the edge, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpucti._lazy import submodules
from gpucti.backends.base import Backend
from gpucti.calibration.base import Engine
from gpucti.calibration.reffiles import References
from gpucti.errors import EngineError, InputError

#: Names of engines.
ENGINES = ("auto", "native", "hstcal")


def get_engine(name: str, backend: Backend, references: References | None = None) -> Engine:
    """Return the engine of that name.

    Parameters
    ----------
    name : {'auto', 'native', 'hstcal'}
        ``native`` is embedded; ``hstcal`` runs CalSTIS's own programs; ``auto`` takes for each exposure the native
        one where it can make all that the header asks for, else hstcal where that is installed, else the native one,
        which says what it leaves out.
    backend : Backend
        Computes, for the native engine.
    references : References, optional
        Finds and keeps the reference files; by default those of the process's environment.

    Raises
    ------
    EngineError
        ``hstcal`` is asked for and cannot run here; the message says why.
    InputError
        There is no engine of that name.
    """
    wanted = name.strip().lower()
    if wanted not in ENGINES:
        raise InputError(f"unknown engine {name!r}; expected {', '.join(ENGINES)}")
    from gpucti.calibration.auto import AutoEngine  # here: steps are imported without the engines
    from gpucti.calibration.native import NativeEngine

    references = References() if references is None else references
    if wanted == "native":
        return NativeEngine(backend, references)
    reason = ""
    try:
        hstcal = _hstcal(references)
    except EngineError as error:
        if wanted == "hstcal":
            raise
        hstcal, reason = None, str(error)
    if hstcal is not None and wanted == "hstcal":
        return hstcal
    return AutoEngine(NativeEngine(backend, references), hstcal, reason)


def _hstcal(references: References) -> Engine:
    from gpucti.calibration.hstcal import HstcalEngine, available

    runs, detail = available(references.environment)
    if not runs:
        raise EngineError(f"engine 'hstcal' cannot run here: {detail}")
    return HstcalEngine(references)


if not TYPE_CHECKING:
    __getattr__ = submodules(__name__)
