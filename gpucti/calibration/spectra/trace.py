"""Spectral traces: how far a spectrum strays from a straight line along the detector (SPTRCTAB).

Interpolation and rotation are CalSTIS's (``newtrace.c``, ``rotatetrace.c``). Pixels are 0-based, of the unbinned full
frame.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gpucti.calibration.reffiles import HeaderReferences
from gpucti.calibration.spectra.constants import DAYS_PER_YEAR
from gpucti.calibration.spectra.dispersion import bracket, sort_lines
from gpucti.calibration.spectra.tables import Mode, description, require_real, require_rows, vector, whole
from gpucti.errors import ReferenceFileError

Vector = npt.NDArray[np.float64]

#: Elements that a trace may have: one per column of the detector.
MAX_ELEMENTS = 1024


@dataclass(frozen=True, eq=False)
class Traces:
    """The traces of a mode along several lines of the detector.

    Attributes
    ----------
    lines : (n,) float64
        A2CENTER: rows of the detector, increasing.
    displacements : (n, m) float64
        Rows by which each column of the detector lies above the line; zero beyond the elements of a row.
    history : tuple of str
        What table this is from.
    """

    lines: Vector
    displacements: Vector
    history: tuple[str, ...] = ()

    def at(self, lines: npt.ArrayLike) -> Vector:
        """Return displacements, (..., m), along other lines.

        Between two lines of the table they are interpolated linearly; outside, the nearest line holds.
        """
        low, high, p = bracket(np.asarray(lines, dtype=np.float64), self.lines)
        p = p[..., np.newaxis]
        between = (1.0 - p) * self.displacements[low]
        between += p * self.displacements[high]
        alone = low == high
        if np.any(alone):
            between[alone] = self.displacements[low[alone]]
        return between

    def straight(self) -> Traces:
        """Return straight traces along the same lines: for an image whose traces were straightened before."""
        return Traces(self.lines, np.zeros_like(self.displacements), self.history)


@dataclass(frozen=True, eq=False)
class TraceRows:
    """Rows of a SPTRCTAB, sorted by A2CENTER, before they are turned to the date of an exposure.

    Attributes
    ----------
    traces : Traces
        As measured.
    counts : tuple of int
        NELEM of each.
    mjd, rate : tuple of float
        When they were measured, and degrees per year by which they turn; empty if the table says nothing.
    """

    traces: Traces
    counts: tuple[int, ...]
    mjd: tuple[float, ...] = ()
    rate: tuple[float, ...] = ()

    def on(self, date: float) -> Traces:
        """Return the traces as they lay on a date: EXPSTART, MJD."""
        if not self.mjd:
            return self.traces
        turned = self.traces.displacements.copy()
        for row, (count, mjd, rate) in enumerate(zip(self.counts, self.mjd, self.rate, strict=True)):
            angle = rate * (date - mjd) / DAYS_PER_YEAR
            turned[row, :count] -= (np.arange(count) - count // 2) * math.tan(angle * (math.pi / 180))
        return Traces(self.traces.lines, turned, self.traces.history)


def read_traces(references: HeaderReferences, mode: Mode) -> TraceRows:
    """Return all rows of the SPTRCTAB for a mode, spectral order 1.

    Raises
    ------
    ReferenceFileError
        No table, no row, a missing column, a cell that makes no sense, two rows for one line, or several A1CENTER.
    """
    table = references.table("SPTRCTAB")
    rows = require_rows(table, sporder=True, **mode.columns)
    for row in rows:
        require_real(table, row)
    lines = np.array([table.number("A2CENTER", row) - 1 for row in rows])
    numbers = ", ".join(str(row + 1) for row in rows)
    order = sort_lines(lines, f"{table.path}: A2CENTER of rows {numbers}")
    middles = {table.number("A1CENTER", row) for row in rows}
    if len(middles) > 1:
        raise ReferenceFileError(
            f"A1CENTER of rows {numbers} is {', '.join(map(str, sorted(middles)))}; expected one value",
            where=table.path,
        )
    rows = [rows[index] for index in order]
    counts = tuple(whole(table, "NELEM", row, 1, MAX_ELEMENTS) for row in rows)
    displacements = np.zeros((len(rows), max(counts)))
    for index, (row, count) in enumerate(zip(rows, counts, strict=True)):
        displacements[index, :count] = vector(table, "A2DISPL", row, count)
    mjd = rate = ()
    if table.has("MJD"):
        mjd, rate = (tuple(table.number(name, row) for row in rows) for name in ("MJD", "DEGPERYR"))  # type: ignore[assignment]
    traces = Traces(lines[order], displacements, description(references, "SPTRCTAB", table, max(rows)))
    return TraceRows(traces, counts, mjd, rate)
