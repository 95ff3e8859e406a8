"""The native engine: what the switches mean, what is made of them and what is said; the golden visit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from gpucti.backends import get_backend
from gpucti.calibration import get_engine, hstcal
from gpucti.calibration.auto import AutoEngine
from gpucti.calibration.base import BiasSubtracted, Calibrated, Required, Trailer
from gpucti.calibration.crreject.crreject import reject_cosmic_rays
from gpucti.calibration.native import NativeEngine
from gpucti.calibration.reffiles import References
from gpucti.calibration.switches import read_work, required_references
from gpucti.errors import EngineError, InputError, OutputExistsError, ReferenceFileError
from gpucti.io.exposure import Exposure, StisKeywords
from support.calstis_cases import CASES
from support.products import PLAIN, SUFFIXES, calibrated, differences, exposure
from support.stis_files import change, digest, listing

PERFORM, COMPLETE = "PERFORM", "COMPLETE"
BASIC = dict.fromkeys(("DQICORR", "BLEVCORR", "BIASCORR"), PERFORM)
LATE = dict.fromkeys(("DARKCORR", "FLATCORR"), PERFORM)
IMAGE = {"PHOTCORR": PERFORM, "GEOCORR": PERFORM}
SPECTRUM = {"OBSTYPE": "SPECTROSCOPIC", "WAVECAL": "x_wav.fits"}
SPECTRUM |= dict.fromkeys(("WAVECORR", "X1DCORR", "X2DCORR", "DISPCORR", "FLUXCORR"), PERFORM)
#: What the native engine cannot do.
STRANGE = SPECTRUM | {"OPT_ELEM": "PRISM"}
REJECT = {"CRCORR": PERFORM}
BOTH = REJECT | {"EXPSCORR": PERFORM}


@pytest.mark.parametrize(
    ("n", "cards", "kinds"),
    [
        (2, BASIC | LATE | IMAGE | BOTH, ["crj", "flt", "sx2"]),
        (2, BASIC | LATE | IMAGE | REJECT, ["crj", "sx2"]),
        (2, BASIC | LATE | {"RPTCORR": "perform"}, ["crj"]),
        (2, BASIC | LATE | IMAGE, ["flt", "x2d"]),
        (1, BASIC | LATE | IMAGE | BOTH, ["flt", "x2d"]),
        (2, BASIC | BOTH, ["crj"]),
        (2, BOTH, ["crj"]),
        (1, {"GEOCORR": PERFORM}, ["x2d"]),
        (2, LATE | SPECTRUM | BOTH, ["crj", "flt", "sx2", "sx1"]),
        (1, LATE | SPECTRUM, ["flt", "x2d", "x1d"]),
        (1, BASIC | {"OBSTYPE": "SPECTROSCOPIC", "GEOCORR": PERFORM}, ["flt"]),
        (1, dict.fromkeys(BASIC, COMPLETE), []),
        (1, dict.fromkeys(BASIC, "SKIPPED"), []),
    ],
)
def test_products(n: int, cards: dict[str, Any], kinds: list[str]) -> None:
    """Oracle: the table of products of CalSTIS for the CCD (one image set is never combined)."""
    work = read_work(exposure(n, **cards))
    assert sorted(work.kinds) == sorted(kinds)
    assert work.nothing == (not kinds)


def test_steps_before_and_after_rejection() -> None:
    """Oracle: the steps of CalSTIS's cs0, those that are COMPLETE left out."""
    work = read_work(exposure(2, **BASIC | LATE | IMAGE | BOTH | {"BLEVCORR": COMPLETE, "STATFLAG": False}))
    assert work.part_a == ("DQICORR", "BIASCORR")
    assert work.part_b == ("DARKCORR", "FLATCORR", "PHOTCORR")
    assert work.reject and work.separate and work.geometry and not work.statistics


def test_of_which_images_statistics_are_taken() -> None:
    """Oracle: CalSTIS's cs1 and cs7 take them, cs2 does not; STATFLAG F: nobody does."""
    assert [read_work(exposure(2, **BOTH | more)).has_statistics("crj") for more in ({}, LATE)] == [False, True]
    work = read_work(exposure(2, **LATE | IMAGE | BOTH))
    assert all(work.has_statistics(kind) for kind in work.kinds)
    assert not any(replace(work, statistics=False).has_statistics(kind) for kind in work.kinds)


