"""Makes the plan of a run from folders, headers and the anneal list. Looks, and changes nothing."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Unpack

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
from gpucti.errors import Failure, InputError, MissingFileError
from gpucti.io.exposure import ExposureHeaders
from gpucti.io.headers import last_pctetab, read_primary, start_time
from gpucti.io.inputs import first_existing
from gpucti.io.selection import root_of
from gpucti.model.pctetab import Pctetab
from gpucti.pipeline.options import RunArguments, RunOptions
from gpucti.pipeline.planning.darks import NO_SUPERDARKS, DarkNeed, DarksFound, plan_superdarks
from gpucti.pipeline.planning.exposures import find_candidates, note_doubts, usable_exposures, with_references
from gpucti.pipeline.planning.problems import Problems
from gpucti.pipeline.planning.references import update_references
from gpucti.pipeline.planning.science import (
    DarkSources,
    dark_sources,
    plan_science,
    waiting_task,
)
from gpucti.pipeline.planning.tasks import Folders, Plan, ScienceTask, SuperdarkTask, Tools
from gpucti.pipeline.planning.unusable import remembered
from gpucti.references.crds import CrdsSetup, crds_setup
from gpucti.references.names import run_environment


def plan(
    science_dir: str | os.PathLike[str],
    dark_dir: str | os.PathLike[str] | None = None,
    ref_dir: str | os.PathLike[str] | None = None,
    **options: Unpack[RunArguments],
) -> Plan:
    """Return what `correct` would do with these folders and options; nothing is written.

    What stands in the way of everything is collected in ``Plan.problems``, what cannot be made in ``Plan.failures``;
    neither raises.

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
    return _concluded(*_plan(folders, RunOptions(**options), None))


def replan(before: Plan, anneals: tuple[AnnealPeriod, ...]) -> Plan:
    """Return the plan that follows on one whose darks have been fetched.

    The archive is not asked again, and neither raw exposures nor reference files are read again.
    """
    return _concluded(*_plan(before.folders, replace(before.options, download=False), anneals, before))


def replan_without(before: Plan, unusable: Mapping[Path, str]) -> Plan:
    """Return the plan of what is left to do if some darks turned out to be unusable while the run was going on.

    What was made in the meantime is reused, and nothing is removed again. That no exposure is left is no problem.
    """
    options = replace(before.options, clean=False, clean_all=False)
    plan, problems = _plan(before.folders, options, before.anneals, before, unusable)
    failures = (*problems.failures, *problems.following)
    return replace(plan, problems=tuple(problems.found), failures=failures)


def _concluded(plan: Plan, problems: Problems) -> Plan:
    """Return the plan with what stands in its way; that is all that cannot be made, if no exposure can."""
    failures = (*problems.failures, *problems.following)
    if problems.found or (failures and not plan.science):
        causes = problems.failures or failures
        return replace(plan, problems=(*problems.found, *map(str, causes)))
    return replace(plan, failures=failures)


def _plan(
    folders: Folders,
    options: RunOptions,
    anneals: tuple[AnnealPeriod, ...] | None,
    before: Plan | None = None,
    unusable: Mapping[Path, str] = MappingProxyType({}),
) -> tuple[Plan, Problems]:
    """Return the plan, and what was found on the way.

    The periods of `anneals`, and the tools and raw files of `before`, are taken where they are known. `unusable` says
    of darks why they cannot be used.
    """
    problems = Problems()
    environment, crds = _environment(folders, options, problems)
    known = None if before is None else before.tools
    tools = known or _tools(folders, options, environment, problems)
    if before is None:
        candidates = find_candidates(folders.science, options, problems)
        faulty = tuple(problems.failures)
    else:
        candidates, faulty = before.candidates, before.faulty
        for failure in faulty:
            problems.fail(failure)
    begun = Plan(folders, options, tools, candidates, faulty)
    exposures = usable_exposures(begun, problems)
    done = begun if tools is None else _work(begun, tools, exposures, anneals, crds, unusable, problems)
    return replace(done, notes=tuple(problems.notes)), problems


def _environment(
    folders: Folders, options: RunOptions, problems: Problems
) -> tuple[Mapping[str, str], CrdsSetup | None]:
    """Return the variables that names of reference files are resolved with, and which CRDS server is asked, if any."""
    if options.crds_update:
        with problems.collecting():
            crds = crds_setup(run_environment(None, folders.ref), folders.ref, options.oref)
            return dict(crds.environment), crds
    return run_environment(options.oref, folders.ref), None


