"""gpucti removes charge-transfer-inefficiency trails from images of the STIS CCD on the Hubble Space Telescope."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gpucti._version import __version__

if TYPE_CHECKING:
    from gpucti.backends import get_backend
    from gpucti.compat import archive_dark_query, custom_superdark_info, stis_cti, viable_ccd_file
    from gpucti.correction import add_cti_arrays, correct_arrays
    from gpucti.errors import (
        ArchiveError,
        BackendUnavailable,
        EngineError,
        FolderInUseError,
        GpuctiError,
        InputError,
        MissingDarksError,
        MissingFileError,
        OutputExistsError,
        PlanError,
        ReferenceFileError,
    )
    from gpucti.extraction import x1d
    from gpucti.files import add_cti_files, correct_files
    from gpucti.options import CorrectionOptions, RunOptions
    from gpucti.pctetab import Pctetab
    from gpucti.pipeline import Report, correct, run
    from gpucti.planning import plan
    from gpucti.quicklook import plot_files
    from gpucti.superdarks import make_basedark, make_weekdark
    from gpucti.synthetic import simulate_visit

__all__ = [
    "ArchiveError",
    "BackendUnavailable",
    "CorrectionOptions",
    "EngineError",
    "FolderInUseError",
    "GpuctiError",
    "InputError",
    "MissingDarksError",
    "MissingFileError",
    "OutputExistsError",
    "Pctetab",
    "PlanError",
    "ReferenceFileError",
    "Report",
    "RunOptions",
    "__version__",
    "add_cti_arrays",
    "add_cti_files",
    "archive_dark_query",
    "correct",
    "correct_arrays",
    "correct_files",
    "custom_superdark_info",
    "get_backend",
    "make_basedark",
    "make_weekdark",
    "plan",
    "plot_files",
    "run",
    "simulate_visit",
    "stis_cti",
    "viable_ccd_file",
    "x1d",
]

_HOME = {
    "get_backend": "backends",
    "add_cti_arrays": "correction",
    "correct_arrays": "correction",
    "x1d": "extraction",
    "add_cti_files": "files",
    "correct_files": "files",
    "CorrectionOptions": "options",
    "RunOptions": "options",
    "Pctetab": "pctetab",
    "Report": "pipeline",
    "correct": "pipeline",
    "run": "pipeline",
    "plan": "planning",
    "plot_files": "quicklook",
    "make_basedark": "superdarks",
    "make_weekdark": "superdarks",
    "simulate_visit": "synthetic",
    "archive_dark_query": "compat",
    "custom_superdark_info": "compat",
    "stis_cti": "compat",
    "viable_ccd_file": "compat",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that ``gpucti --help`` does not wait for astropy and numba."""
    if name not in __all__:
        raise AttributeError(f"module 'gpucti' has no attribute {name!r}")
    return getattr(import_module(f"gpucti.{_HOME.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    return __all__
