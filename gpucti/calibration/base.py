"""What an engine is: from a raw exposure to a bias-subtracted one, and from a CTI-corrected one to products."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from gpucti.errors import InputError, ReferenceFileError
from gpucti.io.atomic import refuse_existing
from gpucti.io.exposure import Exposure, StisKeywords

#: What CalSTIS calls its products, in the order it makes them.
KINDS = ("crj", "flt", "sx2", "x2d", "sx1", "x1d")

#: What the products are called in messages.
MEANING = {
    "crj": "combined image",
    "flt": "single images",
    "sx2": "combined and rectified",
    "x2d": "rectified",
    "sx1": "extracted spectrum of the combined image",
    "x1d": "extracted spectrum",
}


class Required(NamedTuple):
    """A reference file that calibrating one exposure needs.

    Attributes
    ----------
    keyword : str
        Where its name stands, in the primary header.
    name : str
        The name as it stands there; empty if the keyword is missing or blank.
    path : Path or None
        The file; None if it is not found.
    """

    keyword: str
    name: str
    path: Path | None


@dataclass(frozen=True)
class Calibrated:
    """What `Engine.calibrate` made.

    Attributes
    ----------
    products : mapping
        Files written, by CalSTIS's kind (one of `KINDS`).
    omitted : tuple of str
        One sentence for each product that the header asks for and that was not made.
    trailer : str
        What was done, a line per step: the text of the ``_trc.txt`` file.
    doubts : tuple of str
        One sentence for each thing that was made and may be wrong.
    engine : str
        Name of the engine that made it.
    """

    products: Mapping[str, Path]
    omitted: tuple[str, ...] = ()
    trailer: str = ""
    doubts: tuple[str, ...] = ()
    engine: str = ""


@dataclass(frozen=True)
class BiasSubtracted:
    """What `Engine.subtract_bias` made: the exposure in memory, and the text of the ``_trb.txt`` file."""

    exposure: Exposure
    trailer: str = ""


@dataclass
class Trailer:
    """Collects what calibration steps say, a line each: the text of a trailer file."""

    lines: list[str] = field(default_factory=list)

    def say(self, line: str) -> None:
        """Add a line."""
        self.lines.append(line)

    @property
    def text(self) -> str:
        """All lines, each with its line feed."""
        return "".join(f"{line}\n" for line in self.lines)


def product_paths(
    exposure: StisKeywords, kinds: Collection[str], outdir: Path, suffixes: Mapping[str, str]
) -> dict[str, Path]:
    """Return where the products of these kinds go, in CalSTIS's order; none of these files exists.

    Raises
    ------
    InputError
        `suffixes` has no name for one.
    OutputExistsError
        One exists.
    """
    unnamed = [kind for kind in kinds if not suffixes.get(kind)]
    if unnamed:
        raise InputError(f"makes {', '.join(unnamed)}, for which `suffixes` has no name; add them", where=exposure.path)
    root = exposure.path.name.partition(".")[0].partition("_")[0]
    paths = {kind: outdir / f"{root}_{suffixes[kind]}.fits" for kind in KINDS if kind in kinds}
    for path in paths.values():
        refuse_existing(path, overwrite=False)
    return paths


def sentence_on(what: str, reason: str, suffixes: Mapping[str, str]) -> str:
    """Return why something is not made as a sentence that says what, if `what` is a kind of product."""
    return f"No {suffixes.get(what, what)} ({MEANING[what]}): {reason}." if what in MEANING else f"{reason}."


def require_found(exposure: StisKeywords, needed: Sequence[Required]) -> None:
    """Raise `ReferenceFileError` that names all of the reference files that are not found."""
    missing = [need for need in needed if need.path is None]
    if missing:
        names = ", ".join(f"{need.keyword} ({need.name or 'blank'})" for need in missing)
        raise ReferenceFileError(
            f"reference files are missing: {names}; check the names and the folders (oref) they point to",
            where=exposure.path,
        )


class Engine(Protocol):
    """Calibrates single exposures; its `References` keep the reference files.

    Exposures carry the path of the file they are, or would be: temperature (EPC) files and wavecals are looked for
    beside it. Inputs are never changed. Errors: `InputError` for the exposure, `ReferenceFileError` for what it is
    calibrated with, `EngineError` where the calibration itself fails.
    """

    name: str

    def describe(self) -> str:
        """Return in a few words what runs, with its version."""

    def supports(self, exposure: StisKeywords) -> list[str]:
        """Return why this engine cannot make what the header asks for, a sentence each; empty if it can."""

    def references(self, exposure: StisKeywords) -> list[Required]:
        """Return every reference file that calibrating this exposure from raw to the end would open."""

    def subtract_bias(self, raw: Exposure) -> BiasSubtracted:
        """Return the exposure after DQICORR, BLEVCORR and BIASCORR, with errors, as CalSTIS's basic2d makes it."""

    def calibrate(self, exposure: Exposure, outdir: Path, suffixes: Mapping[str, str]) -> Calibrated:
        """Do what is left to PERFORM in the header and write the products into `outdir`.

        Parameters
        ----------
        exposure : Exposure
            Bias-subtracted, here usually CTI-corrected.
        outdir : Path
            An existing folder; nothing in it is replaced.
        suffixes : mapping
            From CalSTIS's kind to the suffix of the file, ``{"flt": "flc"}``: ``<root>_<suffix>.fits``, where root is
            the name of ``exposure.path`` up to its first underscore. FILENAME is right in every product.
        """

    def close(self) -> None:
        """End the processes that it holds between calls, if any; the next call starts them anew."""
