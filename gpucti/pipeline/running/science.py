"""The science stage of a run: raw exposures bias-subtracted, CTI-corrected, calibrated, and put in place."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from gpucti.calibration.base import BiasSubtracted, Engine
from gpucti.correction.batches import batches
from gpucti.correction.exposures import CtiProduct, correct_exposures, require_finite
from gpucti.correction.provenance import RECIPE
from gpucti.errors import EngineError, InputError
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
    Plan,
    ScienceTask,
    Tools,
)
from gpucti.progress import RunLog

#: Image sets held in memory at a time, about: bounds memory for folders of any size.
IMSETS_AT_A_TIME = 16


class ScienceDone(NamedTuple):
    """What was made of one exposure.

    Attributes
    ----------
    products : tuple of Path
        The corrected exposure and everything calibrated from it.
    omitted : tuple of str
        What its header asks for and was not made.
    repairs : tuple of int
        Repaired columns per imset.
    """

    products: tuple[Path, ...]
    omitted: tuple[str, ...]
    repairs: tuple[int, ...]


def calibrate_science(plan: Plan, tools: Tools, run_log: RunLog) -> list[ScienceDone]:
    """Calibrate the exposures of a plan that are not there yet; return what was made of each."""
    todo = [task for task in plan.science if not task.reuse]
    done: list[ScienceDone] = []
    with ThreadPoolExecutor(IO_THREADS, thread_name_prefix="gpucti-science") as pool:
        for chunk in batches(todo, lambda task: task.headers.n_imsets, IMSETS_AT_A_TIME):
            with run_log.timing("reading"):
                raws = list(pool.map(_read, chunk))
            with run_log.timing("bias"):
                blts = list(pool.map(tools.engine.subtract_bias, raws))
            with run_log.timing("CTI of science"):
                corrected = _correct(chunk, raws, blts, tools)
            with run_log.timing("calibration"):
                finish = [
                    pool.submit(_calibrate, task, blt.trailer, product, tools.engine)
                    for task, blt, product in zip(chunk, blts, corrected, strict=True)
                ]
                for task, future in zip(chunk, finish, strict=True):
                    result = future.result()
                    done.append(result)
                    names = " ".join(path.stem.removeprefix(f"{task.root}_") for path in result.products)
                    run_log.step("science", f"{task.root}: {names}", len(todo))
    return done


def _read(task: ScienceTask) -> Exposure:
    """Read a raw exposure, with the references that the plan has for it."""
    raw = Exposure.read(task.path)
    if raw.sha256 != task.headers.sha256:  # its recipe would be another's
        raise InputError("changed while the run was going on; run again", where=task.path)
    require_finite(raw)
    primary = renamed(raw.primary, task.headers.names)
    return replace(raw, primary=primary, wavecal_names=task.headers.wavecal_names)


def _correct(
    tasks: Sequence[ScienceTask], raws: Sequence[Exposure], blts: Sequence[BiasSubtracted], tools: Tools
) -> list[CtiProduct]:
    """Return the exposures without trails, called ``<root>_cte.fits``, with the dark to subtract in their headers."""
    exposures = []
    for task, raw, blt in zip(tasks, raws, blts, strict=True):
        exposure = blt.exposure.with_imsets(blt.exposure.imsets)
        exposure = replace(exposure, path=task.product(CORRECTED), sha256=raw.sha256, wavecal_names=raw.wavecal_names)
        if task.darkfile:
            exposure.primary["DARKFILE"] = task.darkfile
        exposures.append(exposure)
    products = correct_exposures(exposures, [tools.provenance] * len(exposures), tools.backend)
    for task, product in zip(tasks, products, strict=True):
        product.exposure.primary[RECIPE] = task.recipe
    return products


def _calibrate(task: ScienceTask, bias_trailer: str, product: CtiProduct, engine: Engine) -> ScienceDone:
    """Calibrate one exposure in a hidden folder and move what came out into place.

    The corrected exposure is written last: where it is, and names its products, they are all there.
    """
    folder, exposure = task.path.parent, product.exposure
    with _work_folder(folder) as work:
        made = engine.calibrate(exposure, work, SUFFIXES)
        if not made.products:
            raise EngineError(
                f"nothing was made of it; its header asks for no calibration after the bias subtraction "
                f"that engine {engine.name} can do. Set the switches that are wanted to PERFORM",
                where=task.path,
            )
        for suffix, text in zip(TRAILERS, (bias_trailer, made.trailer), strict=True):
            with atomic_output(folder / f"{task.root}_{suffix}", overwrite=True) as stream:
                stream.write(text.encode())
        products = []
        for kind, path in made.products.items():
            products.append(task.product(SUFFIXES[kind]))
            path.replace(products[-1])
    exposure.primary[PRODUCTS] = (" ".join(SUFFIXES[kind] for kind in made.products), "products made of this exposure")
    exposure.primary[PARTIAL] = (bool(task.shortcomings), "the header asks for more than the engine does")
    exposure.primary[OMITTED] = (len(made.omitted), "things not made or doubtful, see the trailer")
    kept = exposure.write(task.product(CORRECTED), overwrite=True)
    return ScienceDone(
        (kept, *products), tuple(f"{task.root}: {sentence}" for sentence in made.omitted), product.repairs
    )


@contextmanager
def _work_folder(folder: Path) -> Iterator[Path]:
    """Make a hidden folder for the block; a killed run's is cleared by the next one."""
    work = folder / temporary_name("calibration")
    work.mkdir()
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
