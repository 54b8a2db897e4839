"""Test whether the explanation of one video holds, with all measures of :mod:`vidcam.metrics`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidcam.analysis import Analysis
from vidcam.annotation.first_pass import explain_source
from vidcam.annotation.judging import run_verdict, select_verdict_clips
from vidcam.engine import rejection_sentence
from vidcam.errors import UsageError
from vidcam.evidence.labels import index_of
from vidcam.evidence.optical_flow import FlowField
from vidcam.evidence.smoothing import smooth
from vidcam.io.clock import SYSTEM
from vidcam.io.source import open_source
from vidcam.methods import cell_geometry, core
from vidcam.methods.lookup import choose_method
from vidcam.methods.receptive_field import method_geometry
from vidcam.metrics import sanity
from vidcam.metrics.baselines import BASELINES
from vidcam.metrics.counterfactual import run_counterfactuals, summarise_counterfactuals
from vidcam.metrics.faithfulness import (
    Curves,
    Faithfulness,
    Interval,
    bootstrap,
    insertion_area,
    measure_curves,
    measure_faithfulness,
)
from vidcam.metrics.imputers import IMPUTERS
from vidcam.metrics.smoothness import compare_smoothness
from vidcam.metrics.splice import Spliced, share_inside, splice
from vidcam.pipeline import Explanation, Progress
from vidcam.reports.evaluation import OURS, Evaluation
from vidcam.settings import Settings
from vidcam.values import FloatArray, Track, UInt8Array

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = ["evaluate"]

CLASSES = 5
"""Classes whose maps are compared: the explained one and the next most probable."""


DEFAULT = Settings()


def evaluate(
    path: str | Path,
    *,
    engine: Engine,
    settings: Settings = DEFAULT,
    windows: int = 4,
    imputers: Sequence[str] = tuple(IMPUTERS),
    other: str | Path | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Explain a video, and test the explanation of its first label or of the one class in ``settings``.

    Args:
        path: The video, as for :func:`vidcam.open_source`.
        engine: The model that is explained.
        settings: How to explain; the tests use the model's centre crop.
        windows: On how many clips, at most, the explanation is tested (:func:`~vidcam.annotation.judging.select_verdict_clips`).
        imputers: What takes the place of removed pixels, out of :data:`vidcam.metrics.imputers.IMPUTERS`.
        other: A second video, for the splice test.
        progress: Called with the stage, the number done, and the number of all if it is known.

    Returns:
        The analysis, and what each test found beside maps that know nothing of the model.

    Raises:
        UsageError: The settings cannot be tested, such as several classes at once.
        VidcamError: As for :func:`vidcam.explain`.

    Example:
        >>> import vidcam
        >>> engine = vidcam.open_engine("mini")
        >>> found = vidcam.evaluate("clips/walking.mp4", engine=engine, windows=1, imputers=("blur",))
        >>> found.verdict.word in ("supported", "weak", "not supported")
        True
    """
    if windows < 1:
        raise UsageError(f"at least 1 window is needed, got {windows}")
    if unknown := [b for b in imputers if b not in IMPUTERS]:
        raise UsageError(f"unknown baseline {unknown[0]!r}: known are {', '.join(IMPUTERS)}")
    if len(settings.classes) > 1:
        given = ", ".join(map(str, settings.classes))
        raise UsageError(f"one explanation is tested at a time, got classes {given}: name one of them")
    began = SYSTEM.now()
    settings = replace(settings, cover=False)
    with open_source(path) as source:
        analysis = explain_source(source, engine, settings, progress)
        label = _tested_label(analysis, engine)
        flow = FlowField(size=(source.info.height, source.info.width))
        explanations = select_verdict_clips(
            source, engine, settings, analysis, count=windows, on_frame=lambda frame: flow.push(frame.image, time=frame.time)
        )
    index = engine.labels.index(label)
    versus = None if settings.versus is None else index_of(engine.labels, settings.versus)
    target = core.Target(index, versus)
    method = choose_method(settings.method, engine.spec, seed=settings.seed)

    def prob(clips: UInt8Array) -> FloatArray:
        return engine.probabilities(engine.predict(clips))[:, index]

    scores, mean_curves = _test_faithfulness(explanations, prob, imputers, settings.seed, progress)
    first = explanations[0].clips[0]
    order = np.argsort(-explanations[0].prediction.logits, kind="stable")
    others = [core.Target(int(i)) for i in order if i != index][: CLASSES - 1]
    raw = analysis.tracks[label][0]
    smoothed = smooth(raw, kind=settings.smoothing, seconds=settings.smooth_s, flow=flow)
    return Evaluation(
        analysis=analysis,
        label=label,
        windows=len(explanations),
        scores=scores,
        curves=mean_curves,
        verdict=run_verdict(explanations, prob, seed=settings.seed),
        used=summarise_counterfactuals(
            [run_counterfactuals(e.clips[0], e.evidence[0].values, e.cells, prob) for e in explanations]
        ),
        mprt=tuple(sanity.mprt(engine, first, target, method, seed=settings.seed)),
        random_logit=sanity.random_logit(engine, first, [target, *others], method) if others else None,
        repeat_error=sanity.repeat_error(engine, first, target, method),
        smoothness=compare_smoothness(raw, smoothed, flow),
        insertion=(_insertion_area(explanations, raw, prob), _insertion_area(explanations, smoothed, prob)),
        spliced=None
        if other is None
        else _test_splice(max(explanations, key=lambda e: e.prediction.probs[index]), other, engine, settings, target, method),
        seconds=SYSTEM.now() - began,
    )


