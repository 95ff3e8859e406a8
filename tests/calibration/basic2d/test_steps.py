"""The steps of basic2d, one by one, on small numbers worked by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from gpucti.backends import get_backend
from gpucti.calibration.base import Trailer
from gpucti.calibration.basic2d import arithmetic, overscan
from gpucti.calibration.basic2d.arithmetic import Pixels
from gpucti.calibration.basic2d.ccdtab import convert
from gpucti.calibration.basic2d.dataquality import (
    flag_bad_pixels,
    flag_outside,
    flag_saturation,
    read_bad_pixels,
    read_field_of_view,
)
from gpucti.calibration.basic2d.flats import FlatField, unbin2d
from gpucti.calibration.basic2d.matching import bin2d, find_match, matched, shift_coordinates
from gpucti.calibration.basic2d.order import STEPS, Step
from gpucti.calibration.basic2d.steps import Calibration
from gpucti.calibration.basic2d.temperature import detector_temperature, mean_temperature, plausible, update_temperature
from gpucti.calibration.basic2d.velocity import heliocentric_velocity
from gpucti.calibration.reffiles import HeaderReferences, References
from gpucti.calibration.statistics import do_statistics, serious_bits
from gpucti.detector import nint
from gpucti.errors import InputError, ReferenceFileError
from gpucti.io.cards import Cards
from gpucti.io.pixelgrid import PixelGrid
from support.calstis_files import reference_image, reference_table

F4, I2 = np.float32, np.int16
RAW_D = PixelGrid((1.0, 1.0), (19.0, 20.0))


def pixels(sci: Any, err: Any, dq: Any) -> Pixels:
    """Return small images."""
    return Pixels(np.array(sci, F4, ndmin=2), np.array(err, F4, ndmin=2), np.array(dq, I2, ndmin=2))


def same(made: Pixels, expected: Pixels) -> bool:
    """Tell whether values and types are equal."""
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(made, expected, strict=True))


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_every_step_has_its_method(step: Step) -> None:
    """Oracle: the rule of the table of steps."""
    assert callable(getattr(Calibration, step.name.lower()))


def test_arithmetic() -> None:
    """Oracle: hand: 3-4-5 triangles."""
    one, two = pixels([10, 20], [3, 6], [1, 2]), pixels([4, 5], [4, 8], [2, 16])
    assert same(arithmetic.subtract(one, two), pixels([6, 15], [5, 10], [3, 18]))
    assert same(arithmetic.scale(one, 2), pixels([20, 40], [6, 12], [1, 2]))
    assert arithmetic.scale(one, 1 + 1e-9) is one  # 1 in single precision
    assert same(arithmetic.add_constant(one, 1), pixels([11, 21], [3, 6], [1, 2]))
    product = arithmetic.multiply(pixels([3], [4], [1]), pixels([1], [1], [4]))
    assert same(product, pixels([3], [5], [5]))


def test_division_by_zero_is_flagged() -> None:
    """Oracle: hand: 8 / 2 with errors 6 / 2 = 3 and 2 * 8 / 2 / 2 = 4; over zero nothing changes but DQ gains 512."""
    made = arithmetic.divide(pixels([8, 8], [6, 6], [1, 1]), pixels([2, 0], [2, 2], [16, 16]))
    assert same(made, pixels([4, 8], [5, 6], [17, 17 + 512]))


def test_initial_error() -> None:
    """Oracle: hand: sqrt(9 * 1 + 4 * 4) = 5 electrons; read noise alone below zero; the bias is taken off first."""
    counts = np.array([[109, 100, 50]], F4)
    assert arithmetic.initial_error(counts, F4(100), F4(1), F4(4)).tolist() == [[5, 4, 4]]
    assert arithmetic.initial_error(counts - F4(100), F4(0), F4(4), F4(8)).tolist() == [[2.5, 2, 2]]


def test_pixel_grid() -> None:
    """Oracle: spec 1.4 by hand: raw frames begin 19 and 20 pixels before the detector; binned ones in bins."""
    assert (RAW_D.bin, RAW_D.corner, RAW_D.zero) == ((1, 1), (-19, -20), (19.0, 20.0))
    assert PixelGrid((0.5, 0.25), (0.25, 0.375)).bin == (2, 4)
    assert PixelGrid((0.5, 0.25), (0.25, 0.375)).corner == (0, 0)
    assert [nint(x) for x in (2.5, -2.5, 2.4, -2.6)] == [3, -3, 2, -3]


@pytest.mark.parametrize("cards", [{"LTM1_1": 0.0}, {"LTM2_2": -1.0}, {"LTM1_1": 8.0}, {"LTV1": 1e12}])
def test_senseless_coordinates(cards: dict[str, float]) -> None:
    """Oracle: house rule on errors."""
    with pytest.raises(InputError, match=r"x\[SCI,1\]: LTM is"):
        PixelGrid.of(Cards(fits.Header(cards), "x[SCI,1]"))


def test_match() -> None:
    """Oracle: spec 1.5 by hand."""
    whole = PixelGrid()
    assert find_match(whole, (4, 6), whole, (4, 6)) == (True, False, (1, 1), (0, 0))
    part = PixelGrid((1.0, 1.0), (-2.0, -1.0))
    assert find_match(part, (2, 2), whole, (4, 6)) == (False, False, (1, 1), (2, 1))
    binned = PixelGrid((0.5, 0.5), (0.25, 0.25))
    assert find_match(binned, (2, 3), whole, (4, 6)) == (False, False, (2, 2), (0, 0))
    assert find_match(whole, (4, 6), binned, (2, 3)).coarser
    three = PixelGrid((1 / 3, 1 / 3), (1 / 3, 1 / 3))
    assert find_match(three, (1, 2), binned, (2, 3)) is None


def test_bin2d() -> None:
    """Oracle: hand: blocks of 2 x 2 from column 1 on; errors in quadrature."""
    image = pixels(np.arange(10).reshape(2, 5), np.full((2, 5), 3), [[1, 2, 4, 8, 16], [0] * 5])
    summed = bin2d(image, (1, 0), (2, 2), (1, 2), average=False)
    assert same(summed, pixels([1 + 2 + 6 + 7, 3 + 4 + 8 + 9], [6, 6], [6, 24]))
    mean = bin2d(image, (1, 0), (2, 2), (1, 2), average=True)
    assert same(mean, pixels([4, 6], [1.5, 1.5], [6, 24]))
    cut = bin2d(image, (3, 1), (1, 1), (1, 2), average=True)
    assert same(cut, pixels([8, 9], [3, 3], [0, 0]))


def test_reference_must_cover_the_image() -> None:
    """Oracle: spec 1.5: BIASCORR before BLEVCORR does not fit."""
    image = pixels(np.ones((1024, 1024)), np.ones((1024, 1024)), np.zeros((1024, 1024)))
    with pytest.raises(ReferenceFileError, match=r"b.fits: 1024 x 1024 .* do not cover .* BLEVCORR first"):
        matched(image, PixelGrid(), RAW_D, (1044, 1062), average=False, where="b.fits")


def test_coordinates_after_trimming() -> None:
    """Oracle: spec 1.4: LTV and CRPIX shift by the offset, in all three headers, as the first one says."""
    headers = [fits.Header({"LTV1": 19.0, "LTV2": 20.0, "CRPIX1": 531.0, "CD1_1": 2e-5}), fits.Header(), fits.Header()]
    shift_coordinates(Cards(headers[0], "x"), headers, (19, 20))
    for header in headers:
        assert (header["LTV1"], header["LTV2"], header["CRPIX1"], header["CRPIX2"]) == (0, 0, 512, -20)
        assert (header["LTM1_1"], header["CD1_1"], header["CD2_2"], header["CD1_2"]) == (1, 2e-5, 1, 0)


def test_saturation() -> None:
    """Oracle: spec 3.3: cut to whole counts, then above the limit."""
    sci = np.array([[33000, 33000.9, 33001, -40000]], F4)
    assert flag_saturation(sci, np.array([[1, 1, 1, 1]], I2), F4(33000)).tolist() == [[1, 1, 257, 1]]


def aperture_mask(fov: str, obstype: str = "IMAGING", target: str = "STAR") -> np.ndarray:
    """Return the mask of a raw frame of amplifier D with pixels of 0.05 arcsec."""
    mask = np.zeros((1044, 1062), I2)
    primary = fits.Header({"APER_FOV": fov, "OBSTYPE": obstype, "TARGNAME": target})
    step = 0.05 / 3600
    header = fits.Header({"CD1_1": -step, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": step})
    field = read_field_of_view(Cards(primary, "x[0]"), Cards(header, "x"), RAW_D, Trailer())
    if field:
        flag_outside(mask, field, RAW_D, Trailer())
    return mask


def test_outside_the_aperture() -> None:
    """Oracle: hand: 28 arcsec are 560 pixels, half of them and 10 more are 290: rows 512 - 290 + 20 to 512 + 290 + 20.

    40 arcsec along x are 800 pixels: columns 512 - 410 + 19 to 512 + 410 + 19 for an image; overscan is left alone.
    """
    expected = np.zeros((1044, 1062), I2)
    expected[20:1044, 19:1043] = 4
    expected[242:823, 19:1043] = 0
    assert np.array_equal(aperture_mask("28X40", "SPECTROSCOPIC"), expected)
    expected[242:823, 19:121] = expected[242:823, 942:1043] = 4
    assert np.array_equal(aperture_mask("28X40"), expected)


@pytest.mark.parametrize(("fov", "target"), [("50x50", "STAR"), ("4x50", "STAR"), ("what", "STAR"), ("28X40", "DARK")])
def test_apertures_that_flag_nothing(fov: str, target: str) -> None:
    """Oracle: spec 3.3: too long, too short, unreadable; biases and darks are lit nowhere."""
    assert not aperture_mask(fov, target=target).any()


def bad_pixels(folder: Path, *rows: tuple[int, ...], **cards: int) -> Any:
    """Return the table of (PIX1, PIX2, LENGTH, AXIS, VALUE)."""
    names = ("PIX1", "PIX2", "LENGTH", "AXIS", "VALUE")
    columns = {name: ("J", [row[i] for row in rows]) for i, name in enumerate(names)}
    sizes = {"SIZAXIS1": 1062, "SIZAXIS2": 1044} | cards
    name = reference_table(folder / "case_bpx.fits", columns, **sizes)
    return read_bad_pixels(References({}).table(folder / name), "MIRVIS")


def test_bad_pixels_are_detector_coordinates(tmp_path: Path) -> None:
    """Oracle: hand: pixel 1 is column 19, row 20 of a raw frame of amplifier D; runs end at the border."""
    bad = bad_pixels(tmp_path, (1, 1, 3, 1, 8), (1042, 5, 9, 1, 4), (2, 1023, 9, 2, 16), (2000, 1, 1, 1, 1))
    assert bad.ignored == 1
    mask, expected = np.zeros((1044, 1062), I2), np.zeros((1044, 1062), I2)
    flag_bad_pixels(mask, bad, RAW_D)
    expected[20, 19:22], expected[24, 1060:], expected[1042:, 20] = 8, 4, 16
    assert np.array_equal(mask, expected)
    small = np.zeros((4, 4), I2)
    flag_bad_pixels(small, bad, PixelGrid((1.0, 1.0), (-1.0, 0.0)))
    assert small.tolist() == [[8, 8, 0, 0]] + [[0] * 4] * 3


def test_bad_pixels_of_a_binned_image(tmp_path: Path) -> None:
    """Oracle: hand: detector pixels (2, 0) and (3, 0) fall into column 1 of 2 x 2 bins."""
    mask = np.zeros((3, 4), I2)
    flag_bad_pixels(mask, bad_pixels(tmp_path, (3, 1, 2, 1, 8)), PixelGrid((0.5, 0.5), (0.25, 0.25)))
    assert mask.tolist() == [[0, 8, 0, 0]] + [[0] * 4] * 2


@pytest.mark.parametrize(
    ("row", "cards", "message"),
    [
        ((1, 1, 0, 1, 4), {}, "LENGTH of row 1 is 0"),
        ((1, 1, 1, 3, 4), {}, "AXIS of row 1 is 3"),
        ((1, 1, 1, 1, 99999), {}, "VALUE of row 1 is 99999"),
        ((1, 1, 1, 1, 4), {"SIZAXIS1": 0}, "SIZAXIS1"),
    ],
)
def test_wrong_bad_pixel_table(row: tuple[int, ...], cards: dict[str, int], message: str, tmp_path: Path) -> None:
    """Oracle: house rule on errors."""
    with pytest.raises(ReferenceFileError, match=message):
        bad_pixels(tmp_path, row, **cards)


def test_analog_to_digital() -> None:
    """Oracle: spec 3.5 by hand: negative counts stay, those beyond the end become the last value and saturated."""
    sci, dq = convert(np.array([[-3, 0, 1.9, 2, 9]], F4), np.zeros((1, 5), I2), np.array([10, 11, 12], F4))
    assert sci.tolist() == [[-3, 10, 11, 12, 12]]
    assert dq.tolist() == [[0, 0, 0, 0, 256]]


@pytest.mark.parametrize(
    ("amp", "section", "virtual", "trim"),
    [
        ("A", (1046, 1060), (1024, 1044), (19, 19, 0, 20)),
        ("B", (1, 15), (1024, 1044), (19, 19, 0, 20)),
        ("C", (1046, 1060), (0, 20), (19, 19, 20, 0)),
        ("D", (1, 15), (0, 20), (19, 19, 20, 0)),
    ],
)
def test_overscan_of_a_full_frame(amp: str, section: Any, virtual: Any, trim: Any) -> None:
    """Oracle: the table of spec 3.6."""
    found = overscan.find_overscan(amp, (1044, 1062), (1, 1), "x")
    assert found == overscan.Overscan(*trim, section, virtual)


def test_frames_without_overscan() -> None:
    """Oracle: spec 3.6: too small; binned by 3; binned with nothing beside the detector."""
    assert overscan.find_overscan("D", (1043, 1062), (1, 1), "x") is None
    assert overscan.find_overscan("D", (1044, 1061), (1, 1), "x") is None
    assert overscan.find_overscan("D", (200, 1060), (1, 1), "x") == overscan.Overscan(18, 18, 0, 0, (0, 13), (0, 0))
    for shape, binning in (((1044, 1062), (3, 1)), ((522, 525), (2, 2))):
        with pytest.raises(InputError, match="for BLEVCORR"):
            overscan.find_overscan("A", shape, binning, "x")


def test_line_fit() -> None:
    """Oracle: hand: through (-1, 1), (0, 2), (1, 6): slope 5/2, intercept 3. No points or one place: no line."""
    assert overscan.fit_line(np.array([-1, 0, 1]), np.array([1.0, 2.0, 6.0])) == (2.5, 3.0)
    assert overscan.fit_line(np.array([], int), np.array([])) is None
    assert overscan.fit_line(np.array([7, 7]), np.array([1.0, 2.0])) is None


def test_medians_leave_out_bad_pixels() -> None:
    """Oracle: hand: odd and even numbers, nothing left."""
    values = np.array([[5.0, 1, 9, 2], [5, 1, 9, 2], [5, 1, 9, 2]])
    good = np.array([[True] * 4, [True, True, False, True], [False] * 4])
    medians, counts = overscan.middle(values, good)
    assert medians[:2].tolist() == [3.5, 2]
    assert counts.tolist() == [4, 3, 0]


def test_hot_columns_are_replaced_in_turn() -> None:
    """Oracle: hand. 3 rows of 30 values 0..29 around 1500: only what lies 50 sigma above is hot.

    At column 0 the window is columns 0..20, at 29 it is 9..29. The window of the first of two hot neighbours holds
    the second one still, that of the second the replaced first one.
    """
    values = np.tile(np.arange(30.0), (3, 1)) + 1500
    before = values.copy()
    values[0, 0] = values[1, 29] = values[2, 14] = values[2, 15] = 1e6
    overscan.replace_hot(values, 50.0)
    # row 0: 1..20 and the hot one, the 11th of which is 11; row 1: 9..28 and the hot one: 19
    # row 2: 4..24 without 14 and 15, and two hot ones: 16; then 5..25 without those, 16 (replaced) and a hot one: 16
    before[0, 0], before[1, 29], before[2, 14], before[2, 15] = 1511, 1519, 1516, 1516
    assert np.array_equal(values, before)


def test_bias_level() -> None:
    """Oracle: hand: a frame that is level 1000 + row / 8 + (column - 8) / 4 leaves zero, but for the virtual rows."""
    backend = get_backend("numpy")
    y, x = np.ogrid[:1044, :1062]
    frame = Pixels((1000 + y / 8 + (x - 8) / 4).astype(F4), np.zeros((1044, 1062), F4), np.zeros((1044, 1062), I2))
    place = overscan.find_overscan("D", (1044, 1062), (1, 1), "x")
    assert place
    levels = overscan.bias_levels(frame, place, 32767, F4(7), F4(50), backend)
    assert (levels.fitted, levels.drift_fitted, levels.lines_left_out) == (True, True, 0)
    made = overscan.subtract_levels(frame, place, levels, backend)
    assert made.sci.shape == made.err.shape == made.dq.shape == (1024, 1024)
    # exact sums of eighths; only the division of the slopes rounds
    assert np.abs(made.sci).max() < 1e-9
    # rows 20 to 1043 average 1000 + 531.5 / 8; the middle column, 512 + 19, is 523 / 4 above
    assert levels.mean == F4(1000 + 531.5 / 8 + 523 / 4)
    frame.dq[:, :16] = frame.dq[:20] = 4
    levels = overscan.bias_levels(frame, place, 4, F4(7), F4(50), backend)
    assert (levels.fitted, levels.drift_fitted, levels.lines_left_out) == (False, False, 1024)
    assert set(levels.line) == {7}
    assert not levels.drift.any()


def test_expanding_a_flat() -> None:
    """Oracle: hand, spec 1.6: 2 pixels to 4 lie at -1/4, 1/4, 3/4, 5/4: extrapolated at both ends."""
    image = pixels([[1, 2], [1, 2]], [[2, 4], [2, 4]], [[1, 2], [4, 8]])
    wide = unbin2d(image, (2, 4))
    assert wide.sci.tolist() == [[0.75, 1.25, 1.75, 2.25]] * 2
    # squares 4 and 16 at weights 5/4, -1/4: 1; 3/4, 1/4: 7; 1/4, 3/4: 13; -1/4, 5/4: 19
    assert np.array_equal(wide.err, np.sqrt(np.array([[1, 7, 13, 19]] * 2, F4)))
    assert wide.dq.tolist() == [[1, 1, 1, 2], [4, 4, 4, 8]]  # low <= 0 takes one pixel alone
    tall = unbin2d(image, (4, 2))
    assert tall.sci.tolist() == [[1, 2]] * 4
    assert unbin2d(image, (2, 2)) is image
    both = unbin2d(image, (4, 4))
    assert both.sci.tolist() == [[0.75, 1.25, 1.75, 2.25]] * 4
    assert both.dq.tolist() == [[1, 1, 1, 2]] * 3 + [[4, 4, 4, 8]]
    assert unbin2d(image, (4, 4), strict=True).dq.tolist() == [[4, 4, 4, 8]] * 4


def test_expanded_errors_may_be_no_number() -> None:
    """Oracle: spec O-7: 5/4 * 1 - 1/4 * 100 is negative."""
    assert np.isnan(unbin2d(pixels([[1, 1]], [[1, 10]], [[0, 0]]), (1, 4)).err[0, 0])


@pytest.mark.parametrize("shape", [(3, 4), (2, 2), (4, 20000)])
def test_flat_that_cannot_be_expanded(shape: tuple[int, int], tmp_path: Path) -> None:
    """Oracle: house rule on errors."""
    references = References({})
    low = references.image(tmp_path / reference_image(tmp_path / "case_lfl.fits", np.ones((2, 3))))
    fine = references.image(tmp_path / reference_image(tmp_path / "case_pfl.fits", np.ones((3, 4))))
    with pytest.raises(ReferenceFileError, match=r"case_lfl.fits.*cannot be expanded"):
        FlatField(fine, None, low).matched(PixelGrid(), (3, 4))
    with pytest.raises(ValueError, match="cannot be expanded"):
        unbin2d(pixels(np.ones((2, 3)), np.ones((2, 3)), np.ones((2, 3))), shape)


def test_delta_flat_must_have_the_size_of_the_pixel_flat(tmp_path: Path) -> None:
    """Oracle: spec 3.10."""
    references = References({})
    one = references.image(tmp_path / reference_image(tmp_path / "case_pfl.fits", np.ones((3, 4))))
    two = references.image(tmp_path / reference_image(tmp_path / "case_dfl.fits", np.ones((3, 5))))
    with pytest.raises(ReferenceFileError, match=r"case_dfl.fits: \(3, 5\)"):
        FlatField(one, two, None).matched(PixelGrid(), (3, 4))


def test_statistics() -> None:
    """Oracle: hand: the flagged pixel and the one with signal but no error are out; 0 / 0 counts as no signal."""
    sci, err = fits.Header(), fits.Header()
    image = pixels([[10, 20, 99, 5, -3]], [[5, 5, 1, 0, 0]], [[1024, 0, 16, 0, 0]])
    do_statistics(*image, 31743, sci, err)
    assert [sci[key] for key in ("NGOODPIX", "GOODMIN", "GOODMAX", "GOODMEAN")] == [3, -3, 20, 9]
    assert [sci[key] for key in ("SNRMIN", "SNRMAX", "SNRMEAN")] == [0, 4, 2]
    assert [err[key] for key in ("NGOODPIX", "GOODMIN", "GOODMAX", "GOODMEAN")] == [3, 0, 5, 3.3333333]
    nothing = fits.Header()
    do_statistics(*image, 65535, nothing, nothing)
    assert serious_bits(65535) == -1
    do_statistics(image.sci, image.err, np.ones_like(image.dq), 1, nothing, nothing)
    assert nothing["NGOODPIX"] == 0


def test_statistics_without_errors_that_are_no_number() -> None:
    """Oracle: FITS has no NaN: what is not finite is left out."""
    sci, err = fits.Header(), fits.Header()
    do_statistics(*pixels([[10, 20]], [[5, np.nan]], [[0, 0]]), 0, sci, err)
    assert (err["GOODMEAN"], sci["SNRMEAN"], sci["GOODMEAN"], sci["NGOODPIX"]) == (5, 2, 15, 2)


def test_temperature_readings_that_are_believed() -> None:
    """Oracle: spec 3.4 by hand: 0.98 degrees is the largest jump (exp(-d^2 / 0.32) = 0.05)."""
    values = np.array([19.0, 19.5, 22.0, 19.4, 19.9, 26.0, 14.0, 20.0, 20.5, 18.0])
    #                              jumps both ways          out of range           last one jumps
    assert plausible(values).tolist() == [True, True, False, True, True, False, False, True, True, False]
    assert plausible(np.array([17.0, 19.0, 19.1])).tolist() == [False, True, True]
    assert plausible(np.array([17.0])).tolist() == [True]


@pytest.mark.parametrize(
    ("times", "values", "exptime", "mean"),
    [
        ([0, 10], [19, 21], 60, 19.0),  # one piece: the reading before
        ([0, 10], [19, 21], 0, 19.0),
        ([2.5, 10], [19, 21], 60, None),  # begins too late
        ([0, 3], [19, 21], 60, None),
        ([], [], 60, None),
        # start 2, end 6. First piece 2..4 at 19 + 0.5 * 4 * 2 / 4 = 20; last one 4..6 at 23 + 0.5 * -1 * 2 / 4 = 22.75
        ([0, 4, 8], [19, 23, 22], 60, (2 * 20 + 2 * 22.75) / 4),
        # 2..3 at 19 + 0.5 * 3 * 2 / 3 = 20; 3..5 at 21.5; 5..6 at 21 + 0.5 * 4 * 1 / 4 = 21.5
        ([0, 3, 5, 9], [19, 22, 21, 25], 60, (1 * 20 + 2 * 21.5 + 1 * 21.5) / 4),
    ],
)
def test_mean_temperature(times: list[float], values: list[float], exptime: float, mean: float | None) -> None:
    """Oracle: hand, with CalSTIS's place of the first piece (O-12)."""
    assert mean_temperature(times, values, 2.0, 6.0, exptime) == mean


