"""Frames as JPEG for those who look on: encoded once, in a thread of its own, the newest first, nothing while nobody looks."""

from __future__ import annotations

import threading
from collections.abc import Callable

import cv2

from vidcam.errors import VidcamError
from vidcam.values import Frame

__all__ = ["Pictures", "encode"]

WIDEST = 1280
QUALITY = 82

Listener = Callable[[bytes, float], None]


def encode(frame: Frame) -> bytes:
    """The frame as JPEG, at most 1280 pixels wide."""
    picture = cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR)
    height, width = picture.shape[:2]
    if width > WIDEST:
        picture = cv2.resize(picture, (WIDEST, max(1, round(height * WIDEST / width))), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return data.tobytes()


class Pictures:
    """Gives each listener ``(jpeg, time)`` of the newest frame, as fast as frames come and the machine can.

    If ``real_time`` is false, each frame is encoded, and :meth:`push` waits for that. ``changed`` is called when there is an
    :attr:`error`.
    """

    def __init__(self, *, real_time: bool = True, changed: Callable[[], None] = lambda: None) -> None:
        self._real_time, self._changed = real_time, changed
        self.error: VidcamError | None = None
        self._news = threading.Condition()
        self._newest: Frame | None = None
        self._listeners: tuple[Listener, ...] = ()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="vidcam-pictures", daemon=True)
        self._thread.start()

    def push(self, frame: Frame) -> None:
        """Take the newest frame."""
        with self._news:
            if not self._real_time:
                self._news.wait_for(lambda: self._newest is None or not self._listeners or self._closed)
            self._newest = frame
            self._news.notify_all()

    def add(self, listener: Listener) -> None:
        """Listeners are called in the thread that encodes, and must be quick."""
        with self._news:
            self._listeners = (*self._listeners, listener)
            self._news.notify_all()

    def remove(self, listener: Listener) -> None:
        with self._news:
            self._listeners = tuple(x for x in self._listeners if x != listener)

    def close(self) -> None:
        with self._news:
            if not self._real_time:
                self._news.wait_for(lambda: self._newest is None or not self._listeners or self._closed)
            self._closed = True
            self._news.notify_all()
        self._thread.join()

    def _run(self) -> None:
        try:
            while self._show_next():
                pass
        except Exception as error:  # forwarded: a thread must not end in silence
            self.error = VidcamError(f"the pictures cannot be shown: {type(error).__name__}: {error}")
            with self._news:
                self._closed = True
                self._news.notify_all()
            self._changed()

    def _show_next(self) -> bool:
        """Encode the newest frame when there is one and somebody looks on; False when closed."""
        with self._news:
            self._news.wait_for(lambda: self._closed or (self._newest is not None and self._listeners))
            if self._closed:
                return False
            frame, listeners = self._newest, self._listeners
            if self._real_time:
                self._newest = None
        assert frame is not None
        jpeg = encode(frame)
        for listener in listeners:
            listener(jpeg, frame.time)
        with self._news:
            if self._newest is frame:
                self._newest = None
                self._news.notify_all()
        return True
