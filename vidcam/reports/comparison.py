"""What a comparison of explanation methods found out, and how it is told: in words, as JSON and as a page."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from vidcam.analysis import Analysis
from vidcam.io.files import save
from vidcam.io.json_text import document, plain
from vidcam.metrics import agreement
from vidcam.metrics.agreement import Agreement
from vidcam.reports import charts, formats, html
from vidcam.values import FloatArray, UInt8Array

if TYPE_CHECKING:
    from vidcam.methods import core

__all__ = ["Comparison", "Entry", "in_words", "to_json", "write_html", "write_json"]


@dataclass(frozen=True)
class Entry:
    """One method: its ``analysis`` (without the raw tracks), the seconds that one window takes, how alike its maps for the
    classes are (NaN where that cannot be said), and whether they are one and the same map."""

    method: core.Method
    analysis: Analysis
    window_s: float
    sensitivity: float
    class_independent: bool


@dataclass(frozen=True)
class Comparison:
    """What was found out about methods and classes on one video.

    ``refused`` are the methods that do not work here, with the reason; ``identical`` pairs of methods that give one map, with the
    largest difference as a share of the largest value; ``agreement`` is by class, on ``moments_s``; ``plain`` and ``pictures``
    (by method and class) show the second ``peak_s`` on the stream's clock, at which the methods together see most evidence for
    the first class (the largest difference, where it is compared with another). ``offset_s`` as
    :attr:`vidcam.io.writer.VideoWriter.offset_s`.
    """

    entries: tuple[Entry, ...]
    labels: tuple[str, ...]
    refused: Mapping[str, str]
    identical: tuple[tuple[str, str, float], ...]
    agreement: Mapping[str, Agreement]
    moments_s: FloatArray
    peak_s: float
    plain: UInt8Array | None
    pictures: Mapping[tuple[str, str], UInt8Array]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    outputs: Mapping[str, str]
    offset_s: float
    seconds: float

    @property
    def path(self) -> str:
        return self.entries[0].analysis.source.path

    @property
    def model(self) -> str:
        """The model's name, of a folder or file its last part."""
        return Path(self.entries[0].analysis.model.name).name

    @property
    def versus(self) -> str | None:
        """The label that every class is compared with."""
        return self.entries[0].analysis.versus

    @property
    def probs(self) -> dict[str, float]:
        """What the model says of the whole video, by class."""
        first = self.entries[0].analysis
        return dict(first.top(len(first.probs)))

    @property
    def cheapest(self) -> Entry:
        return min(self.entries, key=lambda e: e.window_s)


def to_json(found: Comparison) -> dict[str, object]:
    """The comparison as plain JSON values, beside the facts of the run: the keys of docs/json.md."""
    first = found.entries[0].analysis
    run = formats.to_json(first)
    settings = {k: v for k, v in cast("dict[str, object]", run["settings"]).items() if not k.startswith(("method", "verdict"))}
    values = {
        "schema_version": 1,
        **{key: run[key] for key in ("input", "model", "versus", "engine", "device", "seed", "versions", "unseen_fraction")},
        "settings": settings,
        "classes": [{"label": label, "prob": found.probs[label]} for label in found.labels],
        "methods": [_method(e, found.cheapest.window_s) for e in found.entries],
        "refused": [{"method": name, "reason": reason} for name, reason in found.refused.items()],
        "identical": [{"methods": [a, b], "difference": d} for a, b, d in found.identical],
        "agreement": {
            label: {"methods": a.names, "rank_correlation": a.correlation, "overlap": a.overlap}
            for label, a in found.agreement.items()
        },
        "timeline": {
            "times_s": first.times_s,
            "evidence": {k: {e.method.name: e.analysis.curves[k] for e in found.entries} for k in found.labels},
        },
        "lattice": {"places": [agreement.PLACES] * 2, "times_s": found.moments_s, "hottest": agreement.HOTTEST},
        "peak_s": found.peak_s,
        "notes": found.notes,
        "warnings": found.warnings,
        "outputs": found.outputs,
        "video_offset_s": found.offset_s,
        "seconds": found.seconds,
    }
    return {key: plain(value) for key, value in values.items()}


