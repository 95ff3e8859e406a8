"""Files and folders: FITS files read, checked and written whole; headers, dates, names, locks."""

from typing import TYPE_CHECKING

from gpucti._lazy import submodules

if not TYPE_CHECKING:
    __getattr__ = submodules(__name__)
