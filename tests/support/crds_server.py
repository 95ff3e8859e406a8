"""A CRDS server on the loopback interface, and filled caches: the shapes that the crds package was seen to need.

Rules are few and small: one file per type and date. The server can be told to fail in the ways that servers fail.
"""

from __future__ import annotations

import hashlib
import json
import pprint
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from support.loopback import QuietServer

CONTEXT = "hst_0001.pmap"
#: Type: keys of the match, when the type matters, the match.
TYPES: dict[str, tuple[str, str, str]] = {
    "darkfile": ("('DETECTOR', 'CCDAMP', 'CCDGAIN')", "ALWAYS", "('CCD', 'D', '1|2|4|8')"),
    "biasfile": (
        "('CCDAMP', 'CCDGAIN', 'CCDOFFST', 'BINAXIS1', 'BINAXIS2')",
        '(DETECTOR == "CCD")',
        "('D', '1.0', '3.0', '1.0', '1.0')",
    ),
    "bpixtab": ("('DETECTOR',)", "ALWAYS", "('CCD',)"),
    "imphttab": ("()", '(PHOTCORR != "OMIT")', "()"),
    "lamptab": ("()", '(SCLAMP != "NONE")', "()"),
    "dfltfile": ("()", '(SCLAMP != "NONE")', "()"),
    "pfltfile": ("()", '(FLATCORR != "OMIT")', "()"),
}
#: Of all other types.
PLAIN = ("()", '(DETECTOR == "CCD")', "()")
#: Use-after date of most files.
SINCE = "2009-05-01 00:00:00"

Rules = Mapping[str, Mapping[str, str]]


def mappings(rules: Rules) -> dict[str, str]:
    """Return the rules files: for each type its files by use-after date."""
    files = {}
    for kind, dates in rules.items():
        keys, relevance, match = TYPES.get(kind, PLAIN)
        header = _header("REFERENCE", f"hst_stis_{kind}_0001.rmap", f"({keys}, ('DATE-OBS', 'TIME-OBS'))") | {
            "filekind": repr(kind.upper()),
            "instrument": "'STIS'",
            "reffile_format": "'IMAGE'",
            "reffile_required": "'NONE'",
            "reffile_switch": "'PHOTCORR'" if kind == "imphttab" else "'NONE'",
            "rmap_relevance": repr(relevance),
        }
        uses = "".join(f"        {date!r} : {name!r},\n" for date, name in sorted(dates.items()))
        selector = f"Match({{\n    {match} : UseAfter({{\n{uses}    }}),\n}})"
        files[f"hst_stis_{kind}_0001.rmap"] = _signed(header, selector)
    kinds = "".join(f"    {kind!r} : 'hst_stis_{kind}_0001.rmap',\n" for kind in sorted(rules))
    header = _header("INSTRUMENT", "hst_stis_0001.imap", "('REFTYPE',)") | {"instrument": "'STIS'"}
    files["hst_stis_0001.imap"] = _signed(header, f"{{\n{kinds}}}")
    files[CONTEXT] = _signed(_header("PIPELINE", CONTEXT, "('INSTRUME',)"), "{\n    'STIS' : 'hst_stis_0001.imap',\n}")
    return files


def _header(mapping: str, name: str, parkey: str) -> dict[str, str]:
    return {
        "derived_from": "'synthetic'",
        "mapping": repr(mapping),
        "name": repr(name),
        "observatory": "'HST'",
        "parkey": parkey,
    }


def _signed(header: Mapping[str, str], selector: str) -> str:
    """Return a rules file; its checksum is that of the text without the line of the checksum."""
    lines = [f"    {key!r} : {value},\n" for key, value in sorted(header.items())]
    begin, end = "header = {\n" + "".join(lines), f"}}\n\nselector = {selector}\n"
    checksum = hashlib.sha1((begin + end).encode()).hexdigest()
    return f"{begin}    'sha1sum' : '{checksum}',\n{end}"


