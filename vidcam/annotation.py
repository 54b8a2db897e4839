"""From a video to an explained video: explain it, draw it, write the reports.

The first pass explains every clip and joins the evidence; the second draws, because the scale belongs to the whole video
and memory must not grow with its length.
"""

from __future__ import annotations

import itertools
import os
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidcam import sampling
from vidcam.analysis import Analysis, Answers, RunInfo, covered, index_of, shown_labels
from vidcam.engine import unknown_to
from vidcam.errors import InputError, OutputError, UsageError
from vidcam.evidence.heat import render_heat, unseen_fraction
from vidcam.evidence.scale import scale_of
from vidcam.evidence.segments import find_segments
from vidcam.evidence.storage import release
from vidcam.io.clock import SYSTEM
from vidcam.io.files import check_output
from vidcam.io.prefetch import ahead, opencv_single_threaded
from vidcam.io.source import Source, open_source
from vidcam.io.writer import VideoWriter
from vidcam.metrics import verdict
from vidcam.metrics.faithfulness import Score
from vidcam.pipeline import PREFETCH_FRAMES, Explanation, Progress, Session, Settings, _Joined, explanations
from vidcam.render import Renderer
from vidcam.render.legend import make_legend
from vidcam.render.renderer import Look
from vidcam.reports import coco, formats
from vidcam.reports.keyframes import Filmstrip
from vidcam.values import FloatArray, Frame, Heat, Track, UInt8Array
from vidcam.yuv import Planes

if TYPE_CHECKING:
    from vidcam.engine import Engine

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = ["Outputs", "annotate", "draw", "explain", "run_verdict", "select_verdict_clips"]


KINDS = ("video", "html", "json", "csv", "vtt", "npz", "tubes")


@dataclass(frozen=True)
class Outputs:
    """The files to write for one input; None writes nothing. Existing files are kept unless ``overwrite``."""

    video: Path | None = None
    html: Path | None = None
    json: Path | None = None
    csv: Path | None = None
    vtt: Path | None = None
    npz: Path | None = None
    tubes: Path | None = None
    overwrite: bool = False

    def paths(self) -> dict[str, Path]:
        """The files by kind, in the order in which they are written."""
        return {kind: path for kind in KINDS if (path := getattr(self, kind)) is not None}

    def check(self, source: str) -> None:
        """Refuse, before any work, what cannot be written: OutputError, or UsageError where two outputs are one file."""
        taken: dict[Path, str] = {}
        if self.video is not None and self.video.suffix.lower() != ".mp4":
            raise OutputError(f"cannot write {self.video}: the video is an MP4 file, so its name must end in .mp4")
        if self.tubes is not None and self.tubes.suffix.lower() not in (".json", ".csv"):
            raise OutputError(f"cannot write {self.tubes}: tubes are written as .csv, .json or .coco.json")
        for kind, path in self.paths().items():
            target = check_output(path, source=source, overwrite=self.overwrite)
            if target in taken:
                raise UsageError(f"{path} is named for two outputs, {taken[target]} and {kind}: give each its own file")
            taken[target] = kind


MAX_VERDICT_CLIPS = 6  # windows that a verdict rests on, at most


