"""Reading tables out of FITS reference files, with errors that name file, extension, column or keyword."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from gpucti.errors import GpuctiError, ReferenceFileError
from gpucti.io.cards import Cards

#: What the reference files read here are, for messages.
_KIND = "PCTETAB"
#: What astropy raises where a file is damaged; its warnings too, where the caller's filters make them errors.
DAMAGE = (Warning, OSError, TypeError, AttributeError, KeyError, OverflowError, fits.VerifyError)


def ascii_text(text: str) -> str:
    """Return a text as a FITS header can hold it."""
    return text.encode("ascii", "replace").decode()


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a file, unpacked if it is gzip-compressed."""
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except FileNotFoundError:
        raise ReferenceFileError(
            f"{_KIND} not found; `gpucti pctetab --write FILE` makes the default one", where=path
        ) from None
    except (OSError, EOFError, zlib.error) as error:
        raise ReferenceFileError(f"cannot be read ({error})", where=path) from error


def check_complete(
    hdus: fits.HDUList,
    size: int,
    path: Path,
    error: type[GpuctiError] = ReferenceFileError,
    *,
    unpadded: bool = False,
) -> None:
    """Raise `error` unless the HDUs fill `size` bytes; zeros may follow, and with `unpadded` the last block be short.

    Of a list opened lazily, each HDU is checked before the next is looked for: astropy never comes to an end where
    a damaged size leads it back.
    """
    index = end = -1
    try:
        for index, hdu in enumerate(hdus):
            place = hdu.fileinfo()
            end = place["datLoc"] + place["datSpan"]
            if hdu.size < 0 or size < (place["datLoc"] + hdu.size if unpadded else end):
                name = hdu.name or index
                raise error(
                    f"truncated, data of extension {name} are missing; get the file again", where=f"{path}[{index}]"
                )
    except DAMAGE as problem:
        raise error(f"damaged ({problem}); get the file again", where=f"{path}[{index + 1}]") from problem
    if end < size:
        place["file"].seek(end)
        if place["file"].read().strip(b"\0"):
            raise error(
                f"the last {size - end} bytes are no complete FITS extension; get the file again",
                where=f"{path}[{index + 1}]",
            )


def extension(hdus: fits.HDUList, name: str, path: Path) -> fits.BinTableHDU:
    """Return the table extension of that name."""
    if name not in hdus or not isinstance(hdus[name], fits.BinTableHDU):
        have = ", ".join(hdu.name for hdu in hdus[1:]) or "none"
        raise ReferenceFileError(f"table extension {name} is missing (have {have}); is this a {_KIND}?", where=path)
    return hdus[name]


def table_cards(header: fits.Header, path: Path, *needed: str) -> Cards:
    """Return the cards of a header of the table, in which the `needed` ones must be."""
    cards = Cards(header, str(path), ReferenceFileError)
    for name in needed:
        if name not in cards:
            raise cards.wrong(f"keyword {name} is missing; is this a {_KIND}?")
    return cards


def column(table: fits.BinTableHDU, name: str, path: Path, dtype: type = np.float64) -> npt.NDArray[Any]:
    """Return a table column in native byte order."""
    if name not in table.columns.names:
        raise ReferenceFileError(
            f"column {name} is missing (have {', '.join(table.columns.names)})", where=f"{path}[{table.name}]"
        )
    try:
        return np.array(table.data[name]).astype(dtype)
    except ValueError:
        raise ReferenceFileError(f"{name} holds text; expected numbers", where=f"{path}[{table.name}]") from None


def whole_column(table: fits.BinTableHDU, name: str, path: Path) -> npt.NDArray[np.int64]:
    """Return a table column of whole numbers."""
    values = column(table, name, path)
    if not np.array_equal(values, np.rint(values)):
        raise ReferenceFileError(f"{name} holds fractions; expected whole numbers", where=f"{path}[{table.name}]")
    return values.astype(np.int64)


def table_hdu(name: str, columns: Mapping[str, tuple[npt.NDArray[Any], str]]) -> fits.BinTableHDU:
    """Return a table extension made of ``{column: (values, FITS format)}``."""
    return fits.BinTableHDU.from_columns(
        [fits.Column(name=key, format=form, array=array) for key, (array, form) in columns.items()], name=name
    )
