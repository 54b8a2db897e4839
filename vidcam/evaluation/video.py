"""Is this explanation true? Everything that :mod:`vidcam.metrics` can say about one video, in one run."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidcam.analysis import Analysis, index_of
from vidcam.annotation import explain, run_verdict, select_verdict_clips
from vidcam.engine import unknown_to
from vidcam.errors import UsageError
from vidcam.evidence.optical_flow import FlowField
from vidcam.evidence.smoothing import smooth
from vidcam.io.clock import SYSTEM
from vidcam.io.files import save
from vidcam.io.json_text import document, plain
from vidcam.io.source import open_source
from vidcam.methods import cell_geometry, core, probe
from vidcam.metrics import sanity, verdict
from vidcam.metrics.baselines import CONTROLS
from vidcam.metrics.counterfactual import Used, counterfactuals, used
from vidcam.metrics.faithfulness import Curves, Faithfulness, Interval, bootstrap, curves, faithfulness, insertion
from vidcam.metrics.imputers import BASELINES
from vidcam.metrics.smoothness import Smoothness, compared
from vidcam.metrics.splice import Spliced, inside, splice
from vidcam.pipeline import Explanation, Progress, Settings
from vidcam.reports import charts, formats, html
from vidcam.values import FloatArray, Track, UInt8Array

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = ["BASELINES", "Evaluation", "evaluate", "in_words", "to_json", "write_html", "write_json"]

OURS = "this explanation"
"""What the rows call the map under test, beside the names of the controls."""

CLASSES = 5
"""Classes whose maps are compared: the explained one and the next most probable."""


DEFAULT = Settings()


@dataclass(frozen=True)
class Evaluation:
    """What was found out about the explanation of ``label`` in one video.

    ``scores[baseline][row][figure]`` are the figures of :class:`~vidcam.metrics.faithfulness.Faithfulness` with their intervals
    over the windows, for this explanation and each control; ``curves[baseline]`` are the mean curves of this explanation.
    ``cascade`` are (layer, rank correlation) from the head down; ``sensitivity`` and ``repeated`` see
    :mod:`vidcam.metrics.sanity`;
    ``insertion`` is the insertion area before and after smoothing; ``spliced`` is None without a second video. ``sensitivity`` is
    None where no other class has a map, as in a model with a single one.
    """

    analysis: Analysis
    label: str
    windows: int
    scores: Mapping[str, Mapping[str, Mapping[str, Interval]]]
    curves: Mapping[str, Curves]
    verdict: verdict.Verdict
    used: Used
    cascade: tuple[tuple[str, float], ...]
    sensitivity: float | None
    repeated: float
    smoothness: Smoothness
    insertion: tuple[float, float]
    spliced: Spliced | None
    seconds: float


def evaluate(
    path: str | Path,
    *,
    engine: Engine,
    settings: Settings = DEFAULT,
    windows: int = 4,
    baselines: Sequence[str] = tuple(BASELINES),
    other: str | Path | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Explain a video and test the explanation of its first label (or of the one class in ``settings``).

    The tests run on at most ``windows`` windows (:func:`vidcam.annotation.telling`), through the model's centre crop. ``other``
    is
    a second video for the splice test. Raises what :func:`vidcam.explain` raises, UsageError for settings that cannot be tested.
    """
    if windows < 1:
        raise UsageError(f"at least 1 window is needed, got {windows}")
    if unknown := [b for b in baselines if b not in BASELINES]:
        raise UsageError(f"unknown baseline {unknown[0]!r}: known are {', '.join(BASELINES)}")
    if len(settings.classes) > 1:
        given = ", ".join(map(str, settings.classes))
        raise UsageError(f"one explanation is tested at a time, got classes {given}: name one of them")
    began = SYSTEM.now()
    settings = replace(settings, cover=False)
    analysis = explain(path, engine=engine, settings=settings, progress=progress)
    label = analysis.labels[0]
    if label in engine.spec.rejects:
        raise UsageError(f"there is no evidence for {label!r} to test: {unknown_to(engine.spec)}, or name a class with --class")
    index = engine.labels.index(label)
    versus = None if settings.versus is None else index_of(engine.labels, settings.versus)
    target = core.Target(index, versus)
    method = core.choose(settings.method, engine.spec, seed=settings.seed)

    def prob(clips: UInt8Array) -> FloatArray:
        return engine.probabilities(engine.predict(clips))[:, index]

    with open_source(path) as source:
        size = source.info.height, source.info.width
        flow = FlowField(size=size)
        tried = select_verdict_clips(
            source, engine, settings, analysis, count=windows, seen=lambda f: flow.push(f.image, time=f.time)
        )
    found = _tested(tried, prob, baselines, settings.seed, progress)
    first = tried[0].clips[0]
    order = np.argsort(-tried[0].prediction.logits, kind="stable")
    others = [core.Target(int(i)) for i in order if i != index][: CLASSES - 1]
    # In the map's own drawing the smoothing is chosen by the settings; what it does is told against the raw track.
    raw = analysis.tracks[label][0]
    drawn = smooth(raw, kind=settings.smoothing, seconds=settings.smooth_s, flow=flow)
    return Evaluation(
        analysis=analysis,
        label=label,
        windows=len(tried),
        scores=found[0],
        curves=found[1],
        verdict=run_verdict(tried, prob, seed=settings.seed),
        used=used([counterfactuals(e.clips[0], e.evidence[0].values, e.cells, prob) for e in tried]),
        cascade=tuple(sanity.cascade(engine, first, target, method, seed=settings.seed)),
        sensitivity=sanity.sensitivity(engine, first, [target, *others], method) if others else None,
        repeated=sanity.repeated(engine, first, target, method),
        smoothness=compared(raw, drawn, flow),
        insertion=(_inserted(tried, raw, prob), _inserted(tried, drawn, prob)),
        spliced=None
        if other is None
        else _spliced(max(tried, key=lambda e: e.prediction.probs[index]), other, engine, settings, target, method),
        seconds=SYSTEM.now() - began,
    )


