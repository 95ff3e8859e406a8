"""CalSTIS's basic two-dimensional reduction (cs1), one module per step."""

from typing import TYPE_CHECKING

from gpucti._lazy import submodules

if not TYPE_CHECKING:
    __getattr__ = submodules(__name__)
