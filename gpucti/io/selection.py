"""Which science exposures can be corrected, and why the others cannot."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from astropy.io import fits

from gpucti.detector import FULL_COLS, FULL_ROWS, OVERSCAN_COLS, OVERSCAN_ROWS
from gpucti.errors import Failure, InputError, MissingFileError
from gpucti.io.cards import Cards
from gpucti.io.dates import format_utc
from gpucti.io.exposure import ExposureHeaders
from gpucti.io.fitsfile import read_stored
from gpucti.io.headers import list_files, read_primary, start_time
from gpucti.io.kinds import EXPOSURES, MAMA, UNKNOWN, kind_of, no_fits


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


#: Rows and columns of an unbinned raw frame.
_RAW_SHAPE = (FULL_ROWS + OVERSCAN_ROWS, FULL_COLS + 2 * OVERSCAN_COLS)


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
    headers : ExposureHeaders, InputError or None
        All headers of an exposure that is corrected, or what is wrong with its file; None if it is not corrected.
    """

    path: Path
    root: str
    primary: fits.Header
    reason: str | None
    headers: ExposureHeaders | InputError | None = None

    @property
    def cards(self) -> Cards:
        """The primary header."""
        return Cards(self.primary, f"{self.path}[0]")

    @property
    def start(self) -> datetime:
        """Start of the exposure, UTC (TDATEOBS, TTIMEOBS)."""
        return start_time(self.cards)

    def require_headers(self) -> ExposureHeaders:
        """Return all headers of an exposure that is corrected; raise `InputError` for a file that cannot be used."""
        if isinstance(self.headers, ExposureHeaders):
            return self.headers
        raise self.headers or InputError(f"is not corrected: {self.reason}", where=self.path)


def refusal(primary: fits.Header, limits: Limits = NORMAL) -> str | None:
    """Return why an exposure is not corrected, or None if it is.

    The rules are stis_cti's: HST, STIS, CCD, no acquisition, full frame, unbinned, date, amplifier, gain, offset. Of
    several reasons the first in this order is named: the limits stand last. A keyword that is missing or makes no sense
    is a reason too.
    """
    try:
        return _refusal(Cards(primary, "header"), limits)
    except InputError as error:
        return error.reason


def _refusal(cards: Cards, limits: Limits) -> str | None:
    for name, value in (("TELESCOP", "HST"), ("INSTRUME", "STIS"), ("DETECTOR", "CCD")):
        if cards.text(name) != value:
            return f"{name} is {cards.text(name)}, only {value} exposures are corrected"
    if "ACQ" in cards.text("OBSMODE"):
        return f"OBSMODE is {cards.text('OBSMODE')}, acquisitions are not corrected"
    subarray = cards.value("SUBARRAY")
    if not isinstance(subarray, bool):
        raise cards.wrong(f"SUBARRAY is {subarray!r}; expected T or F")
    if subarray:
        return "SUBARRAY is T, only full frames are corrected"
    for name in ("BINAXIS1", "BINAXIS2"):
        if (number := cards.whole(name)) != 1:
            return f"{name} is {number}, binned exposures are not corrected"
    start = start_time(cards)
    if start < limits.earliest:
        return f"taken {format_utc(start)}, before {limits.earliest.date().isoformat()}"
    if cards.text("CCDAMP") not in limits.amps:
        return f"CCDAMP is {cards.text('CCDAMP')}, not {_either(limits.amps)}"
    for name, allowed in (("CCDGAIN", limits.gains), ("CCDOFFST", limits.offsets)):
        if (number := cards.whole(name)) not in allowed:
            return f"{name} is {number}, not {_either(allowed)}"
    return None


def _either(allowed: Collection[object]) -> str:
    return " or ".join(map(str, allowed))


