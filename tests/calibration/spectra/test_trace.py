"""Spectral traces: worked by hand, and as a table has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gpucti.calibration.spectra.tables import Mode
from gpucti.calibration.spectra.trace import TraceRows, Traces, read_traces
from support.spectrum_files import named_tables, reference_tables

MODE = Mode("G430L", 4300)


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
    made = read_traces(named_tables(tmp_path), MODE)
    assert made.traces.lines.tolist() == [488.0, 507.0, 518.0] and made.counts == (1020, 510, 1024)
    assert made.mjd == (52000.0, 50500.5, 51000.0) and made.traces.displacements.shape == (3, 1024)
    assert not made.traces.displacements[1, 510:].any() and not made.on(60000.0).displacements[0, 1020:].any()
