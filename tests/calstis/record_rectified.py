"""Record what the real CalSTIS makes of the spectra of ``rectify_cases.py``, as README.md says of the other cases.

    python tests/calstis/record_rectified.py [--keep FOLDER]

needs ``cs7.e`` on the PATH. A recording is never edited by hand, and never made from gpucti's own output.
"""

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

from astropy.io import fits

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from record import arrays  # noqa: E402

from support.rectify_cases import CASES, Case, input_digest, summary  # noqa: E402

log = logging.getLogger(__name__)


def run(case: Case, folder: Path) -> dict[str, Any]:
    """Run one case in an empty folder."""
    given = case.build(folder)
    pixels = input_digest(given)
    line = ["cs7.e", given.name, "out.fits", "-x2d", "-stat", *(f"-{switch}" for switch in case.switches)]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    (folder / "trailer.txt").write_text(done.stdout + done.stderr)
    if done.returncode or not (folder / "out.fits").is_file():
        raise RuntimeError(f"{case.name}: status {done.returncode}\n{done.stdout}{done.stderr}")
    with fits.open(folder / "out.fits") as hdus:
        count = hdus[0].header["NEXTEND"] // 3
        headers = [[hdus[name, k].header for name in ("SCI", "ERR", "DQ")] for k in range(1, count + 1)]
        imsets = [(arrays(hdus, k), each) for k, each in enumerate(headers, start=1)]
        return {"inputs": pixels, "output": summary(hdus[0].header, imsets)}


def main() -> None:
    """Record all cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, help="a folder for inputs, products and trailers")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if shutil.which("cs7.e") is None:
        raise SystemExit("cs7.e is not on the PATH; build CalSTIS (README.md)")
    recorded = {}
    for name, case in CASES.items():
        with tempfile.TemporaryDirectory() as temporary:
            folder = given.keep / name if given.keep else Path(temporary)
            folder.mkdir(parents=True, exist_ok=not given.keep)
            recorded[name] = run(case, folder)
        log.info("%s", name)
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in recorded.items()]
    (HERE / "rectified.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
