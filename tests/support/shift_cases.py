"""Rectified wavecals in which the real CalSTIS's ``cs4`` looked for shifts: ``calstis/shifts.json``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from gpucti.io.exposure import Exposure
from support.calstis_files import Array, imset, integers, primary, reference_table, write
from support.products import exposure
from support.stis_files import change

ROWS, COLS = 420, 360
#: Degrees per row; the middle of the slit, 0-based row.
PIXEL, CENTRE = 0.05 / 3600, 209.25
#: Wavelength of column 179, Angstrom per column.
CRVAL, STEP = 5000.0, 2.5
#: Aperture: WIDTH1, WIDTH2, bars (place, width), arcseconds.
APERTURES: Mapping[str, tuple[float, float, tuple[tuple[float, float], ...]]] = {
    "52X0.1": (0.1, 52.0, ((-4.1, 0.5), (3.55, 0.85))),
    "52X0.5": (0.5, 52.0, ((-4.1, 0.5), (3.55, 0.85), (6.0, 0.6))),
    "52XOFF": (0.1, 52.0, ((-10.4, 0.5), (3.55, 0.85))),
    "0.2X0.2": (0.2, 0.62, ()),
    "6X0.2": (0.2, 6.03, ()),
    "6X0.4": (0.4, 19.0, ()),
    "50CCD": (50.0, 50.0, ()),
    "F28X50LP": (28.0, 50.0, ()),
}
LINES = ((4640, 90), (4711, 40), (4805, 160), (4872, 60), (4990, 240), (5020, 120), (5133, 75), (5260, 200), (5333, 55))


@dataclass(frozen=True)
class Case:
    """One rectified wavecal.

    Attributes
    ----------
    aperture : str
        One of `APERTURES`.
    shift : (float, float)
        Of the light, columns and rows; quarters.
    flags : float
        Share of the pixels that carry a random flag.
    hits : int
        Pixels hit by cosmic rays.
    binning : (int, int)
        Unbinned pixels in each.
    cards : mapping
        Of the SCI header.
    search : mapping
        Columns of the WCPTAB; None without one.
    change : callable
        Applied to SCI and DQ at the end.
    """

    aperture: str = "52X0.1"
    shift: tuple[float, float] = (3.25, -4.5)
    flags: float = 0.0
    hits: int = 0
    binning: tuple[int, int] = (1, 1)
    cards: Mapping[str, Any] = field(default_factory=dict)
    search: Mapping[str, float] | None = field(default_factory=dict)
    change: Callable[[Array, Array], None] = lambda sci, dq: None

    def build(self, folder: Path) -> Path:
        """Write the wavecal and its reference files into a folder; return the wavecal."""
        bx, by = self.binning
        rows, cols = ROWS // by, COLS // bx
        sci, dq = self._pixels(rows, cols)
        self.change(sci, dq)
        header = {
            "CRPIX1": (179.5 / bx) + 0.5, "CRPIX2": (CENTRE + 0.5) / by + 0.5, "CRVAL1": CRVAL, "CRVAL2": 0.0,
            "CD1_1": STEP * bx, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": PIXEL * by, "LTM1_1": 1 / bx, "LTM2_2": 1 / by,
            "ASN_MTYP": "AUTO-WAVECAL", "DISPAXIS": 1,
        }  # fmt: skip
        members = imset(1, sci, np.ones_like(sci), dq, **header)
        change(members[0].header, **self.cards)
        first = primary(
            1, OBSTYPE="SPECTROSCOPIC", OPT_ELEM="G430L", CENWAVE=4300, APERTURE=self.aperture, PROPAPER=self.aperture,
            SCLAMP="LINE", LAMPSET="10.0", X2DCORR="COMPLETE", WCPTAB="case_wcp.fits", LAMPTAB="case_lmp.fits",
            APDESTAB="case_apd.fits",
        )  # fmt: skip
        if self.search is None:
            first.header["WCPTAB"] = "N/A"
        _tables(folder, self.search or {})
        return write(folder / "case_w2d.fits", first, members)

    def _pixels(self, rows: int, cols: int) -> tuple[Array, Array]:
        bx, by = self.binning
        light = np.zeros(COLS)
        for wavelength, strength in LINES:
            place = 179 + (wavelength - CRVAL) / STEP + self.shift[0]
            light += strength * np.clip(2.0 - np.abs(np.arange(COLS) - place), 0, None)
        along = np.arange(ROWS) - self.shift[1]
        width, length, bars = APERTURES[self.aperture]
        half = length / 0.05 / 2
        lit = np.clip(half + 0.5 - np.abs(along - CENTRE), 0, 1)
        for where, size in bars:
            lit *= 1 - 0.875 * np.clip(size / 0.1 + 0.5 - np.abs(along - CENTRE - where / 0.05), 0, 1)
        lit *= 1 + along / 4096
        image = lit[:, np.newaxis] * light
        image = image.reshape(rows, by, cols, bx).sum(axis=(1, 3)) + integers(1, -48, 48, (rows, cols)) / 16
        # Sixty-fourths: the same numbers whatever the machine's last digits.
        sci = (np.round(image * 64) / 64).astype(np.float32)
        hit = integers(2, 0, sci.size - 1, (self.hits,))
        sci.ravel()[hit] += integers(3, 30, 4000, (self.hits,)).astype(np.float32)
        dq = np.zeros((rows, cols), dtype=np.int16)
        for where, size in bars:
            low, high = ((CENTRE + (where + sign * size / 2) / 0.05) / by for sign in (-1, 1))
            dq[max(int(low + 0.5), 0) : max(int(high + 0.5) + 1, 0)] |= 8
        flagged = integers(4, 0, 999, dq.shape) < 1000 * self.flags
        bits = np.array([1, 2, 4, 16, 256, 512, 1024, 8192], dtype=np.int16)
        dq[flagged] |= bits[integers(5, 0, 7, dq.shape)][flagged]
        return sci, dq


def _tables(folder: Path, search: Mapping[str, float]) -> None:
    n = len(APERTURES)
    bars = [list(each[2]) + [(0.0, 0.0)] * (3 - len(each[2])) for each in APERTURES.values()]
    columns: dict[str, tuple[str, Any]] = {
        "APERTURE": ("8A", list(APERTURES)),
        "WIDTH1": ("D", [each[0] for each in APERTURES.values()]),
        "WIDTH2": ("D", [each[1] for each in APERTURES.values()]),
        "OFFSET1": ("D", [0.0] * n),
        "OFFSET2": ("D", [0.0] * n),
        "NBARS": ("I", [len(each[2]) for each in APERTURES.values()]),
    }
    for k in range(3):
        columns[f"BAR{k + 1}LOCN"] = ("D", [each[k][0] for each in bars])
        columns[f"BAR{k + 1}WIDTH"] = ("D", [each[k][1] for each in bars])
    reference_table(folder / "case_apd.fits", columns)
    wavelengths = np.arange(4400, 5600, 1.25)
    fluxes = np.zeros(len(wavelengths), dtype=np.float32)
    for wavelength, strength in LINES:
        fluxes += (strength * np.clip(3 - np.abs(wavelengths - wavelength), 0, None)).astype(np.float32)
    size = len(wavelengths)
    reference_table(
        folder / "case_lmp.fits",
        {
            "LAMPSET": ("8A", ["3.8", "10.0"]),
            "SCLAMP": ("9A", ["HITM1", "ANY"]),
            "NELEM": ("J", [size, size]),
            "WAVELENGTH": (f"{size}D", [wavelengths, wavelengths]),
            "FLUX": (f"{size}E", [0 * fluxes, fluxes]),
        },
    )
    values = {
        "WL_TRIM1": 20, "WL_TRIM2": 90, "SP_TRIM1": 25, "SP_TRIM2": 12, "WL_RANGE": 41, "SP_RANGE": 31, "NSIG_CR": 5.0,
        "NSIG_ILL": 2.0, "MAD_REJ": 3.5, "MIN_MAD": 0.2,
    } | dict(search)  # fmt: skip
    formats = {key: ("D" if isinstance(value, float) else "I", [value]) for key, value in values.items()}
    reference_table(folder / "case_wcp.fits", {"DETECTOR": ("8A", ["CCD"]), "OPT_ELEM": ("8A", ["ANY"])} | formats)


def _rows_only(first: int, last: int) -> Callable[[Array, Array], None]:
    def spoil(sci: Array, dq: Array) -> None:
        dq[:first] |= 4
        dq[last:] |= 4

    return spoil


def _dark(sci: Array, dq: Array) -> None:
    sci[:] = 0


def _negative(sci: Array, dq: Array) -> None:
    sci *= -1


def _all_flagged(sci: Array, dq: Array) -> None:
    dq |= 512


def _columns_flagged(sci: Array, dq: Array) -> None:
    dq[:, :150] |= 4


CASES: dict[str, Case] = {
    "bars": Case(),
    "far": Case(shift=(-12.25, 9.75)),
    "too_far": Case(shift=(30.0, 25.0)),
    "wide_slit": Case("52X0.5", shift=(0.5, 1.25)),
    "bar_off_the_image": Case("52XOFF"),
    "cosmic_rays": Case(hits=6000),
    "flags": Case(flags=0.1, hits=3000),
    "flags_that_count_all": Case(flags=0.2, hits=3000, cards={"SDQFLAGS": 32767}),
    "no_cosmic_rays_wanted": Case(hits=3000, flags=0.05, cards={"SDQFLAGS": 23551}),
    "no_bit_counts": Case(flags=0.05, cards={"SDQFLAGS": 0}),
    "no_sdqflags": Case(flags=0.05, hits=500, cards={"SDQFLAGS": None}),
    "binned": Case(hits=500, binning=(2, 2)),
    "binned_along": Case(hits=500, binning=(2, 1)),
    "binned_across": Case("52X0.5", hits=500, binning=(1, 4)),
    "defaults": Case(hits=500, search=None),
    "even_range": Case(search={"SP_RANGE": 30, "WL_RANGE": 40}),
    "short_range": Case(shift=(0.25, 0.5), search={"SP_RANGE": 3, "WL_RANGE": 1}),
    "long_range": Case(search={"SP_RANGE": 200, "WL_RANGE": 2000}),
    "large_trim": Case(search={"WL_TRIM1": 500, "SP_TRIM2": 500}),
    "strict_clipping": Case(hits=6000, search={"NSIG_CR": 1.0, "NSIG_ILL": 0.5, "MAD_REJ": 1.0}),
    "no_clipping": Case(hits=600, search={"MIN_MAD": 0.0, "MAD_REJ": 0.0}),
    "short_slit": Case("0.2X0.2", shift=(1.0, 2.5), hits=400),
    "short_slit_binned": Case("0.2X0.2", shift=(1.0, 2.5), binning=(2, 2)),
    "medium_slit": Case("6X0.2", shift=(1.0, -3.75), hits=400),
    "medium_slit_one_end": Case("6X0.4", shift=(1.0, 3.75), search={"SP_TRIM2": 4}, change=_rows_only(30, ROWS)),
    "medium_slit_no_end": Case("6X0.2", change=_rows_only(180, 240)),
    "no_bars": Case("50CCD"),
    "no_slit": Case("F28X50LP"),
    "dark": Case(change=_dark),
    "negative": Case(change=_negative),
    "all_flagged": Case(change=_all_flagged),
    "columns_flagged": Case(flags=0.02, change=_columns_flagged),
    "few_rows": Case(change=_rows_only(195, 215)),
    "off_the_lamp": Case(cards={"CRVAL1": 9000.0}),
    "partly_off_the_lamp": Case(cards={"CRVAL1": 5290.0}),
}


def input_digest(path: Path) -> str:
    """Return the sha256 of SCI and DQ of an input."""
    with fits.open(path) as hdus:
        return hashlib.sha256(hdus["SCI"].data.tobytes() + hdus["DQ"].data.tobytes()).hexdigest()


def wavecal(n: int = 1, **cards: Any) -> Exposure:
    """Return a small wavecal in memory."""
    made = exposure(n, OBSTYPE="SPECTROSCOPIC", OPT_ELEM="G430L", CENWAVE=4300, SCLAMP="HITM1", **cards)
    for each in made.imsets:
        change(each.headers[0], EXPTIME=10.0, EXPSTART=50000.0, EXPEND=50000.001)
    return made
