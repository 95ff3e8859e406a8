"""What the commands share: progress, messages, JSON, exit codes."""

from __future__ import annotations

import errno
import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gpucti._lazy import require
from gpucti.cli.options import LOUD, NORMAL, QUIET
from gpucti.errors import MissingPackageError

if TYPE_CHECKING:
    from rich.progress import Progress

    from gpucti.progress import Event

EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130


def write_json(data: dict[str, Any], file: str | None) -> None:
    """Write data as JSON into a file, print it for ``-``, do nothing without a name."""
    from gpucti.io.atomic import atomic_output

    text = json.dumps(data, indent=1)
    if file == "-":
        click.echo(text)
    elif file is not None:
        with atomic_output(Path(file), overwrite=True) as stream:
            stream.write(text.encode() + b"\n")


@contextmanager
def files_progress(total: int, verbose: int) -> Iterator[tuple[Callable[[str], None], Callable[[str], None]]]:
    """Yield two functions: one says a line on standard error, one reports a file on standard output, unless QUIET.

    A bar is shown only where standard error is a terminal and rich is installed.
    """
    if verbose == QUIET:
        yield tell, lambda text: None
        return
    if not _bars_can_be_shown():
        yield tell, click.echo
        return
    with progress_bars(transient=True) as (bar, above):
        task = bar.add_task("gpucti", total=total)

        def advance(text: str) -> None:
            if sys.stdout.isatty():
                above(text)
            else:
                click.echo(text)
            bar.advance(task)

        yield lambda text: above(f"gpucti: {text}"), advance


@contextmanager
def stages(verbose: int) -> Iterator[tuple[Callable[[str], None], Callable[[Event], None] | None]]:
    """Yield what says a line, and what shows the steps of a run: bars, or lines where there is no terminal."""
    if verbose == QUIET:
        yield tell, None
    elif not _bars_can_be_shown():
        yield tell, lambda event: click.echo(f"{event.stage} {event.done}/{event.total}: {event.text}")
    else:
        with progress_bars("{task.fields[text]}") as (bars, above):
            tasks: dict[str, Any] = {}

            def show(event: Event) -> None:
                if event.stage not in tasks:
                    tasks[event.stage] = bars.add_task(f"{event.stage:<12}", total=event.total, text="")
                bars.update(tasks[event.stage], completed=event.done, text=event.text)

            yield lambda text: above(f"gpucti: {text}"), show


def _bars_can_be_shown() -> bool:
    """Tell whether standard error is a terminal, and what draws bars is installed; else there are lines."""
    if not sys.stderr.isatty():
        return False
    try:
        require("rich", "a progress bar")
    except MissingPackageError as error:
        tell(f"note: {error}")
        return False
    return True


@contextmanager
def progress_bars(*columns: str, transient: bool = False) -> Iterator[tuple[Progress, Callable[[str], None]]]:
    """Yield progress bars on standard error, a terminal, with more columns of text; and what writes a line above."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    usual = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    more = (TextColumn(column) for column in columns)
    with Progress(*usual, *more, console=Console(stderr=True), transient=transient) as bars:
        yield bars, lambda text: bars.console.print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def messages(say: Callable[[str], None], verbose: int = NORMAL) -> Iterator[None]:
    """Show the library's warnings as lines, each once, and if LOUD its log."""
    log = logging.getLogger("gpucti")
    handler = _SayHandler(say)
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO if verbose == LOUD else logging.WARNING)
    shown: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *rest: Any) -> None:
        if str(message) not in shown:
            shown.add(str(message))
            say(f"warning: {message}")

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", UserWarning)
            warnings.simplefilter("ignore", DeprecationWarning)  # one package's, of another
            warnings.filterwarnings("ignore", module="astropy")  # of damaged files: what matters is an error of ours
            warnings.showwarning = show  # type: ignore[assignment]
            yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


class _SayHandler(logging.Handler):
    """A log handler that says one line per record."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        """Say the message, with its level where it is more than information."""
        level = f"{record.levelname.lower()}: " if record.levelno > logging.INFO else ""
        self._say(level + record.getMessage())


@contextmanager
def no_window() -> Iterator[None]:
    """Hide MPLBACKEND from a command that only writes pictures.

    Notebooks export one that their own Python has; in another Python, matplotlib cannot even be imported with it.
    """
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        yield
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend


def system_error(error: OSError) -> str:
    """Return where the operating system refused what, and what to do about it."""
    text = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{text}; make room and run again, files that were finished are whole"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{text}; check the permissions, or choose another folder"
    return text


def tell(text: str) -> None:
    """Say a line on standard error."""
    click.echo(f"gpucti: {text}", err=True)
