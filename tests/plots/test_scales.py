"""Colour scales: what shares one, and where the ticks are."""

from __future__ import annotations

import numpy as np
import pytest

from gpucti.plots.scales import TICKS_APART, roundest, shared_scales, ticks


def sky(level: float, noise: float = 5.0, top: float = 3000.0, seed: int = 1) -> np.ndarray:
    """Return an image of a sky with a few bright pixels."""
    image = np.random.default_rng(seed).normal(level, noise, (60, 60))
    image[30, ::4] += top
    return image


def members(*images: np.ndarray, kinds: str = "") -> list[tuple[int, ...]]:
    return [scale.members for scale in shared_scales(images, list(kinds or "a" * len(images)))]


def test_what_can_be_compared_shares_a_scale() -> None:
    """Oracle: before and after the correction; a sum of exposures; not a bias of 1500 counts, not another unit."""
    assert members(sky(40), sky(41, seed=2)) == [(0, 1)]
    assert members(sky(40, 9), sky(75, 12)) == [(0, 1)]
    assert members(sky(1510), sky(8)) == [(0,), (1,)]
    assert members(sky(1510), sky(8), sky(1512), sky(9)) == [(0, 2), (1, 3)]
    assert members(sky(40), sky(40), kinds="ab") == [(0,), (1,)]
    assert members(np.full((9, 9), np.nan), sky(40), np.zeros((9, 9))) == [(0, 1), (2,)]


@pytest.mark.parametrize("level", [0.0, 31.0, 1134.0, 1510.0, -40.0, 1e6])
@pytest.mark.parametrize("noise", [1.5, 6.0, 40.0])
@pytest.mark.parametrize("top", [100.0, 20_000.0])
def test_ticks(level: float, noise: float, top: float) -> None:
    """Oracle: three ticks and more, apart from each other, none far from the sky, no stretch of a third without one."""
    [scale] = shared_scales([sky(level, noise, top)], "a")
    values = ticks(scale.norm)
    places = np.asarray(scale.norm(values), dtype=float)
    assert len(values) >= 3 and (np.diff(places) > TICKS_APART / 2).all()
    assert (np.diff([0.0, *places, 1.0]) < 1 / 3).all()
    at_sky = float(scale.norm(level / 10.0**scale.exponent))
    assert np.abs(places - at_sky).min() < 0.17
    assert all(f"{value:g}" != f"{other:g}" for value, other in zip(values, values[1:], strict=False))


def test_ticks_of_one_value() -> None:
    """Oracle: an image of nothing but one value, or of no number, has a scale with ticks too."""
    for value in (0.0, 7.0, -1e30, 1e9 + 0.5, np.nan):
        [scale] = shared_scales([np.full((4, 4), value)], "a")
        assert len(ticks(scale.norm)) >= 3


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1512, 1688, 1600),
        (-3, 4, 0),
        (0.21, 0.29, 0.25),
        (-1688, -1512, -1600),
        (1.1e-15, 1.9e-15, 1.5e-15),
        (99, 101, 100),
    ],
)
def test_roundest(low: float, high: float, expected: float) -> None:
    """Oracle: by hand."""
    assert roundest(low, high) == pytest.approx(expected, rel=1e-9)
