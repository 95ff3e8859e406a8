"""Fixtures of the backends' tests."""

from __future__ import annotations

import ctypes

import pytest

from gpucti.backends._cuda import CudaBackend
from support.host_gpu import HostGpu, kernel_libraries


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ctypes.CDLL]:
    """Return every kernel file as a shared library for the host."""
    return kernel_libraries(tmp_path_factory.mktemp("kernels"))


@pytest.fixture(params=["lanes", "threads"])
def cuda(request: pytest.FixtureRequest, libraries: dict[str, ctypes.CDLL]) -> CudaBackend:
    """Return the CUDA backend on the host, in either layout."""
    return CudaBackend(gpu=HostGpu(libraries), most_lanes=32 if request.param == "lanes" else 1)
