"""What a backend is: the three operations on stacks of images, and the few array tools round them.

The backends and the kernels share their names; the table "Names in the code" in docs/algorithm.md says what they mean.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from gpucti.errors import InputError
from gpucti.model.traps import REFERENCE_ROW, TrapTable
from gpucti.options import CorrectionOptions

Array = Any  # numpy.ndarray or cupy.ndarray

#: Rounds of the correction that a column may take, the first included (stis_cti FixYCte).
MAX_ROUNDS = 10
#: How far the lowered scale reaches past an over-subtracted pixel: the share of the lowering that the
#: next four rows take (stis_cti FixYCte).
REPAIR_TAPER = (0.8, 0.6, 0.4, 0.2)

#: split_noise (stis_cti DecomposeRN): steps always taken, steps at most, the rms that ends them and the
#: rms of a 3 x 3 box above which the noise is scaled down (both in units of the read noise), and the
#: largest change per step (likewise).
MIN_NOISE_STEPS = 25
MAX_NOISE_STEPS = 30
NOISE_RMS_ENOUGH = 1.10
NOISE_BOX_LIMIT = 1.25
NOISE_STEP = 0.1


class Restored(NamedTuple):
    """What `Backend.remove_cti` returns, on the backend's device.

    Attributes
    ----------
    signal : (n, rows, cols) float64
        Electrons as they were before readout.
    repairs : (n, cols) int32
        How often the trap scale of the column was lowered because a pixel came out over-subtracted.
    scale : (n, rows, cols) float64 or None
        The trap scale at the end, after all lowering; only when asked for (it is as large as the stack).
    """

    signal: Array
    repairs: Array
    scale: Array | None


class Backend(Protocol):
    """Spreads columns over hardware. Holds no state between calls.

    Stacks are ``(n, rows, cols)`` float64, native byte order, C-contiguous, in electrons and in readout
    orientation: row 0 of each image is the one next to the readout register. Inputs are never changed.
    The trap scale of a pixel is ``cte_frac[image] * col_scale[column] * (first_row + row + 1) / 1024``.
    """

    name: str
    xp: Any

    def describe(self) -> str:
        """Return in a few words what this backend runs on, for `gpucti backends`."""

    def asarray(self, array: Array) -> Array:
        """Return `array` on the device as float64, native byte order, C-contiguous (a copy if need be)."""

    def asnumpy(self, array: Array) -> npt.NDArray[Any]:
        """Return `array` as a NumPy array."""

    def images_per_batch(self, rows: int, cols: int) -> int:
        """Return how many images of this size one call should be given at most; at least 1."""

    def split_noise(self, stack: Array, options: CorrectionOptions) -> tuple[Array, Array]:
        """Return signal and read noise, which add up to `stack` (stis_cti ``DecomposeRN``).

        Parameters
        ----------
        stack : (n, rows, cols) float64
            Electrons, readout orientation.
        options : CorrectionOptions
            ``noise_model`` 0 (all is signal), 1 or 2, and ``read_noise``.
        """

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
        """Return the stack as it was before readout (stis_cti ``FixYCte``).

        Parameters
        ----------
        signal : (n, rows, cols) float64
            Electrons as read out, without read noise.
        cte_frac : (n,) float64, host
            Trap density of each image relative to the table's reference date.
        col_scale : (cols,) float64, host
            Trap density of each column relative to the mean one.
        traps : TrapTable
            Built for ``options.shft_nit``.
        first_row : int
            Rows between the readout register and row 0 of the stack.
        keep_scale : bool
            Return the final trap scale of every pixel too.

        References
        ----------
        Anderson & Bedin 2010, PASP 122, 1035; docs/algorithm.md.
        """

    def add_cti(
        self,
        signal: Array,
        cte_frac: npt.NDArray[np.float64],
        col_scale: npt.NDArray[np.float64],
        traps: TrapTable,
        *,
        first_row: int = 0,
    ) -> Array:
        """Return the stack as the readout would trail it (stis_cti ``AddYCte``); see `remove_cti`."""


def check_stack(stack: Array, xp: Any) -> tuple[int, int, int]:
    """Return the shape of a stack that a backend can walk; raise `InputError` for anything else."""
    found = f"{getattr(stack, 'dtype', '?')} {getattr(stack, 'shape', '?')} {type(stack).__name__}"
    if not isinstance(stack, xp.ndarray) or stack.ndim != 3 or stack.dtype != np.float64:
        raise InputError(f"stack is a {found}; expected float64 (n, rows, cols) from asarray()")
    if not stack.flags.c_contiguous or not stack.dtype.isnative:
        raise InputError(f"stack is a {found} that is not C-contiguous and native; pass it through asarray()")
    n, rows, cols = stack.shape
    return int(n), int(rows), int(cols)


def check_scales(
    cte_frac: npt.NDArray[np.float64], col_scale: npt.NDArray[np.float64], n: int, cols: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return both as contiguous float64 of the right shape; raise `InputError` if they are not."""
    cte_frac, col_scale = (np.ascontiguousarray(scale, dtype=np.float64) for scale in (cte_frac, col_scale))
    if cte_frac.shape != (n,) or col_scale.shape != (cols,):
        raise InputError(f"cte_frac is {cte_frac.shape}, col_scale {col_scale.shape}; expected ({n},), ({cols},)")
    return cte_frac, col_scale


def check_traps(traps: TrapTable, options: CorrectionOptions) -> None:
    """Raise `InputError` unless the traps were built for the number of shifts that the options ask for."""
    if traps.shft_nit != options.shft_nit:
        raise InputError(f"traps are for shft_nit {traps.shft_nit}, options say {options.shft_nit}")


def trap_scale(
    cte_frac: npt.NDArray[np.float64], col_scale: npt.NDArray[np.float64], rows: int, first_row: int = 0
) -> npt.NDArray[np.float64]:
    """Return the trap scale of every pixel, ``(n, rows, cols)``, in upstream's order of operations."""
    row = np.arange(first_row + 1, first_row + rows + 1, dtype=np.float64)
    per_column = np.multiply.outer(np.asarray(cte_frac, dtype=np.float64), np.asarray(col_scale, dtype=np.float64))
    return per_column[:, np.newaxis, :] * row[:, np.newaxis] / REFERENCE_ROW
