"""The interactive timeline of the HTML report: every position in percent of its width (time) and height (evidence)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vidcam.analysis import Analysis
from vidcam.evidence.curves import find_runs, thin_curves
from vidcam.io.formatting import CLOCK_STEPS, DECIMAL_STEPS, seconds, ticks
from vidcam.reports.predictions import PredictedSpan
from vidcam.values import FloatArray

__all__ = ["timeline_chart"]

COLUMNS = 1500
"""Columns of the drawing: more than a screen has would only make the page heavy."""


@dataclass(frozen=True)
class _Axes:
    """The ranges of time (seconds) and evidence that the drawing shows."""

    t0: float
    t1: float
    low: float
    high: float

    def x(self, time: float) -> float:
        return round(100 * (time - self.t0) / (self.t1 - self.t0), 3)

    def y(self, value: float) -> float:
        return round(100 * (self.high - value) / (self.high - self.low), 3)

    def span(self, start: float, end: float) -> dict[str, float]:
        start, end = max(self.t0, start), min(self.t1, end)
        return {"x": self.x(start), "w": max(0.0, round(self.x(end) - self.x(start), 3))}


def timeline_chart(analysis: Analysis, predicted: Sequence[PredictedSpan]) -> dict[str, object]:
    """Return what the template ``report.html.j2`` draws: ticks, bands, curves, marks, and the data for its script."""
    times, curves = thin_curves(analysis.times_s, list(analysis.curves.values()), columns=COLUMNS)
    axes = _axes(times, curves, predicted)
    names = list(analysis.curves)
    index = {label: i for i, label in enumerate(names)}
    xs = [axes.x(t) for t in times]
    visible = [s for s in predicted if s.end - s.start >= (axes.t1 - axes.t0) / COLUMNS]
    return {
        "x_ticks": [{"x": axes.x(t), "text": seconds(t).replace(".0", "")} for t in ticks(axes.t0, axes.t1, CLOCK_STEPS, most=6)],
        "y_ticks": [{"y": axes.y(v), "text": f"{v:.3g}"} for v in ticks(axes.low, axes.high, DECIMAL_STEPS, most=4)],
        "zero": axes.y(0.0),
        "band": [{**axes.span(s.start, s.end), "label": s.label, "prob": s.prob} for s in visible],
        "curves": [{"label": name, **_paths(xs, curve, axes.y)} for name, curve in zip(names, curves, strict=True)],
        "shades": [{**axes.span(s.start_s, s.end_s), "curve": index[s.label]} for s in analysis.segments if s.label in index],
        "unseen": _unseen(times, curves, axes),
        "marks": [{"x": axes.x(m.time), "curve": index.get(m.label, 0)} for m in analysis.moments],
        "data": {
            "t0": axes.t0,
            "t1": axes.t1,
            "offset": analysis.video_offset_s,
            "low": axes.low,
            "high": axes.high,
            "times": [round(float(t), 4) for t in times],
            "curves": [[None if math.isnan(v) else float(f"{v:.5g}") for v in curve] for curve in curves],
        },
    }


def _axes(times: FloatArray, curves: Sequence[FloatArray], predicted: Sequence[PredictedSpan]) -> _Axes:
    """Return ranges that hold everything, zero evidence included, with a margin of 6 % above and below."""
    t0 = float(min([times[0], *(s.start for s in predicted)]))
    t1 = float(max([times[-1], *(s.end for s in predicted), t0 + 1e-3]))
    finite = [values for curve in curves if (values := curve[np.isfinite(curve)]).size]
    low = float(min([0.0, *(values.min() for values in finite)]))
    high = float(max([0.0, *(values.max() for values in finite)])) or (0.0 if low else 1.0)
    margin = 0.06 * (high - low)
    return _Axes(t0, t1, low - margin, high + margin)


def _unseen(times: FloatArray, curves: Sequence[FloatArray], axes: _Axes) -> list[dict[str, float]]:
    """Return the spans in which no curve has a value."""
    if not curves:
        return []
    step = float(np.median(np.diff(times))) if len(times) > 1 else axes.t1 - axes.t0
    runs = find_runs(np.all(np.isnan(curves), axis=0))
    return [axes.span(times[i] - step / 2, times[j - 1] + step / 2) for i, j in runs]


def _paths(xs: Sequence[float], curve: FloatArray, y: Callable[[float], float]) -> dict[str, str]:
    """Return SVG paths of the curve and of the area between it and zero, interrupted at NaN."""
    line, area = [], []
    for i, j in find_runs(np.isfinite(curve)):
        points = " ".join(f"{xs[k]:g},{y(float(curve[k])):g}" for k in range(i, j))
        line.append(f"M{points}" + ("h0" if j - i == 1 else ""))  # a lone point is a dot
        area.append(f"M{xs[i]:g},{y(0.0):g} {points} {xs[j - 1]:g},{y(0.0):g}Z")
    return {"line": "".join(line), "area": "".join(area)}
