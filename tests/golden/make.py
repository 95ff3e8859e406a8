"""Write upstream.npz with the C functions of stis_cti; see README.md. Needs the extra ``peer``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
import support.peer_oracle as upstream
from gpucti.backends.base import trap_scale
from gpucti.model.pctetab import Pctetab
from support import scenes

ROWS, COLS = 1024, 4
CASES = [  # scene, noise model, date, factor on the trap scale
    ("dark", 1, 55000.0, 1.0),
    ("stars", 1, 57000.0, 1.0),
    ("saturated stars", 2, 60600.0, 1.0),
    ("long slit", 0, 58500.0, 1.0),
    ("white noise", 1, 60600.0, 1.0),
    ("bright, repaired", 0, 57000.0, 1.0),
]


def main() -> None:
    """Compute and store."""
    table = Pctetab.default()
    oracle = upstream.tables(table, 57000.0, table.defaults.shft_nit)
    out = {name: oracle[name] for name in ("charge", "leak", "open", "psi", "psi_open")}
    out["phi_sum"] = oracle["phi"].reshape(-1, 1000).sum(axis=1)
    out["mjd"] = np.array([50000.0, 54954.3, 57000.0, 58999.9, 59000.0, 61000.0])
    out["cte_frac"] = np.array([upstream.cte_frac(table, mjd) for mjd in out["mjd"]])
    for name, model, mjd, factor in CASES:
        rng = np.random.default_rng(len(name))
        scene = scenes.bright_repaired if name == "bright, repaired" else scenes.SCENES[name]
        image = np.round(scene((ROWS, 24), rng)[:, :COLS], 2)
        frac = table.time_scale(mjd) * factor
        scale = trap_scale(np.array([frac]), np.ones(COLS), ROWS)[0]
        signal, noise = upstream.split_noise(image, table.defaults.read_noise, model)
        corrected, final = upstream.remove_cti(signal, scale, oracle, table.options(noise_model=model))
        repaired = np.flatnonzero((final != scale).any(axis=0))
        values = {
            "image": image, "cte_frac": frac, "noise_model": model, "signal": signal, "noise": noise,
            "corrected": corrected, "repaired": repaired, "scale": final[:, repaired],
            "trailed": upstream.add_cti(image, scale, oracle, table.defaults.shft_nit),
        }  # fmt: skip
        out |= {f"{name}.{key}": value for key, value in values.items()}
    np.savez_compressed(Path(__file__).with_name("upstream.npz"), **out)


if __name__ == "__main__":
    main()
