"""What smoothing changes: the flicker of the evidence before and after it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vidcam.evidence.optical_flow import FlowField, follow_motion
from vidcam.values import Track

__all__ = ["Smoothness", "compare_smoothness", "flicker"]


@dataclass(frozen=True)
class Smoothness:
    """Flicker ``before`` and ``after`` smoothing, and their ``ratio`` (below 1: calmer)."""

    before: float
    after: float
    ratio: float


def compare_smoothness(raw: Track, smoothed: Track, flow: FlowField | None) -> Smoothness:
    """Compare one label's evidence before and after smoothing; ``flow`` is the picture's motion (None: nothing moves)."""
    before, after = flicker(raw, flow), flicker(smoothed, flow)
    return Smoothness(before, after, after / before if before else 1.0)


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
