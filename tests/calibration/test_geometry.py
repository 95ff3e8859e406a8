"""GEOCORR."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from gpucti.backends import get_backend
from gpucti.backends.base import Backend
from gpucti.calibration.base import Trailer
from gpucti.calibration.geometry import Distortion, geocorr, read_distortion
from gpucti.calibration.reffiles import References
from gpucti.errors import InputError, ReferenceFileError
from gpucti.io.exposure import Exposure, ImageSet

#: Small images lack so many rows and columns of the full frame, and so does the corrected image.
ROWS, COLS = 30, 24
FULL = 1024


def idctab(folder: Path, *, order: int = 1, rows: int = 1, primary: dict[str, Any] | None = None, **cells: Any) -> None:
    """Write an IDCTAB of a full frame that changes nothing unless `cells` say so; None leaves a column out."""
    columns: dict[str, Any] = {"DIRECTION": "INVERSE", "FILTER": "CLEAR", "CXSIZE": FULL, "CYSIZE": FULL}
    columns |= {"SCALE": 1.0, "XREF": 1.0, "YREF": 1.0, "CXREF": 1.0, "CYREF": 1.0}
    columns |= {"CX10": 0.0, "CX11": 1.0, "CY10": 1.0, "CY11": 0.0} | cells
    made = []
    for name, value in columns.items():
        values = value if isinstance(value, list) else [value] * rows
        form = "16A" if isinstance(values[0], str) else "D"
        if value is not None:
            made.append(fits.Column(name, form, array=values))
    table = fits.BinTableHDU.from_columns(made)
    table.header["NORDER"] = order
    first = fits.PrimaryHDU()
    first.header.update({"PEDIGREE": "GROUND", "DESCRIP": "by hand"} | (primary or {}))
    fits.HDUList([first, table]).writeto(folder / "x_idc.fits")


def image(folder: Path, sci: np.ndarray, err: Any = 2.0, dq: Any = 0, n: int = 1, **cards: Any) -> Exposure:
    """Return an exposure in memory; `cards` change the SCI header."""
    primary = fits.Header({"FILTER": "Clear", "IDCTAB": "x_idc.fits", "GEOCORR": "PERFORM", "DETECTOR": "CCD"})
    header = fits.Header({"CRPIX1": 5.0, "CRPIX2": 7.0, "LTV1": 0.0, "LTV2": 0.0, "SDQFLAGS": 31743} | cards)
    sci = np.asarray(sci, dtype=np.float32)
    err = np.broadcast_to(np.asarray(err, dtype=np.float32), sci.shape).copy()
    dq = np.broadcast_to(np.asarray(dq, dtype=np.int16), sci.shape).copy()
    imset = ImageSet(sci, err, dq, (header, fits.Header(), fits.Header()))
    return Exposure(folder / "x_crj.fits", primary, (imset,) * n)


def run(exposure: Exposure, backend: Backend | None = None) -> ImageSet:
    """Return the first image set after GEOCORR."""
    given: dict[str, Any] = {"references": References({}), "trailer": Trailer()}
    return geocorr(exposure, backend=backend or get_backend("numpy"), **given).imsets[0]


def scene(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return pixels without any order."""
    sci = rng.normal(100, 30, (ROWS, COLS))
    return {"sci": sci, "err": rng.uniform(1, 9, sci.shape), "dq": 1 << rng.integers(0, 14, sci.shape)}


def joined(dq: np.ndarray) -> np.ndarray:
    """Return the bits of each pixel and its right and upper neighbours; at the last column and row of the inner ones.

    Of the four pixels round a position those with weight 0 count as well.
    """
    i, j = np.minimum(np.arange(COLS), COLS - 2), np.minimum(np.arange(ROWS), ROWS - 2)
    corner = np.ix_(j, i)
    right, above, both = np.ix_(j, i + 1), np.ix_(j + 1, i), np.ix_(j + 1, i + 1)
    return dq[corner] | dq[right] | dq[above] | dq[both]


