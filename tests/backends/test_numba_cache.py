"""Where the compiled code of the Numba backend is kept."""

from __future__ import annotations

import os
import subprocess
import sys

from gpucti.errors import BackendUnavailable

CODE = """
import numba.core.caching as caching
caching.CacheImpl._locator_classes = []  # as if no folder could be written to
from gpucti.backends import get_backend
try:
    get_backend("numba")
except Exception as error:
    print(type(error).__name__, error)
print(get_backend("cpu").name)
"""


def test_nowhere_to_keep_compiled_code() -> None:
    """Oracle: a named backend that cannot run says why and what to do; ``cpu`` takes the next one."""
    environment = {key: value for key, value in os.environ.items() if key != "GPUCTI_BACKEND"}
    run = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True, env=environment)
    assert BackendUnavailable.__name__ in run.stdout
    assert "set NUMBA_CACHE_DIR" in run.stdout
    assert run.stdout.splitlines()[-1] == "numpy"
