"""How often a run opens each file. Oracle: the interpreter, which tells of every file that anything in it opens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.visits import Case, environment

#: Counts the files that are opened to be read by a run, then writes the counts.
SCRIPT = """
import collections, json, os, sys
from gpucti.cli import main

opened = collections.Counter()

def count(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
        opened[os.path.abspath(arguments[0])] += 1

sys.addaudithook(count)
code = main(sys.argv[2:])
found = dict(opened)
with open(sys.argv[1], "w") as stream:
    json.dump(found, stream)
sys.exit(code)
"""


@pytest.fixture
def opened(case: Case, tmp_path: Path) -> dict[Path, int]:
    """Return how often a run on the small visit opened each of the files that were there before."""
    before = {path for folder in (case.science, case.darks, case.oref) for path in folder.iterdir()}
    counts = tmp_path / "counts.json"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, counts, *case.arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=environment(),
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(counts.read_text())
    return {path: found.get(os.path.abspath(path), 0) for path in before}  # noqa: PTH100 -- as the script does


def test_no_file_is_opened_more_often_than_needed(case: Case, opened: dict[Path, int]) -> None:
    """Raw exposures: once for the plan, once for the run. References: once. Darks: for the list, digest and run."""
    allowed = {"raw": 2, "wav": 2, "flt": 3}
    often = {path.name: times for path, times in opened.items() if times > allowed.get(path.stem.rpartition("_")[2], 1)}
    assert often == {}
    assert all(opened[path] == 2 for path in case.science.glob("*_raw.fits"))
    assert sum(times for path, times in opened.items() if path.parent == case.oref) > 10
