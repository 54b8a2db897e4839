"""When an action began and ended, by the evidence for it rather than by the answers of the model."""

from __future__ import annotations

import numpy as np

from vidcam.live.state import Update

__all__ = ["Onsets"]


class Onsets:
    """Dates actions by their evidence of the last seconds.

    An answer of the model counts for the second of its clip's last frame, but the evidence for it lies anywhere in the clip: an
    action is recognised about half a clip late. It began when the evidence for it rose above a quarter of its highest value in
    that clip, and ended when it fell below that.

    Args:
        clip_s: The length of a clip in seconds.
        keep_s: How many seconds ago a rule may have begun to hold.
    """

    SHARE = 0.25

    def __init__(self, *, clip_s: float, keep_s: float) -> None:
        self._clip_s, self._keep_s = clip_s, clip_s + keep_s
        self._curves: dict[str, dict[float, float]] = {}

    def update(self, update: Update) -> None:
        """Take the newest evidence; it replaces earlier values of seconds that clips still cover."""
        for label, (times, values) in update.recent.items():
            self._curves.setdefault(label, {}).update(zip(np.round(times, 6).tolist(), values.tolist(), strict=True))
        for label, curve in list(self._curves.items()):
            for time in [t for t in curve if t < update.time - self._keep_s]:
                del curve[time]
            if not curve:
                del self._curves[label]

    def clear(self) -> None:
        """Forget everything, because a new clip of the stream begins."""
        self._curves.clear()

    def start(self, label: str, since: float) -> float:
        """Return the second at which an action began whose rule has held since the second ``since``."""
        return self._edge(label, since, first=True)

    def end(self, label: str, since: float) -> float:
        """Return the second at which an action ended whose rule has not held since the second ``since``."""
        return self._edge(label, since, first=False)

    def _edge(self, label: str, since: float, *, first: bool) -> float:
        points = sorted((t, v) for t, v in self._curves.get(label, {}).items() if since - self._clip_s <= t <= since)
        values = np.array([v for _, v in points])
        if not len(points) or not values.max() > 0:
            return since - self._clip_s / 2  # without evidence: the middle of the clip
        strong = np.flatnonzero(values >= self.SHARE * values.max())
        times = [t for t, _ in points]
        if first:
            return float(times[strong[0]])
        step = times[1] - times[0] if len(times) > 1 else 0.0
        return float(min(since, times[strong[-1]] + step))
