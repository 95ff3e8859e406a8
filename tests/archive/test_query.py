"""Questions to the archive: astroquery as it is against a server on loopback, its faults, saved answers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import gpucti
from gpucti import cli
from gpucti.archive.client import ArchiveSettings, Mast
from gpucti.archive.query import Answer, anneal_periods, archive_settings, exposure_starts, merge_anneals, save_anneals
from gpucti.darks.anneals import AnnealPeriod, Dark, read_anneals, write_anneals
from gpucti.errors import ArchiveError, InputError, MissingFileError
from gpucti.io.selection import find_science
from support.archive_server import (
    PERIOD_START,
    SCIENCE,
    Server,
    component_darks,
    drips,
    hangs,
    html,
    loopback_only,
    redirect,
    serve,
    small_archive,
    status,
)
from support.header_files import header_file

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def refused(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Keep the tests on this machine."""
    return loopback_only(monkeypatch)


@pytest.fixture
def server() -> Iterator[Server]:
    with serve(small_archive()) as running:
        yield running


@pytest.fixture
def settings(server: Server) -> ArchiveSettings:
    return ArchiveSettings(server=server.url, pause=0.01, connect=2.0, read=0.6, whole=1.2)


def names(answer: Answer) -> list[str]:
    return [dark.exposure for dark in answer.darks]


# ---- what comes back -------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["objects", "arrays", "nested", "pages"])
def test_period_and_darks(server: Server, settings: ArchiveSettings, shape: str) -> None:
    """Oracle: the archive's own list. The answer has several shapes, and more rows than a page."""
    server.faults.arrays, server.faults.nested = shape == "arrays", shape == "nested"
    settings = replace(settings, page=37 if shape == "pages" else 5000)
    without = component_darks(server.archive)[3]
    without.flt = False
    answer = anneal_periods([SCIENCE], settings=settings)
    (period,) = answer.periods
    assert (period.start, period.end) == (PERIOD_START, PERIOD_START + 28 * DAY)
    expected = component_darks(server.archive)
    assert [(d.exposure, d.start, d.exptime, d.proposid) for d in period.darks] == [
        (d.name, d.start, d.exptime, d.programme) for d in expected
    ]
    assert [(d.flt, d.size) for d in period.darks] == [(d.flt, len(d.content()) if d.flt else None) for d in expected]
    assert (answer.asked, answer.notes) == (True, ())
    total = 24 if shape == "pages" else 1
    assert 1 <= server.count("/search") <= total
    assert server.count("post_list_products") == 1
    assert server.count("/invoke") == server.count("column_list") == 0  # all programmes are in the packaged list


def test_titles_over_http(server: Server, settings: ArchiveSettings) -> None:
    """Oracle: the periods do not depend on the numbers of the programmes; each title is asked for once."""
    for dark in server.archive.darks:
        dark.programme += 20000
    server.archive.titles = {32400: "STIS CCD Dark Monitor Part 1", 32401: "CCD dark monitor (2)",
                             32404: "CCD Hot Pixel Annealing Cycle 99"}  # fmt: skip
    answer = anneal_periods([SCIENCE, SCIENCE - 20 * DAY], settings=settings)
    assert [period.start for period in answer.periods] == [PERIOD_START - 28 * DAY, PERIOD_START]
    assert names(answer)[-28:] == [d.name for d in server.archive.darks if d.start >= PERIOD_START
                                   and d.start < PERIOD_START + 28 * DAY and d.exptime > 960
                                   and d.programme != 32404]  # fmt: skip
    assert server.count("/invoke") == 3
    assert server.count("/search") <= 2


@pytest.mark.parametrize("fault", [status(500), status(503), html, hangs], ids=["500", "503", "html", "hangs"])
def test_without_titles(server: Server, settings: ArchiveSettings, fault: Callable[..., None]) -> None:
    """Oracle: the same period by cadence, and a note that says so and why."""
    for dark in server.archive.darks:
        dark.programme += 20000
    server.faults.portal = fault
    answer = anneal_periods([SCIENCE], settings=replace(settings, attempts=2, read=0.3))
    assert [period.start for period in answer.periods] == [PERIOD_START]
    assert len(answer.darks) == 28
    assert len(answer.notes) == 1
    assert "32400 (dark monitor), 32401 (dark monitor), 32404 (anneal)" in answer.notes[0]


