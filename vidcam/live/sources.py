"""What can be watched: a camera, a network stream, a file in real time, pictures that a browser sends.

Each gives frames until it is told to stop, and raises InputError of one sentence where it cannot go on. Waiting is bounded
everywhere, so that a source can always be stopped. Nothing is kept back: who takes the frames decides what is left out.
"""

from __future__ import annotations

import io
import math
import re
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import av
import cv2
import numpy as np
from av.error import FFmpegError
from av.video.stream import VideoStream

from vidcam.errors import InputError, UsageError
from vidcam.io.clock import SYSTEM, Clock, Stop
from vidcam.io.container import METADATA, decoder_options
from vidcam.io.source import open_source
from vidcam.values import Frame, UInt8Array

__all__ = ["BROWSER", "Camera", "LiveSource", "Network", "Pushed", "Recording", "choose"]

BROWSER = "browser"
OPEN_S, READ_S = 8.0, 5.0  # how long a network stream may stay silent when it is opened, and while it is read
BEHIND_S = 0.25  # a file that lags more than this behind real time is played slower rather than with gaps
DRIFT_S = 1.0  # a stream whose clock is this far behind ours is set anew
TICK_S = 0.001
LARGEST = 2048  # pixels along a side of a picture that a browser sends
SECRET = "pass|pwd|psw|user|login|token|key|secret|auth"  # what begins such a word is not shown


class LiveSource(Protocol):
    """``name`` is for people; ``ends`` where the last frame is an end, and not a failure that is worth another try."""

    name: str
    ends: bool

    def frames(self, stop: Stop) -> Iterator[Frame]:
        """Frames in strictly increasing time, until the end or ``stop``. InputError where the source cannot be read."""
        ...


def choose(source: str, *, loop: bool = False, real_time: bool = True, clock: Clock = SYSTEM) -> LiveSource:
    """The source that the words name: a number is a camera, an address a stream, anything else a file that is played.

    A file is played in real time, or as fast as its frames are taken if ``real_time`` is false. UsageError where ``loop`` is
    asked of what has no end; InputError where a file is not there.
    """
    camera = re.fullmatch(r"(?:/dev/video)?(\d{1,3})", source)
    if camera or re.match(r"[a-z][a-z0-9+.\-]+://", source, re.IGNORECASE):
        if loop:
            raise UsageError(f"--loop is for files: {source if camera else shown(source)} has no end")
        if not real_time:
            raise UsageError(f"--fast is for files: {source if camera else shown(source)} comes as it comes")
        return Camera(int(camera[1]), clock=clock) if camera else Network(source, clock=clock)
    if not Path(source).exists() and not re.search(r"%0?\d*d|[*?]", source):
        raise InputError(
            f"there is no file {source}; a source is a camera's number (0 is the first), an rtsp:// or http:// address, "
            f"a file, or the word {BROWSER}"
        )
    return Recording(source, loop=loop, real_time=real_time, clock=clock)


class Camera:
    """A camera of this machine by its number, in its own size and rate; the time of a frame is that of its arrival."""

    ends = False

    def __init__(self, index: int, *, clock: Clock = SYSTEM) -> None:
        self.index, self._clock = index, clock
        self.name = f"camera {index}"

    def frames(self, stop: Stop) -> Iterator[Frame]:
        capture = _open_camera(self.index)
        try:
            if not capture.isOpened():
                raise InputError(
                    f"{self.name} cannot be opened: it is not there, or another program uses it; "
                    f"name another number, or use the camera of your web browser: vidcam live {BROWSER}"
                )
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
            last = -math.inf
            while not stop.is_set():
                taken, picture = capture.read()
                if not taken:
                    raise InputError(f"{self.name} gives no pictures any more; was it pulled out?")
                last = max(self._clock.now(), last + TICK_S)
                yield Frame(_rgb(picture), last, 0.0)
        finally:
            capture.release()


def _open_camera(index: int) -> Any:
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # our sentence says it
    try:
        return cv2.VideoCapture(index)
    finally:
        cv2.utils.logging.setLogLevel(level)


class Network:
    """A stream at an address: RTSP, HTTP with MJPEG or HLS, and what else FFmpeg knows; a recording is played in real time.

    The frames' own clock is kept and moved to this machine's, so that jitter on the way does not shake the sampling.
    """

    ends = False

    def __init__(self, address: str, *, open_s: float = OPEN_S, read_s: float = READ_S, clock: Clock = SYSTEM) -> None:
        """``open_s`` is how many seconds it may stay silent when it is opened, ``read_s`` while it is read."""
        self.address, self._open_s, self._read_s, self._clock = address, open_s, read_s, clock
        self.name = shown(address)

    def frames(self, stop: Stop) -> Iterator[Frame]:
        options = {"rtsp_transport": "tcp", "analyzeduration": "1000000", **decoder_options()}
        try:
            timeout = self._open_s, self._read_s
            with av.open(self.address, options=options, timeout=timeout, **METADATA) as container:  # type: ignore[call-overload]
                stream = container.streams.best("video")
                if not isinstance(stream, VideoStream):
                    raise InputError(f"{self.name} has no video in it")
                stream.codec_context.options = decoder_options()
                stream.thread_type = "SLICE"  # threads by frames would hold frames back
                recorded = bool(container.duration and container.duration > 0)
                times, pace = _Dejitter(), _Pace(self._clock)
                for picture in container.decode(stream):
                    if stop.is_set():
                        return
                    stated = None if picture.time is None else float(picture.time)
                    if recorded and stated is not None and not pace.wait(stated, stop):
                        return
                    image: Any = picture.to_ndarray(format="rgb24")
                    yield Frame(image, times.at(stated, now=self._clock.now()), 0.0)
        except (FFmpegError, OSError) as error:
            if isinstance(error, InputError):
                raise
            reason = _reason(error, self._read_s).replace(self.address, self.name)
            raise InputError(f"{self.name} cannot be read: {reason}; check the address and the connection") from error
        raise InputError(f"{self.name} has stopped sending")


