"""The PCTETAB reference table: read, check, write, and ask it for scales, options and traps.

The layout is that of STScI's released files (FILETYPE ``PIXCTE``): extensions DTDE, LEVELS, CTE_SCALE,
COL_SCALE and CHG_LEAK1.., numerical defaults in the primary header. All sizes come from the table.
"""

from __future__ import annotations

import hashlib
import io
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import InitVar, dataclass
from datetime import timedelta
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from gpucti.detector import AMPS, MJD_ZERO
from gpucti.errors import InputError, OutputExistsError, ReferenceFileError
from gpucti.io.atomic import ALLOW
from gpucti.io.fitsfile import write_hdus
from gpucti.io.fitstables import (
    DAMAGE,
    ascii_text,
    check_complete,
    column,
    extension,
    read_bytes,
    table_cards,
    table_hdu,
    whole_column,
)
from gpucti.model.pctetab_checks import check_table, check_version
from gpucti.model.traps import Floats, TrapTable
from gpucti.options import CorrectionArguments, CorrectionOptions, finite_number

_OPTION_KEYWORDS = {  # option: keyword, comment
    "sim_nit": ("SIM_NIT", "simulated readouts per column"),
    "shft_nit": ("SHFT_NIT", "passes over the column per readout"),
    "read_noise": ("RN_CLIP", "[electron] largest noise set aside"),
    "noise_model": ("NSEMODEL", "how read noise is set aside: 0, 1, 2"),
    "oversub_thresh": ("SUBTHRSH", "[electron] over-subtraction threshold"),
}
#: Days past the last epoch for which its profiles are taken; a later date is a mistake, a Julian Date perhaps.
LONGEST_HOLD = 10_000.0


@dataclass(frozen=True, eq=False)
class LeakEpoch:
    """One CHG_LEAK table: release profiles for dates ``start_mjd <= MJD < end_mjd``.

    Attributes
    ----------
    start_mjd, end_mjd : float
        Days.
    node : (N,) int
        Distance from the charge, pixels.
    profile : (N, C) float64
        Release per pixel at `node`, for charges of 10**1 ... 10**C electrons.
    """

    start_mjd: float
    end_mjd: float
    node: npt.NDArray[np.int64]
    profile: Floats


