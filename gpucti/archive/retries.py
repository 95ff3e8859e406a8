"""Which failed requests to the archive are tried again, how often, and after which pauses."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

log = logging.getLogger(__name__)

#: Client errors (400 to 499) that may pass: Request Timeout, Too Early, Too Many Requests.
RETRIED_STATUSES = frozenset({408, 425, 429})
#: After so many files in a row that could not be fetched for the network's sake, the rest is not tried.
MAX_LOST_FILES = 4
T = TypeVar("T")


def is_final(status: int) -> bool:
    """Tell whether the server would answer a request with the same HTTP status again."""
    return 400 <= status < 500 and status not in RETRIED_STATUSES


@dataclass(frozen=True)
class Retries:
    """How often a request is tried, and how long to wait in between.

    Attributes
    ----------
    attempts : int
        The first one included.
    pause : float
        Seconds before the second attempt; twice that before each further one.
    stop : Event
        Set by another thread to end a pause.
    why : callable
        Returns what the log may say of an error.
    """

    attempts: int
    pause: float
    stop: threading.Event
    why: Callable[[Exception], str] = str

    def run(self, what: str, request: Callable[[], T], may_pass: Callable[[Exception], bool]) -> T:
        """Return what `request` returns, tried again after errors that may pass.

        Parameters
        ----------
        what : str
            What is asked for, for the log.
        request : callable
            Sends it once.
        may_pass : callable
            Tells whether another attempt can help after an error.

        Raises
        ------
        Exception
            Of the last attempt, or the first that will not pass.
        Stopped
            The user wants to stop.
        """
        for attempt in range(1, self.attempts):
            try:
                return request()
            except Exception as error:
                if not may_pass(error):
                    raise
                log.info("%s, attempt %d of %d: %s", what, attempt, self.attempts, self.why(error))
            if self.stop.wait(self.pause * 2 ** (attempt - 1)):
                from gpucti.archive.transport import Stopped  # needs requests

                raise Stopped("stopped")
        return request()
