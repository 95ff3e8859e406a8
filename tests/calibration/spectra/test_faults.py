"""Spectra that cannot be made, or only in part: what `gpucti correct` then does, says and leaves.

Oracle: CalSTIS 3.5.0 (``cs0``), run by hand on files spoilt in the same way: what it makes, or that it fails. Where it
ends with success and without a product, or goes on with a table that makes no sense, ours says so or stops. What single
tables and headers may hold is looked at in test_wavecal.py, test_rectify.py, test_extract.py and
test_spectral_tables.py.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from gpucti import cli
from gpucti.pipeline.planning.planner import plan
from gpucti.pipeline.running.run import correct
from support.visits import Case, Contents, edit, finished_copy, leftovers, outputs, seen

ROOT = "ogv102010"
RAW, WAVECAL = f"{ROOT}_raw.fits", f"{ROOT}_wav.fits"
#: Counts of a frame without light.
BIAS, NOISE = 1504.0, 5.6
#: What raw files store as signed numbers for a count of zero.
ZERO = -32768


@pytest.fixture
def undone(finished: Case, tmp_path: Path) -> Case:
    """Return a copy of the finished visit with reference files of its own and without the products of the spectrum."""
    case = finished_copy(finished, tmp_path / "run")
    for path in case.science.glob(f"{ROOT}_*"):
        if path.name not in (RAW, WAVECAL):
            path.unlink()
    for path in case.science.glob("*.log"):
        path.unlink()
    oref = tmp_path / "run" / "oref"
    oref.mkdir()
    for path in case.oref.iterdir():
        os.link(path, oref / path.name)
    return replace(case, oref=oref)


def made(case: Case) -> list[str]:
    """Return the kinds of files that there are of the spectrum."""
    kinds = {path.stem.removeprefix(f"{ROOT}_") for path in case.science.glob(f"{ROOT}_???.fits")}
    return sorted(kinds - {"raw", "wav"})


def one_failure(code: int, err: str, *words: str) -> None:
    """Check that the spectrum failed with these words, and nothing else did."""
    assert code == 1 and "Traceback" not in err and "gpucti: error: " not in err, err
    assert err.count("gpucti: FAILED ") == 1, err
    message = err.partition("gpucti: FAILED ")[2]
    for word in (RAW, *words):
        assert word in message, message


def run(case: Case, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str, str]:
    """Run the command in this process; return its exit code and what it printed."""
    capsys.readouterr()
    code = cli.main([*case.arguments, *more])
    out, err = capsys.readouterr()
    assert leftovers(case) == []
    return code, out, err


def no_light(pixels: Any) -> Any:
    """Return a raw frame of noise alone; of this noise come shifts of 20 pixels and more."""
    noise = np.random.default_rng(1).normal(BIAS, NOISE, pixels.shape)
    return (noise.round() + ZERO).astype(pixels.dtype)


def flag_everything(case: Case) -> None:
    """Flag every pixel of the raw spectrum as bad."""
    with fits.open(case.science / RAW) as hdus:
        shape = hdus["SCI", 1].shape
    edit(case.science / RAW, 3, pixels=lambda _: np.full(shape, 4, dtype=np.int16))


def off_the_chip(case: Case) -> None:
    edit(case.science / RAW, WAVECORR="OMIT")
    edit(case.science / RAW, 1, SHIFTA2=5000.0)


# ---- what CalSTIS leaves out without a word --------------------------------------------------------------


#: By what happened: what is done to the visit, what there is afterwards (as of CalSTIS), and what is said.
PARTS: dict[str, tuple[Callable[[Case], object], list[str], list[str]]] = {
    "a wavecal without exposure time": (
        lambda case: edit(case.science / WAVECAL, TEXPTIME=0.0),
        ["cte", "flc"],
        [
            f"WAVECORR is PERFORM, but nothing can be seen in the wavecal {WAVECAL}",
            "No x2c (rectified): nothing can be seen",
            "No x1c (extracted spectrum): nothing can be seen",
        ],
    ),
    "a wavecal without light": (
        lambda case: edit(case.science / WAVECAL, 1, pixels=lambda pixels: np.full_like(pixels, ZERO)),
        ["cte", "flc"],
        [
            f"WAVECORR is PERFORM, but nothing can be seen in the wavecal {WAVECAL}",
            "No x2c (rectified): nothing can be seen",
            "No x1c (extracted spectrum): nothing can be seen",
        ],
    ),
    "all pixels flagged": (
        flag_everything,
        ["cte", "flc", "x2c"],
        ["No x1c (extracted spectrum): No spectrum from image set 1: no pixel without flags lies on the image"],
    ),
    "no trace": (
        lambda case: edit(case.science / RAW, 1, pixels=no_light),
        ["cte", "flc", "x2c"],
        ["No x1c (extracted spectrum): No spectrum from image set 1: the brightest of "],
    ),
    "a spectrum off the chip": (
        off_the_chip,
        ["cte", "flc", "x2c"],
        ["No x1c (extracted spectrum): No spectrum from image set 1: no pixel without flags lies on the image"],
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", PARTS)
def test_what_is_not_made_is_said(undone: Case, capsys: pytest.CaptureFixture[str], what: str) -> None:
    """Oracle: CalSTIS: these products and success. Ours are the same, and each that is missing is told with the reason:
    at the end of the run, in its log, and in the trailer."""
    spoil, kinds, sentences = PARTS[what]
    spoil(undone)
    _, out, _ = run(undone, capsys)
    assert made(undone) == kinds
    (log,) = undone.science.glob("*.log")
    trailer = (undone.science / f"{ROOT}_trc.txt").read_text()
    for sentence in sentences:
        assert f"not made: {ROOT}: {sentence}" in " ".join(out.split())
        assert sentence in log.read_text() and sentence in trailer
    if what == "no trace":  # a second run has nothing to do, and does not call it complete
        it = plan(*undone.folders, **undone.options)
        assert [(task.reuse, f"see {ROOT}_trc.txt" in task.why) for task in it.science if task.root == ROOT] == [
            (True, True)
        ]


def test_all_is_flagged_in_what_is_made(undone: Case) -> None:
    """Oracle: CalSTIS: an image is made of a spectrum off the chip, and says in every pixel that it is nothing."""
    off_the_chip(undone)
    correct(*undone.folders, **undone.options)
    with fits.open(undone.science / f"{ROOT}_x2c.fits") as hdus:
        assert not hdus["SCI"].data.any() and (hdus["DQ"].data != 0).all()
    assert "lies beside the detector" in (undone.science / f"{ROOT}_trc.txt").read_text()


def test_quiet_is_not_silent(undone: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: never exit code 0 with a product silently absent, however quiet the run is to be."""
    edit(undone.science / WAVECAL, TEXPTIME=0.0)
    code, out, err = run(undone, capsys, "-v", "0")
    assert code != 0 or "No x1c" in out + err


