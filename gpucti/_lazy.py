"""Modules that are imported when they are first used, so that ``import gpucti`` alone is light and enough."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType


def submodules(package: str) -> Callable[[str], ModuleType]:
    """Return the ``__getattr__`` of a package: ``package.name`` imports the module of that name.

    Packages hide it from type checkers, to which every ``package.anything`` would be right otherwise.
    """

    def load(name: str) -> ModuleType:
        full = f"{package}.{name}"
        if name.startswith("__") or find_spec(full) is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return import_module(full)

    return load
