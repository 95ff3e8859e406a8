"""correct_arrays and add_cti_arrays: kinds of arrays, orientation, and every wrong input."""

from __future__ import annotations

import re
import tracemalloc
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy import units
from astropy.nddata import CCDData

import gpucti
from gpucti.backends import get_backend
from gpucti.errors import InputError, ReferenceFileError
from gpucti.model.pctetab import Pctetab
from gpucti.synthetic import scenes as simulate
from support.scenes import READ_NOISE
from support.tolerances import ELECTRONS

MJD = 57000.0
KW = {"mjd": MJD, "device": "numba"}


@pytest.fixture
def image(rng: np.random.Generator) -> np.ndarray:
    return simulate.observe(simulate.star_field((60, 20), rng, n_stars=4), rng, read_noise=READ_NOISE)


def test_story_in_small_steps(image: np.ndarray, table: Pctetab) -> None:
    """Oracle: the steps one by one on the backend: electrons, turned, split, restored, joined, turned back, counts."""
    gain, backend, options = 4.015, get_backend("numpy"), table.options()
    electrons = np.ascontiguousarray(image[::-1, ::-1] * gain)[np.newaxis]
    signal, noise = backend.split_noise(electrons, options)
    frac = np.array([table.time_scale(MJD)])
    restored = backend.remove_cti(signal, frac, np.ones(20), table.traps(MJD), options)
    expected = ((restored.signal + noise) / gain)[0, ::-1, ::-1]
    ours = gpucti.correct_arrays(image, mjd=MJD, gain=gain, amp="D", device="numpy")
    np.testing.assert_array_equal(ours, expected)


def test_error_gets_a_tenth_of_the_change(image: np.ndarray) -> None:
    """Oracle: hand-worked: quadrature sum in electrons."""
    err = np.full(image.shape, 2.0)
    clean, sigma = gpucti.correct_arrays(image, err=err, gain=2.0, **KW)
    expected = np.sqrt((2.0 * 2.0) ** 2 + (0.1 * 2.0 * (image - clean)) ** 2) / 2.0
    np.testing.assert_allclose(sigma, expected, rtol=1e-12)
    assert (err == 2.0).all()


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("<f8", "f8"),
        (">f8", "f8"),
        ("<f4", "f4"),
        (">f4", "f4"),
        ("<i2", "f8"),
        (">i2", "f8"),
        ("u2", "f8"),
        ("?", "f8"),
    ],
)
def test_kinds_of_numbers(dtype: str, expected: str) -> None:
    """Oracle: the same numbers as float64, rounded to the dtype that comes back."""
    image = (np.arange(600).reshape(30, 20) % 37).astype(dtype)
    clean = gpucti.correct_arrays(image, **KW)
    assert clean.dtype == np.dtype(expected)
    assert clean.dtype.isnative
    np.testing.assert_array_equal(clean, gpucti.correct_arrays(image.astype(np.float64), **KW).astype(expected))


def test_views_and_read_only_arrays(image: np.ndarray) -> None:
    """Oracle: a contiguous copy; the inputs keep their bytes."""
    big = np.zeros((60, 40))
    big[:, ::2] = image
    view = big[:, ::2]
    frozen = image.copy()
    frozen.setflags(write=False)
    turned = np.asfortranarray(image)
    expected = gpucti.correct_arrays(image.copy(), **KW)
    for one in (view, frozen, turned, image[::-1][::-1]):
        before = one.tobytes()
        np.testing.assert_array_equal(gpucti.correct_arrays(one, **KW), expected)
        assert one.tobytes() == before
    for amp in "AD":  # for A no turn makes a copy by itself
        before = frozen.tobytes()
        gpucti.correct_arrays(frozen, err=frozen, amp=amp, nan="keep", **KW)
        gpucti.add_cti_arrays(frozen, amp=amp, **KW)
        assert frozen.tobytes() == before


