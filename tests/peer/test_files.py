"""Whole files against stis_cti's CteCorr and AddYCte, run on copies in the same test."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from gpucti.correction.files import add_cti_files, correct_files
from gpucti.model.pctetab import Pctetab
from support.stis_files import stis_hdus

pytestmark = pytest.mark.peer

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # those of upstream's imports
    upstream = pytest.importorskip("stis_cti.StisPixCteCorr", reason="stis_cti is not installed (extra 'peer')")

SHAPE = (200, 24)
#: Cards that differ on purpose.
OURS = {"CTECORR", "FILENAME", "HISTORY"}


def hostile_file(folder: Path, amp: str, gain: float) -> Path:
    """Write two imsets with bright sources and columns noisy enough to be repaired; no LTV, as upstream ignores it."""
    Pctetab.default().write(folder / "a_pcte.fits")
    hdus = stis_hdus(2, shape=SHAPE, CCDAMP=amp, ATODGAIN=gain, PCTETAB=str(folder / "a_pcte.fits"))
    rng = np.random.default_rng(ord(amp))
    for index in (1, 4):
        image = rng.normal(2, 3, SHAPE)
        image[rng.integers(0, SHAPE[0], 60), rng.integers(0, SHAPE[1], 60)] += 10 ** rng.uniform(1, 4.5, 60)
        image[:, 7] = rng.normal(0, 60, SHAPE[0])
        hdus[index].data = image.astype(np.float32)
        del hdus[index].header["LTV1"], hdus[index].header["LTV2"]
    path = folder / "x_flt.fits"
    hdus.writeto(path)
    return path


def assert_same(found: Path, expected: Path) -> None:
    """Compare all cards but `OURS`, and all pixels."""
    with fits.open(found) as mine, fits.open(expected) as theirs:
        for one, other in zip(mine, theirs, strict=True):
            cards = {key: value for key, value in other.header.items() if key not in OURS}
            assert {key: one.header[key] for key in cards} == cards
            if other.data is not None:
                # double precision rounded once: a sum in another order may fall to the other side of a float32 step
                np.testing.assert_allclose(one.data, other.data, rtol=1.2e-7, atol=1e-9)
                assert np.count_nonzero(one.data != other.data) <= 1


@pytest.mark.filterwarnings("ignore:.*measured on amplifier D")
@pytest.mark.parametrize(("amp", "gain"), [("A", 4.016), ("B", 1.0), ("C", 2.0), ("D", 1.0)])
def test_both_directions(tmp_path: Path, amp: str, gain: float) -> None:
    """Oracle: stis_cti's CteCorr and AddYCte on the same file; at most one pixel off by one float32 step."""
    path = hostile_file(tmp_path, amp, gain)
    (tmp_path / "theirs").mkdir()
    copy = Path(shutil.copy(path, tmp_path / "theirs" / "x_flt.fits"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # upstream's
        upstream.CteCorr(str(copy))
        upstream.AddYCte(str(copy), str(copy.with_name("otest01aq_cti.fits")))
    (cte,) = correct_files(path, tmp_path / "ours", device="numpy")
    (cti,) = add_cti_files(path, tmp_path / "ours", device="numpy")
    assert_same(cte, copy.with_name("otest01aq_cte.fits"))
    assert_same(cti, copy.with_name("otest01aq_cti.fits"))
    assert fits.getval(cte, "PCTENREP", ext=1) > 0  # the repair was exercised
