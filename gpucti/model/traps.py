"""From the nodes of a PCTETAB to the table that every backend walks.

The model of Anderson & Bedin (2010, PASP 122, 1035): traps at charge level ``l`` hold ``charge[l + 1]``
electrons when full, and ``n`` pixels after capture the fraction ``open[n - 1][l]`` of it is still held.
The numbers equal those of stis_cti's ``InterpolatePsi``, ``InterpolatePhi`` and ``FillLevelArrays``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

#: Pixels after which a trap has given back everything. Not in the table: stis_cti cuts every profile here.
TAIL = 60
#: Ages per row of `TrapTable.held`; a power of two so that a row starts on a cache line.
AGES = 64
#: Row for which the table's trap density is given (1-based, counted from the readout register).
REFERENCE_ROW = 1024
#: The profile columns ``LOG_Q_1 ..`` belong to charges of 10**1, 10**2, ... electrons; upstream clips
#: the logarithm just below the last one.
FIRST_LOG_Q = 1.0
LAST_LOG_Q_MARGIN = 0.001


@dataclass(frozen=True, eq=False)
class TrapTable:
    """The traps of one epoch and one number of shifts, per charge level.

    Attributes
    ----------
    levels : (L,) float64
        Charge levels in electrons, whole numbers, strictly rising.
    charge : (L,) float64
        Electrons held by the traps between levels ``l - 1`` and ``l`` when full, at scale 1 and for one
        of the passes that make up a readout.
    leak, open : (60, L) float64
        Fraction released in pixel ``n + 1`` after capture, and fraction still held after it.
    held : (L, 64) float64
        ``held[l, n]``: electrons that the traps below level index ``l`` hold ``n`` pixels after they
        were all filled, at scale 1; ages of 60 and more are 0.
    level_of : (levels[-1] + 1,) int16
        Index of the highest level at or below a whole number of electrons, at most ``L - 2``.
    inverse_step : (L,) float64
        ``1 / (levels[l + 1] - levels[l])``, 1 for the last.
    shft_nit : int
        Passes over a column that make up one readout; `charge` and `held` are for one of them.
    """

    levels: Floats
    charge: Floats
    leak: Floats
    open: Floats
    held: Floats
    level_of: npt.NDArray[np.int16]
    inverse_step: Floats
    shft_nit: int

    @classmethod
    def build(
        cls,
        levels: npt.ArrayLike,
        q: npt.ArrayLike,
        dtde: npt.ArrayLike,
        nodes: npt.ArrayLike,
        psi: npt.ArrayLike,
        shft_nit: int,
    ) -> TrapTable:
        """Interpolate the nodes of a PCTETAB to its charge levels.

        Parameters
        ----------
        levels : (L,) int
            Table ``LEVELS``, electrons.
        q, dtde : (P,)
            Table ``DTDE``: charge of each node in electrons, and traps per electron of charge there.
        nodes, psi : (N,) int, (N, C) float
            Table ``CHG_LEAKn``: distance from the charge in pixels, and release profile at log10 of the
            charge 1, 2, ... C.
        shft_nit : int
            Passes that make up one readout.
        """
        levels = np.asarray(levels, dtype=np.int64)
        leak_k, open_k = interpolate_psi(nodes, psi)
        leak, open_, charge = fill_levels(leak_k, open_k, interpolate_phi(q, dtde, shft_nit), levels)

        still_held = np.vstack([np.ones_like(charge), open_])[:TAIL, :-1]  # ages 0..59; the last level never fills
        held = np.zeros((len(levels), AGES))
        held[1:, :TAIL] = _running_sum((still_held * charge[1:]).T)
        level_of = np.searchsorted(levels, np.arange(levels[-1] + 1), side="right") - 1
        return cls(
            levels=levels.astype(np.float64),
            charge=charge,
            leak=leak,
            open=open_,
            held=held,
            level_of=np.clip(level_of, 0, len(levels) - 2).astype(np.int16),
            inverse_step=np.append(1.0 / np.diff(levels), 1.0),
            shft_nit=int(shft_nit),
        )


def interpolate_psi(nodes: npt.ArrayLike, psi: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return the release profile at 1 to 60 pixels and the fraction still held, both ``(60, C)``.

    Linear between the nodes, cut at 60 pixels and normalised there (stis_cti ``InterpolatePsi``).
    """
    nodes = np.asarray(nodes, dtype=np.float64)
    psi = np.asarray(psi, dtype=np.float64)
    pixel = np.arange(1.0, TAIL + 1)
    low = np.clip(np.searchsorted(nodes, pixel, side="right") - 1, 0, len(nodes) - 2)
    part = ((pixel - nodes[low]) / (nodes[low + 1] - nodes[low]))[:, np.newaxis]
    profile = psi[low] + part * (psi[low + 1] - psi[low])
    leak = profile / np.cumsum(profile, axis=0)[-1]  # cumsum adds in upstream's order, sum() does not
    return leak, 1.0 - np.cumsum(leak, axis=0)


