"""Keywords that are looked at before anything is begun. Oracle: the native engine itself, on simulated exposures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gpucti.backends import get_backend
from gpucti.calibration import get_engine
from gpucti.calibration.keywords import NEEDED, require_keywords
from gpucti.calibration.reffiles import References
from gpucti.errors import InputError
from gpucti.io.exposure import Exposure

SUFFIXES = {kind: kind for kind in ("crj", "flt", "sx2", "x2d", "sx1", "x1d")}
IMAGE, SPECTRUM = "ogv101010", "ogv102010"
#: What is kept besides: the structure of the file, its mode (which has defaults), switches and names of references.
KEPT = (
    *("SIMPLE", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "EXTEND", "XTENSION", "PCOUNT", "GCOUNT", "EXTNAME", "EXTVER"),
    *("NEXTEND", "INSTRUME", "DETECTOR", "OBSTYPE", "TEXPTIME", "CCDAMP", "CCDGAIN", "CCDOFFST", "LTV1", "LTV2"),
    *("BZERO", "BSCALE", "WAVECAL", "CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2", "CTYPE1", "CTYPE2", "EXPNAME"),
)


@pytest.fixture
def calibrated(small_visit: Any, tmp_path: Path) -> Any:
    """Return what takes a raw exposure through the engine, and returns what it made."""
    engine = get_engine("native", get_backend("cpu"), References({"oref": str(small_visit.oref)}))

    def run(raw: Exposure) -> Any:
        blt = engine.subtract_bias(raw).exposure
        _ = blt.start_mjd  # the correction of CTI
        blt.primary["CTECORR"] = "OMIT"
        outdir = tmp_path / str(len(list(tmp_path.iterdir())))
        outdir.mkdir()
        return engine.calibrate(blt, outdir, SUFFIXES)

    return run


def raw_of(small_visit: Any, root: str) -> Exposure:
    raw = Exposure.read(small_visit.science / f"{root}_raw.fits")
    return raw.with_imsets(raw.imsets)


@pytest.mark.slow
@pytest.mark.parametrize("root", [IMAGE, SPECTRUM])
def test_nothing_else_is_needed(small_visit: Any, calibrated: Any, root: str) -> None:
    """Oracle: with all other cards removed every product is made."""
    raw = raw_of(small_visit, root)
    names = {keyword.name for keyword in NEEDED}
    for header in (raw.primary, *(header for imset in raw.imsets for header in imset.headers)):
        for name in list(header):
            if name and name not in names | set(KEPT) and not name.endswith(("CORR", "TAB", "FILE")):
                header.remove(name, ignore_missing=True, remove_all=True)
    require_keywords(raw)
    made = calibrated(raw)
    assert made.omitted == ()
    assert len(made.products) >= 3


@pytest.mark.slow
@pytest.mark.parametrize("root", [IMAGE, SPECTRUM])
@pytest.mark.parametrize("keyword", NEEDED, ids=lambda keyword: keyword.name)
def test_each_is_needed(small_visit: Any, calibrated: Any, root: str, keyword: Any) -> None:
    """Oracle: without it the engine fails if, and only if, that is said before; both name it."""
    raw = raw_of(small_visit, root)
    headers = [imset.headers[0] for imset in raw.imsets] if keyword.of_imset else [raw.primary]
    headers[-1].remove(keyword.name, ignore_missing=True)
    try:
        require_keywords(raw)
    except InputError as error:
        assert f"{keyword.name} is missing" in str(error)
        with pytest.raises(InputError, match=f"{keyword.name}.* is missing"):
            calibrated(raw)
    else:
        calibrated(raw)


def test_all_that_is_missing_is_listed(small_visit: Any) -> None:
    """Oracle: two keywords in two headers, each with its place; one alone is an error about its place."""
    raw = raw_of(small_visit, SPECTRUM)
    require_keywords(raw)
    del raw.primary["CENWAVE"]
    with pytest.raises(InputError) as caught:
        require_keywords(raw)
    assert caught.value.where == f"{raw.path}[0]"
    raw.imsets[0].headers[0]["EXPTIME"] = "long"
    with pytest.raises(InputError) as caught:
        require_keywords(raw)
    assert caught.value.where == str(raw.path)
    for words in (f"{raw.path}[0]: CENWAVE is missing", f"{raw.path}[SCI,1]: EXPTIME is 'long'; expected a number"):
        assert words in caught.value.reason


def test_what_is_not_done_needs_nothing(small_visit: Any) -> None:
    """Oracle: the switches."""
    raw = raw_of(small_visit, SPECTRUM)
    for name in ("PROPAPER", "CENWAVE", "APERTURE"):
        del raw.primary[name]
    for name in ("WAVECORR", "X2DCORR", "X1DCORR"):
        raw.primary[name] = "OMIT"
    require_keywords(raw)
