"""What ``vidcam annotate`` checks before its inputs, and prints after each, for one video and for many."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from vidcam.engine import Engine
from vidcam.methods.lookup import BEST
from vidcam.pipeline import Session
from vidcam.settings import Settings

__all__ = ["check_settings", "summary"]


def check_settings(engine: Engine, settings: Settings) -> None:
    """Raise an error, once, for what is wrong with the settings for every input."""
    Session(engine, replace(settings, method=None) if settings.method == BEST else settings)


def summary(source: str, top: Iterable[tuple[str, float]], outputs: Iterable[str], how: str) -> str:
    """Return the line that is printed for an input: its answers, its outputs, and how a page gets its video."""
    answers = ", ".join(f"{label} {prob:.1%}" for label, prob in top)
    return f"{source}: {answers} -> {', '.join(outputs)}{f'. {how}' if how else ''}"
