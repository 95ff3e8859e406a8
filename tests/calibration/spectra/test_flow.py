"""Everything that is made of a spectrum, from files to files: the golden visit, and CalSTIS where it is there."""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from gpucti.backends import get_backend
from gpucti.calibration.base import Calibrated
from gpucti.calibration.hstcal import HstcalEngine, available
from gpucti.calibration.native import NativeEngine
from gpucti.calibration.reffiles import References
from gpucti.errors import InputError, OutputExistsError, ReferenceFileError
from gpucti.io.exposure import Exposure
from gpucti.synthetic import Observation, simulate_visit
from support.conditions import require
from support.products import OF_THE_IMAGE, OURS, PLAIN, STORAGE, SUFFIXES, calibrated, differences, same

TABLES = ("sx1", "x1d")


def table_differences(path: Path, expected: Path) -> list[str]:
    """Return how a file of extracted spectra differs from CalSTIS's: columns to the bit, formats, units, keywords."""
    found = []
    with fits.open(path) as ours, fits.open(expected) as theirs:
        if len(ours) != len(theirs):
            return [f"{len(ours) - 1} tables, expected {len(theirs) - 1}"]
        for number, (mine, its) in enumerate(zip(ours, theirs, strict=True)):
            cards = {key: its.header[key] for key in its.header if key and key not in OURS | STORAGE | OF_THE_IMAGE}
            found += [
                f"{number} {key}: {mine.header.get(key)!r}, {value!r}"
                for key, value in cards.items()
                if key not in mine.header or not same(key, mine.header[key], value)
            ]
            extra = set(mine.header) - set(its.header) - OURS - STORAGE - {""}
            found += [f"{number} {key}: not there" for key in sorted(extra)]
            if not number:
                continue
            for column in its.columns:
                twin = mine.columns[column.name]
                kinds = [(c.format, c.unit, c.disp, c.null) for c in (twin, column)]
                if kinds[0] != kinds[1]:
                    found.append(f"{number} {column.name}: {kinds[0]}, {kinds[1]}")
                if not np.array_equal(mine.data[column.name], its.data[column.name]):
                    found.append(f"{number} {column.name}: other values")
    return found


# ---- the golden visit ------------------------------------------------------------------------------------------------


@pytest.mark.golden
@pytest.mark.parametrize(
    ("root", "kinds"), [("osy102010", ["crj", "flt", "sx1", "sx2"]), ("osy103010", ["flt", "x1d", "x2d"])]
)
@pytest.mark.parametrize("corrected", [True, False], ids=["CTI-corrected", "raw"])
def test_golden_spectra(golden_visit: Path, tmp_path: Path, root: str, kinds: list[str], corrected: bool) -> None:
    """Oracle: CalSTIS 3.5.0 on the same files: every pixel and every table cell to the bit, every keyword.

    No tolerance: also WAVELENGTH, which the specification lets differ in its last bits, comes out the same.
    """
    folder, name = ("expected/2_cti", "cte") if corrected else ("visit/science", "raw")
    path = golden_visit / folder / f"{root}_{name}.fits.gz"
    made = calibrated(golden_visit, path, tmp_path, SUFFIXES if corrected else PLAIN)
    assert sorted(made.products) == kinds and made.omitted == ()
    expected = golden_visit / "expected" / ("4_products" if corrected else "5_plain_calstis")
    for kind, path in made.products.items():
        if kind in TABLES:
            assert table_differences(path, expected / path.name) == []
        else:
            assert differences(path, expected / f"{path.stem}.json", set()) == []
        assert fits.getval(path, "FILENAME") == path.name and path.name in made.trailer
        assert fits.getval(path, "CAL_VER").startswith("gpucti ")


# ---- a synthetic visit -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def visit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a visit with one single spectrum, and one split in two."""
    folder = tmp_path_factory.mktemp("spectra") / "visit"
    exposures = [
        Observation("G750M", n_imsets=1, electrons=300.0, row=600.0),
        Observation("G430L", n_imsets=2, aperture="52X0.5", gain=4, electrons=1000.0),
    ]
    simulate_visit(folder, exposures=exposures, darks_per_week=1, weeks=1, device="cpu")
    return folder


def science(visit: Path, folder: Path, number: int, **cards: Any) -> Exposure:
    """Return a raw spectrum of the visit in a folder of its own, with what belongs to it; `cards` change its header."""
    folder.mkdir()
    (raw,) = sorted((visit / "science").glob("*_raw.fits"))[number - 1 : number]
    root = raw.name.partition("_")[0]
    for path in (visit / "science").glob(f"{root[:6]}*"):
        shutil.copy(path, folder)
    given = Exposure.read(folder / raw.name)
    given.primary["CTECORR"] = "OMIT"
    for key, value in cards.items():
        given.primary[key] = value
    return given


def environment(visit: Path) -> dict[str, str]:
    return {"oref": f"{visit / 'oref'}{os.sep}"}


