"""Run the real CalSTIS on every case and record what it made: ``python tests/calstis/record.py`` (see README.md)."""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from support.calstis_cases import CASES, Case, digest, summary  # noqa: E402

FLAGS = {"DQICORR": "-dqi", "ATODCORR": "-atod", "BLEVCORR": "-blev", "BIASCORR": "-bias", "DARKCORR": "-dark"}
FLAGS |= {"FLATCORR": "-flat", "SHADCORR": "-shad", "PHOTCORR": "-phot"}
log = logging.getLogger(__name__)
KINDS = ("crj", "flt", "sx2", "x2d")


def command(case: Case, inputs: list[Path]) -> tuple[list[str], dict[str, str]]:
    """Return the command line and the files to expect, by what they are."""
    names = ",".join(path.name for path in inputs)
    if case.program == "cs1":
        return ["cs1.e", names, "out.fits", *(FLAGS[step] for step in case.steps), "-stat"], {"out": "out.fits"}
    if case.program == "cs2":
        rewritten = {f"input{number}": path.name for number, path in enumerate(inputs, start=1)}
        return ["cs2.e", names, "out.fits"], {"out": "out.fits", **rewritten}
    if case.program == "cs7":
        return ["cs7.e", names, "out.fits", "-geo", "-stat"], {"out": "out.fits"}
    return ["cs0.e", names], {kind: f"{inputs[0].stem}_{kind}.fits" for kind in KINDS}


def arrays(hdus: fits.HDUList, number: int) -> list[np.ndarray]:
    """Return SCI, ERR and DQ, null arrays expanded."""
    found = []
    for name, dtype in (("SCI", np.float32), ("ERR", np.float32), ("DQ", np.int16)):
        hdu = hdus[name, number]
        size = () if hdu.data is not None else (hdu.header["NPIX2"], hdu.header["NPIX1"])
        found.append(np.full(size, hdu.header["PIXVALUE"], dtype) if size else hdu.data.astype(dtype))
    return found


def product(path: Path) -> dict[str, Any]:
    """Return the summary of one file."""
    with fits.open(path) as hdus:
        n = hdus[0].header["NEXTEND"] // 3
        imsets = [(arrays(hdus, k), [hdus[name, k].header for name in ("SCI", "ERR", "DQ")]) for k in range(1, n + 1)]
        return summary(hdus[0].header, imsets)


def input_digest(path: Path) -> list[str]:
    """Return digests of the pixels of an input, to tell an other input from another result."""
    with fits.open(path) as hdus:
        return [digest(hdu.data) for hdu in hdus if getattr(hdu, "data", None) is not None]


def run(case: Case, folder: Path) -> dict[str, Any]:
    """Run one case in an empty folder."""
    inputs = case.build(folder)
    pixels = [input_digest(path) for path in inputs]
    line, expected = command(case, inputs)
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    (folder / "trailer.txt").write_text(done.stdout + done.stderr)
    outputs = {key: product(folder / name) for key, name in expected.items() if (folder / name).is_file()}
    if done.returncode or not outputs:
        raise RuntimeError(f"{case.name}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return {"inputs": pixels, "outputs": outputs}


def main() -> None:
    """Record all cases, or those named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="cases (default: all)")
    parser.add_argument("--keep", type=Path, help="a folder for inputs, products and trailers")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for program in ("cs0.e", "cs1.e", "cs2.e", "cs7.e"):
        if shutil.which(program) is None:
            raise SystemExit(f"{program} is not on the PATH; build CalSTIS (README.md)")
    path = HERE / "expected.json"
    recorded = json.loads(path.read_text()) if path.is_file() and given.names else {}
    for name, case in CASES.items():
        if given.names and name not in given.names:
            continue
        with tempfile.TemporaryDirectory() as temporary:
            folder = given.keep / name if given.keep else Path(temporary)
            folder.mkdir(parents=True, exist_ok=not given.keep)
            recorded[name] = run(case, folder)
        log.info("%s: %s", name, ", ".join(recorded[name]["outputs"]))
    lines = [f"{json.dumps(name)}: {json.dumps(recorded[name])}" for name in CASES if name in recorded]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
