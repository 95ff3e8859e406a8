"""The bytes of FITS files: found, taken apart without trust, written whole or not at all.

Files are read into memory and cut into HDUs here rather than by ``astropy.io.fits.open``: damage becomes one
error that names the place, HDUs that are none of our business are carried over byte by byte, and no warnings
filter of the process is touched. Header cards are astropy's.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import re
import secrets
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from gpucti.errors import InputError, MissingFileError, OutputExistsError

BLOCK = 2880
CARD = 80
END_CARD = b"END".ljust(CARD)
STANDARD_CARD = re.compile(
    rb"(?:[A-Z0-9_-]+ *(?<=^.{8})= |(?:COMMENT |HISTORY |CONTINUE|HIERARCH|END     | {8})[ -~]{2})[ -~]{70}"
)
PIXEL_TYPES = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}


@dataclass(frozen=True, eq=False)
class RawHdu:
    """One HDU as it lies in the file.

    Attributes
    ----------
    where : str
        File and extension, for messages: ``x_flt.fits[3]``.
    header : fits.Header
        A copy of the cards.
    content : bytes
        Header and data with their padding.
    data_start : int
        Where in `content` the data begin.
    """

    where: str
    header: fits.Header
    content: bytes
    data_start: int

    @property
    def extname(self) -> str:
        """EXTNAME in capitals, empty if there is none."""
        return str(keyword(self.header, "EXTNAME", self.where, default="")).strip().upper()

    @property
    def extver(self) -> int:
        """EXTVER, 1 if there is none (the FITS default)."""
        return integer_keyword(self.header, "EXTVER", self.where, default=1)


def find_file(path: str | os.PathLike[str]) -> Path:
    """Return `path`, or ``path.gz`` where only that exists.

    Raises
    ------
    MissingFileError
        If neither exists.
    InputError
        If `path` is a folder.
    """
    path = Path(path)
    if path.is_file():
        return path
    compressed = path.with_name(f"{path.name}.gz") if path.name else path
    if path.suffix != ".gz" and compressed.is_file():
        return compressed
    if path.is_dir():
        raise InputError(f"{path}: is a folder; expected a FITS file, name the files in it")
    raise MissingFileError(f"{path}: no such file; check the name and the folder")


def read_hdus(path: Path) -> tuple[list[RawHdu], str]:
    """Return the HDUs of a FITS file, plain or gzip-compressed, and the sha256 (hex) of the file as it lies on disk.

    Raises
    ------
    InputError
        If the file cannot be read, is not FITS, or is cut short.
    """
    try:
        stored = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    content = stored
    if stored.startswith(b"\x1f\x8b"):
        try:
            content = gzip.decompress(stored)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path}: the compressed data are damaged ({error}); get the file again") from error
    if not content.startswith(b"SIMPLE  ="):
        raise InputError(f"{path}: is not a FITS file (it starts with {content[:9]!r}); expected 'SIMPLE  ='")
    return list(_split(content, path)), hashlib.sha256(stored).hexdigest()


def _split(content: bytes, path: Path) -> Iterator[RawHdu]:
    """Cut the bytes of a file into HDUs; blanks and zeros behind the last one are dropped."""
    start, index = 0, 0
    while start < len(content) and content[start:].strip(b"\0 "):
        where = f"{path}[{index}]"
        if index and not content.startswith(b"XTENSION=", start):
            raise InputError(f"{where}: {len(content) - start} bytes that are no FITS extension; get the file again")
        data_start = _header_end(content, start, where)
        if data_start > len(content):
            raise InputError(f"{where}: cut short within the header; get the file again")
        header = _parse_cards(content[start:data_start], where)
        n_bytes = _data_bytes(header, where)
        if data_start + n_bytes > len(content):
            found = len(content) - data_start
            raise InputError(f"{where}: cut short, {found} of {n_bytes} bytes of data; get the file again")
        end = data_start + -(-n_bytes // BLOCK) * BLOCK
        yield RawHdu(where, header, content[start:end].ljust(end - start, b"\0"), data_start - start)
        start, index = end, index + 1


def _header_end(content: bytes, start: int, where: str) -> int:
    """Return where the data behind the header at `start` begin."""
    at = content.find(END_CARD, start)
    while at >= 0 and (at - start) % CARD:
        at = content.find(END_CARD, at + 1)
    if at < 0:
        raise InputError(f"{where}: the header has no END, the file is cut short or damaged; get the file again")
    return start + -(-(at + CARD - start) // BLOCK) * BLOCK


def _parse_cards(cards: bytes, where: str) -> fits.Header:
    """Return a header of which every card can be read, and written without a complaint."""
    for number, card in enumerate((cards[i : i + CARD] for i in range(0, len(cards), CARD)), start=1):
        if not STANDARD_CARD.fullmatch(card):
            raise InputError(f"{where}: card {number} is no FITS card ({card[:30]!r}); repair or get the file again")
    header = fits.Header.fromstring(cards)
    for card in header.cards:
        try:
            card.verify("silentfix")
        except (fits.VerifyError, ValueError) as error:
            raise InputError(
                f"{where}: the card of {card.keyword} cannot be read; repair or get the file again"
            ) from error
    return header


def _data_bytes(header: fits.Header, where: str) -> int:
    """Return the size of the data that the header announces, without padding."""
    bitpix = _size_keyword(header, "BITPIX", where)
    if bitpix not in PIXEL_TYPES:
        raise InputError(f"{where}: BITPIX is {bitpix}; expected one of {', '.join(map(str, PIXEL_TYPES))}")
    axes = [_size_keyword(header, f"NAXIS{i + 1}", where) for i in range(_size_keyword(header, "NAXIS", where))]
    pcount = _size_keyword(header, "PCOUNT", where, default=0)
    gcount = _size_keyword(header, "GCOUNT", where, default=1)
    if min([0, pcount, gcount, *axes]) < 0:
        raise InputError(f"{where}: negative NAXISn, PCOUNT or GCOUNT; the header is damaged, get the file again")
    pixels = int(np.prod(axes, dtype=object)) if axes else 0
    return abs(bitpix) // 8 * gcount * (pcount + pixels)


def image_shape(hdu: RawHdu) -> tuple[int, ...]:
    """Return the shape that an image or null extension stands for, slowest axis first; ``()`` if it has none.

    A null extension has NAXIS = 0 and stands for NPIX2 rows of NPIX1 pixels that all equal PIXVALUE.
    """
    if is_null(hdu):
        names = ["NPIX1", "NPIX2"] if {"NPIX1", "NPIX2"} & set(hdu.header) else []
    else:
        names = [f"NAXIS{i + 1}" for i in range(hdu.header["NAXIS"])]
    return tuple(integer_keyword(hdu.header, name, hdu.where) for name in reversed(names))


def is_null(hdu: RawHdu) -> bool:
    """Tell whether the extension holds no pixels (NAXIS = 0)."""
    return bool(hdu.header["NAXIS"] == 0)


def read_image(hdu: RawHdu) -> npt.NDArray[Any]:
    """Return the pixels of an image extension in native byte order, scaled, null arrays expanded.

    Integers stay integers unless BSCALE, BZERO or BLANK asks for more: BZERO = 2**(BITPIX - 1) gives
    unsigned integers, anything else float64 with NaN for BLANK pixels.
    """
    header, where = hdu.header, hdu.where
    shape = image_shape(hdu)
    if is_null(hdu):
        return np.full(shape, number_keyword(header, "PIXVALUE", where))
    dtype = np.dtype(PIXEL_TYPES[header["BITPIX"]])
    stored = np.frombuffer(hdu.content, dtype, count=int(np.prod(shape)), offset=hdu.data_start).reshape(shape)
    pixels: npt.NDArray[Any] = stored.astype(dtype.newbyteorder("="))
    zero = number_keyword(header, "BZERO", where, default=0)
    step = number_keyword(header, "BSCALE", where, default=1)
    blank = header.get("BLANK") if dtype.kind in "iu" else None
    if (zero, step) == (0, 1) and blank is None:
        return pixels
    if dtype.kind == "i" and step == 1 and zero == 2 ** (8 * dtype.itemsize - 1) and blank is None:
        unsigned = np.dtype(f"u{dtype.itemsize}")
        flipped: npt.NDArray[Any] = pixels.view(unsigned) ^ unsigned.type(zero)
        return flipped
    scaled = pixels * float(step) + float(zero)
    if blank is not None:
        scaled[stored == blank] = np.nan
    return scaled


_REQUIRED: Any = object()


def keyword(header: fits.Header, name: str, where: str, *, default: Any = _REQUIRED) -> Any:
    """Return the value of a keyword, or raise `InputError` if it is missing (without `default`) or unreadable."""
    if name not in header:
        if default is _REQUIRED:
            raise InputError(f"{where}: {name} is missing; the keyword is needed and has no default, add it")
        return default
    try:
        return header[name]
    except (fits.VerifyError, ValueError) as error:
        raise InputError(f"{where}: the card of {name} cannot be read; repair it") from error


def number_keyword(header: fits.Header, name: str, where: str, *, default: Any = _REQUIRED) -> float:
    """Return a finite number from a header."""
    value = keyword(header, name, where, default=default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InputError(f"{where}: {name} is {_shown(value)}; expected a number")
    return value


def integer_keyword(header: fits.Header, name: str, where: str, *, default: Any = _REQUIRED) -> int:
    """Return a whole number from a header."""
    value = number_keyword(header, name, where, default=default)
    if value != int(value):
        raise InputError(f"{where}: {name} is {value!r}; expected a whole number")
    return int(value)


def _size_keyword(header: fits.Header, name: str, where: str, *, default: Any = _REQUIRED) -> int:
    """Return a whole number that is written without a decimal point, as FITS wants it for sizes."""
    if isinstance(header.get(name), float):
        raise InputError(f"{where}: {name} is {header[name]!r}; expected a whole number without decimal point")
    return integer_keyword(header, name, where, default=default)


def text_keyword(header: fits.Header, name: str, where: str, *, default: Any = _REQUIRED) -> str:
    """Return a text from a header, without blanks at its ends."""
    value = keyword(header, name, where, default=default)
    if not isinstance(value, str):
        raise InputError(f"{where}: {name} is {_shown(value)}; expected text in quotes")
    return value.strip()


def _shown(value: Any) -> str:
    return "blank" if value is None or isinstance(value, fits.card.Undefined) else repr(value)


@contextmanager
def atomic_output(path: Path, *, overwrite: bool = False) -> Iterator[IO[bytes]]:
    """Open a binary file for writing that appears under `path` only when the block ends without an error.

    The bytes go to a hidden temporary name in the same folder, which is removed on any failure, a keyboard
    interrupt included. A name that ends in ``.gz`` is compressed.

    Raises
    ------
    OutputExistsError
        If `path` exists and `overwrite` is not set.
    """
    refuse_existing(path, overwrite=overwrite)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as stream:
            if path.suffix == ".gz":
                with gzip.GzipFile(filename=path.stem, mode="wb", fileobj=stream, mtime=0) as compressed:
                    yield cast(IO[bytes], compressed)
            else:
                yield stream
        refuse_existing(path, overwrite=overwrite)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Raise `OutputExistsError` if `path` exists and may not be replaced (a folder never may)."""
    if path.is_dir():
        raise OutputExistsError(f"{path}: the output is an existing folder; move it away or choose another outdir")
    if not overwrite and (path.exists() or path.is_symlink()):
        raise OutputExistsError(f"{path}: the output exists; remove it, choose another outdir or allow overwriting")
