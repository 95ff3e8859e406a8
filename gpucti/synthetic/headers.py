"""Headers of synthetic exposures: what the archive's files of that kind say, with comments of our own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from astropy.io import fits

from gpucti.detector import DQ_SERIOUS
from gpucti.synthetic.instrument import A2CENTER, APERTURES, SCALE, SERIAL, SIZE, VIRTUAL
from gpucti.synthetic.schedule import instant

#: Keyword, value and comment of each card.
CardList = list[tuple[str, Any, str]]

#: Where the telescope points, degrees, and the programmes of science and darks.
TARGET, PROGRAMME, DARK_PROGRAMME = (201.365, -43.019), 99001, 99002
#: Reference folder in headers.
OREF = "oref$"
NONE = "N/A"

#: Steps that images and spectra may ask for, in the order of the header.
_STEPS = (
    "DQICORR",
    "ATODCORR",
    "BLEVCORR",
    "BIASCORR",
    "CRCORR",
    "RPTCORR",
    "EXPSCORR",
    "DARKCORR",
    "FLATCORR",
    "SHADCORR",
)
_IMAGE_STEPS = ("PHOTCORR", "GEOCORR")
_SPECTRUM_STEPS = (
    "WAVECORR", "X1DCORR", "BACKCORR", "HELCORR", "DISPCORR", "FLUXCORR", "CTECORR", "X2DCORR",
)  # fmt: skip
_NEVER = ("ATODCORR", "RPTCORR", "SHADCORR", "SGEOCORR")
_IMAGE_TABLES = {"IMPHTTAB": "imp", "IDCTAB": "idc"}
_SPECTRUM_TABLES = {
    "PHOTTAB": "pht", "APDESTAB": "apd", "SPTRCTAB": "1dt", "DISPTAB": "dsp", "INANGTAB": "iac", "LAMPTAB": "lmp",
    "SDCTAB": "sdc", "XTRACTAB": "1dx", "PCTAB": "pct", "WCPTAB": "wcp",
}  # fmt: skip


@dataclass(frozen=True)
class ExposureFacts:
    """What the headers of a raw exposure, a wavecal or a component dark say.

    Attributes
    ----------
    filename, root, target, title, darkfile : str
        FILENAME, ROOTNAME, TARGNAME, PROPTTL1, and the file that DARKFILE names.
    programme : int
        PROPOSID.
    starts, expnames, temperatures : tuple
        Of each imset: start (MJD), EXPNAME, and mean housing temperature (deg C).
    member : str
        ASN_MTYP, the role in the association.
    exptime : float
        Seconds of each imset.
    opt_elem, aperture : str
        Grating or mirror, and what is in front of it.
    gain : int
        CCDGAIN.
    perform, complete : tuple of str
        Calibration steps to be done, and those that are done.
    cenwave : int, optional
        Central wavelength, Angstrom; None: an image.
    dispersion : float
        Angstrom per pixel of a spectrum.
    wavecal : str, optional
        File that WAVECAL names.
    lamp : (str, str)
        SCLAMP and LAMPSET.
    postarg : float
        POSTARG2, arcsec.
    raw : bool
        Whether the frames have their overscan.
    atodgain, readnse : float
        0 where they are not known yet.
    """

    filename: str
    root: str
    target: str
    title: str
    darkfile: str
    programme: int
    starts: tuple[float, ...]
    expnames: tuple[str, ...]
    temperatures: tuple[float, ...]
    member: str
    exptime: float
    opt_elem: str
    aperture: str
    gain: int
    perform: tuple[str, ...] = ()
    complete: tuple[str, ...] = ()
    cenwave: int | None = None
    dispersion: float = 0.0
    wavecal: str | None = None
    lamp: tuple[str, str] = ("NONE", "0.0")
    postarg: float = 0.0
    raw: bool = True
    atodgain: float = 0.0
    readnse: float = 0.0


def primary(facts: ExposureFacts) -> fits.Header:
    """Return the primary header of a file."""
    first, n = facts.starts[0], len(facts.starts)
    end = facts.starts[-1] + facts.exptime / 86400.0
    spectrum, slit = facts.cenwave is not None, APERTURES[facts.aperture]
    cards: CardList = [
        ("NEXTEND", 3 * n, "number of extensions"),
        ("FILENAME", facts.filename, "name of this file"),
        ("FILETYPE", "SCI", "kind of data"),
        ("TELESCOP", "HST", "telescope that is imitated"),
        ("INSTRUME", "STIS", "instrument that is imitated"),
        ("EQUINOX", 2000.0, "equinox of the coordinates"),
        ("ROOTNAME", facts.root, "name of the exposure"),
        ("PRIMESI", "STIS", "prime instrument"),
        ("TARGNAME", facts.target, "target"),
        ("RA_TARG", TARGET[0], "[deg] right ascension of the target"),
        ("DEC_TARG", TARGET[1], "[deg] declination of the target"),
        ("PROPOSID", facts.programme, "programme (of no real proposal)"),
        ("LINENUM", "01.001", "line of the programme"),
        ("PR_INV_L", "Synthetic", "principal investigator, last name"),
        ("PR_INV_F", "Data", "principal investigator, first name"),
        ("TDATEOBS", f"{instant(first):%Y-%m-%d}", "start date (UT) of the first exposure"),
        ("TTIMEOBS", f"{instant(first):%H:%M:%S}", "start time (UT) of the first exposure"),
        ("TEXPSTRT", first, "[MJD] start of the first exposure"),
        ("TEXPEND", end, "[MJD] end of the last exposure"),
        ("TEXPTIME", facts.exptime * n, "[s] total exposure time"),
        ("POSTARG1", 0.0, "[arcsec] offset along x"),
        ("POSTARG2", facts.postarg, "[arcsec] offset along y"),
        ("OVERFLOW", 0, "data overflows"),
        ("CAL_VER", "", "version of the calibration"),
        ("PROCTIME", end + 1.0, "[MJD] time of processing"),
        ("CFSTATUS", "SUPPORTED", "status of the configuration"),
        ("OBSTYPE", "SPECTROSCOPIC" if spectrum else "IMAGING", "spectrum or image"),
        ("OBSMODE", "ACCUM", "operating mode"),
        ("PHOTMODE", "", "photometric mode"),
        ("SCLAMP", facts.lamp[0], "lamp that is on"),
        ("LAMPSET", facts.lamp[1], "[mA] current of the lamp"),
        ("NRPTEXP", 1, "repeated exposures"),
        ("SUBARRAY", False, "part of the frame only"),
        ("DETECTOR", "CCD", "detector"),
        ("OPT_ELEM", facts.opt_elem, "grating or mirror"),
        ("APERTURE", facts.aperture, "aperture"),
        ("PROPAPER", facts.aperture, "aperture as proposed"),
        ("FILTER", "Clear", "filter"),
        ("APER_FOV", f"{slit.height:g}x{slit.width:g}", "[arcsec] height and width of the aperture"),
    ]
    if spectrum:
        cards.append(("CENWAVE", facts.cenwave, "[Angstrom] central wavelength"))
    cards += [
        ("CRSPLIT", n, "exposures of a cosmic-ray split"),
        ("CCDAMP", "D", "amplifier"),
        ("CCDGAIN", facts.gain, "commanded gain"),
        ("CCDOFFST", 3, "commanded bias offset"),
        ("CENTERA1", 532, "centre of the frame, x"),
        ("CENTERA2", 523, "centre of the frame, y"),
        ("SIZAXIS1", SIZE + 2 * SERIAL, "columns of the raw frame"),
        ("SIZAXIS2", SIZE + VIRTUAL, "rows of the raw frame"),
        ("BINAXIS1", 1, "binning along x"),
        ("BINAXIS2", 1, "binning along y"),
    ]
    return fits.Header([*cards, *_switches(facts, spectrum), *_references(facts, spectrum), *_results(facts, n)])


def _switches(facts: ExposureFacts, spectrum: bool) -> CardList:
    names = [*_STEPS, *(_SPECTRUM_STEPS if spectrum else _IMAGE_STEPS), "SGEOCORR"]
    cards: CardList = []
    for name in names:
        wanted = name in facts.perform and name not in _NEVER
        value = "COMPLETE" if name in facts.complete else "PERFORM" if wanted else "OMIT"
        cards.append((name, value, "calibration step"))
    return [*cards, ("STATFLAG", True, "compute statistics")]


def _references(facts: ExposureFacts, spectrum: bool) -> CardList:
    def named(suffix: str) -> str:
        return f"{OREF}sim_{suffix}.fits"

    bias = named(f"g{facts.gain}_bia")
    names = {
        "BPIXTAB": named("bpx"), "DARKFILE": f"{OREF}{facts.darkfile}", "PFLTFILE": named("pfl"), "DFLTFILE": NONE,
        "LFLTFILE": named("lfl"), "APERTAB": named("apt"), "CCDTAB": named("ccd"), "ATODTAB": NONE, "BIASFILE": bias,
        "SHADFILE": NONE, "CRREJTAB": named("crr"), "TDSTAB": named("tds"), "SDSTFILE": NONE,
    }  # fmt: skip
    names |= {key: named(suffix) for key, suffix in (_SPECTRUM_TABLES if spectrum else _IMAGE_TABLES).items()}
    if spectrum:
        names |= {"GACTAB": NONE, "WAVECAL": facts.wavecal or NONE, "WBIAFILE": bias}
    return [
        (key, value, "reference file" if key != "WAVECAL" else "wavelength calibration") for key, value in names.items()
    ]


def _results(facts: ExposureFacts, n: int) -> CardList:
    cards: CardList = [
        ("MEANEXP", 0.0, "rejection: exposure time of the parameters"),
        ("SCALENSE", 0.0, "rejection: noise proportional to the signal"),
        ("INITGUES", "", "rejection: first guess"),
        ("SKYSUB", "", "rejection: how the sky was found"),
        ("SKYSUM", 0.0, "rejection: sum of the sky levels"),
        ("CRSIGMAS", "", "rejection: thresholds"),
        ("CRRADIUS", 0.0, "[pixel] rejection: how far a hit reaches"),
        ("CRTHRESH", 0.0, "rejection: threshold of neighbours"),
        ("BADINPDQ", 0, "rejection: DQ bits that exclude a pixel"),
        ("REJ_RATE", 0.0, "rejection: pixels hit per second"),
        ("CRMASK", False, "rejection: hits are flagged in the inputs"),
        ("ATODGAIN", facts.atodgain, "[electron/count] gain"),
        ("READNSE", facts.readnse, "[electron] read noise"),
    ]
    if facts.cenwave is None:
        cards += [
            ("PHOTFLAM", 0.0, "flux per count/s"),
            ("PHOTZPT", 0.0, "zero point"),
            ("PHOTPLAM", 0.0, "[Angstrom] pivot wavelength"),
            ("PHOTBW", 0.0, "[Angstrom] bandwidth"),
        ]
    return [
        *cards,
        ("PATTERN1", "NONE", "pattern of pointings"),
        ("PLATESC", 0.05, "[arcsec/pixel] plate scale"),
        ("PROPTTL1", facts.title, "title"),
        ("OBSET_ID", "01", "observation set"),
        ("MTFLAG", "", "moving target"),
        ("ASN_ID", facts.root.upper() if n > 1 or facts.cenwave is not None else "NONE", "association"),
        ("ASN_TAB", f"{facts.root}_asn.fits" if n > 1 or facts.cenwave is not None else "NONE", "its table"),
    ]


def imset(facts: ExposureFacts, number: int) -> tuple[fits.Header, fits.Header, fits.Header]:
    """Return the SCI, ERR and DQ headers of one imset, counted from 1."""
    k = number - 1
    start, cenwave = facts.starts[k], facts.cenwave
    shift_x, shift_y = (SERIAL, VIRTUAL) if facts.raw else (0, 0)
    wcs: CardList = [("WCSAXES", 2, "coordinate axes")]
    if cenwave is not None:
        wcs += [("CRPIX1", 512.5 + shift_x, ""), ("CRPIX2", A2CENTER + shift_y, "")]
        wcs += [("CRVAL1", float(cenwave), ""), ("CRVAL2", 0.0, ""), ("CTYPE1", "LAMBDA", "")]
        wcs += [("CTYPE2", "ANGLE", ""), ("CD1_1", facts.dispersion, ""), ("CUNIT1", "angstrom", "")]
    else:
        wcs += [("CRPIX1", 512.0 + shift_x, ""), ("CRPIX2", 512.0 + shift_y, "")]
        wcs += [("CRVAL1", TARGET[0], ""), ("CRVAL2", TARGET[1], ""), ("CTYPE1", "RA---TAN", "")]
        wcs += [("CTYPE2", "DEC--TAN", ""), ("CD1_1", -SCALE / 3600.0, ""), ("CUNIT1", "deg", "")]
    wcs += [("CD1_2", 0.0, ""), ("CD2_1", 0.0, ""), ("CD2_2", SCALE / 3600.0, ""), ("CUNIT2", "deg", "")]
    wcs += [
        ("LTV1", float(shift_x), "columns before the first illuminated one"),
        ("LTV2", float(shift_y), "rows before the first illuminated one"),
        ("LTM1_1", 1.0, "pixels per unbinned pixel, x"),
        ("LTM2_2", 1.0, "pixels per unbinned pixel, y"),
        ("RA_APER", TARGET[0], "[deg] right ascension of the aperture"),
        ("DEC_APER", TARGET[1], "[deg] declination of the aperture"),
        ("PA_APER", 0.0, "[deg] position angle of the aperture"),
    ]
    serious = ("SDQFLAGS", DQ_SERIOUS, "DQ bits that make a pixel bad")
    sci: CardList = [
        ("ASN_MTYP", facts.member, "role in the association"),
        *wcs,
        ("ORIENTAT", 0.0, "[deg] position angle of the y axis"),
        ("DATE-OBS", f"{instant(start):%Y-%m-%d}", "start date (UT)"),
        ("TIME-OBS", f"{instant(start):%H:%M:%S}", "start time (UT)"),
        ("EXPSTART", start, "[MJD] start"),
        ("EXPEND", start + facts.exptime / 86400.0, "[MJD] end"),
        ("EXPTIME", facts.exptime, "[s] exposure time"),
        ("EXPFLAG", "NORMAL", "whether it was interrupted"),
        ("NCOMBINE", 1, "exposures in this image"),
        ("FILLCNT", 0, "segments with fill data"),
        ("ERRCNT", 0, "segments with errors"),
        ("OCCDHTAV", facts.temperatures[k], "[degC] mean housing temperature"),
        ("SOFTERRS", 0, "pixels with soft errors"),
        ("MEANDARK", 0.0, "[count] dark level that was subtracted"),
        ("MEANBLEV", 0.0, "[count] bias level that was subtracted"),
        serious,
    ]
    if cenwave is not None:
        sci += [
            ("DISPAXIS", 1, "axis of the dispersion"),
            ("SHIFTA1", 0.0, "[pixel] shift along x, from the wavecal"),
            ("SHIFTA2", 0.0, "[pixel] shift along y, from the wavecal"),
            ("SPORDER", 1, "spectral order"),
            ("DIFF2PT", 1.0, "diffuse to point source"),
            ("CONT2EML", 0.0, "continuum to line intensity"),
            ("SCALE_A1", 0.0, "[arcsec] pixel along the dispersion"),
            ("OMEGAPIX", 0.0, "[arcsec**2] solid angle of a pixel"),
        ]
    name, unit = facts.expnames[k], "COUNTS"
    bodies = ((sci, "SCI", unit), ([*wcs, serious], "ERR", unit), (wcs, "DQ", "UNITLESS"))
    made = [
        fits.Header([
            ("EXTNAME", kind, "extension"), ("EXTVER", number, "imset"), ("INHERIT", False, "primary not inherited"),
            ("ROOTNAME", facts.root, "name of the file's exposure"), ("EXPNAME", name, "name of this exposure"),
            ("BUNIT", bunit, "unit of the pixels"), *body,
        ])
        for body, kind, bunit in bodies
    ]  # fmt: skip
    return made[0], made[1], made[2]


#: Steps of raw exposures; a single exposure has no cosmic-ray rejection.
BASIC = ("DQICORR", "BLEVCORR", "BIASCORR", "DARKCORR", "FLATCORR")
SPLIT = ("CRCORR", "EXPSCORR")
IMAGE, SPECTRUM = _IMAGE_STEPS, _SPECTRUM_STEPS
