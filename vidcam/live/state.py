"""The live state of a stream: its explanations, joined into the evidence of this moment on a running scale."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from vidcam.evidence.scale import NO_EVIDENCE, RunningScale
from vidcam.evidence.smoothing import smooth
from vidcam.evidence.timeline import Timeline
from vidcam.live.ranking import Ranking
from vidcam.pipeline import Explanation
from vidcam.values import Box, FloatArray, Prediction, Track

__all__ = ["LiveEvidence", "Update", "find_full_strength", "find_hot_box"]

TOP = 5  # labels that are ranked for the viewer
FORGET_AFTER = 7.0  # time constants after which the past no longer counts
FULL_STRENGTH = 3.0  # logits: evidence of this much, all on a twentieth of the cells, is drawn in full strength; less is not
SURE = 0.95
HALF_LIFE_S = 20.0


@dataclass(frozen=True)
class Update:
    """The state after one clip.

    Attributes:
        number: Counts the updates of a stream.
        time: The second of the newest frame that it rests on.
        prediction: The model's answer to the clip.
        top: The ranked (label, probability) pairs, averaged and steadied.
        label: The label that the heat explains.
        shown: The labels whose evidence the viewer sees: the chosen ones, else the most probable.
        tracks: For each label whose evidence is known now, shown or not, one track of a single time for each crop.
        curves: The signed evidence per second of these labels.
        scale: The raw evidence that draws as 1.0.
        method: The name of the method.
        versus: The label that the evidence is contrasted with.
        recent: For each of these labels, the last seconds that clips have covered and the unsmoothed evidence per second in each.
    """

    number: int
    time: float
    prediction: Prediction
    top: tuple[tuple[str, float], ...]
    label: str
    shown: tuple[str, ...]
    tracks: Mapping[str, tuple[Track, ...]]
    curves: Mapping[str, float]
    scale: float
    method: str
    versus: str | None
    recent: Mapping[str, tuple[FloatArray, FloatArray]]


class LiveEvidence:
    """Joins the explanations of one stream, looking only at the past.

    The maps are those of :class:`vidcam.evidence.timeline.Timeline`, smoothed by its one-sided exponential; only the part of the
    timeline that this needs is kept. The scale is a :class:`vidcam.evidence.scale.RunningScale` over the evidence for the labels
    that are shown. If the evidence is in logits, the scale has a floor, so that a scene in which nothing speaks for anything does
    not glow: see :func:`find_full_strength`. In other units nobody knows how much is much, so there is no floor.

    Args:
        labels: All labels, in the model's order.
        step_s: The seconds between the model's frames.
        clip_s: The length of a clip in seconds.
        smooth_s: The time constant of the smoothing in seconds.
        chosen: The labels that the user has chosen to see; none for the most probable ones.
        rejects: The labels without evidence ("none of these"), see :class:`vidcam.models.spec.ModelSpec`.
        full_strength: How many logits of evidence are always drawn in full strength.
    """

    def __init__(
        self,
        labels: tuple[str, ...],
        *,
        step_s: float,
        clip_s: float,
        smooth_s: float,
        chosen: tuple[str, ...],
        rejects: tuple[str, ...] = (),
        full_strength: float = FULL_STRENGTH,
    ) -> None:
        self._full_strength = full_strength
        self._smooth_s = smooth_s
        self._keep_s = clip_s + FORGET_AFTER * smooth_s
        self._chosen, self._rejects = chosen, rejects
        self._timeline = Timeline(step_s=step_s)
        self._ranking = Ranking(labels)
        self._scale: RunningScale | None = None
        self._count = 0

    def add(self, explanation: Explanation) -> Update:
        """Take the newest clip's explanation and return the new state. Clips must come in order of time."""
        prediction, evidence = explanation.prediction, explanation.evidence
        time = float(explanation.times[-1])
        self._ranking.update(prediction.probs, time=time)
        for part in evidence:
            self._timeline.add(part)
        self._timeline.forget(prediction.span[1] - self._keep_s)
        top = self._ranking.top(TOP)
        explained = tuple(dict.fromkeys(e.label for e in evidence))
        probable = tuple(name for name, _ in top if name in explained) or explained[:1]
        shown = self._chosen or probable  # the user's labels, whatever the answer is
        label = max(shown, key=prediction.prob) if self._chosen else shown[0]
        raw = {name: self._raw_tracks(name) for name in dict.fromkeys(shown + probable)}  # rules need those of answers too
        tracks = {name: tuple(map(self._newest, parts)) for name, parts in raw.items()}
        if self._scale is None:
            first = evidence[0]
            cells = first.values.size * sum(e.label == first.label for e in evidence)
            floor = self._full_strength / (0.05 * cells) if first.complete else NO_EVIDENCE
            self._scale = RunningScale(half_life_s=HALF_LIFE_S, floor=floor)
        strength = np.concatenate([np.maximum(t.maps, 0).ravel() for name in shown for t in tracks[name]])
        self._count += 1
        return Update(
            number=self._count,
            time=time,
            prediction=prediction,
            top=top,
            label=label,
            shown=shown,
            tracks=tracks,
            curves={name: float(sum(t.curve[0] for t in parts)) for name, parts in tracks.items()},
            scale=self._scale.update(strength, time=time),
            method=evidence[0].method,
            versus=evidence[0].versus,
            recent={name: (parts[0].times, np.nansum([t.curve for t in parts], axis=0)) for name, parts in raw.items()},
        )

    def _raw_tracks(self, label: str) -> tuple[Track, ...]:
        """Return the unsmoothed tracks of a label, one for each crop; zero for a label without evidence."""
        tracks = self._timeline.tracks(label)
        if label in self._rejects:
            return tuple(replace(track, maps=np.zeros_like(track.maps)) for track in tracks)
        return tracks

    def _newest(self, track: Track) -> Track:
        """Return the smoothed evidence of the newest time that clips have covered, as a track of that one time."""
        smoothed = smooth(track, kind="exponential", seconds=self._smooth_s, causal=True)
        return replace(smoothed, times=smoothed.times[-1:], maps=smoothed.maps[-1:])


