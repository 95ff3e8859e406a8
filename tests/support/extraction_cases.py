"""Small spectra that the real cs6 of CalSTIS was given, case by case; ``calstis/extraction.npz`` holds what it made.

A window of the detector with one spectrum, a slope of background, flags and outliers: whole numbers from seeded
streams and IEEE arithmetic, the same everywhere. Three traces and three dispersion relations, curved and turned.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from gpucti.calibration.spectra.x1d.parameters import ExtractOptions
from support.calstis_files import Array, imset, integers, primary, reference_table, write

ROWS, COLS = 96, 88
#: First row and column of the window, 0-based, and the line on which the spectrum lies.
FIRST_ROW, FIRST_COL, LINE = 464, 470, 512.3
MJD = 56002.5
SWITCHES = {"BACKCORR": "-back", "DISPCORR": "-disp", "HELCORR": "-hel", "FLUXCORR": "-flux", "CTECORR": "-cte"}
DONE = ("BACKCORR", "DISPCORR", "HELCORR", "FLUXCORR")
#: Angstrom in the middle of the detector, and per pixel.
MODES = {
    ("G430L", 4300): (4300.0, 2.75),
    ("G230LB", 2375): (2375.0, 1.35),
    ("G750L", 7751): (7751.0, 4.875),
    ("G750M", 6768): (6768.0, 0.5625),
}
LINES = (520.0, 470.0, 561.0)


@dataclass(frozen=True)
class Case:
    """One run of cs6.

    Attributes
    ----------
    name : str
        Of the case.
    mode : (str, int)
        Grating and central wavelength.
    steps : tuple of str
        Switches that are PERFORM.
    flags : dict
        Options of cs6.
    options : ExtractOptions
        The same for gpucti.
    cards, own, first : dict
        Cards of the primary header, of the SCI headers, and of the first of these alone.
    tables : dict
        Arguments of the builders below, by keyword of the table.
    images : int
        Number of image sets.
    change : callable
        Changes SCI, ERR and DQ in place; gets the number of the image set as well.
    binned : bool
        Binned 2 x 2.
    """

    name: str
    mode: tuple[str, int] = ("G430L", 4300)
    steps: tuple[str, ...] = DONE
    flags: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    cards: dict[str, Any] = field(default_factory=dict)
    own: dict[str, Any] = field(default_factory=dict)
    first: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    images: int = 1
    change: Callable[[int, Array, Array, Array], None] | None = None
    binned: bool = False

    def build(self, folder: Path) -> Path:
        """Write input and tables into a folder; return the input."""
        cards = {
            "OBSTYPE": "SPECTROSCOPIC", "OPT_ELEM": self.mode[0], "CENWAVE": self.mode[1], "APERTURE": "52X0.2",
            "PROPAPER": "52X0.2", "SCLAMP": "NONE", "ATODGAIN": 1.018, "READNSE": 5.7, "X1DCORR": "PERFORM",
            "X2DCORR": "OMIT", "WAVECORR": "COMPLETE",
        }  # fmt: skip
        cards |= {name: "PERFORM" if name in self.steps else "OMIT" for name in SWITCHES}
        cards |= {key: self._table(folder, key) for key in TABLES}
        if self.binned:
            cards |= {"BINAXIS1": 2, "BINAXIS2": 2}
        first = primary(self.images, **cards | self.cards)
        sets = []
        for number in range(1, self.images + 1):
            sci, err, dq = scene(number, self.binned)
            if self.change:
                self.change(number, sci, err, dq)
            sets.append(imset(number, sci, err, dq, **self._own(number)))
        return write(folder / f"{self.name}_flt.fits", first, *sets)

    def _table(self, folder: Path, keyword: str) -> str:
        """Write a table, unless another case of the same mode did; return its name."""
        suffix, make = TABLES[keyword]
        given = self.tables.get(keyword, {})
        path = folder / f"{self.name if given else self.mode[0].lower()}_{suffix}.fits"
        return path.name if path.exists() else make(path, self.mode, **given)

    def arguments(self) -> list[str]:
        """Return the options of cs6."""
        given = [SWITCHES[name] for name in self.steps] or ["-x1d"]
        for flag, value in self.flags.items():
            given += [flag] if value is None else [flag, str(value)]
        return given

    @property
    def chosen(self) -> ExtractOptions:
        """The same for gpucti."""
        return ExtractOptions(**self.options)

    def _own(self, number: int) -> dict[str, Any]:
        m = 0.5 if self.binned else 1.0
        start = MJD + 0.004 * (number - 1)
        cards = {
            "CTYPE1": "LAMBDA", "CTYPE2": "ANGLE", "CRVAL1": float(self.mode[1]), "CRVAL2": 0.0, "CD1_1": 2.75 / m,
            "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 1.41111e-5 / m, "CRPIX1": 20.0, "CRPIX2": 20.0, "EXPSTART": start,
            "EXPEND": start + 300 / 86400, "SHIFTA1": -1.625 + 0.3 * number, "SHIFTA2": 2.125, "MEANDARK": 1.375,
            "NCOMBINE": 2, "DISPAXIS": 1, "LTM1_1": m, "LTM2_2": m,
            "LTV1": -FIRST_COL * m + (1 - m) / 2, "LTV2": -FIRST_ROW * m + (1 - m) / 2,
        }  # fmt: skip
        return cards | self.own | (self.first if number == 1 else {})


def displacement(line: float) -> Array:
    """Return the trace along a line of the detector: curved, and the more tilted the farther up."""
    x = np.arange(1024) - 511.0
    return 1.5e-5 * x * x + (line - 450.0) * 4e-5 * x


def scene(number: int, binned: bool) -> tuple[Array, Array, Array]:
    """Return SCI, ERR and DQ: counts in sixteenths."""
    m = 2 if binned else 1
    row, col = np.mgrid[:ROWS, :COLS]
    height = LINE + displacement(LINE)[(FIRST_COL + m * col) % 1024]
    distance = (FIRST_ROW + m * row + (m - 1) / 2 - height) / m
    light = (900.0 + 5.0 * col + 40.0 * number) / (1.0 + distance * distance) ** 2
    sky = 12.0 + row / 16.0 + col / 32.0
    noise = integers(50 + number, -64, 64, (ROWS, COLS)) / 16
    sci = np.floor((light + sky + noise) * 16) / 16
    err = np.floor(np.sqrt(np.maximum(sci, 0) + 40) * 16) / 16
    dq = np.where(integers(60 + number, 0, 40, sci.shape) == 0, 1 << integers(61, 0, 14, sci.shape), 0)
    outliers = integers(62 + number, 0, 50, sci.shape) == 0
    sci[outliers] += 300
    return sci.astype(np.float32), err.astype(np.float32), dq.astype(np.int16)


# ---- tables ----------------------------------------------------------------------------------------------------------


def _mode_columns(mode: tuple[str, int], n: int) -> dict[str, tuple[str, Any]]:
    return {"OPT_ELEM": ("8A", [mode[0]] * n), "CENWAVE": ("I", [mode[1]] * n), "SPORDER": ("I", [1] * n)}


def traces(path: Path, mode: tuple[str, int], nelem: int = 1024, rotated: bool = True, lines: Any = LINES) -> str:
    columns = _mode_columns(mode, len(lines)) | {
        "A1CENTER": ("D", [512.0] * len(lines)),
        "A2CENTER": ("D", list(lines)),
        "NELEM": ("I", [nelem] * len(lines)),
        "A2DISPL": ("1024D", [displacement(line) for line in lines]),
    }
    if rotated:
        columns |= {"MJD": ("D", [55000.0] * len(lines)), "DEGPERYR": ("D", [0.0031] * len(lines))}
    return reference_table(path, columns)


def extraction(path: Path, mode: tuple[str, int], **given: Any) -> str:
    row = {"EXTRSIZE": 7.0, "BK1SIZE": 5.0, "BK2SIZE": 6.0, "BK1OFFST": -22.0, "BK2OFFST": 24.5} | {
        "BACKORD": 0, "MAXSRCH": 90, "XTRACALG": "UNWEIGHTED", "tilt": [0.0]
    } | given  # fmt: skip
    tilt = row.pop("tilt")
    formats = {"BACKORD": "I", "MAXSRCH": "I", "XTRACALG": "12A"}
    columns = {"APERTURE": ("16A", ["52X0.5", "ANY"])} | _mode_columns(mode, 2)
    columns |= {name: (formats.get(name, "E"), [value, value]) for name, value in row.items()}
    columns |= {"NCOEFFSL": ("I", [1, 1]), "SLTCOEFF": ("8D", np.zeros((2, 8))), "NCOEFFBK": ("I", [len(tilt)] * 2)}
    columns |= {"BKTCOEFF": ("8D", [tilt + [0.0] * (8 - len(tilt))] * 2)}
    return reference_table(path, columns)


def dispersion(path: Path, mode: tuple[str, int], ncoeff: int = 3) -> str:
    middle, step = MODES[mode]
    rows = []
    for line in LINES:
        bend = 2e-8 * (line - 400) / step
        slope = 1 / step - 2 * bend * middle
        rows.append([512.0 - slope * middle - bend * middle * middle, slope, bend, 0.25, 1e-6, 2e-6] + [0.0] * 4)
    columns = _mode_columns(mode, 3) | {
        "REF_APER": ("16A", ["52X0.1"] * 3),
        "A2CENTER": ("D", list(LINES)),
        "NCOEFF": ("I", [ncoeff] * 3),
        "COEFF": ("10D", rows),
    }
    del columns["SPORDER"]
    return reference_table(path, columns)


def incidence(path: Path, mode: tuple[str, int]) -> str:
    columns = _mode_columns(mode, 2) | {
        "NCOEFF1": ("I", [1, 2]),
        "COEFF1": ("10D", [[9.0] * 10, [0.75, 1e-4] + [0.0] * 8]),
        "NCOEFF2": ("I", [1, 2]),
        "COEFF2": ("10D", [[9.0] * 10, [19.5, -0.5] + [0.0] * 8]),
    }
    return reference_table(path, columns)


def apertures(path: Path, mode: tuple[str, int]) -> str:
    names = ["52X0.1", "52X0.2", "52X0.2E1"]
    columns = {
        "APERTURE": ("16A", names),
        "WIDTH1": ("D", [0.1, 0.2, 0.2]),
        "WIDTH2": ("D", [52.0] * 3),
        "OFFSET1": ("D", [0.0, 0.0123, 0.0211]),
        "OFFSET2": ("D", [0.0, 0.0321, 0.4567]),
        "ANGLE": ("D", [0.3] * 3),
        "NBARS": ("I", [0] * 3),
    }
    for k in (1, 2, 3):
        columns |= {f"BAR{k}LOCN": ("D", [0.0] * 3), f"BAR{k}WIDTH": ("D", [0.0] * 3)}
    return reference_table(path, columns)


def _grid(mode: tuple[str, int], n: int, reach: float = 700.0) -> Array:
    middle, step = MODES[mode]
    return middle + step * reach * np.linspace(-1.0, 1.0, n)


def sensitivity(
    path: Path, mode: tuple[str, int], reach: float = 700.0, zero: bool = False, row: str = "", pedigree: str = "GROUND"
) -> str:
    values = 0.05 + 0.002 * np.arange(24) - 0.00008 * np.arange(24) ** 2
    if zero:
        values[12] = -0.04
    columns = _mode_columns(mode, 1) | {
        "NELEM": ("I", [24]),
        "WAVELENGTH": ("30D", [[*_grid(mode, 24, reach), *[0.0] * 6]]),
        "THROUGHPUT": ("30E", [[*values, *[0.0] * 6]]),
        "ERROR": ("30E", [[0.0] * 30]),
    }
    if row:
        columns |= {"PEDIGREE": ("67A", [row]), "DESCRIP": ("67A", ["of a row"])}
    return reference_table(path, columns, pedigree=pedigree)


def throughput(path: Path, mode: tuple[str, int], zero: bool = False, pedigree: str = "GROUND") -> str:
    names = ["52X0.2", "52X0.2E1", "52X0.2"]
    values = np.array([[0.9] * 6, [0.7, 0.71, 0.73, 0.74, 0.745, 0.75], [0.6, 0.62, 0.65, 0.67, 0.68, 0.69]])
    if zero:
        values[2, 3] = -0.7
    columns = {
        "APERTURE": ("16A", names),
        "NELEM": ("I", [6] * 3),
        "WAVELENGTH": ("6D", [_grid(mode, 6)] * 3),
        "THROUGHPUT": ("6E", values),
    }
    return reference_table(path, columns, pedigree=pedigree)


def heights(path: Path, mode: tuple[str, int], have: Any = (7, 11, 200, 600), pedigree: str = "GROUND") -> str:
    columns = {
        "APERTURE": ("16A", ["ANY"] * len(have)),
        "CENWAVE": ("I", [mode[1]] * len(have)),
        "EXTRHEIGHT": ("I", list(have)),
        "NELEM": ("I", [7] * len(have)),
        "WAVELENGTH": ("8D", [[*_grid(mode, 7), 0.0]] * len(have)),
        "THROUGHPUT": ("8E", [[*(1 + 0.03 * np.log2(h / 7) + 0.004 * np.arange(7) ** 1.5), 0.0] for h in have]),
    }
    return reference_table(path, columns, pedigree=pedigree, MAXHGHT=600)


def trends(
    path: Path,
    mode: tuple[str, int],
    old: bool = False,
    times: Any = (50000.0, 54000.0, 55500.0),
    pedigree: str = "GROUND",
) -> str:
    n = len(times)
    slopes = 0.01 * np.arange(5 * n).reshape(n, 5) - 0.3
    columns = {
        "OPT_ELEM": ("8A", [mode[0], mode[0]]),
        "NWL": ("I", [5, 5]),
        "NT": ("I", [n, n]),
        "WAVELENGTH": ("5D", [_grid(mode, 5)] * 2),
        "TIME": (f"{n}D", [list(times)] * 2),
        "SLOPE": (f"{5 * n}D", [slopes.ravel() * 0, slopes.ravel()]),
        "REFTEMP": ("D", [19.0, 19.0]),
        "TEMPSENS": ("5D", [[0.0] * 5, [0.001, 0.002, 0.0015, -0.001, 0.0]]),
    }
    if not old:
        columns["INTERCEPT"] = (f"{5 * n}D", [slopes.ravel() * 0 + 1, 1 + 0.01 * slopes.ravel()])
    cards = {f"TDIM{i}": f"(5,{n})" for i, name in enumerate(columns, start=1) if name in ("SLOPE", "INTERCEPT")}
    return reference_table(path, columns, pedigree=pedigree, **cards, **({} if old else {"REF_TIME": 52000.0}))


def combination(path: Path, mode: tuple[str, int], real: bool = False) -> str:
    if not real:
        return "N/A"
    columns = _mode_columns(mode, 2) | {
        "APERTURE": ("16A", ["50CCD", "ANY"]),
        "NELEM": ("I", [4, 4]),
        "WAVELENGTH": ("4D", [_grid(mode, 4)] * 2),
        "THROUGHPUT": ("4E", [[9.0] * 4, [0.97, 0.98, 1.01, 1.02]]),
    }
    return reference_table(path, columns)


def readout(path: Path, mode: tuple[str, int], missing: tuple[str, ...] = ()) -> str:
    columns: dict[str, tuple[str, Any]] = {
        "CCDAMP": ("4A", ["A", "D"]), "CCDGAIN": ("I", [1, 1]), "CCDOFFST": ("I", [3, 3]), "BINAXIS1": ("I", [-1, -1]),
        "BINAXIS2": ("I", [-1, -1]), "ATODGAIN": ("E", [9.0, 1.0214]), "CTINORM": ("D", [9.0, 0.0563]),
        "CTIGPOWER": ("D", [9.0, 0.8201]), "CTIBGFAC": ("D", [9.0, -3.0511]), "CTIBGPOWER": ("D", [9.0, 0.2109]),
        "CTITIMFAC": ("D", [9.0, 0.2051]), "CTIREFMJD": ("D", [9.0, 51765.25]), "SPURCHARGE": ("D", [9.0, 0.3017]),
        "HALOFAC": ("D", [9.0, 0.8]), "HALOMINFRAC": ("D", [9.0, 0.0601]),
    }  # fmt: skip
    return reference_table(path, {k: v for k, v in columns.items() if k not in missing})


def rectification(path: Path, mode: tuple[str, int]) -> str:
    """Write an SDCTAB, which cs6 opens though it does not use it."""
    names = ("A2CENTER", "CRPIX1", "CRPIX2", "CRVAL1", "CRVAL2", "CDELT1", "CDELT2")
    columns = _mode_columns(mode, 1) | {name: ("D", [512.0]) for name in names}
    columns |= {"NPIX1": ("I", [1201]), "NPIX2": ("I", [1201])}
    return reference_table(path, columns)


#: By keyword: suffix of the file, and what writes it.
TABLES: dict[str, tuple[str, Callable[..., str]]] = {
    "SPTRCTAB": ("1dt", traces), "XTRACTAB": ("1dx", extraction), "DISPTAB": ("dsp", dispersion),
    "INANGTAB": ("iac", incidence), "APDESTAB": ("apd", apertures), "PHOTTAB": ("pht", sensitivity),
    "APERTAB": ("apt", throughput), "PCTAB": ("pct", heights), "TDSTAB": ("tds", trends),
    "GACTAB": ("gac", combination), "CCDTAB": ("ccd", readout), "SDCTAB": ("sdc", rectification),
}  # fmt: skip


# ---- cases -----------------------------------------------------------------------------------------------------------


def _nothing(number: int, sci: Array, err: Array, dq: Array) -> None:
    """Leave the first image set without any signal above zero."""
    if number == 1:
        sci[:] = -np.abs(sci)


def _hot_row(number: int, sci: Array, err: Array, dq: Array) -> None:
    """A bright row of hot pixels, which the search takes for the spectrum, and a brighter one that it leaves out."""
    sci[20], dq[20] = 4000, 16
    sci[80], dq[80] = 9000, 256


def _no_signal_right(number: int, sci: Array, err: Array, dq: Array) -> None:
    """Columns without signal in the box."""
    sci[:, 60:70] = -3


def _ragged_aperture(number: int, sci: Array, err: Array, dq: Array) -> None:
    """Rows beyond the aperture in parts of the background boxes."""
    dq[:28, 30:50] |= 4
    dq[20:26, 50:60] |= 4


def _all_flagged(number: int, sci: Array, err: Array, dq: Array) -> None:
    """No pixel is good."""
    dq[:] = 512


def _infinite(number: int, sci: Array, err: Array, dq: Array) -> None:
    """Pixels that are no numbers, flagged for the search: in the box, and in a background box."""
    sci[49, 30], sci[51, 31], err[48, 33] = np.nan, np.inf, np.nan
    sci[26, 60], sci[72, 61] = np.nan, np.inf
    dq[~np.isfinite(sci)] = 512


ONLY = ("BACKCORR",)
HALO = ("G750L", 7751)
CTE = (*DONE, "CTECORR")
CASES = {
    case.name: case
    for case in (
        Case("plain"),
        Case("two_imsets", images=2),
        Case("ultraviolet", ("G230LB", 2375)),
        Case("medium", ("G750M", 6768), images=2),
        Case("red", HALO),
        Case("binned", binned=True),
        Case("binned_red_cte", HALO, CTE, binned=True),
        Case("cte", steps=CTE),
        Case("cte_halo", HALO, CTE, images=2),
        Case("cte_no_signal", steps=CTE, change=_no_signal_right),
        Case("cte_missing_column", steps=CTE, tables={"CCDTAB": {"missing": ("CTIBGFAC",)}}),
        Case("cte_no_halo_columns", HALO, CTE, tables={"CCDTAB": {"missing": ("HALOFAC", "HALOMINFRAC")}}),
        Case("no_background", steps=("DISPCORR", "HELCORR", "FLUXCORR")),
        Case("no_heliocentric", steps=("BACKCORR", "DISPCORR", "FLUXCORR")),
        Case("no_flux", steps=("BACKCORR", "DISPCORR", "HELCORR")),
        Case("counts_only", steps=ONLY),
        Case("nothing_else", steps=()),
        Case("unsmoothed", flags={"-bn": None}, options={"bksmode": "off"}),
        Case("unsmoothed_line", flags={"-bn": None, "-n": 1}, options={"bksmode": "off", "backord": 1}),
        Case("smoothed_fifth", flags={"-bo": 5}, options={"bksorder": 5}),
        Case("smoothed_line", flags={"-bo": 1}, options={"bksorder": 1}),
        Case("order_one", tables={"XTRACTAB": {"BACKORD": 1}}, images=2),
        Case("order_two", tables={"XTRACTAB": {"BACKORD": 2}}),
        Case("tilted", tables={"XTRACTAB": {"tilt": [2.0, 0.001, -1e-6]}}),
        Case("tilt_given", flags={"-k": -3.25}, options={"bktilt": -3.25}),
        Case("high_box", flags={"-x": 11.5}, options={"extrsize": 11.5}),
        Case("low_box", flags={"-x": 0.75}, options={"extrsize": 0.75}),
        Case("huge_box", flags={"-x": 300}, options={"extrsize": 300.0}),
        Case("near_height", flags={"-x": 9}, options={"extrsize": 9.0}),
        Case("no_height", cards={"PCTAB": "N/A"}),
        Case(
            "boxes_given",
            flags={"-b1": 12.5, "-b2": 0, "-o1": 15.25, "-o2": -9},
            options={"bk1size": 12.5, "bk2size": 0.0, "bk1offst": 15.25, "bk2offst": -9.0},
        ),
        Case("no_boxes", flags={"-b1": 0, "-b2": 0}, options={"bk1size": 0.0, "bk2size": 0.0}),
        Case("boxes_beyond", flags={"-o1": -45, "-o2": 300}, options={"bk1offst": -45.0, "bk2offst": 300.0}),
        Case("ragged_aperture", change=_ragged_aperture),
        Case("no_search", tables={"XTRACTAB": {"MAXSRCH": -1}}),
        Case("search_zero", flags={"-r": 0, "-c": 51.25}, options={"maxsrch": 0, "a2center": 51.25}),
        Case("centre_given", flags={"-r": 8, "-c": 47.5}, options={"maxsrch": 8, "a2center": 47.5}),
        Case("centre_beyond", flags={"-r": 0, "-c": 200}, options={"maxsrch": 0, "a2center": 200.0}),
        Case("centre_bottom", flags={"-r": 0, "-c": 1.75}, options={"maxsrch": 0, "a2center": 1.75}),
        Case("centre_top", flags={"-r": 0, "-c": 94.5}, options={"maxsrch": 0, "a2center": 94.5}),
        Case("hot_row", change=_hot_row),
        Case("shifted", flags={"-st": 3.5}, options={"xoffset": 3.5}),
        Case("short_trace", tables={"SPTRCTAB": {"nelem": 520, "rotated": False}}),
        Case("one_trace", tables={"SPTRCTAB": {"lines": (500.0,)}}),
        Case("pseudo_aperture", cards={"PROPAPER": "52X0.2E1"}),
        Case("six_coefficients", tables={"DISPTAB": {"ncoeff": 6}}),
        Case("old_trend", tables={"TDSTAB": {"old": True}}),
        Case("old_trend_before", tables={"TDSTAB": {"old": True, "times": (56500.0, 57000.0)}}),
        Case("no_trend", cards={"TDSTAB": "N/A"}, own={"OCCDHTAV": None}),
        Case("combination", tables={"GACTAB": {"real": True}}),
        Case("narrow_sensitivity", tables={"PHOTTAB": {"reach": 20.0}}),
        Case("no_sensitivity", tables={"PHOTTAB": {"zero": True}}, steps=CTE, change=_no_signal_right),
        Case("no_throughput", tables={"APERTAB": {"zero": True}}),
        *(
            Case(f"dummy_{keyword.lower()}", tables={keyword: {"pedigree": "DUMMY, to fill a place"}})
            for keyword in ("PHOTTAB", "APERTAB", "PCTAB")
        ),
        Case("dummy_row", tables={"PHOTTAB": {"row": "DUMMY"}}),
        Case("real_row", tables={"PHOTTAB": {"row": "INFLIGHT", "pedigree": "DUMMY"}}),
        Case("no_exposure", own={"EXPTIME": 0.0}),
        Case("all_flags_serious", own={"SDQFLAGS": None}),
        Case("first_fails", images=2, change=_nothing),
        Case("first_is_bad", images=2, first={"IMSET_OK": False}),
        Case("all_flagged", change=_all_flagged),
        Case("all_flagged_no_search", change=_all_flagged, flags={"-r": 0}, options={"maxsrch": 0}),
        Case("peak_at_end", flags={"-r": 3, "-c": 45}, options={"maxsrch": 3, "a2center": 45.0}),
        Case("infinite_pixels", change=_infinite),
    )
}


def input_digest(path: Path) -> bytes:
    """Return a digest of the pixels of an input and of the cells of its tables, to tell another input from a result."""
    made = hashlib.sha256(data_digest(path))
    with fits.open(path) as hdus:
        names = [str(hdus[0].header[keyword]) for keyword in TABLES]
    for name in names:
        made.update(data_digest(path.parent / name) if name != "N/A" else b"")
    return made.digest()


@cache
def data_digest(path: Path) -> bytes:
    """Return a digest of all data in a file."""
    made = hashlib.sha256()
    with fits.open(path) as hdus:
        for hdu in hdus[1:]:
            if hdu.data is not None:
                made.update(hdu.data.tobytes())
    return made.digest()
