"""Cosmic-ray rejection: hand-worked numbers, a scan pixel by pixel as the oracle, the golden visit, the real cs2."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from gpucti.backends import get_backend
from gpucti.backends.base import Backend
from gpucti.calibration.base import Trailer
from gpucti.calibration.crreject import combine as crcombine
from gpucti.calibration.crreject.crreject import (
    CrCombined,
    CrParameters,
    combine,
    read_rejection_parameters,
    reject_cosmic_rays,
)
from gpucti.calibration.crreject.hits import neighbours_within, with_surroundings
from gpucti.calibration.crreject.sky import sky_mode
from gpucti.calibration.reffiles import References
from gpucti.errors import InputError, ReferenceFileError
from gpucti.io.exposure import Exposure
from support.dark_files import crrejtab, exposure, table

f32 = np.float32
PLAIN = {
    "sigmas": (5.0,), "skysub": "none", "radius": 0.0, "thresh": 0.8, "initgues": "minimum", "scalense": 0.0,
    "badinpdq": 0, "mask": False,
}  # fmt: skip


def parameters(**changes: Any) -> CrParameters:
    return CrParameters(**(PLAIN | changes))


def run(
    sci: list[np.ndarray],
    dq: list[np.ndarray] | None = None,
    times: list[float] | None = None,
    noise: float = 5.0,
    gain: float = 1.0,
    backend: Backend | None = None,
    **changes: Any,
) -> CrCombined:
    """Combine images of read noise 5 and gain 1, 100 s each, and bring the result home."""
    backend = backend or get_backend("numpy")
    n = len(sci)
    dq = dq or [np.zeros(image.shape, np.int16) for image in sci]
    done = combine(sci, dq, times or [100.0] * n, [noise] * n, [gain] * n, parameters(**changes), backend)
    return done._replace(
        sci=backend.asnumpy(done.sci),
        err=backend.asnumpy(done.err),
        dq=backend.asnumpy(done.dq),
        masks=tuple(map(backend.asnumpy, done.masks)),
    )


def flat(*values: float, shape: tuple[int, int] = (5, 6)) -> list[np.ndarray]:
    return [np.full(shape, value, f32) for value in values]


def scan(hot: np.ndarray, warm: np.ndarray, excluded: np.ndarray, radius: float) -> np.ndarray:
    """Mark hits and surroundings as ocrreject does: one pixel after the other, marks changing on the way."""
    rows, cols = hot.shape
    mark = np.where(excluded, "excluded", "ok").astype("U8")
    width = int(radius + 1e-5)
    for y in range(rows):
        for x in range(cols):
            if mark[y, x] == "excluded" or not hot[y, x]:
                continue
            mark[y, x] = "hit"
            for yy in range(max(y - width, 0), min(y + width, rows - 1) + 1):
                for xx in range(max(x - width, 0), min(x + width, cols - 1) + 1):
                    near = (yy - y) ** 2 + (xx - x) ** 2 <= radius**2
                    if near and warm[yy, xx] and mark[yy, xx] != "hit":
                        mark[yy, xx] = "spill"
    return (mark == "hit") | (mark == "spill")


# ---- by hand


def test_a_hit_is_left_out_and_made_up_for() -> None:
    """Oracle: by hand. 100 and 100 counts, 1000 more in one pixel: that pixel is twice the other image."""
    sci = flat(100, 100)
    sci[1][2, 3] += 1000
    done = run(sci, mask=True)
    assert done.n_rejected == 1
    assert (done.sci == 200).all()
    variance = 25 + 100  # read noise squared, and the counts; twice where both images count
    expected = np.full((5, 6), f32(np.sqrt(2 * variance) / 200) * f32(200))
    expected[2, 3] = f32(np.sqrt(variance) / 100) * f32(200)
    np.testing.assert_array_equal(done.err, expected)
    assert done.masks[1][2, 3] == 8192 and np.count_nonzero(done.masks[1]) == 1 and not done.masks[0].any()
    assert not done.dq.any()  # one good exposure is left
    assert done.exptime == 200


def test_threshold_is_strict() -> None:
    """Oracle: by hand. Variance of 0 counts is 16: 5 sigma are 20 counts, which are not above 20 counts."""
    sci = flat(0, 0)
    sci[1][0, 0], sci[1][0, 1] = 20, np.nextafter(f32(20), f32(21))
    done = run(sci, noise=4.0, times=[1.0, 1.0])
    assert done.n_rejected == 1
    assert done.sci[0, 0] == 20 and done.sci[0, 1] == 0


@pytest.mark.parametrize(("radius", "count"), [(0, 1), (1, 5), (1.5, 9), (2, 13), (2.3, 21)])
def test_spill_radius(radius: float, count: int) -> None:
    """Oracle: lattice points within a circle, counted by hand; all neighbours are well above their threshold."""
    assert len(neighbours_within(radius)) == count
    sci = flat(0, 0, shape=(9, 9))
    sci[1] += 15  # above 0.5 * 5 sigma = 12.5 counts, below 25
    sci[1][4, 4] = 500
    assert run(sci, radius=radius, thresh=0.5).n_rejected == count


def test_spill_threshold_zero_takes_every_neighbour() -> None:
    """Oracle: CRTHRESH <= 0 rejects neighbours whatever they hold (spec 4.5), also those at the image's edge."""
    sci = flat(0, 0)
    sci[1][0, 0] = 500
    assert run(sci, radius=1.5, thresh=0).n_rejected == 4
    assert run(sci, radius=1.5, thresh=0.1).n_rejected == 1


