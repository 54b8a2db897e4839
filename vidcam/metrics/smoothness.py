"""What smoothing changes: it removes flicker, and it may add lag. Figures of the evidence before and after."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vidcam.evidence.optical_flow import FlowField, follow_motion
from vidcam.values import FloatArray, Track

__all__ = ["Smoothness", "compare_smoothness", "flicker", "lag"]


@dataclass(frozen=True)
class Smoothness:
    """Flicker ``before`` and ``after`` smoothing, their ``ratio`` (below 1: calmer), and the lag in seconds.

    ``lag_s`` is how much later than the raw evidence the smoothed evidence follows its hardest change; 0 for a symmetric kernel.
    """

    before: float
    after: float
    ratio: float
    lag_s: float


def compare_smoothness(raw: Track, smoothed: Track, flow: FlowField | None) -> Smoothness:
    """Compare one label's evidence before and after smoothing; ``flow`` is the picture's motion (None: nothing moves)."""
    before, after = flicker(raw, flow), flicker(smoothed, flow)
    return Smoothness(before, after, after / before if before else 1.0, lag(raw.times, raw.curve, smoothed.curve))


def flicker(track: Track, flow: FlowField | None) -> float:
    """Return the mean difference of each map from the one before, as a share of the mean map (absolute values, all cells).

    The earlier map is first carried along the motion in the picture, so that heat that follows a moving hand does not count as
    flicker (the warping error of Lai et al. 2018, section 4.1, for evidence). 0 for a track of one map.
    """
    if len(track.times) < 2:
        return 0.0
    maps = np.nan_to_num(track.maps).astype(np.float64)
    known = (~np.isnan(track.maps)).astype(np.float64)
    values, present = follow_motion(track, flow, -1)(maps[:-1], known[:-1])
    both = known[1:] * present
    size = float((np.abs(maps) * known).sum() / max(known.sum(), 1.0))
    change = float((np.abs(values - maps[1:] * present) * both).sum() / max(both.sum(), 1e-12))
    return change / size if size else 0.0


def lag(times: FloatArray, raw: FloatArray, smoothed: FloatArray, *, around_s: float = 2.0) -> float:
    """Return the seconds between which two curves pass the middle of the raw one's hardest change; 0 without a change."""
    a, b = np.nan_to_num(raw), np.nan_to_num(smoothed)
    if len(times) < 3 or not np.ptp(a):
        return 0.0
    # The hardest change is that between the means of what lies before and after, not between two noisy neighbours.
    step = float(np.median(np.diff(times)))
    n = max(1, min(round(around_s / 4 / step), len(times) // 3))
    sums = np.concatenate([[0.0], np.cumsum(a)])
    after, before = sums[2 * n :] - sums[n:-n], sums[n:-n] - sums[: -2 * n]
    middle = n + int(np.abs(after - before).argmax())
    level = float(after[middle - n] + before[middle - n]) / (2 * n)
    near = np.flatnonzero(np.abs(times - times[min(middle, len(times) - 1)]) <= around_s)
    rising = after[middle - n] > before[middle - n]
    return _crossing(times[near], b[near], level, rising=bool(rising)) - _crossing(
        times[near], a[near], level, rising=bool(rising)
    )


def _crossing(times: FloatArray, curve: FloatArray, level: float, *, rising: bool) -> float:
    """Return the second at which the curve passes the level in this direction; of several, the one nearest to the middle."""
    above = curve >= level if rising else curve <= level
    at = np.flatnonzero(~above[:-1] & above[1:])
    if not len(at):
        return float(times[len(times) // 2])
    i = int(at[np.abs(at - len(times) / 2).argmin()])
    share = (level - curve[i]) / (curve[i + 1] - curve[i])
    return float(times[i] + share * (times[i + 1] - times[i]))