def beside(folder: Path) -> HeaderReferences:
    """Return the reference files of an exposure in a folder."""
    return HeaderReferences(Cards(fits.Header(), "x[0]"), folder, References({}))


def test_temperature_file_beside_the_exposure(tmp_path: Path) -> None:
    """Oracle: spec 3.4: found by the first 8 letters of EXPNAME; kept in single precision; side 1 is left alone."""
    columns = {"TIME": ("D", [51999.0, 52100.0]), "VALUE": ("E", [19.3, 20.0])}
    reference_table(tmp_path / "otest0axj_epc.fits", columns)
    cards = {"EXPNAME": "otest0axq", "OCCDHTAV": 18.5, "EXPSTART": 52095.0, "EXPEND": 52095.1, "EXPTIME": 300.0}
    header, references = fits.Header(cards), beside(tmp_path)
    update_temperature(Cards(header, "x"), references, Trailer())
    assert header["OCCDHTAV"] == 19.299999
    assert detector_temperature(Cards(header, "x")) == 19.299999
    header["EXPSTART"] = 52090.9
    assert detector_temperature(Cards(header, "x")) == -1
    for changed in ({"OCCDHTAV": -1.0}, {"EXPNAME": "../test0a"}, {"EXPNAME": "other0axq"}):
        header = fits.Header(cards | changed)
        update_temperature(Cards(header, "x"), references, Trailer())
        assert header["OCCDHTAV"] == changed.get("OCCDHTAV", 18.5)
    assert detector_temperature(Cards(fits.Header({"EXPSTART": 55000.0}), "x")) == -1


