"""What the joined windows amount to: which labels are shown and when, segments, the film strip, the legend's facts."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, cast

import numpy as np

from vidcam import timeline
from vidcam.errors import UnknownNameError, UsageError
from vidcam.render import Legend, Style, thumb
from vidcam.types import Analysis, FloatArray, Frame, Heat, Moment, Prediction, Segment

if TYPE_CHECKING:
    from vidcam.engine import Engine
    from vidcam.models.registry import ModelSpec

SHOWN = 4  # classes that the evidence strip shows at most while nobody has named one
WINS = 0.1  # a class that is the answer of this share of the windows is shown, even where another is the video's answer
FILM = 6  # pictures in the film strip of a report
FILM_WIDTH = 480  # pixels


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


class Film:
    """The film strip of a report: small pictures of the strongest moments, taken as the frames pass by."""

    def __init__(self, analysis: Analysis, *, heat: Callable[[str, float], Heat | None], style: Style, signed: bool) -> None:
        self.moments: list[Moment] = []
        self._heat, self._style, self._signed = heat, style, signed
        times = analysis.times_s
        each = max(1, FILM // len(analysis.curves))
        gap = (times[-1] - times[0]) / (2 * FILM)
        found = [
            (float(times[i]), label, float(curve[i]))
            for label, curve in analysis.curves.items()
            for i in timeline.peaks(times, curve, n=each, min_gap_s=gap)
            if curve[i] > 0
        ]
        self._wanted = sorted(found)

    def offer(self, frame: Frame) -> None:
        """Take the frame's picture for every moment that it shows."""
        while self._wanted and frame.end > self._wanted[0][0]:
            second, label, score = self._wanted.pop(0)
            heat = self._heat(label, second)
            image = thumb(frame.image, heat, width=FILM_WIDTH, style=self._style, signed=self._signed)
            self.moments.append(Moment(second, label, score, image))


def covered(spans: Sequence[tuple[float, float]], first: float, last: float) -> float:
    """The share of [first, last) that the spans cover."""
    total, reached = 0.0, first
    for start, end in sorted(spans):
        total += max(0.0, min(end, last) - max(start, reached))
        reached = max(reached, min(end, last))
    return min(1.0, total / (last - first)) if last > first else 1.0


def segments(times: FloatArray, curves: Mapping[str, FloatArray], *, min_s: float) -> tuple[Segment, ...]:
    """Where the evidence of each label holds: above a third of the strongest label's peak, until it falls below a sixth."""
    peak = max((float(np.nanmax(c)) for c in curves.values()), default=0.0)
    if peak <= 0:
        return ()
    found = [
        s for label, c in curves.items() for s in timeline.segments(label, times, c, high=peak / 3, low=peak / 6, min_s=min_s)
    ]
    return tuple(sorted(found, key=lambda s: (s.start_s, s.end_s)))


def legend(analysis: Analysis) -> Legend:
    model = analysis.model
    frames, interval = cast("int", model["frames"]), cast("float", model["interval_s"])
    return Legend(
        model=str(model["name"]),
        method=analysis.method,
        time_cells=" + ".join(str(n) for n in cast("list[int]", model["time_cells"])),
        clip_s=frames * interval,
        versus=analysis.versus,
        scale=analysis.scale,
        unit="logits" if analysis.completeness_error is not None else "",
        verdict=None if analysis.verdict is None else str(analysis.verdict["word"]),
    )


def model_facts(spec: ModelSpec, *, weights_sha256: str | None) -> dict[str, object]:
    return {
        "name": spec.name,
        "title": spec.title,
        "weights_sha256": weights_sha256,
        "layer": spec.layer,
        "frames": spec.frames,
        "interval_s": spec.interval_s,
        "time_cells": list(spec.time_cells),
        "paper": spec.paper,
    }


def run_facts(engine: Engine, *, seed: int) -> dict[str, object]:
    """What a JSON file says about a run over many clips: the model, what ran it, the seed and the versions."""
    return {
        "model": model_facts(engine.spec, weights_sha256=engine.weights_sha256),
        "engine": engine.name,
        "device": engine.device,
        "seed": seed,
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("vidcam", "openvino", "torch", "torchvision", "av", "numpy", "opencv-python"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # opencv under one of its other names
            continue
    return found
