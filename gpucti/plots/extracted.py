"""Extracted spectra read back from tables (``x1c``, ``s1c``, ``x1d``, ``sx1``), checked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from gpucti.detector import DQ_SERIOUS
from gpucti.errors import InputError
from gpucti.io.cards import Cards
from gpucti.io.fitsfile import find_file, read_hdus
from gpucti.io.fitstables import DAMAGE
from gpucti.plots.style import text_of

Vector = npt.NDArray[np.float64]

#: Columns that are read where the table has them, with the column of their errors.
QUANTITIES: Mapping[str, str] = {"FLUX": "ERROR", "NET": "NET_ERROR", "GROSS": "NET_ERROR", "BACKGROUND": ""}


@dataclass(frozen=True, eq=False)
class Spectrum:
    """One extracted spectrum.

    Attributes
    ----------
    path : Path
        The file.
    number : int
        EXTVER: the image set it was extracted from.
    order : int
        Spectral order, 1 for the gratings of the CCD.
    primary, header : fits.Header
        Primary header, header of the table.
    wavelength : (n,) float64
        Angstrom; 0 where there was no DISPCORR.
    columns : mapping of (n,) float64
        FLUX, NET, GROSS, BACKGROUND, ERROR and NET_ERROR, as far as the table has them; infinity is NaN here.
    units : mapping of str
        As the table has them.
    dq : (n,) int64
        Data-quality bits.
    """

    path: Path
    number: int
    order: int
    primary: fits.Header
    header: fits.Header
    wavelength: Vector
    columns: Mapping[str, Vector]
    units: Mapping[str, str]
    dq: npt.NDArray[np.int64]

    def error(self, quantity: str) -> Vector | None:
        """Return the errors of a column, None if there are none in its unit."""
        name = QUANTITIES[quantity]
        return self.columns[name] if name in self.columns and self.units[name] == self.units[quantity] else None

    @property
    def flagged(self) -> npt.NDArray[np.bool_]:
        """Where one of the bits of SDQFLAGS is set."""
        serious = Cards(self.header, f"{self.path}[SCI,{self.number}]").whole("SDQFLAGS", default=DQ_SERIOUS)
        flagged: npt.NDArray[np.bool_] = (self.dq & serious) != 0
        return flagged


def read_spectra(path: str | os.PathLike[str]) -> tuple[Spectrum, ...]:
    """Return the spectra of a file, by extension and row.

    Raises
    ------
    MissingFileError
        There is no such file.
    InputError
        It is damaged, or has no such table; a column is missing, holds no numbers, or has another length.
    """
    path = find_file(path)
    hdus, _ = read_hdus(path)
    return tuple(spectra_of(hdus, path))


def has_spectra(hdus: fits.HDUList) -> bool:
    """Tell whether a file holds extracted spectra: a table with wavelengths, and no reference file."""
    return text_of(hdus[0].header, "FILETYPE") in ("", "SCI") and any(
        isinstance(hdu, fits.BinTableHDU) and "WAVELENGTH" in _names(hdu) for hdu in hdus[1:]
    )


def spectra_of(hdus: fits.HDUList, path: Path) -> list[Spectrum]:
    """Return the spectra of the extensions of a file, by extension and row; raise as `read_spectra` does."""
    spectra = []
    for index, hdu in enumerate(hdus[1:], start=1):
        if isinstance(hdu, fits.BinTableHDU) and "WAVELENGTH" in _names(hdu):
            spectra += _read_table(hdu, hdus[0].header, path, f"{path}[{index}]")
    if not spectra:
        raise InputError("no table of extracted spectra with a row in it; expected an x1c, s1c, x1d or sx1", where=path)
    return spectra


def _names(hdu: fits.BinTableHDU) -> list[str]:
    return [name.upper() for name in hdu.columns.names]


def _read_table(hdu: fits.BinTableHDU, primary: fits.Header, path: Path, where: str) -> list[Spectrum]:
    """Return the spectra of one table."""
    wanted = [name for name in (*QUANTITIES, "ERROR", "NET_ERROR") if name in _names(hdu)]
    if not set(QUANTITIES) & set(wanted):
        raise InputError(
            f"none of the columns {', '.join(QUANTITIES)} is there; is this an extracted spectrum?", where=where
        )
    wavelength = _column(hdu, "WAVELENGTH", where)
    shape = wavelength.shape
    columns = {name: _column(hdu, name, where, shape) for name in wanted}
    dq = _column(hdu, "DQ", where, shape) if "DQ" in _names(hdu) else np.zeros(shape)
    if not np.array_equal(dq, np.rint(dq)):
        raise InputError("DQ holds fractions; expected data-quality bits", where=where)
    orders = _column(hdu, "SPORDER", where, shape[:1]) if "SPORDER" in _names(hdu) else np.ones(shape[0])
    units = {column.name.upper(): (column.unit or "").strip() for column in hdu.columns}
    number = Cards(hdu.header, where).whole("EXTVER", default=1)
    return [
        Spectrum(
            path=path,
            number=number,
            order=int(orders[row]) if np.isfinite(orders[row]) else 1,
            primary=primary,
            header=hdu.header,
            wavelength=wavelength[row],
            columns={name: values[row] for name, values in columns.items()},
            units=units,
            dq=dq[row].astype(np.int64),
        )
        for row in range(shape[0])
    ]


def _column(hdu: fits.BinTableHDU, name: str, where: str, shape: tuple[int, ...] | None = None) -> Vector:
    """Return a column as float64: (rows, elements), or of the shape that it must have."""
    try:
        values = np.asarray(hdu.data[name])
    except (*DAMAGE, ValueError, IndexError) as error:
        raise InputError(f"column {name} cannot be read ({error}); get the file again", where=where) from error
    if values.dtype.kind not in "iuf":
        raise InputError(f"column {name} holds no plain numbers; is this an extracted spectrum?", where=where)
    if shape is None and (values.ndim != 2 or values.shape[1] < 2):
        raise InputError(
            f"column {name} has the shape {values.shape}; expected one array of two or more in each row", where=where
        )
    if shape is not None and values.shape != shape:
        raise InputError(f"column {name} has the shape {values.shape}; expected {shape}, as the others", where=where)
    values = values.astype(np.float64)
    values[np.isinf(values)] = np.nan
    return values
