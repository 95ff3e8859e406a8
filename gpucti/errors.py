"""The exceptions of gpucti, and when each is raised.

Every message says where, what was found, what is allowed and what to do. Each class also derives from the
built-in a caller would expect, so that ``except ValueError`` keeps working.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

#: Characters of a foreign message that are quoted.
QUOTED = 300


class GpuctiError(Exception):
    """Base of every error that gpucti raises on purpose.

    Parameters
    ----------
    reason : str
        What was found, what is allowed, what to do.
    where : path or str, optional
        What it is about: a file, an extension (``x.fits[SCI,1]``), an element of an argument (``mjd[3]``).

    Attributes
    ----------
    reason, where : str
        As given; ``str(error)`` is ``where: reason``, or the reason alone where there is no place.
    """

    def __init__(self, reason: object = "", *, where: object = "") -> None:
        self.reason, self.where = str(reason), str(where)
        super().__init__(f"{self.where}: {self.reason}" if self.where else self.reason)

    def __str__(self) -> str:
        """Return the message alone (OSError would print a tuple)."""
        return str(self.args[0])

    def at(self, where: object) -> Self:
        """Return the same error about a larger place: ``where: `` goes before the whole message."""
        return type(self)(str(self), where=where)


class InputError(GpuctiError, ValueError):
    """An array, an option or a science file is not what the correction needs."""


class MissingFileError(InputError, FileNotFoundError):
    """A named input file does not exist."""


class UnsuitableFileError(InputError):
    """A file is whole, and not of a kind that can be treated: a table, a raw or a binned frame, another detector's.

    Attributes
    ----------
    what : str
        What the file is, in few words, for lists; the reason says more.
    """

    def __init__(self, reason: object = "", *, where: object = "", what: str = "") -> None:
        super().__init__(reason, where=where)
        self.what = what


class ReferenceFileError(GpuctiError, ValueError):
    """A reference file is missing, damaged, of an unknown version, or does not cover the date."""


class BackendUnavailable(GpuctiError, RuntimeError):
    """A backend was asked for by name and cannot run here; the message says why.

    Attributes
    ----------
    found, remedy : str
        What stands in the way, and what mends it; the message is ``found; remedy``.
    broken : bool
        What it needs is there and fails; not set where nothing is wrong, as on a machine without a GPU.
    """

    def __init__(self, reason: object = "", *, where: object = "", remedy: str = "", broken: bool = False) -> None:
        super().__init__(f"{reason}; {remedy}" if remedy else reason, where=where)
        self.found, self.remedy, self.broken = str(reason), remedy, broken


class OutputExistsError(GpuctiError, FileExistsError):
    """An output file exists and overwriting was not asked for."""


class EngineError(GpuctiError, RuntimeError):
    """A calibration engine cannot run here, or failed; the message names the exposure and the step."""


class MissingDarksError(InputError, FileNotFoundError):
    """Component darks that the anneal list names are not in the folder of darks."""


class FolderInUseError(GpuctiError, RuntimeError):
    """Another run works in the folder."""


class PlanError(InputError):
    """A run cannot begin: the message lists everything that stands in its way."""


class ArchiveError(GpuctiError, RuntimeError):
    """The archive cannot be reached, does not answer as it should, or cannot decide; the message says how to go on."""


class MissingPackageError(GpuctiError, ImportError):
    """What was asked for needs a Python package that is not installed, or broken; the message says which."""


class Failure(NamedTuple):
    """One item that could not be treated, and why; ``str`` is a line of a message.

    Attributes
    ----------
    item : str
        The file, exposure or dark.
    reason : str
        What was found, what is allowed, what to do.
    """

    item: str
    reason: str

    def __str__(self) -> str:
        return f"{self.item}: {self.reason}"

    @classmethod
    def of(cls, item: object, error: Exception) -> Self:
        """Return what became of an item; the reason begins with the place if that is another, or an extension."""
        name = str(item)
        if isinstance(error, GpuctiError) and error.where == name:
            return cls(name, error.reason)
        if isinstance(error, GpuctiError) and error.where.startswith(f"{name}["):
            return cls(name, f"{error.where.removeprefix(name)} {error.reason}")
        return cls(name, str(error))


class SomeFailedError(GpuctiError, RuntimeError):
    """Some of several items could not be treated; all the others were.

    Attributes
    ----------
    failures : tuple of Failure
        What could not be treated, and why.
    done : tuple of Path
        The outputs that were made.
    """

    failures: tuple[Failure, ...] = ()
    done: tuple[Path, ...] = ()

    @classmethod
    def of(cls, failures: Sequence[Failure], done: Sequence[Path], total: int) -> Self:
        """Return the error whose message has a line for each failure."""
        lines = "".join(f"\n  {failure}" for failure in failures)
        others = ", the others are done" if len(failures) < total else ""
        error = cls(f"{len(failures)} of {total} could not be treated{others}:{lines}")
        error.failures, error.done = tuple(failures), tuple(done)
        return error


def in_brief(error: BaseException) -> str:
    """Return a foreign error in one line, not too long, with its kind unless that is the usual one of an import."""
    text = " ".join(str(error).split())
    text = f"{text[:QUOTED]} ..." if len(text) > QUOTED else text
    return text if text and isinstance(error, ImportError) else f"{type(error).__name__}{text and ': '}{text}"
