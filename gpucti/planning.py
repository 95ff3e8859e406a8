"""Makes the plan of a run from folders, headers and the anneal list. Looks, and changes nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gpucti.anneals import SAVED_NAME, AnnealPeriod, period_of, read_anneals
from gpucti.backends import get_backend
from gpucti.backends.base import Backend
from gpucti.calibration import get_engine
from gpucti.calibration.base import Engine
from gpucti.calibration.reffiles import References
from gpucti.errors import GpuctiError, MissingFileError
from gpucti.exposure import ExposureHeaders
from gpucti.options import RunOptions
from gpucti.pctetab import Pctetab
from gpucti.tasks import Folders, Plan, Refused, ScienceTask, SuperdarkTask
from gpucti.planning_darks import Wanted, plan_superdarks
from gpucti.planning_science import own_superdark, plan_science
from gpucti.provenance import Provenance
from gpucti.references import run_environment
from gpucti.scan import start_time
from gpucti.selection import find_science
from gpucti.weeks import find_darks


def plan(
    science_dir: str | os.PathLike[str],
    dark_dir: str | os.PathLike[str] | None = None,
    ref_dir: str | os.PathLike[str] | None = None,
    **options: Any,
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


class _Planner:
    """Collects the parts of a plan, and what goes wrong with them."""

    def __init__(self, folders: Folders, options: RunOptions) -> None:
        self.folders = folders
        self.options = options
        self.environment = run_environment(options.oref, folders.ref)
        self.references = References(self.environment)
        self.problems: list[str] = []
        self.notes: list[str] = []
        self.refused: list[Refused] = []

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Turn an error of ours into a problem of the plan."""
        try:
            yield
        except (GpuctiError, OSError) as error:
            if str(error) not in self.problems:
                self.problems.append(str(error))

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
            device = self.options.device
            if device is None or isinstance(device, (str, int)):
                backend = get_backend(device, threads=self.options.threads)
            else:
                backend = device
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
        there = sorted(self.folders.ref.glob("*_pcte.fits*")) if self.folders.ref.is_dir() else []
        return Pctetab.read(there[-1]) if there else Pctetab.default()

    def _exposures(self) -> list[ExposureHeaders]:
        """Return the exposures that can be corrected."""
        folder = self.folders.science
        if not folder.is_dir():
            self.problems.append(f"{folder}: no such folder; give the one with the raw exposures (*_raw.fits)")
            return []
        if not os.access(folder, os.W_OK | os.X_OK):
            self.problems.append(
                f"{folder}: cannot be written to, and products go beside the raw files; copy those elsewhere"
            )
        exposures: dict[str, ExposureHeaders] = {}
        with self.collecting():
            candidates = find_science(folder, allow=self.options.allow)
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
                raise MissingFileError(f"{folder}: {what}{reasons}")
        return list(exposures.values())

    def _work(self, exposures: list[ExposureHeaders], provenance: Provenance, engine: Engine) -> dict[str, Any]:
        """Return the parts of the plan that depend on table and engine."""
        periods: tuple[AnnealPeriod, ...] = ()
        wanted: dict[Path, Wanted] = {}
        own: dict[Path, Path] = {}
        for headers in exposures:
            with self.collecting():
                if headers.switch("DARKCORR") != "PERFORM":
                    continue
                superdark = own_superdark(headers, self.folders, self.environment)
                if superdark is not None:
                    own[headers.path] = superdark
                    continue
                periods = periods or self._anneals()
                wanted[headers.path] = Wanted(
                    headers, period_of(start_time(headers.primary, f"{headers.path}[0]"), periods)
                )
        superdarks: tuple[SuperdarkTask, ...] = ()
        parts: dict[str, Any] = {}
        of: dict[Path, SuperdarkTask] = {}
        if wanted and not self.problems:
            with self.collecting():
                darks = plan_superdarks(
                    list(wanted.values()), self._found_darks(), self.folders, self.options, provenance, self.references
                )
                superdarks, of = darks.tasks, darks.of
                parts = {"missing": darks.missing, "unneeded": darks.unneeded}
                self.problems += darks.problems
                self.notes += darks.notes
        science: list[ScienceTask] = []
        deletions: list[Path] = []
        for headers in exposures:
            with self.collecting():
                task = plan_science(
                    headers,
                    of.get(headers.path),
                    own.get(headers.path),
                    self.options,
                    provenance,
                    self.references,
                    engine,
                )
                science.append(task.task)
                deletions += task.deletions
        self._check_references(exposures, engine, set(wanted))
        self._note_extrapolation(exposures, provenance)
        if self.options.clean_all:
            deletions += [
                p for task in superdarks for p in (task.path, *(dark.output for dark in task.darks)) if p.exists()
            ]
        else:
            superdarks = _needed(superdarks, science, all_weeks=self.options.all_weeks)
        return {
            "science": tuple(science),
            "superdarks": superdarks,
            "anneals": periods,
            "deletions": tuple(dict.fromkeys(deletions)),
            **parts,
        }

    def _anneals(self) -> tuple[AnnealPeriod, ...]:
        """Return the list of anneal periods: the file asked for, or the one saved."""
        if self.options.anneals is not None:
            return read_anneals(self.options.anneals)
        saved = self.folders.ref / SAVED_NAME
        if saved.is_file():
            return read_anneals(saved)
        raise MissingFileError(
            f"no list of anneal periods and their darks: {saved} does not exist, and this version cannot ask the "
            "archive; give a list with --anneals FILE (docs/superdarks.md shows what it holds)"
        )

    def _found_darks(self) -> Any:
        if not self.folders.darks.is_dir():
            raise MissingFileError(
                f"{self.folders.darks}: no such folder; give the one with the component darks (*_flt.fits)"
            )
        return find_darks(self.folders.darks)

    def _check_references(self, exposures: Sequence[ExposureHeaders], engine: Engine, replaced: set[Path]) -> None:
        """Make one problem of all reference files that are not there, by keyword."""
        missing: dict[tuple[str, str], list[str]] = {}
        for headers in exposures:
            with self.collecting():
                for required in engine.references(headers):
                    if required.path is None and not (required.keyword == "DARKFILE" and headers.path in replaced):
                        missing.setdefault((required.keyword, required.name), []).append(headers.path.name)
        if not missing:
            return
        lines = [
            f"  {keyword:<8} {name or '(the keyword names none)'}  for {', '.join(dict.fromkeys(files))}"
            for (keyword, name), files in missing.items()
        ]
        hint = ""
        if any("oref" in name for _, name in missing):
            hint = f"; oref is {self.environment.get('oref') or 'not set: give --oref FOLDER, or set the variable'}"
        self.problems.append(f"{len(missing)} reference files are missing{hint}\n" + "\n".join(lines))

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
