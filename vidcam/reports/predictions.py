"""What the model predicts over time, from windows that overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vidcam.analysis import Analysis
from vidcam.values import FloatArray, Prediction

__all__ = ["PredictedSpan", "deciding_spans", "end_of", "nearest_windows", "predicted_spans", "round_time", "window_edges"]

TIME_DECIMALS = 6
"""Decimals of the seconds in files: containers count in microseconds, and sums of floats have more digits that mean nothing."""


class PredictedSpan(NamedTuple):
    """A time span (seconds) with one most probable label, and that label's mean probability."""

    start: float
    end: float
    label: str
    prob: float


def round_time(time: float) -> float:
    """Return seconds as files have them, with at most :data:`TIME_DECIMALS` decimals."""
    return round(float(time), TIME_DECIMALS)


def end_of(analysis: Analysis) -> float:
    """Return the second at which the video ends; infinity if the analysis knows no frames.

    The last window ends later if its last sample stands for more time than is left of the video.
    """
    times = analysis.frame_times_s
    return float(times[0]) + analysis.duration_s if len(times) else math.inf


def nearest_windows(windows: Sequence[Prediction], times: FloatArray) -> npt.NDArray[np.intp]:
    """Return for each of the increasing ``times`` the index of the window that decides there, -1 if none covers it.

    Of the windows that cover a time, the one with the nearest middle decides, as in :class:`vidcam.analysis.Answers`.
    """
    best, nearest = np.full(len(times), -1), np.full(len(times), np.inf)
    for i, (start, end) in enumerate(w.span for w in windows):
        covered = slice(np.searchsorted(times, start, side="left"), np.searchsorted(times, end, side="right"))
        distance = np.abs(times[covered] - (start + end) / 2)
        best[covered] = np.where(distance < nearest[covered], i, best[covered])
        nearest[covered] = np.minimum(distance, nearest[covered])
    return best


def window_edges(windows: Sequence[Prediction]) -> FloatArray:
    """Return the increasing seconds between which one and the same window decides."""
    spans = np.array([w.span for w in windows])
    middles = np.sort(spans.mean(axis=1))
    return np.unique(np.concatenate([spans.ravel(), (middles[1:] + middles[:-1]) / 2]))


def deciding_spans(windows: Sequence[Prediction], *, end_s: float = math.inf) -> list[PredictedSpan]:
    """Return the spans in which one window decides, with its most probable label, in order of time, up to ``end_s``."""
    edges = window_edges(windows)
    tops = [w.top(1)[0] for w in windows]
    decides = nearest_windows(windows, (edges[1:] + edges[:-1]) / 2)
    return [
        PredictedSpan(float(start), float(min(end, end_s)), label, float(prob))
        for start, end, window in zip(edges[:-1], edges[1:], decides, strict=True)
        if window >= 0 and start < end_s
        for label, prob in [tops[window]]
    ]


def predicted_spans(windows: Sequence[Prediction], *, end_s: float = math.inf) -> list[PredictedSpan]:
    """Return the spans over which the most probable label stays the same, in order of time; none goes beyond ``end_s``."""
    spans: list[PredictedSpan] = []
    for start, end, label, prob in deciding_spans(windows, end_s=end_s):
        if spans and spans[-1].label == label and spans[-1].end == start:
            first, _, _, mean = spans.pop()
            prob = (mean * (start - first) + prob * (end - start)) / (end - first)
            start = first
        spans.append(PredictedSpan(start, end, label, prob))
    return spans
