"""A synthetic visit on disk: raw exposures, component darks, reference files, and the truth.

The same arguments give the same files. Trails are made with gpucti's own forward model, so a visit shows whether a
pipeline does what it should with the model, not whether the model is right.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from gpucti.atomic import atomic_output
from gpucti.backends import get_backend
from gpucti.backends.base import Backend
from gpucti.errors import InputError, OutputExistsError
from gpucti.pctetab import Pctetab
from gpucti.synthetic import files, headers, tables
from gpucti.synthetic.detector import AMP, BIAS_NOISE, Detector
from gpucti.synthetic.exposures import dark_hdus, science_files, temperature_hdus, wavecal_hdus
from gpucti.synthetic.instrument import ATODGAIN, DRK_VS_T, READ_NOISE, REF_TEMP, VIRTUAL
from gpucti.synthetic.optics import Mode
from gpucti.synthetic.schedule import DARK_SECONDS, Observation, Schedule, instant, superdark_name, whole
from gpucti.synthetic.sky import PHOTZPT

__all__ = ["Observation", "Visit", "simulate_visit"]

log = logging.getLogger(__name__)

#: Start of the first annealing period by default: 2018-05-02, when the table's trap density is 1.5.
DEFAULT_MJD = 58240.2
#: Names of the folders and of the list of files, in the folder of a visit.
SCIENCE, DARKS, OREF, TRUTH, REF, ANNEALS, MANIFEST = (
    "science", "darks", "oref", "truth", "ref", "anneals.json", "files.txt",
)  # fmt: skip
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Visit:
    """Where the parts of a synthetic visit lie.

    Attributes
    ----------
    folder : Path
        All of it.
    science, darks, oref, truth : Path
        Raw exposures with wavecals and temperature histories; component darks; reference files; the truth.
    ref : Path
        An empty folder for super-darks.
    anneals : Path
        The annealing periods and their darks, JSON.
    exposures : tuple of str
        ROOTNAME of each science exposure, in the order asked for.
    """

    folder: Path
    science: Path
    darks: Path
    oref: Path
    truth: Path
    ref: Path
    anneals: Path
    exposures: tuple[str, ...]

    @property
    def environment(self) -> Mapping[str, str]:
        """What ``oref$`` in the headers stands for; CalSTIS needs the slash at its end."""
        return {"oref": f"{self.oref}/"}


def simulate_visit(
    folder: str | Path,
    *,
    exposures: Sequence[str | Observation] = ("image", "spectrum"),
    seed: int = 1,
    mjd: float = DEFAULT_MJD,
    weeks: int | None = None,
    darks_per_week: int | Sequence[int] = 2,
    periods: int = 1,
    gain: int | None = None,
    compress: bool = False,
    device: str | int | Backend | None = "auto",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Visit:
    """Write a synthetic visit: everything that a pipeline from raw exposures needs, and what it should find.

    Parameters
    ----------
    folder : path
        Made if need be; it must be empty, or hold an earlier visit and `overwrite` be set.
    exposures : sequence of str or Observation
        ``image``, ``spectrum`` (G430L), a grating (``G750M``), a grating with its central wavelength
        (``G750M 6768``), or an `Observation` that says everything.
    seed : int
        0 or more; the same seed and arguments give the same files.
    mjd : float
        Start of the first annealing period; the exposures follow a week or so later.
    weeks : int, optional
        Weeks with darks in each period, 1 to 9; by default 2, or as many as `darks_per_week` has numbers.
    darks_per_week : int or sequence of int
        Component darks of every week, or of each.
    periods : int
        Annealing periods, 28 days each (longer for more than four weeks). Exposures are spread over them.
    gain : {1, 4}, optional
        CCDGAIN of exposures given as words; darks always have 1.
    compress : bool
        Write ``.fits.gz`` in place of ``.fits`` (not the truth).
    device : str, int, Backend or None
        Where trails are computed; see `gpucti.get_backend`.
    overwrite : bool
        Replace an earlier visit in the folder.
    progress : callable, optional
        Called with a few words before each file.

    Returns
    -------
    Visit
        The folders.

    Raises
    ------
    InputError
        An argument is not what it should be.
    OutputExistsError
        The folder is not empty.
    ReferenceFileError
        The packaged PCTETAB does not cover the date.

    Examples
    --------
    >>> import tempfile
    >>> visit = simulate_visit(tempfile.mkdtemp(), exposures=["image"], darks_per_week=[1], device="numpy")
    >>> sorted(path.name for path in visit.science.iterdir())
    ['ogv101010_raw.fits']
    """
    seed = whole("seed", seed, 0, 2**63 - 1)
    plan = Schedule.make(exposures, mjd=mjd, weeks=weeks, darks_per_week=darks_per_week, periods=periods, gain=gain)
    folder = Path(folder).absolute()
    backend = get_backend(device) if device is None or isinstance(device, (str, int)) else device
    detector = Detector(seed, plan.anneals, Pctetab.default(), backend)
    _prepare(folder, overwrite=overwrite)
    science, darks, oref, truth, ref, anneals = (folder / part for part in (SCIENCE, DARKS, OREF, TRUTH, REF, ANNEALS))
    roots = tuple(one.root for one in plan.science)
    visit = Visit(folder, science, darks, oref, truth, ref, anneals, roots)
    for path in (visit.science, visit.darks, visit.oref, visit.truth, visit.ref):
        path.mkdir(parents=True, exist_ok=True)
    written = []
    for path, make in _files(visit, plan, detector, ".gz" if compress else ""):
        if progress is not None:
            progress(path.relative_to(folder).as_posix())
        files.write(path, make(), overwrite=overwrite)
        written.append(path)
    texts = {visit.anneals: _anneals(plan), folder / "README.txt": _readme(plan, seed)}
    names_written = sorted(path.relative_to(folder).as_posix() for path in (*written, *texts))
    texts[folder / MANIFEST] = "".join(f"{name}\n" for name in names_written)
    for path, text in texts.items():
        with atomic_output(path, overwrite=overwrite) as out:
            out.write(text.encode())
    log.info("synthetic visit of %d files in %s", len(written) + len(texts), folder)
    return visit


Maker = Callable[[], Sequence[Any]]


def _files(visit: Visit, plan: Schedule, detector: Detector, gz: str) -> Iterator[tuple[Path, Maker]]:
    """Yield every FITS file of a visit and what makes its HDUs."""
    for one in plan.science:
        made = cache(partial(science_files, one, detector))  # one simulation, two files
        yield visit.science / f"{one.root}_raw.fits{gz}", partial(_part, made, "raw")
        yield visit.truth / f"{one.root}_truth.fits", partial(_part, made, "truth")
        if not one.what.is_image:
            yield visit.science / f"{one.root}_wav.fits{gz}", partial(wavecal_hdus, one, detector)
            for name, start in zip(one.expnames, one.starts, strict=True):
                path = visit.science / f"{name[:8]}j_epc.fits{gz}"
                yield path, partial(temperature_hdus, start, one.what.exptime)
    for dark in plan.darks:
        yield visit.darks / f"{dark.root}_flt.fits{gz}", partial(dark_hdus, dark, detector)
    yield visit.truth / "dark_rate.fits", partial(_dark_truth, detector, plan)
    yield from _references(visit.oref, plan, detector, gz)


def _part(made: Callable[[], Mapping[str, Sequence[Any]]], name: str) -> Sequence[Any]:
    return made()[name]


def _references(oref: Path, plan: Schedule, detector: Detector, gz: str) -> Iterator[tuple[Path, Maker]]:
    """Yield every reference file."""
    modes = sorted(
        {Mode(one.what.opt_elem, one.what.cenwave or 0) for one in plan.science if not one.what.is_image}
        or {Mode("G430L", 4300)},
        key=lambda mode: (mode.name, mode.cenwave),
    )
    for suffix, of_detector in tables.OF_DETECTOR.items():
        name = f"sim_{suffix}.fits"
        yield oref / f"{name}{gz}", partial(_table, name, of_detector, detector)
    for suffix, of_modes in tables.OF_MODES.items():
        name = f"sim_{suffix}.fits"
        yield oref / f"{name}{gz}", partial(_table, name, of_modes, modes)
    yield (
        oref / f"sim_imp.fits{gz}",
        lambda: files.reference_table("sim_imp.fits", tables.imphttab(), PHOTZPT=PHOTZPT, PARNUM=1, DBTABLE="IMPHTTAB"),
    )
    for gain in sorted({1, *(one.what.gain for one in plan.science)}):
        yield oref / f"sim_g{gain}_bia.fits{gz}", partial(_bias, detector, gain)
    yield oref / f"sim_pfl.fits{gz}", lambda: files.reference_image(
        "sim_pfl.fits", "PIXEL-TO-PIXEL FLAT", "pixel flat",
        (detector.pixel_flat, 1e-3 * detector.pixel_flat, detector.bad_bits & np.int16(1024)), OPT_ELEM="ANY",
    )  # fmt: skip
    yield oref / f"sim_lfl.fits{gz}", lambda: files.reference_image(
        "sim_lfl.fits", "LOW ORDER FLAT", "low-order flat",
        (detector.low_flat, 2e-3 * detector.low_flat, np.zeros(detector.low_flat.shape, np.int16)), OPT_ELEM="ANY",
    )  # fmt: skip
    for period, week in sorted({(dark.period, dark.week) for dark in plan.darks}):
        yield oref / f"{superdark_name(period, week)}{gz}", partial(_superdark, detector, plan, period, week)


def _table(name: str, make: Callable[[Any], tables.Table], subject: Any) -> list[Any]:
    return files.reference_table(name, [("", make(subject))])


def _bias(detector: Detector, gain: int) -> list[Any]:
    image = detector.bias_image(gain)
    error = np.full(image.shape, BIAS_NOISE / ATODGAIN[gain])
    keywords = {"CCDAMP": AMP, "CCDGAIN": gain, "CCDOFFST": 3, "BINAXIS1": 1, "BINAXIS2": 1}
    return files.reference_image(
        f"sim_g{gain}_bia.fits", "CCD BIAS IMAGE", f"bias, gain {gain}", (image, error, detector.bias_bits), **keywords
    )


def _superdark(detector: Detector, plan: Schedule, period: int, week: int) -> list[Any]:
    """Return a weekly super-dark as a pipeline without CTI correction has it: with the trails of its darks."""
    starts = [dark.start for dark in plan.darks if (dark.period, dark.week) == (period, week)]
    middle, name = sum(starts) / len(starts), superdark_name(period, week)
    expected = detector.dark_rate(middle) * DARK_SECONDS
    arrived = detector.transfer(expected, middle)[VIRTUAL:]
    error = np.sqrt((np.maximum(arrived, 0.0) + READ_NOISE[1] ** 2) / len(starts)) / DARK_SECONDS
    rate = arrived / DARK_SECONDS + error * detector.rng(name).normal(size=error.shape)
    bits = np.where(rate > np.median(rate) + 0.1, 16, 0).astype(np.int16)
    anything = {key: "ANY" for key in ("CCDAMP", "OPT_ELEM", "APERTURE", "OBSTYPE")}
    return files.reference_image(
        name, "DARK IMAGE", f"dark of week {week}, trails not removed", (rate, error, bits), **anything,
        CCDGAIN=-1, CCDOFFST=-1, BINAXIS1=1, BINAXIS2=1, REF_TEMP=REF_TEMP, DRK_VS_T=DRK_VS_T,
    )  # fmt: skip


def _dark_truth(detector: Detector, plan: Schedule) -> list[Any]:
    warm = detector.warm_pixels
    image = fits.ImageHDU(detector.dark_base.astype(np.float32), name="RATE")
    image.header["BUNIT"] = "ELECTRONS/S"
    image.header["MJD"] = (plan.anneals[0], "when this was the dark rate; see WARM")
    image.header["REF_TEMP"] = (REF_TEMP, "[degC] housing temperature of these rates")
    image.header["DRK_VS_T"] = (DRK_VS_T, "[1/degC] change of the rates")
    table = files.table_hdu("WARM", {
        "X": ("J", "pixel", warm.column + 1), "Y": ("J", "pixel", warm.row + 1),
        "RATE": ("D", "electron/s", warm.rate), "START": ("D", "MJD", warm.start),
        "END": ("D", "MJD", np.where(np.isfinite(warm.end), warm.end, 99999.0)),
    })  # fmt: skip
    return [fits.PrimaryHDU(), image, table]


def _anneals(plan: Schedule) -> str:
    """Return the annealing periods as JSON, with darks that nobody needs among them, and an empty period round them."""

    def dark(name: str, start: float, **more: Any) -> dict[str, Any]:
        entry = {"exposure": name.upper(), "proposid": headers.DARK_PROGRAMME, "datetime": f"{instant(start)}"}
        return entry | {"exptime": DARK_SECONDS} | more

    length = plan.anneals[1] - plan.anneals[0]
    bounds = [plan.anneals[0] - length, *plan.anneals, None]
    periods = []
    for number, (start, end) in enumerate(zip(bounds, bounds[1:], strict=False)):
        assert start is not None
        darks = [dark(one.root, one.start) for one in plan.darks if one.period == number]
        if darks:
            darks.append(dark(f"ogda{number}01aq", start + 2.2, ccdamp="A", flt=False))
            darks.append(dark(f"ogds{number}01aq", start + 3.4, exptime=60.0))
        darks.sort(key=lambda entry: str(entry["datetime"]))
        stop = None if end is None else f"{instant(end)}"
        periods.append({"index": 100 + number, "start": f"{instant(start)}", "end": stop, "darks": darks})
    return json.dumps(periods, indent=1) + "\n"


def _readme(plan: Schedule, seed: int) -> str:
    science = "".join(
        f"  {one.root}  {one.what.title}, {one.what.n_imsets} x {one.what.exptime:g} s, gain {one.what.gain}, "
        f"{instant(one.starts[0])}\n"
        for one in plan.science
    )
    n, first = len(plan.anneals) - 1, instant(plan.anneals[0])
    days = f"{len(plan.darks)} component darks of {n} annealing period{'s' * (n > 1)}, from {first} on"
    return f"""A synthetic visit of the STIS CCD, made by gpucti. No telescope took these data.

