"""Which darks an exposure needs, and getting them: ``darks``."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gpucti.cli.common import EXIT_FAILED, messages, tell, write_json
from gpucti.cli.options import QUIET, archive_options, json_option, verbose_options

if TYPE_CHECKING:
    from gpucti.archive.download import Download
    from gpucti.archive.query import Answer
    from gpucti.archive.settings import ArchiveSettings
    from gpucti.darks.anneals import AnnealPeriod, Dark
    from gpucti.progress import Event


def _utc(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """Return the date of an option, UTC, with or without a time."""
    from gpucti.io.dates import UTC_FORM, parse_utc

    when = None if value is None else parse_utc(value) or parse_utc(f"{value} 00:00:00")
    if value is not None and when is None:
        raise click.BadParameter(f"{value!r} is no date; expected YYYY-MM-DD or '{UTC_FORM}', UTC.", ctx, param)
    return when


@click.command("darks")
@click.argument("files", nargs=-1, required=True, metavar="RAW...")
@click.option("-d", "--dark-dir", type=click.Path(), help="Where the darks are, or go [RAW's ../darks].")
@click.option("-r", "--ref-dir", type=click.Path(), help="Where the list is kept [RAW's ../ref].")
@click.option(
    "--anneals", metavar="FILE", type=click.Path(), help="Keep the list in this file [anneals.json in REF_DIR]."
)
@click.option("--anneal-start", metavar="DATE", callback=_utc, help="Start of the period, UTC.")
@click.option("--anneal-end", metavar="DATE", callback=_utc, help="End of the period, UTC.")
@click.option("-t", "--min-exptime", type=click.FloatRange(0), help="Shortest dark, in seconds [960].")
@click.option("--download", is_flag=True, help="Fetch the darks that are not on disk, or not good.")
@click.option("--jobs", type=click.IntRange(1, 16), default=4, show_default=True, help="Files fetched at a time.")
@click.option("--refresh", is_flag=True, help="Ask the archive again, whatever is saved.")
@archive_options
@click.option("--list", "plain", is_flag=True, help="Print names alone, one per line.")
@json_option("the answer")
@verbose_options
def darks_command(
    files: tuple[str, ...],
    dark_dir: str | None,
    ref_dir: str | None,
    anneals: str | None,
    min_exptime: float | None,
    jobs: int,
    mast_server: str | None,
    json_file: str | None,
    *,
    download: bool,
    refresh: bool,
    plain: bool,
    verbose: int,
    **options: Any,
) -> int | None:
    """List the darks that the super-darks of RAW... need, and fetch them: files, patterns or folders.

    The archive (MAST) is asked for anneal periods and darks that are not known yet. The answer is kept in REF_DIR,
    where `gpucti correct` finds it.
    """
    from gpucti.archive.download import darks_on_disk
    from gpucti.archive.query import anneal_periods, archive_settings, exposure_starts
    from gpucti.darks.anneals import MIN_DARK_SECONDS, SAVED_NAME

    if plain and json_file == "-":
        raise click.UsageError("--list and --json - both print; give one of them.")
    if download and options["offline"]:
        raise click.UsageError("--download needs the archive, and --offline forbids it.")
    settings = archive_settings(mast_server)
    least = MIN_DARK_SECONDS if min_exptime is None else min_exptime
    with messages(tell, verbose):
        starts = exposure_starts(files)
        dark_folder, ref_folder = (_folder(starts, *pair) for pair in (("darks", dark_dir), ("ref", ref_dir)))
        saved = ref_folder / SAVED_NAME if anneals is None else Path(anneals)
        answer = anneal_periods(
            starts.values(),
            saved=saved,
            settings=settings,
            renew=True,
            refresh=refresh,
            min_exptime=least,
            **options,
        )
        for note in answer.notes:
            tell(f"note: {note}")
        if answer.asked and least >= MIN_DARK_SECONDS:
            _save(answer, saved, verbose)
        wanted = [dark for dark in answer.darks if dark.exptime >= least]
        done = _download(wanted, dark_folder, settings, jobs, verbose) if download else None
        on_disk = darks_on_disk([dark.exposure for dark in wanted], dark_folder)
    _show(answer, wanted, on_disk, starts, plain=plain, json_file=json_file)
    if done is None:
        return None
    if verbose > QUIET or done.failed:
        tell(done.summary())
    return EXIT_FAILED if done.failed else None


def _folder(starts: Iterable[Path], name: str, given: str | None) -> Path:
    """Return the folder given, or the one beside that of the exposures, as `gpucti correct` does."""
    if given is not None:
        return Path(given)
    folders = {path.absolute().parent.parent for path in starts}
    if len(folders) > 1:
        raise click.UsageError("the exposures lie in different places; give --dark-dir and --ref-dir.")
    return folders.pop() / name


def _save(answer: Answer, path: Path, verbose: int) -> None:
    from gpucti.archive.query import save_anneals

    try:
        if save_anneals(answer, path) and verbose > QUIET:
            tell(f"list kept in {path}")
    except OSError as error:
        tell(f"warning: {path}: the list cannot be kept ({error.strerror})")


def _download(wanted: list[Dark], folder: Path, settings: ArchiveSettings, jobs: int, verbose: int) -> Download:
    from gpucti.archive.download import download_darks

    def show(event: Event) -> None:
        tell(f"{event.stage} {event.done}/{event.total}: {event.text}")

    return download_darks(wanted, folder, settings, jobs=jobs, progress=show if verbose > QUIET else None)


def _show(
    answer: Answer,
    wanted: list[Dark],
    on_disk: dict[str, Path],
    starts: dict[Path, datetime],
    *,
    plain: bool,
    json_file: str | None,
) -> None:
    """Print the table, the names alone, or JSON."""
    if json_file is not None:
        from gpucti.archive.query import answer_data

        write_json(answer_data(answer, wanted, on_disk), json_file)
        if json_file == "-":
            return
    if plain:
        click.echo("\n".join(dark.exposure for dark in wanted))
        return
    for period in answer.periods:
        click.echo(_table(period, wanted, on_disk, starts))
    click.echo(_total(wanted, on_disk, len(answer.periods)))


def _table(period: AnnealPeriod, wanted: list[Dark], on_disk: dict[str, Path], starts: dict[Path, datetime]) -> str:
    from gpucti.io.dates import format_utc

    its = [path.name for path, when in starts.items() if period.contains(when)]
    lines = [f"anneal period {period}, for {', '.join(its)}"]
    lines.append(f"  {'exposure':<10} {'start (UTC)':<19} {'seconds':>8} {'programme':>9} {'size':>8}  where")
    for dark in period.darks:
        if dark not in wanted:
            continue
        path = on_disk.get(dark.exposure)
        where = str(path) if path else "not on disk" if dark.flt else "no FLT in the archive"
        start = format_utc(dark.start.replace(microsecond=0))
        size = "?" if dark.size is None else _megabytes(dark.size)
        lines.append(f"  {dark.exposure:<10} {start} {dark.exptime:>8.1f} {dark.proposid:>9} {size:>8}  {where}")
    return "\n".join(lines)


def _total(wanted: list[Dark], on_disk: dict[str, Path], periods: int) -> str:
    missing = [dark for dark in wanted if dark.exposure not in on_disk and dark.flt]
    without = sum(not dark.flt and dark.exposure not in on_disk for dark in wanted)
    total, rest = (_size(darks) for darks in (wanted, missing))
    return (
        f"{len(wanted)} darks of {periods} anneal period{'s' if periods != 1 else ''}, {total}; "
        f"{len(wanted) - len(missing) - without} on disk, {len(missing)} to fetch ({rest})"
        + (f", {without} without FLT in the archive" if without else "")
    )


def _size(darks: list[Dark]) -> str:
    """Return how large the files are together, as far as the archive said."""
    sizes = [dark.size for dark in darks if dark.flt]
    known = [size for size in sizes if size is not None]
    if sizes and not known:
        return "size unknown"
    return _megabytes(sum(known)) if len(known) == len(sizes) else f"at least {_megabytes(sum(known))}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
