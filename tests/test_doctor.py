"""What an installation can do and lacks, and that each lack has a remedy.

Oracles: folders and servers made for the purpose; the other commands' own answers.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gpucti import cli, doctor
from gpucti.backends import available
from gpucti.backends._numba_cache import Store
from gpucti.doctor import LACKING, OK, WARNING, Finding, can_run, examine
from gpucti.model.pctetab import Pctetab
from support.crds_server import CONTEXT, SINCE, CrdsServer, fill_cache

RULES = {"biasfile": {SINCE: "x0000001o_bia.fits"}}


@pytest.fixture(autouse=True)
def few_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Import a quick module in place of the slow ones."""
    monkeypatch.setattr(doctor, "IMPORTS", {"json": ("json.decoder", "nothing")})


def look(environment: dict[str, str], folder: Path, **options: Any) -> dict[str, Finding]:
    """Examine, asking no server unless told to."""
    found = examine(environment, folder=folder, **{"offline": True} | options)
    assert len({one.topic for one in found}) == len(found)
    assert all(one.remedy for one in found if one.state == LACKING), found
    return {one.topic: one for one in found}


def test_everything_is_there(tmp_path: Path) -> None:
    """Oracle: a filled cache with oref in it, servers that answer."""
    cache = fill_cache(tmp_path / "cache", RULES, {"x0000001o_bia.fits": b"bias"})
    oref = cache / "references" / "hst" / "stis"
    with CrdsServer(RULES, {}) as server:
        env = {"oref": f"{oref}/", "GPUCTI_MAST_SERVER": server.url} | server.environment(cache)
        found = look(env, tmp_path, offline=False, now=datetime(2015, 1, 1, tzinfo=UTC))
    for topic in ("engine native", "PCTETAB", "oref", "CRDS cache", "CRDS server", "archive"):
        assert found[topic].state == OK, found[topic]
        assert not found[topic].remedy
    assert CONTEXT in found["CRDS cache"].detail
    assert found["oref"].detail == f"{oref}/, 1 files"
    assert {row.name for row in available() if row.ok} == {
        topic.split()[1] for topic, one in found.items() if topic.startswith("backend") and one.state == OK
    }


def test_nothing_is_set(tmp_path: Path) -> None:
    """Oracle: the messages name the variable or command; it can run all the same."""
    (tmp_path / "science").mkdir()
    found = look({"PATH": str(tmp_path)}, tmp_path / "science", now=datetime(2026, 8, 1, tzinfo=UTC))
    assert found["oref"].state == LACKING and "--oref" in found["oref"].remedy
    assert found["CRDS cache"].state == WARNING and "CRDS_PATH" in found["CRDS cache"].remedy
    assert str(tmp_path / "ref") in found["CRDS cache"].detail
    assert found["engine hstcal"].state == LACKING and "hstcal" in found["engine hstcal"].remedy
    assert found["PCTETAB"].state == WARNING and "2020-05-31 are extrapolated" in found["PCTETAB"].detail
    assert can_run(list(found.values()))
    assert [path.name for path in tmp_path.iterdir()] == ["science"]  # it only looks


def test_table_does_not_expire(tmp_path: Path) -> None:
    """Oracle: the released table ends in 2028; it is a warning that says so, and everything can run."""
    (tmp_path / "science").mkdir()
    found = look({"PATH": str(tmp_path)}, tmp_path / "science", now=datetime(2029, 1, 1, tzinfo=UTC))
    assert found["PCTETAB"].state == WARNING
    assert "the release profiles of a02_stis_pcte.fits end at MJD 62000" in found["PCTETAB"].detail
    assert can_run(list(found.values()))


