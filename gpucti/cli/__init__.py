"""The command ``gpucti``: arguments in, library calls, text and exit codes out.

Exit codes: 0 done, 1 the data or the run failed (one message), 2 wrong usage, 130 interrupted. The library is
imported inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import Any

import click

from gpucti._version import __version__
from gpucti.cli.archive import darks_command
from gpucti.cli.common import EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, system_error, tell
from gpucti.cli.doctor import doctor_command
from gpucti.cli.files import add_cti_command, backends_command, cte_command, pctetab_command
from gpucti.cli.options import either_spelling
from gpucti.cli.pipeline import correct_command, info_command, superdark_group
from gpucti.cli.spectra import plot_command, x1d_command
from gpucti.cli.visit import demo_command, simulate_command
from gpucti.errors import GpuctiError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code; the console entry point ``gpucti``."""
    try:
        result = cli.main(args=argv, prog_name="gpucti", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE if isinstance(error, click.UsageError) else EXIT_FAILED
    except (click.Abort, KeyboardInterrupt):
        tell("interrupted; finished files are whole, nothing is half-written")
        return EXIT_INTERRUPTED
    except GpuctiError as error:
        tell(f"error: {error}")
        return EXIT_FAILED
    except OSError as error:
        tell(f"error: {system_error(error)}")
        return EXIT_FAILED
    except MemoryError as error:
        reason = f" ({error})" if str(error) else ""
        tell(f"error: there is not enough memory{reason}; give fewer files at once, files that were finished are whole")
        return EXIT_FAILED
    return result if isinstance(result, int) else EXIT_DONE


class _Commands(click.Group):
    """Lists its commands as they were added, the main job first; an end of file is none of the user's input."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. An `EOFError` is of a damaged file; click would take it for Ctrl-D, and say interrupted."""
        try:
            return super().invoke(ctx)
        except EOFError as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{str(error) or 'EOFError'}; {place.filename}, {place.name}"
            raise GpuctiError(f"a file ends too early ({where}); look for a damaged one among those in use") from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(self.commands)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "token_normalize_func": either_spelling},
    epilog="Options can be written with underscores too, as those of stis_cti are: --crds-update, --crds_update.",
)
@click.version_option(__version__, message="gpucti %(version)s")
def cli() -> None:
    """Remove charge-transfer trails from STIS CCD images, as stis_cti does, but fast."""


#: Each with what `gpucti --help` says about it, short enough for one line of a terminal.
COMMANDS: tuple[tuple[click.Command, str], ...] = (
    (correct_command, "Correct and calibrate a folder of raw exposures."),
    (darks_command, "List the darks that raw exposures need, and fetch them."),
    (superdark_group, "Combine chosen darks into a super-dark."),
    (info_command, "Tell how to make and use super-darks of your own."),
    (x1d_command, "Extract spectra again, with other parameters."),
    (plot_command, "Draw images and spectra."),
    (cte_command, "Remove the trails from the pixels of single files."),
    (add_cti_command, "Add the trails of one more readout to single files."),
    (pctetab_command, "Show the table of the model, or write it to a file."),
    (backends_command, "Show what computes on this machine."),
    (doctor_command, "Show what this installation lacks, and what mends that."),
    (simulate_command, "Write a synthetic visit with everything a run needs."),
    (demo_command, "Simulate a visit, correct it, show what was won."),
)
for command, summary in COMMANDS:
    command.short_help = summary
    cli.add_command(command)
