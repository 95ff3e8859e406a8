"""Makes the plan of a run from folders, headers and the anneal list. Looks, and changes nothing."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Unpack

from gpucti.archive.download import darks_on_disk
from gpucti.archive.query import anneal_periods, archive_settings
from gpucti.backends import get_backend
from gpucti.backends.base import Backend
from gpucti.calibration import get_engine
from gpucti.calibration.base import Engine
from gpucti.calibration.reffiles import References
from gpucti.correction.provenance import Provenance
from gpucti.darks.anneals import SAVED_NAME, AnnealPeriod, Dark, period_of, read_anneals
from gpucti.darks.weeks import DarkFile, find_darks
from gpucti.errors import GpuctiError, InputError, MissingFileError
from gpucti.io.exposure import ExposureHeaders
from gpucti.io.headers import last_pctetab, read_primary, start_time
from gpucti.io.selection import find_science
from gpucti.model.pctetab import Pctetab
from gpucti.pipeline.options import RunArguments, RunOptions
from gpucti.pipeline.planning.darks import SuperdarkPlan, Wanted, plan_superdarks
from gpucti.pipeline.planning.references import Updates, update_references
from gpucti.pipeline.planning.science import own_superdark, plan_science, require_science_folder, waiting_task
from gpucti.pipeline.planning.tasks import Folders, Plan, Refused, ScienceTask, SuperdarkTask
from gpucti.references.crds import CrdsSetup, crds_setup
from gpucti.references.names import run_environment


def plan(
    science_dir: str | os.PathLike[str],
    dark_dir: str | os.PathLike[str] | None = None,
    ref_dir: str | os.PathLike[str] | None = None,
    **options: Unpack[RunArguments],
) -> Plan:
    """Return what `correct` would do with these folders and options; nothing is written.

    What stands in the way is collected in ``Plan.problems`` and does not raise.

    Parameters
    ----------
    science_dir : path
        Folder of raw exposures.
    dark_dir, ref_dir : path, optional
        Folders of component darks and of super-darks; by default ``darks`` and ``ref`` beside `science_dir`.
    **options
        See `gpucti.RunOptions`.

    Raises
    ------
    InputError
        An option is out of range.
    """
    science = Path(science_dir)
    beside = science.absolute().parent
    folders = Folders(
        science,
        beside / "darks" if dark_dir is None else Path(dark_dir),
        beside / "ref" if ref_dir is None else Path(ref_dir),
    )
    return _Planner(folders, RunOptions(**options)).plan()


def replan(before: Plan, anneals: tuple[AnnealPeriod, ...]) -> Plan:
    """Return the plan that follows on one whose darks have been fetched; the archive is not asked again."""
    return _Planner(before.folders, replace(before.options, download=False), anneals).plan()


class _Planner:
    """Collects the parts of a plan, and what goes wrong with them."""

    def __init__(self, folders: Folders, options: RunOptions, anneals: tuple[AnnealPeriod, ...] | None = None) -> None:
        self.anneals = anneals
        self.folders = folders
        self.options = options
        self.problems: list[str] = []
        self.environment = run_environment(options.oref, folders.ref)
        self.crds: CrdsSetup | None = None
        if options.crds_update:
            with self.collecting():
                self.crds = crds_setup(run_environment(None, folders.ref), folders.ref, options.oref)
                self.environment = dict(self.crds.environment)
        self.updates = Updates()
        self.references = References(self.environment)
        self.notes: list[str] = []
        self.refused: list[Refused] = []

    @contextmanager
    def collecting(self, about: Path | None = None) -> Iterator[None]:
        """Turn an error of ours into a problem of the plan, which names the file that it is about."""
        try:
            yield
        except (GpuctiError, OSError) as error:
            problem = str(error)
            if about is not None and about.name not in problem:
                problem = f"{about}: {problem}"
            if problem not in self.problems:
                self.problems.append(problem)

    def plan(self) -> Plan:
        """Return the plan."""
        backend, engine, provenance = self._tools()
        rest: dict[str, Any] = {}
        exposures = self._exposures()
        if provenance is not None and engine is not None:
            rest = self._work(exposures, provenance, engine)
        return Plan(
            self.folders,
            self.options,
            provenance,
            backend,
            engine,
            self.references,
            refused=tuple(self.refused),
            notes=tuple(self.notes),
            problems=tuple(self.problems),
            **rest,
        )

    def _tools(self) -> tuple[Backend | None, Engine | None, Provenance | None]:
        """Return what computes, what calibrates, and with which table and options."""
        backend = engine = provenance = None
        with self.collecting():
            backend = get_backend(self.options.device, threads=self.options.threads)
            engine = get_engine(self.options.engine, backend, self.environment)
        with self.collecting():
            table = self._pctetab()
            name = "none" if backend is None else backend.name
            provenance = Provenance(table, table.name, table.options(**self.options.overrides), name)
        return backend, engine, provenance

    def _pctetab(self) -> Pctetab:
        """Return the table: the one asked for, the last in the folder of super-darks, or the packaged one."""
        if self.options.pctetab is not None:
            return Pctetab.read(self.options.pctetab)
        there = last_pctetab(self.folders.ref)
        return Pctetab.default() if there is None else Pctetab.read(there)

    def _exposures(self) -> list[ExposureHeaders]:
        """Return the exposures that can be corrected."""
        folder = self.folders.science
        try:
            require_science_folder(folder)
        except InputError as error:
            self.problems.append(str(error))
            return []
        if not os.access(folder, os.W_OK | os.X_OK):
            self.problems.append(
                f"{folder}: cannot be written to, and products go beside the raw files; copy those elsewhere"
            )
        exposures: dict[str, ExposureHeaders] = {}
        with self.collecting():
            candidates = find_science(folder, allow=self.options.allow, crds_update=self.options.crds_update)
            self.refused = [Refused(c.path, c.reason) for c in candidates if c.reason is not None]
            for candidate in candidates:
                if candidate.reason is not None:
                    continue
                with self.collecting():
                    headers = ExposureHeaders.read(candidate.path)
                    headers.require_uncorrected()
                    exposures[candidate.root] = headers
            if not exposures and not self.problems:
                what = "no *_raw.fits files" if not candidates else "none of the raw files can be corrected"
                reasons = "".join(f"\n  {refused.path.name}: {refused.reason}" for refused in self.refused)
                raise MissingFileError(f"{what}{reasons}", where=folder)
        return list(exposures.values())

    def _work(self, exposures: list[ExposureHeaders], provenance: Provenance, engine: Engine) -> dict[str, Any]:
        """Return the parts of the plan that depend on table and engine."""
        needy, own = self._dark_needs(exposures)
        periods, wanted = self._in_periods(needy)
        darks = SuperdarkPlan()
        found: Mapping[str, DarkFile] | None = None
        if wanted:
            with self.collecting():
                found = self._found_darks({want.period: None for want in wanted})
        if self.crds is not None:
            its = {want.period: None for want in wanted}
            self.updates = update_references(exposures, own, found or {}, its, engine, self.crds)
            self.problems += self.updates.problems
            self.notes += self.updates.notes
        if found is not None:
            with self.collecting():
                darks = plan_superdarks(wanted, found, self.folders, self.options, provenance, self.references)
        self.problems += darks.problems
        self.notes += darks.notes
        downloads = self._downloads(wanted, darks.missing)
        superdarks = darks.tasks
        science: list[ScienceTask] = []
        deletions: list[Path] = []
        for headers in exposures:
            if headers in needy and headers.path not in darks.of:
                science.append(waiting_task(headers, provenance))
                continue
            with self.collecting(headers.path):
                planned = plan_science(
                    headers,
                    darks.of.get(headers.path),
                    own.get(headers.path),
                    self.options,
                    provenance,
                    self.references,
                    engine,
                )
                science.append(planned.task)
                deletions += planned.deletions
                self.problems += [] if planned.problem is None else [planned.problem]
        self._check_references(exposures, engine, {headers.path for headers in needy})
        self._note_extrapolation(exposures, provenance)
        if self.options.clean_all:
            deletions += [
                p for task in superdarks for p in (task.path, *(dark.output for dark in task.darks)) if p.exists()
            ]
        else:
            superdarks = _needed(superdarks, science, all_weeks=self.options.all_weeks)
        self._check_ref_folder(superdarks)
        return {
            "science": tuple(science),
            "superdarks": superdarks,
            "anneals": periods,
            "downloads": downloads,
            "missing": darks.missing,
            "unneeded": darks.unneeded,
            "deletions": tuple(dict.fromkeys(deletions)),
            "renamed": self.updates.names,
        }

    def _dark_needs(self, exposures: list[ExposureHeaders]) -> tuple[list[ExposureHeaders], dict[Path, Path]]:
        """Return the exposures that need a super-dark of the run, and the ones that others bring along, by path."""
        needy: list[ExposureHeaders] = []
        own: dict[Path, Path] = {}
        for headers in exposures:
            with self.collecting(headers.path):
                if headers.switch("DARKCORR") != "PERFORM":
                    continue
                superdark = own_superdark(headers, self.folders, self.environment)
                if superdark is None:
                    needy.append(headers)
                else:
                    own[headers.path] = superdark
        return needy, own

    def _in_periods(self, needy: list[ExposureHeaders]) -> tuple[tuple[AnnealPeriod, ...], list[Wanted]]:
        """Return the list of anneal periods, and in which of them each exposure was taken."""
        starts: dict[Path, datetime] = {}
        for headers in needy:
            with self.collecting(headers.path):
                starts[headers.path] = start_time(headers.primary, f"{headers.path}[0]")
        periods: tuple[AnnealPeriod, ...] = ()
        wanted: list[Wanted] = []
        if starts:
            with self.collecting():
                periods = self._anneals(list(starts.values()))
        for headers in needy if periods else []:
            if headers.path in starts:
                with self.collecting(headers.path):
                    wanted.append(Wanted(headers, period_of(starts[headers.path], periods)))
        return periods, wanted

    def _anneals(self, starts: Sequence[datetime]) -> tuple[AnnealPeriod, ...]:
        """Return the list of anneal periods: the file asked for, or the one saved and what the archive adds to it."""
        if self.anneals is not None:
            return self.anneals
        saved = self.folders.ref / SAVED_NAME
        if self.options.anneals is not None:
            periods = read_anneals(self.options.anneals)
            if saved.is_file() and not self.options.anneals.samefile(saved) and _differs(saved, periods):
                self.notes.append(
                    f"{saved} is another list than {self.options.anneals}, and stays; runs without --anneals take it"
                )
            return periods
        options = self.options
        answer = anneal_periods(
            starts,
            saved=saved,
            settings=archive_settings(options.mast_server),
            offline=options.offline,
            renew=options.download,
        )
        self.notes += answer.notes
        return answer.known

    def _downloads(self, wanted: Sequence[Wanted], missing: Sequence[str]) -> tuple[Dark, ...]:
        """Return the darks that the run fetches first, or looks at whether they are good."""
        if not self.options.download:
            return ()
        periods = dict.fromkeys(want.period for want in wanted)
        darks = tuple(dark for period in periods for dark in period.darks if dark.flt and not dark.too_short)
        if missing:
            size = sum(dark.size or 0 for dark in darks if dark.exposure in missing)
            self.notes.append(
                f"{len(missing)} darks will be fetched from the archive ({size / 1e6:.0f} MB), and the plan made anew"
            )
        return darks

    def _found_darks(self, periods: Iterable[AnnealPeriod]) -> dict[str, DarkFile]:
        if self.options.download:  # damaged files count as missing, and are fetched anew
            names = [dark.exposure for period in periods for dark in period.darks]
            found = darks_on_disk(names, self.folders.darks)
            return {name: DarkFile(path, read_primary(path), name) for name, path in found.items()}
        if not self.folders.darks.is_dir():
            raise MissingFileError(
                "no such folder; give the one with the component darks (*_flt.fits), or fetch them (--download)",
                where=self.folders.darks,
            )
        return find_darks(self.folders.darks)

    def _check_ref_folder(self, superdarks: Sequence[SuperdarkTask]) -> None:
        """Make it a problem if super-darks are to be written where they cannot be."""
        above = self.folders.ref.absolute()
        while not above.exists() and above != above.parent:
            above = above.parent
        if any(not task.reuse for task in superdarks) and not (above.is_dir() and os.access(above, os.W_OK | os.X_OK)):
            what = "cannot be written to" if above.is_dir() else "is not a folder"
            self.problems.append(f"{above}: {what}, and super-darks go to {self.folders.ref}; give another ref_dir")

    def _check_references(self, exposures: Sequence[ExposureHeaders], engine: Engine, replaced: set[Path]) -> None:
        """Make one problem of all reference files that are not there, by keyword."""
        missing: dict[tuple[str, str], list[str]] = {}
        for headers in exposures:
            with self.collecting(headers.path):
                for required in engine.references(headers):
                    told = required.name in self.updates.unfetched
                    spared = required.keyword == "DARKFILE" and headers.path in replaced
                    if required.path is None and not told and not spared:
                        missing.setdefault((required.keyword, required.name), []).append(headers.path.name)
        if not missing:
            return
        lines = [
            f"  {keyword:<8} {name or '(the keyword names none)'}  for {', '.join(dict.fromkeys(files))}"
            for (keyword, name), files in missing.items()
        ]
        hint = ""
        if any("oref" in name for _, name in missing):
            oref = self.environment.get("oref")
            hint = "; oref is " + (
                f"{oref}: fetch them, or give --oref FOLDER" if oref else "not set: give --oref FOLDER"
            )
        what = "1 reference file is" if len(missing) == 1 else f"{len(missing)} reference files are"
        todo = "; put names of files into the headers (crds bestrefs does)"
        self.problems.append(f"{what} missing{hint or todo}\n" + "\n".join(lines))

    def _note_extrapolation(self, exposures: Sequence[ExposureHeaders], provenance: Provenance) -> None:
        last = provenance.pctetab.last_scale_mjd
        for headers in exposures:
            with self.collecting():
                if headers.start_mjd > last:
                    self.notes.append(
                        f"the trap density is extrapolated past MJD {last:g}, the last CTE_SCALE point of "
                        f"{provenance.pctetab.name}"
                    )
                    return


def _needed(
    superdarks: Sequence[SuperdarkTask], science: Sequence[ScienceTask], *, all_weeks: bool
) -> tuple[SuperdarkTask, ...]:
    """Leave out super-darks that would have to be made and that nothing waits for."""
    waited = {task.superdark for task in science if not task.reuse} | (set(superdarks) if all_weeks else set())
    waited |= {task.basedark for task in superdarks if task in waited and not task.reuse}
    return tuple(task for task in superdarks if task.reuse or task in waited)


def _differs(saved: Path, periods: tuple[AnnealPeriod, ...]) -> bool:
    """Tell whether a saved list, which may be damaged, holds anything else than these periods."""
    try:
        return read_anneals(saved) != periods
    except InputError:
        return True
