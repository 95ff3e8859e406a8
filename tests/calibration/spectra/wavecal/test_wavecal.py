"""WAVECORR: shifts in headers, worked by hand, and on the golden visit; what is said where there is none."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from gpucti.backends import get_backend
from gpucti.calibration.base import Trailer
from gpucti.calibration.native import NativeEngine
from gpucti.calibration.reffiles import References, stored_double
from gpucti.calibration.spectra.wavecal.shifts import UNDEFINED, Shifts
from gpucti.calibration.spectra.wavecal.wavecal import (
    WavecalShifts,
    find_wavecal_shifts,
    read_wavecal,
    reason_unusable,
    write_shifts,
)
from gpucti.calibration.switches import wavecal_references
from gpucti.errors import InputError, ReferenceFileError
from gpucti.io.exposure import Exposure
from support.products import SUFFIXES, exposure
from support.shift_cases import wavecal
from support.stis_files import change

WAVECAL = WavecalShifts("w", (1.0, 2.0, 4.0), (Shifts(1.0, UNDEFINED), Shifts(3.0, 2000.0), Shifts(7.0, -5.0)))


@pytest.mark.parametrize(
    ("time", "expected"), [(0.0, (1.0, -5.0)), (1.25, (1.5, -5.0)), (3.0, (5.0, -5.0)), (9.0, (7.0, -5.0))]
)
def test_shift_at_a_time(time: float, expected: tuple[float, float]) -> None:
    """Oracle: by hand: a straight line between image sets, the nearest beyond them; what is no shift does not count."""
    assert WAVECAL.at(time) == expected


def test_shift_of_unordered_image_sets() -> None:
    """Oracle: CalSTIS: the first if the time is not after it, the last if not before it, else the nearest."""
    unordered = WavecalShifts("w", (1.0, 0.5, 3.0), (Shifts(1, 1), Shifts(2, 2), Shifts(3, 3)), nearest=True)
    assert [unordered.at(time)[0] for time in (0.4, 1.1, 1.9, 2.1, 4.0)] == [1, 1, 1, 3, 3]


def test_shifts_in_headers() -> None:
    """Oracle: CalSTIS's cs12: all three extensions, 0 where there is none, 13 digits; the input stays as it was."""
    given = exposure(2, OBSTYPE="SPECTROSCOPIC", WAVECORR="PERFORM")
    for number, imset in enumerate(given.imsets):
        change(imset.headers[0], EXPSTART=1.25 + number, EXPEND=1.25 + number)
    shifts = WavecalShifts("x_wav.fits", (1.0, 4.0), (Shifts(1 / 3, UNDEFINED), Shifts(2 / 3, UNDEFINED)))
    trailer = Trailer()
    made = write_shifts(given, shifts, trailer)
    expected = [stored_double(1 / 3 * 11 / 12 + 2 / 3 / 12), stored_double(1 / 3 * 7 / 12 + 2 / 3 * 5 / 12)]
    for imset, shift in zip(made.imsets, expected, strict=True):
        for header in imset.headers:
            assert header["SHIFTA1"] == pytest.approx(shift, rel=1e-12)  # the last of 13 digits may go either way
            assert header["SHIFTA2"] == 0.0
    assert shifts.missing == ("SHIFTA2",)
    assert made.primary["WAVECORR"] == "COMPLETE" and "x_wav.fits" in str(made.primary["HISTORY"])
    assert given.primary["WAVECORR"] == "PERFORM" and "SHIFTA1" not in given.imsets[0].headers[0]
    assert "imset 2: SHIFTA1 0.472222, SHIFTA2 0" in trailer.text


# ---- the reference files of a wavecal --------------------------------------------------------------------------------


def test_science_names_go_before_those_of_the_wavecal() -> None:
    """Oracle: CalSTIS: where a step of the exposure needs the file; the bias only for equal binning and gain."""
    files = {"DARKFILE": "cti.fits", "BIASFILE": "b.fits", "APDESTAB": "a.fits", "LAMPTAB": "N/A", "PFLTFILE": "p.fits"}
    steps = {"OBSTYPE": "SPECTROSCOPIC", "WAVECAL": "w.fits", "WAVECORR": "PERFORM", "DARKCORR": "PERFORM"}
    given = exposure(**files, **steps, BIASCORR="COMPLETE", CCDTAB="c.fits")
    names = wavecal_references(given, fits.Header())
    assert {key: name for key, name in names.items() if name} == {
        "CCDTAB": "c.fits",
        "DARKFILE": "cti.fits",
        "APDESTAB": "a.fits",
    }
    assert "LAMPTAB" not in names and "WAVECAL" not in names
    raw = exposure(**files, **steps, BIASCORR="PERFORM", BINAXIS1=1, CCDGAIN=1)
    assert wavecal_references(raw, fits.Header({"CCDGAIN": 1}))["BIASFILE"] == "b.fits"
    for other in ({"BINAXIS1": 2}, {"CCDGAIN": 4}):
        assert "BIASFILE" not in wavecal_references(raw, fits.Header(other))


# ---- wavecals of no use ----------------------------------------------------------------------------------------------


