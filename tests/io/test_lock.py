"""One run at a time in a folder, whatever the file system has to say about locks."""

from __future__ import annotations

import errno
import json
import logging
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gpucti.errors import FolderInUseError
from gpucti.io import lock
from gpucti.io.lock import HOLDER_NAME, LOCK_NAME, folder_lock
from support import refusing

#: What a child does: holds the folder, and says what it sees; a second one that comes meanwhile says why not.
HOLD = """
import logging, os, sys
from pathlib import Path
from gpucti.errors import FolderInUseError
from gpucti.io.lock import folder_lock
logging.basicConfig(format="%(message)s", stream=sys.stdout)
folder = Path(sys.argv[1])
try:
    with folder_lock(folder):
        print("held", *sorted(path.name for path in folder.iterdir()))
        try:
            with folder_lock(folder):
                print("twice")
        except FolderInUseError as error:
            print("second:", error)
        if sys.argv[2:] == ["die"]:
            sys.stdout.flush()
            os.kill(os.getpid(), 9)
except FolderInUseError as error:
    print("in use:", error)
except OSError as error:
    print("system:", error.filename, error.strerror)
"""
REFUSALS = [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EACCES, errno.EIO]


@pytest.fixture(scope="module")
def preloaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return refusing.library(tmp_path_factory.mktemp("shim"))


def leave(folder: Path, **given: Any) -> Path:
    """Write the file of a holder as a run that was killed leaves it."""
    me = lock._Holder.myself(locked=False)._asdict()
    path = folder / HOLDER_NAME
    path.write_text(json.dumps(me | given))
    return path


def gone() -> int:
    """Return the number of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


@pytest.fixture
def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the operating system's locks away."""

    def refuse(folder: Path) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(lock, "_require_flock", refuse)


def test_the_marker_is_empty_and_the_holder_has_a_file(tmp_path: Path) -> None:
    """Oracle: this process; filelock's own file holds nothing, since its versions empty it, or take it for a lock."""
    with folder_lock(tmp_path):
        marker, holder = tmp_path / LOCK_NAME, tmp_path / HOLDER_NAME
        assert marker.read_bytes() == b""
        told = json.loads(holder.read_text())
        assert (told["process"], told["machine"], told["locked"]) == (os.getpid(), platform.node(), True)
        for _ in range(2):  # who is refused changes nothing
            with pytest.raises(FolderInUseError, match=f"process {os.getpid()} on .*wait for it") as refused:
                with folder_lock(tmp_path):
                    pass
            assert refused.value.where == str(tmp_path)
        assert marker.read_bytes() == b"" and json.loads(holder.read_text()) == told
    assert not holder.exists()
    with folder_lock(tmp_path):
        pass


@pytest.mark.parametrize("number", REFUSALS, ids=errno.errorcode.get)
def test_where_locks_cannot_be_had(preloaded: Path, tmp_path: Path, number: int) -> None:
    """Oracle: a file system that answers flock with this error: the run goes on, says so once, and keeps others out."""
    (tmp_path / LOCK_NAME).write_text('{"process": 1, "machine": "elsewhere", "since": "ever"}')  # of earlier versions
    for _ in range(2):
        ended = refusing.run(preloaded, HOLD, tmp_path, flock=number)
        first, second, third, *rest = ended.stdout.splitlines()
        assert first.startswith(f"{tmp_path}: cannot be locked ({os.strerror(number)}); {HOLDER_NAME} keeps")
        assert second.startswith("held ") and HOLDER_NAME in second
        assert third.startswith(f"second: {tmp_path}: another gpucti run works here (process ")
        assert (ended.returncode, rest, ended.stderr) == (0, [], "")
        assert not (tmp_path / HOLDER_NAME).exists()


def test_a_killed_run_does_not_hold_for_ever(preloaded: Path, tmp_path: Path) -> None:
    """Oracle: kill -9 where flock is missing; the next run goes on and says so in one line."""
    assert refusing.run(preloaded, HOLD, tmp_path, "die", flock=errno.ENOSYS).returncode == -9
    assert (tmp_path / HOLDER_NAME).exists()
    ended = refusing.run(preloaded, HOLD, tmp_path, flock=errno.ENOSYS)
    lines = [line for line in ended.stdout.splitlines() if "was stopped here" in line]
    assert len(lines) == 1 and lines[0].startswith(f"{tmp_path}: a run was stopped here (process ")
    assert "\nheld " in ended.stdout
    assert [path.name for path in tmp_path.iterdir() if path.name != LOCK_NAME] == []


@pytest.mark.parametrize(("number", "text"), [(errno.EROFS, ""), (errno.EACCES, "")], ids=["EROFS", "EACCES"])
def test_a_folder_that_cannot_be_written_to(preloaded: Path, tmp_path: Path, number: int, text: str) -> None:
    """Oracle: one error that names the place; nothing about locks."""
    ended = refusing.run(preloaded, HOLD, tmp_path, opening=(number, str(tmp_path)))
    assert ended.stdout.splitlines() == [f"system: {tmp_path / HOLDER_NAME} {os.strerror(number)}"]
    assert list(tmp_path.iterdir()) == []


