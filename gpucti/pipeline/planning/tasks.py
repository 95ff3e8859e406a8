"""What a run of the pipeline will do: decided and checked before anything is touched.

`planner.plan` makes a `Plan`, `text` shows it, `gpucti.pipeline.running.run` carries it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from astropy.io import fits

from gpucti.backends.base import Backend
from gpucti.calibration.base import Engine
from gpucti.calibration.reffiles import References
from gpucti.correction.provenance import Provenance
from gpucti.darks.anneals import AnnealPeriod, Dark
from gpucti.darks.weeks import DarkFile
from gpucti.errors import Failure, PlanError
from gpucti.io.exposure import ExposureHeaders
from gpucti.io.selection import Candidate
from gpucti.pipeline.options import RunOptions

#: From CalSTIS's kind to the suffix of a product made of CTI-corrected pixels, as stis_cti renames them.
SUFFIXES: Mapping[str, str] = {"flt": "flc", "crj": "crc", "sx2": "s2c", "x2d": "x2c", "sx1": "s1c", "x1d": "x1c"}
#: Suffix of the CTI-corrected exposures that are kept, science and darks.
CORRECTED = "cte"
#: Trailers: of the bias subtraction, and of the calibration.
TRAILERS = ("trb.txt", "trc.txt")
#: In a kept science exposure: what was made of it, whether its header asks for more than the engine can do, and how
#: many sentences the trailer has on what was not made.
PRODUCTS, PARTIAL, OMITTED = "PCTEPROD", "PCTEPART", "PCTEOMIT"


class Folders(NamedTuple):
    """Where a run works.

    Attributes
    ----------
    science : Path
        Raw exposures, and their products.
    darks : Path
        Component darks, and their corrected versions.
    ref : Path
        Super-darks.
    """

    science: Path
    darks: Path
    ref: Path


class Refused(NamedTuple):
    """An exposure that is left out, and why."""

    path: Path
    reason: str


class Unneeded(NamedTuple):
    """A dark that the anneal list has and that is not used, and why."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class DarkTask:
    """One component dark, corrected now or before.

    Attributes
    ----------
    file : DarkFile
        The uncorrected dark, with the references that the run takes (`DarkFile.names`).
    output : Path
        The corrected one.
    reuse : bool
        Whether that exists and was made from this dark with this table and these options.
    why : str
        Why it is reused or made, in a few words.
    """

    file: DarkFile
    output: Path
    reuse: bool
    why: str


@dataclass(frozen=True, eq=False)
class SuperdarkTask:
    """One super-dark, made now or before.

    Attributes
    ----------
    path : Path
        The file in the folder of super-darks.
    period : AnnealPeriod
        Its anneal period.
    amp : str
        Its amplifier.
    darks : tuple of DarkTask
        Its component darks in order of time.
    basedark : SuperdarkTask or None
        What a weekdark is built on; None for a basedark.
    recipe : str
        Digest of all that it is made from.
    reuse, why
        See `DarkTask`.
    """

    path: Path
    period: AnnealPeriod
    amp: str
    darks: tuple[DarkTask, ...]
    basedark: SuperdarkTask | None
    recipe: str
    reuse: bool
    why: str


