"""Names that documents and docstrings mention are there after ``import gpucti`` alone."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gpucti._version import __version__

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "gpucti"
NAME = re.compile(r"\bgpucti(?:\.[A-Za-z_]\w*)+")
IMPORT = re.compile(r"^ *from (gpucti[.\w]*) import ([\w, ]+)$", re.MULTILINE)
#: Modules under the names they had before the folders, and something from each.
FORMER = {
    "anneals": "read_anneals",
    "archive_download": "download_darks",
    "crds": "best_references",
    "plan_table": "plan_text",
    "simulate": "star_field",
    "traps": "TrapTable",
    "weeks": "find_darks",
}


def texts() -> dict[str, list[str]]:
    """Return what may mention names, per file: the documents, and code and docstrings."""
    documents = [ROOT / "README.md", ROOT / "CHANGES.md", ROOT / "DEVELOPMENT.md", *ROOT.glob("docs/*.md")]
    found = {path.name: [path.read_text(encoding="utf-8")] for path in documents}
    for path in sorted(ROOT.glob("examples/*.py")):
        found[path.name] = [path.read_text(encoding="utf-8")]
    for path in sorted(PACKAGE.rglob("*.py")):
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
        docstrings = [ast.get_docstring(node) for node in nodes if isinstance(node, kinds)]
        found[path.relative_to(ROOT).as_posix()] = [text for text in docstrings if text is not None]
    return found


def names(text: str) -> set[str]:
    """Return the dotted names in a text, those in lines that import too."""
    imported = {f"{module}.{name.strip()}" for module, some in IMPORT.findall(text) for name in some.split(",")}
    return {*NAME.findall(text), *imported}


def in_a_fresh_process(script: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.slow
def test_names_in_documents_and_docstrings_are_attributes() -> None:
    """Oracle: README.md, docs, examples, docstrings. Each name finds the package as ``import gpucti`` leaves it."""
    where: dict[str, list[str]] = {}
    for file, found in texts().items():
        for name in set().union(*map(names, found)):
            where.setdefault(name, []).append(file)
    assert len(where) > 50
    script = """
import functools, importlib, json, sys
missing = []
for name in json.loads(sys.argv[1]):
    for loaded in [module for module in sys.modules if module.split(".")[0] == "gpucti"]:
        del sys.modules[loaded]
    try:
        functools.reduce(getattr, name.split(".")[1:], importlib.import_module("gpucti"))
    except AttributeError:
        missing.append(name)
print(json.dumps(missing))
"""
    missing = json.loads(in_a_fresh_process(script, json.dumps(sorted(where))))
    assert {name: where[name] for name in missing} == {}


@pytest.mark.parametrize("module", FORMER)
def test_former_names_of_modules(module: str) -> None:
    """Oracle: the list in CHANGES.md; both ways to import give the module under its present name."""
    script = f"""
from gpucti.{module} import {FORMER[module]} as one
import gpucti, gpucti.{module}
assert gpucti.{module}.{FORMER[module]} is one
print(gpucti.{module}.__name__)
"""
    assert f"`gpucti.{module}`" in (ROOT / "CHANGES.md").read_text(encoding="utf-8")
    assert in_a_fresh_process(script).strip() in (PACKAGE / "former" / f"{module}.py").read_text(encoding="utf-8")


@pytest.mark.slow
def test_all_modules_are_attributes_of_their_packages() -> None:
    """Oracle: the files; nothing but they and the public names is an attribute."""
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in PACKAGE.rglob("[a-z]*.py")]
    modules = [name for name in modules if ".former." not in name]
    assert len(modules) > 100
    in_a_fresh_process("import gpucti\n" + "\n".join(modules))
    for name in ("gpucti.anything", "gpucti.io.anything", "gpucti.pipeline.planning.anything"):
        with pytest.raises(subprocess.CalledProcessError) as raised:
            in_a_fresh_process(f"import gpucti\n{name}")
        assert f"AttributeError: module '{name.removesuffix('.anything')}' has no attribute" in raised.value.stderr


def test_all_and_dir() -> None:
    """Oracle: __all__ and the folders and modules of the package."""
    listed, public = json.loads(
        in_a_fresh_process("import gpucti, json; print(json.dumps([dir(gpucti), gpucti.__all__]))")
    )
    folders = {path.stem for path in PACKAGE.iterdir() if path.name[0].isalpha() and path.suffix in ("", ".py")}
    assert set(listed) == set(public) | folders
    in_a_fresh_process("from gpucti import *")


def test_python_m_gpucti() -> None:
    """Oracle: gpucti._version."""
    done = subprocess.run([sys.executable, "-m", "gpucti", "--version"], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (f"gpucti {__version__}\n", "")


def test_import_is_light() -> None:
    """Oracle: the modules of a fresh process."""
    loaded = in_a_fresh_process("import gpucti, sys; print(*sorted(sys.modules))").split()
    assert not {"numpy", "astropy", "numba", "click"} & set(loaded)
