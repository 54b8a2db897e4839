"""The report on an evaluation: whether the explanation of one video holds."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

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

__all__ = ["OURS", "Evaluation"]

OURS = "this explanation"
"""The row of the tested map, beside the names of the controls."""

JSON_KEYS = {"lerf_minus_morf": "gap"}
"""The keys of scores in JSON, if they differ from the names of the fields."""


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
        verdict: Whether the model needs the evidence.
        used: What the model used, from counterfactual windows.
        mprt: Each randomised layer, from the head down, with the rank correlation between its map and the original.
        random_logit: The mean rank correlation with the maps of other classes; None if no other class has a map.
        repeat_error: How much a second run differs (:mod:`vidcam.metrics.sanity`).
        smoothness: The effect of smoothing.
        insertion: The insertion area before and after smoothing.
        spliced: The splice test; None without a second video.
        seconds: The computing time in all.
    """

    analysis: Analysis
    label: str
    windows: int
    scores: Mapping[str, Mapping[str, Mapping[str, Interval]]]
    curves: Mapping[str, Curves]
    verdict: Verdict
    used: CounterfactualSummary
    mprt: tuple[tuple[str, float], ...]
    random_logit: float | None
    repeat_error: float
    smoothness: Smoothness
    insertion: tuple[float, float]
    spliced: Spliced | None
    seconds: float

    @property
    def source_path(self) -> str:
        return self.analysis.source.path

    def json_values(self) -> Mapping[str, object]:
        run = json_report.to_json(self.analysis)
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
            "verdict": asdict(self.verdict),
            "counterfactuals": {"uses": self.used.word, "left": self.used.left},
            "sanity": {
                "cascade": [{"layer": layer, "rank_correlation": r} for layer, r in self.mprt],
                "class_sensitivity": self.random_logit,
                "repeat_error": self.repeat_error,
            },
            "smoothing": {
                **asdict(self.smoothness), "insertion_before": self.insertion[0], "insertion_after": self.insertion[1],
            },
            "splice": None if self.spliced is None else asdict(self.spliced),
            "warnings": run["warnings"],
            "seconds": self.seconds,
        }  # fmt: skip

    def in_words(self) -> str:
        lines = [*self._verdict_in_words(), *self._faithfulness_in_words(), self._sanity_in_words()]
        before, after = self.insertion
        s = self.smoothness
        lines.append(f"smoothing: flicker x {s.ratio:.2f}, lag {s.lag_s:.3f} s, insertion {before:.3f} to {after:.3f}")
        if self.spliced:
            cut = self.spliced
            first, second = ("no evidence to locate" if v is None else f"{v:.0%}" for v in (cut.first, cut.second))
            lines.append(
                f"spliced: {first} before the cut (by chance {cut.first_chance:.0%}), "
                f"{second} after it (by chance {cut.second_chance:.0%})"
            )
        return "\n".join(lines)

    def _verdict_in_words(self) -> list[str]:
        v = self.verdict
        remaining = ", ".join(f"{name} {share:.0%}" for name, share in self.used.left.items())
        return [
            f"evidence for {self.label!r}: {v.word} "
            f"(without the hottest region {v.removed:.3f} of probability is lost, without others of its size "
            f"{v.removed_elsewhere:.3f}; with only the hottest region {v.kept:.3f} remains, with only others "
            f"{v.kept_elsewhere:.3f}; "
            f"mean difference {v.margin.mean:.3f}, 95 % interval {v.margin.low:.3f} to {v.margin.high:.3f})",
            f"the model used {self.used.word}; remaining after each change: {remaining}",
        ]

    def _faithfulness_in_words(self) -> list[str]:
        lines = []
        for baseline, rows in self.scores.items():
            best = max((name for name in rows if name != OURS), key=lambda name: rows[name]["lerf_minus_morf"].mean)
            own, control = rows[OURS], rows[best]["lerf_minus_morf"]
            lines.append(
                f"removed parts become {baseline}: LeRF - MoRF {own['lerf_minus_morf'].mean:.3f}, "
                f"best control {control.mean:.3f} ({best}); "
                f"insertion {own['insertion'].mean:.3f}, deletion {own['deletion'].mean:.3f}"
            )
        return lines

    def _sanity_in_words(self) -> str:
        layer, r = self.mprt[-1]
        others = "" if self.random_logit is None else f"; rank correlation with other classes' maps: {self.random_logit:.2f}"
        remaining = "no evidence is left" if math.isnan(r) else f"rank correlation {r:.2f}"
        return f"all layers randomised, down to {layer}: {remaining}{others}"

    def to_html(self, *, beside: str | os.PathLike[str]) -> str:
        return fill_template(
            "evaluate.html.j2",
            doc=self.to_json(),
            name=Path(self.source_path).name,
            faithful=[plot for baseline in self.scores for plot in self._plot_faithfulness(baseline)],
            used=charts.bars(
                {name: (share, share, share) for name, share in self.used.left.items()},
                title="share of the probability that remains",
                best="",
            ),
            cascade=charts.lines(
                {"": (range(len(self.mprt)), [r for _, r in self.mprt])},
                x="randomised layers",
                y="rank correlation",
                title="from the head down to the first layer",
                names=[layer for layer, _ in self.mprt] if len(self.mprt) <= 30 else (),
            ),
        )

    def _plot_faithfulness(self, baseline: str) -> list[str]:
        curves = self.curves[baseline]
        shares = np.linspace(0, 1, len(curves.deletion)).tolist()
        lines = {
            "most relevant removed first": (shares, curves.deletion.tolist()),
            "least relevant removed first": (shares, curves.kept.tolist()),
            "most relevant shown first": (shares, curves.insertion.tolist()),
        }
        gaps = {name: scores["lerf_minus_morf"] for name, scores in self.scores[baseline].items()}
        return [
            charts.bars({n: (i.mean, i.low, i.high) for n, i in gaps.items()}, title=f"LeRF − MoRF, {baseline}", best=OURS),
            charts.lines(lines, title=f"removed parts become {baseline}", x="share of the cells", y="probability"),
        ]
