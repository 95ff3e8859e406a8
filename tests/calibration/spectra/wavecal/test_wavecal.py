"""WAVECORR: shifts against CalSTIS's own, worked by hand, and on the golden visit; what is said where there is none."""

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
from gpucti.calibration.reffiles import HeaderReferences, References, stored_double
from gpucti.calibration.spectra.aperture import read_slit
from gpucti.calibration.spectra.tables import DummyReferenceError
from gpucti.calibration.spectra.wavecal.cosmic_rays import flag_cosmic_rays
from gpucti.calibration.spectra.wavecal.lamps import Lamp, SearchParameters, read_lamp, read_search_parameters
from gpucti.calibration.spectra.wavecal.peaks import NoShiftError, Profile, correlation_peak
from gpucti.calibration.spectra.wavecal.shifts import UNDEFINED, Shifts, find_shifts, running_mean
from gpucti.calibration.spectra.wavecal.shutter import subtract_science
from gpucti.calibration.spectra.wavecal.slits import bars_shift, ends_shift, short_slit_shift
from gpucti.calibration.spectra.wavecal.wavecal import (
    WavecalShifts,
    find_wavecal_shifts,
    read_wavecal,
    reason_unusable,
    write_shifts,
)
from gpucti.calibration.switches import wavecal_references
from gpucti.detector import nint
from gpucti.errors import InputError, ReferenceFileError
from gpucti.io.cards import Cards
from gpucti.io.exposure import Exposure, ImageSet
from support.calstis_files import reference_table
from support.products import SUFFIXES, exposure
from support.recorded import calstis
from support.shift_cases import CASES, input_digest
from support.stis_files import change

RECORDED = calstis("shifts")


# ---- against CalSTIS -------------------------------------------------------------------------------------------------


def search(path: Path, trailer: Trailer) -> Shifts:
    """Return the shifts of a case."""
    given = Exposure.read(path)
    references = References({}).of(given)
    parameters = read_search_parameters(references, trailer)
    lamp, slit = read_lamp(references), read_slit(references, given.primary["APERTURE"])
    return find_shifts(given.imsets[0], given.sci_cards[0], slit, lamp, parameters, e_rows=False, trailer=trailer)


def named(folder: Path, **cards: Any) -> HeaderReferences:
    """Return the reference files that a header of these cards names."""
    return HeaderReferences(Cards(fits.Header(cards), "wavecal"), folder, References({}))


def test_every_case_is_recorded() -> None:
    assert list(RECORDED) == list(CASES)


@pytest.mark.parametrize("name", CASES)
def test_shifts(name: str, tmp_path: Path) -> None:
    """Oracle: CalSTIS 3.5.0's cs4, recorded: every digit that it stores; an undefined shift comes with a reason."""
    path, trailer = CASES[name].build(tmp_path), Trailer()
    assert input_digest(path) == RECORDED[name]["input"], "not the file that CalSTIS was given"
    found = search(path, trailer)[:2]
    assert [stored_double(shift) for shift in found] == RECORDED[name]["shifts"]
    for shift, direction in zip(found, ("along", "across"), strict=True):
        assert (f"shift {direction} the dispersion not found: " in trailer.text) == (shift == UNDEFINED)


def test_a_shifted_lamp_is_found_where_it_is(tmp_path: Path) -> None:
    """Oracle: the scene: moved by whole pixels more, its shift grows by as much (physical law).

    Noise of the pixels, which does not move, and the tilt of the light along the slit allow for 0.3 rows.
    """
    first, second = (
        search(replace(CASES["bars"], shift=shift).build(tmp_path / str(n)), Trailer())
        for n, shift in enumerate(((1.25, 2.5), (-6.75, 8.5)))
        if not (tmp_path / str(n)).mkdir()
    )
    assert second.dispersion - first.dispersion == pytest.approx(-8, abs=0.01)
    assert second.spatial - first.spatial == pytest.approx(6, abs=0.3)


# ---- by hand ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "expected"), [(0.5, 1), (1.5, 2), (-0.5, -1), (-0.49, 0), (2.49, 2)])
def test_nearest(value: float, expected: int) -> None:
    assert nint(value) == expected


def test_lamp_over_pixels() -> None:
    """Oracle: by hand. Flux 2 from 10 to 20, 5 from 20 to 30: a pixel that sticks out at either end gets nothing."""
    lamp = Lamp(np.array([10.0, 20.0, 30.0]), np.array([2.0, 5.0]))
    assert lamp.over(np.array([8.0, 12.0, 18.0, 22.0, 26.0, 32.0])).tolist() == [0.0, 12.0, 14.0, 20.0, 0.0]
    assert lamp.over(np.array([10.0, 30.0])).tolist() == [70.0]


