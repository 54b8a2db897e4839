"""The verdict: does the model need what the map shows? Tried on the clips that tell most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from vidcam import sampling
from vidcam.analysis import Analysis
from vidcam.io.source import Source
from vidcam.methods.lookup import default_name
from vidcam.methods.measured import measured
from vidcam.metrics import verdict
from vidcam.metrics.faithfulness import Score
from vidcam.metrics.method_choice import BetterMethod, MapFigures
from vidcam.metrics.verdict import Verdict
from vidcam.pipeline import Explanation, Progress, Session, explanations
from vidcam.settings import Settings
from vidcam.values import Frame

if TYPE_CHECKING:
    from vidcam.engine import Engine
    from vidcam.models.spec import ModelSpec

__all__ = [
    "add_verdict",
    "find_better_method",
    "find_telling_spans",
    "most_probable_crop",
    "name_better_method",
    "run_verdict",
    "select_verdict_clips",
]


MAX_VERDICT_CLIPS = 6
"""How many clips a verdict rests on at most."""


def add_verdict(source: Source, engine: Engine, settings: Settings, analysis: Analysis, progress: Progress | None) -> Analysis:
    """Return the analysis with a verdict on the evidence for its first label, unless that label rejects all others.

    If a method is known whose maps explain the model clearly better, the analysis names it, and a warning says so.
    """
    label = analysis.labels[0]
    if label in engine.spec.rejects:
        return analysis
    prob = partial(engine.class_probability, engine.labels.index(label))
    clips = select_verdict_clips(source, engine, settings, analysis, count=MAX_VERDICT_CLIPS)
    verdict = run_verdict(clips, prob, seed=settings.seed, progress=progress)
    return name_better_method(engine.spec, replace(analysis, verdict=verdict))


def name_better_method(spec: ModelSpec, analysis: Analysis) -> Analysis:
    """Return the analysis with the better method that is known for the model, if there is one, and a warning that names it."""
    better = find_better_method(spec, analysis)
    if better is None:
        return analysis
    return replace(analysis, better_method=better, warnings=(*analysis.warnings, better.sentence(spec.name)))


def find_better_method(spec: ModelSpec, analysis: Analysis) -> BetterMethod | None:
    """Return the method that is known to explain the model clearly better than the one of the analysis; None if none is.

    What is known was measured on real clips (:mod:`vidcam.methods.measured`). The model's default goes first. If methods were
    tested on the video itself, that test has decided, and none is named.
    """
    found = measured(spec)
    if found is None or analysis.method_choice is not None or analysis.method not in found.lerf_minus_morf:
        return None
    figures = {name: MapFigures.of_means(name, means) for name, means in found.lerf_minus_morf.items()}
    shown, usual = figures[analysis.method], default_name(spec)
    clearly = [one for one in figures.values() if one.is_clearly_better(shown)]
    best = max(clearly, key=lambda one: (one.name == usual, one.mean), default=None)
    if best is None:
        return None
    return BetterMethod(
        method=best.name,
        shown=shown.name,
        lerf_minus_morf=best.mean,
        shown_lerf_minus_morf=shown.mean,
        pointing=found.pointing[best.name],
        shown_pointing=found.pointing[shown.name],
        clips=found.clips,
    )


def find_telling_spans(engine: Engine, analysis: Analysis, *, count: int) -> list[tuple[float, float]]:
    """Return the spans of at most ``count`` clips on which the explanation of the analysis' first label can be tested.

    They are those in which the label is most probable, at least half as much as in the best one; of clips that overlap only the
    best is taken.
    """
    index = engine.labels.index(analysis.labels[0])
    best = sorted(analysis.windows, key=lambda p: -p.probs[index])
    spans: list[tuple[float, float]] = []
    for p in best:
        if len(spans) == count or p.probs[index] < best[0].probs[index] / 2:
            break
        if all(p.span[0] >= end - sampling.TOLERANCE_S or p.span[1] <= start + sampling.TOLERANCE_S for start, end in spans):
            spans.append(p.span)
    return spans


def select_verdict_clips(
    source: Source,
    engine: Engine,
    settings: Settings,
    analysis: Analysis,
    *,
    count: int,
    on_frame: Callable[[Frame], None] | None = None,
) -> list[Explanation]:
    """Explain the clips of :func:`find_telling_spans` for the analysis' first label; ``on_frame`` gets every frame."""
    spans = find_telling_spans(engine, analysis, count=count)
    session = Session(engine, replace(settings, classes=(analysis.labels[0],)), skip=lambda span: span not in spans)
    if on_frame is None:
        return list(explanations(source, session))
    return list(explanations(source, session, on_frame, every_picture=True))


def most_probable_crop(clip: Explanation, prob: Score) -> int:
    """Return the index of the crop of a clip in which the explained label is most probable."""
    return int(prob(clip.clips).argmax()) if len(clip.clips) > 1 else 0


def run_verdict(clips: Sequence[Explanation], prob: Score, *, seed: int, progress: Progress | None = None) -> Verdict:
    """Judge clips that were explained for one label, each in the crop in which the label is most probable.

    Args:
        clips: What :func:`select_verdict_clips` gives.
        prob: Gives the probability of the label in clips ``(B, T, H, W, 3) uint8``.
        seed: Of the random tubes that the hot one is compared with.
        progress: Told ``"judge"`` after each clip.
    """
    trials: list[verdict.Trial] = []
    for n, clip in enumerate(clips):
        crop = most_probable_crop(clip, prob)
        values, tubes = clip.evidence[crop].values, verdict.tubes_for(len(clips))
        trials.append(verdict.run_trial(clip.clips[crop], values, clip.cells, prob, tubes=tubes, seed=seed + n))
        if progress:
            progress("judge", n + 1, len(clips))
    return replace(verdict.judge(trials, seed=seed), times=tuple(sum(clip.prediction.span) / 2 for clip in clips))
