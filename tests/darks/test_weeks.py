"""Darks on disk and the weeks they make. Oracle: halves of gaps worked by hand, stis_cti's rules, the golden visit."""

from __future__ import annotations

import gzip
import hashlib
import logging
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gpucti.darks.anneals import AnnealPeriod, Dark, period_of, read_anneals
from gpucti.darks.weeks import (
    DarkSelection,
    Week,
    basedark_name,
    find_darks,
    missing_darks,
    require_complete,
    select_darks,
    week_of,
    weeks,
)
from gpucti.errors import InputError, MissingDarksError, MissingFileError
from gpucti.io.selection import find_science
from support.header_files import dark_file, header_file

START, END = datetime(2012, 3, 5, 4), datetime(2012, 4, 2, 6, 30)


def at(seconds: float) -> datetime:
    """Return a date in the period, counted from noon of its second day."""
    return datetime(2012, 3, 6, 12) + timedelta(seconds=seconds)


class Folder:
    """A folder of darks and the period that lists them."""

    def __init__(self, path: Path) -> None:
        self.path, self.listed = path, []  # type: ignore[var-annotated]

    def add(self, name: str, seconds: float, darkfile: str | None, *, on_disk: bool = True, **given: Any) -> None:
        """Add a dark to the list and, unless told otherwise, to the folder; lower-case `given` go into the list."""
        listed = {key: value for key, value in given.items() if key.islower()}
        cards = {key: value for key, value in given.items() if not key.islower()}
        self.listed.append(Dark(name.upper(), 12741, at(seconds), **({"exptime": 1100.0} | listed)))
        if on_disk:
            dark_file(self.path, name, at(seconds), darkfile, **cards)

    def period(self, end: datetime | None = END) -> AnnealPeriod:
        return AnnealPeriod(START, end, tuple(self.listed))

    def select(self, amp: str = "D") -> DarkSelection:
        return select_darks(self.period(), amp, find_darks(self.path))

    def weeks(self, amp: str = "D", end: datetime | None = END) -> tuple[Week, ...]:
        return weeks(self.period(end), self.select(amp).used, amp)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def names(week: Week) -> list[str]:
    return [dark.rootname for dark in week.darks]


# Files on disk


def test_finds_plain_and_compressed(tmp_path: Path) -> None:
    """Oracle: the files written; names other than ROOTNAME do not matter."""
    dark_file(tmp_path, "osd01aasq", at(0), "x")
    header_file(tmp_path / "renamed_flt.fits.gz", ROOTNAME="osd02aasq", CCDGAIN=4, TEXPSTRT=55992.5)
    for other in ("osd03aasq_cte.fits", "osd03aasq_flt.fits.bak", "._osd03aasq_flt.fits", "osd03aasq_flt.txt"):
        (tmp_path / other).write_bytes(b"not looked at")
    (tmp_path / "folder_flt.fits").mkdir()
    found = find_darks(tmp_path)
    assert {name: dark.path.name for name, dark in found.items()} == {
        "OSD01AASQ": "osd01aasq_flt.fits",
        "OSD02AASQ": "renamed_flt.fits.gz",
    }
    dark = found["OSD02AASQ"]
    assert (dark.amp, dark.gain, dark.start, dark.darkfile) == ("D", 4.0, at(0), "oref$syn01_drk.fits")
    assert dark.sha256 == hashlib.sha256(dark.path.read_bytes()).hexdigest()


def test_finds_darks_in_folders_below(tmp_path: Path) -> None:
    """Oracle: the files written: one folder per data set, as the archive delivers; one fetched since lies nearer."""
    for name in ("osd01aasq", "osd02aasq"):
        folder = tmp_path / "mastDownload" / "HST" / name
        folder.mkdir(parents=True)
        dark_file(folder, name, at(0), "x")
    assert {dark.path.parent.name for dark in find_darks(tmp_path).values()} == {"osd01aasq", "osd02aasq"}
    fetched = dark_file(tmp_path, "osd01aasq", at(0), "x")
    found = find_darks(tmp_path)
    assert (found["OSD01AASQ"].path, found["OSD01AASQ"].twins) == (fetched, ())


def test_plain_file_wins_over_compressed_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = dark_file(tmp_path, "osd01aasq", at(0), "x")
    header_file(tmp_path / "osd01aasq_flt.fits.gz", ROOTNAME="osd01aasq")
    with caplog.at_level(logging.WARNING):
        assert find_darks(tmp_path)["OSD01AASQ"].path == path
    assert "osd01aasq_flt.fits.gz" in caplog.text and "beside" in caplog.text