def test_nothing_changes_without_distortion(tmp_path: Path, rng: np.random.Generator, backend: Backend) -> None:
    """Oracle: the identity, to the bit; DQ takes in the neighbours, also those with weight 0."""
    idctab(tmp_path)
    given = scene(rng)
    made = run(image(tmp_path, **given), backend)
    assert np.array_equal(made.sci, given["sci"].astype(np.float32))
    # the root of a square in float32 may miss the number by a rounding
    np.testing.assert_array_almost_equal_nulp(made.err, given["err"].astype(np.float32), 1)
    assert np.array_equal(made.dq, joined(given["dq"]))
    assert (made.sci.dtype, made.err.dtype, made.dq.dtype) == (np.float32, np.float32, np.int16)


def test_whole_pixels(tmp_path: Path, rng: np.random.Generator, backend: Backend) -> None:
    """Oracle: a shift by hand: what comes from outside is 0 with DQ 4."""
    idctab(tmp_path, XREF=4.0, YREF=-1.0)
    given = scene(rng)
    made = run(image(tmp_path, **given), backend)
    assert np.array_equal(made.sci[2:, :-3], given["sci"].astype(np.float32)[:-2, 3:])
    outside = np.ones(made.sci.shape, dtype=bool)
    outside[2:, :-3] = False
    for array, value in ((made.sci, 0), (made.err, 0), (made.dq, 4)):
        assert (array[outside] == value).all()


def test_constant_term(tmp_path: Path, rng: np.random.Generator) -> None:
    """CX00 and CY00 count where the table has them: a shift, the same as another XREF and YREF."""
    sci = scene(rng)["sci"]
    idctab(tmp_path, CX00=3.0, CY00=-2.0)
    assert np.array_equal(run(image(tmp_path, sci)).sci[2:, :-3], sci.astype(np.float32)[:-2, 3:])


def test_half_a_pixel_beyond_the_edge(tmp_path: Path) -> None:
    """Oracle: a plane; it is continued by up to half a pixel, and there ends the image."""
    y, x = np.indices((ROWS, COLS))
    idctab(tmp_path, XREF=1.25, YREF=0.625)
    made = run(image(tmp_path, 8.0 * x - 4.0 * y))
    assert np.array_equal(made.sci, (8 * (x + 0.25) - 4 * (y - 0.375)).astype(np.float32))
    assert not made.dq.any()
    (tmp_path / "x_idc.fits").unlink()
    idctab(tmp_path, XREF=1.5, YREF=0.5)
    made = run(image(tmp_path, 8.0 * x - 4.0 * y))
    assert (made.dq[0] == 4).all() and (made.dq[:, -1] == 4).all() and not made.dq[1:, :-1].any()


def test_noise_keeps_its_size(tmp_path: Path) -> None:
    """Oracle: by hand: the weights act on the variance, halfway between ERR 1 and 7 lies 5, and 5 stays 5."""
    err = np.where(np.indices((ROWS, COLS))[1] % 2, 1.0, 7.0)
    idctab(tmp_path, XREF=1.5)
    assert (run(image(tmp_path, err, err)).err[:, :-1] == 5).all()
    # the weights of a constant 5 are rounded: one step of float32 at most
    np.testing.assert_allclose(run(image(tmp_path, err, 5.0)).err[:, :-1], 5, rtol=1.2e-7)


