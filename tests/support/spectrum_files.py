"""Builders of small spectra and of the reference tables that their calibration needs: the same numbers everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from astropy.io import fits

from gpucti.calibration.reffiles import HeaderReferences, References
from gpucti.io.cards import Cards
from support.calstis_files import COLS, FULL, ROWS, Array, done, primary, small_imset, write

#: Central wavelength and step per pixel of each first-order grating, Angstrom.
GRATINGS = {
    "G230LB": (2375, 1.375),
    "G230MB": (2697, 0.15625),
    "G430L": (4300, 2.75),
    "G430M": (4781, 0.28125),
    "G750L": (7751, 4.875),
    "G750M": (6581, 0.5625),
}
#: Centre of the small images on the detector, 1-based.
CENTRE_X, CENTRE_Y = 508.0, 510.0
#: Apertures of the tables.
SLITS = ("52X0.2", "52X0.1", "52X0.2E1", "0.2X0.2")
TABLES = "SDCTAB APDESTAB DISPTAB INANGTAB SPTRCTAB PHOTTAB APERTAB PCTAB TDSTAB".split()

Columns = dict[str, tuple[str, list[Any]]]


def table(
    path: Path, columns: Columns, *, pedigree: str = "GROUND", dims: Mapping[str, str] | None = None, **cards: Any
):
    """Write a table of ``{column: (FITS format, values)}``, `dims` its TDIMs; cards go into the table's header."""
    first = fits.PrimaryHDU()
    first.header.update({"TELESCOP": "HST", "INSTRUME": "STIS", "DETECTOR": "CCD", "NEXTEND": 1, "FILENAME": path.name})
    first.header.update({"PEDIGREE": pedigree, "DESCRIP": f"Made for a test: {path.stem[-3:]}"})
    made = [
        fits.Column(name=name, format=form, array=np.array(values), dim=(dims or {}).get(name))
        for name, (form, values) in columns.items()
    ]
    hdu = fits.BinTableHDU.from_columns(made)
    hdu.header.update(cards)
    fits.HDUList([first, hdu]).writeto(path, overwrite=True)
    return path.name


def rows_of(columns: str, formats: str, *rows: tuple[Any, ...]) -> Columns:
    """Return columns from rows."""
    names = zip(columns.split(), formats.split(), strict=True)
    return {name: (form, [row[index] for row in rows]) for index, (name, form) in enumerate(names)}


def padded(values: list[float], size: int) -> list[float]:
    """Return values and as many nines: elements that must not be read."""
    return [*values, *[99.0] * (size - len(values))]


def polynomial(grating: str, offset: float, bend: float = 1.0, terms: int = 8) -> list[float]:
    """Return coefficients that put the central wavelength at `CENTRE_X` plus an offset, bent over the spectrum."""
    middle, step = GRATINGS[grating]
    curve = bend * 0.0000078125 / (step * step)
    c = [CENTRE_X + offset - middle / step + curve * middle * middle, 1 / step - 2 * curve * middle, curve]
    c += [0.0] * 6
    if terms == 9:  # the same spectrum, spread over all terms
        c[3], c[8], c[0] = 0.5, -1.25, c[0] + 0.75
        c[4], c[5], c[1] = 0.25 / step, -0.125 / step, c[1] - 0.125 / step
        c[6], c[2], c[7] = curve / 4, curve - curve / 4, 1e-12
    return c[:terms]


def reference_tables(folder: Path, grating: str = "G430L", **options: Any) -> dict[str, str]:
    """Write all tables of rectification and flux for one grating; return the keywords that name them.

    Options: `terms` of the dispersion; `rotated` traces; `tilt` of the slit, degrees; `bars`; `old` TDSTAB; `warm`
    TDSTAB with temperature; `response`, eight throughputs.
    """
    names = {}
    for key, (name, content) in _tables(grating, tuple(sorted(options.items()))).items():
        (folder / name).write_bytes(content)
        names[key] = name
    return names


@lru_cache(maxsize=4)
def _tables(grating: str, given: tuple[tuple[str, Any], ...]) -> dict[str, tuple[str, bytes]]:
    """Return name and content of each table by keyword; tests ask for the same ones over and over."""
    with TemporaryDirectory() as folder:
        names = _write_tables(Path(folder), grating, dict(given))
        return {key: (name, (Path(folder) / name).read_bytes()) for key, name in names.items()}


