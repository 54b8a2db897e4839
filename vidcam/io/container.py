"""Opens files and addresses safely with FFmpeg, for the source's pictures and the writer's audio."""

from __future__ import annotations

import contextlib
import math
import os
import re
import stat
from collections.abc import Iterator
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import ArgumentError, FFmpegError
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from vidcam.errors import InputError, UsageError
from vidcam.io.cores import decoder_threads
from vidcam.io.reading import TICK_S
from vidcam.io.remote import is_remote, local_path

__all__ = [
    "DEFAULT_FPS", "JUMP_S", "METADATA", "all_packets", "check_size", "decoder_options", "frame_rate", "input_error", "is_url",
    "longest_pause", "max_pixels", "open_container", "open_video_stream", "read_packets", "refuse_special", "restarts",
    "seek_before", "sound_of", "stated_duration", "stated_video_duration", "to_float",
]  # fmt: skip

OPEN_S, READ_S = 8.0, 20.0  # the longest silence that is accepted while an http(s) source is opened, and while it is read
JUMP_S = 1.0  # a clock that falls back by more than this has restarted (joined recordings), and is continued
LEAP_S = 3600.0  # in a broadcast format, one that leaps ahead by more than this has restarted too (see longest_pause)
DEFAULT_FPS = 25.0  # of images, and of videos that state no rate
_CAN_RESTART = 0x200  # FFmpeg's AVFMT_TS_DISCONT
_8K = 7680 * 4320  # larger pictures are not decoded in parallel: each of the decoder's threads would hold one

MAX_PIXELS = 120_000_000
"""The most pixels of one picture. 8K video has 33 million, the largest usual photographs 108 million (360 MB as RGB)."""

# Titles in Latin-1 must not make a video unreadable. PyAV 19 and later accept them by themselves.
METADATA: dict[str, str] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}

# fmt: off
_FORMATS = (
    # What holds video. Not what leads on to other files or addresses (concat, sdp, image2, vobsub, rtsp, ...), nor formats that
    # any text or noise passes for.
    "mov", "matroska", "avi", "mpegts", "mpeg", "flv", "live_flv", "ogg", "asf", "gif", "apng", "webp_anim", "nut", "mxf", "rm",
    "dv", "wtv", "swf", "nsv", "ivf", "yuv4mpegpipe", "mjpeg", "mpjpeg", "mpegvideo", "m4v", "h261", "h263", "h264", "hevc",
    "vvc", "obu", "av1", "cavsvideo", "dirac", "vc1", "dnxhd", "jpegxl_anim", "dhav", "ty", "pva", "gxf",
    # Images, which may have the name of something else.
    "png_pipe", "jpeg_pipe", "bmp_pipe", "webp_pipe", "tiff_pipe", "jpegxl_pipe", "j2k_pipe",
    # Sound, so that the message can say that there is nothing but sound.
    "mp3", "wav", "w64", "flac", "aac", "ac3", "eac3", "aiff", "caf", "amr", "au", "ape", "wv", "tta",
)
# fmt: on
_PLAYLISTS = ("hls", "dash")  # only at an address: a playlist in a file could make this machine contact any address
_FILE_PROTOCOLS, _URL_PROTOCOLS = "file", "http,https,httpproxy,tcp,tls,crypto"


def is_url(name: str) -> bool:
    """Return whether a source is an http(s) address."""
    return re.match(r"https?://", name) is not None


def max_pixels() -> int:
    """Return how many pixels a picture may have.

    It is the value of ``VIDCAM_MAX_PIXELS`` if that is set, else :data:`MAX_PIXELS`. UsageError if it is not a whole number.
    """
    given = os.environ.get("VIDCAM_MAX_PIXELS", "")
    if not given:
        return MAX_PIXELS
    if not re.fullmatch(r"[1-9][0-9_]{0,11}", given):
        raise UsageError(f"VIDCAM_MAX_PIXELS must be a whole number of pixels, such as {MAX_PIXELS}, got {given!r}")
    return int(given)


def check_size(name: str, width: int, height: int) -> None:
    """Raise InputError if pictures of ``width`` x ``height`` are too large to be decoded."""
    limit = max_pixels()
    if width * height > limit:
        raise InputError(
            f"{name} has pictures of {width}x{height} pixels, and the limit is {limit} in all: make it smaller, or set"
            " VIDCAM_MAX_PIXELS to more (a picture takes several bytes a pixel, many times over)"
        )


