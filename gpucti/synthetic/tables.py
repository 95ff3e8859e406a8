"""The reference tables of a synthetic visit: the instrument of this package in the form that CalSTIS reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from astropy.io import fits

from gpucti.synthetic import sky
from gpucti.synthetic.detector import Detector
from gpucti.synthetic.instrument import (
    A2CENTER,
    APERTURES,
    ATODGAIN,
    BIAS_LEVEL,
    GRATINGS,
    READ_NOISE,
    REF_APER,
    SATURATE,
    SCALE,
    SENSITIVITY_TEMP,
    SERIAL,
    SIZE,
    SLITS,
    TABLE_ROWS,
    VIRTUAL,
    enclosed,
    sensitivity_trend,
    trend_grid,
)
from gpucti.synthetic.optics import INCIDENCE, TRACE_MJD, TRACE_TURN, Mode, lamp_spectrum

#: PEDIGREE of everything here.
PEDIGREE = "MODEL 01/10/1996 01/10/2030"
#: Rows of the extraction box, and the height that stands for all light.
BOX, ALL_ROWS = 7, 600
_TREND = "trends of the sensitivity"


@dataclass(frozen=True)
class Column:
    """A table column: name, FITS format, unit, and shape of array cells slower than the format says."""

    name: str
    form: str
    unit: str | None = None
    dim: str | None = None


@dataclass(frozen=True)
class Table:
    """A reference table.

    Attributes
    ----------
    filetype, descrip : str
        FILETYPE and DESCRIP of the primary header.
    columns : sequence of Column
        PEDIGREE and DESCRIP columns are added unless `plain`.
    rows : sequence of tuples
        A value, or an array, for each column.
    keywords : mapping
        Of the table extension.
    plain : bool
        Without PEDIGREE and DESCRIP columns.
    """

    filetype: str
    descrip: str
    columns: Sequence[Column]
    rows: Sequence[tuple[Any, ...]]
    keywords: dict[str, Any] = field(default_factory=dict)
    plain: bool = False

    def hdu(self, name: str = "") -> fits.BinTableHDU:
        """Return the table extension."""
        columns, rows = list(self.columns), [tuple(row) for row in self.rows]
        if not self.plain:
            columns += [Column("PEDIGREE", "67A"), Column("DESCRIP", "67A")]
            rows = [(*row, PEDIGREE, "synthetic") for row in rows]
        made = [
            fits.Column(name=c.name, format=c.form, unit=c.unit, dim=c.dim, array=np.array([row[k] for row in rows]))
            for k, c in enumerate(columns)
        ]
        hdu = fits.BinTableHDU.from_columns(made, name=name or None)
        hdu.header.update(self.keywords)
        return hdu


def ccd() -> Table:
    """CCDTAB: gains, read noise, bias level, saturation, and the figures of the empirical CTI formula."""
    names = "CTINORM CTIGPOWER CTIBGFAC CTIBGPOWER CTITIMFAC CTIREFMJD SPURCHARGE HALOFAC HALOMINFRAC".split()
    columns = [Column("CCDAMP", "4A"), *(Column(n, "I") for n in ("CCDGAIN", "BINAXIS1", "BINAXIS2", "CCDOFFST"))]
    columns += [Column("CCDBIAS", "E", "counts"), Column("ATODGAIN", "E", "electron/count")]
    columns += [Column("READNSE", "E", "electron"), Column("SATURATE", "E", "counts"), Column("BLEV_CLIP", "E")]
    columns += [Column(name, "E") for name in names]
    formula = (0.056, 0.82, -3.05, 0.21, 0.205, 51765.25, 0.0, 0.06, 0.0)
    rows = [
        (amp, gain, 1, 1, 3, BIAS_LEVEL, ATODGAIN[gain], READ_NOISE[gain], SATURATE, 10.0, *formula)
        for amp in "ABCD"
        for gain in ATODGAIN
    ]
    return Table("CCD PARAMETERS TABLE", "CCD parameters", columns, rows)


def bpx(detector: Detector) -> Table:
    """BPIXTAB: bad columns and small blemishes."""
    columns = [Column("OPT_ELEM", "8A"), *(Column(n, "I") for n in ("PIX1", "PIX2", "LENGTH", "AXIS", "VALUE"))]
    rows = [("ANY", pixel.x, pixel.y, pixel.length, pixel.axis, pixel.bits) for pixel in detector.bad_pixels]
    size = {"SIZAXIS1": SIZE + 2 * SERIAL, "SIZAXIS2": SIZE + VIRTUAL}
    return Table("BAD PIXELS", "bad pixels", columns, rows, size, plain=True)


def crr() -> Table:
    """CRREJTAB: how cosmic rays are told, for 2 to 8 exposures."""
    columns = [
        Column("CRSPLIT", "I"),
        Column("MEANEXP", "E", "seconds"),
        Column("SCALENSE", "E"),
        Column("INITGUES", "8A"),
    ]
    columns += [Column("SKYSUB", "4A"), Column("CRSIGMAS", "20A"), Column("CRRADIUS", "E"), Column("CRTHRESH", "E")]
    columns += [Column("BADINPDQ", "I"), Column("CRMASK", "L")]
    rows = [
        (n, longest, 0.0, "min", "mode", "6.5,5.5,4.5", 1.5, 0.8, 0, True)
        for n in range(2, 9)
        for longest in (10.0, 100.0, 1200.0, 100_000.0)
    ]
    return Table("CRREJ PARAMETERS TABLE", "cosmic-ray rejection", columns, rows, plain=True)


def idc() -> Table:
    """IDCTAB: from corrected to detector positions (INVERSE); FORWARD has the linear terms alone."""
    orders = [(i, j) for i in range(1, 4) for j in range(i + 1)]
    columns = [Column("DIRECTION", "8A"), Column("FILTER", "16A"), Column("SCALE", "D", "arcsec/pixel")]
    columns += [Column("XREF", "D"), Column("YREF", "D"), Column("CXSIZE", "I"), Column("CYSIZE", "I")]
    columns += [Column("CXREF", "D"), Column("CYREF", "D")]
    columns += [Column(f"C{axis}{i}{j}", "D") for i, j in orders for axis in "XY"]
    frame = (sky.IDC_CENTRE, sky.IDC_CENTRE, SIZE, SIZE, sky.IDC_CENTRE, sky.IDC_CENTRE)
    inverse = [terms.get(order, 0.0) for order in orders for terms in (sky.CX, sky.CY)]
    forward = [SCALE * (order == linear) for order in orders for linear in ((1, 1), (1, 0))]
    rows = [("FORWARD", "ANY", SCALE, *frame, *forward), ("INVERSE", "ANY", SCALE, *frame, *inverse)]
    return Table("DISTORTION COEFFICIENTS", "imaging distortion", columns, rows, {"NORDER": 3})


def apd() -> Table:
    """APDESTAB: sizes, places and bars of the apertures."""
    names = [f"BAR{k}{what}" for k in (1, 2, 3) for what in ("LOCN", "WIDTH")]
    columns = [Column("APERTURE", "16A"), *(Column(n, "D", "arcsec") for n in ("WIDTH1", "WIDTH2"))]
    columns += [Column("ANGLE", "D", "degree"), *(Column(n, "D", "arcsec") for n in ("OFFSET1", "OFFSET2"))]
    columns += [Column("NBARS", "I"), *(Column(name, "D", "arcsec") for name in names)]
    rows = []
    for name, aperture in APERTURES.items():
        bars = [value for bar in (*aperture.bars, *((0.0, 0.0),) * (3 - len(aperture.bars))) for value in bar]
        rows.append(
            (
                name,
                aperture.width,
                aperture.height,
                0.315,
                aperture.offset1,
                aperture.offset2,
                len(aperture.bars),
                *bars,
            )
        )
    return Table("APERTURE DESCRIPTION TABLE", "apertures", columns, rows)


def apt() -> Table:
    """APERTAB: throughput of the apertures for a point source."""
    wave = np.linspace(1500.0, 11000.0, 40)
    columns = [Column("APERTURE", "16A"), Column("NELEM", "I")]
    columns += [Column("WAVELENGTH", "40D", "angstrom"), Column("THROUGHPUT", "40E")]
    rows = [(name, wave.size, wave, aperture.transmission(wave)) for name, aperture in APERTURES.items()]
    return Table("APERTURE THROUGHPUT TABLE", "aperture throughputs", columns, rows)


def wcp() -> Table:
    """WCPTAB: how wavecals are measured."""
    whole = ("WL_TRIM1", "WL_TRIM2", "SP_TRIM1", "SP_TRIM2", "WL_RANGE", "SP_RANGE")
    columns = [Column("DETECTOR", "8A"), Column("OPT_ELEM", "8A"), *(Column(n, "I", "pixel") for n in whole)]
    columns += [Column(name, "D") for name in ("NSIG_CR", "NSIG_ILL", "MAD_REJ", "MIN_MAD")]
    rows = [("CCD", "ANY", 120, 300, 120, 120, 61, 61, 5.0, 2.0, 3.5, 0.2)]
    return Table("WAVECAL PARAMETERS TABLE", "wavecal parameters", columns, rows)


def _mode_columns(*more: Column) -> list[Column]:
    return [Column("OPT_ELEM", "8A"), Column("CENWAVE", "I", "angstrom"), Column("SPORDER", "I"), *more]


def pht(modes: Iterable[Mode]) -> Table:
    """PHOTTAB: efficiency by wavelength, some way past the chip on both sides."""
    columns = _mode_columns(
        Column("NELEM", "I"),
        Column("WAVELENGTH", "512D", "angstrom"),
        Column("THROUGHPUT", "512E"),
        Column("ERROR", "512E"),
    )
    rows = []
    for mode in modes:
        wave = mode.cenwave + np.linspace(-660.0, 660.0, 512) * mode.grating.dispersion
        through = mode.grating.efficiency(wave)
        rows.append((mode.name, mode.cenwave, 1, wave.size, wave, through, 0.02 * through))
    return Table("PHOTOMETRIC CONVERSION TABLE", "sensitivities", columns, rows)


def pct(modes: Iterable[Mode]) -> Table:
    """PCTAB: light inside boxes of several heights in units of the standard one; no grating in it, so no doubles."""
    columns = [Column("APERTURE", "16A"), Column("CENWAVE", "I", "angstrom"), Column("EXTRHEIGHT", "I", "pixel")]
    columns += [Column("NELEM", "I"), Column("WAVELENGTH", "16D", "angstrom"), Column("THROUGHPUT", "16E")]
    widest = {mode.cenwave: mode for mode in sorted(modes, key=lambda mode: mode.grating.dispersion)}
    rows = [
        (
            slit,
            wave,
            height,
            16,
            np.linspace(wave - reach, wave + reach, 16),
            np.full(16, enclosed(height) / enclosed(BOX)),
        )
        for wave, mode in sorted(widest.items())
        for reach in [660.0 * mode.grating.dispersion]
        for slit in SLITS
        for height in (3, 5, BOX, 9, 11, 15, 21, 200, ALL_ROWS)
    ]
    return Table("PHOTOMETRY CORRECTION TABLE", "extraction heights", columns, rows, {"MAXHGHT": ALL_ROWS})


def tds(modes: Iterable[Mode]) -> Table:
    """TDSTAB: trends of the sensitivity with time and temperature, for imaging too."""
    columns = [Column("OPT_ELEM", "8A"), Column("WAVELENGTH", "12D", "angstrom"), Column("TIME", "4D", "MJD")]
    columns += [Column("SLOPE", "48D", "percent/year", "(12,4)"), Column("INTERCEPT", "48D", None, "(12,4)")]
    columns += [Column("NWL", "I"), Column("NT", "I"), Column("REFTEMP", "D", "degC"), Column("TEMPSENS", "12D")]
    rows = []
    for name in (*sorted({mode.name for mode in modes}), "MIRVIS"):
        wave = trend_grid(name)
        times, slopes, intercepts, heat = sensitivity_trend(name, wave)
        rows.append((name, wave, times, slopes, intercepts, wave.size, times.size, SENSITIVITY_TEMP, heat))
    return Table("TIME DEPENDENT SENSITIVITY TABLE", _TREND, columns, rows, {"REF_TIME": 51000.0})


def dsp(modes: Iterable[Mode]) -> Table:
    """DISPTAB: dispersion relations."""
    columns = [Column("OPT_ELEM", "8A"), Column("CENWAVE", "I", "angstrom"), Column("REF_APER", "16A")]
    columns += [Column("A2CENTER", "D", "pixel"), Column("NCOEFF", "I"), Column("COEFF", "10D")]
    rows = [
        (mode.name, mode.cenwave, REF_APER, row, 3, np.concatenate([coefficients, np.zeros(7)]))
        for mode in modes
        for row, coefficients in zip(TABLE_ROWS, mode.table_coefficients, strict=True)
    ]
    return Table("DISPERSION COEFFICIENT TABLE", "dispersion relations", columns, rows)


def iac(modes: Iterable[Mode]) -> Table:
    """INANGTAB: how the dispersion moves with the slit."""
    columns = _mode_columns(
        Column("NCOEFF1", "I"), Column("COEFF1", "10D"), Column("NCOEFF2", "I"), Column("COEFF2", "10D")
    )
    first = np.concatenate([INCIDENCE, np.zeros(8)])
    rows = [(mode.name, mode.cenwave, 1, len(INCIDENCE), first, 2, np.zeros(10)) for mode in modes]
    return Table("INCIDENCE ANGLE COEFFICIENTS TABLE", "incidence angles", columns, rows)


def trace(modes: Iterable[Mode]) -> Table:
    """SPTRCTAB: traces."""
    columns = _mode_columns(Column("A1CENTER", "D", "pixel"), Column("A2CENTER", "D", "pixel"), Column("NELEM", "I"))
    columns += [
        Column("A2DISPL", f"{SIZE}D", "pixel"),
        Column("MJD", "D", "day"),
        Column("DEGPERYR", "D", "degree/year"),
    ]
    rows = [
        (mode.name, mode.cenwave, 1, SIZE / 2, row, SIZE, displacement, TRACE_MJD, TRACE_TURN)
        for mode in modes
        for row, displacement in zip(TABLE_ROWS, mode.table_traces, strict=True)
    ]
    return Table("1-D SPECTRUM TRACE TABLE", "spectrum traces", columns, rows)


def sdc(modes: Iterable[Mode]) -> Table:
    """SDCTAB: the grid of rectified spectra."""
    columns = _mode_columns(
        Column("A2CENTER", "D", "pixel"), Column("NPIX1", "I", "pixel"), Column("NPIX2", "I", "pixel")
    )
    columns += [Column(name, "D") for name in ("CRPIX1", "CRPIX2", "CRVAL1", "CRVAL2", "CDELT1", "CDELT2")]
    rows = [
        (m.name, m.cenwave, 1, A2CENTER, 1201, 1201, 601.0, 601.0, float(m.cenwave), 0.0, m.grating.dispersion, SCALE)
        for m in modes
    ]
    return Table("2-D SPECTRUM DISTORTION CORRECTION TABLE", "rectified grids", columns, rows)


def xtract(modes: Iterable[Mode]) -> Table:
    """XTRACTAB: extraction boxes."""
    columns = [Column("APERTURE", "16A"), *_mode_columns()]
    columns += [Column(n, "E", "pixel") for n in ("EXTRSIZE", "BK1SIZE", "BK2SIZE", "BK1OFFST", "BK2OFFST")]
    columns += [Column("NCOEFFSL", "I"), Column("SLTCOEFF", "7D"), Column("NCOEFFBK", "I"), Column("BKTCOEFF", "7D")]
    columns += [Column("BACKORD", "I"), Column("XTRACALG", "12A"), Column("MAXSRCH", "I", "pixel")]
    boxes = (float(BOX), 5.0, 5.0, -300.0, 300.0, 2, np.zeros(7), 2, np.zeros(7), 0, "UNWEIGHTED", SIZE)
    rows = [(slit, mode.name, mode.cenwave, 1, *boxes) for mode in modes for slit in SLITS]
    return Table("1-D EXTRACTION PARAMETERS TABLE", "extraction boxes", columns, rows)


def lmp(modes: Iterable[Mode]) -> Table:
    """LAMPTAB: lamp spectra of the gratings."""
    names = sorted({mode.name for mode in modes})
    spectra = {name: lamp_spectrum(name) for name in names}
    longest = max(wave.size for wave, _ in spectra.values())
    columns = [Column("SCLAMP", "9A"), Column("LAMPSET", "6A"), Column("OPT_ELEM", "8A"), Column("NELEM", "I")]
    columns += [Column("WAVELENGTH", f"{longest}D", "angstrom"), Column("FLUX", f"{longest}E")]
    rows = [
        (*GRATINGS[name].lamp, name, wave.size, *(np.pad(array, (0, longest - wave.size)) for array in (wave, flux)))
        for name, (wave, flux) in spectra.items()
    ]
    return Table("LAMP CALIBRATION SPECTRUM TABLE", "lamp spectra", columns, rows)


def imphttab() -> list[tuple[str, Table]]:
    """IMPHTTAB: photometry of undispersed images by date, an extension for each quantity."""
    dates = np.array(sky.PHOT_DATES)
    values = {"PHOTFLAM": sky.PHOTFLAM, "PHOTPLAM": (sky.PHOTPLAM,) * dates.size, "PHOTBW": (sky.PHOTBW,) * dates.size}
    extensions = []
    for name, by_date in values.items():
        columns = [
            Column("OBSMODE", "40A"),
            Column("DATACOL", "12A"),
            Column(name, "D"),
            Column(f"{name}1", f"{dates.size}D"),
        ]
        columns += [Column("PAR1NAMES", "8A"), Column("PAR1VALUES", f"{dates.size}D"), Column("NELEM1", "I")]
        rows = [
            (f"stis,{aperture},mirror,ccd,mjd#", f"{name}1", 0.0, np.array(by_date), "MJD#", dates, dates.size)
            for aperture in ("50ccd", "f28x50lp")
        ]
        extensions.append((name, Table("IMAGE PHOTOMETRY TABLE", "imaging photometry", columns, rows)))
    return extensions


#: By the suffix of the file: tables that are always the same, of the detector, and with a row per mode.
FIXED: dict[str, Callable[[], Table]] = {"ccd": ccd, "crr": crr, "idc": idc, "apd": apd, "apt": apt, "wcp": wcp}
OF_DETECTOR: dict[str, Callable[[Detector], Table]] = {"bpx": bpx}
OF_MODES: dict[str, Callable[[Iterable[Mode]], Table]] = {
    "pht": pht, "pct": pct, "tds": tds, "dsp": dsp, "iac": iac, "1dt": trace, "sdc": sdc, "1dx": xtract, "lmp": lmp,
}  # fmt: skip
