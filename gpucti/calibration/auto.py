"""The engine that takes for each exposure the first of the others that can do what its header asks for."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from gpucti.calibration.base import BiasSubtracted, Calibrated, Engine, Required
from gpucti.calibration.native import NativeEngine
from gpucti.io.exposure import Exposure, StisKeywords

log = logging.getLogger(__name__)


class AutoEngine:
    """Takes the native engine where it can make everything, else hstcal if it is there; see `get_engine`.

    Parameters
    ----------
    native : NativeEngine
        The embedded engine.
    hstcal : Engine or None
        CalSTIS's programs; None where they cannot run.
    reason : str
        Why they cannot.
    """

    def __init__(self, native: NativeEngine, hstcal: Engine | None, reason: str = "") -> None:
        self.name = "native" if hstcal is None else "auto"
        self._native = native
        self._hstcal = hstcal
        self._reason = reason

    def describe(self) -> str:
        """Return what would run, with versions."""
        if self._hstcal is None:
            return self._native.describe()
        return f"{self._native.describe()}; for what it cannot do {self._hstcal.describe()}"

    def choose(self, exposure: StisKeywords) -> Engine:
        """Return the engine for an exposure."""
        if self._hstcal is None or not self._native.supports(exposure):
            return self._native
        return self._hstcal

    def supports(self, exposure: StisKeywords) -> list[str]:
        """Return why the engine chosen cannot make what the header asks for; empty if it can."""
        return self.choose(exposure).supports(exposure)

    def references(self, exposure: StisKeywords) -> list[Required]:
        """Return every reference file that the engine chosen would open."""
        return self.choose(exposure).references(exposure)

    def subtract_bias(self, raw: Exposure) -> BiasSubtracted:
        """Return the exposure after DQICORR, BLEVCORR and BIASCORR, by the native engine, which does all of that."""
        return self._native.subtract_bias(raw)

    def calibrate(self, exposure: Exposure, outdir: Path, suffixes: Mapping[str, str]) -> Calibrated:
        """Calibrate with the engine chosen; see `gpucti.calibration.base.Engine`."""
        engine = self.choose(exposure)
        why = " ".join(self._native.supports(exposure))
        log.info("%s: %s engine. %s %s", exposure.path.name, engine.name, why, self._reason if why else "")
        return engine.calibrate(exposure, outdir, suffixes)

    def close(self) -> None:
        """End the processes of the other engine."""
        if self._hstcal is not None:
            self._hstcal.close()
