"""What one run found out about one video, and which labels of it are shown."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import numpy as np

from vidcam.errors import UnknownNameError, UsageError
from vidcam.values import FloatArray, Keyframe, Prediction, Segment, SourceInfo, Track, _Value

if TYPE_CHECKING:
    from vidcam.engine import Engine
    from vidcam.metrics.verdict import Verdict
    from vidcam.pipeline import Settings

__all__ = ["Analysis", "Answers", "ModelInfo", "RunInfo", "covered", "in_the_running", "index_of", "shown_labels"]


@dataclass(frozen=True)
class ModelInfo:
    """The model that was explained; None stands for what is not known of it."""

    name: str
    title: str | None = None
    weights_sha256: str | None = None
    target_layer: str | None = None
    num_frames: int | None = None
    seconds_between_frames: float | None = None
    time_cells: tuple[int, ...] | None = None
    paper: str | None = None

    @classmethod
    def of(cls, engine: Engine) -> ModelInfo:
        """Collect the facts about the model that ``engine`` runs."""
        spec = engine.spec
        return cls(
            name=spec.name,
            title=spec.title,
            weights_sha256=engine.weights_sha256,
            target_layer=spec.layer,
            num_frames=spec.frames,
            seconds_between_frames=spec.seconds_between_frames,
            time_cells=tuple(spec.time_cells),
            paper=spec.paper,
        )


@dataclass(frozen=True)
class RunInfo:
    """What a result was computed with: the model, the engine and its device, the random seed, the versions of the libraries."""

    model: ModelInfo
    engine: str
    device: str
    seed: int
    versions: Mapping[str, str]

    @classmethod
    def of(cls, engine: Engine, *, seed: int) -> RunInfo:
        """Collect the facts about a run of ``engine``."""
        return cls(ModelInfo.of(engine), engine.name, engine.device, seed, versions())


@dataclass(frozen=True, repr=False)
class Analysis(_Value):
    """Everything that one run found out about one video: what the reports are written from.

    ``probs (K,)`` are those of the whole video, from the windows' mean logits, as if it were pooled over all of it.
    ``tracks`` holds, for each explained label, one raw (unsmoothed) :class:`Track` for each crop; ``drawn`` the same after
    smoothing, which is what the picture shows. ``curves`` holds the smoothed signed evidence per second of each label at
    ``times_s``; ``frame_times_s`` are the times of all ``frames`` of the video, ``sampled_s`` of those that the model was shown.
    ``settings`` are those of the run, with the seconds between clip starts that they stood for. ``verdict`` is about the first of
    :attr:`labels`; None if it was not asked for.
    ``video_offset_s`` is the second of the stream at which the written video's own clock begins: 0 unless the writer moved it.
    """

    source: SourceInfo
    frames: int
    duration_s: float
    run: RunInfo
    method: str
    settings: Settings
    windows: tuple[Prediction, ...]
    probs: FloatArray
    times_s: FloatArray
    curves: Mapping[str, FloatArray]
    tracks: Mapping[str, tuple[Track, ...]]
    segments: tuple[Segment, ...]
    scale: float
    completeness_error: float | None
    unseen_fraction: float
    drawn: Mapping[str, tuple[Track, ...]] = field(default_factory=dict)
    frame_times_s: FloatArray = field(default_factory=lambda: np.zeros(0))
    sampled_s: FloatArray = field(default_factory=lambda: np.zeros(0))
    versus: str | None = None
    method_title: str = ""
    method_paper: str = ""
    verdict: Verdict | None = None
    warnings: tuple[str, ...] = ()
    moments: tuple[Keyframe, ...] = ()
    outputs: Mapping[str, str] = field(default_factory=dict)
    video_offset_s: float = 0.0
    timings_s: Mapping[str, float] = field(default_factory=dict)

    @property
    def model(self) -> ModelInfo:
        """The model that was explained."""
        return self.run.model

    @property
    def labels(self) -> tuple[str, ...]:
        """The explained labels, in order of importance."""
        return tuple(self.curves)

    def top(self, k: int) -> tuple[tuple[str, float], ...]:
        """The ``k`` labels that are most probable over the whole video by :attr:`probs`, highest first."""
        order = np.argsort(-self.probs, kind="stable")[:k]
        return tuple((self.windows[0].labels[i], float(self.probs[i])) for i in order)


SHOWN = 4  # classes that the evidence strip shows at most while nobody has named one


WINS = 0.1  # a class that is the answer of this share of the windows is shown, even where another is the video's answer


def shown_labels(
    predictions: Sequence[Prediction], *, classes: Sequence[str | int], versus: str | None, rejects: Sequence[str] = ()
) -> tuple[str, ...]:
    """The labels whose evidence is shown: those that were asked for, else the video's answer and what wins a good part of it.

    Of those that mean "none of the others" (``rejects``) only the answer itself is named.
    """
    labels = predictions[0].labels
    if classes:
        return tuple(dict.fromkeys(labels[index_of(labels, c)] for c in classes))
    other = None if versus is None else index_of(labels, versus)
    probs = np.stack([p.probs for p in predictions])
    if other is not None:
        probs[:, other] = -1.0
    mean = np.stack([p.logits for p in predictions]).mean(axis=0, dtype=np.float64)
    if other is not None:
        mean[other] = -np.inf
    answer = int(mean.argmax())
    wins = np.bincount(probs.argmax(axis=1), minlength=len(labels)) / len(predictions)
    others = [int(i) for i in np.argsort(-mean, kind="stable") if wins[i] >= WINS and i != answer and labels[i] not in rejects]
    return tuple(labels[i] for i in [answer, *others][:SHOWN])


def in_the_running(predictions: Sequence[Prediction]) -> frozenset[str]:
    """The labels that may well be shown when the video ends: those with the highest mean logits, and all that win at times."""
    labels = predictions[0].labels
    mean = np.stack([p.logits for p in predictions]).mean(axis=0, dtype=np.float64)
    wins = np.bincount([int(p.logits.argmax()) for p in predictions], minlength=len(labels)) / len(predictions)
    return frozenset(labels[i] for i in {*np.argsort(-mean)[:SHOWN].tolist(), *np.flatnonzero(wins >= WINS / 2).tolist()})


def index_of(labels: Sequence[str], given: str | int) -> int:
    """Return the index of the output that a label, whatever its case, or an index names.

    Raises:
        UnknownNameError: There is none, with the nearest labels.
        UsageError: Several outputs have that name, which :func:`vidcam.models.labels.distinct` told apart.
    """
    if isinstance(given, int) and not isinstance(given, bool):
        if not 0 <= given < len(labels):
            raise UsageError(f"the model has {len(labels)} outputs, 0 to {len(labels) - 1}; there is no output {given}")
        return given
    if not isinstance(given, str):
        raise UsageError(f"a class is a label or the index of an output, got a {type(given).__name__}: {given!r}")
    if given in labels:
        return labels.index(given)
    wanted = " ".join(given.replace("_", " ").split()).casefold()
    plain = [label.replace("_", " ").casefold() for label in labels]
    if wanted in plain:
        return plain.index(wanted)
    alike = [label for label, words in zip(labels, plain, strict=True) if re.fullmatch(rf"{re.escape(wanted)} #\d+", words)]
    if alike:
        raise UsageError(f"{len(alike)} outputs are called {given!r}: name one of them, {' or '.join(map(repr, alike))}")
    raise UnknownNameError("class", given, labels)


class Answers:
    """What to write beside a frame: the prediction of the window whose middle is nearest, and the shown label that it favours."""

    def __init__(self, analysis: Analysis) -> None:
        self._windows = sorted(analysis.windows, key=lambda p: p.span[0] + p.span[1])
        self._middles = np.array([(p.span[0] + p.span[1]) / 2 for p in self._windows])
        self._labels = analysis.labels

    def at(self, second: float) -> tuple[Prediction, str]:
        i = int(np.searchsorted(self._middles, second))
        if i and (i == len(self._middles) or second - self._middles[i - 1] <= self._middles[i] - second):
            i -= 1
        prediction = self._windows[i]
        return prediction, max(self._labels, key=prediction.prob)


def covered(spans: Sequence[tuple[float, float]], first: float, last: float) -> float:
    """The share of [first, last) that the spans cover."""
    total, reached = 0.0, first
    for start, end in sorted(spans):
        total += max(0.0, min(end, last) - max(start, reached))
        reached = max(reached, min(end, last))
    return min(1.0, total / (last - first)) if last > first else 1.0


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("vidcam", "openvino", "torch", "torchvision", "av", "numpy", "opencv-python"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # opencv under one of its other names
            continue
    return found
