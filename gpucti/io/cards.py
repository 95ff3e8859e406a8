"""The cards of one FITS header: read with errors that say where it stands; true of the file and the pixels, or gone.

What a header says of the file it lies in, or of the pixels below it, is false in another file or above other pixels.
Which keywords those are is said here alone; `gpucti.io.fitsfile.write_product` and `Exposure.with_imsets` act on it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from astropy.io import fits

from gpucti.detector import AMPS
from gpucti.errors import GpuctiError, InputError

#: How an array is stored: made anew on writing.
STORAGE_KEYWORDS = ("NPIX1", "NPIX2", "PIXVALUE", "BSCALE", "BZERO", "BLANK")
#: CalSTIS's statistics (`doStat`): true of the pixels they were taken from, and of no others.
STATISTICS = ("NGOODPIX", "GOODMIN", "GOODMAX", "GOODMEAN", "SNRMIN", "SNRMAX", "SNRMEAN")
#: What one run of the pipeline made of an exposure: true of its own products only.
OF_A_RUN = ("PCTESHAR", "PCTEPROD", "PCTEPART", "PCTEOMIT")
#: What hstio, the library CalSTIS writes with, leaves out (FITS's and IRAF's words about one file), and IRAF's others.
_OF_THE_FILE = re.compile(r"DATAM(IN|AX)|DATATYPE|GROUPS|PSIZE\d*|PD?TYPE\d+|IRAF-.*")
#: Says nothing about a table: the coordinates of pixels, their unit and how they are stored.
_OF_AN_IMAGE = re.compile(
    r"BUNIT|WCSAXES|WCSNAME|(CTYPE|CUNIT|CRPIX|CRVAL|CDELT|CROTA)\d+[A-Z]?|(CD|PC|PV|PS)\d+_\d+[A-Z]?"
)

_REQUIRED: Any = object()


@dataclass(frozen=True, eq=False)
class Cards:
    """A header, where it stands, and which error tells of what is wrong in it.

    Every reader raises `error` for a card that is missing and has no `default`, cannot be read, or holds something
    else. A default is returned as given.

    Attributes
    ----------
    header : fits.Header
        The header itself, not a copy.
    where : str
        For messages: ``x_raw.fits[0]``, ``x_raw.fits[SCI,1]``.
    error : type of GpuctiError
        `InputError` for exposures, `ReferenceFileError` for reference files.
    """

    header: fits.Header
    where: str
    error: type[GpuctiError] = InputError

    def __contains__(self, name: str) -> bool:
        return name in self.header

    def value(self, name: str, default: Any = _REQUIRED) -> Any:
        """Return the value of a keyword, whatever it is."""
        if name not in self.header:
            if default is _REQUIRED:
                raise self.wrong(f"{name} is missing; the keyword is needed and has no default, add it")
            return default
        try:
            return self.header[name]
        except (fits.VerifyError, ValueError) as error:
            raise self.wrong(f"the card of {name} cannot be read; repair it") from error

    def number(self, name: str, default: Any = _REQUIRED) -> float:
        """Return a finite number, as it stands in the header: an int stays one."""
        value = self.value(name, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise self.wrong(f"{name} is {_shown(value)}; expected a number")
        return value

    def whole(self, name: str, default: Any = _REQUIRED) -> int:
        """Return a whole number."""
        value = self.number(name, default)
        if value != int(value):
            raise self.wrong(f"{name} is {value!r}; expected a whole number")
        return int(value)

    def text(self, name: str, default: Any = _REQUIRED) -> str:
        """Return a text without blanks at its ends."""
        value = self.value(name, default)
        if not isinstance(value, str):
            raise self.wrong(f"{name} is {_shown(value)}; expected text in quotes")
        return value.strip()

    def switch(self, name: str) -> str:
        """Return a calibration switch in capitals; empty if it is absent."""
        return self.text(name, default="").upper()

    def amp(self) -> str:
        """Return the amplifier, A to D (CCDAMP)."""
        amp = self.text("CCDAMP")
        if amp not in AMPS:
            raise self.wrong(f"CCDAMP is {amp!r}; expected one of A, B, C, D (a single amplifier)")
        return amp

    def file(self, name: str) -> str:
        """Return the name of a reference file as it stands in the header; empty if missing, blank or ``N/A``."""
        file = self.text(name, default="")
        return "" if file.upper() == "N/A" else file

    def wrong(self, reason: str) -> GpuctiError:
        """Return the error that says this of the header."""
        return self.error(reason, where=self.where)


def describes_image(keyword: str) -> bool:
    """Tell whether a keyword is about the pixels of an image, and so is false of a table that is made of it."""
    return keyword in (*STATISTICS, *STORAGE_KEYWORDS) or _OF_AN_IMAGE.fullmatch(keyword) is not None


def without(header: fits.Header, *keywords: str) -> None:
    """Remove all cards of these keywords; those that are not there do not matter."""
    for keyword in keywords:
        header.remove(keyword, ignore_missing=True, remove_all=True)


def settle(header: fits.Header) -> None:
    """Make a header that came from another file true of the one it is going to be written into.

    What described the other file goes; DATE, when this one was written (UTC), and ORIGIN, by what, are set where they
    are.
    """
    without(header, *{keyword for keyword in header if _OF_THE_FILE.fullmatch(keyword)})
    for name, value in (("DATE", datetime.now(UTC).date().isoformat()), ("ORIGIN", "gpucti")):
        if name in header:
            header[name] = value


def renamed(header: fits.Header, names: Mapping[str, str]) -> fits.Header:
    """Return a copy of a header with names of references put into it; ``N/A`` adds no card."""
    copy = header.copy()
    for keyword, name in names.items():
        if keyword in copy or name != "N/A":
            copy[keyword] = name
    return copy


def _shown(value: Any) -> str:
    return "blank" if value is None or isinstance(value, fits.card.Undefined) else repr(value)
