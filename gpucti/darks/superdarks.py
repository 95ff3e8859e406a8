"""Super-darks as refstis makes them: the basedark of an anneal period, and the weekdarks made with it.

A *basedark* is the cosmic-ray-free mean of all darks of a period. A *weekdark* has the basedark's dark current, less
noisy than a week could give, and the week's own hot pixels.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from gpucti.backends import get_backend
from gpucti.backends.base import Array, Backend
from gpucti.calibration.crreject.crreject import UsableImset, combine, read_rejection_parameters, usable_imsets
from gpucti.calibration.reffiles import References, stored
from gpucti.darks.clipping import sigma_clip
from gpucti.darks.headers import is_corrected, superdark_header
from gpucti.detector import DARK_SLOPE, DARK_TEMPERATURE, DQ_HOT, SIDE_2_MJD
from gpucti.errors import InputError
from gpucti.io.atomic import refuse_existing
from gpucti.io.exposure import Exposure, ImageSet, StisKeywords
from gpucti.io.inputs import IO_THREADS, Files, expand_files

f32 = np.float32
#: A basedark's hot pixels exceed the mean by this many electrons per second at least.
HOT_RATE = 0.1
#: A pixel is hot above this many standard deviations.
HOT_SIGMA = 5
#: Sigma clipping: (sigma, rounds) of the three images that are clipped (refstis update_sci, find_hotpix, weekdark).
MEAN_CLIP, MEDIAN_CLIP, WEEK_CLIP = (5, 50), (3, 40), (5, 40)
#: Side of the box, pixels, over which a basedark's hot pixels are smoothed away.
BOX = 5


class Superdark(NamedTuple):
    """A super-dark in memory.

    Attributes
    ----------
    sci, err : (rows, cols) float32
        Electrons per second.
    dq : (rows, cols) int16
        Data-quality bits, 16 for hot pixels.
    primary : fits.Header
        The primary header, complete but for FILENAME.
    """

    sci: npt.NDArray[np.float32]
    err: npt.NDArray[np.float32]
    dq: npt.NDArray[np.int16]
    primary: fits.Header


class _Mean(NamedTuple):
    """Darks combined and normalised, electrons per second, on the device."""

    sci: Array
    err: Array
    dq: Array


def make_basedark(
    darks: Files,
    output: str | os.PathLike[str],
    *,
    device: str | int | Backend | None = "auto",
    overwrite: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Path:
    """Make the basedark of an anneal period from files and return its path.

    Parameters
    ----------
    darks : path or iterable of paths
        Bias-subtracted darks, all CTI-corrected (``cte``) or none (``flt``); a str may hold a glob pattern.
        They are never changed.
    output : path
        The super-dark; compressed if its name ends in ``.gz``.
    device : str, int, Backend or None
        See `gpucti.correct_files`.
    overwrite : bool
        Replace an existing file.
    environment : mapping, optional
        Where ``oref`` and the like are looked up, in place of the process's environment.

    Raises
    ------
    MissingFileError
        A dark does not exist.
    InputError
        The darks cannot be combined, see `combine_basedark`.
    ReferenceFileError
        The CRREJTAB that the first dark names is missing or does not cover the darks.
    OutputExistsError
        The output exists.
    BackendUnavailable
        The device asked for cannot be used.
    """
    refuse_existing(Path(output), overwrite=overwrite)
    backend = get_backend(device)
    exposures = read_darks(darks)
    superdark = combine_basedark(exposures, references=References(environment), backend=backend)
    return write_superdark(superdark, output, overwrite=overwrite)


def make_weekdark(
    darks: Files,
    output: str | os.PathLike[str],
    basedark: str | os.PathLike[str] | Superdark,
    *,
    device: str | int | Backend | None = "auto",
    overwrite: bool = False,
    environment: Mapping[str, str] | None = None,
    basedark_name: str | None = None,
) -> Path:
    """Make the weekdark of some darks with the basedark of their anneal period and return its path.

    Parameters
    ----------
    darks, output, device, overwrite, environment
        See `make_basedark`.
    basedark : path or Superdark
        From `make_basedark`, CTI-corrected if the darks are.
    basedark_name : str, optional
        What the keyword BASEDARK shall say; by default the name of the file.

    Raises
    ------
    See `make_basedark`.
    """
    refuse_existing(Path(output), overwrite=overwrite)
    backend = get_backend(device)
    if basedark_name is None:
        basedark_name = "" if isinstance(basedark, Superdark) else Path(basedark).name.removesuffix(".gz")
    if not isinstance(basedark, Superdark):
        basedark = read_superdark(basedark)
    superdark = combine_weekdark(
        read_darks(darks),
        basedark,
        references=References(environment),
        backend=backend,
        basedark_name=basedark_name,
    )
    return write_superdark(superdark, output, overwrite=overwrite)


def combine_basedark(darks: Sequence[Exposure], *, references: References, backend: Backend) -> Superdark:
    """Return the basedark of darks in memory, which stay as they are.

    Parameters
    ----------
    darks : sequence of Exposure
        Bias-subtracted; CTI-corrected all, or none.
    references : References
        Where the CRREJTAB of the first dark is read.
    backend : Backend
        Whose device does the work.

    Raises
    ------
    InputError
        One image set only, darks that do not belong together (gain, amplifier, binning, shape, CTI correction), are
        not bias-subtracted, are combined already, hold NaN or infinity, or lack a keyword.
    ReferenceFileError
        The CRREJTAB is missing or does not cover the darks.

    References
    ----------
    refstis 0.8.5, basedark.
    """
    usable = _usable(darks)
    header = superdark_header(darks, len(usable), "BASEDARK")
    mean, xp = _combine(darks, usable, references, backend), backend.xp
    by_mean, by_median = sigma_clip(mean.sci, xp, MEAN_CLIP, MEDIAN_CLIP)
    excess = f32(HOT_RATE)
    hot = (mean.sci >= by_mean.mean + f32(HOT_SIGMA) * by_mean.std) & (mean.sci - by_mean.mean >= excess)
    hot |= (mean.sci > by_median.median + f32(HOT_SIGMA) * by_median.std) & (mean.sci > by_median.mean + excess)
    dq = xp.where(hot, np.int16(DQ_HOT), mean.dq)
    return Superdark(backend.asnumpy(mean.sci), backend.asnumpy(mean.err), backend.asnumpy(dq), header)


def combine_weekdark(
    darks: Sequence[Exposure],
    basedark: Superdark,
    *,
    references: References,
    backend: Backend,
    basedark_name: str = "",
) -> Superdark:
    """Return the weekdark of darks in memory, which stay as they are.

    Parameters
    ----------
    darks, references, backend
        See `combine_basedark`.
    basedark : Superdark
        Of their anneal period.
    basedark_name : str
        What the keyword BASEDARK shall say; empty: no such keyword.

    Raises
    ------
    InputError
        As for `combine_basedark`; also where the basedark has another shape, or is CTI-corrected and the darks are
        not, or they are and it is not.

    References
    ----------
    refstis 0.8.5, weekdark.
    """
    usable = _usable(darks)
    _require_fitting(darks[0], basedark)
    header = superdark_header(darks, len(usable), "WEEKDARK", basedark_name)
    week, xp = _combine(darks, usable, references, backend), backend.xp
    base, base_err = (xp.asarray(array, dtype=f32) for array in (basedark.sci, basedark.err))
    (clipped,), (base_clipped,) = sigma_clip(week.sci, xp, WEEK_CLIP), sigma_clip(base, xp, WEEK_CLIP)
    threshold = clipped.median + f32(HOT_SIGMA) * clipped.std
    hot = xp.where(week.sci >= threshold, week.sci - base_clipped.median, f32(0))
    sci = _smoothed(base, base >= threshold, xp) + hot
    err = xp.where(hot == 0, base_err, week.err)
    dq = xp.where(hot >= threshold, np.int16(DQ_HOT), week.dq)
    return Superdark(backend.asnumpy(sci), backend.asnumpy(err), backend.asnumpy(dq), header)


def write_superdark(superdark: Superdark, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write a super-dark, whole or not at all, and return its path; FILENAME is set.

    Raises
    ------
    OutputExistsError
        The file exists and `overwrite` is False.
    """
    primary = superdark.primary.copy()
    if "FILENAME" not in primary:
        primary.insert(0, ("FILENAME", ""))
    imset = ImageSet(superdark.sci, superdark.err, superdark.dq)
    return Exposure(Path(path), primary, (imset,)).write(path, overwrite=overwrite)


