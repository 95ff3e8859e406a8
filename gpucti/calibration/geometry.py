"""GEOCORR: an image resampled to a grid without the distortion of the optics (IDCTAB).

The rules are CalSTIS's (``cs7``: geocorr7.c, getidc.c, scalewcs.c). Pixels are 0-based; the first coordinate, x, runs
along columns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from gpucti.backends.base import Array, Backend
from gpucti.calibration.base import Trailer
from gpucti.calibration.reffiles import References, stored_double
from gpucti.calibration.resample import output_size, resample
from gpucti.calibration.statistics import do_statistics
from gpucti.detector import DQ_ALL
from gpucti.errors import ReferenceFileError
from gpucti.io.cards import Cards
from gpucti.io.exposure import Exposure, ImageSet, StisKeywords
from gpucti.io.pixelgrid import PixelGrid

#: Largest order of the polynomials, and the order where NORDER is missing.
MAX_ORDER = 5
#: Steps of the search for the corrected reference pixel.
INVERSE_STEPS = 3


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
    table = references.of(exposure).table("IDCTAB")
    chosen = {"DIRECTION": "INVERSE"}
    if table.has("FILTER"):
        chosen["FILTER"] = exposure.cards.text("FILTER", default="CLEAR").upper()
    row = table.row(**chosen)
    for name in ("CX10", "CX11", "CY10", "CY11"):
        table.column(name)
    order = table.cards.whole("NORDER", default=MAX_ORDER)
    if not 1 <= order <= MAX_ORDER:
        raise table.cards.wrong(f"NORDER is {order}; expected 1 to {MAX_ORDER}")
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
    for imset, cards in zip(exposure.imsets, exposure.sci_cards, strict=True):
        pixels = PixelGrid.of(cards)
        columns, rows = output_size(pixels, distortion.size, exposure.shape)
        if min(exposure.shape) < 2 or min(columns, rows) < 1:
            raise cards.wrong(f"{exposure.shape} pixels (rows, columns) cannot be resampled; expected an image")
        with np.errstate(over="ignore", invalid="ignore"):  # infinite positions lie outside; NaN pixels stay NaN
            headers = _headers(imset, distortion, pixels, cards)
            locate = _locator(distortion, pixels, columns, backend)
            sci, err, dq = resample(imset, pixels, (rows, columns), locate, backend)
        imsets.append(ImageSet(sci, err, dq, headers))
        imsets[-1].drop_statistics()
        if statistics:
            flags = cards.whole("SDQFLAGS", default=DQ_ALL)
            do_statistics(sci, err, dq, flags, headers[0], headers[1])
    primary = exposure.primary.copy()
    primary["GEOCORR"] = "COMPLETE"
    lines = ["GEOCORR complete", f"  IDCTAB {references.of(exposure).name('IDCTAB')}"]
    for line in [*lines, *(f"    {text}" for text in distortion.descrip)]:
        primary.add_history(line)
        trailer.say(line)
    return replace(exposure, primary=primary, imsets=tuple(imsets))


def _locator(
    distortion: Distortion, pixels: PixelGrid, columns: int, backend: Backend
) -> Callable[[npt.NDArray[np.float64]], tuple[Array, Array]]:
    """Return what tells where the pixels of some rows of the corrected image lie; see `resample`."""
    xp = backend.xp
    x = ((xp.arange(columns, dtype=np.float64) - pixels.zero[0]) / pixels.ltm[0])[np.newaxis, :]

    def locate(rows: npt.NDArray[np.float64]) -> tuple[Array, Array]:
        y = (xp.asarray(rows) - pixels.zero[1]) / pixels.ltm[1]
        return distortion(x, y[:, np.newaxis], xp)

    return locate


def _headers(
    imset: ImageSet, distortion: Distortion, pixels: PixelGrid, cards: Cards
) -> tuple[fits.Header, fits.Header, fits.Header]:
    """Return headers with the reference pixel where it lies in the corrected image."""
    target = np.array([cards.number(name, default=0) - 1 for name in ("CRPIX1", "CRPIX2")])
    ltm, zero = np.array(pixels.ltm), np.array(pixels.zero)
    place = target
    for _ in range(INVERSE_STEPS):
        reference = (place - zero) / ltm
        mapped = np.array(distortion(reference[0], reference[1])) * ltm + zero
        place = target + (place - mapped)
    if not np.isfinite(place).all():
        raise ReferenceFileError(
            f"by the IDCTAB the reference pixel {target + 1} lies nowhere; use another", where=cards.where
        )
    headers = tuple(header.copy() for header in imset.headers)
    for header in headers:
        for name, value in zip(("CRPIX1", "CRPIX2"), place + 1, strict=True):
            header[name] = stored_double(value)
        header["LTV1"] = header["LTV2"] = 0.0
    return headers[0], headers[1], headers[2]
