"""One run at a time in a folder."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from gpucti.errors import FolderInUseError

#: The lock; the operating system lets go of it when its process ends, however that ends. The file stays.
LOCK_NAME = ".gpucti.io.lock"


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold a folder for one run.

    Raises
    ------
    FolderInUseError
        Another run holds it; the message says which.
    OSError
        The folder cannot be written to.
    """
    path = folder / LOCK_NAME
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise FolderInUseError(
            f"another gpucti run works here ({_holder(path)}); wait for it to end, or stop it", where=folder
        ) from None
    try:
        with suppress(OSError):  # a full disk: whoever comes meanwhile is not told whose lock it is
            path.write_text(
                json.dumps(
                    {
                        "process": os.getpid(),
                        "machine": platform.node(),
                        "since": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
                    }
                )
            )
        yield
    finally:
        lock.release()


def _holder(path: Path) -> str:
    try:
        who = json.loads(path.read_text())
        return f"process {who['process']} on {who['machine']}, since {who['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "it has not said which"
