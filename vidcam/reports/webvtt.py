"""WebVTT: subtitles that say when the evidence for each label holds, and else what the model predicts."""

from __future__ import annotations

import itertools
import os
from collections import defaultdict

from vidcam.analysis import Analysis
from vidcam.io.files import save
from vidcam.io.formatting import percent, share
from vidcam.reports.predictions import end_of, predicted_spans
from vidcam.reports.timeline_chart import strongest

__all__ = ["write_vtt"]


def write_vtt(analysis: Analysis, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write subtitles whose cues never overlap, on the clock of the written video.

    A cue names the labels whose evidence holds, or what the model predicts if there are none. Raises OutputError if the file
    cannot be written.
    """
    blocks = [
        "WEBVTT - when the evidence for each label holds",
        "NOTE\nTimes are those of the written video's own clock.",
    ]
    for start, end, text in _cues(analysis):
        blocks.append(f"{_timestamp(start)} --> {_timestamp(end)}\n{text}")
    save(path, "\n\n".join(blocks) + "\n", overwrite=overwrite, source=analysis.source.path)


def _cues(analysis: Analysis) -> list[tuple[int, int, str]]:
    """Return (start, end, text) in whole milliseconds, in order, cut at every change of a segment or a prediction."""

    def milliseconds(time: float) -> int:
        return max(0, round((time - analysis.video_offset_s) * 1000))

    full = strongest(analysis.curves.values())
    spans = [
        (milliseconds(s.start_s), milliseconds(s.end_s), f"{_escape(s.label)}: evidence {share(s.score, full)}")
        for s in analysis.segments
    ]
    segments = len(spans)
    for span in predicted_spans(analysis.windows, end_s=end_of(analysis)):
        text = _escape(f"prediction: {span.label}, {percent(span.prob)}")
        spans.append((milliseconds(span.start), milliseconds(span.end), text))
    starting: dict[int, list[int]] = defaultdict(list)
    for i, (start, _, _) in enumerate(spans):
        starting[start].append(i)

    cues: list[tuple[int, int, str]] = []
    active: list[int] = []
    for start, end in itertools.pairwise(sorted({edge for span in spans for edge in span[:2]})):
        active = sorted(i for i in active + starting[start] if spans[i][1] > start)
        lines = [spans[i][2] for i in active if i < segments] or [spans[i][2] for i in active]
        text = "\n".join(lines)
        if text and cues and cues[-1][1:] == (start, text):
            start = cues.pop()[0]
        if text:
            cues.append((start, end, text))
    return cues


def _timestamp(ms: int) -> str:
    return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}.{ms % 1000:03d}"


def _escape(label: str) -> str:
    """Return ``label`` on one line (an empty line would end the cue), with the characters escaped that WebVTT reserves."""
    line = " ".join(label.split())
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
