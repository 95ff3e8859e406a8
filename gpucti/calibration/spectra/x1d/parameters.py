"""How a spectrum is extracted: what the XTRACTAB says, and what a user says instead."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from gpucti.calibration.base import Trailer
from gpucti.calibration.refdata import ReferenceTable
from gpucti.calibration.reffiles import HeaderReferences
from gpucti.calibration.spectra.tables import Mode, description, require_real, require_rows, vector, whole
from gpucti.errors import InputError, ReferenceFileError

#: Largest box, offset and search, in pixels of the detector: twice its height.
MAX_PIXELS = 2048
#: A MAXSRCH that means no search.
NO_SEARCH = -1
MAX_TILT_COEFFICIENTS = 8
MAX_SMOOTHING_ORDER = 9
#: What the table may call the sum of all pixels in the box, the only algorithm there is for the CCD.
UNWEIGHTED = "UNWEIGHTED"


@dataclass(frozen=True)
class ExtractOptions:
    """What a user wants otherwise than the headers and the XTRACTAB say; None leaves it to them.

    Names are those of `gpucti.x1d` and ``stistools.x1d``. Sizes, offsets and the search are in unbinned pixels of the
    detector, as in the XTRACTAB.

    Attributes
    ----------
    extrsize : float
        Height of the extraction box.
    a2center : float
        Row of the spectrum in the image, 1-based, at which the search starts. As in CalSTIS, SHIFTA2 is then not
        added, but the offset of the aperture (OFFSET2 of the APDESTAB) is.
    maxsrch : int
        How far from there, up and down, the brightest trace is looked for; 0 takes the position as it is.
    bk1size, bk2size : float
        Heights of the background boxes.
    bk1offst, bk2offst : float
        Their distances from the spectrum.
    bktilt : float
        Tilt of the background boxes, degrees.
    backord : int
        Order of the background across the dispersion: 0 (mean) or 1 (line).
    bksmode : {"median", "off"}
        Whether the background is smoothed along the dispersion: running median, then a polynomial.
    bksorder : int
        Order of that polynomial.
    xoffset : float
        Added to SHIFTA1, unbinned pixels: for spectra taken without a slit; None: 0.
    backcorr, dispcorr, helcorr, fluxcorr : bool
        Do the step, or leave it out, whatever the switch in the header says.
    ctecorr : bool
        Correct the flux for CTI by the empirical formula. Never done where the pixels are corrected already.
    """

    extrsize: float | None = None
    a2center: float | None = None
    maxsrch: int | None = None
    bk1size: float | None = None
    bk2size: float | None = None
    bk1offst: float | None = None
    bk2offst: float | None = None
    bktilt: float | None = None
    backord: int | None = None
    bksmode: str = "median"
    bksorder: int = 3
    xoffset: float | None = None
    backcorr: bool | None = None
    dispcorr: bool | None = None
    helcorr: bool | None = None
    fluxcorr: bool | None = None
    ctecorr: bool | None = None

    def __post_init__(self) -> None:
        """Make NumPy's numbers Python's; raise `InputError` for a value that makes no sense."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.generic):
                object.__setattr__(self, field.name, value.item())
        if self.extrsize is not None and not 0 < _number("extrsize", self.extrsize, 0, MAX_PIXELS):
            raise InputError("extrsize is 0; expected the height of the box in pixels")
        for name in ("bk1size", "bk2size"):
            _number(name, getattr(self, name), 0, MAX_PIXELS)
        for name in ("bk1offst", "bk2offst", "a2center", "xoffset"):
            _number(name, getattr(self, name), -MAX_PIXELS, MAX_PIXELS)
        _number("bktilt", self.bktilt, -90, 90)
        for name, high in (("maxsrch", MAX_PIXELS), ("backord", 1), ("bksorder", MAX_SMOOTHING_ORDER)):
            value = getattr(self, name)
            if value is not None and int(_number(name, value, 0, high)) != value:
                raise InputError(f"{name} is {value!r}; expected a whole number, 0 to {high}")
        if self.bksmode not in ("median", "off"):
            offered = ", which is not offered" if self.bksmode == "average" else ""
            raise InputError(f"bksmode is {self.bksmode!r}{offered}; expected median or off")
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("corr") and value is not None and not isinstance(value, bool):
                raise InputError(f"{field.name} is {value!r}; expected True, False or None")