def calibrate(given: Exposure, visit: Path, out: Path, suffixes: dict[str, str] = SUFFIXES) -> Calibrated:
    """Calibrate with the native engine into a new folder."""
    out.mkdir()
    return NativeEngine(get_backend("numpy"), References(environment(visit))).calibrate(given, out, suffixes)


def names(made: Calibrated) -> list[str]:
    return sorted(path.name.split("_")[1] for path in made.products.values())


def omitted_about(made: Calibrated) -> list[str]:
    """Return the beginnings of what was omitted; all of it stands in the trailer."""
    assert all(sentence in made.trailer for sentence in made.omitted)
    return [" ".join(sentence.split()[:2]) for sentence in made.omitted]


def wavecal_path(given: Exposure) -> Path:
    return given.path.parent / given.primary["WAVECAL"]


def test_products(visit: Path, tmp_path: Path) -> None:
    """Names, shifts, and nothing changed that was given."""
    given = science(visit, tmp_path / "in", 2)
    before = {path: path.read_bytes() for path in given.path.parent.iterdir()}
    made = calibrate(given, visit, tmp_path / "out")
    assert names(made) == ["crc.fits", "flc.fits", "s1c.fits", "s2c.fits"] and made.omitted == ()
    assert {path: path.read_bytes() for path in given.path.parent.iterdir()} == before
    assert given.primary["WAVECORR"] == "PERFORM"
    shifts = [Exposure.read(made.products[kind]).imsets[0].headers[2]["SHIFTA1"] for kind in ("crj", "flt", "sx2")]
    # The visit says where the spectrum lies: 1.7 columns off; the lamp's lines are found to a tenth (specification).
    assert shifts == [pytest.approx(1.7, abs=0.1)] * 3
    with fits.open(made.products["sx1"]) as hdus:
        assert len(hdus) == 2 and hdus[0].header["X1DCORR"] == "COMPLETE" and (hdus[1].data["FLUX"][0] > 0).any()


def test_a_table_in_the_way(visit: Path, tmp_path: Path) -> None:
    """Nothing is written if one product exists."""
    given = science(visit, tmp_path / "in", 1)
    out = tmp_path / "out"
    out.mkdir()
    (out / f"{given.rootname}_x1c.fits").touch()
    with pytest.raises(OutputExistsError, match="x1c"):
        NativeEngine(get_backend("numpy"), References(environment(visit))).calibrate(given, out, SUFFIXES)
    assert len(list(out.iterdir())) == 1


@pytest.mark.slow
def test_wavecal_compressed(visit: Path, tmp_path: Path) -> None:
    """The wavecal may lie there as .gz: the same products."""
    plain = science(visit, tmp_path / "plain", 1)
    packed = science(visit, tmp_path / "packed", 1)
    content = gzip.compress(wavecal_path(packed).read_bytes(), compresslevel=1)
    wavecal_path(packed).with_name(f"{wavecal_path(packed).name}.gz").write_bytes(content)
    wavecal_path(packed).unlink()
    first, second = calibrate(plain, visit, tmp_path / "a"), calibrate(packed, visit, tmp_path / "b")
    ours, theirs = (Exposure.read(each.products["x2d"]).imsets[0].sci for each in (first, second))
    assert np.array_equal(ours, theirs) and first.omitted == second.omitted == ()


def test_a_dead_wavecal(visit: Path, tmp_path: Path) -> None:
    """Oracle: CalSTIS: WAVECORR, X2DCORR and X1DCORR are left out; the image is calibrated. Ours says so."""
    given = science(visit, tmp_path / "in", 1)
    dead = Exposure.read(wavecal_path(given))
    dead.primary["TEXPTIME"] = 0.0
    dead.write(wavecal_path(given), overwrite=True)
    made = calibrate(given, visit, tmp_path / "out")
    assert names(made) == ["flc.fits"]
    assert omitted_about(made) == ["WAVECORR is", "No x2c", "No x1c"]
    assert all("its total exposure time is zero" in sentence for sentence in made.omitted)
    assert Exposure.read(made.products["flt"]).primary["WAVECORR"] == "PERFORM"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("keyword", "row", "products", "about"),
    [
        ("LAMPTAB", False, ["flc.fits"], ["WAVECORR is", "No x2c", "No x1c"]),
        ("LAMPTAB", True, ["flc.fits"], ["WAVECORR is", "No x2c", "No x1c"]),
        ("WCPTAB", False, ["flc.fits", "x1c.fits", "x2c.fits"], []),
        ("APDESTAB", True, ["flc.fits"], ["WAVECORR is", "No x2c", "No x1c"]),
        ("SDCTAB", False, ["flc.fits"], ["WAVECORR is", "No x2c", "No x1c"]),
        ("XTRACTAB", True, ["flc.fits", "x2c.fits"], ["No x1c"]),
    ],
)
def test_tables_that_fill_a_place(
    visit: Path, tmp_path: Path, keyword: str, row: bool, products: list[str], about: list[str]
) -> None:
    """Oracle: what CalSTIS makes where PEDIGREE of a table or row is DUMMY (it then fails, or is silent)."""
    given = science(visit, tmp_path / "in", 1)
    table = visit / "oref" / given.primary[keyword].partition("$")[2]
    with fits.open(table) as hdus:
        if row:
            hdus[1].data["PEDIGREE"][:] = "DUMMY"
        else:
            hdus[0].header["PEDIGREE"] = "DUMMY"
        hdus.writeto(given.path.parent / "dummy.fits")
    given.primary[keyword] = "dummy.fits"
    made = calibrate(given, visit, tmp_path / "out")
    assert names(made) == products and omitted_about(made) == about


