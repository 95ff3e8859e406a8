"""The reference files of a synthetic visit, and the truth about its dark current."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from gpucti.detector import DQ_BLEMISH, DQ_HOT
from gpucti.synthetic import files, tables
from gpucti.synthetic.detector import AMP, BIAS_NOISE, Detector
from gpucti.synthetic.instrument import ATODGAIN, DRK_VS_T, READ_NOISE, REF_TEMP, VIRTUAL
from gpucti.synthetic.optics import Mode
from gpucti.synthetic.schedule import DARK_SECONDS, Schedule, superdark_name
from gpucti.synthetic.sky import PHOTZPT

Maker = Callable[[], Sequence[Any]]


def reference_files(oref: Path, plan: Schedule, detector: Detector, gz: str) -> Iterator[tuple[Path, Maker]]:
    """Yield the path of every reference file, ``gz`` added to its name, and what makes its HDUs."""
    modes = sorted(
        {
            Mode(planned.what.opt_elem, planned.what.cenwave or 0)
            for planned in plan.science
            if not planned.what.is_image
        }
        or {Mode("G430L", 4300)},
        key=lambda mode: (mode.name, mode.cenwave),
    )
    makers: dict[str, Callable[[], tables.Table]] = dict(tables.FIXED)
    makers |= {suffix: partial(make, detector) for suffix, make in tables.OF_DETECTOR.items()}
    makers |= {suffix: partial(make, modes) for suffix, make in tables.OF_MODES.items()}
    for suffix, make in makers.items():
        yield oref / f"sim_{suffix}.fits{gz}", partial(_table, f"sim_{suffix}.fits", make)
    yield (
        oref / f"sim_imp.fits{gz}",
        lambda: files.reference_table("sim_imp.fits", tables.imphttab(), PHOTZPT=PHOTZPT, PARNUM=1, DBTABLE="IMPHTTAB"),
    )
    for gain in sorted({1, *(planned.what.gain for planned in plan.science)}):
        yield oref / f"sim_g{gain}_bia.fits{gz}", partial(_bias, detector, gain)
    yield oref / f"sim_pfl.fits{gz}", lambda: files.reference_image(
        "sim_pfl.fits", "PIXEL-TO-PIXEL FLAT", "pixel flat",
        (detector.pixel_flat, 1e-3 * detector.pixel_flat, detector.bad_bits & np.int16(DQ_BLEMISH)), OPT_ELEM="ANY",
    )  # fmt: skip
    yield oref / f"sim_lfl.fits{gz}", lambda: files.reference_image(
        "sim_lfl.fits", "LOW ORDER FLAT", "low-order flat",
        (detector.low_flat, 2e-3 * detector.low_flat, np.zeros(detector.low_flat.shape, np.int16)), OPT_ELEM="ANY",
    )  # fmt: skip
    for period, week in sorted({(dark.period, dark.week) for dark in plan.darks}):
        yield oref / f"{superdark_name(period, week)}{gz}", partial(_superdark, detector, plan, period, week)


def _table(name: str, make: Callable[[], tables.Table]) -> list[Any]:
    return files.reference_table(name, [("", make())])


def _bias(detector: Detector, gain: int) -> list[Any]:
    image = detector.bias_image(gain)
    error = np.full(image.shape, BIAS_NOISE / ATODGAIN[gain])
    keywords = {"CCDAMP": AMP, "CCDGAIN": gain, "CCDOFFST": 3, "BINAXIS1": 1, "BINAXIS2": 1}
    return files.reference_image(
        f"sim_g{gain}_bia.fits", "CCD BIAS IMAGE", f"bias, gain {gain}", (image, error, detector.bias_bits), **keywords
    )


def _superdark(detector: Detector, plan: Schedule, period: int, week: int) -> list[Any]:
    """Return a weekly super-dark as a pipeline without CTI correction has it: with the trails of its darks."""
    starts = [dark.start for dark in plan.darks if (dark.period, dark.week) == (period, week)]
    middle, name = sum(starts) / len(starts), superdark_name(period, week)
    expected = detector.dark_rate(middle) * DARK_SECONDS
    arrived = detector.transfer(expected, middle)[VIRTUAL:]
    error = np.sqrt((np.maximum(arrived, 0.0) + READ_NOISE[1] ** 2) / len(starts)) / DARK_SECONDS
    rate = arrived / DARK_SECONDS + error * detector.rng(name).normal(size=error.shape)
    bits = np.where(rate > np.median(rate) + 0.1, DQ_HOT, 0).astype(np.int16)
    anything = {key: "ANY" for key in ("CCDAMP", "OPT_ELEM", "APERTURE", "OBSTYPE")}
    return files.reference_image(
        name, "DARK IMAGE", f"dark of week {week}, trails not removed", (rate, error, bits), **anything,
        CCDGAIN=-1, CCDOFFST=-1, BINAXIS1=1, BINAXIS2=1, REF_TEMP=REF_TEMP, DRK_VS_T=DRK_VS_T,
    )  # fmt: skip


def dark_truth(detector: Detector, plan: Schedule) -> list[Any]:
    """Return the HDUs of the truth about the dark current."""
    warm = detector.warm_pixels
    image = fits.ImageHDU(detector.dark_base.astype(np.float32), name="RATE")
    image.header["BUNIT"] = "ELECTRONS/S"
    image.header["MJD"] = (plan.anneals[0], "when this was the dark rate; see WARM")
    image.header["REF_TEMP"] = (REF_TEMP, "[degC] housing temperature of these rates")
    image.header["DRK_VS_T"] = (DRK_VS_T, "[1/degC] change of the rates")
    table = files.table_hdu("WARM", {
        "X": ("J", "pixel", warm.column + 1), "Y": ("J", "pixel", warm.row + 1),
        "RATE": ("D", "electron/s", warm.rate), "START": ("D", "MJD", warm.start),
        "END": ("D", "MJD", np.where(np.isfinite(warm.end), warm.end, 99999.0)),
    })  # fmt: skip
    return [fits.PrimaryHDU(), image, table]
