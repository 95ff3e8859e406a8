"""The synthetic visit: its files have the form that CalSTIS, refstis and stis_cti need, and obey physics.

Oracles: keyword lists found by leaving keywords out of files given to the real programs; the formulas that CalSTIS
uses, applied here to the reference files; Poisson statistics and the sum of charge; gpucti's own other parts.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from gpucti.backends import get_backend
from gpucti.calibration import get_engine
from gpucti.calibration.reffiles import References
from gpucti.correction.arrays import add_cti_arrays
from gpucti.darks.anneals import period_of, read_anneals
from gpucti.darks.weeks import find_darks, missing_darks, select_darks, week_of, weeks
from gpucti.errors import InputError, OutputExistsError, ReferenceFileError
from gpucti.io.exposure import Exposure
from gpucti.io.selection import refusal
from gpucti.references.names import resolve_reference
from gpucti.synthetic import Observation, Visit, simulate_visit
from gpucti.synthetic.detector import BIAS_NOISE, COSMIC_RAYS, Detector
from gpucti.synthetic.exposures import spectrum_scene
from gpucti.synthetic.instrument import GRATINGS, READ_NOISE, SLITS
from gpucti.synthetic.optics import lamp_spectrum
from gpucti.synthetic.schedule import Schedule

IMAGE, SPECTRUM = "ogv101010", "ogv102010"
DARKS_PER_WEEK = [1, 1]

#: Keywords without which CalSTIS 3.5.0 stops.
PRIMARY = "ROOTNAME DETECTOR OBSTYPE OBSMODE OPT_ELEM APERTURE CCDAMP CCDOFFST RA_TARG DEC_TARG BLEVCORR CCDTAB".split()
OF_SPECTRA = "CENWAVE PROPAPER WAVECAL DISPCORR APDESTAB SPTRCTAB DISPTAB INANGTAB SDCTAB XTRACTAB PHOTTAB".split()
OF_STEPS = "BIASFILE DARKFILE CRREJTAB APERTAB BPIXTAB PFLTFILE LFLTFILE TDSTAB".split()
SCI = "EXTNAME EXTVER EXPNAME EXPSTART EXPEND EXPTIME LTV1 LTV2 NCOMBINE CRVAL1 CD2_2 OCCDHTAV ASN_MTYP".split()
#: Keywords of the selection by stis_cti, and of what else is silently different without them.
SELECTION = "TELESCOP INSTRUME TDATEOBS TTIMEOBS CCDGAIN SUBARRAY BINAXIS1 BINAXIS2 TEXPTIME TEXPSTRT NEXTEND".split()
#: Keywords without which refstis 0.8.5 fails on component darks.
DARK = """
    NEXTEND ROOTNAME TARGNAME PROPOSID PROPTTL1 TEXPSTRT TEXPEND TEXPTIME OBSTYPE NRPTEXP DETECTOR CCDGAIN BINAXIS1
    BINAXIS2 CRCORR CCDTAB CRREJTAB ATODGAIN READNSE BLEVCORR BIASFILE CCDAMP CCDOFFST DARKFILE TELESCOP INSTRUME
