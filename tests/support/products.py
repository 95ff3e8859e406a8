"""Products of an engine compared with what was recorded of CalSTIS's on the golden visit."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from gpucti.backends import get_backend
from gpucti.calibration import get_engine
from gpucti.calibration.base import Calibrated
from gpucti.calibration.reffiles import References
from gpucti.io.exposure import Exposure, ImageSet
from support.stis_files import stis_hdus

#: CalSTIS's kinds under the names of the pipeline.
SUFFIXES = {"flt": "flc", "crj": "crc", "sx2": "s2c", "x2d": "x2c", "sx1": "s1c", "x1d": "x1c"}
PLAIN = {kind: kind for kind in SUFFIXES}


def exposure(n: int = 1, **cards: Any) -> Exposure:
    """Return a small image in memory; `cards` change the primary header."""
    given = {"OBSTYPE": "IMAGING", "TEXPTIME": 100.0, "TARGNAME": "STAR", "BLEVCORR": None, "CTECORR": None} | cards
    hdus = stis_hdus(n, **given)
    imsets = []
    for number in range(1, n + 1):
        members = [hdus[name, number] for name in ("SCI", "ERR", "DQ")]
        imsets.append(ImageSet(*(hdu.data for hdu in members), tuple(hdu.header for hdu in members)))
    return Exposure(Path("otest01aq_raw.fits"), hdus[0].header, tuple(imsets))


#: Ours on purpose: dates, programs and their versions, file names, our own words.
OURS = {"DATE", "ORIGIN", "CAL_VER", "FILENAME", "HISTORY", "COMMENT"}
#: CalSTIS copies them into a table from the header of the image; a table has no such pixels and axes, ours has none.
OF_THE_IMAGE = {*"NGOODPIX GOODMIN GOODMAX GOODMEAN SNRMIN SNRMAX SNRMEAN WCSAXES".split()}
#: CalSTIS stores a constant array without pixels.
STORAGE = {"BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "NPIX1", "NPIX2", "PIXVALUE"}


def same(key: str, ours: Any, theirs: Any) -> bool:
    """Compare two values of a keyword.

    CD1_1 of the raw image ends exactly between two numbers of 13 digits, and CalSTIS's own reader of numbers errs by a
    rounding, so that it writes the other one.
    """
    return ours == theirs or (key.startswith("CD") and math.isclose(ours, theirs, rel_tol=1e-12))


def differences(path: Path, summary: Path, but: set[str]) -> list[str]:
    """Return how a product differs from what was recorded of CalSTIS's."""
    found = []
    product = Exposure.read(path)
    for part in json.loads(summary.read_text(encoding="utf-8")):
        if part["index"] == 0:
            header = product.primary
        else:
            imset, which = product.imsets[part["extver"] - 1], ("SCI", "ERR", "DQ").index(part["extname"])
            header, array = imset.headers[which], (imset.sci, imset.err, imset.dq)[which]
            stored = array.astype(array.dtype.newbyteorder(">")).tobytes()
            if "sha256" in part and hashlib.sha256(stored).hexdigest() != part["sha256"]:
                found.append(f"{part['extname']},{part['extver']}: other pixels")
            if "sha256" not in part:
                cards = dict(part["header"])
                if array.shape != (cards["NPIX2"], cards["NPIX1"]) or (array != cards["PIXVALUE"]).any():
                    found.append(f"{part['extname']},{part['extver']}: not constant")
        expected = {key: value for key, value in part["header"] if key and key not in OURS | STORAGE | but}
        place = f"{part['extname']},{part['extver']}"
        mine = {key: header.get(key, "missing") for key in expected}
        found += [f"{place} {key}: {mine[key]!r}, {v!r}" for key, v in expected.items() if not same(key, mine[key], v)]
        found += [f"{place} {key}: not there" for key in set(header) - set(expected) - OURS - STORAGE - but if key]
    return found


def calibrated(visit: Path, path: Path, out: Path, suffixes: dict[str, str]) -> Calibrated:
    """Calibrate a file of the visit as if it lay in the folder of the raw files; CTECORR was OMIT for the recording."""
    for name in ("d117_2_drk.fits.gz", "d117_3_drk.fits.gz"):
        shutil.copy(visit / "expected" / "3_superdarks" / f"pipeline_{name}", out / name)
    environment = {"oref": str(visit / "visit" / "oref"), "ctirefs": str(out)}
    given = Exposure.read(path)
    given = replace(given, path=visit / "visit" / "science" / given.path.name)
    if suffixes is PLAIN:
        given.primary["CTECORR"] = "OMIT"
    return get_engine("native", get_backend("numpy"), References(environment)).calibrate(given, out, suffixes)
