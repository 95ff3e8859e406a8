"""Anneal periods and the darks taken in them, and the JSON file that lists both: dates and names, no pixels.

About once a month the CCD is warmed up, which heals many of its hot pixels. The time from one anneal to the next is
an anneal period; super-darks are made of darks of one period.
"""

from __future__ import annotations

import json
import math
import os
import re
import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from gpucti.detector import AMPS
from gpucti.errors import InputError, MissingFileError
from gpucti.io.atomic import atomic_output
from gpucti.io.dates import UTC_FORM, as_utc, format_utc, parse_utc

#: Shorter darks are not used in super-darks, as in stis_cti.
MIN_DARK_SECONDS = 960.0
#: Name under which a run keeps its list in the folder of the super-darks.
SAVED_NAME = "anneals.json"

_EXPOSURE = re.compile(r"[A-Z0-9][A-Z0-9_-]*")


@dataclass(frozen=True)
class Dark:
    """One dark exposure as the archive knows it.

    Attributes
    ----------
    exposure : str
        ROOTNAME in capitals.
    proposid : int
        Number of the programme.
    start : datetime
        UTC, without a time zone.
    exptime : float
        Seconds.
    ccdamp : str or None
        Amplifier, A to D; None if the list does not say.
    flt : bool
        Whether the archive has a calibrated file of it.
    size : int or None
        Bytes of that file; None if the list does not say.
    """

    exposure: str
    proposid: int
    start: datetime
    exptime: float
    ccdamp: str | None = None
    flt: bool = True
    size: int | None = None

    @property
    def too_short(self) -> bool:
        """Whether the dark is below `MIN_DARK_SECONDS`."""
        return self.exptime < MIN_DARK_SECONDS

    def why_not_needed(self, amp: str) -> str | None:
        """Return why super-darks of amplifier `amp` do without this dark, None if they need it."""
        if self.ccdamp not in (None, amp):
            return f"read with amplifier {self.ccdamp}"
        if self.too_short:
            return f"{self.exptime:g} s, shorter than {MIN_DARK_SECONDS:g} s"
        return None if self.flt else "the archive has no FLT"


@dataclass(frozen=True)
class AnnealPeriod:
    """The time from one anneal (included) to the next (excluded), UTC, and the darks taken in it by time.

    ``end`` is None while the period is open; ``index`` is a number of the list's own, of no effect; ``asked`` is when
    the archive gave this answer (None for other sources): an open period is known up to then.
    """

    start: datetime
    end: datetime | None
    darks: tuple[Dark, ...] = ()
    index: int | None = None
    asked: datetime | None = None

    @property
    def start_date(self) -> str:
        """First day of the period as ``YYYY-MM-DD``; super-darks are named after it."""
        return self.start.date().isoformat()

    def contains(self, when: datetime) -> bool:
        """Tell whether a date (UTC, without a time zone) lies in the period."""
        return self.start <= when and (self.end is None or when < self.end)

    def covers(self, when: datetime) -> bool:
        """Tell whether a date is known to lie in the period: an open one may have ended since the archive was asked."""
        return self.contains(when) and (self.end is not None or self.asked is None or when <= self.asked)

    def __str__(self) -> str:
        return f"{format_utc(self.start)} to {format_utc(self.end) if self.end else 'now'}"


def period_of(when: datetime | float, periods: Sequence[AnnealPeriod]) -> AnnealPeriod:
    """Return the first period that contains a date.

    Parameters
    ----------
    when : datetime or float
        UTC, or a Modified Julian Date.
    periods : sequence of AnnealPeriod
        In order of time.

    Raises
    ------
    InputError
        None of them does; the message says what the list covers.
    """
    when = as_utc(when)
    for period in periods:
        if period.contains(when):
            return period
    if not periods:
        raise InputError("no anneal periods are known; give a list (--anneals)", where=format_utc(when))
    within = periods[0].start <= when and (periods[-1].end is None or when < periods[-1].end)
    nearest = max((p for p in periods if p.start <= when), key=lambda p: p.start, default=periods[0])
    raise InputError(
        f"lies in no anneal period; the list covers {format_utc(periods[0].start)} to "
        f"{format_utc(periods[-1].end) if periods[-1].end else 'now'}"
        f"{f' with a gap after {nearest}' if within else ''}; give one that covers the date (--anneals)",
        where=format_utc(when),
    )


