"""Every file as the archive delivers it goes through `plot`: a picture that shows what is in it, or what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes

import gpucti
from gpucti import cli
from gpucti.errors import InputError
from gpucti.plots.extracted import read_spectra

#: What each file is in which there is nothing to draw.
BESIDE = {
    "o56502010_asn": "an association table",
    "odlm21050_asn": "an association table",
    "o56502010_spt": "a support file",
    "ocmv0lw6q_spt": "a support file",
    "octka7jeq_spt": "a support file",
    "o56502010_wsp": "a support file of the wavecal",
    "o56502010_jit": "a jitter table",
    "odlm21050_jit": "a jitter table",
    "o56502010_jwt": "a jitter table",
    "o56502010_jif": "a jitter image",
    "o56502010_trl": "a trailer",
    "odlm21050_trl": "a trailer",
    "16j16005o_apd": "the reference table APDESTAB",
    "16j1600co_wcp": "the reference table WCPTAB",
    "y2i1649no_imp": "the reference table IMPHTTAB",
}
#: Title, panels and colour bars of the images.
IMAGES = {
    "o56502010_raw": ("NGC1068-SEQ1   G430M 4961 Å   52X0.2   2585 s   1999-10-02", 2, 1),
    "o56502020_raw": ("NGC1068-SEQ1   G430M 4961 Å   52X0.2   2775 s   1999-10-02", 2, 1),
    "o56502030_raw": ("NGC1068-SEQ1   G430M 4961 Å   52X0.2   2775 s   1999-10-02", 2, 1),
    "o56502040_raw": ("NGC1068-SEQ1   G430M 4961 Å   52X0.2   2775 s   1999-10-02", 2, 1),
    "o4sp040b0_raw": ("HD101998   G750M 8561 Å   0.2X0.2   120 s   1998-04-20", 2, 1),
    "ocmv0lw6q_raw": ("CD-59D3300   ACQ   MIRVIS   F25ND3   subarray 100 × 100   1.1 s   2016-09-29", 3, 3),
    "octka7jeq_raw": (
        "HD-84937   ACQ/PEAK   G430L 4300 Å   0.2X0.09   subarray 1022 × 32   0.2 s   2016-05-09", 2, 1,
    ),
    "o4er06llq_raw": (
        "NGC6752-UIT1   ACQ/PEAK   MIRVIS   52X0.2   subarray 32 × 32   0.736093 s   1998-03-03", 2, 1,
    ),
}  # fmt: skip
#: Those that are as another.
ALIKE = ("o56502020_raw", "o56502030_raw", "o56502040_raw")
#: Where the brightest line of a spectrum is, Angstrom: [O III], the continuum between bands of TiO, Lyman alpha.
SPECTRA = {"o56502010_sx1": 5034.6, "odlm21010_sx1": 5445.7, "odlm21050_x1d": 1215.5}


def panels(figure: Any) -> list[Axes]:
    return [axes for axes in figure.axes if axes.get_visible() and axes.get_label() != "<colorbar>"]


@pytest.mark.parametrize("name", SPECTRA)
def test_spectra(name: str, real_files: Path) -> None:
    """Oracle: the table: its highest point of a signal to noise above 50 is inside, not lost at the bottom."""
    path = real_files / f"{name}.fits"
    [spectrum] = read_spectra(path)
    flux, error = spectrum.columns["FLUX"], spectrum.error("FLUX")
    assert error is not None
    peak = int(np.argmax(np.where(flux > 50 * error, flux, -np.inf)))
    assert spectrum.wavelength[peak] == pytest.approx(SPECTRA[name], abs=0.5)
    [axes] = panels(gpucti.plot_files(path))
    curve = next(line for line in axes.lines if line.get_drawstyle() == "steps-mid")
    low, high = axes.get_ylim()
    assert low < curve.get_ydata()[peak] < high < 1.5 * curve.get_ydata()[peak]
    beyond = [x for line in axes.lines if line.get_marker() == "^" for x in line.get_xdata()]
    assert len(beyond) < 6  # the ends of G430L, where nothing is seen


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in ALIKE else []) for name in IMAGES]
)
def test_images(name: str, real_files: Path) -> None:
    """Oracle: the headers; the data lie on the scale; ticks where the sky is."""
    figure: Any = gpucti.plot_files(real_files / f"{name}.fits")
    title, count, scales = IMAGES[name]
    bars = [axes for axes in figure.axes if axes.get_label() == "<colorbar>"]
    assert (figure.get_suptitle(), len(panels(figure)), len(bars)) == (title, count, scales)
    for axes in [axes for axes in panels(figure) if "step" not in axes.get_xlabel()]:
        picture = axes.images[0]
        middle = float(np.nanmedian(np.ma.getdata(picture.get_array())))
        place = float(picture.norm(middle))
        bar = next(bar for bar in bars if np.allclose(bar.get_ylim(), (picture.norm.vmin, picture.norm.vmax)))
        assert 0 < place < 0.6
        assert min(abs(float(picture.norm(tick)) - place) for tick in bar.get_yticks()) < 0.17
    if "ACQ" in title:
        assert panels(figure)[0].get_xlabel() == "column of the detector [pixel]"
        assert "bias" not in bars[0].get_ylabel()  # taken off on board
    else:
        assert bars[0].get_ylabel() == "signal and bias [counts], one scale for all"


@pytest.mark.parametrize("name", BESIDE)
def test_what_lies_beside(name: str, real_files: Path) -> None:
    """Oracle: the archive's list of file types."""
    with pytest.raises(InputError, match=rf"is {BESIDE[name]}.*; expected images \(.*\) or extracted spectra"):
        gpucti.plot_files(real_files / f"{name}.fits")


def test_none_is_forgotten(real_files: Path) -> None:
    """Oracle: the folder."""
    names = {path.name.removesuffix(".fits") for path in real_files.glob("*.fits")}
    assert names == {*BESIDE, *IMAGES, *SPECTRA}


def test_a_folder_of_the_archive(real_files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the spectrum is drawn, the files beside it are named, each with what it is."""
    beside = [name for name in BESIDE if name.startswith("odlm21050")]
    given = [str(real_files / f"{name}.fits") for name in ["odlm21050_x1d", *beside]]
    assert cli.main(["plot", *given, "-o", str(tmp_path / "a.png"), "--dpi", "30"]) == 1
    out, err = capsys.readouterr()
    assert out == f"{tmp_path / 'a.png'} written\n" and "3 of 4 could not be treated" in err
    assert all(f"{name}.fits: is {BESIDE[name]}" in err for name in beside)
    assert (tmp_path / "a.png").stat().st_size > 5000
