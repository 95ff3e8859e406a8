"""Best references: the unmodified crds package, in its process, against a server on the loopback interface.

Oracles: the command `crds bestrefs` on files; the rules that the server has; what lies in the cache afterwards.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits

from gpucti.errors import InputError, ReferenceFileError
from gpucti.io.cards import renamed
from gpucti.references.crds import SERVER, Asked, best_references, crds_setup, header_facts
from support.crds_server import CONTEXT, SINCE, CrdsServer, Rules, fill_cache

RULES: Rules = {
    "darkfile": {SINCE: "x0000001o_drk.fits", "2013-01-07 00:00:00": "x0000002o_drk.fits"},
    "biasfile": {SINCE: "x0000001o_bia.fits"},
    "bpixtab": {SINCE: "x0000001o_bpx.fits"},
    "ccdtab": {SINCE: "x0000001o_ccd.fits"},
    "crrejtab": {"2015-01-01 00:00:00": "x0000001o_crr.fits"},
    "imphttab": {SINCE: "x0000001o_imp.fits"},
}
REFERENCES = {name: name.encode() * 100 for dates in RULES.values() for name in dates.values()}
#: Where a raw file has what CRDS looks at.
PRIMARY = {
    "TELESCOP": "HST",
    "INSTRUME": "STIS",
    "DETECTOR": "CCD",
    "ROOTNAME": "otest01010",
    "CCDAMP": "D",
    "CCDGAIN": 1,
    "CCDOFFST": 3,
    "BINAXIS1": 1,
    "BINAXIS2": 1,
    "OBSTYPE": "IMAGING",
    "OBSMODE": "ACCUM",
    "APERTURE": "50CCD",
    "PHOTCORR": "OMIT",
    "FLATCORR": "PERFORM",
    "DARKFILE": "oref$old_drk.fits",
    "CRREJTAB": "oref$old_crr.fits",
    "PCTETAB": "mine$x_pcte.fits",
}
SCI = {"DATE-OBS": "2013-01-10", "TIME-OBS": "01:02:03", "CCDGAIN": 4}
WANTED = ("BIASFILE", "BPIXTAB", "CCDTAB", "DARKFILE")
DARK, BIAS, BPX, CCD = (f"x000000{n}o_{kind}.fits" for n, kind in ((2, "drk"), (1, "bia"), (1, "bpx"), (1, "ccd")))


def headers(**changes: Any) -> tuple[fits.Header, fits.Header]:
    """Return the headers of a raw file."""
    primary = fits.Header(list((PRIMARY | changes).items()))
    return primary, fits.Header(list(SCI.items()))


def asked(**changes: Any) -> Asked:
    return Asked(header_facts(*headers(**changes)), WANTED)


def variables(**more: str) -> dict[str, str]:
    """Return the environment without what a user may have set for CRDS."""
    return {k: v for k, v in os.environ.items() if not k.startswith("CRDS") and k != "oref"} | more


@pytest.fixture
def server() -> Iterator[CrdsServer]:
    with CrdsServer(RULES, REFERENCES) as running:
        yield running


def ask(env: dict[str, str], folder: Path, **options: Any) -> Any:
    """Ask about one file."""
    path = Path("a b_raw.fits")
    answer = best_references({path: asked()}, crds_setup(env, folder / "ref"), pause=0.05, **options)
    return answer, dict(answer.names.get(path, {}))


@pytest.mark.slow
def test_the_answers_are_those_of_bestrefs(server: CrdsServer, tmp_path: Path) -> None:
    """Oracle: `crds bestrefs` on FITS files; in amplifier A's case it leaves DARKFILE and counts errors."""
    cases = {
        "image of 2013_raw.fits": {},
        "photometry_raw.fits": {"PHOTCORR": "PERFORM"},
        "amplifier_raw.fits": {"CCDAMP": "A"},
    }
    files = {}
    for name, changes in cases.items():
        primary, sci = headers(**changes)
        files[tmp_path / name] = (primary, sci)
        fits.HDUList([fits.PrimaryHDU(header=primary), fits.ImageHDU(header=sci, name="SCI")]).writeto(tmp_path / name)
    before = {path: path.read_bytes() for path in files}
    setup = crds_setup(variables(**server.environment(tmp_path / "cache")), tmp_path / "ref")
    answer = best_references({path: Asked(header_facts(*both), WANTED) for path, both in files.items()}, setup)
    assert {path: path.read_bytes() for path in files} == before

    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "crds.bestrefs", "--hst", "--update-bestrefs", "-s", "0", "--files"]
        + [str(path) for path in files],
        env=setup.environment,
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    for path, (header, _) in files.items():
        primary = renamed(header, answer.names[path])
        theirs = fits.getheader(path)
        if path.name == "amplifier_raw.fits":
            assert "DARKFILE" in answer.refused[path] and "'A'" in answer.refused[path]["DARKFILE"]
            assert theirs["DARKFILE"] == primary["DARKFILE"] == "oref$old_drk.fits"
        for keyword in ("DARKFILE", "BIASFILE", "BPIXTAB", "CCDTAB", "CRREJTAB", "IMPHTTAB"):
            assert primary.get(keyword, "N/A") == theirs.get(keyword, "N/A"), f"{path.name} {keyword}"
        assert primary["CRDS_CTX"] == theirs["CRDS_CTX"] == CONTEXT
        assert theirs["CRDS_VER"].startswith(primary["CRDS_VER"])
        assert primary["PCTETAB"] == "mine$x_pcte.fits"
    assert done.returncode != 0  # amplifier A
    first = next(iter(files))
    assert answer.refused[first] == {"CRREJTAB": "its rules have no match for this header"}  # N/A there, too early
    assert answer.names[first]["DARKFILE"] == f"oref${DARK}"
    assert answer.connected and not answer.failed and not answer.errors


