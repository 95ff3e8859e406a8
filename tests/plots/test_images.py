"""Images as pictures: of every mode and detector, with the right coordinates, names, units and scales."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import gpucti
from gpucti.errors import InputError
from gpucti.io.fitsfile import read_hdus
from gpucti.plots.frames import frames_of
from support.stis_files import change, imset_hdus, null_hdu, star_field, stis_file, stis_hdus

SUBARRAY = {"SUBARRAY": True, "SIZAXIS1": 20, "SIZAXIS2": 24}


def panels(figure: Any) -> list[Axes]:
    assert isinstance(figure, Figure)
    return [axes for axes in figure.axes if axes.get_visible() and axes.get_label() != "<colorbar>"]


def bars(figure: Any) -> list[str]:
    return [axes.get_ylabel() for axes in figure.axes if axes.get_label() == "<colorbar>"]


def title(figure: Any) -> str:
    return str(figure.get_suptitle())


def changed(path: Path, level: float = 0.0, unit: str = "COUNTS", **cards: Any) -> Path:
    """Write an image with a higher sky and other cards."""
    hdus = stis_hdus(1, **cards)
    hdus["SCI", 1].data += np.float32(level)
    change(hdus["SCI", 1].header, BUNIT=unit)
    hdus.writeto(path)
    return path


def acquisition(path: Path) -> Path:
    """Write an acquisition: two images of 24 x 20 pixels and a smaller one of the lamp."""
    hdus = stis_hdus(2, NEXTEND=9, OBSMODE="ACQ", OPT_ELEM="MIRVIS", APERTURE="F28X50LP", BLEVCORR="OMIT", **SUBARRAY)
    hdus.extend(imset_hdus(3, star_field(5, (6, 8))))
    for number, (ltv1, ltv2) in enumerate([(-467.0, -465.0)] * 2 + [(-502.0, -500.0)], start=1):
        change(hdus["SCI", number].header, LTV1=ltv1, LTV2=ltv2)
    hdus.writeto(path)
    return path


def test_acquisition(tmp_path: Path) -> None:
    """Oracle: the STIS Data Handbook on what the three images are; pixel 1 of the image is 1 - LTV of the detector."""
    figure = gpucti.plot_files(acquisition(tmp_path / "oacq_raw.fits"))
    first, second, lamp = panels(figure)
    assert title(figure) == "ACQ   MIRVIS   F28X50LP   subarray 20 × 24"
    assert first.get_title(loc="left") == "oacq_raw [1 of 3], as pointed"
    assert lamp.get_title(loc="left") == "oacq_raw [3 of 3], reference aperture, lamp\nread out at the top"
    assert first.images[0].get_extent() == [467.5, 487.5, 465.5, 489.5]
    assert lamp.get_xlim() == (502.5, 510.5) and lamp.get_ylim() == (500.5, 506.5)
    assert first.get_xlabel() == "column of the detector [pixel]"
    assert first.images[0].norm is second.images[0].norm is not lamp.images[0].norm
    assert bars(figure) == ["signal [counts]\nshared scale A"] * 2 + ["signal [counts]\nown scale"]
    [part] = panels(gpucti.plot_files(tmp_path / "oacq_raw.fits", imset=3, xrange=(503, 506)))
    assert part.get_xlim() == (503, 506)


@pytest.mark.parametrize("shape", [(1, 5), (3, 3)])
def test_peakup(shape: tuple[int, int], tmp_path: Path) -> None:
    """Oracle: the counts at the steps stand in the boxes; NEXTEND is 4; the confirmation image is beside them."""
    hdus = stis_hdus(1, NEXTEND=4, OBSMODE="ACQ/PEAK", OPT_ELEM="MIRVIS", **SUBARRAY)
    steps = np.arange(shape[0] * shape[1], dtype=np.int32).reshape(shape) * 1000
    hdus.append(fits.ImageHDU(steps, name="PEAKUP"))
    hdus.writeto(tmp_path / "opk_raw.fits")
    figure = gpucti.plot_files(tmp_path / "opk_raw.fits", flags=True)
    confirmation, search = panels(figure)
    assert [text.get_text() for text in search.texts] == [str(value) for value in steps.flat]
    assert [text.get_position() for text in search.texts][-1] == (shape[1], shape[0])
    assert search.get_title(loc="left") == "opk_raw, counts at each step"
    assert confirmation.get_title(loc="left") == "opk_raw, confirmation image"
    assert bars(figure) == ["signal [counts]"]
    assert len(panels(gpucti.plot_files(tmp_path / "opk_raw.fits", imset=1))) == 1


def test_coordinates(tmp_path: Path) -> None:
    """Oracle: by hand: binned subarrays in unbinned pixels; all else, also with overscan, from 1."""
    hdus = stis_hdus(1, **SUBARRAY)
    change(hdus["SCI", 1].header, LTV1=-9.75, LTV2=-20.0, LTM1_1=0.5)
    hdus.writeto(tmp_path / "binned_flt.fits")
    [binned] = panels(gpucti.plot_files(tmp_path / "binned_flt.fits"))
    assert binned.images[0].get_extent() == [20.5, 60.5, 20.5, 44.5]
    change(hdus[0].header, SUBARRAY=False)
    hdus.writeto(tmp_path / "full_flt.fits")
    [full] = panels(gpucti.plot_files(tmp_path / "full_flt.fits"))
    assert full.images[0].get_extent() == [0.5, 20.5, 0.5, 24.5] and full.get_ylabel() == "row [pixel]"
    change(hdus[0].header, SUBARRAY=True)
    change(hdus["SCI", 1].header, LTM1_1=0.0)
    hdus.writeto(tmp_path / "bad_flt.fits")
    with pytest.raises(InputError, match="LTM1_1 is 0"):
        gpucti.plot_files(tmp_path / "bad_flt.fits")


def test_long_images_fill_their_panel(tmp_path: Path) -> None:
    """Oracle: 1022 x 32 pixels of a peak-up would be a line of a few points."""
    long = stis_file(tmp_path / "long_flt.fits", shape=(8, 40))
    square = stis_file(tmp_path / "square_flt.fits", shape=(8, 30))
    assert panels(gpucti.plot_files(long))[0].get_aspect() == "auto"
    assert panels(gpucti.plot_files(square))[0].get_aspect() == 1.0
    assert panels(gpucti.plot_files(long, xrange=(1, 9)))[0].get_aspect() == 1.0


def test_raw_beside_calibrated(tmp_path: Path) -> None:
    """Oracle: a bias of 1500 counts makes every other scale useless; before and after the correction share one."""
    raw = changed(tmp_path / "o1_raw.fits", 1500.0, BLEVCORR="PERFORM")
    crj, crc = (changed(tmp_path / f"o1_{suffix}.fits") for suffix in ("crj", "crc"))
    figure = gpucti.plot_files([raw, crj, crc])
    norms = [axes.images[0].norm for axes in panels(figure)]
    assert norms[0] is not norms[1] is norms[2]
    assert bars(figure) == ["signal and bias [counts]\nown scale"] + ["signal [counts]\nshared scale A"] * 2
    assert norms[0].vmin > 1400 and norms[1].vmin < 0
    together = gpucti.plot_files([crj, crc])
    assert bars(together) == ["signal [counts], one scale for all"]
    [alone] = bars(gpucti.plot_files(raw))
    assert alone == "signal and bias [counts]"
    ticks = [axes for axes in gpucti.plot_files(raw).axes if axes.get_label() == "<colorbar>"][0].get_yticks()
    assert len(ticks) >= 3 and min(abs(tick - 1503) for tick in ticks) < 8
    spectrum = changed(tmp_path / "o2_crc.fits", OBSTYPE="SPECTROSCOPIC")
    assert len({id(axes.images[0].norm) for axes in panels(gpucti.plot_files([crj, spectrum]))}) == 2


SUPERDARK = {
    "FILETYPE": "DARK IMAGE", "CCDAMP": "ANY", "CCDGAIN": -1, "OPT_ELEM": "ANY", "APERTURE": "ANY", "OBSTYPE": "ANY",
    "BLEVCORR": None, "PEDIGREE": "INFLIGHT 14/03/2012 18/03/2012", "TASKNAME": "WEEKDARK", "PCTECORR": "COMPLETE",
    "DESCRIP": "Weekly gain=1 dark for STIS CCD data taken after Mar 14 2012-------",
}  # fmt: skip


def test_superdark(tmp_path: Path) -> None:
    """Oracle: refstis's keywords in words; electrons per second, which no BUNIT says (CalSTIS's dark correction)."""
    path = changed(tmp_path / "d117_2_drk.fits", unit="", **SUPERDARK)
    figure = gpucti.plot_files(path)
    assert title(figure) == "super-dark   weekdark   CCD   gain 1   2012-03-14 to 2012-03-18"
    assert bars(figure) == ["signal [electrons s$^{-1}$]"]
    [axes] = panels(figure)
    assert axes.get_title(loc="left") == "d117_2_drk, CTI-corrected" and axes.get_title(loc="right") == ""
    bias = changed(
        tmp_path / "x_bia.fits", unit="", **{**SUPERDARK, "FILETYPE": "BIAS IMAGE", "CCDGAIN": 4, "PEDIGREE": "GROUND"}
    )
    figure = gpucti.plot_files(bias)
    assert title(figure) == "bias image   CCD   gain 4" and bars(figure) == ["signal [counts]"]
    both = gpucti.plot_files([path, bias])
    assert title(both) == "CCD" and len(set(bars(both))) == 2


def test_other_detectors(tmp_path: Path) -> None:
    """Oracle: a MAMA image is drawn and named; one of another instrument is refused by its name."""
    mama = changed(tmp_path / "om_flt.fits", DETECTOR="NUV-MAMA", CCDAMP=None, OPT_ELEM="MIRNUV")
    figure = gpucti.plot_files(mama)
    assert title(figure) == "NUV-MAMA   MIRNUV" and panels(figure)[0].get_title(loc="right") == ""
    with pytest.raises(InputError, match=r"INSTRUME is 'ACS'; expected 'STIS'"):
        gpucti.plot_files(changed(tmp_path / "j_flt.fits", INSTRUME="ACS"))


def test_frames(tmp_path: Path) -> None:
    """Oracle: extensions may be null, of another size, or missing: what is there is drawn."""
    hdus = stis_hdus(1)
    del hdus["ERR"]
    hdus["DQ"].data = hdus["DQ"].data[:5]
    hdus.extend([null_hdu("SCI", 2, (3, 4), 7.0)])
    hdus.writeto(tmp_path / "odd_flt.fits")
    first, second = frames_of(read_hdus(tmp_path / "odd_flt.fits")[0], tmp_path / "odd_flt.fits")
    assert first.err is first.dq is first.flagged is None
    np.testing.assert_array_equal(second.pixels, np.full((3, 4), 7.0))
    assert len(panels(gpucti.plot_files(tmp_path / "odd_flt.fits", flags=True))) == 2
    for number, (bad, message) in enumerate(
        {
            "twice": (imset_hdus(1, star_field())[:1], "a second extension SCI,1"),
            "cube": ([fits.ImageHDU(np.zeros((2, 3, 4)), name="SCI", ver=2)], r"the shape is \(2, 3, 4\)"),
            "empty": ([fits.ImageHDU(name="SCI", ver=2)], r"holds no pixels \(NAXIS = 0\)"),
        }.values()
    ):
        broken = stis_hdus(1)
        broken.extend(bad)
        broken.writeto(tmp_path / f"{number}_flt.fits")
        with pytest.raises(InputError, match=message):
            gpucti.plot_files(tmp_path / f"{number}_flt.fits")


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2, 3, 6, 12])
def test_texts_do_not_run_into_each_other(count: int, tmp_path: Path) -> None:
    """Oracle: the boxes of the drawn texts: none lies on another, none is cut off."""
    paths = [changed(tmp_path / f"o{n}01010_flc.fits", PCTECORR="COMPLETE") for n in range(count - 1)]
    figure = gpucti.plot_files(
        [*paths, changed(tmp_path / f"{'long_' * count}flc.fits", unit="Jy", PCTECORR="COMPLETE")]
    )
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()
    boxes = []
    for axes in [axes for axes in figure.axes if axes.get_visible()]:
        texts = [axes.title, axes._left_title, axes._right_title, axes.xaxis.label, axes.yaxis.label]
        boxes += [text.get_window_extent() for text in texts if text.get_text() and text.get_visible()]
    for index, box in enumerate(boxes):
        assert -1 <= box.x0 and box.x1 <= figure.bbox.width + 1, index
        assert -1 <= box.y0 and box.y1 <= figure.bbox.height + 1, index
        assert not any(box.overlaps(other) for other in boxes[:index]), index
