"""Apertures: their names, and what the aperture description table (APDESTAB) says of them."""

from __future__ import annotations

from dataclasses import dataclass

from gpucti.calibration.reffiles import HeaderReferences
from gpucti.calibration.spectra.tables import description, require_real, require_rows, whole
from gpucti.errors import ReferenceFileError
from gpucti.io.cards import Cards

#: Endings of a proposed aperture that name a place in the slit, in the order they are looked for.
PSEUDO_APERTURES = ("E1", "E2", "D1")
#: Tilt of a slit, degrees, where the table has no ANGLE; the wavelength calibration holds for this tilt.
STANDARD_ANGLE = 0.315
MAX_BARS = 3


@dataclass(frozen=True)
class Slit:
    """An aperture of the spectrograph: one row of an APDESTAB.

    Attributes
    ----------
    name : str
        As it was looked up.
    width, offset : (float, float)
        Along the dispersion and across it, arcseconds.
    angle : float
        Tilt of the slit, degrees.
    bars : tuple of (float, float)
        Place across the dispersion, from the slit's centre, and width of each occulting bar, arcseconds.
    history : tuple of str
        What table this is from.
    """

    name: str
    width: tuple[float, float]
    offset: tuple[float, float]
    angle: float = STANDARD_ANGLE
    bars: tuple[tuple[float, float], ...] = ()
    history: tuple[str, ...] = ()


def aperture_name(primary: Cards) -> str:
    """Return the name under which tables are asked for an aperture, in rectification and extraction.

    Without a lamp, the pseudo-aperture that PROPAPER ends in is appended to APERTURE, unless it ends so already.
    """
    name = primary.text("APERTURE")
    if primary.text("SCLAMP", default="NONE") != "NONE":
        return name
    proposed = primary.text("PROPAPER", default=name)
    for ending in PSEUDO_APERTURES:
        if proposed.endswith(ending) and not name.endswith(ending):
            return name + ending
    return name


def read_slit(references: HeaderReferences, name: str) -> Slit:
    """Return the first row of the APDESTAB for an aperture.

    Parameters
    ----------
    references : HeaderReferences
        Names the table.
    name : str
        The aperture.

    Raises
    ------
    ReferenceFileError
        No table, no row, a missing column, or a cell that makes no sense.
    """
    table = references.table("APDESTAB")
    row = require_rows(table, APERTURE=name)[0]
    require_real(table, row)
    for number in range(1, MAX_BARS + 1):
        table.column(f"BAR{number}LOCN"), table.column(f"BAR{number}WIDTH")
    count = whole(table, "NBARS", row, 0, MAX_BARS)
    width = (table.number("WIDTH1", row), table.number("WIDTH2", row))
    if min(width) <= 0:
        raise ReferenceFileError(f"WIDTH1, WIDTH2 of row {row + 1} are {width}; expected arcseconds", where=table.path)
    return Slit(
        name=name,
        width=width,
        offset=(table.number("OFFSET1", row), table.number("OFFSET2", row)),
        angle=table.number("ANGLE", row) if table.has("ANGLE") else STANDARD_ANGLE,
        bars=tuple(
            (table.number(f"BAR{number}LOCN", row), table.number(f"BAR{number}WIDTH", row))
            for number in range(1, count + 1)
        ),
        history=description(references, "APDESTAB", table, row),
    )
