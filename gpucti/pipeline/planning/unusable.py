"""Darks that a run found unusable when it came to their pixels: remembered, so that the next run decides as it did."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

from gpucti.darks.weeks import DarkFile
from gpucti.errors import GpuctiError
from gpucti.io.atomic import atomic_output

log = logging.getLogger(__name__)

#: In the folder of super-darks: by sha256 of the file, the name of the dark and why it cannot be used.
RECORD = "unusable_darks.json"


def remembered(ref: Path, darks: Iterable[DarkFile]) -> dict[Path, str]:
    """Return why darks cannot be used, by path, if an earlier run found that out and the files are the same."""
    record = _read(ref / RECORD)
    names = {entry["dark"] for entry in record.values()}
    found = {}
    for dark in darks:
        if dark.rootname in names and (entry := record.get(dark.sha256)) is not None:
            found[dark.path] = f"{entry['reason']} (found by an earlier run; {ref / RECORD})"
    return found


def remember(ref: Path, darks: Mapping[DarkFile, str]) -> None:
    """Write down why darks cannot be used; a log tells if that cannot be written."""
    record = _read(ref / RECORD)
    record |= {dark.sha256: {"dark": dark.rootname, "reason": reason} for dark, reason in darks.items()}
    try:
        with atomic_output(ref / RECORD, overwrite=True) as stream:
            stream.write(json.dumps(record, indent=1).encode() + b"\n")
    except (OSError, GpuctiError) as error:
        log.warning("%s: cannot be written, the next run will look at these darks again (%s)", ref / RECORD, error)


def _read(path: Path) -> dict[str, dict[str, str]]:
    """Return the record; empty where there is none, or none that can be used."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return {str(key): {name: str(entry[name]) for name in ("dark", "reason")} for key, entry in record.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        log.warning("%s: cannot be read, and is not used", path)
        return {}
