"""The commands on folders as the archive delivers them: what is taken, what is skipped, what is said, exit codes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from gpucti import cli
from support.header_files import header_file
from support.stis_files import listing, stis_file, stis_hdus


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Return exit code, standard output and standard error of one command."""
    code = cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize("command", ["cte", "add-cti"])
def test_all_files_of_a_folder(
    real_files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """Oracle: the README of the real files. One image among them: it is treated, exit code 0, a line for each kind."""
    for stem in ("o56502010_asn", "o56502010_spt", "o56502010_jit", "o56502010_trl", "o56502010_sx1", "odlm21050_jit"):
        shutil.copy(real_files / f"{stem}.fits", tmp_path)
    shutil.copy(real_files / "octka7jeq_raw.fits", tmp_path)
    stis_file(tmp_path / "o1_flt.fits", ROOTNAME="o1")
    (tmp_path / "below").mkdir()
    code, out, err = run(capsys, command, "--device", "numpy", *sorted(tmp_path.iterdir()))
    assert code == 0
    assert [line.split(" in ")[0] for line in out.splitlines()][1:] == [
        f"1 file {'corrected' if command == 'cte' else 'trailed'}"
    ]
    assert err.splitlines() == [
        f"gpucti: warning: skipped: {line}"
        for line in (
            "below: a folder",
            "o56502010_asn.fits: an association table",
            "o56502010_jit.fits, odlm21050_jit.fits: a jitter table (pointing of the telescope)",
            "o56502010_spt.fits: a support file (engineering keywords)",
            "o56502010_sx1.fits: an extracted spectrum",
            "o56502010_trl.fits: a trailer (log of the calibration)",
            "octka7jeq_raw.fits: an acquisition (OBSMODE is ACQ/PEAK)",
        )
    ]


def test_a_bad_image_costs_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: exit code 1; the others are made, and the failure stands at the end with its reason."""
    for name in ("o1", "o3"):
        stis_file(tmp_path / f"{name}_flt.fits", ROOTNAME=name)
    hdus = stis_hdus(ROOTNAME="o2")
    hdus[1].data[3, 5] = np.inf
    hdus.writeto(tmp_path / "o2_flt.fits")
    code, out, err = run(capsys, "cte", "--device", "numpy", *sorted(tmp_path.iterdir()))
    assert code == 1
    assert [line.split(" -> ")[0] for line in out.splitlines()[:2]] == ["o1_flt.fits", "o3_flt.fits"]
    assert out.splitlines()[-1].startswith("2 files corrected in ")
    first, second = err.splitlines()
    assert first == "gpucti: error: 1 of 3 could not be treated, the others are done:"
    assert "o2_flt.fits: [SCI,1] 1 NaN or infinite pixels" in second
    assert listing(tmp_path) == ["o1_cte.fits", "o1_flt.fits", "o2_flt.fits", "o3_cte.fits", "o3_flt.fits"]


def test_nothing_to_correct(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: exit code 1, one error, in which each kind has its reason."""
    header_file(tmp_path / "o1_asn.fits", FILETYPE="ASN_TABLE")
    header_file(tmp_path / "o1_spt.fits", FILETYPE="SPT")
    code, out, err = run(capsys, "cte", *sorted(tmp_path.iterdir()))
    assert (code, out) == (1, "")
    assert err.splitlines() == [
        "gpucti: error: none of the 2 files is an image to work on:",
        "  o1_asn.fits: an association table",
        "  o1_spt.fits: a support file (engineering keywords)",
    ]


@pytest.mark.parametrize("options", [[], ["--allow"]])
def test_plan_of_real_files(real_files: Path, capsys: pytest.CaptureFixture[str], options: list[str]) -> None:
    """Oracle: the README of the files. What only --allow takes is named as such without it; the rest by what it is."""
    code, out, err = run(capsys, "correct", "--dry-run", "--offline", "--device", "numpy", *options, real_files)
    assert code == 1
    assert "Traceback" not in out + err
    rows = {line.split()[0]: line for line in out.splitlines() if line.split()[1:2] == ["refuse"]}
    reasons = {
        "o4er06llq": "OBSMODE is ACQ/PEAK", "ocmv0lw6q": "OBSMODE is ACQ,", "octka7jeq": "OBSMODE is ACQ/PEAK",
        **dict.fromkeys((f"o565020{n}0" for n in (1, 2, 3, 4)), "BINAXIS1 is 2, binned"),
    }  # fmt: skip
    for root, reason in reasons.items():
        assert reason in rows[f"{root}_raw.fits"]
    assert ("before 2009-05-01" in rows.get("o4sp040b0_raw.fits", "")) is (options == [])


def test_folders_of_data_sets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the folders made: `correct` names them, `darks` looks into them."""
    hst = tmp_path / "mastDownload" / "HST"
    for name in ("o1", "o2"):
        (hst / name).mkdir(parents=True)
        header_file(hst / name / f"{name}_raw.fits", OBSMODE="ACQ" if name == "o2" else "ACCUM")
    code, out, _ = run(capsys, "correct", "--dry-run", "--offline", "--device", "numpy", tmp_path / "mastDownload")
    assert code == 1
    assert "no *_raw.fits files, but folders below have some" in out
    assert f"`gpucti correct {hst / 'o1'}`" in out
    assert f"{hst / 'o2'} (1)" in out
    code, _, err = run(capsys, "darks", "--offline", tmp_path)
    assert code == 1
    assert "left out: o2_raw.fits: OBSMODE is ACQ, acquisitions are not corrected" in err
    assert "there is no saved list" in err  # of o1, which is found
