"""Opening a video, as the reader does for its pictures and the writer for its sound."""

from __future__ import annotations

import os
import re
import stat
import struct
from dataclasses import dataclass

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition, Stream

from vidcam.errors import InputError, UsageError

__all__ = [
    "JUMP_S", "METADATA", "Still", "all_packets", "check_size", "decoder_options", "is_url", "max_pixels", "open_container",
    "refuse_special", "restarts", "sound_of", "still",
]  # fmt: skip

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
    """Raise InputError for what is neither a file nor a folder, before it is opened: a pipe that nobody writes to never ends."""
    try:
        mode = os.stat(name).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return  # what opens it says so
    except PermissionError as error:
        raise InputError(f"{name} may not be read: you lack the permission") from error
    except OSError as error:
        raise InputError(f"{name} cannot be opened: {error.strerror}") from error
    except ValueError as error:  # a zero byte, half of a surrogate pair
        raise InputError(f"{name!r} cannot be the name of a file") from error
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


def all_packets(container: InputContainer, stream: Stream) -> int | None:
    """After how many packets a stream has ended, although what comes from the address goes on; None where that is not known.

    An MP4 counts its pictures at the front; some servers send it over and over, and what follows holds nothing any more.
    """
    endless = is_url(container.name) and (container.size or 0) <= 0  # None in PyAV 19
    return stream.frames or None if endless and "mp4" in container.format.name else None


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


@dataclass(frozen=True)
class Still:
    """What the head of a PNG, JPEG, WebP or BMP says; ``delays_s`` are the seconds of each picture of an animated WebP."""

    kind: str
    width: int
    height: int
    animated: bool = False
    delays_s: tuple[float, ...] = ()


def still(data: bytes) -> Still | None:
    """The facts of an image, without decoding any of it; None where it is of another kind, or damaged in its head."""
    try:
        if data[:8] == b"\x89PNG\r\n\x1a\n":
            return _png(data)
        if data[:2] == b"\xff\xd8":
            return _jpeg(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp(data)
        if data[:2] == b"BM":
            (size,) = struct.unpack_from("<I", data, 14)
            width, height = struct.unpack_from("<HH" if size == 12 else "<ii", data, 18)
            return Still("bmp", abs(width), abs(height))
    except struct.error:
        pass
    return None


def _png(data: bytes) -> Still | None:
    length, kind, width, height = struct.unpack_from(">I4sII", data, 8)
    if kind != b"IHDR":
        return None
    at = 8
    while kind not in (b"IDAT", b"acTL", b"IEND"):
        at += 12 + length
        if at + 8 > len(data):
            break
        length, kind = struct.unpack_from(">I4s", data, at)
    animated = kind == b"acTL" and struct.unpack_from(">I", data, at + 8)[0] > 1
    return Still("png", width, height, animated)


def _jpeg(data: bytes) -> Still | None:
    at = 2
    while (at := data.find(b"\xff", at)) >= 0:
        while data[at : at + 1] == b"\xff":
            at += 1
        (marker,) = struct.unpack_from("B", data, at)
        at += 1
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 3)
            return Still("jpeg", width, height)
        if marker == 0xDA:  # the picture itself, before anything said how large it is
            return None
        if marker > 1 and not 0xD0 <= marker <= 0xD8:
            at += struct.unpack_from(">H", data, at)[0]
    return None


def _webp(data: bytes) -> Still | None:
    kind = data[12:16]
    if kind == b"VP8 ":
        width, height = (v & 0x3FFF for v in struct.unpack_from("<HH", data, 26))
        return Still("webp", width, height)
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return Still("webp", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if kind != b"VP8X":
        return None
    flags, *size = struct.unpack_from("<B3xHBHB", data, 20)
    width, height = (size[0] | size[1] << 16) + 1, (size[2] | size[3] << 16) + 1
    if not flags & 2:
        return Still("webp", width, height)
    delays, at = [], 12
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        if kind == b"ANMF" and at + 24 <= len(data):
            milliseconds = int.from_bytes(data[at + 20 : at + 23], "little")
            delays.append(milliseconds / 1000 if milliseconds > 10 else 0.1)  # as browsers do
        at += 8 + length + length % 2
    return Still("webp", width, height, len(delays) > 1, tuple(delays))
