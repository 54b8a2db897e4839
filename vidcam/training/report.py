"""The report on a training run: the answers on held-out clips as JSON, and an HTML page with curves and confusions."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vidcam.engine.base import probabilities
from vidcam.reports import charts
from vidcam.reports.base import Report
from vidcam.reports.confusion import ConfusionTable, confusion_table
from vidcam.reports.templating import fill_template
from vidcam.training.calibration import expected_calibration_error, fit_temperature, nll
from vidcam.values import UInt8Array

__all__ = ["MISTAKES", "Answers", "HeldOutMistake", "TrainingReport", "write_report"]

Floats = npt.NDArray[np.floating]

EPOCH = "epoch (one pass over the training clips)"


@dataclass(frozen=True)
class Plot:
    """A plot by epoch.

    Args:
        name: What it shows.
        axis: The name of its vertical axis, with the unit.
        curves: The figure of each curve by its name.
        reading: How to read it, and what to do if it looks otherwise.
        unit: What a figure is multiplied by.
    """

    name: str
    axis: str
    curves: Mapping[str, str]
    reading: str
    unit: float = 1.0


PLOTS = (
    Plot(
        "Loss",
        "loss (lower is better)",
        {"training clips": "loss", "held-out clips": "held_out_loss"},
        "The loss measures how far the answers are from the labels. Both curves should fall. If the curve of the held-out clips "
        "rises while the other one falls, the model learns its training clips by heart: add clips, or train for fewer epochs.",
    ),
    Plot(
        "Right answers",
        "held-out clips right (%)",
        {"held-out clips": "accuracy"},
        "The curve should rise and then stay level. If it still rises at the end, train for more epochs.",
        100.0,
    ),
    Plot(
        "Evidence in the right place",
        "share in the marked place (%)",
        {"all evidence": "inside", "strongest points": "pointing"},
        "How much of the evidence lies in the place that the data marks, such as the person. The curves should rise.",
        100.0,
    ),
)
"""What is plotted by epoch."""

MISTAKES = 40
"""How many mistakes the page shows."""

FOLDS = 10
"""Parts of the held-out clips; each is calibrated on the others."""


@dataclass(frozen=True)
class Answers:
    """A network's answers on held-out clips.

    Args:
        window_logits: Logits of the windows ``(N,K)``.
        window_targets: Targets of the windows ``(N,)`` or ``(N,K)``.
        window_clips: The clip of each window ``(N,)``, 0 to n - 1.
        logits: The mean logits of each clip ``(n,K)``.
        targets: Targets of the clips ``(n,)``, or ``(n,K)`` with several labels.
        labels: The labels of the K classes.
        inside: Shares of the evidence in the right place, if the truth is known.
    """

    window_logits: Floats
    window_targets: npt.NDArray[np.generic]
    window_clips: npt.NDArray[np.integer]
    logits: Floats
    targets: npt.NDArray[np.generic]
    labels: tuple[str, ...]
    inside: dict[str, float]

    @staticmethod
    def of(
        logits: Floats, targets: npt.NDArray[np.generic], sources: npt.NDArray[np.integer], *, labels: tuple[str, ...],
        inside: dict[str, float],
    ) -> Answers:  # fmt: skip
        """Return the answers of windows that are joined to clips by their ``sources (N,)``."""
        clips, first, clip_of = np.unique(sources, return_index=True, return_inverse=True)
        means = np.stack([logits[sources == clip].mean(0) for clip in clips])
        return Answers(logits, targets, clip_of, means, targets[first], labels, inside)

    @property
    def multi_label(self) -> bool:
        return self.targets.ndim == 2

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """Return which clips ``(n,)`` are answered correctly: the most probable class, or with several labels every class."""
        right: npt.NDArray[np.bool_]
        if self.multi_label:
            right = ((self.logits > 0) == (self.targets.astype(float) > 0.5)).all(1)
        else:
            right = self.logits.argmax(1) == self.targets
        return right

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())

    @property
    def nll(self) -> float:
        """Return the mean negative log-likelihood of the windows, uncalibrated."""
        return nll(self.window_logits, self.window_targets)

    def temperatures(self) -> Floats:
        """Return for each clip ``(n,1)`` a temperature that is fitted without it; a single clip has its own."""
        n = len(self.logits)
        folds = np.arange(n) % FOLDS
        temperatures = np.empty((n, 1))
        for fold in range(min(FOLDS, n)):
            others = (folds != fold)[self.window_clips] | (n == 1)
            temperatures[folds == fold] = fit_temperature(self.window_logits[others], self.window_targets[others])
        return temperatures

    def ece(self, temperature: float | Floats) -> float:
        """Return the expected calibration error of the clips' answers, at one temperature or one for each ``(n,1)``."""
        probs = probabilities(self.logits, temperature=temperature, multi_label=self.multi_label)
        if self.multi_label:  # every class of every clip is an answer
            predicted = probs > 0.5
            right = predicted == (self.targets.astype(float) > 0.5)
            return expected_calibration_error(np.where(predicted, probs, 1 - probs).ravel(), right.ravel())
        return expected_calibration_error(probs.max(1), self.right)

    def confusion(self) -> npt.NDArray[np.int64]:
        """Return counts ``(K,K)``, true class by answer; with several labels ``(K,2,2)``, for each class truth by answer."""
        k = len(self.labels)
        if self.multi_label:
            truth, predicted = self.targets.astype(float) > 0.5, self.logits > 0
            return np.array(
                [
                    [[int(((truth[:, c] == a) & (predicted[:, c] == b)).sum()) for b in (False, True)] for a in (False, True)]
                    for c in range(k)
                ]
            )
        table = np.zeros((k, k), np.int64)
        np.add.at(table, (self.targets.astype(int), self.logits.argmax(1)), 1)
        return table


