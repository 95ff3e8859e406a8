"""File names as they stand in HST headers: ``oref$x.fits``, ``$oref/x.fits``, plain."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def resolve_reference(name: str, folder: Path, environment: Mapping[str, str] | None = None) -> Path | None:
    """Return the file that a header's reference name stands for, or None if there is none.

    Parameters
    ----------
    name : str
        ``dir$name`` or ``$dir/name``, with ``dir`` an environment variable, or a path. ``name.gz`` is found too.
    folder : Path
        Where the file with the header lies: relative names are looked for there first, then in the
        working folder.
    environment : mapping, optional
        In place of the process's environment.
    """
    environment = os.environ if environment is None else environment  # noqa: TID251 -- only read
    if "$" in name:
        head, _, tail = name.partition("$")
        variable, tail = (head, tail) if head else (tail.partition("/")[0], tail.partition("/")[2])
        value = environment.get(variable, "")
        candidates = [Path(value) / tail.lstrip("/")] if value and tail.strip("/") else []
    else:
        candidates = [folder / name, Path(name)] if name else []
    for path in candidates:
        for found in (path, Path(f"{path}.gz")):
            if found.is_file():
                return found
    return None


def run_environment(oref: Path | None, ref_dir: Path) -> dict[str, str]:
    """Return the variables that header names of a run are resolved with: the process's, and the run's own.

    Parameters
    ----------
    oref : Path or None
        Folder of the reference files, in place of the variable ``oref``.
    ref_dir : Path
        Folder of the super-darks, which headers call ``$ctirefs``.
    """
    environment = dict(os.environ)  # noqa: TID251 -- only read
    if oref is not None:
        environment["oref"] = f"{oref.absolute()}{os.sep}"
    environment["ctirefs"] = f"{ref_dir.absolute()}{os.sep}"
    return environment
