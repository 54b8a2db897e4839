"""Writes pictures to an H.264 MP4 that plays in a browser, with the source's own timestamps and audio.

Clock. The output keeps the source's clock: a source that starts at 1.4 s gives a file that starts at 1.4 s, and video and audio
stay in step. Three kinds of source are moved to a clock that starts at zero, because no player would show their first picture at
once: a cut (``start_s`` becomes zero), a first picture before zero, and one later than ten seconds (as in a broadcast recording).
:attr:`VideoWriter.offset_s` is what was subtracted.

Colour. Planes are written as they are and tagged with their matrix. RGB is converted with the BT.709 matrix to limited range and
tagged so, whatever the size. A decoder that reads the tags, as browsers do, gives the same RGB back.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from av.container import OutputContainer

from vidcam.errors import OutputError, UsageError
from vidcam.io.audio import SourceAudio, open_audio
from vidcam.io.encoders import TICKS, H264Encoder, choose_encoder
from vidcam.io.files import atomic_write, check_output
from vidcam.settings import Encoding
from vidcam.values import UInt8Array
from vidcam.yuv import Matrix, Planes

__all__ = ["VideoWriter"]

_LATEST_START = 10.0  # s
X264 = Encoding("x264")


class VideoWriter:
    """An MP4 file that is being written: H.264 in yuv420p, with its index first.

    The file appears at ``path`` when the writer is closed without an error; after an error nothing appears. Audio that cannot be
    read never stops the video: see :attr:`warnings`.

    Args:
        path: The output, which must end in ``.mp4``.
        size: (H, W) of the pictures, both even.
        source: The video whose audio is taken: the stream marked as default, else the first. Its packets are copied if MP4 can
            hold them and encoded as AAC otherwise.
        start_s: The audio is cut to ``[start_s, end_s)``, on the clock of the pictures' times.
        end_s: See ``start_s``.
        fps_hint: The usual frame rate, for the rate control only.
        encoding: What encodes, with which quality and speed; x264 by default.
        overwrite: Whether an existing file may be replaced.

    Attributes:
        offset_s: The seconds that were subtracted from the source's clock.

    Raises:
        UsageError: The size is odd or too small, or x264 has no such preset.
        OutputError: The suffix is not ``.mp4``, or the file cannot be written.

    Example:
        >>> with VideoWriter("out.mp4", size=(480, 640), source="in.mp4") as writer:
        ...     for frame in frames:
        ...         writer.write(frame.planes, time=frame.time, duration=frame.duration)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        size: tuple[int, int],
        source: str | os.PathLike[str] | None = None,
        start_s: float | None = None,
        end_s: float | None = None,
        fps_hint: float | None = None,
        encoding: Encoding = X264,
        overwrite: bool = False,
    ) -> None:
        height, width = size
        if height < 2 or width < 2 or height % 2 or width % 2:
            raise UsageError(f"H.264 in yuv420p needs an even height and width, got {height}x{width}; pad or crop by one pixel")
        if Path(path).suffix.lower() != ".mp4":
            raise OutputError(f"cannot write {path}: the video is an MP4 file, so its name must end in .mp4")
        check_output(path, overwrite=overwrite, source=source)
        self.path = path
        self.offset_s = 0.0
        self._size = (int(height), int(width))
        self._source = source
        self._start = start_s
        self._end = math.inf if end_s is None else end_s
        self._fps_hint = fps_hint
        self._encoder, self._encoding, note = choose_encoder(encoding, self._size)
        self._overwrite = overwrite
        self._stack = ExitStack()
        self._output: OutputContainer | None = None
        self._audio: SourceAudio | None = None
        self._notes: list[str] = [note] if note else []
        self._closed = False
        self._last_tick: int | None = None

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self._abort(kind, error, trace)

    @property
    def warnings(self) -> list[str]:
        """Sentences about what was lost of the audio, and about an encoder that does not work."""
        return [*self._notes, *(self._audio.losses if self._audio else ())]

    def write(self, picture: UInt8Array | Planes, *, time: float, duration: float) -> None:
        """Add one picture.

        Args:
            picture: Planes, or RGB ``(H, W, 3) uint8``.
            time: The second at which the picture is shown, on the source's clock; must increase.
            duration: Seconds, 0 if unknown.

        Raises:
            UsageError: The picture has another size, its time does not increase, or the writer is closed.
            OutputError: The disk is full, or the encoder fails.
        """
        if self._closed:
            raise UsageError(f"{self.path} is closed; nothing can be written to it any more")
        self._check(picture, time, duration)
        with self._guard():
            if self._output is None:
                self._begin(time, duration, picture.matrix if isinstance(picture, Planes) else "bt709")
            tick = round((time - self.offset_s) * TICKS)
            if self._last_tick is not None and tick <= self._last_tick:
                raise UsageError(f"the times of pictures must increase, got {time} s after one that is as late or later")
            self._last_tick = tick
            self._pictures.add(picture, tick=tick, duration=round(duration * TICKS) or round(TICKS / self._fps))
            if self._audio:
                self._mux_audio(time + duration)

    def close(self) -> None:
        """Finish the file and put it in its place; closing twice does nothing.

        Raises:
            UsageError: No picture was written.
            OutputError: The disk is full, or the encoder fails.
        """
        if self._closed:
            return
        with self._guard():
            if self._output is None:
                raise UsageError(f"no picture was written to {self.path}, so there is no video to save")
            self._pictures.finish()
            if self._audio:
                self._mux_audio(math.inf)
                self._audio.close()
            self._output.close()
            self._closed = True
            self._stack.close()

    def _check(self, picture: UInt8Array | Planes, time: float, duration: float) -> None:
        if isinstance(picture, Planes):
            if picture.size != self._size:
                raise UsageError(f"a picture must be of the size {self._size} (H, W), got {picture.size}")
        elif picture.dtype != np.uint8 or picture.shape != (*self._size, 3):
            raise UsageError(f"a picture must be uint8 of shape {(*self._size, 3)}, got {picture.dtype} {picture.shape}")
        if not math.isfinite(time) or not (math.isfinite(duration) and duration >= 0):
            raise UsageError(f"a picture needs a finite time and a duration of at least 0 s, got {time} and {duration}")

    def _begin(self, time: float, duration: float, matrix: Matrix) -> None:
        """Open the file at the first picture, whose time decides on the clock."""
        start = -math.inf if self._start is None else self._start
        if self._start is not None:
            self.offset_s = min(self._start, time)
        elif not 0 <= time <= _LATEST_START:
            start = self.offset_s = time
        temp = self._stack.enter_context(atomic_write(self.path, overwrite=self._overwrite))
        # The clock of the edit list, milliseconds by default, would round a start that is not zero.
        options = {"movflags": "+faststart", "movie_timescale": str(TICKS)}
        self._output = av.open(str(temp), "w", format="mp4", options=options)
        self._fps = min(max(self._fps_hint or (1 / duration if duration else 25.0), 1.0), 240.0)
        self._pictures = H264Encoder(
            self._output, size=self._size, matrix=matrix, fps=self._fps, encoder=self._encoder, encoding=self._encoding
        )
        if self._source is not None:
            try:
                self._audio = open_audio(self._source, self._output, offset=self.offset_s, start=start, end=self._end)
            except (av.FFmpegError, OSError, ValueError) as error:
                self._notes.append(f"the audio of {self._source} could not be read and is left out ({error})")

    def _mux_audio(self, until: float) -> None:
        """Write the audio that begins before ``until``, in seconds on the source's clock."""
        assert self._output is not None
        assert self._audio is not None
        for packet in self._audio.packets(until):
            try:
                self._output.mux(packet)
            except (av.error.InvalidDataError, av.error.ArgumentError) as error:
                self._audio.lose(f"packet that MP4 does not take ({error.strerror})")

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """Abort the file if the block raises, and raise OutputError for errors of FFmpeg."""
        try:
            yield
        except BaseException as error:
            self._abort(*sys.exc_info())
            if isinstance(error, av.FFmpegError):
                raise OutputError(f"cannot write {self.path}: the encoder or the MP4 format refused it ({error})") from error
            raise

    def _abort(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close everything and remove the unfinished file; raise OutputError in place of an error of the disk."""
        self._closed = True
        if self._audio:
            self._audio.close()
        if self._output is not None:
            with suppress(av.FFmpegError, OSError, ValueError):
                self._output.close()
        self._stack.__exit__(kind, error, trace)
