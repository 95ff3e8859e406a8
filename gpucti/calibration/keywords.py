"""The keywords without which an exposure cannot be corrected and calibrated: looked at before anything is begun.

Every other keyword that the steps read has a default of CalSTIS's, or is written by an earlier step. Names of reference
files are looked for by `gpucti.calibration.switches.required_references`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from gpucti.calibration.switches import Work, read_work
from gpucti.errors import InputError
from gpucti.io.cards import Cards
from gpucti.io.exposure import StisKeywords


class Keyword(NamedTuple):
    """A keyword that is needed, how it is read, and by whom.

    Attributes
    ----------
    name : str
        The keyword.
    read : callable
        A reader of `Cards`, which raises for what it cannot take.
    of_imset : bool
        It stands in every SCI header, else in the primary one.
    steps : tuple of str
        What reads it, of `_steps`; empty: whatever is done.
    unless : str
        The step that writes it before it is read.
    """

    name: str
    read: Callable[[Cards, str], Any]
    of_imset: bool = False
    steps: tuple[str, ...] = ()
    unless: str = ""


_SPECTRA = ("WAVECORR", "X2DCORR", "X1DCORR")
NEEDED = (
    Keyword("TEXPSTRT", Cards.number),  # the date, for the density of traps
    Keyword("EXPTIME", Cards.number, of_imset=True),
    Keyword("EXPSTART", Cards.number, of_imset=True),  # temperature, velocity
    Keyword("EXPEND", Cards.number, of_imset=True),
    Keyword("RA_TARG", Cards.number, steps=("SPECTROSCOPIC",)),  # velocity of the Earth
    Keyword("DEC_TARG", Cards.number, steps=("SPECTROSCOPIC",)),
    Keyword("OPT_ELEM", Cards.text, steps=_SPECTRA),  # rows of the tables, here and in the next two
    Keyword("CENWAVE", Cards.whole, steps=_SPECTRA),
    Keyword("APERTURE", Cards.text, steps=_SPECTRA),
    Keyword("PROPAPER", Cards.text, steps=("WAVECORR",)),  # which rows of the wavecal
    Keyword("CD2_2", Cards.number, of_imset=True, steps=("X1DCORR",), unless="BLEVCORR"),  # plate scale
    Keyword("MEANDARK", Cards.number, of_imset=True, steps=("X1DCORR",), unless="DARKCORR"),  # errors, here and next
    Keyword("NCOMBINE", Cards.whole, of_imset=True, steps=("X1DCORR",), unless="CRCORR"),
)


def require_keywords(exposure: StisKeywords) -> None:
    """Raise `InputError` unless a raw exposure has all keywords that its correction and calibration need.

    The message lists all that are missing or make no sense.
    """
    steps = _steps(read_work(exposure))
    errors: list[InputError] = []
    for keyword in NEEDED:
        if (keyword.steps and not steps & set(keyword.steps)) or keyword.unless in steps:
            continue
        for cards in exposure.sci_cards if keyword.of_imset else (exposure.cards,):
            try:
                keyword.read(cards, keyword.name)
            except InputError as error:
                errors.append(error)
    _ = exposure.amp  # raises for what makes no sense
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise InputError("".join(f"\n  {error}" for error in errors), where=exposure.path)


def _steps(work: Work) -> set[str]:
    """Return what is done, by the names that `NEEDED` uses."""
    others = {
        "SPECTROSCOPIC": work.spectroscopic,
        "CRCORR": work.reject,
        "WAVECORR": work.wavecal,
        "X2DCORR": work.rectify,
        "X1DCORR": work.extract,
    }
    return {*work.part_a, *work.part_b, *(name for name, done in others.items() if done)}