def read_anneals(path: str | os.PathLike[str]) -> tuple[AnnealPeriod, ...]:
    """Read a list of anneal periods; darks are sorted by time.

    The file is JSON: a list of periods ``{"start", "end", "darks", "index"}``, ``end`` null while the last one is
    open, ``index`` and ``asked`` optional; ``darks`` a list of ``{"exposure", "proposid", "datetime", "exptime",
    "ccdamp", "flt", "size"}``, the last three optional. Dates are UTC.

    Raises
    ------
    MissingFileError
        There is no such file.
    InputError
        Anything in it is not as it should be; the message names period, dark and key.
    """
    path = Path(path)
    listed = _parse(path)
    if not isinstance(listed, list):
        raise InputError(f"holds {_shown(listed)}; expected a list of anneal periods", where=path)
    if not listed:
        raise InputError("the list is empty; expected one anneal period at least", where=path)
    periods = tuple(_period(item, f"{path}: period {number}") for number, item in enumerate(listed, start=1))
    for number, (period, following) in enumerate(pairwise(periods), start=1):
        if period.end is None:
            raise InputError(
                f"period {number}: end is null; expected a date, only the last period may be open", where=path
            )
        if following.start < period.end:
            raise InputError(
                f"period {number + 1} starts {format_utc(following.start)}, before period {number} ends "
                f"({format_utc(period.end)}); expected periods in order of time that do not overlap",
                where=path,
            )
        if following.start_date == period.start_date:
            raise InputError(
                f"periods {number} and {number + 1} both start on {period.start_date}; super-darks are named "
                "after that day, join the two",
                where=path,
            )
    seen: dict[str, int] = {}
    for number, period in enumerate(periods, start=1):
        for dark in period.darks:
            if dark.exposure in seen:
                raise InputError(
                    f"{dark.exposure} is listed in period {seen[dark.exposure]} and again in period {number}; "
                    "expected each dark once",
                    where=path,
                )
            seen[dark.exposure] = number
    return periods


