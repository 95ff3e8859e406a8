"""X2DCORR: a long-slit spectrum resampled so that wavelength runs along rows and the slit along columns.

The rules are CalSTIS's (``cs7``: do2dx.c, x2dcorr7.c). Each pixel of the rectified image is sought in the spectrum as
it lies on the detector: the dispersion relation gives the column, the trace the row. Values are samples: surface
brightness is kept, flux per pixel is not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from gpucti.backends.base import Array, Backend
from gpucti.calibration.base import Trailer
from gpucti.calibration.basic2d.temperature import detector_temperature
from gpucti.calibration.basic2d.velocity import heliocentric_velocity
from gpucti.calibration.reffiles import HeaderReferences, References, stored_double
from gpucti.calibration.resample import resample
from gpucti.calibration.spectra.aperture import STANDARD_ANGLE, Slit, aperture_name, read_slit
from gpucti.calibration.spectra.dispersion import (
    Dispersion,
    IncidenceAngle,
    evaluate,
    read_dispersion,
    read_incidence_angle,
)
from gpucti.calibration.spectra.tables import Mode
from gpucti.calibration.spectra.trace import TraceRows, Traces, read_traces
from gpucti.calibration.spectra.x2d.brightness import BUNIT, Brightness, Sensitivities, brightness
from gpucti.calibration.spectra.x2d.grid import Grid, Layout, read_layout
from gpucti.calibration.statistics import do_statistics
from gpucti.detector import DQ_ALL, DQ_OUTSIDE, LIGHT_KM_S
from gpucti.io.cards import Cards
from gpucti.io.exposure import Exposure, ImageSet
from gpucti.io.pixelgrid import PixelGrid

Headers = tuple[fits.Header, fits.Header, fits.Header]

#: What ASN_MTYP of a wavecal contains.
WAVECAL = "WAVECAL"


@dataclass(frozen=True, eq=False)
class RectificationTables:
    """What the reference tables say of the rectification of an exposure: one mode, one aperture.

    Attributes
    ----------
    layout : Layout
        The grid (SDCTAB).
    slit : Slit
        APDESTAB.
    dispersion, incidence : Dispersion, IncidenceAngle
        The dispersion relation (DISPTAB, INANGTAB).
    delta : float
        How far the aperture lies from the one that the dispersion relation was measured with, arcseconds.
    traces : TraceRows
        SPTRCTAB.
    """

    layout: Layout
    slit: Slit
    dispersion: Dispersion
    incidence: IncidenceAngle
    delta: float
    traces: TraceRows

    @classmethod
    def read(cls, references: HeaderReferences) -> RectificationTables:
        """Read the tables that an exposure's header names.

        Raises
        ------
        ReferenceFileError
            A table is missing or damaged, or has no row for the exposure; DummyReferenceError where it is DUMMY.
        """
        mode, aperture = Mode.of(references.cards), aperture_name(references.cards)
        slit = read_slit(references, aperture)
        layout = read_layout(references, mode, aperture)
        dispersion = read_dispersion(references, mode)
        measured = read_slit(references, dispersion.ref_aper)
        return cls(
            layout=layout,
            slit=slit,
            dispersion=dispersion,
            incidence=read_incidence_angle(references, mode),
            delta=slit.offset[0] - measured.offset[0],
            traces=read_traces(references, mode),
        )

    @property
    def history(self) -> tuple[str, ...]:
        """Return what tables these are."""
        parts = (self.layout, self.slit, self.dispersion, self.incidence, self.traces.traces)
        return tuple(line for part in parts for line in part.history)


class _Setting(NamedTuple):
    """What the SCI header of an image set says of time and place."""

    wavecal: bool
    exptime: float
    start: float
    end: float
    shift: tuple[float, float]
    straight: bool
    pixels: PixelGrid

    @classmethod
    def read(cls, sci: Cards, *, straight: bool) -> _Setting:
        axis = sci.whole("DISPAXIS", default=1)
        if axis != 1:
            raise sci.wrong(f"DISPAXIS is {axis}; expected 1, the gratings of the CCD disperse along rows")
        exptime, start, end = (float(sci.number(name)) for name in ("EXPTIME", "EXPSTART", "EXPEND"))
        if exptime < 0:
            raise sci.wrong(f"EXPTIME is {exptime}; expected seconds")
        wavecal = WAVECAL in sci.text("ASN_MTYP", default="")
        along, across = (float(sci.number(name, default=0)) for name in ("SHIFTA1", "SHIFTA2"))
        shift = (0.0, 0.0) if wavecal else (along, 0.0 if straight else across)
        return cls(wavecal, exptime, start, end, shift, straight, PixelGrid.of(sci))


def rectify(
    exposure: Exposure,
    *,
    references: References,
    backend: Backend,
    trailer: Trailer,
    fluxcorr: bool,
    helcorr: bool,
    statistics: bool = True,
) -> Exposure:
    """Return the rectified spectrum of an exposure; every image set is resampled.

    For an image set of a wavecal (ASN_MTYP contains ``WAVECAL``) SHIFTA1 and SHIFTA2 count as zero, and there is no
    heliocentric correction.

    Parameters
    ----------
    exposure : Exposure
        A calibrated spectrum of a first-order grating (``flt``, ``crj``), or a wavecal after basic reduction.
    references : References
        Where the tables come from.
    backend : Backend
        Computes.
    trailer : Trailer
        Says what was done.
    fluxcorr : bool
        Turn counts into erg/s/cm**2/Angstrom/arcsec**2.
    helcorr : bool
        Let the grid be linear in heliocentric wavelength.
    statistics : bool
        Write NGOODPIX, GOODMEAN and the like anew.

    Raises
    ------
    InputError
        A keyword is missing or makes no sense, or the image is too small.
    ReferenceFileError
        See `RectificationTables.read` and `brightness.Sensitivities.read`.
    """
    named, straight = references.of(exposure), exposure.switch("WX2DCORR") == "COMPLETE"
    tables = RectificationTables.read(named)
    sensitivities = _sensitivities(named, trailer) if fluxcorr else None
    imsets, wavecals = [], []
    for imset, cards in zip(exposure.imsets, exposure.sci_cards, strict=True):
        setting = _Setting.read(cards, straight=straight)
        wavecals.append(setting.wavecal)
        headers = _copies(imset)
        grid = tables.layout.scaled(setting.pixels, exposure.shape, cards.where)
        observed = grid.wavelengths
        if helcorr and not setting.wavecal:
            velocity = _velocity(exposure.cards, setting)
            headers[0]["V_HELIO"] = (stored_double(velocity), "[km/s] heliocentric radial velocity")
            observed = observed / (1.0 - velocity / LIGHT_KM_S)
        flux = None
        if sensitivities is not None and setting.exptime > 0:
            flux = brightness(
                sensitivities,
                grid,
                tables.slit,
                observed,
                gain=_gain(exposure.cards),
                exptime=setting.exptime,
                date=setting.start,
                temperature=detector_temperature(cards),
            )
        with np.errstate(over="ignore", invalid="ignore"):  # infinite positions lie outside; NaN pixels stay NaN
            locate = _locator(grid, tables, setting, observed, backend)
            sci, err, dq = resample(imset, setting.pixels, grid.shape, locate, backend)
            if (dq == DQ_OUTSIDE).all():
                trailer.say(
                    f"{cards.where}: the whole rectified image lies beside the detector; SHIFTA1, 2 {setting.shift}"
                )
            grid.mask(dq, tables.slit)
            if flux is not None:
                flux.apply(sci, err, dq)
        _update(headers, grid)
        if sensitivities is not None:
            _update_flux(headers, flux, cards.where, trailer)
        imsets.append(ImageSet(sci, err, dq, headers))
        imsets[-1].drop_statistics()
        if statistics:
            flags = cards.whole("SDQFLAGS", default=DQ_ALL)
            do_statistics(sci, err, dq, flags, headers[0], headers[1])
    primary = exposure.primary.copy()
    lines = ["X2DCORR complete", *tables.history]
    if straight:
        lines.append("  the traces were straightened before, by wx2d")
    if helcorr and not all(wavecals):
        primary["HELCORR"] = "COMPLETE"
        lines.append("HELCORR complete")
    if fluxcorr:
        primary["FLUXCORR"] = "SKIPPED" if sensitivities is None else "COMPLETE"
        lines += (
            ["FLUXCORR skipped: PHOTTAB or APERTAB only fill a place (PEDIGREE DUMMY)"]
            if sensitivities is None
            else ["FLUXCORR complete", *sensitivities.history]
        )
    primary["X2DCORR"] = primary["DISPCORR"] = "COMPLETE"
    if not all(wavecals) and exposure.switch("WAVECORR") != "COMPLETE":
        trailer.say("WAVECORR is not COMPLETE: the spectrum may be shifted")
    for line in lines:
        primary.add_history(line)
        trailer.say(line)
    return replace(exposure, primary=primary, imsets=tuple(imsets))


def positions(
    grid: Grid,
    tables: RectificationTables,
    traces: Traces,
    shift: tuple[float, float],
    binning: float,
    wavelengths: Array,
    rows: npt.NDArray[np.float64],
    xp: Any = np,
) -> tuple[Array, Array]:
    """Return where the pixels of some rows of the rectified image lie on the detector.

    Parameters
    ----------
    grid : Grid
        Of the rectified image.
    tables, traces : RectificationTables, Traces
        How light falls on the detector; the traces on the day of the exposure.
    shift : (float, float)
        SHIFTA1, SHIFTA2, unbinned pixels.
    binning : float
        LTM2_2: 1 over the binning across the dispersion.
    wavelengths : (columns,) float64
        As observed, Angstrom, in the memory of `xp`.
    rows : (n,) float64
        Rows of the rectified image, 0-based.
    xp : module
        NumPy or CuPy.

    Returns
    -------
    x, y : (n, columns) float64
        0-based, unbinned pixels of the full frame.
    """
    distance = (rows - grid.crpix[1]) / binning
    # The offset is in arcseconds; the scale is per image pixel, though the line is in unbinned ones: CalSTIS's way.
    line = distance + grid.line + (shift[1] + tables.slit.offset[1] / grid.plate_scale[1])
    coefficients, counts = tables.dispersion.at(line)
    per_degree = math.acos(0.0) / 90.0
    tilt = math.tan(tables.slit.angle * per_degree) - math.tan(STANDARD_ANGLE * per_degree)
    coefficients[:, 0] += distance * tilt
    coefficients = tables.incidence.adjust(coefficients, counts, tables.delta, shift[0])
    x = evaluate(xp.asarray(coefficients), wavelengths, xp)
    trace = xp.asarray(traces.at(line))
    known = (x - 0.5 > -1) & (x + 0.5 < trace.shape[1])  # the nearest element is one of the trace's
    nearest = xp.where(known, x + 0.5, 0.0).astype(np.int32)
    nearest += (xp.arange(len(line), dtype=np.int32) * np.int32(trace.shape[1]))[:, np.newaxis]
    y = xp.where(known, trace.ravel()[nearest], 0.0)
    y += xp.asarray(line)[:, np.newaxis]
    return x, y


def _locator(
    grid: Grid,
    tables: RectificationTables,
    setting: _Setting,
    observed: npt.NDArray[np.float64],
    backend: Backend,
) -> Callable[[npt.NDArray[np.float64]], tuple[Array, Array]]:
    """Return what tells where the pixels of some rows of the rectified image lie; see `resample`."""
    xp = backend.xp
    traces = tables.traces.traces.straight() if setting.straight else tables.traces.on(setting.start)
    binning, wavelengths = setting.pixels.ltm[1], xp.asarray(observed)

    def locate(rows: npt.NDArray[np.float64]) -> tuple[Array, Array]:
        return positions(grid, tables, traces, setting.shift, binning, wavelengths, rows, xp)

    return locate


def _sensitivities(references: HeaderReferences, trailer: Trailer) -> Sensitivities | None:
    """Return what FLUXCORR needs; None if PHOTTAB or APERTAB as a whole only fill a place."""
    if any(references.table(keyword).dummy for keyword in ("PHOTTAB", "APERTAB")):
        return None
    return Sensitivities.read(references, trailer)


def _velocity(primary: Cards, setting: _Setting) -> float:
    """Return the heliocentric radial velocity in the middle of an exposure, km/s."""
    ra, dec = (float(primary.number(name)) for name in ("RA_TARG", "DEC_TARG"))
    return heliocentric_velocity(ra, dec, (setting.start + setting.end) / 2)


def _gain(primary: Cards) -> float:
    """Return ATODGAIN, or CCDGAIN where it is missing: electrons per count."""
    gain = primary.number("ATODGAIN", default=-1)
    return float(gain if gain >= 0 else primary.whole("CCDGAIN", default=1))


def _copies(imset: ImageSet) -> Headers:
    sci, err, dq = (header.copy() for header in imset.headers)
    return sci, err, dq


def _update(headers: Headers, grid: Grid) -> None:
    headers[0]["SPORDER"] = (1, "spectral order")
    for header in headers:
        for name, value in grid.keywords().items():
            header[name] = value if isinstance(value, str) else stored_double(value)


def _update_flux(headers: Headers, flux: Brightness | None, where: str, trailer: Trailer) -> None:
    if flux is None:
        trailer.say(f"{where}: EXPTIME is 0, the image set stays in counts")
        return
    for name, card in flux.keywords.items():
        headers[0][name] = card
    for header in headers[:2]:
        header["BUNIT"] = BUNIT
    if flux.counts:
        trailer.say(f"{where}: no sensitivity in {flux.counts} columns, which stay in counts")
