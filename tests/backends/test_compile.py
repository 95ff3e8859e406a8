"""Every kernel file compiles for every target: with NVRTC, the compiler that CuPy uses, which needs no GPU."""

import ctypes
import ctypes.util
import importlib.util
import os
import re
import shutil
from pathlib import Path

import pytest

from gpucti.backends._cuda_device import DEFINITIONS, compiler_options, literal, numbered, parameters, source

FILES = ("readout", "restore", "noise")
#: Turing, Ampere, Hopper, Blackwell.
TARGETS = ("sm_75", "sm_80", "sm_90", "sm_100")


def nvrtc_candidates():
    """Where NVRTC may lie: pip wheels, the loader's path, a CUDA toolkit, conda."""
    nvidia = importlib.util.find_spec("nvidia")
    for folder in nvidia.submodule_search_locations if nvidia else ():
        for pattern in ("cuda_nvrtc/lib/libnvrtc.so.*", "cu*/lib/libnvrtc.so.*"):
            yield from sorted(Path(folder).glob(pattern))
    if found := ctypes.util.find_library("nvrtc"):
        yield found
    roots = [os.environ.get(name) for name in ("CUDA_PATH", "CUDA_HOME", "CONDA_PREFIX")]
    if nvcc := shutil.which("nvcc"):
        roots.append(Path(nvcc).resolve().parents[1])
    for root in filter(None, roots):
        for folder in ("lib64", "lib"):
            yield from sorted((Path(root) / folder).glob("libnvrtc.so.*"))


@pytest.fixture(scope="session")
def nvrtc():
    """The NVRTC library; GPUCTI_REQUIRE_NVRTC=1 turns the skip into a failure."""
    for candidate in nvrtc_candidates():
        try:
            return ctypes.CDLL(str(candidate))
        except OSError:
            continue
    reason = "NVRTC not found; pip install nvidia-cuda-nvrtc-cu12"
    if os.environ.get("GPUCTI_REQUIRE_NVRTC") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def build(nvrtc, code, *options):
    """Return (did it compile, the compiler's log)."""
    program = ctypes.c_void_p()
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), code.encode(), b"kernel.cu", 0, None, None) == 0
    encoded = [option.encode() for option in options]
    status = nvrtc.nvrtcCompileProgram(program, len(encoded), (ctypes.c_char_p * len(encoded))(*encoded))
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return status == 0, log.value.decode()


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("file", FILES)
def test_every_kernel_compiles_without_spilling_registers(nvrtc, file, target):
    code = source(file)
    compiled, log = build(nvrtc, code, *compiler_options(), f"--gpu-architecture={target}", "--ptxas-options=-v")
    assert compiled, f"{log}\n{numbered(code)}"
    assert "warning" not in log
    spills = [int(number) for number in re.findall(r"(\d+) bytes spill", log)]
    assert len(spills) == 2 * len(parameters(file)), log
    assert set(spills) == {0}, log


@pytest.mark.parametrize("file", FILES)
def test_kernels_compile_with_the_constants_that_they_bring(nvrtc, file):
    compiled, log = build(nvrtc, source(file), "--std=c++17", "--gpu-architecture=sm_80")
    assert compiled, log


#: A constant that a kernel file brings for the case that it is compiled alone.
BROUGHT = re.compile(r"#ifndef (\w+)\n#define \1 (.*?) *(?://.*)?\n#endif")


@pytest.mark.parametrize("file", FILES)
def test_constants_that_the_kernels_bring_are_those_of_the_package(file):
    brought = BROUGHT.findall(source(file))
    assert brought
    assert all(literal(DEFINITIONS[name]) == value.replace(" ", "") for name, value in brought)


def test_constants_reach_the_kernels_as_definitions_alone():
    """Oracle: the loader's definitions: every one is used, and none stands in a kernel as a literal."""
    code = "".join(re.sub(r"//.*", "", BROUGHT.sub("", re.sub(r"/\*[\s\S]*?\*/", "", source(file)))) for file in FILES)
    words = set(re.findall(r"[A-Za-z_]\w*", code))
    assert DEFINITIONS.keys() <= words
    numbers = {float(number) for number in re.findall(r"(?<![\w.])\d+(?:\.\d*)?(?![\w.])", code)}
    constants = {float(number) for value in DEFINITIONS.values() for number in literal(value).split(",")}
    assert {1.0, 2.0, 9.0} <= numbers  # the search finds whole numbers and others
    assert not numbers & constants


def test_definitions_reach_the_compiler_whole(nvrtc):
    """Oracle: the package's constants; a compiler driver may take a comma for the end of a definition."""
    checks = ""
    for name, value in DEFINITIONS.items():
        numbers = value if isinstance(value, tuple) else (value,)
        checks += f"constexpr double of_{name}[] = {{{name}}};\n"
        checks += f'static_assert(sizeof(of_{name}) == {len(numbers)} * sizeof(double), "");\n'
        checks += "".join(f'static_assert(of_{name}[{i}] == {number!r}, "");\n' for i, number in enumerate(numbers))
    compiled, log = build(nvrtc, checks, *compiler_options())
    assert compiled, log
    assert not build(nvrtc, checks.replace("0.6", "0.7"), *compiler_options())[0]  # the checks check


def test_a_broken_kernel_is_reported_with_its_line(nvrtc):
    compiled, log = build(nvrtc, source("noise").replace("double value = noise[pixel];", "double value = ;"))
    assert not compiled
    assert "kernel.cu(" in log
