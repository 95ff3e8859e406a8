"""From counts per second to flux: sensitivity, aperture, height of the box, time; and errors in the ultraviolet.

The rules are CalSTIS's (``cs6``: absflux6.c, getpct6.c, getgac6.c). Wavelengths in Angstrom.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gpucti.calibration.base import Trailer
from gpucti.calibration.reffiles import HeaderReferences
from gpucti.calibration.spectra import interpolate
from gpucti.calibration.spectra.constants import AREA, CM_PER_ANGSTROM, LIGHT_CM_S, PLANCK
from gpucti.calibration.spectra.tables import Mode, description, vector, wavelengths, whole
from gpucti.calibration.spectra.throughput import (
    MAX_ELEMENTS,
    Curve,
    TimeDependence,
    read_aperture_throughput,
    read_height_factor,
    read_sensitivity,
    read_time_dependence,
)
from gpucti.calibration.spectra.x1d.boxsum import BoxSums
from gpucti.detector import DQ_BAD_REFERENCE

Vector = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]

#: Electrons per photon at wavelengths: more than one in the ultraviolet.
YIELD_WAVELENGTHS = np.array([1127.09, 2066.33, 2213.93, 2339.25, 3424.86, 11000.0])
YIELD = np.array([3.0, 1.5, 1.35, 1.4, 1.0, 1.0])


@dataclass(frozen=True)
class Exposed:
    """What of an exposure enters the noise: numbers as CalSTIS uses them.

    Attributes
    ----------
    exptime : float
        Seconds.
    gain, read_noise : float
        Electrons per count; electrons.
    dark : float
        Mean counts per pixel that were subtracted as dark (MEANDARK).
    combined : int
        Image sets combined (NCOMBINE).
    """

    exptime: float
    gain: float
    read_noise: float
    dark: float
    combined: int


@dataclass(frozen=True, eq=False)
class FluxTables:
    """Everything that turns counts per second into flux, for one mode, aperture and height of the box.

    Attributes
    ----------
    sensitivity : Curve
        Of telescope and grating (PHOTTAB).
    aperture : Curve
        Share of a point source's light that the aperture lets through (APERTAB).
    whole, box : Curve or None
        Factors for the light in a box of full height, and in the one used (PCTAB), at the PHOTTAB's wavelengths.
    grating_aperture : Curve or None
        Correction for combinations of grating and aperture (GACTAB).
    time : TimeDependence or None
        Loss of sensitivity (TDSTAB).
    """

    sensitivity: Curve
    aperture: Curve
    whole: Curve | None
    box: Curve | None
    grating_aperture: Curve | None
    time: TimeDependence | None

    @property
    def history(self) -> tuple[str, ...]:
        """What tables these are from, in the order in which they are applied."""
        parts = (self.sensitivity, self.whole, self.aperture, self.grating_aperture, self.time)
        return tuple(line for part in parts if part is not None for line in part.history)


@dataclass(frozen=True, eq=False)
class Flux:
    """A spectrum in units of flux.

    Attributes
    ----------
    flux, error : (cols,) float32
        erg/s/cm^2/Angstrom.
    net_error : (cols,) float32
        Counts per second.
    dq : (cols,) int16
        `DQ_BAD_REFERENCE` where there is no flux.
    sensitive : (cols,) bool
        Where the tables know a sensitivity.
    """

    flux: Floats
    error: Floats
    net_error: Floats
    dq: npt.NDArray[np.int16]
    sensitive: npt.NDArray[np.bool_]


def read_flux_tables(
    references: HeaderReferences, mode: Mode, aperture: str, height: float, trailer: Trailer
) -> FluxTables:
    """Return the tables that a header names for flux calibration.

    Parameters
    ----------
    references : HeaderReferences
        Names the tables.
    mode, aperture : Mode, str
        What rows are asked for.
    height : float
        Of the extraction box, unbinned pixels; its whole part chooses the row of the PCTAB.
    trailer : Trailer
        Is told what is not corrected.

    Raises
    ------
    ReferenceFileError
        See `throughput.read_sensitivity`; DummyReferenceError where PHOTTAB or APERTAB only fill a place.
    """
    sensitivity = read_sensitivity(references, mode)
    nodes = sensitivity.wavelengths
    box, whole_height = None, read_height_factor(references, mode, aperture, trailer, nearest=True)
    if whole_height:
        box = read_height_factor(references, mode, aperture, trailer, height=int(height) or None, nearest=True)
    return FluxTables(
        sensitivity=sensitivity,
        aperture=read_aperture_throughput(references, aperture),
        whole=whole_height.resampled(nodes) if whole_height else None,
        box=box.resampled(nodes) if box else None,
        grating_aperture=_read_grating_aperture(references, mode, aperture, trailer),
        time=read_time_dependence(references, mode.opt_elem, trailer),
    )


def _read_grating_aperture(references: HeaderReferences, mode: Mode, aperture: str, trailer: Trailer) -> Curve | None:
    """Return the first row of the GACTAB for grating and aperture, or None where there is no correction."""
    table = references.table("GACTAB") if references.find("GACTAB") else None
    rows = table.matching(**mode.columns, APERTURE=aperture) if table and not table.dummy else []
    if table is None or not rows or table.row_dummy(rows[0]):
        if table:
            trailer.say(f"The GACTAB has nothing for {mode.opt_elem} with {aperture}: no correction for the two")
        return None
    size = whole(table, "NELEM", rows[0], 1, MAX_ELEMENTS)
    return Curve(
        wavelengths(table, rows[0], size),
        vector(table, "THROUGHPUT", rows[0], size),
        description(references, "GACTAB", table, rows[0]),
    )


def calibrate(
    tables: FluxTables,
    wavelength: Vector,
    hfactor: float,
    sums: BoxSums,
    net: Floats,
    exposed: Exposed,
    box_height: np.float32,
    date: float,
    temperature: float,
) -> Flux:
    """Return the flux of a spectrum, and its errors.

    Parameters
    ----------
    tables : FluxTables
        Of the mode.
    wavelength : (cols,) float64
        As in the output.
    hfactor : float
        Wavelength in the output over wavelength observed.
    sums : BoxSums
        Counts per second in the box.
    net : (cols,) float32
        The same without background, corrected for the loss of charge if that is done.
    exposed : Exposed
        For the noise.
    box_height : float32
        Of the extraction box, image pixels.
    date, temperature : float
        EXPSTART (MJD), and of the detector (degrees C; not positive: unknown).
    """
    observed = wavelength / hfactor
    sensitivity = tables.sensitivity.extrapolated(observed)
    aperture = tables.aperture.at(observed)
    height = _ratio(tables.whole, tables.box, observed)
    other = tables.grating_aperture.at(observed) if tables.grating_aperture else np.ones_like(observed)
    time = tables.time.factors(date, temperature).at(observed) if tables.time else np.ones_like(observed)
    per_pixel = _dispersion(wavelength)
    known = (aperture > 0) & (per_pixel > 0) & (sensitivity > 0)
    per_pixel = per_pixel / hfactor

    # Every factor is rounded to single precision, as CalSTIS does.
    with np.errstate(all="ignore"):
        energy = PLANCK * LIGHT_CM_S / AREA
        correction = (energy / (sensitivity * aperture * observed * per_pixel * CM_PER_ANGSTROM)).astype(np.float32)
        correction = (correction.astype(np.float64) * exposed.gain).astype(np.float32)
        correction = (correction.astype(np.float64) * height).astype(np.float32)
        correction = (correction.astype(np.float64) / other).astype(np.float32)
        correction = (correction.astype(np.float64) / time).astype(np.float32)
        more = _quantum_yield_factor(observed, sums.gross, exposed, box_height)
        sensitive, known = known, known & ~(correction <= 0)
        return Flux(
            flux=np.where(known, net * correction, np.float32(0)),
            error=np.where(known, sums.error * (correction * more), np.float32(0)),
            net_error=np.where(known, sums.error * more, sums.error),
            dq=np.where(known, 0, DQ_BAD_REFERENCE).astype(np.int16),
            sensitive=sensitive,
        )


def _ratio(whole_height: Curve | None, box: Curve | None, observed: Vector) -> Vector:
    """Return the light of the whole spectrum over that in the box; 1 without a PCTAB."""
    if whole_height is None:
        return np.ones_like(observed)
    return whole_height.at(observed) / (box.at(observed) if box else 1.0)


def _dispersion(wavelength: Vector) -> Vector:
    """Return Angstrom per pixel: half the difference of the neighbours, one-sided at the ends."""
    result = np.empty_like(wavelength)
    result[1:-1] = (wavelength[2:] - wavelength[:-2]) / 2.0
    result[0], result[-1] = wavelength[1] - wavelength[0], wavelength[-1] - wavelength[-2]
    return result


def _quantum_yield_factor(observed: Vector, gross: Floats, exposed: Exposed, box_height: np.float32) -> Floats:
    """Return by how much the noise is larger than that of as many independent electrons."""
    electrons = interpolate.linear(observed, YIELD_WAVELENGTHS, YIELD)
    width = float(box_height)
    signal = np.where(gross > 0, gross, np.float32(0)).astype(np.float64) * exposed.exptime
    dark = exposed.dark * width
    readout = exposed.read_noise * exposed.read_noise * width
    gain, n = exposed.gain, exposed.combined
    single = (signal + dark) * gain / n + readout
    several = (signal / electrons + dark) * gain / n + readout
    return np.sqrt(single / several).astype(np.float32)
