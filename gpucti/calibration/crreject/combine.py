"""Cosmic rays distinguished from signal and left out of the sum: CalSTIS's ocrreject on arrays.

Single precision throughout, and every operation rounds where the original rounds: sums run over the images in their
order, and no product is fused into a sum. The result does not depend on the size of the bands or the number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gpucti.backends.base import Array, Backend
from gpucti.calibration.crreject.hits import neighbours_within, with_surroundings
from gpucti.calibration.crreject.sky import sky_mode
from gpucti.calibration.crreject.table import CrParameters
from gpucti.detector import DQ_COSMIC_RAY
from gpucti.errors import InputError

f32 = np.float32
#: Pixels worked on at a time in host memory: the temporaries of a band stay in the second-level cache.
BAND_PIXELS = 65536

Rows = slice


class CrCombined(NamedTuple):
    """What `combine` returns; arrays are on the backend's device.

    Attributes
    ----------
    sci : (rows, cols) float32
        The sum over the whole exposure time, sky included; where no image is good, the sky alone.
    err : (rows, cols) float32
        Its uncertainty from the noise model; 0 where no image is good.
    dq : (rows, cols) int16
        All bits of all inputs; 8192 only where every image was rejected.
    masks : tuple of (rows, cols) int16
        DQ of each input with 8192 where it was rejected; empty without CRMASK.
    sky : (n,) float32, host
        Sky of each image, counts.
    n_rejected : int
        Pixels rejected, over all images.
    exptime : float32
        Total exposure time, seconds.
    """

    sci: Array
    err: Array
    dq: Array
    masks: tuple[Array, ...]
    sky: npt.NDArray[np.float32]
    n_rejected: int
    exptime: np.float32


@dataclass(frozen=True, eq=False)
class _Images:
    """The images as they are compared, and their noise model.

    Attributes
    ----------
    rates : list of (rows, cols) float32
        Sky-subtracted counts per second.
    excluded : list of (rows, cols) bool, or None
        Pixels that never count; None where there are none.
    time, gain, sky, noise : (n,) float32, host
        Seconds, electrons per count, counts, read noise in counts.
    scale : float32
        Noise proportional to the signal.
    """

    rates: list[Array]
    excluded: list[Array | None]
    time: npt.NDArray[np.float32]
    gain: npt.NDArray[np.float32]
    sky: npt.NDArray[np.float32]
    noise: npt.NDArray[np.float32]
    scale: np.float32

    def __len__(self) -> int:
        return len(self.rates)


def combine(
    sci: Sequence[Array],
    dq: Sequence[Array],
    exptimes: Sequence[float],
    read_noise: Sequence[float],
    gain: Sequence[float],
    parameters: CrParameters,
    backend: Backend,
) -> CrCombined:
    """Return the sum of images of one scene without what cosmic rays added.

    Parameters
    ----------
    sci : n arrays (rows, cols), or a stack
        Counts, in any floating type; taken in single precision.
    dq : n arrays (rows, cols)
        Data-quality bits.
    exptimes : (n,) float
        Seconds; all 0 for biases, which then count alike.
    read_noise : (n,) float
        Electrons (READNSE).
    gain : (n,) float
        Electrons per count (ATODGAIN).
    parameters : CrParameters
        From `gpucti.calibration.crreject.table.read_rejection_parameters`.
    backend : Backend
        Whose device does the work.

    Returns
    -------
    CrCombined

    Raises
    ------
    InputError
        Fewer than two images, shapes that differ, NaN or infinity in an image, some but not all exposure times 0.

    References
    ----------
    CalSTIS 3.5.0, cs2 (ocrreject), after the algorithm of the IRAF task crrej.
    """
    xp = backend.xp
    times = _checked_times(exptimes, sci, dq)
    exptime = _running_sum(times)
    total = exptime if exptime > 0 else f32(len(times))
    times = times if exptime > 0 else np.ones_like(times)

    images = _prepare(sci, dq, times, read_noise, gain, parameters, xp)
    mean, variance = _first_guess(images, sci, parameters, xp)
    for number, sigma in enumerate(map(f32, parameters.sigmas), start=1):
        last = number == len(parameters.sigmas)
        rejected = _reject(images, mean, variance, sigma, parameters, xp)
        mean, exposed, variance_sum = _average(images, rejected, mean, last=last, xp=xp)
        variance = None

    good = exposed > 0
    exposed = xp.where(good, exposed, f32(1))
    skysum = _running_sum(images.sky)
    err = (xp.sqrt(variance_sum.astype(np.float64)) / exposed).astype(f32)
    err = xp.where(good, err, f32(0)) * total
    bits = [xp.asarray(flags).astype(np.int16) & np.int16(~DQ_COSMIC_RAY) for flags in dq]
    n_rejected = sum(int(xp.count_nonzero(hits)) for hits in rejected)
    masks: tuple[Array, ...] = ()
    if parameters.mask:
        masks = tuple(_flagged(flags, hits, xp) for flags, hits in zip(bits, rejected, strict=True))
    for flags, hits in zip(bits[1:], rejected[1:], strict=True):
        bits[0] |= flags
        rejected[0] &= hits
    return CrCombined(
        mean * total + skysum, err, _flagged(bits[0], rejected[0], xp), masks, images.sky, n_rejected, exptime
    )


def _checked_times(exptimes: Sequence[float], sci: Sequence[Array], dq: Sequence[Array]) -> npt.NDArray[np.float32]:
    """Return the exposure times; raise `InputError` for what cannot be combined."""
    times = np.asarray(exptimes, dtype=f32)
    if len(sci) < 2:
        raise InputError(
            f"cosmic-ray rejection got {len(sci)} image; expected two at least, there is nothing to compare"
        )
    shapes = {tuple(array.shape) for array in (*sci, *dq)}
    if len(shapes) > 1 or len(sci[0].shape) != 2 or not len(sci) == len(dq) == len(times):
        raise InputError(
            f"cosmic-ray rejection got {len(sci)} SCI, {len(dq)} DQ and {len(times)} times, of shapes "
            f"{sorted(shapes)}; expected as many of each, and one shape"
        )
    if not (np.isfinite(times) & (times >= 0)).all() or 0 < np.count_nonzero(times) < len(times):
        raise InputError(
            f"cosmic-ray rejection: EXPTIME is {', '.join(f'{time:g}' for time in times)}; expected times above 0, or "
            "0 for all"
        )
    return times


def _prepare(
    sci: Sequence[Array],
    dq: Sequence[Array],
    times: npt.NDArray[np.float32],
    read_noise: Sequence[float],
    gain: Sequence[float],
    parameters: CrParameters,
    xp: Any,
) -> _Images:
    """Take the sky off all images and divide them by their exposure times."""
    electrons, gains = np.asarray(read_noise, dtype=f32), np.asarray(gain, dtype=f32)

    def prepare(n: int) -> tuple[Array, Array | None, np.float32]:
        counts = xp.asarray(sci[n], dtype=f32)
        bits = xp.asarray(dq[n])
        if not bool(xp.isfinite(counts).all()):
            raise InputError(f"cosmic-ray rejection: image {n + 1} holds NaN or infinity; replace those pixels")
        sky = sky_mode(counts, bits, xp) if parameters.skysub == "mode" else f32(0)
        rate = counts - sky
        rate /= times[n]
        bad = (bits & parameters.badinpdq) != 0 if parameters.badinpdq else None
        return rate, bad if bad is not None and bool(bad.any()) else None, sky

    with _workers(xp) as spread:
        rates, excluded, sky = zip(*spread(prepare, range(len(sci))), strict=True)
    return _Images(
        list(rates),
        list(excluded),
        times,
        gains,
        np.array(sky, dtype=f32),
        electrons / gains,
        f32(parameters.scalense / 100.0),
    )


def _first_guess(
    images: _Images, sci: Sequence[Array], parameters: CrParameters, xp: Any
) -> tuple[Array, Array | None]:
    """Return the first guess of the rate, and its variance if it is the minimum. Data quality is not looked at."""
    guess = xp.empty_like(images.rates[0])
    variance = xp.empty_like(guess) if parameters.initgues == "minimum" else None

    def median(rows: Rows) -> None:
        ordered = xp.sort(xp.stack([rate[rows] for rate in images.rates]), axis=0)
        half = len(ordered) // 2
        if len(ordered) % 2:
            guess[rows] = ordered[half]
        else:
            guess[rows] = (ordered[half - 1] + ordered[half]) / f32(2)

    def minimum(rows: Rows) -> None:
        lowest = images.rates[0][rows]
        raw = xp.asarray(sci[0][rows], dtype=f32)
        which = xp.zeros(lowest.shape, dtype=np.int16)
        for n in range(1, len(images)):
            rate = images.rates[n][rows]
            less = rate < lowest
            lowest = xp.where(less, rate, lowest)
            raw = xp.where(less, xp.asarray(sci[n][rows], dtype=f32), raw)
            which = xp.where(less, np.int16(n), which)
        noise, gain, time, sky = (
            xp.asarray(values)[which] for values in (images.noise, images.gain, images.time, images.sky)
        )
        above = xp.maximum(raw - sky, f32(0)) * images.scale
        guess[rows] = lowest
        variance[rows] = ((noise * noise + xp.maximum(raw, f32(0)) / gain) + above * above) / (time * time)  # type: ignore[index]

    with _workers(xp) as spread:
        for _ in spread(median if variance is None else minimum, _bands(guess.shape, xp)):
            pass
    return guess, variance


def _reject(
    images: _Images, mean: Array, variance: Array | None, sigma: np.float32, parameters: CrParameters, xp: Any
) -> list[Array]:
    """Return where each image holds a hit or its surroundings, by comparison with `mean`.

    With `variance`, of the first guess, it is the noise of all images; otherwise the noise model is asked.
    """
    neighbours = neighbours_within(parameters.radius)
    share = f32(parameters.thresh) * f32(parameters.thresh) if parameters.thresh > 0 else f32(-1)
    bands = _bands(mean.shape, xp)

    def reject(n: int) -> Array:
        hot, warm = xp.empty(mean.shape, dtype=bool), xp.empty(mean.shape, dtype=bool)
        for rows in bands:
            away = images.rates[n][rows] - mean[rows]
            away *= away
            if variance is not None:
                limit = sigma * sigma * variance[rows]
                spill_limit = limit
            else:
                limit, spill_limit = _limits(images, n, mean[rows], sigma, xp)
            xp.greater(away, limit, out=hot[rows])
            xp.greater(away, share * spill_limit, out=warm[rows])
        return with_surroundings(hot, warm, images.excluded[n], neighbours, xp)

    with _workers(xp) as spread:
        return list(spread(reject, range(len(images))))


def _limits(images: _Images, n: int, mean: Array, sigma: np.float32, xp: Any) -> tuple[Array, Array]:
    """Return the thresholds for hits and for their neighbours, on the square of the residual rate."""
    time, sky = images.time[n], images.sky[n]
    counts = mean * time
    counts += sky
    limit = xp.maximum(counts, f32(0))
    limit /= images.gain[n]
    limit += images.noise[n] * images.noise[n]
    if images.scale == 0:
        spill_limit = limit
    else:
        counts -= sky
        xp.maximum(counts, f32(0), out=counts)
        counts *= images.scale
        counts *= counts
        spill_limit, limit = limit, limit + counts
        spill_limit *= sigma * sigma
        spill_limit /= time * time
    limit *= sigma * sigma
    limit /= time * time
    return limit, spill_limit


def _average(images: _Images, rejected: list[Array], mean: Array, *, last: bool, xp: Any) -> tuple[Array, Array, Array]:
    """Return the mean rate of what is left, its exposure time, and the variance of the sum (None before `last`).

    Where nothing is left the mean stays as it was, and becomes 0 in the last iteration.
    """
    average, exposed = xp.empty_like(mean), xp.zeros_like(mean)
    variances = xp.zeros_like(mean) if last else None

    def accumulate(rows: Rows) -> None:
        counts, time = xp.zeros_like(mean[rows]), exposed[rows]
        for n in range(len(images)):
            bad, excluded = rejected[n][rows], images.excluded[n]
            if excluded is not None:
                bad = bad | excluded[rows]
            signal = images.rates[n][rows] * images.time[n]
            if variances is not None:
                noise = _variance(signal, images, n, xp)
                xp.copyto(noise, 0, where=bad)
                variances[rows] += noise
            xp.copyto(signal, 0, where=bad)
            counts += signal
            signal.fill(images.time[n])
            xp.copyto(signal, 0, where=bad)
            time += signal
        left = time > 0
        average[rows] = xp.where(left, counts / xp.where(left, time, f32(1)), f32(0) if last else mean[rows])

    with _workers(xp) as spread:
        for _ in spread(accumulate, _bands(mean.shape, xp)):
            pass
    return average, exposed, variances


def _variance(signal: Array, images: _Images, n: int, xp: Any) -> Array:
    """Return the variance of an image by the noise model; here the share of the signal counts the sky too."""
    counts = signal + images.sky[n]
    xp.maximum(counts, f32(0), out=counts)
    noise = counts / images.gain[n]
    noise += images.noise[n] * images.noise[n]
    counts *= images.scale
    counts *= counts
    noise += counts
    return noise


def _flagged(bits: Array, rejected: Array, xp: Any) -> Array:
    return bits | xp.where(rejected, np.int16(DQ_COSMIC_RAY), np.int16(0))


def _running_sum(values: npt.NDArray[np.float32]) -> np.float32:
    """Return the sum, rounded after every step."""
    return f32(np.cumsum(values, dtype=f32)[-1])


def _bands(shape: tuple[int, int], xp: Any) -> list[Rows]:
    """Return bands of rows that cover an image: one on a device, many in host memory."""
    rows, cols = shape
    step = max(1, BAND_PIXELS // cols) if xp is np else rows
    return [slice(first, min(first + step, rows)) for first in range(0, rows, step)]


@contextmanager
def _workers(xp: Any) -> Iterator[Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]]:
    """Give a `map` that spreads work over the processor's cores; on a device, a plain one."""
    threads = min(8, os.cpu_count() or 1) if xp is np else 1
    if threads == 1:
        yield lambda work, items: map(partial(_quietly, work), items)
        return
    with ThreadPoolExecutor(threads, thread_name_prefix="gpucti-cr") as pool:
        yield lambda work, items: pool.map(partial(_quietly, work), items)


def _quietly(work: Callable[[Any], Any], item: Any) -> Any:
    """Let absurd counts become infinite, as in the original."""
    with np.errstate(over="ignore", invalid="ignore"):
        return work(item)
