"""Extracted spectra of a simulated visit beside their truth, without and with the correction; see README.md.

    python benchmarks/spectra_truth.py [--device auto] [--output FILE] [--picture FILE]

Every grating takes spectra of stars of three brightnesses, far from the amplifier and shifted by a known amount.
``gpucti correct`` works on the visit; the same raw exposures are also calibrated as they are. Flux over true flux is
averaged over the wavelengths, weighted by the electrons; its error is told by the scatter. Only wavelengths without any
flag count. The picture is of the spectrum named in `SHOWN`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from common import PRODUCTS, machine, parser, publish, table

import gpucti
from gpucti.backends import get_backend
from gpucti.backends.base import Backend
from gpucti.calibration.native import NativeEngine
from gpucti.calibration.reffiles import References
from gpucti.demo.measure import Spectrum, measure_spectrum
from gpucti.demo.picture import AFTER, BEFORE, NAMES, STYLE, TRUTH, stretch
from gpucti.detector import LIGHT_KM_S
from gpucti.io.atomic import atomic_output
from gpucti.io.exposure import Exposure
from gpucti.synthetic import Observation, Visit, simulate_visit
from gpucti.synthetic.instrument import GRATINGS

Floats = npt.NDArray[np.float64]

#: Row of the star, counted from 0; the amplifier is beyond row 1023.
ROW = 315.0
#: Electrons per column and exposure.
BRIGHTNESSES = (60.0, 150.0, 600.0)
#: Grating, central wavelength, slit, shift in x and y.
SETTINGS: tuple[tuple[str, int, str, tuple[float, float]], ...] = (
    ("G230LB", 2375, "52X0.2", (1.7, -2.3)),
    ("G230MB", 1995, "52X0.5", (-3.3, 0.6)),
    ("G430L", 4300, "52X0.2", (0.4, 1.2)),
    ("G430M", 4961, "52X0.1", (-0.8, -3.2)),
    ("G750L", 7751, "52X2", (5.1, 2.0)),
    ("G750M", 6768, "52X0.1", (-6.0, 0.0)),
)
SHOWN = ("G430L", 150.0)
#: Rows and columns shown, and the limits of their stretch, electrons.
CUT, COLUMNS, LIMITS = 26, (100, 900), (-15.0, 300.0)


class Result(NamedTuple):
    """What came of one spectrum: fluxes; what was asked for and found, pixels."""

    what: Observation
    spectrum: Spectrum
    shift: tuple[float, float]
    wavelength: float


def measure(folder: Path, device: str) -> tuple[list[Result], Path, Path, Path]:
    """Simulate, correct and measure; return the results, and truth, combined images of the spectrum that is shown."""
    backend = get_backend(device)
    wanted = [
        Observation(name, wave, aperture=slit, exptime=700.0, electrons=electrons, row=ROW, shift=shift)
        for name, wave, slit, shift in SETTINGS
        for electrons in BRIGHTNESSES
    ]
    visit = simulate_visit(folder / "visit", exposures=wanted, weeks=1, darks_per_week=4, device=backend)
    gpucti.correct(
        visit.science, visit.darks, visit.ref, oref=visit.oref, anneals=visit.anneals, device=backend, engine="native"
    )
    plain = _calibrate_plain(visit, folder / "plain", backend)
    results, shown = [], -1
    for number, (root, what) in enumerate(zip(visit.exposures, wanted, strict=True)):
        truth, corrected = visit.truth / f"{root}_truth.fits", visit.science / f"{root}_s1c.fits"
        spectrum = measure_spectrum(truth, plain / f"{root}_sx1.fits", corrected)
        results.append(Result(what, spectrum, *_places(truth, corrected, visit.science / f"{root}_crc.fits", what)))
        if (what.opt_elem, what.electrons) == SHOWN:
            shown = number
    root = visit.exposures[shown]
    return (
        results, visit.truth / f"{root}_truth.fits", plain / f"{root}_crj.fits", visit.science / f"{root}_crc.fits",
    )  # fmt: skip


def _calibrate_plain(visit: Visit, outdir: Path, backend: Backend) -> Path:
    """Calibrate the raw exposures as they are, with the super-dark that their headers name."""
    outdir.mkdir()
    engine = NativeEngine(backend, References(visit.environment))
    for root in visit.exposures:
        raw = Exposure.read(visit.science / f"{root}_raw.fits")
        raw.primary["CTECORR"] = "OMIT"  # the old empirical correction of extracted spectra
        engine.calibrate(raw, outdir, PRODUCTS)
    return outdir


def _places(truth: Path, extracted: Path, image: Path, what: Observation) -> tuple[tuple[float, float], float]:
    """Return the shifts that the wavecal gave, and the largest error of a wavelength, pixels."""
    with fits.open(image) as hdus:
        header = hdus[1].header
        shift = float(header["SHIFTA1"]), float(header["SHIFTA2"])
    with fits.open(truth) as real, fits.open(extracted) as hdus:
        seen = hdus[1].data["WAVELENGTH"][0] / (1.0 - hdus[1].header["V_HELIO"] / LIGHT_KM_S)
        error = (seen - real["STAR"].data["WAVELENGTH"]) / GRATINGS[what.opt_elem].dispersion
    return shift, float(np.abs(error).max())


def lines_of(results: list[Result]) -> list[str]:
    """Return the table, Markdown: a line for each setting."""
    brightnesses = [f"{electrons:.0f} electrons" for electrons in BRIGHTNESSES]
    head = ["grating, setting, slit", *brightnesses, "shift x, found", "shift y, found", "wavelengths off by"]
    rows = []
    for first in range(0, len(results), len(BRIGHTNESSES)):
        same = results[first : first + len(BRIGHTNESSES)]
        fluxes = [f"{one.spectrum.whole.before} → {one.spectrum.whole.after}" for one in same]
        what = same[0].what
        found = np.mean([one.shift for one in same], axis=0)
        shifts = [f"{asked:+.1f}, {value:+.2f}" for asked, value in zip(what.shift, found, strict=True)]
        worst = max(one.wavelength for one in same)
        rows.append([what.title, *fluxes, *shifts, f"{worst:.2f}"])
    return table(head, rows)


# ---- the picture ----------------------------------------------------------------------------------------


def draw(path: Path, spectrum: Spectrum, files: tuple[Path, Path, Path]) -> None:
    """Draw images and spectra of the truth, without and with the correction; an existing file is replaced."""
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from PIL import Image

    with style.context(["default", STYLE]):
        figure: Any = Figure(figsize=(10.5, 8.4), dpi=100, layout=ConstrainedLayoutEngine(h_pad=0.06, w_pad=0.06))
        canvas: Any = FigureCanvasAgg(figure)
        figure.suptitle(
            f"A faint spectrum {1024 - ROW:.0f} rows from the amplifier", x=0.012, ha="left", size=14.0, weight="bold"
        )
        figure.supxlabel(
            f"Simulated: {spectrum.grating}, 2 exposures of 700 s in May 2018, {SHOWN[1]:.0f} electrons per column and "
            "exposure at most; truth without noise, dark current and cosmic rays.\nSpectra in bins of 32 pixels; bars: "
            "standard errors.", x=0.012, ha="left", size=9.0, color="#555555",
        )  # fmt: skip
        upper, lower = figure.subfigures(2, 1, height_ratios=[1.0, 1.35])
        _draw_images(upper, files)
        flux, share = lower.subplots(2, 1, sharex=True, height_ratios=[1.6, 1.0])
        _draw_spectra(flux, share, spectrum)
        canvas.draw()
    drawn = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    with atomic_output(path, overwrite=True) as stream:  # few colours: a small file
        drawn.quantize(256, kmeans=1, dither=Image.Dither.NONE).save(stream, format="PNG", optimize=True)


def _draw_images(figure: Any, files: tuple[Path, Path, Path]) -> None:
    axes = figure.subplots(3, 1, sharex=True)
    rows, (low, high) = np.s_[int(ROW) - CUT : int(ROW) + CUT // 2], stretch(LIMITS)
    for ax, path, name, colour in zip(axes, files, NAMES, (TRUTH, BEFORE, AFTER), strict=True):
        with fits.open(path) as hdus:
            image = np.asarray(hdus[1].data[rows, slice(*COLUMNS)], dtype=np.float64)
        if name == NAMES[0]:
            image = 2.0 * image  # the truth is of one exposure
        extent = (COLUMNS[0] + 0.5, COLUMNS[1] + 0.5, rows.start + 0.5, rows.stop + 0.5)
        ax.imshow(
            stretch(image), vmin=low, vmax=high, extent=extent, origin="lower", cmap="inferno", aspect="auto",
            interpolation="nearest",
        )  # fmt: skip
        ax.text(
            0.006, 0.1, name, color="white", weight="bold", transform=ax.transAxes, va="bottom", size=10.0,
            bbox={"boxstyle": "round,pad=0.25", "fc": colour, "ec": "white", "lw": 0.6},
        )  # fmt: skip
        ax.spines[:].set_visible(False)
        ax.tick_params(length=2.0, labelsize=8.0)
        ax.set_yticks([295, 315])
    axes[1].set_ylabel("row", size=9.0)
    axes[2].set_xlabel("column of the combined image", size=9.0, labelpad=1.0)


def _draw_spectra(flux: Any, share: Any, spectrum: Spectrum) -> None:
    unit = 10.0 ** np.floor(np.log10(spectrum.truth.max()))
    flux.step(spectrum.wavelength, spectrum.truth / unit, where="mid", color=TRUTH, lw=1.3, label=NAMES[0], zorder=1)
    share.axhline(1.0, color=TRUTH, lw=1.3, zorder=1)
    for values, errors, colour, name, ratio in (
        (spectrum.before, spectrum.before_error, BEFORE, NAMES[1], spectrum.whole.before),
        (spectrum.after, spectrum.after_error, AFTER, NAMES[2], spectrum.whole.after),
    ):
        bars = {"fmt": "o", "color": colour, "ms": 4.5, "lw": 1.2, "mec": "white", "mew": 0.5, "zorder": 2}
        label = f"{name}: {100.0 * ratio.value:.1f} ± {100.0 * ratio.error:.1f} % of the flux"
        flux.errorbar(spectrum.wavelength, values / unit, errors / unit, label=label, **bars)
        share.errorbar(spectrum.wavelength, values / spectrum.truth, errors / spectrum.truth, **bars)
        share.axhline(ratio.value, color=colour, lw=0.9, ls=(0, (5, 3)), zorder=1)
    flux.set_ylim(0.0, None)
    exponent = int(np.log10(unit))
    flux.set_ylabel(f"flux (10$^{{{exponent}}}$ erg s$^{{-1}}$ cm$^{{-2}}$ Å$^{{-1}}$)")
    flux.legend(loc="lower left", handletextpad=0.4, ncols=3)
    share.set_ylim(0.5, 1.5)
    share.set_ylabel("flux / truth")
    share.set_xlabel("wavelength (Å)")


def main() -> None:
    """Measure, print the table, draw."""
    options = parser(__doc__)
    options.add_argument("--device", default="auto")
    options.add_argument("--picture", type=Path)
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results, *files = measure(Path(folder), arguments.device)
        if arguments.picture:
            shown = next(one for one in results if (one.what.opt_elem, one.what.electrons) == SHOWN)
            draw(arguments.picture, shown.spectrum, (files[0], files[1], files[2]))
    publish(
        "Extracted spectra and their truth",
        [
            f"{machine()}. Stars {1024 - ROW:.0f} rows from the amplifier, May 2018, 2 exposures of 700 s each, 4 "
            "darks of one week. Electrons: at most, per column and exposure, in the continuum. Fluxes are in units of "
            "the truth, not corrected → corrected, with standard errors. Shifts and the largest error of any "
            "wavelength are in pixels; shifts as simulated, and as the wavecals gave them.",
            "",
            *lines_of(results),
        ],
        arguments.output,
    )


if __name__ == "__main__":
    main()