def test_more_iterations_find_fainter_hits() -> None:
    """Oracle: by hand. Variance 25 of 0 counts: 27 counts are below 6 sigma and above 5."""
    sci = flat(0, 0, 0)
    sci[2][1, 1] = 27
    assert run(sci, sigmas=(6.0,)).n_rejected == 0
    done = run(sci, sigmas=(6.0, 3.0))  # the mean is 9, residual 18, threshold 3 * sqrt(25 + 9) = 17.5
    assert done.n_rejected == 1 and done.sci[1, 1] == 0


def test_median_and_minimum_guess() -> None:
    """Oracle: by hand. Of 0, 300, 300 the minimum rejects two, the median one."""
    sci = flat(0, 300, 300)
    assert run(sci, initgues="minimum").n_rejected == 2 * 30
    assert run(sci, initgues="median").n_rejected == 30
    even = run(flat(0, 10, 20, 30), times=[1.0] * 4, initgues="median", sigmas=(100.0,))
    assert (even.sci == 60).all()


def test_minimum_takes_the_noise_of_its_exposure() -> None:
    """Oracle: by hand. Rates 1 and 1.05 per s, but of 100 s and 1 s: the minimum's variance is (25 + 100) / 100^2."""
    sci = [np.full((3, 3), 100, f32), np.full((3, 3), 1.05, f32)]
    limit = 5 * np.sqrt(125) / 100  # 0.559 per s
    assert run(sci, times=[100.0, 1.0]).n_rejected == 0
    sci[1] += 1 + limit - 1.05 + 0.001
    assert run(sci, times=[100.0, 1.0]).n_rejected == 9


def test_all_images_rejected() -> None:
    """Oracle: spec 4.6, 4.7: no good exposure leaves SCI = sky, ERR = 0, and 8192 in DQ."""
    sci = flat(0, 0, 0, 0)
    sci[2] += 1000
    sci[3] += 1000
    done = run(sci, initgues="median", sigmas=(5.0,))  # the median is 500, far from all
    assert done.n_rejected == 4 * 30
    assert not done.sci.any() and not done.err.any()
    assert (done.dq == 8192).all()


def test_excluded_pixels_do_not_count_but_guess() -> None:
    """Oracle: spec 4.4, 4.6: BADINPDQ pixels enter the first guess; excluded everywhere is no 8192."""
    sci, dq = flat(10, 12), [np.zeros((5, 6), np.int16) for _ in range(2)]
    dq[0][1, 1] = dq[1][1, 1] = dq[0][2, 2] = 16
    dq[0][3, 3] = 8192 + 4  # an old mark is not carried over
    sci[0][4, 4] = -1000
    dq[0][4, 4] = 16
    done = run(sci, dq, badinpdq=16, mask=True)
    assert done.sci[1, 1] == 0 and done.dq[1, 1] == 16
    assert done.sci[2, 2] == 24
    assert done.dq[3, 3] == 4 and done.masks[0][3, 3] == 4
    assert done.sci[4, 4] == 0 and done.dq[4, 4] == 16  # 12 is far above the bad pixel's minimum


