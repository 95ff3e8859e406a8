"""Colour scales of images: which images share one, how far it reaches, and where its ticks are."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.colors import FuncNorm
from matplotlib.ticker import MaxNLocator

from gpucti.plots.style import power_of_ten

Values = npt.NDArray[np.float64]

#: Share of the pixels that is darker than the brightest colour.
BRIGHT = 0.998
#: Pixels that are looked at for a scale, about.
SAMPLE = 1_000_000
#: Images whose skies differ by more than this, in units of their noise, have scales of their own.
APART = 5.0
#: Distance of two ticks, and the longest stretch without one, as shares of the length.
TICKS_APART, GAP = 0.07, 0.25


class Level(NamedTuple):
    """Where the sky of an image lies, how much it scatters, and how bright its bright pixels are."""

    middle: float
    noise: float
    top: float


class Scale(NamedTuple):
    """A colour scale of one or more images.

    Attributes
    ----------
    norm : FuncNorm
        From pixels divided by the power of ten to 0 ... 1.
    exponent : int
        The power of ten.
    members : tuple of int
        The images that are drawn on it, by their place in the list.
    """

    norm: FuncNorm
    exponent: int
    members: tuple[int, ...]


def shared_scales(images: Sequence[Values], kinds: Sequence[Hashable]) -> list[Scale]:
    """Return the scales of images, in the order in which they are needed.

    Images of one kind share a scale, so that they can be compared, unless the sky of one lies far from that of
    another: there nothing but the difference would be seen.

    Parameters
    ----------
    images : sequence of arrays
        The pixels that are shown.
    kinds : sequence
        What can be compared has the same.
    """
    flat = [_finite(image) for image in images]
    levels = [level(values) for values in flat]
    groups: list[list[int]] = []
    for index, kind in enumerate(kinds):
        for group in groups:
            if kinds[group[0]] == kind and all(_near(levels[index], levels[other]) for other in group):
                group.append(index)
                break
        else:
            groups.append([index])
    return [Scale(*_norm(np.concatenate([flat[index] for index in group])), tuple(group)) for group in groups]


def level(values: Values) -> Level | None:
    """Return the level of finite pixels, None if there are none."""
    if not len(values):
        return None
    middle = float(np.median(values))
    noise = 1.4826 * float(np.median(np.abs(values - middle)))
    top = float(np.quantile(values, BRIGHT))
    return Level(middle, noise or (top - middle) / 10 or abs(middle) * 1e-3 or 1.0, top)


def ticks(norm: FuncNorm) -> list[float]:
    """Return values that lie apart on a scale, the roundest first: zero, powers of ten; no stretch is without one."""
    low, high = norm.vmin or 0.0, norm.vmax or 0.0
    chosen: dict[float, float] = {}
    for value in [*_round_values(low, high), *map(float, MaxNLocator(8).tick_values(low, high))]:
        place = float(norm(value))
        if low <= value <= high and all(abs(place - other) > TICKS_APART for other in chosen.values()):
            chosen[value] = place
    while gap := _widest_gap(chosen, norm):
        value = roundest(*gap)
        if not gap[0] <= value <= gap[1]:  # they differ in the last digits of a number only
            break
        chosen[value] = float(norm(value))
    return sorted(chosen)


def roundest(low: float, high: float) -> float:
    """Return the value between two with the fewest digits, of these the one nearest to the middle."""
    power = math.floor(math.log10(high - low)) + 1
    for step in (digit * 10.0**exponent for exponent in (power, power - 1, power - 2) for digit in (1, 5, 2)):
        first, last = math.ceil(low / step), math.floor(high / step)
        if first <= last:
            count = min(max(round((low + high) / 2 / step), first), last)
            return float(f"{count * step:.12g}")
    return (low + high) / 2


def _round_values(low: float, high: float) -> list[float]:
    top = math.floor(math.log10(max(abs(low), abs(high))))
    powers = [10.0**k for k in range(top, top - 6, -1)]
    values = [digit * power for digits in ((1,), (5, 2)) for power in powers for digit in digits]
    return [0.0, *(sign * value for value in values for sign in (1, -1))]


def _widest_gap(chosen: dict[float, float], norm: FuncNorm) -> tuple[float, float] | None:
    """Return the values between which a tick is missing, None if there is no such gap."""
    places = [0.0, *sorted(chosen.values()), 1.0]
    gaps = [high - low for low, high in zip(places, places[1:], strict=False)]
    widest = int(np.argmax(gaps))
    if gaps[widest] <= GAP:
        return None
    middle = (places[widest] + places[widest + 1]) / 2
    low, high = (float(norm.inverse(middle + side * gaps[widest] / 5)) for side in (-1, 1))
    return (low, high) if low < high else None


def _finite(image: Values) -> Values:
    values = image[np.isfinite(image)]
    return values[:: len(values) // SAMPLE + 1]


def _near(one: Level | None, other: Level | None) -> bool:
    if one is None or other is None:
        return True
    return abs(one.middle - other.middle) <= APART * max(one.noise, other.noise)


def _norm(values: Values) -> tuple[FuncNorm, int]:
    """Return a scale on which the noise and the brightest pixels can be seen, and its power of ten."""
    values = values[:: len(values) // SAMPLE + 1]
    found = level(values)
    if found is None:
        return _asinh_norm(0.0, 1.0, 0.0, 1.0), 0
    middle, noise, top = found
    low, high = middle - 2.5 * noise, max(top, middle + 8 * noise)
    exponent = power_of_ten(np.array([low, high]))
    scale = 10.0**-exponent
    return _asinh_norm(middle * scale, 2.0 * noise * scale, low * scale, high * scale), exponent


def _asinh_norm(middle: float, width: float, low: float, high: float) -> FuncNorm:
    """Return a scale that is linear within `width` of `middle` and logarithmic far from it."""

    def forward(values: Any) -> Any:
        return np.arcsinh((values - middle) / width)

    def backward(places: Any) -> Any:
        return middle + width * np.sinh(places)

    return FuncNorm((forward, backward), vmin=low, vmax=high)
