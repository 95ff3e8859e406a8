"""The forward model: how much charge a source loses on its way to the amplifier.

    python examples/simulate_trails.py --out losses.png

Sources of 100, 1000 and 10 000 electrons in one pixel, each alone in its column, are read out from several rows.
What is missing in that pixel afterwards, and what lies in the 60 pixels behind it, is the effect that
`gpucti.correct_arrays` undoes. Needs matplotlib for the picture; without --out only the table is printed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import gpucti

SOURCES = (100.0, 1_000.0, 10_000.0)  # electrons
ROWS = np.arange(0, 1024, 93)  # counted from the register; the last is row 1023
COLOURS = ("#0072b2", "#d55e00", "#009e73")


def main() -> None:
    parser = argparse.ArgumentParser(description="Charge lost to trails by distance from the amplifier.")
    parser.add_argument("--mjd", type=float, default=58300.0, help="date of the exposure [58300, July 2018]")
    parser.add_argument("--sky", type=float, default=2.0, help="electrons in every other pixel [2]")
    parser.add_argument("--device", default="auto", help="auto, cpu, numpy, numba, cuda, cuda:N or N [auto]")
    parser.add_argument("--out", type=Path, help="picture to write")
    arguments = parser.parse_args()

    lost = losses(arguments.mjd, arguments.sky, arguments.device)
    print(f"Charge missing in the pixel of the source, %  (MJD {arguments.mjd:g}, sky {arguments.sky:g} e-)\n")
    print("rows from the register" + "".join(f"{source:>10,.0f} e-" for source in SOURCES))
    for row, values in zip(ROWS, lost, strict=True):
        print(f"{row + 1:22d}" + "".join(f"{100.0 * value:13.2f}" for value in values))
    if arguments.out is not None:
        draw(lost, arguments.mjd, arguments.sky, arguments.out)
        print(f"\n{arguments.out} drawn")


def losses(mjd: float, sky: float, device: str) -> np.ndarray:
    """Return the part of each source that its pixel has lost, ``(rows, sources)``."""
    columns = np.arange(len(ROWS) * len(SOURCES)).reshape(len(ROWS), len(SOURCES))
    scene = np.full((1024, columns.size), sky)
    scene[ROWS[:, np.newaxis], columns] += SOURCES
    empty = np.full((1024, 1), sky)
    trailed, trailed_sky = (gpucti.add_cti_arrays(image, mjd=mjd, amp="A", device=device) for image in (scene, empty))
    kept = trailed[ROWS[:, np.newaxis], columns] - trailed_sky[ROWS]
    return 1.0 - kept / SOURCES


def draw(lost: np.ndarray, mjd: float, sky: float, out: Path) -> None:
    """Draw the losses against distance from the amplifier."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False})
    figure, axes = plt.subplots(figsize=(7.0, 4.4), layout="constrained")
    for source, values, colour in zip(SOURCES, 100.0 * lost.T, COLOURS, strict=True):
        axes.plot(ROWS + 1, values, "o-", color=colour, lw=1.8, ms=5)
        axes.text(ROWS[-1] + 20, values[-1], f"{source:,.0f} e-", va="center", color=colour)
    axes.set_xlim(0, 1150)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("rows from the register")
    axes.set_ylabel("charge missing in the source's pixel (%)")
    axes.set_title(f"One pixel, sky of {sky:g} e-, MJD {mjd:g}", loc="left", size=12)
    figure.savefig(out, dpi=110)


if __name__ == "__main__":
    main()
