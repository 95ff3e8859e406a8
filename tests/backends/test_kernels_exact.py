"""The CUDA kernels' own text, compiled for the host, against stis_cti's stored numbers and through the public API."""

from __future__ import annotations

import numpy as np
import pytest

import gpucti
from gpucti.backends._cuda import CudaBackend
from gpucti.model.pctetab import Pctetab
from support.parity import GOLDEN_SCENES, require_upstreams_numbers
from support.scenes import SCENES
from support.tolerances import ELECTRONS


@pytest.mark.parametrize("name", GOLDEN_SCENES)
def test_kernels_give_upstreams_numbers(cuda: CudaBackend, table: Pctetab, name: str) -> None:
    """Oracle: stis_cti's DecomposeRN, FixYCte and AddYCte, 1024 rows; the demands made of every backend."""
    require_upstreams_numbers(cuda, table, name)


@pytest.mark.parametrize("amp", ["A", "D"])
def test_whole_correction_on_the_kernels(cuda: CudaBackend, amp: str) -> None:
    """Oracle: the NumPy backend, from counts to counts, in batches, errors and the forward model included."""
    rng = np.random.default_rng(6)
    stack = np.stack([SCENES[name]((200, 12), rng) for name in ("dark", "stars", "long slit")]).astype(np.float32)
    setup = {"mjd": [55500.0, 57000.0, 58900.0], "gain": [1.0, 4.0, 2.0], "amp": amp}
    err = np.full(stack.shape, 3.0, dtype=np.float32)
    sci, sigma = gpucti.correct_arrays(stack, err=err, device=cuda, **setup)
    plain, plain_sigma = gpucti.correct_arrays(stack, err=err, device="numpy", **setup)
    trailed = gpucti.add_cti_arrays(stack, device=cuda, **setup)
    plain_trailed = gpucti.add_cti_arrays(stack, device="numpy", **setup)
    for found, expected in ((sci, plain), (sigma, plain_sigma), (trailed, plain_trailed)):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1.2e-7, atol=ELECTRONS)  # one float32 step
