"""Pictures of images and spectra: what is drawn where, what is refused, and that nothing global is touched."""

from __future__ import annotations

import base64
import io
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any
from unittest import mock

import matplotlib as mpl
import numpy as np
import pytest
from astropy.io import fits
from matplotlib import image as mpl_image
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

import gpucti
from gpucti import cli
from gpucti.errors import InputError, MissingFileError, OutputExistsError, SomeFailedError
from gpucti.plots.extracted import read_spectra
from gpucti.plots.style import file_label, plain, power_of_ten, unit_text
from gpucti.plots.svg import with_palettes
from support.stis_files import change, digest, listing, quiet_astropy, stis_file, stis_hdus

N = 64
FLUX_UNIT, RATE_UNIT = "erg/s/cm**2/Angstrom", "Counts/s"
FORMATS = {"WAVELENGTH": "D", "DQ": "I"}
UNITS = {"FLUX": FLUX_UNIT, "ERROR": FLUX_UNIT, "NET": RATE_UNIT, "NET_ERROR": RATE_UNIT, "GROSS": RATE_UNIT}


def cells(level: float = 2e-15) -> dict[str, Any]:
    """Return the columns of a spectrum with a line, a wild pixel and an end without sensitivity."""
    x = np.arange(N)
    flux = level * (1 + 0.01 * x + 2 * np.exp(-((x - 40) ** 2) / 8))
    flux[20] = 500 * level
    error = np.full(N, 0.05 * level)
    error[:4] = 90 * level
    flux[1] = -80 * level
    dq = np.zeros(N, dtype=int)
    dq[[7, 30]] = 16, 1024  # the latter is not in SDQFLAGS
    net = flux / 1e-15
    return {
        "WAVELENGTH": 3000.0 + 2.5 * x,
        "GROSS": net + 1,
        "BACKGROUND": np.ones(N),
        "NET": net,
        "FLUX": flux,
        "ERROR": error,
        "NET_ERROR": error / 1e-15,
        "DQ": dq,
    }


def table(path: Path, *spectra: dict[str, Any], cards: dict[str, Any] | None = None, **units: str) -> Path:
    """Write a table for each spectrum; `cards` change the primary header, `units` those of columns."""
    hdus = stis_hdus(0, NEXTEND=len(spectra), OBSTYPE="SPECTROSCOPIC", OPT_ELEM="G430L", CENWAVE=4300, TARGNAME="STAR")
    change(hdus[0].header, **({"APERTURE": "52X0.2", "TEXPTIME": 840.0} | (cards or {})))
    for number, given in enumerate(spectra, start=1):
        columns = []
        for name, values in given.items():
            size = "" if np.ndim(values) == 0 else len(values)
            kind = "8A" if np.asarray(values).dtype.kind == "U" else f"{size}{FORMATS.get(name, 'E')}"
            unit = (UNITS | units).get(name)
            columns.append(fits.Column(name=name, format=kind, unit=unit, array=np.array([values])))
        hdu = fits.BinTableHDU.from_columns(columns, name="SCI", ver=number)
        hdu.header["SDQFLAGS"] = 31743
        hdus.append(hdu)
    hdus.writeto(path)
    return path


def panels(figure: Any) -> list[Axes]:
    assert isinstance(figure, Figure)
    return [axes for axes in figure.axes if axes.get_visible() and axes.get_label() != "<colorbar>"]


def curves(axes: Axes) -> list[Any]:
    return [line for line in axes.lines if line.get_drawstyle() == "steps-mid"]


def drawn(figure: Figure, path: Path) -> np.ndarray:
    """Return the pixels of a figure."""
    figure.savefig(path)
    return mpl_image.imread(path)


# ---- extracted spectra -------------------------------------------------------------------------------------------


def test_one_spectrum(tmp_path: Path) -> None:
    """Oracle: the table itself, in units of the power of ten on the axis."""
    figure = gpucti.plot_files(table(tmp_path / "o1_x1d.fits", cells()))
    [axes] = panels(figure)
    [curve] = curves(axes)
    given = cells()
    np.testing.assert_allclose(curve.get_xdata(), given["WAVELENGTH"])
    np.testing.assert_allclose(curve.get_ydata(), given["FLUX"] * 1e15, rtol=1e-6)
    assert axes.get_xlabel() == r"wavelength [$\mathrm{\AA}$]"
    assert axes.get_ylabel() == r"flux [$10^{-15}$ erg s$^{-1}$ cm$^{-2}$ $\mathrm{\AA}^{-1}$]"
    assert axes.get_title(loc="left") == "STAR   G430L 4300 Å   52X0.2   840 s"
    assert axes.get_xlim() == (3000.0, 3000.0 + 2.5 * (N - 1))
    low, high = axes.get_ylim()
    assert -2 < low < 0 and 6 < high < 12  # neither the wild pixel nor the blind end decide; the line is inside
    [band] = axes.collections
    outline = band.get_paths()[0].vertices
    assert (given["FLUX"][40] + given["ERROR"][40]) * 1e15 == pytest.approx(
        max(y for x, y in outline if abs(x - given["WAVELENGTH"][40]) < 1.3), rel=1e-6
    )
    marks = {line.get_marker(): line for line in axes.lines if line.get_linestyle() == "None"}
    assert marks["|"].get_xdata().tolist() == [given["WAVELENGTH"][7]]  # flagged by SDQFLAGS
    assert marks["^"].get_xdata().tolist() == [given["WAVELENGTH"][20]]  # beyond the upper edge
    assert len(np.unique(drawn(figure, tmp_path / "a.png"))) > 50


