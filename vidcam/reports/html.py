"""The HTML report's contents, ready for its template: the verdict in words, pictures as text, the timeline in percent."""

from __future__ import annotations

import base64
import math
import os
import urllib.parse
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vidcam.analysis import Analysis
from vidcam.values import FloatArray, UInt8Array

__all__ = ["Stretch", "answer", "duration", "fill", "headline", "jpeg", "percent", "render", "seconds", "video_link"]

_ROWS = 200  # rows of a table; the JSON has all of them
_POINTS = 1500  # columns of the drawn timeline; more than a screen has would only make the page heavy
_DECIMAL = tuple(m * 10.0**e for e in range(-9, 9) for m in (1, 2, 5))  # distances between the marks of an axis
_CLOCK = (*(s for s in _DECIMAL if s <= 10), 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600)

PathLike = str | os.PathLike[str]


class Stretch(NamedTuple):
    """A stretch of time over which the model's most probable label stays the same, and that label's mean probability."""

    start: float
    end: float
    label: str
    prob: float


def render(analysis: Analysis, doc: Mapping[str, object], stretches: Sequence[Stretch], *, beside: PathLike) -> str:
    """The whole page as text. ``doc`` is the JSON report; links are relative to ``beside``, the path of the page."""
    a = analysis
    return fill(
        "report.html.j2",
        doc=doc,
        verdict=answer(a),
        name=Path(a.source.path).name or a.source.path,
        chart=_chart(a, stretches),
        moments=[{"time": m.time, "label": m.label, "score": m.score, "src": jpeg(m.image)} for m in a.moments],
        cell_s=min((t.cell_s for group in a.tracks.values() for t in group), default=None),
        video=video_link(a.outputs.values(), beside=beside),
        rows=_ROWS,
    )


def fill(template: str, **values: object) -> str:
    """A page of the package's ``templates`` as text; every value is escaped, unless the template says otherwise."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("vidcam.reports"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"percent": percent, "seconds": seconds, "duration": duration, "number": _number, "jpeg": jpeg}
    return environment.get_template(template).render(values)


def answer(analysis: Analysis) -> str:
    """One sentence: what the model says, how sure it is, and when the evidence for it is there."""
    a = analysis
    label, prob = a.top(1)[0]
    explained = headline(a)
    said = (
        "evidence" + (f" for {explained}" if explained != label or a.versus else "") + (f" over {a.versus}" if a.versus else "")
    )
    mine = sorted((g for g in a.segments if g.label == explained), key=lambda g: g.score, reverse=True)
    if not mine:
        return f"{label}, {percent(prob)}: no stretch of the video stands out in the {said}"
    if sum(g.end_s - g.start_s for g in mine) >= 0.9 * a.duration_s:
        when = "all through the video"
    elif len(mine) <= 3:
        parts = [f"between {seconds(g.start_s)} and {seconds(g.end_s)}" for g in sorted(mine, key=lambda g: g.start_s)]
        when = "mainly " + ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1]
    else:
        when = f"in {len(mine)} stretches, the strongest between {seconds(mine[0].start_s)} and {seconds(mine[0].end_s)}"
    return f"{label}, {percent(prob)}: {said} {when}"


def headline(analysis: Analysis) -> str:
    """Return the label whose evidence :func:`answer` tells of: the answer if it is explained, else the first that is."""
    label = analysis.top(1)[0][0]
    return label if label in analysis.labels or not analysis.labels else analysis.labels[0]


def percent(value: float) -> str:
    """0.998 as ``99.8 %`` (no line break within); never rounded to a certainty that was not there."""
    if 0 < value < 0.001:
        return "<\xa00.1\xa0%"
    return ">\xa099.9\xa0%" if 0.9995 <= value < 1 else f"{100 * value:.1f}\xa0%"


def seconds(value: float) -> str:
    """62.4 as ``1:02.4``, 7.4 as ``7.4 s`` (no line break within), 3725 as ``1:02:05``."""
    tenths = round(value * 10)
    if abs(tenths) < 600:
        return f"{tenths / 10:.1f}\xa0s"
    hours, rest = divmod(tenths, 36_000)
    minutes, rest = divmod(rest, 600)
    return f"{hours}:{minutes:02d}:{rest // 10:02d}" if hours else f"{minutes}:{rest // 10:02d}.{rest % 10}"


def duration(value: float) -> str:
    """How long something took, in seconds: 0.0123 as ``12.3 ms``, 2.5 as ``2.5 s``."""
    return f"{1000 * value:.3g} ms" if value < 1 else f"{value:.3g} s"


def _number(value: object) -> str:
    """A figure short enough to read; other values as their text."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def jpeg(image: UInt8Array) -> str:
    """The picture as a ``data:`` address, at most 640 pixels wide."""
    import cv2

    height, width = image.shape[:2]
    if width > 640:
        image = cv2.resize(image, (640, max(1, round(height * 640 / width))), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 88])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")


