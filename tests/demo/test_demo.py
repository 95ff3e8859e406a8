"""The demonstration: what it measures, what it finds, and what it does to its folder.

Oracles: numbers worked by hand on images made for it; physics (traps take charge, a larger part of a small charge,
and a correction that undoes the readout gives it back); the PNG standard.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from gpucti import cli
from gpucti.demo import PICTURE, README, TABLE, DemoResult, _can_draw, measure, run_demo
from gpucti.demo.measure import FAR, TRAIL, DarkImage, Image, Pair
from gpucti.demo.picture import DPI, SIZE
from gpucti.errors import FolderInUseError, OutputExistsError
from gpucti.io.lock import folder_lock
from gpucti.progress import Event
from gpucti.synthetic.files import table_hdu

#: Standard errors that a measured number may be off. With some ten numbers one in 10 000 runs would fail by chance;
#: the seed is fixed, so this guards against what changes the noise, such as another order of random numbers.
SIGMAS = 4.5
#: Part of the loss that a correction may leave where the signal stands clear of the read noise. The inverse is found
#: in a few rounds; what they leave on scenes without noise is 2 % and less (tests/backends/test_physics.py).
LEFT = 0.05


@pytest.fixture(scope="module")
def events() -> list[Event]:
    """Return what the run told."""
    return []


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, events: list[Event]) -> DemoResult:
    """Return a demonstration."""
    return run_demo(tmp_path_factory.mktemp("demo") / "a demo", device="cpu", progress=events.append)


def won_back(pair: Pair, left: float = LEFT) -> None:
    """Check that the correction brought a number to its truth, but for noise and a small part of the loss."""
    loss = abs(pair.before.value - pair.truth)
    assert loss > SIGMAS * pair.before.error, f"{pair}: there was nothing to win"
    assert abs(pair.after.value - pair.truth) < SIGMAS * pair.after.error + left * loss, pair


# ---- what the demonstration finds -----------------------------------------------------------------------


@pytest.mark.slow
def test_stars_get_their_flux_back(demo: DemoResult) -> None:
    """Oracle: physics; a trap takes the same charge from a faint star as from a bright one or more."""
    before = [pair.before.value for pair in demo.stars.bins]
    assert before == sorted(before)
    assert before[-1] < 1.0
    for pair in demo.stars.bins[1:]:
        won_back(pair)


@pytest.mark.slow
def test_the_faintest_stars_get_most_of_it_back(demo: DemoResult) -> None:
    """Oracle: the noise model sets aside what could be read noise; pixels of these stars are hardly more than that."""
    faintest = demo.stars.bins[0]
    assert 0.5 * (1.0 - faintest.before.value) > 1.0 - faintest.after.value > -SIGMAS * faintest.after.error


@pytest.mark.slow
def test_the_spectrum_gets_its_flux_back(demo: DemoResult) -> None:
    """Oracle: the flux of the simulated star."""
    won_back(demo.spectrum.whole)
    assert 1024 - demo.spectrum.row >= FAR
    assert np.all(np.diff(demo.spectrum.wavelength) > 0)
    here = [measure.ratio(flux, demo.spectrum.truth).value for flux in (demo.spectrum.before, demo.spectrum.after)]
    assert abs(here[1] - 1.0) < abs(here[0] - 1.0)


@pytest.mark.slow
def test_hot_pixels_lose_their_trails(demo: DemoResult) -> None:
    """Oracle: physics; the trail holds no more than the pixel lost, and falls off as traps are emptied."""
    hot = demo.hot_pixels
    assert hot.count > 1000
    won_back(hot.kept)
    won_back(hot.trail, left=0.1)  # of faint hot pixels some charge counts as noise
    lost = hot.kept.truth - hot.kept.before.value
    assert 0.0 < hot.trail.before.value < lost
    assert np.all(np.diff(hot.before[1:7]) < 0)
    assert hot.before.size == hot.after.size == TRAIL + 1


@pytest.mark.slow
def test_the_sky_is_dark_again(demo: DemoResult) -> None:
    """Oracle: physics; far from the amplifier the sky holds the charge that sources above it have lost."""
    assert demo.sky.before.value > 0
    won_back(demo.sky)


@pytest.mark.slow
def test_the_picture(demo: DemoResult) -> None:
    """Oracle: the PNG standard; the size of the figure."""
    content = demo.picture.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", content[16:24]) == tuple(round(side * DPI) for side in SIZE)
    assert 50_000 < len(content) < 300_000


@pytest.mark.slow
def test_the_table(demo: DemoResult) -> None:
    """Oracle: the numbers of the result."""
    assert demo.table_file.read_text(encoding="utf-8") == demo.table
    lines = demo.table.splitlines()
    assert len(lines) == 1 + len(demo.pairs)
    for line, pair in zip(lines[1:], demo.pairs, strict=True):
        assert line.startswith(pair.what)
        assert f"{pair.before.value:.3f} ± {pair.before.error:.3f}" in line
        assert line.endswith(f"{pair.after.value:.3f} ± {pair.after.error:.3f}")
    assert len({len(line) for line in lines}) == 1


@pytest.mark.slow
def test_the_run(demo: DemoResult, events: list[Event]) -> None:
    """Oracle: what the headers of a visit ask for; four parts."""
    assert {path.name.split("_")[1] for path in demo.report.products} == {
        "cte.fits", "flc.fits", "crc.fits", "s2c.fits", "s1c.fits",
    }  # fmt: skip
    assert (demo.report.omitted, demo.report.engine) == ((), "native")
    own = [event for event in events if event.stage == "demo"]
    assert [event.done for event in own] == sorted(event.done for event in own)
    assert (own[-1].done, own[-1].total, len(demo.seconds)) == (4, 4, 4)
    assert {event.stage for event in events} == {"demo", "darks", "super-darks", "science"}


@pytest.mark.slow
def test_nothing_is_corrected_in_the_comparison(demo: DemoResult) -> None:
    """Oracle: the headers; the super-dark is that of the raw exposure, the empirical correction is off."""
    for path in (demo.folder / "uncorrected").glob("*.fits"):
        header = fits.getheader(path)
        assert "PCTECORR" not in header or header["PCTECORR"] != "COMPLETE"
        assert header["CTECORR"] == "OMIT"
        assert header["DARKFILE"].startswith("oref$sim_")
    assert len(list((demo.folder / "uncorrected").glob("*.fits"))) == 7


@pytest.mark.slow
def test_the_command(demo: DemoResult, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the result; exit code 0."""
    asked: dict[str, Any] = {}

    def stand_in(folder: str, *, progress: Callable[[Event], None], **options: Any) -> DemoResult:
        asked.update(options, folder=folder)
        progress(Event("demo", 1, 4, "half done"))
        return demo

    monkeypatch.setattr("gpucti.demo.run_demo", stand_in)
    assert cli.main(["demo", "--device", "numpy"]) == 0
    out = capsys.readouterr().out
    assert asked == {"folder": "gpucti-demo", "device": "numpy", "overwrite": False}
    assert "demo 1/4: half done" in out
    assert demo.table in out
    assert [line.split(maxsplit=1) for line in out.splitlines()[-2:]] == [
        ["table", str(demo.table_file)], ["picture", str(demo.picture)],
    ]  # fmt: skip


