"""Pictures of images and spectra."""

from typing import TYPE_CHECKING

from gpucti._lazy import submodules

if not TYPE_CHECKING:
    __getattr__ = submodules(__name__)
