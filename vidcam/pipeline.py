"""The stages in a row: frames in, an explained video out.

    source -> Frame -> Window -> Prediction + Evidence -> Timeline -> Heat at time t -> picture -> file, report

:class:`Session` is the flow as far as the evidence, written once and pushed frame by frame. :func:`explain` pulls a file through
it and joins the windows; :func:`annotate` then reads the file a second time and draws, because the scale belongs to the whole
video and memory must not grow with its length.
"""

from __future__ import annotations

import itertools
import math
import os
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from vidcam import placement, report, sampling, spool, summary, timeline, tubes
from vidcam.clock import SYSTEM
from vidcam.engine import unknown_to
from vidcam.errors import InputError, UsageError
from vidcam.explainers import core, probe
from vidcam.flow import ahead, alone
from vidcam.jobs import Outputs
from vidcam.planes import Planes
from vidcam.reader import Source, open_source
from vidcam.render import Renderer, Style
from vidcam.trust import verdict
from vidcam.trust.faithfulness import Score
from vidcam.types import Analysis, Evidence, FloatArray, Frame, Geometry, Heat, Prediction, Track, UInt8Array, Window
from vidcam.writer import VideoWriter

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = [
    "Explanation", "Look", "Outputs", "Progress", "Session", "Settings",
    "annotate", "draw", "explain", "explanations", "judged", "telling",
]  # fmt: skip

Progress = Callable[[str, int, int | None], None]
"""Called as ``progress(stage, frames_done, frames_in_all or None)``; stages are ``"explain"``, seldom ``"fill in"``
(explaining again some of it for a class that came up late), ``"judge"`` (windows, not frames) and ``"draw"``."""

TIDY = 32  # windows after which candidates that have fallen back are forgotten
TRIED = 6  # windows that a verdict rests on, at most
AHEAD = 6  # frames that a stage may be ahead of the next one
CANDIDATES = 5  # classes explained in each window while nobody has named one
CHEAP_CANDIDATES = 20  # in a file, where the features give the evidence for any number: a second look would cost more


@dataclass(frozen=True)
class Settings:
    """How to explain. Everything has a default; what is left None follows from the model.

    ``method``: a registered name, None for ``cam`` where it is exact, else ``gradcam``. ``classes``: labels to explain, or
    indices of outputs, empty for the model's own answers. ``versus``: explain each class against this label.
    ``hop_s``: seconds between windows, None for
    half a clip. ``tail``: what happens to the end of the video, see :class:`vidcam.sampling.Sampler`. ``cover``: several crops
    that cover the whole frame instead of the model's centre crop. ``smoothing`` and ``smooth_s``: kind and standard deviation in
    seconds, 0 switches it off. ``start_s``, ``end_s``: the part of the video, in seconds from its first frame. ``verdict``: try
    whether the model needs what the map shows (:mod:`vidcam.trust.verdict`), which costs about 100 more forward passes.
    """

    method: str | None = None
    classes: tuple[str | int, ...] = ()
    versus: str | None = None
    hop_s: float | None = None
    tail: Literal["shift", "hold", "drop"] = "shift"
    cover: bool = False
    smoothing: timeline.Smoothing = "gaussian"
    smooth_s: float = 0.25
    start_s: float | None = None
    end_s: float | None = None
    verdict: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.hop_s is not None and not 0.01 <= self.hop_s <= 3600:
            raise UsageError(f"the hop must be 0.01 to 3600 seconds, got {self.hop_s}")
        if not 0 <= self.smooth_s <= 60:
            raise UsageError(f"smoothing must be 0 to 60 seconds, got {self.smooth_s}")
        if isinstance(self.classes, str) or not all(isinstance(c, str | int) for c in self.classes):
            raise UsageError(
                f"classes are a tuple of labels or of indices of outputs, such as ('clapping',) or (3,), got {self.classes!r}"
            )
        if not all(math.isfinite(s) for s in (self.start_s, self.end_s) if s is not None):
            raise UsageError(f"the start and the end must be numbers of seconds, got {self.start_s} and {self.end_s}")
        if self.start_s is not None and self.start_s < 0:
            raise UsageError(f"the start must not be negative, got {self.start_s}")
        if self.end_s is not None and self.end_s <= (self.start_s or 0.0):
            raise UsageError(f"the end must lie after the start, got start {self.start_s or 0.0} and end {self.end_s}")


@dataclass(frozen=True)
class Look:
    """How the picture is drawn: ``style``, ``opacity`` in (0, 1], and whether evidence against the class is shown too."""

    style: Style = "heat"
    opacity: float = 0.62
    signed: bool = False


