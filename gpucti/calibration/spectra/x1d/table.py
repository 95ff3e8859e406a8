"""Extracted spectra as files: one table with one row for each image set, as CalSTIS's ``x1d`` and ``sx1``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from gpucti.errors import EngineError
from gpucti.io.cards import describes_image
from gpucti.io.fitsfile import write_product

FLUX_UNIT = "erg/s/cm**2/Angstrom"
RATE_UNIT = "Counts/s"
#: What a cell without a value holds in columns of integers.
NULL = -32767
#: Keywords that every extension has for itself.
OF_THE_EXTENSION = frozenset(
    "SIMPLE XTENSION BITPIX NAXIS NAXIS1 NAXIS2 PCOUNT GCOUNT EXTEND TFIELDS EXTNAME EXTVER "
    "DATE ORIGIN CHECKSUM DATASUM COMMENT HISTORY".split()
    + [""]
)
DISPLAY = {"I": "I11", "E": "G15.7", "D": "G25.16"}


class _Column(NamedTuple):
    """A column of the table: format of one element, unit, whether there is one element per image column."""

    name: str
    kind: str
    unit: str | None
    array: bool


COLUMNS = (
    _Column("SPORDER", "I", None, False),
    _Column("NELEM", "I", None, False),
    _Column("WAVELENGTH", "D", "Angstroms", True),
    _Column("GROSS", "E", RATE_UNIT, True),
    _Column("BACKGROUND", "E", RATE_UNIT, True),
    _Column("NET", "E", RATE_UNIT, True),
    _Column("FLUX", "E", FLUX_UNIT, True),
    _Column("ERROR", "E", FLUX_UNIT, True),
    _Column("NET_ERROR", "E", RATE_UNIT, True),
    _Column("DQ", "I", None, True),
    _Column("A2CENTER", "E", "pixel", False),
    _Column("EXTRSIZE", "E", "pixel", False),
    _Column("MAXSRCH", "I", "pixel", False),
    _Column("BK1SIZE", "E", "pixel", False),
    _Column("BK2SIZE", "E", "pixel", False),
    _Column("BK1OFFST", "E", "pixel", False),
    _Column("BK2OFFST", "E", "pixel", False),
    _Column("EXTRLOCY", "E", "pixel", True),
    _Column("OFFSET", "E", "pixel", False),
)


@dataclass(frozen=True, eq=False)
class ExtractedSpectra:
    """The spectra of one exposure.

    Attributes
    ----------
    path : Path
        The exposure they are from.
    primary : fits.Header
        Primary header of the file.
    tables : tuple of fits.BinTableHDU
        One for each image set from which a spectrum could be extracted; EXTVER is the number of the image set.
    failures : tuple of str
        Why there is none from others, a sentence each.
    """

    path: Path
    primary: fits.Header
    tables: tuple[fits.BinTableHDU, ...]
    failures: tuple[str, ...] = ()

    def hdus(self) -> fits.HDUList:
        """Return the file as astropy has it; headers are copies."""
        return fits.HDUList([fits.PrimaryHDU(header=self.primary.copy()), *(table.copy() for table in self.tables)])

    def write(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the file whole or not at all, compressed if its name ends in ``.gz``; return its path.

        Raises
        ------
        EngineError
            There is no spectrum; the message says why.
        OutputExistsError
            The file exists and `overwrite` is False.
        """
        path = Path(path)
        if not self.tables:
            raise EngineError(f"{path.name} is not written, no spectrum was extracted. {' '.join(self.failures)}")
        return write_product(self.hdus(), path, overwrite=overwrite)


def spectrum_table(
    values: dict[str, Any], number: int, sci_header: fits.Header, keywords: dict[str, tuple[Any, str]], *, flux: bool
) -> fits.BinTableHDU:
    """Return the table of one spectrum.

    Parameters
    ----------
    values : mapping
        Of every column.
    number : int
        Of the image set: EXTVER.
    sci_header : fits.Header
        Its keywords, but for those of an image, come into the header of the table.
    keywords : mapping
        Further keywords: value and comment.
    flux : bool
        Whether ERROR is in units of flux.
    """
    size = len(values["WAVELENGTH"])
    columns = []
    for name, kind, unit, array in COLUMNS:
        cells: npt.NDArray[Any] = np.asarray(values[name])[np.newaxis]
        columns.append(
            fits.Column(
                name=name,
                format=f"{size if array else 1}{kind}",
                unit=RATE_UNIT if name == "ERROR" and not flux else unit,
                null=NULL if kind == "I" else None,
                disp=DISPLAY[kind],
                array=cells.astype({"I": np.int16, "E": np.float32, "D": np.float64}[kind]),
            )
        )
    table = fits.BinTableHDU.from_columns(columns)
    table.header["EXTNAME"] = ("SCI", "extension name")
    table.header["EXTVER"] = (number, "extension version")
    for card in sci_header.cards:
        if card.keyword in OF_THE_EXTENSION or describes_image(card.keyword):
            continue
        if not isinstance(card.value, fits.card.Undefined):
            table.header.append((card.keyword, _fifteen_digits(card.value), card.comment), end=True)
    for name, (value, comment) in keywords.items():
        table.header[name] = (_fifteen_digits(value), comment)
    return table


def _fifteen_digits(value: Any) -> Any:
    """Return a value as the header of a table holds it."""
    return float(f"{value:.15g}") if isinstance(value, float) else value
