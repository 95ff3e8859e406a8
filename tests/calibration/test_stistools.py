"""stistools in one process that serves all tasks: side by side, killed, silent, without the network.

Oracle everywhere: definition. A stand-in for stistools says what it is asked for; its package fails when it is imported
as a whole, as that is what takes seconds, and may ask for leap seconds.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gpucti.calibration._stistools import Stistools

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="CalSTIS and its process are POSIX's")

TASK = """
import os, sys, time
with open(os.environ["IMPORTS"], "a") as stream:
    stream.write("{name}\\n")
def {name}(input, **arguments):
    print("in", os.getcwd(), "with", os.environ.get("oref"), flush=True)
    if input == "wait":
        open("begun", "w").close()
        time.sleep(60)
    if input == "program":
        import subprocess
        return subprocess.call(["sh", "-c", "touch begun; sleep 60"])
    if input == "meet":
        open("begun", "w").close()
        while not os.path.exists(arguments["other"]):
            time.sleep(0.01)
    if input == "die":
        os.kill(os.getpid(), 9)
    if input == "leave":
        sys.exit(3)
    if input == "talk":
        print("x" * 300_000)
        print("gpucti: exit status 5")
        os.write(2, b"\\xff no text")
    return arguments.get("status", 0)
"""


@pytest.fixture
def imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make stand-ins; return the file that counts how often they are imported."""
    package = tmp_path / "python" / "stistools"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("import socket\nsocket.create_connection(('192.0.2.1', 80), timeout=0.01)\n")
    for name in ("basic2d", "calstis"):
        (package / f"{name}.py").write_text(TASK.format(name=name))
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    monkeypatch.setenv("IMPORTS", str(tmp_path / "imports"))
    return tmp_path / "imports"


@pytest.fixture
def stistools(imports: Path) -> Iterator[Stistools]:
    it = Stistools()
    yield it
    it.close()


def begun(folder: Path) -> None:
    """Wait until a task has begun in a folder."""
    for _ in range(1000):
        if (folder / "begun").exists():
            return
        time.sleep(0.01)
    raise AssertionError("the task did not begin")


def process_of(stistools: Stistools) -> subprocess.Popen[bytes]:
    child = stistools._child
    assert child is not None
    return child.process


def test_one_import_for_all_tasks(stistools: Stistools, imports: Path, tmp_path: Path) -> None:
    """Folder and variables are each task's own; nothing is left of them; the status is what the task returns."""
    here, before = Path.cwd(), dict(os.environ)
    first = stistools.run("basic2d", "x", {"status": 0}, tmp_path, {"oref": "refs/"})
    child = process_of(stistools)
    second = stistools.run("calstis", "x", {"status": 2}, tmp_path / "python", {})
    assert first == (0, [f"in {tmp_path} with refs/", ""])
    assert second == (2, [f"in {tmp_path / 'python'} with None", ""])
    assert process_of(stistools) is child
    assert imports.read_text() == "basic2d\ncalstis\n"
    assert (Path.cwd(), dict(os.environ)) == (here, before)


def test_tasks_run_side_by_side(stistools: Stistools, tmp_path: Path) -> None:
    """Two tasks wait for each other: one after the other they would never end."""
    folders = [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        folder.mkdir()

    def meet(mine: Path, other: Path) -> int:
        return stistools.run("calstis", "meet", {"other": str(other / "begun")}, mine, {}).status

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(meet, folders, reversed(folders))) == [0, 0]


def test_whatever_it_prints(stistools: Stistools, tmp_path: Path) -> None:
    """Long output, bytes that are no text and lines like ours disturb nothing."""
    ended = stistools.run("basic2d", "talk", {}, tmp_path, {})
    assert ended.status == 0
    assert ended.lines[1:] == ["x" * 300_000, "gpucti: exit status 5", "\ufffd no text"]


@pytest.mark.parametrize(("how", "status", "words"), [("leave", 1, "SystemExit: 3"), ("die", -1, "in ")])
def test_a_task_that_ends_its_process(
    stistools: Stistools, imports: Path, tmp_path: Path, how: str, status: int, words: str
) -> None:
    """It ends itself alone: the next task needs no new import."""
    ended = stistools.run("calstis", how, {}, tmp_path, {})
    assert ended.status == status and any(words in line for line in ended.lines)
    assert stistools.run("calstis", "x", {}, tmp_path, {}).status == 0
    assert imports.read_text() == "basic2d\ncalstis\n"


