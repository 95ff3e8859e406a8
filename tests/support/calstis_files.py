"""Builders of the raw frames and reference files of the recorded CalSTIS cases: whole numbers, the same everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from support.stis_files import change, null_hdu

Array = npt.NDArray[Any]

RAW_ROWS, RAW_COLS, FULL = 1044, 1062, 1024
#: Rows and columns of the images on which the steps behind the bias work; CalSTIS does not ask for a full frame there.
ROWS, COLS = 40, 56
SWITCHES = "DQICORR ATODCORR BLEVCORR BIASCORR CRCORR RPTCORR EXPSCORR DARKCORR FLATCORR SHADCORR PHOTCORR GEOCORR"
MJD = 55992.5


def integers(seed: int, low: int, high: int, shape: tuple[int, ...]) -> Array:
    """Return whole numbers in low..high, both included, from a stream that NumPy keeps."""
    return np.random.Generator(np.random.PCG64(seed)).integers(low, high, shape, endpoint=True)


def primary(n_imsets: int, **cards: Any) -> fits.PrimaryHDU:
    """Return a primary HDU of an image; None removes a card."""
    hdu = fits.PrimaryHDU()
    header = {
        "NEXTEND": 3 * n_imsets, "FILENAME": "case_raw.fits", "FILETYPE": "SCI", "TELESCOP": "HST",
        "INSTRUME": "STIS", "ROOTNAME": "ocase0010", "TARGNAME": "CASE", "RA_TARG": 187.25, "DEC_TARG": 2.0625,
        "TEXPSTRT": MJD, "TEXPEND": MJD + 0.01, "TEXPTIME": 300.0 * n_imsets, "OBSTYPE": "IMAGING",
        "OBSMODE": "ACCUM", "SUBARRAY": False, "DETECTOR": "CCD", "OPT_ELEM": "MIRVIS", "APERTURE": "50CCD",
        "PROPAPER": "50CCD", "FILTER": "Clear", "APER_FOV": "50x50", "CRSPLIT": n_imsets, "NRPTEXP": 1,
        "CCDAMP": "D", "CCDGAIN": 1, "CCDOFFST": 3, "BINAXIS1": 1, "BINAXIS2": 1, "ATODGAIN": 0.0, "READNSE": 0.0,
        "STATFLAG": True,
    }  # fmt: skip
    header |= dict.fromkeys(SWITCHES.split(), "OMIT") | {"CTECORR": "OMIT", "CCDTAB": "case_ccd.fits"}
    change(hdu.header, **header | cards)
    return hdu


def imset(number: int, sci: Array, err: Array | None = None, dq: Array | None = None, **cards: Any) -> fits.HDUList:
    """Return SCI, ERR and DQ; ERR and DQ are null arrays unless given. 16-bit unsigned counts stay so."""
    start = MJD + 0.004 * (number - 1)
    header = {
        "SDQFLAGS": 31743, "BUNIT": "COUNTS", "EXPNAME": f"ocase0{number:02d}q", "ASN_MTYP": "CRSPLIT",
        "EXPTIME": 300.0, "EXPSTART": start, "EXPEND": start + 300 / 86400, "NCOMBINE": 1,
        "OCCDHTAV": 19.0 + 0.25 * number, "MEANDARK": 0.0, "MEANBLEV": 0.0,
        "LTV1": 0.0, "LTV2": 0.0, "LTM1_1": 1.0, "LTM2_2": 1.0, "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN",
        "CRVAL1": 187.25, "CRVAL2": 2.0625, "CRPIX1": 530.5, "CRPIX2": 520.25,
        "CD1_1": -1.25e-5, "CD1_2": 6.0e-6, "CD2_1": 6.0e-6, "CD2_2": 1.25e-5,
    }  # fmt: skip
    hdus = fits.HDUList([fits.ImageHDU(sci, name="SCI", ver=number)])
    for name, array, dtype in (("ERR", err, np.float32), ("DQ", dq, np.int16)):
        null = null_hdu(name, number, sci.shape)
        hdus.append(null if array is None else fits.ImageHDU(array.astype(dtype), name=name, ver=number))
    change(hdus[0].header, **header | cards)
    for hdu in hdus[1:]:
        change(hdu.header, **{key: header[key] for key in header if key.startswith(("LT", "CR", "CD", "SDQ"))})
    return hdus


def write(path: Path, first: fits.PrimaryHDU, *imsets: Sequence[Any]) -> Path:
    """Write a file of image sets."""
    first.header["FILENAME"] = path.name
    hdus = fits.HDUList([first])
    for members in imsets:
        hdus.extend(members)
    hdus.writeto(path)
    return path


@lru_cache(maxsize=4)
def raw_counts(amp: str, number: int, rows: int = RAW_ROWS, cols: int = RAW_COLS) -> Array:
    """Return one raw readout: sloping bias, sky, stars (one saturated), hot columns in the virtual overscan."""
    y, x = np.ogrid[:rows, :cols]
    counts = 1490 + y // 150 + x // 190 + integers(10 * ord(amp) + number, -9, 9, (rows, cols))
    bottom = 20 if amp in "CD" else 0
    lit = np.s_[bottom : bottom + FULL, 19 : 19 + FULL]
    counts[lit] += integers(number, 0, 40, counts[lit].shape)
    for star in range(60):
        row, col = bottom + 13 + 17 * star, 25 + 16 * star
        counts[row : row + 3, col : col + 3] += 700 * star
    counts[bottom + 500, 600:602] = (33000, 33001)  # SATURATE is 33000
    hot = [19, 20, 21, 300, 301, 305, 640, 1041, 1042]
    virtual = np.s_[:20, :] if bottom else np.s_[FULL:, :]
    counts[virtual][:, hot] += 3000 + 40 * np.arange(len(hot))
    counts[virtual][7, 500] = 60000  # saturated, so flagged; neither hot nor part of a column's median
    counts[40, 5] = counts[45, 1050] = 50000
    return counts.astype(np.uint16)


def small_counts(seed: int, low: int = 20, high: int = 60, shape: tuple[int, int] = (ROWS, COLS)) -> Array:
    """Return a small image in sixteenths of a count with a few bright pixels, float32."""
    sci = integers(seed, 16 * low, 16 * high, shape)
    sci[5::11, 7::13] += 16 * 1500
    return (sci / 16).astype(np.float32)


def small_imset(number: int, seed: int = 0, **cards: Any) -> fits.HDUList:
    """Return a trimmed, bias-subtracted image set with errors and flags."""
    seed += 100 * number
    err = integers(seed + 1, 80, 112, (ROWS, COLS)) / 16
    dq = np.where(integers(seed + 2, 0, 30, (ROWS, COLS)) == 0, 16 << integers(seed + 3, 0, 4, (ROWS, COLS)), 0)
    return imset(number, small_counts(seed), err, dq, **{"CRPIX1": 20.5, "CRPIX2": 15.25, **cards})


def done(*switches: str, to: str = "COMPLETE") -> dict[str, str]:
    """Return cards of switches."""
    return dict.fromkeys(switches, to)


BIAS_DONE = done("DQICORR", "BLEVCORR", "BIASCORR") | {"ATODGAIN": 1.018, "READNSE": 5.7}


def reference_image(
    path: Path, sci: Array, err: Array | float = 0.0, dq: Array | int = 0, *, pedigree: str = "GROUND", **cards: Any
) -> str:
    """Write a reference image, float32; return its name. Cards of the SCI header start with an underscore."""
    first = fits.PrimaryHDU()
    first.header.update({"TELESCOP": "HST", "INSTRUME": "STIS", "DETECTOR": "CCD", "NEXTEND": 3, "FILENAME": path.name})
    first.header.update({"PEDIGREE": pedigree, "DESCRIP": "Synthetic, for a test"})
    first.header.update({key: value for key, value in cards.items() if not key.startswith("_")})
    own = {key[1:]: value for key, value in cards.items() if key.startswith("_")}
    hdus = fits.HDUList([first])
    for name, array, dtype in (("SCI", sci, np.float32), ("ERR", err, np.float32), ("DQ", dq, np.int16)):
        if isinstance(array, np.ndarray):
            hdus.append(fits.ImageHDU(array.astype(dtype), name=name, ver=1))
        else:
            hdus.append(null_hdu(name, 1, sci.shape, array))
        hdus[-1].header.update(own)
    hdus.writeto(path)
    return path.name


def reference_table(
    path: Path, columns: Mapping[str, tuple[str, Sequence[Any]]], *, pedigree: str = "GROUND", **cards: Any
) -> str:
    """Write a table of ``{column: (FITS format, values)}``; return its name. Cards go into the table's header."""
    first = fits.PrimaryHDU()
    first.header.update({"TELESCOP": "HST", "INSTRUME": "STIS", "DETECTOR": "CCD", "NEXTEND": 1, "FILENAME": path.name})
    first.header.update({"PEDIGREE": pedigree, "DESCRIP": "Synthetic, for a test"})
    fits.HDUList([first, _table(columns, **cards)]).writeto(path)
    return path.name


