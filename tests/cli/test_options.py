"""An option means the same in every command."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from gpucti import cli
from gpucti._version import __version__
from gpucti.calibration import ENGINES
from gpucti.model.pctetab import Pctetab
from gpucti.pipeline.options import SINGLE_DARK_WEEK, RunOptions
from support.stis_files import stis_file


def commands(group: click.Group = cli.cli, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Walk the commands that do something."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


ALL = dict(commands())
#: What options are given that take no number.
VALUES = {"anneal_start": "2012-03-01", "anneal_end": "2012-03-01", "single_dark_week": "basedark"}


def options(command: click.Command) -> dict[str, click.Option]:
    """Return the options of a command by their spellings."""
    found = [param for param in command.params if isinstance(param, click.Option)]
    return {spelling: option for option in found for spelling in (*option.opts, *option.secondary_opts)}


def having(spelling: str) -> list[str]:
    return [name for name, command in ALL.items() if spelling in options(command)]


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_walk() -> None:
    """Oracle: docs/reference.md."""
    assert {"correct", "superdark basedark", "superdark weekdark", "doctor"} <= set(ALL)
    assert len(ALL) == 14


@pytest.mark.parametrize("name", ALL)
def test_options_of_several_words_in_both_spellings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the command is given the same for ``--two-words`` and ``--two_words``, and shows the first."""
    command, given = ALL[name], []
    monkeypatch.setattr(command, "callback", lambda **values: given.append(values))
    required = [param for param in command.params if param.required]
    usual = [f"{param.opts[0]}=x" if isinstance(param, click.Option) else "x" for param in required]
    assert cli.main([*name.split(), *usual]) == 0
    for spelling, option in options(command).items():
        assert "_" not in spelling
        if "-" in spelling.lstrip("-"):
            for either in (spelling, f"--{spelling[2:].replace('-', '_')}"):
                value = [] if option.is_flag else [VALUES.get(option.name or "", "1")]
                assert cli.main([*name.split(), *usual, either, *value]) == 0
            assert given[-1] == given[-2] != given[0]


@pytest.mark.parametrize("name", ALL)
def test_the_same_option_is_the_same_everywhere(name: str) -> None:
    """Oracle: `--json FILE`, `-v LEVEL`, `--oref DIR`; nobody has one of them as a flag, or one without the other."""
    known = options(ALL[name])
    for spelling, metavar in (("--json", "FILE"), ("-v", "LEVEL"), ("--oref", "DIR"), ("--mast-server", "URL")):
        if spelling in known:
            assert known[spelling].metavar == metavar and not known[spelling].is_flag
    assert ("-v" in known) == ("--verbose" in known)
    if "-v" in known:
        assert (known["-v"].type.min, known["-v"].type.max, known["-v"].default) == (0, 2, 1)
    assert ("--device" in known) == ("--backend" in known)


def test_which_commands_have_the_shared_options() -> None:
    """Oracle: what works tells how it goes; what reads reference files is told where; what has data writes JSON."""
    works = ["correct", "darks", "superdark basedark", "superdark weekdark", "x1d", "plot", "cte", "add-cti"]
    assert having("-v") == [*works, "simulate", "demo"]
    assert having("--oref") == ["correct", *works[2:5], "cte", "add-cti", "doctor"]
    assert having("--json") == ["correct", "darks", "doctor"]


def test_choices_are_those_of_the_library() -> None:
    """Oracle: what `RunOptions` takes; the command line does not import it for its help."""
    known = options(ALL["correct"])
    for spelling, choices in (("--engine", ENGINES), ("--single-dark-week", SINGLE_DARK_WEEK)):
        assert tuple(known[spelling].type.choices) == choices
    fields = {option.name for option in known.values()} - {"dark_dir", "ref_dir", "backend", "dry_run", "json_file"}
    assert fields - {"verbose", "loud"} < {field.name for field in dataclasses.fields(RunOptions)}


@pytest.mark.parametrize("name", having("--json"))
def test_json_into_a_folder_that_is_not_there(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: exit code 2 before any work; `doctor` and `darks` behave as `correct`."""
    code, out, err = run(capsys, name, tmp_path, "--json", tmp_path / "gone" / "x.json")
    assert (code, out) == (2, "") and "there is no such folder; make it first" in err


@pytest.mark.slow
def test_json_of_doctor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: ``-`` prints JSON alone, a file has the same beside the text."""
    code, out, err = run(capsys, "doctor", tmp_path, "--offline", "--json", "-")
    assert (code, err) == (0, "")
    printed = json.loads(out)
    assert printed["version"] == __version__
    code, out, _ = run(capsys, "doctor", tmp_path, "--offline", "--json", tmp_path / "x.json")
    assert code == 0 and out.endswith("gpucti can run here\n")
    written = json.loads((tmp_path / "x.json").read_text())
    assert [one["topic"] for one in written["findings"]] == [one["topic"] for one in printed["findings"]]


@pytest.mark.parametrize(
    ("level", "lines", "logged"),
    [([], 2, False), (["-v", "0"], 0, False), (["-v", 1], 2, False), (["-v2"], 2, True), (["--verbose"], 2, True)],
)
def test_levels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], level: list[object], lines: int, logged: bool
) -> None:
    """Oracle: the help text: 0 quiet, 2 loud; `--verbose` is 2."""
    path = stis_file(tmp_path / "x_flt.fits")
    code, out, err = run(capsys, "add-cti", "--device", "numpy", *level, path)
    assert (code, len(out.splitlines())) == (0, lines)
    assert ("written to" in err) == logged


@pytest.mark.parametrize("arguments", [["-v", "3"], ["-v", "loud"], ["-v"]])
def test_levels_that_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """Oracle: exit code 2; a bare -v, which was a flag once, names what it needs."""
    code, out, err = run(capsys, "cte", tmp_path / "x_flt.fits", *arguments)
    assert (code, out) == (2, "") and "'-v'" in err


def test_oref_of_single_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: ``oref$`` in a header and in --pctetab is the folder of --oref, not that of the variable."""
    monkeypatch.setenv("oref", str(tmp_path / "nowhere"))
    (tmp_path / "oref").mkdir()
    table = Pctetab.default().write(tmp_path / "oref" / "mine_pcte.fits")
    path = stis_file(tmp_path / "x_flt.fits", PCTETAB=f"oref${table.name}")
    where = ["--oref", tmp_path / "oref", "--device", "numpy"]
    code, _, err = run(capsys, "cte", path, *where, "-v", 2)
    assert code == 0 and f"PCTETAB oref$mine_pcte.fits is {table}" in err
    assert run(capsys, "add-cti", path, *where, "-p", "oref$mine_pcte.fits")[0] == 0
    code, _, err = run(capsys, "add-cti", path, "-p", "oref$mine_pcte.fits")
    assert code == 1 and "PCTETAB not found" in err
