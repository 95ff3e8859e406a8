"""Best references from CRDS: asked for on copies of header values, in a process of their own.

Nothing here changes a file of the user's: what CRDS answers is returned by keyword, and reference files that are
missing are fetched into the cache. The rules for the cache, the server and ``oref`` are stis_cti's.
"""

from __future__ import annotations

import json
import logging
import os
import re
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from astropy.io import fits

from gpucti.errors import InputError, ReferenceFileError
from gpucti.io.child import run_child
from gpucti.io.inputs import first_existing
from gpucti.io.network import (
    URLLIB,
    bad_variable,
    is_address,
    proxy_variable,
    secrets_of,
    shown_address,
    without_secrets,
)
from gpucti.references.names import at_home

log = logging.getLogger(__name__)

CHILD = Path(__file__).with_name("_crds_child.py")
SERVER = "https://hst-crds.stsci.edu"
#: Where STScI's own machines have the cache.
CENTRAL_STORE = "/grp/crds/cache"
#: CRDS's folder of the instrument, which headers call ``oref$``.
INSTRUMENT, OREF = "stis", "oref$"
#: Of CRDS_MODE.
MODES = ("auto", "local", "remote", "s3")
#: Observatories that CRDS knows besides: their rules and servers say nothing of STIS.
_OTHERS = re.compile(r"(?<![a-z])(jwst|roman|tess)(?![a-z])", re.IGNORECASE)
#: A server that says nothing for so long is not there, seconds; CRDS itself would wait for an hour.
TIMEOUT = 60
#: Tries for each file, and seconds before the first retry (twice as many before the second).
TRIES, PAUSE = 3, 1.0
#: What CRDS is never allowed to change: it has no such type for STIS, and the table is the user's choice.
PROTECTED = ("PCTETAB",)
#: Reference files of CCD exposures whose files are fetched; not DARKFILE, which the run makes itself.
OF_EXPOSURES = (
    "CCDTAB", "BPIXTAB", "ATODTAB", "BIASFILE", "PFLTFILE", "DFLTFILE", "LFLTFILE", "SHADFILE", "CRREJTAB", "IMPHTTAB",
    "TDSTAB", "APERTAB", "IDCTAB", "SDSTFILE", "WCPTAB", "LAMPTAB", "APDESTAB", "SDCTAB", "SPTRCTAB", "XTRACTAB",
    "DISPTAB", "INANGTAB", "PHOTTAB", "PCTAB", "GACTAB",
)  # fmt: skip
#: Of component darks, likewise.
OF_DARKS = ("CRREJTAB",)


@dataclass(frozen=True)
class CrdsSetup:
    """Which server, which cache, and where reference files are.

    Attributes
    ----------
    environment : mapping
        All variables, those of CRDS and ``oref`` included.
    cache : Path
        The folder of the cache, for messages.
    oref : Path
        Where the cache has the reference files of the instrument.
    notes : tuple of str
        What was chosen that the user did not say, and why.
    cache_note : str
        That of `notes` which is about the cache; empty if it is the user's own.
    """

    environment: Mapping[str, str]
    cache: Path
    oref: Path
    notes: tuple[str, ...]
    cache_note: str


class Asked(NamedTuple):
    """What CRDS is told of one file.

    Attributes
    ----------
    facts : mapping
        Header values by keyword; see `header_facts`.
    fetch : collection of str
        Keywords whose reference files have to be in the cache.
    """

    facts: Mapping[str, str]
    fetch: Collection[str]


@dataclass(frozen=True)
class BestReferences:
    """What CRDS answered.

    Attributes
    ----------
    names : mapping
        By file: names of references by keyword as they stand in a header (``oref$x.fits`` or ``N/A``), and CRDS_CTX,
        CRDS_VER.
    refused : mapping
        By file: why CRDS has no name for a keyword, although it should.
    failed : mapping
        Why a reference file (``x.fits``) is not in the cache as it should be.
    errors : mapping
        By file: why CRDS has no answer at all.
    context : str
        The rules, ``hst_1234.pmap``.
    connected : bool
        Whether the server answered; if not, rules and files are those of the cache.
    synced : str
        When the rules of the cache were last brought up to date, in CRDS's words.
    """

    names: Mapping[Path, Mapping[str, str]]
    refused: Mapping[Path, Mapping[str, str]]
    failed: Mapping[str, str]
    errors: Mapping[Path, str]
    context: str
    connected: bool
    synced: str


