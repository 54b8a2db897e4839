"""The page of a comparison: one player for the maps of all methods or models, and plots of their curves, cost and agreement."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from vidcam.analysis import Analysis
from vidcam.io.formatting import percent
from vidcam.metrics.agreement import Agreement
from vidcam.reports import charts
from vidcam.reports.player_data import player_data, player_parts
from vidcam.reports.player_page import embedded_video, page_pieces, video_facts
from vidcam.reports.predictions import PredictedSpan, predicted_spans
from vidcam.reports.templating import jpeg_url, video_link
from vidcam.values import FloatArray, Segment, Track

if TYPE_CHECKING:
    from vidcam.reports.comparison import Comparison

__all__ = ["comparison_pieces"]


def comparison_pieces(comparison: Comparison, beside: str | os.PathLike[str]) -> Iterator[str]:
    """Return the page piece by piece; ``beside`` is the path at which it will lie."""
    together = None if comparison.playback is None else _together(comparison)
    return page_pieces(
        "compare.html.j2",
        start="startComparison",
        player=together and _player(comparison, together, beside),
        parts=chain(player_parts(together) if together else (), embedded_video(comparison.playback)),
        playback=comparison.playback,
        doc=comparison.to_json(),
        name=Path(comparison.source_path).name,
        model=comparison.model,
        video=video_link(comparison.outputs.values(), beside=beside),
        plain=None if comparison.plain is None else jpeg_url(comparison.plain),
        pictures={key: jpeg_url(image) for key, image in comparison.pictures.items()},
        curves={label: _plot_curves(comparison, label) for label in comparison.labels},
        cost=charts.bars(
            {e.name: (1000 * e.window_s,) * 3 for e in comparison.entries},
            title="milliseconds per window, all classes",
            best=comparison.cheapest.name,
        ),
        matrices={label: _plot_matrices(a) for label, a in comparison.agreement.items()},
        pairs={label: _pair_in_words(a) for label, a in comparison.agreement.items()},
        probs={label: _probs_in_words(comparison, label) for label in comparison.labels},
    )


def _together(comparison: Comparison) -> Analysis:
    """Return the maps of all methods and classes as one analysis, which has a label for each pair of both.

    Maps are in shares of their method's scale, so that the scale is 1; curves in shares of their method's largest value.
    """
    drawn: dict[str, tuple[Track, ...]] = {}
    curves: dict[str, FloatArray] = {}
    segments: list[Segment] = []
    for label in comparison.labels:
        for e in comparison.entries:
            a = e.analysis
            name = e.name if len(comparison.labels) == 1 else f"{e.name} · {label}"
            peak = max(float(np.nanmax(np.abs(curve), initial=0.0)) for curve in a.curves.values()) or 1.0
            drawn[name] = tuple(replace(t, label=name, maps=np.asarray(t.maps / a.scale, np.float32)) for t in a.drawn[label])
            curves[name] = a.curves[label] / peak
            segments += [replace(s, label=name) for s in a.segments if s.label == label]
    first = comparison.entries[0].analysis
    look = replace(first.look, signed=comparison.versus is not None)
    return replace(
        first, drawn=drawn, tracks={}, curves=curves, segments=tuple(segments), scale=1.0, look=look, playback=comparison.playback
    )


def _player(comparison: Comparison, together: Analysis, beside: str | os.PathLike[str]) -> dict[str, object]:
    """Return the facts for the player: it opens at the peak, and no label is the answer of a moment."""
    assert comparison.playback is not None
    video = video_facts(comparison.playback, beside=beside, sound=together.source.audio is not None)
    moment = {"time": comparison.peak_s, "label": 0, "score": 1.0}
    data = player_data(together, video=video) | {"answers": [], "moments": [moment]}
    if comparison.of_models:
        data["chart"] = cast("dict[str, object]", data["chart"]) | {"band": _answers_over_time(comparison)}
    return data


def _answers_over_time(comparison: Comparison) -> list[dict[str, object]]:
    """Return what all models answer in each span of time, in words."""
    spans = {e.name: predicted_spans(e.analysis.windows) for e in comparison.entries}
    edges = sorted({edge for each in spans.values() for s in each for edge in (s.start, s.end)})
    band: list[dict[str, object]] = []
    for start, end in pairwise(edges):
        middle = (start + end) / 2
        now = {name: s for name, each in spans.items() for s in each if s.start <= middle < s.end}
        if now:
            band.append({"start": round(start, 4), "end": round(end, 4), "label": _joint_answer(now), "prob": None})
    return band


def _joint_answer(answers: Mapping[str, PredictedSpan]) -> str:
    """Return the answer of each model; an answer that all of them give is named once."""
    probs = {name: percent(s.prob) for name, s in answers.items()}
    labels = {s.label for s in answers.values()}
    if len(labels) == 1 and len(answers) > 1:
        return f"{labels.pop()}: " + ", ".join(f"{name} {prob}" for name, prob in probs.items())
    return ", ".join(f"{name}: {s.label} {probs[name]}" for name, s in answers.items())


def _probs_in_words(comparison: Comparison, label: str) -> str:
    """Return the probability of a class in the whole video; of several models, that which each gives it."""
    if not comparison.of_models:
        return percent(comparison.probs[label])
    return ", ".join(f"{name} {percent(prob)}" for name, prob in comparison.probs_of(label).items())


def _plot_curves(comparison: Comparison, label: str) -> str:
    """Plot each method's evidence for the label over time, minus the evidence against it.

    If the class is compared with another, only methods with signed evidence are shown; without any there is no plot.
    """
    versus = comparison.versus
    first = comparison.entries[0].analysis
    curves = {e.name: e.analysis.curves[label] for e in comparison.entries if versus is None or e.method.signed}
    if not curves:
        return ""
    return charts.areas(
        curves,
        first.times_s - first.source.start_s,
        title=f"{label} − {versus}" if versus else label,
        x="seconds",
        signed=any(float(np.nanmin(curve)) < 0 for curve in curves.values()),
    )


def _known(a: Agreement) -> list[int]:
    """Return the places of those that have evidence for the class."""
    return [i for i in range(len(a.names)) if math.isfinite(a.correlation[i, i])]


def _plot_matrices(a: Agreement) -> list[str]:
    """Plot all that have evidence for the class against each other; no plot of two, for which a sentence is enough."""
    known = _known(a)
    if len(known) < 3:
        return []
    names = [a.names[i] for i in known]
    return [
        charts.matrix(a.correlation[np.ix_(known, known)], names, title="rank correlation"),
        charts.matrix(a.overlap[np.ix_(known, known)], names, title="overlap of the hottest tenth", low=0.0),
    ]


def _pair_in_words(a: Agreement) -> str:
    """Return how far the only two that have evidence for the class agree; nothing if there are more, or fewer."""
    known = _known(a)
    if len(known) != 2:
        return ""
    i, j = known
    r, overlap = (f"{value:.2f}".replace("-", "−") for value in (a.correlation[i, j], a.overlap[i, j]))
    return f"{a.names[i]} and {a.names[j]}: rank correlation {r}, overlap of the hottest tenth {overlap}."
