"""What the benchmarks share: arguments, the line about the machine, timing, Markdown tables, and where they go."""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path

#: A date inside the packaged table's measured trap densities.
MJD = 57000.0
#: Electrons.
READ_NOISE = 5.6
#: Products of an engine, each under its own name.
PRODUCTS = {kind: kind for kind in ("crj", "flt", "sx2", "x2d", "sx1", "x1d")}


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the option ``--output`` that every benchmark has."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--output", type=Path, help="file for the table, Markdown")
    return made


def machine(*packages: str) -> str:
    """Return date, processor, system, and the versions of Python, gpucti and `packages`."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        cpu = next((line.split(":")[1].strip() for line in info.read_text().splitlines() if "model name" in line), cpu)
    versions = ", ".join(f"{name} {version(name)}" for name in ("gpucti", *packages))
    return (
        f"{datetime.date.today()}; {cpu}, {os.cpu_count()} processors, {platform.system()}; "
        f"Python {platform.python_version()}, {versions}"
    )


def clock(work: Callable[[], object]) -> float:
    """Return the wall seconds that `work` takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def ratios(first: list[float], second: list[float]) -> list[float]:
    """Return the ratio of each pair."""
    return [a / b for a, b in zip(first, second, strict=True)]


def summary(values: list[float]) -> str:
    """Return the median, with the range in brackets; a dash for nothing."""
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})" if values else "-"


def row(cells: Iterable[object]) -> str:
    """Return one line of a table, Markdown."""
    return f"| {' | '.join(map(str, cells))} |"


def table(head: list[str], rows: Iterable[Iterable[object]]) -> list[str]:
    """Return the lines of a table, Markdown."""
    return [row(head), "|---" * len(head) + "|", *map(row, rows)]


def publish(title: str, lines: Iterable[str], output: Path | None) -> None:
    """Print a report, and write it to `output` if there is one."""
    text = "\n".join([f"# {title}", "", *lines]) + "\n"
    print(text)
    if output:
        output.write_text(text, encoding="utf-8")
