"""Reads folders and patterns of numbered images, single images, and animated WebP."""

from __future__ import annotations

import bisect
import contextlib
import io
import itertools
import math
import os
import re
import warnings
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

import numpy as np

from vidcam.errors import InputError
from vidcam.io.container import check_size, input_error, max_pixels, open_video_stream, read_packets, to_float
from vidcam.io.damage import Damage, decode_pictures
from vidcam.io.image_header import read_header
from vidcam.io.jpeg import decode
from vidcam.io.letterbox import SIZE_CHANGE, has_same_shape, resize_onto_black
from vidcam.io.orientation import Orientation, PictureConverter
from vidcam.io.reading import TICK_S, Needed, OpenedInput, TimedPicture, Warn, frames_in_range
from vidcam.values import Frame, SourceInfo, UInt8Array

__all__ = ["IMAGE_SUFFIXES", "animation_kind", "find_images", "list_files", "open_animated_webp", "open_images"]

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
_PLACEHOLDER = r"%0?\d*d|[*?]"


def list_files(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    """Return the visible files in a folder with these suffixes, in natural order (clip2 before clip10)."""
    try:
        paths = [p for p in folder.iterdir() if p.suffix.lower() in suffixes and p.name[0] != "." and p.is_file()]
    except OSError as error:
        raise input_error(str(folder), error) from error
    return sorted(paths, key=_natural_key)


def _natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Return a sort key under which numbers inside names count as numbers."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", path.name.lower()) if part]


def find_images(path: Path) -> list[Path] | None:
    """Return the images that a folder, an image or a pattern such as ``%04d.png`` stands for.

    The result is never empty; None if ``path`` is something else, such as a video. InputError if there are no images.
    """
    if path.is_dir():
        images = list_files(path, IMAGE_SUFFIXES)
        if not images:
            kinds = ", ".join(sorted(IMAGE_SUFFIXES))
            raise InputError(f"the folder {path} holds no images ({kinds}); if there are videos in it, name those")
        return images
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        return None
    if path.exists():
        return [path]
    if not re.search(_PLACEHOLDER, path.name):
        return None
    parts = re.split(f"({_PLACEHOLDER})", path.name)
    pattern = "".join({"*": ".*", "?": "."}.get(p, r"\d+" if p.startswith("%") else re.escape(p)) for p in parts)
    images = [p for p in list_files(path.parent, IMAGE_SUFFIXES) if re.fullmatch(pattern, p.name)]
    if not images:
        raise InputError(f"no image matches the pattern {path}")
    return images


def open_images(name: str, images: Sequence[Path], fps: float) -> OpenedInput:
    """Open images as a video of ``fps`` pictures per second and of the size of the first image.

    An image that cannot be read is skipped, and the one before it shown longer; an image of another size is scaled.
    """
    first = _load(images[0])
    if first is None:
        raise InputError(f"{images[0]} cannot be read as an image")
    height, width = first.shape[:2]

    def pictures(start: float | None, warn: Warn) -> Iterator[TimedPicture]:
        begin = math.ceil(((start or 0.0) - TICK_S / 2) * fps)
        for index in range(min(max(0, begin), len(images) - 1), len(images)):
            image = _load_resized(images[index], (height, width), name, warn)
            if image is not None:
                yield TimedPicture(image, index / fps, 1.0 / fps)

    def read(start: float | None, end: float | None, warn: Warn, needed: Needed | None) -> Generator[Frame, None, None]:
        yield from frames_in_range(name, pictures(start, warn), start, end, 0.0, lambda timed: timed.picture)

    codec = images[0].suffix.lower().lstrip(".")
    n = len(images)
    return OpenedInput(SourceInfo(name, width, height, 0, fps, n / fps, n, None, codec), read)


def _load_resized(path: Path, size: tuple[int, int], name: str, warn: Warn) -> UInt8Array | None:
    """Return an image of the sequence ``name`` at ``size`` (H, W); warn and return None if that fails."""
    try:
        image = _load(path)
    except InputError as error:
        warn(f"{error}; the image before it is shown longer instead")
        return None
    if image is None:
        warn(f"the image {path} cannot be read; the image before it is shown longer instead")
        return None
    if image.shape[:2] != size:
        if not has_same_shape(image.shape, size):
            warn(SIZE_CHANGE.format(name, size[1], size[0], image.shape[1], image.shape[0]))
        image = resize_onto_black(image, size)
    return image


