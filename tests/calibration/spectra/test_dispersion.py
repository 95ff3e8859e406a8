"""The dispersion relation and the incidence angle: numbers worked by hand, properties, wrong tables."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from gpucti.calibration.base import Trailer
from gpucti.calibration.reffiles import HeaderReferences, References
from gpucti.calibration.spectra.dispersion import (
    Dispersion,
    IncidenceAngle,
    evaluate,
    invert,
    read_dispersion,
    read_incidence_angle,
    slope,
)
from gpucti.calibration.spectra.tables import DummyReferenceError, Mode
from gpucti.errors import ReferenceFileError
from gpucti.io.cards import Cards
from support.calstis_files import primary
from support.spectrum_files import GRATINGS, change_cells, polynomial, reference_tables

MODE = Mode("G430L", 4300)


def relation(*rows: tuple[float, list[float]]) -> Dispersion:
    """Return a dispersion relation of (line, coefficients)."""
    coefficients = np.array([[*values, *[0.0] * (9 - len(values))] for _, values in rows])
    counts = np.array([len(values) for _, values in rows])
    return Dispersion(np.array([line for line, _ in rows]), coefficients, counts, "52X0.1")


def read(folder: Path, reader: Any) -> Any:
    """Read from tables in a folder."""
    header = primary(1, DISPTAB="case_disp.fits", INANGTAB="case_inang.fits").header
    return reader(HeaderReferences(Cards(header, "x"), folder, References({})), MODE)


def test_every_term() -> None:
    """Oracle: c0 + c1 L + c2 L^2 + c3 + c4 L + c5 L + c6 L^2 + c7 L^3 + c8 - 1 at L = 10, worked by hand."""
    c = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0])
    assert evaluate(c, np.array([10.0]))[0] == 1 + 20 + 300 + 4 + 50 + 60 + 700 + 8000 + 9 - 1
    assert slope(c, np.array([10.0]))[0] == 2 + 60 + 5 + 6 + 140 + 2400


def test_many_lines_and_wavelengths_at_once() -> None:
    """Oracle: the same, one by one."""
    c = np.array([[1.0, 0.5, 0, 0, 0, 0, 0, 0, 0], [2.0, 0.25, 0.001, 0, 0, 0, 0, 0, 0]])
    x = np.array([100.0, 200.0, 300.0])
    assert np.array_equal(evaluate(c, x), [evaluate(row, x) for row in c])
    assert np.array_equal(evaluate(c, x)[0], [50.0, 100.0, 150.0])


@pytest.mark.parametrize("grating", GRATINGS)
def test_inverse(grating: str) -> None:
    """Oracle: the relation itself; Newton's last step is far shorter than 0.001 Angstrom."""
    middle, step = GRATINGS[grating]
    c = np.array(polynomial(grating, 0.0, terms=9))
    pixels = np.arange(1024.0)
    found = invert(c, pixels, middle)
    assert np.abs(evaluate(c, found) - pixels).max() < 1e-6 / step  # quadratic: an error below (0.001 Angstrom)^2
    assert (np.diff(found) > 0).all() and abs(found[507] - middle) < 3 * step  # the centre is pixel 508


def test_inverse_takes_one_step_at_least() -> None:
    """Oracle: for a straight line the first step is exact."""
    c = np.array([1.0, 0.5, 0, 0, 0, 0, 0, 0, 0])
    assert invert(c, [25.0], 50.0004)[0] == 50.0  # closer than the tolerance from the beginning


@pytest.mark.parametrize("coefficients", [[5.0], [5.0, 0.0, 1.0], [math.inf, 1.0]])
def test_no_inverse(coefficients: list[float]) -> None:
    """A slope of zero, no such pixel, no numbers."""
    c = np.array([*coefficients, *[0.0] * (9 - len(coefficients))])
    with pytest.raises(ReferenceFileError, match="cannot be inverted at pixel -20 from 4300 Angstrom"):
        invert(c, [-20.0], 4300.0)


def test_between_lines() -> None:
    """Oracle: halves and quarters; outside, and on a line of the table, the nearest row without change."""
    made = relation((0.0, [1.0, 2.0]), (4.0, [3.0, 6.0, 8.0]))
    coefficients, counts = made.at([-7.0, 0.0, 1.0, 2.0, 4.0, 5.0])
    assert coefficients[:, 0].tolist() == [1.0, 1.0, 1.5, 2.0, 3.0, 3.0]
    assert coefficients[:, 2].tolist() == [0.0, 0.0, 2.0, 4.0, 8.0, 8.0]
    assert counts.tolist() == [2, 2, 3, 3, 3, 3]
    one, count = made.at(2.0)
    assert one.tolist() == coefficients[3].tolist() and count == 3


