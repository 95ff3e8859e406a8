"""What the headers ask for: calibration switches, the work they mean, the reference files it needs.

The rules are CalSTIS's (``cs0``: getflags.c, sciflags.c, refexist.c) for the CCD.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from astropy.io import fits

from gpucti.calibration.base import Required
from gpucti.calibration.basic2d.order import FLATS, STEPS
from gpucti.calibration.reffiles import References
from gpucti.errors import GpuctiError, InputError
from gpucti.io.cards import Cards
from gpucti.io.exposure import StisKeywords
from gpucti.references.names import resolve_reference

#: Values of a switch; a missing one means OMIT.
STATES = ("PERFORM", "COMPLETE", "SKIPPED", "OMIT")
#: Steps of basic2d before the rejection of cosmic rays, and after it.
PART_A = tuple(step.name for step in STEPS if step.part == "A")
PART_B = tuple(step.name for step in STEPS if step.part == "B")
#: The other switches that are looked at.
OTHERS = ("CRCORR", "RPTCORR", "EXPSCORR", "GEOCORR", "SGEOCORR")
SPECTROSCOPIC = ("WAVECORR", "X2DCORR", "X1DCORR", "DISPCORR", "FLUXCORR", "HELCORR", "BACKCORR")

#: Reference files of the steps of basic2d, by switch.
STEP_FILES: Mapping[str, tuple[str, ...]] = MappingProxyType({step.name: step.files for step in STEPS if step.files})
#: Those of the steps that are done before the correction of CTI; then a wavecal is reduced with its own.
RAW_FILES = tuple(keyword for name in PART_A for keyword in STEP_FILES.get(name, ()))
#: What every wavecal needs.
WAVECAL_TABLES = ("LAMPTAB", "APDESTAB", "SDCTAB", "DISPTAB", "INANGTAB", "SPTRCTAB")
#: Reference files that a header may leave blank, besides one or two of the flats.
MAY_BE_BLANK = ("BPIXTAB", "APERTAB", "PCTAB", "WCPTAB", "TDSTAB", "GACTAB")


@dataclass(frozen=True)
class Work:
    """What calibrating one exposure consists of.

    Attributes
    ----------
    spectroscopic : bool
        OBSTYPE is SPECTROSCOPIC.
    part_a, part_b : tuple of str
        Steps to be done before and after the rejection of cosmic rays.
    reject : bool
        Image sets are combined (CRCORR, or RPTCORR, with two or more of them).
    separate : bool
        The image sets are calibrated one by one as well (EXPSCORR).
    wavecal, rectify, extract, geometry : bool
        WAVECORR, X2DCORR, X1DCORR of a spectrum; GEOCORR of an image.
    small_scale : bool
        SGEOCORR.
    statistics : bool
        STATFLAG.
    notes : tuple of str
        What the header asks for and cannot have, a sentence each.
    """

    spectroscopic: bool
    part_a: tuple[str, ...]
    part_b: tuple[str, ...]
    reject: bool
    separate: bool
    wavecal: bool
    rectify: bool
    extract: bool
    geometry: bool
    small_scale: bool
    statistics: bool
    notes: tuple[str, ...] = ()

    @property
    def nothing(self) -> bool:
        """Whether there is nothing to do at all."""
        return not (
            self.part_a or self.part_b or self.reject or self.wavecal or self.rectify or self.extract or self.geometry
        )

    @property
    def kinds(self) -> tuple[str, ...]:
        """The products, by CalSTIS's names, in the order it makes them."""
        kinds = []
        if self.reject:
            kinds.append("crj")
        if self.part_b if self.reject else self.part_a or self.part_b:
            kinds += ["flt"] if self.separate or not self.reject else []
        if self.rectify or self.geometry:
            kinds.append("sx2" if self.reject else "x2d")
        if self.extract:
            kinds.append("sx1" if self.reject else "x1d")
        return tuple(kinds)

    def has_statistics(self, kind: str) -> bool:
        """Tell whether statistics are taken of an image: not of one that is combined and then left as it is."""
        return self.statistics and (kind != "crj" or bool(self.part_b))


def switch(exposure: StisKeywords, name: str) -> str:
    """Return a calibration switch in capitals, ``OMIT`` if it is missing.

    Raises
    ------
    InputError
        The value is none of `STATES`.
    """
    value = exposure.switch(name) or ("OMIT" if name not in exposure.cards else "")
    if value not in STATES:
        raise exposure.cards.wrong(f"{name} is {value!r}; expected {', '.join(STATES)}")
    return value