# ---- its folder -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_earlier_demonstration_is_kept(demo: DemoResult, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: one message, exit code 1, and the picture as it was."""
    before = demo.picture.stat()
    assert cli.main(["demo", str(demo.folder)]) == 1
    err = capsys.readouterr().err
    assert "holds an earlier demonstration; allow overwriting (--overwrite; " in err
    assert demo.picture.stat() == before


def test_folders_of_others_are_left_alone(tmp_path: Path) -> None:
    """Oracle: the documented errors, with and without permission to overwrite."""
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputExistsError, match="is a file"):
        run_demo(tmp_path / "file", overwrite=True)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / README).write_text("something else")
    with pytest.raises(OutputExistsError, match="is not empty"):
        run_demo(tmp_path / "folder", overwrite=True)
    assert [path.read_text() for path in (tmp_path / "folder").iterdir()] == ["something else"]


def test_a_stopped_demonstration_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: with overwriting allowed its parts go, and nothing else."""

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gpucti.demo.simulate_visit", stop)
    folder = tmp_path / "demo"
    with pytest.raises(KeyboardInterrupt):
        run_demo(folder, device="numpy")
    for name in ("visit/science", "uncorrected"):
        (folder / name).mkdir(parents=True)
    for name in (PICTURE, TABLE, "visit/science/x_raw.fits", "notes.txt"):
        (folder / name).write_text("old")
    with pytest.raises(OutputExistsError, match="earlier demonstration"):
        run_demo(folder, device="numpy")
    with folder_lock(folder), pytest.raises(FolderInUseError):
        run_demo(folder, device="numpy", overwrite=True)
    assert (folder / PICTURE).exists()
    with pytest.raises(KeyboardInterrupt):
        run_demo(folder, device="numpy", overwrite=True)
    left = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert left == {README, "notes.txt"}


# ---- how it measures ------------------------------------------------------------------------------------


def test_ratio() -> None:
    """Oracle: by hand: 30 / 20; residuals 3, -3 (sum of squares 18), times 2 for two values: 6 / 20."""
    found = measure.ratio(np.array([18.0, 12.0]), np.array([10.0, 10.0]))
    assert found == pytest.approx((1.5, 0.3))


def star_image() -> Image:
    """Return an image of three stars in each bin of brightness, all light of each in one pixel."""
    size = 1024
    electrons = np.repeat([200.0, 500.0, 2000.0, 9000.0], 3)
    column, row = 80 * np.arange(1, 13), 20 * np.arange(2, 14)
    truth = np.full((size, size), 10.0)
    truth[row, column] += 2.0 * electrons
    stars = table_hdu("STARS", {
        "X": ("D", "pixel", column + 1.0), "Y": ("D", "pixel", row + 1.0), "ELECTRONS": ("D", "electron", electrons),
        "TRANSFERS": ("D", "pixel", 1024.0 - row),
    }).data  # fmt: skip
    return Image(truth, truth.copy(), truth.copy(), np.zeros((size, size), np.int64), stars, 2)


def test_stars_are_measured_above_their_surroundings() -> None:
    """Oracle: by hand: a fifth of the light gone, the sky 5 electrons too bright; the truth gives 1."""
    image = star_image()
    before = 10.0 + 0.8 * (image.truth - 10.0) + 5.0
    stars = measure.measure_stars(image._replace(before=before))
    np.testing.assert_allclose(stars.before, 0.8, rtol=1e-12)
    np.testing.assert_allclose(stars.after, 1.0, rtol=1e-12)
    assert [pair.what.split()[2] for pair in stars.bins] == ["3"] * 4
    sky = measure.measure_sky(image._replace(before=before))
    assert (sky.before.value, sky.after.value) == pytest.approx((5.0, 0.0))


def test_flagged_and_near_stars_are_left_out() -> None:
    """Oracle: by hand: a bad pixel beside the first star; a hot one does not matter; the others stay."""
    image = star_image()
    image.bits[41, 81] = 4
    image.bits[60, 160] = 16
    image.stars["TRANSFERS"][-1] = FAR - 1.0
    image.stars["TRANSFERS"][-2] = FAR
    stars = measure.measure_stars(image)
    assert stars.electrons.tolist() == [200] * 2 + [500] * 3 + [2000] * 3 + [9000] * 2


def test_hot_pixels_are_followed() -> None:
    """Oracle: by hand: 10 % of the charge is gone, 2 % lies in each of the two pixels behind."""
    truth = np.full((1024, 200), 5.0)
    places = [(row, column) for row in (50, 120, 190) for column in (20, 60, 100)]
    before = truth + 3.0  # on both sides as well
    for row, column in places:
        truth[row, column] += 495.0
        before[row, column] += 445.0
        before[row - 2 : row, column] += 10.0
    before[90, 60] += 1e5  # a cosmic ray, in one trail
    hot = measure.measure_hot_pixels([DarkImage(truth, before, truth)])
    assert hot.count == len(places)
    assert hot.charge == pytest.approx(500.0)
    assert hot.kept.before.value == pytest.approx(0.9)
    assert hot.trail.before.value == pytest.approx(0.04)
    np.testing.assert_allclose(hot.before[1:4], [0.02, 0.02, 0.0], atol=1e-12)
    assert (hot.kept.after.value, hot.trail.after.value) == (1.0, 0.0)


def test_mplbackend_of_a_notebook(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the command works without the variable, and leaves it as it was."""
    seen = []

    def stand_in(*given: Any, **options: Any) -> None:
        seen.append(os.environ.get("MPLBACKEND"))
        raise OutputExistsError("stop here")

    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    monkeypatch.setattr("gpucti.demo.run_demo", stand_in)
    assert cli.main(["demo"]) == 1
    assert seen == [None] and os.environ["MPLBACKEND"] == "module://matplotlib_inline.backend_inline"
    assert capsys.readouterr().err == "gpucti: error: stop here\n"


@pytest.mark.parametrize("module", ["matplotlib.figure", "PIL"])
def test_without_what_draws(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """Oracle: one warning before the work begins, which goes on without a picture."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.warns(UserWarning, match="^no picture: .*; pip install"):
        assert not _can_draw()
