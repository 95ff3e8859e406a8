"""One CUDA device through CuPy: the kernels' text, their compilation, and launches by the names of their parameters."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

from gpucti.backends._optional import is_absent, needed
from gpucti.backends.base import (
    MAX_NOISE_STEPS,
    MIN_NOISE_STEPS,
    NOISE_BOX_LIMIT,
    NOISE_RMS_ENOUGH,
    NOISE_STEP,
    REPAIR_TAPER,
    Array,
)
from gpucti.errors import BackendUnavailable, GpuctiError, in_brief
from gpucti.model.traps import AGES, REFERENCE_ROW, TAIL

#: Lanes of a warp.
WARP = 32
#: Bytes of a segment in kernels/trap.cuh; each thread keeps `AGES` of them in local memory.
SEGMENT_BYTES = 24
#: Constants that the kernels are compiled with.
DEFINITIONS: dict[str, float | tuple[float, ...]] = {
    "TAIL": TAIL,
    "AGES": AGES,
    "REFERENCE_ROW": REFERENCE_ROW,
    "WARP": WARP,
    "SEGMENT_BYTES": SEGMENT_BYTES,
    "REPAIR_TAPER": REPAIR_TAPER,
    "MIN_NOISE_STEPS": MIN_NOISE_STEPS,
    "MAX_NOISE_STEPS": MAX_NOISE_STEPS,
    "NOISE_STEP": NOISE_STEP,
    "NOISE_RMS_ENOUGH": NOISE_RMS_ENOUGH,
    "NOISE_BOX_LIMIT": NOISE_BOX_LIMIT,
}
#: Fused multiply-add is the compiler's default and stays on: results agree to 1e-6 electrons, not in every bit.
COMPILER_OPTIONS = ("--std=c++17", "--fmad=true")

#: How a number is handed to a parameter of each C type; a bare Python number would be passed as 64 bits.
SCALARS: dict[str, Callable[[Any], Any]] = {"int": np.int32, "long long": np.int64, "double": np.float64}


class Gpu:
    """One CUDA device: all that `CudaBackend` asks of CuPy. Tests put a host emulation in its place.

    Raises
    ------
    BackendUnavailable
        CuPy or NVRTC is not installed, no GPU answers, or there is no such device.
    """

    def __init__(self, device: int = 0) -> None:
        cupy = _cupy()
        installed = f"backend 'cuda': CuPy {cupy.__version__} is installed"
        # not broken: the same environment serves machines with a GPU and without
        with needed(f"{installed} but no GPU answers", "nvidia-smi should list one", broken=False):
            count = int(cupy.cuda.runtime.getDeviceCount())
        if not 0 <= device < count:
            known = f"0 to {count - 1}" if count else "none"
            raise BackendUnavailable(f"backend 'cuda:{device}': no such device; devices here: {known}")
        with needed(f"{installed} but its compiler NVRTC cannot be loaded", "pip install 'gpucti[cuda12]'"):
            cupy.cuda.nvrtc.getVersion()

        self.xp: Any = cupy
        self.name = f"cuda:{device}" if device else "cuda"
        with needed(f"{installed} but GPU {device} cannot be used", "nvidia-smi shows its state"):
            self._device = cupy.cuda.Device(device)
            self.multiprocessors = int(self._device.attributes["MultiProcessorCount"])
        self._modules: dict[str, Any] = {}

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Make this the current device; what CUDA raises meanwhile, memory that is not there included, names it."""
        try:
            with self._device:
                yield
        except GpuctiError:
            raise
        except (RuntimeError, MemoryError, OSError) as error:  # CuPy's errors; CUPY_CACHE_DIR that cannot be written
            raise BackendUnavailable(
                f"backend {self.name!r} failed ({in_brief(error)})",
                remedy="free the GPU (nvidia-smi) and run again, or compute elsewhere: --device cpu",
                broken=True,
            ) from error

    def describe(self) -> str:
        """Return the device's name, its size and the versions in use, for people."""
        properties = self.xp.cuda.runtime.getDeviceProperties(self._device.id)
        runtime = self.xp.cuda.runtime.runtimeGetVersion()
        return (
            f"{properties['name'].decode()}, {properties['totalGlobalMem'] / 2**30:.0f} GiB, "
            f"CuPy {self.xp.__version__}, CUDA {runtime // 1000}.{runtime % 1000 // 10}"
        )

    def free_bytes(self) -> int:
        """Return what can still be allocated: free memory and the pool's unused blocks."""
        free, _ = self.xp.cuda.runtime.memGetInfo()
        return int(free) + int(self.xp.get_default_memory_pool().free_bytes())

    def asnumpy(self, array: Array) -> npt.NDArray[Any]:
        """Return `array` in host memory."""
        return np.asarray(self.xp.asnumpy(array))

    def launch(self, file: str, kernel: str, geometry: tuple[int, int], /, **arguments: Any) -> None:
        """Run `kernel` of ``kernels/<file>.cu`` on the current stream; the file is compiled at its first use.

        Parameters
        ----------
        geometry : (int, int)
            Blocks, and threads of each.
        arguments
            Arrays of this device and numbers, by the names that the kernel gives its parameters.
        """
        if file not in self._modules:
            self._modules[file] = self._compile(file)
        grid, block = geometry
        self._modules[file].get_function(kernel)((grid,), (block,), in_order(file, kernel, arguments))

    def _compile(self, file: str) -> Any:
        code = source(file)
        module = self.xp.RawModule(code=code, options=compiler_options(), backend="nvrtc")
        try:
            module.compile()
        except self.xp.cuda.compiler.CompileException as error:
            raise BackendUnavailable(f"kernels/{file}.cu does not compile: {error}\n{numbered(code)}") from error
        return module


