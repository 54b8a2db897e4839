"""What a worker does with each input of a run: a task, which travels to other processes, and whose answers are rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from vidcam import annotation
from vidcam.methods.lookup import BEST, choose_method
from vidcam.pipeline import Progress, Session
from vidcam.settings import Look, Settings

if TYPE_CHECKING:
    from vidcam.analysis import Analysis
    from vidcam.annotation import Outputs
    from vidcam.engine import Engine

__all__ = ["TOP", "Annotate", "Task", "answers_in_words", "check_settings", "columns", "describe", "settings_facts"]

TOP = 5
"""How many of the most probable labels a row of the results has."""


class Task(Protocol):
    """What is done with each input.

    Attributes:
        command: The command that does it.
        columns: The columns of the results with their types, ``string`` or ``double``.
    """

    command: ClassVar[str]
    columns: ClassVar[Mapping[str, str]]

    def facts(self, engines: Sequence[Engine]) -> dict[str, Any]:
        """Return the options that decide what comes out, by the names that a message gives them."""

    def check(self, engines: Sequence[Engine]) -> None:
        """Raise an error, once, for what is wrong with the options for every input."""

    def work(self, source: str, outputs: Outputs, engines: Sequence[Engine], progress: Progress | None) -> dict[str, Any]:
        """Write the outputs of an input.

        Returns:
            What :func:`describe` gives, and the task's own columns; ``top``, the most probable labels with their probabilities,
            stands for the columns of the labels.
        """

    def in_words(self, row: Mapping[str, Any]) -> str:
        """Return what a row says, for one line on the terminal."""


def columns(own: Mapping[str, str]) -> dict[str, str]:
    """Return the columns of results: those of every task, with the task's own among them."""
    return {
        "input": "string",
        "name": "string",
        **{f"{key}_{rank}": kind for rank in range(1, TOP + 1) for key, kind in (("label", "string"), ("prob", "double"))},
        **own,
        "duration_s": "double",
        "seen_fraction": "double",
        "seconds": "double",
        "outputs": "string",
        "warnings": "string",
    }


def describe(analysis: Analysis) -> dict[str, Any]:
    """Return what every row says of a video, and what is printed of it beside that: ``notes`` and ``playback``."""
    return {
        "top": analysis.top(TOP),
        "duration_s": analysis.duration_s,
        "seen_fraction": 1.0 - analysis.unseen_fraction,
        "outputs": dict(analysis.outputs),
        "warnings": list(analysis.warnings),
        "notes": [],
        "playback": None if analysis.playback is None else analysis.playback.how,
    }


def settings_facts(settings: Settings, engine: Engine) -> dict[str, Any]:
    """Return the settings as facts of a run, with the name of the method."""
    if settings.method != BEST:
        settings = replace(settings, method=choose_method(settings.method, engine.spec, seed=settings.seed).name)
    return {f"settings.{name}": value for name, value in asdict(settings).items()}


def check_settings(settings: Settings, engine: Engine) -> None:
    """Raise what is wrong with the settings for every input; which method ``best`` is, only an input tells."""
    Session(engine, replace(settings, method=None) if settings.method == BEST else settings)


def answers_in_words(top: Iterable[tuple[str, float]]) -> str:
    """Return the most probable labels with their probabilities."""
    return ", ".join(f"{label} {prob:.1%}" for label, prob in top)


@dataclass(frozen=True)
class Annotate:
    """Explains each video: ``vidcam annotate``."""

    settings: Settings
    look: Look = Look()

    command: ClassVar[str] = "annotate"
    columns: ClassVar[Mapping[str, str]] = columns({"method": "string", "verdict": "string", "segments": "string"})

    def facts(self, engines: Sequence[Engine]) -> dict[str, Any]:
        look = {f"look.{name}": value for name, value in asdict(self.look).items()}
        if not self.look.threshold:  # a batch of an earlier version knows none, and goes on
            del look["look.threshold"]
        return {**settings_facts(self.settings, engines[0]), **look}

    def check(self, engines: Sequence[Engine]) -> None:
        check_settings(self.settings, engines[0])

    def work(self, source: str, outputs: Outputs, engines: Sequence[Engine], progress: Progress | None) -> dict[str, Any]:
        analysis = annotation.annotate(
            source, outputs, engine=engines[0], settings=self.settings, look=self.look, progress=progress
        )
        choice = analysis.method_choice
        return {
            **describe(analysis),
            "method": analysis.method,
            "verdict": None if analysis.verdict is None else analysis.verdict.word,
            "segments": [asdict(segment) for segment in analysis.segments],
            "notes": [choice.sentence] if choice is not None and choice.beats_controls else [],
        }

    def in_words(self, row: Mapping[str, Any]) -> str:
        return answers_in_words(row["top"][:3])
