"""One word about a map: is the hot tube more needed for the answer, or does it suffice more, than any other tube of its size?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from vidcam.errors import UsageError
from vidcam.placement import Placement
from vidcam.trust.faithfulness import Interval, Score, bootstrap
from vidcam.trust.removal import BASELINES, pixels_of, replacing
from vidcam.types import FloatArray, UInt8Array

__all__ = ["SHARE", "Verdict", "judge", "moved", "trial"]

Bools = npt.NDArray[np.bool_]
Word = Literal["supported", "weak", "not supported"]

SHARE = 0.15
"""The share of the cells that is the hot tube."""

MATTERS = 0.05
"""A smaller loss of probability is nothing to call support, however sure it is."""


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
    def margins(self) -> list[float]:
        """For each tube elsewhere, how much more the hot one is needed and how much more it suffices, in the mean."""
        return [
            ((without - self.without) + (self.only - only)) / 2
            for without, only in zip(self.without_others, self.only_others, strict=True)
        ]


def trial(
    frames: UInt8Array,
    values: FloatArray,
    where: Placement,
    score: Score,
    *,
    tubes: int = 6,
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
    """The verdict over the windows of a video, at least one.

    *supported*: the hot tube is more needed, or suffices more, than tubes elsewhere, surely (the interval of the mean difference
    lies above 0) and noticeably (on average at least ``MATTERS``). *weak*: it is, but not both surely and noticeably.
    *not supported*: it is not. A network may know an action by more than one part, so either question alone would be too hard.
    """
    margins = [float(np.mean(t.margins)) for t in trials]
    margin = bootstrap(margins if len(trials) > 1 else trials[0].margins, seed=seed)  # of one window: over the other tubes
    word: Word = "not supported" if margin.mean <= 0 else "weak"
    if margin.low > 0 and margin.mean >= MATTERS:
        word = "supported"
    return Verdict(
        word, float(np.mean([t.whole - t.without for t in trials])),
        float(np.mean([t.whole - o for t in trials for o in t.without_others])), float(np.mean([t.only for t in trials])),
        float(np.mean([o for t in trials for o in t.only_others])), margin, len(trials),
    )  # fmt: skip
