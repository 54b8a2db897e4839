"""Loading the model that a command names, with progress."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vidcam.cli.progress import ProgressBar

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = ["load_engine"]


def load_engine(
    bar: ProgressBar, model: str, facts: Sequence[str] | None, *, frame_interval: float | None = None, **options: Any
) -> Engine:
    """Open the model as :func:`vidcam.open_engine` does with these ``options``; show the download, then print its notes.

    ``facts`` are the ``KEY=VALUE`` words of --fact; ``frame_interval``, in seconds, is the fact ``interval_s``.
    """
    from vidcam.engine import open_engine
    from vidcam.models.custom_facts import parse_facts

    stated = parse_facts(facts or ()) | ({} if frame_interval is None else {"interval_s": frame_interval})
    bar.start("weights")
    engine = open_engine(model, facts=stated, progress=bar.update_bytes, **options)
    bar.clear()
    bar.print_notes(engine.notes)
    return engine
