"""Output files: whole or not at all, and never over a file that may not be replaced."""

from __future__ import annotations

import gzip
import logging
import os
import platform
import re
import secrets
import shutil
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, cast

from gpucti.errors import MissingFileError, OutputExistsError

log = logging.getLogger(__name__)

#: How a user says that an output may be replaced.
ALLOW = "allow overwriting (--overwrite; in Python overwrite=True)"
#: Temporary files are named after the machine (a checksum of its name) and the process that write them.
_TEMPORARY = re.compile(r"\..+\.([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.tmp")
#: Seconds after which a temporary file of another machine, or of a living process, is taken for left behind.
_LEFT_BEHIND = 86400.0
#: This process had written nothing before.
_STARTED = time.time()


@contextmanager
def atomic_output(path: Path, *, overwrite: bool = False) -> Iterator[IO[bytes]]:
    """Open a binary file for writing that appears under `path` only when the block ends without an error.

    The bytes go to a hidden temporary name in the same folder, which is removed on any failure, a keyboard
    interrupt included. A name that ends in ``.gz`` is compressed.

    Raises
    ------
    OutputExistsError
        If `path` exists and `overwrite` is not set.
    MissingFileError
        If there is no folder to put it in.
    OSError
        If the operating system refuses; the error names `path`.
    """
    refuse_existing(path, overwrite=overwrite)
    if not path.parent.is_dir():
        raise MissingFileError(f"no such folder, and {path.name} is to go there; make it first", where=path.parent)
    temporary = path.with_name(temporary_name(path.name))
    try:
        with temporary.open("wb") as stream:
            if path.suffix == ".gz":
                with gzip.GzipFile(filename=path.stem, mode="wb", fileobj=stream, mtime=0) as compressed:
                    yield cast(IO[bytes], compressed)
            else:
                yield stream
        refuse_existing(path, overwrite=overwrite)
        temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):  # the first error tells more
            temporary.unlink(missing_ok=True)
        # a full disk does not say where, and the temporary name says nothing to anybody
        if isinstance(error, OSError) and error.errno is not None and error.filename in (None, str(temporary)):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def temporary_name(name: str) -> str:
    """Return a hidden name for what will become `name`; `clear_leftovers` knows it if this process dies."""
    return f".{name}.{_machine()}-{os.getpid()}-{secrets.token_hex(4)}.tmp"


def clear_leftovers(folder: Path) -> list[Path]:
    """Remove what killed runs left half-written in `folder`, and return it; what living ones write stays.

    A folder that cannot be read or written to is left as it is.
    """
    cleared = []
    for path in sorted(folder.glob(".*.tmp")) if folder.is_dir() else []:
        match = _TEMPORARY.fullmatch(path.name)
        if match is None or _is_being_written(path, *match.groups()):
            continue
        try:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        except OSError as error:
            log.info("%s: left by a stopped run, cannot be removed (%s)", path, error.strerror)
        else:
            cleared.append(path)
    return cleared


def _machine() -> str:
    return f"{zlib.crc32(platform.node().encode()):08x}"


def _is_being_written(path: Path, machine: str, process: str) -> bool:
    """Tell whether the process that made a temporary file may still be at it."""
    try:
        age = time.time() - path.stat().st_mtime
    except OSError:
        return True  # gone: it was
    if machine == _machine() and int(process) == os.getpid() and time.time() - age < _STARTED:
        return False  # a process before us had our number, as in a container
    return age < _LEFT_BEHIND and (machine != _machine() or is_alive(int(process)))


def is_alive(process: int) -> bool:
    """Tell whether a process of this machine may be running."""
    if os.name == "nt":
        return True  # there, signal 0 is not a question
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OverflowError:
        return False  # no process has such a number
    except OSError:
        return True  # somebody else's
    return True


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Raise `OutputExistsError` if `path` exists and may not be replaced (a folder never may)."""
    if path.is_dir():
        raise OutputExistsError("the output is an existing folder; move it away or choose another outdir", where=path)
    if not overwrite and (path.exists() or path.is_symlink()):
        raise OutputExistsError(
            f"the output exists; remove it, choose another outdir, or {ALLOW}",
            where=path,
        )
