"""The pipeline with --crds_update: a visit whose headers name other files is calibrated with those that CRDS has.

Oracles: the run on the visit as it was made (`finished`), whose reference files are the same under other names; the
files of the user before and after.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from astropy.io import fits

from gpucti import cli as command
from gpucti.calibration.hstcal import _WorkFolder
from gpucti.calibration.reffiles import References
from gpucti.calibration.switches import required_references, wavecal_references
from gpucti.compat import stis_cti
from gpucti.darks.anneals import read_anneals
from gpucti.io.exposure import Exposure
from gpucti.pipeline.planning.planner import plan
from gpucti.pipeline.running.run import correct
from gpucti.references.crds import BestReferences
from support.archive_server import archive_of, loopback_only, serve
from support.crds_server import CONTEXT, SINCE, CrdsServer
from support.visits import Case, edit, outputs, put, seen

#: Cards that hold names of references, or say who gave them; and what depends on them.
NAMES = ("FILE", "TAB")
IMAGE, SPECTRUM = "ogv101010", "ogv102010"


class Archive(NamedTuple):
    """A server with the references of a visit under other names, and a cache that is empty."""

    server: CrdsServer
    cache: Path
    names: dict[str, str]


@pytest.fixture(scope="module")
def archive(small_visit: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """Return a server that has every reference of the visit, ``sim_bpx.fits`` as ``x0000001o_bpx.fits``."""
    rules, references, names = {}, {}, {}
    headers = [
        fits.getheader(path)
        for path in [*small_visit.science.glob("*_raw.fits"), *small_visit.science.glob("*_wav.fits")]
    ]
    for header in headers:
        for keyword, value in header.items():
            if keyword.endswith(NAMES) and str(value).startswith("oref$"):
                old = value.removeprefix("oref$")
                names.setdefault(
                    keyword, f"x0000001o_{'drk' if keyword == 'DARKFILE' else old.split('_')[-1][:-5]}.fits"
                )
                references[names[keyword]] = (small_visit.oref / old).read_bytes()
    names.pop("WBIAFILE", None)  # CRDS has no such type
    rules = {keyword.lower(): {SINCE: name} for keyword, name in names.items()}
    with CrdsServer(rules, references) as server:
        yield Archive(server, tmp_path_factory.mktemp("crds") / "cache", names)


@pytest.fixture
def stale(case: Case) -> Case:
    """Return the visit with headers that name files which are nowhere."""
    for path in [*case.science.glob("*_raw.fits"), *case.science.glob("*_wav.fits"), *case.darks.glob("*_flt.fits")]:
        with fits.open(path) as hdus:
            old = {key: value for key, value in hdus[0].header.items() if key.endswith(NAMES)}
        cards = {key: value.replace("oref$", "oref$old_") for key, value in old.items() if "oref$" in str(value)}
        edit(path, **{key: value for key, value in cards.items() if key != "WBIAFILE"})
    return case


def use(archive: Archive, monkeypatch: pytest.MonkeyPatch, **more: str) -> None:
    """Point crds to a server and a cache."""
    monkeypatch.delenv("oref", raising=False)
    for name, value in (archive.server.environment(archive.cache) | more).items():
        monkeypatch.setenv(name, value)


def options(case: Case) -> dict[str, Any]:
    return {k: v for k, v in case.options.items() if k != "oref"} | {"crds_update": True}


def inputs(case: Case) -> dict[str, bytes]:
    found = [*case.science.glob("*_raw.fits"), *case.science.glob("*_wav.fits"), *case.darks.glob("*_flt.fits")]
    return {path.name: path.read_bytes() for path in found}


def pixels(case: Case) -> dict[str, list[str]]:
    """Return the digests of the pixels of everything made."""
    return {name: [digest for digest, _ in hdus] for name, hdus in outputs(case).items()}


@pytest.mark.slow
def test_whole_flow(
    stale: Case, finished: Case, archive: Archive, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: the same pixels as with the same files under their first names; a second run, offline, makes nothing."""
    use(archive, monkeypatch)
    (stale.science / f"{IMAGE}_raw.fits").unlink()  # the spectrum needs more
    before = inputs(stale)
    arguments = [word for word in stale.arguments if word not in ("--oref", str(stale.oref))]
    assert command.main([*arguments, "--crds_update"]) == 0, capsys.readouterr().err
    assert inputs(stale) == before
    assert pixels(stale) == {name: digest for name, digest in pixels(finished).items() if IMAGE not in name}
    said = capsys.readouterr()
    assert f"best references by CRDS ({CONTEXT})" in said.err
    assert "BIASFILE oref$old_sim_g1_bia.fits -> oref$x0000001o_bia.fits" in said.err
    for kind in ("cte", "flc", "x2c"):
        header = fits.getheader(stale.science / f"{SPECTRUM}_{kind}.fits")
        for keyword in ("BIASFILE", "BPIXTAB", "PFLTFILE", "CCDTAB", "CRREJTAB", "SDCTAB"):
            assert header[keyword] == f"oref${archive.names[keyword]}", f"{kind} {keyword}"
        assert header["DARKFILE"].startswith("$ctirefs/d_")
        assert header["CRDS_CTX"] == CONTEXT
    fetched = {path.name for path in (archive.cache / "references" / "hst" / "stis").iterdir()}
    assert fetched and archive.names["DARKFILE"] not in fetched  # the run makes its own

    archive.server.down = True
    asked = len(archive.server.files)
    again = correct(*stale.folders, **options(stale))
    archive.server.down = False
    assert (again.products, again.superdarks, again.darks) == ((), (), 0)
    assert len(archive.server.files) == asked
    assert any("does not answer: rules and files are those of" in note for note in again.notes)


