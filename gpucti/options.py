"""What a user can choose: frozen dataclasses, complete, checked on construction."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from gpucti.errors import InputError

NOISE_MODELS = (0, 1, 2)
ENGINES = ("auto", "native", "hstcal")
SINGLE_DARK_WEEK = ("stop", "basedark")


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

    def override(self, **overrides: Any) -> CorrectionOptions:
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
        return replace(self, **{name: value for name, value in overrides.items() if value is not None})


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a run of the pipeline goes.

    Attributes
    ----------
    device : str, int or Backend
        What computes; see `gpucti.backends.get_backend`.
    engine : str
        What calibrates: ``auto``, ``native`` or ``hstcal``.
    pctetab : path, optional
        The table. By default the last ``*_pcte.fits`` of the folder of super-darks, else the packaged one.
    anneals : path, optional
        Anneal periods and their darks. By default the list saved in the folder of super-darks.
    oref : path, optional
        Folder that ``oref$`` stands for, in place of the environment variable.
    crds_update : bool
        Ask CRDS for the best references of exposures, wavecals and darks, and use those.
    clean : bool
        Remove what earlier runs made of the science exposures.
    clean_all : bool
        `clean`, and make super-darks and corrected darks anew.
    ignore_missing : bool
        Go on with an incomplete set of darks.
    download : bool
        Fetch component darks that are not there from the archive (MAST).
    offline : bool
        Never ask the archive, not even for anneal periods that no list has.
    mast_server : str, optional
        Address of the archive or a mirror; by default GPUCTI_MAST_SERVER, else what astroquery is configured with.
    allow : bool
        Take exposures of other amplifiers, gains and offsets too, and from 1990 on.
    all_weeks : bool
        Make the super-darks of all weeks of the anneal periods needed.
    single_dark_week : str
        A week with one dark only has no weekdark: ``stop``, or use a ``basedark`` of the period's other darks.
    threads : int, optional
        Threads that compute on a CPU; by default all there are.
    read_noise, noise_model, oversub_thresh, sim_nit, shft_nit : optional
        In place of the table's values; see `CorrectionOptions`.
    """

    device: Any = "auto"
    engine: str = "auto"
    pctetab: Path | None = None
    anneals: Path | None = None
    oref: Path | None = None
    crds_update: bool = False
    clean: bool = False
    clean_all: bool = False
    ignore_missing: bool = False
    download: bool = False
    offline: bool = False
    mast_server: str | None = None
    allow: bool = False
    all_weeks: bool = False
    single_dark_week: str = "stop"
    threads: int | None = None
    read_noise: float | None = None
    noise_model: int | None = None
    oversub_thresh: float | None = None
    sim_nit: int | None = None
    shft_nit: int | None = None

    def __post_init__(self) -> None:
        """Check what can be checked without looking at files; raise `InputError` naming the option."""
        for name in ("pctetab", "anneals", "oref"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, Path(getattr(self, name)))
        for name, allowed in (("engine", ENGINES), ("single_dark_week", SINGLE_DARK_WEEK)):
            if getattr(self, name) not in allowed:
                raise InputError(f"{name} is {getattr(self, name)!r}; expected one of {', '.join(allowed)}")
        if self.download and self.offline:
            raise InputError("download and offline are both set; one needs the archive, the other forbids it")
        if self.threads is not None and whole_number("threads", self.threads) < 1:
            raise InputError(f"threads is {self.threads!r}; expected 1 or more")

    @property
    def overrides(self) -> dict[str, Any]:
        """What `Pctetab.options` is told."""
        return {field.name: getattr(self, field.name) for field in fields(CorrectionOptions)}


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
