"""From calibrated images of a spectrum to its products: WAVECORR, X2DCORR and X1DCORR in CalSTIS's order (``cs0``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gpucti.backends.base import Backend
from gpucti.calibration.base import Trailer
from gpucti.calibration.reffiles import References
from gpucti.calibration.spectra.tables import DummyReferenceError
from gpucti.calibration.spectra.wavecal.wavecal import LIKELY, find_wavecal_shifts, write_shifts
from gpucti.calibration.spectra.x1d.extract import extract
from gpucti.calibration.spectra.x1d.table import ExtractedSpectra
from gpucti.calibration.spectra.x2d.rectify import rectify
from gpucti.calibration.switches import Work, switch
from gpucti.io.exposure import Exposure


@dataclass
class Spectra:
    """What was made of the calibrated images of a spectrum.

    Attributes
    ----------
    images : dict
        By kind: ``crj`` and ``flt``, with shifts; ``sx2`` or ``x2d``.
    tables : dict
        By kind: ``sx1`` or ``x1d``.
    omitted : dict
        Why something that the header asks for was not done, by kind of product or by what it is about.
    doubts : list of str
        What was done and may be wrong.
    """

    images: dict[str, Exposure]
    tables: dict[str, ExtractedSpectra] = field(default_factory=dict)
    omitted: dict[str, str] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)


def make_spectra(
    images: Mapping[str, Exposure],
    wavecal: Exposure | None,
    work: Work,
    *,
    references: References,
    backend: Backend,
    trailer: Trailer,
) -> Spectra:
    """Return the spectroscopic products of an exposure; nothing given is changed.

    Without shifts (a reference table of WAVECORR only fills a place) nothing is rectified or extracted, as in CalSTIS.

    Parameters
    ----------
    images : mapping
        ``crj`` where image sets were combined, and ``flt`` where that is made.
    wavecal : Exposure or None
        As `gpucti.calibration.spectra.wavecal.wavecal.read_wavecal` returns it; None without WAVECORR.
    work : Work
        What the header asks for.
    references, backend, trailer
        As for `gpucti.calibration.basic2d.basic2d.basic2d`.

    Raises
    ------
    InputError, ReferenceFileError
        See `find_wavecal_shifts`, `rectify` and `extract`.
    """
    made = Spectra(dict(images))
    first = "crj" if work.reject else "flt"
    rectified, extracted = ("sx2", "sx1") if work.reject else ("x2d", "x1d")
    if wavecal is not None:
        try:
            shifts = find_wavecal_shifts(
                images[first], wavecal, references=references, backend=backend, trailer=trailer
            )
        except DummyReferenceError as error:
            made.omitted["wavecal"] = f"WAVECORR is PERFORM, but {error}; SHIFTA1, SHIFTA2 stay as they are"
            for kind, wanted in ((rectified, work.rectify), (extracted, work.extract)):
                if wanted:
                    made.omitted[kind] = "the shift of the spectrum is not known"
            return made
        for name in shifts.missing:
            made.doubts.append(
                f"{name} is not found in the wavecal {shifts.name} (the trailer says why): 0 is taken, as in CalSTIS"
            )
        if shifts.likeness < LIKELY:
            made.doubts.append(
                f"SHIFTA1 may be wrong, and with it the wavelengths: the wavecal {shifts.name} hardly shows the "
                f"lines of its lamp (correlation {shifts.likeness:.2f}); the best fit is taken, as in CalSTIS"
            )
        for kind, image in images.items():
            made.images[kind] = write_shifts(image, shifts, trailer)
    image = made.images[first]
    if work.rectify:
        try:
            made.images[rectified] = rectify(
                image,
                references=references,
                backend=backend,
                trailer=trailer,
                fluxcorr=switch(image, "FLUXCORR") == "PERFORM",
                helcorr=switch(image, "HELCORR") == "PERFORM",
                statistics=work.statistics,
            )
        except DummyReferenceError as error:
            made.omitted[rectified] = f"X2DCORR is PERFORM, but {error}"
    if work.extract:
        try:
            spectra = extract(image, references=references, backend=backend, trailer=trailer)
        except DummyReferenceError as error:
            made.omitted[extracted] = f"X1DCORR is PERFORM, but {error}"
        else:
            if spectra.tables:
                made.tables[extracted] = spectra
            reasons = " ".join(spectra.failures)
            if reasons:
                made.omitted[extracted if not spectra.tables else "spectra"] = reasons.rstrip(".")
    return made
