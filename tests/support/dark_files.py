"""Builders of small exposures in memory and of a CRREJTAB, for cosmic-ray rejection and super-darks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from gpucti.calibration.refdata import ReferenceTable
from gpucti.calibration.reffiles import References
from gpucti.io.exposure import Exposure, ImageSet

#: One row of a CRREJTAB, and the FITS formats of its columns.
ROW = {
    "CRSPLIT": 2, "MEANEXP": 1e5, "SCALENSE": 0.0, "INITGUES": "min", "SKYSUB": "none", "CRSIGMAS": "6.5,5.5,4.5",
    "CRRADIUS": 1.5, "CRTHRESH": 0.8, "BADINPDQ": 0, "CRMASK": True,
}  # fmt: skip
FORMATS = {
    "CRSPLIT": "I", "MEANEXP": "E", "SCALENSE": "E", "INITGUES": "8A", "SKYSUB": "8A", "CRSIGMAS": "80A",
    "CRRADIUS": "E", "CRTHRESH": "E", "BADINPDQ": "I", "CRMASK": "L",
}  # fmt: skip


def crrejtab(path: Path, *rows: dict[str, Any], without: str = "") -> Path:
    """Write a CRREJTAB whose rows are `ROW` with changes, and return its path."""
    cells = [ROW | row for row in rows or ({},)]
    columns = [
        fits.Column(name=name, format=form, array=np.array([row[name] for row in cells]))
        for name, form in FORMATS.items()
        if name != without
    ]
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)]).writeto(path, overwrite=True)
    return path


def table(path: Path, *rows: dict[str, Any], without: str = "") -> ReferenceTable:
    """Write a CRREJTAB and read it back."""
    return References().table(crrejtab(path, *rows, without=without))


def exposure(folder: Path, sci: list[np.ndarray], dq: list[np.ndarray] | None = None, **cards: Any) -> Exposure:
    """Return a bias-subtracted exposure in memory that lies, by its name, in `folder`.

    `cards` change the primary header (None removes one); a list goes into the SCI headers, one value each.
    """
    primary = fits.Header()
    primary.update(
        {
            "NEXTEND": 3 * len(sci), "FILENAME": "otest01aq_flt.fits", "TELESCOP": "HST", "INSTRUME": "STIS",
            "DETECTOR": "CCD", "ROOTNAME": "otest01aq", "TARGNAME": "DARK", "OBSTYPE": "IMAGING", "CCDAMP": "D",
            "CCDGAIN": 1, "CCDOFFST": 3, "BINAXIS1": 1, "BINAXIS2": 1, "ATODGAIN": 1.0, "READNSE": 5.0,
            "TEXPSTRT": 56000.25, "TEXPEND": 56000.5, "PROPOSID": 12741, "PROPTTL1": "CCD Dark Monitor",
            "DQICORR": "COMPLETE", "BLEVCORR": "COMPLETE", "BIASCORR": "COMPLETE", "CRCORR": "OMIT",
            "DARKCORR": "OMIT", "CRREJTAB": "test_crr.fits",
        }
    )  # fmt: skip
    headers = []
    for number in range(len(sci)):
        header = fits.Header()
        header.update({"EXPTIME": 100.0, "EXPSTART": 56000.25 + 0.01 * number, "EXPEND": 56000.26 + 0.01 * number})
        header["OCCDHTAV"] = 18.0
        headers.append(header)
    for name, value in cards.items():
        for header, own in zip(headers, value, strict=True) if isinstance(value, list) else [(primary, value)]:
            if own is None:
                header.remove(name, ignore_missing=True)
            else:
                header[name] = own
    dq = dq or [np.zeros(image.shape, dtype=np.int16) for image in sci]
    imsets = tuple(
        ImageSet(
            image.astype(np.float32), np.full(image.shape, 5, np.float32), bits, (head, fits.Header(), fits.Header())
        )
        for image, bits, head in zip(sci, dq, headers, strict=True)
    )
    return Exposure(folder / str(primary["FILENAME"]), primary, imsets)
