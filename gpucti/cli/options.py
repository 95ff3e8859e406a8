"""Options that mean the same in every command: device, references, JSON, how much is told.

An option is spelled with dashes here; `either_spelling` takes underscores too, in all commands.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

#: How much a command tells: warnings and errors only; also what it does; also the library's log.
QUIET, NORMAL, LOUD = 0, 1, 2
DEVICES = re.compile(r"auto|cpu|numpy|numba|(cuda:)?\d+|cuda", re.IGNORECASE)

Command = Callable[..., Any]
Decorator = Callable[[Command], Command]


def either_spelling(name: str) -> str:
    """Return the name of an option or command with dashes, as it is declared: ``crds_update`` is ``crds-update``."""
    return name.replace("_", "-")


def with_options(*options: Decorator) -> Decorator:
    """Return a decorator that adds options to a command, shown in this order."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def _check_device(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not DEVICES.fullmatch(value):
        raise click.BadParameter(f"{value!r} is not one of auto, cpu, numpy, numba, cuda, cuda:N, N.", ctx, param)
    return value


#: The options that choose the backend; `chosen_device` tells which one.
device_options = with_options(
    click.option(
        "--device", metavar="DEVICE", callback=_check_device, help="auto, cpu, numpy, numba, cuda, cuda:N or N [auto]."
    ),
    click.option("--backend", metavar="DEVICE", callback=_check_device, help="The same as --device."),
)


def chosen_device(device: str | None, backend: str | None) -> str | None:
    """Return the one that was given, None if neither."""
    if device is not None and backend is not None:
        raise click.UsageError("--device and --backend mean the same; give one of them.")
    return device if backend is None else backend


oref_option = click.option(
    "--oref", metavar="DIR", help="Reference files, oref$ in headers [environment variable oref]."
)

mast_server_option = click.option(
    "--mast-server", metavar="URL", help="The archive, or a mirror of it [GPUCTI_MAST_SERVER, else astroquery's]."
)

archive_options = with_options(
    mast_server_option,
    click.option("--offline", is_flag=True, help="Never ask the archive; use the saved list."),
)


def _check_json(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value not in (None, "-") and not Path(value).absolute().parent.is_dir():
        raise click.UsageError(f"--json {value}: there is no such folder; make it first.", ctx)
    return value


def json_option(what: str) -> Decorator:
    """Return the option that writes `what` as JSON; the command is given `json_file`."""
    return click.option(
        "--json",
        "json_file",
        metavar="FILE",
        type=click.Path(dir_okay=False, allow_dash=True),
        callback=_check_json,
        help=f"Write {what} as JSON; - prints it, and no text.",
    )


def verbose_options(command: Command) -> Command:
    """Add ``-v LEVEL``, and ``--verbose``, which is ``-v 2``; the command is given `verbose`."""

    @wraps(command)
    def with_level(*arguments: Any, verbose: int, loud: bool, **given: Any) -> Any:
        return command(*arguments, verbose=LOUD if loud else verbose, **given)

    add = with_options(
        click.option(
            "-v",
            "verbose",
            metavar="LEVEL",
            type=click.IntRange(QUIET, LOUD),
            default=NORMAL,
            show_default=True,
            help="0 quiet: warnings and errors only; 2 loud: what is going on, too, on standard error.",
        ),
        click.option("--verbose", "loud", is_flag=True, help="The same as -v 2."),
    )
    return add(with_level)
