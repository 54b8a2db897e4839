"""When the evidence holds: segments and peaks of its curves over time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vidcam.errors import UsageError
from vidcam.evidence.smoothing import _levels
from vidcam.evidence.timeline import _EPSILON
from vidcam.values import FloatArray, Segment

if TYPE_CHECKING:
    pass

__all__ = ["find_peaks", "find_segments", "label_segments"]


def label_segments(
    label: str, times: FloatArray, curve: FloatArray, *, high: float, low: float, min_s: float = 0.0
) -> tuple[Segment, ...]:
    """The stretches in which ``curve`` stays at or above ``low`` and reaches ``high`` at least once, at least ``min_s`` long.

    Two thresholds, so that a curve that wavers around one of them is not cut to pieces. Point i of the grid ``times`` stands for
    [times[i], times[i + 1]), so segments are half-open and end at the grid's edges; the last point is as long as the one before.
    NaN ends a segment. () where there are fewer than two points, whose length nobody knows. The score is the mean of the curve.
    """
    if low > high:
        raise UsageError(f"the lower threshold must not lie above the upper one, got low={low} and high={high}")
    if len(times) < 2:
        return ()
    edges = np.append(times, 2 * times[-1] - times[-2])
    out = []
    for first, stop in _runs(curve >= low):
        part = curve[first:stop]
        if part.max() >= high and edges[stop] - edges[first] >= min_s * (1 - _EPSILON):
            out.append(Segment(label, float(edges[first]), float(edges[stop]), float(part.mean())))
    return tuple(out)


def find_peaks(times: FloatArray, curve: FloatArray, *, n: int, min_gap_s: float) -> tuple[int, ...]:
    """The indices, in order of time, of the ``n`` highest local maxima of ``curve`` that are at least ``min_gap_s`` apart.

    The highest is always among them. A plateau counts once, at its middle. NaN is no maximum; fewer than ``n`` where there are no
    more.
    """
    values = np.where(np.isnan(curve), -np.inf, curve)
    padded = np.concatenate([[-np.inf], values, [-np.inf]])
    found: list[int] = []
    for first, stop in _levels(values):
        if np.isfinite(values[first]) and padded[first] < values[first] > padded[stop + 1]:
            found.append((first + stop - 1) // 2)
    chosen: list[int] = []
    for i in sorted(found, key=lambda i: -values[i]):
        if len(chosen) < n and all(abs(times[i] - times[j]) >= min_gap_s * (1 - _EPSILON) for j in chosen):
            chosen.append(i)
    return tuple(sorted(chosen))


def _runs(inside: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """The half-open index ranges over which ``inside`` is true."""
    change = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]]).astype(np.int8)))
    return zip(change[::2].tolist(), change[1::2].tolist(), strict=True)


def find_segments(times: FloatArray, curves: Mapping[str, FloatArray], *, min_s: float) -> tuple[Segment, ...]:
    """Where the evidence of each label holds: above a third of the strongest label's peak, until it falls below a sixth."""
    peak = max((float(np.nanmax(c)) for c in curves.values()), default=0.0)
    if peak <= 0:
        return ()
    found = [s for label, c in curves.items() for s in label_segments(label, times, c, high=peak / 3, low=peak / 6, min_s=min_s)]
    return tuple(sorted(found, key=lambda s: (s.start_s, s.end_s)))
