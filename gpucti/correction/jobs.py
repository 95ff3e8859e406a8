"""Which files are processed, with which table and options, and where the results go: decided before any work."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gpucti.errors import GpuctiError, ReferenceFileError, UnsuitableFileError
from gpucti.io.exposure import ExposureHeaders
from gpucti.io.inputs import IO_THREADS, Files, check_outputs, checked_folder, expand_files, lines_by_reason
from gpucti.io.kinds import COMBINED, kind_of
from gpucti.model.pctetab import Pctetab
from gpucti.options import CorrectionArguments, CorrectionOptions
from gpucti.references.names import resolve_reference, run_environment

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Job:
    """One file to process.

    Attributes
    ----------
    headers : ExposureHeaders
        The input, checked.
    output : Path
        Where the result goes; free, or to be overwritten.
    pctetab : Pctetab
        The table to use; the same object for files that share it.
    pctetab_keyword : str
        What PCTETAB shall say in the output.
    options : CorrectionOptions
        Those of the table, and what the user chose in their place.
    """

    headers: ExposureHeaders
    output: Path
    pctetab: Pctetab
    pctetab_keyword: str
    options: CorrectionOptions

    @property
    def path(self) -> Path:
        """The input file."""
        return self.headers.path


class JobPlan(NamedTuple):
    """What becomes of the files that a user named; each is in one of the three.

    Attributes
    ----------
    jobs : list of Job
        What is to be done.
    failures : dict
        What is wrong with each file that is damaged, or lacks something.
    skipped : dict
        What each file is that is none, or none to be treated.
    """

    jobs: list[Job]
    failures: dict[Path, GpuctiError]
    skipped: dict[Path, UnsuitableFileError]

    def skipped_lines(self) -> list[str]:
        """Return a line per kind of file, with the files of it."""
        return lines_by_reason({path: error.what or error.reason for path, error in self.skipped.items()})


def plan_jobs(
    files: Files,
    outdir: str | os.PathLike[str] | None,
    suffix: str,
    *,
    pctetab: str | os.PathLike[str] | Pctetab | None,
    oref: str | os.PathLike[str] | None,
    overrides: CorrectionArguments,
    overwrite: bool,
    check: Callable[[ExposureHeaders], None],
) -> JobPlan:
    """Return what is to be done; nothing is written and no pixels are looked at.

    What is wrong with one of several files ends that file alone. What is wrong with a name, an option or an output
    raises, and so does a file that is the only one.

    Parameters
    ----------
    files, outdir, pctetab, oref, overrides, overwrite
        See `gpucti.correction.files.correct_files`.
    suffix : str
        Outputs are called ``<ROOTNAME>_<suffix>.fits``.
    check : callable
        Raises `UnsuitableFileError` for a file that must not be processed.
    """
    tables = _Tables(pctetab, run_environment(None if oref is None else Path(oref)))
    tables.check_options(overrides)
    folder = None if outdir is None else checked_folder(Path(outdir))
    paths = expand_files(files, folders=True)
    plan = JobPlan([], {}, {})
    for path, headers in zip(paths, _read_headers(paths), strict=True):
        try:
            if isinstance(headers, GpuctiError):
                raise headers
            headers.require_trimmed()
            check(headers)
            plan.jobs.append(_job(headers, folder, suffix, tables, overrides))
        except GpuctiError as error:
            if len(paths) == 1:
                raise
            if isinstance(error, UnsuitableFileError):
                plan.skipped[path] = error
            else:
                plan.failures[path] = error
    _skip_sums(plan)
    if not plan.jobs and not plan.failures:
        lines = "".join(f"\n  {line}" for line in plan.skipped_lines())
        raise UnsuitableFileError(f"none of the {len(paths)} files is an image to work on:{lines}")
    check_outputs(plan.jobs, overwrite=overwrite)
    return plan


def _job(
    headers: ExposureHeaders, folder: Path | None, suffix: str, tables: _Tables, overrides: CorrectionArguments
) -> Job:
    """Return what is to be done with one file; raise for a keyword that is missing or makes no sense."""
    _ = headers.amp, headers.gain, headers.origin  # each raises for a bad keyword
    output = (headers.path.parent if folder is None else folder) / f"{headers.rootname}_{suffix}.fits"
    table, name = tables.of(headers)
    _require_date(table, headers)
    _require_columns(table, headers)
    return Job(headers, output, table, name, table.options(**overrides))


def _skip_sums(plan: JobPlan) -> None:
    """Leave out sums of readouts (crj) where the readouts themselves (flt) are treated: both go by one ROOTNAME."""
    kinds = {job.path: kind_of(job.path, job.headers.primary) for job in plan.jobs}
    single = {job.output: job.path for job in plan.jobs if kinds[job.path].name != COMBINED}
    for job in list(plan.jobs):
        if kinds[job.path].name == COMBINED and job.output in single:
            expected = f"its single readouts, which are in {single[job.output].name}"
            plan.skipped[job.path] = kinds[job.path].unsuitable(job.path, expected)
            plan.jobs.remove(job)


def _read_headers(paths: list[Path]) -> Iterator[ExposureHeaders | GpuctiError]:
    """Yield the headers of the files, or what is wrong, in order; threads read ahead, most of it is decompression."""

    def read(path: Path) -> ExposureHeaders | GpuctiError:
        try:
            return ExposureHeaders.read(path)
        except GpuctiError as error:
            return error

    pool = ThreadPoolExecutor(IO_THREADS, thread_name_prefix="gpucti-headers")
    try:
        yield from pool.map(read, paths)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class _Tables:
    """Finds the PCTETAB of each file; every table is read once."""

    def __init__(self, chosen: str | os.PathLike[str] | Pctetab | None, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._read: dict[Path, Pctetab] = {}
        self._default: Pctetab | None = None
        self._chosen = chosen if chosen is None or isinstance(chosen, Pctetab) else self._named(chosen)

    def check_options(self, overrides: CorrectionArguments) -> None:
        """Raise `InputError` for options that no file could be treated with."""
        (self._chosen or Pctetab.default()).options(**overrides)

    def of(self, headers: ExposureHeaders) -> tuple[Pctetab, str]:
        """Return the table for one file, and what its PCTETAB keyword shall say."""
        if self._chosen is not None:
            return self._chosen, self._chosen.name
        keyword = headers.pctetab
        path = resolve_reference(keyword, headers.path.parent, self._environment)
        if path is not None:
            log.info("%s: PCTETAB %s is %s", headers.path, keyword, path)
            return self._at(path), keyword
        if self._default is None:
            self._default = Pctetab.default()
        if keyword and not keyword.endswith(self._default.name):
            log.warning("%s: PCTETAB %s is not found; using the default %s", headers.path, keyword, self._default.name)
        else:
            log.info("%s: using the default %s", headers.path, self._default.name)
        return self._default, self._default.name

    def _named(self, name: str | os.PathLike[str]) -> Pctetab:
        path = resolve_reference(os.fspath(name), Path(), self._environment)
        if path is None:
            raise ReferenceFileError(
                "PCTETAB not found; check the name, or leave it out to use the file's own or the default one",
                where=os.fspath(name),
            )
        return self._at(path)

    def _at(self, path: Path) -> Pctetab:
        key = path.resolve()
        if key not in self._read:
            self._read[key] = Pctetab.read(path)
        return self._read[key]


def _require_date(table: Pctetab, headers: ExposureHeaders) -> None:
    """Raise unless the table covers the date of the exposure, naming both."""
    try:
        table.time_scale(headers.start_mjd)
        table.epoch(headers.start_mjd)
    except ReferenceFileError as error:
        raise error.at(f"TEXPSTRT {headers.start_mjd:g}").at(headers.path) from error


def _require_columns(table: Pctetab, headers: ExposureHeaders) -> None:
    """Raise unless COL_SCALE reaches over the image."""
    last = headers.shape[1] + (headers.origin[1] if headers.origin else 0)
    if last > table.n_columns:
        raise ReferenceFileError(
            f"the image reaches column {last}, COL_SCALE of {table.name} has {table.n_columns}; use a complete PCTETAB",
            where=headers.path,
        )
