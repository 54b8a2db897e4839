"""What browsers can play: a look at a video file, and a copy of its packets in a container that they know.

A browser plays a file as it is if all of it is usual: the container (MP4, WebM), the codec (H.264, VP8, VP9, AV1) with 8 bits in
4:2:0, and the audio codec. If only the container or the audio is unusual, :func:`remux` copies the pictures as they are coded.
Everything else must be encoded again.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from vidcam.errors import InputError, OutputError
from vidcam.io.audio import PLAYED_EVERYWHERE, open_audio
from vidcam.io.container import (
    DEFAULT_FPS,
    frame_rate,
    is_url,
    longest_pause,
    open_video_stream,
    read_packets,
    sound_of,
    stated_duration,
)
from vidcam.io.encoders import TICKS
from vidcam.io.files import atomic_write
from vidcam.io.remote import is_remote
from vidcam.io.source import Source
from vidcam.io.timestamps import DISORDER

__all__ = ["Playability", "Playback", "check_playable", "remux"]

Way = Literal["as it is", "remux", "transcode"]

_PIXELS = frozenset({"yuv420p", "yuvj420p"})
_MP4_CODECS, _WEBM_CODECS = frozenset({"h264", "vp9", "av1"}), frozenset({"vp8", "vp9", "av1"})
_WEBM_SOUND = frozenset({"opus", "vorbis"})
_MP4_NAMES, _WEBM_NAMES = frozenset({".mp4", ".m4v"}), frozenset({".webm"})


@dataclass(frozen=True)
class Playability:
    """How a browser gets to play a source, and why not as it is.

    Attributes:
        way: ``as it is``; ``remux`` if its packets need another container; ``transcode`` if its pictures must be encoded again.
        reason: What browsers cannot play; empty for ``as it is``.
    """

    way: Way
    reason: str = ""


@dataclass(frozen=True)
class Playback:
    """The video that a page plays.

    Attributes:
        path: The file.
        first_s: The second of its first frame on the source's clock. A page finds its own clock from that.
        size: (H, W) of the pictures as a browser shows them, in source pixels.
        how: A sentence on what the file is.
        embed: Whether the page contains the file instead of a link.
    """

    path: str
    first_s: float
    size: tuple[int, int]
    how: str
    embed: bool = False


def check_playable(source: Source) -> Playability:
    """Return how a browser gets to play an opened source."""
    name = source.info.path
    if DISORDER.format(name) in source.warnings:
        return Playability("transcode", "its pictures are stored with wrong times")
    if not (is_url(name) or is_remote(name) or os.path.isfile(name)):
        return Playability("transcode", "it is not a video file")
    try:
        with open_video_stream(name) as (container, stream):
            return _look(name, container, stream)
    except InputError:  # another reader has opened it: an image
        return Playability("transcode", "browsers cannot play it as video")


def remux(source: Source, path: Path, *, overwrite: bool = False) -> list[str]:
    """Copy the pictures of a source into an MP4 file as they are coded; its clock begins at zero.

    The audio is copied if MP4 can hold it, encoded as AAC otherwise.

    Returns:
        Sentences about what was lost of the audio.

    Raises:
        OutputError: The file cannot be written, or MP4 cannot hold the pictures in this order.
    """
    name, start = source.info.path, source.info.start_s
    with ExitStack() as stack:
        part = stack.enter_context(atomic_write(path, overwrite=overwrite))
        try:
            container, stream = stack.enter_context(open_video_stream(name))
            options = {"movflags": "+faststart", "movie_timescale": str(TICKS)}
            output = stack.enter_context(av.open(str(part), "w", format="mp4", options=options))
            video = output.add_stream_from_template(stream)
            audio = open_audio(name, output, offset=start, start=start, end=math.inf, copied=PLAYED_EVERYWHERE)
            if audio is not None:
                stack.callback(audio.close)
            for packet in _shifted(container, stream, start):
                packet.stream = video
                output.mux(packet)
                if audio is not None:
                    for sound in audio.packets(start + float((packet.dts or 0) * packet.time_base)):
                        output.mux(sound)
            for sound in audio.packets(math.inf) if audio is not None else ():
                output.mux(sound)
        except (av.FFmpegError, ValueError) as error:
            raise OutputError(f"cannot write {path}: MP4 does not take the packets of {name} ({error})") from error
    return audio.losses if audio is not None else []


def _look(name: str, container: InputContainer, stream: VideoStream) -> Playability:
    codec, pixels, kind = stream.codec_context.name, stream.codec_context.pix_fmt or "unknown", container.format.name
    codec = {"libdav1d": "av1", "libvpx": "vp8", "libvpx-vp9": "vp9"}.get(codec, codec)
    if codec not in _MP4_CODECS | _WEBM_CODECS:
        return Playability("transcode", f"browsers cannot play {codec} video")
    if pixels not in _PIXELS:
        return Playability("transcode", f"not every browser plays {codec} in {pixels}")
    if kind == "avi":
        return Playability("transcode", "browsers cannot play AVI, which does not store when a picture is shown")
    reason = _container_problem(name, container, codec)
    if not reason and not stated_duration(container, stream, 0.0):
        reason = "it does not state how long it is"
    if not reason:
        return Playability("as it is")
    return Playability("remux" if codec in _MP4_CODECS else "transcode", reason)


def _container_problem(name: str, container: InputContainer, codec: str) -> str:
    """Return why browsers cannot play a file whose pictures they can decode; empty if they can."""
    if is_url(name) or is_remote(name):
        return "a page must not load anything from the network"
    kind, suffix, sound = container.format.name, Path(name).suffix.lower(), sound_of(container)
    is_quicktime = container.metadata.get("major_brand", "").strip() == "qt"
    if "mp4" in kind and suffix in _MP4_NAMES and not is_quicktime and codec in _MP4_CODECS:
        known = PLAYED_EVERYWHERE
    elif "webm" in kind and suffix in _WEBM_NAMES and codec in _WEBM_CODECS:
        known = _WEBM_SOUND
    else:
        return f"not every browser plays {codec} in {'QuickTime' if 'mp4' in kind else kind.split(',')[0].capitalize()}"
    if sound is None or sound.codec_context.codec.canonical_name in known:
        return ""
    return f"browsers cannot play {sound.codec_context.name} audio"


def _shifted(container: InputContainer, stream: VideoStream, start: float) -> Iterator[Packet[VideoStream]]:
    """Yield the video's packets with ``start`` seconds subtracted from their times."""
    base = stream.time_base
    assert base is not None
    tick = Fraction(base.numerator, base.denominator)
    shift, usual = round(Fraction(start) / tick), round(1 / (frame_rate(stream) or DEFAULT_FPS) / tick)
    last: int | None = None
    for packet in read_packets(container, stream):
        if packet.dts is None or packet.pts is None:
            if packet.size:
                raise ValueError("a packet has no time")
            continue
        if last is not None and (packet.dts - last) * tick > longest_pause(container):
            raise ValueError("the clock restarts in the middle")
        last = packet.dts
        packet.dts, packet.pts = packet.dts - shift, packet.pts - shift
        packet.duration = packet.duration or usual  # without one, the last picture would have no end
        yield packet
