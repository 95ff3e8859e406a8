"""Record what shifts the real CalSTIS finds in the wavecals of ``shift_cases.py``, as README.md says of other cases.

    python tests/calstis/record_shifts.py

needs ``cs4.e`` on the PATH. A recording is never edited by hand, and never made from gpucti's own output.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from astropy.io import fits

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from support.shift_cases import CASES, Case, input_digest  # noqa: E402


def run(name: str, case: Case, folder: Path) -> dict[str, Any]:
    """Run one case in an empty folder."""
    given = case.build(folder)
    digest = input_digest(given)
    done = subprocess.run(
        ["cs4.e", given.name], cwd=folder, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode:
        raise RuntimeError(f"{name}: status {done.returncode}\n{done.stdout}{done.stderr}")
    header = fits.getheader(given, "SCI")
    return {"input": digest, "shifts": [header["SHIFTA1"], header["SHIFTA2"]]}


def main() -> None:
    """Record all cases."""
    if shutil.which("cs4.e") is None:
        raise SystemExit("cs4.e is not on the PATH; build CalSTIS (README.md)")
    lines = []
    for name, case in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            lines.append(f"{json.dumps(name)}: {json.dumps(run(name, case, Path(folder)))}")
    (HERE / "shifts.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
