"""Pixels hit by a cosmic ray, and the surroundings that go with them."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpucti.backends.base import Array

f32 = np.float32
Offset = tuple[int, int]  # rows, columns


def with_surroundings(hot: Array, warm: Array, excluded: Array | None, neighbours: list[Offset], xp: Any) -> Array:
    """Return hits with those neighbours that are above the threshold for neighbours.

    Excluded pixels are no hits. But the original scans the image in raster order, changing marks as it goes: an
    excluded pixel beside a hit is marked as its neighbour, and if the scan comes to it later and finds it above the
    threshold for hits, it becomes one. Here this goes on, from pixel to later pixel, until nothing changes.
    """
    hit = hot
    if excluded is not None:
        hit = hot & ~excluded
        waiting = hot & excluded & warm
        later = [offset for offset in neighbours if offset > (0, 0)]
        while True:
            reached = waiting & dilated(hit, later, xp)
            if not bool(reached.any()):
                break
            hit |= reached
            waiting &= ~reached
    spill = dilated(hit, neighbours, xp)
    spill &= warm
    spill |= hit
    return spill


def neighbours_within(radius: float) -> list[Offset]:
    """Return the offsets of the pixels within `radius`, the pixel itself among them."""
    width, limit = int(f32(radius) + 1e-5), f32(radius) * f32(radius)
    reach = range(-width, width + 1)
    return [(dy, dx) for dy in reach for dx in reach if f32(dx * dx + dy * dy) <= limit]


def dilated(mask: Array, offsets: list[Offset], xp: Any) -> Array:
    """Return where `mask` is set at the pixel less one of the offsets."""
    rows, cols = mask.shape
    result = xp.zeros_like(mask)
    for dy, dx in offsets:
        if abs(dy) < rows and abs(dx) < cols:
            target = result[max(dy, 0) : rows + min(dy, 0), max(dx, 0) : cols + min(dx, 0)]
            target |= mask[max(-dy, 0) : rows + min(-dy, 0), max(-dx, 0) : cols + min(-dx, 0)]
    return result
