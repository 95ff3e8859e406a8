"""The reference table: files good and bad, scales, epochs."""

from __future__ import annotations

import gzip
import pickle
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from gpucti.errors import InputError, OutputExistsError, ReferenceFileError
from gpucti.model.pctetab import Pctetab
from gpucti.model.pctetab_checks import check_version
from support.recorded import upstream

GOLDEN = upstream()


@pytest.fixture
def written(table: Pctetab, tmp_path: Path) -> Path:
    return table.write(tmp_path / "a02_stis_pcte.fits")


def edit(path: Path, change: Callable[[fits.HDUList], None]) -> Path:
    """Return a changed copy."""
    with fits.open(path) as hdus:
        change(hdus)
        hdus.writeto(path.with_name("changed_pcte.fits"))
    return path.with_name("changed_pcte.fits")


def test_written_table_reads_back(table: Pctetab, written: Path) -> None:
    """Oracle: the packaged figures themselves, by digest and one by one."""
    again = Pctetab.read(written)
    assert again.sha256 == table.sha256
    assert again.defaults == table.defaults
    assert again.name == "a02_stis_pcte.fits"
    for name in ("q", "dtde", "levels", "scale_mjd", "scale"):
        assert np.array_equal(getattr(again, name), getattr(table, name)), name
    assert sorted(file.name for file in written.parent.iterdir()) == ["a02_stis_pcte.fits"]


def test_gzip_compressed(table: Pctetab, written: Path) -> None:
    """Oracle: the same table, not compressed."""
    packed = written.with_suffix(".fits.gz")
    packed.write_bytes(gzip.compress(written.read_bytes()))
    assert Pctetab.read(packed).sha256 == table.sha256


@pytest.mark.golden
@pytest.mark.parametrize("name", ["a01_stis_pcte.fits", "a02_stis_pcte.fits"])
def test_released_tables(table: Pctetab, golden_visit: Path, name: str) -> None:
    """Oracle: STScI's released files: 0.2 has the packaged figures; 0.1 has the same and ends earlier."""
    released = Pctetab.read(golden_visit / "pctetab" / name)
    assert released.version == {"a01_stis_pcte.fits": "0.1", "a02_stis_pcte.fits": "0.2"}[name]
    assert (released.sha256 == table.sha256) == (name == "a02_stis_pcte.fits")
    assert np.array_equal(released.traps(55000.0).held, table.traps(55000.0).held)


def test_time_scale_is_upstreams(table: Pctetab) -> None:
    """Oracle: stis_cti's CalcCteFrac, to the last bit, within and past the table's points."""
    assert [table.time_scale(mjd) for mjd in GOLDEN["mjd"]] == list(GOLDEN["cte_frac"])


def test_reference_date_has_scale_one(table: Pctetab) -> None:
    """Oracle: its definition."""
    assert table.time_scale(table.reference_mjd) == pytest.approx(1.0, abs=1e-12)


def test_three_scale_points(table: Pctetab) -> None:
    """Oracle: hand-worked: straight lines through (50000, 0), (51000, 1), (52000, 3), the last carried on."""
    bent = replace(table, scale_mjd=np.array([50000.0, 51000.0, 52000.0]), scale=np.array([0.0, 1.0, 3.0]))
    assert [bent.time_scale(mjd) for mjd in (50000, 50500, 51000, 51500, 52000, 52500)] == [0, 0.5, 1, 2, 3, 4]
    assert bent.reference_mjd == 51000.0


def test_date_before_the_first_point(table: Pctetab) -> None:
    """Oracle: the message."""
    with pytest.raises(ReferenceFileError, match="CTE_SCALE begins at MJD 50000; no trap density for MJD 49999"):
        table.time_scale(49999.0)


def test_date_outside_every_epoch_lists_them(table: Pctetab) -> None:
    """Oracle: the message, with both epochs of a table that has a gap."""
    first, second = replace(table.epochs[0], end_mjd=58000.0), replace(table.epochs[0], start_mjd=58001.0)
    gap = replace(table, epochs=(first, second))
    assert gap.epoch(57999.9) is first
    assert gap.epoch(58001.0) is second
    words = "no CHG_LEAK epoch covers MJD 58000.5 (have 1.0 to 58000.0, 58001.0 to 62000.0); use a newer PCTETAB"
    with pytest.raises(ReferenceFileError, match=re.escape(words)):
        gap.epoch(58000.5)


def test_last_epoch_is_held_but_not_for_ever(table: Pctetab) -> None:
    """Oracle: its profiles, in whatever order the epochs stand; a Julian Date is a mistake, and so is a date before."""
    first, second = replace(table.epochs[0], end_mjd=58000.0), replace(table.epochs[0], start_mjd=58001.0)
    for epochs in ((first, second), (second, first)):
        two = replace(table, epochs=epochs)
        assert two.epoch(61999.9) is two.epoch(62000.0) is two.epoch(71999.0) is second
        assert [two.holds_last_epoch(mjd) for mjd in (58000.5, 61999.9, 62000.0, 71999.0, 72000.0)] == [0, 0, 1, 1, 0]
    for mjd in (0.0, 72000.0, 2457000.5, 1e9):
        with pytest.raises(ReferenceFileError, match="no CHG_LEAK epoch covers .* check the date"):
            table.epoch(mjd)


