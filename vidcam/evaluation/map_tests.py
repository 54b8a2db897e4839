"""The tests of one label's explanation, each as finely as it is asked for, and what they found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from vidcam.annotation.judging import run_verdict
from vidcam.errors import IncompatibleError
from vidcam.methods import core
from vidcam.metrics import faithfulness, sanity
from vidcam.metrics.baselines import BASELINES
from vidcam.metrics.counterfactual import CounterfactualSummary, run_counterfactuals, summarise_counterfactuals
from vidcam.metrics.faithfulness import Curves, Faithfulness, Interval
from vidcam.metrics.ranks import rank_correlation
from vidcam.metrics.removals import Removals, Score, SharedRemovals
from vidcam.metrics.verdict import Verdict, tubes_for
from vidcam.pipeline import Explanation
from vidcam.reports.evaluation import OURS, RestsOn
from vidcam.values import FloatArray, Track

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = ["MapTests"]

SMOOTHING_IMPUTER = "blur"
"""What takes the place of removed pixels where the maps before and after smoothing are compared."""


@dataclass(frozen=True)
class _Measured:
    """One map in one window, measured with ``steps`` steps."""

    steps: int
    figures: Faithfulness
    curves: Curves


class MapTests:
    """Tests the explanation of one label.

    Args:
        engine: The model.
        windows: The explained windows, the best first.
        targets: What was explained, then what else the model may have answered.
        method: The method.
        score: The probability of the label in clips.
        tracks: The evidence in the whole video, before and after smoothing.
        seed: Of the controls, of the verdict's tubes, and of random weights.

    Attributes:
        verdict: Whether the model needs the evidence; None until it is judged, and likewise the next ones.
        random_logit: The mean rank correlation with the maps of other classes; None also if they cannot be compared.
        repeat_error: How much a second run differs.
    """

    def __init__(
        self,
        engine: Engine,
        windows: Sequence[Explanation],
        targets: Sequence[core.Target],
        method: core.Method,
        score: Score,
        tracks: tuple[Track, Track],
        seed: int,
    ) -> None:
        self.windows, self.targets = windows, targets
        self.verdict: Verdict | None = None
        self.random_logit: float | None = None
        self.repeat_error: float | None = None
        self._engine, self._method, self._score, self._tracks, self._seed = engine, method, score, tracks, seed
        self._removals = [SharedRemovals(e.clips[0], score) for e in windows]
        self._measured: dict[tuple[str, str], dict[int, _Measured]] = {}
        self._left: list[dict[str, float]] = []
        self._areas: dict[int, tuple[int, float, float]] = {}
        self._correlations: dict[int, float] = {}
        self._cascade: sanity.Cascade | None = None

    @cached_property
    def layers(self) -> tuple[str, ...]:
        """The layers that are randomised, from the head down; none of a network in a file, whose weights stay as they are."""
        try:
            module = self._engine.model.module
        except IncompatibleError:
            return ()
        return tuple(name for name, _ in sanity.layers_with_weights(module))

    # The tests

    def measure_map(self, row: str, imputer: str, window: int, steps: int) -> None:
        """Measure this explanation or a control in one window."""
        e, removals = self.windows[window], self._removals_of(imputer, window)
        values = e.evidence[0].values
        if row != OURS:
            values = BASELINES[row](e.clips[0], e.cells, np.random.default_rng([self._seed, window]))
        curves = faithfulness.curves_of(values, removals, steps=steps)
        measured = _Measured(steps, faithfulness.figures_of(curves, values, removals), curves)
        self._measured.setdefault((imputer, row), {})[window] = measured

    def judge(self) -> None:
        """Judge the evidence."""
        self.verdict = run_verdict(self.windows, self._score, seed=self._seed)

    def change_time(self, window: int) -> None:
        """Show the model a window with its time changed."""
        e = self.windows[window]
        self._left.append(run_counterfactuals(e.clips[0], e.evidence[0].values, e.cells, self._score))

    def randomise(self, index: int) -> None:
        """Compare the map with that of the network whose first ``index + 1`` layers from the head down are random."""
        if self._cascade is None or not self._cascade.can_reach(index):
            self._cascade = sanity.Cascade(self._engine, *self._explained, seed=self._seed)
        self._correlations[index] = rank_correlation(self.first_map, self._cascade.randomise(index))

    def repeat(self) -> None:
        """Explain once more, and compare."""
        self.repeat_error = sanity.repeat_error(self.first_map, sanity.explain_once(self._engine, *self._explained))

    def compare_classes(self) -> None:
        """Compare the map with those of other classes."""
        self.random_logit = sanity.random_logit(self._engine, self.windows[0].clips[0], self.targets, self._method)

    def compare_smoothing(self, window: int, steps: int) -> None:
        """Measure the insertion area of the maps before and after smoothing at the times of a window's cells."""
        e, areas = self.windows[window], []
        for track in self._tracks:
            maps = [track.at(float(t)) for t in e.evidence[0].times]
            empty = np.zeros(e.evidence[0].values.shape[1:])
            values = np.stack([empty if m is None else m for m in maps])
            areas.append(faithfulness.insertion_of(values, self._removals_of(SMOOTHING_IMPUTER, window), steps=steps))
        self._areas[window] = steps, areas[0], areas[1]

    @cached_property
    def first_map(self) -> FloatArray:
        """The map of the best window, as a row of numbers."""
        return sanity.explain_once(self._engine, *self._explained)

    @property
    def _explained(self) -> tuple[np.ndarray, core.Target, core.Method]:
        return self.windows[0].clips[0], self.targets[0], self._method

    def _removals_of(self, imputer: str, window: int) -> Removals:
        return self._removals[window].of(self.windows[window].cells, imputer)

    # What they found

    @property
    def scores(self) -> dict[str, dict[str, dict[str, Interval]]]:
        """The scores with their intervals over the windows, by imputer, row and score."""
        out: dict[str, dict[str, dict[str, Interval]]] = {}
        for imputer, row, measured in self._comparable():
            out.setdefault(imputer, {})[row] = {
                f.name: self._interval(f.name, list(measured.values())) for f in fields(Faithfulness)
            }
        return out

    def _comparable(self) -> Iterator[tuple[str, str, dict[int, _Measured]]]:
        """Yield what was measured by imputer and row; controls say nothing where this explanation was not measured."""
        for (imputer, row), measured in self._measured.items():
            if (imputer, OURS) in self._measured:
                yield imputer, row, measured

    def _interval(self, name: str, measured: Sequence[_Measured]) -> Interval:
        """Return a score with its interval over windows; few windows and few steps make it wider."""
        within = (-1.0 if name == "lerf_minus_morf" else 0.0, 1.0)
        interval = faithfulness.bootstrap([getattr(m.figures, name) for m in measured], within=within, seed=self._seed)
        parts = {"insertion": ("insertion",), "deletion": ("deletion",), "lerf_minus_morf": ("insertion", "deletion")}
        errors = [sum(faithfulness.step_error(getattr(m.curves, part)) for part in parts.get(name, ())) for m in measured]
        return faithfulness.widen(interval, float(np.mean(errors)), within=within)

    @property
    def curves(self) -> dict[str, Curves]:
        """The mean curves of this explanation by imputer, at the points that were measured in every window."""
        out = {}
        for imputer, measured in ((i, list(m.values())) for (i, row), m in self._measured.items() if row == OURS):
            fewest = min(m.steps for m in measured)
            same = [{f.name: getattr(m.curves, f.name)[:: m.steps // fewest] for f in fields(Curves)} for m in measured]
            out[imputer] = Curves(*(np.mean([curves[f.name] for curves in same], 0) for f in fields(Curves)))
        return out

    @property
    def used(self) -> CounterfactualSummary | None:
        """What the model used; None if no window was changed."""
        return summarise_counterfactuals(self._left) if self._left else None

    @property
    def cascade(self) -> tuple[tuple[str, float], ...]:
        """The randomised layers, and the rank correlation of each one's map with the first."""
        return tuple((self.layers[index], r) for index, r in sorted(self._correlations.items()))

    @property
    def insertion(self) -> tuple[float, float] | None:
        """The insertion area before and after smoothing; None if no window was measured."""
        if not self._areas:
            return None
        _, before, after = np.mean(list(self._areas.values()), axis=0)
        return float(before), float(after)

    @property
    def rests_on(self) -> RestsOn:
        """What each figure rests on."""
        rows: dict[str, dict[str, dict[str, int]]] = {}
        for imputer, row, measured in self._comparable():
            steps = min(m.steps for m in measured.values())
            rows.setdefault(imputer, {})[row] = {"windows": len(measured), "steps": steps}
        areas, count = [steps for steps, _, _ in self._areas.values()], len(self.windows)
        return {
            "faithfulness": rows,
            "verdict": None if self.verdict is None else {"windows": count, "draws": count * tubes_for(count)},
            "counterfactuals": {"windows": len(self._left)} if self._left else None,
            "cascade": {"layers": len(self._correlations), "of": len(self.layers)} if self._correlations else None,
            "smoothing": {"windows": len(areas), "steps": min(areas)} if areas else None,
        }
