"""What the documents say to type: every command has its options, and every block of code runs, or says why not."""

from __future__ import annotations

import functools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import pytest
from astropy.io import fits

import gpucti
from gpucti.cli import cli
from gpucti.cli.options import either_spelling
from gpucti.darks.anneals import read_anneals
from gpucti.synthetic import simulate_visit
from gpucti.synthetic.scenes import observe, star_field
from support.archive_server import archive_of, loopback_only, serve
from support.visits import PACKAGE, quick_table

ROOT = Path(__file__).parent.parent
PAGES = {path.relative_to(ROOT).as_posix(): path for path in [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]}
PAGES["DEVELOPMENT.md"] = ROOT / "DEVELOPMENT.md"
BLOCK = re.compile(
    r"(?:^ *<!-- (?:not run|command): (?P<note>[^\n]*) -->\n)?"
    r"^(?P<indent> *)```(?P<language>\S*)\n(?P<text>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
SPAN = re.compile(r"`([^`]+)`")
RUN = ("sh", "python")
#: What is shown and not typed.
SHOWN = ("text", "json", "{toctree}")
#: Blocks that do not run here, by page; each has its reason in a comment above it.
NOT_RUN = {
    "README.md": 2, "DEVELOPMENT.md": 1, "docs/install.md": 5, "docs/offline.md": 1, "docs/quickstart.md": 3,
    "docs/references.md": 2, "docs/spectra.md": 1,
}  # fmt: skip
#: Folders into which the documents correct, once on the command line and once more in Python.
OUTPUTS = ("corrected", "companion")


class Block(NamedTuple):
    """A block of code, and why it does not run."""

    language: str
    text: str
    why_not: str


def blocks(page: str) -> list[Block]:
    text = PAGES[page].read_text(encoding="utf-8")
    return [Block(m["language"], textwrap.dedent(m["text"]), m["note"] or "") for m in BLOCK.finditer(text)]


def commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each call of gpucti in lines of shell."""
    for line in text.replace("\\\n", " ").splitlines():
        for part in re.split(r"&&|[|;]", line.partition(" #")[0]):
            words = shlex.split(part)
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words.pop(0)
            if words and Path(words[0]).name == "gpucti":
                yield words[1:]


def wrong(words: list[str]) -> list[str]:
    """Return what no command has of the words of a call."""
    command: click.Command = cli
    words = [either_spelling(word) if word.startswith("-") else word for word in words]
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.commands.get(words[0])
        if found is None:
            return [] if words[0] == "COMMAND" else words[:1]
        command, words = found, words[1:]
    with click.Context(command, help_option_names=["-h", "--help"]) as context:
        options = {name for each in command.get_params(context) for name in (*each.opts, *each.secondary_opts)}
    given = {word.partition("=")[0] for word in words if re.match(r"--?[A-Za-z]", word)}
    return sorted(given - options)


@pytest.mark.parametrize("page", PAGES)
def test_commands_have_their_options(page: str) -> None:
    """Oracle: the commands' own options; in blocks, run or not, and in running text."""
    text = PAGES[page].read_text(encoding="utf-8")
    shown = [block.text for block in blocks(page) if block.language == "sh"]
    spans = [span for span in SPAN.findall(BLOCK.sub("", text)) if re.match(r"([A-Z_]+=\S+ )*gpucti \w", span)]
    calls = [words for each in shown + spans for words in commands(" ".join(each.split()) if each in spans else each)]
    assert [(words, bad) for words in calls if (bad := wrong(words))] == []
    if page in ("README.md", "docs/reference.md"):
        assert len(calls) > 5


def test_wrong_commands_are_seen() -> None:
    """Oracle: by hand."""
    assert wrong(["cte", "x.fits", "--outdri", "y"]) == ["--outdri"]
    assert wrong(["corect"]) == ["corect"]
    assert list(commands("A=1 gpucti darks *.fits --list  # names\ncd x && .venv/bin/gpucti demo")) == [
        ["darks", "*.fits", "--list"], ["demo"],
    ]  # fmt: skip


def test_what_does_not_run_is_counted() -> None:
    """Oracle: the table above; a block that is left out by and by, or of an unknown language, is noticed."""
    assert {block.language for page in PAGES for block in blocks(page)} <= {*RUN, *SHOWN}
    assert Counter(page for page in PAGES for block in blocks(page) if block.why_not) == NOT_RUN
    for path in PAGES.values():
        fences = re.findall(r"^ *```", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert len(fences) == 2 * len(blocks(path.relative_to(ROOT).as_posix())), path


@pytest.fixture(scope="module")
def visit(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a simulated visit, corrected with a quick table; to be copied."""
    made = simulate_visit(tmp_path_factory.mktemp("snippets") / "visit", weeks=1, device="cpu")
    quick_table(made.ref / "quick_pcte.fits")
    gpucti.correct(made.science, made.darks, made.ref, oref=made.oref, anneals=made.anneals, device="cpu")
    return made


def prepared(visit: Any, folder: Path, page: str) -> None:
    """Fill a working folder with what a page speaks of: raw exposures, darks, the list; products where it is theirs."""
    for part in ("science", "darks", "ref"):
        shutil.copytree(getattr(visit, part), folder / part)
    shutil.copy(visit.anneals, folder)
    image, spectrum = visit.exposures
    if page == "docs/spectra.md":
        for path in visit.science.glob(f"{spectrum}_*"):
            shutil.copy(path, folder / path.name.replace(spectrum, "ROOT"))
        for made, uncorrected in (("s1c", "sx1"), ("crc", "crj")):
            shutil.copy(folder / f"ROOT_{made}.fits", folder / f"ROOT_{uncorrected}.fits")
    else:
        for pattern, kept in (("science", "*_raw.fits *_wav.fits *_epc.fits"), ("darks", "*_flt.fits")):
            good = {path for each in kept.split() for path in (folder / pattern).glob(each)}
            for path in set((folder / pattern).iterdir()) - good:
                path.unlink()
        for path in (folder / "ref").iterdir():
            if path.name != "quick_pcte.fits":
                path.unlink() if path.is_file() else shutil.rmtree(path)
        dark = min(visit.darks.glob("*_flt.fits"))
        shutil.copy(dark, folder)
        shutil.copy(dark.with_name(dark.name.replace("_flt", "_cte")), folder)
    if page == "docs/superdarks.md":
        (folder / "anneals.json").write_text(next(b.text for b in blocks(page) if b.language == "json"))
        for number, path in enumerate(sorted((folder / "darks").iterdir()), start=1):
            named = path.rename(path.with_name(f"oabc01{number}q_flt.fits"))
            fits.setval(named, "ROOTNAME", value=f"oabc01{number}q")
        (folder / "science" / f"{image}_raw.fits").rename(folder / "science" / "oabc12010_raw.fits")


RUNNABLE = [page for page in PAGES if any(block.language in RUN and not block.why_not for block in blocks(page))]


@pytest.mark.slow
@pytest.mark.parametrize("page", RUNNABLE)
def test_blocks_run(page: str, visit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: exit codes and exceptions. In the order of the page, in one folder, names kept from block to block."""
    prepared(visit, tmp_path, page)
    (tmp_path / "bin").mkdir()
    tool = tmp_path / "bin" / "gpucti"
    tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gpucti "$@"\n')
    tool.chmod(0o755)
    for name, value in {
        "oref": str(visit.oref), "PYTHONPATH": str(PACKAGE), "HOME": str(tmp_path), "GPUCTI_BACKEND": "cpu",
        "PATH": f"{tool.parent}{os.pathsep}{os.environ['PATH']}",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MPLBACKEND", raising=False)
    monkeypatch.chdir(tmp_path)
    loopback_only(monkeypatch)
    charge = star_field((1024, 1024), np.random.default_rng(1), sky=2.0)
    sci = observe(charge, np.random.default_rng(2), read_noise=5.6)
    names: dict[str, Any] = {"gpucti": gpucti, "sci": sci, "err": np.ones_like(sci), "charge": charge}
    here = {"/data/oref": str(visit.oref), "631": "329"}  # the reference files; a row with a spectrum
    archive = archive_of(next(period for period in read_anneals(visit.anneals) if period.darks), visit.darks)
    with serve(archive) as server:
        monkeypatch.setenv("GPUCTI_MAST_SERVER", server.url)
        if page == "docs/darks.md":
            shutil.rmtree("darks")
            Path("anneals.json").unlink()
        for block in blocks(page):
            if block.why_not or block.language not in RUN:
                continue
            text = functools.reduce(lambda so_far, pair: so_far.replace(*pair), here.items(), block.text)
            if block.language == "sh":
                done = subprocess.run(["bash", "-euc", text], capture_output=True, text=True, timeout=300, check=False)
                assert done.returncode == 0, f"{block.text}\n{done.stdout}\n{done.stderr}"
            else:
                for folder in OUTPUTS:
                    shutil.rmtree(folder, ignore_errors=True)
                exec(compile(text, page, "exec"), names)


def test_lists_of_anneals_are_read(tmp_path: Path) -> None:
    """Oracle: the reader of such lists."""
    shown = [block.text for page in PAGES for block in blocks(page) if block.language == "json"]
    assert shown
    for text in shown:
        (tmp_path / "anneals.json").write_text(text)
        assert len(read_anneals(tmp_path / "anneals.json")) == len(json.loads(text))
