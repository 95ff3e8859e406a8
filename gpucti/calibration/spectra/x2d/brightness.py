"""FLUXCORR of a rectified spectrum: from counts to surface brightness, as CalSTIS does it (``cs7``: absflux.c)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gpucti.calibration.base import Trailer
from gpucti.calibration.reffiles import HeaderReferences, stored, stored_double
from gpucti.calibration.spectra.aperture import Slit, aperture_name
from gpucti.calibration.spectra.constants import AREA, CM_PER_ANGSTROM, LIGHT_CM_S, PLANCK
from gpucti.calibration.spectra.tables import Mode
from gpucti.calibration.spectra.throughput import (
    Curve,
    TimeDependence,
    read_aperture_throughput,
    read_height_factor,
    read_sensitivity,
    read_time_dependence,
)
from gpucti.calibration.spectra.x2d.grid import Grid
from gpucti.detector import DQ_BAD_REFERENCE
from gpucti.errors import ReferenceFileError

BUNIT = "erg /s /cm**2 /angstrom /arcsec**2"
#: DIFF2PT where no light passes the aperture.
UNDEFINED = -9999.0

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sensitivities:
    """What is known of the light's way: all that FLUXCORR of an exposure needs.

    Attributes
    ----------
    response : Curve
        Of telescope and grating, for an infinitely high extraction box (PHOTTAB).
    aperture : Curve
        For a point source (APERTAB).
    height : Curve or None
        Factor from the standard box to everything, at the wavelengths of `response` (PCTAB).
    time : TimeDependence or None
        Change since the reference date (TDSTAB).
    """

    response: Curve
    aperture: Curve
    height: Curve | None
    time: TimeDependence | None

    @classmethod
    def read(cls, references: HeaderReferences, trailer: Trailer) -> Sensitivities:
        """Read the tables that a header names.

        Raises
        ------
        ReferenceFileError
            PHOTTAB or APERTAB are missing or have no row for the exposure, or a table holds what makes no sense.
        """
        mode, aperture = Mode.of(references.cards), aperture_name(references.cards)
        response = read_sensitivity(references, mode)
        through = read_aperture_throughput(references, aperture)
        height = read_height_factor(references, mode, aperture, trailer)
        return cls(
            response=response,
            aperture=through,
            height=None if height is None else height.resampled(response.wavelengths),
            time=read_time_dependence(references, mode.opt_elem, trailer),
        )

    @property
    def history(self) -> tuple[str, ...]:
        """Return what tables these are from."""
        parts = (self.response, self.aperture, self.height, self.time)
        return tuple(line for part in parts if part is not None for line in part.history)


@dataclass(frozen=True, eq=False)
class Brightness:
    """Factors from counts to surface brightness, a column each, and what the headers say of them.

    Attributes
    ----------
    factors : (columns,) float32
        1 where a column stays in counts.
    failed : (columns,) bool
        Columns that get `DQ_BAD_REFERENCE`.
    keywords : mapping
        DIFF2PT and its like, for the SCI header.
    counts : int
        Columns that stay in counts though nothing marks them: the PHOTTAB has no sensitivity there.
    """

    factors: npt.NDArray[np.float32]
    failed: npt.NDArray[np.bool_]
    keywords: dict[str, tuple[float, str]]
    counts: int

    def apply(self, sci: npt.NDArray[np.float32], err: npt.NDArray[np.float32], dq: npt.NDArray[np.int16]) -> None:
        """Multiply SCI and ERR, and set DQ, (rows, columns) each, in place."""
        sci *= self.factors
        err *= self.factors
        dq[:, self.failed] |= DQ_BAD_REFERENCE


def brightness(
    sensitivities: Sensitivities,
    grid: Grid,
    slit: Slit,
    wavelengths: Vector,
    *,
    gain: float,
    exptime: float,
    date: float,
    temperature: float,
) -> Brightness:
    """Return what turns counts of a rectified image into erg/s/cm**2/Angstrom/arcsec**2.

    A column without sensitivity stays in counts and is not marked, as in CalSTIS.

    Parameters
    ----------
    sensitivities : Sensitivities
        Of the exposure's mode.
    grid : Grid
        Of the rectified image.
    slit : Slit
        Its width counts.
    wavelengths : (columns,) float64
        As observed, Angstrom.
    gain : float
        Electrons per count.
    exptime : float
        Seconds, above zero.
    date : float
        EXPSTART, MJD.
    temperature : float
        Of the detector, degrees C; negative if unknown.

    Raises
    ------
    ReferenceFileError
        The tables give a factor that is no number.
    """
    good = wavelengths > 0
    response = sensitivities.response.at(wavelengths)
    times = None if sensitivities.time is None else sensitivities.time.factors(date, temperature)
    unit = PLANCK * LIGHT_CM_S * gain / (AREA * exptime * grid.cdelt[0] * grid.cdelt[1] * slit.width[0])
    usable = good & ~(response <= 0)
    with np.errstate(all="ignore"):  # looked at below
        factors = (unit / (response * (wavelengths * CM_PER_ANGSTROM))).astype(np.float32)
        factors = (factors.astype(np.float64) / (1.0 if times is None else times.at(wavelengths))).astype(np.float32)
        failed = ~good | (usable & (factors <= 0))
        through = sensitivities.aperture.at(wavelengths)
        if sensitivities.height is not None:
            through = through / sensitivities.height.at(wavelengths)
        mean = sum(through[good].tolist()) / len(wavelengths)
        point = np.float32(grid.cdelt[1] * slit.width[0])
        point = np.float32(float(point) / mean) if mean > 0 else np.float32(UNDEFINED)
    if not (np.isfinite(factors[usable]).all() and np.isfinite(point)):
        names = [line for line in sensitivities.history if not line.startswith("    ")]
        raise ReferenceFileError(
            f"the sensitivities at {wavelengths[0]:.6g} to {wavelengths[-1]:.6g} Angstrom give infinite fluxes; look "
            f"for zeros in {', '.join(' '.join(name.split()) for name in names)}"
        )
    factors[~usable | failed] = 1
    line = np.float32(grid.cdelt[0] * slit.width[0] / grid.plate_scale[0])
    keywords = {
        "DIFF2PT": (stored(point), "[arcsec**2] surface brightness to point source"),
        "CONT2EML": (stored(line), "flux of a continuum to that of a line"),
        "SCALE_A1": (stored(grid.plate_scale[0]), "[arcsec/pixel] along the dispersion"),
        "OMEGAPIX": (stored_double(grid.plate_scale[0] * grid.plate_scale[1]), "[arcsec**2] area of a pixel"),
    }
    return Brightness(factors, failed, keywords, int((good & ~usable).sum()))
