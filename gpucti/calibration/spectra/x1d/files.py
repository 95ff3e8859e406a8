"""Spectra extracted again from calibrated images, with another box, centre or background."""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

from gpucti._version import __version__
from gpucti.backends import get_backend
from gpucti.backends.base import Backend
from gpucti.calibration.base import Trailer
from gpucti.calibration.reffiles import References
from gpucti.calibration.spectra.x1d.extract import extract
from gpucti.calibration.spectra.x1d.parameters import ExtractOptions
from gpucti.calibration.spectra.x1d.table import ExtractedSpectra
from gpucti.calibration.switches import PART_A, PART_B, switch
from gpucti.detector import GRATINGS
from gpucti.errors import EngineError, Failure, GpuctiError, InputError, SomeFailedError, UnsuitableFileError
from gpucti.io.cards import OF_A_RUN, without
from gpucti.io.exposure import Exposure, ExposureHeaders
from gpucti.io.fitstables import ascii_text
from gpucti.io.inputs import Files, check_outputs, checked_folder, expand_files, lines_by_reason
from gpucti.references.names import at_home, run_environment

log = logging.getLogger(__name__)

#: Suffixes of calibrated images: whether the image sets are combined.
IMAGES = {"flt": False, "flc": False, "crj": True, "crc": True}
#: Suffix of the spectra, by whether the pixels are CTI-corrected and whether the image sets are combined.
SUFFIXES = {(True, False): "x1c", (True, True): "s1c", (False, False): "x1d", (False, True): "sx1"}
#: ``root_flc.fits``; also ``root_cte_flt.fits``, as CalSTIS calls what it makes of a corrected exposure.
_NAME = re.compile(rf"(?P<root>.+?)(?:_cte)?_(?P<suffix>{'|'.join(IMAGES)})", re.IGNORECASE)
_SWITCH = {"perform": True, "omit": False}


class Extracted(NamedTuple):
    """What `progress` is called with after each file.

    Attributes
    ----------
    input, output : Path
        The image read and the table written.
    rows : tuple of float
        Where each spectrum was found: 1-based row of the image in the middle of the dispersion (A2CENTER).
    failures : tuple of str
        Why there is no spectrum from some of the image sets, a sentence each.
    """

    input: Path
    output: Path
    rows: tuple[float, ...]
    failures: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Job:
    headers: ExposureHeaders
    output: Path

    @property
    def path(self) -> Path:
        """The input file."""
        return self.headers.path


