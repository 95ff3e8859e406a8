"""Errors: a place, a reason, and a message made of both. Oracle: the texts that a user reads."""

from __future__ import annotations

import copy
import pickle

import pytest

from gpucti import errors
from gpucti.errors import GpuctiError

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