def test_stack_equals_its_images(image: np.ndarray, table: Pctetab) -> None:
    """Oracle: the images one by one, with dates in two epochs and a gain each."""
    late = replace(table.epochs[0], start_mjd=58000.0, profile=table.epochs[0].profile ** 1.1)
    two = replace(table, epochs=(replace(table.epochs[0], end_mjd=58000.0), late))
    stack = np.stack([image, 2 * image, image + 5])
    dates, gains = [57000.0, 58500.0, 56000.0], [1.0, 4.0, 2.0]
    together = gpucti.correct_arrays(stack, two, mjd=dates, gain=gains, device="numba")
    for one, mjd, gain, expected in zip(stack, dates, gains, together, strict=True):
        np.testing.assert_array_equal(gpucti.correct_arrays(one, two, mjd=mjd, gain=gain, device="numba"), expected)


def test_amplifiers_are_turned_images(image: np.ndarray) -> None:
    """Oracle: with equal column scales amplifier A on the turned image is amplifier D on the image, exactly."""
    by_d = gpucti.correct_arrays(image, amp="D", **KW)
    np.testing.assert_array_equal(gpucti.correct_arrays(image[::-1, ::-1], amp="A", **KW)[::-1, ::-1], by_d)
    np.testing.assert_array_equal(gpucti.correct_arrays(image, amp="C", **KW), by_d)
    # columns the other way round: the sums of the noise split are added in another order
    np.testing.assert_allclose(gpucti.correct_arrays(image[::-1], amp="B", **KW)[::-1], by_d, rtol=0, atol=1e-11)


@pytest.mark.parametrize("amp", ["A", "B", "C", "D"])
def test_origin_is_a_piece_of_the_full_frame(amp: str, table: Pctetab, rng: np.random.Generator) -> None:
    """Oracle: the full frame, sky in front of the subarray, with a scale of its own for every column and amplifier."""
    scales = {name: 1 + 0.3 * rng.random(1024) for name in "ABCD"}
    uneven = replace(table, col_scale=scales)
    full = np.zeros((1024, 1024))
    place = (slice(300, 400), slice(500, 506))
    full[place] = rng.exponential(100.0, (100, 6))
    first, front = (full[300:396], slice(204, 300)) if amp in "AB" else (full[304:400], slice(400, 496))
    full[front] = np.median(first, axis=0)
    whole = gpucti.add_cti_arrays(full, uneven, amp=amp, **KW)
    part = gpucti.add_cti_arrays(full[place], uneven, amp=amp, origin=(300, 500), **KW)
    # what trails leave the subarray is not seen in it; what enters it from outside is sky
    np.testing.assert_allclose(part, whole[place], rtol=0, atol=ELECTRONS)
    assert np.abs(part - full[place]).max() > 1.0


def test_columns_that_the_table_lacks(table: Pctetab) -> None:
    """Oracle: the message, before any backend looks past the end of COL_SCALE."""
    short = replace(table, col_scale={name: np.ones(100) for name in "ABCD"})
    for amp in "AD":
        with pytest.raises(InputError, match="the array reaches column 104, COL_SCALE of a02_stis_pcte.fits has 100"):
            gpucti.correct_arrays(np.zeros((10, 9)), short, amp=amp, origin=(0, 95), **KW)


def test_many_threads_at_once(image: np.ndarray, table: Pctetab, tmp_path: Path) -> None:
    """Oracle: one thread; and the filters of the process are as they were."""
    path = table.write(tmp_path / "t.fits")
    expected = gpucti.correct_arrays(image, path, **KW)
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        for result in pool.map(lambda _: gpucti.correct_arrays(image, path, **KW), range(24)):
            np.testing.assert_array_equal(result, expected)
    assert list(warnings.filters) == before


def test_small_array_starts_at_the_readout_corner(table: Pctetab, rng: np.random.Generator) -> None:
    """Oracle: its place said in full: for amplifier D the last row and column."""
    uneven = replace(table, col_scale={name: 1 + 0.3 * rng.random(1024) for name in "ABCD"})
    small = rng.exponential(100.0, (40, 6))
    for amp, origin in (("A", (0, 0)), ("D", (1024 - 40, 1024 - 6))):
        expected = gpucti.add_cti_arrays(small, uneven, amp=amp, origin=origin, **KW)
        np.testing.assert_array_equal(gpucti.add_cti_arrays(small, uneven, amp=amp, **KW), expected)