""".split()
REFERENCE = "FILENAME TELESCOP INSTRUME DETECTOR FILETYPE PEDIGREE USEAFTER DESCRIP".split()


@pytest.fixture(scope="session")
def visit(tmp_path_factory: pytest.TempPathFactory) -> Visit:
    """Return a small visit: an image of one exposure and a split spectrum, one dark in each of two weeks."""
    exposures = [Observation(n_imsets=1), Observation("G430L", exptime=500.0, electrons=800.0, source="both")]
    return simulate_visit(tmp_path_factory.mktemp("visit") / "v", exposures=exposures, darks_per_week=DARKS_PER_WEEK)


def opened(path: Path) -> fits.HDUList:
    with fits.open(path, memmap=False, lazy_load_hdus=False) as hdus:
        for hdu in hdus:
            _ = hdu.data
        return hdus


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


# ---- the form of the files ------------------------------------------------------------------------------


def test_files_of_a_visit(visit: Visit) -> None:
    """Oracle: what a pipeline looks for, by name."""
    assert visit.exposures == (IMAGE, SPECTRUM)
    assert {path.name for path in visit.science.iterdir()} == {
        f"{IMAGE}_raw.fits", f"{SPECTRUM}_raw.fits", f"{SPECTRUM}_wav.fits", "ogv102asj_epc.fits", "ogv102bsj_epc.fits",
    }  # fmt: skip
    assert len(list(visit.darks.iterdir())) == sum(DARKS_PER_WEEK)
    assert not list(visit.ref.iterdir())
    listed = (visit.folder / "files.txt").read_text(encoding="utf-8").split()
    assert sorted([*listed, "files.txt"]) == sorted(digests(visit.folder))


@pytest.mark.parametrize("name", [f"{IMAGE}_raw", f"{SPECTRUM}_raw", f"{SPECTRUM}_wav"])
def test_raw_files(visit: Visit, name: str) -> None:
    """Oracle: the keyword lists above, and the geometry of a full raw frame."""
    path = visit.science / f"{name}.fits"
    hdus = opened(path)
    primary = hdus[0].header
    assert set(PRIMARY + OF_STEPS + SELECTION) <= set(primary)
    if name.startswith(SPECTRUM):
        assert set(OF_SPECTRA) <= set(primary)
    assert primary["NEXTEND"] == len(hdus) - 1
    assert primary["FILENAME"] == path.name
    for k, sci in enumerate(hdus[1::3]):
        assert set(SCI) <= set(sci.header)
        assert (sci.header["NAXIS1"], sci.header["NAXIS2"], sci.header["BITPIX"]) == (1062, 1044, 16)
        assert sci.data.dtype == np.uint16  # BZERO 32768
        assert (sci.header["LTV1"], sci.header["LTV2"], len(sci.header["EXPNAME"])) == (19.0, 20.0, 9)
        for hdu in hdus[3 * k + 2 : 3 * k + 4]:
            found = [hdu.header[key] for key in ("NAXIS", "NPIX1", "NPIX2", "PIXVALUE", "EXTVER")]
            assert found == [0, 1062, 1044, 0, k + 1]
    assert Exposure.read(path).shape == (1044, 1062)
    assert refusal(primary) is None


def test_switches(visit: Visit) -> None:
    """Oracle: the table of switches of normal raw files."""
    image, spectrum, wavecal = (
        fits.getheader(visit.science / f"{name}.fits")
        for name in (f"{IMAGE}_raw", f"{SPECTRUM}_raw", f"{SPECTRUM}_wav")
    )
    assert image["PHOTCORR"] == image["GEOCORR"] == "PERFORM"
    assert image["CRCORR"] == wavecal["CRCORR"] == wavecal["WAVECORR"] == wavecal["CTECORR"] == "OMIT"
    assert {spectrum[key] for key in ("CRCORR", "EXPSCORR", "WAVECORR", "X1DCORR", "X2DCORR", "CTECORR")} == {"PERFORM"}
    assert spectrum["WAVECAL"] == f"{SPECTRUM}_wav.fits"
    assert isinstance(wavecal["LAMPSET"], str)
    assert "WAVECAL" in fits.getheader(visit.science / f"{SPECTRUM}_wav.fits", 1)["ASN_MTYP"]


def test_darks(visit: Visit) -> None:
    """Oracle: the keyword list above; gpucti's own reader."""
    for path in visit.darks.iterdir():
        exposure = Exposure.read(path)
        exposure.require_trimmed()
        assert set(DARK) <= set(exposure.primary)
        assert exposure.primary["TARGNAME"] == "DARK"
        imset = exposure.imsets[0]
        assert {"EXTNAME", "EXPTIME", "OCCDHTAV"} <= set(imset.headers[0])
        assert imset.headers[0]["EXPNAME"] == exposure.primary["ROOTNAME"]
        assert (imset.sci.dtype, imset.err.dtype, imset.dq.dtype) == (np.float32, np.float32, np.int16)
        assert imset.err.min() > 5.0


