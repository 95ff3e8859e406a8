"""The whole job on the small simulated visit: again, anew, with other input, in other folders.

Oracles: the folders before and after (inode, time, size; sha256 of what is the user's), and an undisturbed run
(`expected`): the same pixels, and the same cards but for DATE.
"""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from gpucti import cli as command
from gpucti.errors import PlanError
from gpucti.pipeline.planning.planner import plan
from gpucti.pipeline.running.run import correct, run
from support.visits import (
    Case,
    Contents,
    case_of,
    cli,
    digests,
    edit,
    finished_copy,
    leftovers,
    outputs,
    put,
    quick_table,
    read_only,
    seen,
    without,
)

WEEKDARK, BASEDARK = "d_2018-05-02_1_drk.fits", "basedark_d_2018-05-02_drk.fits"
DARKS = ("ogd10100q", "ogd10101q")


@pytest.fixture
def again(finished: Case, tmp_path: Path) -> Case:
    """Return a copy of the visit on which a run was done."""
    return finished_copy(finished, tmp_path / "run")


def pixels(contents: Contents) -> dict[str, list[str]]:
    return {name: [digest for digest, _ in hdus] for name, hdus in contents.items()}


# ---- once, again, anew -----------------------------------------------------------------------------------


def test_raw_files_and_darks_stay(finished: Case, small_visit: Any) -> None:
    """Oracle: sha256 of every file of the user before and after."""
    assert digests(finished.science, "*_raw.fits") == digests(small_visit.science, "*_raw.fits")
    assert digests(finished.science, "*_wav.fits") == digests(small_visit.science, "*_wav.fits")
    assert digests(finished.darks, "*_flt.fits") == digests(small_visit.darks)
    assert leftovers(finished) == []
    assert (finished.ref / "anneals.json").is_file()


