"""X1DCORR: one-dimensional spectra extracted from an image of the CCD, as CalSTIS's ``cs6`` does it.

The image is not rectified: the box follows the trace. Positions in this module are 0-based; *unbinned* ones are of
the full frame, others of the image.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from gpucti._version import __version__
from gpucti.backends.base import Backend
from gpucti.calibration.base import Trailer
from gpucti.calibration.basic2d.velocity import heliocentric_velocity
from gpucti.calibration.reffiles import References
from gpucti.calibration.spectra.aperture import Slit
from gpucti.calibration.spectra.constants import ARCSEC_PER_DEGREE
from gpucti.calibration.spectra.dispersion import invert
from gpucti.calibration.spectra.trace import Traces
from gpucti.calibration.spectra.x1d.background import Background, fit_background, smooth
from gpucti.calibration.spectra.x1d.boxsum import BoxSums, sum_box
from gpucti.calibration.spectra.x1d.flux import Flux, calibrate
from gpucti.calibration.spectra.x1d.locate import find_offset
from gpucti.calibration.spectra.x1d.parameters import UNWEIGHTED, ExtractionParameters, ExtractOptions
from gpucti.calibration.spectra.x1d.setup import (
    ExtractionTables,
    Setting,
    Steps,
    chosen_steps,
    read_setting,
    read_tables,
)
from gpucti.calibration.spectra.x1d.table import ExtractedSpectra, spectrum_table
from gpucti.calibration.switches import switch
from gpucti.detector import LIGHT_KM_S
from gpucti.errors import InputError
from gpucti.io.exposure import Exposure, ImageSet

Vector = npt.NDArray[np.float64]

DEFAULT_OPTIONS = ExtractOptions()


def extract(
    exposure: Exposure,
    *,
    references: References,
    backend: Backend,
    trailer: Trailer,
    options: ExtractOptions = DEFAULT_OPTIONS,
) -> ExtractedSpectra:
    """Return the spectra of an exposure, one from each image set.

    What is done (BACKCORR, DISPCORR, HELCORR, FLUXCORR, CTECORR) the header says unless the options do. The empirical
    correction for CTI is never applied to pixels that are corrected (PCTECORR is COMPLETE). An image set marked as
    bad (IMSET_OK = F), or in which no spectrum is found, gives none: why is said in `failures` and in the trailer.

    Parameters
    ----------
    exposure : Exposure
        A calibrated, not rectified spectrum of a first-order grating (``flt``, ``crj``, ``flc``, ``crc``).
    references : References
        Where the tables come from.
    backend : Backend
        Computes.
    trailer : Trailer
        Says what was done.
    options : ExtractOptions
        What is wanted otherwise than the headers and tables say.

    Raises
    ------
    InputError
        Not such an exposure; a keyword is missing or makes no sense; steps that need another one that is left out.
    ReferenceFileError
        A table is missing or damaged, or has no row for the exposure.
    """
    _require_image(exposure)
    steps = chosen_steps(exposure, options, trailer)
    tables = read_tables(references.of(exposure), steps, options, trailer)
    primary = exposure.primary.copy()
    made, failures, velocity = [], [], None
    for number, (imset, cards) in enumerate(zip(exposure.imsets, exposure.sci_cards, strict=True), start=1):
        if cards.value("IMSET_OK", default=True) is False:
            failures.append(f"No spectrum from image set {number}: it is marked as bad (IMSET_OK is F).")
            continue
        setting = read_setting(exposure.cards, cards, tables, options)
        if steps.heliocentric:
            ra, dec = (float(exposure.cards.number(name)) for name in ("RA_TARG", "DEC_TARG"))
            velocity = heliocentric_velocity(ra, dec, setting.middle)
        spectrum = _extract_imset(imset, number, setting, velocity, steps, tables, options, backend, trailer)
        if isinstance(spectrum, str):
            failures.append(f"No spectrum from image set {number}: {spectrum}.")
        else:
            made.append(spectrum)
    for failure in failures:
        trailer.say(failure)
    _update(primary, exposure, steps, tables, velocity, len(made), trailer)
    return ExtractedSpectra(exposure.path, primary, tuple(made), tuple(failures))


def _require_image(exposure: Exposure) -> None:
    """Refuse what spectra are not extracted from."""
    kind = exposure.cards.text("OBSTYPE")
    if kind != "SPECTROSCOPIC":
        raise exposure.cards.wrong(f"OBSTYPE is {kind!r}; expected SPECTROSCOPIC, there is no spectrum in this image")
    if switch(exposure, "X2DCORR") == "COMPLETE":
        raise exposure.cards.wrong("X2DCORR is COMPLETE, the image is rectified; extract from the flt, crj, flc or crc")
    if min(exposure.shape) < 2:
        raise InputError(f"{exposure.shape} pixels (rows, columns); expected an image", where=exposure.path)


def _extract_imset(
    imset: ImageSet,
    number: int,
    setting: Setting,
    velocity: float | None,
    steps: Steps,
    tables: ExtractionTables,
    options: ExtractOptions,
    backend: Backend,
    trailer: Trailer,
) -> fits.BinTableHDU | str:
    """Return the table of one image set's spectrum, or why there is none."""
    parameters, pixels = tables.parameters, setting.pixels
    sci, err = (np.asarray(plane, dtype=np.float32) for plane in (imset.sci, imset.err))
    dq = np.asarray(imset.dq).astype(np.int16)
    traces = tables.traces.on(setting.start)
    nominal = _nominal(traces, tables.slit, setting, options)
    search = find_offset(sci, dq, traces, nominal, parameters.maxsrch or 0, setting.flags, pixels, backend)
    if search.offset is None:
        return search.reason
    line = nominal + search.offset
    columns = np.trunc((np.arange(sci.shape[1]) - pixels.zero[0]) / pixels.ltm[0]).astype(np.intp)
    centre = line + _along(traces.at(line), columns)
    row = (centre * pixels.ltm[1] + pixels.zero[1] + 1.0).astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # NaN and infinity in the image come out as such
        sums = _sum((sci, err, dq), centre, columns, setting, steps, parameters, options)
    if sums.outside:
        trailer.say(
            f"Image set {number}: the extraction box, around row {np.median(row):.2f}, lies outside the image in "
            f"{sums.outside} of {sci.shape[1]} columns; the spectrum is zero there"
        )
    broken = int((~np.isfinite(sums.gross)).sum())
    if broken:
        trailer.say(f"Image set {number}: NaN or infinite pixels in the box; the spectrum is none in {broken} columns")
    hfactor = 1.0 if velocity is None else 1.0 - velocity / LIGHT_KM_S
    wavelength = np.zeros(sci.shape[1])
    if tables.dispersion and tables.incidence:
        coefficients, counts = tables.dispersion.at(line)
        coefficients = tables.incidence.adjust(coefficients, counts, tables.delta, setting.shift[0], trailer)
        positions = (np.arange(sci.shape[1]) - pixels.zero[0]) / pixels.ltm[0]
        wavelength = invert(coefficients, positions.tolist(), float(tables.mode.cenwave)) * hfactor
    box_height = np.float32(parameters.extrsize * pixels.ltm[1])
    flux = _flux(sums, wavelength, hfactor, row, box_height, setting, tables)
    scale = pixels.ltm[1]
    values = {
        "SPORDER": 1,
        "NELEM": sci.shape[1],
        "WAVELENGTH": wavelength,
        "GROSS": sums.gross,
        "BACKGROUND": sums.background,
        "NET": sums.net,
        "FLUX": flux.flux,
        "ERROR": flux.error,
        "NET_ERROR": flux.net_error,
        "DQ": sums.dq | flux.dq,
        "A2CENTER": line * scale + pixels.zero[1] + 1.0,
        "EXTRSIZE": box_height,
        "MAXSRCH": int(parameters.stored_maxsrch * scale),
        "BK1SIZE": parameters.back_size[0] * scale,
        "BK2SIZE": parameters.back_size[1] * scale,
        "BK1OFFST": parameters.back_offset[0] * scale,
        "BK2OFFST": parameters.back_offset[1] * scale,
        "EXTRLOCY": row,
        "OFFSET": search.offset,
    }
    keywords: dict[str, tuple[Any, str]] = {
        "CRSCROFF": (search.offset, "[pixel] of the spectrum from its nominal place")
    }
    if velocity is not None:
        keywords["V_HELIO"] = (velocity, "[km/s] heliocentric radial velocity")
    trailer.say(f"Image set {number}: spectrum extracted at row {values['A2CENTER']:.3f}")
    in_flux = tables.flux is not None or tables.no_error
    return spectrum_table(values, number, imset.headers[0], keywords, flux=in_flux)


