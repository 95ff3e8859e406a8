"""One item fails, the others go on: which errors end an item, and which end the run."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import TypeVar

from gpucti.errors import BackendUnavailable, Failure, GpuctiError

T = TypeVar("T")
R = TypeVar("R")

#: The disk is full, or what stands for it: no other item would fare better.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def ends_the_run(error: BaseException) -> bool:
    """Tell whether an error concerns every item: nothing can be written or computed any more."""
    causes = (error, error.__cause__)
    return isinstance(error, BackendUnavailable) or any(
        isinstance(cause, OSError) and cause.errno in NO_ROOM for cause in causes
    )


def attempt(item: object, call: Callable[[], R]) -> R | Failure:
    """Return what a call makes of an item, or why it could not.

    An error that ends the run is raised, and so is one that is a mistake of ours (`TypeError` and the like).
    """
    try:
        return call()
    except (GpuctiError, OSError) as error:
        if ends_the_run(error):
            raise
        return Failure.of(item, error)


def attempt_each(
    pool: Executor, items: Iterable[T], name: Callable[[T], object], call: Callable[[T], R]
) -> Iterator[R | Failure]:
    """Yield what a call makes of each item, or why it could not, in order; threads do it side by side.

    Parameters
    ----------
    pool : Executor
        The threads.
    items : iterable
        What `call` is given, one at a time.
    name : callable
        Returns what an item is called in a `Failure`.
    call : callable
        See `attempt`.
    """
    return pool.map(lambda item: attempt(name(item), partial(call, item)), items)


def attempt_together(
    items: Sequence[T], name: Callable[[T], object], call: Callable[[Sequence[T]], Sequence[R]]
) -> list[R | Failure]:
    """Return what a call makes of items all at once; where that fails, of each by itself."""
    whole = attempt("", partial(call, items))
    if not isinstance(whole, Failure):
        return list(whole)

    def alone(item: T) -> R:
        (made,) = call([item])
        return made

    return [attempt(name(item), partial(alone, item)) for item in items]
