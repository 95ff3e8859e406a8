"""MAST: anneal periods of exposures, and their component darks."""

from gpucti.archive.query import Answer, anneal_periods, archive_settings, exposure_starts, merge_anneals, save_anneals

__all__ = ["Answer", "anneal_periods", "archive_settings", "exposure_starts", "merge_anneals", "save_anneals"]
