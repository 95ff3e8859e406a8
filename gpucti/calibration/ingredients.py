"""What the products of an exposure are made of, besides its pixels: every file that is opened, and the engine."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gpucti.calibration.auto import AutoEngine
from gpucti.calibration.base import Engine
from gpucti.calibration.reffiles import References
from gpucti.calibration.switches import read_work, required_references
from gpucti.errors import GpuctiError
from gpucti.io.exposure import ExposureHeaders, StisKeywords
from gpucti.io.fitsfile import find_file


def ingredients(
    headers: ExposureHeaders, engine: Engine, references: References, *, dark_is_made: bool
) -> dict[str, Any]:
    """Return what calibrating an exposure adds to its recipe (`gpucti.correction.provenance.recipe`).

    Parameters
    ----------
    headers : ExposureHeaders
        The exposure, as the run calibrates it.
    engine : Engine
        Which one it is, and of which version if it is not ours, counts: they need not agree in every bit.
    references : References
        Finds and digests the files.
    dark_is_made : bool
        The run makes the DARKFILE, whose recipe counts in its place.

    Raises
    ------
    InputError, ReferenceFileError
        A switch makes no sense, or a file cannot be read.
    """
    needed = required_references(headers, references, calstis=True)
    files = {
        required.keyword: references.digest(required.path)
        for required in needed
        if required.path is not None and not (required.keyword == "DARKFILE" and dark_is_made)
    }
    wavecal = next((need.path for need in needed if need.keyword == "WAVECAL"), None)
    exposures = [headers, *_wavecal(headers, wavecal, references)]
    for path in _temperatures(exposures, headers.path.parent):
        files[path.name] = references.digest(path)
    return {"references": files, "engine": _maker(engine, headers, references)}


def _maker(engine: Engine, headers: StisKeywords, references: References) -> str:
    """Return which engine calibrates an exposure; the version of ours is counted by `REVISION`."""
    if isinstance(engine, AutoEngine):
        engine = engine.choose(headers)
    return engine.name if engine.name == "native" else references.keep(("describe", engine.name), engine.describe)


def _wavecal(headers: ExposureHeaders, path: Path | None, references: References) -> list[ExposureHeaders]:
    """Return the headers of the wavecal that is used, if it can be read; if not, that is told of elsewhere."""
    if path is None or not read_work(headers).wavecal or not any(headers.path.parent.glob("*_epc.fits*")):
        return []
    try:
        return [references.keep(("wavecal", path), lambda: ExposureHeaders.read(path))]
    except GpuctiError:
        return []


def _temperatures(exposures: Iterable[StisKeywords], folder: Path) -> list[Path]:
    """Return the temperature (EPC) files of exposures that are there."""
    names = [f"{str(sci.get('EXPNAME', ''))[:8]}j_epc.fits" for each in exposures for sci in each.sci_headers]
    found = []
    for name in dict.fromkeys(names):
        try:
            found.append(find_file(folder / name))
        except GpuctiError:
            continue  # there is none
    return found
