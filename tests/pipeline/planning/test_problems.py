"""What stands in the way, collected. Oracle: the errors that are raised."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpucti.errors import Failure, InputError, ReferenceFileError
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
        (InputError("no number", where=RAW), "no number"),
        (InputError("no number", where=f"{RAW}[SCI,1]"), "[SCI,1] no number"),
        (ReferenceFileError("damaged", where="oref/x_bia.fits"), "oref/x_bia.fits: damaged"),
        (InputError("no number"), "no number"),
        (PermissionError(13, "Permission denied", str(RAW)), f"[Errno 13] Permission denied: '{RAW}'"),
    ],
)
def test_an_error_ends_one_item(error: Exception, told: str) -> None:
    """Oracle: the first reason counts, nothing stands in the way of the others; the block goes on behind itself."""
    problems = Problems()
    with problems.leaving_out(RAW):
        raise error
    with problems.leaving_out(RAW):
        raise InputError("something else")
    assert (problems.failures, problems.found) == ([Failure(str(RAW), told)], [])
    assert problems.failed(RAW) and not problems.failed("science/ob2_raw.fits")


def test_what_follows_is_kept_apart() -> None:
    """Oracle: the causes are what a user must mend."""
    problems = Problems()
    problems.fail(Failure("dark", "damaged"))
    problems.follow(RAW, "no super-dark")
    problems.follow("dark", "no super-dark")
    assert (problems.failures, problems.following) == ([("dark", "damaged")], [(str(RAW), "no super-dark")])


def test_other_errors_go_on() -> None:
    """Oracle: a mistake of ours is no problem of the user's."""
    problems = Problems()
    with pytest.raises(KeyError), problems.leaving_out(RAW):
        raise KeyError("x")
    assert (problems.found, problems.failures) == ([], [])
