"""Any source to frames: upright, square-pixel pictures with the stream's own seconds, one at a time.

A source is a video file, an http(s) address, a folder of numbered images or a pattern such as ``frames/%04d.png``. Nothing is
held back but one frame, so that memory stays flat however long the source is.
"""

from __future__ import annotations

import bisect
import contextlib
import io
import itertools
import math
import os
import re
import struct
import warnings
import weakref
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.error import ArgumentError, FFmpegError
from av.sidedata.sidedata import SideDataContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, ColorTrc, Interpolation, VideoReformatter
from av.video.stream import VideoStream

from vidcam.errors import InputError, UsageError
from vidcam.io.container import (
    JUMP_S,
    all_packets,
    check_size,
    decoder_options,
    is_url,
    max_pixels,
    open_container,
    refuse_special,
    restarts,
    sound_of,
    still,
)
from vidcam.values import Frame, SourceInfo, UInt8Array
from vidcam.yuv import Matrix, Planes

__all__ = ["IMAGE_SUFFIXES", "VIDEO_SUFFIXES", "Source", "find_videos", "open_source"]

# fmt: off
VIDEO_SUFFIXES = frozenset({
    ".3gp", ".asf", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts",
    ".vob", ".webm", ".wmv", ".y4m",
})
# fmt: on
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})

IMAGES_FPS = 25.0
TICK_S = 0.001  # what a frame that does not advance is moved on by: the finest step that every container can keep
PROBED = 32  # pictures that are looked at, where there is reason to, for whether their times are in order
ENDLESS_S = 60.0  # how long an address is read beyond its known end, if it has one, before somebody is told
_8K = 7680 * 4320  # of larger pictures, not one for each of the decoder's threads is held
_SCALER = int(Interpolation.BICUBIC) | int(Interpolation.FULL_CHR_H_INT)

_Warn = Callable[[str], None]
_Read = Callable[[float | None, float | None, _Warn], Generator[Frame, None, None]]


class Source:
    """An opened source. ``info`` says what it is; ``frames()`` reads it, as often as wanted, each time from its beginning.

    ``warnings`` are sentences about what was lost, filled while reading; ``say``, where somebody sets it, is told each new one at
    once, in the thread that reads. Close it, or use it in a ``with`` block.
    """

    def __init__(self, info: SourceInfo, read: _Read) -> None:
        self.info = info
        self.warnings: list[str] = []
        self.say: Callable[[str], None] | None = None
        self._read = read
        self._running: weakref.WeakSet[Generator[Frame, None, None]] = weakref.WeakSet()
        self._closed = False

    def frames(self, *, start: float | None = None, end: float | None = None) -> Iterator[Frame]:
        """Every :class:`Frame` whose time lies in ``[start, end)``, in order, each exactly once.

        ``start`` and ``end`` are seconds from the first frame of the video (``Frame.time`` stays on the stream's own clock),
        compared with a tolerance of half a millisecond. Times strictly increase, and ``Frame.end`` is the next frame's time.
        UsageError where the range is empty, InputError where it holds no frame.
        """
        if self._closed:
            raise UsageError(f"the source {self.info.path} is closed: open it again to read it")
        if (start is not None and not start >= 0) or (end is not None and not end > (start or 0.0)):
            raise UsageError(f"a range of seconds needs 0 <= start < end, got start={start} and end={end}")
        reading = self._read(start, end, self._warn)
        self._running.add(reading)
        return reading

    def close(self) -> None:
        """Stop all readings and release their files."""
        self._closed = True
        for reading in list(self._running):
            with contextlib.suppress(ValueError):  # it is running in another thread, and ends with that
                reading.close()

    def __enter__(self) -> Source:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Source({self.info!r})"

    def _warn(self, sentence: str) -> None:
        if sentence not in self.warnings:
            self.warnings.append(sentence)
            if self.say is not None:
                self.say(sentence)