def _tested_label(analysis: Analysis, engine: Engine) -> str:
    """Return the label whose explanation is tested. Raises UsageError if the model found none of its classes."""
    label = analysis.labels[0]
    if label in engine.spec.rejects:
        raise UsageError(
            f"there is no evidence for {label!r} to test: {rejection_sentence(engine.spec)}, or name a class with --class"
        )
    return label


def _test_faithfulness(
    explanations: Sequence[Explanation],
    prob: Callable[[UInt8Array], FloatArray],
    imputers: Sequence[str],
    seed: int,
    progress: Progress | None,
) -> tuple[dict[str, dict[str, dict[str, Interval]]], dict[str, Curves]]:
    """Return the scores of the maps and of the controls for each imputer, and the maps' mean curves."""
    done, total = 0, len(imputers) * len(explanations) * (1 + len(BASELINES))
    scores: dict[str, dict[str, dict[str, Interval]]] = {}
    means: dict[str, Curves] = {}
    for imputer in imputers:
        rows: dict[str, list[Faithfulness]] = {name: [] for name in (OURS, *BASELINES)}
        own: list[Curves] = []
        for n, e in enumerate(explanations):
            clip = e.clips[0]
            maps = {OURS: e.evidence[0].values}
            maps |= {name: control(clip, e.cells, np.random.default_rng([seed, n])) for name, control in BASELINES.items()}
            own.append(measure_curves(clip, e.evidence[0].values, e.cells, prob, imputer=imputer))
            for name, values in maps.items():
                rows[name].append(measure_faithfulness(clip, values, e.cells, prob, imputer=imputer))
                done += 1
                if progress:
                    progress("test", done, total)
        scores[imputer] = {
            name: {f.name: _interval(f.name, row, seed) for f in fields(Faithfulness)} for name, row in rows.items()
        }
        means[imputer] = Curves(*(np.mean([getattr(c, f.name) for c in own], 0) for f in fields(Curves)))
    return scores, means


def _interval(name: str, row: Sequence[Faithfulness], seed: int) -> Interval:
    return bootstrap([getattr(x, name) for x in row], within=(-1.0 if name == "lerf_minus_morf" else 0.0, 1.0), seed=seed)


def _insertion_area(explanations: Sequence[Explanation], track: Track, prob: Callable[[UInt8Array], FloatArray]) -> float:
    """Return the insertion area of a track's maps at the times of the windows' cells; removed parts are blurred."""
    areas = []
    for e in explanations:
        maps = [track.at(float(t)) for t in e.evidence[0].times]
        empty = np.zeros(e.evidence[0].values.shape[1:])
        values = np.stack([empty if m is None else m for m in maps])
        areas.append(insertion_area(e.clips[0], values, e.cells, prob, imputer="blur"))
    return float(np.mean(areas))


def _test_splice(
    mine: Explanation, other: str | Path, engine: Engine, settings: Settings, target: core.Target, method: core.Method
) -> Spliced:
    """Splice the best windows of this video and of the other in both orders, and locate the evidence for each."""
    plain = replace(settings, classes=(), versus=None)
    with open_source(other) as source:
        analysis = explain_source(source, engine, plain, None)
        label = analysis.labels[0]
        index = engine.labels.index(label)
        if index == target.index:
            raise UsageError(f"both videos are {label!r} to the model: the splice test needs one with another answer")
        (theirs,) = select_verdict_clips(source, engine, plain, analysis, count=1)
    a, b, n = mine.clips[0], theirs.clips[0], len(mine.clips[0])
    firsts, seconds = [], []
    for early, late, order in ((a, b, (target.index, index)), (b, a, (index, target.index))):
        attribution = core.explain(engine, splice(early, late)[None], [core.Target(i) for i in order], method)
        geometry = method_geometry(method, engine.model)
        maps = [cell_geometry.join([m[0, i] for m in attribution.maps], geometry)[0] for i in range(2)]
        firsts.append(share_inside(maps[0], mine.cells, n, after=False))
        seconds.append(share_inside(maps[1], mine.cells, n, after=True))
    even = np.ones(mine.cells.grid)
    return Spliced(
        _mean(firsts),
        _mean(seconds),
        share_inside(even, mine.cells, n, after=False),
        share_inside(even, mine.cells, n, after=True),
    )


def _mean(values: Sequence[float]) -> float | None:
    known = [v for v in values if math.isfinite(v)]
    return float(np.mean(known)) if known else None
