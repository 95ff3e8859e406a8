"""Full frames against stis_cti's C functions, run in the same test."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import gpucti
from gpucti.backends import get_backend
from gpucti.backends.base import trap_scale
from gpucti.model.pctetab import Pctetab
from support.scenes import SCENES, bright_repaired, whole_counts
from support.tolerances import (
    ELECTRONS,
    ON_A_LEVEL_ELECTRONS,
    RUNAWAY_ELECTRONS,
    RUNAWAY_SCALE,
    RUNAWAY_SHARE,
    SCALE,
)

pytestmark = [pytest.mark.peer, pytest.mark.slow]

pytest.importorskip("stis_cti", reason="stis_cti is not installed (extra 'peer')")
import support.peer_oracle as upstream  # noqa: E402

AMPS = "ABCD"
DATES = (55000.0, 56500.0, 57500.0, 58900.0, 60300.0, 60950.0)  # 2009 to 2025
CASES = [
    pytest.param(scene, model, AMPS[number % 4], DATES[number % 6], id=f"{scene}-{model}")
    for number, (scene, model) in enumerate(itertools.product(SCENES, (0, 1, 2)))
]


@pytest.fixture(scope="module")
def uneven() -> Pctetab:
    """Return the packaged table with a trap density of its own for every column and amplifier."""
    rng = np.random.default_rng(4)
    table = Pctetab.default()
    scales = {amp: (1 + 0.1 * rng.normal(size=table.n_columns)).astype(np.float32).astype(np.float64) for amp in AMPS}
    return replace(table, col_scale=scales)


@pytest.mark.filterwarnings("ignore:.*extrapolated")
@pytest.mark.parametrize(("scene", "noise_model", "amp", "mjd"), CASES)
def test_full_frames(
    uneven: Pctetab, scene: str, noise_model: int, amp: str, mjd: float, record_property: pytest.RecordProperty
) -> None:
    """Oracle: stis_cti's DecomposeRN and FixYCte on 1024 x 1024 pixels; the same columns repaired, the same scales."""
    frame = SCENES[scene]((1024, 1024), np.random.default_rng(len(scene)))
    theirs = upstream.correct_frame(frame, uneven, mjd, amp, noise_model)
    ours = gpucti.correct_arrays(frame, uneven, mjd=mjd, amp=amp, device="numba", noise_model=noise_model)
    turn = -1 if amp in "CD" else 1
    repaired = (theirs.final_scale != theirs.scale).any(axis=0)[::turn]
    apart = np.abs(ours - theirs.corrected).max(axis=0)
    assert apart[~repaired].max(initial=0.0) <= ELECTRONS
    # Columns in which a threshold is met to the last digits: none is expected.
    assert np.count_nonzero(apart[repaired] > ELECTRONS) == 0
    record_property("largest difference", float(apart.max()))

    backend, options = get_backend("numba"), uneven.options(noise_model=noise_model)
    readout = backend.asarray(frame[np.newaxis, ::turn, ::turn])
    signal, _ = backend.split_noise(readout, options)
    restored = backend.remove_cti(
        signal, np.array([uneven.time_scale(mjd)]), np.ascontiguousarray(uneven.col_scale[amp][::turn]),
        uneven.traps(mjd), options, keep_scale=True,
    )  # fmt: skip
    assert np.array_equal(restored.repairs[0] > 0, repaired[::turn])
    np.testing.assert_allclose(restored.scale[0], theirs.final_scale, rtol=0, atol=SCALE)


@pytest.mark.parametrize("factor", [1.0, 1.5])
def test_every_column_repaired(factor: float) -> None:
    """Oracle: stis_cti's FixYCte where every column is repaired ten times.

    At 1.5 times the trap density of MJD 57000 the iteration runs away in some rows and multiplies roundings (see
    tolerances.py): columns beyond 1e-6 e- are counted there, and bounded.
    """
    table = Pctetab.default()
    image = bright_repaired((1024, 96), np.random.default_rng(8))
    frac = np.array([factor * table.time_scale(57000.0)])
    options = table.options(noise_model=0)
    scale = trap_scale(frac, np.ones(96), 1024)[0]
    oracle = upstream.tables(table, 57000.0, options.shft_nit)
    corrected, final = upstream.remove_cti(image, scale, oracle, options)
    one = get_backend("numba")
    restored = one.remove_cti(
        one.asarray(image[np.newaxis]), frac, np.ones(96), table.traps(57000.0), options, keep_scale=True
    )
    assert (restored.repairs > 0).all()
    assert (final != scale).any(axis=0).all()
    apart = np.abs(restored.signal[0] - corrected).max(axis=0)
    if factor == 1.0:
        np.testing.assert_allclose(restored.scale[0], final, rtol=0, atol=SCALE)
        assert apart.max() <= ELECTRONS
    else:
        np.testing.assert_allclose(restored.scale[0], final, rtol=0, atol=RUNAWAY_SCALE)
        assert np.count_nonzero(apart > ELECTRONS) <= RUNAWAY_SHARE * apart.size
        assert apart.max() <= RUNAWAY_ELECTRONS