@pytest.mark.parametrize(
    ("cards", "message"),
    [
        ({"DARKCORR": "YES"}, "DARKCORR is 'YES'; expected PERFORM, COMPLETE, SKIPPED, OMIT"),
        ({"FLATCORR": ""}, "FLATCORR is ''"),
        ({"CRCORR": 1}, "CRCORR is 1"),
        ({"OBSTYPE": None}, "OBSTYPE is missing"),
        ({"OBSTYPE": "ECHELLE"}, "OBSTYPE is 'ECHELLE'"),
        ({"TEXPTIME": 0.0}, "nothing was exposed"),
        ({"TEXPTIME": None}, "nothing was exposed"),
        ({"STATFLAG": "yes"}, "STATFLAG is 'yes'"),
    ],
)
def test_bad_switches(cards: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_work(exposure(**cards))


def test_a_bias_has_no_exposure_time() -> None:
    assert read_work(exposure(TEXPTIME=0.0, TARGNAME="BIAS", **BASIC)).part_a == ("DQICORR", "BLEVCORR", "BIASCORR")


@pytest.mark.parametrize(
    ("n", "cards", "note"),
    [
        (1, REJECT | LATE, "CRCORR is PERFORM, but there is one image set only"),
        (1, SPECTRUM | {"WAVECAL": "N/A"}, "WAVECAL is N/A"),
        (1, SPECTRUM | {"GEOCORR": PERFORM}, "GEOCORR is PERFORM, but OBSTYPE is SPECTROSCOPIC"),
        (1, LATE | {"X1DCORR": PERFORM}, "X1DCORR is PERFORM, but OBSTYPE is IMAGING"),
    ],
)
def test_notes(n: int, cards: dict[str, Any], note: str) -> None:
    """What is asked for and cannot be is said."""
    assert any(note in line for line in read_work(exposure(n, **cards)).notes)


FILES = {"CCDTAB": "ccd", "BPIXTAB": "bpx", "BIASFILE": "bia", "DARKFILE": "drk", "PFLTFILE": "pfl", "CRREJTAB": "crr"}
FILES |= {"IMPHTTAB": "imp", "TDSTAB": "tds", "IDCTAB": "idc", "APERTAB": "apt", "SDSTFILE": "ssd"}
TABLES = {"SDCTAB": "sdc", "SPTRCTAB": "1dt", "APDESTAB": "apd", "DISPTAB": "dsp", "INANGTAB": "iac", "LAMPTAB": "lmp"}
TABLES |= {"XTRACTAB": "1dx", "PHOTTAB": "pht", "PCTAB": "pct", "WCPTAB": "wcp", "GACTAB": "N/A"}


def needs(cards: dict[str, Any], *, n: int = 2, calstis: bool = False, folder: Path | None = None) -> dict[str, Any]:
    """Return path, or None, of each reference file needed, by keyword."""
    made = exposure(n, **{key: f"oref${value}.fits" if value != "N/A" else value for key, value in FILES.items()})
    change(made.primary, **cards)
    if folder:
        made = replace(made, path=folder / made.path.name)
    found = required_references(made, References({"oref": str(folder)} if folder else {}), calstis=calstis)
    return {need.keyword: need.path for need in found}


def test_references_of_an_image() -> None:
    """Oracle: CalSTIS's lists; the native engine does not read the APERTAB of an image, CalSTIS wants it to exist."""
    image = ["CCDTAB", "BPIXTAB", "BIASFILE", "DARKFILE", "PFLTFILE", "IMPHTTAB", "TDSTAB", "CRREJTAB", "IDCTAB"]
    assert sorted(needs(BASIC | LATE | IMAGE | BOTH)) == sorted(image)
    assert sorted(needs(BASIC | LATE | IMAGE | BOTH, calstis=True)) == sorted([*image, "APERTAB"])
    assert "SDSTFILE" in needs(IMAGE | {"SGEOCORR": PERFORM}, calstis=True)
    assert "CRREJTAB" not in needs(BASIC | LATE | REJECT, n=1)
    assert list(needs(LATE | {"DARKCORR": COMPLETE})) == ["CCDTAB", "PFLTFILE"]
    assert set(needs({"ATODCORR": PERFORM, "SHADCORR": PERFORM})) == {"CCDTAB", "ATODTAB", "SHADFILE"}


def test_references_of_a_spectrum() -> None:
    """Oracle: CalSTIS's lists (sciflags.c)."""
    tables = {key: f"{value}.fits" if value != "N/A" else value for key, value in TABLES.items()}
    image = {"CCDTAB", "DARKFILE", "PFLTFILE"}
    assert set(needs(LATE | SPECTRUM | tables)) == image | {"WAVECAL", "APERTAB", "TDSTAB"} | set(TABLES) - {"GACTAB"}
    without = set(needs(LATE | SPECTRUM | tables | {"WAVECORR": COMPLETE, "FLUXCORR": "OMIT"}))
    assert without == image | {"SDCTAB", "SPTRCTAB", "XTRACTAB", "APDESTAB", "DISPTAB", "INANGTAB"}
    shift = set(needs({"OBSTYPE": "SPECTROSCOPIC", "WAVECORR": PERFORM, "WAVECAL": "x_wav.fits"} | tables))
    assert shift == {"CCDTAB", "WAVECAL", "WCPTAB", "LAMPTAB", "APDESTAB"}


def test_references_of_a_wavecal(tmp_path: Path) -> None:
    """What the wavecal alone needs: files of steps that are done to the exposure before, and its own tables."""
    header = fits.PrimaryHDU().header
    header.update(
        {"BIASFILE": "oref$own_bia.fits", "BPIXTAB": "N/A", "DARKFILE": "oref$old_drk.fits", "SDCTAB": "s.fits"}
    )
    header.update(BASIC | {"DARKCORR": PERFORM, "OPT_ELEM": "G430L"})
    fits.PrimaryHDU(header=header).writeto(tmp_path / "x_wav.fits")
    (tmp_path / "own_bia.fits").touch()
    done = dict.fromkeys(BASIC, COMPLETE)
    found = needs(done | LATE | SPECTRUM | {"SDCTAB": "mine.fits"}, folder=tmp_path)
    its = {key.removesuffix(" of x_wav.fits"): path for key, path in found.items() if key.endswith(" of x_wav.fits")}
    assert its == {"BIASFILE": tmp_path / "own_bia.fits"}
    alone = needs(done | SPECTRUM | {"X2DCORR": "OMIT", "X1DCORR": "OMIT"}, folder=tmp_path)
    assert {key.split(" of ")[0] for key in alone if " of x_wav.fits" in key} == {"BIASFILE", "DARKFILE", "SDCTAB"}


def test_blank_references() -> None:
    """Some may be blank; of the flats one must be named; a blank name that is needed counts as missing."""
    assert "BPIXTAB" not in needs(BASIC | {"BPIXTAB": "N/A"})
    assert "TDSTAB" not in needs(IMAGE | {"TDSTAB": ""})
    assert [key for key in needs(LATE | {"PFLTFILE": "N/A", "LFLTFILE": "x.fits"}) if "FLT" in key] == ["LFLTFILE"]
    assert needs(LATE | {"PFLTFILE": "n/a"})["PFLTFILE"] is None
    assert needs(LATE | {"DARKFILE": " "})["DARKFILE"] is None


def test_references_are_looked_up(tmp_path: Path) -> None:
    """By the environment given, and compressed under the plain name."""
    (tmp_path / "ccd.fits.gz").touch()
    found = needs(LATE, folder=tmp_path)
    assert found == {"CCDTAB": tmp_path / "ccd.fits.gz", "DARKFILE": None, "PFLTFILE": None}


def test_lamps_may_stand_in_the_wavecal(tmp_path: Path) -> None:
    """Oracle: CalSTIS takes LAMPTAB from the wavecal where the exposure has none."""
    wavecal = fits.PrimaryHDU()
    wavecal.header["LAMPTAB"] = "lamps.fits"
    wavecal.writeto(tmp_path / "x_wav.fits")
    (tmp_path / "lamps.fits").touch()
    assert needs(SPECTRUM, folder=tmp_path)["LAMPTAB"] == tmp_path / "lamps.fits"
    assert needs(SPECTRUM | {"WAVECAL": "none.fits"}, folder=tmp_path)["LAMPTAB"] is None


@pytest.fixture
def engine() -> NativeEngine:
    return NativeEngine(get_backend("numpy"), References({}))


def flow(folder: Path, name: str = "flow_both", **cards: Any) -> Exposure:
    """Return an image of a recorded CalSTIS case, bias-subtracted, with its reference files; `cards` change it."""
    (path,) = CASES[name].build(folder)
    made = Exposure.read(path)
    change(made.primary, **cards)
    return made


def test_supports(engine: NativeEngine) -> None:
    """Images and spectra of the first-order gratings are done completely; what cannot be done is named."""
    assert engine.supports(exposure(2, **BASIC | LATE | IMAGE | BOTH)) == []
    assert engine.supports(exposure(**LATE | {"OBSTYPE": "SPECTROSCOPIC"})) == []
    for grating in ("G230LB", "G230MB", "G430L", "G430M", "G750L", "G750M"):
        assert engine.supports(exposure(**LATE | SPECTRUM | {"OPT_ELEM": grating})) == []
    (reason,) = engine.supports(exposure(**LATE | STRANGE))
    assert reason.startswith("OPT_ELEM is 'PRISM': the native engine calibrates spectra of G230LB")
    assert [reason.split()[0] for reason in engine.supports(exposure(**IMAGE | {"SGEOCORR": PERFORM}))] == ["SGEOCORR"]


def test_files_and_headers(tmp_path: Path, engine: NativeEngine) -> None:
    """Names, FILENAME, versions, trailer; the input in memory and on disk stays as it was."""
    out = tmp_path / "out put"
    out.mkdir()
    given = flow(tmp_path)
    before = digest(given.path), given.imsets[0].dq.copy(), str(given.primary)
    made = engine.calibrate(given, out, SUFFIXES)
    assert listing(out) == ["case_crc.fits", "case_flc.fits", "case_s2c.fits"]
    assert {kind: path.name for kind, path in made.products.items()} == {
        "crj": "case_crc.fits",
        "flt": "case_flc.fits",
        "sx2": "case_s2c.fits",
    }
    assert made.omitted == ()
    for path in made.products.values():
        product = Exposure.read(path)
        assert product.primary["FILENAME"] == path.name
        assert product.primary["CAL_VER"].startswith("gpucti ")
        assert product.n_imsets == (3 if path.name == "case_flc.fits" else 1)
        assert path.name in made.trailer
    for word in ("DARKCORR", "FLATCORR", "PHOTCORR", "GEOCORR", "case_drk.fits"):
        assert word in made.trailer
    assert (digest(given.path), str(given.primary)) == (before[0], before[2])
    assert np.array_equal(given.imsets[0].dq, before[1])


def test_nothing_is_replaced(tmp_path: Path, engine: NativeEngine) -> None:
    """An existing product stops the work before anything is written."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "case_s2c.fits").write_text("mine")
    with pytest.raises(OutputExistsError, match=r"case_s2c\.fits"):
        engine.calibrate(flow(tmp_path), out, SUFFIXES)
    assert listing(out) == ["case_s2c.fits"] and (out / "case_s2c.fits").read_text() == "mine"


def test_nothing_to_do(tmp_path: Path, engine: NativeEngine) -> None:
    """CalSTIS would end with success and no product."""
    given = flow(tmp_path, "flow_split", **dict.fromkeys(("DARKCORR", "FLATCORR", "PHOTCORR", "GEOCORR"), COMPLETE))
    with pytest.raises(InputError, match=r"case_cte\.fits: nothing to do"):
        engine.calibrate(given, tmp_path, SUFFIXES)


def test_missing_references_come_in_one_message(tmp_path: Path, engine: NativeEngine) -> None:
    given = flow(tmp_path, DARKFILE="oref$none.fits", IDCTAB="N/A", CRREJTAB=None)
    with pytest.raises(
        ReferenceFileError, match=r"DARKFILE \(oref\$none\.fits\), CRREJTAB \(blank\), IDCTAB \(blank\)"
    ):
        engine.calibrate(given, tmp_path, SUFFIXES)
    assert {need.keyword: need.path for need in engine.references(given)}["DARKFILE"] is None


def test_products_need_names(tmp_path: Path, engine: NativeEngine) -> None:
    with pytest.raises(InputError, match="makes flt, sx2"):
        engine.calibrate(flow(tmp_path), tmp_path, {"crj": "crc"})


def test_bad_reference_files_leave_nothing(tmp_path: Path, engine: NativeEngine) -> None:
    """A distortion table found wrong at the end of the flow is read at its start."""
    out = tmp_path / "out"
    out.mkdir()
    given = flow(tmp_path)
    (tmp_path / "case_idc.fits").write_bytes(b"no FITS")
    with pytest.raises(ReferenceFileError, match=r"case_idc\.fits"):
        engine.calibrate(given, out, SUFFIXES)
    assert listing(out) == []


@pytest.mark.parametrize(
    ("name", "cards", "left_out"),
    [
        ("flow_both", {"SGEOCORR": PERFORM}, {"No s2c (combined and rectified): SGEOCORR is PERFORM"}),
        (
            "flow_single",
            STRANGE | {"GEOCORR": "OMIT", "PHOTCORR": "OMIT"},
            {"No x2c (rectified): the native engine", "No x1c (extracted spectrum): the", "WAVECORR is PERFORM, but"},
        ),
        (
            "flow_both",
            dict.fromkeys(("DARKCORR", "FLATCORR", "PHOTCORR", "GEOCORR"), "OMIT"),
            {"No flc (single images): EXPSCORR is PERFORM"},
        ),
    ],
)
def test_what_is_not_made_is_said(
    tmp_path: Path, engine: NativeEngine, name: str, cards: dict[str, Any], left_out: set[str]
) -> None:
    """One sentence for each, in the result and in the trailer; what can be made is made."""
    out = tmp_path / "out"
    out.mkdir()
    made = engine.calibrate(flow(tmp_path, name, **cards), out, SUFFIXES)
    assert made.products and len(made.omitted) == len(left_out)
    for start in left_out:
        assert any(sentence.startswith(start) for sentence in made.omitted)
    assert all(sentence in made.trailer for sentence in made.omitted)
    for path in made.products.values():
        assert all(Exposure.read(path).primary.get(key) == PERFORM for key in ("WAVECORR", "X1DCORR") if key in cards)


def test_a_distortion_that_fills_a_place(tmp_path: Path, engine: NativeEngine) -> None:
    """The image is calibrated, and that it is not rectified is said."""
    given = flow(tmp_path)
    with fits.open(tmp_path / "case_idc.fits", mode="update") as hdus:
        hdus[0].header["PEDIGREE"] = "DUMMY"
    made = engine.calibrate(given, tmp_path, SUFFIXES)
    assert list(made.products) == ["crj", "flt"]
    (sentence,) = made.omitted
    assert sentence.startswith("No s2c (combined and rectified): GEOCORR is PERFORM, but the IDCTAB only fills a place")


def test_reject_cosmic_rays(tmp_path: Path, engine: NativeEngine) -> None:
    """The same pixels as in the flow without other steps (which is compared with CalSTIS elsewhere)."""
    given = flow(tmp_path, "flow_only_combined")
    made = engine.calibrate(given, tmp_path, PLAIN)
    combined, _ = reject_cosmic_rays(
        [given], references=References({}), backend=get_backend("numpy"), trailer=Trailer()
    )
    assert combined.primary["CRCORR"] == COMPLETE
    assert np.array_equal(combined.imsets[0].sci, Exposure.read(made.products["crj"]).imsets[0].sci)


# ---- choosing an engine ----------------------------------------------------------------------------------------------


class Other:
    """Stands for CalSTIS's own programs."""

    name = "hstcal"

    def describe(self) -> str:
        return "CalSTIS"

    def supports(self, exposure: StisKeywords) -> list[str]:
        return []

    def references(self, exposure: StisKeywords) -> list[Required]:
        return []

    def subtract_bias(self, raw: Exposure) -> BiasSubtracted:
        raise AssertionError("the native engine does this")

    def calibrate(self, exposure: Exposure, outdir: Path, suffixes: Any) -> Calibrated:
        return Calibrated({}, (), "CalSTIS")


def test_auto_takes_hstcal_for_what_native_cannot_do(engine: NativeEngine) -> None:
    image, spectrum = exposure(**LATE | IMAGE), exposure(**LATE | STRANGE)
    auto = AutoEngine(engine, Other())
    assert auto.choose(image) is engine
    assert auto.calibrate(spectrum, Path(), SUFFIXES).trailer == "CalSTIS"
    assert auto.supports(spectrum) == [] and auto.references(spectrum) == []
    assert "CalSTIS" in auto.describe()


def test_auto_without_hstcal(engine: NativeEngine) -> None:
    """The native engine does what it can, and says what it cannot."""
    auto = AutoEngine(engine, None, "not installed")
    assert auto.choose(exposure(**LATE | STRANGE)) is engine
    assert len(auto.supports(exposure(**LATE | STRANGE))) == 1
    assert auto.describe() == engine.describe()


def test_get_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """By name; hstcal by name is an error where it cannot run, auto goes on without it."""
    backend = get_backend("numpy")
    assert get_engine("native", backend).name == "native"
    with pytest.raises(InputError, match="unknown engine 'calstis'; expected auto, native, hstcal"):
        get_engine("calstis", backend)
    monkeypatch.setattr(hstcal, "available", lambda environment: (False, "cs0.e is not on PATH"))
    with pytest.raises(EngineError, match=r"hstcal.*cs0\.e is not on PATH"):
        get_engine("hstcal", backend)
    assert get_engine("AUTO", backend).describe() == get_engine("native", backend).describe()
    monkeypatch.setattr(hstcal, "available", lambda environment: (True, ""))
    assert get_engine("hstcal", backend).name == "hstcal"


# ---- the golden visit ------------------------------------------------------------------------------------------------


@pytest.mark.golden
@pytest.mark.parametrize("corrected", [True, False], ids=["CTI-corrected", "raw"])
def test_golden_image(golden_visit: Path, tmp_path: Path, corrected: bool) -> None:
    """Oracle: CalSTIS 3.5.0 on the same files: SCI, ERR and DQ to the bit, keywords to the digits stored."""
    folder, name = ("expected/2_cti", "cte") if corrected else ("visit/science", "raw")
    path = golden_visit / folder / f"osy101010_{name}.fits.gz"
    made = calibrated(golden_visit, path, tmp_path, SUFFIXES if corrected else PLAIN)
    assert sorted(made.products) == ["crj", "flt", "sx2"] and made.omitted == ()
    expected = golden_visit / "expected" / ("4_products" if corrected else "5_plain_calstis")
    for path in made.products.values():
        assert differences(path, expected / f"{path.stem}.json", set()) == []


@pytest.mark.golden
@pytest.mark.parametrize("root", ["osy101010", "osy102010", "osy103010"])
def test_golden_bias_subtraction(golden_visit: Path, tmp_path: Path, root: str) -> None:
    """Oracle: CalSTIS 3.5.0's basic2d on the raw files, to the bit."""
    engine = get_engine("native", get_backend("numpy"), References({"oref": str(golden_visit / "visit" / "oref")}))
    made = engine.subtract_bias(Exposure.read(golden_visit / "visit" / "science" / f"{root}_raw.fits.gz"))
    assert "BIASCORR" in made.trailer
    path = made.exposure.write(tmp_path / f"{root}_blt.fits")
    assert differences(path, golden_visit / "expected" / "1_bias" / f"{root}_blt.json", set()) == []
