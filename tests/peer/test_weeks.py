"""Selection and weeks against stis_cti's own functions, run on the same files in the same test."""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from gpucti.compat import viable_ccd_file
from gpucti.darks.anneals import AnnealPeriod, Dark, period_of
from gpucti.darks.weeks import DarkFile, find_darks, select_darks, week_of, weeks
from gpucti.errors import InputError
from gpucti.io.selection import find_science
from support.header_files import dark_file, header_file

pytestmark = pytest.mark.peer

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # those of upstream's imports
    upstream = pytest.importorskip("stis_cti.stis_cti", reason="stis_cti is not installed (extra 'peer')")

START = datetime(2012, 2, 6, 9, 15)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what upstream prints and warns of to ourselves."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def random_cards(rng: np.random.Generator) -> dict[str, Any]:
    """Return keywords of which each is now and then not what the pipeline wants."""
    choices: dict[str, list[Any]] = {
        "TELESCOP": ["HST", "JWST"],
        "DETECTOR": ["CCD", "NUV-MAMA"],
        "TDATEOBS": ["2012-03-15", "2009-05-01", "2009-04-30", "1999-01-01"],
        "TTIMEOBS": ["07:21:36", "00:00:00", "23:59:59"],
        "OBSMODE": ["ACCUM", "ACQ", "ACQ/PEAK"],
        "CCDAMP": ["D", "A", "B", "C", "AD"],
        "CCDGAIN": [1, 4, 2, 8, 3],
        "CCDOFFST": [3, 1, 5, 9],
        "SUBARRAY": [False, True],
        "BINAXIS1": [1, 2],
        "BINAXIS2": [1, 2],
    }
    return {
        name: values[int(rng.integers(len(values))) if rng.random() < 0.15 else 0] for name, values in choices.items()
    }


@pytest.mark.parametrize("allow", [False, True])
def test_selection(tmp_path: Path, rng: np.random.Generator, allow: bool) -> None:
    """Oracle: stis_cti's determine_input_science and viable_ccd_file on 150 headers, of which some are accepted."""
    for number in range(150):
        header_file(tmp_path / f"o{number:03d}_raw.fits", **random_cards(rng))
    with quiet():
        expected = {Path(name).name for name in upstream.determine_input_science(str(tmp_path), allow)}
        single = {path.name: upstream.viable_ccd_file(str(path)) for path in tmp_path.iterdir()}
    assert {c.path.name for c in find_science(tmp_path, allow=allow) if c.reason is None} == expected
    assert {path.name: viable_ccd_file(path) for path in tmp_path.iterdir()} == single
    assert 10 < len(expected) < 140


