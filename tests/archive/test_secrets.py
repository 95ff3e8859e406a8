"""The token of an account, and passwords in addresses: in nothing that is shown, logged or written."""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits

from gpucti import cli
from gpucti.archive.client import ArchiveSettings, Mast
from gpucti.archive.download import download_darks
from gpucti.archive.query import anneal_periods
from gpucti.darks import anneals
from gpucti.errors import GpuctiError, InputError
from support.archive_server import (
    SCIENCE,
    Handler,
    Server,
    component_darks,
    drops,
    hangs,
    html,
    loopback_only,
    serve,
    small_archive,
    status,
)
from support.header_files import RAW
from support.stis_files import stis_file

TOKEN = "5e5ame0pen"
PASSWORD = "pa55w0rd"


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stay on this machine, and wait for nothing."""
    loopback_only(monkeypatch)
    for name in os.environ:
        if name.lower().endswith("_proxy") or name.startswith("CRDS"):
            monkeypatch.delenv(name)
    quick = partial(ArchiveSettings, pause=0.001, connect=1.0, read=0.3, whole=0.5, attempts=2)
    monkeypatch.setattr("gpucti.archive.query.ArchiveSettings", quick)


@pytest.fixture
def server() -> Iterator[Server]:
    with serve(small_archive()) as running:
        yield running


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Return an exposure that needs darks, as its headers say."""
    (tmp_path / "science").mkdir()
    more = {"OBSTYPE": "IMAGING", "SCLAMP": "NONE", "TARGNAME": "NONE", "TEXPTIME": 100.0, "DARKCORR": "PERFORM"}
    cards = RAW | more | {"BLEVCORR": "PERFORM", "TEXPSTRT": 56001.3}
    path = stis_file(tmp_path / "science" / "o1_raw.fits", shape=(1044, 1062), **cards)
    with fits.open(path, mode="update") as hdus:
        hdus["SCI", 1].header.update({"EXPTIME": 100.0, "EXPSTART": 56001.3, "EXPEND": 56001.31})
    return path


def cookie(handler: Handler) -> str:
    return str(handler.headers.get("Cookie"))


def echo_page(handler: Handler, *_: Any) -> None:
    handler.send(200, f"<html>your request: {cookie(handler)}".encode(), "text/html")


def echo_row(handler: Handler, *_: Any) -> None:
    cells = {"sci_data_set_name": cookie(handler), "sci_start_time": 1, "sci_actual_duration": 1, "sci_pep_id": 1}
    handler.json({"info": [{"name": name} for name in cells], "results": [cells], "totalResults": 1})


def echo_type(handler: Handler, *_: Any) -> None:
    handler.send(200, b"{", cookie(handler))


def echo_redirect(handler: Handler, *_: Any) -> None:
    """Send to an address with the token as user, which nobody may be told of."""
    port = handler.server.server_address[1]  # type: ignore[index]
    handler.send(302, b"", "text/plain", {"Location": f"http://{TOKEN}:{TOKEN}@localhost:{port}/none"})


def redirect_nowhere(handler: Handler, *_: Any) -> None:
    handler.send(302, b"", "text/plain", {"Location": f"http://{TOKEN}:{TOKEN}@127.0.0.1:9/none"})


#: What a server does with a search, or with a file.
FAULTS: dict[str, Callable[..., None]] = {
    "401": status(401), "403": status(403), "500": status(500), "page": html, "silence": hangs, "echo": echo_page,
    "row": echo_row, "type": echo_type, "redirect": echo_redirect, "nowhere": redirect_nowhere,
    "drop": lambda handler, *rest: drops(5)(handler, *(rest or (b"{" * 99,))),
}  # fmt: skip
#: Tokens that no header may hold, and some that could be.
BAD_TOKENS = [f"{TOKEN}\n", f"{TOKEN}\r\nX: y", f" {TOKEN}", f"{TOKEN} x", f"{TOKEN}\x00", f"{TOKEN}é", f"{TOKEN};a=b"]


def told(folder: Path, *more: str) -> str:
    """Return all that was said, and all text in files and their names."""
    files = [path.name + path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file()]
    return "\n".join([*more, *files])


def keeps(text: str) -> None:
    for secret in (TOKEN, PASSWORD):
        assert secret not in text, text[max(0, text.index(secret) - 200) :][:400]


def command(
    raw: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, *arguments: str
) -> tuple[int, str]:
    """Run a command at its loudest, with JSON in a file; return its exit code and what it said."""
    folder = raw.parents[1]
    caplog.clear()
    with caplog.at_level(1):
        code = cli.main([*arguments, "--json", str(folder / "told.json")])
    out, err = capsys.readouterr()
    keeps(told(folder, out, err, caplog.text, *(repr(vars(record)) for record in caplog.records)))
    return code, out + err


COMMANDS = {
    "darks": ("darks", "{raw}", "-v", "2"),
    "download": ("darks", "{raw}", "--download", "-v", "2"),
    "plan": ("correct", "{science}", "--dry-run", "-v", "2"),
    "correct": ("correct", "{science}", "--download", "-v", "2"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in ("plan", "download") else []) for name in COMMANDS]
)
def test_commands(
    server: Server, raw: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch, name: str, fault: str,
) -> None:  # fmt: skip
    """Oracle: the token was sent, and stands in nothing that can be read afterwards."""
    monkeypatch.setenv("MAST_API_TOKEN", TOKEN)
    server.faults.every_search = FAULTS[fault]
    arguments = [part.format(raw=raw, science=raw.parent) for part in COMMANDS[name]]
    code, said = command(raw, capsys, caplog, *arguments, "--mast-server", server.url)
    assert code == 1 and "Traceback" not in said and server.url in said
    assert any(TOKEN in str(headers) for _, headers in server.headers)


