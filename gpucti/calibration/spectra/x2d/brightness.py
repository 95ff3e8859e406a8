"""FLUXCORR of a rectified spectrum: from counts to surface brightness, as CalSTIS does it (``cs7``: absflux.c)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from gpucti.calibration.base import Trailer
from gpucti.calibration.reffiles import References, stored, stored_double
from gpucti.calibration.spectra.aperture import Aperture
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
from gpucti.errors import ReferenceFileError

#: Planck's constant, erg s; speed of light, cm/s; area of the telescope, cm**2; CalSTIS's values.
PLANCK, LIGHT, AREA = 6.6260755e-27, 29979245800.0, 45238.93416
CM_PER_ANGSTROM = 1e-8
#: Data-quality bit: could not be calibrated.
NOT_CALIBRATED = 512
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
    def read(
        cls,
        primary: fits.Header,
        mode: Mode,
        aperture: str,
        references: References,
        folder: Path,
        trailer: Trailer,
    ) -> Sensitivities:
        """Read the tables.

        Raises
        ------
        ReferenceFileError
            PHOTTAB or APERTAB are missing or have no row for the exposure, or a table holds what makes no sense.
        """
        response = read_sensitivity(primary, mode, references, folder)
        through = read_aperture_throughput(primary, aperture, references, folder)
        height = read_height_factor(primary, mode, aperture, references, folder, trailer)
        return cls(
            response=response,
            aperture=through,
            height=None if height is None else height.resampled(response.wavelengths),
            time=read_time_dependence(primary, mode.opt_elem, references, folder, trailer),
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
        Columns that get `NOT_CALIBRATED`.
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
        dq[:, self.failed] |= NOT_CALIBRATED


def brightness(
    sensitivities: Sensitivities,
    grid: Grid,
    aperture: Aperture,
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
    aperture : Aperture
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
    unit = PLANCK * LIGHT * gain / (AREA * exptime * grid.cdelt[0] * grid.cdelt[1] * aperture.width[0])
    usable = good & ~(response <= 0)
    with np.errstate(all="ignore"):  # looked at below
        factors = (unit / (response * (wavelengths * CM_PER_ANGSTROM))).astype(np.float32)
        factors = (factors.astype(np.float64) / (1.0 if times is None else times.at(wavelengths))).astype(np.float32)
        failed = ~good | (usable & (factors <= 0))
        through = sensitivities.aperture.at(wavelengths)
        if sensitivities.height is not None:
            through = through / sensitivities.height.at(wavelengths)
        mean = sum(through[good].tolist()) / len(wavelengths)
        point = np.float32(grid.cdelt[1] * aperture.width[0])
        point = np.float32(float(point) / mean) if mean > 0 else np.float32(UNDEFINED)
    if not (np.isfinite(factors[usable]).all() and np.isfinite(point)):
        names = [line for line in sensitivities.history if not line.startswith("    ")]
        raise ReferenceFileError(
            f"the sensitivities at {wavelengths[0]:.6g} to {wavelengths[-1]:.6g} Angstrom give infinite fluxes; look "
            f"for zeros in {', '.join(' '.join(name.split()) for name in names)}"
        )
    factors[~usable | failed] = 1
    line = np.float32(grid.cdelt[0] * aperture.width[0] / grid.plate_scale[0])
    keywords = {
        "DIFF2PT": (stored(point), "[arcsec**2] surface brightness to point source"),
        "CONT2EML": (stored(line), "flux of a continuum to that of a line"),
        "SCALE_A1": (stored(grid.plate_scale[0]), "[arcsec/pixel] along the dispersion"),
        "OMEGAPIX": (stored_double(grid.plate_scale[0] * grid.plate_scale[1]), "[arcsec**2] area of a pixel"),
    }
    return Brightness(factors, failed, keywords, int((good & ~usable).sum()))
