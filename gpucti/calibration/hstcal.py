"""The engine of the originals: CalSTIS's own programs, run through stistools in child processes.

Every run has a temporary folder of its own as working folder, in which nothing of the user's can be changed and no
name is strange to the programs: the exposure is written there, the wavecal and temperature (EPC) files are copied,
reference files are linked, or unpacked, under ``refs/``, and ``oref`` and the like point there.
"""

from __future__ import annotations

import gzip
import importlib.metadata
import importlib.util
import logging
import re
import shutil
import subprocess
import tempfile
import weakref
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from astropy.io import fits

from gpucti.calibration._stistools import Stistools
from gpucti.calibration.base import BiasSubtracted, Calibrated, Required, product_paths, require_found, sentence_on
from gpucti.calibration.reffiles import References
from gpucti.calibration.switches import read_work, required_references, work_to_do
from gpucti.errors import EngineError, InputError, MissingFileError, ReferenceFileError
from gpucti.io.exposure import Exposure, StisKeywords
from gpucti.io.fitsfile import find_file, read_hdus, write_product
from gpucti.io.fitstables import ascii_text
from gpucti.references.names import resolve_reference

log = logging.getLogger(__name__)

PROGRAMS = ("cs0.e", "cs1.e")
TRAILER = "trailer.txt"
#: What reference files are wanted for: those of bias subtraction; all of them.
BIAS_FILES = ("CCDTAB", "BPIXTAB", "BIASFILE")
#: The steps of basic2d: these are performed in bias subtraction, the others are not, whatever the header says.
BASIC2D_SWITCHES = dict.fromkeys(("dqicorr", "blevcorr", "biascorr"), "perform") | dict.fromkeys(
    ("atodcorr", "doppcorr", "lorscorr", "glincorr", "lflgcorr", "darkcorr", "flatcorr", "shadcorr", "photcorr"), "omit"
)
#: Lines of a trailer that an error message quotes.
QUOTED = 12
#: Warnings of a trailer that say why something was not made.
COMPLAINTS = 3
_SAFE = re.compile(r"[A-Za-z0-9_-]+")


def available(environment: Mapping[str, str] | None = None) -> tuple[bool, str]:
    """Tell whether CalSTIS can run here.

    Parameters
    ----------
    environment : mapping, optional
        Its PATH, if any, in place of the process's.

    Returns
    -------
    runs : bool
        Whether ``cs0.e`` and ``cs1.e`` are on the PATH and stistools can be imported.
    detail : str
        Where the programs are, or what is missing and how to get it.
    """
    missing = [name for name in PROGRAMS if _program(name, environment) is None]
    if missing:
        return False, f"{' and '.join(missing)} not found on the PATH; install CalSTIS (package hstcal of conda-forge)"
    if importlib.util.find_spec("stistools") is None:
        return False, "stistools cannot be imported; install it (pip install stistools)"
    return True, f"CalSTIS in {Path(_program(PROGRAMS[0], environment) or '').parent}"


