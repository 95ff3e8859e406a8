"""From nodes to levels."""

from __future__ import annotations

import numpy as np
import pytest

from gpucti.model import traps as traps_module
from gpucti.model.pctetab import Pctetab
from gpucti.model.traps import AGES, TAIL, TrapTable, interpolate_phi, interpolate_psi
from support.recorded import upstream

GOLDEN = upstream()
# The C library's log10 and pow may differ in the last bit between systems; the golden ones are glibc's.
LIBM = {"rtol": 1e-13, "atol": 1e-16}


@pytest.fixture(scope="module")
def traps() -> TrapTable:
    return Pctetab.default().traps(57000.0)


def test_level_tables_are_upstreams(traps: TrapTable) -> None:
    """Oracle: stis_cti's FillLevelArrays."""
    np.testing.assert_allclose(traps.charge, GOLDEN["charge"], **LIBM)
    np.testing.assert_allclose(traps.leak, GOLDEN["leak"], **LIBM)
    np.testing.assert_allclose(traps.open, GOLDEN["open"], rtol=1e-13, atol=3e-16)  # 1 - sum: absolute roundings


def test_release_profile_is_upstreams(table: Pctetab) -> None:
    """Oracle: stis_cti's InterpolatePsi, to the last bit (sums and quotients only)."""
    epoch = table.epochs[0]
    leak, still_open = interpolate_psi(epoch.node, epoch.profile)
    assert np.array_equal(leak, GOLDEN["psi"])
    assert np.array_equal(still_open, GOLDEN["psi_open"])


def test_trapped_fraction_is_upstreams(table: Pctetab) -> None:
    """Oracle: stis_cti's InterpolatePhi, summed over each thousand charges."""
    phi = interpolate_phi(table.q, table.dtde, table.defaults.shft_nit)
    np.testing.assert_allclose(phi.reshape(-1, 1000).sum(axis=1), GOLDEN["phi_sum"], rtol=1e-11, atol=1e-13)


def test_profile_between_nodes_is_a_straight_line() -> None:
    """Oracle: hand-worked: nodes at 1, 3 and 60 with 2, 1 and 1 give 2, 1.5, 1, 1 ... before normalising."""
    leak, still_open = interpolate_psi([1, 3, 60], [[2.0, 2.0], [1.0, 1.0], [1.0, 1.0]])
    total = 2 + 1.5 + 58
    np.testing.assert_allclose(leak[:4, 0], np.array([2, 1.5, 1, 1]) / total, rtol=1e-15)
    assert still_open[0, 0] == 1 - leak[0, 0]


def test_trapped_fraction_at_a_node() -> None:
    """Oracle: hand-worked: density 10.24 over 1024 rows is 1 % per row; in 4 passes 1 - 0.99**256 each."""
    phi = interpolate_phi([1, 10, 20], [10.24, 10.24, 1.0], 4)
    np.testing.assert_allclose(phi[:9], 1 - 0.99**256, rtol=1e-13)
    # past the last but one node the density falls on a straight line to zero, from 10.24 at 10 to 0 at 20
    np.testing.assert_allclose(phi[14], 1 - (1 - 5.12 / 1024) ** 256, rtol=1e-13)
    assert phi[19] == 0


def test_sizes_come_from_the_table() -> None:
    """Oracle: hand-worked: five levels, two profiles."""
    traps = TrapTable.build([0, 1, 5, 20, 50], [1, 10, 60], [1.0, 1.0, 1.0], [1, 60], [[1, 1], [1, 1]], 2)
    assert traps.held.shape == (5, AGES)
    assert list(traps.level_of[[0, 1, 4, 5, 19, 20, 49, 50]]) == [0, 1, 1, 2, 2, 3, 3, 3]
    assert traps.charge.shape == (5,)
    # uniform release: after half the tail half the charge is still there
    np.testing.assert_allclose(traps.held[:, TAIL // 2], traps.held[:, 0] / 2, rtol=1e-14)


def test_held_charge_is_the_sum_over_levels(traps: TrapTable) -> None:
    """Oracle: the definition, summed exactly with math.fsum."""
    import math

    for level, age in [(1, 0), (50, 7), (297, 0), (297, 33), (120, 59)]:
        share = traps.open[age - 1] if age else np.ones(len(traps.levels))
        exact = math.fsum(share[lower] * traps.charge[lower + 1] for lower in range(level))
        assert traps.held[level, age] == pytest.approx(exact, rel=1e-15)
    assert not traps.held[:, TAIL:].any()


def test_running_sum_is_compensated() -> None:
    """Oracle: exact integers: 1 + 1e16 + 1 - in plain float64 the ones vanish."""
    sums = traps_module._running_sum(np.array([[1.0], [1e16], [1.0]]))
    assert sums[-1, 0] == 1e16 + 2
