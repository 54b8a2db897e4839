"""What the model predicts over time, joined from windows that overlap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vidcam.values import FloatArray, Prediction

__all__ = ["PredictedSpan", "nearest_windows", "predicted_spans"]


class PredictedSpan(NamedTuple):
    """A time span (seconds) with one most probable label, and that label's mean probability."""

    start: float
    end: float
    label: str
    prob: float


def nearest_windows(windows: Sequence[Prediction], times: FloatArray) -> npt.NDArray[np.intp]:
    """Return for each of the increasing ``times`` the index of the window that decides there, -1 if none covers it.

    Of the windows that cover a time, the one with the nearest middle decides.
    """
    best, nearest = np.full(len(times), -1), np.full(len(times), np.inf)
    for i, (start, end) in enumerate(w.span for w in windows):
        covered = slice(np.searchsorted(times, start, side="left"), np.searchsorted(times, end, side="right"))
        distance = np.abs(times[covered] - (start + end) / 2)
        best[covered] = np.where(distance < nearest[covered], i, best[covered])
        nearest[covered] = np.minimum(distance, nearest[covered])
    return best


def predicted_spans(windows: Sequence[Prediction]) -> list[PredictedSpan]:
    """Return the spans over which the most probable label of the nearest window stays the same, in order of time."""
    edges_of = np.array([w.span for w in windows])
    middles = np.sort(edges_of.mean(axis=1))
    edges = np.unique(np.concatenate([edges_of.ravel(), (middles[1:] + middles[:-1]) / 2]))
    tops = [w.top(1)[0] for w in windows]
    spans: list[PredictedSpan] = []
    for start, end, window in zip(edges[:-1], edges[1:], nearest_windows(windows, (edges[1:] + edges[:-1]) / 2), strict=True):
        if window < 0:
            continue
        label, prob = tops[window]
        if spans and spans[-1].label == label and spans[-1].end == start:
            first, _, _, mean = spans.pop()
            prob = (mean * (start - first) + prob * (end - start)) / (end - first)
            start = first
        spans.append(PredictedSpan(float(start), float(end), label, float(prob)))
    return spans
