"""Visits for tests of the pipeline: small copies, a look at folders before and after, the command itself.

Copies are hard links, so that a copy costs nothing: a file is changed by `edit` and `put` only, which replace it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

import gpucti
from gpucti.model.pctetab import Pctetab
from support.stis_files import change

#: Where the package under test lies.
PACKAGE = Path(gpucti.__file__).parents[1]
#: Cards that differ from run to run.
OF_THE_DAY = {"DATE"}


@dataclass(frozen=True)
class Case:
    """One visit that a run may work on: the folders, and what else the command is told."""

    science: Path
    darks: Path
    ref: Path
    oref: Path
    anneals: Path
    pctetab: Path | None = None

    @property
    def folders(self) -> tuple[Path, Path, Path]:
        """What `gpucti.correct` takes by position."""
        return self.science, self.darks, self.ref

    @property
    def options(self) -> dict[str, Any]:
        """What `gpucti.correct` takes by name."""
        options = {"oref": self.oref, "anneals": self.anneals, "pctetab": self.pctetab}
        return options | {"device": "cpu", "engine": "native"}

    @property
    def arguments(self) -> list[str]:
        """The command line."""
        options = {"-d": self.darks, "-r": self.ref, "--oref": self.oref, "--anneals": self.anneals}
        options |= {} if self.pctetab is None else {"-p": self.pctetab}
        given = [str(text) for pair in options.items() for text in pair]
        return ["correct", str(self.science), "--device", "cpu", "--engine", "native", *given]


def quick_table(path: Path, sim_nit: int = 1) -> Path:
    """Write the packaged PCTETAB with one iteration: a run takes a fraction of the time."""
    Pctetab.default().write(path)
    with fits.open(path, mode="update") as hdus:
        hdus[0].header["SIM_NIT"], hdus[0].header["SHFT_NIT"] = sim_nit, 1
    return path


def case_of(visit: Any, folder: Path, pctetab: Path | None = None) -> Case:
    """Return a copy in `folder` of a visit, simulated or golden; references stay where they are."""
    for part in ("science", "darks"):
        shutil.copytree(getattr(visit, part), folder / part, copy_function=_link)
    (folder / "ref").mkdir()
    anneals = Path(shutil.copy(visit.anneals, folder / "anneals.json"))
    anneals.chmod(0o644)
    return Case(folder / "science", folder / "darks", folder / "ref", Path(visit.oref), anneals, pctetab)


def finished_copy(case: Case, folder: Path) -> Case:
    """Return a copy of a case on which a run was done, products and all."""
    for part in ("science", "darks", "ref"):
        shutil.copytree(getattr(case, part), folder / part, copy_function=_link)
    anneals = Path(shutil.copy(case.anneals, folder))
    return replace(case, science=folder / "science", darks=folder / "darks", ref=folder / "ref", anneals=anneals)


def _link(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)
    return target


def put(path: Path, content: bytes) -> Path:
    """Give a file other content, in place of a hard link too."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    return path


def edit(path: Path, extension: int = 0, *, pixels: Callable[[Any], Any] | None = None, **cards: Any) -> Path:
    """Change cards of a FITS file (None removes one), or its pixels."""
    with fits.open(path, memmap=False, do_not_scale_image_data=True) as hdus:
        change(hdus[extension].header, **cards)
        if pixels is not None:
            hdus[extension].data = pixels(hdus[extension].data)
        for hdu in hdus:
            _ = hdu.data  # before the file goes
        path.unlink()
        hdus.writeto(path, output_verify="ignore")
    return path


def truncated(path: Path, share: float = 0.4) -> Path:
    """Cut a file short."""
    content = path.read_bytes()
    return put(path, content[: int(share * len(content))])


def cli(*arguments: object, prefix: Sequence[str] = (), cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return subprocess.run(
        [*prefix, *command(*arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=environment(),
        cwd=cwd,
    )


def command(*arguments: object) -> list[str]:
    """Return the command line of the command in a process of its own."""
    return [sys.executable, "-m", "gpucti.cli", *map(str, arguments)]


def environment() -> dict[str, str]:
    """Return the environment without the names that headers use; output is not held back."""
    mine = {key: value for key, value in os.environ.items() if key not in ("oref", "ctirefs", "GPUCTI_BACKEND")}
    return mine | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(PACKAGE)}


def without(arguments: Sequence[str], option: str) -> list[str]:
    """Return a command line without an option and its value."""
    at = list(arguments).index(option)
    return [*arguments[:at], *arguments[at + 2 :]]


@contextmanager
def read_only(folder: Path) -> Iterator[list[str]]:
    """Make a folder read-only; yield what a command line must begin with to find it so.

    To root nothing is forbidden but what lies on a read-only file system: then the command gets one of its own.
    """
    if sys.platform == "win32":
        pytest.skip("folders cannot be made read-only here")
    if os.geteuid():
        folder.chmod(0o555)
        try:
            yield []
        finally:
            folder.chmod(0o755)
        return
    script = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    if subprocess.run(
        ["unshare", "-m", "sh", "-c", script, folder, "true"], capture_output=True, check=False
    ).returncode:
        pytest.skip("root may not mount file systems here")
    yield ["unshare", "-m", "sh", "-c", script, str(folder)]


def one_error(code: int, err: str, *words: str) -> None:
    """Check that a command failed with one error that says all this, and no traceback."""
    assert code == 1, err
    assert "Traceback" not in err, err
    assert err.count("gpucti: error: ") == 1, err
    message = err.partition("gpucti: error: ")[2]
    for word in words:
        assert word in message, message


def seen(*folders: Path, besides: Sequence[str] = (".log", ".lock")) -> dict[str, tuple[int, int, int]]:
    """Return inode, time and size of every file, folders included; logs and the lock aside."""
    found = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")) if folder.exists() else []:
            if not path.name.endswith(tuple(besides)):
                about = path.stat()
                found[f"{folder.name}/{path.relative_to(folder)}"] = (
                    (0, 0, 0) if path.is_dir() else (about.st_ino, about.st_mtime_ns, about.st_size)
                )
    return found


def digests(folder: Path, pattern: str = "*") -> dict[str, str]:
    """Return the sha256 of the files of a folder."""
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.glob(pattern)) if p.is_file()}


def data_digest(data: Any) -> str:
    """Return the sha256 of an array in FITS byte order."""
    stored = np.ascontiguousarray(data).astype(data.dtype.newbyteorder(">"))
    return hashlib.sha256(stored.tobytes()).hexdigest()


#: Pixels (a digest) and cards of the HDUs of files, by name.
Contents = dict[str, list[tuple[str, Mapping[str, Any]]]]


def contents(path: Path) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the pixels (a digest) and the cards of every HDU of a file."""
    with fits.open(path, memmap=False) as hdus:
        return [
            (
                "" if hdu.data is None else data_digest(hdu.data),
                {key: str(hdu.header[key]) for key in hdu.header if key not in OF_THE_DAY},
            )
            for hdu in hdus
        ]


def outputs(case: Case) -> Contents:
    """Return what a run made: pixels and cards of every product, corrected dark and super-dark."""
    paths = [*case.science.glob("*.fits"), *case.darks.glob("*_cte.fits"), *case.ref.rglob("*.fits")]
    made = [path for path in paths if not path.name.endswith(("_raw.fits", "_wav.fits", "_epc.fits"))]
    return {path.name: contents(path) for path in sorted(made)}


def leftovers(case: Case) -> list[str]:
    """Return the names of what is no whole file."""
    return sorted(
        path.name for folder in case.folders if folder.exists() for path in folder.rglob(".*") if path.suffix != ".lock"
    )
