"""Orientation: which corner is read out first."""

from __future__ import annotations

import numpy as np
import pytest

from gpucti.detector import check_amp, first_row, from_readout, to_readout
from gpucti.errors import InputError


@pytest.mark.parametrize(("amp", "corner"), [("A", (0, 0)), ("B", (0, 0)), ("C", (-1, -1)), ("D", (-1, -1))])
def test_corner_comes_to_the_origin(amp: str, corner: tuple[int, int]) -> None:
    """Oracle: stis_cti: C and D turn both axes, A and B none."""
    image = np.arange(12).reshape(3, 4)
    assert to_readout(image, amp)[0, 0] == image[corner]
    assert np.array_equal(from_readout(to_readout(image, amp), amp), image)


@pytest.mark.parametrize(
    ("amp", "origin", "expected"), [("A", None, 0), ("D", None, 0), ("A", (100, 0), 100), ("D", (100, 0), 824)]
)
def test_rows_below_a_subarray(amp: str, origin: tuple[int, int] | None, expected: int) -> None:
    """Oracle: hand-worked: 100 rows at file row 100 end at row 199; amplifier D reads row 1023 first."""
    assert first_row(amp, 100, origin) == expected


def test_unknown_amplifier() -> None:
    """Oracle: the message."""
    with pytest.raises(InputError, match="amp is 'E'; expected one of A, B, C, D"):
        check_amp("E")
