"""What an extraction does and needs, found before any pixel is touched: steps, reference tables, keywords."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gpucti.calibration.base import Trailer
from gpucti.calibration.basic2d.temperature import detector_temperature
from gpucti.calibration.reffiles import HeaderReferences
from gpucti.calibration.spectra.aperture import Slit, aperture_name, read_slit
from gpucti.calibration.spectra.dispersion import Dispersion, IncidenceAngle, read_dispersion, read_incidence_angle
from gpucti.calibration.spectra.tables import DummyReferenceError, Mode
from gpucti.calibration.spectra.trace import TraceRows, read_traces
from gpucti.calibration.spectra.x1d.empirical_cte import EmpiricalCte, read_empirical_cte
from gpucti.calibration.spectra.x1d.flux import Exposed, FluxTables, read_flux_tables
from gpucti.calibration.spectra.x1d.parameters import ExtractionParameters, ExtractOptions, read_extraction_parameters
from gpucti.calibration.switches import switch
from gpucti.io.cards import Cards
from gpucti.io.exposure import Exposure
from gpucti.io.pixelgrid import PixelGrid

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
    parameters : ExtractionParameters
        Boxes and search (XTRACTAB, and the user).
    traces : TraceRows
        SPTRCTAB.
    slit : Slit
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
    parameters: ExtractionParameters
    traces: TraceRows
    slit: Slit
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
    pixels : PixelGrid
        Where the image lies on the detector.
    """

    exposed: Exposed
    start: float
    middle: float
    shift: tuple[float, float]
    flags: int
    plate_scale: float
    temperature: float
    pixels: PixelGrid


def chosen_steps(exposure: Exposure, options: ExtractOptions, trailer: Trailer) -> Steps:
    """Return what is to be done, from switches and options."""

    def performed(name: str, choice: bool | None) -> bool:
        return switch(exposure, name) == "PERFORM" if choice is None else choice

    dispcorr = performed("DISPCORR", options.dispcorr)
    helcorr, fluxcorr = performed("HELCORR", options.helcorr), performed("FLUXCORR", options.fluxcorr)
    if not dispcorr and (helcorr or fluxcorr):
        names = " and ".join(name for name, done in (("HELCORR", helcorr), ("FLUXCORR", fluxcorr)) if done)
        raise exposure.cards.wrong(
            f"{names} without DISPCORR: there are no wavelengths; do DISPCORR too, or leave out {names}"
        )
    # CalSTIS performs CTECORR, alone of all steps, where the keyword is missing.
    header = "CTECORR" not in exposure.cards or switch(exposure, "CTECORR") == "PERFORM"
    cte = header if options.ctecorr is None else options.ctecorr
    if cte and exposure.switch("PCTECORR") == "COMPLETE":
        if options.ctecorr:
            raise exposure.cards.wrong(
                "PCTECORR is COMPLETE, the pixels are CTI-corrected; a second correction "
                "(ctecorr) would raise the flux once more, leave it out"
            )
        trailer.say("CTECORR not done: the pixels are CTI-corrected already (PCTECORR is COMPLETE)")
        cte = False
    return Steps(performed("BACKCORR", options.backcorr), dispcorr, helcorr, fluxcorr, cte and fluxcorr)


def read_tables(
    references: HeaderReferences, steps: Steps, options: ExtractOptions, trailer: Trailer
) -> ExtractionTables:
    """Read what the steps need; see `extract` for the errors."""
    mode, aperture = Mode.of(references.cards), aperture_name(references.cards)
    parameters = read_extraction_parameters(references, mode, aperture, options, trailer)
    slit = read_slit(references, aperture)
    traces = read_traces(references, mode)
    if not steps.wavelengths:
        return ExtractionTables(mode, parameters, traces, slit)
    dispersion = read_dispersion(references, mode)
    measured = read_slit(references, dispersion.ref_aper)
    flux, no_flux, no_error = None, "", False
    if steps.flux:
        try:
            flux = read_flux_tables(references, mode, aperture, parameters.extrsize, trailer)
        except DummyReferenceError as error:
            no_flux = f"FLUXCORR not done, fluxes are zero: {error}"
            no_error = _dummy_row_only(references, mode)
            trailer.say(no_flux)
    return ExtractionTables(
        mode=mode,
        parameters=parameters,
        traces=traces,
        slit=slit,
        dispersion=dispersion,
        incidence=read_incidence_angle(references, mode),
        # cs6 holds this one offset, but not the other, in single precision.
        delta=float(np.float32(slit.offset[0])) - measured.offset[0],
        flux=flux,
        cte=read_empirical_cte(references, mode, aperture, trailer) if steps.cte and flux else None,
        no_flux=no_flux,
        no_error=no_error,
    )


def _dummy_row_only(references: HeaderReferences, mode: Mode) -> bool:
    """Tell whether the PHOTTAB is real, but not its row for the mode: CalSTIS then sets the errors to zero."""
    table = references.table("PHOTTAB")
    return not table.dummy and table.row_dummy(table.row(**mode.columns, SPORDER=1))


def read_setting(primary: Cards, sci: Cards, tables: ExtractionTables, options: ExtractOptions) -> Setting:
    """Return what the headers say of one image set."""
    axis = sci.whole("DISPAXIS", default=1)
    if axis != 1:
        raise sci.wrong(f"DISPAXIS is {axis}; expected 1, the gratings of the CCD disperse along rows")
    exptime, start, end, dark, scale = (
        float(sci.number(name)) for name in ("EXPTIME", "EXPSTART", "EXPEND", "MEANDARK", "CD2_2")
    )
    combined = sci.whole("NCOMBINE")
    if exptime < 0 or combined < 1 or scale == 0:
        raise sci.wrong(
            f"EXPTIME, NCOMBINE, CD2_2 are {exptime}, {combined}, {scale}; expected seconds, image sets, degrees"
        )
    shift = (0.0, 0.0)
    if sci.text("ASN_MTYP", default="") != "WAVECAL":
        along, across = (float(sci.number(name, default=0)) for name in ("SHIFTA1", "SHIFTA2"))
        shift = (along, across if options.a2center is None else 0.0)
    gain = tables.cte.gain if tables.cte else float(primary.number("ATODGAIN", default=1))
    return Setting(
        exposed=Exposed(exptime, gain, float(primary.number("READNSE", default=0)), dark, combined),
        start=start,
        middle=(start + end) / 2.0,
        shift=(shift[0] + (options.xoffset or 0.0), shift[1]),
        flags=sci.whole("SDQFLAGS", default=DEFAULT_FLAGS),
        plate_scale=scale,
        temperature=detector_temperature(sci),
        pixels=PixelGrid.of(sci),
    )
