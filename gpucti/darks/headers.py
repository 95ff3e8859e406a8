"""What the primary header of a super-dark says: refstis's keywords, the CTI keywords of its components, its history."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from astropy.io import fits

from gpucti._version import __version__
from gpucti.detector import DARK_SLOPE, DARK_TEMPERATURE
from gpucti.errors import InputError
from gpucti.io.cards import Cards
from gpucti.io.dates import as_utc
from gpucti.io.exposure import Exposure
from gpucti.io.fitstables import ascii_text

#: How often super-darks are made, by CCDGAIN.
FREQUENCY = {1: "Weekly", 4: "Bi-Weekly"}
#: CTI keywords that a super-dark takes from its last component, in the order stis_cti writes them.
CTI_KEYWORDS = (
    "PCTECORR", "PCTETAB", "PCTEFRAC", "PCTERNCL", "PCTENSMD", "PCTETRSH", "PCTESMIT", "PCTESHFT",
    "CTE_NAME", "CTE_VER", "PCTE_VER",
)  # fmt: skip
#: The line of the history that the names of the components follow, up to a blank line: stis_cti reads them there.
INPUTS_LINE = "The following input files were used:"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DESCRIP_LENGTH = 67
T = TypeVar("T")

_METHOD = (
    "Darks of Side 2 were first scaled to 18 C: divided by",
    "1 + 0.07 * (OCCDHTAV - 18). All were then combined without",
    "cosmic rays (CRREJTAB) and normalised to electrons per second.",
)
_BASEDARK = (
    "DQ is 16 where a pixel is hotter than the clipped mean or",
    "median by 5 sigma and by 0.1 electron/s. SCI is not changed.",
)
_WEEKDARK = (
    "Pixels 5 sigma above the clipped median of this dark are hot.",
    "SCI is the basedark, in which pixels above the same threshold",
    "give way to their median over 5 x 5 pixels, plus what the hot",
    "pixels of this dark have above the median of the basedark.",
    "ERR is the basedark's, and this dark's for hot pixels.",
    "DQ is this dark's, and 16 for hot pixels.",
)


def superdark_header(darks: Sequence[Exposure], n_imsets: int, task: str, basedark_name: str = "") -> fits.Header:
    """Return the primary header of a super-dark.

    Parameters
    ----------
    darks : sequence of Exposure
        Its components, in order.
    n_imsets : int
        How many image sets went into it.
    task : {'BASEDARK', 'WEEKDARK'}
        Which kind it is.
    basedark_name : str
        What BASEDARK shall say of a weekdark; empty: no such keyword.

    Raises
    ------
    InputError
        The components do not belong together, or a keyword is missing.
    """
    gain = common_keyword(darks, "CCDGAIN", Cards.whole)
    target = common_keyword(darks, "TARGNAME", Cards.text)
    if gain not in FREQUENCY:
        raise darks[0].cards.wrong(f"CCDGAIN is {gain}; super-darks are made from darks of CCDGAIN 1 or 4")
    if target != "DARK":
        raise darks[0].cards.wrong(f"TARGNAME is {target!r}; expected 'DARK', is this a dark?")
    starts, ends = ([as_utc(dark.cards.number(name)) for dark in darks] for name in ("TEXPSTRT", "TEXPEND"))
    start, end = min(starts + ends), max(starts + ends)
    useafter = f"{_MONTHS[start.month - 1]} {start:%d} {start.year} {start:%H:%M:%S}"

    header = fits.Header()
    header["NEXTEND"] = 3
    header["TELESCOP"], header["INSTRUME"], header["DETECTOR"] = "HST", "STIS", "CCD"
    header["CCDAMP"], header["CCDGAIN"], header["CCDOFFST"] = "ANY", -1, -1
    header["OPT_ELEM"] = header["APERTURE"] = header["OBSTYPE"] = "ANY"
    for name in ("BINAXIS1", "BINAXIS2"):
        header[name] = common_keyword(darks, name, Cards.whole)
    header["FILETYPE"] = "DARK IMAGE"
    header["PEDIGREE"] = f"INFLIGHT {start:%d/%m}/{start.year} {end:%d/%m}/{end.year}"
    header["USEAFTER"] = useafter
    descrip = f"{FREQUENCY[gain]} gain={gain} dark for STIS CCD data taken after {useafter[:11]}"
    header["DESCRIP"] = descrip.ljust(_DESCRIP_LENGTH, "-")
    header["REF_TEMP"], header["DRK_VS_T"] = int(DARK_TEMPERATURE), DARK_SLOPE
    _copy_cti_keywords(darks, header)
    if basedark_name:
        header["BASEDARK"] = ascii_text(basedark_name)  # a comment would not fit behind a long name
    header["TASKNAME"] = task
    header.add_comment(f"Super-dark made by gpucti {__version__} as refstis makes it.")
    _add_history(darks, n_imsets, header)
    return header


def is_corrected(dark: Exposure) -> bool:
    """Tell whether the pixels of a dark are CTI-corrected."""
    return dark.switch("PCTECORR") == "COMPLETE"


def common_keyword(darks: Sequence[Exposure], name: str, read: Callable[[Cards, str], T]) -> T:
    """Return a primary keyword that all darks share; `read` is the reader, such as `Cards.text`."""
    first = read(darks[0].cards, name)
    for dark in darks:
        value = read(dark.cards, name)
        if value != first:
            raise dark.cards.wrong(
                f"{name} is {value!r}, but {first!r} in {darks[0].path}; expected the same in all "
                "darks of a super-dark, make one from each kind"
            )
    return first


def _copy_cti_keywords(darks: Sequence[Exposure], header: fits.Header) -> None:
    """Say how the pixels of the components were corrected, if they were: all of them, or none."""
    last = darks[-1]
    for dark in darks:
        if is_corrected(dark) != is_corrected(last):
            corrected, plain = (dark, last) if is_corrected(dark) else (last, dark)
            raise InputError(
                f"not CTI-corrected, but {corrected.path} is (PCTECORR); expected all darks of a "
                "super-dark to be corrected, or none",
                where=plain.path,
            )
    if is_corrected(last):
        for name in CTI_KEYWORDS:
            value = last.cards.value(name, default="unknown")
            header[name] = (value, last.primary.comments[name] if name in last.primary else "")


def _add_history(darks: Sequence[Exposure], n_imsets: int, header: fits.Header) -> None:
    proposals, titles = (
        sorted({str(dark.cards.value(name, default="")) for dark in darks} - {""}) for name in ("PROPOSID", "PROPTTL1")
    )
    lines = [f"Super-dark from {n_imsets} image sets in {len(darks)} files."]
    if proposals:
        lines.append(f"Proposals: {', '.join(proposals)}")
    names = [dark.path.name.removesuffix(".gz") for dark in darks]
    method = _BASEDARK if header["TASKNAME"] == "BASEDARK" else _WEEKDARK
    for line in (*lines, *titles, INPUTS_LINE, *names, "", *_METHOD, *method):
        header.add_history(ascii_text(line))
