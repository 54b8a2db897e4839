"""Find when the evidence holds: segments and peaks of its curves over time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from vidcam.errors import UsageError
from vidcam.evidence.curves import find_runs
from vidcam.evidence.timeline import TOLERANCE
from vidcam.values import FloatArray, Segment

__all__ = ["covered_share", "find_peaks", "find_segments", "label_segments"]


def find_segments(
    times: FloatArray, curves: Mapping[str, FloatArray], *, min_s: float, end_s: float = math.inf
) -> tuple[Segment, ...]:
    """Return where the evidence of each label holds, in the order of time.

    It holds above a third of the strongest label's peak, until it falls below a sixth, for at least ``min_s`` seconds. ``curves``
    maps each label to its evidence per second ``(N,)`` at ``times (N,)``, NaN where nothing was seen. The last point of the grid
    may stand for more than is left of the video: a segment ends at ``end_s``, where the video ends, at the latest.
    """
    peak = max((float(np.nanmax(c)) for c in curves.values()), default=0.0)
    if peak <= 0:
        return ()
    segments = [
        s for label, c in curves.items() for s in label_segments(label, times, c, high=peak / 3, low=peak / 6, min_s=min_s)
    ]
    cut = [replace(s, end_s=min(s.end_s, end_s)) for s in segments if s.start_s < end_s]
    return tuple(sorted(cut, key=lambda s: (s.start_s, s.end_s)))


def label_segments(
    label: str, times: FloatArray, curve: FloatArray, *, high: float, low: float, min_s: float = 0.0
) -> tuple[Segment, ...]:
    """Return the stretches in which ``curve`` stays at or above ``low`` and reaches ``high`` at least once.

    With two thresholds, a curve that wavers around one of them is not cut to pieces. Point i of the grid ``times`` stands for
    [times[i], times[i + 1]), so segments are half-open and end at the grid's edges; the last point is as long as the one before.
    NaN ends a segment. The score is the mean of the curve. Returns () for fewer than two points, whose length is unknown; raises
    UsageError if ``low`` lies above ``high``.
    """
    if low > high:
        raise UsageError(f"the lower threshold must not lie above the upper one, got low={low} and high={high}")
    if len(times) < 2:
        return ()
    edges = np.append(times, 2 * times[-1] - times[-2])
    segments = []
    for first, stop in find_runs(curve >= low):
        part = curve[first:stop]
        if part.max() >= high and edges[stop] - edges[first] >= min_s * (1 - TOLERANCE):
            segments.append(Segment(label, float(edges[first]), float(edges[stop]), float(part.mean())))
    return tuple(segments)


def find_peaks(times: FloatArray, curve: FloatArray, *, n: int, min_gap_s: float) -> tuple[int, ...]:
    """Return the indices, in order of time, of the ``n`` highest local maxima that are at least ``min_gap_s`` apart.

    The highest is always among them. A plateau counts once, at its middle; the first and the last point can be maxima, NaN
    cannot. There are fewer than ``n`` if the curve has no more. (``scipy.signal.find_peaks`` measures gaps in samples, not in
    seconds, and takes seconds and 80 MB to import.)
    """
    values = np.where(np.isnan(curve), -np.inf, curve)
    padded = np.concatenate([[-np.inf], values, [-np.inf]])
    starts = np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1])  # of the runs of equal values
    stops = np.append(starts[1:], len(values))
    is_peak = (padded[starts] < values[starts]) & (values[starts] > padded[stops + 1])
    peaks = (starts + stops - 1)[is_peak] // 2
    chosen: list[int] = []
    for i in sorted(peaks.tolist(), key=lambda i: -values[i]):
        if len(chosen) < n and all(abs(times[i] - times[j]) >= min_gap_s * (1 - TOLERANCE) for j in chosen):
            chosen.append(i)
    return tuple(sorted(chosen))


def covered_share(spans: Sequence[tuple[float, float]], first: float, last: float) -> float:
    """Return the share of [first, last) that the spans cover."""
    total, reached = 0.0, first
    for start, end in sorted(spans):
        total += max(0.0, min(end, last) - max(start, reached))
        reached = max(reached, min(end, last))
    return min(1.0, total / (last - first)) if last > first else 1.0
