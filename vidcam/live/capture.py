"""The thread that reads a source. It tries again when a source fails that has worked once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Literal

from vidcam.errors import InputError, VidcamError
from vidcam.io.clock import SYSTEM, Clock, Stop
from vidcam.live.sources import LiveSource
from vidcam.values import Frame

__all__ = ["Capture", "State"]

State = Literal["opening", "running", "silent", "waiting", "ended", "failed"]

FIRST_PAUSE_S, MAX_PAUSE_S = 0.5, 15.0  # before the source is opened again; doubled after each failure
SILENT_S = 2.0  # a source is silent after this long without a frame
JOIN_S = 12.0  # longer than any source may block


class Capture:
    """Reads a source in a thread of its own and passes on every frame.

    If the source fails before its first frame, the capture has failed and :meth:`wait` raises the error. After later failures it
    opens the source again, after growing pauses, until :meth:`close`.

    Args:
        source: The source.
        take: Receives each frame and must be quick. If it raises, the capture has failed.
        clock: Measures pauses and silence.
        changed: Called whenever :attr:`state` or :attr:`over` may have changed.
    """

    def __init__(
        self,
        source: LiveSource,
        take: Callable[[Frame], None],
        *,
        clock: Clock = SYSTEM,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.source = source
        self.reconnects = 0
        self.frames = 0
        self.error: VidcamError | None = None
        self.reason = ""
        """A sentence that says why there are no frames at present."""
        self._take, self._clock, self._changed = take, clock, changed
        self._state: State = "opening"
        self._arrived = 0.0
        self._frames: Iterator[Frame] | None = None
        self._opened = 0
        self._frames_before = 0  # frames that came before the source was opened last
        self._pause = FIRST_PAUSE_S
        self._stop = Stop(clock)
        self._is_due = False  # the source is to be opened again, whatever the pause is
        self._news = threading.Condition()
        self._stop.wakes(self._news)
        self._is_decided = threading.Event()  # set once the source has given a frame, or has failed
        self._thread = threading.Thread(target=self._run, name="vidcam-capture", daemon=True)

    def start(self) -> Capture:
        """Begin to read."""
        self._thread.start()
        return self

    @property
    def state(self) -> State:
        """The present state of the source."""
        is_silent = self._state == "running" and self._clock.now() - self._arrived > SILENT_S
        return "silent" if is_silent else self._state

    @property
    def over(self) -> bool:
        """Whether no frame will ever come again."""
        return self._state in ("ended", "failed")

    def wait(self) -> None:
        """Wait for the first frame. InputError if the source does not give one."""
        self._is_decided.wait()
        if self.error is not None:
            raise self.error

    def retry(self) -> None:
        """Open the source again now, if that is being waited for."""
        with self._news:
            self._is_due = self._state == "waiting"
            self._news.notify_all()

    def close(self) -> None:
        """Stop reading; return when the thread has ended."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(JOIN_S)

    def step(self) -> float | None:
        """Take the next frame, opening the source if it is not open; the thread calls this again and again.

        Return the seconds to wait before the next step, or None if there is none because the capture is over.
        """
        if self.over:
            return None
        try:
            frame = self._next()
            if frame is not None:
                self._arrived = self._clock.now()
                self.frames += 1
                self._become("running", "")
                self._take(frame)
                return 0.0
            if self.source.ends or self._stop.is_set():
                self._become("ended", self.reason)
                return None
            reason = f"{self.source.name} has stopped sending"
        except InputError as error:
            if not self._is_decided.is_set():
                self._fail(error)
                return None
            reason = str(error)
        except VidcamError as error:
            self._fail(error)
            return None
        except Exception as error:  # a thread must not end in silence
            self._fail(VidcamError(f"{self.source.name} cannot be read: {type(error).__name__}: {error}"))
            return None
        self._pause = FIRST_PAUSE_S if self.frames > self._frames_before else min(self._pause * 2, MAX_PAUSE_S)
        self._become("waiting", reason)
        return self._pause

    def _run(self) -> None:
        while (pause := self.step()) is not None:
            if pause:
                with self._news:
                    self._clock.wait(self._news, lambda: self._is_due or self._stop.is_set(), pause)
                    self._is_due = False

    def _next(self) -> Frame | None:
        """Return the next frame of the source; None if it has ended or the capture is being closed."""
        if self._stop.is_set():
            return None
        if self._frames is None:
            self._opened += 1
            self.reconnects = self._opened - 1
            self._frames_before = self.frames
            self._frames = self.source.frames(self._stop)
        return next(self._frames, None)

    def _close_source(self) -> None:
        frames, self._frames = self._frames, None
        if frames is not None and (close := getattr(frames, "close", None)):
            close()

    def _fail(self, error: VidcamError) -> None:
        self.error = error
        self._become("failed", str(error))

    def _become(self, state: State, reason: str) -> None:
        if state != "running":
            self._close_source()
        before, self._state, self.reason = self._state, state, reason
        if state != "waiting":
            self._is_decided.set()
        if state != before:
            self._changed()
