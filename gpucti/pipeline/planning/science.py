"""The science side of a plan: which dark an exposure gets, what was made of it before, and what will be made now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

from gpucti.calibration.ingredients import ingredients
from gpucti.correction.provenance import RECIPE, recipe
from gpucti.errors import InputError, MissingFileError, OutputExistsError
from gpucti.io.cards import Cards
from gpucti.io.exposure import ExposureHeaders
from gpucti.io.fitsfile import read_hdus
from gpucti.io.headers import read_primary
from gpucti.io.selection import root_of
from gpucti.pipeline.options import RunOptions
from gpucti.pipeline.planning.problems import Problems
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
    Tools,
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
    """

    task: ScienceTask
    deletions: list[Path]


class DarkSources(NamedTuple):
    """Where darks come from.

    Attributes
    ----------
    users : mapping
        A super-dark of the user's own, by exposure.
    of_run : set of Path
        The exposures that need a super-dark of the run.
    """

    users: Mapping[Path, Path]
    of_run: Set[Path]


def require_science_folder(folder: Path) -> None:
    """Raise `MissingFileError` or `InputError` unless there is a folder of that name."""
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "no such folder"
        error = InputError if folder.exists() else MissingFileError
        raise error(f"{what}; give the folder with the raw exposures (*_raw.fits)", where=folder)


def dark_sources(
    exposures: Sequence[ExposureHeaders], folders: Folders, environment: Mapping[str, str] | None, problems: Problems
) -> DarkSources:
    """Return where the dark of each exposure comes from, if one is to be subtracted.

    A user's own super-dark is CTI-corrected, and not in the folder of super-darks, whoever made it.
    """
    users: dict[Path, Path] = {}
    of_run: set[Path] = set()
    read = cache(read_primary)  # exposures of one week name one file
    for headers in exposures:
        with problems.leaving_out(headers.path):
            if headers.switch("DARKCORR") != "PERFORM":
                continue
            path = resolve_reference(headers.cards.file("DARKFILE"), headers.path.parent, environment)
            if path is None or path.resolve().is_relative_to(folders.ref.resolve()):
                of_run.add(headers.path)
                continue
            cards = Cards(read(path), f"{path}[0]")  # the rest of a file that will be replaced does not matter
            if cards.value("PCTECORR", default="") == "COMPLETE":
                users[headers.path] = path
            else:
                of_run.add(headers.path)
    return DarkSources(users, of_run)


def waiting_task(headers: ExposureHeaders) -> ScienceTask:
    """Return what stands in a plan for an exposure whose darks are missing; such a plan does not run as it is."""
    return ScienceTask(headers, root_of(headers.path), "", None, "darks are missing", "", False, "see below")


def plan_science(
    headers: ExposureHeaders,
    superdark: SuperdarkTask | None,
    users_superdark: Path | None,
    options: RunOptions,
    tools: Tools,
) -> SciencePlan:
    """Plan one exposure.

    Old outputs that this run would not make as they are stand in its way, unless `clean` is asked for.

    Raises
    ------
    InputError, ReferenceFileError
        The exposure or a file that it needs cannot be used.
    OutputExistsError
        Old outputs are in its way.
    """
    root = root_of(headers.path)
    if superdark is not None:
        darkfile, dark = f"$ctirefs/{superdark.path.name}", superdark.path.name
    elif users_superdark is not None:
        darkfile, dark = "", f"{users_superdark} (your own)"
    else:
        darkfile, dark = "", "none (DARKCORR is not PERFORM)"
    digest = recipe(
        kind="science",
        raw=headers.sha256,
        superdark=None if superdark is None else superdark.recipe,
        **ingredients(headers, tools.engine, tools.references, dark_is_made=superdark is not None),
        **tools.provenance.ingredients,
    )
    shortcomings = tuple(tools.engine.supports(headers))
    old = _old_outputs(headers.path.parent, root)
    reuse, why = _judge(headers.path.parent, root, digest, falls_short=bool(shortcomings))
    task = ScienceTask(headers, root, darkfile, superdark, dark, digest, reuse, why, shortcomings)
    if options.clean or options.clean_all:
        why = "made anew (clean)" if old else "new"
        return SciencePlan(replace(task, reuse=False, why=why), old)
    strangers = [] if reuse else [path for path in old if _recipe_of(path) != digest]
    if strangers:
        names = ", ".join(path.name for path in strangers)
        raise OutputExistsError(
            f"outputs of an earlier, different run exist: {names}; remove them, or let --clean do it",
            where=headers.path,
        )
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
