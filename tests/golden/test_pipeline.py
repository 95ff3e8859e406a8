"""The whole job on the golden visit: what stis_cti 1.6.2, refstis 0.8.5 and CalSTIS 3.5.0 made of the same raw files.

On a CPU. Spectra are compared as far as this version makes them.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from gpucti.pipeline.running.run import Report, correct
from support.visits import Case, case_of, data_digest, digests, finished_copy, leftovers, seen

pytestmark = [pytest.mark.golden, pytest.mark.slow]

SUPERDARKS = {
    "basedark_d_2012-03-05_drk.fits": "pipeline_basedark_d117_drk",
    "d_2012-03-05_2_drk.fits": "pipeline_d117_2_drk",
    "d_2012-03-05_3_drk.fits": "pipeline_d117_3_drk",
}
#: Products that do not need the spectroscopic steps.
PRODUCTS = ["osy101010_flc", "osy101010_crc", "osy101010_s2c", "osy102010_flc", "osy102010_crc", "osy103010_flc"]
#: Cards about the file, not the data; words and names of our own; names of files that we choose.
OURS = {
    "DATE", "FILENAME", "HISTORY", "COMMENT", "", "ORIGIN", "IRAF-TLM", "CAL_VER", "EXTEND", "PCTETAB", "BASEDARK",
    "DARKFILE", "INHERIT", "SIMPLE", "XTENSION", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "PCOUNT", "GCOUNT", "GROUNT",
    "CHECKSUM", "DATASUM",
}  # fmt: skip
#: What the wavecal gives a spectrum; compared where the engine reads wavecals.
OF_THE_WAVECAL = {"WAVECORR", "SHIFTA1", "SHIFTA2"}


@pytest.fixture(scope="module")
def golden_run(golden_visit: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, Report]:
    """Return a copy of the golden visit with a run done on it; to be copied, not changed."""
    visit = golden_visit / "visit"
    parts = {part: visit / part for part in ("science", "darks", "oref")}
    case = case_of(SimpleNamespace(**parts, anneals=visit / "anneals.json"), tmp_path_factory.mktemp("golden") / "run")
    before = digests(case.science) | digests(case.darks)
    report = correct(*case.folders, **case.options)
    after = digests(case.science) | digests(case.darks)
    assert {name: after[name] for name in before} == before
    assert leftovers(case) == []
    return case, report


def cards_differ(header: fits.Header, cards: list[Any], besides: set[str]) -> dict[str, Any]:
    """Return the cards that say something else than upstream's."""
    wanted = {key: value for key, value in cards if key not in besides}
    return {key: (header.get(key), value) for key, value in wanted.items() if not same(header.get(key), value)}


def same(mine: Any, value: Any) -> bool:
    """Numbers may differ in the last of the 12 digits that CalSTIS prints for some."""
    if isinstance(value, float) and isinstance(mine, (int, float)):
        return bool(np.isclose(mine, value, rtol=2e-12, atol=0))
    return bool(mine == value)


@pytest.mark.parametrize("name", SUPERDARKS)
def test_super_darks(golden_visit: Path, golden_run: tuple[Case, Report], name: str) -> None:
    """From the raw golden darks: SCI, ERR and DQ have the same sha256; the cards of the primary header are equal."""
    case, _ = golden_run
    summary = golden_visit / "expected" / "3_superdarks" / f"{SUPERDARKS[name]}.json"
    expected = json.loads(summary.read_text(encoding="utf-8"))
    with fits.open(case.ref / name) as hdus:
        for one in expected:
            if one.get("sha256"):
                assert data_digest(hdus[one["index"]].data) == one["sha256"], one["extname"]
        assert cards_differ(hdus[0].header, expected[0]["header"], OURS) == {}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products(golden_visit: Path, golden_run: tuple[Case, Report], name: str) -> None:
    """Within one step of float32 in all but 1e-5 of the pixels: same sha256, or so in every 16th row (all there is)."""
    case, _ = golden_run
    folder = golden_visit / "expected" / "4_products"
    expected = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    rows = np.load(folder / f"{name}.npz")
    with fits.open(case.science / f"{name}.fits") as hdus:
        assert len(hdus) == len(expected)
        wavecal = set() if hdus[0].header.get("WAVECORR") != "PERFORM" else OF_THE_WAVECAL
        for one, hdu in zip(expected, hdus, strict=True):
            assert cards_differ(hdu.header, one["header"], OURS | wavecal) == {}, one["extname"]
            if not one.get("sha256") or data_digest(hdu.data) == one["sha256"]:
                continue
            mine, truth = hdu.data[::16], rows[f"ext{one['index']}"]
            step = np.spacing(np.abs(truth)) if truth.dtype.kind == "f" else 0
            assert np.count_nonzero(np.abs(mine - truth) > step) <= 1e-5 * truth.size, one["extname"]
        assert hdus[0].header["FILENAME"] == f"{name}.fits"
        assert hdus[0].header.get("CTECORR", "OMIT") == "OMIT"  # images have no such switch


def test_report(golden_run: tuple[Case, Report]) -> None:
    """Oracle: what the golden visit holds."""
    case, report = golden_run
    roots = ("osy101010", "osy102010", "osy103010")
    made = {path.name for path in report.products}
    assert made >= {f"{name}.fits" for name in PRODUCTS} | {f"{root}_cte.fits" for root in roots}
    assert {path.name for path in case.science.glob("*_tr[bc].txt")} == {
        f"{root}_tr{which}.txt" for root in roots for which in "bc"
    }
    assert not list(case.science.glob("*_blt.fits"))
    assert (report.darks, len(report.superdarks)) == (8, 3)
    assert report.log is not None
    log = report.log.read_text()
    for words in ("osy104010_raw.fits.gz  refuse", "osy105010_raw.fits.gz  refuse", "OSDA01ASQ: read with amplifier A"):
        assert words in log


def test_again_and_clean(golden_run: tuple[Case, Report], tmp_path: Path) -> None:
    """Oracle: nothing is touched by a second run; with clean products are new, super-darks and darks are not."""
    case = finished_copy(golden_run[0], tmp_path / "run")
    before = seen(*case.folders)
    report = correct(*case.folders, **case.options)
    assert (report.products, report.superdarks, report.darks, len(report.reused)) == ((), (), 0, 3)
    assert seen(*case.folders) == before
    kept, products = seen(case.darks, case.ref), digests(case.science, "*_[cf][rl]c.fits")
    report = correct(*case.folders, **case.options, clean=True)
    assert (report.superdarks, report.darks, len(report.superdarks_reused)) == ((), 0, 3)
    assert seen(case.darks, case.ref) == kept
    assert digests(case.science, "*_[cf][rl]c.fits") == products  # on one day