@pytest.mark.slow
def test_files_are_fetched_once(server: CrdsServer, tmp_path: Path) -> None:
    """Oracle: the server's bytes; its log of requests."""
    env = variables(**server.environment(tmp_path / "cache"))
    server.cuts[BIAS] = 1
    answer, _ = ask(env, tmp_path)
    place = tmp_path / "cache" / "references" / "hst" / "stis"
    assert {path.name: path.read_bytes() for path in place.iterdir()} == {
        n: REFERENCES[n] for n in (BIAS, BPX, CCD, DARK)
    }
    assert not answer.failed and server.files.count(BIAS) == 2
    server.files.clear(), server.calls.clear()
    ask(env, tmp_path)
    assert (server.calls, server.files) == (["get_server_info"], [])


@pytest.mark.slow
def test_faults_of_files(server: CrdsServer, tmp_path: Path) -> None:
    """Oracle: which files the server was told to spoil; a damaged one does not stay, one of the user's does."""
    cache = tmp_path / "cache"
    env = variables(**server.environment(cache))
    place = cache / "references" / "hst" / "stis"
    place.mkdir(parents=True)
    (place / CCD).write_bytes(b"mine, " + REFERENCES[CCD][6:])
    server.spoiled[BIAS] = b"x" * len(REFERENCES[BIAS])
    server.cuts[DARK] = 99
    server.gone.add(BPX)
    answer, names = ask(env, tmp_path)
    assert names["BIASFILE"] == f"oref${BIAS}"
    assert set(answer.failed) == {BIAS, BPX, DARK, CCD}
    assert "sha1sum" in answer.failed[BIAS] and "404" in answer.failed[BPX]
    assert "damaged in the cache" in answer.failed[CCD] and str(place / CCD) in answer.failed[CCD]
    assert [path.name for path in place.iterdir()] == [CCD]
    assert (server.files.count(BIAS), server.files.count(BPX)) == (3, 1)

    (place / CCD).unlink()
    server.spoiled.clear(), server.cuts.clear(), server.gone.clear(), server.files.clear()
    del server.references[BPX]
    answer, _ = ask(env, tmp_path)
    assert answer.failed == {BPX: "not in the cache, and unknown to the CRDS server"}
    assert set(server.files) == {BIAS, DARK, CCD}


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["instrument", "flat"])
def test_offline_with_a_filled_cache(mode: str, tmp_path: Path) -> None:
    """Oracle: the rules; nothing is asked of a server that is called serverless, or that refuses."""
    cache = fill_cache(tmp_path / "cache", RULES, {n: REFERENCES[n] for n in (BIAS, BPX, CCD)}, mode=mode)
    url = "https://hst-serverless.stsci.edu" if mode == "flat" else "http://localhost:9"
    env = variables(CRDS_PATH=str(cache), CRDS_SERVER_URL=url, CRDS_READONLY_CACHE="1" if mode == "flat" else "0")
    before = {path: path.read_bytes() for path in cache.rglob("*") if path.is_file()}
    answer, names = ask(env, tmp_path)
    assert (answer.connected, answer.context, answer.synced) == (False, CONTEXT, "2026-01-01 00:00:00")
    assert names["BIASFILE"] == f"oref${BIAS}"
    assert answer.failed == {DARK: "not in the cache, and no CRDS server can be reached"}
    assert {path: path.read_bytes() for path in cache.rglob("*") if path.is_file()} == before
    assert Path(crds_setup(env, tmp_path).environment["oref"], BIAS).is_file()


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["silent", "html"])
def test_no_server_and_no_rules(fault: str, server: CrdsServer, tmp_path: Path) -> None:
    """Oracle: one error that names server and cache; it does not take for ever."""
    env = variables(**server.environment(tmp_path / "cache"))
    server.silent, server.html = 4.0 * (fault == "silent"), fault == "html"
    with pytest.raises(ReferenceFileError) as caught:
        ask(env, tmp_path, timeout=1)
    for word in (
        "neither a server that answers nor rules",
        env["CRDS_SERVER_URL"],
        str(tmp_path / "cache"),
        "--crds_update",
    ):
        assert word in str(caught.value)