def find_science(
    folder: str | os.PathLike[str],
    *,
    allow: bool = False,
    crds_update: bool = False,
    faulty: list[Failure] | None = None,
) -> list[Candidate]:
    """Return the files ``*_raw.fits`` and ``*_raw.fits.gz`` of a folder by name, each with a reason if it is refused.

    Each file is opened once, for its headers and its digest.

    Parameters
    ----------
    folder : path
        Of the science exposures.
    allow : bool
        Take the `LENIENT` limits in place of the `NORMAL` ones.
    crds_update : bool
        CRDS will be asked for references: IMPHTTAB need not be set yet.
    faulty : list, optional
        Gets the files that cannot be used, and why; they are not returned, and none of them is an error.

    Raises
    ------
    MissingFileError
        There is no such folder, or none of these files in it; those below that have some are named.
    InputError
        A file cannot be read, two would have products of the same names, or PHOTCORR is PERFORM without IMPHTTAB
        (unless `crds_update` is set).
    """
    limits = LENIENT if allow else NORMAL
    candidates: list[Candidate] = []
    unset: list[Candidate] = []
    roots: dict[str, Path] = {}
    for path in list_files(folder, "raw") or _nowhere(Path(folder)):
        try:
            candidate = _candidate(path, limits)
            if candidate.reason is None:
                _require_root(candidate, roots)
                if not crds_update and _photometry_without_table(candidate):
                    unset.append(candidate)
        except InputError as error:
            if faulty is None:
                raise
            faulty.append(Failure.of(path, error))
        else:
            candidates.append(candidate)
    if not unset:
        return candidates
    todo = "ask CRDS for it (--crds_update), or set the keyword"
    if faulty is None:
        names = ", ".join(candidate.path.name for candidate in unset)
        raise InputError(f"PHOTCORR is PERFORM and IMPHTTAB is not set in {names}; {todo}", where=folder)
    faulty += [Failure(str(each.path), f"PHOTCORR is PERFORM and IMPHTTAB is not set; {todo}") for each in unset]
    return [candidate for candidate in candidates if candidate not in unset]


def _require_root(candidate: Candidate, roots: dict[str, Path]) -> None:
    """Raise unless products can be called after an exposure, and after none of `roots`, to which it is added."""
    path = candidate.path
    if not candidate.root:
        raise InputError("the name starts with '_'; expected a root name such as o12345010_raw.fits", where=path)
    if roots.setdefault(candidate.root, path) is not path:
        raise InputError(
            f"{path} and {roots[candidate.root]}: products of both would be called {candidate.root}_*.fits; treat "
            "them in different folders"
        )


def _nowhere(folder: Path) -> list[Path]:
    """Raise `MissingFileError`: a folder has no raw files. The folders below that have some are named."""
    counts = Counter(path.parent for path in list_files(folder, "raw", below=True))
    if not counts:
        raise MissingFileError("no *_raw.fits files", where=folder)
    listed = "".join(f"\n  {below} ({count})" for below, count in sorted(counts.items()))
    raise MissingFileError(
        f"no *_raw.fits files, but folders below have some; give one of these, such as `gpucti correct "
        f"{min(counts)}`, or copy their files *_raw, *_wav and *_epc into one folder:{listed}",
        where=folder,
    )


def raw_files(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the raw files of a folder; if it has none, those of the folders below."""
    return list_files(folder, "raw") or list_files(folder, "raw", below=True)


def judge(path: Path, limits: Limits, *, stored: bytes | None = None) -> Candidate:
    """Return what the primary header of a file says about whether it can be corrected, without the other headers.

    Raises
    ------
    MissingFileError, InputError
        There is no such file, or it cannot be read.
    """
    kind = no_fits(path)
    primary = fits.Header() if kind else read_primary(path, stored=stored)
    kind = kind or kind_of(path, primary)
    named = kind.name in (*EXPOSURES, MAMA, UNKNOWN)  # of which `refusal` says more
    return Candidate(path, root_of(path), primary, refusal(primary, limits) if named else f"is {kind.what}")


def _candidate(path: Path, limits: Limits) -> Candidate:
    """Read and judge one file; `InputError` if not even its primary header can be read."""
    stored = read_stored(path)
    candidate = judge(path, limits, stored=stored)
    if candidate.reason is not None:
        return candidate
    try:
        headers = ExposureHeaders.read(path, stored=stored)
        if headers.shape != _RAW_SHAPE:
            rows, cols = headers.shape
            raise InputError(
                f"{cols} x {rows} pixels with SUBARRAY F; expected the full frame with its overscan, {_RAW_SHAPE[1]} x "
                f"{_RAW_SHAPE[0]}: get the file again",
                where=path,
            )
    except InputError as error:
        return replace(candidate, headers=error)
    return replace(candidate, headers=headers)


def root_of(path: Path) -> str:
    """Return what the products of a raw file are called after: its name up to the first underscore."""
    return path.name.partition("_")[0]


def _photometry_without_table(candidate: Candidate) -> bool:
    cards = candidate.cards
    return cards.switch("PHOTCORR") == "PERFORM" and not cards.text("IMPHTTAB", default="")
