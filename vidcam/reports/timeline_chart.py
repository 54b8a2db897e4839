"""The timeline of the HTML report as data, which the page's player draws."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from vidcam.analysis import Analysis
from vidcam.evidence.curves import find_runs, thin_curves
from vidcam.reports.predictions import deciding_spans, end_of, predicted_spans
from vidcam.values import FloatArray

__all__ = ["strongest", "timeline_chart"]

COLUMNS = 1500
"""Columns of the drawing: more than a screen has would only make the page heavy."""


def timeline_chart(analysis: Analysis) -> dict[str, object]:
    """Return what a timeline shows, all times in seconds on the source's clock.

    Keys: the range of time ``t0``, ``t1``; that of evidence per second ``low``, ``high``, zero included, with a margin of 6 %;
    ``times`` and, for each label, ``curves`` (None where no clip covers
    the time); ``band``, the prediction over time; ``probs``, from which second on the most probable label has which probability,
    by the clip that decides there; ``segments`` with the index of their label; ``unseen``, the spans that no clip covers. Nothing
    lies beyond the end of the video.
    """
    end = end_of(analysis)
    predicted = predicted_spans(analysis.windows, end_s=end)
    times, curves = thin_curves(analysis.times_s, list(analysis.curves.values()), columns=COLUMNS)
    t0 = float(min([times[0], *(s.start for s in predicted)]))
    t1 = float(max([times[-1], *(s.end for s in predicted), t0 + 1e-3]))
    low, high = _range(curves)
    index = {label: i for i, label in enumerate(analysis.curves)}
    visible = [s for s in predicted if s.end - s.start >= (t1 - t0) / COLUMNS]
    return {
        "t0": round(t0, 6),
        "t1": round(t1, 6),
        "low": low,
        "high": high,
        "times": [round(float(t), 4) for t in times],
        "curves": [[None if math.isnan(v) else float(f"{v:.4g}") for v in curve] for curve in curves],
        "band": [{"start": round(s.start, 4), "end": round(s.end, 4), "label": s.label, "prob": float(s.prob)} for s in visible],
        "probs": [[round(s.start, 4), float(s.prob)] for s in deciding_spans(analysis.windows, end_s=end)],
        "segments": [
            {"label": index[s.label], "start": round(s.start_s, 4), "end": round(min(s.end_s, end), 4)}
            for s in analysis.segments
            if s.label in index
        ],
        "unseen": _unseen(times, curves, t0, t1),
    }


def strongest(curves: Iterable[FloatArray]) -> float:
    """Return the largest evidence per second of all curves, for or against a label, which is shown as 100 %; 0 without any."""
    return max((float(np.abs(values).max()) for curve in curves if (values := curve[np.isfinite(curve)]).size), default=0.0)


def _range(curves: Sequence[FloatArray]) -> tuple[float, float]:
    finite = [values for curve in curves if (values := curve[np.isfinite(curve)]).size]
    low = float(min([0.0, *(values.min() for values in finite)]))
    high = float(max([0.0, *(values.max() for values in finite)])) or (0.0 if low else 1.0)
    margin = 0.06 * (high - low)
    return low - margin, high + margin


def _unseen(times: FloatArray, curves: Sequence[FloatArray], t0: float, t1: float) -> list[list[float]]:
    """Return the spans in which no curve has a value."""
    if not curves:
        return []
    edges = np.concatenate([[t0], (times[1:] + times[:-1]) / 2, [t1]])
    empty = np.logical_and.reduce([~np.isfinite(curve) for curve in curves])
    return [[round(float(edges[first]), 4), round(float(edges[stop]), 4)] for first, stop in find_runs(empty)]
