"""Evaluate a model on a labelled folder of videos: its mistakes, and evidence in suspicious places."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from vidcam.analysis import Analysis, RunInfo
from vidcam.annotation.first_pass import explain_source
from vidcam.errors import UnknownNameError, UsageError, VidcamError
from vidcam.evidence.heat import render_heat
from vidcam.evidence.labels import label_of
from vidcam.io.class_folders import read_labelled
from vidcam.io.playable import Playability, Playback, check_playable
from vidcam.io.source import Source, open_source
from vidcam.methods.lookup import choose_method
from vidcam.metrics import spurious
from vidcam.pipeline import Progress
from vidcam.render import thumb
from vidcam.reports.inspection import Case, Inspection, played_cases
from vidcam.settings import Settings
from vidcam.values import FloatArray, UInt8Array

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = ["inspect"]

FRAMES = 8
"""Frames of each video, evenly spread, in which suspicious places are looked for."""

SIDE = 112
"""Height and width of those frames in pixels."""

WIDTH = 260
"""Width in pixels of the pictures in the report."""


@dataclass
class _Sample:
    """What suspicions rest on: evidence ``heat (N,h,w)`` and ``frames (N,h,w,3)`` of the model's view at the same times.

    ``reach`` is half a cell in pixels.
    """

    case: Case
    heat: FloatArray
    frames: UInt8Array
    reach: int


def inspect(
    folder: str | os.PathLike[str], *, engine: Engine, settings: Settings | None = None, progress: Progress | None = None
) -> Inspection:
    """Explain every video of a folder of class folders, and look for evidence in suspicious places.

    Args:
        folder: The folder; the name of each class folder must be one of the model's labels.
        engine: The model.
        settings: How to explain; they must name no classes.
        progress: Called with the stage, the videos done, and all videos.

    Returns:
        The predictions, mistakes first. A video that cannot be read is a case with an ``error``.

    Raises:
        InputError: There are no class folders.
        UnknownNameError: A class folder's name is no label of the model.
        UsageError: The settings name classes, or a video has not exactly one label.
        IncompatibleError: The method does not work on the model.
    """
    settings = replace(settings or Settings(), cover=False)
    if settings.classes or settings.versus is not None:
        raise UsageError("in a folder each video is explained for its answer and its own class: name no classes")
    method = choose_method(settings.method, engine.spec).name
    data = read_labelled(folder)
    if data.multi_label:
        raise UsageError(f"each video of {folder} needs exactly one label to be evaluated")
    for name in data.labels:
        if name.isdecimal() and name not in engine.labels:  # a number of the data set, which the network may count otherwise
            raise UnknownNameError("class", name, engine.labels)
    labels = [label_of(engine.labels, name) for name in data.labels]
    samples: list[_Sample] = []
    broken: list[Case] = []
    for done, video in enumerate(data.videos, 1):
        label = labels[video.labels[0]]
        try:
            samples.append(_explain_video(video.path, video.name, label, engine, settings))
            _forget_unplayed(samples)
        except VidcamError as error:
            broken.append(Case(video.name, label, "", 0.0, 0.0, (), {}, str(error)))
        if progress:
            progress("inspect", done, len(data.videos))
    overlays = {
        label: spurious.overlay_mask(
            [s.frames.mean(0).astype(np.uint8) for s in samples if s.case.label == label], reach=samples[0].reach
        )
        for label in labels
        if any(s.case.label == label for s in samples)
    }
    cases = [replace(s.case, suspicions=_check_places(s, overlays[s.case.label])) for s in samples]
    cases.sort(key=lambda c: (c.is_correct, -c.prob_predicted if not c.is_correct else c.prob_predicted))
    by_class = {label: _average([c for c in cases if c.label == label and c.is_correct]) for label in overlays}
    return Inspection(str(folder), method, (*broken, *cases), by_class, RunInfo.of(engine, seed=settings.seed))


def _explain_video(video: Path, name: str, label: str, engine: Engine, settings: Settings) -> _Sample:
    """Explain one video for its label and, if that differs, for the prediction; take its pictures."""
    with open_source(video) as source:
        playable = check_playable(source)
        analysis = explain_source(source, engine, replace(settings, classes=(label,)), None)
        predicted = analysis.top(1)[0][0]
        if predicted != label:
            analysis = explain_source(source, engine, replace(settings, classes=(predicted, label)), None)
        times = analysis.times_s[np.linspace(0, len(analysis.times_s) - 1, FRAMES).round().astype(int)].tolist()
        peaks = {
            shown: float(analysis.times_s[int(np.nanargmax(analysis.curves[shown]))])
            for shown in dict.fromkeys((predicted, label))
        }
        frames = _frames_at(source, [*times, *peaks.values()])
    track = analysis.drawn[predicted][0]
    box = track.seen
    rows, columns = slice(round(box.y0), round(box.y1)), slice(round(box.x0), round(box.x1))
    size = SIDE, SIDE  # whatever a video's shape: places of a class are compared, and the network reads all videos in one size
    views = [cv2.resize(frames[time][rows, columns], size, interpolation=cv2.INTER_AREA) for time in times]
    maps = [np.maximum(0 if m is None else m, 0) for m in map(track.at, times)]
    heat = [cv2.resize(np.asarray(m, np.float32), size, interpolation=cv2.INTER_LINEAR) for m in maps if np.ndim(m) == 2]
    probs = dict(analysis.top(len(engine.labels)))
    pictures = {shown: _picture(analysis, shown, time, frames[time]) for shown, time in peaks.items()}
    case = Case(
        name, label, predicted, probs[label], probs[predicted], (), pictures,
        analysis=_played(analysis, playable), unplayed=playable.reason,
    )  # fmt: skip
    reach = round(SIDE / len(track.ys) / 2)
    values: FloatArray = np.asarray(np.stack(heat) if heat else np.zeros((1, *size)), np.float64)
    return _Sample(case, values, np.stack(views).astype(np.uint8), reach)


def _forget_unplayed(samples: Sequence[_Sample]) -> None:
    """Drop the analyses of videos that the page will not play, so that the memory for them does not grow with the folder."""
    candidates = [s for s in samples if s.case.analysis is not None]
    played = {id(case) for case in played_cases(s.case for s in candidates)}
    for sample in candidates:
        if id(sample.case) not in played:
            sample.case = replace(sample.case, analysis=None)


def _played(analysis: Analysis, playable: Playability) -> Analysis:
    """Return what the page plays of a video: the smoothed maps, and the video itself if browsers can play it."""
    info = analysis.source
    playback = Playback(info.path, info.start_s, (info.height, info.width), "") if playable.way == "as it is" else None
    return replace(analysis, tracks={}, playback=playback)


def _frames_at(source: Source, times: Sequence[float]) -> dict[float, UInt8Array]:
    """Return the frame that is shown at each of these seconds of the stream's clock."""
    shown: dict[float, UInt8Array] = {}
    remaining = sorted(set(times))
    last: UInt8Array | None = None
    for frame in source.frames():
        while remaining and last is not None and frame.time > remaining[0]:
            shown[remaining.pop(0)] = last
        last = frame.image
        if not remaining:
            break
    for time in remaining:
        assert last is not None
        shown[time] = last
    return shown