def read_superdark(path: str | os.PathLike[str]) -> Superdark:
    """Read a super-dark.

    Raises
    ------
    MissingFileError
        There is no such file.
    InputError
        It is no image of the STIS CCD, no dark, or holds NaN or infinity.
    """
    exposure = Exposure.read(path)
    filetype = exposure.cards.text("FILETYPE")
    if filetype != "DARK IMAGE" or exposure.n_imsets != 1:
        raise exposure.cards.wrong(
            f"FILETYPE is {filetype!r}, {exposure.n_imsets} image sets; expected one of type "
            "'DARK IMAGE', is this a super-dark?"
        )
    imset = exposure.imsets[0]
    if not np.isfinite(imset.sci).all():
        raise InputError("NaN or infinite pixels; make the super-dark again", where=f"{exposure.path}[SCI,1]")
    arrays = (imset.sci.astype(f32, copy=False), imset.err.astype(f32, copy=False), imset.dq.astype(np.int16))
    return Superdark(*arrays, exposure.primary)


def read_darks(files: Files) -> list[Exposure]:
    """Return the darks that `files` names, read by threads; see `gpucti.io.inputs.expand_files`."""
    with ThreadPoolExecutor(IO_THREADS, thread_name_prefix="gpucti-io") as pool:
        return list(pool.map(Exposure.read, expand_files(files)))


