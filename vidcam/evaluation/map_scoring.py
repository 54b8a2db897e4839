"""Explains clips of which it is known who acts where, by every method and control, and scores the maps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from vidcam.analysis import RunInfo
from vidcam.errors import IncompatibleError, InputError, UsageError
from vidcam.evaluation.known_clips import KnownClip
from vidcam.io.clock import SYSTEM
from vidcam.methods import cell_geometry, core
from vidcam.methods.lookup import choose_of_each, list_methods
from vidcam.methods.receptive_field import layer_geometry, method_geometry
from vidcam.metrics import faithfulness, localisation
from vidcam.metrics.baselines import BASELINES
from vidcam.metrics.faithfulness import Interval, bootstrap
from vidcam.metrics.imputers import check_imputers
from vidcam.metrics.removals import SharedRemovals
from vidcam.pipeline import Progress
from vidcam.reports.benchmark import Benchmark, Explained, Row
from vidcam.values import FloatArray

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = ["ALL", "Scoring"]

Bools = npt.NDArray[np.bool_]

ALL = "all"
"""What people type to score every method."""

ClipMaps = tuple[list[FloatArray], cell_geometry.CellGeometry]
"""The map of each window of a clip, and where their cells are."""


@dataclass
class _Maps:
    """What is collected for a row.

    For each clip: its map, truth and near cells, whether it is early, and whether it rests. For each scored clip: its insertion
    area, and LeRF − MoRF with each imputer. For each explained one: the seconds for a window.
    """

    model: str
    cells: tuple[int, int, int] = (0, 0, 0)
    pairs: list[tuple[FloatArray, Bools, Bools]] = field(default_factory=list)
    early: list[bool] = field(default_factory=list)
    rests: list[bool] = field(default_factory=list)
    areas: list[float] = field(default_factory=list)
    differences: dict[str, list[float]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)


class Scoring:
    """Explains clips by all methods and controls, one clip after the other, and scores the maps at the end."""

    def __init__(
        self, engine: Engine, methods: Sequence[str], seed: int, name: str | None, insertion: bool, imputers: Sequence[str]
    ) -> None:
        check_imputers(imputers)
        self.engine, self.seed, self.name = engine, seed, name or engine.spec.name
        self.given = tuple(list_methods() if ALL in methods else dict.fromkeys(methods))
        chosen, refused = choose_of_each([(method,) for method in self.given], engine.spec)
        self.methods, self.notes = [method.with_seed(seed) for method in chosen], list(refused.values())
        self.insertion, self.imputers = insertion, tuple(dict.fromkeys(imputers))
        self.rows = {m.name: _Maps(self.name) for m in self.methods} | {key: _Maps("") for key in BASELINES}
        layer = layer_geometry(engine.model)
        self.layer_cells = cell_geometry.join([np.zeros(p.grid, np.float32) for p in layer], layer)[1]
        self.explained: list[Explained] = []

    def add_all(self, clips: Iterable[KnownClip], count: int, stage: str, progress: Progress | None) -> None:
        """Explain clips; those in which nobody acts inside the model's crop are left out."""
        for number, clip in enumerate(clips, 1):
            if progress:
                progress(stage, number, count)
            if clip.truth.any():
                self._add(clip, number)
            elif clip.name:
                self.notes.append(f"{clip.name} is left out: nobody who acts is in the model's crop")

    def result(self, classes: tuple[str, ...], windows: int, *, tolerance: float | None = None) -> Benchmark:
        """Score all maps. Raises UsageError if no method worked, InputError if no clip could be scored."""
        if not self.methods:
            raise UsageError(f"none of these methods works on {self.engine.spec.name}: {', '.join(self.given)}")
        if not any(row.pairs for row in self.rows.values()):
            raise InputError("no clip can be scored: " + "; ".join(self.notes))
        rows = sorted((_score_row(key, row, self.seed) for key, row in self.rows.items()), key=_rank)
        info = RunInfo.of(self.engine, seed=self.seed)
        notes = tuple(dict.fromkeys(self.notes))
        return Benchmark(tuple(rows), notes, info, classes, windows, tuple(self.explained), tolerance)

    def _add(self, clip: KnownClip, number: int) -> None:
        """Explain one clip, and add its maps to their rows."""
        index, explained = _explained_class(self.engine, clip)
        if clip.name:
            self.explained.append(explained)
        maps = self._explain(clip, index)
        for key, control in BASELINES.items():
            rng = np.random.default_rng([self.seed, number])
            maps[key] = [control(window, self.layer_cells, rng) for window in clip.windows], self.layer_cells
        for key, (values, cells) in maps.items():
            row = self.rows[key]
            row.cells = cells.grid
            row.early.append(clip.is_early)
            row.rests.append(clip.rests)
            row.pairs.append((np.concatenate(values), *clip.covered_cells(cells)))
        if not clip.is_early:
            self._remove_cells(clip, index, maps)

    def _explain(self, clip: KnownClip, index: int) -> dict[str, ClipMaps]:
        """Explain the windows of a clip by each method; a method that fails on the model is left out from then on."""
        maps: dict[str, ClipMaps] = {}
        windows = len(clip.windows)
        for method in list(self.methods):
            geometry = method_geometry(method, self.engine.model)
            began = SYSTEM.now()
            try:
                attribution = core.explain(self.engine, clip.windows, [core.Target(index)], method)
            except IncompatibleError as error:
                self.notes.append(str(error))
                self.methods.remove(method)
                del self.rows[method.name]
                continue
            self.rows[method.name].seconds.append((SYSTEM.now() - began) / windows)
            joined = [cell_geometry.join([m[i, 0] for m in attribution.maps], geometry) for i in range(windows)]
            maps[method.name] = [values for values, _ in joined], joined[0][1]
        return maps

    def _remove_cells(self, clip: KnownClip, index: int, maps: dict[str, ClipMaps]) -> None:
        """Add what the removal of cells tells of each map, in the clip's window with the most acting pixels."""
        busiest = int(clip.truth.sum(axis=(1, 2, 3)).argmax())
        removals = SharedRemovals(clip.windows[busiest], partial(self.engine.class_probability, index))
        for key, (values, cells) in maps.items():
            row = self.rows[key]
            for imputer in self.imputers:
                tested = faithfulness.faithfulness_of(values[busiest], removals.of(cells, imputer))
                row.differences.setdefault(imputer, []).append(tested.lerf_minus_morf)
            if self.insertion:
                row.areas.append(faithfulness.insertion_of(values[busiest], removals.of(cells, "blur")))


