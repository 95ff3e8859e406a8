"""Which packages a command imports, and what becomes of it where one is not installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pytest

from gpucti._lazy import require
from gpucti.errors import MissingPackageError
from support.stis_files import stis_file
from support.visits import PACKAGE, Case, outputs

#: Module -> package, of all that is declared, and of what comes with it and is large or slow.
MODULES = {
    "numpy": "numpy", "astropy": "astropy", "click": "click", "filelock": "filelock", "numba": "numba",
    "llvmlite": "numba", "scipy": "scipy", "matplotlib": "matplotlib", "PIL": "pillow", "rich": "rich", "crds": "crds",
    "astroquery": "astroquery", "requests": "requests", "urllib3": "requests", "stistools": "stistools", "cupy": "cupy",
}  # fmt: skip
#: What the small install of docs/install.md has, without Numba.
SMALL = {"numpy", "astropy", "click", "filelock"}
#: Hides modules; as ``sitecustomize`` it does so in child processes too.
BLOCKER = """
import os, sys
from importlib.machinery import PathFinder
class Finder(PathFinder):
    hidden = set(os.environ["BLOCKED"].split(","))
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in cls.hidden else super().find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(PathFinder)] = Finder
"""
#: Runs a command, and tells what it imported.
COMMAND = """
import json, sys
from gpucti.cli import main
code = main(json.loads(sys.argv[1]))
print("IMPORTED", *{name.partition(".")[0] for name in sys.modules})
sys.exit(code)
"""


def run(
    code: str,
    folder: Path,
    *,
    arg: str = "",
    blocked: Collection[str] = (),
    environment: Mapping[str, str] | None = None,
) -> tuple[subprocess.CompletedProcess[str], set[str]]:
    """Run code in a fresh process in which modules cannot be imported; return its end, and the packages imported."""
    (folder / "site").mkdir(exist_ok=True)
    (folder / "site" / "sitecustomize.py").write_text(BLOCKER)
    path = os.pathsep.join([str(folder / "site"), str(PACKAGE)])
    variables = {**os.environ, "PYTHONPATH": path, "BLOCKED": ",".join(blocked), **(environment or {})}
    done = subprocess.run(
        [sys.executable, "-c", code, arg], capture_output=True, text=True, cwd=folder, env=variables, check=False
    )
    last = next((line for line in done.stdout.splitlines() if line.startswith("IMPORTED")), "")
    return done, {MODULES[name] for name in last.split() if name in MODULES}


def command(folder: Path, *words: str, **more: Any) -> tuple[subprocess.CompletedProcess[str], set[str]]:
    return run(COMMAND, folder, arg=json.dumps(list(map(str, words))), **more)


def without(*packages: str) -> set[str]:
    """Return the modules of packages."""
    return {module for module, package in MODULES.items() if package in packages}


@pytest.fixture
def flt(tmp_path: Path) -> Path:
    """Return a small exposure."""
    return stis_file(tmp_path / "o1_flt.fits")


@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        ("import gpucti; gpucti.GpuctiError", set()),
        ("from gpucti import cli; cli.main(['--help'])", {"click"}),
        ("from gpucti import correct_arrays, correct_files, Pctetab, plan", {"numpy", "astropy"}),
        ("from gpucti import correct, stis_cti, x1d, make_weekdark", {"numpy", "astropy", "filelock"}),
        ("import gpucti.archive.download, gpucti.compat, gpucti.references.crds", {"numpy", "astropy", "filelock"}),
        ("from gpucti import plot_files, simulate_visit; import gpucti.synthetic.scenes", {"numpy", "astropy"}),
    ],
)
def test_imports_are_light(code: str, allowed: set[str], tmp_path: Path) -> None:
    """Oracle: what each needs, by hand."""
    done, imported = run(f'{code}\nimport sys; print("IMPORTED", *sys.modules)', tmp_path)
    assert done.returncode == 0, done.stderr
    assert imported <= allowed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        (("cte", "o1_flt.fits", "--device", "numpy"), SMALL),
        (("add-cti", "o1_flt.fits", "--device", "numpy"), SMALL),
        (("plot", "o1_flt.fits", "-o", "x.png"), SMALL | {"matplotlib", "pillow"}),
        (("pctetab",), SMALL),
        (("info",), SMALL),
    ],
    ids=lambda words: words[0] if isinstance(words, tuple) else "",
)
def test_commands_import_what_they_need(words: tuple[str, ...], allowed: set[str], flt: Path) -> None:
    """Oracle: what each needs, by hand; the table of docs/dependencies.md."""
    done, imported = command(flt.parent, *words)
    assert done.returncode == 0, done.stderr
    assert "click" in imported and imported <= allowed


@pytest.mark.slow
def test_arrays_and_files_without_all_the_rest(flt: Path) -> None:
    """Oracle: the bytes of the file that is made with everything there."""
    rest = {module for module, package in MODULES.items() if package not in SMALL}
    done, _ = command(flt.parent, "cte", flt, "--device", "cpu", "--outdir", "small", blocked=rest)
    assert done.returncode == 0, done.stderr
    other, _ = command(flt.parent, "cte", flt, "--device", "numpy", "--outdir", "full")
    assert other.returncode == 0, other.stderr
    (small,), (full,) = ((flt.parent / folder).iterdir() for folder in ("small", "full"))
    assert small.read_bytes() == full.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "words"),
    [
        ("matplotlib", ("plot", "o1_flt.fits", "-o", "x.png")),
        ("matplotlib", ("plot", "o1_flt.fits")),
        ("scipy", ("simulate", "visit", "--device", "numpy")),
    ],
)
def test_errors_name_what_to_install(package: str, words: tuple[str, ...], flt: Path) -> None:
    """Oracle: the name for ``pip install``; exit code 1, one line, nothing written."""
    before = set(flt.parent.iterdir())
    done, _ = command(flt.parent, *words, blocked=without(package))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.endswith(f"; pip install {package}")
    assert {path.name for path in set(flt.parent.iterdir()) - before} <= {"site"}


@pytest.mark.slow
@pytest.mark.parametrize("package", ["astroquery", "requests"])
def test_the_archive_names_what_to_install(package: str, tmp_path: Path) -> None:
    """Oracle: the name for ``pip install``, and the way round."""
    code = """