def _load(path: Path) -> UInt8Array | None:
    """Return an image as RGB; None if it is damaged.

    It is turned as its EXIF data says, and loses its alpha channel. InputError if it may not be read or is too large.
    """
    data = _read_bytes(path)
    header = read_header(data)
    if header is None:
        return _load_first_picture(path)
    check_size(str(path), header.width, header.height)
    return decode(data)


def _read_bytes(path: Path, limit: int | None = None) -> bytes:
    """Return the content of an image file, or its first ``limit`` bytes."""
    try:
        with path.open("rb") as file:
            # No image format needs more than 8 bytes a pixel.
            if limit is None and os.fstat(file.fileno()).st_size > 8 * max_pixels() + 1_000_000:
                raise InputError(
                    f"{path} is larger than a file of {max_pixels()} pixels can be; VIDCAM_MAX_PIXELS sets the limit"
                )
            return file.read() if limit is None else file.read(limit)
    except OSError as error:
        raise error if isinstance(error, InputError) else input_error(str(path), error) from error


def _load_first_picture(path: Path) -> UInt8Array | None:
    """Return the first picture of a file with an image's name that holds another kind, such as a GIF."""
    try:
        with open_video_stream(str(path)) as (container, stream):
            picture = next(decode_pictures(stream, read_packets(container, stream), Damage()), None)
            if picture is None:
                return None
            orientation = Orientation.of(picture, to_float(stream.sample_aspect_ratio))
            check_size(str(path), orientation.width, orientation.height)
            upright = PictureConverter(orientation, warn=lambda sentence: None)
            return Frame(upright(TimedPicture(picture, 0.0, 0.0)), 0.0, 0.0).image
    except InputError:
        return None


def animation_kind(path: Path) -> str:
    """Return "gif", "png" or "webp" if a file with an image's name is an animation, "" otherwise."""
    head = _read_bytes(path, 1 << 20)
    if head[:4] == b"GIF8":
        return "gif"
    header = read_header(head)
    return header.kind if header is not None and header.is_animated else ""


def open_animated_webp(name: str) -> OpenedInput:
    """Open an animated WebP with Pillow; only recent versions of FFmpeg read them."""
    from PIL import Image

    data = _read_bytes(Path(name))
    header = read_header(data)
    if header is None or not header.is_animated:
        raise InputError(f"{name} cannot be read as an image")
    check_size(name, header.width, header.height)
    times = [0.0, *itertools.accumulate(header.delays_s)]

    def pictures(begin: int, warn: Warn) -> Generator[TimedPicture, None, None]:
        at = begin
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # check_size has applied our own limit
                image = Image.open(io.BytesIO(data), formats=["WEBP"])
            with image:
                for at in range(begin, len(header.delays_s)):
                    image.seek(at)
                    yield TimedPicture(np.asarray(image.convert("RGB")), times[at], header.delays_s[at])
        except (OSError, ValueError, SyntaxError, EOFError, RuntimeError, Image.DecompressionBombError) as error:
            warn(f"{name} breaks off after {times[at]:.2f} s ({error})")

    def read(start: float | None, end: float | None, warn: Warn, needed: Needed | None) -> Generator[Frame, None, None]:
        begin = bisect.bisect_left(times, (start or 0.0) - TICK_S / 2, hi=len(times) - 2)
        with contextlib.closing(pictures(begin, warn)) as reading:
            yield from frames_in_range(name, reading, start, end, 0.0, lambda timed: timed.picture)

    if next(pictures(0, lambda sentence: None), None) is None:
        raise InputError(f"{name} cannot be read as an image")
    n = len(header.delays_s)
    return OpenedInput(SourceInfo(name, header.width, header.height, 0, n / times[-1], times[-1], n, None, "webp"), read)