def test_two_spectra(tmp_path: Path) -> None:
    """Oracle: the second minus the first; a CTI-corrected one says so; 6 % brighter."""
    first = table(tmp_path / "o1_x1d.fits", cells())
    second = table(tmp_path / "o1_x1c.fits", cells(2.12e-15), cards={"PCTECORR": "COMPLETE"})
    figure = gpucti.plot_files([first, second])
    above, below = panels(figure)
    assert [text.get_text().strip() for text in above.get_legend().get_texts()] == [
        "o1_x1d",
        "o1_x1c, CTI-corrected",
        "flagged pixels in the box",
    ]
    np.testing.assert_allclose(
        curves(below)[0].get_ydata(), (cells(2.12e-15)["FLUX"] - cells()["FLUX"]) * 1e15, rtol=1e-4, atol=1e-6
    )
    assert below.get_ylabel() == "x1c − x1d"
    assert below.get_title(loc="left").startswith("median change +6.00 % where the first has S/N above 3")
    low, high = below.get_ylim()
    assert low < 0 < high < 2  # one sigma and the difference, not the wild pixel
    assert above.get_title(loc="left").startswith("STAR")


def test_difference_on_other_wavelengths(tmp_path: Path) -> None:
    """Oracle: a straight line, shifted: the difference is its slope; beyond the overlap there is none."""
    straight = cells() | {"FLUX": 1e-15 * (1 + 0.1 * np.arange(N)), "ERROR": np.full(N, 1e-17)}
    shifted = straight | {"WAVELENGTH": straight["WAVELENGTH"] + 5.0}
    names = [tmp_path / f"o{n}_x1d.fits" for n in (1, 2)]
    figure = gpucti.plot_files([table(names[0], straight), table(names[1], shifted)])
    _, below = panels(figure)
    assert below.get_ylabel() == "second − first"
    difference = curves(below)[0].get_ydata()
    assert np.isnan(difference[:2]).all()
    np.testing.assert_allclose(difference[2:], -0.2, rtol=1e-4)
    far = straight | {"WAVELENGTH": straight["WAVELENGTH"] + 5000.0}
    assert len(panels(gpucti.plot_files([names[0], table(tmp_path / "far_x1d.fits", far)]))) == 1


def test_several_spectra(tmp_path: Path) -> None:
    """Image sets and files overlay; the title says what they have in common; image sets can be chosen."""
    path = table(tmp_path / "o1_x1c.fits", cells(), cells(), cards={"TARGNAME": "A"})
    other = table(tmp_path / "o2_x1c.fits", cells(), cards={"TARGNAME": "B"})
    [axes] = panels(gpucti.plot_files([path, other]))
    labels = [text.get_text().strip() for text in axes.get_legend().get_texts()]
    assert labels[:3] == ["o1_x1c [1]", "o1_x1c [2]", "o2_x1c"]
    assert axes.get_title(loc="left") == "G430L 4300 Å   52X0.2   840 s"
    assert panels(gpucti.plot_files(path))[1].get_ylabel() == "[2] − [1]"
    assert len(curves(panels(gpucti.plot_files(path, imset=2))[0])) == 1
    (tmp_path / "new").mkdir()
    again = table(tmp_path / "new" / "o2_x1c.fits", cells(), cards={"TARGNAME": "B"})
    above, below = panels(gpucti.plot_files([other, again], flags=False))
    assert [t.get_text().strip() for t in above.get_legend().get_texts()] == [
        f"{tmp_path.name}/o2_x1c",
        "new/o2_x1c",
    ]
    assert below.get_ylabel() == "second − first"


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["x", "y"], ["x", "y"]),
        (["A/science/x", "B/science/x"], ["A/…/x", "B/…/x"]),
        (["A/x", "A/science/x", "y"], ["A/x", "science/x", "y"]),
        (["A/1/x", "A/2/x", "B/1/x"], ["A/1/x", "2/x", "B/…/x"]),
        (["A/1/x", "A/2/x", "B/1/x", "B/2/x"], ["A/1/x", "A/2/x", "B/1/x", "B/2/x"]),
        (["here/../A/x", "B/x"], ["A/x", "B/x"]),
    ],
)
def test_labels(names: list[str], labels: list[str]) -> None:
    """Oracle: by hand: no two alike, and no longer than that takes."""
    paths = [Path("/data") / f"{name}.fits" for name in names]
    assert [file_label(path, paths) for path in paths] == labels


