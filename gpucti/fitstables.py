"""Reading tables out of FITS reference files, with errors that name file, extension, column or keyword."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from gpucti.errors import ReferenceFileError


#: What the reference files read here are, for messages.
_KIND = "PCTETAB"


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a file, unpacked if it is gzip-compressed."""
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except FileNotFoundError:
        raise ReferenceFileError(
            f"{path}: {_KIND} not found; `gpucti pctetab --write FILE` makes the default one"
        ) from None
    except (OSError, EOFError) as error:
        raise ReferenceFileError(f"{path}: cannot be read ({error})") from error


def check_complete(hdus: fits.HDUList, size: int, path: Path) -> None:
    """Raise unless all data that the headers announce fit into `size` bytes."""
    for index, hdu in enumerate(hdus):
        place = hdu.fileinfo()
        if place["datLoc"] + place["datSpan"] > size:
            raise ReferenceFileError(f"{path}[{index}]: truncated, data of extension {hdu.name or index} are missing")


def extension(hdus: fits.HDUList, name: str, path: Path) -> fits.BinTableHDU:
    """Return the table extension of that name."""
    if name not in hdus or not isinstance(hdus[name], fits.BinTableHDU):
        have = ", ".join(hdu.name for hdu in hdus[1:]) or "none"
        raise ReferenceFileError(f"{path}: table extension {name} is missing (have {have}); is this a {_KIND}?")
    return hdus[name]


def keyword(header: fits.Header, name: str, path: Path) -> Any:
    """Return the value of a card that must be there."""
    if name not in header:
        raise ReferenceFileError(f"{path}: keyword {name} is missing; is this a {_KIND}?")
    return header[name]


def column(table: fits.BinTableHDU, name: str, path: Path, dtype: type = np.float64) -> npt.NDArray[Any]:
    """Return a table column in native byte order."""
    if name not in table.columns.names:
        raise ReferenceFileError(
            f"{path}[{table.name}]: column {name} is missing (have {', '.join(table.columns.names)})"
        )
    return np.array(table.data[name]).astype(dtype)


def table_hdu(name: str, columns: Mapping[str, tuple[npt.NDArray[Any], str]]) -> fits.BinTableHDU:
    """Return a table extension made of ``{column: (values, FITS format)}``."""
    return fits.BinTableHDU.from_columns(
        [fits.Column(name=key, format=form, array=array) for key, (array, form) in columns.items()], name=name
    )
