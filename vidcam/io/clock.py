"""The one place where vidcam reads the time or waits, so that tests can replace the clock."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

__all__ = ["SYSTEM", "Clock", "Stop"]


class Clock:
    """The time of this machine.

    Every object that reads the time or waits takes a clock as an argument, :data:`SYSTEM` by default.
    """

    def now(self) -> float:
        """Return the seconds of a clock that never goes back; only differences are meaningful."""
        return time.monotonic()

    def wall(self) -> datetime:
        """Return the time of day, in UTC."""
        return datetime.now(UTC)

    def processor(self) -> float:
        """Return the processor seconds that this process has used so far, on all cores."""
        return time.process_time()

    def sleep(self, seconds: float) -> None:
        """Wait for ``seconds``."""
        time.sleep(max(0.0, seconds))

    def wait(self, condition: threading.Condition, ready: Callable[[], object], timeout: float | None = None) -> bool:
        """Wait until ``ready()`` is true, for at most ``timeout`` seconds; return whether it is.

        The caller holds ``condition``; code that changes what ``ready`` reads must notify it.
        """
        return bool(condition.wait_for(ready, timeout))

    async def wait_async(self, event: asyncio.Event, timeout: float) -> bool:
        """Wait until ``event`` is set, for at most ``timeout`` seconds; return whether it is."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):  # wait_for of Python 3.11 loses a cancellation that comes with the event
                await event.wait()
        return event.is_set()


SYSTEM = Clock()


class Stop:
    """A flag that asks a thread to end; :meth:`wait` is a pause that ends early if the flag is set."""

    def __init__(self, clock: Clock = SYSTEM) -> None:
        self._clock = clock
        self._news = threading.Condition()
        self._others: list[threading.Condition] = []
        self._set = False

    def set(self) -> None:
        """Ask the thread to end."""
        self._set = True
        for condition in (self._news, *self._others):
            with condition:
                condition.notify_all()

    def is_set(self) -> bool:
        """Return whether the thread was asked to end."""
        return self._set

    def wakes(self, condition: threading.Condition) -> None:
        """Notify ``condition`` too when the flag is set, for a thread that waits on it for something else."""
        self._others.append(condition)

    def wait(self, seconds: float) -> bool:
        """Pause for ``seconds``, or until the flag is set; return whether it is."""
        with self._news:
            return self._clock.wait(self._news, self.is_set, seconds)
