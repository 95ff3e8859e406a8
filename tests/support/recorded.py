"""What other programs made, as it was recorded: stis_cti's C functions, CalSTIS."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

TESTS = Path(__file__).parents[1]


@cache
def upstream() -> dict[str, Any]:
    """Return the numbers of stis_cti's C functions (tests/golden/README.md), by ``scene.name``."""
    with np.load(TESTS / "golden" / "upstream.npz") as stored:
        return {name: stored[name] for name in stored.files}


@cache
def calstis(name: str) -> dict[str, Any]:
    """Return what CalSTIS made of the cases of one recording (tests/calstis/README.md)."""
    recorded: dict[str, Any] = json.loads((TESTS / "calstis" / f"{name}.json").read_text(encoding="utf-8"))
    return recorded


@cache
def extraction() -> dict[str, Any]:
    """Return what cs6 made, by case, image set and name; equal arrays are stored once."""
    with np.load(TESTS / "calstis" / "extraction.npz") as stored:
        return {name: stored[key] for name, key in json.loads(str(stored["index"])).items()}
