"""Products say nothing false of their pixels, whatever their inputs say: each kind, made from a file full of lies."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

import gpucti
from gpucti.backends import get_backend
from gpucti.calibration.base import Trailer
from gpucti.calibration.hstcal import _write_table
from gpucti.calibration.native import NativeEngine
from gpucti.calibration.reffiles import References
from gpucti.calibration.spectra.x2d.rectify import rectify
from gpucti.io.exposure import Exposure
from support.calstis_cases import CASES as IMAGES
from support.dark_files import crrejtab
from support.extraction_cases import CASES as SPECTRA
from support.products import PLAIN
from support.rectify_cases import CASES as RECTIFIED
from support.stis_files import change, quiet_astropy, stis_file
from test_layers import MODULES, name_of

Products = list[Path]
SAY = 31743
#: False of whatever they come to stand in.
OF_PIXELS = {
    "DATAMIN": -999.0, "DATAMAX": 1e9, "NGOODPIX": 7, "GOODMIN": -998.0, "GOODMAX": 997.0, "GOODMEAN": 996.0,
    "SNRMIN": -995.0, "SNRMAX": 994.0, "SNRMEAN": 993.0, "IRAF-MAX": 992.0, "IRAF-MIN": -991.0, "IRAF-BPX": 16,
    "SDQFLAGS": SAY,
}  # fmt: skip
OF_FILES = {
    "CHECKSUM": "0123456789abcdef", "DATASUM": "42", "DATE": "1999-01-01", "ORIGIN": "ELSEWHERE",
    "IRAF-TLM": "01:02:03 (01/01/1999)", "DATATYPE": "INTEGER*2", "PSIZE": 32, "PTYPE1": "X", "PDTYPE1": "REAL*4",
}  # fmt: skip
OF_A_RUN = {"PCTESHAR": "0" * 64, "PCTEPROD": "flc x1c", "PCTEPART": True, "PCTEOMIT": 3, "GROUPS": False}
GONE = ("DATAMIN", "DATAMAX", "DATATYPE", "GROUPS", "PSIZE", "PTYPE1", "PDTYPE1", *OF_A_RUN)
OF_IMAGES = ("BUNIT", "WCSAXES", "CTYPE1", "CRPIX1", "CRVAL2", "CD1_1", "CD2_2", "CUNIT1", "NPIX1", "PIXVALUE", "BZERO")
STATISTICS = tuple(key for key in OF_PIXELS if key.startswith(("NGOOD", "GOOD", "SNR")))


def lying(path: Path, statflag: bool = True) -> Path:
    """Fill the headers of a file with lies."""
    with quiet_astropy(), fits.open(path, mode="update") as hdus:
        change(hdus[0].header, STATFLAG=statflag, FILENAME="another_raw.fits", **OF_FILES, **OF_A_RUN)
        for hdu in hdus[1:]:
            change(hdu.header, WCSAXES=2, CUNIT1="deg", **OF_PIXELS, **OF_FILES)
    return path


def cte(folder: Path) -> Products:
    return gpucti.correct_files(lying(stis_file(folder / "x_flt.fits", 2)), device="numpy")


def add_cti(folder: Path) -> Products:
    path = lying(stis_file(folder / "x_cte.fits", 2, PCTECORR="COMPLETE"))
    with fits.open(path, mode="update") as hdus:  # what a correction says of itself
        change(hdus[0].header, PCTENSMD=1, PCTETRSH=-10.0, CTE_NAME="PixelCTE 2012", CTE_VER="3.2", PCTE_VER="0.2")
        hdus["SCI", 2].header["PCTENREP"] = 4
    [made] = gpucti.add_cti_files(path, device="numpy")
    with fits.open(made) as hdus:
        assert not {"PCTENSMD", "PCTETRSH", "CTE_NAME", "CTE_VER", "PCTE_VER"} & set(hdus[0].header)
        assert "PCTENREP" not in hdus["SCI", 2].header
    return [made]


def superdarks(folder: Path) -> Products:
    crrejtab(folder / "test_crr.fits", {"CRSIGMAS": "6", "CRRADIUS": 0.0, "MEANEXP": 2000.0})
    darks = []
    for number in (1, 2, 3):
        cards = {
            "TARGNAME": "DARK", "OBSTYPE": "IMAGING", "BLEVCORR": "COMPLETE", "BIASCORR": "COMPLETE",
            "CRREJTAB": "test_crr.fits", "READNSE": 5.0, "TEXPSTRT": 56000.25, "TEXPEND": 56000.5,
            "BINAXIS1": 1, "BINAXIS2": 1,
        }  # fmt: skip
        path = stis_file(folder / f"d{number}_flt.fits", seed=number, **cards)
        with fits.open(path, mode="update") as hdus:
            change(hdus[1].header, OCCDHTAV=18.5, EXPTIME=1100.0)
        darks.append(lying(path))
    base = gpucti.make_basedark(darks, folder / "base_drk.fits", device="numpy")
    another = lying(Path(shutil.copy(base, folder / "another_drk.fits")))
    return [base, gpucti.make_weekdark(darks[:2], folder / "week_drk.fits", another, device="numpy")]


def x1d(folder: Path) -> Products:
    SPECTRA["plain"].build(folder).rename(folder / "o1_flt.fits")
    return gpucti.x1d(lying(folder / "o1_flt.fits"), device="numpy")


def table_of_calstis(folder: Path) -> Products:
    """A table as CalSTIS leaves it, with the keywords of the image; its bytes stay."""
    [made] = x1d(folder)
    for key in OF_A_RUN:
        assert key not in fits.getheader(made)
    with quiet_astropy(), fits.open(made, mode="update") as hdus:
        change(hdus[0].header, **OF_FILES)
        change(hdus[1].header, WCSAXES=2, **OF_PIXELS, **OF_FILES)
    _write_table(made, folder / "o1_x1c.fits")
    with fits.open(made) as theirs, fits.open(folder / "o1_x1c.fits") as ours:
        assert ours[1].data.tobytes() == theirs[1].data.tobytes()
        assert repr(ours[1].columns) == repr(theirs[1].columns)
    return [folder / "o1_x1c.fits"]


def engine(name: str, statflag: bool) -> Callable[[Path], Products]:
    """Return what calibrates a case of CalSTIS's whole flow."""

    def make(folder: Path) -> Products:
        [path] = IMAGES[name].build(folder)
        given = Exposure.read(lying(path, statflag))
        for key in OF_A_RUN:  # here they are this run's own
            given.primary.remove(key)
        made = NativeEngine(get_backend("numpy"), References({})).calibrate(given, folder, PLAIN)
        return list(made.products.values())

    return make


