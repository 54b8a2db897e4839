"""Decodes what can be decoded of a damaged video, and says in sentences what was lost."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from av.error import ArgumentError, FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vidcam.io.container import max_pixels, to_float
from vidcam.io.reading import Warn
from vidcam.values import SourceInfo

__all__ = ["Damage", "decode_pictures"]


@dataclass
class Damage:
    """What went wrong while a video was decoded.

    Attributes:
        ended_by: The reason why the file could not be read further; empty if there was none.
        pieces: How many pictures could not be decoded properly.
        refused: How many of these were refused by a limit of the decoder, as pictures that are too large are.
        reached: The second up to which any stream of the file holds packets.
    """

    ended_by: str = ""
    pieces: int = 0
    refused: int = 0
    reached: float = -math.inf

    def report(self, info: SourceInfo, reached: float, *, slack: float, warn: Warn) -> None:
        """Warn of what was lost.

        Args:
            info: The facts of the source.
            reached: How many seconds of the video could be read.
            slack: Seconds that may be missing at the end without a warning.
            warn: Takes the sentences.
        """
        total = info.duration_s
        why = f" ({self.ended_by})" if self.ended_by else ""
        if total is not None and total - reached > slack:
            warn(f"{info.path} breaks off{why}: {max(0.0, reached):.2f} s of {total:.2f} s could be read, the rest is lost")
        elif self.ended_by:
            warn(f"{info.path} breaks off after {max(0.0, reached):.2f} s{why}")
        if self.pieces:
            large = f", or are of more than {max_pixels()} pixels (VIDCAM_MAX_PIXELS)" if self.refused else ""
            warn(f"{info.path} is damaged: {self.pieces} of its pictures could not be decoded properly{large}")


def decode_pictures(
    stream: VideoStream, packets: Iterator[Any], damage: Damage, max_packets: int | None = None
) -> Iterator[VideoFrame]:
    """Yield every picture that can be decoded, in display order, and note in ``damage`` what cannot.

    ``packets`` may belong to other streams too. At most ``max_packets`` of this stream are asked for.
    """

    def attempt(decode: Callable[[], list[VideoFrame]]) -> list[VideoFrame]:
        try:
            pictures = decode()
        except (FFmpegError, ValueError) as error:  # PyAV raises ValueError if the decoder cannot be opened
            damage.pieces += 1
            context = stream.codec_context  # too large a picture: some decoders raise EINVAL, others still know its size
            damage.refused += isinstance(error, ArgumentError) or context.width * context.height > max_pixels()
            return []
        damage.pieces += sum(p.is_corrupt for p in pictures)
        return pictures

    taken = 0
    try:
        for packet in packets:  # the last packet is empty and flushes the decoder
            if packet.pts is not None:
                damage.reached = max(damage.reached, (packet.pts + (packet.duration or 0)) * to_float(packet.time_base))
            if packet.stream.index == stream.index:
                yield from attempt(packet.decode)
                taken += 1
                if taken == max_packets:
                    break
        else:
            return
    except FFmpegError as error:
        damage.ended_by = error.strerror or "damaged"
    yield from attempt(lambda: stream.codec_context.decode(None))
