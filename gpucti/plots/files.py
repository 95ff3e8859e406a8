"""A quick look at files: images, rectified and extracted spectra as pictures."""

from __future__ import annotations

import io
import math
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpucti.errors import Failure, GpuctiError, InputError, SomeFailedError
from gpucti.io.atomic import atomic_output, refuse_existing
from gpucti.io.fitsfile import read_hdus
from gpucti.io.inputs import Files, expand_files
from gpucti.io.kinds import EXPOSURES, UNKNOWN, kind_of
from gpucti.plots.extracted import QUANTITIES, Spectrum, has_spectra, spectra_of
from gpucti.plots.frames import Frame, frames_of
from gpucti.plots.style import require_matplotlib
from gpucti.plots.svg import with_palettes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Formats of pictures, by the ending of the name.
FORMATS = ("png", "pdf", "svg")
#: Files that a picture names as missing.
NAMED = 4
#: Range of `dpi`.
MIN_DPI, MAX_DPI = 20, 1200


def plot_files(
    files: Files,
    output: str | os.PathLike[str] | None = None,
    *,
    column: str = "auto",
    imset: int | None = None,
    order: int | None = None,
    xrange: Sequence[float] | None = None,
    yrange: Sequence[float] | None = None,
    flags: bool | None = None,
    figure: Figure | None = None,
    dpi: int = 150,
    overwrite: bool = False,
) -> Path | Figure:
    """Draw images and rectified spectra side by side, or extracted spectra on top of each other.

    Extracted spectra come with a band of one standard deviation and marks for flagged pixels; two of them are compared
    in a second panel; the orders of an echelle spectrum are one curve. Images are drawn on an inverse hyperbolic sine
    scale, on one where they can be compared. Neither matplotlib's settings nor its list of open figures is touched.

    Parameters
    ----------
    files : path or iterable of paths
        Either tables (``x1c``, ``s1c``, ``x1d``, ``sx1``) or images (``flc``, ``crc``, ``x2c``, ``raw``, acquisitions,
        super-darks and so on), of any detector of STIS; a str may hold a glob pattern.
    output : path, optional
        The picture: ``.png``, ``.pdf`` or ``.svg``.
    column : {"auto", "flux", "net", "gross", "background"}
        What is drawn of extracted spectra; auto: flux where all have it, else net.
    imset : int, optional
        Only this image set; by default all.
    order : int, optional
        Only this spectral order of extracted spectra; by default all.
    xrange, yrange : (low, high), optional
        Part to show, in the units of the axes: Angstrom, pixels from 1 (of the detector for subarrays), arcseconds;
        flux or counts of a spectrum.
    flags : bool, optional
        Mark flagged pixels (SDQFLAGS); by default in extracted spectra only.
    figure : matplotlib.figure.Figure, optional
        Cleared and drawn into; by default a new one.
    dpi : int
        Pixels per inch, of images also in PDF and SVG.
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
    SomeFailedError
        Some files could not be drawn; the others are, in `output` or `figure`, where the picture says which are
        missing. Without either a warning tells of each, and the figure is returned.
    """
    target = None if output is None else _target(Path(output), overwrite=overwrite)
    ranges = _range("xrange", xrange), _range("yrange", yrange)
    _check_options(column, imset, order, dpi)
    paths = expand_files(files)
    chosen = _Choice(column, imset, order, *ranges)
    spectra, frames, failures = _read_all(paths, chosen)
    _check_together(spectra, frames, chosen)
    require_matplotlib()
    from matplotlib.figure import Figure

    canvas = Figure() if figure is None else figure
    canvas.clear()
    if spectra:
        from gpucti.plots.spectra import draw_spectra

        draw_spectra(canvas, spectra, column.lower(), *ranges, flags=flags is not False)
    else:
        from gpucti.plots.images import draw_images

        draw_images(canvas, frames, *ranges, flags=bool(flags), few_colours=_kind(target) in ("pdf", "svg"))
    if failures:
        _note(canvas, [Path(failure.item) for failure in failures])
    if (layout := canvas.get_layout_engine()) is not None:
        layout.execute(canvas)  # square pixels change what the first pass found; drawing makes the second
    if target is not None:
        _save(canvas, target, dpi, overwrite=overwrite)
    if failures and (target is not None or figure is not None):
        raise SomeFailedError.of(failures, [] if target is None else [target], len(paths))
    for failure in failures:
        warnings.warn(f"not drawn: {failure}", stacklevel=2)
    return canvas if target is None else target


@dataclass(frozen=True)
class _Choice:
    """What of the files is drawn."""

    column: str
    imset: int | None
    order: int | None
    xrange: tuple[float, float] | None
    yrange: tuple[float, float] | None


def _read_all(paths: Sequence[Path], chosen: _Choice) -> tuple[list[Spectrum], list[Frame], list[Failure]]:
    """Return the spectra, the images, and what could not be read; raise if that is all."""
    spectra: list[Spectrum] = []
    frames: list[Frame] = []
    failures = []
    for path in paths:
        try:
            hdus, _ = read_hdus(path)
            if has_spectra(hdus):
                spectra += _chosen_spectra(spectra_of(hdus, path), chosen, path)
            else:
                frames += _chosen_frames(hdus, chosen, path)
        except GpuctiError as error:
            if len(paths) == 1:
                raise
            failures.append(Failure.of(path, error))
    if not spectra and not frames:
        lines = "".join(f"\n  {failure}" for failure in failures)
        raise InputError(f"none of the {len(paths)} files can be drawn:{lines}")
    return spectra, frames, failures


