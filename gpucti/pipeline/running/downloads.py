"""The first step of a run that may download: the darks that it lacks are fetched, then the plan is made anew."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from gpucti.archive.download import Download, download_darks
from gpucti.archive.query import archive_settings, merge_anneals
from gpucti.darks.anneals import SAVED_NAME, AnnealPeriod, read_anneals, write_anneals
from gpucti.errors import MissingDarksError
from gpucti.pipeline.planning.planner import replan
from gpucti.pipeline.planning.tasks import Plan
from gpucti.progress import Event, RunLog

log = logging.getLogger(__name__)

STAGE = "download"


def with_darks(plan: Plan, run_log: RunLog) -> Plan:
    """Fetch the darks that a plan waits for, and return the plan that follows.

    Raises
    ------
    MissingDarksError
        Some cannot be had, and the run is not to go on without them.
    PlanError
        With the darks there, something else stands in the way.
    """

    def tell(event: Event) -> None:
        run_log.step(STAGE, event.text, event.total)

    if plan.options.anneals is None:
        keep_anneals(plan.anneals, plan.folders.ref)
    with run_log.timing(STAGE):
        done = download_darks(
            plan.downloads, plan.folders.darks, archive_settings(plan.options.mast_server), progress=tell
        )
    for line in done.summary().splitlines():
        run_log.say(line)
    if done.failed and not plan.options.ignore_missing:
        lines = "".join(f"\n  {name}: {reason}" for name, reason in done.failed.items())
        raise MissingDarksError(
            f"{len(done.failed)} dark{'s' if len(done.failed) > 1 else ''} could not be fetched; "
            f"run again, or do without (--ignore_missing){lines}",
            where=plan.folders.darks,
        )
    return replan(plan, _without_flt(plan.anneals, done))


def _without_flt(periods: tuple[AnnealPeriod, ...], done: Download) -> tuple[AnnealPeriod, ...]:
    """Return the periods with the darks marked that the archive has no calibrated file of."""
    return tuple(
        replace(
            period,
            darks=tuple(replace(dark, flt=False) if dark.exposure in done.no_flt else dark for dark in period.darks),
        )
        for period in periods
    )


def keep_anneals(periods: tuple[AnnealPeriod, ...], ref: Path) -> None:
    """Put the archive's answer into the list in the folder of super-darks, for later runs; a log tells if it cannot."""
    saved = ref / SAVED_NAME
    before = read_anneals(saved) if saved.is_file() else ()
    merged = merge_anneals(before, periods)
    if merged == before:
        return
    try:
        ref.mkdir(parents=True, exist_ok=True)
        write_anneals(merged, saved, overwrite=True)
    except OSError as error:
        log.warning("%s: the list of anneal periods cannot be kept (%s)", saved, error.strerror)