class HstcalEngine:
    """Calibrates images and spectra with the real CalSTIS; see `gpucti.calibration.base.Engine`.

    Parameters
    ----------
    references : References
        Finds the reference files; PATH, if it is in its environment, takes the place of the process's.
    """

    name = "hstcal"

    def __init__(self, references: References) -> None:
        self._references = references
        self._environment = references.environment
        self._stistools = Stistools()
        weakref.finalize(self, self._stistools.close)

    def describe(self) -> str:
        """Return what runs, with its version."""
        runs, detail = available(self._environment)
        if not runs:
            return f"hstcal, cannot run: {detail}"
        program = _program(PROGRAMS[0], self._environment) or PROGRAMS[0]
        try:
            done = subprocess.run([program, "--version"], capture_output=True, text=True, errors="replace", check=False)
            version = done.stdout.strip().partition("\n")[0]
        except OSError as error:
            version = f"does not start: {error.strerror}"
        return f"hstcal, CalSTIS {version or 'of unknown version'}, stistools {importlib.metadata.version('stistools')}"

    def supports(self, exposure: StisKeywords) -> list[str]:
        """Return why this engine cannot make what the header asks for: only if CalSTIS is not installed.

        Raises
        ------
        InputError
            The header asks for something unknown; see `gpucti.calibration.switches.read_work`.
        """
        read_work(exposure)
        runs, detail = available(self._environment)
        return [] if runs else [f"The hstcal engine cannot run here: {detail}."]

    def references(self, exposure: StisKeywords) -> list[Required]:
        """Return every reference file that calibrating this exposure would open."""
        return required_references(exposure, self._references, calstis=True)

    def subtract_bias(self, raw: Exposure) -> BiasSubtracted:
        """Return the exposure after DQICORR, BLEVCORR and BIASCORR, with errors, as basic2d makes it.

        Raises
        ------
        InputError, ReferenceFileError
            A reference file has a name that cannot be used, or is damaged.
        EngineError
            CalSTIS is not installed, or failed; the message quotes the end of its trailer.
        """
        with self._work_folder(raw) as folder:
            folder.link_references(raw.primary, BIAS_FILES)
            folder.copy_temperatures(raw)
            output = "bias_subtracted.fits"
            folder.run("basic2d", output=output, statflag=True, **BASIC2D_SWITCHES)
            made = folder.read(output, "bias-subtracted image")
            made.primary["FILENAME"] = ascii_text(raw.path.name.removesuffix(".gz"))
            return BiasSubtracted(replace(made, path=raw.path, sha256=""), folder.trailer)

    def calibrate(self, exposure: Exposure, outdir: Path, suffixes: Mapping[str, str]) -> Calibrated:
        """Do what is left to PERFORM in the header and write the products; see `Engine.calibrate`.

        CalSTIS ends well where the data allow no product, such as a spectrum without a trace: the others are kept.

        Raises
        ------
        InputError
            No switch is PERFORM, or `suffixes` lacks a product.
        ReferenceFileError
            Reference files are missing (one message names all of them) or damaged.
        EngineError
            CalSTIS is not installed, failed, or ended well without making any product; the message quotes the end
            of its trailer.
        OutputExistsError
            A product exists.
        """
        work = work_to_do(exposure)
        require_found(exposure, self.references(exposure))
        paths = product_paths(exposure, work.kinds, outdir, suffixes)
        with self._work_folder(exposure) as folder:
            folder.link_references(exposure.primary)
            folder.copy_temperatures(exposure)
            arguments = folder.copy_wavecal(exposure) if work.wavecal else {}
            folder.run("calstis", **arguments)
            missing = [kind for kind in work.kinds if not (folder.path / folder.product(kind)).is_file()]
            if missing == list(work.kinds):
                raise folder.failure(f"cs0.e ended with success but did not make {', '.join(missing) or 'anything'}")
            products = {kind: path for kind, path in paths.items() if kind not in missing}
            images = {kind: folder.read(folder.product(kind), kind) for kind in products if kind not in ("sx1", "x1d")}
            omitted = {}
            reason = f"CalSTIS did not make it{folder.complaints()}"
            if work.wavecal and any(image.switch("WAVECORR") != "COMPLETE" for image in images.values()):
                omitted["wavecal"] = (
                    "WAVECORR is PERFORM, but CalSTIS could not do it (the trailer says why); SHIFTA1, SHIFTA2 stay as "
                    "they are"
                )
                reason = "the shift of the spectrum is not known"
            omitted |= dict.fromkeys(missing, reason)
            for kind, path in products.items():
                if kind in images:
                    if not work.has_statistics(kind):  # those of the input are in the header still
                        for imset in images[kind].imsets:
                            imset.drop_statistics()
                    images[kind].write(path)
                else:
                    _write_table(folder.path / folder.product(kind), path)
            log.info("%s: %s", exposure.path.name, ", ".join(path.name for path in products.values()))
            sentences = tuple(sentence_on(what, reason, suffixes) for what, reason in omitted.items())
            return Calibrated(products, sentences, folder.trailer, engine=self.name)

    def close(self) -> None:
        """End the process in which stistools is, and what it is at."""
        self._stistools.close()

    @contextmanager
    def _work_folder(self, exposure: Exposure) -> Iterator[_WorkFolder]:
        """Give a folder with the exposure in it, for as long as it is needed."""
        runs, detail = available(self._environment)
        if not runs:
            raise EngineError(f"engine 'hstcal' cannot run here: {detail}", where=exposure.path)
        try:
            temporary = tempfile.TemporaryDirectory(prefix="gpucti-")
        except OSError as error:
            raise _unusable(exposure.path, error) from error
        with temporary:
            folder = _WorkFolder(Path(temporary.name), exposure, self._environment, self._stistools)
            try:
                exposure.write(folder.path / folder.input)
            except OSError as error:
                raise _unusable(exposure.path, error) from error
            yield folder


