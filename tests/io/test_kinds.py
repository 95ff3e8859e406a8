"""What files of the archive are. Oracle: STIS's names and headers (Data Handbook); real files of the archive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits

from gpucti.correction.files import add_cti_files, correct_files
from gpucti.errors import UnsuitableFileError
from gpucti.io.exposure import Exposure
from gpucti.io.headers import read_primary
from gpucti.io.kinds import (
    ACQUISITION,
    BESIDE,
    COMBINED,
    FOREIGN,
    IMAGE,
    MAMA,
    RAW,
    RECTIFIED,
    REFERENCE,
    SPECTRUM,
    TABLE,
    UNKNOWN,
    kind_of,
    no_fits,
)
from support.header_files import header
from support.stis_files import stis_file

#: What each real file is; see the README beside them.
REAL = {
    "16j16005o_apd": (TABLE, "the reference table APDESTAB"),
    "16j1600co_wcp": (TABLE, "the reference table WCPTAB"),
    "y2i1649no_imp": (TABLE, "the reference table IMPHTTAB"),
    "o4er06llq_raw": (ACQUISITION, "an acquisition (OBSMODE is ACQ/PEAK)"),
    "octka7jeq_raw": (ACQUISITION, "an acquisition (OBSMODE is ACQ/PEAK)"),
    "ocmv0lw6q_raw": (ACQUISITION, "an acquisition (OBSMODE is ACQ)"),
    "o4sp040b0_raw": (RAW, "a raw exposure"),
    "o56502010_raw": (RAW, "a raw exposure"),
    "o56502020_raw": (RAW, "a raw exposure"),
    "o56502030_raw": (RAW, "a raw exposure"),
    "o56502040_raw": (RAW, "a raw exposure"),
    "o56502010_asn": (BESIDE, "an association table"),
    "odlm21050_asn": (BESIDE, "an association table"),
    "o56502010_spt": (BESIDE, "a support file"),
    "ocmv0lw6q_spt": (BESIDE, "a support file"),
    "octka7jeq_spt": (BESIDE, "a support file"),
    "o56502010_wsp": (BESIDE, "a support file of the wavecal"),
    "o56502010_jif": (BESIDE, "a jitter image"),
    "o56502010_jit": (BESIDE, "a jitter table"),
    "odlm21050_jit": (BESIDE, "a jitter table"),
    "o56502010_jwt": (BESIDE, "a jitter table of the wavecal"),
    "o56502010_trl": (BESIDE, "a trailer"),
    "odlm21050_trl": (BESIDE, "a trailer"),
    "o56502010_sx1": (SPECTRUM, "an extracted spectrum"),
    "odlm21010_sx1": (SPECTRUM, "an extracted spectrum"),
    "odlm21050_x1d": (MAMA, "a MAMA exposure (DETECTOR is 'FUV-MAMA')"),
}


def test_real_files(real_files: Path, tmp_path: Path) -> None:
    """Oracle: the README of the files. Under a name that says nothing the header still tells nearly all."""
    paths = sorted(real_files.glob("*.fits"))
    assert [path.stem for path in paths] == sorted(REAL)
    for path in paths:
        primary = read_primary(path)
        name, what = REAL[path.stem]
        kind = kind_of(path, primary)
        assert (kind.name, kind.what[: len(what)]) == (name, what)
        assert kind_of(tmp_path / "renamed.fits", primary).name == name


def test_each_real_file_is_refused_with_the_right_word(real_files: Path, tmp_path: Path) -> None:
    """Oracle: the table above; none of the real files is bias-subtracted."""
    for stem, (_, what) in REAL.items():
        with pytest.raises(UnsuitableFileError) as caught:
            correct_files(real_files / f"{stem}.fits", tmp_path, device="numpy")
        assert f"{stem}.fits: is {what}" in str(caught.value)
        assert "is missing" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_real_files_is_refused_as_a_whole(real_files: Path, tmp_path: Path) -> None:
    """Oracle: the table above: one error, in which every kind stands with the names of its files."""
    with pytest.raises(UnsuitableFileError, match="none of the 26 files is an image") as caught:
        add_cti_files(str(real_files / "*.fits"), tmp_path, device="numpy")
    lines = str(caught.value).splitlines()[1:]
    for stem, (_, what) in REAL.items():
        assert any(f"{stem}.fits" in line and f": {what}" in line for line in lines)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "cards", "expected"),
    [
        ("o1_flt.fits", {}, (IMAGE, "an image")),
        ("o1_flt.fits", {"BLEVCORR": "COMPLETE", "FILENAME": "o1_raw.fits"}, (IMAGE, "an image")),
        ("o1_crj.fits", {"CRCORR": "COMPLETE"}, (COMBINED, "a sum of several readouts")),
        ("o1_x2d.fits", {"X2DCORR": "COMPLETE"}, (RECTIFIED, "a rectified image")),
        ("o1_x2d.fits", {"GEOCORR": "complete "}, (RECTIFIED, "a rectified image")),
        ("o1_s1c.fits", {"X1DCORR": "COMPLETE", "CRCORR": "COMPLETE"}, (SPECTRUM, "an extracted spectrum")),
        ("o1_raw.fits", {"BLEVCORR": "OMIT"}, (RAW, "a raw exposure")),
        ("o1_wav.fits.gz", {"BLEVCORR": "PERFORM"}, (RAW, "a raw wavecal")),
        ("o1_raw.fits", {"OBSMODE": "ACQ/PEAK", "BLEVCORR": "PERFORM"}, (ACQUISITION, "an acquisition")),
        ("o1_raw.fits", {"DETECTOR": "NUV-MAMA"}, (MAMA, "a MAMA exposure (DETECTOR is 'NUV-MAMA')")),
        ("o1_tag.fits", {"DETECTOR": "FUV-MAMA"}, (MAMA, "a MAMA exposure (DETECTOR is 'FUV-MAMA')")),
        ("o1_asn.fits", {"FILETYPE": "SCI"}, (IMAGE, "an image")),  # a name is nothing beside a header
        ("o1_flt.fits", {"FILETYPE": "SPT", "DETECTOR": None}, (BESIDE, "a support file (engineering keywords)")),
        ("o1_jwf.fits", {"FILETYPE": "JIM", "INSTRUME": "FGS"}, (BESIDE, "a jitter image of the wavecal")),
        ("o1j_epc.fits", {"DETECTOR": None}, (BESIDE, "a temperature file of the detector")),
        ("renamed.fits", {"DETECTOR": None, "FILENAME": "O1_TRL.FITS"}, (BESIDE, "a trailer")),
        ("o1_lrc.fits", {"DETECTOR": None}, (BESIDE, "a local-rate check image of a MAMA")),
        ("mine.fits", {"FILETYPE": "PIXCTE", "DETECTOR": None}, (TABLE, "the reference table PCTETAB")),
        ("x_bia.fits", {"USEAFTER": "Mar 12 2012"}, (REFERENCE, "the reference image BIASFILE")),
        ("mine.fits", {"USEAFTER": "x", "FILETYPE": "DARK IMAGE"}, (REFERENCE, "the reference file (dark image)")),
        ("mine.fits", {"USEAFTER": "x", "FILETYPE": "GAIN TABLE"}, (TABLE, "the reference file (gain table)")),
        ("j1_flt.fits", {"INSTRUME": "ACS", "DETECTOR": "WFC"}, (FOREIGN, "a file of another instrument (INSTRUME is")),
        ("mine.fits", {"DETECTOR": None, "INSTRUME": None}, (UNKNOWN, "a file of no kind that is known here")),
        ("mine.fits", {"DETECTOR": "?CD"}, (UNKNOWN, "a file of an unknown detector (DETECTOR is '?CD')")),
        ("mine.fits", {"FILETYPE": 3, "INSTRUME": True}, (IMAGE, "an image")),
    ],
)
def test_kinds(name: str, cards: dict[str, Any], expected: tuple[str, str]) -> None:
    """Oracle: the Data Handbook's suffixes and keywords; the header decides, the name helps."""
    kind = kind_of(name, header(**cards))
    assert (kind.name, kind.what[: len(expected[1])]) == expected


