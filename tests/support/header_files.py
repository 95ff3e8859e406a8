"""Builders of files that hold a primary header and nothing else: all that the selection of files looks at."""

from __future__ import annotations

import gzip
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from astropy.io import fits

from gpucti.detector import MJD_ZERO
from support.stis_files import change

#: Keywords that a raw exposure needs to be corrected.
RAW = {
    "TELESCOP": "HST",
    "INSTRUME": "STIS",
    "DETECTOR": "CCD",
    "ROOTNAME": "otest01aq",
    "TDATEOBS": "2012-03-15",
    "TTIMEOBS": "07:21:36",
    "OBSMODE": "ACCUM",
    "CCDAMP": "D",
    "CCDGAIN": 1,
    "CCDOFFST": 3,
    "SUBARRAY": False,
    "BINAXIS1": 1,
    "BINAXIS2": 1,
    "PHOTCORR": "OMIT",
    "DARKFILE": "oref$syn01_drk.fits",
    "BIASFILE": "oref$syn_bia.fits",
}


def header(**cards: Any) -> fits.Header:
    """Return a primary header; `cards` change it, None removes one."""
    primary = fits.PrimaryHDU().header
    primary.update(RAW)
    change(primary, **cards)
    return primary


def header_file(path: Path, **cards: Any) -> Path:
    """Write a file of a primary header alone, compressed if its name ends in .gz; return its path."""
    content = header(**cards).tostring().encode("ascii")
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def dark_file(folder: Path, rootname: str, when: datetime, darkfile: str | None, **cards: Any) -> Path:
    """Write ``<rootname>_flt.fits`` as of a dark that started at `when`."""
    cards = {"TEXPSTRT": (when - MJD_ZERO) / timedelta(days=1)} | cards
    return header_file(folder / f"{rootname}_flt.fits", ROOTNAME=rootname, DARKFILE=darkfile, **cards)
