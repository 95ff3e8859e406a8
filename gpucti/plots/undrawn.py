"""What a file is in which there is nothing to draw."""

from __future__ import annotations

from pathlib import Path

from astropy.io import fits

from gpucti.errors import InputError
from gpucti.plots.style import short_name, text_of

#: What lies beside the exposures, by FILETYPE and by the suffix of the name.
BESIDE = {
    name: what
    for names, what in (
        ("ASN_TABLE ASN", "an association table"),
        ("SPT", "a support file (engineering keywords)"),
        ("WSP", "a support file of the wavecal (engineering keywords)"),
        ("JTB JIT JWT", "a jitter table (pointing of the telescope)"),
        ("JIM JIF JWF", "a jitter image (pointing of the telescope)"),
        ("EPC", "a temperature file of the detector"),
        ("TRL", "a trailer (log of the calibration)"),
        ("TAG", "a list of time-tagged events"),
    )
    for name in names.split()
}


def nothing_to_draw(hdus: fits.HDUList, path: Path) -> InputError:
    """Return the error that says what a file without images and spectra is."""
    filetype = text_of(hdus[0].header, "FILETYPE")
    suffix = short_name(path).rpartition("_")[2].upper()
    what = BESIDE.get(filetype) or BESIDE.get(suffix) or (f"a reference file ({filetype.lower()})" if filetype else "")
    said = f"is {what}, there is nothing to draw: it " if what and filetype != "SCI" else ""
    return InputError(
        f"{said}holds neither images (extensions SCI, ERR, DQ) nor extracted spectra (a table)", where=path
    )