def find_full_strength(classes: int, temperature: float) -> float:
    """Return how many logits of evidence are drawn in full strength for a model of so many classes: at most ``FULL_STRENGTH``.

    It is what a class needs above the mean of all to be answered with 95 %, if the others are equal. A model that was taught a
    few actions needs far less than one of hundreds, and has no more evidence than it needs.
    """
    if classes < 2:
        return FULL_STRENGTH
    needed = temperature * math.log(SURE / (1 - SURE) * (classes - 1)) * (classes - 1) / classes
    return min(FULL_STRENGTH, needed)


def find_hot_box(tracks: tuple[Track, ...], *, share: float = 0.5) -> Box | None:
    """Return the smallest box around the strongest evidence at the last time, in source pixel edges.

    It contains the cells that are connected with the strongest one and have at least ``share`` of its evidence, in the crop of
    that cell, each half a cell wide on every side, within what the model saw. None if nothing speaks for the label.
    """
    import cv2

    track = max(tracks, key=lambda t: float(t.maps[-1].max()), default=None)
    if track is None or not float(track.maps[-1].max()) > 0:
        return None
    values = track.maps[-1]
    _, pieces = cv2.connectedComponents((values >= share * values.max()).astype(np.uint8), connectivity=8)
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    rows, columns = np.nonzero(pieces == pieces[row, column])
    seen = track.seen

    def edges(centres: FloatArray, first: int, last: int, low: float, high: float) -> tuple[float, float]:
        half = (centres[-1] - centres[0]) / (2 * max(len(centres) - 1, 1)) if len(centres) > 1 else high - low
        return max(low, float(centres[first] + 0.5 - half)), min(high, float(centres[last] + 0.5 + half))

    y0, y1 = edges(track.ys, int(rows.min()), int(rows.max()), seen.y0, seen.y1)
    x0, x1 = edges(track.xs, int(columns.min()), int(columns.max()), seen.x0, seen.x1)
    return Box(y0, x0, y1, x1)
