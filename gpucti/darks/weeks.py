"""Which darks on disk make which super-dark: component darks by name, and the weeks of an anneal period.

The rules are stis_cti's. A week is what the calibration pipeline took for one: component darks whose headers name the
same DARKFILE. Only headers are read.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from astropy.io import fits

from gpucti.darks.anneals import AnnealPeriod
from gpucti.errors import Failure, InputError, MissingDarksError
from gpucti.io.cards import Cards, renamed
from gpucti.io.dates import as_utc, format_utc
from gpucti.io.exposure import ExposureHeaders
from gpucti.io.headers import list_files, read_primary

log = logging.getLogger(__name__)

#: Dates of the list and of a header that differ by more are worth a warning.
_SAME_START = timedelta(minutes=1)


@dataclass(frozen=True, eq=False)
class DarkFile:
    """A calibrated dark (FLT) on disk; properties raise `InputError` for a bad keyword.

    Attributes
    ----------
    path : Path
        The file.
    primary : fits.Header
        Its primary header.
    rootname : str
        ROOTNAME in capitals.
    twins : tuple of Path
        Other files in the folder that have the same ROOTNAME.
    names : mapping
        Names of references by keyword that took the place of those in the primary header; see `renamed`.
    """

    path: Path
    primary: fits.Header
    rootname: str
    twins: tuple[Path, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def cards(self) -> Cards:
        """The primary header."""
        return Cards(self.primary, f"{self.path}[0]")

    @property
    def amp(self) -> str:
        """Amplifier, A to D (CCDAMP)."""
        return self.cards.amp()

    @property
    def gain(self) -> float:
        """Commanded gain (CCDGAIN)."""
        return float(self.cards.number("CCDGAIN"))

    @property
    def start(self) -> datetime:
        """Start of the exposure, UTC (TEXPSTRT)."""
        return as_utc(self.cards.number("TEXPSTRT"))

    @property
    def darkfile(self) -> str:
        """Name of the pipeline's super-dark (DARKFILE) as it stands there: darks of one week share it."""
        name = self.cards.text("DARKFILE")
        if not name:
            raise self.cards.wrong("DARKFILE is blank; expected the pipeline's super-dark, it tells the weeks apart")
        return name

    @cached_property
    def headers(self) -> ExposureHeaders:
        """All headers, with the references in place of those of the file; `InputError` where they do not fit."""
        return ExposureHeaders.read(self.path).renamed(self.names, {})

    @cached_property
    def sha256(self) -> str:
        """Digest (hex) of the file as it lies on disk."""
        if "headers" in vars(self):
            return self.headers.sha256
        with self.path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    def require_usable(self) -> None:
        """Raise `InputError` unless the file is from the STIS CCD and the only one of its exposure."""
        if self.twins:
            raise InputError(
                f"{self.path} and {self.twins[0]}: both have ROOTNAME {self.rootname}; expected one file of each dark, "
                "move one away"
            )
        for name, value in (("TELESCOP", "HST"), ("INSTRUME", "STIS"), ("DETECTOR", "CCD")):
            found = self.cards.text(name)
            if found != value:
                raise self.cards.wrong(f"{name} is {found!r}; expected {value!r}, a dark of the STIS CCD")

    def renamed(self, names: Mapping[str, str]) -> DarkFile:
        """Return the dark with other references in its header."""
        return replace(self, primary=renamed(self.primary, names), names=names)


def find_darks(folder: str | os.PathLike[str], *, faulty: list[Failure] | None = None) -> dict[str, DarkFile]:
    """Return the files ``*_flt.fits`` and ``*_flt.fits.gz`` of a folder and of those below by ROOTNAME in capitals.

    Parameters
    ----------
    folder : path
        Of the darks.
    faulty : list, optional
        Gets the files that cannot be read or have no ROOTNAME, and why; none of them is an error then.

    Raises
    ------
    MissingFileError
        There is no such folder.
    InputError
        A file cannot be read or has no ROOTNAME.
    """
    found: dict[str, DarkFile] = {}
    for path in list_files(folder, "flt", below=True):
        try:
            primary = read_primary(path)
            rootname = Cards(primary, f"{path}[0]").text("ROOTNAME").upper()
        except InputError as error:
            if faulty is None:
                raise
            faulty.append(Failure.of(path, error))
            continue
        first = found.get(rootname)
        found[rootname] = replace(first, twins=(*first.twins, path)) if first else DarkFile(path, primary, rootname)
    return found


@dataclass(frozen=True, eq=False)
class DarkSelection:
    """What a folder holds of the darks of one anneal period, for one amplifier.

    Attributes
    ----------
    period : AnnealPeriod
    amp : str
    used : tuple of DarkFile
        By time, as the list has it.
    missing : tuple of str
        Names of darks that are needed and are not there, by time.
    left_out : mapping
        Why each other listed dark is not used.
    """

    period: AnnealPeriod
    amp: str
    used: tuple[DarkFile, ...]
    missing: tuple[str, ...]
    left_out: Mapping[str, str]


