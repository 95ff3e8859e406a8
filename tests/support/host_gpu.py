"""A stand-in for the GPU: the kernels' own text, compiled by a C++ compiler, on arrays in main memory."""

import contextlib
import ctypes
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from gpucti.backends._cuda_device import compiler_options, in_order, parameters, source

LETTERS = {"float64": "d", "int32": "i", "int64": "l"}
POINTERS = {"float64": "D", "int32": "I", "int16": "S"}


class HostGpu:
    """Stands in for `gpucti.backends._cuda_device.Gpu`; NumPy is its array library, main memory its device memory."""

    name = "host"
    xp = np

    def __init__(self, libraries, multiprocessors=16):
        self.libraries = libraries
        self.multiprocessors = multiprocessors
        self.launched = []

    def describe(self):
        return "the host"

    def active(self):
        return contextlib.nullcontext()

    def free_bytes(self):
        return 2**30

    def asnumpy(self, array):
        return array

    def launch(self, file, kernel, geometry, /, **arguments):
        letters, values = "", []
        for argument in in_order(file, kernel, arguments):
            if isinstance(argument, np.ndarray):
                assert argument.flags.c_contiguous
                letters += POINTERS[argument.dtype.name]
                values.append(ctypes.c_void_p(argument.ctypes.data))
            else:
                letters += LETTERS[argument.dtype.name]
                values.append(np.ctypeslib.as_ctypes(np.array(argument)))
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        run = getattr(self.libraries[file], f"launch_{kernel}")
        run.restype = ctypes.c_char_p
        wrong = run(*geometry, letters.encode(), pointers)
        assert wrong is None, f"{kernel}({letters}): {wrong.decode()}"
        self.launched.append(kernel)


def kernel_libraries(folder):
    """Compile every kernel file in `folder`; return them as loaded shared libraries, by name."""
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        if os.environ.get("GPUCTI_REQUIRE_CXX") == "1":
            pytest.fail("no C++ compiler (c++, g++, clang++) on the PATH, and GPUCTI_REQUIRE_CXX=1")
        pytest.skip("no C++ compiler (c++, g++, clang++) on the PATH")
    # Nothing fused, so that every machine gives the same numbers; the tolerance covers what a GPU may fuse.
    options = ["-std=c++17", "-O2", "-ffp-contract=off", "-shared", "-fPIC", f"-I{Path(__file__).parent}"]
    options += [option for option in compiler_options() if option.startswith("-D")]
    loaded = {}
    for file in ("restore", "readout", "noise"):
        text = folder / f"{file}.cpp"
        exports = "".join(f"EXPORT({kernel})\n" for kernel in parameters(file))
        text.write_text('#include "host_cuda.h"\n' + source(file) + exports)
        library = folder / f"{file}.so"
        done = subprocess.run([compiler, *options, text, "-o", library], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        loaded[file] = ctypes.CDLL(str(library))
    return loaded
