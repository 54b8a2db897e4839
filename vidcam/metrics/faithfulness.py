"""Does the model need what the map shows? Insertion and deletion in space-time, with intervals, always beside the controls.

The order in which cells are removed comes from the map; what is removed becomes a baseline (:mod:`vidcam.metrics.imputers`).
Petsiuk
et al. 2018 (RISE), section 4.3, define insertion and deletion for pixels; here the units are the map's own cells, blocks of space
and time. A score by itself says little: it depends on the baseline, and smooth maps do well whatever they show. So each stands
beside the same score of maps that know nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vidcam.errors import UsageError
from vidcam.methods.cell_geometry import CellGeometry
from vidcam.metrics.imputers import faded, pixels_of, replacing
from vidcam.values import FloatArray, UInt8Array

__all__ = ["STEPS", "Curves", "Faithfulness", "Interval", "bootstrap", "curves", "faithfulness", "insertion"]

Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

Score = Callable[[UInt8Array], FloatArray]
"""How probable the explained class is in clips ``(B,T,H,W,3)``: ``(B,)``, 0 to 1."""

STEPS = 12


@dataclass(frozen=True)
class Curves:
    """The class's probability while cells go, ``(STEPS + 1,)`` each: at share ``k / STEPS`` of the cells.

    ``deletion``: removed, most relevant first; ``kept``: removed, least relevant first; ``insertion``: shown, most relevant
    first, all else removed.
    """

    deletion: FloatArray
    kept: FloatArray
    insertion: FloatArray


@dataclass(frozen=True)
class Faithfulness:
    """What one map of one clip is worth, all from 0 to 1 but ``gap``.

    ``insertion`` and ``deletion`` are areas under the curves (high and low is good); ``gap`` is the area between removing the
    least and the most relevant first (LeRF - MoRF, Tomsett et al. 2020; -1 to 1, high is good); ``drop`` says how much of the
    probability is lost where only the map's part is shown, ``increase`` whether it rises there (Chattopadhyay et al. 2018,
    section 4.1; low and high is good).
    """

    insertion: float
    deletion: float
    gap: float
    drop: float
    increase: float


def curves(
    frames: UInt8Array, values: FloatArray, where: CellGeometry, score: Score, *, baseline: str, steps: int = STEPS
) -> Curves:
    """The curves of a map ``values (T',h,w)`` with cells at ``where`` in a clip ``(T,H,W,3)``.

    Cells of equal value go in a fixed random order: a map that says nothing must not profit from where its cells happen to lie.
    """
    rank = _ranks(values, where)
    removed = replacing(frames, baseline)
    masks = _hottest(rank, where, frames, steps)
    lasts = _hottest(rank.size - 1 - rank, where, frames, steps)
    probs = score(np.stack([removed(m) for m in masks] + [removed(m) for m in lasts] + [removed(~m) for m in masks]))
    return Curves(*np.asarray(probs, np.float64).reshape(3, steps + 1))


def insertion(frames: UInt8Array, values: FloatArray, where: CellGeometry, score: Score, *, baseline: str) -> float:
    """The area under the insertion curve alone, as in :func:`faithfulness`, for a third of the clips to compute."""
    removed = replacing(frames, baseline)
    probs = score(np.stack([removed(~m) for m in _hottest(_ranks(values, where), where, frames, STEPS)]))
    return _area(np.asarray(probs, np.float64))


def _hottest(rank: Integers, where: CellGeometry, frames: UInt8Array, steps: int) -> list[Bools]:
    """The pixels of the cells of least ``rank``: of none, of ``1 / steps`` of them, ... of all."""
    return [pixels_of(rank < round(rank.size * k / steps), where, frames.shape[:3]) for k in range(steps + 1)]


def faithfulness(frames: UInt8Array, values: FloatArray, where: CellGeometry, score: Score, *, baseline: str) -> Faithfulness:
    """The figures of one map; finite for every map and clip."""
    found = curves(frames, values, where, score, baseline=baseline)
    before = float(found.deletion[0])
    heat = np.maximum(values, 0.0) / max(float(values.max()), 1e-12)
    fine = np.stack([heat[i] for i in _nearest_times(where, len(frames))])
    after = float(score(faded(frames, _enlarged(fine, where, frames.shape[1:3]), baseline)[None])[0])
    return Faithfulness(
        insertion=_area(found.insertion), deletion=_area(found.deletion), gap=_area(found.kept) - _area(found.deletion),
        drop=max(0.0, before - after) / max(before, 1e-12), increase=float(after > before),
    )  # fmt: skip


@dataclass(frozen=True)
class Interval:
    """A mean and the interval in which it lies with 95 % confidence; NaN to NaN where that cannot be told."""

    mean: float
    low: float
    high: float


NORMAL, STUDENT = 1.959964, (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""The 97.5 % quantiles of the normal distribution and of Student's with 1, 2, ... degrees of freedom."""


def bootstrap(
    values: Sequence[float] | FloatArray, *, within: tuple[float, float] = (-1.0, 1.0), draws: int = 2000, seed: int = 0
) -> Interval:
    """The mean of at least one value with its percentile bootstrap interval (Efron & Tibshirani 1993, chapter 13).

    Drawn from few values it is too narrow: of three it would hold the true mean 75 times in 100. So it is widened by what
    Student's interval of as many values has over the normal one (Hesterberg 2015, section 4.1), as far as values can lie at all:
    ``within``. One value alone has none.
    """
    x = np.asarray(values, np.float64)
    if x.size == 0 or not np.isfinite(x).all():
        raise UsageError(f"an interval needs at least one value, all finite, got {x.size} of which {np.isfinite(x).sum()} are")
    mean = float(x.mean())
    if x.size == 1:
        return Interval(mean, math.nan, math.nan)
    rng = np.random.default_rng(seed)
    means = x[rng.integers(0, x.size, (draws, x.size))].mean(1)
    low, high = (float(q) for q in np.quantile(means, [0.025, 0.975]))
    wider = _student(x.size - 1) / NORMAL * math.sqrt(x.size / (x.size - 1))
    return Interval(mean, max(mean + (low - mean) * wider, within[0]), min(mean + (high - mean) * wider, within[1]))


def _student(freedom: int) -> float:
    if freedom <= len(STUDENT):
        return STUDENT[freedom - 1]
    z = NORMAL  # the expansion of Student's quantile around it (Abramowitz & Stegun 1964, 26.7.5)
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def _ranks(values: FloatArray, where: CellGeometry) -> Integers:
    """``(T',h,w)``: 0 for the largest value, 1 for the next, ..."""
    if values.shape != where.grid:
        raise UsageError(f"the map has {values.shape} cells, its placement {where.grid}")
    if not np.isfinite(values).all():
        raise UsageError("the map holds values that are not finite")
    shuffled = np.random.default_rng(0).permutation(values.size)
    order = shuffled[np.argsort(-values.ravel()[shuffled], kind="stable")]
    rank: Integers = np.empty(values.size, np.int64)
    rank[order] = np.arange(values.size)
    return rank.reshape(values.shape)


def _area(curve: FloatArray) -> float:
    return float((curve[1:] + curve[:-1]).mean() / 2)


def _nearest_times(where: CellGeometry, frames: int) -> Integers:
    at: Integers = np.rint((np.arange(frames) - where.time.offset) / where.time.stride).astype(np.int64)
    return at.clip(0, where.time.count - 1)


def _enlarged(maps: FloatArray, where: CellGeometry, size: tuple[int, int]) -> FloatArray:
    """``(T,h,w)`` interpolated to ``(T,H,W)``, every cell at its own centre; outside the outermost ones they go on."""

    def weights(offset: float, stride: float, count: int, length: int) -> FloatArray:
        at = ((np.arange(length) - offset) / stride).clip(0, count - 1)
        near: FloatArray = np.maximum(0.0, 1.0 - np.abs(at[:, None] - np.arange(count)))
        return near

    y, x = (weights(a.offset, a.stride, a.count, n) for a, n in zip((where.y, where.x), size, strict=True))
    return np.asarray(np.einsum("yh,thw,xw->tyx", y, maps, x))
