"""One-dimensional interpolation between the nodes of reference tables, with CalSTIS's order of operations.

Nodes increase strictly; the tables are checked when they are read. Arrays are NumPy's: these are short vectors.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]


def linear(x: npt.ArrayLike, nodes: Vector, values: Vector) -> Vector:
    """Interpolate linearly; beyond the ends the value of the end (``interp1d``).

    Parameters
    ----------
    x : float or array
        Where.
    nodes, values : (n,) float64
        Increasing positions and the values there, n >= 1.
    """
    x = np.asarray(x, dtype=np.float64)
    if len(nodes) == 1:
        return np.full(x.shape, values[0])
    low = _interval(x, nodes)
    p = (nodes[low + 1] - x) / (nodes[low + 1] - nodes[low])
    between = values[low] * p + values[low + 1] * (1.0 - p)
    result: Vector = np.where(x <= nodes[0], values[0], np.where(x >= nodes[-1], values[-1], between))
    return result


def linear_extrapolated(x: npt.ArrayLike, nodes: Vector, values: Vector) -> Vector:
    """Interpolate linearly; beyond the ends along the line through the last two nodes (``extrap1d``).

    Parameters
    ----------
    x : float or array
        Where.
    nodes, values : (n,) float64
        Increasing positions and the values there; one node gives a constant.
    """
    x = np.asarray(x, dtype=np.float64)
    result = linear(x, nodes, values)
    if len(nodes) > 1:
        for outside, end in ((x <= nodes[0], slice(0, 2)), (x >= nodes[-1], slice(-2, None))):
            (x1, x2), (y1, y2) = nodes[end], values[end]
            slope = (y2 - y1) / (x2 - x1)
            result = np.where(outside, slope * x + (y1 - slope * x1), result)
    return result


def natural_spline(x: npt.ArrayLike, nodes: Vector, values: Vector) -> Vector:
    """Interpolate with a cubic spline without curvature at the ends; beyond them the last cubic goes on.

    Parameters
    ----------
    x : float or array
        Where.
    nodes, values : (n,) float64
        Increasing positions and the values there, n >= 2.
    """
    x = np.asarray(x, dtype=np.float64)
    curvature = _curvature(nodes.tolist(), values.tolist())
    low = _interval(x, nodes)
    h = nodes[low + 1] - nodes[low]
    a, b = (nodes[low + 1] - x) / h, (x - nodes[low]) / h
    bend = (a * a * a - a) * curvature[low] + (b * b * b - b) * curvature[low + 1]
    result: Vector = a * values[low] + b * values[low + 1] + bend * h * h / 6.0
    return result


def _interval(x: Vector, nodes: Vector) -> npt.NDArray[np.intp]:
    """Return the index of the node below each x, such that there is one above it."""
    return np.clip(np.searchsorted(nodes, x, side="right") - 1, 0, len(nodes) - 2)


def _curvature(x: list[float], y: list[float]) -> Vector:
    """Return the second derivatives of the natural spline at its nodes: a tridiagonal system."""
    n = len(x)
    second, right = [0.0] * n, [0.0] * n
    for i in range(1, n - 1):
        share = (x[i] - x[i - 1]) / (x[i + 1] - x[i - 1])
        pivot = share * second[i - 1] + 2.0
        second[i] = (share - 1.0) / pivot
        bend = (y[i + 1] - y[i]) / (x[i + 1] - x[i]) - (y[i] - y[i - 1]) / (x[i] - x[i - 1])
        right[i] = (6.0 * bend / (x[i + 1] - x[i - 1]) - share * right[i - 1]) / pivot
    for i in range(n - 2, -1, -1):
        second[i] = second[i] * second[i + 1] + right[i]
    return np.array(second)
