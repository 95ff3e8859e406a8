"""The shape of the package, read from the sources: who may import whom, how large a folder may be, its tests."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "gpucti"

#: One row per folder (or module of the root), lowest first; each may import those of its own row and of the rows above.
LAYERS = [
    ("errors", "_lazy", "_version", "data", "kernels"),
    ("detector", "options", "progress"),
    ("io",),
    ("references",),
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
OPTIONAL: dict[str, tuple[str, ...]] = {
    "cupy": ("backends/_cuda",),
    "numba": ("backends/_numba",),
    "scipy": ("synthetic/",),
    "matplotlib": ("plots/", "demo/picture", "cli/spectra", "doctor"),
    "PIL": ("plots/", "demo/picture"),
    "rich": ("cli/common",),
    "crds": ("references/_crds_child",),
    "astroquery": ("archive/connection", "archive/client"),
    "requests": ("archive/",),
    "filelock": ("io/lock",),
    "click": ("cli/",),
}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "former" not in path.parts)


@cache
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
    """Oracle: the table above; that nobody has them imported before they are needed is for test_packages.py."""
    users = [path for path in MODULES if package in {name.split(".")[0] for name in imports(path)}]
    assert users and all(name_of(path).startswith(OPTIONAL[package]) for path in users)


def test_pictures_need_no_pyplot() -> None:
    """Oracle: matplotlib's pyplot, which looks for a display, is for the window of the command alone."""
    users = [path for path in MODULES if any("pyplot" in name for name in imports(path))]
    assert [name_of(path) for path in users] == ["cli/spectra.py"]


def test_files_and_folders_stay_small() -> None:
    """Oracle: the house limits: 420 lines a file, 15 modules a folder, 14 in the root; more is two."""
    for path in [*MODULES, *PACKAGE.rglob("*.cu*")]:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 420, path.name
    for folder in {path.parent for path in MODULES}:
        assert len(list(folder.glob("*.py"))) <= (14 if folder == PACKAGE else 15), folder


#: Modules that have no test file of their own name, by the file that covers them, below tests/.
COVERED_BY = {
    "archive/test_query.py": "archive/client archive/settings",
    "archive/test_periods.py": "archive/programmes",
    "archive/test_retries.py": "archive/transport",
    "backends/test_interface.py": "backends/base",
    "backends/test_parity.py": "backends/_host backends/_numba backends/_numba_kernels backends/_numpy",
    "backends/test_kernels_on_host.py": "backends/_cuda_device",
    "calibration/test_stistools.py": "calibration/_hstcal_child",
    "calibration/test_native.py": "calibration/auto calibration/base calibration/switches",
    "calibration/test_reffiles.py": "calibration/refdata",
    "calibration/basic2d/test_basic2d.py": "calibration/basic2d/setup",
    "calibration/basic2d/test_steps.py": (
        "calibration/statistics calibration/basic2d/arithmetic calibration/basic2d/ccdtab "
        "calibration/basic2d/dataquality calibration/basic2d/flats calibration/basic2d/matching "
        "calibration/basic2d/order calibration/basic2d/overscan calibration/basic2d/temperature "
        "calibration/basic2d/velocity"
    ),
    "calibration/crreject/test_crreject.py": (
        "calibration/crreject/combine calibration/crreject/hits calibration/crreject/sky calibration/crreject/table"
    ),
    "calibration/spectra/x1d/test_extract.py": (
        "calibration/spectra/constants calibration/spectra/x1d/background calibration/spectra/x1d/boxsum "
        "calibration/spectra/x1d/empirical_cte calibration/spectra/x1d/flux calibration/spectra/x1d/locate "
        "calibration/spectra/x1d/setup calibration/spectra/x1d/table"
    ),
    "calibration/spectra/x2d/test_rectify.py": "calibration/spectra/x2d/brightness",
    "cli/test_cli.py": "cli/common cli/files",
    "correction/test_files.py": "correction/jobs correction/exposures io/inputs",
    "darks/test_superdarks.py": "darks/clipping darks/headers",
    "demo/test_demo.py": "cli/visit demo/measure demo/picture",
    "golden/test_files.py": "correction/provenance",
    "io/test_exposure.py": "io/fitsfile io/fitstables io/atomic",
    "io/test_selection.py": "io/headers io/dates compat",
    "model/test_pctetab.py": "model/pctetab_checks",
    "pipeline/planning/test_planner.py": (
        "pipeline/planning/exposures pipeline/planning/science pipeline/planning/tasks"
    ),
    "pipeline/running/test_downloads.py": "cli/archive",
    "pipeline/running/test_run.py": (
        "cli/pipeline pipeline/options pipeline/planning/text pipeline/running/darks pipeline/running/science progress"
    ),
    "plots/test_files.py": "cli/spectra plots/extracted plots/spectra plots/style plots/svg",
    "plots/test_images.py": "plots/frames",
    "references/test_crds.py": "references/_crds_child",
    "synthetic/test_visit.py": (
        "synthetic/detector synthetic/exposures synthetic/files synthetic/headers synthetic/instrument "
        "synthetic/optics synthetic/references synthetic/schedule synthetic/sky synthetic/tables"
    ),
    "test_doctor.py": "cli/doctor",
    "test_public_names.py": "_lazy",
}


def file_of(name: str) -> Path | None:
    """Return the file of a dotted name, of its module if it is a function or class; None if it is not ours."""
    first, *rest = name.split(".")
    root = {"gpucti": PACKAGE, "support": TESTS / "support"}.get(first)
    while root is not None and rest:
        for path in (root.joinpath(*rest).with_suffix(".py"), root.joinpath(*rest, "__init__.py")):
            if path.is_file():
                return path
        rest.pop()
    return None


def reached(test: Path) -> set[Path]:
    """Return the files that a test file imports, and those import in turn, scripts of child processes with them."""
    found: set[Path] = set()
    waiting = [test, PACKAGE / "_lazy.py"]  # by which the package itself finds its names
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += [file for name in imports(path) if (file := file_of(name)) is not None]
            text = path.read_text(encoding="utf-8")
            waiting += [script for script in path.parent.glob("_*_child.py") if script.name in text]
    return found


@pytest.mark.parametrize("file", COVERED_BY)
def test_tests_reach_what_they_cover(file: str) -> None:
    """Oracle: the imports; a row of the table whose test has nothing to do with the module covers nothing."""
    missing = {PACKAGE / f"{module}.py" for module in COVERED_BY[file].split()} - reached(TESTS / file)
    assert sorted(map(name_of, missing)) == []


def test_every_module_has_its_tests() -> None:
    """Oracle: the mirrored place, or the table above; the table has no row that the mirror makes idle."""
    covered = {module: file for file, modules in COVERED_BY.items() for module in modules.split()}
    untested, idle = [], set(covered)
    for path in MODULES:
        if path.name.startswith("__") or path.name == "_version.py":
            continue
        module = path.relative_to(PACKAGE).with_suffix("")
        mirrored = TESTS / module.parent / f"test_{module.name.removeprefix('_')}.py"
        if mirrored.is_file():
            continue
        idle.discard(module.as_posix())
        if not (TESTS / covered.get(module.as_posix(), "none")).is_file():
            untested.append(module.as_posix())
    assert (untested, sorted(idle)) == ([], [])