def test_every_reference_file_is_there_and_used(visit: Visit) -> None:
    """Oracle: the names in the headers."""
    named = set()
    for path in [*visit.science.glob("*_raw.fits"), *visit.science.glob("*_wav.fits"), *visit.darks.iterdir()]:
        for value in fits.getheader(path).values():
            if isinstance(value, str) and value.startswith("oref$"):
                found = resolve_reference(value, path.parent, visit.environment)
                assert found is not None, value
                named.add(found.name)
    assert named == {path.name for path in visit.oref.iterdir()}


def test_reference_files(visit: Visit) -> None:
    """Oracle: what CalSTIS asks of every reference file; tables have no extension without rows."""
    for path in visit.oref.iterdir():
        hdus = opened(path)
        assert set(REFERENCE) <= set(hdus[0].header)
        assert hdus[0].header["FILENAME"] == path.name
        assert len(hdus[0].header["DESCRIP"]) == 67
        for hdu in hdus[1:]:
            assert len(hdu.data) > 0
            if isinstance(hdu, fits.BinTableHDU) and "NELEM" in hdu.columns.names:
                assert (hdu.data["NELEM"] > 0).all()
                assert all(
                    np.all(np.diff(row["WAVELENGTH"][: row["NELEM"]]) > 0) for row in hdu.data if "1dt" not in path.name
                )


def test_anneal_list(visit: Visit) -> None:
    """Oracle: gpucti's reader and its rules of weeks; every science exposure lies in the week of its DARKFILE."""
    periods = read_anneals(visit.anneals)
    assert [len(period.darks) for period in periods] == [0, sum(DARKS_PER_WEEK) + 2, 0]
    found = find_darks(visit.darks)
    for root in visit.exposures:
        header = fits.getheader(visit.science / f"{root}_raw.fits")
        period = period_of(header["TEXPSTRT"], periods)
        selection = select_darks(period, "D", found)
        assert not missing_darks([selection])
        week = week_of(header["TEXPSTRT"], weeks(period, selection.used, "D"))
        assert {dark.darkfile for dark in week.darks} == {header["DARKFILE"]}


# ---- what is in them ------------------------------------------------------------------------------------


def test_overscan(visit: Visit) -> None:
    """Oracle: bias level and read noise of the CCDTAB; a sample deviation of n pixels is good to 1/sqrt(2n)."""
    raw = opened(visit.science / f"{IMAGE}_raw.fits")[1].data.astype(np.float64)
    section = raw[20:, 1:16]
    ccd = opened(visit.oref / "sim_ccd.fits")[1].data
    row = ccd[(ccd["CCDAMP"] == "D") & (ccd["CCDGAIN"] == 1)][0]
    assert abs(section.mean() - row["CCDBIAS"]) < 3.0  # the level varies by 0.4 from exposure to exposure
    noise = math.sqrt(float(row["READNSE"]) ** 2 + 1.0 / 12.0)
    trend = np.linspace(-0.5, 0.5, 1024)[:, np.newaxis]
    slope = 12.0 * (trend * section).mean()
    assert abs((section - slope * trend).std() / noise - 1.0) < 5.0 / math.sqrt(2 * section.size)
    virtual = raw[:20, 19:-19].mean(axis=1) - section.mean()
    assert virtual[19] > virtual[0] > 0.0  # charge released after the last row, less and less


