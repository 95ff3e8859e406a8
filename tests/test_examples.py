"""The examples run as they stand."""

import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def test_every_example_is_run_here():
    """Oracle: the folder."""
    text = Path(__file__).read_text(encoding="utf-8")
    assert [path.name for path in EXAMPLES.glob("*.py") if f'"{path.name}"' not in text] == []


def run_example(name, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["correct_arrays.py", "simulate_trails.py"])
def test_examples_with_a_picture_run(name, monkeypatch, tmp_path):
    picture = tmp_path / "picture.png"
    run_example(name, monkeypatch, "--out", str(picture), "--device", "cpu")
    assert picture.stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "made"), [("whole_visit.py", "ogv102010_x1c.fits"), ("custom_superdark.py", "ogv101010_crc.fits")]
)
def test_examples_of_a_visit_run(name, made, monkeypatch, capsys):
    run_example(name, monkeypatch, "--device", "cpu")
    assert made in capsys.readouterr().out


@pytest.mark.slow
def test_the_example_of_one_file_runs(monkeypatch, capsys):
    run_example("one_file.py", monkeypatch, "--device", "cpu")
    assert "o0simul10_cte.fits" in capsys.readouterr().out