def marks(axes: Axes) -> list[tuple[float, float]]:
    """Return the heights of the rows of marks in points, and their size."""
    height = axes.get_window_extent().height * 72 / axes.figure.dpi
    rows = [line for line in axes.lines if line.get_marker() == "|"]
    return [(row.get_ydata()[0] * height, row.get_markersize()) for row in rows]


@pytest.mark.parametrize("count", [1, 2, 3, 6, 14])
def test_rows_of_flags(count: int, tmp_path: Path) -> None:
    """Oracle: each spectrum has a row of its own, below all spectra; the legend keeps off them."""
    figure = gpucti.plot_files(table(tmp_path / "o1_x1d.fits", *[cells()] * count))
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()
    axes = panels(figure)[0]
    rows = marks(axes)
    assert len(rows) == count
    assert all(other - row >= size for (row, size), (other, _) in zip(rows, rows[1:], strict=False))
    height = axes.get_window_extent().height * 72 / figure.dpi
    bottom, top = axes.get_ylim()
    lowest = min(0.0, min(cells()["FLUX"][4:]) * 1e15)
    assert rows[-1][0] + rows[-1][1] / 2 < height * (lowest - bottom) / (top - bottom)
    legend = (axes.get_legend().get_window_extent().y0 - axes.get_window_extent().y0) * 72 / figure.dpi
    assert rows[-1][0] + rows[-1][1] / 2 < legend


def test_the_brightest_line_is_inside(tmp_path: Path) -> None:
    """Oracle: lines of three pixels at a signal to noise of 240, whose errors are 30 times those beside them."""
    given = cells() | {"FLUX": np.full(N, 1e-15), "ERROR": np.full(N, 2e-17)}
    given["FLUX"][40:43] += np.array([0.5, 1.0, 0.5]) * 1.5e-13
    given["ERROR"][40:43] = given["FLUX"][40:43] / 240
    flat = given | {"FLUX": np.full(N, 1e-15)}
    first, second = table(tmp_path / "o1_x1d.fits", flat), table(tmp_path / "o1_x1c.fits", given)
    above, below = panels(gpucti.plot_files([first, second]))
    for axes in (above, below):
        assert max(curves(axes)[-1].get_ydata()) < axes.get_ylim()[1] < 1.3 * max(curves(axes)[-1].get_ydata())
        assert all(len(line.get_xdata()) == 0 for line in axes.lines if line.get_marker() in ("^", "v"))


def test_the_difference_says_what_it_cuts(tmp_path: Path) -> None:
    """Oracle: a wild pixel up and one down are arrow heads in the panel of the difference."""
    other = cells()
    other["FLUX"] = other["FLUX"].copy()
    other["FLUX"][[30, 50]] += np.array([1.0, -1.0]) * 1e-12
    paths = [table(tmp_path / "o1_x1d.fits", cells()), table(tmp_path / "o1_x1c.fits", other)]
    _, below = panels(gpucti.plot_files(paths))
    places = {line.get_marker(): line.get_xdata().tolist() for line in below.lines if line.get_linestyle() == "None"}
    assert places == {"^": [cells()["WAVELENGTH"][30]], "v": [cells()["WAVELENGTH"][50]]}


def echelle(path: Path, orders: range) -> Path:
    """Write a table with a row for each order, as those of the MAMAs are."""
    hdus = stis_hdus(0, NEXTEND=1, OBSTYPE="SPECTROSCOPIC", DETECTOR="FUV-MAMA", OPT_ELEM="E140M", CENWAVE=1425)
    rows = []
    for order in orders:
        row = cells() | {"WAVELENGTH": 149800.0 / order + 0.2 * np.arange(N)}
        rows.append((order, *row.values()))
    kinds = [("SPORDER", "i2"), *((name, "i2" if name == "DQ" else "f8", (N,)) for name in cells())]
    hdu = fits.BinTableHDU(np.array(rows, dtype=kinds), name="SCI")
    for name, unit in UNITS.items():
        hdu.columns[name].unit = unit
    hdu.header["SDQFLAGS"] = 31743
    hdus.append(hdu)
    hdus.writeto(path)
    return path


