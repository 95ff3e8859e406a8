"""What the synthetic instrument is: constants, gratings, slits, and the point-spread function."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gpucti.detector import DARK_SLOPE, DARK_TEMPERATURE, FULL_ROWS, OVERSCAN_COLS, OVERSCAN_ROWS
from gpucti.errors import InputError

Floats = npt.NDArray[np.float64]

#: Illuminated rows and columns; physical overscan columns on each side; virtual overscan rows.
SIZE, SERIAL, VIRTUAL = FULL_ROWS, OVERSCAN_COLS, OVERSCAN_ROWS
#: Arcseconds per pixel.
SCALE = 0.05078
#: Electrons per count and read noise in electrons by CCDGAIN, as single-precision tables hold them.
ATODGAIN = {gain: float(np.float32(value)) for gain, value in {1: 1.0, 2: 2.0, 4: 4.016, 8: 8.07}.items()}
READ_NOISE = {1: 5.6, 2: 5.9, 4: 7.9, 8: 12.4}
#: Bias level and largest raw value that is not saturated, counts.
BIAS_LEVEL, SATURATE = 1504.0, 33000
#: Collecting area of the telescope in cm**2, and Planck's constant times the speed of light in erg Angstrom, both as
#: CalSTIS has them.
AREA, HC = 45238.93416, 6.6260755e-27 * 29979245800.0 * 1e8
#: Dark rate against temperature: ``1 + DRK_VS_T * (T - REF_TEMP)``.
REF_TEMP, DRK_VS_T = DARK_TEMPERATURE, DARK_SLOPE
#: Row (counted from 1) of the slit's centre, and the rows for which dispersion and trace are tabulated.
A2CENTER, TABLE_ROWS = 514.0, (1.0, 256.0, 512.0, 768.0, 1024.0)
#: Point-spread function: parts and standard deviations (pixels) of two round Gaussians.
PSF = ((0.82, 0.68), (0.18, 2.2))
#: Aperture at which the dispersion relations hold.
REF_APER = "52X0.1"


@dataclass(frozen=True)
class Grating:
    """A first-order CCD grating.

    Attributes
    ----------
    shortest, longest : float
        Wavelength range over all settings, Angstrom.
    dispersion : float
        Angstrom per pixel.
    cenwave : int
        The setting that is used where none is named.
    peak, best, width : float
        Largest efficiency (telescope, grating and detector together), its wavelength, and how fast it falls off.
    lamp : (str, str)
        SCLAMP and LAMPSET of wavecals.
    """

    shortest: float
    longest: float
    dispersion: float
    cenwave: int
    peak: float
    best: float
    width: float
    lamp: tuple[str, str]

    def efficiency(self, wavelength: npt.ArrayLike) -> Floats:
        """Return the part of the photons that is detected, for a point source without slit losses."""
        offset = (np.asarray(wavelength, dtype=np.float64) - self.best) / self.width
        wave = 0.03 * np.sin(9.0 * offset)
        return np.asarray(self.peak * np.exp(-0.5 * offset**2) * (1.0 + wave), dtype=np.float64)


#: Ranges and dispersions: STIS Instrument Handbook. Efficiencies: of that order.
GRATINGS = {
    "G230LB": Grating(1680.0, 3060.0, 1.35, 2375, 0.030, 2900.0, 700.0, ("HITM1", "3.8")),
    "G230MB": Grating(1640.0, 3190.0, 0.15, 2697, 0.018, 2900.0, 650.0, ("LINE", "10.0")),
    "G430L": Grating(2900.0, 5700.0, 2.73, 4300, 0.075, 4700.0, 950.0, ("HITM1", "3.8")),
    "G430M": Grating(3020.0, 5610.0, 0.28, 4194, 0.060, 4600.0, 900.0, ("LINE", "10.0")),
    "G750L": Grating(5240.0, 10270.0, 4.92, 7751, 0.090, 6800.0, 1900.0, ("HITM1", "3.8")),
    "G750M": Grating(5450.0, 10140.0, 0.56, 6768, 0.080, 6900.0, 1700.0, ("LINE", "10.0")),
}


@dataclass(frozen=True)
class SimulatedAperture:
    """A slit, or the open field.

    Attributes
    ----------
    width, height : float
        Along and across the dispersion, arcsec.
    offset1, offset2 : float
        Place along and across the dispersion, arcsec.
    bars : tuple of (float, float)
        Centre and width of each occulting bar, arcsec from the slit's centre along the slit.
    throughput : (float, float)
        Part of a point source's light that passes, at 1500 and at 11000 Angstrom.
    """

    width: float
    height: float
    offset1: float
    offset2: float
    bars: tuple[tuple[float, float], ...]
    throughput: tuple[float, float]

    def transmission(self, wavelength: npt.ArrayLike) -> Floats:
        """Return the part of a point source's light that passes."""
        return np.interp(np.asarray(wavelength, dtype=np.float64), (1500.0, 11000.0), self.throughput)


