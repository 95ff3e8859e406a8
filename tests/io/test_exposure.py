"""Exposure: what is read, what is refused, what is written."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from gpucti.errors import InputError, MissingFileError, OutputExistsError
from gpucti.io.atomic import atomic_output
from gpucti.io.exposure import Exposure, ExposureHeaders
from gpucti.io.fitsfile import find_file
from support.stis_files import (
    COLS,
    FULL,
    ROWS,
    change,
    digest,
    imset_hdus,
    listing,
    null_hdu,
    quiet_astropy,
    stis_file,
    stis_hdus,
)


def write(hdus: fits.HDUList, path: Path) -> Path:
    hdus.writeto(path, output_verify="ignore")
    return path


# ---- what is read ----------------------------------------------------------------------------------------


def test_arrays_are_those_astropy_reads_in_native_order(tmp_path: Path) -> None:
    """Oracle: astropy.io.fits; exact."""
    path = stis_file(tmp_path / "x_flt.fits", 2)
    exposure = Exposure.read(path)
    with fits.open(path) as hdus:
        for number, imset in enumerate(exposure.imsets, start=1):
            for name, array in (("SCI", imset.sci), ("ERR", imset.err), ("DQ", imset.dq)):
                np.testing.assert_array_equal(array, hdus[name, number].data)
                assert array.dtype.isnative
    assert exposure.n_imsets == 2
    assert exposure.sha256 == digest(path)


def test_keywords_are_properties(tmp_path: Path) -> None:
    """Oracle: the values put in."""
    exposure = Exposure.read(stis_file(tmp_path / "x.fits", PCTETAB="oref$a_pcte.fits", ATODGAIN=4, CCDAMP="B"))
    assert (exposure.amp, exposure.gain, exposure.start_mjd) == ("B", 4.0, 55992.448)
    assert (exposure.rootname, exposure.pctetab, exposure.shape) == ("otest01aq", "oref$a_pcte.fits", (ROWS, COLS))


def test_extensions_are_found_by_name_whatever_their_order(tmp_path: Path) -> None:
    """Oracle: the same file in the usual order."""
    hdus = stis_hdus(2)
    usual = Exposure.read(write(hdus, tmp_path / "usual.fits"))
    shuffled = fits.HDUList([hdus[i].copy() for i in (0, 6, 2, 4, 1, 5, 3)])
    other = Exposure.read(write(shuffled, tmp_path / "shuffled.fits"))
    for mine, theirs in zip(other.imsets, usual.imsets, strict=True):
        np.testing.assert_array_equal(mine.sci, theirs.sci)
        np.testing.assert_array_equal(mine.dq, theirs.dq)


def test_null_arrays_are_expanded(tmp_path: Path) -> None:
    """Oracle: NPIX1, NPIX2, PIXVALUE as put in (CalSTIS convention)."""
    hdus = stis_hdus()
    hdus = fits.HDUList([*hdus[:2], null_hdu("ERR", 1, (ROWS, COLS), 1.5), null_hdu("DQ", 1, (ROWS, COLS), 4)])
    imset = Exposure.read(write(hdus, tmp_path / "x.fits")).imsets[0]
    np.testing.assert_array_equal(imset.err, np.full((ROWS, COLS), 1.5, dtype=np.float32))
    np.testing.assert_array_equal(imset.dq, np.full((ROWS, COLS), 4, dtype=np.int16))
    assert (imset.err.dtype, imset.dq.dtype) == (np.float32, np.int16)


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.int32, np.float64])
def test_stored_types(tmp_path: Path, dtype: type) -> None:
    """Oracle: the integers put in, which float32 holds exactly; float64 stays."""
    values = np.arange(ROWS * COLS).reshape(ROWS, COLS) + (40000 if dtype is np.uint16 else -100 * (dtype != np.uint16))
    hdus = stis_hdus()
    hdus = fits.HDUList([hdus[0], *imset_hdus(1, values.astype(dtype))])
    sci = Exposure.read(write(hdus, tmp_path / "x.fits")).imsets[0].sci
    np.testing.assert_array_equal(sci, values)
    assert sci.dtype == (np.float64 if dtype is np.float64 else np.float32)


def test_scaled_and_blank_integers(tmp_path: Path) -> None:
    """Oracle: the definition of BSCALE, BZERO and BLANK in the FITS standard."""
    hdus = stis_hdus()
    hdus[1].data = np.arange(ROWS * COLS, dtype=np.int16).reshape(ROWS, COLS)
    path = write(hdus, tmp_path / "x.fits")
    with fits.open(path, mode="update", do_not_scale_image_data=True) as edited:
        edited[1].header.update({"BSCALE": 0.5, "BZERO": 10.0, "BLANK": 3})
    sci = Exposure.read(path).imsets[0].sci
    assert np.isnan(sci[0, 3])
    assert (sci[0, 0], sci[0, 4]) == (10.0, 12.0)
    assert np.isnan(sci).sum() == 1


def test_compressed_file_is_found_by_its_plain_name(tmp_path: Path) -> None:
    """Oracle: the plain file."""
    plain = stis_file(tmp_path / "x_flt.fits")
    expected = Exposure.read(plain)
    (tmp_path / "x_flt.fits.gz").write_bytes(gzip.compress(plain.read_bytes()))
    assert find_file(plain) == plain  # the plain one wins while it exists
    plain.unlink()
    exposure = Exposure.read(plain)
    assert exposure.path.name == "x_flt.fits.gz"
    np.testing.assert_array_equal(exposure.imsets[0].sci, expected.imsets[0].sci)


def test_origin_of_a_subarray(tmp_path: Path) -> None:
    """Oracle: LTV = minus the offset of the subarray (STIS convention)."""
    hdus = stis_hdus()
    hdus[1].header.update({"LTV1": -100.0, "LTV2": -700.0})
    assert Exposure.read(write(hdus, tmp_path / "x.fits")).origin == (700, 100)


def test_origin_is_none_for_a_full_frame_and_where_the_header_is_silent(tmp_path: Path) -> None:
    """Oracle: the definition of `origin`."""
    hdus = stis_hdus()
    change(hdus[1].header, LTV1=None, LTV2=None)
    assert Exposure.read(write(hdus, tmp_path / "small.fits")).origin is None
    hdus = stis_hdus(shape=(FULL, FULL))
    hdus[1].header.update({"LTV1": 0.0, "LTV2": 0.0})
    assert Exposure.read(write(hdus, tmp_path / "full.fits")).origin is None


# ---- what is refused: structure --------------------------------------------------------------------------


def refused(path: Path, *words: str) -> None:
    """Assert that both readers refuse the file with one message that names it."""
    for reader in (Exposure, ExposureHeaders):
        with pytest.raises(InputError) as caught, quiet_astropy():
            reader.read(path)
        message = str(caught.value)
        assert path.name in message
        assert "\n" not in message
        for word in words:
            assert word in message


@pytest.mark.parametrize(
    ("cards", "word"),
    [
        ({"NEXTEND": 4}, "multiple of 3"),
        ({"NEXTEND": 0}, "multiple of 3"),
        ({"NEXTEND": -3}, "multiple of 3"),
        ({"NEXTEND": 6}, "the file has SCI,1, ERR,1, DQ,1"),
        ({"NEXTEND": 3_000_000_000}, "the file has"),
        ({"NEXTEND": None}, "NEXTEND is missing"),
        ({"NEXTEND": "three"}, "expected a number"),
        ({"DETECTOR": None}, "DETECTOR is missing"),
        ({"DETECTOR": "FUV-MAMA"}, "DETECTOR is 'FUV-MAMA'"),
        ({"INSTRUME": None}, "INSTRUME is missing"),
        ({"INSTRUME": "ACS"}, "INSTRUME is 'ACS'"),
    ],
)
def test_bad_primary_header(tmp_path: Path, cards: dict, word: str) -> None:
    """Oracle: the rules of the STIS file format."""
    refused(stis_file(tmp_path / "x.fits", **cards), word)


def test_bad_extensions(tmp_path: Path) -> None:
    """Oracle: the rules of the STIS file format."""
    hdus = stis_hdus()
    refused(write(fits.HDUList(hdus[:3]), tmp_path / "no_dq.fits"), "NEXTEND is 3", "SCI,1, ERR,1")
    hdus = stis_hdus(2)
    hdus[4].header["EXTVER"] = 1
    refused(write(hdus, tmp_path / "twice.fits"), "a second extension SCI,1")
    hdus = stis_hdus()
    hdus[1] = null_hdu("SCI", 1, (ROWS, COLS))
    refused(write(hdus, tmp_path / "null_sci.fits"), "[SCI,1]", "no pixels")
    hdus = stis_hdus()
    hdus[2].data = np.zeros((ROWS, COLS + 1), dtype=np.float32)
    refused(write(hdus, tmp_path / "shape.fits"), "[ERR,1]", f"({ROWS}, {COLS + 1})", f"({ROWS}, {COLS})")
    hdus = stis_hdus()
    hdus[3] = null_hdu("DQ", 1, (ROWS, COLS))
    del hdus[3].header["NPIX1"]
    refused(write(hdus, tmp_path / "npix.fits"), "NPIX1 is missing")
    hdus[3] = null_hdu("DQ", 1, (2**31, 2**31))  # would not fit into any memory
    refused(write(hdus, tmp_path / "huge.fits"), "[DQ,1]", "expected (24, 20)")
    hdus[3] = fits.BinTableHDU.from_columns([fits.Column("A", "J", array=[1])], name="DQ", ver=1)
    refused(write(hdus, tmp_path / "table.fits"), "not an image")
    hdus = stis_hdus()
    hdus[1].data = np.zeros((2, ROWS, COLS), dtype=np.float32)
    refused(write(hdus, tmp_path / "cube.fits"), "[SCI,1]", "expected rows and columns")


def test_bad_pixel_values_of_null_arrays(tmp_path: Path) -> None:
    """Oracle: the definition of PIXVALUE."""
    hdus = stis_hdus()
    hdus[3] = null_hdu("DQ", 1, (ROWS, COLS), 0.5)
    with pytest.raises(InputError, match="PIXVALUE is 0.5"):
        Exposure.read(write(hdus, tmp_path / "half.fits"))
    del hdus[3].header["PIXVALUE"]
    with pytest.raises(InputError, match="PIXVALUE is missing"):
        Exposure.read(write(hdus, tmp_path / "none.fits"))


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.75, 0.95])
def test_truncated(tmp_path: Path, keep: float) -> None:
    """Oracle: FITS sizes: a cut header, a cut image, a missing extension are all noticed."""
    path = stis_file(tmp_path / "x.fits", shape=(200, 100))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    refused(path)


def test_every_cut_of_a_file_is_noticed(tmp_path: Path) -> None:
    """Oracle: FITS sizes; only the padding behind the last pixel may be missing."""
    path = stis_file(tmp_path / "x.fits")
    content = path.read_bytes()
    last_pixel = len(content) - (-ROWS * COLS * 2) % 2880
    for size in [*range(0, last_pixel, 720), last_pixel - 1]:
        path.write_bytes(content[:size])
        with pytest.raises(InputError), quiet_astropy():
            ExposureHeaders.read(path)
    path.write_bytes(content[:last_pixel])
    with quiet_astropy():
        assert Exposure.read(path).n_imsets == 1


def test_not_fits_empty_folder_missing(tmp_path: Path) -> None:
    """Oracle: the kinds of error in gpucti.errors."""
    (tmp_path / "notes.fits").write_text("SIMPLE notes, not FITS")
    refused(tmp_path / "notes.fits", "not a FITS file")
    (tmp_path / "empty.fits").write_bytes(b"")
    refused(tmp_path / "empty.fits", "not a FITS file")
    (tmp_path / "broken.fits.gz").write_bytes(b"\x1f\x8b\x08\x00 nothing")
    refused(tmp_path / "broken.fits.gz", "compressed data are damaged")
    cut = gzip.compress(stis_file(tmp_path / "x.fits").read_bytes())
    (tmp_path / "cut.fits.gz").write_bytes(cut[: len(cut) // 2])
    refused(tmp_path / "cut.fits.gz", "compressed data are damaged")
    (tmp_path / "folder.fits").mkdir()
    refused(tmp_path / "folder.fits", "is a folder")
    with pytest.raises(MissingFileError, match="nowhere.fits: no such file"):
        Exposure.read(tmp_path / "nowhere.fits")


def test_damaged_headers(tmp_path: Path) -> None:
    """Oracle: the FITS standard: readable cards, known BITPIX, sizes that are whole numbers, extensions alone."""
    content = stis_file(tmp_path / "x.fits").read_bytes()
    for name, old, new, word in [
        ("ascii.fits", b"DETECTOR= 'CCD", b"DETECTOR= '\xffCD", "[0]: DETECTOR is '?CD'"),
        ("bitpix.fits", b"BITPIX  =                  -32", b"BITPIX  =                  -33", "'BITPIX' card has"),
        ("axis.fits", b"NAXIS1  =                   20", b"NAXIS1  =                  -20", "[1]: truncated"),
        ("back.fits", b"NAXIS1  =                   20", b"NAXIS1  =                  -30", "[1]: truncated"),
        ("card.fits", b"DETECTOR= 'CCD     '", b"DETECTOR= 'CCD      ", "DETECTOR"),
        (
            "lower.fits",
            b"DETECTOR=",
            b"det\xffctor=",
            "[0]: Verification reported errors: Unfixable error: Illegal keyword",
        ),
        ("float.fits", b"NAXIS1  =                   20", b"NAXIS1  =                 20.0", "[1]: damaged"),
        ("long.fits", b"NAXIS1  =                   20", b"NAXIS1  = 99999999999999999999", "[1]: damaged"),
        ("xtension.fits", b"XTENSION", b"XTENSIUN", "[1]: is no FITS extension"),
        ("second.fits", b"XTENSION= 'IMAGE   '", b"SIMPLE  =         T ", "[1]: is no FITS extension"),
        (
            "rubbish.fits",
            content[-2880:],
            content[-2880:] + b"rubbish",
            "[4]: the last 7 bytes are no complete FITS extension",
        ),
    ]:
        assert old in content
        (tmp_path / name).write_bytes(content.replace(old, new, 1))
        refused(tmp_path / name, word)


def test_odd_cards_are_put_right(tmp_path: Path) -> None:
    """Oracle: astropy's repairs; a warning on the way out would be an error here."""
    content = stis_file(tmp_path / "x.fits").read_bytes()
    content = content.replace(b"TELESCOP=", b"telescop=").replace(
        b"ATODGAIN=                  1.0", b"ATODGAIN= 1.0e-00".ljust(30)
    )
    (tmp_path / "x.fits").write_bytes(content)
    again = Exposure.read(Exposure.read(tmp_path / "x.fits").write(tmp_path / "y.fits"))
    assert (again.gain, again.primary["TELESCOP"]) == (1.0, "HST")
    assert b"telescop" not in (tmp_path / "y.fits").read_bytes()


