"""The grid of a rectified spectrum and its masks, worked by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gpucti.calibration.spectra.aperture import Slit
from gpucti.calibration.spectra.tables import Mode
from gpucti.calibration.spectra.x2d.grid import Grid, read_layout
from gpucti.errors import InputError
from gpucti.io.pixelgrid import PixelGrid
from support.spectrum_files import named_tables, reference_tables

MODE = Mode("G430L", 4300)


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
    layout = read_layout(named_tables(tmp_path), MODE, "52X0.2")
    assert layout.line == 509.5 and layout.size == (1041, 1033)
    assert read_layout(named_tables(tmp_path), MODE, "52X0.2E1").line == 512.0
    part = layout.scaled(PixelGrid((1.0, 1.0), (-480.0, -490.0)), (40, 56), "x")
    assert part.shape == (49, 73) and part.crpix == (515.25 - 480, 513.75 - 490)
    binned = layout.scaled(PixelGrid((0.5, 0.5), (0.25, 0.25)), (512, 512), "x")
    assert binned.shape == (517, 521) and binned.crpix == (515.25 / 2 - 0.25, 513.75 / 2 - 0.25)  # 516.5 and 520.5
    assert binned.cdelt == (5.5, 0.10156) and binned.plate_scale == (0.10156, 0.10156)
    assert binned.wavelengths[10] == (10 - binned.crpix[0]) * 5.5 + 4300.0
    assert binned.keywords()["CRPIX1"] == binned.crpix[0] + 1 and binned.keywords()["CUNIT1"] == "angstrom"
    with pytest.raises(InputError, match="x: .* would give a rectified image of"):
        layout.scaled(PixelGrid((1.0, 1.0), (0.0, 0.0)), (1, 1024), "x")
