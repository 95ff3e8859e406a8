"""The exposures of a synthetic visit: what each sees, its files, and the truth about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from astropy.io import fits

from gpucti.detector import DQ_SERIOUS
from gpucti.synthetic import headers, schedule, sky
from gpucti.synthetic.detector import Detector
from gpucti.synthetic.files import image_hdus, raw_hdus, table_hdu
from gpucti.synthetic.headers import ExposureFacts
from gpucti.synthetic.instrument import APERTURES, AREA, ATODGAIN, HC, READ_NOISE, REF_APER, SCALE, SIZE, Floats
from gpucti.synthetic.optics import Mode, lamp_spectrum, slit_reference
from gpucti.synthetic.schedule import DARK_SECONDS, WAVECAL_SECONDS, Observation, Planned, PlannedDark, mean_temperature

#: Even light on a spectrum, electrons per second and pixel where the grating sees best.
DIFFUSE_SKY = 0.002
#: Electrons of the brightest lamp lines, per pixel of its width without a slit.
LAMP_ELECTRONS = 5000.0
_TITLE = "Synthetic STIS CCD visit"


@dataclass(frozen=True)
class Scene:
    """What an exposure sees.

    Attributes
    ----------
    electrons : (SIZE, SIZE) float64
        What a perfect detector collects in one exposure: no flat, no dark current, no noise.
    tables : list of table extensions
        What products should show.
    """

    electrons: Floats
    tables: list[fits.BinTableHDU]


def image_scene(planned: Planned, detector: Detector) -> Scene:
    """Return a field of stars on an even sky."""
    what = planned.what
    stars = sky.make_stars(detector.rng(f"{planned.root} stars"), what.n_stars, what.faintest, what.brightest)
    scene = sky.star_image(stars) + sky.SKY_RATE * what.exptime
    x, y = sky.corrected_place(stars.x, stars.y)
    warmth = mean_temperature(planned.starts[0], what.exptime)
    flux = stars.electrons / what.exptime * sky.flux_per_electron(planned.starts[0], warmth)
    table = table_hdu("STARS", {
        "ID": ("J", "", np.arange(1, flux.size + 1)),
        "X": ("D", "pixel", stars.x + 1.0), "Y": ("D", "pixel", stars.y + 1.0),
        "X_S2C": ("D", "pixel", x + 1.0), "Y_S2C": ("D", "pixel", y + 1.0),
        "ELECTRONS": ("D", "electron", stars.electrons),
        "FLUX": ("D", "erg/s/cm**2/angstrom", flux),
        "STMAG": ("D", "mag", -2.5 * np.log10(flux) + sky.PHOTZPT),
        "TRANSFERS": ("D", "pixel", SIZE - stars.y),
    })  # fmt: skip
    return Scene(scene, [table])


def spectrum_scene(planned: Planned) -> Scene:
    """Return a star or a nebula, or both, behind a slit, on a faint even sky."""
    what, mjd = planned.what, planned.starts[0]
    mode, slit = _mode(what), APERTURES[what.aperture]
    warmth = mean_temperature(mjd, what.exptime)
    seen = mode.detected(mjd, warmth)
    nominal = AREA * mode.grating.efficiency(mode.fine) * mode.fine / HC
    on_chip = np.abs(mode.fine - mode.cenwave) <= 0.5 * SIZE * mode.grating.dispersion
    step, keywords = mode.grating.dispersion, {"SHIFTA1": what.shift[0], "SHIFTA2": what.shift[1]}

    area = SCALE * slit.width  # arcsec**2 of a row of the slit
    even = DIFFUSE_SKY / (step * area * nominal[on_chip].max())
    blurred = mode.through_slit(np.full(mode.fine.size, even), slit)
    scene = what.exptime * area * mode.expose_slit(seen * blurred, slit, what.shift, mjd)
    tables = []
    if what.source in ("star", "both"):
        passed = seen * slit.transmission(mode.fine)
        expected = nominal * slit.transmission(mode.fine)
        scale = what.electrons / (what.exptime * step * (mode.continuum * expected)[on_chip].max())
        flux = scale * mode.star_spectrum()
        image, wavelength, rate, trace = mode.expose_point(flux * passed, what.row, slit, what.shift, mjd)
        even_rate = mode.expose_point(passed, what.row, slit, what.shift, mjd)[2]
        scene += what.exptime * image
        tables.append(table_hdu("STAR", {
            "COLUMN": ("J", "pixel", np.arange(1, SIZE + 1)),
            "WAVELENGTH": ("D", "angstrom", wavelength),
            "FLUX": ("D", "erg/s/cm**2/angstrom", rate / even_rate),
            "ELECTRONS": ("D", "electron", what.exptime * rate),
            "ROW": ("D", "pixel", trace + 1.0),
        }, ROW=what.row, **keywords))  # fmt: skip
    if what.source in ("nebula", "both"):
        spectrum = mode.through_slit(mode.nebula_spectrum(), slit)
        scale = what.electrons / (what.exptime * step * area * (spectrum * nominal)[on_chip].max())
        lines = mode.lines(mjd)
        profile = mode.nebula_profile(lines - what.shift[1])
        light = mode.expose_slit(seen * spectrum * scale, slit, what.shift, mjd)
        scene += what.exptime * area * profile * light
        tables.append(table_hdu("NEBULA", {
            "WAVELENGTH": ("D", "angstrom", mode.fine[on_chip]),
            "INTENSITY": ("D", "erg/s/cm**2/angstrom/arcsec**2", scale * spectrum[on_chip]),
        }, SKY=(even, "intensity of the even sky"), **keywords))  # fmt: skip
        line = np.arange(SIZE, dtype=np.float64)
        offset = (line - slit_reference(slit, 0.0)) * SCALE
        tables.append(table_hdu("PROFILE", {
            "OFFSET": ("D", "arcsec", offset), "BRIGHTNESS": ("D", "", mode.nebula_profile(line)),
        }))  # fmt: skip
    return Scene(scene, tables)


def science_files(planned: Planned, detector: Detector) -> dict[str, list[Any]]:
    """Return the raw file and the truth of a science exposure, by file name without root: ``raw``, ``truth``."""
    what = planned.what
    scene = image_scene(planned, detector) if what.is_image else spectrum_scene(planned)
    warmth = tuple(mean_temperature(start, what.exptime) for start in planned.starts)
    facts = _facts(planned, warmth)
    frames, charges, dark = [], [], np.zeros((SIZE, SIZE))
    for name, start, degrees in zip(planned.expnames, planned.starts, warmth, strict=True):
        rng = detector.rng(name)
        charge, dark = detector.collect(scene.electrons, what.exptime, start, degrees, rng)
        frames.append(detector.digitise(detector.transfer(charge, planned.starts[0]), what.gain, rng))
        charges.append(charge)
    parts = [headers.imset(facts, k + 1) for k in range(what.n_imsets)]
    primary = fits.Header([
        ("ROOTNAME", planned.root, "exposure that this is the truth of"),
        ("EXPTIME", what.exptime, "[s] of each imset"), ("ATODGAIN", ATODGAIN[what.gain], "[electron/count]"),
        ("READNSE", READ_NOISE[what.gain], "[electron]"),
    ])  # fmt: skip
    truth = [fits.PrimaryHDU(header=primary), _picture("SCENE", scene.electrons), _picture("DARK", dark)]
    truth += [_picture("CHARGE", charge, k + 1) for k, charge in enumerate(charges)]
    return {"raw": raw_hdus(headers.primary(facts), frames, parts), "truth": truth + scene.tables}


def wavecal_hdus(planned: Planned, detector: Detector) -> list[Any]:
    """Return the HDUs of the wavecal of a spectrum: lamp light through the reference slit."""
    what, start = planned.what, planned.wavecal_start
    mode, slit = _mode(what), APERTURES[REF_APER]
    wave, flux = lamp_spectrum(mode.name)
    density = mode.through_slit(np.interp(mode.fine, wave, flux), slit) * (LAMP_ELECTRONS / mode.grating.dispersion)
    warmth = mean_temperature(start, WAVECAL_SECONDS)
    rng = detector.rng(f"{planned.root} wavecal")
    light = mode.expose_slit(density, slit, what.shift, start)
    charge, _ = detector.collect(light, WAVECAL_SECONDS, start, warmth, rng)
    frame = detector.digitise(detector.transfer(charge, start), what.gain, rng)
    facts = replace(
        _facts(planned, (warmth,)), filename=f"{planned.root}_wav.fits", starts=(start,), exptime=WAVECAL_SECONDS,
        aperture=REF_APER, perform=headers.BASIC, wavecal=None, lamp=mode.grating.lamp, postarg=0.0,
        member="AUTO-WAVECAL", expnames=(f"{planned.root[:6]}wcq",),
    )  # fmt: skip
    return raw_hdus(headers.primary(facts), [frame], [headers.imset(facts, 1)])


def temperature_hdus(start: float, exptime: float) -> list[Any]:
    """Return the HDUs of the temperature history (EPC) round an exposure."""
    time = np.linspace(start - 0.008, start + exptime / 86400.0 + 0.008, 24)
    value = np.array([schedule.temperature(moment) for moment in time])
    history = table_hdu("OCCDHT", {"TIME": ("D", "MJD", time), "VALUE": ("D", "degC", value)})
    primary = fits.Header([("TELESCOP", "HST", "telescope that is imitated"), ("INSTRUME", "STIS", "")])
    return [fits.PrimaryHDU(header=primary), history]


def dark_hdus(planned: PlannedDark, detector: Detector) -> list[Any]:
    """Return the HDUs of a component dark: bias-subtracted, gain 1."""
    rng, gain = detector.rng(planned.root), 1
    warmth = mean_temperature(planned.start, DARK_SECONDS)
    charge, _ = detector.collect(np.zeros((SIZE, SIZE)), DARK_SECONDS, planned.start, warmth, rng)
    frame = detector.digitise(detector.transfer(charge, planned.start), gain, rng)
    sci, err, dq, level = detector.subtract_bias(frame, gain)
    facts = ExposureFacts(
        filename=f"{planned.root}_flt.fits", root=planned.root, target="DARK", title="Synthetic STIS CCD dark monitor",
        darkfile=planned.darkfile, programme=headers.DARK_PROGRAMME, starts=(planned.start,), expnames=(planned.root,),
        temperatures=(warmth,), member="SCIENCE", exptime=DARK_SECONDS, opt_elem="MIRVIS", aperture="F28X50LP",
        gain=gain, complete=("DQICORR", "BLEVCORR", "BIASCORR"), raw=False, atodgain=ATODGAIN[gain],
        readnse=READ_NOISE[gain],
    )  # fmt: skip
    parts = headers.imset(facts, 1)
    good = sci[(dq & DQ_SERIOUS) == 0]
    parts[0].update({
        "MEANBLEV": level, "NGOODPIX": good.size, "GOODMIN": float(good.min()), "GOODMAX": float(good.max()),
        "GOODMEAN": float(good.mean()),
    })  # fmt: skip
    return image_hdus(headers.primary(facts), sci, err, dq, parts)


def _facts(planned: Planned, temperatures: tuple[float, ...]) -> ExposureFacts:
    """Return what the headers of a science exposure say."""
    what = planned.what
    split = what.n_imsets > 1
    facts = ExposureFacts(
        filename=f"{planned.root}_raw.fits", root=planned.root, target="SIM-CLUSTER", title=_TITLE,
        darkfile=planned.darkfile, programme=headers.PROGRAMME, starts=planned.starts, expnames=planned.expnames,
        temperatures=temperatures, member="CRSPLIT" if split else "SCIENCE", exptime=what.exptime,
        opt_elem=what.opt_elem, aperture="50CCD", gain=what.gain, wavecal=f"{planned.root}_wav.fits",
        perform=(*headers.BASIC, *headers.IMAGE, *(headers.SPLIT if split else ())),
    )  # fmt: skip
    if what.is_image:
        return facts
    return replace(
        facts, target=f"SIM-{what.source.upper()}", aperture=what.aperture, cenwave=what.cenwave,
        dispersion=_mode(what).grating.dispersion, postarg=round((what.row - what.slit_centre) * SCALE, 4),
        perform=(*headers.BASIC, *headers.SPECTRUM, *(headers.SPLIT if split else ())),
    )  # fmt: skip


def _mode(what: Observation) -> Mode:
    return Mode(what.opt_elem, what.cenwave or 0)  # a spectrum always has one


def _picture(name: str, image: Floats, version: int = 1) -> fits.ImageHDU:
    hdu = fits.ImageHDU(image.astype(np.float32), name=name, ver=version)
    hdu.header["BUNIT"] = "ELECTRONS"
    return hdu
