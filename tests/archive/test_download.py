"""Darks fetched from a server on loopback that does everything wrong a server can do."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits

from gpucti import cli
from gpucti.archive.client import ArchiveSettings
from gpucti.archive.download import check_dark, darks_on_disk, download_darks
from gpucti.darks import anneals
from gpucti.darks.weeks import find_darks
from gpucti.errors import ArchiveError, InputError
from gpucti.progress import Event
from support.archive_server import (
    SCIENCE,
    Archive,
    Dark,
    Faults,
    Server,
    component_darks,
    corrupted,
    drips,
    drops,
    hangs,
    html,
    loopback_only,
    redirect,
    serve,
    small_archive,
    status,
    too_long,
    truncated,
    wrong_length,
)
from support.header_files import header_file


@pytest.fixture(autouse=True)
def refused(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Keep the tests on this machine."""
    return loopback_only(monkeypatch)


@pytest.fixture(scope="module")
def archive() -> Archive:
    return small_archive()


@pytest.fixture
def server(archive: Archive) -> Iterator[Server]:
    with serve(Archive([replace(dark) for dark in archive.darks], archive.titles)) as running:
        yield running


@pytest.fixture
def settings(server: Server) -> ArchiveSettings:
    return ArchiveSettings(server=server.url, pause=0.01, connect=2.0, read=0.6, whole=1.2, attempts=3)


def listed(darks: list[Dark]) -> list[anneals.Dark]:
    return [anneals.Dark(dark.name, dark.programme, dark.start, dark.exptime) for dark in darks]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def expected(darks: list[Dark]) -> dict[str, bytes]:
    return {f"{dark.name.lower()}_flt.fits": dark.content() for dark in darks}


def test_all_of_a_period(server: Server, settings: ArchiveSettings, tmp_path: Path) -> None:
    """Oracle: the server's own bytes; the second call asks for nothing."""
    darks, events = component_darks(server.archive), list[Event]()
    folder = tmp_path / "new" / "darks"
    done = download_darks(listed(darks), folder, settings, progress=events.append)
    assert contents(folder) == expected(darks)
    assert [path.name for path in done.fetched] == list(expected(darks))
    assert (done.there, done.failed, done.no_flt, done.notes) == ((), {}, (), ())
    assert [(event.stage, event.done, event.total) for event in events] == [("download", n, 28) for n in range(1, 29)]
    assert server.count("post_list_products") == 1 and sorted(server.files) == [dark.name for dark in darks]
    assert set(find_darks(folder)) == {dark.name for dark in darks}  # what a run takes
    asked = len(server.requests)
    again = download_darks(listed(darks), folder, settings)
    assert again.there == tuple(dark.name for dark in darks) and not again.fetched
    assert len(server.requests) == asked


@pytest.mark.parametrize("ranges", [False, True])
def test_faults_that_pass(server: Server, settings: ArchiveSettings, tmp_path: Path, ranges: bool) -> None:
    """Oracle: the server's own bytes in spite of one fault per file, with and without partial requests."""
    darks = component_darks(server.archive)
    server.faults.ranges = ranges
    size = len(darks[0].content())
    faults = [drops(0), drops(1), drops(2880), drops(size - 1), status(500), status(503), status(429), hangs, drips,
              html, truncated, corrupted, too_long, wrong_length]  # fmt: skip
    for dark, fault in zip(darks, faults, strict=False):
        server.faults.file[dark.name] = [fault]
    done = download_darks(listed(darks), tmp_path, settings)
    assert (len(done.fetched), done.failed) == (28, {})
    assert contents(tmp_path) == expected(darks)
    assert len(server.files) == 28 + len(faults)


