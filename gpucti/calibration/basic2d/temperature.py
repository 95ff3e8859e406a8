"""Temperature of the CCD housing: averaged over the exposure from the telemetry (EPC) file, else from the header.

Source: CalSTIS 3.5.0, `GetEPCTab`, `UpdateCCDTemperature`, `GetDetTemp`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gpucti.calibration.base import Trailer
from gpucti.calibration.reffiles import HeaderReferences, stored
from gpucti.detector import SIDE_2_MJD
from gpucti.errors import MissingFileError, ReferenceFileError
from gpucti.io.cards import Cards
from gpucti.io.fitsfile import find_file

#: What is believed of the telemetry: degrees C, and how unlikely a jump to the neighbours may be.
COLDEST, WARMEST = 15.0, 25.0
JUMP_SIGMA, LEAST_LIKELY = float(np.float32(0.4)), 0.05
#: Stands for a temperature that is not known.
UNKNOWN = -1.0

Floats = npt.NDArray[np.float64]


def update_temperature(sci: Cards, references: HeaderReferences, trailer: Trailer) -> None:
    """Set OCCDHTAV of a SCI header to the mean over the exposure, if an EPC file beside the exposure covers it.

    The file is ``<first 8 characters of EXPNAME>j_epc.fits``. Nothing is done without it, or where OCCDHTAV is
    missing or negative (side 1).

    Raises
    ------
    ReferenceFileError
        The EPC file is damaged.
    """
    if np.float32(sci.number("OCCDHTAV", default=UNKNOWN)) < 0:
        return
    name = sci.text("EXPNAME", default="")[:8]
    if not re.fullmatch(r"[A-Za-z0-9_]+", name):
        return
    try:
        path = find_file(references.folder / f"{name}j_epc.fits")
    except MissingFileError:
        return
    table = references.run.table(path)
    times, values = (table.column(column) for column in ("TIME", "VALUE"))
    for array in (times, values):
        if array.dtype.kind not in "iuf" or array.ndim != 1 or not np.isfinite(array).all():
            raise ReferenceFileError("TIME or VALUE holds no plain numbers; expected MJD and degrees C", where=path)
    start, end, exptime = (float(sci.number(key)) for key in ("EXPSTART", "EXPEND", "EXPTIME"))
    good = plausible(values.astype(np.float64))
    mean = mean_temperature(times[good].tolist(), values[good].tolist(), start, end, exptime)
    if mean is None:
        trailer.say(f"{path.name} does not cover the exposure: OCCDHTAV stays")
        return
    sci.header["OCCDHTAV"] = stored(mean)
    trailer.say(f"OCCDHTAV from {path.name}: {mean:.4f}")


def plausible(values: Floats) -> npt.NDArray[np.bool_]:
    """Return which temperatures, in degrees C and time order, can be believed.

    Not those outside 15 to 25 degrees, nor those that jump from both neighbours (at the ends: from the one).
    """
    before, after = values.copy(), values.copy()
    before[1:], after[:-1] = values[:-1], values[1:]
    with np.errstate(over="ignore", under="ignore"):
        jumps = [
            np.exp(-0.5 * d * d / JUMP_SIGMA / JUMP_SIGMA) < LEAST_LIKELY for d in (values - before, values - after)
        ]
    lonely = jumps[0] & jumps[1]
    lonely[:1] |= jumps[1][:1]
    lonely[-1:] |= jumps[0][-1:]
    result: npt.NDArray[np.bool_] = ~lonely & (values >= COLDEST) & (values <= WARMEST)
    return result


def mean_temperature(
    times: Sequence[float], values: Sequence[float], start: float, end: float, exptime: float
) -> float | None:
    """Return the mean temperature of an exposure, degrees C, or None if the telemetry does not enclose it.

    In the first piece the temperature is taken at half the way from the reading before to the start, not in the
    middle of the piece; CalSTIS does so.

    Parameters
    ----------
    times, values : sequence of float
        Readings: MJD and degrees C.
    start, end : float
        Of the exposure, MJD.
    exptime : float
        Seconds; at zero the last reading before the start counts.
    """
    first = last = None
    for row, time in enumerate(times):
        if time < start:
            first = row
        if time > end:
            last = row
            break
    if first is not None and exptime == 0:
        return values[first]
    if first is None or last is None or not end > start:
        return None
    if last == first + 1:
        return (end - start) * values[first] / (end - start)
    total = 0.0
    for row in range(first, last):
        step = values[row + 1] - values[row]
        if row == last - 1:
            duration = end - times[row]
            value = 0.5 * step * (end - times[row]) / (times[row + 1] - times[row]) + values[row]
        elif row == first:
            duration = times[row + 1] - start
            value = 0.5 * step * (start - times[row]) / (times[row + 1] - times[row]) + values[row]
        else:
            duration = times[row + 1] - times[row]
            value = 0.5 * (values[row + 1] + values[row])
        total += duration * value
    return total / (end - start)


def detector_temperature(sci: Cards) -> float:
    """Return OCCDHTAV, degrees C; -1 before side 2 or if it is missing."""
    if sci.number("EXPSTART", default=UNKNOWN) < SIDE_2_MJD:
        return UNKNOWN
    return float(sci.number("OCCDHTAV", default=UNKNOWN))