def _nominal(traces: Traces, slit: Slit, setting: Setting, options: ExtractOptions) -> float:
    """Return where the spectrum is expected, unbinned row: the lowest trace of the table, or where the user says.

    The offset of the aperture is turned into pixels with the scale of the image, binned or not, as in CalSTIS.
    """
    offset = float(np.float32(slit.offset[1])) / (setting.plate_scale * ARCSEC_PER_DEGREE)
    if options.a2center is None:
        start = float(traces.lines[0])
    else:
        start = (options.a2center - 1.0 - setting.pixels.zero[1]) / setting.pixels.ltm[1]
    return start + (setting.shift[1] + offset)


def _along(displacements: Vector, columns: npt.NDArray[np.intp]) -> Vector:
    """Return the displacement of the trace at unbinned columns; 0 beyond its ends."""
    inside = (columns >= 0) & (columns < len(displacements))
    return np.where(inside, displacements[np.where(inside, columns, 0)], 0.0)


def _sum(
    planes: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.int16]],
    centre: Vector,
    columns: npt.NDArray[np.intp],
    setting: Setting,
    steps: Steps,
    parameters: ExtractionParameters,
    options: ExtractOptions,
) -> BoxSums:
    """Return the sums over the extraction box, the background smoothed if it is to be."""
    sci, err, dq = planes
    background = Background.none(sci.shape[1])
    if steps.background:
        tilt = np.zeros(sci.shape[1])
        for power, coefficient in enumerate(parameters.tilt):
            tilt += coefficient * (columns + 1.0) ** power
        background = fit_background(
            sci, dq, centre, parameters.back_size, parameters.back_offset, tilt, parameters.back_order, setting.pixels
        )
    smoothing = options.bksmode != "off"
    sums = sum_box(
        sci,
        err,
        dq,
        centre,
        parameters.extrsize,
        background,
        setting.exposed.exptime,
        setting.pixels,
        background_noise=steps.background and not smoothing,
    )
    if smoothing:  # CalSTIS does so even without BACKCORR, with a background of zero
        smoothed = smooth(sums.background, options.bksorder)
        sums = replace(sums, background=smoothed, net=sums.gross - smoothed)
    return sums


