"""What a recipe covers: every file that a calibration opens, the engine; each byte of them counts."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gpucti.backends import get_backend
from gpucti.calibration import get_engine
from gpucti.calibration.auto import AutoEngine
from gpucti.calibration.ingredients import ingredients
from gpucti.calibration.native import NativeEngine
from gpucti.calibration.reffiles import References
from gpucti.correction.provenance import recipe
from gpucti.io.exposure import Exposure, ExposureHeaders
from support.products import SUFFIXES
from support.visits import Case, edit, put

_opened: list[Path] | None = None


def _listen(event: str, arguments: tuple[Any, ...]) -> None:
    if _opened is not None and event == "open" and isinstance(arguments[0], (str, os.PathLike)):
        _opened.append(Path(arguments[0]))


@pytest.fixture
def own(case: Case, tmp_path: Path) -> Case:
    """Return the small visit with references of its own, and a temperature file for its wavecal too."""
    oref = tmp_path / "oref"
    shutil.copytree(case.oref, oref, copy_function=os.link)
    [wavecal] = case.science.glob("*_wav.fits")
    [temperatures, *_] = sorted(case.science.glob("*_epc.fits"))
    edit(wavecal, 1, EXPNAME="owave01aq")
    shutil.copy(temperatures, case.science / "owave01aj_epc.fits")
    return replace(case, oref=oref)


def spectrum(case: Case) -> Path:
    [wavecal] = case.science.glob("*_wav.fits")
    return wavecal.with_name(wavecal.name.replace("_wav", "_raw"))


def tools(case: Case) -> tuple[NativeEngine, References]:
    references = References({"oref": f"{case.oref}/"})
    engine = get_engine("native", get_backend("cpu"), references)
    assert isinstance(engine, NativeEngine)
    return engine, references


def digested(case: Case, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the files that count."""
    found: list[Path] = []
    engine, references = tools(case)
    digest = References.digest
    with monkeypatch.context() as patched:
        patched.setattr(References, "digest", lambda self, path: found.append(path) or digest(self, path))
        ingredients(ExposureHeaders.read(spectrum(case)), engine, references, dark_is_made=False)
    return found


@pytest.mark.slow
def test_every_file_that_is_opened_counts(own: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: Python's own reports of the files it opens, while the engine calibrates a spectrum from the raw frame."""
    global _opened
    known = {path.resolve() for path in digested(own, monkeypatch)}
    engine, _ = tools(own)
    raw = Exposure.read(spectrum(own))
    sys.addaudithook(_listen)  # stays, deaf, until Python ends
    _opened = []
    try:
        blt = engine.subtract_bias(raw).exposure
        made = engine.calibrate(blt, tmp_path, SUFFIXES)
        opened = {path.resolve() for path in _opened}
    finally:
        _opened = None
    assert {"flt", "x2d", "x1d"} <= set(made.products)
    inputs = {path for path in opened if own.oref.resolve() in path.parents or own.science.resolve() in path.parents}
    assert len(inputs) >= 20 and inputs <= known
    assert (own.science / "owave01aj_epc.fits").resolve() in inputs


@pytest.mark.slow
def test_each_byte_counts(own: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the files above; the last byte of one after the other is another."""

    def recipe_now() -> str:
        engine, references = tools(own)
        headers = ExposureHeaders.read(spectrum(own))
        return recipe(raw=headers.sha256, **ingredients(headers, engine, references, dark_is_made=False))

    paths = list(dict.fromkeys([spectrum(own), *digested(own, monkeypatch)]))
    assert {"_raw", "_wav", "_epc"} <= {path.stem[-4:] for path in paths} and len(paths) >= 20
    before = recipe_now()
    seen = {before}
    for path in paths:
        content = path.read_bytes()
        put(path, content[:-1] + bytes([content[-1] ^ 1]))
        seen.add(recipe_now())
        put(path, content)
    assert len(seen) == 1 + len(paths)
    assert recipe_now() == before


def test_the_engine_counts(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: which engine `auto` takes for the exposure, and the version of one that is not ours."""

    class Other:
        name = "hstcal"
        version = "3.5.0"

        def describe(self) -> str:
            return f"hstcal, CalSTIS {self.version}"

    engine, references = tools(case)
    headers = ExposureHeaders.read(spectrum(case))
    monkeypatch.setattr(References, "digest", lambda self, path: "")

    def made_by(chosen: Any) -> str:
        found: str = ingredients(headers, chosen, References(references.environment), dark_is_made=True)["engine"]
        return found

    other: Any = Other()
    assert made_by(engine) == made_by(AutoEngine(engine, None)) == made_by(AutoEngine(engine, other)) == "native"
    assert made_by(other) == "hstcal, CalSTIS 3.5.0"
    monkeypatch.setattr(NativeEngine, "supports", lambda self, exposure: ["It cannot."])
    assert made_by(AutoEngine(engine, None)) == "native"
    assert made_by(AutoEngine(engine, other)) == "hstcal, CalSTIS 3.5.0"
    monkeypatch.setattr(Other, "version", "3.6.0")
    assert made_by(AutoEngine(engine, other)) == "hstcal, CalSTIS 3.6.0"
