"""Run one task of stistools in a process of its own: the job is JSON on standard input, the exit status its result.

Run as a file: it needs stistools and nothing of gpucti.
"""

from __future__ import annotations

import importlib
import json
import os
import sys


def main() -> int:
    """Do the job: ``{task, file, arguments, environment}``; stistools writes the trailer."""
    job = json.load(sys.stdin)
    os.environ.pop("MPLBACKEND", None)  # noqa: TID251 -- of a notebook; stistools imports matplotlib, and draws nothing
    os.environ.update(job["environment"])  # noqa: TID251 -- of this process only, for CalSTIS's programs
    task = getattr(importlib.import_module(f"stistools.{job['task']}"), job["task"])
    return int(task(job["file"], **job["arguments"]))


if __name__ == "__main__":
    raise SystemExit(main())