def test_edges_of_a_lamp(tmp_path: Path) -> None:
    """Oracle: by hand: midpoints, and half a step beyond the ends."""
    columns = {
        "LAMPSET": ("4A", ["3.8"]),
        "NELEM": ("I", [3]),
        "WAVELENGTH": ("4D", [[10.0, 12.0, 16.0, 0.0]]),
        "FLUX": ("4E", [[1.0, 2.0, 3.0, 0.0]]),
    }
    reference_table(tmp_path / "lamp.fits", columns)
    lamp = read_lamp(named(tmp_path, LAMPTAB="lamp.fits", LAMPSET="3.8", SCLAMP="HITM1", OPT_ELEM="G430L"))
    assert lamp.edges.tolist() == [9.0, 11.0, 14.0, 18.0] and lamp.fluxes.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("width", "expected"),
    [(1.9, [0, 9, 0, 0]), (2.0, [3, 3, 3, 0]), (3.9, [3, 3, 3, 0]), (4.0, [1.8, 1.8, 1.8, 1.8]), (1e9, [1] * 4)],
)
def test_running_mean(width: float, expected: list[float]) -> None:
    """Oracle: by hand: rounded down, and up to the next odd number; at least 3. A box is never much larger than all."""
    assert running_mean(np.array([0.0, 9.0, 0.0, 0.0]), width) == pytest.approx(expected)


def test_correlation_peak() -> None:
    """Oracle: by hand: (1, 2, 1) two pixels on gives 1 4 6 4 1 around 2; flagged pixels do not count."""
    values, template = np.zeros(21), np.zeros(21)
    template[9:12] = values[11:14] = [1, 2, 1]
    good = np.ones(21, dtype=bool)
    assert correlation_peak(Profile(values, good), template, 7) == 2.0
    good[13] = False  # 2 5 4 1 around 2: the parabola through 2, 5, 4 peaks 0.25 beyond 5
    assert correlation_peak(Profile(values, good), template, 9) == 2.0 - 0.25
    with pytest.raises(NoShiftError, match="end of the 3 pixels"):
        correlation_peak(Profile(values, np.ones(21, dtype=bool)), template, 3)
    with pytest.raises(NoShiftError, match="every pixel is flagged"):
        correlation_peak(Profile(values, np.zeros(21, dtype=bool)), template, 7)


def test_short_slit() -> None:
    """Oracle: a slit from the middle of row 18 to that of row 22, moved up by three."""
    values = np.zeros(41)
    values[21:26] = [0.5, 1, 1, 1, 0.5]
    profile = Profile(values, np.ones(41, dtype=bool))
    assert short_slit_shift(profile, 20.0, 4.0, 15) == pytest.approx(3.0, abs=1e-12)
    with pytest.raises(NoShiftError, match="does not fit into 41 rows"):
        short_slit_shift(profile, 1.0, 6.0, 15)


def test_ends_of_a_slit() -> None:
    """Oracle: light on rows 12 to 31 begins between 11 and 12; expected are 10 and 30, so both ends are 1.5 on."""
    values = np.zeros(45)
    values[12:32] = 8
    good, trailer = np.ones(45, dtype=bool), Trailer()
    assert ends_shift(Profile(values, good), 20.0, 20.0, 15, trailer) == 1.5
    good[:14] = False
    assert ends_shift(Profile(values, good), 20.0, 20.0, 15, trailer) == 1.5
    assert "lower end of the slit not found: around row 10.0 fewer than 5 rows are good" in trailer.text
    with pytest.raises(NoShiftError, match="neither end"):
        ends_shift(Profile(values, ~good), 34.0, 2.0, 15, trailer)