def test_random_damage_is_refused_or_harmless(tmp_path: Path) -> None:
    """Oracle: InputError or a file that can be read again, whatever byte of a header is changed."""
    content = stis_file(tmp_path / "x.fits").read_bytes()
    headers = [
        start + i for start in range(0, len(content), 80) if content[start : start + 8].isalnum() for i in range(80)
    ]
    rng = np.random.default_rng(20120306)
    outcomes = set()
    for _ in range(300):
        damaged = bytearray(content)
        for at in rng.choice(headers, size=rng.integers(1, 4)):
            damaged[at] = rng.integers(32, 127)
        (tmp_path / "x.fits").write_bytes(damaged)
        try:
            with quiet_astropy():
                Exposure.read(tmp_path / "x.fits").write(tmp_path / "y.fits", overwrite=True)
                outcomes.add(str(Exposure.read(tmp_path / "y.fits").n_imsets))
        except InputError:
            outcomes.add("refused")
    assert outcomes == {"1", "refused"}


# ---- what is refused: keywords ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "attribute"),
    [
        ("CCDAMP", None, "amp"),
        ("CCDAMP", "E", "amp"),
        ("CCDAMP", "AD", "amp"),
        ("CCDAMP", "d", "amp"),
        ("CCDAMP", 4, "amp"),
        ("ATODGAIN", None, "gain"),
        ("ATODGAIN", 0.0, "gain"),
        ("ATODGAIN", -1.0, "gain"),
        ("ATODGAIN", "one", "gain"),
        ("ATODGAIN", True, "gain"),
        ("TEXPSTRT", None, "start_mjd"),
        ("TEXPSTRT", "2012-03-06", "start_mjd"),
        ("ROOTNAME", None, "rootname"),
        ("ROOTNAME", "../otest", "rootname"),
        ("ROOTNAME", "", "rootname"),
        ("PCTETAB", 3, "pctetab"),
    ],
)
def test_bad_keyword(tmp_path: Path, name: str, value: object, attribute: str) -> None:
    """Oracle: a keyword that the result depends on has no default; the message names file and keyword."""
    exposure = Exposure.read(stis_file(tmp_path / "x.fits", **{name: value}))
    with pytest.raises(InputError, match=rf"x\.fits\[0\]: {name} is"):
        getattr(exposure, attribute)