def test_nan_is_refused_with_its_index(image: np.ndarray) -> None:
    """Oracle: the message."""
    image[3, 4] = np.nan
    with pytest.raises(InputError, match=re.escape("sci[3, 4] is nan; expected finite counts")):
        gpucti.correct_arrays(image, **KW)
    stack = np.stack([np.zeros_like(image), image])
    stack[1, 3, 4], stack[1, 2, 9] = 0.0, -np.inf
    with pytest.raises(InputError, match=re.escape("sci[1, 2, 9] is -inf")):
        gpucti.correct_arrays(stack, **KW)


def test_nan_kept(image: np.ndarray) -> None:
    """Oracle: the image with zeros there, and the bad pixels put back."""
    image = image.astype(np.float32)
    bad = image.copy()
    zero = image.copy()
    for index, value in (((3, 4), np.nan), ((50, 7), np.inf), ((0, 0), -np.inf)):
        bad[index], zero[index] = value, 0.0
    clean = gpucti.correct_arrays(bad, nan="keep", **KW)
    expected = gpucti.correct_arrays(zero, **KW)
    wrong = ~np.isfinite(bad)
    np.testing.assert_array_equal(clean[~wrong], expected[~wrong])
    np.testing.assert_array_equal(clean[wrong], bad[wrong])
    assert np.count_nonzero(np.isnan(bad)) == 1  # the input keeps it
    np.testing.assert_array_equal(gpucti.add_cti_arrays(bad, nan="keep", **KW)[wrong], bad[wrong])


OK = np.zeros((10, 10))


@pytest.mark.parametrize(
    ("sci", "kwargs", "words"),
    [
        (np.zeros(10), {}, "sci has shape (10,); expected (rows, cols) or (n, rows, cols)"),
        (np.zeros((1, 1, 2, 2)), {}, "sci has shape (1, 1, 2, 2)"),
        (np.zeros((0, 10)), {}, "sci has shape (0, 10)"),
        (np.zeros((0, 4, 4)), {}, "sci has shape (0, 4, 4)"),
        (np.zeros((10, 1025)), {}, "sci has 10 rows and 1025 columns; expected at most 1044 and 1024"),
        (np.zeros((1062, 10)), {}, "sci has 1062 rows"),
        (np.zeros((4, 4), complex), {}, "sci has dtype complex128; expected real numbers"),
        (np.array([["a"]]), {}, "expected real numbers"),
        (np.array([[None]]), {}, "sci has dtype object"),
        (np.ma.masked_array(OK, mask=OK == 0), {}, "sci is a masked array"),
        (OK, {"err": np.zeros((10, 9))}, "err has shape (10, 9); expected that of sci, (10, 10)"),
        (OK, {"amp": "E"}, "amp is 'E'; expected one of A, B, C, D"),
        (OK, {"amp": "AD"}, "amp is 'AD'"),
        (OK, {"gain": 0}, "gain[0] is 0; expected electrons per count, above 0"),
        (OK, {"gain": -1.0}, "gain[0] is -1"),
        (OK, {"gain": np.nan}, "gain[0] is nan; expected a finite number"),
        (OK, {"gain": [1.0, 2.0]}, "gain is [1.0, 2.0]; expected one number, or one per image (1)"),
        (OK, {"gain": "1"}, "gain is '1'; expected one number"),
        (OK, {"mjd": "57000"}, "mjd is '57000'; expected one number"),
        (OK, {"mjd": np.inf}, "mjd[0] is inf"),
        (np.zeros((2, 4, 4)), {"mjd": [57000.0] * 3}, "expected one number, or one per image (2)"),
        (OK, {"nan": "ignore"}, "nan is 'ignore'; expected 'raise' or 'keep'"),
        (OK, {"origin": (1020, 0)}, "does not lie on the 1024 x 1024 frame"),
        (OK, {"origin": (0, -1)}, "does not lie on"),
        (OK, {"origin": 5}, "origin is 5; expected (row, col)"),
        (OK, {"origin": (1.7, 2.9)}, "origin is (1.7, 2.9); expected (row, col), two whole numbers"),
        (OK, {"origin": "12"}, "origin is '12'; expected (row, col)"),
        (OK, {"origin": (np.inf, 0)}, "expected (row, col), two whole numbers"),
        (OK, {"amp": np.array(["D"])}, "amp is array(['D']"),
        (OK, {"pctetab": 3}, "pctetab is 3; expected a path, a Pctetab or None"),
        (OK, {"sim_nit": np.array([1, 2])}, "sim_nit is array([1, 2]); expected an integer"),
        (OK, {"read_noise": 10**400}, "expected a finite number"),
        (OK + 20, {"gain": 1e308}, "sci times gain is up to inf electrons; expected finite charges"),
        ([[1.0, 2.0], [3.0]], {}, "sci cannot be made an array"),
        (CCDData(OK, unit="adu"), {}, "sci is a CCDData, whose mask or unit would be lost"),
        (OK * units.ct, {}, "sci is a Quantity, whose mask or unit would be lost"),
        (OK, {"device": "gpu"}, "unknown backend 'gpu'"),
        (OK, {"sim_nits": 5}, "unknown option 'sim_nits'"),
        (OK, {"noise_model": 7}, "noise_model is 7"),
    ],
)
def test_wrong_input_is_one_clear_error(sci: np.ndarray, kwargs: dict[str, object], words: str) -> None:
    """Oracle: where, what was found, what is allowed."""
    with pytest.raises(InputError, match=re.escape(words)):
        gpucti.correct_arrays(sci, **({"mjd": MJD, "device": "numpy"} | kwargs))


