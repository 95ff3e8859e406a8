"""CuPy and Numba may be absent, or fail in any way: at import, at the first look, at the first use."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import gpucti
from gpucti.backends import Available, available, get_backend
from gpucti.backends._cuda import CudaBackend
from gpucti.backends._cuda_device import Gpu
from gpucti.backends._numpy import NumpyBackend
from gpucti.backends._optional import needed, prove
from gpucti.errors import QUOTED, BackendUnavailable, InputError, in_brief

PACKAGE = Path(gpucti.__file__).parent.parent
#: What looks at all backends, and takes the one that ``auto`` takes, in one process; then by name, with all text.
LOOK = """
import logging, sys, warnings
logging.basicConfig(format="%(levelname)s %(message)s", level=logging.INFO, stream=sys.stdout)
warnings.showwarning = lambda message, *rest: print("warning", message)
from gpucti.backends import available, get_backend
for row in available():
    print(*row, sep="|")
print("auto", get_backend("auto").name)
"""
DRIVER = "CUDA driver version is insufficient for CUDA runtime version"
#: As much of CuPy as is looked at before a device is used.
CUPY = """
import contextlib, types, numpy as np
__version__ = "13.0.0"
ndarray = np.ndarray
asarray, ascontiguousarray, empty_like = np.asarray, np.ascontiguousarray, np.empty_like
class Device(contextlib.nullcontext):
    attributes = {"MultiProcessorCount": 80}
    def __init__(self, number):
        super().__init__()
        self.id = number
runtime = types.SimpleNamespace(
    getDeviceCount=lambda: 1, runtimeGetVersion=lambda: 12040,
    getDeviceProperties=lambda n: {"name": b"Fake", "totalGlobalMem": 2**30},
)
cuda = types.SimpleNamespace(runtime=runtime, Device=Device, nvrtc=types.SimpleNamespace(getVersion=lambda: (12, 4)))
"""


class Broken(NamedTuple):
    """What `available` says where a package is broken, and the line of the log in which ``auto`` says what it took."""

    rows: dict[str, Available]
    line: logging.LogRecord


@pytest.fixture
def look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[Callable[[str, str], Broken]]:
    """Return what puts a broken package in front of all others, and looks at the backends."""

    def look(package: str, text: str) -> Broken:
        (tmp_path / package).mkdir()
        if text:
            (tmp_path / package / "__init__.py").write_text(text)
        monkeypatch.delitem(sys.modules, package, raising=False)
        monkeypatch.syspath_prepend(tmp_path)
        rows = {row.name: row for row in available()}
        with caplog.at_level(logging.INFO, logger="gpucti"):
            taken = get_backend("auto").name
        (line,) = (record for record in caplog.records if record.name.startswith("gpucti"))
        assert line.getMessage().startswith(f"backend {taken}; ")
        return Broken(rows, line)

    yield look
    sys.modules.pop("cupy", None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import numpy; numpy.core_that_was.numerictypes", "is installed but cannot be imported (AttributeError: "),
        ("raise SystemError('initialization of _util raised')", "SystemError: initialization of _util raised"),
        ("raise OSError('libcuda.so.1: cannot open shared object file')", "OSError: libcuda.so.1: cannot open"),
        ("import libcudart", "No module named 'libcudart'"),
        ("", "CuPy is installed but is no working package (AttributeError: "),
        ("__version__ = '13.0.0'", "CuPy is installed but is no working package (AttributeError: "),
        (f"{CUPY}runtime.getDeviceCount = lambda: 1 / 0", "no GPU answers (ZeroDivisionError: division by zero)"),
        (f"{CUPY}Device.__enter__ = lambda self: exec('raise RuntimeError(\"{DRIVER}\")')", f"RuntimeError: {DRIVER}"),
        (f"{CUPY}empty_like = lambda a: exec('raise MemoryError(\"of the device\")')", "MemoryError: of the device"),
        (f"{CUPY}runtime.runtimeGetVersion = lambda: 1 / 0", "installed but cannot compute (ZeroDivisionError: "),
        (CUPY, "backend 'cuda': what it needs is installed but cannot compute (AttributeError: "),
    ],
)
def test_a_broken_cupy(text: str, words: str, look: Callable[[str, str], Broken]) -> None:
    """Oracle: the reason is in the row and, with a remedy, in a line of the log; Numba goes on."""
    rows, line = look("cupy", text)
    cuda = rows["cuda"]
    assert not cuda.ok and words in cuda.detail and cuda.remedy
    assert line.levelname == ("INFO" if "no GPU" in words else "WARNING")
    assert line.getMessage() == f"backend numba; {cuda.detail}; {cuda.remedy}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("raise ImportError('Numba needs NumPy 2.3 or less. Got NumPy 2.4.')", "Numba needs NumPy 2.3 or less"),
        ("raise SystemError('initialization of _internal failed')", "SystemError: initialization"),
        ("import coverage_that_was", "No module named 'coverage_that_was'"),
        ("import numpy; numpy.trapz_that_was", "(AttributeError: "),
        ("__version__ = '0.99'", "the Numba that is installed cannot take the kernels (AttributeError: "),
        ("config = 1", "the Numba that is installed cannot take the kernels (AttributeError: "),
    ],
)
def test_a_broken_numba(text: str, words: str, look: Callable[[str, str], Broken]) -> None:
    """Oracle: the reason is in the row and in a warning, NumPy goes on; it is not said to be missing."""
    rows, line = look("numba", text)
    assert not rows["numba"].ok and words in rows["numba"].detail
    assert rows["numba"].remedy == "pip install --upgrade numba numpy"
    assert line.levelname == "WARNING" and words in line.getMessage()
    assert line.getMessage().startswith("backend numpy; ")


def run(folder: Path, **variables: str) -> tuple[dict[str, str], list[str]]:
    """Return the rows of all backends, and all other lines, of a process with other variables or packages."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GPUCTI_", "NUMBA_"))}
    environment |= {"PYTHONPATH": f"{folder}{os.pathsep}{PACKAGE}"} | variables
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0 and "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    return {line.split("|")[0]: line for line in lines if "|" in line}, [line for line in lines if "|" not in line]


