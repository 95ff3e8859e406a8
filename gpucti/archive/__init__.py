"""MAST: anneal periods of exposures, and their component darks."""

from typing import TYPE_CHECKING

from gpucti._lazy import submodules
from gpucti.archive.query import Answer, anneal_periods, archive_settings, exposure_starts, merge_anneals, save_anneals

__all__ = ["Answer", "anneal_periods", "archive_settings", "exposure_starts", "merge_anneals", "save_anneals"]

if not TYPE_CHECKING:
    __getattr__ = submodules(__name__)