def shown(address: str) -> str:
    """The address as others may see it: without user and password, without the query, secrets in the path as ``***``."""
    address = re.sub(r"//(?:[^/?#]*@|[^/@:\[]+:(?!\d*(?:[/?#]|$)).*@)", "//", address, count=1)
    return re.sub(rf"((?:{SECRET})\w*=)[^&;]*", r"\1***", re.split(r"[?#]", address)[0], flags=re.IGNORECASE)


def _reason(error: Exception, silent_s: float) -> str:
    if isinstance(error, av.error.ExitError | TimeoutError) or "Immediate exit" in str(error):
        return f"it sent nothing for {silent_s:g} seconds"
    return getattr(error, "strerror", None) or str(error)


class _Dejitter:
    """A stream's seconds on this machine's monotonic clock, by the least delay that was seen; strictly increasing."""

    def __init__(self) -> None:
        self._shift = math.inf
        self._last = -math.inf

    def at(self, stated: float | None, *, now: float) -> float:
        if stated is None:
            found = now
        else:
            if not now - DRIFT_S <= stated + self._shift <= now:
                self._shift = now - stated
            found = stated + self._shift
        self._last = max(found, self._last + TICK_S)
        return self._last


class _Pace:
    """Waits until a recorded time is due."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._begin: float | None = None

    def wait(self, recorded: float, stop: Stop) -> bool:
        """False where there is no need to go on."""
        now = self._clock.now()
        if self._begin is None:
            self._begin = now - recorded
        late = now - (self._begin + recorded)
        if late > BEHIND_S:
            self._begin += late
        return not (stop.wait(-late) if late < 0 else stop.is_set())


class Recording:
    """A file, or whatever else :func:`vidcam.open_source` reads, played in real time, over and over where ``loop``.

    The frames keep the file's own times; each further round goes on where the one before it ended. If ``real_time`` is false,
    they come as fast as they are taken.
    """

    ends = True

    def __init__(self, path: str, *, loop: bool = False, real_time: bool = True, clock: Clock = SYSTEM) -> None:
        self.path = path
        self.name = Path(path).name
        self.loop, self.real_time, self._clock = loop, real_time, clock

    def frames(self, stop: Stop) -> Iterator[Frame]:
        with open_source(self.path) as source:
            pace, shift = _Pace(self._clock), 0.0
            while True:
                first = end = None
                with closing(source.frames()) as reading:  # type: ignore[type-var]
                    for frame in reading:
                        first = frame.time if first is None else first
                        end = frame.end
                        if stop.is_set() or (self.real_time and not pace.wait(frame.time + shift, stop)):
                            return
                        yield replace(frame, time=frame.time + shift) if shift else frame
                if not self.loop or first is None or end is None:
                    return
                shift += max(end - first, TICK_S)


class Pushed:
    """Pictures that come from elsewhere, such as a browser's camera: the newest wins."""

    ends = True

    def __init__(self, name: str = BROWSER) -> None:
        self.name = name
        self._ready = threading.Condition()
        self._newest: tuple[bytes, float] | None = None
        self._closed = False

    def put(self, jpeg: bytes, *, at: float) -> None:
        """A JPEG taken ``at`` this second of the sender's clock."""
        with self._ready:
            self._newest = jpeg, at
            self._ready.notify()

    def close(self) -> None:
        with self._ready:
            self._closed = True
            self._ready.notify()

    def frames(self, stop: Stop) -> Iterator[Frame]:
        last = -math.inf
        stop.wakes(self._ready)
        while not stop.is_set():
            with self._ready:
                self._ready.wait_for(lambda: self._newest or self._closed or stop.is_set())
                taken, self._newest = self._newest, None
                if taken is None:
                    if self._closed:
                        return
                    continue
            picture = _decode(taken[0])
            if picture is not None and math.isfinite(taken[1]) and taken[1] > last:
                last = taken[1]
                yield Frame(picture, last, 0.0)


def _decode(jpeg: bytes) -> UInt8Array | None:
    """The picture in a JPEG from outside; None where it is damaged or too large."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as header:  # its size, before anything is decoded
            if max(header.size) > LARGEST:
                return None
    except (OSError, ValueError, SyntaxError):
        return None
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    return None if picture is None else _rgb(picture)


def _rgb(picture: Any) -> UInt8Array:
    """RGB of OpenCV's BGR."""
    out: UInt8Array = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    return out
