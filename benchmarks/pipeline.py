"""The whole job against stis_cti, stage by stage, on the same synthetic visit in one run; see README.md.

    python benchmarks/pipeline.py [--weeks 3] [--darks-per-week 4] [--processes 2] [--repeats 2]
                                  [--peer PYTHON] [--output FILE]

PYTHON is an interpreter with stis_cti and refstis; cs0.e and cs1.e must be on the PATH, or upstream is left out. Both
run in processes of their own, in turn, on fresh copies of the visit; the time of ours includes starting Python.
The floor is reading every input and writing every output once with astropy, doing nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from astropy.io import fits
from common import clock, machine, parser, publish, ratios, summary, table

import gpucti
from gpucti.synthetic import simulate_visit

STAGES = ("CTI of darks", "super-darks", "bias", "CTI of science", "calibration")


def ours(visit: Path, processes: int) -> dict[str, float]:
    """Run ``gpucti correct`` and return seconds by stage, and MiB at its peak."""
    result = visit / "result.json"
    command = [
        sys.executable, "-m", "gpucti.cli", "correct", str(visit / "science"), "--oref", str(visit / "oref"),
        "--anneals", str(visit / "anneals.json"), "--engine", "native", "--device", "cpu", "-n", str(processes),
        "-v", "0", "--json", str(result),
    ]  # fmt: skip
    environment = os.environ | {"NUMBA_NUM_THREADS": str(processes)}
    whole = clock(lambda: subprocess.run(command, check=True, env=environment))
    report = json.loads(result.read_text())
    return report["seconds"] | {"whole": whole}


def upstream(visit: Path, processes: int, python: str) -> dict[str, float]:
    """Run stis_cti's stages and return seconds by stage."""
    pctetab = visit / "a02_stis_pcte.fits"
    gpucti.Pctetab.default().write(pctetab)
    script = Path(__file__).with_name("upstream_pipeline.py")
    done = subprocess.run(
        [python, str(script), str(visit), str(pctetab), str(processes)], check=True, stdout=subprocess.PIPE, text=True
    )
    seconds: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return seconds | {"whole": sum(seconds.values())}


def floor(visit: Path, products: list[Path]) -> float:
    """Return the seconds that reading all inputs and writing all outputs takes."""
    inputs = [*(visit / "science").glob("*_raw.fits"), *(visit / "darks").glob("*_flt.fits")]
    contents = []
    for path in products:
        with fits.open(path, memmap=False) as hdus:
            contents.append(fits.HDUList([hdu.copy() for hdu in hdus]))
    begin = time.perf_counter()
    for path in inputs:
        with fits.open(path, memmap=False) as hdus:
            for hdu in hdus:
                _ = hdu.data
    with tempfile.TemporaryDirectory(dir=visit) as folder:
        for number, hdus in enumerate(contents):
            hdus.writeto(Path(folder) / f"{number}.fits")
        return time.perf_counter() - begin


def measure(args: argparse.Namespace, folder: Path) -> list[str]:
    """Run everything and return the report."""
    visit = simulate_visit(
        folder / "visit",
        exposures=("image", "spectrum", gpucti.synthetic.Observation(opt_elem="G750M", n_imsets=1)),
        weeks=args.weeks,
        darks_per_week=args.darks_per_week,
    )
    with_peer = args.peer is not None and shutil.which("cs0.e") is not None
    mine: list[dict[str, float]] = []
    theirs: list[dict[str, float]] = []
    floors = []
    for number in range(args.repeats):
        copy = folder / f"ours{number}"
        shutil.copytree(visit.folder, copy)
        mine.append(ours(copy, args.processes))
        made = [path for path in copy.glob("*/*_*.fits") if not (visit.folder / path.relative_to(copy)).exists()]
        floors.append(floor(copy, made))
        shutil.rmtree(copy)
        if with_peer:
            copy = folder / f"theirs{number}"
            shutil.copytree(visit.folder, copy)
            theirs.append(upstream(copy, args.processes, args.peer))
            shutil.rmtree(copy)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    return report(args, mine, theirs, floors, peak)


def report(
    args: argparse.Namespace,
    mine: list[dict[str, float]],
    theirs: list[dict[str, float]],
    floors: list[float],
    peak: float,
) -> list[str]:
    """Return the result as lines of Markdown."""
    rows = []
    for stage in (*STAGES, "reading", "writing", "whole"):
        own = [run.get(stage, 0.0) for run in mine]
        other = [run[stage] for run in theirs if stage in run]
        rows.append([stage, summary(other), summary(own), summary(ratios(other, own)) if other else "-"])
    rows.append(["bare reading and writing", "-", summary(floors), "-"])
    return [
        f"{machine('numba')}, {args.processes} threads or processes.",
        "",
        f"Synthetic visit: {args.weeks * args.darks_per_week} darks in {args.weeks} weeks, 3 exposures with 5 imsets. "
        f"Seconds, median (range) of {args.repeats} runs in turn; stages of gpucti that overlap count the time they "
        "were waited for.",
        "",
        *table(["stage", "stis_cti", "gpucti", "ratio"], rows),
        "",
        f"Largest memory of any process: {peak:.2f} GiB.",
    ]


def main() -> None:
    """Measure and print a markdown table."""
    options = parser(__doc__)
    options.add_argument("--weeks", type=int, default=3)
    options.add_argument("--darks-per-week", type=int, default=4)
    options.add_argument("--processes", type=int, default=2)
    options.add_argument("--repeats", type=int, default=2)
    options.add_argument("--peer", help="interpreter with stis_cti and refstis")
    args = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lines = measure(args, Path(folder))
    publish("The pipeline, stage by stage", lines, args.output)


if __name__ == "__main__":
    main()
