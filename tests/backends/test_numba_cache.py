"""Where the compiled code of the Numba backend is kept, and that no fault of that place costs more than time."""

from __future__ import annotations

import ast
import errno
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from astropy.io import fits
from numba.core import caching

import gpucti
from gpucti.backends import _numba_cache, _numba_kernels
from gpucti.backends._numba_cache import SOURCES, Store, keep, open_store, user_cache
from support.stis_files import stis_file

PACKAGE = Path(gpucti.__file__).parent


def double(x: float) -> float:
    return 2 * x


def triple(x: float) -> float:
    return 3 * x


def compiled(store: Store, function: Callable[[float], float] = double) -> Any:
    """Return a function as another process would have it: nothing compiled, everything in the store."""
    return keep(numba.njit(function), store)


def from_store(folder: Path, function: Callable[[float], float] = double) -> bool:
    """Call the function; tell whether its code came from the folder."""
    dispatcher = compiled(Store(folder), function)
    assert dispatcher(21.0) == function(21.0)
    return bool(dispatcher.stats.cache_hits)


def test_code_is_kept(tmp_path: Path) -> None:
    """Oracle: Numba's own count of what it found."""
    folder = tmp_path / "not" / "yet"
    assert [from_store(folder), from_store(folder), from_store(folder, triple)] == [False, True, False]
    assert (folder.stat().st_mode & 0o777) == 0o700 or os.name == "nt"  # what is read here is run
    assert not list(Path(__file__).with_name("__pycache__").glob("test_numba_cache.double*"))


def garbage(path: Path) -> None:
    path.write_bytes(b"\x00garbage" * 100)


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def one_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def other_processor(path: Path) -> None:
    _, content = pickle.loads(path.read_bytes())
    _, code = pickle.loads(content)
    content = pickle.dumps((("another", "processor"), code))
    path.write_bytes(pickle.dumps((sha256(content).digest(), content)))


def other_arguments(path: Path) -> None:
    dispatcher = compiled(Store(path.parent / "other"))
    dispatcher(21)  # a whole number
    path.write_bytes(next((path.parent / "other").glob("*.nbc")).read_bytes())


@pytest.mark.parametrize(
    ("file", "fault"),
    [
        *(("*.nbi", fault) for fault in (garbage, half, empty)),
        *(("*.nbc", fault) for fault in (garbage, half, one_bit, other_processor, other_arguments)),
    ],
)
def test_damaged_code(file: str, fault: Callable[[Path], None], tmp_path: Path) -> None:
    """Oracle: the function itself; one warning names the folder, and the next process finds all well."""
    from_store(tmp_path)
    fault(next(tmp_path.glob(file)))
    with pytest.warns(UserWarning, match="damaged and is made anew") as said:
        assert not from_store(tmp_path)
    (text,) = (str(one.message) for one in said)
    assert str(tmp_path) in text and "NUMBA_CACHE_DIR" in text and "delete that folder" in text
    assert from_store(tmp_path)


def test_many_damaged_functions_are_one_warning(tmp_path: Path) -> None:
    """Oracle: counted."""
    for function in (double, triple):
        from_store(tmp_path, function)
    for path in tmp_path.iterdir():
        empty(path)
    store = Store(tmp_path)
    with pytest.warns(UserWarning) as said:
        assert [compiled(store, function)(1.0) for function in (double, triple)] == [2.0, 3.0]
    assert [str(one.message) for one in said] == [f"{store.problem}; {store.remedy}"]
    assert from_store(tmp_path, double) and from_store(tmp_path, triple)


