"""Spectra that the real CalSTIS's ``cs7`` rectified; what it made of them is recorded in ``calstis/rectified.json``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from support.calstis_cases import SCI_KEYWORDS, STATISTICS, digest, keywords
from support.calstis_files import Array
from support.spectrum_files import GRATINGS, reference_tables, spectrum

PRIMARY = "NEXTEND X2DCORR DISPCORR HELCORR FLUXCORR WAVECORR".split()
SCI = [*SCI_KEYWORDS, *"BUNIT CUNIT1 SPORDER DIFF2PT CONT2EML SCALE_A1 OMEGAPIX".split()]
GEOMETRY = "LTV1 LTV2 LTM1_1 LTM2_2 CRPIX1 CRPIX2 CRVAL1 CRVAL2 CD1_1 CD1_2 CD2_1 CD2_2 CUNIT1".split()
#: 2 x 2 pixels binned, the small image in the middle of the frame.
BINNED = {"LTM1_1": 0.5, "LTM2_2": 0.5, "LTV1": 28 - 253.75, "LTV2": 20 - 254.75}


@dataclass(frozen=True)
class Case:
    """One run of ``cs7.e``: switches (of FLUXCORR and HELCORR), options of the tables, and changes of the headers."""

    name: str
    switches: tuple[str, ...]
    build: Callable[[Path], Path]


CASES: dict[str, Case] = {}


def case(
    name: str,
    grating: str = "G430L",
    *,
    switches: tuple[str, ...] = ("flux", "hel"),
    n: int = 1,
    own: dict[str, Any] | None = None,
    without: tuple[str, ...] = (),
    dummy: tuple[str, ...] = (),
    cards: dict[str, Any] | None = None,
    **options: Any,
) -> None:
    """Register a case. `without`: tables that the header does not name; `dummy`: that only fill a place."""

    def build(folder: Path) -> Path:
        names = reference_tables(folder, grating, **options)
        for key in dummy:
            fits.setval(folder / names[key], "PEDIGREE", value="DUMMY")
        for key in without:
            names[key] = "N/A"
        return spectrum(folder, grating, n, own, **{**names, **(cards or {})})

    CASES[name] = Case(name, switches, build)


for number, each in enumerate(GRATINGS):
    case(each, each, n=1 + number % 2, rotated=number > 2, tilt=(None, 0.315, 0.48)[number % 3], warm=number % 2 == 0)
case("counts", switches=())
case("heliocentric", switches=("hel",))
case("flux_as_observed", "G750L", switches=("flux",), old=True)
case("binned", "G430L", n=2, own=BINNED, tilt=0.5, rotated=True)
case("binned_across", "G750M", own={"LTM2_2": 0.5, "LTV2": BINNED["LTV2"]}, tilt=0.1)
case("nine_terms", "G750M", terms=9, tilt=0.4)
case("aperture_short", "G430L", cards={"APERTURE": "0.2X0.2", "PROPAPER": "0.2X0.2"})
case("aperture_pseudo", "G430L", cards={"PROPAPER": "52X0.2E1"}, tilt=0.2)
case("aperture_pseudo_lamp", "G430L", cards={"PROPAPER": "52X0.2E1", "SCLAMP": "LINE"})
case("wavecal", "G230LB", switches=("hel",), own={"ASN_MTYP": "AUTO-WAVECAL"}, cards={"SCLAMP": "HITM1"}, n=2)
case("straightened", "G430L", cards={"WX2DCORR": "COMPLETE"}, rotated=True)
case("beside", "G430L", own={"SHIFTA1": -9999.0, "SHIFTA2": -9999.0})
case("partly_beside", "G430L", own={"SHIFTA1": 23.5, "SHIFTA2": -17.5})
case("no_exposure", "G430L", own={"EXPTIME": 0.0}, n=2)
case("no_throughput", "G750L", response=(0.0, 0.0, 0.01, -0.02, -0.01, 0.02, 0.0, 0.05))
case("no_height_table", "G430L", without=("PCTAB",))
case("no_time_table", "G430L", without=("TDSTAB",))
case("dummy_height_and_time", "G430L", dummy=("PCTAB", "TDSTAB"))
case("dummy_sensitivity", "G430L", dummy=("PHOTTAB",))
case("dummy_throughput", "G430L", dummy=("APERTAB",))
case("gain_of_commands", "G430L", cards={"ATODGAIN": None, "CCDGAIN": 4})
case("before_first_time", "G430L", own={"EXPSTART": 49000.0, "EXPEND": 49000.01}, old=True, warm=True)
case("before_first_time_new", "G430L", own={"EXPSTART": 49000.0, "EXPEND": 49000.01}, warm=True)
case("later", "G430L", own={"EXPSTART": 60000.0, "EXPEND": 60000.01, "OCCDHTAV": None}, warm=True, old=True)
case("bars_at_the_borders", "G430L", bars=((-1.2, 0.5), (0.9, 0.7), (-9.0, 0.5)))
case("all_bits_serious", "G430L", own={"SDQFLAGS": None})


def input_digest(path: Path) -> list[str]:
    """Return digests of the pixels of an input, to tell an other input from another result."""
    with fits.open(path) as hdus:
        return [digest(hdu.data) for hdu in hdus if getattr(hdu, "data", None) is not None]


def summary(first: fits.Header, imsets: list[tuple[list[Array], list[fits.Header]]]) -> dict[str, Any]:
    """Return what is compared of one product."""
    return {
        "primary": keywords(first, PRIMARY),
        "imsets": [
            {
                **dict(zip(("sci", "err", "dq"), map(digest, arrays), strict=True)),
                "shape": list(np.shape(arrays[0])),
                "sci_header": keywords(headers[0], SCI),
                "err_header": keywords(headers[1], [*STATISTICS, *GEOMETRY, "BUNIT"]),
                "dq_header": keywords(headers[2], GEOMETRY),
            }
            for arrays, headers in imsets
        ],
    }