def test_empty_archive(server: Server, settings: ArchiveSettings) -> None:
    """Oracle: an answer without rows and without columns is an answer: there is no anneal."""
    server.archive.darks.clear()
    with pytest.raises(ArchiveError, match=r"no anneal in the archive in the 240 days before .*--anneals FILE"):
        anneal_periods([SCIENCE], settings=settings)
    assert server.count("/search") == 3


def test_astroquery_is_told_nothing_for_good(server: Server, settings: ArchiveSettings) -> None:
    """Oracle: clients made afterwards by a user talk to the server that astroquery is configured with."""
    from astroquery.mast import MastMissionsClass, ObservationsClass, conf

    Mast(settings).darks(SCIENCE, SCIENCE + DAY)
    assert conf.server == "https://mast.stsci.edu"
    assert MastMissionsClass()._service_api_connection.REQUEST_URL.startswith(conf.server)
    portal = ObservationsClass()._portal_api_connection
    assert portal.MAST_REQUEST_URL.startswith(conf.server) and not portal._column_configs


def test_the_configuration_of_astroquery_counts(server: Server, tmp_path: Path) -> None:
    """Oracle: a process with astroquery.cfg of its own asks the server that is named there."""
    (tmp_path / "astropy").mkdir()
    (tmp_path / "astropy" / "astroquery.cfg").write_text(f"[mast]\nserver = {server.url}\n")
    script = f"""
from datetime import datetime
from gpucti.archive.query import anneal_periods, archive_settings
print(len(anneal_periods([datetime.fromisoformat("{SCIENCE}")], settings=archive_settings()).darks))
"""
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    environment |= {"XDG_CONFIG_HOME": str(tmp_path), "ASTROPY_CONFIG_DIR": str(tmp_path / "astropy")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False, env=environment
    )
    assert (done.stdout, done.stderr, done.returncode) == ("28\n", "", 0)


# ---- what goes wrong -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "tries", "message"),
    [
        (status(500), 3, "the server answers 500"),
        (status(503), 3, "the server answers 503"),
        (status(429), 3, "the server answers 429"),
        (status(404), 1, "the server answers 404"),
        (status(401), 1, "answers 401; darks are public, so if MAST_API_TOKEN is set it may have expired"),
        (html, 1, "answered with text/html in place of JSON, '<!DOCTYPE html>.*login page, or a proxy"),
        (hangs, 2, r"no answer for 0\.3 s"),
        (drips, 2, r"not done after 0\.4 s"),
        (lambda h: h.json([1, 2]), 1, "makes no sense"),
        (lambda h: h.json({"info": []}), 1, "no list of results"),
        (lambda h: h.json({"info": [], "results": [{"sci_data_set_name": "x"}]}), 1, "a row has no sci_actual"),
    ],
    ids=["500", "503", "429", "404", "401", "html", "hangs", "drips", "list", "no rows", "columns"],
)
def test_faults_of_searches(
    server: Server, settings: ArchiveSettings, fault: Callable[..., None], tries: int, message: str
) -> None:
    """Oracle: one clear error that names the server; what can pass is tried again, the rest is not."""
    server.faults.every_search = fault
    with pytest.raises(ArchiveError, match=message) as caught:
        anneal_periods([SCIENCE], settings=replace(settings, attempts=max(2, tries), read=0.3, whole=0.4))
    assert server.url in str(caught.value)
    assert server.count("/search") == tries


def test_faults_that_pass(server: Server, settings: ArchiveSettings) -> None:
    """Oracle: the answer of a server without faults."""
    server.faults.search = [status(503), status(500), hangs]
    assert len(anneal_periods([SCIENCE], settings=settings).darks) == 28
    assert server.count("/search") == 4


