"""The embedded engine: CalSTIS's path for CCD data in memory, from raw frames to calibrated images and spectra."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gpucti._version import __version__
from gpucti.backends.base import Backend
from gpucti.calibration import geometry
from gpucti.calibration.base import (
    MEANING,
    BiasSubtracted,
    Calibrated,
    Required,
    Trailer,
    product_paths,
    require_found,
    sentence_on,
)
from gpucti.calibration.basic2d.basic2d import basic2d
from gpucti.calibration.crreject.crreject import reject_cosmic_rays
from gpucti.calibration.geometry import Distortion
from gpucti.calibration.reffiles import References
from gpucti.calibration.spectra.flow import Spectra, make_spectra
from gpucti.calibration.spectra.wavecal.wavecal import read_wavecal, reason_unusable
from gpucti.calibration.switches import Work, read_work, required_references, wavecal_references, work_to_do
from gpucti.detector import GRATINGS
from gpucti.io.exposure import Exposure, StisKeywords

log = logging.getLogger(__name__)

#: What basic2d is asked for before the correction of CTI.
BIAS_STEPS = ("DQICORR", "BLEVCORR", "BIASCORR")


class NativeEngine:
    """Calibrates CCD images and spectra of the first-order gratings; see `gpucti.calibration.base.Engine`.

    Parameters
    ----------
    backend : Backend
        Computes.
    references : References
        Finds and keeps the reference files of the run.
    """

    name = "native"

    def __init__(self, backend: Backend, references: References) -> None:
        self._backend = backend
        self._references = references

    def describe(self) -> str:
        """Return what runs, with its version."""
        return f"native, gpucti {__version__} on {self._backend.name}"

    def supports(self, exposure: StisKeywords) -> list[str]:
        """Return why this engine cannot make what the header asks for, a sentence each; empty if it can.

        Raises
        ------
        InputError
            The header asks for something unknown; see `switches.read_work`.
        """
        work = read_work(exposure)
        reasons = []
        grating = _unsupported_grating(exposure, work)
        if grating:
            reasons.append(
                f"OPT_ELEM is {grating!r}: the native engine calibrates spectra of {', '.join(GRATINGS)} only."
            )
        if work.geometry and work.small_scale:
            reasons.append("SGEOCORR is PERFORM: the native engine has no small-scale distortion (SDSTFILE).")
        return reasons

    def references(self, exposure: StisKeywords) -> list[Required]:
        """Return every reference file that calibrating this exposure would open."""
        spectra = not _unsupported_grating(exposure, read_work(exposure))
        return required_references(exposure, self._references, spectra=spectra)

    def subtract_bias(self, raw: Exposure) -> BiasSubtracted:
        """Return the exposure after DQICORR, BLEVCORR and BIASCORR, with errors, as CalSTIS's basic2d makes it.

        Raises
        ------
        InputError
            The exposure lacks a keyword, or there is nothing left to do.
        ReferenceFileError
            A reference file is missing or damaged.
        """
        trailer = _trailer("Bias subtraction", raw)
        made = basic2d(raw, BIAS_STEPS, references=self._references, backend=self._backend, trailer=trailer)
        return BiasSubtracted(_stamped(made), trailer.text)

    def calibrate(self, exposure: Exposure, outdir: Path, suffixes: Mapping[str, str]) -> Calibrated:
        """Do what is left to PERFORM in the header and write the products; see `Engine.calibrate`.

        All products are computed before the first is written.

        Raises
        ------
        InputError
            No switch is PERFORM, a keyword is missing, or `suffixes` lacks a product.
        ReferenceFileError
            Reference files are missing (one message names all of them) or damaged.
        OutputExistsError
            A product exists.
        """
        work = work_to_do(exposure)
        require_found(exposure, self.references(exposure))
        trailer = _trailer("Calibration", exposure)
        for note in work.notes:
            trailer.say(note)
        distortion = geometry.read_distortion(exposure, self._references) if work.geometry else None
        omitted = _omitted(exposure, work, distortion)
        wavecal = None
        if work.wavecal and "wavecal" not in omitted:
            wavecal = self._read_wavecal(exposure)
            omitted |= _without_wavecal(wavecal, work)
        kinds = [kind for kind in work.kinds if kind not in omitted]
        work = replace(
            work,
            wavecal=work.wavecal and "wavecal" not in omitted,
            rectify=bool({"sx2", "x2d"} & set(kinds)),
            extract=bool({"sx1", "x1d"} & set(kinds)),
        )
        paths = product_paths(exposure, kinds, outdir, suffixes)
        made = self._make(exposure, wavecal if work.wavecal else None, work, kinds, distortion, trailer)
        omitted |= made.omitted
        sentences = tuple(sentence_on(what, reason, suffixes) for what, reason in omitted.items())
        doubts = tuple(f"{reason}." for reason in made.doubts)
        for sentence in (*sentences, *doubts):
            trailer.say(sentence)
        products = {kind: path for kind, path in paths.items() if kind in made.images or kind in made.tables}
        for kind, path in products.items():
            if kind in made.tables:
                made.tables[kind].write(path)
            else:
                _stamped(made.images[kind]).write(path)
            trailer.say(f"{path.name} written: {MEANING[kind]}")
        log.info("%s: %s", exposure.path.name, ", ".join(path.name for path in products.values()) or "no products")
        return Calibrated(products, sentences, trailer.text, doubts, self.name)

    def close(self) -> None:
        """Do nothing: no process is held."""

    def _make(
        self,
        exposure: Exposure,
        wavecal: Exposure | None,
        work: Work,
        kinds: Sequence[str],
        distortion: Distortion | None,
        trailer: Trailer,
    ) -> Spectra:
        """Return the products: CalSTIS's ``cs0`` without the files between its programs."""
        made = {}
        if work.reject:
            split = self._basic2d(exposure, work.part_a, trailer, statistics=False)
            combined, flagged = reject_cosmic_rays(
                [split], references=self._references, backend=self._backend, trailer=trailer
            )
            made["crj"] = image = self._basic2d(combined, work.part_b, trailer, statistics=work.statistics)
            if "flt" in kinds:
                made["flt"] = self._basic2d(flagged[0], work.part_b, trailer, statistics=work.statistics)
        else:
            image = self._basic2d(exposure, work.part_a + work.part_b, trailer, statistics=work.statistics)
            made["flt"] = image  # the exposure itself where there is no such step: then no flt is among the products
        if work.spectroscopic:
            return make_spectra(
                made, wavecal, work, references=self._references, backend=self._backend, trailer=trailer
            )
        rectified = "sx2" if work.reject else "x2d"
        if rectified in kinds:
            made[rectified] = geometry.geocorr(
                image,
                references=self._references,
                backend=self._backend,
                trailer=trailer,
                distortion=distortion,
                statistics=work.statistics,
            )
        return Spectra(made)

    def _read_wavecal(self, exposure: Exposure) -> Exposure:
        header = self._references.wavecal_header(self._references.of(exposure).required("WAVECAL"))
        return read_wavecal(exposure, wavecal_references(exposure, header), self._references)

    def _basic2d(self, exposure: Exposure, steps: Sequence[str], trailer: Trailer, *, statistics: bool) -> Exposure:
        """Return the exposure after these steps; itself if there are none."""
        if not steps:
            return exposure
        return basic2d(
            exposure,
            steps,
            references=self._references,
            backend=self._backend,
            trailer=trailer,
            statistics=statistics,
        )


