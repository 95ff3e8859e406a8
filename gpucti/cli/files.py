"""Commands on single files: ``cte``, ``add-cti``; ``pctetab`` and ``backends``, which show what they work with."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gpucti.cli.common import files_progress, messages, tell
from gpucti.cli.options import QUIET, chosen_device, device_options, oref_option, verbose_options, with_options

if TYPE_CHECKING:
    from gpucti.correction.files import FileDone


_common_options = with_options(
    click.argument("files", nargs=-1, required=True, metavar="FILE..."),
    click.option("-o", "--outdir", type=click.Path(), help="Folder of the new files [beside each input]."),
    click.option(
        "-p",
        "--pctetab",
        metavar="FILE",
        help="PCTETAB to use [the one the header names if it is found, else the packaged one].",
    ),
    oref_option,
    device_options,
    click.option("--overwrite", is_flag=True, help="Replace existing outputs."),
    click.option(
        "--nan",
        type=click.Choice(["raise", "keep"]),
        default="raise",
        show_default=True,
        help="NaN and infinite pixels: refuse the file, or take them for zero and put them back.",
    ),
    verbose_options,
    click.option("--shft-nit", type=int, help="Passes over a column per readout [table]."),
)


@click.command("cte")
@_common_options
@click.option("--sim-nit", type=int, help="Simulated readouts per column [table].")
@click.option("--read-noise", type=float, help="Largest noise set aside, in electrons [table].")
@click.option(
    "--noise-model",
    type=click.IntRange(0, 2),
    help="How noise is set aside: 0 not at all, 1 limited around sources, 2 without that limit [table].",
)
@click.option(
    "--oversub-thresh",
    type=float,
    help="Electrons below which a lowered pixel counts as over-subtracted [table].",
)
def cte_command(**given: Any) -> None:
    """Remove the trails from the pixels: FILE... -> ROOTNAME_cte.fits.

    Files that hold no image to be corrected are skipped, and said to be; FILE... may be all files of a folder.
    """
    from gpucti.correction.files import correct_files

    _treat_files(correct_files, "corrected", **given)


@click.command("add-cti")
@_common_options
def add_cti_command(**given: Any) -> None:
    """Add the trails of one more readout: FILE... -> ROOTNAME_cti.fits."""
    from gpucti.correction.files import add_cti_files

    _treat_files(add_cti_files, "trailed", **given)


@click.command("pctetab")
@click.argument("file", required=False, type=click.Path())
@click.option("--write", metavar="FILE", type=click.Path(), help="Write the table to this file.")
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
def pctetab_command(file: str | None, write: str | None, *, overwrite: bool) -> None:
    """Show a PCTETAB (the packaged one by default), or write it to a file."""
    from gpucti.model.pctetab import Pctetab

    if overwrite and write is None:
        raise click.UsageError("--overwrite is for --write FILE.")
    table = Pctetab.default() if file is None else Pctetab.read(file)
    if write is None:
        click.echo(table.describe())
    else:
        click.echo(f"{table.write(write, overwrite=overwrite)} written: {table.name}, PCTE_VER {table.version}")


@click.command("backends")
def backends_command() -> None:
    """Show what runs on this machine, and why not the rest."""
    from gpucti.backends import available

    with messages(tell):
        for row in available():
            remedy = f"; {row.remedy}" if row.remedy else ""
            click.echo(f"{row.name:<7}{'runs  ' if row.ok else 'cannot'}  {row.detail}{remedy}")


def _treat_files(
    treat: Callable[..., list[Path]],
    done: str,
    *,
    files: tuple[str, ...],
    device: str | None,
    backend: str | None,
    verbose: int,
    **options: Any,
) -> None:
    """Run `correct_files` or `add_cti_files` and report on every file."""
    device = chosen_device(device, backend)
    from gpucti.errors import SomeFailedError
    from gpucti.io.inputs import expand_files

    paths = expand_files(files, folders=True)
    begin = time.perf_counter()
    failed: SomeFailedError | None = None
    with files_progress(len(paths), verbose) as (say, advance), messages(say, verbose):

        def report(file: FileDone) -> None:
            repaired = f", {sum(file.repairs)} columns repaired" if file.repairs else ""
            advance(f"{file.input.name} -> {file.output}: {done}{repaired}, {file.seconds:.2f} s")

        try:
            outputs: Sequence[Path] = treat(paths, device=device, progress=report, **options)
        except SomeFailedError as error:
            outputs, failed = error.done, error
    if verbose > QUIET:
        total = f"{len(outputs)} file{'' if len(outputs) == 1 else 's'}"
        click.echo(f"{total} {done} in {time.perf_counter() - begin:.2f} s")
    if failed is not None:
        raise failed