def test_bad_references_and_headers(tmp_path: Path) -> None:
    """Oracle: the server's list of bad files; a header without a date."""
    with CrdsServer(RULES, REFERENCES, bad=(BIAS,)) as server:
        env = variables(**server.environment(tmp_path / "cache"))
        dateless = header_facts(headers()[0])
        setup = crds_setup(env, tmp_path)
        answer = best_references({Path("a"): asked(), Path("b"): Asked(dateless, ())}, setup)
    assert "BIAS" in answer.errors[Path("a")].upper() and BIAS in answer.errors[Path("a")]
    assert not answer.names[Path("a")]
    assert "DATE-OBS" in str(answer.errors.get(Path("b"), "")) + str(answer.refused.get(Path("b"), ""))


def test_names_that_leave_the_cache(tmp_path: Path) -> None:
    """Oracle: an answer with folders or blanks in it is none; nothing is written anywhere else."""
    hostile = {"biasfile": "../../../../x_bia.fits", "ccdtab": "/tmp/x_bia.fits", "bpixtab": "x y_bia.fits"}
    rules = RULES | {kind: {SINCE: name} for kind, name in hostile.items()}
    path = Path("a_raw.fits")
    with CrdsServer(rules, REFERENCES | {name.rpartition("/")[2]: b"x" for name in hostile.values()}) as server:
        setup = crds_setup(variables(**server.environment(tmp_path / "a" / "cache")), tmp_path / "ref")
        answer = best_references({path: Asked(asked().facts, ("BIASFILE", "CCDTAB", "BPIXTAB"))}, setup)
    for kind in hostile:
        assert "no name of a file" in answer.refused[path][kind.upper()]
        assert kind.upper() not in answer.names[path]
    assert not answer.failed
    assert not list(tmp_path.rglob("*_bia.fits"))


def test_a_time_limit_that_is_none(tmp_path: Path) -> None:
    """Oracle: crds wants whole seconds."""
    with pytest.raises(InputError, match="CRDS_CLIENT_TIMEOUT_SECONDS is '0.5'; expected whole seconds"):
        ask(variables(CRDS_PATH=str(tmp_path), CRDS_CLIENT_TIMEOUT_SECONDS="0.5"), tmp_path)


def test_a_child_that_dies(tmp_path: Path) -> None:
    """Oracle: the error quotes what it said."""
    env = variables(CRDS_PATH=str(tmp_path), PYTHONHOME=str(tmp_path))
    with pytest.raises(ReferenceFileError, match="CRDS ended with status"):
        ask(env, tmp_path)


# ---- which server, which cache, which oref ---------------------------------------------------------------


def test_defaults(tmp_path: Path) -> None:
    """Oracle: stis_cti: STScI's server, a cache in the folder of super-darks, oref in it."""
    setup = crds_setup(variables(CRDS_DEFAULT_CACHE=str(tmp_path / "none")), tmp_path / "ref")
    assert setup.environment["CRDS_SERVER_URL"] == SERVER
    assert setup.environment["CRDS_PATH"] == str(tmp_path / "ref")
    assert setup.environment["oref"] == f"{tmp_path}/ref/references/hst/stis/"
    assert [note.partition(" is ")[0] for note in setup.notes] == ["CRDS_SERVER_URL", "CRDS_PATH", "oref"]
    assert not (tmp_path / "ref").exists()


def test_the_users_choice_stays(tmp_path: Path) -> None:
    """Oracle: nothing to say where everything is set as it should be."""
    oref = tmp_path / "cache" / "references" / "hst" / "stis"
    oref.mkdir(parents=True)
    env = variables(CRDS_PATH=f"{tmp_path}/cache/", CRDS_SERVER_URL="http://x", oref=str(oref))
    setup = crds_setup(env, tmp_path / "ref")
    assert setup.notes == ()
    assert setup.environment["oref"] == f"{oref}/"
    assert setup.environment["CRDS_SERVER_URL"] == "http://x"