def _unsupported_grating(exposure: StisKeywords, work: Work) -> str:
    """Return OPT_ELEM if a spectrum of it is asked for and cannot be made; else an empty text."""
    if not (work.wavecal or work.rectify or work.extract):
        return ""
    element = exposure.cards.text("OPT_ELEM")
    return "" if element in GRATINGS else element


def _omitted(exposure: StisKeywords, work: Work, distortion: Distortion | None) -> dict[str, str]:
    """Return why something that the header asks for is not made, by kind of product."""
    reasons = {}
    grating = _unsupported_grating(exposure, work)
    if grating and work.wavecal:
        reasons["wavecal"] = f"WAVECORR is PERFORM, but the native engine knows no wavecals of {grating}"
    for kind in work.kinds:
        if grating and kind in ("sx1", "x1d", "sx2", "x2d"):
            reasons[kind] = f"the native engine calibrates spectra of {', '.join(GRATINGS)}, not of {grating}"
        elif kind in ("sx2", "x2d") and work.geometry and work.small_scale:
            reasons[kind] = "SGEOCORR is PERFORM, but the native engine has no small-scale distortion"
        elif kind in ("sx2", "x2d") and distortion is not None and distortion.dummy:
            reasons[kind] = "GEOCORR is PERFORM, but the IDCTAB only fills a place (PEDIGREE DUMMY)"
    if work.reject and work.separate and "flt" not in work.kinds:
        reasons["flt"] = "EXPSCORR is PERFORM, but no step is left that would change the single images"
    return reasons


def _without_wavecal(wavecal: Exposure, work: Work) -> dict[str, str]:
    """Return what cannot be made, and why, if nothing can be seen in the wavecal."""
    why = reason_unusable(wavecal)
    if not why:
        return {}
    reason = f"nothing can be seen in the wavecal {wavecal.path.name}, {why}"
    products = [kind for kind in work.kinds if kind in ("sx1", "x1d", "sx2", "x2d")]
    return {"wavecal": f"WAVECORR is PERFORM, but {reason}; SHIFTA1, SHIFTA2 stay as they are"} | dict.fromkeys(
        products, reason
    )


def _trailer(what: str, exposure: Exposure) -> Trailer:
    return Trailer([f"{what} of {exposure.path.name} by gpucti {__version__}"])


def _stamped(exposure: Exposure) -> Exposure:
    """Return the exposure with the version that calibrated it."""
    stamped = exposure.with_imsets(exposure.imsets)
    stamped.primary["CAL_VER"] = f"gpucti {__version__}"
    return stamped
