"""The references of a plan, brought up to date by CRDS: in copies of the headers, never in the user's files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gpucti.calibration.base import Engine
from gpucti.calibration.basic2d.order import FLATS
from gpucti.calibration.switches import MAY_BE_BLANK
from gpucti.darks.anneals import AnnealPeriod
from gpucti.darks.weeks import DarkFile
from gpucti.errors import GpuctiError, MissingFileError
from gpucti.io.exposure import ExposureHeaders
from gpucti.io.fitsfile import find_file
from gpucti.pipeline.planning.problems import Problems
from gpucti.references.crds import (
    OF_DARKS,
    OF_EXPOSURES,
    Asked,
    BestReferences,
    CrdsSetup,
    best_references,
    header_facts,
    network_fault,
)

Names = Mapping[str, str]


class Updates(NamedTuple):
    """What CRDS makes of a visit.

    Attributes
    ----------
    exposures : list of ExposureHeaders
        With the references of CRDS, in the order given.
    darks : mapping
        Darks on disk by exposure, likewise.
    unfetched : mapping
        Why a reference file that is needed cannot be used, by name as it stands in a header.
    """

    exposures: list[ExposureHeaders]
    darks: Mapping[str, DarkFile]
    unfetched: Mapping[str, str]


def update_references(
    exposures: Sequence[ExposureHeaders],
    with_own_dark: Collection[Path],
    found: Mapping[str, DarkFile],
    periods: Iterable[AnnealPeriod],
    engine: Engine,
    setup: CrdsSetup,
    problems: Problems,
) -> Updates:
    """Ask CRDS about exposures, their wavecals and the darks of some anneal periods.

    Parameters
    ----------
    exposures : sequence of ExposureHeaders
        All of the run.
    with_own_dark : collection of Path
        The exposures with a super-dark of the user's: DARKFILE stays.
    found : mapping
        Darks on disk by exposure; CRDS is asked about those of `periods`.
    periods : iterable of AnnealPeriod
        Whose darks are needed.
    engine : Engine
        Knows which references an exposure needs.
    setup : CrdsSetup
        Server and cache.
    problems : Problems
        Told of what CRDS does not have, and of what changes.
    """
    problems.notes += setup.notes
    listed = {dark.exposure for period in periods for dark in period.darks if not dark.too_short}
    darks = {name: dark for name, dark in found.items() if name in listed}
    unchanged = Updates(list(exposures), found, {})
    try:
        wavecals = {headers.path: _wavecal(headers) for headers in exposures}
        needed = {headers.path: _needed(headers, engine) for headers in exposures}
        asked = _questions(exposures, wavecals, darks.values())
        if not asked:
            return unchanged
        answer = best_references(asked, setup)
    except (GpuctiError, OSError) as error:
        problems.add(error)
        return unchanged
    for path, reason in answer.errors.items():
        problems.add(f"{path}: CRDS has no answer for it: {reason}")
    update = _Update(answer, engine, problems)
    new_exposures = [
        update.exposure(headers, wavecals[headers.path], needed[headers.path], keep_dark=headers.path in with_own_dark)
        for headers in exposures
    ]
    new_darks = {name: update.dark(dark) for name, dark in darks.items()}
    unfetched = update.unfetched(new_exposures, new_darks.values())
    update.tell(setup)
    return Updates(new_exposures, {**found, **new_darks}, unfetched)


def _questions(
    exposures: Sequence[ExposureHeaders], wavecals: Mapping[Path, ExposureHeaders | None], darks: Iterable[DarkFile]
) -> dict[Path, Asked]:
    """Return what CRDS is told of each file."""
    asked = {}
    for headers in exposures:
        asked[headers.path] = Asked(_facts(headers), OF_EXPOSURES)
        if (wavecal := wavecals[headers.path]) is not None:
            more = ["DARKFILE"] if _dark_of_wavecal_counts(headers, wavecal) else []
            asked[wavecal.path] = Asked(_facts(wavecal), [*OF_EXPOSURES, *more])
    for dark in darks:
        asked[dark.path] = Asked(_facts(ExposureHeaders.read(dark.path)), OF_DARKS)
    return asked


class _Update:
    """Gives files the references that CRDS has for them, and counts what changes."""

    def __init__(self, answer: BestReferences, engine: Engine, problems: Problems) -> None:
        self._answer, self._engine, self._problems = answer, engine, problems
        self._changed: Counter[tuple[str, str, str]] = Counter()

    def exposure(
        self, headers: ExposureHeaders, wavecal: ExposureHeaders | None, needed: Names, *, keep_dark: bool
    ) -> ExposureHeaders:
        """Return an exposure with other references, for its wavecal too."""
        path, answer = headers.path, self._answer
        names = dict(answer.names.get(path, {}))
        if keep_dark:
            names.pop("DARKFILE", None)
        wavecal_names: dict[str, str] = {}
        if wavecal is not None:
            of_wavecal = answer.names.get(wavecal.path, {})
            if names.get("LAMPTAB", "N/A") == "N/A" and of_wavecal.get("LAMPTAB", "N/A") != "N/A":
                names["LAMPTAB"] = of_wavecal["LAMPTAB"]  # as CalSTIS takes it from the wavecal where there is none
            spared = () if _dark_of_wavecal_counts(headers, wavecal) else ("DARKFILE",)  # the exposure's is used
            wavecal_names = {
                keyword: name
                for keyword, name in of_wavecal.items()
                if keyword in wavecal.primary and keyword not in spared
            }
        reasons = answer.refused.get(path, {})
        for keyword, old in needed.items():  # those of the wavecal have keywords of their own, and no name here
            blank = names.get(keyword) == "N/A" and keyword not in (*MAY_BE_BLANK, *FLATS)
            if blank or keyword in reasons:
                self._none(path, keyword, old, reasons.get(keyword, "N/A for this header"))
            if keyword in names:
                self._count(headers.cards.file(keyword), keyword, names)
        return headers.renamed(names, wavecal_names)

    def dark(self, dark: DarkFile) -> DarkFile:
        """Return a component dark with other references."""
        names, reasons = self._answer.names.get(dark.path, {}), self._answer.refused.get(dark.path, {})
        for keyword in ("DARKFILE", "CRREJTAB"):  # one tells the weeks apart, the other is used
            old = dark.cards.file(keyword)
            if names.get(keyword) == "N/A":
                self._none(dark.path, keyword, old, reasons.get(keyword, "N/A for this header"))
            self._count(old, keyword, names)
        return dark.renamed(names)

    def _none(self, path: Path, keyword: str, old: str, reason: str) -> None:
        self._problems.add(
            f"{path}: CRDS has no {keyword} for it ({reason}), and it is needed (now {old or 'blank'}); do without "
            "--crds_update"
        )

    def _count(self, old: str, keyword: str, names: Names) -> None:
        new = names.get(keyword, old)
        if new.lower() != old.lower():
            self._changed[keyword, old or "blank", new] += 1

    def unfetched(self, exposures: Iterable[ExposureHeaders], darks: Iterable[DarkFile]) -> dict[str, str]:
        """Return why reference files that are needed cannot be used, by name; make one problem of all."""
        reasons: dict[str, str] = {}
        lines: dict[str, list[str]] = {}
        needs = [
            (f"{keyword:<8} {name}", name, headers.path)
            for headers in exposures
            for keyword, name in _needed(headers, self._engine).items()
        ]
        needs += [(f"CRREJTAB {name}", name, dark.path) for dark in darks if (name := dark.cards.file("CRREJTAB"))]
        for what, name, path in needs:
            reason = self._answer.failed.get(name.partition("$")[2])
            if reason is not None:
                reasons[name] = reason
                lines.setdefault(f"{what}: {reason}", []).append(path.name)
        if lines:
            text = "".join(f"\n  {line} (for {_few(files)})" for line, files in lines.items())
            what = "1 reference file" if len(lines) == 1 else f"{len(lines)} reference files"
            self._problems.add(f"CRDS ({self._answer.context}) cannot provide {what}{text}")
        return reasons

    def tell(self, setup: CrdsSetup) -> None:
        """Note which names change, and whether the server answered."""
        answer, server = self._answer, setup.environment["CRDS_SERVER_URL"]
        if not answer.connected:
            fault = network_fault(setup.environment)
            self._problems.note(
                f"the CRDS server {server} was not asked or does not answer"
                + (f" ({fault})" if fault else "")
                + f": rules and files are those of {setup.cache}"
                + (f", last brought up to date {answer.synced}" if answer.synced else "")
            )
        if not any(answer.names.values()):
            return  # for none of the files; why is a problem of each
        changed = [f"{key} {old} -> {new} ({count}x)" for (key, old, new), count in sorted(self._changed.items())]
        self._problems.note(
            f"best references by CRDS ({answer.context}): " + ("; ".join(changed) or "all names stay as they are")
        )


def _needed(headers: ExposureHeaders, engine: Engine) -> dict[str, str]:
    """Return the references that an exposure uses as its header stands, but for a dark that the run replaces."""
    return {need.keyword: need.name for need in engine.references(headers) if need.name and need.keyword != "DARKFILE"}


def _facts(headers: ExposureHeaders) -> dict[str, str]:
    return header_facts(headers.primary, *headers.sci_headers)


def _wavecal(headers: ExposureHeaders) -> ExposureHeaders | None:
    """Return the headers of the wavecal of an exposure, if it lies beside it."""
    name = headers.cards.file("WAVECAL")
    if not name:
        return None
    try:
        path = find_file(headers.path.parent / name)
    except MissingFileError:
        return None  # said elsewhere, if it matters
    return ExposureHeaders.read(path)


def _dark_of_wavecal_counts(headers: ExposureHeaders, wavecal: ExposureHeaders) -> bool:
    """Tell whether a wavecal is reduced with the dark of its own header: if the exposure has none subtracted."""
    return wavecal.switch("DARKCORR") == "PERFORM" != headers.switch("DARKCORR")


def _few(files: Sequence[str]) -> str:
    shown = list(dict.fromkeys(files))
    return ", ".join(shown[:5]) + (f" and {len(shown) - 5} more" if len(shown) > 5 else "")