@pytest.mark.parametrize(
    ("name", "value", "backend"),
    [
        ("NUMBA_NUM_THREADS", "0", "numpy"),
        ("NUMBA_NUM_THREADS", "abc", "numba"),
        ("NUMBA_DISABLE_JIT", "1", "numpy"),
        ("NUMBA_THREADING_LAYER", "rubbish", "numba"),
        *(
            pytest.param(name, value, backend, marks=pytest.mark.slow)
            for name, value, backend in (
                ("NUMBA_NUM_THREADS", "-1", "numpy"),
                ("NUMBA_CACHE_LOCATOR_CLASSES", "rubbish", "numba"),
                ("NUMBA_OPT", "fast", "numba"),
                ("OMP_NUM_THREADS", "abc", "numba"),
            )
        ),
    ],
)
def test_variables_of_numba(name: str, value: str, backend: str, tmp_path: Path) -> None:
    """Oracle: the job goes on; what costs speed, or is not taken as it is meant, is said with the variable's name."""
    rows, lines = run(tmp_path, **{name: value})
    assert lines[-1] == f"auto {backend}"
    assert ("|True|" in rows["numba"]) == (backend == "numba")
    if name not in ("NUMBA_THREADING_LAYER", "OMP_NUM_THREADS"):  # the kernels have threads of their own
        assert any(name in line for line in lines if line.startswith(("WARNING", "warning")))


def test_neither_is_installed(tmp_path: Path) -> None:
    """Oracle: NumPy does all; the warning says what to install."""
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules |= {'cupy': None, 'numba': None}")
    rows, lines = run(tmp_path)
    assert ["|True|" in rows[name] for name in ("cuda", "numba", "numpy")] == [False, False, True]
    (line,) = (line for line in lines if line.startswith("WARNING"))
    assert "backend numpy; " in line and line.endswith("; pip install numba") and "gpucti[cuda12]" in line


class Wrong(NumpyBackend):
    """A backend that computes, but not what it should."""

    def split_noise(self, stack, options):
        return stack + 1.0, np.zeros_like(stack)


def test_wrong_numbers_are_no_backend() -> None:
    """Oracle: signal and noise add up to the image."""
    with pytest.raises(BackendUnavailable, match="cannot compute .*wrong numbers"):
        prove(Wrong())
    assert prove(NumpyBackend()).name == "numpy"


def test_the_kernels_of_cuda_are_proved(cuda: CudaBackend) -> None:
    """Oracle: on the host, the launches of a noise split and nothing more."""
    assert prove(cuda) is cuda
    assert cuda._gpu.launched == ["split_noise", "choose_steps", "split_noise", "limit_noise"]


def test_what_is_said_of_a_foreign_error() -> None:
    """Oracle: one line, not too long, with the kind of error; errors of ours go through."""
    assert in_brief(KeyError()) == "KeyError"
    assert in_brief(ImportError("no such\n  library")) == "no such library"
    assert in_brief(OSError("x" * 1000)) == f"OSError: {'x' * QUOTED} ..."
    with (
        pytest.raises(BackendUnavailable, match=r"^found \(KeyError: 'x'\); remedy$") as caught,
        needed("found", "remedy"),
    ):
        raise KeyError("x")
    assert caught.value.broken and caught.value.remedy == "remedy"
    with pytest.raises(InputError, match="^mine$"), needed("found", "remedy"):
        raise InputError("mine")


def test_a_failure_in_the_middle_names_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: CUDA's words, with another way to go on; errors of ours go through as they are."""
    module = types.ModuleType("cupy")
    exec(CUPY, module.__dict__)
    monkeypatch.setitem(sys.modules, "cupy", module)
    gpu = Gpu(0)
    with pytest.raises(BackendUnavailable, match=r"'cuda' failed \(MemoryError: full\); .*--device cpu"), gpu.active():
        raise MemoryError("full")
    with pytest.raises(InputError, match="^mine$"), gpu.active():
        raise InputError("mine")
