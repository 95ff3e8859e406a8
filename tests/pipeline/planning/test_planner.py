"""Wrong input of the pipeline found before anything is touched: one clear error, exit code 1, all files as they were.

Oracle everywhere: the folders before and after, and what a user needs to read. `test_the_next_run_finishes` of
test_faults.py shows that a visit that was repaired gives what an undisturbed one gives.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gpucti import cli as command
from gpucti.errors import PlanError
from gpucti.pipeline.planning.planner import plan
from gpucti.pipeline.running.run import correct
from support.visits import Case, cli, edit, finished_copy, one_error, put, seen, truncated, without

IMAGE, SPECTRUM = "ogv101010_raw.fits", "ogv102010_raw.fits"
DARK = "ogd10100q_flt.fits"


def refused(case: Case, capsys: pytest.CaptureFixture[str], *words: str, more: tuple[str, ...] = ()) -> None:
    """Run the command; check that it refuses with these words and leaves everything as it is."""
    folders = [path for path in case.folders if path.is_dir()]
    before, logs = seen(*folders), set(case.science.glob("*.log"))
    capsys.readouterr()
    code = command.main([*case.arguments, *more])
    out, err = capsys.readouterr()
    one_error(code, err, *words)
    assert out == ""
    assert seen(*folders) == before
    assert set(case.science.glob("*.log")) == logs


def left_out(case: Case, *words: str) -> None:
    """Check that the plan leaves the image out with these words, makes the other exposure, and touches nothing."""
    before = seen(*case.folders, besides=())
    it = plan(*case.folders, **case.options)
    assert it.problems == ()
    (failure,) = it.failures
    assert failure.item == str(case.science / IMAGE)
    for word in words:
        assert word in failure.reason, failure
    assert [task.path.name for task in it.science] == [SPECTRUM]
    assert seen(*case.folders, besides=()) == before


# ---- folders ---------------------------------------------------------------------------------------------


def test_no_science_folder(case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the message names the folder; it is not made."""
    code = command.main(["correct", str(tmp_path / "nowhere"), *case.arguments[2:]])
    one_error(code, capsys.readouterr().err, "nowhere: no such folder", "*_raw.fits")
    assert not (tmp_path / "nowhere").exists()