def test_echelle_spectra(tmp_path: Path) -> None:
    """Oracle: all orders are one curve, neighbours in two shades, with one row of flags; one order is compared."""
    first = echelle(tmp_path / "o1_x1d.fits", range(86, 130))
    second = echelle(tmp_path / "o2_x1d.fits", range(86, 130))
    [axes] = panels(gpucti.plot_files([first, second]))
    assert len(curves(axes)) == 88
    assert [text.get_text().strip() for text in axes.get_legend().get_texts()] == [
        "o1_x1d, orders 86 to 129", "o2_x1d, orders 86 to 129", "flagged pixels in the box",
    ]  # fmt: skip
    colours = [mpl.colors.to_hex(curve.get_color()) for curve in curves(axes)]
    assert len(set(colours)) == 4 and colours[0] != colours[1] != colours[2] == colours[0]
    assert len(marks(axes)) == 2
    assert axes.get_title(loc="left") == "FUV-MAMA   E140M 1425 Å"
    above, _ = panels(gpucti.plot_files([first, second], order=100))
    assert above.get_legend().get_texts()[0].get_text() == " o1_x1d, order 100"
    np.testing.assert_allclose(curves(above)[0].get_xdata(), 1498.0 + 0.2 * np.arange(N))
    with pytest.raises(InputError, match="there is no spectral order 85; it has 86 to 129"):
        gpucti.plot_files(first, order=85)


def test_columns_and_ranges(tmp_path: Path) -> None:
    """Oracle: the table; without FLUXCORR the net counts are drawn, without wavelengths over pixels."""
    path = table(tmp_path / "o1_x1d.fits", cells())
    [axes] = panels(gpucti.plot_files(path, column="gross", xrange=(3020, 3040), yrange=(0, 9), flags=False))
    np.testing.assert_allclose(curves(axes)[0].get_ydata(), cells()["GROSS"], rtol=1e-6)
    assert axes.get_ylabel() == r"gross counts [counts s$^{-1}$]"
    assert axes.get_xlim() == (3020, 3040) and axes.get_ylim() == (0, 9)
    plainly = cells() | {"FLUX": np.zeros(N), "WAVELENGTH": np.zeros(N)}
    [axes] = panels(gpucti.plot_files(table(tmp_path / "o2_x1d.fits", plainly, ERROR=RATE_UNIT)))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("column [pixel]", r"net counts [counts s$^{-1}$]")
    assert curves(axes)[0].get_xdata().tolist() == list(range(1, N + 1))
    [axes] = panels(gpucti.plot_files(path, column="background"))
    assert not axes.collections  # a background has no errors of its own


# ---- images ------------------------------------------------------------------------------------------------------


def test_image(tmp_path: Path) -> None:
    """Oracle: the pixels, and edges at half pixels from 1; flags where DQ has bits of SDQFLAGS."""
    path = stis_file(tmp_path / "o1_flt.fits", 1, shape=(24, 20), OBSTYPE="IMAGING", TARGNAME="M 1")
    figure = gpucti.plot_files(path, flags=True)
    [axes] = panels(figure)
    picture, marks = axes.images
    np.testing.assert_array_equal(picture.get_array(), fits.getdata(path, "SCI", 1).astype(float))
    assert picture.get_extent() == [0.5, 20.5, 0.5, 24.5]
    assert picture.origin == "lower"
    assert [list(place) for place in np.argwhere(~np.ma.getmaskarray(marks.get_array()))] == [[0, 0], [0, 1]]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("column [pixel]", "row [pixel]")
    assert axes.get_title(loc="left") == "o1_flt"
    assert axes.get_title(loc="right") == "read out at the top"
    bar = next(axes for axes in figure.axes if axes.get_label() == "<colorbar>")
    assert bar.get_ylabel() == "signal [counts]"
    assert len(bar.get_yticks()) >= 3
    low, high = picture.norm.vmin, picture.norm.vmax
    assert low < 3 < high  # the sky


def test_images_on_one_scale(tmp_path: Path) -> None:
    paths = [stis_file(tmp_path / f"o{n}_flt.fits", n, seed=n) for n in (1, 2)]
    figure = gpucti.plot_files(paths)
    drawn_panels = panels(figure)
    assert [axes.get_title(loc="left") for axes in drawn_panels] == ["o1_flt", "o2_flt [1 of 2]", "o2_flt [2 of 2]"]
    assert len({id(axes.images[0].norm) for axes in drawn_panels}) == 1
    assert len(panels(gpucti.plot_files(paths[1], imset=2))) == 1


def rectified(path: Path, **cards: Any) -> Path:
    """Write a rectified spectrum: 2 Angstrom and 0.05 arcseconds to the pixel, an empty margin."""
    hdus = stis_hdus(1, shape=(30, 40), OBSTYPE="SPECTROSCOPIC", X2DCORR="COMPLETE", OPT_ELEM="G430L", CENWAVE=4300)
    for name in ("SCI", "ERR"):
        hdus[name, 1].data[:5] = 0
    given = {"CRPIX1": 20.0, "CRVAL1": 4300.0, "CD1_1": 2.0, "CRPIX2": 15.0, "CRVAL2": 0.0, "CD2_2": 0.05 / 3600}
    change(hdus["SCI", 1].header, **(given | {"BUNIT": "erg /s /cm**2 /angstrom /arcsec**2"} | cards))
    hdus.writeto(path)
    return path


