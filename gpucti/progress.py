"""What a run reports while it goes on: events for a callback, lines in its log file, seconds per stage."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, NamedTuple

log = logging.getLogger(__name__)


class Event(NamedTuple):
    """One step of a run is done.

    Attributes
    ----------
    stage : str
        The stage it belongs to.
    done, total : int
        Steps of this stage done, and how many there are.
    text : str
        What was done, one line.
    """

    stage: str
    done: int
    total: int
    text: str


Progress = Callable[[Event], None]


@dataclass
class RunLog:
    """Reports every step of a run.

    Attributes
    ----------
    progress : callable or None
        Called with each `Event`.
    logfile : Path or None
        Lines are added to it; a log that cannot be written stops nothing.
    seconds : dict
        Seconds per stage, so far. Stages that overlap count the time they were waited for.
    """

    progress: Progress | None = None
    logfile: Path | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    _stream: IO[str] | None = None
    _steps: dict[str, int] = field(default_factory=dict)

    def say(self, text: str) -> None:
        """Write a line into the log."""
        log.info("%s", text)
        self._write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {text}\n")

    def step(self, stage: str, text: str, total: int) -> None:
        """Report one step that is done."""
        self._steps[stage] = done = self._steps.get(stage, 0) + 1
        self.say(f"{stage} {done}/{total}: {text}")
        if self.progress is not None:
            self.progress(Event(stage, done, total, text))

    @contextmanager
    def timing(self, stage: str) -> Iterator[None]:
        """Add the time of the block to a stage."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - begin

    @contextmanager
    def logging(self) -> Iterator[None]:
        """Keep the log file open for the block; the error that ends it goes into the log."""
        try:
            if self.logfile is not None:
                try:
                    self._stream = self.logfile.open("a", encoding="utf-8", errors="backslashreplace")
                except OSError as error:
                    log.warning("%s: the log cannot be written (%s)", self.logfile, error.strerror)
            yield
        except BaseException as error:
            self.say(f"stopped: {error or type(error).__name__}")
            raise
        finally:
            if self._stream is not None:
                try:
                    self._stream.close()
                except OSError:  # a full disk: the run itself says so
                    log.debug("%s: the log is incomplete", self.logfile)
                self._stream = None

    def _write(self, text: str) -> None:
        if self._stream is not None:
            try:
                self._stream.write(text)
                self._stream.flush()
            except OSError as error:
                log.warning("%s: the log is incomplete (%s)", self.logfile, error.strerror)
                self._stream = None
