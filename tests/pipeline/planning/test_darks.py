"""Runs over two anneal periods of two weeks: which darks make which super-dark, and what changes with one dark.

Oracles: `make_basedark` and `make_weekdark` on files chosen by hand, CalSTIS's formula of the dark subtraction, and
folders before and after. One exposure has gain 4; all darks have gain 1.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from gpucti import cli as command
from gpucti.darks.superdarks import make_basedark, make_weekdark
from gpucti.pipeline.planning.planner import plan
from gpucti.pipeline.running.run import Report, correct, run
from support.visits import Case, case_of, data_digest, digests, edit, finished_copy, outputs, put, seen

pytestmark = pytest.mark.slow

#: Darks by period and week; exposures 1 to 3 are of period 1 week 1 (gain 4), period 1 week 2, period 2 week 2.
FIRST, SECOND = "2018-05-02", "2018-05-30"
ROOTS = ("ogv101010", "ogv102010", "ogv103010")


def dark_name(period: int, week: int, number: int) -> str:
    return f"ogd{period}{week:02d}{number:02d}q"


@pytest.fixture(scope="module")
def long_run(quick_pctetab: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, Report]:
    """Return a visit with a run done on it; to be copied, not changed."""
    from gpucti.synthetic import Observation, simulate_visit

    folder = tmp_path_factory.mktemp("long")
    short = {"n_imsets": 1, "exptime": 200.0, "n_stars": 20}
    exposures = [
        Observation(period=1, week=1, gain=4, **short),
        Observation(period=1, week=2, **short),
        Observation(period=2, week=2, **short),
    ]
    visit = simulate_visit(folder / "visit", exposures=exposures, weeks=2, darks_per_week=2, periods=2, device="cpu")
    case = case_of(visit, folder / "run", quick_pctetab)
    for root in ROOTS:  # what is left is dark subtraction, which can be checked by hand
        edit(case.science / f"{root}_raw.fits", FLATCORR="OMIT", GEOCORR="OMIT", PHOTCORR="OMIT")
    before = digests(case.science) | digests(case.darks)
    report = correct(*case.folders, **case.options)
    after = digests(case.science) | digests(case.darks)
    assert {name: after[name] for name in before} == before
    return case, report


@pytest.fixture
def again(long_run: tuple[Case, Report], tmp_path: Path) -> Case:
    return finished_copy(long_run[0], tmp_path / "run")


def change_list(case: Case, change: Any) -> None:
    """Write the list anew after `change(periods)`."""
    periods = json.loads(case.anneals.read_text())
    change(periods)
    case.anneals.write_text(json.dumps(periods))


def drop(case: Case, name: str) -> None:
    """Remove a dark from the folder and from the list."""
    (case.darks / f"{name}_flt.fits").unlink()

    def without_it(periods: Any) -> None:
        for period in periods:
            period["darks"] = [dark for dark in period["darks"] if dark["exposure"] != name.upper()]

    change_list(case, without_it)


def images(path: Path) -> list[str]:
    with fits.open(path) as hdus:
        return [data_digest(hdu.data) for hdu in hdus if hdu.data is not None]


def test_super_darks_of_two_periods(long_run: tuple[Case, Report], tmp_path: Path) -> None:
    """Oracle: each made by hand from the corrected darks of its period and week, same pixels."""
    case, report = long_run
    wanted = {FIRST: (1, (1, 2)), SECOND: (2, (2,))}
    names = []
    for date, (period, weeks) in wanted.items():
        darks = [case.darks / f"{dark_name(period, week, n)}_cte.fits" for week in (1, 2) for n in (0, 1)]
        base = make_basedark(darks, tmp_path / f"base{period}.fits", environment={"oref": str(case.oref)}, device="cpu")
        names.append(f"basedark_d_{date}_drk.fits")
        assert images(case.ref / names[-1]) == images(base)
        for week in weeks:
            mine = darks[:2] if week == 1 else darks[2:]
            by_hand = tmp_path / f"week{period}{week}.fits"
            make_weekdark(mine, by_hand, base, environment={"oref": str(case.oref)}, device="cpu")
            names.append(f"d_{date}_{week}_drk.fits")
            assert images(case.ref / names[-1]) == images(by_hand)
    assert [path.name for path in report.superdarks] == names
    assert report.darks == 8


def test_each_exposure_has_the_dark_of_its_week(long_run: tuple[Case, Report]) -> None:
    """Oracle: the weeks that the visit was asked for; flc = cte - dark * EXPTIME / ATODGAIN, in float32, also for
    gain 4 with darks of gain 1."""
    case, _ = long_run
    weekdarks = [f"d_{FIRST}_1_drk.fits", f"d_{FIRST}_2_drk.fits", f"d_{SECOND}_2_drk.fits"]
    for root, name, gain in zip(ROOTS, weekdarks, (4, 1, 1), strict=True):
        with (
            fits.open(case.science / f"{root}_flc.fits") as flc,
            fits.open(case.science / f"{root}_cte.fits") as cte,
            fits.open(case.ref / name) as dark,
        ):
            header = flc[0].header
            assert (header["CCDGAIN"], header["DARKFILE"]) == (gain, f"$ctirefs/{name}")
            seconds_per_count = flc["SCI"].header["EXPTIME"] / header["ATODGAIN"]
            subtracted = cte["SCI"].data.astype(float) - flc["SCI"].data
            # two roundings of float32 at the size of the counts, one of the product
            rounding = 2**-23 * (np.abs(cte["SCI"].data) + np.abs(subtracted) + 1)
            factor = np.median(subtracted[subtracted > 20] / dark["SCI"].data[subtracted > 20])
            assert 0.9 * seconds_per_count < factor < 1.5 * seconds_per_count  # warmer than the 18 C of the dark
            assert (np.abs(subtracted - factor * dark["SCI"].data) <= rounding + 1e-5 * np.abs(subtracted)).all()


def test_one_dark_more(again: Case) -> None:
    """Oracle: it alone is corrected; super-darks of its period and week are made again, those of the other period are
    not; exposures with products of the old ones are left out until clean is given."""

    def add(periods: Any) -> None:
        listed = next(dark for dark in periods[1]["darks"] if dark["exposure"] == dark_name(1, 2, 1).upper())
        stamp = listed["datetime"]
        later = f"{stamp[:11]}{(int(stamp[11:13]) + 1) % 24:02d}{stamp[13:]}"
        periods[1]["darks"].append({**listed, "exposure": "OGD10277Q", "datetime": later})

    extra = Path(shutil.copy(again.darks / f"{dark_name(1, 2, 1)}_flt.fits", again.darks / "ogd10277q_flt.fits"))
    with fits.open(extra) as hdus:
        start = hdus[0].header["TEXPSTRT"] + 1 / 24
    edit(extra, 1, pixels=lambda pixels: np.roll(pixels, 3, axis=0))
    edit(extra, ROOTNAME="ogd10277q", TEXPSTRT=start)
    change_list(again, add)
    before = seen(*again.folders)
    without = plan(*again.folders, **again.options)
    assert [Path(failure.item).name for failure in without.failures] == [f"{root}_raw.fits" for root in ROOTS[:2]]
    assert f"{ROOTS[1]}_flc.fits" in without.failures[1].reason and "--clean" in without.failures[1].reason
    assert [task.root for task in without.science] == [ROOTS[2]] and without.problems == ()
    assert seen(*again.folders) == before
    report = correct(*again.folders, **again.options, clean=True)
    assert report.darks == 1
    made = [f"basedark_d_{FIRST}_drk.fits", f"d_{FIRST}_1_drk.fits", f"d_{FIRST}_2_drk.fits"]
    assert [path.name for path in report.superdarks] == made
    assert [path.name for path in report.superdarks_reused] == [
        f"basedark_d_{SECOND}_drk.fits",
        f"d_{SECOND}_2_drk.fits",
    ]
    with fits.open(again.ref / made[0]) as hdus:
        assert "ogd10277q_cte.fits" in list(hdus[0].header["HISTORY"])


def test_week_with_one_dark(again: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: by default the exposure of that week fails and the others are made; on request the basedark of the
    period's other darks, made by hand, stands under the weekdark's name, which is said."""
    lonely = dark_name(1, 2, 1)
    drop(again, dark_name(1, 2, 0))
    before = fits.getval(again.science / f"{ROOTS[0]}_flc.fits", "PCTESHAR")
    capsys.readouterr()
    code = command.main([*again.arguments, "--clean"])
    only = again.darks / f"{lonely}_flt.fits"
    err = capsys.readouterr().err
    assert (code, err.count("gpucti: FAILED ")) == (1, 2), err
    assert f"FAILED {only}: the only dark of week 2" in err and "--single-dark-week basedark" in err
    assert f"FAILED {again.science / ROOTS[1]}_raw.fits: its super-dark cannot be made (see {only})" in err
    assert {path.name[:9] for path in again.science.glob("*_flc.fits")} == set(ROOTS)  # the old ones stay
    assert fits.getval(again.science / f"{ROOTS[0]}_flc.fits", "PCTESHAR") != before

    code = command.main([*again.arguments, "--clean", "--single-dark-week", "basedark"])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    assert f"week 2 has one dark only ({lonely}_flt.fits); it is left out" in captured.err
    others = [again.darks / f"{dark_name(1, 1, n)}_cte.fits" for n in (0, 1)]
    base = make_basedark(others, tmp_path / "base.fits", environment={"oref": str(again.oref)}, device="cpu")
    assert images(again.ref / f"d_{FIRST}_2_drk.fits") == images(base)
    with fits.open(again.science / f"{ROOTS[1]}_flc.fits") as hdus:
        assert hdus[0].header["DARKFILE"] == f"$ctirefs/d_{FIRST}_2_drk.fits"
    report = correct(*again.folders, **again.options, single_dark_week="basedark")
    assert (report.products, report.superdarks) == ((), ())