def _flux(
    sums: BoxSums,
    wavelength: Vector,
    hfactor: float,
    row: npt.NDArray[np.float32],
    box_height: np.float32,
    setting: Setting,
    tables: ExtractionTables,
) -> Flux:
    """Return flux and errors; without FLUXCORR a flux of zero, and errors in counts per second."""
    none = np.zeros(len(wavelength), dtype=np.int16)
    if tables.flux is None:
        zero = np.zeros_like(sums.error)
        return Flux(zero, zero if tables.no_error else sums.error, sums.error, none, none > 0)
    net, flags = sums.net, none
    if tables.cte:
        observed = wavelength / hfactor
        net, flags = tables.cte.corrected(
            sums, observed, row, setting.exposed, box_height, setting.start, setting.pixels
        )
    flux = calibrate(
        tables.flux,
        wavelength,
        hfactor,
        sums,
        net,
        setting.exposed,
        box_height,
        setting.start,
        setting.temperature,
    )
    # CalSTIS looks for signal only where there is a sensitivity.
    flags = np.where(flux.sensitive, flags, 0).astype(np.int16)
    return replace(flux, dq=flux.dq | flags)


def _update(
    primary: fits.Header,
    exposure: Exposure,
    steps: Steps,
    tables: ExtractionTables,
    velocity: float | None,
    count: int,
    trailer: Trailer,
) -> None:
    """Say in the primary header, and in the trailer, what was done."""
    primary["CAL_VER"] = f"gpucti {__version__}"
    primary["NEXTEND"] = count
    if count == 0:
        return
    primary["XTRACALG"] = (UNWEIGHTED, "extraction algorithm")
    parts: list[tuple[str, tuple[tuple[str, ...], ...]]] = [
        ("X1DCORR", (tables.traces.traces.history, tables.parameters.history))
    ]
    if steps.background:
        parts.append(("BACKCORR", (tables.parameters.history,)))
    if tables.dispersion and tables.incidence:
        parts.append(("DISPCORR", (tables.dispersion.history, tables.incidence.history, tables.slit.history)))
    if velocity is not None:
        parts.append(("HELCORR", ((f"  radial velocity {velocity:g} km/s",),)))
    if tables.flux:
        parts.append(("FLUXCORR", (tables.flux.history,)))
    if tables.cte:
        parts.append(("CTECORR", (tables.cte.history,)))
    elif exposure.switch("PCTECORR") == "COMPLETE" and exposure.switch("CTECORR") == "PERFORM":
        primary["CTECORR"] = "OMIT"
    lines = []
    for name, histories in parts:
        primary[name] = "COMPLETE"
        lines += [f"{name} complete", *(line for history in histories for line in history)]
    for line in [*lines, *([tables.no_flux] if tables.no_flux else [])]:
        primary.add_history(line)
    for line in lines:
        trailer.say(line)
