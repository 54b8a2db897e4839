"""Progress and messages on stderr, with Rich."""

from __future__ import annotations

import sys
import unicodedata
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

NAME = 36  # characters of a name beside its bar


def plain(text: str) -> str:
    """Return ``text`` on one line, with nothing in it that Rich would take for markup, or a terminal for a command."""
    return escape(printable(" ".join(text.split())))


def printable(text: str) -> str:
    """Return ``text`` with control characters written out, as in ``\\x1b``.

    File names and labels come from strangers: an escape sequence in one could rewrite the screen, and marks of writing direction
    could turn a name around.
    """
    hostile = (c for c in set(text) if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp"))
    return text.translate({ord(c): c.encode("unicode_escape").decode("ascii") for c in hostile})


class Bar:
    """Rich progress on stderr: frames with frames/s and time left, downloads with bytes."""

    def __init__(self, *, quiet: bool) -> None:
        console = Console(stderr=True)
        self._console, self._quiet = console, quiet
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            disable=quiet or not console.is_terminal,
        )
        self._tasks: dict[str, Any] = {}
        self._name = ""

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.clear()
        self._progress.stop()

    def out(self, line: str) -> None:
        """A line of data on stdout, with no bar in its way; what stdout's encoding cannot hold becomes a question mark."""
        if self._quiet:
            return
        self.clear()
        self._progress.stop()
        encoding = sys.stdout.encoding or "utf-8"
        sys.stdout.write(f"{printable(line)}\n".encode(encoding, "replace").decode(encoding))
        sys.stdout.flush()
        self._progress.start()

    def say(self, message: str, *, always: bool = False) -> None:
        if always or not self._quiet:
            self._console.print(plain(message), highlight=False, soft_wrap=True)

    def begin(self, name: str) -> None:
        self.clear()
        name = printable(name)
        self._name = name if len(name) <= NAME else f"{name[: NAME // 2 - 1]}…{name[-NAME // 2 :]}"

    def clear(self) -> None:
        for task in self._tasks.values():
            self._progress.remove_task(task)
        self._tasks.clear()

    def frames(self, stage: str, done: int, total: int | None) -> None:
        self._update(f"{self._name} {stage}", done, total, "frames/s", 1.0)

    def bytes(self, done: int, total: int | None) -> None:
        self._update(self._name, done, total, "MB/s", 1e-6)

    def _update(self, key: str, done: int, total: int | None, unit: str, factor: float) -> None:
        if self._progress.disable:
            return
        if key not in self._tasks:
            self._tasks[key] = self._progress.add_task(key, total=total, speed="")
        task = self._tasks[key]
        speed = self._progress.tasks[self._progress.task_ids.index(task)].speed
        self._progress.update(task, completed=done, total=total, speed="" if speed is None else f"{speed * factor:.1f} {unit}")
