"""What a video file stores, as tools see it that count its frames and do not stretch its pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from vidcam.errors import InputError
from vidcam.io.container import open_video_stream, read_packets
from vidcam.io.reading import TICK_S

__all__ = ["StoredVideo", "look_at_stored"]


@dataclass(frozen=True)
class StoredVideo:
    """How a file stores its pictures.

    Attributes:
        size: (H, W) of a picture in stored pixels, which need not be square, turned upright.
        frames_before: How many frames are shown in the seconds that were asked for.
    """

    size: tuple[int, int]
    frames_before: int


def look_at_stored(name: str, *, rotation: int, counted: tuple[float, float] | None = None) -> StoredVideo | None:
    """Return how a video file stores its pictures; None if it is no video file, such as a folder of images.

    Args:
        name: The file or address.
        rotation: The clockwise turn in degrees that makes its pictures upright.
        counted: Frames from the first of these seconds of the stream's clock to the second are counted, without decoding them;
            None counts none. The first is that of the first frame, because a file may store others that are not shown.
    """
    try:
        with open_video_stream(name) as (container, stream):
            size = stream.codec_context.height, stream.codec_context.width
            # AVI stores no times of display: its frames are shown at those of decoding.
            clock: Literal["pts", "dts"] = "dts" if container.format.name == "avi" else "pts"
            frames = 0 if counted is None else _count(read_packets(container, stream), counted, clock)
    except InputError:
        return None
    return StoredVideo((size[1], size[0]) if rotation in (90, 270) else size, frames)


def _count(packets: Iterator[Any], counted: tuple[float, float], clock: Literal["pts", "dts"]) -> int:
    """Return how many pictures are shown between two seconds, with a small margin because containers round times."""
    first, second = (time - TICK_S for time in counted)
    frames = 0
    for packet in packets:
        if packet.dts is not None and packet.dts * packet.time_base > counted[1]:
            break
        ticks = getattr(packet, clock)
        frames += ticks is not None and first <= ticks * packet.time_base < second
    return frames
