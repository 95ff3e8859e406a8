"""WAVECORR: a wavecal reduced, its shifts found and written into the exposure that it belongs to.

The way is CalSTIS's (``cs0``, ``cs1``, ``cs11``, ``cs7``, ``cs4``, ``cs12``). The wavecal is not corrected for CTI, and
it is reduced with the reference files of the exposure wherever both need one, so with its CTI-corrected dark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gpucti.backends.base import Backend
from gpucti.calibration.base import Trailer
from gpucti.calibration.basic2d.basic2d import basic2d
from gpucti.calibration.reffiles import References, stored_double
from gpucti.calibration.spectra.aperture import read_slit
from gpucti.calibration.spectra.tables import Mode
from gpucti.calibration.spectra.wavecal.lamps import read_lamp, read_search_parameters
from gpucti.calibration.spectra.wavecal.shifts import UNDEFINED, Shifts, find_shifts
from gpucti.calibration.spectra.wavecal.shutter import subtract_science
from gpucti.calibration.spectra.x2d.rectify import rectify
from gpucti.calibration.switches import PART_A, PART_B, switch
from gpucti.io.exposure import Exposure, StisKeywords
from gpucti.io.fitstables import ascii_text

#: Shifts from here on, pixels, count as not found; larger ones than the second are not written.
UNREASONABLE, MUCH_TOO_BIG = 1000.0, 2048.0
#: Endings of PROPAPER that put the target near the readout.
E_APERTURES = ("E1", "E2")
#: Likeness below which a shift may come out of the noise: simulated lamps have 0.8 and more, noise alone 0.1 at most.
LIKELY = 0.3
SHIFTS = ("SHIFTA1", "SHIFTA2")


@dataclass(frozen=True)
class WavecalShifts:
    """What a wavecal says of the exposures around it.

    Attributes
    ----------
    name : str
        File name of the wavecal.
    times : tuple of float
        Middle of each image set, MJD, in the order of the file.
    shifts : tuple of Shifts
        Of each image set, as stored in a header.
    nearest : bool
        The times of the file do not increase: they are not interpolated.
    history : tuple of str
        What tables were used.
    """

    name: str
    times: tuple[float, ...]
    shifts: tuple[Shifts, ...]
    nearest: bool = False
    history: tuple[str, ...] = ()

    def at(self, time: float) -> tuple[float | None, float | None]:
        """Return both shifts at a time (MJD), unbinned pixels; None where no image set has one."""
        return self._axis(0, time), self._axis(1, time)

    @property
    def missing(self) -> tuple[str, ...]:
        """Return the keywords of shifts that no image set has."""
        return tuple(name for axis, name in enumerate(SHIFTS) if self._axis(axis, 0.0) is None)

    @property
    def likeness(self) -> float:
        """Return how well the lamp's lines are seen, 0 to 1, in the image set where they are seen worst."""
        return min((shift.likeness for shift in self.shifts if abs(shift.dispersion) < UNREASONABLE), default=1.0)

    def _axis(self, axis: int, time: float) -> float | None:
        pairs = zip(self.times, self.shifts, strict=True)
        known = [(when, shift[axis]) for when, shift in pairs if abs(shift[axis]) < UNREASONABLE]
        if not known:
            return None
        if len(known) == 1 or time <= known[0][0]:
            return known[0][1]
        if time >= known[-1][0]:
            return known[-1][1]
        if self.nearest:
            return min(known, key=lambda pair: abs(pair[0] - time))[1]
        for (before, first), (after, second) in zip(known, known[1:], strict=False):
            if before <= time <= after:
                p = (time - before) / (after - before)
                return (1.0 - p) * first + p * second
        return known[-1][1]


def read_wavecal(exposure: StisKeywords, names: Mapping[str, str], references: References) -> Exposure:
    """Return the wavecal of an exposure, as if it lay beside it, with the reference files it is reduced with.

    Parameters
    ----------
    exposure : StisKeywords
        Names it in WAVECAL.
    names : mapping
        Reference-file names by keyword: `gpucti.calibration.switches.wavecal_references`.
    references : References
        Finds it.

    Raises
    ------
    InputError
        WAVECAL names no file, the wavecal cannot be read, or it is one of another mode.
    ReferenceFileError
        There is no such file.
    """
    wavecal = Exposure.read(references.of(exposure).required("WAVECAL"))
    wavecal = replace(wavecal.with_imsets(wavecal.imsets), path=exposure.path.parent / wavecal.path.name)
    expected, found = Mode.of(exposure.cards).columns, Mode.of(wavecal.cards).columns
    for (name, value), other in zip(expected.items(), found.values(), strict=True):
        if value != other:
            raise wavecal.cards.wrong(
                f"{name} is {other!r}, but {value!r} in {exposure.path.name}; expected a wavecal of the same mode"
            )
    for name, value in names.items():
        wavecal.primary[name] = value
    return wavecal


