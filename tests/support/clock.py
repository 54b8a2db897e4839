"""A clock whose time a test decides."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from support.waiting import HANG_S
from vidcam.io.clock import Clock

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class ManualClock(Clock):
    """Stands still until :meth:`advance` moves it. At second 0 it is noon.

    A thread that waits on it goes on when what it waits for has happened, or when the clock was moved past its time-out.
    With ``jumps``, nobody has to move it: whoever waits in vain moves it to the end of the time-out, so that a program which
    waits in one thread runs through at once, as it would in time. ``waits`` are the time-outs asked for, in seconds, in order.
    """

    def __init__(self, now: float = 0.0, *, jumps: bool = False) -> None:
        self.waits: list[float] = []
        self.spent = 0.0
        """The processor seconds that have been used, for whoever asks."""
        self._now, self._jumps = now, jumps
        self._lock = threading.Lock()
        self._waiting: list[threading.Condition] = []
        self._moved = threading.Condition()

    def now(self) -> float:
        return self._now

    def wall(self) -> datetime:
        return NOON + timedelta(seconds=self._now)

    def processor(self) -> float:
        return self.spent

    def advance(self, seconds: float) -> None:
        """Move the clock on, and wake whoever waits for that."""
        self._now += seconds
        with self._lock:
            waiting = list(self._waiting)
        for condition in waiting:
            with condition:
                condition.notify_all()
        with self._moved:
            self._moved.notify_all()

    def sleep(self, seconds: float) -> None:
        with self._moved:
            self.wait(self._moved, lambda: False, seconds)

    def wait(self, condition: threading.Condition, ready: Callable[[], object], timeout: float | None = None) -> bool:
        if timeout is not None:
            self.waits.append(timeout)
        if ready():
            return True
        if timeout is not None and self._jumps:
            self._now += max(0.0, timeout)
            return bool(ready())
        end = float("inf") if timeout is None else self._now + timeout
        with self._lock:
            self._waiting.append(condition)
        try:
            assert condition.wait_for(lambda: ready() or self._now >= end, HANG_S), "nobody moved the clock"
        finally:
            with self._lock:
                self._waiting.remove(condition)
        return bool(ready())

    async def wait_async(self, event: asyncio.Event, timeout: float) -> bool:
        self.waits.append(timeout)
        end = self._now + timeout
        if self._jumps and not event.is_set():
            self._now = end
        while not event.is_set() and self._now < end:  # it is a test that moves the clock, in another thread
            with suppress(TimeoutError):
                async with asyncio.timeout(0.01):
                    await event.wait()
        return event.is_set()