@pytest.mark.parametrize("code", ["ENOSPC", "EACCES"])
@pytest.mark.parametrize("mode", ["rb", "wb"])
def test_refused_by_the_system(code: str, mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the function itself; one warning with folder, reason and variable, and no half-written file."""

    def refusing(path: str, opened: str = "r", *rest: Any) -> Any:
        if opened == mode:
            raise OSError(getattr(errno, code), os.strerror(getattr(errno, code)), path)
        return Path(path).open(opened, *rest)

    monkeypatch.setattr(caching, "open", refusing, raising=False)
    store = Store(tmp_path)
    with pytest.warns(UserWarning, match="each process compiles anew") as said:
        assert [compiled(store, function)(1.0) for function in (double, triple)] == [2.0, 3.0]
    (text,) = (str(one.message) for one in said)
    assert f"{tmp_path}: " in text and os.strerror(getattr(errno, code)) in text and "NUMBA_CACHE_DIR" in text
    assert not list(tmp_path.iterdir()) and not store.in_use


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_folder_that_is_a_file(place: str, tmp_path: Path) -> None:
    """Oracle: the function itself; the file stays."""
    (tmp_path / "file").write_text("mine")
    with pytest.warns(UserWarning, match="NotADirectoryError|FileExistsError"):
        assert not from_store(tmp_path / place)
    assert (tmp_path / "file").read_text() == "mine"


def test_probe(tmp_path: Path) -> None:
    """Oracle: nothing stays; a folder that cannot be is said like any other fault."""
    store = Store(tmp_path / "a" / "b")
    store.probe()
    assert store.in_use and not store.problem and not list((tmp_path / "a" / "b").iterdir())
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file")
    with pytest.warns(UserWarning, match="each process compiles anew"):
        store.probe()
    assert str(tmp_path / "file") in store.problem and "NUMBA_CACHE_DIR" in store.remedy and not store.in_use


def test_another_inside_of_numba(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the function itself, compiled in memory, whatever this version of Numba calls its parts."""
    monkeypatch.delattr(caching, "FunctionCache")
    with pytest.warns(UserWarning, match=f"Numba {numba.__version__} does not take this folder"):
        assert not from_store(tmp_path)
    assert not list(tmp_path.iterdir())


def test_numba_still_has_the_inside_that_is_used() -> None:
    """Oracle: this version of Numba: it asks the dispatcher's `_cache`, by the names that are overridden."""
    dispatcher = numba.njit(cache=True)(double)
    assert isinstance(dispatcher._cache, caching.FunctionCache)
    assert {"load_overload", "save_overload", "flush"} <= set(dir(caching.FunctionCache))
    assert {"reduce", "rebuild", "_locator_classes"} <= set(dir(caching.CompileResultCacheImpl))


def test_without_a_home_there_is_no_folder() -> None:
    """Oracle: the function itself; the warning asks for the variable."""
    store = Store(None)
    with pytest.warns(UserWarning, match="no home folder; set NUMBA_CACHE_DIR"):
        assert compiled(store)(1.0) == 2.0


@pytest.mark.skipif(os.name == "nt", reason="paths of another system")
@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {"HOME": "/home/me"}, "/home/me/.cache"),
        ("linux", {"HOME": "/home/me", "XDG_CACHE_HOME": "/scratch/me"}, "/scratch/me"),
        ("linux", {"HOME": "/home/me", "XDG_CACHE_HOME": "relative"}, "/home/me/.cache"),
        ("linux", {"HOME": "", "XDG_CACHE_HOME": ""}, None),
        ("linux", {"HOME": "relative"}, None),
        ("linux", {}, None),
        ("darwin", {"HOME": "/Users/me", "XDG_CACHE_HOME": "/scratch/me"}, "/Users/me/Library/Caches"),
        ("win32", {"USERPROFILE": "/me", "LOCALAPPDATA": "/me/Local"}, "/me/Local"),
        ("win32", {"USERPROFILE": "/me"}, "/me/AppData/Local"),
    ],
)
def test_the_folder_of_the_platform(platform: str, environment: dict[str, str], expected: str | None) -> None:
    """Oracle: the XDG standard, Apple's and Microsoft's guides for programmers."""
    assert user_cache(environment, platform) == (None if expected is None else Path(expected))


def test_nothing_is_compiled_beside_the_sources() -> None:
    """Oracle: the text: one place makes Numba's functions, and it keeps their code in the store."""
    texts = {path: path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
    kernels = Path(_numba_kernels.__file__)
    assert [path for path, text in texts.items() if "njit" in text or "@jit" in text] == [kernels]
    assert texts[kernels].count("njit(") == 1 and "cache=True" not in texts[kernels]


def test_numbas_variable_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the variable; versions are apart below it."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    folder = open_store({"HOME": "/home/me"}).folder
    assert folder is not None and folder.parent == tmp_path / "gpucti"
    assert gpucti.__version__ in folder.name and numba.__version__ in folder.name
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    other = open_store({"HOME": "/home/me"}).folder
    assert other == Path("/home/me/.cache/gpucti", folder.name)


def test_changed_sources_are_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: one byte more; constants are compiled in, so every module of ours that the kernels import counts."""
    before = open_store({"HOME": "/home/me"}).folder
    (tmp_path / "kernels").write_text("x")
    monkeypatch.setattr(_numba_cache, "files", lambda package: tmp_path)
    monkeypatch.setattr(_numba_cache, "SOURCES", (("here", "kernels"),))
    one = open_store({"HOME": "/home/me"}).folder
    (tmp_path / "kernels").write_text("xy")
    assert len({before, one, open_store({"HOME": "/home/me"}).folder}) == 3

    tree = ast.parse(Path(_numba_kernels.__file__).read_text(encoding="utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    ours = {name for name in imported if name and name.startswith("gpucti.")} - {"gpucti.backends._numba_cache"}
    listed = {f"{package}.{name.removesuffix('.py')}" for package, name in SOURCES}
    assert listed == ours | {_numba_kernels.__name__}


def command(cache: Path | str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "GPUCTI_BACKEND"}
    environment |= {"NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(PACKAGE.parent)} | variables
    call = [sys.executable, "-m", "gpucti", *arguments]
    return subprocess.run(call, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.slow
def test_the_command_goes_on(tmp_path: Path) -> None:
    """Oracle: the pixels of an undisturbed run; exit code 0 and one line of warning, once where it can be mended."""
    raw, cache = stis_file(tmp_path / "o1_raw.fits"), tmp_path / "cache"
    expected = None

    def corrected(where: Path | str, warned: int, **variables: str) -> None:
        nonlocal expected
        done = command(where, "cte", "--device", "auto", "--overwrite", str(raw), **variables)
        assert done.returncode == 0, done.stderr
        assert len(done.stderr.splitlines()) == warned == done.stderr.count("NUMBA_CACHE_DIR"), done.stderr
        pixels = fits.getdata(next(tmp_path.glob("*_cte.fits")), 1)
        expected = pixels if expected is None else expected
        np.testing.assert_array_equal(pixels, expected)

    corrected(cache, 0)
    kept = sorted(path for path in cache.rglob("*") if path.is_file())
    assert {path.suffix for path in kept} == {".nbi", ".nbc"}
    for path in kept[::2] + [path for path in kept[1::2] if path.suffix == ".nbc"]:
        half(path)
    corrected(cache, 1)
    corrected(cache, 0)
    if Path("/proc/self").exists():
        corrected("/proc/self", 1)  # nobody can write there, not even root
    corrected("", 1, HOME="", XDG_CACHE_HOME="")
