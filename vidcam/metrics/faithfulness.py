"""Does the model need what the map shows? Insertion and deletion in space and time, with confidence intervals.

The map gives the order in which its cells are removed; removed pixels are filled in by an *imputer*
(:mod:`vidcam.metrics.imputers`). Petsiuk et al. 2018 (RISE), section 4.3, define insertion and deletion for pixels; here the
units are the map's own cells, blocks of space and time. A score alone says little, because it depends on the imputer, and smooth
maps do well whatever they show. So it is reported beside the scores of baseline maps (:mod:`vidcam.metrics.baselines`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vidcam.errors import UsageError
from vidcam.interpolation import nearest, weight_matrix
from vidcam.methods.cell_geometry import CellGeometry
from vidcam.metrics.imputers import fade_out, make_remover, pixels_of
from vidcam.values import FloatArray, UInt8Array

__all__ = ["STEPS", "Curves", "Faithfulness", "Interval", "bootstrap", "insertion_area", "measure_curves", "measure_faithfulness"]

Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

Score = Callable[[UInt8Array], FloatArray]
"""The probability of the explained class in clips ``(B,T,H,W,3)``: ``(B,)``, 0 to 1."""

STEPS = 12
"""Steps of a curve."""


@dataclass(frozen=True)
class Curves:
    """The class's probability while cells are removed, ``(STEPS + 1,)`` each: at share ``k / STEPS`` of the cells.

    ``deletion``: removed, most relevant first; ``kept``: removed, least relevant first; ``insertion``: shown, most relevant
    first, all else removed.
    """

    deletion: FloatArray
    kept: FloatArray
    insertion: FloatArray


@dataclass(frozen=True)
class Faithfulness:
    """How faithful one map of one clip is; all figures are from 0 to 1, except ``lerf_minus_morf`` from -1 to 1.

    ``insertion`` and ``deletion`` are areas under the curves (high and low is good). ``lerf_minus_morf`` is the area between
    removing the least and the most relevant cells first (Tomsett et al. 2020; high is good). ``drop`` is the share of the
    probability that is lost if only the map's part is shown, ``increase`` is 1 if the probability rises there (Chattopadhyay et
    al. 2018, section 4.1; low and high is good).
    """

    insertion: float
    deletion: float
    lerf_minus_morf: float
    drop: float
    increase: float


def measure_curves(
    frames: UInt8Array, values: FloatArray, where: CellGeometry, score: Score, *, imputer: str, steps: int = STEPS
) -> Curves:
    """Return the curves of a map ``values (T',h,w)`` with cells at ``where`` in a clip ``(T,H,W,3)``.

    Cells of equal value are taken in a fixed random order: an empty map must not profit from where its cells happen to lie.
    """
    rank = _ranks(values, where)
    remove = make_remover(frames, imputer)
    masks = _first_cells(rank, where, frames, steps)
    lasts = _first_cells(rank.size - 1 - rank, where, frames, steps)
    probs = score(np.stack([remove(m) for m in masks] + [remove(m) for m in lasts] + [remove(~m) for m in masks]))
    return Curves(*np.asarray(probs, np.float64).reshape(3, steps + 1))


def insertion_area(frames: UInt8Array, values: FloatArray, where: CellGeometry, score: Score, *, imputer: str) -> float:
    """Return the ``insertion`` of :func:`measure_faithfulness` alone, which needs a third of the forward passes."""
    remove = make_remover(frames, imputer)
    probs = score(np.stack([remove(~m) for m in _first_cells(_ranks(values, where), where, frames, STEPS)]))
    return _area(np.asarray(probs, np.float64))


def _first_cells(rank: Integers, where: CellGeometry, frames: UInt8Array, steps: int) -> list[Bools]:
    """Return the pixels of the cells of lowest ``rank``: of none, of ``1 / steps`` of them, ... of all."""
    return [pixels_of(rank < round(rank.size * k / steps), where, frames.shape[:3]) for k in range(steps + 1)]


def measure_faithfulness(
    frames: UInt8Array, values: FloatArray, where: CellGeometry, score: Score, *, imputer: str
) -> Faithfulness:
    """Return the figures of one map ``values (T',h,w)`` in a clip ``(T,H,W,3)``; they are finite for every finite map.

    Args:
        frames: The clip, uint8.
        values: The map, signed.
        where: Where the map's cells are.
        score: The probability of the explained class.
        imputer: A key of :data:`vidcam.metrics.imputers.IMPUTERS`.

    Raises:
        UsageError: The map does not fit its cells, or holds values that are not finite.
    """
    curves = measure_curves(frames, values, where, score, imputer=imputer)
    before = float(curves.deletion[0])
    heat = np.maximum(values, 0.0) / max(float(values.max()), 1e-12)
    fine = np.stack([heat[i] for i in _nearest_times(where, len(frames))])
    after = float(score(fade_out(frames, _enlarge(fine, where, frames.shape[1:3]), imputer)[None])[0])
    return Faithfulness(
        insertion=_area(curves.insertion), deletion=_area(curves.deletion),
        lerf_minus_morf=_area(curves.kept) - _area(curves.deletion),
        drop=max(0.0, before - after) / max(before, 1e-12), increase=float(after > before),
    )  # fmt: skip


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % confidence interval; ``low`` and ``high`` are NaN if there is none."""

    mean: float
    low: float
    high: float


def bootstrap(
    values: Sequence[float] | FloatArray, *, within: tuple[float, float] = (-1.0, 1.0), draws: int = 2000, seed: int = 0
) -> Interval:
    """Return the mean of at least one value with its percentile bootstrap interval (Efron & Tibshirani 1993, chapter 13).

    Drawn from few values that interval is too narrow: of three it would hold the true mean 75 times in 100. So it is widened by
    the ratio of Student's interval of as many values to the normal one (Hesterberg 2015, section 4.1), within the range
    ``within`` that values can have. One value alone has no interval. Raises UsageError for no values, or values not finite.
    """
    from scipy import stats

    x = np.asarray(values, np.float64)
    if x.size == 0 or not np.isfinite(x).all():
        raise UsageError(f"an interval needs at least one value, all finite, got {x.size} of which {np.isfinite(x).sum()} are")
    mean = float(x.mean())
    if x.size == 1:
        return Interval(mean, math.nan, math.nan)
    rng = np.random.default_rng(seed)
    means = x[rng.integers(0, x.size, (draws, x.size))].mean(1)
    low, high = (float(q) for q in np.quantile(means, [0.025, 0.975]))
    wider = float(stats.t.ppf(0.975, x.size - 1) / stats.norm.ppf(0.975)) * math.sqrt(x.size / (x.size - 1))
    return Interval(mean, max(mean + (low - mean) * wider, within[0]), min(mean + (high - mean) * wider, within[1]))


def _ranks(values: FloatArray, where: CellGeometry) -> Integers:
    """Return ``(T',h,w)``: 0 for the largest value, 1 for the next, ..."""
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
    return nearest(where.time.positions(np.arange(frames)), where.time.count).astype(np.int64)


def _enlarge(maps: FloatArray, where: CellGeometry, size: tuple[int, int]) -> FloatArray:
    """Return maps ``(T,h,w)`` interpolated to ``(T,H,W)`` from the cells' centres; beyond the outermost their values are held."""
    y, x = (weight_matrix(a.positions(np.arange(n)), a.count) for a, n in zip((where.y, where.x), size, strict=True))
    return np.asarray(np.einsum("yh,thw,xw->tyx", y, maps, x))
