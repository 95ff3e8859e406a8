"""Exposures summarized as the recording of CalSTIS has them, and compared with it."""

from __future__ import annotations

from typing import Any

from gpucti.io.exposure import Exposure
from support.calstis_cases import summary


def summarize(exposure: Exposure) -> dict[str, Any]:
    """Return of an exposure in memory what was recorded of CalSTIS's file."""
    imsets = [([each.sci, each.err, each.dq], list(each.headers)) for each in exposure.imsets]
    return summary(exposure.primary, imsets)


def compare(made: dict[str, Any], recorded: dict[str, Any], where: str) -> list[str]:
    """Return the differences of two summaries, one line each; where CalSTIS wrote NaN, anything will do."""
    if isinstance(recorded, dict) and isinstance(made, dict):
        return [
            line
            for key in sorted(made.keys() | recorded.keys())
            for line in compare(made.get(key, "missing"), recorded.get(key, "missing"), f"{where}.{key}")
        ]
    if isinstance(recorded, list) and isinstance(made, list) and len(made) == len(recorded):
        pairs = enumerate(zip(made, recorded, strict=True))
        return [line for i, pair in pairs for line in compare(*pair, f"{where}[{i}]")]
    return [] if made == recorded or recorded is None else [f"{where}: {made!r}, CalSTIS {recorded!r}"]
