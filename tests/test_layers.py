"""The shape of the package, read from the sources: who may import whom, how large a folder may be, its tests."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "gpucti"

#: One row per folder (or module of the root), lowest first; each may import those of its own row and of the rows above.
LAYERS = [
    ("errors", "_lazy", "_version", "data", "kernels"),
    ("child", "detector", "options", "progress"),
    ("references",),
    ("io",),
    ("model",),
    ("backends",),
    ("correction",),
    ("calibration",),
    ("darks",),
    ("archive",),
    ("pipeline",),
    ("plots",),
    ("synthetic",),
    ("compat", "demo", "doctor"),
    ("cli", "__main__"),
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
#: Packages that not everybody has, and the only modules that import them.
OPTIONAL = {"cupy": ("backends/_cuda",), "numba": ("backends/_numba",)}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "former" not in path.parts)


def imports(path: Path) -> set[str]:
    """Return the dotted names that a module imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_import_downwards(path: Path) -> None:
    """Oracle: the table above."""
    own = path.relative_to(PACKAGE).with_suffix("").parts[0]
    if own == "__init__":
        return  # the public names
    assert own in RANK, f"{own} has no place in the table of layers"
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "gpucti" and len(parts) > 1 and parts[1] in RANK:
            assert RANK[parts[1]] <= RANK[own], f"{own} imports {name}, which lies above it"


@pytest.mark.parametrize("package", OPTIONAL)
def test_optional_packages_stay_in_their_corner(package: str) -> None:
    """Oracle: only the backend of that name knows its package."""
    users = [path for path in MODULES if package in {name.split(".")[0] for name in imports(path)}]
    assert users and all(name_of(path).startswith(OPTIONAL[package]) for path in users)


def test_files_and_folders_stay_small() -> None:
    """Oracle: the house limits: 420 lines a file, 15 modules a folder, 14 in the root; more is two."""
    for path in [*MODULES, *PACKAGE.rglob("*.cu*")]:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 420, path.name
    for folder in {path.parent for path in MODULES}:
        assert len(list(folder.glob("*.py"))) <= (14 if folder == PACKAGE else 15), folder