def write_anneals(periods: Sequence[AnnealPeriod], path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write a list that `read_anneals` reads, whole or not at all; return its path.

    Raises
    ------
    OutputExistsError
        The file exists and `overwrite` is False.
    """
    listed = []
    for period in periods:
        item: dict[str, Any] = {} if period.index is None else {"index": period.index}
        item |= {"start": format_utc(period.start), "end": format_utc(period.end) if period.end else None}
        item |= {} if period.asked is None else {"asked": format_utc(period.asked)}
        listed.append(item | {"darks": [_listed(dark) for dark in period.darks]})
    path = Path(path)
    with atomic_output(path, overwrite=overwrite) as out:
        out.write(json.dumps(listed, indent=1, allow_nan=False).encode("ascii") + b"\n")
    return path


def _listed(dark: Dark) -> dict[str, Any]:
    item = {"exposure": dark.exposure, "proposid": dark.proposid, "datetime": format_utc(dark.start)}
    item |= {"exptime": dark.exptime}
    item |= {} if dark.ccdamp is None else {"ccdamp": dark.ccdamp}
    item |= {} if dark.flt else {"flt": False}
    return item if dark.size is None else item | {"size": dark.size}


def _parse(path: Path) -> Any:
    """Return what the JSON text of a file stands for."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise MissingFileError("no such file; expected a list of anneal periods (JSON)", where=path) from None
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror}); expected a list of anneal periods", where=path) from error
    try:
        return json.loads(content.decode("utf-8-sig"), object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        problem = "not UTF-8" if isinstance(error, UnicodeDecodeError) else error
        raise InputError(
            f"is no JSON text ({problem}); expected a list of anneal periods, repair or remove it", where=path
        ) from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object, unless a key stands twice in it."""
    record = dict(pairs)
    if len(record) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"{next(key for key in keys if keys.count(key) > 1)!r} stands twice in one object")
    return record


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not allowed")


def _shown(value: Any) -> str:
    kinds = {type(None): "null", list: "a list", dict: "an object"}
    return kinds.get(type(value)) or reprlib.repr(value)


def _period(item: Any, where: str) -> AnnealPeriod:
    record = _Record(item, where, {"start", "end", "darks"}, {"index", "asked"})
    start = record.time("start")
    end = None if item["end"] is None else record.time("end")
    if end is not None and end <= start:
        raise record.error("end", f"a date after the start, {format_utc(start)}")
    if not isinstance(item["darks"], list):
        raise record.error("darks", "a list")
    darks = tuple(_dark(dark, f"{where}, dark {number}") for number, dark in enumerate(item["darks"], start=1))
    index = None if item.get("index") is None else record.whole("index")
    asked = None if item.get("asked") is None else record.time("asked")
    period = AnnealPeriod(start, end, tuple(sorted(darks, key=lambda dark: dark.start)), index, asked)
    for number, dark in enumerate(darks, start=1):
        if not period.contains(dark.start):
            raise InputError(
                f"{where}, dark {number} ({dark.exposure}): datetime is {format_utc(dark.start)}; expected a date in "
                f"the period, {period}"
            )
    return period


def _dark(item: Any, where: str) -> Dark:
    record = _Record(item, where, {"exposure", "proposid", "datetime", "exptime"}, {"ccdamp", "flt", "size"})
    exposure = item["exposure"].upper() if isinstance(item["exposure"], str) else ""
    if not _EXPOSURE.fullmatch(exposure):
        raise record.error("exposure", "a ROOTNAME such as 'OSD01AASQ'")
    record.where = f"{where} ({exposure})"
    amp = item.get("ccdamp")
    if amp is not None and (not isinstance(amp, str) or amp not in AMPS):
        raise record.error("ccdamp", "A, B, C or D")
    flt = item.get("flt", True)
    if not isinstance(flt, bool):
        raise record.error("flt", "true or false")
    size = None if item.get("size") is None else record.whole("size")
    return Dark(exposure, record.whole("proposid"), record.time("datetime"), record.seconds("exptime"), amp, flt, size)


class _Record:
    """One object of the list, and where it stands."""

    def __init__(self, item: Any, where: str, required: set[str], optional: set[str]) -> None:
        self.item, self.where = item, where
        if not isinstance(item, dict):
            raise InputError(f"is {_shown(item)}; expected an object with {', '.join(sorted(required))}", where=where)
        if absent := sorted(required - set(item)):
            raise InputError(f"{absent[0]} is missing; expected the keys {', '.join(sorted(required))}", where=where)
        if unknown := sorted(set(item) - required - optional):
            allowed = ", ".join(sorted(required | optional))
            raise InputError(f"unknown key {_shown(unknown[0])}; expected {allowed} only", where=where)

    def error(self, key: str, expected: str) -> InputError:
        return InputError(f"{key} is {_shown(self.item[key])}; expected {expected}", where=self.where)

    def time(self, key: str) -> datetime:
        value = self.item[key]
        when = parse_utc(value) if isinstance(value, str) else None
        if when is None:
            raise self.error(key, f"a date as '{UTC_FORM}', UTC")
        return when

    def whole(self, key: str) -> int:
        value = self.item[key]
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise self.error(key, "a whole number, 0 or above")
        return value

    def seconds(self, key: str) -> float:
        value = self.item[key]
        try:
            if not isinstance(value, bool) and isinstance(value, (int, float)) and 0 < value < math.inf:
                return float(value)
        except OverflowError:  # a whole number of hundreds of digits
            pass
        raise self.error(key, "seconds, above 0")