def test_rectified_spectrum(tmp_path: Path) -> None:
    """Oracle: the WCS by hand; what is not on the detector is empty, and does not count for the scale."""
    figure = gpucti.plot_files(rectified(tmp_path / "o1_x2d.fits"), xrange=(4280, 4320), yrange=(-0.3, 0.3))
    [axes] = panels(figure)
    np.testing.assert_allclose(axes.images[0].get_extent(), [4261.0, 4341.0, -0.725, 0.775])
    assert np.ma.getmaskarray(np.ma.masked_invalid(axes.images[0].get_array()))[:5].all()
    assert axes.get_xlim() == (4280, 4320) and axes.get_ylim() == (-0.3, 0.3)
    assert axes.get_ylabel() == "along the slit [arcsec]"
    bar = next(axes for axes in figure.axes if axes.get_label() == "<colorbar>")
    assert "arcsec$^{-2}$" in bar.get_ylabel()
    for cards, message in [({"CD1_1": 0.0}, "CD1_1, CD2_2 are 0"), ({"CRPIX2": None}, "CRPIX2 is missing")]:
        bad = rectified(tmp_path / f"{len(message)}_x2d.fits", **cards)
        with pytest.raises(InputError, match=message):
            gpucti.plot_files(bad)


@pytest.mark.slow
@pytest.mark.parametrize("value", [0.0, 7.0, -1e30, np.nan, np.inf])
def test_flat_and_empty_images(value: float, tmp_path: Path) -> None:
    """Nothing but one value, or no number at all, is a picture too."""
    path = stis_file(tmp_path / "o1_flt.fits")
    with fits.open(path, mode="update") as hdus:
        hdus["SCI", 1].data[:] = value
    assert gpucti.plot_files(path, tmp_path / "a.png") == tmp_path / "a.png"
    empty = cells() | {"FLUX": np.full(N, value), "ERROR": np.full(N, np.nan)}
    tables = [table(tmp_path / f"o{n}_x1d.fits", empty) for n in (1, 2)]
    gpucti.plot_files(tables, tmp_path / "b.png", column="flux")


# ---- output ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg", "PNG"])
def test_output(suffix: str, tmp_path: Path) -> None:
    """Oracle: the first bytes of each format; what exists stays; inputs too."""
    path = table(tmp_path / "o1_x1d.fits", cells())
    before = digest(path)
    target = tmp_path / f"a.{suffix}"
    assert gpucti.plot_files(path, target, dpi=40) == target
    starts = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}
    assert target.read_bytes().startswith(starts[suffix.lower()])
    target.write_bytes(b"precious")
    with pytest.raises(OutputExistsError):
        gpucti.plot_files(path, target)
    assert target.read_bytes() == b"precious"
    gpucti.plot_files(path, target, overwrite=True)
    assert digest(path) == before
    assert listing(tmp_path) == sorted(["o1_x1d.fits", target.name])


@pytest.mark.slow
def test_vector_pictures_are_small(tmp_path: Path) -> None:
    """Oracle: below a megabyte for a whole frame of noise; the text is text; no pixel of an SVG is another."""
    path = stis_file(tmp_path / "o1_flt.fits", shape=(1024, 1024), TARGNAME="NOISE")
    for given in ({}, {"flags": True}):
        for suffix in ("pdf", "svg"):
            target = tmp_path / f"a.{suffix}"
            gpucti.plot_files(path, target, overwrite=True, **given)
            assert 100_000 < target.stat().st_size < 1_000_000, (suffix, given)
    assert b"NOISE" in target.read_bytes()
    figure = gpucti.plot_files(path, dpi=50)
    stream = io.BytesIO()
    figure.savefig(stream, format="svg", dpi=50)  # type: ignore[union-attr]
    small = with_palettes(stream.getvalue())
    for before, after in zip(images_in(stream.getvalue()), images_in(small), strict=True):
        np.testing.assert_array_equal(before, after)
    assert with_palettes(small) == small


def images_in(svg: bytes) -> list[np.ndarray]:
    """Return the pixels of the images in an SVG."""
    found = re.findall(rb'data:image/png;base64,([^"]+)"', svg)
    assert found
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGBA")) for text in found]


