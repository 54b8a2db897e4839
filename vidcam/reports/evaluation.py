"""The report on an evaluation: whether the explanation of one video holds."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from vidcam.analysis import Analysis
from vidcam.metrics.counterfactual import CounterfactualSummary
from vidcam.metrics.faithfulness import Curves, Interval
from vidcam.metrics.smoothness import Smoothness
from vidcam.metrics.splice import Spliced
from vidcam.metrics.verdict import Verdict
from vidcam.reports import charts, json_report
from vidcam.reports.base import Report
from vidcam.reports.templating import fill_template

__all__ = ["OURS", "Evaluation", "RestsOn", "Spent"]

OURS = "this explanation"
"""The row of the tested map, beside the names of the controls."""

LAG_S = 0.0
"""The seconds by which smoothing delays the evidence: none, because every kernel that files are smoothed with is symmetric."""

JSON_KEYS = {"lerf_minus_morf": "gap"}
"""The keys of scores in JSON, if they differ from the names of the fields."""


RestsOn = Mapping[str, Mapping[str, Any] | None]
"""By test, how many windows, steps of a curve, random draws or layers its figures rest on; None if it has none."""


@dataclass(frozen=True)
class Spent:
    """The budget of the tests in ``seconds`` (None: no limit), the seconds that they took, and how much of what they computed."""

    seconds: float | None
    spent_s: float
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Evaluation(Report):
    """The tests of the explanation of one label in one video.

    Args:
        analysis: The explained video.
        label: The label whose explanation is tested.
        windows: How many windows of the model are tested.
        scores: Scores of :class:`~vidcam.metrics.faithfulness.Faithfulness` with their intervals over the windows, as
            ``scores[imputer][row][score]``; the rows are :data:`OURS` and the controls.
        curves: The mean curves of this explanation, by imputer.
        verdict: Whether the model needs the evidence; None if this was not run, as the next ones.
        used: What the model used, from counterfactual windows.
        mprt: Each randomised layer, from the head down, with the rank correlation between its map and the original.
        random_logit: The mean rank correlation with the maps of other classes; None also if no other class has a map.
        repeat_error: How much a second run differs (:mod:`vidcam.metrics.sanity`).
        smoothness: The effect of smoothing.
        insertion: The insertion area before and after smoothing.
        spliced: The splice test; None also without a second video.
        seconds: The computing time in all.
        budget: What the tests were allowed to take, and what they took.
        rests_on: What the figures rest on.
        not_run: The names of the tests for which the budget left nothing.
    """

    analysis: Analysis
    label: str
    windows: int
    scores: Mapping[str, Mapping[str, Mapping[str, Interval]]]
    curves: Mapping[str, Curves]
    verdict: Verdict | None
    used: CounterfactualSummary | None
    mprt: tuple[tuple[str, float], ...]
    random_logit: float | None
    repeat_error: float | None
    smoothness: Smoothness
    insertion: tuple[float, float] | None
    spliced: Spliced | None
    seconds: float
    budget: Spent
    rests_on: RestsOn
    not_run: tuple[str, ...]

    @property
    def source_path(self) -> str:
        return self.analysis.source.path

    def json_values(self) -> Mapping[str, object]:
        run = json_report.to_json(self.analysis)
        before, after = self.insertion or (None, None)
        keys = ("input", "model", "method", "versus", "engine", "device", "seed", "settings", "versions")
        return {
            "schema_version": 1,
            **{key: run[key] for key in keys},
            "label": self.label,
            "windows": self.windows,
            "faithfulness": {
                baseline: {
                    row: {JSON_KEYS.get(name, name): asdict(interval) for name, interval in scores.items()}
                    for row, scores in rows.items()
                }
                for baseline, rows in self.scores.items()
            },
            "curves": {name: {f.name: getattr(curves, f.name) for f in fields(Curves)} for name, curves in self.curves.items()},
            "verdict": None if self.verdict is None else asdict(self.verdict),
            "counterfactuals": None if self.used is None else {"uses": self.used.word, "left": self.used.left},
            "sanity": {
                "cascade": [{"layer": layer, "rank_correlation": r} for layer, r in self.mprt],
                "class_sensitivity": self.random_logit,
                "repeat_error": self.repeat_error,
            },
            "smoothing": {
                **asdict(self.smoothness), "lag_s": LAG_S, "insertion_before": before, "insertion_after": after,
            },
            "splice": None if self.spliced is None else asdict(self.spliced),
            "warnings": run["warnings"],
            "seconds": self.seconds,
            "budget": asdict(self.budget),
            "rests_on": self.rests_on,
            "not_run": [{"test": test, "reason": "budget"} for test in self.not_run],
        }  # fmt: skip

    def in_words(self) -> str:
        lines = [*self._verdict_in_words(), *self._faithfulness_in_words(), *self._sanity_in_words()]
        areas = "" if self.insertion is None else ", insertion {:.3f} to {:.3f}".format(*self.insertion)
        lines.append(f"smoothing: flicker x {self.smoothness.ratio:.2f}{areas}")
        if self.spliced:
            cut = self.spliced
            first, second = ("no evidence to locate" if v is None else f"{v:.0%}" for v in (cut.first, cut.second))
            lines.append(
                f"spliced: {first} before the cut (by chance {cut.first_chance:.0%}), "
                f"{second} after it (by chance {cut.second_chance:.0%})"
            )
        if self.not_run:
            lines.append(f"not run: budget: {'; '.join(_without_repetition(self.not_run))}; --budget 2m allows more")
        return "\n".join([*lines, self._budget_in_words()])

    def _budget_in_words(self) -> str:
        done = ", ".join(f"{unit}: {count}" for unit, count in self.budget.counts.items())
        limit = "no limit" if self.budget.seconds is None else f"a budget of {self.budget.seconds:g} s"
        return f"tested in {self.budget.spent_s:.0f} s ({limit}): {done}"

    def _verdict_in_words(self) -> list[str]:
        lines = []
        if self.verdict is None:
            lines.append(f"evidence for {self.label!r}: not judged")
        else:
            v = self.verdict
            lines.append(
                f"evidence for {self.label!r}: {v.word} "
                f"(without the hottest region {v.removed:.3f} of probability is lost, without others of its size "
                f"{v.removed_elsewhere:.3f}; with only the hottest region {v.kept:.3f} remains, with only others "
                f"{v.kept_elsewhere:.3f}; "
                f"mean difference {v.margin.mean:.3f}, 95 % interval {v.margin.low:.3f} to {v.margin.high:.3f})"
            )
        if self.used is not None:
            remaining = ", ".join(f"{name} {share:.0%}" for name, share in self.used.left.items())
            lines.append(f"the model used {self.used.word}; remaining after each change: {remaining}")
        return lines

    def _faithfulness_in_words(self) -> list[str]:
        lines = []
        for baseline, rows in self.scores.items():
            controls = {name: row["lerf_minus_morf"] for name, row in rows.items() if name != OURS}
            if OURS not in rows:
                continue
            own, beside = rows[OURS], ""
            if controls:
                best = max(controls, key=lambda name: controls[name].mean)
                beside = f", best control {controls[best].mean:.3f} ({best})"
            gap, basis = own["lerf_minus_morf"], self._basis(baseline, OURS)
            lines.append(
                f"removed parts become {baseline}: LeRF - MoRF {gap.mean:.3f}{_in_brackets(gap)}{beside}; "
                f"insertion {own['insertion'].mean:.3f}, deletion {own['deletion'].mean:.3f} ({basis})"
            )
        return lines

    def _basis(self, baseline: str, row: str) -> str:
        """Return what a row's figures rest on, in words."""
        windows, steps = (self.rests_on["faithfulness"] or {})[baseline][row].values()
        return f"{windows} window{'s' if windows != 1 else ''}, {steps} steps"

    def _sanity_in_words(self) -> list[str]:
        parts = []
        if self.mprt:
            (layer, r), basis = self.mprt[-1], self.rests_on["cascade"] or {}
            remaining = "no evidence is left" if math.isnan(r) else f"rank correlation {r:.2f}"
            parts.append(f"all layers randomised, down to {layer}: {remaining} ({basis['layers']} of {basis['of']} layers tried)")
        if self.random_logit is not None:
            parts.append(f"rank correlation with other classes' maps: {self.random_logit:.2f}")
        return ["; ".join(parts)] if parts else []

    def to_html(self, *, beside: str | os.PathLike[str]) -> str:
        return fill_template(
            "evaluate.html.j2",
            doc=self.to_json(),
            name=Path(self.source_path).name,
            faithful=[plot for baseline in self.scores for plot in self._plot_faithfulness(baseline)],
            basis=self._basis,
            tested=self._budget_in_words(),
            used=self.used
            and charts.bars(
                {name: (share, share, share) for name, share in self.used.left.items()},
                title="share of the probability that remains",
                best="",
            ),
            cascade=self.mprt
            and charts.lines(
                {"": (range(len(self.mprt)), [r for _, r in self.mprt])},
                x="randomised layers",
                y="rank correlation",
                title="from the head down to the first layer",
                names=[layer for layer, _ in self.mprt] if len(self.mprt) <= 30 else (),
            ),
        )

    def _plot_faithfulness(self, baseline: str) -> list[str]:
        gaps = {name: scores["lerf_minus_morf"] for name, scores in self.scores[baseline].items()}
        plots = [charts.bars({n: (i.mean, i.low, i.high) for n, i in gaps.items()}, title=f"LeRF − MoRF, {baseline}", best=OURS)]
        if baseline not in self.curves:
            return plots
        curves = self.curves[baseline]
        shares = np.linspace(0, 1, len(curves.deletion)).tolist()
        lines = {
            "most relevant removed first": (shares, curves.deletion.tolist()),
            "least relevant removed first": (shares, curves.kept.tolist()),
            "most relevant shown first": (shares, curves.insertion.tolist()),
        }
        title = f"removed parts become {baseline}"
        return [*plots, charts.lines(lines, title=title, x="share of the cells", y="probability")]


def _without_repetition(tests: Sequence[str]) -> list[str]:
    """Return the names of tests, with the controls of one test in one name."""
    controls: dict[str, list[str]] = {}
    for test in tests:
        name, _, control = test.partition(": control ")
        controls.setdefault(f"{name}: controls " if control else name, []).append(control)
    return [f"{name}{', '.join(which)}" for name, which in controls.items()]


def _in_brackets(interval: Interval) -> str:
    return "" if math.isnan(interval.low) else f" ({interval.low:.2f} to {interval.high:.2f})"