def _picture(analysis: Analysis, label: str, time: float, frame: UInt8Array) -> UInt8Array:
    heat = render_heat(analysis.drawn[label], time=time, scale=analysis.scale, size=(frame.shape[0], frame.shape[1]))
    return thumb(frame, heat, width=min(WIDTH, frame.shape[1]))


def _check_places(s: _Sample, overlay: np.ndarray) -> tuple[spurious.SpuriousCheck, ...]:
    size = s.frames.shape[1], s.frames.shape[2]
    return (
        spurious.check_place("the border of the picture", s.heat, spurious.border_mask(size)),
        spurious.check_place("what never moves", s.heat, spurious.static_mask(s.frames)),
        spurious.check_place("what is the same in every video of the class", s.heat, overlay),
    )


def _average(cases: Sequence[Case]) -> tuple[spurious.SpuriousCheck, ...]:
    """Return the suspicions about a class: means over its videos, raised if at least half of theirs are."""
    if not cases:
        return ()
    out = []
    for same in zip(*(c.suspicions for c in cases), strict=True):
        out.append(
            spurious.SpuriousCheck(
                same[0].place, float(np.mean([s.share for s in same])), float(np.mean([s.area for s in same])),
                bool(np.mean([s.raised for s in same]) >= 0.5),
            )
        )  # fmt: skip
    return tuple(out)