def _write_tables(folder: Path, grating: str, options: dict[str, Any]) -> dict[str, str]:
    middle, step = GRATINGS[grating]
    other = "G750M" if grating != "G750M" else "G430L"
    modes = [(other, 1111), (grating, middle + 1), (grating, middle)]
    names = {key: f"case_{key[:-3].lower()}.fits" for key in TABLES}
    size = FULL + 17, FULL + 9  # less what the image lacks of a full frame
    sdc = (*size, CENTRE_X + 8.25, CENTRE_Y + 4.75, float(middle), 0.0, step, 0.05078)
    table(
        folder / names["SDCTAB"],
        rows_of(
            "APERTURE OPT_ELEM CENWAVE SPORDER A2CENTER NPIX1 NPIX2 CRPIX1 CRPIX2 CRVAL1 CRVAL2 CDELT1 CDELT2",
            "16A 8A I I D I I D D D D D D",
            *[("ANY", *mode, 1, 99.0, 9, 9, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0) for mode in modes[:2]],
            ("52X0.2E1", grating, -1, 1, CENTRE_Y + 3, *sdc),
            ("ANY", grating, middle, 1, CENTRE_Y + 0.5, *sdc),
            ("ANY", grating, middle, 1, 77.0, *sdc),
        ),
    )
    bars = options.get("bars", ((-0.7, 0.125), (0.5, 0.08), (9.0, 0.5)))
    angle = options.get("tilt")
    cells = [0.0 if bar is None else value for bar in (*bars, None, None, None)[:3] for value in (bar or (0, 0))]
    slits: Columns = rows_of(
        "APERTURE WIDTH1 WIDTH2 OFFSET1 OFFSET2 NBARS BAR1LOCN BAR1WIDTH BAR2LOCN BAR2WIDTH BAR3LOCN BAR3WIDTH",
        "16A D D D D I D D D D D D",
        ("52X0.1", 0.1, 51.0, 0.0, 0.03, 0, *cells),
        ("52X0.2E1", 0.2, 52.0, -0.02, 0.2, 1, *cells),
        ("0.2X0.2", 0.2, 0.6, 0.0135, -0.045, 0, *cells),
        ("52X0.2", 0.2, 52.0, -0.0225, 0.045, len(bars), *cells),
        ("52X0.2", 9.9, 9.9, 9.9, 9.9, 0, *cells),
    )
    if angle is not None:
        slits["ANGLE"] = ("D", [0.315, angle, 0.315, angle, 0.0])
    table(folder / names["APDESTAB"], slits)
    terms = options.get("terms", 8)
    table(
        folder / names["DISPTAB"],
        rows_of(
            "OPT_ELEM CENWAVE REF_APER A2CENTER NCOEFF COEFF",
            "8A I 16A D I 10D",
            *[(*mode, "52X0.2", 500.0, 3, padded([1.0, 2.0, 3.0], 10)) for mode in modes[:2]],
            (grating, middle, "52X0.1", 523.0, terms, padded(polynomial(grating, 0.75, 1.25, terms), 10)),
            (grating, middle, "52X0.1", 495.0, 3, padded(polynomial(grating, -0.5, 0.75, 3), 10)),
            (grating, middle, "52X0.1", 512.0, terms, padded(polynomial(grating, 0.125, 1.0, terms), 10)),
        ),
    )
    table(
        folder / names["INANGTAB"],
        rows_of(
            "OPT_ELEM CENWAVE SPORDER NCOEFF1 COEFF1 NCOEFF2 COEFF2",
            "8A I I I 10D I 4D",
            (grating, middle, 1, 1, padded([55.0], 10), 0, [9.0] * 4),  # the last row counts
            (grating, middle, 1, 3, padded([19.6, 0.00002, 1e-9], 10), 2, padded([0.125, -7.5], 4)),
            (grating, middle, 2, 1, padded([77.0], 10), 0, [9.0] * 4),
        ),
    )
    element = np.arange(FULL)
    traces = [(element - 400 - 30 * k) * 0.0021 + (element - 512) ** 2 * (k - 1.5) * 2.0**-18 for k in range(3)]
    trace: Columns = rows_of(
        "OPT_ELEM CENWAVE SPORDER A1CENTER A2CENTER NELEM A2DISPL",
        "8A I I D D I 1024D",
        (grating, middle, 1, 512.0, 519.0, 1024, traces[2]),
        (grating, middle, 2, 512.0, 505.0, 1024, traces[0] + 9),
        (grating, middle, 1, 512.0, 489.0, 1020, traces[0]),
        (grating, middle, 1, 512.0, 508.0, 510, traces[1]),  # ends within the image
    )
    if options.get("rotated"):
        trace |= {"MJD": ("D", [51000.0, 51000.0, 52000.0, 50500.5]), "DEGPERYR": ("D", [0.003, 9.0, -0.0025, 0.004])}
    table(folder / names["SPTRCTAB"], trace)
    nodes = [middle + step * at for at in (-60, -31, -11, -4.5, 3, 8.25, 19, 27)]
    response = list(options.get("response", (0.0125, 0.03, 0.0625, 0.058, 0.07, 0.066, 0.05, 0.02)))
    table(
        folder / names["PHOTTAB"],
        rows_of(
            "OPT_ELEM CENWAVE SPORDER NELEM WAVELENGTH THROUGHPUT",
            "8A I I I 10D 10E",
            (grating, middle, 2, 1, [1.0] * 10, [1.0] * 10),
            (grating, middle, 1, 8, padded(nodes, 10), padded(response, 10)),
            (grating, middle, 1, 2, padded([1.0, 9999.0], 10), [1.0] * 10),
        ),
    )
    curves = [(name, 4, padded([1500.0, 2500.0, 4750.0, 9000.0], 5), [0.5, 0.625, 0.8, 0.8125, 9.0]) for name in SLITS]
    table(
        folder / names["APERTAB"],
        rows_of("APERTURE NELEM WAVELENGTH THROUGHPUT", "16A I 5D 5E", ("52X0.2", 1, [1.0] * 5, [9.0] * 5), *curves),
    )
    coarse = [middle + step * at for at in (-55, -20, -3, 11, 30)]
    heights = [
        (name, middle, height, 5, padded(coarse, 6), padded([1.0 + height * f / 4096 for f in (1, 3, 2, 1.5, 2)], 6))
        for name in ("ANY", "52X0.2")
        for height in (7, 600, 200)
    ]
    table(
        folder / names["PCTAB"],
        rows_of("APERTURE CENWAVE EXTRHEIGHT NELEM WAVELENGTH THROUGHPUT", "16A I I I 6D 6E", *heights),
        MAXHGHT=600,
    )
    time_table(folder / names["TDSTAB"], grating, old=bool(options.get("old")), warm=bool(options.get("warm")))
    return names


