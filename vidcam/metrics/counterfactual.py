"""What did the model use: a still, the motion, or the order of things? The same window, with its time changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vidcam.methods.cell_geometry import CellGeometry
from vidcam.metrics.faithfulness import Score
from vidcam.values import FloatArray, UInt8Array

__all__ = ["CHANGES", "Used", "counterfactuals", "used"]


def _speed(frames: UInt8Array, factor: float) -> UInt8Array:
    """The window around its middle, played ``factor`` times as fast; beyond its ends it bounces back."""
    n = len(frames)
    at = np.rint((np.arange(n) - (n - 1) / 2) * factor + (n - 1) / 2).astype(int)
    period = max(2 * (n - 1), 1)
    at = np.abs((at + period * 8) % period)
    bounced = np.minimum(at, period - at) if n > 1 else np.zeros_like(at)
    return np.asarray(frames[bounced])


def _still(frames: UInt8Array, curve: FloatArray) -> UInt8Array:
    """The frame with the most evidence held, of several such the one nearest to the middle."""
    n = len(frames)
    most = np.flatnonzero(curve == curve.max())
    return np.repeat(frames[most[np.abs(most - n // 2).argmin()]][None], n, 0)


def _without_peak(frames: UInt8Array, curve: FloatArray) -> UInt8Array:
    """The third of the window with the most evidence, replaced by the frame before it."""
    n = len(frames)
    length = max(1, n // 3)
    sums = np.convolve(curve, np.ones(length), "valid")
    first = int(sums.argmax())
    out = frames.copy()
    out[first : first + length] = frames[first - 1 if first else min(first + length, n - 1)]
    return out


CHANGES: dict[str, Callable[[UInt8Array, FloatArray], UInt8Array]] = {
    "freeze": _still,
    "reverse": lambda f, c: f[::-1],
    "shuffle": lambda f, c: f[np.random.default_rng(0).permutation(len(f))],
    "half speed": lambda f, c: _speed(f, 0.5),
    "double speed": lambda f, c: _speed(f, 2.0),
    "drop the peak": _without_peak,
}
"""Each makes another window of ``frames (T,H,W,3)``, knowing each frame's positive evidence ``(T,)``: the frame with the most of
it held; backwards; in a fixed random order; slower and faster around the middle; and without the stretch that has the most."""


@dataclass(frozen=True)
class Used:
    """What the answer rests on, in a word, and the share of the probability that each change leaves (1: all of it)."""

    word: str
    left: dict[str, float]


def counterfactuals(frames: UInt8Array, values: FloatArray, where: CellGeometry, score: Score) -> dict[str, float]:
    """The probability of the class as it is (``"as it is"``) and after each of ``CHANGES``, for one window and its map
    ``values (T',h,w)`` with cells at ``where``."""
    curve = np.interp(np.arange(len(frames)), where.time.centres(), np.maximum(values, 0).sum((1, 2)))
    clips = np.stack([frames, *(np.ascontiguousarray(change(frames, curve)) for change in CHANGES.values())])
    return dict(zip(("as it is", *CHANGES), map(float, score(clips)), strict=True))


def used(found: list[dict[str, float]]) -> Used:
    """What the windows of a video say together.

    "a still" where the held frame keeps at least 70 % of the probability; else "order" where playing backwards costs more than
    half of it; else "motion". A word, not a proof: it tells where to look on.
    """
    whole = max(float(np.mean([f["as it is"] for f in found])), 1e-12)
    left = {name: float(np.mean([f[name] for f in found]) / whole) for name in CHANGES}
    if left["freeze"] >= 0.7:
        return Used("a still", left)
    return Used("order" if left["reverse"] < 0.5 else "motion", left)