def test_two_files_of_one_dark(folder: Folder) -> None:
    """Oracle: refused if the dark is listed; a file that nobody asks for stops nothing."""
    folder.add("osd01aasq", 0, "x")
    header_file(folder.path / "backup_flt.fits", ROOTNAME="osy101010")
    header_file(folder.path / "osy101010_flt.fits", ROOTNAME="osy101010")
    assert [dark.rootname for dark in folder.select().used] == ["OSD01AASQ"]
    header_file(folder.path / "copy_flt.fits", ROOTNAME="osd01aasq")
    with pytest.raises(InputError, match=r"copy_flt.fits and .*osd01aasq_flt.fits: both have ROOTNAME OSD01AASQ"):
        folder.select()


HOSTILE = {
    "empty": (b"", "not a FITS file"),
    "text": (b"SIMPLE or not", "not a FITS file"),
    "cut within the header": (b"SIMPLE  =                    T".ljust(2880) + b" " * 100, "ends within its header"),
    "no END": (b"SIMPLE  =                    T".ljust(2880) + b" " * 2880 * 1000, "no END"),
    "compressed rubbish": (b"\x1f\x8b rubbish that is no gzip stream", "compressed data are damaged"),
    "cut compressed": (gzip.compress(b"SIMPLE  =".ljust(5760))[:-20], "compressed data are damaged"),
    "no ROOTNAME": (b"SIMPLE  =                    T".ljust(80) + b"END".ljust(2800), "ROOTNAME is missing"),
    "damaged card": (
        (b"SIMPLE  =                    T".ljust(80) + b"ROOTNAME= 'never closed".ljust(80) + b"END").ljust(2880),
        "ROOTNAME cannot be read",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(tmp_path: Path, name: str) -> None:
    """Oracle: one InputError that names the file."""
    content, message = HOSTILE[name]
    (tmp_path / "osd01aasq_flt.fits").write_bytes(content)
    with pytest.raises(InputError, match=rf"osd01aasq_flt\.fits.*{message}"):
        find_darks(tmp_path)


def test_bytes_that_fits_forbids_are_passed_over(tmp_path: Path) -> None:
    path = dark_file(tmp_path, "osd01aasq", at(0), "x", OBSERVER="Xngstrom")
    path.write_bytes(path.read_bytes().replace(b"Xng", b"\xc5ng"))
    assert list(find_darks(tmp_path)) == ["OSD01AASQ"]


def test_folders_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="no such folder"):
        find_darks(tmp_path / "darks")
    with pytest.raises(InputError, match="is not a folder"):
        find_darks(dark_file(tmp_path, "osd01aasq", at(0), "x"))
    (tmp_path / "lost_flt.fits").symlink_to(tmp_path / "gone")
    with pytest.raises(MissingFileError, match="lost_flt.fits"):
        find_darks(tmp_path)


def test_54_large_darks_are_looked_at_quickly(tmp_path: Path) -> None:
    """Oracle: the time asked for, with files of the size of a dark (sparse ones: only headers are read)."""
    for number in range(54):
        path = dark_file(tmp_path, f"osd{number:02d}aasq", at(number), "x", HISTORY="x" * 20_000)
        with path.open("r+b") as stream:
            stream.truncate(10_500_000)
    begin = time.perf_counter()
    assert len(find_darks(tmp_path)) == 54
    assert time.perf_counter() - begin < 0.5


# Which of them are used


def test_what_is_used_missing_and_left_out(folder: Folder) -> None:
    """Oracle: the header decides for a dark on disk, the list for one that is not there; short ones are never used."""
    folder.add("d4", 40, "x", on_disk=False)
    folder.add("d1", 10, "x")
    folder.add("d2", 20, "x", on_disk=False)
    folder.add("d3", 30, "x", ccdamp="A", flt=False)  # the list is wrong on both
    folder.add("a1", 11, "x", CCDAMP="A")
    folder.add("a2", 12, "x", on_disk=False, ccdamp="A")
    folder.add("n1", 13, "x", on_disk=False, flt=False)
    folder.add("s1", 14, "x", exptime=60.0)
    folder.add("s2", 15, "x", on_disk=False, exptime=60.0)
    selection = folder.select()
    assert [dark.rootname for dark in selection.used] == ["D1", "D3"]
    assert selection.missing == ("D2", "D4")
    assert selection.left_out == {
        "A1": "read with amplifier A, says its header",
        "A2": "read with amplifier A",
        "N1": "the archive has no FLT",
        "S1": "60 s, shorter than 960 s",
        "S2": "60 s, shorter than 960 s",
    }
    assert [dark.rootname for dark in folder.select("A").used] == ["A1"]
    with pytest.raises(MissingDarksError, match="2 component darks are missing: D2, D4; fetch"):
        require_complete([selection, selection], folder.path)


def test_nothing_is_missing(folder: Folder) -> None:
    folder.add("d1", 10, "x")
    assert missing_darks([folder.select()]) == []
    require_complete([folder.select()], folder.path)


@pytest.mark.parametrize(
    ("cards", "message"),
    [
        ({"CCDAMP": None}, "CCDAMP is missing"),
        ({"CCDAMP": "AD"}, "CCDAMP is 'AD'; expected one of A, B, C, D"),
        ({"INSTRUME": "WFC3"}, "INSTRUME is 'WFC3'; expected 'STIS'"),
        ({"DETECTOR": "NUV-MAMA"}, "DETECTOR is 'NUV-MAMA'"),
        ({"TEXPSTRT": None}, "TEXPSTRT is missing"),
        ({"TEXPSTRT": 1e30}, "no Modified Julian Date"),
    ],
)
def test_listed_files_that_are_no_darks(folder: Folder, cards: dict[str, Any], message: str) -> None:
    folder.add("d1", 10, "x", **cards)
    with pytest.raises(InputError, match=message):
        folder.select()


def test_dates_that_disagree_are_said(folder: Folder, caplog: pytest.LogCaptureFixture) -> None:
    folder.add("d1", 10, "x", TEXPSTRT=56000.0)
    with caplog.at_level(logging.WARNING):
        assert len(folder.select().used) == 1
    assert "started 2012-03-14 00:00:00 says its header, 2012-03-06 12:00:10 says the list" in caplog.text


# Weeks


def test_two_weeks_by_hand(folder: Folder) -> None:
    """Oracle: last dark of the first week 100 s, first of the second 1101 s: half the gap is 500.5 s, rounded 500 s."""
    folder.add("d3", 1101, "b")
    folder.add("d1", 0, "a")
    folder.add("d2", 100, "a")
    folder.add("d4", 5000, "b")
    folder.add("a1", 50, "c", CCDAMP="A")
    one, two = folder.weeks()
    assert (names(one), names(two)) == (["D1", "D2"], ["D3", "D4"])
    assert (one.start, one.end, two.start, two.end) == (START, at(600), at(600), END)
    assert (one.number, two.number, one.name, two.name) == (1, 2, "d_2012-03-05_1_drk.fits", "d_2012-03-05_2_drk.fits")
    assert week_of(START, (one, two)) is one
    assert week_of(at(599.999), (one, two)) is one
    assert week_of(at(600), (one, two)) is two
    (alone,) = folder.weeks("A")
    assert (names(alone), alone.start, alone.end, alone.name) == (["A1"], START, END, "a_2012-03-05_1_drk.fits")


@pytest.mark.parametrize(
    ("gap", "half"),
    [(1, 0), (2, 1), (3, 2), (5, 2), (7, 4), (10.5, 5), (11.001, 6), (0, 0), (-1, 0), (-3, -2), (-7, -4), (-10, -5)],
)
def test_half_a_gap(folder: Folder, gap: float, half: int) -> None:
    """Oracle: halves in whole seconds, a half to the even one; the first week may have the last dark (O-30)."""
    folder.add("d1", -1000, "a")
    folder.add("d2", 0, "a")
    folder.add("d3", gap, "b")
    one, two = folder.weeks()
    assert one.end == two.start == at(half)


def test_weeks_that_mix(folder: Folder) -> None:
    """Oracle: O-30 by hand. Order a b c a: week 2 ends (at 15) before it begins (at 20) and gets no science."""
    for name, seconds, darkfile in (("d1", 0, "a"), ("d2", 10, "b"), ("d3", 20, "c"), ("d4", 30, "a")):
        folder.add(name, seconds, darkfile)
    one, two, three = folder.weeks()
    assert names(one) == ["D1", "D4"]
    assert (one.end, two.start, two.end, three.start) == (at(20), at(20), at(15), at(15))
    for seconds, week in ((0, one), (14, one), (19, one), (20, three), (30, three)):
        assert week_of(at(seconds), (one, two, three)) is week


def test_more_than_nine_weeks(folder: Folder) -> None:
    """Oracle: stis_cti cannot number them, we can."""
    for number in range(12):
        folder.add(f"d{number:02d}", 100 * number, f"w{number}")
    made = folder.weeks()
    assert [week.number for week in made] == list(range(1, 13))
    assert made[11].name == "d_2012-03-05_12_drk.fits"


def test_open_period(folder: Folder) -> None:
    folder.add("d1", 0, "a")
    (week,) = folder.weeks(end=None)
    assert week.end is None and week_of(datetime(2050, 1, 1), (week,)) is week


def test_same_name_with_blanks_is_one_week(folder: Folder) -> None:
    folder.add("d1", 0, "oref$a_drk.fits")
    folder.add("d2", 10, "oref$a_drk.fits   ")
    assert len(folder.weeks()) == 1


def test_the_list_decides_on_the_order(folder: Folder) -> None:
    """Oracle: stis_cti goes by the archive's dates, not by those of the headers."""
    folder.add("d1", 1000, "b")
    folder.add("d2", 0, "a", TEXPSTRT=56010.0)
    assert [names(week) for week in folder.weeks()] == [["D2"], ["D1"]]


@pytest.mark.parametrize(("darkfile", "message"), [(None, "DARKFILE is missing"), ("", "DARKFILE is blank")])
def test_dark_without_darkfile(folder: Folder, darkfile: str | None, message: str) -> None:
    folder.add("d1", 0, "a")
    folder.add("d2", 10, darkfile)
    with pytest.raises(InputError, match=rf"d2_flt\.fits\[0\]: {message}"):
        folder.weeks()


def test_dark_of_another_period(folder: Folder) -> None:
    dark_file(folder.path, "d1", at(0), "a")
    with pytest.raises(InputError, match="D1 is not in the list of the anneal period"):
        weeks(folder.period(), list(find_darks(folder.path).values()), "D")


def test_no_week_for_a_date(folder: Folder) -> None:
    with pytest.raises(InputError, match="no darks of this amplifier"):
        week_of(at(0), folder.weeks())
    folder.add("d1", 0, "a")
    with pytest.raises(InputError, match="2012-04-02 06:30:00: lies outside the anneal period, 2012-03-05 04:00:00 to"):
        week_of(END, folder.weeks())


def test_name_of_the_basedark(folder: Folder) -> None:
    assert basedark_name("D", folder.period()) == "basedark_d_2012-03-05_drk.fits"


@pytest.mark.golden
def test_golden_visit(golden_visit: Path) -> None:
    """Oracle: upstream's products: science 1 and 2 used pipeline_d117_2, science 3 pipeline_d117_3; halves by hand."""
    visit = golden_visit / "visit"
    periods, found = read_anneals(visit / "anneals.json"), find_darks(visit / "darks")
    period = periods[1]
    selection = select_darks(period, "D", found)
    assert selection.missing == () and set(selection.left_out) == {"OSDA01ASQ", "OSDA02ASQ"}
    made = weeks(period, selection.used, "D")
    assert [[name[:5] for name in names(week)] for week in made] == [[f"OSD0{n}"] * 2 for n in (1, 2, 3, 4)]
    # 03-09 13:23:04 to 03-14 16:52:01 are 444537 s, half 222268.5, even 222268; and so on
    assert [week.start for week in made] == [
        datetime(2012, 3, 5, 4),
        datetime(2012, 3, 12, 3, 7, 32),
        datetime(2012, 3, 19, 14, 45, 14),
        datetime(2012, 3, 25, 18, 25, 18),
    ]
    chosen = {c.root: c for c in find_science(visit / "science") if c.reason is None}
    assert {root: week_of(c.start, made).number for root, c in chosen.items()} == {
        "osy101010": 2,
        "osy102010": 2,
        "osy103010": 3,
    }
    assert all(period_of(c.start, periods) is period for c in chosen.values())
    assert weeks(period, selection.used, "A") == ()


def test_other_references_are_in_a_copy(tmp_path: Path) -> None:
    """Oracle: the dark that was found stays as it is."""
    header_file(tmp_path / "x_flt.fits", ROOTNAME="obc001ajq", CRREJTAB="oref$old_crr.fits")
    (dark,) = find_darks(tmp_path).values()
    other = dark.renamed({"CRREJTAB": "oref$new_crr.fits"})
    assert (dark.primary["CRREJTAB"], dict(dark.names)) == ("oref$old_crr.fits", {})
    assert (other.primary["CRREJTAB"], other.names) == ("oref$new_crr.fits", {"CRREJTAB": "oref$new_crr.fits"})
    assert (other.path, other.rootname) == (dark.path, "OBC001AJQ")
