"""The demonstration: a visit simulated, corrected, and compared with its truth, without and with the correction."""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from astropy.time import Time

from gpucti._lazy import require
from gpucti.backends import get_backend
from gpucti.backends.base import Backend
from gpucti.calibration.native import NativeEngine
from gpucti.calibration.reffiles import References
from gpucti.demo.measure import (
    FAR,
    DarkImage,
    HotPixels,
    Pair,
    Spectrum,
    Stars,
    measure_hot_pixels,
    measure_sky,
    measure_spectrum,
    measure_stars,
    read_dark,
    read_image,
)
from gpucti.demo.picture import draw
from gpucti.errors import MissingPackageError, OutputExistsError
from gpucti.io.atomic import ALLOW, atomic_output
from gpucti.io.exposure import Exposure
from gpucti.io.lock import HOLDER_NAME, LOCK_NAME, folder_lock
from gpucti.pipeline.running.run import Report, correct
from gpucti.plots.style import require_matplotlib
from gpucti.progress import Event, Progress
from gpucti.synthetic import Observation, Visit, simulate_visit

__all__ = ["DemoResult", "run_demo"]

#: Names in the folder of a demonstration.
VISIT, UNCORRECTED, PICTURE, TABLE, README = "visit", "uncorrected", "before_after.png", "table.txt", "README.txt"
#: First line of the README, by which a demonstration is known.
_TITLE = "A demonstration of gpucti"
_PARTS = 4
_STAGE = "demo"
_IMAGE = Observation(n_stars=1200)
_SPECTRUM = Observation("G430L", exptime=700.0, electrons=200.0, row=315.0)
_PLAIN = {kind: kind for kind in ("crj", "flt", "sx2", "x2d", "sx1", "x1d")}


@dataclass(frozen=True, eq=False)
class DemoResult:
    """What a demonstration found.

    Attributes
    ----------
    folder : Path
        All of it.
    visit : Visit
        The simulated visit, corrected.
    picture : Path or None
        The picture (PNG); None where matplotlib or pillow does not work.
    table_file : Path
        The table (text).
    stars, sky, spectrum, hot_pixels
        What was measured without and with the correction, and the truth.
    report : Report
        Of the run of the pipeline.
    seconds : mapping
        Seconds per part.
    """

    folder: Path
    visit: Visit
    picture: Path | None
    table_file: Path
    stars: Stars
    sky: Pair
    spectrum: Spectrum
    hot_pixels: HotPixels
    report: Report
    seconds: Mapping[str, float]

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """All numbers of the table."""
        hot = self.hot_pixels
        return (*self.stars.bins, self.spectrum.whole, hot.kept, hot.trail, self.sky)

    @property
    def table(self) -> str:
        """The table, a few lines of text."""
        return _table(self.pairs)


def run_demo(
    folder: str | Path,
    *,
    device: str | int | Backend | None = "auto",
    progress: Progress | None = None,
    overwrite: bool = False,
) -> DemoResult:
    """Simulate a visit, correct it, calibrate it without correction too, and compare both with the truth.

    Parameters
    ----------
    folder : path
        Made if need be; it must be empty, or hold an earlier demonstration and `overwrite` be set.
    device : str, int, Backend or None
        Where it is computed; see `gpucti.get_backend`.
    progress : callable, optional
        Told of each step, with an `Event`.
    overwrite : bool
        Replace an earlier demonstration in the folder; other files stay.

    Raises
    ------
    OutputExistsError
        The folder is not empty, and holds no demonstration or `overwrite` is not set.
    FolderInUseError
        Another demonstration runs in the folder.
    """
    folder = Path(folder).absolute()
    backend = get_backend(device)
    drawn = _can_draw()  # said now, not after all the work
    parts = _Parts(progress)
    _refuse(folder, overwrite=overwrite)
    folder.mkdir(parents=True, exist_ok=True)
    with folder_lock(folder):
        _clear(folder)
        with parts.part("simulate", "a visit is simulated: raw exposures, darks, reference files, the truth"):
            visit = simulate_visit(
                folder / VISIT, exposures=(_IMAGE, _SPECTRUM), weeks=2, darks_per_week=2, device=backend,
                progress=parts.file,
            )  # fmt: skip
        with parts.part("correct", "gpucti correct works on it"):
            report = correct(
                visit.science, visit.darks, visit.ref, oref=visit.oref, anneals=visit.anneals, device=backend,
                engine="native", progress=progress,
            )  # fmt: skip
        with parts.part("calibrate without", "the same raw exposures are calibrated without correction"):
            plain = _calibrate_plain(visit, folder / UNCORRECTED, backend)
        with parts.part("compare", "both are compared with the truth"):
            image_root, spectrum_root = visit.exposures
            image = read_image(_truth(visit, image_root), plain[image_root, "crj"], _product(visit, image_root, "crc"))
            spectrum = measure_spectrum(
                _truth(visit, spectrum_root), plain[spectrum_root, "sx1"], _product(visit, spectrum_root, "s1c")
            )
            darks = _read_darks(visit)
            stars, sky, hot = measure_stars(image), measure_sky(image), measure_hot_pixels(darks)
            when = Time(Exposure.read(plain[image_root, "crj"]).primary["TEXPSTRT"], format="mjd").strftime("%B %Y")
            picture = None
            if drawn:
                picture = draw(folder / PICTURE, image, darks[-1], stars, spectrum, hot, when=when)
        result = DemoResult(
            folder, visit, picture, folder / TABLE, stars, sky, spectrum, hot, report, dict(parts.seconds)
        )  # fmt: skip
        _write(result.table_file, result.table)
    return result


