"""Analyses of videos without any model: what a test draws is what it has made up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vidcam.analysis import Analysis, ModelInfo, RunInfo
from vidcam.settings import Settings
from vidcam.values import Frame, Prediction, SourceInfo, Track

RUN = RunInfo(ModelInfo("made up"), engine="none", device="cpu", seed=0, versions={})


def made_up(
    info: SourceInfo, frames: Sequence[Frame], drawn: Mapping[str, tuple[Track, ...]] | None = None, **changes: Any
) -> Analysis:
    """An analysis of these frames with the ``drawn`` evidence; every second has a window that answers the labels in turn."""
    labels = tuple(drawn or {"walk": ()})
    start, end = frames[0].time, frames[-1].end
    spans = [(start + i, start + i + 1) for i in range(max(1, round(end - start)))]
    windows = []
    for i, span in enumerate(spans):
        probs = np.full(len(labels), 0.1, np.float32)
        probs[i % len(labels)] = 0.9
        windows.append(Prediction(np.log(probs), probs / probs.sum(), labels, span))
    times = next((tracks[0].times for tracks in (drawn or {}).values()), np.array([start, end]))
    curves = {label: np.sum([t.curve for t in tracks], axis=0) for label, tracks in (drawn or {}).items()}
    values: dict[str, Any] = {
        "source": info,
        "frames": len(frames),
        "duration_s": end - start,
        "run": RUN,
        "method": "cam",
        "settings": Settings(),
        "windows": tuple(windows),
        "probs": np.mean([w.probs for w in windows], axis=0),
        "times_s": times,
        "frame_times_s": np.array([frame.time for frame in frames]),
        "curves": curves or {"walk": np.zeros(len(times))},
        "tracks": drawn or {},
        "drawn": drawn or {},
        "segments": (),
        "scale": 1.0,
        "completeness_error": None,
        "unseen_fraction": 0.0,
    }
    return Analysis(**(values | changes))
