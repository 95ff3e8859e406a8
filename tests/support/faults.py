"""What must be true after a run that failed, and after the one that follows it."""

from __future__ import annotations

from gpucti.pipeline.running.run import correct
from support.calstis_cases import Case
from support.visits import Contents, leftovers, outputs


def finishes(case: Case, expected: Contents) -> None:
    """Run again; check that all is there, as an undisturbed run makes it, and nothing besides."""
    correct(*case.folders, **case.options)
    assert leftovers(case) == []
    all_whole(case, expected)
    assert list(outputs(case)) == list(expected)


def all_whole(case: Case, expected: Contents, besides: str = "-") -> None:
    """Check that every file under a final name, `besides` one, is what an undisturbed run makes."""
    for name, hdus in outputs(case).items():
        assert name.startswith(besides) or hdus == expected[name], name