def test_relative_folders_are_those_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: crds works in a folder of its own; the cache is where the user's shell stands."""
    monkeypatch.chdir(tmp_path)
    env = variables(CRDS_PATH="cache", CRDS_SERVER_URL="http://x", oref="cache/references/hst/stis")
    setup = crds_setup(env, Path("ref"))
    assert setup.environment["CRDS_PATH"] == str(tmp_path / "cache")
    assert setup.environment["oref"] == f"{tmp_path}/cache/references/hst/stis/"


def test_oref_elsewhere(tmp_path: Path) -> None:
    """Oracle: stis_cti's: an error beside a cache of the user's, else another oref; the option is never overruled."""
    env = variables(CRDS_PATH=str(tmp_path / "cache"), CRDS_SERVER_URL="http://x", oref="/data/oref/")
    with pytest.raises(InputError, match="oref is /data/oref/, but CRDS keeps reference files in"):
        crds_setup(env, tmp_path)
    env = variables(CRDS_DEFAULT_CACHE=str(tmp_path / "none"), CRDS_SERVER_URL="http://x", oref="/data/oref/")
    assert crds_setup(env, tmp_path).notes[-1].endswith("in place of /data/oref/")
    with pytest.raises(InputError, match="oref is /data/oref/"):
        crds_setup(env, tmp_path, "/data/oref/")


def test_links_and_the_folder_above_are_known(tmp_path: Path) -> None:
    """Oracle: all ways in which STScI's pages set oref; files are looked for where the cache has them."""
    folder = tmp_path / "cache" / "references" / "hst" / "stis"
    folder.mkdir(parents=True)
    (folder.parent / "oref").symlink_to(folder)
    (tmp_path / "link").symlink_to(folder)
    for oref in (folder.parent, folder.parent / "oref", tmp_path / "link"):
        env = variables(CRDS_PATH=str(tmp_path / "cache"), CRDS_SERVER_URL="http://x", oref=str(oref))
        assert os.path.realpath(crds_setup(env, tmp_path).environment["oref"]) == str(folder)


def test_a_cache_that_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: stis_cti's: a cache in the folder of super-darks, and that is said; read-only on purpose is fine."""
    cache = tmp_path / "cache"
    cache.mkdir()
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: access(path, mode) and Path(path) != cache)  # root may write
    env = variables(CRDS_PATH=str(cache), CRDS_SERVER_URL="http://x")
    setup = crds_setup(env, tmp_path / "ref")
    assert setup.cache == tmp_path / "ref"
    assert "cannot be written to" in setup.notes[0] and "CRDS_READONLY_CACHE=1" in setup.notes[0]
    assert crds_setup(env | {"CRDS_READONLY_CACHE": "1"}, tmp_path / "ref").cache == cache


def test_the_central_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: stis_cti's: taken where there is one and nothing else is set, and never written to if it cannot."""
    central = fill_cache(tmp_path / "central", RULES, {}, mode="flat")
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: access(path, mode) and Path(path) != central)
    setup = crds_setup(variables(CRDS_DEFAULT_CACHE=str(central)), tmp_path / "ref")
    assert setup.cache == central
    assert setup.environment["CRDS_READONLY_CACHE"] == "1"
    assert setup.environment["oref"] == f"{central}/references/hst/"


def test_header_facts_take_the_first_value() -> None:
    """Oracle: crds keeps the first of several values of a keyword, extensions in order, as text."""
    facts = header_facts(*headers())
    assert (facts["CCDGAIN"], facts["DATE-OBS"]) == ("1", "2013-01-10")


def test_not_applicable_adds_no_card() -> None:
    """Oracle: what is not in a header and does not apply needs no card."""
    header = fits.Header([("DARKFILE", "oref$a.fits"), ("BIASFILE", "oref$b.fits")])
    made = renamed(header, {"DARKFILE": "N/A", "PCTAB": "N/A", "CCDTAB": "oref$c.fits"})
    assert dict(made) == {"DARKFILE": "N/A", "BIASFILE": "oref$b.fits", "CCDTAB": "oref$c.fits"}
    assert dict(header) == {"DARKFILE": "oref$a.fits", "BIASFILE": "oref$b.fits"}


def test_the_sums_of_the_rules_are_right() -> None:
    """Oracle: the rule for sha1sum: of the text without its line."""
    from support.crds_server import mappings

    for text in mappings(RULES).values():
        lines = text.splitlines(keepends=True)
        (mine,) = (line for line in lines if "sha1sum" in line)
        rest = "".join(line for line in lines if line is not mine)
        assert hashlib.sha1(rest.encode()).hexdigest() in mine