def crds_setup(environment: Mapping[str, str], ref_dir: Path, oref: str | os.PathLike[str] | None = None) -> CrdsSetup:
    """Decide which server and which cache are asked, and what ``oref`` stands for then.

    The server is CRDS_SERVER_URL, else STScI's. The cache is CRDS_PATH where that can be written to, or
    CRDS_READONLY_CACHE is set; without it, the central store of STScI where there is one; else a cache in `ref_dir`.

    Parameters
    ----------
    environment : mapping
        The user's variables.
    ref_dir : Path
        Folder of super-darks.
    oref : path, optional
        Folder that the user wants to be ``oref``.

    Raises
    ------
    InputError
        ``oref`` is a folder that CRDS does not put reference files into, or a variable of CRDS cannot be right.
    """
    env, notes = dict(environment), []
    for name in env:
        if name.startswith("CRDS_") and ("PATH" in name or name == "CRDS_DEFAULT_CACHE") and env[name]:
            env[name] = _folder(name, env[name])
    _check_variables(env)
    env["CRDS_OBSERVATORY"] = "hst"
    env.setdefault("CRDS_CLIENT_TIMEOUT_SECONDS", f"{TIMEOUT}")
    if not env.get("CRDS_SERVER_URL"):
        env["CRDS_SERVER_URL"] = SERVER
        notes.append(f"CRDS_SERVER_URL is not set: {SERVER} is asked")
    central = env.get("CRDS_DEFAULT_CACHE", CENTRAL_STORE)
    env, of_user, cache_note = _choose_cache(env, ref_dir.absolute(), central)
    notes += [cache_note] if cache_note else []
    cache = Path(env.get("CRDS_PATH_SINGLE") or env["CRDS_PATH"])
    if _same(os.fspath(cache), central) and not _writable(cache):
        env["CRDS_READONLY_CACHE"] = "1"
    folder, references = _reference_folder(env), cache_folder(env, "CRDS_REFPATH", "references")
    notes += _check_oref(env.get("oref", ""), oref, folder, references, of_user=of_user)
    env["oref"] = f"{folder}{os.sep}"
    return CrdsSetup(env, cache, folder, tuple(notes), cache_note)


def _folder(name: str, value: str) -> str:
    """Return the folder that a variable names: absolute, since the child works elsewhere, and without a last slash."""
    folder = at_home(value)
    if folder.startswith("~"):
        raise InputError(f"it is {value}, and there is no such user; expected a folder", where=name)
    return os.path.abspath(folder)  # noqa: PTH100


def _check_variables(env: Mapping[str, str]) -> None:
    """Raise `InputError` for variables of CRDS that cannot be right for STIS."""
    server, context, mode = (env.get(name, "") for name in ("CRDS_SERVER_URL", "CRDS_CONTEXT", "CRDS_MODE"))
    if server and "serverless" not in server:
        if not is_address(server) or urlsplit(server).username is not None:
            raise InputError(
                f"it is {shown_address(server)!r}; expected an address without user, such as {SERVER}, or unset it",
                where="CRDS_SERVER_URL",
            )
        if other := _OTHERS.search(urlsplit(server).hostname or ""):
            raise InputError(
                f"it is {server}, the server of {other[0].upper()}; expected {SERVER}, or unset it",
                where="CRDS_SERVER_URL",
            )
    if other := _OTHERS.match(context):
        raise InputError(
            f"it is {context}, rules of {other[0].upper()}; expected rules of HST, hst_NNNN.pmap, or unset it: the "
            "server's latest are used",
            where="CRDS_CONTEXT",
        )
    if mode and mode.lower() not in MODES:
        raise InputError(f"it is {mode!r}; expected one of {', '.join(MODES)}, or unset it", where="CRDS_MODE")


