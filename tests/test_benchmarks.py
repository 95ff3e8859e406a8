"""The benchmarks begin as they stand: what they import is there."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
#: Scripts that others import or run.
PARTS = ("common", "upstream_pipeline")
#: Scripts that call stis_cti in their own process.
PEER = ("cpu", "precision")
SCRIPTS = sorted(path.stem for path in BENCHMARKS.glob("*.py") if path.stem not in PARTS)


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.peer) if n in PEER else n for n in SCRIPTS])
def test_benchmarks_say_what_they_take(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: the option that all have, and the text at the head of the file."""
    if name in PEER:
        pytest.importorskip("stis_cti")
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(BENCHMARKS / f"{name}.py"), run_name="__main__")
    assert end.value.code == 0
    told = capsys.readouterr().out
    assert "--output" in told
    assert f"python benchmarks/{name}.py" in told
