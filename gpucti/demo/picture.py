"""The picture of the demonstration: cut-outs, and what was measured, without and with the correction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gpucti.demo.measure import BRIGHTNESS, FAR, DarkImage, HotPixels, Image, Pair, Spectrum, Stars
from gpucti.io.atomic import atomic_output

Floats = npt.NDArray[np.float64]

#: Size of the picture, inches and pixels per inch.
SIZE, DPI = (12.0, 8.8), 100
#: Told apart by all eyes, and in grey.
TRUTH, BEFORE, AFTER = "#1a1a1a", "#d55e00", "#0072b2"
NAMES = ("truth", "not corrected", "corrected")
STYLE = {
    "font.size": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11.0,
    "axes.titlelocation": "left",
    "axes.titlepad": 8.0,
    "legend.frameon": False,
}
#: Rows and columns of the cut-outs of sky and dark.
SKY_CUT, DARK_CUT = (250, 100), (125, 50)
#: First row of the cut-outs.
BOTTOM = 20
#: Electrons below which the stretch of the cut-outs is linear.
SOFTNESS = 20.0


def draw(
    path: Path, image: Image, dark: DarkImage, stars: Stars, spectrum: Spectrum, hot: HotPixels, *, when: str
) -> Path:
    """Draw everything into a PNG file; an existing one is replaced."""
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from PIL import Image as Pixels

    with style.context(["default", STYLE]):
        figure: Any = Figure(figsize=SIZE, dpi=DPI, layout=ConstrainedLayoutEngine(h_pad=0.08, w_pad=0.06))
        canvas: Any = FigureCanvasAgg(figure)
        figure.suptitle(
            "Simulated data: what trails take away, and what the correction puts back", x=0.012, ha="left", size=14.0,
            weight="bold",
        )  # fmt: skip
        figure.supxlabel(
            f"STIS CCD as of {when}, sources {FAR} rows and more from the amplifier. Truth without noise and cosmic "
            "rays. Bars: standard errors.", x=0.012, ha="left", size=9.0, color="#555555",
        )  # fmt: skip
        upper, lower = figure.subfigures(2, 1, height_ratios=[1.3, 1.0])
        left, right = upper.subfigures(1, 2)
        row, column = busiest(image)
        sky = float(np.median(image.truth))
        _cut_outs(
            left, [part - sky for part in image[:3]], SKY_CUT, (row, column),
            f"Stars above the sky, sum of {image.exposures} exposures", (-15.0, 1500.0),
        )  # fmt: skip
        _cut_outs(
            right, list(dark), DARK_CUT, (row, column), "Hot pixels of a dark",
            (-15.0, 1000.0),
        )  # fmt: skip
        axes = lower.subplots(1, 3)
        _draw_stars(axes[0], stars)
        _draw_spectrum(axes[1], spectrum)
        _draw_hot_pixels(axes[2], hot)
        canvas.draw()
    drawn = Pixels.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    with atomic_output(path, overwrite=True) as stream:  # 256 colours: a third of the size
        drawn.quantize(256, kmeans=1, dither=Pixels.Dither.NONE).save(stream, format="PNG", optimize=True)
    return path


def busiest(image: Image) -> tuple[int, int]:
    """Return first row and column of the cut-out far from the amplifier that has most stars, bright ones in its top."""
    row, best, place = BOTTOM, -1.0, 0
    x, y = image.stars["X"] - 1.0, image.stars["Y"] - 1.0
    weight = np.sqrt(np.minimum(image.stars["ELECTRONS"], 8000.0))
    weight = weight * ((y >= row + 0.4 * SKY_CUT[0]) & (y < row + SKY_CUT[0] - 5))
    for column in range(20, image.truth.shape[1] - SKY_CUT[1] - 20, 5):
        score = float(weight[(x >= column + 5) & (x < column + SKY_CUT[1] - 5)].sum())
        if score > best:
            best, place = score, column
    return row, place


def _cut_outs(
    figure: Any,
    images: list[Floats],
    size: tuple[int, int],
    place: tuple[int, int],
    title: str,
    limits: tuple[float, float],
) -> None:
    """Draw truth, before and after side by side, all with the same stretch; the amplifier lies above."""
    axes = figure.subplots(1, 3, sharey=True)
    part = np.s_[place[0] : place[0] + size[0], place[1] : place[1] + size[1]]
    extent = (place[1] + 0.5, place[1] + size[1] + 0.5, place[0] + 0.5, place[0] + size[0] + 0.5)
    low, high = stretch(limits)
    for ax, image, name, colour in zip(axes, images, NAMES, (TRUTH, BEFORE, AFTER), strict=True):
        shown = ax.imshow(
            stretch(image[part]), vmin=low, vmax=high, extent=extent, origin="lower", cmap="inferno",
            interpolation="nearest",
        )  # fmt: skip
        ax.set_title(name, color=colour, weight="bold", loc="center", pad=4.0)
        ax.spines[:].set_visible(False)
        ax.tick_params(length=2.0, labelsize=8.0)
        ax.locator_params(axis="x", nbins=3)
    axes[0].set_ylabel("row (amplifier at row 1024)", size=9.0)
    axes[1].set_xlabel("column", size=9.0)
    figure.suptitle(title, size=11.0, x=0.085, ha="left")
    bar = figure.colorbar(shown, cax=axes[-1].inset_axes([1.05, 0.0, 0.06, 1.0]))
    ticks = [0, 30, 100, 300, 1000]
    bar.set_ticks(list(stretch(ticks)), labels=[f"{tick:,}" for tick in ticks])
    bar.set_label("electrons", size=9.0, labelpad=0.0)
    bar.ax.tick_params(labelsize=8.0, length=2.0)
    bar.outline.set_visible(False)


def stretch(electrons: Any) -> Floats:
    """Return brightness in the cut-outs: linear below `SOFTNESS`, logarithmic above."""
    return np.arcsinh(np.asarray(electrons, dtype=np.float64) / SOFTNESS)


def _draw_stars(ax: Any, stars: Stars) -> None:
    """Draw flux over true flux against brightness."""
    ax.axhline(1.0, color=TRUTH, lw=1.2, zorder=1)
    for values, pairs, colour, name, shift in (
        (stars.before, [pair.before for pair in stars.bins], BEFORE, NAMES[1], 0.97),
        (stars.after, [pair.after for pair in stars.bins], AFTER, NAMES[2], 1.03),
    ):
        ax.plot(stars.electrons * shift, values, ".", color=colour, ms=3.0, alpha=0.35, mew=0, zorder=2)
        ax.errorbar(
            stars.middles * shift, [pair.value for pair in pairs], [pair.error for pair in pairs], fmt="o",
            color=colour, ms=7.0, capsize=3.0, lw=1.5, mec="white", mew=0.8, label=name, zorder=3,
        )  # fmt: skip
    ax.set_xscale("log")
    ax.set_xticks([100, 300, 1000, 3000, 10_000, 30_000], labels=["100", "300", "1,000", "3,000", "10,000", "30,000"])
    ax.minorticks_off()
    ax.set_ylim(0.2, 1.6)
    ax.set_xlabel("true flux (electrons per exposure)")
    ax.set_ylabel("measured flux / true flux")
    ax.set_title(
        f"Stars of {BRIGHTNESS[1]:,.0f} to {BRIGHTNESS[2]:,.0f} electrons:\n{_gain(stars.bins[1])} of the flux"
    )
    ax.legend(loc="lower right", handletextpad=0.2)


def _draw_spectrum(ax: Any, spectrum: Spectrum) -> None:
    """Draw flux against wavelength."""
    unit = 1e-16
    ax.step(spectrum.wavelength, spectrum.truth / unit, where="mid", color=TRUTH, lw=1.2, label="truth", zorder=1)
    for flux, error, colour, name in (
        (spectrum.before, spectrum.before_error, BEFORE, NAMES[1]),
        (spectrum.after, spectrum.after_error, AFTER, NAMES[2]),
    ):
        ax.errorbar(
            spectrum.wavelength, flux / unit, error / unit, fmt="o", color=colour, ms=4.5, lw=1.2, mec="white",
            mew=0.5, label=name, zorder=2,
        )  # fmt: skip
    ax.set_ylim(0.0, 1.25 * float(spectrum.truth.max()) / unit)
    ax.set_xlabel("wavelength (Å)")
    ax.set_ylabel("flux (10$^{-16}$ erg s$^{-1}$ cm$^{-2}$ Å$^{-1}$)")
    ax.set_title(f"Spectrum of a faint star, {spectrum.grating}:\n{_gain(spectrum.whole)} of the flux")
    ax.legend(loc="upper right", handletextpad=0.4)


def _draw_hot_pixels(ax: Any, hot: HotPixels) -> None:
    """Draw the mean trail."""
    behind = np.arange(1, hot.before.size)
    ax.axhline(0.0, color=TRUTH, lw=1.2, label="truth", zorder=1)
    ax.fill_between(behind, 100.0 * hot.before[1:], 0.0, color=BEFORE, alpha=0.15, lw=0, zorder=1)
    for profile, colour, name in ((hot.before, BEFORE, NAMES[1]), (hot.after, AFTER, NAMES[2])):
        ax.plot(behind, 100.0 * profile[1:], "o-", color=colour, ms=4.5, lw=1.5, mec="white", mew=0.5, label=name)
    ax.set_xticks([1, 5, 10, 15, 20])
    ax.set_xlabel("pixels behind the hot pixel")
    ax.set_ylabel("charge per pixel (% of hot pixel)")
    before, after = (100.0 * pair.value for pair in (hot.trail.before, hot.trail.after))
    ax.set_title(f"Trails of {hot.count:,} hot pixels:\n{before:.0f} % → {after:.1f} % of their charge")
    ax.legend(loc="upper right", handletextpad=0.4)


def _gain(pair: Pair) -> str:
    """Return a pair as ``81 % → 100 %``."""
    return f"{100.0 * pair.before.value:.0f} % → {100.0 * pair.after.value:.0f} %"
