"""How a run of the pipeline goes: what a user can choose, complete and checked on construction."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from gpucti.backends.base import Backend
from gpucti.calibration import ENGINES
from gpucti.errors import InputError
from gpucti.options import CorrectionArguments, whole_number

SINGLE_DARK_WEEK = ("stop", "basedark")


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
        Take exposures of other amplifiers, gains and offsets too, and from 1990 on; those before 2009 are corrected
        about twice over.
    all_weeks : bool
        Make the super-darks of all weeks of the anneal periods needed.
    single_dark_week : str
        A week with one dark only has no weekdark: ``stop`` at its exposures, which fail, or use a ``basedark`` of the
        period's other darks.
    threads : int, optional
        Threads that compute on a CPU; by default all there are.
    read_noise, noise_model, oversub_thresh, sim_nit, shft_nit : optional
        In place of the table's values; see `CorrectionOptions`.
    """

    device: str | int | Backend | None = "auto"
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

    if TYPE_CHECKING:  # the generated one, but paths may be given as text too

        def __init__(self, **options: Unpack[RunArguments]) -> None: ...

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
    def overrides(self) -> CorrectionArguments:
        """What `Pctetab.options` is told."""
        return CorrectionArguments(
            read_noise=self.read_noise,
            noise_model=self.noise_model,
            oversub_thresh=self.oversub_thresh,
            sim_nit=self.sim_nit,
            shft_nit=self.shft_nit,
        )


class RunArguments(CorrectionArguments, total=False):
    """Keyword arguments of `gpucti.correct` and `gpucti.plan`: what `RunOptions` is made of; see there."""

    device: str | int | Backend | None
    engine: str
    pctetab: str | os.PathLike[str] | None
    anneals: str | os.PathLike[str] | None
    oref: str | os.PathLike[str] | None
    crds_update: bool
    clean: bool
    clean_all: bool
    ignore_missing: bool
    download: bool
    offline: bool
    mast_server: str | None
    allow: bool
    all_weeks: bool
    single_dark_week: str
    threads: int | None
