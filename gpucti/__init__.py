"""gpucti removes charge-transfer-inefficiency trails from images of the STIS CCD on the Hubble Space Telescope."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gpucti._version import __version__

if TYPE_CHECKING:
    from gpucti.backends import get_backend
    from gpucti.correction import add_cti_arrays, correct_arrays
    from gpucti.errors import (
        BackendUnavailable,
        GpuctiError,
        InputError,
        MissingFileError,
        OutputExistsError,
        ReferenceFileError,
    )
    from gpucti.files import add_cti_files, correct_files
    from gpucti.options import CorrectionOptions
    from gpucti.pctetab import Pctetab

__all__ = [
    "BackendUnavailable",
    "CorrectionOptions",
    "GpuctiError",
    "InputError",
    "MissingFileError",
    "OutputExistsError",
    "Pctetab",
    "ReferenceFileError",
    "__version__",
    "add_cti_arrays",
    "add_cti_files",
    "correct_arrays",
    "correct_files",
    "get_backend",
]

_HOME = {
    "get_backend": "backends",
    "add_cti_arrays": "correction",
    "correct_arrays": "correction",
    "add_cti_files": "files",
    "correct_files": "files",
    "CorrectionOptions": "options",
    "Pctetab": "pctetab",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that ``gpucti --help`` does not wait for astropy and numba."""
    if name not in __all__:
        raise AttributeError(f"module 'gpucti' has no attribute {name!r}")
    return getattr(import_module(f"gpucti.{_HOME.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    return __all__
