"""STIS CCD files on disk: found, opened by astropy, and checked before anything in them is believed."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from gpucti.errors import GpuctiError, InputError, MissingFileError
from gpucti.io.atomic import atomic_output
from gpucti.io.cards import Cards, describes_image, settle, without
from gpucti.io.fitstables import DAMAGE, ascii_text, check_complete
from gpucti.io.kinds import ACQUISITION, BESIDE, EXTRACTED, FOLDER, FOREIGN, MAMA, TABLE, kind_of, no_fits

#: Extensions of one imset, in the order in which they are written.
IMSET = ("SCI", "ERR", "DQ")
#: What an exposure is, for messages.
EXPECTED = "an image of the STIS CCD (SCI, ERR and DQ extensions)"


def find_file(path: str | os.PathLike[str]) -> Path:
    """Return `path`, or ``path.gz`` where only that exists.

    Raises
    ------
    MissingFileError
        If neither exists.
    UnsuitableFileError
        If `path` is a folder.
    """
    path = Path(path)
    if path.is_file():
        return path
    compressed = path.with_name(f"{path.name}.gz") if path.name else path
    if path.suffix != ".gz" and compressed.is_file():
        return compressed
    if path.is_dir():
        raise FOLDER.unsuitable(path, "a FITS file, name the files in it")
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
    if not content:
        raise error("is empty, not a FITS file; get the file again", where=path)
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


def read_exposure(path: Path, stored: bytes | None = None) -> tuple[fits.HDUList, str]:
    """Return what `read_hdus` does; raise `UnsuitableFileError` for a file that has nothing to do with FITS."""
    if stored is None and (kind := no_fits(path)) is not None:
        raise kind.unsuitable(path, EXPECTED)
    return read_hdus(path, stored=stored)


def image_sets(hdus: fits.HDUList, path: Path) -> tuple[list[tuple[fits.ImageHDU, ...]], list[Any], tuple[int, int]]:
    """Check the structure of a file; return its imsets, its other extensions and the common shape."""
    primary, where = hdus[0].header, f"{path}[0]"
    kind = kind_of(path, primary)
    if kind.name in (BESIDE, FOREIGN, MAMA, TABLE):
        raise kind.unsuitable(path, EXPECTED)
    for name, value in (("INSTRUME", "STIS"), ("DETECTOR", "CCD")):
        found = Cards(primary, where).text(name)
        if found != value:
            raise InputError(f"{name} is {found!r}; expected {value!r}, this is for STIS CCD images only", where=where)
    try:
        return _sorted(hdus, path)
    except InputError as error:
        if kind.name == ACQUISITION:  # image sets of several sizes, a table of steps
            raise kind.unsuitable(path, EXPECTED) from error
        raise


def _sorted(hdus: fits.HDUList, path: Path) -> tuple[list[tuple[fits.ImageHDU, ...]], list[Any], tuple[int, int]]:
    """Return imsets, other extensions and common shape of a file with the header of a CCD exposure."""
    primary, where = hdus[0].header, f"{path}[0]"
    if not is_null(hdus[0]):
        raise InputError("the primary HDU holds data; expected images in SCI, ERR and DQ extensions", where=where)

    named: dict[tuple[str, int], fits.ImageHDU] = {}
    extras = []
    for index, hdu in enumerate(hdus[1:], start=1):
        name, place = hdu.name.strip().upper(), f"{path}[{index}]"
        if name not in IMSET:
            extras.append(hdu)
            continue
        key = (name, Cards(hdu.header, place).whole("EXTVER", default=1))
        if key in named:
            raise InputError(f"a second extension {key[0]},{key[1]}; expected EXTVER 1, 2, ... once each", where=place)
        if name == "SCI" and isinstance(hdu, fits.BinTableHDU):
            raise EXTRACTED.unsuitable(path, f"{EXPECTED}, and SCI,{key[1]} is not an image extension")
        if not isinstance(hdu, fits.ImageHDU):
            raise InputError(f"{key[0]},{key[1]} is not an image extension; is this a calibrated image?", where=place)
        named[key] = hdu

    n_imsets = _count_imsets(primary, named, where)
    imsets = [(named["SCI", n], named["ERR", n], named["DQ", n]) for n in range(1, n_imsets + 1)]
    shape = _common_shape(imsets, path)
    return imsets, extras, shape


def _count_imsets(primary: fits.Header, named: dict[tuple[str, int], fits.ImageHDU], where: str) -> int:
    """Return the number of imsets; NEXTEND and the extensions must agree on it."""
    nextend = Cards(primary, where).whole("NEXTEND")
    if nextend < len(IMSET) or nextend % len(IMSET):
        raise InputError(f"NEXTEND is {nextend}; expected a multiple of 3 (SCI, ERR and DQ of each imset)", where=where)
    n_imsets = nextend // len(IMSET)
    expected = {(name, n) for n in range(1, max(n_imsets, 1) + 1) for name in IMSET} if n_imsets <= len(named) else None
    if expected is None or expected != set(named):
        have = ", ".join(f"{name},{n}" for name, n in sorted(named, key=lambda key: (key[1], IMSET.index(key[0])))[:12])
        raise InputError(
            f"NEXTEND is {nextend}, that is SCI, ERR and DQ with EXTVER 1 to {n_imsets}; the file has "
            f"{have or 'none of them'}",
            where=where,
        )
    return n_imsets


def _common_shape(imsets: Sequence[tuple[fits.ImageHDU, ...]], path: Path) -> tuple[int, int]:
    """Return rows and columns of every array; SCI must hold pixels."""
    shape = image_shape(imsets[0][0], f"{path}[SCI,1]")
    for number, members in enumerate(imsets, start=1):
        for name, hdu in zip(IMSET, members, strict=True):
            if name == "SCI" and is_null(hdu):
                raise InputError("holds no pixels (NAXIS = 0); expected an image", where=f"{path}[SCI,{number}]")
            found = image_shape(hdu, f"{path}[{name},{number}]")
            if len(found) != 2 or 0 in found:
                raise InputError(f"the shape is {found}; expected rows and columns", where=f"{path}[{name},{number}]")
            if found != shape:
                raise InputError(
                    f"the shape is {found}; expected {shape} (rows, columns) as in SCI,1",
                    where=f"{path}[{name},{number}]",
                )
    rows, cols = shape
    return rows, cols
