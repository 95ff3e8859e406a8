"""Fixtures that several test files share."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from gpucti.backends import get_backend
from gpucti.backends.base import Backend
from gpucti.errors import BackendUnavailable
from gpucti.pctetab import Pctetab

#: A date inside the table's measured trap densities: a scale of 1.34.
MJD = 57000.0


def require(variable: str, reason: str) -> None:
    """Skip with `reason`, or fail where the environment demands that the test runs."""
    if os.environ.get(variable) == "1":
        pytest.fail(f"{variable}=1, but {reason}")
    pytest.skip(reason)


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


@pytest.fixture
def rng() -> np.random.Generator:
    """Return a seeded generator."""
    return np.random.default_rng(20121122)
