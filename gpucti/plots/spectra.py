"""Extracted spectra drawn on top of each other, with the difference of two."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gpucti.errors import InputError
from gpucti.plots.extracted import Spectrum
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

#: More curves than this cannot be told apart.
MAX_CURVES = 14
SIZE, SIZE_OF_TWO = (10.0, 5.2), (10.0, 6.8)
WORDS = {"FLUX": "flux", "NET": "net counts", "GROSS": "gross counts", "BACKGROUND": "background"}
#: Points with errors larger than this, in medians, do not decide the range of the axis: ends without sensitivity.
LARGE_ERROR = 5.0
#: Signal to noise from which on a ratio makes sense.
SURE = 3.0


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
    if len(spectra) > MAX_CURVES:
        raise InputError(f"{len(spectra)} spectra cannot be told apart in one picture; expected at most {MAX_CURVES}")
    name = _quantity(spectra, quantity)
    units = {spectrum.units[name] for spectrum in spectra}
    if len(units) > 1:
        raise InputError(f"{name} is in {' and in '.join(sorted(units))}; spectra in one picture need one unit")
    by_pixel = not all(_has_wavelengths(spectrum) for spectrum in spectra)
    x = [np.arange(1.0, len(s.wavelength) + 1) if by_pixel else s.wavelength for s in spectra]
    inside = [_inside(places, xrange) for places in x]
    if not any(part.any() for part in inside):
        low, high = min(places.min() for places in x), max(places.max() for places in x)
        raise InputError(
            f"nothing lies in the x range; it goes from {low:g} to {high:g} {'pixels' if by_pixel else 'Angstrom'}",
            where=spectra[0].path,
        )

    difference = _difference(x, spectra, name) if len(spectra) == 2 else None
    figure.set_size_inches(*(SIZE_OF_TWO if difference is not None else SIZE))
    figure.set_layout_engine("constrained")
    ratios = [3.2, 1.0] if difference is not None else [1.0]
    panels = figure.subplots(len(ratios), 1, sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
    limits = yrange or _limits(spectra, name, inside)
    exponent = power_of_ten(np.array(limits))
    scale = 10.0**-exponent
    _draw_curves(panels[0], spectra, x, name, scale, flags=flags)
    _set_range(panels[0], limits, scale, flags=flags)
    _mark_beyond(panels[0], spectra, x, name, limits[1])
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
        values, error = spectrum.columns[name], spectrum.error(name)
        good = part & np.isfinite(values)
        if error is not None and (error > 0).any():
            typical = np.median(error[np.isfinite(error) & (error > 0)]) if np.isfinite(error).any() else np.inf
            calm = good & ~(error > LARGE_ERROR * typical)
            good = calm if calm.any() else good
        parts.append(_without_spikes(values[good]))
    values = np.concatenate(parts)
    return _padded(values) if len(values) else (0.0, 1.0)


def _without_spikes(values: Vector) -> Vector:
    """Return the medians of three neighbours, so that a single wild value does not count."""
    if len(values) < 3:
        return values
    return np.median([values[:-2], values[1:-1], values[2:]], axis=0)


def _padded(values: Vector) -> tuple[float, float]:
    """Return a range a little wider than the values; from 0 where that is not far."""
    low, high = float(values.min()), float(values.max())
    if 0 < low < 0.6 * high:
        low = 0.0
    elif 0.6 * low < high < 0:
        high = 0.0
    margin = 0.12 * (high - low) or 0.1 * abs(high) or 1.0
    return (low if low == 0 else low - margin), high + margin


def _set_range(axes: Axes, limits: tuple[float, float], scale: float, *, flags: bool) -> None:
    low, high = (limit * scale for limit in limits)
    axes.set_ylim(low - (0.06 * (high - low) if flags else 0.0), high)
    if low <= 0 <= high:
        axes.axhline(0, color=FAINT, linewidth=0.8, zorder=1)


def _mark_beyond(axes: Axes, spectra: Sequence[Spectrum], x: Sequence[Vector], name: str, high: float) -> None:
    """Mark with arrow heads where a spectrum leaves the picture at the top."""
    for index, (spectrum, places) in enumerate(zip(spectra, x, strict=True)):
        at = places[spectrum.columns[name] > high]
        axes.plot(
            at,
            np.full(len(at), 0.988),
            linestyle="none",
            marker="^",
            markersize=4,
            color=COLOURS[index % len(COLOURS)],
            transform=axes.get_xaxis_transform(),
            zorder=20,
        )


def _draw_curves(
    axes: Axes, spectra: Sequence[Spectrum], x: Sequence[Vector], name: str, scale: float, *, flags: bool
) -> None:
    handles, labels = [], []
    paths = [spectrum.path for spectrum in spectra]
    for index, (spectrum, places) in enumerate(zip(spectra, x, strict=True)):
        colour, style = COLOURS[index % len(COLOURS)], "-" if index < len(COLOURS) else ":"
        values, error = spectrum.columns[name] * scale, spectrum.error(name)
        if error is not None:
            low, high = values - error * scale, values + error * scale
            axes.fill_between(places, low, high, step="mid", color=colour, alpha=0.25, linewidth=0, zorder=2)
        lines = axes.plot(places, values, style, color=colour, linewidth=0.9, drawstyle="steps-mid", zorder=3 + index)
        handles += lines
        labels.append(_label(spectrum, paths))
        if flags and spectrum.flagged.any():
            # In units of the axes, from its lower edge: one line of marks for each spectrum.
            height = 0.022 * (1 + index % 2)
            at = places[spectrum.flagged]
            axes.plot(
                at,
                np.full(len(at), height),
                linestyle="none",
                marker="|",
                markersize=4.5,
                markeredgewidth=0.8,
                color=colour,
                alpha=0.75,
                transform=axes.get_xaxis_transform(),
                zorder=20,
            )
    if flags and any(spectrum.flagged.any() for spectrum in spectra):
        handles.append(Line2D([], [], linestyle="none", marker="|", markersize=6, color=INK))
        labels.append("flagged pixels in the box")
    legend = axes.legend(handles, labels, loc="best", fontsize=9, frameon=True, framealpha=0.85, edgecolor="none")
    legend.set_zorder(30)


def _label(spectrum: Spectrum, paths: Sequence[Path]) -> str:
    """Return what a curve is called."""
    label = " " + file_label(spectrum.path, paths)  # a label that began with '_' would be left out
    if paths.count(spectrum.path) > 1:
        label += f" [{spectrum.number}]" if spectrum.order == 1 else f" [{spectrum.number}, order {spectrum.order}]"
    corrected = str(spectrum.primary.get("PCTECORR", "")).strip().upper() == "COMPLETE"
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
    shown = difference[inside & np.isfinite(difference)]
    calm, typical = _without_spikes(shown), 0.0
    if error is not None:
        axes.fill_between(
            places, -error * scale, error * scale, step="mid", color=FAINT, alpha=0.3, linewidth=0, zorder=1
        )
        known = error[inside & np.isfinite(error)]
        typical = float(np.median(known)) if len(known) else 0.0
    axes.axhline(0, color=FAINT, linewidth=0.8, zorder=2)
    axes.plot(places, difference * scale, color=INK, linewidth=0.8, drawstyle="steps-mid", zorder=3)
    if len(calm):
        low, high = (float(value) for value in np.quantile(calm, [0.005, 0.995]))
        low, high = min(low, -typical) * scale, max(high, typical) * scale
        margin = 0.15 * (high - low) or 1.0
        axes.set_ylim(low - margin, high + margin)
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
