"""Which requests to the archive are tried again."""

from __future__ import annotations

import threading
from unittest.mock import Mock

import pytest

from gpucti.archive.retries import Retries, is_final
from gpucti.archive.transport import Stopped


@pytest.mark.parametrize(("failures", "attempts"), [(0, 1), (2, 3), (3, 3), (9, 1)])
def test_as_often_as_it_may(failures: int, attempts: int) -> None:
    """Oracle: hand: the answer of the first attempt that succeeds, else the error of the last one."""
    request = Mock(side_effect=[*(OSError(number) for number in range(failures)), "answer"])
    retries = Retries(attempts, 0.0, threading.Event())
    if failures < attempts:
        assert retries.run("a search", request, lambda error: True) == "answer"
    else:
        with pytest.raises(OSError, match=f"^{attempts - 1}$"):
            retries.run("a search", request, lambda error: True)
    assert request.call_count == min(failures + 1, attempts)


def test_not_after_an_error_that_stays() -> None:
    """Oracle: one attempt."""
    request = Mock(side_effect=KeyError("x"))
    with pytest.raises(KeyError):
        Retries(4, 0.0, threading.Event()).run("a search", request, lambda error: isinstance(error, OSError))
    assert request.call_count == 1


def test_pauses_double_and_can_be_ended() -> None:
    """Oracle: by hand: 2, 4 and 8 s; the user stops in the last one."""
    stop = Mock(wait=Mock(side_effect=[False, False, True]))
    request = Mock(side_effect=OSError)
    with pytest.raises(Stopped):
        Retries(9, 2.0, stop).run("a search", request, lambda error: True)
    assert [call.args for call in stop.wait.call_args_list] == [(2.0,), (4.0,), (8.0,)]
    assert request.call_count == 3


def test_final_answers() -> None:
    """Oracle: RFC 9110 and 6585: the request is wrong, but for timeouts and too many requests."""
    assert [status for status in (200, 400, 401, 404, 408, 425, 429, 499, 500, 503) if is_final(status)] == [
        400, 401, 404, 499,
    ]  # fmt: skip