def refuse_special(name: str) -> None:
    """Raise InputError for what is neither a file nor a folder.

    It is not opened for that: opening a pipe without a writer would block forever.
    """
    try:
        mode = os.stat(name).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return  # opening it gives the message
    except PermissionError as error:
        raise InputError(f"{name} may not be read: you lack the permission") from error
    except OSError as error:
        raise InputError(f"{name} cannot be opened: {error.strerror}") from error
    except ValueError as error:  # a zero byte, half of a surrogate pair
        raise InputError(f"{name!r} cannot be the name of a file") from error
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        kinds = ((stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"), (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"))
        kind = next((word for test, word in kinds if test(mode)), "something special")
        raise InputError(f"{name} is {kind}, not a file: a video is read several times; save it first, or use vidcam live")


def open_container(name: str) -> InputContainer:
    """Open a file or an http(s) address with FFmpeg.

    Only known formats are accepted, and none of them can make FFmpeg open another file or address. Pictures of more than
    :func:`max_pixels` are not decoded, neither here nor by a codec that gets :func:`decoder_options`. FFmpegError or OSError if
    opening fails or takes too long, InputError for pipes and devices.
    """
    url = is_url(name)
    if not (url or is_remote(name)):
        refuse_special(name)
    address = name if url else f"file:{local_path(name)}"  # otherwise a colon in a file's name would be taken for a protocol
    options = {
        "format_whitelist": ",".join((*_FORMATS, *_PLAYLISTS) if url else _FORMATS),
        "protocol_whitelist": _URL_PROTOCOLS if url else _FILE_PROTOCOLS,
        **decoder_options(),
    }
    return av.open(address, options=options, timeout=(OPEN_S, READ_S), **METADATA)  # type: ignore[call-overload,no-any-return]


def decoder_options() -> dict[str, str]:
    """Return the options that make a decoder refuse pictures that are too large, whatever the header says."""
    return {"max_pixels": str(max_pixels())}