@dataclass
class _WorkFolder:
    """A temporary folder, the exposure that CalSTIS works on in it, and what the folder holds."""

    path: Path
    exposure: Exposure
    environment: Mapping[str, str] | None
    stistools: Stistools = field(default_factory=Stistools)
    variables: dict[str, str] = field(default_factory=dict)
    trailer: str = ""

    @property
    def input(self) -> str:
        """Name of the exposure in the folder: its own, unless CalSTIS could not read that."""
        stem = self.exposure.path.name.partition(".")[0]
        return f"{stem if _SAFE.fullmatch(stem) and len(stem) < 40 else 'exposure'}.fits"

    def product(self, kind: str) -> str:
        """Return the name that CalSTIS gives a product."""
        return f"{self.input.removesuffix('.fits').removesuffix('_raw')}_{kind}.fits"

    def link_references(self, header: fits.Header, keywords: tuple[str, ...] | None = None) -> None:
        """Make the reference files that a header names (all, or those of `keywords`) readable under their names."""
        for card in header.cards:
            key, name = card.keyword, card.value
            wanted = key.endswith(("FILE", "TAB")) if keywords is None else key in keywords
            if not wanted or not isinstance(name, str) or name.strip().upper() in ("", "N/A"):
                continue
            name = name.strip()
            path = resolve_reference(name, self.exposure.path.parent, self.environment)
            place = self._place(name, key)
            if path is not None and place is not None:  # CalSTIS says which is missing, if it matters
                _copy_or_link(path, self.path / place, link=True)

    def _place(self, name: str, key: str) -> PurePosixPath | None:
        """Return where CalSTIS, run in the folder, looks for a name; None if it looks elsewhere (a full path)."""
        variable, tail = "", name
        if "$" in name:
            head, _, rest = name.partition("$")
            variable, tail = (head, rest) if head else (rest.partition("/")[0], rest.partition("/")[2])
            tail = tail.lstrip("/")
        place = PurePosixPath(tail)
        if place.is_absolute():
            return None
        if ".." in place.parts or (variable and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", variable)):
            raise ReferenceFileError(
                f"{key} is {name!r}; expected a name without '..', such as oref$name.fits (hstcal engine)",
                where=self.exposure.cards.where,
            )
        if not variable:
            return place
        self.variables[variable] = f"refs/{variable}/"
        return PurePosixPath("refs", variable) / place

    def copy_temperatures(self, exposure: StisKeywords, folder: Path | None = None) -> None:
        """Copy the EPC files of the exposures, where there are any; they lie beside the exposure."""
        for header in exposure.sci_headers:
            name = header.get("EXPNAME", "")
            if not isinstance(name, str) or not _SAFE.fullmatch(name[:8]):
                continue
            name = f"{name[:8]}j_epc.fits"
            try:
                path = find_file((folder or exposure.path.parent) / name)
            except MissingFileError:
                continue
            _copy_or_link(path, self.path / name)

    def copy_wavecal(self, exposure: Exposure) -> dict[str, str]:
        """Copy the wavecal and what belongs to it; return arguments for calstis if its name cannot be kept."""
        name = exposure.cards.text("WAVECAL")
        path = resolve_reference(name, exposure.path.parent, self.environment)
        if path is None:
            raise MissingFileError(f"WAVECAL is {name!r}; there is no such file beside it", where=exposure.cards.where)
        wavecal = Exposure.read(path)
        wavecal.primary.update(exposure.wavecal_names)
        self.link_references(wavecal.primary)
        self.copy_temperatures(wavecal, exposure.path.parent)
        plain = name.removesuffix(".fits")
        kept = name.endswith(".fits") and bool(_SAFE.fullmatch(plain)) and name != self.input
        copy = name if kept else "wavecal_wav.fits"
        if exposure.wavecal_names:
            wavecal.write(self.path / copy)
        else:
            _copy_or_link(path, self.path / copy)
        return {} if kept else {"wavecal": copy}

    def run(self, task: str, **arguments: Any) -> None:
        """Run a task of stistools on the exposure; keep its trailer.

        Raises
        ------
        EngineError
            It failed.
        """
        environment = dict(self.environment or {}) | self.variables
        ended = self.stistools.run(task, self.input, arguments | {"trailer": TRAILER}, self.path, environment)
        trailer = self.path / TRAILER
        self.trailer = trailer.read_text(errors="replace") if trailer.is_file() else ""
        if ended.status:
            self.trailer = self.trailer or "\n".join(ended.lines)  # what kept the program from running
            what = "was killed" if ended.status < 0 else f"ended with status {ended.status}"
            raise self.failure(f"stistools.{task} {what}")

    def read(self, name: str, what: str) -> Exposure:
        """Read what CalSTIS made; its images have all their extensions, null arrays expanded."""
        if not (self.path / name).is_file():
            raise self.failure(f"CalSTIS ended with success but did not make the {what}")
        try:
            return Exposure.read(self.path / name)
        except InputError as error:
            place = Path(error.where).name  # a file of the folder, or an extension of one
            raise self.failure(f"CalSTIS made a {what} that cannot be used ({place}: {error.reason})") from error

    def complaints(self) -> str:
        """Return the last warnings and errors in the trailer, in brackets; empty if there are none."""
        said = re.findall(r"^(?:ERROR:|Warning)\s+(.+?)\.?\s*$", self.trailer, re.MULTILINE)
        return f" ({'; '.join(list(dict.fromkeys(said))[-COMPLAINTS:])})" if said else ""

    def failure(self, what: str) -> EngineError:
        """Return an error that quotes the end of the trailer."""
        lines = [line.rstrip() for line in self.trailer.splitlines() if line.strip()]
        end = "".join(f"\n  {line}" for line in lines[-QUOTED:])
        trailer = f"its trailer ends with:{end}" if end else "it wrote no trailer: is CalSTIS (hstcal) installed well?"
        return EngineError(f"{what}; {trailer}", where=self.exposure.path)


def _program(name: str, environment: Mapping[str, str] | None) -> str | None:
    return shutil.which(name, path=(environment or {}).get("PATH"))


def _copy_or_link(path: Path, place: Path, *, link: bool = False) -> None:
    """Copy a file, unpacked if it is gzip-compressed, or link it; what is there already stays."""
    if place.exists():
        return
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".gz":
            with gzip.open(path) as packed, place.open("wb") as stream:
                shutil.copyfileobj(packed, stream)
        elif link:
            place.symlink_to(path.resolve())
        else:
            shutil.copyfile(path, place)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ReferenceFileError(
            f"the compressed data are damaged ({error}); get the file again", where=path
        ) from error
    except OSError as error:
        raise _unusable(path, error) from error


def _unusable(path: Path, error: OSError) -> EngineError:
    return EngineError(
        f"cannot be brought into the temporary folder of CalSTIS ({error}); make space, or name another folder "
        "in TMPDIR",
        where=path,
    )


def _write_table(made: Path, path: Path) -> None:
    """Write a table that CalSTIS made; its columns stay as they are."""
    hdus, _ = read_hdus(made)
    write_product(hdus, path)
