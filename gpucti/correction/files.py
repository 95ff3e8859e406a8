"""Files in, files out: CTI trails removed from, or added to, STIS CCD files.

The order is always: all inputs and outputs are checked, then batches of files are read, processed and written. A run
that stops leaves whole files or none. A file that cannot be used ends alone; the others are done.
"""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, Unpack

from gpucti.backends import get_backend
from gpucti.backends.base import Backend
from gpucti.correction.arrays import require_nan_choice
from gpucti.correction.batches import FileStream, batches
from gpucti.correction.exposures import CtiProcess, CtiProduct, add_cti_exposures, correct_exposures, require_finite
from gpucti.correction.jobs import Job, JobPlan, plan_jobs
from gpucti.correction.provenance import Provenance
from gpucti.errors import Failure, GpuctiError, InputError, SomeFailedError
from gpucti.io.exposure import Exposure
from gpucti.io.inputs import Files
from gpucti.model.doubts import doubts, extrapolation_note
from gpucti.model.pctetab import Pctetab
from gpucti.options import CorrectionArguments

log = logging.getLogger(__name__)

#: Images processed at a time at most: about 1 GiB of host memory for full frames.
MAX_BATCH = 32


class FileDone(NamedTuple):
    """What `progress` is called with after each file.

    Attributes
    ----------
    input, output : Path
        The file read and the file written.
    repairs : tuple of int
        Repaired columns per imset; empty where trails were added.
    seconds : float
        Time spent on this file; the time of a batch is shared by its imsets.
    """

    input: Path
    output: Path
    repairs: tuple[int, ...]
    seconds: float


FileProgress = Callable[[FileDone], None]


def correct_files(
    files: Files,
    outdir: str | os.PathLike[str] | None = None,
    *,
    pctetab: str | os.PathLike[str] | Pctetab | None = None,
    oref: str | os.PathLike[str] | None = None,
    device: str | int | Backend | None = "auto",
    overwrite: bool = False,
    nan: str = "raise",
    progress: FileProgress | None = None,
    **overrides: Unpack[CorrectionArguments],
) -> list[Path]:
    """Remove the CTI trails from STIS CCD files and return the new files, ``<ROOTNAME>_cte.fits``.

    SCI is corrected in all image sets, 10 % of the change is added to ERR in quadrature, DQ and every other
    extension stay as they are; but in subarrays rows that rows not kept may have trailed into get DQ 1024 (PCTENUNK
    says how many). The inputs are never modified. This is stis_cti's ``CteCorr``.

    Parameters
    ----------
    files : path or iterable of paths
        Bias-subtracted, trimmed, unbinned images (``flt``, ``blt``); a str may hold a glob pattern.
    outdir : path, optional
        Folder of the outputs, made if need be; by default each goes beside its input.
    pctetab : path or Pctetab, optional
        The table. By default the one named by a file's PCTETAB keyword if it can be found, else the
        packaged one.
    oref : path, optional
        Folder that ``oref$`` stands for, in place of the environment variable.
    device : str, int, Backend or None
        ``auto``, ``cpu``, ``numpy``, ``numba``, ``cuda``, ``cuda:N`` or ``N``; None: see `gpucti.backends.get_backend`.
    overwrite : bool
        Replace existing outputs.
    nan : {'raise', 'keep'}
        What to do about NaN and infinite SCI pixels: refuse the file, or take them for zero and put
        them back.
    progress : callable, optional
        Called with a `FileDone` after each file.
    **overrides
        ``read_noise, noise_model, oversub_thresh, sim_nit, shft_nit`` in place of the table's; see
        `gpucti.CorrectionOptions`.

    Returns
    -------
    list of Path
        One per image, in order; an input named twice counts once.

    Warns
    -----
    UserWarning
        Inputs were skipped since they hold no image that can be corrected: tables, support files, spectra, raw, binned
        or corrected frames, exposures of a MAMA, a ``crj`` beside its ``flt``, folders. So ``*.fits`` can stand for
        a folder as the archive delivers it.

    Raises
    ------
    UnsuitableFileError
        The only input, or each of them, is one that is skipped.
    MissingFileError
        An input does not exist.
    OutputExistsError
        An output exists.
    InputError
        An option is unknown or out of range; two inputs have one output; or the only input is damaged, or a keyword
        in it is missing or wrong.
    ReferenceFileError
        The table asked for is damaged; or, of the only input, is damaged or does not cover the date.
    BackendUnavailable
        The device asked for cannot be used.
    SomeFailedError
        Some of several inputs could not be corrected; the others are (``failures``, ``done``). All other errors but
        those of the system are raised before anything is written.
    """
    require_nan_choice(nan)
    plan = plan_jobs(
        files, outdir, "cte", pctetab=pctetab, oref=oref, overrides=overrides, overwrite=overwrite,
        check=lambda headers: headers.require_uncorrected(),
    )  # fmt: skip
    return _run(plan, correct_exposures, device, nan, overwrite, progress)


