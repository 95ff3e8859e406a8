"""A plan as text for people, and as plain data for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gpucti.pipeline.planning.tasks import Plan


def plan_text(plan: Plan) -> str:
    """Return what a run will do, a few screens at most."""
    return "\n".join(_lines(plan))


def _lines(plan: Plan) -> Iterator[str]:
    yield f"science      {plan.folders.science}"
    yield f"darks        {plan.folders.darks}"
    yield f"super-darks  {plan.folders.ref}"
    if plan.tools is not None:
        backend, engine, provenance = plan.tools.backend, plan.tools.engine, plan.tools.provenance
        table, options = provenance.pctetab, provenance.options
        yield (
            f"PCTETAB      {table.name} (PCTE_VER {table.version}): read noise {options.read_noise:g} e-, noise model "
            f"{options.noise_model}, threshold {options.oversub_thresh:g} e-, "
            f"iterations {options.sim_nit} x {options.shft_nit}"
        )
        yield f"backend      {backend.name}: {backend.describe()}"
        yield f"engine       {engine.describe()}"
    rows = [(t.path.name, "reuse" if t.reuse else "make", t.dark, t.why) for t in plan.science]
    rows += [(r.path.name, "refuse", "", r.reason) for r in plan.refused]
    if rows:
        yield ""
        yield "Exposures"
        yield from _table(("file", "", "dark", "why"), rows)
    if plan.superdarks:
        yield ""
        yield "Super-darks"
        rows = [
            (t.path.name, "reuse" if t.reuse else "make", f"{len(t.darks)} darks of {t.period}", t.why)
            for t in plan.superdarks
        ]
        yield from _table(("file", "", "from", "why"), rows)
    if plan.darks:
        yield ""
        yield "Component darks"
        rows = [
            (d.file.path.name, "reuse" if d.reuse else "correct", _short(d.output, plan.folders.darks), d.why)
            for d in plan.darks
        ]
        yield from _table(("file", "", "corrected", "why"), rows)
    for title, listed in (
        ("Listed darks that are not used", [f"{dark.name}: {dark.reason}" for dark in plan.unneeded]),
        ("Listed darks that are missing", list(plan.missing)),
        ("Will not be made", [f"{t.root}: {s}" for t in plan.science for s in t.shortcomings]),
        ("Removed first", [str(path) for path in plan.deletions]),
        ("Notes", list(plan.notes)),
        ("Cannot be made, and is left out", [str(failure) for failure in plan.failures]),
        ("In the way", list(plan.problems)),
    ):
        if listed:
            yield ""
            yield title
            yield from (f"  {line}" for item in listed for line in item.splitlines())


def _short(path: Path, folder: Path) -> str:
    """Return the name of a file in `folder`, the whole path of another."""
    return path.name if path.parent == folder else str(path)


def _table(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Yield aligned columns; the last one is as long as it likes."""
    widths = [max(len(row[i]) for row in (titles, *rows)) for i in range(len(titles))]
    for row in (titles, *rows):
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def plan_data(plan: Plan) -> dict[str, Any]:
    """Return a plan as dictionaries, lists, texts and numbers, for JSON."""
    return {
        "folders": {name: str(path) for name, path in plan.folders._asdict().items()},
        "pctetab": None if plan.tools is None else plan.tools.provenance.pctetab.name,
        "backend": None if plan.tools is None else plan.tools.backend.name,
        "engine": None if plan.tools is None else plan.tools.engine.name,
        "science": [
            {
                "raw": str(task.path),
                "root": task.root,
                "action": "reuse" if task.reuse else "make",
                "why": task.why,
                "dark": task.dark,
                "not_made": list(task.shortcomings),
            }
            for task in plan.science
        ],
        "refused": [{"raw": str(exposure.path), "reason": exposure.reason} for exposure in plan.refused],
        "superdarks": [
            {
                "path": str(task.path),
                "action": "reuse" if task.reuse else "make",
                "why": task.why,
                "amp": task.amp,
                "anneal_start": task.period.start.isoformat(sep=" "),
                "darks": [dark.file.rootname for dark in task.darks],
                "basedark": None if task.basedark is None else str(task.basedark.path),
            }
            for task in plan.superdarks
        ],
        "darks": [
            {
                "path": str(dark.file.path),
                "corrected": str(dark.output),
                "action": "reuse" if dark.reuse else "correct",
                "why": dark.why,
            }
            for dark in plan.darks
        ],
        "references_by_crds": {str(path): dict(names) for path, names in plan.references_by_crds.items()},
        "missing_darks": list(plan.missing),
        "unneeded_darks": {dark.name: dark.reason for dark in plan.unneeded},
        "deletions": [str(path) for path in plan.deletions],
        "notes": list(plan.notes),
        "problems": list(plan.problems),
        "failures": [failure._asdict() for failure in plan.failures],
    }
