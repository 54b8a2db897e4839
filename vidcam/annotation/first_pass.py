"""The first pass over a video: explain every clip, join the evidence, and put together what is known of the video."""

from __future__ import annotations

import itertools
import os
from array import array
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from vidcam.analysis import Analysis, RunInfo
from vidcam.annotation.choosing import choose_for_video
from vidcam.annotation.judging import add_verdict
from vidcam.engine import open_engine, rejection_sentence
from vidcam.errors import InputError, UsageError
from vidcam.evidence.heat import unseen_fraction
from vidcam.evidence.joiner import Joiner
from vidcam.evidence.labels import label_of, shown_labels
from vidcam.evidence.optical_flow import FlowField
from vidcam.evidence.scale import scale_of
from vidcam.evidence.segments import covered_share, find_segments
from vidcam.evidence.smoothing import smooth
from vidcam.io.arrays import is_array
from vidcam.io.source import Source, open_source
from vidcam.methods.lookup import BEST
from vidcam.pipeline import Progress, Session, explanations, predictions
from vidcam.settings import Settings
from vidcam.values import FloatArray, Frame, Prediction, Track

if TYPE_CHECKING:
    from vidcam.engine import Engine
    from vidcam.methods.core import Method

__all__ = ["explain", "explain_by_methods", "explain_source", "predict"]


CHEAP_CANDIDATES = 20
"""How many classes are explained in each clip of a file, if the method gets them for free from the activations.

With fewer, a class that comes up late would cost a second pass.
"""


def explain(
    source: object,
    *,
    engine: Engine | None = None,
    settings: Settings = Settings(),
    times: Sequence[float] | FloatArray | None = None,
    fps: float | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
    on_prediction: Callable[[Prediction], None] | None = None,
) -> Analysis:
    """Explain what a model sees in a video, without drawing or writing anything.

    Args:
        source: A video file, an address, a folder of images, or an array or tensor ``(T, H, W, 3) uint8`` RGB.
        engine: The model, as :func:`vidcam.open_engine` returns it; None opens the model ``auto``.
        settings: How to explain.
        times: ``(T,)`` increasing seconds of the pictures of an array.
        fps: Pictures per second of an array or a folder of images, instead of ``times``; must be positive.
        progress: Is called with the stage, the frames done, and the number of all frames (None if unknown).
        say: Is called with each warning as soon as it is known, in the thread that reads; otherwise warnings are only in
            ``Analysis.warnings``.
        on_prediction: Is called with the model's answer to each clip as soon as it is known.

    Returns:
        The predictions, and the evidence in space and time.

    Raises:
        InputError: The source cannot be read.
        UnknownNameError: The model does not know a class, or there is no such method.
        IncompatibleError: The method does not work on the model.
        UsageError: An argument is not allowed, such as an array of another shape.

    Example:
        >>> import numpy as np, vidcam
        >>> pictures = np.zeros((40, 64, 64, 3), np.uint8)
        >>> analysis = vidcam.explain(pictures, fps=10, engine=vidcam.open_engine("mini"))
        >>> len(analysis.frame_times_s)
        40
    """
    engine = checked_engine(source, engine)
    with open_source(source, times=times, fps=fps) as opened:
        opened.say = say
        return explain_source(opened, engine, settings, progress, on_prediction=on_prediction)


def explain_by_methods(
    path: object, *, engine: Engine, settings: Settings, methods: Sequence[str], progress: Progress | None = None
) -> tuple[dict[str, Analysis], dict[str, str]]:
    """Explain a video by several methods in one pass; those that read the same layer share each forward pass.

    ``settings`` must name the classes.

    Returns:
        The analysis by each method, and the reasons why the other methods do not work on the model.
    """
    checked_engine(path, engine)
    with open_source(path) as source:
        analyses, session = _analyse(source, engine, settings, progress, methods=methods)
    return analyses, {name: str(error) for name, error in session.refused.items()}


def predict(path: object, *, engine: Engine, settings: Settings, progress: Progress | None = None) -> dict[str, float]:
    """Return the probability of every label for the whole video, most probable first; nothing is explained."""
    checked_engine(path, engine)
    with open_source(path) as source:
        session = Session(engine, settings)
        report = _counter("look", _expected_frames(source, settings), progress)
        logits = list(predictions(source, session, report))
    if not logits:
        raise _no_frames(source, settings)
    probs = engine.probabilities(np.mean(logits, axis=0, dtype=np.float64))
    return {engine.labels[i]: float(probs[i]) for i in np.argsort(-probs, kind="stable")}


