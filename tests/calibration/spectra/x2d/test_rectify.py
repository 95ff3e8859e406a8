"""Rectified spectra: the real CalSTIS's bits, what physics demands, and what is said of wrong input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from gpucti.backends import get_backend
from gpucti.calibration.base import Trailer
from gpucti.calibration.reffiles import References
from gpucti.calibration.spectra.dispersion import evaluate
from gpucti.calibration.spectra.x2d.rectify import RectificationTables, rectify
from gpucti.errors import InputError, ReferenceFileError
from gpucti.io.exposure import Exposure
from gpucti.io.pixelgrid import PixelGrid
from support.calstis_files import COLS, ROWS
from support.products import PLAIN, SUFFIXES, calibrated, differences
from support.recorded import calstis
from support.rectify_cases import CASES, input_digest, summary
from support.spectrum_files import CENTRE_X, CENTRE_Y, GRATINGS, change_cells, image, reference_tables, spectrum
from support.summaries import compare

RECORDED = calstis("rectified")


def rectified(path: Path, *switches: str, trailer: Trailer | None = None, **given: Any) -> Exposure:
    """Return the rectified spectrum of a file; switches: flux, hel."""
    return rectify(
        Exposure.read(path),
        references=References({}),
        backend=get_backend("numpy"),
        trailer=trailer or Trailer(),
        fluxcorr="flux" in switches,
        helcorr="hel" in switches,
        **given,
    )


def test_every_case_is_recorded() -> None:
    """The recording belongs to the cases."""
    assert list(RECORDED) == list(CASES)


@pytest.mark.parametrize("name", CASES)
def test_case(name: str, tmp_path: Path) -> None:
    """Oracle: CalSTIS 3.5.0's cs7, recorded: the same bits in SCI, ERR and DQ, the same keywords."""
    case = CASES[name]
    made = rectified(case.build(tmp_path), *case.switches)
    if name == "wavecal":
        assert made.primary["HELCORR"] == "PERFORM"  # nothing was done; CalSTIS writes COMPLETE
        made.primary["HELCORR"] = "COMPLETE"
    imsets = [([each.sci, each.err, each.dq], list(each.headers)) for each in made.imsets]
    differences = compare(summary(made.primary, imsets), RECORDED[name]["output"], name)
    assert not differences, "\n".join(differences)


def test_inputs_are_those_of_the_recording(tmp_path: Path) -> None:
    """Oracle: the recording; the pixels come from a stream of whole numbers that NumPy keeps."""
    for name in ("G430L", "G230MB"):
        (tmp_path / name).mkdir()
        assert input_digest(CASES[name].build(tmp_path / name)) == RECORDED[name]["inputs"]


# ---- what must be so -------------------------------------------------------------------------------------------------


def scene(folder: Path, sci: Any, grating: str = "G430L", **own: Any) -> Path:
    """Write a spectrum of given pixels, errors of 2 and no flags, without shifts, and its tables."""
    path = spectrum(folder, grating, 1, {"SHIFTA1": 0.0, "SHIFTA2": 0.0, **own}, **reference_tables(folder, grating))
    with fits.open(path, mode="update") as hdus:
        hdus["SCI", 1].data = sci.astype(np.float32)
        hdus["ERR", 1].data = np.full(sci.shape, 2, dtype=np.float32)
        hdus["DQ", 1].data = np.zeros(sci.shape, dtype=np.int16)
    return path


def test_a_flat_scene_stays_flat(tmp_path: Path) -> None:
    """Oracle: values are samples, and errors are not made smaller; weights are rounded to single precision."""
    made = rectified(scene(tmp_path, image(100.0))).imsets[0]
    on = made.sci != 0
    assert 0.5 < on.mean() < 1 and np.abs(made.sci[on] - 100).max() < 1e-4 and np.abs(made.err[on] - 2).max() < 1e-5
    assert (made.dq[~on] & 4 == 4).all() and not (made.dq[on] & 4).any()


@pytest.mark.parametrize("grating", ["G230LB", "G750M"])
@pytest.mark.parametrize("shift", [0.0, 3.25])
def test_a_line_lands_at_its_wavelength(tmp_path: Path, grating: str, shift: float) -> None:
    """Oracle: the dispersion relation; the line is put where it says, and SHIFTA1 says how far it strayed.

    A tenth of a pixel: linear interpolation of a curved profile, and a line bent by less than that between the rows.
    """
    middle, step = GRATINGS[grating]
    wavelength = middle + 4.6 * step
    columns, rows = np.arange(COLS) - (COLS / 2 - CENTRE_X), np.arange(ROWS) - (ROWS / 2 - CENTRE_Y)
    path = scene(tmp_path, image(), grating, SHIFTA1=shift, SHIFTA2=0.0)
    exposure = Exposure.read(path)
    tables = RectificationTables.read(References({}).of(exposure))
    coefficients, counts = tables.dispersion.at(rows - tables.slit.offset[1] / 0.05078)
    coefficients = tables.incidence.adjust(coefficients, counts, tables.delta, shift)
    place = evaluate(coefficients, np.array([wavelength]))
    with fits.open(path, mode="update") as hdus:
        hdus["SCI", 1].data = (1000 * np.exp(-((columns - place) ** 2) / 4.5)).astype(np.float32)
    made = rectified(path).imsets[0]
    grid = tables.layout.scaled(PixelGrid.of(exposure.sci_cards[0]), (ROWS, COLS), "")
    good = (made.dq == 0).all(axis=1) | ((made.sci.max(axis=1) > 900) & ((made.dq & 8) == 0).all(axis=1))
    assert good.sum() > 20
    centre = (made.sci * grid.wavelengths).sum(axis=1)[good] / made.sci.sum(axis=1)[good]
    assert np.abs(centre - wavelength).max() < 0.1 * step


