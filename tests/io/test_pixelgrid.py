"""Where pixels lie on the detector. Oracle: the definition image = reference * LTM + LTV, worked out by hand."""

from __future__ import annotations

import pytest
from astropy.io import fits

from gpucti.errors import InputError
from gpucti.io.cards import Cards
from gpucti.io.pixelgrid import PixelGrid


def grid(**cards: float) -> PixelGrid:
    return PixelGrid.of(Cards(fits.Header(cards), "x[SCI,1]"))


def test_a_full_frame() -> None:
    assert grid() == PixelGrid((1.0, 1.0), (0.0, 0.0))
    assert (grid().bin, grid().corner, grid().zero) == ((1, 1), (0, 0), (0.0, 0.0))


def test_a_raw_frame_begins_in_the_overscan() -> None:
    """19 columns and 20 rows before the first illuminated pixel."""
    raw = grid(LTV1=19.0, LTV2=20.0)
    assert (raw.corner, raw.zero) == ((-19, -20), (19.0, 20.0))


def test_a_binned_image() -> None:
    """Binned 2 x 4: the middle of image pixel 1 lies at reference pixel 1.5 and 2.5, so LTV is 0.25 and 0.375."""
    binned = grid(LTM1_1=0.5, LTM2_2=0.25, LTV1=0.25, LTV2=0.375)
    assert (binned.bin, binned.corner) == ((2, 4), (0, 0))


def test_a_subarray() -> None:
    """Its pixel 1 is detector pixel 101 of a row, 201 of a column."""
    assert grid(LTV1=-100.0, LTV2=-200.0).corner == (100, 200)


@pytest.mark.parametrize("cards", [{"LTM1_1": 0.0}, {"LTM2_2": -1.0}, {"LTM1_1": 3.0}, {"LTV1": 1e9}])
def test_nonsense(cards: dict[str, float]) -> None:
    with pytest.raises(InputError, match=r"x\[SCI,1\]: LTM is .*; expected 1 over the binning"):
        grid(**cards)
