"""The kernels' text is found however gpucti came to be there, and releases carry what the tests need."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from gpucti.backends._cuda_device import source
from support.conditions import require

ROOT = Path(__file__).parents[2]
FILES = ("readout", "restore", "noise")
MARK = "// of this copy\n"
BUILDER = "setuptools>=77"  # pyproject.toml
READ = f"""
import json, pathlib, site, sys
installed = list(sys.meta_path)
for name in [name for name in sys.modules if name.startswith("__editable__")]:
    del sys.modules[name]  # that of the environment, which may have the wheel's name
site.addsitedir(sys.argv[1])
sys.meta_path[:] = [finder for finder in sys.meta_path if finder not in installed] + installed
import gpucti
from gpucti.backends._cuda_device import source
print(json.dumps([str(pathlib.Path(gpucti.__file__).parents[1]), {{file: source(file) for file in {FILES}}}]))
"""
BUILD = """
import sys
from setuptools import build_meta
folder = sys.argv[1]  # setuptools takes sys.argv for itself
for build in (build_meta.build_wheel, build_meta.build_sdist, build_meta.build_editable):
    print("built", build(f"{folder}/{build.__name__}"))
"""


def sources_in_a_new_process(cwd: Path, site: Path) -> tuple[Path, dict[str, str]]:
    """Return where a new Python finds gpucti, and its kernel files; `site` takes the place of site-packages."""
    done = subprocess.run(
        [sys.executable, "-c", READ, str(site)], cwd=cwd, env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    folder, sources = json.loads(done.stdout)
    return Path(folder).resolve(), sources


def copy_of_the_package(folder: Path) -> Path:
    """Copy the package, its kernels marked; return the folder."""
    shutil.copytree(ROOT / "gpucti", folder / "gpucti", ignore=shutil.ignore_patterns("__pycache__"))
    for file in FILES:
        path = folder / "gpucti" / "kernels" / f"{file}.cu"
        path.write_text(MARK + path.read_text(encoding="utf-8"), encoding="utf-8")
    return folder


def test_a_checkout_hides_another_gpucti(tmp_path: Path) -> None:
    """Oracle: marks in the kernels of the copy that Python starts in; this checkout stands behind it on the path."""
    checkout = copy_of_the_package(tmp_path)
    folder, sources = sources_in_a_new_process(checkout, ROOT)
    assert folder == checkout.resolve()
    assert all(MARK in text and text.replace(MARK, "") == source(file) for file, text in sources.items())


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return wheel, sdist and the wheel of an editable install of a copy of this tree, and that copy."""
    folder = tmp_path_factory.mktemp("releases")
    tree, builder = folder / "tree", folder / "builder"
    tree.mkdir()
    for path in ROOT.iterdir():
        if path.is_file() and not path.name.startswith("."):
            shutil.copy(path, tree)
    for name in ("gpucti", "tests", "examples", "benchmarks", "docs"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    environment = dict(os.environ)
    installed = [one.version for one in importlib.metadata.distributions(name="setuptools")]
    if not installed or int(installed[0].partition(".")[0]) < 77:
        fetch = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(builder), BUILDER]
        if subprocess.run(fetch, capture_output=True, check=False).returncode != 0:
            require("GPUCTI_REQUIRE_BUILD", f"{BUILDER} is neither installed nor to be had")
        environment["PYTHONPATH"] = str(builder)
    command = [sys.executable, "-c", BUILD, str(folder)]
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    names = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("built ")]
    kinds = ("wheel", "sdist", "editable")
    made = {kind: folder / f"build_{kind}" / name for kind, name in zip(kinds, names, strict=True)}
    return {**made, "tree": tree}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wheel", "editable"])
def test_an_installed_gpucti_finds_its_kernels(releases: dict[str, Path], kind: str, tmp_path: Path) -> None:
    """Oracle: the text in this tree, from a folder without gpucti."""
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with zipfile.ZipFile(releases[kind]) as wheel:
        wheel.extractall(site)
    folder, sources = sources_in_a_new_process(elsewhere, site)
    assert folder == (site if kind == "wheel" else releases["tree"]).resolve()
    assert sources == {file: source(file) for file in FILES}


@pytest.mark.slow
def test_releases_carry_kernels_tables_and_the_data_of_the_tests(releases: dict[str, Path]) -> None:
    """Oracle: the files of this tree."""
    package = {
        path.relative_to(ROOT).as_posix()
        for pattern in ("*.py", "*.cu", "*.cuh", "*.toml", "py.typed")
        for path in (ROOT / "gpucti").rglob(pattern)
    }
    beside = {
        path.relative_to(ROOT).as_posix()
        for folder, suffixes in (("tests", (".py", ".h", ".json", ".npz")), ("examples", (".py",)), ("docs", (".md",)))
        for path in (ROOT / folder).rglob("*")
        if path.suffix in suffixes
    }
    with zipfile.ZipFile(releases["wheel"]) as wheel:
        assert {name for name in wheel.namelist() if ".dist-info/" not in name} == package
    with tarfile.open(releases["sdist"]) as sdist:
        carried = {name.partition("/")[2] for name in sdist.getnames()}
    assert package | beside | {"environment-cuda.yml", "CITATION.cff", "CHANGES.md", "LICENSE"} <= carried
