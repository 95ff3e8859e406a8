"""Spectra extracted from images: the real cs6 recorded, the golden visit, light of known flux, bad data and tables."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from gpucti.backends import get_backend
from gpucti.backends.base import Backend
from gpucti.calibration.base import Trailer
from gpucti.calibration.native import NativeEngine
from gpucti.calibration.reffiles import References
from gpucti.calibration.spectra.x1d.extract import extract
from gpucti.calibration.spectra.x1d.parameters import ExtractOptions
from gpucti.calibration.spectra.x1d.table import ExtractedSpectra
from gpucti.errors import EngineError, InputError, OutputExistsError, ReferenceFileError
from gpucti.io.exposure import Exposure
from support.calstis_files import Array
from support.extraction_cases import (
    CASES,
    COLS,
    FIRST_COL,
    FIRST_ROW,
    LINE,
    MODES,
    ROWS,
    Case,
    displacement,
    input_digest,
)
from support.recorded import extraction

RECORDED = extraction()
NUMPY = get_backend("numpy")
#: Tables that several cases share are read once.
SHARED = References({})


@pytest.fixture(scope="session")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which all cases lie that nobody changes."""
    return tmp_path_factory.mktemp("extraction")


def built(name: str, folder: Path) -> Path:
    """Return the input of a case in the shared folder."""
    path = folder / f"{name}_flt.fits"
    return path if path.exists() else CASES[name].build(folder)


def run(
    path: Path,
    options: ExtractOptions | None = None,
    backend: Backend = NUMPY,
    references: References | None = None,
) -> tuple[ExtractedSpectra, str]:
    """Return the spectra of a file, and what was said."""
    trailer = Trailer()
    made = extract(
        Exposure.read(path),
        references=references or References({}),
        backend=backend,
        trailer=trailer,
        options=options or ExtractOptions(),
    )
    return made, trailer.text


def row(made: ExtractedSpectra, number: int = 0) -> dict[str, Any]:
    """Return the cells of one table."""
    table = made.tables[number]
    return {name: np.asarray(table.data[0][name]) for name in table.columns.names}


def bits(value: Any) -> tuple[str, bytes]:
    """Return type and bits in native byte order."""
    array = np.asarray(value)
    array = array.astype(array.dtype.newbyteorder("="))
    return str(array.dtype), array.tobytes()


@pytest.mark.parametrize("name", CASES)
def test_case(name: str, cases: Path) -> None:
    """Oracle: CalSTIS 3.5.0, recorded: the same bits in every column, the same keywords to the digits stored."""
    case = CASES[name]
    path = built(name, cases)
    assert input_digest(path) == RECORDED[f"{name}/input"].tobytes(), "not the files that CalSTIS was given"
    made, text = run(path, case.chosen, references=SHARED)
    expected = {key.split("/")[1] for key in RECORDED if key.startswith(f"{name}/") and key.count("/") == 2}
    assert {str(table.ver) for table in made.tables} == expected
    assert len(made.failures) == case.images - len(made.tables) and all(each in text for each in made.failures)
    for table in made.tables:
        place = f"{name}/{table.ver}"
        cells = {column: table.data[0][column] for column in table.columns.names}
        differ = [column for column, cell in cells.items() if bits(cell) != bits(RECORDED[f"{place}/{column}"])]
        assert not differ
        for keyword in ("CRSCROFF", "V_HELIO"):
            assert table.header.get(keyword) == RECORDED.get(f"{place}/{keyword}")
        assert table.columns["ERROR"].unit == RECORDED[f"{place}/unit"]
    if made.tables:
        done = sorted(key for key, value in made.primary.items() if value == "COMPLETE")
        assert done == RECORDED[f"{name}/complete"].tolist()


def test_every_case_is_recorded() -> None:
    assert {key.split("/")[0] for key in RECORDED} == set(CASES)


