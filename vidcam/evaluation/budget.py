"""A budget of seconds for tests: what each has cost so far, which of the next ones it allows, and how long they will take."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vidcam.errors import UsageError
from vidcam.io.clock import SYSTEM, Clock
from vidcam.pipeline import Progress

__all__ = ["DEFAULT_BUDGET_S", "Budget", "Work", "parse_budget", "run_works"]

DEFAULT_BUDGET_S = 30.0
"""Seconds that the tests of the command take, if nothing else is said."""

MODEST = 1 / 3
"""A work that would take a larger share of what is left waits until the others have had their turn."""


def parse_budget(text: str) -> float | None:
    """Return the seconds that ``30s``, ``2m``, ``1m30s`` or ``45`` mean; None for ``none``, which is everything.

    Raises:
        UsageError: The text means something else, or no time at all.
    """
    if text.strip().casefold() == "none":
        return None
    match = re.fullmatch(r"(?:(\d+(?:\.\d+)?)\s*m(?:in)?)?\s*(?:(\d+(?:\.\d+)?)\s*s?)?", text.strip().casefold())
    minutes, seconds = (float(part or 0) for part in match.groups()) if match else (0.0, 0.0)
    if not 60 * minutes + seconds > 0:
        raise UsageError(f"a budget is a time such as 30s, 2m or 45 (seconds), or none for every test in full; got {text!r}")
    return 60 * minutes + seconds


@dataclass(frozen=True)
class Work:
    """A piece of a test.

    Args:
        test: The name of the test that it belongs to.
        unit: What it consists of; works of one unit cost about the same for each.
        count: How many units it is.
        run: Does it.
        is_essential: Whether it may take all that is left of the budget.
    """

    test: str
    unit: str
    count: int
    run: Callable[[], None]
    is_essential: bool = False


class Budget:
    """Seconds for tests, from when it is made; ``seconds`` None is as long as they take.

    Attributes:
        counts: How many units of each kind have been done.
    """

    def __init__(self, seconds: float | None, *, clock: Clock = SYSTEM) -> None:
        self.seconds = seconds
        self.counts: dict[str, int] = {}
        self._clock, self._start = clock, clock.now()
        self._rates: dict[str, float] = {}

    def spent(self) -> float:
        """Return the seconds that have passed."""
        return self._clock.now() - self._start

    def left(self) -> float:
        """Return the seconds that are left, at least 0; infinity if there is no limit."""
        return math.inf if self.seconds is None else max(0.0, self.seconds - self.spent())

    def assume(self, unit: str, seconds: float) -> None:
        """Expect one unit to take so long, until one has been measured."""
        self._rates.setdefault(unit, seconds)

    def expect(self, work: Work) -> float:
        """Return the seconds that a work will take: 0 if nothing is known of its unit."""
        return work.count * self._rates.get(work.unit, 0.0)

    def allows(self, work: Work) -> bool:
        """Return whether the budget allows a work now, before others had their turn."""
        return self.left() > 0 and self.expect(work) <= self.left() * (1.0 if work.is_essential else MODEST)

    def run(self, work: Work) -> None:
        """Run a work, and learn from it what its unit costs; what was measured last counts as much as all before it."""
        start = self._clock.now()
        work.run()
        rate = (self._clock.now() - start) / max(work.count, 1)
        measured = work.unit in self.counts
        self._rates[work.unit] = (rate + self._rates[work.unit]) / 2 if measured else rate
        self.counts[work.unit] = self.counts.get(work.unit, 0) + work.count


def run_works(works: Sequence[Work], budget: Budget, progress: Progress | None = None) -> list[Work]:
    """Run works in their order as far as the budget allows.

    The first one is always run: without it nothing is known of what the others cost. One that would take much of what is left
    waits until the others have had their turn.

    Args:
        works: The most telling first.
        budget: The seconds.
        progress: Called with ``"test"``, the seconds that the tests have taken so far, and those with what they will still take.
            The difference never grows.

    Returns:
        The works that the budget did not allow.
    """
    countdown = _Countdown(budget, progress)
    waiting: list[Work] = []
    for n, work in enumerate(works):
        if n == 0 or budget.allows(work):
            budget.run(work)
        else:
            waiting.append(work)
        countdown.report([*works[n + 1 :], *waiting])
    left_out: list[Work] = []
    for n, work in enumerate(waiting):
        if budget.left() > 0 and budget.expect(work) <= budget.left():
            budget.run(work)
        else:
            left_out.append(work)
        countdown.report(waiting[n + 1 :])
    return left_out


class _Countdown:
    """Reports the seconds that have passed and those that remain; the latter never grow."""

    def __init__(self, budget: Budget, progress: Progress | None) -> None:
        self._budget, self._progress = budget, progress
        self._shown = math.inf

    def report(self, works: Sequence[Work]) -> None:
        if self._progress is None:
            return
        remaining, left = 0.0, self._budget.left()
        for work in works:
            if remaining + self._budget.expect(work) <= left:
                remaining += self._budget.expect(work)
        self._shown = min(self._shown, remaining)
        spent = round(self._budget.spent())
        self._progress("test", spent, spent + math.ceil(self._shown))
