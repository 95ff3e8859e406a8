"""What HST programmes take darks with the STIS CCD for: to mark an anneal, or to monitor the dark current."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from enum import Enum
from importlib.resources import files
from typing import NamedTuple

from gpucti.errors import ArchiveError

#: A programme that observes on more of its days than this is a dark monitor.
_DAILY = 0.5
#: Shorter programmes cannot be told apart by their cadence: an anneal lasts up to two days.
_MIN_SPAN = timedelta(days=3)


class Kind(Enum):
    """What the darks of a programme are for."""

    ANNEAL = "anneal"
    DARK = "dark monitor"
    OTHER = "neither"
    UNKNOWN = "unknown"


class KnownProgrammes(NamedTuple):
    """The packaged list of programmes, and when it was last looked at."""

    kinds: Mapping[int, Kind]
    date: str

    @classmethod
    def read(cls) -> KnownProgrammes:
        """Return the list."""
        figures = tomllib.loads((files("gpucti.data") / "programmes.toml").read_text(encoding="utf-8"))
        kinds = dict.fromkeys(figures["darks"], Kind.DARK) | dict.fromkeys(figures["anneals"], Kind.ANNEAL)
        return cls(kinds, figures["date"])


def kind_of_title(title: str) -> Kind:
    """Return what a programme is for, by its title; titles differ from cycle to cycle, so words decide."""
    text = title.lower()
    if "anneal" in text:
        return Kind.ANNEAL
    return Kind.DARK if "dark" in text and "monitor" in text else Kind.OTHER


def kind_of_cadence(starts: Collection[datetime]) -> Kind:
    """Return what a programme is for, by how often it observes: a dark monitor does so daily, anneals are monthly."""
    days = {start.date() for start in starts}
    if not starts or max(starts) - min(starts) < _MIN_SPAN:
        return Kind.UNKNOWN
    return Kind.DARK if len(days) / ((max(days) - min(days)).days + 1) > _DAILY else Kind.ANNEAL


class Programmes:
    """Finds the kinds of programmes: by the packaged list, by title, by cadence. Each title is asked for once.

    Parameters
    ----------
    ask_title : callable
        Returns the title of a programme that observed at a date, None if the archive has none; may raise
        `ArchiveError`, after which it is not called again.
    """

    def __init__(self, ask_title: Callable[[int, datetime], str | None]) -> None:
        self._ask_title = ask_title
        self._known = KnownProgrammes.read().kinds
        self._titles: dict[int, str | None] = {}
        self._silent = ""
        self.guessed: dict[int, Kind] = {}

    def kind(self, number: int, starts: Collection[datetime]) -> Kind:
        """Return the kind of a programme, given the starts (UTC) of all its darks that are known so far."""
        if number in self._known:
            return self._known[number]
        if number not in self._titles and not self._silent:
            try:
                self._titles[number] = self._ask_title(number, min(starts))
            except ArchiveError as error:
                self._silent = str(error)
        title = self._titles.get(number)
        if title:
            return kind_of_title(title)
        self.guessed[number] = kind_of_cadence(starts)
        return self.guessed[number]

    def notes(self) -> list[str]:
        """Return what the user should know about programmes judged by their cadence."""
        guesses = [
            f"{number} ({kind.value})" for number, kind in sorted(self.guessed.items()) if kind is not Kind.UNKNOWN
        ]
        if not guesses:
            return []
        why = f": {self._silent}" if self._silent else ""
        return [f"judged by how often they observe, for want of a title: programmes {', '.join(guesses)}{why}"]