def test_blank_keyword(tmp_path: Path) -> None:
    """Oracle: FITS allows a card without a value; it counts as no number."""
    content = stis_file(tmp_path / "x.fits").read_bytes()
    card = next(content[i : i + 80] for i in range(0, 2880, 80) if content.startswith(b"ATODGAIN", i))
    (tmp_path / "x.fits").write_bytes(content.replace(card, b"ATODGAIN=".ljust(80)))
    with pytest.raises(InputError, match="ATODGAIN is blank"):
        _ = Exposure.read(tmp_path / "x.fits").gain


@pytest.mark.parametrize("ltv", [(5.0, 0.0), (0.5, 0.0), (-1020.0, 0.0), ("here", 0.0), (0.0, None)])
def test_bad_origin(tmp_path: Path, ltv: tuple) -> None:
    """Oracle: a subarray lies on whole pixels inside the frame."""
    hdus = stis_hdus()
    change(hdus[1].header, LTV1=ltv[0], LTV2=ltv[1])
    with pytest.raises(InputError, match="LTV"):
        _ = Exposure.read(write(hdus, tmp_path / "x.fits")).origin


def test_overscan_and_binning_are_refused(tmp_path: Path) -> None:
    """Oracle: 1024 x 1024 illuminated pixels; the trap density is given per unbinned row."""
    raw = stis_file(tmp_path / "raw.fits", shape=(1044, 1062), BLEVCORR="PERFORM")
    with pytest.raises(InputError, match=r"1062 x 1044 pixels with BLEVCORR PERFORM.*run basic2d"):
        ExposureHeaders.read(raw).require_trimmed()
    with pytest.raises(InputError, match="run basic2d"):
        ExposureHeaders.read(stis_file(tmp_path / "sub.fits", BLEVCORR="PERFORM")).require_trimmed()
    with pytest.raises(InputError, match="BINAXIS2 is 2"):
        ExposureHeaders.read(stis_file(tmp_path / "bin.fits", BINAXIS2=2)).require_trimmed()
    hdus = stis_hdus()
    hdus[1].header["LTM1_1"] = 0.5
    with pytest.raises(InputError, match="LTM1_1 is 0.5"):
        ExposureHeaders.read(write(hdus, tmp_path / "ltm.fits")).require_trimmed()
    ExposureHeaders.read(stis_file(tmp_path / "good.fits", BINAXIS1=None, BLEVCORR=None)).require_trimmed()


