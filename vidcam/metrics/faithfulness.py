"""Does the model need what the map shows? Insertion and deletion in space and time, with confidence intervals.

The map gives the order in which its cells are removed; removed pixels are filled in by an *imputer*
(:mod:`vidcam.metrics.imputers`). Petsiuk et al. 2018 (RISE), section 4.3, define insertion and deletion for pixels; here the
units are the map's own cells, blocks of space and time. A score alone says little, because it depends on the imputer, and smooth
maps do well whatever they show. So it is reported beside the scores of baseline maps (:mod:`vidcam.metrics.baselines`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vidcam.errors import UsageError
from vidcam.methods.cell_geometry import CellGeometry
from vidcam.metrics.removals import Removals, Score
from vidcam.values import FloatArray

__all__ = [
    "STEPS", "Curves", "Faithfulness", "Interval", "Score", "bootstrap", "curves_of", "faithfulness_of", "figures_of",
    "insertion_of", "step_error", "widen",
]  # fmt: skip

Integers = npt.NDArray[np.int64]

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


def curves_of(values: FloatArray, removals: Removals, *, steps: int = STEPS) -> Curves:
    """Return the curves of a map ``values (T',h,w)`` in the clip of ``removals``.

    Cells of equal value are taken in a fixed random order: an empty map must not profit from where its cells happen to lie.
    To show the most relevant cells is to remove the least relevant ones, so two curves are predicted and not three.

    Raises:
        UsageError: The map does not fit its cells, or holds values that are not finite.
    """
    rank = _ranks(values, removals.where)
    counts = [round(rank.size * k / steps) for k in range(steps + 1)]
    deletion, insertion = removals([rank < n for n in counts] + [rank >= n for n in counts]).reshape(2, -1)
    return Curves(deletion, insertion[::-1], insertion)


def insertion_of(values: FloatArray, removals: Removals, *, steps: int = STEPS) -> float:
    """Return the ``insertion`` of :func:`faithfulness_of` alone, which needs half of the forward passes."""
    rank = _ranks(values, removals.where)
    return _area(removals([rank >= round(rank.size * k / steps) for k in range(steps + 1)]))


def faithfulness_of(values: FloatArray, removals: Removals, *, steps: int = STEPS) -> Faithfulness:
    """Return the figures of one map ``values (T',h,w)`` in the clip of ``removals``; they are finite for every finite map.

    Args:
        values: The map, signed.
        removals: The clip, its cells, and the model. Maps that share it share predictions.
        steps: How finely the curves are measured; a divisor of :data:`STEPS` allows to refine them later.

    Raises:
        UsageError: The map does not fit its cells, or holds values that are not finite.
    """
    return figures_of(curves_of(values, removals, steps=steps), values, removals)


def figures_of(curves: Curves, values: FloatArray, removals: Removals) -> Faithfulness:
    """Return the figures of a map ``values (T',h,w)`` whose :func:`curves_of` are known."""
    before = float(curves.deletion[0])
    after = removals.faded(np.maximum(values, 0.0) / max(float(values.max()), 1e-12))
    insertion, deletion = _area(curves.insertion), _area(curves.deletion)
    return Faithfulness(
        insertion=insertion, deletion=deletion, lerf_minus_morf=insertion - deletion,
        drop=max(0.0, before - after) / max(before, 1e-12), increase=float(after > before),
    )  # fmt: skip


def step_error(curve: FloatArray) -> float:
    """Return by how much the area of a curve with few steps may differ from that with :data:`STEPS`, if it only rises or falls.

    The curve may change at once anywhere between two of its points, and the trapezoid rule takes the middle.
    """
    steps = len(curve) - 1
    return float(np.abs(np.diff(curve)).sum()) * (STEPS / steps - 1) / (2 * STEPS)


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


def widen(interval: Interval, by: float, *, within: tuple[float, float]) -> Interval:
    """Return the interval made longer by ``by`` at both ends, within the range that its values can have."""
    return Interval(interval.mean, max(interval.low - by, within[0]), min(interval.high + by, within[1]))


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
