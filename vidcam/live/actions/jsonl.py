"""An action that writes events as lines of JSON."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

from vidcam.errors import OutputError
from vidcam.io.files import check_output
from vidcam.live.events import Event

__all__ = ["STDOUT", "JsonlSink"]

STDOUT = "-"


class JsonlSink:
    """Appends a line of JSON to a file, or writes it to stdout, when an event starts and when it ends.

    Each line is complete at once. Snapshots of the events go to the folder ``snapshots`` beside the file.

    Args:
        path: The file, which is continued if it exists; ``-`` is stdout, without snapshots.

    Raises:
        OutputError: The file cannot be written.
    """

    name = "a line of an event"

    def __init__(self, path: str | Path) -> None:
        self.path = None if path == STDOUT else Path(path)
        self._lock = threading.Lock()  # events of several sources come in several threads
        self.snapshots = None if self.path is None else self.path.with_suffix(".snapshots")
        if self.path is not None:
            check_output(self.path, overwrite=True)

    def __call__(self, event: Event) -> None:
        """Write the line of the event. OutputError if the file cannot be written."""
        line = json.dumps(event.to_json(), ensure_ascii=False) + "\n"
        with self._lock:
            self._write(line)

    def _write(self, line: str) -> None:
        if self.path is None:
            sys.stdout.write(line)
            sys.stdout.flush()
            return
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line)
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {error.strerror or error}") from error
