"""A script of ours in a process of its own: what it needs may change its process, or end it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple


class ChildEnd(NamedTuple):
    """How a child process ended.

    Attributes
    ----------
    status : int
        Its exit status; a negative one is the signal that ended it.
    lines : list of str
        All that it wrote to its outputs, in order, without blanks at the ends of lines.
    """

    status: int
    lines: list[str]

    def last(self, count: int) -> str:
        """Return the last lines, each indented on a line of its own, for a message; empty if there are none."""
        return "".join(f"\n  {line}" for line in self.lines[-count:])


def run_child(
    script: Path,
    job: Mapping[str, Any],
    folder: Path,
    *,
    environment: Mapping[str, str] | None = None,
    say: Callable[[str], object] | None = None,
) -> ChildEnd:
    """Run a Python script to its end; it is killed if this is interrupted.

    Parameters
    ----------
    script : Path
        A file. It finds no modules beside itself or in `folder`.
    job : mapping
        What it reads from its standard input, as JSON.
    folder : Path
        Its working folder.
    environment : mapping, optional
        All of its variables, in place of the process's.
    say : callable, optional
        Is told each line that the script writes, at once.
    """
    child = subprocess.Popen(
        [sys.executable, "-P", "-u", "-W", "ignore", os.fspath(script)],
        cwd=folder,
        env=None if environment is None else dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    lines = []
    with child:
        try:
            if child.stdin is not None:  # it is a pipe
                with suppress(BrokenPipeError), child.stdin:  # a script that died at once is heard all the same
                    child.stdin.write(json.dumps(job))
            for line in child.stdout or ():
                lines.append(line.rstrip())
                if say is not None:
                    say(lines[-1])
        except BaseException:
            child.kill()
            raise
    return ChildEnd(child.returncode, lines)
