"""What the archive is asked with, and its door: astroquery and requests are imported when it is asked, not before."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from gpucti._lazy import require
from gpucti.errors import ArchiveError, InputError, MissingPackageError
from gpucti.io.network import is_address, shown_address

if TYPE_CHECKING:
    from gpucti.archive.client import Mast


@dataclass(frozen=True, kw_only=True)
class ArchiveSettings:
    """Where the archive is, how long its answers are waited for, and how often a request is tried.

    Attributes
    ----------
    server : str or None
        Address in place of the one that astroquery is configured with, such as that of a mirror.
    token : str or None
        Of the user's MAST account. Darks are public, so none is needed.
    connect, read, whole : float
        Seconds to wait for a connection, for the next bytes, and for a whole answer or file.
    attempts, pause : int, float
        See `gpucti.archive.retries.Retries`.
    page : int
        Rows per page of a search.
    """

    server: str | None = None
    token: str | None = field(default=None, repr=False)
    connect: float = 15.0
    read: float = 60.0
    whole: float = 900.0
    attempts: int = 4
    pause: float = 1.0
    page: int = 5000

    def __post_init__(self) -> None:
        """Check the address; raise `InputError` for one that cannot be."""
        if self.attempts < 1:
            raise InputError(f"attempts is {self.attempts!r}; expected 1 or more")
        if self.server is None:
            return
        parts = urlsplit(self.server) if is_address(self.server) else None
        if parts is None or parts.query or parts.fragment or parts.username is not None:
            raise InputError(
                f"the archive's server is {shown_address(self.server)!r}; expected an address such as https://HOST"
            )
        object.__setattr__(self, "server", self.server.rstrip("/"))


class Product(NamedTuple):
    """A calibrated dark in the archive: what to ask for, and its size in bytes."""

    uri: str
    size: int


class Refusal(ArchiveError):
    """The archive does not give a file."""


def open_archive(settings: ArchiveSettings, stop: threading.Event | None = None) -> Mast:
    """Return a connection, for one thread at a time; see `gpucti.archive.client.Mast`.

    Raises
    ------
    ArchiveError
        A package that asks the archive is not installed.
    """
    try:
        for package in ("astroquery", "requests"):
            require(package, "the archive")
    except MissingPackageError as error:
        raise ArchiveError(f"{error}, or work without the archive (--anneals FILE)") from error
    from gpucti.archive.client import Mast

    return Mast(settings, stop)
