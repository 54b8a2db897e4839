"""The form in which every kind of input is opened: its facts, and a function that reads its frames."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from vidcam.errors import InputError
from vidcam.values import BareFrame, Frame, SourceInfo, UInt8Array
from vidcam.yuv import Planes

__all__ = ["TICK_S", "Needed", "OpenedInput", "ReadFrames", "TimedPicture", "Warn", "frames_in_range", "limits"]

TICK_S = 0.001  # the finest step that every container can store; a time that does not advance is moved on by it

Warn = Callable[[str], None]
"""Takes one sentence about something that was lost."""

Needed = Callable[[Sequence[float]], Sequence[bool]]
"""Says which of the frames with these times (on the stream's clock) are looked at."""

ReadFrames = Callable[[float | None, float | None, Warn, Needed | None], Generator[Frame, None, None]]
"""Reads the frames of ``[start, end)``, seconds from the first frame of the video, None for no limit.

If the last argument is given, it may yield a :class:`vidcam.values.BareFrame` for a picture that is not needed."""


class OpenedInput(NamedTuple):
    """An input that can be read.

    ``warnings`` are sentences about what was lost already; ``release`` closes what is open between two readings.
    """

    info: SourceInfo
    read: ReadFrames
    warnings: Sequence[str] = ()
    release: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class TimedPicture:
    """A decoded picture, not yet upright, with its time and duration in seconds.

    Attributes:
        picture: A PyAV video frame, an RGB image ``(H, W, 3) uint8``, or the (H, W) of the upright picture if it was skipped.
        time: Seconds on the stream's clock.
        duration: Seconds.
        has_own_time: False if the time was predicted, because the stream gives none.
        aspect: The sample aspect ratio, if it may differ from that of the first picture; 0.0 otherwise.
    """

    picture: Any
    time: float
    duration: float
    has_own_time: bool = True
    aspect: float = 0.0


def frames_in_range(
    name: str,
    pictures: Iterator[TimedPicture],
    start: float | None,
    end: float | None,
    first: float,
    upright: Callable[[TimedPicture], UInt8Array | Planes],
) -> Iterator[Frame]:
    """Yield the pictures in ``[start, end)`` seconds after ``first`` as frames.

    One picture is held back until the next one's time, and with it its own end, is known. InputError if the range is empty.
    """

    def frame(timed: TimedPicture, duration: float) -> Frame:
        if isinstance(timed.picture, tuple):
            return BareFrame(timed.picture, timed.time, duration)
        return Frame(upright(timed), timed.time, duration)

    low, high = limits(start, end, first)
    held: TimedPicture | None = None
    last, is_empty = first, True
    for item in pictures:
        if held is not None:
            yield frame(held, item.time - held.time)
            held, is_empty = None, False
        last = item.time
        if item.time >= high:
            break
        if item.time >= low:
            held = item
    if held is not None:
        yield frame(held, held.duration)
    elif is_empty:
        asked = f"from {start or 0.0:g} s on" + ("" if end is None else f" and before {end:g} s")
        raise InputError(f"{name} has no picture {asked}; the last one is at {last - first:.3f} s")


def limits(start: float | None, end: float | None, first: float) -> tuple[float, float]:
    """Return the times ``[low, high)`` on the stream's clock that ``[start, end)`` seconds after ``first`` stand for."""
    low = -math.inf if start is None else first + start - TICK_S / 2
    high = math.inf if end is None else first + end - TICK_S / 2
    return low, high
