"""What did the model use: a still, the motion, or the order of things? It is shown the same clip with its time changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vidcam.methods.cell_geometry import CellGeometry
from vidcam.metrics.faithfulness import Score
from vidcam.values import FloatArray, UInt8Array

__all__ = ["CHANGES", "CounterfactualSummary", "run_counterfactuals", "summarise_counterfactuals"]

UNCHANGED = "as it is"


def _change_speed(frames: UInt8Array, factor: float) -> UInt8Array:
    """Return the clip played ``factor`` times as fast around its middle; beyond its ends it bounces back."""
    n = len(frames)
    at = np.rint((np.arange(n) - (n - 1) / 2) * factor + (n - 1) / 2).astype(int)
    period = max(2 * (n - 1), 1)
    at = np.abs((at + period * 8) % period)
    bounced = np.minimum(at, period - at) if n > 1 else np.zeros_like(at)
    return np.asarray(frames[bounced])


def _freeze(frames: UInt8Array, curve: FloatArray) -> UInt8Array:
    """Return the frame with the most evidence for the whole clip; of several such frames the one nearest to the middle."""
    n = len(frames)
    most = np.flatnonzero(curve == curve.max())
    return np.repeat(frames[most[np.abs(most - n // 2).argmin()]][None], n, 0)


def _drop_peak(frames: UInt8Array, curve: FloatArray) -> UInt8Array:
    """Return the clip with its third of the most evidence replaced by the frame before it."""
    n = len(frames)
    length = max(1, n // 3)
    sums = np.convolve(curve, np.ones(length), "valid")
    first = int(sums.argmax())
    out = frames.copy()
    out[first : first + length] = frames[first - 1 if first else min(first + length, n - 1)]
    return out


CHANGES: dict[str, Callable[[UInt8Array, FloatArray], UInt8Array]] = {
    "freeze": _freeze,
    "reverse": lambda f, c: f[::-1],
    "shuffle": lambda f, c: f[np.random.default_rng(0).permutation(len(f))],
    "half speed": lambda f, c: _change_speed(f, 0.5),
    "double speed": lambda f, c: _change_speed(f, 2.0),
    "drop the peak": _drop_peak,
}
"""Each makes another clip from ``frames (T,H,W,3)`` and each frame's positive evidence ``(T,)``: the frame with the most of it
held; backwards; in a fixed random order; slower and faster around the middle; without the stretch that has the most."""


@dataclass(frozen=True)
class CounterfactualSummary:
    """What the answer rests on, in a ``word``, and the share of the probability ``left`` by each change (1: all of it)."""

    word: str
    left: dict[str, float]


def run_counterfactuals(frames: UInt8Array, values: FloatArray, where: CellGeometry, score: Score) -> dict[str, float]:
    """Return the class's probability in one clip unchanged (``"as it is"``) and after each of :data:`CHANGES`.

    ``values (T',h,w)`` is the clip's map, with cells at ``where``.
    """
    curve = np.interp(np.arange(len(frames)), where.time.centres(), np.maximum(values, 0).sum((1, 2)))
    clips = np.stack([frames, *(np.ascontiguousarray(change(frames, curve)) for change in CHANGES.values())])
    return dict(zip((UNCHANGED, *CHANGES), map(float, score(clips)), strict=True))


def summarise_counterfactuals(probabilities: list[dict[str, float]]) -> CounterfactualSummary:
    """Return what the clips of a video say together; ``probabilities`` are those of :func:`run_counterfactuals`.

    "a still" if the held frame keeps at least 70 % of the probability; else "order" if playing backwards costs more than half of
    it; else "motion". The word is a hint where to look, not a proof.
    """
    whole = max(float(np.mean([p[UNCHANGED] for p in probabilities])), 1e-12)
    left = {name: float(np.mean([p[name] for p in probabilities]) / whole) for name in CHANGES}
    if left["freeze"] >= 0.7:
        return CounterfactualSummary("a still", left)
    return CounterfactualSummary("order" if left["reverse"] < 0.5 else "motion", left)
