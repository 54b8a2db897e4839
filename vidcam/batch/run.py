"""The course of a run: what is left to do goes to the workers, and what failed for a reason that may pass is tried again."""

from __future__ import annotations

import heapq
import os
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from vidcam.batch.executors import Executor
from vidcam.batch.failures import KINDS, MAX_ATTEMPTS, pause_before
from vidcam.batch.marks import MARKS, Marks
from vidcam.batch.naming import written_files
from vidcam.batch.plan import Item, Plan
from vidcam.batch.storage import open_storage
from vidcam.batch.worker import Outcome
from vidcam.errors import VidcamError
from vidcam.io.clock import SYSTEM, Clock, Stop

__all__ = ["Remaining", "Report", "Status", "begin_run", "run_items"]


NO_PLACE_S = 2.0
"""How often to ask for a place if the workers have none, such as a cluster that has lost all its machines."""


@dataclass(frozen=True)
class Status:
    """How far a run is: ``done`` and ``failed`` of ``total`` inputs, and the seconds since this run of it began.

    ``finished`` inputs were finished since then.
    """

    done: int
    failed: int
    total: int
    finished: int
    seconds: float

    @property
    def per_minute(self) -> float | None:
        """How many inputs are finished in a minute; None before the first is."""
        return 60.0 * self.finished / self.seconds if self.finished and self.seconds > 0 else None

    @property
    def eta_s(self) -> float | None:
        """How many seconds the rest will take at this pace; None before the first input is finished."""
        pace = self.per_minute
        return None if pace is None else 60.0 * (self.total - self.done - self.failed) / pace


Report = Callable[[Status, Outcome | None], None]
"""Is told how far a run is, with the outcome that has changed it; None at the beginning and for an attempt that is repeated."""


@dataclass(frozen=True)
class Remaining:
    """What a plan leaves to do: ``items``, longest first, and how many inputs are ``done`` and ``failed`` already."""

    items: tuple[Item, ...]
    done: int
    failed: int


def begin_run(plan: Plan, *, retry_failed: bool = False, anew: bool = False) -> Remaining:
    """Save a plan and return what it leaves to do; files that a killed run left half-written are removed.

    Args:
        plan: The plan.
        retry_failed: Whether inputs that failed are tried again.
        anew: Whether everything is done again, whatever the marks in the folder say: they are of another run.
    """
    marks = Marks(plan.folder)
    open_storage(plan.folder).prepare({*plan.folders(), MARKS})
    if anew:
        marks.clear("done")  # before the new plan is there: these marks say nothing about it
    if anew or retry_failed:
        marks.clear("failed")
    plan.save()
    done = marks.names("done")
    failed = marks.names("failed") - done
    items = sorted((item for item in plan.items if item.name not in done | failed), key=_size, reverse=True)
    if isinstance(plan.folder, Path):  # at an address, the same work writes over what was left
        _discard_unfinished(plan, items)
    return Remaining(tuple(items), len(done), len(failed))


def run_items(
    plan: Plan, remaining: Remaining, executor: Executor, *, report: Report, stop: Stop, clock: Clock = SYSTEM
) -> Status:
    """Work on what remains of a plan until all of it is done or failed.

    An input that fails for a reason that may pass is tried three times, with growing pauses in which others have their turn.

    Args:
        plan: The plan.
        remaining: What remains of it.
        executor: Does the work; it is closed at the end.
        report: Is told of everything that happens.
        stop: If it is set, the inputs in work are finished and no others are begun.
        clock: The time, by which pauses are measured.

    Returns:
        How far the run is at the end.
    """
    course = _Course(plan, remaining, clock)
    report(course.status(), None)
    try:
        while course.is_going(stop):
            while not stop.is_set() and course.working < executor.slots and (item := course.next_item()) is not None:
                executor.submit(item)
            if not course.working:
                stop.wait(NO_PLACE_S if course.has_waiting() else course.pause() or 0.0)
                continue
            for outcome in executor.wait(course.pause() if course.working < executor.slots else None):
                is_final = course.take(outcome)
                report(course.status(), outcome if is_final else None)
    finally:
        executor.close()
        with suppress(VidcamError):  # what failed shall not hide what the run has done
            _discard_unfinished(plan, course.lost)
    return course.status()


def _discard_unfinished(plan: Plan, items: Iterable[Item]) -> None:
    """Remove what lost workers left half-written. Nobody else writes into the folder of a run, which is locked."""
    marks, names = Marks(plan.folder), list[str]()
    for item in items:
        names += [*map(str, written_files(item.paths(Path()))), *marks.files(item.name)]
    if names:
        open_storage(plan.folder).discard(names)


class _Course:
    """Keeps what is waiting, pausing and in work, and counts."""

    def __init__(self, plan: Plan, remaining: Remaining, clock: Clock) -> None:
        self._marks, self._clock = Marks(plan.folder), clock
        self._waiting = deque(remaining.items)
        self._order = count()  # breaks ties between pauses that end at once
        self._pausing: list[tuple[float, int, Item]] = []
        self._attempts: Counter[str] = Counter()
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._total, self._before = len(plan.items), remaining
        self._done = self._failed = 0
        self._began = clock.now()
        self.working = 0
        self.lost: list[Item] = []  # inputs whose worker was lost

    def is_going(self, stop: Stop) -> bool:
        if stop.is_set():
            return self.working > 0
        return bool(self._waiting or self._pausing or self.working)

    def has_waiting(self) -> bool:
        """Return whether inputs wait for a worker, and not for the end of a pause."""
        return bool(self._waiting)

    def next_item(self) -> Item | None:
        """Return the next input to work on, which counts as in work from now on; None if all are in work or pausing."""
        if self._pausing and self._pausing[0][0] <= self._clock.now():
            item = heapq.heappop(self._pausing)[2]
        elif self._waiting:
            item = self._waiting.popleft()
        else:
            return None
        self.working += 1
        return item

    def pause(self) -> float | None:
        """Return the seconds until the first pause ends; None if nothing pauses."""
        return max(0.0, self._pausing[0][0] - self._clock.now()) if self._pausing else None

    def take(self, outcome: Outcome) -> bool:
        """Count an outcome, mark a failure that is final; return whether the outcome is final."""
        item = outcome.item
        self.working -= 1
        self._attempts[item.name] += 1
        self._seconds[item.name] += outcome.seconds
        attempts = self._attempts[item.name]
        if outcome.kind is None:
            self._done += 1
            return True
        if outcome.kind is KINDS["worker"]:
            self.lost.append(item)
        if outcome.kind.is_passing and attempts < MAX_ATTEMPTS:
            due = self._clock.now() + pause_before(attempts + 1)
            heapq.heappush(self._pausing, (due, next(self._order), item))
            return False
        row = {
            "input": item.input,
            "sentence": outcome.sentence,
            "kind": outcome.kind.name,
            "attempts": attempts,
            "seconds": self._seconds[item.name],
        }
        self._marks.write(item.name, "failed", row)
        self._failed += 1
        return True

    def status(self) -> Status:
        before = self._before
        return Status(
            done=before.done + self._done,
            failed=before.failed + self._failed,
            total=self._total,
            finished=self._done + self._failed,
            seconds=self._clock.now() - self._began,
        )


def _size(item: Item) -> int:
    """Return the size of an input in bytes, which tells long videos from short ones without opening any; 0 if it is not known."""
    try:
        return os.path.getsize(item.input)
    except (OSError, ValueError):
        return 0