def test_a_child_that_is_killed(stistools: Stistools, imports: Path, tmp_path: Path) -> None:
    """Between tasks nobody notices; while one runs, that one fails; the next ones have a new child."""
    stistools.run("calstis", "x", {}, tmp_path, {})
    process_of(stistools).kill()
    process_of(stistools).wait()
    assert stistools.run("calstis", "x", {}, tmp_path, {}).status == 0
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(stistools.run, "calstis", "program", {}, tmp_path, {})
        begun(tmp_path)
        os.killpg(process_of(stistools).pid, signal.SIGKILL)
        assert waiting.result(timeout=20).status == -1
    assert stistools.run("calstis", "x", {}, tmp_path, {}).status == 0


@pytest.mark.parametrize("task", ["wait", "program"])
def test_close_ends_what_runs(stistools: Stistools, tmp_path: Path, task: str) -> None:
    """As at an interrupt: the task, and a program that it has started, are not waited for; closing twice is well."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(stistools.run, "calstis", task, {}, tmp_path, {})
        begun(tmp_path)
        start = time.monotonic()
        stistools.close()
        assert waiting.result(timeout=20).status == -1
        assert time.monotonic() - start < 20
    stistools.close()


def test_an_import_that_fails(stistools: Stistools, imports: Path, tmp_path: Path) -> None:
    """What Python says is returned."""
    (imports.parent / "python" / "stistools" / "calstis.py").write_text("import nothing_of_this_name")
    ended = stistools.run("basic2d", "x", {}, tmp_path, {})
    assert ended.status == -1
    assert any("No module named 'nothing_of_this_name'" in line for line in ended.lines)


#: Begins a task, says who runs it, and waits to be killed.
VICTIM = """
import sys, threading, time
from pathlib import Path
from gpucti.calibration._stistools import Stistools
it = Stistools()
threading.Thread(target=it.run, args=("calstis", "program", {}, Path(sys.argv[1]), {}), daemon=True).start()
while it._child is None or not Path(sys.argv[1], "begun").exists():
    time.sleep(0.01)
print(it._child.process.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.slow
def test_it_dies_with_its_parent(imports: Path, tmp_path: Path) -> None:
    """Killed without warning, a run leaves no process behind."""
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join([environment["PYTHONPATH"], *(path for path in sys.path if path)])
    with subprocess.Popen(
        [sys.executable, "-c", VICTIM, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment
    ) as victim:
        assert victim.stdout is not None
        group = int(victim.stdout.readline())
        victim.kill()
    for _ in range(500):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    raise AssertionError(f"the process group {group} is still there")


def test_threads_share_one_child(stistools: Stistools, imports: Path, tmp_path: Path) -> None:
    """However many ask at once for the first task."""
    gate = threading.Barrier(4)

    def first(_: int) -> int:
        gate.wait()
        return stistools.run("basic2d", "x", {}, tmp_path, {}).status

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(first, range(4))) == [0] * 4
    assert imports.read_text() == "basic2d\ncalstis\n"


#: In place of sitecustomize: every use of the network is written down and fails.
NO_NETWORK = """
import os, socket
def refuse(*arguments, **options):
    with open(os.environ["ASKED"], "a") as stream:
        stream.write(repr(arguments) + "\\n")
    raise OSError("no network here")
socket.getaddrinfo = socket.create_connection = socket.socket.connect = refuse
"""


def test_the_real_one_asks_nothing_of_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every look-up and connection caught; neither astropy's tables of time nor astroquery are imported."""
    (tmp_path / "sitecustomize.py").write_text(NO_NETWORK)
    program = tmp_path / "cs0.e"
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o755)
    (tmp_path / "x.fits").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
    it = Stistools()
    try:
        assert it.run("calstis", "x.fits", {"trailer": "t.txt"}, tmp_path, {}).status == 0
    finally:
        it.close()
    assert not (tmp_path / "asked").exists()
    names = "import sys, runpy; m = runpy.run_path(sys.argv[1]); m['_import_tasks'](); print(*sys.modules)"
    script = Path(sys.modules["gpucti.calibration._hstcal_child"].__file__ or "")
    said = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", names, script], capture_output=True, text=True, check=True
    )
    loaded = said.stdout.split()
    assert "stistools.calstis" in loaded
    assert not {"astroquery", "astropy.time", "matplotlib", "scipy"} & set(loaded)
