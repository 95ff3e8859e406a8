"""Cells of the spectroscopic reference tables, each checked before it is believed, and who is asked for."""

from __future__ import annotations

from typing import NamedTuple, Self, TypedDict

import numpy as np
import numpy.typing as npt

from gpucti.calibration.refdata import ReferenceTable
from gpucti.calibration.reffiles import HeaderReferences
from gpucti.errors import ReferenceFileError
from gpucti.io.cards import Cards
from gpucti.io.fitstables import DAMAGE

Vector = npt.NDArray[np.float64]


class DummyReferenceError(ReferenceFileError):
    """A table, or the row that is needed, only fills a place (PEDIGREE DUMMY)."""


class ModeColumns(TypedDict):
    """The values of a mode by column."""

    OPT_ELEM: str
    CENWAVE: int


class Mode(NamedTuple):
    """What rows of the tables are chosen by: OPT_ELEM and CENWAVE."""

    opt_elem: str
    cenwave: int

    @classmethod
    def of(cls, primary: Cards) -> Self:
        """Read the mode from a primary header."""
        return cls(primary.text("OPT_ELEM"), primary.whole("CENWAVE"))

    @property
    def columns(self) -> ModeColumns:
        """Return the values by column, for `ReferenceTable.matching`."""
        return {"OPT_ELEM": self.opt_elem, "CENWAVE": self.cenwave}


def require_rows(table: ReferenceTable, *, sporder: bool = False, **values: str | int) -> list[int]:
    """Return the rows that match, in the order of the table.

    Parameters
    ----------
    table : ReferenceTable
        The table.
    sporder : bool
        Match SPORDER = 1 as well.
    **values : str or int
        By column.

    Raises
    ------
    DummyReferenceError
        The table only fills a place.
    ReferenceFileError
        No row matches, or a column is missing.
    """
    if table.dummy:
        raise DummyReferenceError("the table only fills a place (PEDIGREE DUMMY); use another", where=table.path)
    if sporder:
        values["SPORDER"] = 1
    table.row(**values)
    return table.matching(**values)


def require_real(table: ReferenceTable, row: int) -> None:
    """Refuse a row that only fills a place.

    Raises
    ------
    DummyReferenceError
        PEDIGREE begins with DUMMY.
    """
    if table.row_dummy(row):
        raise DummyReferenceError(
            f"row {row + 1} only fills a place (PEDIGREE DUMMY); use another table", where=table.path
        )


def whole(table: ReferenceTable, name: str, row: int, low: int, high: int) -> int:
    """Return a whole number of a cell.

    Raises
    ------
    ReferenceFileError
        The number is no integer, or not in `low` .. `high`.
    """
    value = table.number(name, row)
    if value != int(value) or not low <= value <= high:
        raise ReferenceFileError(
            f"{name} of row {row + 1} is {value:g}; expected a whole number, {low} to {high}", where=table.path
        )
    return int(value)


def vector(table: ReferenceTable, name: str, row: int, size: int) -> Vector:
    """Return the first `size` elements of an array cell, as float64.

    Raises
    ------
    ReferenceFileError
        The column is missing, the cell has fewer elements, or one of them is no finite number.
    """
    values = cell(table, name, row).ravel()
    if len(values) < size:
        raise ReferenceFileError(
            f"{name} of row {row + 1} has {len(values)} elements; the row announces {size}", where=table.path
        )
    values = values[:size]
    if not np.isfinite(values).all():
        bad = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ReferenceFileError(
            f"{name} of row {row + 1}: element {bad + 1} is {values[bad]}; expected a number", where=table.path
        )
    return values


def cell(table: ReferenceTable, name: str, row: int) -> Vector:
    """Return one cell of numbers in its declared shape, as float64; other rows are not touched."""
    if not table.has(name):
        table.column(name)  # says what is missing
    try:
        values = np.asarray(table.data[name][row])
        if values.dtype.kind not in "iuf":
            raise TypeError(f"holds {values.dtype}")
    except (*DAMAGE, TypeError, ValueError, IndexError) as error:
        raise ReferenceFileError(
            f"{name} of row {row + 1} cannot be read ({error}); expected numbers", where=table.path
        ) from error
    return values.astype(np.float64)


def wavelengths(table: ReferenceTable, row: int, size: int) -> Vector:
    """Return the WAVELENGTH cell of a row, Angstrom.

    Raises
    ------
    ReferenceFileError
        See `vector`; also if the wavelengths do not increase.
    """
    values = vector(table, "WAVELENGTH", row, size)
    steps = np.flatnonzero(np.diff(values) <= 0)
    if len(steps):
        at = int(steps[0])
        raise ReferenceFileError(
            f"WAVELENGTH of row {row + 1} does not increase ({values[at]:.10g} is followed by "
            f"{values[at + 1]:.10g}, element {at + 2}); sort the table",
            where=table.path,
        )
    return values


def description(
    references: HeaderReferences, keyword: str, table: ReferenceTable, row: int | None = None
) -> tuple[str, ...]:
    """Return lines for HISTORY: keyword and name as in the header, then PEDIGREE and DESCRIP of table and row."""
    texts = [table.descrip]
    if row is None:
        texts.insert(0, table.pedigree)
    else:
        texts = [table.pedigree_of(row), *texts, table.descrip_of(row)]
    return (f"  {keyword} {references.name(keyword)}", *(f"    {text}" for text in texts if text))
