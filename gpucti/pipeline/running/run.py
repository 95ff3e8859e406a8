"""The main job: a folder of raw exposures to CTI-corrected, calibrated products."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sized
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Unpack

from gpucti._version import __version__
from gpucti.darks.anneals import SAVED_NAME, write_anneals
from gpucti.errors import OutputExistsError
from gpucti.io.atomic import clear_leftovers
from gpucti.io.lock import folder_lock
from gpucti.pipeline.options import RunArguments
from gpucti.pipeline.planning.darks import DARKS_ELSEWHERE
from gpucti.pipeline.planning.planner import plan as make_plan
from gpucti.pipeline.planning.science import require_science_folder
from gpucti.pipeline.planning.tasks import Plan
from gpucti.pipeline.planning.text import plan_text
from gpucti.pipeline.running.darks import make_superdarks
from gpucti.pipeline.running.downloads import keep_anneals, with_darks
from gpucti.pipeline.running.science import calibrate_science
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
    notes : tuple of str
        What the user should know.
    repaired : int
        Columns of science images repaired after over-subtraction.
    seconds : mapping
        Seconds per stage, and the ``whole``.
    backend, engine : str
        What computed and what calibrated.
    log : Path or None
        The log file.
    """

    products: tuple[Path, ...]
    reused: tuple[Path, ...]
    superdarks: tuple[Path, ...]
    superdarks_reused: tuple[Path, ...]
    darks: int
    omitted: tuple[str, ...]
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
        """Return a few lines of text."""
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
        lines += [f"not made: {sentence}" for sentence in self.omitted]
        if self.log is not None:
            lines.append(f"log: {self.log}")
        return "\n".join(lines)


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
        The run failed; what was finished is whole, and the next run goes on from there.
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
        superdarks, darks = make_superdarks(plan, tools, run_log)
        done = calibrate_science(plan, tools, run_log)
        report = Report(
            products=tuple(path for exposure in done for path in exposure.products),
            reused=tuple(task.path for task in plan.science if task.reuse),
            superdarks=tuple(superdarks),
            superdarks_reused=tuple(task.path for task in plan.superdarks if task.reuse),
            darks=darks,
            omitted=tuple(sentence for exposure in done for sentence in exposure.omitted),
            notes=plan.notes,
            repaired=sum(count for exposure in done for count in exposure.repairs),
            seconds=run_log.seconds | {"whole": time.perf_counter() - begin},
            backend=tools.backend.name,
            engine=tools.engine.name,
            log=run_log.logfile,
        )
        for line in report.summary().splitlines():
            run_log.say(line)
    return report


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
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
