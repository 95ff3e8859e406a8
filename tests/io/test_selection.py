"""Which science exposures are corrected, and why others are not. Oracle: stis_cti's rules; the golden visit."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits

from gpucti.compat import custom_superdark_info, viable_ccd_file
from gpucti.errors import InputError, MissingFileError
from gpucti.io.headers import last_pctetab, list_files
from gpucti.io.selection import LENIENT, find_science, refusal
from support.header_files import header, header_file

REFUSED = {
    "telescope": ({"TELESCOP": "JWST"}, "TELESCOP is JWST, only HST exposures are corrected"),
    "instrument": ({"INSTRUME": "WFC3"}, "INSTRUME is WFC3, only STIS exposures are corrected"),
    "detector": ({"DETECTOR": "FUV-MAMA", "CCDAMP": None}, "DETECTOR is FUV-MAMA, only CCD exposures are corrected"),
    "date": ({"TDATEOBS": "2009-04-30", "TTIMEOBS": "23:59:59"}, "taken 2009-04-30 23:59:59, before 2009-05-01"),
    "acquisition": ({"OBSMODE": "ACQ", "SUBARRAY": True}, "OBSMODE is ACQ, acquisitions are not corrected"),
    "peak-up": ({"OBSMODE": "ACQ/PEAK"}, "OBSMODE is ACQ/PEAK, acquisitions are not corrected"),
    "amplifier": ({"CCDAMP": "A"}, "CCDAMP is A, not D"),
    "gain": ({"CCDGAIN": 2}, "CCDGAIN is 2, not 1 or 4"),
    "offset": ({"CCDOFFST": 5}, "CCDOFFST is 5, not 3"),
    "subarray": ({"SUBARRAY": True}, "SUBARRAY is T, only full frames are corrected"),
    "binned along x": ({"BINAXIS1": 2}, "BINAXIS1 is 2, binned exposures are not corrected"),
    "binned along y": ({"BINAXIS2": 4}, "BINAXIS2 is 4, binned exposures are not corrected"),
    "date is none": ({"TDATEOBS": "15/03/12"}, "TDATEOBS, TTIMEOBS are '15/03/12', '07:21:36'; expected a date"),
    "subarray is text": ({"SUBARRAY": "F"}, "SUBARRAY is 'F'; expected T or F"),
    "gain is text": ({"CCDGAIN": "1"}, "CCDGAIN is '1'; expected a number"),
    "gain is a fraction": ({"CCDGAIN": 1.5}, "CCDGAIN is 1.5; expected a whole number"),
}
NEEDED = (
    "TELESCOP INSTRUME DETECTOR TDATEOBS TTIMEOBS OBSMODE CCDAMP CCDGAIN CCDOFFST SUBARRAY BINAXIS1 BINAXIS2"
).split()


@pytest.mark.parametrize("name", REFUSED)
def test_reasons(name: str) -> None:
    """Oracle: stis_cti's rules, one broken at a time; the first that applies is named."""
    cards, reason = REFUSED[name]
    found = refusal(header(**cards))
    assert found is not None and found.startswith(reason)


@pytest.mark.parametrize("name", NEEDED)
def test_keyword_missing(name: str) -> None:
    assert refusal(header(**{name: None})) == f"{name} is missing; the keyword is needed and has no default, add it"


@pytest.mark.parametrize(
    "cards",
    [
        {},
        {"CCDGAIN": 4},
        {"CCDGAIN": 4.0},
        {"TDATEOBS": "2009-05-01", "TTIMEOBS": "00:00:00"},
        {"TTIMEOBS": "07:21:36.25"},
        {"CCDAMP": "D  "},
    ],
)
def test_accepted(cards: dict[str, Any]) -> None:
    assert refusal(header(**cards)) is None


@pytest.mark.parametrize("name", ["date", "amplifier", "gain", "offset"])
def test_allow_widens_date_amplifier_gain_and_offset(name: str) -> None:
    """Oracle: the limits of stis_cti's option --allow."""
    assert refusal(header(**REFUSED[name][0]), LENIENT) is None


