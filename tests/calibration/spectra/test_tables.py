"""Interpolation, traces, apertures, throughputs and grids: numbers worked by hand, wrong tables."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from scipy.interpolate import CubicSpline

from gpucti.calibration.base import Trailer
from gpucti.calibration.reffiles import HeaderReferences, References
from gpucti.calibration.spectra import interpolate
from gpucti.calibration.spectra.aperture import Slit, aperture_name, read_slit
from gpucti.calibration.spectra.tables import DummyReferenceError, Mode
from gpucti.calibration.spectra.throughput import (
    Curve,
    TimeDependence,
    read_aperture_throughput,
    read_height_factor,
    read_sensitivity,
    read_time_dependence,
)
from gpucti.calibration.spectra.trace import TraceRows, Traces, read_traces
from gpucti.calibration.spectra.x2d.grid import Grid, read_layout
from gpucti.errors import InputError, ReferenceFileError
from gpucti.io.cards import Cards
from gpucti.io.pixelgrid import PixelGrid
from support.calstis_files import primary
from support.spectrum_files import change_cells, reference_tables

MODE = Mode("G430L", 4300)
NODES, VALUES = np.array([1.0, 2.0, 4.0]), np.array([10.0, 20.0, 0.0])
LINEAR = [(0.0, 10, 0), (1.0, 10, 10), (1.25, 12.5, 12.5), (2.0, 20, 20), (3.0, 10, 10), (4.0, 0, 0), (5.0, 0, -10)]


def header(**cards: Any) -> Cards:
    """Return a primary header that names all tables."""
    names = "SDC APDES DISP INANG SPTRC PHOT APER PC TDS".split()
    return Cards(primary(1, **{f"{name}TAB": f"case_{name.lower()}.fits" for name in names} | cards).header, "x")


def named(folder: Path, **cards: Any) -> HeaderReferences:
    """Return the tables in a folder."""
    return HeaderReferences(header(**cards), folder, References({}))


def test_linear() -> None:
    """Oracle: worked by hand; and NumPy's interp."""
    x = [row[0] for row in LINEAR]
    assert interpolate.linear(x, NODES, VALUES).tolist() == [row[1] for row in LINEAR]
    assert interpolate.linear_extrapolated(x, NODES, VALUES).tolist() == [row[2] for row in LINEAR]
    assert interpolate.linear(7.0, NODES[:1], VALUES[:1]) == interpolate.linear_extrapolated(7.0, NODES[:1], VALUES[:1])
    fine = np.linspace(0, 5, 101)
    assert np.allclose(interpolate.linear(fine, NODES, VALUES), np.interp(fine, NODES, VALUES), rtol=1e-14, atol=1e-14)


def test_natural_spline() -> None:
    """Oracle: SciPy's, which solves the same equations in another order, so the last digits may differ."""
    nodes = np.array([0.0, 1.0, 2.5, 3.0, 7.0])
    values = np.array([1.0, -1.0, 4.0, 2.0, 2.5])
    x = np.linspace(-1, 8, 91)
    expected = CubicSpline(nodes, values, bc_type="natural")(x)
    assert np.allclose(interpolate.natural_spline(x, nodes, values), expected, rtol=1e-12, atol=1e-12)
    assert interpolate.natural_spline(1.5, nodes[:2], values[:2]) == -2.0  # two nodes: a line


@pytest.mark.parametrize(
    ("aperture", "proposed", "lamp", "name"),
    [
        ("52X0.2", "52X0.2E1", "NONE", "52X0.2E1"),
        ("52X0.2", "52X0.2E2", "NONE", "52X0.2E2"),
        ("52X0.2", "52X0.2D1", None, "52X0.2D1"),
        ("52X0.2E1", "52X0.2E1", "NONE", "52X0.2E1"),
        ("52X0.2", "52X0.2F1", "NONE", "52X0.2"),
        ("52X0.2", "52X0.2E1", "HITM1", "52X0.2"),
        ("52X0.2", None, "NONE", "52X0.2"),
    ],
)
def test_pseudo_apertures(aperture: str, proposed: str | None, lamp: str | None, name: str) -> None:
    """Oracle: CalSTIS's rule."""
    assert aperture_name(header(APERTURE=aperture, PROPAPER=proposed, SCLAMP=lamp)) == name


def test_aperture(tmp_path: Path) -> None:
    """Oracle: the first row of the table as written; the slit's angle where the table has none."""
    reference_tables(tmp_path)
    made = read_slit(named(tmp_path), "52X0.2")
    assert (made.width, made.offset, made.angle) == ((0.2, 52.0), (-0.0225, 0.045), 0.315)
    assert made.bars == ((-0.7, 0.125), (0.5, 0.08), (9.0, 0.5))
    reference_tables(tmp_path, tilt=0.5)
    assert read_slit(named(tmp_path), "52X0.2").angle == 0.5