def _can_draw() -> bool:
    """Tell whether there is what draws the picture, or warn."""
    try:
        require_matplotlib()
        require("pillow", "the picture")
    except MissingPackageError as error:
        warnings.warn(f"no picture: {error}", stacklevel=3)
        return False
    return True


def _calibrate_plain(visit: Visit, outdir: Path, backend: Backend) -> dict[tuple[str, str], Path]:
    """Calibrate the raw exposures as they are: no correction of any kind, the super-dark that their headers name.

    The old empirical correction of extracted spectra (CTECORR) is left out too: its parameters in the synthetic
    reference files mean nothing.
    """
    outdir.mkdir()
    engine = NativeEngine(backend, References(visit.environment))
    made = {}
    for root in visit.exposures:
        raw = Exposure.read(visit.science / f"{root}_raw.fits")
        raw.primary["CTECORR"] = "OMIT"
        for kind, path in engine.calibrate(raw, outdir, _PLAIN).products.items():
            made[root, kind] = path
    return made


def _read_darks(visit: Visit) -> list[DarkImage]:
    """Return the component darks without and with the correction."""
    darks = []
    for path in sorted(visit.darks.glob("*_flt.fits")):
        corrected = path.with_name(path.name.replace("_flt", "_cte"))
        darks.append(read_dark(visit.truth / "dark_rate.fits", path, corrected))
    return darks


def _truth(visit: Visit, root: str) -> Path:
    return visit.truth / f"{root}_truth.fits"


def _product(visit: Visit, root: str, kind: str) -> Path:
    return visit.science / f"{root}_{kind}.fits"


def _table(pairs: tuple[Pair, ...]) -> str:
    title = f"In units of the truth, {FAR} rows and more from the amplifier"
    width = max(len(title), *(len(pair.what) for pair in pairs))
    lines = [f"{title:<{width}}  truth  {'not corrected':>15}  {'corrected':>15}"]
    lines += [f"{pair.what:<{width}}  {pair.truth:5.0f}  {pair.before!s:>15}  {pair.after!s:>15}" for pair in pairs]
    return "\n".join(lines) + "\n"


# ---- the folder -----------------------------------------------------------------------------------------


def _refuse(folder: Path, *, overwrite: bool) -> None:
    """Raise unless the folder is free, or holds a demonstration that may be replaced."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise OutputExistsError("is a file; expected a folder, or a name that is free", where=folder)
    ours = (LOCK_NAME, HOLDER_NAME)  # left by one that was stopped at once
    if all(entry.name in ours for entry in folder.iterdir()):
        return
    readme = folder / README
    known = readme.is_file() and readme.read_bytes().startswith(_TITLE.encode())
    if not known:
        raise OutputExistsError("is not empty; choose another folder", where=folder)
    if not overwrite:
        raise OutputExistsError(
            f"holds an earlier demonstration; {ALLOW}, or choose another",
            where=folder,
        )


def _clear(folder: Path) -> None:
    """Remove what an earlier demonstration left, and say what the folder is for; nothing else in it is touched."""
    for name in (VISIT, UNCORRECTED):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in (PICTURE, TABLE):
        (folder / name).unlink(missing_ok=True)
    _write(folder / README, f"""{_TITLE}, made by `gpucti demo`. No telescope took these data.

{VISIT}/              a simulated visit, see {VISIT}/README.txt; products with correction are in {VISIT}/science
{UNCORRECTED}/        the same raw exposures calibrated without correction
{PICTURE}    both beside the truth
{TABLE}           the same in numbers
""")  # fmt: skip


def _write(path: Path, text: str) -> None:
    with atomic_output(path, overwrite=True) as stream:
        stream.write(text.encode())


@dataclass
class _Parts:
    """Times the parts of a demonstration and tells of them."""

    progress: Progress | None
    seconds: dict[str, float] = field(default_factory=dict)

    def text(self, text: str) -> None:
        """Tell what goes on."""
        if self.progress is not None:
            self.progress(Event(_STAGE, len(self.seconds), _PARTS, text))

    def file(self, name: str) -> None:
        """Tell of a simulated file, but not of each reference file."""
        if not name.startswith("oref/"):
            self.text(f"simulate {name}")

    @contextmanager
    def part(self, name: str, text: str) -> Iterator[None]:
        """Time the block."""
        self.text(text)
        begin = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - begin
        self.text(f"done in {self.seconds[name]:.0f} s")