def explain_source(
    source: Source,
    engine: Engine,
    settings: Settings,
    progress: Progress | None,
    *,
    on_prediction: Callable[[Prediction], None] | None = None,
) -> Analysis:
    """Explain an open source, with a verdict if the settings ask for it."""
    if settings.method == BEST:
        analysis = _explain_by_best(source, engine, settings, progress, on_prediction)
    else:
        analysis = _explain_by_one(source, engine, settings, progress, on_prediction)
    if not settings.verdict:
        return analysis
    return add_verdict(source, engine, replace(settings, method=analysis.method), analysis, progress)


def _explain_by_one(
    source: Source,
    engine: Engine,
    settings: Settings,
    progress: Progress | None,
    on_prediction: Callable[[Prediction], None] | None = None,
) -> Analysis:
    analyses, _ = _analyse(source, engine, settings, progress, on_prediction=on_prediction)
    [analysis] = analyses.values()
    return analysis


def _explain_by_best(
    source: Source,
    engine: Engine,
    settings: Settings,
    progress: Progress | None,
    on_prediction: Callable[[Prediction], None] | None,
) -> Analysis:
    """Explain by the model's default method, test one method of each family, and explain again if another one is better.

    If the model found none of its classes, there is nothing to test.
    """
    analysis = _explain_by_one(source, engine, replace(settings, method=None), progress, on_prediction)
    choice = None
    if analysis.labels[0] not in engine.spec.rejects:
        report = _counter("try methods", analysis.frames, progress)
        choice = choose_for_video(source, engine, settings, analysis, on_frame=report, progress=progress)
        if choice.method != analysis.method:
            explain_by = _renamed(progress, "explain", f"explain by {choice.method}")
            analysis = _explain_by_one(source, engine, replace(settings, method=choice.method), explain_by)
    warnings = analysis.warnings if choice is None or choice.beats_controls else (*analysis.warnings, choice.sentence)
    return replace(analysis, method_choice=choice, settings=replace(analysis.settings, method=BEST), warnings=warnings)


def _renamed(progress: Progress | None, stage: str, name: str) -> Progress | None:
    """Return a progress that reports ``stage`` under another name."""
    if progress is None:
        return None
    return lambda at, done, total: progress(name if at == stage else at, done, total)


def _analyse(
    source: Source,
    engine: Engine,
    settings: Settings,
    progress: Progress | None,
    *,
    methods: Sequence[str] = (),
    on_prediction: Callable[[Prediction], None] | None = None,
) -> tuple[dict[str, Analysis], Session]:
    """Run the first pass: explain every clip, and join the evidence of each method."""
    by_name = tuple(label_of(engine.labels, c) for c in settings.classes)
    settings = replace(settings, classes=by_name)
    session = Session(engine, settings, methods=methods, free_candidates=CHEAP_CANDIDATES)
    joiners = {method.name: Joiner(step_s=session.spec.seconds_between_frames, named=bool(by_name)) for method in session.methods}
    reading = _Reading(settings, _counter("explain", _expected_frames(source, settings), progress))
    for explanation in explanations(source, session, reading, every_picture=reading.follows_motion):
        for name, joiner in joiners.items():
            evidence = tuple(e for e in explanation.evidence if e.method == name)
            joiner.add(explanation.prediction, evidence, explanation.times)
        if on_prediction is not None:
            on_prediction(explanation.prediction)
    joined = next(iter(joiners.values()))
    if not joined.predictions:
        raise _no_frames(source, settings)
    rejects = session.spec.rejects
    shown = shown_labels(joined.predictions, classes=settings.classes, versus=settings.versus, rejects=rejects)
    joined.keep(shown)
    if not methods:
        _fill_in(source, session, joined, shown, _counter("fill in", len(reading.times), progress))
    return {m.name: _analysis(source, session, m, joiners[m.name], reading, shown) for m in session.methods}, session


class _Reading:
    """What the first pass notes of the frames: their times, and the motion in them if the smoothing follows it."""

    def __init__(self, settings: Settings, report: Callable[[Frame], None]) -> None:
        self.times = array("d")
        self.end = 0.0
        self.flow: FlowField | None = None
        self.follows_motion = settings.smoothing == "flow" and settings.smooth_s > 0
        self._report = report

    def __call__(self, frame: Frame) -> None:
        self.times.append(frame.time)
        self.end = frame.end
        if self.follows_motion:
            if self.flow is None:
                self.flow = FlowField(size=frame.size)
            self.flow.push(frame.image, time=frame.time)
        self._report(frame)


