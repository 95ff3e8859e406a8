"""STIS CCD files on disk: found, opened by astropy, and checked before anything in them is believed."""

from __future__ import annotations

import gzip
import hashlib
import io
import math
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from gpucti.detector import AMPS
from gpucti.errors import InputError, MissingFileError
from gpucti.io.fitstables import DAMAGE, check_complete


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


def read_hdus(path: Path) -> tuple[fits.HDUList, str]:
    """Return the HDUs of a FITS file, plain or gzip-compressed, and the sha256 (hex) of the file as it lies on disk.

    Every card can be read, and every image has the size that its header announces.

    Raises
    ------
    InputError
        If the file cannot be read, is not FITS, or is damaged.
    """
    try:
        stored = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    try:
        content = gzip.decompress(stored) if stored.startswith(b"\x1f\x8b") else stored
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: the compressed data are damaged ({error}); get the file again") from error
    if not content.startswith(b"SIMPLE  ="):
        raise InputError(f"{path}: is not a FITS file (it starts with {content[:9]!r}); expected 'SIMPLE  ='")
    try:
        hdus = fits.open(io.BytesIO(content), memmap=False, disable_image_compression=True)
    except DAMAGE as error:
        raise InputError(f"{path}[0]: damaged ({error}); get the file again") from error
    check_complete(hdus, len(content), path, InputError, unpadded=True)
    for index, hdu in enumerate(hdus):
        if index and "XTENSION" not in hdu.header:
            raise InputError(f"{path}[{index}]: is no FITS extension; get the file again")
        try:
            for card in hdu.header.cards:
                card.verify("silentfix")
                card.value = card.value  # ValueError where it cannot be told from the keyword
                _ = card.image  # what was fixed is written anew
            if isinstance(hdu, (fits.PrimaryHDU, fits.ImageHDU)):
                hdu.verify("exception")
        except (*DAMAGE, ValueError) as error:
            problem = " ".join(str(error).split())
            raise InputError(f"{path}[{index}]: {problem}; repair or get the file again") from error
    return hdus, hashlib.sha256(stored).hexdigest()


def stored_bytes(hdu: Any) -> bytes:
    """Return header and data of an HDU as they lie in the file, with their padding."""
    place = hdu.fileinfo()
    size = place["datLoc"] + place["datSpan"] - place["hdrLoc"]
    place["file"].seek(place["hdrLoc"])
    return bytes(place["file"].read(size)).ljust(size, b"\0")


def image_shape(hdu: fits.ImageHDU, where: str) -> tuple[int, ...]:
    """Return the shape that an image or null extension stands for, slowest axis first; ``()`` if it has none.

    A null extension has NAXIS = 0 and stands for NPIX2 rows of NPIX1 pixels that all equal PIXVALUE.
    """
    if not is_null(hdu) or not {"NPIX1", "NPIX2"} & set(hdu.header):
        return tuple(hdu.shape)
    return tuple(integer_keyword(hdu.header, name, where) for name in ("NPIX2", "NPIX1"))


def is_null(hdu: fits.ImageHDU) -> bool:
    """Tell whether the extension holds no pixels (NAXIS = 0)."""
    return not hdu.shape


def read_image(hdu: fits.ImageHDU, where: str) -> npt.NDArray[Any]:
    """Return the pixels of an image extension in native byte order, scaled by astropy, null arrays expanded."""
    if is_null(hdu):
        return np.full(image_shape(hdu, where), number_keyword(hdu.header, "PIXVALUE", where))
    for name, default in (("BSCALE", 1), ("BZERO", 0)):
        number_keyword(hdu.header, name, where, default=default)
    pixels: npt.NDArray[Any] = hdu.data
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)


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


def text_keyword(header: fits.Header, name: str, where: str, *, default: Any = _REQUIRED) -> str:
    """Return a text from a header, without blanks at its ends."""
    value = keyword(header, name, where, default=default)
    if not isinstance(value, str):
        raise InputError(f"{where}: {name} is {_shown(value)}; expected text in quotes")
    return value.strip()


def amp_keyword(header: fits.Header, where: str) -> str:
    """Return the amplifier, A to D, from a header (CCDAMP)."""
    amp = text_keyword(header, "CCDAMP", where)
    if amp not in AMPS:
        raise InputError(f"{where}: CCDAMP is {amp!r}; expected one of A, B, C, D (a single amplifier)")
    return amp


def _shown(value: Any) -> str:
    return "blank" if value is None or isinstance(value, fits.card.Undefined) else repr(value)