def test_no_date_is_the_reference_date_and_said(image: np.ndarray, table: Pctetab) -> None:
    """Oracle: the date at which the trap density is 1."""
    with pytest.warns(UserWarning, match=r"no date given: using MJD 54984.0") as caught:
        clean = gpucti.correct_arrays(image, device="numba")
    assert caught[0].filename == __file__
    np.testing.assert_array_equal(clean, gpucti.correct_arrays(image, mjd=table.reference_mjd, device="numba"))


def test_date_past_the_last_scale_point_is_a_warning(image: np.ndarray) -> None:
    """Oracle: the released table: densities to MJD 59000, profiles to 62000."""
    with pytest.warns(UserWarning, match="up to MJD 59000; that of MJD 60300 is extrapolated") as caught:
        gpucti.correct_arrays(np.stack([image, image]), mjd=[60300.0, 60200.0], device="numba")
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gpucti.correct_arrays(image, mjd=58999.0, device="numba")


@pytest.mark.filterwarnings("ignore:.*MJD 59000")
def test_profiles_are_held_past_the_last_epoch(image: np.ndarray, table: Pctetab) -> None:
    """Oracle: a table whose last epoch ends later; one warning for a stack, in both directions."""
    later = replace(table, epochs=(replace(table.epochs[0], end_mjd=70000.0),))
    stack, dates = np.stack([image, image]), [62000.0, 63000.0]
    for function in (gpucti.correct_arrays, gpucti.add_cti_arrays):
        with pytest.warns(UserWarning, match="release profiles .* end at MJD 62000; the last ones are taken") as caught:
            held = function(stack, mjd=dates, device="numba")
        assert [w.filename for w in caught if "profiles" in str(w.message)] == [__file__]
        np.testing.assert_array_equal(held, function(stack, later, mjd=dates, device="numba"))


def test_dates_before_2009_are_corrected_twice_over(image: np.ndarray) -> None:
    """Oracle: the figure measured in frames of 1999; one warning for a stack, none from 2009-05-01 on."""
    for function in (gpucti.correct_arrays, gpucti.add_cti_arrays):
        with pytest.warns(UserWarning, match=r"before 2009-05-01 .*0\.55 \+- 0\.06 .*twice") as caught:
            function(np.stack([image, image, image]), mjd=[51453.0, 54951.0, 54952.0], device="numba")
        assert [w.filename for w in caught] == [__file__]
    gpucti.correct_arrays(image, mjd=54952.0, device="numba")  # warnings are errors


