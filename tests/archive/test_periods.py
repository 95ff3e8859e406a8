"""Anneal periods from darks of a synthetic archive of sixteen years, without a network."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from gpucti.archive.periods import GROUP, Catalogue, DarkRecord, PeriodFinder, boundaries, settled
from gpucti.archive.programmes import Kind, KnownProgrammes, Programmes, kind_of_cadence, kind_of_title
from gpucti.darks.anneals import AnnealPeriod
from gpucti.errors import ArchiveError, InputError
from support.archive_server import CYCLES, Archive, synthetic_archive

START, END = datetime(2009, 5, 10), datetime(2025, 6, 20)
FIRST = datetime(2009, 6, 1)
#: Anneals that did not take place: gaps of two, three, four and six months.
SKIPPED = (40, 75, 76, 110, 111, 112, *range(150, 156))


@pytest.fixture(scope="module")
def archive() -> Archive:
    return synthetic_archive(START, END, skip=SKIPPED)


class Searches:
    """Searches an archive as the server does, and counts."""

    def __init__(self, archive: Archive) -> None:
        self.rows = [DarkRecord(dark.name, dark.start, dark.exptime, dark.programme) for dark in archive.darks]
        self.starts = [row.start for row in self.rows]
        self.reset()

    def reset(self) -> None:
        self.count, self.longest = 0, timedelta(0)

    def __call__(self, start: datetime, end: datetime) -> list[DarkRecord]:
        self.count += 1
        self.longest = max(self.longest, end - start)
        return self.rows[bisect_left(self.starts, start) : bisect_right(self.starts, end)]


def titles(archive: Archive) -> Callable[[int, datetime], str | None]:
    return lambda number, when: archive.titles.get(number)


class Truth:
    """The direct count: stis_cti's rules on the whole archive, programmes told apart by what they were made as."""

    def __init__(self, archive: Archive) -> None:
        anneals = {number for number, title in archive.titles.items() if "Anneal" in title} | {c[2] for c in CYCLES}
        self.limits: list[datetime] = []
        for dark in archive.darks:
            if dark.programme in anneals and (not self.limits or (dark.start - self.limits[-1]).days >= 5):
                self.limits.append(dark.start)
        self.long = [dark for dark in archive.darks if dark.programme not in anneals and dark.exptime >= 960]
        self.starts = [dark.start for dark in self.long]

    def period(self, when: datetime) -> tuple[datetime, datetime | None, list[str]]:
        number = bisect_right(self.limits, when)
        start, end = self.limits[number - 1], self.limits[number] if number < len(self.limits) else None
        last = len(self.long) if end is None else bisect_left(self.starts, end)
        return start, end, [dark.name for dark in self.long[bisect_left(self.starts, start) : last]]


def found(period: AnnealPeriod) -> tuple[datetime, datetime | None, list[str]]:
    return period.start, period.end, [dark.exposure for dark in period.darks]


def dates(truth: Truth, step: float) -> list[datetime]:
    """Return dates in steps of days, and all limits of periods with the seconds about them."""
    days = [FIRST + timedelta(days=step * n) for n in range(int((END - FIRST).days / step) + 1)]
    near = [limit + timedelta(seconds=s) for limit in truth.limits for s in (-1, 0, 1) if limit > FIRST]
    return sorted(when for when in [*days, *near] if when <= END)


@pytest.mark.slow
def test_every_date(archive: Archive) -> None:
    """Oracle: the direct count on the whole archive; three searches at most, none longer than 480 days."""
    truth = Truth(archive)
    open_dates = 0
    counts = []
    searches, programmes = Searches(archive), Programmes(titles(archive))
    for when in dates(truth, 1.0):
        searches.reset()
        finder = PeriodFinder(Catalogue(searches), programmes, END)
        period = finder.period(when)
        assert found(period) == truth.period(when), when
        assert searches.count <= 3
        assert searches.longest <= timedelta(days=480)
        counts.append(searches.count)
        open_dates += period.end is None
    assert open_dates > 5
    assert set(counts) == {1, 2, 3}
    assert sum(counts) < 1.2 * len(counts)
    assert max((b - a).days for a, b in pairwise(truth.limits)) > 180


