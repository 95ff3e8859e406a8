"""Sensitivity of telescope and grating (PHOTTAB), aperture (APERTAB), extraction box (PCTAB), and with time (TDSTAB).

Which rows count, and how they are interpolated, is CalSTIS's. Wavelengths are as observed, in Angstrom.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gpucti.calibration.base import Trailer
from gpucti.calibration.refdata import ReferenceTable
from gpucti.calibration.reffiles import HeaderReferences
from gpucti.calibration.spectra import interpolate
from gpucti.calibration.spectra.constants import DAYS_PER_YEAR
from gpucti.calibration.spectra.tables import (
    Mode,
    cell,
    description,
    require_real,
    require_rows,
    vector,
    wavelengths,
    whole,
)
from gpucti.errors import ReferenceFileError

Vector = npt.NDArray[np.float64]

#: Elements that an array cell may announce.
MAX_ELEMENTS = 32767


@dataclass(frozen=True, eq=False)
class Curve:
    """Values at wavelengths: one row of a PHOTTAB, APERTAB or PCTAB.

    Attributes
    ----------
    wavelengths, values : (n,) float64
        Increasing wavelengths, Angstrom, and what the table holds there.
    history : tuple of str
        What table this is from.
    """

    wavelengths: Vector
    values: Vector
    history: tuple[str, ...] = ()

    def at(self, x: npt.ArrayLike) -> Vector:
        """Return values at wavelengths; beyond the ends the value of the end."""
        return interpolate.linear(x, self.wavelengths, self.values)

    def extrapolated(self, x: npt.ArrayLike) -> Vector:
        """Return values at wavelengths; beyond the ends the line through the last two."""
        return interpolate.linear_extrapolated(x, self.wavelengths, self.values)

    def resampled(self, nodes: Vector) -> Curve:
        """Return the natural spline through the values, taken at other wavelengths."""
        return Curve(nodes, interpolate.natural_spline(nodes, self.wavelengths, self.values), self.history)


@dataclass(frozen=True, eq=False)
class TimeDependence:
    """How the sensitivity changes with time and temperature: one row of a TDSTAB.

    Attributes
    ----------
    wavelengths : (n,) float64
        Increasing, Angstrom.
    times : (t,) float64
        MJD at which the segments begin.
    slopes : (t, n) float64
        Percent per year.
    intercepts : (t, n) float64 or None
        Factor at `ref_time`; None: an old table, whose slopes add up from 1 at the first time.
    ref_time : float
        MJD.
    ref_temperature : float
        Degrees C; not positive: the temperature does not count.
    temperature_slopes : (n,) float64
        Relative change per degree.
    history : tuple of str
        What table this is from.
    """

    wavelengths: Vector
    times: Vector
    slopes: Vector
    intercepts: Vector | None
    ref_time: float
    ref_temperature: float
    temperature_slopes: Vector
    history: tuple[str, ...] = ()

    def factors(self, date: float, temperature: float) -> Curve:
        """Return the sensitivity relative to the PHOTTAB's, at the wavelengths of the table.

        Parameters
        ----------
        date : float
            EXPSTART, MJD.
        temperature : float
            Of the detector, degrees C; not positive: not known.
        """
        last = len(self.times) - 1
        segment = min(int(np.searchsorted(self.times[1:], date, side="right")), last)
        if self.intercepts is not None:
            years = (date - self.ref_time) / DAYS_PER_YEAR
            factor = years * self.slopes[segment] / 100.0 + self.intercepts[segment]
        else:
            factor = np.ones(len(self.wavelengths))
            for j in range(last + 1):
                rate = self.slopes[j] / DAYS_PER_YEAR / 100.0
                if j == last or date <= self.times[j + 1]:
                    factor += (date - self.times[j]) * rate
                    break
                factor += (self.times[j + 1] - self.times[j]) * rate
        if self.ref_temperature > 0 and temperature > 0:
            factor *= 1.0 + self.temperature_slopes * (temperature - self.ref_temperature)
        return Curve(self.wavelengths, factor, self.history)


def read_sensitivity(references: HeaderReferences, mode: Mode) -> Curve:
    """Return the throughput of telescope and grating: the first row of the PHOTTAB for a mode.

    Raises
    ------
    ReferenceFileError
        No table, no row, a missing column, or a cell that makes no sense; DummyReferenceError where it is DUMMY.
    """
    table = references.table("PHOTTAB")
    row = require_rows(table, sporder=True, **mode.columns)[0]
    require_real(table, row)
    return _curve(references, "PHOTTAB", table, row)


def read_aperture_throughput(references: HeaderReferences, aperture: str) -> Curve:
    """Return the throughput of an aperture for a point source: the last row of the APERTAB for it.

    Raises
    ------
    ReferenceFileError
        As for `read_sensitivity`.
    """
    table = references.table("APERTAB")
    rows = require_rows(table, APERTURE=aperture)
    for row in rows:
        require_real(table, row)
    return _curve(references, "APERTAB", table, rows[-1])


def read_height_factor(
    references: HeaderReferences,
    mode: Mode,
    aperture: str,
    trailer: Trailer,
    *,
    height: int | None = None,
    nearest: bool = False,
) -> Curve | None:
    """Return the factor of the PCTAB for the height of an extraction box, or None where there is no correction.

    Why there is none is said: no PCTAB, no row, or the table or row only fills a place.

    Parameters
    ----------
    references : HeaderReferences
        Names the table.
    mode : Mode
        Only its CENWAVE counts.
    aperture : str
        The aperture.
    trailer : Trailer
        Is told why there is no correction, or which row is taken.
    height : int, optional
        EXTRHEIGHT in unbinned pixels; by default the table's MAXHGHT, the whole spectrum.
    nearest : bool
        Take the row of the nearest height, the first of equals, where none has that height.

    Raises
    ------
    ReferenceFileError
        The table is missing or damaged, or a cell makes no sense.
    """
    if references.find("PCTAB") is None:
        trailer.say("No PCTAB: no correction for the height of the extraction box")
        return None
    table = references.table("PCTAB")
    if table.dummy:
        trailer.say("The PCTAB only fills a place (PEDIGREE DUMMY): no correction for the height of the box")
        return None
    if height is None:
        height = table.cards.whole("MAXHGHT")
    rows = table.matching(APERTURE=aperture, CENWAVE=mode.cenwave, EXTRHEIGHT=height)
    if not rows and nearest:
        rows = table.matching(APERTURE=aperture, CENWAVE=mode.cenwave)
        rows.sort(key=lambda row: abs(whole(table, "EXTRHEIGHT", row, -1, MAX_ELEMENTS) - height))
        if rows:
            found = whole(table, "EXTRHEIGHT", rows[0], -1, MAX_ELEMENTS)
            trailer.say(f"PCTAB: no row for EXTRHEIGHT {height}, that for {found} is used")
    if not rows:
        trailer.say(
            f"PCTAB: no row for APERTURE {aperture}, CENWAVE {mode.cenwave}, EXTRHEIGHT {height}: no correction for "
            "the height of the box"
        )
        return None
    if table.row_dummy(rows[0]):
        trailer.say(f"PCTAB: row {rows[0] + 1} only fills a place (PEDIGREE DUMMY): no correction for the height")
        return None
    return _curve(references, "PCTAB", table, rows[0], at_least=2)


def read_time_dependence(references: HeaderReferences, opt_elem: str, trailer: Trailer) -> TimeDependence | None:
    """Return the last row of the TDSTAB for a grating, or None where there is no correction.

    Why there is none is said: no TDSTAB, no row, or the table or row only fills a place.

    Raises
    ------
    ReferenceFileError
        The table is missing or damaged, a column is missing, or a cell makes no sense.
    """
    if references.find("TDSTAB") is None:
        trailer.say("No TDSTAB: no correction for the loss of sensitivity with time")
        return None
    table = references.table("TDSTAB")
    rows = [] if table.dummy else table.matching(OPT_ELEM=opt_elem)
    if not rows or any(table.row_dummy(row) for row in rows):
        why = "only fills a place (PEDIGREE DUMMY)" if rows or table.dummy else f"has no row for {opt_elem}"
        trailer.say(f"The TDSTAB {why}: no correction for the loss of sensitivity with time")
        return None
    row = rows[-1]
    nwl, nt = (whole(table, name, row, 1, MAX_ELEMENTS) for name in ("NWL", "NT"))
    times = vector(table, "TIME", row, nt)
    if (np.diff(times) <= 0).any():
        raise ReferenceFileError(f"TIME of row {row + 1} does not increase ({times}); sort the table", where=table.path)
    ref_time = None
    if "REF_TIME" in table.cards and table.has("INTERCEPT"):
        ref_time = float(table.cards.number("REF_TIME"))
    warm = table.has("REFTEMP") and table.has("TEMPSENS")
    return TimeDependence(
        wavelengths=wavelengths(table, row, nwl),
        times=times,
        slopes=_matrix(table, "SLOPE", row, nt, nwl),
        intercepts=None if ref_time is None else _matrix(table, "INTERCEPT", row, nt, nwl),
        ref_time=ref_time or 0.0,
        ref_temperature=table.number("REFTEMP", row) if warm else -1.0,
        temperature_slopes=vector(table, "TEMPSENS", row, nwl) if warm else np.zeros(nwl),
        history=description(references, "TDSTAB", table),
    )


def _curve(references: HeaderReferences, keyword: str, table: ReferenceTable, row: int, at_least: int = 1) -> Curve:
    size = whole(table, "NELEM", row, at_least, MAX_ELEMENTS)
    return Curve(
        wavelengths(table, row, size),
        vector(table, "THROUGHPUT", row, size),
        description(references, keyword, table, row),
    )


def _matrix(table: ReferenceTable, name: str, row: int, nt: int, nwl: int) -> Vector:
    """Return a cell of `nt` rows of `nwl` numbers; the declared shape may be larger."""
    values = np.atleast_2d(cell(table, name, row))
    if values.ndim != 2 or values.shape[0] < nt or values.shape[1] < nwl:
        raise ReferenceFileError(
            f"{name} of row {row + 1} has the shape {values.shape}; expected {nt} times and {nwl} "
            "wavelengths (NT, NWL; is TDIM missing?)",
            where=table.path,
        )
    values = values[:nt, :nwl]
    if not np.isfinite(values).all():
        raise ReferenceFileError(f"{name} of row {row + 1} holds NaN or infinity; expected numbers", where=table.path)
    return values