def require_component(dark: StisKeywords) -> None:
    """Raise `InputError` for headers with which a dark cannot be part of any super-dark."""
    _require_reduced(dark)
    cards = dark.cards
    for name in ("TEXPSTRT", "TEXPEND", "ATODGAIN", "READNSE"):
        cards.number(name)
    cards.text("OBSTYPE")
    if (target := cards.text("TARGNAME")) != "DARK":
        raise cards.wrong(f"TARGNAME is {target!r}; expected 'DARK', is this a dark?")
    for number, sci in enumerate(dark.sci_cards, start=1):
        if sci.number("EXPTIME") <= 0:
            raise sci.wrong(f"EXPTIME is {sci.number('EXPTIME')}; expected a dark, with an exposure time in seconds")
        dark_temperature_factor(dark, number)


def dark_temperature_factor(dark: StisKeywords, number: int) -> float:
    """Return what counts are multiplied by to bring an image set to the reference temperature.

    1 for Side 1, and for darks that were scaled already (TEMPCORR).

    Parameters
    ----------
    dark : StisKeywords
        Bias-subtracted.
    number : int
        EXTVER of the image set.

    Raises
    ------
    InputError
        OCCDHTAV is missing.

    References
    ----------
    refstis 0.8.5, apply_dark_correction; STIS TIR 2004-01.
    """
    if "TEMPCORR" in dark.primary or dark.start_mjd <= SIDE_2_MJD:
        return 1.0
    cards = dark.sci_cards[number - 1]
    temperature = cards.number("OCCDHTAV")
    divisor = 1.0 + DARK_SLOPE * (float(temperature) - DARK_TEMPERATURE)
    if divisor <= 0:
        raise cards.wrong(f"OCCDHTAV is {temperature:g}; expected the temperature of the CCD, about 20 degrees")
    return 1.0 / divisor


def _combine(
    darks: Sequence[Exposure], usable: Sequence[UsableImset], references: References, backend: Backend
) -> _Mean:
    """Scale the darks to one temperature, reject cosmic rays, and normalise to electrons per second."""
    first = darks[usable[0].exposure]
    exptimes = [member.exptime for member in usable]
    table = references.of(first).table("CRREJTAB")
    mean_exposure = float(np.cumsum(np.array(exptimes, dtype=f32))[-1]) / len(usable)
    spectroscopic = first.cards.text("OBSTYPE") == "SPECTROSCOPIC"
    parameters = read_rejection_parameters(table, len(usable), mean_exposure, spectroscopic=spectroscopic)
    # the joined file of refstis has one primary header, the first
    combined = combine(
        [_scaled(darks[member.exposure], member) for member in usable],
        [member.imset.dq for member in usable],
        exptimes,
        [usable[0].read_noise] * len(usable),
        [usable[0].gain] * len(usable),
        replace(parameters, mask=False),
        backend,
    )
    seconds_per_count = f32(stored(combined.exptime) / first.gain)
    return _Mean(combined.sci / seconds_per_count, combined.err / seconds_per_count, combined.dq)