def test_noise_proportional_to_the_signal() -> None:
    """Oracle: spec 4.5: 3 per cent of 1000 counts add 900 to the variance, in the test and in ERR."""
    sci = flat(1000, 1000)
    sci[1][0, 0] += 5 * np.sqrt(1025) + 1
    assert run(sci).n_rejected == 1
    done = run(sci, scalense=3.0)
    assert done.n_rejected == 0
    share = f32(1000) * f32(0.03)
    variance = f32(1025) + share * share
    assert done.err[1, 1] == f32(np.sqrt(float(variance + variance)) / 200) * f32(200)


def test_biases_count_alike() -> None:
    """Oracle: spec 4.1: all times 0: every image weighs 1, the sum is over N, the total time stays 0."""
    done = run(flat(10, 14), times=[0.0, 0.0])
    assert done.exptime == 0
    assert (done.sci == 24).all()


@pytest.mark.parametrize(
    "values",
    [
        [0.5, -0.5, -0.9, 0.9, 7.5, 7.6, 7.7],  # bin 0 is 2 wide: its 4 beat the 3 of bin 7
        [3.2, 3.3, 3.4, 4.1, 4.5, 2.5],
    ],
)
def test_sky_mode_truncates_towards_zero(values: list[float]) -> None:
    """Oracle: the histogram by hand (int() truncates), and the parabola through the peak (spec 4.3)."""
    counts: dict[int, int] = {}
    for value in values:
        counts[int(value)] = counts.get(int(value), 0) + 1
    peak = max(counts, key=lambda key: (counts[key], -key))
    rise, fall = counts[peak] - counts.get(peak - 1, 0), counts[peak] - counts.get(peak + 1, 0)
    expected = f32(peak + 0.5 + 0.5 * (rise - fall) / (rise + fall))
    image = np.array([values], f32)
    assert sky_mode(image, np.zeros(image.shape, np.int16), np) == pytest.approx(expected, rel=1e-6)  # 2 roundings


def test_sky_mode_uses_good_pixels_below_twice_the_mean() -> None:
    """Oracle: spec 4.3 by hand."""
    image = np.array([[5.5] * 6 + [1000.5] * 7 + [2.5] * 20], f32)
    dq = np.zeros(image.shape, np.int16)
    dq[0, 13:] = 1
    assert sky_mode(image, dq, np) == 1000.5
    assert sky_mode(image, np.ones_like(dq), np) == 0
    assert (
        sky_mode(np.full((4, 4), -3.2, f32), np.zeros((4, 4), np.int16), np) == -2.5
    )  # bin -3: peak in the second bin
    assert sky_mode(np.full((4, 4), -2000.5, f32), np.zeros((4, 4), np.int16), np) == -999.5  # nothing in the histogram


def test_sky_is_taken_off_and_added_back() -> None:
    """Oracle: by hand. Skies of 20 and 60 counts: neither image is rejected, the sum is that of the counts."""
    rng = np.random.default_rng(3)
    base = rng.uniform(0, 1, (20, 20)).astype(f32)
    sci = [base + 20, base + 60]
    done = run(sci, skysub="mode")
    assert done.n_rejected == 0
    np.testing.assert_allclose(done.sci, sci[0] + sci[1], rtol=1e-6)  # a few roundings of single precision
    assert done.sky.tolist() == [20.5, 60.5]


# ---- the scan as the oracle


def test_excluded_pixels_spread_in_raster_order() -> None:
    """Oracle: by hand: a chain of excluded hot pixels is followed to the right and downwards, not back."""
    hot = np.zeros((3, 8), dtype=bool)
    hot[1, 1:7] = True
    excluded = hot.copy()
    excluded[1, 3] = False
    found = with_surroundings(hot, hot, excluded, neighbours_within(1.0), np)
    assert np.flatnonzero(found[1]).tolist() == [2, 3, 4, 5, 6]  # 2 is a neighbour, but no hit that spreads to 1