def _chosen_spectra(found: Sequence[Spectrum], chosen: _Choice, path: Path) -> list[Spectrum]:
    """Return the spectra of the image set and the order that are wanted, if they have the column."""
    of_imset = [spectrum for spectrum in found if chosen.imset in (None, spectrum.number)]
    if not of_imset:
        have = _listed([spectrum.number for spectrum in found])
        raise InputError(f"there is no spectrum of image set {chosen.imset}; it has {have}", where=path)
    of_order = [spectrum for spectrum in of_imset if chosen.order in (None, spectrum.order)]
    if not of_order:
        have = _listed([spectrum.order for spectrum in of_imset])
        raise InputError(f"there is no spectral order {chosen.order}; it has {have}", where=path)
    column = chosen.column.upper()
    if column != "AUTO" and column not in of_order[0].columns:
        raise InputError(f"there is no column {column}; it has {', '.join(of_order[0].columns)}", where=path)
    return of_order


def _listed(numbers: Sequence[int]) -> str:
    """Return numbers in words: ``1``, ``1, 2``, ``86 to 129``."""
    each = sorted(set(numbers))
    if len(each) > 2 and each[-1] - each[0] == len(each) - 1:
        return f"{each[0]} to {each[-1]}"
    return ", ".join(map(str, each))


def _chosen_frames(hdus: Any, chosen: _Choice, path: Path) -> list[Frame]:
    """Return the images of the image set that is wanted, if they lie in the range."""
    found = frames_of(hdus, path)
    if not found:
        raise _nothing_to_draw(hdus, path)
    frames = [
        frame for frame in found if chosen.imset is None or (frame.extension, frame.number) == ("SCI", chosen.imset)
    ]
    if not frames:
        raise InputError(f"there is no image set {chosen.imset}; it has {found[0].count}", where=path)
    for frame in frames:
        frame.part(chosen.xrange, chosen.yrange)
    return frames


def _nothing_to_draw(hdus: Any, path: Path) -> InputError:
    """Return the error that says what a file without images and spectra is."""
    kind = kind_of(path, hdus[0].header)
    images, spectra = "images (extensions SCI, ERR, DQ)", "extracted spectra (a table)"
    if kind.name in (*EXPOSURES, UNKNOWN):
        return InputError(f"holds neither {images} nor {spectra}", where=path)
    return kind.unsuitable(path, f"{images} or {spectra}")


def _check_together(spectra: Sequence[Spectrum], frames: Sequence[Frame], chosen: _Choice) -> None:
    """Raise for spectra and images in one picture, and for options of spectra where there are images."""
    if spectra and frames:
        raise InputError(
            f"{spectra[0].path} is an extracted spectrum, {frames[0].path} is not: they do not go into one picture; "
            "draw them apart"
        )
    if frames and (chosen.column.lower() != "auto" or chosen.order is not None):
        name, value = ("order", chosen.order) if chosen.order is not None else ("column", chosen.column)
        raise InputError(f"{name} is {value!r}, but {frames[0].path} is an image; leave it out")


def _note(figure: Figure, missing: Sequence[Path]) -> None:
    """Say in the picture which files are missing."""
    from gpucti.plots.style import INK, file_label

    names = [file_label(path, missing) for path in missing]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    figure.supxlabel(f"not drawn: {', '.join(names[:NAMED])}{more}", fontsize=9, color=INK)


def _save(figure: Figure, target: Path, dpi: int, *, overwrite: bool) -> None:
    stream = io.BytesIO()
    figure.savefig(stream, format=_kind(target), dpi=dpi, facecolor="white")
    with atomic_output(target, overwrite=overwrite) as out:
        out.write(with_palettes(stream.getvalue()) if _kind(target) == "svg" else stream.getbuffer())


def _kind(target: Path | None) -> str:
    return "" if target is None else target.suffix[1:].lower()


def _target(path: Path, *, overwrite: bool) -> Path:
    """Return where the picture goes, if it may go there."""
    if _kind(path) not in FORMATS:
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


def _check_options(column: str, imset: int | None, order: int | None, dpi: int) -> None:
    columns = ["auto", *(name.lower() for name in QUANTITIES)]
    if not isinstance(column, str) or column.lower() not in columns:
        raise InputError(f"column is {column!r}; expected one of {', '.join(columns)}")
    if imset is not None and (isinstance(imset, bool) or not isinstance(imset, int) or imset < 1):
        raise InputError(f"imset is {imset!r}; expected the number of an image set, from 1")
    if order is not None and (isinstance(order, bool) or not isinstance(order, int) or order < 1):
        raise InputError(f"order is {order!r}; expected the number of a spectral order, from 1")
    if isinstance(dpi, bool) or not isinstance(dpi, int) or not MIN_DPI <= dpi <= MAX_DPI:
        raise InputError(f"dpi is {dpi!r}; expected a whole number, {MIN_DPI} to {MAX_DPI}")