@contextlib.contextmanager
def open_video_stream(name: str) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file or an http(s) address and yield its container and video stream.

    The stream is ready for decoding by several threads. InputError if it cannot be opened, holds no video that can be decoded, or
    its pictures are too large.
    """
    try:
        container = open_container(name)
    except InputError:
        raise
    except (FFmpegError, OSError) as error:
        raise input_error(name, error) from error
    with container:
        stream = container.streams.best("video")
        if not isinstance(stream, VideoStream) or stream.disposition & Disposition.attached_pic:
            kinds = sorted({s.type for s in container.streams} - {"video"})
            raise InputError(f"{name} holds no video, only {' and '.join(kinds) or 'nothing'}")
        if stream.codec_context is None:
            raise InputError(f"{name} is coded in a way that this installation of PyAV cannot decode: convert it to H.264")
        context = stream.codec_context
        check_size(name, context.width, context.height)
        context.options = decoder_options()
        context.thread_count = decoder_threads()
        stream.thread_type = "AUTO" if context.width * context.height <= _8K else "SLICE"
        yield container, stream


def input_error(name: str, error: Exception) -> InputError:
    """Return the one-sentence error for what the system or FFmpeg reports about a source."""
    reason = getattr(error, "strerror", None) or str(error)
    if is_url(name):
        return InputError(f"{name} cannot be opened: {reason}; check the address and the connection")
    if isinstance(error, FileNotFoundError):
        return InputError(f"there is no file {name}")
    if isinstance(error, PermissionError):
        return InputError(f"{name} may not be read: you lack the permission")
    if os.path.isfile(name) and os.path.getsize(name) == 0:
        return InputError(f"{name} is empty")
    if isinstance(error, ArgumentError) and (kind := _kind_of_text(name)):
        return InputError(f"{name} is {kind}, not a video")
    return InputError(f"{name} cannot be read as video: {reason}; it is no video file, or is cut off before its index")


def _kind_of_text(name: str) -> str:
    """Return in words what kind of text a file is; "" if it is none."""
    try:
        with open(name, "rb") as file:
            head = file.read(1 << 16)
    except OSError:
        return ""
    if b"#EXTM3U" in head or b"<MPD" in head or head.startswith((b"ffconcat", b"v=0")):
        return "a list of other files or addresses"
    return "" if b"\0" in head else "a text"


def to_float(ratio: Any) -> float:
    """Return a rational as a float, 0.0 if it is unset (None in PyAV 18, a falsy AVRational in 19)."""
    return float(ratio) if ratio else 0.0


def frame_rate(stream: VideoStream) -> float | None:
    """Return the frames per second of a stream, None if they are not known."""
    return to_float(stream.average_rate) or to_float(stream.guessed_rate) or None


def stated_duration(container: InputContainer, stream: VideoStream, first: float) -> float | None:
    """Return the duration of the video in seconds; None if the file does not state it.

    It counts from the first picture, whose time is ``first``, to the end of the last one.
    """
    own = stated_video_duration(container, stream, first)
    if own is not None or not container.duration:
        return own
    begin = 0 if "matroska" in container.format.name else container.start_time or 0  # Matroska counts from zero
    return max(0.0, (begin + container.duration) / av.time_base - first)


def stated_video_duration(container: InputContainer, stream: VideoStream, first: float) -> float | None:
    """Return the same, but None if the file states only the duration of all streams together.

    Of these the audio may be longer than the video.
    """
    if "matroska" in container.format.name:  # counts from zero, not from the first picture
        tag = re.fullmatch(r"(\d+):(\d+):(\d+\.?\d*)", stream.metadata.get("DURATION", ""))
        return max(0.0, int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3]) - first) if tag else None
    if container.format.name == "avi" and stream.frames:  # FFmpeg guesses the duration of a truncated one from its size
        return stream.frames / (frame_rate(stream) or DEFAULT_FPS)
    return stream.duration * to_float(stream.time_base) if stream.duration else None


def read_packets(container: InputContainer, *streams: Stream) -> Iterator[Any]:
    """Yield the packets of some streams of a container, or of all, and at the end an empty packet for each.

    If a further stream has begun in the middle of the file, PyAV raises IndexError after the last packet of the streams it knows.
    """
    with contextlib.suppress(IndexError):
        yield from container.demux(*streams)


def all_packets(container: InputContainer, stream: Stream) -> int | None:
    """Return after how many packets a stream ends if its address sends on; None if that is not known.

    An MP4 counts its pictures at the front. Some servers send the file over and over, and the repetitions hold nothing new.
    """
    endless = is_url(container.name) and (container.size or 0) <= 0  # None in PyAV 19
    return stream.frames or None if endless and "mp4" in container.format.name else None


def restarts(container: InputContainer) -> bool:
    """Return whether timestamps can restart in the middle, so that a seek could land anywhere.

    They do in joined recordings. They cannot in an indexed MP4 or AVI, whose index counts from the first picture to the last (an
    MP4 in fragments has times per fragment and no such index), nor in Matroska, whose index ends where another file was joined to
    it.
    """
    name = container.format.name
    if "mp4" in name:
        return not any(stream.frames for stream in container.streams)
    return name != "avi" and "matroska" not in name


def longest_pause(container: InputContainer) -> float:
    """Return the longest pause in seconds between two packets of a stream; a clock that leaps further ahead has restarted.

    MPEG-TS and its like count modulo 26.5 hours. So FFmpeg takes a clock that restarts at an earlier time for one that has gone
    round, and adds 26.5 hours.
    """
    return LEAP_S if int(container.format.flags) & _CAN_RESTART else math.inf


def sound_of(container: InputContainer) -> AudioStream | None:
    """Return the audio stream marked as default, else the first one; None if there is none.

    Streams that cannot be decoded do not count.
    """
    decodable = [s for s in container.streams.audio if s.codec_context is not None]
    return next((s for s in decodable if s.disposition & Disposition.default), decodable[0] if decodable else None)


def seek_before(container: InputContainer, stream: VideoStream, target: float) -> bool:
    """Seek to a keyframe before ``target`` seconds; return False if that fails or could land elsewhere."""
    if restarts(container):
        return False
    try:
        container.seek(math.floor((target - TICK_S) / to_float(stream.time_base)), stream=stream)
    except FFmpegError:
        return False
    return True
