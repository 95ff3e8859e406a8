"""correct_files and add_cti_files: names, headers, checks before work, nothing half-written."""

from __future__ import annotations

import gzip
import logging
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from gpucti.backends import get_backend
from gpucti.correction.files import FileDone, add_cti_files, correct_files
from gpucti.correction.stack import add_cti_stack, correct_stack
from gpucti.errors import (
    InputError,
    MissingFileError,
    OutputExistsError,
    ReferenceFileError,
    SomeFailedError,
    UnsuitableFileError,
)
from gpucti.io.exposure import Exposure
from gpucti.model.pctetab import Pctetab
from support.stis_files import COLS, ROWS, change, digest, listing, null_hdu, quiet_astropy, stis_file, stis_hdus

MJD = 55992.448
PAST_THE_TABLE = 60100.0


class CountingBackend:
    """The NumPy backend with a small batch; counts the images of every call."""

    name = "numpy"

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.calls: list[int] = []
        self._backend = get_backend("numpy")

    def images_per_batch(self, rows: int, cols: int) -> int:
        return self.limit

    def remove_cti(self, signal: Any, *args: Any, **kwargs: Any) -> Any:
        self.calls.append(len(signal))
        return self._backend.remove_cti(signal, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)


def correct(*args: Any, **kwargs: Any) -> list[Path]:
    return correct_files(*args, **{"device": "numpy", **kwargs})


def other_cards(header: fits.Header) -> list[tuple[str, Any, str]]:
    """Return the cards that the correction has no business with."""
    ours = ("PCTE", "CTE", "FILENAME", "HISTORY")
    return [tuple(card) for card in header.cards if not card.keyword.startswith(ours)]


def untouched(path: Path) -> tuple[str, int]:
    return digest(path), path.stat().st_mtime_ns


# ---- the result ------------------------------------------------------------------------------------------


def test_pixels_are_those_of_the_array_function(tmp_path: Path) -> None:
    """Oracle: correct_stack on the arrays of the file; exact. DQ, other cards, the input: unchanged."""
    path = stis_file(tmp_path / "x_flt.fits", 2, ATODGAIN=4.0)
    before = untouched(path)
    (output,) = correct(path)
    assert output == tmp_path / "otest01aq_cte.fits"
    assert untouched(path) == before
    old, new = Exposure.read(path), Exposure.read(output)
    table = Pctetab.default()
    expected = correct_stack(
        np.stack([imset.sci for imset in old.imsets]),
        err=np.stack([imset.err for imset in old.imsets]),
        mjd=np.full(2, MJD),
        gain=np.full(2, 4.0),
        amp="D",
        pctetab=table,
        options=table.options(),
        backend=get_backend("numpy"),
        origin=old.origin,
    )
    for i in range(2):
        np.testing.assert_array_equal(new.imsets[i].sci, expected.sci[i])
        np.testing.assert_array_equal(new.imsets[i].err, expected.err[i])
        np.testing.assert_array_equal(new.imsets[i].dq, old.imsets[i].dq)
        assert new.imsets[i].headers[0]["PCTENREP"] == expected.repairs[i]
        assert np.abs(new.imsets[i].sci - old.imsets[i].sci).max() > 1  # something was done


def test_header_keywords(tmp_path: Path) -> None:
    """Oracle: the list of keywords stis_cti 1.6.2 writes, with the values of the table and the overrides."""
    path = stis_file(tmp_path / "x_flt.fits")
    (output,) = correct(path, read_noise=4, noise_model=2, oversub_thresh=-20, sim_nit=2, shft_nit=3)
    with fits.open(output) as hdus:
        header = hdus[0].header
        found = {name: header[name] for name in header if name.startswith(("PCTE", "CTE_"))}
    assert found["PCTEFRAC"] == Pctetab.default().time_scale(MJD)
    assert [found[f"PCTE{name}"] for name in ("RNCL", "NSMD", "TRSH", "SMIT", "SHFT")] == [4, 2, -20, 2, 3]
    assert (found["PCTECORR"], found["CTE_NAME"], found["CTE_VER"]) == ("COMPLETE", "PixelCTE 2012", "3.2")
    assert (found["PCTE_VER"], found["PCTETAB"]) == (Pctetab.default().version, Pctetab.default().name)
    assert (found["PCTESHAI"], found["PCTESHAT"]) == (digest(path), Pctetab.default().sha256)
    assert (found["PCTEBACK"], found["PCTEXTRP"]) == ("numpy", False)
    assert found["PCTEPROG"].startswith("gpucti ")
    assert (header["FILENAME"], header["ATODGAIN"], header["CTECORR"]) == ("otest01aq_cte.fits", 1.0, "OMIT")
    assert "removed by gpucti" in str(header["HISTORY"])