def test_traces() -> None:
    """Oracle: worked by hand."""
    made = Traces(np.array([10.0, 20.0]), np.array([[1.0, 2.0, 0.0], [3.0, 4.0, 8.0]]))
    assert made.at([0.0, 10.0, 15.0, 20.0, 30.0])[:, 2].tolist() == [0.0, 0.0, 4.0, 8.0, 8.0]
    assert made.at(12.5).tolist() == [1.5, 2.5, 2.0] and made.at(3.0).tolist() == [1.0, 2.0, 0.0]
    assert not made.straight().displacements.any() and made.displacements.any()
    turned = TraceRows(made, (2, 3), (50000.0, 50000.0), (45.0, 0.0)).on(50000 + 365.25)
    # One year at 45 degrees: minus the distance from the middle element, 2 // 2 = 1; beyond the elements nothing.
    assert np.allclose(turned.displacements, [[2.0, 2.0, 0.0], [3.0, 4.0, 8.0]], rtol=1e-14)
    assert TraceRows(made, (2, 3)).on(99999.0) is made


def test_traces_of_a_table(tmp_path: Path) -> None:
    """Oracle: the table as written: sorted, 0-based, spectral order 1, filled with zeros."""
    reference_tables(tmp_path, rotated=True)
    made = read_traces(named(tmp_path), MODE)
    assert made.traces.lines.tolist() == [488.0, 507.0, 518.0] and made.counts == (1020, 510, 1024)
    assert made.mjd == (52000.0, 50500.5, 51000.0) and made.traces.displacements.shape == (3, 1024)
    assert not made.traces.displacements[1, 510:].any() and not made.on(60000.0).displacements[0, 1020:].any()


def time_dependence(**given: Any) -> TimeDependence:
    """Return a table of one wavelength and three segments."""
    starts, slopes = np.array([51000.0, 52000.0, 53000.0]), np.array([[-1.0], [-2.0], [3.0]])
    table = {"wavelengths": np.array([5000.0]), "times": starts, "slopes": slopes, "ref_time": 50000.0}
    table |= {"intercepts": np.array([[1.0], [0.9], [0.8]]), "ref_temperature": 18.0}
    return TimeDependence(**table | {"temperature_slopes": np.array([0.25])} | given)


@pytest.mark.parametrize(
    ("date", "new", "old"),
    [
        (50000.0, 1.0, 1 + 10 / 365.25),  # before the first time: its slope, backwards
        (51000.0, 1 - 10 / 365.25, 1.0),
        (51999.0, 1 - 19.99 / 365.25, 1 - 9.99 / 365.25),
        (52000.0, 0.9 - 40 / 365.25, 1 - 10 / 365.25),
        (53000.0, 0.8 + 90 / 365.25, 1 - 30 / 365.25),
        (54000.0, 0.8 + 120 / 365.25, 1.0),
    ],
)
def test_sensitivity_with_time(date: float, new: float, old: float) -> None:
    """Oracle: lines worked by hand; digits lost by another order of the sums."""
    assert time_dependence().factors(date, -1.0).values[0] == pytest.approx(new, rel=1e-14)
    assert time_dependence(intercepts=None).factors(date, -1.0).values[0] == pytest.approx(old, rel=1e-14)


def test_sensitivity_with_temperature() -> None:
    """Oracle: 1 + 0.25 * 2; not without a temperature, nor without a reference."""
    assert time_dependence().factors(50000.0, 20.0).values[0] == 1.5
    assert time_dependence(ref_temperature=-1.0).factors(50000.0, 20.0).values[0] == 1.0


def test_curves(tmp_path: Path) -> None:
    """Oracle: the tables as written: first row of the PHOTTAB, last of the APERTAB, MAXHGHT of the PCTAB."""
    reference_tables(tmp_path)
    response = read_sensitivity(named(tmp_path), MODE)
    assert len(response.values) == 8 and response.at(1.0) == response.values[0] == np.float32(0.0125)
    assert response.extrapolated(1.0) < response.values[0]
    assert read_aperture_throughput(named(tmp_path), "52X0.2").at(99999.0) == 0.8125
    trailer = Trailer()
    given: Any = (named(tmp_path), MODE, "52X0.2", trailer)
    whole = read_height_factor(*given)
    assert whole is not None and whole.values[0] == np.float32(1 + 600 / 4096)
    seven, near = read_height_factor(*given, height=7), read_height_factor(*given, height=9, nearest=True)
    assert seven is not None and near is not None and np.array_equal(seven.values, near.values)
    assert trailer.lines == ["PCTAB: no row for EXTRHEIGHT 9, that for 7 is used"]
    assert read_height_factor(*given, height=9) is None and "EXTRHEIGHT 9: no correction" in trailer.lines[-1]
    resampled = whole.resampled(response.wavelengths)
    assert np.array_equal(resampled.wavelengths, response.wavelengths)