@pytest.mark.parametrize(
    ("fault", "tries", "reason"),
    [
        (status(404), 1, "the server answers 404"),
        (status(401), 1, "the server answers 401"),
        (status(500), 3, "the server answers 500"),
        (drops(5000), 3, "the connection broke off"),
        (wrong_length, 3, "the connection broke off"),
        (truncated, 3, "11520 bytes in place of 23040"),
        (too_long, 3, "25920 bytes in place of 23040"),
        (html, 3, "54 bytes in place of 23040"),
        (corrupted, 3, r"o\w+_flt.fits\[1\]: the data do not have the checksum that DATASUM announces"),
        (hangs, 3, r"no answer for 0\.4 s"),
        (drips, 3, r"not done after 0\.5 s"),
        (redirect("http://127.0.0.1:9/x"), 3, "connection refused"),
    ],
)
def test_faults_that_stay(
    server: Server, settings: ArchiveSettings, tmp_path: Path, fault: Callable[..., None], tries: int, reason: str
) -> None:
    """Oracle: the file is named with the reason, the others come, nothing is left behind."""
    darks = component_darks(server.archive)[:6]
    server.faults.file[darks[2].name] = [fault] * 9
    hurried = replace(settings, read=0.4, whole=0.5) if fault in (hangs, drips) else settings
    done = download_darks(listed(darks), tmp_path, hurried, jobs=2)
    assert done.failed is not None and list(done.failed) == [darks[2].name]
    assert re.search(reason, done.failed[darks[2].name])
    assert contents(tmp_path) == expected(darks[:2] + darks[3:])
    assert server.files.count(darks[2].name) == tries


def test_another_exposure_under_the_name(server: Server, settings: ArchiveSettings, tmp_path: Path) -> None:
    """Oracle: ROOTNAME of the bytes that came."""
    darks = component_darks(server.archive)[:3]
    server.faults.file[darks[0].name] = [lambda h, _: h.send(200, darks[1].content(), "application/fits")] * 3
    done = download_darks(listed(darks), tmp_path, settings)
    assert done.failed is not None
    assert f"ROOTNAME is '{darks[1].name}'; expected {darks[0].name}" in done.failed[darks[0].name]
    assert contents(tmp_path) == expected(darks[1:])


def test_a_redirect_is_followed_without_the_token(server: Server, settings: ArchiveSettings, tmp_path: Path) -> None:
    """Oracle: the bytes of the other server; what it was sent."""
    darks = component_darks(server.archive)[:1]
    with serve(server.archive) as other:
        there = f"{other.url}/search/hst/api/v0.1/retrieve_product?product_name={darks[0].name}%2Fx"
        server.faults.file[darks[0].name] = [redirect(there)]
        done = download_darks(listed(darks), tmp_path, replace(settings, token="sesame"))
        assert contents(tmp_path) == expected(darks) and not done.failed
        assert other.headers and all("Cookie" not in headers for _, headers in other.headers)


