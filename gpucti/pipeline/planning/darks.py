"""The dark side of a plan: which darks each anneal period has, which super-darks they give, what can be reused."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from astropy.io import fits

from gpucti.calibration.reffiles import HeaderReferences
from gpucti.correction.provenance import RECIPE, recipe
from gpucti.darks.anneals import AnnealPeriod
from gpucti.darks.weeks import (
    DarkFile,
    DarkSelection,
    Week,
    basedark_name,
    missing_darks,
    require_complete,
    select_darks,
    week_of,
    weekdark_name,
    weeks,
)
from gpucti.errors import InputError, MissingDarksError, ReferenceFileError
from gpucti.io.exposure import ExposureHeaders
from gpucti.io.fitsfile import find_file, read_hdus
from gpucti.io.headers import start_time
from gpucti.pipeline.options import RunOptions
from gpucti.pipeline.planning.problems import Problems
from gpucti.pipeline.planning.tasks import CORRECTED, DarkTask, Folders, SuperdarkTask, Tools, Unneeded

#: Where corrected darks go if the folder of darks cannot hold them: this folder beside the super-darks.
DARKS_ELSEWHERE = "darks"


class DarkNeed(NamedTuple):
    """A science exposure that needs a super-dark, and the anneal period in which it was taken."""

    headers: ExposureHeaders
    period: AnnealPeriod


class SuperdarkPlan(NamedTuple):
    """What `plan_superdarks` found out.

    Attributes
    ----------
    tasks : tuple of SuperdarkTask
        Each basedark before its weekdarks.
    of : mapping
        The super-dark of each science exposure, by path.
    missing, unneeded
        See `gpucti.pipeline.planning.tasks.Plan`.
    """

    tasks: tuple[SuperdarkTask, ...]
    of: Mapping[Path, SuperdarkTask]
    missing: tuple[str, ...]
    unneeded: tuple[Unneeded, ...]


#: Where no exposure needs any.
NO_SUPERDARKS = SuperdarkPlan((), {}, (), ())


def plan_superdarks(
    needs: Sequence[DarkNeed],
    found: Mapping[str, DarkFile],
    folders: Folders,
    options: RunOptions,
    tools: Tools,
    problems: Problems,
) -> SuperdarkPlan:
    """Plan the super-darks that these exposures need, period by period and amplifier by amplifier."""
    planner = _SuperdarkPlanner(folders, options, tools, problems, os.access(folders.darks, os.W_OK | os.X_OK))
    if not planner.darks_writable:
        problems.note(f"{folders.darks} cannot be written to: corrected darks go to {folders.ref / DARKS_ELSEWHERE}")
    groups: dict[tuple[AnnealPeriod, str], list[ExposureHeaders]] = {}
    for need in needs:
        groups.setdefault((need.period, need.headers.amp), []).append(need.headers)
    selections: dict[tuple[AnnealPeriod, str], DarkSelection] = {}
    for period, amp in groups:
        with problems.collecting():
            selections[period, amp] = select_darks(period, amp, found)
    with problems.collecting():
        if not options.ignore_missing and not options.download:
            require_complete(selections.values(), folders.darks)
    tasks: list[SuperdarkTask] = []
    of: dict[Path, SuperdarkTask] = {}
    for key, selection in selections.items():
        with problems.collecting():
            more, of_exposures = planner.of_selection(selection, groups[key])
            tasks += more
            of |= of_exposures
    unneeded = [Unneeded(*item) for selection in selections.values() for item in selection.left_out.items()]
    return SuperdarkPlan(tuple(tasks), of, tuple(missing_darks(selections.values())), tuple(dict.fromkeys(unneeded)))


@dataclass(frozen=True)
class _SuperdarkPlanner:
    """Plans super-darks and their darks, with the decision which of the files that are there will do."""

    folders: Folders
    options: RunOptions
    tools: Tools
    problems: Problems
    darks_writable: bool
    dark_tasks: dict[Path, DarkTask] = field(default_factory=dict)  # one of each dark, whatever it is used for

    def of_selection(
        self, selection: DarkSelection, exposures: Sequence[ExposureHeaders]
    ) -> tuple[list[SuperdarkTask], dict[Path, SuperdarkTask]]:
        """Return the super-darks of one anneal period and amplifier, and which of them each exposure needs."""
        period, amp = selection.period, selection.amp
        if selection.missing:
            if self.options.download or not self.options.ignore_missing:
                return [], {}  # told of already, or fetched first
            names = ", ".join(selection.missing)
            self.problems.note(f"anneal period {period.start_date}: made without missing darks ({names})")
        self._require_combinable(selection)
        all_weeks = weeks(period, selection.used, amp)
        week = {headers.path: _week(headers, all_weeks) for headers in exposures}
        chosen = all_weeks if self.options.all_weeks else [each for each in all_weeks if each in week.values()]
        darks = [self._dark(dark) for dark in selection.used]
        basedark = self._superdark(basedark_name(amp, period), period, amp, darks, None)
        of_week = {each.number: self._weekdark(each, period, amp, darks, basedark) for each in chosen}
        base = [basedark] if any(task.basedark is basedark for task in of_week.values()) else []
        return [*base, *of_week.values()], {path: of_week[each.number] for path, each in week.items()}

    def _require_combinable(self, selection: DarkSelection) -> None:
        """Raise unless the darks of a period can be combined."""
        darks, period = selection.used, selection.period.start_date
        if not darks:
            raise MissingDarksError(
                f"no dark of the anneal period {period} read with amplifier {selection.amp}; "
                "get their FLT files, or give the exposures a super-dark of your own",
                where=self.folders.darks,
            )
        if len(darks) < 2:
            raise InputError(
                f"the only dark of the anneal period {period}, and a super-dark needs two or more; get the others",
                where=darks[0].path,
            )
        if len({dark.gain for dark in darks}) > 1:
            odd = ", ".join(f"{dark.path.name} {dark.gain:g}" for dark in darks)
            raise InputError(
                f"anneal period {period}: CCDGAIN of its darks differs ({odd}); a super-dark takes darks of one gain, "
                "move the others away"
            )

    def _weekdark(
        self, week: Week, period: AnnealPeriod, amp: str, darks: Sequence[DarkTask], basedark: SuperdarkTask
    ) -> SuperdarkTask:
        """Plan the super-dark of one week."""
        name = weekdark_name(amp, period, week.number)
        paths = {dark.path for dark in week.darks}
        of_week = [task for task in darks if task.file.path in paths]
        if len(of_week) > 1:
            return self._superdark(name, period, amp, of_week, basedark)
        only = of_week[0].file.path
        others = [task for task in darks if task.file.path not in paths]
        if self.options.single_dark_week == "stop":
            raise InputError(
                f"the only dark of week {week.number} of the anneal period {period.start_date}, and a weekdark "
                "needs two or more; get the others, or let the period's other darks stand in "
                "(--single-dark-week basedark)",
                where=only,
            )
        if len(others) < 2:
            raise InputError(
                f"the only dark of its week, and the anneal period {period.start_date} has {len(others)} "
                "other; a super-dark needs two or more, get the others",
                where=only,
            )
        self.problems.note(
            f"{name}: week {week.number} has one dark only ({only.name}); it is left out, and the file is a basedark "
            f"of the {len(others)} other darks of the period"
        )
        return self._superdark(name, period, amp, others, None)

    def _superdark(
        self, name: str, period: AnnealPeriod, amp: str, darks: Sequence[DarkTask], basedark: SuperdarkTask | None
    ) -> SuperdarkTask:
        """Return the task of one super-dark, with the decision whether the file that is there will do."""
        path, references = self.folders.ref / name, self.tools.references
        first = darks[0].file
        try:
            crrejtab = HeaderReferences(first.cards, first.path.parent, references).required("CRREJTAB")
        except ReferenceFileError as error:
            raise error.at(first.path) from error
        ingredients = {
            "kind": "basedark" if basedark is None else "weekdark",
            "darks": [(task.file.rootname, task.file.sha256) for task in darks],
            "crrejtab": references.digest(crrejtab),
            "basedark": None if basedark is None else basedark.recipe,
        }
        digest = recipe(**ingredients, **self.tools.provenance.ingredients)
        reuse, why = self._judge(path, digest)
        return SuperdarkTask(path, period, amp, tuple(darks), basedark, digest, reuse, why)

    def _judge(self, path: Path, digest: str) -> tuple[bool, str]:
        """Return whether a super-dark can be reused, and why or why not."""
        if not path.exists():
            return False, "new"
        if self.options.clean_all:
            return False, "made anew (clean_all)"
        try:
            header = read_hdus(path)[0][0].header
        except InputError:
            return False, "the file there is damaged"
        if RECIPE not in header:
            raise InputError(
                "not made by this pipeline, and a super-dark of that name is; move it away, or replace it "
                "with --clean_all",
                where=path,
            )
        if header[RECIPE] == digest:
            return True, "made from the same darks, table and options"
        if header.get("PCTESHAT") != self.tools.provenance.pctetab.sha256:
            return False, "made with another PCTETAB"
        return False, "made from other darks, options or CRREJTAB"

    def _dark(self, dark: DarkFile) -> DarkTask:
        """Return the task of one dark, with the decision whether the corrected file that is there will do."""
        if dark.path not in self.dark_tasks:
            self.dark_tasks[dark.path] = self._decide(dark)
        return self.dark_tasks[dark.path]

    def _decide(self, dark: DarkFile) -> DarkTask:
        name = f"{dark.path.name.rpartition('_')[0]}_{CORRECTED}.fits"
        here, elsewhere = self.folders.darks / name, self.folders.ref / DARKS_ELSEWHERE / name
        if self.options.clean_all:
            return DarkTask(dark, here if self.darks_writable else elsewhere, False, "made anew (clean_all)")
        reasons = {}
        for path in (here, elsewhere):
            reason = self._why_not(path, dark)
            if reason is None:
                return DarkTask(dark, path, True, "made from this dark with this table and these options")
            reasons[path] = reason
        output = elsewhere if not self.darks_writable or reasons[here] == _FOREIGN else here
        why = "new" if reasons[output] == _ABSENT else reasons[output]
        return DarkTask(dark, output, False, f"{here.name} there is {_FOREIGN}" if reasons[here] == _FOREIGN else why)

    def _why_not(self, path: Path, dark: DarkFile) -> str | None:
        """Return why a corrected dark cannot be reused; None if it can."""
        try:
            header: fits.Header = read_hdus(find_file(path))[0][0].header
        except FileNotFoundError:
            return _ABSENT
        except InputError:
            return "the file there is damaged"
        return self.tools.provenance.why_other(header, dark.sha256)


_ABSENT, _FOREIGN = "not there", "not made by gpucti"


def _week(headers: ExposureHeaders, all_weeks: Sequence[Week]) -> Week:
    """Return the week in which an exposure was taken."""
    try:
        return week_of(start_time(headers.cards), all_weeks)
    except InputError as error:
        raise error.at(headers.path) from error