def test_missing_dark_is_done_without_on_request(again: Case) -> None:
    """Oracle: what is made without it is what is made where the list does not have it."""
    listed = finished_copy(again, again.science.parent / "listed")
    gone = dark_name(1, 1, 0)
    (again.darks / f"{gone}_flt.fits").unlink()
    options = {**again.options, "clean": True, "single_dark_week": "basedark"}
    (problem,) = plan(*again.folders, **options).problems
    assert f"1 component dark is missing: {gone.upper()};" in problem
    report = correct(*again.folders, **options, ignore_missing=True)
    assert any(f"made without missing darks ({gone.upper()})" in note for note in report.notes)
    drop(listed, gone)
    correct(*listed.folders, **{**options, **{"anneals": listed.anneals}})
    for name in (f"basedark_d_{FIRST}_drk.fits", f"d_{FIRST}_1_drk.fits", f"d_{FIRST}_2_drk.fits"):
        assert outputs(again)[name] == outputs(listed)[name]


def test_all_weeks(again: Case) -> None:
    """Oracle: the one weekdark that no exposure asks for, of the second period's first week, is made too."""
    it = plan(*again.folders, **again.options, all_weeks=True)
    assert [task.path.name for task in it.superdarks if not task.reuse] == [f"d_{SECOND}_1_drk.fits"]
    report = run(it)
    assert [path.name for path in report.superdarks] == [f"d_{SECOND}_1_drk.fits"]
    assert (report.products, report.darks) == ((), 0)


