"""The command gpucti: options, exit codes, one message per failure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from astropy.io import fits

from gpucti import cli
from gpucti._version import __version__
from gpucti.model.pctetab import Pctetab
from support.stis_files import digest, listing, stis_file

HEAVY = ("numpy", "astropy", "numba", "cupy", "scipy", "rich")
PAST_THE_TABLE = 60100.0


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Return exit code, standard output and standard error of one command."""
    code = cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


# ---- the command itself ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command", [["--help"], ["cte", "--help"], ["add-cti", "-h"], ["pctetab", "-h"], ["backends", "-h"]]
)
def test_help(capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    """Oracle: exit code 0 and a usage line."""
    code, out, err = run(capsys, *command)
    assert (code, err) == (0, "")
    assert out.startswith("Usage: gpucti")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: gpucti._version."""
    assert run(capsys, "--version") == (0, f"gpucti {__version__}\n", "")


def test_help_imports_nothing_heavy() -> None:
    """Oracle: the list of imported modules of a fresh process."""
    script = f"""
import sys
from gpucti.cli import main
main(["cte", "--help"])
print([name for name in {HEAVY} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_run_as_a_module() -> None:
    """Oracle: the exit codes of the command in a process of its own."""
    good = subprocess.run(
        [sys.executable, "-m", "gpucti.cli", "--version"], capture_output=True, text=True, check=False
    )
    assert (good.returncode, good.stdout) == (0, f"gpucti {__version__}\n")
    bad = subprocess.run(
        [sys.executable, "-m", "gpucti.cli", "cte", "gone.fits"], capture_output=True, text=True, check=False
    )
    assert bad.returncode == 1
    assert bad.stderr == "gpucti: error: gone.fits: no such file; check the name and the folder\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["cte"],
        ["cte", "--no-such-option", "x.fits"],
        ["cte", "--device", "tpu", "x.fits"],
        ["cte", "--device", "cuda:x", "x.fits"],
        ["cte", "--device", "numpy", "--backend", "numpy", "x.fits"],
        ["cte", "--noise-model", "3", "x.fits"],
        ["cte", "--sim-nit", "many", "x.fits"],
        ["cte", "--nan", "zero", "x.fits"],
        ["add-cti", "--sim-nit", "3", "x.fits"],
        ["pctetab", "--overwrite"],
    ],
)
def test_wrong_usage_is_exit_code_2(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """Oracle: the exit codes in the module's docstring."""
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert "Error:" in err
    assert "Traceback" not in err


# ---- gpucti cte ------------------------------------------------------------------------------------------


def test_cte(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: one line per file and a final one; the outputs exist, the inputs are unchanged."""
    paths = [stis_file(tmp_path / f"{name}_flt.fits", ROOTNAME=name) for name in ("o1", "o2")]
    before = [digest(path) for path in paths]
    code, out, err = run(capsys, "cte", "--device", "numpy", "-o", tmp_path / "out", *paths)
    assert (code, err) == (0, "")
    first, second, final = out.splitlines()
    assert first.startswith(f"o1_flt.fits -> {tmp_path / 'out' / 'o1_cte.fits'}: corrected, ")
    assert "columns repaired" in second
    assert second.endswith(" s")
    assert final.startswith("2 files corrected in ")
    assert listing(tmp_path / "out") == ["o1_cte.fits", "o2_cte.fits"]
    assert [digest(path) for path in paths] == before


@pytest.mark.parametrize("separator", ["-", "_"])
def test_cte_options_in_both_spellings(tmp_path: Path, capsys: pytest.CaptureFixture[str], separator: str) -> None:
    """Oracle: the header of the output."""
    given = {"read_noise": 4.5, "noise_model": 2, "oversub_thresh": -20, "sim_nit": 2, "shft_nit": 3}
    arguments = [f"--{name.replace('_', separator)}={value}" for name, value in given.items()]
    path = stis_file(tmp_path / "x_flt.fits")
    code, _, err = run(capsys, "cte", "--backend", "numpy", *arguments, path)
    assert (code, err) == (0, "")
    header = fits.getheader(tmp_path / "otest01aq_cte.fits")
    assert [header[f"PCTE{name}"] for name in ("RNCL", "NSMD", "TRSH", "SMIT", "SHFT")] == [4.5, 2, -20, 2, 3]


def test_cte_with_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: PCTETAB in the header of the output."""
    Pctetab.default().write(tmp_path / "mine_pcte.fits")
    path = stis_file(tmp_path / "x_flt.fits")
    code, _, _ = run(capsys, "cte", "--device", "numpy", "-p", tmp_path / "mine_pcte.fits", path)
    assert (code, fits.getval(tmp_path / "otest01aq_cte.fits", "PCTETAB")) == (0, "mine_pcte.fits")


def test_failures_are_one_line_and_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the exit codes in the module's docstring; the text is the exception's."""
    bad = stis_file(tmp_path / "bad_flt.fits", CCDAMP="E")
    good = stis_file(tmp_path / "x_flt.fits")
    (tmp_path / "otest01aq_cte.fits").write_bytes(b"precious")
    for arguments, words in [
        ([bad], "CCDAMP is 'E'; expected one of A, B, C, D"),
        ([tmp_path / "gone.fits"], "no such file"),
        ([good], "the output exists"),
        ([good, "-o", good], "is not a folder"),
        ([good, "--sim-nit", "0", "-o", tmp_path / "out"], "sim_nit is 0"),
        ([good, "-p", tmp_path / "gone_pcte.fits"], "PCTETAB not found"),
    ]:
        code, out, err = run(capsys, "cte", *arguments)
        assert (code, out) == (1, "")
        assert err.startswith("gpucti: error: ")
        assert words in err
        assert err.count("\n") == 1
    assert (tmp_path / "otest01aq_cte.fits").read_bytes() == b"precious"
    assert run(capsys, "cte", "--device", "numpy", "--overwrite", good)[0] == 0


def test_an_operating_system_error_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: exit code 1, the file, the system's own words, what to do; nothing half-written."""

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    path = stis_file(tmp_path / "x_flt.fits")
    monkeypatch.setattr(Path, "replace", full)
    code, _, err = run(capsys, "cte", "--device", "numpy", path)
    where = tmp_path / "otest01aq_cte.fits"
    todo = "make room and run again, files that were finished are whole"
    assert (code, err) == (1, f"gpucti: error: {where}: No space left on device; {todo}\n")
    assert listing(tmp_path) == ["x_flt.fits"]


def test_interrupted(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: exit code 130, as shells expect after Ctrl-C; nothing half-written."""

    def interrupt(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    path = stis_file(tmp_path / "x_flt.fits")
    monkeypatch.setattr(Path, "replace", interrupt)
    code, _, err = run(capsys, "cte", "--device", "numpy", path)
    assert code == 130
    assert "interrupted" in err
    assert listing(tmp_path) == ["x_flt.fits"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (EOFError("Ran out of input"), "a file ends too early (Ran out of input; "),
        (EOFError(), "a file ends too early (EOFError; "),
        (MemoryError(), "there is not enough memory; "),
        (MemoryError("Unable to allocate 8. GiB"), "there is not enough memory (Unable to allocate 8. GiB); "),
    ],
)
def test_no_interruption(
    error: Exception, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: exit code 1 and one line; an end of file is no Ctrl-D, wherever it comes from."""

    def fail(self: Path, target: Path) -> None:
        raise error

    path = stis_file(tmp_path / "x_flt.fits")
    monkeypatch.setattr(Path, "replace", fail)
    code, out, err = run(capsys, "cte", "--device", "numpy", path)
    assert (code, err.count("\n")) == (1, 1) and words in err
    assert "interrupted" not in out + err
    assert listing(tmp_path) == ["x_flt.fits"]


def test_nobody_reads_on() -> None:
    """Oracle: `gpucti ... | head` of other programs: they end without a word, and not with 0."""
    command = subprocess.Popen(
        [sys.executable, "-m", "gpucti", "pctetab"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert command.stdout is not None and command.stderr is not None
    command.stdout.close()
    with command.stderr:
        assert command.stderr.read() == b""
    assert command.wait() == 1


def test_warnings_and_log_are_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the extrapolation is said once for two files; -v 2 shows the log, no handler is left behind."""
    for name in ("o1", "o2"):
        stis_file(tmp_path / f"{name}_flt.fits", ROOTNAME=name, TEXPSTRT=PAST_THE_TABLE, PCTETAB="gone_pcte.fits")
    code, _, err = run(capsys, "cte", "--device", "numpy", tmp_path / "o?_flt.fits")
    assert code == 0
    lines = err.splitlines()
    assert sum(line.startswith("gpucti: warning: ") and "gone_pcte.fits is not found" in line for line in lines) == 2
    assert len(lines) == 3
    code, _, err = run(capsys, "cte", "-v", "2", "--overwrite", "--device", "numpy", tmp_path / "o1_flt.fits")
    assert "gpucti: " + str(tmp_path / "o1_flt.fits") + ": written to" in err
    assert run(capsys, "cte", "--overwrite", "--device", "numpy", tmp_path / "o1_flt.fits")[2].count("\n") == 2


def test_bar_on_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: standard output is the same with and without the bar, which goes to standard error."""
    path = stis_file(tmp_path / "x_flt.fits")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    code, out, _ = run(capsys, "cte", "--device", "numpy", path)
    assert code == 0
    assert out.startswith("x_flt.fits -> ")
    assert out.splitlines()[-1].startswith("1 file corrected in ")


# ---- the other commands ----------------------------------------------------------------------------------


def test_add_cti(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the output exists and its header says what was done."""
    path = stis_file(tmp_path / "x_flt.fits")
    code, out, err = run(capsys, "add-cti", "--device", "numpy", "--shft_nit", "2", path)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].startswith("1 file trailed in ")
    assert fits.getval(tmp_path / "otest01aq_cti.fits", "PCTESHFT") == 2


def test_pctetab(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: Pctetab.describe, and the digest of the table that was written."""
    assert run(capsys, "pctetab") == (0, Pctetab.default().describe() + "\n", "")
    target = tmp_path / "b_pcte.fits"
    code, out, _ = run(capsys, "pctetab", "--write", target)
    assert code == 0
    assert str(target) in out
    assert Pctetab.read(target).sha256 == Pctetab.default().sha256
    assert run(capsys, "pctetab", target) == (0, Pctetab.read(target).describe() + "\n", "")
    code, out, err = run(capsys, "pctetab", "--write", target)
    assert (code, out) == (1, "")
    assert "exists" in err
    assert run(capsys, "pctetab", "--write", target, "--overwrite")[0] == 0
    code, _, err = run(capsys, "pctetab", tmp_path / "gone.fits")
    assert code == 1
    assert "gone.fits" in err


def test_backends(capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the three backends; NumPy runs everywhere."""
    code, out, err = run(capsys, "backends")
    assert (code, err) == (0, "")
    lines = {line.split()[0]: line.split()[1] for line in out.splitlines()}
    assert set(lines) == {"cuda", "numba", "numpy"}
    assert lines["numpy"] == "runs"