# ---- variables that cannot be right ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("CRDS_SERVER_URL", "https://jwst-crds.stsci.edu", "the server of JWST; expected https://hst-crds.stsci.edu"),
        ("CRDS_SERVER_URL", "https://roman-crds.stsci.edu", "the server of ROMAN"),
        ("CRDS_SERVER_URL", "hst-crds.stsci.edu", "expected an address without user"),
        ("CRDS_SERVER_URL", "https://me:word@hst-crds.stsci.edu", "it is 'https://hst-crds.stsci.edu'"),
        ("CRDS_CONTEXT", "jwst_1234.pmap", "rules of JWST; expected rules of HST"),
        ("CRDS_CONTEXT", "jwst-operational", "rules of JWST"),
        ("CRDS_MODE", "nonsense", "expected one of auto, local, remote, s3"),
        ("CRDS_PATH", "~nobody-of-this-name/cache", "there is no such user"),
    ],
)
def test_variables_that_cannot_be_right(tmp_path: Path, variable: str, value: str, said: str) -> None:
    """Oracle: the message names the variable, its value and what is expected; nothing is asked or made."""
    with pytest.raises(InputError, match=f"^{variable}: it is ") as refused:
        crds_setup(variables(**{variable: value}), tmp_path / "ref")
    assert said in str(refused.value) and "word" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_variables_of_another_observatory_that_do_no_harm(tmp_path: Path) -> None:
    """Oracle: CRDS is told that it is HST; an address that means that nobody is asked is not looked at."""
    env = variables(CRDS_OBSERVATORY="jwst", CRDS_SERVER_URL="https://jwst-serverless.stsci.edu", CRDS_MODE="local")
    assert crds_setup(env, tmp_path).environment["CRDS_OBSERVATORY"] == "hst"
    assert crds_setup(variables(CRDS_CONTEXT="hst-operational"), tmp_path).environment["CRDS_CONTEXT"]


def test_folders_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: what a shell makes of ~; a folder of that name is not made."""
    monkeypatch.setenv("HOME", str(tmp_path))
    setup = crds_setup(variables(CRDS_PATH="~/cache", oref="~/cache/references/hst/stis/"), tmp_path / "ref")
    assert setup.cache == tmp_path / "cache" and setup.oref == tmp_path / "cache" / "references" / "hst" / "stis"
    assert setup.environment["oref"] == f"{setup.oref}{os.sep}"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CRDS_CONTEXT", "hst_9999.pmap"),
        pytest.param("CRDS_CONTEXT", "foo", marks=pytest.mark.slow),
        pytest.param("CRDS_CLIENT_RETRY_COUNT", "many", marks=pytest.mark.slow),
        pytest.param("CRDS_VERBOSITY", "foo", marks=pytest.mark.slow),
        pytest.param("CRDS_DOWNLOAD_CHECKSUMS", "foo", marks=pytest.mark.slow),
    ],
)
def test_variables_that_only_crds_can_judge(server: CrdsServer, tmp_path: Path, variable: str, value: str) -> None:
    """Oracle: whatever CRDS says of them, the message names the variable; a proxy that is set is not blamed."""
    more = {variable: value, "https_proxy": "http://proxy:1"}
    with pytest.raises(ReferenceFileError, match=f"CRDS has no answer: .*check the variables.*{variable}") as failed:
        ask(variables(**server.environment(tmp_path / "cache") | more), tmp_path, tries=1)
    assert "proxy" not in str(failed.value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        pytest.param(
            "htps://me:word@proxy", r"\(http_proxy is .htps://proxy.; expected the address", marks=pytest.mark.slow
        ),
        pytest.param(
            "http://me:word@127.0.0.1:9", r"\(asked by way of the proxy in http_proxy\)", marks=pytest.mark.slow
        ),
    ],
    ids=["none", "one"],
)
def test_proxies(tmp_path: Path, value: str, said: str, caplog: pytest.LogCaptureFixture) -> None:
    """Oracle: a server that cannot be reached by way of a proxy: the variable is named, its password is not."""
    env = variables(
        CRDS_SERVER_URL="http://127.0.0.2:8", CRDS_PATH=str(tmp_path / "cache"), http_proxy=value, no_proxy=""
    )
    with caplog.at_level("DEBUG"), pytest.raises(ReferenceFileError, match=said) as failed:
        ask(env, tmp_path, timeout=1)
    assert "word" not in str(failed.value) + caplog.text
