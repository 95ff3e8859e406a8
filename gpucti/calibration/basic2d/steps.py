"""The steps of basic2d, one image set at a time, in CalSTIS's order (CalSTIS 3.5.0, `Do2D` and what it calls)."""

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
from gpucti.calibration.basic2d.dataquality import flag_bad_pixels, flag_outside, flag_saturation, read_aperture
from gpucti.calibration.basic2d.matching import image_grid, image_pixels, matched, shift_coordinates
from gpucti.calibration.basic2d.photometry import photcorr, photmode
from gpucti.calibration.basic2d.setup import Setup
from gpucti.calibration.basic2d.temperature import detector_temperature, update_temperature
from gpucti.calibration.basic2d.velocity import heliocentric_velocity
from gpucti.calibration.reffiles import References, stored, stored_double
from gpucti.calibration.statistics import serious_bits
from gpucti.detector import DARK_SLOPE, DARK_TEMPERATURE, DQ_ALL
from gpucti.errors import InputError, ReferenceFileError
from gpucti.io.cards import Cards
from gpucti.io.exposure import Exposure
from gpucti.io.fitsfile import integer_keyword, number_keyword
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
    where : str
        For messages.
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
    where: str
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
    primary : fits.Header
        Of the product; changed.
    exposure : Exposure
        The input.
    references, backend, trailer, darkscale
        See `gpucti.calibration.basic2d.basic2d.basic2d`.
    """

    def __init__(
        self,
        setup: Setup,
        primary: fits.Header,
        exposure: Exposure,
        references: References,
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
            self._primary.add_history(ascii_text(line))
            self._trailer.say(line)

    def frame(self, n: int) -> Frame:
        """Return an image set, with temperature and velocity in its header."""
        imset, where = self._exposure.imsets[n], f"{self._exposure.path}[SCI,{n + 1}]"
        sci, err, dq = (header.copy() for header in imset.headers)
        start, end = (float(number_keyword(sci, name, where)) for name in ("EXPSTART", "EXPEND"))
        if self._exposure.switch("CRCORR") != "COMPLETE":
            update_temperature(sci, self._exposure.path.parent, self._references, self._trailer, where)
        if self._setup.spectroscopic and not self._setup.wavecal:
            ra, dec = (
                number_keyword(self._primary, key, f"{self._exposure.path}[0]") for key in ("RA_TARG", "DEC_TARG")
            )
            velocity = heliocentric_velocity(ra, dec, (start + end) / 2)
            sci["V_HELIO"] = (stored_double(velocity), "[km/s] radial velocity, Earth's motion only")
        return Frame(
            n + 1,
            Pixels(self._counts(imset.sci), self._counts(imset.err), self._xp.asarray(_bits(imset.dq, where))),
            (sci, err, dq),
            where,
            PixelGrid.of(Cards(sci, where)),
            float(number_keyword(sci, "EXPTIME", where)),
            int(serious_bits(integer_keyword(sci, "SDQFLAGS", where, default=DQ_ALL))),
            max(integer_keyword(sci, "NCOMBINE", where, default=1), 1),
            detector_temperature(sci, where),
        )

    def run(self, frame: Frame, *, first: bool) -> None:
        """Do all steps to one image set; the first one also writes switches, history and photometry."""
        self._trailer.say(f"imset {frame.number}")
        if first:
            self._primary["ATODGAIN"] = stored(self._setup.ccd.gain)
            self._primary["READNSE"] = stored(self._setup.ccd.read_noise)
            self.note("CCD parameters", *self._setup.sources["CCDTAB"])
        for step, do in (
            ("DQICORR", self._flag),
            ("ATODCORR", self._convert),
            ("BLEVCORR", self._subtract_level),
            ("errors", self._make_errors),
            ("BIASCORR", self._subtract_bias),
            ("DARKCORR", self._subtract_dark),
            ("FLATCORR", self._divide_by_flat),
            ("SHADCORR", self._correct_shading),
        ):
            lines = do(frame) if step in self._setup.steps or step == "errors" else []
            if first:
                self._conclude(step, lines)
        if first:
            self._primary["PHOTMODE"] = photmode(self._primary, frame.headers[0])
            if "PHOTCORR" in self._setup.steps:
                photcorr(
                    self._primary,
                    frame.headers[0],
                    gain=self._setup.ccd.gain,
                    temperature=frame.temperature,
                    references=self._references,
                    folder=self._exposure.path.parent,
                    trailer=self._trailer,
                )

    def _conclude(self, step: str, lines: list[str]) -> None:
        """Set the switch of a step and say what was done."""
        if step == "errors":
            self.note(*lines)
        elif step in self._setup.skipped:
            self._primary[step] = "SKIPPED"
            self.note(f"{step} skipped: {self._setup.skipped[step]}", *self._setup.sources.get(step, []))
        elif step in self._setup.steps:
            self._primary[step] = "COMPLETE"
            self.note(f"{step} complete", *lines, *self._setup.sources.get(step, []))

    def _flag(self, frame: Frame) -> list[str]:
        """DQICORR."""
        sci, err, dq = frame.pixels
        dq = flag_saturation(sci, dq, self._setup.ccd.saturate, self._xp)
        if frame.place not in self._masks:
            mask = np.zeros(frame.shape, np.int16)
            aperture = read_aperture(self._primary, frame.headers[0], frame.grid, self._trailer, frame.where)
            if aperture:
                flag_outside(mask, aperture, frame.grid, self._trailer)
            if self._setup.bad_pixels:
                flag_bad_pixels(mask, self._setup.bad_pixels, frame.grid)
                if self._setup.bad_pixels.ignored:
                    self._trailer.say(f"DQICORR: {self._setup.bad_pixels.ignored} rows of the BPIXTAB lie outside")
            self._masks[frame.place] = self._xp.asarray(mask)
        frame.pixels = Pixels(sci, err, dq | self._masks[frame.place])
        return []

    def _convert(self, frame: Frame) -> list[str]:
        """ATODCORR."""
        table = self._setup.conversion
        if frame.ncombine > 1 or table is None:
            raise InputError(f"NCOMBINE is {frame.ncombine}; ATODCORR needs single raw exposures", where=frame.where)
        row = find_conversion(table, self._setup.mode, frame.headers[0], frame.where)
        if table.row_dummy(row):
            self._skip("ATODCORR", f"row {row + 1} of the ATODTAB is a dummy")
            return []
        sci, err, dq = frame.pixels
        sci, dq = convert(sci, dq, read_conversion(table, row), self._xp)
        frame.pixels = Pixels(sci, err, dq)
        return []

    def _subtract_level(self, frame: Frame) -> list[str]:
        """BLEVCORR."""
        ccd, shape = self._setup.ccd, frame.shape
        place = overscan.find_overscan(self._setup.mode.amp, shape, frame.grid.bin, frame.where)
        if place is None:
            self._trailer.say(f"BLEVCORR: {shape[1]} x {shape[0]} pixels are too few for overscan")
            frame.pixels = frame.pixels._replace(sci=frame.pixels.sci - ccd.bias)
            self._write_level(frame, ccd.bias)
            return ["  bias level from the CCDTAB, no overscan", "  no drift along lines"]
        levels = overscan.bias_levels(frame.pixels, place, frame.sdqflags, ccd.bias, ccd.clip, self._backend)
        frame.pixels = overscan.subtract_levels(frame.pixels, place, levels, self._backend)
        shift_coordinates(frame.headers, (place.left, place.bottom), frame.where)
        frame.grid = PixelGrid.of(Cards(frame.headers[0], frame.where))
        self._write_level(frame, levels.mean)
        if levels.lines_left_out:
            self._trailer.say(f"BLEVCORR: {levels.lines_left_out} lines without good overscan")
        return [
            "  bias level from the overscan" if levels.fitted else "  bias level from the CCDTAB, no good overscan",
            "  drift along lines corrected" if levels.drift_fitted else "  no drift along lines",
        ]

    def _write_level(self, frame: Frame, level: np.float32) -> None:
        frame.headers[0]["MEANBLEV"] = (stored(level), "mean bias level subtracted")
        self._trailer.say(f"mean bias level {level:.6g}")

    def _make_errors(self, frame: Frame) -> list[str]:
        """Make the errors of raw data, in BLEVCORR's place among the steps."""
        if frame.pixels.err.any():
            return []
        ccd = self._setup.ccd
        bias = np.float32(0) if "BLEVCORR" in self._setup.steps else ccd.bias
        err = arithmetic.initial_error(frame.pixels.sci, bias, ccd.gain, ccd.read_noise, self._xp)
        frame.pixels = frame.pixels._replace(err=err)
        return [f"errors made: read noise {ccd.read_noise:.5g}, gain {ccd.gain:.5g}"]

    def _subtract_bias(self, frame: Frame) -> list[str]:
        """BIASCORR."""
        if self._setup.wavecal and self._reference("BIASCORR", frame) is None:
            self._skip("BIASCORR", "the bias is binned more than the wavecal")
            return []
        bias = arithmetic.scale(self._matching("BIASCORR", frame), frame.ncombine)
        frame.pixels = arithmetic.subtract(frame.pixels, bias, self._xp)
        return []

    def _subtract_dark(self, frame: Frame) -> list[str]:
        """DARKCORR."""
        dark = self._matching("DARKCORR", frame)
        factor = np.float32(self._dark_factor(frame) * frame.exptime / float(self._setup.ccd.gain))
        if frame.place not in self._dark_middle:
            self._dark_middle[frame.place] = _middle_values(dark, self._backend)
        median = _mean_of_middle(self._dark_middle[frame.place], factor)
        frame.headers[0]["MEANDARK"] = (stored(median), "median of the dark subtracted")
        frame.pixels = arithmetic.subtract(frame.pixels, arithmetic.scale(dark, float(factor)), self._xp)
        return []

    def _dark_factor(self, frame: Frame) -> float:
        """Return what the dark is scaled by besides the exposure time."""
        if self._darkscale:
            return float(self._darkscale[min(frame.number, len(self._darkscale)) - 1])
        if frame.temperature <= 0:
            return 1.0
        dark = self._setup.images["DARKCORR"]
        try:
            reference = number_keyword(dark.primary, "REF_TEMP", f"{dark.path}[0]", default=DARK_TEMPERATURE)
            slope = number_keyword(dark.primary, "DRK_VS_T", f"{dark.path}[0]", default=DARK_SLOPE)
        except InputError as error:
            raise ReferenceFileError(str(error)) from error
        factor = 1.0 + slope * (frame.temperature - reference)
        self._trailer.say(f"dark scaled by {factor:.6g} for {frame.temperature:.4g} degrees C")
        return factor

    def _divide_by_flat(self, frame: Frame) -> list[str]:
        """FLATCORR."""
        frame.pixels = arithmetic.divide(frame.pixels, self._matching("FLATCORR", frame), self._xp)
        return []

    def _correct_shading(self, frame: Frame) -> list[str]:
        """SHADCORR."""
        if frame.exptime <= 0:
            self._skip("SHADCORR", f"EXPTIME is {frame.exptime:g}")
            return []
        time = np.float32(frame.exptime / frame.ncombine)
        shading = arithmetic.scale(self._matching("SHADCORR", frame), 1 / float(time))
        frame.pixels = arithmetic.divide(frame.pixels, arithmetic.add_constant(shading, 1), self._xp)
        return []

    def _skip(self, step: str, why: str) -> None:
        """Leave a step out, here and in all image sets that follow."""
        self._setup.steps.discard(step)
        self._setup.skipped[step] = why

    def _matching(self, step: str, frame: Frame) -> Pixels:
        """Return the reference image of a step cut and binned to an image set, on the device."""
        pixels = self._reference(step, frame)
        if pixels is None:
            raise ReferenceFileError(
                f"binned more than the image ({frame.grid.bin}); use the {step} reference file for this mode",
                where=self._setup.images[step].path,
            )
        return pixels

    def _reference(self, step: str, frame: Frame) -> Pixels | None:
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


def _bits(dq: npt.NDArray[Any], where: str) -> npt.NDArray[np.int16]:
    """Return data quality as 16-bit integers."""
    limits = np.iinfo(np.int16)
    if dq.dtype != np.int16 and (dq.min() < limits.min or dq.max() > limits.max):
        raise InputError(f"data quality from {dq.min()} to {dq.max()}; expected 16-bit integers", where=where)
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
