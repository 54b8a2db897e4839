"""Any source to frames: upright, square-pixel pictures with the stream's own seconds, one at a time.

A source is a video file, an http(s) address, a folder of numbered images or a pattern such as ``frames/%04d.png``. Nothing is
held back but one frame, so that memory stays flat however long the source is.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import re
import struct
import weakref
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, ColorTrc, Interpolation, VideoReformatter
from av.video.stream import VideoStream

from vidcam.errors import InputError, UsageError
from vidcam.opening import JUMP_S, is_url, open_container, restarts, sound_of
from vidcam.planes import Matrix, Planes
from vidcam.types import Frame, SourceInfo, UInt8Array

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
_SCALER = int(Interpolation.BICUBIC) | int(Interpolation.FULL_CHR_H_INT)

_Warn = Callable[[str], None]
_Read = Callable[[float | None, float | None, _Warn], Generator[Frame, None, None]]


class Source:
    """An opened source. ``info`` says what it is; ``frames()`` reads it, as often as wanted, each time from its beginning.

    ``warnings`` are sentences about what was lost, filled while reading. Close it, or use it in a ``with`` block.
    """

    def __init__(self, info: SourceInfo, read: _Read) -> None:
        self.info = info
        self.warnings: list[str] = []
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


def open_source(path: str | os.PathLike[str], *, fps: float | None = None) -> Source:
    """A :class:`Source` for a video file, an http(s) address, a folder of numbered images, or a pattern of images.

    ``fps`` is the rate at which images are shown (25 where it is not given); videos have their own times and refuse it. The first
    frame is decoded at once, so that what cannot be read is refused here, as an InputError of one sentence.
    """
    if fps is not None and not (math.isfinite(fps) and fps > 0):
        raise UsageError(f"fps must be a positive number of images per second, got {fps}")
    name = os.fspath(path)
    images = None if is_url(name) else _find_images(Path(name))
    if images is not None:
        return _open_images(name, images, IMAGES_FPS if fps is None else fps)
    if fps is not None:
        raise UsageError(f"fps is only for images; the video {name} has its own times, so leave fps out")
    return _open_video(name)


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
        entries = list(folder.iterdir())
    except OSError as error:
        raise _refusal(str(folder), error) from error
    return sorted((p for p in entries if p.suffix.lower() in suffixes and p.name[0] != "." and p.is_file()), key=_natural)


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
                image = _load(images[index])
                if image is None:
                    warn(f"the image {images[index]} cannot be read: the one before it is shown longer")
                    continue
                if image.shape[:2] != (height, width):
                    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
                yield _Timed(image, index / fps, 1.0 / fps)

        yield from _range(name, pictures(), start, end, 0.0, lambda image: image)

    codec = images[0].suffix.lower().lstrip(".")
    n = len(images)
    return Source(SourceInfo(name, width, height, 0, fps, n / fps, n, None, codec), read)


def _load(path: Path) -> UInt8Array | None:
    """The image at ``path`` as RGB, turned as its EXIF data says, without its alpha channel; None where it is damaged."""
    try:
        data = np.fromfile(path, np.uint8)  # cv2.imread does not know every file name on every system
    except OSError as error:
        raise _refusal(str(path), error) from error
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    return None if image is None else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]


# From decoded pictures to frames ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Timed:
    """A decoded picture (to be turned upright) with its seconds; ``own_time`` is False where they are a prediction."""

    picture: Any
    time: float
    duration: float
    own_time: bool = True


def _range(
    name: str,
    pictures: Iterator[_Timed],
    start: float | None,
    end: float | None,
    first: float,
    upright: Callable[[Any], UInt8Array | Planes],
) -> Iterator[Frame]:
    """The pictures in ``[start, end)`` seconds after ``first`` as frames: one is held back until the next one's time is known."""
    low = -math.inf if start is None else first + start - TICK_S / 2
    high = math.inf if end is None else first + end - TICK_S / 2
    held: _Timed | None = None
    last, empty = first, True
    for item in pictures:
        if held is not None:
            yield Frame(upright(held.picture), held.time, item.time - held.time)
            held, empty = None, False
        last = item.time
        if item.time >= high:
            break
        if item.time >= low:
            held = item
    if held is not None:
        yield Frame(upright(held.picture), held.time, held.duration)
    elif empty:
        asked = f"from {start or 0.0:g} s on" + ("" if end is None else f" and before {end:g} s")
        raise InputError(f"{name} has no picture {asked}; the last one that was found is at {last - first:.3f} s")


