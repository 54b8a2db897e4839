"""Tasks that test explanations: the figures of ``vidcam evaluate`` and ``vidcam compare``, one row for each video."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from vidcam.batch.tasks import answers_in_words, check_settings, columns, describe, settings_facts
from vidcam.evaluation import compare, compare_models, video
from vidcam.methods.lookup import get_method
from vidcam.metrics.imputers import IMPUTERS, check_imputers
from vidcam.pipeline import Progress, Session
from vidcam.reports.evaluation import OURS
from vidcam.settings import Settings

if TYPE_CHECKING:
    from vidcam.annotation import Outputs
    from vidcam.engine import Engine
    from vidcam.metrics.agreement import Agreement
    from vidcam.reports.comparison import Comparison
    from vidcam.reports.evaluation import Evaluation

__all__ = ["Compare", "Evaluate"]


@dataclass(frozen=True)
class Evaluate:
    """Tests the explanation of each video: ``vidcam evaluate``; the attributes are those of :func:`vidcam.evaluate`."""

    settings: Settings
    windows: int = 4
    imputers: tuple[str, ...] = tuple(IMPUTERS)
    budget_s: float | None = None

    command: ClassVar[str] = "evaluate"
    columns: ClassVar[Mapping[str, str]] = columns(
        {
            "label": "string",
            "method": "string",
            "best_method": "string",
            "better_method": "string",
            "verdict": "string",
            **dict.fromkeys(("margin", "margin_low", "margin_high", "windows"), "double"),
            **{
                f"{figure}_{imputer}": "double"
                for imputer in IMPUTERS
                for figure in ("lerf_minus_morf", "control", "insertion", "deletion")
            },
            "uses": "string",
            **dict.fromkeys(("class_sensitivity", "cascade", "flicker"), "double"),
            "not_run": "string",
        }
    )

    def facts(self, engines: Sequence[Engine]) -> dict[str, Any]:
        chosen = {"windows": self.windows, "imputers": self.imputers, "budget_s": self.budget_s}
        return {**settings_facts(self.settings, engines[0]), **chosen}

    def check(self, engines: Sequence[Engine]) -> None:
        check_settings(self.settings, engines[0])
        check_imputers(self.imputers)

    def work(self, source: str, outputs: Outputs, engines: Sequence[Engine], progress: Progress | None) -> dict[str, Any]:
        outputs.check(source)
        found = video.evaluate(
            source,
            engine=engines[0],
            settings=self.settings,
            windows=self.windows,
            imputers=self.imputers,
            budget_s=self.budget_s,
            progress=progress,
        )
        found.write_files(outputs.reports, overwrite=outputs.overwrite)
        analysis, verdict = found.analysis, found.verdict
        choice, better = analysis.method_choice, analysis.better_method
        margin = None if verdict is None else verdict.margin
        return {
            **describe(analysis),
            "outputs": {kind: str(path) for kind, path in outputs.reports.items()},
            "label": found.label,
            "method": analysis.method,
            "best_method": choice.method if choice is not None and choice.beats_controls else None,
            "better_method": None if better is None else better.method,
            "verdict": None if verdict is None else verdict.word,
            "margin": None if margin is None else margin.mean,
            "margin_low": None if margin is None else margin.low,
            "margin_high": None if margin is None else margin.high,
            "windows": float(found.windows),
            **_faithfulness(found),
            "uses": None if found.used is None else found.used.word,
            "class_sensitivity": found.random_logit,
            "cascade": found.mprt[-1][1] if found.mprt else None,
            "flicker": found.smoothness.ratio,
            "not_run": list(found.not_run),
        }

    def in_words(self, row: Mapping[str, Any]) -> str:
        words = f"evidence for {row['label']!r} by {row['method']}: {row['verdict'] or 'not judged'}"
        tested = [imputer for imputer in self.imputers if row.get(f"lerf_minus_morf_{imputer}") is not None]
        if not tested:
            return words
        gap, control = (row.get(f"{figure}_{tested[0]}") for figure in ("lerf_minus_morf", "control"))
        beside = "" if control is None else f", best control {control:.3f}"
        return f"{words}; removed parts become {tested[0]}: LeRF - MoRF {gap:.3f}{beside}"


def _faithfulness(found: Evaluation) -> dict[str, float]:
    """Return the means of the faithfulness figures, and the best LeRF − MoRF of a control, by column."""
    row: dict[str, float] = {}
    for imputer, rows in found.scores.items():
        gaps = {name: scores["lerf_minus_morf"].mean for name, scores in rows.items()}
        if OURS not in gaps:
            continue
        for figure in ("lerf_minus_morf", "insertion", "deletion"):
            row[f"{figure}_{imputer}"] = rows[OURS][figure].mean
        controls = [gap for name, gap in gaps.items() if name != OURS]
        if controls:
            row[f"control_{imputer}"] = max(controls)
    return row


@dataclass(frozen=True)
class Compare:
    """Compares methods on each video, or models if there are several engines: ``vidcam compare``."""

    settings: Settings
    methods: tuple[str, ...] = ()

    command: ClassVar[str] = "compare"
    columns: ClassVar[Mapping[str, str]] = columns(
        {
            "classes": "string",
            "compared": "string",
            **dict.fromkeys(("correlation", "overlap", "least_correlation"), "double"),
            "least_alike": "string",
            "identical": "string",
            "refused": "string",
            "cheapest": "string",
            "answers": "string",
        }
    )

    def facts(self, engines: Sequence[Engine]) -> dict[str, Any]:
        facts = settings_facts(replace(self.settings, method=None), engines[0])
        return {**{name: value for name, value in facts.items() if name != "settings.method"}, "methods": self.methods}

    def check(self, engines: Sequence[Engine]) -> None:
        for name in self.methods:
            get_method(name)
        for engine in engines:
            Session(engine, self.settings)

    def work(self, source: str, outputs: Outputs, engines: Sequence[Engine], progress: Progress | None) -> dict[str, Any]:
        found: Comparison
        if len(engines) > 1:
            method = self.methods[0] if self.methods else None
            found = compare_models.compare_models(
                source, outputs, engines=engines, settings=self.settings, method=method, progress=progress
            )
        else:
            found = compare.compare(
                source, outputs, engine=engines[0], settings=self.settings, methods=self.methods, progress=progress
            )
        pairs = [pair for each in found.agreement.values() for pair in _pairs(each)]
        least = min(pairs, default=None)
        return {
            **describe(found.entries[0].analysis),
            "outputs": dict(found.outputs),
            "warnings": list(found.warnings),
            "notes": list(found.notes),
            "playback": None if found.playback is None else found.playback.how,
            "classes": list(found.labels),
            "compared": [entry.name for entry in found.entries],
            "correlation": float(np.mean([r for r, _, _ in pairs])) if pairs else None,
            "overlap": float(np.mean([share for _, share, _ in pairs])) if pairs else None,
            "least_correlation": None if least is None else least[0],
            "least_alike": None if least is None else list(least[2]),
            "identical": [list(pair[:2]) for pair in found.identical],
            "refused": list(found.refused),
            "cheapest": found.cheapest.name,
            "answers": {entry.name: entry.analysis.top(1)[0][0] for entry in found.entries} if found.of_models else None,
        }

    def in_words(self, row: Mapping[str, Any]) -> str:
        words = answers_in_words([(label, prob) for label, prob in row["top"] if label in row["classes"]])
        if row["answers"]:
            words = ", ".join(f"{name} says {label!r}" for name, label in row["answers"].items())
        if row["least_alike"] is None:
            return f"{words}; no two maps can be compared"
        least = " and ".join(row["least_alike"])
        return f"{words}; rank correlation {row['correlation']:.2f}, least {row['least_correlation']:.2f} ({least})"


def _pairs(agreement: Agreement) -> Iterator[tuple[float, float, tuple[str, str]]]:
    """Yield the rank correlation and the overlap of every two that can be compared, with their names."""
    for i, j in combinations(range(len(agreement.names)), 2):
        r = float(agreement.correlation[i, j])
        if np.isfinite(r):
            yield r, float(agreement.overlap[i, j]), (agreement.names[i], agreement.names[j])
