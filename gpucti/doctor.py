"""What this installation can do, what it lacks, and what mends that."""

from __future__ import annotations

import ast
import http.client
import importlib.metadata
import importlib.util
import io
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gpucti._version import __version__
from gpucti.archive.client import bad_token
from gpucti.archive.query import archive_settings
from gpucti.backends import available, compiled_code
from gpucti.calibration.hstcal import PROGRAMS, available as hstcal_available
from gpucti.correction.arrays import correct_arrays
from gpucti.detector import MJD_ZERO
from gpucti.errors import GpuctiError, in_brief
from gpucti.io.dates import as_utc
from gpucti.io.headers import last_pctetab
from gpucti.io.inputs import first_existing
from gpucti.io.network import REQUESTS, URLLIB, bad_variable, is_address, secrets_of, without_secrets
from gpucti.model.doubts import doubts
from gpucti.model.pctetab import Pctetab
from gpucti.plots.style import require_matplotlib
from gpucti.references.crds import SERVER as CRDS_SERVER, cache_folder, crds_setup
from gpucti.references.names import at_home

#: What a finding may be: all is well; it works, but; something is not possible.
OK, WARNING, LACKING = "ok", "warning", "lacking"
MAST_SERVER = "https://mast.stsci.edu"
#: Seconds for an answer of a server.
TIMEOUT = 5.0
#: Bytes that the darks of one anneal period and their corrected versions need, and a visit of science.
ROOM = 3 * 1024**3
#: Packages whose versions are shown: all that are declared.
PACKAGES = (
    "numpy", "astropy", "numba", "click", "filelock", "scipy", "matplotlib", "pillow", "rich", "stistools", "crds",
    "astroquery", "requests",
)  # fmt: skip
#: What commands import late, each in a process of its own; and what goes without.
IMPORTS = {
    "stistools": ("stistools.basic2d, stistools.calstis", "all but --engine hstcal"),
    "crds": ("crds.core.heavy_client, crds.client.api", "all but --crds_update"),
    "astroquery": ("astroquery.mast", "all but lists of darks and --download"),
}
#: Seconds that an import may take.
PATIENCE = 60.0
#: Variables with which no request of a child process leaves the machine.
OFFLINE = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
#: A dark with hot pixels that every backend corrects, electrons, and its date.
TRIAL, TRIAL_MJD = np.where(np.arange(96).reshape(16, 6) % 17 == 0, 500.0, 5.0), 57000.0
#: Electrons by which backends may differ (docs/backends.md).
TOLERANCE = 1e-6


class Finding(NamedTuple):
    """One line of the examination.

    Attributes
    ----------
    topic : str
        What was looked at.
    state : str
        ``ok``, ``warning`` or ``lacking``.
    detail : str
        What was found.
    remedy : str
        The command or setting that mends it; empty if nothing needs to be.
    """

    topic: str
    state: str
    detail: str
    remedy: str = ""


def examine(
    environment: Mapping[str, str],
    *,
    folder: Path = Path(),
    ref_dir: Path | None = None,
    oref: Path | None = None,
    mast_server: str | None = None,
    offline: bool = False,
    timeout: float = TIMEOUT,
    now: datetime | None = None,
) -> list[Finding]:
    """Try everything that a run may need; nothing is changed but the folder of compiled code.

    Parameters
    ----------
    environment : mapping
        The user's variables.
    folder : Path
        Where products would go.
    ref_dir : Path, optional
        Folder of super-darks; by default ``ref`` beside `folder`.
    oref : Path, optional
        Folder of reference files, in place of the variable ``oref``.
    mast_server : str, optional
        Address of the archive; by default GPUCTI_MAST_SERVER, else STScI's.
    offline : bool
        Ask no server.
    timeout : float
        Seconds for the answer of a server.
    now : datetime, optional
        In place of today.
    """
    ref_dir = folder.absolute().parent / "ref" if ref_dir is None else ref_dir
    try:
        mast = archive_settings(mast_server, environment).server or MAST_SERVER
        wrong = bad_token(environment.get("MAST_API_TOKEN")) or bad_variable(mast, environment, REQUESTS)
    except GpuctiError as error:
        mast, wrong = "", str(error)
    crds = environment.get("CRDS_SERVER_URL") or CRDS_SERVER
    answers = {} if offline else _ask([mast, crds], timeout, environment)
    return [
        *_look("versions", _versions),
        *_look("backend", _backends),
        *_look("compiled code", _compiled_code),
        *_look("engine", _engines, environment),
        *_look("pictures", _pictures),
        *_look("package", _imports, environment, offline),
        *_look("PCTETAB", _pctetab, ref_dir, now or datetime.now(UTC)),
        *_look("oref", _oref, environment, oref),
        *_look("CRDS", _crds, environment, ref_dir, oref, answers.get(crds)),
        *_look("archive", _archive, mast, wrong or answers.get(mast)),
        *_look("disk", _room, folder, environment),
    ]


