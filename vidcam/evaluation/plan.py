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


def plan_tests(tests: MapTests, imputers: Sequence[str]) -> list[Work]:
    """Return all works; those that measure again what was measured as finely are left out."""
    count, layers = len(tests.windows), len(tests.layers)
    levels = [Level(1, 3, 4), Level(count, 3, 4), Level(count, 6, 16), Level(count, STEPS, layers)]
    works: list[Work] = []
    planned: dict[str, int] = {}
    for level in levels:
        for key, fineness, work in _works_of(tests, imputers, level):
            before = planned.get(key, 0)
            if fineness > before:
                planned[key] = fineness
                works.append(work(before))
    return works


_Planned = tuple[str, int, Callable[[int], Work]]
"""What is measured, how finely, and the work that does so if it has been measured less finely before."""


def _works_of(tests: MapTests, imputers: Sequence[str], level: Level) -> Iterator[_Planned]:
    """Yield what belongs to a level, the most telling first."""
    first, *others = imputers
    yield from _maps(tests, OURS, first, level, is_essential=True)
    yield "verdict", 1, lambda before: _verdict(tests)
    for row in BASELINES:
        yield from _maps(tests, row, first, level)
    for imputer in others:
        for row in (OURS, *BASELINES):
            yield from _maps(tests, row, imputer, level)
    yield from _cascade(tests, level)
    if len(tests.targets) > 1:
        yield "classes", 1, lambda before: Work("maps of other classes", CLASS_MAPS, 1, tests.compare_classes)
    for window in range(level.windows):
        run = partial(tests.change_time, window)
        yield f"changes {window}", 1, partial(lambda run, before: Work("changes of time", FORWARD, 1 + len(CHANGES), run), run)
    yield "repeat", 1, lambda before: Work("repeated run", EXPLANATION, 1, tests.repeat)
    for window in range(level.windows):
        run = partial(tests.compare_smoothing, window, level.steps)
        count = partial(_new_points, 2, level.steps)
        yield (
            f"smoothing {window}", level.steps,
            partial(lambda run, count, before: Work("effect of smoothing", FORWARD, count(before), run), run, count),
        )  # fmt: skip


def _maps(tests: MapTests, row: str, imputer: str, level: Level, *, is_essential: bool = False) -> Iterator[_Planned]:
    """Yield the measurements of a map with an imputer in each window."""
    name = f"removed parts become {imputer}" + ("" if row == OURS else f": control {row!r}")

    def work(window: int, before: int) -> Work:
        ends = 0 if before else 1 + 2 * (row == OURS)  # the faded clip; and the whole clip and nothing of it, which maps share
        run = partial(tests.measure_map, row, imputer, window, level.steps)
        return Work(name, FORWARD, ends + _new_points(2, level.steps, before), run, is_essential=is_essential)

    for window in range(level.windows):
        yield f"{name} {window}", level.steps, partial(work, window)


def _new_points(curves: int, steps: int, before: int) -> int:
    """Return how many points of so many curves are new between their ends, if they had ``before`` steps."""
    return curves * (steps - max(before, 1))


def _verdict(tests: MapTests) -> Work:
    count = len(tests.windows)
    return Work("verdict", FORWARD, count * (3 + 2 * verdict.tubes_for(count)), tests.judge, is_essential=True)


def _cascade(tests: MapTests, level: Level) -> Iterator[_Planned]:
    """Yield the comparisons with random networks, from the head down; the last layer is always among them."""
    last = len(tests.layers) - 1
    for index in np.unique(np.linspace(0, last, min(level.layers, last + 1)).round().astype(int)).tolist():
        run = partial(tests.randomise, index)
        yield f"layer {index}", 1, partial(lambda run, before: Work("randomised layers", RANDOMISED, 1, run), run)
