"""The dark side of a plan: which darks each anneal period has, which super-darks they give, what can be reused."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from astropy.io import fits

from gpucti.calibration.reffiles import HeaderReferences
from gpucti.correction.provenance import RECIPE, recipe
from gpucti.darks.anneals import AnnealPeriod
from gpucti.darks.superdarks import require_component
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
from gpucti.errors import Failure, GpuctiError, InputError, MissingDarksError, ReferenceFileError
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


class DarksFound(NamedTuple):
    """The component darks on disk.

    Attributes
    ----------
    files : mapping
        Those that can be read, by exposure.
    unreadable : set of str
        Exposures of the others; told of already.
    unusable : mapping
        Why a dark cannot be used, as the run found out when it came to its pixels, by path.
    """

    files: Mapping[str, DarkFile]
    unreadable: Set[str] = frozenset()
    unusable: Mapping[Path, str] = MappingProxyType({})


class SuperdarkPlan(NamedTuple):
    """What `plan_superdarks` found out.

    Attributes
    ----------
    tasks : tuple of SuperdarkTask
        Each basedark before its weekdarks.
    of : mapping
        The super-dark of each science exposure that can have one, by path.
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
    found: DarksFound,
    folders: Folders,
    options: RunOptions,
    tools: Tools,
    problems: Problems,
) -> SuperdarkPlan:
    """Plan the super-darks that these exposures need, period by period and amplifier by amplifier.

    What is wrong with a dark, a period or a super-dark leaves out the exposures that need it. Missing darks are a
    problem of the whole run, unless they are to be ignored or fetched.
    """
    planner = _SuperdarkPlanner(folders, options, tools, problems, os.access(folders.darks, os.W_OK | os.X_OK))
    if not planner.darks_writable:
        problems.note(f"{folders.darks} cannot be written to: corrected darks go to {folders.ref / DARKS_ELSEWHERE}")
    groups: dict[tuple[AnnealPeriod, str], list[ExposureHeaders]] = {}
    for need in needs:
        groups.setdefault((need.period, need.headers.amp), []).append(need.headers)
    selections: dict[tuple[AnnealPeriod, str], DarkSelection] = {}
    spoilt: dict[tuple[AnnealPeriod, str], list[str]] = {}
    for period, amp in groups:
        files, bad = planner.usable(period, amp, found)
        selection = select_darks(period, amp, files)
        missing = tuple(name for name in selection.missing if name not in bad)
        selections[period, amp], spoilt[period, amp] = replace(selection, missing=missing), bad
    with problems.collecting():
        if not options.ignore_missing and not options.download:
            require_complete(selections.values(), folders.darks)
    tasks: list[SuperdarkTask] = []
    of: dict[Path, SuperdarkTask] = {}
    for key, selection in selections.items():
        with planner.needed_by(groups[key], f"anneal period {selection.period.start_date}, amplifier {key[1]}"):
            more, of_exposures = planner.of_selection(selection, spoilt[key], groups[key])
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

    def usable(self, period: AnnealPeriod, amp: str, found: DarksFound) -> tuple[dict[str, DarkFile], list[str]]:
        """Return the files of the darks of a period that can be used, and the names of those that cannot."""
        files: dict[str, DarkFile] = {}
        bad: list[str] = []
        for dark in period.darks:
            file = found.files.get(dark.exposure)
            needed = dark.why_not_needed(amp) is None
            if file is None:
                if needed and dark.exposure in found.unreadable:
                    bad.append(dark.exposure)
                continue
            try:
                if not dark.too_short:
                    self._require_usable(file, amp, found.unusable)
                files[dark.exposure] = file
            except (GpuctiError, OSError) as error:
                if needed:
                    bad.append(dark.exposure)
                    self.problems.fail(Failure.of(file.path, error))
        return files, bad

    def _require_usable(self, file: DarkFile, amp: str, unusable: Mapping[Path, str]) -> None:
        """Raise for a dark that cannot be used, as far as its headers tell, or as the run has found out."""
        file.require_usable()
        if file.amp != amp:
            return
        if file.path in unusable:
            raise InputError(unusable[file.path], where=file.path)
        _ = file.gain, file.start, file.darkfile  # each raises for a bad keyword
        if not self._dark(file).reuse:
            file.headers.require_trimmed()
            file.headers.require_uncorrected()
            require_component(file.headers)

    @contextmanager
    def needed_by(self, exposures: Iterable[ExposureHeaders], about: str) -> Iterator[None]:
        """Leave out the exposures if the block, which is about what they need, ends with an error."""
        try:
            yield
        except (GpuctiError, OSError) as error:
            where = error.where if isinstance(error, GpuctiError) else ""
            cause = Failure.of(where or about, error)
            self.problems.fail(cause)
            for headers in exposures:
                self.problems.follow(headers.path, f"its super-dark cannot be made (see {cause.item})")

    def of_selection(
        self, selection: DarkSelection, spoilt: Sequence[str], exposures: Sequence[ExposureHeaders]
    ) -> tuple[list[SuperdarkTask], dict[Path, SuperdarkTask]]:
        """Return the super-darks of one anneal period and amplifier, and which of them each exposure needs."""
        period, amp = selection.period, selection.amp
        if selection.missing:
            if self.options.download or not self.options.ignore_missing:
                return [], {}  # told of already, or fetched first
            names = ", ".join(selection.missing)
            self.problems.note(f"anneal period {period.start_date}: made without missing darks ({names})")
        if spoilt and not self.options.ignore_missing:
            names = ", ".join(spoilt)
            for headers in exposures:
                self.problems.follow(
                    headers.path,
                    f"its super-dark cannot be made: darks of the anneal period {period.start_date} cannot be used "
                    f"({names}); mend or replace them, or do without (--ignore_missing)",
                )
            return [], {}
        if spoilt:
            names = ", ".join(spoilt)
            self.problems.note(f"anneal period {period.start_date}: made without darks that cannot be used ({names})")
        self._require_combinable(selection)
        all_weeks = weeks(period, selection.used, amp)
        week: dict[Path, Week] = {}
        for headers in exposures:
            with self.problems.leaving_out(headers.path):
                week[headers.path] = week_of(start_time(headers.cards), all_weeks)
        chosen = all_weeks if self.options.all_weeks else [each for each in all_weeks if each in week.values()]
        darks = [self._dark(dark) for dark in selection.used]
        basedark = self._superdark(basedark_name(amp, period), period, amp, darks, None)
        of_week: dict[int, SuperdarkTask] = {}
        for each in chosen:
            with self.needed_by([headers for headers in exposures if week.get(headers.path) is each], each.name):
                of_week[each.number] = self._weekdark(each, period, amp, darks, basedark)
        base = [basedark] if any(task.basedark is basedark for task in of_week.values()) else []
        of = {path: of_week[each.number] for path, each in week.items() if each.number in of_week}
        return [*base, *of_week.values()], of

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
