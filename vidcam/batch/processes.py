"""Processes of this machine that work on videos, each with engines of its own."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import connection
from pathlib import Path
from typing import TYPE_CHECKING

from vidcam.batch.failures import KINDS
from vidcam.batch.plan import Item
from vidcam.batch.worker import Outcome, Recipe, Worker
from vidcam.io.clock import SYSTEM, Clock
from vidcam.io.cores import count_cores

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

__all__ = ["Processes", "suggest_jobs"]

VIDEOS_A_WORKER = 8
"""A worker takes seconds to start, which pays for this many videos."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

WORKER_BYTES = 1_500_000_000
"""Memory that a worker may need, at least, for its model, its decoder and its encoder."""


def suggest_jobs(videos: int) -> int:
    """Return how many workers this machine bears for a number of videos: as many as cores, if the memory is enough."""
    return max(1, min(count_cores(), _free_bytes() // WORKER_BYTES, videos // VIDEOS_A_WORKER))


class Processes:
    """Works in ``jobs`` processes; one that dies is replaced, and its input comes out as lost.

    Args:
        recipe: What to do.
        jobs: How many processes.
        threads: Threads of each engine; None shares the cores evenly.
        clock: Measures the seconds that a lost worker took.
    """

    def __init__(self, recipe: Recipe, *, jobs: int, threads: int | None = None, clock: Clock = SYSTEM) -> None:
        self.slots = jobs
        self._recipe, self._clock = recipe, clock
        self._threads = threads or max(1, count_cores() // jobs)
        self._context = multiprocessing.get_context("spawn")  # a fork would copy threads of libraries in the middle of their work
        self._idle: list[_Worker] = []
        self._busy: dict[Connection, _Worker] = {}

    def submit(self, item: Item) -> None:
        while True:
            worker = self._idle.pop() if self._idle else _Worker(self._context.Pipe(), self._start)
            with suppress(OSError):  # it died while it had nothing to do
                worker.give(item, self._clock.now())
                self._busy[worker.connection] = worker
                return
            worker.kill()

    def wait(self, timeout_s: float | None) -> Sequence[Outcome]:
        ready = connection.wait(list(self._busy), timeout_s)
        return [self._take(self._busy.pop(one)) for one in ready]  # type: ignore[call-overload]

    def close(self) -> None:
        for worker in (*self._idle, *self._busy.values()):
            worker.kill()
        self._idle.clear()
        self._busy.clear()

    def _start(self, end: Connection) -> SpawnProcess:
        process = self._context.Process(target=_work, args=(end, self._recipe, self._threads), name="vidcam-worker", daemon=True)
        with _threads_of_children(self._threads):
            process.start()
        return process

    def _take(self, worker: _Worker) -> Outcome:
        try:
            outcome = worker.connection.recv()
        except (EOFError, OSError):
            code = worker.kill()
            how = f"by signal {-code} ({signal.Signals(-code).name})" if code is not None and code < 0 else f"with code {code}"
            sentence = f"the process that worked on it ended {how}; the memory may be too small for as many --jobs"
            return Outcome(worker.item, None, KINDS["worker"], sentence, self._clock.now() - worker.began)
        self._idle.append(worker)
        assert isinstance(outcome, Outcome)
        return outcome


class _Worker:
    """A process and the connection to it; ``item`` is what it works on, since ``began``."""

    item: Item
    began: float

    def __init__(self, pipe: tuple[Connection, Connection], start: Callable[[Connection], SpawnProcess]) -> None:
        self.connection, end = pipe
        self._process = start(end)
        end.close()  # so that the connection breaks if the process dies

    def give(self, item: Item, now: float) -> None:
        self.item, self.began = item, now
        self.connection.send(item)

    def kill(self) -> int | None:
        """End the process at once; return its exit code."""
        self._process.kill()
        self._process.join()
        self.connection.close()
        return self._process.exitcode


def _work(orders: Connection, recipe: Recipe, threads: int) -> None:
    """Work on the inputs that come through the connection until it breaks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal, and only the first decides
    worker = Worker(recipe, threads)
    while True:
        try:
            item = orders.recv()
        except (EOFError, OSError):
            return
        outcome = worker.work(item)
        with suppress(OSError):  # the run has ended
            orders.send(outcome)


@contextmanager
def _threads_of_children(threads: int) -> Iterator[None]:
    """Tell the libraries of the processes that are started in the block how many threads to use; they read it when they load."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _free_bytes() -> int:
    """Return how much memory is available; a lot, if the system does not say."""
    try:
        facts = Path("/proc/meminfo").read_text()
    except OSError:
        return 1 << 40
    available = re.search(r"MemAvailable:\s+(\d+) kB", facts)
    return int(available[1]) * 1024 if available else 1 << 40