def test_what_is_no_fits(tmp_path: Path) -> None:
    """Oracle: the files written. What bears the name of a FITS file is one, or damaged."""
    for name, content, expected in [
        ("o1.png", b"\x89PNG\r\n", "not a FITS file, but a preview picture"),
        ("o1_trl.txt", b"CALBEG", "not a FITS file, but a text (log, trailer)"),
        ("o1.bin", b"\0\1", r"not a FITS file (it starts with b'\x00\x01')"),
        ("o1.log", b"", "an empty file"),
        ("o1_raw.fits", b"<html>", None),
        ("o1_raw.fits.gz", b"<html>", None),
        ("o1.dat", b"SIMPLE  =                    T", None),
    ]:
        (tmp_path / name).write_bytes(content)
        kind = no_fits(tmp_path / name)
        assert (None if kind is None else kind.what) == expected
    assert no_fits(tmp_path / "gone") is None
    folder = no_fits(tmp_path)
    assert folder is not None and folder.what == "a folder"


def test_whoever_reads_an_exposure_says_what_a_file_is(tmp_path: Path) -> None:
    """Oracle: the kinds above, in the words of the error."""
    (tmp_path / "o1.jpg").write_bytes(b"\xff\xd8\xff")
    columns = [fits.Column("WAVELENGTH", "4D")]
    primary = fits.PrimaryHDU(header=header(NEXTEND=1))
    table = fits.BinTableHDU.from_columns(columns, nrows=1, name="SCI")
    fits.HDUList([primary, table]).writeto(tmp_path / "o1_x1d.fits")
    stis_file(tmp_path / "o1_asn.fits", FILETYPE="ASN_TABLE", DETECTOR=None)
    stis_file(tmp_path / "o1_raw.fits", NEXTEND=4, OBSMODE="ACQ/PEAK")
    for name, words in [
        ("o1.jpg", "o1.jpg: is not a FITS file, but a preview picture; expected an image of the STIS CCD"),
        ("o1_x1d.fits", "o1_x1d.fits: is an extracted spectrum; expected an image of the STIS CCD"),
        ("o1_asn.fits", "o1_asn.fits: is an association table; expected an image"),
        ("o1_raw.fits", "o1_raw.fits: is an acquisition (OBSMODE is ACQ/PEAK); expected an image"),
        ("", "is a folder; expected a FITS file, name the files in it"),
    ]:
        with pytest.raises(UnsuitableFileError) as caught:
            Exposure.read(tmp_path / name)
        assert words in str(caught.value)