def test_photon_noise(visit: Visit) -> None:
    """Oracle: Poisson: the squared residual equals the expectation; 5 % for what the flat does to the even sky."""
    scene, dark, charge = (opened(visit.truth / f"{IMAGE}_truth.fits")[name].data for name in (1, 2, 3))
    expected = scene.astype(np.float64) + dark
    residual = charge - expected
    calm = np.abs(residual) < 6.0 * np.sqrt(expected)  # no cosmic ray
    share = 4.0 * COSMIC_RAYS * 400.0
    assert 1.0 - share < calm.mean() < 1.0
    assert abs((residual[calm] ** 2 / expected[calm]).mean() - 1.0) < 0.05


def test_native_engine_finds_the_trailed_charge(visit: Visit) -> None:
    """Oracle: the forward model. What BLEVCORR and BIASCORR leave is the charge with its trails, and known noise.

    The mean may be off by the fitted slope of the bias level along rows: medians of 20 pixels, 523 columns from its
    zero to the middle, 0.09 counts (1 sigma).
    """
    exposure = Exposure.read(visit.science / f"{IMAGE}_raw.fits")
    engine = get_engine("native", get_backend("cpu"), References(visit.environment))
    counts = engine.subtract_bias(exposure).exposure.imsets[0].sci.astype(np.float64)
    charge = opened(visit.truth / f"{IMAGE}_truth.fits")["CHARGE"].data.astype(np.float64)
    arrived = add_cti_arrays(charge, mjd=exposure.start_mjd, amp="D", device="cpu")
    good = arrived < 30_000.0  # not saturated
    noise = math.sqrt(READ_NOISE[1] ** 2 + 1.0 / 12.0 + BIAS_NOISE**2)
    residual = (counts - arrived)[good]
    assert abs(residual.mean()) < 0.45
    assert abs(residual.std() / noise - 1.0) < 0.01
    plain = (counts - charge)[good]
    assert plain.std() > 1.2 * noise  # without the trails it does not fit


def test_charge_is_conserved(visit: Visit) -> None:
    """Oracle: electrons are moved, not made: image and virtual overscan hold them all but the last of the trails.

    The bias level costs up to 0.05 counts per pixel, the read noise 6e3 electrons.
    """
    raw = opened(visit.science / f"{IMAGE}_raw.fits")[1].data.astype(np.float64)
    bias = opened(visit.oref / "sim_g1_bia.fits")[1].data.astype(np.float64)
    level = raw[:, 1:16].mean(axis=1)
    rows = np.arange(1044.0)
    counts = raw[:, 19:-19] - np.polyval(np.polyfit(rows, level, 1), rows)[:, np.newaxis]
    columns = np.arange(1024.0)
    counts -= -2.4e-4 * (columns + 11.0)  # the slope along rows
    counts[20:] -= bias
    counts[:20] -= bias[0]
    charge = opened(visit.truth / f"{IMAGE}_truth.fits")["CHARGE"].data.astype(np.float64)
    charge[charge > 30_000.0] = 30_000.0
    assert abs(counts.sum() / charge.sum() - 1.0) < 0.01


def test_wavelengths_and_trace_follow_the_tables(visit: Visit) -> None:
    """Oracle: CalSTIS's dispersion relation, incidence-angle terms and trace, evaluated on the tables; 1e-9 pixel."""
    star = opened(visit.truth / f"{SPECTRUM}_truth.fits")["STAR"]
    tables = {name: opened(visit.oref / f"sim_{name}.fits")[1].data for name in ("dsp", "iac", "apd", "1dt")}
    header = fits.getheader(visit.science / f"{SPECTRUM}_raw.fits")
    line = star.header["ROW"] + star.header["SHIFTA2"] + 1.0  # counted from 1
    place = {row["APERTURE"]: row for row in tables["apd"]}
    delta = place[header["APERTURE"]]["OFFSET1"] - place[tables["dsp"]["REF_APER"][0]]["OFFSET1"]
    rows = tables["dsp"]
    c = [np.interp(line, rows["A2CENTER"], rows["COEFF"][:, k]) for k in range(3)]
    first = tables["iac"][0]
    c = [value + first["COEFF1"][k] * delta * (k < first["NCOEFF1"]) for k, value in enumerate(c)]
    wave = star.data["WAVELENGTH"]
    x = c[0] + c[1] * wave + c[2] * wave**2 + star.header["SHIFTA1"]
    np.testing.assert_allclose(x, star.data["COLUMN"], atol=1e-9 * 1024)

    trace = tables["1dt"]
    years = (header["TEXPSTRT"] - trace["MJD"][0]) / 365.25
    turn = (np.arange(1024) - 512) * math.tan(math.radians(trace["DEGPERYR"][0] * years))
    displacement = [np.interp(line, trace["A2CENTER"], trace["A2DISPL"][:, k]) for k in range(1024)] - turn
    np.testing.assert_allclose(star.data["ROW"], line + displacement, atol=1e-9)