@pytest.mark.parametrize("fault", FAULTS)
def test_files(
    server: Server, raw: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch, fault: str,
) -> None:  # fmt: skip
    """Oracle: likewise, where the list comes and a file does not."""
    monkeypatch.setenv("MAST_API_TOKEN", TOKEN)
    (first, *_) = component_darks(server.archive)
    server.archive.darks = [dark for dark in server.archive.darks if dark.exptime < 960 or dark.programme == 12404]
    server.archive.darks.append(first)
    server.archive.darks.sort(key=lambda dark: dark.start)
    server.faults.file[first.name] = [FAULTS[fault]] * 9
    code, said = command(raw, capsys, caplog, "darks", str(raw), "--download", "-v", "2", "--mast-server", server.url)
    assert code == 1 and f"failed: {first.name}: " in said and "Traceback" not in said


@pytest.mark.parametrize("token", BAD_TOKENS, ids=range(len(BAD_TOKENS)))
def test_bad_tokens(
    server: Server, raw: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch, token: str,
) -> None:  # fmt: skip
    """Oracle: refused before anything is sent; the message names the variable and not its value."""
    monkeypatch.setattr("gpucti.archive.query.os.environ", {**os.environ, "MAST_API_TOKEN": token})
    for name in ("darks", "correct"):
        arguments = [part.format(raw=raw, science=raw.parent) for part in COMMANDS[name]]
        code, said = command(raw, capsys, caplog, *arguments, "--mast-server", server.url)
        assert code == 1 and "MAST_API_TOKEN holds a blank, a line break" in said
    assert server.requests == []


def test_a_token_that_nobody_needs(
    server: Server, raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: where the archive is not asked, a token that cannot be is no obstacle."""
    settings = ArchiveSettings(server=server.url)
    saved = raw.parents[1] / "ref" / "anneals.json"
    answer = anneal_periods([SCIENCE], settings=settings)
    saved.parent.mkdir()
    anneals.write_anneals(answer.known, saved)
    monkeypatch.setenv("MAST_API_TOKEN", f"{TOKEN}\n")
    assert cli.main(["darks", str(raw), "--mast-server", server.url, "--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 28


def test_tracebacks(server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Oracle: what Python prints of an error that nobody catches, and what the errors before it hold."""
    settings = ArchiveSettings(server=server.url, token=TOKEN, pause=0.001, read=0.3, whole=0.5, attempts=2)
    nowhere = replace(settings, server="http://127.0.0.1:9", attempts=1)
    darks = [anneals.Dark(dark.name, dark.programme, dark.start, dark.exptime) for dark in server.archive.darks[:1]]
    for fault in FAULTS.values():
        server.faults.every_search, server.faults.products = fault, None
        for ask in (
            lambda: anneal_periods([SCIENCE], settings=settings),
            lambda: download_darks(darks, tmp_path, nowhere),
        ):
            with caplog.at_level(1), pytest.raises(GpuctiError) as failed:
                ask()
            error: BaseException | None = failed.value
            keeps("".join(traceback.format_exception(error)) + caplog.text)
            while error is not None:
                request = getattr(error, "request", None)
                keeps(str(getattr(request, "headers", "")))
                error = error.__cause__ or error.__context__
    keeps(repr(settings) + repr(Mast(settings)))


#: Addresses with a user and a password, some of which are none.
ADDRESSES = [
    f"http://user:{PASSWORD}@127.0.0.1:9",
    f"htps://user:{PASSWORD}@127.0.0.1:9",
    f"http://user:{PASSWORD}@127.0.0.1:port",
    f"http://user:{PASSWORD}/x@127.0.0.1:9",
    f"user:{PASSWORD}@127.0.0.1:9",
    f"socks5://user:{PASSWORD}@127.0.0.1:9",
    f"http://user:{PASSWORD}@",
    f"http://user:{PASSWORD} @127.0.0.1:9",
]


@pytest.mark.slow
@pytest.mark.parametrize("address", ADDRESSES, ids=range(len(ADDRESSES)))
@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "ALL_PROXY", "GPUCTI_MAST_SERVER", "CRDS_SERVER_URL"])
def test_passwords_in_addresses(
    server: Server, raw: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch, variable: str, address: str,
) -> None:  # fmt: skip
    """Oracle: commands that ask MAST and CRDS show no password, and name the variable."""
    monkeypatch.setenv(variable, address)
    monkeypatch.setenv("no_proxy", "")
    if variable != "GPUCTI_MAST_SERVER":
        monkeypatch.setenv("GPUCTI_MAST_SERVER", server.url)
    _, said = command(raw, capsys, caplog, "doctor", str(raw.parent))
    assert variable in said or variable == "ALL_PROXY" or "127.0.0.1:9" in address
    if variable != "CRDS_SERVER_URL":
        code, said = command(raw, capsys, caplog, "darks", str(raw), "-v", "2")
        assert code == 1 and variable in said and "Traceback" not in said
    else:
        code, said = command(raw, capsys, caplog, "correct", str(raw.parent), "--crds-update", "--dry-run")
        assert code == 1 and variable in said and "Traceback" not in said


def test_a_server_given_as_an_option() -> None:
    """Oracle: refused without the password."""
    for address in ADDRESSES:
        with pytest.raises(InputError, match="expected an address") as refused:
            ArchiveSettings(server=address)
        keeps(str(refused.value))


def test_logs_of_other_packages(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """Oracle: urllib3 and astroquery at their loudest, of a request that succeeds."""
    settings = ArchiveSettings(server=server.url, token=TOKEN)
    with caplog.at_level(logging.DEBUG):
        anneal_periods([SCIENCE], settings=settings)
    assert any(record.name.startswith("urllib3") for record in caplog.records)
    keeps(caplog.text)