def time_table(path: Path, grating: str, *, old: bool = False, warm: bool = False) -> str:
    """Write a TDSTAB: three segments, four wavelengths of five that the cell has room for."""
    middle, step = GRATINGS[grating]
    nodes = [middle + step * at for at in (-50, -10, 12, 40)]
    slopes = [[-1.5, -0.75, -0.25, 0.5, 99], [-0.5, -0.125, 0.375, 0.25, 99], [-1.0, -2.0, -1.75, -0.5, 99]]
    starts = [[1.0, 0.99, 1.01, 1.02, 99], [0.96, 0.95, 0.98, 1.0, 99], [0.9, 0.85, 0.93, 0.97, 99]]
    columns = rows_of(
        "OPT_ELEM WAVELENGTH TIME SLOPE INTERCEPT NWL NT REFTEMP TEMPSENS",
        "8A 5D 3D 15D 15D I I D 5D",
        *[
            (grating, [*nodes, 1.0], [50000.0, 53000.0 + row, 55500.0], slopes, starts, 4, 3, 18.5, [0.25 / 64] * 5)
            for row in range(2)
        ],
        ("MIRVIS", [1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 2.0, 3.0], slopes, starts, 4, 3, 1.0, [0.0] * 5),
    )
    unused = ["INTERCEPT"] if old else []
    unused += [] if warm else ["REFTEMP", "TEMPSENS"]
    kept = {name: column for name, column in columns.items() if name not in unused}
    dims = {name: "(5,3)" for name in ("SLOPE", "INTERCEPT") if name in kept}
    return table(path, kept, dims=dims, **({} if old else {"REF_TIME": 51544.0}))


def spectrum(
    folder: Path, grating: str = "G430L", n: int = 1, own: Mapping[str, Any] | None = None, **cards: Any
) -> Path:
    """Write a small calibrated spectrum; `own` changes its SCI headers, `cards` the primary header."""
    header = done("DQICORR", "BLEVCORR", "BIASCORR", "DARKCORR", "FLATCORR", "WAVECORR") | {"ATODGAIN": 1.015}
    header |= done("X2DCORR", "DISPCORR", "HELCORR", "FLUXCORR", to="PERFORM")
    header |= {"OBSTYPE": "SPECTROSCOPIC", "OPT_ELEM": grating, "CENWAVE": GRATINGS[grating][0], "SCLAMP": "NONE"}
    header |= {"APERTURE": "52X0.2", "PROPAPER": "52X0.2", "READNSE": 5.7}
    imsets = []
    for number in range(1, n + 1):
        given = {
            "LTV1": COLS / 2 - CENTRE_X, "LTV2": ROWS / 2 - CENTRE_Y, "SHIFTA1": 1.875 - number, "SHIFTA2": -1.3125,
            "CTYPE1": "LAMBDA", "CTYPE2": "ANGLE", "CRVAL1": 1.0, "CD1_1": 1.0, "CD1_2": 0.5, "CD2_1": 0.5,
            "DISPAXIS": 1,
        }  # fmt: skip
        imsets.append(small_imset(number, **given | dict(own or {})))
    return write(folder / "case_flt.fits", primary(n, **header | cards), *imsets)


def change_cells(path: Path, column: str, rows: list[int], value: Any) -> None:
    """Put a value into cells of a table on disk; rows are 0-based."""
    with fits.open(path, mode="update") as hdus:
        for row in rows:
            hdus[1].data[column][row] = value


def image(value: float = 100.0, shape: tuple[int, int] = (ROWS, COLS)) -> Array:
    """Return a flat float32 image."""
    return np.full(shape, value, dtype=np.float32)


def named_tables(folder: Path, **cards: Any) -> HeaderReferences:
    """Return the tables in a folder, as a primary header names them; cards go into the header."""
    names = {name: f"case_{name[:-3].lower()}.fits" for name in TABLES}
    return HeaderReferences(Cards(primary(1, **names | cards).header, "x"), folder, References({}))