def x1d(
    files: Files,
    outdir: str | os.PathLike[str] | None = None,
    *,
    extrsize: float | None = None,
    a2center: float | None = None,
    maxsrch: int | None = None,
    bk1size: float | None = None,
    bk2size: float | None = None,
    bk1offst: float | None = None,
    bk2offst: float | None = None,
    bktilt: float | None = None,
    backord: int | None = None,
    bksmode: str = "median",
    bksorder: int = 3,
    xoffset: float | None = None,
    backcorr: bool | str | None = None,
    dispcorr: bool | str | None = None,
    helcorr: bool | str | None = None,
    fluxcorr: bool | str | None = None,
    ctecorr: bool | str | None = None,
    oref: str | os.PathLike[str] | None = None,
    device: str | int | Backend | None = "auto",
    overwrite: bool = False,
    progress: Callable[[Extracted], None] | None = None,
) -> list[Path]:
    """Extract spectra from calibrated images and return the new files.

    Outputs are called as the pipeline calls them: ``x1c`` from an ``flc``, ``s1c`` from a ``crc``, ``x1d`` from an
    ``flt``, ``sx1`` from a ``crj``; whether the pixels are CTI-corrected is taken from the header (PCTECORR). Without
    options the spectra are the pipeline's. The header says that they were extracted by hand, from what and with which
    options (X1DPROG, X1DSHAI, X1DOPTS), and no run of the pipeline takes them for its own. A file without a spectrum
    costs the others nothing; inputs are never changed. Options are named as in ``stistools.x1d``; lengths are in
    unbinned pixels, None leaves a value to the XTRACTAB, and a step to its switch in the header.

    Parameters
    ----------
    files : path or iterable of paths
        Calibrated, not rectified spectra (``flc``, ``crc``, ``flt``, ``crj``); a str may hold a glob pattern.
    outdir : path, optional
        Folder of the outputs, made if need be; by default each goes beside its input.
    extrsize : float, optional
        Height of the extraction box.
    a2center : float, optional
        Row of the image, 1-based, at which the search starts; SHIFTA2 is then not added.
    maxsrch : int, optional
        How far from there the brightest trace is looked for, up and down; 0 takes `a2center` as it is.
    bk1size, bk2size, bk1offst, bk2offst : float, optional
        Heights of the background boxes, and their distances from the spectrum.
    bktilt : float, optional
        Tilt of the background boxes, degrees.
    backord : {0, 1}, optional
        Background across the dispersion: mean, or a straight line.
    bksmode : {"median", "off"}
        Whether the background is smoothed along the dispersion: running median, then a polynomial.
    bksorder : int
        Order of that polynomial, 0 to 9.
    xoffset : float, optional
        Added to SHIFTA1, pixels: for spectra taken without a slit.
    backcorr, dispcorr, helcorr, fluxcorr : bool, "perform" or "omit", optional
        Do the step or leave it out.
    ctecorr : bool, "perform" or "omit", optional
        The empirical correction for CTI. Never done where the pixels are corrected: to ask for it is an error then.
    oref : path, optional
        Folder that ``oref$`` in headers stands for; by default the environment variable.
    device : str, int, Backend or None
        Where it is computed; see `gpucti.get_backend`.
    overwrite : bool
        Replace existing outputs.
    progress : callable, optional
        Called with an `Extracted` after each file is written.

    Returns
    -------
    list of Path
        One per spectrum, in order; an input named twice counts once.

    Warns
    -----
    UserWarning
        Inputs were skipped since they are no calibrated, not rectified spectra; so ``*.fits`` can stand for a folder.

    Raises
    ------
    MissingFileError
        An input does not exist; nothing is done.
    UnsuitableFileError
        The only input, or each of them, is no calibrated spectrum.
    InputError
        The only input is damaged or lacks a keyword; or an option makes no sense, two inputs would share an output:
        then nothing is done.
    ReferenceFileError
        For the only input a table is missing or damaged, or has no row.
    EngineError
        No spectrum is found in any image set of the only input.
    OutputExistsError
        An output exists; nothing is done.
    SomeFailedError
        Of several inputs some gave no spectrum, for one of these reasons; the others are done.
    """
    options = ExtractOptions(
        extrsize=extrsize,
        a2center=a2center,
        maxsrch=maxsrch,
        bk1size=bk1size,
        bk2size=bk2size,
        bk1offst=bk1offst,
        bk2offst=bk2offst,
        bktilt=bktilt,
        backord=backord,
        bksmode=bksmode,
        bksorder=bksorder,
        xoffset=xoffset,
        backcorr=_step("backcorr", backcorr),
        dispcorr=_step("dispcorr", dispcorr),
        helcorr=_step("helcorr", helcorr),
        fluxcorr=_step("fluxcorr", fluxcorr),
        ctecorr=_step("ctecorr", ctecorr),
    )
    environment = run_environment(None if oref is None else _folder(oref), Path())
    paths = expand_files(files, folders=True)
    jobs, failures, skipped = _plan(paths, outdir, options, overwrite=overwrite)
    for line in lines_by_reason(skipped):
        warnings.warn(f"skipped: {line}", UserWarning, stacklevel=2)
    references, backend = References(environment), get_backend(device)
    done = []
    for job in jobs:
        try:
            made = _extract(job, options, references, backend, overwrite=overwrite)
        except (GpuctiError, OSError) as error:
            if len(paths) == 1:
                raise
            failures[job.path] = Failure.of(job.path, error)
            continue
        done.append(job.output)
        if progress is not None:
            progress(made)
    if failures:
        total = len(paths) - len(skipped)
        raise SomeFailedError.of([failures[path] for path in paths if path in failures], done, total)
    return done


def _step(name: str, value: bool | str | None) -> bool | None:
    """Return what is wanted of a step; text as for stistools."""
    if value is None or isinstance(value, bool):
        return value
    if not isinstance(value, str) or value.lower() not in _SWITCH:
        raise InputError(f"{name} is {value!r}; expected True, False, 'perform', 'omit', or None for the header's")
    return _SWITCH[value.lower()]


def _folder(oref: str | os.PathLike[str]) -> Path:
    folder = Path(at_home(os.fspath(oref)))
    if not folder.is_dir():
        raise InputError("no such folder; oref is the folder of the reference files", where=folder)
    return folder


def _plan(
    paths: Sequence[Path], outdir: str | os.PathLike[str] | None, options: ExtractOptions, *, overwrite: bool
) -> tuple[list[_Job], dict[Path, Failure], dict[Path, str]]:
    """Return what is to be done, and which of several files cannot be, or are of another kind; nothing is written."""
    folder = None if outdir is None else checked_folder(Path(outdir))
    jobs: list[_Job] = []
    failures: dict[Path, Failure] = {}
    skipped: dict[Path, str] = {}
    for path in paths:
        try:
            headers = ExposureHeaders.read(path)
            _require_extractable(headers, options)
        except InputError as error:
            if len(paths) == 1:
                raise
            if isinstance(error, UnsuitableFileError):
                skipped[path] = error.what or error.reason
            else:
                failures[path] = Failure.of(path, error)
        else:
            jobs.append(_Job(headers, (path.parent if folder is None else folder) / _output_name(headers)))
    if not jobs and not failures:
        lines = "".join(f"\n  {line}" for line in lines_by_reason(skipped))
        raise UnsuitableFileError(f"none of the {len(paths)} files is a calibrated spectrum:{lines}")
    check_outputs(jobs, overwrite=overwrite)
    return jobs, failures, skipped


