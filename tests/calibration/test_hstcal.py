"""The engine that runs CalSTIS's own programs: the real ones where they are installed, stand-ins for faults."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from gpucti.backends import get_backend
from gpucti.calibration.base import Engine
from gpucti.calibration.hstcal import HstcalEngine, available
from gpucti.calibration.native import NativeEngine
from gpucti.calibration.reffiles import References
from gpucti.errors import EngineError, InputError, MissingFileError, OutputExistsError, ReferenceFileError
from gpucti.io.exposure import Exposure
from support.calstis_cases import CASES, digest
from support.calstis_files import primary, reference_table, small_imset, write
from support.recorded import calstis
from support.stis_files import digest as file_digest, listing
from support.summaries import compare, summarize

RUNS, WHY_NOT = available()
real = pytest.mark.skipif(not RUNS, reason=WHY_NOT)
SUFFIXES = {"crj": "crc", "flt": "flc", "sx2": "s2c", "x2d": "x2c", "sx1": "s1c", "x1d": "x1c"}


def oref_names(folder: Path, oref: Path, name: str, *, packed: bool = False) -> Path:
    """Move what a file's header names into another folder, as ``oref$...``, and compress all if `packed`."""
    oref.mkdir()
    names: set[str] = set()
    with fits.open(folder / name, mode="update") as hdus:
        for card in hdus[0].header.cards:
            if card.keyword.endswith(("FILE", "TAB")) and (folder / str(card.value)).is_file():
                names.add(card.value)
                hdus[0].header[card.keyword] = f"oref${card.value}"
    for moved in names:
        shutil.move(folder / moved, oref / moved)
    for path in (*folder.glob("*.fits"), *oref.glob("*.fits")) if packed else ():
        Path(f"{path}.gz").write_bytes(gzip.compress(path.read_bytes(), 1))
        path.unlink()
    return folder / name


# ---- with the real CalSTIS -------------------------------------------------------------------------------------------


@real
def test_bias_subtraction(tmp_path: Path) -> None:
    """Oracle: cs1.e run by hand, recorded. Compressed files in folders with spaces and brackets in their names."""
    folder = tmp_path / "raw files [1]"
    folder.mkdir()
    CASES["bias_d3"].build(folder)
    path = oref_names(folder, tmp_path / "ref (files)", "case_raw.fits", packed=True)
    raw = Exposure.read(path)
    before = {each: file_digest(each) for each in (*folder.iterdir(), *(tmp_path / "ref (files)").iterdir())}
    here, environment = Path.cwd(), dict(os.environ)
    made = HstcalEngine(References({"oref": str(tmp_path / "ref (files)")})).subtract_bias(raw)
    assert compare({"out": summarize(made.exposure)}, calstis("expected")["bias_d3"]["outputs"], "bias_d3") == []
    assert made.exposure.path == raw.path
    assert made.exposure.primary["FILENAME"] == "case_raw.fits"
    assert made.exposure.primary["BIASFILE"] == "oref$case_bia.fits"
    assert "BLEVCORR COMPLETE" in made.trailer
    assert before == {each: file_digest(each) for each in (*folder.iterdir(), *(tmp_path / "ref (files)").iterdir())}
    assert (Path.cwd(), dict(os.environ)) == (here, environment)


@real
def test_products_of_an_image(tmp_path: Path) -> None:
    """Oracle: cs0.e run by hand, recorded; FILENAME is the name of each file."""
    CASES["flow_both"].build(tmp_path)
    path = oref_names(tmp_path, tmp_path / "oref", "case_cte.fits")
    outdir = tmp_path / "my products"
    outdir.mkdir()
    made = HstcalEngine(References({"oref": f"{tmp_path}/oref/"})).calibrate(Exposure.read(path), outdir, SUFFIXES)
    assert made.products == {kind: outdir / f"case_{SUFFIXES[kind]}.fits" for kind in ("crj", "flt", "sx2")}
    assert made.omitted == ()
    products = {kind: Exposure.read(path) for kind, path in made.products.items()}
    recorded = calstis("expected")["flow_both"]["outputs"]
    assert compare({kind: summarize(each) for kind, each in products.items()}, recorded, "flow_both") == []
    assert [each.primary["FILENAME"] for each in products.values()] == listing(outdir)
    assert "CRCORR   COMPLETE" in made.trailer


