"""What a type checker and an editor know of the public names."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from support.conditions import require

ROOT = Path(__file__).parent.parent
HEAD = """
import gpucti
from gpucti import CorrectionOptions, Pctetab, RunOptions, errors, simulate
from gpucti.synthetic.scenes import star_field
"""
#: Lines of a user's program that are right.
RIGHT = [
    'gpucti.correct("science", "darks", Path("ref"), pctetab="my_pcte.fits", device=0, clean=True, sim_nit=3)',
    'gpucti.correct("science", oref=None, read_noise=None).summary()',
    'gpucti.plan("science", anneals=Path("anneals.json"), single_dark_week="basedark").problems',
    'RunOptions(oref="oref", threads=2).oref',
    "Pctetab.default().options(sim_nit=3).n_passes",
    'gpucti.correct_files("x_flt.fits", sim_nit=3)[0].name',
    'gpucti.simulate_visit("folder", seed=2).science',
    'gpucti.stis_cti("science", "darks", "ref", 2, verbose=0).products',
    'gpucti.demo.run_demo("folder", device="numba").table',
    "gpucti.simulate.star_field, simulate.star_field, star_field",
    "gpucti.archive.anneal_periods, gpucti.archive.download.download_darks",
    "gpucti.errors.InputError, errors.InputError, gpucti.InputError",
    "gpucti.anneals.read_anneals, gpucti.weeks.find_darks, gpucti.crds.best_references, gpucti.traps.TrapTable",
    "gpucti.io.selection.refusal, gpucti.plan_table.plan_text, gpucti.archive_download.download_darks",
    'errors.InputError("reason", where="file").reason.upper()',
]
#: Lines that are wrong, and what of mypy's message says so.
WRONG = {
    'gpucti.correct("x", pctetabb=1)': 'keyword argument "pctetabb"',
    'gpucti.correct("x", pctetab=1)': '"pctetab"',
    'gpucti.correct("x", sim_nit="many")': '"sim_nit"',
    'gpucti.plan("x", devise="cpu")': 'keyword argument "devise"',
    'RunOptions(clean="no")': '"clean"',
    'gpucti.correct_arrays([[1.0]], sim_nit="x")': '"sim_nit"',
    'gpucti.correct_files("x_flt.fits", simnit=3)': 'keyword argument "simnit"',
    "Pctetab.default().defaults.override(n_iterations=3)": 'keyword argument "n_iterations"',
    'gpucti.stis_cti("science", "darks", "ref", 2, crds=True)': 'keyword argument "crds"',
    'gpucti.simulate_visit("folder", sead=2)': 'keyword argument "sead"',
    "gpucti.anything": 'no attribute "anything"',
    "gpucti.io.anything": 'no attribute "anything"',
    "gpucti.demo.run_demos": 'no attribute "run_demos"',
}


def test_a_users_program_is_checked(tmp_path: Path) -> None:
    """Oracle: the lists above, and `mypy --strict`."""
    if find_spec("mypy") is None:
        require("GPUCTI_REQUIRE_MYPY", "mypy is not installed")
    program = tmp_path / "program.py"
    lines = ["from pathlib import Path", *HEAD.split("\n"), *RIGHT, *WRONG, ""]
    program.write_text("\n".join(lines), encoding="utf-8")
    options = ["--strict", "--follow-imports=silent", "--hide-error-context", "--cache-dir", str(tmp_path / "cache")]
    (tmp_path / "mypy.ini").write_text(f"[mypy]\nmypy_path = {ROOT}\n", encoding="utf-8")
    command = [sys.executable, "-m", "mypy", *options, "--config-file", "mypy.ini", program.name]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stderr == ""
    found = {
        lines[int(line) - 1]: text for line, text in re.findall(r"^program\.py:(\d+): error: (.*)$", done.stdout, re.M)
    }
    assert {line: text for line, text in found.items() if line not in WRONG} == {}
    assert set(found) == set(WRONG)
    for line, words in WRONG.items():
        assert words in found[line]
