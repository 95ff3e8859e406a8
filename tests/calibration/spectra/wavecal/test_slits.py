"""The shift of a slit's image: by its length, its ends, its bars, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from gpucti.calibration.base import Trailer
from gpucti.calibration.spectra.wavecal.peaks import NoShiftError, Profile
from gpucti.calibration.spectra.wavecal.slits import bars_shift, ends_shift, short_slit_shift


def test_short_slit() -> None:
    """Oracle: a slit from the middle of row 18 to that of row 22, moved up by three."""
    values = np.zeros(41)
    values[21:26] = [0.5, 1, 1, 1, 0.5]
    profile = Profile(values, np.ones(41, dtype=bool))
    assert short_slit_shift(profile, 20.0, 4.0, 15) == pytest.approx(3.0, abs=1e-12)
    with pytest.raises(NoShiftError, match="does not fit into 41 rows"):
        short_slit_shift(profile, 1.0, 6.0, 15)


def test_ends_of_a_slit() -> None:
    """Oracle: light on rows 12 to 31 begins between 11 and 12; expected are 10 and 30, so both ends are 1.5 on."""
    values = np.zeros(45)
    values[12:32] = 8
    good, trailer = np.ones(45, dtype=bool), Trailer()
    assert ends_shift(Profile(values, good), 20.0, 20.0, 15, trailer) == 1.5
    good[:14] = False
    assert ends_shift(Profile(values, good), 20.0, 20.0, 15, trailer) == 1.5
    assert "lower end of the slit not found: around row 10.0 fewer than 5 rows are good" in trailer.text
    with pytest.raises(NoShiftError, match="neither end"):
        ends_shift(Profile(values, ~good), 34.0, 2.0, 15, trailer)


def test_bars() -> None:
    """Oracle: the scene: two dark bars of 10 and 8 rows, each 3 rows above its place; even light otherwise."""
    values = np.full(300, 64.0)
    values[95:105] = values[200:208] = 0
    good = np.ones(300, dtype=bool)
    bars = [(96.5, 10.0), (200.5, 8.0)]
    trailer = Trailer()
    assert bars_shift(Profile(values, good), bars, 21, trailer) == pytest.approx(3.0, abs=1e-12)
    far = [(96.5, 10.0), (208.0, 8.0)]  # 3 and -4.5 apart by more than 5: the lighter one is left out
    assert bars_shift(Profile(values * 1.0, good), far, 21, trailer) == pytest.approx(3.0, abs=1e-12)
    assert "differ by 7.50 pixels" in trailer.text
    with pytest.raises(NoShiftError, match="no occulting bar is found"):
        bars_shift(Profile(np.full(300, 64.0), good), bars, 21, trailer)
    assert "bar 1 not found: its depth is 0 of what is expected" in trailer.text
    with pytest.raises(NoShiftError, match="fewer than two rows"):
        bars_shift(Profile(values, np.arange(300) == 7), bars, 21, trailer)
