"""gpucti removes charge-transfer-inefficiency trails from images of the STIS CCD on the Hubble Space Telescope."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from gpucti._lazy import submodules
from gpucti._version import __version__

if TYPE_CHECKING:
    from typing import Any

    from gpucti import (
        archive as archive,
        backends as backends,
        calibration as calibration,
        compat as compat,
        correction as correction,
        darks as darks,
        demo as demo,
        detector as detector,
        doctor as doctor,
        errors as errors,
        io as io,
        kernels as kernels,
        model as model,
        options as options,
        pipeline as pipeline,
        plots as plots,
        progress as progress,
        references as references,
        synthetic as synthetic,
    )
    from gpucti.archive import download as _download
    from gpucti.backends import get_backend
    from gpucti.calibration.spectra.x1d.files import x1d
    from gpucti.compat import archive_dark_query, custom_superdark_info, stis_cti, viable_ccd_file
    from gpucti.correction.arrays import add_cti_arrays, correct_arrays
    from gpucti.correction.files import add_cti_files, correct_files
    from gpucti.darks import anneals as anneals, weeks as weeks
    from gpucti.darks.superdarks import make_basedark, make_weekdark
    from gpucti.errors import (
        ArchiveError,
        BackendUnavailable,
        EngineError,
        Failure,
        FolderInUseError,
        GpuctiError,
        InputError,
        MissingDarksError,
        MissingFileError,
        MissingPackageError,
        OutputExistsError,
        PlanError,
        ReferenceFileError,
        SomeFailedError,
        UnsuitableFileError,
    )
    from gpucti.model import traps as traps
    from gpucti.model.pctetab import Pctetab
    from gpucti.options import CorrectionOptions
    from gpucti.pipeline.options import RunOptions
    from gpucti.pipeline.planning import text as _text
    from gpucti.pipeline.planning.planner import plan
    from gpucti.pipeline.running.run import Report, correct, run
    from gpucti.plots.files import plot_files
    from gpucti.references import crds as crds
    from gpucti.synthetic import scenes as _scenes, simulate_visit

    archive_download, plan_table, simulate = _download, _text, _scenes

__all__ = [
    "ArchiveError",
    "BackendUnavailable",
    "CorrectionOptions",
    "EngineError",
    "Failure",
    "FolderInUseError",
    "GpuctiError",
    "InputError",
    "MissingDarksError",
    "MissingFileError",
    "MissingPackageError",
    "OutputExistsError",
    "Pctetab",
    "PlanError",
    "ReferenceFileError",
    "Report",
    "RunOptions",
    "SomeFailedError",
    "UnsuitableFileError",
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

#: Where the public names are defined; exceptions are in `errors`.
_HOME = {
    "get_backend": "backends",
    "x1d": "calibration.spectra.x1d.files",
    "archive_dark_query": "compat",
    "custom_superdark_info": "compat",
    "stis_cti": "compat",
    "viable_ccd_file": "compat",
    "add_cti_arrays": "correction.arrays",
    "correct_arrays": "correction.arrays",
    "add_cti_files": "correction.files",
    "correct_files": "correction.files",
    "make_basedark": "darks.superdarks",
    "make_weekdark": "darks.superdarks",
    "Pctetab": "model.pctetab",
    "CorrectionOptions": "options",
    "RunOptions": "pipeline.options",
    "plan": "pipeline.planning.planner",
    "Report": "pipeline.running.run",
    "correct": "pipeline.running.run",
    "run": "pipeline.running.run",
    "plot_files": "plots.files",
    "simulate_visit": "synthetic",
}
# Modules under the names they had before the folders, which scripts use: ``from gpucti.simulate import star_field``.
__path__ = [*__path__, str(Path(__file__).with_name("former"))]

if not TYPE_CHECKING:  # else every ``gpucti.anything`` would be right to a type checker

    def __getattr__(name: str) -> Any:
        """Import a public name or a module when it is first used: ``gpucti --help`` does not wait for astropy."""
        if name in __all__:
            return getattr(import_module(f"gpucti.{_HOME.get(name, 'errors')}"), name)
        return submodules(__name__)(name)

    def __dir__() -> list[str]:
        modules = {module.name for module in iter_modules(__path__[:1])}
        return sorted({*__all__, *(name for name in modules if not name.startswith("_"))})
