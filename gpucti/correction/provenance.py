"""What a product's headers say about the run that made it.

The first group of keywords is stis_cti's, a public format; the second is ours.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from astropy.io import fits

from gpucti._version import __version__
from gpucti.io.cards import OF_A_RUN, without
from gpucti.io.exposure import Exposure
from gpucti.io.fitstables import ascii_text
from gpucti.model.doubts import doubts
from gpucti.model.pctetab import Pctetab
from gpucti.options import CorrectionOptions

#: Name and version of the algorithm, as stis_cti 1.6.2 writes them.
ALGORITHM_NAME = "PixelCTE 2012"
ALGORITHM_VERSION = "3.2"
#: Counts up whenever gpucti's numbers change, so that older products are made anew.
REVISION = 1
#: Keyword with the digest of all that a product was made from; see `recipe`.
RECIPE = "PCTESHAR"


def recipe(**ingredients: Any) -> str:
    """Return the sha256 (hex) of what a product is made from: digests of inputs, options, names. Order is free."""
    text = json.dumps(ingredients | {"revision": REVISION}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


#: Where `CorrectionOptions` stand in a header: read_noise, noise_model, oversub_thresh, sim_nit, shft_nit.
_OPTION_KEYWORDS = ("PCTERNCL", "PCTENSMD", "PCTETRSH", "PCTESMIT", "PCTESHFT")


@dataclass(frozen=True)
class Provenance:
    """What one file was corrected with, or trailed.

    Attributes
    ----------
    pctetab : Pctetab
        The table.
    pctetab_keyword : str
        What PCTETAB shall say.
    options : CorrectionOptions
        Complete options.
    backend : str
        Name of the backend.
    """

    pctetab: Pctetab
    pctetab_keyword: str
    options: CorrectionOptions
    backend: str

    @property
    def ingredients(self) -> Mapping[str, Any]:
        """What the correction adds to a `recipe`."""
        return {"pctetab": self.pctetab.sha256, "options": repr(self.options), "algorithm": ALGORITHM_VERSION}

    def why_other(self, header: fits.Header, sha256: str) -> str | None:
        """Return why a corrected file is not what this run would make of an input, or None if it is.

        Parameters
        ----------
        header : fits.Header
            Primary header of the corrected file.
        sha256 : str
            Digest of the input that it should have been made of.
        """
        if header.get("PCTECORR") != "COMPLETE" or not str(header.get("PCTEPROG", "")).startswith("gpucti "):
            return "not made by gpucti"
        if header.get("TEMPCORR") == "COMPLETE":
            return "scaled to another temperature since"
        if (header.get("CTE_VER"), header.get("PCTEREV")) != (ALGORITHM_VERSION, REVISION):
            return "made by another version of gpucti"
        if header.get("PCTESHAI") != sha256:
            return "made from another file"
        if header.get("PCTESHAT") != self.pctetab.sha256:
            return "made with another PCTETAB"
        options = self.options
        stored = (options.read_noise, options.noise_model, options.oversub_thresh, options.sim_nit, options.shft_nit)
        if tuple(header.get(name) for name in _OPTION_KEYWORDS) != stored:
            return "made with other options"
        return None

    def stamp_corrected(self, exposure: Exposure, repairs: tuple[int, ...], unknown: int = 0) -> None:
        """Write the cards of a corrected file into the headers of `exposure`.

        Parameters
        ----------
        exposure : Exposure
            With headers of its own (`Exposure.with_imsets`).
        repairs : tuple of int
            Repaired columns per imset.
        unknown : int
            Rows flagged because rows that were not kept filled their traps.
        """
        header, options = exposure.primary, self.options
        header["PCTETAB"] = ascii_text(self.pctetab_keyword)
        header["PCTECORR"] = ("COMPLETE", "CTI trails removed from the pixels")
        header["PCTEFRAC"] = (self.pctetab.time_scale(exposure.start_mjd), "trap density relative to reference date")
        header["PCTERNCL"] = (options.read_noise, "[electron] largest noise set aside")
        header["PCTENSMD"] = (options.noise_model, "how read noise was set aside (0, 1, 2)")
        header["PCTETRSH"] = (options.oversub_thresh, "[electron] over-subtraction threshold")
        header["PCTESMIT"] = (options.sim_nit, "simulated readouts per column")
        header["PCTESHFT"] = (options.shft_nit, "passes over a column per readout")
        header["CTE_NAME"] = (ALGORITHM_NAME, "CTI algorithm")
        header["CTE_VER"] = (ALGORITHM_VERSION, "version of the CTI algorithm")
        header["PCTE_VER"] = (self.pctetab.version, "version of the PCTETAB")
        if exposure.switch("CTECORR") == "PERFORM":
            header["CTECORR"] = "OMIT"  # the empirical correction would count the loss twice
        for imset, count in zip(exposure.imsets, repairs, strict=True):
            imset.headers[0]["PCTENREP"] = (count, "columns repaired after over-subtraction")
            if unknown:
                imset.headers[0]["PCTENUNK"] = (unknown, "rows with unread rows before them, DQ 1024")
        self._stamp_run(exposure, "CTI trails removed")

    def stamp_trailed(self, exposure: Exposure) -> None:
        """Write the cards of a file to which trails were added; see `stamp_corrected`.

        What an earlier correction said of itself goes: it is undone.
        """
        header, options = exposure.primary, self.options
        without(header, "PCTENSMD", "PCTETRSH", "CTE_NAME", "CTE_VER", "PCTE_VER")
        for imset in exposure.imsets:
            without(imset.headers[0], "PCTENREP")
        header["PCTETAB"] = ascii_text(self.pctetab_keyword)
        header["PCTEFRAC"] = (self.pctetab.time_scale(exposure.start_mjd), "trap density relative to reference date")
        header["PCTERNCL"] = (options.read_noise, "[electron] largest noise set aside")
        header["PCTESMIT"] = (options.sim_nit, "simulated readouts per column")
        header["PCTESHFT"] = (options.shft_nit, "passes over a column per readout")
        if exposure.switch("PCTECORR") == "COMPLETE":
            header["PCTECORR"] = ("PERFORM", "CTI trails are in the pixels again")
        self._stamp_run(exposure, "CTI trails added")

    def _stamp_run(self, exposure: Exposure, what: str) -> None:
        header = exposure.primary
        without(header, *OF_A_RUN)  # a run names what it makes afterwards
        extrapolated = self.pctetab.extrapolates(exposure.start_mjd)
        header["PCTEPROG"] = (f"gpucti {__version__}", "program that treated the CTI trails")
        header["PCTEREV"] = (REVISION, "counts up whenever its numbers change")
        header["PCTEBACK"] = (self.backend, "backend of gpucti")
        header["PCTEXTRP"] = (extrapolated, "PCTEFRAC extrapolated past the table")
        header["PCTESHAT"] = self.pctetab.sha256  # 64 characters leave no room for a comment
        header["PCTESHAI"] = exposure.sha256
        header.add_history(f"{what} by gpucti {__version__}, backend {self.backend}.")
        header.add_history(
            f"PCTESHAI, PCTESHAT: sha256 of the input {ascii_text(exposure.path.name)} and of the PCTETAB figures."
        )
        if extrapolated:
            last = f"{self.pctetab.last_scale_mjd:g}"
            header.add_history(f"PCTEFRAC extrapolates CTE_SCALE of {ascii_text(self.pctetab.name)} past MJD {last}.")
        for doubt in doubts(self.pctetab, [exposure.start_mjd], exposure.amp):
            header.add_history(f"In doubt: {ascii_text(doubt)}.")
