"""Frames as JPEG for the viewers: each is encoded once, the newest first, and none while nobody looks."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

from vidcam.errors import VidcamError
from vidcam.io import jpeg
from vidcam.values import Frame

__all__ = ["PictureEncoder", "encode_picture"]

MAX_WIDTH = 1280  # pixels
SMALL_WIDTH, SMALL_EVERY_S = 480, 0.1  # of pictures for a page that shows several sources at once
QUALITY = 82
EPSILON_S = 1e-6

Listener = Callable[[bytes, float], None]


def encode_picture(frame: Frame, *, max_width: int = MAX_WIDTH) -> bytes:
    """Return the frame as JPEG, at most ``max_width`` pixels wide."""
    return jpeg.encode(frame.image, quality=QUALITY, max_width=max_width)


class PictureEncoder:
    """Gives each listener ``(jpeg, time)`` of the newest frame, as fast as frames come and the machine can encode them.

    Args:
        real_time: If false, every frame is encoded, and :meth:`push` waits for that.
        max_width: The width in pixels of larger frames' pictures.
        every_s: The least seconds, on the stream's clock, from one picture to the next.
        changed: Called if there is an :attr:`error`.
    """

    def __init__(
        self,
        *,
        real_time: bool = True,
        max_width: int = MAX_WIDTH,
        every_s: float = 0.0,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._real_time, self._changed = real_time, changed
        self._max_width, self._every_s = max_width, every_s
        self._last = -math.inf  # the time of the last frame that was taken
        self.error: VidcamError | None = None
        self._condition = threading.Condition()
        self._newest: Frame | None = None
        self._listeners: tuple[Listener, ...] = ()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="vidcam-pictures", daemon=True)
        self._thread.start()

    @property
    def is_idle(self) -> bool:
        """Whether no frame waits to be encoded, or nobody wants it."""
        with self._condition:
            return self._newest is None or not self._listeners

    def push(self, frame: Frame) -> None:
        """Take the newest frame."""
        if 0 <= frame.time - self._last < self._every_s - EPSILON_S:
            return
        self._last = frame.time
        with self._condition:
            self._wait_until_idle()
            self._newest = frame
            self._condition.notify_all()

    def add(self, listener: Listener, newest: Frame | None = None) -> None:
        """Add a listener, which gets the ``newest`` frame at once. It is called in the encoding thread and must be quick."""
        with self._condition:
            if newest is not None:
                self._wait_until_idle()
            self._listeners = (*self._listeners, listener)
            if self._newest is None:
                self._newest = newest
            self._condition.notify_all()

    def remove(self, listener: Listener) -> None:
        """Remove a listener, if it is there."""
        with self._condition:
            self._listeners = tuple(x for x in self._listeners if x != listener)

    def close(self) -> None:
        """Stop encoding; return when the thread has ended."""
        with self._condition:
            self._wait_until_idle()
            self._closed = True
            self._condition.notify_all()
        self._thread.join()

    def _wait_until_idle(self) -> None:
        if not self._real_time:
            self._condition.wait_for(lambda: self._newest is None or not self._listeners or self._closed)

    def _run(self) -> None:
        try:
            while self._encode_next():
                pass
        except Exception as error:  # a thread must not end in silence
            self.error = VidcamError(f"the pictures cannot be shown: {type(error).__name__}: {error}")
            with self._condition:
                self._closed = True
                self._condition.notify_all()
            self._changed()

    def _encode_next(self) -> bool:
        """Wait for a frame and a listener, and encode the newest frame; return False if closed."""
        with self._condition:
            self._condition.wait_for(lambda: self._closed or (self._newest is not None and self._listeners))
            if self._closed:
                return False
            frame, listeners = self._newest, self._listeners
            if self._real_time:
                self._newest = None
        assert frame is not None
        picture = encode_picture(frame, max_width=self._max_width)
        for listener in listeners:
            listener(picture, frame.time)
        if not self._real_time:
            with self._condition:
                self._newest = None
                self._condition.notify_all()
        return True