@dataclass(frozen=True)
class Explanation:
    """What is known about one window: the model's answer, the evidence for each explained label and each crop, the times ``(T,)``
    of the frames that the model was shown, the clips ``(crops,T,H,W,3) uint8`` that it saw, and where in them the cells of the
    evidence are."""

    prediction: Prediction
    evidence: tuple[Evidence, ...]
    times: FloatArray
    clips: UInt8Array
    cells: placement.Placement


class Session:
    """Frames in, explanations out: sampling, the model and the method, the same for a file and for a camera.

    ``skip`` names windows, by their span, that need no explanation. Frames must come in the order of their times. ``cheap`` is
    how many classes are explained in each window while nobody has named one, if all they need is the features.
    """

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        *,
        skip: Callable[[tuple[float, float]], bool] = lambda span: False,
        cheap: int = CANDIDATES,
    ) -> None:
        self.engine = engine
        self._cheap = cheap
        self.spec = engine.spec
        self._skip = skip
        self._waiting: list[Window] = []  # fewer than the engine computes at once
        self._winners: dict[int, None] = {}  # every class that was a window's answer, in the order of appearance
        self.choose(settings)
        self._views: tuple[Geometry, ...] = ()
        self._sampler = sampling.Sampler(
            frames=self.spec.frames,
            interval_s=self.spec.interval_s,
            hop_s=settings.hop_s or self.spec.clip_s / 2,
            tail=settings.tail,
        )

    def choose(self, settings: Settings) -> None:
        """Explain by the method, classes and versus of ``settings`` from the next window on; what was sampled so far is kept."""
        method = core.choose(settings.method, self.spec, seed=settings.seed)
        classes = tuple(summary.index_of(self.engine.labels, c) for c in settings.classes)
        versus = None if settings.versus is None else summary.index_of(self.engine.labels, settings.versus)
        if versus in classes:
            raise UsageError(f"a class cannot be explained against itself: {settings.versus!r}")
        self._placements = probe.where(method, self.engine.explained)
        self.method, self.settings, self._classes, self._versus = method, settings, classes, versus

    @property
    def views(self) -> tuple[Geometry, ...]:
        """The crops, known once the first frame has come."""
        return self._views

    def push(self, frame: Frame) -> Iterator[Explanation]:
        """Take one frame; gives what it completed, explained when it is asked for: a long pause completes many windows.

        An engine that computes several windows at once gets them so: what it gives comes later then, the last of it on closing.
        """
        return self._grouped(self.sample(frame))

    def close(self) -> Iterator[Explanation]:
        """The end of the video: gives the explanation of its tail."""
        return self._grouped(self.rest(), last=True)

    def sample(self, frame: Frame) -> list[Window]:
        """The windows that this frame completes, for those who :meth:`explain` them in another thread, or not all of them."""
        if not self._views:
            self._views = sampling.views(frame.size, resize=self.spec.resize, crop=self.spec.crop, cover=self.settings.cover)
        view = self._views[0]
        return self._sampler.push(lambda: sampling.resize(frame.picture, view), time=frame.time, duration=frame.duration)

    def rest(self) -> list[Window]:
        """The windows of the video's tail: no frame will come any more."""
        return self._sampler.close()

    def _grouped(self, windows: Iterable[Window], *, last: bool = False) -> Iterator[Explanation]:
        at_once = max(1, self.engine.at_once // len(self._views)) if self._views else 1
        for window in windows:
            if not self._skip(window.span):
                self._waiting.append(window)
            if len(self._waiting) >= at_once:
                yield from self._taken()
        if last:
            yield from self._taken()

    def _taken(self) -> Iterator[Explanation]:
        waiting, self._waiting = self._waiting, []
        if waiting:
            yield from self.explain_all(waiting)

    def explain(self, window: Window) -> Explanation:
        """The model's answer to one window, and the evidence for it."""
        return self.explain_all([window])[0]

    def explain_all(self, windows: Sequence[Window]) -> list[Explanation]:
        """The same for several windows that are computed together: what one after the other would give."""
        crops = len(self._views)
        clips = np.stack([view.cut(window.frames) for window in windows for view in self._views])
        wanted: list[tuple[core.Target, ...]] = []  # in each window

        def targets(logits: FloatArray) -> Sequence[core.Target]:
            wanted[:] = [self._targets(own) for own in logits.reshape(len(windows), crops, -1).mean(axis=1)]
            return tuple(dict.fromkeys(target for own in wanted for target in own))

        out = core.explain(self.engine, clips, targets, self.method)
        number = {target: n for n, target in enumerate(out.targets)}
        maps, cells = placement.join(out.maps, self._placements)
        share = 1.0 / crops  # the answer is the mean over the crops, so each crop's evidence counts for its share
        maps = (maps * share).astype(np.float32)
        totals = None if out.totals is None else out.totals * share
        centres = [cells.cell_centres(view) for view in self._views]
        found = []
        for w, (window, own) in enumerate(zip(windows, wanted, strict=True)):
            first = w * crops
            logits = out.logits[first : first + crops].mean(axis=0)
            prediction = Prediction(logits, self.engine.probabilities(logits), self.engine.labels, window.span)
            times = cells.cell_times(window.times, self.spec.interval_s)
            evidence = []
            for target in own:
                n = number[target]
                for v, (view, (ys, xs)) in enumerate(zip(self._views, centres, strict=True), first):
                    evidence.append(
                        Evidence(
                            values=maps[v, n],
                            times=times,
                            ys=ys,
                            xs=xs,
                            seen=view.seen,
                            span=window.span,
                            cell_s=cells.time.stride * self.spec.interval_s,
                            label=self.engine.labels[target.index],
                            versus=None if target.versus is None else self.engine.labels[target.versus],
                            method=self.method.name,
                            complete=totals is not None,
                            total=math.nan if totals is None else float(totals[v, n]),
                        )
                    )
            found.append(Explanation(prediction, tuple(evidence), window.times, clips[first : first + crops], cells))
        return found

    def _targets(self, logits: FloatArray) -> tuple[core.Target, ...]:
        """What to explain in a window with these logits ``(K,)``."""
        order = np.argsort(-logits, kind="stable")
        if self._classes:
            chosen = self._classes
        else:
            answer = next(int(i) for i in order if i != self._versus)
            self._winners.setdefault(answer)
            count = self._cheap if self.method.family == "cam" else CANDIDATES
            first = dict.fromkeys(int(i) for i in order[:count] if i != self._versus)
            chosen = tuple(first | dict.fromkeys(list(self._winners)[:CANDIDATES]))
        return tuple(core.Target(i, self._versus) for i in chosen)


class _Joined:
    """The windows of one video as they come in.

    What is kept is one map for each step of the timeline and each label in the running; labels that were candidates in some
    window and have fallen back are forgotten (and explained anew, should they be shown after all). So that little is joined in
    vain, evidence for candidates waits until that is seen to.
    """

    def __init__(self, settings: Settings, *, step_s: float) -> None:
        self.timeline = timeline.Timeline(step_s=step_s)
        self.predictions: list[Prediction] = []
        self.error: float | None = None
        self.sampled: set[float] = set()
        self._waiting: list[Evidence] = []
        self._settings = settings
        self._flow: timeline.FlowField | None = None

    def add(self, explanation: Explanation, *, predicted: bool = False) -> None:
        """Take a window; ``predicted`` where its prediction is known and only evidence is added."""
        self.timeline.begin(explanation.prediction.span[0])
        if not predicted:
            self.predictions.append(explanation.prediction)
            self.sampled.update(explanation.times.tolist())
        for evidence in explanation.evidence:
            if evidence.complete:
                self.error = max(self.error or 0.0, evidence.completeness_error)
        if predicted or self._settings.classes:
            for evidence in explanation.evidence:
                self.timeline.add(evidence)
            return
        self._waiting += explanation.evidence
        if len(self.predictions) % TIDY == 0:
            self.keep(summary.in_the_running(self.predictions))

    def keep(self, labels: Collection[str]) -> None:
        """Join what waits for these labels, and forget all others."""
        for evidence in self._waiting:
            if evidence.label in labels:
                self.timeline.add(evidence)
        self._waiting.clear()
        for label in set(self.timeline.labels) - set(labels):
            self.timeline.drop(label)

    def watch(self, frame: Frame) -> None:
        """Follow the motion in the pictures, where the smoothing needs it."""
        if self._settings.smoothing != "flow" or self._settings.smooth_s == 0:
            return
        if self._flow is None:
            self._flow = timeline.FlowField(size=frame.size)
        self._flow.push(frame.image, time=frame.time)

    def tracks(self, shown: Sequence[str], *, until: float) -> dict[str, tuple[Track, ...]]:
        """The joined evidence for the labels ``shown``, each explained in every window, up to the end of the video ``until``; all
        that is kept for it goes."""
        tracks = {}
        for label in shown:  # one after the other, so that none is in memory twice for long
            tracks[label] = self.timeline.tracks(label, until=until)
            self.timeline.drop(label)
        return tracks

    def smoothed(self, track: Track) -> Track:
        return timeline.smooth(track, kind=self._settings.smoothing, seconds=self._settings.smooth_s, flow=self._flow)


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
    "html": report.write_html,
    "json": report.write_json,
    "csv": report.write_csv,
    "vtt": report.write_vtt,
    "npz": report.write_npz,
    "tubes": tubes.write,
}


