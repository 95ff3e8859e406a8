"""What a run of basic2d will do: the steps left, and every reference file they need, found before any pixel moves."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from gpucti.calibration.basic2d.ccdtab import CcdMode, CcdParameters, read_ccd_parameters
from gpucti.calibration.basic2d.dataquality import BadPixels, read_bad_pixels
from gpucti.calibration.basic2d.flats import FlatField
from gpucti.calibration.basic2d.order import FLATS, STEPS
from gpucti.calibration.refdata import ReferenceImage, ReferenceTable
from gpucti.calibration.reffiles import HeaderReferences, References
from gpucti.errors import InputError, ReferenceFileError
from gpucti.io.exposure import Exposure

#: The steps that can be asked for, by name.
SWITCHED = {step.name: step for step in STEPS if step.part}


@dataclass
class Setup:
    """What one run of basic2d does, and with what.

    Attributes
    ----------
    mode : CcdMode
        How the CCD was read out.
    ccd : CcdParameters
        Gain, bias, noise.
    steps : set of str
        Steps to be done.
    skipped : dict
        Steps asked for that are not done, and why.
    bad_pixels : BadPixels or None
        None: DQICORR looks for saturation only.
    images, tables : dict
        By step, of those with one reference file: BIASCORR, DARKCORR, SHADCORR; ATODCORR.
    flat : FlatField or None
        For FLATCORR.
    sources : dict
        By step, lines that name its reference files: for HISTORY.
    spectroscopic, wavecal, bias : bool
        What kind of exposure it is.
    """

    mode: CcdMode
    ccd: CcdParameters
    steps: set[str] = field(default_factory=set)
    skipped: dict[str, str] = field(default_factory=dict)
    bad_pixels: BadPixels | None = None
    images: dict[str, ReferenceImage] = field(default_factory=dict)
    tables: dict[str, ReferenceTable] = field(default_factory=dict)
    flat: FlatField | None = None
    sources: dict[str, list[str]] = field(default_factory=dict)
    spectroscopic: bool = False
    wavecal: bool = False
    bias: bool = False


def prepare(exposure: Exposure, steps: Collection[str], references: References, *, strict: bool = False) -> Setup:
    """Return what is to be done to an exposure; see `basic2d` for the errors."""
    unknown = sorted(set(steps) - set(SWITCHED))
    if unknown:
        raise InputError(f"steps {', '.join(unknown)} are unknown; expected some of {', '.join(SWITCHED)}")
    cards, files = exposure.cards, references.of(exposure)
    mode = CcdMode(
        exposure.amp,
        cards.whole("CCDGAIN", default=1),
        cards.whole("CCDOFFST", default=1),
        (cards.whole("BINAXIS1", default=1), cards.whole("BINAXIS2", default=1)),
    )
    obstype = cards.text("OBSTYPE", default="")
    target = cards.text("TARGNAME", default="")

    table = files.table("CCDTAB")
    if table.dummy:
        raise ReferenceFileError(
            f"PEDIGREE is {table.pedigree!r}; no exposure can do without a CCDTAB", where=table.path
        )
    setup = Setup(
        mode,
        read_ccd_parameters(table, mode),
        {name for name in steps if SWITCHED[name].repeatable or exposure.switch(name) != "COMPLETE"},
        spectroscopic=obstype == "SPECTROSCOPIC",
        wavecal=target in ("WAVELINE", "WAVEHITM")
        or any("WAVECAL" in sci.text("ASN_MTYP", default="") for sci in exposure.sci_cards),
        bias=target == "BIAS",
    )
    setup.sources["CCDTAB"] = _identity(files, "CCDTAB", table, setup.ccd.row)
    if obstype != "IMAGING":
        setup.steps.discard("PHOTCORR")

    for step in STEPS:
        if step.name not in setup.steps:
            continue
        if step.name == "DQICORR":
            _prepare_quality(setup, files)
        elif step.name == "FLATCORR":
            _prepare_flats(setup, files, strict=strict)
        elif len(step.files) == 1:
            _prepare_file(setup, step.name, step.files[0], files)

    if not setup.steps - ({"DQICORR"} if "DQICORR" in setup.skipped else set()):
        raise InputError(
            f"nothing left to do of {', '.join(sorted(steps)) or 'no steps'} (done before, or the "
            "reference files are dummies); expected a step that is still to be done",
            where=exposure.path,
        )
    return setup


def _prepare_quality(setup: Setup, files: HeaderReferences) -> None:
    """Read the bad-pixel table; without one, or with a dummy, saturation is still looked for."""
    setup.sources["DQICORR"] = ["  checked for saturation"]
    path = files.find("BPIXTAB")
    if path is None:
        return
    table = files.run.table(path)
    setup.sources["DQICORR"] += _identity(files, "BPIXTAB", table)
    if table.dummy:
        setup.skipped["DQICORR"] = "BPIXTAB is a dummy"
        return
    setup.bad_pixels = read_bad_pixels(table, files.cards.text("OPT_ELEM", default=""))


def _prepare_flats(setup: Setup, files: HeaderReferences, *, strict: bool) -> None:
    """Read the flats, of which some may be left blank and some may be dummies."""
    paths = {keyword: files.find(keyword) for keyword in FLATS}
    images = {keyword: files.run.image(path) for keyword, path in paths.items() if path}
    if not images:
        raise ReferenceFileError(
            f"{', '.join(FLATS)} are all blank; FLATCORR needs at least one of them", where=files.cards.where
        )
    setup.sources["FLATCORR"] = [line for keyword in images for line in _identity(files, keyword, images[keyword])]
    usable = [image if (image := images.get(keyword)) and not image.dummy else None for keyword in FLATS]
    if any(usable):
        setup.flat = _flat_field(usable, files.run, strict=strict)
    else:
        _skip(setup, "FLATCORR", "every flat")


def _prepare_file(setup: Setup, step: str, keyword: str, files: HeaderReferences) -> None:
    """Read the one image or table that a step needs."""
    reference: ReferenceImage | ReferenceTable
    if keyword.endswith("FILE"):
        reference = setup.images[step] = files.image(keyword)
    else:
        reference = setup.tables[step] = files.table(keyword)
    setup.sources[step] = _identity(files, keyword, reference)
    if reference.dummy:
        _skip(setup, step, keyword)


def _skip(setup: Setup, step: str, what: str) -> None:
    setup.steps.discard(step)
    setup.skipped[step] = f"{what} is a dummy"


def _identity(
    files: HeaderReferences, keyword: str, reference: ReferenceImage | ReferenceTable, row: int | None = None
) -> list[str]:
    """Return lines that say which reference file it is."""
    lines = [f"  {keyword} {files.name(keyword)}"]
    if isinstance(reference, ReferenceTable) and row is not None:
        texts = (reference.pedigree_of(row), reference.descrip, reference.descrip_of(row))
    else:
        texts = (reference.pedigree, reference.descrip, "")
    return lines + [f"    {text}" for text in texts if text]


def _flat_field(flats: list[ReferenceImage | None], references: References, *, strict: bool) -> FlatField:
    """Return the flats of an exposure, with what was already computed of them in this run."""
    pixel, delta, low = flats
    flat = FlatField(pixel, delta, low, strict=strict)
    if not (pixel or delta):
        return flat  # expanded to fit each exposure
    return references.keep(("flats", strict, *(image and image.path for image in flats)), lambda: flat)