def test_incidence_angle() -> None:
    """Oracle: worked by hand; the coefficient that the relation does not have, and the third of COEFF2, are left."""
    angle = IncidenceAngle(np.array([10.0, 1.0, 100.0]), np.array([2.0, 3.0, 1000.0]))
    coefficients, counts = relation((0.0, [1.0, 2.0])).at([5.0])
    trailer = Trailer()
    made = angle.adjust(coefficients, counts, 0.5, 0.25, trailer)
    assert made[0, :3].tolist() == [1 + 5 + 1 + 0.75 + 0.25, 2.5, 0.0]
    assert coefficients[0, 0] == 1.0
    assert "INANGTAB has 3 coefficients, DISPTAB 2" in trailer.text and "only two are used" in trailer.text


def test_rows_are_sorted_and_the_last_angle_counts(tmp_path: Path) -> None:
    """Oracle: the tables as they were written, 1-based."""
    reference_tables(tmp_path)
    made, angle = read(tmp_path, read_dispersion), read(tmp_path, read_incidence_angle)
    assert made.lines.tolist() == [494.0, 511.0, 522.0] and made.counts.tolist() == [3, 8, 8]
    assert made.ref_aper == "52X0.1" and made.history[0] == "  DISPTAB case_disp.fits"
    assert angle.first.tolist() == [19.6, 0.00002, 1e-9] and angle.second.tolist() == [0.125, -7.5]


@pytest.mark.parametrize(
    ("name", "column", "row", "value", "message"),
    [
        ("disp", "NCOEFF", 3, 0, "NCOEFF of row 4 is 0; expected a whole number, 1 to 9"),
        ("disp", "NCOEFF", 3, 10, "NCOEFF of row 4 is 10"),
        ("disp", "COEFF", 2, [math.nan] * 10, "COEFF of row 3: element 1 is nan"),
        ("disp", "A2CENTER", 2, 495.0, "A2CENTER of rows 3, 4, 5: 495 occurs twice"),
        ("disp", "A2CENTER", 2, math.inf, "A2CENTER of row 3 is"),
        ("disp", "REF_APER", 4, "52X2", "REF_APER of rows 3, 4, 5 is 52X0.1, 52X2; expected one aperture"),
        ("disp", "CENWAVE", slice(0, 5), 9, "no row for OPT_ELEM = 'G430L', CENWAVE = 4300"),
        ("inang", "NCOEFF1", 1, 11, "COEFF1 of row 2 has 10 elements; the row announces 11"),
        ("inang", "NCOEFF2", 0, -1, ""),
        ("inang", "NCOEFF2", 1, 5, "COEFF2 of row 2 has 4 elements; the row announces 5"),
        ("inang", "SPORDER", slice(0, 3), 2, "no row for .*SPORDER = 1"),
    ],
)
def test_wrong_cells(tmp_path: Path, name: str, column: str, row: Any, value: Any, message: str) -> None:
    """A row that is not used may hold anything."""
    reference_tables(tmp_path)
    path = tmp_path / f"case_{name}.fits"
    change_cells(path, column, [row], value)
    reader = read_dispersion if name == "disp" else read_incidence_angle
    if not message:
        read(tmp_path, reader)
        return
    with pytest.raises(ReferenceFileError, match=message) as caught:
        read(tmp_path, reader)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("whole_table", [True, False])
@pytest.mark.parametrize(("name", "reader"), [("disp", read_dispersion), ("inang", read_incidence_angle)])
def test_dummies(tmp_path: Path, name: str, reader: Any, whole_table: bool) -> None:
    """PEDIGREE of the file, or of a row, is DUMMY."""
    reference_tables(tmp_path)
    path = tmp_path / f"case_{name}.fits"
    if whole_table:
        fits.setval(path, "PEDIGREE", value="DUMMY 1/1/2000")
    else:
        with fits.open(path) as hdus:
            table = hdus[1].copy()
            first = hdus[0].copy()
        pedigree = fits.Column(name="PEDIGREE", format="20A", array=np.array(["DUMMY"] * len(table.data)))
        extended = fits.BinTableHDU.from_columns([*table.columns, pedigree])
        fits.HDUList([first, extended]).writeto(path, overwrite=True)
    with pytest.raises(DummyReferenceError, match="the table only fills" if whole_table else "row . only fills"):
        read(tmp_path, reader)


@pytest.mark.parametrize(("name", "column"), [("disp", "COEFF"), ("disp", "REF_APER"), ("inang", "NCOEFF2")])
def test_missing_columns(tmp_path: Path, name: str, column: str) -> None:
    """The message names the file and the column."""
    reference_tables(tmp_path)
    path = tmp_path / f"case_{name}.fits"
    with fits.open(path) as hdus:
        kept = fits.BinTableHDU.from_columns([each for each in hdus[1].columns if each.name != column])
        fits.HDUList([hdus[0].copy(), kept]).writeto(path, overwrite=True)
    with pytest.raises(ReferenceFileError, match=f"case_{name}.fits: column {column} is missing"):
        read(tmp_path, read_dispersion if name == "disp" else read_incidence_angle)