def read_work(exposure: StisKeywords) -> Work:
    """Return what the switches of an exposure ask for.

    Raises
    ------
    InputError
        A switch has an unknown value, OBSTYPE is neither IMAGING nor SPECTROSCOPIC, or the exposure is empty
        (TEXPTIME is 0 and the target is not BIAS).
    """
    cards = exposure.cards
    perform = {name for name in PART_A + PART_B + OTHERS + SPECTROSCOPIC if switch(exposure, name) == "PERFORM"}
    kind = cards.text("OBSTYPE")
    if kind not in ("IMAGING", "SPECTROSCOPIC"):
        raise cards.wrong(f"OBSTYPE is {kind!r}; expected IMAGING or SPECTROSCOPIC")
    duration = cards.number("TEXPTIME", default=0)
    if duration <= 0 and cards.text("TARGNAME", default="") != "BIAS":
        raise cards.wrong(f"TEXPTIME is {duration} s, nothing was exposed; only a BIAS may have that")
    spectroscopic = kind == "SPECTROSCOPIC"
    notes = []
    for name in sorted({"CRCORR", "RPTCORR"} & perform):
        if len(exposure.sci_headers) < 2:
            perform.remove(name)
            notes.append(f"{name} is PERFORM, but there is one image set only: no cosmic rays are rejected.")
    for name in ("GEOCORR", "PHOTCORR") if spectroscopic else ("WAVECORR", "X2DCORR", "X1DCORR"):
        if name in perform:
            perform.remove(name)
            notes.append(f"{name} is PERFORM, but OBSTYPE is {kind}: it is not done.")
    if spectroscopic and "WAVECORR" in perform and _wavecal_name(exposure).upper() == "N/A":
        perform.remove("WAVECORR")
        notes.append("WAVECORR is PERFORM, but WAVECAL is N/A: the shift stays as it is.")
    return Work(
        spectroscopic=spectroscopic,
        part_a=tuple(name for name in PART_A if name in perform),
        part_b=tuple(name for name in PART_B if name in perform),
        reject=bool({"CRCORR", "RPTCORR"} & perform),
        separate="EXPSCORR" in perform,
        wavecal="WAVECORR" in perform,
        rectify="X2DCORR" in perform,
        extract="X1DCORR" in perform,
        geometry="GEOCORR" in perform,
        small_scale="SGEOCORR" in perform,
        statistics=_statistics(exposure),
        notes=tuple(notes),
    )


def work_to_do(exposure: StisKeywords) -> Work:
    """Return what `read_work` does; raise `InputError` if no step is left to be performed."""
    work = read_work(exposure)
    if work.nothing:
        raise InputError(
            "nothing to do, no calibration switch is PERFORM; is it calibrated already?", where=exposure.path
        )
    return work


def required_references(
    exposure: StisKeywords, references: References, *, calstis: bool = False, spectra: bool = True
) -> list[Required]:
    """Return the reference files that an exposure's switches need, in the order of the steps.

    Files that may be left blank are listed where they are named. A TDSTAB or GACTAB that is named has to exist,
    although CalSTIS goes on without it for spectra: a flux without the correction that the header names would be
    wrong in silence. What the wavecal is reduced with, and the exposure is not, comes last, under keywords such as
    ``BIASFILE of x_wav.fits``.

    Parameters
    ----------
    exposure : StisKeywords
        Its headers; relative names are looked for beside its file.
    references : References
        Finds them.
    calstis : bool
        With what CalSTIS's programs open and the native engine does not.
    spectra : bool
        With what WAVECORR, X2DCORR and X1DCORR need.

    Raises
    ------
    InputError
        See `read_work`.
    """
    work = read_work(exposure)
    if not spectra:
        work = replace(work, wavecal=False, rectify=False, extract=False)
    needed = _keywords(exposure, work)
    if calstis and switch(exposure, "PHOTCORR") == "PERFORM":
        needed += ["IMPHTTAB", "APERTAB"]  # even where CalSTIS does not read them, it wants them to exist
    if calstis and work.small_scale and (work.geometry or work.rectify or work.extract):
        needed.append("SDSTFILE")
    found = [
        required
        for name in dict.fromkeys(needed)
        if (required := _look_up(exposure, name, references)).name or not _may_be_blank(exposure, name)
    ]
    return found + (_needed_by_wavecal(exposure, found, references) if work.wavecal else [])


def wavecal_references(exposure: StisKeywords, wavecal: fits.Header) -> dict[str, str]:
    """Return the reference files, by keyword, with which a wavecal is reduced in place of those that its header names.

    As in CalSTIS (``compfiles.c``) that is what the header of the exposure names, wherever a step that is to be
    performed on the exposure needs the file too. The BIASFILE has to be for the same binning and gain. Without a
    LAMPTAB in the exposure's header the wavecal keeps its own.

    Parameters
    ----------
    exposure : StisKeywords
        The exposure that the wavecal belongs to.
    wavecal : fits.Header
        Its primary header.

    Raises
    ------
    InputError
        See `read_work`.
    """
    names = {name: exposure.cards.file(name) for name in _keywords(exposure, read_work(exposure))}
    names.pop("WAVECAL", None)
    if not exposure.cards.file("LAMPTAB"):
        names.pop("LAMPTAB", None)
    for name in ("BINAXIS1", "BINAXIS2", "CCDGAIN"):
        if exposure.cards.whole(name, default=1) != Cards(wavecal, "wavecal[0]").whole(name, default=1):
            names.pop("BIASFILE", None)
    return exposure.wavecal_names | names