@pytest.mark.parametrize("gain", [1.0, 4.016])
def test_exact_zeros_may_fall_to_either_side(table: Pctetab, gain: float) -> None:
    """Oracle: stis_cti's FixYCte on whole counts: apart in repaired columns only, by less than an electron.

    Not at all where no pixel is exactly 0: with a count more in each, and with zeros that are 1e-6 e- off 0. Nor in the
    forward model.
    """
    whole = whole_counts((1024, 64), np.random.default_rng(2)) * gain
    off = np.where(whole == 0, np.random.default_rng(3).normal(0.0, 1e-6, whole.shape), whole)
    options, traps = table.options(noise_model=0), table.traps(57000.0)
    frac = np.array([table.time_scale(57000.0)])
    scale = trap_scale(frac, np.ones(64), 1024)[0]
    oracle = upstream.tables(table, 57000.0, options.shft_nit)
    one = get_backend("numba")
    for image, allowed in ((whole, ON_A_LEVEL_ELECTRONS), (whole + gain, ELECTRONS), (off, ELECTRONS)):
        corrected, final = upstream.remove_cti(image, scale, oracle, options)
        ours = one.remove_cti(image[np.newaxis], frac, np.ones(64), traps, options)
        apart = np.abs(ours.signal[0] - corrected).max(axis=0)
        repaired = (final != scale).any(axis=0)
        assert apart[~repaired].max() <= ELECTRONS
        assert apart.max() <= allowed
        trailed = one.add_cti(image[np.newaxis], frac, np.ones(64), traps)[0]
        np.testing.assert_allclose(
            trailed, upstream.add_cti(image, scale, oracle, options.shft_nit), rtol=0, atol=ELECTRONS
        )


@pytest.mark.parametrize("shft_nit", [1, 4, 7])
def test_level_tables(table: Pctetab, shft_nit: int) -> None:
    """Oracle: InterpolatePsi, InterpolatePhi, FillLevelArrays on the same machine: to the last bit."""
    theirs = upstream.tables(table, 57000.0, shft_nit)
    ours = table.traps(57000.0, shft_nit)
    for name in ("charge", "leak", "open"):
        np.testing.assert_array_equal(getattr(ours, name), theirs[name])


@pytest.mark.parametrize("mjd", [50000.0, 54954.5, 57000.25, 58999.99, 59000.0, 61999.0])
def test_time_scale(table: Pctetab, mjd: float) -> None:
    """Oracle: CalcCteFrac, to the last bit."""
    assert table.time_scale(mjd) == upstream.cte_frac(table, mjd)


@pytest.mark.filterwarnings("ignore:ERFA", "ignore::DeprecationWarning", "ignore::UserWarning")
def test_upstream_reads_the_written_table(uneven: Pctetab, tmp_path: Path) -> None:
    """Oracle: stis_cti's own reader, on the file that `gpucti pctetab --write` makes: every figure the same."""
    from stis_cti.StisPixCteCorr import _PixCteParams

    for table in (Pctetab.default(), uneven):
        path = table.write(tmp_path / "a02_stis_pcte.fits", overwrite=True)
        read = _PixCteParams(str(path), 57000.0)
        assert read["cte_frac"] == table.time_scale(57000.0)
        assert (read["sim_nit"], read["shft_nit"], read["noise_model"]) == (7, 4, 1)
        assert (read["read_noise"], read["oversub_thresh"], read["pcte_ver"]) == (5.6, -30.0, "0.2")
        np.testing.assert_array_equal(read["q_dtde"], table.q)
        np.testing.assert_array_equal(read["dtde_l"], table.dtde)
        np.testing.assert_array_equal(read["levels"], table.levels)
        np.testing.assert_array_equal(read["psi_node"], table.epochs[0].node)
        np.testing.assert_array_equal(read["chg_leak"], table.epochs[0].profile)
        for amp in AMPS:
            np.testing.assert_array_equal(read["col_scale"][amp], table.col_scale[amp])
