"""The live picture with its heat and labels drawn in, for a window or a recording."""

from __future__ import annotations

import os
import secrets
import threading
from collections import deque
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from vidcam.errors import OutputError, VidcamError
from vidcam.evidence.heat import render_heat
from vidcam.io.files import check_output
from vidcam.io.writer import VideoWriter
from vidcam.live.state import Update
from vidcam.live.stream import Stream
from vidcam.render import Legend, Renderer
from vidcam.render.renderer import Look
from vidcam.values import Frame, UInt8Array

__all__ = ["Painter", "Recorder", "fit"]

HELD = 48  # frames that may wait to be recorded; then they are left out


class Painter:
    """Draws frames of one stream, all as large as its first one."""

    def __init__(self, stream: Stream, look: Look) -> None:
        self._stream, self._look = stream, look
        self._renderer: Renderer | None = None
        self._facts: tuple[object, ...] = ()

    def draw(self, frame: Frame, update: Update | None) -> Frame:
        """The annotated frame; before the first evidence all of it is marked as unseen."""
        settings, session = self._stream.settings, self._stream.engine.spec
        facts = (settings.method, settings.versus)
        if self._renderer is None or facts != self._facts:
            size = frame.size if self._renderer is None else self._renderer.source_size
            method = self._stream.method
            legend = Legend(
                model=session.name,
                method=method.name,
                time_cells=session.time_cells_text,
                clip_s=session.clip_s,
                versus=settings.versus,
                unit="logits" if method.complete else "",
            )
            look = self._look
            self._renderer = Renderer(
                source_size=size, legend=legend, style=look.style, opacity=look.opacity, signed=look.signed, top=3
            )
            self._facts = facts
        size = self._renderer.source_size
        heat = None
        if update is not None and (heads := update.heads[update.label]):
            heat = render_heat(heads, time=update.time, scale=update.scale, size=size, against=self._look.signed)
        fitting = frame if frame.size == size else Frame(fit(frame.image, size), frame.time, frame.duration)
        picture = self._renderer.draw(
            fitting.planes,
            heat=heat,
            time=frame.time,
            top=() if update is None else update.top[:3],
            label="" if update is None else update.label,
        )
        return Frame(picture, frame.time, frame.duration)


def fit(image: UInt8Array, size: tuple[int, int]) -> UInt8Array:
    """The image in its own shape on black, as large as ``size`` (H, W) allows."""
    height, width = size
    scale = min(height / image.shape[0], width / image.shape[1])
    small: Any = cv2.resize(image, (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))))
    out = np.zeros((*size, 3), np.uint8)
    y, x = (height - small.shape[0]) // 2, (width - small.shape[1]) // 2
    out[y : y + small.shape[0], x : x + small.shape[1]] = small
    return out


class Recorder:
    """Writes the annotated stream to an MP4 while the ``with`` lasts, in a thread of its own; the file's clock begins at zero.

    What the machine cannot keep up with is left out, and counted in ``lost``; a stream that does not run in real time waits
    instead. A gap in the stream becomes at most a second long. A recording that cannot go on is told at once and raised at the
    end, where nothing else is; where only its name was taken meanwhile, it gets another one beside it.
    """

    def __init__(self, stream: Stream, look: Look, path: Path, *, overwrite: bool, say: Callable[[str], None]) -> None:
        target = check_output(path, overwrite=overwrite)
        self.path, self.lost = path, 0
        self.error: VidcamError | None = None
        self._whole = target.with_name(f".{target.stem[:40]}.{secrets.token_hex(4)}.mp4")  # until it is complete
        self._overwrite, self._say = overwrite, say
        self._stream, self._painter = stream, Painter(stream, look)
        self._frames: deque[tuple[Frame, Update | None]] = deque()
        self._news = threading.Condition()
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
        with self._news:
            self._closed = True
            self._news.notify_all()
        self._thread.join()
        if self.lost and self.error is None:
            self._say(f"{self.lost} frames are not in {self.path}: the machine could not keep up")

    def _take(self, frame: Frame) -> None:
        with self._news:
            if not self._stream.real_time:
                self._news.wait_for(lambda: len(self._frames) < HELD or self._ended or self._closed)
            if self._ended:
                return
            if len(self._frames) < HELD:
                self._frames.append((frame, self._stream.update))
                self._news.notify_all()
            else:
                self.lost += 1

    def _next(self) -> tuple[Frame, Update | None] | None:
        """The next frame to write; None once there will be no more."""
        with self._news:
            self._news.wait_for(lambda: self._frames or self._closed)
            item = self._frames.popleft() if self._frames else None
            self._news.notify_all()
        return item

    def _run(self) -> None:
        try:
            first = self._next()
            if first is not None:
                self._write(*first)
                self._name()
        except VidcamError as error:
            self._fail(OutputError(str(error).replace(str(self._whole), str(self.path))))
        except Exception as error:  # a thread must not end in silence
            self._fail(VidcamError(f"recording to {self.path} failed: {type(error).__name__}: {error}"))
        finally:
            with self._news:
                self._ended = True
                self._frames.clear()
                self._news.notify_all()

    def _fail(self, error: VidcamError) -> None:
        self.error = error
        self._say(f"the recording has ended: {error}")

    def _name(self) -> None:
        """Give the complete file its name, or a free one."""
        try:
            target = check_output(self.path, overwrite=self._overwrite)
        except OutputError:
            numbered = (self.path.with_name(f"{self.path.stem}-{n}{self.path.suffix}") for n in count(2))
            target = next(path for path in numbered if not path.exists())
            self._say(f"{self.path} cannot be written any more, so the recording is in {target}")
            self.path = target
        try:
            os.replace(self._whole, target)
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {error.strerror}; the recording is in {self._whole.name}") from error

    def _write(self, frame: Frame, update: Update | None) -> None:
        drawn = self._painter.draw(frame, update)
        clock, last = 0.0, frame.time
        with VideoWriter(self._whole, size=drawn.size, fps_hint=30.0) as writer:
            writer.write(drawn.picture, time=0.0, duration=0.0)
            while (item := self._next()) is not None:
                frame, update = item
                clock += min(max(frame.time - last, 0.001), 1.0)
                last = frame.time
                writer.write(self._painter.draw(frame, update).picture, time=clock, duration=0.0)
