"""Exposures in memory as one stack: trails removed or added, and what the headers say about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from gpucti.backends.base import Backend
from gpucti.correction.provenance import Provenance
from gpucti.correction.stack import add_cti_stack, correct_stack, unknown_rows
from gpucti.detector import DQ_BLEMISH, to_readout
from gpucti.errors import InputError
from gpucti.io.exposure import Exposure

Stack = npt.NDArray[Any]


class CtiProduct(NamedTuple):
    """An exposure whose trails were removed or added, before it is written.

    Attributes
    ----------
    exposure : Exposure
        With headers of its own.
    repairs : tuple of int
        Repaired columns per imset; empty where trails were added.
    """

    exposure: Exposure
    repairs: tuple[int, ...]


class _Missing(NamedTuple):
    """Pixels without a finite value: their indices in the stack, and the values they had."""

    where: tuple[npt.NDArray[np.intp], ...]
    values: Stack


#: `correct_exposures`, `add_cti_exposures` and the like.
CtiProcess = Callable[[Sequence[Exposure], Sequence[Provenance], Backend], list[CtiProduct]]


def _by_stacks(
    process: CtiProcess, exposures: Sequence[Exposure], provenances: Sequence[Provenance], backend: Backend
) -> list[CtiProduct]:
    """Return what `process` makes of the exposures, in order; those that can be one stack are given to it together."""
    stacks: dict[tuple[object, ...], list[int]] = {}
    for index, (exposure, provenance) in enumerate(zip(exposures, provenances, strict=True)):
        place = (exposure.shape, exposure.amp, exposure.origin)
        stacks.setdefault((*place, provenance.pctetab, provenance.options), []).append(index)
    products: dict[int, CtiProduct] = {}
    for members in stacks.values():
        made = process([exposures[i] for i in members], [provenances[i] for i in members], backend)
        products |= zip(members, made, strict=True)
    return [products[index] for index in range(len(exposures))]


def correct_exposures(
    exposures: Sequence[Exposure], provenances: Sequence[Provenance], backend: Backend
) -> list[CtiProduct]:
    """Return exposures without trails, in order; the inputs stay as they are.

    Those of one shape, amplifier, place on the frame, table and options are corrected as one stack.
    """
    return _by_stacks(_correct_together, exposures, provenances, backend)


def add_cti_exposures(
    exposures: Sequence[Exposure], provenances: Sequence[Provenance], backend: Backend
) -> list[CtiProduct]:
    """Return exposures with the trails of one more readout; see `correct_exposures`."""
    return _by_stacks(_add_cti_together, exposures, provenances, backend)


def _correct_together(
    exposures: Sequence[Exposure], provenances: Sequence[Provenance], backend: Backend
) -> list[CtiProduct]:
    sci, missing = _science_stack(exposures)
    err = np.concatenate([imset.err[np.newaxis] for exposure in exposures for imset in exposure.imsets])
    arguments = _common_arguments(exposures, provenances[0], backend)
    done = correct_stack(sci, err=err, options=provenances[0].options, **arguments)
    done.sci[missing.where] = missing.values
    new_err = cast(Stack, done.err)  # given, hence returned

    unknown = unknown_rows(exposures[0].amp, exposures[0].shape[0], exposures[0].origin)

    products, first = [], 0
    for exposure, provenance in zip(exposures, provenances, strict=True):
        imsets = [
            replace(
                old, sci=_like(old.sci, done.sci[i]), err=_like(old.err, new_err[i]),
                dq=_flagged(old.dq, exposure.amp, unknown),
            )
            for i, old in enumerate(exposure.imsets, start=first)
        ]  # fmt: skip
        repairs = tuple(int(count) for count in done.repairs[first : first + exposure.n_imsets])
        corrected = exposure.with_imsets(imsets)
        provenance.stamp_corrected(corrected, repairs, unknown)
        products.append(CtiProduct(corrected, repairs))
        first += exposure.n_imsets
    return products


def _add_cti_together(
    exposures: Sequence[Exposure], provenances: Sequence[Provenance], backend: Backend
) -> list[CtiProduct]:
    sci, missing = _science_stack(exposures)
    arguments = _common_arguments(exposures, provenances[0], backend)
    trailed_sci = add_cti_stack(sci, shft_nit=provenances[0].options.shft_nit, **arguments)
    trailed_sci[missing.where] = missing.values

    products, first = [], 0
    for exposure, provenance in zip(exposures, provenances, strict=True):
        imsets = [
            replace(old, sci=_like(old.sci, trailed_sci[i])) for i, old in enumerate(exposure.imsets, start=first)
        ]
        trailed = exposure.with_imsets(imsets)
        provenance.stamp_trailed(trailed)
        products.append(CtiProduct(trailed, ()))
        first += exposure.n_imsets
    return products


def _common_arguments(exposures: Sequence[Exposure], provenance: Provenance, backend: Backend) -> dict[str, Any]:
    """Return the arguments that both directions of a stack have in common."""
    return {
        "mjd": np.array([exposure.start_mjd for exposure in exposures for _ in exposure.imsets]),
        "gain": np.array([exposure.gain for exposure in exposures for _ in exposure.imsets]),
        "amp": exposures[0].amp,
        "pctetab": provenance.pctetab,
        "backend": backend,
        "origin": exposures[0].origin,
    }


def _like(old: Stack, new: Stack) -> Stack:
    """Return `new` in the type of `old`: a stack of single and double precision files is double throughout."""
    return new.astype(old.dtype, copy=False)


def _flagged(dq: Stack, amp: str, rows: int) -> Stack:
    """Return data quality with the first rows from the readout side flagged; `dq` itself if there are none."""
    if rows == 0:
        return dq
    flagged = dq.copy()
    to_readout(flagged, amp)[:rows] |= DQ_BLEMISH
    return flagged


def require_finite(exposure: Exposure) -> None:
    """Raise `InputError` for NaN or infinity in SCI, naming the first such pixel."""
    for number, imset in enumerate(exposure.imsets, start=1):
        bad = ~np.isfinite(imset.sci)
        if bad.any():
            row, col = np.argwhere(bad)[0]
            raise InputError(
                f"{np.count_nonzero(bad)} NaN or infinite pixels, the first at row {row}, column {col} (0-based); "
                "replace them, or use nan='keep' to take them for zero and put them back",
                where=f"{exposure.path}[SCI,{number}]",
            )


def _science_stack(exposures: Sequence[Exposure]) -> tuple[Stack, _Missing]:
    """Return all SCI images with zeros for NaN and infinity, and what was there."""
    sci = np.concatenate([imset.sci[np.newaxis] for exposure in exposures for imset in exposure.imsets])
    where = np.nonzero(~np.isfinite(sci))
    missing = _Missing(where, sci[where])
    sci[where] = 0
    return sci, missing
