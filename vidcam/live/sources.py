"""Live sources: a camera, a network stream, a file played in real time, and pictures that a browser sends.

A source gives frames until it is told to stop, and raises an InputError of one sentence if it cannot go on. No source blocks for
more than some seconds, so each can always be stopped. No source drops frames: whoever receives them decides what to leave out.
"""

from __future__ import annotations

import io
import math
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import chain, count
from pathlib import Path
from typing import Any, Protocol

import cv2

from vidcam.errors import InputError, UsageError
from vidcam.io.clock import SYSTEM, Clock, Stop
from vidcam.io.jpeg import decode
from vidcam.io.source import open_source
from vidcam.io.stream import NetworkStream, Pace, hide_secrets
from vidcam.values import Frame, UInt8Array

__all__ = ["BROWSER", "Camera", "FileSource", "LiveSource", "PushedSource", "choose_source", "choose_sources"]

BROWSER = "browser"
MIN_STEP_S = 0.001  # between the times of two frames
MAX_SIDE = 2048  # pixels along a side of a picture that a browser sends


class LiveSource(Protocol):
    """Something that gives frames as time passes.

    Attributes:
        name: Names the source for the user.
        ends: Whether the last frame is the end; if false, it is a failure that is worth another try.
    """

    name: str
    ends: bool

    def frames(self, stop: Stop) -> Iterator[Frame]:
        """Yield frames in strictly increasing time until the end or ``stop``. InputError if the source cannot be read."""
        ...


def choose_source(source: str, *, loop: bool = False, real_time: bool = True, clock: Clock = SYSTEM) -> LiveSource:
    """Return the source of a word: a number is a camera, an address a stream, and anything else a file.

    Args:
        source: The word.
        loop: Play a file over and over.
        real_time: If false, a file is read as fast as its frames are taken.
        clock: The clock of the frames' times.

    Raises:
        UsageError: ``loop``, or false ``real_time``, is asked of a camera or a stream.
        InputError: There is no such file.
    """
    camera = re.fullmatch(r"(?:/dev/video)?(\d{1,3})", source)
    if camera or re.match(r"[a-z][a-z0-9+.\-]+://", source, re.IGNORECASE):
        if loop:
            raise UsageError(f"--loop is for files: {source if camera else hide_secrets(source)} has no end")
        if not real_time:
            raise UsageError(f"--fast is for files: {source if camera else hide_secrets(source)} comes as it comes")
        return Camera(int(camera[1]), clock=clock) if camera else NetworkStream(source, clock=clock)
    if not Path(source).exists() and not re.search(r"%0?\d*d|[*?]", source):
        raise InputError(
            f"there is no file {source}; a source is a camera's number (0 is the first), an rtsp:// or http:// address, "
            "a file, or the option --browser"
        )
    return FileSource(source, loop=loop, real_time=real_time, clock=clock)


def choose_sources(
    words: Sequence[str], *, loop: bool = False, real_time: bool = True, clock: Clock = SYSTEM
) -> list[LiveSource]:
    """Return the sources of words such as ``0`` or ``door=rtsp://192.168.1.7/stream``, each with a name of its own.

    A source has the name before its ``=``, or else that of :func:`choose_source`, with a number if another one has it already.
    A word that is the path of a file is no name and source.

    Args:
        words: The words.
        loop: Play files over and over.
        real_time: If false, files are read as fast as their frames are taken.
        clock: The clock of the frames' times.

    Raises:
        UsageError: Two sources are given the same name, or a reason of :func:`choose_source`.
        InputError: There is no such file.
    """
    names: set[str] = set()
    sources = []
    for word in words:
        named = None if Path(word).exists() else re.fullmatch(r"(\w[\w .\-]*)=(.+)", word)
        source = choose_source(named[2] if named else word, loop=loop, real_time=real_time, clock=clock)
        source.name = name = " ".join(named[1].split()) if named else source.name
        if named and name in names:
            raise UsageError(f"two sources are called {name}: give each a name of its own, as in front={named[2]}")
        source.name = next(free for free in chain([name], (f"{name} {n}" for n in count(2))) if free not in names)
        names.add(source.name)
        sources.append(source)
    return sources


