"""Which errors end an item, and which the run. Oracle: definition, and the order of the items."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gpucti.errors import BackendUnavailable, EngineError, Failure, InputError
from gpucti.pipeline.running.attempts import attempt, attempt_each, attempt_together


def raises(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize("error", [InputError("odd"), EngineError("odd"), PermissionError(13, "odd")])
def test_an_item_ends(error: Exception) -> None:
    """Oracle: definition."""
    assert attempt(Path("x"), lambda: raises(error)) == Failure("x", str(error))


def full_in_a_temporary_folder() -> EngineError:
    error = EngineError("cannot be brought into the temporary folder")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    return error


@pytest.mark.parametrize("error", [
    OSError(errno.ENOSPC, "No space left"), OSError(errno.EDQUOT, "Quota exceeded"), OSError(errno.EFBIG, "Too large"),
    full_in_a_temporary_folder(), BackendUnavailable("gone"), TypeError("ours"), MemoryError(), KeyboardInterrupt(),
])  # fmt: skip
def test_the_run_ends(error: BaseException) -> None:
    """Oracle: what no other item would be spared, what is a mistake of ours, what the user wants."""
    with pytest.raises(type(error)):
        attempt("x", lambda: raises(error))


def half(number: int) -> int:
    if number % 2:
        raise InputError("odd")
    return number // 2


def test_each_by_itself() -> None:
    """Oracle: results in order, failures in their places."""
    with ThreadPoolExecutor(3) as pool:
        made = list(attempt_each(pool, range(5), str, half))
    assert made == [0, Failure("1", "odd"), 1, Failure("3", "odd"), 2]


def test_together_unless_one_is_bad() -> None:
    """Oracle: one call for all where that goes well, else one for each."""
    calls: list[list[int]] = []

    def halves(numbers: Sequence[int]) -> list[int]:
        calls.append(list(numbers))
        return [half(number) for number in numbers]

    assert attempt_together([2, 4], str, halves) == [1, 2]
    assert attempt_together([2, 3, 4], str, halves) == [1, Failure("3", "odd"), 2]
    assert calls == [[2, 4], [2, 3, 4], [2], [3], [4]]