@pytest.mark.parametrize("fault", ["refused", "silent", "down", "no address"])
def test_servers_that_do_not_answer(fault: str, tmp_path: Path) -> None:
    """Oracle: both servers are lacking with the reason, soon."""
    with CrdsServer(RULES, {}) as server:
        server.silent, server.down = 1.0 * (fault == "silent"), fault == "down"
        url = {"refused": "http://localhost:9", "no address": "nonsense"}.get(fault, server.url)
        env = {"CRDS_SERVER_URL": url, "CRDS_PATH": str(tmp_path)}
        found = look(env, tmp_path, offline=False, timeout=0.3, mast_server=url)
    for topic in ("archive", "CRDS server"):
        assert found[topic].state == LACKING
        assert found[topic].detail.startswith(f"{url}: ") or fault == "no address"
    word = {"refused": "refused", "silent": "timed out", "down": "503", "no address": "expected an address"}[fault]
    assert word in found["archive"].detail
    assert "GPUCTI_MAST_SERVER" in found["archive"].remedy


def test_serverless(tmp_path: Path) -> None:
    """Oracle: no server is asked; without rules in the cache that is a lack."""
    env = {"CRDS_SERVER_URL": "https://hst-serverless.stsci.edu", "CRDS_PATH": str(tmp_path / "cache")}
    assert "none is asked" in look(env, tmp_path)["CRDS server"].detail
    fill_cache(tmp_path / "cache", RULES, {})
    found = look(env, tmp_path, offline=False, timeout=0.1, mast_server="http://localhost:9")
    assert found["CRDS server"].state == OK


def test_damage(tmp_path: Path) -> None:
    """Oracle: what was damaged is named."""
    ref, config = tmp_path / "ref", tmp_path / "cache" / "config" / "hst"
    ref.mkdir()
    config.mkdir(parents=True)
    (ref / "x_pcte.fits").write_bytes(b"no table")
    (config / "server_config").write_text("no settings")
    env = {"CRDS_PATH": str(tmp_path / "cache")}
    found = look(env, tmp_path / "science", ref_dir=ref)
    assert "x_pcte.fits" in found["PCTETAB"].detail
    assert "server_config cannot be read" in found["CRDS cache"].detail
    assert not can_run(list(found.values()))
    found = look(env | {"oref": str(tmp_path / "nowhere")}, tmp_path)
    assert found["oref"].detail.endswith("nowhere: no such folder")
    assert found["CRDS cache"].state == WARNING and "but CRDS keeps reference files in" in found["CRDS cache"].detail


def test_a_table_of_ones_own(tmp_path: Path) -> None:
    """Oracle: the table of the folder of super-darks is the one that runs take."""
    Pctetab.default().write(tmp_path / "mine_pcte.fits")
    found = look({}, tmp_path, ref_dir=tmp_path, now=datetime(2012, 1, 1, tzinfo=UTC))
    assert found["PCTETAB"].detail.startswith(str(tmp_path / "mine_pcte.fits"))
    early = look({}, tmp_path, now=datetime(1990, 1, 1, tzinfo=UTC))["PCTETAB"]
    assert early.state == LACKING


def test_little_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the room that the darks of a period need."""
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10**9))
    found = look({}, tmp_path / "not" / "yet")
    assert found["disk"].state == WARNING and "0.9 GiB free" in found["disk"].detail
    assert str(tmp_path) in found["disk"].detail


def test_packages_that_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the command installs what is missing."""
    monkeypatch.setattr(doctor, "PACKAGES", ("numpy", "no-such-package"))
    assert look({}, tmp_path)["versions"].remedy == "pip install no-such-package"


@pytest.mark.slow
def test_all_packages_are_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: a full installation, with a backend of matplotlib that only a notebook has."""
    monkeypatch.undo()
    found = look({"MPLBACKEND": "module://matplotlib_inline_that_is_not_here", "HOME": str(tmp_path)}, tmp_path)
    assert [found[f"package {name}"].state for name in ("stistools", "crds", "astroquery")] == [OK] * 3, found


def test_packages_that_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: each says why, what goes without, and the right remedy; one that never ends is ended."""
    (tmp_path / "broken_one.py").write_text("raise SystemError('old library')")
    (tmp_path / "endless.py").write_text("import time; print('x' * 100_000, flush=True); time.sleep(60)")
    (tmp_path / "proxied.py").write_text("import os; assert '127.0.0.1' in os.environ['https_proxy']")
    names = ("absent_one", "broken_one", "proxied", "endless")
    monkeypatch.setattr(doctor, "IMPORTS", {name: (name, "all but this") for name in names})
    monkeypatch.setattr(doctor, "PATIENCE", 1.5)
    monkeypatch.syspath_prepend(tmp_path)
    found = look({"PYTHONPATH": str(tmp_path)}, tmp_path)
    absent, broken, proxied, endless = (found[f"package {name}"] for name in names)
    assert "No module named 'absent_one'" in absent.detail and "all but this" in absent.detail
    assert absent.remedy == "pip install absent_one"
    assert "SystemError: old library" in broken.detail and broken.remedy == "pip install --upgrade broken_one"
    assert proxied.state == OK
    assert endless.state == WARNING and "longer than 1.5 s" in endless.detail and "--offline" in endless.remedy


