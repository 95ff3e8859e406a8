"""Runs of the pipeline that fail on the way: one clear error, whole files or none, and the next run finishes.

Oracles: the folders, what a user needs to read, and for what the next run makes an undisturbed run on the same visit
(`finished`): the same pixels and the same cards but for DATE, file by file.
"""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucti import cli as in_process
from gpucti.errors import FolderInUseError
from gpucti.io.atomic import clear_leftovers, temporary_name
from gpucti.io.lock import HOLDER_NAME, folder_lock
from gpucti.pipeline.running.run import correct
from support import refusing
from support.faults import all_whole, finishes
from support.visits import (
    Case,
    Contents,
    case_of,
    cli,
    command,
    contents,
    digests,
    edit,
    environment,
    finished_copy,
    leftovers,
    one_error,
    outputs,
    put,
    seen,
    truncated,
)

DARK = "ogd10100q"
WEEKDARK, BASEDARK = "d_2018-05-02_1_drk.fits", "basedark_d_2018-05-02_drk.fits"
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and limits of POSIX")


def fails(case: Case, capsys: pytest.CaptureFixture[str], *words: str) -> None:
    """Run the command; check that it fails with these words, and that raw files and darks stay.

    What headers tell is an error before anything is begun; what pixels tell ends the items that need them, and stands
    at the end of the log.
    """
    before = digests(case.science, "*_raw.fits") | digests(case.darks, "*_flt.fits")
    capsys.readouterr()
    code = in_process.main(case.arguments)
    err = capsys.readouterr().err
    logs = list(case.science.glob("*.log"))
    if logs:
        assert (code, "Traceback" in err, "gpucti: error: " in err) == (1, False, False), err
        failed = [line for line in err.splitlines() if line.startswith("gpucti: FAILED ")]
        assert all(word in failed[0] for word in words), err
        assert failed[0].removeprefix("gpucti: ") in logs[0].read_text()
        logs[0].unlink()
    else:
        one_error(code, err, *words)
    assert leftovers(case) == []
    assert digests(case.science, "*_raw.fits") | digests(case.darks, "*_flt.fits") == before


# ---- killed ----------------------------------------------------------------------------------------------


