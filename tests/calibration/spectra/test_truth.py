"""Spectra of simulated stars and nebulae: flux, wavelengths and places beside the truth that was simulated.

Oracle everywhere: the truth files of the visit, and the laws of noise: photons and dark current are Poisson
distributed; read noise, rounding and the noise of the super-dark add to it. Except where CTI is tested trails are left
out: they are another matter, and would hide a loss of light by the calibration. Visits have fixed seeds.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from astropy.io import fits

from gpucti.backends import get_backend
from gpucti.calibration.native import NativeEngine
from gpucti.calibration.reffiles import References
from gpucti.demo.measure import Spectrum, measure_spectrum
from gpucti.detector import LIGHT_KM_S
from gpucti.io.exposure import Exposure
from gpucti.pipeline.running.run import correct
from gpucti.synthetic import Observation, Visit, simulate_visit
from gpucti.synthetic.detector import BIAS_NOISE, Detector
from gpucti.synthetic.instrument import READ_NOISE, SIZE, VIRTUAL, enclosed
from gpucti.synthetic.schedule import DARK_SECONDS
from gpucti.synthetic.tables import BOX

Floats = npt.NDArray[np.float64]

PLAIN = {kind: kind for kind in ("crj", "flt", "sx2", "x2d", "sx1", "x1d")}
#: Standard errors that a number may be off; some 60 numbers are looked at, so 1 in 300 visits would fail by chance.
SIGMAS = 4.0
#: Part of the light that the extraction may lose or win besides: the box is laid to a tenth of a pixel, which moves
#: 0.01 % over its edge, and the share of light in it is tabulated for a box that lies anywhere (0.05 % in the mean).
SYSTEMATIC = 0.001
#: Pixels that wavelengths may be off; the lines of a lamp give the shift to some hundredths.
WAVELENGTH = 0.1
#: Pixels that the spatial shift may be off: rows that a bar covers half are taken for cosmic rays in part (CalSTIS's
#: rule for the bars of a wavecal), so that shifts across come out too small by up to 0.4.
ACROSS = 0.5

STARS = (
    Observation("G230LB", aperture="52X0.2", n_imsets=1, exptime=15.0, electrons=9000.0, row=420.25, shift=(0.4, 1.25)),
    Observation("G230MB", 1995, "52X0.5", n_imsets=2, exptime=60.0, electrons=1500.0, row=512.5, shift=(-3.3, -0.6)),
    Observation("G430L", aperture="52X2", n_imsets=1, exptime=15.0, electrons=8000.0, row=600.0, shift=(2.6, 4.4)),
    Observation("G430M", 3936, "52X0.1", n_imsets=2, exptime=60.0, electrons=150.0, row=350.7, shift=(-0.8, -3.2)),
    Observation("G430M", 5471, "52X0.2", n_imsets=1, exptime=15.0, electrons=3000.0, row=690.0, shift=(5.1, 2.0)),
    Observation(
        "G750L", 8975, "52X0.2", n_imsets=2, exptime=30.0, gain=4, electrons=20_000.0, row=450.4, shift=(-6.0, 0.0)
    ),
    Observation("G750M", 9851, "52X0.05", n_imsets=1, exptime=15.0, electrons=80.0, row=330.0, shift=(1.7, -2.3)),
)
NEBULA = Observation(
    "G750M", 6768, "52X2", n_imsets=2, exptime=60.0, electrons=400.0, source="nebula", shift=(-2.2, 1.6)
)
FAINT = Observation("G230LB", exptime=700.0, electrons=150.0, row=315.0)


@dataclass(frozen=True, eq=False)
class Case:
    """An observation, its truth, and what was made of it."""

    what: Observation
    truth: Path
    products: dict[str, Path]

    def table(self) -> tuple[Any, fits.Header]:
        """Return the extracted spectrum and its header."""
        return _first(self.products["sx1" if self.what.n_imsets > 1 else "x1d"])

    @property
    def image(self) -> Path:
        """The calibrated image of which spectra are made."""
        return self.products["crj" if self.what.n_imsets > 1 else "flt"]


def _first(path: Path) -> tuple[Any, fits.Header]:
    with fits.open(path, memmap=False) as hdus:
        return hdus[1].data[0], hdus[1].header


def _without_trails(self: Detector, charge: Floats, mjd: float) -> Floats:
    """Return the charge as a perfect readout delivers it, with an empty virtual overscan."""
    frame = np.zeros((SIZE + VIRTUAL, SIZE))
    frame[VIRTUAL:] = charge
    return frame


def _calibrated(visit: Visit, root: str, out: Path) -> dict[str, Path]:
    raw = Exposure.read(visit.science / f"{root}_raw.fits")
    raw.primary["CTECORR"] = "OMIT"  # the empirical correction has no place in a visit without trails
    made = NativeEngine(get_backend("cpu"), References(visit.environment)).calibrate(raw, out, PLAIN)
    assert made.omitted == ()
    return dict(made.products)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Case]]:
    """Return every observation of `STARS` and `NEBULA`, simulated without trails and calibrated."""
    folder = tmp_path_factory.mktemp("truth")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Detector, "transfer", _without_trails)
        wanted = (*STARS, NEBULA)
        visit = simulate_visit(folder / "visit", exposures=wanted, weeks=1, darks_per_week=1, device="cpu")
    out = folder / "products"
    out.mkdir()
    yield [
        Case(what, visit.truth / f"{root}_truth.fits", _calibrated(visit, root, out))
        for what, root in zip(wanted, visit.exposures, strict=True)
    ]
    shutil.rmtree(folder)


@pytest.fixture(params=range(len(STARS)), ids=[what.title for what in STARS])
def star(request: pytest.FixtureRequest, cases: list[Case]) -> Case:
    """Return one star."""
    case: Case = cases[request.param]
    return case


# ---- noise of the truth ----------------------------------------------------------------------------------


class Truth:
    """What a truth file says of the sum of all image sets of an exposure, electrons."""

    def __init__(self, case: Case) -> None:
        what, n = case.what, case.what.n_imsets
        with fits.open(case.truth, memmap=False) as hdus:
            self.tables = {hdu.name: hdu.data for hdu in hdus if isinstance(hdu, fits.BinTableHDU)}
            self.headers = {hdu.name: hdu.header for hdu in hdus}
            scene, dark = (np.asarray(hdus[name].data, dtype=np.float64) for name in ("SCENE", "DARK"))
            charges = [np.asarray(hdus["CHARGE", k + 1].data, dtype=np.float64) for k in range(n)]
        gain = hdus[0].header["ATODGAIN"]
        per_pixel = READ_NOISE[what.gain] ** 2 + gain**2 / 12.0 + BIAS_NOISE**2
        # of the super-dark, one dark scaled to the exposure
        scaled = (dark / what.exptime * DARK_SECONDS + READ_NOISE[1] ** 2) * (n * what.exptime / DARK_SECONDS) ** 2
        self.scene = n * scene
        self.variance = n * (scene + dark + per_pixel) + scaled
        expected = scene + dark
        #: Pixels whose charge is nothing that was expected: cosmic rays (5 % for the flat), and the warmest pixels.
        self.strange = n * dark > 3.0 * np.median(n * dark) + 20.0
        for charge in charges:
            self.strange |= np.abs(charge - expected) > 6.0 * np.sqrt(expected + 1.0) + 0.05 * expected


def _in_box(centre: Floats, height: float) -> Floats:
    """Return the part of each pixel that lies in a box of a height round a row (counted from 0) of each column."""
    rows = np.arange(SIZE)[:, np.newaxis]
    upper, lower = np.minimum(rows + 0.5, centre + 0.5 * height), np.maximum(rows - 0.5, centre - 0.5 * height)
    return np.asarray(np.clip(upper - lower, 0.0, 1.0), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Compared:
    """An extracted spectrum beside its truth: by column, without columns hit by cosmic rays or warm pixels.

    Attributes
    ----------
    excess : array
        Measured minus true light, electrons.
    electrons, noise : array
        True light in the box, and its standard deviation with that of everything else in the box.
    slope : array
        Change of the true light per column.
    """

    excess: Floats
    electrons: Floats
    noise: Floats
    slope: Floats


def compared(case: Case) -> Compared:
    """Return an extracted spectrum beside its truth."""
    truth, (table, _) = Truth(case), case.table()
    true = truth.tables["STAR"]
    box = _in_box(table["EXTRLOCY"] - 1.0, BOX)
    electrons = case.what.n_imsets * true["ELECTRONS"] * enclosed(BOX)
    good = ~(truth.strange & (box > 0)).any(axis=0)
    assert good.mean() > 0.85
    ratio = table["FLUX"] / true["FLUX"]
    noise = np.sqrt((truth.variance * box**2).sum(axis=0))
    slope = np.gradient(true["FLUX"]) / true["FLUX"] * electrons
    return Compared(*(np.asarray(a)[good] for a in ((ratio - 1.0) * electrons, electrons, noise, slope)))


# ---- stars -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_flux(star: Case) -> None:
    """Each column is as noisy as its photons and the detector make it, and their sum has the flux that was simulated.

    The mean of n squared standard normal deviates scatters by sqrt(2 / n). Smoothing the background and laying the box
    add less than that.
    """
    found = compared(star)
    deviates = found.excess / found.noise
    assert abs(np.mean(deviates**2) - 1.0) < SIGMAS * np.sqrt(2.0 / deviates.size)
    assert np.abs(deviates).max() < 6.0
    total = found.electrons.sum()
    error = np.sqrt((found.noise**2).sum())
    assert abs(found.excess.sum()) < SIGMAS * error + SYSTEMATIC * total


@pytest.mark.slow
def test_wavelengths(star: Case) -> None:
    """Wavelengths are those of the truth, as seen from the Sun, in all columns; so is the light, by its lines."""
    table, header = star.table()
    true = Truth(star).tables["STAR"]
    heliocentric = true["WAVELENGTH"] * (1.0 - header["V_HELIO"] / LIGHT_KM_S)
    assert abs(header["V_HELIO"]) > 1.0
    pixels = (table["WAVELENGTH"] - heliocentric) / np.gradient(true["WAVELENGTH"])
    assert np.abs(pixels).max() < WAVELENGTH
    found = compared(star)
    weight = (found.slope / found.noise) ** 2
    shift = -(found.slope * found.excess / found.noise**2).sum() / weight.sum()
    assert abs(shift) < WAVELENGTH + SIGMAS / np.sqrt(weight.sum())


@pytest.mark.slow
def test_shifts_and_trace(star: Case) -> None:
    """The wavecal gives the shifts that were simulated; the spectrum is found where the star was put."""
    _, header = _first(star.image)
    assert abs(header["SHIFTA1"] - star.what.shift[0]) < WAVELENGTH
    assert abs(header["SHIFTA2"] - star.what.shift[1]) < ACROSS
    table, _ = star.table()
    place = star.what.row + star.what.shift[1] + 1.0
    # The parabola through the means of three whole rows of a narrow profile (sigma 0.7) is right to a tenth.
    assert abs(table["A2CENTER"] - place) < 0.1
    np.testing.assert_allclose(table["EXTRLOCY"], Truth(star).tables["STAR"]["ROW"], atol=0.1)


@pytest.mark.slow
def test_errors_are_those_of_the_noise(star: Case) -> None:
    """Errors of the flux are the noise of the truth; in the near ultraviolet larger.

    There a photon frees more than one electron on average, 1.6 at 1900 Angstrom, of which the simulation knows nothing:
    CalSTIS multiplies the errors of the photons by the square root of the number. 3 %: the flat's noise, rounding.
    """
    table, _ = star.table()
    true = Truth(star)
    box = _in_box(table["EXTRLOCY"] - 1.0, BOX)
    noise = np.sqrt((true.variance * box**2).sum(axis=0))
    stars = true.tables["STAR"]
    expected = noise * stars["FLUX"] / (star.what.n_imsets * stars["ELECTRONS"] * enclosed(BOX))
    ratio = float(np.median(table["ERROR"] / expected))
    most = np.sqrt(1.6) if star.what.opt_elem.startswith("G230") else 1.0
    assert 0.97 < ratio < most + 0.03


# ---- a nebula --------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Rectified:
    """A rectified spectrum beside its truth, both erg/s/cm**2/Angstrom/arcsec**2."""

    found: Floats
    truth: Floats
    good: npt.NDArray[np.bool_]
    header: fits.Header


def rectified(case: Case) -> Rectified:
    """Return the rectified spectrum of a nebula, and what it should be: means over a pixel along the dispersion.

    The truth is put where the spatial shift of the wavecal says; how far that is off is looked at for itself.
    """
    with fits.open(case.products["sx2"], memmap=False) as hdus:
        found, header, bits = hdus[1].data.astype(np.float64), hdus[1].header, hdus["DQ", 1].data
    true = Truth(case)
    nebula, profile = true.tables["NEBULA"], true.tables["PROFILE"]
    rows, columns = (np.arange(n) + 1.0 for n in found.shape)
    wave = (columns - header["CRPIX1"]) * header["CD1_1"] + header["CRVAL1"]
    wave = wave / (1.0 - header["V_HELIO"] / LIGHT_KM_S)
    offset = (rows - header["CRPIX2"] + header["SHIFTA2"] - case.what.shift[1]) * header["CD2_2"] * 3600.0
    steps = 0.5 * (nebula["INTENSITY"][1:] + nebula["INTENSITY"][:-1]) * np.diff(nebula["WAVELENGTH"])
    total = np.concatenate([[0.0], np.cumsum(steps)])
    half = 0.5 * header["CD1_1"]
    upper, lower = (np.interp(wave + side * half, nebula["WAVELENGTH"], total) for side in (1.0, -1.0))
    light = np.interp(offset, profile["OFFSET"], profile["BRIGHTNESS"])[:, np.newaxis] * (upper - lower) / (2.0 * half)
    inside = (wave - half > nebula["WAVELENGTH"][0]) & (wave + half < nebula["WAVELENGTH"][-1])
    good = ((bits & (4 | 8 | 256 | 512)) == 0) & inside
    return Rectified(found, light + true.headers["NEBULA"]["SKY"], good, header)


#: First and last row of sections of the rectified image that no bar crosses.
SECTIONS = ((290, 350), (440, 500), (500, 530), (620, 670), (670, 740), (930, 990))


@pytest.mark.slow
@pytest.mark.parametrize("rows", SECTIONS)
def test_surface_brightness(cases: list[Case], rows: tuple[int, int]) -> None:
    """The light of a section of the slit is that of the truth, within its photon noise, and lies at its wavelengths.

    Interpolation changes no sum but at the edges of a section, by less than 0.2 %. The noise is that of the same rows
    of the detector.
    """
    nebula = cases[-1]
    image, truth = rectified(nebula), Truth(nebula)
    section = np.s_[rows[0] : rows[1], 120:1080]
    found, true, good = image.found[section], image.truth[section], image.good[section]
    shift = round(nebula.what.slit_centre + nebula.what.shift[1] - image.header["CRPIX2"] + 1.0)
    same = np.s_[rows[0] + shift : rows[1] + shift]
    noise = np.sqrt(truth.variance[same].sum()) / truth.scene[same].sum()
    ratio = found[good].sum() / true[good].sum()
    assert abs(ratio - 1.0) < SIGMAS * noise + 0.002
    # a shift of the lines, by least squares over the section's sum
    spectrum, model = (np.where(good, part, true).sum(axis=0) for part in (found, true))
    slope = np.gradient(model)
    matrix = np.stack([slope, model, np.ones_like(model)], axis=1)
    pixels = -np.linalg.lstsq(matrix, spectrum - model, rcond=None)[0][0]
    assert abs(pixels) < WAVELENGTH


@pytest.mark.slow
def test_profile_along_the_slit(cases: list[Case]) -> None:
    """The nebula's knots lie where they were put along the slit, but for what the spatial shift is off."""
    image = rectified(cases[-1])
    peak = int(np.argmax(image.truth.sum(axis=0)))
    rows = np.s_[420:800, peak - 4 : peak + 5]
    found, model = image.found[rows].sum(axis=1), image.truth[rows].sum(axis=1)
    matrix = np.stack([np.gradient(model), model], axis=1)
    calm = np.abs(found - model) < 5.0 * np.median(np.abs(found - model))
    pixels = -np.linalg.lstsq(matrix[calm], (found - model)[calm], rcond=None)[0][0]
    assert abs(pixels) < 0.1
    assert abs(image.header["SHIFTA2"] - cases[-1].what.shift[1]) < ACROSS


