"""Spectra extracted again by hand: CalSTIS's recorded tables, names, refusals, the command."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

import gpucti
from gpucti import cli
from gpucti.calibration.native import NativeEngine
from gpucti.calibration.reffiles import References
from gpucti.calibration.spectra.x1d.files import Extracted
from gpucti.calibration.spectra.x1d.table import ExtractedSpectra
from gpucti.errors import (
    EngineError,
    InputError,
    MissingFileError,
    OutputExistsError,
    ReferenceFileError,
    SomeFailedError,
    UnsuitableFileError,
)
from gpucti.io.exposure import Exposure
from support.extraction_cases import CASES, TABLES
from support.recorded import extraction
from support.stis_files import change, digest, listing
from support.visits import Case, finished_copy

RECORDED = extraction()
CORRECTED = {"PCTECORR": "COMPLETE"}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the image and the tables of the case ``plain``; not to be changed."""
    folder = tmp_path_factory.mktemp("plain")
    CASES["plain"].build(folder).rename(folder / "case_flt.fits")
    return folder


@pytest.fixture
def own(plain: Path, tmp_path: Path) -> Path:
    """Return a copy of that folder."""
    return shutil.copytree(plain, tmp_path / "own")


def named(folder: Path, name: str = "case_flt.fits", **cards: Any) -> Path:
    """Change cards of the image in a folder, and write it under a name."""
    with fits.open(folder / "case_flt.fits") as hdus:
        change(hdus[0].header, **cards)
        hdus.writeto(folder / name, overwrite=True)
    return folder / name


def differing(path: Path, recorded: str) -> list[str]:
    """Return the columns of all tables of a file that have not the recorded bits."""
    with fits.open(path) as hdus:
        return [
            f"{hdu.ver}/{name}"
            for hdu in hdus[1:]
            for name in hdu.columns.names
            if np.asarray(hdu.data[0][name]).tolist() != RECORDED[f"{recorded}/{hdu.ver}/{name}"].tolist()
        ]


def header(path: Path) -> fits.Header:
    return fits.getheader(path)


# ---- numbers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "high_box",
        "boxes_given",
        "tilt_given",
        "unsmoothed_line",
        "smoothed_fifth",
        "centre_given",
        "search_zero",
        "shifted",
        "peak_at_end",
    ],
)
def test_options(name: str, own: Path) -> None:
    """Oracle: CalSTIS's cs6 with the same options, recorded: the same bits in every column."""
    given = CASES[name].options
    if name == "peak_at_end":  # CalSTIS makes no file then
        with pytest.raises(EngineError, match=r"case_flt.fits: no spectrum was extracted. .*a2center"):
            gpucti.x1d(own / "case_flt.fits", **given)
        assert not (own / "case_x1d.fits").exists()
        return
    [made] = gpucti.x1d(own / "case_flt.fits", **given)
    assert made == own / "case_x1d.fits"
    assert not differing(made, name)


@pytest.mark.parametrize(
    ("recorded", "given"),
    [
        ("plain", {}),
        ("plain", dict.fromkeys(("backcorr", "dispcorr", "helcorr", "fluxcorr"), "perform")),
        ("no_background", {"backcorr": False}),
        ("no_heliocentric", {"helcorr": "OMIT"}),
        ("no_flux", {"fluxcorr": "omit"}),
        ("counts_only", {"dispcorr": False, "helcorr": False, "fluxcorr": False}),
        ("cte", {"ctecorr": True}),
    ],
)
def test_steps(recorded: str, given: dict[str, Any], own: Path) -> None:
    """Oracle: CalSTIS with these switches in the header, recorded; here the header has those of ``plain``."""
    [made] = gpucti.x1d(own / "case_flt.fits", **given)
    assert not differing(made, recorded)


