"""The report on a labelled folder of videos: mistakes, and evidence in suspicious places."""

from __future__ import annotations

import csv
import io
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from vidcam.analysis import Analysis, RunInfo
from vidcam.io.files import save
from vidcam.metrics.spurious import SpuriousCheck
from vidcam.reports.base import Report
from vidcam.reports.confusion import confusion_table
from vidcam.reports.csv_report import escape_formula
from vidcam.reports.json_report import model_json, run_json
from vidcam.reports.player_data import player_data, player_parts
from vidcam.reports.player_page import Part, page_pieces, video_facts, write_pieces
from vidcam.values import UInt8Array

__all__ = ["Case", "Inspection", "played_cases"]

MISTAKES, RIGHT, RIGHT_OF_CLASS = 100, 200, 8
"""How many mistakes the page lists, and how many right answers: in all, and of each class."""

PLAYED_MISTAKES, PLAYED_RIGHT = 40, 12
"""How many of them it plays: the most surprising mistakes, and the most doubtful right answers."""


@dataclass(frozen=True)
class Case:
    """One video of the folder.

    Args:
        name: Its name in the folder.
        label: Its label.
        predicted: The predicted label; empty if the video could not be read.
        prob_label: The probability of ``label``.
        prob_predicted: The probability of ``predicted``.
        suspicions: How much of the evidence for the prediction lies in suspicious places.
        pictures: The frame with the strongest evidence, for the prediction and for the label.
        error: Why the video could not be read.
        analysis: What the page plays of it; None if the page shows its pictures only.
        unplayed: What browsers cannot play of its video; empty if they can.
    """

    name: str
    label: str
    predicted: str
    prob_label: float
    prob_predicted: float
    suspicions: tuple[SpuriousCheck, ...]
    pictures: Mapping[str, UInt8Array]
    error: str | None = None
    analysis: Analysis | None = None
    unplayed: str = ""

    @property
    def is_correct(self) -> bool:
        """Return whether the prediction is the label."""
        return self.label == self.predicted

    @property
    def is_suspicious(self) -> bool:
        """Return whether much of the evidence lies in a suspicious place."""
        return any(s.raised for s in self.suspicions)

    @property
    def surprise(self) -> float:
        """Return how sure the model was of a wrong answer, 0 to 1, or how doubtful a right one was, -1 to 0."""
        return -self.prob_predicted if self.is_correct else self.prob_predicted


