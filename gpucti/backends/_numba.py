"""The fast CPU backend: Numba loops over columns, spread over threads."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from gpucti.backends._host import HostArrays, noise_steps
from gpucti.backends._optional import is_absent, needed
from gpucti.backends.base import (
    MAX_NOISE_STEPS,
    MIN_NOISE_STEPS,
    Array,
    Restored,
    check_scales,
    check_stack,
    check_traps,
)
from gpucti.errors import BackendUnavailable, in_brief
from gpucti.model.traps import TrapTable
from gpucti.options import CorrectionOptions

_NOISE_ROWS = 128


class NumbaBackend(HostArrays):
    """See `Backend`. Uses `threads`, by default as many as ``numba.get_num_threads()`` says when a call begins."""

    name = "numba"

    def __init__(self, threads: int | None = None) -> None:
        self._numba, self._kernels = _load()
        self._threads = threads
        self.store: Any = self._kernels.STORE

    def describe(self) -> str:
        """See `Backend.describe`."""
        return f"Numba {self._numba.__version__}, {self._get_num_threads()} threads (set NUMBA_NUM_THREADS to change)"

    def _get_num_threads(self) -> int:
        if self._threads is not None:
            return self._threads
        try:
            return int(self._numba.get_num_threads())
        except Exception:  # noqa: BLE001 -- it starts a threading layer; without one nobody has set another number
            return int(self._numba.config.NUMBA_NUM_THREADS)

    def split_noise(self, stack: Array, options: CorrectionOptions) -> tuple[Array, Array]:
        """See `Backend.split_noise`."""
        check_stack(stack, np)
        if options.noise_model == 0:
            return stack.copy(), np.zeros_like(stack)
        signal, noise = np.empty_like(stack), np.empty_like(stack)
        _, rows, cols = stack.shape
        wide = self._kernels.NOISE_COLUMNS
        strips = [(c, min(c + wide, cols)) for c in range(0, cols, wide)]
        bands = [(r, min(r + _NOISE_ROWS, rows)) for r in range(0, rows, _NOISE_ROWS)]
        raw = np.empty((rows, cols))
        squares = np.empty((len(strips), MAX_NOISE_STEPS - MIN_NOISE_STEPS + 1))
        for image, image_signal, image_noise in zip(stack, signal, noise, strict=True):

            def take(strip: int, steps: int, image: Any = image) -> None:
                left, right = strips[strip]
                self._kernels.split_noise_block(left, right, image, steps, options.read_noise, raw, squares[strip])

            def limit(band: tuple[int, int], image: Any = image, s: Any = image_signal, n: Any = image_noise) -> None:
                self._kernels.limit_noise_block(*band, image, raw, options.read_noise, n, s, options.noise_model == 1)

            self._spread(partial(take, steps=MAX_NOISE_STEPS), range(len(strips)))
            steps = noise_steps(squares.sum(axis=0), (rows - 1) * cols, options.read_noise)
            if steps < MAX_NOISE_STEPS:
                self._spread(partial(take, steps=steps), range(len(strips)))
            self._spread(limit, bands)
        return signal, noise

    def remove_cti(
        self,
        signal: Array,
        cte_frac: npt.NDArray[np.float64],
        col_scale: npt.NDArray[np.float64],
        traps: TrapTable,
        options: CorrectionOptions,
        *,
        first_row: int = 0,
        keep_scale: bool = False,
    ) -> Restored:
        """See `Backend.remove_cti`."""
        n, _, cols = check_stack(signal, np)
        cte_frac, col_scale = check_scales(cte_frac, col_scale, n, cols)
        check_traps(traps, options)
        restored, repairs = np.empty_like(signal), np.zeros((n, cols), dtype=np.int32)
        scale = np.empty_like(signal if keep_scale else signal[:0])

        def correct(block: int) -> None:
            self._kernels.remove_cti_block(
                block, signal, cte_frac, col_scale, first_row, options.sim_nit, options.shft_nit,
                options.oversub_thresh, *_tables(traps), restored, repairs, scale,
            )  # fmt: skip

        self._spread(correct, self._blocks(n, cols))
        return Restored(restored, repairs, scale if keep_scale else None)

    def add_cti(
        self,
        signal: Array,
        cte_frac: npt.NDArray[np.float64],
        col_scale: npt.NDArray[np.float64],
        traps: TrapTable,
        *,
        first_row: int = 0,
    ) -> Array:
        """See `Backend.add_cti`."""
        n, _, cols = check_stack(signal, np)
        cte_frac, col_scale = check_scales(cte_frac, col_scale, n, cols)
        trailed = np.empty_like(signal)

        def read_out(block: int) -> None:
            self._kernels.add_cti_block(
                block, signal, cte_frac, col_scale, first_row, traps.shft_nit, *_tables(traps), trailed
            )

        self._spread(read_out, self._blocks(n, cols))
        return trailed

    def _blocks(self, n: int, cols: int) -> range:
        """Return the numbers of the blocks of columns that threads take in turn."""
        return range(n * -(-cols // self._kernels.BLOCK))

    def _spread(self, work: Callable[[Any], None], items: Iterable[Any]) -> None:
        """Do `work` on every item; the kernels let go of the GIL, so threads share the machine."""
        threads = self._get_num_threads()
        if threads == 1:
            for item in items:
                work(item)
            return
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(work, items):
                pass


def _load() -> tuple[Any, Any]:
    """Return Numba and the kernels; raise `BackendUnavailable` for whatever an import of Numba may raise."""
    variables = ", ".join(f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith("NUMBA_"))
    told = f"; set here: {variables}" if variables else ""
    remedy = f"{'correct or unset these, or ' if variables else ''}pip install --upgrade numba numpy"
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", RuntimeWarning)  # of variables that Numba cannot read
            import numba
    except Exception as error:
        if is_absent("numba", error):
            found = f"backend 'numba': Numba cannot be imported ({error})"
            raise BackendUnavailable(found, remedy="pip install numba") from error
        found = f"backend 'numba': Numba is installed but cannot be imported ({in_brief(error)}){told}"
        raise BackendUnavailable(found, remedy=remedy, broken=True) from error
    for warning in said:
        first_line = str(warning.message).partition("\n")[0]  # then comes a traceback
        warnings.warn(f"{first_line} Numba takes its default.", stacklevel=2)
    with needed(f"backend 'numba': the Numba that is installed cannot take the kernels{told}", remedy):
        config: Any = numba.config
        if config.DISABLE_JIT:
            found = "backend 'numba': the variable NUMBA_DISABLE_JIT is set, nothing would be compiled"
            raise BackendUnavailable(found, remedy="unset it", broken=True)
        from gpucti.backends import _numba_kernels
    return numba, _numba_kernels


def _tables(traps: TrapTable) -> tuple[Any, ...]:
    """Return the kernels' view of the table: ``levels, inverse_step, level_of, held``."""
    return traps.levels, traps.inverse_step, traps.level_of, traps.held.ravel()
