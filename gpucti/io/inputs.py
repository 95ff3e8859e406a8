"""Files named by a user: expanded, and their outputs checked before any work; threads that read and write."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from gpucti.errors import InputError, MissingFileError, OutputExistsError
from gpucti.io.atomic import refuse_existing
from gpucti.io.fitsfile import find_file

#: Threads that read and write files, which is mostly (de)compression, checksums and copies.
IO_THREADS = min(8, os.cpu_count() or 1)
#: What callers may give as `files`: one name or several; a str may hold a glob pattern.
Files = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


class InputOutput(Protocol):
    """What `check_outputs` looks at: the file that is read and the file that is written."""

    @property
    def path(self) -> Path:
        """The input."""

    @property
    def output(self) -> Path:
        """Where the result goes."""


def expand_files(files: Files, *, folders: bool = False) -> list[Path]:
    """Return the files that `files` names, each once, in order; matches of a pattern are sorted.

    A str that names no file and holds ``*``, ``?`` or ``[`` is a pattern. ``x.fits`` also finds ``x.fits.gz``.

    Parameters
    ----------
    files : path or iterable of paths
        What the user named.
    folders : bool
        Return folders too, as ``*`` matches them.

    Raises
    ------
    MissingFileError
        A file does not exist, or a pattern matches none.
    InputError
        No files at all, or a folder among them, unless `folders` is set.
    """
    names = [files] if isinstance(files, (str, os.PathLike)) else list(files)
    found: dict[Path, Path] = {}
    for name in names:
        if not isinstance(name, (str, os.PathLike)):
            raise InputError(f"files holds {name!r}; expected paths")
        for path in _matches(name, folders=folders):
            found.setdefault(path.resolve(), path)
    if not found:
        raise InputError("no files given; name at least one FITS file")
    return list(found.values())


def _matches(name: str | os.PathLike[str], *, folders: bool) -> list[Path]:
    if isinstance(name, str) and glob.has_magic(name) and not Path(name).exists():
        matches = sorted(Path(match) for match in glob.glob(name, recursive=True))  # noqa: PTH207 -- absolute patterns
        if not matches:
            raise MissingFileError("no file matches this pattern; check the name and the folder", where=name)
    else:
        matches = [Path(name)]
    return [path if folders and path.is_dir() else find_file(path) for path in matches]


def lines_by_reason(reasons: Mapping[Path, str], at_most: int = 6) -> list[str]:
    """Return a line per reason, with the names of the files that it holds for, at most so many."""
    names: dict[str, list[str]] = {}
    for path, reason in reasons.items():
        names.setdefault(reason, []).append(path.name)
    more = {reason: f" and {len(these) - at_most} more" for reason, these in names.items() if len(these) > at_most}
    return [f"{', '.join(these[:at_most])}{more.get(reason, '')}: {reason}" for reason, these in names.items()]


def first_existing(path: Path) -> Path:
    """Return the path itself if something is there, else the first folder above it that exists."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def checked_folder(folder: Path) -> Path:
    """Return `folder` if it is one, or can be made, and can be written to; else raise `InputError`."""
    above = first_existing(folder)
    if not above.is_dir():
        raise InputError(f"{above} is not a folder; choose another outdir", where=folder)
    if not os.access(above, os.W_OK | os.X_OK):
        raise InputError(f"{above} cannot be written to; choose another outdir", where=folder)
    return folder


def check_outputs(jobs: Sequence[InputOutput], *, overwrite: bool) -> None:
    """Raise for outputs that two inputs share, that are inputs, that exist, or whose folder is read-only.

    Raises
    ------
    InputError, OutputExistsError
        The first of the former; the first of the latter, with their number.
    """
    inputs = {job.path.resolve(): job.path for job in jobs}
    taken: dict[Path, Path] = {}
    existing = []
    for job in jobs:
        target = job.output.resolve()
        if target in inputs:
            raise InputError(
                f"the output {job.output} is the input {inputs[target]}; inputs are never overwritten, "
                "choose another outdir",
                where=job.path,
            )
        if target in taken:
            raise InputError(
                f"{job.path} and {taken[target]}: both would be written to {job.output} (same ROOTNAME); treat them "
                "apart, with different outdirs"
            )
        taken[target] = job.path
        checked_folder(job.output.parent)
        try:
            refuse_existing(job.output, overwrite=overwrite)
        except OutputExistsError as error:
            existing.append(error)
    if len(existing) > 1:
        first, count = existing[0], f"{len(existing)} of {len(jobs)} outputs exist"
        raise OutputExistsError(f"{first.reason} ({count})", where=first.where) from first
    if existing:
        raise existing[0]