def test_nothing_global_is_touched(tmp_path: Path) -> None:
    """Oracle: the modules of a fresh process: no pyplot, so no backend is chosen; no matplotlib before it is needed."""
    path = table(tmp_path / "o1_x1d.fits", cells())
    script = f"""
import sys, gpucti
gpucti.plot_files({str(path)!r}, {str(tmp_path / "a.png")!r})
print("matplotlib.pyplot" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
    script = "import sys, gpucti.plots.files; print([n for n in sys.modules if n.startswith('matplotlib')])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_figure_of_the_caller(tmp_path: Path) -> None:
    figure = Figure()
    figure.subplots()
    path = table(tmp_path / "o1_x1d.fits", cells())
    for _ in range(2):
        assert gpucti.plot_files(path, figure=figure) is figure
        assert len(figure.axes) == 1


# ---- hostile input -----------------------------------------------------------------------------------------------


def test_texts_are_drawn_as_they_stand(tmp_path: Path) -> None:
    """Neither formulas nor labels that matplotlib leaves out nor missing glyphs: no warning, no error."""
    name = r"_a$\frac$b_x1d"
    path = table(tmp_path / f"{name}.fits", cells(), cards={"TARGNAME": r"$\sqrt{$^_", "TEXPTIME": "long"})
    figure = gpucti.plot_files(path, tmp_path / "a.png")
    [axes] = panels(gpucti.plot_files(path))
    assert axes.get_legend().get_texts()[0].get_text() == " " + name.replace("$", r"\$")
    assert figure == tmp_path / "a.png"
    assert plain("星 \n\x07") == "? ??"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        odd = stis_file(tmp_path / "星_flt.fits", CCDAMP="$", TARGNAME="a\\b")
        gpucti.plot_files(odd, tmp_path / "b.png")


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in cells().items() if key != name}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (cells() | {"FLUX": np.zeros(N - 1)}, r"column FLUX has the shape \(1, 63\); expected \(1, 64\)"),
        (cells() | {"FLUX": "no flux"}, "column FLUX holds no plain numbers"),
        (cells() | {"WAVELENGTH": 3000.0}, r"column WAVELENGTH has the shape \(1,\)"),
        ({"WAVELENGTH": cells()["WAVELENGTH"]}, "none of the columns FLUX, NET, GROSS, BACKGROUND is there"),
    ],
)
def test_bad_tables(given: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = table(tmp_path / "o1_x1d.fits", given)
    with pytest.raises(InputError, match=message):
        gpucti.plot_files(path)


def test_tables_with_less(tmp_path: Path) -> None:
    """Columns that are not needed may be missing; a table without rows is no spectrum."""
    for name in ("ERROR", "DQ", "NET", "GROSS", "NET_ERROR"):
        path = table(tmp_path / f"no{name}_x1d.fits", without(name))
        gpucti.plot_files([path, path])
    path = table(tmp_path / "net_x1d.fits", without("FLUX"))
    assert panels(gpucti.plot_files(path))[0].get_ylabel().startswith("net counts")
    with pytest.raises(InputError, match="there is no column FLUX"):
        gpucti.plot_files(path, column="flux")
    columns = fits.ColDefs([fits.Column("WAVELENGTH", "4D"), fits.Column("FLUX", "4E")])
    hdus = stis_hdus(0, NEXTEND=1)
    hdus.append(fits.BinTableHDU.from_columns(columns, nrows=0, name="SCI"))
    hdus.writeto(tmp_path / "empty_x1d.fits")
    with pytest.raises(InputError, match="no table of extracted spectra with a row"):
        gpucti.plot_files(tmp_path / "empty_x1d.fits")


def test_refusals(tmp_path: Path) -> None:
    """Each wrong call is one clear error, and writes nothing."""
    spectrum, image = table(tmp_path / "o1_x1d.fits", cells()), stis_file(tmp_path / "o1_flt.fits", 2)
    counts = table(tmp_path / "o2_x1d.fits", cells(), FLUX="Jy")
    neither = tmp_path / "x_pcte.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU(np.zeros(2, dtype=[("A", "f4")]))]).writeto(neither)
    text = tmp_path / "notes.txt"
    text.write_text("no FITS")
    before = listing(tmp_path)
    cases: list[tuple[Any, dict[str, Any], str]] = [
        ([spectrum, image], {}, "do not go into one picture"),
        ([spectrum, counts], {}, "FLUX is in Jy and in erg/s"),
        (neither, {}, "holds neither images"),
        (text, {}, "is not a FITS file"),
        (tmp_path, {}, "is a folder"),
        ([], {}, "no files given"),
        (spectrum, {"output": tmp_path / "a.fits"}, "is no name of a picture"),
        (spectrum, {"output": tmp_path / "png"}, "is no name of a picture"),
        (spectrum, {"output": tmp_path / "gone" / "a.png"}, "there is no folder"),
        (spectrum, {"xrange": (1, 2)}, "nothing lies in the x range; it goes from 3000 to 3157.5 Angstrom"),
        (image, {"xrange": (100, 200)}, "nothing lies in the range"),
        (spectrum, {"yrange": (2, 1)}, "yrange is 2, 1; expected two numbers, the smaller one first"),
        (spectrum, {"xrange": (1, np.inf)}, "xrange is 1, inf"),
        (spectrum, {"xrange": 5}, "xrange is 5; expected two numbers"),
        (spectrum, {"xrange": "ab"}, "xrange is 'ab'"),
        (spectrum, {"column": "colour"}, "column is 'colour'"),
        (image, {"column": "net"}, "is an image; leave it out"),
        (spectrum, {"imset": 2}, "there is no spectrum of image set 2; it has 1"),
        (image, {"imset": 3}, "there is no image set 3; it has 2"),
        (image, {"imset": 0}, "imset is 0"),
        (image, {"imset": True}, "imset is True"),
        (image, {"dpi": 5}, "dpi is 5"),
        (image, {"order": 1}, "order is 1, but"),
        (spectrum, {"order": 0}, "order is 0"),
        (spectrum, {"order": 2}, "there is no spectral order 2; it has 1"),
        (stis_file(tmp_path / "many_flt.fits", 13), {}, "13 image sets do not fit into one picture"),
        (table(tmp_path / "many_x1d.fits", *[cells()] * 15), {}, "15 spectra cannot be told apart"),
    ]
    for files, given, message in cases:
        with pytest.raises(InputError, match=message):
            gpucti.plot_files(files, **({"output": tmp_path / "a.png"} | given))
    with pytest.raises(MissingFileError):
        gpucti.plot_files(tmp_path / "gone.fits")
    assert listing(tmp_path) == sorted([*before, "many_flt.fits", "many_x1d.fits"])


@pytest.mark.slow
def test_one_bad_file_costs_no_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the good ones are drawn, the picture and the error name the others, the command ends with 1."""
    good = table(tmp_path / "o1_x1d.fits", cells())
    bad = tmp_path / "o1_asn.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU(np.zeros(2, dtype=[("A", "f4")]))]).writeto(bad)
    cut = tmp_path / "o3_x1d.fits"
    cut.write_bytes(good.read_bytes()[:6000])
    target = tmp_path / "a.png"
    with quiet_astropy(), pytest.raises(SomeFailedError) as caught:
        gpucti.plot_files([good, bad, cut], target)
    assert [failure.item for failure in caught.value.failures] == [str(bad), str(cut)]
    assert caught.value.done == (target,) and target.is_file()
    assert caught.value.failures[0].reason.startswith("is an association table; expected images")
    with pytest.warns(UserWarning, match="not drawn: .*o1_asn.fits: is an association table"):
        figure = gpucti.plot_files([good, bad])
    assert len(curves(panels(figure)[0])) == 1
    assert figure.get_supxlabel() == "not drawn: o1_asn"  # type: ignore[union-attr]
    assert cli.main(["plot", str(good), str(bad), "-o", str(target), "--overwrite"]) == 1
    out, err = capsys.readouterr()
    assert out == f"{target} written\n" and "1 of 2 could not be treated" in err and "o1_asn.fits: is an" in err
    target.unlink()
    with pytest.raises(
        InputError, match=r"none of the 2 files can be drawn:\n.*asn.*\n.*x1d.fits: there is no spectrum"
    ):
        gpucti.plot_files([bad, good], target, imset=2)
    assert not target.exists()
    image = stis_file(tmp_path / "o1_flt.fits")
    far = stis_file(tmp_path / "o2_flt.fits", shape=(90, 80))
    with pytest.raises(SomeFailedError, match="o1_flt.fits: nothing lies in the range"):
        gpucti.plot_files([image, far], target, xrange=(50, 60))


