"""The CUDA kernels and the code that launches them, run on the CPU: their text compiled by a C++ compiler.

The oracle is the Numba backend. Nothing of `gpucti.backends._cuda` is replaced but the device itself.
"""

import inspect

import numpy as np
import pytest

from gpucti.backends import get_backend
from gpucti.backends._cuda import CudaBackend
from gpucti.backends._cuda_device import Gpu, parameters
from gpucti.backends.base import trap_scale
from gpucti.model.pctetab import Pctetab
from support.host_gpu import HostGpu

#: Electrons. The kernels add segments and noise in another order than Numba, and may fuse multiply and add.
ELECTRONS = 1e-6
#: Where the iteration runs away (many traps, bright rows) it multiplies a rounding error by 1e7: Numba and NumPy
#: then differ by as much from each other. How often a column was repaired still has to agree.
RUNAWAY_ELECTRONS = 1e-4
SCALE = 1e-12
PCTETAB = Pctetab.default()
MJD = 57000.0


@pytest.fixture(scope="session")
def oracle():
    return get_backend("numba")


def dark(rng, n, rows, cols):
    image = rng.poisson(8.0, (n, rows, cols)) + rng.normal(0.0, 5.6, (n, rows, cols))
    hot = rng.random(image.shape) < 0.02
    image[hot] += rng.exponential(150.0, hot.sum())
    return image


def spiked(rng, n, rows, cols):
    image = dark(rng, n, rows, cols)
    hit = rng.random(image.shape) < 0.01
    image[hit] += rng.exponential(5000.0, hit.sum())
    return image


def oversubtracted(rng, n, rows, cols):
    image = rng.poisson(50.0 + 3000.0 * rng.random((n, rows, cols)) ** 8).astype(float)
    image[rng.random(image.shape) < 0.003] -= 200.0
    return image


def extreme(rng, n, rows, cols):
    """Zeros, negative pixels, saturated ones and more charge than an int holds, by column.

    Behind other charge no pixel is exactly 0, the lowest level: there the model jumps, and the iteration leads
    right to the jump, so that the last bit decides.
    """
    image = np.zeros((n, rows, cols))
    image[:, :, 1::5] = -50.0
    image[:, :, 2::5] = 0.25
    image[:, ::7, 2::5] = 1e5
    image[:, :, 3::5] = 0.25
    image[:, 3::11, 3::5] = 1e12
    values = [-20.0, -0.25, 0.5, 1.0, 9.999, 10.0, 99999.5, 1e5]
    image[:, :, 4::5] = rng.choice(values, image[:, :, 4::5].shape, p=[0.16] * 6 + [0.02] * 2)
    return image


CASES = {
    "dark": (dark, (2, 1024, 6), 1.0),
    "spikes": (spiked, (1, 1024, 12), 1.0),
    "over-subtracted": (oversubtracted, (1, 1024, 24), 1.0),
    "extreme": (extreme, (2, 300, 15), 1.0),
    "many traps": (extreme, (1, 200, 10), 20.0),
    "one column": (oversubtracted, (3, 513, 1), 3.0),
    "one row": (spiked, (2, 1, 40), 1.0),
    "two rows": (spiked, (2, 2, 33), 1.0),
    "three rows": (extreme, (1, 3, 17), 1.0),
    "five rows": (oversubtracted, (1, 5, 300), 500.0),
    "no traps": (spiked, (1, 100, 5), 0.0),
}


@pytest.fixture(params=CASES)
def case(request):
    """A stack with the trap scale of its images and columns."""
    scene, shape, density = CASES[request.param]
    rng = np.random.default_rng(7)
    stack = scene(rng, *shape)
    cte_frac = density * PCTETAB.time_scale(MJD) * (1.0 + 0.1 * np.arange(shape[0]))
    return stack, cte_frac, rng.uniform(0.8, 1.2, shape[2])


