"""The dark stage of a run: component darks corrected batch by batch, super-darks made as soon as theirs are there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from gpucti.correction.batches import FileStream, batches
from gpucti.correction.exposures import correct_exposures, require_finite
from gpucti.correction.provenance import RECIPE
from gpucti.darks.superdarks import Superdark, combine_basedark, combine_weekdark, read_superdark, write_superdark
from gpucti.detector import FULL_COLS, FULL_ROWS
from gpucti.errors import InputError
from gpucti.io.cards import renamed
from gpucti.io.exposure import Exposure
from gpucti.pipeline.planning.tasks import DarkTask, Plan, SuperdarkTask, Tools
from gpucti.progress import RunLog

#: Darks corrected in one call at most, however large the device.
MAX_BATCH = 64


class _Dark(NamedTuple):
    """A dark that was read, and whether it still has its trails."""

    exposure: Exposure
    trailed: bool


def make_superdarks(plan: Plan, tools: Tools, run_log: RunLog) -> tuple[list[Path], int]:
    """Make the super-darks of a plan that cannot be reused; return them, and the number of darks corrected.

    Corrected darks are written while the next batch is computed, and dropped when their last super-dark is made.
    """
    todo = [task for task in plan.superdarks if not task.reuse]
    if not todo:
        return [], 0
    stage = _DarkStage(plan.darks, todo, tools, run_log)
    with FileStream(run_log.timing) as stream:
        size = min(MAX_BATCH, tools.backend.images_per_batch(FULL_ROWS, FULL_COLS))
        for tasks, darks in stream.read(batches(plan.darks, lambda task: 1, size), stage.read):
            stage.correct(tasks, darks, stream)
            stage.combine()
    return [task.path for task in todo], stage.corrected


class _DarkStage:
    """Holds the darks and super-darks that are still needed."""

    def __init__(
        self, dark_tasks: Sequence[DarkTask], todo: Sequence[SuperdarkTask], tools: Tools, run_log: RunLog
    ) -> None:
        self._dark_tasks = list(dark_tasks)
        self._todo = list(todo)
        self._tools = tools
        self._log = run_log
        self._darks: dict[Path, Exposure] = {}
        self._basedarks: dict[Path, Superdark] = {}
        self._uses = Counter(dark.file.path for task in todo for dark in task.darks)
        self._total = len(todo)
        self.corrected = 0

    def read(self, task: DarkTask) -> _Dark:
        """Read a dark, its corrected version if that will do."""
        if task.reuse:
            try:
                dark = Exposure.read(task.output)
                require_finite(dark)
                return _Dark(dark, trailed=False)
            except InputError as error:
                self._log.say(f"{error}; made again from {task.file.path}")
        dark = Exposure.read(task.file.path)
        if dark.sha256 != task.file.sha256:
            raise InputError("changed while the run was going on; run again", where=task.file.path)
        dark.require_trimmed()
        dark.require_uncorrected()
        require_finite(dark)
        return _Dark(dark, trailed=True)

    def correct(self, tasks: Sequence[DarkTask], darks: Sequence[_Dark], stream: FileStream) -> None:
        """Correct the darks of a batch that have trails and begin to write them; hold all of them."""
        total = len(self._dark_tasks)
        trailed = [(task, dark.exposure) for task, dark in zip(tasks, darks, strict=True) if dark.trailed]
        for task, dark in zip(tasks, darks, strict=True):
            if not dark.trailed:
                self._darks[task.file.path] = dark.exposure
                self._log.step("darks", f"{task.output.name} reused", total)
        if not trailed:
            return
        with self._log.timing("CTI of darks"):
            exposures = [dark for _, dark in trailed]
            corrected = correct_exposures(exposures, [self._tools.provenance] * len(exposures), self._tools.backend)
        for (task, _), done in zip(trailed, corrected, strict=True):
            kept = replace(done.exposure, path=task.output)
            self._darks[task.file.path] = kept
            stream.write(_write, kept, task.output)
            self.corrected += 1
            repaired = f", {sum(done.repairs)} columns repaired" if any(done.repairs) else ""
            self._log.step("darks", f"{task.file.path.name} corrected{repaired}", total)

    def combine(self) -> None:
        """Make the super-darks whose darks are all there, then let go of darks that none waits for."""
        for task in list(self._todo):
            ready = all(dark.file.path in self._darks for dark in task.darks)
            if not ready or (task.basedark is not None and not self._has(task.basedark)):
                continue
            with self._log.timing("super-darks"):
                self._make(task)
            self._todo.remove(task)
            for dark in task.darks:
                self._uses[dark.file.path] -= 1
                if not self._uses[dark.file.path]:
                    del self._darks[dark.file.path]

    def _has(self, basedark: SuperdarkTask) -> bool:
        return basedark.reuse or basedark not in self._todo

    def _dark(self, task: DarkTask) -> Exposure:
        """Return a dark with the references of the run; what is written of it keeps those of its file."""
        dark = self._darks[task.file.path]
        return replace(dark, primary=renamed(dark.primary, task.file.names))

    def _make(self, task: SuperdarkTask) -> None:
        darks = [self._dark(dark) for dark in task.darks]
        references, backend = self._tools.references, self._tools.backend
        if task.basedark is None:
            superdark = combine_basedark(darks, references=references, backend=backend)
            self._basedarks[task.path] = superdark
        else:
            path = task.basedark.path
            if path not in self._basedarks:
                self._basedarks[path] = read_superdark(path)
            superdark = combine_weekdark(
                darks,
                self._basedarks[path],
                references=references,
                backend=backend,
                basedark_name=f"$ctirefs/{path.name}",
            )
        superdark.primary[RECIPE] = task.recipe
        superdark.primary["PCTESHAT"] = self._tools.provenance.pctetab.sha256
        write_superdark(superdark, task.path, overwrite=True)
        self._log.step("super-darks", f"{task.path.name} from {len(darks)} darks", self._total)


def _write(dark: Exposure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    dark.write(path, overwrite=True)
