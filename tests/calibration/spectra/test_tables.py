"""Cells of the reference tables of spectra that make no sense, and tables that only fill a place."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits

from gpucti.calibration.base import Trailer
from gpucti.calibration.spectra.aperture import read_slit
from gpucti.calibration.spectra.tables import DummyReferenceError, Mode
from gpucti.calibration.spectra.throughput import (
    read_aperture_throughput,
    read_height_factor,
    read_sensitivity,
    read_time_dependence,
)
from gpucti.calibration.spectra.trace import read_traces
from gpucti.calibration.spectra.x2d.grid import read_layout
from gpucti.errors import ReferenceFileError
from support.spectrum_files import change_cells, named_tables, reference_tables

MODE = Mode("G430L", 4300)


def _all(folder: Path) -> None:
    """Read every table."""
    references, trailer = named_tables(folder), Trailer()
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