def _cupy() -> Any:
    """Return CuPy. What is installed may still be an empty folder, or built for another NumPy, and raise anything."""
    remedy = "pip install 'gpucti[cuda12]', or conda env create -f environment-cuda.yml"
    try:
        import cupy
    except Exception as error:
        if is_absent("cupy", error):
            raise BackendUnavailable(f"backend 'cuda': CuPy cannot be imported ({error})", remedy=remedy) from error
        found = f"backend 'cuda': CuPy is installed but cannot be imported ({in_brief(error)})"
        remedy = "pip install --upgrade 'gpucti[cuda12]', or remove CuPy: pip uninstall cupy-cuda12x"
        raise BackendUnavailable(found, remedy=remedy, broken=True) from error
    with needed("backend 'cuda': CuPy is installed but is no working package", remedy):
        cupy.__version__, cupy.cuda.runtime, cupy.cuda.nvrtc  # noqa: B018 -- they are there
    return cupy


def source(file: str) -> str:
    """Return the text of ``kernels/<file>.cu`` behind that of ``trap.cuh``.

    Pasted, not included: CuPy's cache of compiled kernels is keyed by this text and does not look into headers.
    """
    folder = files("gpucti.kernels")
    return "\n".join(folder.joinpath(name).read_text(encoding="utf-8") for name in ("trap.cuh", f"{file}.cu"))


def compiler_options() -> tuple[str, ...]:
    """Return the options that every kernel file is compiled with."""
    return (*COMPILER_OPTIONS, *(f"-D{name}={literal(value)}" for name, value in DEFINITIONS.items()))


def literal(value: float | tuple[float, ...]) -> str:
    """Return a constant as C++ has it: several numbers as what stands between the braces of an array."""
    return ",".join(map(repr, value)) if isinstance(value, tuple) else repr(value)


@cache
def parameters(file: str) -> dict[str, dict[str, str]]:
    """Return the C type of each parameter of each kernel of a file, ``{kernel: {parameter: type}}``, in their order."""
    text = re.sub(r"//[^\n]*|/\*.*?\*/|__restrict__", "", source(file), flags=re.DOTALL)
    found: dict[str, dict[str, str]] = {}
    for kernel, declared in re.findall(r'extern "C" __global__ void (\w+)\(([^)]*)\)', text):
        pairs = [parameter.strip().rpartition(" ") for parameter in declared.split(",")]
        found[kernel] = {name: " ".join(c_type.split()) for c_type, _, name in pairs}
    return found


def in_order(file: str, kernel: str, arguments: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return arguments in the order, and numbers in the width, of the kernel's parameters.

    Raises
    ------
    TypeError
        Their names are not those of the parameters; the driver would take any number of arguments for the right one.
    """
    expected = parameters(file)[kernel]
    if arguments.keys() != expected.keys():
        missing = ", ".join(expected.keys() - arguments.keys()) or "none"
        unknown = ", ".join(arguments.keys() - expected.keys()) or "none"
        raise TypeError(f"{kernel} of kernels/{file}.cu: missing arguments: {missing}; unknown arguments: {unknown}")
    return tuple(SCALARS[t](arguments[name]) if t in SCALARS else arguments[name] for name, t in expected.items())


def numbered(code: str) -> str:
    """Return `code` with the line numbers that the compiler's messages speak of."""
    return "\n".join(f"{number:4d}  {line}" for number, line in enumerate(code.splitlines(), start=1))
