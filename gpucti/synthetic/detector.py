"""The synthetic CCD: its bias, flats and dark current, what it collects, and how that becomes counts."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from gpucti.backends.base import Backend
from gpucti.correction.stack import add_cti_stack
from gpucti.detector import DQ_BLEMISH, DQ_HOT, DQ_OUTSIDE, DQ_SATURATED
from gpucti.model.pctetab import Pctetab
from gpucti.synthetic import scenes as simulate
from gpucti.synthetic.instrument import (
    ATODGAIN,
    BIAS_LEVEL,
    READ_NOISE,
    SATURATE,
    SERIAL,
    SIZE,
    VIRTUAL,
    Floats,
    dark_factor,
)

Bits = npt.NDArray[np.int16]

#: Amplifier of everything in a visit.
AMP = "D"
#: Dark current of ordinary pixels at `REF_TEMP` (electrons/s), part of the pixels that are warm from the start.
DARK_RATE, WARM_PART = 0.012, 0.02
#: Pixels that turn warm per day, limits of their rates (electrons/s), and the part that annealing cures.
NEW_PER_DAY, NEW_RATES, CURED = 220.0, (0.08, 20.0), 0.8
#: Cosmic rays per pixel and second.
COSMIC_RAYS = 8e-6
#: Side of the low-order flat; noise of the bias image, counts at gain 1.
LOW_SIZE, BIAS_NOISE = 64, 0.4
#: Slopes of the bias level, counts per row and per column, and columns in the middle of the bias section.
_ROW_SLOPE, _COLUMN_SLOPE, _SECTION = 1.1e-3, -2.4e-4, 8.0


@dataclass(frozen=True)
class WarmPixels:
    """Pixels that turn warm during the visit: places, rates (electrons/s), and from when to when (MJD)."""

    row: npt.NDArray[np.int64]
    column: npt.NDArray[np.int64]
    rate: Floats
    start: Floats
    end: Floats


@dataclass(frozen=True)
class BadPixel:
    """One line of a BPIXTAB: first column and row counted from 1, pixels, axis (1 along x, 2 along y), DQ bits."""

    x: int
    y: int
    length: int
    axis: int
    bits: int


class Detector:
    """A CCD with a history; the same seed gives the same one.

    Attributes
    ----------
    anneals : sequence of float
        Starts of the annealing periods, MJD.
    """

    def __init__(self, seed: int, anneals: tuple[float, ...], table: Pctetab, backend: Backend) -> None:
        self._seed, self.anneals = seed, anneals
        self._table, self._backend = table, backend

    def rng(self, what: str) -> np.random.Generator:
        """Return the source of randomness of one thing, independent of all others."""
        return np.random.default_rng([self._seed, zlib.crc32(what.encode())])

    # ---- what it is -------------------------------------------------------------------------------------

    @cached_property
    def hot_columns(self) -> list[tuple[int, int, float]]:
        """Columns that leak in the bias: column, row from which on (away from the amplifier), counts at gain 1.

        Most are too weak to be told in the overscan, where they tilt its fit; two are strong enough.
        """
        rng = self.rng("hot columns")
        counts = np.concatenate([rng.uniform(3.0, 20.0, 10), rng.uniform(120.0, 200.0, 2)])
        columns, rows = rng.integers(30, SIZE - 30, counts.size), rng.integers(40, SIZE, counts.size)
        return list(zip(columns.tolist(), rows.tolist(), counts.tolist(), strict=True))

    @cached_property
    def bias(self) -> Floats:
        """Bias structure, electrons, ``(VIRTUAL + SIZE, SIZE)``: the virtual overscan has it too, below row 0."""
        rng = self.rng("bias")
        columns = rng.normal(0.0, 0.25, SIZE)
        place = np.linspace(-1.0, 1.0, SIZE + VIRTUAL)[:, np.newaxis]
        structure = columns + 0.3 * place**2 - 0.1
        for column, row, counts in self.hot_columns:
            structure[: row + VIRTUAL, column] += counts
        return np.asarray(structure, dtype=np.float64)

    @cached_property
    def bad_pixels(self) -> tuple[BadPixel, ...]:
        """What the BPIXTAB lists; a bad column has the bit of bad detector pixels, those outside too."""
        rng = self.rng("bad pixels")
        rows = [BadPixel(c + 1, 1, r + 1, 2, DQ_OUTSIDE) for c, r, _ in self.hot_columns if r > SIZE // 2][:5]
        for x, y, length in zip(
            rng.integers(2, SIZE - 9, 40), rng.integers(2, SIZE, 40), rng.integers(1, 5, 40), strict=True
        ):
            rows.append(BadPixel(int(x), int(y), int(length), 1, DQ_BLEMISH))
        rows.append(BadPixel(1, 1, SIZE, 2, DQ_OUTSIDE))
        return tuple(rows)

    @cached_property
    def bad_bits(self) -> Bits:
        """DQ bits of the BPIXTAB, ``(SIZE, SIZE)``."""
        bits = np.zeros((SIZE, SIZE), np.int16)
        for pixel in self.bad_pixels:
            along = slice(pixel.x - 1, pixel.x - 1 + pixel.length), slice(pixel.y - 1, pixel.y)
            up = slice(pixel.x - 1, pixel.x), slice(pixel.y - 1, pixel.y - 1 + pixel.length)
            columns, rows = along if pixel.axis == 1 else up
            bits[rows, columns] |= pixel.bits
        return bits

    @cached_property
    def bias_bits(self) -> Bits:
        """DQ bits of the bias images."""
        bits = np.zeros((SIZE, SIZE), np.int16)
        for column, row, _ in self.hot_columns:
            bits[:row, column] = DQ_HOT
        return bits

    def bias_image(self, gain: int) -> Floats:
        """Return what the bias reference image holds, counts: structure and a little noise."""
        noise = self.rng(f"bias image {gain}").normal(0.0, BIAS_NOISE, (SIZE, SIZE))
        return np.asarray((self.bias[VIRTUAL:] + noise) / ATODGAIN[gain], dtype=np.float32).astype(np.float64)

    @cached_property
    def pixel_flat(self) -> Floats:
        """Response of each pixel relative to its surroundings, as single-precision files hold it."""
        flat = self.rng("pixel flat").normal(1.0, 0.009, (SIZE, SIZE))
        flat[(self.bad_bits & DQ_BLEMISH) != 0] *= 0.85
        return flat.astype(np.float32).astype(np.float64)

    @cached_property
    def low_flat(self) -> Floats:
        """Large-scale response on a coarse grid, mean 1."""
        from scipy.ndimage import gaussian_filter

        rough = gaussian_filter(self.rng("low flat").normal(0.0, 1.0, (LOW_SIZE, LOW_SIZE)), 9.0, mode="reflect")
        y, x = np.mgrid[-1.0 : 1.0 : LOW_SIZE * 1j, -1.0 : 1.0 : LOW_SIZE * 1j]
        flat = 1.0 + 0.015 * rough / rough.std() - 0.04 * (x**2 + y**2)
        return np.asarray(flat / flat.mean(), dtype=np.float32).astype(np.float64)

    @cached_property
    def flat(self) -> Floats:
        """Response of each pixel: what FLATCORR divides by."""
        block = SIZE // LOW_SIZE
        place = (np.arange(SIZE) - 0.5 * (block - 1)) / block
        low = np.clip(place.astype(int), 0, LOW_SIZE - 2)
        part = place - low  # beyond the centres of the outer blocks the lines go straight on
        rows = (1.0 - part)[:, np.newaxis] * self.low_flat[low] + part[:, np.newaxis] * self.low_flat[low + 1]
        return np.asarray(self.pixel_flat * ((1.0 - part) * rows[:, low] + part * rows[:, low + 1]), dtype=np.float64)

    @cached_property
    def dark_base(self) -> Floats:
        """Dark rate at `REF_TEMP` before the first annealing period, electrons/s; larger away from the amplifier."""
        scene = simulate.dark((SIZE, SIZE), self.rng("dark"), 1.0, rate=DARK_RATE, warm_fraction=WARM_PART)
        return np.ascontiguousarray(scene[::-1])  # amplifier D reads the last row first

    @cached_property
    def warm_pixels(self) -> WarmPixels:
        """Pixels that turn warm during the visit."""
        rng = self.rng("warm pixels")
        first, last = self.anneals[0], self.anneals[-1]
        n = rng.poisson(NEW_PER_DAY * (last - first))
        start = rng.uniform(first, last, n)
        cure = np.array(self.anneals)[np.searchsorted(self.anneals, start, side="right")]
        low, high = (limit**-0.9 for limit in NEW_RATES)
        rate = (low - rng.random(n) * (low - high)) ** (-1.0 / 0.9)
        end = np.where(rng.random(n) < CURED, cure, np.inf)
        row, column = rng.integers(0, SIZE, n), rng.integers(0, SIZE, n)
        return WarmPixels(row, column, np.asarray(rate, dtype=np.float64), start, end)

    def dark_rate(self, mjd: float) -> Floats:
        """Return the dark rate at a date and at `REF_TEMP`, electrons/s, ``(SIZE, SIZE)``."""
        warm, rate = self.warm_pixels, self.dark_base.copy()
        alive = (warm.start <= mjd) & (mjd < warm.end)
        np.add.at(rate, (warm.row[alive], warm.column[alive]), warm.rate[alive])
        return rate

    # ---- what it does -----------------------------------------------------------------------------------

    def collect(
        self, expected: Floats, exptime: float, mjd: float, temperature: float, rng: np.random.Generator
    ) -> tuple[Floats, Floats]:
        """Return the charge at the end of an exposure and the expected dark current in it, both in electrons.

        `expected` is what a perfect detector would collect from the sky; the flat, the dark current, photon noise and
        cosmic rays are added here.
        """
        dark = self.dark_rate(mjd) * (exptime * dark_factor(temperature))
        charge = rng.poisson(expected * self.flat + dark).astype(np.float64)
        rays = np.zeros_like(charge)
        simulate.add_cosmic_rays(rays, rng, int(rng.poisson(COSMIC_RAYS * exptime * SIZE * SIZE)))
        charge += np.rint(rays)
        return charge, dark

    def transfer(self, charge: Floats, mjd: float) -> Floats:
        """Return the charge as it arrives at the amplifier, with the virtual overscan: ``(VIRTUAL + SIZE, SIZE)``.

        The overscan rows are read after the last row of the image and hold what the traps release then.
        """
        frame = np.zeros((1, SIZE + VIRTUAL, SIZE))
        frame[0, VIRTUAL:] = charge
        trailed = add_cti_stack(
            frame, mjd=np.array([mjd]), gain=np.ones(1), amp=AMP, pctetab=self._table,
            shft_nit=self._table.defaults.shft_nit, backend=self._backend,
        )  # fmt: skip
        return np.asarray(trailed[0], dtype=np.float64)

    def digitise(self, arrived: Floats, gain: int, rng: np.random.Generator) -> npt.NDArray[np.uint16]:
        """Return a raw frame with its overscan, counts, from charge that arrived at the amplifier."""
        per_count = ATODGAIN[gain]
        rows, columns = SIZE + VIRTUAL, SIZE + 2 * SERIAL
        level = BIAS_LEVEL + rng.normal(0.0, 0.4)
        row, column = np.arange(rows)[:, np.newaxis], np.arange(columns)
        counts = level + _ROW_SLOPE * (row - 0.5 * rows) + _COLUMN_SLOPE * (column - _SECTION)
        counts[:, SERIAL:-SERIAL] += (arrived + self.bias) / per_count
        counts += rng.normal(0.0, READ_NOISE[gain] / per_count, counts.shape)
        return np.clip(np.floor(counts + 0.5), 0, SATURATE + 40).astype(np.uint16)

    def subtract_bias(self, raw: npt.NDArray[np.uint16], gain: int) -> tuple[Floats, Floats, Bits, float]:
        """Return counts, errors, DQ and mean bias level of a raw frame without overscan, bias level and bias.

        A short way for component darks: the slopes of the level are known here and need not be measured.
        """
        level = float(raw[VIRTUAL:, 1:16].mean(dtype=np.float64))  # the section that CalSTIS takes for this amplifier
        row, column = np.arange(SIZE)[:, np.newaxis], np.arange(SIZE)
        slope = _ROW_SLOPE * (row - 0.5 * (SIZE - 1)) + _COLUMN_SLOPE * (column + SERIAL - _SECTION)
        counts = raw[VIRTUAL:, SERIAL:-SERIAL] - level - slope
        noise, per_count = READ_NOISE[gain], ATODGAIN[gain]
        variance = (np.maximum(counts, 0.0) * per_count + noise**2) / per_count**2
        bits = (self.bad_bits | self.bias_bits).astype(np.int16)
        bits[raw[VIRTUAL:, SERIAL:-SERIAL] > SATURATE] |= DQ_SATURATED
        error = np.sqrt(variance + (BIAS_NOISE / per_count) ** 2)
        return counts - self.bias_image(gain), error, bits, level
