"""Reference files: found by keyword, read once a run."""

from __future__ import annotations

import hashlib
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from astropy.io import fits

from gpucti.calibration.refdata import ReferenceImage, ReferenceTable, read_image_set, read_reference_table
from gpucti.errors import ReferenceFileError
from gpucti.io.cards import Cards
from gpucti.io.exposure import StisKeywords
from gpucti.io.fitsfile import find_file, read_hdus, read_stored
from gpucti.io.headers import read_primary
from gpucti.references.names import resolve_reference, run_environment

_T = TypeVar("_T")


def stored(value: float | np.floating[Any]) -> float:
    """Return a single-precision keyword value as CalSTIS's output holds it, with 8 digits."""
    return float(f"{np.float32(value):14.7E}")


def stored_double(value: float | np.floating[Any]) -> float:
    """Return a double-precision keyword value as CalSTIS's output holds it, with 13 digits."""
    return float(f"{float(value):20.12E}")


class References:
    """The reference files of one run: each is read once.

    Parameters
    ----------
    environment : mapping, optional
        Where ``oref`` and the like are looked up; by default the process's environment.

    Attributes
    ----------
    environment : mapping or None
        As given.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self.environment = environment
        self._images: dict[Path, ReferenceImage] = {}
        self._hdus: dict[Path, fits.HDUList] = {}
        self._tables: dict[tuple[Path, int | str], ReferenceTable] = {}
        self._wavecals: dict[Path, fits.Header] = {}
        self._digests: dict[Path, str] = {}
        self._stored: dict[Path, bytes] = {}  # read for a digest, not opened yet
        self._locks: defaultdict[Path, threading.Lock] = defaultdict(threading.Lock)  # of files
        self._lock = threading.Lock()  # of the former
        self._kept: dict[tuple[object, ...], Any] = {}

    def of(self, exposure: StisKeywords) -> HeaderReferences:
        """Return the reference files that an exposure's primary header names; relative names count from its folder."""
        return HeaderReferences(exposure.cards, exposure.path.parent, self)

    def keep(self, key: tuple[object, ...], make: Callable[[], _T]) -> _T:
        """Return what a step computes of reference files alone; made once, it serves every exposure of the run."""
        if key not in self._kept:
            self._kept[key] = make()
        made: _T = self._kept[key]
        return made

    def image(self, path: Path) -> ReferenceImage:
        """Return the first image set of a file.

        Raises
        ------
        ReferenceFileError
            Not FITS, damaged, without SCI, ERR and DQ of one shape, or with NaN or infinity in SCI.
        """
        with self._lock_of(path):
            if path not in self._images:
                self._images[path] = read_image_set(self._read(path), path)
            return self._images[path]

    def table(self, path: Path, extension: int | str = 1) -> ReferenceTable:
        """Return a table extension of a file, by default the first.

        Raises
        ------
        ReferenceFileError
            Not FITS, damaged, or no such table.
        """
        key = (path, extension)
        with self._lock_of(path):
            if key not in self._tables:
                if path not in self._hdus:
                    self._hdus[path] = self._read(path)
                self._tables[key] = read_reference_table(self._hdus[path], path, extension)
            return self._tables[key]

    def wavecal_header(self, path: Path) -> fits.Header:
        """Return the primary header of a wavecal, not to be changed; its digest is taken from the same reading.

        Raises
        ------
        MissingFileError, InputError
            See `gpucti.io.headers.read_primary`.
        """
        path = find_file(path)
        with self._lock_of(path):
            if path not in self._wavecals:
                stored = self._stored.pop(path, None) or read_stored(path)
                self._digests[path] = hashlib.sha256(stored).hexdigest()
                self._wavecals[path] = read_primary(path, stored=stored)
            return self._wavecals[path]

    def digest(self, path: Path) -> str:
        """Return the sha256 (hex) of a file as it lies on disk; `image` and `table` use what was read for it."""
        with self._lock_of(path):
            if path not in self._digests:
                self._stored[path] = read_stored(path, ReferenceFileError)
                self._digests[path] = hashlib.sha256(self._stored[path]).hexdigest()
            return self._digests[path]

    def _lock_of(self, path: Path) -> threading.Lock:
        """Return the lock of a file: threads that calibrate exposures ask for it at the same time."""
        with self._lock:
            return self._locks[path]

    def _read(self, path: Path) -> fits.HDUList:
        hdus, self._digests[path] = read_hdus(path, error=ReferenceFileError, stored=self._stored.pop(path, None))
        return hdus


@dataclass(frozen=True, eq=False)
class HeaderReferences:
    """The reference files that one header names.

    Attributes
    ----------
    cards : Cards
        The header.
    folder : Path
        Where relative names count from.
    run : References
        Where the files are read.
    """

    cards: Cards
    folder: Path
    run: References

    def name(self, keyword: str) -> str:
        """Return the name as it stands in the header; empty if missing, blank or ``N/A``."""
        return self.cards.file(keyword)

    def find(self, keyword: str) -> Path | None:
        """Return the file that a keyword names; None if it names none.

        Raises
        ------
        ReferenceFileError
            The file does not exist.
        InputError
            The keyword holds no text.
        """
        name = self.name(keyword)
        if not name:
            return None
        path = resolve_reference(name, self.folder, self.run.environment)
        if path is None:
            reason = why_not_found(name, self.folder, self.run.environment)
            raise ReferenceFileError(f"{keyword} names {name!r}, which is not found: {reason}", where=self.cards.where)
        return path

    def required(self, keyword: str) -> Path:
        """Return the file that a keyword names; `ReferenceFileError` where it names none."""
        path = self.find(keyword)
        if path is None:
            found = repr(str(self.cards.value(keyword))) if keyword in self.cards else "missing"
            raise ReferenceFileError(
                f"{keyword} is {found}, and the file is needed; put the name of a reference file into the header",
                where=self.cards.where,
            )
        return path

    def image(self, keyword: str) -> ReferenceImage:
        """Return the first image set of the file that a keyword names; see `References.image`."""
        return self.run.image(self.required(keyword))

    def table(self, keyword: str, extension: int | str = 1) -> ReferenceTable:
        """Return a table of the file that a keyword names; see `References.table`."""
        return self.run.table(self.required(keyword), extension)


def why_not_found(name: str, folder: Path, environment: Mapping[str, str] | None) -> str:
    """Return why a reference file is not found, which variable or option says where it is, and what to do.

    Parameters
    ----------
    name : str
        As it stands in the header.
    folder : Path
        Where the file with the header lies.
    environment : mapping or None
        Where variables are looked up; None: the process's.
    """
    head, mark, tail = name.partition("$")
    if not mark:
        places = "" if Path(name).is_absolute() else f" in {folder}, nor in the working folder"
        return f"there is no such file{places}; put it there, or name its folder in the header"
    variable = head or tail.partition("/")[0]
    option = ", or give it with the option oref (--oref)" if variable == "oref" else ""
    value = (run_environment(None) if environment is None else environment).get(variable, "")
    if not value:
        return f"the environment variable {variable} is not set; set it to the folder of the reference files{option}"
    return (
        f"{variable} stands for {value!r}, and there is no such file; fetch it from CRDS, or set the environment "
        f"variable {variable} to the folder where it is{option}"
    )
