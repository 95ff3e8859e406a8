"""The native engine against what the real CalSTIS made of the same files, case by case (tests/calstis/README.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from gpucti.backends import get_backend
from gpucti.calibration.base import Trailer
from gpucti.calibration.basic2d.basic2d import basic2d
from gpucti.calibration.crreject.crreject import reject_cosmic_rays
from gpucti.calibration.geometry import geocorr
from gpucti.calibration.native import NativeEngine
from gpucti.calibration.reffiles import References
from gpucti.io.exposure import Exposure
from support.calstis_cases import CASES, Case, digest
from support.recorded import calstis
from support.summaries import compare, summarize

EXPECTED = calstis("expected")
#: The low-order flat's flags are taken row by row by default; CalSTIS takes those of the last row for all.
OPTIONS: dict[str, dict[str, Any]] = {"flat_l_flags": {"strict": True}}
KINDS = ("crj", "flt", "sx2", "x2d")


def run(case: Case, inputs: list[Path], folder: Path, **options: Any) -> dict[str, Exposure]:
    """Return what the native engine makes of a case."""
    backend = get_backend("numpy")
    given: dict[str, Any] = {"references": References({}), "backend": backend, "trailer": Trailer()}
    exposures = [Exposure.read(path) for path in inputs]
    if case.program == "cs1":
        return {"out": basic2d(exposures[0], case.steps, **given, **options)}
    if case.program == "cs7":
        return {"out": geocorr(exposures[0], **given)}
    if case.program == "cs2":
        combined, rewritten = reject_cosmic_rays(exposures, **given)
        return {"out": combined} | {f"input{number}": each for number, each in enumerate(rewritten, start=1)}
    (folder / "out").mkdir()
    made = NativeEngine(backend, References({})).calibrate(exposures[0], folder / "out", {kind: kind for kind in KINDS})
    assert len(made.omitted) == (case.name == "flow_only_combined")  # no flt
    return {kind: Exposure.read(path) for kind, path in made.products.items()}


def without_bad_imsets(recorded: dict[str, Any]) -> dict[str, Any]:
    """Return a recorded product without the image sets that CalSTIS could not calibrate: basic2d leaves them out."""
    good = [each for each in recorded["imsets"] if each["sci_header"].get("IMSET_OK") is not False]
    return {"primary": recorded["primary"] | {"NEXTEND": 3 * len(good)}, "imsets": good}


def test_every_case_is_recorded() -> None:
    """The recording belongs to the cases."""
    assert list(EXPECTED) == list(CASES)


@pytest.mark.parametrize("name", CASES)
def test_case(name: str, tmp_path: Path) -> None:
    """Oracle: CalSTIS 3.5.0, recorded: the same bits in SCI, ERR and DQ, the same keywords to the digits stored."""
    case, recorded = CASES[name], EXPECTED[name]
    inputs = case.build(tmp_path)
    for path, pixels in zip(inputs, recorded["inputs"], strict=True):
        with fits.open(path) as hdus:
            made = [digest(hdu.data) for hdu in hdus if getattr(hdu, "data", None) is not None]
        assert made == pixels, f"{path.name} is not the file that CalSTIS was given"
    outputs = run(case, inputs, tmp_path, **OPTIONS.get(name, {}))
    summaries = {key: summarize(exposure) for key, exposure in outputs.items()}
    expected = {
        key: without_bad_imsets(value) if case.program == "cs1" else value for key, value in recorded["outputs"].items()
    }
    differences = compare(summaries, expected, name)
    assert not differences, "\n".join(differences)


def test_flags_of_the_low_order_flat_are_taken_row_by_row(tmp_path: Path) -> None:
    """Oracle: CalSTIS, recorded, but for DQ: its rows are all alike, ours follow the low-order flat."""
    case = CASES["flat_l_flags"]
    inputs = case.build(tmp_path)
    made = run(case, inputs, tmp_path)["out"]
    recorded = EXPECTED["flat_l_flags"]["outputs"]["out"]["imsets"]
    assert [digest(imset.sci) for imset in made.imsets] == [imset["sci"] for imset in recorded]
    assert [digest(imset.err) for imset in made.imsets] == [imset["err"] for imset in recorded]
    before = Exposure.read(inputs[0]).imsets[0].dq
    with fits.open(tmp_path / "case_lfl.fits") as low:
        low_dq = low["DQ"].data
    centres = np.s_[2::4, 4::8]  # 4 x 8 pixels a cell; these rows and columns interpolate cells j, j + 1 and i, i + 1
    cells = low_dq.copy()
    cells[:-1] |= low_dq[1:]
    cells[:, :-1] |= cells[:, 1:].copy()
    flat = (made.imsets[0].dq & ~before)[centres]
    assert np.array_equal(flat & 32, cells & ~before[centres] & 32)


def test_digest_tells_bits_but_not_kinds_of_nan() -> None:
    """Oracle: definition."""
    one = np.array([1.0, np.nan], dtype=np.float32)
    assert digest(one) == digest(np.array([1.0, -np.nan], dtype=">f4")) != digest(np.array([-1.0, np.nan], dtype="f4"))