def _explained(source: Source, engine: Engine, settings: Settings, progress: Progress | None) -> Analysis:
    analysis = _analyse(source, engine, settings, progress)
    return _judge(source, engine, settings, analysis, progress) if settings.verdict else analysis


def _analyse(source: Source, engine: Engine, settings: Settings, progress: Progress | None) -> Analysis:
    """The first pass: every window explained, and all of them joined."""
    by_name = tuple(c if isinstance(c, str) else engine.labels[summary.index_of(engine.labels, c)] for c in settings.classes)
    settings = replace(settings, classes=by_name)
    session = Session(engine, settings, cheap=CHEAP_CANDIDATES)
    spec = session.spec
    joined = _Joined(settings, step_s=spec.interval_s)
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
    shown = summary.shown_labels(joined.predictions, classes=settings.classes, versus=settings.versus, rejects=spec.rejects)
    joined.keep(shown)
    _fill_in(source, session, joined, shown, _counted("fill in", frames, progress))

    tracks = joined.tracks(shown, until=last)
    drawn = {label: tuple(map(_nothing if label in spec.rejects else joined.smoothed, parts)) for label, parts in tracks.items()}
    curves = {label: np.sum([t.curve for t in parts], axis=0) for label, parts in drawn.items()}
    _let_go(drawn)
    times = drawn[shown[0]][0].times
    hop_s = settings.hop_s or spec.clip_s / 2
    method = session.method
    return Analysis(
        source=source.info,
        frames=frames,
        duration_s=last - first,
        model=summary.model_facts(spec, weights_sha256=engine.weights_sha256),
        method=method.name,
        engine=engine.name,
        device=engine.device,
        seed=settings.seed,
        settings=vars(settings) | {"hop_s": hop_s, "method_title": method.title, "method_paper": method.paper},
        versions=summary.versions(),
        windows=tuple(joined.predictions),
        probs=engine.probabilities(np.mean([p.logits for p in joined.predictions], axis=0, dtype=np.float64)),
        times_s=times,
        frame_times_s=np.array(frame_times),
        sampled_s=np.array(sorted(joined.sampled)),
        curves=curves,
        tracks=tracks,
        drawn=drawn,
        segments=summary.segments(times, curves, min_s=2 * spec.interval_s),
        scale=timeline.scale_of(t for parts in drawn.values() for t in parts),
        completeness_error=joined.error,
        unseen_fraction=placement.unseen_fraction(
            [view.seen for view in session.views],
            (source.info.height, source.info.width),
            summary.covered([p.span for p in joined.predictions], first, last),
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
        legend=summary.legend(analysis),
        curves={label: (analysis.times_s, curve) for label, curve in analysis.curves.items()},
        segments=analysis.segments,
        span=(float(analysis.times_s[0]), float(analysis.times_s[0]) + analysis.duration_s),
    )
    sampled = set(analysis.sampled_s.tolist())
    answers = summary.Answers(analysis)
    start_s, end_s = (cast("float | None", analysis.settings[name]) for name in ("start_s", "end_s"))
    start, end = (None if s is None else analysis.source.start_s + s for s in (start_s, end_s))

    def heat_of(label: str, second: float) -> Heat | None:
        return placement.heat(
            analysis.drawn[label], time=second, scale=analysis.scale, size=size, against=look.signed, coarse=True
        )

    film = summary.Film(analysis, heat=heat_of, style=look.style, signed=look.signed)

    def drawn() -> Iterator[tuple[Frame, Planes | None]]:
        with closing(ahead(source.frames(start=start_s, end=end_s), depth=AHEAD)) as frames:
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
        stack.enter_context(alone())
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
        pictures = stack.enter_context(closing(ahead(drawn(), depth=AHEAD)))
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
    spool.let_go(*(track.maps for parts in tracks.values() for track in parts))


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

    found = judged(telling(source, engine, settings, analysis, count=TRIED), prob, seed=settings.seed, progress=progress)
    return replace(analysis, verdict={"label": label, **asdict(found)})


def telling(
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


def judged(tried: Sequence[Explanation], prob: Score, *, seed: int, progress: Progress | None = None) -> verdict.Verdict:
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


def explanations(source: Source, session: Session, seen: Callable[[Frame], None] = lambda frame: None) -> Iterator[Explanation]:
    """A whole source pushed through a session; ``seen`` is told each frame after what it completed."""
    frame = None
    with (
        alone(),
        closing(ahead(source.frames(start=session.settings.start_s, end=session.settings.end_s), depth=AHEAD)) as frames,
    ):
        for frame in frames:
            yield from session.push(frame)
            seen(frame)
    if frame is not None:
        yield from session.close()


def _expected_frames(source: Source, settings: Settings) -> int | None:
    info = source.info
    if settings.start_s is None and settings.end_s is None and info.frames:
        return info.frames
    if info.fps is None or info.duration_s is None:
        return None
    return max(1, round((min(info.duration_s, settings.end_s or info.duration_s) - (settings.start_s or 0.0)) * info.fps))
