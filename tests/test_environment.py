"""environment-cuda.yml and pyproject.toml ask for the same packages."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

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
