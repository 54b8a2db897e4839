"""What is known now: windows' explanations as they come, as the evidence of this moment on a running scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from vidcam.evidence import timeline
from vidcam.evidence.scale import NO_EVIDENCE, RunningScale
from vidcam.evidence.smoothing import smooth
from vidcam.live.ranking import Ranking
from vidcam.pipeline import Explanation
from vidcam.values import Box, FloatArray, Prediction, Track

__all__ = ["Running", "Update", "hot_box"]

TOP = 5  # labels that are ranked for people
FADED = 7.0  # time constants after which the past no longer counts
WORTH = 3.0  # logits: evidence of this much, all on a twentieth of the cells, is drawn in full strength; less never is
HALF_LIFE_S = 20.0


@dataclass(frozen=True)
class Update:
    """The state after one window.

    ``time`` is that of the newest frame that it rests on; ``top`` the ranked (label, probability) pairs, averaged and steadied;
    ``label`` what the heat explains. ``heads`` holds, for each label whose evidence is known now, one track of a single time for
    each crop; ``curves`` their signed evidence per second; ``scale`` the raw evidence that draws as 1.0. ``number`` counts.
    ``recent`` holds, for each of these labels, the seconds that were looked at lately and the unsmoothed evidence per second in
    each of them.
    """

    number: int
    time: float
    prediction: Prediction
    top: tuple[tuple[str, float], ...]
    label: str
    heads: Mapping[str, tuple[Track, ...]]
    curves: Mapping[str, float]
    scale: float
    method: str
    versus: str | None
    recent: Mapping[str, tuple[FloatArray, FloatArray]]


class Running:
    """Joins explanations of one stream and one way of explaining, looking only at the past.

    The maps are those of :class:`vidcam.evidence.timeline.Timeline`, smoothed by its one-sided exponential of ``smooth_s``
    seconds; of the
    timeline only what this needs is kept. The scale is :class:`vidcam.evidence.scale.RunningScale` over the evidence for the
    labels
    that are shown. Where the evidence is in logits the scale has a floor, so that a scene in which nothing speaks for anything
    does not glow; elsewhere nobody knows how much is much.
    """

    def __init__(
        self,
        labels: tuple[str, ...],
        *,
        step_s: float,
        clip_s: float,
        smooth_s: float,
        chosen: bool,
        rejects: tuple[str, ...] = (),
    ) -> None:
        """``rejects`` are the labels without evidence, see :class:`vidcam.models.registry.ModelSpec`."""
        self._smooth_s, self._step_s = smooth_s, step_s
        self._keep_s = clip_s + FADED * smooth_s
        self._chosen, self._rejects = chosen, rejects
        self._timeline = timeline.Timeline(step_s=step_s)
        self._ranking = Ranking(labels)
        self._scale: RunningScale | None = None
        self._count = 0

    def add(self, explanation: Explanation) -> Update:
        """Take the newest window's explanation; windows must come in the order of their times."""
        prediction, evidence = explanation.prediction, explanation.evidence
        time = float(explanation.times[-1])
        self._ranking.update(prediction.probs, time=time)
        for part in evidence:
            self._timeline.add(part)
        self._timeline.forget(prediction.span[1] - self._keep_s)
        top = self._ranking.top(TOP)
        known = tuple(dict.fromkeys(e.label for e in evidence))
        if self._chosen:  # the classes that were asked for, whatever the answer is
            shown, label = known, max(known, key=prediction.prob)
        else:
            shown = tuple(name for name, _ in top if name in known) or known[:1]
            label = shown[0]
        heads, recent = {}, {}
        for name in shown:
            tracks = self._timeline.tracks(name)
            if name in self._rejects:  # there is no evidence for "none of these"
                tracks = tuple(replace(track, maps=np.zeros_like(track.maps)) for track in tracks)
            heads[name] = tuple(map(self._head, tracks))
            recent[name] = tracks[0].times, np.nansum([t.curve for t in tracks], axis=0)
        if self._scale is None:
            first = evidence[0]
            cells = first.values.size * sum(e.label == first.label for e in evidence)
            floor = WORTH / (0.05 * cells) if first.complete else NO_EVIDENCE
            self._scale = RunningScale(half_life_s=HALF_LIFE_S, floor=floor)
        strength = np.concatenate([np.maximum(t.maps, 0).ravel() for tracks in heads.values() for t in tracks])
        self._count += 1
        return Update(
            number=self._count,
            time=time,
            prediction=prediction,
            top=top,
            label=label,
            heads=heads,
            curves={name: float(sum(t.curve[0] for t in tracks)) for name, tracks in heads.items()},
            scale=self._scale.update(strength, time=time),
            method=evidence[0].method,
            versus=evidence[0].versus,
            recent=recent,
        )

    def _head(self, track: Track) -> Track:
        """The evidence at the last moment that windows have looked at, as a track of that one moment."""
        smoothed = smooth(track, kind="exponential", seconds=self._smooth_s, causal=True)
        return replace(smoothed, times=smoothed.times[-1:], maps=smoothed.maps[-1:])


def hot_box(tracks: tuple[Track, ...], *, share: float = 0.5) -> Box | None:
    """The smallest rectangle around the cells with at least ``share`` of the hottest cell's evidence, in source pixel edges.

    The cells are those connected with the hottest one, of the crop that has it, each half a cell wide to every side, within what
    the model saw. None where nothing speaks for the label.
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