@dataclass(frozen=True)
class HeldOutMistake:
    """A held-out video that the network answers wrongly.

    Args:
        name: Its name in the folder.
        label: Its label.
        predicted: The predicted label.
        prob: The calibrated probability of ``predicted``.
        picture: Its middle frame ``(H,W,3)``.
    """

    name: str
    label: str
    predicted: str
    prob: float
    picture: UInt8Array


@dataclass(frozen=True)
class TrainingReport(Report):
    """The report on a training run.

    Args:
        labels: The labels of the K classes.
        answers: The network's answers on held-out clips; None if no clips were held out.
        temperature: The temperature that calibrates the network.
        ece: The expected calibration error at that temperature; None without held-out clips.
        history: The figures of each epoch by name.
        remarks: What a user should know about the figures.
        facts: More keys of the JSON file.
        mistakes: Held-out videos that are answered wrongly, the surest first, for the page.
    """

    labels: tuple[str, ...]
    answers: Answers | None
    temperature: float
    ece: float | None
    history: Sequence[Mapping[str, float]]
    remarks: tuple[str, ...]
    facts: Mapping[str, object]
    mistakes: tuple[HeldOutMistake, ...] = ()

    def json_values(self) -> Mapping[str, object]:
        return {
            "labels": self.labels,
            "temperature": self.temperature,
            "remarks": self.remarks,
            **self.facts,
            "history": self.history,
            "confusion": self.answers.confusion() if self.answers else None,
        }

    def in_words(self) -> str:
        if self.answers is None:
            return "no clips were held out"
        return (
            f"{self.answers.accuracy:.1%} of {len(self.answers.logits)} held-out clips right; {self._calibration(self.answers)}"
        )

    def _calibration(self, answers: Answers) -> str:
        without = answers.ece(1.0)
        return (
            f"on average, the probability of an answer differs by {100 * (self.ece or 0.0):.1f} percentage points from the share "
            f"of right answers ({100 * without:.1f} without the temperature {self.temperature:.3g})"
        )

    def to_html(self, *, beside: str | os.PathLike[str]) -> str:
        confusion = self.answers.confusion() if self.answers else None
        multi_label = self.answers is not None and self.answers.multi_label
        return fill_template(
            "training.html.j2",
            calibration=_sentence(self._calibration(self.answers)) if self.answers else "",
            remarks=[_sentence(remark) for remark in self.remarks],
            plots=[drawn for plot in PLOTS if (drawn := self._plot(plot))],
            answers=self.answers,
            commonest=None if confusion is None or multi_label else self._commonest(confusion),
            epochs=len(self.history),
            mistakes=self.mistakes,
            labels=self.labels,
            confusion=None if confusion is None else confusion.tolist(),
            multi_label=multi_label,
            table=None if confusion is None or multi_label else self._table(confusion),
        )

    def _table(self, confusion: npt.NDArray[np.int64]) -> ConfusionTable:
        """Return the counts ``(K,K)`` of classes that have a held-out clip, true class by answer, as a table."""
        labels = self.labels
        counts = {(labels[true], labels[answer]): int(confusion[true, answer]) for true, answer in np.argwhere(confusion)}
        return confusion_table(counts)

    def _commonest(self, confusion: npt.NDArray[np.int64]) -> tuple[str, float]:
        """Return the class that most held-out clips have, and the share of clips that it would answer correctly."""
        counts = confusion.sum(1)
        return self.labels[int(counts.argmax())], float(counts.max() / counts.sum())

    def _plot(self, plot: Plot) -> tuple[str, str, str] | None:
        """Return what a plot shows in words, its SVG, and how to read it. None if no epoch has its figures."""
        curves: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {}
        for curve, key in plot.curves.items():
            points = [(row["epoch"], plot.unit * row[key]) for row in self.history if key in row]
            if points:
                epochs, values = zip(*points, strict=True)
                curves[curve] = epochs, values
        if not curves:
            return None
        words = [f"{curve} from {values[0]:.3g} to {values[-1]:.3g}" for curve, (_, values) in curves.items()]
        svg = charts.lines(curves, title=plot.name, x=EPOCH, y=plot.axis)
        return f"{plot.name}: {', '.join(words)}", svg, plot.reading


def _sentence(words: str) -> str:
    """Return words as a sentence of their own."""
    return f"{words[:1].upper()}{words[1:]}{'' if words.endswith('.') else '.'}"


def write_report(
    folder: Path, labels: Sequence[str], answers: Answers | None, *, temperature: float, ece: float | None,
    history: Sequence[Mapping[str, float]], remarks: Sequence[str], facts: Mapping[str, object],
    mistakes: Sequence[HeldOutMistake] = (),
) -> None:  # fmt: skip
    """Write ``report.json`` and ``report.html`` to ``folder``; the arguments are those of :class:`TrainingReport`."""
    report = TrainingReport(tuple(labels), answers, temperature, ece, history, tuple(remarks), facts, tuple(mistakes))
    report.write_files({"json": folder / "report.json", "html": folder / "report.html"}, overwrite=True)