@pytest.mark.parametrize("name", ["telescope", "detector", "acquisition", "subarray", "binned along x"])
def test_allow_does_not_widen_the_rest(name: str) -> None:
    cards, reason = REFUSED[name]
    assert refusal(header(**cards), LENIENT) == reason


def test_allow_has_limits_too() -> None:
    assert refusal(header(CCDAMP="AD"), LENIENT) == "CCDAMP is AD, not A or B or C or D"
    assert refusal(header(CCDGAIN=3), LENIENT) == "CCDGAIN is 3, not 1 or 2 or 4 or 8"
    assert refusal(header(CCDOFFST=9), LENIENT) is not None
    assert refusal(header(TDATEOBS="1989-12-31"), LENIENT) == "taken 1989-12-31 07:21:36, before 1990-01-01"


# Folders


def test_find_science(tmp_path: Path) -> None:
    """Oracle: the files written, by name, each with its reason."""
    header_file(tmp_path / "oc2_raw.fits.gz", SUBARRAY=True)
    header_file(tmp_path / "ob1_raw.fits")
    header_file(tmp_path / "ob1_wav.fits")
    (tmp_path / "._ob1_raw.fits").write_bytes(b"what macOS leaves behind")
    first, second = find_science(tmp_path)
    assert (first.path.name, first.root, first.reason) == ("ob1_raw.fits", "ob1", None)
    assert first.start == datetime(2012, 3, 15, 7, 21, 36)
    assert (second.root, second.reason) == ("oc2", REFUSED["subarray"][1])


def test_allow_reaches_the_rules(tmp_path: Path) -> None:
    header_file(tmp_path / "ob1_raw.fits", CCDAMP="B")
    assert [c.reason is None for c in find_science(tmp_path)] == [False]
    assert [c.reason is None for c in find_science(tmp_path, allow=True)] == [True]


@pytest.mark.parametrize("card", [{}, {"IMPHTTAB": ""}])
def test_photometry_without_its_table(tmp_path: Path, card: dict[str, Any]) -> None:
    """Oracle: stis_cti stops for exposures that it would correct; N/A is not for the selection to judge."""
    for name in ("ob1", "ob2"):
        header_file(tmp_path / f"{name}_raw.fits", PHOTCORR="PERFORM", **card)
    header_file(tmp_path / "ob3_raw.fits", PHOTCORR="PERFORM", OBSMODE="ACQ")
    header_file(tmp_path / "ob4_raw.fits", PHOTCORR="PERFORM", IMPHTTAB="oref$x_imp.fits")
    with pytest.raises(InputError, match="IMPHTTAB is not set in ob1_raw.fits, ob2_raw.fits;"):
        find_science(tmp_path)
    assert len(find_science(tmp_path, crds_update=True)) == 4  # CRDS is asked before it counts, as in stis_cti


def test_products_of_the_same_name(tmp_path: Path) -> None:
    header_file(tmp_path / "ob1_a_raw.fits")
    header_file(tmp_path / "ob1_b_raw.fits", CCDAMP="A")
    assert len(find_science(tmp_path)) == 2  # one is refused
    with pytest.raises(InputError, match=r"ob1_b_raw.fits and .*ob1_a_raw.fits: products of both would be called ob1_"):
        find_science(tmp_path, allow=True)


def test_names_and_folders_that_cannot_be(tmp_path: Path) -> None:
    header_file(tmp_path / "_raw.fits")
    with pytest.raises(InputError, match="starts with '_'"):
        find_science(tmp_path)
    with pytest.raises(MissingFileError, match="no such folder"):
        find_science(tmp_path / "none")


def test_damaged_file(tmp_path: Path) -> None:
    (tmp_path / "ob1_raw.fits").write_bytes(b"<html>not found</html>")
    with pytest.raises(InputError, match="ob1_raw.fits: is not a FITS file"):
        find_science(tmp_path)