def reason_unusable(wavecal: Exposure) -> str:
    """Return why nothing can be seen in a wavecal; empty if something can."""
    if wavecal.cards.number("TEXPTIME", default=0) <= 0:
        return "its total exposure time is zero"
    for imset, cards in zip(wavecal.imsets, wavecal.sci_cards, strict=True):
        if cards.number("EXPTIME", default=0) > 0 and (imset.sci > 0).any() and imset.sci.max() > imset.sci.min():
            return ""
    return "no image set has an exposure time and counts above zero that differ"


def find_wavecal_shifts(
    exposure: Exposure,
    wavecal: Exposure,
    *,
    references: References,
    backend: Backend,
    trailer: Trailer,
) -> WavecalShifts:
    """Reduce a wavecal and find the shifts of its image sets.

    Parameters
    ----------
    exposure : Exposure
        The exposure it belongs to, calibrated (``crj`` or ``flt``): subtracted from wavecals taken with an open
        shutter; its PROPAPER decides which rows are looked at.
    wavecal : Exposure
        As `read_wavecal` returns it.
    references, backend, trailer
        As for `gpucti.calibration.basic2d.basic2d.basic2d`.

    Raises
    ------
    InputError
        A keyword is missing or makes no sense.
    ReferenceFileError
        A reference file is missing or damaged, or lacks a row; one that only fills a place is a
        `gpucti.calibration.spectra.tables.DummyReferenceError`.
    """
    named, proposed = references.of(wavecal), exposure.cards.text("PROPAPER")
    parameters = read_search_parameters(named, trailer)
    lamp = read_lamp(named)
    slit = read_slit(named, wavecal.cards.text("APERTURE"))
    steps = [name for name in PART_A + PART_B if switch(wavecal, name) == "PERFORM"]
    trailer.say(f"Wavecal {wavecal.path.name}: {', '.join(steps) or 'no basic reduction'}")
    times_increase = _increase(_middles(wavecal))
    reduced = wavecal
    if steps:
        reduced = basic2d(wavecal, steps, references=references, backend=backend, trailer=trailer, statistics=False)
    reduced = subtract_science(reduced, exposure, trailer)
    rectified = rectify(
        reduced,
        references=references,
        backend=backend,
        trailer=trailer,
        fluxcorr=switch(wavecal, "FLUXCORR") == "PERFORM",
        helcorr=switch(wavecal, "HELCORR") == "PERFORM",
        statistics=False,
    )
    e_rows = proposed.endswith(E_APERTURES)
    shifts = []
    for number, (imset, cards) in enumerate(zip(rectified.imsets, rectified.sci_cards, strict=True), start=1):
        if not cards.value("IMSET_OK", default=True):
            trailer.say(f"WAVECORR: image set {number} is not used (IMSET_OK = F)")
            shifts.append(Shifts(UNDEFINED, UNDEFINED))
            continue
        found = find_shifts(imset, cards, slit, lamp, parameters, e_rows=e_rows, trailer=trailer)
        shifts.append(Shifts(stored_double(found.dispersion), stored_double(found.spatial), found.likeness))
    if not times_increase:
        trailer.say("WAVECORR: the times of the wavecal's image sets do not increase: the nearest one is taken")
    return WavecalShifts(
        wavecal.path.name.removesuffix(".gz"),
        tuple(_middles(rectified)),
        tuple(shifts),
        not times_increase,
        (*parameters.history, *lamp.history, *slit.history),
    )


def write_shifts(exposure: Exposure, wavecal: WavecalShifts, trailer: Trailer) -> Exposure:
    """Return an exposure with SHIFTA1 and SHIFTA2 of its time in every extension, 0 where there is none.

    Parameters
    ----------
    exposure : Exposure
        Not changed.
    wavecal : WavecalShifts
        What was found.
    trailer : Trailer
        Is told what is written.
    """
    updated = exposure.with_imsets(exposure.imsets)
    for number, (imset, time) in enumerate(zip(updated.imsets, _middles(exposure), strict=True), start=1):
        values = [0.0 if shift is None or abs(shift) >= MUCH_TOO_BIG else shift for shift in wavecal.at(time)]
        for header in imset.headers:
            for name, value in zip(SHIFTS, values, strict=True):
                header[name] = stored_double(value)
        trailer.say(f"imset {number}: SHIFTA1 {values[0]:.6g}, SHIFTA2 {values[1]:.6g}")
    updated.primary["WAVECORR"] = "COMPLETE"
    for line in ("WAVECORR complete", f"  WAVECAL {wavecal.name}", *wavecal.history):
        updated.primary.add_history(ascii_text(line))
    return updated


def _middles(exposure: Exposure) -> list[float]:
    """Return the middle of each image set, MJD."""
    return [(float(sci.number("EXPSTART")) + float(sci.number("EXPEND"))) / 2.0 for sci in exposure.sci_cards]


def _increase(times: Sequence[float]) -> bool:
    """Tell whether all times come after the first (the others are not compared)."""
    return all(time > times[0] for time in times[1:])