_BARS = ((-10.8, 0.86), (11.6, 0.53))
APERTURES = {
    "52X0.05": SimulatedAperture(0.05, 52.0, 0.010, 0.020, _BARS, (0.58, 0.30)),
    "52X0.1": SimulatedAperture(0.1, 52.0, 0.0, 0.030, _BARS, (0.75, 0.45)),
    "52X0.2": SimulatedAperture(0.2, 52.0, -0.020, 0.045, _BARS, (0.86, 0.72)),
    "52X0.5": SimulatedAperture(0.5, 52.0, -0.035, 0.040, _BARS, (0.94, 0.90)),
    "52X2": SimulatedAperture(2.0, 52.0, -0.050, 0.015, _BARS, (0.99, 0.98)),
    "50CCD": SimulatedAperture(50.0, 50.0, 0.0, 0.0, (), (1.0, 1.0)),
    "F28X50LP": SimulatedAperture(28.0, 50.0, 0.0, 0.0, (), (1.0, 1.0)),
}
SLITS = tuple(name for name in APERTURES if name.startswith("52X"))


def grating(name: str) -> Grating:
    """Return a grating by name, or raise `InputError`."""
    if name not in GRATINGS:
        raise InputError(f"grating is {name!r}; expected one of {', '.join(GRATINGS)}")
    return GRATINGS[name]


def pixel_share(distance: npt.ArrayLike, spread: npt.ArrayLike) -> Floats:
    """Return the part of a Gaussian that falls into a pixel whose centre is `distance` pixels away, one dimension."""
    from scipy.special import erf

    scale = math.sqrt(0.5) / np.asarray(spread, dtype=np.float64)
    place = np.asarray(distance, dtype=np.float64)
    return np.asarray(0.5 * (erf((place + 0.5) * scale) - erf((place - 0.5) * scale)), dtype=np.float64)


def enclosed(height: npt.ArrayLike) -> Floats:
    """Return the part of a point source's light that an extraction box of this many rows round it holds.

    A row at the edge counts by the part of it that lies inside, as if its light were even: on average that is a
    profile broadened by a pixel's width.
    """
    from scipy.special import erf

    half = 0.5 * np.asarray(height, dtype=np.float64)
    broad = [(part, math.sqrt(spread**2 + 1.0 / 12.0)) for part, spread in PSF]
    return np.asarray(sum(part * erf(half * math.sqrt(0.5) / spread) for part, spread in broad), dtype=np.float64)


def dark_factor(temperature: float) -> float:
    """Return the dark rate at a housing temperature (deg C) in units of that at `REF_TEMP`."""
    return 1.0 + DRK_VS_T * (temperature - REF_TEMP)


def sensitivity_trend(name: str, wavelength: npt.ArrayLike) -> tuple[Floats, Floats, Floats, Floats]:
    """Return times (MJD), slopes (percent per year), intercepts and temperature coefficients (per deg C) of an element.

    Slopes and intercepts are ``(times, wavelengths)``; the pieces join. For imaging only temperature matters.
    """
    place = np.asarray(wavelength, dtype=np.float64)
    times = np.array([51000.0, 53000.0, 55500.0, 58000.0])
    rates = np.zeros((4, place.size))
    if name in GRATINGS:
        ripple = 0.08 * np.sin(place / 700.0)
        rates += np.array([-0.15, -0.25, -0.40, -0.20])[:, np.newaxis] + np.outer([1.0, 0.0, 1.0, 0.5], ripple)
    intercepts = np.ones_like(rates)
    for k in range(1, len(times)):
        years = (times[k] - times[0]) / 365.25
        intercepts[k] = intercepts[k - 1] + years * (rates[k - 1] - rates[k]) / 100.0
    heat = 0.002 + 0.0004 * np.sin(place / 500.0) if name in GRATINGS else np.full(place.size, 0.001)
    return times, rates, intercepts, heat


#: Temperature at which the sensitivities hold, deg C.
SENSITIVITY_TEMP = 19.0


def trend_grid(name: str) -> Floats:
    """Return the wavelengths at which the trends of an element are tabulated."""
    if name in GRATINGS:
        return np.linspace(GRATINGS[name].shortest - 200.0, GRATINGS[name].longest + 200.0, 12)
    return np.linspace(3000.0, 10000.0, 12)


def sensitivity_factor(name: str, wavelength: npt.ArrayLike, mjd: float, temperature: float) -> Floats:
    """Return the sensitivity at a date and temperature in units of the tabulated one, read as a TDSTAB is read."""
    grid = trend_grid(name)
    times, rates, intercepts, heat = sensitivity_trend(name, grid)
    k = max(int(np.searchsorted(times, mjd, side="right")) - 1, 0)
    factor = (mjd - times[0]) / 365.25 * rates[k] / 100.0 + intercepts[k]
    factor = factor * (1.0 + heat * (temperature - SENSITIVITY_TEMP))
    return np.asarray(np.interp(np.asarray(wavelength, dtype=np.float64), grid, factor), dtype=np.float64)