def _require_extractable(headers: ExposureHeaders, options: ExtractOptions) -> None:
    """Refuse what is not a calibrated spectrum of a first-order grating, and say what it is."""
    cards = headers.cards

    def unsuitable(what: str, reason: str) -> UnsuitableFileError:
        return UnsuitableFileError(reason, where=cards.where, what=what)

    mode = cards.text("OBSMODE", default="")
    if "ACQ" in mode.upper():
        raise unsuitable("an acquisition", f"OBSMODE is {mode}, an acquisition; expected a spectrum")
    kind, element = cards.text("OBSTYPE"), cards.text("OPT_ELEM")
    if kind != "SPECTROSCOPIC":
        raise unsuitable("no spectrum", f"OBSTYPE is {kind}; expected SPECTROSCOPIC, there is no spectrum to extract")
    if element not in GRATINGS:
        raise unsuitable(f"OPT_ELEM {element}", f"OPT_ELEM is {element}; expected one of {', '.join(GRATINGS)}")
    if switch(headers, "X2DCORR") == "COMPLETE":
        raise unsuitable(
            "a rectified image", "X2DCORR is COMPLETE, the image is rectified; extract from the flc, crc, flt or crj"
        )
    left = [name for name in PART_A + PART_B if switch(headers, name) == "PERFORM"]
    if left:
        raise unsuitable(
            "not calibrated yet",
            f"{', '.join(left)} {'is' if len(left) == 1 else 'are'} PERFORM, the image is not calibrated yet; "
            "use the flc, crc, flt or crj that `gpucti correct` or CalSTIS makes of it",
        )
    if options.dispcorr is False:
        return
    shift = switch(headers, "WAVECORR")
    if shift == "PERFORM":
        raise cards.wrong(
            "WAVECORR is PERFORM, the shift of the spectrum is not measured yet; calibrate the exposure with "
            "its wavecal, or set WAVECORR to OMIT to take SHIFTA1 and SHIFTA2 as they stand"
        )
    if shift != "COMPLETE":
        log.warning("%s: WAVECORR is %s: wavelengths are as good as the SHIFTA1 in the header", headers.path, shift)


def _output_name(headers: ExposureHeaders) -> str:
    """Return the name of the table: by the name of the image, and by its header where that is about CTI."""
    path, corrected = headers.path, headers.switch("PCTECORR") == "COMPLETE"
    stem = path.name.removesuffix(".gz").removesuffix(".fits")
    match = _NAME.fullmatch(stem)
    if match is None:
        combined = switch(headers, "CRCORR") == "COMPLETE"
        return f"{stem}_{SUFFIXES[corrected, combined]}.fits"
    suffix = match["suffix"].lower()
    name = f"{match['root']}_{SUFFIXES[corrected, IMAGES[suffix]]}.fits"
    if suffix in ("flc", "crc") and not corrected:
        log.warning(
            "%s: is called %s, but its header does not say that it is CTI-corrected: makes %s", path, suffix, name
        )
    return name


def _extract(
    job: _Job, options: ExtractOptions, references: References, backend: Backend, *, overwrite: bool
) -> Extracted:
    """Extract the spectra of one file and write them."""
    trailer, exposure = Trailer(), Exposure.read(job.path)
    spectra = extract(exposure, references=references, backend=backend, trailer=trailer, options=options)
    for line in trailer.lines:
        log.info("%s: %s", job.path, line)
    if not spectra.tables:
        raise EngineError(
            f"no spectrum was extracted. {' '.join(spectra.failures)} Name its row (a2center), with a short "
            "search (maxsrch)",
            where=job.path,
        )
    _stamp(spectra, exposure, options)
    job.output.parent.mkdir(parents=True, exist_ok=True)
    spectra.write(job.output, overwrite=overwrite)
    log.info("%s: written to %s", job.path, job.output)
    for failure in spectra.failures:
        log.warning("%s: %s", job.path, failure)
    rows = tuple(float(table.data["A2CENTER"][0]) for table in spectra.tables)
    return Extracted(job.path, job.output, rows, spectra.failures)


def _stamp(spectra: ExtractedSpectra, exposure: Exposure, options: ExtractOptions) -> None:
    """Say in the header what the spectra are made of, and with which options: no run of the pipeline made them."""
    header = spectra.primary
    without(header, *OF_A_RUN)
    given = [(field.name, getattr(options, field.name)) for field in fields(options)]
    defaults = ExtractOptions()
    text = ", ".join(f"{name}={value}" for name, value in given if value != getattr(defaults, name)) or "none"
    header["X1DPROG"] = (f"gpucti {__version__}", "program that extracted the spectrum by hand")
    header["X1DOPTS"] = text  # no comment: it may fill the card
    header["X1DSHAI"] = exposure.sha256
    header.add_history(f"Extracted by gpucti x1d {__version__} from {ascii_text(exposure.path.name)}, whose sha256 is")
    header.add_history(f"X1DSHAI. Options: {text}.")
