"""Subarrays: rows that were read out in front of an image and not kept had filled the traps before it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

import gpucti
from gpucti.correction.stack import SKY_ROWS, unknown_rows
from gpucti.model.pctetab import Pctetab
from gpucti.model.traps import TAIL
from gpucti.synthetic import scenes
from support.tolerances import ELECTRONS

MJD = 57000.0
KW = {"mjd": MJD, "device": "numba"}
ORIGINS = (0, 1, 10, 63, 64, 100, 500, 900)


@pytest.mark.parametrize("amp", ["A", "B", "C", "D"])
@pytest.mark.parametrize("sky", [5.0, 25.0])
def test_flat_sky_stays_flat_at_any_origin(amp: str, sky: float) -> None:
    """Oracle: a flat sky has no trails but in the first rows of the chip: within 0.5 e- in every row, both ways."""
    flat = np.full((100, 3), sky)
    for row in ORIGINS:
        place = {"amp": amp, "origin": (row, 7), **KW}
        trailed = gpucti.add_cti_arrays(flat, **place)
        assert np.abs(trailed - flat).max() < 0.5
        for model in (0, 1):
            assert np.abs(gpucti.correct_arrays(flat, noise_model=model, **place) - flat).max() < 0.5
            assert np.abs(gpucti.correct_arrays(trailed, noise_model=model, **place) - flat).max() < 0.5


@pytest.mark.filterwarnings("ignore:.*extrapolated")
@pytest.mark.parametrize("sky", [5.0, 25.0])
def test_flat_sky_of_the_last_date(sky: float) -> None:
    """Oracle: as above, at the highest trap density that the released table has release profiles for."""
    flat = np.full((64, 3), sky)
    for model in (0, 1):
        clean = gpucti.correct_arrays(flat, mjd=61999.0, amp="A", origin=(900, 0), noise_model=model, device="numba")
        assert np.abs(clean - flat).max() < 0.5


@pytest.mark.parametrize("sky", [5.0, 25.0])
def test_noisy_sky_is_that_of_the_full_frame(sky: float, rng: np.random.Generator) -> None:
    """Oracle: the same rows of the full frame; each row of the subarray on average within 0.5 e- of them."""
    frame = scenes.read_out(scenes.flat_field((1024, 192), sky), rng, mjd=MJD)
    whole = gpucti.correct_arrays(frame, amp="A", **KW)[500:600]
    part = gpucti.correct_arrays(frame[500:600], amp="A", origin=(500, 0), **KW)
    assert np.abs((part - whole).mean(axis=1)).max() < 0.5
    assert np.abs(part.mean(axis=1) - sky).max() < 2.5  # 6 e- of noise, 192 columns: 5 sigma


def test_sky_of_each_column_is_its_own(rng: np.random.Generator) -> None:
    """Oracle: the same rows of the full frame, where lines fill the slit: rows in front are bright in these columns."""
    light = 10.0 + 2000.0 * (np.arange(60) % 10 == 3)
    frame = gpucti.add_cti_arrays(np.tile(light, (1024, 1)), amp="A", **KW)
    whole = gpucti.correct_arrays(frame, amp="A", **KW)[400:500]
    part = gpucti.correct_arrays(frame[400:500], amp="A", origin=(400, 0), **KW)
    np.testing.assert_allclose(part, whole, rtol=0, atol=0.5)


@pytest.mark.parametrize("amp", ["A", "D"])
def test_few_rows_in_front_are_as_many_as_there_are(amp: str) -> None:
    """Oracle: the full frame of a flat sky, from the register on."""
    place = (slice(10, None), slice(None)) if amp == "A" else (slice(None, -10), slice(None))
    origin = (10, 0) if amp == "A" else (0, 0)
    flat = np.full((1024, 2), 25.0)
    for function in (gpucti.add_cti_arrays, gpucti.correct_arrays):
        part = function(flat[place], amp=amp, origin=origin, **KW)
        np.testing.assert_allclose(part, function(flat, amp=amp, **KW)[place], rtol=0, atol=ELECTRONS)


def test_image_at_the_register_has_nothing_in_front(rng: np.random.Generator) -> None:
    """Oracle: the same image without an origin, to the last bit; so of a full frame."""
    image = rng.poisson(20.0, (1024, 3)).astype(float)
    for amp, part, origin in (("A", image[:90], (0, 0)), ("D", image[-90:], (934, 1021)), ("D", image, (0, 0))):
        for function in (gpucti.correct_arrays, gpucti.add_cti_arrays):
            here = function(part, amp=amp, origin=origin, **KW)
            np.testing.assert_array_equal(here, function(part, amp=amp, **KW))


def test_stack_of_subarrays_is_its_images(rng: np.random.Generator) -> None:
    """Oracle: the images one by one, each with a sky and errors of its own; NumPy as Numba."""
    stack = rng.poisson(np.array([5.0, 80.0, 900.0])[:, None, None], (3, 40, 6)).astype(np.float32)
    err = np.full(stack.shape, 3.0, np.float32)
    place = {"amp": "C", "origin": (30, 500), "mjd": MJD}
    clean, sigma = gpucti.correct_arrays(stack, err=err, gain=[1.0, 4.0, 1.0], device="numba", **place)
    for one, old, new, new_err, gain in zip(stack, err, clean, sigma, (1.0, 4.0, 1.0), strict=True):
        alone = gpucti.correct_arrays(one, err=old, gain=gain, device="numba", **place)
        np.testing.assert_array_equal(alone, (new, new_err))
    twin = gpucti.correct_arrays(stack, gain=[1.0, 4.0, 1.0], device="numpy", **place)
    np.testing.assert_allclose(twin, clean, rtol=1e-6)


def test_one_row_and_one_column() -> None:
    """Oracle: a row of sky behind rows of sky is a row of sky."""
    for shape in ((1, 5), (5, 1), (1, 1)):
        flat = np.full(shape, 12.0)
        assert np.abs(gpucti.correct_arrays(flat, amp="B", origin=(700, 0), **KW) - flat).max() < 0.5


@pytest.mark.parametrize("hidden", [100.0, 10_000.0])
def test_what_a_hidden_source_spoils_is_flagged(hidden: float) -> None:
    """Oracle: the full frame with a source in the last row that was not kept: its trail ends with the rows flagged."""
    scene = np.full((1024, 2), 25.0)
    scene[499] += hidden
    frame = gpucti.add_cti_arrays(scene, amp="A", **KW)
    whole = gpucti.correct_arrays(frame, amp="A", noise_model=0, **KW)[500:620]
    part = gpucti.correct_arrays(frame[500:620], amp="A", origin=(500, 0), noise_model=0, **KW)
    wrong = np.abs(part - whole).max(axis=1)
    rows = unknown_rows("A", 120, (500, 0))
    assert rows == TAIL
    assert wrong[0] > 0.1 * hidden**0.5
    assert wrong[rows:].max() < 0.5


def test_rows_of_unknown_history() -> None:
    """Oracle: the definition: up to TAIL rows from the readout side, none where the image begins at the register."""
    assert unknown_rows("A", 100, None) == unknown_rows("A", 100, (0, 5)) == unknown_rows("D", 100, (924, 0)) == 0
    assert unknown_rows("D", 100, (923, 0)) == unknown_rows("A", 100, (1, 0)) == TAIL
    assert unknown_rows("A", 32, (500, 0)) == 32
    assert SKY_ROWS >= TAIL


def test_trap_density_of_the_columns_in_front(table: Pctetab) -> None:
    """Oracle: without traps in a column nothing changes there, whatever lies in front."""
    scale = np.ones(1024)
    scale[701] = 0.0
    uneven = replace(table, col_scale=dict.fromkeys("ABCD", scale))
    image = np.full((50, 3), 7.0)
    image[20] = 900.0
    clean = gpucti.correct_arrays(image, uneven, amp="A", origin=(300, 700), noise_model=0, **KW)
    np.testing.assert_array_equal(clean[:, 1], image[:, 1])
    assert np.abs(clean[:, 0] - image[:, 0]).max() > 1.0


def test_an_acquisition_of_the_archive(real_files: Path) -> None:
    """Oracle: its own sky; the row nearest the register stays as it is (empty traps: 20 counts more of 31)."""
    with fits.open(real_files / "ocmv0lw6q_raw.fits") as hdus:
        mjd = hdus[0].header["TEXPSTRT"]
        for number in (1, 2, 3):
            hdu = hdus["SCI", number]
            origin = (-int(hdu.header["LTV2"]), -int(hdu.header["LTV1"]))
            counts = hdu.data.astype(float)
            clean = gpucti.correct_arrays(counts, mjd=mjd, gain=4.016, amp="D", origin=origin, device="numba")
            assert abs((clean - counts)[-1].mean()) < 0.5
            assert abs(np.median(clean[-1]) - np.median(counts[-1])) < 0.5
