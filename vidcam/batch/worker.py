"""The work on one video, the same in this process, in processes beside it, and on a cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidcam.annotation import Outputs
from vidcam.batch.failures import KINDS, Kind, kind_of, sentence_of
from vidcam.batch.marks import Marks
from vidcam.batch.plan import Item, relative_path
from vidcam.batch.storage import Place, open_storage
from vidcam.batch.tasks import Task
from vidcam.io.clock import SYSTEM, Clock
from vidcam.io.cores import limit_threads
from vidcam.io.plugins import add_file, named_files
from vidcam.io.remote import is_remote, local_copy
from vidcam.pipeline import Progress

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = ["Outcome", "Recipe", "Worker", "work_on"]


@dataclass(frozen=True)
class Recipe:
    """What every worker needs to know: it travels to other processes and machines.

    Attributes:
        folder: The folder of the run.
        engines: The arguments of :func:`vidcam.open_engine` for each model.
        task: What is done with an input.
        form: Outputs without files, which say how files are written.
        plugins: The plugin files of the process that makes the recipe; all machines see them under the same paths.
    """

    folder: Place
    engines: Sequence[Mapping[str, Any]]
    task: Task
    form: Outputs = field(default_factory=Outputs)
    plugins: Sequence[Path] = field(default_factory=named_files)


@dataclass(frozen=True)
class Outcome:
    """What became of one attempt at one input: a ``row`` of the results, or the ``kind`` of the failure with a ``sentence``."""

    item: Item
    row: Mapping[str, Any] | None
    kind: Kind | None = None
    sentence: str = ""
    seconds: float = 0.0


class Worker:
    """Works on one input after the other in a process of its own, with engines that it opens for the first one."""

    def __init__(self, recipe: Recipe, threads: int) -> None:
        limit_threads(threads)
        self._recipe, self._threads = recipe, threads
        self._engines: list[Engine] = []

    def work(self, item: Item) -> Outcome:
        """Return what becomes of an input; a worker that cannot open the model counts as lost."""
        try:
            if not self._engines:
                from vidcam.engine import open_engine

                for file in self._recipe.plugins:
                    add_file(file)
                self._engines = [open_engine(**{**words, "threads": self._threads}) for words in self._recipe.engines]
        except Exception as error:
            return Outcome(item, None, KINDS["worker"], f"the worker cannot open the model: {sentence_of(error)}")
        return work_on(item, self._engines, self._recipe)


def work_on(
    item: Item, engines: Sequence[Engine], recipe: Recipe, *, progress: Progress | None = None, clock: Clock = SYSTEM
) -> Outcome:
    """Write the outputs of one input, and its mark after them; whatever goes wrong is part of the outcome.

    Args:
        item: The input.
        engines: The models.
        recipe: What to do.
        progress: Called with the stage, the frames done, and all frames if their number is known.
        clock: Measures the seconds.

    Returns:
        The outcome. If it has a row, all outputs are in place and so is the mark.
    """
    began = clock.now()
    try:
        with ExitStack() as stack:
            if is_remote(item.input):
                stack.enter_context(local_copy(item.input))  # one for all readings
            working = stack.enter_context(open_storage(recipe.folder).working(item.outputs.values()))
            found = recipe.task.work(item.input, item.to_outputs(working, recipe.form), engines, progress)
        told = {note for engine in engines for note in engine.notes}
        row = {
            **found,
            "input": item.input,
            "name": item.name,
            "seconds": clock.now() - began,
            "outputs": {kind: relative_path(Path(path), working) for kind, path in found["outputs"].items()},
            "warnings": [warning for warning in found["warnings"] if warning not in told],
        }
        Marks(recipe.folder).write(item.name, "done", row)
    except Exception as error:  # a row for every video, whatever happens
        return Outcome(item, None, kind_of(error), sentence_of(error), clock.now() - began)
    return Outcome(item, row, seconds=clock.now() - began)
