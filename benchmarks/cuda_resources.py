"""Print what the CUDA kernels take of a multiprocessor: registers, stack frame, spills. Needs no GPU.

    python benchmarks/cuda_resources.py [--nvcc] [--output FILE]

The compiler is NVRTC through CuPy, as at run time, or else nvcc. The stack frame is the ring of segments, indexed at
run time and therefore in local memory; a spill would be a register that found no room.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from common import machine, parser, publish, table

from gpucti.backends._cuda_device import COMPILER_OPTIONS, compiler_options, source

FILES = ("readout", "restore", "noise")
TARGETS = ("sm_80", "sm_90", "sm_100")
KERNEL = re.compile(
    r"Compiling entry function '(\w+)'.*?"
    r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads.*?"
    r"Used (\d+) registers",
    re.DOTALL,
)


#: Name and version of a compiler, and what gives its log for a file and a target.
Compiler = tuple[str, Callable[[str, str], str]]


def nvrtc() -> Compiler | None:
    """Return NVRTC as CuPy finds it; None without CuPy."""
    try:
        from cupy.cuda import nvrtc as library

        version = "NVRTC {}.{}".format(*library.getVersion())
    except (ImportError, OSError, RuntimeError):
        return None

    def log(file: str, target: str) -> str:
        program = library.createProgram(source(file), f"{file}.cu", (), ())
        library.compileProgram(program, (*compiler_options(), f"--gpu-architecture={target}", "--ptxas-options=-v"))
        return library.getProgramLog(program)

    return version, log


def nvcc() -> Compiler:
    """Return nvcc, which must be on the PATH."""
    version = re.search(r"release [\d.]+, V([\d.]+)", subprocess.check_output(["nvcc", "--version"], text=True))

    def log(file: str, target: str) -> str:
        with tempfile.TemporaryDirectory() as folder:
            text = Path(folder) / f"{file}.cu"
            text.write_text(source(file))
            options = [option.replace(",", r"\,") for option in compiler_options()]  # a comma parts values of nvcc's
            command = ["nvcc", "-cubin", f"-arch={target}", "-Xptxas", "-v", *options, "-o", "/dev/null", str(text)]
            return subprocess.run(command, capture_output=True, text=True, check=True).stderr

    return f"nvcc {version[1]}", log


def main() -> None:
    """Compile every file for every target and print one line per kernel."""
    options = parser(__doc__)
    options.add_argument("--nvcc", action="store_true", help="take nvcc although CuPy is there")
    arguments = options.parse_args()
    version, log = (None if arguments.nvcc else nvrtc()) or nvcc()
    rows = [
        [kernel, target, registers, stack, stores, loads]
        for file in FILES
        for target in TARGETS
        for kernel, stack, stores, loads, registers in sorted(KERNEL.findall(log(file, target)))
    ]
    head = ["kernel", "target", "registers", "stack frame, bytes", "spill stores, bytes", "spill loads, bytes"]
    publish(
        "Registers, stack frames and spills of the kernels",
        [f"{machine()}; {version}, options `{' '.join(COMPILER_OPTIONS)}`.", "", *table(head, rows)],
        arguments.output,
    )


if __name__ == "__main__":
    main()
