"""The references of a plan, brought up to date by CRDS: in the headers in memory, never in the user's files."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from astropy.io import fits

from gpucti.calibration.base import Engine
from gpucti.calibration.reffiles import reference_name
from gpucti.calibration.switches import FLATS, MAY_BE_BLANK
from gpucti.darks.anneals import AnnealPeriod
from gpucti.darks.weeks import DarkFile
from gpucti.errors import GpuctiError, MissingFileError
from gpucti.io.exposure import ExposureHeaders
from gpucti.io.fitsfile import find_file
from gpucti.references.crds import (
    OF_DARKS,
    OF_EXPOSURES,
    Asked,
    BestReferences,
    CrdsSetup,
    best_references,
    header_facts,
    rename,
)

Names = Mapping[str, str]


@dataclass
class Updates:
    """What CRDS changes.

    Attributes
    ----------
    names : dict
        By file, raw exposures and component darks: names of references by keyword, to be put into headers.
    unfetched : dict
        Why a reference file that is needed cannot be used, by name as it stands in a header.
    notes, problems
        See `gpucti.pipeline.planning.tasks.Plan`.
    """

    names: dict[Path, Names] = field(default_factory=dict)
    unfetched: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def update_references(
    exposures: Sequence[ExposureHeaders],
    own: Collection[Path],
    found: Mapping[str, DarkFile],
    periods: Iterable[AnnealPeriod],
    engine: Engine,
    setup: CrdsSetup,
) -> Updates:
    """Ask CRDS about exposures, their wavecals and the darks of some anneal periods, and rename in their headers.

    Parameters
    ----------
    exposures : sequence of ExposureHeaders
        Their primary headers are changed, in memory, and so are their ``wavecal_names``.
    own : collection of Path
        The exposures with a super-dark of their own: DARKFILE stays.
    found : mapping
        Darks on disk by exposure; those of `periods` are changed likewise.
    periods : iterable of AnnealPeriod
        Whose darks are needed.
    engine : Engine
        Knows which references an exposure needs.
    setup : CrdsSetup
        Server and cache.
    """
    listed = {dark.exposure for period in periods for dark in period.darks if not dark.too_short}
    update = _Update(own, [dark for name, dark in found.items() if name in listed], engine)
    update.run(exposures, setup)
    return update.result


class _Update:
    """Collects what CRDS answers, and what goes wrong with it."""

    def __init__(self, own: Collection[Path], darks: Sequence[DarkFile], engine: Engine) -> None:
        self.result = Updates()
        self._engine, self._own, self._darks = engine, own, darks
        self._changed: dict[tuple[str, str, str], int] = {}
        self._wavecals: dict[Path, ExposureHeaders] = {}

    def run(self, exposures: Sequence[ExposureHeaders], setup: CrdsSetup) -> None:
        """Ask, and rename in all headers."""
        self.result.notes += setup.notes
        asked: dict[Path, Asked] = {}
        needed: dict[Path, Mapping[str, str]] = {}
        try:
            for headers in exposures:
                asked[headers.path] = Asked(_facts(headers), OF_EXPOSURES)
                needed[headers.path] = self._needed(headers)
                if (wavecal := _wavecal(headers)) is not None:
                    self._wavecals[headers.path] = wavecal
                    more = ["DARKFILE"] if _has_own_dark(headers, wavecal) else []
                    asked[wavecal.path] = Asked(_facts(wavecal), [*OF_EXPOSURES, *more])
            for dark in self._darks:
                asked[dark.path] = Asked(_facts(ExposureHeaders.read(dark.path)), OF_DARKS)
            if not asked:
                return
            answer = best_references(asked, setup)
        except (GpuctiError, OSError) as error:
            self.result.problems.append(str(error))
            return
        self._errors(answer)
        for headers in exposures:
            self._exposure(headers, needed[headers.path], answer)
        for dark in self._darks:
            self._dark(dark, answer)
        self._unfetched(exposures, answer)
        self._tell(answer, setup)

    def _needed(self, headers: ExposureHeaders) -> dict[str, str]:
        """Return the references that an exposure uses as its header stands, but for a dark that the run replaces."""
        return {
            one.keyword: one.name for one in self._engine.references(headers) if one.name and one.keyword != "DARKFILE"
        }

    def _errors(self, answer: BestReferences) -> None:
        self.result.problems += [f"{path}: CRDS has no answer for it: {error}" for path, error in answer.errors.items()]

    def _exposure(self, headers: ExposureHeaders, needed: Mapping[str, str], answer: BestReferences) -> None:
        """Rename in the header of an exposure."""
        path = headers.path
        names = dict(answer.names.get(path, {}))
        if path in self._own:
            names.pop("DARKFILE", None)
        wavecal = self._wavecals.get(path)
        if wavecal is not None:
            its = answer.names.get(wavecal.path, {})
            if names.get("LAMPTAB", "N/A") == "N/A" and its.get("LAMPTAB", "N/A") != "N/A":
                names["LAMPTAB"] = its["LAMPTAB"]  # as CalSTIS takes it from the wavecal where the exposure has none
            spared = () if _has_own_dark(headers, wavecal) else ("DARKFILE",)  # the exposure's is used
            headers.wavecal_names.update(
                {keyword: name for keyword, name in its.items() if keyword in wavecal.primary and keyword not in spared}
            )
        reasons = answer.refused.get(path, {})
        for keyword, old in needed.items():  # those of the wavecal have keywords of their own, and no name here
            blank = names.get(keyword) == "N/A" and keyword not in (*MAY_BE_BLANK, *FLATS)
            if blank or keyword in reasons:
                self._none(path, keyword, old, reasons.get(keyword, "N/A for this header"))
            if keyword in names:
                self._count(headers.primary, keyword, names)
        self._rename(path, headers.primary, names)

    def _dark(self, dark: DarkFile, answer: BestReferences) -> None:
        """Rename in the header of a dark."""
        names, reasons = answer.names.get(dark.path, {}), answer.refused.get(dark.path, {})
        for keyword in ("DARKFILE", "CRREJTAB"):  # one tells the weeks apart, the other is used
            if names.get(keyword) == "N/A":
                old = reference_name(dark.primary, keyword)
                self._none(dark.path, keyword, old, reasons.get(keyword, "N/A for this header"))
            self._count(dark.primary, keyword, names)
        name = names.get("CRREJTAB", "")
        if name.partition("$")[2] in answer.failed:
            self.result.unfetched[name] = answer.failed[name.partition("$")[2]]
        self._rename(dark.path, dark.primary, names)

    def _none(self, path: Path, keyword: str, old: str, reason: str) -> None:
        self.result.problems.append(
            f"{path}: CRDS has no {keyword} for it ({reason}), and it is needed (now {old or 'blank'}); do without "
            "--crds_update"
        )

    def _rename(self, path: Path, header: fits.Header, names: Names) -> None:
        if names:
            rename(header, names)
            self.result.names[path] = names

    def _count(self, header: fits.Header, keyword: str, names: Names) -> None:
        old = reference_name(header, keyword)
        new = names.get(keyword, old)
        if new.lower() != old.lower():
            key = (keyword, old or "blank", new)
            self._changed[key] = self._changed.get(key, 0) + 1

    def _unfetched(self, exposures: Sequence[ExposureHeaders], answer: BestReferences) -> None:
        """Make one problem of all reference files that are needed and are not in the cache as they should be."""
        lines: dict[str, list[str]] = {}
        for headers in exposures:
            for keyword, name in self._needed(headers).items():
                reason = answer.failed.get(name.partition("$")[2])
                if reason is not None:
                    self.result.unfetched[name] = reason
                    lines.setdefault(f"{keyword:<8} {name}: {reason}", []).append(headers.path.name)
        for dark in self._darks:
            name = reference_name(dark.primary, "CRREJTAB")
            if name in self.result.unfetched:
                lines.setdefault(f"CRREJTAB {name}: {self.result.unfetched[name]}", []).append(dark.path.name)
        if lines:
            text = "".join(f"\n  {line} (for {_few(files)})" for line, files in lines.items())
            what = "1 reference file" if len(lines) == 1 else f"{len(lines)} reference files"
            self.result.problems.append(f"CRDS ({answer.context}) cannot provide {what}{text}")

    def _tell(self, answer: BestReferences, setup: CrdsSetup) -> None:
        server = setup.environment["CRDS_SERVER_URL"]
        if not answer.connected:
            self.result.notes.append(
                f"the CRDS server {server} was not asked or does not answer: rules and files are those of {setup.cache}"
                + (f", last brought up to date {answer.synced}" if answer.synced else "")
            )
        changed = [f"{key} {old} -> {new} ({count}x)" for (key, old, new), count in sorted(self._changed.items())]
        self.result.notes.append(
            f"best references by CRDS ({answer.context}): " + ("; ".join(changed) or "all names stay as they are")
        )


def _facts(headers: ExposureHeaders) -> dict[str, str]:
    return header_facts(headers.primary, *headers.sci_headers)


def _wavecal(headers: ExposureHeaders) -> ExposureHeaders | None:
    """Return the headers of the wavecal of an exposure, if it lies beside it."""
    name = reference_name(headers.primary, "WAVECAL")
    if not name:
        return None
    try:
        path = find_file(headers.path.parent / name)
    except MissingFileError:
        return None  # said elsewhere, if it matters
    return ExposureHeaders.read(path)


def _has_own_dark(headers: ExposureHeaders, wavecal: ExposureHeaders) -> bool:
    """Tell whether a wavecal is reduced with the dark of its own header: if the exposure has none subtracted."""
    return wavecal.switch("DARKCORR") == "PERFORM" != headers.switch("DARKCORR")


def _few(files: Sequence[str]) -> str:
    shown = list(dict.fromkeys(files))
    return ", ".join(shown[:5]) + (f" and {len(shown) - 5} more" if len(shown) > 5 else "")
