"""Interpolation between the nodes of tables: worked by hand, and against NumPy and SciPy."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline

from gpucti.calibration.spectra import interpolate

NODES, VALUES = np.array([1.0, 2.0, 4.0]), np.array([10.0, 20.0, 0.0])


LINEAR = [(0.0, 10, 0), (1.0, 10, 10), (1.25, 12.5, 12.5), (2.0, 20, 20), (3.0, 10, 10), (4.0, 0, 0), (5.0, 0, -10)]


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
