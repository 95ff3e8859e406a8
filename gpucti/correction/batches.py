"""Many files, a batch at a time: threads read the next batch and write the last one while this one is computed.

The loop of a program that corrects files, or a stage of a run::

    with FileStream() as stream:
        for batch, exposures in stream.read(batches(tasks, n_images, 16), read):
            for task, product in zip(batch, compute(exposures), strict=True):
                stream.write(write, task, product)

Whoever must know that a file is written before he goes on waits for what `FileStream.write` returns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from gpucti.io.inputs import IO_THREADS

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


def batches(items: Iterable[T], n_images: Callable[[T], int], at_most: int) -> Iterator[list[T]]:
    """Yield consecutive items in batches of at most so many images.

    Parameters
    ----------
    items : iterable
        Files, tasks.
    n_images : callable
        Returns how many images an item holds.
    at_most : int
        Images of a batch; an item that holds more is a batch of its own.
    """
    batch: list[T] = []
    images = 0
    for item in items:
        if batch and images + n_images(item) > at_most:
            yield batch
            batch, images = [], 0
        batch.append(item)
        images += n_images(item)
    if batch:
        yield batch


class FileStream:
    """Threads that read ahead and write behind; a context manager.

    Its end waits for what is being written and raises the first error of it. An error or an interrupt inside drops what
    no thread has begun, and waits for the rest: files are whole or not there.

    Parameters
    ----------
    timing : callable, optional
        Given ``reading`` or ``writing``, returns a context that is entered while threads are waited for, such as
        `gpucti.progress.RunLog.timing`.
    """

    def __init__(self, timing: Callable[[str], AbstractContextManager[None]] | None = None) -> None:
        self._timing = timing or (lambda stage: nullcontext())
        self._pool = ThreadPoolExecutor(IO_THREADS, thread_name_prefix="gpucti-io")
        self._writing: list[Future[Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            if error is None:
                with self._timing("writing"):
                    for future in self._writing:
                        future.result()
        finally:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def read(self, batches: Iterable[list[T]], read: Callable[[T], R]) -> Iterator[tuple[list[T], list[R]]]:
        """Yield each batch and what `read` returns for its items, in order; the next batch is being read meanwhile.

        What `read` raises is raised here, and so is what a write has raised since the last batch.
        """
        waiting = iter(batches)
        batch = next(waiting, [])
        reading = self._submit(read, batch)
        while batch:
            with self._timing("reading"):
                contents = [future.result() for future in reading]
            following = next(waiting, [])
            reading = self._submit(read, following)
            self._raise_failures()
            yield batch, contents
            batch = following

    def write(self, write: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Have a thread call `write`, which writes a file; return its future result."""
        future = self._pool.submit(write, *args, **kwargs)
        self._writing.append(future)
        return future

    def _submit(self, read: Callable[[T], R], batch: Iterable[T]) -> list[Future[R]]:
        return [self._pool.submit(read, item) for item in batch]

    def _raise_failures(self) -> None:
        """Raise what a finished write raised, and forget those that went well."""
        for future in self._writing:
            if future.done():
                future.result()
        self._writing = [future for future in self._writing if not future.done()]
