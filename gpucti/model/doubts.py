"""Where a PCTETAB is used for what it was not measured on: dates before the repair, dates past it, other amplifiers."""

from __future__ import annotations

from collections.abc import Iterable

from gpucti.detector import REPAIRED_MJD, TABLE_AMP
from gpucti.model.pctetab import Pctetab

#: Trap density found in frames of 1999 (trails behind hot pixels, NGC 1068), relative to what the table says of that
#: year, and its uncertainty.
EARLY_DENSITY, EARLY_ERROR = 0.55, 0.06


def doubts(table: Pctetab, mjd: Iterable[float], amp: str = TABLE_AMP) -> list[str]:
    """Return why a correction at some dates is less sure than elsewhere, one clause each; none if it is not.

    That the trap density is extrapolated is said by `extrapolation_note`.

    Parameters
    ----------
    table : Pctetab
        Covers the dates.
    mjd : iterable of float
        Starts of exposures.
    amp : str
        Amplifier that read them out.
    """
    dates = list(mjd)
    found = []
    if any(date < REPAIRED_MJD for date in dates):
        found.append(
            f"taken before 2009-05-01 (MJD {REPAIRED_MJD:g}): the trap density is carried back from later years, and "
            f"frames of 1999 showed {EARLY_DENSITY:g} +- {EARLY_ERROR:g} of it, so about twice the charge really "
            "trailed is moved"
        )
    if any(table.holds_last_epoch(date) for date in dates):
        found.append(
            f"the release profiles of {table.name} end at MJD {table.last_epoch.end_mjd:g}; the last ones are taken"
        )
    if amp != TABLE_AMP:
        found.append(f"read out by amplifier {amp}: the tables are measured on amplifier {TABLE_AMP}")
    return found


def extrapolation_note(table: Pctetab) -> str:
    """Return the clause for dates that `Pctetab.extrapolates`."""
    last = f"MJD {table.last_scale_mjd:g}, the last CTE_SCALE point of {table.name}"
    return f"the trap density is extrapolated past {last}"
