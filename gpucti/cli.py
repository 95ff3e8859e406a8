"""The command ``gpucti``: arguments in, library calls, text and exit codes out.

Exit codes: 0 done, 1 the data or the run failed (one message), 2 wrong usage, 130 interrupted. The library is
imported inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

import logging
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gpucti._version import __version__
from gpucti.errors import GpuctiError

if TYPE_CHECKING:
    from gpucti.files import FileDone

EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130
DEVICES = re.compile(r"auto|cpu|numpy|numba|(cuda:)?\d+|cuda", re.IGNORECASE)

Command = Callable[..., Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code; the console entry point ``gpucti``."""
    try:
        result = cli.main(args=argv, prog_name="gpucti", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE if isinstance(error, click.UsageError) else EXIT_FAILED
    except (click.Abort, KeyboardInterrupt):
        _tell("interrupted; finished files are whole, nothing is half-written")
        return EXIT_INTERRUPTED
    except (GpuctiError, OSError) as error:
        _tell(f"error: {error}")
        return EXIT_FAILED
    return result if isinstance(result, int) else EXIT_DONE


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="gpucti %(version)s")
def cli() -> None:
    """Remove charge-transfer trails from STIS CCD images, as stis_cti does, but fast."""


def _check_device(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not DEVICES.fullmatch(value):
        raise click.BadParameter(f"{value!r} is not one of auto, cpu, numpy, numba, cuda, cuda:N, N.", ctx, param)
    return value


def _common_options(command: Command) -> Command:
    """Add the options of the commands that turn files into files."""
    options = [
        click.argument("files", nargs=-1, required=True, metavar="FILE..."),
        click.option("-o", "--outdir", type=click.Path(), help="Folder of the new files [beside each input]."),
        click.option(
            "-p",
            "--pctetab",
            metavar="FILE",
            help="PCTETAB to use [the one the header names if it is found, else the packaged one].",
        ),
        click.option(
            "--device",
            metavar="DEVICE",
            callback=_check_device,
            help="auto, cpu, numpy, numba, cuda, cuda:N or N [auto].",
        ),
        click.option("--backend", metavar="DEVICE", callback=_check_device, help="The same as --device."),
        click.option("--overwrite", is_flag=True, help="Replace existing outputs."),
        click.option(
            "--nan",
            type=click.Choice(["raise", "keep"]),
            default="raise",
            show_default=True,
            help="NaN and infinite pixels: refuse the file, or take them for zero and put them back.",
        ),
        click.option("-v", "--verbose", is_flag=True, help="Tell what is going on, on standard error."),
        click.option(
            "--shft-nit", "--shft_nit", "shft_nit", type=int, help="Passes over a column per readout [table]."
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@cli.command("cte")
@_common_options
@click.option("--sim-nit", "--sim_nit", "sim_nit", type=int, help="Simulated readouts per column [table].")
@click.option(
    "--read-noise", "--read_noise", "read_noise", type=float, help="Largest noise set aside, in electrons [table]."
)
@click.option(
    "--noise-model",
    "--noise_model",
    "noise_model",
    type=click.IntRange(0, 2),
    help="How noise is set aside: 0 not at all, 1 limited around sources, 2 without that limit [table].",
)
@click.option(
    "--oversub-thresh",
    "--oversub_thresh",
    "oversub_thresh",
    type=float,
    help="Electrons below which a lowered pixel counts as over-subtracted [table].",
)
def cte_command(**given: Any) -> None:
    """Remove the trails from the pixels: FILE... -> ROOTNAME_cte.fits."""
    from gpucti.files import correct_files

    _treat_files(correct_files, "corrected", **given)


@cli.command("add-cti")
@_common_options
def add_cti_command(**given: Any) -> None:
    """Add the trails of one more readout: FILE... -> ROOTNAME_cti.fits."""
    from gpucti.files import add_cti_files

    _treat_files(add_cti_files, "trailed", **given)


@cli.command("pctetab")
@click.argument("file", required=False, type=click.Path())
@click.option("--write", metavar="FILE", type=click.Path(), help="Write the table to this file.")
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
def pctetab_command(file: str | None, write: str | None, *, overwrite: bool) -> None:
    """Show a PCTETAB (the packaged one by default), or write it to a file."""
    from gpucti.pctetab import Pctetab

    if overwrite and write is None:
        raise click.UsageError("--overwrite is for --write FILE.")
    table = Pctetab.default() if file is None else Pctetab.read(file)
    if write is None:
        click.echo(table.describe())
    else:
        click.echo(f"{table.write(write, overwrite=overwrite)} written: {table.name}, PCTE_VER {table.version}")


@cli.command("backends")
def backends_command() -> None:
    """Show what runs on this machine, and why not the rest."""
    from gpucti.backends import available

    for row in available():
        click.echo(f"{row.name:<7}{'runs  ' if row.ok else 'cannot'}  {row.detail}")


def _treat_files(
    treat: Callable[..., list[Path]],
    done: str,
    *,
    files: tuple[str, ...],
    device: str | None,
    backend: str | None,
    verbose: bool,
    **options: Any,
) -> None:
    """Run `correct_files` or `add_cti_files` and report on every file."""
    if device is not None and backend is not None:
        raise click.UsageError("--device and --backend mean the same; give one of them.")
    from gpucti.jobs import expand_files

    paths = expand_files(files)
    begin = time.perf_counter()
    with _progress(len(paths)) as (say, advance), _messages(say, verbose=verbose):

        def report(file: FileDone) -> None:
            repaired = f", {sum(file.repairs)} columns repaired" if file.repairs else ""
            advance(f"{file.input.name} -> {file.output}: {done}{repaired}, {file.seconds:.2f} s")

        treat(paths, device=device if backend is None else backend, progress=report, **options)
    click.echo(f"{len(paths)} file{'s' if len(paths) > 1 else ''} {done} in {time.perf_counter() - begin:.2f} s")


@contextmanager
def _progress(total: int) -> Iterator[tuple[Callable[[str], None], Callable[[str], None]]]:
    """Yield two functions: one says a line on standard error, one reports a file on standard output.

    A bar is shown only where standard error is a terminal.
    """
    if not sys.stderr.isatty():
        yield _tell, click.echo
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("gpucti", total=total)

        def say(text: str) -> None:
            bar.console.print(f"gpucti: {text}", markup=False, highlight=False, soft_wrap=True)

        def advance(text: str) -> None:
            if sys.stdout.isatty():
                bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
            else:
                click.echo(text)
            bar.advance(task)

        yield say, advance


@contextmanager
def _messages(say: Callable[[str], None], *, verbose: bool) -> Iterator[None]:
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


def _tell(text: str) -> None:
    click.echo(f"gpucti: {text}", err=True)


if __name__ == "__main__":
    sys.exit(main())