def test_flux_follows_the_tables(visit: Visit) -> None:
    """Oracle: net = F A R T wl/(h c) dispersion trend, from the tables; 1 % where lines fall on a pixel's edge."""
    star = opened(visit.truth / f"{SPECTRUM}_truth.fits")["STAR"].data
    pht, apt, tds = (opened(visit.oref / f"sim_{name}.fits")[1] for name in ("pht", "apt", "tds"))
    raw = opened(visit.science / f"{SPECTRUM}_raw.fits")
    wave, seconds = star["WAVELENGTH"], raw[1].header["EXPTIME"]
    efficiency = np.interp(wave, pht.data["WAVELENGTH"][0], pht.data["THROUGHPUT"][0])
    slit = apt.data[apt.data["APERTURE"] == "52X0.2"][0]
    passed = np.interp(wave, slit["WAVELENGTH"], slit["THROUGHPUT"])
    row = tds.data[tds.data["OPT_ELEM"] == "G430L"][0]
    start = raw[1].header["EXPSTART"]
    k = np.searchsorted(row["TIME"], start, side="right") - 1
    years = (start - tds.header["REF_TIME"]) / 365.25
    heat = 1.0 + row["TEMPSENS"] * (raw[1].header["OCCDHTAV"] - row["REFTEMP"])
    trend = np.interp(wave, row["WAVELENGTH"], (row["INTERCEPT"][k] + years * row["SLOPE"][k] / 100.0) * heat)
    photons = 45238.93416 * efficiency * passed * wave * 1e-8 / (6.6260755e-27 * 29979245800.0)
    expected = star["FLUX"] * photons * np.gradient(wave) * trend * seconds
    ratio = star["ELECTRONS"] / expected
    assert abs(np.median(ratio) - 1.0) < 1e-4
    assert np.abs(ratio - 1.0).max() < 0.01
    scene = opened(visit.truth / f"{SPECTRUM}_truth.fits")["SCENE"].data
    assert scene.min() >= 0.0


def test_star_list(visit: Visit) -> None:
    """Oracle: the IDCTAB's own polynomial, and the light round a bright lone star."""
    hdus = opened(visit.truth / f"{IMAGE}_truth.fits")
    stars, scene = hdus["STARS"].data, hdus["SCENE"].data.astype(np.float64)
    idc = opened(visit.oref / "sim_idc.fits")[1].data
    row = idc[idc["DIRECTION"] == "INVERSE"][0]
    x, y = ((stars[name] - row["CXREF"]) * row["SCALE"] for name in ("X_S2C", "Y_S2C"))
    orders = [(i, j) for i in range(1, 4) for j in range(i + 1)]
    for axis in "XY":
        found = row[f"{axis}REF"] + sum(row[f"C{axis}{i}{j}"] * x**j * y ** (i - j) for i, j in orders)
        np.testing.assert_allclose(found, stars[axis], atol=1e-6)
    assert len(stars) == 350
    star = stars[np.argmax(stars["ELECTRONS"])]
    column, line = round(star["X"]) - 1, round(star["Y"]) - 1
    box = np.s_[max(line - 12, 0) : line + 13, max(column - 12, 0) : column + 13]
    light = (scene[box] - 0.02 * 400.0).sum()
    assert star["ELECTRONS"] * 0.999 < light < star["ELECTRONS"] * 1.1  # neighbours add to it