def _table(columns: Mapping[str, tuple[str, Sequence[Any]]], name: str | None = None, **cards: Any) -> fits.BinTableHDU:
    made = [fits.Column(name=key, format=form, array=np.array(values)) for key, (form, values) in columns.items()]
    hdu = fits.BinTableHDU.from_columns(made, name=name)
    hdu.header.update(cards)
    return hdu


def ccd_table(folder: Path) -> str:
    """Write the CCDTAB: rows that must not match first, wildcards for the binning, another gain for gain 4."""
    amps = ["D", "A", "A", "B", "C", "D", "D"]
    return reference_table(
        folder / "case_ccd.fits",
        {
            "CCDAMP": ("4A", amps),
            "CCDGAIN": ("I", [1, 8, 1, 1, 1, 4, 1]),
            "CCDOFFST": ("I", [2, 3, 3, 3, 3, -1, 3]),
            "BINAXIS1": ("I", [1, 1, -1, -1, 1, 1, -1]),
            "BINAXIS2": ("I", [1, 1, -1, 1, -1, 1, -1]),
            "ATODGAIN": ("E", [9.0, 8.0, 1.018, 1.01, 1.0, 4.016, 1.018]),
            "CCDBIAS": ("E", [9.0, 8.0, 1500.25, 1499.0, 1498.5, 1400.0, 1501.75]),
            "READNSE": ("E", [9.0, 8.0, 5.7, 5.4, 5.1, 7.6, 5.7]),
            "SATURATE": ("E", [99.0, 88.0, 33000.0, 33000.0, 33000.0, 30000.0, 33000.0]),
            "BLEV_CLIP": ("E", [50.0, 50.0, 50.0, 20.0, 50.0, 50.0, 50.0]),
        },
    )


