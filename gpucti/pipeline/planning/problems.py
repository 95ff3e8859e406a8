"""What stands in the way of a run, collected while its plan is made: a plan lists all of it at once."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from gpucti.errors import GpuctiError


class Problems:
    """Collects what stands in the way, and what the user should know.

    Attributes
    ----------
    found : list of str
        What stands in the way, each once, in order.
    notes : list of str
        What the user should know.
    """

    def __init__(self) -> None:
        self.found: list[str] = []
        self.notes: list[str] = []

    def add(self, problem: object) -> None:
        """Add a problem, a text or an error, unless it is known already."""
        if str(problem) not in self.found:
            self.found.append(str(problem))

    def note(self, text: str) -> None:
        """Add a note."""
        self.notes.append(text)

    def collecting(self, about: Path | None = None) -> _Collecting:
        """Make a problem of an error that ends the block; it names the file that the block is about."""
        return _Collecting(self, about)


class _Collecting:
    """The context of a block; a class, since then type checkers know that the block may end early."""

    def __init__(self, problems: Problems, about: Path | None) -> None:
        self._problems, self._about = problems, about

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, (GpuctiError, OSError)):
            return False
        where = error.where if isinstance(error, GpuctiError) else str(error.filename)
        is_named = self._about is None or where.startswith(str(self._about))
        self._problems.add(error if is_named else f"{self._about}: {error}")
        return True
