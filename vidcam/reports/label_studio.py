"""Label Studio: tubes as video rectangles and segments on the timeline, as predictions of an imported task."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from vidcam.analysis import Analysis
from vidcam.io.container import DEFAULT_FPS, is_url
from vidcam.io.files import save
from vidcam.io.json_text import to_json_text
from vidcam.reports.frame_numbers import BoxTrack, FrameNumbers, box_tracks, category, whole_duration
from vidcam.values import Box, Segment

__all__ = ["labeling_config", "write_label_studio"]

LOCAL_FILES = "/data/local-files/?d="
"""Where Label Studio serves the files of its own machine, by their path below the root that it was started with."""


def write_label_studio(analysis: Analysis, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write a JSON list of one task with one prediction, for :func:`labeling_config`.

    Label Studio counts frames from 1, and finds them by the browser's clock times the frame rate: ``$fps`` of the task. Raises
    OutputError if the file cannot be written.
    """
    text = to_json_text(_task(analysis))
    save(path, f"[{text.rstrip()}]\n", overwrite=overwrite, source=analysis.source.path)


def labeling_config(tasks: Iterable[Mapping[str, Any]]) -> str:
    """Return the labeling configuration (XML) of a project for tasks that :func:`write_label_studio` wrote.

    Args:
        tasks: The tasks of one or several files, as JSON gives them.

    Example:
        >>> from vidcam.reports.label_studio import labeling_config
        >>> labeling_config([]).splitlines()[1].strip()
        '<Video name="video" value="$video" frameRate="$fps"/>'
    """
    boxes: dict[str, None] = {}
    spans: dict[str, None] = {}
    for task in tasks:
        for item in task["predictions"][0]["result"]:
            value = item["value"]
            boxes |= dict.fromkeys(value.get("labels", ()))
            spans |= dict.fromkeys(value.get("timelinelabels", ()))
    return "\n".join(
        [
            "<View>",
            '  <Video name="video" value="$video" frameRate="$fps"/>',
            '  <VideoRectangle name="box" toName="video"/>',
            '  <Labels name="videoLabels" toName="video">',
            *_choices(boxes),
            "  </Labels>",
            '  <TimelineLabels name="timelineLabels" toName="video">',
            *_choices(spans),
            "  </TimelineLabels>",
            "</View>",
        ]
    )


def _choices(labels: Iterable[str]) -> list[str]:
    return [f"    <Label value={quoteattr(label)}/>" for label in labels]


def _task(analysis: Analysis) -> dict[str, object]:
    fps = analysis.source.fps or DEFAULT_FPS
    tracks = box_tracks(analysis, FrameNumbers(analysis))
    seconds = whole_duration(analysis) or analysis.duration_s
    frames = max(1, math.ceil(round((analysis.source.start_s + seconds) * fps, 6)))
    if len(analysis.frame_times_s):
        frames = max(frames, _frame(float(analysis.frame_times_s[-1]), fps))
    (label, probability), *_ = analysis.top(1)
    return {
        "data": {
            "video": _address(analysis.source.path),
            "fps": fps,
            "input": analysis.source.path,
            "prediction": label,
            "probability": probability,
        },
        "predictions": [
            {
                "model_version": f"{analysis.model.name} {analysis.method}",
                "score": probability,
                "result": [
                    *(_rectangle(analysis, track, fps, frames) for track in tracks),
                    *(_span(number, segment, fps, frames) for number, segment in enumerate(analysis.segments, 1)),
                ],
            }
        ],
    }


def _address(path: str) -> str:
    """Return where Label Studio finds the video: an address as it is, a file among those that Label Studio serves itself."""
    return path if is_url(path) else LOCAL_FILES + Path(path).resolve().as_posix().lstrip("/")


def _frame(second: float, fps: float) -> int:
    return max(1, round(second * fps) + 1)


def _rectangle(analysis: Analysis, track: BoxTrack, fps: float, frames: int) -> dict[str, object]:
    end = min(max(_frame(track.tube.end_s, fps) - 1, _frame(track.outlines[-1].time, fps)), frames)
    boxes = {_frame(outline.time, fps): (outline.time, outline.box) for outline in track.outlines}
    boxes[end] = (boxes[max(boxes)][0] if end in boxes else (end - 1) / fps, boxes[max(boxes)][1])
    return {
        "id": f"tube-{track.tube.id}", "from_name": "box", "to_name": "video", "type": "videorectangle", "origin": "prediction",
        "score": track.tube.share,
        "value": {
            "framesCount": frames, "duration": frames / fps, "labels": [category(track.tube)],
            "sequence": [_keyframe(analysis, n, *boxes[n], enabled=n < end) for n in sorted(boxes)],
        },
    }  # fmt: skip


def _keyframe(analysis: Analysis, frame: int, second: float, box: Box, *, enabled: bool) -> dict[str, object]:
    """Return the box at a frame in percent of the picture; the last one of a rectangle is not ``enabled``."""
    height, width = analysis.source.height / 100, analysis.source.width / 100
    return {
        "frame": frame, "time": round(second, 6), "enabled": enabled, "rotation": 0,
        "x": round(box.x0 / width, 4), "y": round(box.y0 / height, 4),
        "width": round((box.x1 - box.x0) / width, 4), "height": round((box.y1 - box.y0) / height, 4),
    }  # fmt: skip


def _span(number: int, segment: Segment, fps: float, frames: int) -> dict[str, object]:
    start = min(_frame(segment.start_s, fps), frames)
    labels: Sequence[str] = [segment.label]
    return {
        "id": f"segment-{number}", "from_name": "timelineLabels", "to_name": "video", "type": "timelinelabels",
        "origin": "prediction",
        "value": {
            "ranges": [{"start": start, "end": min(max(_frame(segment.end_s, fps) - 1, start), frames)}],
            "timelinelabels": labels,
        },
    }  # fmt: skip
