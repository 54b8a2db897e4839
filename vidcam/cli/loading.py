"""Loading the model that a command names, with progress."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vidcam.cli.progress import ProgressBar

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = ["engine_arguments", "load_engine", "stated_facts"]


def load_engine(bar: ProgressBar, model: str, facts: Sequence[str] | None, **options: Any) -> Engine:
    """Open the model as :func:`vidcam.open_engine` does; show the download, then print its notes.

    ``facts`` and ``options`` are those of :func:`engine_arguments`.
    """
    from vidcam.engine import open_engine

    arguments = _to_arguments(facts, **options)
    bar.start("weights")
    engine = open_engine(model, progress=bar.update_bytes, **arguments)
    bar.clear()
    bar.print_notes(engine.notes)
    return engine


def engine_arguments(opened: Engine, model: str, facts: Sequence[str] | None, **options: Any) -> dict[str, Any]:
    """Return the arguments with which :func:`vidcam.open_engine` opens the model of ``opened`` again, in another process.

    Args:
        opened: The engine that is open.
        model: The model as it was typed; ``auto`` becomes the name of the model that was chosen.
        facts: The ``KEY=VALUE`` words of --fact.
        options: The other arguments; ``frame_interval``, in seconds, is the fact ``interval_s``.
    """
    arguments = _to_arguments(facts, **options)
    files = {name: os.path.abspath(arguments[name]) for name in ("weights", "labels") if arguments.get(name) is not None}
    return {"model": opened.spec.name if model == "auto" else _absolute(model), **arguments, **files}


def _absolute(model: str) -> str:
    """Return a model as it is named from any folder: a folder or ``file.py:factory`` gets its whole path.

    A folder that is called like a model of the table is not meant by that name.
    """
    from vidcam.models.table import list_models

    if model in list_models():
        return model
    path, colon, factory = model.partition(":") if os.path.isfile(model.partition(":")[0]) else (model, "", "")
    return f"{os.path.abspath(path)}{colon}{factory}" if os.path.exists(path) else model


def _to_arguments(facts: Sequence[str] | None, *, frame_interval: float | None = None, **options: Any) -> dict[str, Any]:
    return {**options, "facts": stated_facts(facts, frame_interval)}


def stated_facts(words: Sequence[str] | None, frame_interval: float | None) -> dict[str, object]:
    """Return the facts of --fact and of --frame-interval."""
    from vidcam.models.custom_facts import parse_facts

    return parse_facts(words or ()) | ({} if frame_interval is None else {"interval_s": frame_interval})