from datetime import datetime
from gpucti.archive import anneal_periods
try:
    anneal_periods([datetime(2012, 3, 10)])
except Exception as error:
    print(type(error).__name__, error)
"""
    done, _ = run(code, tmp_path, blocked=without(package))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ArchiveError ")
    assert f"pip install {package}" in done.stdout and "--anneals FILE" in done.stdout


@pytest.mark.slow
def test_a_terminal_without_rich_gets_lines(tmp_path: Path) -> None:
    """Oracle: by hand."""
    code = """
import sys
sys.stderr.isatty = lambda: True
from gpucti.cli.common import files_progress
with files_progress(1, 1) as (say, advance):
    advance("one done")
"""
    done, _ = run(code, tmp_path, blocked={"rich"})
    assert (done.returncode, done.stdout) == (0, "one done\n")
    assert "pip install rich" in done.stderr and len(done.stderr.splitlines()) == 1


def test_errors_of_broken_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Oracle: by hand. A package that needs another one, and one that fails in some other way."""
    (tmp_path / "needy.py").write_text("import not_there_either\n")
    (tmp_path / "odd.py").write_text("raise AttributeError('np.float_')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingPackageError, match="not_there_either, which is not installed, and needy needs it"):
        require("needy", "a test")
    with pytest.raises(MissingPackageError, match=r"AttributeError: np.float_\); pip install --force-reinstall odd"):
        require("odd", "a test")
    require("numpy", "a test")


@pytest.mark.slow
def test_correct_without_all_the_rest(case: Case, expected: Any, tmp_path: Path) -> None:
    """Oracle: the products of a run with everything there."""
    rest = {module for module, package in MODULES.items() if package not in {*SMALL, "numba"}}
    done, imported = command(tmp_path, *case.arguments, blocked=rest)
    assert done.returncode == 0, done.stderr
    assert imported <= {*SMALL, "numba"}
    assert outputs(case) == expected


@pytest.mark.slow
def test_correct_imports_what_it_needs(case: Case, tmp_path: Path) -> None:
    """Oracle: the small install, and Numba, which imports scipy where it is there."""
    done, imported = command(tmp_path, *case.arguments)
    assert done.returncode == 0, done.stderr
    assert imported - {"scipy"} <= {*SMALL, "numba"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "words"),
    [("crds", ["--crds_update", "--dry-run"]), ("stistools", ["--engine", "hstcal"])],
)
def test_correct_names_what_to_install(package: str, words: list[str], case: Case, tmp_path: Path) -> None:
    """Oracle: the name for ``pip install``; CalSTIS's programs are said to be there."""
    (tmp_path / "programs").mkdir()
    for name in ("cs0.e", "cs1.e"):
        (tmp_path / "programs" / name).write_text("#!/bin/sh\n")
        (tmp_path / "programs" / name).chmod(0o755)
    given = [*case.arguments, *words]
    if package == "crds":
        at = given.index("--oref")
        del given[at : at + 2]
    environment = {"PATH": f"{tmp_path / 'programs'}{os.pathsep}{os.environ['PATH']}", "CRDS_PATH": str(tmp_path / "c")}
    done, _ = command(tmp_path, *given, blocked={package}, environment=environment)
    assert done.returncode == 1, done.stdout
    assert f"pip install {package}" in done.stderr + done.stdout


@pytest.mark.slow
def test_the_demonstration_goes_on_without_its_picture(tmp_path: Path) -> None:
    """Oracle: the table of numbers, the line that says why, exit code 0."""
    done, _ = command(tmp_path, "demo", "here", "--device", "cpu", blocked=without("matplotlib", "pillow"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "here").is_dir() and not list((tmp_path / "here").glob("*.png"))
    assert "pip install matplotlib" in done.stderr and "picture" not in done.stdout
