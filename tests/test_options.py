"""What a user can choose."""

from __future__ import annotations

from dataclasses import fields
from inspect import signature
from typing import get_type_hints

import pytest

import gpucti
from gpucti.errors import InputError
from gpucti.model.pctetab import Pctetab
from gpucti.options import CorrectionArguments, CorrectionOptions
from gpucti.pipeline.options import RunArguments, RunOptions


def test_none_keeps_the_tables_value(table: Pctetab) -> None:
    """Oracle: the header of a02_stis_pcte.fits."""
    options = table.options(read_noise=None, sim_nit=5)
    assert options == CorrectionOptions(read_noise=5.6, noise_model=1, oversub_thresh=-30.0, sim_nit=5, shft_nit=4)
    assert options.n_passes == 20


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ({"noise_model": 3}, "noise_model is 3; expected one of 0, 1, 2"),
        ({"noise_model": 1.0}, "noise_model is 1.0; expected an integer"),
        ({"sim_nit": 0}, "sim_nit is 0; expected 1 to 100"),
        ({"shft_nit": True}, "shft_nit is True; expected an integer"),
        ({"read_noise": 0.0}, "read_noise is 0.0; expected electrons, above 0"),
        ({"read_noise": "5"}, "read_noise is '5'; expected a finite number"),
        ({"read_noise": float("nan")}, "read_noise is nan; expected a finite number"),
        ({"oversub_thresh": 1.0}, "oversub_thresh is 1.0; expected electrons, 0 or below"),
        ({"n_iterations": 3}, "unknown option 'n_iterations'; expected one of read_noise, noise_model"),
    ],
)
def test_wrong_options_are_refused(table: Pctetab, override: dict[str, object], words: str) -> None:
    """Oracle: the message names option, value and what is allowed."""
    with pytest.raises(InputError, match=words.replace("(", r"\(")):
        table.options(**override)


@pytest.mark.parametrize(
    ("options", "arguments"), [(CorrectionOptions, CorrectionArguments), (RunOptions, RunArguments)]
)
def test_typed_arguments_are_the_fields_of_the_options(options: type, arguments: type) -> None:
    """Oracle: the fields, which documents describe; the typed dictionary is what editors and type checkers know."""
    assert set(get_type_hints(arguments)) == {field.name for field in fields(options)}
    assert not arguments.__required_keys__  # type: ignore[attr-defined]


@pytest.mark.parametrize("function", [gpucti.correct, gpucti.plan])
def test_functions_with_options_say_which(function: object) -> None:
    """Oracle: the signature; a wrong name is refused at run time too."""
    assert signature(function).parameters["options"].annotation == "Unpack[RunArguments]"  # type: ignore[arg-type]


def test_run_options_and_the_tables() -> None:
    """Oracle: the overrides that a run hands on are all of `CorrectionOptions`, as they were given."""
    overrides = RunOptions(sim_nit=3, read_noise=4.5).overrides
    assert overrides == {name: None for name in get_type_hints(CorrectionArguments)} | {"sim_nit": 3, "read_noise": 4.5}
    with pytest.raises(TypeError, match="pctetabb"):
        RunOptions(pctetabb="x")  # type: ignore[call-arg]
