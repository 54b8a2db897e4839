"""Explanation methods against exact ground truth: drawn people whose acting parts are known to the pixel and the frame."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vidcam import synthetic
from vidcam.analysis import RunInfo
from vidcam.errors import IncompatibleError, UsageError
from vidcam.io.clock import SYSTEM
from vidcam.io.files import save
from vidcam.io.json_text import document, plain
from vidcam.methods import cell_geometry, core, probe
from vidcam.metrics import faithfulness, localisation
from vidcam.metrics.baselines import CONTROLS
from vidcam.metrics.faithfulness import Interval, bootstrap
from vidcam.pipeline import Progress
from vidcam.reports import charts, html
from vidcam.reports.formats import model_json, run_json
from vidcam.values import FloatArray, UInt8Array

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = ["ACTING", "WINDOWS", "Benchmark", "Row", "drawn", "run", "table", "to_json", "write_html", "write_json"]

Bools = npt.NDArray[np.bool_]

FIRST = 5_000_000_001
"""The first seed: odd, and far from those that training holds out; training draws even ones."""

ACTING = synthetic.CLASSES[1:-1]
"""The classes with acting parts: all but standing idle and nobody."""

CHOOSING = 3
"""Clips of each class, other than those of the report and no more than those, on which the threshold of what is hot is chosen."""

WINDOWS = 3
"""Windows of the model in a clip. In one window people act three quarters of the time, so that what is always hot would find most
of it; in three windows they act for about half of the time, and rest before and after."""


@dataclass(frozen=True)
class Row:
    """One model and method (or a control, whose model is empty) over ``clips`` clips.

    ``cells`` are those of a map of one window (T', h, w). ``scores`` have their 95 % intervals over the clips, None where a map
    without places cannot have them; ``insertion`` likewise (the area with a blurred baseline, in probability of the explained
    class, of each clip's busiest window). ``ms`` is the median time of one window; ``threshold`` see
    :func:`vidcam.metrics.localisation.scores`.
    """

    model: str
    method: str
    cells: tuple[int, int, int]
    clips: int
    threshold: float
    scores: Mapping[str, Interval | None]
    insertion: Interval | None
    ms: float


@dataclass(frozen=True)
class Benchmark:
    """The ``rows``, the model's methods first; ``notes`` on methods that refused; ``run`` says what
    computed it."""

    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    run: RunInfo


@dataclass
class _Maps:
    """What is gathered for a row: each clip's map and truth, its insertion area, and the seconds that its windows took."""

    model: str
    cells: tuple[int, int, int] = (0, 0, 0)
    pairs: list[tuple[FloatArray, Bools]] = field(default_factory=list)
    areas: list[float] = field(default_factory=list)
    took: list[float] = field(default_factory=list)


def drawn(
    label: str, index: int, *, frames: int = 16, size: tuple[int, int] = (112, 112), seconds_between_frames: float = 0.1
) -> synthetic.SyntheticVideo:
    """Clip ``index`` of a class, which no training has seen: speeds and difficulties as in training."""
    seed = FIRST + 2 * index
    speed = float(np.random.default_rng([seed, 9]).uniform(10 / 12, 10 / 7))
    return synthetic.sample(seed, label=label, frames=frames, size=size, seconds_between_frames=seconds_between_frames * speed)


def run(
    engine: Engine,
    methods: Sequence[str],
    *,
    clips: int = 5,
    seed: int = 0,
    insertion: bool = True,
    name: str | None = None,
    progress: Progress | None = None,
) -> Benchmark:
    """The rows of a model's methods, best space-time IoU first, then those of the controls on the layer's cells.

    ``clips`` of each class in ``ACTING`` are explained for the class that was drawn where the model has a label of this name,
    else for its own answer. A clip is :data:`WINDOWS` windows long; they are explained one by one, and the maps laid end to end
    as one map. Raises UnknownNameError for a method, UsageError where none works on this model.
    """
    spec = engine.spec
    chosen, notes = _chosen(engine, methods, seed)
    known = {label.casefold(): i for i, label in enumerate(engine.labels)}
    if missing := [label for label in ACTING if label not in known]:
        which = "none of the drawn classes" if len(missing) == len(ACTING) else f"no class called {', '.join(missing)}"
        notes.append(f"{name or spec.name} has {which}, so in those clips the evidence for its own answer is scored")
    found = {m.name: _Maps(name or spec.name) for m in chosen} | {key: _Maps("") for key in CONTROLS}
    layer = probe.placements(engine.explained)
    where = cell_geometry.join([np.zeros(p.grid, np.float32) for p in layer], layer)[1]
    early: list[bool] = []
    for done, (label, number, windows, truth) in enumerate(_windows(engine, clips, seed), 1):
        if progress:
            progress("draw and explain", done, len(ACTING) * (min(CHOOSING, clips) + clips))
        if not truth.any():
            continue
        early.append(number < 0)
        index = known.get(label, int(engine.predict(windows).mean(axis=0).argmax()))
        made: dict[str, tuple[list[FloatArray], cell_geometry.CellGeometry]] = {}
        for method in list(chosen):
            places = probe.where(method, engine.explained)
            began = SYSTEM.now()
            try:
                out = core.explain(engine, windows, [core.Target(index)], method)
            except IncompatibleError as refusal:
                notes.append(str(refusal))
                chosen.remove(method)
                del found[method.name]
                continue
            found[method.name].took.append(SYSTEM.now() - began)
            joined = [cell_geometry.join([m[i, 0] for m in out.maps], places) for i in range(WINDOWS)]
            made[method.name] = [values for values, _ in joined], joined[0][1]
        for key, control in CONTROLS.items():
            rng = np.random.default_rng([seed, done])
            made[key] = [control(window, where, rng) for window in windows], where
        busy = int(truth.sum(axis=(1, 2, 3)).argmax())
        for key, (maps, cells) in made.items():
            found[key].cells = cells.grid
            found[key].pairs.append(_joined(maps, truth, cells))
            if insertion and number >= 0:
                prob = _probability(engine, index)
                found[key].areas.append(faithfulness.insertion(windows[busy], maps[busy], cells, prob, baseline="blur"))
    if not chosen:
        raise UsageError(f"none of these methods works on {spec.name}: {', '.join(methods)}")
    rows = sorted((_row(key, maps, early, seed) for key, maps in found.items()), key=_place)
    return Benchmark(tuple(rows), tuple(dict.fromkeys(notes)), RunInfo.of(engine, seed=seed))


def _windows(engine: Engine, clips: int, seed: int) -> Iterator[tuple[str, int, UInt8Array, Bools]]:
    """Each clip: its label, its number (negative: for choosing thresholds), its windows ``(WINDOWS,T,H,W,3)`` and what acts in
    them ``(WINDOWS,T,H,W)``."""
    spec = engine.spec
    for label in ACTING:
        for number in range(-min(CHOOSING, clips), clips):
            index, frames = 1000 * (seed + 1) + number, WINDOWS * spec.frames
            clip = drawn(label, index, frames=frames, size=spec.crop, seconds_between_frames=spec.seconds_between_frames)
            acting = clip.parts & clip.active[:, None, None]
            shape = (WINDOWS, spec.frames, *spec.crop)
            yield label, number, clip.frames.reshape(*shape, 3), acting.reshape(shape)


def _chosen(engine: Engine, names: Sequence[str], seed: int) -> tuple[list[core.Method], list[str]]:
    """The methods that the model's facts allow, each once, and what is said of the others."""
    chosen: list[core.Method] = []
    notes: list[str] = []
    for method in map(core.get, dict.fromkeys(names)):
        try:
            core.check(method, engine.spec)
            chosen.append(core.seeded(method, seed))
        except IncompatibleError as refusal:
            notes.append(str(refusal))
    return chosen, notes


def _joined(maps: Sequence[FloatArray], truth: Bools, where: cell_geometry.CellGeometry) -> tuple[FloatArray, Bools]:
    """The windows' maps end to end as one map, and the cells of it that the masks ``(windows,T,H,W)`` cover."""
    return np.concatenate(maps), np.concatenate([cell_geometry.covered(mask, where) for mask in truth])


def _probability(engine: Engine, index: int) -> Callable[[UInt8Array], FloatArray]:
    return lambda clips: engine.probabilities(engine.predict(clips))[:, index]


def _row(method: str, maps: _Maps, early: Sequence[bool], seed: int) -> Row:
    at = localisation.best_threshold([p for p, first in zip(maps.pairs, early, strict=True) if first])
    tried = [p for p, first in zip(maps.pairs, early, strict=True) if not first]
    scored = [localisation.scores(values, truth, threshold=at) for values, truth in tried]
    somewhere = maps.cells[1:] != (1, 1)  # one cell for the whole picture says when, not where
    share = (0.0, 1.0)
    scores = {
        key: bootstrap([getattr(s, key) for s in scored], within=share, seed=seed) if somewhere or key == "temporal" else None
        for key in localisation.NAMES
    }
    inserted = bootstrap(maps.areas, within=share, seed=seed) if maps.areas else None
    ms = 1e3 * float(np.median(maps.took)) / WINDOWS if maps.took else 0.0
    return Row(maps.model, method, maps.cells, len(scored), at, scores, inserted, ms)


def _place(row: Row) -> tuple[bool, float]:
    """Sorts the model's methods before the controls, and them by what the threshold was chosen for."""
    best = row.scores["space_time"]
    return not row.model, -best.mean if row.model and best else 0.0


# Files -------------------------------------------------------------------------------------------------------------------------

HEADINGS = {
    "pointing": "pointing game", "energy": "energy inside", "spatial": "spatial IoU", "temporal": "temporal IoU",
    "space_time": "space-time IoU",
}  # fmt: skip


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| map | cells | " + " | ".join(HEADINGS.values()) + " | insertion | ms |",
        "|---|---|" + "---|" * (len(HEADINGS) + 2),
    ]
    for row in rows:
        name = f"{row.model}, {row.method}" if row.model else f"*{row.method}*"
        figures = ["–" if i is None else f"{i.mean:.1%}" for i in (row.scores[key] for key in HEADINGS)]
        inserted = "" if row.insertion is None else f"{row.insertion.mean:.3f}"
        ms = f"{row.ms:.0f}" if row.model else ""
        lines.append(f"| {name} | {' × '.join(map(str, row.cells))} | " + " | ".join(figures) + f" | {inserted} | {ms} |")
    return "\n".join(lines)


def to_json(found: Benchmark) -> dict[str, object]:
    """The benchmark as plain JSON values: the keys of docs/json.md."""
    rows = [
        {
            "model": r.model or None, "method": r.method, "cells": r.cells, "clips": r.clips, "threshold": r.threshold,
            "scores": {key: i and asdict(i) for key, i in r.scores.items()}, "insertion": r.insertion and asdict(r.insertion),
            "ms_per_window": r.ms if r.model else None,
        }
        for r in found.rows
    ]  # fmt: skip
    values = {
        "schema_version": 1,
        "model": model_json(found.run.model),
        **run_json(found.run),
        "classes": ACTING,
        "windows_per_clip": WINDOWS,
        "rows": rows,
    }
    return {key: plain(value) for key, value in {**values, "notes": found.notes}.items()}


def write_json(found: Benchmark, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write :func:`to_json`."""
    save(path, document(to_json(found)), overwrite=overwrite)


def write_html(found: Benchmark, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write one page: a chart for each score with its intervals, and the table."""
    named = {f"{r.model} {r.method}".strip(): r for r in found.rows}
    plots = [_plot({n: r.scores[key] for n, r in named.items()}, named, title) for key, title in HEADINGS.items()]
    if any(r.insertion for r in found.rows):
        plots.append(_plot({n: r.insertion for n, r in named.items()}, named, "insertion area"))
    text = html.fill(
        "benchmark.html.j2", rows=found.rows, notes=found.notes, plots=plots, headings=HEADINGS,
        clips=max(r.clips for r in found.rows), windows=WINDOWS,
    )  # fmt: skip
    save(path, text, overwrite=overwrite)


def _plot(values: Mapping[str, Interval | None], named: Mapping[str, Row], title: str) -> str:
    """Bars of the rows that have the score; the model's stand out from the controls, and the best of them most."""
    known = {name: (i.mean, i.low, i.high) for name, i in values.items() if i is not None}
    own = [name for name in known if named[name].model]
    return charts.bars(known, title=title, best=max(own, key=lambda name: known[name][0], default=""), also=own)
