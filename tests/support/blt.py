"""From a raw frame of the golden visit to its bias-subtracted one: just what CalSTIS does to amplifier D, unbinned.

For the tests only, because the golden visit holds these files as checksums. All sums in the order of CalSTIS 3.5.0,
so that the result has the same bits.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.io import fits

BIAS_COLUMNS = slice(1, 16)
ROWS, COLS = slice(20, 1044), slice(19, 1043)
#: Middle of the bias section, in columns of the trimmed image.
ZERO = -11.0
CLIP_MAD, WINDOW = 4.5, 21


def line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Return slope and intercept of an unweighted straight line."""
    n, sx, sy, sxy, sxx = float(len(x)), 0.0, 0.0, 0.0, 0.0
    for a, b in zip(x.tolist(), y.tolist(), strict=True):
        sx, sy, sxy, sxx = sx + a, sy + b, sxy + a * b, sxx + a * a
    slope = (sxy - (sx / n) * (sy / n) * n) / (sxx - sx * sx / n)
    return slope, sy / n - slope * sx / n


def subtract_bias(
    raw: np.ndarray, bias: np.ndarray, bias_err: np.ndarray, gain: np.float32, read_noise: np.float32, clip: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return SCI and ERR, ``(1024, 1024)`` float32 counts, of one raw imset ``(1044, 1062)``."""
    sci = raw.astype(np.float32).astype(np.float64)
    levels = np.median(sci[ROWS, BIAS_COLUMNS], axis=1)
    slope, level = line(np.arange(1024.0) - 512, levels)
    lines = slope * (np.arange(1024.0) - 512) + level

    overscan = sci[:20, COLS].copy()
    middle = np.median(overscan)
    distance = np.abs(overscan - middle)
    sigma = np.sqrt(np.mean(distance[distance <= CLIP_MAD * np.median(distance)] ** 2))
    for row in overscan:
        for i in np.flatnonzero(row > middle + clip * sigma):
            start = min(max(i - WINDOW // 2, 0), len(row) - WINDOW)
            row[i] = np.median(row[start : start + WINDOW])
    drift, _ = line(np.arange(1024.0) - (0 + 1023) // 2, np.median(overscan, axis=0))

    trimmed = (sci[ROWS, COLS] - lines[:, np.newaxis]) - drift * (np.arange(1024.0) - ZERO)
    trimmed = trimmed.astype(np.float32)
    charge = trimmed * gain
    power = np.maximum(charge, np.float32(0)) + read_noise * read_noise
    err = np.where(
        charge > 0, (np.sqrt(power.astype(np.float64)) / gain).astype(np.float32), np.float32(read_noise / gain)
    )
    return trimmed - bias, np.sqrt(err * err + bias_err * bias_err)


def blt_of(visit: Path, root: str, folder: Path) -> Path:
    """Write ``<root>_blt.fits`` for a raw file of the golden visit and return its path."""
    path = folder / f"{root}_blt.fits"
    with fits.open(visit / "science" / f"{root}_raw.fits.gz") as raw:
        header = raw[0].header
        bias_name, table_name = (str(header[key]).split("$")[-1] for key in ("BIASFILE", "CCDTAB"))
        with fits.open(visit / "oref" / f"{bias_name}.gz") as hdus:
            bias, bias_err = hdus["SCI"].data, hdus["ERR"].data
            bias_err = np.zeros_like(bias) if bias_err is None else bias_err
        with fits.open(visit / "oref" / f"{table_name}.gz") as hdus:
            rows = hdus[1].data
            match = np.ones(len(rows), dtype=bool)
            for key in ("CCDAMP", "CCDGAIN", "CCDOFFST", "BINAXIS1", "BINAXIS2"):
                match &= rows[key] == header[key]
            row = rows[np.flatnonzero(match)[0]]
            gain, noise = np.float32(row["ATODGAIN"]), np.float32(row["READNSE"])
            clip = float(row["BLEV_CLIP"]) if "BLEV_CLIP" in rows.names else 50.0
        header["ATODGAIN"] = float(gain)
        header["BLEVCORR"] = header["BIASCORR"] = "COMPLETE"
        out = fits.HDUList([fits.PrimaryHDU(header=header)])
        for number in range(1, header["NEXTEND"] // 3 + 1):
            sci, err = subtract_bias(raw["SCI", number].data, bias, bias_err, gain, noise, clip)
            arrays = {"SCI": sci, "ERR": err, "DQ": np.zeros(sci.shape, np.int16)}
            for name, array in arrays.items():
                out.append(fits.ImageHDU(array, name=name, ver=number))
        out.writeto(path)
    return path
