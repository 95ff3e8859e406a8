"""Dates of exposures: UTC, as datetimes without a time zone, to the microsecond."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta

from gpucti.detector import MJD_ZERO
from gpucti.errors import InputError

_UTC_TEXT = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[ T]([0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?)(?:Z|\+00:00)?")
#: How a date is written, for messages.
UTC_FORM = "YYYY-MM-DD HH:MM:SS"


def parse_utc(text: str) -> datetime | None:
    """Return the date that ``YYYY-MM-DD HH:MM:SS`` (also with ``T``, a fraction, ``Z``) stands for, or None."""
    match = _UTC_TEXT.fullmatch(text)
    try:
        return datetime.fromisoformat(" ".join(match.groups())) if match else None
    except ValueError:  # such as month 13
        return None


def format_utc(when: datetime) -> str:
    """Return a date as ``YYYY-MM-DD HH:MM:SS``, with a fraction only where there is one."""
    return when.isoformat(sep=" ")


def as_utc(when: datetime | float) -> datetime:
    """Return a date without a time zone from a datetime (in UTC unless it has a zone) or a Modified Julian Date.

    Raises
    ------
    InputError
        A number that is no date.
    """
    if isinstance(when, datetime):
        return when.astimezone(UTC).replace(tzinfo=None) if when.tzinfo else when
    try:
        if not math.isfinite(when):
            raise OverflowError
        return MJD_ZERO + timedelta(days=when)
    except OverflowError:
        raise InputError(f"{when!r} is no Modified Julian Date; expected days such as 56001.3") from None
