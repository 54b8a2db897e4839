"""The report on the benchmark: how well methods locate the body parts that move."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from vidcam.analysis import RunInfo
from vidcam.metrics.faithfulness import Interval
from vidcam.reports import charts
from vidcam.reports.base import Report
from vidcam.reports.json_report import model_json, run_json
from vidcam.reports.templating import fill_template

__all__ = ["Benchmark", "Row", "table"]

HEADINGS = {
    "pointing": "pointing game", "relevance_mass": "energy inside", "spatial": "spatial IoU", "temporal": "temporal IoU",
    "space_time": "space-time IoU",
}  # fmt: skip

JSON_KEYS = {"relevance_mass": "energy"}
"""The keys of scores in JSON, if they differ from the names of the fields."""


@dataclass(frozen=True)
class Row:
    """The scores of one model and method, or of a control.

    Args:
        model: The model's name; empty for a control.
        method: The method's or the control's name.
        cells: The cells of a map of one window (T', h, w).
        clips: How many clips are scored.
        threshold: The share of a map's maximum above which a cell is hot (:func:`vidcam.metrics.localisation.scores`).
        scores: The scores of localisation with 95 % intervals over the clips; None if a map without places cannot have them.
        insertion: The insertion area with a blurred baseline, in probability, on each clip's busiest window.
        ms: The median computing time of one window in milliseconds.
    """

    model: str
    method: str
    cells: tuple[int, int, int]
    clips: int
    threshold: float
    scores: Mapping[str, Interval | None]
    insertion: Interval | None
    ms: float


@dataclass(frozen=True)
class Benchmark(Report):
    """The scores of several methods.

    Args:
        rows: The model's methods, then the controls.
        notes: Why methods are left out.
        run: What computed it.
        classes: The classes of the clips.
        windows: How many windows of the model a clip has.
    """

    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    run: RunInfo
    classes: tuple[str, ...]
    windows: int

    def json_values(self) -> Mapping[str, object]:
        rows = [
            {
                "model": r.model or None, "method": r.method, "cells": r.cells, "clips": r.clips, "threshold": r.threshold,
                "scores": {JSON_KEYS.get(key, key): i and asdict(i) for key, i in r.scores.items()},
                "insertion": r.insertion and asdict(r.insertion),
                "ms_per_window": r.ms if r.model else None,
            }
            for r in self.rows
        ]  # fmt: skip
        return {
            "schema_version": 1,
            "model": model_json(self.run.model),
            **run_json(self.run),
            "classes": self.classes,
            "windows_per_clip": self.windows,
            "rows": rows,
            "notes": self.notes,
        }

    def in_words(self) -> str:
        return table(self.rows)

    def to_html(self, *, beside: str | os.PathLike[str]) -> str:
        named = {f"{r.model} {r.method}".strip(): r for r in self.rows}
        plots = [_plot({n: r.scores[key] for n, r in named.items()}, named, title) for key, title in HEADINGS.items()]
        if any(r.insertion for r in self.rows):
            plots.append(_plot({n: r.insertion for n, r in named.items()}, named, "insertion area"))
        return fill_template(
            "benchmark.html.j2",
            rows=self.rows,
            notes=self.notes,
            plots=plots,
            headings=HEADINGS,
            clips=max(r.clips for r in self.rows),
            windows=self.windows,
        )


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = [
        "| map | cells | " + " | ".join(HEADINGS.values()) + " | insertion | ms |",
        "|---|---|" + "---|" * (len(HEADINGS) + 2),
    ]
    for row in rows:
        name = f"{row.model}, {row.method}" if row.model else f"*{row.method}*"
        scores = ["–" if i is None else f"{i.mean:.1%}" for i in (row.scores[key] for key in HEADINGS)]
        insertion = "" if row.insertion is None else f"{row.insertion.mean:.3f}"
        ms = f"{row.ms:.0f}" if row.model else ""
        lines.append(f"| {name} | {' × '.join(map(str, row.cells))} | " + " | ".join(scores) + f" | {insertion} | {ms} |")
    return "\n".join(lines)


def _plot(values: Mapping[str, Interval | None], named: Mapping[str, Row], title: str) -> str:
    """Plot the rows that have the score as bars; the model's stand out from the controls, and the best of them most."""
    known = {name: (i.mean, i.low, i.high) for name, i in values.items() if i is not None}
    own = [name for name in known if named[name].model]
    return charts.bars(known, title=title, best=max(own, key=lambda name: known[name][0], default=""), also=own)
