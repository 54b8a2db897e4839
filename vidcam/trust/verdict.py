"""One word about a map: does taking the hot tube away cost the answer, and more than taking away any other tube of its size?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from vidcam.errors import UsageError
from vidcam.placement import Placement
from vidcam.trust.faithfulness import Interval, Score, bootstrap
from vidcam.trust.removal import BASELINES, pixels_of, replaced
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
    """``word``, and what it rests on, in probability of the explained class.

    ``removed``, ``kept`` and ``control`` are means over the windows: what is lost without the hot tube, what is left with nothing
    but it, what is lost without another tube of its size and shape elsewhere. ``margin`` is ``removed`` less ``control`` with its
    95 % interval over the ``windows``.
    """

    word: Word
    removed: float
    kept: float
    control: float
    margin: Interval
    windows: int


@dataclass(frozen=True)
class Trial:
    """One window: the probability as it is, without the hot tube, with only it, and without each of the tubes elsewhere."""

    whole: float
    without: float
    only: float
    others: tuple[float, ...]


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
    masks = [pixels_of(m, where, clip) for m in (tube, ~tube, *(moved(tube, rng) for _ in range(tubes)))]
    whole, *rest = score(np.stack([frames, *(replaced(frames, m, baseline) for m in masks)])).tolist()
    return Trial(whole, rest[0], rest[1], tuple(rest[2:]))


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

    *supported*: without the hot tube more is lost than without others, surely (the interval lies above 0) and noticeably (on
    average at least ``MATTERS``). *weak*: more is lost, but not both surely and noticeably. *not supported*: no more is lost than
    elsewhere.
    """
    margins = [(t.whole - t.without) - float(np.mean([t.whole - o for o in t.others])) for t in trials]
    margin = bootstrap(margins if len(margins) > 1 else _of_one(trials[0]), seed=seed)
    word: Word = "not supported" if margin.mean <= 0 else "weak"
    if margin.low > 0 and margin.mean >= MATTERS:
        word = "supported"
    return Verdict(
        word, float(np.mean([t.whole - t.without for t in trials])), float(np.mean([t.only for t in trials])),
        float(np.mean([t.whole - o for t in trials for o in t.others])), margin, len(trials),
    )  # fmt: skip


def _of_one(t: Trial) -> list[float]:
    """With a single window the interval is that over the other tubes."""
    return [o - t.without for o in t.others]
