"""What the pictures have in common: colours, and texts as matplotlib can draw them."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from gpucti.errors import MissingPackageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Colours that people with any colour vision can tell apart (Okabe and Ito), the strongest contrast first.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
INK, FAINT = "#222222", "#8c8c8c"
#: Last character that the fonts of matplotlib certainly have: Latin, Greek, Cyrillic.
_LAST, _MORE = 0x4FF, "−…"
#: How units are written: as in the files (capitals and blanks left out), and in pictures.
_UNITS = {
    "counts/s": r"counts s$^{-1}$",
    "counts": "counts",
    "electrons": "electrons",
    "electrons/s": r"electrons s$^{-1}$",
    "erg/s/cm**2/angstrom": r"erg s$^{-1}$ cm$^{-2}$ $\mathrm{\AA}^{-1}$",
    "erg/s/cm**2/angstrom/arcsec**2": r"erg s$^{-1}$ cm$^{-2}$ $\mathrm{\AA}^{-1}$ arcsec$^{-2}$",
}


def require_matplotlib() -> None:
    """Raise `MissingPackageError` unless pictures can be drawn: matplotlib may be absent, or fail in any way.

    No window and no backend is needed: figures are drawn and written without pyplot. But matplotlib cannot be imported
    if MPLBACKEND names a backend that it does not know.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingPackageError(f"pictures need matplotlib ({error}); pip install matplotlib") from error
    except Exception as error:
        found = (
            f"matplotlib is installed but cannot be imported ({type(error).__name__}: {' '.join(str(error).split())})"
        )
        raise MissingPackageError(
            f"{found}; unset MPLBACKEND if it is set, or pip install --upgrade matplotlib"
        ) from error


def plain(text: object) -> str:
    """Return a text that is drawn as it stands: no formulas, no characters without a glyph."""
    shown = "".join(c if c.isprintable() and (ord(c) <= _LAST or c in _MORE) else "?" for c in str(text))
    return shown.replace("$", r"\$")


def unit_text(unit: str, exponent: int = 0) -> str:
    """Return a unit in brackets, with a power of ten before it; empty if there is neither."""
    shown = _UNITS.get(unit.replace(" ", "").lower(), plain(unit))
    power = rf"$10^{{{exponent}}}$ " if exponent else ""
    inside = f"{power}{shown}".strip()
    return f" [{inside}]" if inside else ""


def power_of_ten(values: npt.NDArray[np.float64]) -> int:
    """Return the power of ten to divide by, 0 for values that are easily read without."""
    largest = float(np.max(np.abs(values), initial=0.0, where=np.isfinite(values)))
    if largest == 0 or not math.isfinite(largest):
        return 0
    exponent = math.floor(math.log10(largest))
    return 0 if -3 < exponent < 5 else exponent


def text_of(header: fits.Header, name: str) -> str:
    """Return a keyword as text, empty if there is none or it cannot be read."""
    try:
        value = header.get(name)
    except (fits.VerifyError, ValueError):
        return ""
    if value is None or isinstance(value, fits.card.Undefined):
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value).strip()


def describe(primary: fits.Header) -> dict[str, str]:
    """Return what a title can say about an exposure or a reference file, by what it is about."""
    filetype = text_of(primary, "FILETYPE")
    if filetype not in ("", "SCI"):
        return _describe_reference(primary, filetype)
    target, element, wave, aperture, time, date = (
        _said(primary, name) for name in ("TARGNAME", "OPT_ELEM", "CENWAVE", "APERTURE", "TEXPTIME", "TDATEOBS")
    )
    spectrum = text_of(primary, "OBSTYPE") == "SPECTROSCOPIC"
    detector, mode = _said(primary, "DETECTOR"), _said(primary, "OBSMODE")
    return {
        "target": target,
        "mode": mode if mode.startswith("ACQ") else "",
        "detector": "" if detector == "CCD" else detector,
        "element": f"{element} {wave} Å" if spectrum and element and wave else element,
        "aperture": aperture,
        "subarray": _subarray(primary),
        "time": f"{time} s" if time else "",
        "date": date,
    }


def _describe_reference(primary: fits.Header, filetype: str) -> dict[str, str]:
    """Return what a title can say about a reference file: a super-dark's components are told by PEDIGREE."""
    kind = _said(primary, "TASKNAME").lower() if filetype == "DARK IMAGE" else ""
    said = text_of(primary, "DESCRIP").strip("- ")
    gain = _said(primary, "CCDGAIN") or "".join(re.findall(r"gain *= *(\d+)", said)[:1])
    dates = re.findall(r"(\d\d)/(\d\d)/(\d{4})", text_of(primary, "PEDIGREE"))
    return {
        "target": "super-dark" if filetype == "DARK IMAGE" else filetype.lower(),
        "kind": kind,
        "detector": _said(primary, "DETECTOR"),
        "element": _said(primary, "OPT_ELEM"),
        "aperture": _said(primary, "APERTURE"),
        "gain": f"gain {gain}" if gain else "",
        "date": " to ".join("-".join(reversed(date)) for date in dates[:2]),
    }


def _said(primary: fits.Header, name: str) -> str:
    """Return a keyword as text, empty where it stands for anything or nothing."""
    value = text_of(primary, name)
    return "" if value in ("ANY", "N/A", "-1", "-999") else value


def _subarray(primary: fits.Header) -> str:
    size = [text_of(primary, name) for name in ("SIZAXIS1", "SIZAXIS2")]
    return f"subarray {size[0]} × {size[1]}" if primary.get("SUBARRAY") is True and all(size) else ""


def common_title(primaries: Iterable[fits.Header]) -> str:
    """Return what all exposures have in common."""
    each = [describe(primary) for primary in primaries]
    shared = [value for name, value in each[0].items() if value and all(other.get(name) == value for other in each)]
    return plain("   ".join(shared))


def file_label(path: Path, others: Iterable[Path]) -> str:
    """Return what a file is called in a picture: its name, and where others have the same, the folders that differ."""
    parts = _parts(path)
    rest = [other for other in map(_parts, others) if other != parts and other[-1] == parts[-1]]
    for count in range(1, len(parts) + 1):
        if all(other[-count:] != parts[-count:] for other in rest):
            break
    short = (parts[-count], "…", parts[-1])
    if count > 2 and all((other[-count:][0], "…", other[-1]) != short for other in rest):
        return plain("/".join(short))
    return plain("/".join(parts[-count:]))


def _parts(path: Path) -> tuple[str, ...]:
    """Return the folders of a file, and its short name."""
    whole = Path(os.path.abspath(path))  # noqa: PTH100 -- links stay, '..' goes
    return (*whole.parent.parts, short_name(path))


def short_name(path: Path) -> str:
    """Return the name of a file without ``.fits`` and ``.gz``."""
    return path.name.removesuffix(".gz").removesuffix(".fits")


def tidy(axes: Axes) -> None:
    """Give axes the looks of the house."""
    axes.tick_params(direction="out", length=4, color=FAINT, labelcolor=INK, labelsize=9)
    for spine in axes.spines.values():
        spine.set_color(FAINT)
        spine.set_linewidth(0.8)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
