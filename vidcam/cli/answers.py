"""What is printed after each input, for one video and for many."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["summary"]


def summary(source: str, words: str, outputs: Iterable[str], how: str) -> str:
    """Return the line that is printed for an input: what was found, its outputs, and how a page gets its video.

    A line break in a name is written out, so that the line stays one.
    """
    written = ", ".join(outputs)
    line = f"{source}: {words}{f' -> {written}' if written else ''}{f'. {how}' if how else ''}"
    return line.replace("\n", "\\n")
