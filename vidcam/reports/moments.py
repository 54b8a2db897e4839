"""The moments with the strongest evidence."""

from __future__ import annotations

from typing import NamedTuple

from vidcam.analysis import Analysis
from vidcam.evidence.segments import find_peaks

__all__ = ["Moment", "find_moments"]

MAX_MOMENTS = 6


class Moment(NamedTuple):
    """A peak of a label's evidence: its second, and the evidence per second."""

    time: float
    label: str
    score: float


def find_moments(analysis: Analysis) -> list[Moment]:
    """Return the moments with the strongest evidence for each label, at most :data:`MAX_MOMENTS` in all, in order of time."""
    times = analysis.times_s
    per_label = max(1, MAX_MOMENTS // max(1, len(analysis.curves)))
    gap = (times[-1] - times[0]) / (2 * MAX_MOMENTS)
    return sorted(
        Moment(float(times[i]), label, float(curve[i]))
        for label, curve in analysis.curves.items()
        for i in find_peaks(times, curve, n=per_label, min_gap_s=gap)
        if curve[i] > 0
    )