def _method(entry: Entry, cheapest: float) -> dict[str, object]:
    m, a = entry.method, entry.analysis
    paper, _, link = m.paper.rpartition(", http")
    return {
        "name": m.name,
        "title": m.title,
        "family": m.family,
        "paper": paper or m.paper,
        "link": f"http{link}" if paper else None,
        "signed": m.signed,
        "complete": m.complete,
        "completeness_error": a.completeness_error,
        "unit": "arbitrary" if a.completeness_error is None else "logit",
        "scale": a.scale,
        "cost": m.cost,
        "seconds_per_window": entry.window_s,
        "relative_cost": entry.window_s / cheapest,
        "class_sensitivity": entry.sensitivity,
        "class_independent": entry.class_independent,
    }


def in_words(found: Comparison) -> str:
    """A few lines for people."""
    written = f" -> {', '.join(found.outputs.values())}" if found.outputs else ""
    wide = max(len(e.method.name) for e in found.entries)
    rather = "" if found.versus is None else f" rather than {found.versus}"
    lines = [f"{found.path}: {', '.join(f'{k} {found.probs[k]:.1%}' for k in found.labels)}{rather}{written}"]
    for e in found.entries:
        alike = "-" if math.isnan(e.sensitivity) else f"{e.sensitivity:.2f}"
        cost = f"{html.duration(e.window_s)} a window, {e.window_s / found.cheapest.window_s:.1f} x the cheapest"
        lines.append(f"{e.method.name:{wide}}  {cost}; maps of the classes alike: {alike}")
    for label, a in found.agreement.items():
        pairs = [(r, i, j) for (i, j), r in np.ndenumerate(a.correlation) if i < j and math.isfinite(r)]
        if not pairs:
            continue
        ends = dict.fromkeys([max(pairs), min(pairs)])
        told = [f"{a.names[i]} and {a.names[j]} {r:.2f} (overlap {a.overlap[i, j]:.2f})" for r, i, j in ends]
        lines.append(f"agreement on {label!r}: " + ("most " if len(told) > 1 else "") + ", least ".join(told))
    return "\n".join(lines)


def write_json(found: Comparison, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write :func:`to_json`."""
    save(path, document(to_json(found)), overwrite=overwrite, source=found.path)


def write_html(found: Comparison, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write one page with the pictures, plots and all figures; it needs nothing else but the video beside it."""
    text = html.fill(
        "compare.html.j2",
        doc=to_json(found),
        name=Path(found.path).name,
        model=found.model,
        video=html.video_link(found.outputs.values(), beside=path),
        plain=None if found.plain is None else html.jpeg(found.plain),
        pictures={key: html.jpeg(image) for key, image in found.pictures.items()},
        curves={label: _curves(found, label) for label in found.labels},
        cost=charts.bars(
            {e.method.name: (1000 * e.window_s,) * 3 for e in found.entries}, title="milliseconds a window, all classes",
            best=found.cheapest.method.name,
        ),
        matrices={label: _matrices(a) for label, a in found.agreement.items()},
    )  # fmt: skip
    save(path, text, overwrite=overwrite, source=found.path)


def _curves(found: Comparison, label: str) -> str:
    """A plot of every method's evidence for the label over time, less what speaks against it.

    A difference is shown only of methods that have one; where no method has, there is no plot.
    """
    first = found.entries[0].analysis
    curves = {e.method.name: e.analysis.curves[label] for e in found.entries if found.versus is None or e.method.signed}
    if not curves:
        return ""
    return charts.areas(
        curves, first.times_s - first.source.start_s, title=f"{label} − {found.versus}" if found.versus else label, x="seconds",
        signed=any(float(np.nanmin(c)) < 0 for c in curves.values()),
    )  # fmt: skip


def _matrices(found: Agreement) -> list[str]:
    """Plots of the methods that have evidence for the class; none where fewer than two have."""
    known = [i for i in range(len(found.names)) if math.isfinite(found.correlation[i, i])]
    if len(known) < 2:
        return []
    names = [found.names[i] for i in known]
    return [
        charts.matrix(found.correlation[np.ix_(known, known)], names, title="rank correlation"),
        charts.matrix(found.overlap[np.ix_(known, known)], names, title="overlap of the hottest tenth", low=0.0),
    ]