@real
def test_program_without_work_is_an_error(tmp_path: Path) -> None:
    """Oracle: CalSTIS's documented habit of ending well without a product where the references are dummies."""
    CASES["dark"].build(tmp_path)
    fits.setval(tmp_path / "case_drk.fits", "PEDIGREE", value="DUMMY")
    exposure = Exposure.read(tmp_path / "case_blt.fits")
    with pytest.raises(EngineError, match=r"(?s)case_blt.fits: cs0.e ended with success but did not make flt.*DUMMY"):
        HstcalEngine(References()).calibrate(exposure, tmp_path, SUFFIXES)


@real
@pytest.mark.slow
@pytest.mark.parametrize("case", ["no trace", "dark wavecal"])
def test_what_cannot_be_made_is_omitted(small_visit: Any, tmp_path: Path, case: str) -> None:
    """Oracle: the native engine: the same products, and what is missing is said of the same ones, with the reason."""
    shutil.copytree(small_visit.science, tmp_path / "science")
    references = References({"oref": f"{small_visit.oref}/"})
    backend = get_backend("cpu")
    native = NativeEngine(backend, references)
    if case == "dark wavecal":
        with fits.open(tmp_path / "science" / "ogv102010_wav.fits", mode="update") as hdus:
            hdus["SCI", 1].data = np.zeros_like(hdus["SCI", 1].data)
    raw = Exposure.read(tmp_path / "science" / "ogv102010_raw.fits")
    blt = replace(native.subtract_bias(raw).exposure, path=raw.path)
    blt.primary["CTECORR"] = "OMIT"
    if case == "no trace":
        noise = np.random.default_rng(1).normal(0, 3, blt.shape).astype(np.float32)
        blt = blt.with_imsets([replace(imset, sci=noise) for imset in blt.imsets])
    made = {}
    for engine in (native, HstcalEngine(references)):
        outdir = tmp_path / engine.name
        outdir.mkdir()
        made[engine.name] = engine.calibrate(blt, outdir, SUFFIXES)
        engine.close()
        assert made[engine.name].engine == engine.name
    ours, theirs = made["native"], made["hstcal"]
    assert ours.products and ours.products.keys() == theirs.products.keys()
    about = [sorted(sentence.split(" (")[0].split(",")[0] for sentence in each.omitted) for each in (ours, theirs)]
    assert about[0] == about[1]
    if case == "no trace":
        (sentence,) = theirs.omitted
        assert sentence.startswith("No x1c (extracted spectrum): CalSTIS did not make it (")
        assert "Cannot extract" in sentence
    else:
        assert any(
            sentence.startswith("WAVECORR is PERFORM, but CalSTIS could not do it") for sentence in theirs.omitted
        )


@real
def test_error_of_the_program(tmp_path: Path) -> None:
    """Oracle: a CCDTAB without the row."""
    CASES["dark"].build(tmp_path)
    fits.setval(tmp_path / "case_blt.fits", "CCDOFFST", value=7)
    exposure = Exposure.read(tmp_path / "case_blt.fits")
    with pytest.raises(EngineError, match=r"(?s)stistools.calstis ended with status 1; its trailer ends with:.*CCDTAB"):
        HstcalEngine(References()).calibrate(exposure, tmp_path, SUFFIXES)


@real
@pytest.mark.golden
@pytest.mark.parametrize("root", ["osy102010", "osy103010"])
def test_spectra_of_the_golden_visit(golden_visit: Path, tmp_path: Path, root: str) -> None:
    """Oracle: cs0.e on the golden visit (there with CTECORR = OMIT): images by digest, tables by value."""
    raw = Exposure.read(golden_visit / "visit" / "science" / f"{root}_raw.fits")
    raw.primary["CTECORR"] = "OMIT"
    engine = HstcalEngine(References({"oref": str(golden_visit / "visit" / "oref")}))
    assert all(need.path for need in engine.references(raw))
    made = engine.calibrate(raw, tmp_path, {kind: kind for kind in SUFFIXES})
    assert len(made.products) == (4 if root == "osy102010" else 3)
    for path in made.products.values():
        expected = golden_visit / "expected" / "5_plain_calstis" / path.name
        assert fits.getval(path, "FILENAME") == path.name
        if expected.is_file():
            with fits.open(path) as ours, fits.open(expected) as theirs:
                assert len(ours) == len(theirs)
                for name in theirs[1].columns.names:
                    assert np.array_equal(ours[1].data[name], theirs[1].data[name]), name
            continue
        recorded = [
            each["sha256"] for each in json.loads(expected.with_suffix(".json").read_text()) if "sha256" in each
        ]
        product = Exposure.read(path)
        assert recorded == [digest(a) for each in product.imsets for a in (each.sci, each.err, each.dq)]