def rectified(statflag: bool) -> Callable[[Path], Products]:
    def make(folder: Path) -> Products:
        given = Exposure.read(lying(RECTIFIED[min(RECTIFIED)].build(folder)))
        for key in OF_A_RUN:
            given.primary.remove(key)
        tools = {"references": References({}), "backend": get_backend("numpy"), "trailer": Trailer()}
        return [rectify(given, **tools, fluxcorr=False, helcorr=False, statistics=statflag).write(folder / "made.fits")]

    return make


def written(folder: Path) -> Products:
    """The reader and the writer alone: the pixels are those of the file that was read, so the statistics may stay."""
    path = stis_file(folder / "x_flt.fits", 2)
    with quiet_astropy(), fits.open(path, mode="update") as hdus:
        for number in (1, 2):
            sci, err, dq = (hdus[name, number] for name in ("SCI", "ERR", "DQ"))
            for hdu, which in ((sci, "SCI"), (err, "ERR"), (dq, "DQ")):
                change(hdu.header, **OF_PIXELS, **OF_FILES)
                change(hdu.header, **dict.fromkeys(STATISTICS))
                if which != "DQ":
                    change(hdu.header, **truth(sci.data, err.data, dq.data, which))
        change(hdus[0].header, **OF_FILES, GROUPS=False)
    return [Exposure.read(path).write(folder / "again.fits")]


MAKERS: dict[str, Callable[[Path], Products]] = {
    "cte": cte, "add-cti": add_cti, "superdark": superdarks, "x1d": x1d, "written": written,
    "hstcal": table_of_calstis,
    "image": engine("flow_both", True), "image, STATFLAG F": engine("flow_both", False),
    "single": engine("flow_single", True), "combined alone": engine("flow_only_combined", True),
    "rectified": rectified(True), "rectified, no statistics": rectified(False),
}  # fmt: skip
#: Which of them take statistics.
TAKEN = {"image", "single", "rectified", "written"}


