"""The live oracle: the C functions of stis_cti, called as its own Python does (extra ``peer``)."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its dependencies warn of their own deprecations on import
    from stis_cti import StisPixCte_FixY as c_functions


def cte_frac(table: Any, mjd: float) -> float:
    """Return the trap density at a date."""
    return float(c_functions.CalcCteFrac(mjd, table.scale_mjd, table.scale))


def tables(table: Any, mjd: float, shft_nit: int) -> dict[str, np.ndarray]:
    """Return the interpolated tables."""
    epoch = table.epoch(mjd)
    psi, psi_open = c_functions.InterpolatePsi(epoch.profile, epoch.node.astype(np.int32))
    levels = table.levels.astype(np.int32)
    phi = c_functions.InterpolatePhi(table.dtde, table.q.astype(np.int32), shft_nit)
    leak, still_open, charge = c_functions.FillLevelArrays(psi, psi_open, phi, levels)
    return {
        "psi": psi, "psi_open": psi_open, "phi": phi, "leak": leak, "open": still_open, "charge": charge,
        "levels": levels,
    }  # fmt: skip


def split_noise(image: np.ndarray, read_noise: float, noise_model: int) -> tuple[np.ndarray, np.ndarray]:
    """Return signal and noise."""
    signal, noise = c_functions.DecomposeRN(image, read_noise, noise_model)
    return signal, noise


def remove_cti(
    signal: np.ndarray, scale: np.ndarray, oracle: dict[str, np.ndarray], options: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Return the corrected signal and the scale that FixYCte leaves in its argument."""
    final = np.array(scale, dtype=np.float64, order="C")
    corrected = c_functions.FixYCte(
        signal, options.sim_nit, options.shft_nit, options.oversub_thresh, final,
        oracle["levels"], oracle["charge"], oracle["leak"], oracle["open"],
    )  # fmt: skip
    return corrected, final


def add_cti(image: np.ndarray, scale: np.ndarray, oracle: dict[str, np.ndarray], shft_nit: int) -> np.ndarray:
    """Return the trailed image."""
    result: np.ndarray = c_functions.AddYCte(
        image, shft_nit, scale, oracle["levels"], oracle["charge"], oracle["leak"], oracle["open"]
    )
    return result


class Frame(NamedTuple):
    """A corrected frame, in file orientation; the scale in readout orientation, before and after the repairs."""

    corrected: np.ndarray
    scale: np.ndarray
    final_scale: np.ndarray


def correct_frame(frame: np.ndarray, table: Any, mjd: float, amp: str, noise_model: int) -> Frame:
    """Correct a frame of gain 1 in the order of stis_cti's YCte."""
    options = table.options(noise_model=noise_model)
    turn = -1 if amp in "CD" else 1
    readout = np.ascontiguousarray(frame[::turn, ::turn], dtype=np.float64)
    signal, noise = split_noise(readout, options.read_noise, noise_model)
    rows, cols = frame.shape
    scale = cte_frac(table, mjd) * np.ones(frame.shape) * table.col_scale[amp][:cols][::turn]
    scale = scale * np.arange(1, rows + 1).reshape(rows, 1) / 1024.0
    corrected, final = remove_cti(signal, scale, tables(table, mjd, options.shft_nit), options)
    return Frame((corrected + noise)[::turn, ::turn], scale, final)
