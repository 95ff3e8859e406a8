"""Which files are processed, with which table and options, and where the results go: decided before any work."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from gpucti.errors import ReferenceFileError
from gpucti.io.exposure import ExposureHeaders
from gpucti.io.inputs import IO_THREADS, Files, check_outputs, checked_folder, expand_files
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
) -> list[Job]:
    """Return what is to be done; nothing is written and no pixels are looked at.

    Parameters
    ----------
    files, outdir, pctetab, oref, overrides, overwrite
        See `gpucti.correction.files.correct_files`.
    suffix : str
        Outputs are called ``<ROOTNAME>_<suffix>.fits``.
    check : callable
        Raises `InputError` for a file that must not be processed.
    """
    tables = _Tables(pctetab, run_environment(None if oref is None else Path(oref)))
    folder = None if outdir is None else checked_folder(Path(outdir))
    jobs = []
    for headers in _read_headers(expand_files(files)):
        headers.require_trimmed()
        check(headers)
        _ = headers.amp, headers.gain, headers.origin  # each raises for a bad keyword
        output = (headers.path.parent if folder is None else folder) / f"{headers.rootname}_{suffix}.fits"
        table, name = tables.of(headers)
        options = table.options(**overrides)
        _require_date(table, headers)
        _require_columns(table, headers)
        jobs.append(Job(headers, output, table, name, options))
    check_outputs(jobs, overwrite=overwrite)
    return jobs


def _read_headers(paths: list[Path]) -> Iterator[ExposureHeaders]:
    """Yield the headers of the files in order; threads read ahead, most of it is decompression."""
    pool = ThreadPoolExecutor(IO_THREADS, thread_name_prefix="gpucti-headers")
    try:
        yield from pool.map(ExposureHeaders.read, paths)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class _Tables:
    """Finds the PCTETAB of each file; every table is read once."""

    def __init__(self, chosen: str | os.PathLike[str] | Pctetab | None, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._read: dict[Path, Pctetab] = {}
        self._default: Pctetab | None = None
        self._chosen = chosen if chosen is None or isinstance(chosen, Pctetab) else self._named(chosen)

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