def _number(name: str, value: Any, low: float, high: float) -> float:
    """Return an option's value, 0 for None; raise `InputError` if it is no number from `low` to `high`."""
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise InputError(f"{name} is {value!r}; expected a number, {low} to {high}")
    return float(value)


@dataclass(frozen=True)
class ExtractionParameters:
    """How one spectrum is extracted; lengths in unbinned pixels.

    Attributes
    ----------
    extrsize : float
        Height of the extraction box.
    back_size, back_offset : (float, float)
        Heights of the background boxes, and their distances from the spectrum.
    tilt : tuple of float
        Tilt of the background boxes in degrees: coefficients of the powers of the 1-based unbinned column.
    back_order : int
        0 (mean) or 1 (line).
    maxsrch : int or None
        Range of the search; None for no search.
    stored_maxsrch : int
        As the output table holds it, before binning.
    history : tuple of str
        What table this is from.
    """

    extrsize: float
    back_size: tuple[float, float]
    back_offset: tuple[float, float]
    tilt: tuple[float, ...]
    back_order: int
    maxsrch: int | None
    stored_maxsrch: int
    history: tuple[str, ...] = ()


def read_extraction_parameters(
    references: HeaderReferences, mode: Mode, aperture: str, options: ExtractOptions, trailer: Trailer
) -> ExtractionParameters:
    """Return the first row of the XTRACTAB for aperture and mode, overruled by the options.

    Raises
    ------
    ReferenceFileError
        No table, no row, a missing column, a cell that makes no sense, or another algorithm than UNWEIGHTED.
    """
    table = references.table("XTRACTAB")
    row = require_rows(table, sporder=True, APERTURE=aperture, **mode.columns)[0]
    require_real(table, row)
    algorithm = table.text("XTRACALG", row)
    if algorithm.upper() != UNWEIGHTED:
        raise ReferenceFileError(
            f"XTRACALG of row {row + 1} is {algorithm!r}; only {UNWEIGHTED} is known for the CCD", where=table.path
        )
    count = whole(table, "NCOEFFBK", row, 0, MAX_TILT_COEFFICIENTS)
    tilt = tuple(vector(table, "BKTCOEFF", row, count).tolist())
    maxsrch = whole(table, "MAXSRCH", row, NO_SEARCH, MAX_PIXELS)
    stored = maxsrch if options.maxsrch is None else options.maxsrch
    sizes = [_length(table, name, row, 0) for name in ("EXTRSIZE", "BK1SIZE", "BK2SIZE")]
    offsets = [_length(table, name, row, -MAX_PIXELS) for name in ("BK1OFFST", "BK2OFFST")]
    if sizes[0] <= 0:
        raise ReferenceFileError(f"EXTRSIZE of row {row + 1} is {sizes[0]:g}; expected pixels", where=table.path)
    return ExtractionParameters(
        extrsize=_chosen(options.extrsize, sizes[0]),
        back_size=(_chosen(options.bk1size, sizes[1]), _chosen(options.bk2size, sizes[2])),
        back_offset=(_chosen(options.bk1offst, offsets[0]), _chosen(options.bk2offst, offsets[1])),
        tilt=tilt if options.bktilt is None else (float(options.bktilt),),
        back_order=_back_order(table, row, trailer) if options.backord is None else int(options.backord),
        maxsrch=None if stored == NO_SEARCH else int(stored),
        stored_maxsrch=int(stored),
        history=description(references, "XTRACTAB", table, row),
    )


def _chosen(option: float | None, value: float) -> float:
    return value if option is None else float(option)


def _length(table: ReferenceTable, name: str, row: int, low: float) -> float:
    value = float(np.float32(table.number(name, row)))  # as CalSTIS reads it, whatever the column's type
    if not low <= value <= MAX_PIXELS:
        raise ReferenceFileError(
            f"{name} of row {row + 1} is {value:g}; expected pixels, {low:g} to {MAX_PIXELS}", where=table.path
        )
    return value


def _back_order(table: ReferenceTable, row: int, trailer: Trailer) -> int:
    """Return the order of the background; CalSTIS takes every unknown one for 0."""
    value = table.number("BACKORD", row)
    if value in (0, 1):
        return int(value)
    if not math.isclose(value, 7):
        trailer.say(f"BACKORD of {table.path.name}, row {row + 1}, is {value:g}; 0 (mean) is taken, 0 and 1 are known")
        return 0
    raise ReferenceFileError(
        f"BACKORD of row {row + 1} is 7, which is for echelle spectra; expected 0, 1", where=table.path
    )
