"""The best fit of a profile to its template, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from gpucti.calibration.spectra.wavecal.peaks import NoShiftError, Profile, correlation_peak
from gpucti.detector import nint


@pytest.mark.parametrize(("value", "expected"), [(0.5, 1), (1.5, 2), (-0.5, -1), (-0.49, 0), (2.49, 2)])
def test_nearest(value: float, expected: int) -> None:
    assert nint(value) == expected


def test_correlation_peak() -> None:
    """Oracle: by hand: (1, 2, 1) two pixels on gives 1 4 6 4 1 around 2; flagged pixels do not count."""
    values, template = np.zeros(21), np.zeros(21)
    template[9:12] = values[11:14] = [1, 2, 1]
    good = np.ones(21, dtype=bool)
    assert correlation_peak(Profile(values, good), template, 7) == 2.0
    good[13] = False  # 2 5 4 1 around 2: the parabola through 2, 5, 4 peaks 0.25 beyond 5
    assert correlation_peak(Profile(values, good), template, 9) == 2.0 - 0.25
    with pytest.raises(NoShiftError, match="end of the 3 pixels"):
        correlation_peak(Profile(values, np.ones(21, dtype=bool)), template, 3)
    with pytest.raises(NoShiftError, match="every pixel is flagged"):
        correlation_peak(Profile(values, np.zeros(21, dtype=bool)), template, 7)
