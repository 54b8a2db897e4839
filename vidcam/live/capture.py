"""The thread that reads a source: it hands over every frame, and does not give up on a source that has worked once."""

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

FIRST_S, LONGEST_S = 0.5, 15.0  # seconds before the next try: doubled each time
SILENT_S = 2.0  # without a frame for so long, a source is called silent
GONE_S = 12.0  # longer than any source may block


class Capture:
    """Reads ``source`` in a thread of its own and gives each frame to ``take``, which must be quick.

    A source that fails before its first frame has failed: :meth:`wait` raises what it said. Later failures are waited out, with
    growing pauses, until :meth:`close`. ``take`` may raise: then the capture has failed. ``changed`` is called whenever
    :attr:`state` or :attr:`over` may have changed.
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
        """Why there are no frames at present, in a sentence."""
        self._take, self._clock, self._changed = take, clock, changed
        self._state: State = "opening"
        self._arrived = 0.0
        self._reading: Iterator[Frame] | None = None
        self._opened = 0
        self._frames_before = 0  # the present opening of the source
        self._pause = FIRST_S
        self._stop = Stop(clock)
        self._known = threading.Event()  # whether the source works at all
        self._thread = threading.Thread(target=self._run, name="vidcam-capture", daemon=True)

    def start(self) -> Capture:
        self._thread.start()
        return self

    @property
    def state(self) -> State:
        """What the source does at present."""
        quiet = self._state == "running" and self._clock.now() - self._arrived > SILENT_S
        return "silent" if quiet else self._state

    @property
    def over(self) -> bool:
        """No frame will ever come again."""
        return self._state in ("ended", "failed")

    def wait(self) -> None:
        """Until the first frame is there; raises InputError where the source does not give one."""
        self._known.wait()
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        """Stop reading; returns when the thread has ended."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(GONE_S)

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
            if not self._known.is_set():
                self._fail(error)
                return None
            reason = str(error)
        except VidcamError as error:
            self._fail(error)
            return None
        except Exception as error:  # a bug, or a library's: told where the others are, instead of a silent end
            self._fail(VidcamError(f"{self.source.name} cannot be read: {type(error).__name__}: {error}"))
            return None
        self._pause = FIRST_S if self.frames > self._frames_before else min(self._pause * 2, LONGEST_S)
        self._become("waiting", reason)
        return self._pause

    def _run(self) -> None:
        while (pause := self.step()) is not None:
            if pause:
                self._stop.wait(pause)

    def _next(self) -> Frame | None:
        """The next frame of the source; None where it has ended, or was asked to."""
        if self._stop.is_set():
            return None
        if self._reading is None:
            self._opened += 1
            self.reconnects = self._opened - 1
            self._frames_before = self.frames
            self._reading = self.source.frames(self._stop)
        return next(self._reading, None)

    def _let_go(self) -> None:
        reading, self._reading = self._reading, None
        if reading is not None and (close := getattr(reading, "close", None)):
            close()

    def _fail(self, error: VidcamError) -> None:
        self.error = error
        self._become("failed", str(error))

    def _become(self, state: State, reason: str) -> None:
        if state != "running":
            self._let_go()
        before, self._state, self.reason = self._state, state, reason
        if state != "waiting":
            self._known.set()
        if state != before:
            self._changed()
