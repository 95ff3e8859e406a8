"""The HDUs of the files of a synthetic visit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from gpucti.synthetic.instrument import Floats
from gpucti.synthetic.tables import PEDIGREE, Table

Headers = tuple[fits.Header, fits.Header, fits.Header]


def raw_hdus(primary: fits.Header, frames: Sequence[npt.NDArray[np.uint16]], headers: Sequence[Headers]) -> list[Any]:
    """Return the HDUs of a raw file: unsigned counts, and constant ERR and DQ without pixels."""
    hdus: list[Any] = [fits.PrimaryHDU(header=primary)]
    for frame, (sci, err, dq) in zip(frames, headers, strict=True):
        hdus.append(fits.ImageHDU(frame, header=sci))
        hdus += [_constant(err, frame.shape, 0.0), _constant(dq, frame.shape, 0)]
    return hdus


def _constant(header: fits.Header, shape: tuple[int, ...], value: float) -> fits.ImageHDU:
    header = header.copy()
    header["NPIX1"] = (shape[1], "columns of the constant array")
    header["NPIX2"] = (shape[0], "rows of the constant array")
    header["PIXVALUE"] = (value, "value of every pixel")
    hdu = fits.ImageHDU(header=header)
    hdu.header["BITPIX"] = 16
    return hdu


def image_hdus(
    primary: fits.Header, sci: Floats, err: Floats, dq: npt.NDArray[np.int16], headers: Headers
) -> list[Any]:
    """Return the HDUs of a calibrated image with one imset."""
    arrays = (sci.astype(np.float32), err.astype(np.float32), dq)
    images = [fits.ImageHDU(array, header=header) for array, header in zip(arrays, headers, strict=True)]
    return [fits.PrimaryHDU(header=primary), *images]


def reference_primary(name: str, filetype: str, descrip: str, nextend: int, **more: Any) -> fits.Header:
    """Return the primary header of a reference file."""
    header = fits.Header([
        ("FILENAME", name, "name of this file"),
        ("NEXTEND", nextend, "number of extensions"),
        ("TELESCOP", "HST", "telescope that is imitated"),
        ("INSTRUME", "STIS", "instrument that is imitated"),
        ("DETECTOR", "CCD", "detector"),
        ("FILETYPE", filetype, "kind of reference file"),
        ("PEDIGREE", PEDIGREE, "where it comes from"),
        ("USEAFTER", "Oct 01 1996 00:00:00", "valid from"),
        ("DESCRIP", f"Synthetic visit of gpucti: {descrip}".ljust(67, "-"), ""),
    ])  # fmt: skip
    header.update(more)
    return header


def reference_image(
    name: str, filetype: str, descrip: str, arrays: tuple[Floats, Floats, npt.NDArray[np.int16]], **more: Any
) -> list[Any]:
    """Return the HDUs of a reference image; `more` goes into the primary header."""
    hdus: list[Any] = [fits.PrimaryHDU(header=reference_primary(name, filetype, descrip, 3, **more))]
    for kind, array, dtype in zip(("SCI", "ERR", "DQ"), arrays, (np.float32, np.float32, np.int16), strict=True):
        hdus.append(fits.ImageHDU(np.asarray(array, dtype=dtype), name=kind, ver=1))
    return hdus


def reference_table(name: str, tables: Sequence[tuple[str, Table]], **more: Any) -> list[Any]:
    """Return the HDUs of a reference table: extension names (empty: none) with their tables."""
    first = tables[0][1]
    primary = reference_primary(name, first.filetype, first.descrip, len(tables), **more)
    return [fits.PrimaryHDU(header=primary), *(table.hdu(extension) for extension, table in tables)]


def table_hdu(name: str, columns: dict[str, tuple[str, str, Any]], **keywords: Any) -> fits.BinTableHDU:
    """Return a table extension from ``{column: (FITS format, unit, values)}``."""
    made = [
        fits.Column(name=key, format=form, unit=unit or None, array=array)
        for key, (form, unit, array) in columns.items()
    ]
    hdu = fits.BinTableHDU.from_columns(made, name=name)
    hdu.header.update(keywords)
    return hdu