def _analysis(
    source: Source, session: Session, method: Method, joiner: Joiner, reading: _Reading, shown: Sequence[str]
) -> Analysis:
    """Smooth and scale what was joined, and put everything together that is known of the video."""
    engine, spec, settings = session.engine, session.spec, session.settings
    tracks = joiner.take_tracks(shown, until=reading.end)
    kind, seconds = settings.smoothing if settings.smooth_s else "none", settings.smooth_s

    def smoothed(label: str, track: Track) -> Track:
        return _empty(track) if label in spec.rejects else smooth(track, kind=kind, seconds=seconds, flow=reading.flow)

    drawn = {label: tuple(smoothed(label, track) for track in parts) for label, parts in tracks.items()}
    curves = {label: np.sum([t.curve for t in parts], axis=0) for label, parts in drawn.items()}
    times = drawn[shown[0]][0].times
    first = reading.times[0]
    seen_share = covered_share([p.span for p in joiner.predictions], first, reading.end)
    return Analysis(
        source=replace(source.info, sha256=source.sha256),
        frames=len(reading.times),
        duration_s=reading.end - first,
        run=RunInfo.of(engine, seed=settings.seed),
        method=method.name,
        method_title=method.title,
        method_paper=method.paper,
        settings=replace(settings, seconds_between_clip_starts=settings.seconds_between_clip_starts or spec.usual_hop_s),
        windows=tuple(joiner.predictions),
        probs=engine.probabilities(np.mean([p.logits for p in joiner.predictions], axis=0, dtype=np.float64)),
        times_s=times,
        frame_times_s=np.array(reading.times),
        sampled_s=np.array(sorted(joiner.sampled)),
        curves=curves,
        tracks=tracks,
        drawn=drawn,
        segments=find_segments(times, curves, min_s=2 * spec.seconds_between_frames, end_s=reading.end),
        scale=scale_of(t for parts in drawn.values() for t in parts),
        completeness_error=joiner.completeness_error,
        unseen_fraction=unseen_fraction([v.seen for v in session.views], (source.info.height, source.info.width), seen_share),
        versus=settings.versus,
        warnings=(*engine.notes, *source.warnings, *([rejection_sentence(spec, shown[0])] if shown[0] in spec.rejects else [])),
    )


def _empty(track: Track) -> Track:
    """Return the track without evidence, at no cost in memory."""
    return replace(track, maps=np.broadcast_to(np.float32(0), track.maps.shape))


def _fill_in(source: Source, session: Session, joined: Joiner, shown: Sequence[str], report: Callable[[Frame], None]) -> None:
    """Explain the shown labels also in the clips in which they were not among the candidates; this is seldom needed."""
    spans = {p.span for p in joined.predictions}
    known = {label: frozenset(joined.timeline.spans(label)) for label in shown}
    late = tuple(label for label in shown if not known[label] >= spans)
    if not late:
        return
    settings = replace(session.settings, classes=late)
    again = Session(session.engine, settings, skip=lambda span: all(span in known[label] for label in late))
    for explanation in explanations(source, again, report):
        joined.add_evidence([e for e in explanation.evidence if e.span not in known[e.label]])


def _counter(stage: str, total: int | None, progress: Progress | None) -> Callable[[Frame], None]:
    """Return a function that reports each frame of a stage."""
    numbers = itertools.count(1)
    return lambda frame: progress(stage, next(numbers), total) if progress else None


def _no_frames(source: Source, settings: Settings) -> InputError:
    return InputError(f"{source.info.path} has no frames in the part that was asked for, from {settings.start_s or 0:g} s on")


def _expected_frames(source: Source, settings: Settings) -> int | None:
    info = source.info
    if settings.start_s is None and settings.end_s is None and info.frames:
        return info.frames
    if info.fps is None or info.duration_s is None:
        return None
    return max(1, round((min(info.duration_s, settings.end_s or info.duration_s) - (settings.start_s or 0.0)) * info.fps))


def checked_engine(source: object, engine: Engine | None) -> Engine:
    """Return the engine, or open the model ``auto``; UsageError if one of the two has been mistaken for something else."""
    if not is_array(source) and not isinstance(source, str | os.PathLike | Source):
        raise UsageError(f"a video is a path, a URL, a folder of images or an array (T, H, W, 3), got a {type(source).__name__}")
    if engine is None:
        return open_engine()
    if not hasattr(engine, "spec"):
        raise UsageError(f"the engine is what vidcam.open_engine gives, got a {type(engine).__name__}: {engine!r}")
    return engine
