"""Run the real cs6 on every case and record its tables: ``python tests/calstis/record_extraction.py``."""

from __future__ import annotations

import argparse
import hashlib
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

from support.extraction_cases import CASES, Case, input_digest  # noqa: E402

log = logging.getLogger(__name__)


def run(case: Case, folder: Path) -> dict[str, Any]:
    """Run one case in an empty folder; return its columns and keywords under ``case/imset/name``."""
    path = case.build(folder)
    line = ["cs6.e", path.name, "out_x1d.fits", *case.arguments()]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    (folder / "trailer.txt").write_text(done.stdout + done.stderr)
    if done.returncode:
        raise RuntimeError(f"{case.name}: status {done.returncode}\n{done.stdout}{done.stderr}")
    found: dict[str, Any] = {f"{case.name}/input": np.frombuffer(input_digest(path), dtype=np.uint8)}
    output = folder / "out_x1d.fits"
    if not output.is_file():
        return found
    with fits.open(output) as hdus:
        for hdu in hdus[1:]:
            place = f"{case.name}/{hdu.ver}"
            for name in hdu.columns.names:
                found[f"{place}/{name}"] = np.asarray(hdu.data[0][name])
            for name in ("CRSCROFF", "V_HELIO"):
                if name in hdu.header:
                    found[f"{place}/{name}"] = np.float64(hdu.header[name])
            found[f"{place}/unit"] = np.array(hdu.columns["ERROR"].unit)
        done_steps = [key for key in hdus[0].header if str(hdus[0].header[key]).strip() == "COMPLETE"]
        found[f"{case.name}/complete"] = np.array(sorted(done_steps))
    return found


def main() -> None:
    """Record all cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, help="a folder for inputs, products and trailers")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if shutil.which("cs6.e") is None:
        raise SystemExit("cs6.e is not on the PATH; build CalSTIS (README.md)")
    recorded: dict[str, Any] = {}
    for name, case in CASES.items():
        with tempfile.TemporaryDirectory() as temporary:
            folder = given.keep / name if given.keep else Path(temporary)
            folder.mkdir(parents=True, exist_ok=not given.keep)
            found = run(case, folder)
        recorded |= found
        log.info("%s: %d arrays", name, len(found))
    arrays = {hashlib.sha256(bits(value)).hexdigest()[:16]: value for value in recorded.values()}
    index = {name: hashlib.sha256(bits(value)).hexdigest()[:16] for name, value in recorded.items()}
    np.savez_compressed(HERE / "extraction.npz", index=np.array(json.dumps(index)), **arrays)


def bits(value: Any) -> bytes:
    """Return what tells one array from another."""
    return f"{value.dtype} {value.shape} ".encode() + value.tobytes()


if __name__ == "__main__":
    main()
