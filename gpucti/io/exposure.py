"""One STIS CCD file in memory: its image sets, its headers, and what they say about the readout."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from gpucti.detector import FULL_COLS, FULL_ROWS
from gpucti.errors import InputError, UnsuitableFileError
from gpucti.io.cards import STATISTICS, STORAGE_KEYWORDS, Cards, renamed, without
from gpucti.io.fitsfile import (
    IMSET,
    find_file,
    image_sets,
    is_null,
    read_exposure,
    read_image,
    stored_bytes,
    write_product,
)
from gpucti.io.kinds import COMBINED, IMAGE, RAW, kind_of


def _no_headers() -> tuple[fits.Header, fits.Header, fits.Header]:
    return fits.Header(), fits.Header(), fits.Header()


@dataclass(frozen=True, eq=False)
class ImageSet:
    """The SCI, ERR and DQ arrays of one exposure, in file orientation and native byte order.

    Attributes
    ----------
    sci, err : (rows, cols) float32 or float64
        Counts.
    dq : (rows, cols) integer
        Data-quality bits.
    headers : three fits.Header
        Cards of SCI, ERR and DQ; storage keywords are ignored on writing.
    """

    sci: npt.NDArray[np.floating[Any]]
    err: npt.NDArray[np.floating[Any]]
    dq: npt.NDArray[np.integer[Any]]
    headers: tuple[fits.Header, fits.Header, fits.Header] = field(default_factory=_no_headers)

    def has_arrays_of(self, other: ImageSet) -> bool:
        """Tell whether the arrays are those of another image set, the same objects."""
        return self.sci is other.sci and self.err is other.err and self.dq is other.dq

    def drop_statistics(self) -> None:
        """Remove the statistics from the headers: the pixels are not those they were taken from."""
        for header in self.headers:
            without(header, *STATISTICS)


class StisKeywords:
    """What the headers of a STIS CCD file say; every property raises `InputError` for a bad keyword."""

    path: Path
    primary: fits.Header
    sci_headers: tuple[fits.Header, ...]
    shape: tuple[int, int]
    wavecal_names: dict[str, str]

    @property
    def cards(self) -> Cards:
        """The primary header."""
        return Cards(self.primary, f"{self.path}[0]")

    @property
    def sci_cards(self) -> tuple[Cards, ...]:
        """The SCI headers, by EXTVER."""
        return tuple(Cards(header, f"{self.path}[SCI,{n}]") for n, header in enumerate(self.sci_headers, start=1))

    @property
    def amp(self) -> str:
        """Amplifier, A to D (CCDAMP)."""
        return self.cards.amp()

    @property
    def gain(self) -> float:
        """Electrons per count (ATODGAIN)."""
        gain = self.cards.number("ATODGAIN")
        if gain <= 0:
            raise InputError(
                f"ATODGAIN is {gain!r}; expected electrons per count, above 0 (basic2d fills it in)",
                where=self.cards.where,
            )
        return float(gain)

    @property
    def start_mjd(self) -> float:
        """Start of the first exposure, Modified Julian Date (TEXPSTRT)."""
        return float(self.cards.number("TEXPSTRT"))

    @property
    def rootname(self) -> str:
        """ROOTNAME: what products are called after."""
        name = self.cards.text("ROOTNAME")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
            raise InputError(
                f"ROOTNAME is {name!r}; expected letters, digits, '_' and '-' only", where=self.cards.where
            )
        return name

    @property
    def pctetab(self) -> str:
        """File name in PCTETAB as it stands there, empty if there is none or it is ``N/A``."""
        return self.cards.file("PCTETAB")

    @property
    def origin(self) -> tuple[int, int] | None:
        """Row and column, 0-based, of the first pixel on the 1024 x 1024 frame (LTV2, LTV1).

        None for a full frame, and for a smaller image whose headers do not say where it lies: that is
        taken to start at the readout corner, as stis_cti takes every image.
        """
        rows, cols = self.shape
        cards = self.sci_cards[0]
        if (rows, cols) == (FULL_ROWS, FULL_COLS) or not {"LTV1", "LTV2"} & set(cards.header):
            return None
        row, col = (-cards.whole(name) for name in ("LTV2", "LTV1"))
        if not (0 <= row <= FULL_ROWS - rows and 0 <= col <= FULL_COLS - cols):
            raise InputError(
                f"LTV1, LTV2 = {-col}, {-row} put {cols} x {rows} pixels (columns x rows) outside the "
                f"{FULL_COLS} x {FULL_ROWS} frame; expected minus the offset of the subarray",
                where=cards.where,
            )
        return row, col

    def switch(self, name: str) -> str:
        """Return a calibration switch in capitals, empty if it is absent."""
        return self.cards.switch(name)

    def require_trimmed(self) -> None:
        """Raise `UnsuitableFileError` unless this is an image, unbinned, bias-subtracted and free of overscan."""
        rows, cols = self.shape
        kind = kind_of(self.path, self.primary)
        if kind.name not in (RAW, IMAGE, COMBINED):
            raise kind.unsuitable(self.path, "a bias-subtracted image of the STIS CCD (flt)")
        if kind.name == RAW or rows > FULL_ROWS or cols > FULL_COLS:
            raise kind.unsuitable(
                self.path,
                f"at most {FULL_COLS} x {FULL_ROWS} pixels without bias level and overscan, not {cols} x {rows} pixels "
                f"with BLEVCORR {self.switch('BLEVCORR') or 'absent'}: run basic2d (DQICORR, BLEVCORR, BIASCORR) "
                "first, or `gpucti correct`, which does all",
            )
        for name in ("BINAXIS1", "BINAXIS2"):
            binning = self.cards.whole(name, default=1)
            if binning != 1:
                raise _binned(name, binning, self.cards)
        for cards in self.sci_cards:
            for name in ("LTM1_1", "LTM2_2"):
                step = cards.number(name, default=1)
                if step != 1:
                    raise _binned(name, step, cards)

    def require_uncorrected(self) -> None:
        """Raise `UnsuitableFileError` if a CTI correction, by pixels or empirical, has been applied already."""
        for name, what in (
            ("PCTECORR", "the pixels are already CTI-corrected"),
            ("CTECORR", "the empirical CTI correction is applied"),
        ):
            if self.switch(name) == "COMPLETE":
                raise UnsuitableFileError(
                    f"{name} is COMPLETE, {what}; expected PERFORM, OMIT or none, use the file as it was before",
                    where=self.cards.where,
                )


@dataclass(frozen=True, eq=False)
class ExposureHeaders(StisKeywords):
    """The headers of one file, checked, without its pixels.

    Attributes
    ----------
    path : Path
        The file that was read (``x.fits.gz`` where ``x.fits`` was asked for and only that exists).
    primary : fits.Header
        Primary header.
    sci_headers : tuple of fits.Header
        SCI headers by EXTVER.
    shape : (rows, cols)
        Of every array in the file.
    sha256 : str
        Digest (hex) of the file as it lay on disk; empty for headers made in memory.
    names, wavecal_names : dict
        Names of references by keyword that took the place of those in the primary header, and that take the place of
        those in the header of its wavecal; see `renamed`.
    """

    path: Path
    primary: fits.Header
    sci_headers: tuple[fits.Header, ...]
    shape: tuple[int, int]
    sha256: str = ""
    names: dict[str, str] = field(default_factory=dict)
    wavecal_names: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: str | os.PathLike[str], *, stored: bytes | None = None) -> ExposureHeaders:
        """Read and check the headers of a file; see `Exposure.read` for the errors, `read_hdus` for `stored`."""
        path = find_file(path)
        hdus, sha256 = read_exposure(path, stored)
        imsets, _, shape = image_sets(hdus, path)
        return cls(path, hdus[0].header, tuple(sci.header for sci, _, _ in imsets), shape, sha256)

    def renamed(self, names: Mapping[str, str], wavecal_names: Mapping[str, str]) -> ExposureHeaders:
        """Return the headers with other references: in the primary header, and for its wavecal."""
        primary = renamed(self.primary, names)
        return replace(self, primary=primary, names=dict(names), wavecal_names=dict(wavecal_names))

    @property
    def n_imsets(self) -> int:
        """Number of image sets."""
        return len(self.sci_headers)


@dataclass(frozen=True, eq=False)
class Exposure(StisKeywords):
    """One STIS CCD file in memory.

    Attributes
    ----------
    path : Path
        The file that was read.
    primary : fits.Header
        Primary header.
    imsets : tuple of ImageSet
        By EXTVER.
    extras : tuple of bytes
        Every other extension as it lies in the file; written back unchanged, behind the image sets.
    sha256 : str
        Digest (hex) of the file as it lay on disk; empty for an exposure made in memory.
    wavecal_names : dict
        See `ExposureHeaders`.
    """

    path: Path
    primary: fits.Header
    imsets: tuple[ImageSet, ...]
    extras: tuple[bytes, ...] = ()
    sha256: str = ""
    wavecal_names: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Exposure:
        """Read a file, plain or gzip-compressed; ``x.fits`` also finds ``x.fits.gz``.

        Extensions are found by EXTNAME and EXTVER. Null ERR and DQ arrays are expanded, integer SCI and ERR
        become float32, bytes get the native order.

        Raises
        ------
        MissingFileError
            There is no such file.
        UnsuitableFileError
            Another kind of file: a folder, a picture, a table, a support file, an exposure of another detector.
        InputError
            Not FITS, cut short, NEXTEND and the extensions disagree, an extension missing or without pixels, SCI, ERR
            and DQ of different shape.
        """
        path = find_file(path)
        hdus, sha256 = read_exposure(path)
        members, extras, _ = image_sets(hdus, path)
        imsets = tuple(
            ImageSet(
                _floats(sci, f"{path}[SCI,{n}]"),
                _floats(err, f"{path}[ERR,{n}]"),
                _bits(dq, f"{path}[DQ,{n}]"),
                (sci.header, err.header, dq.header),
            )
            for n, (sci, err, dq) in enumerate(members, start=1)
        )
        return cls(path, hdus[0].header, imsets, tuple(map(stored_bytes, extras)), sha256)

    @property
    def sci_headers(self) -> tuple[fits.Header, ...]:  # type: ignore[override]
        """SCI headers by EXTVER."""
        return tuple(imset.headers[0] for imset in self.imsets)

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        """Rows and columns."""
        rows, cols = self.imsets[0].sci.shape
        return rows, cols

    @property
    def n_imsets(self) -> int:
        """Number of image sets."""
        return len(self.imsets)

    def with_imsets(self, imsets: Sequence[ImageSet]) -> Exposure:
        """Return a copy with other image sets, and with headers of its own that may be changed.

        Statistics (NGOODPIX, GOODMEAN, ...) stay with the arrays that they were taken from: an image set that holds
        others has none.
        """
        own = tuple(replace(imset, headers=tuple(header.copy() for header in imset.headers)) for imset in imsets)
        for imset in own:
            if not any(imset.has_arrays_of(old) for old in self.imsets):
                imset.drop_statistics()
        return replace(self, primary=self.primary.copy(), imsets=own)

    def write(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the file whole or not at all, compressed if its name ends in ``.gz``; return its path.

        FILENAME and NEXTEND are set, null arrays written in full, checksums renewed where there were any, and what
        described the file that was read is gone; see `gpucti.io.fitsfile.write_product`.

        Raises
        ------
        OutputExistsError
            The file exists and `overwrite` is False.
        """
        path = Path(path)
        primary = self.primary.copy()
        primary["NEXTEND"] = len(IMSET) * self.n_imsets
        hdus: list[Any] = [fits.PrimaryHDU(header=primary)]
        for number, imset in enumerate(self.imsets, start=1):
            arrays = (imset.sci, imset.err, imset.dq)
            for name, array, header in zip(IMSET, arrays, imset.headers, strict=True):
                hdus.append(_image_hdu(name, number, array, header))
        return write_product(hdus, path, overwrite=overwrite, extras=self.extras)


