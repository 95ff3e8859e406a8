"""How cosmic rays are distinguished from signal: the parameters of a CRREJTAB, and which of its rows applies."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpucti.calibration.refdata import ReferenceTable
from gpucti.detector import DQ_ALL
from gpucti.errors import InputError, ReferenceFileError

#: Iterations at most (CalSTIS ocrreject).
MAX_ITERATIONS = 20
#: Largest CRRADIUS accepted, in pixels: delivered tables say 1.5 or so.
MAX_RADIUS = 50


@dataclass(frozen=True)
class CrParameters:
    """The parameters of cosmic-ray rejection; the names are those of the CRREJTAB's columns.

    Attributes
    ----------
    sigmas : tuple of float
        Rejection threshold of each iteration, in standard deviations (CRSIGMAS).
    skysub : {'none', 'mode'}
        How the sky is found that is taken off before images are compared (SKYSUB).
    radius : float
        How far the neighbours of a hit are looked at, pixels (CRRADIUS); 0: not at all.
    thresh : float
        Their threshold as a share of the one for hits (CRTHRESH); 0 or less: they are rejected whatever they hold.
    initgues : {'minimum', 'median'}
        The first guess of the true image (INITGUES).
    scalense : float
        Noise proportional to the signal, per cent (SCALENSE).
    badinpdq : int
        Data-quality bits of pixels that never count (BADINPDQ).
    mask : bool
        Flag what was rejected in the inputs too (CRMASK).
    texts : tuple of two str
        CRSIGMAS and INITGUES as they stand in the table, for headers.
    """

    sigmas: tuple[float, ...]
    skysub: str
    radius: float
    thresh: float
    initgues: str
    scalense: float
    badinpdq: int
    mask: bool
    texts: tuple[str, str] = ("", "")

    def __post_init__(self) -> None:
        number = isinstance(self.badinpdq, int) and all(
            math.isfinite(value) for value in (*self.sigmas, self.radius, self.thresh, self.scalense)
        )
        for name, value, good, allowed in (
            ("CRSIGMAS", self.sigmas, 1 <= len(self.sigmas) <= MAX_ITERATIONS, f"1 to {MAX_ITERATIONS} numbers"),
            ("CRSIGMAS", self.sigmas, all(sigma > 0 for sigma in self.sigmas), "numbers above 0"),
            ("SKYSUB", self.skysub, self.skysub in ("none", "mode"), "'none' or 'mode'"),
            ("CRRADIUS", self.radius, 0 <= self.radius <= MAX_RADIUS, f"0 to {MAX_RADIUS} pixels"),
            ("INITGUES", self.initgues, self.initgues in ("minimum", "median"), "'minimum' or 'median'"),
            ("SCALENSE", self.scalense, self.scalense >= 0, "per cent, 0 or more"),
            ("BADINPDQ", self.badinpdq, 0 <= self.badinpdq <= DQ_ALL, f"0 to {DQ_ALL}"),
            ("a parameter", self, number, "finite numbers"),
        ):
            if not good:
                raise InputError(f"cosmic-ray rejection: {name} is {value!r}; expected {allowed}")


def read_rejection_parameters(
    table: ReferenceTable, n: int, mean_exposure: float, *, spectroscopic: bool
) -> CrParameters:
    """Return the parameters for `n` images of a mean exposure time.

    Parameters
    ----------
    table : ReferenceTable
        The CRREJTAB.
    n : int
        Image sets to combine. More than the largest CRSPLIT of the table count as that many.
    mean_exposure : float
        Seconds. Of the rows for this CRSPLIT the one with the next larger MEANEXP is taken, the last of equals.
    spectroscopic : bool
        No sky is subtracted from spectra.

    Raises
    ------
    ReferenceFileError
        No row applies (there is no falling back on a shorter MEANEXP), or the row holds nonsense.
    """
    crsplit, meanexp = (_numbers(table, name) for name in ("CRSPLIT", "MEANEXP"))
    if not len(crsplit):
        raise ReferenceFileError("no rows; expected a CRREJTAB with one for each CRSPLIT and MEANEXP", where=table.path)
    split = min(n, int(crsplit.max()))
    excess = np.where(crsplit == split, meanexp - mean_exposure, -1.0)
    if not (excess >= 0).any():
        have = ", ".join(f"{value:g}" for value in sorted(set(meanexp[crsplit == split]))) or "no row"
        raise ReferenceFileError(
            f"no row with CRSPLIT {split} and MEANEXP of at least {mean_exposure:g} s (has {have}); "
            "the table does not cover these exposures",
            where=table.path,
        )
    row = int(np.flatnonzero(excess == excess[excess >= 0].min())[-1])

    sigmas, initgues = table.text("CRSIGMAS", row).strip(), table.text("INITGUES", row).strip()
    try:
        return CrParameters(
            sigmas=_sigmas(sigmas),
            skysub="none" if spectroscopic else table.text("SKYSUB", row).strip(),
            radius=table.number("CRRADIUS", row),
            thresh=table.number("CRTHRESH", row),
            # three letters count; what is no median is the minimum, and is called so
            initgues="median" if initgues.startswith("med") else "minimum",
            scalense=table.number("SCALENSE", row),
            badinpdq=int(table.number("BADINPDQ", row)),
            mask=_flag(table, "CRMASK", row),
            texts=(sigmas, initgues if initgues.startswith(("med", "min")) else "minimum"),
        )
    except InputError as error:
        raise ReferenceFileError(f"row {row + 1}: {error.reason}", where=table.path) from error


def _numbers(table: ReferenceTable, name: str) -> Any:
    cells = table.column(name)
    if cells.dtype.kind not in "iuf" or cells.ndim != 1 or not np.isfinite(cells).all():
        raise ReferenceFileError(f"{name} holds {cells.dtype}; expected one finite number per row", where=table.path)
    return cells.astype(np.float64)


def _flag(table: ReferenceTable, name: str, row: int) -> bool:
    """Return a cell that holds true or false, as a logical or as a number."""
    cells = table.column(name)
    if cells.dtype.kind not in "biu" or cells.ndim != 1:
        raise ReferenceFileError(f"{name} holds {cells.dtype}; expected T or F, or 1 or 0", where=table.path)
    return bool(cells[row])


def _sigmas(text: str) -> tuple[float, ...]:
    """Return the numbers of a list such as ``6.5,5.5,4.5``."""
    try:
        return tuple(float(np.float32(word)) for word in re.split(r" *[,;/ ] *", text))
    except ValueError:
        raise InputError(
            f"cosmic-ray rejection: CRSIGMAS is {text!r}; expected numbers with commas between them"
        ) from None