def test_a_plane_under_any_distortion(tmp_path: Path, backend: Backend) -> None:
    """Oracle: linear interpolation is exact for a plane, which so shows where each pixel was taken from."""
    y, x = np.indices((ROWS, COLS)).astype(float)
    cells = {"SCALE": 0.05, "CX11": 19.6, "CY10": 20.2, "CX20": 0.3, "CX21": -0.4, "CY22": 0.5, "CY33": -0.2}
    idctab(tmp_path, order=3, XREF=12.0, YREF=15.0, CXREF=13.0, CYREF=14.0, **cells)
    made = run(image(tmp_path, 3 * x + 2 * y), backend)
    u, v = (x - 12) * 0.05, (y - 13) * 0.05
    from_x = 11 + 19.6 * u + 0.3 * v * v - 0.4 * u * v
    from_y = 14 + 20.2 * v + 0.5 * u * u - 0.2 * u**3
    inside = made.dq == 0
    assert inside.mean() > 0.8
    # values up to 130, of four products rounded to float32 each
    np.testing.assert_allclose(made.sci[inside], (3 * from_x + 2 * from_y)[inside], atol=130 * 4 * 1.2e-7)


def test_reference_pixel(tmp_path: Path) -> None:
    """Oracle: mapped back, the new CRPIX is the old one; LTV is 0; the scale stays."""
    idctab(tmp_path, order=2, SCALE=0.05, CX11=19.9, CX20=0.1, CY10=20.1, CY21=0.1, XREF=9.0, CXREF=8.0)
    made = run(image(tmp_path, np.zeros((ROWS, COLS)), LTV1=-2.0, LTV2=0.0, CD1_1=1e-5))
    distortion = read_distortion(image(tmp_path, np.zeros((2, 2))), References({}))
    for header in made.headers:
        place = [np.array(header[name] - 1) for name in ("CRPIX1", "CRPIX2")]
        back = distortion(place[0] + 2, place[1])
        # three steps, each of which lowers the error by the distortion's gradient, 1 %
        np.testing.assert_allclose([back[0] - 2, back[1]], [4, 6], atol=1e-4)
        assert (header["LTV1"], header["LTV2"]) == (0, 0)
    assert made.headers[0]["CD1_1"] == 1e-5


def test_a_reference_pixel_that_does_not_move(tmp_path: Path) -> None:
    """Oracle: the identity, written with 13 digits."""
    idctab(tmp_path)
    made = run(image(tmp_path, np.zeros((ROWS, COLS)), CRPIX1=512.123456789012345, CRPIX2=1 / 3))
    assert [made.headers[0][name] for name in ("CRPIX1", "CRPIX2")] == [512.1234567890, 0.3333333333333]


def test_binned_images(tmp_path: Path, rng: np.random.Generator) -> None:
    """Oracle: the identity holds on binned pixels, and a shift by two pixels is one by a binned one."""
    given = scene(rng)
    cards = {"LTM1_1": 0.5, "LTM2_2": 0.5, "LTV1": 0.25, "LTV2": 0.25}
    idctab(tmp_path, XREF=3.0)
    made = run(image(tmp_path, **given, **cards))
    assert np.array_equal(made.sci[:, :-1], given["sci"].astype(np.float32)[:, 1:])
    assert (made.dq[:, -1] == 4).all()


def test_every_image_set(tmp_path: Path, rng: np.random.Generator) -> None:
    """All are resampled, headers say so, the input stays as it was."""
    idctab(tmp_path, XREF=2.0)
    exposure = image(tmp_path, **scene(rng), n=2)
    before = exposure.imsets[0].sci.copy()
    trailer = Trailer()
    made = geocorr(exposure, references=References({}), backend=get_backend("numpy"), trailer=trailer)
    assert made.n_imsets == 2
    assert made.primary["GEOCORR"] == "COMPLETE"
    assert "x_idc.fits" in str(made.primary["HISTORY"]) and "by hand" in trailer.text
    assert made.imsets[0].headers[0]["NGOODPIX"] == np.count_nonzero((made.imsets[1].dq & 31743) == 0)
    assert np.array_equal(exposure.imsets[0].sci, before)
    assert exposure.primary["GEOCORR"] == "PERFORM" and "NGOODPIX" not in exposure.imsets[0].headers[0]