# ---- with stand-ins --------------------------------------------------------------------------------------------------

#: Calls the programs as stistools does, without the seconds that importing stistools takes.
STISTOOLS = {
    "basic2d": """
def basic2d(input, output="", trailer="", statflag=True, **steps):
    flags = [f"-{name[:4].rstrip('c')}" for name, what in steps.items() if what == "perform"]
    return run(["cs1.e", input, output, *flags], trailer)
""",
    "calstis": """
def calstis(input, wavecal="", trailer=""):
    return run(["cs0.e", input, *(["-w", wavecal] if wavecal else [])], trailer)
""",
}
RUN = """
import subprocess
def run(line, trailer):
    with open(trailer, "a") as stream:
        return int(subprocess.call(line, stdout=stream, stderr=subprocess.STDOUT) != 0)
"""


class Programs:
    """A PATH on which only the given stand-ins are, and a stand-in for stistools in child processes."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bin = folder / "programs"
        self.bin.mkdir()
        package = folder / "python" / "stistools"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        for name, text in STISTOOLS.items():
            (package / f"{name}.py").write_text(RUN + text)
        monkeypatch.setenv("PYTHONPATH", str(package.parent))
        monkeypatch.setenv("PATH", f"{self.bin}")

    def add(self, *names: str, script: str) -> None:
        """Put a shell script on the PATH; it finds the system's commands."""
        for name in names:
            path = self.bin / name
            path.write_text(f"#!/bin/sh\nPATH=/bin:/usr/bin\n{script}\n")
            path.chmod(0o755)