@pytest.mark.parametrize("name", ["plain", "binned_red_cte", "first_fails"])
def test_backends_agree(name: str, backend: Backend, cases: Path) -> None:
    """Oracle: CalSTIS, recorded; on a GPU only the last bit of the search's sums may differ."""
    case = CASES[name]
    made, _ = run(built(name, cases), case.chosen, backend, SHARED)
    for table in made.tables:
        for column in ("WAVELENGTH", "GROSS", "NET", "FLUX", "ERROR", "OFFSET"):
            expected = RECORDED[f"{name}/{table.ver}/{column}"]
            np.testing.assert_allclose(table.data[0][column], expected, rtol=2e-6, atol=1e-20)


# ---- the golden visit ------------------------------------------------------------------------------------------------

PIPELINE = {"flt": "flc", "crj": "crc"}
PRODUCTS = {
    "osy102010_s1c": ("4_products", "expected/2_cti/osy102010_cte", "crj"),
    "osy103010_x1c": ("4_products", "expected/2_cti/osy103010_cte", "flt"),
    "osy102010_sx1": ("5_plain_calstis", "visit/science/osy102010_raw", "crj"),
    "osy103010_x1d": ("5_plain_calstis", "visit/science/osy103010_raw", "flt"),
}
#: Cards that say when, where and by what a file was made.
OWN = {"DATE", "ORIGIN", "FILENAME", "CAL_VER", "HISTORY", "COMMENT", "", "BITPIX"}
#: CalSTIS copies them from the header of the image; a table has no such pixels and no such axes, so ours has none.
OF_THE_IMAGE = {*"NGOODPIX GOODMIN GOODMAX GOODMEAN SNRMIN SNRMAX SNRMEAN WCSAXES".split()}


@pytest.mark.golden
@pytest.mark.parametrize("name", PRODUCTS)
def test_golden(name: str, golden_visit: Path, tmp_path: Path) -> None:
    """Oracle: CalSTIS on the golden visit: every column to the bit, all keywords; the wavecal's shifts are its own."""
    folder, source, kind = PRODUCTS[name]
    refs = tmp_path / "ctirefs"
    refs.mkdir()
    for week in (2, 3):
        stored = golden_visit / "expected" / "3_superdarks" / f"pipeline_d117_{week}_drk.fits.gz"
        shutil.copy(stored, refs / f"d117_{week}_drk.fits.gz")
    environment = {"oref": str(golden_visit / "visit" / "oref"), "ctirefs": str(refs)}
    with fits.open(golden_visit / "expected" / folder / f"{name}.fits") as golden:
        image = _golden_image(golden_visit, source, kind, golden[1].header, environment, tmp_path)
        options = {"references": References(environment), "backend": NUMPY, "trailer": Trailer()}
        path = extract(image, **options).write(tmp_path / "otest_x1d.fits")
        with fits.open(path) as made:
            made.verify("exception")
            assert len(made) == len(golden) == 2
            assert made[0].header["FILENAME"] == "otest_x1d.fits"
            assert made[1].columns.names == golden[1].columns.names
            assert made[1].columns.formats == golden[1].columns.formats
            names = golden[1].columns.names
            assert not [each for each in names if bits(made[1].data[0][each]) != bits(golden[1].data[0][each])]
            for mine, theirs in zip(made, golden, strict=True):
                assert not OF_THE_IMAGE & set(mine.header)
                keys = (set(mine.header) | set(theirs.header)) - OWN - OF_THE_IMAGE - {"X2DCORR", "WAVECORR"}
                assert {key: mine.header.get(key) for key in keys} == {key: theirs.header.get(key) for key in keys}


def _golden_image(
    golden: Path, source: str, kind: str, header: fits.Header, environment: dict[str, str], folder: Path
) -> Exposure:
    """Return the calibrated image, with the shifts that CalSTIS found in the wavecal."""
    exposure = Exposure.read(golden / f"{source}.fits")
    exposure = replace(exposure, path=golden / "visit" / "science" / exposure.path.name.removesuffix(".gz"))
    exposure = exposure.with_imsets(exposure.imsets)
    if exposure.switch("PCTECORR") != "COMPLETE":
        exposure.primary["CTECORR"] = "OMIT"  # as the golden run was told
    exposure.primary.update({"WAVECORR": "OMIT", "X2DCORR": "OMIT", "X1DCORR": "OMIT"})
    made = NativeEngine(NUMPY, References(environment)).calibrate(exposure, folder, PIPELINE)
    image = Exposure.read(made.products[kind])
    image.primary["X1DCORR"] = "PERFORM"
    for name in ("SHIFTA1", "SHIFTA2"):
        image.imsets[0].headers[0][name] = header[name]
    return image