def _scaled(dark: Exposure, member: UsableImset) -> npt.NDArray[np.float32]:
    """Return the counts of an image set at the reference temperature. ERR is not needed: it is made anew."""
    sci: npt.NDArray[Any] = member.imset.sci
    factor = dark_temperature_factor(dark, member.number)
    return (sci if factor == 1 else sci * f32(factor)).astype(f32, copy=False)


def _smoothed(image: Array, where: Array, xp: Any) -> Array:
    """Return the image with the median over 5 x 5 pixels, zeros beyond its edges, in those of its pixels."""
    smooth, half = image.copy(), BOX // 2
    rows, cols = xp.nonzero(where)
    padded = xp.pad(image, half)
    boxes = [padded[rows + dy, cols + dx] for dy in range(BOX) for dx in range(BOX)]
    smooth[rows, cols] = xp.sort(xp.stack(boxes), axis=0)[len(boxes) // 2]
    return smooth


def _usable(darks: Sequence[Exposure]) -> list[UsableImset]:
    """Return the image sets to combine; raise `InputError` for darks that refstis would not combine as they are."""
    if not darks:
        raise InputError("no darks given; name two at least")
    for dark in darks:
        _require_reduced(dark)
    if sum(dark.n_imsets for dark in darks) < 2:
        raise InputError(
            "one image set; a super-dark needs two at least, for cosmic rays are told by comparison: "
            "add a dark of the same week, or use the basedark of the anneal period in place of a weekdark",
            where=darks[0].path,
        )
    usable = usable_imsets(darks)
    for member in usable:
        if member.exptime == 0:
            raise InputError(
                "EXPTIME is 0; expected a dark, with an exposure time in seconds", where=member.cards.where
            )
    return usable


def _require_reduced(dark: StisKeywords) -> None:
    """Raise `InputError` unless a dark is a single exposure, bias-subtracted, with its dark current."""
    done = [name for name in ("BLEVCORR", "BIASCORR") if dark.switch(name) == "COMPLETE"]
    waiting = [name for name in ("BLEVCORR", "BIASCORR") if dark.switch(name) == "PERFORM"]
    if not done or waiting:
        raise dark.cards.wrong(
            f"BLEVCORR is {dark.switch('BLEVCORR') or 'missing'}, BIASCORR "
            f"{dark.switch('BIASCORR') or 'missing'}; expected a bias-subtracted dark: take its FLT file, or run "
            "basic2d with DQICORR, BLEVCORR and BIASCORR"
        )
    if dark.switch("CRCORR") == "COMPLETE":
        raise dark.cards.wrong(
            "CRCORR is COMPLETE, its cosmic rays are rejected already; expected single exposures (FLT files)"
        )
    if dark.switch("DARKCORR") == "COMPLETE":
        raise dark.cards.wrong("DARKCORR is COMPLETE, nothing dark is left; expected OMIT")


def _require_fitting(dark: Exposure, basedark: Superdark) -> None:
    """Raise `InputError` unless the basedark has the shape of the darks and is corrected as they are."""
    if basedark.sci.shape != dark.shape:
        raise InputError(
            f"the shape is {dark.shape}, of the basedark {basedark.sci.shape} (rows, columns); expected the same",
            where=dark.path,
        )
    switch = str(basedark.primary.get("PCTECORR", "")).strip().upper()
    if is_corrected(dark) != (switch == "COMPLETE"):
        raise InputError(
            f"PCTECORR is {dark.switch('PCTECORR') or 'missing'}, of the basedark {switch or 'missing'}; "
            "expected both CTI-corrected, or neither",
            where=dark.path,
        )
