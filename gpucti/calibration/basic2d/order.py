"""The steps of basic2d, in CalSTIS's order: the one table that switches, setup and steps are derived from.

One more step is a row here and a method of `steps.Calibration` with the row's name in small letters. A reference image
or table, if the step has exactly one, is found by `setup.prepare` and waits in ``Setup.images`` or ``Setup.tables``.
"""

from __future__ import annotations

from typing import Literal, NamedTuple


class Step(NamedTuple):
    """A step of basic2d.

    Attributes
    ----------
    name : str
        Its switch in the primary header, or a name in small letters: it has no switch and is always done.
    part : {'A', 'B', ''}
        A: before the rejection of cosmic rays; B: after it; empty: has no switch.
    files : tuple of str
        Keywords of its reference files; an image is called ``...FILE``, a table ``...TAB``.
    repeatable : bool
        Doing it once more does no harm: it is done even where the header says COMPLETE.
    once : bool
        Done to the first image set alone: it is about the primary header.
    """

    name: str
    part: Literal["A", "B", ""] = ""
    files: tuple[str, ...] = ()
    repeatable: bool = False
    once: bool = False


STEPS = (
    Step("DQICORR", "A", ("BPIXTAB",), repeatable=True),
    Step("ATODCORR", "A", ("ATODTAB",)),
    Step("BLEVCORR", "A"),
    Step("make_errors"),
    Step("BIASCORR", "A", ("BIASFILE",)),
    Step("DARKCORR", "B", ("DARKFILE",)),
    Step("FLATCORR", "B", ("PFLTFILE", "DFLTFILE", "LFLTFILE")),
    Step("SHADCORR", "B", ("SHADFILE",)),
    Step("write_photmode", once=True),
    Step("PHOTCORR", "B", ("IMPHTTAB", "TDSTAB"), repeatable=True, once=True),
)
#: The flats, in the order in which they are multiplied.
FLATS = next(step.files for step in STEPS if step.name == "FLATCORR")