# ---- truth -----------------------------------------------------------------------------------------------------------

PLANCK, LIGHT, AREA, GAIN = 6.6260755e-27, 2.99792458e10, 45238.93416, 1.018
FLAT_BACKGROUND = 20.0
TRUE_FLUX = 3e-13


def _starlight(number: int, sci: Array, err: Array, dq: Array) -> None:
    """A star of constant flux on a flat background: counts by the definition of the sensitivity, all in three rows."""
    middle, step = MODES["G430L", 4300]
    # LINE lies between the lines 470 and 520 (1-based) of the dispersion table.
    bends = [2e-8 * (line - 400) / step for line in (470.0, 520.0)]
    p = (LINE + 1 - 470.0) / 50.0
    bend = (1 - p) * bends[0] + p * bends[1]
    slope = 1 / step - 2 * bend * middle
    constant = 512.0 - slope * middle - bend * middle**2
    pixel = FIRST_COL + np.arange(COLS) + 1.0  # 1-based
    wave = (-slope + np.sqrt(slope**2 - 4 * bend * (constant - pixel))) / (2 * bend)
    per_pixel = 1 / (slope + 2 * bend * wave)
    grid = middle + step * 700.0 * np.linspace(-1, 1, 24)
    response = np.interp(wave, grid, 0.05 + 0.002 * np.arange(24) - 0.00008 * np.arange(24) ** 2)
    sci[:], err[:], dq[:] = FLAT_BACKGROUND, 5.0, 0
    counts = TRUE_FLUX * 300.0 * AREA * response * 0.5 * wave * 1e-8 * per_pixel / (PLANCK * LIGHT) / GAIN
    rows = LINE - FIRST_ROW + displacement(LINE)[FIRST_COL : FIRST_COL + COLS]
    for column, (height, light) in enumerate(zip(rows, counts, strict=True)):
        low = math.floor(height)
        part = height - low
        for at, weight in ((low - 1, 0.25 * (1 - part)), (low, 0.5 - 0.25 * part), (low + 1, 0.25 + 0.25 * part)):
            sci[at, column] += light * weight
        sci[low + 2, column] += light * 0.25 * part


def test_flux_of_a_star(tmp_path: Path) -> None:
    """Oracle: definition of the sensitivity (electrons per photon on the telescope's area): flux in, flux out.

    Half of the light passes the aperture; box and background enclose all light. A parabola through three samples of
    this triangular profile is 0.03 pixel off its centre, which moves wavelengths by 1e-5 of a pixel; the dispersion
    taken from neighbouring wavelengths and single-precision tables allow 1e-5.
    """
    own, cards = {"SHIFTA1": 0.0, "SHIFTA2": 0.0}, {"PCTAB": "N/A", "TDSTAB": "N/A", "HELCORR": "OMIT"}
    case = Case("star", change=_starlight, own=own, cards=cards)
    path = case.build(tmp_path)
    _set_cells(tmp_path / "g430l_apt.fits", THROUGHPUT=0.5)
    _set_cells(tmp_path / "g430l_iac.fits", COEFF1=0.0, COEFF2=0.0)
    _set_cells(tmp_path / "g430l_1dt.fits", DEGPERYR=0.0)
    made, _ = run(path)
    cells = row(made)
    np.testing.assert_allclose(cells["BACKGROUND"], 7 * FLAT_BACKGROUND / 300.0, rtol=1e-6)
    assert float(cells["A2CENTER"]) == pytest.approx(LINE - FIRST_ROW + 1, abs=0.05)
    np.testing.assert_allclose(cells["FLUX"], TRUE_FLUX, rtol=1e-5)
    expected = np.sqrt(7 * 25.0) / 300.0  # seven pixels with an error of 5 counts
    np.testing.assert_allclose(cells["NET_ERROR"], expected, rtol=1e-6)
    np.testing.assert_allclose(cells["ERROR"] / cells["NET_ERROR"], cells["FLUX"] / cells["NET"], rtol=1e-6)


