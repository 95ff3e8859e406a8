"""A visit corrected with darks that a server on loopback serves: from raw files alone to products."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits

from gpucti import cli, correct, plan
from gpucti.darks.anneals import AnnealPeriod, read_anneals, write_anneals
from gpucti.errors import MissingDarksError, PlanError
from gpucti.io import fitsfile
from support.archive_server import Server, archive_of, loopback_only, serve, status
from support.visits import Case, outputs, truncated


@pytest.fixture(autouse=True)
def refused(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Keep the tests on this machine."""
    return loopback_only(monkeypatch)


def truth_of(case: Case) -> AnnealPeriod:
    """Return the period of the visit; its list has others without darks."""
    return next(period for period in read_anneals(case.anneals) if period.darks)


@pytest.fixture
def server(case: Case) -> Iterator[Server]:
    """Serve the darks of a visit, and take its folder of darks and its list away."""
    archive = archive_of(truth_of(case), case.darks)
    shutil.rmtree(case.darks)
    with serve(archive) as running:
        yield running


def options(case: Case, server: Server, **more: Any) -> dict[str, Any]:
    return {**case.options, "anneals": None, "mast_server": server.url, "download": True, **more}


def names(case: Case) -> list[str]:
    """Return the darks that the run needs."""
    return [dark.exposure for dark in truth_of(case).darks if dark.flt and not dark.too_short]


@pytest.mark.slow
def test_from_raw_files_alone(case: Case, server: Server, expected: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the products of a run that had darks and list from the beginning; then a run without any network."""
    events = []
    report = correct(*case.folders, progress=events.append, **options(case, server))
    assert report.darks == len(names(case)) and outputs(case) == expected
    assert [event.done for event in events if event.stage == "download"] == list(range(1, len(names(case)) + 1))
    assert sorted(server.files) == names(case) and server.count("/search") <= 3
    (period,) = read_anneals(case.ref / "anneals.json")
    truth = truth_of(case)
    assert (period.start, period.end) == (truth.start, truth.end)
    assert [d.exposure for d in period.darks] == [d.exposure for d in truth.darks if not d.too_short]
    log = next(case.science.glob("*.log")).read_text()
    assert f"{len(names(case))} darks fetched, 0 were there, 0 failed" in log
    refused = loopback_only(monkeypatch, allowed=False)
    again = correct(*case.folders, **options(case, server, download=False))
    assert len(again.reused) == 2 and not again.products
    assert correct(*case.folders, **options(case, server)).products == ()
    assert refused == []


@pytest.mark.slow
def test_fetching_reads_nothing_again(case: Case, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Raw files: once for both plans, once for the run; references once. Oracle: the one function that reads files."""
    read: Counter[str] = Counter()
    really = fitsfile.read_stored

    def counting(path: Path, *arguments: Any) -> bytes:
        read[path.name] += 1
        return really(path, *arguments)

    for module in ("io.fitsfile", "io.selection", "calibration.reffiles"):
        assert hasattr(import_module(f"gpucti.{module}"), "read_stored")
        monkeypatch.setattr(f"gpucti.{module}.read_stored", counting)
    correct(*case.folders, **options(case, server))
    raws = [path.name for path in case.science.glob("*_raw.fits")]
    assert raws and [read[name] for name in raws] == [2] * len(raws)
    references = {path.name: read[path.name] for path in case.oref.iterdir()}
    assert sum(references.values()) > 10 and max(references.values()) == 1


def test_dry_run_shows_and_changes_nothing(case: Case, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the plan's note, exit code 0, no new file and no file asked for."""
    arguments = [one for one in case.arguments if one not in ("--anneals", str(case.anneals))]
    code = cli.main([*arguments, "--mast-server", server.url, "--download", "--dry-run"])
    out = capsys.readouterr().out
    assert code == 0
    assert f"{len(names(case))} darks will be fetched from the archive (" in out
    assert "In the way" not in out and not case.darks.exists() and server.files == []
    assert list(case.ref.iterdir()) == []


def test_without_download(case: Case, server: Server) -> None:
    """Oracle: the plan knows the darks from the archive, and says that they are missing."""
    it = plan(*case.folders, **options(case, server, download=False, ignore_missing=False))
    assert "no such folder; give the one with the component darks" in it.problems[0]
    case.darks.mkdir()
    it = plan(*case.folders, **options(case, server, download=False))
    assert it.missing == tuple(names(case))
    assert any("--download" in problem for problem in it.problems)
    it = plan(*case.folders, **options(case, server, download=False, offline=True))
    assert any("no list of anneal periods" in problem and "offline" in problem for problem in it.problems)


@pytest.mark.slow
def test_darks_that_are_not_as_they_should_be(case: Case, server: Server, expected: Any) -> None:
    """Oracle: the products of an undisturbed run; which files were asked for.

    One dark on disk is damaged, one cannot be had at first, and the user's list has one more, of which the archive has
    no calibrated file: that is no failure.
    """
    first, second = names(case)[:2]
    case.darks.mkdir()
    hurt = case.darks / f"{second.lower()}_flt.fits"
    hurt.write_bytes(next(dark for dark in server.archive.darks if dark.name == second).content())
    truncated(hurt)
    period = truth_of(case)
    extra = replace(period.darks[-1], exposure="OXXX01XXQ", start=period.darks[-1].start + timedelta(minutes=30))
    server.archive.add(extra.start, 1100.0, extra.proposid, flt=False).name = extra.exposure
    mine = case.anneals.with_name("mine.json")
    write_anneals([replace(period, darks=(*period.darks, extra))], mine)
    server.faults.file[first] = [status(404)]
    with pytest.raises(MissingDarksError, match=rf"1 dark could not be fetched.*\n  {first}: the server answers 404"):
        correct(*case.folders, **options(case, server, anneals=mine))
    assert sorted(server.files) == [first, second] and not list(case.science.glob("*_flc.fits"))
    correct(*case.folders, **options(case, server, anneals=mine))
    assert server.files[2:] == [first] and outputs(case) == expected
    assert fits.getval(hurt, "ROOTNAME").upper() == second


def test_other_problems_come_first(case: Case, server: Server) -> None:
    """Oracle: nothing is fetched for a run that cannot begin."""
    for path in case.science.glob("*_raw.fits"):
        with fits.open(path) as hdus:
            hdus[0].header["BIASFILE"] = "oref$none_bia.fits"
            path.unlink()
            hdus.writeto(path)
    with pytest.raises(PlanError, match="BIASFILE"):
        correct(*case.folders, **options(case, server))
    assert server.files == []