@pytest.mark.parametrize("name", ["PCTECORR", "CTECORR"])
def test_corrected_files_are_refused(tmp_path: Path, name: str) -> None:
    """Oracle: COMPLETE means that the step was done."""
    with pytest.raises(InputError, match=f"{name} is COMPLETE"):
        ExposureHeaders.read(stis_file(tmp_path / "x.fits", **{name: "COMPLETE"})).require_uncorrected()


# ---- what is written -------------------------------------------------------------------------------------


def test_round_trip_keeps_everything(tmp_path: Path) -> None:
    """Oracle: the file read; cards and pixels equal, other extensions byte by byte."""
    hdus = stis_hdus(2)
    hdus[0].header["HISTORY"] = "an old story"
    hdus[1].header["D001"] = (2.5, "a comment of its own")
    hdus.append(fits.BinTableHDU.from_columns([fits.Column("A", "PJ()", array=np.array([[1], [2, 3]], dtype=object))]))
    hdus.append(fits.ImageHDU(np.arange(6, dtype=np.uint16), name="WCSDVARR"))
    path = write(hdus, tmp_path / "x.fits")
    exposure = Exposure.read(path)
    assert len(exposure.extras) == 2
    again = exposure.write(tmp_path / "again.fits")
    with fits.open(path) as old, fits.open(again) as new:
        assert new[0].header["FILENAME"] == "again.fits"
        new[0].header["FILENAME"] = old[0].header["FILENAME"]
        difference = fits.FITSDiff(old, new)
        assert difference.identical, difference.report()
    extras = b"".join(exposure.extras)
    assert path.read_bytes().endswith(extras)
    assert again.read_bytes().endswith(extras)


