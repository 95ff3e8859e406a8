"""What this installation can do: ``doctor``."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from gpucti.cli.common import EXIT_FAILED


@click.command("doctor")
@click.argument("science_dir", required=False, default=".", type=click.Path())
@click.option("-r", "--ref-dir", "ref_dir", type=click.Path(), help="Super-darks [SCIENCE_DIR/../ref].")
@click.option("--oref", metavar="DIR", help="Reference files, oref$ in headers [environment variable oref].")
@click.option("--mast-server", "--mast_server", "mast_server", metavar="URL", help="The archive [GPUCTI_MAST_SERVER].")
@click.option("--offline", is_flag=True, help="Ask no server.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor_command(
    science_dir: str, ref_dir: str | None, oref: str | None, mast_server: str | None, *, offline: bool, as_json: bool
) -> int | None:
    """Show what this installation can do, what it lacks, and what mends that.

    The exit code is 0 unless nothing can run.
    """
    from gpucti.doctor import can_run, examine, findings_data, findings_text

    findings = examine(
        os.environ,
        folder=Path(science_dir),
        ref_dir=None if ref_dir is None else Path(ref_dir),
        oref=None if oref is None else Path(oref),
        mast_server=mast_server,
        offline=offline,
    )
    click.echo(json.dumps(findings_data(findings), indent=1) if as_json else findings_text(findings))
    return None if can_run(findings) else EXIT_FAILED
