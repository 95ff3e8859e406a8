"""What must be true of a PCTETAB before its figures are used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gpucti.errors import ReferenceFileError
from gpucti.model.traps import REFERENCE_ROW, TAIL

if TYPE_CHECKING:
    from gpucti.model.pctetab import Pctetab

#: Versions of the table that this code knows how to read: 0.1 to 1.x, as stis_cti 1.6.2.
OLDEST_VERSION, NEWEST_VERSION = (0, 1), (1, 999)


def check_table(table: Pctetab, where: str) -> None:
    """Raise `ReferenceFileError` naming the extension and the rule that is broken."""

    def demand(true: bool, extension: str, rule: str) -> None:
        if not true:
            raise ReferenceFileError(rule, where=f"{where}[{extension}]")

    arrays = [table.levels, table.q, table.dtde, table.scale_mjd, table.scale, *table.col_scale.values()]
    arrays += [epoch.node for epoch in table.epochs]
    demand(all(np.ndim(array) == 1 for array in arrays), "0", "a column holds more than one value per row")
    pairs = [("DTDE", table.q, table.dtde), ("CTE_SCALE", table.scale_mjd, table.scale)]
    demand(all(len(a) == len(b) for _, a, b in pairs), "0", "columns of one table differ in length")
    demand(len({len(scale) for scale in table.col_scale.values()}) == 1, "COL_SCALE", "amplifiers differ in length")

    demand(len(table.levels) >= 2, "LEVELS", "fewer than two charge levels")
    demand(_rising(table.levels), "LEVELS", "LEVEL is not sorted; levels must rise strictly")
    demand(table.levels[0] >= 0, "LEVELS", "LEVEL is negative")
    demand(len(table.levels) < np.iinfo(np.int16).max, "LEVELS", "more than 32766 charge levels")

    demand(len(table.q) >= 3, "DTDE", "fewer than three nodes")
    demand(_rising(table.q) and table.q[0] >= 1, "DTDE", "Q is not sorted; charges must rise strictly from 1 or more")
    inside = np.isfinite(table.dtde) & (table.dtde > 0) & (table.dtde <= REFERENCE_ROW)
    demand(bool(inside.all()), "DTDE", f"DTDE must be positive, at most {REFERENCE_ROW}")
    demand(table.levels[-1] <= table.q[-1], "LEVELS", f"a level lies above the last Q of DTDE ({table.q[-1]})")
    # the levels sum the trapped electrons from levels[0] + 1 on
    demand(table.q[0] <= table.levels[0] + 1, "DTDE", "Q begins above the first charge level")

    demand(len(table.scale) >= 2, "CTE_SCALE", "fewer than two dates")
    demand(_rising(table.scale_mjd), "CTE_SCALE", "MJD is not sorted; dates must rise strictly")
    demand(_finite_not_negative(table.scale), "CTE_SCALE", "SCALE must be finite and not negative")

    for amp, scale in table.col_scale.items():
        demand(len(scale) >= 1, "COL_SCALE", "no rows")
        demand(_finite_not_negative(scale), "COL_SCALE", f"AMP{amp} must be finite and not negative")

    demand(len(table.epochs) >= 1, "0", "NCHGLEAK is less than 1")
    for number, epoch in enumerate(table.epochs, start=1):
        name = f"CHG_LEAK{number}"
        demand(epoch.start_mjd < epoch.end_mjd, name, "MJD1 is not before MJD2")
        demand(epoch.profile.shape[1] >= 2, name, "fewer than two LOG_Q columns")
        demand(len(epoch.node) >= 2 and _rising(epoch.node), name, "NODE is not sorted; nodes must rise strictly")
        demand(epoch.node[0] <= 1 and epoch.node[-1] >= TAIL, name, f"NODE must reach from 1 to {TAIL} or more")
        demand(_finite_not_negative(epoch.profile), name, "LOG_Q columns must be finite and not negative")
        released = epoch.profile[epoch.node <= TAIL].sum(axis=0)
        demand(bool((released > 0).all()), name, "a LOG_Q column releases nothing")


def check_version(version: str, where: str) -> None:
    """Raise `ReferenceFileError` unless PCTE_VER is 0.1 to 1.x; text after ``_`` is ignored."""
    figure = version.split("_")[0].strip()
    try:
        major, minor = (int(part) for part in figure.split("."))
    except ValueError:
        raise ReferenceFileError(f"PCTE_VER is {version!r}; expected MAJOR.MINOR, 0.1 to 1.x", where=where) from None
    if not OLDEST_VERSION <= (major, minor) <= NEWEST_VERSION:
        raise ReferenceFileError(f"PCTE_VER is {version!r}; this version of gpucti reads 0.1 to 1.x", where=where)


def _rising(values: npt.NDArray[np.int64] | npt.NDArray[np.float64]) -> bool:
    return bool(np.isfinite(values).all() and (np.diff(values) > 0).all())


def _finite_not_negative(values: npt.NDArray[np.float64]) -> bool:
    return bool(np.isfinite(values).all() and (values >= 0).all())
