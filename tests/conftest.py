"""Fixtures that several test files share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucti.backends import get_backend
from gpucti.backends.base import Backend
from gpucti.errors import BackendUnavailable
from gpucti.model.pctetab import Pctetab
from support.conditions import require
from support.visits import Case, Contents, case_of, digests, outputs, quick_table

#: A date inside the table's measured trap densities: a scale of 1.34.
MJD = 57000.0


@pytest.fixture(scope="session")
def table() -> Pctetab:
    """Return the packaged PCTETAB."""
    return Pctetab.default()


@pytest.fixture(params=["numpy", "numba", "cuda"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """Return each backend; skip, or with GPUCTI_REQUIRE_GPU=1 fail, with the backend's own words."""
    return _backend_or_skip(request.param)


@pytest.fixture(params=["numba", "cuda"])
def twin(request: pytest.FixtureRequest) -> Backend:
    """Return each backend that is compared with NumPy."""
    return _backend_or_skip(request.param)


def _backend_or_skip(name: str) -> Backend:
    try:
        return get_backend(name)
    except BackendUnavailable as error:
        if name != "cuda":
            raise
        require("GPUCTI_REQUIRE_GPU", str(error))
        raise AssertionError from error


@pytest.fixture(scope="session")
def golden_visit() -> Path:
    """Return the folder of the golden visit (environment variable GPUCTI_GOLDEN)."""
    folder = os.environ.get("GPUCTI_GOLDEN", "")
    if not folder or not (Path(folder) / "expected" / "2_cti").is_dir():
        require("GPUCTI_REQUIRE_GOLDEN", "GPUCTI_GOLDEN does not name the folder of the golden visit")
    return Path(folder)


@pytest.fixture(scope="session")
def real_files() -> Path:
    """Return the folder of real files of the archive (variable GPUCTI_REAL), to be read only."""
    folder = os.environ.get("GPUCTI_REAL", "")
    if not folder or not (Path(folder) / "o56502010_raw.fits").is_file():
        require("GPUCTI_REQUIRE_REAL", "GPUCTI_REAL does not name the folder of real files")
    return Path(folder)


@pytest.fixture(scope="session")
def small_visit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Return a simulated visit of one week with two darks, an image of two image sets and a spectrum; as it was."""
    from gpucti.synthetic import Observation, simulate_visit

    folder = tmp_path_factory.mktemp("small") / "visit"
    exposures = [Observation(exptime=200.0), Observation("G430L", n_imsets=1, exptime=200.0)]
    visit = simulate_visit(folder, exposures=exposures, weeks=1, darks_per_week=2, device="cpu")
    before = digests(visit.darks) | digests(visit.science) | digests(visit.oref)
    yield visit
    assert digests(visit.darks) | digests(visit.science) | digests(visit.oref) == before  # the links in copies
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def quick_pctetab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a PCTETAB with which a run is quick."""
    return quick_table(tmp_path_factory.mktemp("pctetab") / "quick_pcte.fits")


@pytest.fixture
def case(small_visit: Any, quick_pctetab: Path, tmp_path: Path) -> Case:
    """Return a fresh copy of the small visit."""
    return case_of(small_visit, tmp_path / "run", quick_pctetab)


@pytest.fixture(scope="session")
def finished(small_visit: Any, quick_pctetab: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Return a copy of the small visit on which an undisturbed run was done; to be copied, not changed."""
    from gpucti.pipeline.running.run import correct

    done = case_of(small_visit, tmp_path_factory.mktemp("finished") / "run", quick_pctetab)
    correct(*done.folders, **done.options)
    return done


@pytest.fixture(scope="session")
def expected(finished: Case) -> Contents:
    """Return what an undisturbed run makes of the small visit."""
    return outputs(finished)


@pytest.fixture
def rng() -> np.random.Generator:
    """Return a seeded generator."""
    return np.random.default_rng(20121122)
