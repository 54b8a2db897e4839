"""One word about a map: is the hot tube more needed for the answer, or does it suffice more, than any other tube of its size?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from vidcam.errors import UsageError
from vidcam.methods.cell_geometry import CellGeometry
from vidcam.metrics.faithfulness import Interval, Score
from vidcam.metrics.imputers import BASELINES, pixels_of, replacing
from vidcam.values import FloatArray, UInt8Array

__all__ = ["SHARE", "Trial", "Verdict", "judge", "moved", "trial", "tubes_for"]

Bools = npt.NDArray[np.bool_]
Word = Literal["supported", "weak", "not supported"]

SHARE = 0.15
"""The share of the cells that is the hot tube."""

MATTERS = 0.05
"""A smaller loss of probability is nothing to call support, however sure it is."""

TUBES = 40
"""Tubes elsewhere that a verdict rests on, over all its windows: were the hot one just another of them, it would be the best of
all once in 41 times, so that even a single window can say something surely."""

MOST = 300_000
"""Exchanges that are counted out; of more, as many are drawn."""


@dataclass(frozen=True)
class Verdict:
    """``word``, and what it rests on, in probability of the explained class, as means over the ``windows``.

    ``removed`` is lost without the hot tube, ``removed_elsewhere`` without another tube of its size and shape; ``kept`` is left
    with nothing but the hot tube, ``kept_elsewhere`` with nothing but another. ``margin`` is the mean of the two differences,
    with its 95 % interval over the windows.
    """

    word: Word
    removed: float
    removed_elsewhere: float
    kept: float
    kept_elsewhere: float
    margin: Interval
    windows: int


@dataclass(frozen=True)
class Trial:
    """One window: the probability as it is, without the hot tube and with only it, and for each tube elsewhere the same two."""

    whole: float
    without: float
    only: float
    without_others: tuple[float, ...]
    only_others: tuple[float, ...]

    @property
    def margins(self) -> FloatArray:
        """``(1 + tubes,)``: how much more a tube is needed and suffices than the others, in the mean; the hot one comes first."""
        without, only = np.array([self.without, *self.without_others]), np.array([self.only, *self.only_others])
        worth = (only - without) / 2
        return np.asarray((worth - worth.mean()) * len(worth) / (len(worth) - 1))


def tubes_for(windows: int) -> int:
    """How many tubes elsewhere are tried in each of so many windows, at least one."""
    return max(6, math.ceil(TUBES / windows))


def trial(
    frames: UInt8Array,
    values: FloatArray,
    where: CellGeometry,
    score: Score,
    *,
    tubes: int = TUBES,
    baseline: str = "blur",
    seed: int = 0,
) -> Trial:
    """Try one window ``(T,H,W,3)`` with the map ``values (T',h,w)``: ``tubes`` other tubes are the hot one moved elsewhere."""
    if not np.isfinite(values).all() or values.shape != where.grid:
        raise UsageError(f"a map of {where.grid} finite values is needed, got {values.shape}")
    if baseline not in BASELINES:
        raise UsageError(f"unknown baseline {baseline!r}: known are {', '.join(BASELINES)}")
    hot = np.zeros(values.size, bool)
    hot[np.argsort(-values, axis=None, kind="stable")[: max(1, round(SHARE * values.size))]] = True
    hot &= values.ravel() > 0
    tube = hot.reshape(values.shape)
    clip = frames.shape[:3]
    rng = np.random.default_rng(seed)
    masks = [pixels_of(m, where, clip) for m in (tube, *(moved(tube, rng) for _ in range(tubes)))]
    removed = replacing(frames, baseline)
    without = score(np.stack([frames, *map(removed, masks)])).tolist()
    only = score(np.stack([removed(~m) for m in masks])).tolist()
    return Trial(without[0], without[1], only[0], tuple(without[2:]), tuple(only[1:]))


def moved(tube: Bools, rng: np.random.Generator) -> Bools:
    """The same cells elsewhere: rolled by a random distance in space and time, the one that overlaps the least of eight."""
    found, best = tube, float("inf")
    for _ in range(8):
        shift = [int(rng.integers(n)) for n in tube.shape]
        other = np.roll(tube, shift, axis=(0, 1, 2))
        shared = float((other & tube).sum())
        if shared < best:
            found, best = other, shared
    return found


def judge(trials: Sequence[Trial], *, seed: int = 0) -> Verdict:
    """The verdict over the windows of a video, at least one; they should not overlap, or they tell the same twice.

    *supported*: the hot tube is more needed, or suffices more, than tubes elsewhere, surely (the interval of the mean difference
    lies above 0) and noticeably (on average at least ``MATTERS``). *weak*: it is, but not both surely and noticeably.
    *not supported*: it is not. A network may know an action by more than one part, so either question alone would be too hard.
    """
    margin = _exchanged(trials, np.random.default_rng(seed))
    word: Word = "not supported" if margin.mean <= 0 else "weak"
    if margin.low > 1e-9 and margin.mean >= MATTERS:  # not by the rounding of sums alone
        word = "supported"
    return Verdict(
        word, float(np.mean([t.whole - t.without for t in trials])),
        float(np.mean([t.whole - o for t in trials for o in t.without_others])), float(np.mean([t.only for t in trials])),
        float(np.mean([o for t in trials for o in t.only_others])), margin, len(trials),
    )  # fmt: skip


def _exchanged(trials: Sequence[Trial], rng: np.random.Generator) -> Interval:
    """The mean margin with the interval of a randomisation test (Edgington & Onghena 2007, chapter 3), turned round.

    If the hot tubes were worth a certain difference more, and that were taken off them, any tube of a window might as well have
    been the hot one. The interval holds the differences for which the mean margin is not among the outer 2.5 % of those that
    arise when, in every way, one tube of each window is taken for the hot one. A single window is enough for it.
    """
    margin = float(np.mean([t.margins[0] for t in trials]))
    means, gains = np.zeros(1), np.zeros(1)  # of an exchange: its mean margin, and what a difference that is taken off adds to it
    for t in trials:
        others = len(t.margins) - 1
        means = np.add.outer(means, t.margins / len(trials)).ravel()
        gains = np.add.outer(gains, np.array([-1.0, *[1 / others] * others]) / len(trials)).ravel()
        if means.size > MOST:
            kept = np.append(0, rng.integers(means.size, size=MOST))  # the first is no exchange at all
            means, gains = means[kept], gains[kept]
    outer = int(0.025 * means.size)  # as many of the exchanges, the true one among them
    if outer < 1:
        return Interval(margin, -1.0, 1.0)
    fair = np.sort((margin - means[1:]) / np.maximum(1 + gains[1:], 1e-12))  # what makes each exchange as good as the true order
    return Interval(margin, float(fair[outer - 1]), float(fair[-outer]))