def test_superdark_has_trails(visit: Visit) -> None:
    """Oracle: below the hot pixels of the truth (away from amplifier D) the super-dark is brighter than above."""
    rate = opened(visit.truth / "dark_rate.fits")["RATE"].data
    dark = opened(visit.oref / "sim_p1w1_drk.fits")["SCI"].data
    row, column = np.nonzero(rate[:800] > 1.0)
    row, column = row[row > 2], column[row > 2]
    assert dark[row - 1, column].mean() > dark[row + 1, column].mean() + 0.01
    assert np.median(dark[row, column] / rate[row, column]) < 1.0


# ---- choices --------------------------------------------------------------------------------------------


def test_same_arguments_same_files(visit: Visit, tmp_path: Path) -> None:
    """Oracle: the first visit, byte for byte; an exposure does not depend on what else there is."""
    other = simulate_visit(tmp_path / "v", exposures=[Observation(n_imsets=1)], darks_per_week=[1, 1])
    first, second = digests(visit.folder), digests(other.folder)
    # tables with a row per spectroscopic mode happen to be equal: G430L stands in where there is no spectrum
    same = {name for name in second if second[name] == first.get(name)}
    assert set(second) - same == {"README.txt", "files.txt"}


def test_another_seed_is_another_visit() -> None:
    """Oracle: none needed; everything random about the detector differs."""
    table_free: Any = None
    one, two = (Detector(seed, (58000.0, 58028.0), table_free, table_free) for seed in (1, 2))
    assert not np.array_equal(one.dark_base, two.dark_base)
    assert not np.array_equal(one.bias, two.bias)
    assert one.hot_columns != two.hot_columns


def test_warm_pixels_come_and_go() -> None:
    """Oracle: the rates given: 220 new ones a day, of which annealing cures four fifths; 5 sigma of counting."""
    nothing: Any = None
    anneals = (58000.0, 58028.0, 58056.0)
    detector = Detector(3, anneals, nothing, nothing)
    start, before, after = (detector.dark_rate(mjd) for mjd in (58000.0, 58027.99, 58028.01))
    new, left = int((before > start).sum()), int((after > start).sum())
    assert abs(new - 28 * 220) < 5 * math.sqrt(28 * 220) + 30  # some fall on the same pixel
    assert abs(left - 0.2 * new) < 5 * math.sqrt(0.2 * new)


@pytest.mark.parametrize("name", GRATINGS)
def test_spectra_of_every_grating(name: str) -> None:
    """Oracle: the brightness that was asked for, in the best-seen continuum; lines and ageing change it."""
    what = Observation(name, aperture="52X0.5", electrons=1000.0)
    plan = Schedule.make([what], mjd=58000.0, weeks=1, darks_per_week=1, periods=1, gain=None)
    scene = spectrum_scene(plan.science[0])
    star = scene.tables[0].data
    assert np.isfinite(scene.electrons).all() and scene.electrons.min() >= 0.0
    assert np.all(np.diff(star["WAVELENGTH"]) > 0)
    centre = np.median(star["WAVELENGTH"]) - GRATINGS[name].cenwave
    assert abs(centre) < 10.0 * GRATINGS[name].dispersion
    assert 0.85 < np.percentile(star["ELECTRONS"], 95) / 1000.0 < 1.25
    assert 0.9 < scene.electrons[300:360].sum() / star["ELECTRONS"].sum() < 1.1
    wave, flux = lamp_spectrum(name)
    assert wave.size < 2**15 and np.all(np.diff(wave) > 0) and flux.min() > 0


