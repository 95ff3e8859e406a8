"""From exposures to the darks that their super-darks need: saved answers first, the archive (MAST) for the rest."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpucti.archive.periods import Catalogue, PeriodFinder, settled
from gpucti.archive.programmes import Programmes
from gpucti.archive.settings import ArchiveSettings, open_archive
from gpucti.darks.anneals import MIN_DARK_SECONDS, AnnealPeriod, Dark, read_anneals, write_anneals
from gpucti.errors import ArchiveError, InputError
from gpucti.io.dates import format_utc
from gpucti.io.inputs import Files, expand_files, lines_by_reason
from gpucti.io.selection import LENIENT, judge, raw_files

if TYPE_CHECKING:
    from gpucti.archive.client import Mast

log = logging.getLogger(__name__)

SERVER, TOKEN = "GPUCTI_MAST_SERVER", "MAST_API_TOKEN"


def archive_settings(server: str | None = None, environment: Mapping[str, str] | None = None) -> ArchiveSettings:
    """Return where the archive is, as option and environment say.

    Parameters
    ----------
    server : str, optional
        Address, in place of the variable GPUCTI_MAST_SERVER; without both, astroquery's configuration decides.
    environment : mapping, optional
        In place of the process's environment. MAST_API_TOKEN is the token of the user's account, as for astroquery.

    Raises
    ------
    InputError
        The address cannot be one.
    """
    environment = os.environ if environment is None else environment  # noqa: TID251 -- only read
    token = environment.get(TOKEN) or None
    if server or not environment.get(SERVER):
        return ArchiveSettings(server=server or None, token=token)
    try:
        return ArchiveSettings(server=environment[SERVER], token=token)
    except InputError as error:
        raise error.at(f"environment variable {SERVER}") from None


@dataclass(frozen=True)
class Answer:
    """The anneal periods of some exposures.

    Attributes
    ----------
    periods : tuple of AnnealPeriod
        Those that contain an exposure, by time.
    known : tuple of AnnealPeriod
        All that are known now, saved ones too, by time.
    asked : bool
        Whether the archive was asked.
    notes : tuple of str
        What the user should know.
    """

    periods: tuple[AnnealPeriod, ...]
    known: tuple[AnnealPeriod, ...]
    asked: bool = False
    notes: tuple[str, ...] = ()

    @property
    def darks(self) -> tuple[Dark, ...]:
        """The darks of the periods, by time."""
        return tuple(dark for period in self.periods for dark in period.darks)


def exposure_starts(files: Files) -> dict[Path, datetime]:
    """Return the start (UTC) of each exposure that can be corrected; a folder stands for its ``*_raw.fits``.

    If a folder has none, those of the folders below are taken. The log names what is left out, and why, in the words of
    `gpucti correct --allow`.

    Raises
    ------
    MissingFileError
        There is no such file.
    InputError
        None of the files can be corrected, or the only one cannot.
    """
    names = [files] if isinstance(files, (str, os.PathLike)) else list(files)
    paths: list[Path] = []
    for name in names:
        paths += raw_files(name) if Path(name).is_dir() else expand_files([name], folders=True)
    if not paths:
        raise InputError("no files given, or no *_raw.fits in the folder; name at least one exposure")
    starts: dict[Path, datetime] = {}
    left_out: dict[Path, str] = {}
    for path in dict.fromkeys(paths):
        try:
            exposure = judge(path, LENIENT)
            if exposure.reason is None:
                starts[path] = exposure.start
            else:
                left_out[path] = exposure.reason
        except InputError as error:
            left_out[path] = error.reason
    if not starts and len(left_out) == 1:
        raise InputError(*left_out.values(), where=path)
    lines = lines_by_reason(left_out)
    if not starts:
        raise InputError("none of the files can be corrected:" + "".join(f"\n  {line}" for line in lines))
    for line in lines:
        log.warning("left out: %s", line)
    return starts


def anneal_periods(
    starts: Iterable[datetime],
    *,
    saved: Path | None = None,
    settings: ArchiveSettings | None = None,
    offline: bool = False,
    renew: bool = False,
    refresh: bool = False,
    anneal_start: datetime | None = None,
    anneal_end: datetime | None = None,
    min_exptime: float = MIN_DARK_SECONDS,
    now: datetime | None = None,
) -> Answer:
    """Return the anneal periods of some exposures with their darks; the archive is asked for what is not saved.

    Parameters
    ----------
    starts : iterable of datetime
        Starts of the exposures, UTC.
    saved : Path, optional
        A list of an earlier answer (`write_anneals`); it need not exist. It is read, not written.
    settings : ArchiveSettings, optional
        Where the archive is.
    offline : bool
        Never ask the archive.
    renew : bool
        Ask again about periods whose darks may have changed since: open ones, and those that ended within 60 days
        before they were asked for.
    refresh : bool
        Ask again about everything.
    anneal_start, anneal_end : datetime, optional
        Limits of the period, UTC, in place of those the archive shows. All exposures must lie within.
    min_exptime : float
        Seconds. Darks of 960 s or more are always listed; shorter ones from this limit on.
    now : datetime, optional
        UTC; the date of this computer by default.

    Raises
    ------
    InputError
        The saved list cannot be read, or an exposure lies in the future or outside the limits.
    ArchiveError
        The archive does not answer or does not decide, or is needed and must not be asked.
    """
    saved_periods = read_anneals(saved) if saved is not None and saved.is_file() else ()
    todo = sorted(set(starts))
    given = anneal_start is not None or anneal_end is not None
    covered = {when: _covering(when, saved_periods) for when in todo}
    afresh = given or refresh or min_exptime < MIN_DARK_SECONDS
    if afresh:
        ask = list(todo)
    else:
        ask = [when for when, period in covered.items() if period is None or (renew and not settled(period))]
    if not ask:
        return Answer(_of(todo, saved_periods), saved_periods)
    if offline and afresh:
        raise InputError("offline: limits, shorter darks and fresh answers need the archive")
    if offline:
        return _without_archive(
            todo, covered, saved_periods, saved, "it must not be asked (offline); give a list (--anneals FILE)"
        )
    if now is None:
        now = datetime.now(UTC).replace(tzinfo=None)
    try:
        with open_archive(settings or ArchiveSettings()) as mast:
            programmes = Programmes(mast.title)
            limits = (anneal_start, anneal_end, min(min_exptime, MIN_DARK_SECONDS))
            finder = PeriodFinder(Catalogue(mast.darks), programmes, now, *limits)
            found: list[AnnealPeriod] = []
            for when in ask:
                if not any(period.contains(when) for period in found):
                    found.append(finder.period(when))
            notes = finder.notes + programmes.notes()
            found = _with_products(found, mast, notes)
    except ArchiveError as error:
        if afresh:
            raise
        return _without_archive(todo, covered, saved_periods, saved, str(error))
    known = merge_anneals(saved_periods, found)
    return Answer(_of(todo, known), known, asked=True, notes=tuple(dict.fromkeys(notes)))


def _covering(when: datetime, periods: Sequence[AnnealPeriod]) -> AnnealPeriod | None:
    return next((period for period in periods if period.covers(when)), None)


def _of(starts: Sequence[datetime], periods: Sequence[AnnealPeriod]) -> tuple[AnnealPeriod, ...]:
    return tuple(period for period in periods if any(period.contains(when) for when in starts))


def _without_archive(
    starts: Sequence[datetime],
    covered: Mapping[datetime, AnnealPeriod | None],
    saved_periods: tuple[AnnealPeriod, ...],
    saved: Path | None,
    why: str,
) -> Answer:
    """Return the saved answer if it will do, with a note on its age."""
    missing = [format_utc(when) for when in starts if covered[when] is None]
    if missing:
        there = f"{saved} does not cover {', '.join(missing)}" if saved_periods else "there is no saved list"
        raise ArchiveError(
            f"no list of anneal periods has those of the exposures: {there}, and the archive is of no help: {why}"
        )
    ages = {period.asked for period in covered.values() if period is not None and not settled(period)}
    when = min((age for age in ages if age is not None), default=None)
    day = f"{when:%Y-%m-%d}" if when else "an earlier day"
    note = f"{saved}: the answer of {day} is used, though the archive may know more now: {why}"
    return Answer(_of(starts, saved_periods), saved_periods, notes=(note,))


def _with_products(periods: Sequence[AnnealPeriod], mast: Mast, notes: list[str]) -> list[AnnealPeriod]:
    """Return the periods with sizes of the darks' files, and with what has none marked."""
    try:
        products = mast.products(dark.exposure for period in periods for dark in period.darks)
    except ArchiveError as error:
        notes.append(f"which darks have a calibrated file is not known: {error}")
        return list(periods)

    def with_product(dark: Dark) -> Dark:
        product = products.get(dark.exposure)
        return replace(dark, flt=product is not None, size=None if product is None else product.size)

    return [replace(period, darks=tuple(map(with_product, period.darks))) for period in periods]


