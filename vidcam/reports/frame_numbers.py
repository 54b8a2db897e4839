"""Evidence by the numbers of frames, for tools that count frames instead of seconds."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vidcam.analysis import Analysis
from vidcam.evidence.tubes import Outline, Outlines, Tube, find_tubes
from vidcam.io.stored_video import StoredVideo, look_at_stored
from vidcam.values import FloatArray

__all__ = ["BoxTrack", "FrameNumbers", "box_tracks", "category", "nearest_steps", "tubes_at", "whole_duration"]


class FrameNumbers:
    """Counts the frames of a video file from its first one, which is 0, also if only a part of the file was analysed.

    Attributes:
        stored: How the file stores its pictures; None if it is no video file.
        first: The number of the first frame that was analysed.
        count: The number of frames up to the last one that was analysed.
        total: The number of frames of the whole file; as the file states it, if the analysis ended earlier.
    """

    def __init__(self, analysis: Analysis) -> None:
        times, start = analysis.frame_times_s, analysis.settings.start_s
        before = float(times[0]) if start and len(times) else None
        counted = None if before is None else (analysis.source.start_s, before)
        self.stored: StoredVideo | None = look_at_stored(analysis.source.path, rotation=analysis.source.rotation, counted=counted)
        self.first = self._first(analysis, before)
        self.count = self.first + len(times)
        self.total = self.count
        if (seconds := whole_duration(analysis)) is not None:
            self.total = max(self.count, analysis.source.frames or round(seconds * (analysis.source.fps or 0.0)))
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


def whole_duration(analysis: Analysis) -> float | None:
    """Return the seconds of the whole video, as the file states them; None if the analysis went on to its end."""
    end, stated = analysis.settings.end_s, analysis.source.duration_s
    return None if end is None or stated is None or end >= stated else stated


@dataclass(frozen=True)
class BoxTrack:
    """A tube as boxes at some frames, between which boxes change linearly.

    Attributes:
        tube: The tube.
        frames: Increasing numbers of frames ``(n,)``.
        outlines: The box at each of them.
        stop: The first frame after the tube.
    """

    tube: Tube
    frames: npt.NDArray[np.intp]
    outlines: Outlines
    stop: int


def box_tracks(analysis: Analysis, numbers: FrameNumbers) -> list[BoxTrack]:
    """Return all tubes as boxes at frames, without boxes that are equal to both of their neighbours."""
    tracks: list[BoxTrack] = []
    for tube in find_tubes(analysis, masks=False):
        frames = numbers.nearest(tube.outlines.times)
        last_of_frame = np.flatnonzero(np.append(frames[1:] != frames[:-1], True))
        boxes = tube.outlines.boxes[last_of_frame]
        is_same = (boxes[1:] == boxes[:-1]).all(axis=1)
        kept = last_of_frame[~(np.append(False, is_same) & np.append(is_same, False))]
        stop = min(max(numbers.span(tube.start_s, tube.end_s)[1], int(frames[-1]) + 1), numbers.count)
        tracks.append(BoxTrack(tube, frames[kept], tube.outlines.chosen(kept), stop))
    return tracks


def tubes_at(tubes: Sequence[Tube], steps: Iterable[float]) -> Iterator[list[tuple[Tube, Outline]]]:
    """Yield for each of the ``steps``, times that never fall, the tubes that have an outline then, in their own order."""

    def pairs(tube: Tube) -> Iterator[tuple[Tube, Outline]]:
        return ((tube, outline) for outline in tube.outlines)

    in_time = heapq.merge(*map(pairs, tubes), key=lambda pair: pair[1].time)
    moments = itertools.groupby(in_time, key=lambda pair: pair[1].time)
    time, here = -math.inf, list[tuple[Tube, Outline]]()
    for step in steps:
        while time < step:
            time, group = next(moments, (math.inf, iter(())))
            here = list(group)
        yield here if time == step else []


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
