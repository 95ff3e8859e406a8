"""Data to try things on: ``simulate``, ``demo``."""

from __future__ import annotations

from typing import Any

import click

from gpucti.cli.common import chosen_device, device_options, messages, tell, with_options
from gpucti.cli.pipeline import NORMAL, stages


@click.command("simulate")
@click.argument("folder", metavar="DIR", type=click.Path())
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Another seed, another visit.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier visit in DIR.")
@with_options(device_options())
def simulate_command(folder: str, device: str | None, backend: str | None, **options: Any) -> None:
    """Write a synthetic visit into DIR: raw exposures, darks, reference files, the anneal list, and the truth."""
    from gpucti.synthetic import simulate_visit

    with messages(tell, verbose=False):
        visit = simulate_visit(folder, device=chosen_device(device, backend) or "auto", progress=click.echo, **options)
    click.echo(f"{visit.folder}: {', '.join(visit.exposures)} in {visit.science}")


@click.command("demo")
@click.argument("folder", metavar="[DIR]", required=False, default="gpucti-demo", type=click.Path())
@click.option("--overwrite", is_flag=True, help="Replace an earlier demonstration in DIR.")
@with_options(device_options())
def demo_command(folder: str, device: str | None, backend: str | None, *, overwrite: bool) -> None:
    """Simulate a visit in DIR [gpucti-demo], correct it, and show what was won, in a picture and a table."""
    from gpucti.demo import run_demo

    with stages(NORMAL) as (say, watch), messages(say, verbose=False):
        result = run_demo(folder, device=chosen_device(device, backend), progress=watch, overwrite=overwrite)
    seconds = ", ".join(f"{part} {seconds:.0f}" for part, seconds in result.seconds.items())
    click.echo(f"\n{result.table}\nbackend {result.report.backend}; seconds: {seconds}")
    click.echo(f"table    {result.table_file}\npicture  {result.picture}")
