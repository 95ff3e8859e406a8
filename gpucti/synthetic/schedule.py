"""What is observed when: the exposures of a visit, annealing periods, weeks, component darks, and their names."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from gpucti.detector import MJD_ZERO
from gpucti.errors import InputError
from gpucti.synthetic.instrument import A2CENTER, GRATINGS, SIZE, SLITS, grating

#: Days of an annealing period, and of a week in it.
PERIOD_DAYS, WEEK_DAYS = 28, 7
#: Seconds of a component dark, and between the exposures of one file.
DARK_SECONDS, PAUSE = 1100.0, 60.0
#: Seconds of a wavecal, and between the science exposure and it.
WAVECAL_SECONDS, WAVECAL_PAUSE = 12.0, 40.0
#: CCD images and spectra of the electronics that has a housing thermometer; the released PCTETAB ends in 2028.
FIRST_MJD, LAST_MJD = 54952.0, 61900.0
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
_SOURCES = ("star", "nebula", "both")


@dataclass(frozen=True)
class Observation:
    """One science exposure, as asked for.

    Attributes
    ----------
    opt_elem : str
        MIRVIS for an image, or a grating: G230LB, G230MB, G430L, G430M, G750L, G750M.
    cenwave : int, optional
        Central wavelength of a spectrum, Angstrom, anywhere in the grating's range; None: its usual one.
    aperture : str
        Slit of a spectrum: 52X0.05, 52X0.1, 52X0.2, 52X0.5, 52X2. Images take 50CCD.
    n_imsets : int
        1, or the exposures of a CR-split.
    exptime : float
        Seconds of each.
    gain : {1, 4}
        CCDGAIN.
    period, week : int, optional
        When, counted from 1. None: exposures are spread over the periods, in the second week if there is one.
    source : {"star", "nebula", "both"}
        What a spectrum shows: a point source, lines and continuum that fill the slit unevenly, or both.
    electrons : float
        Brightness of a spectrum: electrons per column and exposure of the star's continuum where the grating sees best,
        electrons per pixel of the nebula's brightest line at its brightest place.
    row : float
        Row of the star at the middle column, counted from 0; 310 to 710 keeps both background boxes on the chip.
    shift : (float, float)
        By how many pixels (x, y) spectrum and wavecal lie off their nominal places.
    n_stars, faintest, brightest : int, float, float
        Stars of an image, and the limits of their fluxes in electrons per exposure.
    """

    opt_elem: str = "MIRVIS"
    cenwave: int | None = None
    aperture: str = "52X0.2"
    n_imsets: int = 2
    exptime: float = 400.0
    gain: int = 1
    period: int | None = None
    week: int | None = None
    source: str = "star"
    electrons: float = 300.0
    row: float = 330.0
    shift: tuple[float, float] = (1.7, -2.3)
    n_stars: int = 350
    faintest: float = 120.0
    brightest: float = 40_000.0

    def __post_init__(self) -> None:
        """Check every field."""
        if not self.is_image:
            mode = grating(self.opt_elem)
            wave = self.cenwave if self.cenwave is not None else mode.cenwave
            if isinstance(wave, bool) or not isinstance(wave, int) or not mode.shortest <= wave <= mode.longest:
                raise InputError(
                    f"cenwave of {self.opt_elem} is {wave!r}; expected whole Angstroms, {mode.shortest:.0f} to "
                    f"{mode.longest:.0f}"
                )
            object.__setattr__(self, "cenwave", wave)
            if self.aperture not in SLITS:
                raise InputError(f"aperture is {self.aperture!r}; expected one of {', '.join(SLITS)}")
        if self.gain not in (1, 4):
            raise InputError(f"gain is {self.gain!r}; expected 1 or 4")
        if self.source not in _SOURCES:
            raise InputError(f"source is {self.source!r}; expected one of {', '.join(_SOURCES)}")
        whole("n_imsets", self.n_imsets, 1, len(_LETTERS) - 10)
        whole("n_stars", self.n_stars, 1, 5000)
        for name, low, high in (("exptime", 0.1, 5000.0), ("electrons", 0.0, 60_000.0), ("row", 0.0, SIZE - 1.0)):
            _within(name, getattr(self, name), low, high)
        if not 0 < self.faintest < self.brightest <= 1e6:
            raise InputError(
                f"faintest, brightest are {self.faintest!r}, {self.brightest!r}; expected 0 < f < b <= 1e6"
            )
        if len(self.shift) != 2:
            raise InputError(f"shift is {self.shift!r}; expected (x, y) in pixels")
        for value in self.shift:
            _within("shift", value, -20.0, 20.0)

    @property
    def is_image(self) -> bool:
        """Tell an image from a spectrum."""
        return self.opt_elem == "MIRVIS"

    @property
    def title(self) -> str:
        """Optical element, setting and aperture in a few words."""
        return "MIRVIS 50CCD" if self.is_image else f"{self.opt_elem} {self.cenwave} {self.aperture}"

    @property
    def slit_centre(self) -> float:
        """Row of the slit's reference point, counted from 0, without shift."""
        return A2CENTER - 1.0