def interpolate_phi(q: npt.ArrayLike, dtde: npt.ArrayLike, shft_nit: int) -> Floats:
    """Return the trapped fraction of each electron, index ``i`` for the electron of charge ``i + 1``.

    Power laws between the nodes of `q`, a straight line to zero in the last interval, turned from a
    loss over 1024 rows into one over a single pass (stis_cti ``InterpolatePhi``).
    """
    q = np.asarray(q, dtype=np.int64)
    dtde = np.asarray(dtde, dtype=np.float64)
    electron = np.arange(q[0], q[-1])
    node = np.searchsorted(q, electron, side="right") - 1
    log_q, log_d = _log10(q), _log10(dtde)
    part = (_log10(electron) - log_q[node]) / (log_q[node + 1] - log_q[node])
    density = _power(10.0, log_d[node] + part * (log_d[node + 1] - log_d[node]))
    last = node == len(q) - 2
    density[last] = dtde[-2] * (1.0 - (electron[last] - q[-2]) / float(q[-1] - q[-2]))

    every = np.zeros(q[-1])  # charges below the first node, and the last node itself: no traps
    every[electron - 1] = density
    return 1.0 - _power(1.0 - every / REFERENCE_ROW, REFERENCE_ROW / float(shft_nit))


def fill_levels(
    leak_k: Floats, open_k: Floats, phi: Floats, levels: npt.NDArray[np.int64]
) -> tuple[Floats, Floats, Floats]:
    """Return ``leak``, ``open`` as ``(60, L)`` and ``charge`` ``(L,)`` at the charge levels.

    Profiles are interpolated in the logarithm of the charge, trapped charge is summed between levels
    (stis_cti ``FillLevelArrays``; its first level takes the first profile).
    """
    total = np.concatenate([[0.0], np.cumsum(phi[levels[0] : levels[-1]])])  # electrons from levels[0] up
    below = total[levels - levels[0]]
    charge = np.concatenate([[0.0], np.diff(below)])

    n_profiles = leak_k.shape[1]
    log_q = np.clip(_log10(np.maximum(levels, 1)), FIRST_LOG_Q, n_profiles - LAST_LOG_Q_MARGIN)
    part = log_q - np.floor(log_q)
    low = np.floor(log_q).astype(int) - 1
    low[0], part[0] = 0, 0.0
    leak = (1.0 - part) * leak_k[:, low] + part * leak_k[:, low + 1]
    open_ = (1.0 - part) * open_k[:, low] + part * open_k[:, low + 1]
    return leak, open_, charge


# The C library's log10 and pow: NumPy's own vary in the last bit with the processor, and results would with them.
_LOG10 = np.frompyfunc(math.log10, 1, 1)
_POWER = np.frompyfunc(math.pow, 2, 1)


def _log10(values: npt.NDArray[Any]) -> Floats:
    return np.asarray(_LOG10(values), dtype=np.float64)


def _power(base: Floats | float, exponent: Floats | float) -> Floats:
    return np.asarray(_POWER(base, exponent), dtype=np.float64)


def _running_sum(terms: Floats) -> Floats:
    """Return the running sum along axis 0, compensated (Neumaier 1974): segments are differences of these sums."""
    sums = np.empty_like(terms)
    total = np.zeros(terms.shape[1])
    lost = np.zeros(terms.shape[1])
    for row, term in enumerate(terms):
        larger = np.maximum(total, term)  # no term is negative
        new = total + term
        lost += (larger - new) + np.minimum(total, term)
        total = new
        sums[row] = total + lost
    return sums
