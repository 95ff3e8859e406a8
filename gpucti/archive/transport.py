"""How requests to the archive travel: with time limits, within bounds, and the user's token to nobody else."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

#: Longest answer that is taken, bytes: a dark has 11 MB, a page of a search 1 MB.
MAX_BYTES = 1 << 28
_CHUNK = 1 << 16
_REDIRECTS = (301, 302, 303, 307, 308)


class RefusedAnswer(requests.RequestException):
    """An answer that is not taken: too long, or a redirect that must not be followed."""


class Stopped(requests.RequestException):
    """The user wants to stop."""


class Guard(HTTPAdapter):
    """Carries the requests of one session.

    Parameters
    ----------
    server : str
        The archive's address: the token goes there only.
    token : str or None
        Of the user's account.
    connect, read, whole : float
        Seconds to wait for a connection, for the next bytes, and for a whole answer.
    stop : Event
        Set when the user wants to stop.
    """

    def __init__(
        self, server: str, token: str | None, connect: float, read: float, whole: float, stop: threading.Event
    ) -> None:
        self._home = _origin(server)
        self._token = token
        self._timeouts = (connect, read)
        self._whole = whole
        self._stop = stop
        #: Status of the last answer, 0 if there was none.
        self.status = 0
        self._body: _Body | None = None
        super().__init__()

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request; see `requests.adapters.HTTPAdapter.send`."""
        redirected, self.status = self.status in _REDIRECTS, 0
        self._drop()
        if self._stop.is_set():
            raise Stopped("stopped", request=request)
        origin = _origin(request.url or "")
        if origin != self._home and not redirected:
            raise RefusedAnswer(f"astroquery asks {_shown(origin)}, not the archive's own address", request=request)
        if self._home[0] == "https" and origin[0] != "https":
            raise RefusedAnswer(f"redirected to {_shown(origin)}, without encryption", request=request)
        sent = request.copy()  # the token stays out of what astroquery logs
        if self._token and origin == self._home:
            sent.headers["Cookie"] = f"mast_token={self._token}"
        begin = time.monotonic()
        try:
            response = super().send(sent, *args, **kwargs | {"timeout": self._timeouts})
        except requests.RequestException as error:
            error.request = request  # and out of what an error holds
            raise
        response.request = request
        response.raw = self._body = _Body(response.raw, begin + self._whole, self._whole, self._stop)
        self.status = response.status_code
        return response

    def close(self) -> None:
        """Close all connections."""
        self._drop()
        super().close()

    def _drop(self) -> None:
        """Close the connection of an answer that was not read to its end."""
        if self._body is not None:
            self._body.close()
            self._body = None


def _origin(url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port of an address."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _shown(origin: tuple[str, str, int | None]) -> str:
    scheme, host, port = origin
    return f"{scheme}://{host}" + ("" if port in (80, 443, None) else f":{port}")


class _Body:
    """The body of an answer as urllib3 gives it, until a deadline and up to a size."""

    def __init__(self, raw: Any, deadline: float, seconds: float, stop: threading.Event) -> None:
        self._raw, self._deadline, self._seconds, self._stop = raw, deadline, seconds, stop

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def stream(self, amt: int | None = None, decode_content: bool | None = None) -> Iterator[bytes]:
        """Yield the body in pieces, as they come."""
        total = 0
        for piece in self._pieces(decode_content):
            total += len(piece)
            if total > MAX_BYTES:
                raise RefusedAnswer(f"more than {MAX_BYTES >> 20} MB")
            if time.monotonic() > self._deadline:
                raise requests.Timeout(f"not done after {self._seconds:g} s")
            if self._stop.is_set():
                raise Stopped("stopped")
            yield piece

    def _pieces(self, decode_content: bool | None) -> Iterator[bytes]:
        if not hasattr(self._raw, "read1"):  # urllib3 1: bytes that trickle in are waited for
            yield from self._raw.stream(_CHUNK, decode_content)
            return
        while piece := self._raw.read1(_CHUNK, decode_content=decode_content):
            yield piece