# ---- CTI -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def faint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spectrum]:
    """Return a faint ultraviolet spectrum 709 rows from the amplifier, without and with the correction."""
    folder = tmp_path_factory.mktemp("faint")
    visit = simulate_visit(folder / "visit", exposures=[FAINT], weeks=1, darks_per_week=2, device="cpu")
    (root,) = visit.exposures
    (folder / "plain").mkdir()
    plain = _calibrated(visit, root, folder / "plain")
    report = correct(
        visit.science, visit.darks, visit.ref, oref=visit.oref, anneals=visit.anneals, device="cpu", engine="native"
    )
    assert report.omitted == ()
    truth = visit.truth / f"{root}_truth.fits"
    yield measure_spectrum(truth, plain["sx1"], visit.science / f"{root}_s1c.fits")
    shutil.rmtree(folder)


@pytest.mark.slow
def test_cti_of_a_faint_spectrum(faint: Spectrum) -> None:
    """Oracle: the light before it was trailed: a sixth is missing without the correction, nothing with it.

    Of what is missing a tenth may be left (tests/demo/test_demo.py has less; here the signal is nearer the read
    noise, of which the correction takes a part for noise).
    """
    before, after = faint.whole.before, faint.whole.after
    loss = 1.0 - before.value
    assert loss > 0.1 and loss > 2.0 * SIGMAS * before.error
    assert abs(after.value - 1.0) < SIGMAS * after.error + 0.1 * loss
    assert after.error < 0.03
    nearer = np.abs(faint.after - faint.truth) < np.abs(faint.before - faint.truth)
    assert nearer.mean() > 0.6
