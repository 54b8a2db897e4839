"""Progress and messages on stderr, results on stdout, with Rich."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

__all__ = ["ProgressBar", "print_error", "print_line", "print_renamed", "to_encodable"]

MAX_NAME = 36
"""Characters of a file name that are shown beside its bar."""


def print_error(message: str) -> None:
    """Print ``error: message`` on stderr, in one line."""
    Console(stderr=True).print(f"[bold red]error:[/] {_one_line(message)}", highlight=False, soft_wrap=True)


def print_line(text: str) -> None:
    """Print a line for other programs on stderr, as it is."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def to_encodable(text: str) -> str:
    """Return ``text`` with a question mark for each character that stdout's encoding lacks."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)


def print_renamed(old: str, new: str, *, quiet: bool) -> None:
    """Print a note, unless ``quiet``, that the command ``old`` is now called ``new``."""
    ProgressBar(quiet=quiet).print_notes([f"`{old}` is now `{new}`; the old words will stop working in the next release"])


def _one_line(text: str) -> str:
    """Return ``text`` on one line, without Rich markup and control characters."""
    return escape(_escape_controls(" ".join(text.split())))


def _escape_controls(text: str) -> str:
    r"""Return ``text`` with control characters written out, as in ``\x1b``.

    File names and labels come from strangers: an escape sequence in one could rewrite the screen, and marks of writing direction
    could reverse a name.
    """
    controls = (c for c in set(text) if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp"))
    return text.translate({ord(c): c.encode("unicode_escape").decode("ascii") for c in controls})


class _Remaining(TimeRemainingColumn):
    """Shows the time left: what is missing of the total if this is in seconds, else what the speed makes of it."""

    def render(self, task: Task) -> Text:
        if "left" in task.fields:
            return Text(task.fields["left"], style="progress.remaining")
        if task.fields["unit"] or task.remaining is None:
            return super().render(task)
        minutes, seconds = divmod(round(task.remaining), 60)
        return Text(f"{minutes:02d}:{seconds:02d}", style="progress.remaining")


class ProgressBar:
    """Shows progress: frames with frames/s and time left, downloads with MB/s. Without a terminal it only prints lines."""

    def __init__(self, *, quiet: bool) -> None:
        self._console, self._quiet = Console(stderr=True), quiet
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[speed]}"),
            _Remaining(compact=True),
            console=self._console,
            transient=True,
            disable=quiet or not sys.stderr.isatty(),  # a notebook forces colours, but has no terminal
        )
        self._tasks: dict[str, Any] = {}
        self._name = ""

    def __enter__(self) -> ProgressBar:
        self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.clear()
        self._progress.stop()

    def print_result(self, text: str) -> None:
        """Print ``text`` on stdout, unless quiet; a character that stdout's encoding lacks becomes a question mark."""
        if self._quiet:
            return
        self.clear()
        self._progress.stop()
        sys.stdout.write(to_encodable(f"{_escape_controls(text)}\n"))
        sys.stdout.flush()
        self._progress.start()

    def print_message(self, message: str, *, always: bool = False) -> None:
        """Print ``message`` on stderr in one line, unless quiet; ``always`` prints it even then."""
        if always or not self._quiet:
            self._console.print(_one_line(message), highlight=False, soft_wrap=True)

    def print_notes(self, notes: Iterable[str]) -> None:
        """Print each of the ``notes`` as a message."""
        for note in notes:
            self.print_message(f"note: {note}")

    def start(self, name: str) -> None:
        """Begin the work that is called ``name``; the bars of the previous one go."""
        self.clear()
        name = _escape_controls(name)
        self._name = name if len(name) <= MAX_NAME else f"{name[: MAX_NAME // 2 - 1]}…{name[-MAX_NAME // 2 :]}"

    def clear(self) -> None:
        """Remove all bars."""
        for task in self._tasks.values():
            self._progress.remove_task(task)
        self._tasks.clear()

    def update_stage(self, stage: str, done: int, total: int | None) -> None:
        """Show how far a stage is: the tests of an explanation in seconds, all others in frames."""
        (self.update_seconds if stage == "test" else self.update_frames)(stage, done, total)

    def update_frames(self, stage: str, done: int, total: int | None) -> None:
        """Show that ``done`` of ``total`` frames have passed ``stage``."""
        self._update(f"{self._name} {stage}", done, total, "frames/s", 1.0)

    def update_seconds(self, stage: str, done: int, total: int | None) -> None:
        """Show that ``done`` of ``total`` seconds of ``stage`` have passed."""
        self._update(f"{self._name} {stage}", done, total, "", 0.0)

    def update_videos(self, done: int, failed: int, total: int, *, per_minute: float | None, eta_s: float | None) -> None:
        """Show how many of ``total`` videos are ``done`` and ``failed``, how fast that goes and how long the rest takes."""
        pace = "" if per_minute is None else f", {per_minute:.1f} videos/min"
        left = "" if eta_s is None else str(timedelta(seconds=round(eta_s)))
        key = "videos"
        self._update(key, done + failed, total, "", 0.0)
        if key in self._tasks:
            self._progress.update(self._tasks[key], speed=f"{done} done, {failed} failed{pace}", left=left)

    def update_bytes(self, done: int, total: int | None) -> None:
        """Show that ``done`` of ``total`` bytes are downloaded."""
        self._update(self._name, done, total, "MB/s", 1e-6)

    def _update(self, key: str, done: int, total: int | None, unit: str, factor: float) -> None:
        if self._progress.disable:
            return
        if key not in self._tasks:
            self._tasks[key] = self._progress.add_task(key, total=total, speed="", unit=unit)
        task = self._tasks[key]
        speed = self._progress.tasks[self._progress.task_ids.index(task)].speed
        self._progress.update(task, completed=done, total=total, speed=f"{speed * factor:.1f} {unit}" if speed and unit else "")