def test_default_options_are_those_of_the_table(tmp_path: Path) -> None:
    """Oracle: the defaults of the packaged table."""
    with fits.open(correct(stis_file(tmp_path / "x_flt.fits"))[0]) as hdus:
        header = hdus[0].header
    options = Pctetab.default().options()
    assert (header["PCTERNCL"], header["PCTENSMD"], header["PCTETRSH"], header["PCTESMIT"], header["PCTESHFT"]) == (
        options.read_noise,
        options.noise_model,
        options.oversub_thresh,
        options.sim_nit,
        options.shft_nit,
    )


def test_every_other_card_and_extension_is_carried_over(tmp_path: Path) -> None:
    """Oracle: the input; cards in order, the keywords of this step left out."""
    hdus = stis_hdus(PCTETAB="oref$gone_pcte.fits")
    hdus[0].header["HISTORY"] = "an old story"
    hdus.append(fits.BinTableHDU.from_columns([fits.Column("A", "J", array=[1, 2])], name="NOTES"))
    hdus.writeto(tmp_path / "x_flt.fits")
    (output,) = correct(tmp_path / "x_flt.fits")
    with fits.open(tmp_path / "x_flt.fits") as old, fits.open(output) as new:
        assert [hdu.name for hdu in new] == [hdu.name for hdu in old]
        assert set(old[0].header) <= set(new[0].header)
        assert "an old story" in list(new[0].header["HISTORY"])
        for index in range(len(old)):
            assert other_cards(new[index].header) == other_cards(old[index].header)
        assert fits.HDUDiff(old["DQ"], new["DQ"]).identical
        assert fits.HDUDiff(old["NOTES"], new["NOTES"]).identical


def test_null_err_and_dq(tmp_path: Path) -> None:
    """Oracle: the same file with the arrays written out."""
    full = stis_hdus()
    full[2].data[:] = 0
    full[3].data[:] = 4
    full.writeto(tmp_path / "full.fits")
    null = fits.HDUList([*full[:2], null_hdu("ERR", 1, (ROWS, COLS)), null_hdu("DQ", 1, (ROWS, COLS), 4)])
    null.writeto(tmp_path / "null.fits")
    (expected,) = correct(tmp_path / "full.fits", tmp_path / "a")
    (found,) = correct(tmp_path / "null.fits", tmp_path / "b")
    with fits.open(expected) as one, fits.open(found) as other:
        for name in ("SCI", "ERR", "DQ"):
            np.testing.assert_array_equal(one[name].data, other[name].data)
            assert one[name].header["BITPIX"] == other[name].header["BITPIX"]
        assert other["ERR"].data.max() > 0