# Videos -------------------------------------------------------------------------------------------------------------------------


def _open_video(name: str) -> Source:
    with _opened(name) as (container, stream):
        clock = _Clock(container, stream)
        first = next(map(clock.stamp, _decode(stream, container.demux(stream), _Damage())), None)
        if first is None:
            raise InputError(f"{name} holds no picture that can be decoded")
        look = _Look.of(first.picture, _ratio(stream.sample_aspect_ratio))
        sound = sound_of(container)
        remarks = []
        if container.streams.audio and sound is None:
            remarks.append("the audio is in a codec that this installation cannot read: it is left out")
        if hdr := _HDR.get(int(first.picture.color_trc)):
            remarks.append(f"this is HDR video ({hdr}): the model sees its raw levels, flatter than players show them")
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
        with contextlib.closing(_pictures(info, start, warn)) as pictures:  # closes the file when the reading stops early
            yield from _range(name, pictures, start, end, info.start_s, look.converter())

    source = Source(info, read)
    source.warnings += remarks
    return source


def _pictures(info: SourceInfo, start: float | None, warn: _Warn) -> Generator[_Timed, None, None]:
    """The video's pictures from a keyframe before ``start`` on, or from the very first where the file cannot be entered there."""
    target = None if not start else info.start_s + start
    for entry in (target, None) if target is not None else (None,):
        with _opened(info.path) as (container, stream):
            if entry is not None and not _seek(container, stream, entry):
                continue
            damage, clock = _Damage(), _Clock(container, stream)
            pictures: Iterator[_Timed] = map(clock.stamp, _decode(stream, container.demux(), damage))
            if entry is not None:
                first = next(pictures, None)
                # A picture without a time of its own could be anywhere, and one after the target is too late.
                if first is None or not first.own_time or first.time > entry + TICK_S / 2:
                    continue
                pictures = itertools.chain([first], pictures)
            yield from pictures
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
            warn(f"{info.path} is damaged: {self.pieces} of its pictures could not be decoded properly")


def _decode(stream: VideoStream, packets: Iterator[Any], damage: _Damage) -> Iterator[VideoFrame]:
    """Every picture that can be decoded, in the order in which they are shown; ``packets`` may be of other streams too."""

    def attempt(decode: Callable[[], list[VideoFrame]]) -> list[VideoFrame]:
        try:
            pictures = decode()
        except FFmpegError:
            damage.pieces += 1
            return []
        damage.pieces += sum(p.is_corrupt for p in pictures)
        return pictures

    try:
        for packet in packets:  # the last one is empty: it makes the decoder give out what it still holds
            if packet.pts is not None:
                damage.reached = max(damage.reached, (packet.pts + (packet.duration or 0)) * _ratio(packet.time_base))
            if packet.stream.index == stream.index:
                yield from attempt(packet.decode)
    except FFmpegError as error:
        damage.ended_by = error.strerror or "damaged"
        yield from attempt(lambda: stream.codec_context.decode(None))