science/      raw exposures, wavecals, temperature histories:
{science}darks/        {days}
oref/         every reference file that the headers name (oref$...)
ref/          empty: for super-darks
anneals.json  the annealing periods and their darks
truth/        ROOT_truth.fits:
                SCENE     electrons of one exposure from the sky: no flat, no dark current, no noise
                DARK      electrons expected from dark current (last imset)
                CHARGE,n  collected in imset n, with photon noise and cosmic rays, before the readout
                STARS, STAR, NEBULA, PROFILE: what products should show. Positions count from 1, wavelengths are
                          as observed, not heliocentric; the flux of STARS holds for PHOTFLAM at gain 1
              dark_rate.fits: the dark rate at the start, and the pixels that turn warm later

How they were made (seed {seed}): photons and dark current with Poisson noise, through the flats; cosmic rays; trails by
gpucti's forward model with its packaged PCTETAB; gain, bias structure, a bias level that slopes along rows and
columns, read noise; whole counts. The virtual overscan holds the charge that traps release after the last row. The
super-darks in oref/ have the trails of their darks, as those of a pipeline without CTI correction have.

Try:
  export oref="$PWD/{OREF}/"
  gpucti correct {SCIENCE} -d {DARKS} -r {REF} --anneals {ANNEALS}
"""


def _prepare(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder that is not empty; with `overwrite`, clear an earlier visit out of it."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise OutputExistsError(f"{folder}: is a file; expected a folder, or a name that is free")
    if not any(folder.iterdir()):
        return
    manifest = folder / MANIFEST
    if not overwrite or not manifest.is_file():
        what = "holds an earlier visit; allow overwriting" if manifest.is_file() else "is not empty; choose another"
        raise OutputExistsError(f"{folder}: {what}, or remove it")
    for name in manifest.read_text(encoding="utf-8").splitlines():
        path = (folder / name).resolve()
        if folder.resolve() not in path.parents:
            raise InputError(f"{manifest}: names {name!r}, which is not in the folder; repair or remove it")
        path.unlink(missing_ok=True)
    manifest.unlink()
