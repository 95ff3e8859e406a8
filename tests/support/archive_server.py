"""A synthetic archive of STIS darks, and a server on loopback that answers for it as MAST does."""

from __future__ import annotations

import fnmatch
import json
import re
import socket
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from gpucti.darks.anneals import AnnealPeriod
from gpucti.detector import MJD_ZERO
from support.loopback import QuietServer

#: Programmes of a cycle: dark monitor parts 1 and 2, anneals. The first two cycles are in the packaged list.
CYCLES = ((11844, 11845, 11849), (12400, 12401, 12404))
TYPES = {"sci_start_time": "DATETIME", "sci_actual_duration": "FLOAT", "sci_pep_id": "INTEGER"}


@dataclass
class Dark:
    """One dark of the archive."""

    name: str
    start: datetime
    exptime: float
    programme: int
    amp: str = "D"
    flt: bool = True
    darkfile: str = "oref$week1_drk.fits"
    file: bytes = b""

    def row(self) -> dict[str, Any]:
        return {
            "sci_data_set_name": self.name, "sci_start_time": self.start.isoformat(timespec="microseconds"),
            "sci_actual_duration": self.exptime, "sci_pep_id": self.programme, "search_key": self.name,
            "sci_instrume": "STIS  ", "sci_instrument_config": "STIS/CCD", "sci_targname": "DARK", "sci_aec": "C",
        }  # fmt: skip

    def content(self) -> bytes:
        """Return the bytes of the FLT: primary header and a small SCI extension, with checksums."""
        if self.file:
            return self.file
        primary = fits.PrimaryHDU()
        primary.header.update(
            {"TELESCOP": "HST", "INSTRUME": "STIS", "DETECTOR": "CCD", "ROOTNAME": self.name.lower(),
             "CCDAMP": self.amp, "CCDGAIN": 1, "DARKFILE": self.darkfile,
             "TEXPSTRT": (self.start - MJD_ZERO) / timedelta(days=1)}
        )  # fmt: skip
        pixels = np.random.default_rng(int(self.name[1:8], 36)).normal(5, 1, (64, 64)).astype(np.float32)
        stream = BytesIO()
        fits.HDUList([primary, fits.ImageHDU(pixels, name="SCI")]).writeto(stream, checksum=True)
        self.file = stream.getvalue()
        return self.file


@dataclass
class Archive:
    """Darks by time, and titles of programmes."""

    darks: list[Dark] = field(default_factory=list)
    titles: dict[int, str] = field(default_factory=dict)

    def add(self, start: datetime, exptime: float, programme: int, **more: Any) -> Dark:
        dark = Dark(f"O{len(self.darks):07d}Q", start, exptime, programme, **more)
        self.darks.append(dark)
        return dark

    def between(self, start: datetime, end: datetime) -> list[Dark]:
        return [dark for dark in self.darks if start <= dark.start <= end]


def synthetic_archive(start: datetime, end: datetime, *, seed: int = 1, skip: tuple[int, ...] = ()) -> Archive:
    """Return darks twice a day and anneals about every 28 days; those numbered in `skip` did not take place."""
    rng = np.random.default_rng(seed)
    archive = Archive()
    rows: list[tuple[datetime, float, int, str]] = []
    first_year = start.year

    def programmes(when: datetime) -> tuple[int, int, int]:
        cycle = when.year - first_year
        if cycle < len(CYCLES):
            return CYCLES[cycle]
        numbers = (20000 + 10 * cycle, 20001 + 10 * cycle, 20005 + 10 * cycle)
        titles = ("CCD Dark Monitor Part 1", "CCD Dark Monitor Part 2", "STIS CCD Hot Pixel Annealing")
        archive.titles.update(zip(numbers, titles, strict=True))
        return numbers

    when, number = start + timedelta(days=2, seconds=int(rng.integers(86400))), 0
    while when < end:
        if number not in skip:
            last = float(rng.uniform(0.77, 2.0)) if rng.random() > 0.03 else 5.5  # now and then a long one
            for part in np.linspace(0, last, 8):
                rows.append((when + timedelta(seconds=int(part * 86400)), 1100.0, programmes(when)[2], "D"))
        when += timedelta(seconds=int(rng.uniform(23.7, 32.5) * 86400))
        number += 1
    day = start
    while day < end:
        one, two, _ = programmes(day)
        for half, programme in ((6, one), (18, two)):
            visit = day + timedelta(hours=half, seconds=int(rng.integers(3600)))
            rows.append((visit, 1100.0, programme, "D"))
            rows.append((visit + timedelta(minutes=25), 60.0, programme, "A" if rng.random() < 0.1 else "D"))
        day += timedelta(days=1)
    for begin, exptime, programme, amp in sorted(rows):
        if begin < end:
            archive.add(begin, exptime, programme, amp=amp)
    return archive


