"""What a reference file holds: one image set, or a table whose rows are matched as CalSTIS matches them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from gpucti.errors import ReferenceFileError
from gpucti.io.cards import Cards
from gpucti.io.fitsfile import image_shape, is_null, read_image
from gpucti.io.fitstables import DAMAGE

#: Rows or columns of an image at most: four times those of the raw frames of any STIS detector.
LARGEST = 8192
#: Cells of a table that match anything.
ANY_TEXT, ANY_NUMBER = "ANY", -1


def is_dummy(pedigree: str) -> bool:
    """Tell whether a PEDIGREE says that the file or row only fills a place: the step is then skipped."""
    return pedigree.startswith("DUMMY")


@dataclass(frozen=True, eq=False)
class ReferenceImage:
    """One image set of a reference file.

    Attributes
    ----------
    path : Path
        The file.
    primary, sci_header : fits.Header
        Of the file and of its SCI extension.
    sci, err : (rows, cols) float32
        Pixels, native byte order, null arrays expanded.
    dq : (rows, cols) int16
        Data-quality bits.
    pedigree, descrip : str
        Of the primary header; empty if missing.
    """

    path: Path
    primary: fits.Header
    sci_header: fits.Header
    sci: npt.NDArray[np.float32]
    err: npt.NDArray[np.float32]
    dq: npt.NDArray[np.int16]
    pedigree: str
    descrip: str

    @property
    def dummy(self) -> bool:
        """Whether the file only fills a place."""
        return is_dummy(self.pedigree)

    @property
    def cards(self) -> Cards:
        """The primary header."""
        return Cards(self.primary, f"{self.path}[0]", ReferenceFileError)

    @property
    def sci_cards(self) -> Cards:
        """The SCI header."""
        return Cards(self.sci_header, f"{self.path}[SCI,1]", ReferenceFileError)


@dataclass(frozen=True, eq=False)
class ReferenceTable:
    """One table extension of a reference file.

    Attributes
    ----------
    path : Path
        The file.
    primary, header : fits.Header
        Of the file and of the table extension.
    data : fits.FITS_rec
        The rows.
    pedigree, descrip : str
        Of the primary header; empty if missing.
    """

    path: Path
    primary: fits.Header
    header: fits.Header
    data: fits.FITS_rec
    pedigree: str
    descrip: str

    @property
    def dummy(self) -> bool:
        """Whether the file only fills a place (single rows may: `pedigree_of`)."""
        return is_dummy(self.pedigree)

    @property
    def cards(self) -> Cards:
        """The header of the table extension."""
        return Cards(self.header, f"{self.path}[{self.header.get('EXTNAME', 1)}]", ReferenceFileError)

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.data)

    def has(self, name: str) -> bool:
        """Tell whether there is a column of that name."""
        return name.upper() in (column.upper() for column in self.data.names)

    def column(self, name: str) -> npt.NDArray[Any]:
        """Return a column in native byte order; text without blanks at its end.

        Raises
        ------
        ReferenceFileError
            There is no such column, or it cannot be read.
        """
        if not self.has(name):
            raise ReferenceFileError(f"column {name} is missing (have {', '.join(self.data.names)})", where=self.path)
        try:
            cells = np.asarray(self.data[name])
        except (*DAMAGE, ValueError, IndexError) as error:
            raise ReferenceFileError(f"column {name} cannot be read ({error})", where=self.path) from error
        if cells.dtype.kind in "SU":
            return np.char.rstrip(cells.astype(str))
        return cells.astype(cells.dtype.newbyteorder("="), copy=False)

    def text(self, name: str, row: int) -> str:
        """Return a cell that holds text, without blanks at its end."""
        cells = self.column(name)
        if cells.dtype.kind != "U" or cells.ndim != 1:
            raise ReferenceFileError(f"{name} holds {cells.dtype}; expected text", where=self.path)
        return str(cells[row])

    def number(self, name: str, row: int) -> float:
        """Return a cell that holds one finite number."""
        cells = self.column(name)
        if cells.dtype.kind not in "iuf" or cells.ndim != 1 or not math.isfinite(cells[row]):
            raise ReferenceFileError(f"{name} of row {row + 1} is {cells[row]!r}; expected a number", where=self.path)
        return float(cells[row])

    def matching(self, **values: str | int | float) -> list[int]:
        """Return the rows, in order, whose cells equal all values.

        Text is compared exactly, without blanks at the end. A cell ``ANY`` or ``-1`` matches everything.
        """
        chosen = np.ones(self.n_rows, dtype=bool)
        for name, value in values.items():
            cells = self.column(name)
            if isinstance(value, str) != (cells.dtype.kind == "U") or cells.ndim != 1:
                kind = "text" if isinstance(value, str) else "one number"
                raise ReferenceFileError(f"column {name} holds {cells.dtype}; expected {kind} per row", where=self.path)
            if isinstance(value, str):
                chosen &= (cells == value.rstrip()) | (cells == ANY_TEXT)
            else:
                chosen &= (cells == value) | (cells == ANY_NUMBER)
        return [int(row) for row in np.flatnonzero(chosen)]

    def row(self, **values: str | int | float) -> int:
        """Return the first row that matches; see `matching`.

        Raises
        ------
        ReferenceFileError
            No row matches.
        """
        rows = self.matching(**values)
        if not rows:
            wanted = ", ".join(f"{name} = {value!r}" for name, value in values.items())
            raise ReferenceFileError(f"no row for {wanted}; the table does not cover this observation", where=self.path)
        return rows[0]

    def pedigree_of(self, row: int) -> str:
        """Return the PEDIGREE of a row, or of the file where rows have none."""
        return (self.text("PEDIGREE", row) if self.has("PEDIGREE") else "") or self.pedigree

    def descrip_of(self, row: int) -> str:
        """Return the DESCRIP of a row; empty if rows have none."""
        return self.text("DESCRIP", row) if self.has("DESCRIP") else ""

    def row_dummy(self, row: int) -> bool:
        """Tell whether a row only fills a place."""
        return is_dummy(self.pedigree_of(row))


def _identity(hdus: fits.HDUList, path: Path) -> tuple[str, str]:
    """Return PEDIGREE and DESCRIP of the primary header."""
    cards = Cards(hdus[0].header, f"{path}[0]", ReferenceFileError)
    return cards.text("PEDIGREE", default=""), cards.text("DESCRIP", default="")


def read_image_set(hdus: fits.HDUList, path: Path) -> ReferenceImage:
    """Return the first image set of a file; see `References.image` for the errors."""
    arrays = []
    for name, dtype in (("SCI", np.float32), ("ERR", np.float32), ("DQ", np.int16)):
        where = f"{path}[{name},1]"
        found = [hdu for hdu in hdus[1:] if hdu.name.strip().upper() == name and hdu.ver == 1]
        if len(found) != 1 or not isinstance(found[0], fits.ImageHDU):
            have = ", ".join(f"{hdu.name},{hdu.ver}" for hdu in hdus[1:8]) or "no extensions"
            raise ReferenceFileError(
                f"not there (have {have}); expected an image file with SCI, ERR and DQ", where=where
            )
        arrays.append(_pixels(found[0], dtype, where))
        if name == "SCI":
            sci_header = found[0].header
    sci, err, dq = arrays
    if not sci.shape == err.shape == dq.shape:
        raise ReferenceFileError(
            f"SCI is {sci.shape}, ERR {err.shape}, DQ {dq.shape} (rows, columns); expected one shape", where=path
        )
    if not np.isfinite(sci).all():
        row, col = np.argwhere(~np.isfinite(sci))[0]
        raise ReferenceFileError(
            f"NaN or infinity at row {row}, column {col} (0-based); repair the file", where=f"{path}[SCI,1]"
        )
    for array in arrays:
        array.flags.writeable = False  # shared by every exposure of the run
    return ReferenceImage(path, hdus[0].header, sci_header, sci, err, dq, *_identity(hdus, path))


def _pixels(hdu: fits.ImageHDU, dtype: type[np.generic], where: str) -> npt.NDArray[Any]:
    """Return two-dimensional pixels of that type."""
    shape = image_shape(hdu, where, ReferenceFileError)
    if len(shape) != 2 or not all(0 < size <= LARGEST for size in shape):
        raise ReferenceFileError(f"the shape is {shape}; expected rows and columns, each up to {LARGEST}", where=where)
    pixels = read_image(hdu, where, ReferenceFileError)
    if dtype is np.int16:
        limits = np.iinfo(np.int16)
        whole = pixels.dtype.kind in "iu" or (is_null(hdu) and float(pixels[0, 0]).is_integer())
        if not whole or pixels.min() < limits.min or pixels.max() > limits.max:
            raise ReferenceFileError(f"{pixels.dtype} pixels; expected data-quality bits, 16-bit integers", where=where)
    with np.errstate(over="ignore"):  # becomes infinity, which is refused
        return np.ascontiguousarray(pixels.astype(dtype, copy=False))


def read_reference_table(hdus: fits.HDUList, path: Path, extension: int | str) -> ReferenceTable:
    """Return a table extension of a file; see `References.table` for the errors."""
    if isinstance(extension, int):
        found = hdus[extension] if 0 < extension < len(hdus) else None
    else:
        found = next((hdu for hdu in hdus[1:] if hdu.name.strip().upper() == extension.upper()), None)
    if not isinstance(found, fits.BinTableHDU):
        have = ", ".join(hdu.name or "unnamed" for hdu in hdus[1:]) or "none"
        raise ReferenceFileError(
            f"no such table extension (have {have}); is this the right file?", where=f"{path}[{extension}]"
        )
    try:
        data = found.data
    except (*DAMAGE, ValueError, IndexError) as error:
        raise ReferenceFileError(
            f"damaged table ({error}); get the file again", where=f"{path}[{extension}]"
        ) from error
    if data is None:
        raise ReferenceFileError("the table is empty; get the file again", where=f"{path}[{extension}]")
    return ReferenceTable(path, hdus[0].header, found.header, data, *_identity(hdus, path))