def test_connection_refused(settings: ArchiveSettings) -> None:
    """Oracle: nobody listens on port 9 of this machine."""
    with pytest.raises(ArchiveError, match=r"http://127\.0\.0\.1:9: a search: connection refused; check network and"):
        anneal_periods([SCIENCE], settings=replace(settings, server="http://127.0.0.1:9"))


def row(**change: Any) -> Callable[..., None]:
    """Answer with one row that is not as it should be."""
    cells = {"sci_data_set_name": "O1234567Q", "sci_start_time": "2012-03-10T01:00:00", "sci_actual_duration": 1100.0,
             "sci_pep_id": 12400} | change  # fmt: skip
    info = [{"name": name, "type": "VARCHAR"} for name in cells]
    return lambda handler: handler.json({"info": info, "results": [cells], "totalResults": 1})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sci_data_set_name": "../../x"}, "is '../../x', no name of an exposure"),
        ({"sci_data_set_name": "/etc/pass"}, "no name of an exposure"),
        ({"sci_data_set_name": None}, "no name of an exposure"),
        ({"sci_start_time": "yesterday"}, "the row of O1234567Q makes no sense"),
        ({"sci_pep_id": "many"}, "the row of O1234567Q makes no sense"),
        ({"sci_actual_duration": "long"}, "the row of O1234567Q makes no sense"),
    ],
)
def test_rows_that_make_no_sense(
    server: Server, settings: ArchiveSettings, change: dict[str, Any], message: str
) -> None:
    """Oracle: nothing that the server says is believed unchecked."""
    server.faults.every_search = row(**change)
    with pytest.raises(ArchiveError, match=message):
        Mast(settings).darks(SCIENCE - 30 * DAY, SCIENCE)


def test_rows_without_date_are_left_out(server: Server, settings: ArchiveSettings) -> None:
    """Oracle: null stands for not known."""
    server.faults.every_search = row(sci_start_time=None)
    assert Mast(settings).darks(SCIENCE - 30 * DAY, SCIENCE) == []


def test_a_server_without_pages(server: Server, settings: ArchiveSettings) -> None:
    """Oracle: one that sends the first page again and again is found out."""
    rows = [{"sci_data_set_name": f"O{n:07d}Q", "sci_start_time": "2012-03-10T01:00:00", "sci_actual_duration": 1100.0,
             "sci_pep_id": 12400} for n in range(20)]  # fmt: skip
    server.faults.every_search = lambda h: h.json({"info": [{"name": "x"}], "results": rows})
    with pytest.raises(ArchiveError, match="repeats the first"):
        Mast(replace(settings, page=20)).darks(SCIENCE - 30 * DAY, SCIENCE)


