"""File names as they stand in HST headers."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpucti.references.names import resolve_reference


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("oref$a.fits", "ref/a.fits"),
        ("$oref/a.fits", "ref/a.fits"),
        ("$oref//a.fits", "ref/a.fits"),
        ("bare$a.fits", "ref/a.fits"),
        ("oref$b.fits", "ref/b.fits.gz"),
        ("c.fits", "data/c.fits"),
        ("../ref/a.fits", "data/../ref/a.fits"),
        ("oref$gone.fits", None),
        ("nowhere$a.fits", None),
        ("$oref", None),
        ("oref$", None),
        ("$", None),
        ("", None),
        ("gone.fits", None),
    ],
)
def test_names(tmp_path: Path, name: str, found: str | None) -> None:
    """Oracle: the conventions of CalSTIS; the variable may lack its trailing slash, the file may be compressed."""
    for path in ("ref/a.fits", "ref/b.fits.gz", "data/c.fits"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()
    environment = {"oref": f"{tmp_path}/ref/", "bare": f"{tmp_path}/ref"}
    expected = None if found is None else tmp_path / found
    assert resolve_reference(name, tmp_path / "data", environment) == expected


def test_the_folder_of_the_file_comes_before_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: the order in the docstring."""
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    Path("a.fits").touch()
    assert resolve_reference("a.fits", tmp_path / "data") == Path("a.fits")
    (tmp_path / "data" / "a.fits").touch()
    assert resolve_reference("a.fits", tmp_path / "data") == tmp_path / "data" / "a.fits"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("one$a.fits", "ref/a.fits"),
        ("$one/a.fits", "ref/a.fits"),
        ("three$a.fits", "ref/a.fits"),
        ("$three/a.fits", "ref/a.fits"),
        ("doubled$/a.fits", "ref/a.fits"),
        ("odd$a.fits", "has$sign/a.fits"),
        ("ring$a.fits", None),
        ("self$a.fits", None),
        ("dangling$a.fits", None),
    ],
)
def test_variables_that_name_variables(tmp_path: Path, name: str, found: str | None) -> None:
    """Oracle: CalSTIS expands variables again and again and makes one slash of several; rings end in no file."""
    for path in ("ref/a.fits", "has$sign/a.fits"):
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).touch()
    environment = {
        "base": f"{tmp_path}",
        "one": "$base/ref/",
        "two": "base$ref",
        "three": "$two",
        "doubled": f"/{tmp_path}//ref//",
        "odd": f"{tmp_path}/has$sign/",
        "ring": "$gnir/x",
        "gnir": "ring$",
        "self": "self$",
        "dangling": "$nothing/ref/",
    }
    assert resolve_reference(name, tmp_path, environment) == (None if found is None else tmp_path / found)