def test_rows_of_the_table(tmp_path: Path) -> None:
    """The first row for DIRECTION INVERSE and the FILTER in capitals, or ANY; NORDER bounds what is read."""
    names = {"DIRECTION": ["FORWARD", "INVERSE", "INVERSE", "INVERSE"], "FILTER": ["CLEAR", "OIII", "ANY", "CLEAR"]}
    idctab(tmp_path, rows=4, **names, XREF=[1.0, 2.0, 3.0, 4.0], CX22=9.0)
    found = read_distortion(image(tmp_path, np.zeros((2, 2))), References({}))
    assert found.distorted == (2.0, 0.0)
    assert found.cx.shape == (2, 2)


def test_without_filter_column(tmp_path: Path) -> None:
    idctab(tmp_path, FILTER=None, XREF=7.0)
    assert read_distortion(image(tmp_path, np.zeros((2, 2))), References({})).distorted == (6.0, 0.0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"order": 6}, "NORDER is 6"),
        ({"DIRECTION": "FORWARD"}, "no row for DIRECTION = 'INVERSE'"),
        ({"FILTER": "OIII"}, "FILTER = 'CLEAR'"),
        ({"CX11": None}, "column CX11 is missing"),
        ({"CXREF": None}, "column CXREF is missing"),
        ({"CY10": np.nan}, "CY10 of row 1 is"),
        ({"CXSIZE": 0.0}, "CXSIZE, CYSIZE of row 1"),
        ({"CYSIZE": 1e9}, "CXSIZE, CYSIZE of row 1"),
        ({"primary": {"PEDIGREE": "DUMMY"}}, "only fills a place"),
        ({"PEDIGREE": "DUMMY"}, "only fills a place"),
    ],
)
def test_bad_tables(tmp_path: Path, given: dict[str, Any], message: str) -> None:
    idctab(tmp_path, **given)
    with pytest.raises(ReferenceFileError, match=message):
        run(image(tmp_path, np.zeros((ROWS, COLS))))


@pytest.mark.parametrize(
    ("shape", "cards", "message"),
    [
        ((1, 9), {}, "cannot be resampled"),
        ((ROWS, COLS), {"LTM1_1": 0.0}, "expected 1 over the binning"),
        ((ROWS, COLS), {"LTV1": "x"}, "LTV1 is 'x'"),
    ],
)
def test_bad_images(tmp_path: Path, shape: tuple[int, int], cards: dict[str, Any], message: str) -> None:
    idctab(tmp_path)
    with pytest.raises(InputError, match=message):
        run(image(tmp_path, np.zeros(shape), **cards))


def test_wild_coefficients(tmp_path: Path) -> None:
    """Positions without bounds lie outside, without a warning; a reference pixel without bounds is an error."""
    idctab(tmp_path, order=5, CX55=1e307, SCALE=10.0, CXREF=5.0, XREF=5.0, CY10=0.1)
    made = run(image(tmp_path, np.ones((ROWS, COLS))))
    assert (made.dq[:, 4] == 0).all() and (np.delete(made.dq, 4, axis=1) == 4).all()
    with pytest.raises(ReferenceFileError, match="lies nowhere"):
        run(image(tmp_path, np.ones((ROWS, COLS)), CRPIX1=9.0))


def test_the_order_of_the_sum(rng: np.random.Generator) -> None:
    """Oracle: the polynomial as it is written, one term at a time, to the bit."""
    cx, cy = np.tril(rng.normal(size=(2, 5, 5)))
    made = Distortion((9, 9), 0.05, (3.0, 4.0), (5.0, 6.0), cx, cy)(np.array(8.5), np.array(-2.25))
    x, y = (8.5 - 3.0) * 0.05, (-2.25 - 4.0) * 0.05
    for place, start, coefficients in zip(made, (5.0, 6.0), (cx, cy), strict=True):
        total = start
        for i in range(5):
            for j in range(i + 1):
                powers = [1.0, 1.0]
                for _ in range(j):
                    powers[0] *= x
                for _ in range(i - j):
                    powers[1] *= y
                total += coefficients[i, j] * powers[0] * powers[1]
        assert place == total