@pytest.mark.parametrize("name", ["../../x_flt.fits", "/etc/x_flt.fits", "o0000000q_flt.fits/../x"])
def test_names_of_files_are_not_believed(server: Server, settings: ArchiveSettings, name: str) -> None:
    """Oracle: a note that shows the name; the periods stand."""

    def rename(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        next(one for one in rows if one["file_suffix"] == "FLT")["filename"] = name
        return rows

    server.faults.products = rename
    answer = anneal_periods([SCIENCE], settings=settings)
    assert len(answer.darks) == 28 and all(dark.size is None and dark.flt for dark in answer.darks)
    assert len(answer.notes) == 1 and repr(name) in answer.notes[0]


def test_redirects(server: Server, settings: ArchiveSettings) -> None:
    """Oracle: a search that is sent elsewhere ends in an error; one that is sent in circles as well."""
    server.faults.every_search = redirect(f"{server.url}/elsewhere")
    with pytest.raises(ArchiveError, match="answers 404"):
        anneal_periods([SCIENCE], settings=replace(settings, attempts=1))


# ---- the token -------------------------------------------------------------------------------------------


def test_token(server: Server, settings: ArchiveSettings, caplog: pytest.LogCaptureFixture) -> None:
    """Oracle: the cookie that astroquery sends, to the archive and to nobody else; it is in no log."""
    with serve(small_archive()) as other:
        other_url = other.url.replace("127.0.0.1", "localhost")
        server.faults.search = [redirect(f"{other_url}/elsewhere")]
        with caplog.at_level(1), pytest.raises(ArchiveError):
            Mast(replace(settings, token="sesame", attempts=1)).darks(SCIENCE, SCIENCE + DAY)
        Mast(replace(settings, token="sesame")).darks(SCIENCE, SCIENCE + DAY)
        assert [dict(headers).get("Cookie") for _, headers in server.headers] == ["mast_token=sesame"] * 2
        assert all("Cookie" not in headers for _, headers in other.headers)
    assert "sesame" not in caplog.text + repr(replace(settings, token="sesame"))
    Mast(settings).darks(SCIENCE, SCIENCE + DAY)
    assert "Cookie" not in server.headers[-1][1]


def test_settings_of_the_environment() -> None:
    """Oracle: the variables; the option goes before them."""
    environment = {"GPUCTI_MAST_SERVER": "http://mirror:1234/", "MAST_API_TOKEN": "sesame"}
    found = archive_settings(environment=environment)
    assert (found.server, found.token) == ("http://mirror:1234", "sesame")
    assert archive_settings("https://other", environment).server == "https://other"
    assert archive_settings(environment={"GPUCTI_MAST_SERVER": ""}) == ArchiveSettings()


@pytest.mark.parametrize("server", ["mast.stsci.edu", "ftp://x", "http://", "http://u:p@x", "http://x?y", "http://x:y"])
def test_bad_servers(server: str) -> None:
    """Oracle: what an address is."""
    with pytest.raises(InputError, match="expected an address"):
        ArchiveSettings(server=server)


def test_a_bad_server_names_its_variable() -> None:
    """Oracle: the variable, if it is the variable's; an option goes before it."""
    environment = {"GPUCTI_MAST_SERVER": "mast.stsci.edu"}
    with pytest.raises(InputError, match=r"^environment variable GPUCTI_MAST_SERVER: .* expected an address"):
        archive_settings(environment=environment)
    assert archive_settings("https://other", environment).server == "https://other"
    with pytest.raises(InputError, match=r"^the archive's server is 'x'"):
        archive_settings("x", environment)


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize(("content", "why"), [(None, "which does not exist"), (b"x", "which holds none")])
def test_bad_certificates(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, refused: list[Any], variable: str, content: bytes | None, why: str
) -> None:
    """Oracle: the variable at fault, before anything is sent; a server without encryption needs none."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.setenv(variable, str(path))
    with pytest.raises(InputError, match=f"^{variable} is {path}, {why}; name a file of certificates"):
        anneal_periods([SCIENCE], settings=ArchiveSettings(server="https://mast.stsci.edu"))
    assert refused == []


def test_a_proxy_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, settings: ArchiveSettings) -> None:
    """Oracle: nobody listens on port 9; the message names the variable that sends there."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(ArchiveError, match=r"the proxy does not let it through \(by way of the proxy in http_proxy\)"):
        anneal_periods([SCIENCE], settings=replace(settings, server="http://127.0.0.2:8", attempts=1))


# ---- saved answers ---------------------------------------------------------------------------------------


def test_saved_answers_need_no_network(
    server: Server, settings: ArchiveSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: the answer given the first time, with every connection refused."""
    saved = tmp_path / "ref" / "anneals.json"
    first = anneal_periods([SCIENCE], saved=saved, settings=settings)
    assert save_anneals(first, saved) and not save_anneals(first, saved)
    refused = loopback_only(monkeypatch, allowed=False)
    again = anneal_periods([SCIENCE], saved=saved, settings=settings, renew=True)
    assert (again.periods, again.asked, refused) == (first.periods, False, [])
    assert anneal_periods([SCIENCE], saved=saved, offline=True).periods == first.periods
    with pytest.raises(ArchiveError, match=r"does not cover 2012-04-04 07:21:36, and the archive is of no help: it mu"):
        anneal_periods([SCIENCE + 20 * DAY], saved=saved, offline=True)
    with pytest.raises(ArchiveError, match="does not cover .* it cannot be reached"):
        anneal_periods([SCIENCE + 20 * DAY], saved=saved, settings=settings)
    with pytest.raises(ArchiveError, match="it cannot be reached"):
        anneal_periods([SCIENCE], saved=saved, settings=settings, refresh=True)
    with pytest.raises(ArchiveError, match="there is no saved list"):
        anneal_periods([SCIENCE], saved=tmp_path / "none.json", offline=True)
    with pytest.raises(InputError, match="offline: limits, shorter darks"):
        anneal_periods([SCIENCE], saved=saved, offline=True, refresh=True)


def test_open_periods_are_asked_for_again(server: Server, settings: ArchiveSettings, tmp_path: Path) -> None:
    """Oracle: by hand: known up to the day of the answer, asked for again where darks are to be fetched."""
    saved, days = tmp_path / "anneals.json", PERIOD_START + 10 * DAY
    everything = list(server.archive.darks)
    server.archive.darks[:] = [dark for dark in everything if dark.start <= days]
    early = anneal_periods([SCIENCE - 4 * DAY], saved=saved, settings=settings, now=days)
    save_anneals(early, saved)
    assert [(p.end, p.asked, len(p.darks)) for p in early.periods] == [(None, days, 10)]
    assert "still open" in early.notes[0]
    server.archive.darks[:] = everything
    later = PERIOD_START + 100 * DAY
    asked = server.count("/search")
    kept = anneal_periods([SCIENCE - 4 * DAY], saved=saved, settings=settings, now=later)
    assert (kept.periods, server.count("/search")) == (early.periods, asked)  # a run goes on with what it had
    for when, renew in ((SCIENCE - 4 * DAY, True), (SCIENCE, False)):  # darks wanted; a date past the answer
        renewed = anneal_periods([when], saved=saved, settings=settings, now=later, renew=renew)
        assert [(p.end, len(p.darks)) for p in renewed.known] == [(PERIOD_START + 28 * DAY, 28)]
    offline = anneal_periods([SCIENCE - 4 * DAY], saved=saved, offline=True, renew=True)
    assert offline.periods == early.periods
    assert "the answer of 2012-03-15 is used, though the archive may know more now" in offline.notes[0]


def test_shorter_darks(server: Server, settings: ArchiveSettings, tmp_path: Path) -> None:
    """Oracle: the archive's list."""
    answer = anneal_periods([SCIENCE], settings=settings, min_exptime=50)
    assert sum(dark.exptime == 60 for dark in answer.darks) == 28


def test_limits_given(server: Server, settings: ArchiveSettings) -> None:
    """Oracle: the archive's list; an anneal within the limits does not end the period."""
    limits = {"anneal_start": PERIOD_START - 3 * DAY, "anneal_end": PERIOD_START + 30 * DAY}
    answer = anneal_periods([SCIENCE], settings=settings, **limits)
    assert [(p.start, p.end, len(p.darks)) for p in answer.periods] == [(*limits.values(), 33)]
    assert server.count("/search") == 1
    with pytest.raises(InputError, match="outside the limits given"):
        anneal_periods([SCIENCE + 40 * DAY], settings=settings, **limits)


def test_merging() -> None:
    """Oracle: by hand: all periods that do not overlap, and the newer answer of those that do."""

    def period(start: int, end: int | None, *darks: str) -> AnnealPeriod:
        begin = PERIOD_START + start * DAY
        listed = tuple(Dark(name, 1, begin, 1100.0) for name in darks)
        return AnnealPeriod(begin, None if end is None else PERIOD_START + end * DAY, listed)

    a, b, c = period(0, 28, "A"), period(28, 56, "B"), period(56, None, "C")
    assert merge_anneals((a, c), (b,)) == (a, b, c)
    assert merge_anneals((), (b,)) == (b,)
    assert merge_anneals((a, b, c), (period(60, 90, "X"),))[:2] == (a, b)
    assert len(merge_anneals((a, b, c), (period(60, 90, "X"),))) == 3
    new = period(27, 55, "N")
    assert merge_anneals((a, b, c), (new,)) == (new, c)
    again = period(100, 110, "A")
    assert merge_anneals((a, b), (again,)) == (b, again)


def test_saved_lists_stay_readable(server: Server, settings: ArchiveSettings, tmp_path: Path) -> None:
    """Oracle: what is read is what was known, sizes and marks included."""
    component_darks(server.archive)[0].flt = False
    path = tmp_path / "anneals.json"
    answer = anneal_periods([SCIENCE, SCIENCE - 20 * DAY], settings=settings)
    write_anneals(answer.known, path)
    assert read_anneals(path) == answer.known


# ---- exposures -------------------------------------------------------------------------------------------


def test_exposure_starts(tmp_path: Path) -> None:
    """Oracle: the headers written."""
    one = header_file(tmp_path / "o1_raw.fits")
    two = header_file(tmp_path / "o2_raw.fits.gz", TDATEOBS="2012-04-01")
    header_file(tmp_path / "o1_wav.fits")
    header_file(tmp_path / "o9_raw.fits", OBSMODE="ACQ")
    starts = {one: SCIENCE, two: datetime(2012, 4, 1, 7, 21, 36)}
    assert (
        exposure_starts(tmp_path) == exposure_starts([one, two]) == exposure_starts(f"{tmp_path}/o[12]_raw*") == starts
    )
    with pytest.raises(MissingFileError):
        exposure_starts(tmp_path / "gone.fits")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="name at least one exposure"):
        exposure_starts(tmp_path / "empty")
    with pytest.raises(InputError, match="INSTRUME is 'ACS'"):
        exposure_starts(header_file(tmp_path / "o3_raw.fits", INSTRUME="ACS"))


def test_what_is_left_out_has_its_reason(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Oracle: the reasons of `find_science` with allow; a folder and the same files by name are treated alike."""
    one = header_file(tmp_path / "o1_raw.fits", CCDAMP="B", TDATEOBS="2001-02-03")
    header_file(tmp_path / "o2_raw.fits", OBSMODE="ACQ/PEAK")
    header_file(tmp_path / "o3_raw.fits", BINAXIS1=2)
    header_file(tmp_path / "o4_raw.fits", BINAXIS1=2)
    (tmp_path / "o5_raw.fits").write_bytes(b"<html>")
    for files in (tmp_path, sorted(tmp_path.glob("*_raw.fits")), str(tmp_path / "*")):
        caplog.clear()
        assert list(exposure_starts(files)) == [one]
        assert [record.getMessage() for record in caplog.records] == [
            "left out: o2_raw.fits: OBSMODE is ACQ/PEAK, acquisitions are not corrected",
            "left out: o3_raw.fits, o4_raw.fits: BINAXIS1 is 2, binned exposures are not corrected",
            "left out: o5_raw.fits: is not a FITS file (it starts with b'<html>'); expected 'SIMPLE  ='",
        ]
    (tmp_path / "o5_raw.fits").unlink()
    candidates = find_science(tmp_path, allow=True)
    binned = "BINAXIS1 is 2, binned exposures are not corrected"
    reasons = [candidate.reason for candidate in candidates if candidate.reason is not None]
    assert reasons == ["OBSMODE is ACQ/PEAK, acquisitions are not corrected", binned, binned]
    one.unlink()
    with pytest.raises(
        InputError, match=r"none of the files can be corrected:\n  o2_raw.fits: OBSMODE is ACQ/PEAK, acq"
    ):
        exposure_starts(tmp_path)
    with pytest.raises(InputError, match=r"o3_raw.fits: BINAXIS1 is 2, binned exposures are not corrected"):
        exposure_starts(tmp_path / "o3_raw.fits")


def test_what_lies_beside_exposures_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Oracle: the kinds of files that the archive delivers."""
    one = header_file(tmp_path / "o1_raw.fits")
    header_file(tmp_path / "o1_asn.fits", FILETYPE="ASN_TABLE", DETECTOR=None)
    header_file(tmp_path / "o2_x1d.fits", DETECTOR="FUV-MAMA")
    (tmp_path / "o1.png").write_bytes(b"PNG")
    (tmp_path / "sub").mkdir()
    assert list(exposure_starts(sorted(tmp_path.iterdir(), reverse=True)[1:])) == [one]
    assert {record.getMessage() for record in caplog.records} == {
        "left out: o1_asn.fits: is an association table",
        "left out: o2_x1d.fits: DETECTOR is FUV-MAMA, only CCD exposures are corrected",
        "left out: o1.png: is not a FITS file, but a preview picture",
    }


def test_folders_of_the_archive(tmp_path: Path) -> None:
    """Oracle: the files written, one folder per data set; a folder with raw files of its own stands for these alone."""
    hst = tmp_path / "mastDownload" / "HST"
    for name in ("o1", "o2"):
        (hst / name).mkdir(parents=True)
    paths = [header_file(hst / name / f"{name}_raw.fits") for name in ("o1", "o2")]
    for folder in (tmp_path, tmp_path / "mastDownload", hst):
        assert list(exposure_starts(folder)) == paths
    own = header_file(hst / "o3_raw.fits")
    assert list(exposure_starts(hst)) == [own]


def test_real_files(real_files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the README of the files: acquisitions, binned exposures, one whose pixels were cut; nothing else."""
    expected = {
        "o4er06llq": "OBSMODE is ACQ/PEAK, acquisitions are not corrected",
        "octka7jeq": "OBSMODE is ACQ/PEAK, acquisitions are not corrected",
        "ocmv0lw6q": "OBSMODE is ACQ, acquisitions are not corrected",
        **dict.fromkeys((f"o565020{n}0" for n in (1, 2, 3, 4)), "BINAXIS1 is 2, binned exposures are not corrected"),
    }
    command = ["darks", "--offline", "-d", str(tmp_path), "-r", str(tmp_path)]
    assert cli.main([*command, str(real_files)]) == 1  # o4sp040b0 is left; there is no list of darks
    err = capsys.readouterr().err
    for name, reason in expected.items():
        line = next(line for line in err.splitlines() if f"{name}_raw.fits" in line)
        assert line.startswith("gpucti: warning: left out: ") and line.endswith(f": {reason}")
    assert err.splitlines()[-1].startswith("gpucti: error: no list of anneal periods has those of the exposures")
    for path in sorted(real_files.glob("*.fits")):
        assert cli.main([*command, str(path)]) == 1
        err = capsys.readouterr().err
        assert err.count("\n") == 1 and "is missing; the keyword" not in err
        name, kind = path.stem.split("_")
        word = expected.get(name, "no list of anneal periods") if kind in ("raw", "sx1") else f"{path.name}: "
        assert word in err


def test_archive_dark_query(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the archive's list, in the shape of stis_cti's answer."""
    monkeypatch.setenv("GPUCTI_MAST_SERVER", server.url)
    files = [header_file(tmp_path / f"o{n}_raw.fits", TDATEOBS=f"2012-03-1{n}") for n in (4, 5)]
    (period,) = gpucti.archive_dark_query([str(path) for path in files])
    assert (period["start"], period["end"]) == (PERIOD_START, PERIOD_START + 28 * DAY)
    expected = component_darks(server.archive)
    assert period["darks"] == [
        {"exposure": d.name, "proposid": d.programme, "datetime": d.start, "exptime": d.exptime} for d in expected
    ]
    asked = len(server.requests)
    assert gpucti.archive_dark_query(str(files[0]), anneal_data=[period]) == [period]
    assert gpucti.archive_dark_query(str(files[0]), anneal_data=[AnnealPeriod(PERIOD_START, None)])[0]["darks"] == []
    with pytest.raises(InputError, match="none of the periods"):
        gpucti.archive_dark_query(str(files[0]), anneal_data=[])
    assert len(server.requests) == asked
    assert len(gpucti.archive_dark_query(str(files[0]), min_exptime=50.0)[0]["darks"]) == 56
    assert gpucti.archive_dark_query(str(files[0]), min_exptime=2000.0)[0]["darks"] == []
