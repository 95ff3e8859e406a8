"""Darks from the archive to a folder: several at a time, checked, whole or not at all; what is there and good stays."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gpucti.archive.retries import MAX_LOST_FILES, Retries
from gpucti.archive.settings import ArchiveSettings, Product, Refusal, open_archive
from gpucti.darks.anneals import Dark
from gpucti.errors import ArchiveError, InputError
from gpucti.io.atomic import clear_leftovers, temporary_name
from gpucti.io.cards import Cards
from gpucti.io.fitsfile import read_hdus, read_stored, stored_bytes
from gpucti.io.headers import list_files, read_primary
from gpucti.io.inputs import IO_THREADS
from gpucti.progress import Event, Progress

if TYPE_CHECKING:
    from gpucti.archive.client import Mast

log = logging.getLogger(__name__)

#: Files fetched at the same time.
JOBS = 4


@dataclass(frozen=True)
class Download:
    """What became of the darks asked for; names are ROOTNAMEs in capitals.

    Attributes
    ----------
    fetched : tuple of Path
        Files that were fetched now.
    there : tuple of str
        Darks that were in the folder, and good.
    failed : mapping
        Why each other one is not there.
    no_flt : tuple of str
        Darks of which the archive has no calibrated file; no failure.
    notes : tuple of str
        Files that were replaced or moved aside, and why.
    """

    fetched: tuple[Path, ...] = ()
    there: tuple[str, ...] = ()
    failed: Mapping[str, str] | None = None
    no_flt: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def summary(self) -> str:
        """Return a few lines of text."""
        lines = [f"{len(self.fetched)} darks fetched, {len(self.there)} were there, {len(self.failed or {})} failed"]
        lines += [f"failed: {name}: {reason}" for name, reason in (self.failed or {}).items()]
        if self.no_flt:
            lines.append(f"no FLT in the archive: {', '.join(self.no_flt)}")
        return "\n".join([*lines, *self.notes])


def darks_on_disk(names: Iterable[str], folder: Path) -> dict[str, Path]:
    """Return which darks lie in a folder or below, by ROOTNAME, whatever the files are called, as their headers say.

    A file that bears the name of another of these darks than its header says does not count.
    """
    wanted = set(names)
    found: dict[str, Path] = {}
    for path in list_files(folder, "flt", below=True) if folder.is_dir() else []:
        try:
            rootname = Cards(read_primary(path), f"{path}[0]").text("ROOTNAME").upper()
        except InputError as error:
            log.info("%s", error)
            continue
        named = path.name.partition("_flt.")[0].upper()
        if rootname in wanted and (named == rootname or named not in wanted):
            found.setdefault(rootname, path)
    return found


def check_dark(path: Path, name: str, size: int | None = None, *, stored: bytes | None = None) -> None:
    """Raise `InputError` unless a file is the calibrated dark `name`, complete and with the checksums it announces.

    Parameters
    ----------
    path : Path
        The file.
    name : str
        ROOTNAME in capitals.
    size : int, optional
        Bytes that a file fresh from the archive has. Without it, headers may have been edited since: only checksums of
        data count.
    stored : bytes, optional
        What lies on disk, if it was read already; `path` is then what messages call it.
    """
    stored = read_stored(path) if stored is None else stored
    fresh = size is not None
    if fresh and len(stored) != size:
        raise InputError(f"{len(stored)} bytes in place of {size}")
    hdus, _ = read_hdus(path, stored=stored)
    rootname = Cards(hdus[0].header, f"{path}[0]").text("ROOTNAME").upper()
    if rootname != name:
        raise InputError(f"ROOTNAME is {rootname!r}; expected {name}", where=path)
    for index, hdu in enumerate(hdus):
        header, content = hdu.header, stored_bytes(hdu)
        data = content[len(content) - _data_bytes(hdu) :]
        if "DATASUM" in header and str(_ones_sum(data)) != str(header["DATASUM"]).strip():
            raise InputError("the data do not have the checksum that DATASUM announces", where=f"{path}[{index}]")
        if fresh and str(header.get("CHECKSUM", "")).strip("0 ") and _ones_sum(content) not in (0, 0xFFFFFFFF):
            raise InputError("does not have the checksum that CHECKSUM announces", where=f"{path}[{index}]")


def _data_bytes(hdu: object) -> int:
    place = hdu.fileinfo()  # type: ignore[attr-defined]
    return int(place["datSpan"])


def _ones_sum(content: bytes) -> int:
    """Return the checksum of the FITS standard: the 32-bit words added up, carries added at the low end."""
    words = np.frombuffer(content.ljust(-(-len(content) // 4) * 4, b"\0"), dtype=">u4")
    total = int(words.sum(dtype=np.uint64))
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def download_darks(
    darks: Sequence[Dark],
    folder: Path,
    settings: ArchiveSettings | None = None,
    *,
    jobs: int = JOBS,
    progress: Progress | None = None,
) -> Download:
    """Fetch the calibrated files of darks into a folder; fetch those only that are not there or not good.

    Files get their final names when they are whole and checked: size, FITS structure, checksums, ROOTNAME. A file of
    that name that is damaged is replaced; one that is whole but not the dark is moved aside (``.bad``).

    Parameters
    ----------
    darks : sequence of Dark
        What is wanted.
    folder : Path
        Made if it is not there.
    settings : ArchiveSettings, optional
        Where the archive is.
    jobs : int
        Files fetched at the same time.
    progress : callable, optional
        Called with an `Event` for each file.

    Raises
    ------
    ArchiveError
        The archive does not answer at all. Files that cannot be had are no error: they are in ``Download.failed``.
    OSError
        The folder cannot be written to, or the disk is full.
    """
    settings = settings or ArchiveSettings()
    folder.mkdir(parents=True, exist_ok=True)
    clear_leftovers(folder)
    names = list(dict.fromkeys(dark.exposure for dark in darks))
    there, bad = _look(names, folder)
    without = {dark.exposure for dark in darks if not dark.flt}  # so the list says
    no_flt = tuple(name for name in names if name not in there and name in without)
    missing = [name for name in names if name not in there and name not in without]
    fetched: dict[str, Path] = {}
    failed: dict[str, str] = {}
    notes: list[str] = []
    if missing:
        stop = threading.Event()
        with open_archive(settings, stop) as mast:
            products = mast.products(missing)
        no_flt += tuple(name for name in missing if name not in products)
        fetcher = _Fetcher(folder, settings, stop, bad)
        with closing(fetcher), _until_stopped(ThreadPoolExecutor(jobs, "gpucti-fetch"), stop) as pool:
            tasks = {pool.submit(fetcher.fetch, name, products[name]): name for name in missing if name in products}
            for done, task in enumerate(as_completed(tasks), start=1):
                text = _collect(task, tasks[task], fetched, failed, notes)
                if progress is not None:
                    progress(Event("download", done, len(tasks), text))
    return Download(
        tuple(fetched[name] for name in missing if name in fetched),
        tuple(there),
        {name: failed[name] for name in missing if name in failed},
        no_flt,
        tuple(notes),
    )


def _look(names: Sequence[str], folder: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Return the good files by name, and what is wrong with those that bear a name and are not good."""
    found = darks_on_disk(names, folder)

    def problem(name: str) -> str | None:
        path = found.get(name, folder / _file_name(name))
        if not path.exists():
            return ""
        try:
            check_dark(path, name)
        except InputError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(IO_THREADS, thread_name_prefix="gpucti-check") as pool:
        problems = dict(zip(names, pool.map(problem, names), strict=True))
    good = {name: found[name] for name in names if problems[name] is None}
    return good, {name: why for name, why in problems.items() if why}


