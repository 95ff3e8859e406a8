"""A quick look at files: images, rectified and extracted spectra as pictures."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpucti._lazy import require
from gpucti.errors import InputError
from gpucti.io.atomic import atomic_output, refuse_existing
from gpucti.io.exposure import Exposure
from gpucti.io.inputs import Files, expand_files
from gpucti.plots.extracted import QUANTITIES, is_extracted, read_spectra

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Formats of pictures, by the ending of the name.
FORMATS = ("png", "pdf", "svg")
#: Range of `dpi`.
MIN_DPI, MAX_DPI = 20, 1200


def plot_files(
    files: Files,
    output: str | os.PathLike[str] | None = None,
    *,
    column: str = "auto",
    imset: int | None = None,
    xrange: Sequence[float] | None = None,
    yrange: Sequence[float] | None = None,
    flags: bool | None = None,
    figure: Figure | None = None,
    dpi: int = 150,
    overwrite: bool = False,
) -> Path | Figure:
    """Draw images and rectified spectra side by side, or extracted spectra on top of each other.

    Extracted spectra come with a band of one standard deviation and marks for flagged pixels; two of them are compared
    in a second panel. Images are drawn on an inverse hyperbolic sine scale, those in one unit on the same. Neither
    matplotlib's settings nor its list of open figures is touched.

    Parameters
    ----------
    files : path or iterable of paths
        Either tables (``x1c``, ``s1c``, ``x1d``, ``sx1``) or images (``flc``, ``crc``, ``x2c``, ``raw``, super-darks
        and so on); a str may hold a glob pattern.
    output : path, optional
        The picture: ``.png``, ``.pdf`` or ``.svg``.
    column : {"auto", "flux", "net", "gross", "background"}
        What is drawn of extracted spectra; auto: flux where all have it, else net.
    imset : int, optional
        Only this image set; by default all.
    xrange, yrange : (low, high), optional
        Part to show, in the units of the axes: Angstrom, pixels from 1, arcseconds; flux or counts of a spectrum.
    flags : bool, optional
        Mark flagged pixels (SDQFLAGS); by default in extracted spectra only.
    figure : matplotlib.figure.Figure, optional
        Cleared and drawn into; by default a new one.
    dpi : int
        Pixels per inch of a PNG.
    overwrite : bool
        Replace an existing picture.

    Returns
    -------
    Path or matplotlib.figure.Figure
        The picture that was written; the figure if there is no `output`.

    Raises
    ------
    MissingFileError
        A file does not exist.
    InputError
        A file that is neither, both kinds at once, or an option that makes no sense.
    OutputExistsError
        The picture exists.
    MissingPackageError
        matplotlib is not installed.
    """
    require("matplotlib", "a picture")
    target = None if output is None else _target(Path(output), overwrite=overwrite)
    ranges = _range("xrange", xrange), _range("yrange", yrange)
    _check_options(column, imset, dpi)
    paths = expand_files(files)
    tables = [is_extracted(path) for path in paths]
    if any(tables) != all(tables):
        table, image = paths[tables.index(True)], paths[tables.index(False)]
        raise InputError(
            f"{table} is an extracted spectrum, {image} is not: they do not go into one picture; draw them apart"
        )
    from matplotlib.figure import Figure

    canvas = Figure() if figure is None else figure
    canvas.clear()
    if all(tables):
        _spectra(canvas, paths, column, imset, ranges, flags)
    else:
        if column != "auto":
            raise InputError(f"column is {column!r}, but {paths[0]} is an image; leave it out")
        _images(canvas, paths, imset, ranges, flags)
    if target is None:
        return canvas
    stream = io.BytesIO()
    canvas.savefig(stream, format=target.suffix[1:].lower(), dpi=dpi, facecolor="white")
    with atomic_output(target, overwrite=overwrite) as out:
        out.write(stream.getbuffer())
    return target


_Ranges = tuple[tuple[float, float] | None, tuple[float, float] | None]


def _spectra(
    figure: Figure, paths: list[Path], column: str, imset: int | None, ranges: _Ranges, flags: bool | None
) -> None:
    from gpucti.plots.spectra import draw_spectra

    spectra = []
    for path in paths:
        found = read_spectra(path)
        chosen = [spectrum for spectrum in found if imset in (None, spectrum.number)]
        if not chosen:
            have = ", ".join(str(spectrum.number) for spectrum in found)
            raise InputError(f"there is no spectrum of image set {imset}; it has {have}", where=path)
        spectra += chosen
    draw_spectra(figure, spectra, column, *ranges, flags=flags is not False)


def _images(figure: Figure, paths: list[Path], imset: int | None, ranges: _Ranges, flags: bool | None) -> None:
    from gpucti.plots.images import Panel, draw_images

    panels = []
    for path in paths:
        exposure = Exposure.read(path)
        if imset is not None and imset > exposure.n_imsets:
            raise InputError(f"there is no image set {imset}; it has {exposure.n_imsets}", where=path)
        numbers = range(1, exposure.n_imsets + 1) if imset is None else [imset]
        panels += [Panel(exposure, number) for number in numbers]
    draw_images(figure, panels, *ranges, flags=bool(flags))


def _target(path: Path, *, overwrite: bool) -> Path:
    """Return where the picture goes, if it may go there."""
    if path.suffix[1:].lower() not in FORMATS:
        raise InputError(f"is no name of a picture; expected one that ends in .{', .'.join(FORMATS)}", where=path)
    refuse_existing(path, overwrite=overwrite)
    if not path.absolute().parent.is_dir():
        raise InputError(f"there is no folder {path.parent}; make it first", where=path)
    return path


def _range(name: str, given: Sequence[float] | None) -> tuple[float, float] | None:
    if given is None:
        return None
    values: Any = given
    try:
        low, high = (float(value) for value in values)
    except (TypeError, ValueError):
        raise InputError(f"{name} is {given!r}; expected two numbers") from None
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(f"{name} is {low:g}, {high:g}; expected two numbers, the smaller one first")
    return low, high


def _check_options(column: str, imset: int | None, dpi: int) -> None:
    columns = ["auto", *(name.lower() for name in QUANTITIES)]
    if not isinstance(column, str) or column.lower() not in columns:
        raise InputError(f"column is {column!r}; expected one of {', '.join(columns)}")
    if imset is not None and (isinstance(imset, bool) or not isinstance(imset, int) or imset < 1):
        raise InputError(f"imset is {imset!r}; expected the number of an image set, from 1")
    if isinstance(dpi, bool) or not isinstance(dpi, int) or not MIN_DPI <= dpi <= MAX_DPI:
        raise InputError(f"dpi is {dpi!r}; expected a whole number, {MIN_DPI} to {MAX_DPI}")
