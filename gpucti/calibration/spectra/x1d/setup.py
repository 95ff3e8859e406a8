"""What an extraction does and needs, found before any pixel is touched: steps, reference tables, keywords."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from astropy.io import fits

from gpucti.calibration.base import Trailer
from gpucti.calibration.basic2d.temperature import detector_temperature
from gpucti.calibration.geometry import PixelMap
from gpucti.calibration.reffiles import References
from gpucti.calibration.spectra.aperture import Aperture, aperture_name, read_aperture
from gpucti.calibration.spectra.dispersion import Dispersion, IncidenceAngle, read_dispersion, read_incidence_angle
from gpucti.calibration.spectra.tables import DummyReferenceError, Mode
from gpucti.calibration.spectra.trace import TraceRows, read_traces
from gpucti.calibration.spectra.x1d.empirical_cte import EmpiricalCte, read_empirical_cte
from gpucti.calibration.spectra.x1d.flux import Exposed, FluxTables, read_flux_tables
from gpucti.calibration.spectra.x1d.parameters import ExtractOptions, Parameters, read_parameters
from gpucti.calibration.switches import switch
from gpucti.errors import InputError
from gpucti.io.cards import Cards
from gpucti.io.exposure import Exposure
from gpucti.io.fitsfile import integer_keyword, number_keyword, text_keyword

#: SDQFLAGS where the keyword is missing. CalSTIS's other programs take every bit then.
DEFAULT_FLAGS = 127


@dataclass(frozen=True)
class Steps:
    """Which parts of an extraction are done."""

    background: bool
    wavelengths: bool
    heliocentric: bool
    flux: bool
    cte: bool


@dataclass(frozen=True, eq=False)
class ExtractionTables:
    """What the reference tables say of the extraction of an exposure: one mode, one aperture.

    Attributes
    ----------
    mode : Mode
        Grating and central wavelength.
    parameters : Parameters
        Boxes and search (XTRACTAB, and the user).
    traces : TraceRows
        SPTRCTAB.
    aperture : Aperture
        APDESTAB.
    dispersion, incidence : Dispersion, IncidenceAngle, or None
        DISPTAB and INANGTAB; None without wavelengths.
    delta : float
        How far the aperture lies from the one that the dispersion relation was measured with, arcseconds.
    flux : FluxTables or None
        None without fluxes.
    cte : EmpiricalCte or None
        None without CTECORR.
    no_flux : str
        Why FLUXCORR is not done although it was asked for; empty if it is.
    no_error : bool
        Then the error is zero as well: the row of the PHOTTAB only fills a place.
    """

    mode: Mode
    parameters: Parameters
    traces: TraceRows
    aperture: Aperture
    dispersion: Dispersion | None = None
    incidence: IncidenceAngle | None = None
    delta: float = 0.0
    flux: FluxTables | None = None
    cte: EmpiricalCte | None = None
    no_flux: str = ""
    no_error: bool = False


class Setting(NamedTuple):
    """What the headers say of one image set.

    Attributes
    ----------
    exposed : Exposed
        What enters the noise.
    start, middle : float
        EXPSTART, and the middle of the exposure, MJD.
    shift : (float, float)
        SHIFTA1 and SHIFTA2 as they count, unbinned pixels.
    flags : int
        SDQFLAGS.
    plate_scale : float
        CD2_2, degrees per pixel.
    temperature : float
        Of the detector, degrees C; -1 if unknown.
    pixels : PixelMap
        Where the image lies on the detector.
    """

    exposed: Exposed
    start: float
    middle: float
    shift: tuple[float, float]
    flags: int
    plate_scale: float
    temperature: float
    pixels: PixelMap


def chosen_steps(exposure: Exposure, options: ExtractOptions, trailer: Trailer) -> Steps:
    """Return what is to be done, from switches and options."""

    def wanted(name: str, choice: bool | None) -> bool:
        return switch(exposure, name) == "PERFORM" if choice is None else choice

    dispcorr = wanted("DISPCORR", options.dispcorr)
    helcorr, fluxcorr = wanted("HELCORR", options.helcorr), wanted("FLUXCORR", options.fluxcorr)
    if not dispcorr and (helcorr or fluxcorr):
        names = " and ".join(name for name, done in (("HELCORR", helcorr), ("FLUXCORR", fluxcorr)) if done)
        raise InputError(
            f"{names} without DISPCORR: there are no wavelengths; do DISPCORR too, or leave out {names}",
            where=f"{exposure.path}[0]",
        )
    # CalSTIS performs CTECORR, alone of all steps, where the keyword is missing.
    header = "CTECORR" not in exposure.primary or switch(exposure, "CTECORR") == "PERFORM"
    cte = header if options.ctecorr is None else options.ctecorr
    if cte and exposure.switch("PCTECORR") == "COMPLETE":
        if options.ctecorr:
            raise InputError(
                "PCTECORR is COMPLETE, the pixels are CTI-corrected; a second correction "
                "(ctecorr) would raise the flux once more, leave it out",
                where=f"{exposure.path}[0]",
            )
        trailer.say("CTECORR not done: the pixels are CTI-corrected already (PCTECORR is COMPLETE)")
        cte = False
    return Steps(wanted("BACKCORR", options.backcorr), dispcorr, helcorr, fluxcorr, cte and fluxcorr)


def read_tables(
    exposure: Exposure, steps: Steps, options: ExtractOptions, references: References, trailer: Trailer
) -> ExtractionTables:
    """Read what the steps need; see `extract` for the errors."""
    primary, folder, where = exposure.primary, exposure.path.parent, f"{exposure.path}[0]"
    mode, name = Mode.of(primary, where), aperture_name(primary, where)
    given: dict[str, Any] = {"references": references, "folder": folder, "trailer": trailer}
    parameters = read_parameters(primary, name, mode, options, **given)
    aperture = read_aperture(primary, name, references, folder)
    traces = read_traces(primary, mode, references, folder)
    if not steps.wavelengths:
        return ExtractionTables(mode, parameters, traces, aperture)
    dispersion = read_dispersion(primary, mode, references, folder)
    measured = read_aperture(primary, dispersion.ref_aper, references, folder)
    flux, no_flux, no_error = None, "", False
    if steps.flux:
        try:
            flux = read_flux_tables(primary, mode, name, parameters.extrsize, **given)
        except DummyReferenceError as error:
            no_flux = f"FLUXCORR not done, fluxes are zero: {error}"
            no_error = _dummy_row_only(primary, mode, references, folder)
            trailer.say(no_flux)
    return ExtractionTables(
        mode=mode,
        parameters=parameters,
        traces=traces,
        aperture=aperture,
        dispersion=dispersion,
        incidence=read_incidence_angle(primary, mode, references, folder),
        # cs6 holds this one offset, but not the other, in single precision.
        delta=float(np.float32(aperture.offset[0])) - measured.offset[0],
        flux=flux,
        cte=read_empirical_cte(primary, mode, name, **given) if steps.cte and flux else None,
        no_flux=no_flux,
        no_error=no_error,
    )


def _dummy_row_only(primary: fits.Header, mode: Mode, references: References, folder: Path) -> bool:
    """Tell whether the PHOTTAB is real, but not its row for the mode: CalSTIS then sets the errors to zero."""
    table = references.table(references.required(primary, "PHOTTAB", folder))
    return not table.dummy and table.row_dummy(table.row(**mode.columns, SPORDER=1))


def read_setting(
    primary: fits.Header,
    header: fits.Header,
    tables: ExtractionTables,
    options: ExtractOptions,
    where: str,
    place: str,
) -> Setting:
    """Return what the headers say of one image set."""
    axis = integer_keyword(header, "DISPAXIS", place, default=1)
    if axis != 1:
        raise InputError(f"DISPAXIS is {axis}; expected 1, the gratings of the CCD disperse along rows", where=place)
    exptime, start, end, dark, scale = (
        float(number_keyword(header, name, place)) for name in ("EXPTIME", "EXPSTART", "EXPEND", "MEANDARK", "CD2_2")
    )
    combined = integer_keyword(header, "NCOMBINE", place)
    if exptime < 0 or combined < 1 or scale == 0:
        raise InputError(
            f"EXPTIME, NCOMBINE, CD2_2 are {exptime}, {combined}, {scale}; expected seconds, image sets, degrees",
            where=place,
        )
    shift = (0.0, 0.0)
    if text_keyword(header, "ASN_MTYP", place, default="") != "WAVECAL":
        along, across = (float(number_keyword(header, name, place, default=0)) for name in ("SHIFTA1", "SHIFTA2"))
        shift = (along, across if options.a2center is None else 0.0)
    gain = tables.cte.gain if tables.cte else float(number_keyword(primary, "ATODGAIN", where, default=1))
    return Setting(
        exposed=Exposed(exptime, gain, float(number_keyword(primary, "READNSE", where, default=0)), dark, combined),
        start=start,
        middle=(start + end) / 2.0,
        shift=(shift[0] + options.xoffset, shift[1]),
        flags=integer_keyword(header, "SDQFLAGS", place, default=DEFAULT_FLAGS),
        plate_scale=scale,
        temperature=detector_temperature(Cards(header, place)),
        pixels=PixelMap.of(header, place),
    )
