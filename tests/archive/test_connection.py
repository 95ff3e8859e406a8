"""astroquery's inner parts: looked for before they are used; every request passes the guard."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from gpucti.archive import connection
from gpucti.archive.client import ArchiveSettings, Mast
from gpucti.archive.query import anneal_periods
from gpucti.archive.transport import Guard, RefusedAnswer
from gpucti.errors import ArchiveError
from support.archive_server import SCIENCE, Server, loopback_only, serve, small_archive

#: What is used of astroquery and is not public: where, and its name.
PARTS = {
    "missions": ["_service_api_connection", "_session"],
    "observations": ["_portal_api_connection", "_caom_filtered", "_session"],
    "service": ["SERVICE_URL", "MISSIONS_DOWNLOAD_URL", "_session"],
    "portal": ["_column_configs", "TIMEOUT", "MAST_REQUEST_URL", "COLUMNS_CONFIG_URL", "_session"],
}


@pytest.fixture(autouse=True)
def refused(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Keep the tests on this machine."""
    return loopback_only(monkeypatch)


@pytest.fixture
def server() -> Iterator[Server]:
    with serve(small_archive()) as running:
        yield running


def stand_in(without: tuple[str, str] = ("", "")) -> Any:
    """Return what is used of the module astroquery.mast, without one part."""
    session = SimpleNamespace(mount=lambda *_: None, headers={"User-Agent": "x"})
    made = {
        "service": SimpleNamespace(SERVICE_URL="", MISSIONS_DOWNLOAD_URL="", _session=session),
        "portal": SimpleNamespace(
            _column_configs={}, TIMEOUT=0, MAST_REQUEST_URL="", COLUMNS_CONFIG_URL="", _session=session
        ),
    }
    made["missions"] = SimpleNamespace(
        columns={}, mission="", _service_api_connection=made["service"], _session=session
    )
    made["observations"] = SimpleNamespace(_portal_api_connection=made["portal"], _caom_filtered="x", _session=session)
    where, name = without
    if where:
        delattr(made[where], name)
    return SimpleNamespace(
        MastMissionsClass=lambda **_: made["missions"], ObservationsClass=lambda: made["observations"], **made
    )


def connect(monkeypatch: pytest.MonkeyPatch, mast: Any) -> connection.Connection:
    monkeypatch.setattr(connection, "_astroquery", lambda: mast)
    guard = Guard("http://mirror", None, 1, 1, 1, threading.Event())
    return connection.connect("http://mirror", guard, 1.0, ["x"], {})


@pytest.mark.parametrize(("where", "name"), [(where, name) for where, names in PARTS.items() for name in names])
def test_a_part_that_vanishes(monkeypatch: pytest.MonkeyPatch, where: str, name: str) -> None:
    """Oracle: one error that names astroquery, its version, what it lacks, and what to do; never an AttributeError."""
    import astroquery

    connect(monkeypatch, stand_in())
    with pytest.raises(ArchiveError, match=f"has no {name}") as failed:
        connect(monkeypatch, stand_in((where, name)))
    said = str(failed.value)
    assert f"astroquery {astroquery.__version__} is" in said and connection.KNOWN in said and "--anneals FILE" in said


def test_the_parts_are_there(server: Server) -> None:
    """Oracle: the astroquery that is installed here; a version without one of them fails this test."""
    with Mast(ArchiveSettings(server=server.url)) as mast:
        missions, observations = mast._missions, mast._observations
        found = {
            "missions": missions, "observations": observations,
            "service": missions._service_api_connection, "portal": observations._portal_api_connection,
        }  # fmt: skip
        assert [
            (where, name) for where, names in PARTS.items() for name in names if not hasattr(found[where], name)
        ] == []


def test_a_session_that_is_not_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: what an inner part would send by a session of its own would pass no guard: an error."""
    mast = stand_in()
    mast.portal._session = SimpleNamespace()
    with pytest.raises(ArchiveError, match="has a session of its own"):
        connect(monkeypatch, mast)


def test_requests_to_another_address(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: a version that no longer obeys the address that it is told asks nobody."""
    with serve(small_archive()) as other:
        with Mast(ArchiveSettings(server=server.url)) as mast:
            mast._missions._service_api_connection.REQUEST_URL = f"{other.url}/search/hst/api/v0.1/"
            with pytest.raises(ArchiveError, match="astroquery asks http://127.0.0.1:.*not the archive's own address"):
                mast.darks(SCIENCE, SCIENCE)
        assert other.requests == [] and server.requests == []


@pytest.mark.parametrize(
    "error", [ImportError("no such thing"), RuntimeError("made for another NumPy"), AttributeError("x")]
)
def test_a_package_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Oracle: one error that says why, what to install and how to do without, whatever the import raises."""

    class Broken:
        def find_spec(self, name: str, *_: Any) -> None:
            if name.startswith("astroquery"):
                raise error

    for name in [name for name in sys.modules if name.partition(".")[0] == "astroquery"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr("sys.meta_path", [Broken(), *sys.meta_path])
    said = r"astroquery, which cannot be imported .*; pip install .*--anneals FILE"
    with pytest.raises(ArchiveError, match=said) as failed:
        anneal_periods([SCIENCE], settings=ArchiveSettings(server="http://127.0.0.1:9"))
    assert str(error) in str(failed.value)


def test_the_guard_knows_a_redirect() -> None:
    """Oracle: the first request goes to the archive; another address comes in only as the answer's."""
    import requests

    guard = Guard("https://archive", None, 1, 1, 1, threading.Event())
    with pytest.raises(RefusedAnswer, match="asks http://elsewhere:8080, not"):
        guard.send(requests.Request("GET", "http://elsewhere:8080/x").prepare())
    guard.status = 302
    with pytest.raises(RefusedAnswer, match="redirected to http://elsewhere, without encryption"):
        guard.send(requests.Request("GET", "http://me:pw@elsewhere/x").prepare())