@pytest.mark.parametrize("mjd", ["57000", None, float("nan"), True, float("inf")])
def test_dates_are_numbers(table: Pctetab, mjd: object) -> None:
    """Oracle: the message."""
    with pytest.raises(InputError, match="mjd is .*; expected a number"):
        table.time_scale(mjd)  # type: ignore[arg-type]


@pytest.mark.parametrize("version", ["0.1", "0.2", "1.0", "1.17", "0.2_test", "0.2_2024_x"])
def test_versions_that_are_read(version: str) -> None:
    """Oracle: stis_cti: 0.1 to 1.x, text after the underscore ignored."""
    check_version(version, "x.fits")


@pytest.mark.parametrize("version", ["0.0", "2.0", "1", "", "a.b", "_0.2", "0.2.1", "-1.5"])
def test_versions_that_are_not(version: str) -> None:
    """Oracle: the message."""
    with pytest.raises(ReferenceFileError, match="x.fits: PCTE_VER is"):
        check_version(version, "x.fits")


def test_not_fits_missing_or_empty(tmp_path: Path) -> None:
    """Oracle: one clear error each, naming the file."""
    text = tmp_path / "x.fits"
    with pytest.raises(ReferenceFileError, match="x.fits: PCTETAB not found"):
        Pctetab.read(text)
    for content in (b"", b"no FITS at all", b"\x1f\x8b broken gzip"):
        text.write_bytes(content)
        with pytest.raises(ReferenceFileError, match="x.fits: (not a readable FITS file|cannot be read)"):
            Pctetab.read(text)
    with pytest.raises(ReferenceFileError, match="cannot be read"):
        Pctetab.read(tmp_path)


def test_truncated_at_every_block(written: Path) -> None:
    """Oracle: every shorter file is refused by a ReferenceFileError that names it."""
    content = written.read_bytes()
    for size in range(1, len(content), 1440):
        written.write_bytes(content[:size])
        with pytest.raises(ReferenceFileError, match=r"a02_stis_pcte.fits"):
            Pctetab.read(written)


def _level_swap(hdus: fits.HDUList) -> None:
    hdus["LEVELS"].data["LEVEL"][[10, 11]] = hdus["LEVELS"].data["LEVEL"][[11, 10]]


def _set(extension: str, column: str, row: int, value: float) -> Callable[[fits.HDUList], None]:
    def change(hdus: fits.HDUList) -> None:
        hdus[extension].data[column][row] = value

    return change


def _remove(extension: str) -> Callable[[fits.HDUList], None]:
    return lambda hdus: hdus.__delitem__(extension)


def _card(extension: int | str, key: str, value: object) -> Callable[[fits.HDUList], None]:
    def change(hdus: fits.HDUList) -> None:
        if value is None:
            del hdus[extension].header[key]
        else:
            hdus[extension].header[key] = value

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_level_swap, "[LEVELS]: LEVEL is not sorted"),
        (_set("LEVELS", "LEVEL", 0, -1), "[LEVELS]: LEVEL is negative"),
        (_set("LEVELS", "LEVEL", 297, 160000), "[LEVELS]: a level lies above the last Q"),
        (_set("DTDE", "DTDE", 3, -1.0), "[DTDE]: DTDE must be positive"),
        (_set("DTDE", "Q", 3, 1), "[DTDE]: Q is not sorted"),
        (_set("DTDE", "DTDE", 3, np.nan), "[DTDE]: DTDE must be positive"),
        (_set("CTE_SCALE", "MJD", 1, 49000.0), "[CTE_SCALE]: MJD is not sorted"),
        (_set("CTE_SCALE", "SCALE", 1, np.nan), "[CTE_SCALE]: SCALE must be finite"),
        (_set("COL_SCALE", "AMPB", 500, -1.0), "[COL_SCALE]: AMPB must be finite and not negative"),
        (_set("CHG_LEAK1", "NODE", 2, 1), "[CHG_LEAK1]: NODE is not sorted"),
        (_set("CHG_LEAK1", "LOG_Q_2", 2, np.inf), "[CHG_LEAK1]: LOG_Q columns must be finite"),
        (_remove("LEVELS"), "table extension LEVELS is missing (have DTDE, CTE_SCALE"),
        (_remove("CHG_LEAK1"), "table extension CHG_LEAK1 is missing"),
        (_card(0, "NCHGLEAK", 2), "table extension CHG_LEAK2 is missing"),
        (_card(0, "NCHGLEAK", 0), "[0]: NCHGLEAK is less than 1"),
        (_card(0, "RN_CLIP", None), "keyword RN_CLIP is missing"),
        (_card(0, "PCTE_VER", None), "keyword PCTE_VER is missing"),
        (_card(0, "SIM_NIT", 0), "sim_nit is 0; expected 1 to 100"),
        (_card(0, "SIM_NIT", 7.5), "sim_nit is 7.5; expected an integer"),
        (_card(0, "SUBTHRSH", 30.0), "oversub_thresh is 30.0; expected electrons, 0 or below"),
        (_card(0, "NCHGLEAK", "x"), "NCHGLEAK is 'x'; expected a number"),
        (_card("CHG_LEAK1", "MJD1", "x"), "MJD1 is 'x'; expected a number"),
        (_card("CHG_LEAK1", "TTYPE3", "LOG_Q_7"), "[CHG_LEAK1]: column LOG_Q_2 is missing"),
        (_card("CHG_LEAK1", "MJD2", None), "keyword MJD2 is missing"),
        (_card("CHG_LEAK1", "MJD2", 0.0), "[CHG_LEAK1]: MJD1 is not before MJD2"),
        (_card("CTE_SCALE", "TTYPE2", "SCULE"), "[CTE_SCALE]: column SCALE is missing (have MJD, SCULE)"),
    ],
)
def test_damaged_tables(written: Path, change: Callable[[fits.HDUList], None], words: str) -> None:
    """Oracle: one error that names file, extension and rule."""
    with pytest.raises(ReferenceFileError, match=re.escape(words)) as caught:
        Pctetab.read(edit(written, change))
    assert "changed_pcte.fits" in str(caught.value)
    assert "not a readable FITS file" not in str(caught.value)