@pytest.mark.parametrize("how", ["N/A", "dummy", "no row"])
@pytest.mark.parametrize("keyword", ["PCTAB", "TDSTAB"])
def test_corrections_that_may_lack(tmp_path: Path, how: str, keyword: str) -> None:
    """What is not corrected is said."""
    reference_tables(tmp_path)
    path = tmp_path / f"case_{keyword[:-3].lower()}.fits"
    cards = {keyword: "N/A"} if how == "N/A" else {}
    if how == "dummy":
        fits.setval(path, "PEDIGREE", value="DUMMY")
    if how == "no row":
        change_cells(path, "APERTURE" if keyword == "PCTAB" else "OPT_ELEM", [slice(0, 9)], "NONE")
    trailer = Trailer()
    if keyword == "PCTAB":
        assert read_height_factor(named(tmp_path, **cards), MODE, "52X0.2", trailer) is None
    else:
        assert read_time_dependence(named(tmp_path, **cards), "G430L", trailer) is None
    assert len(trailer.lines) == 1 and keyword in trailer.lines[0] and "no correction" in trailer.lines[0]


def _all(folder: Path) -> None:
    """Read every table."""
    references, trailer = named(folder), Trailer()
    read_slit(references, "52X0.2")
    read_layout(references, MODE, "52X0.2")
    read_traces(references, MODE)
    read_sensitivity(references, MODE)
    read_aperture_throughput(references, "52X0.2")
    read_height_factor(references, MODE, "52X0.2", trailer)
    read_time_dependence(references, "G430L", trailer)


@pytest.mark.parametrize(
    ("name", "column", "row", "value", "message"),
    [
        ("apdes", "APERTURE", slice(0, 5), "NONE", "no row for APERTURE = '52X0.2'"),
        ("apdes", "NBARS", 3, 4, "NBARS of row 4 is 4; expected a whole number, 0 to 3"),
        ("apdes", "WIDTH1", 3, 0.0, r"WIDTH1, WIDTH2 of row 4 are \(0.0, 52.0\)"),
        ("apdes", "BAR2LOCN", 3, math.nan, "BAR2LOCN of row 4 is"),
        ("sdc", "CENWAVE", slice(0, 5), 1, "no row for SPORDER|no row for OPT_ELEM"),
        ("sdc", "CDELT1", 3, 0.0, "CDELT1, CDELT2 of row 4 are"),
        ("sdc", "NPIX2", 3, -1, "NPIX2 of row 4 is -1"),
        ("sdc", "CRPIX1", 3, math.inf, "CRPIX1 of row 4 is"),
        ("sptrc", "NELEM", 0, 1025, "NELEM of row 1 is 1025; expected a whole number, 1 to 1024"),
        ("sptrc", "A2DISPL", 2, [math.nan] * 1024, "A2DISPL of row 3: element 1 is nan"),
        ("sptrc", "A1CENTER", 2, 511.0, "A1CENTER of rows 1, 3, 4 is 511.0, 512.0; expected one value"),
        ("sptrc", "A2CENTER", 2, 519.0, "519 occurs twice"),
        ("phot", "NELEM", 1, 11, "WAVELENGTH of row 2 has 10 elements; the row announces 11"),
        ("phot", "WAVELENGTH", 1, [3.0, 2.0] * 5, r"does not increase \(3 is followed by 2, element 2\)"),
        ("phot", "THROUGHPUT", 1, [math.inf] * 10, "THROUGHPUT of row 2: element 1 is inf"),
        ("phot", "SPORDER", slice(0, 3), 2, "no row for .*SPORDER = 1"),
        ("aper", "WAVELENGTH", 1, [1.0] * 5, "case_aper.fits: WAVELENGTH of row 2 does not increase"),
        ("pc", "NELEM", 4, 1, "NELEM of row 5 is 1"),
        ("pc", "NELEM", 1, 1, "NELEM of row 2 is 1; expected a whole number, 2 to"),
        ("tds", "NT", 1, 4, "TIME of row 2 has 3 elements; the row announces 4"),
        ("tds", "NWL", 1, 6, "WAVELENGTH of row 2 has 5 elements; the row announces 6"),
        ("tds", "TIME", 1, [3.0, 2.0, 1.0], "TIME of row 2 does not increase"),
        ("tds", "SLOPE", 1, [[math.nan] * 5] * 3, "SLOPE of row 2 holds NaN or infinity"),
    ],
)
def test_wrong_cells(tmp_path: Path, name: str, column: str, row: Any, value: Any, message: str) -> None:
    """The message names file, column and row."""
    reference_tables(tmp_path)
    _all(tmp_path)
    path = tmp_path / f"case_{name}.fits"
    change_cells(path, column, [row], value)
    if (name, row) == ("pc", 4):  # not the row in use: "ANY" comes first
        _all(tmp_path)
        return
    with pytest.raises(ReferenceFileError, match=message) as caught:
        _all(tmp_path)
    assert str(path) in str(caught.value)