def open_source(path: str | os.PathLike[str], *, fps: float | None = None) -> Source:
    """A :class:`Source` for a video file, an http(s) address, a folder of numbered images, or a pattern of images.

    ``fps`` is the rate at which images are shown (25 where it is not given); videos have their own times and refuse it. The first
    frame is decoded at once, so that what cannot be read is refused here, as an InputError of one sentence.
    """
    if fps is not None and not (math.isfinite(fps) and fps > 0):
        raise UsageError(f"fps must be a positive number of images per second, got {fps}")
    name = os.fspath(path)
    images = None
    if not is_url(name):
        refuse_special(name)
        images = _find_images(Path(name))
    animated = images is not None and not os.path.isdir(name) and len(images) == 1 and _moves(images[0])
    if images is not None and not animated:
        return _open_images(name, images, IMAGES_FPS if fps is None else fps)
    if fps is not None:
        raise UsageError(f"fps is only for images; the video {name} has its own times, so leave fps out")
    return _open_webp(name) if animated == "webp" else _open_video(name)


def find_videos(folder: str | os.PathLike[str]) -> list[Path]:
    """The videos that lie directly in ``folder``, in natural order (clip2 before clip10); InputError where there is none."""
    folder = Path(folder)
    found = _list(folder, VIDEO_SUFFIXES)
    if not found:
        raise InputError(f"the folder {folder} holds no video: looked for {', '.join(sorted(VIDEO_SUFFIXES))}")
    return found


# Images -------------------------------------------------------------------------------------------------------------------------


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """A sort key under which numbers inside names count as numbers."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", path.name.lower()) if part]


def _list(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    try:
        found = [p for p in folder.iterdir() if p.suffix.lower() in suffixes and p.name[0] != "." and p.is_file()]
    except OSError as error:
        raise _refusal(str(folder), error) from error
    return sorted(found, key=_natural)


def _find_images(path: Path) -> list[Path] | None:
    """The images that ``path`` (a folder, one image, or a pattern) stands for; None where it is something else."""
    if path.is_dir():
        found = _list(path, IMAGE_SUFFIXES)
        if not found:
            kinds = ", ".join(sorted(IMAGE_SUFFIXES))
            raise InputError(f"the folder {path} holds no images ({kinds}); if there are videos in it, name those")
        return found
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        return None
    if path.exists():
        return [path]
    if not re.search(r"%0?\d*d|[*?]", path.name):
        return None
    parts = re.split(r"(%0?\d*d|[*?])", path.name)
    pattern = "".join({"*": ".*", "?": "."}.get(p, r"\d+" if p.startswith("%") else re.escape(p)) for p in parts)
    found = [p for p in _list(path.parent, IMAGE_SUFFIXES) if re.fullmatch(pattern, p.name)]
    if not found:
        raise InputError(f"no image matches the pattern {path}")
    return found


def _open_images(name: str, images: Sequence[Path], fps: float) -> Source:
    first = _load(images[0])
    if first is None:
        raise InputError(f"{images[0]} cannot be read as an image")
    height, width = first.shape[:2]

    def read(start: float | None, end: float | None, warn: _Warn) -> Generator[Frame, None, None]:
        def pictures() -> Iterator[_Timed]:
            begin = math.ceil(((start or 0.0) - TICK_S / 2) * fps)
            for index in range(min(max(0, begin), len(images) - 1), len(images)):
                try:
                    image = _load(images[index])
                except InputError as error:
                    warn(f"{error}; the image before it is shown longer")
                    continue
                if image is None:
                    warn(f"the image {images[index]} cannot be read: the one before it is shown longer")
                    continue
                if image.shape[:2] != (height, width):
                    if not _same_shape(image.shape, (height, width)):
                        warn(_SIZES.format(name, width, height, image.shape[1], image.shape[0]))
                    image = _fit(image, (height, width))
                yield _Timed(image, index / fps, 1.0 / fps)

        yield from _range(name, pictures(), start, end, 0.0, lambda timed: timed.picture)

    codec = images[0].suffix.lower().lstrip(".")
    n = len(images)
    return Source(SourceInfo(name, width, height, 0, fps, n / fps, n, None, codec), read)


def _load(path: Path) -> UInt8Array | None:
    """The image at ``path`` as RGB, turned as its EXIF data says, without its alpha channel; None where it is damaged.

    InputError where it may not be read, or is too large to be decoded.
    """
    data = _bytes(path)
    facts = still(data)
    if facts is None:
        return _first_picture(path)
    check_size(str(path), facts.width, facts.height)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        return None if image is None else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]
    except cv2.error:
        return None


def _bytes(path: Path, most: int | None = None) -> bytes:
    """What the file of an image holds (cv2.imread does not know every file name on every system)."""
    try:
        with path.open("rb") as file:
            if most is None and os.fstat(file.fileno()).st_size > 8 * max_pixels() + 1_000_000:  # no format needs more a pixel
                raise InputError(
                    f"{path} is larger than a file of {max_pixels()} pixels can be; VIDCAM_MAX_PIXELS sets the limit"
                )
            return file.read() if most is None else file.read(most)
    except OSError as error:
        raise error if isinstance(error, InputError) else _refusal(str(path), error) from error


def _first_picture(path: Path) -> UInt8Array | None:
    """The first picture of a file with an image's name that holds something else, such as a GIF or a TIFF; None where none is."""
    try:
        with _opened(str(path)) as (container, stream):
            picture = next(_decode(stream, container.demux(stream), _Damage()), None)
            if picture is None:
                return None
            look = _Look.of(picture, _ratio(stream.sample_aspect_ratio))
            check_size(str(path), look.width, look.height)
            return Frame(look.converter(lambda sentence: None)(_Timed(picture, 0.0, 0.0)), 0.0, 0.0).image
    except InputError:
        return None


