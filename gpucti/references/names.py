"""File names as they stand in HST headers: ``oref$x.fits``, ``$oref/x.fits``, plain."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

#: Variables that refer to variables: more than so many turn in a circle.
_DEEPEST = 16


def resolve_reference(name: str, folder: Path, environment: Mapping[str, str] | None = None) -> Path | None:
    """Return the file that a header's reference name stands for, or None if there is none.

    Parameters
    ----------
    name : str
        ``dir$name`` or ``$dir/name``, with ``dir`` an environment variable, or a path. The value of a variable may
        refer to others in these ways. ``name.gz`` is found too.
    folder : Path
        Where the file with the header lies: relative names are looked for there first, then in the
        working folder.
    environment : mapping, optional
        In place of the process's environment.
    """
    environment = os.environ if environment is None else environment  # noqa: TID251 -- only read
    if "$" in name:
        expanded = _expanded(name, environment)
        candidates = [] if expanded is None else [Path(expanded)]
    else:
        candidates = [folder / name, Path(name)] if name else []
    for path in candidates:
        for found in (path, Path(f"{path}.gz")):
            if found.is_file():
                return found
    return None


def _expanded(name: str, environment: Mapping[str, str]) -> str | None:
    """Return a name with its variable replaced, and those in the variable's value; None if that cannot be done."""
    for depth in range(_DEEPEST):
        head, mark, tail = name.partition("$")
        if not mark:
            break
        variable, tail = (head, tail) if head else (tail.partition("/")[0], tail.partition("/")[2])
        value = at_home(environment.get(variable, ""))
        if not value and depth and not variable.isidentifier():
            break  # a folder with this sign in its name
        if not value or not tail.strip("/"):
            return None
        name = f"{value}/{tail}"
    else:
        return None
    return re.sub("//+", "/", name)


def run_environment(oref: Path | None, ref_dir: Path | None = None) -> dict[str, str]:
    """Return the variables that header names of a run are resolved with: the process's, and the run's own.

    Parameters
    ----------
    oref : Path or None
        Folder of the reference files, in place of the variable ``oref``.
    ref_dir : Path, optional
        Folder of the super-darks, which headers call ``$ctirefs``.
    """
    environment = dict(os.environ)  # noqa: TID251 -- only read
    if "oref" in environment:
        environment["oref"] = at_home(environment["oref"])
    for name, folder in (("oref", oref), ("ctirefs", ref_dir)):
        if folder is not None:
            environment[name] = f"{Path(at_home(os.fspath(folder))).absolute()}{os.sep}"
    return environment


def at_home(path: str) -> str:
    """Return a path with the user's folder in place of a ``~`` that no shell replaced."""
    return os.path.expanduser(path) if path.startswith("~") else path  # noqa: PTH111 -- keeps a slash at the end


def missing_remedy(names: Iterable[str], environment: Mapping[str, str]) -> str:
    """Return what to do about names in headers that stand for no file, by the variables in them."""
    parts = []
    for variable in dict.fromkeys(_variable(name) for name in names):
        value = environment.get(variable, "")
        if variable == "oref":
            parts.append(f"oref is {value}: fetch them, or give --oref FOLDER" if value else
                         "oref is not set: give --oref FOLDER")  # fmt: skip
        elif variable and value:
            parts.append(f"{variable} is {value}: fetch them, or take today's names (--crds_update)")
        elif variable:  # otab$ of 1997 and 1998
            parts.append(
                f'{variable} is not set: take today\'s names (--crds_update), or set it (export {variable}="$oref", if '
                "they are in that folder)"
            )
    return "; ".join(parts) or "put names of files into the headers (crds bestrefs does)"


def _variable(name: str) -> str:
    """Return the variable of a name, empty if it has none."""
    head, mark, tail = name.partition("$")
    return (head or tail.partition("/")[0]) if mark else ""
