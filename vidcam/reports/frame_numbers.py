"""Evidence by the numbers of frames, for tools that count frames instead of seconds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vidcam.analysis import Analysis
from vidcam.evidence.tubes import Tube, find_tubes
from vidcam.io.stored_video import StoredVideo, look_at_stored
from vidcam.values import Box, FloatArray

__all__ = ["BoxTrack", "FrameNumbers", "box_tracks", "category", "nearest_steps"]


class FrameNumbers:
    """Counts the frames of a video file from its first one, which is 0, also if only a part of the file was analysed.

    Attributes:
        stored: How the file stores its pictures; None if it is no video file.
        first: The number of the first frame that was analysed.
        count: The number of frames up to the last one that was analysed.
    """

    def __init__(self, analysis: Analysis) -> None:
        times, start = analysis.frame_times_s, analysis.settings.start_s
        before = float(times[0]) if start and len(times) else None
        self.stored: StoredVideo | None = look_at_stored(analysis.source.path, rotation=analysis.source.rotation, before_s=before)
        self.first = self._first(analysis, before)
        self.count = self.first + len(times)
        self._times = np.asarray(times, np.float64)

    def _first(self, analysis: Analysis, before_s: float | None) -> int:
        if before_s is None:
            return 0
        if self.stored is not None:
            return self.stored.frames_before
        return round((before_s - analysis.source.start_s) * (analysis.source.fps or 0.0))

    def nearest(self, seconds: FloatArray) -> npt.NDArray[np.intp]:
        """Return for each second the number of the frame whose time is nearest."""
        middles = (self._times[1:] + self._times[:-1]) / 2
        numbers: npt.NDArray[np.intp] = self.first + np.searchsorted(middles, seconds)
        return numbers

    def span(self, start_s: float, end_s: float) -> tuple[int, int]:
        """Return the frames of ``[start_s, end_s)`` as ``[first, stop)``, at least one."""
        start, stop = (int(n) for n in np.searchsorted(self._times, [start_s, end_s]))
        start = min(start, max(len(self._times) - 1, 0))
        return self.first + start, self.first + max(stop, start + 1)


@dataclass(frozen=True)
class BoxTrack:
    """A tube as boxes at some frames, between which boxes change linearly.

    Attributes:
        tube: The tube.
        frames: Increasing numbers of frames; the box at each of them is in ``boxes``, in source pixels.
        boxes: One box for each of ``frames``.
        seconds: The times of the boxes on the stream's clock.
        stop: The first frame after the tube.
    """

    tube: Tube
    frames: tuple[int, ...]
    boxes: tuple[Box, ...]
    seconds: tuple[float, ...]
    stop: int


def box_tracks(analysis: Analysis, numbers: FrameNumbers) -> list[BoxTrack]:
    """Return all tubes as boxes at frames, without boxes that are equal to both of their neighbours."""
    tracks: list[BoxTrack] = []
    for tube in find_tubes(analysis, masks=False):
        times = np.array([o.time for o in tube.outlines])
        at = {int(n): o for n, o in zip(numbers.nearest(times), tube.outlines, strict=True)}
        chosen = list(at.items())
        kept = [
            item
            for i, item in enumerate(chosen)
            if i in (0, len(chosen) - 1) or not chosen[i - 1][1].box == item[1].box == chosen[i + 1][1].box
        ]
        last = kept[-1][0]
        stop = min(max(numbers.span(tube.start_s, tube.end_s)[1], last + 1), numbers.count)
        outlines = [o for _, o in kept]
        tracks.append(
            BoxTrack(tube, tuple(n for n, _ in kept), tuple(o.box for o in outlines), tuple(o.time for o in outlines), stop)
        )
    return tracks


def category(tube: Tube) -> str:
    """Return the label of a tube, with ``against`` before it if its evidence speaks against the label."""
    return tube.label if tube.sign > 0 else f"against {tube.label}"


def nearest_steps(analysis: Analysis) -> list[float]:
    """Return for each frame of the source the time of the nearest step of the timeline; NaN if nothing is drawn."""
    steps = np.unique([time for tracks in analysis.drawn.values() for t in tracks for time in t.times.tolist()])
    if not len(steps):
        return [math.nan] * len(analysis.frame_times_s)
    after = np.searchsorted(steps, analysis.frame_times_s).clip(0, len(steps) - 1)
    before = (after - 1).clip(0)
    closer = analysis.frame_times_s - steps[before] <= steps[after] - analysis.frame_times_s
    nearest: list[float] = np.where(closer, steps[before], steps[after]).tolist()
    return nearest