def assert_restored_alike(cuda, oracle, case, options, first_row=0, electrons=ELECTRONS):
    stack, cte_frac, col_scale = case
    traps = PCTETAB.traps(MJD, options.shft_nit)
    given = stack.copy()
    found = cuda.remove_cti(stack, cte_frac, col_scale, traps, options, first_row=first_row, keep_scale=True)
    expected = oracle.remove_cti(stack, cte_frac, col_scale, traps, options, first_row=first_row, keep_scale=True)
    np.testing.assert_array_equal(stack, given)
    np.testing.assert_array_equal(found.repairs, expected.repairs)
    assert found.repairs.dtype == np.int32
    np.testing.assert_allclose(found.signal, expected.signal, rtol=1e-14, atol=electrons)
    np.testing.assert_allclose(found.scale, expected.scale, rtol=0, atol=SCALE)
    return found


@pytest.mark.parametrize("case", [name for name in CASES if name != "many traps"], indirect=True)  # runs away
def test_remove_cti_equals_the_oracle(cuda, oracle, case):
    assert_restored_alike(cuda, oracle, case, PCTETAB.options())


def test_remove_cti_repairs_and_stops_after_ten_rounds(cuda, oracle):
    rng = np.random.default_rng(3)
    case = oversubtracted(rng, 1, 1024, 32), np.array([1.5 * PCTETAB.time_scale(MJD)]), np.ones(32)
    found = assert_restored_alike(cuda, oracle, case, PCTETAB.options(), electrons=RUNAWAY_ELECTRONS)
    assert found.repairs.min() >= 1
    assert found.repairs.max() == 10


def test_remove_cti_starts_at_the_given_row(cuda, oracle):
    rng = np.random.default_rng(4)
    case = oversubtracted(rng, 1, 200, 12), np.array([2.0]), np.ones(12)
    assert_restored_alike(cuda, oracle, case, PCTETAB.options(), first_row=800)


@pytest.mark.parametrize(("sim_nit", "shft_nit"), [(1, 1), (1, 3), (5, 1), (4, 8), (5, 7), (2, 40)])
def test_remove_cti_with_any_number_of_passes(cuda, oracle, sim_nit, shft_nit):
    rng = np.random.default_rng(5)
    case = oversubtracted(rng, 2, 150, 9), np.array([2.0, 6.0]), np.ones(9)
    assert_restored_alike(cuda, oracle, case, PCTETAB.options(sim_nit=sim_nit, shft_nit=shft_nit))


@pytest.mark.parametrize("most_lanes", [1, 32])
def test_later_rounds_loop_over_their_list_with_few_threads(libraries, oracle, monkeypatch, most_lanes):
    # One multiprocessor of 128 threads: four columns at a time.
    monkeypatch.setattr("gpucti.backends._cuda.RESIDENT_THREADS", 128)
    rng = np.random.default_rng(6)
    case = oversubtracted(rng, 1, 256, 180), np.array([6.0]), np.ones(180)
    cuda = CudaBackend(gpu=HostGpu(libraries, multiprocessors=1), most_lanes=most_lanes)
    found = assert_restored_alike(cuda, oracle, case, PCTETAB.options())
    assert cuda._gpu.launched[0] == ("remove_cti_lanes" if most_lanes == 32 else "remove_cti_threads")
    assert (found.repairs > 0).sum() > 128


def test_the_stand_in_has_the_interface_of_a_gpu():
    for name, member in vars(HostGpu).items():
        if inspect.isfunction(member) and not name.startswith("_"):
            assert list(inspect.signature(member).parameters) == list(inspect.signature(getattr(Gpu, name)).parameters)


def test_every_kernel_is_launched(libraries):
    """Oracle: the kernel files; the stand-in refuses a launch whose names or types are not the kernel's."""
    launched = set()
    for most_lanes in (1, 32):
        cuda = CudaBackend(gpu=HostGpu(libraries), most_lanes=most_lanes)
        stack, ones, options = np.full((1, 9, 3), 50.0), (np.ones(1), np.ones(3)), PCTETAB.options()
        traps = PCTETAB.traps(MJD, options.shft_nit)
        cuda.remove_cti(cuda.split_noise(stack, options)[0], *ones, traps, options, keep_scale=True)
        cuda.add_cti(stack, *ones, traps)
        launched.update(cuda._gpu.launched)
    assert launched == {kernel for file in ("readout", "restore", "noise") for kernel in parameters(file)}


