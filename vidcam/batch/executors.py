"""Who works on the videos of a run: this process, several processes beside it, or a cluster. Each is a row of a table."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from vidcam.batch.plan import Item
from vidcam.batch.worker import Outcome, Recipe, work_on

if TYPE_CHECKING:
    from vidcam.engine import Engine
    from vidcam.pipeline import Progress

__all__ = ["EXECUTORS", "Executor", "ExecutorRow", "Inline", "open_executor"]


class Executor(Protocol):
    """Works on inputs, several at a time.

    Attributes:
        slots: How many inputs it takes at once.
    """

    @property
    def slots(self) -> int: ...

    def submit(self, item: Item) -> None:
        """Begin the work on an input; there are never more than ``slots`` in work."""

    def wait(self, timeout_s: float | None) -> Sequence[Outcome]:
        """Return what has come out of the inputs in work, after ``timeout_s`` at the latest; None waits for the first."""

    def close(self) -> None:
        """End all work at once, whatever is in work."""


class Inline:
    """Works in this process, on one input at a time, with engines that are open already."""

    slots = 1

    def __init__(self, recipe: Recipe, *, engines: Sequence[Engine], progress: Progress | None = None) -> None:
        self._recipe, self._engines, self._progress = recipe, engines, progress
        self._item: Item | None = None

    def submit(self, item: Item) -> None:
        self._item = item

    def wait(self, timeout_s: float | None) -> Sequence[Outcome]:
        if self._item is None:
            return []
        item, self._item = self._item, None
        return [work_on(item, self._engines, self._recipe, progress=self._progress)]

    def close(self) -> None:
        self._item = None


@dataclass(frozen=True)
class ExecutorRow:
    """A way to work on the videos; ``target`` is the ``module:class`` that gets the recipe and its own options."""

    name: str
    title: str
    target: str


EXECUTORS = {
    row.name: row
    for row in (
        ExecutorRow("inline", "this process", "vidcam.batch.executors:Inline"),
        ExecutorRow("processes", "processes of this machine, --jobs N", "vidcam.batch.processes:Processes"),
        ExecutorRow("ray", "a Ray cluster, --ray ADDRESS", "vidcam.batch.ray_cluster:RayActors"),
    )
}


def open_executor(name: str, recipe: Recipe, **options: Any) -> Executor:
    """Return the executor of that name, ready to work.

    Args:
        name: One of :data:`EXECUTORS`.
        recipe: What the workers need to know.
        options: Of the executor's own.
    """
    module, _, attribute = EXECUTORS[name].target.partition(":")
    make: Callable[..., Executor] = getattr(importlib.import_module(module), attribute)
    return make(recipe, **options)
