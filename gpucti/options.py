"""How one image is corrected: what a user can choose, complete and checked on construction."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, fields, replace
from typing import Any, TypedDict, Unpack

from gpucti.errors import InputError

NOISE_MODELS = (0, 1, 2)


@dataclass(frozen=True, kw_only=True)
class CorrectionOptions:
    """How one image is corrected. The PCTETAB supplies every value; a user overrides some.

    Attributes
    ----------
    read_noise : float
        Largest amplitude of the noise that is set aside, in electrons (PCTETAB ``RN_CLIP``); above 0.
    noise_model : int
        How noise is set aside before the correction (``NSEMODEL``): 0 not at all, 1 with the
        amplitude limited around sources, 2 without that limit.
    oversub_thresh : float
        A pixel that ends below this many electrons, and was lowered by more than that, is
        over-subtracted and its column is repaired (``SUBTHRSH``); not above 0.
    sim_nit : int
        Fixed-point iterations: simulated readouts per column (``SIM_NIT``); 1 to 100.
    shft_nit : int
        Passes over the column that make up one simulated readout (``SHFT_NIT``); 1 to 100.
    """

    read_noise: float
    noise_model: int
    oversub_thresh: float
    sim_nit: int
    shft_nit: int

    def __post_init__(self) -> None:
        """Check every value; raise `InputError` naming the option."""
        for name in ("noise_model", "sim_nit", "shft_nit"):
            object.__setattr__(self, name, whole_number(name, getattr(self, name)))
        for name in ("read_noise", "oversub_thresh"):
            object.__setattr__(self, name, finite_number(name, getattr(self, name)))
        if self.noise_model not in NOISE_MODELS:
            raise InputError(f"noise_model is {self.noise_model!r}; expected one of 0, 1, 2")
        for name in ("sim_nit", "shft_nit"):
            if not 1 <= getattr(self, name) <= 100:
                raise InputError(f"{name} is {getattr(self, name)!r}; expected 1 to 100")
        if not self.read_noise > 0:
            raise InputError(f"read_noise is {self.read_noise!r}; expected electrons, above 0")
        if self.oversub_thresh > 0:
            raise InputError(f"oversub_thresh is {self.oversub_thresh!r}; expected electrons, 0 or below")

    @property
    def n_passes(self) -> int:
        """Passes over a column in one round of the correction: ``sim_nit * shft_nit``."""
        return self.sim_nit * self.shft_nit

    def override(self, **overrides: Unpack[CorrectionArguments]) -> CorrectionOptions:
        """Return a copy with the given options changed; ``None`` leaves an option as it is.

        Raises
        ------
        InputError
            For an option that does not exist, or a value out of range.
        """
        names = [field.name for field in fields(self)]
        for name in overrides:
            if name not in names:
                raise InputError(f"unknown option {name!r}; expected one of {', '.join(names)}")
        given: dict[str, Any] = {name: value for name, value in overrides.items() if value is not None}
        return replace(self, **given)


class CorrectionArguments(TypedDict, total=False):
    """Keyword arguments that go in place of the table's values; None leaves a value to the table. See above."""

    read_noise: float | None
    noise_model: int | None
    oversub_thresh: float | None
    sim_nit: int | None
    shft_nit: int | None


def whole_number(name: str, value: Any) -> int:
    """Return `value` as an int; raise `InputError` for anything but one whole number."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise InputError(f"{name} is {value!r}; expected an integer") from None


def finite_number(name: str, value: Any, *, what: str = "a finite number") -> float:
    """Return `value` as a float; raise `InputError` for anything but one finite number."""
    try:
        if isinstance(value, (bool, str, bytes)):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{name} is {value!r}; expected {what}")
    return number
