"""Scenes: what they promise to the tests, examples and benchmarks that use them."""

import numpy as np
import pytest

import gpucti
from gpucti.synthetic.scenes import dark, flat_field, long_slit, observe, read_out, star_field

SHAPE = (96, 80)
SCENES = {
    "star_field": star_field,
    "saturated": lambda shape, rng: star_field(shape, rng, saturated=True),
    "long_slit": long_slit,
    "dark": dark,
    "cosmic_rays": lambda shape, rng: dark(shape, rng, cosmic_rays=True, hits=1e-4),
    "flat_field": lambda shape, rng: flat_field(shape),
}


def rng(seed=1):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("shape", [SHAPE, (1, 1), (1, 40), (40, 1)])
def test_scenes_are_expected_charge_in_float64(name, shape):
    scene = SCENES[name](shape, rng())
    assert scene.shape == shape
    assert scene.dtype == np.float64
    assert np.isfinite(scene).all()
    assert (scene >= 0).all()


@pytest.mark.parametrize("name", SCENES)
def test_one_seed_gives_one_scene(name):
    np.testing.assert_array_equal(SCENES[name](SHAPE, rng(5)), SCENES[name](SHAPE, rng(5)))


@pytest.mark.parametrize("name", sorted(set(SCENES) - {"flat_field"}))
def test_another_seed_gives_another_scene(name):
    assert not np.array_equal(SCENES[name](SHAPE, rng(5)), SCENES[name](SHAPE, rng(6)))


@pytest.mark.parametrize("shape", [(0, 5), (5,), 5, (2, 3, 4), ("a", 2)])
def test_a_shape_that_is_none_is_an_error(shape):
    with pytest.raises(gpucti.InputError, match="expected \\(rows, cols\\)"):
        flat_field(shape)


def test_a_star_keeps_its_light():
    scene = star_field((64, 64), rng(6), sky=0.0, n_stars=1, faintest=1000.0, brightest=1000.001)
    row, col = np.unravel_index(scene.argmax(), scene.shape)
    assert 6 <= row < 58 and 6 <= col < 58  # this seed's star is whole
    assert scene.sum() == pytest.approx(1000.0, rel=1e-5)


def test_stars_lie_between_the_limits_of_their_fluxes():
    scene = star_field((400, 400), rng(), sky=0.0, n_stars=300, faintest=100.0, brightest=2000.0)
    assert 200 * 100.0 < scene.sum() < 300 * 2000.0
    assert scene.max() < 2 * 2000.0


def test_sky_is_what_was_asked_for():
    assert np.median(star_field((200, 200), rng(), sky=7.5)) == pytest.approx(7.5, abs=0.01)


def test_saturated_stars_exceed_100_000_electrons():
    assert star_field(SHAPE, rng(), brightest=5_000.0, saturated=True).max() > 100_000.0
    assert star_field(SHAPE, rng(), brightest=5_000.0).max() < 100_000.0


def test_a_spectrum_lies_along_the_columns():
    scene = long_slit((101, 200), rng(), sky=1.0, n_lines=0)
    assert (np.abs(scene.argmax(axis=0) - 50) <= 2).all()
    assert (scene[:30] < 1.01).all()


def test_a_slit_can_lie_anywhere():
    scene = long_slit((101, 200), rng(), slit_row=80.0, n_lines=0)
    assert (np.abs(scene.argmax(axis=0) - 80) <= 2).all()


def test_lines_fill_the_slit():
    with_lines, without = (long_slit((101, 200), rng(), n_lines=n, brightest_line=1e4) for n in (20, 0))
    assert with_lines[0].max() > without[0].max() + 1.0


def test_a_dark_grows_with_the_exposure():
    short, long = dark(SHAPE, rng(), 60.0), dark(SHAPE, rng(), 1100.0)
    np.testing.assert_allclose(long, short * (1100.0 / 60.0), rtol=1e-12)


def test_a_dark_has_warm_pixels():
    assert np.median(dark((256, 256), rng())) == pytest.approx(6.6, rel=0.05)
    warm = (dark((256, 256), rng()) > 25.0).mean()
    assert 0.02 < warm < 0.04


def test_cosmic_rays_only_add_charge():
    without, with_them = (dark(SHAPE, rng(), cosmic_rays=flag, hits=1e-4) for flag in (False, True))
    assert (with_them >= without).all()
    assert (with_them > without + 100.0).sum() > 100


def test_observe_adds_the_noise_of_photons_and_amplifier():
    image = observe(flat_field((300, 300), level=100.0), rng(), read_noise=5.6)
    assert image.mean() == pytest.approx(100.0, abs=0.2)
    assert image.std() == pytest.approx(np.hypot(10.0, 5.6), rel=0.02)


def test_observe_without_read_noise_counts_electrons():
    image = observe(flat_field(SHAPE, level=3.0), rng(), read_noise=0.0)
    np.testing.assert_array_equal(image, np.round(image))


def test_a_negative_scene_is_an_error():
    with pytest.raises(gpucti.InputError, match="negative"):
        observe(np.full((4, 4), -1.0), rng())


def test_read_out_trails_the_photons_and_not_the_read_noise():
    scene = star_field((200, 8), rng(), sky=2.0)
    noisy, quiet = (read_out(scene, rng(), mjd=57000.0, read_noise=n, device="numpy") for n in (5.6, 0.0))
    charge = rng().poisson(scene).astype(float)
    np.testing.assert_allclose(quiet, gpucti.add_cti_arrays(charge, mjd=57000.0, amp="A", device="numpy"), rtol=1e-12)
    assert (noisy - quiet).std() == pytest.approx(5.6, rel=0.1)