def test_null_arrays_are_written_in_full(tmp_path: Path) -> None:
    """Oracle: the constant arrays put in; no null keyword is left."""
    hdus = stis_hdus()
    hdus = fits.HDUList([*hdus[:2], null_hdu("ERR", 1, (ROWS, COLS)), null_hdu("DQ", 1, (ROWS, COLS), 4)])
    again = Exposure.read(write(hdus, tmp_path / "x.fits")).write(tmp_path / "again.fits")
    with fits.open(again) as new:
        assert (new["ERR"].data.dtype, new["DQ"].data.dtype) == (np.dtype(">f4"), np.dtype(">i2"))
        np.testing.assert_array_equal(new["DQ"].data, np.full((ROWS, COLS), 4))
        assert not {"NPIX1", "NPIX2", "PIXVALUE"} & set(new["DQ"].header)


def test_unsigned_dq_and_checksums_survive(tmp_path: Path) -> None:
    """Oracle: astropy's reader and its checksum test."""
    hdus = stis_hdus()
    hdus[3].data = np.full((ROWS, COLS), 40000, dtype=np.uint16)
    hdus.writeto(tmp_path / "x.fits", checksum=True)
    exposure = Exposure.read(tmp_path / "x.fits")
    exposure.primary["ATODGAIN"] = 2.0
    again = exposure.write(tmp_path / "again.fits")
    with fits.open(again, checksum=True) as new:  # a wrong checksum is a warning, hence an error here
        np.testing.assert_array_equal(new["DQ"].data, 40000)
        assert all("CHECKSUM" in hdu.header for hdu in new)


