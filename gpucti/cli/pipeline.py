"""The main job: ``correct``; and the super-darks by themselves: ``superdark``, ``info``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from gpucti.cli.common import EXIT_FAILED, messages, stages, tell, write_json
from gpucti.cli.options import (
    QUIET,
    archive_options,
    chosen_device,
    device_options,
    json_option,
    oref_option,
    verbose_options,
    with_options,
)


@click.command("correct")
@click.argument("science_dir", required=False, default=".", type=click.Path())
@click.option("-d", "--dark-dir", type=click.Path(), help="Component darks (*_flt) [SCIENCE_DIR/../darks].")
@click.option("-r", "--ref-dir", type=click.Path(), help="CTI-corrected super-darks [SCIENCE_DIR/../ref].")
@click.option("-n", "threads", metavar="N", type=click.IntRange(1), help="Threads that compute on a CPU [all].")
@click.option(
    "-p", "--pctetab", metavar="FILE", help="PCTETAB [the last *_pcte.fits of the super-darks' folder, or packaged]."
)
@click.option(
    "--anneals", metavar="FILE", help="Anneal periods and their darks, JSON [the list in REF_DIR, else the archive]."
)
@oref_option
@device_options
@click.option(
    "--engine",
    type=click.Choice(["auto", "native", "hstcal"]),
    default="auto",
    show_default=True,
    help="What calibrates: the embedded engine, or STScI's programs where they are installed.",
)
@click.option("--crds-update", is_flag=True, help="Ask CRDS for the best references.")
@click.option("--clean", is_flag=True, help="Remove products of earlier runs in SCIENCE_DIR first.")
@click.option("--clean-all", is_flag=True, help="--clean, super-darks and corrected darks.")
@click.option("--ignore-missing", is_flag=True, help="Go on without darks that are missing.")
@click.option("--download", is_flag=True, help="Fetch component darks that are not there from the archive (MAST).")
@archive_options
@click.option(
    "--single-dark-week",
    type=click.Choice(["stop", "basedark"]),
    default="stop",
    show_default=True,
    help="A week with one dark has no weekdark: stop, or use a basedark of the period's other darks.",
)
@click.option(
    "--allow",
    is_flag=True,
    help="Take other amplifiers, gains and offsets, and dates from 1990 on (before 2009 corrected about twice over).",
)
@click.option("--all-weeks", is_flag=True, help="Make the super-darks of all weeks.")
@click.option("--dry-run", is_flag=True, help="Show the plan and change nothing.")
@json_option("the report, or with --dry-run the plan,")
@verbose_options
def correct_command(
    science_dir: str,
    dark_dir: str | None,
    ref_dir: str | None,
    device: str | None,
    backend: str | None,
    json_file: str | None,
    verbose: int,
    *,
    dry_run: bool,
    **options: Any,
) -> int | None:
    """Correct all raw exposures of SCIENCE_DIR and calibrate them, with CTI-corrected super-darks.

    Products go beside the raw files: ROOT_cte, and ROOT_flc, _crc, _s2c, _x2c, _s1c, _x1c. Raw files and component
    darks are never changed.
    """
    from gpucti.pipeline.planning.planner import plan
    from gpucti.pipeline.planning.text import plan_data, plan_text
    from gpucti.pipeline.running.run import correct

    folders = (science_dir, dark_dir, ref_dir)
    options |= {"device": chosen_device(device, backend)}
    bare = json_file == "-"
    if dry_run:
        with messages(tell, verbose):
            it = plan(*folders, **options)
        if not bare:
            click.echo(plan_text(it))
        write_json(plan_data(it), json_file)
        return EXIT_FAILED if it.problems or it.failures else None
    with stages(QUIET if bare else verbose) as (say, progress), messages(say, verbose):
        report = correct(*folders, progress=progress, **options)
        for note in report.notes:
            say(f"note: {note}")
    if verbose > QUIET and not bare:
        click.echo(replace(report, failures=()).summary())
    else:  # not so quiet that a product could be missed
        for line in replace(report, failures=()).warnings():
            tell(line)
    for failure in report.failures:
        tell(f"FAILED {failure}")
    write_json(report.data(), json_file)
    return EXIT_FAILED if report.failures else None


@click.group("superdark")
def superdark_group() -> None:
    """Combine chosen darks: a basedark of an anneal period, a weekdark on top of it."""


_superdark_options = with_options(
    click.argument("darks", nargs=-1, required=True, metavar="DARK..."),
    click.option("-o", "--output", required=True, type=click.Path(), help="The super-dark to write."),
    oref_option,
    device_options,
    click.option("--overwrite", is_flag=True, help="Replace an existing file."),
    verbose_options,
)


@superdark_group.command("basedark", short_help="Combine all darks of an anneal period.")
@_superdark_options
def basedark_command(device: str | None, backend: str | None, **given: Any) -> None:
    """Combine all darks of an anneal period, DARK..., into OUTPUT.

    Take CTI-corrected darks (`gpucti cte`) for science that is CTI-corrected.
    """
    from gpucti.darks.superdarks import make_basedark

    _make_superdark(make_basedark, chosen_device(device, backend), **given)


@superdark_group.command("weekdark", short_help="Put the hot pixels of a week on top of a basedark.")
@_superdark_options
@click.option("--basedark", required=True, type=click.Path(), help="The basedark of the anneal period.")
def weekdark_command(device: str | None, backend: str | None, **given: Any) -> None:
    """Put the hot pixels of a week's darks, DARK..., on top of a basedark, into OUTPUT."""
    from gpucti.darks.superdarks import make_weekdark

    _make_superdark(make_weekdark, chosen_device(device, backend), **given)


def _make_superdark(
    make: Callable[..., Path],
    device: str | None,
    *,
    darks: tuple[str, ...],
    output: str,
    oref: str | None,
    verbose: int,
    **options: Any,
) -> None:
    from gpucti.io.inputs import expand_files
    from gpucti.references.names import run_environment

    environment = run_environment(None if oref is None else Path(oref), Path(output).absolute().parent)
    paths = expand_files(darks)
    with messages(tell, verbose):
        made = make(paths, output, device=device, environment=environment, **options)
    if verbose > QUIET:
        click.echo(f"{made} made from {len(paths)} darks")


@click.command("info")
def info_command() -> None:
    """Tell how to make and use super-darks of chosen darks."""
    from gpucti.compat import custom_superdark_info

    click.echo(custom_superdark_info())