def _tested(
    tried: Sequence[Explanation],
    prob: Callable[[UInt8Array], FloatArray],
    baselines: Sequence[str],
    seed: int,
    progress: Progress | None,
) -> tuple[dict[str, dict[str, dict[str, Interval]]], dict[str, Curves]]:
    """The faithfulness of the maps and of the controls for each baseline, and the maps' mean curves."""
    done, total = 0, len(baselines) * len(tried) * (1 + len(CONTROLS))
    scores: dict[str, dict[str, dict[str, Interval]]] = {}
    means: dict[str, Curves] = {}
    for baseline in baselines:
        rows: dict[str, list[Faithfulness]] = {name: [] for name in (OURS, *CONTROLS)}
        own: list[Curves] = []
        for n, e in enumerate(tried):
            clip = e.clips[0]
            maps = {OURS: e.evidence[0].values}
            maps |= {name: control(clip, e.cells, np.random.default_rng([seed, n])) for name, control in CONTROLS.items()}
            own.append(curves(clip, e.evidence[0].values, e.cells, prob, baseline=baseline))
            for name, values in maps.items():
                rows[name].append(faithfulness(clip, values, e.cells, prob, baseline=baseline))
                done += 1
                if progress:
                    progress("test", done, total)
        scores[baseline] = {
            name: {f.name: _interval(f.name, row, seed) for f in fields(Faithfulness)} for name, row in rows.items()
        }
        means[baseline] = Curves(*(np.mean([getattr(c, f.name) for c in own], 0) for f in fields(Curves)))
    return scores, means


def _interval(name: str, row: Sequence[Faithfulness], seed: int) -> Interval:
    return bootstrap([getattr(x, name) for x in row], within=(-1.0 if name == "gap" else 0.0, 1.0), seed=seed)


def _inserted(tried: Sequence[Explanation], track: Track, prob: Callable[[UInt8Array], FloatArray]) -> float:
    """The insertion area of the maps that a track has at the windows' cells, with the blurred baseline."""
    areas = []
    for e in tried:
        maps = [track.at(float(t)) for t in e.evidence[0].times]
        empty = np.zeros(e.evidence[0].values.shape[1:])
        values = np.stack([empty if m is None else m for m in maps])
        areas.append(insertion(e.clips[0], values, e.cells, prob, baseline="blur"))
    return float(np.mean(areas))


def _spliced(
    mine: Explanation, other: str | Path, engine: Engine, settings: Settings, target: core.Target, method: core.Method
) -> Spliced:
    """The best window of this video and of the other, cut together in both orders."""
    plain = replace(settings, classes=(), versus=None)
    theirs_whole = explain(other, engine=engine, settings=plain)
    label = theirs_whole.labels[0]
    index = engine.labels.index(label)
    if index == target.index:
        raise UsageError(f"both videos are {label!r} to the model: the splice test needs one with another answer")
    with open_source(other) as source:
        (theirs,) = select_verdict_clips(source, engine, plain, theirs_whole, count=1)
    a, b, n = mine.clips[0], theirs.clips[0], len(mine.clips[0])
    firsts, seconds = [], []
    for early, late, wanted in ((a, b, (target.index, index)), (b, a, (index, target.index))):
        made = core.explain(engine, splice(early, late)[None], [core.Target(i) for i in wanted], method)
        where = probe.where(method, engine.explained)
        maps = [cell_geometry.join([m[0, i] for m in made.maps], where)[0] for i in range(2)]
        firsts.append(inside(maps[0], mine.cells, n, after=False))
        seconds.append(inside(maps[1], mine.cells, n, after=True))
    even = np.ones(mine.cells.grid)
    return Spliced(
        _mean(firsts), _mean(seconds), inside(even, mine.cells, n, after=False), inside(even, mine.cells, n, after=True)
    )


def _mean(values: Sequence[float]) -> float | None:
    known = [v for v in values if math.isfinite(v)]
    return float(np.mean(known)) if known else None


