"""Where the compiled kernels of the Numba backend are kept: a folder of their own, whose faults cost time, no job.

Numba would put the code beside the sources, where an uninstall leaves it behind, and raises to the caller whatever a
damaged file or a full disk raises. It has no public way to have it otherwise, so `keep` reaches into it, here alone;
where a version of Numba does not allow that, the kernels are compiled in memory.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
import tempfile
import warnings
from collections.abc import Mapping
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

import llvmlite
import numba

from gpucti._version import __version__
from gpucti.errors import in_brief

#: What the compiled code depends on: the kernels, and the modules whose constants are compiled into them.
SOURCES = (("gpucti.backends", "_numba_kernels.py"), ("gpucti.backends", "base.py"), ("gpucti.model", "traps.py"))
#: What mends nearly everything.
REMEDY = "delete that folder, or set NUMBA_CACHE_DIR to a folder that can be written to"
#: What `Store.probe` writes.
_PROBE = bytes(range(256)) * 256


class Store:
    """The folder of compiled code.

    Attributes
    ----------
    folder : Path or None
        Where the code is kept; made when the first code is written. None if there is no place for it.
    problem, remedy : str
        The first thing that went wrong, and what mends it, as it was told the user; empty if nothing did.
    in_use : bool
        Whether code is read and written: not any more once that has failed.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.problem = self.remedy = ""
        self.in_use = True

    def write_off(self, why: str, remedy: str = REMEDY) -> None:
        """Keep no more code, and say why; what is compiled stays in memory."""
        self.in_use = False
        place = "" if self.folder is None else f"{self.folder}: "
        self._say(f"compiled code cannot be kept, each process compiles anew: {place}{why}", remedy)

    def damaged(self, why: str) -> None:
        """Say that code which was read is damaged; it is compiled and written again."""
        self._say(f"compiled code was damaged and is made anew: {self.folder}: {why}", f"if it comes again, {REMEDY}")

    def probe(self) -> None:
        """Write and read a file in the folder, and remove it; write the store off if that fails."""
        if not self.in_use or self.folder is None:
            return
        try:
            make_folder(self.folder)
            with tempfile.TemporaryFile(dir=self.folder) as file:
                file.write(_PROBE)
                file.seek(0)
                if file.read() != _PROBE:
                    raise OSError("what was written is not what is read")
        except OSError as error:
            self.write_off(in_brief(error))

    def _say(self, problem: str, remedy: str) -> None:
        if not self.problem:
            self.problem, self.remedy = problem, remedy
            warnings.warn(f"{problem}; {remedy}", stacklevel=2)


def make_folder(folder: Path) -> None:
    """Make the folder if need be, for its owner alone: what is read from it is run."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def open_store(environment: Mapping[str, str] = os.environ) -> Store:
    """Return the store of these sources, this Python and this Numba: what others compiled is never looked at."""
    config: Any = numba.config
    base = Path(config.CACHE_DIR) if config.CACHE_DIR else user_cache(environment)
    if base is None:
        return Store(None)
    versions = f"{sys.implementation.cache_tag}-numba-{numba.__version__}"
    digest = hashlib.sha256(f"{versions} {llvmlite.__version__}".encode())
    for package, name in SOURCES:
        digest.update(files(package).joinpath(name).read_bytes())
    return Store(base.absolute() / "gpucti" / f"{__version__}-{versions}-{digest.hexdigest()[:12]}")


def user_cache(environment: Mapping[str, str], platform: str = sys.platform) -> Path | None:
    """Return the folder for what programs can make again, as the platform has it; None without a home."""
    home = environment.get("USERPROFILE" if platform == "win32" else "HOME", "")
    usual = {"win32": ("AppData", "Local"), "darwin": ("Library", "Caches")}.get(platform, (".cache",))
    named = environment.get({"win32": "LOCALAPPDATA", "darwin": ""}.get(platform, "XDG_CACHE_HOME"), "")
    for folder in (Path(named), Path(home, *usual) if home else Path()):
        if folder.is_absolute():  # a relative one is to be ignored, says the standard of XDG
            return folder
    return None


def keep(dispatcher: Any, store: Store) -> Any:
    """Return a compiled function, told to keep its code in the store if that is possible."""
    if store.in_use and store.folder is None:
        store.write_off("there is no home folder", "set NUMBA_CACHE_DIR to a folder that can be written to")
    if store.in_use:
        try:
            dispatcher._cache = _cache_class(store)(dispatcher.py_func)
        except Exception as error:  # noqa: BLE001 -- the inside of Numba may change in any way
            why = f"Numba {numba.__version__} does not take this folder ({in_brief(error)})"
            store.write_off(why, "unset NUMBA_CACHE_LOCATOR_CLASSES if it is set, or take another version of Numba")
    return dispatcher


def _cache_class(store: Store) -> Any:
    """Return what stands in for Numba's own ``FunctionCache`` in a compiled function."""
    caching: Any = import_module("numba.core.caching")
    dumps: Any = import_module("numba.core.serialize").dumps

    class Place:
        """What Numba calls a locator."""

        def __init__(self, function: Any, file: str) -> None:
            self._py_file, self._line = file, function.__code__.co_firstlineno

        @classmethod
        def from_function(cls, function: Any, file: str) -> Any:
            return cls(function, file)

        def ensure_cache_path(self) -> None:
            make_folder(Path(self.get_cache_path()))

        def get_cache_path(self) -> str:
            return str(store.folder)

        def get_source_stamp(self) -> str:
            return "" if store.folder is None else store.folder.name

        def get_disambiguator(self) -> str:
            return str(self._line)

    class Content(caching.CompileResultCacheImpl):  # type: ignore[misc]
        """Writes a checksum, and for which processor the code is; what differs is never run."""

        _locator_classes = (Place,)

        def reduce(self, compiled: Any) -> Any:
            content = dumps((compiled.library.codegen.magic_tuple(), super().reduce(compiled)))
            return hashlib.sha256(content).digest(), content

        def rebuild(self, target: Any, kept: Any) -> Any:
            digest, content = kept
            if hashlib.sha256(content).digest() != digest:
                raise ValueError("a checksum is wrong")
            processor, compiled = pickle.loads(content)
            if processor != target.codegen().magic_tuple():
                raise ValueError("it is for another processor")
            return super().rebuild(target, compiled)

    class Kept(caching.FunctionCache):  # type: ignore[misc]
        """Numba's cache, of which no error comes out."""

        _impl_class = Content

        def load_overload(self, signature: Any, target: Any) -> Any:
            if not store.in_use:
                return None
            try:
                compiled = super().load_overload(signature, target)
                # two processes that write at once can leave the one's index beside the other's code
                if compiled is not None and compiled.signature.args != tuple(getattr(signature, "args", signature)):
                    raise ValueError("it is for other arguments")
                return compiled
            except OSError as error:
                store.write_off(in_brief(error))
            except Exception as error:  # noqa: BLE001 -- a damaged pickle may raise anything
                store.damaged(in_brief(error))
                self._guarded(self.flush)
            return None

        def save_overload(self, signature: Any, compiled: Any) -> None:
            if store.in_use:
                self._guarded(super().save_overload, signature, compiled)

        def _guarded(self, write: Any, *arguments: Any) -> None:
            try:
                write(*arguments)
            except Exception as error:  # noqa: BLE001 -- full disks, permissions, whatever: the code is in memory
                store.write_off(in_brief(error))

    return Kept
