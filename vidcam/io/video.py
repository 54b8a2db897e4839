"""Reads video files and http(s) addresses with FFmpeg, from any second on."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Generator, Iterator
from dataclasses import replace

from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from vidcam.errors import InputError
from vidcam.io.container import (
    all_packets,
    check_size,
    frame_rate,
    is_url,
    max_pixels,
    open_video_stream,
    restarts,
    sound_of,
    stated_duration,
    stated_video_duration,
    to_float,
)
from vidcam.io.damage import Damage, decode_pictures
from vidcam.io.orientation import Orientation, PictureConverter, hdr_kind
from vidcam.io.reading import TICK_S, OpenedInput, TimedPicture, Warn, frames_in_range
from vidcam.io.timestamps import DISORDER, TimestampRepair, has_decoding_times
from vidcam.values import Frame, SourceInfo

__all__ = ["open_video"]

ENDLESS_S = 60.0  # a warning is given if an address is read this many seconds beyond its stated end


def open_video(name: str) -> OpenedInput:
    """Open a video file or an http(s) address and decode its first picture.

    InputError if it cannot be opened, holds no video, or no picture can be decoded.
    """
    with open_video_stream(name) as (container, stream):
        repair, damage = TimestampRepair(container, stream), Damage()
        pictures = map(repair.stamp, decode_pictures(stream, map(repair.watch, container.demux(stream)), damage))
        first = next(pictures, None)
        if first is None:
            limit = f", or only some that are over the limit of {max_pixels()} pixels (VIDCAM_MAX_PIXELS)"
            raise InputError(f"{name} holds no picture that can be decoded{limit if damage.refused else ''}")
        orientation = Orientation.of(first.picture, to_float(stream.sample_aspect_ratio))
        check_size(name, orientation.width, orientation.height)
        sound = sound_of(container)
        warnings = []
        if container.streams.audio and sound is None:
            warnings.append("the audio is in a codec that this installation cannot read: it is left out")
        if hdr := hdr_kind(first.picture):
            warnings.append(f"this is HDR video ({hdr}): the model sees its raw levels, flatter than players show them")
        disordered = has_decoding_times(stream, repair, pictures)
        if disordered:
            warnings.append(DISORDER.format(name))
            first = replace(first, time=_first_decoding_time(name))
        height, width = orientation.size
        info = SourceInfo(
            path=name,
            width=width,
            height=height,
            rotation=orientation.rotation,
            fps=frame_rate(stream),
            duration_s=stated_duration(container, stream, first.time),
            frames=stream.frames or None,
            audio=sound.codec_context.name if sound else None,
            codec=stream.codec_context.name,
            start_s=first.time,
        )

    def read(start: float | None, end: float | None, warn: Warn) -> Generator[Frame, None, None]:
        expected_s = (info.duration_s or 0.0) + ENDLESS_S if is_url(name) and end is None else math.inf
        # Closing the generator closes the file if the reading stops early.
        with contextlib.closing(_pictures(info, orientation, start, warn, disordered=disordered)) as pictures:
            upright = PictureConverter(orientation, warn)
            for frame in frames_in_range(name, pictures, start, end, info.start_s, upright):
                if frame.time - info.start_s > expected_s:
                    warn(f"{name} has no known end: --end S reads S seconds of it, Ctrl-C stops")
                yield frame

    return OpenedInput(info, read, warnings)


def _first_decoding_time(name: str) -> float:
    """Return the second of the first picture on the clock of decoding."""
    with open_video_stream(name) as (container, stream):
        repair = TimestampRepair(container, stream, disordered=True)
        packets = map(repair.watch, container.demux(stream))
        first = next(map(repair.stamp, decode_pictures(stream, packets, Damage())), None)
        return 0.0 if first is None else first.time


def _pictures(
    info: SourceInfo, orientation: Orientation, start: float | None, warn: Warn, *, disordered: bool
) -> Generator[TimedPicture, None, None]:
    """Yield the pictures from a keyframe before ``start`` on, or from the very first if seeking fails."""
    target = info.start_s + start if start and not disordered else None
    for entry in (target, None) if target is not None else (None,):
        with open_video_stream(info.path) as (container, stream):
            if entry is not None and not _seek(container, stream, entry):
                continue
            damage, repair = Damage(), TimestampRepair(container, stream, disordered=disordered)
            decoded = decode_pictures(stream, map(repair.watch, container.demux()), damage, all_packets(container, stream))
            pictures: Iterator[TimedPicture] = map(repair.stamp, decoded)
            if entry is not None:
                first = next(pictures, None)
                # A picture without a time of its own could be anywhere, and one after the target is too late.
                if first is None or not first.has_own_time or first.time > entry + TICK_S / 2:
                    continue
                pictures = itertools.chain([first], pictures)
                del first  # frees the picture as soon as the chain has passed it
            for item in pictures:
                if (item.picture.height, item.picture.width) != orientation.coded:
                    item = replace(item, aspect=to_float(stream.codec_context.sample_aspect_ratio))
                yield item
                del item
            if repair.disordered:
                warn(DISORDER.format(info.path))
            reached = repair.end
            if stated_video_duration(container, stream, info.start_s) is None:
                reached = max(reached, damage.reached)  # the stated duration is that of the longest stream
            damage.report(info, reached - info.start_s, slack=max(0.25, 2 * repair.duration), warn=warn)
            return


def _seek(container: InputContainer, stream: VideoStream, target: float) -> bool:
    """Seek to a keyframe before ``target`` seconds; return False if that fails or could land elsewhere."""
    if restarts(container):
        return False
    try:
        container.seek(math.floor((target - TICK_S) / to_float(stream.time_base)), stream=stream)
    except FFmpegError:
        return False
    return True
