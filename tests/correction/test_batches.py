"""Batches of files, read ahead and written behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gpucti.correction.batches import FileStream, batches


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], []),
        ([1, 2, 1], [[1, 2], [1]]),
        ([3, 3, 1], [[3], [3], [1]]),
        ([1, 5, 1, 1, 1, 1], [[1], [5], [1, 1, 1], [1]]),
    ],
)
def test_batches_hold_at_most_so_many_images(sizes: list[int], expected: list[list[int]]) -> None:
    """Oracle: hand, three images a batch; a larger item is alone."""
    assert list(batches(sizes, lambda size: size, 3)) == expected


def test_one_batch_is_read_ahead() -> None:
    """Oracle: the batches that were begun when each one is computed: one more, and in order."""
    begun: list[int] = []

    def groups() -> Iterator[list[int]]:
        for number in range(4):
            begun.append(number)
            yield [10 * number, 10 * number + 1]

    seen = []
    with FileStream() as stream:
        for batch, contents in stream.read(groups(), str):
            seen.append((batch, contents, len(begun)))
    assert seen == [([10 * n, 10 * n + 1], [f"{10 * n}", f"{10 * n + 1}"], min(n + 2, 4)) for n in range(4)]


def test_waits_are_timed() -> None:
    """Oracle: one wait for each batch, and one for the writes."""
    stages = []

    @contextmanager
    def timing(stage: str) -> Iterator[None]:
        stages.append(stage)
        yield

    with FileStream(timing) as stream:
        for batch, _ in stream.read([[1], [2]], str):
            assert stream.write(max, *batch, 0).result() == batch[0]
    assert stages == ["reading", "reading", "writing"]


@pytest.mark.parametrize("when", ["the next batch", "the end"])
def test_a_write_that_fails_ends_the_stream(when: str) -> None:
    """Oracle: the error of the write, raised before the next batch is computed, or where no batch follows."""

    def fail() -> None:
        raise OSError(28, "No space left on device")

    computed = []
    with pytest.raises(OSError, match="No space left"), FileStream() as stream:
        for batch, _ in stream.read([[1], [2], [3]] if when == "the next batch" else [[1]], str):
            computed.append(batch)
            with pytest.raises(OSError):
                stream.write(fail).result()
    assert computed == [[1]]


def test_a_read_that_fails_ends_the_stream() -> None:
    """Oracle: the batch before is computed, the one with the bad file is not."""
    computed = []
    with pytest.raises(ValueError, match="invalid literal"), FileStream() as stream:
        for batch, _ in stream.read([["1"], ["x"]], int):
            computed.append(batch)
    assert computed == [["1"]]


def test_an_interrupt_drops_what_has_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: what the only thread had begun ends, what waits for it is never written."""
    monkeypatch.setattr("gpucti.correction.batches.IO_THREADS", 1)
    begun, may_end = threading.Event(), threading.Event()
    written = []

    def write(name: str) -> None:
        begun.set()
        may_end.wait(10)
        written.append(name)

    with pytest.raises(KeyboardInterrupt), FileStream() as stream:
        stream.write(write, "first")
        second = stream.write(write, "second")
        assert begun.wait(10)
        threading.Timer(0.1, may_end.set).start()
        raise KeyboardInterrupt
    assert written == ["first"] and second.cancelled()
