"""Child processes to which the operating system refuses locks, or files: by a library that is preloaded."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.conditions import require

SOURCE = Path(__file__).with_suffix(".c")
ROOT = Path(__file__).parents[2]


def library(folder: Path) -> Path:
    """Compile the library; skip, or with GPUCTI_REQUIRE_CXX=1 fail, where that cannot be done."""
    if not sys.platform.startswith("linux"):
        pytest.skip("LD_PRELOAD is Linux's")
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        require("GPUCTI_REQUIRE_CXX", "no C compiler (cc, gcc, clang) on the PATH")
        raise AssertionError
    made = folder / "refusing.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-U_FORTIFY_SOURCE", "-o", made, SOURCE, "-ldl"], check=True)
    return made


def run(
    preloaded: Path, script: str, *arguments: object, flock: int = 0, opening: tuple[int, str] = (0, "")
) -> subprocess.CompletedProcess[str]:
    """Run a Python script that is refused locks with an errno, or the opening of files with a text in their path."""
    refusals = {"REFUSE_FLOCK": f"{flock}"} if flock else {}
    if opening[0]:
        refusals |= {"REFUSE_OPEN": f"{opening[0]}", "REFUSE_PATH": opening[1]}
    path = os.pathsep.join([os.fspath(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        env={**os.environ, "LD_PRELOAD": os.fspath(preloaded), "PYTHONPATH": path, **refusals},
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
