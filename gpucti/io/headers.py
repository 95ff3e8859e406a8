"""Looking through folders of FITS files: names and primary headers, quick where many files lie and few are opened."""

from __future__ import annotations

import gzip
import io
import logging
import os
import re
import zlib
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from astropy.io import fits

from gpucti.errors import InputError, MissingFileError
from gpucti.io.cards import Cards
from gpucti.io.dates import UTC_FORM, parse_utc
from gpucti.io.fitsfile import find_file

log = logging.getLogger(__name__)

_BLOCK, _CARD = 2880, 80
#: Blocks of the longest header that is looked at: 36 000 cards, HISTORY of a whole mission.
_MAX_BLOCKS = 1000
#: How deep folders are looked into: from the folder that holds mastDownload to those of its data sets.
_LEVELS = 3
#: Header bytes that FITS does not allow become question marks, as in astropy.
_PRINTABLE = bytes(byte if 32 <= byte < 127 else ord("?") for byte in range(256))


def list_files(folder: str | os.PathLike[str], suffix: str, *, below: bool = False) -> list[Path]:
    """Return the files ``*_<suffix>.fits`` and ``*_<suffix>.fits.gz`` of a folder, by name.

    Hidden files and folders are passed over. Of a plain and a compressed file of one name the plain one is taken,
    with a warning in the log.

    Parameters
    ----------
    folder : path
        The folder.
    suffix : str
        Such as ``raw``.
    below : bool
        Look into the folders below too, three deep, as the archive delivers each data set in one of its own
        (``mastDownload/HST/o56502010``). A file is passed over where one of its name lies nearer to `folder`.

    Raises
    ------
    MissingFileError
        There is no such folder.
    InputError
        It is not a folder, or cannot be read.
    """
    folder = Path(folder)
    pattern = re.compile(rf"([^.].*)?_{re.escape(suffix)}\.fits(\.gz|\.GZ)?", re.DOTALL)
    try:
        found = _matching(folder, pattern)
    except FileNotFoundError:
        raise MissingFileError("no such folder; check the name", where=folder) from None
    except NotADirectoryError:
        raise InputError(f"is not a folder; expected the folder of the *_{suffix}.fits files", where=folder) from None
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror}); check its permissions", where=folder) from error
    level = [folder]
    for _ in range(_LEVELS if below else 0):
        level = [sub for above in level for sub in _folders(above)]
        nearer = {_plain(path) for path in found}
        found += [path for sub in level for path in _matching_or_none(sub, pattern) if _plain(path) not in nearer]
    return sorted(found, key=lambda path: (path.name, path)) if below else found


def _matching(folder: Path, pattern: re.Pattern[str]) -> list[Path]:
    """Return the files of a folder whose names match, by name, a compressed one only without its plain twin."""
    names: dict[str, Path] = {}
    for path in sorted(path for path in folder.iterdir() if pattern.fullmatch(path.name) and not path.is_dir()):
        kept = names.setdefault(_plain(path), path)  # x.fits comes before x.fits.gz
        if kept is not path:
            log.warning("%s: lies there beside %s too; the latter is used", path, kept.name)
    return list(names.values())


def _matching_or_none(folder: Path, pattern: re.Pattern[str]) -> list[Path]:
    try:
        return _matching(folder, pattern)
    except OSError as error:
        log.warning("%s: cannot be looked into (%s)", folder, error.strerror)
        return []


def _folders(folder: Path) -> list[Path]:
    """Return the folders in a folder by name; none if it cannot be read, which `_matching_or_none` says."""
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError:
        return []


def _plain(path: Path) -> str:
    """Return the name of a file as it is without compression."""
    return path.name[:-3] if path.suffix.lower() == ".gz" else path.name


def last_pctetab(folder: Path) -> Path | None:
    """Return the PCTETAB of a folder that stis_cti would take, the last ``*_pcte.fits`` by name; None without one.

    Raises
    ------
    InputError
        The folder cannot be read.
    """
    there = list_files(folder, "pcte") if folder.is_dir() else []
    return there[-1] if there else None


def read_primary(path: str | os.PathLike[str], *, stored: bytes | None = None) -> fits.Header:
    """Return the primary header of a FITS file without looking at the rest, of which no more than needed is unpacked.

    Parameters
    ----------
    path : path
        The file; ``x.fits`` also finds ``x.fits.gz``.
    stored : bytes, optional
        What `gpucti.io.fitsfile.read_stored` returned for it, if that was called before.

    Raises
    ------
    MissingFileError
        There is no such file.
    InputError
        It cannot be read, is not FITS, or its header does not end.
    """
    path = find_file(path)
    try:
        with path.open("rb") if stored is None else io.BytesIO(stored) as stream:
            packed = stream.read(2) == b"\x1f\x8b"
            stream.seek(0)
            cards = _header_bytes(gzip.GzipFile(fileobj=stream, mode="rb") if packed else stream, path)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"the compressed data are damaged ({error}); get the file again", where=path) from error
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror}); check its permissions", where=path) from error
    return fits.Header.fromstring(cards.translate(_PRINTABLE).decode("ascii"))


def _header_bytes(stream: BinaryIO | gzip.GzipFile, path: Path) -> bytes:
    """Return the cards of the first header in a stream, without END."""
    content = b""
    for _ in range(_MAX_BLOCKS):
        block = stream.read(_BLOCK)
        if not content and not block:
            raise InputError("is empty, not a FITS file; get the file again", where=path)
        if not content and not block.startswith(b"SIMPLE  ="):
            raise InputError(f"is not a FITS file (it starts with {block[:9]!r}); expected 'SIMPLE  ='", where=path)
        for start in range(0, len(block) - _CARD + 1, _CARD):
            if block[start : start + _CARD].rstrip() == b"END":
                return content + block[:start]
        if len(block) < _BLOCK:
            raise InputError("the file ends within its header; get the file again", where=f"{path}[0]")
        content += block
    raise InputError(f"no END in {len(content)} bytes of header; get the file again", where=f"{path}[0]")


def start_time(cards: Cards) -> datetime:
    """Return the start of an exposure, UTC, from TDATEOBS and TTIMEOBS.

    Raises
    ------
    InputError
        One of the two is missing, or is no date or time.
    """
    date, time = (cards.text(name) for name in ("TDATEOBS", "TTIMEOBS"))
    start = parse_utc(f"{date} {time}")
    if start is None:
        raise cards.wrong(f"TDATEOBS, TTIMEOBS are {date!r}, {time!r}; expected a date as {UTC_FORM}, UTC")
    return start
