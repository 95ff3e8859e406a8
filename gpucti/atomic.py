"""Output files: whole or not at all, and never over a file that may not be replaced."""

from __future__ import annotations

import gzip
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from gpucti.errors import OutputExistsError


@contextmanager
def atomic_output(path: Path, *, overwrite: bool = False) -> Iterator[IO[bytes]]:
    """Open a binary file for writing that appears under `path` only when the block ends without an error.

    The bytes go to a hidden temporary name in the same folder, which is removed on any failure, a keyboard
    interrupt included. A name that ends in ``.gz`` is compressed.

    Raises
    ------
    OutputExistsError
        If `path` exists and `overwrite` is not set.
    """
    refuse_existing(path, overwrite=overwrite)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("wb") as stream:
            if path.suffix == ".gz":
                with gzip.GzipFile(filename=path.stem, mode="wb", fileobj=stream, mtime=0) as compressed:
                    yield cast(IO[bytes], compressed)
            else:
                yield stream
        refuse_existing(path, overwrite=overwrite)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Raise `OutputExistsError` if `path` exists and may not be replaced (a folder never may)."""
    if path.is_dir():
        raise OutputExistsError(f"{path}: the output is an existing folder; move it away or choose another outdir")
    if not overwrite and (path.exists() or path.is_symlink()):
        raise OutputExistsError(f"{path}: the output exists; remove it, choose another outdir or allow overwriting")
