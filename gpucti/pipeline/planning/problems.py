"""What stands in the way of a run, collected while its plan is made: a plan lists all of it at once."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from gpucti.errors import Failure, GpuctiError


class Problems:
    """Collects what stands in the way, what cannot be made, and what the user should know.

    Attributes
    ----------
    found : list of str
        What stands in the way of everything, each once, in order.
    failures : list of Failure
        Items that cannot be made, each once, in order.
    following : list of Failure
        Items that cannot be made for want of one of those, or of what stands in the way.
    notes : list of str
        What the user should know.
    """

    def __init__(self) -> None:
        self.found: list[str] = []
        self.failures: list[Failure] = []
        self.following: list[Failure] = []
        self.notes: list[str] = []

    def add(self, problem: object) -> None:
        """Add what stands in the way of everything, a text or an error, unless it is known already."""
        if str(problem) not in self.found:
            self.found.append(str(problem))

    def fail(self, failure: Failure) -> None:
        """Add an item that cannot be made, unless it is known already, with this reason or another."""
        if not self.failed(failure.item):
            self.failures.append(failure)

    def follow(self, item: object, reason: str) -> None:
        """Add an item that cannot be made for want of another, unless it is known already."""
        if not self.failed(item):
            self.following.append(Failure(str(item), reason))

    def failed(self, item: object) -> bool:
        """Tell whether an item is known not to be made."""
        return any(failure.item == str(item) for failure in (*self.failures, *self.following))

    def note(self, text: str) -> None:
        """Add a note."""
        self.notes.append(text)

    def collecting(self) -> _Collecting:
        """Make a problem of an error that ends the block."""
        return _Collecting(self.add)

    def leaving_out(self, item: object) -> _Collecting:
        """Make an error that ends the block the end of one item."""
        return _Collecting(lambda error: self.fail(Failure.of(item, error)))


class _Collecting:
    """The context of a block; a class, since then type checkers know that the block may end early."""

    def __init__(self, tell: Callable[[Exception], None]) -> None:
        self._tell = tell

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, (GpuctiError, OSError)):
            return False
        self._tell(error)
        return True