def _tools(folders: Folders, options: RunOptions, environment: Mapping[str, str], problems: Problems) -> Tools | None:
    """Return what computes, what calibrates, and with which table and options; None if some of it cannot be had."""
    references = References(environment)
    backend: Backend | None = None
    engine: Engine | None = None
    with problems.collecting():
        backend = get_backend(options.device, threads=options.threads)
        engine = get_engine(options.engine, backend, references)
    with problems.collecting():
        table = _pctetab(folders, options)
        correction = table.options(**options.overrides)
        if backend is not None and engine is not None:
            provenance = Provenance(table, table.name, correction, backend.name)
            return Tools(backend, engine, references, provenance)
    return None


def _pctetab(folders: Folders, options: RunOptions) -> Pctetab:
    """Return the table: the one asked for, the last in the folder of super-darks, or the packaged one."""
    if options.pctetab is not None:
        return Pctetab.read(options.pctetab)
    there = last_pctetab(folders.ref)
    return Pctetab.default() if there is None else Pctetab.read(there)


def _work(
    begun: Plan,
    tools: Tools,
    exposures: Sequence[ExposureHeaders],
    anneals: tuple[AnnealPeriod, ...] | None,
    crds: CrdsSetup | None,
    unusable: Mapping[Path, str],
    problems: Problems,
) -> Plan:
    """Return a plan with what is to be done for these exposures."""
    folders, options = begun.folders, begun.options
    sources = dark_sources(exposures, folders, tools.references.environment, problems)
    exposures = _left(exposures, problems)
    starts = _starts([headers for headers in exposures if headers.path in sources.of_run], problems)
    periods = _periods(list(starts.values()), anneals, folders, options, problems)
    period_by_path = _periods_by_path(starts, periods, problems)
    needed_periods = list(dict.fromkeys(period_by_path.values()))
    exposures = _left(exposures, problems)

    found, unreadable = _found_darks(needed_periods, folders, options, problems)
    unfetched: Mapping[str, str] = {}
    if crds is not None:
        updates = update_references(exposures, sources.users, found or {}, needed_periods, tools.engine, crds, problems)
        exposures, unfetched = updates.exposures, updates.unfetched
        found = None if found is None else updates.darks
    exposures = with_references(exposures, sources.of_run, unfetched, tools, problems)
    superdarks = NO_SUPERDARKS
    if found is not None:
        needs = [
            DarkNeed(headers, period_by_path[headers.path]) for headers in exposures if headers.path in period_by_path
        ]
        with problems.collecting():
            if options.ignore_missing and not options.clean_all:
                unusable = {**remembered(folders.ref, found.values()), **unusable}
            darks = DarksFound(found, unreadable, unusable)
            superdarks = plan_superdarks(needs, darks, folders, options, tools, problems)
    downloads = _downloads(needed_periods, superdarks.missing, options, problems)
    exposures = _left(exposures, problems)
    science, deletions = _science(exposures, sources, superdarks.of, options, tools, problems)
    note_doubts(exposures, tools.provenance.pctetab, problems)

    tasks = superdarks.tasks
    if options.clean_all:
        made = [path for task in tasks for path in (task.path, *(dark.output for dark in task.darks))]
        deletions += [path for path in made if path.exists()]
    else:
        tasks = _needed(tasks, science, all_weeks=options.all_weeks)
    _check_ref_folder(folders.ref, tasks, problems)
    return replace(
        begun,
        science=tuple(science),
        superdarks=tasks,
        anneals=periods,
        downloads=downloads,
        missing=superdarks.missing,
        unneeded=superdarks.unneeded,
        deletions=tuple(dict.fromkeys(deletions)),
    )


def _left(exposures: Sequence[ExposureHeaders], problems: Problems) -> list[ExposureHeaders]:
    """Return the exposures that nothing is known to stand in the way of."""
    return [headers for headers in exposures if not problems.failed(headers.path)]


def _starts(exposures: Iterable[ExposureHeaders], problems: Problems) -> dict[Path, datetime]:
    """Return when exposures were taken, by path."""
    starts: dict[Path, datetime] = {}
    for headers in exposures:
        with problems.leaving_out(headers.path):
            starts[headers.path] = start_time(headers.cards)
    return starts


def _periods(
    starts: Sequence[datetime],
    anneals: tuple[AnnealPeriod, ...] | None,
    folders: Folders,
    options: RunOptions,
    problems: Problems,
) -> tuple[AnnealPeriod, ...]:
    """Return the list of anneal periods: the file asked for, or the one saved and what the archive adds to it."""
    if not starts:
        return ()
    if anneals is not None:
        return anneals
    with problems.collecting():
        saved = folders.ref / SAVED_NAME
        if options.anneals is not None:
            periods = read_anneals(options.anneals)
            if saved.is_file() and not options.anneals.samefile(saved) and _differs(saved, periods):
                problems.note(
                    f"{saved} is another list than {options.anneals}, and stays; runs without --anneals take it"
                )
            return periods
        answer = anneal_periods(
            starts,
            saved=saved,
            settings=archive_settings(options.mast_server),
            offline=options.offline,
            renew=options.download,
        )
        problems.notes += answer.notes
        return answer.known
    return ()