def test_hand_worked_box(tmp_path: Path) -> None:
    """Oracle: by hand. Rows of value 2 ** row, a box from row 48.65 - 0.5 to 51.65 + 0.5 of the straight trace."""

    def powers(number: int, sci: Array, err: Array, dq: Array) -> None:
        sci[:], err[:], dq[:] = np.arange(ROWS)[:, np.newaxis], 2.0, 0
        dq[50, 7] = 64

    case = Case("hand", change=powers, steps=(), own={"SHIFTA2": 0.0}, options={})
    path = case.build(tmp_path)
    _set_cells(tmp_path / "g430l_1dt.fits", A2DISPL=0.0, DEGPERYR=0.0)
    _set_cells(tmp_path / "g430l_apd.fits", OFFSET2=0.0)
    cells = row(run(path, ExtractOptions(extrsize=4.0, a2center=51.0, maxsrch=0, bksmode="off"))[0])
    # Centre 50 (0-based), edges 48 and 52: half of rows 48 and 52, all of 49, 50, 51.
    assert cells["GROSS"][0] == np.float32((0.5 * 48 + 49 + 50 + 51 + 0.5 * 52) / 300)
    assert cells["NET_ERROR"][0] == np.float32(np.float32(math.sqrt(4 * 4.0)) / 300)  # 4 rows of variance 4
    assert cells["DQ"][7] == 64 and not cells["DQ"][:7].any()
    assert not cells["FLUX"].any() and not cells["WAVELENGTH"].any()


def _set_cells(path: Path, **values: Any) -> None:
    with fits.open(path, mode="update") as hdus:
        for name, value in values.items():
            hdus[1].data[name] = value


# ---- what cannot be --------------------------------------------------------------------------------------------------


def test_no_spectrum_is_never_silent(tmp_path: Path) -> None:
    """Where CalSTIS ends with status 0 and no file: an error that says why, and no file."""
    made, text = run(CASES["all_flagged"].build(tmp_path))
    assert not made.tables and "no pixel without flags" in text
    with pytest.raises(EngineError, match=r"no spectrum was extracted.*image set 1.*no pixel without flags"):
        made.write(tmp_path / "otest_x1d.fits")
    assert not (tmp_path / "otest_x1d.fits").exists()


def test_spectrum_off_the_image_is_said(cases: Path) -> None:
    made, text = run(built("centre_beyond", cases), CASES["centre_beyond"].chosen, references=SHARED)
    assert f"lies outside the image in {COLS} of {COLS} columns" in text
    assert not row(made)["GROSS"].any()


def test_file(tmp_path: Path) -> None:
    """FILENAME is the file's own; NEXTEND counts the tables; nothing is replaced unasked; the input is not changed."""
    path = CASES["first_fails"].build(tmp_path)
    before = path.read_bytes()
    made, _ = run(path)
    target = made.write(tmp_path / "otest_x1d.fits.gz")
    with fits.open(target) as hdus:
        hdus.verify("exception")
        assert hdus[0].header["FILENAME"] == "otest_x1d.fits" and hdus[0].header["NEXTEND"] == 1 == len(hdus) - 1
        assert hdus["SCI", 2].columns["WAVELENGTH"].disp == "G25.16" and hdus[1].columns["DQ"].null == -32767
        assert "CRPIX1" not in hdus[1].header and hdus[1].header["SHIFTA2"] == 2.125
    with pytest.raises(OutputExistsError):
        made.write(target)
    made.write(target, overwrite=True)
    assert path.read_bytes() == before