def merge_anneals(saved: Sequence[AnnealPeriod], answered: Sequence[AnnealPeriod]) -> tuple[AnnealPeriod, ...]:
    """Return all periods of two lists by time; of two that overlap, or share a dark, the answered one stays."""

    def overlap(this: AnnealPeriod, other: AnnealPeriod) -> bool:
        return (
            (this.end is None or other.start < this.end)
            and (other.end is None or this.start < other.end)
            or this.start_date == other.start_date
            or bool({dark.exposure for dark in this.darks} & {dark.exposure for dark in other.darks})
        )

    kept = [old for old in saved if not any(overlap(old, new) for new in answered)]
    return tuple(sorted([*kept, *answered], key=lambda period: period.start))


def save_anneals(answer: Answer, path: Path) -> bool:
    """Write all that an answer knows to where later runs look for it, if that is news; return whether it was written.

    Raises
    ------
    OSError
        It cannot be written.
    """
    if path.is_file() and read_anneals(path) == answer.known:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    write_anneals(answer.known, path, overwrite=True)
    return True


def answer_data(answer: Answer, wanted: Sequence[Dark], on_disk: Mapping[str, Path]) -> dict[str, Any]:
    """Return the darks wanted of an answer as dictionaries, texts and numbers, for JSON; bytes, seconds, dates UTC."""

    def dark_data(dark: Dark) -> dict[str, Any]:
        path = on_disk.get(dark.exposure)
        return {
            "exposure": dark.exposure,
            "proposid": dark.proposid,
            "datetime": format_utc(dark.start),
            "exptime": dark.exptime,
            "flt": dark.flt,
            "size": dark.size,
            "path": None if path is None else str(path),
        }

    return {
        "periods": [
            {
                "start": format_utc(period.start),
                "end": None if period.end is None else format_utc(period.end),
                "darks": [dark_data(dark) for dark in period.darks if dark in wanted],
            }
            for period in answer.periods
        ],
        "notes": list(answer.notes),
    }