def test_bars() -> None:
    """Oracle: the scene: two dark bars of 10 and 8 rows, each 3 rows above its place; even light otherwise."""
    values = np.full(300, 64.0)
    values[95:105] = values[200:208] = 0
    good = np.ones(300, dtype=bool)
    bars = [(96.5, 10.0), (200.5, 8.0)]
    trailer = Trailer()
    assert bars_shift(Profile(values, good), bars, 21, trailer) == pytest.approx(3.0, abs=1e-12)
    far = [(96.5, 10.0), (208.0, 8.0)]  # 3 and -4.5 apart by more than 5: the lighter one is left out
    assert bars_shift(Profile(values * 1.0, good), far, 21, trailer) == pytest.approx(3.0, abs=1e-12)
    assert "differ by 7.50 pixels" in trailer.text
    with pytest.raises(NoShiftError, match="no occulting bar is found"):
        bars_shift(Profile(np.full(300, 64.0), good), bars, 21, trailer)
    assert "bar 1 not found: its depth is 0 of what is expected" in trailer.text
    with pytest.raises(NoShiftError, match="fewer than two rows"):
        bars_shift(Profile(values, np.arange(300) == 7), bars, 21, trailer)


def test_cosmic_rays_of_a_wavecal() -> None:
    """Oracle: by hand: 60 among values around 10; behind a bar (bit 8) light as bright as the lit rows may be light."""
    sci = np.tile(np.array([9, 10, 11, 10, 9, 11, 60, 10, 0, 1, 60, 10], dtype=np.float32)[:, None], (1, 3))
    dq = np.zeros(sci.shape, dtype=np.int16)
    dq[8:] = 8
    dq[6, 1] = 16 | 8  # masked now
    dq[6, 2] = 512
    flagged = flag_cosmic_rays(sci, dq, 512 | 8192, SearchParameters())
    assert np.argwhere(flagged != dq).tolist() == [[6, 0], [6, 1], [10, 0], [10, 1], [10, 2]]
    assert (flagged[flagged != dq] & 8192 == 8192).all() and dq[6, 0] == 0


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


def wavecal(n: int = 1, **cards: Any) -> Exposure:
    """Return a small wavecal in memory."""
    made = exposure(n, OBSTYPE="SPECTROSCOPIC", OPT_ELEM="G430L", CENWAVE=4300, SCLAMP="HITM1", **cards)
    for imset in made.imsets:
        change(imset.headers[0], EXPTIME=10.0, EXPSTART=50000.0, EXPEND=50000.001)
    return made


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


@pytest.mark.parametrize(
    ("change_to", "error", "message"),
    [
        ({"WL_RANGE": ("I", [0])}, ReferenceFileError, r"wcp\.fits: WL_RANGE of row 1 is 0; expected a whole number"),
        ({"NSIG_CR": ("D", [np.nan])}, ReferenceFileError, "NSIG_CR of row 1"),
        ({"OPT_ELEM": ("8A", ["G750L"])}, ReferenceFileError, "no row for DETECTOR = 'CCD', OPT_ELEM = 'G430L'"),
    ],
)
def test_bad_search_parameters(tmp_path: Path, change_to: dict[str, Any], error: type, message: str) -> None:
    CASES["bars"].build(tmp_path)
    with fits.open(tmp_path / "case_wcp.fits") as hdus:
        columns = {column.name: (column.format, hdus[1].data[column.name]) for column in hdus[1].columns}
    reference_table(tmp_path / "wcp.fits", columns | change_to)
    references = named(tmp_path, WCPTAB="wcp.fits", DETECTOR="CCD", OPT_ELEM="G430L")
    with pytest.raises(error, match=message):
        read_search_parameters(references, Trailer())


def test_search_parameters_that_fill_a_place(tmp_path: Path) -> None:
    """Oracle: CalSTIS: the defaults; ours are said."""
    reference_table(tmp_path / "wcp.fits", {"DETECTOR": ("8A", ["CCD"])}, pedigree="DUMMY")
    references, trailer = named(tmp_path, WCPTAB="wcp.fits", DETECTOR="CCD", OPT_ELEM="G430L"), Trailer()
    assert read_search_parameters(references, trailer) == SearchParameters()
    assert "WCPTAB only fills a place" in trailer.text


@pytest.mark.parametrize(
    ("cells", "pedigree", "message"),
    [
        ({}, "DUMMY", "only fills a place"),
        ({"LAMPSET": ("4A", ["3.8"])}, "GROUND", "no row for LAMPSET = '10.0'"),
        ({"WAVELENGTH": ("2D", [[20.0, 10.0]])}, "GROUND", "WAVELENGTH of row 1 does not increase"),
        ({"NELEM": ("I", [3])}, "GROUND", "WAVELENGTH of row 1 has 2 elements; the row announces 3"),
        ({"NELEM": ("I", [1])}, "GROUND", "NELEM of row 1 is 1"),
    ],
)
def test_bad_lamps(tmp_path: Path, cells: dict[str, Any], pedigree: str, message: str) -> None:
    columns = {"LAMPSET": ("4A", ["10.0"]), "NELEM": ("I", [2]), "WAVELENGTH": ("2D", [[10.0, 20.0]])}
    reference_table(tmp_path / "lmp.fits", columns | {"FLUX": ("2E", [[1.0, 2.0]])} | cells, pedigree=pedigree)
    references = named(tmp_path, LAMPTAB="lmp.fits", LAMPSET="10.0", SCLAMP="LINE", OPT_ELEM="G430L")
    with pytest.raises(DummyReferenceError if pedigree == "DUMMY" else ReferenceFileError, match=message):
        read_lamp(references)