def truth(sci: Any, err: Any, dq: Any, which: str) -> dict[str, float]:
    """Return what CalSTIS's doStat says of pixels, by its definition; to the 8 digits that a header holds."""
    good = ((dq.astype(np.int64) & SAY) == 0) & ~((err <= 0) & (sci > 0))
    values = (sci if which == "SCI" else err)[good].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(err[good] > 0, sci[good].astype(np.float64) / err[good], 0.0)
    stated = {"NGOODPIX": int(good.sum()), "GOODMIN": values.min(), "GOODMAX": values.max(), "GOODMEAN": values.mean()}
    if which == "SCI":
        stated |= {"SNRMIN": ratio.min(), "SNRMAX": ratio.max(), "SNRMEAN": ratio.mean()}
    return {key: float(f"{value:.7e}") if key != "NGOODPIX" else int(value) for key, value in stated.items()}


@pytest.mark.parametrize("kind", MAKERS)
def test_nothing_false(kind: str, tmp_path: Path) -> None:
    """Oracle: the pixels of the product, astropy's checksums, the day; the words of other files are not there."""
    now = datetime.now(UTC)
    days = {f"{now:%Y-%m-%d}", f"{now + timedelta(hours=1):%Y-%m-%d}"}
    products = MAKERS[kind](tmp_path)
    assert products
    for path in products:
        with fits.open(path) as hdus:
            primary = hdus[0].header
            assert (primary["FILENAME"], primary["NEXTEND"]) == (path.name, len(hdus) - 1)
            for hdu in hdus:
                place, header = f"{path.name}[{hdu.name},{hdu.ver}]", hdu.header
                assert not {key for key in header if key in GONE or key.startswith("IRAF")}, place
                assert header.get("DATE") in (*days, None) and header.get("ORIGIN") in ("gpucti", None), place
                if "CHECKSUM" in header or "DATASUM" in header:
                    assert hdu.verify_checksum() == hdu.verify_datasum() == 1, place
            for hdu in hdus[1:]:
                if isinstance(hdu, fits.BinTableHDU):
                    assert not {*STATISTICS, *OF_IMAGES} & set(hdu.header)
                    continue
                assert not {"NPIX1", "NPIX2", "PIXVALUE"} & set(hdu.header)
                stated = {key: hdu.header[key] for key in STATISTICS if key in hdu.header}
                assert bool(stated) == (kind in TAKEN and hdu.name != "DQ"), hdu.name
                if stated:
                    planes = (hdus[name, hdu.ver].data for name in ("SCI", "ERR", "DQ"))
                    assert stated == pytest.approx(truth(*planes, hdu.name), rel=2e-7), f"{path.name}[{hdu.name}]"


def test_statistics_stay_with_their_pixels(tmp_path: Path) -> None:
    """Oracle: an image set with another array has none; one with the same three keeps them, the input too."""
    exposure = Exposure.read(lying(stis_file(tmp_path / "x_flt.fits", 2)))
    first, second = exposure.imsets
    made = exposure.with_imsets([first, replace(second, dq=second.dq.copy())])
    assert [imset.headers[0].get("GOODMEAN") for imset in made.imsets] == [996.0, None]
    assert [imset.headers[0].get("GOODMEAN") for imset in exposure.imsets] == [996.0, 996.0]
    assert exposure.with_imsets([second]).imsets[0].headers[1]["GOODMAX"] == 997.0


#: Who writes FITS files that are no products: nothing in their headers comes from another file.
ORIGINALS = ("model/pctetab.py", "synthetic/visit.py")


def test_products_have_one_way_out() -> None:
    """Oracle: the sources: `write_product` alone writes what was made of other files."""
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        called = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        if name_of(path) != "io/fitsfile.py":
            assert "writeto" not in called, f"{name_of(path)}: use gpucti.io.fitsfile.write_product"
            if name_of(path) not in ORIGINALS:
                assert "write_hdus" not in names | called, f"{name_of(path)}: use write_product"
