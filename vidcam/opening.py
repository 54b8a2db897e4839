"""Opening a video, as the reader does for its pictures and the writer for its sound."""

from __future__ import annotations

import re

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition

__all__ = ["JUMP_S", "is_url", "open_container", "restarts", "sound_of"]

OPEN_S, READ_S = 8.0, 20.0  # how long an http(s) source may stay silent when it is opened, and while it is read
JUMP_S = 1.0  # a clock that falls back by more than this was restarted (joined recordings) and is continued


def is_url(name: str) -> bool:
    return re.match(r"https?://", name) is not None


def open_container(name: str) -> InputContainer:
    """The file or http(s) address ``name``, opened by FFmpeg. FFmpegError or OSError where that fails or takes too long."""
    address = name if is_url(name) else f"file:{name}"  # so that a colon in a file's name is not taken for a protocol
    return av.open(address, timeout=(OPEN_S, READ_S))


def restarts(container: InputContainer) -> bool:
    """Can the timestamps start anew on the way, as in joined recordings? Then nobody knows where a seek to a time would land.

    The index of an MP4 or AVI counts from the first picture to the last (fragments, each with a time of its own, are not in it),
    and that of a Matroska file ends where another file was joined to it.
    """
    name = container.format.name
    if "mp4" in name:
        return not any(stream.frames for stream in container.streams)
    return name != "avi" and "matroska" not in name


def sound_of(container: InputContainer) -> AudioStream | None:
    """The audio stream marked as default, else the first, of those that can be decoded; None where there is none."""
    known = [s for s in container.streams.audio if s.codec_context is not None]
    return next((s for s in known if s.disposition & Disposition.default), known[0] if known else None)
