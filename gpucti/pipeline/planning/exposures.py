"""Which exposures a run can make, judged by their headers: each that it cannot is left out by itself."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from pathlib import Path

from gpucti.calibration.base import Required
from gpucti.calibration.keywords import require_keywords
from gpucti.errors import Failure, InputError, MissingFileError
from gpucti.io.exposure import ExposureHeaders
from gpucti.io.selection import Candidate, find_science
from gpucti.model.doubts import doubts, extrapolation_note
from gpucti.model.pctetab import Pctetab
from gpucti.pipeline.options import RunOptions
from gpucti.pipeline.planning.problems import Problems
from gpucti.pipeline.planning.science import require_science_folder
from gpucti.pipeline.planning.tasks import Plan, Tools
from gpucti.references.names import missing_remedy


def find_candidates(folder: Path, options: RunOptions, problems: Problems) -> tuple[Candidate, ...]:
    """Return the raw files of a folder that products can be written to."""
    try:
        require_science_folder(folder)
    except InputError as error:
        problems.add(error)
        return ()
    if not os.access(folder, os.W_OK | os.X_OK):
        problems.add(f"{folder}: cannot be written to, and products go beside the raw files; copy those elsewhere")
    faulty: list[Failure] = []
    with problems.collecting():
        candidates = find_science(folder, allow=options.allow, crds_update=options.crds_update, faulty=faulty)
        for failure in faulty:
            problems.fail(failure)
        return tuple(candidates)
    return ()


def usable_exposures(begun: Plan, problems: Problems) -> list[ExposureHeaders]:
    """Return the exposures whose headers say all that their correction and calibration need."""
    exposures: list[ExposureHeaders] = []
    judged = False
    for candidate in begun.candidates:
        if candidate.reason is None:
            judged = True
            with problems.leaving_out(candidate.path):
                headers = candidate.require_headers()
                headers.require_uncorrected()
                require_keywords(headers)
                if begun.tools is not None:
                    _require_date(begun.tools.provenance.pctetab, headers)
                exposures.append(headers)
    if begun.candidates and not judged and not problems.found and not problems.failures:
        reasons = "".join(f"\n  {refused.path.name}: {refused.reason}" for refused in begun.refused)
        folder = begun.folders.science
        problems.add(MissingFileError(f"none of the raw files can be corrected{reasons}", where=folder))
    return exposures


def with_references(
    exposures: Sequence[ExposureHeaders],
    dark_is_made: Set[Path],
    unfetched: Collection[str],
    tools: Tools,
    problems: Problems,
) -> list[ExposureHeaders]:
    """Return the exposures whose reference files are there, but for those told of already.

    Where every exposure lacks some, one problem lists them by keyword, and all exposures stay in the plan.
    """
    lacking: dict[Path, list[Required]] = {}
    for headers in exposures:
        with problems.leaving_out(headers.path):
            lacking[headers.path] = [
                required
                for required in tools.engine.references(headers)
                if required.path is None
                and required.name not in unfetched
                and not (required.keyword == "DARKFILE" and headers.path in dark_is_made)
            ]
    if lacking and all(lacking.values()):
        problems.add(_missing_text(lacking, tools))
        return [headers for headers in exposures if headers.path in lacking]
    for path, missing in lacking.items():
        if missing:
            problems.fail(Failure(str(path), _missing_text({path: missing}, tools)))
    return [headers for headers in exposures if lacking.get(headers.path) == []]


def note_doubts(exposures: Iterable[ExposureHeaders], table: Pctetab, problems: Problems) -> None:
    """Note, each once, what the table was not measured for among dates and amplifiers."""
    told: dict[str, list[str]] = {}
    for headers in exposures:
        if table.extrapolates(headers.start_mjd):
            told.setdefault(extrapolation_note(table), [])
        for doubt in doubts(table, [headers.start_mjd], headers.amp):
            told.setdefault(doubt, []).append(headers.path.name)
    for doubt, names in told.items():
        problems.note(f"{', '.join(names)}: {doubt}" if names else doubt)


def _require_date(table: Pctetab, headers: ExposureHeaders) -> None:
    """Raise unless the table covers the date of the exposure."""
    table.time_scale(headers.start_mjd)
    table.epoch(headers.start_mjd)


def _missing_text(lacking: Mapping[Path, Sequence[Required]], tools: Tools) -> str:
    """Say which reference files are not there, by keyword, for which exposures, and what to do."""
    files: dict[tuple[str, str], list[str]] = {}
    for path, missing in lacking.items():
        for required in missing:
            files.setdefault((required.keyword, required.name), []).append(path.name)
    lines = [
        f"  {keyword:<8} {name or '(the keyword names none)'}  for {', '.join(dict.fromkeys(names))}"
        for (keyword, name), names in files.items()
    ]
    todo = missing_remedy((name for _, name in files), tools.references.environment or {})
    what = "1 reference file is" if len(files) == 1 else f"{len(files)} reference files are"
    return f"{what} missing; {todo}\n" + "\n".join(lines)
