"""What the real CalSTIS was given, case by case; what it made of it is recorded in ``calstis/expected.json``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from support.calstis_files import (
    BIAS_DONE,
    COLS,
    FULL,
    MJD,
    RAW_COLS,
    ROWS,
    Array,
    bpx_table,
    ccd_table,
    done,
    image_like,
    imset,
    integers,
    photometry_table,
    primary,
    raw_counts,
    reference_image,
    reference_table,
    small_counts,
    small_imset,
    write,
)

#: Rows and columns of the images that are combined.
SCENE = (64, 72)
BIAS_STEPS = ("DQICORR", "BLEVCORR", "BIASCORR")
#: Keywords compared: of the primary header, of SCI and of ERR. One that CalSTIS did not write must be missing.
PRIMARY_KEYWORDS = (
    "NEXTEND ATODGAIN READNSE DQICORR ATODCORR BLEVCORR BIASCORR CRCORR DARKCORR FLATCORR SHADCORR PHOTCORR GEOCORR "
    "PHOTMODE PHOTFLAM PHOTZPT PHOTPLAM PHOTBW TEXPTIME TEXPSTRT TEXPEND SKYSUM REJ_RATE INITGUES SKYSUB CRSIGMAS "
    "MEANEXP CRRADIUS CRTHRESH SCALENSE BADINPDQ CRMASK"
).split()
STATISTICS = "NGOODPIX GOODMIN GOODMAX GOODMEAN".split()
SCI_KEYWORDS = (
    "EXPTIME EXPSTART EXPEND NCOMBINE OCCDHTAV MEANBLEV MEANDARK V_HELIO IMSET_OK LTV1 LTV2 LTM1_1 LTM2_2 "
    "CRPIX1 CRPIX2 CRVAL1 CRVAL2 CD1_1 CD1_2 CD2_1 CD2_2 SNRMIN SNRMAX SNRMEAN"
).split() + STATISTICS


@dataclass(frozen=True)
class Case:
    """One run of one executable.

    Attributes
    ----------
    name : str
        Of the case.
    program : str
        ``cs0``, ``cs1``, ``cs2`` or ``cs7``.
    build : callable
        Writes inputs and reference files into a folder; returns the inputs.
    steps : tuple of str
        For cs1: the switches.
    """

    name: str
    program: str
    build: Callable[[Path], list[Path]]
    steps: tuple[str, ...] = ()


CASES: dict[str, Case] = {}


def case(program: str, *steps: str, **variants: dict[str, Any]) -> Callable[..., Any]:
    """Register a builder, once for each variant (keyword arguments of the builder), under its name."""

    def register(build: Callable[..., Path | list[Path]]) -> Callable[..., Path | list[Path]]:
        for variant, given in (variants or {"": {}}).items():

            def made(folder: Path, given: dict[str, Any] = given) -> list[Path]:
                paths = build(folder, **given)
                return paths if isinstance(paths, list) else [paths]

            name = f"{build.__name__}_{variant}".rstrip("_")
            CASES[name] = Case(name, program, made, steps)
        return build

    return register


# ---- cs1: from raw to bias-subtracted --------------------------------------------------------------------------------


def _raw(folder: Path, amp: str, n: int = 1, dq: Array | None = None, own: dict[str, Any] | None = None, **cards: Any):
    ccd_table(folder)
    offset = 20.0 if amp in "CD" else 0.0
    own = {"LTV1": 19.0, "LTV2": offset, **(own or {})}
    imsets = [imset(k, raw_counts(amp, k), dq=dq if k == 1 else None, **own) for k in range(1, n + 1)]
    return write(folder / "case_raw.fits", primary(n, CCDAMP=amp, **cards), *imsets)


@case(
    "cs1", *BIAS_STEPS, a={"amp": "A"}, b={"amp": "B"}, c={"amp": "C", "own": {"NCOMBINE": 2}}, d3={"amp": "D", "n": 3}
)
def bias(folder: Path, amp: str, n: int = 1, own: dict[str, Any] | None = None) -> Path:
    """All amplifiers; hot columns at the borders and side by side in the virtual overscan; BPIXTAB rows at borders."""
    image_like(folder, "bia", 11, -200, 200, 1 / 64, (FULL, FULL))
    return _raw(folder, amp, n, own=own, BIASFILE="case_bia.fits", BPIXTAB=bpx_table(folder))


@case("cs1", "DQICORR", "BLEVCORR", some={"one_in": 3}, all={"one_in": 1})
def flagged_overscan(folder: Path, one_in: int) -> Path:
    """Flags in the input DQ of the leading overscan: some rows without a good pixel, or all rows."""
    dq = np.where(integers(5, 1, one_in, raw_counts("D", 1).shape) == 1, 16, 0).astype(np.int16)
    dq[:, 30:] = 0
    dq[:20] = np.where(integers(6, 1, one_in, dq[:20].shape) == 1, 32, 0)
    dq[100:103, :19] = 16
    dq[200, :19] = 1024  # not in SDQFLAGS
    dq[:20, 700] = 4
    return _raw(folder, "D", dq=dq)


@case("cs1", "DQICORR", "BLEVCORR")
def too_small(folder: Path) -> Path:
    """A frame too small for overscan: the level of CCDTAB is subtracted, nothing is trimmed."""
    ccd_table(folder)
    sci = (1500 + integers(3, 0, 90, (1043, 1050))).astype(np.uint16)
    return write(folder / "case_raw.fits", primary(1), imset(1, sci))


@case(
    "cs1",
    "DQICORR",
    image={"APER_FOV": "28x50"},
    both={"APER_FOV": "6.5X30"},
    dark={"APER_FOV": "28x50", "TARGNAME": "DARK"},
    tall={"APER_FOV": "46x28"},
    spectrum={"APER_FOV": "28x50", "OBSTYPE": "SPECTROSCOPIC", "OPT_ELEM": "G430L", "CENWAVE": 4300},
)
def aperture(folder: Path, **cards: Any) -> Path:
    """Rows, and for images columns, outside the aperture; DQICORR alone: errors with the level of CCDTAB."""
    own = {"CTYPE1": "LAMBDA", "CD1_1": 2.75, "CD1_2": 0.0, "CD2_1": 0.0} if "OBSTYPE" in cards else {}
    ccd_table(folder)
    own |= {"LTV1": 19.0, "LTV2": 20.0}
    counts = raw_counts("D", 1)
    return write(folder / "case_raw.fits", primary(1, BPIXTAB="N/A", **cards), imset(1, counts, **own))


@case("cs1", "DQICORR", "BLEVCORR", "BIASCORR")
def subarray(folder: Path) -> Path:
    """An unbinned subarray, its bias a part of the full frame's."""
    ccd_table(folder)
    image_like(folder, "bia", 11, -200, 200, 1 / 64, (FULL, FULL))
    own = {"LTV1": 18.0, "LTV2": -300.0, "CRPIX2": 200.0}
    cards = {"SUBARRAY": True, "BIASFILE": "case_bia.fits", "BPIXTAB": bpx_table(folder)}
    return write(
        folder / "case_raw.fits", primary(1, **cards), imset(1, raw_counts("D", 1)[320:400, 1:1061].copy(), **own)
    )


