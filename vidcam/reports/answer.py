"""The answer of an analysis in one sentence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vidcam.analysis import Analysis
from vidcam.io.formatting import percent, seconds
from vidcam.values import Segment

__all__ = ["explained_label", "summarize"]


def summarize(analysis: Analysis) -> str:
    """Return one sentence: what the model predicts, how sure it is, and when the evidence for it is present."""
    label, prob = analysis.top(1)[0]
    explained = explained_label(analysis)
    evidence = "evidence"
    if explained != label or analysis.versus:
        evidence += f" for {explained}"
    if analysis.versus:
        evidence += f" over {analysis.versus}"
    segments = [s for s in analysis.segments if s.label == explained]
    answer = f"{label}, {percent(prob)} over the whole video"
    model = analysis.model
    if explained in model.rejects:
        return f"{answer}: this is none of the {len(analysis.probs) - len(model.rejects)} actions that {model.name} knows"
    if not segments:
        return f"{answer}: no part stands out in the {evidence}"
    return f"{answer}: {evidence} {_when(segments, analysis)}"


def explained_label(analysis: Analysis) -> str:
    """Return the label whose evidence :func:`summarize` describes: the top label if it is explained, else the first that is."""
    label = analysis.top(1)[0][0]
    return label if label in analysis.labels or not analysis.labels else analysis.labels[0]


def _when(segments: Sequence[Segment], analysis: Analysis) -> str:
    if sum(s.end_s - s.start_s for s in segments) >= 0.9 * analysis.duration_s:
        curve = analysis.curves[segments[0].label]
        has_peak = np.nanmax(curve) > 2 * np.nanmean(curve)
        return "from beginning to end" + (f", strongest at {seconds(analysis.times_s[np.nanargmax(curve)])}" if has_peak else "")
    if len(segments) <= 3:
        spans = [_between(s) for s in sorted(segments, key=lambda s: s.start_s)]
        return "mainly " + ", ".join(spans[:-1]) + (" and " if len(spans) > 1 else "") + spans[-1]
    return f"in {len(segments)} segments, the strongest {_between(max(segments, key=lambda s: s.score))}"


def _between(segment: Segment) -> str:
    return f"between {seconds(segment.start_s)} and {seconds(segment.end_s)}"