def test_compressed_output(tmp_path: Path) -> None:
    """Oracle: gzip, and the plain output."""
    exposure = Exposure.read(stis_file(tmp_path / "x.fits"))
    packed = exposure.write(tmp_path / "again.fits.gz")
    plain = exposure.write(tmp_path / "again.fits")
    assert gzip.decompress(packed.read_bytes()) == plain.read_bytes()
    assert listing(tmp_path) == ["again.fits", "again.fits.gz", "x.fits"]


def test_existing_output_is_refused(tmp_path: Path) -> None:
    """Oracle: the bytes that were there."""
    exposure = Exposure.read(stis_file(tmp_path / "x.fits"))
    (tmp_path / "old.fits").write_bytes(b"old")
    with pytest.raises(OutputExistsError, match="old.fits"):
        exposure.write(tmp_path / "old.fits")
    assert (tmp_path / "old.fits").read_bytes() == b"old"
    exposure.write(tmp_path / "old.fits", overwrite=True)
    assert Exposure.read(tmp_path / "old.fits").n_imsets == 1
    (tmp_path / "folder.fits").mkdir()
    with pytest.raises(OutputExistsError, match="folder"):
        exposure.write(tmp_path / "folder.fits", overwrite=True)


@pytest.mark.parametrize("name", ["out.fits", "out.fits.gz"])
@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_failed_write_leaves_nothing(tmp_path: Path, failure: type[BaseException], name: str) -> None:
    """Oracle: the folder before."""
    (tmp_path / name).write_bytes(b"old")
    with pytest.raises(failure), atomic_output(tmp_path / name, overwrite=True) as out:
        out.write(b"half of it")
        raise failure
    assert listing(tmp_path) == [name]
    assert (tmp_path / name).read_bytes() == b"old"


