"""The pixel-based correction: arrays, exposures and files in; the same corrected out."""

from typing import TYPE_CHECKING

from gpucti._lazy import submodules

if not TYPE_CHECKING:
    __getattr__ = submodules(__name__)
