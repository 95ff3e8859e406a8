"""Print what the CUDA kernels take of a multiprocessor: registers, stack frame, spills. Needs no GPU.

The compiler is NVRTC through CuPy, as at run time, or else nvcc: ``python benchmarks/cuda_resources.py [nvcc]``.
The stack frame is the ring of segments, indexed at run time and therefore in local memory; a spill would be a
register that found no room.
"""

import datetime
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from gpucti.backends._cuda_device import compiler_options, source

FILES = ("readout", "restore", "noise")
TARGETS = ("sm_80", "sm_90", "sm_100")
KERNEL = re.compile(
    r"Compiling entry function '(\w+)'.*?"
    r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads.*?"
    r"Used (\d+) registers",
    re.DOTALL,
)


def nvrtc():
    """Return the version of NVRTC and a function (file, target) -> its log; None without CuPy."""
    try:
        from cupy.cuda import nvrtc as library

        version = "NVRTC {}.{}".format(*library.getVersion())
    except (ImportError, OSError, RuntimeError):
        return None

    def log(file, target):
        program = library.createProgram(source(file), f"{file}.cu", (), ())
        library.compileProgram(program, (*compiler_options(), f"--gpu-architecture={target}", "--ptxas-options=-v"))
        return library.getProgramLog(program)

    return version, log


def nvcc():
    """Return the same for nvcc, which must be on the PATH."""
    version = re.search(r"release [\d.]+, V([\d.]+)", subprocess.check_output(["nvcc", "--version"], text=True))

    def log(file, target):
        with tempfile.TemporaryDirectory() as folder:
            text = Path(folder) / f"{file}.cu"
            text.write_text(source(file))
            command = [
                "nvcc",
                "-cubin",
                f"-arch={target}",
                "-Xptxas",
                "-v",
                *(option.replace(",", r"\,") for option in compiler_options()),  # else a list of options to nvcc
                "-o",
                "/dev/null",
                text,
            ]
            return subprocess.run(command, capture_output=True, text=True, check=True).stderr

    return f"nvcc {version[1]}", log


def main():
    """Compile every file for every target and print one line per kernel."""
    compiler = None if "nvcc" in sys.argv[1:] else nvrtc()
    version, log = compiler or nvcc()
    print(f"{version}, options `{' '.join(compiler_options()[:2])}`, {datetime.date.today().isoformat()}\n")
    print("| kernel | target | registers | stack frame, bytes | spill stores, bytes | spill loads, bytes |")
    print("|---|---|---:|---:|---:|---:|")
    for file in FILES:
        for target in TARGETS:
            for kernel, stack, stores, loads, registers in sorted(KERNEL.findall(log(file, target))):
                print(f"| {kernel} | {target} | {registers} | {stack} | {stores} | {loads} |")


if __name__ == "__main__":
    main()
