"""Correct a file, as `gpucti cte` does; without an argument, a file made here.

    python examples/one_file.py                    # makes o0simul10_flt.fits in a temporary folder and corrects it
    python examples/one_file.py my_flt.fits        # corrects my_flt.fits; the result lies beside it

The input is never changed. The corrected file is called <ROOTNAME>_cte.fits.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from astropy.io import fits

import gpucti
from gpucti.synthetic.scenes import read_out, star_field


def main() -> None:
    parser = argparse.ArgumentParser(description="Correct one STIS CCD file.")
    parser.add_argument("file", nargs="?", type=Path, help="bias-subtracted image (flt, blt)")
    parser.add_argument("--device", default="auto", help="auto, cpu, numpy, numba, cuda, cuda:N or N [auto]")
    arguments = parser.parse_args()
    if arguments.file is not None:
        correct(arguments.file, arguments.device)
        return
    with tempfile.TemporaryDirectory() as folder:
        correct(make_file(Path(folder) / "o0simul10_flt.fits", arguments.device), arguments.device)


def correct(path: Path, device: str) -> None:
    """Correct `path` and say what changed."""
    (output,) = gpucti.correct_files(path, device=device)
    with fits.open(path) as before, fits.open(output) as after:
        header = after[0].header
        print(f"{path.name} -> {output.name}, table {header['PCTETAB']}, trap density {header['PCTEFRAC']:.3f}")
        for number in range(1, header["NEXTEND"] // 3 + 1):
            change = after["SCI", number].data - before["SCI", number].data
            largest = np.unravel_index(np.abs(change).argmax(), change.shape)
            print(
                f"imset {number}: {after['SCI', number].header['PCTENREP']} columns repaired; largest change "
                f"{change[largest]:+.1f} counts at row {largest[0]}, column {largest[1]} (0-based)"
            )


def make_file(path: Path, device: str) -> Path:
    """Write a file with the headers that a correction needs, and a star field trailed as in July 2018."""
    rng = np.random.default_rng(1)
    counts = read_out(star_field((1024, 1024), rng), rng, mjd=58300.0, amp="D", device=device).astype(np.float32)
    primary = fits.Header()
    primary["TELESCOP"], primary["INSTRUME"], primary["DETECTOR"] = "HST", "STIS", "CCD"
    primary["ROOTNAME"] = "o0simul10"
    primary["NEXTEND"] = 3
    primary["CCDAMP"], primary["ATODGAIN"] = "D", 1.0
    primary["TEXPSTRT"] = 58300.0
    primary["BLEVCORR"] = "COMPLETE"
    arrays = {"SCI": counts, "ERR": np.sqrt(np.maximum(counts, 0) + 5.6**2), "DQ": np.zeros(counts.shape, np.int16)}
    extensions = [fits.ImageHDU(array, name=name, ver=1) for name, array in arrays.items()]
    fits.HDUList([fits.PrimaryHDU(header=primary), *extensions]).writeto(path)
    return path


if __name__ == "__main__":
    main()
