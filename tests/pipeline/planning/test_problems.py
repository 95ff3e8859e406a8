"""What stands in the way, collected. Oracle: the errors that are raised."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpucti.errors import InputError, ReferenceFileError
from gpucti.pipeline.planning.problems import Problems

RAW = Path("science/ob1_raw.fits")


def test_errors_become_problems_once_each() -> None:
    """Oracle: texts in order; a block goes on behind itself."""
    problems = Problems()
    for reason in ("first", "second", "first"):
        with problems.collecting():
            raise InputError(reason)
    problems.add("third")
    problems.note("by the way")
    assert (problems.found, problems.notes) == (["first", "second", "third"], ["by the way"])


@pytest.mark.parametrize(
    "error, told",
    [
        (InputError("no number", where=RAW), f"{RAW}: no number"),
        (InputError("no number", where=f"{RAW}[SCI,1]"), f"{RAW}[SCI,1]: no number"),
        (ReferenceFileError("damaged", where="oref/x_bia.fits"), f"{RAW}: oref/x_bia.fits: damaged"),
        (InputError("no number"), f"{RAW}: no number"),
        (PermissionError(13, "Permission denied", str(RAW)), f"[Errno 13] Permission denied: '{RAW}'"),
        (PermissionError(13, "Permission denied"), f"{RAW}: [Errno 13] Permission denied"),
    ],
)
def test_a_problem_names_the_file_that_it_is_about(error: Exception, told: str) -> None:
    """Oracle: once, before what else the error names."""
    problems = Problems()
    with problems.collecting(RAW):
        raise error
    assert problems.found == [told]


def test_other_errors_go_on() -> None:
    """Oracle: a mistake of ours is no problem of the user's."""
    problems = Problems()
    with pytest.raises(KeyError), problems.collecting(RAW):
        raise KeyError("x")
    assert problems.found == []