@dataclass(frozen=True, eq=False)
class ScienceTask:
    """One science exposure.

    Attributes
    ----------
    headers : ExposureHeaders
        Of the raw file, with the references that the run takes (`ExposureHeaders.names`).
    root : str
        What its products are called after.
    darkfile : str
        What DARKFILE shall say; empty: as it stands.
    superdark : SuperdarkTask or None
        The super-dark of the run that it needs; None if it brings its own, or needs none.
    dark : str
        Which dark is subtracted and why, for the plan.
    recipe, reuse, why
        See `SuperdarkTask`.
    shortcomings : tuple of str
        What the engine cannot make of it.
    """

    headers: ExposureHeaders
    root: str
    darkfile: str
    superdark: SuperdarkTask | None
    dark: str
    recipe: str
    reuse: bool
    why: str
    shortcomings: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The raw file."""
        return self.headers.path

    def product(self, suffix: str) -> Path:
        """Return the path of one product."""
        return self.path.parent / f"{self.root}_{suffix}.fits"

    @property
    def primary(self) -> fits.Header:
        """Primary header of the raw file."""
        return self.headers.primary


@dataclass(frozen=True, eq=False)
class Tools:
    """What a run works with, and its plan is made with.

    Attributes
    ----------
    backend : Backend
        Computes.
    engine : Engine
        Calibrates.
    references : References
        Finds and keeps the reference files; the engine's too.
    provenance : Provenance
        Table and options of the pixel correction.
    """

    backend: Backend
    engine: Engine
    references: References
    provenance: Provenance


@dataclass(frozen=True, eq=False)
class Plan:
    """All that a run will do, and what stands in its way.

    Attributes
    ----------
    folders : Folders
        Where.
    options : RunOptions
        How.
    tools : Tools or None
        What it works with; None if that cannot be had (`problems` says why): then nothing else is planned.
    candidates : tuple of Candidate
        The raw files of the folder that can be read, those that are left out too.
    faulty : tuple of Failure
        The other raw files; also among `failures` or `problems`.
    science : tuple of ScienceTask
        Exposures to calibrate.
    superdarks : tuple of SuperdarkTask
        Each basedark before its weekdarks.
    missing, unneeded
        Darks that the anneal list has and that are not in the folder; darks that it has and that are not used.
    deletions : tuple of Path
        What goes first (`clean`).
    notes : tuple of str
        What the user should know.
    problems : tuple of str
        What stands in the way of everything; a run refuses to begin if there is any. Where no exposure can be made, the
        reasons are problems.
    failures : tuple of Failure
        What cannot be made, and why: raw files, darks, super-darks. A run leaves it out, makes the rest, and repeats
        them in its report. Empty where there are problems, which are all then.
    anneals : tuple of AnnealPeriod
        The list of anneal periods, if one was needed.
    downloads : tuple of Dark
        Darks to be fetched first, unless they are there and good; the plan is made anew then (`download`).
    """

    folders: Folders
    options: RunOptions
    tools: Tools | None
    candidates: tuple[Candidate, ...] = ()
    faulty: tuple[Failure, ...] = ()
    science: tuple[ScienceTask, ...] = ()
    superdarks: tuple[SuperdarkTask, ...] = ()
    missing: tuple[str, ...] = ()
    unneeded: tuple[Unneeded, ...] = ()
    deletions: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()
    anneals: tuple[AnnealPeriod, ...] = ()
    downloads: tuple[Dark, ...] = ()

    def require_runnable(self) -> Tools:
        """Return what the run works with; raise `PlanError` with all problems, if there are any."""
        if len(self.problems) == 1:
            raise PlanError(self.problems[0])
        if self.problems:
            raise PlanError(
                f"{len(self.problems)} things stand in the way:\n" + "\n".join(f"- {p}" for p in self.problems)
            )
        if self.tools is None:
            raise PlanError("the plan has no backend, engine or table, and no problem that says why")
        return self.tools

    @property
    def refused(self) -> tuple[Refused, ...]:
        """Exposures left out."""
        return tuple(Refused(file.path, file.reason) for file in self.candidates if file.reason is not None)

    @property
    def darks(self) -> tuple[DarkTask, ...]:
        """Component darks of the super-darks that will be made, each once, in order."""
        needed = [dark for task in self.superdarks if not task.reuse for dark in task.darks]
        return tuple(dict.fromkeys(needed))

    @property
    def references_by_crds(self) -> Mapping[Path, Mapping[str, str]]:
        """What `crds_update` changes: by file, names of references by keyword in place of those in its header."""
        names = {task.path: task.headers.names for task in self.science}
        names |= {dark.file.path: dict(dark.file.names) for task in self.superdarks for dark in task.darks}
        return {path: changed for path, changed in names.items() if changed}
