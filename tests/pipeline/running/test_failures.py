"""Runs in which one item fails: the others are made, and the report, the command and the log say what failed.

Oracles: an undisturbed run (`expected`): the same pixels and the same cards but for DATE; the folders before and after.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from gpucti import cli as command
from gpucti.compat import stis_cti
from gpucti.errors import Failure, SomeFailedError
from gpucti.pipeline.planning.planner import plan
from gpucti.pipeline.running.run import Report, correct, engine_names, run
from gpucti.pipeline.running.science import ScienceDone
from support.visits import Case, Contents, case_of, edit, finished_copy, leftovers, outputs, put, seen, truncated

IMAGE, SPECTRUM = "ogv101010", "ogv102010"


def raw(case: Case, root: str) -> Path:
    return case.science / f"{root}_raw.fits"


def constant(pixels: Any) -> Any:
    return np.full_like(pixels, 1500)


def nan(pixels: Any) -> Any:
    pixels = pixels.copy()
    pixels[500, 300] = np.nan
    return pixels


def of(contents: Contents, *beginnings: str) -> Contents:
    """Return the files whose names begin so."""
    return {name: hdus for name, hdus in contents.items() if name.startswith(beginnings)}


@pytest.mark.slow
def test_an_exposure_that_fails_on_the_way(
    case: Case, expected: Contents, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Constant pixels, which no header shows: the plan is clean; the other exposure is made, nothing is left of this
    one, the failure stands at the end of everything; with the good file back, the next run makes what is missing."""
    good = raw(case, IMAGE).read_bytes()
    edit(raw(case, IMAGE), 1, pixels=constant)
    edit(raw(case, IMAGE), 4, pixels=constant)
    assert plan(*case.folders, **case.options).failures == ()
    assert command.main([*case.arguments, "--json", str(tmp_path / "report.json")]) == 1
    out, err = capsys.readouterr()
    line = f"FAILED {raw(case, IMAGE)}: "
    assert err.splitlines()[-1].startswith(f"gpucti: {line}no image set has an exposure time and pixels that differ")
    assert "gpucti: error" not in err
    assert f"science 1/2: {raw(case, IMAGE).name} FAILED: no image set" in out
    (log,) = case.science.glob("*.log")
    assert line in log.read_text().splitlines()[-1]
    told = json.loads((tmp_path / "report.json").read_text())
    assert [failure["item"] for failure in told["failures"]] == [str(raw(case, IMAGE))]
    assert leftovers(case) == []
    assert not [
        path.name for path in case.science.glob(f"{IMAGE}_*") if "_raw" not in path.name and "_wav" not in path.name
    ]
    assert outputs(case) == {name: hdus for name, hdus in expected.items() if not name.startswith(IMAGE)}

    put(raw(case, IMAGE), good)
    kept = seen(*case.folders)
    report = correct(*case.folders, **case.options)
    assert (report.failures, report.darks, report.superdarks) == ((), 0, ())
    assert [path.name for path in report.reused] == [raw(case, SPECTRUM).name]
    after = seen(*case.folders)
    assert {name: after[name] for name in kept} == kept
    assert outputs(case) == expected