def test_an_empty_stack_stays_empty(cuda):
    options, traps = PCTETAB.options(), PCTETAB.traps(MJD)
    for shape in [(0, 4, 3), (2, 0, 3), (2, 4, 0)]:
        stack, scales = np.zeros(shape), (np.ones(shape[0]), np.ones(shape[2]))
        assert cuda.remove_cti(stack, *scales, traps, options).signal.shape == shape
        assert cuda.add_cti(stack, *scales, traps).shape == shape
        assert cuda.split_noise(stack, options)[1].shape == shape


def test_scale_is_returned_only_when_asked_for(cuda):
    stack, cte_frac, col_scale = np.full((2, 40, 3), 100.0), np.array([1.0, 2.0]), np.array([1.0, 0.9, 1.1])
    options, traps = PCTETAB.options(), PCTETAB.traps(MJD)
    assert cuda.remove_cti(stack, cte_frac, col_scale, traps, options).scale is None
    kept = cuda.remove_cti(stack, cte_frac, col_scale, traps, options, first_row=5, keep_scale=True)
    np.testing.assert_array_equal(kept.scale, trap_scale(cte_frac, col_scale, 40, 5))


@pytest.mark.parametrize("shft_nit", [1, 4, 7, 40])
def test_add_cti_equals_the_oracle(cuda, oracle, case, shft_nit):
    stack, cte_frac, col_scale = case
    traps = PCTETAB.traps(MJD, shft_nit)
    found = cuda.add_cti(stack, cte_frac, col_scale, traps, first_row=11)
    expected = oracle.add_cti(stack, cte_frac, col_scale, traps, first_row=11)
    np.testing.assert_allclose(found, expected, rtol=1e-14, atol=ELECTRONS)


def test_without_traps_nothing_changes(cuda):
    stack = spiked(np.random.default_rng(8), 1, 120, 7)
    nothing = np.zeros(1), np.ones(7), PCTETAB.traps(MJD)
    np.testing.assert_array_equal(cuda.add_cti(stack, *nothing), stack)
    np.testing.assert_array_equal(cuda.remove_cti(stack, *nothing, PCTETAB.options()).signal, stack)


@pytest.mark.parametrize("noise_model", [0, 1, 2])
def test_split_noise_equals_the_oracle(cuda, oracle, case, noise_model):
    stack = case[0]
    options = PCTETAB.options(noise_model=noise_model)
    given = stack.copy()
    signal, noise = cuda.split_noise(stack, options)
    expected_signal, expected_noise = oracle.split_noise(stack, options)
    np.testing.assert_array_equal(stack, given)
    np.testing.assert_allclose(noise, expected_noise, rtol=0, atol=ELECTRONS)
    np.testing.assert_allclose(signal, expected_signal, rtol=0, atol=ELECTRONS)


@pytest.mark.parametrize("noise_model", [1, 2])
def test_split_noise_takes_as_many_steps_as_each_image_needs(cuda, oracle, noise_model):
    # The step is a tenth of the read noise, so the louder the image the fewer steps reach 1.1 times it.
    rng = np.random.default_rng(9)
    sigma = np.linspace(5.0, 6.2, 13)[:, np.newaxis, np.newaxis]
    stack = rng.normal(20.0, sigma, (13, 90, 37))
    options = PCTETAB.options(noise_model=noise_model)
    signal, noise = cuda.split_noise(stack, options)
    expected_signal, expected_noise = oracle.split_noise(stack, options)
    np.testing.assert_allclose(noise, expected_noise, rtol=0, atol=ELECTRONS)
    np.testing.assert_allclose(signal, expected_signal, rtol=0, atol=ELECTRONS)
    steps = np.round(np.abs(expected_noise).max(axis=(1, 2)) / (0.1 * options.read_noise), 6)
    if noise_model == 2:
        assert len(set(steps)) > 2  # the case is a case
