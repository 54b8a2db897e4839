"""The report on a labelled folder of videos: mistakes, and evidence in suspicious places."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from vidcam.analysis import Analysis, RunInfo
from vidcam.io.files import save
from vidcam.metrics.spurious import SpuriousCheck
from vidcam.reports.base import Report
from vidcam.reports.csv_report import escape_formula
from vidcam.reports.json_report import model_json, run_json
from vidcam.reports.player_data import player_data, player_parts
from vidcam.reports.player_page import Part, page_pieces, video_facts, write_pieces
from vidcam.values import UInt8Array

__all__ = ["Case", "Inspection"]

MISTAKES, GALLERY = 40, 8
"""How many mistakes the page shows, and how many videos of each class."""


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
        analysis: What the page plays of a mistake; None of a correct prediction.
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
        """Write a row for each video. Raises OutputError if the file cannot be written."""
        out = io.StringIO()
        rows = csv.writer(out, lineterminator="\n")
        rows.writerow(["name", "wanted", "found", "prob_wanted", "prob_found", "suspicious"])
        for c in self.cases:
            raised = "; ".join(s.place for s in c.suspicions if s.raised)
            words = [escape_formula(word) for word in (c.name, c.label, c.predicted)]
            rows.writerow([*words, f"{c.prob_label:.6f}", f"{c.prob_predicted:.6f}", raised])
        save(path, out.getvalue(), overwrite=overwrite)

    def to_html(self, *, beside: str | os.PathLike[str]) -> str:
        return "".join(self._pieces(beside))

    def write_html(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the page piece by piece, so that the memory for it does not grow with the videos."""
        write_pieces(self._pieces(path), path, overwrite=overwrite, source=self.source_path)

    def _pieces(self, beside: str | os.PathLike[str]) -> Iterator[str]:
        mistakes = self.mistakes[:MISTAKES]
        played = [(number, case) for number, case in enumerate(mistakes) if case.analysis is not None]
        return page_pieces(
            "dataset.html.j2",
            start="startCases",
            player={str(number): _player(case, beside) for number, case in played},
            parts=(part for number, case in played for part in _parts(case, f"{number}-")),
            report=self,
            model=Path(self.run.model.name).name,
            name=Path(self.folder).name or self.folder,
            mistakes=mistakes,
            more=max(0, len(self.mistakes) - MISTAKES),
            broken=[c for c in self.cases if c.error is not None],
            galleries={label: [c for c in self.known if c.label == label][:GALLERY] for label in self.suspicions},
        )


def _player(case: Case, beside: str | os.PathLike[str]) -> dict[str, object]:
    """Return the facts for the player of a mistake; without a video that browsers can play, the evidence alone."""
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
