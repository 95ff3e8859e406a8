"""CalSTIS's extracted spectra (cs6)."""

from typing import TYPE_CHECKING

from gpucti._lazy import submodules

if not TYPE_CHECKING:
    __getattr__ = submodules(__name__)