def _explained_class(engine: Engine, clip: KnownClip) -> tuple[int, Explained]:
    """Return the class for which a clip is explained: the first of its labels that the model knows, else its own answer."""
    logits = engine.predict(clip.windows)
    known = {label.casefold(): i for i, label in enumerate(engine.labels)}
    named = [known[label.casefold()] for label in clip.labels if label.casefold() in known]
    rejects = [label in engine.spec.rejects for label in engine.labels]
    index = named[0] if named else int(np.where(rejects, -np.inf, logits.mean(axis=0)).argmax())
    probability = float(engine.probabilities(logits)[:, index].mean())
    by: Literal["label", "answer"] = "label" if named else "answer"
    return index, Explained(clip.name, clip.labels, engine.labels[index], by, probability, len(clip.windows))


def _score_row(method: str, maps: _Maps, seed: int) -> Row:
    """Score the maps of a row, with the threshold that its early clips choose, or for each clip all others."""
    early = [(values, truth) for (values, truth, _), is_early in zip(maps.pairs, maps.early, strict=True) if is_early]
    scored = [pair for pair, is_early in zip(maps.pairs, maps.early, strict=True) if not is_early]
    rests = [rest for rest, is_early in zip(maps.rests, maps.early, strict=True) if not is_early]
    if early:
        thresholds = [localisation.best_threshold(early)] * len(scored)
    else:
        thresholds = localisation.thresholds_of_others([(values, truth) for values, truth, _ in scored])
    scores = [
        localisation.score_map(values, truth, threshold=threshold, near=near)
        for (values, truth, near), threshold in zip(scored, thresholds, strict=True)
    ]
    has_places = maps.cells[1:] != (1, 1)  # a single cell for the whole picture says when, not where
    intervals: dict[str, Interval | None] = {}
    for key in localisation.SCORE_NAMES:
        counts = rests if key == "temporal" else [has_places] * len(scores)
        figures = [getattr(score, key) for score, is_counted in zip(scores, counts, strict=True) if is_counted]
        intervals[key] = bootstrap(figures, within=(0.0, 1.0), seed=seed) if figures else None
    return Row(
        model=maps.model,
        method=method,
        cells=maps.cells,
        clips=len(scores),
        threshold=float(np.median(thresholds)),
        scores=intervals,
        insertion=bootstrap(maps.areas, within=(0.0, 1.0), seed=seed) if maps.areas else None,
        ms=1e3 * float(np.median(maps.seconds)) if maps.seconds else 0.0,
        lerf_minus_morf={imputer: bootstrap(values, seed=seed) for imputer, values in maps.differences.items()},
    )


def _rank(row: Row) -> tuple[bool, float]:
    """Return a key that sorts the model's methods before the controls, and by the score that chose the threshold."""
    best = row.scores["space_time"]
    return not row.model, -best.mean if row.model and best else 0.0