def test_compressed_input_gives_the_same_result(tmp_path: Path) -> None:
    """Oracle: the plain file."""
    plain = stis_file(tmp_path / "x_flt.fits")
    (expected,) = correct(plain, tmp_path / "a")
    (tmp_path / "x_flt.fits.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    before = untouched(tmp_path / "x_flt.fits.gz")
    (found,) = correct(str(plain), tmp_path / "b")
    assert found.name == "otest01aq_cte.fits"
    np.testing.assert_array_equal(fits.getdata(found, "SCI"), fits.getdata(expected, "SCI"))
    assert untouched(tmp_path / "x_flt.fits.gz") == before
    assert fits.getval(found, "PCTESHAI") == before[0]


def test_integer_and_double_pixels(tmp_path: Path) -> None:
    """Oracle: the same values as float32: equal for integers, nearer than one float32 step for float64."""
    results = {}
    for dtype in (np.float32, np.int16, np.float64):
        hdus = stis_hdus()
        hdus[1].data = np.rint(hdus[1].data).astype(dtype)
        hdus.writeto(tmp_path / f"{np.dtype(dtype)}.fits")
        (output,) = correct(tmp_path / f"{np.dtype(dtype)}.fits", tmp_path / str(np.dtype(dtype)))
        results[dtype] = fits.getdata(output, "SCI")
    assert results[np.int16].dtype == np.dtype(">f4")
    np.testing.assert_array_equal(results[np.int16], results[np.float32])
    assert results[np.float64].dtype == np.dtype(">f8")
    np.testing.assert_array_equal(results[np.float64].astype(np.float32), results[np.float32])


@pytest.mark.filterwarnings("ignore:.*measured on amplifier D")
def test_batches_do_not_change_the_result(tmp_path: Path) -> None:
    """Oracle: each file alone. Stacks hold at most `images_per_batch` images, and one amplifier."""
    for number, (amp, imsets) in enumerate([("D", 1), ("D", 2), ("D", 1), ("A", 1), ("D", 5)]):
        stis_file(
            tmp_path / f"f{number}.fits",
            imsets,
            seed=10 * number,
            CCDAMP=amp,
            ROOTNAME=f"o{number}",
            ATODGAIN=1 + number,
        )
    backend = CountingBackend(limit=3)
    together = correct_files(str(tmp_path / "f?.fits"), tmp_path / "together", device=backend)
    assert backend.calls == [3, 1, 1, 3, 2]
    assert [path.name for path in together] == [f"o{number}_cte.fits" for number in range(5)]
    for number, path in enumerate(together):
        (alone,) = correct(tmp_path / f"f{number}.fits", tmp_path / "alone")
        assert path.read_bytes() == alone.read_bytes()


def test_progress_and_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Oracle: one report and one INFO line per file."""
    for name in ("o1", "o2"):
        stis_file(tmp_path / f"{name}_flt.fits", 2, ROOTNAME=name)
    done: list[FileDone] = []
    with caplog.at_level(logging.INFO, logger="gpucti"):
        outputs = correct(sorted(tmp_path.glob("*_flt.fits")), progress=done.append)
    assert [file.output for file in done] == outputs
    assert all(len(file.repairs) == 2 and file.seconds > 0 for file in done)
    assert sum("written to" in record.getMessage() for record in caplog.records) == 2


def test_extrapolated_scale_is_said_once_and_noted(tmp_path: Path) -> None:
    """Oracle: the last CTE_SCALE point of the table."""
    for name in ("o1", "o2"):
        stis_file(tmp_path / f"{name}_flt.fits", ROOTNAME=name, TEXPSTRT=PAST_THE_TABLE)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        outputs = correct_files(str(tmp_path / "o*.fits"), device=CountingBackend(limit=1))
    assert [warning.category for warning in caught] == [UserWarning]
    for output in outputs:
        header = fits.getheader(output)
        assert header["PCTEXTRP"] is True
        assert "extrapolates" in str(header["HISTORY"])


def test_doubts_are_said_once_and_noted(tmp_path: Path) -> None:
    """Oracle: one warning for each reason, with the first file and the number of others; HISTORY has it too."""
    for name, cards in (
        ("o1", {"TEXPSTRT": 51453.0}), ("o2", {"TEXPSTRT": 52000.0}), ("o3", {"CCDAMP": "A"}), ("o4", {})
    ):  # fmt: skip
        stis_file(tmp_path / f"{name}_flt.fits", ROOTNAME=name, **cards)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        outputs = correct(str(tmp_path / "o*.fits"))
    early, amp = (str(warning.message) for warning in caught)
    assert "o1_flt.fits and 1 more: taken before 2009-05-01" in early
    assert "0.55 +- 0.06" in early
    assert amp.endswith("o3_flt.fits: read out by amplifier A: the tables are measured on amplifier D")
    histories = ["".join(fits.getheader(output)["HISTORY"]) for output in outputs]
    assert ["In doubt" in history for history in histories] == [True, True, True, False]


@pytest.mark.filterwarnings("ignore:.*MJD 59000")
def test_date_past_the_last_epoch_is_a_warning(tmp_path: Path) -> None:
    """Oracle: the end of the released table; a date that must be a mistake is an error before any work."""
    stis_file(tmp_path / "x_flt.fits", TEXPSTRT=62001.0)
    with pytest.warns(UserWarning, match="x_flt.fits: the release profiles of .* end at MJD 62000"):
        correct(tmp_path / "x_flt.fits")
    stis_file(tmp_path / "y_flt.fits", ROOTNAME="y", TEXPSTRT=2457000.5)
    with pytest.raises(ReferenceFileError, match="TEXPSTRT 2.457e"):
        correct(tmp_path / "y_flt.fits")


def test_nan_pixels(tmp_path: Path) -> None:
    """Oracle: the same file with zeros there; NaN and infinity come back where they were."""
    hdus = stis_hdus(2)
    hdus[4].data[3, 5] = 0
    hdus[4].data[7, 1] = 0
    hdus.writeto(tmp_path / "zero.fits")
    hdus[4].data[3, 5] = np.nan
    hdus[4].data[7, 1] = -np.inf
    hdus.writeto(tmp_path / "nan.fits")
    with pytest.raises(InputError, match=r"nan\.fits\[SCI,2\]: 2 NaN .* row 3, column 5"):
        correct(tmp_path / "nan.fits")
    assert listing(tmp_path) == ["nan.fits", "zero.fits"]
    (expected,) = correct(tmp_path / "zero.fits", tmp_path / "a")
    (found,) = correct(tmp_path / "nan.fits", tmp_path / "b", nan="keep")
    mine, theirs = fits.getdata(found, ("SCI", 2)), fits.getdata(expected, ("SCI", 2))
    assert np.isnan(mine[3, 5])
    assert mine[7, 1] == -np.inf
    theirs[3, 5], theirs[7, 1] = np.nan, -np.inf
    np.testing.assert_array_equal(mine, theirs)
    with pytest.raises(InputError, match="nan is 'zero'"):
        correct(tmp_path / "nan.fits", nan="zero")


# ---- which table -----------------------------------------------------------------------------------------


@pytest.fixture
def other_table(tmp_path: Path) -> Path:
    """Write a table unlike the packaged one: version 0.9, half the iterations."""
    folder = tmp_path / "ref"
    folder.mkdir()
    path = Pctetab.default().write(folder / "b_pcte.fits")
    with fits.open(path, mode="update") as hdus:
        hdus[0].header["PCTE_VER"] = "0.9"
        hdus[0].header["SIM_NIT"] = 2
    return path


@pytest.mark.parametrize("name", ["myref$b_pcte.fits", "$myref/b_pcte.fits", "ref/b_pcte.fits", "absolute"])
@pytest.mark.parametrize("compressed", [False, True])
def test_the_table_of_the_header_is_used(
    tmp_path: Path, other_table: Path, monkeypatch: pytest.MonkeyPatch, name: str, compressed: bool
) -> None:
    """Oracle: PCTE_VER and SIM_NIT of the table that the keyword names."""
    monkeypatch.setenv("myref", f"{other_table.parent}/")
    name = str(other_table) if name == "absolute" else name
    path = stis_file(tmp_path / "x_flt.fits", PCTETAB=name)
    if compressed:
        other_table.with_name("b_pcte.fits.gz").write_bytes(gzip.compress(other_table.read_bytes()))
        other_table.unlink()
    header = fits.getheader(correct(path)[0])
    assert (header["PCTE_VER"], header["PCTESMIT"], header["PCTETAB"]) == ("0.9", 2, name)


@pytest.mark.parametrize("name", [None, "", "N/A", "nowhere$b_pcte.fits", "$nowhere/b_pcte.fits", "gone_pcte.fits"])
def test_the_packaged_table_is_the_default(tmp_path: Path, name: str | None, caplog: pytest.LogCaptureFixture) -> None:
    """Oracle: the packaged table; the log says so, as a warning where the header asked for another."""
    path = stis_file(tmp_path / "x_flt.fits", PCTETAB=name)
    with caplog.at_level(logging.INFO, logger="gpucti"):
        header = fits.getheader(correct(path)[0])
    assert (header["PCTE_VER"], header["PCTETAB"]) == (Pctetab.default().version, Pctetab.default().name)
    levels = [record.levelno for record in caplog.records if "using the default" in record.getMessage()]
    assert levels == [logging.WARNING if name and name != "N/A" else logging.INFO]


def test_a_chosen_table_wins(tmp_path: Path, other_table: Path) -> None:
    """Oracle: PCTE_VER of the chosen table, given as path, text or object."""
    path = stis_file(tmp_path / "x_flt.fits", PCTETAB="gone_pcte.fits")
    for number, table in enumerate((other_table, str(other_table), Pctetab.read(other_table))):
        header = fits.getheader(correct(path, tmp_path / f"{number}", pctetab=table)[0])
        assert (header["PCTE_VER"], header["PCTETAB"]) == ("0.9", "b_pcte.fits")
    with pytest.raises(ReferenceFileError, match="nowhere.fits: PCTETAB not found"):
        correct(path, pctetab=tmp_path / "nowhere.fits")


def test_a_date_outside_the_table(tmp_path: Path) -> None:
    """Oracle: the first date of the table; the message names the file."""
    path = stis_file(tmp_path / "x_flt.fits", TEXPSTRT=40000.0)
    with pytest.raises(ReferenceFileError, match=r"x_flt\.fits: TEXPSTRT 40000"):
        correct(path)
    assert listing(tmp_path) == ["x_flt.fits"]


# ---- checks before work ----------------------------------------------------------------------------------


def refused(tmp_path: Path, error: type[Exception], match: str, *args: Any, **kwargs: Any) -> None:
    """Assert that the call fails with one message, before any computing, and changes nothing in the folder."""
    before = {path: untouched(path) for path in tmp_path.rglob("*") if path.is_file()}
    backend = CountingBackend(limit=1)
    with pytest.raises(error, match=match):
        correct_files(*args, **{"device": backend, **kwargs})
    assert backend.calls == []
    assert {path: untouched(path) for path in tmp_path.rglob("*") if path.is_file()} == before


BAD = [
    ({"NEXTEND": 4}, "multiple of 3"),
    ({"ATODGAIN": None}, "ATODGAIN is missing"),
    ({"CCDAMP": None}, "CCDAMP is missing"),
    ({"CCDAMP": "AD"}, "CCDAMP is 'AD'"),
    ({"TEXPSTRT": None}, "TEXPSTRT is missing"),
    ({"TEXPSTRT": "noon"}, "TEXPSTRT is 'noon'"),
    ({"TEXPSTRT": 40000.0}, "TEXPSTRT 40000"),
    ({"ROOTNAME": None}, "ROOTNAME is missing"),
    ({"ROOTNAME": "../../etc/x"}, "ROOTNAME is"),
]
UNSUITABLE = [
    ({"DETECTOR": "NUV-MAMA"}, "DETECTOR is 'NUV-MAMA'"),
    ({"INSTRUME": "ACS"}, "INSTRUME is 'ACS'"),
    ({"OBSMODE": "ACQ/PEAK"}, "an acquisition"),
    ({"PCTECORR": "COMPLETE"}, "PCTECORR is COMPLETE"),
    ({"CTECORR": "COMPLETE"}, "CTECORR is COMPLETE"),
    ({"BLEVCORR": "PERFORM"}, "run basic2d"),
    ({"BINAXIS1": 2}, "BINAXIS1 is 2"),
    ({"X2DCORR": "COMPLETE"}, "a rectified image"),
]


@pytest.mark.parametrize(("cards", "word"), BAD + UNSUITABLE)
def test_a_bad_file_by_itself_is_an_error_of_its_own_kind(tmp_path: Path, cards: dict, word: str) -> None:
    """Oracle: the folder before."""
    bad = stis_file(tmp_path / "b_flt.fits", **cards)
    kind = ReferenceFileError if "40000" in word else UnsuitableFileError if (cards, word) in UNSUITABLE else InputError
    refused(tmp_path, kind, rf"b_flt\.fits.*{word}", bad)


@pytest.mark.parametrize(("cards", "word"), BAD)
def test_a_bad_file_among_others_ends_alone(tmp_path: Path, cards: dict, word: str) -> None:
    """Oracle: the good file by itself; the failure names the bad one, and the reason it has by itself."""
    good = stis_file(tmp_path / "a_flt.fits", ROOTNAME="ogood")
    bad = stis_file(tmp_path / "b_flt.fits", **cards)
    (alone,) = correct(good, tmp_path / "alone")
    with pytest.raises(SomeFailedError, match="1 of 2 could not be treated, the others are done") as caught:
        correct([bad, good])
    assert caught.value.done == (tmp_path / "ogood_cte.fits",)
    ((item, reason),) = caught.value.failures
    assert item == str(bad) and word in reason
    assert alone.read_bytes() == caught.value.done[0].read_bytes()
    assert listing(tmp_path) == ["a_flt.fits", "alone", "b_flt.fits", "ogood_cte.fits"]


@pytest.mark.parametrize(("cards", "word"), UNSUITABLE)
def test_a_file_of_another_kind_among_others_is_skipped(tmp_path: Path, cards: dict, word: str) -> None:
    """Oracle: the list of outputs; one warning names the file and what it is."""
    good = stis_file(tmp_path / "a_flt.fits", ROOTNAME="ogood")
    stis_file(tmp_path / "b_flt.fits", **cards)
    word = "a raw exposure" if word == "run basic2d" else word
    with pytest.warns(UserWarning, match=f"^skipped: b_flt.fits: .*{word}") as caught:
        assert correct([tmp_path / "b_flt.fits", good]) == [tmp_path / "ogood_cte.fits"]
    assert len(caught) == 1


def test_bad_pixels_and_damage_end_alone(tmp_path: Path) -> None:
    """Oracle: the good files by themselves, before and behind the bad ones in batches of one and of three."""
    hdus = stis_hdus(ROOTNAME="onan")
    hdus[1].data[3, 5] = np.nan
    hdus.writeto(tmp_path / "b_flt.fits")
    good = [stis_file(tmp_path / f"{name}_flt.fits", ROOTNAME=f"o{name}") for name in "ace"]
    cut = tmp_path / "d_flt.fits"
    cut.write_bytes(good[0].read_bytes()[:-3000])
    (tmp_path / "f_flt.fits").write_bytes(b"<html>not found</html>")
    (tmp_path / "g_flt.fits").touch()
    for limit in (1, 3):
        out = tmp_path / f"out{limit}"
        seen: list[FileDone] = []
        with quiet_astropy(), pytest.raises(SomeFailedError) as caught:
            correct(str(tmp_path / "*_flt.fits"), out, device=CountingBackend(limit), progress=seen.append)
        assert caught.value.done == tuple(out / f"o{name}_cte.fits" for name in "ace")
        assert [file.output for file in seen] == list(caught.value.done)
        reasons = {Path(failure.item).name[0]: failure.reason for failure in caught.value.failures}
        assert {name: word in reasons[name] for name, word in [
            ("b", "1 NaN or infinite"), ("d", "no complete FITS ext"), ("f", "not a FITS file"), ("g", "is empty"),
        ]} == dict.fromkeys("bdfg", True)  # fmt: skip
        assert listing(out) == ["oa_cte.fits", "oc_cte.fits", "oe_cte.fits"]


def test_nothing_is_made_if_every_file_is_bad(tmp_path: Path) -> None:
    """Oracle: the folder before; the message does not speak of others."""
    paths = [stis_file(tmp_path / f"{name}_flt.fits", CCDAMP="E") for name in "ab"]
    refused(tmp_path, SomeFailedError, "^2 of 2 could not be treated:\n", paths)


def test_an_output_that_appears_meanwhile_costs_that_file_alone(tmp_path: Path) -> None:
    """Oracle: what lies there stays; the other two are made."""
    for name in ("o1", "o2", "o3"):
        stis_file(tmp_path / f"{name}_flt.fits", ROOTNAME=name)

    def meddle(file: FileDone) -> None:
        (tmp_path / "o2_cte.fits").write_bytes(b"precious")

    with pytest.raises(SomeFailedError, match=r"1 of 3 .*\n .*o2_flt.fits: .*o2_cte.fits: the output exists") as caught:
        correct_files(str(tmp_path / "o?_flt.fits"), device=CountingBackend(limit=1), progress=meddle)
    assert [path.name for path in caught.value.done] == ["o1_cte.fits", "o3_cte.fits"]
    assert (tmp_path / "o2_cte.fits").read_bytes() == b"precious"


def test_a_folder_as_the_archive_delivers_it(tmp_path: Path) -> None:
    """Oracle: the one image that can be corrected; a warning for each kind of the others, with its right name."""
    flt = stis_file(tmp_path / "o1_flt.fits", 2, ROOTNAME="o1")
    stis_file(tmp_path / "o1_crj.fits", ROOTNAME="o1", CRCORR="COMPLETE")
    stis_file(tmp_path / "o1_raw.fits", ROOTNAME="o1", BLEVCORR="PERFORM", FILENAME="o1_raw.fits")
    stis_file(tmp_path / "o1_wav.fits", ROOTNAME="o1", BLEVCORR="PERFORM", FILENAME="o1_wav.fits")
    for name, filetype in (("o1_asn", "ASN_TABLE"), ("o1_spt", "SPT"), ("o1_jit", "JTB"), ("o2_jit", "JTB")):
        cards = {"DETECTOR": None, "FILETYPE": filetype, "FILENAME": f"{name}.fits"}
        stis_file(tmp_path / f"{name}.fits", **cards)
    Pctetab.default().write(tmp_path / "a02_pcte.fits")
    (tmp_path / "o1_trl.txt").write_text("CALBEG")
    (tmp_path / "o1_x2d_preview.jpg").write_bytes(b"\xff\xd8\xff")
    (tmp_path / "HST").mkdir()
    with pytest.warns(UserWarning) as caught:
        assert correct(str(tmp_path / "*")) == [tmp_path / "o1_cte.fits"]
    assert sorted(str(warning.message) for warning in caught) == [
        "skipped: HST: a folder",
        "skipped: a02_pcte.fits: the reference table PCTETAB",
        "skipped: o1_asn.fits: an association table",
        "skipped: o1_crj.fits: a sum of several readouts without cosmic rays (CRCORR is COMPLETE)",
        "skipped: o1_jit.fits, o2_jit.fits: a jitter table (pointing of the telescope)",
        "skipped: o1_raw.fits: a raw exposure, not bias-subtracted",
        "skipped: o1_spt.fits: a support file (engineering keywords)",
        "skipped: o1_trl.txt: not a FITS file, but a text (log, trailer)",
        "skipped: o1_wav.fits: a raw wavecal, not bias-subtracted",
        "skipped: o1_x2d_preview.jpg: not a FITS file, but a preview picture",
    ]
    flt.unlink()
    (tmp_path / "o1_crj.fits").unlink()
    with pytest.raises(
        UnsuitableFileError, match="none of the 11 files is an image to work on:\n  HST: a folder\n  a02"
    ):
        correct(sorted(tmp_path.iterdir()))


def test_a_second_call_on_all_files_says_that_the_output_exists(tmp_path: Path) -> None:
    """Oracle: the folder before; --overwrite makes it anew, though ``*`` names the product too."""
    stis_file(tmp_path / "x_flt.fits")
    correct(str(tmp_path / "*.fits"), sim_nit=1)
    with pytest.raises(OutputExistsError, match=r"otest01aq_cte\.fits: the output exists"):
        correct(str(tmp_path / "*.fits"))
    with pytest.warns(UserWarning, match="skipped: otest01aq_cte.fits: PCTECORR is COMPLETE"):
        (output,) = correct(str(tmp_path / "*.fits"), sim_nit=3, overwrite=True)
    assert fits.getval(output, "PCTESMIT") == 3


def test_missing_truncated_and_foreign_files(tmp_path: Path) -> None:
    """Oracle: the folder before."""
    good = stis_file(tmp_path / "a_flt.fits")
    refused(tmp_path, MissingFileError, r"gone\.fits: no such file", [good, tmp_path / "gone.fits"])
    refused(tmp_path, MissingFileError, r"\*_raw\.fits: no file matches", [good, str(tmp_path / "*_raw.fits")])
    refused(tmp_path, InputError, "no files", [])
    refused(tmp_path, InputError, "is a folder", tmp_path)
    refused(tmp_path, InputError, "expected paths", [good, 3])
    cut = tmp_path / "cut.fits"
    cut.write_bytes(good.read_bytes()[:-3000])
    with quiet_astropy():
        refused(tmp_path, InputError, r"cut\.fits\[3\]: the last 2760 bytes are no complete FITS ext", cut)


def test_bad_options(tmp_path: Path) -> None:
    """Oracle: the ranges in CorrectionOptions; no folder is made either."""
    path = stis_file(tmp_path / "x_flt.fits")
    refused(tmp_path, InputError, "sim_nit is 0", path, tmp_path / "new", sim_nit=0)
    refused(tmp_path, InputError, "noise_model is 3", path, tmp_path / "new", noise_model=3)
    refused(tmp_path, InputError, "'tpu'", path, tmp_path / "new", device="tpu")
    assert not (tmp_path / "new").exists()


def test_output_rules(tmp_path: Path) -> None:
    """Oracle: the folder before; existing outputs, shared outputs, and outputs that are inputs are refused."""
    path = stis_file(tmp_path / "x_flt.fits")
    (tmp_path / "otest01aq_cte.fits").write_bytes(b"precious")
    refused(tmp_path, OutputExistsError, r"otest01aq_cte\.fits: the output exists", path)
    shutil.copy(path, tmp_path / "y_flt.fits")
    refused(tmp_path, InputError, "same ROOTNAME", str(tmp_path / "*_flt.fits"), overwrite=True)
    shutil.copy(path, tmp_path / "otest01aq_cte.fits")  # an uncorrected file under the name of the output
    refused(tmp_path, InputError, "inputs are never overwritten", tmp_path / "otest01aq_cte.fits", overwrite=True)
    (tmp_path / "otest01aq_cte.fits").unlink()
    (tmp_path / "otest01aq_cte.fits").symlink_to(path)
    refused(tmp_path, InputError, "inputs are never overwritten", path, overwrite=True)


def test_outdir(tmp_path: Path) -> None:
    """Oracle: the file system: made with its parents, or refused where it cannot be."""
    path = stis_file(tmp_path / "x_flt.fits")
    refused(tmp_path, InputError, "is not a folder", path, path)
    refused(tmp_path, InputError, "is not a folder", path, path / "below")
    (output,) = correct(path, tmp_path / "new" / "deep")
    assert output == tmp_path / "new" / "deep" / "otest01aq_cte.fits"
    assert listing(output.parent) == ["otest01aq_cte.fits"]


def test_an_unknown_option_is_refused(tmp_path: Path) -> None:
    """Oracle: the words of `correct_arrays`; nothing is written."""
    path = stis_file(tmp_path / "x_flt.fits")
    with pytest.raises(InputError, match="unknown option 'sim_nits'; expected one of read_noise"):
        correct(path, sim_nits=5)
    assert listing(tmp_path) == ["x_flt.fits"]


def test_an_unwritable_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the answer of the file system, simulated because tests may run as root."""
    path = stis_file(tmp_path / "x_flt.fits")
    monkeypatch.setattr("os.access", lambda folder, mode: folder != tmp_path)
    refused(tmp_path, InputError, "cannot be written to; choose another outdir", path)
    monkeypatch.setattr("os.access", lambda folder, mode: True)
    path.chmod(0o400)
    tmp_path.chmod(0o700)
    before = untouched(path)
    correct(path, tmp_path / "out")
    assert untouched(path) == before


def test_a_name_given_twice_counts_once(tmp_path: Path) -> None:
    """Oracle: one input, one output."""
    path = stis_file(tmp_path / "x_flt.fits")
    assert len(correct([path, str(tmp_path / "*.fits"), tmp_path / "." / "x_flt.fits"])) == 1


def test_a_name_with_brackets_is_a_file_first(tmp_path: Path) -> None:
    """Oracle: the file of that very name."""
    assert len(correct(str(stis_file(tmp_path / "x[1]_flt.fits")))) == 1


# ---- failures on the way ---------------------------------------------------------------------------------


def test_an_interrupt_leaves_whole_files(tmp_path: Path) -> None:
    """Oracle: a run that was not interrupted."""
    for name in ("o1", "o2", "o3"):
        stis_file(tmp_path / f"{name}_flt.fits", ROOTNAME=name)

    def stop(file: FileDone) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        correct_files(str(tmp_path / "o?_flt.fits"), device=CountingBackend(limit=1), progress=stop)
    assert listing(tmp_path) == ["o1_cte.fits", "o1_flt.fits", "o2_flt.fits", "o3_flt.fits"]
    (whole,) = correct(tmp_path / "o1_flt.fits", tmp_path / "again")
    assert whole.read_bytes() == (tmp_path / "o1_cte.fits").read_bytes()


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the folder before, old output included."""
    path = stis_file(tmp_path / "x_flt.fits")
    (output,) = correct(path)
    before = untouched(output)

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        correct(path, overwrite=True, sim_nit=1)
    assert untouched(output) == before
    assert listing(tmp_path) == ["otest01aq_cte.fits", "x_flt.fits"]


def test_overwrite_replaces(tmp_path: Path) -> None:
    """Oracle: the header of the second run."""
    path = stis_file(tmp_path / "x_flt.fits")
    correct(path, sim_nit=1)
    (output,) = correct(path, sim_nit=3, overwrite=True)
    assert fits.getval(output, "PCTESMIT") == 3


def test_a_file_that_changes_meanwhile_is_an_error(tmp_path: Path) -> None:
    """Oracle: the headers checked at the beginning. The third file is not read before the first is done."""
    paths = [stis_file(tmp_path / f"{name}_flt.fits", ROOTNAME=name) for name in ("o1", "o2", "o3")]

    def meddle(file: FileDone) -> None:
        if file.input == paths[0]:
            paths[2].unlink()
            stis_file(paths[2], ROOTNAME="o3", CCDAMP="A")

    with pytest.raises(SomeFailedError, match=r"1 of 3 .*\n .*o3_flt.fits: changed while"):
        correct_files(str(tmp_path / "o?_flt.fits"), device=CountingBackend(limit=1), progress=meddle)


# ---- the other direction ---------------------------------------------------------------------------------


def test_add_cti_changes_sci_alone(tmp_path: Path) -> None:
    """Oracle: add_cti_stack on the arrays; exact. ERR, DQ and the input: unchanged."""
    path = stis_file(tmp_path / "x_flt.fits", 2, PCTECORR="COMPLETE")
    before = untouched(path)
    (output,) = add_cti_files(path, device="numpy", shft_nit=3)
    assert (output.name, untouched(path)) == ("otest01aq_cti.fits", before)
    old, new = Exposure.read(path), Exposure.read(output)
    expected = add_cti_stack(
        np.stack([imset.sci for imset in old.imsets]),
        mjd=np.full(2, MJD),
        gain=np.ones(2),
        amp="D",
        pctetab=Pctetab.default(),
        shft_nit=3,
        backend=get_backend("numpy"),
        origin=old.origin,
    )
    for i in range(2):
        np.testing.assert_array_equal(new.imsets[i].sci, expected[i])
        np.testing.assert_array_equal(new.imsets[i].err, old.imsets[i].err)
        np.testing.assert_array_equal(new.imsets[i].dq, old.imsets[i].dq)
    header, options = new.primary, Pctetab.default().options()
    assert header["PCTEFRAC"] == Pctetab.default().time_scale(MJD)
    assert (header["PCTERNCL"], header["PCTESMIT"], header["PCTESHFT"]) == (options.read_noise, options.sim_nit, 3)
    assert (header["PCTECORR"], header["FILENAME"]) == ("PERFORM", "otest01aq_cti.fits")
    assert "added by gpucti" in str(header["HISTORY"])


@pytest.mark.filterwarnings("ignore:.*measured on amplifier D")
@pytest.mark.parametrize(("amp", "ltv2"), [("A", -100.0), ("D", -500.0)])
def test_rows_of_unknown_history_are_flagged(amp: str, ltv2: float, tmp_path: Path) -> None:
    """Oracle: hand-worked: 60 of 80 rows from the readout side get DQ 1024, which SDQFLAGS does not ask for."""
    hdus = stis_hdus(2, CCDAMP=amp)
    for hdu in hdus[1:]:
        hdu.data = np.tile(hdu.data, (4, 1))[:80]
    for number in (1, 2):
        change(hdus["SCI", number].header, LTV2=ltv2)
    hdus.writeto(tmp_path / "x_flt.fits")
    (output,) = correct(tmp_path / "x_flt.fits")
    old, new = Exposure.read(tmp_path / "x_flt.fits"), Exposure.read(output)
    flagged = np.zeros((80, COLS), dtype=np.int16)
    flagged[slice(60) if amp == "A" else slice(20, None)] = 1024
    for before, after in zip(old.imsets, new.imsets, strict=True):
        np.testing.assert_array_equal(after.dq, before.dq | flagged)
        assert after.dq.dtype == before.dq.dtype
        assert after.headers[0]["PCTENUNK"] == 60


def test_nothing_is_flagged_at_the_register(tmp_path: Path) -> None:
    """Oracle: the rows in front are none: DQ as it was, and no keyword."""
    (output,) = correct(stis_file(tmp_path / "x_flt.fits"))
    np.testing.assert_array_equal(fits.getdata(output, "DQ"), fits.getdata(tmp_path / "x_flt.fits", "DQ"))
    assert "PCTENUNK" not in fits.getheader(output, "SCI")


def test_trails_added_can_be_removed_again(tmp_path: Path) -> None:
    """Oracle: the image before: most of the trail behind the bright sources is gone."""
    hdus = stis_hdus(PCTECORR="COMPLETE")
    hdus[1].data = np.where(hdus[1].data > 1000, np.float32(5000), np.float32(20))
    change(hdus[1].header, LTV2=0.0)  # far from the amplifier, where trails are long
    hdus.writeto(tmp_path / "x_flt.fits")
    (trailed,) = add_cti_files(tmp_path / "x_flt.fits", device="numpy")
    (restored,) = correct(trailed, noise_model=0)
    truth = fits.getdata(tmp_path / "x_flt.fits", "SCI")
    lost = np.abs(fits.getdata(trailed, "SCI") - truth).max()
    left = np.abs(fits.getdata(restored, "SCI") - truth).max()
    assert lost > 100
    assert left < 0.05 * lost  # seven iterations of a fixed point that contracts by more than two each
