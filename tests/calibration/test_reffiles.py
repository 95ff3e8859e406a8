"""Reference files: found, read once, rows matched as CalSTIS matches them, bad ones refused."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from gpucti.calibration.refdata import is_dummy
from gpucti.calibration.reffiles import HeaderReferences, References, stored, stored_double
from gpucti.errors import InputError, MissingFileError, ReferenceFileError
from gpucti.io.cards import Cards
from support.calstis_files import reference_image, reference_table
from support.stis_files import quiet_astropy

PIXELS = np.arange(12, dtype=np.float32).reshape(3, 4)


def named(header: fits.Header, folder: Path, **environment: str) -> HeaderReferences:
    """Return the reference files that a header in a folder names."""
    return HeaderReferences(Cards(header, "primary header"), folder, References(environment))


def table(folder: Path) -> Path:
    columns = {
        "OPT_ELEM": ("8A", ["G430L", "MIRVIS", "ANY", "MIRVIS"]),
        "CCDGAIN": ("I", [1, 1, -1, 4]),
        "VALUE": ("E", [1.0, 2.5, 3.0, np.nan]),
        "PEDIGREE": ("20A", ["GROUND", "DUMMY row", "", "INFLIGHT"]),
        "DESCRIP": ("20A", ["one", "two", "three", "four"]),
    }
    return folder / reference_table(folder / "case_tab.fits", columns)


@pytest.mark.parametrize(
    ("value", "kept"), [(5.7, 5.6999998), (1 / 3, 0.33333334), (0.0, 0.0), (-1.5e-20, -1.5e-20), (33000.0, 33000.0)]
)
def test_float_keywords_hold_eight_digits(value: float, kept: float) -> None:
    """Oracle: the format %14.7E of the single-precision value, worked by hand."""
    assert stored(value) == kept


def test_double_keywords_hold_thirteen_digits() -> None:
    """Oracle: the format %20.12E, worked by hand."""
    assert stored_double(2 / 3) == 0.6666666666667
    assert stored_double(55992.448123456789) == 55992.44812346


@pytest.mark.parametrize("text", ["N/A", "n/a", "  ", ""])
def test_no_file(text: str, tmp_path: Path) -> None:
    """Oracle: spec 1.1: blank or N/A in any case means no file, and so does a missing keyword."""
    references = named(fits.Header({"DARKFILE": text}), tmp_path)
    assert references.find("DARKFILE") is None
    assert named(fits.Header(), tmp_path).find("DARKFILE") is None
    assert references.name("DARKFILE") == ""
    with pytest.raises(ReferenceFileError, match="DARKFILE is .*, and the file is needed"):
        references.required("DARKFILE")


def test_files_are_found(tmp_path: Path) -> None:
    """Oracle: definition: beside the exposure, through the environment, and compressed."""
    (tmp_path / "ref").mkdir()
    reference_image(tmp_path / "ref" / "x_drk.fits", PIXELS)
    plain = (tmp_path / "ref" / "x_drk.fits").read_bytes()
    (tmp_path / "ref" / "y_drk.fits.gz").write_bytes(gzip.compress(plain))
    for name, found in (("oref$x_drk.fits", "x_drk.fits"), ("$oref/y_drk.fits", "y_drk.fits.gz")):
        references = named(fits.Header({"DARKFILE": name}), tmp_path, oref=f"{tmp_path}/ref/")
        path = references.required("DARKFILE")
        assert path == tmp_path / "ref" / found
        assert np.array_equal(references.image("DARKFILE").sci, PIXELS)
        assert references.run.digest(path) == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["oref$z_drk.fits", "jref$z_drk.fits", "z_drk.fits"])
def test_missing_file_is_named(name: str, tmp_path: Path) -> None:
    """Oracle: house rule on errors."""
    with pytest.raises(ReferenceFileError, match="DARKFILE.*z_drk.fits.*not found"):
        named(fits.Header({"DARKFILE": name}), tmp_path, oref=str(tmp_path)).find("DARKFILE")


def test_keyword_must_hold_text(tmp_path: Path) -> None:
    """Oracle: house rule on errors."""
    with pytest.raises(InputError, match="DARKFILE is 3"):
        named(fits.Header({"DARKFILE": 3}), tmp_path).find("DARKFILE")


def test_image(tmp_path: Path) -> None:
    """Oracle: definition: types, null arrays, pedigree; read once, and not to be changed by a step."""
    path = tmp_path / reference_image(tmp_path / "a.fits", PIXELS, 0.25, 16, pedigree="DUMMY 1", REF_TEMP=18.0)
    references = References({})
    image = references.image(path)
    assert image.sci.dtype == image.err.dtype == np.float32
    assert image.dq.dtype == np.int16
    assert image.sci.dtype.isnative
    assert np.array_equal(image.err, np.full((3, 4), 0.25))
    assert np.array_equal(image.dq, np.full((3, 4), 16))
    assert image.dummy
    assert image.descrip == "Synthetic, for a test"
    assert image.primary["REF_TEMP"] == 18.0
    path.unlink()
    assert references.image(path) is image
    with pytest.raises(ValueError, match="read-only"):
        image.sci[0, 0] = 1


def without_err(hdus: fits.HDUList) -> None:
    del hdus["ERR"]


def nan_pixel(hdus: fits.HDUList) -> None:
    hdus["SCI"].data[1, 2] = np.nan


def other_shape(hdus: fits.HDUList) -> None:
    hdus["ERR"] = fits.ImageHDU(np.zeros((3, 5), np.float32), name="ERR")


def cube(hdus: fits.HDUList) -> None:
    hdus["SCI"] = fits.ImageHDU(np.zeros((2, 3, 4), np.float32), name="SCI")


def real_flags(hdus: fits.HDUList) -> None:
    hdus["DQ"] = fits.ImageHDU(np.zeros((3, 4), np.float32), name="DQ")


def wide_flags(hdus: fits.HDUList) -> None:
    hdus["DQ"] = fits.ImageHDU(np.full((3, 4), 70000, np.int32), name="DQ")


def huge_null(hdus: fits.HDUList) -> None:
    hdus["SCI"] = fits.ImageHDU(header=fits.Header({"NPIX1": 10**6, "NPIX2": 10**6, "PIXVALUE": 0.0}), name="SCI")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_err, r"\[ERR,1\]: not there"),
        (nan_pixel, "row 1, column 2"),
        (other_shape, "expected one shape"),
        (cube, "expected rows and columns"),
        (real_flags, "16-bit"),
        (wide_flags, "16-bit"),
        (huge_null, "expected rows and columns, each up to"),
    ],
)
def test_bad_image_is_refused(change: Callable[[fits.HDUList], None], message: str, tmp_path: Path) -> None:
    """Oracle: house rule on errors: one error that names the file."""
    path = tmp_path / reference_image(tmp_path / "a.fits", PIXELS, np.ones((3, 4)), np.zeros((3, 4)))
    with fits.open(path) as hdus:
        change(hdus)
        hdus.writeto(tmp_path / "b.fits")
    with pytest.raises(ReferenceFileError, match=message) as error:
        References({}).image(tmp_path / "b.fits")
    assert "b.fits" in str(error.value)


@pytest.mark.parametrize("content", [b"", b"no FITS", None])
def test_damaged_file_is_refused(content: bytes | None, tmp_path: Path) -> None:
    """Oracle: house rule on errors; None: the file is cut short."""
    path = tmp_path / reference_image(tmp_path / "a.fits", np.zeros((64, 64)))
    path.write_bytes(path.read_bytes()[:9000] if content is None else content)
    with quiet_astropy(), pytest.raises(ReferenceFileError, match=r"a\.fits"):
        References({}).image(path)
    with quiet_astropy(), pytest.raises(ReferenceFileError, match=r"a\.fits"):
        References({}).table(path)


def test_rows(tmp_path: Path) -> None:
    """Oracle: spec 1.2, by hand: wildcards in the table only, exact text, the first row wins."""
    rows = References({}).table(table(tmp_path))
    assert rows.matching(OPT_ELEM="MIRVIS", CCDGAIN=1) == [1, 2]
    assert rows.row(OPT_ELEM="MIRVIS", CCDGAIN=4) == 2
    assert rows.matching(OPT_ELEM="mirvis") == [2]
    assert rows.matching(OPT_ELEM="MIRVIS  ") == [1, 2, 3]
    assert rows.matching(OPT_ELEM="ANY") == [2]
    assert rows.matching(CCDGAIN=-1) == [2]
    assert rows.matching(CCDGAIN=8) == [2]
    assert rows.matching() == [0, 1, 2, 3]


def test_cells(tmp_path: Path) -> None:
    """Oracle: definition; a row's PEDIGREE goes before the file's."""
    rows = References({}).table(table(tmp_path))
    assert rows.n_rows == 4
    assert rows.has("ccdgain")
    assert rows.column("CCDGAIN").dtype.isnative
    assert rows.text("DESCRIP", 1) == "two"
    assert rows.number("VALUE", 1) == 2.5
    assert [rows.row_dummy(i) for i in range(4)] == [False, True, False, False]
    assert rows.pedigree_of(2) == "GROUND"
    assert rows.descrip_of(3) == "four"
    assert not rows.dummy
    assert is_dummy("DUMMY 01/01/2000")


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda rows: rows.column("NONE"), "column NONE is missing"),
        (lambda rows: rows.number("VALUE", 3), "VALUE of row 4 is .*nan"),
        (lambda rows: rows.number("DESCRIP", 0), "expected a number"),
        (lambda rows: rows.text("VALUE", 0), "expected text"),
        (lambda rows: rows.matching(OPT_ELEM=3), "expected one number"),
        (lambda rows: rows.matching(CCDGAIN="x"), "expected text"),
    ],
)
def test_wrong_cell_is_named(use: Callable[[Any], object], message: str, tmp_path: Path) -> None:
    """Oracle: house rule on errors."""
    with pytest.raises(ReferenceFileError, match=message):
        use(References({}).table(table(tmp_path)))


def test_no_row_names_what_was_wanted(tmp_path: Path) -> None:
    """Oracle: house rule on errors: file, columns, values."""
    columns = {"CCDAMP": ("2A", ["A", "D"]), "CCDGAIN": ("I", [1, 1])}
    path = tmp_path / reference_table(tmp_path / "case_ccd.fits", columns)
    with pytest.raises(ReferenceFileError, match=r"case_ccd.fits: no row for CCDAMP = 'D', CCDGAIN = 4"):
        References({}).table(path).row(CCDAMP="D", CCDGAIN=4)


@pytest.mark.parametrize("extension", [0, 2, "PHOTFLAM"])
def test_no_such_table(extension: int | str, tmp_path: Path) -> None:
    """Oracle: house rule on errors."""
    with pytest.raises(ReferenceFileError, match="no such table extension"):
        References({}).table(table(tmp_path), extension)


def test_digest_of_a_missing_file(tmp_path: Path) -> None:
    """Oracle: house rule on errors."""
    with pytest.raises(ReferenceFileError, match="cannot be read"):
        References({}).digest(tmp_path / "none.fits")


def test_a_wavecal_is_opened_once_for_header_and_digest(tmp_path: Path) -> None:
    """Oracle: the header that was written, the digest of the bytes; the file may be gone after the first question."""
    path = tmp_path / "x_wav.fits.gz"
    fits.PrimaryHDU(header=fits.Header({"LAMPTAB": "lamps.fits"})).writeto(path)
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    references, again = References({}), References({})
    assert references.wavecal_header(tmp_path / "x_wav.fits")["LAMPTAB"] == "lamps.fits"
    assert again.digest(path) == expected  # the other way round
    kept = path.read_bytes()
    path.write_bytes(b"another")
    assert references.digest(path) == expected
    assert again.wavecal_header(path)["LAMPTAB"] == references.wavecal_header(path)["LAMPTAB"] == "lamps.fits"
    path.write_bytes(kept)
    with pytest.raises(MissingFileError, match=r"none\.fits"):
        references.wavecal_header(tmp_path / "none.fits")