def to_json(found: Evaluation) -> dict[str, object]:
    """The evaluation as plain JSON values, beside the facts of the run: the keys of docs/json.md."""
    run = formats.to_json(found.analysis)
    values = {
        "schema_version": 1,
        **{key: run[key] for key in ("input", "model", "method", "versus", "engine", "device", "seed", "settings", "versions")},
        "label": found.label,
        "windows": found.windows,
        "faithfulness": {
            baseline: {row: {name: asdict(i) for name, i in figures.items()} for row, figures in rows.items()}
            for baseline, rows in found.scores.items()
        },
        "curves": {b: {f.name: getattr(c, f.name) for f in fields(Curves)} for b, c in found.curves.items()},
        "verdict": asdict(found.verdict),
        "counterfactuals": {"uses": found.used.word, "left": found.used.left},
        "sanity": {
            "cascade": [{"layer": name, "rank_correlation": r} for name, r in found.cascade],
            "class_sensitivity": found.sensitivity,
            "repeat_error": found.repeated,
        },
        "smoothing": {**asdict(found.smoothness), "insertion_before": found.insertion[0], "insertion_after": found.insertion[1]},
        "splice": None if found.spliced is None else asdict(found.spliced),
        "warnings": run["warnings"],
        "seconds": found.seconds,
    }
    return {key: plain(value) for key, value in values.items()}


def in_words(found: Evaluation) -> str:
    """A few lines for people."""
    v = found.verdict
    lines = [
        f"evidence for {found.label!r}: {v.word} "
        f"(without the hot part {v.removed:.3f} of probability is lost, without others of its size {v.removed_elsewhere:.3f}; "
        f"with only the hot part {v.kept:.3f} is left, with only others {v.kept_elsewhere:.3f}; "
        f"mean difference {v.margin.mean:.3f}, 95 % interval {v.margin.low:.3f} to {v.margin.high:.3f})",
        f"the model used {found.used.word}; left after each change: "
        + ", ".join(f"{name} {left:.0%}" for name, left in found.used.left.items()),
    ]
    for baseline, rows in found.scores.items():
        best = max((name for name in rows if name != OURS), key=lambda name: rows[name]["gap"].mean)
        own, other = rows[OURS], rows[best]
        lines.append(
            f"removed becomes {baseline}: LeRF - MoRF {own['gap'].mean:.3f}, best control {other['gap'].mean:.3f} ({best}); "
            f"insertion {own['insertion'].mean:.3f}, deletion {own['deletion'].mean:.3f}"
        )
    name, r = found.cascade[-1]
    others = "" if found.sensitivity is None else f"; other classes' maps: {found.sensitivity:.2f}"
    left = "no evidence is left" if math.isnan(r) else f"rank correlation {r:.2f}"
    lines.append(f"all layers random, down to {name}: {left}{others}")
    s = found.smoothness
    lines.append(
        f"smoothing: flicker x {s.ratio:.2f}, lag {s.lag_s:.3f} s, insertion {found.insertion[0]:.3f} to {found.insertion[1]:.3f}"
    )
    if found.spliced:
        cut = found.spliced
        first, second = ("nothing to place" if v is None else f"{v:.0%}" for v in (cut.first, cut.second))
        lines.append(
            f"cut together: {first} before the cut (by chance {cut.first_chance:.0%}), "
            f"{second} after it (by chance {cut.second_chance:.0%})"
        )
    return "\n".join(lines)


def write_json(found: Evaluation, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write :func:`to_json`."""
    save(path, document(to_json(found)), overwrite=overwrite, source=found.analysis.source.path)


def write_html(found: Evaluation, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write one page with the verdict, plots and all figures; it needs nothing else."""
    text = html.fill(
        "evaluate.html.j2",
        doc=to_json(found),
        name=Path(found.analysis.source.path).name,
        faithful=[chart for baseline in found.scores for chart in _faithful(found, baseline)],
        used=charts.bars(
            {name: (left, left, left) for name, left in found.used.left.items()},
            title="share of the probability that is left", best="",
        ),
        cascade=charts.lines(
            {"": (range(len(found.cascade)), [r for _, r in found.cascade])}, x="layers made random", y="rank correlation",
            title="from the head down to the first layer",
            names=[name for name, _ in found.cascade] if len(found.cascade) <= 30 else (),
        ),
    )  # fmt: skip
    save(path, text, overwrite=overwrite, source=found.analysis.source.path)


def _faithful(found: Evaluation, baseline: str) -> list[str]:
    shares = np.linspace(0, 1, len(found.curves[baseline].deletion)).tolist()
    drawn = {
        "most relevant removed first": found.curves[baseline].deletion,
        "least relevant removed first": found.curves[baseline].kept,
        "most relevant shown first": found.curves[baseline].insertion,
    }  # fmt: skip
    rows = {name: figures["gap"] for name, figures in found.scores[baseline].items()}
    return [
        charts.bars({n: (i.mean, i.low, i.high) for n, i in rows.items()}, title=f"LeRF − MoRF, {baseline}", best=OURS),
        charts.lines(
            {name: (shares, curve.tolist()) for name, curve in drawn.items()}, title=f"removed becomes {baseline}",
            x="share of the cells", y="probability",
        ),
    ]  # fmt: skip