@pytest.mark.parametrize("mjd", [1e9, 72000.0, 40000.0, 0.0])
def test_date_outside_the_table_is_an_error(image: np.ndarray, mjd: float) -> None:
    """Oracle: the released table; the message names the image."""
    with pytest.raises(ReferenceFileError, match=rf"mjd\[1\]: .*MJD {re.escape(f'{mjd:g}')}"):
        gpucti.correct_arrays(np.stack([image, image]), mjd=[MJD, mjd], device="numpy")


def test_a_backend_in_hand(image: np.ndarray) -> None:
    """Oracle: the same backend by name."""
    by_name = gpucti.correct_arrays(image, mjd=MJD, device="numpy")
    np.testing.assert_array_equal(gpucti.correct_arrays(image, mjd=MJD, device=get_backend("numpy")), by_name)


def test_table_by_path(image: np.ndarray, table: Pctetab, tmp_path: Path) -> None:
    """Oracle: the packaged table."""
    path = table.write(tmp_path / "t.fits")
    expected = gpucti.correct_arrays(image, **KW)
    for one in (path, str(path), table):
        np.testing.assert_array_equal(gpucti.correct_arrays(image, one, **KW), expected)


def test_overrides_reach_the_correction(image: np.ndarray, table: Pctetab) -> None:
    """Oracle: a table whose header says the same."""
    options = {"read_noise": 3.0, "noise_model": 2, "oversub_thresh": -10.0, "sim_nit": 3, "shft_nit": 2}
    header = replace(table, defaults=table.options(**options))
    np.testing.assert_array_equal(
        gpucti.correct_arrays(image, **KW, **options), gpucti.correct_arrays(image, header, **KW)
    )
    assert not np.array_equal(gpucti.correct_arrays(image, **KW, **options), gpucti.correct_arrays(image, **KW))


def test_batches_bound_the_memory(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    """Oracle: a batch cut into single images gives the same, with less memory at its peak."""
    stack = rng.normal(20.0, 6.0, (24, 400, 128))
    each = {"mjd": rng.uniform(55000, 58900, 24), "gain": rng.uniform(1, 4, 24), "device": "numba"}
    err = rng.uniform(1, 5, stack.shape)
    one_by_one = [
        gpucti.correct_arrays(image, mjd=mjd, gain=gain, err=sigma, device="numba")
        for image, mjd, gain, sigma in zip(stack, each["mjd"], each["gain"], err, strict=True)
    ]
    peaks = []
    for limit in (2**30, 5 * 400 * 128 * 56, 1):  # all together, five at a time, one at a time
        monkeypatch.setattr("gpucti.backends._host.WORKING_MEMORY", limit)
        tracemalloc.start()
        sci, sigma = gpucti.correct_arrays(stack, err=err, **each)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        np.testing.assert_array_equal(sci, [image for image, _ in one_by_one])
        np.testing.assert_array_equal(sigma, [error for _, error in one_by_one])
        trailed = gpucti.add_cti_arrays(stack[:6], mjd=each["mjd"][:6], gain=each["gain"][:6], device="numba")
        np.testing.assert_array_equal(
            trailed[5], gpucti.add_cti_arrays(stack[5], mjd=each["mjd"][5], gain=each["gain"][5], device="numba")
        )
    assert peaks[2] < 0.6 * peaks[0]


def test_public_names() -> None:
    """Oracle: __all__; an unknown name is an AttributeError."""
    for name in gpucti.__all__:
        assert getattr(gpucti, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'correct_array'"):
        gpucti.correct_array  # noqa: B018


@pytest.mark.parametrize("name", ["correct_arrays", "add_cti_arrays"])
def test_docstring_examples(name: str) -> None:
    """Oracle: the examples themselves."""
    import doctest

    function = getattr(gpucti, name)
    runner = doctest.DocTestRunner()
    for test in doctest.DocTestFinder().find(function, name, globs={"gpucti": gpucti}):
        assert runner.run(test).failed == 0
    assert runner.tries > 0
