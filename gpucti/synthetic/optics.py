"""Where light of a wavelength falls, how much of it is seen, and what tables say about it: the spectrograph.

Positions along the chip are 0-based pixels, `line` is the row of a place in the slit at the middle column, before the
trace bends it away. The same numbers go into the reference tables.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gpucti.synthetic.instrument import (
    A2CENTER,
    APERTURES,
    AREA,
    GRATINGS,
    HC,
    PSF,
    REF_APER,
    SCALE,
    SIZE,
    TABLE_ROWS,
    Floats,
    Grating,
    SimulatedAperture,
    pixel_share,
    sensitivity_factor,
)

#: Incidence-angle terms: change of the dispersion coefficients per arcsec of offset from the reference slit.
INCIDENCE = (19.6, 2.0e-5)
#: Slope (1/pixel) by which the dispersion changes over the chip.
CURVATURE = 4.0e-6
#: Date at which the traces hold, and how fast they turn, degrees per year.
TRACE_MJD, TRACE_TURN = 51000.0, 0.0025
#: Samples of a fine spectrum per pixel; lines of a lamp per width of the chip.
FINE, LAMP_LINES = 10, 45
#: Most wavelengths of a lamp spectrum: tables count them in 16 bits.
LAMP_LENGTH = 32_000


@dataclass(frozen=True)
class Mode:
    """A grating at one central wavelength."""

    name: str
    cenwave: int

    @property
    def grating(self) -> Grating:
        """The grating."""
        return GRATINGS[self.name]

    @cached_property
    def table_coefficients(self) -> Floats:
        """Dispersion coefficients c0, c1, c2 of each of `TABLE_ROWS`: x = c0 + c1 L + c2 L**2, x counted from 1."""
        step, wave = self.grating.dispersion, float(self.cenwave)
        c1, c2 = 1.0 / step - 2.0 * CURVATURE * wave / step**2, CURVATURE / step**2
        place = (np.array(TABLE_ROWS) - 512.0) / 1024.0
        middle = 512.5 + 3.8 * place + 1.4 * place**2
        c0 = middle - wave / step + CURVATURE * (wave / step) ** 2
        return np.stack([c0, np.full_like(c0, c1), np.full_like(c0, c2)], axis=1)

    @cached_property
    def table_traces(self) -> Floats:
        """Trace of each of `TABLE_ROWS` at `TRACE_MJD`: rows above the line, by column."""
        x = (np.arange(SIZE) - SIZE // 2) / (SIZE / 2)
        place = (np.array(TABLE_ROWS)[:, np.newaxis] - 512.0) / 1024.0
        return np.asarray((1.6 + 0.6 * place) * x - (0.5 - 0.1 * place) * x**2 + 0.15 * x**3, dtype=np.float64)

    def traces(self, mjd: float) -> Floats:
        """Return the traces at a date."""
        angle = math.radians(TRACE_TURN * (mjd - TRACE_MJD) / 365.25)
        return np.asarray(self.table_traces - (np.arange(SIZE) - SIZE // 2) * math.tan(angle), dtype=np.float64)

    def displacement(self, line: Floats, mjd: float) -> Floats:
        """Return ``(lines, columns)``: how many rows above each line its light falls."""
        table = self.traces(mjd)
        place = np.interp(line + 1.0, TABLE_ROWS, np.arange(len(TABLE_ROWS), dtype=np.float64))
        low = np.minimum(place.astype(int), len(TABLE_ROWS) - 2)
        part = (place - low)[:, np.newaxis]
        return np.asarray((1.0 - part) * table[low] + part * table[low + 1], dtype=np.float64)

    def lines(self, mjd: float) -> Floats:
        """Return ``(rows, columns)``: the line whose light falls on each pixel."""
        rows = np.arange(SIZE, dtype=np.float64)
        return rows[:, np.newaxis] - self.displacement(rows, mjd)

    def wavelength(self, x: Floats, line: Floats, aperture: SimulatedAperture, shift: float) -> Floats:
        """Return the wavelength (Angstrom) at columns `x`, counted from 0, of lines; arrays that go together."""
        delta = aperture.offset1 - APERTURES[REF_APER].offset1
        c0, c1, c2 = self.table_coefficients.T
        constant = np.interp(line + 1.0, TABLE_ROWS, c0) + INCIDENCE[0] * delta + shift
        slope, offset = c1[0] + INCIDENCE[1] * delta, x + 1.0 - constant
        return np.asarray(2.0 * offset / (slope + np.sqrt(slope**2 + 4.0 * c2[0] * offset)), dtype=np.float64)

    @cached_property
    def fine(self) -> Floats:
        """Wavelengths of a fine grid that covers more than the chip, evenly spaced."""
        step = self.grating.dispersion
        return np.asarray(self.cenwave + np.arange(-700 * FINE, 700 * FINE + 1) * (step / FINE), dtype=np.float64)

    def detected(self, mjd: float, temperature: float) -> Floats:
        """Return electrons per second and Angstrom for 1 erg/s/cm**2/Angstrom, on the fine grid, without a slit."""
        trend = sensitivity_factor(self.name, self.fine, mjd, temperature)
        return np.asarray(AREA * self.grating.efficiency(self.fine) * trend * self.fine / HC, dtype=np.float64)

    # ---- what is looked at ------------------------------------------------------------------------------

    @property
    def continuum(self) -> Floats:
        """The star's continuum, 1 at the central wavelength, on the fine grid."""
        return np.asarray((self.cenwave / self.fine) ** 1.5, dtype=np.float64)

    def star_spectrum(self) -> Floats:
        """Return the star's spectrum, continuum and lines as the telescope resolves them, on the fine grid."""
        rng = self._rng("star")
        step, wave = self.grating.dispersion, self.fine
        flux = self.continuum
        for depth in rng.uniform(0.15, 0.7, 12):
            flux *= 1.0 - depth * _bump(wave, rng.uniform(wave[0], wave[-1]), step * rng.uniform(1.5, 6.0))
        for height in rng.uniform(0.5, 3.0, 4):
            flux += height * _bump(wave, rng.uniform(wave[0], wave[-1]), step * rng.uniform(1.2, 2.5))
        return np.asarray(flux, dtype=np.float64)

    def nebula_spectrum(self) -> Floats:
        """Return the spectrum of a nebula, brightest line 1, narrow lines on a weak continuum, on the fine grid."""
        rng = self._rng("nebula")
        step, wave = self.grating.dispersion, self.fine
        flux = np.full(wave.size, 0.01)
        heights = np.concatenate([[1.0], rng.uniform(0.05, 0.6, 8)])
        centres = self.cenwave + step * rng.uniform(-440.0, 440.0, heights.size)
        for height, centre in zip(heights, centres, strict=True):
            flux += height * _bump(wave, centre, 0.7 * step)
        return np.asarray(flux, dtype=np.float64)

    def nebula_profile(self, line: Floats) -> Floats:
        """Return how bright the nebula is along the slit, at most 1."""
        profile = 0.08 + 0.0 * line
        for centre, width, height in ((180.0, 60.0, 0.5), (430.0, 25.0, 0.9), (620.0, 110.0, 0.4), (880.0, 40.0, 0.7)):
            profile = profile + height * np.exp(-0.5 * ((line - centre) / width) ** 2)
        return np.asarray(np.minimum(profile, 1.0), dtype=np.float64)

    def through_slit(self, spectrum: Floats, aperture: SimulatedAperture) -> Floats:
        """Return a spectrum of light that fills the slit: blurred by the slit's width and the optics."""
        from scipy.ndimage import gaussian_filter1d, uniform_filter1d

        width = 2 * round(0.5 * (aperture.width / SCALE * FINE - 1.0)) + 1  # odd: an even one would shift the light
        blurred = uniform_filter1d(spectrum, width, mode="nearest")
        return np.asarray(
            sum(part * gaussian_filter1d(blurred, spread * FINE, mode="nearest") for part, spread in PSF),
            dtype=np.float64,
        )

    def _rng(self, what: str) -> np.random.Generator:
        return np.random.default_rng(zlib.crc32(f"{what} {self.name} {self.cenwave}".encode()))

    # ---- what falls on the chip -------------------------------------------------------------------------

    def expose_point(
        self, density: Floats, row: float, aperture: SimulatedAperture, shift: tuple[float, float], mjd: float
    ) -> tuple[Floats, Floats, Floats, Floats]:
        """Return the image of a star's spectrum, and per column wavelength, electrons and row of the trace.

        `density` is electrons per second and Angstrom on the fine grid, `row` the line of the star without shift.
        """
        line = np.array([row + shift[1]])
        edges = self.wavelength(np.arange(SIZE + 1.0) - 0.5, np.repeat(line, SIZE + 1), aperture, shift[0])
        electrons = np.diff(np.interp(edges, self.fine, self._cumulative(density)))
        trace = line[0] + self.displacement(line, mjd)[0]
        distance = np.arange(SIZE)[:, np.newaxis] - trace
        image = sum(part * pixel_share(distance, spread) for part, spread in PSF) * electrons
        wavelength = self.wavelength(np.arange(SIZE, dtype=np.float64), np.repeat(line, SIZE), aperture, shift[0])
        return np.asarray(image, dtype=np.float64), wavelength, electrons, trace

    def expose_slit(
        self, density: Floats, aperture: SimulatedAperture, shift: tuple[float, float], mjd: float
    ) -> Floats:
        """Return the image of even light of that spectrum in the slit, bars and ends in shadow.

        `density` is electrons per second, Angstrom and row on the fine grid, already blurred by the slit.
        """
        line, x = self.lines(mjd), np.arange(SIZE, dtype=np.float64)
        total = self._cumulative(density)
        light = np.interp(self.wavelength(x + 0.5, line, aperture, shift[0]), self.fine, total)
        light -= np.interp(self.wavelength(x - 0.5, line, aperture, shift[0]), self.fine, total)
        return np.asarray(light * slit_opening(line, aperture, shift[1]), dtype=np.float64)

    def _cumulative(self, density: Floats) -> Floats:
        steps = 0.5 * (density[1:] + density[:-1]) * np.diff(self.fine)
        return np.concatenate([[0.0], np.cumsum(steps)])


