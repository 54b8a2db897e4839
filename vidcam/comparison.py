"""What a comparison of explanation methods found out, and how it is told: in words, as JSON and as a page."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from vidcam import charts, page, report
from vidcam.files import atomic_write, check_output
from vidcam.trust import agreement
from vidcam.trust.agreement import Agreement
from vidcam.types import Analysis, FloatArray, UInt8Array

if TYPE_CHECKING:
    from vidcam.explainers import core

__all__ = ["Comparison", "Entry", "duration", "in_words", "to_json", "write_html", "write_json"]


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
    the first class. ``offset_s`` as :attr:`vidcam.writer.VideoWriter.offset_s`.
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
        return Path(str(self.entries[0].analysis.model["name"])).name

    @property
    def probs(self) -> dict[str, float]:
        """What the model says of the whole video, by class."""
        first = self.entries[0].analysis
        return dict(first.top(len(first.probs)))

    @property
    def cheapest(self) -> Entry:
        return min(self.entries, key=lambda e: e.window_s)


def duration(seconds: float) -> str:
    """0.0123 as ``12.3 ms``, 2.5 as ``2.5 s``."""
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def to_json(found: Comparison) -> dict[str, object]:
    """The comparison as plain JSON values, beside the facts of the run; what cannot be said is None."""
    run = report.to_json(found.entries[0].analysis)
    settings = {k: v for k, v in cast("dict[str, object]", run["settings"]).items() if not k.startswith(("method", "verdict"))}
    return {
        "schema_version": 1,
        **{key: run[key] for key in ("input", "model", "versus", "engine", "device", "seed", "versions", "unseen_fraction")},
        "settings": settings,
        "classes": [{"label": label, "prob": found.probs[label]} for label in found.labels],
        "methods": [_method(e, found.cheapest.window_s) for e in found.entries],
        "refused": [{"method": name, "reason": reason} for name, reason in found.refused.items()],
        "identical": [{"methods": [a, b], "difference": d} for a, b, d in found.identical],
        "agreement": {
            label: {"methods": a.names, "rank_correlation": _numbers(a.correlation), "overlap": _numbers(a.overlap)}
            for label, a in found.agreement.items()
        },
        "lattice": {"places": [agreement.PLACES] * 2, "times_s": found.moments_s.tolist(), "hottest": agreement.HOTTEST},
        "peak_s": found.peak_s,
        "notes": found.notes,
        "warnings": found.warnings,
        "outputs": found.outputs,
        "video_offset_s": found.offset_s,
        "seconds": found.seconds,
    }


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
        "class_sensitivity": entry.sensitivity if math.isfinite(entry.sensitivity) else None,
        "class_independent": entry.class_independent,
    }


def _numbers(matrix: FloatArray) -> list[list[float | None]]:
    return [[v if math.isfinite(v) else None for v in row] for row in matrix.tolist()]


def in_words(found: Comparison) -> str:
    """A few lines for people."""
    written = f" -> {', '.join(found.outputs.values())}" if found.outputs else ""
    wide = max(len(e.method.name) for e in found.entries)
    lines = [f"{found.path}: {', '.join(f'{k} {found.probs[k]:.1%}' for k in found.labels)}{written}"]
    for e in found.entries:
        alike = "-" if math.isnan(e.sensitivity) else f"{e.sensitivity:.2f}"
        cost = f"{duration(e.window_s)} a window, {e.window_s / found.cheapest.window_s:.1f} x the cheapest"
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
    check_output(path, source=found.path, overwrite=overwrite)
    with atomic_write(path, overwrite=overwrite) as part:
        part.write_text(json.dumps(to_json(found), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def write_html(found: Comparison, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write one page with the pictures, plots and all figures; it needs nothing else but the video beside it."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    check_output(path, source=found.path, overwrite=overwrite)
    loader = PackageLoader("vidcam")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"percent": page.percent, "seconds": page.seconds, "duration": duration}
    text = environment.get_template("compare.html.j2").render(
        doc=to_json(found),
        name=Path(found.path).name,
        model=found.model,
        video=page.video_link(found.outputs.values(), beside=path),
        plain=None if found.plain is None else page.jpeg(found.plain),
        pictures={key: page.jpeg(image) for key, image in found.pictures.items()},
        cost=charts.bars(
            {e.method.name: (1000 * e.window_s,) * 3 for e in found.entries}, title="milliseconds a window, all classes",
            best=found.cheapest.method.name,
        ),
        matrices={label: _matrices(a) for label, a in found.agreement.items()},
    )  # fmt: skip
    with atomic_write(path, overwrite=overwrite) as part:
        part.write_text(text, encoding="utf-8", errors="replace")


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
