"""The whole job in Python: a visit from raw exposures to corrected products.

    python examples/whole_visit.py                 # in a temporary folder, which is removed
    python examples/whole_visit.py my_visit        # in my_visit, which is kept

The visit is simulated: an image and a spectrum, two darks, all reference files. With data of your own leave
`simulate_visit` out, and give your folders.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import gpucti
from gpucti.pipeline.planning.text import plan_text
from gpucti.synthetic import Observation


def main() -> None:
    parser = argparse.ArgumentParser(description="Simulate a visit and correct it.")
    parser.add_argument("folder", nargs="?", type=Path, help="new folder for the visit [a temporary one]")
    parser.add_argument("--device", default="auto", help="auto, cpu, numpy, numba, cuda, cuda:N or N [auto]")
    arguments = parser.parse_args()
    if arguments.folder is not None:
        work(arguments.folder, arguments.device)
        return
    with tempfile.TemporaryDirectory() as folder:
        work(Path(folder), arguments.device)


def work(folder: Path, device: str) -> None:
    """Simulate, plan, run, and look at the products."""
    exposures = [Observation(exptime=200.0), Observation("G430L", n_imsets=1, exptime=200.0)]
    visit = gpucti.simulate_visit(folder, exposures=exposures, weeks=1, darks_per_week=2, device=device)

    # What will be done, and why: nothing is touched yet.
    plan = gpucti.plan(visit.science, visit.darks, visit.ref, oref=visit.oref, anneals=visit.anneals, device=device)
    print(plan_text(plan))

    # `progress` hears of every step; what went wrong would be raised.
    report = gpucti.run(plan, progress=lambda event: print(f"{event.stage} {event.done}/{event.total}: {event.text}"))
    print()
    print(report.summary())
    for path in report.products:
        print(f"{path.name:22s} {path.stat().st_size / 1e6:6.1f} MB")


if __name__ == "__main__":
    main()
