"""Two-dimensional calibration of CCD images, from raw counts on: CalSTIS's basic2d, in memory.

Source: CalSTIS 3.5.0, `cs1` (`Do2D`). SCI, ERR and DQ of an unbinned full frame come out with the same bits.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from gpucti.backends.base import Backend
from gpucti.calibration.base import Trailer
from gpucti.calibration.basic2d.setup import Setup, prepare
from gpucti.calibration.basic2d.steps import Calibration
from gpucti.calibration.reffiles import References
from gpucti.calibration.statistics import do_statistics
from gpucti.errors import InputError
from gpucti.io.cards import Cards
from gpucti.io.exposure import Exposure, ImageSet

log = logging.getLogger(__name__)


def basic2d(
    exposure: Exposure,
    steps: Collection[str],
    *,
    references: References,
    backend: Backend,
    trailer: Trailer,
    statistics: bool = True,
    darkscale: Sequence[float] = (),
    strict: bool = False,
) -> Exposure:
    """Return an exposure with calibration steps done to it; the input is not changed.

    Besides the steps, the error is made where ERR is zero throughout, and the keywords ATODGAIN, READNSE, PHOTMODE,
    OCCDHTAV (from an EPC file beside the exposure) and V_HELIO (spectra) are written. Image sets without exposure time
    or with constant pixels are left out, but for biases, and it is said so; headers come from the first that is good.

    Parameters
    ----------
    exposure : Exposure
        Raw or partly calibrated; relative reference names and EPC files are looked for in ``exposure.path.parent``.
    steps : collection of str
        Some of DQICORR, ATODCORR, BLEVCORR, BIASCORR, DARKCORR, FLATCORR, SHADCORR, PHOTCORR, whatever the header
        asks for. A step whose switch is COMPLETE is not done again (DQICORR and PHOTCORR are); PHOTCORR is for
        images alone.
    references : References
        Where reference files come from.
    backend : Backend
        Whose arrays hold the pixels.
    trailer : Trailer
        Is told what was done.
    statistics : bool
        Write the statistics of good pixels into the headers.
    darkscale : sequence of float
        Factor of the dark for each image set in place of that from the temperature; the last one is used on.
    strict : bool
        Take the data quality of the low-order flat as CalSTIS does, all rows from the last one.

    Returns
    -------
    Exposure
        SCI, ERR float32 and DQ int16 in NumPy arrays; switches COMPLETE or SKIPPED.

    Raises
    ------
    InputError
        A keyword is missing or makes no sense, there is nothing left to do, or no image set is good.
    ReferenceFileError
        A reference file is missing, damaged, or not for this exposure.
    """
    setup = prepare(exposure, steps, references, strict=strict)
    primary = exposure.primary.copy()
    good = [n for n, imset in enumerate(exposure.imsets) if _is_good(exposure, n, setup, trailer)]
    if not good:
        raise InputError("no image set has an exposure time and pixels that differ; nothing to do", where=exposure.path)
    left_out = exposure.n_imsets - len(good)
    if left_out:
        log.warning("%s: %d of %d image sets left out as bad", exposure.path, left_out, exposure.n_imsets)
        primary["NEXTEND"] = 3 * len(good)
    if len(good) == 1 and exposure.switch("CRCORR") == "PERFORM":
        primary["CRCORR"] = "SKIPPED"
        trailer.say("CRCORR skipped: there is only one image set")

    cards = Cards(primary, exposure.cards.where)
    calibration = Calibration(setup, cards, exposure, references.of(exposure), backend, trailer, tuple(darkscale))
    if left_out:
        calibration.note(f"{left_out} of {exposure.n_imsets} image sets left out: no exposure time or no signal")
    imsets: list[ImageSet] = []
    for n in good:
        frame = calibration.frame(n)
        calibration.run(frame, first=not imsets)
        sci, err, dq = (np.ascontiguousarray(backend.asnumpy(array)) for array in frame.pixels)
        imsets.append(ImageSet(sci, err, dq, frame.headers))
        imsets[-1].drop_statistics()
        if statistics:
            do_statistics(*frame.pixels, frame.sdqflags, *frame.headers[:2], backend.xp)
    return replace(exposure, primary=primary, imsets=tuple(imsets))


def _is_good(exposure: Exposure, n: int, setup: Setup, trailer: Trailer) -> bool:
    """Tell whether an image set has an exposure time and pixels that differ; a bias needs neither."""
    imset, cards = exposure.imsets[n], exposure.sci_cards[n]
    exptime = cards.number("EXPTIME")
    if exptime < 0:
        raise cards.wrong(f"EXPTIME is {exptime}; expected seconds, 0 or more")
    if setup.bias and not setup.wavecal:
        return True
    if exptime == 0:
        trailer.say(f"imset {n + 1} left out: EXPTIME is 0")
        return False
    if imset.sci.max() <= imset.sci.min():
        trailer.say(f"imset {n + 1} left out: every pixel is {imset.sci.flat[0]:g}")
        return False
    return True
