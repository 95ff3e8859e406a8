"""The list of anneal periods: what is read, written and refused. Oracle: the golden list, and dates worked by hand."""

from __future__ import annotations

import copy
import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from gpucti.darks.anneals import AnnealPeriod, Dark, period_of, read_anneals, write_anneals
from gpucti.errors import InputError, MissingFileError, OutputExistsError

DARK = {"exposure": "OSD01AASQ", "proposid": 12741, "datetime": "2012-03-06 10:45:41", "exptime": 1100.0}
PERIODS: list[dict[str, Any]] = [
    {"index": 116, "start": "2012-02-06 09:15:00", "end": "2012-03-05 04:00:00", "darks": []},
    {"start": "2012-03-05 04:00:00", "end": "2012-04-02 06:30:00", "darks": [DARK]},
    {"start": "2012-04-02 06:30:00", "end": None, "darks": []},
]


def listed(folder: Path, content: Any) -> Path:
    path = folder / "anneals.json"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def changed(period: int = 1, dark: bool = False, **cards: Any) -> list[dict[str, Any]]:
    """Return the list with one period, or its dark, changed; None removes a key, Ellipsis stands for null."""
    periods = copy.deepcopy(PERIODS)
    record = periods[period]["darks"][0] if dark else periods[period]
    for key, value in cards.items():
        if value is None:
            del record[key]
        else:
            record[key] = None if value is ... else value
    return periods


def test_reads_what_is_there(tmp_path: Path) -> None:
    """Oracle: the text above."""
    first, second, last = read_anneals(listed(tmp_path, PERIODS))
    assert (first.index, first.start_date, first.darks) == (116, "2012-02-06", ())
    assert second.darks == (Dark("OSD01AASQ", 12741, datetime(2012, 3, 6, 10, 45, 41), 1100.0),)
    assert (second.start, second.end, second.index) == (datetime(2012, 3, 5, 4), datetime(2012, 4, 2, 6, 30), None)
    assert last.end is None


@pytest.mark.parametrize(
    "text", ["2012-03-06T10:45:41", "2012-03-06 10:45:41Z", "2012-03-06 10:45:41.000", "2012-03-06T10:45:41+00:00"]
)
def test_other_forms_of_a_date(tmp_path: Path, text: str) -> None:
    """Oracle: the same moment written as ISO 8601 allows."""
    (dark,) = read_anneals(listed(tmp_path, changed(dark=True, datetime=text)))[1].darks
    assert dark.start == datetime(2012, 3, 6, 10, 45, 41)


def test_darks_are_sorted_and_names_in_capitals(tmp_path: Path) -> None:
    periods = changed()
    periods[1]["darks"] += [DARK | {"exposure": "osd00zzzq", "datetime": "2012-03-05 04:00:00", "exptime": 60}]
    first, second = read_anneals(listed(tmp_path, periods))[1].darks
    assert (first.exposure, second.exposure, first.exptime) == ("OSD00ZZZQ", "OSD01AASQ", 60.0)


def test_byte_order_mark_is_allowed(tmp_path: Path) -> None:
    assert len(read_anneals(listed(tmp_path, b"\xef\xbb\xbf" + json.dumps(PERIODS).encode()))) == 3


@pytest.mark.golden
def test_golden_list(golden_visit: Path, tmp_path: Path) -> None:
    """Oracle: the list of the golden visit, read by the json module alone; written again, it says the same."""
    path = golden_visit / "visit" / "anneals.json"
    raw, periods = json.loads(path.read_text()), read_anneals(path)
    assert [period.index for period in periods] == [116, 117, 118]
    assert [dark.exposure for dark in periods[1].darks] == [dark["exposure"] for dark in raw[1]["darks"]]
    reasons = {dark.exposure: dark.why_not_needed("D") for dark in periods[1].darks}
    assert {name for name, reason in reasons.items() if reason} == {"OSDA01ASQ", "OSDA02ASQ"}
    assert json.loads(write_anneals(periods, tmp_path / "again.json").read_text()) == raw


def test_round_trip_keeps_everything(tmp_path: Path) -> None:
    dark = Dark("OSD01AASQ", 12741, datetime(2012, 3, 6, 10, 45, 41, 123456), 1100.5, "A", flt=False)
    periods = (AnnealPeriod(datetime(2012, 3, 5, 4), None, (dark,), 117),)
    path = write_anneals(periods, tmp_path / "a.json")
    assert read_anneals(path) == periods
    with pytest.raises(OutputExistsError, match="exists"):
        write_anneals(periods, path)


