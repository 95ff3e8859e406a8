"""Sensitivities: worked by hand, and as tables have them; corrections that may lack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from gpucti.calibration.base import Trailer
from gpucti.calibration.spectra.tables import Mode
from gpucti.calibration.spectra.throughput import (
    Curve,
    TimeDependence,
    read_aperture_throughput,
    read_height_factor,
    read_sensitivity,
    read_time_dependence,
)
from support.spectrum_files import change_cells, named_tables, reference_tables

MODE = Mode("G430L", 4300)


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
    response = read_sensitivity(named_tables(tmp_path), MODE)
    assert len(response.values) == 8 and response.at(1.0) == response.values[0] == np.float32(0.0125)
    assert response.extrapolated(1.0) < response.values[0]
    assert read_aperture_throughput(named_tables(tmp_path), "52X0.2").at(99999.0) == 0.8125
    trailer = Trailer()
    given: Any = (named_tables(tmp_path), MODE, "52X0.2", trailer)
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
        assert read_height_factor(named_tables(tmp_path, **cards), MODE, "52X0.2", trailer) is None
    else:
        assert read_time_dependence(named_tables(tmp_path, **cards), "G430L", trailer) is None
    assert len(trailer.lines) == 1 and keyword in trailer.lines[0] and "no correction" in trailer.lines[0]


def test_curve_of_one_element() -> None:
    """Oracle: a constant."""
    assert Curve(np.array([5.0]), np.array([2.0])).extrapolated([1.0, 9.0]).tolist() == [2.0, 2.0]
