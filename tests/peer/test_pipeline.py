"""The function of stis_cti's name, against stis_cti's own."""

from __future__ import annotations

import inspect
import warnings

import pytest

import gpucti

pytestmark = pytest.mark.peer


def test_signature() -> None:
    """Oracle: stis_cti's function: same names, order and defaults."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of upstream's imports
        upstream = pytest.importorskip("stis_cti.stis_cti", reason="stis_cti is not installed (extra 'peer')")
    theirs, ours = (inspect.signature(function).parameters for function in (upstream.stis_cti, gpucti.stis_cti))
    assert [(one.name, one.kind, one.default) for one in ours.values()] == [
        (one.name, one.kind, one.default) for one in theirs.values()
    ]
