"""Same names, same arguments, every twin."""

from __future__ import annotations

import inspect
import os
import re
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

import gpucti
from gpucti.backends import available, get_backend
from gpucti.backends._cuda import CudaBackend
from gpucti.backends._numba import NumbaBackend
from gpucti.backends._numpy import NumpyBackend
from gpucti.backends.base import Backend
from gpucti.errors import BackendUnavailable, InputError
from gpucti.model.pctetab import Pctetab

ROOT = Path(__file__).parents[2]
TWINS = [NumpyBackend, NumbaBackend, CudaBackend]
METHODS = [name for name, member in vars(Backend).items() if inspect.isfunction(member) and not name.startswith("_")]


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize("method", METHODS)
def test_signatures_are_the_protocols(twin: type, method: str) -> None:
    """Oracle: the Protocol."""
    ours, protocol = (inspect.signature(getattr(one, method)).parameters.values() for one in (twin, Backend))
    assert [(p.name, p.kind, p.default) for p in ours] == [(p.name, p.kind, p.default) for p in protocol]


@pytest.mark.parametrize("twin", TWINS)
def test_nothing_public_besides_the_protocol(twin: type) -> None:
    """Oracle: the Protocol."""
    public = {name for name in dir(twin) if not name.startswith("_")}
    assert public <= set(METHODS) | {"name", "xp"}


@pytest.mark.parametrize("files", ["backends/_numpy.py", "backends/_numba_kernels.py", "kernels/*.cu*"])
def test_names_are_those_of_the_glossary(files: str) -> None:
    """Oracle: the table "Names in the code" in docs/algorithm.md."""
    package = Path(gpucti.__file__).parent
    text = "".join(path.read_text(encoding="utf-8") for path in package.glob(files))
    table = (ROOT / "docs" / "algorithm.md").read_text(encoding="utf-8").partition("### Names in the code")[2]
    names = [name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)]
    assert len(names) > 15
    assert [name for name in names if not re.search(rf"\b{name}\b", text)] == []


@pytest.mark.parametrize(("name", "expected"), [("numpy", "numpy"), ("numba", "numba"), ("cpu", "numba")])
def test_named_backends(name: str, expected: str) -> None:
    """Oracle: the names in docs/backends.md."""
    assert get_backend(name).name == expected


def test_variable_names_the_default() -> None:
    """Oracle: docs/backends.md: GPUCTI_BACKEND holds where no name is given, and only there."""
    with mock.patch.dict(os.environ, {"GPUCTI_BACKEND": "numpy"}):
        assert get_backend().name == "numpy"
        assert get_backend("numba").name == "numba"


def test_auto_takes_what_runs() -> None:
    """Oracle: the order cuda, numba, numpy."""
    names = [row.name for row in available() if row.ok]
    assert get_backend("auto").name == names[0]
    assert "numpy" in names
    assert all(row.detail for row in available())


@pytest.mark.parametrize("name", ["", "gpu", "cuda:x", "-1", "1.5", "cuda:"])
def test_unknown_names_are_refused(name: str) -> None:
    """Oracle: the message."""
    with pytest.raises(InputError, match="unknown backend .*; expected auto, cpu"):
        get_backend(name)


def test_missing_device_is_an_error_with_the_reason() -> None:
    """Oracle: a device number that no machine has."""
    with pytest.raises(BackendUnavailable, match="backend 'cuda"):
        get_backend("cuda:4096")


def test_numba_that_cannot_be_imported_is_said() -> None:
    """Oracle: an import made to fail."""
    with (
        mock.patch.dict("sys.modules", {"numba": None}),
        pytest.raises(BackendUnavailable, match="Numba cannot be imported"),
    ):
        get_backend("numba")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"signal": lambda xp: xp.zeros((4, 4))}, "expected float64"),
        ({"signal": lambda xp: xp.zeros((1, 4, 4), np.float32)}, "expected float64"),
        ({"signal": lambda xp: xp.zeros((1, 4, 8))[:, :, ::2]}, "not C-contiguous"),
        ({"signal": lambda xp: [[[1.0]]]}, "expected float64"),
        ({"cte_frac": np.ones(0)}, r"cte_frac is \(0,\), col_scale \(4,\); expected \(1,\), \(4,\)"),
        ({"col_scale": np.ones(3)}, r"col_scale \(3,\)"),
        ({"shft_nit": 5}, "traps are for shft_nit 4, options say 5"),
    ],
)
def test_misuse_is_refused_by_every_backend(
    backend: Backend, table: Pctetab, change: dict[str, Any], words: str
) -> None:
    """Oracle: the message; foreign memory is never read."""
    good = {"signal": lambda xp: xp.zeros((1, 4, 4)), "cte_frac": np.ones(1), "col_scale": np.ones(4)}
    given: dict[str, Any] = good | change
    given["signal"] = given["signal"](backend.xp)
    options = table.options(shft_nit=given.pop("shft_nit", None))
    with pytest.raises(InputError, match=words):
        backend.remove_cti(**given, traps=table.traps(57000.0, 4), options=options)
    if "shft_nit" not in change:
        with pytest.raises(InputError, match=words):
            backend.add_cti(**given, traps=table.traps(57000.0, 4))


def test_empty_variable_is_no_choice_and_a_wrong_one_is_named() -> None:
    """Oracle: docs/backends.md, and the message."""
    with mock.patch.dict(os.environ, {"GPUCTI_BACKEND": ""}):
        assert get_backend().name == get_backend("auto").name
    with (
        mock.patch.dict(os.environ, {"GPUCTI_BACKEND": "gpu"}),
        pytest.raises(InputError, match="environment variable GPUCTI_BACKEND: unknown backend 'gpu'"),
    ):
        get_backend()
