"""Leaves out the decoding of pictures that nobody looks at.

Half of the pictures of most H.264 video are B-frames that no other picture refers to. The decoder can drop them
(``skip_frame``, ``AVDISCARD_NONREF`` of FFmpeg), and all others come out unchanged.
"""

from __future__ import annotations

import bisect
import math
from array import array
from collections.abc import Iterator
from typing import Any

import numpy as np
from av.error import FFmpegError

from vidcam.errors import InputError
from vidcam.io.container import is_url, open_video_stream, read_packets, restarts, seek_before
from vidcam.io.reading import Needed, TimedPicture, limits
from vidcam.values import SourceInfo

__all__ = ["SkipPlan", "plan_skipping"]


class SkipPlan:
    """Which pictures of a stream are needed, known before any is decoded.

    Args:
        ticks: The presentation times of all pictures, increasing, in the stream's time base.
        needed: Whether each picture is needed; for a byte of 0 it is not.
        num: The numerator of the time base.
        den: Its denominator.
        size: (H, W) of the upright pictures.
    """

    def __init__(self, ticks: array[int], needed: bytearray, num: int, den: int, size: tuple[int, int]) -> None:
        self._ticks, self._needed, self._num, self._den, self._size = ticks, needed, num, den, size
        self._has_lost = False
        """Whether a needed picture is lost: from there on, other pictures than the planned ones may be looked at."""

    def watch(self, packet: Any) -> None:
        """Tell the decoder whether to drop the picture in the packet that comes next."""
        if packet.pts is not None:
            at = bisect.bisect_left(self._ticks, packet.pts)
            is_dropped = at < len(self._ticks) and self._ticks[at] == packet.pts and not self._needed[at]
            is_dropped &= not self._has_lost
            packet.stream.codec_context.skip_frame = "NONREF" if is_dropped else "DEFAULT"

    def fill(self, pictures: Iterator[TimedPicture]) -> Iterator[TimedPicture]:
        """Yield the decoded pictures, and between them those that were dropped; no picture that is not needed is converted."""
        at, last = len(self._ticks), -math.inf  # nothing is missing before the first picture
        for item in pictures:
            here = bisect.bisect_left(self._ticks, item.picture.pts)
            for i in range(at, here):
                time = self._ticks[i] * self._num / self._den
                self._has_lost |= bool(self._needed[i])
                if not self._needed[i] and last < time < item.time:
                    yield TimedPicture(self._size, time, 0.0)
            at, last = bisect.bisect_right(self._ticks, item.picture.pts), item.time
            is_shown = self._has_lost or at == here or self._needed[here]
            yield item if is_shown else TimedPicture(self._size, item.time, item.duration)
            del item  # frees the picture


def plan_skipping(info: SourceInfo, start: float | None, end: float | None, needed: Needed) -> SkipPlan | None:
    """Return which pictures of a file to leave out; None if all must be decoded.

    The packets of the range are read for their times, which takes 1 % of the time of decoding it. Nothing is left out of other
    codecs than H.264: in HEVC, a picture that is marked as not referred to may be referred to by a higher layer.
    """
    if info.codec != "h264" or is_url(info.path):
        return None
    try:
        with open_video_stream(info.path) as (container, stream):
            base = stream.time_base
            assert base is not None  # every stream of an opened file has one
            num, den = base.numerator, base.denominator
            if start and not seek_before(container, stream, info.start_s + start):
                return None
            low, high = limits(start, end, info.start_s)
            read = None if restarts(container) else _ticks(read_packets(container, stream), high * den / num)
    except (FFmpegError, InputError):
        return None  # whoever decodes it will say what is lost
    if read is None:
        return None
    times = [tick * num / den for tick in read]
    first, last = bisect.bisect_left(times, max(low, info.start_s)), bisect.bisect_left(times, high)
    if last <= first:
        return None
    flags = bytearray(first) + bytes(map(bool, needed(times[first:last]))) + b"\x01" * (len(times) - last)
    flags[last - 1] = 1  # its decoder says how long it lasts
    return SkipPlan(read, flags, num, den, (info.height, info.width))


def _ticks(packets: Iterator[Any], end: float) -> array[int] | None:
    """Return the times of the packets up to the tick ``end`` in increasing order.

    None if they are in order already, because then there are no B-frames to leave out, and if a time is missing or repeated.
    """
    ticks = array("q")
    for packet in packets:
        if packet.dts is not None and packet.dts >= end:
            break  # pictures are decoded before they are shown
        if packet.pts is None:
            if packet.size:
                return None
        elif packet.is_discard or packet.is_corrupt:
            return None
        else:
            ticks.append(packet.pts)
    steps = np.diff(ticks)
    if not len(steps) or (steps > 0).all():
        return None
    ticks = array("q", sorted(ticks))
    return ticks if (np.diff(ticks) > 0).all() else None
