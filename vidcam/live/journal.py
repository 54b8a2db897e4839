"""The last events of a stream with a picture of each, in memory, for the page."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from vidcam.io.jpeg import encode
from vidcam.live.events import Event, draw_snapshot
from vidcam.live.pictures import QUALITY, SMALL_WIDTH
from vidcam.live.stream import Stream
from vidcam.live.worker import Worker

__all__ = ["Entry", "Journal"]

KEPT = 50  # events


@dataclass(frozen=True)
class Entry:
    """An event and its picture, a JPEG with the evidence drawn in, once that is drawn. Numbers count the entries of a journal."""

    number: int
    event: Event
    picture: bytes | None = None


class Journal:
    """Keeps the last fifty events of a stream. Give it to monitors as an immediate action.

    Args:
        stream: The stream.
        worker: Draws the pictures.
        skip: Labels whose events are left out.
    """

    def __init__(self, stream: Stream, worker: Worker, *, skip: tuple[str, ...] = ()) -> None:
        self.listeners: list[Callable[[Entry], None]] = []
        """Called with each entry that is new or has changed. They must be quick."""
        self.skip = skip
        self._stream, self._worker = stream, worker
        self._lock = threading.Lock()
        self._entries: deque[Entry] = deque(maxlen=KEPT)
        self._count = 0

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The entries, the oldest first."""
        with self._lock:
            return tuple(self._entries)

    def __call__(self, event: Event) -> None:
        """Take the start or the end of an event."""
        if event.action in self.skip:
            return
        frame, update = self._stream.latest, self._stream.update
        entry = self._put(event)
        if event.end is None and frame is not None and update is not None:

            def draw() -> None:
                image = np.ascontiguousarray(draw_snapshot(event, frame, update))
                self._change(entry.number, picture=encode(image, quality=QUALITY, max_width=SMALL_WIDTH))

            self._worker.do(draw)

    def _put(self, event: Event) -> Entry:
        """Add the event, or replace its start by its end."""
        for entry in self.entries:
            if (entry.event.id, entry.event.rule) == (event.id, event.rule):
                return self._change(entry.number, event=event) or entry
        with self._lock:
            self._count += 1
            entry = Entry(self._count, event)
            self._entries.append(entry)
        self._tell(entry)
        return entry

    def _change(self, number: int, **changes: object) -> Entry | None:
        """Change an entry, if it is still kept."""
        with self._lock:
            for i, entry in enumerate(self._entries):
                if entry.number == number:
                    self._entries[i] = changed = replace(entry, **changes)  # type: ignore[arg-type]
                    break
            else:
                return None
        self._tell(changed)
        return changed

    def _tell(self, entry: Entry) -> None:
        for listener in tuple(self.listeners):
            listener(entry)
