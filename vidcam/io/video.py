"""Reads video files and http(s) addresses with FFmpeg, from any second on."""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import Any

from av.video.frame import VideoFrame

from vidcam.errors import InputError
from vidcam.io.container import (
    all_packets,
    check_size,
    frame_rate,
    is_url,
    max_pixels,
    open_video_stream,
    read_packets,
    seek_before,
    sound_of,
    stated_duration,
    stated_video_duration,
    to_float,
)
from vidcam.io.damage import Damage, decode_pictures
from vidcam.io.orientation import Orientation, PictureConverter, hdr_kind
from vidcam.io.reading import TICK_S, Needed, OpenedInput, TimedPicture, Warn, frames_in_range
from vidcam.io.skipping import SkipPlan, plan_skipping
from vidcam.io.timestamps import DISORDER, TimestampRepair, has_decoding_times
from vidcam.values import Frame, SourceInfo

__all__ = ["open_video"]

ENDLESS_S = 60.0  # a warning is given if an address is read this many seconds beyond its stated end


def open_video(name: str) -> OpenedInput:
    """Open a video file or an http(s) address and decode its first picture.

    InputError if it cannot be opened, holds no video, or no picture can be decoded.
    """
    with contextlib.ExitStack() as stack:
        decoding = _Decoding(stack, name)
        container, stream, repair = decoding.container, decoding.stream, decoding.repair
        first = next(decoding.pictures, None)
        if first is None:
            limit = f", or only some that are over the limit of {max_pixels()} pixels (VIDCAM_MAX_PIXELS)"
            raise InputError(f"{name} holds no picture that can be decoded{limit if decoding.damage.refused else ''}")
        orientation = Orientation.of(first.picture, to_float(stream.sample_aspect_ratio))
        check_size(name, orientation.width, orientation.height)
        sound = sound_of(container)
        warnings = []
        if container.streams.audio and sound is None:
            warnings.append("the audio is in a codec that this installation cannot read: it is left out")
        if hdr := hdr_kind(first.picture):
            warnings.append(f"this is HDR video ({hdr}): the model sees its raw levels, flatter than players show them")
        can_skip = not first.picture.interlaced_frame  # a packet could hold half a picture
        disordered = has_decoding_times(stream, repair, decoding.pictures)
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

        # The first reading goes on from here, unless pictures have been passed, or a server could hang up meanwhile.
        fresh = decoding.counts == [1] and not (disordered or is_url(name))
        begun = [decoding.continued(first, stack.pop_all())] if fresh else []

    def read(start: float | None, end: float | None, warn: Warn, needed: Needed | None) -> Generator[Frame, None, None]:
        expected_s = (info.duration_s or 0.0) + ENDLESS_S if is_url(name) and end is None else math.inf
        # Closing the generator closes the file if the reading stops early.
        decoding = begun.pop() if begun and not start else None
        plan = plan_skipping(info, start, end, needed) if needed is not None and can_skip and not disordered else None
        reading = _pictures(info, orientation, start, warn, disordered=disordered, begun=decoding, plan=plan)
        with contextlib.closing(reading) as pictures:
            upright = PictureConverter(orientation, warn)
            for frame in frames_in_range(name, pictures, start, end, info.start_s, upright):
                if frame.time - info.start_s > expected_s:
                    warn(f"{name} has no known end: --end S reads S seconds of it, Ctrl-C stops")
                yield frame

    def release() -> None:
        if begun:
            begun.pop().stack.close()

    return OpenedInput(info, read, warnings, release)


def _first_decoding_time(name: str) -> float:
    """Return the second of the first picture on the clock of decoding."""
    with contextlib.ExitStack() as stack:
        first = next(_Decoding(stack, name, disordered=True).pictures, None)
        return 0.0 if first is None else first.time


class _Decoding:
    """An opened file whose pictures are being decoded; the ``stack`` closes it."""

    def __init__(self, stack: contextlib.ExitStack, name: str, *, disordered: bool = False) -> None:
        self.stack = stack
        self.container, self.stream = stack.enter_context(open_video_stream(name))
        self.counts = [0]  # of the pictures that were decoded
        self.plans: list[SkipPlan] = []  # the one that is followed, if there is one
        self.damage = Damage()
        self.repair = TimestampRepair(self.container, self.stream, disordered=disordered)

    @functools.cached_property
    def pictures(self) -> Iterator[TimedPicture]:
        """The pictures from where the file is positioned when this is first asked for."""
        end = all_packets(self.container, self.stream)
        repair, counts, plans, own = self.repair, self.counts, self.plans, self.stream.index

        def watch(packet: Any) -> Any:
            for plan in plans:
                if packet.stream.index == own:
                    plan.watch(packet)
            return repair.watch(packet)

        packets = map(watch, read_packets(self.container))

        def stamp(picture: VideoFrame) -> TimedPicture:  # holds no reference to self: a cycle would keep pictures alive
            counts.append(counts.pop() + 1)
            return repair.stamp(picture)

        return map(stamp, decode_pictures(self.stream, packets, self.damage, end))

    def continued(self, first: TimedPicture, stack: contextlib.ExitStack) -> _Decoding:
        """Put the first picture back, and let another stack close the file."""
        self.stack, self.pictures = stack, itertools.chain([first], self.pictures)
        return self

    def seek(self, target: float) -> bool:
        """Seek to a keyframe before ``target`` seconds; return False if that fails or could land elsewhere."""
        if not seek_before(self.container, self.stream, target):
            return False
        first = next(self.pictures, None)
        # A picture without a time of its own could be anywhere, and one after the target is too late.
        if first is None or not first.has_own_time or first.time > target + TICK_S / 2:
            return False
        self.pictures = itertools.chain([first], self.pictures)
        return True


def _pictures(
    info: SourceInfo,
    orientation: Orientation,
    start: float | None,
    warn: Warn,
    *,
    disordered: bool,
    begun: _Decoding | None,
    plan: SkipPlan | None,
) -> Generator[TimedPicture, None, None]:
    """Yield the pictures from a keyframe before ``start`` on, or from the very first if seeking fails."""
    target = info.start_s + start if start and not disordered else None
    for entry in (target, None) if target is not None else (None,):
        with contextlib.ExitStack() if begun is None else begun.stack as stack:
            decoding = begun or _Decoding(stack, info.path, disordered=disordered)
            if entry is not None and not decoding.seek(entry):
                continue
            decoded = _upright_sizes(decoding, orientation)
            if plan is not None:
                decoding.plans.append(plan)
                decoded = plan.fill(decoded)
            yield from decoded
            repair = decoding.repair
            if repair.disordered:
                warn(DISORDER.format(info.path))
            reached = repair.end + repair.skipped
            if stated_video_duration(decoding.container, decoding.stream, info.start_s) is None:
                reached = max(reached, decoding.damage.reached)  # the stated duration is that of the longest stream
            slack = max(0.25, 2 * repair.duration)
            decoding.damage.report(info, reached - info.start_s, slack=slack, warn=warn)
            return


def _upright_sizes(decoding: _Decoding, orientation: Orientation) -> Iterator[TimedPicture]:
    """Yield the pictures; those of another size than the first carry the aspect ratio of their own."""
    for item in decoding.pictures:
        if (item.picture.height, item.picture.width) != orientation.coded:
            item = replace(item, aspect=to_float(decoding.stream.codec_context.sample_aspect_ratio))
        yield item
        del item  # frees the picture
