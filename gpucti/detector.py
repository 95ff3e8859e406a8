"""Facts of the STIS CCD: frame, amplifiers, data-quality bits, dates, slopes; and images turned to their amplifier.

Sources: STIS Instrument Handbook and Data Handbook; CalSTIS 3.5.0 for what its numbers depend on.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from gpucti.errors import InputError

AMPS = ("A", "B", "C", "D")
#: Rows and columns of the illuminated STIS CCD.
FULL_ROWS = FULL_COLS = 1024
#: Columns of physical overscan on each side of a raw frame, and rows of virtual overscan, read out last.
OVERSCAN_COLS, OVERSCAN_ROWS = 19, 20
#: First-order gratings.
GRATINGS = ("G230LB", "G230MB", "G430L", "G430M", "G750L", "G750M")

# Data-quality bits (Data Handbook, table 2.8). Plain integers: NumPy keeps int16 arrays int16 with them.
DQ_OUTSIDE = 4  #: outside the aperture, or beyond what was exposed
DQ_MASKED = 8  #: behind an occulting bar
DQ_HOT = 16  #: hot pixel
DQ_SATURATED = 256
DQ_BAD_REFERENCE = 512  #: bad in a reference file, or divided by zero
DQ_BLEMISH = 1024  #: small blemish; also a row of a subarray whose traps rows that were not kept had filled
DQ_BACKGROUND = 2048  #: background of an extracted spectrum is bad
DQ_COSMIC_RAY = 8192  #: rejected as a cosmic ray
DQ_NO_CTE = 16384  #: extracted flux not corrected for CTI: there are no counts
#: Every bit; also SDQFLAGS where the keyword is missing.
DQ_ALL = 32767
#: Bits that make a pixel bad in pipeline files (SDQFLAGS): all but small blemishes.
DQ_SERIOUS = 31743

#: Modified Julian Date 0, UTC.
MJD_ZERO = datetime(1858, 11, 17)
#: 2009-05-01: after the repair of STIS. Trap densities of the released tables are measured from then on, and on this
#: amplifier.
REPAIRED_MJD, TABLE_AMP = 54952.0, "D"
#: From this date (MJD) on STIS ran on its side-2 electronics, without control of the detector's temperature.
SIDE_2_MJD = 52091.0
#: How the dark current grows with the temperature of the housing, where a dark does not say: share per degree, and the
#: temperature (degrees C) at which it is as in the file (DRK_VS_T, REF_TEMP).
DARK_SLOPE, DARK_TEMPERATURE = 0.07, 18.0
#: Speed of light, km/s.
LIGHT_KM_S = 299792.458
#: Amplifiers at the top of the chip: their images are read out from the last row and column.
_REVERSED = ("C", "D")


def nint(value: float) -> int:
    """Return the nearest integer, halves away from zero, as CalSTIS's NINT."""
    return math.trunc(value + 0.5 if value >= 0 else value - 0.5)


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