def test_dummy_tables(tmp_path: Path) -> None:
    """What cannot be done without refuses to be a place holder."""
    for name in ("apdes", "sdc", "sptrc", "phot", "aper"):
        reference_tables(tmp_path)
        fits.setval(tmp_path / f"case_{name}.fits", "PEDIGREE", value="DUMMY")
        with pytest.raises(DummyReferenceError, match=f"case_{name}.fits: the table only fills a place"):
            _all(tmp_path)


def test_maxhght_is_needed(tmp_path: Path) -> None:
    """The keyword stands in the header of the table."""
    reference_tables(tmp_path)
    fits.delval(tmp_path / "case_pc.fits", "MAXHGHT", ext=1)
    with pytest.raises(ReferenceFileError, match=r"case_pc.fits\[1\]: MAXHGHT is missing"):
        _all(tmp_path)


def test_shape_of_the_time_table(tmp_path: Path) -> None:
    """Without TDIM nobody knows where a segment begins."""
    reference_tables(tmp_path)
    with fits.open(tmp_path / "case_tds.fits", mode="update") as hdus:
        for card in [name for name in hdus[1].header if name.startswith("TDIM")]:
            del hdus[1].header[card]
    with pytest.raises(ReferenceFileError, match=r"SLOPE of row 2 has the shape \(1, 15\); expected 3 times and 4"):
        _all(tmp_path)


GRID = Grid((20, 4), (1.0, 10.0), (4000.0, 0.0), (2.0, 0.5), (0.5, 0.5), 511.0)


@pytest.mark.parametrize(
    ("slit", "masked"),
    [
        (Slit("52X2", (2.0, 52.0), (0.0, 0.0)), []),
        (Slit("2X2", (2.0, 2.0), (0.0, 0.0)), [*range(8), *range(14, 20)]),  # 7.5 and 12.5, rounded up, stay
        (Slit("52X2", (2.0, 52.0), (0.0, 0.0), bars=((-2.0, 1.0), (9.0, 1.0))), [5, 6, 7]),
        (Slit("52X2", (2.0, 52.0), (0.0, 0.0), bars=((-5.0, 1.0), (5.0, 2.0))), [0, 1, 18, 19]),
    ],
)
def test_masks(slit: Slit, masked: list[int]) -> None:
    """Oracle: worked by hand; 2 rows an arcsecond, the slit's centre is row 10."""
    dq = np.zeros((20, 4), dtype=np.int16)
    GRID.mask(dq, slit)
    assert np.flatnonzero(dq[:, 0]).tolist() == masked and set(dq[masked].ravel()) <= {8}


def test_grid(tmp_path: Path) -> None:
    """Oracle: worked by hand for an unbinned part of the frame and for 2 x 2 pixels."""
    reference_tables(tmp_path)
    layout = read_layout(named(tmp_path), MODE, "52X0.2")
    assert layout.line == 509.5 and layout.size == (1041, 1033)
    assert read_layout(named(tmp_path), MODE, "52X0.2E1").line == 512.0
    part = layout.scaled(PixelGrid((1.0, 1.0), (-480.0, -490.0)), (40, 56), "x")
    assert part.shape == (49, 73) and part.crpix == (515.25 - 480, 513.75 - 490)
    binned = layout.scaled(PixelGrid((0.5, 0.5), (0.25, 0.25)), (512, 512), "x")
    assert binned.shape == (517, 521) and binned.crpix == (515.25 / 2 - 0.25, 513.75 / 2 - 0.25)  # 516.5 and 520.5
    assert binned.cdelt == (5.5, 0.10156) and binned.plate_scale == (0.10156, 0.10156)
    assert binned.wavelengths[10] == (10 - binned.crpix[0]) * 5.5 + 4300.0
    assert binned.keywords()["CRPIX1"] == binned.crpix[0] + 1 and binned.keywords()["CUNIT1"] == "angstrom"
    with pytest.raises(InputError, match="x: .* would give a rectified image of"):
        layout.scaled(PixelGrid((1.0, 1.0), (0.0, 0.0)), (1, 1024), "x")


def test_curve_of_one_element() -> None:
    """Oracle: a constant."""
    assert Curve(np.array([5.0]), np.array([2.0])).extrapolated([1.0, 9.0]).tolist() == [2.0, 2.0]