def video_link(outputs: Iterable[str], *, beside: PathLike) -> str | None:
    """The address of the annotated video relative to the page; None where there is none, or none on the same drive."""
    for output in outputs:
        if os.path.splitext(output)[1].lower() == ".mp4":
            try:
                relative = os.path.relpath(output, os.path.dirname(os.path.abspath(beside)))
            except ValueError:
                return None
            return urllib.parse.quote(os.fsencode(relative.replace(os.sep, "/")))
    return None


def _chart(analysis: Analysis, stretches: Sequence[Stretch]) -> dict[str, object]:
    """What the timeline draws, all of it in percent of the width (of the time) and of the height (of the evidence)."""
    times, curves = _thin(analysis.times_s, list(analysis.curves.values()))
    t0 = float(min([times[0], *(s.start for s in stretches)]))
    t1 = float(max([times[-1], *(s.end for s in stretches), t0 + 1e-3]))
    finite = [c[np.isfinite(c)] for c in curves]
    low = float(min([0.0, *(c.min() for c in finite if c.size)]))
    high = float(max([0.0, *(c.max() for c in finite if c.size)])) or (0.0 if low else 1.0)
    low, high = low - 0.06 * (high - low), high + 0.06 * (high - low)

    def x(time: float) -> float:
        return round(100 * (time - t0) / (t1 - t0), 3)

    def y(value: float) -> float:
        return round(100 * (high - value) / (high - low), 3)

    def span(start: float, end: float) -> dict[str, float]:
        return {"x": x(start), "w": max(0.0, round(x(end) - x(start), 3))}

    step = float(np.median(np.diff(times))) if len(times) > 1 else t1 - t0
    names = list(analysis.curves)
    index = {label: i for i, label in enumerate(analysis.curves)}
    wide = [s for s in stretches if s.end - s.start >= (t1 - t0) / _POINTS]  # narrower than a column is not to be seen
    unseen = np.all(np.isnan(curves), axis=0) if curves else np.zeros(len(times), dtype=bool)
    return {
        "x_ticks": [{"x": x(t), "text": seconds(t).replace(".0", "")} for t in _ticks(t0, t1, _CLOCK, most=7)],
        "y_ticks": [{"y": y(v), "text": f"{v:.3g}"} for v in _ticks(low, high, _DECIMAL, most=5)],
        "zero": y(0.0),
        "band": [{**span(s.start, s.end), "label": s.label, "prob": s.prob} for s in wide],
        "curves": [{"label": name, **_paths([x(t) for t in times], c, y)} for name, c in zip(names, curves, strict=True)],
        "shades": [{**span(g.start_s, g.end_s), "curve": index[g.label]} for g in analysis.segments if g.label in index],
        "unseen": [span(max(t0, times[i] - step / 2), min(t1, times[j - 1] + step / 2)) for i, j in _runs(unseen)],
        "marks": [{"x": x(m.time), "curve": index.get(m.label, 0)} for m in analysis.moments],
        "data": {
            "t0": t0,
            "t1": t1,
            "offset": analysis.video_offset_s,
            "low": low,
            "high": high,
            "times": [round(float(t), 4) for t in times],
            "curves": [[None if math.isnan(v) else float(f"{v:.5g}") for v in c] for c in curves],
        },
    }


def _thin(times: FloatArray, curves: Sequence[FloatArray]) -> tuple[FloatArray, list[FloatArray]]:
    """At most about ``_POINTS`` columns, each keeping every curve's lowest and highest point, so that no peak is lost."""
    if len(times) <= 2 * _POINTS:
        return times, list(curves)
    keep = {0, len(times) - 1}
    for column in np.array_split(np.arange(len(times)), _POINTS):
        for curve in curves:
            keep.add(int(column[np.argmin(np.nan_to_num(curve[column], nan=np.inf))]))
            keep.add(int(column[np.argmax(np.nan_to_num(curve[column], nan=-np.inf))]))
    chosen = np.array(sorted(keep))
    return times[chosen], [curve[chosen] for curve in curves]


def _runs(mask: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """The half-open index ranges over which ``mask`` is true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return [(int(start), int(end)) for start, end in zip(edges[::2], edges[1::2], strict=True)]


def _paths(xs: Sequence[float], curve: FloatArray, y: Callable[[float], float]) -> dict[str, str]:
    """The curve as an SVG line and as the area between it and zero, interrupted where it is NaN."""
    line, area = [], []
    for i, j in _runs(np.isfinite(curve)):
        points = " ".join(f"{xs[k]:g},{y(float(curve[k])):g}" for k in range(i, j))
        line.append(f"M{points}" + ("h0" if j - i == 1 else ""))  # a lone point is a dot
        area.append(f"M{xs[i]:g},{y(0.0):g} {points} {xs[j - 1]:g},{y(0.0):g}Z")
    return {"line": "".join(line), "area": "".join(area)}


def _ticks(low: float, high: float, steps: Sequence[float], *, most: int) -> list[float]:
    """The multiples, between ``low`` and ``high``, of the smallest of ``steps`` that gives at most ``most`` of them."""
    step = next((s for s in steps if (high - low) / s <= most - 1), high - low)
    return [step * k for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
