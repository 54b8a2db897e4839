"""The stages in a row, frame by frame: what an explained video consists of.

    source -> Frame -> Clip -> Prediction + Evidence -> Timeline -> Heat at time t -> picture -> file, report

:class:`Session` is the flow as far as the evidence; files and cameras push their frames through it. :mod:`vidcam.annotation`
pulls a file through it, joins the evidence and draws; :mod:`vidcam.live` does so with a camera.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vidcam import sampling
from vidcam.errors import IncompatibleError, UsageError
from vidcam.evidence.labels import index_of
from vidcam.evidence.placing import place_evidence
from vidcam.io.prefetch import opencv_single_threaded, prefetch
from vidcam.io.source import Source
from vidcam.methods import core
from vidcam.methods.cell_geometry import CellGeometry
from vidcam.methods.core import Method, PlacedAttribution, Target
from vidcam.methods.lookup import choose_method
from vidcam.methods.receptive_field import method_geometry
from vidcam.settings import Settings
from vidcam.values import BareFrame, Clip, CropGeometry, Evidence, FloatArray, Frame, Prediction, UInt8Array

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = ["Explanation", "Progress", "Session", "explain_together", "explanations", "predictions"]

Progress = Callable[[str, int, int | None], None]
"""Called as ``progress(stage, done, in_all or None)``. The stages ``"explain"``, ``"fill in"`` (seldom: clips explained again
for a class that comes up late), ``"try methods"``, ``"explain by NAME"`` (with ``--method best``) and ``"draw"`` count frames,
``"test methods"`` counts maps, ``"judge"`` counts clips."""

OnFrame = Callable[[Frame], None]

PREFETCH_FRAMES = 6
"""How many frames a stage may be ahead of the next one."""

PREFETCH_TIMES = 64
"""The same for frames without their pictures, which take no memory. More lets decoding go on while a clip is explained."""

CLIP_WEIGHT = 16
"""As how many of these frames a clip counts, whose pictures do take memory."""

MAX_CANDIDATES = 5
"""How many classes are explained in each clip while none is named."""


@dataclass(frozen=True)
class Explanation:
    """One clip, explained.

    Attributes:
        prediction: What the model answers, as the mean over the crops.
        evidence: The evidence of each method, for each explained label and each crop.
        times: ``(T,)`` seconds of the frames that the model was shown.
        clips: ``(crops, T, H, W, 3) uint8``, the pixels that the model saw.
        cells: Where the cells of the (first) method's evidence lie in a clip.
    """

    prediction: Prediction
    evidence: tuple[Evidence, ...]
    times: FloatArray
    clips: UInt8Array
    cells: CellGeometry


class Session:
    """Turns frames, pushed in the order of their times, into explanations, for a file as for a camera.

    An explanation has the ``prediction`` of one clip, and its ``evidence``: one :class:`vidcam.Evidence` for each explained
    label.

    Example:
        >>> import vidcam
        >>> session = vidcam.Session(vidcam.open_engine("mini"), vidcam.Settings())
        >>> with vidcam.open_source("clips/walking.mp4") as source:
        ...     explanations = [e for frame in source.frames() for e in session.push(frame)]
        >>> explanations += session.close()  # the tail
        >>> explanations[0].prediction.top(1)[0][0]
        'walking'
    """

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        *,
        methods: Sequence[str] = (),
        skip: Callable[[tuple[float, float]], bool] = lambda span: False,
        free_candidates: int = MAX_CANDIDATES,
        with_answers: bool = False,
    ) -> None:
        """Open a session.

        Args:
            engine: The model.
            settings: How to explain.
            methods: Names of several methods that explain every clip, in place of ``settings.method``; those that read the same
                layer share one forward pass. A method that does not work on the model is left out and kept in ``refused``.
            skip: Says of the span of a clip, ``(start, end)`` in seconds, whether it needs no explanation.
            free_candidates: How many classes are explained in each clip while none is named, if the method gets them for free
                from the activations.
            with_answers: Explain the answer to each clip beside the classes of the settings, and those candidates that are free.

        Raises:
            UnknownNameError: There is no such method or class.
            IncompatibleError: No method works on the model.
            UsageError: A class is explained against itself.
        """
        self.engine = engine
        self.spec = engine.spec
        self.refused: dict[str, IncompatibleError] = {}
        self._free_candidates, self._with_answers = free_candidates, with_answers
        self._skip = skip
        self._names: tuple[str | None, ...] = tuple(methods)
        self._waiting: list[Clip] = []  # fewer than the engine computes at once
        self._winners: dict[int, None] = {}  # every class that was the answer to a clip, in the order of appearance
        self.choose(settings)
        self._views: tuple[CropGeometry, ...] = ()
        self._latest: Frame | None = None  # with its picture
        self._sampler = self._new_sampler()

    def choose(self, settings: Settings) -> None:
        """Explain by the method, classes and versus of ``settings`` from the next clip on; sampled frames are kept."""
        classes = tuple(index_of(self.engine.labels, c) for c in settings.classes)
        versus = None if settings.versus is None else index_of(self.engine.labels, settings.versus)
        if versus in classes:
            raise UsageError(f"a class cannot be explained against itself: {settings.versus!r}")
        methods: list[tuple[Method, tuple[CellGeometry, ...]]] = []
        for name in self._names or (settings.method,):
            try:
                method = choose_method(name, self.spec, seed=settings.seed)
                methods.append((method, method_geometry(method, self.engine.model)))
            except IncompatibleError as error:
                self.refused[str(name)] = error
        self._keep(methods)
        self.settings, self._classes, self._versus = settings, classes, versus

    @property
    def method(self) -> Method:
        """The method that explains, the first one if there are several."""
        return self._methods[0][0]

    @property
    def methods(self) -> tuple[Method, ...]:
        """All methods that explain."""
        return tuple(method for method, _ in self._methods)

    @property
    def views(self) -> tuple[CropGeometry, ...]:
        """The crops; empty until the first frame has come."""
        return self._views

    def push(self, frame: Frame) -> Iterator[Explanation]:
        """Take a frame and yield the explanations of the clips that it completes.

        They are computed as they are asked for, because a frame after a long pause completes many clips. An engine that computes
        several clips at once gets them together: their explanations come later, the last ones on closing.
        """
        return self._explain_in_groups(self.sample(frame))

    def close(self) -> Iterator[Explanation]:
        """End the video and yield the explanations of its tail."""
        return self._explain_in_groups(self.rest(), last=True)

    def sample(self, frame: Frame) -> list[Clip]:
        """Return the clips that this frame completes, for a caller that explains them in another thread, or not all of them."""
        if not self._views:
            spec, cover = self.spec, self.settings.cover
            self._views = sampling.spatial_crops(frame.size, resize=spec.resize, crop=spec.crop, cover=cover)
        if not isinstance(frame, BareFrame):
            self._latest = frame
        # If a picture that is needed is lost to damage, a sample can fall on a frame that came without its picture.
        if self._latest is None:
            return []
        view, shown = self._views[0], self._latest
        return self._sampler.push(lambda: sampling.resize(shown.picture, view), time=frame.time, duration=frame.duration)

    def needed(self, times: Sequence[float]) -> list[bool]:
        """Return for all frames of a video, given by their times in seconds, whether :meth:`sample` looks at their pictures."""
        return sampling.frames_sampled(times, self._new_sampler())

    def rest(self) -> list[Clip]:
        """Return the clips of the video's tail: no frame will come any more."""
        return self._sampler.close()

    def explain(self, clip: Clip) -> Explanation:
        """Explain one clip."""
        return explain_together([(self, clip)])[0]

    @property
    def kind(self) -> tuple[tuple[str, ...], int, int]:
        """Is equal for sessions of one engine that :func:`explain_together` can take together."""
        return tuple(method.name for method in self.methods), self.settings.seed, len(self._views)

    def predict_all(self, clips: Sequence[Clip]) -> list[FloatArray]:
        """Return the logits ``(K,)`` of each clip, as the mean over its crops."""
        if not clips:
            return []
        return list(self.engine.predict(self._cut(clips)).reshape(len(clips), len(self._views), -1).mean(axis=1))

    def _new_sampler(self) -> sampling.Sampler:
        return sampling.Sampler(
            frames=self.spec.num_frames,
            seconds_between_frames=self.spec.seconds_between_frames,
            seconds_between_clip_starts=self.settings.seconds_between_clip_starts or self.spec.usual_hop_s,
            tail=self.settings.tail,
        )

    def _cut(self, clips: Sequence[Clip]) -> UInt8Array:
        """Return the model's pixels ``(clips * crops, T, H, W, 3)``."""
        return np.stack([view.cut(clip.frames) for clip in clips for view in self._views])

    def _keep(self, methods: list[tuple[Method, tuple[CellGeometry, ...]]]) -> None:
        """Go on with these methods; if none is left, raise an error with the reasons."""
        if not methods:
            raise IncompatibleError("; ".join(dict.fromkeys(map(str, self.refused.values()))))
        self._methods = methods

    def _explain_in_groups(self, clips: Iterable[Clip], *, last: bool = False) -> Iterator[Explanation]:
        """Explain as many clips together as the engine computes at once; keep the rest for later unless it is the ``last``."""
        at_once = max(1, self.engine.preferred_batch // len(self._views)) if self._views else 1
        for clip in clips:
            if not self._skip(clip.span):
                self._waiting.append(clip)
            if len(self._waiting) >= at_once:
                yield from self._explain_waiting()
        if last:
            yield from self._explain_waiting()

    def _explain_waiting(self) -> list[Explanation]:
        waiting, self._waiting = self._waiting, []
        return explain_together([(self, clip) for clip in waiting]) if waiting else []

    def _targets(self, logits: FloatArray) -> tuple[Target, ...]:
        """Choose what to explain in a clip with these logits ``(K,)``."""
        order = np.argsort(-logits, kind="stable")
        named = dict.fromkeys(self._classes)
        if named and not self._with_answers:
            return tuple(Target(i, self._versus) for i in named)
        answer = next(int(i) for i in order if i != self._versus)
        count = self._free_candidates if self.method.family == "cam" else 1 if named else MAX_CANDIDATES
        chosen = named | {answer: None} | dict.fromkeys(int(i) for i in order[:count] if i != self._versus)
        if not named:
            self._winners.setdefault(answer)
            chosen |= dict.fromkeys(list(self._winners)[:MAX_CANDIDATES])
        return tuple(Target(i, self._versus) for i in chosen)


def explain_together(parts: Sequence[tuple[Session, Clip]]) -> list[Explanation]:
    """Explain clips of several sessions of one engine and one :attr:`Session.kind`, which are computed together.

    The explanation of each clip is the one that its own session would give.
    """
    sessions = list(dict.fromkeys(session for session, _ in parts))
    crops = len(sessions[0]._views)
    pixels = np.concatenate([session._cut([clip]) for session, clip in parts])
    own_targets: list[tuple[Target, ...]] = []  # of each clip

    def targets(logits: FloatArray) -> Sequence[Target]:
        means = logits.reshape(len(parts), crops, -1).mean(axis=1)
        own_targets[:] = [session._targets(own) for (session, _), own in zip(parts, means, strict=True)]
        return tuple(dict.fromkeys(target for own in own_targets for target in own))

    engine, methods = sessions[0].engine, sessions[0]._methods  # another thread may choose others meanwhile
    attributions = core.explain_by_each(engine, pixels, targets, [method for method, _ in methods])
    placed = []
    for (method, geometries), attribution in zip(methods, attributions, strict=True):
        if isinstance(attribution, IncompatibleError):
            for session in sessions:
                session.refused[method.name] = attribution
        else:
            placed.append(PlacedAttribution(method, attribution, geometries, share=1.0 / crops))
    if len(placed) < len(methods):
        for session in sessions:
            session._keep([entry for entry in methods if entry[0].name not in session.refused])
    logits = placed[0].attribution.logits.reshape(len(parts), crops, -1).mean(axis=1)
    interval_s = engine.spec.seconds_between_frames
    return [
        Explanation(
            Prediction(logits[n], engine.probabilities(logits[n]), engine.labels, clip.span),
            tuple(place_evidence(placed, own_targets[n], clip, session.views, engine.labels, interval_s, first=n * crops)),
            clip.times,
            pixels[n * crops : (n + 1) * crops],
            placed[0].cells,
        )
        for n, (session, clip) in enumerate(parts)
    ]


def explanations(
    source: Source, session: Session, on_frame: OnFrame = lambda frame: None, *, every_picture: bool = False
) -> Iterator[Explanation]:
    """Push a whole source through a session; ``on_frame`` gets each frame after the clips that it completed.

    ``on_frame`` gets frames without their pictures, and those that no clip shows need not be decoded, unless it looks at
    ``every_picture``.
    """
    with closing(_sampled(source, session, every_picture=every_picture)) as frames:
        for frame, clips in frames:
            yield from session._explain_in_groups(clips)
            on_frame(frame)
    yield from session.close()


def predictions(source: Source, session: Session, on_frame: OnFrame) -> Iterator[FloatArray]:
    """Yield the logits ``(K,)`` of every clip of a source, without explaining any; ``on_frame`` gets frames without pictures."""
    with closing(_sampled(source, session)) as frames:
        for frame, clips in frames:
            yield from session.predict_all(clips)
            on_frame(frame)
    yield from session.predict_all(session.rest())


def _sampled(source: Source, session: Session, *, every_picture: bool = False) -> Generator[tuple[Frame, list[Clip]], None, None]:
    """Read and sample the frames that the settings ask for, a few of them ahead; yield each with the clips that it completes."""
    start, end = session.settings.start_s, session.settings.end_s

    def sampled() -> Iterator[tuple[Frame, list[Clip]]]:
        for frame in source.frames(start=start, end=end, needed=None if every_picture else session.needed):
            clips = session.sample(frame)
            yield frame if every_picture else BareFrame(frame.size, frame.time, frame.duration), clips
            del frame  # frees the picture

    def weigh(item: tuple[Frame, list[Clip]]) -> int:
        return 1 + CLIP_WEIGHT * len(item[1])

    depth = PREFETCH_FRAMES if every_picture else PREFETCH_TIMES
    with opencv_single_threaded(), closing(prefetch(sampled(), depth, weigh=weigh)) as frames:
        yield from frames