def test_damaged_temperature_file(tmp_path: Path) -> None:
    """Oracle: house rule on errors."""
    reference_table(tmp_path / "otest0axj_epc.fits", {"TIME": ("D", [1.0]), "VALUE": ("4A", ["warm"])})
    cards = {"EXPNAME": "otest0axq", "OCCDHTAV": 18.5, "EXPSTART": 52095.0, "EXPEND": 52095.1, "EXPTIME": 300.0}
    with pytest.raises(ReferenceFileError, match="no plain numbers"):
        update_temperature(Cards(fits.Header(cards), "x"), beside(tmp_path), Trailer())


def test_velocity_follows_the_earth() -> None:
    """Oracle: physics. Towards the apex, a right angle west of the Sun, the Earth moves with 29.3 to 30.3 km/s."""
    # 2000 March 20.3: the Sun at longitude 0, so the apex is at longitude 270: right ascension 18 h, -23.44 degrees
    apex = heliocentric_velocity(270.0, -23.44, 51623.3)
    assert -30.3 < apex < -29.3  # coming closer: negative
    # the sine of an angle of 0.9 degrees (orbit not circular) is the largest that is left over
    assert abs(heliocentric_velocity(0.0, 0.0, 51623.3)) < 0.6
    assert abs(heliocentric_velocity(270.0, 66.56, 51623.3)) < 1e-2  # the pole of the ecliptic