@pytest.mark.parametrize(
    ("name", "cards", "what"),
    [
        ("o1_spt", {"FILETYPE": "SPT"}, "a support file"),
        ("o1_jit", {"FILETYPE": "JTB"}, "a jitter table"),
        ("o1_trl", {}, "a trailer"),
        ("x_lmp", {"FILETYPE": "LAMP TABLE", "USEAFTER": "Oct 01 1996"}, "the reference table LAMPTAB"),
    ],
)
def test_what_there_is_nothing_to_draw_of(name: str, cards: dict[str, str], what: str, tmp_path: Path) -> None:
    """Oracle: the archive's FILETYPE and suffixes; a reference table of wavelengths and fluxes is no spectrum."""
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU(np.zeros(2, dtype=[("WAVELENGTH", "f4"), ("A", "f4")]))])
    if cards.get("FILETYPE") != "LAMP TABLE":
        hdus[1].columns["WAVELENGTH"].name = "B"
    hdus[0].header.update(cards)
    hdus.writeto(tmp_path / f"{name}.fits")
    with pytest.raises(InputError, match=f"is {what}.*; expected images"):
        gpucti.plot_files(tmp_path / f"{name}.fits")


def test_words() -> None:
    """Oracle: units as the files have them, powers of ten by hand."""
    assert unit_text("") == ""
    assert unit_text("COUNTS", 3) == r" [$10^{3}$ counts]"
    assert unit_text("Jy $") == r" [Jy \$]"
    assert [power_of_ten(np.array([-v, 0.0])) for v in (3e-15, 0.02, 0.001, 500.0, 2e6, np.inf, 0.0)] == [
        -15, 0, -3, 0, 6, 0, 0,
    ]  # fmt: skip


