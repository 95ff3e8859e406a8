"""stis_cti's functions under their own names, for scripts that call them."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gpucti.darks.anneals import MIN_DARK_SECONDS, AnnealPeriod
from gpucti.errors import InputError, SomeFailedError
from gpucti.io.cards import Cards
from gpucti.io.dates import as_utc
from gpucti.io.headers import read_primary
from gpucti.io.selection import NORMAL, Limits, refusal

if TYPE_CHECKING:
    from gpucti.io.inputs import Files
    from gpucti.pipeline.running.run import Report

log = logging.getLogger(__name__)


def stis_cti(
    science_dir: str | os.PathLike[str],
    dark_dir: str | os.PathLike[str],
    ref_dir: str | os.PathLike[str],
    num_processes: int,
    pctetab: str | os.PathLike[str] | None = None,
    all_weeks_flag: bool = False,
    allow: bool = False,
    clean: bool = False,
    clean_all: bool = False,
    crds_update: bool = False,
    ignore_missing: bool = False,
    verbose: int = 1,
) -> Report:
    """Run the pipeline with the arguments of stis_cti's function of this name; see `gpucti.correct`.

    `num_processes` is the number of threads on a CPU. Nothing is printed whatever `verbose` says: a log lies in
    `science_dir`, and the report is returned. What goes wrong is raised; nothing exits.

    Raises
    ------
    SomeFailedError
        Some exposures, darks or super-darks could not be made; everything else is done.
    GpuctiError, OSError
        See `gpucti.correct`.
    """
    from gpucti.pipeline.running.run import correct  # heavy, and only needed here

    report = correct(
        science_dir,
        dark_dir,
        ref_dir,
        threads=num_processes,
        pctetab=pctetab,
        all_weeks=all_weeks_flag,
        allow=allow,
        clean=clean,
        clean_all=clean_all,
        crds_update=crds_update,
        ignore_missing=ignore_missing,
    )
    if report.failures:
        total = len(report.failures) + len(report.products) + len(report.superdarks)
        raise SomeFailedError.of(report.failures, (*report.products, *report.superdarks), total)
    return report


def archive_dark_query(
    files: Files,
    anneal_data: Sequence[Any] | None = None,
    min_exptime: float | None = None,
    verbose: bool | int = False,
    print_results: bool = True,
) -> list[dict[str, Any]]:
    """Return the anneal periods of some exposures, and the darks that their super-darks need, from the archive.

    Nothing is printed or saved; `verbose` and `print_results` are there for stis_cti's sake, and the names go to the
    log. ``gpucti darks`` prints, saves and downloads, `gpucti.archive.query.anneal_periods` is the same for programs.

    Parameters
    ----------
    files : path, pattern, or several
        Science exposures.
    anneal_data : sequence, optional
        Periods known already, as this function returns them, or `AnnealPeriod`; the archive is not asked.
    min_exptime : float, optional
        Seconds; shorter darks are left out. By default 960.

    Returns
    -------
    list of dict
        Periods by time, each once: ``start`` and ``end`` (datetime, UTC; ``end`` None while the period is open),
        ``index`` (None, unless `anneal_data` has one) and ``darks``, dictionaries with ``exposure``, ``proposid``,
        ``datetime`` and ``exptime``.

    Raises
    ------
    InputError
        A file is missing or not from STIS, or lies in no period of `anneal_data`.
    ArchiveError
        The archive does not answer or does not decide.
    """
    from gpucti.archive.query import anneal_periods, archive_settings, exposure_starts

    starts = exposure_starts(files).values()
    least = MIN_DARK_SECONDS if min_exptime is None else float(min_exptime)
    if anneal_data is None:
        answer = anneal_periods(starts, settings=archive_settings(), min_exptime=least)
        for note in answer.notes:
            log.warning("%s", note)
        periods = [_as_dict(period, least) for period in answer.periods]
    else:
        given = [_as_dict(period, 0.0) if isinstance(period, AnnealPeriod) else period for period in anneal_data]
        first = [next((period for period in given if _contains(period, when)), None) for when in starts]
        if None in first:
            raise InputError("anneal_data: an exposure lies in none of the periods; expected a list that covers it")
        periods = [period for period in given if any(period is other for other in first)]
    names = sorted({dark["exposure"] for period in periods for dark in period["darks"]})
    log.info("%d darks: %s", len(names), ", ".join(names))
    return periods


def _as_dict(period: AnnealPeriod, least: float) -> dict[str, Any]:
    darks = [
        {"exposure": dark.exposure, "proposid": dark.proposid, "datetime": dark.start, "exptime": dark.exptime}
        for dark in period.darks
        if dark.exptime >= least
    ]
    return {"index": period.index, "start": period.start, "end": period.end, "darks": darks}


def _contains(period: Mapping[str, Any], when: datetime) -> bool:
    return bool(period["start"] <= when and (period["end"] is None or when < period["end"]))


def viable_ccd_file(
    file: str | os.PathLike[str],
    earliest_date_allowed: datetime | None = None,
    amplifiers_allowed: Collection[str] | None = None,
    gains_allowed: Collection[int] | None = None,
    offsts_allowed: Collection[int] | None = None,
) -> bool:
    """Tell whether the pipeline would correct a file; `gpucti.io.selection.refusal` also says why not.

    Parameters
    ----------
    file : path
        Raw exposure.
    earliest_date_allowed : datetime, optional
        By default 2009-05-01, UTC.
    amplifiers_allowed, gains_allowed, offsts_allowed : collections, optional
        Of CCDAMP, CCDGAIN, CCDOFFST; by default D, 1 and 4, 3.

    Raises
    ------
    MissingFileError
        There is no such file.
    InputError
        It is not FITS or not from STIS, or the date is no datetime.
    """
    if earliest_date_allowed is not None and not isinstance(earliest_date_allowed, datetime):
        raise InputError(f"earliest_date_allowed is {earliest_date_allowed!r}; expected a datetime.datetime")
    cards = Cards(read_primary(file), f"{os.fspath(file)}[0]")
    if cards.text("INSTRUME") != "STIS":
        raise cards.wrong(f"INSTRUME is {cards.text('INSTRUME')!r}; expected 'STIS'")
    limits = Limits(
        NORMAL.earliest if earliest_date_allowed is None else as_utc(earliest_date_allowed),
        NORMAL.amps if amplifiers_allowed is None else amplifiers_allowed,
        NORMAL.gains if gains_allowed is None else gains_allowed,
        NORMAL.offsets if offsts_allowed is None else offsts_allowed,
    )
    return refusal(cards.header, limits) is None


_CUSTOM_SUPERDARKS = """\
Super-darks of your own
=======================

