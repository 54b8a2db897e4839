"""Stages that run beside each other: a worker thread makes the items of one stage while the next stage takes them.

Where threads outnumber processors, who takes goes first. The last stage has the most to do, and inside of it, an encoder, threads
wait for each other: one that is kept from its processor holds up all of them.

While stages run, OpenCV has no threads of its own (:func:`opencv_single_threaded`): they would go on spinning after each
operation and take processors from the other stages.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Generic, TypeVar

import cv2

from vidcam.io.clock import SYSTEM, Clock

T = TypeVar("T")

__all__ = ["ahead", "opencv_single_threaded"]

_NICE = 5  # a third of the usual weight; with 10 the stages starve, and all with them, when something else runs beside them

_lock = threading.Lock()
_alone = [0, 0]  # how many are inside of opencv_single_threaded(), and OpenCV's threads before the first of them


@contextmanager
def opencv_single_threaded() -> Iterator[None]:
    """Inside, in all threads, OpenCV computes in the thread that calls it; the number of its threads is put back at the end."""
    with _lock:
        if _alone[0] == 0:
            _alone[1] = cv2.getNumThreads()
            cv2.setNumThreads(1)
        _alone[0] += 1
    try:
        yield
    finally:
        with _lock:
            _alone[0] -= 1
            if _alone[0] == 0:
                cv2.setNumThreads(_alone[1])


def _step_back() -> None:
    """Make this thread, and those that it will start, nicer than the usual one; only Linux has that, others mean the process."""
    if sys.platform == "linux":
        with suppress(OSError):  # forbidden in some sandboxes
            os.setpriority(os.PRIO_PROCESS, 0, max(_NICE, os.getpriority(os.PRIO_PROCESS, 0)))


class _End:
    """The stage has ended, by itself or by this error."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def ahead(items: Iterable[T], depth: int = 4, *, clock: Clock = SYSTEM) -> Generator[T, None, None]:
    """The same items in the same order, made in a thread of their own, at most ``depth`` ahead of who takes them.

    An error in the making is raised where its item would have come. When the taker stops early, or is closed or interrupted, the
    maker stops before its next item, what it iterates over is closed in its own thread, and the thread has ended when this
    generator has. Both sides wait for each other by ``clock``, without a time-out.
    """
    return _taken(_Stage(items, depth, clock))


class _Stage(Generic[T]):
    def __init__(self, items: Iterable[T], depth: int, clock: Clock) -> None:
        self._items = items
        self._depth = depth
        self._clock = clock
        self._news = threading.Condition()
        self._ready: deque[T | _End] = deque()
        self._stopped = False

    def run(self) -> None:
        """Make the items: what the stage's thread does."""
        _step_back()
        error: BaseException | None = None
        try:
            for item in self._items:
                if not self._give(item):
                    break
        except BaseException as raised:
            error = raised
        finally:
            if isinstance(self._items, Generator):
                try:
                    self._items.close()
                except BaseException as raised:
                    error = error or raised
        self._give(_End(error))

    def take(self) -> T | _End:
        """Wait for the next item, or for the end."""
        with self._news:
            self._clock.wait(self._news, lambda: self._ready)
            self._news.notify_all()
            return self._ready.popleft()

    def stop(self) -> None:
        """Have the maker end before its next item. What is ready is dropped: an item that is held would keep a picture alive."""
        with self._news:
            self._stopped = True
            self._ready.clear()
            self._news.notify_all()

    def _give(self, item: T | _End) -> bool:
        with self._news:
            self._clock.wait(self._news, lambda: self._stopped or len(self._ready) < self._depth)
            if not self._stopped:
                self._ready.append(item)
                self._news.notify_all()
            return not self._stopped


def _taken(stage: _Stage[T]) -> Generator[T, None, None]:
    thread = threading.Thread(target=stage.run, name="vidcam-ahead", daemon=True)
    thread.start()
    try:
        while True:
            item = stage.take()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        stage.stop()
        thread.join()