@dataclass(frozen=True, eq=False)
class Pctetab:
    """A PCTETAB in memory; make one with `Pctetab.read` or `Pctetab.default`.

    Attributes
    ----------
    name : str
        File name, without folder.
    version : str
        Header PCTE_VER.
    defaults : CorrectionOptions
        The options that the header proposes.
    q, dtde : (P,) int, (P,) float64
        Charge in electrons, and traps per electron there.
    levels : (L,) int
        Charge levels, electrons.
    scale_mjd, scale : (S,) float64
        Trap density with time; straight lines between the points.
    col_scale : mapping of amplifier to (columns,) float64
        Trap density per column, columns counted as in the file.
    epochs : tuple of LeakEpoch
        Release profiles.
    notes : mapping
        USEAFTER, PEDIGREE and DESCRIP of the file, as they are.
    """

    name: str
    version: str
    defaults: CorrectionOptions
    q: npt.NDArray[np.int64]
    dtde: Floats
    levels: npt.NDArray[np.int64]
    scale_mjd: Floats
    scale: Floats
    col_scale: Mapping[str, Floats]
    epochs: tuple[LeakEpoch, ...]
    notes: Mapping[str, str]
    where: InitVar[str] = ""

    def __post_init__(self, where: str) -> None:
        """Raise `ReferenceFileError`, naming `where` (a path), unless the figures can be right."""
        check_table(self, where or self.name)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the trap tables out of a pickle; they are made again."""
        return {name: value for name, value in self.__dict__.items() if name != "_known_traps"}

    # ---- where tables come from -------------------------------------------------------------------

    @classmethod
    def read(cls, path: str | Path) -> Pctetab:
        """Read a PCTETAB file (plain or gzip-compressed).

        Raises
        ------
        ReferenceFileError
            Missing, not FITS, truncated, an extension, column or keyword absent, a version this code
            does not know, or figures that cannot be right; the message names the place.
        """
        path = Path(path)
        content = read_bytes(path)
        try:
            with fits.open(io.BytesIO(content), memmap=False) as hdus:
                check_complete(hdus, len(content), path)
                return cls._from_hdus(hdus, path)
        except ReferenceFileError:
            raise
        except InputError as error:  # an option in the header
            raise ReferenceFileError(error.reason, where=f"{path}[0]") from error
        except (*DAMAGE, ValueError) as error:
            raise ReferenceFileError(
                f"not a readable FITS file ({error}); expected a PCTETAB such as a02_stis_pcte.fits", where=path
            ) from error

    @classmethod
    def _from_hdus(cls, hdus: fits.HDUList, path: Path) -> Pctetab:
        option_keywords = [key for key, _ in _OPTION_KEYWORDS.values()]
        cards = table_cards(hdus[0].header, path, "PCTE_VER", *option_keywords, "NCHGLEAK")
        version = str(cards.value("PCTE_VER"))
        check_version(version, str(path))
        options = CorrectionOptions(**{name: cards.value(key) for name, (key, _) in _OPTION_KEYWORDS.items()})
        epochs = []
        for index in range(1, int(cards.number("NCHGLEAK")) + 1):
            leak = extension(hdus, f"CHG_LEAK{index}", path)
            dates = table_cards(leak.header, path, "MJD1", "MJD2")
            n_profiles = sum(name.upper().startswith("LOG_Q_") for name in leak.columns.names)
            profiles = [f"LOG_Q_{c + 1}" for c in range(n_profiles)]
            epochs.append(
                LeakEpoch(
                    start_mjd=float(dates.number("MJD1")),
                    end_mjd=float(dates.number("MJD2")),
                    node=whole_column(leak, "NODE", path),
                    profile=np.stack([column(leak, name, path) for name in profiles], axis=1)
                    if profiles
                    else np.empty((0, 0)),
                )
            )
        dtde, scale, columns = (extension(hdus, name, path) for name in ("DTDE", "CTE_SCALE", "COL_SCALE"))
        return cls(
            name=path.name.removesuffix(".gz"),
            version=version,
            defaults=options,
            q=whole_column(dtde, "Q", path),
            dtde=column(dtde, "DTDE", path),
            levels=whole_column(extension(hdus, "LEVELS", path), "LEVEL", path),
            scale_mjd=column(scale, "MJD", path),
            scale=column(scale, "SCALE", path),
            col_scale={amp: column(columns, f"AMP{amp}", path) for amp in AMPS},
            epochs=tuple(epochs),
            notes={key: str(cards.header.get(key, "")) for key in ("USEAFTER", "PEDIGREE", "DESCRIP")},
            where=str(path),
        )

    @classmethod
    def default(cls) -> Pctetab:
        """Return the table that travels with gpucti: the figures of STScI's a02_stis_pcte.fits (PCTE_VER 0.2)."""
        return _packaged()

    def write(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the table as a FITS file that stis_cti reads as well; return its path.

        Raises
        ------
        OutputExistsError
            The file exists and `overwrite` is False.
        """
        path = Path(path)
        if path.exists() and not overwrite:
            raise OutputExistsError(f"{path} exists; choose another name, or {ALLOW}")
        if not path.parent.is_dir():
            raise InputError(f"the folder {path.parent} does not exist; make it first", where=path)
        hdus: list[Any] = [fits.PrimaryHDU(header=self._header(path.name))]
        hdus.append(table_hdu("DTDE", {"DTDE": (self.dtde, "E"), "Q": (self.q, "J")}))
        hdus.append(table_hdu("LEVELS", {"LEVEL": (self.levels, "J")}))
        hdus.append(table_hdu("CTE_SCALE", {"MJD": (self.scale_mjd, "E"), "SCALE": (self.scale, "E")}))
        columns: dict[str, tuple[npt.NDArray[Any], str]] = {"COLUMN": (np.arange(self.n_columns), "J")}
        columns |= {f"AMP{amp}": (self.col_scale[amp], "E") for amp in AMPS}
        hdus.append(table_hdu("COL_SCALE", columns))
        for index, epoch in enumerate(self.epochs, start=1):
            profiles = {f"LOG_Q_{c + 1}": (epoch.profile[:, c], "E") for c in range(epoch.profile.shape[1])}
            leak = table_hdu(f"CHG_LEAK{index}", {"NODE": (epoch.node, "I")} | profiles)
            leak.header["MJD1"] = (epoch.start_mjd, "valid from this date")
            leak.header["MJD2"] = (epoch.end_mjd, "valid before this date")
            hdus.append(leak)
        return write_hdus(hdus, path, overwrite=overwrite)

    def _header(self, filename: str) -> fits.Header:
        header = fits.Header()
        header["FILENAME"] = ascii_text(filename)
        header["FILETYPE"] = "PIXCTE"
        header["TELESCOP"], header["INSTRUME"], header["DETECTOR"] = "HST", "STIS", "CCD"
        for key, text in self.notes.items():
            header[key] = ascii_text(text)
        header["NCHGLEAK"] = (len(self.epochs), "number of CHG_LEAK extensions")
        for name, (key, comment) in _OPTION_KEYWORDS.items():
            header[key] = (getattr(self.defaults, name), comment)
        header["PCTE_VER"] = (self.version, "version of the table")
        header.add_history(f"Figures of {self.name}, written by gpucti.")
        return header

    # ---- what a correction asks of it -------------------------------------------------------------

    def options(self, **overrides: Unpack[CorrectionArguments]) -> CorrectionOptions:
        """Return the header's options with `overrides` put in their place (``None`` keeps the header's)."""
        return self.defaults.override(**overrides)

    def time_scale(self, mjd: float) -> float:
        """Return the trap density at a date relative to the reference date (stis_cti ``CalcCteFrac``).

        Past the last point of CTE_SCALE the last straight line is carried on.

        Raises
        ------
        InputError
            `mjd` is not a finite number.
        ReferenceFileError
            `mjd` lies before the first point, or the line carried on gives a negative density.
        """
        mjd = _finite_date(mjd)
        if mjd < self.scale_mjd[0]:
            raise ReferenceFileError(
                f"CTE_SCALE begins at MJD {self.scale_mjd[0]:g}; no trap density for MJD {mjd:g}", where=self.name
            )
        low = min(int(np.searchsorted(self.scale_mjd, mjd, side="right")) - 1, len(self.scale) - 2)
        slope = (self.scale[low + 1] - self.scale[low]) / (self.scale_mjd[low + 1] - self.scale_mjd[low])
        scale = float(slope * (mjd - self.scale_mjd[low]) + self.scale[low])
        if scale < 0:
            raise ReferenceFileError(f"CTE_SCALE gives a negative trap density at MJD {mjd:g}", where=self.name)
        return scale

    def epoch(self, mjd: float) -> LeakEpoch:
        """Return the release profiles valid at a date; those of the last epoch also after it (`holds_last_epoch`).

        Raises
        ------
        ReferenceFileError
            The date lies before all epochs, between two, or too long after the last; the message lists them.
        """
        mjd = _finite_date(mjd)
        for epoch in self.epochs:
            if epoch.start_mjd <= mjd < epoch.end_mjd:
                return epoch
        if self.holds_last_epoch(mjd):
            return self.last_epoch
        have = ", ".join(f"{e.start_mjd:.1f} to {e.end_mjd:.1f}" for e in self.epochs)
        raise ReferenceFileError(
            f"no CHG_LEAK epoch covers MJD {mjd:g} (have {have}); use a newer PCTETAB, or check the date",
            where=self.name,
        )

    def traps(self, mjd: float, shft_nit: int | None = None) -> TrapTable:
        """Return the trap table of a date, for `shft_nit` passes per readout (the header's by default)."""
        return self.traps_of(self.epoch(mjd), self.defaults.shft_nit if shft_nit is None else shft_nit)

    def traps_of(self, epoch: LeakEpoch, shft_nit: int) -> TrapTable:
        """Return the trap table of one epoch; made once for each number of passes."""
        shft_nit = self.defaults.override(shft_nit=shft_nit).shft_nit  # checked
        known = self._known_traps.get((epoch, shft_nit))
        if known is None:
            known = TrapTable.build(self.levels, self.q, self.dtde, epoch.node, epoch.profile, shft_nit)
            self._known_traps[epoch, shft_nit] = known
        return known

    @cached_property
    def _known_traps(self) -> dict[tuple[LeakEpoch, int], TrapTable]:
        return {}

    @property
    def n_columns(self) -> int:
        """Columns that COL_SCALE covers."""
        return len(self.col_scale["A"])

    @property
    def last_epoch(self) -> LeakEpoch:
        """The epoch that ends last."""
        return max(self.epochs, key=lambda epoch: epoch.end_mjd)

    def holds_last_epoch(self, mjd: float) -> bool:
        """Tell whether a date lies past all epochs, but not so far that it must be a mistake."""
        return 0 <= mjd - self.last_epoch.end_mjd < LONGEST_HOLD

    @property
    def last_scale_mjd(self) -> float:
        """Date of the last CTE_SCALE point; later scales are extrapolated."""
        return float(self.scale_mjd[-1])

    def extrapolates(self, mjd: float) -> bool:
        """Tell whether the trap density of a date is extrapolated; `gpucti.model.doubts` says so in words."""
        return mjd > self.last_scale_mjd

    @property
    def reference_mjd(self) -> float:
        """Return the date at which the trap density is 1.

        Raises
        ------
        ReferenceFileError
            The density never is 1.
        """
        for low in range(len(self.scale) - 1):
            (t0, t1), (s0, s1) = self.scale_mjd[low : low + 2], self.scale[low : low + 2]
            if s0 != s1 and (min(s0, s1) <= 1 <= max(s0, s1) or low == len(self.scale) - 2):
                mjd = float(t0 + (1.0 - s0) * (t1 - t0) / (s1 - s0))
                if mjd >= t0:
                    return mjd
        raise ReferenceFileError("the trap density is 1 at no date; give the date (mjd)", where=self.name)

    @cached_property
    def sha256(self) -> str:
        """Digest of every figure that a correction can depend on, in hexadecimal."""
        digest = hashlib.sha256(repr((self.version, self.defaults)).encode())
        arrays: list[Any] = [self.q, self.dtde, self.levels, self.scale_mjd, self.scale]
        arrays += [self.col_scale[amp] for amp in AMPS]
        for epoch in self.epochs:
            arrays += [np.array([epoch.start_mjd, epoch.end_mjd]), epoch.node, epoch.profile]
        for array in arrays:
            digest.update(repr((array.shape, array.dtype.kind)).encode() + array.astype("<f8").tobytes())
        return digest.hexdigest()

    def describe(self) -> str:
        """Return a few lines of text: version, validity, options, sizes."""
        spans = [
            f"{_iso(e.start_mjd)} to {_iso(e.end_mjd)} (MJD {e.start_mjd:g} to {e.end_mjd:g})" for e in self.epochs
        ]
        lines = [
            f"{self.name}, PCTE_VER {self.version}",
            f"  {self.notes.get('DESCRIP', '').rstrip(' -')}; {self.notes.get('PEDIGREE', '')}",
            f"  release profiles   {'; '.join(spans)}",
            "  trap density       "
            + ", ".join(f"{s:.4g} on {_iso(t)} (MJD {t:g})" for t, s in zip(self.scale_mjd, self.scale, strict=True))
            + "; extrapolated after the last",
            f"  sizes              {len(self.levels)} charge levels to {self.levels[-1]} e-, "
            f"{len(self.q)} trap densities, {self.n_columns} columns",
        ]
        for name, (key, comment) in _OPTION_KEYWORDS.items():
            lines.append(f"  {key:<9}{getattr(self.defaults, name)!s:>9}   {comment}")
        lines.append(f"  sha256             {self.sha256}")
        return "\n".join(lines)


@cache
def _packaged() -> Pctetab:
    """Return the packaged table; always the same one, its arrays locked, so that its trap tables are made once."""
    text = (files("gpucti.data") / "pctetab_0.2.toml").read_text(encoding="utf-8")
    figures = tomllib.loads(text)
    columns = figures["col_scale"]
    table = Pctetab(
        name=figures["filename"],
        version=figures["pcte_ver"],
        defaults=CorrectionOptions(**{name: figures[key.lower()] for name, (key, _) in _OPTION_KEYWORDS.items()}),
        q=np.array(figures["dtde"]["q"], dtype=np.int64),
        dtde=_single(figures["dtde"]["dtde"]),
        levels=np.array(figures["levels"]["level"], dtype=np.int64),
        scale_mjd=_single(figures["cte_scale"]["mjd"]),
        scale=_single(figures["cte_scale"]["scale"]),
        col_scale={amp: np.full(columns["columns"], columns[f"amp{amp.lower()}"]) for amp in AMPS},
        epochs=tuple(
            LeakEpoch(
                start_mjd=leak["mjd1"],
                end_mjd=leak["mjd2"],
                node=np.array(leak["node"], dtype=np.int64),
                profile=np.stack([_single(leak[f"log_q_{c + 1}"]) for c in range(len(leak) - 3)], axis=1),
            )
            for leak in figures["chg_leak"]
        ),
        notes={key.upper(): figures[key] for key in ("useafter", "pedigree", "descrip")},
    )
    for array in (table.q, table.dtde, table.levels, table.scale_mjd, table.scale, *table.col_scale.values()):
        array.setflags(write=False)
    return table


def _finite_date(mjd: Any) -> float:
    return finite_number("mjd", mjd, what="a number, the Modified Julian Date of the exposure's start")


def _iso(mjd: float) -> str:
    """Return the calendar date on which a Modified Julian Date falls."""
    return (MJD_ZERO.date() + timedelta(days=math.floor(mjd))).isoformat()


def _single(values: Iterable[float]) -> Floats:
    """Round to the file's single precision, as reading the FITS column would."""
    return np.array(list(values), dtype=np.float32).astype(np.float64)