def _keywords(exposure: StisKeywords, work: Work) -> list[str]:
    """Return the keywords of the reference files that the steps to be performed need."""
    perform = {name for name in SPECTROSCOPIC if switch(exposure, name) == "PERFORM"}
    needed = ["CCDTAB"]
    for step, names in STEP_FILES.items():
        if step in work.part_a + work.part_b:
            needed += names
    if work.reject:
        needed.append("CRREJTAB")
    if work.geometry:
        needed.append("IDCTAB")
    if work.wavecal:
        needed += ["WAVECAL", "WCPTAB", "LAMPTAB", "APDESTAB"]
    if work.rectify or work.extract:
        needed += ["SDCTAB", "SPTRCTAB"]
        needed += ["XTRACTAB"] if work.extract else []
        needed += ["APDESTAB", "DISPTAB", "INANGTAB"] if work.rectify or "DISPCORR" in perform else []
        needed += ["PHOTTAB", "APERTAB", "PCTAB", "TDSTAB", "GACTAB"] if "FLUXCORR" in perform else []
    return needed


def _needed_by_wavecal(exposure: StisKeywords, known: Sequence[Required], references: References) -> list[Required]:
    """Return the files that the wavecal alone needs, now or once the exposure is bias-subtracted.

    A wavecal that is not there or cannot be read needs nothing; it is reported itself. Nor do blank names count here:
    which of them matter is seen when the wavecal is reduced.
    """
    path = next((need.path for need in known if need.keyword == "WAVECAL"), None)
    try:
        header = references.wavecal_header(path) if path else None
    except GpuctiError:
        header = None
    if header is None:
        return []
    states = {name: str(header.get(name, "OMIT")).strip().upper() for name in STEP_FILES}
    names = ["CCDTAB", "WCPTAB", *WAVECAL_TABLES]
    names += [name for step, files in STEP_FILES.items() if states[step] == "PERFORM" for name in files]
    replaced = wavecal_references(exposure, header)
    found = []
    for name in dict.fromkeys(names):
        file = _file_of_wavecal(exposure, header, name)
        if name not in RAW_FILES:
            file = replaced.get(name, file)
        if file and not any((need.keyword, need.name) == (name, file) for need in known):
            path = resolve_reference(file, exposure.path.parent, references.environment)
            found.append(Required(f"{name} of {_wavecal_name(exposure)}", file, path))
    return found


def _look_up(exposure: StisKeywords, name: str, references: References) -> Required:
    folder = exposure.path.parent
    file = exposure.cards.file(name)
    if not file and name == "LAMPTAB":
        file = _lamp_table_of_wavecal(exposure, references)
    return Required(name, file, resolve_reference(file, folder, references.environment) if file else None)


def _may_be_blank(exposure: StisKeywords, name: str) -> bool:
    if name in FLATS:
        named = [flat for flat in FLATS if exposure.cards.file(flat)]
        return bool(named) or name != FLATS[0]  # all blank: the first is reported
    return name in MAY_BE_BLANK


def _wavecal_name(exposure: StisKeywords) -> str:
    return exposure.cards.text("WAVECAL", default="")


def _file_of_wavecal(exposure: StisKeywords, wavecal: fits.Header, keyword: str) -> str:
    """Return what a wavecal's header names, or what is to take its place."""
    name = exposure.wavecal_names.get(keyword, Cards(wavecal, "wavecal[0]").file(keyword))
    return "" if name.upper() == "N/A" else name


def _lamp_table_of_wavecal(exposure: StisKeywords, references: References) -> str:
    """Return LAMPTAB of the wavecal, which stands in for a blank one of the exposure; empty if there is none."""
    name = _wavecal_name(exposure)
    try:
        header = references.wavecal_header(exposure.path.parent / name) if name else None
        return _file_of_wavecal(exposure, header, "LAMPTAB") if header is not None else ""
    except GpuctiError:
        return ""  # reported under WAVECAL


def _statistics(exposure: StisKeywords) -> bool:
    value = exposure.cards.value("STATFLAG", default=True)
    if not isinstance(value, (bool, int)):
        raise exposure.cards.wrong(f"STATFLAG is {value!r}; expected T or F")
    return bool(value)
