"""Reference files by name: what ``oref$x.fits`` stands for, and which ones CRDS names."""

from gpucti.references.names import resolve_reference

__all__ = ["resolve_reference"]