def test_schedules() -> None:
    """Oracle: the arguments: darks of each week, exposures spread over the periods, weeks and periods by name."""

    def make(exposures: Any, **more: Any) -> Schedule:
        defaults: dict[str, Any] = {"mjd": 58240.2, "weeks": None, "darks_per_week": 2, "periods": 1, "gain": None}
        return Schedule.make(exposures, **(defaults | more))

    plan = make(["image", "spectrum", "G750M 6768"], darks_per_week=[2, 1], periods=2, gain=4)
    assert [(dark.period, dark.week) for dark in plan.darks] == [(1, 1), (1, 1), (1, 2), (2, 1), (2, 1), (2, 2)]
    assert [one.what.period for one in plan.science] == [1, 1, 2]
    assert {one.what.gain for one in plan.science} == {4}
    assert plan.science[2].what.cenwave == 6768
    own = make([Observation("G230LB", week=1, period=2)], periods=2).science[0]
    assert own.darkfile == "sim_p2w1_drk.fits"
    names = [dark.root for dark in plan.darks] + [one.root for one in plan.science]
    assert len(set(names)) == len(names) and {len(name) for name in names} == {9}
    many = make([Observation(n_imsets=20)]).science[0]
    assert len(set(many.expnames)) == 20 and {len(name) for name in many.expnames} == {9}


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"weeks": 0}, "weeks"),
        ({"weeks": 3, "darks_per_week": [1, 1]}, "darks_per_week"),
        ({"darks_per_week": 0}, "darks_per_week"),
        ({"periods": 1.5}, "periods"),
        ({"mjd": 40000.0}, "mjd"),
        ({"mjd": math.nan}, "mjd"),
        ({"seed": -1}, "seed"),
        ({"gain": 2}, "gain"),
        ({"exposures": []}, "exposures"),
        ({"exposures": ["prism"]}, "prism"),
        ({"exposures": ["G430L 9000"]}, "cenwave"),
    ],
)  # fmt: skip
def test_wrong_arguments(tmp_path: Path, arguments: dict[str, Any], word: str) -> None:
    """Oracle: one error that names the argument; nothing is written."""
    with pytest.raises(InputError, match=word):
        simulate_visit(tmp_path / "v", **arguments)
    assert not (tmp_path / "v").exists()


@pytest.mark.parametrize("field", [{"aperture": "6X6"}, {"source": "moon"}, {"n_imsets": 0}, {"row": 2000.0},
                                   {"shift": (50.0, 0.0)}, {"faintest": -1.0}, {"exptime": math.inf}])  # fmt: skip
def test_wrong_observations(field: dict[str, Any]) -> None:
    """Oracle: an error that names the field."""
    with pytest.raises(InputError, match=next(iter(field))):
        Observation("G430L", **field)
    assert set(SLITS) == {"52X0.05", "52X0.1", "52X0.2", "52X0.5", "52X2"}


def test_folders_are_not_overrun(visit: Visit, tmp_path: Path) -> None:
    """Oracle: the user's files stay; an earlier visit is replaced only on request, foreign files never removed."""
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    for overwrite in (False, True):
        with pytest.raises(OutputExistsError, match="not empty"):
            simulate_visit(tmp_path, overwrite=overwrite)
    with pytest.raises(OutputExistsError, match="earlier visit"):
        simulate_visit(visit.folder)
    (tmp_path / "files.txt").write_text("../outside.txt\n", encoding="utf-8")
    (tmp_path.parent / "outside.txt").write_text("keep", encoding="utf-8")
    with pytest.raises(InputError, match="outside"):
        simulate_visit(tmp_path, overwrite=True)
    assert (tmp_path.parent / "outside.txt").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"mine.txt", "files.txt"}


def test_missing_reference_is_told(visit: Visit) -> None:
    """Oracle: without ``oref`` the engine names the keyword."""
    exposure = Exposure.read(visit.science / f"{IMAGE}_raw.fits")
    with pytest.raises(ReferenceFileError, match="oref"):
        get_engine("native", get_backend("cpu"), References({})).subtract_bias(exposure)
