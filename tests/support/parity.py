"""A backend on one stack, and what stis_cti's C functions made of the same numbers."""

from __future__ import annotations

import numpy as np

from gpucti.backends.base import Backend, Restored, trap_scale
from gpucti.model.pctetab import Pctetab
from gpucti.options import CorrectionOptions
from support.recorded import upstream
from support.tolerances import ELECTRONS, NOISE_ROUNDINGS, SCALE

GOLDEN = upstream()
GOLDEN_SCENES = sorted({key.rsplit(".", 1)[0] for key in GOLDEN if "." in key})


def run(
    backend: Backend, stack: np.ndarray, frac: float, table: Pctetab, options: CorrectionOptions, **kwargs: object
) -> Restored:
    """Correct a stack and bring everything to the host."""
    n, _, cols = stack.shape
    restored = backend.remove_cti(
        backend.asarray(stack), np.full(n, frac), np.ones(cols), table.traps(57000.0, options.shft_nit), options,
        keep_scale=True, **kwargs,  # type: ignore[arg-type]
    )  # fmt: skip
    return Restored(*(backend.asnumpy(array) for array in restored))


def require_upstreams_numbers(backend: Backend, table: Pctetab, name: str) -> None:
    """Compare a backend with stis_cti's DecomposeRN, FixYCte and AddYCte on one recorded scene."""
    golden = {key.rsplit(".", 1)[1]: GOLDEN[key] for key in GOLDEN if key.startswith(f"{name}.")}
    options = table.options(noise_model=int(golden["noise_model"]))
    frac, image = float(golden["cte_frac"]), golden["image"]
    rows, cols = image.shape
    signal, noise = (
        backend.asnumpy(part)[0] for part in backend.split_noise(backend.asarray(image[np.newaxis]), options)
    )
    last_bits = NOISE_ROUNDINGS * np.spacing(np.abs(image).max())
    np.testing.assert_allclose(signal, golden["signal"], rtol=0, atol=last_bits)
    np.testing.assert_allclose(noise, golden["noise"], rtol=0, atol=last_bits)

    restored = run(backend, golden["signal"][np.newaxis], frac, table, options)
    np.testing.assert_allclose(restored.signal[0], golden["corrected"], rtol=0, atol=ELECTRONS)
    expected = trap_scale(np.array([frac]), np.ones(cols), rows)[0]
    expected[:, golden["repaired"]] = golden["scale"]
    assert np.array_equal(np.flatnonzero(restored.repairs[0]), golden["repaired"])
    np.testing.assert_allclose(restored.scale[0], expected, rtol=0, atol=SCALE)

    trailed = backend.add_cti(backend.asarray(image[np.newaxis]), np.array([frac]), np.ones(cols), table.traps(57000.0))
    np.testing.assert_allclose(backend.asnumpy(trailed)[0], golden["trailed"], rtol=0, atol=ELECTRONS)