TEXTS = {
    "empty": (b"", "no JSON text"),
    "not UTF-8": (b"\xff\xfe[\x00", "not UTF-8"),
    "a FITS file": (b"SIMPLE  =                    T", "no JSON text"),
    "cut short": (json.dumps(PERIODS)[:-5], "no JSON text"),
    "deep": ("[" * 200_000, "no JSON text"),
    "key twice": ('[{"start": "2012-03-05 04:00:00", "start": "2012-03-06 04:00:00"}]', "'start' stands twice"),
    "NaN": (json.dumps(changed(dark=True, exptime=float("nan"))), "NaN is not allowed"),
    "infinity": (json.dumps(changed(dark=True, exptime=float("inf"))), "Infinity is not allowed"),
    "5000 digits": (f'[{{"index": {"9" * 5000}}}]', "no JSON text"),
    "object": ("{}", "holds an object"),
    "null": ("null", "holds null"),
    "no periods": ("[]", "the list is empty"),
    "numbers": ("[1, 2]", "period 1: is 1; expected an object"),
    "a period in a list": (json.dumps([PERIODS]), "period 1: is a list"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_hostile_text(tmp_path: Path, name: str) -> None:
    """Oracle: one InputError that names the file and the problem."""
    content, message = TEXTS[name]
    path = listed(tmp_path, content)
    with pytest.raises(InputError, match=message) as caught:
        read_anneals(path)
    assert str(path) in str(caught.value) and len(str(caught.value)) < 400


PERIOD_FAULTS = {
    "no start": (changed(start=None), "period 2: start is missing"),
    "no end": (changed(end=None), "period 2: end is missing"),
    "no darks": (changed(darks=None), "period 2: darks is missing"),
    "unknown key": (changed(dark_list=[]), "period 2: unknown key 'dark_list'"),
    "start is a number": (changed(start=55991.2), "period 2: start is 55991.2; expected a date"),
    "start is null": (changed(start=...), "period 2: start is null"),
    "only a day": (changed(start="2012-03-05"), "period 2: start is '2012-03-05'"),
    "month 13": (changed(start="2012-13-05 04:00:00"), "period 2: start is '2012-13-05"),
    "another zone": (changed(start="2012-03-05 04:00:00+02:00"), "period 2: start"),
    "Arabic digits": (changed(start="٢٠١٢-03-05 04:00:00"), "period 2: start"),
    "end is a flag": (changed(end=False), "period 2: end is False"),
    "ends at its start": (changed(end="2012-03-05 04:00:00"), "period 2: end .*; expected a date after the start"),
    "index is text": (changed(index="117"), "period 2: index is '117'; expected a whole number"),
    "index is a flag": (changed(index=True), "period 2: index is True"),
    "darks is an object": (changed(darks={}), "period 2: darks is an object; expected a list"),
    "a dark is text": (changed(darks=["OSD01AASQ"]), "period 2, dark 1: is 'OSD01AASQ'; expected an object"),
    "open in the middle": (changed(end=...), "period 2: end is null; .* only the last period may be open"),
    "overlap": (changed(0, end="2012-03-05 04:00:01"), "period 2 starts 2012-03-05 04:00:00, before period 1 ends"),
    "wrong order": (changed()[::-1][1:], "period 2 starts 2012-02-06"),
    "same day": (
        [*changed()[:1], {"start": "2012-03-05 04:00:00", "end": "2012-03-05 05:00:00", "darks": []},
         {"start": "2012-03-05 06:00:00", "end": None, "darks": []}],
        "periods 2 and 3 both start on 2012-03-05",
    ),
}  # fmt: skip

DARK_FAULTS = {
    "no name": ({"exposure": None}, "period 2, dark 1: exposure is missing"),
    "blank name": ({"exposure": ""}, "exposure is ''; expected a ROOTNAME"),
    "a path": ({"exposure": "../osd01aasq"}, "exposure is '../osd01aasq'"),
    "name with a line feed": ({"exposure": "OSD01AASQ\n"}, "exposure is"),
    "name is a number": ({"exposure": 1}, "exposure is 1"),
    "half a surrogate": ({"exposure": "\ud800"}, "exposure is"),
    "no programme": ({"proposid": None}, r"dark 1: proposid is missing"),
    "programme is text": ({"proposid": "12741"}, r"dark 1 \(OSD01AASQ\): proposid is '12741'"),
    "programme is a fraction": ({"proposid": 12741.5}, "proposid is 12741.5"),
    "programme is negative": ({"proposid": -1}, "proposid is -1"),
    "date is null": ({"datetime": ...}, "datetime is null"),
    "before the period": (
        {"datetime": "2012-03-05 03:59:59"},
        r"\(OSD01AASQ\): datetime .* expected a date in the per",
    ),
    "at the end of the period": ({"datetime": "2012-04-02 06:30:00"}, "expected a date in the period"),
    "no time at all": ({"exptime": 0}, "exptime is 0; expected seconds, above 0"),
    "negative time": ({"exptime": -1100.0}, "exptime is -1100"),
    "time is text": ({"exptime": "1100"}, "exptime is '1100'"),
    "time is a flag": ({"exptime": True}, "exptime is True"),
    "time of 400 digits": ({"exptime": 10**400}, "exptime is 1000"),
    "amplifier E": ({"ccdamp": "E"}, "ccdamp is 'E'; expected A, B, C or D"),
    "two amplifiers": ({"ccdamp": "AD"}, "ccdamp is 'AD'"),
    "amplifiers in a list": ({"ccdamp": ["A"]}, "ccdamp is a list"),
    "flt is a number": ({"flt": 0}, "flt is 0; expected true or false"),
    "flt is null": ({"flt": ...}, "flt is null"),
    "misspelt key": ({"cdamp": "A"}, "unknown key 'cdamp'"),
}


@pytest.mark.parametrize("name", PERIOD_FAULTS)
def test_hostile_periods(tmp_path: Path, name: str) -> None:
    """Oracle: one InputError that names file, period and key."""
    content, message = PERIOD_FAULTS[name]
    with pytest.raises(InputError, match=message):
        read_anneals(listed(tmp_path, content))


@pytest.mark.parametrize("name", DARK_FAULTS)
def test_hostile_darks(tmp_path: Path, name: str) -> None:
    """Oracle: one InputError that names file, period, dark and key."""
    cards, message = DARK_FAULTS[name]
    with pytest.raises(InputError, match=message) as caught:
        read_anneals(listed(tmp_path, changed(dark=True, **cards)))
    assert "period 2, dark 1" in str(caught.value)


def test_dark_listed_twice(tmp_path: Path) -> None:
    """Oracle: a name is refused a second time, in whatever case and period."""
    periods = changed()
    periods[1]["darks"].append(DARK | {"exposure": "osd01aasq"})
    with pytest.raises(InputError, match="OSD01AASQ is listed in period 2 and again in period 2"):
        read_anneals(listed(tmp_path, periods))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="no such file"):
        read_anneals(tmp_path / "none.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_anneals(tmp_path)


def test_why_a_dark_is_not_needed() -> None:
    """Oracle: the rules of stis_cti and of its known issue, in their order."""
    start = datetime(2012, 3, 6)
    assert Dark("X", 1, start, 960.0).why_not_needed("D") is None
    assert Dark("X", 1, start, 960.0, "D").why_not_needed("D") is None
    assert Dark("X", 1, start, 959.9).why_not_needed("D") == "959.9 s, shorter than 960 s"
    assert Dark("X", 1, start, 60.0, "A", flt=False).why_not_needed("D") == "read with amplifier A"
    assert Dark("X", 1, start, 60.0, "A", flt=False).why_not_needed("A") == "60 s, shorter than 960 s"
    assert Dark("X", 1, start, 1100.0, flt=False).why_not_needed("D") == "the archive has no FLT"


def periods_with_a_gap() -> tuple[AnnealPeriod, ...]:
    return (
        AnnealPeriod(datetime(2012, 2, 6), datetime(2012, 3, 5)),
        AnnealPeriod(datetime(2012, 3, 5), datetime(2012, 4, 2)),
        AnnealPeriod(datetime(2012, 4, 3), datetime(2012, 5, 1)),
    )


def test_period_of_a_date() -> None:
    """Oracle: start included, end excluded; MJD 55991 is 2012-03-05."""
    periods = periods_with_a_gap()
    assert period_of(datetime(2012, 2, 6), periods) is periods[0]
    assert period_of(datetime(2012, 3, 4, 23, 59, 59, 999999), periods) is periods[0]
    assert period_of(datetime(2012, 3, 5), periods) is periods[1]
    assert period_of(55991.0, periods) is periods[1]
    # 2012-03-04 23:00 UTC
    assert period_of(datetime(2012, 3, 5, 1, tzinfo=timezone(timedelta(hours=2))), periods) is periods[0]


def test_first_of_two_periods() -> None:
    """Oracle: stis_cti takes the first period that contains the date."""
    one = AnnealPeriod(datetime(2012, 2, 6), datetime(2012, 4, 5))
    other = AnnealPeriod(datetime(2012, 3, 5), None)
    assert period_of(datetime(2012, 3, 6), (one, other)) is one
    assert period_of(datetime(2040, 1, 1), (one, other)) is other


@pytest.mark.parametrize(
    ("when", "message"),
    [
        (datetime(2012, 2, 5), "2012-02-05 00:00:00: lies in no .* covers 2012-02-06 00:00:00 to 2012-05-01 00:00:00;"),
        (datetime(2012, 5, 1), "lies in no anneal period"),
        (datetime(2012, 4, 2, 12), "with a gap after 2012-03-05 00:00:00 to 2012-04-02 00:00:00"),
        (float("nan"), "nan is no Modified Julian Date"),
        (1e12, "no Modified Julian Date"),
    ],
)
def test_date_without_a_period(when: datetime | float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        period_of(when, periods_with_a_gap())


def test_no_periods_at_all() -> None:
    with pytest.raises(InputError, match="no anneal periods are known"):
        period_of(55991.0, ())