def test_heliocentric_grid(tmp_path: Path) -> None:
    """Oracle: the header's grid is the same; what lies on it is what has the observed wavelength on the other."""
    path = scene(tmp_path, image() + 20 * np.arange(COLS))
    plain, moved = (rectified(path, *switches).imsets[0] for switches in ((), ("hel",)))
    velocity = moved.headers[0]["V_HELIO"]
    on = (plain.dq == 0) & (moved.dq == 0)
    slope = np.gradient(plain.sci, axis=1)
    shift = 4300 * velocity / 299792.458 / 2.75  # columns; the scene rises by 20 a column
    assert abs(velocity) > 5 and plain.headers[0]["CRVAL1"] == moved.headers[0]["CRVAL1"] == 4300.0
    assert np.median((moved.sci - plain.sci)[on] / slope[on]) == pytest.approx(shift, rel=0.02)


def test_flux_of_a_diffuse_source(tmp_path: Path) -> None:
    """Oracle: I = counts * gain * h c / (area * t * dispersion * scale * width * throughput * wavelength)."""
    path = scene(tmp_path, image(100.0), OCCDHTAV=None)
    (tmp_path / "case_tds.fits").unlink()
    fits.setval(path, "TDSTAB", value="N/A")
    made = rectified(path, "flux").imsets[0]
    wavelength = 4300 + 2.75 * (np.arange(73) - (515.25 - 480))
    nodes = [4300 + 2.75 * at for at in (-60, -31, -11, -4.5, 3, 8.25, 19, 27)]
    response = np.interp(wavelength, nodes, (0.0125, 0.03, 0.0625, 0.058, 0.07, 0.066, 0.05, 0.02))
    photons = 100.0 * 1.015 / (45238.93416 * 300.0 * 2.75 * 0.05078 * 0.2)
    expected = photons * 6.6260755e-27 * 29979245800.0 / (response * wavelength * 1e-8)
    on = made.dq == 0
    assert on.any() and np.abs(made.sci / expected - 1)[on].max() < 1e-5
    assert made.headers[0]["BUNIT"] == made.headers[1]["BUNIT"] == "erg /s /cm**2 /angstrom /arcsec**2"


def test_inputs_stay_as_they_are(tmp_path: Path) -> None:
    """An exposure in memory is not changed."""
    given = Exposure.read(CASES["G430L"].build(tmp_path))
    before = Exposure.read(given.path)
    rectify(
        given,
        references=References({}),
        backend=get_backend("numpy"),
        trailer=Trailer(),
        fluxcorr=True,
        helcorr=True,
    )
    assert given.primary == before.primary and given.imsets[0].headers[0] == before.imsets[0].headers[0]
    assert np.array_equal(given.imsets[0].sci, before.imsets[0].sci)
    assert np.array_equal(given.imsets[0].dq, before.imsets[0].dq)


# ---- what is said ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("beside", "the whole rectified image lies beside the detector; SHIFTA1, 2 (-9999.0, -9999.0)"),
        ("no_exposure", "[SCI,2]: EXPTIME is 0, the image set stays in counts"),
        ("no_throughput", "columns, which stay in counts"),
        ("no_height_table", "No PCTAB"),
        ("dummy_sensitivity", "FLUXCORR skipped: PHOTTAB or APERTAB only fill a place"),
        ("straightened", "straightened before, by wx2d"),
    ],
)
def test_trailer(tmp_path: Path, name: str, words: str) -> None:
    """Whoever reads the trailer knows what was not done."""
    trailer, case = Trailer(), CASES[name]
    made = rectified(case.build(tmp_path), *case.switches, trailer=trailer)
    assert words in trailer.text and "X2DCORR complete" in trailer.text
    history = [str(line) for line in made.primary["HISTORY"]]
    assert history[:2] == ["X2DCORR complete", "  SDCTAB case_sdc.fits"]