def test_a_marker_of_another_user(preloaded: Path, tmp_path: Path) -> None:
    """Oracle: a folder of a group, where the marker is somebody's who let nobody else write it: the run goes on."""
    (tmp_path / LOCK_NAME).touch()
    ended = refusing.run(preloaded, HOLD, tmp_path, opening=(errno.EACCES, LOCK_NAME))
    assert "cannot be locked (Permission denied)" in ended.stdout and "\nheld " in ended.stdout


@pytest.mark.usefixtures("without_locks")
def test_dead_holders(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Oracle: no such process, one of the same number that began later, a number that no process has."""
    for given in ({"process": gone()}, {"started": "1"}, {"process": 10**30}):
        if "started" in given and not lock._started(os.getpid()):
            continue  # this system does not say
        leave(tmp_path, **given)
        caplog.clear()
        with caplog.at_level(logging.WARNING), folder_lock(tmp_path):
            told = json.loads((tmp_path / HOLDER_NAME).read_text())
        assert told["process"] == os.getpid()
        assert [("was stopped here" in text, "cannot be locked" in text) for text in caplog.messages] == [
            (True, False), (False, True),
        ]  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == []


@pytest.mark.usefixtures("without_locks")
@pytest.mark.parametrize(
    "content", [{"process": 1, "machine": "elsewhere"}, {"machine": "localhost"}, {"machine": ""}, None]
)
def test_holders_that_cannot_be_known_to_be_dead(tmp_path: Path, content: dict[str, Any] | None) -> None:
    """Oracle: another machine's, one of a machine without a name of its own, one that says nothing: how to go on."""
    path = tmp_path / HOLDER_NAME
    if content is None:
        path.touch()
    else:
        leave(tmp_path, **({"process": gone()} | content))
    before = path.read_bytes()
    with pytest.raises(FolderInUseError, match=f"if it was killed, .* remove {path}"), folder_lock(tmp_path):
        pass
    assert path.read_bytes() == before
    path.unlink()  # what the message says
    with folder_lock(tmp_path):
        pass


def test_a_lock_of_the_system_proves_that_its_last_holder_is_dead(tmp_path: Path) -> None:
    """Oracle: who has flock is the only one who has it, on any machine; whoever works without it counts too."""
    leave(tmp_path, machine="elsewhere", locked=True)
    with folder_lock(tmp_path):
        pass
    leave(tmp_path, machine="elsewhere", locked=False)
    with pytest.raises(FolderInUseError, match="process .* on elsewhere"), folder_lock(tmp_path):
        pass
    leave(tmp_path)  # this very process, by a file alone
    with pytest.raises(FolderInUseError, match="stop it$"), folder_lock(tmp_path):
        pass


@pytest.mark.usefixtures("without_locks")
def test_another_run_takes_over_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: two runs find a dead one at the same time; the file of the quicker one stays, the other is refused."""
    path = leave(tmp_path, process=gone())
    rename, quicker = Path.rename, b""

    def late(self: Path, target: Path) -> Path:
        nonlocal quicker
        if not quicker:
            quicker = leave(tmp_path, since="just now").read_bytes()
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", late)
    with pytest.raises(FolderInUseError, match="since just now"), folder_lock(tmp_path):
        pass
    assert path.read_bytes() == quicker


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: with a lock of the system the run goes on unnamed; without, the error names the place."""
    write = Path.open

    def full(self: Path, mode: str = "r", **more: Any) -> Any:
        if mode == "xb":
            write(self, mode).close()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(self, mode, **more)

    monkeypatch.setattr(Path, "open", full)
    with folder_lock(tmp_path):
        assert not (tmp_path / HOLDER_NAME).exists()
    monkeypatch.setattr(lock, "_lock", lambda folder: (None, OSError(errno.ENOLCK, "no locks")))
    with pytest.raises(OSError, match="No space") as failed, folder_lock(tmp_path):
        pass
    assert failed.value.filename == str(tmp_path / HOLDER_NAME)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system has no /proc")
def test_when_a_process_began(tmp_path: Path) -> None:
    """Oracle: the order of two processes, and the same answer twice; a name with blanks and brackets is no obstacle."""
    script = "import ctypes; ctypes.CDLL(None).prctl(15, b'a) b (c', 0, 0, 0); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=-1, stdout=-1, text=True) as child:
        assert child.stdout is not None
        child.stdout.readline()
        then = lock._started(child.pid)
        time.sleep(0.02)
        assert int(then) > int(lock._started(os.getpid())) and lock._started(child.pid) == then
        child.communicate("\n")
    assert lock._started(child.pid) == ""
