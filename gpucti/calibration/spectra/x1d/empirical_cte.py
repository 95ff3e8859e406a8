"""CTECORR: the empirical correction of an extracted spectrum for the charge lost in parallel transfers.

For data whose pixels are not corrected; see CalSTIS's CtiCorr and getHalo (``cs6``: absflux6.c), Goudfrooij et al.
2006, PASP 118, 1455. It changes the flux, never the counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gpucti.calibration.base import Trailer
from gpucti.calibration.reffiles import HeaderReferences
from gpucti.calibration.spectra.constants import DAYS_PER_YEAR
from gpucti.calibration.spectra.tables import Mode, description
from gpucti.calibration.spectra.throughput import Curve, read_height_factor
from gpucti.calibration.spectra.x1d.boxsum import BoxSums
from gpucti.calibration.spectra.x1d.flux import Exposed
from gpucti.detector import DQ_NO_CTE, FULL_ROWS
from gpucti.io.pixelgrid import PixelGrid

Vector = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]

COLUMNS = ("CTINORM", "CTIGPOWER", "CTIBGFAC", "CTIBGPOWER", "CTIREFMJD", "CTITIMFAC", "SPURCHARGE")
#: Only for gratings whose light scatters far in the detector.
HALO_COLUMNS = ("HALOFAC", "HALOMINFRAC")
HALO_GRATINGS = ("G750L", "G750M")
#: Height of the box that stands for the whole halo, unbinned pixels.
HALO_HEIGHT = 200


@dataclass(frozen=True)
class EmpiricalCte:
    """One row of a CCDTAB, as far as the loss of charge goes; single-precision values.

    Attributes
    ----------
    gain : float
        Electrons per count; takes the place of the header's.
    norm, signal_power : float
        Loss per transfer of one electron of signal, and how it falls with the signal.
    background_factor, background_power : float
        How the background lowers the loss.
    ref_date, per_year : float
        MJD of `norm`, and relative growth per year since.
    spurious : float
        Electrons per pixel that clocking adds.
    halo_factor, halo_threshold : float
        How light scattered out of the box counts as background.
    halo : Curve or None
        Factor of the PCTAB for a box of `HALO_HEIGHT`; None where there is no halo.
    history : tuple of str
        What table this is from.
    """

    gain: float
    norm: float
    signal_power: float
    background_factor: float
    background_power: float
    ref_date: float
    per_year: float
    spurious: float
    halo_factor: float
    halo_threshold: float
    halo: Curve | None
    history: tuple[str, ...]

    def corrected(
        self,
        sums: BoxSums,
        observed: Vector,
        row: Floats,
        exposed: Exposed,
        box_height: np.float32,
        date: float,
        pixels: PixelGrid,
    ) -> tuple[Floats, npt.NDArray[np.int16]]:
        """Return the net counts per second without loss, and `DQ_NO_CTE` where there is no signal.

        Parameters
        ----------
        sums : BoxSums
            Counts per second in the box.
        observed : (cols,) float64
            Wavelengths, Angstrom.
        row : (cols,) float32
            Image row of the spectrum, 1-based. CalSTIS counts transfers from it as if it were 0-based.
        exposed : Exposed
            Its gain is this one's.
        box_height : float32
            Of the extraction box, image pixels.
        date : float
            EXPSTART, MJD.
        pixels : PixelGrid
            Where the image lies on the detector.
        """
        gross, background, net = sums.gross, sums.background, sums.net
        width, signal = float(box_height), gross > 0
        electrons = exposed.gain / exposed.combined
        total = (gross.astype(np.float64) * exposed.exptime + exposed.dark * width) * electrons + self.spurious * width
        level = (background.astype(np.float64) * exposed.exptime / width + exposed.dark) * electrons + self.spurious
        with np.errstate(all="ignore"):  # columns without signal are not used
            loss = self.norm * total ** (-self.signal_power)
            loss = loss * (1.0 + self.per_year * (date - self.ref_date) / DAYS_PER_YEAR)
            filled = (level + self._halo(net, observed, exposed)) / total
            shield = np.exp(self.background_factor * filled**self.background_power)
            loss = np.where(level > 0, loss * shield, loss)
            transfers = FULL_ROWS - (row.astype(np.float64) - pixels.zero[1]) / pixels.ltm[1]
            factor = (1.0 / (1.0 - loss) ** transfers).astype(np.float32)
            return (
                np.where(signal, gross * factor - background, net),
                np.where(signal, 0, DQ_NO_CTE).astype(np.int16),
            )

    def _halo(self, net: Floats, observed: Vector, exposed: Exposed) -> Vector:
        """Return electrons that the halo of the spectrum adds to the background of a pixel."""
        if self.halo is None:
            return np.zeros_like(observed)
        share = (self.halo.resampled(observed).values - 1.0) / 2.0 - self.halo_threshold
        electrons = share * net * (exposed.gain * exposed.exptime / exposed.combined)
        return np.where(electrons < 0, 0.0, electrons * self.halo_factor)


def read_empirical_cte(
    references: HeaderReferences, mode: Mode, aperture: str, trailer: Trailer
) -> EmpiricalCte | None:
    """Return the first row of the CCDTAB for the readout; None, and say so, if the table has no such columns.

    Raises
    ------
    ReferenceFileError
        No table, no row, or a cell that makes no sense.
    """
    table = references.table("CCDTAB")
    missing = [name for name in COLUMNS if not table.has(name)]
    if missing:
        trailer.say(f"CTECORR not done: CCDTAB {table.path.name} has no column {', '.join(missing)}")
        return None
    cards = references.cards
    keys = ("CCDGAIN", "CCDOFFST", "BINAXIS1", "BINAXIS2")
    row = table.row(CCDAMP=cards.text("CCDAMP", default=""), **{name: cards.whole(name, default=1) for name in keys})
    names = ("ATODGAIN", *COLUMNS, *HALO_COLUMNS)
    cells = [float(np.float32(table.number(name, row))) if table.has(name) else 0.0 for name in names]
    halo = None
    if mode.opt_elem in HALO_GRATINGS:
        halo = read_height_factor(references, mode, aperture, trailer, height=HALO_HEIGHT, nearest=True)
    gain, norm, signal, factor, power, date, year, spurious, halo_factor, threshold = cells
    return EmpiricalCte(
        gain=gain,
        norm=norm,
        signal_power=signal,
        background_factor=factor,
        background_power=power,
        ref_date=date,
        per_year=year,
        spurious=spurious,
        halo_factor=halo_factor,
        halo_threshold=threshold,
        halo=halo,
        history=description(references, "CCDTAB", table, row),
    )
