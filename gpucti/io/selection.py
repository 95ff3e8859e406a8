"""Which science exposures can be corrected, and why the others cannot."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from astropy.io import fits

from gpucti.errors import InputError
from gpucti.io.dates import format_utc
from gpucti.io.fitsfile import integer_keyword, keyword, text_keyword
from gpucti.io.headers import list_files, read_primary, start_time


@dataclass(frozen=True)
class Limits:
    """What is allowed of an exposure: start (UTC), CCDAMP, CCDGAIN, CCDOFFST."""

    earliest: datetime
    amps: Collection[str]
    gains: Collection[int]
    offsets: Collection[int]


#: stis_cti's own: the model is measured for amplifier D after the repair of STIS in 2009.
NORMAL = Limits(datetime(2009, 5, 1), ("D",), (1, 4), (3,))
#: With ``--allow``.
LENIENT = Limits(datetime(1990, 1, 1), ("A", "B", "C", "D"), (1, 2, 4, 8), tuple(range(9)))


@dataclass(frozen=True, eq=False)
class Candidate:
    """A raw exposure.

    Attributes
    ----------
    path : Path
        The file.
    root : str
        Its name up to the first underscore; products are called after it.
    primary : fits.Header
        Primary header.
    reason : str or None
        Why it is not corrected, one sentence; None if it is.
    """

    path: Path
    root: str
    primary: fits.Header
    reason: str | None

    @property
    def start(self) -> datetime:
        """Start of the exposure, UTC (TDATEOBS, TTIMEOBS)."""
        return start_time(self.primary, f"{self.path}[0]")


def refusal(primary: fits.Header, limits: Limits = NORMAL) -> str | None:
    """Return why an exposure is not corrected, the first reason that applies, or None if it is.

    The rules are stis_cti's: HST, STIS, CCD, date, no acquisition, amplifier, gain, offset, full frame, unbinned. A
    keyword that is missing or makes no sense is a reason too.
    """
    try:
        return _refusal(primary, limits)
    except InputError as error:  # of a keyword: "header: CCDAMP is missing; ..."
        return str(error).partition(": ")[2]


def _refusal(primary: fits.Header, limits: Limits) -> str | None:
    where = "header"

    def text(name: str) -> str:
        return text_keyword(primary, name, where)

    for name, value in (("TELESCOP", "HST"), ("INSTRUME", "STIS"), ("DETECTOR", "CCD")):
        if text(name) != value:
            return f"{name} is {text(name)}, only {value} exposures are corrected"
    start = start_time(primary, where)
    if start < limits.earliest:
        return f"taken {format_utc(start)}, before {limits.earliest.date().isoformat()}"
    if "ACQ" in text("OBSMODE"):
        return f"OBSMODE is {text('OBSMODE')}, acquisitions are not corrected"
    if text("CCDAMP") not in limits.amps:
        return f"CCDAMP is {text('CCDAMP')}, not {_either(limits.amps)}"
    for name, allowed in (("CCDGAIN", limits.gains), ("CCDOFFST", limits.offsets)):
        if (number := integer_keyword(primary, name, where)) not in allowed:
            return f"{name} is {number}, not {_either(allowed)}"
    subarray = keyword(primary, "SUBARRAY", where)
    if not isinstance(subarray, bool):
        raise InputError(f"SUBARRAY is {subarray!r}; expected T or F", where=where)
    if subarray:
        return "SUBARRAY is T, only full frames are corrected"
    for name in ("BINAXIS1", "BINAXIS2"):
        if (number := integer_keyword(primary, name, where)) != 1:
            return f"{name} is {number}, binned exposures are not corrected"
    return None


def _either(allowed: Collection[object]) -> str:
    return " or ".join(map(str, allowed))


def find_science(folder: str | os.PathLike[str], *, allow: bool = False, crds_update: bool = False) -> list[Candidate]:
    """Return the files ``*_raw.fits`` and ``*_raw.fits.gz`` of a folder by name, each with a reason if it is refused.

    Parameters
    ----------
    folder : path
        Of the science exposures.
    allow : bool
        Take the `LENIENT` limits in place of the `NORMAL` ones.
    crds_update : bool
        CRDS will be asked for references: IMPHTTAB need not be set yet.

    Raises
    ------
    MissingFileError
        There is no such folder.
    InputError
        A file cannot be read, two would have products of the same names, or PHOTCORR is PERFORM without IMPHTTAB
        (unless `crds_update` is set).
    """
    limits = LENIENT if allow else NORMAL
    candidates, unset = [], []
    roots: dict[str, Path] = {}
    for path in list_files(folder, "raw"):
        primary = read_primary(path)
        candidate = Candidate(path, root_of(path), primary, refusal(primary, limits))
        candidates.append(candidate)
        if candidate.reason is not None:
            continue
        if not candidate.root:
            raise InputError("the name starts with '_'; expected a root name such as o12345010_raw.fits", where=path)
        if roots.setdefault(candidate.root, path) is not path:
            raise InputError(
                f"{path} and {roots[candidate.root]}: products of both would be called {candidate.root}_*.fits; treat "
                "them in different folders"
            )
        if not crds_update and _photometry_without_table(candidate):
            unset.append(path.name)
    if unset:
        raise InputError(
            f"PHOTCORR is PERFORM and IMPHTTAB is not set in {', '.join(unset)}; ask CRDS for it "
            "(--crds_update), or set the keyword",
            where=folder,
        )
    return candidates


def root_of(path: Path) -> str:
    """Return what the products of a raw file are called after: its name up to the first underscore."""
    return path.name.partition("_")[0]


def _photometry_without_table(candidate: Candidate) -> bool:
    primary, where = candidate.primary, f"{candidate.path}[0]"
    if text_keyword(primary, "PHOTCORR", where, default="").upper() != "PERFORM":
        return False
    return not text_keyword(primary, "IMPHTTAB", where, default="")
