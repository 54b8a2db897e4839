"""One thread that does jobs in order, so that slow work never holds up the stream."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from vidcam.errors import VidcamError
from vidcam.io.clock import SYSTEM, Clock

if TYPE_CHECKING:
    from vidcam.live.events import Event

__all__ = ["CLOSE_TIMEOUT_S", "MAX_WAITING", "Worker"]

MAX_WAITING = 64  # jobs in the queue of a worker; more would be done too late to be of use
CLOSE_TIMEOUT_S = 8.0  # how long a worker may go on after the stream has ended


class Worker:
    """Does jobs one after another in a thread of its own.

    Args:
        say: Receives a sentence for the user: an error of a job, or that a job was left out or given up.
        what: Names the jobs in those sentences.
        max_waiting: How many jobs may wait in the queue; further ones are left out.
        close_timeout_s: Seconds after :meth:`close` at which the rest is given up.
        clock: Measures that time.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        what: str = "an action",
        *,
        max_waiting: int = MAX_WAITING,
        close_timeout_s: float = CLOSE_TIMEOUT_S,
        clock: Clock = SYSTEM,
    ) -> None:
        self.failures = 0
        self._say, self._what, self._close_timeout_s, self._clock = say, what, close_timeout_s, clock
        self._max_waiting = max_waiting
        self._jobs: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._closed = self._ended = False
        self._thread = threading.Thread(target=self._run, name="vidcam-worker", daemon=True)

    def start(self) -> Worker:
        """Begin to do the jobs."""
        self._thread.start()
        return self

    def do(self, job: Callable[[], None]) -> None:
        """Queue ``job``, without waiting for it."""
        with self._changed:
            has_room = len(self._jobs) < self._max_waiting
            if has_room:
                self._jobs.append(job)
                self._changed.notify_all()
        if not has_room:
            self._complain(f"too many events at once: {self._what} was left out")

    def queue(self, action: Callable[[Event], None]) -> Callable[[Event], None]:
        """Return a function that queues ``action`` for an event, without waiting for it."""
        return lambda event: self.do(lambda: action(event))

    def step(self) -> bool:
        """Do the next job; return whether there was one. The thread calls this again and again."""
        with self._changed:
            if not self._jobs:
                return False
            job = self._jobs.popleft()
        try:
            job()
        except VidcamError as error:
            self._complain(str(error))
        except Exception as error:  # one bad job must not end the others
            self._complain(f"an action failed: {type(error).__name__}: {error}")
        return True

    def close(self) -> None:
        """Return when the queued jobs are done, or give them up after ``close_timeout_s`` seconds."""
        if not self._thread.is_alive():
            return
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            is_done = self._clock.wait(self._changed, lambda: self._ended, self._close_timeout_s)
            if not is_done:
                self._jobs.clear()
        if is_done:
            self._thread.join()
        else:
            self._complain(f"{self._what} was given up: not done {self._close_timeout_s:g} seconds after the end")

    def _run(self) -> None:
        while self._wait():
            self.step()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _wait(self) -> bool:
        """Wait for a job; return False if there is none and no more will come."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._closed)
            return bool(self._jobs)

    def _complain(self, sentence: str) -> None:
        self.failures += 1
        self._say(sentence)