@pytest.mark.parametrize("switch", ["PERFORM", "OMIT", None])
def test_never_a_second_correction_for_cti(switch: str | None, own: Path) -> None:
    """Oracle: the recorded spectrum without CTECORR, whatever the header of corrected pixels says of it."""
    path = named(own, "case_flc.fits", CTECORR=switch, **CORRECTED)
    [made] = gpucti.x1d(path)
    assert not differing(made, "plain")
    assert header(made).get("CTECORR", "OMIT") == "OMIT"
    for asked in (True, "perform"):
        with pytest.raises(InputError, match="PCTECORR is COMPLETE, the pixels are CTI-corrected"):
            gpucti.x1d(path, ctecorr=asked, overwrite=True)
    assert not differing(gpucti.x1d(path, ctecorr="omit", overwrite=True)[0], "plain")


def test_uncorrected_pixels_keep_their_switch(own: Path) -> None:
    """Oracle: CalSTIS performs CTECORR where the header asks for it, and where the keyword is missing."""
    paths = [named(own, f"{number}_flt.fits", CTECORR=switch) for number, switch in enumerate(("PERFORM", None))]
    for made in gpucti.x1d(paths):
        assert not differing(made, "cte")
        assert header(made)["CTECORR"] == "COMPLETE"


@pytest.mark.golden
def test_golden(golden_visit: Path, tmp_path: Path) -> None:
    """Oracle: CalSTIS's own x1c of the golden visit, from the flc that the native engine makes: the same bits."""
    refs = tmp_path / "ctirefs"
    refs.mkdir()
    shutil.copy(golden_visit / "expected" / "3_superdarks" / "pipeline_d117_3_drk.fits.gz", refs / "d117_3_drk.fits.gz")
    oref = golden_visit / "visit" / "oref"
    exposure = Exposure.read(golden_visit / "expected" / "2_cti" / "osy103010_cte.fits")
    exposure = replace(exposure, path=golden_visit / "visit" / "science" / "osy103010_cte.fits")
    exposure = exposure.with_imsets(exposure.imsets)
    exposure.primary["X1DCORR"] = exposure.primary["X2DCORR"] = "OMIT"
    engine = NativeEngine(gpucti.get_backend("cpu"), References({"oref": str(oref), "ctirefs": str(refs)}))
    image = engine.calibrate(exposure, tmp_path, {"flt": "flc"}).products["flt"]
    [made] = gpucti.x1d(image, tmp_path / "again", oref=oref)
    with fits.open(made) as mine, fits.open(golden_visit / "expected" / "4_products" / "osy103010_x1c.fits") as golden:
        assert mine[0].header["FILENAME"] == "osy103010_x1c.fits"
        for name in golden[1].columns.names:
            assert mine[1].data[name].tobytes() == golden[1].data[name].tobytes(), name


# ---- files -------------------------------------------------------------------------------------------------------


#: By name of the image: cards of its header, name of the table.
TABLE_NAMES: dict[str, tuple[dict[str, Any], str]] = {
    "o1_flt.fits": ({}, "o1_x1d.fits"),
    "o1_crj.fits": ({}, "o1_sx1.fits"),
    "o1_flc.fits": (CORRECTED, "o1_x1c.fits"),
    "o1_crc.fits": (CORRECTED, "o1_s1c.fits"),
    "o2_flt.fits": (CORRECTED, "o2_x1c.fits"),
    "o2_cte_crj.fits": (CORRECTED, "o2_s1c.fits"),
    "o2_crc.fits": ({}, "o2_sx1.fits"),
    "my_star_flc.fits": (CORRECTED, "my_star_x1c.fits"),
    "O3_FLC.fits": (CORRECTED, "O3_x1c.fits"),
    "star.fits": (CORRECTED, "star_x1c.fits"),
    "sum.fits": ({"CRCORR": "COMPLETE"}, "sum_sx1.fits"),
}


