"""File names as they stand in HST headers."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpucti.references.names import missing_remedy, resolve_reference, run_environment


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


def test_a_folder_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: what a shell makes of ~ where it stands without quotes."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "refs").mkdir()
    (tmp_path / "refs" / "x.fits").touch()
    found = tmp_path / "refs" / "x.fits"
    for value in ("~/refs", "~/refs/"):
        assert resolve_reference("oref$x.fits", Path(), {"oref": value}) == found
        assert resolve_reference("otab$x.fits", Path(), {"otab": "$oref/.", "oref": value}) == found
        monkeypatch.setenv("oref", value)
        assert run_environment(None)["oref"] == f"{tmp_path}{value[1:]}"
        assert run_environment(Path(value))["oref"] == f"{tmp_path / 'refs'}/"
    assert resolve_reference("oref$x.fits", Path(), {"oref": "~nobody-of-this-name/refs"}) is None


@pytest.mark.parametrize(
    ("names", "environment", "said"),
    [
        (["oref$x.fits"], {}, "oref is not set: give --oref FOLDER"),
        (["oref$x.fits", "$oref/y.fits"], {"oref": "/r/"}, "oref is /r/: fetch them, or give --oref FOLDER"),
        (["otab$x.fits"], {}, "otab is not set: take today's names (--crds_update), or set it (export otab="),
        (["otab$x.fits"], {"otab": "/t/"}, "otab is /t/: fetch them, or take today's names (--crds_update)"),
        (["otab$x.fits", "oref$y.fits"], {}, "; oref is not set"),
        (["x.fits", ""], {}, "put names of files into the headers"),
    ],
)  # fmt: skip
def test_what_to_do_about_missing_files(names: list[str], environment: dict[str, str], said: str) -> None:
    """Oracle: the variables in the names, each with whether it is set."""
    assert said in missing_remedy(names, environment)