def explain(
    path: str | Path,
    *,
    engine: Engine,
    settings: Settings = Settings(),
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> Analysis:
    """What the model says about a video and the evidence for it; draws and writes nothing.

    ``path`` as for :func:`vidcam.open_source`. ``say`` is told at once, in the thread that reads, what else is a warning of the
    analysis, such as that the source has no known end. Raises InputError where nothing can be read, UnknownNameError for a class
    that the model does not know, IncompatibleError for a method that it cannot bear.
    """
    _check(path, engine)
    with open_source(path) as source:
        source.say = say
        return _explained(source, engine, settings, progress)


def annotate(
    path: str | Path,
    outputs: Outputs,
    *,
    engine: Engine,
    settings: Settings = Settings(),
    look: Look = Look(),
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> Analysis:
    """Write the explained video and the reports that ``outputs`` names; returns the analysis.

    ``say`` as for :func:`explain`. Every file appears complete or not at all.
    Raises what :func:`explain` raises, and OutputError where a file exists without
    ``overwrite`` or cannot be written.
    """
    began = SYSTEM.now()
    _check(path, engine)
    outputs.check(str(path))
    with open_source(path) as source:
        source.say = say
        analysis = _explained(source, engine, settings, progress)
        return _write(source, analysis, outputs, look, progress, {"explain": SYSTEM.now() - began})


def draw(
    path: str | Path, analysis: Analysis, outputs: Outputs, *, look: Look = Look(), progress: Progress | None = None
) -> Analysis:
    """Write what ``outputs`` names of an analysis that :func:`explain` made of this ``path``: nothing is computed anew.

    Returns the analysis with the pictures and the names of what was written. Raises what :func:`annotate` raises.
    """
    outputs.check(str(path))
    with open_source(path) as source:
        return _write(source, analysis, outputs, look, progress, {})


def _check(path: object, engine: object) -> None:
    if not isinstance(path, str | os.PathLike):
        raise UsageError(f"a video is named by its path, a URL or a folder of images, got a {type(path).__name__}")
    if not hasattr(engine, "explained"):
        raise UsageError(f"the engine is what vidcam.open_engine gives, got a {type(engine).__name__}: {engine!r}")


def _write(
    source: Source, analysis: Analysis, outputs: Outputs, look: Look, progress: Progress | None, timings_s: dict[str, float]
) -> Analysis:
    began = SYSTEM.now()
    if outputs.video or outputs.html:
        analysis = _draw(source, analysis, outputs, look, progress)
    timings_s = timings_s | {"draw": SYSTEM.now() - began}
    analysis = replace(
        analysis,
        outputs={kind: str(target) for kind, target in outputs.paths().items()},
        timings_s=timings_s | {"total": sum(timings_s.values())},
    )
    for kind, write in _WRITERS.items():
        if (target := getattr(outputs, kind)) is not None:
            write(analysis, target, overwrite=outputs.overwrite)
    return analysis


_WRITERS = {
    "html": formats.write_html,
    "json": formats.write_json,
    "csv": formats.write_csv,
    "vtt": formats.write_vtt,
    "npz": formats.write_npz,
    "tubes": coco.write,
}


def _explained(source: Source, engine: Engine, settings: Settings, progress: Progress | None) -> Analysis:
    analysis = _analyse(source, engine, settings, progress)
    return _judge(source, engine, settings, analysis, progress) if settings.verdict else analysis


def _analyse(source: Source, engine: Engine, settings: Settings, progress: Progress | None) -> Analysis:
    """The first pass: every window explained, and all of them joined."""
    by_name = tuple(c if isinstance(c, str) else engine.labels[index_of(engine.labels, c)] for c in settings.classes)
    settings = replace(settings, classes=by_name)
    session = Session(engine, settings, cheap=CHEAP_CANDIDATES)
    spec = session.spec
    joined = _Joined(settings, step_s=spec.seconds_between_frames)
    first, last, frames = 0.0, 0.0, 0
    frame_times = array("d")
    counted = _counted("explain", _expected_frames(source, settings), progress)

    def seen(frame: Frame) -> None:
        nonlocal first, last, frames
        first = frame.time if frames == 0 else first
        last, frames = frame.end, frames + 1
        frame_times.append(frame.time)
        joined.watch(frame)
        counted(frame)

    for explanation in explanations(source, session, seen):
        joined.add(explanation)
    if not joined.predictions:
        raise InputError(f"{source.info.path} has no frames in the part that was asked for, from {settings.start_s or 0:g} s on")
    shown = shown_labels(joined.predictions, classes=settings.classes, versus=settings.versus, rejects=spec.rejects)
    joined.keep(shown)
    _fill_in(source, session, joined, shown, _counted("fill in", frames, progress))

    tracks = joined.tracks(shown, until=last)
    drawn = {label: tuple(map(_nothing if label in spec.rejects else joined.smoothed, parts)) for label, parts in tracks.items()}
    curves = {label: np.sum([t.curve for t in parts], axis=0) for label, parts in drawn.items()}
    _let_go(drawn)
    times = drawn[shown[0]][0].times
    method = session.method
    return Analysis(
        source=source.info,
        frames=frames,
        duration_s=last - first,
        run=RunInfo.of(engine, seed=settings.seed),
        method=method.name,
        method_title=method.title,
        method_paper=method.paper,
        settings=replace(settings, seconds_between_clip_starts=settings.seconds_between_clip_starts or spec.clip_s / 2),
        windows=tuple(joined.predictions),
        probs=engine.probabilities(np.mean([p.logits for p in joined.predictions], axis=0, dtype=np.float64)),
        times_s=times,
        frame_times_s=np.array(frame_times),
        sampled_s=np.array(sorted(joined.sampled)),
        curves=curves,
        tracks=tracks,
        drawn=drawn,
        segments=find_segments(times, curves, min_s=2 * spec.seconds_between_frames),
        scale=scale_of(t for parts in drawn.values() for t in parts),
        completeness_error=joined.error,
        unseen_fraction=unseen_fraction(
            [view.seen for view in session.views],
            (source.info.height, source.info.width),
            covered([p.span for p in joined.predictions], first, last),
        ),
        versus=settings.versus,
        warnings=(*engine.notes, *source.warnings, *([unknown_to(spec)] if shown[0] in spec.rejects else [])),
    )


def _nothing(track: Track) -> Track:
    """The track without evidence, at no cost in memory."""
    return replace(track, maps=np.broadcast_to(np.float32(0), track.maps.shape))


def _draw(source: Source, analysis: Analysis, outputs: Outputs, look: Look, progress: Progress | None) -> Analysis:
    """The second pass: every frame of the source drawn once, at its own time; the analysis with the film strip's pictures.

    Decoding, drawing and encoding run beside each other, in the order of the frames.
    """
    size = analysis.source.height, analysis.source.width
    renderer = Renderer(
        source_size=size,
        style=look.style,
        opacity=look.opacity,
        signed=look.signed,
        legend=make_legend(analysis),
        curves={label: (analysis.times_s, curve) for label, curve in analysis.curves.items()},
        segments=analysis.segments,
        span=(float(analysis.times_s[0]), float(analysis.times_s[0]) + analysis.duration_s),
    )
    sampled = set(analysis.sampled_s.tolist())
    answers = Answers(analysis)
    start_s, end_s = analysis.settings.start_s, analysis.settings.end_s
    start, end = (None if s is None else analysis.source.start_s + s for s in (start_s, end_s))

    def heat_of(label: str, second: float) -> Heat | None:
        return render_heat(analysis.drawn[label], time=second, scale=analysis.scale, size=size, against=look.signed, coarse=True)

    film = Filmstrip(analysis, heat=heat_of, style=look.style, signed=look.signed)

    def drawn() -> Iterator[tuple[Frame, Planes | None]]:
        with closing(ahead(source.frames(start=start_s, end=end_s), depth=PREFETCH_FRAMES)) as frames:
            for number, frame in enumerate(frames, 1):
                film.offer(frame)
                yield frame, picture_of(frame) if outputs.video else None
                if number % 1000 == 0:
                    _let_go(analysis.drawn)

    def picture_of(frame: Frame) -> Planes:
        prediction, label = answers.at(frame.time)
        heat = heat_of(label, frame.time)
        top = prediction.top(5)
        return renderer.draw(frame.planes, heat=heat, time=frame.time, top=top, label=label, sampled=frame.time in sampled)

    offset = 0.0
    with ExitStack() as stack:
        stack.enter_context(opencv_single_threaded())
        writer: VideoWriter | None = None
        if outputs.video:
            writer = VideoWriter(
                outputs.video,
                size=renderer.size,
                source=analysis.source.path if analysis.source.audio else None,
                start_s=start,
                end_s=end,
                fps_hint=analysis.source.fps,
                overwrite=outputs.overwrite,
            )
            stack.enter_context(writer)
        pictures = stack.enter_context(closing(ahead(drawn(), depth=PREFETCH_FRAMES)))
        for number, (frame, picture) in enumerate(pictures, 1):
            if writer and picture:
                writer.write(picture, time=frame.time, duration=frame.duration)
            if progress:
                progress("draw", number, analysis.frames)
    warnings = [*analysis.warnings, *source.warnings]
    if writer:
        offset = writer.offset_s
        warnings += writer.warnings
    return replace(analysis, moments=tuple(film.moments), video_offset_s=offset, warnings=tuple(dict.fromkeys(warnings)))


def _let_go(tracks: Mapping[str, Sequence[Track]]) -> None:
    release(*(track.maps for parts in tracks.values() for track in parts))


def _fill_in(source: Source, session: Session, joined: _Joined, shown: Sequence[str], seen: Callable[[Frame], None]) -> None:
    """Explain the shown labels also in those windows where they had not been among the candidates; seldom needed."""
    spans = {p.span for p in joined.predictions}
    known = {label: frozenset(joined.timeline.explained(label)) for label in shown}
    late = tuple(label for label in shown if not known[label] >= spans)
    if not late:
        return
    settings = replace(session.settings, classes=late)
    again = Session(session.engine, settings, skip=lambda span: all(span in known[label] for label in late))
    for found in explanations(source, again, seen):
        new = tuple(e for e in found.evidence if e.span not in known[e.label])
        joined.add(replace(found, evidence=new), predicted=True)


def _counted(stage: str, total: int | None, progress: Progress | None) -> Callable[[Frame], None]:
    """Tells ``progress`` of each frame of a stage."""
    numbers = itertools.count(1)
    return lambda frame: progress(stage, next(numbers), total) if progress else None


def _judge(source: Source, engine: Engine, settings: Settings, analysis: Analysis, progress: Progress | None) -> Analysis:
    """The analysis with a verdict on the evidence for its first label."""
    label = analysis.labels[0]
    if label in engine.spec.rejects:
        return analysis  # a warning says that the model does not know this
    index = engine.labels.index(label)

    def prob(clips: UInt8Array) -> FloatArray:
        return engine.probabilities(engine.predict(clips))[:, index]

    found = run_verdict(
        select_verdict_clips(source, engine, settings, analysis, count=MAX_VERDICT_CLIPS),
        prob,
        seed=settings.seed,
        progress=progress,
    )
    return replace(analysis, verdict=found)


def select_verdict_clips(
    source: Source,
    engine: Engine,
    settings: Settings,
    analysis: Analysis,
    *,
    count: int,
    seen: Callable[[Frame], None] = lambda frame: None,
) -> list[Explanation]:
    """At most ``count`` windows on which the explanation of the analysis' first label is to be tested, explained for it: those in
    which it is most probable, at least half as much as in the best one; of windows that overlap only the best. ``seen`` is told
    each frame."""
    label = analysis.labels[0]
    index = engine.labels.index(label)
    best = sorted(analysis.windows, key=lambda p: -p.probs[index])
    spans: list[tuple[float, float]] = []
    for p in best:
        if len(spans) == count or p.probs[index] < best[0].probs[index] / 2:
            break
        if all(p.span[0] >= end - sampling.TOLERANCE_S or p.span[1] <= start + sampling.TOLERANCE_S for start, end in spans):
            spans.append(p.span)
    session = Session(engine, replace(settings, classes=(label,)), skip=lambda span: span not in spans)
    return list(explanations(source, session, seen))


def run_verdict(tried: Sequence[Explanation], prob: Score, *, seed: int, progress: Progress | None = None) -> verdict.Verdict:
    """The verdict on windows that were explained for one label, whose probability in clips ``prob`` gives: on each in the crop in
    which the label is most probable."""
    trials: list[verdict.Trial] = []
    for n, e in enumerate(tried):
        crop = int(prob(e.clips).argmax()) if len(e.clips) > 1 else 0
        values, tubes = e.evidence[crop].values, verdict.tubes_for(len(tried))
        trials.append(verdict.trial(e.clips[crop], values, e.cells, prob, tubes=tubes, seed=seed + n))
        if progress:
            progress("judge", n + 1, len(tried))
    return verdict.judge(trials, seed=seed)


def _expected_frames(source: Source, settings: Settings) -> int | None:
    info = source.info
    if settings.start_s is None and settings.end_s is None and info.frames:
        return info.frames
    if info.fps is None or info.duration_s is None:
        return None
    return max(1, round((min(info.duration_s, settings.end_s or info.duration_s) - (settings.start_s or 0.0)) * info.fps))


CHEAP_CANDIDATES = 20  # in a file, where the features give the evidence for any number: a second look would cost more
