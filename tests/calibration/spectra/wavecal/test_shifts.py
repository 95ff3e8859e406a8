"""The shifts of a rectified lamp: against CalSTIS's own, and worked by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gpucti.calibration.base import Trailer
from gpucti.calibration.reffiles import References, stored_double
from gpucti.calibration.spectra.aperture import read_slit
from gpucti.calibration.spectra.wavecal.lamps import read_lamp, read_search_parameters
from gpucti.calibration.spectra.wavecal.shifts import UNDEFINED, Shifts, find_shifts, running_mean
from gpucti.io.exposure import Exposure
from support.recorded import calstis
from support.shift_cases import CASES, input_digest

RECORDED = calstis("shifts")


def search(path: Path, trailer: Trailer) -> Shifts:
    """Return the shifts of a case."""
    given = Exposure.read(path)
    references = References({}).of(given)
    parameters = read_search_parameters(references, trailer)
    lamp, slit = read_lamp(references), read_slit(references, given.primary["APERTURE"])
    return find_shifts(given.imsets[0], given.sci_cards[0], slit, lamp, parameters, e_rows=False, trailer=trailer)


def test_every_case_is_recorded() -> None:
    assert list(RECORDED) == list(CASES)


@pytest.mark.parametrize("name", CASES)
def test_shifts(name: str, tmp_path: Path) -> None:
    """Oracle: CalSTIS 3.5.0's cs4, recorded: every digit that it stores; an undefined shift comes with a reason."""
    path, trailer = CASES[name].build(tmp_path), Trailer()
    assert input_digest(path) == RECORDED[name]["input"], "not the file that CalSTIS was given"
    found = search(path, trailer)[:2]
    assert [stored_double(shift) for shift in found] == RECORDED[name]["shifts"]
    for shift, direction in zip(found, ("along", "across"), strict=True):
        assert (f"shift {direction} the dispersion not found: " in trailer.text) == (shift == UNDEFINED)


def test_a_shifted_lamp_is_found_where_it_is(tmp_path: Path) -> None:
    """Oracle: the scene: moved by whole pixels more, its shift grows by as much (physical law).

    Noise of the pixels, which does not move, and the tilt of the light along the slit allow for 0.3 rows.
    """
    first, second = (
        search(replace(CASES["bars"], shift=shift).build(tmp_path / str(n)), Trailer())
        for n, shift in enumerate(((1.25, 2.5), (-6.75, 8.5)))
        if not (tmp_path / str(n)).mkdir()
    )
    assert second.dispersion - first.dispersion == pytest.approx(-8, abs=0.01)
    assert second.spatial - first.spatial == pytest.approx(6, abs=0.3)


@pytest.mark.parametrize(
    ("width", "expected"),
    [(1.9, [0, 9, 0, 0]), (2.0, [3, 3, 3, 0]), (3.9, [3, 3, 3, 0]), (4.0, [1.8, 1.8, 1.8, 1.8]), (1e9, [1] * 4)],
)
def test_running_mean(width: float, expected: list[float]) -> None:
    """Oracle: by hand: rounded down, and up to the next odd number; at least 3. A box is never much larger than all."""
    assert running_mean(np.array([0.0, 9.0, 0.0, 0.0]), width) == pytest.approx(expected)