def server_config(rules: Rules, bad: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return what a server says of itself, without its addresses."""
    return {
        "observatory": "hst",
        "latest_context": CONTEXT,
        "operational_context": CONTEXT,
        "edit_context": CONTEXT,
        "bad_files": " ".join(bad),
        "bad_files_list": list(bad),
        "force_remote_mode": False,
        "last_synced": "2026-01-01 00:00:00",
        "crds_version": {"str": "14.0.3"},
        "mappings": sorted(mappings(rules)),
    }


def fill_cache(folder: Path, rules: Rules, references: Mapping[str, bytes], *, mode: str = "instrument") -> Path:
    """Make a cache as earlier syncs leave it: rules, references, and what the server said."""
    for part, files in (
        ("mappings", mappings(rules)),
        ("config", {"server_config": pprint.pformat(server_config(rules))}),
    ):
        place = folder / part / "hst"
        place.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (place / name).write_text(text)
    (folder / "config" / "hst" / "ref_cache_subdir_mode").write_text(mode)
    place = folder / "references" / "hst" / ("" if mode == "flat" else "stis")
    place.mkdir(parents=True, exist_ok=True)
    for name, content in references.items():
        (place / name).write_bytes(content)
    return folder


class CrdsServer:
    """Answers the calls of the crds package; a context manager.

    Attributes
    ----------
    calls, files : list of str
        Methods called, and files sent, in order.
    down : bool
        Answer everything with 503.
    silent : float
        Seconds to wait before every answer.
    html : bool
        Answer calls with a web page.
    gone : set of str
        Files that are not found.
    spoiled : dict
        Other bytes for a file.
    cuts : dict
        How often the connection breaks half-way through a file.
    """

    def __init__(self, rules: Rules, references: Mapping[str, bytes], bad: tuple[str, ...] = ()) -> None:
        self.rules, self.references, self.bad = rules, dict(references), bad
        self.calls: list[str] = []
        self.files: list[str] = []
        self.down, self.silent, self.html = False, 0.0, False
        self.gone: set[str] = set()
        self.spoiled: dict[str, bytes] = {}
        self.cuts: dict[str, int] = {}

    def __enter__(self) -> CrdsServer:
        """Start on a free port."""
        outer = self

        class Handler(_Handler):
            crds = outer

        self._server = QuietServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Address, without a slash at its end."""
        return f"http://localhost:{self._server.server_address[1]}"

    def environment(self, cache: Path) -> dict[str, str]:
        """Return the variables that point crds here."""
        return {"CRDS_SERVER_URL": self.url, "CRDS_PATH": str(cache)}

    def info(self) -> dict[str, Any]:
        """Return the answer of ``get_server_info``."""
        contents = {**{name: text.encode() for name, text in mappings(self.rules).items()}, **self.references}
        known = {
            name: {"size": str(len(content)), "sha1sum": hashlib.sha1(content).hexdigest()}
            for name, content in contents.items()
        }
        return server_config(self.rules, self.bad) | {
            "reference_url": {"hst": f"{self.url}/references/hst/"},
            "mapping_url": {"hst": f"{self.url}/mappings/hst/"},
            "download_metadata": known,
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    crds: CrdsServer

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        """Answer a call."""
        call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.crds.calls.append(call["method"])
        if self.crds.html:
            self._send(b"<html><body>Under maintenance</body></html>")
            return
        results = {
            "get_server_info": self.crds.info,
            "get_mapping_names": lambda: sorted(mappings(self.crds.rules)),
        }
        if call["method"] not in results:
            error = {"message": f"no method {call['method']}"}
            self._send(json.dumps({"error": error, "result": None, "id": call["id"]}).encode())
            return
        answer = {"error": None, "result": results[call["method"]](), "id": call["id"]}
        self._send(json.dumps(answer).encode())

    def do_GET(self) -> None:
        """Send a file."""
        name = self.path.rpartition("/")[2]
        self.crds.files.append(name)
        rules = {key: text.encode() for key, text in mappings(self.crds.rules).items()}
        content = {**rules, **self.crds.references, **self.crds.spoiled}.get(name)
        if content is None or name in self.crds.gone:
            self._send(b"not here", 404)
            return
        if self.crds.cuts.get(name):
            self.crds.cuts[name] -= 1
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
            return
        self._send(content)

    def _send(self, content: bytes, status: int = 200) -> None:
        time.sleep(self.crds.silent)
        if self.crds.down:
            content, status = b"down", 503
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
