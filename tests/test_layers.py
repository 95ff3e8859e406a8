"""Who may import whom, read from the sources themselves."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "gpucti"

#: Each module may import those of its own line and of the lines above.
LAYERS: list[set[str]] = [
    {"errors", "_version"},
    {"atomic", "dates", "lock", "options", "readout", "traps", "data", "kernels", "fitstables", "watch"},
    {"archive_transport", "programmes"},
    {"pctetab_checks"},
    {"pctetab"},
    {"backends"},
    {"arrays"},
    {"correction"},
    {"fitsfile", "references", "simulate"},
    {"exposure", "anneals", "scan"},
    {"jobs", "provenance", "selection", "weeks", "crds", "_crds_child", "archive_periods"},
    {"archive_client"},
    {"archive_download", "archive"},
    {"treatment"},
    {"files", "calibration"},
    {"clipping", "superdark_headers", "extraction", "extracted"},
    {"plot_style", "plot_spectra", "plot_images", "quicklook"},
    {"superdarks"},
    {"synthetic"},
    {"tasks"},
    {"plan_table", "planning_crds", "planning_darks", "planning_science"},
    {"planning", "pipeline_darks", "pipeline_science"},
    {"pipeline_archive"},
    {"pipeline"},
    {"compat", "demo", "doctor"},
    {"cli"},
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
#: (importer, imported): why it is allowed all the same.
EXCEPTIONS = {
    ("pctetab_checks", "pctetab"): "for type checkers only",
}
OPTIONAL = {"cupy": "backends/_cuda.py", "numba": "backends/_numba.py"}


def imports(path: Path) -> set[str]:
    """Return the dotted names that a module imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            if node.module == "gpucti":
                names |= {f"gpucti.{alias.name}" for alias in node.names}
    return names


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_import_downwards(path: Path) -> None:
    """Oracle: the table above."""
    own = path.relative_to(PACKAGE).with_suffix("").parts[0]
    if own == "__init__":
        return  # the public names
    assert own in RANK, f"{own} has no place in the table of layers"
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "gpucti" or len(parts) < 2 or parts[1] == own or parts[1] == "__version__":
            continue
        if (
            (own, parts[1]) in EXCEPTIONS
            or not (PACKAGE / parts[1]).with_suffix(".py").exists()
            and parts[1] not in RANK
        ):
            continue  # a name of the package itself, such as gpucti.InputError
        assert RANK[parts[1]] <= RANK[own], f"{own} imports {parts[1]}, which lies above it"


@pytest.mark.parametrize("package", OPTIONAL)
def test_optional_packages_stay_in_their_corner(package: str) -> None:
    """Oracle: only the backend of that name knows its package."""
    home = OPTIONAL[package].removesuffix(".py")
    users = [path for path in modules() if package in {name.split(".")[0] for name in imports(path)}]
    strangers = [path for path in users if not str(path.relative_to(PACKAGE)).startswith(home)]
    assert not strangers


def test_files_stay_short() -> None:
    """Oracle: the house limit of about 400 lines: a longer file is two."""
    for path in [*modules(), *(PACKAGE.parent / "kernels").glob("*.cu*")]:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 420, path.name