@dataclass(frozen=True)
class Planned:
    """One science exposure with its names and times.

    Attributes
    ----------
    what : Observation
        What is observed; `period` and `week` are numbers.
    root : str
        ROOTNAME.
    starts : tuple of float
        Start of each imset, MJD.
    darkfile : str
        Name of the weekly super-dark of the reference folder.
    """

    what: Observation
    root: str
    starts: tuple[float, ...]
    darkfile: str

    @property
    def expnames(self) -> tuple[str, ...]:
        """EXPNAME of each imset."""
        return tuple(f"{self.root[:6]}{_LETTERS[k]}sq" for k in range(self.what.n_imsets))

    @property
    def wavecal_start(self) -> float:
        """Start of the wavecal, MJD."""
        return seconds_later(self.starts[-1], self.what.exptime + WAVECAL_PAUSE)


@dataclass(frozen=True)
class PlannedDark:
    """One component dark: its name, when it starts (MJD), its week, and the super-dark its header names."""

    root: str
    start: float
    period: int
    week: int
    darkfile: str


@dataclass(frozen=True)
class Schedule:
    """A whole visit: exposures, darks, and the starts (MJD) of the annealing periods, the next one's included."""

    science: tuple[Planned, ...]
    darks: tuple[PlannedDark, ...]
    anneals: tuple[float, ...]

    @classmethod
    def make(
        cls,
        exposures: Sequence[str | Observation],
        *,
        mjd: float,
        weeks: int | None,
        darks_per_week: int | Sequence[int],
        periods: int,
        gain: int | None,
    ) -> Schedule:
        """Lay out a visit; the arguments are those of `gpucti.simulate_visit`."""
        counts = _counts(weeks, darks_per_week)
        whole("periods", periods, 1, 9)
        length = max(PERIOD_DAYS, WEEK_DAYS * len(counts))
        _within("mjd", mjd, FIRST_MJD, LAST_MJD - periods * length)
        anneals = tuple(seconds_later(mjd, 86400.0 * length * k) for k in range(periods + 1))
        darks = tuple(
            PlannedDark(
                f"ogd{period}{week:02d}{k:02d}q",
                seconds_later(anneals[period - 1], 86400.0 * (WEEK_DAYS * (week - 1) + _dark_day(k, n))),
                period,
                week,
                superdark_name(period, week),
            )
            for period in range(1, periods + 1)
            for week, n in enumerate(counts, start=1)
            for k in range(n)
        )
        if isinstance(exposures, (str, Observation)):
            exposures = (exposures,)
        wanted = [_observation(exposure, gain) for exposure in exposures]
        whole("number of exposures", len(wanted), 1, 99)
        science = []
        for k, what in enumerate(wanted):
            period = whole("period", 1 + k * periods // len(wanted) if what.period is None else what.period, 1, periods)
            week = whole("week", min(2, len(counts)) if what.week is None else what.week, 1, len(counts))
            day = WEEK_DAYS * (week - 1) + 3.05 + 0.15 * k % 1.5
            first = seconds_later(anneals[period - 1], 86400.0 * day)
            starts = tuple(seconds_later(first, i * (what.exptime + PAUSE)) for i in range(what.n_imsets))
            placed = replace(what, period=period, week=week)
            science.append(Planned(placed, f"ogv1{k + 1:02d}010", starts, superdark_name(period, week)))
        return cls(tuple(science), darks, anneals)


def superdark_name(period: int, week: int) -> str:
    """Return the name of a week's super-dark in the reference folder."""
    return f"sim_p{period}w{week}_drk.fits"


def _dark_day(k: int, n: int) -> float:
    """Return the day of dark k of n in its week: spread over the middle five, one alone in the middle."""
    return 1.1 + 4.8 * (k + 0.5) / n


def _observation(exposure: str | Observation, gain: int | None) -> Observation:
    """Return what a word stands for: ``image``, ``spectrum``, a grating, or a grating and a wavelength."""
    if isinstance(exposure, Observation):
        return exposure
    words = str(exposure).split()
    chosen: dict[str, Any] = {} if gain is None else {"gain": gain}
    if words == ["image"]:
        return Observation(**chosen)
    if words == ["spectrum"]:
        words = ["G430L"]
    if not words or words[0] not in GRATINGS or len(words) > 2 or (len(words) == 2 and not words[1].isdigit()):
        raise InputError(
            f"exposure is {exposure!r}; expected 'image', 'spectrum', a grating ({', '.join(GRATINGS)}), a grating "
            "and a wavelength ('G750M 6768'), or an Observation"
        )
    wave = int(words[1]) if len(words) == 2 else None
    return Observation(words[0], wave, exptime=700.0, **chosen)


def _counts(weeks: int | None, darks_per_week: int | Sequence[int]) -> tuple[int, ...]:
    """Return the number of darks of each week."""
    if isinstance(darks_per_week, (list, tuple)):
        counts = tuple(whole("darks_per_week", n, 1, 30) for n in darks_per_week)
        if weeks is not None and weeks != len(counts):
            raise InputError(
                f"weeks is {weeks}, darks_per_week has {len(counts)} numbers; expected as many, or no weeks"
            )
    else:
        n = whole("darks_per_week", darks_per_week, 1, 30)
        counts = (n,) * whole("weeks", 2 if weeks is None else weeks, 1, 9)
    whole("weeks", len(counts), 1, 9)
    return counts


def whole(name: str, value: Any, low: int, high: int) -> int:
    """Return a whole number between two limits, or raise `InputError`."""
    try:
        number = operator.index(value)
    except TypeError:
        number = low - 1
    if isinstance(value, bool) or not low <= number <= high:
        raise InputError(f"{name} is {value!r}; expected a whole number, {low} to {high}")
    return number


def _within(name: str, value: Any, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise InputError(f"{name} is {value!r}; expected a number, {low:g} to {high:g}")


def seconds_later(mjd: float, seconds: float) -> float:
    """Return a date so many seconds later, on a whole second."""
    return round(mjd * 86400.0 + seconds) / 86400.0


def instant(mjd: float) -> datetime:
    """Return the time (UTC) of a date, to the second."""
    return MJD_ZERO + timedelta(seconds=round(mjd * 86400.0))


def temperature(mjd: float) -> float:
    """Return the housing temperature at a date, deg C: a slow drift and a small swing over each orbit."""
    day, orbit = 2.0 * math.pi * mjd / 5.3, 2.0 * math.pi * mjd / 0.0662
    return 18.9 + 0.9 * math.sin(day) + 0.08 * math.sin(orbit)


def mean_temperature(start: float, seconds: float) -> float:
    """Return the mean temperature of an exposure, as a header gives it."""
    steps = 9
    return round(sum(temperature(start + seconds / 86400.0 * (k + 0.5) / steps) for k in range(steps)) / steps, 4)
