"""Images and rectified spectra drawn side by side, on one scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from matplotlib.axes import Axes
from matplotlib.colors import FuncNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gpucti.calibration.switches import switch
from gpucti.detector import DQ_SERIOUS
from gpucti.errors import InputError
from gpucti.io.exposure import Exposure, ImageSet
from gpucti.plots.style import INK, common_title, file_label, plain, power_of_ten, text_of, tidy, unit_text

Range = tuple[float, float] | None
Image = npt.NDArray[np.float64]

MAX_PANELS = 12
#: Inches of the long side of a panel, of what each panel needs for its labels, and of the scale and the title.
PANEL, LABELS, AROUND = 6.0, (0.85, 0.85), (1.2, 0.4)
MAX_INCHES = 16.0
#: Share of the pixels that is darker than the brightest colour.
BRIGHT = 0.998
#: Pixels that are looked at for the scale, about.
SAMPLE = 1_000_000
#: Distance of two ticks of the scale, as a share of its length.
TICKS_APART = 0.07
FLAG_COLOUR, NOTHING = "#00c2c7", "#d9d9d9"


@dataclass(frozen=True, eq=False)
class Panel:
    """One image set to draw.

    Attributes
    ----------
    exposure : Exposure
        The file.
    number : int
        Of the image set, from 1.
    """

    exposure: Exposure
    number: int

    @property
    def imset(self) -> ImageSet:
        """The image set."""
        return self.exposure.imsets[self.number - 1]

    @property
    def header(self) -> fits.Header:
        """The header of SCI."""
        return self.imset.headers[0]

    @property
    def unit(self) -> str:
        """BUNIT."""
        return text_of(self.header, "BUNIT")

    @property
    def image(self) -> Image:
        """SCI; NaN where a rectified image has no pixels of the detector."""
        sci = self.imset.sci.astype(np.float64)
        return np.where((sci == 0) & (self.imset.err == 0), np.nan, sci) if self.rectified else sci

    @property
    def rectified(self) -> bool:
        """Whether this is a rectified spectrum: wavelengths along the rows."""
        return text_of(self.exposure.primary, "OBSTYPE") == "SPECTROSCOPIC" and (
            switch(self.exposure, "X2DCORR") == "COMPLETE"
        )

    def edges(self) -> tuple[float, float, float, float]:
        """Return left, right, lower and upper edge: Angstrom and arcseconds if rectified, else pixels from 1."""
        rows, cols = self.exposure.shape
        if not self.rectified:
            return 0.5, cols + 0.5, 0.5, rows + 0.5
        cards = self.exposure.sci_cards[self.number - 1]
        crpix, value, step = zip(
            *(
                tuple(float(cards.number(name)) for name in names)
                for names in (("CRPIX1", "CRVAL1", "CD1_1"), ("CRPIX2", "CRVAL2", "CD2_2"))
            ),
            strict=True,
        )
        if not (step[0] > 0 and step[1] > 0):
            raise cards.wrong(
                f"CD1_1, CD2_2 are {step[0]:g}, {step[1]:g}; expected Angstrom and degrees per pixel, above 0"
            )
        left, right = (value[0] + (edge - crpix[0]) * step[0] for edge in (0.5, cols + 0.5))
        lower, upper = ((edge - crpix[1]) * step[1] * 3600.0 for edge in (0.5, rows + 0.5))
        return left, right, lower, upper


def draw_images(figure: Figure, panels: Sequence[Panel], xrange: Range, yrange: Range, *, flags: bool) -> None:
    """Draw image sets into an empty figure, those of one unit on one scale.

    Parameters
    ----------
    figure : Figure
        Its size is set.
    panels : sequence of Panel
        What to draw.
    xrange, yrange : (low, high), optional
        Parts to show, in the units of the axes.
    flags : bool
        Mark pixels with bits of SDQFLAGS.

    Raises
    ------
    InputError
        Too many panels, a keyword that makes no sense, or nothing in the range.
    """
    if len(panels) > MAX_PANELS:
        raise InputError(f"{len(panels)} image sets do not fit into one picture; expected at most {MAX_PANELS}, choose")
    edges = [panel.edges() for panel in panels]
    cuts = [_cut(panel, edge, xrange, yrange) for panel, edge in zip(panels, edges, strict=True)]
    columns = math.ceil(math.sqrt(len(panels)))
    rows = math.ceil(len(panels) / columns)
    first = panels[0].imset.sci[cuts[0]].shape
    _size(figure, rows, columns, 1.0 if panels[0].rectified else first[1] / first[0])
    figure.set_layout_engine("constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    images = [panel.image for panel in panels]
    norms: dict[str, tuple[FuncNorm, int]] = {}
    drawn: dict[str, list[Axes]] = {}
    pictures = {}
    for panel, place, edge, image in zip(panels, axes, edges, images, strict=False):
        if panel.unit not in norms:
            shown = [i[c].ravel() for p, i, c in zip(panels, images, cuts, strict=True) if p.unit == panel.unit]
            norms[panel.unit] = _norm(np.concatenate(shown))
        norm, exponent = norms[panel.unit]
        place.set_facecolor(NOTHING)
        pictures[panel.unit] = place.imshow(
            image * 10.0**-exponent,
            norm=norm,
            extent=edge,
            origin="lower",
            cmap="magma",
            aspect="auto" if panel.rectified else "equal",
            interpolation="auto",
        )
        drawn.setdefault(panel.unit, []).append(place)
        if flags:
            _mark(place, panel, edge)
        _dress(place, panel, [p.exposure.path for p in panels], alone=len(panels) == 1)
        place.set_xlim(xrange or edge[:2])
        place.set_ylim(yrange or edge[2:])
    for place in axes[len(panels) :]:
        place.set_visible(False)
    for unit, places in drawn.items():
        norm, exponent = norms[unit]
        bar = figure.colorbar(pictures[unit], ax=places, pad=0.015, aspect=34, extend="both", extendfrac=0.025)
        ticks = _ticks(norm)
        bar.set_ticks(ticks, labels=[f"{value:g}".replace("-", "−") for value in ticks])
        bar.ax.minorticks_off()
        bar.set_label(f"signal{unit_text(unit, exponent)}", color=INK)
        bar.outline.set_visible(False)
        tidy(bar.ax)
    figure.suptitle(common_title(panel.exposure.primary for panel in panels), fontsize=11, color=INK)


def _cut(panel: Panel, edge: tuple[float, float, float, float], xrange: Range, yrange: Range) -> tuple[slice, slice]:
    """Return the part of the image that is shown."""
    rows, cols = panel.exposure.shape
    x = _pixels(edge[:2], cols, xrange)
    y = _pixels(edge[2:], rows, yrange)
    if x.start >= x.stop or y.start >= y.stop:
        raise InputError(
            f"nothing lies in the range; x runs from {edge[0]:g} to {edge[1]:g}, y from {edge[2]:g} to {edge[3]:g}",
            where=panel.exposure.path,
        )
    return y, x


def _pixels(edges: tuple[float, float], size: int, wanted: Range) -> slice:
    if wanted is None:
        return slice(0, size)
    step = (edges[1] - edges[0]) / size
    low, high = ((limit - edges[0]) / step for limit in wanted)
    return slice(max(math.floor(min(max(low, 0), size)), 0), math.ceil(min(max(high, 0), size)))


def _size(figure: Figure, rows: int, columns: int, ratio: float) -> None:
    """Set the size of a figure for panels of this ratio of width to height."""
    ratio = min(max(ratio, 1 / 3), 3.0)
    width, height = PANEL * min(ratio, 1.0), PANEL / max(ratio, 1.0)
    space = [MAX_INCHES - around - n * label for around, n, label in zip(AROUND, (columns, rows), LABELS, strict=True)]
    shrink = min(1.0, space[0] / (width * columns), space[1] / (height * rows))
    figure.set_size_inches(
        columns * (width * shrink + LABELS[0]) + AROUND[0], rows * (height * shrink + LABELS[1]) + AROUND[1]
    )


def _norm(values: Image) -> tuple[FuncNorm, int]:
    """Return a scale on which the noise and the brightest pixels can be seen, and its power of ten."""
    values = values[np.isfinite(values)]
    values = values[:: len(values) // SAMPLE + 1]
    if not len(values):
        return _asinh_norm(0.0, 1.0, 0.0, 1.0), 0
    middle = float(np.median(values))
    noise = 1.4826 * float(np.median(np.abs(values - middle)))
    top = float(np.quantile(values, BRIGHT))
    noise = noise or (top - middle) / 10 or abs(middle) * 1e-3 or 1.0
    low, high = middle - 2.5 * noise, max(top, middle + 8 * noise)
    exponent = power_of_ten(np.array([low, high]))
    scale = 10.0**-exponent
    return _asinh_norm(middle * scale, 2.0 * noise * scale, low * scale, high * scale), exponent


def _asinh_norm(middle: float, width: float, low: float, high: float) -> FuncNorm:
    """Return a scale that is linear within `width` of `middle` and logarithmic far from it."""

    def forward(values: Any) -> Any:
        return np.arcsinh((values - middle) / width)

    def backward(places: Any) -> Any:
        return middle + width * np.sinh(places)

    return FuncNorm((forward, backward), vmin=low, vmax=high)


def _ticks(norm: FuncNorm) -> list[float]:
    """Return values that lie apart on the scale, the roundest first: zero, powers of ten."""
    low, high = norm.vmin or 0.0, norm.vmax or 0.0
    top = max(abs(low), abs(high))
    powers = [10.0**k for k in range(math.floor(math.log10(top)), math.floor(math.log10(top)) - 6, -1)]
    round_values = [digit * power for digits in ((1,), (5, 2)) for power in powers for digit in digits]
    ticks: list[float] = []
    places: list[float] = []
    others = MaxNLocator(8).tick_values(low, high)
    for value in [0.0, *(sign * value for value in round_values for sign in (1, -1)), *map(float, others)]:
        place = float(norm(value))
        if low <= value <= high and all(abs(place - other) > TICKS_APART for other in places):
            ticks.append(value)
            places.append(place)
    return sorted(ticks)


def _mark(axes: Axes, panel: Panel, edge: tuple[float, float, float, float]) -> None:
    """Draw flagged pixels over an image."""
    serious = panel.exposure.sci_cards[panel.number - 1].whole("SDQFLAGS", default=DQ_SERIOUS)
    flagged = (panel.imset.dq.astype(np.int64) & serious) != 0
    axes.imshow(
        np.ma.masked_equal(flagged.astype(np.uint8), 0),
        extent=edge,
        origin="lower",
        cmap=ListedColormap([FLAG_COLOUR]),
        aspect="auto" if panel.rectified else "equal",
        interpolation="nearest",
        alpha=0.8,
    )


def _dress(axes: Axes, panel: Panel, paths: Sequence[Path], *, alone: bool) -> None:
    """Name the axes and the image."""
    if panel.rectified:
        axes.set_xlabel(r"wavelength [$\mathrm{\AA}$]")
        axes.set_ylabel("along the slit [arcsec]")
    else:
        axes.set_xlabel("column [pixel]")
        axes.set_ylabel("row [pixel]")
    name = file_label(panel.exposure.path, paths)
    if panel.exposure.n_imsets > 1:
        name += f" [{panel.number} of {panel.exposure.n_imsets}]"
    if panel.exposure.switch("PCTECORR") == "COMPLETE":
        name += ", CTI-corrected"
    axes.set_title(name, loc="left", fontsize=10, color=INK)
    amp = text_of(panel.exposure.primary, "CCDAMP")
    if amp in ("A", "B", "C", "D"):
        side = "top" if amp in "CD" else "bottom"
        axes.set_title(plain(f"read out at the {side}"), loc="right", fontsize=8.5, color="#6b6b6b")
    tidy(axes)
