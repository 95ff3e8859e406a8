"""The science side of a plan: which dark an exposure gets, what was made of it before, and what will be made now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from gpucti.calibration.base import Engine
from gpucti.calibration.reffiles import References, reference_name
from gpucti.calibration.switches import required_references
from gpucti.correction.provenance import RECIPE, Provenance, recipe
from gpucti.errors import InputError, MissingFileError
from gpucti.io.exposure import ExposureHeaders
from gpucti.io.fitsfile import find_file, keyword, read_hdus
from gpucti.io.headers import read_primary
from gpucti.io.selection import root_of
from gpucti.pipeline.options import RunOptions
from gpucti.pipeline.planning.tasks import (
    CORRECTED,
    OMITTED,
    PARTIAL,
    PRODUCTS,
    SUFFIXES,
    TRAILERS,
    Folders,
    ScienceTask,
    SuperdarkTask,
)
from gpucti.references.names import resolve_reference

#: What earlier runs, ours or stis_cti's, may have left beside a raw file.
OLD_SUFFIXES = (*(f"{CORRECTED}_{kind}" for kind in SUFFIXES), *SUFFIXES.values(), CORRECTED, "blt")


class SciencePlan(NamedTuple):
    """What `plan_science` found out.

    Attributes
    ----------
    task : ScienceTask
        What is to be done.
    deletions : list of Path
        Old files that go first.
    problem : str or None
        What stands in the way.
    """

    task: ScienceTask
    deletions: list[Path]
    problem: str | None = None


def require_science_folder(folder: Path) -> None:
    """Raise `MissingFileError` or `InputError` unless there is a folder of that name."""
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "no such folder"
        error = InputError if folder.exists() else MissingFileError
        raise error(f"{what}; give the folder with the raw exposures (*_raw.fits)", where=folder)


def own_superdark(headers: ExposureHeaders, folders: Folders, environment: Mapping[str, str]) -> Path | None:
    """Return the DARKFILE of an exposure if it is a user's own CTI-corrected super-dark, else None.

    One in the folder of super-darks is not a user's own, whoever made it.
    """
    path = resolve_reference(reference_name(headers.primary, "DARKFILE"), headers.path.parent, environment)
    if path is None or path.resolve().is_relative_to(folders.ref.resolve()):
        return None
    header = read_primary(path)  # the rest of a file that will be replaced does not matter
    return path if keyword(header, "PCTECORR", f"{path}[0]", default="") == "COMPLETE" else None


def waiting_task(headers: ExposureHeaders, provenance: Provenance) -> ScienceTask:
    """Return what stands in a plan for an exposure whose super-dark cannot be planned; such a plan does not run."""
    dark = "none can be made"
    return ScienceTask(headers, root_of(headers.path), "", None, dark, provenance, "", False, "see below")


def plan_science(
    headers: ExposureHeaders,
    superdark: SuperdarkTask | None,
    own: Path | None,
    options: RunOptions,
    provenance: Provenance,
    references: References,
    engine: Engine,
) -> SciencePlan:
    """Plan one exposure.

    Old outputs that this run would not make as they are stand in its way, unless `clean` is asked for.

    Raises
    ------
    InputError, ReferenceFileError
        The exposure or a file that it needs cannot be used.
    """
    root = root_of(headers.path)
    if superdark is not None:
        darkfile, dark = f"$ctirefs/{superdark.path.name}", superdark.path.name
    elif own is not None:
        darkfile, dark = "", f"{own} (your own)"
    else:
        darkfile, dark = "", "none (DARKCORR is not PERFORM)"
    digest = recipe(
        kind="science",
        raw=references.digest(headers.path),
        superdark=None if superdark is None else superdark.recipe,
        references=_digests(headers, references, superdark is not None),
        **provenance.ingredients,
    )
    shortcomings = tuple(engine.supports(headers))
    old = _old_outputs(headers.path.parent, root)
    reuse, why = _judge(headers.path.parent, root, digest, falls_short=bool(shortcomings))
    task = ScienceTask(headers, root, darkfile, superdark, dark, provenance, digest, reuse, why, shortcomings)
    if options.clean or options.clean_all:
        why = "made anew (clean)" if old else "new"
        return SciencePlan(replace(task, reuse=False, why=why), old)
    strangers = [] if reuse else [path for path in old if _recipe_of(path) != digest]
    if strangers:
        names = ", ".join(path.name for path in strangers)
        problem = (
            f"{headers.path}: outputs of an earlier, different run exist: {names}; remove them, or let --clean do it"
        )
        return SciencePlan(replace(task, why="old outputs are in the way, see below"), [], problem)
    return SciencePlan(task, [])


def _judge(folder: Path, root: str, digest: str, *, falls_short: bool) -> tuple[bool, str]:
    """Return whether all products of an exposure are there as this run would make them, and why or why not."""
    kept = folder / f"{root}_{CORRECTED}.fits"
    if not kept.is_file() or _recipe_of(kept) != digest:
        return False, "new"
    header = read_hdus(kept)[0][0].header
    products = [folder / f"{root}_{suffix}.fits" for suffix in str(header.get(PRODUCTS, "")).split()]
    if not products or not all(path.is_file() and _recipe_of(path) == digest for path in products):
        return False, "products are incomplete"
    if header.get(PARTIAL, False) and not falls_short:
        return False, "more products can be made now"
    left = f"; not all that its header asks for, see {root}_{TRAILERS[1]}" if header.get(OMITTED) else ""
    return True, f"made from the same files, table and options{left}"


def _recipe_of(path: Path) -> str:
    """Return the digest that a product carries; empty if it is damaged, or not ours."""
    try:
        return str(read_hdus(path)[0][0].header.get(RECIPE, ""))
    except InputError:
        return ""


def _old_outputs(folder: Path, root: str) -> list[Path]:
    names = [f"{root}_{suffix}.fits{gz}" for suffix in OLD_SUFFIXES for gz in ("", ".gz")]
    return [path for path in (folder / name for name in names) if path.exists()]


def _digests(headers: ExposureHeaders, references: References, dark_is_made: bool) -> dict[str, str]:
    """Return the digests of all files besides the raw one that the products depend on, whichever engine makes them."""
    digests = {
        required.keyword: references.digest(required.path)
        for required in required_references(headers, references, calstis=True)
        if required.path is not None and not (required.keyword == "DARKFILE" and dark_is_made)
    }
    for path in _beside(headers):
        digests[path.name] = references.digest(path)
    return digests


def _beside(headers: ExposureHeaders) -> list[Path]:
    """Return the temperature files and the wavecal of an exposure that are there."""
    folder = headers.path.parent
    names = [f"{str(sci.get('EXPNAME', ''))[:8]}j_epc.fits" for sci in headers.sci_headers]
    wavecal = reference_name(headers.primary, "WAVECAL")
    found = []
    for name in dict.fromkeys([*names, wavecal]):
        try:
            if name:
                found.append(find_file(folder / name))
        except InputError:
            continue  # there is none
    return found