class Camera:
    """A camera of this machine by its number, in its own size and rate. The time of a frame is that of its arrival."""

    ends = False

    def __init__(self, index: int, *, clock: Clock = SYSTEM) -> None:
        self.index, self._clock = index, clock
        self.name = f"camera {index}"

    def frames(self, stop: Stop) -> Iterator[Frame]:
        """Yield frames until ``stop``. InputError if the camera cannot be opened, or gives no more pictures."""
        capture = _open_camera(self.index)
        try:
            if not capture.isOpened():
                raise InputError(
                    f"{self.name} cannot be opened: it is not there, or another program uses it; "
                    "name another number, or use the camera of your web browser: vidcam live --browser"
                )
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
            last = -math.inf
            while not stop.is_set():
                has_picture, picture = capture.read()
                if not has_picture:
                    raise InputError(f"{self.name} gives no pictures any more; was it pulled out?")
                last = max(self._clock.now(), last + MIN_STEP_S)
                yield Frame(_to_rgb(picture), last, 0.0)
        finally:
            capture.release()


def _open_camera(index: int) -> Any:
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # the InputError says what is wrong
    try:
        return cv2.VideoCapture(index)
    finally:
        cv2.utils.logging.setLogLevel(level)


class FileSource:
    """A file, or whatever else :func:`vidcam.open_source` reads, played in real time.

    The frames keep the file's own times.

    Args:
        path: The file.
        loop: Play it over and over; each round goes on at the second where the one before it ended.
        real_time: If false, frames come as fast as they are taken.
        clock: Measures real time.
    """

    ends = True

    def __init__(self, path: str, *, loop: bool = False, real_time: bool = True, clock: Clock = SYSTEM) -> None:
        self.path = path
        self.name = Path(path).name
        self.loop, self.real_time, self._clock = loop, real_time, clock

    def frames(self, stop: Stop) -> Iterator[Frame]:
        """Yield frames until the end or ``stop``. InputError if the file cannot be read."""
        with open_source(self.path) as source:
            pace, shift = Pace(self._clock), 0.0
            while True:
                first = end = None
                with closing(source.frames()) as frames:  # type: ignore[type-var]
                    for frame in frames:
                        first = frame.time if first is None else first
                        end = frame.end
                        if stop.is_set() or (self.real_time and not pace.wait(frame.time + shift, stop)):
                            return
                        yield replace(frame, time=frame.time + shift) if shift else frame
                if not self.loop or first is None or end is None:
                    return
                shift += max(end - first, MIN_STEP_S)


class PushedSource:
    """Pictures that are pushed from outside, such as those of a browser's camera. The newest picture wins."""

    ends = True

    def __init__(self, name: str = BROWSER) -> None:
        self.name = name
        self._changed = threading.Condition()
        self._newest: tuple[bytes, float] | None = None
        self._closed = False

    def put(self, jpeg: bytes, *, at: float) -> None:
        """Take a JPEG of the second ``at`` on the sender's clock."""
        with self._changed:
            self._newest = jpeg, at
            self._changed.notify()

    def close(self) -> None:
        """End the source."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def frames(self, stop: Stop) -> Iterator[Frame]:
        """Yield frames until :meth:`close` or ``stop``; skip pictures that are damaged, too large or older than the last."""
        last = -math.inf
        stop.wakes(self._changed)
        while not stop.is_set():
            with self._changed:
                self._changed.wait_for(lambda: self._newest or self._closed or stop.is_set())
                newest, self._newest = self._newest, None
                if newest is None:
                    if self._closed:
                        return
                    continue
            picture, time = _decode(newest[0]), newest[1]
            if picture is not None and math.isfinite(time) and time > last:
                last = time
                yield Frame(picture, last, 0.0)


def _decode(jpeg: bytes) -> UInt8Array | None:
    """Return the picture in a JPEG from outside; None if it is damaged or too large."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as header:  # the size, before anything is decoded
            if max(header.size) > MAX_SIDE:
                return None
    except (OSError, ValueError, SyntaxError):
        return None
    return decode(jpeg)


def _to_rgb(picture: Any) -> UInt8Array:
    """Convert OpenCV's BGR to RGB."""
    out: UInt8Array = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    return out
