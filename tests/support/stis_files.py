"""Builders of small synthetic STIS CCD files for the tests."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

ROWS, COLS = 24, 20
FULL = 1024


@contextmanager
def quiet_astropy() -> Iterator[None]:
    """Let astropy's warnings of damage be warnings, unseen: what must be refused is refused without them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyUserWarning)
        yield


def primary_cards(n_imsets: int = 1) -> dict[str, Any]:
    """Return the primary keywords of a bias-subtracted image that can be corrected."""
    return {
        "NEXTEND": 3 * n_imsets,
        "FILENAME": "otest01aq_flt.fits",
        "TELESCOP": "HST",
        "INSTRUME": "STIS",
        "DETECTOR": "CCD",
        "ROOTNAME": "otest01aq",
        "TEXPSTRT": 55992.448,
        "CCDAMP": "D",
        "CCDGAIN": 1,
        "BINAXIS1": 1,
        "BINAXIS2": 1,
        "BLEVCORR": "COMPLETE",
        "CTECORR": "PERFORM",
        "ATODGAIN": 1.0,
    }


def sci_cards() -> dict[str, Any]:
    """Return SCI keywords that put the small image at the readout corner of amplifier D."""
    return {"BUNIT": "COUNTS", "LTV1": float(COLS - FULL), "LTV2": float(ROWS - FULL), "LTM1_1": 1.0, "LTM2_2": 1.0}


def star_field(seed: int = 1, shape: tuple[int, int] = (ROWS, COLS)) -> np.ndarray:
    """Return a float32 image: a faint sky with noise and one bright source per few columns."""
    rng = np.random.default_rng(seed)
    image = rng.normal(3.0, 4.0, shape)
    image[shape[0] // 2, ::3] += 5000.0
    return image.astype(np.float32)


def imset_hdus(number: int, sci: np.ndarray, **cards: Any) -> list[fits.ImageHDU]:
    """Return SCI, ERR and DQ extensions."""
    err = np.full(sci.shape, 5.5, dtype=np.float32)
    dq = np.zeros(sci.shape, dtype=np.int16)
    dq[0, :2] = 16
    hdus = [fits.ImageHDU(array, name=name, ver=number) for name, array in (("SCI", sci), ("ERR", err), ("DQ", dq))]
    hdus[0].header.update(sci_cards() | cards)
    return hdus


def null_hdu(name: str, number: int, shape: tuple[int, int], value: float = 0) -> fits.ImageHDU:
    """Return an extension without pixels that stands for a constant array."""
    hdu = fits.ImageHDU(name=name, ver=number)
    hdu.header.update({"NPIX1": shape[1], "NPIX2": shape[0], "PIXVALUE": value})
    return hdu


def change(header: fits.Header, **cards: Any) -> None:
    """Set cards; None removes one."""
    for name, value in cards.items():
        if value is None:
            header.remove(name, ignore_missing=True)
        else:
            header[name] = value


def stis_hdus(n_imsets: int = 1, *, shape: tuple[int, int] = (ROWS, COLS), seed: int = 1, **cards: Any) -> fits.HDUList:
    """Return a whole file; `cards` change the primary header."""
    primary = fits.PrimaryHDU()
    primary.header.update(primary_cards(n_imsets))
    change(primary.header, **cards)
    hdus = fits.HDUList([primary])
    for number in range(1, n_imsets + 1):
        hdus.extend(imset_hdus(number, star_field(seed + number, shape)))
    return hdus


def stis_file(path: Path, n_imsets: int = 1, **given: Any) -> Path:
    """Write a small file and return its path; see `stis_hdus`."""
    stis_hdus(n_imsets, **given).writeto(path)
    return path


def digest(path: Path) -> str:
    """Return the sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def listing(folder: Path) -> list[str]:
    """Return the names in a folder, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())
