"""CalSTIS's wavelength calibration (cs4): shifts from lamp exposures, and their subtraction (cs12)."""

from typing import TYPE_CHECKING

from gpucti._lazy import submodules

if not TYPE_CHECKING:
    __getattr__ = submodules(__name__)