def select_darks(period: AnnealPeriod, amp: str, found: Mapping[str, DarkFile]) -> DarkSelection:
    """Return which of the files found make the super-darks of a period.

    A dark that is on disk is judged by its header, whatever the list says of amplifier and archive; one that is not
    there is missing unless the list says that it is not needed. Short darks are never used.

    Raises
    ------
    InputError
        A listed file is not from the STIS CCD or not the only one of its exposure, or a keyword is missing or wrong.
    """
    used, missing, left_out = [], [], {}
    for dark in sorted(period.darks, key=lambda dark: dark.start):
        file = found.get(dark.exposure)
        reason = dark.why_not_needed(amp)
        if file is not None and not dark.too_short:
            file.require_usable()
            reason = None if file.amp == amp else f"read with amplifier {file.amp}, says its header"
        if reason is not None:
            left_out[dark.exposure] = reason
        elif file is None:
            missing.append(dark.exposure)
        else:
            if abs(file.start - dark.start) > _SAME_START:
                log.warning(
                    "%s: started %s says its header, %s says the list of anneal periods; the list decides on its week",
                    file.path,
                    format_utc(file.start),
                    format_utc(dark.start),
                )
            used.append(file)
    return DarkSelection(period, amp, tuple(used), tuple(missing), left_out)


def missing_darks(selections: Iterable[DarkSelection]) -> list[str]:
    """Return the names of all darks that are missing, each once, in order."""
    return list(dict.fromkeys(name for selection in selections for name in selection.missing))


def require_complete(selections: Iterable[DarkSelection], folder: Path) -> None:
    """Raise `MissingDarksError`, which names all darks that are missing, if there are any."""
    if names := missing_darks(selections):
        raise MissingDarksError(
            f"{len(names)} component dark{'s are' if len(names) > 1 else ' is'} missing: {', '.join(names)}; "
            "fetch their FLT files from the archive (--download), or do without (--ignore_missing)",
            where=folder,
        )


@dataclass(frozen=True, eq=False)
class Week:
    """A part of an anneal period, and the darks that make its weekdark.

    Attributes
    ----------
    number : int
        From 1, in order of time.
    name : str
        Of the weekdark.
    start, end : datetime
        UTC; science from the start (included) to the end (excluded, None while the period is open) belongs to it.
    darks : tuple of DarkFile
        By time.
    """

    number: int
    name: str
    start: datetime
    end: datetime | None
    darks: tuple[DarkFile, ...]

    def contains(self, when: datetime) -> bool:
        """Tell whether a date (UTC, without a time zone) lies in the week."""
        return self.start <= when and (self.end is None or when < self.end)


def weeks(period: AnnealPeriod, darks: Sequence[DarkFile], amp: str) -> tuple[Week, ...]:
    """Return the weeks of a period for one amplifier; darks of others are passed over.

    In order of time, as the period lists it, every new DARKFILE opens a week. The first week begins with the period,
    the last one ends with it; between two the limit lies halfway from the last dark of one to the first dark of the
    next, half the gap being rounded to whole seconds. Where darks of two weeks mix, the gap is negative and a week
    may end before it begins: then no science is in it.

    Raises
    ------
    InputError
        A dark is not in the period's list, or its header has no DARKFILE.
    """
    starts = {dark.exposure: dark.start for dark in period.darks}
    of_amp = [dark for dark in darks if dark.amp == amp]
    for dark in of_amp:
        if dark.rootname not in starts:
            raise InputError(
                f"{dark.rootname} is not in the list of the anneal period {period}; add it", where=dark.path
            )
    groups: dict[str, list[DarkFile]] = {}
    for dark in sorted(of_amp, key=lambda dark: starts[dark.rootname]):
        groups.setdefault(dark.darkfile, []).append(dark)
    members = list(groups.values())
    if not members:
        return ()
    inner = [_halfway(starts[earlier[-1].rootname], starts[later[0].rootname]) for earlier, later in pairwise(members)]
    begins, ends = [period.start, *inner], [*inner, period.end]
    return tuple(
        Week(number, weekdark_name(amp, period, number), begin, end, tuple(group))
        for number, (begin, end, group) in enumerate(zip(begins, ends, members, strict=True), start=1)
    )


def _halfway(last: datetime, first: datetime) -> datetime:
    """Return `last` plus half the gap in whole seconds; a half second goes to the even one, as Python rounds."""
    return last + timedelta(seconds=round((first - last).total_seconds() / 2))


def week_of(when: datetime | float, of: Sequence[Week]) -> Week:
    """Return the first week that contains a date (UTC, or a Modified Julian Date).

    Raises
    ------
    InputError
        There is none: no dark of this amplifier in the period, or a date outside it.
    """
    when = as_utc(when)
    for week in of:
        if week.contains(when):
            return week
    if not of:
        raise InputError(
            "no darks of this amplifier in the anneal period; download some of their FLT files, "
            "or give the exposure a super-dark of your own",
            where=format_utc(when),
        )
    last = of[-1].end
    raise InputError(
        f"lies outside the anneal period, {format_utc(of[0].start)} to {format_utc(last) if last else 'now'}",
        where=format_utc(when),
    )


def basedark_name(amp: str, period: AnnealPeriod) -> str:
    """Return the file name of the basedark, ``basedark_d_2012-03-05_drk.fits``."""
    return f"basedark_{amp.lower()}_{period.start_date}_drk.fits"


def weekdark_name(amp: str, period: AnnealPeriod, number: int) -> str:
    """Return the file name of a weekdark, ``d_2012-03-05_2_drk.fits``."""
    return f"{amp.lower()}_{period.start_date}_{number}_drk.fits"
