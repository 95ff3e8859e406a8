"""From dark exposures in the archive to anneal periods: stis_cti's rules, on a window of dates in place of all history.

An anneal is a group of darks of an annealing programme; a group starts five days or more after the start of the group
before it. A period lasts from the first dark of one group to the first dark of the next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from gpucti.archive.programmes import Kind, Programmes
from gpucti.darks.anneals import MIN_DARK_SECONDS, AnnealPeriod, Dark
from gpucti.errors import ArchiveError, InputError
from gpucti.io.dates import format_utc

#: Darks are searched this far around an exposure, further if that does not decide: at most three searches.
WINDOWS = (timedelta(days=60), timedelta(days=120), timedelta(days=240))
#: Darks of one anneal start within this time of the first one.
GROUP = timedelta(days=5)
#: Super-darks of the pipeline, which tell the weeks apart, settle within this time after a period.
SETTLING = timedelta(days=60)
#: A longer period is worth a note.
_LONG = timedelta(days=60)

_OVERRIDE = "give the limits of the period (--anneal-start, --anneal-end) or a list (--anneals FILE)"


class DarkRecord(NamedTuple):
    """One dark exposure as a search finds it: ROOTNAME, start (UTC), seconds, number of the programme."""

    name: str
    start: datetime
    exptime: float
    programme: int


Search = Callable[[datetime, datetime], Sequence[DarkRecord]]


class Catalogue:
    """The darks of the archive in the time that was asked for so far.

    Parameters
    ----------
    search : callable
        Returns all darks that start between two dates.
    """

    def __init__(self, search: Search) -> None:
        self._search = search
        self._darks: dict[str, DarkRecord] = {}
        self._spans: list[tuple[datetime, datetime]] = []

    def ask(self, start: datetime, end: datetime) -> None:
        """Make sure that the darks between two dates are known; no search if they are, one at most."""
        missing_from, missing_to = start, end
        for begin, stop in sorted(self._spans):
            if begin <= missing_from <= stop:
                missing_from = stop
        for begin, stop in sorted(self._spans, reverse=True):
            if begin <= missing_to <= stop:
                missing_to = begin
        if missing_from >= missing_to:
            return
        self._darks |= {dark.name: dark for dark in self._search(missing_from, missing_to)}
        merged: list[tuple[datetime, datetime]] = []
        for begin, stop in sorted([*self._spans, (missing_from, missing_to)]):
            if merged and begin <= merged[-1][1]:
                merged[-1] = merged[-1][0], max(stop, merged[-1][1])
            else:
                merged.append((begin, stop))
        self._spans = merged

    def known(self, start: datetime, end: datetime) -> tuple[datetime, datetime, list[DarkRecord]]:
        """Return the longest known span that holds these dates, and its darks by time."""
        begin, stop = next(span for span in self._spans if span[0] <= start and end <= span[1])
        inside = (dark for dark in self._darks.values() if begin <= dark.start <= stop)
        return begin, stop, sorted(inside, key=lambda dark: (dark.start, dark.name))


def boundaries(anneals: Sequence[datetime], since: datetime) -> list[datetime]:
    """Return the starts of the groups of annealing darks that are certain.

    Parameters
    ----------
    anneals : sequence of datetime
        Starts of the annealing darks from `since` on, by time.
    since : datetime
        Where knowledge begins: a group may have started before it. After five days without annealing darks the next
        one starts a group for certain.
    """
    found: list[datetime] = []
    last = since
    for start in anneals:
        if start - last >= GROUP or (found and start - found[-1] >= GROUP):
            found.append(start)
        last = start
    return found


class _Found(NamedTuple):
    """Limits of a period and its darks; `short` says what is missing, "" if nothing."""

    start: datetime | None
    end: datetime | None
    darks: tuple[DarkRecord, ...]
    short: str = ""


@dataclass(frozen=True)
class PeriodFinder:
    """Finds the anneal period of a date.

    Attributes
    ----------
    catalogue : Catalogue
        The darks.
    programmes : Programmes
        What programmes are for.
    now : datetime
        UTC.
    start, end : datetime or None
        Limits that the user gave.
    min_exptime : float
        Shorter darks are left out, seconds.
    notes : list of str
        What the user should know, collected.
    """

    catalogue: Catalogue
    programmes: Programmes
    now: datetime
    start: datetime | None = None
    end: datetime | None = None
    min_exptime: float = MIN_DARK_SECONDS
    notes: list[str] = field(default_factory=list)

    def period(self, when: datetime) -> AnnealPeriod:
        """Return the period that contains a date, UTC.

        Raises
        ------
        InputError
            The date lies in the future, or outside the limits that the user gave.
        ArchiveError
            The archive does not answer, or what it holds does not decide; the message says what to give instead.
        """
        if when > self.now + timedelta(days=1):
            raise InputError(
                f"{format_utc(when)} lies in the future; check TDATEOBS, or this computer's clock "
                f"({format_utc(self.now.replace(microsecond=0))} UTC)"
            )
        if (self.start and when < self.start) or (self.end and when >= self.end):
            raise InputError(
                f"{format_utc(when)} lies outside the limits given, {self.start or '...'} to {self.end or 'now'}; "
                "expected a period that contains all exposures, treat the others apart"
            )
        found = _Found(None, None, ())
        for window in WINDOWS:
            begin = when - window if self.start is None else self.start - GROUP
            stop = when + window if self.end is None else self.end
            self.catalogue.ask(begin, stop)
            found = self._in_window(when, begin, stop)
            if not found.short:
                break
        if found.short or found.start is None:
            raise ArchiveError(f"{found.short}; {_OVERRIDE}", where=format_utc(when))
        return self._finished(found.start, found)

    def _in_window(self, when: datetime, begin: datetime, stop: datetime) -> _Found:
        """Return the period as far as the known darks show it."""
        begin, stop, darks = self.catalogue.known(begin, stop)
        starts: dict[int, list[datetime]] = {}
        for dark in darks:
            starts.setdefault(dark.programme, []).append(dark.start)
        kinds = {number: self.programmes.kind(number, times) for number, times in starts.items()}
        unknown = sorted(number for number, kind in kinds.items() if kind is Kind.UNKNOWN)
        found = self._limits(when, begin, stop, darks, kinds)
        if not unknown:
            return found
        # A programme that nobody knows matters only if it makes a difference.
        as_either = {
            self._limits(when, begin, stop, darks, kinds | dict.fromkeys(unknown, kind))
            for kind in (Kind.ANNEAL, Kind.DARK)
        }
        if as_either == {found} and not found.short:
            return found
        what = (
            f"programme {', '.join(str(number) for number in unknown)} took darks then, and neither a title nor its "
            "dates tell whether they belong to an anneal"
        )
        if self.start is None or self.end is None:
            return found._replace(short=f"{found.short}, and {what}" if found.short else what)
        self.notes.append(f"{what}; they are left out")
        return found

    def _limits(
        self,
        when: datetime,
        begin: datetime,
        stop: datetime,
        darks: Sequence[DarkRecord],
        kinds: Mapping[int, Kind],
    ) -> _Found:
        groups = boundaries([dark.start for dark in darks if kinds[dark.programme] is Kind.ANNEAL], begin)
        start = self.start or max((group for group in groups if group <= when), default=None)
        end = self.end or min((group for group in groups if group > when), default=None)
        if start is None:
            return _Found(start, end, (), f"no anneal in the archive in the {(when - begin).days} days before it")
        if end is None and stop < self.now:
            return _Found(start, end, (), f"no anneal in the archive in the {(stop - when).days} days after it")
        members = tuple(
            dark
            for dark in darks
            if kinds[dark.programme] is Kind.DARK
            and start <= dark.start
            and (end is None or dark.start < end)
            and dark.exptime >= self.min_exptime
        )
        return _Found(start, end, members)

    def _finished(self, start: datetime, found: _Found) -> AnnealPeriod:
        members = tuple(Dark(dark.name, dark.programme, dark.start, dark.exptime) for dark in found.darks)
        period = AnnealPeriod(start, found.end, members, asked=self.now.replace(microsecond=0))
        for note in self._notes_on(period):
            if note not in self.notes:
                self.notes.append(note)
        return period

    def _notes_on(self, period: AnnealPeriod) -> list[str]:
        notes = []
        if not settled(period):
            state = "is still open" if period.end is None else "has ended only lately"
            notes.append(
                f"anneal period {period.start_date} {state}: its best darks may not exist yet for 30 to 60 days, and "
                "its weeks can change; ask again later"
            )
        length = (period.end or self.now) - period.start
        if length > _LONG:
            notes.append(
                f"anneal period {period.start_date} is {length.days} days long, anneals are about 28 days apart; if "
                "the archive lacks one, give the limits (--anneal-start, --anneal-end)"
            )
        if not period.darks:
            notes.append(
                f"anneal period {period.start_date}: no darks of {self.min_exptime:g} s or more in the archive"
            )
        return notes


def settled(period: AnnealPeriod) -> bool:
    """Tell whether the archive would still give the same answer about a period, as far as can be foreseen."""
    return period.end is not None and (period.asked is None or period.asked >= period.end + SETTLING)