def test_exposure_of_another_amplifier(again: Case) -> None:
    """Oracle: refused; with allow it is planned, and needs darks of its own amplifier."""
    raw = again.science / f"{ROOTS[0]}_raw.fits"
    edit(raw, CCDAMP="A")
    (refusal,) = plan(*again.folders, **again.options).refused
    assert refusal.reason == "CCDAMP is A, not D"
    it = plan(*again.folders, **again.options, allow=True)
    assert any("read with amplifier A" in failure.reason for failure in it.failures)
    assert [task.root for task in it.science] == [*ROOTS[1:]]


def bad_pixel(pixels: Any) -> Any:
    pixels = pixels.copy()
    pixels[5, 7] = np.inf
    return pixels


@pytest.mark.parametrize("where", ["header", "pixels"])
def test_a_bad_dark_ends_its_own_period(again: Case, long_run: tuple[Case, Report], where: str) -> None:
    """Oracle: two exposures need that period and fail, the third is made anew as it was; with the good file back,
    the two are made as they were, and one dark is corrected."""
    for folder, pattern in ((again.ref, "*_drk.fits"), (again.darks, f"{dark_name(1, 1, 0)}_cte.fits")):
        for path in folder.glob(pattern):
            path.unlink()
    dark = again.darks / f"{dark_name(1, 1, 0)}_flt.fits"
    good = dark.read_bytes()
    if where == "header":
        edit(dark, 1, EXPTIME=None)
    else:
        edit(dark, 1, pixels=bad_pixel)
    it = plan(*again.folders, **again.options, clean=True)
    assert [Path(failure.item).name for failure in it.failures] == (
        [dark.name, *(f"{root}_raw.fits" for root in ROOTS[:2])] if where == "header" else []
    )
    report = run(it)
    failed = {Path(failure.item).name for failure in report.failures}
    assert {dark.name, *(f"{root}_raw.fits" for root in ROOTS[:2])} <= failed
    assert f"{ROOTS[2]}_raw.fits" not in failed
    expected = outputs(long_run[0])
    made = outputs(again)
    assert [path.name for path in report.superdarks] == [f"basedark_d_{SECOND}_drk.fits", f"d_{SECOND}_2_drk.fits"]
    assert made[f"{ROOTS[2]}_flc.fits"] == expected[f"{ROOTS[2]}_flc.fits"]
    put(dark, good)
    mended = correct(*again.folders, **again.options, clean=where == "header")
    assert (mended.failures, mended.darks) == ((), 1)
    assert outputs(again) == expected
