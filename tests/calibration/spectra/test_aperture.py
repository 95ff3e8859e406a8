"""Apertures: their names, and what the table says of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpucti.calibration.spectra.aperture import aperture_name, read_slit
from support.spectrum_files import named_tables, reference_tables


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
    assert aperture_name(named_tables(Path(), APERTURE=aperture, PROPAPER=proposed, SCLAMP=lamp).cards) == name


def test_aperture(tmp_path: Path) -> None:
    """Oracle: the first row of the table as written; the slit's angle where the table has none."""
    reference_tables(tmp_path)
    made = read_slit(named_tables(tmp_path), "52X0.2")
    assert (made.width, made.offset, made.angle) == ((0.2, 52.0), (-0.0225, 0.045), 0.315)
    assert made.bars == ((-0.7, 0.125), (0.5, 0.08), (9.0, 0.5))
    reference_tables(tmp_path, tilt=0.5)
    assert read_slit(named_tables(tmp_path), "52X0.2").angle == 0.5