@pytest.mark.parametrize("radius", [0.0, 1.0, 1.5, 2.1, 3.0])
@pytest.mark.parametrize("share", [0.05, 0.4])
def test_surroundings_equal_the_scan(radius: float, share: float, rng: np.random.Generator) -> None:
    """Oracle: the scan, pixel by pixel, above."""
    for _ in range(4):
        shape = (13, 17)
        warm = rng.random(shape) < 0.6
        hot, excluded = warm & (rng.random(shape) < 0.6), rng.random(shape) < share
        found = with_surroundings(hot, warm, excluded, neighbours_within(radius), np)
        np.testing.assert_array_equal(found, scan(hot, warm, excluded, radius))


def combine_by_pixel(
    sci: list[np.ndarray], dq: list[np.ndarray], times: list[float], noise: float, gain: float, p: CrParameters
) -> tuple[np.ndarray, ...]:
    """Do what spec section 4 says without sky, in single precision, one image at a time; return SCI, ERR, DQ, masks."""
    t = [f32(time) for time in times]
    noise2, gain, scale = f32(noise) / f32(gain) * (f32(noise) / f32(gain)), f32(gain), f32(p.scalense / 100)
    rate = [image / time for image, time in zip(sci, t, strict=True)]
    if p.initgues == "median":
        mean = np.median(np.stack(rate), axis=0)
    else:
        first = np.argmin(np.stack(rate), axis=0)
        mean = np.min(np.stack(rate), axis=0)
    zero = f32(0)
    for k, sigma in enumerate(map(f32, p.sigmas)):
        total, weight, variance, lost = np.zeros_like(mean), np.zeros_like(mean), np.zeros_like(mean), []
        for n, image in enumerate(rate):
            if k == 0 and p.initgues == "minimum":
                raw, time = np.take_along_axis(np.stack(sci), first[None], 0)[0], np.array(t)[first]
                above = scale * np.maximum(raw, zero)
                limit = spill = (
                    sigma * sigma * (((noise2 + np.maximum(raw, zero) / gain) + above * above) / (time * time))
                )
            else:
                counts = np.maximum(mean * t[n], zero)
                above = scale * counts
                limit = sigma * sigma * ((noise2 + counts / gain) + above * above) / (t[n] * t[n])
                spill = sigma * sigma * (noise2 + counts / gain) / (t[n] * t[n])
            away = (image - mean) * (image - mean)
            excluded = (dq[n] & p.badinpdq) != 0
            share = f32(p.thresh) * f32(p.thresh) if p.thresh > 0 else f32(-1)
            lost.append(scan(away > limit, away > share * spill, excluded, p.radius))
            good = ~lost[-1] & ~excluded
            counts = image * t[n]
            total[good] += counts[good]
            weight[good] += t[n]
            counts = np.maximum(counts, zero)
            variance[good] += ((noise2 + counts / gain) + (scale * counts) * (scale * counts))[good]
        kept = zero if k + 1 == len(p.sigmas) else mean
        mean = np.where(weight > 0, total / np.where(weight > 0, weight, f32(1)), kept)
    exptime = np.cumsum(np.array(t))[-1]
    err = (
        np.where(weight > 0, np.sqrt(variance.astype(float)) / np.where(weight > 0, weight, 1), 0).astype(f32) * exptime
    )
    bits = np.bitwise_or.reduce(dq) & ~8192 | np.where(np.logical_and.reduce(lost), 8192, 0)
    return mean * exptime, err, bits, *(d & ~8192 | np.where(one, 8192, 0) for d, one in zip(dq, lost, strict=True))


CASES: list[dict[str, Any]] = [
    {},
    {"badinpdq": 16},
    {"initgues": "median", "badinpdq": 16, "radius": 2.1},
    {"scalense": 3.0, "badinpdq": 24, "thresh": 0.0},
    {"initgues": "median", "sigmas": (4.0,), "scalense": 1.5, "thresh": 0.3},
    {"badinpdq": 16383, "radius": 3.0, "thresh": 0.5},
]