def random_visit(folder: Path, rng: np.random.Generator) -> tuple[list[AnnealPeriod], list[Path]]:
    """Write darks of two amplifiers and three periods, some in mixed order, and science at any time and at limits."""
    for name in ("darks", "science"):
        (folder / name).mkdir()
    periods = []
    for index in range(3):
        start = START + timedelta(days=28 * index)
        end = START + timedelta(days=28 * (index + 1))
        darks = []
        for amp, count in (("D", 14), ("A", 5)):
            limits = np.sort(rng.uniform(0, 28 * 86400 - 1, count)).astype(int)
            for number, seconds in enumerate(limits):
                name, when = f"o{index}{amp.lower()}{number:02d}q", start + timedelta(seconds=int(seconds))
                week = number // 3 if rng.random() < 0.8 else int(rng.integers(5))  # now and then in another week
                dark_file(folder / "darks", name, when, f"oref$w{week}_drk.fits", CCDAMP=amp)
                darks.append(Dark(name.upper(), 1, when, 1100.0))
        periods.append(AnnealPeriod(start, end, tuple(sorted(darks, key=lambda dark: dark.start)), index))
    times = [(START + timedelta(seconds=int(t)), "AD"[n % 2]) for n, t in enumerate(rng.uniform(0, 84 * 86400, 40))]
    found = find_darks(folder / "darks")
    for period in periods:  # and at every limit of ours, and a second before it
        for week in weeks(period, select_darks(period, "D", found).used, "D"):
            times += [(max(START, week.start - timedelta(seconds=late)), "D") for late in (0, 1)]
    science = []
    for number, (when, amp) in enumerate(times):
        date, clock = when.isoformat(sep=" ").split()
        path = folder / "science" / f"s{number:03d}_raw.fits"
        science.append(header_file(path, TDATEOBS=date, TTIMEOBS=clock, CCDAMP=amp))
    return periods, science


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_weeks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Oracle: stis_cti's populate_darkfiles, with the archive's answer given and the making of super-darks recorded."""
    periods, science = random_visit(tmp_path, np.random.default_rng(seed))
    found = find_darks(tmp_path / "darks")
    ours: dict[str, str] = {}
    made: dict[str, list[DarkFile]] = {}
    for candidate in find_science(tmp_path / "science", allow=True):
        period, amp = period_of(candidate.start, periods), candidate.primary["CCDAMP"]
        used = select_darks(period, amp, found).used
        week = week_of(candidate.start, weeks(period, used, amp))
        tag = f"{amp.lower()}{period.index:03d}_{week.number}"
        ours[candidate.path.name] = f"{tag}_drk.fits"
        made[f"{tag}_drk.fits"] = list(week.darks)
        made[f"basedark_{amp.lower()}{period.index}_drk.fits"] = list(used)

    theirs: dict[str, list[str]] = {}
    answer = [
        {"index": p.index, "start": p.start, "end": p.end,
         "darks": [{"exposure": d.exposure, "datetime": d.start, "exptime": d.exptime} for d in p.darks]}
        for p in periods
    ]  # fmt: skip
    monkeypatch.setattr(upstream.archive_dark_query, "get_anneal_boundaries", lambda: answer)
    for name in ("generate_basedark", "generate_weekdark"):
        monkeypatch.setattr(upstream, name, lambda files, out, *rest: theirs.update({Path(out).name: files}))
    monkeypatch.setenv("ctirefs", f"{tmp_path}/")
    monkeypatch.setenv("oref", f"{tmp_path}/")
    with quiet():
        upstream.populate_darkfiles([str(path) for path in science], str(tmp_path / "darks"), "$ctirefs/", "pctetab", 1)
    assert {path.name: re.sub(r".*/", "", fits.getval(path, "DARKFILE")) for path in science} == ours
    assert {name: [Path(file).name for file in files] for name, files in theirs.items()} == {
        name: [dark.path.name for dark in darks] for name, darks in made.items()
    }
    assert len(set(ours.values())) > 12  # many weeks were asked for


def test_no_darks_of_the_amplifier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: where stis_cti finds no week it raises, and so do we."""
    period = AnnealPeriod(START, START + timedelta(days=28), (Dark("OD", 1, START, 1100.0),), 1)
    dark_file(tmp_path, "od", START, "x")
    path = header_file(tmp_path / "s_raw.fits", CCDAMP="B", TDATEOBS="2012-02-07")
    answer = [{"index": 1, "start": period.start, "end": period.end,
               "darks": [{"exposure": "OD", "datetime": START, "exptime": 1100.0}]}]  # fmt: skip
    monkeypatch.setattr(upstream.archive_dark_query, "get_anneal_boundaries", lambda: answer)
    monkeypatch.setenv("oref", f"{tmp_path}/")
    with quiet(), pytest.raises(OSError, match="No matching component darks"):
        upstream.populate_darkfiles([str(path)], str(tmp_path), "$ctirefs/", "pctetab", 1)
    used = select_darks(period, "B", find_darks(tmp_path)).used
    with pytest.raises(InputError, match="no darks of this amplifier"):
        week_of(datetime(2012, 2, 7), weeks(period, used, "B"))