def _collect(
    task: Future[tuple[Path, str]], name: str, fetched: dict[str, Path], failed: dict[str, str], notes: list[str]
) -> str:
    """Put the outcome of one file where it belongs, and return a line about it."""
    try:
        path, note = task.result()
    except (ArchiveError, InputError) as error:
        failed[name] = str(error)
        return f"{name}: failed: {error}"
    fetched[name] = path
    if note:
        notes.append(note)
    return path.name


@contextmanager
def _until_stopped(pool: ThreadPoolExecutor, stop: threading.Event) -> Iterator[ThreadPoolExecutor]:
    """Let go of what is under way if the block ends early."""
    try:
        yield pool
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _file_name(name: str) -> str:
    """Return what the file of a dark is called; what the server calls it does not matter."""
    return f"{name.lower()}_flt.fits"


def _may_pass(error: Exception) -> bool:
    """Tell whether a file that was not given, or came damaged, may come whole the next time."""
    return isinstance(error, (ArchiveError, InputError)) and not isinstance(error, Refusal)


class _Fetcher:
    """Fetches single files, each thread with a connection of its own."""

    def __init__(self, folder: Path, settings: ArchiveSettings, stop: threading.Event, bad: Mapping[str, str]) -> None:
        self._folder, self._settings, self._stop, self._bad = folder, settings, stop, bad
        self._retries = Retries(settings.attempts, settings.pause, stop)
        self._thread = threading.local()
        self._connections: list[Mast] = []
        self._lost = 0

    def close(self) -> None:
        """Close all connections."""
        for mast in self._connections:
            mast.close()

    def fetch(self, name: str, product: Product) -> tuple[Path, str]:
        """Return the path of a file that was fetched and checked, and what was done with the one that lay there."""
        path = self._folder / _file_name(name)
        temporary = path.with_name(temporary_name(path.name))
        try:
            self._fetch(name, product, temporary)
            note = self._make_way(path, name)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        return path, note

    def _fetch(self, name: str, product: Product, temporary: Path) -> None:
        """Fetch and check a file, tried again where that can help."""

        def attempt() -> None:
            if self._lost >= MAX_LOST_FILES:
                raise Refusal("not tried, since the archive does not answer any more")
            temporary.unlink(missing_ok=True)  # what is there would be gone on with
            self._mast().fetch(product, temporary)
            self._lost = 0
            check_dark(path, name, product.size, stored=read_stored(temporary))

        path = Path(_file_name(name))
        try:
            self._retries.run(name, attempt, _may_pass)
        except Refusal:
            raise
        except ArchiveError:
            self._lost += 1
            raise

    def _mast(self) -> Mast:
        if not hasattr(self._thread, "mast"):
            self._thread.mast = open_archive(self._settings, self._stop)
            self._connections.append(self._thread.mast)
        mast: Mast = self._thread.mast
        return mast

    def _make_way(self, path: Path, name: str) -> str:
        """Move aside what lies under the final name, unless it is damaged anyway."""
        if not path.exists():
            return ""
        why = self._bad.get(name, "not the dark it is called after")
        try:
            read_hdus(path)
        except InputError:
            return f"{path.name} replaced: {why}"
        aside = path.with_name(f"{path.name}.bad")
        path.replace(aside)
        return f"{path.name} fetched anew, the file there is now {aside.name}: {why}"
