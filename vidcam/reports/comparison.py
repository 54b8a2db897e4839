"""The report on a comparison of explanation methods, or of models: its values, its JSON and its summary in words."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from vidcam.analysis import Analysis
from vidcam.io.formatting import duration
from vidcam.metrics import agreement
from vidcam.metrics.agreement import Agreement
from vidcam.reports import json_report
from vidcam.reports.base import Report
from vidcam.reports.comparison_page import comparison_pieces
from vidcam.reports.player_page import write_pieces
from vidcam.values import FloatArray, UInt8Array

if TYPE_CHECKING:
    from vidcam.io.playable import Playback
    from vidcam.methods import core

__all__ = ["Comparison", "Difference", "Entry"]


ANSWERS = 3
"""The most probable labels of each model that are listed."""


@dataclass(frozen=True)
class Entry:
    """What was found about one method.

    Args:
        method: The method.
        analysis: Its analysis, without the raw tracks.
        window_s: The computing time of one window in seconds.
        class_correlation: The mean rank correlation between its maps for the classes; NaN if it is not defined.
        class_independent: Whether all its maps are the same, whatever the class.
        model: The name of the model, if models are compared.
    """

    method: core.Method
    analysis: Analysis
    window_s: float
    class_correlation: float
    class_independent: bool
    model: str = ""

    @property
    def name(self) -> str:
        """The name of what is compared: the model, or the method."""
        return self.model or self.method.name


@dataclass(frozen=True)
class Difference:
    """When and where the maps of two models differ most.

    Args:
        time_s: The second on the stream's clock.
        x, y: The place, as shares of the picture's width and height.
        more: The model that has more evidence there, relative to the largest value of each.
    """

    time_s: float
    x: float
    y: float
    more: str


@dataclass(frozen=True)
class Comparison(Report):
    """A comparison of methods and classes on one video.

    Args:
        entries: The methods that work on the model.
        labels: The explained classes.
        refused: The methods that do not work here, with the reason.
        identical: Pairs of methods that give the same map, with the largest difference as a share of the largest value.
        agreement: For each class, how far the methods agree at the times ``moments_s``.
        moments_s: Seconds on the stream's clock.
        peak_s: The second at which the methods together find most evidence for the first class (or, if it is compared with
            another class, the largest difference).
        plain: The frame at ``peak_s``.
        pictures: That frame with the evidence, by method and class.
        notes: Remarks on the result.
        warnings: What may have gone wrong.
        playback: The video that the page plays; None if there is no page, or if it plays the grid video.
        outputs: The written files by format.
        offset_s: As :attr:`vidcam.io.writer.VideoWriter.offset_s`.
        seconds: The computing time in all.
        differences: For each class, where the first two models differ, if models are compared; None if one has no evidence, or
            both are the same.
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
    playback: Playback | None = None
    differences: Mapping[str, Difference | None] = field(default_factory=dict)

    @property
    def of_models(self) -> bool:
        """Whether models are compared, and not methods."""
        return bool(self.entries[0].model)

    @property
    def subject(self) -> str:
        """What is compared, for titles."""
        if self.of_models:
            return f"what {len(self.entries)} models see, by {self.entries[0].method.name}"
        return f"what {self.model} sees"

    @property
    def source_path(self) -> str:
        return self.entries[0].analysis.source.path

    @property
    def model(self) -> str:
        """Return the model's name; of a folder or file, its last part."""
        return Path(self.entries[0].analysis.model.name).name

    @property
    def versus(self) -> str | None:
        """Return the label that every class is compared with."""
        return self.entries[0].analysis.versus

    @property
    def probs(self) -> dict[str, float]:
        """Return the probability of each class in the whole video."""
        first = self.entries[0].analysis
        return dict(first.top(len(first.probs)))

    def probs_of(self, label: str) -> dict[str, float]:
        """Return the probability that each model gives to a class in the whole video, by the name of its entry."""
        return {e.name: dict(e.analysis.top(len(e.analysis.probs)))[label] for e in self.entries}

    @property
    def cheapest(self) -> Entry:
        """Return the method that takes the least computing time."""
        return min(self.entries, key=lambda e: e.window_s)

    def json_values(self) -> Mapping[str, object]:
        first = self.entries[0].analysis
        run = json_report.to_json(first)
        settings = cast("dict[str, object]", run["settings"])
        return {
            "schema_version": 1,
            **{key: run[key] for key in ("input", "model", "versus", "engine", "device", "seed", "versions", "unseen_fraction")},
            "settings": {key: value for key, value in settings.items() if not key.startswith(("method", "verdict"))},
            "classes": [{"label": label, "prob": self.probs[label]} for label in self.labels],
            "methods": [_method_json(e, self.cheapest.window_s) for e in self.entries],
            "refused": [{"method": name, "reason": reason} for name, reason in self.refused.items()],
            "identical": [{"methods": [a, b], "difference": d} for a, b, d in self.identical],
            "agreement": {
                label: {"methods": a.names, "rank_correlation": a.correlation, "overlap": a.overlap}
                for label, a in self.agreement.items()
            },
            "timeline": {
                "times_s": first.times_s,
                "evidence": {label: {e.name: e.analysis.curves[label] for e in self.entries} for label in self.labels},
            },
            "lattice": {"places": [agreement.PLACES] * 2, "times_s": self.moments_s, "hottest": agreement.HOTTEST},
            "peak_s": self.peak_s,
            "notes": self.notes,
            "warnings": self.warnings,
            "outputs": self.outputs,
            "video_offset_s": self.offset_s,
            "seconds": self.seconds,
            **({"models": _models_json(self)} if self.of_models else {}),
        }

    def in_words(self) -> str:
        written = f" -> {', '.join(self.outputs.values())}" if self.outputs else ""
        versus = "" if self.versus is None else f" rather than {self.versus}"
        answers = ", ".join(f"{label} {self.probs[label]:.1%}" for label in self.labels)
        width = max(len(e.name) for e in self.entries)
        lines = [f"{self.source_path}: {answers}{versus}{written}"]
        if self.of_models:
            lines = [f"{self.source_path}: {self.subject}{versus}{written}", *map(_answers_in_words, self.entries)]
        for e in self.entries:
            similarity = "-" if math.isnan(e.class_correlation) else f"{e.class_correlation:.2f}"
            cost = f"{duration(e.window_s)} per window ({e.window_s / self.cheapest.window_s:.1f} × the fastest)"
            lines.append(f"{e.name:{width}}  {cost}; similarity of the classes' maps: {similarity}")
        lines += [line for label, a in self.agreement.items() if (line := _agreement_in_words(label, a))]
        lines += [_difference_in_words(label, d, self) for label, d in self.differences.items() if d is not None]
        return "\n".join(lines)

    def to_html(self, *, beside: str | os.PathLike[str]) -> str:
        return "".join(comparison_pieces(self, beside))

    def write_html(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the page piece by piece, so that the memory for it does not grow with the video."""
        write_pieces(comparison_pieces(self, path), path, overwrite=overwrite, source=self.source_path)


def _method_json(entry: Entry, cheapest: float) -> dict[str, object]:
    m, a = entry.method, entry.analysis
    paper, _, link = m.paper.rpartition(", http")
    return {
        "name": entry.name,
        "title": m.title,
        "family": m.family,
        "paper": paper or m.paper,
        "link": f"http{link}" if paper else None,
        "signed": m.signed,
        "complete": m.is_complete,
        "completeness_error": a.completeness_error,
        "unit": "arbitrary" if a.completeness_error is None else "logit",
        "scale": a.scale,
        "cost": m.cost,
        "seconds_per_window": entry.window_s,
        "relative_cost": entry.window_s / cheapest,
        "class_sensitivity": entry.class_correlation,
        "class_independent": entry.class_independent,
    }


def _models_json(comparison: Comparison) -> dict[str, object]:
    return {
        "method": comparison.entries[0].method.name,
        "answers": {
            e.name: [{"label": label, "prob": prob} for label, prob in e.analysis.top(ANSWERS)] for e in comparison.entries
        },
        "differences": {label: None if d is None else asdict(d) for label, d in comparison.differences.items()},
    }


def _answers_in_words(entry: Entry) -> str:
    return f"{entry.name}: " + ", ".join(f"{label} {prob:.1%}" for label, prob in entry.analysis.top(ANSWERS))


def _difference_in_words(label: str, d: Difference, comparison: Comparison) -> str:
    at = d.time_s - comparison.entries[0].analysis.source.start_s
    return (
        f"on {label!r} they differ most at {at:.2f} s, {d.x:.0%} from the left and {d.y:.0%} from the top: {d.more} has more "
        "evidence there"
    )


def _agreement_in_words(label: str, a: Agreement) -> str:
    """Return which two methods agree most and which least; nothing if fewer than two can be compared."""
    pairs = [(r, i, j) for (i, j), r in np.ndenumerate(a.correlation) if i < j and math.isfinite(r)]
    if not pairs:
        return ""
    ends = dict.fromkeys([max(pairs), min(pairs)])
    words = [f"{a.names[i]} and {a.names[j]} {r:.2f} (overlap {a.overlap[i, j]:.2f})" for r, i, j in ends]
    return f"agreement on {label!r}: " + ("most " if len(words) > 1 else "") + ", least ".join(words)
