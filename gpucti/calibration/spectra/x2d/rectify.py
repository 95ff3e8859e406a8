"""X2DCORR: a long-slit spectrum resampled so that wavelength runs along rows and the slit along columns.

The rules are CalSTIS's (``cs7``: do2dx.c, x2dcorr7.c). Each pixel of the rectified image is sought in the spectrum as
it lies on the detector: the dispersion relation gives the column, the trace the row. Values are samples: surface
brightness is kept, flux per pixel is not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from gpucti.backends.base import Array, Backend
from gpucti.calibration.base import Trailer
from gpucti.calibration.basic2d.temperature import detector_temperature
from gpucti.calibration.basic2d.velocity import heliocentric_velocity
from gpucti.calibration.geometry import ALL_BITS, OUTSIDE, PixelMap, interpolate_images
from gpucti.calibration.reffiles import References, stored_double
from gpucti.calibration.spectra.aperture import STANDARD_ANGLE, Aperture, aperture_name, read_aperture
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
from gpucti.errors import InputError
from gpucti.io.cards import Cards
from gpucti.io.exposure import Exposure, ImageSet
from gpucti.io.fitsfile import integer_keyword, number_keyword, text_keyword

#: Rows of the rectified image treated at a time: temporaries stay in the processor's cache.
BLOCK_ROWS = 32
#: Pixels of a block on a GPU.
BLOCK_PIXELS_GPU = 1 << 24
#: Speed of light, km/s.
LIGHT = 299792.458
#: What ASN_MTYP of a wavecal contains.
WAVECAL = "WAVECAL"


@dataclass(frozen=True, eq=False)
class RectificationTables:
    """What the reference tables say of the rectification of an exposure: one mode, one aperture.

    Attributes
    ----------
    layout : Layout
        The grid (SDCTAB).
    aperture : Aperture
        The slit (APDESTAB).
    dispersion, incidence : Dispersion, IncidenceAngle
        The dispersion relation (DISPTAB, INANGTAB).
    delta : float
        How far the aperture lies from the one that the dispersion relation was measured with, arcseconds.
    traces : TraceRows
        SPTRCTAB.
    """

    layout: Layout
    aperture: Aperture
    dispersion: Dispersion
    incidence: IncidenceAngle
    delta: float
    traces: TraceRows

    @classmethod
    def read(cls, exposure: Exposure, references: References) -> RectificationTables:
        """Read the tables that the exposure's header names.

        Raises
        ------
        ReferenceFileError
            A table is missing or damaged, or has no row for the exposure; DummyReferenceError where it is DUMMY.
        """
        primary, folder, where = exposure.primary, exposure.path.parent, f"{exposure.path}[0]"
        mode, name = Mode.of(primary, where), aperture_name(primary, where)
        aperture = read_aperture(primary, name, references, folder)
        layout = read_layout(primary, mode, name, references, folder)
        dispersion = read_dispersion(primary, mode, references, folder)
        measured = read_aperture(primary, dispersion.ref_aper, references, folder)
        return cls(
            layout=layout,
            aperture=aperture,
            dispersion=dispersion,
            incidence=read_incidence_angle(primary, mode, references, folder),
            delta=aperture.offset[0] - measured.offset[0],
            traces=read_traces(primary, mode, references, folder),
        )

    @property
    def history(self) -> tuple[str, ...]:
        """Return what tables these are."""
        parts = (self.layout, self.aperture, self.dispersion, self.incidence, self.traces.traces)
        return tuple(line for part in parts for line in part.history)


class _Setting(NamedTuple):
    """What the SCI header of an image set says of time and place."""

    wavecal: bool
    exptime: float
    start: float
    end: float
    shift: tuple[float, float]
    straight: bool
    pixels: PixelMap

    @classmethod
    def read(cls, header: fits.Header, where: str, *, straight: bool) -> _Setting:
        axis = integer_keyword(header, "DISPAXIS", where, default=1)
        if axis != 1:
            raise InputError(
                f"DISPAXIS is {axis}; expected 1, the gratings of the CCD disperse along rows", where=where
            )
        exptime, start, end = (float(number_keyword(header, name, where)) for name in ("EXPTIME", "EXPSTART", "EXPEND"))
        if exptime < 0:
            raise InputError(f"EXPTIME is {exptime}; expected seconds", where=where)
        wavecal = WAVECAL in text_keyword(header, "ASN_MTYP", where, default="")
        along, across = (float(number_keyword(header, name, where, default=0)) for name in ("SHIFTA1", "SHIFTA2"))
        shift = (0.0, 0.0) if wavecal else (along, 0.0 if straight else across)
        return cls(wavecal, exptime, start, end, shift, straight, PixelMap.of(header, where))


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
    primary, where = exposure.primary.copy(), f"{exposure.path}[0]"
    straight = exposure.switch("WX2DCORR") == "COMPLETE"
    tables = RectificationTables.read(exposure, references)
    sensitivities = _sensitivities(exposure, references, trailer) if fluxcorr else None
    imsets, wavecals = [], []
    for number, imset in enumerate(exposure.imsets, start=1):
        place = f"{exposure.path}[SCI,{number}]"
        setting = _Setting.read(imset.headers[0], place, straight=straight)
        wavecals.append(setting.wavecal)
        headers = _copies(imset)
        grid = tables.layout.scaled(setting.pixels, exposure.shape, place)
        observed = grid.wavelengths
        if helcorr and not setting.wavecal:
            velocity = _velocity(primary, setting, where)
            headers[0]["V_HELIO"] = (stored_double(velocity), "[km/s] heliocentric radial velocity")
            observed = observed / (1.0 - velocity / LIGHT)
        flux = None
        if sensitivities is not None and setting.exptime > 0:
            flux = brightness(
                sensitivities,
                grid,
                tables.aperture,
                observed,
                gain=_gain(primary, where),
                exptime=setting.exptime,
                date=setting.start,
                temperature=detector_temperature(Cards(headers[0], place)),
            )
        with np.errstate(over="ignore", invalid="ignore"):  # infinite positions lie outside; NaN pixels stay NaN
            sci, err, dq = _resample(imset, grid, tables, setting, observed, backend)
            if (dq == OUTSIDE).all():
                trailer.say(f"{place}: the whole rectified image lies beside the detector; SHIFTA1, 2 {setting.shift}")
            grid.mask(dq, tables.aperture)
            if flux is not None:
                flux.apply(sci, err, dq)
        _update(headers, grid)
        if sensitivities is not None:
            _update_flux(headers, flux, place, trailer)
        if statistics:
            flags = integer_keyword(headers[0], "SDQFLAGS", place, default=ALL_BITS)
            do_statistics(sci, err, dq, flags, headers[0], headers[1])
        imsets.append(ImageSet(sci, err, dq, headers))
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
    line = distance + grid.line + (shift[1] + tables.aperture.offset[1] / grid.plate_scale[1])
    coefficients, counts = tables.dispersion.at(line)
    per_degree = math.acos(0.0) / 90.0
    tilt = math.tan(tables.aperture.angle * per_degree) - math.tan(STANDARD_ANGLE * per_degree)
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


def _resample(
    imset: ImageSet,
    grid: Grid,
    tables: RectificationTables,
    setting: _Setting,
    observed: npt.NDArray[np.float64],
    backend: Backend,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.int16]]:
    """Return SCI, ERR and DQ of the rectified image, computed a block of rows at a time."""
    xp = backend.xp
    (m1, m2), (v1, v2) = setting.pixels.scale, setting.pixels.offset
    traces = tables.traces.traces.straight() if setting.straight else tables.traces.on(setting.start)
    planes = tuple(
        xp.asarray(np.ascontiguousarray(plane), dtype=dtype)
        for plane, dtype in ((imset.sci, np.float32), (imset.err, np.float32), (imset.dq, np.int16))
    )
    rows, columns = grid.shape
    out = [np.empty(grid.shape, dtype=dtype) for dtype in (np.float32, np.float32, np.int16)]
    wavelengths = xp.asarray(observed)
    block = BLOCK_ROWS if xp is np else max(BLOCK_PIXELS_GPU // columns, 1)
    for start in range(0, rows, block):
        stop = min(start + block, rows)
        numbers = np.arange(start, stop, dtype=np.float64)
        x, y = positions(grid, tables, traces, setting.shift, m2, wavelengths, numbers, xp)
        made = interpolate_images(planes[0], planes[1], planes[2], x * m1 + v1, y * m2 + v2, xp)
        for target, result in zip(out, made, strict=True):
            target[start:stop] = backend.asnumpy(result)
    return out[0], out[1], out[2]


def _sensitivities(exposure: Exposure, references: References, trailer: Trailer) -> Sensitivities | None:
    """Return what FLUXCORR needs; None if PHOTTAB or APERTAB as a whole only fill a place."""
    primary, folder, where = exposure.primary, exposure.path.parent, f"{exposure.path}[0]"
    for keyword in ("PHOTTAB", "APERTAB"):
        if references.table(references.required(primary, keyword, folder)).dummy:
            return None
    name = aperture_name(primary, where)
    return Sensitivities.read(primary, Mode.of(primary, where), name, references, folder, trailer)


def _velocity(primary: fits.Header, setting: _Setting, where: str) -> float:
    """Return the heliocentric radial velocity in the middle of an exposure, km/s."""
    ra, dec = (float(number_keyword(primary, name, where)) for name in ("RA_TARG", "DEC_TARG"))
    return heliocentric_velocity(ra, dec, (setting.start + setting.end) / 2)


def _gain(primary: fits.Header, where: str) -> float:
    """Return ATODGAIN, or CCDGAIN where it is missing: electrons per count."""
    gain = number_keyword(primary, "ATODGAIN", where, default=-1)
    return float(gain if gain >= 0 else integer_keyword(primary, "CCDGAIN", where, default=1))


def _copies(imset: ImageSet) -> tuple[fits.Header, fits.Header, fits.Header]:
    sci, err, dq = (header.copy() for header in imset.headers)
    return sci, err, dq


def _update(headers: tuple[fits.Header, fits.Header, fits.Header], grid: Grid) -> None:
    headers[0]["SPORDER"] = (1, "spectral order")
    for header in headers:
        for name, value in grid.keywords().items():
            header[name] = value if isinstance(value, str) else stored_double(value)


def _update_flux(
    headers: tuple[fits.Header, fits.Header, fits.Header], flux: Brightness | None, where: str, trailer: Trailer
) -> None:
    if flux is None:
        trailer.say(f"{where}: EXPTIME is 0, the image set stays in counts")
        return
    for name, card in flux.keywords.items():
        headers[0][name] = card
    for header in headers[:2]:
        header["BUNIT"] = BUNIT
    if flux.counts:
        trailer.say(f"{where}: no sensitivity in {flux.counts} columns, which stay in counts")