def test_backends_are_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: one that fails, and one that gives other numbers than NumPy, are lacking with the reason."""
    real = doctor.correct_arrays

    def wrong(sci: Any, *, device: str, **given: Any) -> Any:
        return real(sci, device=device, **given) + (0.1 if device == "numba" else 0.0)

    monkeypatch.setattr(doctor, "correct_arrays", wrong)
    assert look({}, tmp_path)["backend numba"].detail.endswith(
        "a tiny correction fails (ArithmeticError: off by 0.1 electrons)"
    )

    def failing(sci: Any, *, device: str, **given: Any) -> Any:
        raise SystemError("no kernel image")

    monkeypatch.setattr(doctor, "correct_arrays", failing)
    found = look({}, tmp_path)
    assert found["backend numpy"].state == LACKING and "SystemError: no kernel image" in found["backend numpy"].detail
    assert not can_run(list(found.values()))


def test_folder_of_compiled_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: a folder that cannot be is a warning with Numba's variable; Numba itself runs."""
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("gpucti.backends._numba_kernels.STORE", Store(tmp_path / "file"))
    with pytest.warns(UserWarning, match="each process compiles anew"):
        found = look({}, tmp_path)
    assert found["compiled code"].state == WARNING and str(tmp_path / "file") in found["compiled code"].detail
    assert "NUMBA_CACHE_DIR" in found["compiled code"].remedy
    assert found["backend numba"].state == OK and not found["backend numba"].remedy


def test_matplotlib_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: a picture is drawn, in memory."""
    assert look({}, tmp_path)["pictures"].state == OK

    def fail(*given: Any, **options: Any) -> None:
        raise AttributeError("_c_internal_utils")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", fail)
    found = look({}, tmp_path)["pictures"]
    assert found.state == LACKING and "cannot draw (AttributeError: _c_internal_utils)" in found.detail


def test_a_look_that_fails_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: all the other findings are there."""

    def fail(path: Any) -> Any:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(shutil, "disk_usage", fail)
    found = look({}, tmp_path)
    assert found["disk"].state == LACKING and "OSError: [Errno 5] Input/output error" in found["disk"].detail
    assert found["PCTETAB"].state != LACKING


def command(capsys: pytest.CaptureFixture[str], arguments: Sequence[str]) -> tuple[int, str]:
    code = cli.main(["doctor", *arguments])
    out, err = capsys.readouterr()
    assert err == ""
    return code, out


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the same findings as text and as JSON; exit code 1 only if nothing can run."""
    monkeypatch.delenv("oref", raising=False)
    code, text = command(capsys, [str(tmp_path), "--offline"])
    assert code == 0 and text.endswith("gpucti can run here\n")
    code, out = command(capsys, [str(tmp_path), "--offline", "--json", "-"])
    data = json.loads(out)
    assert code == 0 and data["can_run"] is True
    for one in data["findings"]:
        assert one["detail"] in text or "disk" in one["topic"]
        assert one["remedy"] in text
    (tmp_path / "x_pcte.fits").write_bytes(b"")
    code, text = command(capsys, [str(tmp_path), "--offline", "-r", str(tmp_path)])
    assert code == 1 and text.endswith("nothing can run here\n")


def test_help_is_quick() -> None:
    """Oracle: nothing heavy is imported for it."""
    script = "import sys\nfrom gpucti.cli import main\nmain(['doctor', '--help'])\nprint('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
