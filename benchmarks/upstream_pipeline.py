"""Stages of stis_cti's pipeline, timed one by one; run by pipeline.py, in an environment with stis_cti and CalSTIS.

    python upstream_pipeline.py VISIT PCTETAB PROCESSES

Calls stis_cti's own functions in its own order. The archive query is left out: all darks of the folder are of one
anneal period, and all exposures take the same week. Prints one line of JSON, seconds by stage.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import refstis.basedark
import refstis.weekdark  # noqa: F401 -- stis_cti 1.6.2 relies on both having been imported
from astropy.io import fits

stis_cti = importlib.import_module("stis_cti.stis_cti")


def main(visit: Path, pctetab: Path, processes: int) -> dict[str, float]:
    """Run the stages on a copy of a visit and return the seconds of each."""
    seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def stage(name: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        seconds[name] = time.perf_counter() - begin

    ref = visit / "ref"
    ref.mkdir(exist_ok=True)
    os.environ |= {"oref": f"{visit / 'oref'}/", "ctirefs": f"{ref}/", "pctetab": f"{pctetab.parent}/"}
    table = f"pctetab${pctetab.name}"
    darks = sorted(str(path) for path in (visit / "darks").glob("*_flt.fits"))
    raws = sorted(str(path) for path in (visit / "science").glob("*_raw.fits"))
    week = [dark for dark in darks if fits.getval(dark, "DARKFILE") == fits.getval(darks[-1], "DARKFILE")]
    with stage("CTI of darks"):
        stis_cti.perform_cti_correction(darks, table, processes)
    with stage("super-darks"):
        stis_cti.generate_basedark(darks, "$ctirefs/basedark_d001_drk.fits", table, processes)
        stis_cti.generate_weekdark(
            week, "$ctirefs/d001_1_drk.fits", table, "$ctirefs/basedark_d001_drk.fits", processes
        )
    for raw in raws:
        fits.setval(raw, "DARKFILE", value="$ctirefs/d001_1_drk.fits")
    with stage("bias"):
        blts = stis_cti.bias_correct_science_files(raws, False)
    with stage("CTI of science"):
        ctes = stis_cti.perform_cti_correction(blts, table, processes)
    with stage("calibration"):
        stis_cti.run_calstis_on_science(ctes, False)
    return seconds


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        result = main(Path(sys.argv[1]).absolute(), Path(sys.argv[2]).absolute(), int(sys.argv[3]))
    print(json.dumps(result))
