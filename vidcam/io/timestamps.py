"""Repairs the times of decoded pictures: missing, repeated, restarted and out of order."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vidcam.io.container import DEFAULT_FPS, JUMP_S, frame_rate, longest_pause
from vidcam.io.reading import TICK_S, TimedPicture

__all__ = ["DISORDER", "TimestampRepair", "has_decoding_times"]

PROBED_PICTURES = 32  # how many pictures are decoded to see whether the times go back and forth
DISORDER = (
    "the pictures of {} are stored with the times at which they are decoded, not with those at which they are shown: these were"
    " restored from the order of decoding"
)


class TimestampRepair:
    """Gives each decoded picture its time in seconds.

    The times strictly increase, and no picture is dropped or doubled.

    - A picture without a time comes one duration after the one before it.
    - A time that does not advance is moved to ``TICK_S`` after the one before it.
    - If the clock restarts (joined recordings), times go on from where they were; also if it leaps ahead by more than a pause can
      be long (:func:`~vidcam.io.container.longest_pause`).
    - Some files store the times of decoding in place of those of display. Then times of B-frames go back and forth, and each
      picture gets the decoding time of the packet that brings it out of the decoder, which equals its display time.

    All packets must pass through :meth:`watch` before they are decoded.

    Attributes:
        disordered: Whether the file stores the times of decoding, as given or found so far.
        by_dts: Whether pictures get decoding times.
        in_order: Whether all packets have come in the order of their times; None before the first.
        duration: Seconds of the last picture.
        skipped: By how many seconds the clock has leapt ahead, in all.
    """

    def __init__(self, container: InputContainer, stream: VideoStream, *, disordered: bool = False) -> None:
        base = stream.time_base
        assert base is not None  # every stream of an opened file has one
        self._stream = stream
        self._num, self._den = base.numerator, base.denominator
        # AVI stores no presentation times. FFmpeg's guesses for B-frames are out of order; the decoding times are right.
        self._is_avi = container.format.name == "avi"
        self.by_dts = disordered or self._is_avi
        self.disordered = disordered
        self.in_order: bool | None = None
        self.skipped = 0.0
        self._longest_pause = longest_pause(container)
        self._shift = 0.0
        self._last: float | None = None
        self._last_dts: int | None = None
        self._highest_pts: int | None = None  # of the packets
        self.duration = 1.0 / (frame_rate(stream) or DEFAULT_FPS)

    @property
    def end(self) -> float:
        """The second at which the last picture ends."""
        return 0.0 if self._last is None else self._last + self.duration

    def watch(self, packet: Any) -> Any:
        """Return the packet for the decoder; its decoding time may be corrected."""
        if packet.pts is not None and packet.stream.index == self._stream.index:
            self.in_order = self.in_order is not False and (self._highest_pts is None or packet.pts > self._highest_pts)
            self._highest_pts = packet.pts
            if self.in_order and not self._is_avi:
                packet.dts = packet.pts  # Matroska stores one time only; FFmpeg's guess at the other can be wrong
        return packet

    def stamp(self, picture: VideoFrame) -> TimedPicture:
        """Return the next decoded picture with its repaired time."""
        dts, last_dts = picture.dts, self._last_dts
        self._last_dts = last_dts if dts is None else dts
        ticks = dts if self.by_dts else picture.pts
        time = self.end if ticks is None else ticks * self._num / self._den + self._shift
        if self._last is not None and (leap := time - self.end) > self._longest_pause:
            self.skipped += leap
            self._shift -= leap
            time = self.end
        duration = max(0, picture.duration or 0) * self._num / self._den
        if self._last is not None:
            if time > self._last:
                duration = duration or time - self._last
            else:
                time = self._repaired(time, self._last, dts, last_dts)
            time = max(time, math.nextafter(self._last, math.inf))  # floats far from zero have larger steps
        self.duration = duration or self.duration
        self._last = time
        return TimedPicture(picture, time, self.duration, ticks is not None)

    def _repaired(self, time: float, last: float, dts: int | None, last_dts: int | None) -> float:
        """Return the time of a picture whose stated time does not come after ``last``."""
        if self._has_restarted(last - time, dts, last_dts):
            self._shift += self.end - time
            return self.end
        if time < last and self.in_order and not self.by_dts and dts is not None:
            self.by_dts = self.disordered = True
            self._shift = self.end - dts * self._num / self._den
            return self.end
        return last + TICK_S

    def _has_restarted(self, back: float, dts: int | None, last_dts: int | None) -> bool:
        """Return whether the clock, ``back`` seconds behind the last picture, has started anew.

        After a short recording the jump is small; then the decoding times start anew as well.
        """
        return back > JUMP_S or (dts is not None and last_dts is not None and dts < last_dts and back > 3 * self.duration)


def has_decoding_times(stream: VideoStream, repair: TimestampRepair, pictures: Iterator[TimedPicture]) -> bool:
    """Return whether the file stores the times of decoding.

    Some of ``pictures`` are consumed if that is needed to see it, which is so only if all packets come in the order of their
    times and the codec reorders pictures.
    """
    for _ in range(PROBED_PICTURES):
        if repair.by_dts or not repair.in_order or not stream.codec_context.has_b_frames or next(pictures, None) is None:
            break
    return repair.disordered
