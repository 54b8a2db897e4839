"""The line with which ``vidcam live --headless`` ends: what was seen, and where the outputs are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from vidcam.live.actions.clips import EventClips
from vidcam.live.actions.jsonl import JsonlSink
from vidcam.live.actions.table import Action, PictureAction
from vidcam.live.pipeline import LivePipeline
from vidcam.live.recorder import Recorder

__all__ = ["summarize"]


def summarize(
    pipelines: Sequence[LivePipeline], actions: Sequence[Action | PictureAction] = (), recorder: Recorder | None = None
) -> str:
    """Return a sentence that counts what the pipelines have read, explained and reported, and names the files written."""
    frames = sum(pipeline.capture.frames for pipeline in pipelines)
    clips = sum(pipeline.stream.explained for pipeline in pipelines)
    events = sum(sum(pipeline.monitor.counts.values()) for pipeline in pipelines if pipeline.monitor is not None)
    counts = ", ".join((_count(frames, "frame") + " read", _count(clips, "clip") + " explained", _count(events, "event")))
    outputs = [f"{what} in {path}" for what, path in _outputs(actions, recorder) if path.exists()]
    return "; ".join((counts, *([", ".join(outputs)] if outputs else [])))


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _outputs(actions: Sequence[Action | PictureAction], recorder: Recorder | None) -> Iterator[tuple[str, Path]]:
    """Return what may have been written, and where."""
    for action in actions:
        if isinstance(action, JsonlSink) and action.path is not None and action.snapshots is not None:
            yield "events", action.path
            yield "snapshots", action.snapshots
        elif isinstance(action, EventClips):
            yield "videos", action.folder
    if recorder is not None:
        yield "recording", recorder.path
