"""The dark side of a plan: which darks each anneal period has, which super-darks they give, what can be reused."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from astropy.io import fits

from gpucti.calibration.reffiles import References
from gpucti.correction.provenance import RECIPE, Provenance, recipe
from gpucti.darks.anneals import AnnealPeriod
from gpucti.darks.weeks import (
    DarkFile,
    DarkSelection,
    Week,
    basedark_name,
    require_complete,
    select_darks,
    week_of,
    weekdark_name,
    weeks,
)
from gpucti.errors import GpuctiError, InputError, MissingDarksError, ReferenceFileError
from gpucti.io.exposure import ExposureHeaders
from gpucti.io.fitsfile import find_file, read_hdus
from gpucti.io.headers import start_time
from gpucti.pipeline.options import RunOptions
from gpucti.pipeline.planning.tasks import CORRECTED, DarkTask, Folders, SuperdarkTask, Unneeded

#: Where corrected darks go if the folder of darks cannot hold them: this folder beside the super-darks.
DARKS_ELSEWHERE = "darks"


class Wanted(NamedTuple):
    """A science exposure that needs a super-dark."""

    headers: ExposureHeaders
    period: AnnealPeriod


@dataclass
class SuperdarkPlan:
    """What `plan_superdarks` found out.

    Attributes
    ----------
    tasks : tuple of SuperdarkTask
        Each basedark before its weekdarks.
    of : dict
        The super-dark of each science exposure, by path.
    missing, unneeded, problems, notes
        See `gpucti.pipeline.planning.tasks.Plan`.
    """

    tasks: tuple[SuperdarkTask, ...] = ()
    of: dict[Path, SuperdarkTask] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    unneeded: tuple[Unneeded, ...] = ()
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def plan_superdarks(
    wanted: Sequence[Wanted],
    found: Mapping[str, DarkFile],
    folders: Folders,
    options: RunOptions,
    provenance: Provenance,
    references: References,
) -> SuperdarkPlan:
    """Plan the super-darks that these exposures need, period by period and amplifier by amplifier."""
    planner = _Planner(folders, options, provenance, references)
    groups: dict[tuple[AnnealPeriod, str], list[Wanted]] = {}
    for want in wanted:
        groups.setdefault((want.period, want.headers.amp), []).append(want)
    selections = {}
    for period, amp in groups:
        with planner.collecting():
            selections[period, amp] = select_darks(period, amp, found)
    with planner.collecting():
        if not options.ignore_missing and not options.download:
            require_complete(selections.values(), folders.darks)
    for key, selection in selections.items():
        with planner.collecting():
            planner.add(selection, groups[key])
    return planner.result


class _Planner:
    def __init__(
        self,
        folders: Folders,
        options: RunOptions,
        provenance: Provenance,
        references: References,
    ) -> None:
        self._folders = folders
        self._options = options
        self._provenance = provenance
        self._references = references
        self._elsewhere = not os.access(folders.darks, os.W_OK | os.X_OK)
        self._dark_tasks: dict[Path, DarkTask] = {}
        self.result = SuperdarkPlan()
        if self._elsewhere:
            self.result.notes.append(
                f"{folders.darks} cannot be written to: corrected darks go to {folders.ref / DARKS_ELSEWHERE}"
            )

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Turn an error into a problem of the plan."""
        try:
            yield
        except GpuctiError as error:
            self.result.problems.append(str(error))

    def add(self, selection: DarkSelection, members: Sequence[Wanted]) -> None:
        """Plan the super-darks of one anneal period and amplifier."""
        period, amp, result = selection.period, selection.amp, self.result
        result.missing += tuple(name for name in selection.missing if name not in result.missing)
        unneeded = (Unneeded(name, reason) for name, reason in selection.left_out.items())
        result.unneeded += tuple(one for one in unneeded if one not in result.unneeded)
        if selection.missing:
            if self._options.download or not self._options.ignore_missing:
                return  # told of already, or fetched first
            names = ", ".join(selection.missing)
            result.notes.append(f"anneal period {period.start_date}: made without missing darks ({names})")
        self._require_alike(selection)
        its_weeks = weeks(period, selection.used, amp)
        week = {want.headers.path: self._week(want.headers, its_weeks) for want in members}
        chosen = its_weeks if self._options.all_weeks else [w for w in its_weeks if w in week.values()]
        tasks = [self._dark_task(dark) for dark in selection.used]
        basedark = self._superdark(basedark_name(amp, period), period, amp, tasks, None)
        of_week = {one.number: self._weekdark(one, period, amp, tasks, basedark) for one in chosen}
        if any(task.basedark is basedark for task in of_week.values()):
            result.tasks += (basedark,)
        result.tasks += tuple(of_week.values())
        result.of |= {path: of_week[one.number] for path, one in week.items()}

    def _week(self, headers: ExposureHeaders, its_weeks: Sequence[Week]) -> Week:
        try:
            return week_of(start_time(headers.primary, f"{headers.path}[0]"), its_weeks)
        except InputError as error:
            raise InputError(f"{error}", where=headers.path) from error

    def _require_alike(self, selection: DarkSelection) -> None:
        """Raise unless the darks of a period can be combined."""
        darks, period = selection.used, selection.period.start_date
        if not darks:
            raise MissingDarksError(
                f"no dark of the anneal period {period} read with amplifier {selection.amp}; "
                "get their FLT files, or give the exposures a super-dark of your own",
                where=self._folders.darks,
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
        self, week: Week, period: AnnealPeriod, amp: str, tasks: Sequence[DarkTask], basedark: SuperdarkTask
    ) -> SuperdarkTask:
        """Plan the super-dark of one week."""
        name = weekdark_name(amp, period, week.number)
        paths = {dark.path for dark in week.darks}
        mine = [task for task in tasks if task.file.path in paths]
        if len(mine) > 1:
            return self._superdark(name, period, amp, mine, basedark)
        only = mine[0].file.path
        others = [task for task in tasks if task.file.path not in paths]
        if self._options.single_dark_week == "stop":
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
        self.result.notes.append(
            f"{name}: week {week.number} has one dark only ({only.name}); it is left out, and the file is a basedark "
            f"of the {len(others)} other darks of the period"
        )
        return self._superdark(name, period, amp, others, None)

    def _superdark(
        self, name: str, period: AnnealPeriod, amp: str, darks: Sequence[DarkTask], basedark: SuperdarkTask | None
    ) -> SuperdarkTask:
        """Return the task of one super-dark, with the decision whether the file that is there will do."""
        path = self._folders.ref / name
        first = darks[0].file
        try:
            crrejtab = self._references.required(first.primary, "CRREJTAB", first.path.parent)
        except (InputError, ReferenceFileError) as error:
            raise ReferenceFileError(f"{error}", where=first.path) from error
        ingredients = {
            "kind": "basedark" if basedark is None else "weekdark",
            "darks": self._digests(darks),
            "crrejtab": self._references.digest(crrejtab),
            "basedark": None if basedark is None else basedark.recipe,
        }
        digest = recipe(**ingredients, **self._provenance.ingredients)
        reuse, why = self._judge(path, digest, self._options.clean_all)
        return SuperdarkTask(path, period, amp, tuple(darks), basedark, digest, reuse, why)

    def _judge(self, path: Path, digest: str, clean_all: bool) -> tuple[bool, str]:
        """Return whether a super-dark can be reused, and why or why not."""
        if not path.exists():
            return False, "new"
        if clean_all:
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
        if header.get("PCTESHAT") != self._provenance.pctetab.sha256:
            return False, "made with another PCTETAB"
        return False, "made from other darks, options or CRREJTAB"

    def _digests(self, darks: Sequence[DarkTask]) -> list[tuple[str, str]]:
        return [(task.file.rootname, task.file.sha256) for task in darks]

    def _dark_task(self, dark: DarkFile) -> DarkTask:
        """Return the task of one dark, with the decision whether the corrected file that is there will do."""
        if dark.path not in self._dark_tasks:
            self._dark_tasks[dark.path] = self._decide(dark)
        return self._dark_tasks[dark.path]

    def _decide(self, dark: DarkFile) -> DarkTask:
        name = f"{dark.path.name.rpartition('_')[0]}_{CORRECTED}.fits"
        here, elsewhere = self._folders.darks / name, self._folders.ref / DARKS_ELSEWHERE / name
        if self._options.clean_all:
            return DarkTask(dark, elsewhere if self._elsewhere else here, False, "made anew (clean_all)")
        reasons = {}
        for path in (here, elsewhere):
            reason = self._why_not(path, dark)
            if reason is None:
                return DarkTask(dark, path, True, "made from this dark with this table and these options")
            reasons[path] = reason
        output = elsewhere if self._elsewhere or reasons[here] == _FOREIGN else here
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
        return self._provenance.why_other(header, dark.sha256)


_ABSENT, _FOREIGN = "not there", "not made by gpucti"
