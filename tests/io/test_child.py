"""Scripts in processes of their own."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from gpucti.io.child import run_child


def script(folder: Path, text: str) -> Path:
    """Return a script outside of the folder that it works in."""
    path = folder / "script.py"
    path.write_text(f"import json, os, sys, time\n{text}\n")
    (folder / "work").mkdir()
    return path


def test_job_folder_variables_and_status(tmp_path: Path) -> None:
    """Oracle: definition; both outputs come in one order, each line at once."""
    text = """
job = json.load(sys.stdin)
print(os.path.basename(os.getcwd()), os.environ.get("GREETING"), len(os.environ) < 5)
print(job["answer"], file=sys.stderr)
print("end  ")
raise SystemExit(3)
"""
    said: list[str] = []
    path = script(tmp_path, text)
    ended = run_child(path, {"answer": "ä"}, tmp_path / "work", environment={"GREETING": "hello"}, say=said.append)
    assert ended.status == 3
    assert said == ended.lines == ["work hello True", "ä", "end"]
    assert ended.last(2) == "\n  ä\n  end" and ended.last(9).count("\n") == 3


def test_variables_of_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: definition: inherited, unless others are given."""
    monkeypatch.setenv("GREETING", "good day")
    ended = run_child(script(tmp_path, 'print(os.environ["GREETING"])'), {}, tmp_path / "work")
    assert ended == (0, ["good day"])


def test_a_script_that_ends_before_it_hears(tmp_path: Path) -> None:
    """Oracle: definition: the job is larger than a pipe holds; what is said is heard."""
    ended = run_child(script(tmp_path, 'os.write(1, b"no\\n"); os._exit(7)'), {"job": "x" * 10**6}, tmp_path / "work")
    assert ended == (7, ["no"])


def test_an_interrupted_script_is_killed(tmp_path: Path) -> None:
    """Oracle: its process is gone."""

    def interrupt(line: str) -> None:
        raise KeyboardInterrupt(line)

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt) as caught:
        run_child(script(tmp_path, "print(os.getpid()); time.sleep(60)"), {}, tmp_path / "work", say=interrupt)
    assert time.monotonic() - started < 50
    with pytest.raises(ProcessLookupError):
        os.kill(int(str(caught.value)), 0)
