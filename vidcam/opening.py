"""Opening a video, as the reader does for its pictures and the writer for its sound."""

from __future__ import annotations

import os
import re
import stat

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition

from vidcam.errors import InputError, UsageError

__all__ = ["JUMP_S", "METADATA", "check_size", "is_url", "max_pixels", "open_container", "refuse_special", "restarts", "sound_of"]

OPEN_S, READ_S = 8.0, 20.0  # how long an http(s) source may stay silent when it is opened, and while it is read
JUMP_S = 1.0  # a clock that falls back by more than this was restarted (joined recordings) and is continued

MAX_PIXELS = 120_000_000
"""Of one picture. 8K video has 33 million, the largest usual photographs 108 million; as RGB these take 360 MB."""

# A title in Latin-1 is no reason to refuse a video. From PyAV 19 on it never is one.
METADATA: dict[str, str] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}

# fmt: off
_FORMATS = (
    # What holds video; not what leads on to other files or addresses (concat, sdp, image2, vobsub, rtsp, ...), nor what any
    # text or noise passes for.
    "mov", "matroska", "avi", "mpegts", "mpeg", "flv", "live_flv", "ogg", "asf", "gif", "apng", "webp_anim", "nut", "mxf", "rm",
    "dv", "wtv", "swf", "nsv", "ivf", "yuv4mpegpipe", "mjpeg", "mpjpeg", "mpegvideo", "m4v", "h261", "h263", "h264", "hevc",
    "vvc", "obu", "av1", "cavsvideo", "dirac", "vc1", "dnxhd", "jpegxl_anim", "dhav", "ty", "pva", "gxf",
    # Pictures, which may be named like something else.
    "png_pipe", "jpeg_pipe", "bmp_pipe", "webp_pipe", "tiff_pipe", "jpegxl_pipe", "j2k_pipe",
    # Sound, so that the sentence can say that there is nothing but sound.
    "mp3", "wav", "w64", "flac", "aac", "ac3", "eac3", "aiff", "caf", "amr", "au", "ape", "wv", "tta",
)
# fmt: on
_PLAYLISTS = ("hls", "dash")  # only at an address: in a file they would make this machine ask whatever address they name
_FILE_PROTOCOLS, _URL_PROTOCOLS = "file", "http,https,httpproxy,tcp,tls,crypto"


def is_url(name: str) -> bool:
    return re.match(r"https?://", name) is not None


def max_pixels() -> int:
    """How many pixels a picture may have: ``VIDCAM_MAX_PIXELS``, else :data:`MAX_PIXELS`. UsageError where that is no number."""
    given = os.environ.get("VIDCAM_MAX_PIXELS", "")
    if not given:
        return MAX_PIXELS
    if not re.fullmatch(r"[1-9][0-9_]{0,11}", given):
        raise UsageError(f"VIDCAM_MAX_PIXELS must be a whole number of pixels, such as {MAX_PIXELS}, got {given!r}")
    return int(given)


def check_size(name: str, width: int, height: int) -> None:
    """Raise InputError where a picture of ``width`` x ``height`` would be too large; nothing is decoded for that."""
    limit = max_pixels()
    if width * height > limit:
        raise InputError(
            f"{name} has pictures of {width}x{height} pixels, and the limit is {limit} in all: make it smaller, or set"
            " VIDCAM_MAX_PIXELS to more (a picture takes several bytes a pixel, many times over)"
        )


def refuse_special(name: str) -> None:
    """Raise InputError for what is neither a file nor a folder, before it is opened: a pipe that nobody writes to waits forever."""
    if "\0" in name:
        raise InputError(f"there is no file {name!r}: a name cannot hold a zero byte")
    try:
        mode = os.stat(name).st_mode
    except OSError:
        return  # what opens it says so
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        known = ((stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"), (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"))
        kind = next((word for test, word in known if test(mode)), "something special")
        raise InputError(f"{name} is {kind}, not a file: a video is read several times; save it first, or use vidcam live")


def open_container(name: str) -> InputContainer:
    """The file or http(s) address ``name``, opened by FFmpeg. FFmpegError or OSError where that fails or takes too long.

    Only known kinds of files are opened, and none of them can make FFmpeg open another file, or an address. Pictures of more than
    :func:`max_pixels` are not decoded, neither here nor where the codec gets :func:`decoder_options`.
    """
    url = is_url(name)
    if not url:
        refuse_special(name)
    address = name if url else f"file:{name}"  # so that a colon in a file's name is not taken for a protocol
    options = {
        "format_whitelist": ",".join((*_FORMATS, *_PLAYLISTS) if url else _FORMATS),
        "protocol_whitelist": _URL_PROTOCOLS if url else _FILE_PROTOCOLS,
        **decoder_options(),
    }
    return av.open(address, options=options, timeout=(OPEN_S, READ_S), **METADATA)  # type: ignore[call-overload,no-any-return]


def decoder_options() -> dict[str, str]:
    """What keeps a decoder from pictures that are too large, also from those that come later or that the header denies."""
    return {"max_pixels": str(max_pixels())}


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