@pytest.mark.parametrize("name", ["../../x_flt.fits", "/tmp/x_flt.fits", "other_flt.fits"])
def test_names_of_files_are_ours(server: Server, settings: ArchiveSettings, tmp_path: Path, name: str) -> None:
    """Oracle: nothing is written but in the folder; the message shows the name."""
    folder = tmp_path / "a" / "b" / "darks"

    def rename(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [row | ({"filename": name, "uri": name} if row["file_suffix"] == "FLT" else {}) for row in rows]

    server.faults.products = rename
    with pytest.raises(ArchiveError, match=f"is called '{name}'"):
        download_darks(listed(component_darks(server.archive)), folder, settings)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("uri", ["../../../etc/passwd", "mast:HST/x", "X&product_name=y#?"])
def test_strange_uris_only_ask_the_server(server: Server, settings: ArchiveSettings, tmp_path: Path, uri: str) -> None:
    """Oracle: the server does not have it; nothing is written elsewhere."""
    folder = tmp_path / "a" / "darks"
    server.faults.products = lambda rows: [row | {"uri": uri} for row in rows]
    darks = component_darks(server.archive)[:2]
    done = download_darks(listed(darks), folder, settings)
    assert done.failed == {dark.name: "the server answers 404" for dark in darks}
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_no_flt(server: Server, settings: ArchiveSettings, tmp_path: Path) -> None:
    """Oracle: the archive's list; it is no failure."""
    darks = component_darks(server.archive)[:5]
    darks[1].flt = darks[4].flt = False
    done = download_darks(listed(darks), tmp_path, settings)
    assert done.no_flt == (darks[1].name, darks[4].name)
    assert (len(done.fetched), done.failed) == (3, {})


def test_what_the_list_says_has_no_flt_is_not_asked_for(
    server: Server, settings: ArchiveSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: a list without sizes, all darks on disk but the one that has no calibrated file: no network."""
    one, two, none = component_darks(server.archive)[:3]
    wanted = listed([one, two, none])
    wanted[2] = replace(wanted[2], flt=False)
    download_darks(wanted[:2], tmp_path, settings)
    refused = loopback_only(monkeypatch, allowed=False)
    server.requests.clear()
    done = download_darks(wanted, tmp_path, settings)
    assert (done.there, done.no_flt, done.failed) == ((one.name, two.name), (none.name,), {})
    assert (refused, server.requests) == ([], [])


def test_the_archive_goes_away(server: Server, settings: ArchiveSettings, tmp_path: Path) -> None:
    """Oracle: after some files that the network does not give, the rest is not tried."""
    darks = component_darks(server.archive)
    server.faults.file = {dark.name: [drops(0)] * 9 for dark in darks}
    done = download_darks(listed(darks), tmp_path, settings, jobs=2)
    assert done.failed is not None and len(done.failed) == 28
    assert sum("not tried" in reason for reason in done.failed.values()) > 20
    assert len(server.files) <= 18 and contents(tmp_path) == {}


def test_what_is_there(server: Server, settings: ArchiveSettings, tmp_path: Path) -> None:
    """Oracle: by hand. Good files stay, edited headers too; damaged ones are replaced, others moved aside."""
    darks = component_darks(server.archive)[:9]
    files = expected(darks)
    paths = [tmp_path / name for name in files]
    for path, content in zip(paths, files.values(), strict=True):
        path.write_bytes(content)
    fits.setval(paths[0], "DARKFILE", value="oref$another_drk.fits")  # as updating references does
    fits.setval(paths[0], "COMMENT", value="x" * 70)
    paths[1].rename(tmp_path / "my_flt.fits")
    (tmp_path / "packed_flt.fits.gz").write_bytes(gzip.compress(paths[2].read_bytes()))
    paths[2].unlink()
    paths[3].write_bytes(paths[3].read_bytes()[:9000])
    paths[4].write_bytes(b"")
    paths[5].write_bytes(b"not FITS" * 1000)
    flipped = bytearray(paths[6].read_bytes())
    flipped[-9000] ^= 0x55
    paths[6].write_bytes(flipped)
    other = component_darks(server.archive)[20].content()
    paths[7].write_bytes(other)
    paths[8].unlink()
    (tmp_path / "notes.txt").write_text("mine")
    before = contents(tmp_path)
    done = download_darks(listed(darks), tmp_path, settings)
    assert [path.name for path in done.fetched] == [path.name for path in paths[3:]]
    assert done.there == tuple(dark.name for dark in darks[:3])
    assert len(done.notes) == 5
    after = contents(tmp_path)
    replaced = {paths[n].name: files[paths[n].name] for n in range(3, 9)}
    aside = {f"{paths[6].name}.bad": bytes(flipped), f"{paths[7].name}.bad": other}
    assert after == before | replaced | aside
    assert not download_darks(listed(darks), tmp_path, settings).fetched


def test_leftovers_of_killed_runs_go(server: Server, settings: ArchiveSettings, tmp_path: Path) -> None:
    """Oracle: a name that only a killed run of this machine leaves."""
    from gpucti.io.atomic import temporary_name

    name = re.sub(r"-\d+-", "-999999999-", temporary_name("o0000000q_flt.fits"))
    (tmp_path / name).write_bytes(b"half")
    download_darks(listed(component_darks(server.archive)[:1]), tmp_path, settings)
    assert len(contents(tmp_path)) == 1


def test_a_full_disk_stops_at_once(
    server: Server, settings: ArchiveSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: the operating system's error, once, and no file."""
    from astroquery.mast import MastMissionsClass

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(MastMissionsClass, "_download_file", full)
    with pytest.raises(OSError, match="No space left"):
        download_darks(listed(component_darks(server.archive)), tmp_path, settings)
    assert contents(tmp_path) == {}


def test_interrupted(server: Server, settings: ArchiveSettings, tmp_path: Path) -> None:
    """Oracle: Ctrl-C in the middle: whole files or none, and the rest is not waited for."""
    darks = component_darks(server.archive)

    def stop(event: Event) -> None:
        if event.done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download_darks(listed(darks), tmp_path, settings, jobs=2, progress=stop)
    found = contents(tmp_path)
    assert 5 <= len(found) < 20 and found.items() <= expected(darks).items()


def test_check_dark(server: Server, tmp_path: Path) -> None:
    """Oracle: astropy's checksums on files that it wrote."""
    dark = component_darks(server.archive)[0]
    path = tmp_path / "x_flt.fits"
    path.write_bytes(dark.content())
    check_dark(path, dark.name, len(dark.content()))
    content = bytearray(dark.content())
    content[content.index(b"CCDGAIN =") + 29 : content.index(b"CCDGAIN =") + 30] = b"4"
    path.write_bytes(content)
    check_dark(path, dark.name)  # edited
    with pytest.raises(InputError, match=r"\[0\]: does not have the checksum that CHECKSUM announces"):
        check_dark(path, dark.name, len(content))
    fits.PrimaryHDU(header=fits.Header({"ROOTNAME": dark.name})).writeto(path, overwrite=True)
    check_dark(path, dark.name, path.stat().st_size)  # without checksums


def test_darks_on_disk(server: Server, tmp_path: Path) -> None:
    """Oracle: by hand."""
    one, two = component_darks(server.archive)[:2]
    names = [one.name, two.name]
    assert darks_on_disk(names, tmp_path / "none") == {}
    (tmp_path / "any_flt.fits").write_bytes(one.content())
    (tmp_path / f"{two.name.lower()}_flt.fits").write_bytes(b"damaged")
    assert darks_on_disk(names, tmp_path) == {one.name: tmp_path / "any_flt.fits"}
    (tmp_path / "any_flt.fits").rename(tmp_path / f"{two.name.lower()}_flt.fits")
    assert darks_on_disk(names, tmp_path) == {}
    below = tmp_path / "HST" / one.name / f"{one.name.lower()}_flt.fits"  # as the archive delivers it
    below.parent.mkdir(parents=True)
    below.write_bytes(one.content())
    assert darks_on_disk(names, tmp_path) == {one.name: below}


# ---- the command -----------------------------------------------------------------------------------------


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    (tmp_path / "science").mkdir()
    return header_file(tmp_path / "science" / "o1_raw.fits")


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = cli.main(["darks", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_command_with_three_failures(
    server: Server, raw: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: 25 good files, 3 named, exit code 1; the next call fetches exactly those; the third needs no network."""
    darks = component_darks(server.archive)
    planted = {darks[1].name: status(404), darks[12].name: truncated, darks[20].name: corrupted}
    server.faults.file = {name: [fault] * 9 for name, fault in planted.items()}
    monkeypatch.setattr("gpucti.archive.query.ArchiveSettings", lambda **k: ArchiveSettings(**k, pause=0.01))
    command = (raw, "--mast-server", server.url, "--download")
    code, out, err = run(capsys, *command)
    assert code == 1
    assert "25 darks fetched, 0 were there, 3 failed" in err
    assert re.findall(r"failed: (\w+):", err.partition("3 failed")[2]) == list(planted)
    folder = raw.parents[1] / "darks"
    assert contents(folder) == expected([dark for dark in darks if dark.name not in planted])
    assert "28 darks of 1 anneal period, 0.6 MB; 25 on disk, 3 to fetch" in out
    server.faults = Faults()
    server.requests.clear()
    code, out, err = run(capsys, *command)
    assert (code, sorted(server.files), server.count("/search")) == (0, sorted(planted), 0)
    assert contents(folder) == expected(darks)
    refused = loopback_only(monkeypatch, allowed=False)
    code, out, err = run(capsys, *command)
    assert (code, refused) == (0, [])
    assert "0 darks fetched, 28 were there, 0 failed" in err and "28 on disk, 0 to fetch (0.0 MB)" in out


def test_command_lists(
    server: Server, raw: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: the archive's list as table, names and JSON; the answer is kept where `correct` finds it."""
    import json

    monkeypatch.setenv("GPUCTI_MAST_SERVER", server.url)
    darks = component_darks(server.archive)
    darks[5].flt = False
    code, out, err = run(capsys, raw)
    assert code == 0 and f"list kept in {raw.parents[1] / 'ref' / 'anneals.json'}" in err
    lines = out.splitlines()
    assert lines[0] == "anneal period 2012-03-05 04:00:00 to 2012-04-02 04:00:00, for o1_raw.fits"
    assert [line.split()[0] for line in lines[2:-1]] == [dark.name for dark in darks]
    assert lines[2].split()[1:] == ["2012-03-05", "09:00:00", "1100.0", "12400", "0.0", "MB", "not", "on", "disk"]
    assert lines[7].endswith("? no FLT in the archive") or "no FLT in the archive" in lines[7]
    assert lines[-1] == (
        "28 darks of 1 anneal period, 0.6 MB; 0 on disk, 27 to fetch (0.6 MB), 1 without FLT in the archive"
    )
    asked = len(server.requests)
    code, out, _ = run(capsys, raw.parent, "--list", "--offline")
    assert (code, out.split()) == (0, [dark.name for dark in darks])
    code, out, _ = run(capsys, raw, "--json", "-")
    (period,) = json.loads(out)["periods"]
    assert [dark["exposure"] for dark in period["darks"]] == [dark.name for dark in darks]
    assert (period["darks"][5]["flt"], period["darks"][4]["size"]) == (False, 23040)
    assert len(server.requests) == asked
    path = raw.parent / "x.json"
    assert run(capsys, raw, "--json", path, "--list", "-t", "2000")[1] == "\n"
    assert json.loads(path.read_text())["periods"][0]["darks"] == []
    code, out, err = run(capsys, raw, "-t", "50", "--list")
    assert len(out.split()) == 56 and "list kept" not in err


def test_command_with_limits_and_a_list(
    server: Server, raw: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: by hand; FILE takes the place of the list in REF_DIR, and grows."""
    monkeypatch.setenv("GPUCTI_MAST_SERVER", server.url)
    mine = raw.parent / "mine.json"
    code, out, _ = run(
        capsys, raw, "--anneals", mine, "--anneal-start", "2012-03-10", "--anneal-end", "2012-03-20 12:00:00"
    )
    assert code == 0 and out.startswith("anneal period 2012-03-10 00:00:00 to 2012-03-20 12:00:00")
    assert "11 darks of" in out
    early = header_file(raw.parent / "o2_raw.fits", TDATEOBS="2012-02-20")
    assert run(capsys, early, "--anneals", mine)[0] == 0
    assert [period.start_date for period in anneals.read_anneals(mine)] == ["2012-02-06", "2012-03-10"]
    assert not (raw.parents[1] / "ref").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--anneal-start", "soon"], 2, "'soon' is no date; expected YYYY-MM-DD"),
        (["--list", "--json", "-"], 2, "both print"),
        (["--offline", "--download"], 2, "--offline forbids it"),
        (["--mast-server", "nonsense"], 1, "expected an address"),
        (["--offline"], 1, "there is no saved list"),
        (["--mast-server", "http://127.0.0.1:9"], 1, "connection refused"),
    ],
)
def test_command_says_no(
    raw: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int,
    message: str,
) -> None:  # fmt: skip
    """Oracle: exit codes and one message."""
    monkeypatch.setattr("gpucti.archive.query.ArchiveSettings", partial(ArchiveSettings, pause=0.001))
    found, out, err = run(capsys, raw, *arguments)
    assert (found, out) == (code, "") and message in err
    assert len(err.splitlines()) == 1 or code == 2


def test_search_date() -> None:
    """Oracle: the header that `header_file` writes by default is the exposure of the small archive."""
    assert SCIENCE.isoformat(sep=" ") == "2012-03-15 07:21:36"