def test_corrected_pixels_are_not_corrected_again(tmp_path: Path) -> None:
    """Oracle: the same file without CTECORR; CTECORR missing would mean PERFORM to CalSTIS."""
    path = CASES["cte"].build(tmp_path)
    with fits.open(path, mode="update") as hdus:
        hdus[0].header["PCTECORR"] = "COMPLETE"
    made, text = run(path)
    assert "CTECORR not done" in text and made.primary["CTECORR"] == "OMIT"
    assert bits(row(made)["FLUX"]) == bits(RECORDED["plain/1/FLUX"])
    with fits.open(path, mode="update") as hdus:
        del hdus[0].header["CTECORR"]
    assert bits(row(run(path)[0])["FLUX"]) == bits(RECORDED["plain/1/FLUX"])
    with pytest.raises(InputError, match="PCTECORR is COMPLETE"):
        run(path, ExtractOptions(ctecorr=True))
    with fits.open(path, mode="update") as hdus:
        del hdus[0].header["PCTECORR"]
    assert bits(row(run(path)[0])["FLUX"]) == bits(RECORDED["cte/1/FLUX"])  # missing means performed


def test_options_overrule_switches(cases: Path) -> None:
    """Oracle: CalSTIS with the same switches in the header."""
    path = built("counts_only", cases)
    everything = ExtractOptions(dispcorr=True, helcorr=True, fluxcorr=True, ctecorr=False)
    assert bits(row(run(path, everything)[0])["FLUX"]) == bits(RECORDED["plain/1/FLUX"])
    assert not row(run(path, ExtractOptions(backcorr=False))[0])["BACKGROUND"].any()


@pytest.mark.parametrize(
    ("cards", "own", "message"),
    [
        ({"OBSTYPE": "IMAGING"}, {}, "OBSTYPE is 'IMAGING'; expected SPECTROSCOPIC"),
        ({"X2DCORR": "COMPLETE"}, {}, "X2DCORR is COMPLETE, the image is rectified"),
        ({"DISPCORR": "OMIT"}, {}, "HELCORR and FLUXCORR without DISPCORR"),
        ({"FLUXCORR": "MAYBE"}, {}, "FLUXCORR is 'MAYBE'"),
        ({"CENWAVE": None}, {}, "CENWAVE is missing"),
        ({"RA_TARG": None}, {}, "RA_TARG is missing"),
        ({}, {"MEANDARK": None}, r"\[SCI,1\]: MEANDARK is missing"),
        ({}, {"NCOMBINE": 0}, "NCOMBINE, CD2_2 are 300.0, 0"),
        ({}, {"EXPTIME": -1.0}, "EXPTIME, NCOMBINE"),
        ({}, {"DISPAXIS": 2}, "DISPAXIS is 2"),
        ({}, {"SHIFTA2": "far"}, "SHIFTA2 is 'far'"),
    ],
)
def test_bad_headers(cards: dict[str, Any], own: dict[str, Any], message: str, cases: Path) -> None:
    path = Case("bad", cards=cards, own=own).build(cases)
    with pytest.raises(InputError, match=message):
        run(path, references=SHARED)
    path.unlink()