@pytest.mark.slow
def test_darks_and_references_from_their_servers(
    stale: Case, finished: Case, archive: Archive, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Raw files alone, with headers that name files which are nowhere: darks from MAST, references from CRDS."""
    use(archive, monkeypatch)
    loopback_only(monkeypatch)
    truth = next(period for period in read_anneals(stale.anneals) if period.darks)
    left_out = ("--oref", str(stale.oref), "--anneals", str(stale.anneals))
    arguments = [word for word in stale.arguments if word not in left_out]
    with serve(archive_of(truth, stale.darks)) as mast:
        shutil.rmtree(stale.darks)
        code = command.main([*arguments, "--crds_update", "--download", "--mast-server", mast.url])
    assert code == 0, capsys.readouterr().err
    assert sorted(mast.files) == sorted(dark.exposure for dark in truth.darks if dark.flt and not dark.too_short)
    assert pixels(stale) == pixels(finished)


@pytest.mark.slow
def test_reuse_is_judged_by_content(
    case: Case, finished: Case, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: other names for the same files change no recipe; another file does, and with it what depends on it."""
    use(archive, monkeypatch)
    plain = plan(*case.folders, **case.options)
    updated = plan(*case.folders, **options(case))
    assert [task.recipe for task in updated.science] == [task.recipe for task in plain.science]
    assert [task.recipe for task in updated.superdarks] == [task.recipe for task in plain.superdarks]
    assert not updated.problems

    name = archive.names["CRREJTAB"]
    path = archive.cache / "references" / "hst" / "stis" / name
    saved = path.read_bytes()
    path.unlink()
    monkeypatch.setitem(archive.server.references, name, saved + b"\0" * 2880)
    other = plan(*case.folders, **options(case))
    path.unlink()
    assert all(a.recipe != b.recipe for a, b in zip(other.science, plain.science, strict=True))
    assert all(a.recipe != b.recipe for a, b in zip(other.superdarks, plain.superdarks, strict=True))


def test_a_super_dark_of_the_users_own_stays(
    stale: Case, finished: Case, archive: Archive, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Oracle: the DARKFILE of the header; the other references are those of CRDS."""
    use(archive, monkeypatch, mydarks=f"{tmp_path}/")
    (superdark,) = (path for path in finished.ref.glob("d_*_drk.fits"))
    shutil.copy(superdark, tmp_path / "my_drk.fits")
    edit(stale.science / f"{IMAGE}_raw.fits", DARKFILE="mydarks$my_drk.fits")
    it = plan(*stale.folders, **options(stale))
    task = next(task for task in it.science if task.root == IMAGE)
    assert not it.problems
    assert "my_drk.fits (your own)" in task.dark
    assert task.primary["DARKFILE"] == "mydarks$my_drk.fits"
    assert task.primary["BIASFILE"] == f"oref${archive.names['BIASFILE']}"
    assert "DARKFILE" not in it.references_by_crds[task.path]


@pytest.mark.slow
def test_what_crds_cannot_provide(
    stale: Case, archive: Archive, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Oracle: which file the server lost, and which rule begins too late; nothing is touched."""
    late = {"2030-01-01 00:00:00": "x0000001o_bpx.fits"}
    rules = {kind: dates for kind, dates in archive.server.rules.items() if kind != "imphttab"}
    server = CrdsServer(
        rules | {"bpixtab": late, "imphttab": {SINCE: "n/a"}, "tdstab": {SINCE: "n/a"}}, archive.server.references
    )
    server.gone |= {archive.names["BIASFILE"], archive.names["CRREJTAB"]}
    before = seen(*stale.folders)
    with server:
        use(Archive(server, tmp_path / "cache", {}), monkeypatch)
        it = plan(*stale.folders, **options(stale))
    text = "\n".join(it.problems)
    assert f"{IMAGE}_raw.fits: CRDS has no BPIXTAB for it (its rules have no match for this header)" in text
    assert f"BIASFILE oref${archive.names['BIASFILE']}: cannot be fetched" in text
    assert f"CRREJTAB oref${archive.names['CRREJTAB']}: cannot be fetched" in text
    assert f"{IMAGE}_raw.fits: CRDS has no IMPHTTAB for it (N/A for this header)" in text
    assert "no TDSTAB" not in text  # without it there is no correction, and CRDS means that
    assert any("TDSTAB oref$old_sim_tds.fits -> N/A" in note for note in it.notes)
    assert "404" in text and f"{IMAGE}_raw.fits" in text and "ogd1" in text
    assert seen(*stale.folders) == before


def test_no_server_stops_the_run(stale: Case, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Oracle: one error that names server and cache, also through stis_cti's own function."""
    for name, value in {"CRDS_SERVER_URL": "http://localhost:9", "CRDS_PATH": str(tmp_path / "cache")}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("oref", raising=False)
    shutil.copy(stale.anneals, stale.ref)
    with pytest.raises(ValueError, match="CRDS has no answer: neither a server that answers nor rules in the cache"):
        stis_cti(*stale.folders, 1, crds_update=True)
    assert not list(stale.science.glob("*.log"))


def test_no_answer_for_any_file(case: Case, archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: every file is a problem with CRDS's reason; no note says that names stay as they are."""
    use(archive, monkeypatch)

    def refused(asked: Mapping[Path, Any], setup: Any) -> BestReferences:
        return BestReferences({path: {} for path in asked}, {}, {}, dict.fromkeys(asked, "no rules"), "x", True, "")

    monkeypatch.setattr("gpucti.pipeline.planning.references.best_references", refused)
    it = plan(*case.folders, **options(case))
    assert sum("CRDS has no answer for it: no rules" in problem for problem in it.problems) >= 4
    assert not any("best references by CRDS" in note for note in it.notes)


def test_names_of_1998(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: headers of the archive that have otab$: the variable is named, and what mends it."""
    monkeypatch.delenv("otab", raising=False)
    raw = edit(case.science / f"{IMAGE}_raw.fits", CCDTAB="otab$h1v11475o_ccd.fits")
    (failure,) = plan(*case.folders, **case.options).failures
    problem = failure.reason
    assert "otab is not set: take today's names (--crds_update), or set it (export otab=" in problem
    assert "CCDTAB   otab$h1v11475o_ccd.fits" in problem and failure.item == str(raw)
    assert "oref" not in problem.replace('export otab="$oref"', "")


@pytest.mark.slow
def test_names_of_1998_by_crds(case: Case, archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: CRDS's names."""
    use(archive, monkeypatch)
    edit(case.science / f"{IMAGE}_raw.fits", CCDTAB="otab$h1v11475o_ccd.fits")
    it = plan(*case.folders, **options(case))
    assert it.problems == ()
    assert next(task for task in it.science if task.root == IMAGE).primary["CCDTAB"].startswith("oref$")


def test_oref_that_is_not_of_the_cache(case: Case, archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the option is not overruled in silence."""
    use(archive, monkeypatch)
    it = plan(*case.folders, **case.options, crds_update=True)
    assert any(f"oref is {case.oref}, but CRDS keeps reference files in" in problem for problem in it.problems)


@pytest.mark.slow
def test_wavecals(stale: Case, archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the names that CRDS has for the wavecal; its lamp table is the exposure's where that has none."""
    use(archive, monkeypatch)
    it = plan(*stale.folders, **options(stale))
    task = next(task for task in it.science if task.root == SPECTRUM)
    assert task.primary["LAMPTAB"] == f"oref${archive.names['LAMPTAB']}"
    for keyword in ("BIASFILE", "BPIXTAB"):  # used although the exposure has had these steps by then
        assert task.headers.wavecal_names[keyword] == f"oref${archive.names[keyword]}"
    assert not it.problems
    damaged = put(stale.science / f"{SPECTRUM}_wav.fits", b"SIMPLE  =")
    assert any(damaged.name in problem for problem in plan(*stale.folders, **options(stale)).problems)


def test_engines_reduce_the_wavecal_with_the_names_of_crds(case: Case, tmp_path: Path) -> None:
    """Oracle: CalSTIS's copy of the wavecal has them; the user's file does not; the native engine gets them too."""
    raw = Exposure.read(case.science / f"{SPECTRUM}_raw.fits")
    (tmp_path / "best_bia.fits").touch()
    raw = replace(raw, wavecal_names={"BIASFILE": "best$best_bia.fits", "TDSTAB": "N/A"})
    raw.primary["BIASCORR"] = "COMPLETE"  # from then on the wavecal's own bias counts
    path = case.science / f"{SPECTRUM}_wav.fits"
    before = path.read_bytes()
    place = _WorkFolder(tmp_path / "work", raw, {"best": str(tmp_path), "oref": str(case.oref)})
    place.path.mkdir()
    assert place.copy_wavecal(raw) == {}
    header = fits.getheader(place.path / path.name)
    assert (header["BIASFILE"], header["TDSTAB"]) == ("best$best_bia.fits", "N/A")
    assert (place.path / "refs" / "best" / "best_bia.fits").is_file()
    assert path.read_bytes() == before
    names = wavecal_references(raw, fits.getheader(path))
    assert names["BIASFILE"] == "best$best_bia.fits"
    required = {one.keyword: one.name for one in required_references(raw, References(place.environment))}
    assert required[f"BIASFILE of {path.name}"] == "best$best_bia.fits"