def _moves(path: Path) -> str:
    """The kind of an animation that has the name of an image; an empty word for all else."""
    head = _bytes(path, 1 << 20)
    if head[:4] == b"GIF8":
        return "gif"
    facts = still(head)
    if facts is None or not facts.animated:
        return ""
    return facts.kind


def _open_webp(name: str) -> Source:
    """An animated WebP: FFmpeg learned these late, so Pillow reads them."""
    from PIL import Image

    data = _bytes(Path(name))
    facts = still(data)
    if facts is None or not facts.animated:
        raise InputError(f"{name} cannot be read as an image")
    check_size(name, facts.width, facts.height)
    times = [0.0, *itertools.accumulate(facts.delays_s)]

    def pictures(begin: int, warn: _Warn) -> Generator[_Timed, None, None]:
        at = begin
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit has been looked at
                image = Image.open(io.BytesIO(data), formats=["WEBP"])
            with image:
                for at in range(begin, len(facts.delays_s)):
                    image.seek(at)
                    yield _Timed(np.asarray(image.convert("RGB")), times[at], facts.delays_s[at])
        except (OSError, ValueError, SyntaxError, EOFError, RuntimeError, Image.DecompressionBombError) as error:
            warn(f"{name} breaks off after {times[at]:.2f} s ({error})")

    def read(start: float | None, end: float | None, warn: _Warn) -> Generator[Frame, None, None]:
        begin = bisect.bisect_left(times, (start or 0.0) - TICK_S / 2, hi=len(times) - 2)
        with contextlib.closing(pictures(begin, warn)) as found:
            yield from _range(name, found, start, end, 0.0, lambda timed: timed.picture)

    if next(pictures(0, lambda sentence: None), None) is None:
        raise InputError(f"{name} cannot be read as an image")
    n = len(facts.delays_s)
    return Source(SourceInfo(name, facts.width, facts.height, 0, n / times[-1], times[-1], n, None, "webp"), read)


_SIZES = "{} changes its size on the way, from {}x{} to {}x{}: those pictures are shown in their own shape, on black"


def _same_shape(size: Sequence[int], target: Sequence[int]) -> bool:
    """Does a picture of ``size`` (H, W) fill one of ``target`` when it is scaled?"""
    height, width = _fitting(size, target)
    return max(abs(height - target[0]), abs(width - target[1])) <= 1


