"""The stages in a row: frames in, an explained video out.

    source -> Frame -> Window -> Prediction + Evidence -> Timeline -> Heat at time t -> picture -> file, report

:class:`Session` is the flow as far as the evidence, written once and pushed frame by frame. :func:`explain` pulls a file through
it and joins the windows; :func:`annotate` then reads the file a second time and draws, because the scale belongs to the whole
video and memory must not grow with its length.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from vidcam import sampling
from vidcam.analysis import in_the_running, index_of
from vidcam.errors import UsageError
from vidcam.evidence import timeline
from vidcam.evidence.optical_flow import FlowField
from vidcam.evidence.smoothing import Smoothing, smooth
from vidcam.io.prefetch import ahead, opencv_single_threaded
from vidcam.io.source import Source
from vidcam.methods import cell_geometry, core, probe
from vidcam.values import Clip, CropGeometry, Evidence, FloatArray, Frame, Prediction, Track, UInt8Array

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = ["Explanation", "Progress", "Session", "Settings", "explanations"]

Progress = Callable[[str, int, int | None], None]
"""Called as ``progress(stage, frames_done, frames_in_all or None)``; stages are ``"explain"``, seldom ``"fill in"``
(explaining again some of it for a class that came up late), ``"judge"`` (windows, not frames) and ``"draw"``."""

PRUNE_EVERY = 32  # windows after which candidates that have fallen back are forgotten
PREFETCH_FRAMES = 6  # frames that a stage may be ahead of the next one
MAX_CANDIDATES = 5  # classes explained in each window while nobody has named one


@dataclass(frozen=True)
class Settings:
    """How to explain. Everything has a default; what is left None follows from the model.

    ``method``: a registered name, None for ``cam`` where it is exact, else ``gradcam``. ``classes``: labels to explain, or
    indices of outputs, empty for the model's own answers. ``versus``: explain each class against this label.
    ``seconds_between_clip_starts``: seconds between windows, None for
    half a clip. ``tail``: what happens to the end of the video, see :class:`vidcam.sampling.Sampler`. ``cover``: several crops
    that cover the whole frame instead of the model's centre crop. ``smoothing`` and ``smooth_s``: kind and standard deviation in
    seconds, 0 switches it off. ``start_s``, ``end_s``: the part of the video, in seconds from its first frame. ``verdict``: try
    whether the model needs what the map shows (:mod:`vidcam.metrics.verdict`), which costs about 100 more forward passes.
    """

    method: str | None = None
    classes: tuple[str | int, ...] = ()
    versus: str | None = None
    seconds_between_clip_starts: float | None = None
    tail: Literal["shift", "hold", "drop"] = "shift"
    cover: bool = False
    smoothing: Smoothing = "gaussian"
    smooth_s: float = 0.25
    start_s: float | None = None
    end_s: float | None = None
    verdict: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.seconds_between_clip_starts is not None and not 0.01 <= self.seconds_between_clip_starts <= 3600:
            raise UsageError(f"the hop must be 0.01 to 3600 seconds, got {self.seconds_between_clip_starts}")
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
class Explanation:
    """What is known about one window: the model's answer, the evidence for each explained label and each crop, the times ``(T,)``
    of the frames that the model was shown, the clips ``(crops,T,H,W,3) uint8`` that it saw, and where in them the cells of the
    evidence are."""

    prediction: Prediction
    evidence: tuple[Evidence, ...]
    times: FloatArray
    clips: UInt8Array
    cells: cell_geometry.CellGeometry


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
        cheap: int = MAX_CANDIDATES,
    ) -> None:
        self.engine = engine
        self._cheap = cheap
        self.spec = engine.spec
        self._skip = skip
        self._waiting: list[Clip] = []  # fewer than the engine computes at once
        self._winners: dict[int, None] = {}  # every class that was a window's answer, in the order of appearance
        self.choose(settings)
        self._views: tuple[CropGeometry, ...] = ()
        self._sampler = sampling.Sampler(
            frames=self.spec.frames,
            seconds_between_frames=self.spec.seconds_between_frames,
            seconds_between_clip_starts=settings.seconds_between_clip_starts or self.spec.clip_s / 2,
            tail=settings.tail,
        )

    def choose(self, settings: Settings) -> None:
        """Explain by the method, classes and versus of ``settings`` from the next window on; what was sampled so far is kept."""
        method = core.choose(settings.method, self.spec, seed=settings.seed)
        classes = tuple(index_of(self.engine.labels, c) for c in settings.classes)
        versus = None if settings.versus is None else index_of(self.engine.labels, settings.versus)
        if versus in classes:
            raise UsageError(f"a class cannot be explained against itself: {settings.versus!r}")
        self._placements = probe.where(method, self.engine.explained)
        self.method, self.settings, self._classes, self._versus = method, settings, classes, versus

    @property
    def views(self) -> tuple[CropGeometry, ...]:
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

    def sample(self, frame: Frame) -> list[Clip]:
        """The windows that this frame completes, for those who :meth:`explain` them in another thread, or not all of them."""
        if not self._views:
            self._views = sampling.views(frame.size, resize=self.spec.resize, crop=self.spec.crop, cover=self.settings.cover)
        view = self._views[0]
        return self._sampler.push(lambda: sampling.resize(frame.picture, view), time=frame.time, duration=frame.duration)

    def rest(self) -> list[Clip]:
        """The windows of the video's tail: no frame will come any more."""
        return self._sampler.close()

    def _grouped(self, windows: Iterable[Clip], *, last: bool = False) -> Iterator[Explanation]:
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

    def explain(self, window: Clip) -> Explanation:
        """The model's answer to one window, and the evidence for it."""
        return self.explain_all([window])[0]

    def explain_all(self, windows: Sequence[Clip]) -> list[Explanation]:
        """The same for several windows that are computed together: what one after the other would give."""
        crops = len(self._views)
        clips = np.stack([view.cut(window.frames) for window in windows for view in self._views])
        wanted: list[tuple[core.Target, ...]] = []  # in each window

        def targets(logits: FloatArray) -> Sequence[core.Target]:
            wanted[:] = [self._targets(own) for own in logits.reshape(len(windows), crops, -1).mean(axis=1)]
            return tuple(dict.fromkeys(target for own in wanted for target in own))

        out = core.explain(self.engine, clips, targets, self.method)
        number = {target: n for n, target in enumerate(out.targets)}
        maps, cells = cell_geometry.join(out.maps, self._placements)
        share = 1.0 / crops  # the answer is the mean over the crops, so each crop's evidence counts for its share
        maps = (maps * share).astype(np.float32)
        totals = None if out.totals is None else out.totals * share
        centres = [cells.cell_centres(view) for view in self._views]
        found = []
        for w, (window, own) in enumerate(zip(windows, wanted, strict=True)):
            first = w * crops
            logits = out.logits[first : first + crops].mean(axis=0)
            prediction = Prediction(logits, self.engine.probabilities(logits), self.engine.labels, window.span)
            times = cells.cell_times(window.times, self.spec.seconds_between_frames)
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
                            cell_s=cells.time.stride * self.spec.seconds_between_frames,
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
            count = self._cheap if self.method.family == "cam" else MAX_CANDIDATES
            first = dict.fromkeys(int(i) for i in order[:count] if i != self._versus)
            chosen = tuple(first | dict.fromkeys(list(self._winners)[:MAX_CANDIDATES]))
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
        self._flow: FlowField | None = None

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
        if len(self.predictions) % PRUNE_EVERY == 0:
            self.keep(in_the_running(self.predictions))

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
            self._flow = FlowField(size=frame.size)
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
        return smooth(track, kind=self._settings.smoothing, seconds=self._settings.smooth_s, flow=self._flow)


def explanations(source: Source, session: Session, seen: Callable[[Frame], None] = lambda frame: None) -> Iterator[Explanation]:
    """A whole source pushed through a session; ``seen`` is told each frame after what it completed."""
    frame = None
    with (
        opencv_single_threaded(),
        closing(
            ahead(source.frames(start=session.settings.start_s, end=session.settings.end_s), depth=PREFETCH_FRAMES)
        ) as frames,
    ):
        for frame in frames:
            yield from session.push(frame)
            seen(frame)
    if frame is not None:
        yield from session.close()
