"""The order in which an explanation is tested: every test coarsely, the most telling one first, then each more finely."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from vidcam.evaluation.budget import Budget, Work
from vidcam.evaluation.map_tests import MapTests
from vidcam.metrics import verdict
from vidcam.metrics.baselines import BASELINES
from vidcam.metrics.counterfactual import CHANGES
from vidcam.metrics.faithfulness import STEPS
from vidcam.reports.evaluation import OURS

__all__ = ["assume_costs", "plan_tests"]

FORWARD, EXPLANATION, CLASS_MAPS, RANDOMISED = "forwards", "explanations", "maps of classes", "explanations of random networks"
"""The units of works."""

UNCOMPILED = 5
"""A network that is changed runs in torch, which takes about so many times as long as compiled code, until it is measured."""


@dataclass(frozen=True)
class Level:
    """How finely everything is tested: on so many windows, with so many steps of a curve and so many randomised layers."""

    windows: int
    steps: int
    layers: int


def assume_costs(budget: Budget, explanation_s: float) -> None:
    """Tell the budget what the units cost that are not measured first; an explanation took ``explanation_s``."""
    budget.assume(EXPLANATION, explanation_s)
    budget.assume(CLASS_MAPS, explanation_s)
    budget.assume(RANDOMISED, UNCOMPILED * explanation_s)


@dataclass(frozen=True)
class _Planned:
    """A work that may be planned: what ``key`` measures, how finely, and how many units it costs after a coarser one."""

    key: str
    fineness: int
    test: str
    unit: str
    count: Callable[[int], int]
    run: Callable[[], None]
    is_essential: bool = False

    def after(self, before: int) -> Work:
        """Return the work if the same has been measured with the fineness ``before``, or 0 for never."""
        return Work(self.test, self.unit, self.count(before), self.run, is_essential=self.is_essential)


def plan_tests(tests: MapTests, imputers: Sequence[str]) -> list[Work]:
    """Return all works; those that measure again what was measured as finely are left out."""
    count, layers = len(tests.windows), len(tests.layers)
    levels = [Level(1, 3, 4), Level(count, 3, 4), Level(count, 6, 16), Level(count, STEPS, layers)]
    works: list[Work] = []
    finest: dict[str, int] = {}
    for level in levels:
        for planned in _works_of(tests, imputers, level):
            before = finest.get(planned.key, 0)
            if planned.fineness > before:
                finest[planned.key] = planned.fineness
                works.append(planned.after(before))
    return works


def _works_of(tests: MapTests, imputers: Sequence[str], level: Level) -> Iterator[_Planned]:
    """Yield what belongs to a level, the most telling first."""
    first, *others = imputers
    yield from _maps(tests, OURS, first, level, is_essential=True)
    yield _verdict(tests)
    for row in BASELINES:
        yield from _maps(tests, row, first, level)
    for imputer in others:
        for row in (OURS, *BASELINES):
            yield from _maps(tests, row, imputer, level)
    yield from _cascade(tests, level)
    if len(tests.targets) > 1:
        yield _once("classes", "maps of other classes", CLASS_MAPS, 1, tests.compare_classes)
    for window in range(level.windows):
        run = partial(tests.change_time, window)
        yield _once(f"changes {window}", "changes of time", FORWARD, 1 + len(CHANGES), run)
    yield _once("repeat", "repeated run", EXPLANATION, 1, tests.repeat)
    for window in range(level.windows):
        run = partial(tests.compare_smoothing, window, level.steps)
        count = partial(_new_points, 2, level.steps)
        yield _Planned(f"smoothing {window}", level.steps, "effect of smoothing", FORWARD, count, run)


def _once(key: str, test: str, unit: str, count: int, run: Callable[[], None], *, is_essential: bool = False) -> _Planned:
    """Return a work that has only one fineness."""
    return _Planned(key, 1, test, unit, lambda before: count, run, is_essential)


def _maps(tests: MapTests, row: str, imputer: str, level: Level, *, is_essential: bool = False) -> Iterator[_Planned]:
    """Yield the measurements of a map with an imputer in each window."""
    name = f"removed parts become {imputer}" + ("" if row == OURS else f": control {row!r}")

    def count(before: int) -> int:
        ends = 0 if before else 1 + 2 * (row == OURS)  # the faded clip; and the whole clip and nothing of it, which maps share
        return ends + _new_points(2, level.steps, before)

    for window in range(level.windows):
        run = partial(tests.measure_map, row, imputer, window, level.steps)
        yield _Planned(f"{name} {window}", level.steps, name, FORWARD, count, run, is_essential)


def _new_points(curves: int, steps: int, before: int) -> int:
    """Return how many points of so many curves are new between their ends, if they had ``before`` steps."""
    return curves * (steps - max(before, 1))


def _verdict(tests: MapTests) -> _Planned:
    count = len(tests.windows)
    return _once("verdict", "verdict", FORWARD, count * (3 + 2 * verdict.tubes_for(count)), tests.judge, is_essential=True)


def _cascade(tests: MapTests, level: Level) -> Iterator[_Planned]:
    """Yield the comparisons with random networks, from the head down; the last layer is always among them."""
    last = len(tests.layers) - 1
    for index in np.unique(np.linspace(0, last, min(level.layers, last + 1)).round().astype(int)).tolist():
        yield _once(f"layer {index}", "randomised layers", RANDOMISED, 1, partial(tests.randomise, index))
