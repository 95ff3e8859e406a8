"""Disks that are full or read-only: one clear error, whole files or none, and the next run finishes.

Oracles as in test_faults.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.faults import all_whole, finishes
from support.visits import Case, Contents, cli, command, environment, leftovers, one_error, outputs, read_only, seen

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="limits and mounts of POSIX")

MEGABYTE = 2**20
#: Sets the largest size of a file, then runs the command: a write beyond it fails (EFBIG), as on a full disk (ENOSPC).
LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
from gpucti.cli import main
sys.exit(main(sys.argv[2:]))
"""
#: Runs the command on a small file system of its own; then makes room, runs it again, and takes the result away.
SMALL_DISK = """
mount -t tmpfs -o size="$SIZE" tmpfs "$VISIT" && cp -r "$FROM"/. "$VISIT" || exit 99
"$@"; echo "code $?"; find "$VISIT" -name '.*.tmp'
mount -o remount,size=400m "$VISIT" || exit 99
"$@" || exit 98
cp -r "$VISIT"/. "$FROM"
"""


@pytest.mark.slow
@pytest.mark.parametrize(("size", "name"), [(2, "_drk.fits"), (15, "ogv101010_")], ids=["darks", "products"])
def test_largest_size_of_a_file(case: Case, expected: Contents, size: int, name: str) -> None:
    """Corrected darks and super-darks have 10 MiB, the products of two image sets 20."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(size * MEGABYTE), *case.arguments],
        capture_output=True, text=True, check=False, env=environment(),
    )  # fmt: skip
    one_error(done.returncode, done.stderr, name, "File too large; make room and run again")
    assert leftovers(case) == []
    all_whole(case, expected)
    (log,) = case.science.glob("*.log")
    assert "stopped: " in log.read_text().splitlines()[-1]
    assert any(path.suffix == ".fits" for path in case.ref.iterdir()) == (size == 15)
    assert not list(case.science.glob("ogv101010_cte.fits"))
    if size == 15:
        finishes(case, expected)


@pytest.mark.slow
def test_full_disk(case: Case, expected: Contents, tmp_path: Path) -> None:
    """A real one (needs root and mounts): of the two corrected darks, 10 MiB each, one fits."""
    used = sum(path.stat().st_size for path in case.science.parent.rglob("*") if path.is_file())
    disk = tmp_path / "disk"
    disk.mkdir()
    there = Case(disk / "science", disk / "darks", disk / "ref", case.oref, disk / "anneals.json", case.pctetab)
    variables = {"SIZE": str(used + 15 * MEGABYTE), "VISIT": str(disk), "FROM": str(case.science.parent)}
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", SMALL_DISK, "sh", *command(*there.arguments)],
        capture_output=True, text=True, check=False, env=environment() | variables,
    ) if not os.geteuid() else None  # fmt: skip
    if done is None or done.returncode in (1, 99):
        pytest.skip("file systems cannot be mounted here")
    assert done.returncode == 0, done.stderr
    assert "code 1\n" in done.stdout
    assert ".tmp" not in done.stdout
    one_error(1, done.stderr, str(disk), "No space left on device; make room and run again")
    assert outputs(case) == expected


@pytest.mark.slow
def test_read_only_science_folder(case: Case) -> None:
    """Known before anything is read; the message says what to do."""
    before = seen(*case.folders, besides=())
    with read_only(case.science) as prefix:
        done = cli(*case.arguments, prefix=prefix)
    one_error(done.returncode, done.stderr, str(case.science), "cannot be written to", "copy those elsewhere")
    assert seen(*case.folders, besides=()) == before


@pytest.mark.slow
def test_read_only_folder_of_super_darks(case: Case) -> None:
    """Known before the darks are corrected."""
    before = seen(*case.folders)
    with read_only(case.ref) as prefix:
        done = cli(*case.arguments, prefix=prefix)
    one_error(done.returncode, done.stderr, str(case.ref), "cannot be written to", "ref_dir")
    assert seen(*case.folders) == before
