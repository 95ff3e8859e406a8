"""STIS CCD files on disk: found, opened by astropy, and checked before anything in them is believed."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from gpucti.errors import GpuctiError, InputError, MissingFileError
from gpucti.io.atomic import atomic_output
from gpucti.io.cards import Cards, describes_image, settle, without
from gpucti.io.fitstables import DAMAGE, ascii_text, check_complete


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
        raise InputError("is a folder; expected a FITS file, name the files in it", where=path)
    raise MissingFileError("no such file; check the name and the folder", where=path)


def read_hdus(
    path: Path, *, error: type[GpuctiError] = InputError, stored: bytes | None = None
) -> tuple[fits.HDUList, str]:
    """Return the HDUs of a FITS file, plain or gzip-compressed, and the sha256 (hex) of the file as it lies on disk.

    Every card can be read, and every image has the size that its header announces.

    Parameters
    ----------
    path : Path
        The file.
    error : type of GpuctiError
        What is raised if the file cannot be read, is not FITS, or is damaged.
    stored : bytes, optional
        What `read_stored` returned for it, if that was called before.
    """
    stored = read_stored(path, error) if stored is None else stored
    try:
        content = gzip.decompress(stored) if stored.startswith(b"\x1f\x8b") else stored
    except (OSError, EOFError, zlib.error) as problem:
        raise error(f"the compressed data are damaged ({problem}); get the file again", where=path) from problem
    if not content.startswith(b"SIMPLE  ="):
        raise error(f"is not a FITS file (it starts with {content[:9]!r}); expected 'SIMPLE  ='", where=path)
    try:
        hdus = fits.open(io.BytesIO(content), memmap=False, disable_image_compression=True)
    except DAMAGE as problem:
        raise error(f"damaged ({problem}); get the file again", where=f"{path}[0]") from problem
    check_complete(hdus, len(content), path, error, unpadded=True)
    for index, hdu in enumerate(hdus):
        if index and "XTENSION" not in hdu.header:
            raise error("is no FITS extension; get the file again", where=f"{path}[{index}]")
        try:
            for card in hdu.header.cards:
                card.verify("silentfix")
                card.value = card.value  # ValueError where it cannot be told from the keyword
                _ = card.image  # what was fixed is written anew
            if isinstance(hdu, (fits.PrimaryHDU, fits.ImageHDU)):
                hdu.verify("exception")
        except (*DAMAGE, ValueError) as problem:
            what = " ".join(str(problem).split())
            raise error(f"{what}; repair or get the file again", where=f"{path}[{index}]") from problem
    return hdus, hashlib.sha256(stored).hexdigest()


def read_stored(path: Path, error: type[GpuctiError] = InputError) -> bytes:
    """Return the bytes of a file as they lie on disk; raise `error` if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as problem:
        raise error(f"cannot be read ({problem.strerror}); check its permissions", where=path) from problem


def stored_bytes(hdu: Any) -> bytes:
    """Return header and data of an HDU as they lie in the file, with their padding."""
    place = hdu.fileinfo()
    size = place["datLoc"] + place["datSpan"] - place["hdrLoc"]
    place["file"].seek(place["hdrLoc"])
    return bytes(place["file"].read(size)).ljust(size, b"\0")


def write_hdus(hdus: Iterable[Any], path: Path, *, overwrite: bool = False, extras: Iterable[bytes] = ()) -> Path:
    """Write HDUs whole or not at all, compressed if the name ends in ``.gz``; return `path`.

    Parameters
    ----------
    hdus : iterable of HDUs
        The primary one first. Checksums are renewed where there are any.
    path : Path
        The file.
    overwrite : bool
        Replace an existing file.
    extras : iterable of bytes
        Further extensions as `stored_bytes` returned them, written behind the others.

    Raises
    ------
    OutputExistsError, MissingFileError, OSError
        See `gpucti.io.atomic.atomic_output`.
    """
    listed = fits.HDUList(list(hdus))
    for hdu in listed:
        if "CHECKSUM" in hdu.header or "DATASUM" in hdu.header:
            hdu.add_checksum()
    stream = io.BytesIO()
    listed.writeto(stream, output_verify="ignore")
    with atomic_output(path, overwrite=overwrite) as out:
        out.write(stream.getbuffer())
        for extra in extras:
            out.write(extra)
    return path


def write_product(hdus: Iterable[Any], path: Path, *, overwrite: bool = False, extras: Iterable[bytes] = ()) -> Path:
    """Write what was made of other files, whole or not at all: the one way in which a product gets to the disk.

    Its headers came from those files. What described them is gone or made anew (`gpucti.io.cards.settle`), tables have
    no keywords of images, and FILENAME is the name; the HDUs are changed. Arguments and errors are those of
    `write_hdus`.
    """
    listed = list(hdus)
    for hdu in listed:
        settle(hdu.header)
        if isinstance(hdu, fits.BinTableHDU):
            without(hdu.header, *{keyword for keyword in hdu.header if describes_image(keyword)})
    listed[0].header["FILENAME"] = ascii_text(path.name.removesuffix(".gz"))
    return write_hdus(listed, path, overwrite=overwrite, extras=extras)


def image_shape(hdu: fits.ImageHDU, where: str, error: type[GpuctiError] = InputError) -> tuple[int, ...]:
    """Return the shape that an image or null extension stands for, slowest axis first; ``()`` if it has none.

    A null extension has NAXIS = 0 and stands for NPIX2 rows of NPIX1 pixels that all equal PIXVALUE.
    """
    if not is_null(hdu) or not {"NPIX1", "NPIX2"} & set(hdu.header):
        return tuple(hdu.shape)
    cards = Cards(hdu.header, where, error)
    return tuple(cards.whole(name) for name in ("NPIX2", "NPIX1"))


def is_null(hdu: fits.ImageHDU) -> bool:
    """Tell whether the extension holds no pixels (NAXIS = 0)."""
    return not hdu.shape


def read_image(hdu: fits.ImageHDU, where: str, error: type[GpuctiError] = InputError) -> npt.NDArray[Any]:
    """Return the pixels of an image extension in native byte order, scaled by astropy, null arrays expanded."""
    cards = Cards(hdu.header, where, error)
    if is_null(hdu):
        return np.full(image_shape(hdu, where, error), cards.number("PIXVALUE"))
    for name, default in (("BSCALE", 1), ("BZERO", 0)):
        cards.number(name, default)
    pixels: npt.NDArray[Any] = hdu.data
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
