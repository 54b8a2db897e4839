"""The report on a comparison of explanation methods."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from vidcam.analysis import Analysis
from vidcam.io.formatting import duration
from vidcam.metrics import agreement
from vidcam.metrics.agreement import Agreement
from vidcam.reports import charts, json_report
from vidcam.reports.base import Report
from vidcam.reports.player_data import player_data, player_parts
from vidcam.reports.player_page import embedded_video, page_pieces, video_facts, write_pieces
from vidcam.reports.templating import jpeg_url, video_link
from vidcam.values import FloatArray, Segment, Track, UInt8Array

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
            cost = f"{duration(e.window_s)} a window, {e.window_s / self.cheapest.window_s:.1f} x the cheapest"
            lines.append(f"{e.name:{width}}  {cost}; similarity of the classes' maps: {similarity}")
        lines += [line for label, a in self.agreement.items() if (line := _agreement_in_words(label, a))]
        lines += [_difference_in_words(label, d, self) for label, d in self.differences.items() if d is not None]
        return "\n".join(lines)

    def to_html(self, *, beside: str | os.PathLike[str]) -> str:
        return "".join(self._pieces(beside))

    def write_html(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the page piece by piece, so that the memory for it does not grow with the video."""
        write_pieces(self._pieces(path), path, overwrite=overwrite, source=self.source_path)

    def _pieces(self, beside: str | os.PathLike[str]) -> Iterator[str]:
        together = None if self.playback is None else _together(self)
        return page_pieces(
            "compare.html.j2",
            start="startComparison",
            player=together and _player(self, together, beside),
            parts=chain(player_parts(together) if together else (), embedded_video(self.playback)),
            playback=self.playback,
            doc=self.to_json(),
            name=Path(self.source_path).name,
            model=self.model,
            video=video_link(self.outputs.values(), beside=beside),
            plain=None if self.plain is None else jpeg_url(self.plain),
            pictures={key: jpeg_url(image) for key, image in self.pictures.items()},
            curves={label: _plot_curves(self, label) for label in self.labels},
            cost=charts.bars(
                {e.name: (1000 * e.window_s,) * 3 for e in self.entries},
                title="milliseconds a window, all classes",
                best=self.cheapest.name,
            ),
            matrices={label: _plot_matrices(a) for label, a in self.agreement.items()},
        )


def _together(comparison: Comparison) -> Analysis:
    """Return the maps of all methods and classes as one analysis, which has a label for each pair of both.

    Maps are in shares of their method's scale, so that the scale is 1; curves in shares of their method's largest value.
    """
    drawn: dict[str, tuple[Track, ...]] = {}
    curves: dict[str, FloatArray] = {}
    segments: list[Segment] = []
    for label in comparison.labels:
        for e in comparison.entries:
            a = e.analysis
            name = e.name if len(comparison.labels) == 1 else f"{e.name} · {label}"
            peak = max(float(np.nanmax(np.abs(curve), initial=0.0)) for curve in a.curves.values()) or 1.0
            drawn[name] = tuple(replace(t, label=name, maps=np.asarray(t.maps / a.scale, np.float32)) for t in a.drawn[label])
            curves[name] = a.curves[label] / peak
            segments += [replace(s, label=name) for s in a.segments if s.label == label]
    first = comparison.entries[0].analysis
    look = replace(first.look, signed=comparison.versus is not None)
    return replace(
        first, drawn=drawn, tracks={}, curves=curves, segments=tuple(segments), scale=1.0, look=look, playback=comparison.playback
    )


def _player(comparison: Comparison, together: Analysis, beside: str | os.PathLike[str]) -> dict[str, object]:
    """Return the facts for the player: it opens at the peak, and no label is the answer of a moment."""
    assert comparison.playback is not None
    video = video_facts(comparison.playback, beside=beside, sound=together.source.audio is not None)
    moment = {"time": comparison.peak_s, "label": 0, "score": 1.0}
    return player_data(together, video=video) | {"answers": [], "moments": [moment]}


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


def _plot_curves(comparison: Comparison, label: str) -> str:
    """Plot each method's evidence for the label over time, minus the evidence against it.

    If the class is compared with another, only methods with signed evidence are shown; without any there is no plot.
    """
    versus = comparison.versus
    first = comparison.entries[0].analysis
    curves = {e.name: e.analysis.curves[label] for e in comparison.entries if versus is None or e.method.signed}
    if not curves:
        return ""
    return charts.areas(
        curves,
        first.times_s - first.source.start_s,
        title=f"{label} − {versus}" if versus else label,
        x="seconds",
        signed=any(float(np.nanmin(curve)) < 0 for curve in curves.values()),
    )


def _plot_matrices(a: Agreement) -> list[str]:
    """Plot the methods that have evidence for the class against each other; no plot if there are fewer than two."""
    known = [i for i in range(len(a.names)) if math.isfinite(a.correlation[i, i])]
    if len(known) < 2:
        return []
    names = [a.names[i] for i in known]
    return [
        charts.matrix(a.correlation[np.ix_(known, known)], names, title="rank correlation"),
        charts.matrix(a.overlap[np.ix_(known, known)], names, title="overlap of the hottest tenth", low=0.0),
    ]
