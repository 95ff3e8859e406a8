"""What a table was not measured for, in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from gpucti.detector import MJD_ZERO, REPAIRED_MJD, TABLE_AMP
from gpucti.io.selection import NORMAL
from gpucti.model.doubts import doubts, extrapolation_note
from gpucti.model.pctetab import Pctetab


def test_nothing_is_said_of_what_the_table_is_for(table: Pctetab) -> None:
    """Oracle: the first day after the repair, and the last of the last epoch, amplifier D."""
    assert doubts(table, []) == doubts(table, [54952.0, 61999.9]) == doubts(table, [57000.0], "D") == []


def test_limits_are_those_of_the_pipeline() -> None:
    """Oracle: what is corrected without --allow."""
    assert MJD_ZERO + timedelta(days=REPAIRED_MJD) == NORMAL.earliest.replace(tzinfo=None)
    assert NORMAL.amps == (TABLE_AMP,)


def test_dates_before_the_repair_have_the_figure(table: Pctetab) -> None:
    """Oracle: 0.52 +- 0.07 and 0.55 +- 0.04 of the density, measured in frames of 1999; said once for many dates."""
    (text,) = doubts(table, [51453.0, 54951.9, 57000.0])
    assert "before 2009-05-01" in text
    assert "0.55 +- 0.06" in text
    assert "twice" in text


@pytest.mark.parametrize("amp", ["A", "B", "C"])
def test_other_amplifiers(amp: str, table: Pctetab) -> None:
    """Oracle: the message."""
    assert doubts(table, [57000.0], amp) == [f"read out by amplifier {amp}: the tables are measured on amplifier D"]


def test_dates_past_the_last_epoch(table: Pctetab) -> None:
    """Oracle: the end of the released table, and of one that ends earlier; each reason by itself."""
    assert doubts(table, [62000.0]) == [
        "the release profiles of a02_stis_pcte.fits end at MJD 62000; the last ones are taken"
    ]
    short = replace(table, epochs=(replace(table.epochs[0], end_mjd=60000.0),))
    assert len(doubts(short, [60900.0, 51453.0], "B")) == 3


def test_extrapolation_in_words(table: Pctetab) -> None:
    """Oracle: the last point of CTE_SCALE."""
    assert extrapolation_note(table).endswith("past MJD 59000, the last CTE_SCALE point of a02_stis_pcte.fits")
