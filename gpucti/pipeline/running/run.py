"""The main job: a folder of raw exposures to CTI-corrected, calibrated products."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence, Sized
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Unpack

from gpucti._version import __version__
from gpucti.darks.anneals import SAVED_NAME, write_anneals
from gpucti.errors import Failure, OutputExistsError
from gpucti.io.atomic import clear_leftovers
from gpucti.io.lock import folder_lock
from gpucti.pipeline.options import RunArguments
from gpucti.pipeline.planning.darks import DARKS_ELSEWHERE
from gpucti.pipeline.planning.planner import plan as make_plan, replan_without
from gpucti.pipeline.planning.science import require_science_folder
from gpucti.pipeline.planning.tasks import Plan, ScienceTask, Tools
from gpucti.pipeline.planning.text import plan_text
from gpucti.pipeline.planning.unusable import remember
from gpucti.pipeline.running.darks import DarksDone, make_superdarks
from gpucti.pipeline.running.downloads import keep_anneals, with_darks
from gpucti.pipeline.running.science import ScienceDone, calibrate_science
from gpucti.progress import Progress, RunLog


@dataclass(frozen=True)
class Report:
    """What a run did.

    Attributes
    ----------
    products : tuple of Path
        Files made in the science folder, without trailers and log.
    reused : tuple of Path
        Raw exposures whose products were there already, made from the same files with the same table and options.
    superdarks, superdarks_reused : tuple of Path
        Super-darks made, and taken as they were.
    darks : int
        Component darks corrected.
    omitted : tuple of str
        What headers ask for and was not made.
    doubts : tuple of str
        What was made and may be wrong.
    failures : tuple of Failure
        What could not be made, and why: raw exposures, darks, super-darks, each by its path. Everything else is done.
    notes : tuple of str
        What the user should know.
    repaired : int
        Columns of science images repaired after over-subtraction.
    seconds : mapping
        Seconds per stage, and the ``whole``.
    backend, engine : str
        What computed, and what calibrated: ``native``, ``hstcal``, ``native, hstcal for 2 exposures``; ``none`` where
        nothing was calibrated.
    log : Path or None
        The log file.
    """

    products: tuple[Path, ...]
    reused: tuple[Path, ...]
    superdarks: tuple[Path, ...]
    superdarks_reused: tuple[Path, ...]
    darks: int
    omitted: tuple[str, ...]
    doubts: tuple[str, ...]
    failures: tuple[Failure, ...]
    notes: tuple[str, ...]
    repaired: int
    seconds: Mapping[str, float]
    backend: str
    engine: str
    log: Path | None

    def data(self) -> dict[str, Any]:
        """Return the report as dictionaries, lists, texts and numbers, for JSON."""
        return {name: _plain(value) for name, value in vars(self).items()}

    def summary(self) -> str:
        """Return a few lines of text; what failed is at the end."""
        science, darks = [], []
        if self.products:
            science.append(f"{_counted(self.products, 'product')} made")
        if self.reused:
            were, are = ("was", "is") if len(self.reused) == 1 else ("were", "are")
            science.append(f"{_counted(self.reused, 'exposure')} {were} done already and {are} reused")
        if self.superdarks:
            darks.append(f"{_counted(self.superdarks, 'super-dark')} made, with {self.darks} newly corrected darks")
        if self.superdarks_reused:
            darks.append(f"{_counted(self.superdarks_reused, 'super-dark')} reused")
        lines = [
            *("; ".join(line) for line in (science, darks) if line),
            f"backend {self.backend}, engine {self.engine}"
            + (f"; {self.repaired} columns repaired after over-subtraction" if self.repaired else ""),
            "seconds: " + ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in self.seconds.items()),
        ]
        if self.log is not None:
            lines.append(f"log: {self.log}")
        return "\n".join([*lines, *self.warnings()])

    def warnings(self) -> list[str]:
        """Return the lines that nobody should miss: what was not made, is doubtful, failed."""
        return [
            *(f"not made: {sentence}" for sentence in self.omitted),
            *(f"doubtful: {sentence}" for sentence in self.doubts),
            *(f"FAILED {failure}" for failure in self.failures),
        ]


def correct(
    science_dir: str | os.PathLike[str],
    dark_dir: str | os.PathLike[str] | None = None,
    ref_dir: str | os.PathLike[str] | None = None,
    *,
    progress: Progress | None = None,
    **options: Unpack[RunArguments],
) -> Report:
    """Correct all raw exposures of a folder for CTI and calibrate them; stis_cti's main job.

    Component darks are corrected, combined into super-darks, and kept; products go beside the raw files:
    ``_cte`` and ``_flc _crc _s2c _x2c _s1c _x1c``, with trailers and a log. Raw files and darks are never changed.

    Parameters
    ----------
    science_dir : path
        Folder of raw exposures, with their wavecals and temperature files.
    dark_dir, ref_dir : path, optional
        Folders of component darks and of super-darks; by default ``darks`` and ``ref`` beside `science_dir`.
    progress : callable, optional
        Told of each step, with an `Event`.
    **options
        See `gpucti.RunOptions`.

    Raises
    ------
    PlanError
        Something stands in the way; the message lists all of it, and nothing was touched.
    FolderInUseError
        Another run works in `science_dir`.
    GpuctiError, OSError
        The run stopped, such as on a full disk; what was finished is whole, and the next run goes on from there.

    Notes
    -----
    An exposure, dark or super-dark that cannot be made is no exception: everything else is made, and
    `Report.failures` has what failed and why.
    """
    folder = Path(science_dir)
    require_science_folder(folder)
    if not os.access(folder, os.W_OK | os.X_OK):
        make_plan(science_dir, dark_dir, ref_dir, **options).require_runnable()
    with folder_lock(folder):
        return _run(make_plan(science_dir, dark_dir, ref_dir, **options), progress)


def run(plan: Plan, *, progress: Progress | None = None) -> Report:
    """Carry out a plan; see `correct` for what is returned and raised."""
    plan.require_runnable()
    with folder_lock(plan.folders.science):
        return _run(plan, progress)


def _run(plan: Plan, progress: Progress | None) -> Report:
    """Carry out a plan in a folder that is ours."""
    tools = plan.require_runnable()
    begin = time.perf_counter()
    run_log = RunLog(progress, _logfile(plan))
    with run_log.logging():
        run_log.say(f"gpucti {__version__}, {tools.backend.describe()}, {tools.engine.describe()}")
        if plan.downloads:
            plan = with_darks(plan, run_log)
            tools = plan.require_runnable()
        for line in plan_text(plan).splitlines():
            run_log.say(line)
        _prepare(plan, run_log)
        plan, darks = _darks(plan, tools, run_log)
        science, blocked = _with_superdarks(plan, darks)
        try:
            done, failures = calibrate_science(science, tools, run_log)
        finally:
            tools.engine.close()
        report = Report(
            products=tuple(path for exposure in done for path in exposure.products),
            reused=tuple(task.path for task in plan.science if task.reuse),
            superdarks=darks.superdarks,
            superdarks_reused=tuple(
                task.path for task in plan.superdarks if task.reuse and task.path not in darks.superdarks
            ),
            darks=darks.corrected,
            omitted=tuple(sentence for exposure in done for sentence in exposure.omitted),
            doubts=tuple(sentence for exposure in done for sentence in exposure.doubts),
            failures=tuple(dict.fromkeys((*plan.failures, *darks.bad_darks, *darks.failed, *blocked, *failures))),
            notes=plan.notes,
            repaired=sum(count for exposure in done for count in exposure.repairs),
            seconds=run_log.seconds | {"whole": time.perf_counter() - begin},
            backend=tools.backend.name,
            engine=engine_names(done),
            log=run_log.logfile,
        )
        for line in report.summary().splitlines():
            run_log.say(line)
    return report


def _darks(plan: Plan, tools: Tools, run_log: RunLog) -> tuple[Plan, DarksDone]:
    """Make the super-darks; return the plan of what is left to do, and what was made.

    Where darks turn out to be unusable and it is to go on without them, the plan is made anew without them, so that
    every product tells what it was made from.
    """
    done = make_superdarks(plan, tools, run_log)
    unusable: dict[Path, str] = {}
    superdarks, corrected = list(done.superdarks), done.corrected
    while done.bad_darks and plan.options.ignore_missing:
        unusable |= {Path(failure.item): failure.reason for failure in done.bad_darks}
        remember(
            plan.folders.ref, {dark.file: unusable[dark.file.path] for dark in plan.darks if dark.file.path in unusable}
        )
        run_log.say("without these darks:")
        plan = replan_without(plan, unusable)
        plan.require_runnable()
        for line in plan_text(plan).splitlines():
            run_log.say(line)
        done = make_superdarks(plan, tools, run_log)
        superdarks += done.superdarks
        corrected += done.corrected
    return plan, done._replace(superdarks=tuple(dict.fromkeys(superdarks)), corrected=corrected)


def _with_superdarks(plan: Plan, darks: DarksDone) -> tuple[list[ScienceTask], list[Failure]]:
    """Return the exposures to calibrate, and those whose super-dark failed."""
    failed = {failure.item: failure.reason for failure in darks.failed}
    ready, blocked = [], []
    for task in plan.science:
        if task.reuse:
            continue
        if task.superdark is not None and (reason := failed.get(str(task.superdark.path))) is not None:
            blocked.append(Failure(str(task.path), f"its super-dark {task.superdark.path.name} is not made: {reason}"))
        else:
            ready.append(task)
    return ready, blocked


def engine_names(done: Sequence[ScienceDone]) -> str:
    """Return what calibrated, the engine of most exposures first."""
    first, *others = Counter(exposure.engine for exposure in done).most_common() or [("none", 0)]
    return ", ".join(
        [first[0], *(f"{name} for {number} exposure{'s' if number > 1 else ''}" for name, number in others)]
    )


def _prepare(plan: Plan, run_log: RunLog) -> None:
    """Make the folder of super-darks, clear what stopped runs left, save the anneal list, delete what was asked for."""
    folders = plan.folders
    if plan.superdarks:
        folders.ref.mkdir(parents=True, exist_ok=True)
    for folder in (*folders, folders.ref / DARKS_ELSEWHERE):
        for path in clear_leftovers(folder):
            run_log.say(f"{path}: left half-written by a stopped run, removed")
    for path in plan.deletions:
        path.unlink(missing_ok=True)
        run_log.say(f"{path}: removed")
    saved = folders.ref / SAVED_NAME
    if plan.anneals and plan.options.anneals is None:
        keep_anneals(plan.anneals, folders.ref)
    elif plan.anneals and plan.superdarks and not saved.exists() and os.access(folders.ref, os.W_OK | os.X_OK):
        with suppress(OutputExistsError):  # another run that shares the folder was quicker
            write_anneals(plan.anneals, saved, overwrite=False)


def _logfile(plan: Plan) -> Path:
    return plan.folders.science / f"cti_{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}.log"


def _counted(things: Sized, noun: str) -> str:
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


def _plain(value: Any) -> Any:
    if isinstance(value, Failure):
        return value._asdict()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
