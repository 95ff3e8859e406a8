"""CRCORR: the image sets of STIS exposures become one, without cosmic rays, as CalSTIS's ocrreject makes it.

The table is in `table`, the arithmetic in `combine`; here are the headers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from astropy.io import fits

from gpucti._version import __version__
from gpucti.backends.base import Backend
from gpucti.calibration.base import Trailer
from gpucti.calibration.crreject.combine import CrCombined, combine
from gpucti.calibration.crreject.table import CrParameters, read_rejection_parameters
from gpucti.calibration.reffiles import References, stored, stored_double
from gpucti.errors import InputError
from gpucti.io.cards import Cards
from gpucti.io.exposure import Exposure, ImageSet

__all__ = ["CrCombined", "CrParameters", "combine", "read_rejection_parameters", "reject_cosmic_rays", "usable_imsets"]

f32 = np.float32


class UsableImset(NamedTuple):
    """An image set that can be combined, and what the combination asks its headers for.

    Attributes
    ----------
    exposure : int
        Index of the exposure it belongs to.
    number : int
        Its number there (EXTVER).
    cards : Cards
        The SCI header.
    imset : ImageSet
        The arrays.
    exptime, read_noise, gain : float
        Seconds, electrons, electrons per count.
    """

    exposure: int
    number: int
    cards: Cards
    imset: ImageSet
    exptime: float
    read_noise: float
    gain: float


def reject_cosmic_rays(
    exposures: Sequence[Exposure], *, references: References, backend: Backend, trailer: Trailer
) -> tuple[Exposure, list[Exposure]]:
    """Combine all image sets of the exposures into one, without what cosmic rays added.

    Image sets with IMSET_OK = F are left out, also where the first is one. The headers are those of the first that
    is used, and of its file.

    Parameters
    ----------
    exposures : sequence of Exposure
        Bias-subtracted, with READNSE and ATODGAIN; together at least two image sets.
    references : References
        Where the CRREJTAB of the first exposure is read.
    backend : Backend
        Whose device does the work.
    trailer : Trailer
        Is told what was done.

    Returns
    -------
    combined : Exposure
        One image set: the sum over the whole exposure time.
    inputs : list of Exposure
        The exposures; where the CRREJTAB says CRMASK, with bit 8192 renewed in their DQ.

    Raises
    ------
    InputError
        Fewer than two image sets can be used, they do not belong together, or a keyword is missing.
    ReferenceFileError
        There is no CRREJTAB, or no row of it applies.

    References
    ----------
    CalSTIS 3.5.0, cs2 (ocrreject).
    """
    usable = usable_imsets(exposures)
    first = exposures[usable[0].exposure]
    exptimes = [image.exptime for image in usable]
    exptime = _total(exptimes)
    mean_exposure = float(exptime) / len(usable)

    table = references.of(first).table("CRREJTAB")
    spectroscopic = first.cards.text("OBSTYPE") == "SPECTROSCOPIC"
    parameters = read_rejection_parameters(table, len(usable), mean_exposure, spectroscopic=spectroscopic)
    trailer.say(
        f"CRCORR: {len(usable)} image sets, {exptime:g} s; {table.path.name}: {parameters.texts[1]}, "
        f"sky {parameters.skysub}, sigmas {parameters.texts[0]}"
    )
    combined = combine(
        [image.imset.sci for image in usable],
        [image.imset.dq for image in usable],
        exptimes,
        [image.read_noise for image in usable],
        [image.gain for image in usable],
        parameters,
        backend,
    )
    trailer.say(f"CRCORR: {combined.n_rejected} pixels rejected")

    sci, err, dq = (backend.asnumpy(array) for array in (combined.sci, combined.err, combined.dq))
    imset = ImageSet(sci, err, dq, usable[0].imset.headers)
    product = replace(first.with_imsets([imset]), extras=(), sha256="")
    _write_primary(product.primary, combined, parameters, usable, mean_exposure)
    _write_sci(product.imsets[0].headers[0], combined, usable)
    product.primary.add_history(f"CRCORR: {len(usable)} image sets combined without cosmic rays by gpucti.")
    return product, _with_masks(exposures, usable, [backend.asnumpy(mask) for mask in combined.masks])


def usable_imsets(exposures: Sequence[Exposure]) -> list[UsableImset]:
    """Return the image sets that can be combined, in order.

    Raises
    ------
    InputError
        See `reject_cosmic_rays`.
    """
    usable = []
    for index, exposure in enumerate(exposures):
        read_noise = exposure.cards.number("READNSE")
        if read_noise < 0:
            raise exposure.cards.wrong(f"READNSE is {read_noise!r}; expected electrons, 0 or more")
        for number, (imset, cards) in enumerate(zip(exposure.imsets, exposure.sci_cards, strict=True), start=1):
            if not _is_ok(cards):
                continue
            _require_finite(imset, cards)
            exptime = cards.number("EXPTIME")
            if exptime < 0:
                raise cards.wrong(f"EXPTIME is {exptime!r}; expected seconds, 0 or more")
            usable.append(UsableImset(index, number, cards, imset, exptime, read_noise, exposure.gain))
    names = ", ".join(str(exposure.path) for exposure in exposures)
    if len(usable) < 2:
        raise InputError(
            f"{len(usable)} image set that can be used; expected two at least, cosmic rays are told by comparison",
            where=names,
        )
    for name, values in (
        ("CCDAMP", {exposure.amp for exposure in exposures}),
        ("shape (rows, columns)", {image.imset.sci.shape for image in usable}),
    ):
        if len(values) > 1:
            raise InputError(f"{name} is {', '.join(map(str, sorted(values)))}; expected the same in all", where=names)
    times = [image.exptime for image in usable]
    if 0 in times and any(times):
        raise InputError(
            f"EXPTIME is {', '.join(f'{time:g}' for time in times)}; expected times above 0, or 0 for all", where=names
        )
    return usable


def _is_ok(cards: Cards) -> bool:
    value = cards.value("IMSET_OK", default=True)
    if not isinstance(value, bool):
        raise cards.wrong(f"IMSET_OK is {value!r}; expected T or F")
    return value


def _require_finite(imset: ImageSet, cards: Cards) -> None:
    if not np.isfinite(imset.sci).all():
        row, col = np.argwhere(~np.isfinite(imset.sci))[0]
        raise cards.wrong(f"NaN or infinity at row {row}, column {col} (0-based); replace such pixels first")


def _total(exptimes: Sequence[float]) -> np.float32:
    """Return the total exposure time, rounded after every step."""
    return f32(np.cumsum(np.array(exptimes, dtype=f32), dtype=f32)[-1])


def _write_primary(
    header: fits.Header,
    combined: CrCombined,
    parameters: CrParameters,
    usable: Sequence[UsableImset],
    mean_exposure: float,
) -> None:
    """Say in the primary header what was combined, and with which parameters."""
    start, end = _times(usable)
    header["TEXPTIME"] = stored(combined.exptime)
    header["SKYSUM"] = (stored(_total(list(combined.sky))), "[count] sky of all images together")
    if combined.exptime > 0:
        rate = f32(combined.n_rejected) / combined.exptime
        header["REJ_RATE"] = (stored(rate), "[1/s] pixels rejected per second")
    header["TEXPSTRT"], header["TEXPEND"] = start, end
    header["INITGUES"], header["SKYSUB"] = parameters.texts[1], parameters.skysub
    header["CRSIGMAS"] = parameters.texts[0]
    header["MEANEXP"] = stored(mean_exposure)
    header["CRRADIUS"] = stored(parameters.radius)
    header["CRTHRESH"] = stored(parameters.thresh)
    header["SCALENSE"] = stored(parameters.scalense)
    header["BADINPDQ"] = parameters.badinpdq
    header["CRMASK"] = parameters.mask
    header["NEXTEND"] = 3
    header["CRCORR"] = "COMPLETE"
    header["CAL_VER"] = f"gpucti {__version__}"


def _write_sci(header: fits.Header, combined: CrCombined, usable: Sequence[UsableImset]) -> None:
    """Say in the SCI header what was combined; per-image keywords such as MEANBLEV stay those of the first."""
    header["EXPTIME"] = stored(combined.exptime)
    header["EXPSTART"], header["EXPEND"] = _times(usable)
    header["NCOMBINE"] = len(usable)
    weighted = f32(0)  # temperatures times exposure times
    for image in usable:  # an image without the keyword counts as -1 degree, as in the original
        weighted = f32(weighted + f32(image.cards.number("OCCDHTAV", default=-1)) * f32(image.exptime))
    if combined.exptime > 0 and weighted > 0:
        header["OCCDHTAV"] = stored(weighted / combined.exptime)


def _times(usable: Sequence[UsableImset]) -> tuple[float, float]:
    """Return first start and last end, Modified Julian Dates."""
    start = min(image.cards.number("EXPSTART", default=0) for image in usable)
    end = max(image.cards.number("EXPEND", default=0) for image in usable)
    return stored_double(start), stored_double(end)


def _with_masks(exposures: Sequence[Exposure], usable: Sequence[UsableImset], masks: list[Any]) -> list[Exposure]:
    """Return the exposures with the new DQ arrays, if there are any."""
    if not masks:
        return list(exposures)
    imsets = [list(exposure.imsets) for exposure in exposures]
    for image, mask in zip(usable, masks, strict=True):
        imsets[image.exposure][image.number - 1] = replace(image.imset, dq=mask)
    return [exposure.with_imsets(flagged) for exposure, flagged in zip(exposures, imsets, strict=True)]
