"""What a video file stores, as tools see it that count its frames and do not stretch its pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from vidcam.errors import InputError
from vidcam.io.container import open_video_stream, read_packets
from vidcam.io.reading import TICK_S

__all__ = ["StoredVideo", "look_at_stored"]


@dataclass(frozen=True)
class StoredVideo:
    """How a file stores its pictures.

    Attributes:
        size: (H, W) of a picture in stored pixels, which need not be square, turned upright.
        frames_before: How many frames are shown before the second that was asked for.
    """

    size: tuple[int, int]
    frames_before: int


def look_at_stored(name: str, *, rotation: int, before_s: float | None = None) -> StoredVideo | None:
    """Return how a video file stores its pictures; None if it is no video file, such as a folder of images.

    Args:
        name: The file or address.
        rotation: The clockwise turn in degrees that makes its pictures upright.
        before_s: Frames before this second of the stream's clock are counted, without decoding them; None counts none.
    """
    try:
        with open_video_stream(name) as (container, stream):
            size = stream.codec_context.height, stream.codec_context.width
            frames = 0 if before_s is None else _count_before(read_packets(container, stream), before_s)
    except InputError:
        return None
    return StoredVideo((size[1], size[0]) if rotation in (90, 270) else size, frames)


def _count_before(packets: Iterator[Any], second: float) -> int:
    """Return how many pictures are shown before a second, with a small margin because containers round times."""
    frames = 0
    for packet in packets:
        if packet.dts is not None and packet.dts * packet.time_base > second:
            break
        frames += packet.pts is not None and packet.pts * packet.time_base < second - TICK_S
    return frames