def test_the_past_as_it_was(archive: Archive) -> None:
    """Oracle: the direct count on an archive that ends that day: the newest anneal group, and the days after it."""
    truth = Truth(archive)
    last = 100
    for days in (0.0, 0.3, 0.9, 3.0, 20.0):
        now = truth.limits[last] + timedelta(days=days)
        past = Archive([dark for dark in archive.darks if dark.start <= now], archive.titles)
        finder = PeriodFinder(Catalogue(Searches(past)), Programmes(titles(past)), now)
        period = finder.period(now)
        assert found(period) == Truth(past).period(now)
        assert (period.start, period.end) == (truth.limits[last], None)
        assert "30 to 60 days" in " ".join(finder.notes)
        assert not settled(period)


def test_without_titles_the_cadence_decides_or_it_says_so(archive: Archive) -> None:
    """Oracle: the direct count. Not one wrong answer; where it cannot be known, an error names the programme."""
    truth = Truth(archive)

    def silent(number: int, when: datetime) -> str | None:
        raise ArchiveError("the portal is down")

    undecided = guessed = 0
    some, searches = dates(truth, 3.0)[::2], Searches(archive)
    for when in some:
        programmes = Programmes(silent)
        try:
            period = PeriodFinder(Catalogue(searches), programmes, END).period(when)
        except ArchiveError as error:
            assert "neither a title" in str(error) and "--anneal-start" in str(error)
            undecided += 1
            continue
        assert found(period) == truth.period(when), when
        guessed += bool(programmes.notes())
    assert guessed > 0.7 * len(some)
    assert undecided < 0.05 * len(some)


def test_many_exposures_share_searches(archive: Archive) -> None:
    """Oracle: the direct count; the searches of neighbouring periods overlap."""
    truth, searches = Truth(archive), Searches(archive)
    finder = PeriodFinder(Catalogue(searches), Programmes(titles(archive)), END)
    limits = [limit for limit in truth.limits if datetime(2012, 1, 1) < limit < datetime(2013, 1, 1)]
    for limit in limits:
        assert found(finder.period(limit)) == truth.period(limit)
    assert searches.count <= len(limits)


def test_overrides(archive: Archive) -> None:
    """Oracle: the limits given, and the direct count for the other one."""
    truth = Truth(archive)
    when = datetime(2013, 5, 5)
    start, end, _ = truth.period(when)
    assert end is not None
    early, late = start + timedelta(days=3), end - timedelta(days=3)
    for given in ((early, None), (None, late), (early, late)):
        searches = Searches(archive)
        finder = PeriodFinder(Catalogue(searches), Programmes(titles(archive)), END, *given)
        period = finder.period(when)
        assert (period.start, period.end) == (given[0] or start, given[1] or end)
        inside = [d.name for d in truth.long if period.start <= d.start and d.start < period.end]
        assert [dark.exposure for dark in period.darks] == inside
        assert searches.count <= 3
        with pytest.raises(InputError, match="outside the limits given"):
            finder.period(early - timedelta(days=1) if given[0] else late)


def row(day: float, programme: int = 12404, exptime: float = 1100.0) -> DarkRecord:
    when = datetime(2012, 1, 1) + timedelta(days=day)
    return DarkRecord(f"O{int(day * 1000):07d}{programme % 10}", when, exptime, programme)


def finder_of(*rows: DarkRecord, title: str | None = None, now: float = 400.0) -> PeriodFinder:
    def search(start: datetime, end: datetime) -> list[DarkRecord]:
        return [one for one in rows if start <= one.start <= end]

    return PeriodFinder(Catalogue(search), Programmes(lambda *_: title), datetime(2012, 1, 1) + timedelta(days=now))


WHEN = datetime(2012, 1, 1) + timedelta(days=300)


def test_nothing_before() -> None:
    """Oracle: no annealing dark lies within 240 days before the exposure."""
    with pytest.raises(ArchiveError, match=r"no anneal in the archive in the 240 days before it; .*--anneal-start"):
        finder_of(row(59.9), row(310.0)).period(WHEN)


def test_nothing_after() -> None:
    """Oracle: none within 240 days after it, and today is later."""
    rows = row(290.0), row(540.1)
    with pytest.raises(ArchiveError, match=r"no anneal in the archive in the 240 days after it; .*--anneal-end"):
        finder_of(*rows, now=600.0).period(WHEN)
    assert finder_of(*rows, now=539.0).period(WHEN).end is None


def test_future() -> None:
    """Oracle: the date of today."""
    with pytest.raises(InputError, match="lies in the future"):
        finder_of(now=298.0).period(WHEN)