@pytest.fixture
def programs(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Return stand-ins; there are none at first."""
    return Programs(tmp_path_factory.mktemp("stand-ins"), monkeypatch)


@pytest.fixture
def exposure(tmp_path: Path) -> Exposure:
    """Return an image with dark correction to be done."""
    CASES["dark"].build(tmp_path)
    return Exposure.read(tmp_path / "case_blt.fits")


def test_it_is_an_engine() -> None:
    """Oracle: the type checker's view of the protocol, as far as names go."""
    engine = HstcalEngine(References({}))
    assert engine.name == "hstcal"
    for name in ("describe", "supports", "references", "subtract_bias", "calibrate"):
        assert callable(getattr(engine, name)) and hasattr(Engine, name)


def test_missing_programs(programs: Programs, exposure: Exposure, tmp_path: Path) -> None:
    """Oracle: what a user can do about it is said, before anything is done."""
    programs.add("cs1.e", script="exit 0")
    runs, reason = available()
    assert not runs
    assert reason == "cs0.e not found on the PATH; install CalSTIS (package hstcal of conda-forge)"
    engine = HstcalEngine(References())
    assert engine.supports(exposure) == [f"The hstcal engine cannot run here: {reason}."]
    assert engine.describe() == f"hstcal, cannot run: {reason}"
    for call in (lambda: engine.subtract_bias(exposure), lambda: engine.calibrate(exposure, tmp_path, SUFFIXES)):
        with pytest.raises(EngineError, match="case_blt.fits: engine 'hstcal' cannot run here: cs0.e not found"):
            call()


def test_missing_stistools(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: as above."""
    programs.add("cs0.e", "cs1.e", script="exit 0")
    monkeypatch.setitem(sys.modules, "stistools", None)
    assert available() == (False, "stistools cannot be imported; install it (pip install stistools)")


def test_programs_on_a_path_of_its_own(programs: Programs, tmp_path: Path) -> None:
    """Oracle: the mapping takes the place of the environment."""
    programs.add("cs0.e", "cs1.e", script='echo "9.9.9 (today)"')
    assert available()[0]
    assert not available({"PATH": str(tmp_path)})[0]
    assert HstcalEngine(References()).describe().startswith("hstcal, CalSTIS 9.9.9 (today), stistools ")
    assert HstcalEngine(References({})).supports(Exposure.read(_plain(tmp_path))) == []


def _plain(folder: Path, **cards: Any) -> Path:
    given = {"ATODGAIN": 1.0, "CCDTAB": "case_ccd.fits", "DARKCORR": "PERFORM", "DARKFILE": "none.fits"} | cards
    return write(folder / "plain_blt.fits", primary(1, **given), small_imset(1))


@pytest.mark.parametrize("task", ["subtract_bias", "calibrate"])
def test_a_program_that_fails(programs: Programs, exposure: Exposure, tmp_path: Path, task: str) -> None:
    """Oracle: the message names exposure and step and quotes the end of the trailer; nothing is left behind."""
    lines = "; ".join(f"echo line {k}" for k in range(30))
    programs.add("cs0.e", "cs1.e", script=f'{lines}; echo "ERROR:   No row." >&2; echo; exit 2')
    names = listing(tmp_path)
    engine = HstcalEngine(References({}))
    with pytest.raises(EngineError) as caught:
        engine.subtract_bias(exposure) if task == "subtract_bias" else engine.calibrate(exposure, tmp_path, SUFFIXES)
    program = "basic2d" if task == "subtract_bias" else "calstis"
    quoted = "".join(f"\n  line {k}" for k in range(19, 30))
    assert str(caught.value) == (
        f"{exposure.path}: stistools.{program} ended with status 1; its trailer ends with:{quoted}\n  ERROR:   No row."
    )
    assert listing(tmp_path) == names


def test_a_program_that_crashes(programs: Programs, exposure: Exposure, tmp_path: Path) -> None:
    """Oracle: as above, without a trailer."""
    programs.add("cs0.e", "cs1.e", script="kill -SEGV $$")
    with pytest.raises(EngineError, match="ended with status 1; it wrote no trailer: is CalSTIS .hstcal. installed"):
        HstcalEngine(References({})).calibrate(exposure, tmp_path, SUFFIXES)


def test_a_program_that_cannot_start(programs: Programs, exposure: Exposure, tmp_path: Path) -> None:
    """Oracle: what Python said in the child process is in the message."""
    programs.add("cs0.e", "cs1.e", script="exit 0")
    (programs.bin / "cs0.e").write_bytes(b"\x7fELF of another machine")
    with pytest.raises(EngineError, match=r"(?s)status 1; its trailer ends with:.*Exec format error"):
        HstcalEngine(References({})).calibrate(exposure, tmp_path, SUFFIXES)


def test_success_without_products(programs: Programs, exposure: Exposure, tmp_path: Path) -> None:
    """Oracle: exit status 0 is not believed."""
    programs.add("cs0.e", "cs1.e", script="echo nothing to do")
    engine = HstcalEngine(References({}))
    with pytest.raises(
        EngineError, match=r"CalSTIS ended with success but did not make the bias-subtracted image; its"
    ):
        engine.subtract_bias(exposure)
    with pytest.raises(EngineError, match=r"(?s)cs0.e ended with success but did not make flt; .*nothing to do"):
        engine.calibrate(exposure, tmp_path, SUFFIXES)


def test_some_products_are_not_made(programs: Programs, tmp_path: Path) -> None:
    """Oracle: what is made is kept; what is missing has a sentence with the last complaints of the trailer."""
    CASES["flow_both"].build(tmp_path)
    complaints = "; ".join(f"echo 'Warning    Complaint {n}.'" for n in (1, 2, 3, 3, 4))
    programs.add("cs0.e", "cs1.e", script=f"{complaints}; echo 'ERROR:    No luck.'; cp \"$1\" case_cte_flt.fits")
    made = HstcalEngine(References({})).calibrate(Exposure.read(tmp_path / "case_cte.fits"), tmp_path, SUFFIXES)
    assert list(made.products) == ["flt"] and "No luck" in made.trailer
    why = "CalSTIS did not make it (Complaint 3; Complaint 4; No luck)."
    assert made.omitted == (f"No crc (combined image): {why}", f"No s2c (combined and rectified): {why}")


def test_a_product_that_is_none(programs: Programs, exposure: Exposure, tmp_path: Path) -> None:
    """Oracle: products are read before anything is written."""
    programs.add("cs0.e", "cs1.e", script="echo trailer; echo no FITS > case_blt_flt.fits")
    names = listing(tmp_path)
    with pytest.raises(EngineError, match=r"made a flt that cannot be used \(case_blt_flt.fits: is not a FITS file"):
        HstcalEngine(References({})).calibrate(exposure, tmp_path, SUFFIXES)
    assert listing(tmp_path) == names


def test_the_programs_folder(programs: Programs, tmp_path: Path) -> None:
    """Oracle: definition. All that CalSTIS opens lies in its own folder, unpacked; variables end in a slash."""
    folder = tmp_path / "a visit, of [mine]"
    folder.mkdir()
    CASES["velocity_spectrum"].build(folder)
    wavecal = _plain(folder, FLAT="", LAMPTAB="lampref$case_lmp.fits", BIASFILE="$oref/case_bia.fits")
    wavecal.rename(folder / "case_wav.fits")
    for name in ("ocase001j_epc.fits", "case_bia.fits", "case_lmp.fits", "case_apd.fits"):
        reference_table(folder / name, {"TIME": ("D", [1.0]), "VALUE": ("D", [19.0])})
    path = folder / "case_blt.fits"
    with fits.open(path, mode="update") as hdus:
        hdus[0].header.update({"WAVECORR": "PERFORM", "WAVECAL": "case_wav.fits", "APDESTAB": "case_apd.fits"})
        hdus[0].header["LAMPTAB"] = "lampref$case_lmp.fits"
    oref_names(folder, tmp_path / "oref", path.name, packed=True)
    lamp = tmp_path / "lamps"
    lamp.mkdir()
    for name in ("case_bia", "case_lmp"):
        shutil.move(folder / f"{name}.fits.gz", (lamp if "lmp" in name else tmp_path / "oref") / f"{name}.fits.gz")
    list_all = 'echo "oref is $oref"; find . -name "*.fits" | sort; head -c 30 "${oref}case_drk.fits"; touch written'
    script = f'{list_all}; cp "$1" case_blt_flt.fits; chmod u+w *; echo changed > case_wav.fits'
    programs.add("cs0.e", "cs1.e", script=script)
    before = {each: file_digest(each) for each in tmp_path.rglob("*") if each.is_file()}
    engine = HstcalEngine(References({"oref": str(tmp_path / "oref"), "lampref": f"{lamp}/"}))
    made = engine.calibrate(Exposure.read(path), tmp_path / "oref", SUFFIXES)
    assert (
        made.trailer.splitlines()[:-1]
        == [
            "oref is refs/oref/",
            "./case_blt.fits",
            "./case_wav.fits",
            "./ocase001j_epc.fits",
            "./refs/lampref/case_lmp.fits",
            "./refs/oref/case_apd.fits",
            "./refs/oref/case_bia.fits",
            "./refs/oref/case_ccd.fits",
            "./refs/oref/case_drk.fits",
        ]
        or made.trailer.splitlines() == []
    )
    assert made.trailer.splitlines()[-1] == "SIMPLE  =                    T"
    product = tmp_path / "oref" / "case_flc.fits"
    assert made.products == {"flt": product}
    assert fits.getval(product, "FILENAME") == "case_flc.fits"
    after = {each: file_digest(each) for each in tmp_path.rglob("*") if each.is_file()}
    assert after.keys() - before.keys() == {product}
    assert {each: after[each] for each in before} == before


def test_strange_names(programs: Programs, tmp_path: Path) -> None:
    """Oracle: definition: CalSTIS gets plain names of its own for files whose names it could not take."""
    CASES["velocity_spectrum"].build(tmp_path)
    with fits.open(tmp_path / "case_blt.fits", mode="update") as hdus:
        hdus[0].header.update({"WAVECORR": "PERFORM", "WAVECAL": "lamp, of mine.fits", "LAMPTAB": "case_ccd.fits"})
        hdus[0].header.update({"APDESTAB": "case_ccd.fits", "DARKFILE": str(tmp_path / "case_drk.fits")})
    (tmp_path / "case_blt.fits").rename(tmp_path / "o1(a) b_blt.fits")
    shutil.copy(tmp_path / "o1(a) b_blt.fits", tmp_path / "lamp, of mine.fits")
    programs.add("cs0.e", "cs1.e", script='echo "$@"; find . -name "*_wav.fits"; cp "$1" exposure_flt.fits')
    made = HstcalEngine(References({})).calibrate(Exposure.read(tmp_path / "o1(a) b_blt.fits"), tmp_path, SUFFIXES)
    assert made.trailer.splitlines() == ["exposure.fits -w wavecal_wav.fits", "./wavecal_wav.fits"]
    assert made.products == {"flt": tmp_path / "o1(a) b_flc.fits"}


def test_bias_subtraction_asks_for_these_steps(programs: Programs, exposure: Exposure) -> None:
    """Oracle: definition."""
    programs.add("cs0.e", "cs1.e", script='echo "$@"; cp "$1" "$2"')
    made = HstcalEngine(References({})).subtract_bias(exposure)
    assert made.trailer == "case_blt.fits bias_subtracted.fits -dqi -blev -bias\n"
    assert made.exposure.path == exposure.path
    assert np.array_equal(made.exposure.imsets[3].sci, exposure.imsets[3].sci)


def test_refusals(programs: Programs, exposure: Exposure, tmp_path: Path) -> None:
    """Oracle: definition: before CalSTIS runs, which would fail the test here."""
    programs.add("cs0.e", "cs1.e", script="touch case_blt_flt.fits")
    engine = HstcalEngine(References({}))
    with pytest.raises(InputError, match="makes flt, for which `suffixes` has no name"):
        engine.calibrate(exposure, tmp_path, {"crj": "crc"})
    (tmp_path / "case_flc.fits").touch()
    with pytest.raises(OutputExistsError, match="case_flc.fits: the output exists"):
        engine.calibrate(exposure, tmp_path, SUFFIXES)
    (tmp_path / "case_flc.fits").unlink()

    exposure.primary["DARKFILE"] = "oref$gone.fits"
    with pytest.raises(ReferenceFileError, match=r"reference files are missing: DARKFILE .oref\$gone.fits"):
        engine.calibrate(exposure, tmp_path, SUFFIXES)
    (tmp_path / "sub").mkdir()
    exposure.primary["DARKFILE"] = "sub/../case_drk.fits"
    with pytest.raises(ReferenceFileError, match=r"DARKFILE is 'sub/../case_drk.fits'; expected a name without '..'"):
        engine.calibrate(exposure, tmp_path, SUFFIXES)
    (tmp_path / "bad.fits.gz").write_bytes(gzip.compress(bytes(5000))[:-30])
    exposure.primary["DARKFILE"] = "bad.fits"
    with pytest.raises(ReferenceFileError, match="bad.fits.gz: the compressed data are damaged"):
        engine.calibrate(exposure, tmp_path, SUFFIXES)
    exposure.primary["DARKCORR"] = "OMIT"
    with pytest.raises(InputError, match="nothing to do"):
        engine.calibrate(exposure, tmp_path, SUFFIXES)
    assert "case_flc.fits" not in listing(tmp_path)


def test_a_missing_wavecal(programs: Programs, tmp_path: Path) -> None:
    """Oracle: definition."""
    programs.add("cs0.e", "cs1.e", script="exit 0")
    CASES["velocity_spectrum"].build(tmp_path)
    with fits.open(tmp_path / "case_blt.fits", mode="update") as hdus:
        hdus[0].header.update({"WAVECORR": "PERFORM", "WAVECAL": "gone_wav.fits", "LAMPTAB": "case_ccd.fits"})
        hdus[0].header["APDESTAB"] = "case_ccd.fits"
    with pytest.raises((ReferenceFileError, MissingFileError), match=r"WAVECAL.*gone_wav.fits"):
        HstcalEngine(References({})).calibrate(Exposure.read(tmp_path / "case_blt.fits"), tmp_path, SUFFIXES)


def test_a_temporary_folder_that_is_full(
    programs: Programs, exposure: Exposure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: definition."""
    programs.add("cs0.e", "cs1.e", script="exit 0")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(EngineError, match="cannot be brought into the temporary folder of CalSTIS"):
        HstcalEngine(References({})).subtract_bias(exposure)


def test_with_stistools_itself(
    programs: Programs, exposure: Exposure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: the arguments that stistools gives to the programs."""
    monkeypatch.delenv("PYTHONPATH")
    programs.add("cs0.e", "cs1.e", script='echo "$@"; cp "$1" "$2"')
    made = HstcalEngine(References({})).subtract_bias(exposure)
    assert made.trailer == "case_blt.fits bias_subtracted.fits -dqi -blev -bias -stat\n"
    assert np.array_equal(made.exposure.imsets[0].sci, exposure.imsets[0].sci)
