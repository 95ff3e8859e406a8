"""CuPy arrays in, CuPy arrays out: only where a GPU answers (GPUCTI_REQUIRE_GPU=1 turns the skip into a failure)."""

from __future__ import annotations

from typing import Any
from unittest import mock

import numpy as np
import pytest

import gpucti
from gpucti.errors import BackendUnavailable, InputError
from gpucti.synthetic import scenes as simulate
from support.conditions import require
from support.scenes import READ_NOISE
from support.tolerances import ELECTRONS

pytestmark = pytest.mark.gpu
MJD = 57000.0


@pytest.fixture
def cupy() -> Any:
    try:
        return gpucti.get_backend("cuda").xp
    except BackendUnavailable as error:
        require("GPUCTI_REQUIRE_GPU", str(error))


@pytest.fixture
def image(rng: np.random.Generator) -> np.ndarray:
    return simulate.observe(simulate.star_field((300, 40), rng), rng, read_noise=READ_NOISE).astype(np.float32)


def test_arrays_stay_on_the_device(cupy: Any, image: np.ndarray) -> None:
    """Oracle: the NumPy backend; downloads made to fail prove that none happens."""
    stack = np.stack([image, image + 7])
    on_device = cupy.asarray(stack)
    err = cupy.full_like(on_device, 5.0)
    with mock.patch.object(cupy, "asnumpy", side_effect=AssertionError("downloaded")):
        clean, sigma = gpucti.correct_arrays(on_device, err=err, mjd=MJD)
        trailed = gpucti.add_cti_arrays(on_device, mjd=MJD)
    expected, expected_sigma = gpucti.correct_arrays(stack, err=np.full_like(stack, 5.0), mjd=MJD, device="numpy")
    for found, plain in ((clean, expected), (sigma, expected_sigma)):
        assert isinstance(found, cupy.ndarray)
        assert found.dtype == np.float32
        np.testing.assert_allclose(cupy.asnumpy(found), plain, rtol=1.2e-7, atol=ELECTRONS)  # one float32 step
    forward = gpucti.add_cti_arrays(stack, mjd=MJD, device="numpy")
    np.testing.assert_allclose(cupy.asnumpy(trailed), forward, rtol=1.2e-7, atol=ELECTRONS)
    np.testing.assert_array_equal(cupy.asnumpy(on_device), stack)


def test_views_big_batches_and_streams(cupy: Any, image: np.ndarray) -> None:
    """Oracle: the same array, contiguous, on the default stream, in one batch."""
    on_device = cupy.asarray(image)
    expected = cupy.asnumpy(gpucti.correct_arrays(on_device, mjd=MJD))
    wide = cupy.zeros((300, 80), dtype=cupy.float32)
    wide[:, ::2] = on_device
    with cupy.cuda.Stream(non_blocking=True) as stream:
        found = gpucti.correct_arrays(wide[:, ::2], mjd=MJD)
        stream.synchronize()
    np.testing.assert_array_equal(cupy.asnumpy(found), expected)
    with mock.patch("gpucti.backends._cuda.CudaBackend.images_per_batch", return_value=1):
        several = gpucti.correct_arrays(cupy.stack([on_device] * 3), mjd=MJD)
    np.testing.assert_array_equal(cupy.asnumpy(several), np.stack([expected] * 3))


def test_nan_on_the_device(cupy: Any, image: np.ndarray) -> None:
    """Oracle: the message, and the NumPy backend."""
    image[5, 6] = np.nan
    with pytest.raises(InputError, match=r"sci\[5, 6\] is nan"):
        gpucti.correct_arrays(cupy.asarray(image), mjd=MJD)
    kept = cupy.asnumpy(gpucti.correct_arrays(cupy.asarray(image), mjd=MJD, nan="keep"))
    plain = gpucti.correct_arrays(image, mjd=MJD, nan="keep", device="numpy")
    np.testing.assert_allclose(kept, plain, rtol=1.2e-7, atol=ELECTRONS)


def test_array_decides_the_device(cupy: Any, image: np.ndarray) -> None:
    """Oracle: the message."""
    with pytest.raises(InputError, match="device is 'numba' but sci is a CuPy array"):
        gpucti.correct_arrays(cupy.asarray(image), mjd=MJD, device="numba")


def test_subarray_on_the_device(cupy: Any, image: np.ndarray) -> None:
    """Oracle: the NumPy backend; the sky in front of a subarray is made on the device, too."""
    place = {"mjd": MJD, "amp": "A", "origin": (400, 30)}
    for function in (gpucti.correct_arrays, gpucti.add_cti_arrays):
        with mock.patch.object(cupy, "asnumpy", side_effect=AssertionError("downloaded")):
            found = function(cupy.asarray(image), **place)
        plain = function(image, **place, device="numpy")
        np.testing.assert_allclose(cupy.asnumpy(found), plain, rtol=1.2e-7, atol=ELECTRONS)