def test_without_a_wavelength_calibration(tmp_path: Path) -> None:
    """Only a remark, as in CalSTIS; not for a wavecal."""
    trailer, path = Trailer(), scene(tmp_path, image())
    fits.setval(path, "WAVECORR", value="OMIT")
    rectified(path, trailer=trailer)
    assert "WAVECORR is not COMPLETE: the spectrum may be shifted" in trailer.lines
    fits.setval(path, "ASN_MTYP", value="AUTO-WAVECAL", ext=("SCI", 1))
    rectified(path, trailer=(quiet := Trailer()))
    assert "shifted" not in quiet.text


@pytest.mark.parametrize(
    ("own", "cards", "message"),
    [
        ({"DISPAXIS": 2}, {}, "DISPAXIS is 2; expected 1"),
        ({"EXPTIME": -1.0}, {}, "EXPTIME is -1.0; expected seconds"),
        ({"EXPSTART": None}, {}, "EXPSTART is missing"),
        ({"LTM1_1": 0.0}, {}, r"\[SCI,1\]: LTM is \(0.0, 1.0\)"),
        ({"SHIFTA1": "x"}, {}, "SHIFTA1 is 'x'; expected a number"),
        ({"ASN_MTYP": 3}, {}, "ASN_MTYP is 3; expected text"),
        ({}, {"CENWAVE": None}, "CENWAVE is missing"),
        ({}, {"APERTURE": None}, "APERTURE is missing"),
        ({}, {"RA_TARG": None}, "RA_TARG is missing"),
        ({}, {"DISPTAB": "N/A"}, "DISPTAB is 'N/A', and the file is needed"),
        ({}, {"SDCTAB": None}, "SDCTAB is missing, and the file is needed"),
        ({}, {"PHOTTAB": "none.fits"}, "PHOTTAB names 'none.fits', which is not found"),
        ({}, {"PCTAB": "none.fits"}, "PCTAB names 'none.fits', which is not found"),
        ({}, {"CENWAVE": 4999}, "no row for"),
        ({}, {"APERTURE": "6X6", "PROPAPER": "6X6"}, "case_apdes.fits: no row for APERTURE = '6X6'"),
        ({}, {"PROPAPER": "52X0.2D1"}, "case_apdes.fits: no row for APERTURE = '52X0.2D1'"),
        ({}, {"SPTRCTAB": "case_disp.fits"}, "case_disp.fits: column SPORDER is missing"),
    ],
)
def test_wrong_headers(tmp_path: Path, own: dict[str, Any], cards: dict[str, Any], message: str) -> None:
    """One error that says where."""
    path = spectrum(tmp_path, "G430L", 1, own, **reference_tables(tmp_path) | cards)
    with pytest.raises((InputError, ReferenceFileError), match=message):
        rectified(path, "flux", "hel")


def test_infinite_flux(tmp_path: Path) -> None:
    """A TDSTAB that says that nothing is left of the sensitivity."""
    path = scene(tmp_path, image())
    change_cells(tmp_path / "case_tds.fits", "SLOPE", [1], np.zeros((3, 5)))
    change_cells(tmp_path / "case_tds.fits", "INTERCEPT", [1], np.zeros((3, 5)))
    with pytest.raises(ReferenceFileError, match="infinite fluxes; look for zeros in PHOTTAB case_phot.fits, APERTAB"):
        rectified(path, "flux")


# ---- the golden visit ------------------------------------------------------------------------------------------------


@pytest.mark.golden
@pytest.mark.parametrize(("root", "kind", "made"), [("osy102010", "crj", "sx2"), ("osy103010", "flt", "x2d")])
@pytest.mark.parametrize("corrected", [True, False], ids=["CTI-corrected", "raw"])
def test_golden_rectified(golden_visit: Path, tmp_path: Path, root: str, kind: str, made: str, corrected: bool) -> None:
    """Oracle: CalSTIS 3.5.0: SCI, ERR and DQ to the bit, keywords to the digits stored; its own shifts are given."""
    folder, name = ("expected/2_cti", "cte") if corrected else ("visit/science", "raw")
    suffixes = SUFFIXES if corrected else PLAIN
    products = calibrated(golden_visit, golden_visit / folder / f"{root}_{name}.fits.gz", tmp_path, suffixes).products
    recorded = golden_visit / "expected" / ("4_products" if corrected else "5_plain_calstis")
    recorded /= f"{root}_{suffixes[made]}.json"
    cards = dict(json.loads(recorded.read_text(encoding="utf-8"))[1]["header"])
    given = Exposure.read(products[kind])
    given.primary["WAVECORR"] = "COMPLETE"
    for header in given.imsets[0].headers:
        header.update({key: cards[key] for key in ("SHIFTA1", "SHIFTA2")})
    spectrum_of = rectify(
        given,
        references=References({"oref": str(golden_visit / "visit" / "oref"), "ctirefs": str(tmp_path)}),
        backend=get_backend("numpy"),
        trailer=Trailer(),
        fluxcorr=True,
        helcorr=True,
    )
    (tmp_path / "out").mkdir()
    written = spectrum_of.write(tmp_path / "out" / f"{root}_{suffixes[made]}.fits")
    assert differences(written, recorded, set()) == []
