"""The verdict on a map: is its hot part needed for the answer, or sufficient, more than any other part of its size?

The hot part is a *tube*: the cells with the most evidence, in space and time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from vidcam.errors import UsageError
from vidcam.methods.cell_geometry import CellGeometry
from vidcam.metrics.faithfulness import Interval
from vidcam.metrics.imputers import check_imputers
from vidcam.metrics.removals import Removals, Score
from vidcam.values import FloatArray, UInt8Array

__all__ = ["SHARE", "Trial", "Verdict", "judge", "move_tube", "run_trial", "tubes_for"]

Bools = npt.NDArray[np.bool_]
Word = Literal["supported", "weak", "not supported"]

SHARE = 0.15
"""The share of the cells that is the hot tube."""

MATTERS, FAINT = 0.05, 0.02
"""A smaller margin of probability is weak, and one below the second is none, however certain it is.

In a network that has learned nothing, the probabilities hardly change whatever is removed, but what little they do is certain.
"""

TUBES = 60
"""How many tubes elsewhere the hot tubes of all clips are compared with.

By chance, a tube is the best of 61 once in 61 times (1.6 %): so even one clip can reach the 5 % level.
"""

MAX_EXCHANGES = 300_000
"""Exchanges that are all counted; if there are more, a random sample of this size is."""


@dataclass(frozen=True)
class Verdict:
    """A ``word`` and its figures, in probability of the explained class, as means over the clips (``windows`` of them).

    ``removed`` is lost without the hot tube, ``removed_elsewhere`` without another tube of its size and shape; ``kept`` is left
    with only the hot tube, ``kept_elsewhere`` with only another. ``margin`` is the mean of the two differences, with its 95 %
    interval over the clips. ``whole`` is the probability before anything is removed; ``times`` are the middles of the clips in
    seconds, if they are known.
    """

    word: Word
    removed: float
    removed_elsewhere: float
    kept: float
    kept_elsewhere: float
    margin: Interval
    windows: int
    whole: float
    times: tuple[float, ...] = ()


@dataclass(frozen=True)
class Trial:
    """One clip: the probability as it is, without the hot tube, with only the hot tube, and both for each tube elsewhere."""

    whole: float
    without: float
    only: float
    without_others: tuple[float, ...]
    only_others: tuple[float, ...]

    @property
    def margins(self) -> FloatArray:
        """How much more each tube is needed and suffices than the others on average, ``(1 + tubes,)``, the hot one first."""
        without, only = np.array([self.without, *self.without_others]), np.array([self.only, *self.only_others])
        worth = (only - without) / 2
        return np.asarray((worth - worth.mean()) * len(worth) / (len(worth) - 1))


def tubes_for(clips: int) -> int:
    """Return how many tubes elsewhere to try in each of ``clips`` clips, at least six."""
    return max(6, math.ceil(TUBES / clips))


def run_trial(
    frames: UInt8Array,
    values: FloatArray,
    where: CellGeometry,
    score: Score,
    *,
    tubes: int = TUBES,
    imputer: str = "blur",
    seed: int = 0,
) -> Trial:
    """Try one clip ``(T,H,W,3)`` with the map ``values (T',h,w)``; the ``tubes`` others are the hot one moved elsewhere.

    Raises UsageError for a map that does not fit its cells or is not finite, and for an unknown imputer.
    """
    if not np.isfinite(values).all() or values.shape != where.grid:
        raise UsageError(f"a map of {where.grid} finite values is needed, got {values.shape}")
    check_imputers([imputer])
    rng = np.random.default_rng(seed)
    tube = _hot_tube(values, rng)
    masks = [tube, *(move_tube(tube, rng) for _ in range(tubes))]
    removals = Removals(frames, where, score, imputer)
    whole, *without = removals([np.zeros_like(tube), *masks]).tolist()
    only = removals([~m for m in masks]).tolist()
    return Trial(whole, without[0], only[0], tuple(without[1:]), tuple(only[1:]))


def _hot_tube(values: FloatArray, rng: np.random.Generator) -> Bools:
    """Return the cells with the most evidence; cells of equal value are taken at random, and those without evidence never."""
    shuffled = rng.permutation(values.size)
    order = shuffled[np.argsort(-values.ravel()[shuffled], kind="stable")]
    hot = np.zeros(values.size, bool)
    hot[order[: max(1, round(SHARE * values.size))]] = True
    return np.asarray((hot & (values.ravel() > 0)).reshape(values.shape))


def move_tube(tube: Bools, rng: np.random.Generator) -> Bools:
    """Return the same cells elsewhere: rolled by a random distance in space and time, each but the nearest equally likely.

    A tube at the same place a moment earlier or later (at most an eighth of the clip) says the same as the tube itself. All other
    places count, also those that overlap it: if they did not, a map that hits by chance what the model needs would be compared
    only with tubes that miss it.
    """
    moment = len(tube) // 8
    if tube.size == 1:
        return tube
    while True:
        t, y, x = (int(rng.integers(n)) for n in tube.shape)
        if y or x or moment < t < len(tube) - moment:
            return np.roll(tube, (t, y, x), axis=(0, 1, 2))


def judge(trials: Sequence[Trial], *, seed: int = 0) -> Verdict:
    """Return the verdict over the clips of a video, at least one; they should not overlap, or they repeat themselves.

    The margin is how much more the hot tube is needed, or suffices, than tubes elsewhere, as the mean of both. One of the two
    would be too hard a test, because a network may know an action by more than one part.

    - *supported*: the margin is certain (its interval lies above 0) and noticeable (at least ``MATTERS``);
    - *weak*: the margin is certain, but hardly noticeable (at least ``FAINT``);
    - *not supported*: tubes elsewhere may do as well, or the difference is next to nothing.

    So a map of nothing is called anything but *not supported* less often than one time in 40.
    """
    margin = _exchange(trials, np.random.default_rng(seed))
    is_certain = margin.low > 1e-9  # more than the rounding of sums
    word: Word = "not supported"
    if is_certain and margin.mean >= FAINT:
        word = "supported" if margin.mean >= MATTERS else "weak"
    return Verdict(
        word, float(np.mean([t.whole - t.without for t in trials])),
        float(np.mean([t.whole - o for t in trials for o in t.without_others])), float(np.mean([t.only for t in trials])),
        float(np.mean([o for t in trials for o in t.only_others])), margin, len(trials),
        float(np.mean([t.whole for t in trials])),
    )  # fmt: skip


def _exchange(trials: Sequence[Trial], rng: np.random.Generator) -> Interval:
    """Return the mean margin with the interval of a randomisation test (Edgington & Onghena 2007, chapter 3), inverted.

    If the hot tubes were worth a certain difference more, and that were subtracted from them, any tube of a clip might as well
    have been the hot one. The interval holds the differences for which the mean margin is not among the outer 2.5 % of those that
    arise if, in every way, one tube of each clip is taken for the hot one. A single clip is enough for it.
    """
    margin = float(np.mean([t.margins[0] for t in trials]))
    means, gains = np.zeros(1), np.zeros(1)  # of each exchange: its mean margin, and what a subtracted difference adds to it
    for t in trials:
        others = len(t.margins) - 1
        means = np.add.outer(means, t.margins / len(trials)).ravel()
        gains = np.add.outer(gains, np.array([-1.0, *[1 / others] * others]) / len(trials)).ravel()
        if means.size > MAX_EXCHANGES:
            sample = np.append(0, rng.integers(means.size, size=MAX_EXCHANGES))  # the first is the true order
            means, gains = means[sample], gains[sample]
    outer = int(0.025 * means.size)  # as many of the exchanges, the true order among them
    if outer < 1:
        return Interval(margin, -1.0, 1.0)
    fair = np.sort((margin - means[1:]) / np.maximum(1 + gains[1:], 1e-12))  # makes each exchange as good as the true order
    return Interval(margin, float(fair[outer - 1]), float(fair[-outer]))