def bpx_table(folder: Path, *, pedigree: str = "GROUND") -> str:
    """Write the BPIXTAB: runs at and across the borders, along both axes, for other gratings, outside the frame."""
    rows = [  # OPT_ELEM, PIX1, PIX2, LENGTH, AXIS, VALUE
        ("ANY", 1, 1, 5, 1, 8),
        ("ANY", 1020, 1024, 50, 1, 32),
        ("ANY", 1024, 1000, 60, 2, 64),
        ("MIRVIS", 500, 1, 2000, 2, 4),
        ("G430L", 400, 400, 9, 1, 2),
        ("ANY", 10, 10, 3, 2, 16),
        ("ANY", 10, 11, 3, 1, 1024),
        ("ANY", 1063, 5, 3, 1, 1),
        ("ANY", 5, 1045, 3, 1, 1),
        ("ANY", 1040, 30, 40, 1, 128),
    ]
    names, formats = ("OPT_ELEM", "PIX1", "PIX2", "LENGTH", "AXIS", "VALUE"), ("8A", "I", "I", "I", "I", "I")
    columns = {n: (f, [row[i] for row in rows]) for i, (n, f) in enumerate(zip(names, formats, strict=True))}
    return reference_table(folder / "case_bpx.fits", columns, pedigree=pedigree, SIZAXIS1=RAW_COLS, SIZAXIS2=RAW_ROWS)


def image_like(
    folder: Path, suffix: str, seed: int, low: int, high: int, unit: float, shape: tuple[int, int] = (ROWS, COLS),
    zeros: int = 0, flags: int = 16, **given: Any,
) -> str:  # fmt: skip
    """Write a reference image of whole multiples of `unit`, with errors and flags; `zeros` pixels are zero."""
    sci = integers(seed, low, high, shape) * unit
    if zeros:
        sci.flat[7 :: sci.size // zeros] = 0
    err = integers(seed + 1, 1, 9, shape) * (unit / 4)
    dq = np.where(integers(seed + 2, 0, 24, shape) == 0, flags, 0)
    return reference_image(folder / f"case_{suffix}.fits", sci, err, dq, **given)


def photometry_table(path: Path, modes: Mapping[str, Sequence[tuple[str, Any]]], **cards: Any) -> str:
    """Write an IMPHTTAB with one MJD parameter: per extension, rows of (OBSMODE, one value or a list over MJD)."""
    first = fits.PrimaryHDU()
    first.header.update({"TELESCOP": "HST", "INSTRUME": "STIS", "DETECTOR": "CCD", "NEXTEND": 3, "FILENAME": path.name})
    first.header.update({"PEDIGREE": "GROUND", "DESCRIP": "Synthetic", "PHOTZPT": -21.1, "PARNUM": 1, **cards})
    hdus = fits.HDUList([first])
    dates = [50000.0, 53000.0, 55000.0, 57000.0]
    for name, rows in modes.items():
        curves = [value if isinstance(value, list) else [0.0] * 4 for _, value in rows]
        columns = {
            "OBSMODE": ("40A", [mode for mode, _ in rows]),
            "DATACOL": ("12A", [f"{name}1" if isinstance(value, list) else name for _, value in rows]),
            name: ("D", [0.0 if isinstance(value, list) else value for _, value in rows]),
            f"{name}1": ("4D", curves),
            "PAR1NAMES": ("8A", ["MJD#"] * len(rows)),
            "PAR1VALUES": ("4D", [dates] * len(rows)),
            "NELEM1": ("I", [4 if isinstance(value, list) else 0 for _, value in rows]),
            "PEDIGREE": ("30A", ["GROUND"] * len(rows)),
            "DESCRIP": ("67A", ["a row"] * len(rows)),
        }
        hdus.append(_table(columns, name=name))
    hdus.writeto(path)
    return path.name
