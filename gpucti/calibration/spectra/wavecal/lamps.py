"""What a wavecal is compared with: the spectrum of the lamp (LAMPTAB), and how to look for the shift (WCPTAB)."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from gpucti.calibration.base import Trailer
from gpucti.calibration.reffiles import HeaderReferences
from gpucti.calibration.spectra.tables import description, require_real, require_rows, vector, wavelengths, whole

Vector = npt.NDArray[np.float64]

#: Largest trim and range, in pixels: twice the detector.
MAX_PIXELS = 2048
#: Elements that a lamp's spectrum may have.
MAX_ELEMENTS = 1_000_000


@dataclass(frozen=True, eq=False)
class Lamp:
    """The spectrum of a lamp, constant between edges.

    Attributes
    ----------
    edges : (n + 1,) float64
        Angstrom, increasing.
    fluxes : (n,) float64
        Per Angstrom, between one edge and the next.
    history : tuple of str
        What table this is from.
    """

    edges: Vector
    fluxes: Vector
    history: tuple[str, ...] = ()

    def over(self, limits: Vector) -> Vector:
        """Return the flux integrated between neighbouring limits (``SumSpec``).

        Parameters
        ----------
        limits : (m + 1,) float64
            Wavelengths of the edges of pixels, Angstrom, increasing.

        Returns
        -------
        (m,) float64
            Zero for pixels that begin before the lamp's spectrum or end behind it.
        """
        edges, fluxes = self.edges.tolist(), self.fluxes.tolist()
        places = np.searchsorted(self.edges, limits, side="left") - 1
        places[limits == self.edges[0]] = 0
        result = np.zeros(len(limits) - 1)
        pairs = zip(limits[:-1].tolist(), limits[1:].tolist(), places[:-1].tolist(), places[1:].tolist(), strict=True)
        for pixel, (left, right, first, last) in enumerate(pairs):
            if last >= len(fluxes):
                break
            if first == last >= 0:
                result[pixel] = fluxes[first] * (right - left)
            elif first >= 0:
                total = fluxes[first] * (edges[first + 1] - left)
                for bin_ in range(first + 1, last):
                    total += fluxes[bin_] * (edges[bin_ + 1] - edges[bin_])
                result[pixel] = total + fluxes[last] * (right - edges[last])
        return result


def read_lamp(references: HeaderReferences) -> Lamp:
    """Return the spectrum of the lamp that was lit, from the first row of the LAMPTAB for it.

    Parameters
    ----------
    references : HeaderReferences
        Of the wavecal, whose header names the table, LAMPSET, SCLAMP and OPT_ELEM.

    Raises
    ------
    InputError
        A keyword is missing.
    ReferenceFileError
        No table, no row, a missing column, wavelengths that do not increase; a dummy is a `DummyReferenceError`.
    """
    table = references.table("LAMPTAB")
    texts = {name: references.cards.text(name) for name in ("LAMPSET", "SCLAMP", "OPT_ELEM")}
    chosen = {name: text for name, text in texts.items() if name == "LAMPSET" or table.has(name)}
    row = require_rows(table, sporder=False, **chosen)[0]
    require_real(table, row)
    size = whole(table, "NELEM", row, 2, MAX_ELEMENTS)
    centres = wavelengths(table, row, size)
    first = centres[0] - (centres[1] - centres[0]) / 2.0
    last = centres[-1] + (centres[-1] - centres[-2]) / 2.0
    return Lamp(
        edges=np.concatenate([[first], (centres[:-1] + centres[1:]) / 2.0, [last]]),
        fluxes=vector(table, "FLUX", row, size),
        history=description(references, "LAMPTAB", table, row),
    )


@dataclass(frozen=True)
class SearchParameters:
    """How the shift of a wavecal is looked for; pixels are unbinned.

    Attributes
    ----------
    wl_trim1, wl_trim2 : int
        Columns and rows left out on each side for the shift along the dispersion.
    sp_trim1, sp_trim2 : int
        The same for the shift across it.
    wl_range, sp_range : int
        Pixels searched in each direction, in all.
    nsig_cr : float
        Standard deviations from which a bright pixel is a cosmic ray.
    nsig_ill : float
        Standard deviations that one behind a bar has to lie off the lit pixels besides.
    mad_rej, min_mad : float
        Median absolute deviations at which a value does not count any more, and the least that is taken for one.
    history : tuple of str
        What table this is from; empty for the defaults.
    """

    wl_trim1: int = 0
    wl_trim2: int = 300
    sp_trim1: int = 200
    sp_trim2: int = 0
    wl_range: int = 63
    sp_range: int = 61
    nsig_cr: float = 3.0
    nsig_ill: float = 2.0
    mad_rej: float = 3.0
    min_mad: float = 1.0
    history: tuple[str, ...] = ()


def read_search_parameters(references: HeaderReferences, trailer: Trailer) -> SearchParameters:
    """Return the first row of the WCPTAB for the detector and grating; the defaults without a table, or for a dummy.

    The trailer is told where defaults are taken.

    Raises
    ------
    InputError
        A keyword is missing.
    ReferenceFileError
        The table is not found, or lacks the row or a column, or a cell makes no sense.
    """
    if references.find("WCPTAB") is None:
        trailer.say("WCPTAB is not given: default search parameters")
        return SearchParameters()
    table = references.table("WCPTAB")
    texts = {name: references.cards.text(name) for name in ("DETECTOR", "OPT_ELEM")}
    row = None if table.dummy else table.row(**texts)
    if row is None or table.row_dummy(row):
        trailer.say("WCPTAB only fills a place (PEDIGREE DUMMY): default search parameters")
        return SearchParameters()
    names = [field.name for field in fields(SearchParameters) if field.name != "history"]
    whole_numbers = {
        name: whole(table, name.upper(), row, int(name.endswith("range")), MAX_PIXELS)
        for name in names
        if name.startswith(("wl", "sp"))
    }
    others = {name: table.number(name.upper(), row) for name in names if name not in whole_numbers}
    return SearchParameters(**whole_numbers, **others, history=description(references, "WCPTAB", table, row))  # type: ignore[arg-type]
