"""astroquery's clients of MAST, told where to send and through which guard.

astroquery offers no public way for that. What is used of its inner parts is all here, each looked for before it is
changed; a version that is made in another way is one clear error.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from gpucti._version import __version__
from gpucti.archive.transport import Guard
from gpucti.errors import ArchiveError

#: The versions whose inner parts are known to be as they are used here.
KNOWN = "0.4.10 or 0.4.11"
_INSTEAD = "or work without the archive (--anneals FILE)"


class Connection(NamedTuple):
    """The clients: searches and files, titles; and their sessions."""

    missions: Any
    observations: Any
    sessions: tuple[Any, Any]


def configured_server() -> str:
    """Return the archive's address in astroquery's configuration."""
    return str(_astroquery().conf.server).rstrip("/")


def connect(
    server: str | None,
    guard: Guard,
    timeout: float,
    columns: Collection[str],
    caom_columns: Mapping[str, Mapping[str, str]],
) -> Connection:
    """Return clients whose requests go through a guard.

    Parameters
    ----------
    server : str or None
        The archive's address, None for that of astroquery's configuration.
    guard : Guard
        Carries the requests.
    timeout : float
        Seconds that a whole answer may take.
    columns, caom_columns
        The columns of searches, so that astroquery need not fetch its lists of them.

    Raises
    ------
    ArchiveError
        There is no astroquery, or it is made in another way than is known here.
    """
    from astropy.table import Table

    mast = _astroquery()
    missions, observations = mast.MastMissionsClass(mission="hst"), mast.ObservationsClass()
    missions.columns["hst"] = Table({"name": list(columns)})
    service, portal = _part(missions, "_service_api_connection"), _part(observations, "_portal_api_connection")
    _set(portal, _column_configs={_part(observations, "_caom_filtered"): caom_columns}, TIMEOUT=timeout)
    if server is not None:
        # astroquery takes its configured server when it is imported; an instance can be told later only like this.
        _set(service, SERVICE_URL=server, MISSIONS_DOWNLOAD_URL=f"{server}/search/")
        missions.mission = "hst"  # makes the address of the searches anew
        config = f"{server}/portal/Mashup/Mashup.asmx/columnsconfig"
        _set(portal, MAST_REQUEST_URL=f"{server}/api/v0/invoke", COLUMNS_CONFIG_URL=config)
    sessions = _part(missions, "_session"), _part(observations, "_session")
    for session, inner in zip(sessions, (service, portal), strict=True):
        if _part(inner, "_session") is not session:  # what that one sends would not pass the guard
            raise _unknown(f"{type(inner).__name__} has a session of its own")
        session.mount("https://", guard)
        session.mount("http://", guard)
        session.max_redirects = 5
        session.headers["User-Agent"] += f" gpucti/{__version__}"
    return Connection(missions, observations, sessions)


def _astroquery() -> Any:
    """Return the module; `ArchiveError` where it cannot be imported, for whatever reason."""
    try:
        import astroquery.mast  # slow
    except Exception as error:
        raise ArchiveError(
            f"the package astroquery cannot be imported ({type(error).__name__}: {error}); install it (pip install "
            f"astroquery), {_INSTEAD}"
        ) from error
    return astroquery.mast


def _part(owner: Any, name: str) -> Any:
    """Return a part of astroquery's that it does not promise to keep."""
    try:
        return getattr(owner, name)
    except AttributeError:
        raise _unknown(f"{type(owner).__name__} has no {name}") from None


def _set(owner: Any, **values: Any) -> None:
    """Give parts of astroquery's other values, if they are there: a new attribute would change nothing."""
    for name, value in values.items():
        _part(owner, name)
        setattr(owner, name, value)


def _unknown(what: str) -> ArchiveError:
    from astroquery import __version__ as version

    return ArchiveError(
        f"astroquery {version} is not made as gpucti knows it ({what}); install astroquery {KNOWN}, {_INSTEAD}"
    )
