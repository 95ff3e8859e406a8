"""One run at a time in a folder.

The operating system's lock (flock) ends with the process that holds it. Beside it lies a file that says who works
there. Where the file system has no locks, that file alone keeps others out, and a holder that is dead is known by its
machine, its process number and when that process began.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, Self

from filelock import BaseFileLock, FileLock, Timeout

from gpucti.errors import FolderInUseError
from gpucti.io.atomic import is_alive, temporary_name

log = logging.getLogger(__name__)

#: What the operating system locks: an empty file, which stays.
LOCK_NAME = ".gpucti.io.lock"
#: Who holds the folder; goes with the run, unless that is killed.
HOLDER_NAME = ".gpucti-holder"


class _Holder(NamedTuple):
    """A run that holds a folder, as its file has it."""

    process: int
    started: str  # when the process began, in a form of the system's; empty where it does not say
    machine: str
    since: str
    locked: bool  # by the operating system, too

    @classmethod
    def myself(cls, *, locked: bool) -> Self:
        since = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
        return cls(os.getpid(), _started(os.getpid()), platform.node(), since, locked)

    @classmethod
    def parsed(cls, content: bytes) -> Self | None:
        try:
            told = json.loads(content)
            process, started, machine, since, locked = (told[name] for name in cls._fields)
            return cls(int(process), str(started), str(machine), str(since), bool(locked))
        except (ValueError, KeyError, TypeError):
            return None

    def __str__(self) -> str:
        return f"process {self.process} on {self.machine}, since {self.since}"

    def is_here(self) -> bool:
        """Tell whether it runs, or ran, on this machine."""
        return self.machine == platform.node() and not self.machine.startswith("localhost") and self.machine != ""

    def is_dead(self) -> bool:
        """Tell whether its process is known to be gone."""
        if not self.is_here():
            return False
        now = _started(self.process)
        return not is_alive(self.process) or bool(self.started and now and now != self.started)


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold a folder for one run.

    Where the file system has no locks, a warning is logged and a file alone keeps others out.

    Raises
    ------
    FolderInUseError
        Another run holds it, or may do so; the message says which, and what to do if it does not.
    OSError
        The folder cannot be written to.
    """
    lock, refusal = _lock(folder)
    path, me = folder / HOLDER_NAME, _Holder.myself(locked=lock is not None)
    try:
        _claim(path, me)
        try:
            if refusal is not None:
                log.warning(
                    "%s: cannot be locked (%s); %s keeps other runs out in place of a lock",
                    folder, refusal.strerror or refusal, path.name,
                )  # fmt: skip
            yield
        finally:
            with suppress(OSError):
                if _Holder.parsed(path.read_bytes()) == me:
                    path.unlink()
    finally:
        if lock is not None:
            with suppress(OSError):  # a server of files that is gone by now: the lock ends with the process
                lock.release()


def _lock(folder: Path) -> tuple[BaseFileLock | None, OSError | None]:
    """Return the operating system's lock, held; None and the reason where it has none to give."""
    lock = FileLock(folder / LOCK_NAME, timeout=0)
    try:
        _require_flock(folder)
        lock.acquire()
    except Timeout:
        raise _in_use(folder / HOLDER_NAME) from None
    except OSError as error:
        return None, error
    return lock, None


def _require_flock(folder: Path) -> None:
    """Raise `OSError` where files cannot be locked.

    That is asked here, because the versions of filelock differ in what they make of it: another holder, an error
    without a place, or a lock that a killed run holds for ever.
    """
    if sys.platform != "win32":
        import fcntl

        with tempfile.TemporaryFile(dir=folder) as probe:
            fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _claim(path: Path, me: _Holder) -> None:
    """Write the holder's file, in place of one that a dead run left."""
    content = json.dumps(me._asdict()).encode()
    for _ in range(2):
        try:
            with path.open("xb") as stream:
                stream.write(content)
        except FileExistsError:
            _clear_dead(path, me)
        except OSError as error:
            with suppress(OSError):  # an empty file would keep others out
                path.unlink(missing_ok=True)
            if not me.locked:
                raise OSError(error.errno, error.strerror, str(path)) from error  # a full disk does not say where
            return  # likewise: whoever comes meanwhile is not told whose lock it is
        else:
            return
    raise _in_use(path)


def _clear_dead(path: Path, me: _Holder) -> None:
    """Remove the file of a dead holder; raise `FolderInUseError` if it lives, or cannot be known to be dead."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError:
        raise _in_use(path) from None
    holder = _Holder.parsed(content)
    # who had the operating system's lock has lost it: it is ours
    if not (me.locked if holder is None else holder.is_dead() or (me.locked and holder.locked)):
        raise _in_use(path)
    aside = path.with_name(temporary_name(path.name))
    try:
        path.rename(aside)
    except FileNotFoundError:
        return
    if aside.read_bytes() != content:  # another run was quicker, and this is its file
        aside.rename(path)
        raise _in_use(path)
    aside.unlink()
    log.warning("%s: a run was stopped here (%s); this one goes on", path.parent, holder or "it has not said which")


def _in_use(path: Path) -> FolderInUseError:
    """Return the error that tells whose the folder is."""
    holder = None
    with suppress(OSError):
        holder = _Holder.parsed(path.read_bytes())
    who = str(holder) if holder else "it has not said which"
    if holder is not None and (holder.locked or holder.is_here()):
        todo = "wait for it to end, or stop it"
    else:
        todo = f"wait for it to end, or stop it; if it was killed, which cannot be told from here, remove {path}"
    return FolderInUseError(f"another gpucti run works here ({who}); {todo}", where=path.parent)


def _started(process: int) -> str:
    """Return when a process began, as Linux counts it; empty where that is not known."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
        return stat.rpartition(")")[2].split()[19]  # the name before it may hold anything
    except (OSError, IndexError):
        return ""
