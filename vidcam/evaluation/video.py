"""Test whether the explanation of one video holds, with all measures of :mod:`vidcam.metrics`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidcam.analysis import Analysis
from vidcam.annotation.first_pass import explain_source
from vidcam.annotation.judging import name_better_method, select_verdict_clips
from vidcam.engine import rejection_sentence
from vidcam.errors import UsageError
from vidcam.evaluation.budget import Budget, Work, run_works
from vidcam.evaluation.map_tests import MapTests
from vidcam.evaluation.plan import assume_costs, plan_tests
from vidcam.evidence.labels import index_of
from vidcam.evidence.optical_flow import FlowField
from vidcam.evidence.smoothing import smooth
from vidcam.io.clock import SYSTEM, Clock
from vidcam.io.source import open_source
from vidcam.methods import cell_geometry, core
from vidcam.methods.lookup import choose_method
from vidcam.methods.receptive_field import method_geometry
from vidcam.metrics.imputers import IMPUTERS, check_imputers
from vidcam.metrics.smoothness import compare_smoothness
from vidcam.metrics.splice import Spliced, share_inside, splice
from vidcam.pipeline import Explanation, Progress
from vidcam.reports.evaluation import Evaluation, Spent
from vidcam.settings import Settings

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = ["evaluate"]

CLASSES = 5
"""Classes whose maps are compared: the explained one and the next most probable."""

SPLICE = "explanations of two videos cut together"
"""The unit of the splice test."""

DEFAULT = Settings()


def evaluate(
    path: str | Path,
    *,
    engine: Engine,
    settings: Settings = DEFAULT,
    windows: int = 4,
    imputers: Sequence[str] = tuple(IMPUTERS),
    other: str | Path | None = None,
    budget_s: float | None = None,
    progress: Progress | None = None,
    clock: Clock = SYSTEM,
) -> Evaluation:
    """Explain a video, and test the explanation of its first label or of the one class in ``settings``.

    Args:
        path: The video, as for :func:`vidcam.open_source`.
        engine: The model that is explained.
        settings: How to explain; the tests use the model's centre crop.
        windows: The largest number of clips on which the explanation is tested, at least 1: those in which the class is most
            probable.
        imputers: What replaces removed pixels: ``blur``, ``frozen`` or ``inpaint``, one or several.
        other: A second video, for the splice test; None for no such test.
        budget_s: Seconds that the tests may take, once the video is explained; None for every test in full. The most
            informative tests come first, and coarse ones before fine ones; ``not_run`` names those for which no time was left.
        progress: Is called with the stage, the number done, and the number of all (None if unknown). In the stage ``"test"``
            these are seconds: those that have passed, and those with what remains; what remains never grows.
        clock: What measures the seconds.

    Returns:
        The analysis, and the figures of each test beside those of controls, which are made without the model.

    Raises:
        UsageError: The settings cannot be tested, such as several classes at once.
        VidcamError: As for :func:`vidcam.explain`.

    Example:
        >>> import vidcam
        >>> engine = vidcam.open_engine("mini")
        >>> found = vidcam.evaluate("clips/walking.mp4", engine=engine, windows=1, budget_s=2)
        >>> found.label, found.verdict is None or found.verdict.word in ("supported", "weak", "not supported")
        ('walking', True)
    """
    if windows < 1:
        raise UsageError(f"at least 1 window is needed, got {windows}")
    check_imputers(imputers)
    if budget_s is not None and not budget_s > 0:
        raise UsageError(f"a budget is a positive number of seconds, or None for every test in full, got {budget_s}")
    if len(settings.classes) > 1:
        given = ", ".join(map(str, settings.classes))
        raise UsageError(f"one explanation is tested at a time, got classes {given}: name one of them")
    began = clock.now()
    settings = replace(settings, cover=False)
    with open_source(path) as source:
        analysis = explain_source(source, engine, settings, progress)
        label = _tested_label(analysis, engine)
        analysis = name_better_method(engine.spec, analysis)
        settings = replace(settings, method=analysis.method)
        flow = FlowField(size=(source.info.height, source.info.width))
        again = clock.now()
        explanations = select_verdict_clips(
            source, engine, settings, analysis, count=windows, on_frame=lambda frame: flow.push(frame.image, time=frame.time)
        )
        explanation_s = (clock.now() - again) / len(explanations)
    index = engine.labels.index(label)
    # Before the tests: what is wrong with the other video would waste them.
    theirs = None if other is None else _explain_other(other, engine, settings, index)
    explanations.sort(key=lambda e: -e.prediction.probs[index])
    versus = None if settings.versus is None else index_of(engine.labels, settings.versus)
    target = core.Target(index, versus)
    method = choose_method(settings.method, engine.spec, seed=settings.seed)

    score = partial(engine.class_probability, index)
    order = np.argsort(-explanations[0].prediction.logits, kind="stable")
    others = [core.Target(int(i)) for i in order if i != index][: CLASSES - 1]
    raw = analysis.tracks[label][0]
    smoothed = smooth(raw, kind=settings.smoothing, seconds=settings.smooth_s, flow=flow)
    tests = MapTests(engine, explanations, [target, *others], method, score, (raw, smoothed), settings.seed)
    works = plan_tests(tests, imputers)  # loads the network in torch, which is no test
    budget = Budget(budget_s, clock=clock)
    assume_costs(budget, explanation_s)
    spliced: list[Spliced] = []
    if theirs is not None:
        budget.assume(SPLICE, explanation_s)

        def test_splice() -> None:
            spliced.append(_test_splice(explanations[0], theirs, engine, target, method))

        works.append(Work("two videos cut together", SPLICE, 2, test_splice))
    left_out = run_works(works, budget, progress)
    begun = {work.test for work in works if work not in left_out}
    return Evaluation(
        analysis=analysis,
        label=label,
        windows=len(explanations),
        scores=tests.scores,
        curves=tests.curves,
        verdict=tests.verdict,
        used=tests.used,
        mprt=tests.cascade,
        random_logit=tests.random_logit,
        repeat_error=tests.repeat_error,
        smoothness=compare_smoothness(raw, smoothed, flow),
        insertion=tests.insertion,
        spliced=spliced[0] if spliced else None,
        seconds=clock.now() - began,
        budget=Spent(budget.seconds, budget.spent(), budget.counts),
        rests_on=tests.rests_on,
        not_run=tuple(dict.fromkeys(work.test for work in left_out if work.test not in begun)),
    )


def _tested_label(analysis: Analysis, engine: Engine) -> str:
    """Return the label whose explanation is tested. Raises UsageError if the model found none of its classes."""
    label = analysis.labels[0]
    if label in engine.spec.rejects:
        raise UsageError(
            f"there is no evidence for {label!r} to test: {rejection_sentence(engine.spec, label)}, or name a class with --class"
        )
    return label


def _explain_other(other: str | Path, engine: Engine, settings: Settings, mine: int) -> Explanation:
    """Return the best window of the other video, explained for its own answer; UsageError if that is the class ``mine`` too."""
    plain = replace(settings, classes=(), versus=None)
    with open_source(other) as source:
        analysis = explain_source(source, engine, plain, None)
        label = analysis.labels[0]
        if engine.labels.index(label) == mine:
            raise UsageError(f"both videos are {label!r} to the model: the splice test needs one with another answer")
        (theirs,) = select_verdict_clips(source, engine, plain, analysis, count=1)
    return theirs


def _test_splice(mine: Explanation, theirs: Explanation, engine: Engine, target: core.Target, method: core.Method) -> Spliced:
    """Splice the best windows of this video and of the other in both orders, and locate the evidence for each."""
    index = engine.labels.index(theirs.evidence[0].label)
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