@pytest.mark.slow
def test_an_exposure_that_the_plan_leaves_out(case: Case, expected: Contents) -> None:
    """Oracle: the run makes the rest, and its report repeats the plan's reason."""
    edit(raw(case, IMAGE), 1, EXPTIME=None)
    it = plan(*case.folders, **case.options)
    report = run(it)
    assert report.failures == it.failures
    assert [failure.item for failure in report.failures] == [str(raw(case, IMAGE))]
    assert report.summary().splitlines()[-1] == f"FAILED {report.failures[0]}"
    assert outputs(case) == {name: hdus for name, hdus in expected.items() if not name.startswith(IMAGE)}


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["reference", "wavecal", "NaN", "unreadable", "folder in the way"])
def test_the_other_exposure_is_made(
    case: Case, small_visit: Any, expected: Contents, tmp_path: Path, damage: str
) -> None:
    """Oracle: what only one of the exposures uses is damaged in a way that the plan does not see."""
    failing, making = (IMAGE, SPECTRUM) if damage in ("unreadable", "NaN") else (SPECTRUM, IMAGE)
    oref = tmp_path / "oref"
    oref.mkdir()
    for path in small_visit.oref.iterdir():
        (oref / path.name).hardlink_to(path)
    case = Case(case.science, case.darks, case.ref, oref, case.anneals, case.pctetab)
    if damage == "reference":
        truncated(oref / fits.getval(raw(case, SPECTRUM), "DISPTAB").partition("$")[2])
    elif damage == "wavecal":
        edit(next(case.science.glob(f"{SPECTRUM}_wav.fits")), 1, EXPSTART=None)
    elif damage == "NaN":
        edit(raw(case, IMAGE), 1, pixels=lambda pixels: nan(pixels.astype(np.float32)), BZERO=None, BSCALE=None)
    it = plan(*case.folders, **case.options)
    assert (it.problems, it.failures) == ((), ())
    if damage == "unreadable":  # as if a file server lost it
        raw(case, IMAGE).unlink()
    elif damage == "folder in the way":
        (case.science / f"{SPECTRUM}_flc.fits" / "x").mkdir(parents=True)
    report = run(it)
    assert [failure.item for failure in report.failures] == [str(raw(case, failing))]
    assert leftovers(case) == []
    if damage == "folder in the way":
        (case.science / f"{SPECTRUM}_flc.fits" / "x").rmdir()
        (case.science / f"{SPECTRUM}_flc.fits").rmdir()
    assert of(outputs(case), making) == of(expected, making)
    assert not [
        path for path in case.science.glob(f"{failing}_*") if path.is_file() and path.stem[-3:] not in ("raw", "wav")
    ]


@pytest.mark.slow
def test_one_bad_dark_of_two(case: Case, expected: Contents, capsys: pytest.CaptureFixture[str]) -> None:
    """The super-darks need it: nothing of the science is made, the good dark is corrected and kept. An exposure that
    brings its own dark would be made; with the good file back the next run finishes, and corrects that dark alone."""
    dark = case.darks / "ogd10100q_flt.fits"
    good = dark.read_bytes()
    edit(dark, 1, pixels=nan)
    report = correct(*case.folders, **case.options)
    items = [Path(failure.item).name for failure in report.failures]
    weekdark, basedark = "d_2018-05-02_1_drk.fits", "basedark_d_2018-05-02_drk.fits"
    assert items == [dark.name, basedark, weekdark, raw(case, IMAGE).name, raw(case, SPECTRUM).name]
    assert "NaN or infinite pixels, the first at row 500, column 300" in report.failures[0].reason
    assert all(dark.name in failure.reason for failure in report.failures[1:])
    assert (report.products, report.superdarks, report.darks) == ((), (), 1)
    put(dark, good)
    again = correct(*case.folders, **case.options)
    assert (again.failures, again.darks) == ((), 1)
    assert outputs(case) == expected