def test_with_imsets_leaves_the_original_alone(tmp_path: Path) -> None:
    """Oracle: the headers before."""
    exposure = Exposure.read(stis_file(tmp_path / "x.fits"))
    copy = exposure.with_imsets(exposure.imsets)
    copy.primary["CCDAMP"] = "A"
    copy.imsets[0].headers[0]["BUNIT"] = "ELECTRONS"
    assert exposure.amp == "D"
    assert exposure.imsets[0].headers[0]["BUNIT"] == "COUNTS"


@pytest.mark.parametrize("cards", [{}, {"CHECKSUM": "renewed", "DATASUM": "renewed"}], ids=["plain", "checksum"])
def test_arrays_keep_their_bytes_while_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cards: dict[str, str]
) -> None:
    """Oracle: the arrays, looked at whenever astropy writes something: other threads read them meanwhile."""
    exposure = Exposure.read(write(stis_hdus(2), tmp_path / "x_flt.fits"))
    for imset in exposure.imsets:
        for header in imset.headers:
            header.update(cards)
    arrays = [array for imset in exposure.imsets for array in (imset.sci, imset.err, imset.dq)]
    before = [array.copy() for array in arrays]
    writes = 0

    class Watched(io.BytesIO):
        def write(self, content: Any) -> int:
            nonlocal writes
            writes += 1
            for array, as_it_was in zip(arrays, before, strict=True):
                np.testing.assert_array_equal(array, as_it_was)
            return super().write(content)

    monkeypatch.setattr("gpucti.io.fitsfile.io", SimpleNamespace(BytesIO=Watched))
    exposure.write(tmp_path / "y.fits")
    assert writes > len(arrays)
    assert all(array.flags.writeable for array in arrays)


def test_output_in_no_folder(tmp_path: Path) -> None:
    """Oracle: the message names the folder, not the temporary file that could not be opened."""
    with pytest.raises(MissingFileError, match=r"gone: no such folder, and x\.fits is to go there; make it"):
        with atomic_output(tmp_path / "gone" / "x.fits"):
            pass


def test_other_references_are_in_a_copy(tmp_path: Path) -> None:
    """Oracle: the headers that were read stay as they are; the copy has the names, and says which."""
    headers = ExposureHeaders.read(stis_file(tmp_path / "x.fits", BIASFILE="oref$old_bia.fits"))
    other = headers.renamed({"BIASFILE": "oref$new_bia.fits", "LFLTFILE": "N/A"}, {"BPIXTAB": "oref$new_bpx.fits"})
    assert (headers.primary["BIASFILE"], headers.names, headers.wavecal_names) == ("oref$old_bia.fits", {}, {})
    assert other.primary["BIASFILE"] == "oref$new_bia.fits"
    assert "LFLTFILE" not in other.primary
    assert other.names == {"BIASFILE": "oref$new_bia.fits", "LFLTFILE": "N/A"}
    assert other.wavecal_names == {"BPIXTAB": "oref$new_bpx.fits"}
    assert (other.path, other.sha256, other.shape) == (headers.path, headers.sha256, headers.shape)
