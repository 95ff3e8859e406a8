"""Images as pictures need them: of any STIS detector, shape and mode, with the coordinates of their pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from gpucti.detector import AMPS, DQ_SERIOUS
from gpucti.errors import InputError
from gpucti.io.cards import Cards
from gpucti.io.fitsfile import image_shape, is_null, read_image
from gpucti.plots.style import text_of

Image = npt.NDArray[np.float64]
#: Left, right, lower and upper edge.
Edges = tuple[float, float, float, float]
Range = tuple[float, float] | None

#: The extension of a peak-up: the counts at each step of the search.
PEAKUP = "PEAKUP"
#: What the image sets of an acquisition show, by EXTVER.
ACQ_STAGES = ("as pointed", "after the coarse slew", "reference aperture, lamp")
#: Units of reference images that have no BUNIT, by FILETYPE.
_REFERENCE_UNITS = {"DARK IMAGE": "ELECTRONS/S", "BIAS IMAGE": "COUNTS"}


@dataclass(frozen=True, eq=False)
class Frame:
    """One image to draw.

    Attributes
    ----------
    path : Path
        The file.
    extension : {"SCI", "PEAKUP"}
        EXTNAME.
    number, count : int
        EXTVER, and how many image sets the file has.
    primary : fits.Header
        Primary header.
    cards : Cards
        Header of the extension.
    pixels : (rows, cols) float64
        As stored.
    err, dq : (rows, cols), optional
        None where the file has none of this size.
    """

    path: Path
    extension: str
    number: int
    count: int
    primary: fits.Header
    cards: Cards
    pixels: Image
    err: Image | None = None
    dq: npt.NDArray[np.int64] | None = None

    def says(self, name: str) -> str:
        """Return a keyword of the primary header as text in capitals, empty if there is none."""
        return text_of(self.primary, name).upper()

    @property
    def unit(self) -> str:
        """BUNIT, or what the pixels of such a reference image are."""
        unit = text_of(self.cards.header, "BUNIT")
        return unit or (_REFERENCE_UNITS.get(self.says("FILETYPE"), "") if self.says("DETECTOR") == "CCD" else "")

    @property
    def has_bias(self) -> bool:
        """Whether the bias level is still in the pixels."""
        return self.says("DETECTOR") == "CCD" and self.says("BLEVCORR") == "PERFORM"

    @property
    def rectified(self) -> bool:
        """Whether this is a rectified spectrum: wavelengths along the rows."""
        return self.says("OBSTYPE") == "SPECTROSCOPIC" and self.says("X2DCORR") == "COMPLETE"

    @property
    def subarray(self) -> bool:
        """Whether this is a part of the detector, and the header says which."""
        return self.primary.get("SUBARRAY") is True and {"LTV1", "LTV2"} <= set(self.cards.header)

    @property
    def stage(self) -> str:
        """What an image of an acquisition shows, empty for others."""
        if self.says("OBSMODE") == "ACQ/PEAK":
            return "counts at each step" if self.extension == PEAKUP else "confirmation image"
        acquisition = self.says("OBSMODE") == "ACQ" and self.count == len(ACQ_STAGES) >= self.number > 0
        return ACQ_STAGES[self.number - 1] if acquisition else ""

    @property
    def kind(self) -> tuple[object, ...]:
        """What two images must have in common to be drawn on one scale."""
        mode = tuple(self.says(name) for name in ("OBSTYPE", "OBSMODE", "SCLAMP", "CCDGAIN"))
        return self.extension, self.unit, self.has_bias, self.rectified, self.stage == ACQ_STAGES[-1], mode

    @property
    def image(self) -> Image:
        """The pixels; NaN where a rectified image has none of the detector."""
        if not self.rectified or self.err is None:
            return self.pixels
        return np.where((self.pixels == 0) & (self.err == 0), np.nan, self.pixels)

    @property
    def flagged(self) -> npt.NDArray[np.bool_] | None:
        """Where one of the bits of SDQFLAGS is set."""
        if self.dq is None:
            return None
        flagged: npt.NDArray[np.bool_] = (self.dq & self.cards.whole("SDQFLAGS", default=DQ_SERIOUS)) != 0
        return flagged

    @property
    def readout(self) -> str:
        """Where it was read out: ``top``, ``bottom``, or empty."""
        amp = self.says("CCDAMP")
        return "" if amp not in AMPS or self.extension == PEAKUP else "top" if amp in "CD" else "bottom"

    def edges(self) -> Edges:
        """Return the edges of the image.

        Angstrom and arcseconds if rectified, pixels of the unbinned detector for a subarray, else pixels of the image,
        from 1.
        """
        rows, cols = self.pixels.shape
        if self.rectified:
            return self._rectified_edges(rows, cols)
        if not self.subarray or self.extension == PEAKUP:
            return 0.5, cols + 0.5, 0.5, rows + 0.5
        (left, right), (lower, upper) = (
            self._on_detector(size, f"LTV{axis}", f"LTM{axis}_{axis}") for axis, size in ((1, cols), (2, rows))
        )
        return left, right, lower, upper

    def part(self, xrange: Range, yrange: Range) -> tuple[slice, slice]:
        """Return the part of the image that lies in ranges, in the units of the axes.

        Raises
        ------
        InputError
            None of it does, or the headers do not say where it lies.
        """
        if self.extension == PEAKUP:
            return slice(None), slice(None)
        edges, (rows, cols) = self.edges(), self.pixels.shape
        x, y = _pixels(edges[:2], cols, xrange), _pixels(edges[2:], rows, yrange)
        if x.start >= x.stop or y.start >= y.stop:
            raise InputError(
                f"nothing lies in the range; x runs from {edges[0]:g} to {edges[1]:g}, "
                f"y from {edges[2]:g} to {edges[3]:g}",
                where=self.path,
            )
        return y, x

    def _on_detector(self, size: int, shift: str, scale: str) -> tuple[float, float]:
        """Return the edges of an axis: pixel p of the image is (p - LTV) / LTM of the detector."""
        offset, step = float(self.cards.number(shift)), float(self.cards.number(scale, default=1.0))
        if not 0 < step <= 2:
            raise self.cards.wrong(f"{scale} is {step:g}; expected pixels of the image per pixel of the detector")
        low, high = ((edge - offset) / step for edge in (0.5, size + 0.5))
        return low, high

    def _rectified_edges(self, rows: int, cols: int) -> Edges:
        crpix, value, step = zip(
            *(
                tuple(float(self.cards.number(name)) for name in names)
                for names in (("CRPIX1", "CRVAL1", "CD1_1"), ("CRPIX2", "CRVAL2", "CD2_2"))
            ),
            strict=True,
        )
        if not (step[0] > 0 and step[1] > 0):
            raise self.cards.wrong(
                f"CD1_1, CD2_2 are {step[0]:g}, {step[1]:g}; expected Angstrom and degrees per pixel, above 0"
            )
        left, right = (value[0] + (edge - crpix[0]) * step[0] for edge in (0.5, cols + 0.5))
        lower, upper = ((edge - crpix[1]) * step[1] * 3600.0 for edge in (0.5, rows + 0.5))
        return left, right, lower, upper


def _pixels(edges: tuple[float, float], size: int, wanted: Range) -> slice:
    """Return the pixels of an axis that lie in a range."""
    if wanted is None:
        return slice(0, size)
    step = (edges[1] - edges[0]) / size
    low, high = (min(max((limit - edges[0]) / step, 0), size) for limit in wanted)
    return slice(math.floor(low), math.ceil(high))


def frames_of(hdus: fits.HDUList, path: Path) -> list[Frame]:
    """Return the images of a file, empty if it has none.

    Raises
    ------
    InputError
        It is of another instrument; an image is no plane of numbers; an EXTVER comes twice.
    """
    images = {name: _by_number(hdus, name, path) for name in ("SCI", "ERR", "DQ", PEAKUP)}
    if not images["SCI"] and not images[PEAKUP]:
        return []
    instrument = text_of(hdus[0].header, "INSTRUME").upper()
    if instrument != "STIS":
        raise InputError(f"INSTRUME is {instrument!r}; expected 'STIS'", where=f"{path}[0]")
    count = len(images["SCI"])
    return [
        _frame(extension, number, count, images, hdus[0].header, path)
        for extension in ("SCI", PEAKUP)
        for number in sorted(images[extension])
    ]


def _frame(
    extension: str, number: int, count: int, images: dict[str, dict[int, Any]], primary: fits.Header, path: Path
) -> Frame:
    hdu, where = images[extension][number], f"{path}[{extension},{number}]"
    pixels = _plane(hdu, where)
    beside: list[Image | None] = [None, None]
    if extension == "SCI":
        beside = [_beside(images[name].get(number), f"{path}[{name},{number}]", pixels.shape) for name in ("ERR", "DQ")]
    err, dq = beside
    return Frame(
        path=path,
        extension=extension,
        number=number,
        count=count,
        primary=primary,
        cards=Cards(hdu.header, where),
        pixels=pixels,
        err=err,
        dq=None if dq is None else np.nan_to_num(dq).astype(np.int64),
    )


def _by_number(hdus: Sequence[Any], name: str, path: Path) -> dict[int, fits.ImageHDU]:
    """Return the image extensions of a name, by EXTVER."""
    found: dict[int, fits.ImageHDU] = {}
    for index, hdu in enumerate(hdus[1:], start=1):
        if isinstance(hdu, fits.ImageHDU) and hdu.name.strip().upper() == name:
            number = Cards(hdu.header, f"{path}[{index}]").whole("EXTVER", default=1)
            if number in found:
                raise InputError(f"a second extension {name},{number}; expected each once", where=f"{path}[{index}]")
            found[number] = hdu
    return found


def _plane(hdu: fits.ImageHDU, where: str) -> Image:
    """Return the pixels of an image, a null array expanded."""
    shape = image_shape(hdu, where)
    if len(shape) != 2 or 0 in shape:
        what = "holds no pixels (NAXIS = 0)" if is_null(hdu) else f"the shape is {shape}"
        raise InputError(f"{what}; expected rows and columns", where=where)
    return read_image(hdu, where).astype(np.float64)


def _beside(hdu: fits.ImageHDU | None, where: str, shape: tuple[int, ...]) -> Image | None:
    """Return the pixels of ERR or DQ, None where there are none of this shape."""
    return None if hdu is None or image_shape(hdu, where) != shape else _plane(hdu, where)