def test_what_cannot_be_lifted_is_named_first() -> None:
    """Oracle: `--allow` lifts limits of date, amplifier, gain and offset, and nothing else."""
    lifted = {"TDATEOBS": "1998-03-03", "CCDAMP": "A", "CCDGAIN": 8, "CCDOFFST": 5}
    for cards, reason in (
        ({"OBSMODE": "ACQ/PEAK", "SUBARRAY": True}, "OBSMODE is ACQ/PEAK, acquisitions are not corrected"),
        ({"SUBARRAY": True}, "SUBARRAY is T, only full frames are corrected"),
        ({"BINAXIS1": 2}, "BINAXIS1 is 2, binned exposures are not corrected"),
    ):
        assert refusal(header(**lifted, **cards)) == refusal(header(**lifted, **cards), LENIENT) == reason
    assert refusal(header(**lifted)) == "taken 1998-03-03 07:21:36, before 2009-05-01"


def test_a_file_of_another_kind_under_the_name_of_a_raw_one(tmp_path: Path) -> None:
    """Oracle: the header; no keyword is asked for that such a file never has."""
    header_file(tmp_path / "o1_raw.fits", FILETYPE="SPT", DETECTOR=None, OBSMODE=None)
    header_file(tmp_path / "o2_raw.fits", INSTRUME="ACS", DETECTOR="WFC", TDATEOBS=None)
    assert [candidate.reason for candidate in find_science(tmp_path)] == [
        "is a support file (engineering keywords)",
        "is a file of another instrument (INSTRUME is 'ACS')",
    ]


def test_real_files(real_files: Path) -> None:
    """Oracle: the README of the files: three acquisitions, four binned exposures of 1999, one of 1998."""
    expected = {
        "o4er06llq": "OBSMODE is ACQ/PEAK, acquisitions are not corrected",
        "o4sp040b0": "taken 1998-04-20 18:38:15, before 2009-05-01",
        **dict.fromkeys((f"o565020{n}0" for n in (1, 2, 3, 4)), "BINAXIS1 is 2, binned exposures are not corrected"),
        "ocmv0lw6q": "OBSMODE is ACQ, acquisitions are not corrected",
        "octka7jeq": "OBSMODE is ACQ/PEAK, acquisitions are not corrected",
    }
    assert {candidate.root: candidate.reason for candidate in find_science(real_files, crds_update=True)} == expected
    allowed = find_science(real_files, allow=True, crds_update=True)
    assert {candidate.root: candidate.reason for candidate in allowed} == expected | {"o4sp040b0": None}
    (cut,) = [candidate for candidate in allowed if candidate.reason is None]
    with pytest.raises(InputError, match="o4sp040b0_raw.fits: 62 x 44 pixels with SUBARRAY F; .* 1062 x 1044: get the"):
        cut.require_headers()


def test_folders_of_the_archive_are_named(tmp_path: Path) -> None:
    """Oracle: the folders made, and what each holds. Products go beside raw files: one run has one folder."""
    for name, count in (("o1", 1), ("o2", 2)):
        folder = tmp_path / "mastDownload" / "HST" / name
        folder.mkdir(parents=True)
        for number in range(count):
            header_file(folder / f"{name}{number}_raw.fits")
    hst = tmp_path / "mastDownload" / "HST"
    (tmp_path / ".Trash").mkdir()
    header_file(tmp_path / ".Trash" / "o9_raw.fits")
    for top in (tmp_path, tmp_path / "mastDownload", hst):
        with pytest.raises(MissingFileError) as caught:
            find_science(top)
        assert caught.value.reason.startswith(
            "no *_raw.fits files, but folders below have some; give one of these, such"
        )
        assert f"`gpucti correct {hst / 'o1'}`" in caught.value.reason
        assert caught.value.reason.splitlines()[1:] == [f"  {hst / 'o1'} (1)", f"  {hst / 'o2'} (2)"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingFileError, match="empty: no \\*_raw.fits files$"):
        find_science(tmp_path / "empty")


