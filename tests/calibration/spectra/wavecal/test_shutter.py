"""Light of the target in a wavecal: worked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gpucti.calibration.base import Trailer
from gpucti.calibration.spectra.wavecal.shutter import subtract_science
from gpucti.io.exposure import Exposure, ImageSet
from support.shift_cases import wavecal
from support.stis_files import change


def lit(values: Any, exptime: float, **cards: Any) -> Exposure:
    """Return an old wavecal or exposure of one or more image sets of float32 counts, 8 x 8 pixels before binning."""
    made = wavecal(len(values), TEXPSTRT=51000.0, APERTURE="52X0.1", ATODGAIN=1.0, **cards)
    imsets = []
    for number, (imset, value) in enumerate(zip(made.imsets, values, strict=True)):
        sci = np.asarray(value, dtype=np.float32)
        change(imset.headers[0], EXPTIME=exptime, EXPSTART=50000.0 + number, EXPEND=50000.0 + number)
        change(imset.headers[0], LTM1_1=sci.shape[1] / 8, LTM2_2=sci.shape[0] / 8)
        change(imset.headers[0], LTV1=(1 - sci.shape[1] / 8) / 2, LTV2=(1 - sci.shape[0] / 8) / 2)
        imsets.append(ImageSet(sci, sci, imset.dq[: sci.shape[0], : sci.shape[1]], imset.headers))
    return made.with_imsets(imsets)


def test_light_of_the_target_is_subtracted() -> None:
    """Oracle: by hand: exposure times 10 s and 40 s, gains 1 and 2: a half; the image set nearest in time."""
    science = lit([np.full((8, 8), 100), np.arange(64).reshape(8, 8)], 40.0)
    science.primary["ATODGAIN"] = 2.0
    given = lit([np.full((8, 8), 70)], 10.0)
    change(given.imsets[0].headers[0], EXPSTART=50000.9, EXPEND=50000.9)
    trailer = Trailer()
    made = subtract_science(given, science, trailer)
    assert np.array_equal(made.imsets[0].sci, 70 - np.arange(64).reshape(8, 8) / 2)
    assert np.array_equal(made.imsets[0].err, given.imsets[0].err) and (given.imsets[0].sci == 70).all()
    assert "0.5 times imset 2 of the exposure subtracted" in trailer.text


def test_light_of_the_target_in_other_pixels() -> None:
    """Oracle: by hand: counts of small pixels add up in a large one; a large one is shared by the small ones in it."""
    fine, coarse = np.arange(64).reshape(8, 8), np.arange(16).reshape(4, 4)
    made = subtract_science(lit([np.zeros((4, 4))], 10.0), lit([fine], 10.0), Trailer())
    assert np.array_equal(made.imsets[0].sci, -fine.reshape(4, 2, 4, 2).sum(axis=(1, 3)))
    made = subtract_science(lit([np.zeros((8, 8))], 10.0), lit([coarse], 10.0), Trailer())
    assert np.array_equal(made.imsets[0].sci, -np.kron(coarse, np.ones((2, 2))) / 4)


@pytest.mark.parametrize(
    ("cards", "said"), [({"TEXPSTRT": 51126.0}, ""), ({"SCLAMP": "LINE"}, ""), ({"APERTURE": "52X2"}, "APERTURE of")]
)
def test_no_light_of_the_target(cards: dict[str, Any], said: str) -> None:
    """Oracle: CalSTIS: only old lamps behind the shutter, and only the same aperture."""
    science, given = lit([np.ones((8, 8))], 10.0), lit([np.ones((8, 8))], 10.0)
    change(given.primary, **cards)
    trailer = Trailer()
    assert subtract_science(given, science, trailer) is given
    assert said in trailer.text and bool(said) == bool(trailer.text)