def _choose_cache(env: dict[str, str], ref_dir: Path, central: str) -> tuple[dict[str, str], bool, str]:
    """Return variables with the cache that is used, whether it is the user's, and what there is to say about it."""
    name = next((name for name in ("CRDS_PATH", "CRDS_PATH_SINGLE") if env.get(name)), "")
    if not name and (Path(central) / "references" / "hst").is_dir():
        return env | {"CRDS_PATH": central}, False, f"CRDS_PATH is not set: {central} is there and is used"
    if not name:
        note = f"CRDS_PATH is not set: the cache is in {ref_dir}"
    elif _read_only(env) or _same(env[name], central) or _writable(Path(env[name])):
        return env, True, ""
    else:
        note = (
            f"{name} is {env[name]}, which cannot be written to: the cache is in {ref_dir} "
            "(CRDS_READONLY_CACHE=1 keeps it)"
        )
    others = {name: value for name, value in env.items() if not (name.startswith("CRDS_") and "PATH" in name)}
    return others | {"CRDS_PATH": os.fspath(ref_dir)}, False, note


def _check_oref(
    variable: str, option: str | os.PathLike[str] | None, folder: Path, references: Path, *, of_user: bool
) -> list[str]:
    """Return what there is to say about ``oref``; raise if it is not where CRDS puts reference files."""
    given = at_home(os.fspath(option) if option is not None else variable)
    known = (folder, references, references / INSTRUMENT, references / "oref")
    if given and not any(_same(given, os.fspath(path)) for path in known):
        if option is not None or of_user:
            raise InputError(
                f"oref is {given}, but CRDS keeps reference files in {folder}{os.sep}; leave oref unset, or do without "
                "the update of references (--crds_update)"
            )
        return [f"oref is {folder}{os.sep}, where CRDS keeps reference files, in place of {given}"]
    if given and _same(given, os.fspath(folder)):
        return []
    return [f"oref is {folder}{os.sep}, where CRDS keeps reference files"]


def cache_folder(env: Mapping[str, str], variable: str, part: str) -> Path:
    """Return a folder of the cache for HST as CRDS finds it."""
    if env.get(f"{variable}_SINGLE"):
        return Path(env[f"{variable}_SINGLE"]).absolute()
    if env.get(variable):
        return Path(env[variable]).absolute() / "hst"
    if env.get("CRDS_PATH_SINGLE"):
        return Path(env["CRDS_PATH_SINGLE"]).absolute() / part
    return Path(env["CRDS_PATH"]).absolute() / part / "hst"


def _reference_folder(env: Mapping[str, str]) -> Path:
    """Return the folder that the cache's layout has for the instrument."""
    references = cache_folder(env, "CRDS_REFPATH", "references")
    tag = cache_folder(env, "CRDS_CFGPATH", "config") / "ref_cache_subdir_mode"
    try:
        flat = tag.read_text(encoding="utf-8").strip() == "flat"
    except OSError:
        flat = references.is_dir() and sum(1 for _ in references.iterdir()) > 20  # CRDS's own guess
    return references if flat else references / INSTRUMENT


def _same(path: str, other: str) -> bool:
    return os.path.realpath(path) == os.path.realpath(other)


def _writable(folder: Path) -> bool:
    """Tell whether a folder, or the one that it would be made in, can be written to."""
    above = first_existing(folder.absolute())
    return above.is_dir() and os.access(above, os.R_OK | os.W_OK | os.X_OK)


def _read_only(env: Mapping[str, str]) -> bool:
    return env.get("CRDS_READONLY_CACHE", "0").strip().upper() in ("1", "Y", "YES", "T", "TRUE")


def header_facts(*headers: fits.Header) -> dict[str, str]:
    """Return the values of a file's headers by keyword, as text; where several have a keyword, the first counts."""
    facts: dict[str, str] = {}
    for header in headers:
        for card in header.cards:
            if card.keyword and card.keyword not in ("COMMENT", "HISTORY"):
                facts.setdefault(card.keyword, str(card.value))
    return facts


