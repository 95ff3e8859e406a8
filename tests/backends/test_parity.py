"""Every backend against stis_cti's stored numbers, and against NumPy on hostile frames."""

from __future__ import annotations

import numpy as np
import pytest

from gpucti.backends import get_backend
from gpucti.backends.base import Backend
from gpucti.model.pctetab import Pctetab
from support.parity import GOLDEN_SCENES, require_upstreams_numbers, run
from support.scenes import SCENES, bright_repaired, whole_counts
from support.tolerances import (
    ELECTRONS,
    NOISE_ROUNDINGS,
    ON_A_LEVEL_ELECTRONS,
    RUNAWAY_ELECTRONS,
    RUNAWAY_SCALE,
    RUNAWAY_SHARE,
    SCALE,
)


@pytest.mark.parametrize("name", GOLDEN_SCENES)
def test_upstreams_numbers(backend: Backend, table: Pctetab, name: str) -> None:
    """Oracle: stis_cti's DecomposeRN, FixYCte and AddYCte."""
    require_upstreams_numbers(backend, table, name)


def spikes(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return sky with cosmic rays of every size, some beyond the last level of the table."""
    image = rng.normal(5.0, 5.6, shape)
    hit = rng.random(shape) < 0.01
    image[hit] += 10 ** rng.uniform(1, 7, np.count_nonzero(hit))
    return image


HOSTILE = {
    **SCENES,
    "spikes": spikes,
    "bright, repaired": bright_repaired,
    "one pixel": lambda shape, rng: (
        np.where(np.arange(shape[0])[:, np.newaxis] == shape[0] // 2, 1e5, 0.0) * np.ones(shape)
    ),
    "huge": lambda shape, rng: np.full(shape, 1e12),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("noise_model", [0, 1, 2])
def test_twins_agree(twin: Backend, table: Pctetab, name: str, noise_model: int) -> None:
    """Oracle: the NumPy backend, on two images of different dates."""
    rng = np.random.default_rng(7)
    stack = np.stack([HOSTILE[name]((300, 7), rng) for _ in range(2)])
    definition = get_backend("numpy")
    options = table.options(noise_model=noise_model)
    frac, cols = np.array([0.4, 1.9]), np.linspace(0.8, 1.2, 7)
    ours, theirs = [], []
    for one, out in ((twin, ours), (definition, theirs)):
        signal, noise = one.split_noise(one.asarray(stack), options)
        restored = one.remove_cti(signal, frac, cols, table.traps(57000.0), options, keep_scale=True)
        trailed = one.add_cti(one.asarray(stack), frac, cols, table.traps(57000.0))
        out += [one.asnumpy(array) for array in (signal, noise, *restored, trailed)]
    roundings = NOISE_ROUNDINGS * np.spacing(np.abs(stack).max())
    for part, atol in zip(range(6), (roundings, roundings, None, 0, SCALE, None), strict=True):
        # Charges beyond 1e10 electrons have no 1e-6 to agree in.
        atol = max(ELECTRONS, roundings * 64) if atol is None else atol
        np.testing.assert_allclose(ours[part], theirs[part], rtol=0, atol=atol, err_msg=str(part))


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 3), (2, 3, 1), (1, 4, 2), (1, 5, 1), (3, 61, 9), (1, 70, 17)])
def test_small_frames(twin: Backend, table: Pctetab, shape: tuple[int, int, int]) -> None:
    """Oracle: the NumPy backend; for one row no charge can be given back: what is captured is lost."""
    stack = np.random.default_rng(3).exponential(500.0, shape)
    options = table.options()
    ours, theirs = (run(one, stack, 1.3, table, options) for one in (twin, get_backend("numpy")))
    for mine, definition in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, definition, rtol=0, atol=ELECTRONS)
    signal, noise = twin.split_noise(twin.asarray(stack), options)
    np.testing.assert_allclose(twin.asnumpy(signal + noise), stack, rtol=0, atol=1e-12)  # two roundings


@pytest.mark.parametrize(("sim_nit", "shft_nit"), [(1, 1), (2, 5), (12, 4)])
def test_other_numbers_of_passes(twin: Backend, table: Pctetab, sim_nit: int, shft_nit: int) -> None:
    """Oracle: the NumPy twin."""
    stack = spikes((200, 5), np.random.default_rng(5))[np.newaxis]
    options = table.options(sim_nit=sim_nit, shft_nit=shft_nit, noise_model=0)
    ours, theirs = (run(one, stack, 1.0, table, options) for one in (twin, get_backend("numpy")))
    np.testing.assert_allclose(ours.signal, theirs.signal, rtol=0, atol=ELECTRONS)


@pytest.mark.slow
def test_repair_of_every_column(twin: Backend, table: Pctetab) -> None:
    """Oracle: the NumPy backend, on the frame of the speed demand (1.5 times the trap density of MJD 57000)."""
    stack = bright_repaired((1024, 48), np.random.default_rng(11))[np.newaxis]
    frac = 1.5 * table.time_scale(57000.0)
    ours, theirs = (run(one, stack, frac, table, table.options(noise_model=0)) for one in (twin, get_backend("numpy")))
    assert np.array_equal(ours.repairs, theirs.repairs)
    assert (ours.repairs > 0).all()
    np.testing.assert_allclose(ours.scale, theirs.scale, rtol=0, atol=RUNAWAY_SCALE)
    apart = np.abs(ours.signal - theirs.signal).max(axis=1)
    assert np.count_nonzero(apart > ELECTRONS) <= RUNAWAY_SHARE * apart.size
    assert apart.max() <= RUNAWAY_ELECTRONS


def test_repair_rules(backend: Backend, table: Pctetab) -> None:
    """Oracle: the rules of stis_cti's FixYCte, worked out here on the first round's result.

    A hole behind a bright pixel is over-subtracted, and the pixel before a step down, ten rows nearer the register,
    counts as its source. One repair must put the factor into the rows source .. hole and its taper into the four rows
    behind.
    """
    hole = 1001
    column = np.full((1, 1024, 1), 40.0)
    column[0, hole - 11] = 60.0
    column[0, hole - 1] = 40000.0
    column[0, hole] = 5.0
    column[0, hole + 1 :] = 900.0
    options = table.options(sim_nit=1, shft_nit=1, noise_model=0)
    first = run(backend, column, 1.5, table, table.options(sim_nit=1, shft_nit=1, noise_model=0, oversub_thresh=-1e9))
    current, observed = first.signal[0, :, 0], column[0, :, 0]
    assert np.flatnonzero((current - observed < -30) & (current < -30)).tolist() == [hole]
    source = next(j for j in range(hole - 1, 0, -1) if current[j] < observed[j - 1]) - 1
    factor = 5.0 / (5.0 - current[hole])
    expected = first.scale[0, :, 0].copy()
    expected[source : hole + 1] *= factor
    for step, share in enumerate((0.8, 0.6, 0.4, 0.2), start=1):
        expected[hole + step] *= 1 - share * (1 - factor)

    final = run(backend, column, 1.5, table, options)
    assert final.repairs.tolist() == [[1]]
    np.testing.assert_allclose(final.scale[0, :, 0], expected, rtol=0, atol=SCALE)
    assert final.signal[0, hole, 0] > -30


def test_exact_zeros_may_fall_to_either_side(twin: Backend, table: Pctetab) -> None:
    """Oracle: the NumPy backend; apart in repaired columns only, and not at all once the zeros are 1e-6 e- off 0."""
    whole = whole_counts((400, 48), np.random.default_rng(2))
    off = np.where(whole == 0, np.random.default_rng(3).normal(0.0, 1e-6, whole.shape), whole)
    options = table.options(noise_model=0)
    arguments = (np.array([table.time_scale(57000.0)]), np.ones(48), table.traps(57000.0), options)
    definition = get_backend("numpy")
    for image, allowed in ((whole, ON_A_LEVEL_ELECTRONS), (off, ELECTRONS)):
        theirs = definition.remove_cti(image[np.newaxis], *arguments, first_row=600)
        ours = twin.remove_cti(twin.asarray(image[np.newaxis]), *arguments, first_row=600)
        apart = np.abs(twin.asnumpy(ours.signal) - theirs.signal)[0].max(axis=0)
        repaired = (theirs.repairs[0] > 0) | (twin.asnumpy(ours.repairs)[0] > 0)
        assert np.count_nonzero(repaired) > 5
        assert apart[~repaired].max() <= ELECTRONS
        assert apart.max() <= allowed