def killed_after(case: Case, line: str, wait: float = 0.0, with_signal: int = signal.SIGTERM) -> tuple[int, str]:
    """Start a run, end it when a line of its progress appears; return its exit code and what it said."""
    with subprocess.Popen(
        command(*case.arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # which background jobs are started without
    ) as process:
        assert process.stdout is not None
        said = ""
        for said_now in process.stdout:
            said += said_now
            if line in said_now:
                time.sleep(wait)
                process.send_signal(with_signal)
                break
        said += process.stdout.read()
    return process.returncode, said


@posix
@pytest.mark.slow
@pytest.mark.parametrize("line", ["darks 1/2", "super-darks 1/2: basedark", "science 1/2"])
def test_killed_at_a_stage(case: Case, expected: Contents, line: str) -> None:
    """Killed without warning (SIGKILL) when the stage is reached, then run again."""
    code, said = killed_after(case, line, with_signal=signal.SIGKILL)
    assert code == -signal.SIGKILL, said
    all_whole(case, expected)
    finishes(case, expected)


@posix
@pytest.mark.slow
def test_killed_again_and_again(case: Case, expected: Contents) -> None:
    """Killed at times of no meaning, each run going on from where the last one was."""
    seconds = random.Random(20121122)
    for _ in range(2):
        with subprocess.Popen(
            command(*case.arguments), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()
        ) as process:
            time.sleep(seconds.uniform(1.0, 3.0))
            process.kill()
        all_whole(case, expected)
    finishes(case, expected)


@posix
@pytest.mark.slow
def test_interrupted_by_the_user(case: Case, expected: Contents) -> None:
    """Ctrl-C: exit code 130, one line, nothing half-written even before the next run."""
    code, said = killed_after(case, "darks 1/2", with_signal=signal.SIGINT)
    assert (code, "interrupted" in said, "Traceback" in said) == (130, True, False), said
    assert leftovers(case) == []
    all_whole(case, expected)
    finishes(case, expected)


@pytest.mark.slow
def test_leftovers_of_killed_runs_are_cleared(case: Case, expected: Contents) -> None:
    """What a dead process left is removed and told of; what a living one writes, and files of others, stay."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    ours = temporary_name("x.fits").split("-")
    gone = f"{ours[0]}-{dead.pid}-{ours[2]}"
    for folder in case.folders:
        put(folder / gone, b"half a file")
    work = case.science / gone.replace("x.fits", "calibration")
    work.mkdir()
    put(work / "ogv101010_flc.fits", b"half a file")
    put(case.science / ".mine.tmp", b"of the user")
    living = put(case.darks / temporary_name("y.fits"), b"being written")
    correct(*case.folders, **case.options)
    assert leftovers(case) == sorted([".mine.tmp", living.name])
    (log,) = case.science.glob("*.log")
    assert log.read_text().count("left half-written by a stopped run, removed") == 4
    living.unlink()
    (case.science / ".mine.tmp").unlink()
    all_whole(case, expected)


def test_leftover_with_our_own_process_number(tmp_path: Path) -> None:
    """In containers every run may have the same number; a file from before this process is not ours."""
    old = put(tmp_path / temporary_name("x.fits"), b"half a file")
    new = put(tmp_path / temporary_name("x.fits"), b"being written")
    os.utime(old, (1.6e9, 1.6e9))
    assert clear_leftovers(tmp_path) == [old]
    assert new.exists()
    mine = new.name.partition("x.fits.")[2].partition("-")[0]
    nobody = put(tmp_path / f".x.fits.{mine}-{10**30}-0123abcd.tmp", b"half a file")
    assert clear_leftovers(tmp_path) == [nobody]  # no process has such a number


# ---- two at once -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_runs_at_once(case: Case, expected: Contents) -> None:
    """The second one says whose the folder is and touches nothing; the first one finishes."""
    with subprocess.Popen(command(*case.arguments), stdout=subprocess.PIPE, text=True, env=environment()) as first:
        assert first.stdout is not None
        line = first.stdout.readline()
        second = cli(*case.arguments)
        assert first.poll() is None, "the first run was over before the second began; nothing was tested"
        said = line + first.stdout.read()
    one_error(second.returncode, second.stderr, str(case.science), "another gpucti run", f"process {first.pid}")
    assert second.stdout == ""
    assert first.returncode == 0, said
    assert len(list(case.science.glob("*.log"))) == 1
    assert outputs(case) == expected


def test_lock_of_a_dead_run_does_not_hold(tmp_path: Path) -> None:
    """The file stays, the lock does not."""
    put(tmp_path / ".gpucti.io.lock", json.dumps({"process": 1, "machine": "elsewhere", "since": "ever"}).encode())
    with folder_lock(tmp_path), pytest.raises(FolderInUseError, match=f"process {os.getpid()} on "):
        with folder_lock(tmp_path):
            pass


@pytest.mark.slow
def test_a_file_system_without_locks(case: Case, expected: Contents, tmp_path: Path) -> None:
    """The run says so once and makes all products; a file that says nothing of its holder is named, to be removed."""
    preloaded = refusing.library(tmp_path)
    script = "import sys; from gpucti.cli import main; raise SystemExit(main(sys.argv[1:]))"
    put(case.science / HOLDER_NAME, b"")  # who wrote it cannot be known
    ended = refusing.run(preloaded, script, *case.arguments, flock=errno.ENOSYS)
    one_error(ended.returncode, ended.stderr, str(case.science), f"remove {case.science / HOLDER_NAME}")
    (case.science / HOLDER_NAME).unlink()
    ended = refusing.run(preloaded, script, *case.arguments, flock=errno.ENOSYS)
    assert (ended.returncode, ended.stderr.count("cannot be locked")) == (0, 1), ended.stderr
    assert leftovers(case) == [] and outputs(case) == expected


# ---- damaged input, found on the way ---------------------------------------------------------------------


def nan(pixels: Any) -> Any:
    pixels = pixels.copy()
    pixels[500, 300] = np.nan
    return pixels


def dark_file(case: Case) -> Path:
    return case.darks / f"{DARK}_flt.fits"


#: What is done to a dark, and what the message says besides the name of the file.
DAMAGES: dict[str, tuple[Callable[[Path], Path], tuple[str, ...]]] = {
    "truncated": (truncated, ("truncated", "get the file again")),
    "almost whole": (lambda path: truncated(path, 0.999), ("truncated", "get the file again")),
    "NaN": (lambda path: edit(path, 1, pixels=nan), ("SCI,1", "NaN", "row 500, column 300")),
    "OCCDHTAV": (lambda path: edit(path, 1, OCCDHTAV=None), ("SCI,1", "OCCDHTAV is missing")),
    "EXPTIME": (lambda path: edit(path, 1, EXPTIME=None), ("EXPTIME is missing",)),
    "ATODGAIN": (lambda path: edit(path, ATODGAIN=None), ("ATODGAIN is missing",)),
    "READNSE": (lambda path: edit(path, READNSE=None), ("READNSE is missing",)),
    "TEXPEND": (lambda path: edit(path, TEXPEND=None), ("TEXPEND is missing",)),
    "corrected": (lambda path: edit(path, PCTECORR="COMPLETE"), ("already CTI-corrected",)),
    "raw": (lambda path: edit(path, BLEVCORR="PERFORM"), ("BLEVCORR PERFORM", "basic2d")),
    "size": (lambda path: edit(path, 1, pixels=lambda pixels: pixels[:-1]), ("SCI,1", "shape")),
    "target": (lambda path: edit(path, TARGNAME="NGC 1068"), ("TARGNAME",)),
}


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_dark(case: Case, expected: Contents, capsys: pytest.CaptureFixture[str], damage: str) -> None:
    """The message names the file and what is wrong; with the good file put back (two of them) the next run finishes."""
    spoil, words = DAMAGES[damage]
    good = dark_file(case).read_bytes()
    spoil(dark_file(case))
    fails(case, capsys, DARK, *words)
    assert not list(case.ref.glob("*_drk.fits"))
    assert not list(case.science.glob("*_cte.fits"))
    all_whole(case, expected, besides=DARK)
    if damage in ("truncated", "NaN"):  # found before anything is begun, and when the others are corrected
        put(dark_file(case), good)
        finishes(case, expected)


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["truncated", "NaN"])
def test_damaged_corrected_dark_is_made_again(finished: Case, expected: Contents, tmp_path: Path, damage: str) -> None:
    """A kept corrected dark that cannot be used is no obstacle: it is made again. So is one with NaN."""
    other = finished_copy(finished, tmp_path / "run")
    for path in (*other.ref.glob("*.fits"), *other.science.glob("*_[cfs]??.fits")):
        path.unlink()
    kept = other.darks / f"{DARK}_cte.fits"
    if damage == "truncated":
        truncated(kept)
    else:
        edit(kept, 1, pixels=nan)
    report = correct(*other.folders, **other.options)
    assert report.darks == 1
    assert outputs(other) == expected


@pytest.mark.slow
@pytest.mark.parametrize("name", [WEEKDARK, BASEDARK])
def test_damaged_super_dark_is_made_again(finished: Case, expected: Contents, tmp_path: Path, name: str) -> None:
    """A truncated super-dark is made again from the corrected darks that are there, if something waits for it."""
    case = finished_copy(finished, tmp_path / "run")
    truncated(case.ref / name)
    for path in case.science.glob("ogv101010_[cfs]??.fits"):
        path.unlink()
    if name == BASEDARK:
        (case.ref / WEEKDARK).unlink()
    report = correct(*case.folders, **case.options)
    made = [path.name for path in report.superdarks]
    assert (report.darks, made) == (0, [WEEKDARK] if name == WEEKDARK else [BASEDARK, WEEKDARK])
    assert outputs(case) == expected


@pytest.mark.slow
def test_damaged_product_is_made_again(finished: Case, expected: Contents, tmp_path: Path) -> None:
    """A product cut short is not taken for one of this run: it stops the run, until --clean makes it again."""
    case = finished_copy(finished, tmp_path / "run")
    truncated(case.science / "ogv101010_crc.fits")
    assert in_process.main(case.arguments) == 1
    assert in_process.main([*case.arguments, "--clean"]) == 0
    assert outputs(case) == expected


@pytest.mark.slow
@pytest.mark.parametrize(("name", "damage"), [
    ("sim_g1_bia.fits", truncated), ("sim_ccd.fits", truncated),
    ("sim_crr.fits", lambda path: put(path, b"<html>")),
    ("sim_pfl.fits", lambda path: edit(path, 1, pixels=nan)),
], ids=["image", "table", "no FITS", "NaN"])  # fmt: skip
def test_damaged_reference(
    case: Case,
    small_visit: Any,
    expected: Contents,
    capsys: pytest.CaptureFixture[str],
    name: str,
    damage: Callable[[Path], Path],
) -> None:
    """The message names the file; nothing is made with it, and (one of them) the next run finishes."""
    oref = case.science.parent / "oref"
    oref.mkdir()
    for path in small_visit.oref.iterdir():
        (oref / path.name).hardlink_to(path)
    damage(oref / name)
    spoilt = Case(case.science, case.darks, case.ref, oref, case.anneals, case.pctetab)
    code = in_process.main(spoilt.arguments)
    err = capsys.readouterr().err
    assert (code, "Traceback" in err, "gpucti: error: " in err) == (1, False, False), err
    failed = [line for line in err.splitlines() if line.startswith("gpucti: FAILED ")]
    assert name in failed[0] and len(failed) >= 2, err
    assert leftovers(case) == []
    all_whole(case, expected)
    assert not list(case.science.glob("*_[cfs]??.fits"))
    if name == "sim_g1_bia.fits":
        finishes(case, expected)


def test_two_cases_do_not_share_files(small_visit: Any, quick_pctetab: Path, tmp_path: Path) -> None:
    """Of the tests themselves: spoiling a copy leaves the visit as it is."""
    case = case_of(small_visit, tmp_path / "run", quick_pctetab)
    before = seen(small_visit.darks, small_visit.science)
    truncated(dark_file(case))
    edit(case.science / "ogv101010_raw.fits", CCDAMP="A")
    assert seen(small_visit.darks, small_visit.science) == before
    assert contents(case.science / "ogv101010_raw.fits")[0][1]["CCDAMP"] == "A"
