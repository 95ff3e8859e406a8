"""How much of the trailed charge is put back, on simulated scenes of known truth.

    python benchmarks/truth.py [--columns 512] [--device auto] [--output FILE]

Put back: ``1 - sum|corrected - truth| / sum|trailed - truth|`` over the frame, without any noise. With noise (photons,
then trails, then read noise): the slope of corrected - trailed on truth - trailed, truth being the charge before
readout.
"""

from __future__ import annotations

import numpy as np
from common import MJD, READ_NOISE, machine, parser, publish, table

import gpucti
from gpucti.synthetic import scenes as simulate


def put_back(truth: np.ndarray, model: int, device: str) -> float:
    """Return the share of the trailed charge that the correction puts back, without noise."""
    trailed = gpucti.add_cti_arrays(truth, mjd=MJD, amp="A", device=device)
    corrected = gpucti.correct_arrays(trailed, mjd=MJD, amp="A", device=device, noise_model=model)
    return float(1 - np.abs(corrected - truth).sum() / np.abs(trailed - truth).sum())


def slope(truth: np.ndarray, rng: np.random.Generator, model: int, device: str) -> float:
    """Return the slope of corrected - trailed on truth - trailed, with photon and read noise."""
    charge = rng.poisson(truth).astype(float)
    trailed = gpucti.add_cti_arrays(charge, mjd=MJD, amp="A", device=device)
    observed = trailed + rng.normal(0.0, READ_NOISE, truth.shape)
    corrected = gpucti.correct_arrays(observed, mjd=MJD, amp="A", device=device, noise_model=model)
    lost, given = (charge - trailed).ravel(), (corrected - observed).ravel()
    return float(np.dot(lost, given) / np.dot(lost, lost))


def main() -> None:
    """Measure and print a markdown table."""
    options = parser(__doc__)
    options.add_argument("--columns", type=int, default=512)
    options.add_argument("--device", default="auto")
    arguments = options.parse_args()
    shape = (1024, arguments.columns)
    rng = np.random.default_rng(98)
    scenes = {
        "star field, sky 20 e-": simulate.star_field(shape, rng, sky=20.0),
        "star field, sky 5 e-": simulate.star_field(shape, rng, sky=5.0),
        "star field, sky 2 e-": simulate.star_field(shape, rng, sky=2.0),
        "dark, 1100 s": simulate.dark(shape, rng),
        "long slit, sky 20 e-": simulate.long_slit(shape, rng, sky=20.0),
    }
    rows = []
    for name, truth in scenes.items():
        shares = [f"{100 * put_back(truth, model, arguments.device):.1f} %" for model in (0, 1)]
        slopes = [f"{slope(truth, rng, model, arguments.device):.3f}" for model in (0, 1)]
        rows.append([name, *shares, *slopes])
    head = [
        "scene", "noise-free, NSEMODEL 0", "noise-free, NSEMODEL 1",
        f"read noise {READ_NOISE} e-, slope, NSEMODEL 0", "slope, NSEMODEL 1",
    ]  # fmt: skip
    publish(
        "Trailed charge put back",
        [f"{machine()}.", "", f"MJD {MJD:g}, frames of 1024 x {arguments.columns}.", "", *table(head, rows)],
        arguments.output,
    )


if __name__ == "__main__":
    main()
