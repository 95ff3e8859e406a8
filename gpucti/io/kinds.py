"""What a file of the archive is: told by its header, and by its name where the header is silent.

A folder as the archive (MAST) delivers it holds much besides images: support files, jitter tables, trailers,
associations. Whoever is given one says what it is.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from astropy.io import fits

from gpucti.errors import UnsuitableFileError

#: Kinds that are exposures of the STIS CCD, with image sets or a spectrum.
RAW, IMAGE, COMBINED, RECTIFIED, SPECTRUM, ACQUISITION = (
    "raw", "image", "combined", "rectified", "spectrum", "acquisition"
)  # fmt: skip
#: The others.
MAMA, FOREIGN, BESIDE, TABLE, REFERENCE, NO_FITS, UNKNOWN = (
    "MAMA", "foreign", "beside", "table", "reference", "no FITS", "unknown"
)  # fmt: skip
#: Exposures of the CCD, whatever was done to them.
EXPOSURES = (RAW, IMAGE, COMBINED, RECTIFIED, SPECTRUM, ACQUISITION)


class FileKind(NamedTuple):
    """What a file is.

    Attributes
    ----------
    name : str
        For programs: one of the constants of this module.
    what : str
        For messages, after "is": ``an association table``, ``a MAMA exposure (DETECTOR is 'FUV-MAMA')``.
    """

    name: str
    what: str

    def unsuitable(self, path: str | os.PathLike[str], expected: str) -> UnsuitableFileError:
        """Return the error that says of the file what it is, and what was expected."""
        return UnsuitableFileError(f"is {self.what}; expected {expected}", where=path, what=self.what)


EXTRACTED = FileKind(SPECTRUM, "an extracted spectrum")
FOLDER = FileKind(NO_FITS, "a folder")


#: What lies beside the exposures, by the suffix of its name.
_BESIDE = {
    "asn": "an association table",
    "spt": "a support file (engineering keywords)",
    "wsp": "a support file of the wavecal (engineering keywords)",
    "shp": "a support file (engineering keywords)",
    "jit": "a jitter table (pointing of the telescope)",
    "jif": "a jitter image (pointing of the telescope)",
    "jwt": "a jitter table of the wavecal (pointing of the telescope)",
    "jwf": "a jitter image of the wavecal (pointing of the telescope)",
    "trl": "a trailer (log of the calibration)",
    "epc": "a temperature file of the detector",
    "tag": "a list of time-tagged events of a MAMA",
    "corrtag": "a list of time-tagged events of a MAMA",
    "pha": "a pulse-height file of a MAMA",
    "lrc": "a local-rate check image of a MAMA",
    "lsp": "a support file of a local-rate check",
    "prv": "a preview",
}
#: Values of FILETYPE, and the suffixes they stand for; the name decides between two.
_FILETYPES = {
    "ASN_TABLE": ("asn",),
    "SPT": ("spt",),
    "WSP": ("wsp",),
    "SHP": ("shp",),
    "JTB": ("jit", "jwt"),
    "JIT": ("jit", "jwt"),
    "JIM": ("jif", "jwf"),
    "JIF": ("jif", "jwf"),
    "TRL": ("trl",),
    "EPC": ("epc",),
    "LRC": ("lrc",),
    "LSP": ("lsp",),
}
#: Reference files of STIS: the keyword that names them in a header, by the suffix of their name.
_REFERENCES = {
    "1dt": "SPTRCTAB", "1dx": "XTRACTAB", "apd": "APDESTAB", "apt": "APERTAB", "bia": "BIASFILE", "bpx": "BPIXTAB",
    "ccd": "CCDTAB", "cds": "CDSTAB", "crr": "CRREJTAB", "dfl": "DFLTFILE", "drk": "DARKFILE", "dsp": "DISPTAB",
    "ech": "ECHSCTAB", "exs": "EXSTAB", "gac": "GACTAB", "hal": "HALOTAB", "iac": "INANGTAB", "idc": "IDCTAB",
    "imp": "IMPHTTAB", "lfl": "LFLTFILE", "lin": "MLINTAB", "lmp": "LAMPTAB", "moc": "MOFFTAB", "pct": "PCTAB",
    "pcte": "PCTETAB", "pfl": "PFLTFILE", "pht": "PHOTTAB", "rip": "RIPTAB", "sdc": "SDCTAB", "srw": "SRWTAB",
    "tdc": "TDCTAB", "tds": "TDSTAB", "tel": "TELTAB", "wcp": "WCPTAB",
}  # fmt: skip
_RAW = ("raw", "wav")
#: What is no FITS file, by the end of its name.
_OTHERS = dict.fromkeys((".png", ".jpg", ".jpeg", ".gif", ".pdf"), "a preview picture") | dict.fromkeys(
    (".txt", ".log", ".trl", ".tra", ".dat", ".csv", ".json", ".html", ".md"), "a text (log, trailer)"
)
_FITS_NAME = re.compile(r".+\.fi?ts?(\.gz)?", re.IGNORECASE | re.DOTALL)
_SUFFIX = re.compile(r".*_([a-z0-9]+)\.fi?ts?(\.gz)?", re.DOTALL)


def kind_of(path: str | os.PathLike[str], primary: fits.Header) -> FileKind:
    """Return what a FITS file is. Its primary header decides; its name helps where the header says nothing."""
    path = Path(path)
    suffix = _suffix(path, primary)
    filetype, instrument, detector = (_text(primary, name) for name in ("FILETYPE", "INSTRUME", "DETECTOR"))
    if suffixes := _FILETYPES.get(filetype.upper()):
        return FileKind(BESIDE, _BESIDE[suffix if suffix in suffixes else suffixes[0]])
    if "USEAFTER" in primary or filetype.upper() == "PIXCTE":
        return _reference(filetype, suffix)
    if not detector and suffix in _BESIDE:
        return FileKind(BESIDE, _BESIDE[suffix])
    if instrument not in ("", "STIS"):
        return FileKind(FOREIGN, f"a file of another instrument (INSTRUME is {instrument!r})")
    if not detector:
        return FileKind(UNKNOWN, "a file of no kind that is known here (no DETECTOR in its header)")
    if "MAMA" in detector:
        return FileKind(MAMA, f"a MAMA exposure (DETECTOR is {detector!r})")
    if detector != "CCD":
        return FileKind(UNKNOWN, f"a file of an unknown detector (DETECTOR is {detector!r})")
    return _exposure(primary, suffix)


def no_fits(path: str | os.PathLike[str]) -> FileKind | None:
    """Return what a folder, or a file that neither is FITS nor bears the name of such a file, is; None for others."""
    path = Path(path)
    if path.is_dir():
        return FOLDER
    if _FITS_NAME.fullmatch(path.name) or not path.is_file():
        return None
    try:
        with path.open("rb") as stream:
            start = stream.read(9)
    except OSError:
        return None  # whoever reads it says why it cannot be read
    if start.startswith((b"SIMPLE  =", b"\x1f\x8b")):
        return None
    if not start:
        return FileKind(NO_FITS, "an empty file")
    what = _OTHERS.get(path.suffix.lower())
    return FileKind(NO_FITS, f"not a FITS file, but {what}" if what else f"not a FITS file (it starts with {start!r})")


def _exposure(primary: fits.Header, suffix: str) -> FileKind:
    """Return what an exposure of the CCD is, by the steps that its header says are done."""

    def done(*steps: str) -> bool:
        return any(_text(primary, step).upper() == "COMPLETE" for step in steps)

    obsmode, level = _text(primary, "OBSMODE"), _text(primary, "BLEVCORR").upper()
    if obsmode.startswith("ACQ"):
        return FileKind(ACQUISITION, f"an acquisition (OBSMODE is {obsmode})")
    if done("X1DCORR"):
        return EXTRACTED
    if done("X2DCORR", "GEOCORR"):
        return FileKind(RECTIFIED, "a rectified image, whose rows and columns are no longer the detector's")
    if level == "PERFORM" or (suffix in _RAW and level != "COMPLETE"):
        return FileKind(RAW, f"a raw {'wavecal' if suffix == 'wav' else 'exposure'}, not bias-subtracted")
    if done("CRCORR"):
        return FileKind(COMBINED, "a sum of several readouts without cosmic rays (CRCORR is COMPLETE)")
    return FileKind(IMAGE, "an image")


def _reference(filetype: str, suffix: str) -> FileKind:
    keyword = "PCTETAB" if filetype.upper() == "PIXCTE" else _REFERENCES.get(suffix)
    is_table = "TABLE" in filetype.upper() if keyword is None else keyword.endswith("TAB")
    what = f"file ({filetype.lower() or 'of unknown type'})" if keyword is None else "table" if is_table else "image"
    return FileKind(TABLE if is_table else REFERENCE, f"the reference {what} {keyword or ''}".rstrip())


def _suffix(path: Path, primary: fits.Header) -> str:
    """Return what stands behind the last underscore of a file's name: the one in its header, else its own."""
    names = (_text(primary, "FILENAME").lower(), path.name.lower())
    found = [match.group(1) for name in names if (match := _SUFFIX.fullmatch(name))]
    return found[0] if found else ""


def _text(primary: fits.Header, name: str) -> str:
    """Return a text, empty where the card is missing, holds something else or cannot be read."""
    try:
        value = primary.get(name)
    except (fits.VerifyError, ValueError):
        return ""
    return value.strip() if isinstance(value, str) else ""