def test_dead_wavecals() -> None:
    """Oracle: CalSTIS's checkWav, and constant image sets, which its basic reduction gives up."""
    alive = wavecal(2)
    assert reason_unusable(alive) == ""
    assert "total exposure time is zero" in reason_unusable(wavecal(TEXPTIME=0.0))
    change(alive.imsets[0].headers[0], EXPTIME=0.0)
    assert reason_unusable(alive) == ""
    for value in (0, 7, -3):
        dark = [replace(imset, sci=np.full_like(imset.sci, value)) for imset in alive.imsets]
        assert "no image set has an exposure time and counts" in reason_unusable(alive.with_imsets(dark))


def test_wavecal_of_another_mode(tmp_path: Path) -> None:
    given = replace(wavecal(WAVECAL="x_wav.fits"), path=tmp_path / "x_raw.fits")
    for other, message in (({"CENWAVE": 3165}, "CENWAVE is 3165, but 4300"), ({"OPT_ELEM": "G430M"}, "OPT_ELEM")):
        its = wavecal()
        change(its.primary, **other)
        its.write(tmp_path / "x_wav.fits", overwrite=True)
        with pytest.raises(InputError, match=message):
            read_wavecal(given, {}, References({}))
    with pytest.raises(ReferenceFileError, match="WAVECAL names 'none.fits'"):
        read_wavecal(replace(given, primary=fits.Header({"WAVECAL": "none.fits"})), {}, References({}))


# ---- the golden visit ------------------------------------------------------------------------------------------------


def golden_shifts(visit: Path, root: str, tmp_path: Path, trailer: Trailer, **cards: Any) -> WavecalShifts:
    """Return the shifts for an uncorrected exposure; `cards` change its header."""
    given = Exposure.read(visit / "visit" / "science" / f"{root}_raw.fits.gz")
    change(given.primary, **cards)
    references = References({"oref": str(visit / "visit" / "oref")})
    with fits.open(visit / "visit" / "science" / f"{root}_wav.fits.gz") as hdus:
        names = wavecal_references(given, hdus[0].header)
    its = read_wavecal(given, names, references)
    return find_wavecal_shifts(given, its, references=references, backend=get_backend("numpy"), trailer=trailer)


@pytest.mark.golden
@pytest.mark.parametrize("root", ["osy102010", "osy103010"])
def test_golden_shifts(golden_visit: Path, tmp_path: Path, root: str) -> None:
    """Oracle: CalSTIS 3.5.0 on the same files, to 1e-9 pixels (all 13 digits agree in fact)."""
    name = f"{root}_{'crj' if root == 'osy102010' else 'flt'}.json"
    parts = json.loads((golden_visit / "expected" / "5_plain_calstis" / name).read_text(encoding="utf-8"))
    found = golden_shifts(golden_visit, root, tmp_path, Trailer())
    cards = dict(next(part["header"] for part in parts if part.get("extname") == "SCI"))
    shifts = found.at((cards["EXPSTART"] + cards["EXPEND"]) / 2)
    assert shifts == pytest.approx((cards["SHIFTA1"], cards["SHIFTA2"]), abs=1e-9)
    assert found.missing == () and found.name == f"{root}_wav.fits"


@pytest.mark.golden
def test_rows_near_the_readout(golden_visit: Path, tmp_path: Path) -> None:
    """Oracle: the scene: with PROPAPER 52X0.2E1 other rows of the same lamp are looked at; only noise differs."""
    usual, near = (
        golden_shifts(golden_visit, "osy103010", tmp_path, Trailer(), PROPAPER=name).shifts[0]
        for name in ("52X0.2", "52X0.2E1")
    )
    assert usual != near and usual.spatial == near.spatial
    assert near.dispersion == pytest.approx(usual.dispersion, abs=0.1)


@pytest.mark.golden
def test_engine_without_lines(golden_visit: Path, tmp_path: Path) -> None:
    """Oracle: CalSTIS: without light a shift is 0; ours says so in `doubts` and in the trailer, and goes on."""
    folder = tmp_path / "science"
    folder.mkdir()
    source = golden_visit / "visit" / "science"
    shutil.copy(source / "osy103010_raw.fits.gz", folder)
    lamp = Exposure.read(source / "osy103010_wav.fits.gz")
    noise = np.resize(np.array([1503, 1504, 1505], dtype=np.float32), lamp.shape)
    lamp.with_imsets([replace(imset, sci=noise) for imset in lamp.imsets]).write(folder / "osy103010_wav.fits")
    given = Exposure.read(folder / "osy103010_raw.fits.gz")
    given.primary["CTECORR"] = "OMIT"
    engine = NativeEngine(get_backend("numpy"), References({"oref": str(golden_visit / "visit" / "oref")}))
    made = engine.calibrate(given, tmp_path, SUFFIXES)
    assert sorted(made.products) == ["flt", "x1d", "x2d"]
    header = Exposure.read(made.products["flt"]).imsets[0].headers[0]
    missing = [name for name in ("SHIFTA1", "SHIFTA2") if header[name] == 0.0]
    assert missing
    said = [f"{name} is not found" for name in missing]
    if "SHIFTA1" not in missing:  # the best fit to the noise
        said.append(
            "SHIFTA1 may be wrong, and with it the wavelengths: the wavecal osy103010_wav.fits hardly shows the lines"
        )
    assert [re.split(" in | of its", sentence)[0] for sentence in made.doubts] == said
    assert made.trailer.count("the dispersion not found: ") == len(missing)
