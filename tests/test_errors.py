"""Errors: a place, a reason, and a message made of both. Oracle: the texts that a user reads."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest

from gpucti import errors
from gpucti.errors import Failure, GpuctiError, InputError, SomeFailedError

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, GpuctiError)]


@pytest.mark.parametrize("kind", KINDS)
def test_message_and_parts(kind: type[GpuctiError]) -> None:
    error = kind("no such file; check the name", where="x.fits")
    assert (error.where, error.reason, str(error)) == (
        "x.fits",
        "no such file; check the name",
        "x.fits: " + error.reason,
    )
    assert str(kind("what")) == "what" and kind("what").where == ""


@pytest.mark.parametrize("kind", KINDS)
def test_errors_travel_between_processes(kind: type[GpuctiError]) -> None:
    error = kind("what", where="here")
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(other) is kind
        assert (other.where, other.reason, str(other)) == (error.where, error.reason, str(error))


def test_a_larger_place_goes_in_front() -> None:
    inner = errors.ReferenceFileError("MJD 1 is before the table", where="a02_pcte.fits")
    outer = inner.at("mjd[3]")
    assert type(outer) is errors.ReferenceFileError
    assert (outer.where, str(outer)) == ("mjd[3]", "mjd[3]: a02_pcte.fits: MJD 1 is before the table")


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.InputError, ValueError),
        (errors.MissingFileError, FileNotFoundError),
        (errors.UnsuitableFileError, ValueError),
        (errors.MissingDarksError, FileNotFoundError),
        (errors.OutputExistsError, FileExistsError),
        (errors.BackendUnavailable, RuntimeError),
        (errors.EngineError, RuntimeError),
        (errors.ArchiveError, RuntimeError),
    ],
)
def test_each_is_also_the_builtin_that_callers_expect(kind: type[GpuctiError], builtin: type[Exception]) -> None:
    """Oracle: the table of errors in docs/reference.md."""
    assert issubclass(kind, builtin)


def test_a_failure_names_its_item_once() -> None:
    own = Failure.of(Path("x.fits"), InputError("is empty", where="x.fits"))
    inner = Failure.of(Path("x.fits"), InputError("is empty", where="x.fits[SCI,1]"))
    system = Failure.of("x.fits", OSError(28, "No space left on device", "/full"))
    assert [str(failure) for failure in (own, inner, system)] == [
        "x.fits: is empty",
        "x.fits: [SCI,1] is empty",
        "x.fits: [Errno 28] No space left on device: '/full'",
    ]


def test_what_failed_and_what_was_made_travel_along() -> None:
    error = SomeFailedError.of([Failure("x.fits", "is empty")], [Path("y_cte.fits")], 2)
    assert str(error) == "1 of 2 could not be treated, the others are done:\n  x.fits: is empty"
    assert str(SomeFailedError.of(error.failures, [], 1)) == "1 of 1 could not be treated:\n  x.fits: is empty"
    other = pickle.loads(pickle.dumps(error))
    assert (other.failures, other.done) == ((("x.fits", "is empty"),), (Path("y_cte.fits"),))
