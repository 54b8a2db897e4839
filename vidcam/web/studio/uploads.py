"""Checks of uploads: only real video files, not too large, not too long, and no playlists that point at other files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from vidcam import open_source
from vidcam.errors import InputError
from vidcam.io.formatting import seconds
from vidcam.reports.templating import jpeg_url
from vidcam.web import words

from .sessions import Limits

__all__ = ["MAX_NAME", "Video", "clean_name", "examples", "look_at", "megabytes", "minutes", "video_suffix"]

POSTER = 400  # pixels
MAX_NAME = 80  # letters of a file name before its suffix
SUFFIXES = (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".gif", ".flv", ".mpg", ".mpeg", ".ts", ".ogv", ".wmv", ".asf")
EXAMPLES = ("jumping_jack", "three_actions", "waving_rotated", "walking", "falling")


@dataclass(frozen=True)
class Video:
    """A video that can be explained: its file, the name that its owner gave it, a few facts in words, and a picture of it."""

    path: Path
    name: str
    facts: str
    poster: str
    duration_s: float
    sound: bool


def clean_name(given: str) -> str:
    """Return a file name that is safe on every system and as close to the given one as possible."""
    name = Path(given.replace("\\", "/")).name
    stem, dot, suffix = name.rpartition(".")
    kept = re.sub(r"[^\w\-. ()]", "_", stem or name).strip(". ")[:MAX_NAME] or "video"
    return f"{kept}.{re.sub(r'[^A-Za-z0-9]', '', suffix)[:8]}" if stem and dot else kept


def video_suffix(name: str) -> str:
    """Return the suffix of a video's name, ``.mp4`` if it is none of a video: no browser may take an upload for a page."""
    suffix = Path(name).suffix.lower()
    return suffix if suffix in SUFFIXES else ".mp4"


def minutes(duration: float) -> str:
    """Return a duration in seconds in words, such as "5 minutes"."""
    return words.Uploads.minutes(duration=duration)


def megabytes(size: float) -> str:
    """Return a size in bytes in words, such as "12 MB"."""
    return f"{size / 1e6:.0f} MB" if size >= 1e7 else f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{max(1, round(size / 1e3))} kB"


def look_at(path: Path, name: str, limits: Limits) -> Video:
    """Return the file as a :class:`Video`. InputError if it is not a video, or longer than the limit."""
    with path.open("rb") as file:
        head = file.read(1024)
    if not _is_video(head):
        raise InputError(words.Uploads.no_video(name=name))
    try:
        with open_source(path) as source:
            info = source.info
            if info.duration_s is not None:
                _check(info.duration_s, name, limits)
                first = next(iter(source.frames()))
                duration = info.duration_s
            else:  # recordings of browsers do not say how long they are
                first, duration = None, 0.0
                for frame in source.frames():
                    first = first or frame
                    duration = frame.end - first.time
                    _check(duration, name, limits)
    except StopIteration:
        first = None
    except InputError as error:
        raise InputError(str(error).replace(str(path), name)) from error
    if first is None:
        raise InputError(words.Uploads.no_picture(name=name))
    picture = Image.fromarray(first.image)
    picture.thumbnail((POSTER, POSTER))
    return Video(
        path,
        name,
        f"{seconds(duration)} · {info.width} × {info.height}",
        jpeg_url(np.asarray(picture)),
        duration,
        bool(info.audio),
    )


def _check(duration: float, name: str, limits: Limits) -> None:
    if duration > limits.seconds + 0.5:
        raise InputError(words.Uploads.too_long(name=name, most=minutes(limits.seconds)))


def examples(folder: Path) -> list[Video]:
    """Return the example clips of the project that are in ``folder``."""
    found = [folder / f"{name}.mp4" for name in EXAMPLES]
    return [look_at(path, path.name, Limits()) for path in found if path.is_file()]


def _is_video(head: bytes) -> bool:
    """Return whether a file that begins like this holds video itself. A playlist does not: it would have other files read."""
    return (
        head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
        or (head[:4] == b"RIFF" and head[8:12] == b"AVI ")
        or head.startswith((b"\x1a\x45\xdf\xa3", b"GIF8", b"FLV", b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3", b"OggS"))
        or head.startswith(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11")
        or head[:377:188] == b"GGG"  # MPEG-TS: packets of 188 bytes
    )
