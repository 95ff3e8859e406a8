"""Turn an image so that the amplifier is at row 0, column 0, and back."""

from __future__ import annotations

from typing import Any

from gpucti.errors import InputError

AMPS = ("A", "B", "C", "D")
#: Rows and columns of the illuminated STIS CCD.
FULL_ROWS = FULL_COLS = 1024
#: Amplifiers at the top of the chip: their images are read out from the last row and column.
_REVERSED = ("C", "D")


def check_amp(amp: Any) -> str:
    """Return `amp` if it is one of the four, else raise `InputError`."""
    if not isinstance(amp, str) or amp not in AMPS:
        raise InputError(f"amp is {amp!r}; expected one of A, B, C, D")
    return amp


def to_readout(image: Any, amp: str) -> Any:
    """Return a view of `image` ``(..., rows, cols)`` with row 0 next to the readout register.

    Both axes turn for amplifiers C and D, none for A and B (as stis_cti does). Columns never exchange charge, so for
    them the direction only matters to ``COL_SCALE``, which turns along.
    """
    return image[..., ::-1, ::-1] if amp in _REVERSED else image


#: Turning twice gives the image back.
from_readout = to_readout


def first_row(amp: str, rows: int, origin: tuple[int, int] | None) -> int:
    """Return how many rows lie between the readout register and row 0 of the turned image.

    Parameters
    ----------
    amp : str
        Amplifier.
    rows : int
        Rows of the image.
    origin : (row, col) or None
        Where pixel [0, 0] of the image in file orientation lies on the full frame; None: the image starts at the
        readout corner.
    """
    return 0 if origin is None else steps_from_corner(amp, origin[0], rows, FULL_ROWS)


def steps_from_corner(amp: str, start: int, size: int, full: int) -> int:
    """Return how far index 0 of a turned axis lies from the readout corner, given where the axis starts in the file."""
    return full - size - start if amp in _REVERSED else start