def best_references(
    asked: Mapping[Path, Asked],
    setup: CrdsSetup,
    *,
    timeout: int | None = None,
    tries: int = TRIES,
    pause: float = PAUSE,
) -> BestReferences:
    """Ask CRDS for the best references of files and see to it that they are in the cache.

    Parameters
    ----------
    asked : mapping
        By file; the files themselves are not looked at.
    setup : CrdsSetup
        Server and cache.
    timeout : int, optional
        Whole seconds after which a silent server counts as gone; by default CRDS_CLIENT_TIMEOUT_SECONDS.
    tries : int
        For each reference file.
    pause : float
        Seconds before the first retry of a file; twice as many before the second, and so on.

    Raises
    ------
    InputError
        CRDS_CLIENT_TIMEOUT_SECONDS is no number.
    ReferenceFileError
        CRDS cannot answer at all: no server and no rules in the cache, or the package is not installed. The message
        names server and cache. Failures of single files are returned.
    """
    environment = dict(setup.environment)
    if timeout is not None:
        environment["CRDS_CLIENT_TIMEOUT_SECONDS"] = f"{timeout}"
    keys = {f"{number}": path for number, path in enumerate(asked)}
    job = {
        "timeout": _seconds(environment),
        "tries": tries,
        "pause": pause,
        "files": {
            key: {"facts": dict(asked[path].facts), "fetch": sorted(asked[path].fetch)} for key, path in keys.items()
        },
    }
    answer = _ask(job, environment)
    if answer["fatal"]:
        fault = network_fault(environment) if answer["unreached"] else ""
        raise _no_answer(answer["fatal"] + (f" ({fault})" if fault else ""), setup)
    errors = {keys[key]: file["error"] for key, file in answer["files"].items() if file["error"]}
    if environment.get("CRDS_CONTEXT") and errors and len(errors) == len(asked):
        raise _no_answer(f"CRDS_CONTEXT is {environment['CRDS_CONTEXT']}: {next(iter(errors.values()))}", setup)
    stamp = {"CRDS_CTX": answer["context"], "CRDS_VER": answer["version"]}
    names: dict[Path, Mapping[str, str]] = {}
    for key, file in answer["files"].items():
        found = {
            keyword: name if name == "N/A" else f"{OREF}{name}"
            for keyword, name in sorted(file["names"].items())
            if keyword not in PROTECTED
        }
        names[keys[key]] = stamp | found if found else {}
    return BestReferences(
        names=names,
        refused={keys[key]: file["refused"] for key, file in answer["files"].items() if file["refused"]},
        failed=answer["failed"],
        errors=errors,
        context=answer["context"],
        connected=answer["connected"],
        synced=answer["synced"],
    )


def network_fault(environment: Mapping[str, str]) -> str:
    """Return which variable may keep the server from answering, empty if none is known to."""
    server = environment["CRDS_SERVER_URL"]
    if "serverless" in server:
        return ""
    proxy = proxy_variable(server, environment, URLLIB)
    return bad_variable(server, environment, URLLIB) or (f"asked by way of the proxy in {proxy}" if proxy else "")


def _no_answer(why: str, setup: CrdsSetup) -> ReferenceFileError:
    """Return the error that tells why CRDS answers for no file."""
    known = ("CRDS_SERVER_URL", "CRDS_OBSERVATORY", "CRDS_CLIENT_TIMEOUT_SECONDS", "CRDS_PATH")
    others = [name for name in setup.environment if name.startswith("CRDS_") and name not in known]
    check = f"check the variables that are set ({', '.join(sorted(others))}), " if others else ""
    return ReferenceFileError(
        f"CRDS has no answer: {why} (server {setup.environment['CRDS_SERVER_URL']}, cache {setup.cache}); {check}"
        "see to the network, set CRDS_PATH to a filled cache, or do without --crds_update"
    )


def _seconds(environment: Mapping[str, str]) -> int:
    value = environment["CRDS_CLIENT_TIMEOUT_SECONDS"]
    if not value.strip().isdecimal() or int(value) < 1:
        raise InputError(f"CRDS_CLIENT_TIMEOUT_SECONDS is {value!r}; expected whole seconds, 1 or more")
    return int(value)


def _ask(job: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """Run the child in an empty folder and return its answer; what it says goes to the log, without secrets."""

    def clean(text: str) -> str:
        return without_secrets(text, *secrets_of(environment))

    with tempfile.TemporaryDirectory(prefix="gpucti-") as folder:
        answer = Path(folder) / "answer.json"
        job |= {"answer": os.fspath(answer)}
        ended = run_child(
            CHILD, job, Path(folder), environment=environment, say=lambda line: log.info("%s", clean(line))
        )
        if ended.status or not answer.is_file():
            said = clean(ended.last(12)) or " nothing"
            raise ReferenceFileError(f"CRDS ended with status {ended.status}; it said last:{said}")
        return dict(json.loads(clean(answer.read_text(encoding="utf-8"))))