def _look(topic: str, at: Callable[..., Iterator[Finding]], *given: Any) -> Iterator[Finding]:
    """Yield what a look finds; whatever it raises is a finding too."""
    try:
        yield from at(*given)
    except Exception as error:  # noqa: BLE001 -- the one command that has to work where nothing else does
        yield Finding(topic, LACKING, f"cannot be looked at ({in_brief(error)})", "let the authors of gpucti know")


def can_run(findings: Sequence[Finding]) -> bool:
    """Tell whether anything can be corrected at all: a backend runs, and there is a table."""
    running = [finding for finding in findings if finding.state != LACKING]
    return all(any(finding.topic.startswith(topic) for finding in running) for topic in ("backend", "PCTETAB"))


def findings_data(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return findings as plain data, for JSON."""
    return {
        "version": __version__,
        "can_run": can_run(findings),
        "findings": [finding._asdict() for finding in findings],
    }


def findings_text(findings: Sequence[Finding]) -> str:
    """Return findings as text, each remedy below what it mends."""
    width = max(len(finding.topic) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{finding.state:<8} {finding.topic:<{width}}  {finding.detail}")
        if finding.remedy:
            lines.append(f"{'':<{width + 9}}  -> {finding.remedy}")
    lines.append("gpucti can run here" if can_run(findings) else "nothing can run here")
    return "\n".join(lines)


def _versions() -> Iterator[Finding]:
    have, missing = [], []
    for name in PACKAGES:
        try:
            have.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    detail = f"gpucti {__version__}, Python {platform.python_version()}, {', '.join(have)}"
    if missing:
        yield Finding(
            "versions", WARNING, f"{detail}; without {', '.join(missing)}", f"pip install {' '.join(missing)}"
        )
    else:
        yield Finding("versions", OK, detail)


def _backends() -> Iterator[Finding]:
    expected: Any = None
    found: list[Finding] = []
    for row in reversed(available()):  # NumPy first, which is the definition
        finding = Finding(f"backend {row.name}", OK if row.ok else LACKING, row.detail, row.remedy)
        if row.ok:
            try:
                corrected = correct_arrays(TRIAL, mjd=TRIAL_MJD, device=row.name)
                expected = corrected if expected is None else expected
                if not np.allclose(corrected, expected, rtol=0.0, atol=TOLERANCE):
                    raise ArithmeticError(f"off by {np.max(np.abs(corrected - expected)):.3g} electrons")
            except Exception as error:  # noqa: BLE001 -- an optional package may fail in any way
                detail = f"{row.detail}: a tiny correction fails ({in_brief(error)})"
                finding = finding._replace(state=LACKING, detail=detail, remedy="another backend can: --device")
        found.insert(0, finding)
    yield from found


def _compiled_code() -> Iterator[Finding]:
    row = compiled_code()
    if row is not None:
        yield Finding(row.name, OK if row.ok else WARNING, row.detail, row.remedy)


def _pictures() -> Iterator[Finding]:
    try:
        require_matplotlib()
        import matplotlib
        from matplotlib.figure import Figure

        Figure(figsize=(1, 1)).savefig(io.BytesIO(), format="png")
    except Exception as error:  # noqa: BLE001 -- an optional package may fail in any way
        detail = str(error) if isinstance(error, GpuctiError) else f"matplotlib cannot draw ({in_brief(error)})"
        yield Finding("pictures", LACKING, detail, "pip install --upgrade matplotlib; only plot and demo need it")
    else:
        yield Finding("pictures", OK, f"matplotlib {matplotlib.__version__} draws them")


def _imports(environment: Mapping[str, str], offline: bool) -> Iterator[Finding]:
    """Import the packages as commands do, all at once; they may take long, and one may never end."""
    variables = dict(environment) | (OFFLINE if offline else {})
    variables.pop("MPLBACKEND", None)
    children = {
        name: subprocess.Popen(
            [sys.executable, "-P", "-W", "ignore", "-c", f"import {modules}"],
            env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            errors="replace",
        )
        for name, (modules, _) in IMPORTS.items()
    }  # fmt: skip
    end = time.monotonic() + PATIENCE
    for name, child in children.items():
        topic, works = f"package {name}", f"without it works {IMPORTS[name][1]}"
        try:
            _, said = child.communicate(timeout=max(0.1, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            detail = f"its import takes longer than {PATIENCE:g} s; {works}"
            yield Finding(topic, WARNING, detail, "see to the network and the disk that it is on; try --offline")
            continue
        if child.returncode == 0:
            yield Finding(topic, OK, "can be imported")
            continue
        upgrade = "" if importlib.util.find_spec(name) is None else "--upgrade "
        reason = (said.strip().splitlines() or [f"exit status {child.returncode}"])[-1]
        yield Finding(topic, LACKING, f"cannot be imported ({reason}); {works}", f"pip install {upgrade}{name}")


def _engines(environment: Mapping[str, str]) -> Iterator[Finding]:
    yield Finding("engine native", OK, f"part of gpucti {__version__}")
    runs, detail = hstcal_available(environment)
    programs = all(shutil.which(name, path=environment.get("PATH")) for name in PROGRAMS)
    remedy = "pip install stistools" if programs else "conda install -c conda-forge hstcal"
    yield Finding("engine hstcal", OK if runs else LACKING, detail, "" if runs else f"{remedy} (not needed: native is)")


def _pctetab(ref_dir: Path, now: datetime) -> Iterator[Finding]:
    remedy = "gpucti correct -p FILE, with a newer table"
    try:
        there = last_pctetab(ref_dir)
        table = Pctetab.default() if there is None else Pctetab.read(there)
        where = f"{table.name} (packaged)" if there is None else str(there)
        mjd = (as_utc(now) - MJD_ZERO) / timedelta(days=1)
        table.epoch(mjd)
        table.time_scale(mjd)
    except GpuctiError as error:
        yield Finding("PCTETAB", LACKING, str(error), remedy)
        return
    last = as_utc(table.last_scale_mjd).date()
    if table.extrapolates(mjd) or table.holds_last_epoch(mjd):
        detail = f"{where}, PCTE_VER {table.version}: trap densities after {last} are extrapolated"
        detail += "".join(f"; {doubt}" for doubt in doubts(table, [mjd]))
        yield Finding("PCTETAB", WARNING, detail, f"{remedy}, for later data")
    else:
        yield Finding("PCTETAB", OK, f"{where}, PCTE_VER {table.version}, measured up to {last}")


def _oref(environment: Mapping[str, str], option: Path | None) -> Iterator[Finding]:
    value = environment.get("oref", "") if option is None else str(option)
    remedy = "export oref=FOLDER/, or gpucti correct --oref FOLDER, or --crds_update"
    if not value:
        yield Finding("oref", LACKING, "not set: names such as oref$x.fits in headers mean nothing", remedy)
        return
    path = Path(at_home(value))
    if not path.is_dir():
        yield Finding("oref", LACKING, f"{value}: no such folder", remedy)
        return
    count = sum(1 for _ in path.glob("*.fits*"))
    if count:
        yield Finding("oref", OK, f"{value}, {count} files")
    else:
        yield Finding("oref", WARNING, f"{value}: no FITS files in it", "gpucti correct --crds_update fetches them")


def _crds(environment: Mapping[str, str], ref_dir: Path, oref: Path | None, answer: str | None) -> Iterator[Finding]:
    try:
        setup = crds_setup(environment, ref_dir, oref)
    except GpuctiError as error:
        if error.where:  # a variable of CRDS
            topic, state = ("CRDS server", LACKING) if error.where == "CRDS_SERVER_URL" else ("CRDS cache", WARNING)
            yield Finding(topic, state, str(error), f"unset {error.where}")
        else:
            remedy = "unset oref, or set CRDS_PATH to the cache that it belongs to"
            yield Finding("CRDS cache", WARNING, str(error), remedy)
        return
    env = setup.environment
    config = cache_folder(env, "CRDS_CFGPATH", "config") / "server_config"
    context, synced, problem = _cached_rules(config)
    context = env.get("CRDS_CONTEXT") or context
    chosen = setup.cache_note
    if context and not problem:
        yield Finding("CRDS cache", OK, f"{setup.cache}, rules {context}" + (f", of {synced}" if synced else ""))
    else:
        what = problem or "no rules yet, the first --crds_update fetches them"
        remedy = "export CRDS_PATH=$HOME/crds_cache" if chosen else ""
        yield Finding("CRDS cache", WARNING, f"{setup.cache}: {what}" + (f" ({chosen})" if chosen else ""), remedy)
    server = env["CRDS_SERVER_URL"]
    if "serverless" in server:
        filled = bool(context) and not problem
        remedy = (
            "" if filled else f"fill the cache once, where there is a network: export CRDS_SERVER_URL={CRDS_SERVER}"
        )
        detail = f"{server}: none is asked, the cache has to do"
        yield Finding("CRDS server", OK if filled else LACKING, detail, remedy)
        return
    remedy = "export CRDS_SERVER_URL=" + CRDS_SERVER if server != CRDS_SERVER else "see to the network (HTTPS_PROXY)"
    if context and not problem:
        remedy += "; or go on with the cache: export CRDS_SERVER_URL=https://hst-serverless.stsci.edu"
    yield _server("CRDS server", server, answer, remedy)


def _cached_rules(config: Path) -> tuple[str, str, str]:
    """Return context, date and problem of what the cache has of the server's settings."""
    try:
        settings = ast.literal_eval(config.read_text(encoding="utf-8"))
        context = settings.get("latest_context") or settings["operational_context"]
        return str(context), str(settings.get("last_synced", "")), ""
    except FileNotFoundError:
        return "", "", ""
    except (OSError, ValueError, SyntaxError, KeyError, AttributeError, MemoryError, RecursionError) as error:
        return "", "", f"{config.name} cannot be read ({type(error).__name__}); remove it"


def _archive(server: str, answer: str | None) -> Iterator[Finding]:
    remedy = "see to the network (HTTPS_PROXY), or name a mirror in GPUCTI_MAST_SERVER; darks on disk need no archive"
    yield _server("archive", server, answer, remedy)


def _server(topic: str, server: str, answer: str | None, remedy: str) -> Finding:
    if answer is None:
        return Finding(topic, OK, f"{server}, not asked")
    if answer:
        return Finding(topic, LACKING, f"{server}: {answer}" if server else answer, remedy)
    return Finding(topic, OK, f"{server} answers")


def _room(folder: Path, environment: Mapping[str, str]) -> Iterator[Finding]:
    for topic, place, remedy in (
        ("disk", folder.absolute(), "make room, or work in another folder"),
        ("disk, temporary", Path(environment.get("TMPDIR") or tempfile.gettempdir()), "export TMPDIR=FOLDER"),
    ):
        place = first_existing(place)
        free = shutil.disk_usage(place).free
        detail = f"{free / 1024**3:.1f} GiB free for {place}"
        if free < ROOM:
            need = f"{ROOM / 1024**3:.0f} GiB hold the darks of an anneal period, corrected too"
            yield Finding(topic, WARNING, f"{detail}; {need}", remedy)
        else:
            yield Finding(topic, OK, detail)


def _ask(servers: Sequence[str], timeout: float, environment: Mapping[str, str]) -> dict[str, str]:
    """Return for each server why it cannot be used, empty if it answers; all are asked at once."""
    asked = [url for url in servers if is_address(url) and "serverless" not in url]
    answers = dict.fromkeys(asked, f"no answer within {timeout:g} s")

    def ask(url: str) -> None:
        try:
            with urllib.request.build_opener().open(url, timeout=timeout):
                answers[url] = ""
        except urllib.error.HTTPError as error:
            answers[url] = "" if error.code < 500 else f"answers with error {error.code}"
            error.close()
        except (OSError, ValueError, http.client.HTTPException) as error:
            said = str(getattr(error, "reason", error)) or type(error).__name__
            answers[url] = bad_variable(url, environment, URLLIB) or without_secrets(said, *secrets_of(environment))

    # not a pool, whose threads are waited for: names of hosts may take minutes to be looked up
    threads = [threading.Thread(target=ask, args=(url,), daemon=True) for url in answers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout + 1.0)
    return dict(answers)
