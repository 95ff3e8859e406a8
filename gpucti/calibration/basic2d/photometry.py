"""PHOTMODE and PHOTCORR: what one electron per second in an image is worth (IMPHTTAB, TDSTAB).

The rules are CalSTIS's (``cs1``: photmode.c, dophot.c, gettds1.c; ``getphttab.c``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from gpucti.calibration.base import Trailer
from gpucti.calibration.refdata import ReferenceTable
from gpucti.calibration.reffiles import HeaderReferences, stored
from gpucti.errors import InputError, ReferenceFileError
from gpucti.io.cards import Cards

#: Extensions of an IMPHTTAB, each the home of the keyword of its name, and the comments of new cards.
QUANTITIES = {
    "PHOTFLAM": "[erg/cm2/Angstrom/DN] inverse sensitivity",
    "PHOTPLAM": "[Angstrom] pivot wavelength",
    "PHOTBW": "[Angstrom] rms bandwidth",
}
#: What a parameter outside the table gives, and the limit below which a value is taken for that.
UNDEFINED, UNDEFINED_BELOW = -9999.0, -9990.0
#: The one parameter that may be extrapolated, where the table allows it.
DATE = "mjd#"

Vector = npt.NDArray[np.float64]


def photmode(primary: Cards, sci: Cards) -> str:
    """Return PHOTMODE, for example ``STIS 50CCD A2D1 MIRROR CCD MJD#56001.3067``.

    Parameters
    ----------
    primary, sci : Cards
        Of the exposure; APERTURE, CCDGAIN, OPT_ELEM, OBSTYPE, CENWAVE and EXPSTART are used.

    Raises
    ------
    InputError
        EXPSTART is missing, or a keyword holds something else than it should.
    """
    element = primary.text("OPT_ELEM", default="")
    words = [
        "STIS",
        primary.text("APERTURE", default=""),
        f"A2D{primary.whole('CCDGAIN', default=1)}",
        "MIRROR" if element.startswith("MIR") else element,
        "CCD",
    ]
    if primary.text("OBSTYPE", default="") == "SPECTROSCOPIC":
        central = primary.whole("CENWAVE", default=-1)
        if central > 0:
            words.append(str(central))
    words.append(f"MJD#{sci.number('EXPSTART'):.4f}")
    return " ".join(words)


def photcorr(
    primary: Cards,
    sci: Cards,
    *,
    gain: np.float32,
    temperature: float,
    references: HeaderReferences,
    trailer: Trailer,
) -> None:
    """Write PHOTFLAM, PHOTZPT, PHOTPLAM and PHOTBW of an image into its primary header.

    PHOTFLAM is per DN/s: the table's value times `gain`, divided by the sensitivity at the detector's temperature
    relative to that at REFTEMP (TDSTAB). The switch PHOTCORR becomes COMPLETE, or SKIPPED where the table has no
    row for the mode, does not reach the date, or only fills a place. A spectrum is left alone.

    Parameters
    ----------
    primary, sci : Cards
        Of the exposure; `primary` is changed.
    gain : float32
        ATODGAIN, electrons per DN.
    temperature : float
        Of the detector, degrees C; negative if it is not known, then the temperature is left out.
    references : HeaderReferences
        Of the exposure.
    trailer : Trailer
        Says what was done.

    Raises
    ------
    ReferenceFileError
        A table is missing or damaged, or the TDSTAB has no row for the mirror.
    """
    if primary.text("OBSTYPE", default="") != "IMAGING":
        return
    table = references.table("IMPHTTAB", "PHOTFLAM")
    sensitivity = references.find("TDSTAB")
    if table.dummy:
        _finish(
            primary.header, trailer, "SKIPPED", "PHOTCORR skipped: the IMPHTTAB only fills a place (PEDIGREE DUMMY)"
        )
        return
    mode, parameters = split_mode(photmode(primary, sci))
    tables = {name: references.run.table(table.path, name) for name in QUANTITIES}
    rows = {name: find_mode(tables[name], mode) for name in QUANTITIES}
    if None in rows.values():
        _finish(primary.header, trailer, "SKIPPED", f"PHOTCORR skipped: no row for {mode} in the IMPHTTAB")
        return
    values = {name: read_value(tables[name], name, row, parameters) for name, row in rows.items() if row is not None}
    done = any(value >= UNDEFINED_BELOW for value in values.values())
    lines = ["PHOTCORR complete", f"  IMPHTTAB {references.name('IMPHTTAB')}", *_identity(table)]
    if done:
        values["PHOTFLAM"] *= float(gain)
        if sensitivity is not None:
            tds = references.run.table(sensitivity)
            values["PHOTFLAM"] /= sensitivity_temperature_factor(
                tds, primary.text("OPT_ELEM"), values["PHOTPLAM"], temperature
            )
            lines += [f"  TDSTAB {references.name('TDSTAB')}, temperature only", *_identity(tds)]
    else:
        lines[0] = "PHOTCORR skipped: the IMPHTTAB does not cover the date; PHOTFLAM, PHOTPLAM, PHOTBW are undefined"
    zero_point = Cards(table.primary, f"{table.path}[0]", ReferenceFileError).number("PHOTZPT")
    for name, comment in QUANTITIES.items():
        _put(primary.header, name, stored(values[name]), comment)
    _put(primary.header, "PHOTZPT", stored(zero_point), "[mag] zero point of ST magnitudes")
    _finish(primary.header, trailer, "COMPLETE" if done else "SKIPPED", *lines)


def split_mode(text: str) -> tuple[str, dict[str, float]]:
    """Return an observing mode as an IMPHTTAB spells it, and the values of its parameters.

    ``STIS 50CCD A2D1 MIRROR CCD MJD#56001.3067`` becomes ``stis,50ccd,mirror,ccd,mjd#`` and ``{"mjd#": 56001.3067}``:
    the gain is left out, since PHOTFLAM is multiplied by ATODGAIN instead.
    """
    words, parameters = [], {}
    for word in text.lower().split():
        if word.startswith("a2d"):
            continue
        name, mark, value = word.partition("#")
        if mark:
            try:
                parameters[f"{name}#"] = float(value)
            except ValueError:
                raise InputError(f"PHOTMODE {text!r}: {word!r} has no number behind the '#'") from None
        words.append(name + mark)
    return ",".join(words), parameters


def find_mode(table: ReferenceTable, mode: str) -> int | None:
    """Return the first row whose OBSMODE has the words of `mode` in any order, or None.

    CalSTIS's test: the texts are equally long, and every word of the row occurs somewhere in `mode`.
    """
    for row in range(table.n_rows):
        text = table.text("OBSMODE", row).lower()
        if len(text) == len(mode) and all(word in mode for word in text.split(",")):
            return row
    return None


def read_value(table: ReferenceTable, name: str, row: int, parameters: Mapping[str, float]) -> float:
    """Return the quantity `name` of a row, interpolated in its parameters; `UNDEFINED` outside the table.

    Parameters
    ----------
    table : ReferenceTable
        The extension of that quantity.
    name : str
        ``PHOTFLAM``, ``PHOTPLAM`` or ``PHOTBW``.
    row : int
        0-based.
    parameters : mapping
        Values by name, such as ``{"mjd#": 56001.3}``.

    Raises
    ------
    ReferenceFileError
        A column, an element or a parameter is missing, or the nodes do not increase.
    """
    column = table.text("DATACOL", row).upper()
    count = re.fullmatch(rf"{name}(\d?)", column)
    if count is None:
        raise ReferenceFileError(
            f"DATACOL is {column!r}; expected {name} or {name}1, ...", where=f"{table.path}[{name}]"
        )
    if not int(count[1] or 0):
        return table.number(column, row)
    grids, point = [], []
    for index in range(1, int(count[1]) + 1):
        parameter = table.text(f"PAR{index}NAMES", row).lower()
        known = [value for key, value in parameters.items() if key.startswith(parameter)]
        if not parameter or not known:
            raise ReferenceFileError(
                f"row {row + 1} depends on {parameter!r}; PHOTMODE has {', '.join(parameters)}",
                where=f"{table.path}[{name}]",
            )
        size = int(table.number(f"NELEM{index}", row))
        if size < 2:
            raise ReferenceFileError(
                f"NELEM{index} of row {row + 1} is {size}; expected 2 or up", where=f"{table.path}[{name}]"
            )
        grid = elements(table, f"PAR{index}VALUES", row, size)
        if not (np.diff(grid) > 0).all():
            raise ReferenceFileError(
                f"PAR{index}VALUES of row {row + 1} do not increase", where=f"{table.path}[{name}]"
            )
        if not grid[0] <= known[0] <= grid[-1] and not (parameter == DATE and _extrapolates(table)):
            return UNDEFINED
        grids.append(grid)
        point.append(known[0])
    return interpolate(grids, elements(table, column, row, int(np.prod([len(grid) for grid in grids]))), point)


def interpolate(grids: Sequence[Vector], values: Vector, point: Sequence[float]) -> float:
    """Interpolate linearly in every parameter, and beyond the nodes along the line through the last two.

    Parameters
    ----------
    grids : sequence of (n_k,) float64
        The nodes of each parameter, increasing.
    values : (n_1 * n_2 * ...,) float64
        At the nodes; the first parameter varies fastest.
    point : sequence of float
        Where, a number per parameter.
    """
    cube = values.reshape([len(grid) for grid in reversed(grids)])
    for grid, x in zip(grids, point, strict=True):
        low = int(np.clip(np.searchsorted(grid, x, side="right") - 1, 0, len(grid) - 2))
        f0, f1 = cube[..., low], cube[..., low + 1]
        cube = f0 + (x - grid[low]) * (f1 - f0) / (grid[low + 1] - grid[low])
    return float(cube)


def sensitivity_temperature_factor(table: ReferenceTable, element: str, wavelength: float, temperature: float) -> float:
    """Return the sensitivity at a detector temperature, relative to that at REFTEMP; 1 if there is nothing to say.

    Parameters
    ----------
    table : ReferenceTable
        TDSTAB; the last row for `element` counts.
    element : str
        OPT_ELEM.
    wavelength : float
        Angstrom; TEMPSENS is interpolated linearly there, and constant beyond its ends.
    temperature : float
        Degrees C; negative: not known.
    """
    if table.dummy:
        return 1.0
    rows = table.matching(OPT_ELEM=element)
    if not rows:
        raise ReferenceFileError(
            f"no row for OPT_ELEM = {element!r}; PHOTCORR needs one in the TDSTAB", where=table.path
        )
    row = rows[-1]
    if table.row_dummy(row):
        raise ReferenceFileError(
            f"row {row + 1} only fills a place (PEDIGREE DUMMY); use another TDSTAB", where=table.path
        )
    if temperature < 0 or not (table.has("REFTEMP") and table.has("TEMPSENS")):
        return 1.0
    size = int(table.number("NWL", row))
    nodes, slopes = elements(table, "WAVELENGTH", row, size), elements(table, "TEMPSENS", row, size)
    if size < 1 or not (np.diff(nodes) > 0).all():
        raise ReferenceFileError(f"WAVELENGTH of row {row + 1} does not increase", where=table.path)
    return float(1 + np.interp(wavelength, nodes, slopes) * (temperature - table.number("REFTEMP", row)))


def elements(table: ReferenceTable, name: str, row: int, size: int) -> Vector:
    """Return the first `size` elements of an array cell.

    Raises
    ------
    ReferenceFileError
        There are fewer, or they are no finite numbers.
    """
    try:
        cell = np.asarray(table.column(name)[row], dtype=np.float64).ravel()[: max(size, 0)]
    except (TypeError, ValueError):
        raise ReferenceFileError(f"{name} of row {row + 1} holds text; expected numbers", where=table.path) from None
    if len(cell) < size or not np.isfinite(cell).all():
        raise ReferenceFileError(f"{name} of row {row + 1} is {cell}; expected {size} finite numbers", where=table.path)
    return cell


def _extrapolates(table: ReferenceTable) -> bool:
    return table.primary.get("EXTRAP") is True


def _identity(table: ReferenceTable) -> list[str]:
    return [f"    {line}" for line in (table.pedigree, table.descrip) if line]


def _put(header: fits.Header, name: str, value: float, comment: str) -> None:
    if name in header:
        header[name] = value
    else:
        header[name] = (value, comment)


def _finish(primary: fits.Header, trailer: Trailer, switch: str, *lines: str) -> None:
    primary["PHOTCORR"] = switch
    for line in lines:
        primary.add_history(line)
        trailer.say(line)
