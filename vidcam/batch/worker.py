"""The work on one video, the same in this process, in processes beside it, and on a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidcam import annotation
from vidcam.batch.failures import KINDS, Kind, kind_of, sentence_of
from vidcam.batch.marks import Marks
from vidcam.batch.plan import Item, relative_path
from vidcam.io.clock import SYSTEM, Clock
from vidcam.pipeline import Progress
from vidcam.settings import Look, Settings

if TYPE_CHECKING:
    from vidcam.analysis import Analysis
    from vidcam.annotation import Outputs
    from vidcam.engine import Engine

__all__ = ["TOP", "Outcome", "Recipe", "Worker", "explain_item"]

TOP = 5
"""How many of the most probable labels a row of the results has."""


@dataclass(frozen=True)
class Recipe:
    """What every worker needs to know: it travels to other processes and machines.

    Attributes:
        folder: The folder of the run.
        engine: The arguments of :func:`vidcam.open_engine`.
        settings: How to explain.
        look: How to draw.
        form: Outputs without files, which say how files are written.
    """

    folder: Path
    engine: Mapping[str, Any]
    settings: Settings
    look: Look
    form: Outputs = field(default_factory=annotation.Outputs)


@dataclass(frozen=True)
class Outcome:
    """What became of one attempt at one input: a ``row`` of the results, or the ``kind`` of the failure with a ``sentence``."""

    item: Item
    row: Mapping[str, Any] | None
    kind: Kind | None = None
    sentence: str = ""
    seconds: float = 0.0


class Worker:
    """Works on one input after the other in a process of its own, with an engine that it opens for the first one."""

    def __init__(self, recipe: Recipe, threads: int) -> None:
        import cv2

        cv2.setNumThreads(threads)  # OpenCV reads no variable
        self._recipe, self._threads = recipe, threads
        self._engine: Engine | None = None

    def explain(self, item: Item) -> Outcome:
        """Return what becomes of an input; a worker that cannot open the model counts as lost."""
        try:
            if self._engine is None:
                from vidcam.engine import open_engine

                self._engine = open_engine(**{**self._recipe.engine, "threads": self._threads})
        except Exception as error:
            return Outcome(item, None, KINDS["worker"], f"the worker cannot open the model: {sentence_of(error)}")
        return explain_item(item, self._engine, self._recipe)


def explain_item(
    item: Item, engine: Engine, recipe: Recipe, *, progress: Progress | None = None, clock: Clock = SYSTEM
) -> Outcome:
    """Write the outputs of one input, and its mark after them; whatever goes wrong is part of the outcome.

    Args:
        item: The input.
        engine: The model.
        recipe: How to explain and to draw.
        progress: Called with the stage, the frames done, and all frames if their number is known.
        clock: Measures the seconds.

    Returns:
        The outcome. If it has a row, all outputs are in place and so is the mark.
    """
    began = clock.now()
    try:
        outputs = item.to_outputs(recipe.folder, recipe.form)
        analysis = annotation.annotate(
            item.input, outputs, engine=engine, settings=recipe.settings, look=recipe.look, progress=progress
        )
        row = _row(item, recipe.folder, analysis, notes=len(engine.notes), seconds=clock.now() - began)
        Marks(recipe.folder).write(item.name, "done", row)
    except Exception as error:  # a row for every video, whatever happens
        return Outcome(item, None, kind_of(error), sentence_of(error), clock.now() - began)
    return Outcome(item, row, seconds=clock.now() - began)


def _row(item: Item, folder: Path, analysis: Analysis, *, notes: int, seconds: float) -> dict[str, Any]:
    choice = analysis.method_choice
    return {
        "input": item.input,
        "name": item.name,
        "top": analysis.top(TOP),
        "method": analysis.method,
        "verdict": None if analysis.verdict is None else analysis.verdict.word,
        "segments": [asdict(segment) for segment in analysis.segments],
        "duration_s": analysis.duration_s,
        "seen_fraction": 1.0 - analysis.unseen_fraction,
        "seconds": seconds,
        "outputs": {kind: relative_path(Path(path), folder) for kind, path in analysis.outputs.items()},
        "warnings": analysis.warnings[notes:],  # those before are the engine's, which are told once
        "notes": [choice.sentence] if choice is not None and choice.beats_controls else [],
        "playback": None if analysis.playback is None else analysis.playback.how,
    }
