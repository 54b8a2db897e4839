"""The evidence of one video as its clips come in: joined on a timeline, with what the model answered to each clip."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from vidcam.evidence.labels import in_the_running
from vidcam.evidence.timeline import Timeline
from vidcam.values import Evidence, FloatArray, Prediction, Track

__all__ = ["Joiner"]

PRUNE_EVERY = 32
"""Clips after which the evidence of labels that have fallen back is forgotten."""


class Joiner:
    """Joins the evidence that one method finds in the clips of a video.

    It keeps one map for each step of the timeline and each label that may be shown. Labels that were candidates in some clip and
    have fallen back are forgotten (and explained again if they are shown after all), so the evidence for candidates waits until
    that is known. If the labels are ``named`` from the beginning, nothing waits.
    """

    def __init__(self, *, step_s: float, named: bool) -> None:
        self.timeline = Timeline(step_s=step_s)
        self.predictions: list[Prediction] = []
        self.completeness_error: float | None = None
        self.sampled: set[float] = set()
        self._waiting: list[Evidence] = []
        self._named = named

    def add(self, prediction: Prediction, evidence: Sequence[Evidence], times: FloatArray) -> None:
        """Take a clip: the model's answer, the evidence for it, and the seconds of the frames that the model saw."""
        self.predictions.append(prediction)
        self.sampled.update(times.tolist())
        self.timeline.begin(prediction.span[0])
        if self._named:
            self.add_evidence(evidence)
            return
        self._note_errors(evidence)
        self._waiting += evidence
        if len(self.predictions) % PRUNE_EVERY == 0:
            self.keep(in_the_running(self.predictions))

    def add_evidence(self, evidence: Sequence[Evidence]) -> None:
        """Take more evidence of a clip that is known already."""
        self._note_errors(evidence)
        for each in evidence:
            self.timeline.begin(each.span[0])
            self.timeline.add(each)

    def keep(self, labels: Collection[str]) -> None:
        """Join the waiting evidence for these labels, and forget all others."""
        for evidence in self._waiting:
            if evidence.label in labels:
                self.timeline.add(evidence)
        self._waiting.clear()
        for label in set(self.timeline.labels) - set(labels):
            self.timeline.drop(label)

    def take_tracks(self, labels: Sequence[str], *, until: float) -> dict[str, tuple[Track, ...]]:
        """Return the joined evidence up to the end of the video at ``until``, and give up what was kept for it.

        Each of the ``labels`` must have been explained in every clip.
        """
        tracks = {}
        for label in labels:  # one after the other, so that none is in memory twice for long
            tracks[label] = self.timeline.tracks(label, until=until)
            self.timeline.drop(label)
        return tracks

    def _note_errors(self, evidence: Sequence[Evidence]) -> None:
        for each in evidence:
            if each.complete:
                self.completeness_error = max(self.completeness_error or 0.0, each.completeness_error)