# ---- real tables, and the command --------------------------------------------------------------------------------


@pytest.mark.golden
def test_golden_tables(golden_visit: Path, tmp_path: Path) -> None:
    """Oracle: CalSTIS's tables; the correction makes the star of the golden visit 7 to 8 % brighter."""
    expected = golden_visit / "expected"
    paths = [expected / "5_plain_calstis" / "osy102010_sx1.fits", expected / "4_products" / "osy102010_s1c.fits"]
    above, below = panels(gpucti.plot_files(paths))
    for curve, path in zip(curves(above), paths, strict=True):
        [spectrum] = read_spectra(path)
        np.testing.assert_allclose(curve.get_ydata(), spectrum.columns["FLUX"] * 1e15, rtol=1e-12)
    assert below.get_title(loc="left").startswith("median change +7.6")
    assert gpucti.plot_files(paths, tmp_path / "a.png").stat().st_size > 50_000  # type: ignore[union-attr]


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = table(tmp_path / "o1_x1d.fits", cells())
    target = tmp_path / "a.png"
    given = ["--column", "net", "-x", "3010", "3100", "--no-flags", "--dpi", "50"]
    assert cli.main(["plot", str(path), "-o", str(target), *given]) == 0
    assert capsys.readouterr() == (f"{target} written\n", "")
    assert cli.main(["plot", str(path), "-o", str(target)]) == 1
    assert "the output exists" in capsys.readouterr().err
    assert cli.main(["plot", "-o", str(target)]) == 2
    assert cli.main(["plot", str(path), "--column", "colour"]) == 2


def test_window(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without -o the picture is drawn into a window; without a display that is an error that says what to do."""
    path = table(tmp_path / "o1_x1d.fits", cells())
    figure, shown = Figure(), []
    with monkeypatch.context() as patch:
        patch.setattr("gpucti.cli.spectra._window", lambda: (figure, lambda: shown.append(len(figure.axes))))
        assert cli.main(["plot", str(path)]) == 0
    assert shown == [1]
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    done = subprocess.run(
        [sys.executable, "-m", "gpucti.cli", "plot", str(path)],
        env=environment | {"MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no display for a window; name a picture to write, -o FILE.png." in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["module://matplotlib_inline_that_is_not_here.backend_inline", "nonsense"])
def test_mplbackend_of_a_notebook(backend: str, tmp_path: Path) -> None:
    """Oracle: pictures are written whatever MPLBACKEND says; a window is one line; in Python the variable is named."""
    path = table(tmp_path / "o1_x1d.fits", cells())
    environment = os.environ | {"MPLBACKEND": backend}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        call = [sys.executable, *arguments]
        return subprocess.run(call, env=environment, capture_output=True, text=True, check=False)

    done = run("-m", "gpucti", "plot", str(path), "-o", str(tmp_path / "a.png"))
    assert (done.returncode, done.stderr) == (0, "") and (tmp_path / "a.png").stat().st_size > 1000
    done = run("-m", "gpucti", "plot", str(path))
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "name a picture to write, -o FILE.png." in done.stderr.splitlines()[-1]
    done = run("-c", f"import gpucti; gpucti.plot_files({str(path)!r}, {str(tmp_path / 'b.png')!r})")
    if done.returncode:  # matplotlib refuses to be imported
        assert "MissingPackageError: matplotlib is installed but cannot be imported (" in done.stderr.splitlines()[-1]
        assert "unset MPLBACKEND" in done.stderr.splitlines()[-1]


def test_without_matplotlib(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: one line says what to install."""
    path = table(tmp_path / "o1_x1d.fits", cells())
    with mock.patch.dict(sys.modules, {"matplotlib": None, "matplotlib.figure": None}):
        assert cli.main(["plot", str(path), "-o", str(tmp_path / "a.png")]) == 1
    assert capsys.readouterr().err.endswith("; pip install matplotlib\n")


def test_settings_of_matplotlib_are_left_alone(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    gpucti.plot_files(stis_file(tmp_path / "o1_flt.fits"), tmp_path / "a.png", dpi=30)
    assert dict(mpl.rcParams) == before
