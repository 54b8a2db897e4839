"""The thread that reads a source: it hands over every frame, and does not give up on a source that has worked once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Literal

from vidcam.errors import InputError, VidcamError
from vidcam.live.sources import LiveSource
from vidcam.types import Frame

__all__ = ["Capture", "State"]

State = Literal["opening", "running", "silent", "waiting", "ended", "failed"]

FIRST_S, LONGEST_S = 0.5, 15.0  # seconds before the next try: doubled each time
SILENT_S = 2.0  # without a frame for so long, a source is called silent
GONE_S = 12.0  # longer than any source may block


class Capture:
    """Reads ``source`` in a thread of its own and gives each frame to ``take``, which must be quick.

    A source that fails before its first frame has failed: :meth:`wait` raises what it said. Later failures are waited out, with
    growing pauses, until :meth:`close`. ``take`` may raise: then the capture has failed.
    """

    def __init__(self, source: LiveSource, take: Callable[[Frame], None]) -> None:
        self.source = source
        self.reconnects = 0
        self.frames = 0
        self.error: VidcamError | None = None
        self.reason = ""
        """Why there are no frames at present, in a sentence."""
        self._take = take
        self._state: State = "opening"
        self._arrived = 0.0
        self._stop = threading.Event()
        self._known = threading.Event()  # whether the source works at all
        self._thread = threading.Thread(target=self._run, name="vidcam-capture", daemon=True)

    def start(self) -> Capture:
        self._thread.start()
        return self

    @property
    def state(self) -> State:
        """What the source does at present."""
        quiet = self._state == "running" and time.monotonic() - self._arrived > SILENT_S
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

    def _run(self) -> None:
        pause = FIRST_S
        while not self._stop.is_set():
            before = self.frames
            try:
                with closing(self.source.frames(self._stop)) as frames:  # type: ignore[type-var]
                    for frame in frames:
                        self.frames += 1
                        self._arrived = time.monotonic()
                        self._state, self.reason = "running", ""
                        self._known.set()
                        self._take(frame)
                if self.source.ends or self._stop.is_set():
                    break
                self.reason = f"{self.source.name} has stopped sending"
            except InputError as error:
                if not self._known.is_set():
                    self._fail(error)
                    return
                self.reason = str(error)
            except VidcamError as error:
                self._fail(error)
                return
            except Exception as error:  # a bug, or a library's: told where the others are, instead of a silent end
                self._fail(VidcamError(f"{self.source.name} cannot be read: {type(error).__name__}: {error}"))
                return
            pause = FIRST_S if self.frames > before else min(pause * 2, LONGEST_S)
            self._state = "waiting"
            if not self._stop.wait(pause):
                self.reconnects += 1
        self._state = "ended"
        self._known.set()

    def _fail(self, error: VidcamError) -> None:
        self.error, self._state, self.reason = error, "failed", str(error)
        self._known.set()