@dataclass
class Faults:
    """What the server does wrong. Functions are asked with the name of a dark."""

    search: list[Callable[[Handler], None]] = field(default_factory=list)  # each serves one search wrongly
    every_search: Callable[[Handler], None] | None = None
    portal: Callable[[Handler], None] | None = None
    products: Callable[[list[dict[str, Any]]], Any] | None = None  # changes the rows of a product list
    file: dict[str, list[Callable[[Handler, bytes], None]]] = field(default_factory=dict)  # one after another
    ranges: bool = False
    nested: bool = False
    arrays: bool = False


class Server:
    """A server, its archive, its faults, and the requests that came."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self.faults = Faults()
        self.requests: list[tuple[str, str]] = []
        self.headers: list[tuple[str, dict[str, str]]] = []
        self.url = ""

    def count(self, end: str) -> int:
        """Return how many requests there were for paths that end so."""
        return sum(path.partition("?")[0].endswith(end) for _, path in self.requests)

    @property
    def files(self) -> list[str]:
        """Names of the darks that were asked for, in order."""
        return [re.sub(r".*%2F(\w+)_flt.*", r"\1", path).upper() for _, path in self.requests if "product_name" in path]


def archive_of(period: AnnealPeriod, folder: Path) -> Archive:
    """Return an archive that has the darks of a period, as they lie in a folder, and anneals at its limits."""
    archive = Archive(
        titles={77001: "STIS CCD Hot Pixel Annealing", period.darks[0].proposid: "CCD Dark Monitor Part 1"}
    )
    end = period.end or period.start + timedelta(days=28)
    for number, when in enumerate((period.start - timedelta(days=28), period.start, end)):
        archive.add(when, 1100.0, 77001)
        archive.add(when + timedelta(hours=number + 1), 60.0, period.darks[0].proposid)
    for dark in period.darks:
        path = folder / f"{dark.exposure.lower()}_flt.fits"
        file = path.read_bytes() if path.exists() else b""
        archive.add(dark.start, dark.exptime, dark.proposid, file=file, flt=dark.flt).name = dark.exposure
    archive.darks.sort(key=lambda dark: dark.start)
    return archive


@contextmanager
def serve(archive: Archive) -> Iterator[Server]:
    """Run a server."""
    state = Server(archive)
    handler = type("BoundHandler", (Handler,), {"state": state})
    server = QuietServer(("127.0.0.1", 0), handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Handler(BaseHTTPRequestHandler):
    """Answers like MAST's search API, its portal and its file service."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    disable_nagle_algorithm = True
    state: Server

    def log_message(self, *args: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._note("POST")
        if self.path.endswith("/search/hst/api/v0.1/search"):
            self._search(json.loads(body))
        elif self.path.endswith("/search/hst/api/v0.1/post_list_products"):
            self._products(json.loads(body)["dataset_ids"])
        elif self.path.endswith("/api/v0/invoke"):
            self._caom(json.loads(urllib.parse.unquote(body.decode().partition("=")[2])))
        elif self.path.endswith("/columnsconfig"):
            self.json({name: {"text": name, "vot.datatype": kind} for name, kind in CAOM.items()})
        else:
            self.send(404, b"no such service", "text/plain")

    def do_GET(self) -> None:
        self._note("GET")
        path, _, query = self.path.partition("?")
        if path.endswith("/column_list"):
            columns = ("sci_data_set_name", "sci_start_time", "sci_actual_duration", "sci_pep_id", "sci_instrume",
                       "sci_instrument_config", "sci_targname", "sci_aec")  # fmt: skip
            self.json([{"column_name": name, "qual_type": "string", "description": name} for name in columns])
        elif path.endswith("/search/hst/api/v0.1/retrieve_product"):
            self._file(urllib.parse.parse_qs(query)["product_name"][0])
        else:
            self.send(404, b"no such page", "text/plain")

    def _note(self, method: str) -> None:
        self.state.requests.append((method, self.path))
        self.state.headers.append((self.path, dict(self.headers.items())))

    def _search(self, asked: dict[str, Any]) -> None:
        faults = self.state.faults
        if faults.search:
            faults.search.pop(0)(self)
            return
        if faults.every_search is not None:
            faults.every_search(self)
            return
        rows = [dark.row() for dark in self.state.archive.darks]
        for condition in asked["conditions"]:
            ((column, value),) = condition.items()
            rows = [row for row in rows if matches(row[column], str(value))]
        for column in reversed(asked.get("sort_by") or []):
            rows.sort(key=lambda row: row[column])
        total = len(rows)
        rows = rows[asked["offset"] : asked["offset"] + asked["limit"]]
        columns = [*dict.fromkeys(asked["select_cols"]), "search_key"]
        found: list[Any] = [{name: row[name] for name in columns} for row in rows]
        if faults.arrays:
            found = [list(row.values()) for row in found]
        info = [{"name": name, "type": TYPES.get(name, "VARCHAR")} for name in columns]
        self.json({"messages": [], "info": info if rows else [], "totalResults": total, "results": found})

    def _products(self, names: list[str]) -> None:
        rows: list[Any] = []
        for dark in self.state.archive.darks:
            if dark.name not in names:
                continue
            for suffix, there in (("RAW", True), ("FLT", dark.flt), ("SPT", True)):
                filename = f"{dark.name.lower()}_{suffix.lower()}.fits"
                if there:
                    rows.append(
                        {"product_key": f"{dark.name}_{filename}", "access": "PUBLIC", "dataset": dark.name,
                         "instrument_name": "STIS  ", "filename": filename, "uri": f"{dark.name}/{filename}",
                         "file_suffix": suffix, "category": "CALIBRATED", "type": "science",
                         "size": len(dark.content()) if suffix == "FLT" else 2880}
                    )  # fmt: skip
        change = self.state.faults.products
        if change is not None:
            rows = change(rows)
        self.json({"products": [rows] if self.state.faults.nested else rows})

    def _caom(self, asked: dict[str, Any]) -> None:
        if self.state.faults.portal is not None:
            self.state.faults.portal(self)
            return
        filters = {one["paramName"]: one["values"] for one in asked["params"]["filters"]}
        limits = filters["t_min"][0]
        rows = []
        for dark in self.state.archive.darks:
            mjd = (dark.start - MJD_ZERO) / timedelta(days=1)
            title = self.state.archive.titles.get(dark.programme)
            if str(dark.programme) in filters["proposal_id"] and limits["min"] <= mjd <= limits["max"] and title:
                rows.append({"obs_id": dark.name.lower(), "proposal_id": str(dark.programme), "obs_title": title,
                             "t_min": mjd})  # fmt: skip
        fields = [{"name": name, "type": "string"} for name in ("obs_id", "proposal_id", "obs_title", "t_min")]
        paging = {"page": 1, "pageSize": asked["pagesize"], "pagesFiltered": 1, "rows": len(rows)}
        self.json({"status": "COMPLETE", "msg": "", "data": rows, "fields": fields, "paging": paging})

    def _file(self, uri: str) -> None:
        name = uri.partition("/")[0]
        dark = next((one for one in self.state.archive.darks if one.name == name), None)
        if dark is None or not dark.flt:
            self.send(404, b"no such file", "text/plain")
            return
        todo = self.state.faults.file.get(name)
        content = dark.content()
        if todo:
            todo.pop(0)(self, content)
            return
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked and self.state.faults.ranges:
            part = content[int(asked[1]) : int(asked[2]) + 1 if asked[2] else None]
            self.send(206, part, "application/fits", {"Content-Range": f"bytes {asked[1]}-*/{len(content)}"})
            return
        self.send(200, content, "application/fits", {"Accept-Ranges": "bytes"} if self.state.faults.ranges else {})

    def json(self, answer: Any) -> None:
        """Send JSON."""
        self.send(200, json.dumps(answer).encode(), "application/json")

    def send(
        self, status: int, content: bytes, kind: str, headers: dict[str, str] | None = None, length: int | None = -1
    ) -> None:
        """Send an answer; `length` is announced in place of the true one, None: none is, and the connection closes."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if length is None:
            self.close_connection = True
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(len(content) if length < 0 else length))
        self.end_headers()
        self.wfile.write(content)


CAOM = {"proposal_id": "char", "obs_title": "char", "obs_collection": "char", "instrument_name": "char",
        "t_min": "double"}  # fmt: skip


def matches(found: Any, wanted: str) -> bool:
    """Tell whether a value meets a criterion: equality without case and trailing blanks, lists, !, <, >, .., *."""
    if "," in wanted:
        return any(matches(found, one) for one in wanted.split(","))
    if wanted.startswith("!"):
        return not matches(found, wanted[1:])
    for sign, holds in (("<=", lambda a, b: a <= b), (">=", lambda a, b: a >= b), ("<", lambda a, b: a < b),
                        (">", lambda a, b: a > b)):  # fmt: skip
        if wanted.startswith(sign):
            return bool(holds(*comparable(found, wanted[len(sign) :])))
    if ".." in wanted:
        low, high = wanted.split("..")
        return bool(comparable(found, low)[0] >= comparable(found, low)[1]) and bool(
            comparable(found, high)[0] <= comparable(found, high)[1]
        )
    return fnmatch.fnmatchcase(str(found).strip().lower(), wanted.strip().lower())


def comparable(found: Any, wanted: str) -> tuple[Any, Any]:
    """Return a value and a limit as numbers or dates."""
    if isinstance(found, str):
        return datetime.fromisoformat(found), datetime.fromisoformat(wanted.strip())
    return float(found), float(wanted)


# Faults of a search, of the portal, and of a file


def status(code: int) -> Callable[..., None]:
    """Answer with a status."""
    return lambda handler, *_: handler.send(code, b"<html>no</html>", "text/html")


def html(handler: Handler, *_: Any) -> None:
    """Answer with a page in place of what was asked for."""
    handler.send(200, b"<!DOCTYPE html><html><body>Please log in</body></html>", "text/html; charset=utf-8")


def hangs(handler: Handler, *_: Any) -> None:
    """Take the request and never answer."""
    time.sleep(1.5)
    handler.close_connection = True


def drips(handler: Handler, content: bytes = b"{}") -> None:
    """Send a byte now and then."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    handler.close_connection = True
    try:
        for _ in range(60):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.05)
    except OSError:
        pass  # the client had enough