def test_names(own: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Oracle: the table of products of stis_cti; whether pixels are corrected is what the header says."""
    paths = [named(own, name, **({"PCTECORR": None} | cards)) for name, (cards, _) in TABLE_NAMES.items()]
    before = [digest(path) for path in paths]
    made = gpucti.x1d(paths)
    assert [path.name for path in made] == [name for _, name in TABLE_NAMES.values()]
    assert [header(path)["FILENAME"] for path in made] == [path.name for path in made]
    assert [digest(path) for path in paths] == before
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    [warning] = warnings
    assert "o2_crc.fits: is called crc, but its header does not say that it is CTI-corrected" in warning


def test_folders(plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: reference files through oref; outputs in outdir; compressed inputs; what exists stays."""
    oref, images = plain, tmp_path / "images"
    images.mkdir()
    tables = {key: value for key, value in header(oref / "case_flt.fits").items() if key in TABLES}
    through = {key: f"oref${value}" if value != "N/A" else value for key, value in tables.items()}
    with fits.open(oref / "case_flt.fits") as hdus:
        hdus[0].header.update(through)
        for name in ("o1_flt.fits", "o2_flt.fits.gz"):
            hdus.writeto(images / name)
    done: list[Extracted] = []
    given: dict[str, Any] = {"oref": oref, "progress": done.append, "device": "numpy"}
    made = gpucti.x1d(f"{images}/o?_flt.fits*", tmp_path / "new", **given)
    assert [path.name for path in made] == ["o1_x1d.fits", "o2_x1d.fits"]
    assert [each.output for each in done] == made
    centre = RECORDED["plain/1/A2CENTER"]
    assert [each.rows for each in done] == [(pytest.approx(float(centre)),)] * 2
    assert listing(images) == ["o1_flt.fits", "o2_flt.fits.gz"]
    made[0].write_bytes(b"precious")
    with pytest.raises(OutputExistsError):
        gpucti.x1d(images / "o1_flt.fits", tmp_path / "new", **given)
    assert made[0].read_bytes() == b"precious"
    assert not differing(gpucti.x1d(images / "o1_flt.fits", tmp_path / "new", overwrite=True, **given)[0], "plain")
    with pytest.raises(ReferenceFileError, match=r"XTRACTAB names 'oref\$.*oref stands for .*images/', .*\(--oref\)"):
        gpucti.x1d(images / "o1_flt.fits", tmp_path / "other", oref=images)
    monkeypatch.delenv("oref", raising=False)
    with pytest.raises(
        ReferenceFileError, match=r"the environment variable oref is not set; .* option oref \(--oref\)"
    ):
        gpucti.x1d(images / "o1_flt.fits", tmp_path / "other")
    with pytest.raises(InputError, match="oref is the folder"):
        gpucti.x1d(images / "o1_flt.fits", oref=tmp_path / "gone")


def test_a_bad_file_costs_the_others_nothing(own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the recorded spectrum of the good files, whatever stands before, between and behind them."""
    good, empty, last = own / "case_flt.fits", own / "o2_flt.fits", own / "o4_flt.fits"
    with fits.open(good) as hdus:
        hdus["DQ", 1].data[:] = 512
        hdus.writeto(empty)
    image = named(own, "o1_flt.fits", OBSTYPE="IMAGING")
    lost = named(own, "o3_flt.fits", XTRACTAB="oref$gone_1dx.fits")
    shutil.copy(good, last)
    given = [image, good, empty, lost, last]
    with (
        pytest.raises(SomeFailedError) as caught,
        pytest.warns(UserWarning, match="^skipped: o1_flt.fits: no spectrum$"),
    ):
        gpucti.x1d(given, tmp_path / "new")
    made = [tmp_path / "new" / name for name in ("case_x1d.fits", "o4_x1d.fits")]
    assert list(caught.value.done) == made and not any(differing(path, "plain") for path in made)
    assert listing(tmp_path / "new") == [path.name for path in made]
    assert [failure.item for failure in caught.value.failures] == [str(empty), str(lost)]
    reasons = [failure.reason for failure in caught.value.failures]
    for reason, word in zip(reasons, ("no spectrum was extracted", "XTRACTAB names"), strict=True):
        assert word in reason

    assert cli.main(["x1d", *map(str, given), "-o", str(tmp_path / "again"), "--device", "numpy"]) == 1
    out, err = capsys.readouterr()
    assert [line.partition(" ->")[0] for line in out.splitlines()] == [good.name, last.name]
    assert "2 of 4 could not be treated, the others are done:" in err
    assert "warning: skipped: o1_flt.fits: no spectrum" in err
    assert [line.strip().partition(": ")[0].partition("[")[0] for line in err.splitlines()[-2:]] == [
        str(path) for path in (empty, lost)
    ]


def test_of_one_file_its_own_error(own: Path, tmp_path: Path) -> None:
    """Nothing is written where there is no spectrum; two inputs never share an output."""
    good, bad = own / "case_flt.fits", own / "o2_flt.fits"
    with fits.open(good) as hdus:
        hdus["DQ", 1].data[:] = 512
        hdus.writeto(bad)
    with pytest.raises(EngineError, match="o2_flt.fits: no spectrum was extracted. No spectrum from image set 1: "):
        gpucti.x1d(bad, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    (own / "more").mkdir()
    shutil.copy(good, own / "more")
    with pytest.raises(InputError, match="both would be written to"):
        gpucti.x1d([good, own / "more" / good.name], tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_write_error_is_that_of_its_file(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the disk is full for the first table only."""
    paths = [own / "case_flt.fits", named(own, "o2_flt.fits")]
    write = ExtractedSpectra.write

    def full(self: ExtractedSpectra, path: Path, **given: Any) -> Path:
        if path.name == "case_x1d.fits":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return write(self, path, **given)

    monkeypatch.setattr(ExtractedSpectra, "write", full)
    with pytest.raises(SomeFailedError, match="case_flt.fits: .*No space left on device.*case_x1d.fits") as caught:
        gpucti.x1d(paths, tmp_path)
    assert listing(tmp_path) == ["o2_x1d.fits", "own"] and len(caught.value.done) == 1


def test_the_header_says_by_what_and_how(own: Path) -> None:
    """Oracle: the options given; nothing that a run of the pipeline said of the image is said of the table."""
    run = {"PCTESHAR": "0" * 64, "PCTEPROD": "flc x1c", "PCTEPART": False, "PCTEOMIT": 0}
    path = named(own, "case_flc.fits", **CORRECTED, **run)
    options = {"extrsize": 11, "bksmode": "off", "xoffset": 0.5, "helcorr": "omit"}
    for given, text in (({}, "none"), (options, "extrsize=11, bksmode=off, xoffset=0.5, helcorr=False")):
        [made] = gpucti.x1d(path, overwrite=True, **given)
        primary = header(made)
        assert not set(run) & set(primary)
        assert (primary["X1DOPTS"], primary["X1DSHAI"]) == (text, digest(path))
        assert primary["X1DPROG"] == f"gpucti {gpucti.__version__}"
        assert f"Options: {text}." in " ".join(primary["HISTORY"])


def test_an_image_set_without_spectrum_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Oracle: CalSTIS, recorded: the second table only."""
    done: list[Extracted] = []
    [made] = gpucti.x1d(CASES["first_fails"].build(tmp_path), progress=done.append)
    assert not differing(made, "first_fails")
    [failure] = done[0].failures
    assert failure.startswith("No spectrum from image set 1: ")
    assert [record.levelno for record in caplog.records if failure in record.getMessage()] == [logging.WARNING]


@pytest.mark.slow
def test_the_pipeline_does_not_take_it_for_its_own(finished: Case, tmp_path: Path) -> None:
    """Oracle: a table that was extracted with another box is not what a run makes; with --clean it is made anew."""
    case = finished_copy(finished, tmp_path / "run")
    [image] = (path for path in case.science.glob("*_flc.fits") if path.with_name(_x1c(path)).is_file())
    before = fits.getdata(image.with_name(_x1c(image)))["FLUX"]
    assert not [task for task in gpucti.plan(*case.folders, **case.options).science if not task.reuse]
    [made] = gpucti.x1d(image, extrsize=21, oref=case.oref, device="cpu", overwrite=True)
    assert made.name == _x1c(image) and not np.array_equal(fits.getdata(made)["FLUX"], before)
    planned = gpucti.plan(*case.folders, **case.options)
    assert image.name[:9] not in [task.root for task in planned.science]
    (failure,) = planned.failures
    assert Path(failure.item).name[:9] == image.name[:9]
    assert f"outputs of an earlier, different run exist: {made.name}" in failure.reason
    gpucti.correct(*case.folders, **case.options, clean=True)
    np.testing.assert_array_equal(fits.getdata(made)["FLUX"], before)


def _x1c(image: Path) -> str:
    return image.name.replace("_flc", "_x1c")


# ---- refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cards", "message"),
    [
        ({"OBSTYPE": "IMAGING"}, "OBSTYPE is IMAGING; expected SPECTROSCOPIC"),
        ({"OBSMODE": "ACQ"}, "OBSMODE is ACQ, an acquisition"),
        ({"OPT_ELEM": "MIRVIS"}, "OPT_ELEM is MIRVIS; expected one of G230LB"),
        ({"OBSTYPE": None}, "OBSTYPE is missing"),
        ({"X2DCORR": "COMPLETE"}, "the image is rectified; extract from the flc"),
        ({"DARKCORR": "PERFORM"}, "DARKCORR is PERFORM, the image is not calibrated yet"),
        ({"BLEVCORR": "PERFORM", "FLATCORR": "PERFORM"}, "BLEVCORR, FLATCORR are PERFORM"),
        ({"WAVECORR": "PERFORM"}, "WAVECORR is PERFORM, the shift of the spectrum is not measured yet"),
        ({"FLUXCORR": "MAYBE"}, "FLUXCORR is 'MAYBE'"),
        ({"DETECTOR": "NUV-MAMA"}, "DETECTOR is 'NUV-MAMA'"),
        ({"NEXTEND": 6}, "NEXTEND is 6"),
    ],
)
def test_inputs_refused(cards: dict[str, Any], message: str, own: Path) -> None:
    path = named(own, **cards)
    with pytest.raises(InputError, match=message):
        gpucti.x1d(path)
    assert not (own / "case_x1d.fits").exists()


def test_without_shift(own: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What a missing WAVECORR means is said; without wavelengths it does not matter."""
    path = named(own, WAVECORR="OMIT")
    assert not differing(gpucti.x1d(path)[0], "plain")
    assert "WAVECORR is OMIT: wavelengths are as good as the SHIFTA1" in caplog.text
    named(own, WAVECORR="PERFORM")
    no = dict.fromkeys(("dispcorr", "helcorr", "fluxcorr"), False)
    assert not differing(gpucti.x1d(path, overwrite=True, **no)[0], "counts_only")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"extrsize": 0}, "extrsize is 0"),
        ({"extrsize": -3.0}, "extrsize is -3.0"),
        ({"extrsize": float("nan")}, "extrsize is nan"),
        ({"extrsize": "7"}, "extrsize is '7'"),
        ({"a2center": 1e9}, "a2center is 1000000000.0"),
        ({"maxsrch": -1}, "maxsrch is -1"),
        ({"maxsrch": 2.5}, "maxsrch is 2.5"),
        ({"bk1size": True}, "bk1size is True"),
        ({"bktilt": 91}, "bktilt is 91"),
        ({"backord": 7}, "backord is 7"),
        ({"bksorder": 10}, "bksorder is 10"),
        ({"bksmode": "average"}, "bksmode is 'average', which is not offered"),
        ({"bksmode": None}, "bksmode is None"),
        ({"fluxcorr": "yes"}, "fluxcorr is 'yes'"),
        ({"fluxcorr": 1}, "fluxcorr is 1"),
        ({"dispcorr": False}, "without DISPCORR"),
    ],
)
def test_bad_options(given: dict[str, Any], message: str, plain: Path) -> None:
    with pytest.raises(InputError, match=message):
        gpucti.x1d(plain / "case_flt.fits", **given)
    assert not (plain / "case_x1d.fits").exists()