def test_profiles_go_by_their_names(table: Pctetab, written: Path) -> None:
    """Oracle: the same columns in another order, and text and fractions where whole numbers belong."""

    def shuffle(hdus: fits.HDUList) -> None:
        old = hdus["CHG_LEAK1"]
        order = [old.columns[i] for i in (4, 1, 0, 3, 2)]
        new = fits.BinTableHDU.from_columns([fits.Column(c.name, c.format, array=old.data[c.name]) for c in order])
        new.header.update({"EXTNAME": "CHG_LEAK1", "MJD1": 1.0, "MJD2": 62000.0})
        hdus["CHG_LEAK1"] = new

    assert Pctetab.read(edit(written, shuffle)).sha256 == table.sha256


@pytest.mark.parametrize(
    ("form", "values", "words"),
    [
        ("E", [0.0, 1.5, 2.0], "LEVEL holds fractions; expected whole numbers"),
        ("4A", ["a", "b", "c"], "LEVEL holds text; expected numbers"),
        ("2J", [[0, 1], [2, 3], [4, 5]], "more than one value per row"),
    ],
)
def test_columns_of_another_kind(written: Path, form: str, values: list[object], words: str) -> None:
    """Oracle: the message."""

    def change(hdus: fits.HDUList) -> None:
        columns = [fits.Column("LEVEL", form, array=np.array(values))]
        hdus["LEVELS"] = fits.BinTableHDU.from_columns(columns, name="LEVELS")

    with pytest.raises(ReferenceFileError, match=words):
        Pctetab.read(edit(written, change))


def test_tables_made_by_hand_are_checked(table: Pctetab) -> None:
    """Oracle: the rule."""
    with pytest.raises(ReferenceFileError, match="amplifiers differ in length"):
        replace(table, col_scale=dict(table.col_scale) | {"B": np.ones(3)})
    with pytest.raises(InputError, match="shft_nit is 0; expected 1 to 100"):
        table.traps(57000.0, 0)


def test_pickles_are_small_and_the_same(table: Pctetab) -> None:
    """Oracle: the digest; trap tables are made again, not carried."""
    table.traps(57000.0)
    blob = pickle.dumps(table)
    assert len(blob) < 100_000
    assert pickle.loads(blob).sha256 == table.sha256


def test_default_is_one_locked_table(table: Pctetab) -> None:
    """Oracle: the same object, whose arrays cannot be changed."""
    assert Pctetab.default() is table
    assert table.traps(57000.0) is table.traps(58000.0)
    with pytest.raises(ValueError, match="read-only"):
        table.dtde[0] = 1.0


def test_writing_never_overwrites_unasked(table: Pctetab, written: Path) -> None:
    """Oracle: the first file, byte for byte, and no leftovers."""
    before = written.read_bytes()
    with pytest.raises(OutputExistsError, match="a02_stis_pcte.fits exists"):
        table.write(written)
    assert written.read_bytes() == before
    table.write(written, overwrite=True)
    with pytest.raises(InputError, match="does not exist"):
        table.write(written.parent / "no" / "x.fits")
    assert [file.name for file in written.parent.iterdir()] == ["a02_stis_pcte.fits"]


def test_description_names_version_and_validity(table: Pctetab) -> None:
    """Oracle: the figures of the released table."""
    text = table.describe()
    assert "PCTE_VER 0.2" in text
    assert "1858-11-18 to 2028-08-17" in text
    assert "1.671 on 2020-05-31" in text
