"""Correct an image in memory, and see what it does to a star far from the amplifier.

    python examples/correct_arrays.py --out trail.png

A star field is exposed on the STIS CCD, trailed by the forward model as the readout of 2018 would trail it, given
read noise, and corrected. The table says what part of the charge that left the stars came back; the picture shows
one star before and after. Needs matplotlib.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

import gpucti
from gpucti.synthetic.scenes import star_field

MJD = 58300.0  # 2018-07-01
SKY, READ_NOISE = 2.0, 5.6  # electrons
ROWS, COLS = 1024, 1024
COLOURS = {"before readout": "0.82", "as read out": "#d55e00", "corrected": "#0072b2"}  # told apart by all eyes
SOFTENING = 8.0  # electrons: below, the stretch of the picture is linear, above logarithmic


def main() -> None:
    parser = argparse.ArgumentParser(description="Correct a simulated star field and draw one of its trails.")
    parser.add_argument("--out", type=Path, default=Path("trail.png"), help="picture to write [trail.png]")
    parser.add_argument("--device", default="auto", help="auto, cpu, numpy, numba, cuda, cuda:N or N [auto]")
    arguments = parser.parse_args()

    rng = np.random.default_rng(3)
    scene = star_field((ROWS, COLS), rng, sky=SKY, n_stars=4000, brightest=30_000.0)
    charge = rng.poisson(scene).astype(float)  # photons arrive,
    trailed = gpucti.add_cti_arrays(charge, mjd=MJD, amp="D", device=arguments.device)  # the readout trails them,
    noise = rng.normal(0.0, READ_NOISE, charge.shape)  # the amplifier adds its noise

    gpucti.correct_arrays(trailed[:, :8], mjd=MJD, device=arguments.device)  # compiles, in the first run on a machine
    start = time.perf_counter()
    corrected = gpucti.correct_arrays(trailed + noise, mjd=MJD, amp="D", device=arguments.device)
    seconds = time.perf_counter() - start

    images = {"before readout": charge + noise, "as read out": trailed + noise, "corrected": corrected}
    print_table(scene, charge, images)
    print(f"\n{ROWS} x {COLS} pixels corrected in {seconds:.2f} s")
    draw(images, *find_star(scene), arguments.out)
    print(f"{arguments.out} drawn")


def print_table(scene: np.ndarray, charge: np.ndarray, images: dict[str, np.ndarray]) -> None:
    """Print the charge of the stars' pixels, and what part of it is missing, by distance from the amplifier."""
    stars = scene > SKY + 10.0
    print("rows from the   charge of stars   lost to trails   lost after")
    print("register                     e-                %   correction, %")
    for first in range(0, ROWS, 256):
        rows = slice(ROWS - first - 256, ROWS - first)  # amplifier D reads the last row first
        here = stars[rows]
        total = (charge[rows][here] - SKY).sum()
        lost, left = (
            100.0 * (images["before readout"] - images[name])[rows][here].sum() / total
            for name in ("as read out", "corrected")
        )
        print(f"{first + 1:4d} to {first + 256:4d} {total:20,.0f} {lost:16.1f} {left:15.1f}")


def find_star(scene: np.ndarray) -> tuple[int, int]:
    """Return row and column of a star far from the amplifier with the least light round it and behind it."""
    bright = scene[100:200] - SKY
    best, place = np.inf, (0, 0)
    for row, col in np.argwhere((bright > 1000.0) & (bright < 4000.0)) + (100, 0):
        box = scene[row - 7 : row + 8, max(col - 7, 0) : col + 8]
        if scene[row, col] < box.max() or not 20 <= col < COLS - 20:
            continue
        others = box.sum() - scene[row - 3 : row + 4, col - 3 : col + 4].sum()
        behind = scene[row - 70 : row - 7, col - 3 : col + 4].sum()
        if others + behind < best:
            best, place = others + behind, (int(row), int(col))
    return place


def draw(images: dict[str, np.ndarray], row: int, col: int, out: Path) -> None:
    """Draw cut-outs round the star, trails to the right, above the profiles along its columns."""
    behind = np.arange(-24, 97)
    rows, half = row - behind, 13  # amplifier D: trails run towards row 0
    plt.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False})
    figure = plt.figure(figsize=(8.6, 8.4), layout="constrained")
    grid = figure.add_gridspec(4, 2, height_ratios=[1, 1, 1, 1.6], width_ratios=[1, 0.02])
    axes = None
    for panel, (name, image) in enumerate(images.items()):
        axes = figure.add_subplot(grid[panel, 0], sharex=axes)
        shown = axes.imshow(
            stretch(image[rows, col - half : col + half + 1].T),
            vmin=stretch(-SOFTENING),
            vmax=stretch(1500.0),
            cmap="inferno",
            aspect="auto",
            interpolation="nearest",
            extent=(behind[0] - 0.5, behind[-1] + 0.5, half + 0.5, -half - 0.5),
        )
        axes.set_ylabel("column")
        axes.text(0.015, 0.09, name, transform=axes.transAxes, color="white", weight="bold", size=13)
        axes.tick_params(labelbottom=False)
    bar = figure.colorbar(shown, cax=figure.add_subplot(grid[:3, 1]), label="charge per pixel (electrons)")
    ticks = [0, 10, 30, 100, 300, 1000]
    bar.set_ticks(list(stretch(ticks)), labels=[f"{tick:,}" for tick in ticks])

    profile = figure.add_subplot(grid[3, 0], sharex=axes)
    charge = {name: image[rows, col - 1 : col + 2].sum(axis=1) for name, image in images.items()}
    truth = {"color": COLOURS["before readout"], "label": "before readout"}
    profile.fill_between(behind, charge["before readout"], -40.0, step="mid", **truth)
    for name in ("as read out", "corrected"):
        profile.step(behind, charge[name], where="mid", color=COLOURS[name], lw=1.7, label=name)
    profile.set_yscale("symlog", linthresh=30.0, linscale=0.7)
    profile.set_ylim(-40.0, 12000.0)
    profile.set_yticks([0, 30, 100, 300, 1000, 3000], labels=["0", "30", "100", "300", "1,000", "3,000"], minor=False)
    profile.minorticks_off()
    profile.set_xlabel("pixels behind the star, away from the amplifier")
    profile.set_ylabel("sum of 3 columns (electrons)")
    profile.legend(frameon=False, loc="upper right")

    star = {name: image[row - 3 : row + 4, col - 3 : col + 4].sum() - 49 * SKY for name, image in images.items()}
    total = star["before readout"]
    lost, left = (100.0 * (1.0 - star[name] / total) for name in ("as read out", "corrected"))
    figure.suptitle(
        f"A star of {total:,.0f} electrons, {ROWS - row} rows from the amplifier, July 2018 (simulated)\n"
        f"{lost:.0f} % of its charge is missing from its 7 x 7 pixels as read out, {left:.1f} % after the correction",
        x=0.02, ha="left", size=12,
    )  # fmt: skip
    figure.savefig(out, dpi=100)


def stretch(electrons: np.ndarray | list[int] | float) -> np.ndarray:
    """Return charge on the scale of the picture."""
    return np.arcsinh(np.asarray(electrons) / SOFTENING)


if __name__ == "__main__":
    main()