def drops(at: int) -> Callable[..., None]:
    """Announce the whole file and close the connection after some bytes."""

    def fault(handler: Handler, content: bytes) -> None:
        handler.send(200, content[:at], "application/fits", length=len(content))
        handler.close_connection = True

    return fault


def truncated(handler: Handler, content: bytes) -> None:
    """Send half of the file without saying how long it should be."""
    handler.send(200, content[: len(content) // 2], "application/fits", length=None)


def corrupted(handler: Handler, content: bytes) -> None:
    """Send the file with a byte of its pixels changed."""
    middle = len(content) - 9000
    handler.send(200, content[:middle] + bytes([content[middle] ^ 0x55]) + content[middle + 1 :], "application/fits")


def too_long(handler: Handler, content: bytes) -> None:
    """Send more than the file."""
    handler.send(200, content + b"\0" * 2880, "application/fits")


def wrong_length(handler: Handler, content: bytes) -> None:
    """Announce more bytes than come."""
    handler.send(200, content, "application/fits", length=len(content) + 2880)
    handler.close_connection = True


def redirect(to: str) -> Callable[..., None]:
    """Send elsewhere."""
    return lambda handler, *_: handler.send(302, b"", "text/plain", {"Location": to})


# A small archive, and the tests' surroundings

#: Start of the period of `small_archive`, and an exposure in it.
PERIOD_START = datetime(2012, 3, 5, 4, 0, 0)
SCIENCE = datetime(2012, 3, 15, 7, 21, 36)


def small_archive(days: int = 28) -> Archive:
    """Return a period with one long dark and a short one each day, between two anneals; and the periods beside it."""
    archive = Archive()
    for day in range(-days, 2 * days):
        when = PERIOD_START + timedelta(days=day)
        if day % days == 0:
            for hour in (0, 1, 20):
                archive.add(when + timedelta(hours=hour), 1100.0, 12404)
        archive.add(when + timedelta(hours=5), 1100.0, 12400 + day % 2)
        archive.add(when + timedelta(hours=6), 60.0, 12400 + day % 2, amp="A" if day % 7 == 0 else "D")
    return archive


def component_darks(archive: Archive, days: int = 28) -> list[Dark]:
    """Return the long darks of the period of `small_archive`."""
    end = PERIOD_START + timedelta(days=days)
    return [d for d in archive.between(PERIOD_START, end) if d.programme != 12404 and d.exptime > 960]


def loopback_only(monkeypatch: Any, *, allowed: bool = True) -> list[Any]:
    """Refuse connections that leave this machine, or all of them; return the list of the refused ones, as it grows."""
    refused: list[Any] = []
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family == getattr(socket, "AF_UNIX", None) or (allowed and address[0] == "127.0.0.1"):
            connect(self, address)
            return
        refused.append(address)
        raise ConnectionRefusedError(111, f"the tests refuse to connect to {address}")

    monkeypatch.setattr(socket.socket, "connect", guarded)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("MAST_API_TOKEN", "GPUCTI_MAST_SERVER"):
        monkeypatch.delenv(name, raising=False)
    return refused
