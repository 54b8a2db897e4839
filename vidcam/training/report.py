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

PLOTS = {
    "loss": {"training": "loss", "held-out clips": "held_out_loss"},
    "accuracy": {"held-out clips": "accuracy"},
    "evidence in the right place": {"share of the evidence": "inside", "share of the peaks": "pointing"},
}
"""What is plotted by epoch: the name of each plot, its curves, and the figure of each curve."""

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
        return f"calibration error {self.ece:.3f} at temperature {self.temperature:.3g} ({without:.3f} without)"

    def to_html(self, *, beside: str | os.PathLike[str]) -> str:
        confusion = self.answers.confusion() if self.answers else None
        multi_label = self.answers is not None and self.answers.multi_label
        return fill_template(
            "training.html.j2",
            calibration=self._calibration(self.answers).capitalize() if self.answers else "",
            remarks=self.remarks,
            plots=[plot for name in PLOTS if (plot := self._plot(name))],
            answers=self.answers,
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

    def _plot(self, name: str) -> tuple[str, str] | None:
        """Return a plot by epoch: what it shows in words, and its SVG. None if no epoch has its figures."""
        curves: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {}
        for curve, key in PLOTS[name].items():
            points = [(row["epoch"], row[key]) for row in self.history if key in row]
            if points:
                epochs, values = zip(*points, strict=True)
                curves[curve] = epochs, values
        if not curves:
            return None
        words = [f"{curve} {values[0]:.3g} to {values[-1]:.3g}" for curve, (_, values) in curves.items()]
        title = f"{name}: {', '.join(words)}"
        return title, charts.lines(curves, title=title, x="epoch", y=name)


def write_report(
    folder: Path, labels: Sequence[str], answers: Answers | None, *, temperature: float, ece: float | None,
    history: Sequence[Mapping[str, float]], remarks: Sequence[str], facts: Mapping[str, object],
    mistakes: Sequence[HeldOutMistake] = (),
) -> None:  # fmt: skip
    """Write ``report.json`` and ``report.html`` to ``folder``; the arguments are those of :class:`TrainingReport`."""
    report = TrainingReport(tuple(labels), answers, temperature, ece, history, tuple(remarks), facts, tuple(mistakes))
    report.write_files({"json": folder / "report.json", "html": folder / "report.html"}, overwrite=True)
