"""Ask CRDS for best references in a process of its own: the job is JSON on standard input, the answer a file.

Run as a file: it needs crds and nothing of gpucti. CRDS sets environment variables, keeps what servers said for as long
as a process lives, and may end it: all of that stays in here.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

OBSERVATORY = "hst"
#: Answers that `crds bestrefs` writes as N/A without complaint; the first is meant, the others are gaps in the rules.
NOT_APPLICABLE = "NOT FOUND N/A"
NO_MATCH = ("NOT FOUND NO MATCH FOUND.", "UNDEFINED", "NONE", "", "*")
#: Names that may be given to a header and to the cache: no folders in them.
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


def main() -> int:
    """Do the job ``{answer, timeout, tries, pause, files: {name: {facts, fetch}}}`` and write the answer."""
    job = json.load(sys.stdin)
    socket.setdefaulttimeout(job["timeout"])  # of the downloads, which have none
    answer: dict[str, Any] = {"fatal": "", "unreached": False, "files": {}, "failed": {}}
    try:
        _answer(job, answer)
    except SystemExit:  # CRDS gives up: it has neither a server nor a filled cache
        answer |= {"fatal": "neither a server that answers nor rules in the cache", "unreached": True}
    except ImportError as error:
        answer["fatal"] = f"the package crds cannot be imported ({error}); install it (pip install crds)"
    except Exception as error:  # noqa: BLE001 -- whatever it is, the parent tells the user
        answer["fatal"] = _text(error)
    Path(job["answer"]).write_text(json.dumps(answer), encoding="utf-8")
    return 0


def _answer(job: Mapping[str, Any], answer: dict[str, Any]) -> None:
    import crds
    from crds.core import heavy_client

    info = heavy_client.get_config_info(OBSERVATORY)
    context = heavy_client.get_context_name(OBSERVATORY)
    answer |= {
        "version": str(crds.__version__),
        "context": str(context),
        "connected": bool(info.connected),
        "synced": str(info.get("last_synced", "")),
    }
    wanted: dict[str, None] = {}
    for name, asked in job["files"].items():
        try:
            found = crds.getrecommendations(asked["facts"], context=context, observatory=OBSERVATORY, fast=False)
        except crds.CrdsNetworkError:
            raise
        except Exception as error:  # noqa: BLE001 -- the others may have an answer
            answer["files"][name] = {"error": _text(error), "names": {}, "refused": {}}
            continue
        names, refused = _sorted(found)
        answer["files"][name] = {"error": "", "names": names, "refused": refused}
        wanted |= dict.fromkeys(value for key, value in names.items() if key in asked["fetch"] and value != "N/A")
    answer["failed"] = _Cache(job, str(context), connected=bool(info.connected)).require(wanted)


def _sorted(found: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return names by keyword, ``N/A`` where there is none, and why CRDS has none where it should not be so."""
    names, refused = {}, {}
    for kind, value in found.items():
        keyword, said = kind.upper(), str(value).strip()
        if said.upper().startswith(NOT_APPLICABLE):
            names[keyword] = "N/A"
        elif said.upper() in NO_MATCH:
            names[keyword] = "N/A"
            refused[keyword] = "its rules have no match for this header"
        elif said.upper().startswith("NOT FOUND"):
            refused[keyword] = said[len("NOT FOUND") :].strip().rstrip(".") or "not found"
        elif not _FILE.fullmatch(said):
            refused[keyword] = f"the answer {said[:80]!r} is no name of a file"
        else:
            names[keyword] = said.lower()
    return names, refused


class _Cache:
    """The reference files of the cache: checked against what the server knows of them, fetched where need be."""

    def __init__(self, job: Mapping[str, Any], context: str, *, connected: bool) -> None:
        from crds.client import api
        from crds.core import config

        self._job, self._context, self._connected = job, context, connected
        self._read_only = bool(config.get_cache_readonly())
        self._checksums = bool(config.get_checksum_flag())
        self._known: Mapping[str, Mapping[str, str]] = api.get_download_metadata() if connected else {}

    def require(self, names: Iterable[str]) -> dict[str, str]:
        """Return the files that are not there as they should be, each with the reason."""
        return {name: reason for name in names if (reason := self._why_not(name))}

    def _why_not(self, name: str) -> str:
        import crds

        path = Path(crds.locate_file(name, OBSERVATORY))
        if path.is_file():  # somebody put it there: it is not for us to remove
            damage = self._damage(name, path)
            return f"damaged in the cache ({damage}); remove {path}, and it is fetched anew" if damage else ""
        if not self._connected:
            return "not in the cache, and no CRDS server can be reached"
        if self._read_only:
            return "not in the cache, which is read-only (CRDS_READONLY_CACHE)"
        if name not in self._known:
            return "not in the cache, and unknown to the CRDS server"
        return self._fetch(name, path)

    def _damage(self, name: str, path: Path) -> str:
        """Return what is wrong with a file, by the server's size and checksum; empty if nothing is known to be."""
        known = self._known.get(name, {})
        size, checksum = str(known.get("size", "")), str(known.get("sha1sum", ""))
        if size.isdecimal() and path.stat().st_size != int(size):
            return f"{path.stat().st_size} bytes, the server has {size}"
        if self._checksums and checksum not in ("", "none"):
            with path.open("rb") as stream:
                found = hashlib.file_digest(stream, "sha1").hexdigest()
            if found != checksum:
                return f"sha1sum {found}, the server has {checksum}"
        return ""

    def _fetch(self, name: str, path: Path) -> str:
        """Fetch a file by CRDS, with retries; return why that failed, empty if it did not."""
        from crds.client import api

        problem = ""
        for attempt in range(self._job["tries"]):
            time.sleep(self._job["pause"] * attempt)
            try:
                api.dump_references(self._context, [name])
            except Exception as error:  # noqa: BLE001 -- a server may do anything
                problem = _text(error)
            else:
                problem = self._damage(name, path) if path.is_file() else "it did not arrive"
            if not problem:
                return ""
            path.unlink(missing_ok=True)  # some versions leave what they found to be wrong
            if "404" in problem or "403" in problem:
                break
        return f"cannot be fetched: {problem}"


def _text(error: BaseException) -> str:
    """Return the message of an error in one line."""
    return " ".join(str(error).split()) or type(error).__name__


if __name__ == "__main__":
    raise SystemExit(main())