def _periods_by_path(
    starts: Mapping[Path, datetime], periods: tuple[AnnealPeriod, ...], problems: Problems
) -> dict[Path, AnnealPeriod]:
    """Return in which period each exposure was taken; without a list, which is a problem of its own, in none."""
    found: dict[Path, AnnealPeriod] = {}
    for path, start in starts.items() if periods else ():
        with problems.leaving_out(path):
            found[path] = period_of(start, periods)
    return found


def _found_darks(
    periods: Sequence[AnnealPeriod], folders: Folders, options: RunOptions, problems: Problems
) -> tuple[Mapping[str, DarkFile] | None, Set[str]]:
    """Return the component darks on disk by exposure, None if none are needed or they cannot be looked at.

    Also the exposures of needed ones whose files cannot be read.
    """
    if not periods:
        return None, set()
    names = [dark.exposure for period in periods for dark in period.darks]
    with problems.collecting():
        if options.download:  # damaged files count as missing, and are fetched anew
            on_disk = darks_on_disk(names, folders.darks)
            return {name: DarkFile(path, read_primary(path), name) for name, path in on_disk.items()}, set()
        if not folders.darks.is_dir():
            raise MissingFileError(
                "no such folder; give the one with the component darks (*_flt.fits), or fetch them (--download)",
                where=folders.darks,
            )
        faulty: list[Failure] = []
        found = find_darks(folders.darks, faulty=faulty)
        needed: set[str] = set()
        for failure in faulty:
            name = root_of(Path(failure.item)).upper()
            if name in names and name not in found:
                needed.add(name)
                problems.fail(failure)
            else:
                problems.note(f"{failure}; it is left out")
        return found, needed
    return None, set()


def _downloads(
    periods: Iterable[AnnealPeriod], missing: Sequence[str], options: RunOptions, problems: Problems
) -> tuple[Dark, ...]:
    """Return the darks that the run fetches first, or looks at whether they are good."""
    if not options.download:
        return ()
    darks = tuple(dark for period in periods for dark in period.darks if dark.flt and not dark.too_short)
    if missing:
        sizes = [dark.size for dark in darks if dark.exposure in missing]
        known = sum(size for size in sizes if size is not None)
        size = "size unknown" if None in sizes else f"{known / 1e6:.0f} MB"
        problems.note(f"{len(missing)} darks will be fetched from the archive ({size}), and the plan made anew")
    return darks


def _science(
    exposures: Iterable[ExposureHeaders],
    sources: DarkSources,
    superdarks: Mapping[Path, SuperdarkTask],
    options: RunOptions,
    tools: Tools,
    problems: Problems,
) -> tuple[list[ScienceTask], list[Path]]:
    """Return the tasks of the exposures, and old files that go first."""
    tasks: list[ScienceTask] = []
    deletions: list[Path] = []
    for headers in exposures:
        path = headers.path
        if path in sources.of_run and path not in superdarks:
            tasks.append(waiting_task(headers))
            continue
        with problems.leaving_out(path):
            planned = plan_science(headers, superdarks.get(path), sources.users.get(path), options, tools)
            tasks.append(planned.task)
            deletions += planned.deletions
    return tasks, deletions


def _needed(
    superdarks: Sequence[SuperdarkTask], science: Sequence[ScienceTask], *, all_weeks: bool
) -> tuple[SuperdarkTask, ...]:
    """Leave out super-darks that would have to be made and that nothing waits for."""
    waited = {task.superdark for task in science if not task.reuse} | (set(superdarks) if all_weeks else set())
    waited |= {task.basedark for task in superdarks if task in waited and not task.reuse}
    return tuple(task for task in superdarks if task.reuse or task in waited)


def _check_ref_folder(ref: Path, superdarks: Iterable[SuperdarkTask], problems: Problems) -> None:
    """Make it a problem if super-darks are to be written where they cannot be."""
    above = first_existing(ref.absolute())
    if any(not task.reuse for task in superdarks) and not (above.is_dir() and os.access(above, os.W_OK | os.X_OK)):
        what = "cannot be written to" if above.is_dir() else "is not a folder"
        problems.add(f"{above}: {what}, and super-darks go to {ref}; give another ref_dir")


def _differs(saved: Path, periods: tuple[AnnealPeriod, ...]) -> bool:
    """Tell whether a saved list, which may be damaged, holds anything else than these periods."""
    try:
        return read_anneals(saved) != periods
    except InputError:
        return True
