"""GEOCORR: an image resampled to a grid without the distortion of the optics (IDCTAB).

The rules are CalSTIS's (``cs7``: geocorr7.c, getidc.c, scalewcs.c; ``interp2d.c``). Values are samples: surface
brightness is kept, flux per pixel is not. Pixels are 0-based; the first coordinate, x, runs along columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from gpucti.backends.base import Array, Backend
from gpucti.calibration.base import Trailer
from gpucti.calibration.reffiles import References, reference_name, stored_double
from gpucti.calibration.statistics import do_statistics
from gpucti.detector import FULL_COLS, FULL_ROWS
from gpucti.errors import InputError, ReferenceFileError
from gpucti.io.exposure import Exposure, ImageSet, StisKeywords
from gpucti.io.fitsfile import integer_keyword, number_keyword, text_keyword

#: Largest order of the polynomials, and the order where NORDER is missing.
MAX_ORDER = 5
#: Data-quality bit of a pixel outside the image.
OUTSIDE = 4
#: SDQFLAGS where the keyword is missing: every bit counts.
ALL_BITS = 32767
#: Output rows treated at a time: temporaries stay in the processor's cache.
BLOCK_ROWS = 32
#: Pixels of a block on a GPU.
BLOCK_PIXELS_GPU = 1 << 24
#: Steps of the search for the corrected reference pixel.
INVERSE_STEPS = 3


@dataclass(frozen=True)
class PixelMap:
    """From unbinned pixels of the full frame to those of an image: ``image = reference * scale + offset``, (x, y)."""

    scale: tuple[float, float]
    offset: tuple[float, float]

    @classmethod
    def of(cls, header: fits.Header, where: str) -> PixelMap:
        """Read LTM1_1, LTM2_2, LTV1 and LTV2, which are 1-based."""
        scale = tuple(number_keyword(header, name, where, default=1) for name in ("LTM1_1", "LTM2_2"))
        shift = tuple(number_keyword(header, name, where, default=0) for name in ("LTV1", "LTV2"))
        if min(scale) <= 0:
            raise InputError(f"LTM1_1, LTM2_2 are {scale}; expected 1 over the binning", where=where)
        return cls((scale[0], scale[1]), (shift[0] + (scale[0] - 1), shift[1] + (scale[1] - 1)))

    def output_size(self, size: tuple[int, int], shape: tuple[int, int]) -> tuple[int, int]:
        """Return columns and rows of the rectified image.

        Parameters
        ----------
        size : (columns, rows)
            For an unbinned full frame.
        shape : (rows, columns)
            Of the image to be rectified: what a subarray lacks is taken off.
        """
        sizes = []
        for number, scale, have, full in zip(size, self.scale, shape[::-1], (FULL_COLS, FULL_ROWS), strict=True):
            sizes.append(_nint(number * scale) - max(_nint(full * scale) - have, 0))
        return sizes[0], sizes[1]


@dataclass(frozen=True, eq=False)
class Distortion:
    """One row of an IDCTAB: where the pixel of a corrected image lies in the distorted one.

    Attributes
    ----------
    size : (columns, rows)
        Of the corrected, unbinned full frame.
    scale : float
        Arcseconds per pixel.
    corrected, distorted : (x, y)
        Reference points, 0-based.
    cx, cy : (order + 1, order + 1) float64
        Coefficients ``[i, j]`` of ``x**j * y**(i - j)``, x and y in arcseconds.
    descrip : tuple of str
        PEDIGREE and DESCRIP of table and row.
    dummy : bool
        Whether the row only fills a place.
    """

    size: tuple[int, int]
    scale: float
    corrected: tuple[float, float]
    distorted: tuple[float, float]
    cx: npt.NDArray[np.float64]
    cy: npt.NDArray[np.float64]
    descrip: tuple[str, ...] = ()
    dummy: bool = False

    def __call__(self, x: Array, y: Array, xp: Any = np) -> tuple[Array, Array]:
        """Return the distorted position of corrected positions, all in unbinned pixels; `x` and `y` broadcast.

        The order of the operations is CalSTIS's; terms that are zero are left out.
        """
        order = len(self.cx) - 1
        xs, ys = [xp.ones_like(x)], [xp.ones_like(y)]
        x = (x - self.corrected[0]) * self.scale
        y = (y - self.corrected[1]) * self.scale
        for _ in range(order):
            xs.append(xs[-1] * x)
            ys.append(ys[-1] * y)
        places = []
        for start, coefficients in zip(self.distorted, (self.cx, self.cy), strict=True):
            place = xp.full(xp.broadcast(x, y).shape, start, dtype=np.float64)
            for i in range(order + 1):
                for j in range(i + 1):
                    if coefficients[i, j] != 0:
                        place += (float(coefficients[i, j]) * xs[j]) * ys[i - j]
            places.append(place)
        return places[0], places[1]


def read_distortion(exposure: StisKeywords, references: References) -> Distortion:
    """Return the distortion that an exposure's IDCTAB gives for its FILTER.

    Raises
    ------
    ReferenceFileError
        No table, no row with DIRECTION ``INVERSE``, a column is missing, or a number makes no sense.
    """
    table = references.table(references.required(exposure.primary, "IDCTAB", exposure.path.parent))
    chosen = {"DIRECTION": "INVERSE"}
    if table.has("FILTER"):
        chosen["FILTER"] = text_keyword(exposure.primary, "FILTER", f"{exposure.path}[0]", default="CLEAR").upper()
    row = table.row(**chosen)
    for name in ("CX10", "CX11", "CY10", "CY11"):
        table.column(name)
    try:
        order = integer_keyword(table.header, "NORDER", f"{table.path}[1]", default=MAX_ORDER)
    except InputError as error:
        raise ReferenceFileError(str(error)) from error
    if not 1 <= order <= MAX_ORDER:
        raise ReferenceFileError(f"NORDER is {order}; expected 1 to {MAX_ORDER}", where=f"{table.path}[1]")
    coefficients = np.zeros((2, order + 1, order + 1))
    for axis, letter in enumerate("XY"):
        for i in range(order + 1):
            for j in range(i + 1):
                name = f"C{letter}{i}{j}"
                if table.has(name):
                    coefficients[axis, i, j] = table.number(name, row)
    sizes = [table.number(name, row) for name in ("CXSIZE", "CYSIZE")]
    if any(size != int(size) or not 1 <= size <= 32767 for size in sizes):
        raise ReferenceFileError(f"CXSIZE, CYSIZE of row {row + 1} are {sizes}; expected pixels", where=table.path)
    texts = (table.pedigree_of(row), table.descrip, table.descrip_of(row))
    return Distortion(
        size=(int(sizes[0]), int(sizes[1])),
        scale=table.number("SCALE", row),
        corrected=(table.number("CXREF", row) - 1, table.number("CYREF", row) - 1),
        distorted=(table.number("XREF", row) - 1, table.number("YREF", row) - 1),
        cx=coefficients[0],
        cy=coefficients[1],
        descrip=tuple(text for text in texts if text),
        dummy=table.dummy or table.row_dummy(row),
    )


def geocorr(
    exposure: Exposure,
    *,
    references: References,
    backend: Backend,
    trailer: Trailer,
    distortion: Distortion | None = None,
    statistics: bool = True,
) -> Exposure:
    """Return an image without the distortion of the optics; every image set is resampled.

    Parameters
    ----------
    exposure : Exposure
        A calibrated image (``flt``, ``crj``).
    references : References
        Where the IDCTAB comes from.
    backend : Backend
        Computes.
    trailer : Trailer
        Says what was done.
    distortion : Distortion, optional
        What `read_distortion` gave, if it has been called.
    statistics : bool
        Write NGOODPIX, GOODMEAN and the like anew.

    Raises
    ------
    InputError
        The image is smaller than 2 x 2 pixels, or nothing would be left of it.
    ReferenceFileError
        See `read_distortion`; also a row that only fills a place.
    """
    distortion = distortion or read_distortion(exposure, references)
    if distortion.dummy:
        raise ReferenceFileError("GEOCORR cannot be done, the IDCTAB only fills a place (DUMMY)", where=exposure.path)
    imsets = []
    for number, imset in enumerate(exposure.imsets, start=1):
        where = f"{exposure.path}[SCI,{number}]"
        pixels = PixelMap.of(imset.headers[0], where)
        columns, rows = pixels.output_size(distortion.size, exposure.shape)
        if min(exposure.shape) < 2 or min(columns, rows) < 1:
            raise InputError(
                f"{exposure.shape} pixels (rows, columns) cannot be resampled; expected an image", where=where
            )
        with np.errstate(over="ignore", invalid="ignore"):  # infinite positions lie outside; NaN pixels stay NaN
            headers = _headers(imset, distortion, pixels, where)
            sci, err, dq = _resample(imset, distortion, pixels, (rows, columns), backend)
        if statistics:
            flags = integer_keyword(headers[0], "SDQFLAGS", where, default=ALL_BITS)
            do_statistics(sci, err, dq, flags, headers[0], headers[1])
        imsets.append(ImageSet(sci, err, dq, headers))
    primary = exposure.primary.copy()
    primary["GEOCORR"] = "COMPLETE"
    lines = ["GEOCORR complete", f"  IDCTAB {reference_name(primary, 'IDCTAB')}"]
    for line in [*lines, *(f"    {text}" for text in distortion.descrip)]:
        primary.add_history(line)
        trailer.say(line)
    return replace(exposure, primary=primary, imsets=tuple(imsets))


def interpolate_images(
    sci: Array, err: Array, dq: Array, x: Array, y: Array, xp: Any = np
) -> tuple[Array, Array, Array]:
    """Interpolate linearly between the four nearest pixels, as CalSTIS does (Interp2D).

    In the outer half pixel of the image the line is continued; farther out SCI and ERR are 0 and DQ is `OUTSIDE`.
    Flagged pixels count in full. The weights act on the variance linearly, so that resampled noise looks as large as
    it was. SCI and ERR are computed in float32, in CalSTIS's order.

    Parameters
    ----------
    sci, err : (rows, cols) float32
        The image.
    dq : (rows, cols) int16
        Data-quality bits; those of the four pixels are joined.
    x, y : float64, any shape
        Positions, 0-based column and row.
    xp : module
        NumPy or CuPy, whose arrays these are.
    """
    rows, cols = sci.shape
    # The nearest pixel lies in the image: nint(x) in 0 .. cols - 1.
    inside = (x - 0.5 > -1) & (x + 0.5 < cols) & (y - 0.5 > -1) & (y + 0.5 < rows)
    x, y = xp.where(inside, x, 0.0), xp.where(inside, y, 0.0)
    left = xp.minimum(x.astype(np.int32), cols - 2)  # astype rounds towards zero, so never below 0 here
    low = xp.minimum(y.astype(np.int32), rows - 2)
    q, s = (x - left).astype(np.float32), (y - low).astype(np.float32)
    p, r = 1 - q, 1 - s
    corner = low * np.int32(cols) + left
    value: Any = None
    variance: Any = None
    bits: Any = None
    for weight, step in ((p * r, 0), (q * r, 1), (p * s, cols), (q * s, cols + 1)):
        at = corner + np.int32(step)
        error = err.ravel()[at]
        terms = weight * sci.ravel()[at], (weight * error) * error, dq.ravel()[at]
        if value is None:
            value, variance, bits = terms
        else:
            value += terms[0]
            variance += terms[1]
            bits |= terms[2]
    variance = xp.where(inside & (variance > 0), variance, np.float32(0))
    return (
        xp.where(inside, value, np.float32(0)),
        xp.sqrt(variance),
        xp.where(inside, bits, np.int16(OUTSIDE)),
    )


def _resample(
    imset: ImageSet, distortion: Distortion, pixels: PixelMap, shape: tuple[int, int], backend: Backend
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.int16]]:
    """Return SCI, ERR and DQ of the corrected image, computed a block of rows at a time."""
    xp = backend.xp
    rows, columns = shape
    sci, err, dq = (
        xp.asarray(np.ascontiguousarray(plane), dtype=dtype)
        for plane, dtype in ((imset.sci, np.float32), (imset.err, np.float32), (imset.dq, np.int16))
    )
    block = BLOCK_ROWS if xp is np else max(BLOCK_PIXELS_GPU // columns, 1)
    out = [np.empty(shape, dtype=dtype) for dtype in (np.float32, np.float32, np.int16)]
    x = (xp.arange(columns, dtype=np.float64) - pixels.offset[0]) / pixels.scale[0]
    for start in range(0, rows, block):
        stop = min(start + block, rows)
        y = (xp.arange(start, stop, dtype=np.float64) - pixels.offset[1]) / pixels.scale[1]
        in_x, in_y = distortion(x[np.newaxis, :], y[:, np.newaxis], xp)
        at_x, at_y = (place * m + v for place, m, v in zip((in_x, in_y), pixels.scale, pixels.offset, strict=True))
        for target, result in zip(out, interpolate_images(sci, err, dq, at_x, at_y, xp), strict=True):
            target[start:stop] = backend.asnumpy(result)
    return out[0], out[1], out[2]


def _headers(
    imset: ImageSet, distortion: Distortion, pixels: PixelMap, where: str
) -> tuple[fits.Header, fits.Header, fits.Header]:
    """Return headers with the reference pixel where it lies in the corrected image."""
    sci = imset.headers[0]
    target = np.array([number_keyword(sci, name, where, default=0) - 1 for name in ("CRPIX1", "CRPIX2")])
    scale, offset = np.array(pixels.scale), np.array(pixels.offset)
    place = target
    for _ in range(INVERSE_STEPS):
        reference = (place - offset) / scale
        mapped = np.array(distortion(reference[0], reference[1])) * scale + offset
        place = target + (place - mapped)
    if not np.isfinite(place).all():
        raise ReferenceFileError(
            f"by the IDCTAB the reference pixel {target + 1} lies nowhere; use another", where=where
        )
    headers = tuple(header.copy() for header in imset.headers)
    for header in headers:
        for name, value in zip(("CRPIX1", "CRPIX2"), place + 1, strict=True):
            header[name] = stored_double(value)
        header["LTV1"] = header["LTV2"] = 0.0
    return headers[0], headers[1], headers[2]


def _nint(value: float) -> int:
    """Round half away from zero."""
    return math.trunc(value + 0.5) if value >= 0 else math.trunc(value - 0.5)
