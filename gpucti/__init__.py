"""gpucti removes charge-transfer-inefficiency trails from images of the STIS CCD on the Hubble Space Telescope."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from gpucti._version import __version__

if TYPE_CHECKING:
    from typing import Any

    from gpucti import (
        archive as archive,
    )
    from gpucti import (
        backends as backends,
    )
    from gpucti import (
        calibration as calibration,
    )
    from gpucti import (
        compat as compat,
    )
    from gpucti import (
        correction as correction,
    )
    from gpucti import (
        darks as darks,
    )
    from gpucti import (
        demo as demo,
    )
    from gpucti import (
        detector as detector,
    )
    from gpucti import (
        doctor as doctor,
    )
    from gpucti import (
        errors as errors,
    )
    from gpucti import (
        io as io,
    )
    from gpucti import (
        kernels as kernels,
    )
    from gpucti import (
        model as model,
    )
    from gpucti import (
        options as options,
    )
    from gpucti import (
        pipeline as pipeline,
    )
    from gpucti import (
        plots as plots,
    )
    from gpucti import (
        progress as progress,
    )
    from gpucti import (
        references as references,
    )
    from gpucti import (
        synthetic as synthetic,
    )
    from gpucti.archive import download as _download
    from gpucti.backends import get_backend
    from gpucti.calibration.spectra.x1d.files import x1d
    from gpucti.compat import archive_dark_query, custom_superdark_info, stis_cti, viable_ccd_file
    from gpucti.correction.arrays import add_cti_arrays, correct_arrays
    from gpucti.correction.files import add_cti_files, correct_files
    from gpucti.darks import anneals as anneals
    from gpucti.darks import weeks as weeks
    from gpucti.darks.superdarks import make_basedark, make_weekdark
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
    from gpucti.model import traps as traps
    from gpucti.model.pctetab import Pctetab
    from gpucti.options import CorrectionOptions
    from gpucti.pipeline.options import RunOptions
    from gpucti.pipeline.planning import text as _text
    from gpucti.pipeline.planning.planner import plan
    from gpucti.pipeline.running.run import Report, correct, run
    from gpucti.plots.files import plot_files
    from gpucti.references import crds as crds
    from gpucti.synthetic import scenes as _scenes
    from gpucti.synthetic import simulate_visit

    archive_download, plan_table, simulate = _download, _text, _scenes

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
#: Folders and modules that can be used after ``import gpucti`` alone, as ``gpucti.demo.run_demo``.
_MODULES = frozenset(
    "archive backends calibration compat correction darks demo detector doctor errors io kernels model options "
    "pipeline plots progress references synthetic".split()
)
#: Modules under the names they had before the folders, which scripts use: ``from gpucti.simulate import star_field``.
_FORMER = frozenset("anneals archive_download crds plan_table simulate traps weeks".split())
__path__ = [*__path__, str(Path(__file__).with_name("former"))]

if not TYPE_CHECKING:  # else every ``gpucti.anything`` would be right to a type checker

    def __getattr__(name: str) -> Any:
        """Import a public name when it is first used, so that ``gpucti --help`` does not wait for astropy and numba."""
        if name in _MODULES | _FORMER:
            return import_module(f"gpucti.{name}")
        if name not in __all__:
            raise AttributeError(f"module 'gpucti' has no attribute {name!r}")
        return getattr(import_module(f"gpucti.{_HOME.get(name, 'errors')}"), name)

    def __dir__() -> list[str]:
        return sorted({*__all__, *_MODULES})