def test_no_spectrum_found(visit: Path, tmp_path: Path) -> None:
    """Oracle: CalSTIS makes no x1d and ends with success; ours says why there is none."""
    given = science(visit, tmp_path / "in", 1, WAVECORR="OMIT", X2DCORR="OMIT")
    (imset,) = given.imsets
    imset.headers[0]["SHIFTA2"] = 5000.0  # far beside the detector
    made = calibrate(given, visit, tmp_path / "out")
    assert names(made) == ["flc.fits"]
    (sentence,) = made.omitted
    assert sentence.startswith("No x1c (extracted spectrum): No spectrum from image set 1: ")


@pytest.mark.parametrize(
    ("cards", "products"),
    [
        ({"WAVECAL": "N/A"}, ["flc.fits", "x1c.fits", "x2c.fits"]),
        ({"X2DCORR": "OMIT", "X1DCORR": "OMIT"}, ["flc.fits"]),
        ({"X2DCORR": "OMIT"}, ["flc.fits", "x1c.fits"]),
        ({"X1DCORR": "OMIT", "FLUXCORR": "OMIT"}, ["flc.fits", "x2c.fits"]),
    ],
)
def test_flows(visit: Path, tmp_path: Path, cards: dict[str, Any], products: list[str]) -> None:
    """Oracle: the products of CalSTIS's cs0."""
    made = calibrate(science(visit, tmp_path / "in", 1, **cards), visit, tmp_path / "out")
    assert names(made) == products and made.omitted == ()
    if "WAVECAL" in cards:
        assert "WAVECAL is N/A" in made.trailer


@pytest.mark.parametrize(
    ("cards", "error", "message"),
    [
        ({"WAVECAL": "none_wav.fits"}, ReferenceFileError, r"are missing: WAVECAL \(none_wav\.fits\)"),
        ({"WAVECAL": " "}, ReferenceFileError, r"are missing: WAVECAL \(blank\)"),
        ({"CENWAVE": 9336}, InputError, "expected a wavecal of the same mode"),
        ({"LAMPTAB": "oref$none.fits"}, ReferenceFileError, r"are missing: LAMPTAB \(oref\$none\.fits\)"),
    ],
)
def test_wavecals_that_stop_the_work(
    visit: Path, tmp_path: Path, cards: dict[str, Any], error: type[Exception], message: str
) -> None:
    """Oracle: CalSTIS stops there too; ours before anything is written."""
    given = science(visit, tmp_path / "in", 1, **cards)
    with pytest.raises(error, match=message):
        calibrate(given, visit, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_damaged_wavecal(visit: Path, tmp_path: Path) -> None:
    given = science(visit, tmp_path / "in", 1)
    wavecal_path(given).write_bytes(wavecal_path(given).read_bytes()[:50_000])
    with pytest.raises(InputError, match=r"_wav\.fits"):
        calibrate(given, visit, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


# ---- CalSTIS itself --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 2])
def test_same_as_hstcal(visit: Path, tmp_path: Path, number: int) -> None:
    """Oracle: cs0.e, where it is on the PATH: every pixel, every table cell, every keyword but dates and versions."""
    runs, detail = available()
    if not runs:
        require("GPUCTI_REQUIRE_HSTCAL", detail)
    given = science(visit, tmp_path / "in", number)
    ours = calibrate(given, visit, tmp_path / "native", PLAIN)
    (tmp_path / "hstcal").mkdir()
    theirs = HstcalEngine(References(environment(visit))).calibrate(given, tmp_path / "hstcal", PLAIN)
    assert ours.products.keys() == theirs.products.keys() and ours.omitted == ()
    for kind, path in ours.products.items():
        other = theirs.products[kind]
        if kind in TABLES:
            assert table_differences(path, other) == []
            continue
        mine, its = Exposure.read(path), Exposure.read(other)
        for first, second in zip(mine.imsets, its.imsets, strict=True):
            for array, twin in ((first.sci, second.sci), (first.err, second.err), (first.dq, second.dq)):
                assert np.array_equal(array, twin)
            for header, like in zip(first.headers, second.headers, strict=True):
                keys = set(header) | set(like)
                other_cards = {k for k in keys - OURS - STORAGE - {""} if not same(k, header.get(k), like.get(k))}
                assert not other_cards
