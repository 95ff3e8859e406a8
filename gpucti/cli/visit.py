"""Data to try things on: ``simulate``, ``demo``."""

from __future__ import annotations

from typing import Any

import click

from gpucti.cli.common import messages, no_window, stages, tell
from gpucti.cli.options import QUIET, chosen_device, device_options, verbose_options


@click.command("simulate")
@click.argument("folder", metavar="DIR", type=click.Path())
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Another seed, another visit.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier visit in DIR.")
@device_options
@verbose_options
def simulate_command(folder: str, device: str | None, backend: str | None, *, verbose: int, **options: Any) -> None:
    """Write a synthetic visit into DIR: raw exposures, darks, reference files, the anneal list, and the truth."""
    from gpucti.synthetic import simulate_visit

    progress = click.echo if verbose > QUIET else None
    with messages(tell, verbose):
        visit = simulate_visit(folder, device=chosen_device(device, backend) or "auto", progress=progress, **options)
    if verbose > QUIET:
        click.echo(f"{visit.folder}: {', '.join(visit.exposures)} in {visit.science}")


@click.command("demo")
@click.argument("folder", metavar="[DIR]", required=False, default="gpucti-demo", type=click.Path())
@click.option("--overwrite", is_flag=True, help="Replace an earlier demonstration in DIR.")
@device_options
@verbose_options
def demo_command(folder: str, device: str | None, backend: str | None, *, verbose: int, overwrite: bool) -> None:
    """Simulate a visit in DIR [gpucti-demo], correct it, and show what was won, in a picture and a table."""
    from gpucti.demo import run_demo

    with stages(verbose) as (say, progress), messages(say, verbose), no_window():
        result = run_demo(folder, device=chosen_device(device, backend), progress=progress, overwrite=overwrite)
    seconds = ", ".join(f"{part} {seconds:.0f}" for part, seconds in result.seconds.items())
    click.echo(f"\n{result.table}\nbackend {result.report.backend}; seconds: {seconds}")
    click.echo(f"table    {result.table_file}")
    if result.picture is not None:
        click.echo(f"picture  {result.picture}")