def test_second_run_reuses_everything(again: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: no file but the log is new or touched; the report, the summary and the log say so."""
    before = seen(*again.folders)
    report = correct(*again.folders, **again.options)
    assert seen(*again.folders) == before
    assert (report.products, report.superdarks, report.darks) == ((), (), 0)
    assert [path.name for path in report.reused] == ["ogv101010_raw.fits", "ogv102010_raw.fits"]
    assert [path.name for path in report.superdarks_reused] == [BASEDARK, WEEKDARK]
    assert report.log is not None
    assert "2 exposures were done already and are reused" in report.log.read_text()
    capsys.readouterr()
    assert command.main(without(again.arguments, "--anneals")) == 0  # the list is saved
    assert "2 exposures were done already and are reused" in capsys.readouterr().out
    assert seen(*again.folders) == before


@pytest.mark.slow
def test_clean(again: Case, expected: Contents) -> None:
    """Oracle: products are new files with the same content; super-darks and corrected darks are not touched."""
    before, kept = seen(again.science), seen(again.ref, again.darks)
    report = correct(*again.folders, **again.options, clean=True)
    assert seen(again.ref, again.darks) == kept
    after = seen(again.science)
    products = [name for name in before if "_raw" not in name and "_wav" not in name and "_epc" not in name]
    assert products
    assert not [name for name in products if after[name] == before[name]]
    assert (report.darks, report.superdarks, report.reused) == (0, (), ())
    assert outputs(again) == expected


@pytest.mark.slow
def test_clean_all(again: Case, expected: Contents) -> None:
    """Oracle: everything that is not the user's is a new file with the same content."""
    before = seen(*again.folders)
    report = correct(*again.folders, **again.options, clean_all=True)
    users = ("_raw.fits", "_wav.fits", "_epc.fits", "_flt.fits", "anneals.json")
    after = seen(*again.folders)
    assert after.keys() == before.keys()
    for name, about in before.items():
        assert (after[name] == about) == (name.endswith(users) or about == (0, 0, 0)), name
    assert (report.darks, len(report.superdarks)) == (2, 2)
    assert outputs(again) == expected


@pytest.mark.slow
def test_changed_pctetab(again: Case, expected: Contents, tmp_path: Path) -> None:
    """Oracle: old products stop the run before anything is touched; with clean nothing of the old table is left."""
    other = {**again.options, "pctetab": quick_table(tmp_path / "other_pcte.fits", sim_nit=2)}
    before = seen(*again.folders)
    with pytest.raises(PlanError, match="outputs of an earlier, different run exist: ogv101010_"):
        correct(*again.folders, **other)
    assert seen(*again.folders) == before
    it = plan(*again.folders, **other, clean=True)
    assert {task.why for task in (*it.superdarks, *it.darks)} == {"made with another PCTETAB"}
    report = run(it)
    assert (report.darks, len(report.superdarks)) == (2, 2)
    made = outputs(again)
    assert made.keys() == expected.keys()
    for name, hdus in made.items():
        assert hdus[1][0] != expected[name][1][0], name
        assert hdus[0][1]["PCTESHAT"] != expected[name][0][1]["PCTESHAT"], name


def test_plan_then_run(case: Case, expected: Contents) -> None:
    """Oracle: the plan touches nothing and says what run then does."""
    before = seen(*case.folders, besides=())
    it = plan(*case.folders, **case.options)
    assert seen(*case.folders, besides=()) == before
    assert it.problems == ()
    assert [dark.output.name for dark in it.darks] == [f"{name}_cte.fits" for name in DARKS]
    steps = []
    report = run(it, progress=steps.append)
    assert [path.name for path in report.superdarks] == [task.path.name for task in it.superdarks]
    for stage in {step.stage for step in steps}:
        mine = [step for step in steps if step.stage == stage]
        assert [(step.done, step.total) for step in mine] == [(n + 1, len(mine)) for n in range(len(mine))]
    assert outputs(case) == expected


def test_dry_run(case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: no file and no folder is new or touched, not even the log; the text and the JSON say what would be."""
    edit(case.science / "ogv102010_raw.fits", CCDAMP="A")
    case.ref.rmdir()
    before = seen(case.science.parent, besides=())
    assert command.main([*case.arguments, "--dry-run", "--json", str(tmp_path / "plan.json")]) == 0
    assert seen(case.science.parent, besides=()) == before
    out = capsys.readouterr().out
    for words in ("ogv102010_raw.fits  refuse", "CCDAMP is A, not D", WEEKDARK, "OGDS101AQ: 60 s, shorter than 960 s"):
        assert words in out, out
    told = json.loads((tmp_path / "plan.json").read_text())
    assert [one["action"] for one in told["science"]] == ["make"]
    assert [Path(one["path"]).name for one in told["superdarks"]] == [BASEDARK, WEEKDARK]
    assert told["unneeded_darks"]["OGDA101AQ"] == "read with amplifier A"
    assert told["problems"] == []
    assert command.main([*case.arguments, "--dry-run", "-d", str(tmp_path / "nowhere")]) == 1
    assert "nowhere: no such folder" in capsys.readouterr().out


# ---- files and folders of other kinds --------------------------------------------------------------------


@pytest.mark.slow
def test_compressed_files_in_odd_folders(
    small_visit: Any, quick_pctetab: Path, tmp_path: Path, expected: Contents
) -> None:
    """Oracle: gzip-compressed input, in folders with blanks, umlauts and brackets, given relative to the working
    folder, gives the pixels of plain files."""
    visit = tmp_path / "Besuch [1] für $HOME"
    for part in ("science", "darks"):
        (visit / f"my {part}").mkdir(parents=True)
        for path in getattr(small_visit, part).iterdir():
            packed = gzip.compress(path.read_bytes(), compresslevel=1)
            (visit / f"my {part}" / f"{path.name}.gz").write_bytes(packed)
    shutil.copy(small_visit.anneals, visit / "my list.json")
    before = digests(visit / "my darks") | digests(visit / "my science")
    done = cli(
        "correct", "my science", "-d", "my darks", "-r", "my ref/deep", "--anneals", "my list.json", "--engine",
        "native", "--oref", small_visit.oref, "-p", quick_pctetab, "--device", "cpu", cwd=visit,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    case = Case(visit / "my science", visit / "my darks", visit / "my ref" / "deep", small_visit.oref, visit)
    assert pixels(outputs(case)) == pixels(expected)
    after = digests(visit / "my darks", "*.gz") | digests(visit / "my science", "*.gz")
    assert after == before


@pytest.mark.slow
def test_defaults_of_the_folders(again: Case) -> None:
    """Oracle: in the science folder, without arguments, darks and super-darks are looked for beside it."""
    before = seen(*again.folders)
    done = cli(
        "correct", "--oref", again.oref, "-p", again.pctetab, "--device", "cpu", "--engine", "native", cwd=again.science
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 exposures were done already and are reused" in done.stdout
    assert seen(*again.folders) == before


@pytest.mark.slow
def test_read_only_folder_of_darks(case: Case, expected: Contents) -> None:
    """Oracle: corrected darks go beside the super-darks, which is said, and are found again there."""
    with read_only(case.darks) as prefix:
        done = cli(*case.arguments, prefix=prefix)
        assert done.returncode == 0, done.stderr
        assert "cannot be written to: corrected darks go to" in done.stderr
        assert pixels(outputs(case)) == pixels(expected)
        assert not list(case.darks.glob("*_cte.fits"))
        assert sorted(path.name for path in (case.ref / "darks").iterdir()) == [f"{name}_cte.fits" for name in DARKS]
        for name in (WEEKDARK, BASEDARK):
            (case.ref / name).unlink()
        before = seen(case.ref / "darks")
        done = cli(*case.arguments, prefix=prefix)
        assert done.returncode == 0, done.stderr
        assert seen(case.ref / "darks") == before


@pytest.mark.slow
def test_a_dark_may_have_any_name(case: Case, expected: Contents) -> None:
    """Oracle: darks are told by ROOTNAME; two names with the same beginning do not get one output."""
    for number, name in enumerate(DARKS):
        (case.darks / f"{name}_flt.fits").rename(case.darks / f"my_dark_{number}_flt.fits")
    correct(*case.folders, **case.options)
    assert sorted(path.name for path in case.darks.glob("*_cte.fits")) == ["my_dark_0_cte.fits", "my_dark_1_cte.fits"]
    assert pixels(outputs(case))[WEEKDARK] == pixels(expected)[WEEKDARK]
    assert correct(*case.folders, **case.options, clean=True).darks == 0


def test_darks_of_other_numbers_are_made_anew(finished: Case, case: Case) -> None:
    """Oracle: PCTEREV says which revision of gpucti's numbers a corrected dark has."""
    for name, cards in zip(DARKS, ({"PCTEREV": 0}, {"CTE_VER": "3.1"}), strict=True):
        edit(Path(shutil.copy(finished.darks / f"{name}_cte.fits", case.darks)), **cards)
    assert [(dark.reuse, dark.why) for dark in plan(*case.folders, **case.options).darks] == [
        (False, "made by another version of gpucti")
    ] * 2


def test_raw_file_that_changes_under_a_run(case: Case) -> None:
    """Oracle: its products would carry the recipe of the file that was planned with; none is left."""
    it = plan(*case.folders, **case.options)
    edit(case.science / "ogv101010_raw.fits", TARGNAME="ANOTHER")
    report = run(it)
    (failure,) = report.failures
    assert failure == (str(case.science / "ogv101010_raw.fits"), "changed while the run was going on; run again")
    assert [path.name for path in case.science.glob("*_cte.fits")] == ["ogv102010_cte.fits"]
    assert not list(case.science.glob("ogv101010_[cfst]*"))


# ---- files of others -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_leftovers_of_stis_cti(finished: Case, case: Case, expected: Contents) -> None:
    """Oracle: stis_cti's corrected darks (scaled since) and super-darks stay as they are and are not used; a raw file
    whose DARKFILE it has changed gets a new super-dark. With clean_all its corrected darks are replaced."""
    for name in DARKS:
        theirs = Path(shutil.copy(finished.darks / f"{name}_cte.fits", case.darks))
        edit(theirs, TEMPCORR="COMPLETE", PCTEPROG=None, PCTESHAI=None, PCTESHAT=None, PCTEBACK=None)
    shutil.copy(finished.ref / WEEKDARK, case.ref / "d117_1_drk.fits")
    edit(case.ref / "d117_1_drk.fits", PCTESHAR=None, PCTESHAT=None)
    edit(case.science / "ogv101010_raw.fits", DARKFILE="$ctirefs/d117_1_drk.fits")
    before = seen(*case.folders)
    report = correct(*case.folders, **case.options)
    after = seen(*case.folders)
    assert {name: after[name] for name in before} == before
    assert report.darks == 2
    assert sorted(path.name for path in (case.ref / "darks").iterdir()) == [f"{name}_cte.fits" for name in DARKS]
    made = pixels(outputs(case))
    for name in (WEEKDARK, BASEDARK, "ogv101010_flc.fits"):
        assert made[name] == pixels(expected)[name]
    correct(*case.folders, **case.options, clean_all=True)
    assert pixels(outputs(case))[f"{DARKS[0]}_cte.fits"] == pixels(expected)[f"{DARKS[0]}_cte.fits"]
    assert {path.name for path in case.ref.iterdir()} >= {"d117_1_drk.fits"}


def test_products_of_stis_cti_stop_the_run(case: Case) -> None:
    """Oracle: nothing is touched; with clean they go."""
    for name in ("ogv101010_cte.fits", "ogv101010_flc.fits", "ogv101010_cte_flt.fits", "ogv102010_blt.fits"):
        shutil.copy(case.science / "ogv101010_raw.fits", case.science / name)
    before = seen(*case.folders)
    with pytest.raises(PlanError, match="2 things stand in the way") as caught:
        correct(*case.folders, **case.options)
    for name in ("ogv101010_cte.fits", "ogv101010_flc.fits", "ogv101010_cte_flt.fits", "ogv102010_blt.fits"):
        assert name in str(caught.value)
    assert seen(*case.folders) == before
    it = plan(*case.folders, **case.options, clean=True)
    assert (it.problems, len(it.deletions)) == ((), 4)


@pytest.mark.slow
def test_super_dark_of_the_user(finished: Case, case: Case) -> None:
    """Oracle: one that is CTI-corrected and lies elsewhere is kept, and no dark is looked for; one that is not
    corrected is replaced."""
    mine = case.science.parent / "mine" / "my_drk.fits"
    mine.parent.mkdir()
    shutil.copy(finished.ref / WEEKDARK, mine)
    edit(case.science / "ogv101010_raw.fits", DARKFILE="../mine/my_drk.fits")
    edit(case.science / "ogv102010_raw.fits", DARKFILE="../mine/my_drk.fits")
    shutil.rmtree(case.darks)
    options = {**case.options, "anneals": None}
    before = digests(mine.parent)
    report = correct(*case.folders, **options)
    assert (report.darks, report.superdarks) == (0, ())
    assert digests(mine.parent) == before
    assert list(case.ref.iterdir()) == []
    made = outputs(case)
    assert made["ogv101010_flc.fits"][0][1]["DARKFILE"] == "../mine/my_drk.fits"
    assert pixels(made)["ogv101010_flc.fits"] == pixels(outputs(finished))["ogv101010_flc.fits"]
    edit(mine, PCTECORR="OMIT")
    problems = plan(*case.folders, **options, offline=True).problems
    assert any("no list of anneal periods" in problem for problem in problems)


@pytest.mark.slow
def test_dark_of_another_amplifier_is_left_out(case: Case, expected: Contents) -> None:
    """Oracle: a dark that the list calls one of amplifier D and whose header says A does not enter."""
    extra = Path(shutil.copy(case.darks / f"{DARKS[0]}_flt.fits", case.darks / "ogd10199q_flt.fits"))
    edit(extra, ROOTNAME="ogd10199q", CCDAMP="A")
    periods = json.loads(case.anneals.read_text())
    listed = next(dark for dark in periods[1]["darks"] if dark["exposure"] == DARKS[0].upper())
    periods[1]["darks"].append({**listed, "exposure": "OGD10199Q"})
    case.anneals.write_text(json.dumps(periods))
    it = plan(*case.folders, **case.options)
    assert {one.name: one.reason for one in it.unneeded}["OGD10199Q"] == "read with amplifier A, says its header"
    run(it)
    assert outputs(case) == expected


def test_another_list_is_told_of(again: Case) -> None:
    """Oracle: the list in the folder of super-darks is not replaced; the run uses the one it is given, and says so."""
    periods = json.loads(again.anneals.read_text())
    again.anneals.write_text(json.dumps([*periods[:-1], {**periods[-1], "index": 5}]))
    saved = (again.ref / "anneals.json").read_bytes()
    report = correct(*again.folders, **again.options)
    assert any("is another list" in note for note in report.notes)
    assert (again.ref / "anneals.json").read_bytes() == saved


@pytest.mark.slow
def test_log_of_a_folder_without_a_name(small_visit: Any, quick_pctetab: Path, tmp_path: Path) -> None:
    """Oracle: a folder name that is no text in any encoding (bytes of another century) is no obstacle."""
    folder = tmp_path / "b\udce9b\udce9"
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system takes text only")
    case = case_of(small_visit, folder / "run", quick_pctetab)
    (case.science / "ogv101010_raw.fits").unlink()
    put(case.science / "ogv101010_raw.txt", b"")
    assert len(correct(*case.folders, **case.options).products) >= 2
