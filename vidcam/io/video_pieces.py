"""Cuts a video into short MP4 files that start at keyframes, without decoding or encoding anything."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, NamedTuple

import av
import numpy as np
from av.video.stream import VideoStream

from vidcam.io.container import open_video_stream, read_packets
from vidcam.values import FloatArray

__all__ = ["VideoPiece", "video_pieces"]


class VideoPiece(NamedTuple):
    """A part of a video as an MP4 file.

    Attributes:
        content: The bytes of the file.
        times: Seconds of its frames on the clock of the whole video, increasing.
    """

    content: bytes
    times: FloatArray


def video_pieces(name: str, *, start_s: float, end_s: float, max_bytes: int) -> Iterator[VideoPiece]:
    """Yield the pictures of a video as they are coded, in pieces that can be decoded by themselves.

    A piece ends before the first keyframe after ``max_bytes`` on which no earlier picture depends. Only one piece is in memory.

    Args:
        name: The file or address.
        start_s: Groups of pictures that end before this second of the stream's clock are left out.
        end_s: Those that begin after this second are left out.
        max_bytes: About how large a piece may become.

    Raises:
        InputError: The file cannot be read.
        ValueError: MP4 cannot hold its pictures.
    """
    with open_video_stream(name) as (container, stream):
        piece: list[Any] = []
        size = 0
        for group in _groups(read_packets(container, stream)):
            seconds = [float(p.pts * p.time_base) for p in group]
            if max(seconds) < start_s or min(seconds) > end_s:
                continue
            weight = sum(p.size for p in group)
            is_closed = min(p.pts for p in group) == group[0].pts
            if piece and is_closed and size + weight > max_bytes:
                yield _write(stream, piece)
                piece, size = [], 0
            piece += group
            size += weight
        if piece:
            yield _write(stream, piece)


def _groups(packets: Iterator[Any]) -> Iterator[list[Any]]:
    """Yield the packets from each keyframe to the next; those without a time, and those before the first, are left out."""
    group: list[Any] = []
    for packet in packets:
        if packet.pts is None:
            continue
        if packet.is_keyframe and group:
            yield group
            group = []
        if group or packet.is_keyframe:
            group.append(packet)
    if group:
        yield group


def _write(stream: VideoStream, packets: list[Any]) -> VideoPiece:
    """Return packets as an MP4 file whose first picture is shown at zero."""
    first = min(packet.pts for packet in packets)
    times = sorted(float(packet.pts * packet.time_base) for packet in packets)
    file = io.BytesIO()
    try:
        with av.open(file, "w", format="mp4") as output:
            copy = output.add_stream_from_template(stream)
            for packet in packets:
                packet.pts -= first
                packet.dts = None if packet.dts is None else packet.dts - first
                packet.stream = copy
                output.mux(packet)
    except av.FFmpegError as error:
        raise ValueError(f"MP4 does not hold its pictures ({error})") from error
    return VideoPiece(file.getvalue(), np.array(times))