def test_folders_below(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Oracle: the files made: three folders deep, the nearest of one name; two that lie equally deep are both there."""
    deep = tmp_path / "a" / "b" / "c"
    (deep / "d").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "a2").mkdir()
    for path in (
        tmp_path / "o1_flt.fits", tmp_path / "a" / "o1_flt.fits.gz", tmp_path / "a" / "o2_flt.fits",
        tmp_path / "a2" / "o2_flt.fits", deep / "o3_flt.fits.gz", deep / "d" / "o4_flt.fits", deep / "o2_flt.fits",
        tmp_path / ".hidden" / "o5_flt.fits",
    ):  # fmt: skip
        path.touch()
    (tmp_path / "round").symlink_to(tmp_path)
    found = [path.relative_to(tmp_path).as_posix() for path in list_files(tmp_path, "flt", below=True)]
    assert found == ["o1_flt.fits", "a/o2_flt.fits", "a2/o2_flt.fits", "a/b/c/o3_flt.fits.gz"]
    assert list_files(tmp_path, "flt") == [tmp_path / "o1_flt.fits"]


def test_a_folder_below_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Oracle: the answer of the file system, simulated because tests may run as root; the others are looked into."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}_flt.fits").touch()
    iterdir = Path.iterdir

    def locked(self: Path) -> Any:
        if self == tmp_path / "a":
            raise PermissionError(13, "Permission denied")
        return iterdir(self)

    monkeypatch.setattr(Path, "iterdir", locked)
    assert list_files(tmp_path, "flt", below=True) == [tmp_path / "b" / "b_flt.fits"]
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / 'a'}: cannot be looked into (Permission denied)"
    ]


@pytest.mark.golden
def test_golden_visit(golden_visit: Path) -> None:
    """Oracle: the README of the golden visit: the acquisition and the subarray are refused."""
    found = {c.root: c.reason for c in find_science(golden_visit / "visit" / "science")}
    assert found == {
        "osy101010": None,
        "osy102010": None,
        "osy103010": None,
        "osy104010": "OBSMODE is ACQ, acquisitions are not corrected",
        "osy105010": "SUBARRAY is T, only full frames are corrected",
    }


# Under stis_cti's names


def test_viable_ccd_file(tmp_path: Path) -> None:
    path = header_file(tmp_path / "ob1_raw.fits", CCDAMP="A", CCDGAIN=8, CCDOFFST=7, TDATEOBS="2001-01-01")
    assert not viable_ccd_file(path)
    limits: dict[str, Any] = {"amplifiers_allowed": ["A"], "gains_allowed": [8], "offsts_allowed": [7]}
    assert viable_ccd_file(str(path), earliest_date_allowed=datetime(2001, 1, 1), **limits)
    assert viable_ccd_file(path, datetime(2001, 1, 1, tzinfo=UTC), **limits)
    assert not viable_ccd_file(path, earliest_date_allowed=datetime(2001, 1, 2), **limits)
    with pytest.raises(InputError, match="expected a datetime"):
        viable_ccd_file(path, "2001-01-01")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="INSTRUME is 'ACS'; expected 'STIS'"):
        viable_ccd_file(header_file(tmp_path / "ob2_raw.fits", INSTRUME="ACS"))


def test_custom_superdark_info_names_real_keywords(tmp_path: Path) -> None:
    """Oracle: the Python line in the text, run as it stands, sets DARKFILE."""
    text = custom_superdark_info()
    (line,) = [line.strip() for line in text.splitlines() if "fits.setval" in line]
    path = header_file(tmp_path / "oabc12010_raw.fits")
    exec(line.replace("science/oabc12010_raw.fits", str(path)), {"fits": fits})
    assert fits.getval(path, "DARKFILE") == "mydarks$my_weekdark_drk.fits"
    assert max(map(len, text.splitlines())) <= 120


def test_last_pctetab_of_a_folder(tmp_path: Path) -> None:
    """Oracle: the last by name, as in stis_cti; a file that a stopped run left half-written is none."""
    assert last_pctetab(tmp_path) is None
    assert last_pctetab(tmp_path / "gone") is None
    for name in ("a_pcte.fits", "b_pcte.fits.gz", "c_pcte.fits.bak", ".d_pcte.fits.0123abcd-7-89abcdef.tmp"):
        (tmp_path / name).touch()
    assert last_pctetab(tmp_path) == tmp_path / "b_pcte.fits.gz"