def test_a_new_programme_of_one_group() -> None:
    """Oracle: by hand. Unknown programme 30001 would set a boundary at day 310: that must not be passed over."""
    rows = row(285.0), row(310.0, 30001), row(310.8, 30001), row(340.0)
    with pytest.raises(ArchiveError, match="programme 30001 took darks then"):
        finder_of(*rows).period(WHEN)
    period = finder_of(*rows, title="CCD Hot Pixel Annealing").period(WHEN)
    assert (period.end or WHEN) - period.start == timedelta(days=25)
    period = finder_of(*rows, title="CCD Gain Monitor").period(WHEN)
    assert (period.end or WHEN) - period.start == timedelta(days=55)
    assert not period.darks


def test_an_unknown_programme_that_makes_no_difference() -> None:
    """Oracle: by hand: short darks in another period change nothing."""
    rows = row(285.0), row(310.0), row(330.0, 30001, 60.0), row(331.0, 30001, 60.0), row(340.0)
    assert finder_of(*rows).period(WHEN).end == rows[1].start


def test_limits_given_leave_out_what_nobody_knows() -> None:
    """Oracle: by hand; the note names the programme."""
    rows = row(285.0), row(299.0, 11844), row(299.5, 30001), row(310.0)
    finder = finder_of(*rows)
    limits = rows[0].start, rows[-1].start
    finder = PeriodFinder(finder.catalogue, finder.programmes, finder.now, *limits)
    assert [dark.exposure for dark in finder.period(WHEN).darks] == [rows[1].name]
    assert any("30001" in note and "left out" in note for note in finder.notes)


def test_boundaries() -> None:
    """Oracle: by hand: five days to the second open a group; what began before our knowledge is not trusted."""
    day = timedelta(days=1)
    since = datetime(2012, 1, 1)
    starts = [since + 6 * day, since + 9 * day, since + 11 * day - timedelta(seconds=1), since + 11 * day]
    assert boundaries(starts, since) == [starts[0], starts[3]]
    assert boundaries([since + 4 * day, since + 8 * day, since + 20 * day], since) == [since + 20 * day]
    assert boundaries([since + GROUP], since) == [since + GROUP]
    assert boundaries([], since) == []


def test_programmes() -> None:
    """Oracle: titles and numbers of the public monitoring reports; cadences made by hand."""
    assert kind_of_title("CCD Hot Pixel Annealing") is Kind.ANNEAL
    assert kind_of_title("STIS/CCD Dark Monitor-Part 2") is Kind.DARK
    assert kind_of_title("CCD Read Noise Monitor") is Kind.OTHER
    known = KnownProgrammes.read()
    assert (known.kinds[7092], known.kinds[13981], known.kinds[13134]) == (Kind.DARK, Kind.DARK, Kind.ANNEAL)
    assert len(known.kinds) == 24 and known.date
    days = [datetime(2020, 1, 1) + timedelta(days=n) for n in range(30)]
    assert kind_of_cadence(days) is Kind.DARK
    assert kind_of_cadence([days[0], days[1], days[29]]) is Kind.ANNEAL
    assert kind_of_cadence(days[:3]) is Kind.UNKNOWN
    assert kind_of_cadence([]) is Kind.UNKNOWN


def test_titles_are_asked_for_once() -> None:
    """Oracle: the calls."""
    asked = []

    def ask(number: int, when: datetime) -> str | None:
        asked.append(number)
        return None

    programmes = Programmes(ask)
    for number in (30001, 30001, 11844, 30002):
        programmes.kind(number, [WHEN])
    assert asked == [30001, 30002]


def test_catalogue_asks_for_what_is_not_known() -> None:
    """Oracle: by hand."""
    asked = []
    catalogue = Catalogue(lambda start, end: asked.append((start, end)) or [])  # type: ignore[func-returns-value]
    day = [datetime(2012, 1, 1) + timedelta(days=n) for n in range(60)]
    for start, end in ((10, 20), (12, 20), (15, 30), (50, 55), (5, 12), (20, 52)):
        catalogue.ask(day[start], day[end])
    assert asked == [(day[10], day[20]), (day[20], day[30]), (day[50], day[55]), (day[5], day[10]), (day[30], day[50])]
    assert catalogue.known(day[10], day[11])[:2] == (day[5], day[55])


def test_strange_periods_are_told(archive: Archive) -> None:
    """Oracle: by hand: a period of two months and one without darks."""
    finder = finder_of(row(250.0), row(320.0))
    finder.period(WHEN)
    assert any("70 days long" in note for note in finder.notes)
    assert any("no darks of 960 s" in note for note in finder.notes)
