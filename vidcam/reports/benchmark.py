"""The report on the benchmark: how well methods locate the body parts that move."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

from vidcam.analysis import RunInfo
from vidcam.metrics.faithfulness import Interval
from vidcam.reports import charts
from vidcam.reports.base import Report
from vidcam.reports.json_report import model_json, run_json
from vidcam.reports.templating import fill_template

__all__ = ["Benchmark", "Explained", "Row", "table"]

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
        threshold: The share of a map's maximum above which a cell is hot (:func:`vidcam.metrics.localisation.score_map`); the
            median, if each clip has its own.
        scores: The scores of localisation with 95 % intervals over the clips; None if a map without places cannot have them, or
            if the clips have no time in which nobody acts.
        insertion: The insertion area with a blurred baseline, in probability, on each clip's busiest window.
        ms: The median computing time of one window in milliseconds.
        lerf_minus_morf: For each imputer LeRF − MoRF in probability, from −1 to 1, on each clip's busiest window.
    """

    model: str
    method: str
    cells: tuple[int, int, int]
    clips: int
    threshold: float
    scores: Mapping[str, Interval | None]
    insertion: Interval | None
    ms: float
    lerf_minus_morf: Mapping[str, Interval] = field(default_factory=dict)


@dataclass(frozen=True)
class Explained:
    """What a real clip was explained for.

    Args:
        clip: The clip's path inside its folder.
        labels: The names of what is done in it.
        explained: The class that was explained.
        by: Why: it is the clip's ``label``, or the model's most probable ``answer`` because the model knows none of the labels.
        probability: The mean probability of the class over the windows.
        windows: How many windows were scored.
    """

    clip: str
    labels: tuple[str, ...]
    explained: str
    by: Literal["label", "answer"]
    probability: float
    windows: int


@dataclass(frozen=True)
class Benchmark(Report):
    """The scores of several methods.

    Args:
        rows: The model's methods, then the controls.
        notes: Why methods are left out.
        run: What computed it.
        classes: The classes of the clips.
        windows: How many windows of the model a clip has; on real clips, at most.
        explained: What each real clip was explained for; empty for drawn ones.
        tolerance: The tolerance of the pointing game on real clips, as a share of the crop's short side; None: half a cell.
    """

    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    run: RunInfo
    classes: tuple[str, ...]
    windows: int
    explained: tuple[Explained, ...] = ()
    tolerance: float | None = None

    def json_values(self) -> Mapping[str, object]:
        rows = [
            {
                "model": r.model or None, "method": r.method, "cells": r.cells, "clips": r.clips, "threshold": r.threshold,
                "scores": {JSON_KEYS.get(key, key): i and asdict(i) for key, i in r.scores.items()},
                "insertion": r.insertion and asdict(r.insertion),
                "lerf_minus_morf": {imputer: asdict(i) for imputer, i in r.lerf_minus_morf.items()},
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
            "pointing_tolerance": self.tolerance,
            "explained": [asdict(e) for e in self.explained],
            "rows": rows,
            "notes": self.notes,
        }

    def in_words(self) -> str:
        return table(self.rows)

    def to_html(self, *, beside: str | os.PathLike[str]) -> str:
        named = {f"{r.model} {r.method}".strip(): r for r in self.rows}
        plots = [_plot({n: r.scores[key] for n, r in named.items()}, named, title) for key, title in self._headings.items()]
        for imputer in self._imputers:
            title = f"LeRF − MoRF, {imputer}"
            plots.append(_plot({n: r.lerf_minus_morf.get(imputer) for n, r in named.items()}, named, title))
        if any(r.insertion for r in self.rows):
            plots.append(_plot({n: r.insertion for n, r in named.items()}, named, "insertion area"))
        return fill_template(
            "benchmark.html.j2",
            rows=self.rows,
            notes=self.notes,
            plots=plots,
            headings=self._headings,
            imputers=self._imputers,
            clips=max(r.clips for r in self.rows),
            windows=self.windows,
            explained=self.explained,
            tolerance=self.tolerance,
        )

    @property
    def _imputers(self) -> tuple[str, ...]:
        return _imputers(self.rows)

    @property
    def _headings(self) -> dict[str, str]:
        return _headings(self.rows)


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table, without the scores that no row has."""
    headings, imputers = _headings(rows), _imputers(rows)
    titles = ["map", "cells", *headings.values(), *(f"LeRF − MoRF, {imputer}" for imputer in imputers), "insertion", "ms"]
    lines = [f"| {' | '.join(titles)} |", "|" + "---|" * len(titles)]
    for row in rows:
        name = f"{row.model}, {row.method}" if row.model else f"*{row.method}*"
        scores = ["–" if i is None else f"{i.mean:.1%}" for i in (row.scores[key] for key in headings)]
        removed = [f"{row.lerf_minus_morf[imputer].mean:.3f}".replace("-", "−") for imputer in imputers]
        insertion = "" if row.insertion is None else f"{row.insertion.mean:.3f}"
        ms = f"{row.ms:.0f}" if row.model else ""
        lines.append(f"| {' | '.join([name, ' × '.join(map(str, row.cells)), *scores, *removed, insertion, ms])} |")
    return "\n".join(lines)


def _headings(rows: Sequence[Row]) -> dict[str, str]:
    """Return the titles of the scores that some row has."""
    return {key: title for key, title in HEADINGS.items() if any(row.scores[key] for row in rows)}


def _imputers(rows: Sequence[Row]) -> tuple[str, ...]:
    """Return the imputers with which LeRF − MoRF was measured."""
    return tuple(dict.fromkeys(imputer for row in rows for imputer in row.lerf_minus_morf))


def _plot(values: Mapping[str, Interval | None], named: Mapping[str, Row], title: str) -> str:
    """Plot the rows that have the score as bars; the model's stand out from the controls, and the best of them most."""
    known = {name: (i.mean, i.low, i.high) for name, i in values.items() if i is not None}
    own = [name for name in known if named[name].model]
    return charts.bars(known, title=title, best=max(own, key=lambda name: known[name][0], default=""), also=own)
