"""What the commands share: the device options, progress, messages, exit codes."""

from __future__ import annotations

import errno
import json
import logging
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.progress import Progress

EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130
DEVICES = re.compile(r"auto|cpu|numpy|numba|(cuda:)?\d+|cuda", re.IGNORECASE)

Command = Callable[..., Any]


def _check_device(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not DEVICES.fullmatch(value):
        raise click.BadParameter(f"{value!r} is not one of auto, cpu, numpy, numba, cuda, cuda:N, N.", ctx, param)
    return value


def device_options() -> list[Callable[[Command], Command]]:
    """Return the options that choose the backend; `chosen_device` tells which one."""
    return [
        click.option(
            "--device",
            metavar="DEVICE",
            callback=_check_device,
            help="auto, cpu, numpy, numba, cuda, cuda:N or N [auto].",
        ),
        click.option("--backend", metavar="DEVICE", callback=_check_device, help="The same as --device."),
    ]


def chosen_device(device: str | None, backend: str | None) -> str | None:
    """Return the one that was given, None if neither."""
    if device is not None and backend is not None:
        raise click.UsageError("--device and --backend mean the same; give one of them.")
    return device if backend is None else backend


def with_options(options: list[Callable[[Command], Command]]) -> Callable[[Command], Command]:
    """Return a decorator that adds options to a command, shown in this order."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


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
def files_progress(total: int) -> Iterator[tuple[Callable[[str], None], Callable[[str], None]]]:
    """Yield two functions: one says a line on standard error, one reports a file on standard output.

    A bar is shown only where standard error is a terminal.
    """
    if not sys.stderr.isatty():
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
def progress_bars(*columns: str, transient: bool = False) -> Iterator[tuple[Progress, Callable[[str], None]]]:
    """Yield progress bars on standard error, a terminal, with more columns of text; and what writes a line above."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    usual = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    more = (TextColumn(column) for column in columns)
    with Progress(*usual, *more, console=Console(stderr=True), transient=transient) as bars:
        yield bars, lambda text: bars.console.print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def messages(say: Callable[[str], None], *, verbose: bool) -> Iterator[None]:
    """Show the library's log and its warnings as lines, each warning once."""
    log = logging.getLogger("gpucti")
    handler = _SayHandler(say)
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO if verbose else logging.WARNING)
    shown: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *rest: Any) -> None:
        if str(message) not in shown:
            shown.add(str(message))
            say(f"warning: {message}")

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", UserWarning)
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
