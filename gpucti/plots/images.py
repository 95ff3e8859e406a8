"""Images and rectified spectra drawn side by side; what can be compared is drawn on one scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gpucti.errors import InputError
from gpucti.plots.frames import PEAKUP, Edges, Frame, Image, Range
from gpucti.plots.scales import Scale, shared_scales, ticks
from gpucti.plots.style import INK, common_title, file_label, tidy, unit_text

MAX_PANELS = 12
#: Inches of the long side of a panel, of what each panel needs for its labels, and of the scale and the title.
PANEL, LABELS, AROUND = 6.0, (0.85, 0.85), (1.2, 0.4)
MAX_INCHES = 16.0
#: Inches of a scale beside a panel that shares it with no other.
OWN_SCALE = 1.0
#: Panels that are not higher, inches, have small labels beside their scales.
LOW = 3.5
#: Inches of a letter of a title, about; sizes of titles, points.
LETTER = 0.088
TITLE, SMALL_TITLE = 10.0, 7.0
#: Longer images than this are not drawn with square pixels.
LONG = 4.0
#: Colours of an image, few enough for PDF and SVG to store it with a palette, a byte per pixel.
SHADES = colormaps["magma"].resampled(128)
FLAG_COLOUR, NOTHING = "#00c2c7", "#d9d9d9"


def draw_images(
    figure: Figure, frames: Sequence[Frame], xrange: Range, yrange: Range, *, flags: bool, few_colours: bool = False
) -> None:
    """Draw images into an empty figure, those that can be compared on one scale.

    Parameters
    ----------
    figure : Figure
        Its size is set.
    frames : sequence of Frame
        What to draw.
    xrange, yrange : (low, high), optional
        Parts to show, in the units of the axes.
    flags : bool
        Mark pixels with bits of SDQFLAGS.
    few_colours : bool
        For formats that store images by themselves: they stay small.

    Raises
    ------
    InputError
        Too many images, or what `Frame.part` refuses.
    """
    if len(frames) > MAX_PANELS:
        raise InputError(f"{len(frames)} image sets do not fit into one picture; expected at most {MAX_PANELS}, choose")
    cuts = [frame.part(xrange, yrange) for frame in frames]
    images = [frame.image for frame in frames]
    scales = shared_scales([image[cut] for image, cut in zip(images, cuts, strict=True)], [f.kind for f in frames])
    scales = [scale for scale in scales if frames[scale.members[0]].extension != PEAKUP]
    columns = math.ceil(math.sqrt(len(frames)))
    rows = math.ceil(len(frames) / columns)
    shape = frames[0].pixels[cuts[0]].shape
    ratio = 1.0 if frames[0].rectified else shape[1] / shape[0]
    width, height = _size(figure, rows, columns, ratio, OWN_SCALE if len(scales) > 1 else 0.0)
    figure.suppressComposite = True  # flags over an image stay a second one, or both would be stored in full colour
    figure.set_layout_engine("constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for place in panels[len(frames) :]:
        place.set_visible(False)
    for scale in scales:
        for index in scale.members:
            _draw(panels[index], frames[index], images[index], scale, few_colours=few_colours)
    for frame, place, cut in zip(frames, panels, cuts, strict=False):
        if frame.extension == PEAKUP:
            _draw_steps(place, frame)
        else:
            place.set_xlim(xrange or frame.edges()[:2])
            place.set_ylim(yrange or frame.edges()[2:])
            place.set_aspect(_aspect(frame, frame.pixels[cut].shape))
        if flags:
            _mark(place, frame)
        _name(place, frame, [frame.path for frame in frames], width)
    _draw_bars(figure, panels, frames, scales, height)
    figure.suptitle(common_title(frame.primary for frame in frames), fontsize=11, color=INK)


def _size(figure: Figure, rows: int, columns: int, ratio: float, beside: float) -> tuple[float, float]:
    """Set the size of a figure for panels of this ratio of width to height, with `beside` inches beside each.

    Return width and height of a panel, inches.
    """
    ratio = min(max(ratio, 1 / 3), 3.0)
    width, height = PANEL * min(ratio, 1.0), PANEL / max(ratio, 1.0)
    space = [MAX_INCHES - around - n * label for around, n, label in zip(AROUND, (columns, rows), LABELS, strict=True)]
    shrink = min(1.0, space[0] / (width * columns), space[1] / (height * rows))
    width, height = width * shrink, height * shrink
    figure.set_size_inches(columns * (width + LABELS[0] + beside) + AROUND[0], rows * (height + LABELS[1]) + AROUND[1])
    return width, height


def _aspect(frame: Frame, shape: tuple[int, ...]) -> str:
    long = max(shape) > LONG * min(shape)
    return "auto" if frame.rectified or long else "equal"


def _draw(place: Axes, frame: Frame, image: Image, scale: Scale, *, few_colours: bool) -> None:
    """Draw an image; for `few_colours` its pixels are stretched, then shrunk by matplotlib, then coloured."""
    place.set_facecolor(NOTHING)
    pixels, norm = image * 10.0**-scale.exponent, cast(Normalize, scale.norm)
    if few_colours:
        pixels, norm = np.clip(norm(pixels), 0.0, 1.0), Normalize(0.0, 1.0)
    place.imshow(
        pixels,
        norm=norm,
        extent=frame.edges(),
        origin="lower",
        cmap=SHADES,
        interpolation="antialiased",
        interpolation_stage="data" if few_colours else "rgba",
    )


def _draw_steps(place: Axes, frame: Frame) -> None:
    """Draw the counts at the steps of a peak-up as numbers in boxes, darker where there are more."""
    rows, cols = frame.pixels.shape
    top = float(np.nanmax(frame.pixels, initial=0.0))
    extent: Edges = (0.5, cols + 0.5, 0.5, rows + 0.5)
    place.imshow(frame.pixels, extent=extent, origin="lower", cmap="Blues", vmin=0.0, vmax=2.0 * top or 1.0)
    for row, col in np.ndindex(rows, cols):
        place.text(
            col + 1, row + 1, f"{frame.pixels[row, col]:.0f}", ha="center", va="center", fontsize=9, color=INK
        )  # fmt: skip
    place.set_aspect("equal" if max(rows, cols) <= LONG * min(rows, cols) else "auto")
    for axis, size in ((place.xaxis, cols), (place.yaxis, rows)):
        axis.set_major_locator(MaxNLocator(integer=True))
        axis.set_visible(size > 1)


def _draw_bars(
    figure: Figure,
    panels: Sequence[Axes],
    frames: Sequence[Frame],
    scales: Sequence[Scale],
    height: float,
) -> None:
    """Draw one bar where all images share a scale, else one beside each image; the labels say what is shared."""
    names = iter("ABCDEFGHIJKL")
    for scale in scales:
        frame, shared = frames[scale.members[0]], len(scale.members) > 1
        label = f"{'signal and bias' if frame.has_bias else 'signal'}{unit_text(frame.unit, scale.exponent)}"
        if shared:
            label += ", one scale for all" if len(scales) == 1 else f"\nshared scale {next(names)}"
        elif len(scales) > 1:
            label += "\nown scale"
        together = [[panels[index] for index in scale.members]]
        for places in together if len(scales) == 1 else [[place] for place in together[0]]:
            colours = ScalarMappable(scale.norm, SHADES)
            bar = figure.colorbar(colours, ax=places, pad=0.015, aspect=34, extend="both", extendfrac=0.025)
            values = ticks(scale.norm)
            bar.set_ticks(values, labels=[f"{value:g}".replace("-", "−") for value in values])
            bar.ax.minorticks_off()
            bar.set_label(label, color=INK, fontsize=TITLE if height > LOW else SMALL_TITLE)
            bar.outline.set_visible(False)
            tidy(bar.ax)


def _mark(place: Axes, frame: Frame) -> None:
    """Draw flagged pixels over an image."""
    flagged = frame.flagged
    if flagged is None:
        return
    place.imshow(
        np.ma.masked_equal(flagged.astype(np.uint8), 0),
        extent=frame.edges(),
        origin="lower",
        cmap=ListedColormap([FLAG_COLOUR]),
        aspect=place.get_aspect(),
        interpolation="nearest",
        alpha=0.8,
    )


def _name(place: Axes, frame: Frame, paths: Sequence[Path], width: float) -> None:
    """Name the axes and the image, in a panel `width` inches wide."""
    if frame.extension == PEAKUP:
        along, across = "step", ""
    elif frame.rectified:
        along, across = r"wavelength [$\mathrm{\AA}$]", "along the slit [arcsec]"
    else:
        where = "of the detector [pixel]" if frame.subarray else "[pixel]"
        along, across = f"column {where}", f"row {where}"
    name, facts = file_label(frame.path, paths), []
    if frame.count > 1 and frame.extension != PEAKUP:
        name += f" [{frame.number} of {frame.count}]"
    if frame.stage:
        facts.append(frame.stage)
    if frame.says("PCTECORR") == "COMPLETE":
        facts.append("CTI-corrected")
    title, readout = ", ".join([name, *facts]), f"read out at the {frame.readout}" if frame.readout else ""
    if readout and (len(title) + len(readout)) * LETTER < width:
        place.set_title(readout, loc="right", fontsize=8.5, color="#6b6b6b")
    elif readout:
        facts.append(readout)
    size = max(SMALL_TITLE, min(TITLE, TITLE * width / (len(name) * LETTER)))
    most = max(int(width / LETTER * TITLE / size), 2)
    lines = [name if len(name) <= most else f"…{name[1 - most :]}"]
    for fact in facts:  # on the same line while there is room
        together = f"{lines[-1]}, {fact}"
        lines[-1:] = [together] if len(together) <= most else [lines[-1], fact]
    place.set_title("\n".join(lines), loc="left", fontsize=size, color=INK)
    place.set_xlabel(along)
    place.set_ylabel(across)
    tidy(place)
