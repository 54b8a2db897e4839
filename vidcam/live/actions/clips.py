"""An action that saves the video around each event."""

from __future__ import annotations

import math
import threading
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vidcam.errors import OutputError
from vidcam.io.jpeg import decode
from vidcam.io.writer import VideoWriter
from vidcam.live.events import Event
from vidcam.live.worker import Worker

__all__ = ["ClipRecorder", "EventClips"]

MARGIN_S = 5.0  # of the video before and after an event
LATE_S = 5.0  # an event may be reported this much later than its rule began to hold, if the model is slow
MAX_CLIP_S = 60.0  # of one clip, and of the pictures that are kept for the next one


class EventClips:
    """Saves a video of each event into a folder, from five seconds before it to five seconds after, a minute at most.

    Args:
        folder: Is made if it does not exist.

    Raises:
        OutputError: The folder cannot be made.
    """

    name = "a film"
    max_waiting, close_timeout_s = 8, 60.0

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the folder {folder}: {error.strerror or error}") from error

    def follow(self, worker: Worker, *, hold_s: float) -> ClipRecorder:
        """Return the recorder of one stream, which writes its videos as jobs of ``worker``."""
        return ClipRecorder(self.folder, worker, hold_s=hold_s)


@dataclass
class _Clip:
    event: Event
    pictures: list[tuple[float, bytes]] = field(default_factory=list)
    until: float = math.inf


class ClipRecorder:
    """Keeps the last pictures of a stream as JPEG in memory, and writes those around each event. No clip spans a gap.

    The pictures reach back far enough for a rule with a duration of ``hold_s`` seconds to find what was before its event, but
    never more than a minute.
    """

    def __init__(self, folder: Path, worker: Worker, *, hold_s: float = 0.0) -> None:
        self._folder, self._worker = folder, worker
        self._keep_s = min(MARGIN_S + hold_s + LATE_S, MAX_CLIP_S)
        self._begin = -math.inf
        self._past: deque[tuple[float, bytes]] = deque()
        self._open: dict[tuple[str, int], _Clip] = {}
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Begin a clip when an event starts; let it end five seconds after the event has ended."""
        key = event.source, event.id
        with self._lock:
            if event.end_s is None:
                self._open[key] = _Clip(event, [p for p in self._past if p[0] >= event.start_s - MARGIN_S])
            elif key in self._open:
                self._open[key].until = event.end_s + MARGIN_S

    def picture(self, jpeg: bytes, time: float) -> None:
        """Take the next picture, of the stream's second ``time``."""
        with self._lock:
            if time < self._begin:  # it was encoded when its clip was over
                return
            if self._past and time <= self._past[-1][0]:
                self._past.clear()
            self._past.append((time, jpeg))
            while self._past[0][0] < time - self._keep_s:
                self._past.popleft()
            for key, clip in list(self._open.items()):
                clip.pictures.append((time, jpeg))
                if time >= min(clip.until, clip.pictures[0][0] + MAX_CLIP_S):
                    self._finish(key)

    def gap(self, begin: float) -> None:
        """End all clips, and use no picture from before the second ``begin`` again."""
        with self._lock:
            self._begin = begin
            self._past.clear()
            self._finish_all()

    def close(self) -> None:
        """Save the clips that are still open."""
        with self._lock:
            self._finish_all()

    def _finish_all(self) -> None:
        for key in list(self._open):
            self._finish(key)

    def _finish(self, key: tuple[str, int]) -> None:
        clip = self._open.pop(key)
        if clip.pictures:
            self._worker.do(lambda: _write(clip, self._folder))


def _write(clip: _Clip, folder: Path) -> None:
    begin, jpeg = clip.pictures[0]
    first = decode(jpeg)
    assert first is not None  # it was encoded here
    height, width = (n - n % 2 for n in first.shape[:2])
    with VideoWriter(folder / f"{clip.event.file_stem}.mp4", size=(height, width), overwrite=True) as writer:
        for time, jpeg in clip.pictures:
            image = decode(jpeg)
            if image is not None and image.shape == first.shape:
                writer.write(np.ascontiguousarray(image[:height, :width]), time=time - begin, duration=0.0)
