"""The verdict: does the model need what the map shows? Tried on the clips that tell most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from vidcam import sampling
from vidcam.analysis import Analysis
from vidcam.io.source import Source
from vidcam.metrics import verdict
from vidcam.metrics.faithfulness import Score
from vidcam.metrics.verdict import Verdict
from vidcam.pipeline import Explanation, Progress, Session, explanations
from vidcam.settings import Settings
from vidcam.values import FloatArray, Frame, UInt8Array

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = ["add_verdict", "run_verdict", "select_verdict_clips"]


MAX_VERDICT_CLIPS = 6
"""How many clips a verdict rests on at most."""


def add_verdict(source: Source, engine: Engine, settings: Settings, analysis: Analysis, progress: Progress | None) -> Analysis:
    """Return the analysis with a verdict on the evidence for its first label, unless that label rejects all others."""
    label = analysis.labels[0]
    if label in engine.spec.rejects:
        return analysis
    index = engine.labels.index(label)

    def prob(clips: UInt8Array) -> FloatArray:
        return engine.probabilities(engine.predict(clips))[:, index]

    clips = select_verdict_clips(source, engine, settings, analysis, count=MAX_VERDICT_CLIPS)
    return replace(analysis, verdict=run_verdict(clips, prob, seed=settings.seed, progress=progress))


def select_verdict_clips(
    source: Source,
    engine: Engine,
    settings: Settings,
    analysis: Analysis,
    *,
    count: int,
    on_frame: Callable[[Frame], None] = lambda frame: None,
) -> list[Explanation]:
    """Explain at most ``count`` clips on which the explanation of the analysis' first label can be tested.

    They are those in which the label is most probable, at least half as much as in the best one; of clips that overlap only the
    best is taken.
    """
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
    return list(explanations(source, session, on_frame))


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
        crop = int(prob(clip.clips).argmax()) if len(clip.clips) > 1 else 0
        values, tubes = clip.evidence[crop].values, verdict.tubes_for(len(clips))
        trials.append(verdict.run_trial(clip.clips[crop], values, clip.cells, prob, tubes=tubes, seed=seed + n))
        if progress:
            progress("judge", n + 1, len(clips))
    return verdict.judge(trials, seed=seed)