class _Clock:
    """Gives one decoded picture after the other its seconds, which strictly increase.

    A picture without a time comes one duration after the one before it. A time that does not advance is moved to just behind the
    one before it (``TICK_S``); a clock that was started anew goes on from where it was. No picture is dropped or doubled.
    """

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        base = stream.time_base
        assert base is not None  # every stream of an opened file has one
        self._num, self._den = base.numerator, base.denominator
        # AVI stores no presentation times, and those that are made up for its B-frames are out of order; decoding times are not.
        self._by_dts = container.format.name == "avi"
        self._shift = 0.0
        self._last: float | None = None
        self.duration = 1.0 / (_rate(stream) or IMAGES_FPS)

    @property
    def end(self) -> float:
        """When the last picture ends."""
        return 0.0 if self._last is None else self._last + self.duration

    def stamp(self, picture: VideoFrame) -> _Timed:
        ticks = picture.dts if self._by_dts else picture.pts
        time = self.end if ticks is None else ticks * self._num / self._den + self._shift
        stated = (picture.duration or 0) * self._num / self._den
        if self._last is not None:
            if time < self._last - JUMP_S:
                self._shift += self.end - time
                time = self.end
            elif time <= self._last:
                time = self._last + TICK_S
            else:
                stated = stated or time - self._last
        self.duration = stated or self.duration
        self._last = time
        return _Timed(picture, time, self.duration, ticks is not None)


@dataclass(frozen=True)
class _Look:
    """How a decoded picture becomes the one that is seen: scaled to square pixels, then transposed, then flipped."""

    height: int
    width: int
    transposed: bool
    flip_y: bool
    flip_x: bool
    rotation: int

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
        data: Any = picture.side_data.get("DISPLAYMATRIX")
        a, b, _, c, d, *_ = struct.unpack("=9i", bytes(data)) if data is not None else (1, 0, 0, 0, 1)
        transposed = abs(b) + abs(c) > abs(a) + abs(d)
        mirrored = a * d - b * c < 0
        turn = math.degrees(math.atan2(-b, -a) if mirrored else math.atan2(b, a))  # clockwise, after the mirroring
        flips = (b < 0, c < 0) if transposed else (d < 0, a < 0)
        return cls(height, width, transposed, *flips, rotation=round(turn / 90) % 4 * 90)

    def converter(self) -> Callable[[VideoFrame], UInt8Array | Planes]:
        """A function from decoded pictures to upright ones: planes where they are coded so, RGB ``(H, W, 3) uint8`` otherwise."""
        scaler = VideoReformatter()

        def upright(picture: VideoFrame) -> UInt8Array | Planes:
            levels = _span_of_levels(picture) or int(picture.color_range)
            matrix = self._planar(picture)
            if matrix is None:
                rgb = scaled(picture, "rgb24", src_color_range=_span_of_levels(picture), dst_color_range=_FULL)
                image: UInt8Array = self._turned(rgb.to_ndarray())
                return image
            if picture.format.name not in _AS_THEY_ARE or (picture.height, picture.width) != (self.height, self.width):
                # Fewer bits, less colour, another size, but neither another matrix nor another range.
                name = "yuvj420p" if levels == _FULL else "yuv420p"
                picture = scaled(picture, name, src_color_range=levels, dst_color_range=levels, dst_colorspace=_matrix(picture))
            y, u, v = (self._turned(plane) for plane in _views(picture, full=levels == _FULL))
            return Planes(y, u, v, matrix)

        def scaled(picture: VideoFrame, name: str, **colours: int | None) -> VideoFrame:
            return scaler.reformat(
                picture,
                width=self.width,
                height=self.height,
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
    except (FFmpegError, OSError) as error:
        raise _refusal(name, error) from error
    with container:
        stream = container.streams.best("video")
        if container.format.name == "tty":  # FFmpeg would play any text as pictures of its letters
            raise InputError(f"{name} is a text, not a video")
        if not isinstance(stream, VideoStream) or stream.disposition & Disposition.attached_pic:
            kinds = sorted({s.type for s in container.streams} - {"video"})
            raise InputError(f"{name} holds no video, only {' and '.join(kinds) or 'nothing'}")
        if stream.codec_context is None:
            raise InputError(f"{name} is coded in a way that this installation of PyAV cannot decode: convert it to H.264")
        stream.thread_type = "AUTO"
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
    return InputError(f"{name} cannot be read as video: {reason}; it is no video file, or is cut off before its index")


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
