"""Anneal periods against stis_cti's own functions, fed with the same rows."""

from __future__ import annotations

import contextlib
import io
import warnings
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import gpucti
from gpucti.archive.periods import Catalogue, DarkRecord, PeriodFinder
from gpucti.archive.programmes import Programmes
from support.archive_server import CYCLES, Archive, loopback_only, serve, synthetic_archive
from support.header_files import header_file

pytestmark = pytest.mark.peer

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # those of upstream's imports
    upstream = pytest.importorskip("stis_cti.archive_dark_query", reason="stis_cti is not installed (extra 'peer')")

START, END = datetime(2009, 5, 10), datetime(2025, 6, 20)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what upstream prints and warns of to ourselves."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(scope="module")
def archive() -> Archive:
    return synthetic_archive(START, END, seed=2, skip=(33, 90, 91, 130, 131, 132, 133))


def periods(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return stis_cti's periods of an archive, with the answers of the services that it asks given."""
    anneals = {number for number, title in archive.titles.items() if "Anneal" in title} | {c[2] for c in CYCLES}
    darks = {dark.programme for dark in archive.darks} - anneals
    rows = [
        upstream.darkType(exposure=d.name, proposid=d.programme, datetime=d.start, exptime=d.exptime)
        for d in archive.darks
    ]
    monkeypatch.setattr(upstream, "read_dark_exposures", lambda: rows)
    monkeypatch.setattr(upstream, "get_proposal_ids", lambda **k: list(anneals if k else darks))
    with quiet():
        found: list[dict[str, Any]] = upstream.get_anneal_boundaries()
    return found


def test_many_days(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: stis_cti's get_anneal_boundaries, except in the newest period, where its own rule has gaps."""
    theirs = periods(archive, monkeypatch)
    rows = [DarkRecord(d.name, d.start, d.exptime, d.programme) for d in archive.darks]
    starts = [row.start for row in rows]

    def search(start: datetime, end: datetime) -> list[DarkRecord]:
        return rows[bisect_left(starts, start) : bisect_right(starts, end)]

    newest = theirs[-2]["end"]
    compared = crashed = 0
    when = datetime(2009, 6, 1)
    while when < END:
        match = [one for one in theirs if one["start"] <= when and when < one["end"]]
        ours = PeriodFinder(Catalogue(search), Programmes(lambda number, _: archive.titles.get(number)), END).period(
            when
        )
        if when < newest:
            assert (ours.start, ours.end) == (match[0]["start"], match[0]["end"])
            assert [dark.exposure for dark in ours.darks] == [str(dark) for dark in match[0]["darks"]]
            compared += 1
        else:
            assert (ours.start, ours.end) == (newest, None)
            crashed += not match
        when += timedelta(days=5, hours=1)
    assert compared > 1100
    just_after = newest + timedelta(hours=1)  # in the newest group of anneal darks stis_cti finds no period
    assert not [one for one in theirs if one["start"] <= just_after and just_after < one["end"]]


def test_archive_dark_query(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: stis_cti's function of the same name, on the same files; ours asks a server over HTTP."""
    archive = synthetic_archive(datetime(2012, 10, 1), datetime(2014, 5, 1), skip=(11,))
    theirs = periods(archive, monkeypatch)
    days = ("2013-02-03", "2013-06-01", "2013-06-20", "2013-07-20", "2013-10-31")
    files = [str(header_file(tmp_path / f"o{day[:4]}{day[5:7]}{day[8:]}_raw.fits", TDATEOBS=day)) for day in days]
    for names in (files, files[1], f"{tmp_path}/o2013*"):
        with quiet():
            expected = upstream.archive_dark_query(names, anneal_data=theirs)
        loopback_only(monkeypatch)
        with serve(archive) as server:
            monkeypatch.setenv("GPUCTI_MAST_SERVER", server.url)
            found = gpucti.archive_dark_query(names)
            assert server.count("/search") <= 3 * len(expected)
        assert [{k: v for k, v in one.items() if k != "index"} for one in found] == [
            {k: v for k, v in one.items() if k != "index"} for one in expected
        ]