@pytest.mark.parametrize("case", CASES)
def test_combine_equals_the_scan(
    case: dict[str, Any], backend: Backend, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: the scan; every bit, whatever the bands and the device."""
    monkeypatch.setattr(crcombine, "BAND_PIXELS", 100)
    times = [100.0, 250.5, 33.3, 100.0]
    shape = (23, 31)
    truth = rng.exponential(1.0, shape)
    sci = [(rng.poisson(truth * time) + rng.normal(0, 5, shape)).astype(f32) for time in times]
    for image in sci:
        image += np.where(rng.random(shape) < 0.04, rng.exponential(300, shape), 0).astype(f32)
        image += f32(0.3) * np.roll(image, 1, 1)
    dq = [np.where(rng.random(shape) < 0.3, 16, 0).astype(np.int16) for _ in times]
    dq[1][rng.random(shape) < 0.05] |= 8192
    case = {"sigmas": (6.5, 5.5, 4.5), "radius": 1.5, "mask": True} | case
    done = run(sci, dq, times, noise=5.7, gain=1.018, backend=backend, **case)
    expected = combine_by_pixel(sci, dq, times, 5.7, 1.018, parameters(**case))
    for ours, theirs in zip((done.sci, done.err, done.dq, *done.masks), expected, strict=True):
        assert ours.dtype == (np.int16 if theirs.dtype.kind == "i" else f32)
        np.testing.assert_array_equal(ours, theirs)
    assert done.n_rejected == sum(np.count_nonzero(mask & 8192) for mask in done.masks)


def test_inputs_are_not_changed(rng: np.random.Generator) -> None:
    """Oracle: copies made before."""
    sci = [rng.normal(10, 5, (8, 8)).astype(f32) for _ in range(3)]
    dq = [np.full((8, 8), 8192 + 16, np.int16) for _ in range(3)]
    before = [array.copy() for array in (*sci, *dq)]
    run(sci, dq, skysub="mode", badinpdq=16, mask=True, radius=1.5)
    for now, then in zip((*sci, *dq), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize(
    ("sci", "times", "words"),
    [
        (flat(1), [1.0], "two at least"),
        ([*flat(1), *flat(1, shape=(2, 2))], [1.0, 1.0], "one shape"),
        (flat(1, 1), [1.0, 0.0], "EXPTIME"),
        (flat(1, 1), [1.0, -1.0], "EXPTIME"),
        (flat(1, np.nan), [1.0, 1.0], "NaN"),
        (flat(1, np.inf), [1.0, 1.0], "NaN or infinity"),
    ],
)
def test_what_cannot_be_combined(sci: list[np.ndarray], times: list[float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        run(sci, times=times)


@pytest.mark.parametrize(
    "change",
    [
        {"sigmas": ()}, {"sigmas": (5.0,) * 21}, {"sigmas": (-1.0,)}, {"sigmas": (float("nan"),)}, {"skysub": "mean"},
        {"radius": -1.0}, {"radius": 1e9}, {"thresh": float("inf")}, {"initgues": "max"}, {"scalense": -1.0},
        {"badinpdq": -1}, {"badinpdq": 2**15},
    ],
)  # fmt: skip
def test_parameters_out_of_range(change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="expected"):
        parameters(**change)


# ---- the table


def test_row_of_the_table(tmp_path: Path) -> None:
    """Oracle: spec 4.2: CRSPLIT of N or the largest; the next larger MEANEXP, of equals the last."""
    rows = [
        {"CRSPLIT": 2, "MEANEXP": 100.0, "CRSIGMAS": "1"},
        {"CRSPLIT": 3, "MEANEXP": 1200.0, "CRSIGMAS": "2"},
        {"CRSPLIT": 3, "MEANEXP": 100.0, "CRSIGMAS": "3"},
        {"CRSPLIT": 3, "MEANEXP": 1200.0, "CRSIGMAS": "4"},
    ]
    crr = table(tmp_path / "crr.fits", *rows)
    for n, mean, sigma in ((2, 50, 1), (2, 100, 1), (3, 100, 3), (3, 100.001, 4), (12, 500, 4), (3, 0, 3)):
        assert read_rejection_parameters(crr, n, mean, spectroscopic=False).sigmas == (sigma,)
    for n, mean, words in ((2, 101, "at least 101 s .has 100"), (9, 1201, "CRSPLIT 3")):
        with pytest.raises(ReferenceFileError, match=words):
            read_rejection_parameters(crr, n, mean, spectroscopic=False)
    with pytest.raises(ReferenceFileError, match=r"CRSPLIT 4 .*has no row"):
        gap = table(tmp_path / "gap.fits", {"CRSPLIT": 3}, {"CRSPLIT": 5})
        read_rejection_parameters(gap, 4, 10, spectroscopic=False)


def test_parameters_of_the_table(tmp_path: Path) -> None:
    """Oracle: spec 4.2 by hand."""
    row = {"SKYSUB": "mode", "CRSIGMAS": " 6.5; 5.5/4 , 3", "INITGUES": "med", "SCALENSE": 1.5, "BADINPDQ": 24}
    crr = table(tmp_path / "crr.fits", row)
    found = read_rejection_parameters(crr, 2, 10, spectroscopic=False)
    assert found.sigmas == (6.5, 5.5, 4.0, 3.0)
    assert (found.skysub, found.initgues, found.scalense, found.badinpdq, found.mask) == (
        "mode",
        "median",
        1.5,
        24,
        True,
    )
    assert found.thresh == float(f32(0.8))
    assert read_rejection_parameters(crr, 2, 10, spectroscopic=True).skysub == "none"
    odd = read_rejection_parameters(table(tmp_path / "odd.fits", {"INITGUES": "best"}), 2, 10, spectroscopic=False)
    assert odd.initgues == odd.texts[1] == "minimum"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"CRSIGMAS": "6.5,,4"}, "CRSIGMAS"), ({"CRSIGMAS": ""}, "CRSIGMAS"), ({"CRSIGMAS": "a"}, "CRSIGMAS"),
        ({"CRSIGMAS": ",".join(["5"] * 21)}, "CRSIGMAS"), ({"SKYSUB": "median"}, "SKYSUB"),
        ({"CRRADIUS": -1}, "CRRADIUS"), ({"CRRADIUS": np.nan}, "CRRADIUS"), ({"MEANEXP": np.nan}, "MEANEXP"),
        ({"BADINPDQ": -3}, "BADINPDQ"),
    ],
)  # fmt: skip
def test_nonsense_in_the_table(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(ReferenceFileError, match=words):
        read_rejection_parameters(table(tmp_path / "crr.fits", change), 2, 10, spectroscopic=False)


@pytest.mark.parametrize("name", ["CRSPLIT", "CRSIGMAS", "CRMASK", "SCALENSE"])
def test_missing_column(tmp_path: Path, name: str) -> None:
    with pytest.raises(ReferenceFileError, match=f"{name} is missing"):
        read_rejection_parameters(table(tmp_path / "crr.fits", without=name), 2, 10, spectroscopic=False)


# ---- exposures


def reject(folder: Path, *exposures: Exposure, **row: Any) -> tuple[Exposure, list[Exposure]]:
    crrejtab(folder / "test_crr.fits", row)
    return reject_cosmic_rays(exposures, references=References(), backend=get_backend("numpy"), trailer=Trailer())


def test_headers_of_the_product(tmp_path: Path) -> None:
    """Oracle: spec 4.8 by hand; O-11: a missing OCCDHTAV counts as -1, here (20.3 - 2 + 61.5) / 6 = 13.3."""
    sci = flat(10, 20, 30)
    sci[2][1, 1] = 5000
    given = exposure(
        tmp_path, sci, EXPTIME=[100.0, 200.0, 300.0], OCCDHTAV=[20.3, None, 20.5], MEANBLEV=[1.0, 2.0, 3.0]
    )
    product, inputs = reject(tmp_path, given, SKYSUB="mode", BADINPDQ=16, SCALENSE=0.1)
    primary, header = product.primary, product.sci_headers[0]
    assert product.n_imsets == 1 and product.shape == (5, 6)
    assert primary["TEXPTIME"] == header["EXPTIME"] == 600
    assert primary["REJ_RATE"] == float(f"{f32(1) / f32(600):.7e}")
    assert primary["SKYSUM"] == 10.5 + 20.5 + 30.5
    assert (primary["TEXPSTRT"], primary["TEXPEND"]) == (56000.25, 56000.28)
    assert (header["EXPSTART"], header["EXPEND"]) == (56000.25, 56000.28)
    assert (primary["INITGUES"], primary["SKYSUB"], primary["CRSIGMAS"]) == ("min", "mode", "6.5,5.5,4.5")
    assert (primary["MEANEXP"], primary["CRRADIUS"], primary["CRTHRESH"]) == (200, 1.5, 0.80000001)
    assert (primary["SCALENSE"], primary["BADINPDQ"], primary["CRMASK"]) == (0.1, 16, True)
    assert (primary["NEXTEND"], primary["CRCORR"]) == (3, "COMPLETE")
    assert (header["NCOMBINE"], header["MEANBLEV"]) == (3, 1.0)
    assert header["OCCDHTAV"] == pytest.approx(13.3, rel=1e-6)  # single precision
    assert given.primary["CRCORR"] == "OMIT" and "NCOMBINE" not in given.sci_headers[0]
    assert inputs[0].imsets[2].dq[1, 1] == 8192 and not given.imsets[2].dq.any()


def test_without_crmask_the_inputs_stay(tmp_path: Path) -> None:
    given = exposure(tmp_path, flat(10, 500))
    _, inputs = reject(tmp_path, given, CRMASK=False)
    assert inputs == [given]


def test_bad_image_sets_are_left_out(tmp_path: Path) -> None:
    """Oracle: the product without them (O-5: also where the first image set is the bad one, unlike the original)."""
    good = exposure(tmp_path, flat(10, 20), EXPTIME=[50.0, 60.0], MEANBLEV=[2.0, 3.0])
    both = exposure(
        tmp_path, flat(0, 10, 20), EXPTIME=[0.0, 50.0, 60.0], IMSET_OK=[False, True, None], MEANBLEV=[1.0, 2.0, 3.0],
        EXPSTART=[0.0, 56000.25, 56000.26], EXPEND=[99999.0, 56000.26, 56000.27],
    )  # fmt: skip
    expected, _ = reject(tmp_path, good)
    product, inputs = reject(tmp_path, both)
    np.testing.assert_array_equal(product.imsets[0].sci, expected.imsets[0].sci)
    header = product.sci_headers[0]
    assert {key: header[key] for key in expected.sci_headers[0]} == dict(expected.sci_headers[0])
    assert inputs[0].imsets[0].dq is not None and inputs[0].n_imsets == 3


def test_several_files(tmp_path: Path) -> None:
    """Oracle: one file with all image sets."""
    one = exposure(tmp_path, flat(10, 20, 500))
    many = [exposure(tmp_path, flat(value)) for value in (10, 20, 500)]
    expected, masked = reject(tmp_path, one)
    product, inputs = reject(tmp_path, *many)
    np.testing.assert_array_equal(product.imsets[0].sci, expected.imsets[0].sci)
    np.testing.assert_array_equal(inputs[2].imsets[0].dq, masked[0].imsets[2].dq)
    assert product.primary["TEXPTIME"] == 300


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"READNSE": None}, "READNSE is missing"),
        ({"READNSE": -1.0}, "READNSE"),
        ({"ATODGAIN": 0.0}, "ATODGAIN"),
        ({"EXPTIME": [100.0, None]}, "EXPTIME is missing"),
        ({"EXPTIME": [100.0, -1.0]}, "EXPTIME"),
        ({"EXPTIME": [100.0, 0.0]}, "0 for all"),
        ({"IMSET_OK": [True, False]}, "1 image set"),
        ({"IMSET_OK": [True, "no"]}, "IMSET_OK"),
        ({"OBSTYPE": None}, "OBSTYPE is missing"),
    ],
)
def test_exposures_that_cannot_be_combined(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        reject(tmp_path, exposure(tmp_path, flat(1, 2), **changes))


def test_exposures_that_do_not_belong_together(tmp_path: Path) -> None:
    a, b = exposure(tmp_path, flat(1)), exposure(tmp_path, flat(1), CCDAMP="A")
    with pytest.raises(InputError, match="CCDAMP is A, D"):
        reject(tmp_path, a, b)
    with pytest.raises(InputError, match="shape"):
        reject(tmp_path, a, exposure(tmp_path, flat(1, shape=(3, 3))))
    with pytest.raises(InputError, match="NaN or infinity at row 0, column 0"):
        reject(tmp_path, a, exposure(tmp_path, flat(np.nan)))


def test_no_table(tmp_path: Path) -> None:
    for name in ("N/A", None, "nowhere.fits"):
        given = exposure(tmp_path, flat(1, 2), CRREJTAB=name)
        with pytest.raises(ReferenceFileError, match="CRREJTAB"):
            reject(tmp_path, given)


# ---- the real thing

#: Keywords that cs2 writes; all else is copied.
PRIMARY = (
    "TEXPTIME", "SKYSUM", "REJ_RATE", "TEXPSTRT", "TEXPEND", "INITGUES", "SKYSUB", "CRSIGMAS", "MEANEXP", "CRRADIUS",
    "CRTHRESH", "SCALENSE", "BADINPDQ", "CRMASK", "NEXTEND", "CRCORR",
)  # fmt: skip
SCI = ("EXPTIME", "EXPSTART", "EXPEND", "NCOMBINE", "OCCDHTAV")


@pytest.mark.golden
@pytest.mark.parametrize("root", ["osy101010", "osy102010"])
def test_golden_headers(golden_visit: Path, root: str) -> None:
    """Oracle: CalSTIS 3.5.0 on the same CTI-corrected exposures: what ocrreject leaves in the headers of crc."""
    given = Exposure.read(golden_visit / "expected" / "2_cti" / f"{root}_cte.fits.gz")
    product, _ = reject_cosmic_rays(
        [given],
        references=References({"oref": str(golden_visit / "visit" / "oref")}),
        backend=get_backend("numpy"),
        trailer=Trailer(),
    )
    cards = json.loads((golden_visit / "expected" / "4_products" / f"{root}_crc.json").read_text(encoding="utf-8"))
    for expected, ours, names in ((cards[0], product.primary, PRIMARY), (cards[1], product.sci_headers[0], SCI)):
        header = dict(expected["header"])
        assert {name: ours[name] for name in names} == {name: header[name] for name in names}


@pytest.mark.peer
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("skysub", ["none", "mode"])
def test_live_cs2(tmp_path: Path, rng: np.random.Generator, case: dict[str, Any], skysub: str) -> None:
    """Oracle: CalSTIS's cs2, where it is installed: SCI, ERR, DQ, rewritten input DQ, keywords, every bit."""
    program = shutil.which("cs2.e")
    if program is None:
        pytest.skip("CalSTIS (cs2.e) is not installed")
    shape, times = (40, 52), [100.0, 250.5, 33.3, 100.0]
    sci = [(rng.poisson(0.2 * time + 3, shape) + rng.normal(0, 5, shape)).astype(f32) for time in times]
    for image in sci:
        image += np.where(rng.random(shape) < 0.04, rng.exponential(300, shape), 0).astype(f32)
        image += f32(0.3) * np.roll(image, 1, 1)
    dq = [np.where(rng.random(shape) < 0.3, 16, 0).astype(np.int16) for _ in times]
    given = exposure(tmp_path, sci, dq, EXPTIME=times, OCCDHTAV=[18.0, 19.0, None, 20.0], READNSE=5.7, ATODGAIN=1.018)
    path = given.write(tmp_path / "in.fits")
    names = {"sigmas": "CRSIGMAS", "radius": "CRRADIUS", "thresh": "CRTHRESH", "initgues": "INITGUES"}
    names |= {"scalense": "SCALENSE", "badinpdq": "BADINPDQ"}
    row = {names[name]: value for name, value in case.items()} | {"SKYSUB": skysub}
    row["CRSIGMAS"] = ",".join(map(str, case.get("sigmas", (6.5, 5.5, 4.5))))
    product, inputs = reject(tmp_path, Exposure.read(path), **row)
    subprocess.run([program, path.name, "out.fits"], cwd=tmp_path, check=True, capture_output=True, timeout=60)
    theirs, rewritten = Exposure.read(tmp_path / "out.fits"), Exposure.read(path)
    for ours, other in zip((*product.imsets, *inputs[0].imsets), (*theirs.imsets, *rewritten.imsets), strict=True):
        np.testing.assert_array_equal(ours.sci, other.sci)
        np.testing.assert_array_equal(ours.err, other.err)
        np.testing.assert_array_equal(ours.dq, other.dq)
    with fits.open(tmp_path / "out.fits") as hdus:
        assert {name: product.primary[name] for name in PRIMARY} == {name: hdus[0].header[name] for name in PRIMARY}
        assert {name: product.sci_headers[0][name] for name in SCI} == {name: hdus[1].header[name] for name in SCI}
