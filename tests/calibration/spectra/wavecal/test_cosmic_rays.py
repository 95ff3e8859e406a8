"""Cosmic rays of a wavecal, worked by hand."""

from __future__ import annotations

import numpy as np

from gpucti.calibration.spectra.wavecal.cosmic_rays import flag_cosmic_rays
from gpucti.calibration.spectra.wavecal.lamps import SearchParameters


def test_cosmic_rays_of_a_wavecal() -> None:
    """Oracle: by hand: 60 among values around 10; behind a bar (bit 8) light as bright as the lit rows may be light."""
    sci = np.tile(np.array([9, 10, 11, 10, 9, 11, 60, 10, 0, 1, 60, 10], dtype=np.float32)[:, None], (1, 3))
    dq = np.zeros(sci.shape, dtype=np.int16)
    dq[8:] = 8
    dq[6, 1] = 16 | 8  # masked now
    dq[6, 2] = 512
    flagged = flag_cosmic_rays(sci, dq, 512 | 8192, SearchParameters())
    assert np.argwhere(flagged != dq).tolist() == [[6, 0], [6, 1], [10, 0], [10, 1], [10, 2]]
    assert (flagged[flagged != dq] & 8192 == 8192).all() and dq[6, 0] == 0
