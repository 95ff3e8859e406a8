"""Run tasks of stistools in a process of its own: stistools is imported once, every job is a copy of the process.

Run as a file: it needs stistools and nothing of gpucti. Standard input is a socket. What comes through it are the ends
of other sockets, one for each job: the job is read from it as JSON, ``{task, file, arguments, folder, environment}``,
and all that it writes to its outputs goes there, last a line with its exit status. The end of the first socket ends
this process, and whatever it is at.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import signal
import socket
import sys
import traceback
import types
from contextlib import suppress
from typing import Any

TASKS = ("basic2d", "calstis")
#: Begins the line that tells the exit status.
STATUS = "gpucti: exit status "


def main() -> int:
    """Take jobs until no more can come."""
    os.environ.pop("MPLBACKEND", None)  # noqa: TID251 -- of a notebook; stistools imports matplotlib, and draws nothing
    _import_tasks()
    jobs = socket.socket(fileno=0)
    while True:
        mark, places, _, _ = socket.recv_fds(jobs, 1, 1)
        if not mark:
            os.killpg(0, signal.SIGKILL)  # with what still runs
        if os.fork() == 0:
            jobs.close()
            _serve(places[0])
        os.close(places[0])
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _import_tasks() -> None:
    """Import the tasks without the rest of stistools, which takes seconds and may ask for leap seconds online."""
    spec = importlib.util.find_spec("stistools")
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError("stistools is not installed")
    package = types.ModuleType("stistools")
    package.__path__ = spec.submodule_search_locations
    sys.modules["stistools"] = package
    for task in TASKS:
        importlib.import_module(f"stistools.{task}")


def _serve(place: int) -> None:
    """Do one job, with its socket as standard output and error, and end the process."""
    os.dup2(place, 1)
    os.dup2(place, 2)
    status = 1
    try:
        with socket.socket(fileno=place) as connection, connection.makefile("r", encoding="utf-8") as stream:
            status = _do(json.load(stream))
    except BaseException:  # noqa: BLE001 -- whatever it is, it is told, and this process ends
        traceback.print_exc()
    finally:
        os.write(1, f"\n{STATUS}{status}\n".encode())
        os._exit(0)


def _do(job: dict[str, Any]) -> int:
    """Run the task in its folder; stistools writes the trailer."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.chdir(job["folder"])  # noqa: TID251 -- of this process only, as below
    os.environ.update(job["environment"])  # noqa: TID251 -- for CalSTIS's programs
    task = getattr(sys.modules[f"stistools.{job['task']}"], job["task"])
    return int(task(job["file"], **job["arguments"]))


if __name__ == "__main__":
    raise SystemExit(main())
