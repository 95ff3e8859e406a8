"""The whole job against stis_cti, stage by stage, on the same synthetic visit in one run; see README.md.

    python benchmarks/pipeline.py [--weeks 3] [--darks-per-week 4] [--processes 2] [--repeats 2]
                                  [--peer PYTHON] [--output FILE]

PYTHON is an interpreter with stis_cti and refstis; cs0.e and cs1.e must be on the PATH, or upstream is left out. Both
run in processes of their own, in turn, on fresh copies of the visit; the time of ours includes starting Python.
The floor is reading every input and writing every output once with astropy, doing nothing.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from astropy.io import fits

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
    begin = time.perf_counter()
    subprocess.run(command, check=True, env=os.environ | {"NUMBA_NUM_THREADS": str(processes)})
    whole = time.perf_counter() - begin
    report = json.loads(result.read_text())
    return report["seconds"] | {"whole": whole}


def upstream(visit: Path, processes: int, python: str) -> dict[str, float]:
    """Run stis_cti's stages and return seconds by stage."""
    table = visit / "a02_stis_pcte.fits"
    gpucti.Pctetab.default().write(table)
    script = Path(__file__).with_name("upstream_pipeline.py")
    done = subprocess.run(
        [python, str(script), str(visit), str(table), str(processes)], check=True, stdout=subprocess.PIPE, text=True
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


def shown(values: list[float]) -> str:
    """Return the median, with the range in brackets."""
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weeks", type=int, default=3)
    parser.add_argument("--darks-per-week", type=int, default=4)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--peer", help="interpreter with stis_cti and refstis")
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text = measure(args, Path(folder))
    print(text)
    if args.output:
        args.output.write_text(text)


def measure(args: argparse.Namespace, folder: Path) -> str:
    """Run everything and return the table."""
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
    return table(args, mine, theirs, floors, peak)


def table(
    args: argparse.Namespace,
    mine: list[dict[str, float]],
    theirs: list[dict[str, float]],
    floors: list[float],
    peak: float,
) -> str:
    """Return the result as Markdown."""
    darks, imsets = args.weeks * args.darks_per_week, 5
    head = [
        "# The pipeline, stage by stage",
        "",
        f"{datetime.date.today()}; {platform.processor() or platform.machine()}, {args.processes} threads or "
        f"processes, {platform.system()}; Python {platform.python_version()}, gpucti {gpucti.__version__}, "
        f"numba {version('numba')}",
        "",
        f"Synthetic visit: {darks} darks in {args.weeks} weeks, 3 exposures with {imsets} imsets. Seconds, median "
        f"(range) of {args.repeats} runs in turn; stages of gpucti that overlap count the time they were waited for.",
        "",
        "| stage | stis_cti | gpucti | ratio |",
        "|---|---|---|---|",
    ]
    rows = []
    for stage in (*STAGES, "reading", "writing", "whole"):
        own = [run.get(stage, 0.0) for run in mine]
        other = [run[stage] for run in theirs if stage in run]
        ratio = shown([a / b for a, b in zip(other, own, strict=True)]) if other else "-"
        rows.append(f"| {stage} | {shown(other) if other else '-'} | {shown(own)} | {ratio} |")
    tail = [
        f"| bare reading and writing | - | {shown(floors)} | - |",
        "",
        f"Largest memory of any process: {peak:.2f} GiB.",
    ]
    return "\n".join([*head, *rows, *tail]) + "\n"


if __name__ == "__main__":
    main()
