"""What a test needs of the machine, and what becomes of it where that is missing."""

from __future__ import annotations

import os

import pytest


def require(variable: str, reason: str) -> None:
    """Skip with `reason`, or fail where the environment demands that the test runs."""
    if os.environ.get(variable) == "1":
        pytest.fail(f"{variable}=1, but {reason}")
    pytest.skip(reason)
