"""Which points of a spectrum the axis has to show."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from gpucti.plots.limits import padded, points_that_count

N = 200
AT = 120


def noise(level: float = 1.0, sigma: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """Return a flat spectrum with its errors."""
    return level + np.random.default_rng(3).normal(0, sigma, N), np.full(N, sigma)


def line(*profile: float, height: float = 60.0) -> tuple[np.ndarray, np.ndarray]:
    """Return a flat spectrum with a line of this profile from AT on; its peak has a signal to noise of 240."""
    values, error = noise()
    for index, share in enumerate(profile, start=AT):
        values[index] += share * height
        error[index] = max(0.05, share * height / 240.0)
    return values, error


NONE = np.zeros(N, dtype=bool)


def flags(*places: int) -> np.ndarray:
    flagged = NONE.copy()
    flagged[list(places)] = True
    return flagged


@pytest.mark.parametrize("profile", [(0.5, 1, 0.5), (1, 1, 1), (0.13, 1, 1, 0.13), (0.12, 1, 0.27), (0.6, 1, 0.4, 0.1)])
@pytest.mark.parametrize("sign", [1, -1])
def test_lines_count_whole(profile: tuple[float, ...], sign: int) -> None:
    """Oracle: a line of three pixels and more at a signal to noise of 240, errors 5 times and more those beside it."""
    values, error = line(*profile)
    peak = int(np.argmax(values))
    assert error[peak] >= 5 * np.median(error)
    for flagged in (None, NONE, flags(peak), ~NONE):  # one pixel of the line; all: they tell nothing
        count = points_that_count(sign * values, error, flagged)
        assert values[count].max() > 0.99 * values[peak]
    assert values[points_that_count(sign * values)].max() > 0.99 * values[peak]


def test_lone_pixels_do_not_count() -> None:
    """Oracle: a cosmic ray in one pixel, at an end too, flagged or not, whatever its signal to noise."""
    for place in (AT, 0, N - 1):
        values, error = noise()
        values[place], error[place] = 500.0, 2.0
        for flagged in (NONE, flags(place)):
            count = points_that_count(values, error, flagged)
            assert not count[place] and values[count].max() < 1.5
        values[place] = np.nan
        assert not points_that_count(values, error)[place]


def test_flagged_pixels_need_an_honest_neighbour() -> None:
    """Oracle: a cosmic ray with flags is no line, nor one without a foot; a line may have one flag."""
    values, error = line(0.12, 1.0, 0.6, 0.1)
    assert not points_that_count(values, error, flags(AT + 1, AT + 2))[AT + 1]
    assert points_that_count(values, error, flags(AT + 1))[AT + 1]
    values, error = line(1.0, 0.6)
    assert not points_that_count(values, error, NONE)[AT]
    wide, error = line(0.5, 1.0, 0.5)  # a saturated line
    assert points_that_count(wide, error, flags(AT, AT + 1, AT + 2))[AT + 1]


def test_ends_without_sensitivity_do_not_count() -> None:
    """Oracle: 30 pixels whose errors rise to a hundredfold; a line of low signal to noise there is none."""
    values, error = noise()
    error[:30] = np.geomspace(5.0, 0.3, 30)
    values[:30] = 1 + np.random.default_rng(4).normal(0, error[:30])
    values[10:13] = 3 * error[10:13]
    count = points_that_count(values, error, NONE)
    assert values[count].min() > 0.5 and values[count].max() < 1.5
    values[10:13] = 40 * error[10:13]
    assert points_that_count(values, error, NONE)[11]


def test_absorption_and_slopes() -> None:
    """Oracle: the bottom of an absorption line, and both ends of a steep slope."""
    values, error = line(0.5, 1.0, 0.5, height=-0.9)
    assert points_that_count(values, error)[AT + 1]
    slope = np.geomspace(1.0, 1000.0, N)
    assert points_that_count(slope, 0.01 * slope, NONE)[[0, N - 1]].all()


@pytest.mark.parametrize("value", [0.0, 7.0, -3.0, np.nan])
@pytest.mark.parametrize("size", [1, 2, 3, N])
def test_dull_spectra(value: float, size: int) -> None:
    """Oracle: all points or none, and no warning; errors of 0, NaN, or none; all flagged."""
    values = np.full(size, value)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for error in (None, np.zeros(size), np.full(size, np.nan), np.ones(size)):
            for flagged in (None, np.zeros(size, dtype=bool), np.ones(size, dtype=bool)):
                count = points_that_count(values, error, flagged)
                assert count.all() if np.isfinite(value) else not count.any()


def test_padded() -> None:
    """Oracle: 12 % by hand; from zero where that is not far; never empty."""
    assert padded(np.array([-1.0, 9.0])) == pytest.approx((-2.2, 10.2))
    assert padded(np.array([1.0, 9.0])) == pytest.approx((0.0, 10.08))
    assert padded(np.array([8.0, 9.0])) == pytest.approx((7.88, 9.12))
    assert padded(np.array([-9.0, -1.0])) == pytest.approx((-10.08, 1.08))
    assert padded(np.array([0.0])) == (0.0, 1.0)
    assert padded(np.array([-1.0, 1.0, 1.0])) == pytest.approx((-1.24, 1.24))