def _image_hdu(name: str, number: int, array: npt.NDArray[Any], header: fits.Header) -> fits.ImageHDU:
    header = header.copy()
    without(header, *STORAGE_KEYWORDS)
    array = array.view()
    array.flags.writeable = False  # else astropy swaps its bytes in place while it writes, and others read it then
    hdu = fits.ImageHDU(data=array, header=header)  # sets BITPIX, NAXISn, and BZERO for unsigned integers
    for key, value in (("EXTNAME", name), ("EXTVER", number)):
        if hdu.header.get(key) != value:
            hdu.header[key] = value
    return hdu


def _binned(name: str, step: float, cards: Cards) -> UnsuitableFileError:
    return UnsuitableFileError(f"{name} is {step}; expected 1, binned images cannot be corrected", where=cards.where)


def _floats(hdu: fits.ImageHDU, where: str) -> npt.NDArray[np.floating[Any]]:
    """Return counts: float64 stays, all else becomes float32."""
    is_double = hdu.header["BITPIX"] == -64  # before scaling changes it
    return read_image(hdu, where).astype(np.float64 if is_double else np.float32, copy=False)


def _bits(hdu: fits.ImageHDU, where: str) -> npt.NDArray[np.integer[Any]]:
    """Return data-quality bits: the stored integer type, int16 for a null array."""
    pixels = read_image(hdu, where)
    if is_null(hdu):
        value = float(pixels.flat[0])
        if value != int(value) or not -32768 <= value <= 32767:
            raise InputError(f"PIXVALUE is {value!r}; expected data-quality bits, -32768 to 32767", where=where)
        return pixels.astype(np.int16)
    if pixels.dtype.kind not in "iu":
        raise InputError(f"data-quality pixels of type {pixels.dtype}; expected integers", where=where)
    return pixels
