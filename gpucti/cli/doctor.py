"""What this installation can do: ``doctor``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from gpucti.cli.common import EXIT_FAILED, messages, no_window, tell, write_json
from gpucti.cli.options import json_option, mast_server_option, oref_option


@click.command("doctor")
@click.argument("science_dir", required=False, default=".", type=click.Path())
@click.option("-r", "--ref-dir", type=click.Path(), help="Super-darks [SCIENCE_DIR/../ref].")
@oref_option
@mast_server_option
@click.option("--offline", is_flag=True, help="Ask no server.")
@json_option("the findings")
def doctor_command(
    science_dir: str,
    ref_dir: str | None,
    oref: str | None,
    mast_server: str | None,
    json_file: str | None,
    *,
    offline: bool,
) -> int | None:
    """Show what this installation can do, what it lacks, and what mends that.

    The exit code is 0 unless nothing can run.
    """
    from gpucti.doctor import can_run, examine, findings_data, findings_text

    with messages(tell), no_window():
        findings = examine(
            os.environ,
            folder=Path(science_dir),
            ref_dir=None if ref_dir is None else Path(ref_dir),
            oref=None if oref is None else Path(oref),
            mast_server=mast_server,
            offline=offline,
        )
    write_json(findings_data(findings), json_file)
    if json_file != "-":
        click.echo(findings_text(findings))
    return None if can_run(findings) else EXIT_FAILED
