"""Frames that try a backend: what telescopes deliver, and what they should not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gpucti.synthetic import scenes as simulate

Scene = Callable[[tuple[int, int], np.random.Generator], np.ndarray]

READ_NOISE = 5.6


def _noisy(scene: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return simulate.observe(scene, rng, read_noise=READ_NOISE)


def bright_repaired(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return a bright frame with holes: nearly every column comes out over-subtracted and is repaired."""
    image = rng.poisson(50 + 3000 * rng.random(shape) ** 8).astype(float)
    image[rng.random(shape) < 0.003] -= 200.0
    return image


def whole_counts(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return whole electrons, most of them 0, and cosmic rays: the one kind of frame with charge exactly on a level."""
    image = rng.poisson(0.3, shape).astype(float)
    hit = rng.random(shape) < 0.002
    image[hit] = np.round(10 ** rng.uniform(2, 5, np.count_nonzero(hit)))
    return image


#: The frames of real life (issue: exact against stis_cti), electrons in readout orientation.
SCENES: dict[str, Scene] = {
    "dark": lambda shape, rng: _noisy(simulate.dark(shape, rng), rng),
    "stars": lambda shape, rng: _noisy(simulate.star_field(shape, rng, sky=2.0), rng),
    "saturated stars": lambda shape, rng: _noisy(simulate.star_field(shape, rng, sky=2.0, brightest=3e6), rng),
    "long slit": lambda shape, rng: _noisy(simulate.long_slit(shape, rng), rng),
    "flat field": lambda shape, rng: _noisy(simulate.flat_field(shape, level=20000.0), rng),
    "zero": lambda shape, rng: np.zeros(shape),
    "negative": lambda shape, rng: -rng.exponential(20.0, shape),
    "white noise": lambda shape, rng: rng.normal(0.0, READ_NOISE, shape),
}
