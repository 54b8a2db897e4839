"""Runs the stages of a pipeline in parallel: a thread produces items while the next stage consumes them.

While stages run, OpenCV uses no threads of its own (:func:`opencv_single_threaded`): they spin after each operation and take
processors from the other stages.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

import cv2

from vidcam.io.clock import SYSTEM, Clock

T = TypeVar("T")

__all__ = ["opencv_single_threaded", "prefetch"]

_lock = threading.Lock()
_users = [0, 0]  # how many blocks are inside opencv_single_threaded(), and OpenCV's number of threads before the first of them


@contextmanager
def opencv_single_threaded() -> Iterator[None]:
    """Make OpenCV compute in the calling thread until the block ends.

    This holds for all threads of the process. Blocks may overlap; the last one to end restores OpenCV's threads.
    """
    with _lock:
        if _users[0] == 0:
            _users[1] = cv2.getNumThreads()
            cv2.setNumThreads(1)
        _users[0] += 1
    try:
        yield
    finally:
        with _lock:
            _users[0] -= 1
            if _users[0] == 0:
                cv2.setNumThreads(_users[1])


class _End:
    """The last item of a stage; ``error`` is what ended it, None if it is exhausted."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def prefetch(
    items: Iterable[T], depth: int = 4, *, weigh: Callable[[T], int] = lambda item: 1, clock: Clock = SYSTEM
) -> Generator[T, None, None]:
    """Yield the same items in the same order, produced by a thread of their own.

    An error of the producer is raised at the place of its item. If the consumer stops early, or this generator is closed or
    interrupted, the producer stops before its next item, closes ``items`` in its own thread, and has ended when this generator
    has.

    Args:
        items: What to iterate over. A generator is closed at the end.
        depth: The most items that are ready and not yet consumed.
        weigh: Returns as how many items a large one counts.
        clock: Both sides wait for each other on this clock, without a timeout.
    """
    return _consume(_Stage(items, depth, weigh, clock))


class _Stage(Generic[T]):
    """The queue between the producer's thread and the consumer."""

    def __init__(self, items: Iterable[T], depth: int, weigh: Callable[[T], int], clock: Clock) -> None:
        self._items = items
        self._depth, self._weigh = depth, weigh
        self._clock = clock
        self._changed = threading.Condition()
        self._ready: deque[T | _End] = deque()
        self._stopped = False

    def run(self) -> None:
        """Produce all items, in the stage's thread."""
        error: BaseException | None = None
        try:
            for item in self._items:
                if not self._put(item):
                    break
        except BaseException as raised:
            error = raised
        finally:
            if isinstance(self._items, Generator):
                try:
                    self._items.close()
                except BaseException as raised:
                    error = error or raised
        self._put(_End(error))

    def take(self) -> T | _End:
        """Wait for the next item or the end, and return it."""
        with self._changed:
            self._clock.wait(self._changed, lambda: self._ready)
            self._changed.notify_all()
            return self._ready.popleft()

    def stop(self) -> None:
        """Make the producer end before its next item, and drain the queue so that its frames can be freed."""
        with self._changed:
            self._stopped = True
            self._ready.clear()
            self._changed.notify_all()

    @property
    def _weight(self) -> int:
        return sum(self._weigh(item) for item in self._ready if not isinstance(item, _End))

    def _put(self, item: T | _End) -> bool:
        """Wait for room and put an item into the queue; return False if the stage was stopped."""
        with self._changed:
            self._clock.wait(self._changed, lambda: self._stopped or self._weight < self._depth)
            if not self._stopped:
                self._ready.append(item)
                self._changed.notify_all()
            return not self._stopped


def _consume(stage: _Stage[T]) -> Generator[T, None, None]:
    thread = threading.Thread(target=stage.run, name="vidcam-prefetch", daemon=True)
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