`gpucti correct` makes the super-darks that your science needs. To choose the darks yourself:

1. Choose component darks (calibrated files, *_flt.fits). For the basedark: all long ones (960 s or more) of the anneal
   period, read with the amplifier of the science. For the weekdark: those of the days around the science exposure, two
   at least. Leave out what you do not trust.

2. Remove their CTI trails:

       gpucti cte darks/*_flt.fits --outdir corrected/

3. Combine them, the period first, then the week on top of it:

       gpucti superdark basedark corrected/*_cte.fits -o my_basedark_drk.fits
       gpucti superdark weekdark corrected/oabc01*_cte.fits --basedark my_basedark_drk.fits -o my_weekdark_drk.fits

4. Name the weekdark in the headers of the science exposures, in Python:

       from astropy.io import fits
       fits.setval("science/oabc12010_raw.fits", "DARKFILE", value="mydarks$my_weekdark_drk.fits")

   and say where mydarks is: `export mydarks=/path/to/folder/`, a folder other than REF_DIR.

5. Run `gpucti correct science/`. Its --crds_update leaves your DARKFILE alone; `crds bestrefs` by hand does not: that
   puts the archive's super-dark back.

An exposure keeps its DARKFILE if PCTECORR is COMPLETE in that file, as it is in super-darks made of corrected darks.
"""


def custom_superdark_info() -> str:
    """Return how to make and apply super-darks of chosen darks; ``gpucti info`` prints it."""
    return _CUSTOM_SUPERDARKS
