"""The dispersion relation: which wavelength falls on which pixel (DISPTAB, INANGTAB).

A polynomial gives the pixel of a wavelength; the formulas, with spectral order 1, are CalSTIS's (``evaldisp.c``,
``newdisp.c``, ``adjustdisp.c``). Positions are 0-based pixels of the unbinned full frame, wavelengths are as observed,
in Angstrom.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gpucti.backends.base import Array
from gpucti.calibration.base import Trailer
from gpucti.calibration.reffiles import HeaderReferences
from gpucti.calibration.spectra.tables import Mode, description, require_real, require_rows, vector, whole
from gpucti.errors import ReferenceFileError

Vector = npt.NDArray[np.float64]

#: Number of coefficients, and the power of the wavelength that each multiplies in order 1.
MAX_COEFFICIENTS = 9
POWERS = (0, 1, 2, 0, 1, 1, 2, 3, 0)
#: Largest number of incidence-angle coefficients that a table may announce.
MAX_ANGLE_COEFFICIENTS = 32
#: Steps of the inversion before it is given up.
MAX_STEPS = 100


@dataclass(frozen=True, eq=False)
class Dispersion:
    """The dispersion relations of a mode, measured along several lines of the detector.

    Attributes
    ----------
    lines : (n,) float64
        A2CENTER: rows of the detector, increasing.
    coefficients : (n, 9) float64
        Those beyond `counts` are zero.
    counts : (n,) int
        NCOEFF.
    ref_aper : str
        Aperture with which the relations were measured.
    history : tuple of str
        What table this is from.
    """

    lines: Vector
    coefficients: Vector
    counts: npt.NDArray[np.int64]
    ref_aper: str
    history: tuple[str, ...] = ()

    def at(self, lines: npt.ArrayLike) -> tuple[Vector, npt.NDArray[np.int64]]:
        """Return coefficients, (..., 9), and their counts along other lines.

        Between two lines of the table coefficients are interpolated linearly; outside, the nearest line holds.
        """
        low, high, p = bracket(np.asarray(lines, dtype=np.float64), self.lines)
        inside = low != high
        p = p[..., np.newaxis]
        between = (1.0 - p) * self.coefficients[low] + p * self.coefficients[high]
        coefficients = np.where(inside[..., np.newaxis], between, self.coefficients[low])
        return coefficients, np.maximum(self.counts[low], self.counts[high])


@dataclass(frozen=True, eq=False)
class IncidenceAngle:
    """How coefficients change with the place of the aperture along the dispersion (one row of an INANGTAB).

    Attributes
    ----------
    first : (n1,) float64
        COEFF1: change of each coefficient per arcsecond.
    second : (n2,) float64
        COEFF2: change of the first coefficient per arcsecond and per square arcsecond; more are not used.
    history : tuple of str
        What table this is from.
    """

    first: Vector
    second: Vector
    history: tuple[str, ...] = ()

    def adjust(
        self,
        coefficients: Vector,
        counts: npt.NDArray[np.int64],
        delta: float,
        shift: float,
        trailer: Trailer | None = None,
    ) -> Vector:
        """Return coefficients for an aperture at `delta` and a spectrum shifted by `shift`.

        Parameters
        ----------
        coefficients : (..., 9) float64
            As `Dispersion.at` gives them.
        counts : (...) int
            How many of them are in use.
        delta : float
            OFFSET1 of the aperture minus OFFSET1 of the one that the relation was measured with, arcseconds.
        shift : float
            SHIFTA1, pixels; 0 for a wavecal.
        trailer : Trailer, optional
            Is told of coefficients that are not used.
        """
        result = coefficients.copy()
        used = np.arange(MAX_COEFFICIENTS) < counts[..., np.newaxis]
        for k, coefficient in enumerate(self.first[:MAX_COEFFICIENTS].tolist()):
            result[..., k] = np.where(used[..., k], result[..., k] + coefficient * delta, result[..., k])
        if len(self.second) > 0:
            result[..., 0] += float(self.second[0]) * delta
        if len(self.second) > 1:
            result[..., 0] += float(self.second[1]) * delta * delta
        result[..., 0] += shift
        if trailer is not None and len(self.first) > int(np.min(counts)):
            trailer.say(
                f"INANGTAB has {len(self.first)} coefficients, DISPTAB {int(np.min(counts))}; the others are not used"
            )
        if trailer is not None and len(self.second) > 2:
            trailer.say(f"INANGTAB has {len(self.second)} second coefficients; only two are used")
        return result


def read_dispersion(references: HeaderReferences, mode: Mode) -> Dispersion:
    """Return all rows of the DISPTAB for a mode, sorted by A2CENTER.

    Raises
    ------
    ReferenceFileError
        No table, no row, a missing column, a cell that makes no sense, two rows for one line, or several REF_APER.
    """
    table = references.table("DISPTAB")
    rows = require_rows(table, **mode.columns)
    for row in rows:
        require_real(table, row)
    lines = np.array([table.number("A2CENTER", row) - 1 for row in rows])
    order = sort_lines(lines, f"{table.path}: A2CENTER of rows {_numbers(rows)}")
    apertures = {table.text("REF_APER", row) for row in rows}
    if len(apertures) > 1:
        raise ReferenceFileError(
            f"REF_APER of rows {_numbers(rows)} is {', '.join(sorted(apertures))}; expected one aperture",
            where=table.path,
        )
    coefficients = np.zeros((len(rows), MAX_COEFFICIENTS))
    counts = [whole(table, "NCOEFF", row, 1, MAX_COEFFICIENTS) for row in rows]
    for index, (row, count) in enumerate(zip(rows, counts, strict=True)):
        coefficients[index, :count] = vector(table, "COEFF", row, count)
    return Dispersion(
        lines=lines[order],
        coefficients=coefficients[order],
        counts=np.array(counts)[order],
        ref_aper=apertures.pop(),
        history=description(references, "DISPTAB", table, rows[-1]),
    )


def read_incidence_angle(references: HeaderReferences, mode: Mode) -> IncidenceAngle:
    """Return the last row of the INANGTAB for a mode.

    Raises
    ------
    ReferenceFileError
        No table, no row, a missing column, or a cell that makes no sense.
    """
    table = references.table("INANGTAB")
    rows = require_rows(table, sporder=True, **mode.columns)
    for row in rows:
        require_real(table, row)
    row = rows[-1]
    first, second = (
        vector(table, f"COEFF{n}", row, whole(table, f"NCOEFF{n}", row, 0, MAX_ANGLE_COEFFICIENTS)) for n in (1, 2)
    )
    return IncidenceAngle(first, second, description(references, "INANGTAB", table, row))


def evaluate(coefficients: Array, wavelengths: Array, xp: Any = np) -> Array:
    """Return the 0-based position of wavelengths along the dispersion, unbinned pixels.

    The order of the operations is CalSTIS's; terms whose coefficients are all zero are left out.

    Parameters
    ----------
    coefficients : (..., 9) float64
        In the memory of `xp`.
    wavelengths : (n,) float64
        Angstrom, observed.
    xp : module
        NumPy or CuPy.

    Returns
    -------
    (..., n) float64
    """
    used = xp.any(coefficients.reshape(-1, MAX_COEFFICIENTS) != 0, axis=0).tolist()
    place = coefficients[..., 0, np.newaxis] + xp.zeros_like(wavelengths)
    for k in range(1, MAX_COEFFICIENTS):
        if used[k]:
            term = coefficients[..., k, np.newaxis]
            for _ in range(POWERS[k]):
                term = term * wavelengths
            place += term
    place -= 1.0
    return place


def slope(coefficients: Array, wavelengths: Array, xp: Any = np) -> Array:
    """Return pixels per Angstrom at wavelengths; arguments as for `evaluate`."""
    c = xp.moveaxis(coefficients, -1, 0)[..., np.newaxis]
    linear = c[1] + c[2] * 2.0 * wavelengths + c[4] + c[5]
    return linear + c[6] * 2.0 * wavelengths + c[7] * 3.0 * wavelengths * wavelengths


def invert(coefficients: Vector, positions: Iterable[float], start: float, tolerance: float = 0.001) -> Vector:
    """Return the wavelengths that fall on positions, Angstrom, by Newton's method.

    As in CalSTIS the search for each position begins at the wavelength of the one before, and the last step is kept
    once it is shorter than `tolerance`.

    Parameters
    ----------
    coefficients : (9,) float64
        Of one line.
    positions : iterable of float
        0-based unbinned pixels, in order.
    start : float
        Where the search for the first one begins: CENWAVE.
    tolerance : float
        Angstrom.

    Raises
    ------
    ReferenceFileError
        The search does not end, or the slope of the relation is zero.
    """
    c0, c1, c2, c3, c4, c5, c6, c7, c8 = coefficients.tolist()
    found, wavelength = [], float(start)
    for position in map(float, positions):
        for _ in range(MAX_STEPS + 2):
            w = wavelength
            place = c0 + c1 * w + c2 * w * w + c3 + c4 * w + c5 * w + c6 * w * w + c7 * w * w * w + c8 - 1.0
            rate = c1 + c2 * 2.0 * w + c4 + c5 + c6 * 2.0 * w + c7 * 3.0 * w * w
            wavelength = w + (position - place) / rate if rate else float("nan")
            if not abs(wavelength - w) >= tolerance:
                break
        if not abs(wavelength - w) < tolerance:
            raise ReferenceFileError(
                f"the dispersion relation {coefficients.tolist()} cannot be inverted at pixel {position:.6g} from "
                f"{start:.6g} Angstrom; use another DISPTAB"
            )
        found.append(wavelength)
    return np.array(found)


def bracket(x: Vector, nodes: Vector) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Vector]:
    """Return the nodes below and above each x and how far between them it lies, 0 to 1.

    Where x is at a node or beyond the ends, both are the nearest node.
    """
    high = np.minimum(np.searchsorted(nodes, x, side="left"), len(nodes) - 1)
    low = np.where((x < nodes[high]) & (high > 0), high - 1, high)
    gap = np.where(low == high, 1.0, nodes[high] - nodes[low])
    return low, high, (x - nodes[low]) / gap


def sort_lines(lines: Vector, what: str) -> npt.NDArray[np.intp]:
    """Return the order in which lines increase.

    Raises
    ------
    ReferenceFileError
        Two are equal.
    """
    order = np.argsort(lines, kind="stable")
    steps = np.diff(lines[order])
    if (steps == 0).any():
        twice = lines[order][int(np.flatnonzero(steps == 0)[0])] + 1
        raise ReferenceFileError(f"{twice:.8g} occurs twice; expected one row per line", where=what)
    return order


def _numbers(rows: list[int]) -> str:
    return ", ".join(str(row + 1) for row in rows)
