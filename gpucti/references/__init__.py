"""Reference files by name: what ``oref$x.fits`` stands for, and which ones CRDS names."""

from typing import TYPE_CHECKING

from gpucti._lazy import submodules
from gpucti.references.names import resolve_reference

__all__ = ["resolve_reference"]

if not TYPE_CHECKING:
    __getattr__ = submodules(__name__)
