"""Opens any source as frames: upright, square-pixel pictures at the stream's own seconds.

A source is a video file, an address, a folder of numbered images or a pattern such as ``frames/%04d.png``. Frames are
read one at a time, and at most one is held back, so that memory stays flat however long the source is.
"""

from __future__ import annotations

import contextlib
import math
import os
import weakref
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType

from vidcam.errors import InputError, UsageError
from vidcam.io.arrays import is_array, open_array
from vidcam.io.container import DEFAULT_FPS, is_url, refuse_special
from vidcam.io.files import sha256_of
from vidcam.io.images import IMAGE_SUFFIXES, animation_kind, find_images, list_files, open_animated_webp, open_images
from vidcam.io.reading import Needed, ReadFrames
from vidcam.io.remote import is_remote, local_copy
from vidcam.io.video import open_video
from vidcam.values import FloatArray, Frame, SourceInfo

__all__ = ["IMAGE_SUFFIXES", "VIDEO_SUFFIXES", "Source", "find_videos", "open_source"]

# fmt: off
VIDEO_SUFFIXES = frozenset({
    ".3gp", ".asf", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts",
    ".vob", ".webm", ".wmv", ".y4m",
})
# fmt: on


class Source:
    """An opened video or sequence of images, which can be read any number of times.

    Close it, or use it in a ``with`` block.

    Attributes:
        info: The facts of the source (:class:`vidcam.values.SourceInfo`).
        warnings: Sentences about what was lost, filled while frames are read.
        say: If set, it is called with each new warning at once, in the thread that reads.
    """

    def __init__(
        self, info: SourceInfo, read: ReadFrames, warnings: Sequence[str] = (), release: Callable[[], None] = lambda: None
    ) -> None:
        self.info = info
        self.warnings: list[str] = list(warnings)
        self.say: Callable[[str], None] | None = None
        self._read, self._release = read, release
        self._running: weakref.WeakSet[Generator[Frame, None, None]] = weakref.WeakSet()
        self._closed = False

    @cached_property
    def sha256(self) -> str | None:
        """The SHA-256 of the file; None for everything else (addresses, folders, arrays), and if it cannot be read any more.

        It takes about a second for a gigabyte, for which decoding takes minutes.
        """
        try:
            return sha256_of(self.info.path) if os.path.isfile(self.info.path) else None
        except OSError:
            return None

    def frames(self, *, start: float | None = None, end: float | None = None, needed: Needed | None = None) -> Iterator[Frame]:
        """Yield every frame whose time lies in ``[start, end)``, in order, each exactly once.

        Times strictly increase, and ``Frame.end`` is the next frame's time.

        Args:
            start: Seconds from the first frame of the video, whose own time (``Frame.time``, on the stream's clock) need not be
                zero. Compared with a tolerance of half a millisecond. None means from the first frame on.
            end: The same; None means to the last frame.
            needed: Is told the times of all frames of the range, on the stream's clock, and returns for each whether its picture
                is looked at. Decoding may then leave out others, which come as :class:`vidcam.values.BareFrame`. It is not
                asked if nothing can be left out. None means that all are looked at.

        Returns:
            An iterator of :class:`vidcam.values.Frame`.

        Raises:
            UsageError: The range is empty, or the source is closed.
            InputError: The range holds no frame, or the file cannot be read any more.
        """
        if self._closed:
            raise UsageError(f"the source {self.info.path} is closed: open it again to read it")
        if (start is not None and not start >= 0) or (end is not None and not end > (start or 0.0)):
            raise UsageError(f"a range of seconds needs 0 <= start < end, got start={start} and end={end}")
        reading = self._read(start, end, self._warn, needed)
        self._running.add(reading)
        return reading

    def close(self) -> None:
        """Stop all readings and release their files."""
        self._closed = True
        self._release()
        for reading in list(self._running):
            with contextlib.suppress(ValueError):  # another thread is running it, and closes it
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


def open_source(path: object, *, fps: float | None = None, times: Sequence[float] | FloatArray | None = None) -> Source:
    """Open a video file, an address, a folder of numbered images, a pattern of images, or pictures in memory.

    The first frame is decoded at once, so a source that cannot be read raises its error here. An http(s) address is read while
    it is needed. A file at another address that fsspec knows, such as ``s3://…``, is copied to this machine; closing the source
    deletes the copy.

    Args:
        path: The file, address, folder or pattern (``frames/%04d.png``, ``frames/*.png``), or an array or tensor
            ``(T, H, W, 3) uint8`` RGB. A source that is already open is returned unchanged.
        fps: Images per second, for images (25 by default) and pictures in memory only.
        times: ``(T,)`` increasing seconds of pictures in memory, instead of ``fps``.

    Returns:
        The opened source, a context manager; its ``frames(start=, end=)`` yields each :class:`vidcam.Frame`.

    Raises:
        UsageError: ``fps`` is not positive, or is given for a video, which has its own times; or ``path`` names nothing.
        InputError: The source does not exist or cannot be read as video.

    Example:
        >>> import vidcam
        >>> with vidcam.open_source("clips/walking.mp4") as source:
        ...     times = [frame.time for frame in source.frames(start=1.0, end=2.0)]
        >>> 1.0 <= times[0] < times[-1] < 2.0
        True
    """
    if fps is not None and not (math.isfinite(fps) and fps > 0):
        raise UsageError(f"fps must be a positive number of images per second, got {fps}")
    if isinstance(path, Source):
        return path
    if is_array(path):
        return Source(*open_array(path, times=times, fps=fps))
    if times is not None:
        raise UsageError("times are only for pictures in memory: files have their own")
    if not isinstance(path, str | os.PathLike):
        raise UsageError(f"a video is a path, a URL, a folder of images or an array (T, H, W, 3), got a {type(path).__name__}")
    name = os.fspath(path)
    if is_remote(name):
        return _open_remote(name, fps)
    images = None
    if not is_url(name):
        refuse_special(name)
        images = find_images(Path(name))
    is_one_file = images is not None and len(images) == 1 and not os.path.isdir(name)
    animation = animation_kind(images[0]) if images and is_one_file else ""
    if images is not None and not animation:
        return Source(*open_images(name, images, DEFAULT_FPS if fps is None else fps))
    if fps is not None:
        raise UsageError(f"fps is only for images; the video {name} has its own times, so leave fps out")
    return Source(*(open_animated_webp(name) if animation == "webp" else open_video(name)))


def _open_remote(address: str, fps: float | None) -> Source:
    """Open a local copy of a video at an address, which is held until the source is closed."""
    if fps is not None:
        raise UsageError(f"fps is only for images; the video {address} has its own times, so leave fps out")
    with contextlib.ExitStack() as stack:
        stack.enter_context(local_copy(address))
        info, read, warnings, release = open_video(address)
        stack.callback(release)
        return Source(info, read, warnings, stack.pop_all().close)
    raise AssertionError  # mypy: the stack might suppress an error, and never does


def find_videos(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the videos that lie directly in a folder, in natural order (clip2 before clip10).

    Raises:
        InputError: The folder cannot be read or holds no video.
    """
    folder = Path(folder)
    videos = list_files(folder, VIDEO_SUFFIXES)
    if not videos:
        raise InputError(f"the folder {folder} holds no video: looked for {', '.join(sorted(VIDEO_SUFFIXES))}")
    return videos
