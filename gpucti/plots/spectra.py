"""Extracted spectra drawn on top of each other, with the difference of two."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gpucti.errors import InputError
from gpucti.plots.extracted import Spectrum
from gpucti.plots.limits import padded, points_that_count
from gpucti.plots.style import (
    COLOURS,
    FAINT,
    INK,
    common_title,
    file_label,
    plain,
    power_of_ten,
    short_name,
    tidy,
    unit_text,
)

Vector = npt.NDArray[np.float64]
Range = tuple[float, float] | None

#: More curves than this cannot be told apart; all orders of an echelle spectrum are one.
MAX_CURVES = 14
SIZE, SIZE_OF_TWO = (10.0, 5.2), (10.0, 6.8)
WORDS = {"FLUX": "flux", "NET": "net counts", "GROSS": "gross counts", "BACKGROUND": "background"}
#: Height of the first row of marks and of the second above it; distance of more; room of two, as shares of the axes.
MARKS, MORE_MARKS, MARKS_ROOM = 0.022, 0.017, 0.06 / 1.06
#: Signal to noise from which on a ratio makes sense.
SURE = 3.0


class Curve(NamedTuple):
    """What is drawn in one colour: one spectrum, or all orders of an echelle spectrum."""

    orders: tuple[Spectrum, ...]
    x: list[Vector]
    colour: str
    style: Literal["-", ":"]


def draw_spectra(
    figure: Figure, spectra: Sequence[Spectrum], quantity: str, xrange: Range, yrange: Range, *, flags: bool
) -> None:
    """Draw spectra into an empty figure.

    Parameters
    ----------
    figure : Figure
        Its size is set.
    spectra : sequence of Spectrum
        Two are compared in a panel of their own.
    quantity : {"auto", "flux", "net", "gross", "background"}
        What is drawn; auto: the flux where all spectra have one, else the net counts.
    xrange, yrange : (low, high), optional
        Parts to show, in the units of the axes.
    flags : bool
        Mark flagged pixels below the spectra.

    Raises
    ------
    InputError
        Too many spectra, one without the column, different units, or nothing in the range.
    """
    name = _quantity(spectra, quantity)
    units = {spectrum.units[name] for spectrum in spectra}
    if len(units) > 1:
        raise InputError(f"{name} is in {' and in '.join(sorted(units))}; spectra in one picture need one unit")
    by_pixel = not all(_has_wavelengths(spectrum) for spectrum in spectra)
    curves = _curves(spectra, by_pixel=by_pixel)
    x = [places for curve in curves for places in curve.x]
    inside = [_inside(places, xrange) for places in x]
    if not any(part.any() for part in inside):
        low, high = min(places.min() for places in x), max(places.max() for places in x)
        raise InputError(
            f"nothing lies in the x range; it goes from {low:g} to {high:g} {'pixels' if by_pixel else 'Angstrom'}",
            where=spectra[0].path,
        )

    difference = _difference(x, spectra, name) if len(curves) == len(spectra) == 2 else None
    figure.set_size_inches(*(SIZE_OF_TWO if difference is not None else SIZE))
    figure.set_layout_engine("constrained")
    ratios = [3.2, 1.0] if difference is not None else [1.0]
    panels = figure.subplots(len(ratios), 1, sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
    limits = yrange or _limits(spectra, name, inside)
    exponent = power_of_ten(np.array(limits))
    scale = 10.0**-exponent
    flagged = [curve for curve in curves if flags and any(spectrum.flagged.any() for spectrum in curve.orders)]
    for curve in curves:
        _draw_curve(panels[0], curve, name, scale)
        _mark_beyond(panels[0], curve, name, limits[1])
    for row, curve in enumerate(flagged):
        _mark_flags(panels[0], curve, row)
    room = _marks_room(len(flagged)) if flags else 0.0
    _set_range(panels[0], limits, scale, room)
    _draw_legend(panels[0], curves, room if flagged else 0.0)
    panels[0].set_ylabel(f"{WORDS[name]}{unit_text(units.pop(), exponent)}")
    panels[0].set_title(common_title(s.primary for s in spectra), loc="left", fontsize=11, color=INK)
    if difference is not None:
        _draw_difference(panels[1], spectra, x[0], difference, name, scale, inside[0])
    low, high = xrange or (min(places.min() for places in x), max(places.max() for places in x))
    panels[-1].set_xlim(low, high)
    panels[-1].set_xlabel(_axis(by_pixel))
    for panel in panels:
        tidy(panel)
        panel.grid(color="#e6e6e6", linewidth=0.6)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
    figure.align_ylabels()


def _curves(spectra: Sequence[Spectrum], *, by_pixel: bool) -> list[Curve]:
    """Return the curves, each with its colour and its line."""
    curves = []
    for index, (_, group) in enumerate(groupby(spectra, key=lambda spectrum: (spectrum.path, spectrum.number))):
        orders = tuple(group)
        x = [np.arange(1.0, len(s.wavelength) + 1) if by_pixel else s.wavelength for s in orders]
        curves.append(Curve(orders, x, COLOURS[index % len(COLOURS)], "-" if index < len(COLOURS) else ":"))
    if len(curves) > MAX_CURVES:
        raise InputError(f"{len(curves)} spectra cannot be told apart in one picture; expected at most {MAX_CURVES}")
    return curves


def _quantity(spectra: Sequence[Spectrum], quantity: str) -> str:
    """Return the column that is drawn."""
    if quantity == "auto":
        everywhere = [name for name in ("FLUX", "NET", "GROSS") if all(name in s.columns for s in spectra)]
        if not everywhere:
            raise InputError(f"{spectra[0].path} and the others have no column in common; choose one")
        if everywhere[0] == "FLUX" and not all(s.columns["FLUX"].any() for s in spectra) and len(everywhere) > 1:
            return everywhere[1]  # FLUXCORR was not done
        return everywhere[0]
    name = quantity.upper()
    for spectrum in spectra:
        if name not in spectrum.columns:
            raise InputError(f"there is no column {name}; it has {', '.join(spectrum.columns)}", where=spectrum.path)
    return name


def _has_wavelengths(spectrum: Spectrum) -> bool:
    places = spectrum.wavelength
    return bool(np.isfinite(places).all() and (np.diff(places) > 0).all())


def _axis(by_pixel: bool) -> str:
    return "column [pixel]" if by_pixel else r"wavelength [$\mathrm{\AA}$]"


def _inside(places: Vector, xrange: Range) -> npt.NDArray[np.bool_]:
    if xrange is None:
        return np.ones(len(places), dtype=bool)
    inside: npt.NDArray[np.bool_] = (places >= xrange[0]) & (places <= xrange[1])
    return inside


def _limits(spectra: Sequence[Spectrum], name: str, inside: Sequence[npt.NDArray[np.bool_]]) -> tuple[float, float]:
    """Return a range of values that shows the spectra, and not what single wild pixels or their ends do."""
    parts = []
    for spectrum, part in zip(spectra, inside, strict=True):
        values = spectrum.columns[name]
        count = points_that_count(values, spectrum.error(name), spectrum.flagged) & part
        parts.append(values[count if count.any() else part & np.isfinite(values)])
    values = np.concatenate(parts)
    return padded(values) if len(values) else (0.0, 1.0)


def _set_range(axes: Axes, limits: tuple[float, float], scale: float, room: float) -> None:
    """Set the range, with room for the marks, a share of the axes, below it."""
    low, high = (limit * scale for limit in limits)
    axes.set_ylim(low - (high - low) * room / (1 - room), high)
    if low <= 0 <= high:
        axes.axhline(0, color=FAINT, linewidth=0.8, zorder=1)


def _mark_beyond(axes: Axes, curve: Curve, name: str, high: float) -> None:
    """Mark where a curve leaves the picture at the top."""
    for spectrum, places in zip(curve.orders, curve.x, strict=True):
        _draw_arrows(axes, places[spectrum.columns[name] > high], curve.colour, "^")


def _draw_arrows(axes: Axes, at: Vector, colour: str, marker: str) -> None:
    """Draw arrow heads, ``^`` at the upper edge, ``v`` at the lower one."""
    axes.plot(
        at,
        np.full(len(at), 0.988 if marker == "^" else 0.012),
        linestyle="none",
        marker=marker,
        markersize=4,
        color=colour,
        transform=axes.get_xaxis_transform(),
        zorder=20,
    )


def _draw_curve(axes: Axes, curve: Curve, name: str, scale: float) -> None:
    """Draw a spectrum with its band of one standard deviation; every other order of an echelle is darker."""
    darker = tuple(part / 2 for part in to_rgb(curve.colour))
    for index, (spectrum, places) in enumerate(zip(curve.orders, curve.x, strict=True)):
        colour = darker if index % 2 else curve.colour
        values, error = spectrum.columns[name] * scale, spectrum.error(name)
        if error is not None:
            low, high = values - error * scale, values + error * scale
            axes.fill_between(places, low, high, step="mid", color=colour, alpha=0.25, linewidth=0, zorder=2)
        axes.plot(places, values, curve.style, color=colour, linewidth=0.9, drawstyle="steps-mid", zorder=3)


def _mark_flags(axes: Axes, curve: Curve, row: int) -> None:
    """Draw marks at flagged pixels, in a row above the lower edge."""
    at = np.concatenate([places[s.flagged] for s, places in zip(curve.orders, curve.x, strict=True)])
    axes.plot(
        at,
        np.full(len(at), MARKS * (1 + min(row, 1)) + MORE_MARKS * max(row - 1, 0)),
        linestyle="none",
        marker="|",
        markersize=4.5,
        markeredgewidth=0.8,
        color=curve.colour,
        alpha=0.75,
        transform=axes.get_xaxis_transform(),
        zorder=20,
    )


def _marks_room(rows: int) -> float:
    """Return the share of the axes that rows of marks need."""
    return MARKS_ROOM + MORE_MARKS * max(rows - 2, 0)


def _draw_legend(axes: Axes, curves: Sequence[Curve], room: float) -> None:
    """Name the curves, and the marks if they have room; the legend keeps off them."""
    paths = [curve.orders[0].path for curve in curves]
    handles = [Line2D([], [], linestyle=curve.style, color=curve.colour, linewidth=0.9) for curve in curves]
    labels = [_label(curve.orders, paths) for curve in curves]
    if room:
        handles.append(Line2D([], [], linestyle="none", marker="|", markersize=6, color=INK))
        labels.append("flagged pixels in the box")
    legend = axes.legend(
        handles,
        labels,
        loc="best",
        bbox_to_anchor=(0.0, room, 1.0, 1.0 - room),
        fontsize=9,
        frameon=True,
        framealpha=0.85,
        edgecolor="none",
    )
    legend.set_zorder(30)


def _label(orders: Sequence[Spectrum], paths: Sequence[Path]) -> str:
    """Return what a curve is called."""
    first, last = orders[0], orders[-1]
    label = " " + file_label(first.path, paths)  # a label that began with '_' would be left out
    if paths.count(first.path) > 1:
        label += f" [{first.number}]"
    if last.order != first.order:
        label += f", orders {first.order} to {last.order}"
    elif first.order != 1:
        label += f", order {first.order}"
    corrected = str(first.primary.get("PCTECORR", "")).strip().upper() == "COMPLETE"
    return f"{label}, CTI-corrected" if corrected else label


def _difference(x: Sequence[Vector], spectra: Sequence[Spectrum], name: str) -> Vector | None:
    """Return the second spectrum minus the first, on the pixels of the first; None if they do not overlap."""
    first, second = (spectrum.columns[name] for spectrum in spectra)
    other = np.interp(x[0], x[1], second, left=np.nan, right=np.nan)
    difference = other - first
    return difference if np.isfinite(difference).sum() > 1 else None


def _draw_difference(
    axes: Axes,
    spectra: Sequence[Spectrum],
    places: Vector,
    difference: Vector,
    name: str,
    scale: float,
    inside: npt.NDArray[np.bool_],
) -> None:
    first = spectra[0]
    error = first.error(name)
    shown, typical = inside & points_that_count(difference, error), 0.0
    if error is not None:
        axes.fill_between(
            places, -error * scale, error * scale, step="mid", color=FAINT, alpha=0.3, linewidth=0, zorder=1
        )
        known = error[inside & np.isfinite(error)]
        typical = float(np.median(known)) if len(known) else 0.0
    axes.axhline(0, color=FAINT, linewidth=0.8, zorder=2)
    axes.plot(places, difference * scale, color=INK, linewidth=0.8, drawstyle="steps-mid", zorder=3)
    if shown.any():
        low, high = min(float(difference[shown].min()), -typical), max(float(difference[shown].max()), typical)
        margin = 0.15 * (high - low) or 1.0 / scale
        low, high = low - margin, high + margin
        axes.set_ylim(low * scale, high * scale)
        _draw_arrows(axes, places[inside & (difference > high)], INK, "^")
        _draw_arrows(axes, places[inside & (difference < low)], INK, "v")
    axes.set_ylabel(_difference_label(first, spectra[1]))
    note = _ratio(first, name, difference, inside)
    if error is not None:
        note = f"{note}   grey: ±1σ of the first".strip()
    axes.set_title(note, loc="left", fontsize=9, color=INK, pad=4)


def _difference_label(first: Spectrum, second: Spectrum) -> str:
    """Return which is subtracted from which, by suffix or image set if these differ."""
    words = [short_name(spectrum.path).rpartition("_")[2] for spectrum in (first, second)]
    if words[0] == words[1]:
        words = [f"[{spectrum.number}]" for spectrum in (first, second)]
    if words[0] == words[1]:
        words = ["first", "second"]
    return plain(f"{words[1]} − {words[0]}")


def _ratio(first: Spectrum, name: str, difference: Vector, inside: npt.NDArray[np.bool_]) -> str:
    """Return how much brighter the second is, where the first is well above its error."""
    values, error = first.columns[name], first.error(name)
    sure = inside & np.isfinite(difference) & (values > 0)
    if error is not None:
        sure &= values > SURE * error
    if sure.sum() < 3:
        return ""
    change = float(np.median(difference[sure] / values[sure]))
    return plain(f"median change {100 * change:+.2f} % where the first has S/N above {SURE:g}")
