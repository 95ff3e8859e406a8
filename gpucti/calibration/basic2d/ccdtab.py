"""CCD parameters (CCDTAB) and the analog-to-digital correction (ATODTAB): rows chosen by amplifier and gain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gpucti.backends.base import Array
from gpucti.calibration.refdata import ReferenceTable
from gpucti.detector import DQ_SATURATED
from gpucti.errors import ReferenceFileError
from gpucti.io.cards import Cards

#: Hot values of the parallel overscan are above this many sigma, where the table does not say.
DEFAULT_CLIP = 50.0


@dataclass(frozen=True)
class CcdMode:
    """How the CCD was read out.

    Attributes
    ----------
    amp : str
        A to D.
    gain, offset : int
        CCDGAIN, CCDOFFST as commanded.
    binning : (x, y)
        BINAXIS1, BINAXIS2.
    """

    amp: str
    gain: int
    offset: int
    binning: tuple[int, int]


@dataclass(frozen=True)
class CcdParameters:
    """A row of the CCDTAB; all numbers are float32.

    Attributes
    ----------
    gain : float32
        ATODGAIN, electrons per count.
    bias : float32
        CCDBIAS, counts.
    read_noise : float32
        READNSE, electrons.
    saturate : float32
        SATURATE, counts.
    clip : float32
        BLEV_CLIP, sigma.
    row : int
        0-based.
    """

    gain: np.float32
    bias: np.float32
    read_noise: np.float32
    saturate: np.float32
    clip: np.float32
    row: int


def read_ccd_parameters(table: ReferenceTable, mode: CcdMode) -> CcdParameters:
    """Return the first row for a readout mode; `ReferenceFileError` if there is none, or no sense in it."""
    row = table.row(
        CCDAMP=mode.amp,
        CCDGAIN=mode.gain,
        CCDOFFST=mode.offset,
        BINAXIS1=mode.binning[0],
        BINAXIS2=mode.binning[1],
    )
    gain, bias, noise, saturate = (
        np.float32(table.number(name, row)) for name in ("ATODGAIN", "CCDBIAS", "READNSE", "SATURATE")
    )
    clip = np.float32(table.number("BLEV_CLIP", row) if table.has("BLEV_CLIP") else DEFAULT_CLIP)
    if gain <= 0 or noise < 0:
        raise ReferenceFileError(
            f"ATODGAIN is {gain}, READNSE {noise} in row {row + 1}; expected a gain above 0 and no negative noise",
            where=table.path,
        )
    return CcdParameters(gain, bias, noise, saturate, clip, row)


def find_conversion(table: ReferenceTable, mode: CcdMode, cards: Cards) -> int:
    """Return the row of an ATODTAB for amplifier, gain and the keyword of the SCI header that the table names."""
    best: tuple[float, int] | None = None
    for row in table.matching(CCDAMP=mode.amp, CCDGAIN=mode.gain):
        found = cards.number(table.text("REF_KEY", row))
        distance = abs(found - table.number("REF_KEY_VALUE", row))
        if best is None or distance < best[0]:
            best = distance, row
    if best is None:
        raise ReferenceFileError(f"no row for CCDAMP = {mode.amp!r}, CCDGAIN = {mode.gain}", where=table.path)
    return best[1]


def read_conversion(table: ReferenceTable, row: int) -> npt.NDArray[np.float32]:
    """Return what each raw number is to be replaced by."""
    cells, size = table.column("ATOD"), int(table.number("NELEM", row))
    if cells.dtype.kind not in "iuf" or cells.ndim != 2 or not 1 <= size <= cells.shape[1]:
        raise ReferenceFileError(
            f"ATOD is {cells.dtype} {cells.shape}, NELEM {size} in row {row + 1}", where=table.path
        )
    values: npt.NDArray[np.float32] = cells[row, :size].astype(np.float32)
    return values


def convert(sci: Array, dq: Array, conversion: npt.NDArray[np.float32], xp: Any = np) -> tuple[Array, Array]:
    """Return SCI through the conversion, and DQ with bit 256 where SCI lies beyond its end; below 0 SCI stays."""
    index = xp.trunc(sci)
    beyond = index >= len(conversion)
    place = xp.clip(index, 0, len(conversion) - 1).astype(np.int64)
    converted = xp.where(index >= 0, xp.asarray(conversion)[place], sci)
    return converted, dq | beyond.astype(np.int16) * np.int16(DQ_SATURATED)