@pytest.mark.slow
def test_a_shift_out_of_noise_is_said(undone: Case) -> None:
    """Oracle: a lamp that was not lit says nothing of the wavelengths, whatever correlates best with its noise."""
    edit(undone.science / WAVECAL, 1, pixels=no_light)
    report = correct(*undone.folders, **undone.options)
    assert any("SHIFTA1" in sentence for sentence in report.doubts)
    assert report.omitted == () and made(undone) == ["cte", "flc", "x1c", "x2c"]
    assert "not made:" not in report.summary() and "doubtful: " in report.summary()


# ---- what ends the spectrum, and the spectrum alone ------------------------------------------------------


@pytest.mark.slow
def test_no_wavecal(undone: Case, expected: Contents, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: CalSTIS crashes. The plan names it, nothing is made; with it the next run finishes."""
    wavecal = undone.science / WAVECAL
    content = wavecal.read_bytes()
    wavecal.unlink()
    before = seen(*undone.folders)
    (failure,) = plan(*undone.folders, **undone.options).failures
    assert failure.item.endswith(RAW) and "WAVECAL" in failure.reason and WAVECAL in failure.reason
    code, _, err = run(undone, capsys)
    one_failure(code, err, failure.reason.splitlines()[0])
    assert seen(*undone.folders) == before
    wavecal.write_bytes(content)
    correct(*undone.folders, **undone.options)
    assert list(outputs(undone)) == list(expected)


def cells(table: str, **values: Any) -> Callable[[Case], object]:
    """Return what fills columns of a reference table with a value."""

    def fill(data: Any) -> Any:
        for name, value in values.items():
            data[name][:] = value
        return data

    return lambda case: edit(case.oref / f"sim_{table}.fits", 1, pixels=fill)


def reversed_wavelengths(table: str) -> Callable[[Case], object]:
    """Return what turns the wavelengths of a reference table round."""

    def turn(data: Any) -> Any:
        data["WAVELENGTH"][:] = data["WAVELENGTH"][:, ::-1].copy()
        return data

    return lambda case: edit(case.oref / f"sim_{table}.fits", 1, pixels=turn)


#: By what is wrong: what is done to the visit, and what the message says.
ERRORS: dict[str, tuple[Callable[[Case], object], list[str]]] = {
    "a wavecal of another grating": (
        lambda case: edit(case.science / WAVECAL, OPT_ELEM="G750L", CENWAVE=7751),
        [WAVECAL, "OPT_ELEM is 'G750L', but 'G430L'", "expected a wavecal of the same mode"],
    ),
    "no dispersion": (
        cells("dsp", CENWAVE=4301),
        ["sim_dsp.fits: no row for OPT_ELEM = 'G430L', CENWAVE = 4300", "does not cover"],
    ),
    "no extraction box": (cells("1dx", OPT_ELEM="G430M"), ["sim_1dx.fits: no row for APERTURE = '52X0.2'"]),
    "no lamp": (cells("lmp", OPT_ELEM="G430M"), ["sim_lmp.fits: no row for LAMPSET = '3.8', SCLAMP = 'HITM1'"]),
    "no sensitivity": (cells("pht", CENWAVE=4301), ["sim_pht.fits: no row for OPT_ELEM = 'G430L'"]),
    "unsorted sensitivity": (
        reversed_wavelengths("pht"), ["sim_pht.fits: WAVELENGTH of row 1 does not increase", "sort the table"],
    ),
    "unsorted lamp": (reversed_wavelengths("lmp"), ["sim_lmp.fits: WAVELENGTH of row 1 does not increase"]),
    "too few sensitivities": (
        cells("pht", NELEM=600), ["sim_pht.fits: WAVELENGTH of row 1 has 512 elements; the row announces 600"],
    ),
    "too long a trace": (cells("1dt", NELEM=1025), ["sim_1dt.fits: NELEM of row 1 is 1025"]),
    "a trace of NaN": (cells("1dt", A2DISPL=math.nan), ["sim_1dt.fits: A2DISPL of row 1: element 1 is nan"]),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("what", ERRORS)
def test_one_failure(undone: Case, expected: Contents, capsys: pytest.CaptureFixture[str], what: str) -> None:
    """Oracle: CalSTIS fails, leaves out what needs the table, or computes nonsense; ours stops and names file, row and
    column. Nothing is left of the spectrum; everything else stays as it was, and the log has the error."""
    spoil, words = ERRORS[what]
    spoil(undone)
    before = seen(undone.science, undone.darks, undone.ref)
    code, _, err = run(undone, capsys)
    one_failure(code, err, *words)
    assert made(undone) == []
    assert seen(undone.science, undone.darks, undone.ref) == before
    (log,) = undone.science.glob("*.log")
    assert words[0] in log.read_text().splitlines()[-1]