def test_empty_folder(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the message names the folder and what belongs there."""
    for path in case.science.iterdir():
        path.unlink()
    refused(case, capsys, str(case.science), "no *_raw.fits files")


def test_nothing_but_refused_exposures(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the message has the reason of each."""
    edit(case.science / IMAGE, CCDAMP="A")
    edit(case.science / SPECTRUM, SUBARRAY=True)
    refused(case, capsys, f"{IMAGE}: CCDAMP is A, not D", f"{SPECTRUM}: SUBARRAY is T")


def test_no_folder_of_darks(case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the message names it; the folder of super-darks is not made either."""
    case.ref.rmdir()
    code = command.main([*case.arguments, "-d", str(tmp_path / "nowhere")])
    one_error(code, capsys.readouterr().err, "nowhere: no such folder", "component darks")
    assert not case.ref.exists()


def test_folder_of_super_darks_is_a_file(case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: known before the darks are corrected."""
    put(tmp_path / "file", b"mine")
    refused(case, capsys, "file: is not a folder", "ref_dir", more=("-r", str(tmp_path / "file" / "ref")))
    assert (tmp_path / "file").read_bytes() == b"mine"


# ---- darks, their list -----------------------------------------------------------------------------------


def test_missing_darks_are_listed(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: both names, the way out, and not one word about what follows from it."""
    for path in case.darks.iterdir():
        path.unlink()
    refused(case, capsys, "2 component darks are missing: OGD10100Q, OGD10101Q", "--ignore_missing")
    refused(case, capsys, "no dark of the anneal period", more=("--ignore_missing",))


def test_missing_darks_of_a_finished_visit(finished: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: products of the same run are not taken for those of another because darks are gone."""
    case = finished_copy(finished, tmp_path / "run")
    for path in case.darks.glob("*_flt.fits"):
        path.unlink()
    refused(case, capsys, "2 component darks are missing")
    with pytest.raises(PlanError) as caught:
        correct(*case.folders, **case.options)
    assert "earlier" not in str(caught.value)


def test_only_dark_of_a_period(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: refstis fails with one image set; the message says how many are needed."""
    (case.darks / DARK).unlink()
    refused(case, capsys, "the only dark of the anneal period 2018-05-02", "two or more", more=("--ignore_missing",))


@pytest.mark.slow
def test_no_list_of_anneal_periods(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the message says how to give one, once for both exposures."""
    before = seen(*case.folders)
    code = command.main(without(case.arguments, "--anneals"))
    err = capsys.readouterr().err
    one_error(code, err, "--anneals FILE")
    assert err.count("--anneals FILE") == 1
    assert seen(*case.folders) == before


def test_list_that_does_not_cover_the_date(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the message names the exposure, its date, and what the list covers."""
    periods = json.loads(case.anneals.read_text())[:1]
    case.anneals.write_text(json.dumps(periods))
    refused(case, capsys, f"{IMAGE}: 2018-05-", "the list covers 2018-04-04", "--anneals")


def test_damaged_list(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the message names the file."""
    case.anneals.write_text(case.anneals.read_text()[:100])
    refused(case, capsys, str(case.anneals), "is no JSON text")


@pytest.mark.parametrize("name", ["ROOTNAME", "CCDAMP", "CCDGAIN", "TEXPSTRT", "DARKFILE", "CRREJTAB"])
def test_keyword_missing_in_a_dark(case: Case, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """Oracle: file and keyword."""
    edit(case.darks / DARK, **{name: None})
    refused(case, capsys, DARK, name, "missing")


@pytest.mark.parametrize(("cards", "words"), [
    ({"CCDGAIN": 4}, ("CCDGAIN of its darks differs", DARK)),
    ({"CCDAMP": "X"}, (DARK, "CCDAMP is 'X'", "A, B, C, D")),
    ({"INSTRUME": "ACS"}, (DARK, "INSTRUME is 'ACS'")),
    ({"TEXPSTRT": "soon"}, (DARK, "TEXPSTRT is 'soon'", "expected a number")),
    ({"ROOTNAME": "ogd10101q"}, ("both have ROOTNAME OGD10101Q", "move one away")),
    ({"CRREJTAB": "oref$gone_crr.fits"}, (DARK, "CRREJTAB", "oref$gone_crr.fits", "not found")),
    ({"CRREJTAB": 7}, (DARK, "CRREJTAB is 7")),
])  # fmt: skip
def test_wrong_keyword_in_a_dark(
    case: Case, capsys: pytest.CaptureFixture[str], cards: dict[str, object], words: tuple[str, ...]
) -> None:
    """Oracle: file, keyword, what was found."""
    edit(case.darks / DARK, **cards)
    refused(case, capsys, *words, more=("--ignore_missing",))


def test_no_fits_file_among_the_darks(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: a web page in place of a file, as downloads leave it."""
    put(case.darks / DARK, b"<html>Service unavailable</html>")
    refused(case, capsys, DARK, "is not a FITS file", "<html>")


# ---- raw exposures ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["NEXTEND", "TDATEOBS", "CCDGAIN", "OBSTYPE", "CCDTAB", "BIASFILE", "DARKFILE", "CRREJTAB"]
)
def test_keyword_missing_in_a_raw_file(case: Case, name: str) -> None:
    """Oracle: keyword, and the other exposure is made; TDATEOBS and CCDGAIN refuse it, DARKFILE is not needed."""
    edit(case.science / IMAGE, **{name: None})
    if name == "DARKFILE":
        assert plan(*case.folders, **case.options).problems == ()
    elif name in ("TDATEOBS", "CCDGAIN"):
        (refusal,) = plan(*case.folders, **case.options).refused
        assert refusal.reason.startswith(f"{name} is missing")
    else:
        left_out(case, name)


@pytest.mark.parametrize(("cards", "words"), [
    ({"DARKCORR": "MAYBE"}, ("DARKCORR is 'MAYBE'", "PERFORM")),
    ({"PCTECORR": "COMPLETE"}, ("PCTECORR is COMPLETE", "already CTI-corrected")),
    ({"NEXTEND": 9}, ("NEXTEND is 9", "DQ,2")),
    ({"OBSTYPE": "BOTH"}, ("OBSTYPE",)),
    ({"BIASFILE": "oref$gone.fits", "PFLTFILE": "gone$x.fits"}, ("2 reference files", "oref$gone.fits", "gone$x.fits")),
    ({"PHOTCORR": "PERFORM", "IMPHTTAB": "N/A"}, ("1 reference file is missing", "IMPHTTAB (the keyword names none)")),
])  # fmt: skip
def test_wrong_keyword_in_a_raw_file(case: Case, cards: dict[str, object], words: tuple[str, ...]) -> None:
    """Oracle: keyword, what was found, and the other exposure is made."""
    edit(case.science / IMAGE, **cards)
    left_out(case, *words)


@pytest.mark.parametrize("damage", [truncated, lambda path: put(path, b""), lambda path: put(path, b"no FITS" * 999)])
def test_damaged_raw_file(case: Case, damage: Callable[[Path], Path]) -> None:
    """Oracle: the file is left out, the other exposure is made."""
    damage(case.science / IMAGE)
    left_out(case)


@pytest.mark.parametrize("extension", [0, 1, 4])
def test_what_the_calibration_needs_of_a_raw_file(case: Case, extension: int) -> None:
    """Oracle: the keyword, in the primary header and in the first and second image set."""
    name = "EXPTIME" if extension else "TEXPSTRT"
    edit(case.science / IMAGE, extension, **{name: None})
    place = f"[SCI,{1 + extension // 4}]" if extension else "[0]"
    left_out(case, f"{place} {name} is missing")


def test_what_is_left_out_is_shown(case: Case, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Oracle: text, JSON and exit code of the plan; all that is missing is told at once."""
    for name in ("EXPTIME", "EXPEND"):
        edit(case.science / IMAGE, 1, **{name: None})
    assert command.main([*case.arguments, "--dry-run", "--json", str(tmp_path / "plan.json")]) == 1
    section = capsys.readouterr().out.partition("Cannot be made, and is left out")[2]
    told = json.loads((tmp_path / "plan.json").read_text())
    assert told["problems"] == []
    (failure,) = told["failures"]
    assert failure["item"] == str(case.science / IMAGE)
    for name in ("EXPTIME", "EXPEND"):
        assert f"{IMAGE}[SCI,1]: {name} is missing" in section
        assert f"[SCI,1]: {name} is missing" in failure["reason"]


def test_no_exposure_can_be_made(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: then it is a problem of the whole run, and nothing is touched."""
    for name in (IMAGE, SPECTRUM):
        edit(case.science / name, 1, EXPTIME=None)
    refused(case, capsys, "2 things stand in the way", f"{IMAGE}: [SCI,1] EXPTIME", f"{SPECTRUM}: [SCI,1] EXPTIME")


@pytest.mark.parametrize(("extension", "cards"), [
    (0, {"ATODGAIN": None}), (0, {"READNSE": "low"}), (0, {"TEXPEND": None}), (0, {"TARGNAME": "NGC 1068"}),
    (0, {"BLEVCORR": "PERFORM"}), (0, {"PCTECORR": "COMPLETE"}), (1, {"EXPTIME": None}), (1, {"OCCDHTAV": None}),
])  # fmt: skip
def test_what_a_super_dark_needs_of_a_dark(case: Case, extension: int, cards: dict[str, object]) -> None:
    """Oracle: file and keyword, before anything is corrected; not a word about the exposures that need it."""
    edit(case.darks / DARK, extension, **cards)
    it = plan(*case.folders, **case.options)
    (problem,) = it.problems
    assert DARK in problem and next(iter(cards)) in problem
    assert (it.failures, it.science) == ((), ())


def test_unreadable_file_beside_the_darks(case: Case) -> None:
    """Oracle: a file that no list has stops nothing; a note tells of it."""
    put(case.darks / "mine_flt.fits", b"<html>")
    it = plan(*case.folders, **case.options)
    assert (it.problems, it.failures, len(it.darks)) == ((), (), 2)
    assert any("mine_flt.fits: is not a FITS file" in note and "left out" in note for note in it.notes)


def test_old_outputs_of_one_exposure(case: Case) -> None:
    """Oracle: that exposure is left out with the way out, the other is made."""
    put(case.science / IMAGE.replace("raw", "flc"), b"of somebody")
    left_out(case, "outputs of an earlier, different run exist: ogv101010_flc.fits", "--clean")


def test_all_that_is_wrong_is_told_at_once(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: three defects of three kinds, three lines."""
    (case.darks / DARK).unlink()
    edit(case.science / IMAGE, BIASFILE="oref$gone_bia.fits")
    truncated(case.science / SPECTRUM)
    refused(case, capsys, "3 things stand in the way", "OGD10100Q", "gone_bia.fits", SPECTRUM)


# ---- references ------------------------------------------------------------------------------------------


def test_no_oref(case: Case) -> None:
    """Oracle: one message with all references by keyword, and how to say where they are."""
    before = seen(*case.folders)
    done = cli(*without(case.arguments, "--oref"))
    one_error(done.returncode, done.stderr, "oref is not set", "--oref", "BIASFILE", "CCDTAB", "PFLTFILE", "CRREJTAB")
    assert seen(*case.folders) == before


def test_oref_is_the_wrong_folder(case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the folder stands in the message."""
    refused(case, capsys, f"oref is {tmp_path}", "BIASFILE", more=("--oref", str(tmp_path)))


def test_no_such_pctetab(case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the name; a table of another kind is told from it."""
    refused(case, capsys, "gone_pcte.fits", "not found", more=("-p", str(tmp_path / "gone_pcte.fits")))
    refused(case, capsys, "sim_ccd.fits", "PCTETAB", more=("-p", str(case.oref / "sim_ccd.fits")))


# ---- products of others ----------------------------------------------------------------------------------


def test_products_of_another_run(finished: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: with the packaged PCTETAB products would be others; both exposures' are named, and --clean."""
    case = finished_copy(finished, tmp_path / "run")
    before = seen(*case.folders)
    code = command.main(without(case.arguments, "-p"))
    one_error(code, capsys.readouterr().err, "ogv101010_crc.fits", "ogv102010_flc.fits", "--clean")
    assert seen(*case.folders) == before


def test_super_dark_of_somebody_else(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: a file of the name of ours that is not ours stays, and the message names --clean_all."""
    os.link(case.oref / "sim_p1w1_drk.fits", case.ref / "d_2018-05-02_1_drk.fits")
    refused(case, capsys, "d_2018-05-02_1_drk.fits: not made by this pipeline", "--clean_all")