@case("cs1", *BIAS_STEPS, a={"amp": "A", "by": 2}, d={"amp": "D", "by": 2}, d_rows={"amp": "D", "bx": 1, "by": 4})
def binned(folder: Path, amp: str, by: int, bx: int = 2) -> Path:
    """A binned frame: regions of its own, runs of bad pixels that fill whole bins, sums of the bias."""
    ccd_table(folder)
    image_like(folder, "bia", 11, -200, 200, 1 / 64, (FULL, FULL))
    rows, cols = 20 // by + FULL // by, 532 if bx == 2 else RAW_COLS
    counts = raw_counts(amp, 1)[-rows:, :cols] if amp == "A" else raw_counts(amp, 1)[:rows, :cols]
    x0, y0 = (10 if bx == 2 else 19), (20 // by if amp == "D" else 0)
    own = {"LTM1_1": 1 / bx, "LTM2_2": 1 / by, "LTV1": x0 + (1 - 1 / bx) / 2, "LTV2": y0 + (1 - 1 / by) / 2}
    cards = {"BINAXIS1": bx, "BINAXIS2": by, "BIASFILE": "case_bia.fits", "BPIXTAB": bpx_table(folder)}
    return write(folder / "case_raw.fits", primary(1, CCDAMP=amp, **cards), imset(1, counts.copy(), **own))


# ---- cs1: on trimmed images ------------------------------------------------------------------------------------------


def _trimmed(folder: Path, n: int = 1, own: dict[int, dict[str, Any]] | None = None, **cards: Any) -> Path:
    ccd_table(folder)
    imsets = [small_imset(k, **(own or {}).get(k, {})) for k in range(1, n + 1)]
    return write(folder / "case_blt.fits", primary(n, **BIAS_DONE | cards), *imsets)


@case("cs1", *BIAS_STEPS, bias={"bias": "DUMMY", "bad": "GROUND"}, bad_pixels={"bias": "INFLIGHT", "bad": "DUMMY x"})
def dummy(folder: Path, bias: str, bad: str) -> Path:
    """Reference files that only fill a place: the step is skipped; errors made for an image without any."""
    ccd_table(folder)
    image_like(folder, "bia", 8, -200, 200, 1 / 64, pedigree=bias)
    cards = BIAS_DONE | {"BIASCORR": "PERFORM", "DQICORR": "PERFORM", "BIASFILE": "case_bia.fits"}
    first = primary(1, BPIXTAB=bpx_table(folder, pedigree=bad), **cards)
    return write(folder / "case_blt.fits", first, imset(1, small_counts(9, -30, 60)))


@case("cs1", *BIAS_STEPS, "DARKCORR", "FLATCORR", "SHADCORR")
def completed(folder: Path) -> Path:
    """Steps that are COMPLETE are not done again, but for DQICORR."""
    cards = done("DARKCORR", "FLATCORR", "SHADCORR") | {"BPIXTAB": bpx_table(folder)}
    return _trimmed(folder, **cards)


DARK_CARDS = {"DARKFILE": "case_drk.fits", "DARKCORR": "PERFORM"}


@case("cs1", "DARKCORR")
def dark(folder: Path) -> Path:
    """Dark with its own temperature law; warm, side-1 date, no OCCDHTAV, OCCDHTAV 0, EXPTIME with a fraction."""
    image_like(folder, "drk", 21, -20, 400, 1 / 4096, REF_TEMP=17.5, DRK_VS_T=0.0625)
    own = {
        1: {"OCCDHTAV": 21.125},
        2: {"EXPSTART": 52090.5, "EXPEND": 52090.6},
        3: {"OCCDHTAV": None},
        4: {"OCCDHTAV": 0.0, "EXPTIME": 1234.567},
    }
    return _trimmed(folder, 4, own, **DARK_CARDS)


@case("cs1", "DARKCORR", part={"ltv": -3.0}, binned={"ltv": 0.25 - 1.0, "binning": 2})
def dark_matched(folder: Path, ltv: float, binning: int = 1) -> Path:
    """A part of the dark, and sums of its pixels."""
    image_like(folder, "drk", 22, 1, 400, 1 / 4096, (2 * ROWS + 20, 2 * COLS + 20))
    own: dict[str, Any] = {"LTV1": ltv, "LTV2": 2 * ltv, "LTM1_1": 1 / binning, "LTM2_2": 1 / binning}
    return _trimmed(folder, 1, {1: own}, **DARK_CARDS, BINAXIS1=binning, BINAXIS2=binning)


FLAT_CARDS = {"PFLTFILE": "case_pfl.fits", "FLATCORR": "PERFORM"}


@case("cs1", "FLATCORR", p={}, pdl={"dfl": True, "lfl": 0}, l_flags={"lfl": 32}, l_narrow={"lfl": 0, "narrow": True})
def flat(folder: Path, lfl: int | None = None, dfl: bool = False, narrow: bool = False) -> Path:
    """Pixel, delta and low-order flats, with pixels that are zero; flags in the low-order flat (oddity O-6)."""
    image_like(folder, "pfl", 31, 900, 1100, 1 / 1024, zeros=9, flags=512)
    cards: dict[str, Any] = dict(FLAT_CARDS)
    if dfl:
        cards["DFLTFILE"] = image_like(folder, "dfl", 34, 1000, 1050, 1 / 1024, flags=64)
    if lfl is not None:
        by, bx = (1, 8) if narrow else (4, 8)
        binned = {"_LTM1_1": 1 / bx, "_LTM2_2": 1 / by, "_LTV1": (1 - 1 / bx) / 2, "_LTV2": (1 - 1 / by) / 2}
        shape = (ROWS // by, COLS // bx)
        cards["LFLTFILE"] = image_like(folder, "lfl", 37, 950, 1050, 1 / 1024, shape, flags=lfl, **binned)
    return _trimmed(folder, 2, **cards)


@case("cs1", "FLATCORR")
def flat_low_order_alone(folder: Path) -> Path:
    """Only a low-order flat, the pixel flat a dummy."""
    reference_image(folder / "case_pfl.fits", small_counts(41), pedigree="DUMMY")
    binned = {"_LTM1_1": 0.125, "_LTM2_2": 0.125, "_LTV1": 0.4375, "_LTV2": 0.4375}
    name = image_like(folder, "lfl", 37, 950, 1050, 1 / 1024, (ROWS // 8, COLS // 8), flags=0, **binned)
    return _trimmed(folder, LFLTFILE=name, **FLAT_CARDS)


@case("cs1", "SHADCORR")
def shutter(folder: Path) -> Path:
    """Shutter shading, with NCOMBINE."""
    name = image_like(folder, "ssh", 51, -90, 90, 1 / 512)
    return _trimmed(folder, 2, {2: {"NCOMBINE": 3, "EXPTIME": 0.7}}, SHADFILE=name, SHADCORR="PERFORM")


@case("cs1", "DARKCORR", "FLATCORR", "SHADCORR")
def bad_imset(folder: Path) -> Path:
    """The second imset has no exposure time, the third is constant: both stay as they are."""
    image_like(folder, "drk", 21, -20, 400, 1 / 4096)
    image_like(folder, "pfl", 31, 900, 1100, 1 / 1024, zeros=9, flags=512)
    image_like(folder, "ssh", 51, -90, 90, 1 / 512)
    ccd_table(folder)
    constant = imset(3, np.full((ROWS, COLS), 7, dtype=np.float32))
    first = primary(3, **BIAS_DONE, **DARK_CARDS, **FLAT_CARDS, SHADFILE="case_ssh.fits")
    return write(folder / "case_blt.fits", first, small_imset(1), small_imset(2, EXPTIME=0.0), constant)


@case("cs1", "ATODCORR")
def analog_to_digital(folder: Path) -> Path:
    """A table of counts; the row with the nearest temperature."""
    ccd_table(folder)
    curve = np.arange(64) * 1.25 + 0.5
    columns = {
        "CCDAMP": ("4A", ["D", "D", "A"]),
        "CCDGAIN": ("I", [1, 1, 1]),
        "REF_KEY": ("20A", ["OCCDHTAV"] * 3),
        "REF_KEY_VALUE": ("D", [10.0, 20.0, 19.25]),
        "NELEM": ("I", [64, 60, 64]),
        "ATOD": ("64E", [curve + 100, curve, curve + 200]),
    }
    cards = BIAS_DONE | {"ATODCORR": "PERFORM", "ATODTAB": reference_table(folder / "case_a2d.fits", columns)}
    sci = integers(61, -5, 70, (ROWS, COLS)).astype(np.float32)
    return write(folder / "case_blt.fits", primary(1, **cards), imset(1, sci, np.ones_like(sci)))


@case("cs1", "DARKCORR")
def temperatures(folder: Path) -> Path:
    """Temperatures averaged from EPC files: wild values dropped, one piece, two, many; not covered; no file."""
    image_like(folder, "drk", 21, -20, 400, 1 / 4096)
    minute = 1 / 1440
    values = [19.0, 19.125, 19.25, 35.0, 19.5, 19.625, 17.0, 19.75, 19.875, 20.0, 14.0, 20.125, 20.25, 20.375]
    starts = {1: -3.5, 2: -0.6, 3: -30.0, 4: -4.0, 5: -3.5}
    own = {}
    for number, first in starts.items():
        step = minute * 20 / 3 if number == 2 else minute
        times = [MJD + 0.004 * (number - 1) + (first + k) * step for k in range(len(values))]
        own[number] = {"OCCDHTAV": -1.0} if number == 5 else {}
        if number == 4:  # a single interval around the exposure
            times = [times[0], *(time + 1 for time in times[1:])]
        name = f"ocase0{number:02d}j_epc.fits"
        reference_table(folder / name, {"TIME": ("D", times), "VALUE": ("D", values)})
    own[6] = {}
    return _trimmed(folder, 6, own, **DARK_CARDS)


@case("cs1", "DARKCORR", spectrum={"ASN_MTYP": "CRSPLIT"}, wavecal={"ASN_MTYP": "AUTO-WAVECAL"})
def velocity(folder: Path, **association: str) -> Path:
    """The heliocentric velocity is written for spectra of targets."""
    image_like(folder, "drk", 21, -20, 400, 1 / 4096)
    own = {"CTYPE1": "LAMBDA", "CD1_1": 2.75, "CD2_1": 0.0, "DISPAXIS": 1, **association}
    spectrum = {"OBSTYPE": "SPECTROSCOPIC", "OPT_ELEM": "G430L", "CENWAVE": 4300, "RA_TARG": 83.8, "DEC_TARG": -5.4}
    return _trimmed(folder, 2, {1: own, 2: own | {"EXPSTART": 55812.25, "EXPEND": 55812.3}}, **DARK_CARDS, **spectrum)


MODE = "stis,50ccd,mirror,ccd,mjd#"
CURVES = {
    "PHOTFLAM": [1.0e-19, 1.1e-19, 1.15e-19, 1.2e-19],
    "PHOTPLAM": [5740.0, 5741.0, 5743.5, 5750.25],
    "PHOTBW": [1830.0, 1831.5, 1831.25, 1840.0],
}


@case(
    "cs1",
    "PHOTCORR",
    inside={},
    sensitive={"tds": True},
    side1={"tds": True, "mjd": 51000.25},
    beyond={"mjd": 58000.125},
    beyond_extrapolated={"mjd": 58000.125, "EXTRAP": True},
    before_extrapolated={"mjd": 49000.0, "EXTRAP": True},
    no_row={"mode": "stis,f28x50lp,mirror,ccd,mjd#"},
    scalar={"constant": True},
)
def photometry(
    folder: Path, mjd: float = MJD, tds: bool = False, mode: str = MODE, constant: bool = False, **cards: Any
) -> Path:
    """PHOT keywords interpolated in the date, outside of it, from a row without dates; temperature term of TDSTAB."""
    modes = {
        name: [("stis,25mama,nuv,mirror,mjd#", 1.0), (mode, curve[1] if constant else curve)]
        for name, curve in CURVES.items()
    }
    first = {"IMPHTTAB": photometry_table(folder / "case_imp.fits", modes, **cards), "APERTAB": "N/A"}
    if tds:
        columns = {
            "OPT_ELEM": ("8A", ["G430L", "MIRVIS"]),
            "WAVELENGTH": ("4D", [[1.0, 2.0, 3.0, 4.0], [3000.0, 5000.0, 6000.0, 9000.0]]),
            "TIME": ("2D", [[50000.0, 55000.0]] * 2),
            "SLOPE": ("8D", [[0.5] * 8] * 2),
            "INTERCEPT": ("8D", [[1.0] * 8] * 2),
            "NWL": ("I", [4, 4]),
            "NT": ("I", [2, 2]),
            "REFTEMP": ("D", [19.0, 19.5]),
            "TEMPSENS": ("4D", [[0.01] * 4, [0.001, 0.0025, 0.004, 0.0]]),
        }
        first["TDSTAB"] = reference_table(folder / "case_tds.fits", columns, REF_TIME=50000.0)
    own = {"EXPSTART": mjd, "EXPEND": mjd + 0.01}
    return _trimmed(folder, 1, {1: own}, PHOTCORR="PERFORM", **first)


# ---- cs7 -------------------------------------------------------------------------------------------------------------


def _distortion(folder: Path, order: int) -> str:
    centre = {"XREF": COLS / 2, "YREF": ROWS / 2, "CXREF": COLS / 2 + 1, "CYREF": ROWS / 2 + 2}
    columns: dict[str, Any] = {
        "DIRECTION": ("8A", ["FORWARD", "INVERSE"]),
        "FILTER": ("12A", ["CLEAR", "CLEAR"]),
        "SCALE": ("D", [0.0507, 0.0507]),
        "CXSIZE": ("I", [FULL, FULL + 3]),
        "CYSIZE": ("I", [FULL, FULL + 5]),  # less what the image lacks of a full frame
    }
    columns |= {name: ("D", [1.0, value]) for name, value in centre.items()}
    for i in range(1, order + 1):
        for j in range(i + 1):
            small = (3 * i + 5 * j - 9) * 10.0 ** (-0.5 - i)
            columns[f"CX{i}{j}"] = ("D", [0.0, 19.75 if (i, j) == (1, 1) else small])
            columns[f"CY{i}{j}"] = ("D", [0.0, 19.6875 if (i, j) == (1, 0) else -small])
    return reference_table(folder / "case_idc.fits", columns, NORDER=order)


@case("cs7", third={"order": 3}, fourth={"order": 4}, two={"order": 3, "n": 2})
def geometry(folder: Path, order: int, n: int = 1) -> Path:
    """Distortion of images by polynomials of both orders in use; another size of the product."""
    return _trimmed(folder, n, GEOCORR="PERFORM", IDCTAB=_distortion(folder, order))


# ---- cs2 -------------------------------------------------------------------------------------------------------------


def _rejection(folder: Path, longest: float = 400.0, **given: Any) -> str:
    """Write a CRREJTAB: the row to find, among others of its CRSPLIT, some after it."""
    row = {"SCALENSE": 0.0, "INITGUES": "min", "SKYSUB": "mode", "CRSIGMAS": "6.5,5.5,4.5", "CRRADIUS": 1.5}
    row |= {"CRTHRESH": 0.5, "BADINPDQ": 0, "CRMASK": True} | given
    other = dict.fromkeys(row, 99) | {"INITGUES": "med", "SKYSUB": "none", "CRSIGMAS": "99", "CRMASK": False}
    form = dict(zip(row, ("E", "8A", "4A", "20A", "E", "E", "I", "L"), strict=True))
    split, times = [2, 2, 2, 3, 3, 4, 4, 5, 5], [100.0, 400.0, 900.0, 100.0, 400.0, 100.0, 400.0, 100.0, 400.0]
    columns = {name: (form[name], [(row if time == longest else other)[name] for time in times]) for name in row}
    return reference_table(folder / "case_crr.fits", {"CRSPLIT": ("I", split), "MEANEXP": ("E", times), **columns})


def scene(number: int, time: float, seed: int, excluded: int = 4) -> tuple[Array, Array]:
    """Return one of several exposures: sky, stars, noise, cosmic rays with tails; and its flags."""
    shape = SCENE
    y, x = np.indices(shape)
    stars = np.where(integers(seed, 0, 40, shape) == 0, 200 + 13 * ((y * x) % 17), 3)
    noise = integers(seed + number, -60, 60, shape) + integers(seed + 50 + number, -40, 40, shape)
    sci = np.floor(stars * time * 16 / 100) + noise + 16 * number
    rays = integers(seed + 90 + number, 0, 45, shape) == 0
    for dy, dx, share in ((0, 0, 16), (0, 1, 4), (1, 0, 2), (1, 2, 1)):
        sci += share * np.roll(rays, (dy, dx), (0, 1)) * (20 + integers(seed + number, 0, 300, shape))
    dq = np.where(integers(seed + 70 + number, 0, 99, shape) < excluded, 16, 0)
    dq |= np.where(integers(seed + 80 + number, 0, 60, shape) == 0, 8192 | 256, 0)
    return (sci / 16).astype(np.float32), dq.astype(np.int16)


def _exposures(
    folder: Path, times: list[float], rejection: dict[str, Any] | None = None, *, seed: int = 7, excluded: int = 4,
    own: dict[int, dict[str, Any]] | None = None, name: str = "case_blt.fits", first: int = 1, **cards: Any,
) -> Path:  # fmt: skip
    imsets = []
    for number, time in enumerate(times, start=1):
        sci, dq = scene(first + number, time or 100.0, seed, excluded)
        given = {"EXPTIME": time, "EXPNAME": f"ocase0{first + number:02d}q", **(own or {}).get(number, {})}
        imsets.append(imset(number, sci, np.ones_like(sci), dq, **given))
    table = _rejection(folder, **rejection) if rejection is not None else "case_crr.fits"
    header = primary(len(times), **BIAS_DONE | {"CRCORR": "PERFORM", "CRREJTAB": table, "TEXPTIME": sum(times)} | cards)
    return write(folder / name, header, *imsets)


@case(
    "cs2",
    two={"times": [300.0] * 2, "rejection": {"SCALENSE": 30.0}},
    three={
        "times": [100.0, 200.0, 300.0],
        "rejection": {"INITGUES": "med", "CRRADIUS": 2.1, "CRTHRESH": 0.8, "BADINPDQ": 16},
        "own": {2: {"OCCDHTAV": None}},
    },
    four={
        "times": [250.5, 250.5, 120.25, 399.0],
        "rejection": {"SKYSUB": "none", "CRRADIUS": 0.0, "CRTHRESH": 0.0, "CRMASK": False, "CRSIGMAS": "5"},
    },
    four_median={"times": [200.0] * 4, "rejection": {"INITGUES": "median", "CRTHRESH": 0.0, "SCALENSE": 3.0}},
    nine={"times": [90.0 + 7 * k for k in range(9)], "rejection": {"INITGUES": "med", "BADINPDQ": 24, "SCALENSE": 1.5}},
    stress={
        "times": [150.0, 150.0, 300.0],
        "rejection": {"BADINPDQ": 272, "CRTHRESH": 0.3, "CRRADIUS": 2.3},
        "excluded": 40,
    },
    all_bits={"times": [150.0] * 2, "rejection": {"BADINPDQ": 16383, "CRSIGMAS": "6 5/4;3,3"}, "excluded": 40},
    spectrum={
        "times": [300.0] * 3,
        "rejection": {"CRTHRESH": 0.8},
        "OBSTYPE": "SPECTROSCOPIC",
        "OPT_ELEM": "G430L",
    },
    biases={"times": [0.0] * 3, "rejection": {"INITGUES": "med", "longest": 100.0}, "TARGNAME": "BIAS"},
    bad_imset={"times": [300.0] * 3, "rejection": {}, "own": {2: {"IMSET_OK": False}}},
)
def rejection(folder: Path, **given: Any) -> Path:
    """Cosmic rays: the number of imsets, times, guesses, sky, radii, thresholds, bad pixels, masks."""
    return _exposures(folder, **given)


@case("cs2")
def rejection_of_files(folder: Path) -> list[Path]:
    """A list of files, of two imsets and of one."""
    second = _exposures(folder, [200.0], {}, name="case_two.fits", first=3, ATODGAIN=4.016, READNSE=7.6)
    return [_exposures(folder, [100.0, 150.0], None, name="case_one.fits"), second]


# ---- cs0 -------------------------------------------------------------------------------------------------------------

CALIBRATE = done("DARKCORR", "FLATCORR", "PHOTCORR", "GEOCORR", to="PERFORM")


@case(
    "cs0",
    combined={"CRCORR": "PERFORM"},
    both={"CRCORR": "PERFORM", "EXPSCORR": "PERFORM"},
    repeated={"CRCORR": "OMIT", "RPTCORR": "PERFORM"},
    split={"CRCORR": "OMIT"},
    single={"CRCORR": "PERFORM", "n": 1},
    only_combined={"CRCORR": "PERFORM", "EXPSCORR": "PERFORM", **dict.fromkeys(CALIBRATE, "OMIT")},
)
def flow(folder: Path, n: int = 3, **cards: Any) -> Path:
    """The products of an image whose bias is subtracted, by its switches."""
    ccd_table(folder)
    image_like(folder, "drk", 21, -20, 400, 1 / 4096, SCENE)
    image_like(folder, "pfl", 31, 900, 1100, 1 / 1024, SCENE, zeros=9, flags=512)
    modes = {name: [(MODE, curve)] for name, curve in CURVES.items()}
    given = CALIBRATE | {"DARKFILE": "case_drk.fits", "PFLTFILE": "case_pfl.fits", "IDCTAB": _distortion(folder, 4)}
    given |= {"IMPHTTAB": photometry_table(folder / "case_imp.fits", modes), "APERTAB": "case_imp.fits"}
    return _exposures(folder, [300.0] * n, {"BADINPDQ": 16}, name="case_cte.fits", **given | cards)


# ---- what is compared ------------------------------------------------------------------------------------------------


def digest(array: Array) -> str:
    """Return the sha256 of an array's bytes as FITS stores them, all NaN alike."""
    if array.dtype.kind == "f":
        array = np.where(np.isnan(array), np.float32(np.nan), array)
    return hashlib.sha256(np.ascontiguousarray(array.astype(array.dtype.newbyteorder(">"))).tobytes()).hexdigest()


def keywords(header: fits.Header, names: list[str]) -> dict[str, Any]:
    """Return the cards of those names that are there; None where CalSTIS wrote NaN, which is no FITS."""
    found = {}
    for name in names:
        if name in header:
            try:
                found[name] = header[name]
            except fits.VerifyError:
                found[name] = None
    return found


def summary(first: fits.Header, imsets: list[tuple[list[Array], list[fits.Header]]]) -> dict[str, Any]:
    """Return what is compared of one product."""
    return {
        "primary": keywords(first, PRIMARY_KEYWORDS),
        "imsets": [
            {
                **dict(zip(("sci", "err", "dq"), map(digest, arrays), strict=True)),
                "shape": list(arrays[0].shape),
                "sci_header": keywords(headers[0], SCI_KEYWORDS),
                "err_header": keywords(headers[1], STATISTICS),
            }
            for arrays, headers in imsets
        ],
    }
