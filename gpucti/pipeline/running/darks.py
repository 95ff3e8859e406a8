"""The dark stage of a run: component darks corrected batch by batch, super-darks made as soon as theirs are there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from gpucti.correction.batches import FileStream, batches
from gpucti.correction.exposures import CtiProduct, correct_exposures, require_finite
from gpucti.correction.provenance import RECIPE
from gpucti.darks.superdarks import (
    Superdark,
    combine_basedark,
    combine_weekdark,
    read_superdark,
    require_component,
    write_superdark,
)
from gpucti.detector import FULL_COLS, FULL_ROWS
from gpucti.errors import Failure, InputError
from gpucti.io.cards import renamed
from gpucti.io.exposure import Exposure
from gpucti.pipeline.planning.tasks import DarkTask, Plan, SuperdarkTask, Tools
from gpucti.pipeline.running.attempts import attempt, attempt_together
from gpucti.progress import RunLog

#: Darks corrected in one call at most, however large the device.
MAX_BATCH = 64


class DarksDone(NamedTuple):
    """What the dark stage made.

    Attributes
    ----------
    superdarks : tuple of Path
        Super-darks made.
    corrected : int
        Number of darks corrected.
    bad_darks : tuple of Failure
        Darks that turned out to be unusable; the item is the path of the dark.
    failed : tuple of Failure
        Super-darks that could not be made; the item is their path.
    """

    superdarks: tuple[Path, ...] = ()
    corrected: int = 0
    bad_darks: tuple[Failure, ...] = ()
    failed: tuple[Failure, ...] = ()


class _Dark(NamedTuple):
    """A dark that was read, and whether it still has its trails."""

    exposure: Exposure
    trailed: bool


def make_superdarks(plan: Plan, tools: Tools, run_log: RunLog) -> DarksDone:
    """Make the super-darks of a plan that cannot be reused.

    Corrected darks are written while the next batch is computed, and dropped when their last super-dark is made. A dark
    that turns out to be unusable ends the super-darks that it belongs to; the others are made.
    """
    todo = [task for task in plan.superdarks if not task.reuse]
    if not todo:
        return DarksDone()
    stage = _DarkStage(plan.darks, todo, tools, run_log)
    with FileStream(run_log.timing) as stream:
        size = min(MAX_BATCH, tools.backend.images_per_batch(FULL_ROWS, FULL_COLS))
        for tasks, darks in stream.read(batches(plan.darks, lambda task: 1, size), stage.read):
            stage.correct(tasks, darks, stream)
            stage.combine()
    return DarksDone(tuple(stage.made), stage.corrected, tuple(stage.bad_darks), tuple(stage.failed))


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
        self.made: list[Path] = []
        self.corrected = 0
        self.bad_darks: list[Failure] = []
        self.failed: list[Failure] = []

    def read(self, task: DarkTask) -> _Dark | Failure:
        """Read a dark, its corrected version if that will do; return why it cannot be used."""
        return attempt(task.file.path, partial(self._read, task))

    def _read(self, task: DarkTask) -> _Dark:
        if task.reuse:
            try:
                dark = Exposure.read(task.output)
                require_finite(dark)
                require_component(dark)
                return _Dark(dark, trailed=False)
            except InputError as error:
                self._log.say(f"{error}; made again from {task.file.path}")
        dark = Exposure.read(task.file.path)
        if dark.sha256 != task.file.sha256:
            raise InputError("changed while the run was going on; run again", where=task.file.path)
        dark.require_trimmed()
        dark.require_uncorrected()
        require_finite(dark)
        require_component(dark)
        return _Dark(dark, trailed=True)

    def correct(self, tasks: Sequence[DarkTask], darks: Sequence[_Dark | Failure], stream: FileStream) -> None:
        """Correct the darks of a batch that have trails and begin to write them; hold all of them."""
        total = len(self._dark_tasks)
        trailed = []
        for task, dark in zip(tasks, darks, strict=True):
            if isinstance(dark, Failure):
                self._give_up_dark(task, dark)
            elif dark.trailed:
                trailed.append((task, dark.exposure))
            else:
                self._hold(task, dark.exposure)
                self._log.step("darks", f"{task.output.name} reused", total)
        if not trailed:
            return
        with self._log.timing("CTI of darks"):
            corrected = attempt_together(trailed, lambda pair: pair[0].file.path, self._corrected)
        for (task, _), done in zip(trailed, corrected, strict=True):
            if isinstance(done, Failure):
                self._give_up_dark(task, done)
                continue
            kept = replace(done.exposure, path=task.output)
            self._hold(task, kept)
            stream.write(_write, kept, task.output)
            self.corrected += 1
            repaired = f", {sum(done.repairs)} columns repaired" if any(done.repairs) else ""
            self._log.step("darks", f"{task.file.path.name} corrected{repaired}", total)

    def _corrected(self, pairs: Sequence[tuple[DarkTask, Exposure]]) -> list[CtiProduct]:
        exposures = [dark for _, dark in pairs]
        return correct_exposures(exposures, [self._tools.provenance] * len(exposures), self._tools.backend)

    def combine(self) -> None:
        """Make the super-darks whose darks are all there, then let go of darks that none waits for."""
        for task in list(self._todo):
            ready = all(dark.file.path in self._darks for dark in task.darks)
            if task not in self._todo or not ready or (task.basedark is not None and not self._has(task.basedark)):
                continue
            with self._log.timing("super-darks"):
                failure = attempt(task.path, partial(self._make, task))
            if isinstance(failure, Failure):
                self._give_up(task, failure.reason)
                continue
            self._done_with(task)
            self.made.append(task.path)

    def _hold(self, task: DarkTask, dark: Exposure) -> None:
        """Keep a dark for the super-darks that need it, if there still are any."""
        if self._uses[task.file.path]:
            self._darks[task.file.path] = dark

    def _give_up_dark(self, task: DarkTask, failure: Failure) -> None:
        """Go on without a dark, and without the super-darks that it belongs to."""
        self.bad_darks.append(failure)
        self._log.step("darks", f"{task.file.path.name} FAILED: {failure.reason}", len(self._dark_tasks))
        for superdark in list(self._todo):
            if task in superdark.darks:
                self._give_up(superdark, f"the dark {task.file.path.name} cannot be used")

    def _give_up(self, task: SuperdarkTask, reason: str) -> None:
        """Go on without a super-dark, and without those that are built on it."""
        if task not in self._todo:
            return
        self.failed.append(Failure(str(task.path), reason))
        self._log.step("super-darks", f"{task.path.name} FAILED: {reason}", self._total)
        self._done_with(task)
        for other in list(self._todo):
            if other.basedark is task:
                self._give_up(other, f"its basedark {task.path.name} is not made: {reason}")

    def _done_with(self, task: SuperdarkTask) -> None:
        """Let go of a super-dark, and of the darks that it was the last to need."""
        self._todo.remove(task)
        for dark in task.darks:
            self._uses[dark.file.path] -= 1
            if not self._uses[dark.file.path]:
                self._darks.pop(dark.file.path, None)

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
