"""The embedded engine against STScI's cs0.e: seconds to calibrate one exposure, on the same files in one run.

    python benchmarks/engines.py [--repeats 7] [--visit FOLDER] [--output FILE]

Exposures of a synthetic visit, or all of FOLDER (with ``science`` and ``oref`` in it), are calibrated from raw files to
products, in turn with both. cs0.e is timed as a process; the embedded engine with reading the raw file and writing the
products, but without starting Python: once with a new engine, which reads all reference files, and once with one that
has calibrated before, as every exposure of a run but the first. The products are compared. Without cs0.e on the PATH
only the embedded engine is timed, and the table says so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from astropy.io import fits
from common import PRODUCTS, clock, machine, parser, publish, ratios, summary, table

from gpucti.backends import get_backend
from gpucti.backends.base import Backend
from gpucti.calibration.native import NativeEngine
from gpucti.calibration.reffiles import References
from gpucti.errors import GpuctiError
from gpucti.io.exposure import Exposure
from gpucti.synthetic import Observation, simulate_visit

PROGRAM = "cs0.e"
EXPOSURES = (
    Observation(),
    Observation("G430L", exptime=700.0, electrons=1000.0),
    Observation("G750M", n_imsets=1, exptime=700.0, electrons=1000.0),
)


def prepare(science: Path, folder: Path) -> list[Path]:
    """Copy raw files and what belongs to them, without CTECORR; return the raw files."""
    folder.mkdir()
    for path in science.iterdir():
        if path.name.partition(".")[0].endswith(("_raw", "_wav", "_epc")):
            with fits.open(path, memmap=False) as hdus:
                if "CTECORR" in hdus[0].header:
                    hdus[0].header["CTECORR"] = "OMIT"
                hdus.writeto(folder / path.name.removesuffix(".gz"))
    return sorted(folder.glob("*_raw.fits"))


def time_native(raw: Path, out: Path, engine: NativeEngine) -> float:
    """Return the seconds that the embedded engine takes from a raw file to products in a new folder."""
    out.mkdir()
    return clock(lambda: engine.calibrate(Exposure.read(raw), out, PRODUCTS))


def time_hstcal(raw: Path, out: Path, oref: Path) -> float:
    """Return the seconds that cs0.e takes, in a new folder that holds its input."""
    out.mkdir()
    for path in raw.parent.glob(f"{raw.name[:6]}*"):
        shutil.copy(path, out)
    environment = os.environ | {"oref": f"{oref}/"}
    run = partial(subprocess.run, cwd=out, env=environment, stdout=subprocess.DEVNULL, check=True)
    return clock(lambda: run([PROGRAM, raw.name]))


def differences(ours: Path, theirs: Path) -> int:
    """Return how many pixels and table cells of the products differ."""
    count = 0
    for path in sorted(ours.glob("*.fits")):
        with fits.open(path) as mine, fits.open(theirs / path.name) as its:
            for one, other in zip(mine[1:], its[1:], strict=True):
                if isinstance(one, fits.ImageHDU):
                    count += 0 if one.data is other.data is None else int((one.data != other.data).sum())
                else:
                    count += sum(int(np.sum(one.data[name] != other.data[name])) for name in one.columns.names)
    return count


def measure(raw: Path, oref: Path, folder: Path, repeats: int, backend: Backend, hstcal: bool) -> list[str]:
    """Return the cells of one exposure's line."""
    environment = {"oref": f"{oref}/"}
    used = NativeEngine(backend, References(environment))
    first = folder / f"first {raw.name}"
    time_native(raw, first, used)
    seconds: dict[str, list[float]] = {"cs0": [], "new": [], "used": []}
    different = 0
    for number in range(repeats):
        ours, theirs = folder / f"ours{number}", folder / f"theirs{number}"
        seconds["new"].append(time_native(raw, ours, NativeEngine(backend, References(environment))))
        if hstcal:
            seconds["cs0"].append(time_hstcal(raw, theirs, oref))
            different += differences(ours, theirs)
            shutil.rmtree(theirs)
        seconds["used"].append(time_native(raw, folder / f"used{number}", used))
        shutil.rmtree(ours)
        shutil.rmtree(folder / f"used{number}")
    with fits.open(raw) as hdus:
        header = hdus[0].header
        sets = header["NEXTEND"] // 3
        what = header["OPT_ELEM"] if header["OBSTYPE"] == "IMAGING" else f"{header['OPT_ELEM']} {header['CENWAVE']}"
    compared = [summary(ratios(seconds[name], seconds["cs0"])) if hstcal else "-" for name in ("new", "used")]
    shutil.rmtree(first)
    return [
        f"{what}, {sets} image set{'s' * (sets > 1)}",
        *(summary(seconds[name]) for name in ("cs0", "new", "used")), *compared,
        str(different) if hstcal else "-",
    ]  # fmt: skip


def main() -> None:
    """Measure and print a markdown table."""
    options = parser(__doc__)
    options.add_argument("--repeats", type=int, default=7)
    options.add_argument("--visit", type=Path, help="folder with science and oref; simulated by default")
    args = options.parse_args()
    hstcal = shutil.which(PROGRAM) is not None
    backend = get_backend("cpu")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        science, oref = (args.visit / part for part in ("science", "oref")) if args.visit else (None, None)
        if science is None or oref is None:
            visit = simulate_visit(folder / "visit", exposures=EXPOSURES, weeks=1, darks_per_week=2, device=backend)
            science, oref = visit.science, visit.oref
        before = os.getloadavg()
        raws = prepare(science, folder / "raw")
        rows = []
        for raw in raws:
            try:
                rows.append(measure(raw, oref.resolve(), folder, args.repeats, backend, hstcal))
            except GpuctiError as error:
                print(f"{raw.name} is left out: {error}\n")
        after = os.getloadavg()
    version = "not installed: nothing to compare with"
    if hstcal:
        said = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=False).stdout.split()
        version = said[0] if said else "of unknown version"
    head = [
        "exposure", PROGRAM, "gpucti, new engine", "used engine", "ratio, new", "ratio, used", "differences"
    ]  # fmt: skip
    publish(
        "Calibration of single exposures",
        [
            f"{machine()}, {backend.describe()}; {PROGRAM} {version}; "
            f"load {before[0]:.1f} before, {after[0]:.1f} after.",
            "",
            f"Seconds from the raw file to all products, median (range) of {args.repeats} runs in turn; {PROGRAM} as a "
            "process, gpucti without starting Python, with an engine that has read no reference file yet, and with one "
            f"that has. Ratios: gpucti to {PROGRAM}, pair by pair. Differences: pixels and table cells.",
            "",
            *table(head, rows),
        ],
        args.output,
    )


if __name__ == "__main__":
    main()
