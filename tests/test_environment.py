"""environment-cuda.yml, pyproject.toml and the documents ask for the same packages, and say the same of Python."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from gpucti.doctor import PACKAGES

ROOT = Path(__file__).parent.parent
REQUIREMENT = re.compile(r"([A-Za-z0-9_.-]+?)(?:\[[^]]*\])?\s*((?:[<>=!~]=?).*)?")
#: Extra of pyproject.toml -> package of the conda environment, where the names differ.
RENAMED = {"cupy-cuda12x": "cupy"}
#: Only the conda environment has these: what is no Python package, and the tools of conda itself.
ONLY_CONDA = {"python", "cuda-version", "hstcal", "pip"}


def parsed(requirements):
    """Return name -> bound, as written."""
    found = {}
    for requirement in requirements:
        name, bound = REQUIREMENT.fullmatch(requirement.split(";")[0].strip()).groups()
        found[name.lower()] = (bound or "").replace(" ", "")
    return found


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def environment():
    return yaml.safe_load((ROOT / "environment-cuda.yml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def conda(environment):
    return parsed(entry for entry in environment["dependencies"] if isinstance(entry, str))


@pytest.fixture(scope="module")
def pip(environment):
    (section,) = (entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    return section


def test_every_dependency_has_the_same_bound(project, conda, pip):
    """Oracle: pyproject.toml."""
    wanted = parsed(project["dependencies"])
    have = conda | parsed(name for name in pip if name != ".")
    assert {name: have.get(name) for name in wanted} == wanted


def test_cupy_has_the_bound_of_the_extra(project, conda):
    """Oracle: the extra cuda12."""
    for name, bound in parsed(project["optional-dependencies"]["cuda12"]).items():
        assert conda[RENAMED[name]] == bound


def test_nothing_else_is_asked_for(project, conda, pip):
    """Oracle: pyproject.toml; a dependency that was dropped there is dropped here."""
    allowed = set(parsed(project["dependencies"])) | ONLY_CONDA | set(RENAMED.values())
    assert set(conda) | set(parsed(name for name in pip if name != ".")) <= allowed


def test_python_is_the_one_the_package_requires(project, conda):
    """Oracle: requires-python."""
    assert conda["python"] == project["requires-python"]


def test_cuda_is_pinned(conda):
    """A driver runs one major version; the extra that the error messages name is cuda12."""
    assert conda["cuda-version"] == "=12.*"


def test_gpucti_itself_is_installed(pip):
    assert "." in pip


def test_the_channel_is_conda_forge(environment):
    assert environment["channels"] == ["conda-forge"]


def lowest(*extras):
    """Return what .ci/lowest.py prints: the end of the process, and name -> version."""
    done = subprocess.run(
        [sys.executable, ROOT / ".ci/lowest.py", *extras], capture_output=True, text=True, check=False
    )
    return done, dict(line.split(";")[0].split("==") for line in done.stdout.splitlines())


def test_the_lowest_versions_are_those_declared(project):
    """Oracle: pyproject.toml."""
    done, versions = lowest("test")
    assert done.returncode == 0, done.stderr
    declared = parsed([*project["dependencies"], *project["optional-dependencies"]["test"]])
    assert {name: f">={version}" for name, version in versions.items()} == declared


def test_every_python_is_named(project):
    """Oracle: requires-python; `.ci/run` goes through the classifiers."""
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    assert project["requires-python"] == f">={named[0]}"
    assert named == [f"3.{11 + i}" for i in range(len(named))] and len(named) >= 4


def test_addresses_are_whole(project):
    """Oracle: the rules for indexes: a label of at most 32 characters; nothing that is a stand-in."""
    for label, address in project["urls"].items():
        assert len(label) <= 32 and re.fullmatch(r"https://[a-z.]+\.(com|org|edu|io)/\S+", address)
        assert not re.search(r"example|localhost|HOST|USER", address)


def test_doctor_and_documents_name_every_package(project):
    """Oracle: pyproject.toml. The small install has some of them, and its table says what is missing without others."""
    declared = set(parsed(project["dependencies"]))
    assert set(PACKAGES) == declared
    page = (ROOT / "docs/install.md").read_text(encoding="utf-8")
    small = set(re.search(r"^pip install (numpy .*)$", page, re.MULTILINE)[1].split())
    rows = re.search(r"^\| without .*?\n\n", page, re.MULTILINE | re.DOTALL)[0].strip().splitlines()[2:]
    explained = {name for row in rows for name in row.split("|")[1].replace(",", " ").split()}
    assert small | explained == declared and small & explained == {"numba"}
    reasons = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
    assert {name for name in declared if f"| {name} |" not in reasons} == set()
