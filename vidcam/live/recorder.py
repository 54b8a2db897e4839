"""The live picture with heat and labels drawn in, for a window or a recording."""

from __future__ import annotations

import os
import secrets
import threading
from collections import deque
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import TracebackType

from vidcam.errors import OutputError, VidcamError
from vidcam.evidence.heat import render_heat
from vidcam.io.files import check_output
from vidcam.io.letterbox import resize_onto_black
from vidcam.io.writer import VideoWriter
from vidcam.live.state import Update
from vidcam.live.stream import Stream
from vidcam.render import Legend, Renderer
from vidcam.settings import Look
from vidcam.values import Frame

__all__ = ["FrameAnnotator", "Recorder"]

MAX_WAITING = 48  # frames that may wait to be recorded; further ones are left out
MAX_GAP_S = 1.0  # of a recording, however long the stream has paused
MIN_STEP_S = 0.001  # between two frames of a recording


class FrameAnnotator:
    """Draws the evidence into frames of one stream; all results have the size of the first frame."""

    def __init__(self, stream: Stream, look: Look) -> None:
        self._stream, self._look = stream, look
        self._renderer: Renderer | None = None
        self._method: tuple[object, ...] = ()

    def draw(self, frame: Frame, update: Update | None) -> Frame:
        """Return the annotated frame. Before the first update all of it is marked as not seen by the model."""
        renderer = self._current_renderer(frame.size)
        size = renderer.source_size
        heat = None
        if update is not None and (tracks := update.tracks[update.label]):
            heat = render_heat(tracks, time=update.time, scale=update.scale, size=size, against=self._look.signed)
        if frame.size != size:
            frame = Frame(resize_onto_black(frame.image, size), frame.time, frame.duration)
        picture = renderer.draw(
            frame.planes,
            heat=heat,
            time=frame.time,
            top=() if update is None else update.top[:3],
            label="" if update is None else update.label,
        )
        return Frame(picture, frame.time, frame.duration)

    def _current_renderer(self, size: tuple[int, int]) -> Renderer:
        """Return the renderer, made anew if the model or the method has changed, because the legend names them."""
        settings, spec, method = self._stream.settings, self._stream.engine.spec, self._stream.method
        current = spec.name, settings.method, settings.versus
        if self._renderer is None or current != self._method:
            legend = Legend(
                model=spec.name,
                method=method.name,
                time_cells=spec.time_cells_text,
                clip_s=spec.clip_s,
                versus=settings.versus,
                unit="logits" if method.is_complete else "",
            )
            self._renderer = Renderer(
                source_size=size if self._renderer is None else self._renderer.source_size,
                legend=legend,
                style=self._look.style,
                opacity=self._look.opacity,
                signed=self._look.signed,
                top=3,
            )
            self._method = current
        return self._renderer


class Recorder:
    """Writes the annotated stream to an MP4 in a thread of its own, as long as its ``with`` block lasts.

    The recording begins at second 0, and a gap in the stream becomes at most a second long. Frames that the machine cannot write
    in time are left out and counted in ``lost``; a stream that does not run in real time waits instead. If recording fails, the
    user is told at once, and the error is raised at the end of the block unless another VidcamError is. If the name of the file
    was taken meanwhile, the recording gets another one beside it.

    Args:
        stream: The stream.
        look: How evidence is drawn.
        path: The MP4 file.
        overwrite: Replace a file that exists.
        say: Receives sentences for the user.

    Raises:
        OutputError: The file cannot be written.
    """

    def __init__(self, stream: Stream, look: Look, path: Path, *, overwrite: bool, say: Callable[[str], None]) -> None:
        target = check_output(path, overwrite=overwrite)
        self.path, self.lost = path, 0
        self.error: VidcamError | None = None
        self._partial = target.with_name(f".{target.stem[:40]}.{secrets.token_hex(4)}.mp4")  # its name until it is complete
        self._overwrite, self._say = overwrite, say
        self._stream, self._annotator = stream, FrameAnnotator(stream, look)
        self._frames: deque[tuple[Frame, Update | None]] = deque()
        self._changed = threading.Condition()
        self._closed = self._ended = False
        self._thread = threading.Thread(target=self._run, name="vidcam-record", daemon=True)
        self._thread.start()
        stream.on_frame.append(self._take)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._close()
        if self.error is not None and not isinstance(error, VidcamError):
            raise self.error

    def _close(self) -> None:
        """Finish the file."""
        self._stream.on_frame.remove(self._take)
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()
        if self.lost and self.error is None:
            self._say(f"{self.lost} frames are not in {self.path}: the machine could not keep up")

    def _take(self, frame: Frame) -> None:
        with self._changed:
            if not self._stream.real_time:
                self._changed.wait_for(lambda: len(self._frames) < MAX_WAITING or self._ended or self._closed)
            if self._ended:
                return
            if len(self._frames) < MAX_WAITING:
                self._frames.append((frame, self._stream.update))
                self._changed.notify_all()
            else:
                self.lost += 1

    def _next(self) -> tuple[Frame, Update | None] | None:
        """Wait for the next frame and return it; None once there will be no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._frames or self._closed)
            item = self._frames.popleft() if self._frames else None
            self._changed.notify_all()
        return item

    def _run(self) -> None:
        try:
            first = self._next()
            if first is not None:
                self._write(*first)
                self._rename()
        except VidcamError as error:
            self._fail(OutputError(str(error).replace(str(self._partial), str(self.path))))
        except Exception as error:  # a thread must not end in silence
            self._fail(VidcamError(f"recording to {self.path} failed: {type(error).__name__}: {error}"))
        finally:
            with self._changed:
                self._ended = True
                self._frames.clear()
                self._changed.notify_all()

    def _fail(self, error: VidcamError) -> None:
        self.error = error
        self._say(f"the recording has ended: {error}")

    def _rename(self) -> None:
        """Give the complete file its name, or a free one beside it."""
        try:
            target = check_output(self.path, overwrite=self._overwrite)
        except OutputError:
            numbered = (self.path.with_name(f"{self.path.stem}-{n}{self.path.suffix}") for n in count(2))
            target = next(path for path in numbered if not path.exists())
            self._say(f"{self.path} cannot be written any more, so the recording is in {target}")
            self.path = target
        try:
            os.replace(self._partial, target)
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {error.strerror}; the recording is in {self._partial.name}") from error

    def _write(self, frame: Frame, update: Update | None) -> None:
        """Write this frame and those that follow."""
        first = self._annotator.draw(frame, update)
        time, last = 0.0, frame.time
        with VideoWriter(self._partial, size=first.size, fps_hint=30.0) as writer:
            writer.write(first.picture, time=0.0, duration=0.0)
            while (item := self._next()) is not None:
                frame, update = item
                time += min(max(frame.time - last, MIN_STEP_S), MAX_GAP_S)
                last = frame.time
                writer.write(self._annotator.draw(frame, update).picture, time=time, duration=0.0)
