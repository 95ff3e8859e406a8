"""The steps of basic2d, one image set at a time, as the table `order.STEPS` has them.

Source: CalSTIS 3.5.0, `Do2D` and what it calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from gpucti.backends.base import Array, Backend
from gpucti.calibration.base import Trailer
from gpucti.calibration.basic2d import arithmetic, overscan
from gpucti.calibration.basic2d.arithmetic import Pixels
from gpucti.calibration.basic2d.ccdtab import convert, find_conversion, read_conversion
from gpucti.calibration.basic2d.dataquality import flag_bad_pixels, flag_outside, flag_saturation, read_field_of_view
from gpucti.calibration.basic2d.matching import image_grid, image_pixels, matched, shift_coordinates
from gpucti.calibration.basic2d.order import STEPS, Step
from gpucti.calibration.basic2d.photometry import photcorr, photmode
from gpucti.calibration.basic2d.setup import Setup
from gpucti.calibration.basic2d.temperature import detector_temperature, update_temperature
from gpucti.calibration.basic2d.velocity import heliocentric_velocity
from gpucti.calibration.reffiles import HeaderReferences, stored, stored_double
from gpucti.calibration.statistics import serious_bits
from gpucti.detector import DARK_SLOPE, DARK_TEMPERATURE, DQ_ALL
from gpucti.errors import ReferenceFileError
from gpucti.io.cards import Cards
from gpucti.io.exposure import Exposure
from gpucti.io.fitstables import ascii_text
from gpucti.io.pixelgrid import PixelGrid

_Place = tuple[PixelGrid, tuple[int, int]]


@dataclass
class Frame:
    """One image set on its way through the steps.

    Attributes
    ----------
    number : int
        EXTVER in the input.
    pixels : Pixels
        On the backend's device; replaced step by step.
    headers : tuple of three fits.Header
        Of SCI, ERR and DQ; changed step by step.
    cards : Cards
        The first of them.
    grid : PixelGrid
        Where the pixels lie on the detector.
    exptime : float
        Seconds.
    sdqflags : int
        Data-quality bits that make a pixel bad.
    ncombine : int
        Exposures in the sum.
    temperature : float
        Degrees C; -1 if not known.
    """

    number: int
    pixels: Pixels
    headers: tuple[fits.Header, fits.Header, fits.Header]
    cards: Cards
    grid: PixelGrid
    exptime: float
    sdqflags: int
    ncombine: int
    temperature: float

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, cols = self.pixels.sci.shape
        return rows, cols

    @property
    def place(self) -> _Place:
        """What reference images have to match."""
        return self.grid, self.shape


class Calibration:
    """The steps of one run, for all image sets of an exposure.

    Parameters
    ----------
    setup : Setup
        What to do; steps that turn out impossible move to ``skipped``.
    primary : Cards
        Of the product; changed.
    exposure : Exposure
        The input.
    references : HeaderReferences
        Of the input.
    backend, trailer, darkscale
        See `gpucti.calibration.basic2d.basic2d.basic2d`.
    """

    def __init__(
        self,
        setup: Setup,
        primary: Cards,
        exposure: Exposure,
        references: HeaderReferences,
        backend: Backend,
        trailer: Trailer,
        darkscale: tuple[float, ...],
    ) -> None:
        self._setup, self._primary, self._exposure, self._references = setup, primary, exposure, references
        self._backend, self._xp, self._trailer, self._darkscale = backend, backend.xp, trailer, darkscale
        self._masks: dict[_Place, Array] = {}
        self._matched: dict[tuple[str, _Place], Pixels | None] = {}
        self._dark_middle: dict[_Place, npt.NDArray[np.float32]] = {}

    def note(self, *lines: str) -> None:
        """Put lines into HISTORY and the trailer."""
        for line in lines:
            self._primary.header.add_history(ascii_text(line))
            self._trailer.say(line)

    def frame(self, n: int) -> Frame:
        """Return an image set, with temperature and velocity in its header."""
        imset = self._exposure.imsets[n]
        sci, err, dq = (header.copy() for header in imset.headers)
        cards = Cards(sci, self._exposure.sci_cards[n].where)
        start, end = (float(cards.number(name)) for name in ("EXPSTART", "EXPEND"))
        if self._exposure.switch("CRCORR") != "COMPLETE":
            update_temperature(cards, self._references, self._trailer)
        if self._setup.spectroscopic and not self._setup.wavecal:
            ra, dec = (self._primary.number(key) for key in ("RA_TARG", "DEC_TARG"))
            velocity = heliocentric_velocity(ra, dec, (start + end) / 2)
            sci["V_HELIO"] = (stored_double(velocity), "[km/s] radial velocity, Earth's motion only")
        return Frame(
            n + 1,
            Pixels(self._counts(imset.sci), self._counts(imset.err), self._xp.asarray(_bits(imset.dq, cards))),
            (sci, err, dq),
            cards,
            PixelGrid.of(cards),
            float(cards.number("EXPTIME")),
            int(serious_bits(cards.whole("SDQFLAGS", default=DQ_ALL))),
            max(cards.whole("NCOMBINE", default=1), 1),
            detector_temperature(cards),
        )

    def run(self, frame: Frame, *, first: bool) -> None:
        """Do all steps to one image set; the first one also writes switches, history and photometry."""
        self._trailer.say(f"imset {frame.number}")
        if first:
            self._primary.header["ATODGAIN"] = stored(self._setup.ccd.gain)
            self._primary.header["READNSE"] = stored(self._setup.ccd.read_noise)
            self.note("CCD parameters", *self._setup.sources["CCDTAB"])
        for step in STEPS:
            lines: list[str] | None = []
            if (first or not step.once) and (not step.part or step.name in self._setup.steps):
                lines = getattr(self, step.name.lower())(frame)
            if first:
                self._conclude(step, lines)

    def _conclude(self, step: Step, lines: list[str] | None) -> None:
        """Set the switch of a step and say what was done."""
        if lines is None:
            return
        sources = self._setup.sources.get(step.name, [])
        if not step.part:
            self.note(*lines)
        elif step.name in self._setup.skipped:
            self._primary.header[step.name] = "SKIPPED"
            self.note(f"{step.name} skipped: {self._setup.skipped[step.name]}", *sources)
        elif step.name in self._setup.steps:
            self._primary.header[step.name] = "COMPLETE"
            self.note(f"{step.name} complete", *lines, *sources)

    # The steps, each by the name of its row in `STEPS`; each returns lines for HISTORY, or None if it has
    # written history and switch itself.

    def dqicorr(self, frame: Frame) -> list[str]:
        """Flag saturated pixels, those outside the field of view, and bad ones."""
        sci, err, dq = frame.pixels
        dq = flag_saturation(sci, dq, self._setup.ccd.saturate, self._xp)
        if frame.place not in self._masks:
            mask = np.zeros(frame.shape, np.int16)
            field = read_field_of_view(self._primary, frame.cards, frame.grid, self._trailer)
            if field:
                flag_outside(mask, field, frame.grid, self._trailer)
            if self._setup.bad_pixels:
                flag_bad_pixels(mask, self._setup.bad_pixels, frame.grid)
                if self._setup.bad_pixels.ignored:
                    self._trailer.say(f"DQICORR: {self._setup.bad_pixels.ignored} rows of the BPIXTAB lie outside")
            self._masks[frame.place] = self._xp.asarray(mask)
        frame.pixels = Pixels(sci, err, dq | self._masks[frame.place])
        return []

    def atodcorr(self, frame: Frame) -> list[str]:
        """Replace raw counts by those of the table."""
        if frame.ncombine > 1:
            raise frame.cards.wrong(f"NCOMBINE is {frame.ncombine}; ATODCORR needs single raw exposures")
        table = self._setup.tables["ATODCORR"]
        row = find_conversion(table, self._setup.mode, frame.cards)
        if table.row_dummy(row):
            self._skip("ATODCORR", f"row {row + 1} of the ATODTAB is a dummy")
            return []
        sci, err, dq = frame.pixels
        sci, dq = convert(sci, dq, read_conversion(table, row), self._xp)
        frame.pixels = Pixels(sci, err, dq)
        return []

    def blevcorr(self, frame: Frame) -> list[str]:
        """Subtract the bias level and cut the overscan off."""
        ccd, shape = self._setup.ccd, frame.shape
        place = overscan.find_overscan(self._setup.mode.amp, shape, frame.grid.bin, frame.cards.where)
        if place is None:
            self._trailer.say(f"BLEVCORR: {shape[1]} x {shape[0]} pixels are too few for overscan")
            frame.pixels = frame.pixels._replace(sci=frame.pixels.sci - ccd.bias)
            self._write_level(frame, ccd.bias)
            return ["  bias level from the CCDTAB, no overscan", "  no drift along lines"]
        levels = overscan.bias_levels(frame.pixels, place, frame.sdqflags, ccd.bias, ccd.clip, self._backend)
        frame.pixels = overscan.subtract_levels(frame.pixels, place, levels, self._backend)
        shift_coordinates(frame.cards, frame.headers, (place.left, place.bottom))
        frame.grid = PixelGrid.of(frame.cards)
        self._write_level(frame, levels.mean)
        if levels.lines_left_out:
            self._trailer.say(f"BLEVCORR: {levels.lines_left_out} lines without good overscan")
        return [
            "  bias level from the overscan" if levels.fitted else "  bias level from the CCDTAB, no good overscan",
            "  drift along lines corrected" if levels.drift_fitted else "  no drift along lines",
        ]

    def _write_level(self, frame: Frame, level: np.float32) -> None:
        frame.cards.header["MEANBLEV"] = (stored(level), "mean bias level subtracted")
        self._trailer.say(f"mean bias level {level:.6g}")

    def make_errors(self, frame: Frame) -> list[str]:
        """Make the errors of raw data."""
        if frame.pixels.err.any():
            return []
        ccd = self._setup.ccd
        bias = np.float32(0) if "BLEVCORR" in self._setup.steps else ccd.bias
        err = arithmetic.initial_error(frame.pixels.sci, bias, ccd.gain, ccd.read_noise, self._xp)
        frame.pixels = frame.pixels._replace(err=err)
        return [f"errors made: read noise {ccd.read_noise:.5g}, gain {ccd.gain:.5g}"]

    def biascorr(self, frame: Frame) -> list[str]:
        """Subtract the bias image."""
        if self._setup.wavecal and self._binned("BIASCORR", frame) is None:
            self._skip("BIASCORR", "the bias is binned more than the wavecal")
            return []
        bias = arithmetic.scale(self._matching("BIASCORR", frame), frame.ncombine)
        frame.pixels = arithmetic.subtract(frame.pixels, bias, self._xp)
        return []

    def darkcorr(self, frame: Frame) -> list[str]:
        """Subtract the dark current."""
        dark = self._matching("DARKCORR", frame)
        factor = np.float32(self._dark_factor(frame) * frame.exptime / float(self._setup.ccd.gain))
        if frame.place not in self._dark_middle:
            self._dark_middle[frame.place] = _middle_values(dark, self._backend)
        median = _mean_of_middle(self._dark_middle[frame.place], factor)
        frame.cards.header["MEANDARK"] = (stored(median), "median of the dark subtracted")
        frame.pixels = arithmetic.subtract(frame.pixels, arithmetic.scale(dark, float(factor)), self._xp)
        return []

    def _dark_factor(self, frame: Frame) -> float:
        """Return what the dark is scaled by besides the exposure time."""
        if self._darkscale:
            return float(self._darkscale[min(frame.number, len(self._darkscale)) - 1])
        if frame.temperature <= 0:
            return 1.0
        dark = self._setup.images["DARKCORR"].cards
        reference = dark.number("REF_TEMP", default=DARK_TEMPERATURE)
        slope = dark.number("DRK_VS_T", default=DARK_SLOPE)
        factor = 1.0 + slope * (frame.temperature - reference)
        self._trailer.say(f"dark scaled by {factor:.6g} for {frame.temperature:.4g} degrees C")
        return factor

    def flatcorr(self, frame: Frame) -> list[str]:
        """Divide by the product of the flats."""
        frame.pixels = arithmetic.divide(frame.pixels, self._matching("FLATCORR", frame), self._xp)
        return []

    def shadcorr(self, frame: Frame) -> list[str]:
        """Divide by the shading of the shutter."""
        if frame.exptime <= 0:
            self._skip("SHADCORR", f"EXPTIME is {frame.exptime:g}")
            return []
        time = np.float32(frame.exptime / frame.ncombine)
        shading = arithmetic.scale(self._matching("SHADCORR", frame), 1 / float(time))
        frame.pixels = arithmetic.divide(frame.pixels, arithmetic.add_constant(shading, 1), self._xp)
        return []

    def write_photmode(self, frame: Frame) -> list[str]:
        """Write PHOTMODE."""
        self._primary.header["PHOTMODE"] = photmode(self._primary, frame.cards)
        return []

    def photcorr(self, frame: Frame) -> None:
        """Write what a count is worth, switch and history too."""
        photcorr(
            self._primary,
            frame.cards,
            gain=self._setup.ccd.gain,
            temperature=frame.temperature,
            references=self._references,
            trailer=self._trailer,
        )

    def _skip(self, step: str, why: str) -> None:
        """Leave a step out, here and in all image sets that follow."""
        self._setup.steps.discard(step)
        self._setup.skipped[step] = why

    def _matching(self, step: str, frame: Frame) -> Pixels:
        """Return the reference image of a step cut and binned to an image set, on the device."""
        pixels = self._binned(step, frame)
        if pixels is None:
            raise ReferenceFileError(
                f"binned more than the image ({frame.grid.bin}); use the {step} reference file for this mode",
                where=self._setup.images[step].path,
            )
        return pixels

    def _binned(self, step: str, frame: Frame) -> Pixels | None:
        """Return the reference image of a step, or None if its pixels are larger than those of the image set."""
        key = (step, frame.place)
        if key not in self._matched:
            if step == "FLATCORR" and self._setup.flat:
                pixels: Pixels | None = self._setup.flat.matched(frame.grid, frame.shape)
            else:
                image = self._setup.images[step]
                pixels = matched(
                    image_pixels(image),
                    image_grid(image),
                    frame.grid,
                    frame.shape,
                    average=step == "SHADCORR",
                    where=str(image.path),
                )
            self._matched[key] = pixels and Pixels(*(self._xp.asarray(array) for array in pixels))
        return self._matched[key]

    def _counts(self, pixels: npt.NDArray[Any]) -> Array:
        with np.errstate(over="ignore"):  # becomes infinity, as in C
            return self._xp.asarray(pixels.astype(np.float32, copy=False))


def _bits(dq: npt.NDArray[Any], cards: Cards) -> npt.NDArray[np.int16]:
    """Return data quality as 16-bit integers."""
    limits = np.iinfo(np.int16)
    if dq.dtype != np.int16 and (dq.min() < limits.min or dq.max() > limits.max):
        raise cards.wrong(f"data quality from {dq.min()} to {dq.max()}; expected 16-bit integers")
    return dq.astype(np.int16, copy=False)


def _middle_values(image: Pixels, backend: Backend) -> npt.NDArray[np.float32]:
    """Return the one or two middle values of SCI over the pixels without any flag; none if all are flagged."""
    values = image.sci[image.dq == 0]
    n = int(values.size)
    places = sorted({(n - 1) // 2, n // 2}) if n else []
    return backend.asnumpy(backend.xp.partition(values, places)[places] if n else values)


def _mean_of_middle(middle: npt.NDArray[np.float32], factor: np.float32) -> np.float32:
    """Return the median of scaled values; scaling and rounding keep the order, so that the middle ones stay so."""
    if not len(middle):
        return np.float32(0)
    scaled = middle if factor == 1 else factor * middle
    return np.float32(scaled[0] if len(scaled) == 1 else (scaled[0] + scaled[1]) / np.float32(2))