def add_cti_files(
    files: Files,
    outdir: str | os.PathLike[str] | None = None,
    *,
    pctetab: str | os.PathLike[str] | Pctetab | None = None,
    oref: str | os.PathLike[str] | None = None,
    device: str | int | Backend | None = "auto",
    overwrite: bool = False,
    shft_nit: int | None = None,
    nan: str = "raise",
    progress: FileProgress | None = None,
) -> list[Path]:
    """Add CTI trails to STIS CCD files and return the new files, ``<ROOTNAME>_cti.fits``.

    SCI is read out once more in all image sets; ERR, DQ and every other extension stay as they are.
    Corrected files (PCTECORR = COMPLETE) are welcome. This is stis_cti's ``AddYCte``.

    Parameters
    ----------
    files, outdir, pctetab, oref, device, overwrite, shft_nit, nan, progress
        See `correct_files`, also for what is returned, skipped and raised.
    """
    require_nan_choice(nan)
    plan = plan_jobs(
        files, outdir, "cti", pctetab=pctetab, oref=oref, overrides={"shft_nit": shft_nit}, overwrite=overwrite,
        check=lambda headers: None,
    )  # fmt: skip
    return _run(plan, add_cti_exposures, device, nan, overwrite, progress)


def _run(
    plan: JobPlan,
    process: CtiProcess,
    device: str | int | Backend | None,
    nan: str,
    overwrite: bool,
    progress: FileProgress | None,
) -> list[Path]:
    """Process all jobs, batch by batch; return the outputs."""
    jobs = plan.jobs
    backend = get_backend(device)
    _warn_of_skipped(plan)
    _warn_of_extrapolation(jobs)
    _warn_of_doubts(jobs)
    for job in jobs:
        job.output.parent.mkdir(parents=True, exist_ok=True)

    failures = dict(plan.failures)
    done = []
    with FileStream() as stream:
        begin = time.perf_counter()
        for batch, contents in stream.read(_batches(jobs, backend), partial(_read, nan=nan)):
            good: list[Job] = []
            exposures: list[Exposure] = []
            for job, content in zip(batch, contents, strict=True):
                if isinstance(content, GpuctiError):
                    failures[job.path] = content
                else:
                    good.append(job)
                    exposures.append(content)
            if not good:
                continue
            provenances = [Provenance(job.pctetab, job.pctetab_keyword, job.options, backend.name) for job in good]
            products = process(exposures, provenances, backend)
            per_image = (time.perf_counter() - begin) / sum(exposure.n_imsets for exposure in exposures)
            writing = [
                stream.write(_write, job, product, overwrite) for job, product in zip(good, products, strict=True)
            ]
            for job, product, future in zip(good, products, writing, strict=True):
                written = future.result()
                if isinstance(written, GpuctiError):
                    failures[job.path] = written
                    continue
                done.append(job.output)
                seconds = per_image * product.exposure.n_imsets + written
                log.info("%s: written to %s after %.2f s (%s)", job.path, job.output, seconds, backend.name)
                if progress is not None:
                    progress(FileDone(job.path, job.output, product.repairs, seconds))
            begin = time.perf_counter()
    total = len(jobs) + len(plan.failures)
    if failures and total == 1:
        raise next(iter(failures.values()))
    if failures:
        raise SomeFailedError.of([Failure.of(path, error) for path, error in failures.items()], done, total)
    return done


def _batches(jobs: Sequence[Job], backend: Backend) -> Iterator[list[Job]]:
    """Group consecutive jobs of one image size: no more images than the device and the memory hold."""
    for (rows, cols), group in groupby(jobs, key=lambda job: job.headers.shape):
        at_most = min(MAX_BATCH, backend.images_per_batch(rows, cols))
        yield from batches(group, lambda job: job.headers.n_imsets, at_most)


def _write(job: Job, product: CtiProduct, overwrite: bool) -> float | GpuctiError:
    """Write one product; return the seconds it took, or why it cannot be written."""
    begin = time.perf_counter()
    try:
        product.exposure.write(job.output, overwrite=overwrite)
    except GpuctiError as error:
        return error
    return time.perf_counter() - begin


def _read(job: Job, nan: str) -> Exposure | GpuctiError:
    """Return the file of a job, now with its pixels, or what is wrong with it."""
    try:
        exposure = Exposure.read(job.path)
        now, before = exposure, job.headers
        if (now.shape, now.n_imsets, now.amp, now.origin) != (before.shape, before.n_imsets, before.amp, before.origin):
            raise InputError("changed while the run was going on; run again", where=job.path)
        if nan == "raise":
            require_finite(exposure)
    except GpuctiError as error:
        return error
    return exposure


def _warn_of_skipped(plan: JobPlan) -> None:
    """Warn once for every kind of file that is skipped."""
    for line in plan.skipped_lines():
        warnings.warn(f"skipped: {line}", UserWarning, stacklevel=4)


def _warn_of_extrapolation(jobs: Sequence[Job]) -> None:
    """Warn once if any file is later than the last CTE_SCALE point of its table."""
    late = [job for job in jobs if job.pctetab.extrapolates(job.headers.start_mjd)]
    if late:
        first, more = late[0], f" and {len(late) - 1} more" if len(late) > 1 else ""
        warnings.warn(f"{first.path}{more}: {extrapolation_note(first.pctetab)}", UserWarning, stacklevel=4)


def _warn_of_doubts(jobs: Sequence[Job]) -> None:
    """Warn once of each date or amplifier that a table was not measured for."""
    doubtful: dict[str, list[Job]] = {}
    for job in jobs:
        for doubt in doubts(job.pctetab, [job.headers.start_mjd], job.headers.amp):
            doubtful.setdefault(doubt, []).append(job)
    for doubt, found in doubtful.items():
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        warnings.warn(f"{found[0].path}{more}: {doubt}", UserWarning, stacklevel=4)
