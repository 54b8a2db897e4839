"""The second pass over a video: read it again, draw each frame, write the pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

from vidcam.io.prefetch import opencv_single_threaded, prefetch
from vidcam.io.source import Source
from vidcam.io.writer import VideoWriter
from vidcam.settings import Encoding, Settings
from vidcam.values import Frame, UInt8Array
from vidcam.yuv import Planes

__all__ = ["DrawPass"]

PREFETCH_FRAMES = 6
"""How many frames a stage may be ahead of the next one."""


class DrawPass:
    """Draws every frame of a source, or of a part of it, in the order of the frames.

    Decoding, drawing and encoding run beside each other. After :meth:`run`, ``offset_s`` and ``warnings`` are those of the video
    that was written (:class:`~vidcam.io.writer.VideoWriter`).
    """

    def __init__(
        self,
        source: Source,
        settings: Settings,
        *,
        frames: int,
        progress: Callable[[str, int, int | None], None] | None = None,
        encoding: Encoding = Encoding(),
    ) -> None:
        self.offset_s = 0.0
        self.warnings: tuple[str, ...] = ()
        self._source, self._progress, self._frames, self._encoding = source, progress, frames, encoding
        self._start_s, self._end_s = settings.start_s, settings.end_s

    def run(
        self,
        picture_of: Callable[[Frame], Planes | UInt8Array | None],
        video: Path | None,
        *,
        size: tuple[int, int],
        overwrite: bool,
    ) -> None:
        """Draw all frames and write the pictures to ``video``, if there is one.

        Args:
            picture_of: Gives the picture of a frame; it is called in another thread, for one frame after the other.
            video: The MP4 file to write.
            size: (H, W) of the pictures.
            overwrite: Replace the file if it exists.

        Raises:
            OutputError: The file cannot be written.
        """
        with ExitStack() as stack:
            stack.enter_context(opencv_single_threaded())
            writer = stack.enter_context(self._writer(video, size, overwrite)) if video else None
            pictures = stack.enter_context(closing(prefetch(self._drawn(picture_of), depth=PREFETCH_FRAMES)))
            for number, (frame, picture) in enumerate(pictures, 1):
                if writer and picture is not None:
                    writer.write(picture, time=frame.time, duration=frame.duration)
                if self._progress:
                    self._progress("draw", number, self._frames)
        if writer:
            self.offset_s, self.warnings = writer.offset_s, tuple(writer.warnings)

    def _drawn(
        self, picture_of: Callable[[Frame], Planes | UInt8Array | None]
    ) -> Iterator[tuple[Frame, Planes | UInt8Array | None]]:
        frames = prefetch(self._source.frames(start=self._start_s, end=self._end_s), depth=PREFETCH_FRAMES)
        with closing(frames):
            for frame in frames:
                yield frame, picture_of(frame)

    def _writer(self, video: Path, size: tuple[int, int], overwrite: bool) -> VideoWriter:
        info = self._source.info
        return VideoWriter(
            video,
            size=size,
            source=info.path if info.audio else None,
            start_s=None if self._start_s is None else info.start_s + self._start_s,
            end_s=None if self._end_s is None else info.start_s + self._end_s,
            fps_hint=info.fps,
            encoding=self._encoding,
            overwrite=overwrite,
        )
