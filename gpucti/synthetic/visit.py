"""A synthetic visit on disk: raw exposures, component darks, reference files, and the truth.

The same arguments give the same files. Trails are made with gpucti's own forward model, so a visit shows whether a
pipeline does what it should with the model, not whether the model is right.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from gpucti._lazy import require
from gpucti.backends import get_backend
from gpucti.backends.base import Backend
from gpucti.darks.anneals import AnnealPeriod, Dark, write_anneals
from gpucti.errors import InputError, OutputExistsError
from gpucti.io.atomic import ALLOW, atomic_output
from gpucti.io.fitsfile import write_hdus
from gpucti.model.pctetab import Pctetab
from gpucti.synthetic import headers
from gpucti.synthetic.detector import Detector
from gpucti.synthetic.exposures import dark_hdus, science_files, temperature_hdus, wavecal_hdus
from gpucti.synthetic.references import Maker, dark_truth, reference_files
from gpucti.synthetic.schedule import DARK_SECONDS, Observation, Schedule, instant, whole

__all__ = ["Observation", "Visit", "simulate_visit"]

log = logging.getLogger(__name__)

#: Start of the first annealing period by default: 2018-05-02, when the table's trap density is 1.5.
DEFAULT_MJD = 58240.2
#: Names in the folder of a visit.
SCIENCE, DARKS, OREF, TRUTH, REF = "science", "darks", "oref", "truth", "ref"
ANNEALS, README, MANIFEST = "anneals.json", "README.txt", "files.txt"
VisitProgress = Callable[[str], None]


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
    progress: VisitProgress | None = None,
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
    MissingPackageError
        scipy is not installed.

    Examples
    --------
    >>> import tempfile
    >>> visit = simulate_visit(tempfile.mkdtemp(), exposures=["image"], darks_per_week=[1], device="numpy")
    >>> sorted(path.name for path in visit.science.iterdir())
    ['ogv101010_raw.fits']
    """
    require("scipy", "a synthetic visit")
    seed = whole("seed", seed, 0, 2**63 - 1)
    plan = Schedule.make(exposures, mjd=mjd, weeks=weeks, darks_per_week=darks_per_week, periods=periods, gain=gain)
    folder = Path(folder).absolute()
    backend = get_backend(device)
    detector = Detector(seed, plan.anneals, Pctetab.default(), backend)
    _prepare(folder, overwrite=overwrite)
    science, darks, oref, truth, ref, anneals = (folder / part for part in (SCIENCE, DARKS, OREF, TRUTH, REF, ANNEALS))
    roots = tuple(planned.root for planned in plan.science)
    visit = Visit(folder, science, darks, oref, truth, ref, anneals, roots)
    for path in (visit.science, visit.darks, visit.oref, visit.truth, visit.ref):
        path.mkdir(parents=True, exist_ok=True)
    written = []
    for path, make in _files(visit, plan, detector, ".gz" if compress else ""):
        if progress is not None:
            progress(path.relative_to(folder).as_posix())
        write_hdus(make(), path, overwrite=overwrite)
        written.append(path)
    write_anneals(_anneals(plan), visit.anneals, overwrite=overwrite)
    made = sorted(path.relative_to(folder).as_posix() for path in (*written, visit.anneals, folder / README))
    for name, text in ((README, _readme(plan, seed)), (MANIFEST, "".join(f"{line}\n" for line in made))):
        with atomic_output(folder / name, overwrite=overwrite) as out:
            out.write(text.encode())
    log.info("synthetic visit of %d files in %s", len(made), folder)
    return visit


def _files(visit: Visit, plan: Schedule, detector: Detector, gz: str) -> Iterator[tuple[Path, Maker]]:
    """Yield every FITS file of a visit and what makes its HDUs."""
    for planned in plan.science:
        made = cache(partial(science_files, planned, detector))  # one simulation, two files
        yield visit.science / f"{planned.root}_raw.fits{gz}", partial(_part, made, "raw")
        yield visit.truth / f"{planned.root}_truth.fits", partial(_part, made, "truth")
        if not planned.what.is_image:
            yield visit.science / f"{planned.root}_wav.fits{gz}", partial(wavecal_hdus, planned, detector)
            for name, start in zip(planned.expnames, planned.starts, strict=True):
                path = visit.science / f"{name[:8]}j_epc.fits{gz}"
                yield path, partial(temperature_hdus, start, planned.what.exptime)
    for dark in plan.darks:
        yield visit.darks / f"{dark.root}_flt.fits{gz}", partial(dark_hdus, dark, detector)
    yield visit.truth / "dark_rate.fits", partial(dark_truth, detector, plan)
    yield from reference_files(visit.oref, plan, detector, gz)


def _part(made: Callable[[], Mapping[str, Sequence[Any]]], name: str) -> Sequence[Any]:
    return made()[name]


def _anneals(plan: Schedule) -> list[AnnealPeriod]:
    """Return the annealing periods, with darks that nobody needs among them, and periods without darks round them."""
    length = plan.anneals[1] - plan.anneals[0]
    bounds = [plan.anneals[0] - length, *plan.anneals]
    periods = []
    for number, start in enumerate(bounds):
        end = instant(bounds[number + 1]) if number + 1 < len(bounds) else None
        darks = [
            Dark(dark.root.upper(), headers.DARK_PROGRAMME, instant(dark.start), DARK_SECONDS)
            for dark in plan.darks
            if dark.period == number
        ]
        if darks:
            other, short = instant(start + 2.2), instant(start + 3.4)
            darks.append(Dark(f"OGDA{number}01AQ", headers.DARK_PROGRAMME, other, DARK_SECONDS, ccdamp="A", flt=False))
            darks.append(Dark(f"OGDS{number}01AQ", headers.DARK_PROGRAMME, short, 60.0))
        darks.sort(key=lambda dark: dark.start)
        periods.append(AnnealPeriod(instant(start), end, tuple(darks), 100 + number))
    return periods


def _readme(plan: Schedule, seed: int) -> str:
    science = "".join(
        f"  {planned.root}  {planned.what.title}, {planned.what.n_imsets} x {planned.what.exptime:g} s, "
        f"gain {planned.what.gain}, {instant(planned.starts[0])}\n"
        for planned in plan.science
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
                          as observed, not heliocentric
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
        raise OutputExistsError("is a file; expected a folder, or a name that is free", where=folder)
    if not any(folder.iterdir()):
        return
    manifest = folder / MANIFEST
    if not overwrite or not manifest.is_file():
        what = f"holds an earlier visit; {ALLOW}" if manifest.is_file() else "is not empty; choose another"
        raise OutputExistsError(f"{what}, or remove it", where=folder)
    for name in manifest.read_text(encoding="utf-8").splitlines():
        path = (folder / name).resolve()
        if folder.resolve() not in path.parents:
            raise InputError(f"names {name!r}, which is not in the folder; repair or remove it", where=manifest)
        path.unlink(missing_ok=True)
    manifest.unlink()
