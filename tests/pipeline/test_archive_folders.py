"""Runs on folders as the archive delivers them: each data set in a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpucti.pipeline.planning.planner import plan
from gpucti.pipeline.running.run import correct
from support.visits import Case, Contents, finished_copy, outputs


def in_folders_of_their_own(files: list[Path], top: Path) -> None:
    """Move files to where the archive's script puts them."""
    for path in files:
        folder = top / "mastDownload" / "HST" / path.name.partition("_")[0]
        folder.mkdir(parents=True, exist_ok=True)
        path.rename(folder / path.name)


def test_darks_in_folders_below(finished: Case, tmp_path: Path) -> None:
    """Oracle: the run on the same darks in one folder: all that it made is known again, and nothing is missing."""
    again = finished_copy(finished, tmp_path / "run")
    in_folders_of_their_own(sorted(again.darks.glob("*_flt.fits")), again.darks)
    it = plan(*again.folders, **again.options)
    assert not it.problems and not it.missing
    assert all(task.reuse for task in (*it.science, *it.superdarks))
    darks = [dark for task in it.superdarks for dark in task.darks]
    assert {dark.file.path.parents[1].name for dark in darks} == {"HST"}
    assert {dark.output.parent for dark in darks} == {again.darks}


@pytest.mark.slow
def test_a_run_in_the_folders_of_the_archive(case: Case, expected: Contents) -> None:
    """Oracle: an undisturbed run on the same files in folders science and darks."""
    in_folders_of_their_own(sorted(case.darks.glob("*_flt.fits")), case.darks)
    correct(*case.folders, **case.options)
    made = outputs(case)
    assert {name: made[name] for name in expected} == expected


@pytest.mark.slow
def test_one_data_set_of_science(case: Case) -> None:
    """Oracle: the folders made: the folder above names them, each by itself is a run."""
    in_folders_of_their_own(sorted(case.science.glob("*.fits")), case.science)
    (problem,) = plan(*case.folders, **case.options).problems
    folders = sorted(path.parent for path in case.science.rglob("*_raw.fits"))
    assert problem.splitlines()[1:] == [f"  {folder} (1)" for folder in folders]
    for folder in folders:
        it = plan(folder, case.darks, case.ref, **case.options)
        assert not it.problems
        assert [task.path.parent for task in it.science] == [folder]
