"""stistools in one child process that serves all tasks of a run; see `_hstcal_child`, which is that process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from gpucti.calibration._hstcal_child import STATUS
from gpucti.io.child import ChildEnd

SCRIPT = Path(__file__).with_name("_hstcal_child.py")


@dataclass(frozen=True)
class _Child:
    """The process, the socket through which it takes jobs, and what it says besides."""

    process: subprocess.Popen[bytes]
    jobs: socket.socket
    said: IO[bytes]

    @classmethod
    def start(cls) -> _Child:
        ours, its = socket.socketpair()
        said = tempfile.TemporaryFile()
        with its:
            process = subprocess.Popen(
                [sys.executable, "-P", "-u", "-W", "ignore", os.fspath(SCRIPT)],
                stdin=its.fileno(),
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # it can be ended with all that it started
            )
        return cls(process, ours, said)

    def end(self) -> list[str]:
        """End it, and the programs that it runs; return what it said."""
        self.jobs.close()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        with self.said:
            self.said.seek(0)
            return self.said.read().decode(errors="replace").splitlines()


class Stistools:
    """Runs tasks of stistools, side by side if threads ask for them; imported once, however many tasks there are."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: _Child | None = None

    def run(
        self, task: str, file: str, arguments: Mapping[str, Any], folder: Path, variables: Mapping[str, str]
    ) -> ChildEnd:
        """Run a task to its end.

        Parameters
        ----------
        task : {'basic2d', 'calstis'}
            Which.
        file : str
            Its input, in `folder`.
        arguments : mapping
            The task's further arguments.
        folder : Path
            Its working folder.
        variables : mapping
            Environment variables besides those of this process.

        Returns
        -------
        ChildEnd
            What the task returned, and what was written to its outputs. If it did not come to its end, since it or the
            child was killed, the status is -1.
        """
        job = {"task": task, "file": file, "arguments": dict(arguments), "folder": os.fspath(folder)}
        ours, its = socket.socketpair()
        with ours:
            with its:
                child = self._hand_over(its)
            try:
                with suppress(BrokenPipeError, ConnectionResetError):  # it died: that is seen below
                    ours.sendall(json.dumps(job | {"environment": dict(variables)}).encode())
                    ours.shutdown(socket.SHUT_WR)
                lines = _lines_of(ours)
            except BaseException:  # an interrupt: nobody waits for the task any more
                self.close()
                raise
        last = lines.pop() if lines else ""
        if last.startswith(STATUS):
            return ChildEnd(int(last.removeprefix(STATUS)), [line.rstrip() for line in lines])
        return ChildEnd(-1, [*lines, last, *self._given_up(child)])

    def close(self) -> None:
        """End the child and what it is at; the next task starts another."""
        with self._lock:
            child, self._child = self._child, None
        if child is not None:
            child.end()

    def _hand_over(self, its: socket.socket) -> _Child:
        """Give the child the end of a job's socket; start it where there is none, or only a dead one."""
        with self._lock:
            if self._child is None or self._child.process.poll() is not None:
                if self._child is not None:
                    self._child.end()
                self._child = _Child.start()
            with suppress(BrokenPipeError, ConnectionResetError):
                socket.send_fds(self._child.jobs, [b"."], [its.fileno()])
            return self._child

    def _given_up(self, child: _Child) -> list[str]:
        """Return what a child said that did not bring a task to its end, if it is dead."""
        with self._lock:
            try:
                child.process.wait(timeout=1)
            except subprocess.TimeoutExpired:
                return []  # the task alone was killed
            if self._child is not child:
                return []
            self._child = None
        return child.end()


def _lines_of(connection: socket.socket) -> list[str]:
    """Return all that comes through a socket until its end."""
    parts = []
    with suppress(ConnectionResetError):
        while part := connection.recv(65536):
            parts.append(part)
    return [line.rstrip() for line in b"".join(parts).decode(errors="replace").splitlines()]