@dataclass(frozen=True)
class Inspection(Report):
    """The videos of a folder, explained.

    Args:
        folder: The folder's path.
        method: The method's name.
        cases: The videos: unreadable ones first, then mistakes, the most confident first, then correct predictions.
        suspicions: The suspicions about each class: means over its videos.
        run: What computed it.
    """

    folder: str
    method: str
    cases: tuple[Case, ...]
    suspicions: Mapping[str, tuple[SpuriousCheck, ...]]
    run: RunInfo

    @property
    def known(self) -> tuple[Case, ...]:
        """Return the cases whose video could be read."""
        return tuple(c for c in self.cases if c.error is None)

    @property
    def mistakes(self) -> tuple[Case, ...]:
        """Return the cases with a wrong prediction."""
        return tuple(c for c in self.known if not c.is_correct)

    @property
    def accuracy(self) -> float:
        """Return the share of correct predictions; NaN if no video could be read."""
        return sum(c.is_correct for c in self.known) / len(self.known) if self.known else math.nan

    @property
    def raised(self) -> list[tuple[str, SpuriousCheck]]:
        """Return the suspicions that were raised, each with its class."""
        return [(label, s) for label, suspicions in self.suspicions.items() for s in suspicions if s.raised]

    def json_values(self) -> Mapping[str, object]:
        cases = [
            {
                "name": c.name, "wanted": c.label, "found": c.predicted or None, "right": c.is_correct,
                "prob_wanted": None if c.error else c.prob_label, "prob_found": None if c.error else c.prob_predicted,
                "suspicions": [asdict(s) for s in c.suspicions], "error": c.error,
            }
            for c in self.cases
        ]  # fmt: skip
        return {
            "schema_version": 1,
            "folder": self.folder,
            "model": model_json(self.run.model),
            **run_json(self.run),
            "method": self.method,
            "accuracy": self.accuracy,
            "classes": {label: [asdict(s) for s in suspicions] for label, suspicions in self.suspicions.items()},
            "cases": cases,
        }

    def in_words(self) -> str:
        lines = [f"{self.accuracy:.1%} of {len(self.known)} videos right" if self.known else "no video could be read"]
        lines += [
            f"suspicious: {label}: {s.share:.0%} of the evidence lies in {s.place} ({s.area:.1%} of the view)"
            for label, s in self.raised
        ]
        lines += [
            f"{c.name}: {c.predicted} {c.prob_predicted:.2f} instead of {c.label} {c.prob_label:.2f}" for c in self.mistakes[:10]
        ]
        lines += [f"{c.name}: {c.error}" for c in self.cases if c.error is not None]
        return "\n".join(lines)

    def write_csv(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write a row for each video; one that could not be read has no figures. Raises OutputError if it cannot be written."""
        out = io.StringIO()
        rows = csv.writer(out, lineterminator="\n")
        rows.writerow(["name", "wanted", "found", "prob_wanted", "prob_found", "suspicious", "error"])
        for c in self.cases:
            raised = "; ".join(s.place for s in c.suspicions if s.raised)
            words = [escape_formula(word) for word in (c.name, c.label, c.predicted)]
            figures = [f"{c.prob_label:.6f}", f"{c.prob_predicted:.6f}"] if c.error is None else ["", ""]
            rows.writerow([*words, *figures, raised, escape_formula(c.error or "")])
        save(path, out.getvalue(), overwrite=overwrite)

    def to_html(self, *, beside: str | os.PathLike[str]) -> str:
        return "".join(self._pieces(beside))

    def write_html(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the page piece by piece, so that the memory for it does not grow with the videos."""
        write_pieces(self._pieces(path), path, overwrite=overwrite, source=self.source_path)

    def _pieces(self, beside: str | os.PathLike[str]) -> Iterator[str]:
        listed = (*self.mistakes[:MISTAKES], *self._listed_right())
        played = [(number, case) for number, case in enumerate(listed) if case.analysis is not None]
        counts = Counter((c.label, c.predicted) for c in self.known)
        return page_pieces(
            "dataset.html.j2",
            start="startCases",
            script="cases.js",
            player={str(number): _player(case, beside) for number, case in played},
            parts=(part for number, case in played for part in _parts(case, f"{number}-")),
            report=self,
            model=Path(self.run.model.name).name,
            name=Path(self.folder).name or self.folder,
            mistakes=len(self.mistakes),
            listed=listed,
            unlisted=len(self.known) - len(listed),
            most_mistakes=MISTAKES,
            most_right=RIGHT_OF_CLASS,
            kinds=_count_kinds(listed),
            classes=sorted({label for c in listed for label in (c.label, c.predicted)}),
            table=confusion_table(dict(sorted(counts.items()))),
            broken=[c for c in self.cases if c.error is not None],
        )

    def _listed_right(self) -> list[Case]:
        """Return the right answers that the page lists: of each class the suspicious and the most doubtful ones."""
        right = sorted((c for c in self.known if c.is_correct), key=lambda c: (not c.is_suspicious, -c.surprise))
        of_class: Counter[str] = Counter()
        listed: list[Case] = []
        for case in right:
            if of_class[case.label] < RIGHT_OF_CLASS and len(listed) < RIGHT:
                of_class[case.label] += 1
                listed.append(case)
        return sorted(listed, key=lambda c: -c.surprise)


def played_cases(cases: Iterable[Case]) -> list[Case]:
    """Return the cases that the page plays, if all of these are to have an ``analysis``."""
    surprising = sorted(cases, key=lambda c: -c.surprise)
    mistakes = [c for c in surprising if not c.is_correct]
    return mistakes[:PLAYED_MISTAKES] + [c for c in surprising if c.is_correct][:PLAYED_RIGHT]


def _count_kinds(cases: Sequence[Case]) -> list[tuple[str, str, int]]:
    """Return the value, words and number of each kind of case that the page can show."""
    right = sum(c.is_correct for c in cases)
    suspicious = sum(c.is_suspicious for c in cases)
    return [
        ("all", "all", len(cases)), ("mistake", "mistakes", len(cases) - right), ("suspicion", "suspicions", suspicious),
        ("right", "right answers", right),
    ]  # fmt: skip


def _player(case: Case, beside: str | os.PathLike[str]) -> dict[str, object]:
    """Return the facts for the player of a video; without a video that browsers can play, the evidence alone."""
    a = case.analysis
    assert a is not None
    if a.playback is not None:
        return player_data(a, video=video_facts(a.playback, beside=beside, sound=a.source.audio is not None))
    missing = f"{case.unplayed[:1].upper()}{case.unplayed[1:]}: the evidence is drawn without the video."
    return player_data(a, video={"own": True, "src": None, "missing": missing, "sound": False})


def _parts(case: Case, prefix: str) -> Iterator[Part]:
    assert case.analysis is not None
    for name, chunks in player_parts(case.analysis):
        yield f"{prefix}{name}", chunks