def _fitting(size: Sequence[int], target: Sequence[int]) -> tuple[int, int]:
    """The largest size (H, W) inside of ``target`` that has the shape of ``size``."""
    scale = min(target[0] / size[0], target[1] / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _fit(image: UInt8Array, target: tuple[int, int]) -> UInt8Array:
    """The image scaled to ``target`` (H, W), in its own shape and on black."""
    same = _same_shape(image.shape, target)
    height, width = target if same else _fitting(image.shape, target)
    smaller = height * width < image.shape[0] * image.shape[1]
    small: Any = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
    return _on_black(small, target)


def _on_black(image: UInt8Array, target: tuple[int, int]) -> UInt8Array:
    """The image in the middle of a black one of ``target`` (H, W)."""
    if image.shape[:2] == target:
        return image
    out = np.zeros((*target, 3), np.uint8)
    y, x = (target[0] - image.shape[0]) // 2, (target[1] - image.shape[1]) // 2
    out[y : y + image.shape[0], x : x + image.shape[1]] = image
    return out


# From decoded pictures to frames ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Timed:
    """A decoded picture (to be turned upright) with its seconds; ``own_time`` is False where they are a prediction.

    ``aspect`` is the shape of its pixels where that may differ from that of the first picture.
    """

    picture: Any
    time: float
    duration: float
    own_time: bool = True
    aspect: float = 0.0


def _range(
    name: str,
    pictures: Iterator[_Timed],
    start: float | None,
    end: float | None,
    first: float,
    upright: Callable[[_Timed], UInt8Array | Planes],
) -> Iterator[Frame]:
    """The pictures in ``[start, end)`` seconds after ``first`` as frames: one is held back until the next one's time is known."""
    low = -math.inf if start is None else first + start - TICK_S / 2
    high = math.inf if end is None else first + end - TICK_S / 2
    held: _Timed | None = None
    last, empty = first, True
    for item in pictures:
        if held is not None:
            yield Frame(upright(held), held.time, item.time - held.time)
            held, empty = None, False
        last = item.time
        if item.time >= high:
            break
        if item.time >= low:
            held = item
    if held is not None:
        yield Frame(upright(held), held.time, held.duration)
    elif empty:
        asked = f"from {start or 0.0:g} s on" + ("" if end is None else f" and before {end:g} s")
        raise InputError(f"{name} has no picture {asked}; the last one that was found is at {last - first:.3f} s")


# Videos -------------------------------------------------------------------------------------------------------------------------


def _open_video(name: str) -> Source:
    with _opened(name) as (container, stream):
        clock, damage = _Clock(container, stream), _Damage()
        pictures = map(clock.stamp, _decode(stream, map(clock.watched, container.demux(stream)), damage))
        first = next(pictures, None)
        if first is None:
            limit = f", or only some that are over the limit of {max_pixels()} pixels (VIDCAM_MAX_PIXELS)"
            raise InputError(f"{name} holds no picture that can be decoded{limit if damage.refused else ''}")
        look = _Look.of(first.picture, _ratio(stream.sample_aspect_ratio))
        check_size(name, look.width, look.height)
        sound = sound_of(container)
        remarks = []
        if container.streams.audio and sound is None:
            remarks.append("the audio is in a codec that this installation cannot read: it is left out")
        if hdr := _HDR.get(int(first.picture.color_trc)):
            remarks.append(f"this is HDR video ({hdr}): the model sees its raw levels, flatter than players show them")
        disordered = _disordered(stream, clock, pictures)
        if disordered:
            remarks.append(_DISORDER.format(name))
            first = replace(first, time=_begin_of_decoding(name))
        info = SourceInfo(
            path=name,
            width=look.height if look.transposed else look.width,
            height=look.width if look.transposed else look.height,
            rotation=look.rotation,
            fps=_rate(stream),
            duration_s=_declared_s(container, stream, first.time),
            frames=stream.frames or None,
            audio=sound.codec_context.name if sound else None,
            codec=stream.codec_context.name,
            start_s=first.time,
        )

    def read(start: float | None, end: float | None, warn: _Warn) -> Generator[Frame, None, None]:
        told_s = (info.duration_s or 0.0) + ENDLESS_S if is_url(name) and end is None else math.inf
        # Closing closes the file when the reading stops early.
        with contextlib.closing(_pictures(info, look, start, warn, disordered=disordered)) as pictures:
            for frame in _range(name, pictures, start, end, info.start_s, look.converter(warn)):
                if frame.time - info.start_s > told_s:
                    warn(f"{name} goes on, and where it ends is not known: --end S reads S seconds of it, Ctrl-C stops")
                yield frame

    source = Source(info, read)
    source.warnings += remarks
    return source


_DISORDER = (
    "the pictures of {} are stored with the times at which they are decoded, not with those at which they are shown: these were"
    " restored from the order of decoding"
)


def _disordered(stream: VideoStream, clock: _Clock, pictures: Iterator[_Timed]) -> bool:
    """Do the times go back and forth? It needs some pictures to see that, but only where all packets came in the order of the
    times and the codec is one that puts pictures in another order."""
    for _ in range(PROBED):
        if clock.by_dts or not clock.rising or not stream.codec_context.has_b_frames or next(pictures, None) is None:
            break
    return clock.disordered


def _begin_of_decoding(name: str) -> float:
    """The second of the first picture on the clock of decoding."""
    with _opened(name) as (container, stream):
        clock = _Clock(container, stream, disordered=True)
        first = next(map(clock.stamp, _decode(stream, map(clock.watched, container.demux(stream)), _Damage())), None)
        return 0.0 if first is None else first.time


def _pictures(
    info: SourceInfo, look: _Look, start: float | None, warn: _Warn, *, disordered: bool
) -> Generator[_Timed, None, None]:
    """The video's pictures from a keyframe before ``start`` on, or from the very first where the file cannot be entered there."""
    target = info.start_s + start if start and not disordered else None
    for entry in (target, None) if target is not None else (None,):
        with _opened(info.path) as (container, stream):
            if entry is not None and not _seek(container, stream, entry):
                continue
            damage, clock = _Damage(), _Clock(container, stream, disordered=disordered)
            packets = map(clock.watched, container.demux())
            pictures: Iterator[_Timed] = map(clock.stamp, _decode(stream, packets, damage, all_packets(container, stream)))
            if entry is not None:
                first = next(pictures, None)
                # A picture without a time of its own could be anywhere, and one after the target is too late.
                if first is None or not first.own_time or first.time > entry + TICK_S / 2:
                    continue
                pictures = itertools.chain([first], pictures)
                del first  # the chain lets go of it, and so must we
            for item in pictures:
                if (item.picture.height, item.picture.width) != look.coded:
                    item = replace(item, aspect=_ratio(stream.codec_context.sample_aspect_ratio))
                yield item
                del item
            if clock.disordered:
                warn(_DISORDER.format(info.path))
            own = _own_s(container, stream, info.start_s) is not None
            reached = clock.end if own else max(clock.end, damage.reached)  # the longest stream makes the container's duration
            damage.report(info, reached - info.start_s, slack=max(0.25, 2 * clock.duration), warn=warn)
            return


def _seek(container: InputContainer, stream: VideoStream, target: float) -> bool:
    """Go to a keyframe before ``target`` seconds; False where the container cannot, or might land elsewhere."""
    if restarts(container):
        return False
    try:
        container.seek(math.floor((target - TICK_S) / _ratio(stream.time_base)), stream=stream)
    except FFmpegError:
        return False
    return True


@dataclass
class _Damage:
    """What went wrong while a video was decoded, and the second up to which any of its streams was stored."""

    ended_by: str = ""
    pieces: int = 0
    refused: int = (
        0  # some of these, by the decoder: what it was told to do does not allow it, as for pictures that are too large
    )
    reached: float = -math.inf

    def report(self, info: SourceInfo, reached: float, *, slack: float, warn: _Warn) -> None:
        """Say in sentences what was lost; ``reached`` is the second up to which it came."""
        total = info.duration_s
        why = f" ({self.ended_by})" if self.ended_by else ""
        if total is not None and total - reached > slack:
            warn(f"{info.path} breaks off{why}: {max(0.0, reached):.2f} s of {total:.2f} s could be read, the rest is lost")
        elif self.ended_by:
            warn(f"{info.path} breaks off after {max(0.0, reached):.2f} s{why}")
        if self.pieces:
            large = f", or are of more than {max_pixels()} pixels (VIDCAM_MAX_PIXELS)" if self.refused else ""
            warn(f"{info.path} is damaged: {self.pieces} of its pictures could not be decoded properly{large}")


def _decode(stream: VideoStream, packets: Iterator[Any], damage: _Damage, last: int | None = None) -> Iterator[VideoFrame]:
    """Every picture that can be decoded, in the order in which they are shown; ``packets`` may be of other streams too.

    After ``last`` packets of the stream no more is asked for.
    """

    def attempt(decode: Callable[[], list[VideoFrame]]) -> list[VideoFrame]:
        try:
            pictures = decode()
        except (FFmpegError, ValueError) as error:  # ValueError by PyAV itself, where the decoder could not even be opened
            damage.pieces += 1
            context = stream.codec_context  # some decoders forget the size, and some say that they were told a wrong one
            damage.refused += isinstance(error, ArgumentError) or context.width * context.height > max_pixels()
            return []
        damage.pieces += sum(p.is_corrupt for p in pictures)
        return pictures

    taken = 0
    try:
        for packet in packets:  # the last one is empty: it makes the decoder give out what it still holds
            if packet.pts is not None:
                damage.reached = max(damage.reached, (packet.pts + (packet.duration or 0)) * _ratio(packet.time_base))
            if packet.stream.index == stream.index:
                yield from attempt(packet.decode)
                taken += 1
                if taken == last:
                    break
        else:
            return
    except FFmpegError as error:
        damage.ended_by = error.strerror or "damaged"
    yield from attempt(lambda: stream.codec_context.decode(None))


class _Clock:
    """Gives one decoded picture after the other its seconds, which strictly increase.

    A picture without a time comes one duration after the one before it. A time that does not advance is moved to just behind the
    one before it (``TICK_S``); a clock that was started anew goes on from where it was. No picture is dropped or doubled.

    Where packets carry the times at which they are to be decoded instead of those at which they are shown, times of B-frames go
    back and forth: then a picture's time is that of the packet which brings it out of the decoder, which is the same thing.
    ``disordered`` says that this is known beforehand, and later whether it was found; all packets must have been :meth:`watched`.
    """

    def __init__(self, container: InputContainer, stream: VideoStream, *, disordered: bool = False) -> None:
        base = stream.time_base
        assert base is not None  # every stream of an opened file has one
        self._stream = stream
        self._num, self._den = base.numerator, base.denominator
        # AVI stores no presentation times, and those that are made up for its B-frames are out of order; decoding times are not.
        self._avi = container.format.name == "avi"
        self.by_dts = disordered or self._avi
        self.disordered = disordered
        self.rising: bool | None = None  # have all packets come in the order of their times?
        self._shift = 0.0
        self._last: float | None = None
        self._last_dts: int | None = None
        self._newest: int | None = None  # packet, by its time
        self.duration = 1.0 / (_rate(stream) or IMAGES_FPS)

    @property
    def end(self) -> float:
        """When the last picture ends."""
        return 0.0 if self._last is None else self._last + self.duration

    def watched(self, packet: Any) -> Any:
        """The packet, as it goes into the decoder."""
        if packet.pts is not None and packet.stream.index == self._stream.index:
            self.rising = self.rising is not False and (self._newest is None or packet.pts > self._newest)
            self._newest = packet.pts
            if self.rising and not self._avi:
                packet.dts = packet.pts  # in Matroska, which stores one time, the other is a guess that goes wrong
        return packet

    def stamp(self, picture: VideoFrame) -> _Timed:
        dts, last_dts = picture.dts, self._last_dts
        self._last_dts = last_dts if dts is None else dts
        ticks = dts if self.by_dts else picture.pts
        time = self.end if ticks is None else ticks * self._num / self._den + self._shift
        stated = max(0, picture.duration or 0) * self._num / self._den
        if self._last is not None:
            if self._restarted(time, dts, last_dts):
                self._shift += self.end - time
                time = self.end
            elif time < self._last and self.rising and not self.by_dts and dts is not None:
                self.by_dts = self.disordered = True
                self._shift = self.end - dts * self._num / self._den
                time = self.end
            elif time <= self._last:
                time = self._last + TICK_S
            else:
                stated = stated or time - self._last
            time = max(time, math.nextafter(self._last, math.inf))  # the steps of far-off times are larger
        self.duration = stated or self.duration
        self._last = time
        return _Timed(picture, time, self.duration, ticks is not None)

    def _restarted(self, time: float, dts: int | None, last_dts: int | None) -> bool:
        """Does the clock start anew, as in joined recordings? Short ones, too: then the order of decoding starts anew as well."""
        assert self._last is not None
        back = self._last - time
        return back > JUMP_S or (dts is not None and last_dts is not None and dts < last_dts and back > 3 * self.duration)


@dataclass(frozen=True)
class _Look:
    """How a decoded picture becomes the one that is seen: scaled to square pixels, then transposed, then flipped."""

    height: int
    width: int
    transposed: bool
    flip_y: bool
    flip_x: bool
    rotation: int
    coded: tuple[int, int]

    @classmethod
    def of(cls, picture: VideoFrame, aspect: float) -> _Look:
        """From the first picture and the sample aspect ratio (width of a pixel over its height, 0.0 if unknown)."""
        height, width = picture.height, picture.width
        if 1 / 8 <= aspect <= 8:  # beyond that it is damage
            square = (height, round(width * aspect)) if aspect > 1 else (round(height / aspect), width)
            # One pixel off is what rounding the coded size makes; resampling for it would only blur.
            if max(abs(square[0] - height), abs(square[1] - width)) > 1:
                height, width = square
        # The display matrix: x' = ax + cy, y' = bx + dy with y pointing down (ISO 14496-12, 6.2.2).
        a, b, _, c, d, *_ = _display_matrix(picture)
        transposed = abs(b) + abs(c) > abs(a) + abs(d)
        mirrored = a * d - b * c < 0
        turn = math.degrees(math.atan2(-b, -a) if mirrored else math.atan2(b, a))  # clockwise, after the mirroring
        flips = (b < 0, c < 0) if transposed else (d < 0, a < 0)
        return cls(height, width, transposed, *flips, rotation=round(turn / 90) % 4 * 90, coded=(picture.height, picture.width))

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the picture that is seen."""
        return (self.width, self.height) if self.transposed else (self.height, self.width)

    def converter(self, warn: _Warn) -> Callable[[_Timed], UInt8Array | Planes]:
        """A function from decoded pictures to upright ones: planes where they are coded so, RGB ``(H, W, 3) uint8`` otherwise."""
        scaler = VideoReformatter()
        others: dict[tuple[int, int, float], _Look] = {}  # of pictures with another size than the first one

        def upright(timed: _Timed) -> UInt8Array | Planes:
            picture: VideoFrame = timed.picture
            if (picture.height, picture.width) != self.coded:
                key = picture.height, picture.width, timed.aspect
                other = others[key] = others.get(key) or self.of(picture, timed.aspect)
                if not _same_shape(other.size, self.size):
                    warn(_SIZES.format("the video", self.size[1], self.size[0], other.size[1], other.size[0]))
                    return fitted(picture, other)
            levels = _span_of_levels(picture) or int(picture.color_range)
            matrix = self._planar(picture)
            if matrix is None:
                image: UInt8Array = self._turned(coloured(picture, self.height, self.width))
                return image
            if picture.format.name not in _AS_THEY_ARE or (picture.height, picture.width) != (self.height, self.width):
                # Fewer bits, less colour, another size, but neither another matrix nor another range.
                name = "yuvj420p" if levels == _FULL else "yuv420p"
                colours = {"src_color_range": levels, "dst_color_range": levels, "dst_colorspace": _matrix(picture)}
                picture = scaled(picture, name, self.height, self.width, colours)
            y, u, v = (self._turned(plane) for plane in _views(picture, full=levels == _FULL))
            return Planes(y, u, v, matrix)

        def fitted(picture: VideoFrame, other: _Look) -> UInt8Array:
            height, width = _fitting(other.size, self.size)
            if other.transposed:
                height, width = width, height
            return _on_black(other._turned(coloured(picture, height, width)), self.size)

        def coloured(picture: VideoFrame, height: int, width: int) -> Any:
            colours = {"src_color_range": _span_of_levels(picture), "dst_color_range": _FULL}
            return scaled(picture, "rgb24", height, width, colours).to_ndarray()

        def scaled(picture: VideoFrame, name: str, height: int, width: int, colours: Mapping[str, int | None]) -> VideoFrame:
            return scaler.reformat(
                picture,
                width=width,
                height=height,
                format=name,
                src_colorspace=_matrix(picture),
                interpolation=_SCALER,
                threads=1,  # the decoder has the others
                **colours,
            )

        return upright

    def _planar(self, picture: VideoFrame) -> Matrix | None:
        """The matrix of a picture that can stay in planes; None for all others."""
        if not picture.format.name.startswith(("yuv4", "yuvj4", "nv12", "p010")):
            return None
        if (self.flip_y or self.flip_x) and (self.height % 2 or self.width % 2):
            return None  # turned round, the colour of the last row or column would lie beside it
        if min(plane.line_size for plane in picture.planes) <= 0:
            return None
        return _MATRICES.get(int(_matrix(picture) or picture.colorspace))

    def _turned(self, image: Any) -> Any:
        if self.transposed:
            image = cv2.transpose(image)
        if self.flip_y or self.flip_x:
            image = cv2.flip(image, -1 if self.flip_y and self.flip_x else 0 if self.flip_y else 1)
        return image


def _display_matrix(picture: VideoFrame) -> Sequence[int]:
    # A container of our own: that of ``picture.side_data`` and the picture would hold each other until somebody collects garbage.
    try:
        data: Any = SideDataContainer(picture).get("DISPLAYMATRIX")  # type: ignore[call-arg]
    except ValueError:  # PyAV 18 stumbles over kinds that it does not know, such as EXIF
        turn = math.radians(-picture.rotation)
        cos, sin = round(math.cos(turn)), round(math.sin(turn))
        return cos, sin, 0, -sin, cos, 0, 0, 0, 1
    return (1, 0, 0, 0, 1, 0, 0, 0, 1) if data is None else struct.unpack("=9i", bytes(data))


_MATRICES: dict[int, Matrix] = {int(Colorspace.ITU709): "bt709", int(Colorspace.ITU601): "bt601", 6: "bt601"}
_HDR = {int(ColorTrc.SMPTE2084): "PQ", int(ColorTrc.ARIB_STD_B67): "HLG"}
_AS_THEY_ARE = ("yuv420p", "yuvj420p")
_FULL = int(ColorRange.JPEG)
_LEVELS = np.arange(256)
_LIMITED_Y = np.rint(16 + _LEVELS * (219 / 255)).astype(np.uint8)
_LIMITED_C = np.rint(128 + (_LEVELS - 128) * (224 / 255)).astype(np.uint8)


def _views(picture: VideoFrame, *, full: bool) -> Iterator[Any]:
    """The planes of a 4:2:0 picture in limited range: views of its memory where they are so already."""
    for plane, table in zip(picture.planes, (_LIMITED_Y, _LIMITED_C, _LIMITED_C), strict=True):
        view: Any = np.frombuffer(plane, np.uint8)  # type: ignore[call-overload]
        view = view.reshape(-1, plane.line_size)[: plane.height, : plane.width]
        yield cv2.LUT(view, table) if full else view


def _matrix(picture: VideoFrame) -> int | None:
    """The YUV matrix where the stream does not name it: BT.709 from 720 lines on, BT.601 below, as players do."""
    if picture.format.is_rgb or picture.colorspace not in (2, 3):  # unspecified, reserved
        return None
    return int(Colorspace.ITU709 if picture.height >= 720 or picture.width >= 1280 else Colorspace.ITU601)


def _span_of_levels(picture: VideoFrame) -> int | None:
    """Full or limited range; limited where neither the stream nor the pixel format says."""
    if picture.format.is_rgb or picture.color_range != 0:
        return None
    return int(ColorRange.JPEG if picture.format.name.startswith("yuvj") else ColorRange.MPEG)


# Opening ------------------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _opened(name: str) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The container and its video stream, ready to decode with several threads."""
    try:
        container = open_container(name)
    except InputError:
        raise
    except (FFmpegError, OSError) as error:
        raise _refusal(name, error) from error
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
        stream.thread_type = "AUTO" if context.width * context.height <= _8K else "SLICE"
        yield container, stream


def _refusal(name: str, error: Exception) -> InputError:
    """The one sentence for what the system or FFmpeg says."""
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
    """In words what sort of text a file is; an empty word where it is none."""
    try:
        head = _bytes(Path(name), 1 << 16)
    except InputError:
        return ""
    if b"#EXTM3U" in head or b"<MPD" in head or head.startswith((b"ffconcat", b"v=0")):
        return "a list of other files or addresses"
    return "" if b"\0" in head else "a text"


def _ratio(value: Any) -> float:
    """A rational as float; 0.0 where it is unset (None in PyAV 18, a falsy AVRational in 19)."""
    return float(value) if value else 0.0


def _rate(stream: VideoStream) -> float | None:
    return _ratio(stream.average_rate) or _ratio(stream.guessed_rate) or None


def _declared_s(container: InputContainer, stream: VideoStream, first: float) -> float | None:
    """Seconds from the first picture to the end of the last one, as the container says; None where it does not."""
    own = _own_s(container, stream, first)
    if own is not None or not container.duration:
        return own
    begin = 0 if "matroska" in container.format.name else container.start_time or 0  # it counts from zero
    return max(0.0, (begin + container.duration) / av.time_base - first)


def _own_s(container: InputContainer, stream: VideoStream, first: float) -> float | None:
    """The same, where it is said of the video itself and not only of all streams together, of which the sound may be longer."""
    if "matroska" in container.format.name:  # these count from zero, not from the first picture
        tag = re.fullmatch(r"(\d+):(\d+):(\d+\.?\d*)", stream.metadata.get("DURATION", ""))
        return max(0.0, int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3]) - first) if tag else None
    if container.format.name == "avi" and stream.frames:  # the duration of a cut-off one is guessed from its size
        return stream.frames / (_rate(stream) or IMAGES_FPS)
    return stream.duration * _ratio(stream.time_base) if stream.duration else None
