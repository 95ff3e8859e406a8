"""LAMPTAB and WCPTAB: worked by hand; wrong and missing tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from gpucti.calibration.base import Trailer
from gpucti.calibration.reffiles import HeaderReferences, References
from gpucti.calibration.spectra.tables import DummyReferenceError
from gpucti.calibration.spectra.wavecal.lamps import Lamp, SearchParameters, read_lamp, read_search_parameters
from gpucti.errors import ReferenceFileError
from gpucti.io.cards import Cards
from support.calstis_files import reference_table
from support.shift_cases import CASES


def named(folder: Path, **cards: Any) -> HeaderReferences:
    """Return the reference files that a header of these cards names."""
    return HeaderReferences(Cards(fits.Header(cards), "wavecal"), folder, References({}))


def test_lamp_over_pixels() -> None:
    """Oracle: by hand. Flux 2 from 10 to 20, 5 from 20 to 30: a pixel that sticks out at either end gets nothing."""
    lamp = Lamp(np.array([10.0, 20.0, 30.0]), np.array([2.0, 5.0]))
    assert lamp.over(np.array([8.0, 12.0, 18.0, 22.0, 26.0, 32.0])).tolist() == [0.0, 12.0, 14.0, 20.0, 0.0]
    assert lamp.over(np.array([10.0, 30.0])).tolist() == [70.0]


def test_edges_of_a_lamp(tmp_path: Path) -> None:
    """Oracle: by hand: midpoints, and half a step beyond the ends."""
    columns = {
        "LAMPSET": ("4A", ["3.8"]),
        "NELEM": ("I", [3]),
        "WAVELENGTH": ("4D", [[10.0, 12.0, 16.0, 0.0]]),
        "FLUX": ("4E", [[1.0, 2.0, 3.0, 0.0]]),
    }
    reference_table(tmp_path / "lamp.fits", columns)
    lamp = read_lamp(named(tmp_path, LAMPTAB="lamp.fits", LAMPSET="3.8", SCLAMP="HITM1", OPT_ELEM="G430L"))
    assert lamp.edges.tolist() == [9.0, 11.0, 14.0, 18.0] and lamp.fluxes.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("cells", "pedigree", "message"),
    [
        ({}, "DUMMY", "only fills a place"),
        ({"LAMPSET": ("4A", ["3.8"])}, "GROUND", "no row for LAMPSET = '10.0'"),
        ({"WAVELENGTH": ("2D", [[20.0, 10.0]])}, "GROUND", "WAVELENGTH of row 1 does not increase"),
        ({"NELEM": ("I", [3])}, "GROUND", "WAVELENGTH of row 1 has 2 elements; the row announces 3"),
        ({"NELEM": ("I", [1])}, "GROUND", "NELEM of row 1 is 1"),
    ],
)
def test_bad_lamps(tmp_path: Path, cells: dict[str, Any], pedigree: str, message: str) -> None:
    columns = {"LAMPSET": ("4A", ["10.0"]), "NELEM": ("I", [2]), "WAVELENGTH": ("2D", [[10.0, 20.0]])}
    reference_table(tmp_path / "lmp.fits", columns | {"FLUX": ("2E", [[1.0, 2.0]])} | cells, pedigree=pedigree)
    references = named(tmp_path, LAMPTAB="lmp.fits", LAMPSET="10.0", SCLAMP="LINE", OPT_ELEM="G430L")
    with pytest.raises(DummyReferenceError if pedigree == "DUMMY" else ReferenceFileError, match=message):
        read_lamp(references)


@pytest.mark.parametrize(
    ("change_to", "error", "message"),
    [
        ({"WL_RANGE": ("I", [0])}, ReferenceFileError, r"wcp\.fits: WL_RANGE of row 1 is 0; expected a whole number"),
        ({"NSIG_CR": ("D", [np.nan])}, ReferenceFileError, "NSIG_CR of row 1"),
        ({"OPT_ELEM": ("8A", ["G750L"])}, ReferenceFileError, "no row for DETECTOR = 'CCD', OPT_ELEM = 'G430L'"),
    ],
)
def test_bad_search_parameters(tmp_path: Path, change_to: dict[str, Any], error: type, message: str) -> None:
    CASES["bars"].build(tmp_path)
    with fits.open(tmp_path / "case_wcp.fits") as hdus:
        columns = {column.name: (column.format, hdus[1].data[column.name]) for column in hdus[1].columns}
    reference_table(tmp_path / "wcp.fits", columns | change_to)
    references = named(tmp_path, WCPTAB="wcp.fits", DETECTOR="CCD", OPT_ELEM="G430L")
    with pytest.raises(error, match=message):
        read_search_parameters(references, Trailer())


def test_search_parameters_that_fill_a_place(tmp_path: Path) -> None:
    """Oracle: CalSTIS: the defaults; ours are said."""
    reference_table(tmp_path / "wcp.fits", {"DETECTOR": ("8A", ["CCD"])}, pedigree="DUMMY")
    references, trailer = named(tmp_path, WCPTAB="wcp.fits", DETECTOR="CCD", OPT_ELEM="G430L"), Trailer()
    assert read_search_parameters(references, trailer) == SearchParameters()
    assert "WCPTAB only fills a place" in trailer.text