@pytest.mark.parametrize(
    ("suffix", "column", "value", "message"),
    [
        ("1dx", "OPT_ELEM", "G140L", r"g430l_1dx.fits: no row for APERTURE = '52X0.2', OPT_ELEM = 'G430L'"),
        ("1dx", "EXTRSIZE", 0.0, "g430l_1dx.fits: EXTRSIZE of row 2 is 0"),
        ("1dx", "BK1SIZE", -3.0, "g430l_1dx.fits: BK1SIZE of row 2 is -3"),
        ("1dx", "BK2OFFST", np.nan, "g430l_1dx.fits: BK2OFFST of row 2 is .*nan"),
        ("1dx", "MAXSRCH", -2, "g430l_1dx.fits: MAXSRCH of row 2 is -2"),
        ("1dx", "NCOEFFBK", 9, "g430l_1dx.fits: NCOEFFBK of row 2 is 9"),
        ("1dx", "XTRACALG", "OPTIMAL", "XTRACALG of row 2 is 'OPTIMAL'"),
        ("1dx", "BACKORD", 7, "BACKORD of row 2 is 7"),
        ("1dt", "NELEM", 1025, "g430l_1dt.fits: NELEM of row 2 is 1025"),
        ("1dt", "A2DISPL", np.nan, "g430l_1dt.fits: A2DISPL of row 2: element 1 is nan"),
        ("1dt", "A2CENTER", 500.0, "g430l_1dt.fits: A2CENTER of rows 1, 2, 3: 500 occurs twice"),
        ("dsp", "NCOEFF", 0, "g430l_dsp.fits: NCOEFF of row 1 is 0"),
        ("iac", "COEFF1", np.inf, "g430l_iac.fits: COEFF1 of row 2: element 1 is inf"),
        ("apd", "APERTURE", "0.2X0.2", "g430l_apd.fits: no row for APERTURE = '52X0.2'"),
        ("pht", "WAVELENGTH", 5.0, "g430l_pht.fits: WAVELENGTH of row 1 does not increase"),
        ("pht", "NELEM", 31, "g430l_pht.fits: WAVELENGTH of row 1 has 30 elements"),
        ("pct", "WAVELENGTH", 5.0, "g430l_pct.fits: WAVELENGTH of row 4 does not increase"),
        ("tds", "TIME", 5.0, "g430l_tds.fits: TIME of row 2 does not increase"),
        ("apt", "THROUGHPUT", np.nan, "g430l_apt.fits: THROUGHPUT of row 3: element 1 is nan"),
    ],
)
def test_bad_tables(suffix: str, column: str, value: Any, message: str, cases: Path, tmp_path: Path) -> None:
    """Errors name table, row and column."""
    path = _plain_copy(cases, tmp_path)
    _set_cells(tmp_path / f"g430l_{suffix}.fits", **{column: value})
    with pytest.raises(ReferenceFileError, match=message):
        run(path)


def _plain_copy(cases: Path, folder: Path) -> Path:
    """Return a copy of the plain case, with tables that may be changed."""
    for path in (built("plain", cases), *cases.glob("g430l_*.fits")):
        shutil.copy(path, folder)
    return folder / "plain_flt.fits"


def test_missing_table(tmp_path: Path) -> None:
    path = CASES["plain"].build(tmp_path)
    (tmp_path / "g430l_1dx.fits").unlink()
    with pytest.raises(ReferenceFileError, match="XTRACTAB names 'g430l_1dx.fits', which is not found"):
        run(path)


def test_dummy_sensitivity(tmp_path: Path) -> None:
    """Oracle: CalSTIS's rules: the counts stay, with their errors, and there is no flux; it is said."""
    path = CASES["plain"].build(tmp_path)
    with fits.open(tmp_path / "g430l_pht.fits", mode="update") as hdus:
        hdus[0].header["PEDIGREE"] = "DUMMY"
    made, text = run(path)
    cells = row(made)
    assert "FLUXCORR not done" in text and made.primary["FLUXCORR"] != "COMPLETE"
    assert not cells["FLUX"].any() and made.tables[0].columns["ERROR"].unit == "Counts/s"
    assert bits(cells["ERROR"]) == bits(cells["NET_ERROR"]) and bits(cells["NET"]) == bits(RECORDED["plain/1/NET"])


def test_dummy_trend(tmp_path: Path) -> None:
    """A TDSTAB that only fills a place is left out, and it is said; cs6 alone of CalSTIS's programs applies it."""
    path = CASES["plain"].build(tmp_path)
    without = replace(CASES["plain"], name="without", cards={"TDSTAB": "N/A"}).build(tmp_path)
    with fits.open(tmp_path / "g430l_tds.fits", mode="update") as hdus:
        hdus[0].header["PEDIGREE"] = "DUMMY"
    made, text = run(path)
    assert "TDSTAB" in text and "PEDIGREE DUMMY" in text
    assert bits(row(made)["FLUX"]) == bits(row(run(without)[0])["FLUX"])