# ---- light of the target ---------------------------------------------------------------------------------------------


def lit(values: Any, exptime: float, **cards: Any) -> Exposure:
    """Return an old wavecal or exposure of one or more image sets of float32 counts, 8 x 8 pixels before binning."""
    made = wavecal(len(values), TEXPSTRT=51000.0, APERTURE="52X0.1", ATODGAIN=1.0, **cards)
    imsets = []
    for number, (imset, value) in enumerate(zip(made.imsets, values, strict=True)):
        sci = np.asarray(value, dtype=np.float32)
        change(imset.headers[0], EXPTIME=exptime, EXPSTART=50000.0 + number, EXPEND=50000.0 + number)
        change(imset.headers[0], LTM1_1=sci.shape[1] / 8, LTM2_2=sci.shape[0] / 8)
        change(imset.headers[0], LTV1=(1 - sci.shape[1] / 8) / 2, LTV2=(1 - sci.shape[0] / 8) / 2)
        imsets.append(ImageSet(sci, sci, imset.dq[: sci.shape[0], : sci.shape[1]], imset.headers))
    return made.with_imsets(imsets)


def test_light_of_the_target_is_subtracted() -> None:
    """Oracle: by hand: exposure times 10 s and 40 s, gains 1 and 2: a half; the image set nearest in time."""
    science = lit([np.full((8, 8), 100), np.arange(64).reshape(8, 8)], 40.0)
    science.primary["ATODGAIN"] = 2.0
    given = lit([np.full((8, 8), 70)], 10.0)
    change(given.imsets[0].headers[0], EXPSTART=50000.9, EXPEND=50000.9)
    trailer = Trailer()
    made = subtract_science(given, science, trailer)
    assert np.array_equal(made.imsets[0].sci, 70 - np.arange(64).reshape(8, 8) / 2)
    assert np.array_equal(made.imsets[0].err, given.imsets[0].err) and (given.imsets[0].sci == 70).all()
    assert "0.5 times imset 2 of the exposure subtracted" in trailer.text


def test_light_of_the_target_in_other_pixels() -> None:
    """Oracle: by hand: counts of small pixels add up in a large one; a large one is shared by the small ones in it."""
    fine, coarse = np.arange(64).reshape(8, 8), np.arange(16).reshape(4, 4)
    made = subtract_science(lit([np.zeros((4, 4))], 10.0), lit([fine], 10.0), Trailer())
    assert np.array_equal(made.imsets[0].sci, -fine.reshape(4, 2, 4, 2).sum(axis=(1, 3)))
    made = subtract_science(lit([np.zeros((8, 8))], 10.0), lit([coarse], 10.0), Trailer())
    assert np.array_equal(made.imsets[0].sci, -np.kron(coarse, np.ones((2, 2))) / 4)


@pytest.mark.parametrize(
    ("cards", "said"), [({"TEXPSTRT": 51126.0}, ""), ({"SCLAMP": "LINE"}, ""), ({"APERTURE": "52X2"}, "APERTURE of")]
)
def test_no_light_of_the_target(cards: dict[str, Any], said: str) -> None:
    """Oracle: CalSTIS: only old lamps behind the shutter, and only the same aperture."""
    science, given = lit([np.ones((8, 8))], 10.0), lit([np.ones((8, 8))], 10.0)
    change(given.primary, **cards)
    trailer = Trailer()
    assert subtract_science(given, science, trailer) is given
    assert said in trailer.text and bool(said) == bool(trailer.text)


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
    """Oracle: CalSTIS: without light a shift is 0; ours says so in `omitted` and in the trailer, and goes on."""
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
    assert [re.split(" in | of its", sentence)[0] for sentence in made.omitted] == said
    assert made.trailer.count("the dispersion not found: ") == len(missing)
