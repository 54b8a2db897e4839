"""Parallel stages yield the same items and errors, and leave no thread behind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import cv2
import pytest
from support.waiting import HANG_S, ended, happened

from vidcam.io.clock import Clock
from vidcam.io.prefetch import opencv_single_threaded, prefetch


def alive() -> int:
    return sum(t.name == "vidcam-prefetch" for t in threading.enumerate())


class Watching(Clock):
    """Counts how often the producer and the consumer had to wait for each other."""

    def __init__(self) -> None:
        self._producer, self._consumer = threading.Semaphore(0), threading.Semaphore(0)

    def wait(self, condition: threading.Condition, ready: Callable[[], object], timeout: float | None = None) -> bool:
        if not ready():
            (self._producer if threading.current_thread().name == "vidcam-prefetch" else self._consumer).release()
        return super().wait(condition, ready, timeout)

    def producer_waits(self) -> None:
        """Return when the producer waits once more than this was called before."""
        assert self._producer.acquire(timeout=HANG_S), "the producer does not wait"

    def consumer_waits(self) -> None:
        """Return when the consumer waits once more than this was called before."""
        assert self._consumer.acquire(timeout=HANG_S), "the consumer does not wait"


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    yield
    assert alive() == 0


def test_the_items_come_in_their_order_from_another_thread():
    def items() -> Iterator[tuple[int, int]]:
        for i in range(100):
            yield i, threading.get_ident()

    found = list(prefetch(items(), depth=3))
    assert [i for i, _ in found] == list(range(100))
    assert {thread for _, thread in found}.isdisjoint({threading.get_ident()})


@pytest.mark.parametrize(("depth", "weight"), [(4, 1), (8, 2), (7, 2)])
def test_the_producer_stays_depth_items_ahead_and_then_waits(depth, weight):
    made: list[int] = []
    clock, first_taken = Watching(), threading.Event()

    def items() -> Iterator[int]:
        for i in range(50):
            if i == 1:
                happened(first_taken)
            made.append(i)
            yield i

    with closing(prefetch(items(), depth, weigh=lambda item: weight, clock=clock)) as stage:
        assert next(stage) == 0
        first_taken.set()
        for taken in range(1, 21):
            clock.producer_waits()
            assert len(made) == taken + 4 + 1  # in the queue, and one that waits for room
            assert next(stage) == taken


def test_the_consumer_waits_for_an_item_in_production():
    clock = Watching()

    def items() -> Iterator[int]:
        for i in range(3):
            clock.consumer_waits()
            yield i

    assert list(prefetch(items(), clock=clock)) == [0, 1, 2]


def test_an_error_is_raised_at_the_place_of_its_item():
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("the third is bad")

    found = []
    with pytest.raises(ValueError, match="the third is bad"):  # noqa: PT012
        for item in prefetch(items()):
            found.append(item)
    assert found == [1, 2]


@pytest.mark.parametrize("where", ["before a full queue", "between two items"])
def test_stopping_early_closes_the_producer_in_its_own_thread(where: str) -> None:
    closed: list[int] = []
    clock, first_taken, at_second, stopping = Watching(), threading.Event(), threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        try:
            yield 0
            happened(first_taken)
            if where == "between two items":
                at_second.set()
                happened(stopping)
            yield from range(1, 100)
        finally:
            closed.append(threading.get_ident())

    def consume_one() -> None:
        with closing(prefetch(items(), depth=2, clock=clock)) as stage:
            assert next(stage) == 0
            first_taken.set()
            if where == "between two items":
                happened(at_second)
            else:
                clock.producer_waits()
            stopping.set()

    consumer = threading.Thread(target=consume_one, daemon=True)
    consumer.start()
    ended(consumer)
    assert len(closed) == 1
    assert closed[0] != consumer.ident


def test_an_interrupt_in_the_last_stage_ends_all_stages():
    done: list[str] = []

    def first() -> Iterator[int]:
        try:
            yield from range(10_000)
        finally:
            done.append("first")

    def second() -> Iterator[int]:
        try:
            with closing(prefetch(first())) as stage:
                for i in stage:
                    yield 2 * i
        finally:
            done.append("second")

    def last() -> None:
        with closing(prefetch(second())) as stage:
            for i in stage:
                if i == 20:
                    raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        last()
    assert sorted(done) == ["first", "second"]


def test_nothing_runs_before_the_first_item_is_requested():
    stage = prefetch(iter([1]))
    assert alive() == 0
    assert list(stage) == [1]


def test_opencv_has_one_thread_only_while_stages_run() -> None:
    before = cv2.getNumThreads()
    cv2.setNumThreads(3)
    try:
        first, second = opencv_single_threaded(), opencv_single_threaded()
        first.__enter__()
        second.__enter__()
        assert cv2.getNumThreads() == 1
        first.__exit__(None, None, None)
        assert cv2.getNumThreads() == 1  # another job still runs
        second.__exit__(None, None, None)
        assert cv2.getNumThreads() == 3
        with pytest.raises(KeyError), opencv_single_threaded():
            raise KeyError
        assert cv2.getNumThreads() == 3
    finally:
        cv2.setNumThreads(before)
