"""Contestants in turns, and what came out as a table: medians with their spread, and ratios within the run."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from vidcam.reports import charts

T = TypeVar("T")
Samples = dict[str, list[float]]

__all__ = ["Column", "Race", "rounds", "timed"]


def rounds(
    contestants: Mapping[str, Callable[[], T]],
    *,
    count: int,
    patience_s: float,
    warm: bool = False,
    tolerate: type[Exception] | tuple[type[Exception], ...] = (),
    say: Callable[[str], None] = lambda line: None,
) -> tuple[dict[str, list[T]], dict[str, str]]:
    """What each contestant gave, at most ``count`` times, and why those that raised what is tolerated gave nothing.

    All run once in each round, so that a busy minute hits all of them, and in an order drawn anew for each round, so that nobody
    always follows the same one, whose threads may not sleep yet. Who would take more than ``patience_s`` in all runs less often,
    but once at least. With ``warm`` there is a round more, and the first result is left out where there are others.
    """
    found: dict[str, list[T]] = {name: [] for name in contestants}
    took: dict[str, list[float]] = {name: [] for name in contestants}
    failed: dict[str, str] = {}
    rng = random.Random(0)
    for turn in range(count + warm):
        for name in rng.sample(list(contestants), len(contestants)):
            counted = took[name][warm:]
            if name in failed or (took[name] and sum(counted) + took[name][-1] > patience_s):
                continue
            began = time.perf_counter()
            try:
                found[name].append(contestants[name]())
            except tolerate as error:
                failed[name] = (str(error) or type(error).__name__).splitlines()[0]
            took[name].append(time.perf_counter() - began)
            say(f"{name}: round {turn + 1}, {took[name][-1]:.1f} s")
    kept = {name: some[1:] if warm and len(some) > 1 else some for name, some in found.items() if name not in failed}
    return kept, failed


def timed(function: Callable[[], object]) -> Callable[[], float]:
    """A contestant whose figure is the milliseconds that ``function`` takes, once it has run and has the caches to itself."""

    def run() -> float:
        function()
        began = time.perf_counter()
        function()
        return 1e3 * (time.perf_counter() - began)

    return run


@dataclass(frozen=True)
class Column:
    """Figures as ratios to those of others: ``versus`` says for each contestant which. ``speed`` is theirs over its own (how many
    times as fast it is), else its own over theirs (how many times as much it takes)."""

    title: str
    versus: Mapping[str, str]
    speed: bool = True

    def ratios(self, samples: Samples) -> Samples:
        """For each contestant that has somebody to be compared with one ratio for each of its figures, paired round by round."""
        found: Samples = {}
        for name, other in self.versus.items():
            if name not in samples or other not in samples:
                continue
            theirs = samples[other]
            middle = statistics.median(theirs)
            pairs = [(own, theirs[i] if i < len(theirs) else middle) for i, own in enumerate(samples[name])]
            found[name] = [b / a if self.speed else a / b for a, b in pairs]
        return found


@dataclass(frozen=True)
class Race:
    """One table: ``samples`` in ``unit`` by contestant, less being better.

    ``note`` says what was measured, and how; ``plot`` what is drawn: ``"figures"``, a column's title, or None for nothing.
    vidcam's own contestants, whose names begin with its, stand out.
    """

    name: str
    title: str
    unit: str
    samples: Samples
    columns: Sequence[Column] = ()
    note: str = ""
    plot: str | None = None
    notes: Sequence[str] = ()

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON: each figure, and each ratio."""
        whole = asdict(self)
        whole["columns"] = {c.title: {"versus": dict(c.versus), "ratios": c.ratios(self.samples)} for c in self.columns}
        return whole

    def markdown(self, picture: str | None = None) -> str:
        """The table, its notes and, where there is one, the ``picture`` at that address."""
        head = ["", self.unit, "spread", "runs", *(column.title for column in self.columns)]
        ratios = [column.ratios(self.samples) for column in self.columns]
        lines = [f"### {self.title}", "", *([self.note, ""] if self.note else []), _row(head), _row(["---"] * len(head))]
        for name, some in self.samples.items():
            shares = (_ratio(ratio[name]) if name in ratio else "" for ratio in ratios)
            lines.append(_row([name, _digits(statistics.median(some)), _spread(some), str(len(some)), *shares]))
        lines += ["", *(f"- {text}" for text in self.notes)]
        if picture:
            lines += ["", f"![{self.title}]({picture})"]
        return "\n".join(lines).rstrip() + "\n"

    def svg(self) -> str | None:
        """The plot on white, None where none is wanted or nothing is there to be drawn."""
        if self.plot is None or not self.samples:
            return None
        column = next((c for c in self.columns if c.title == self.plot), None)
        drawn = column.ratios(self.samples) if column else self.samples
        rows = {name: (statistics.median(some), min(some), max(some)) for name, some in drawn.items()}
        if not rows:
            return None
        own = [name for name in rows if name.startswith("vidcam")]
        text = charts.bars(rows, title=self.title, best=own, note=column.title if column else self.unit)
        return text.replace("<svg ", '<svg style="background:#fff" ', 1)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _digits(value: float) -> str:
    """Three digits that count."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _spread(some: Sequence[float]) -> str:
    return f"{_digits(min(some))}–{_digits(max(some))}" if len(some) > 1 else ""


def _ratio(some: Sequence[float]) -> str:
    def short(value: float) -> str:
        return f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"

    spread = f" ({short(min(some))}–{short(max(some))})" if len(some) > 1 else ""
    return f"{short(statistics.median(some))}{spread}"
