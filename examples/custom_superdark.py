"""A super-dark of chosen darks, and an exposure that is calibrated with it.

    python examples/custom_superdark.py            # in a temporary folder, which is removed
    python examples/custom_superdark.py my_visit   # in my_visit, which is kept

Four darks are simulated, two in each of two weeks. Say the first is spoilt: the basedark is made of the other three,
the weekdark of the two in the week of the exposure. `gpucti info` and docs/superdarks.md tell when one wants this.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from astropy.io import fits

import gpucti
from gpucti.synthetic import Observation


def main() -> None:
    parser = argparse.ArgumentParser(description="Make a super-dark of chosen darks and use it.")
    parser.add_argument("folder", nargs="?", type=Path, help="new folder for the visit [a temporary one]")
    parser.add_argument("--device", default="auto", help="auto, cpu, numpy, numba, cuda, cuda:N or N [auto]")
    arguments = parser.parse_args()
    if arguments.folder is not None:
        work(arguments.folder, arguments.device)
        return
    with tempfile.TemporaryDirectory() as folder:
        work(Path(folder), arguments.device)


def work(folder: Path, device: str) -> None:
    """Simulate, choose, correct, combine, name, run."""
    visit = gpucti.simulate_visit(folder, exposures=[Observation(exptime=200.0)], device=device)

    # Choose: darks in order of time, all but the first; the last two are those of the week.
    chosen = sorted(visit.darks.glob("*_flt.fits"), key=lambda path: fits.getval(path, "TEXPSTRT"))[1:]
    corrected = gpucti.correct_files(chosen, folder / "corrected", device=device)

    # Combine. `environment` says what oref$ stands for; without it the environment variable oref does.
    options = {"device": device, "environment": visit.environment}
    basedark = gpucti.make_basedark(corrected, folder / "my_basedark_drk.fits", **options)
    weekdark = gpucti.make_weekdark(corrected[-2:], folder / "my_weekdark_drk.fits", basedark, **options)
    for superdark in (basedark, weekdark):
        with fits.open(superdark) as hdus:
            hot = int(((hdus["DQ"].data & 16) != 0).sum())
            print(f"{superdark.name}: {hot} hot pixels, PCTECORR {hdus[0].header['PCTECORR']}")

    # Name it: a super-dark made of corrected darks and lying outside the folder of super-darks is kept.
    for raw in visit.science.glob("*_raw.fits"):
        fits.setval(raw, "DARKFILE", value=str(weekdark))

    report = gpucti.correct(visit.science, visit.darks, visit.ref, oref=visit.oref, device=device)
    print(report.summary())
    for path in report.products:
        print(f"{path.name}: DARKFILE {fits.getval(path, 'DARKFILE')}")


if __name__ == "__main__":
    main()