@pytest.fixture(scope="module")
def three_darks(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a visit of one image with three darks."""
    from gpucti.synthetic import Observation, simulate_visit

    folder = tmp_path_factory.mktemp("three") / "visit"
    exposures = [Observation(n_imsets=1, exptime=200.0, n_stars=20)]
    return simulate_visit(folder, exposures=exposures, weeks=1, darks_per_week=3, device="cpu")


@pytest.mark.slow
def test_one_bad_dark_of_three_is_ignored(three_darks: Any, quick_pctetab: Path, tmp_path: Path) -> None:
    """Oracle: with --ignore_missing, a run without that file: the same pixels and digests, so every header tells what
    it was made from. The next run reuses all of it, and still says what failed; a good file makes it all anew."""
    case, without = (case_of(three_darks, tmp_path / name, quick_pctetab) for name in ("bad", "without"))
    bad = sorted(case.darks.glob("*_flt.fits"))[1]
    good = bad.read_bytes()
    (without.darks / bad.name).unlink()
    options = {**case.options, "ignore_missing": True}
    assert correct(*without.folders, **options).failures == ()

    edit(bad, 1, pixels=nan)
    report = correct(*case.folders, **options)
    (failure,) = report.failures
    assert failure.item == str(bad) and "NaN" in failure.reason
    assert any("made without darks that cannot be used" in note for note in report.notes)
    assert (report.darks, len(report.superdarks), report.superdarks_reused) == (2, 2, ())
    assert outputs(case) == outputs(without)

    before = seen(*case.folders)
    again = correct(*case.folders, **options)
    assert seen(*case.folders) == before
    assert len(again.reused) == 1 and again.products == again.superdarks == ()
    assert [failure.item for failure in again.failures] == [str(bad)]
    assert "found by an earlier run" in again.failures[0].reason

    put(bad, good)
    mended = correct(*case.folders, **options, clean=True)
    assert (mended.failures, mended.darks, len(mended.superdarks)) == ((), 1, 2)


@pytest.mark.slow
def test_too_few_darks_are_left(case: Case, expected: Contents) -> None:
    """Oracle: with --ignore_missing too, one dark makes no super-dark; the report says why, nothing raises."""
    edit(case.darks / "ogd10100q_flt.fits", 1, pixels=nan)
    report = correct(*case.folders, **case.options, ignore_missing=True)
    assert any("the only dark of the anneal period" in failure.reason for failure in report.failures)
    assert {str(raw(case, root)) for root in (IMAGE, SPECTRUM)} <= {failure.item for failure in report.failures}
    assert (report.products, report.superdarks, leftovers(case)) == ((), (), [])


@pytest.mark.slow
def test_a_super_dark_that_fails(case: Case, small_visit: Any, tmp_path: Path) -> None:
    """Oracle: its reference is damaged: it is named, and the exposures that need it."""
    oref = tmp_path / "oref"
    oref.mkdir()
    for path in small_visit.oref.iterdir():
        (oref / path.name).hardlink_to(path)
    put(oref / "sim_crr.fits", b"<html>")
    report = correct(*case.folders, **{**case.options, "oref": oref})
    assert "sim_crr.fits: is not a FITS file" in report.failures[0].reason
    assert len(report.failures) == 4 and report.products == ()


def test_under_the_name_of_stis_cti(finished: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: a script that looks at nothing that is returned must hear of it: what failed is raised, with the list."""
    report = Report(
        (finished.science / "a_flc.fits",),
        (),
        (),
        (),
        0,
        (),
        (),
        (Failure("b_raw.fits", "damaged"),),
        (),
        0,
        {},
        "",
        "",
        None,
    )
    monkeypatch.setattr("gpucti.pipeline.running.run.correct", lambda *arguments, **options: report)
    with pytest.raises(SomeFailedError, match=r"b_raw.fits: damaged") as caught:
        stis_cti(*finished.folders, 1)
    assert (caught.value.failures, caught.value.done) == (report.failures, report.products)


def done_by(engine: str) -> ScienceDone:
    return ScienceDone("o1", (), (), (), (), engine)


@pytest.mark.parametrize(("engines", "told"), [
    ([], "none"), (["native", "native"], "native"), (["hstcal"], "hstcal"),
    (["hstcal", "native", "native"], "native, hstcal for 1 exposure"),
    (["native"] * 3 + ["hstcal"] * 2, "native, hstcal for 2 exposures"),
])  # fmt: skip
def test_the_engine_is_what_calibrated(engines: list[str], told: str) -> None:
    """Oracle: definition; ``auto`` calibrates nothing."""
    assert engine_names([done_by(engine) for engine in engines]) == told


def test_the_report_says_what_calibrated_and_what_is_doubtful(finished: Case, tmp_path: Path) -> None:
    """Oracle: `doubtful` is no `not made`; a run that calibrates nothing has no engine; failures are plain data."""
    case = finished_copy(finished, tmp_path / "run")
    report = correct(*case.folders, **case.options)
    assert report.engine == "none"
    told = Report(**{**vars(report), "doubts": ("x: SHIFTA2 is not found",), "failures": (Failure("y", "damaged"),)})
    assert told.summary().splitlines()[-2:] == ["doubtful: x: SHIFTA2 is not found", "FAILED y: damaged"]
    assert told.data()["failures"] == [{"item": "y", "reason": "damaged"}]
    assert json.dumps(told.data())
