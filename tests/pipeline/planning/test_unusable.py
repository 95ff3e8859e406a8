"""Darks that an earlier run found unusable. Oracle: definition."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from gpucti.darks.weeks import find_darks
from gpucti.pipeline.planning.unusable import RECORD, remember, remembered
from support.header_files import header_file


def test_the_same_file_is_remembered(tmp_path: Path) -> None:
    """Oracle: by its bytes: a better file of the same dark is looked at again, the other dark was never bad."""
    for name in ("osd01aasq", "osd02aasq"):
        header_file(tmp_path / f"{name}_flt.fits", ROOTNAME=name)
    bad, good = find_darks(tmp_path).values()
    assert remembered(tmp_path, [bad, good]) == {}
    remember(tmp_path, {bad: "NaN"})
    assert remembered(tmp_path, [bad, good]) == {bad.path: f"NaN (found by an earlier run; {tmp_path / RECORD})"}
    header_file(bad.path, ROOTNAME="osd01aasq", TARGNAME="DARK")
    assert remembered(tmp_path, find_darks(tmp_path).values()) == {}


@pytest.mark.parametrize("content", [b"", b"[]", b'{"a": 3}', b'{"a": {}}', b"\xff"])
def test_a_damaged_record_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes) -> None:
    """Oracle: it can be made anew, so it stops nothing; a line says so."""
    header_file(tmp_path / "osd01aasq_flt.fits", ROOTNAME="osd01aasq")
    (dark,) = find_darks(tmp_path).values()
    (tmp_path / RECORD).write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert remembered(tmp_path, [dark]) == {}
    assert "cannot be read, and is not used" in caplog.text
    remember(tmp_path, {dark: "NaN"})
    assert list(remembered(tmp_path, [dark])) == [dark.path]


def test_a_record_that_cannot_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Oracle: the run goes on."""
    header_file(tmp_path / "osd01aasq_flt.fits", ROOTNAME="osd01aasq")
    with caplog.at_level(logging.WARNING):
        remember(tmp_path / "gone", {next(iter(find_darks(tmp_path).values())): "NaN"})
    assert "cannot be written" in caplog.text
