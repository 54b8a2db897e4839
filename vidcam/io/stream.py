"""Reads network streams (RTSP, HTTP) as frames on this machine's clock; paces recordings to real time."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import av
from av.error import FFmpegError
from av.video.stream import VideoStream

from vidcam.errors import InputError
from vidcam.io.clock import SYSTEM, Clock, Stop
from vidcam.io.container import METADATA, decoder_options
from vidcam.values import Frame

__all__ = ["Dejitter", "NetworkStream", "Pace", "hide_secrets"]

OPEN_S, READ_S = 8.0, 5.0  # the longest silence that is accepted while a stream is opened, and while it is read
MAX_LAG_S = 0.25  # if a recording lags further behind real time, its schedule is moved, so that no frames are skipped
MAX_DRIFT_S = 1.0  # if the stream's clock is further behind this machine's, the two are aligned again
MIN_STEP_S = 0.001  # the smallest step between the times of two frames
_SECRET = "pass|pwd|psw|user|login|token|key|secret|auth"  # values of parameters whose names begin so are hidden


class NetworkStream:
    """A stream at an address: RTSP, HTTP with MJPEG or HLS, and whatever else FFmpeg can open.

    Frames keep the stream's own timing, moved to this machine's clock, so that network jitter does not disturb the sampling. A
    recording (a stream of known duration) is played in real time.

    Args:
        address: The URL.
        open_s: The longest silence in seconds that is accepted while the stream is opened.
        read_s: The longest silence in seconds that is accepted while the stream is read.
        clock: The clock that gives the frames' times.
    """

    ends = False

    def __init__(self, address: str, *, open_s: float = OPEN_S, read_s: float = READ_S, clock: Clock = SYSTEM) -> None:
        self.address, self._open_s, self._read_s, self._clock = address, open_s, read_s, clock
        self.name = hide_secrets(address)

    def frames(self, stop: Stop) -> Iterator[Frame]:
        """Yield frames with strictly increasing times until ``stop`` is set.

        Raises:
            InputError: The stream cannot be opened or read, holds no video, or has ended.
        """
        options = {"rtsp_transport": "tcp", "analyzeduration": "1000000", **decoder_options()}
        try:
            timeout = self._open_s, self._read_s
            with av.open(self.address, options=options, timeout=timeout, **METADATA) as container:  # type: ignore[call-overload]
                stream = container.streams.best("video")
                if not isinstance(stream, VideoStream):
                    raise InputError(f"{self.name} holds no video")
                stream.codec_context.options = decoder_options()
                stream.thread_type = "SLICE"  # decoding several frames in parallel would delay them
                is_recording = bool(container.duration and container.duration > 0)
                dejitter, pace = Dejitter(), Pace(self._clock)
                for picture in container.decode(stream):
                    if stop.is_set():
                        return
                    stream_time = None if picture.time is None else float(picture.time)
                    if is_recording and stream_time is not None and not pace.wait(stream_time, stop):
                        return
                    image: Any = picture.to_ndarray(format="rgb24")
                    yield Frame(image, dejitter.at(stream_time, now=self._clock.now()), 0.0)
        except (FFmpegError, OSError) as error:
            if isinstance(error, InputError):
                raise
            reason = _reason(error, self._read_s).replace(self.address, self.name)
            raise InputError(f"{self.name} cannot be read: {reason}; check the address and the connection") from error
        raise InputError(f"{self.name} has stopped sending")


def hide_secrets(address: str) -> str:
    """Return the address without user, password and query, and with secrets in its path as ``***``."""
    address = re.sub(r"//(?:[^/?#]*@|[^/@:\[]+:(?!\d*(?:[/?#]|$)).*@)", "//", address, count=1)
    return re.sub(rf"((?:{_SECRET})\w*=)[^&;]*", r"\1***", re.split(r"[?#]", address)[0], flags=re.IGNORECASE)


def _reason(error: Exception, silent_s: float) -> str:
    if isinstance(error, av.error.ExitError | TimeoutError) or "Immediate exit" in str(error):
        return f"it sent nothing for {silent_s:g} seconds"
    return getattr(error, "strerror", None) or str(error)


class Dejitter:
    """Maps a stream's times to this machine's clock by the smallest delay seen so far."""

    def __init__(self) -> None:
        self._shift = math.inf
        self._last = -math.inf

    def at(self, stream_time: float | None, *, now: float) -> float:
        """Return the local time in seconds of a frame that arrives ``now``; results strictly increase.

        ``stream_time`` is the frame's time on the stream's clock in seconds, None if it has none.
        """
        if stream_time is None:
            time = now
        else:
            if not now - MAX_DRIFT_S <= stream_time + self._shift <= now:
                self._shift = now - stream_time
            time = stream_time + self._shift
        self._last = max(time, self._last + MIN_STEP_S)
        return self._last


class Pace:
    """Delays the frames of a recording until they are due, so that it plays in real time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._begin: float | None = None

    def wait(self, recorded: float, stop: Stop) -> bool:
        """Wait until the recording's second ``recorded`` is due; return False if ``stop`` was set."""
        now = self._clock.now()
        if self._begin is None:
            self._begin = now - recorded
        late = now - (self._begin + recorded)
        if late > MAX_LAG_S:
            self._begin += late
        return not (stop.wait(-late) if late < 0 else stop.is_set())
