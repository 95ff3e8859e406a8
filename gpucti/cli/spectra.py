"""Commands on spectra: ``x1d``, which extracts again, and ``plot``, which shows images and spectra."""

from __future__ import annotations

import importlib.util
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from gpucti.cli.common import files_progress, messages, no_window, tell
from gpucti.cli.options import QUIET, chosen_device, device_options, oref_option, verbose_options, with_options

if TYPE_CHECKING:
    from gpucti.calibration.spectra.x1d.files import Extracted

SWITCHES = {
    "backcorr": "Subtract the background, or not",
    "dispcorr": "Wavelengths, or not",
    "helcorr": "Heliocentric wavelengths, or not",
    "fluxcorr": "Flux, or counts only",
    "ctecorr": "The empirical correction for CTI, or not; never after the correction of the pixels",
}


@click.command("x1d")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("-o", "--outdir", type=click.Path(), help="Folder of the new files [beside each input].")
@click.option("--extrsize", type=float, metavar="PIXELS", help="Height of the extraction box [XTRACTAB].")
@click.option("--a2center", type=float, metavar="ROW", help="Row, from 1, where the search starts [reference files].")
@click.option("--maxsrch", type=int, metavar="PIXELS", help="How far the brightest trace is looked for; 0: not at all.")
@click.option("--bk1size", type=float, metavar="PIXELS", help="Height of the first background box [XTRACTAB].")
@click.option("--bk2size", type=float, metavar="PIXELS", help="Height of the second [XTRACTAB].")
@click.option("--bk1offst", type=float, metavar="PIXELS", help="Distance of the first from the spectrum [XTRACTAB].")
@click.option("--bk2offst", type=float, metavar="PIXELS", help="Distance of the second [XTRACTAB].")
@click.option("--bktilt", type=float, metavar="DEGREES", help="Tilt of the background boxes [XTRACTAB].")
@click.option("--backord", type=click.IntRange(0, 1), help="Background across: 0 mean, 1 straight line [XTRACTAB].")
@click.option(
    "--bksmode",
    type=click.Choice(["median", "off"]),
    default="median",
    show_default=True,
    help="Smooth the background along the dispersion, or not.",
)
@click.option("--bksorder", type=int, default=3, show_default=True, help="Order of the polynomial that smooths it.")
@click.option("--xoffset", type=float, metavar="PIXELS", help="Added to SHIFTA1 [0].")
@with_options(
    *(
        click.option(f"--{name}/--no-{name}", name, default=None, help=f"{text} [header].")
        for name, text in SWITCHES.items()
    )
)
@oref_option
@device_options
@click.option("--overwrite", is_flag=True, help="Replace existing outputs.")
@verbose_options
def x1d_command(files: tuple[str, ...], device: str | None, backend: str | None, *, verbose: int, **given: Any) -> None:
    """Extract spectra again, with another box, centre or background: flc -> x1c, crc -> s1c, flt -> x1d, crj -> sx1."""
    device = chosen_device(device, backend)
    from gpucti.calibration.spectra.x1d.files import x1d
    from gpucti.io.inputs import expand_files

    paths = expand_files(files)
    with files_progress(len(paths), verbose) as (say, advance), messages(say, verbose):

        def report(done: Extracted) -> None:
            rows = ", ".join(f"{row:.2f}" for row in done.rows)
            advance(f"{done.input.name} -> {done.output}: extracted at row {rows}")

        x1d(paths, device=device, progress=report, **given)


@click.command("plot")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("-o", "--output", type=click.Path(), metavar="FILE", help="Picture, .png, .pdf or .svg [a window].")
@click.option(
    "--column",
    type=click.Choice(["auto", "flux", "net", "gross", "background"]),
    default="auto",
    show_default=True,
    help="What of an extracted spectrum; auto: flux, else net.",
)
@click.option("--imset", type=click.IntRange(1), metavar="N", help="Only this image set [all].")
@click.option("--order", type=click.IntRange(1), metavar="N", help="Only this order of echelle spectra [all].")
@click.option("-x", "--xrange", "xrange", type=float, nargs=2, metavar="LOW HIGH", help="Part to show, axis units.")
@click.option("-y", "--yrange", "yrange", type=float, nargs=2, metavar="LOW HIGH", help="Likewise.")
@click.option("--flags/--no-flags", default=None, help="Mark flagged pixels [spectra: yes, images: no].")
@click.option("--dpi", type=click.IntRange(20, 1200), default=150, show_default=True, help="Pixels per inch.")
@click.option("--overwrite", is_flag=True, help="Replace an existing picture.")
@verbose_options
def plot_command(files: tuple[str, ...], output: str | None, *, verbose: int, **given: Any) -> None:
    """Draw images and rectified spectra side by side, or extracted spectra on top of each other."""
    from gpucti.errors import SomeFailedError
    from gpucti.plots.files import plot_files

    figure, show = (None, None) if output is not None else _window()
    with messages(tell, verbose):
        failed = None
        try:
            with no_window() if figure is None else nullcontext():
                plot_files(files, output, figure=figure, **given)
        except SomeFailedError as error:  # the others are drawn
            failed = error
        if output is not None and verbose > QUIET:
            click.echo(f"{output} written")
        if show is not None:
            show()
        if failed is not None:
            raise failed


def _window() -> tuple[Any, Any]:
    """Return the figure of a new window, and what shows it until it is closed."""
    from gpucti.plots.style import require_matplotlib

    if importlib.util.find_spec("matplotlib") is None:
        require_matplotlib()  # it says so
    why = "there is no display for a window; name a picture to write, -o FILE.png."
    try:
        import matplotlib.pyplot as plt

        figure = plt.figure()
    except Exception as error:  # a backend that is asked for by name may fail in any way
        raise click.UsageError(f"{why} ({' '.join(str(error).split())})") from error
    if figure.canvas.required_interactive_framework is None:
        plt.close(figure)
        raise click.UsageError(why)
    return figure, plt.show