def test_numpy_numbers_are_numbers(own: Path) -> None:
    [made] = gpucti.x1d(own / "case_flt.fits", extrsize=np.float32(11.5))
    assert not differing(made, "high_box")


def test_missing_files(own: Path) -> None:
    with pytest.raises(MissingFileError):
        gpucti.x1d(own / "gone_flc.fits")
    [table] = gpucti.x1d(own / "case_flt.fits")
    with pytest.raises(InputError, match="SCI,1 is not an image extension"):
        gpucti.x1d(table)


#: Words of the reason why no spectrum is extracted, by suffix of the name.
REAL = {"raw": "", "sx1": "SCI,1 is not an image extension", "x1d": "FUV-MAMA"}


def test_real_files(real_files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: what the archive's files are: none is a calibrated image; each is refused with its own reason."""
    paths = sorted(real_files.glob("*.fits"))
    with pytest.raises(UnsuitableFileError, match=f"none of the {len(paths)} files is a calibrated spectrum") as whole:
        gpucti.x1d(paths, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    reasons = {}
    for path in paths:
        assert path.name in str(whole.value)
        with pytest.raises(UnsuitableFileError) as caught:
            gpucti.x1d(path, tmp_path / "new")
        reasons[path.name] = caught.value.reason
    for name, reason in reasons.items():
        assert REAL.get(name.rpartition("_")[2].partition(".")[0], "") in reason
    for name in ("o56502010_raw.fits", "o56502040_raw.fits", "o4sp040b0_raw.fits"):
        assert "are PERFORM, the image is not calibrated yet" in reasons[name]
    for name in ("o56502010_raw.fits", "odlm21010_sx1.fits", "odlm21050_x1d.fits"):
        path = real_files / name
        assert cli.main(["x1d", str(path)]) == 1
        [line] = capsys.readouterr().err.splitlines()
        assert line.startswith(f"gpucti: error: {path}")


# ---- the command -------------------------------------------------------------------------------------------------


def test_command(own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: CalSTIS with these options, recorded; exit codes."""
    path = own / "case_flt.fits"
    boxes = ["--bk1size", "12.5", "--bk2size", "0", "--bk1offst", "15.25", "--bk2offst", "-9"]
    code = cli.main(["x1d", str(path), "-o", str(tmp_path / "new"), "--device", "numpy", *boxes])
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    made = tmp_path / "new" / "case_x1d.fits"
    row = float(RECORDED["boxes_given/1/A2CENTER"])
    assert out == f"case_flt.fits -> {made}: extracted at row {row:.2f}\n"
    assert not differing(made, "boxes_given")
    assert cli.main(["x1d", str(path), "-o", str(tmp_path / "new")]) == 1
    assert "the output exists" in capsys.readouterr().err
    assert cli.main(["x1d", str(path), "--ctecorr", "--no-helcorr", "--bksmode", "off", "-v", "2"]) == 0
    assert "CTECORR complete" in capsys.readouterr().err
    assert header(own / "case_x1d.fits")["HELCORR"] == "PERFORM"  # not done
    for wrong in (["--bksmode", "average"], ["--extrsize", "wide"], ["--backord", "2"], []):
        assert cli.main(["x1d", *wrong] + ([str(path)] if wrong else [])) == 2
    assert cli.main(["x1d", str(path), "--extrsize", "-1", "--overwrite"]) == 1
    assert capsys.readouterr().err.endswith("extrsize is -1.0; expected a number, 0 to 2048\n")