def slit_reference(aperture: SimulatedAperture, shift: float) -> float:
    """Return the line of the slit's centre."""
    return A2CENTER - 1.0 + shift + aperture.offset2 / SCALE


def slit_opening(line: Floats, aperture: SimulatedAperture, shift: float) -> Floats:
    """Return the part of each pixel, by its line, that neither a bar nor the slit's end shadows."""
    centre = slit_reference(aperture, shift)
    half = 0.5 * aperture.height / SCALE
    opening = np.clip(half + 0.5 - np.abs(line - centre), 0.0, 1.0)
    for place, width in aperture.bars:
        low, high = centre + (place - 0.5 * width) / SCALE, centre + (place + 0.5 * width) / SCALE
        opening = opening - np.clip(np.minimum(line + 0.5, high) - np.maximum(line - 0.5, low), 0.0, 1.0)
    return np.asarray(np.clip(opening, 0.0, 1.0), dtype=np.float64)


def lamp_spectrum(name: str) -> tuple[Floats, Floats]:
    """Return wavelengths (evenly spaced) and flux per Angstrom of a grating's lamp over all its settings.

    The brightest line has 1 per pixel or so at its peak; there is a weak continuum.
    """
    grating = GRATINGS[name]
    step, spread = grating.dispersion, 0.7 * grating.dispersion
    first, last = grating.shortest - 720.0 * step, grating.longest + 720.0 * step
    first = max(first, 0.2 * grating.shortest)
    wave = np.arange(first, last, max(0.2 * step, (last - first) / LAMP_LENGTH))
    rng = np.random.default_rng(zlib.crc32(f"lamp {name}".encode()))
    n = round(LAMP_LINES * (last - first) / (SIZE * step))
    flux = np.full(wave.size, 0.002)
    centres, heights = rng.uniform(first, last, n), 0.02 + 0.98 * rng.random(n) ** 3
    for centre, height in zip(centres, heights, strict=True):
        k = slice(*np.searchsorted(wave, (centre - 6.0 * spread, centre + 6.0 * spread)))
        flux[k] += height * _bump(wave[k], centre, spread)
    return wave, flux


def _bump(wave: Floats, centre: float, spread: float) -> Floats:
    return np.asarray(np.exp(-0.5 * ((wave - centre) / spread) ** 2), dtype=np.float64)
