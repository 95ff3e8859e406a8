"""What a run of basic2d will do: the steps left, and every reference file they need, found before any pixel moves."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from astropy.io import fits

from gpucti.calibration.basic2d.ccdtab import CcdMode, CcdParameters, read_ccd_parameters
from gpucti.calibration.basic2d.dataquality import BadPixels, read_bad_pixels
from gpucti.calibration.basic2d.flats import FlatField
from gpucti.calibration.refdata import ReferenceImage, ReferenceTable
from gpucti.calibration.reffiles import References, reference_name
from gpucti.errors import InputError, ReferenceFileError
from gpucti.io.exposure import Exposure
from gpucti.io.fitsfile import integer_keyword, text_keyword

STEPS = ("DQICORR", "ATODCORR", "BLEVCORR", "BIASCORR", "DARKCORR", "FLATCORR", "SHADCORR", "PHOTCORR")
#: Doing these once more does no harm: they are done even where the header says COMPLETE.
REPEATABLE = ("DQICORR", "PHOTCORR")
#: Steps that subtract or divide by one image, and where its name stands.
IMAGE_STEPS = {"BIASCORR": "BIASFILE", "DARKCORR": "DARKFILE", "SHADCORR": "SHADFILE"}
FLATS = ("PFLTFILE", "DFLTFILE", "LFLTFILE")


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
    conversion : ReferenceTable or None
        ATODTAB.
    images : dict
        By step: BIASCORR, DARKCORR, SHADCORR.
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
    conversion: ReferenceTable | None = None
    images: dict[str, ReferenceImage] = field(default_factory=dict)
    flat: FlatField | None = None
    sources: dict[str, list[str]] = field(default_factory=dict)
    spectroscopic: bool = False
    wavecal: bool = False
    bias: bool = False


def prepare(exposure: Exposure, steps: Collection[str], references: References, *, strict: bool = False) -> Setup:
    """Return what is to be done to an exposure; see `basic2d` for the errors."""
    unknown = sorted(set(steps) - set(STEPS))
    if unknown:
        raise InputError(f"steps {', '.join(unknown)} are unknown; expected some of {', '.join(STEPS)}")
    primary, folder, where = exposure.primary, exposure.path.parent, f"{exposure.path}[0]"
    mode = CcdMode(
        exposure.amp,
        integer_keyword(primary, "CCDGAIN", where, default=1),
        integer_keyword(primary, "CCDOFFST", where, default=1),
        (
            integer_keyword(primary, "BINAXIS1", where, default=1),
            integer_keyword(primary, "BINAXIS2", where, default=1),
        ),
    )
    obstype = text_keyword(primary, "OBSTYPE", where, default="")
    target = text_keyword(primary, "TARGNAME", where, default="")

    table = references.table(references.required(primary, "CCDTAB", folder))
    if table.dummy:
        raise ReferenceFileError(
            f"PEDIGREE is {table.pedigree!r}; no exposure can do without a CCDTAB", where=table.path
        )
    setup = Setup(
        mode,
        read_ccd_parameters(table, mode),
        {name for name in steps if name in REPEATABLE or exposure.switch(name) != "COMPLETE"},
        spectroscopic=obstype == "SPECTROSCOPIC",
        wavecal=target in ("WAVELINE", "WAVEHITM")
        or any("WAVECAL" in text_keyword(h, "ASN_MTYP", where, default="") for h in exposure.sci_headers),
        bias=target == "BIAS",
    )
    setup.sources["CCDTAB"] = _identity(primary, "CCDTAB", table, setup.ccd.row)
    if obstype != "IMAGING":
        setup.steps.discard("PHOTCORR")

    if "DQICORR" in setup.steps:
        _prepare_quality(setup, exposure, references)
    if "ATODCORR" in setup.steps:
        setup.conversion = references.table(references.required(primary, "ATODTAB", folder))
        setup.sources["ATODCORR"] = _identity(primary, "ATODTAB", setup.conversion)
        if setup.conversion.dummy:
            _skip(setup, "ATODCORR", "ATODTAB")
    for step, keyword in IMAGE_STEPS.items():
        if step in setup.steps:
            setup.images[step] = references.image(references.required(primary, keyword, folder))
            setup.sources[step] = _identity(primary, keyword, setup.images[step])
            if setup.images[step].dummy:
                _skip(setup, step, keyword)
    if "FLATCORR" in setup.steps:
        _prepare_flats(setup, exposure, references, strict=strict)

    if not setup.steps - ({"DQICORR"} if "DQICORR" in setup.skipped else set()):
        raise InputError(
            f"nothing left to do of {', '.join(sorted(steps)) or 'no steps'} (done before, or the "
            "reference files are dummies); expected a step that is still to be done",
            where=exposure.path,
        )
    return setup


def _prepare_quality(setup: Setup, exposure: Exposure, references: References) -> None:
    """Read the bad-pixel table; without one, or with a dummy, saturation is still looked for."""
    path = references.find(exposure.primary, "BPIXTAB", exposure.path.parent)
    setup.sources["DQICORR"] = ["  checked for saturation"]
    if path is None:
        return
    table = references.table(path)
    setup.sources["DQICORR"] += _identity(exposure.primary, "BPIXTAB", table)
    if table.dummy:
        setup.skipped["DQICORR"] = "BPIXTAB is a dummy"
        return
    element = text_keyword(exposure.primary, "OPT_ELEM", f"{exposure.path}[0]", default="")
    setup.bad_pixels = read_bad_pixels(table, element)


def _prepare_flats(setup: Setup, exposure: Exposure, references: References, *, strict: bool) -> None:
    flats: list[ReferenceImage | None] = []
    named, lines = 0, []
    for keyword in FLATS:
        path = references.find(exposure.primary, keyword, exposure.path.parent)
        image = references.image(path) if path else None
        if image:
            named += 1
            lines += _identity(exposure.primary, keyword, image)
        flats.append(image if image and not image.dummy else None)
    if not named:
        raise ReferenceFileError(
            f"{', '.join(FLATS)} are all blank; FLATCORR needs at least one of them", where=f"{exposure.path}[0]"
        )
    setup.sources["FLATCORR"] = lines
    if any(flats):
        setup.flat = _flat_field(flats, references, strict=strict)
    else:
        _skip(setup, "FLATCORR", "every flat")


def _skip(setup: Setup, step: str, what: str) -> None:
    setup.steps.discard(step)
    setup.skipped[step] = f"{what} is a dummy"


def _identity(
    primary: fits.Header, keyword: str, reference: ReferenceImage | ReferenceTable, row: int | None = None
) -> list[str]:
    """Return lines that say which reference file it is."""
    lines = [f"  {keyword} {reference_name(primary, keyword)}"]
    if isinstance(reference, ReferenceTable) and row is not None:
        texts = (reference.pedigree_of(row), reference.descrip, reference.descrip_of(row))
    else:
        texts = (reference.pedigree, reference.descrip, "")
    return lines + [f"    {text}" for text in texts if text]


def _flat_field(flats: list[ReferenceImage | None], references: References, *, strict: bool) -> FlatField:
    """Return the flats of an exposure, with what was already computed of them in this run."""
    pixel, delta, low = flats
    if pixel is None and delta is None:
        return FlatField(pixel, delta, low, strict=strict)  # expanded to fit each exposure
    key = ("flats", strict, *(None if image is None else image.path for image in flats))
    made = references.kept.setdefault(key, FlatField(pixel, delta, low, strict=strict))
    assert isinstance(made, FlatField)
    return made
