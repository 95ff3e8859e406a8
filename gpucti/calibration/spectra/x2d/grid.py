"""The grid of a rectified spectrum: wavelengths along columns, places along the slit along rows (SDCTAB)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gpucti.calibration.reffiles import HeaderReferences
from gpucti.calibration.resample import output_size
from gpucti.calibration.spectra.aperture import Slit
from gpucti.calibration.spectra.constants import ARCSEC_PER_DEGREE
from gpucti.calibration.spectra.tables import Mode, description, require_real, require_rows, whole
from gpucti.detector import DQ_MASKED, nint
from gpucti.errors import InputError, ReferenceFileError
from gpucti.io.pixelgrid import PixelGrid

#: A slit shorter than this part of the image has its ends marked.
SHORT_SLIT = 0.5
MAX_PIXELS = 32767


@dataclass(frozen=True)
class Grid:
    """The grid of one rectified image.

    Attributes
    ----------
    shape : (rows, columns)
        Of the image.
    crpix, crval, cdelt : (along the dispersion, across it)
        Reference pixel, 0-based; what lies there, Angstrom and arcseconds; steps per pixel.
    plate_scale : (x, y)
        Arcseconds per pixel of the image that is rectified.
    line : float
        Row of the detector, 0-based and unbinned, that falls on the reference row.
    """

    shape: tuple[int, int]
    crpix: tuple[float, float]
    crval: tuple[float, float]
    cdelt: tuple[float, float]
    plate_scale: tuple[float, float]
    line: float

    @property
    def wavelengths(self) -> npt.NDArray[np.float64]:
        """Return the (heliocentric) wavelength of each column, Angstrom."""
        columns = np.arange(self.shape[1], dtype=np.float64)
        return (columns - self.crpix[0]) * self.cdelt[0] + self.crval[0]

    def keywords(self) -> dict[str, float | str]:
        """Return the world coordinates for the headers; the reference pixel is 1-based there, the step in degrees."""
        return {
            "LTV1": 0.0,
            "LTV2": 0.0,
            "CRPIX1": self.crpix[0] + 1.0,
            "CRPIX2": self.crpix[1] + 1.0,
            "CRVAL1": self.crval[0],
            "CRVAL2": self.crval[1],
            "CD1_1": self.cdelt[0],
            "CD1_2": 0.0,
            "CD2_1": 0.0,
            "CD2_2": self.cdelt[1] / ARCSEC_PER_DEGREE,
            "CUNIT1": "angstrom",
        }

    def mask(self, dq: npt.NDArray[np.int16], slit: Slit) -> None:
        """Set `DQ_MASKED` in rows behind bars, and beyond the ends of a slit much shorter than the image."""
        rows, scale, centre = self.shape[0], self.cdelt[1], self.crpix[1]
        length = slit.width[1] / scale
        if length < SHORT_SLIT * rows:
            bottom, top = nint(centre - length / 2.0 - 0.5), nint(centre + length / 2.0 + 0.5)
            dq[: max(bottom, 0)] |= DQ_MASKED
            dq[max(top + 1, 0) :] |= DQ_MASKED
        for place, width in slit.bars:
            place, width = place / scale, width / scale
            bottom, top = nint(centre + place - width / 2.0), nint(centre + place + width / 2.0)
            dq[max(bottom, 0) : max(top + 1, 0)] |= DQ_MASKED


@dataclass(frozen=True)
class Layout:
    """One row of a SDCTAB: the grid for an unbinned full frame. Attributes as of `Grid`, and the table's identity."""

    size: tuple[int, int]
    crpix: tuple[float, float]
    crval: tuple[float, float]
    cdelt: tuple[float, float]
    line: float
    history: tuple[str, ...] = ()

    def scaled(self, pixels: PixelGrid, shape: tuple[int, int], where: str) -> Grid:
        """Return the grid for an image of that shape, (rows, columns), and binning.

        Raises
        ------
        InputError
            Nothing would be left.
        """
        columns, rows = output_size(pixels, self.size, shape)
        if min(columns, rows) < 1 or min(shape) < 2:
            raise InputError(
                f"{shape} pixels (rows, columns) would give a rectified image of {rows} x {columns}; expected "
                "an image of more than one row and column",
                where=where,
            )
        (m1, m2), (v1, v2) = pixels.ltm, pixels.zero
        return Grid(
            shape=(rows, columns),
            crpix=(self.crpix[0] * m1 + v1, self.crpix[1] * m2 + v2),
            crval=self.crval,
            cdelt=(self.cdelt[0] / m1, self.cdelt[1] / m2),
            plate_scale=(self.cdelt[1] / m1, self.cdelt[1] / m2),
            line=self.line,
        )


def read_layout(references: HeaderReferences, mode: Mode, aperture: str) -> Layout:
    """Return the first row of the SDCTAB for a mode and, if the table distinguishes them, an aperture.

    Raises
    ------
    ReferenceFileError
        No table, no row, a missing column, or a cell that makes no sense.
    """
    table = references.table("SDCTAB")
    chosen: dict[str, str] = {"APERTURE": aperture} if table.has("APERTURE") else {}
    row = require_rows(table, sporder=True, **mode.columns, **chosen)[0]
    require_real(table, row)
    numbers = {
        name: (table.number(f"{name}1", row), table.number(f"{name}2", row)) for name in ("CRPIX", "CRVAL", "CDELT")
    }
    if min(numbers["CDELT"]) <= 0:
        raise ReferenceFileError(
            f"CDELT1, CDELT2 of row {row + 1} are {numbers['CDELT']}; expected Angstrom and arcseconds per pixel",
            where=table.path,
        )
    return Layout(
        size=(whole(table, "NPIX1", row, 1, MAX_PIXELS), whole(table, "NPIX2", row, 1, MAX_PIXELS)),
        crpix=(numbers["CRPIX"][0] - 1, numbers["CRPIX"][1] - 1),
        crval=numbers["CRVAL"],
        cdelt=numbers["CDELT"],
        line=table.number("A2CENTER", row) - 1,
        history=description(references, "SDCTAB", table, row),
    )
