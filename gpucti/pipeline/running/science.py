"""The science stage of a run: raw exposures bias-subtracted, CTI-corrected, calibrated, and put in place."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypeVar

from gpucti.correction.batches import batches
from gpucti.correction.exposures import CtiProduct, correct_exposures, require_finite
from gpucti.correction.provenance import RECIPE
from gpucti.errors import EngineError, Failure, GpuctiError, InputError
from gpucti.io.atomic import atomic_output, temporary_name
from gpucti.io.cards import renamed
from gpucti.io.exposure import Exposure
from gpucti.io.inputs import IO_THREADS
from gpucti.pipeline.planning.tasks import (
    CORRECTED,
    OMITTED,
    PARTIAL,
    PRODUCTS,
    SUFFIXES,
    TRAILERS,
    ScienceTask,
    Tools,
)
from gpucti.pipeline.running.attempts import attempt_each, attempt_together, ends_the_run
from gpucti.progress import RunLog

#: Image sets held in memory at a time, about: bounds memory for folders of any size.
IMSETS_AT_A_TIME = 16


class ScienceDone(NamedTuple):
    """What was made of one exposure.

    Attributes
    ----------
    root : str
        What its products are called after.
    products : tuple of Path
        The corrected exposure and everything calibrated from it.
    omitted, doubts : tuple of str
        What its header asks for and was not made; what was made and may be wrong.
    repairs : tuple of int
        Repaired columns per imset.
    engine : str
        Name of the engine that calibrated it.
    """

    root: str
    products: tuple[Path, ...]
    omitted: tuple[str, ...]
    doubts: tuple[str, ...]
    repairs: tuple[int, ...]
    engine: str


class _Raw(NamedTuple):
    """A raw exposure, with the references that the plan has for it."""

    task: ScienceTask
    exposure: Exposure


class _Biased(NamedTuple):
    """A bias-subtracted exposure, called ``<root>_cte.fits``, and what was said of its bias."""

    task: ScienceTask
    exposure: Exposure
    trailer: str


class _Corrected(NamedTuple):
    """An exposure without trails, and what was said of its bias."""

    task: ScienceTask
    product: CtiProduct
    trailer: str


_Item = ScienceTask | _Raw | _Biased | _Corrected
T = TypeVar("T")


def calibrate_science(
    tasks: Sequence[ScienceTask], tools: Tools, run_log: RunLog
) -> tuple[list[ScienceDone], list[Failure]]:
    """Calibrate exposures; return what was made of each, and which failed: of those nothing is left."""
    stage = _ScienceStage(tools, run_log, len(tasks))
    pool = ThreadPoolExecutor(IO_THREADS, thread_name_prefix="gpucti-science")
    try:
        for chunk in batches(tasks, lambda task: task.headers.n_imsets, IMSETS_AT_A_TIME):
            stage.treat(chunk, pool)
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        tools.engine.close()  # ends what its processes are at
        raise
    finally:
        pool.shutdown()
    return stage.done, stage.failures


class _ScienceStage:
    """Takes exposures from the raw files to the products, a chunk at a time; one that fails ends by itself."""

    def __init__(self, tools: Tools, run_log: RunLog, total: int) -> None:
        self._tools = tools
        self._log = run_log
        self._total = total
        self.done: list[ScienceDone] = []
        self.failures: list[Failure] = []

    def treat(self, chunk: Sequence[ScienceTask], pool: Executor) -> None:
        """Do everything for some exposures, side by side."""
        with self._log.timing("reading"):
            raws = self._left(attempt_each(pool, chunk, _path, _read))
        with self._log.timing("bias"):
            biased = self._left(attempt_each(pool, raws, _path, self._subtract_bias))
        with self._log.timing("CTI of science"):
            corrected = self._left(attempt_together(biased, _path, self._correct)) if biased else []
        with self._log.timing("calibration"):
            for done in attempt_each(pool, corrected, _path, self._calibrate):
                for result in self._left([done]):
                    self.done.append(result)
                    names = " ".join(path.stem.removeprefix(f"{result.root}_") for path in result.products)
                    self._log.step("science", f"{result.root}: {names}", self._total)

    def _left(self, results: Iterable[T | Failure]) -> list[T]:
        """Return the results that are none of failures, which are told of."""
        left: list[T] = []
        for result in results:
            if isinstance(result, Failure):
                self.failures.append(result)
                self._log.step("science", f"{Path(result.item).name} FAILED: {result.reason}", self._total)
            else:
                left.append(result)
        return left

    def _subtract_bias(self, raw: _Raw) -> _Biased:
        """Subtract the bias, and name the dark to subtract in the header."""
        task, blt = raw.task, self._tools.engine.subtract_bias(raw.exposure)
        exposure = blt.exposure.with_imsets(blt.exposure.imsets)
        exposure = replace(
            exposure,
            path=task.product(CORRECTED),
            sha256=raw.exposure.sha256,
            wavecal_names=raw.exposure.wavecal_names,
        )
        if task.darkfile:
            exposure.primary["DARKFILE"] = task.darkfile
        return _Biased(task, exposure, blt.trailer)

    def _correct(self, biased: Sequence[_Biased]) -> list[_Corrected]:
        """Remove the trails of several exposures together."""
        exposures = [each.exposure for each in biased]
        products = correct_exposures(exposures, [self._tools.provenance] * len(exposures), self._tools.backend)
        for each, made in zip(biased, products, strict=True):
            made.exposure.primary[RECIPE] = each.task.recipe
        return [_Corrected(each.task, made, each.trailer) for each, made in zip(biased, products, strict=True)]

    def _calibrate(self, corrected: _Corrected) -> ScienceDone:
        """Calibrate one exposure in a hidden folder and move what came out into place.

        The corrected exposure is written last: where it is, and names its products, they are all there.
        """
        task, (exposure, repairs), engine = corrected.task, corrected.product, self._tools.engine
        folder = task.path.parent
        with _work_folder(folder) as work, _none_or_all() as placed:
            made = engine.calibrate(exposure, work, SUFFIXES)
            if not made.products:
                raise EngineError(
                    f"nothing was made of it; its header asks for no calibration after the bias subtraction "
                    f"that engine {engine.name} can do. Set the switches that are wanted to PERFORM",
                    where=task.path,
                )
            for suffix, text in zip(TRAILERS, (corrected.trailer, made.trailer), strict=True):
                placed.append(folder / f"{task.root}_{suffix}")
                with atomic_output(placed[-1], overwrite=True) as stream:
                    stream.write(text.encode())
            products = []
            for kind, path in made.products.items():
                products.append(task.product(SUFFIXES[kind]))
                placed.append(products[-1])
                path.replace(products[-1])
            said = (*made.omitted, *made.doubts)
            suffixes = " ".join(SUFFIXES[kind] for kind in made.products)
            exposure.primary[PRODUCTS] = (suffixes, "products made of this exposure")
            exposure.primary[PARTIAL] = (bool(task.shortcomings), "the header asks for more than the engine does")
            exposure.primary[OMITTED] = (len(said), "things not made or doubtful, see the trailer")
            kept = exposure.write(task.product(CORRECTED), overwrite=True)
        omitted, doubts = (tuple(f"{task.root}: {each}" for each in those) for those in (made.omitted, made.doubts))
        return ScienceDone(task.root, (kept, *products), omitted, doubts, repairs, made.engine)


def _path(item: _Item) -> Path:
    """Return what an item is called in a failure: its raw file."""
    return item.path if isinstance(item, ScienceTask) else item.task.path


def _read(task: ScienceTask) -> _Raw:
    """Read a raw exposure, with the references that the plan has for it."""
    raw = Exposure.read(task.path)
    if raw.sha256 != task.headers.sha256:  # its recipe would be another's
        raise InputError("changed while the run was going on; run again", where=task.path)
    require_finite(raw)
    primary = renamed(raw.primary, task.headers.names)
    return _Raw(task, replace(raw, primary=primary, wavecal_names=task.headers.wavecal_names))


@contextmanager
def _none_or_all() -> Iterator[list[Path]]:
    """Yield a list of files that the block puts into place; they go if it fails and others are to go on."""
    placed: list[Path] = []
    try:
        yield placed
    except (GpuctiError, OSError) as error:
        for path in placed if not ends_the_run(error) else ():
            with suppress(OSError):
                path.unlink()
        raise


@contextmanager
def _work_folder(folder: Path) -> Iterator[Path]:
    """Make a hidden folder for the block; a killed run's is cleared by the next one."""
    work = folder / temporary_name("calibration")
    work.mkdir()
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
