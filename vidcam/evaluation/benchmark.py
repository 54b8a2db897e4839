"""Benchmark explanation methods on synthetic people, whose acting body parts are known to the pixel and the frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vidcam import synthetic
from vidcam.analysis import RunInfo
from vidcam.errors import IncompatibleError, UsageError
from vidcam.io.clock import SYSTEM
from vidcam.methods import cell_geometry, core
from vidcam.methods.lookup import check_method, get_method
from vidcam.methods.receptive_field import layer_geometry, method_geometry
from vidcam.metrics import faithfulness, localisation
from vidcam.metrics.baselines import BASELINES
from vidcam.metrics.faithfulness import bootstrap
from vidcam.pipeline import Progress
from vidcam.reports.benchmark import Benchmark, Row
from vidcam.values import FloatArray, UInt8Array

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = ["ACTING", "WINDOWS", "draw_clip", "run"]

Bools = npt.NDArray[np.bool_]

FIRST_SEED = 5_000_000_001
"""Odd, and far from the seeds that training holds out; training draws even ones."""

ACTING = synthetic.CLASSES[1:-1]
"""The classes in which body parts act: all except standing idle and nobody."""

THRESHOLD_CLIPS = 3
"""At most so many further clips of each class choose the threshold above which a cell is hot."""

WINDOWS = 3
"""Windows of the model in a clip.

Within one window people act three quarters of the time, so a map that is always hot would find most of it. Over three windows
they act for about half of the time, and rest before and after.
"""


@dataclass(frozen=True)
class _Clip:
    """A synthetic clip: ``windows (WINDOWS,T,H,W,3)`` and the acting pixels ``truth (WINDOWS,T,H,W)``.

    If ``is_early``, the clip chooses the thresholds and is not scored.
    """

    label: str
    windows: UInt8Array
    truth: Bools
    is_early: bool


@dataclass
class _Maps:
    """What is collected for a row: each clip's map and truth, its insertion area, and the computing time of its windows."""

    model: str
    cells: tuple[int, int, int] = (0, 0, 0)
    pairs: list[tuple[FloatArray, Bools]] = field(default_factory=list)
    areas: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


ClipMaps = tuple[list[FloatArray], cell_geometry.CellGeometry]
"""The map of each window of a clip, and where their cells are."""


def draw_clip(
    label: str, index: int, *, frames: int = 16, size: tuple[int, int] = (112, 112), seconds_between_frames: float = 0.1
) -> synthetic.SyntheticVideo:
    """Draw clip ``index`` of a class, which no training has used; speeds and difficulties are those of training."""
    seed = FIRST_SEED + 2 * index
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
    """Score methods on synthetic people, whose acting body parts are known exactly.

    Each clip is :data:`WINDOWS` windows long; its windows are explained one by one, and their maps joined end to end. A clip is
    explained for its own class if the model has a label of that name, else for the model's prediction.

    Args:
        engine: The model.
        methods: The names of the methods.
        clips: How many clips of each class in :data:`ACTING` are scored.
        seed: The seed of the clips and of random methods.
        insertion: Whether the insertion area is measured too, which takes more time.
        name: The model's name in the report.
        progress: Called with the stage, the clips done, and all clips.

    Returns:
        The model's methods, the best space-time IoU first, then the controls.

    Raises:
        UnknownNameError: There is no such method.
        UsageError: None of the methods works on the model.
    """
    name = name or engine.spec.name
    chosen, notes = _choose(engine, methods, seed)
    labels = {label.casefold(): i for i, label in enumerate(engine.labels)}
    if missing := [label for label in ACTING if label not in labels]:
        which = "none of the drawn classes" if len(missing) == len(ACTING) else f"no class called {', '.join(missing)}"
        notes.append(f"{name} has {which}, so in those clips the evidence for its own answer is scored")
    rows = {m.name: _Maps(name) for m in chosen} | {key: _Maps("") for key in BASELINES}
    layer = layer_geometry(engine.model)
    layer_cells = cell_geometry.join([np.zeros(p.grid, np.float32) for p in layer], layer)[1]
    early: list[bool] = []
    for number, clip in enumerate(_draw_clips(engine, clips, seed), 1):
        if progress:
            progress("draw and explain", number, len(ACTING) * (min(THRESHOLD_CLIPS, clips) + clips))
        if not clip.truth.any():
            continue
        early.append(clip.is_early)
        index = labels.get(clip.label, int(engine.predict(clip.windows).mean(axis=0).argmax()))
        maps = _explain_clip(engine, clip, index, chosen, rows, notes)
        for key, control in BASELINES.items():
            rng = np.random.default_rng([seed, number])
            maps[key] = [control(window, layer_cells, rng) for window in clip.windows], layer_cells
        _add_maps(engine, clip, index, maps, rows, insertion=insertion and not clip.is_early)
    if not chosen:
        raise UsageError(f"none of these methods works on {engine.spec.name}: {', '.join(methods)}")
    scored = sorted((_score_row(key, row, early, seed) for key, row in rows.items()), key=_rank)
    return Benchmark(tuple(scored), tuple(dict.fromkeys(notes)), RunInfo.of(engine, seed=seed), ACTING, WINDOWS)


def _explain_clip(
    engine: Engine, clip: _Clip, index: int, chosen: list[core.Method], rows: dict[str, _Maps], notes: list[str]
) -> dict[str, ClipMaps]:
    """Explain the windows of a clip by each method; a method that fails on the model leaves ``chosen`` and ``rows``."""
    maps: dict[str, ClipMaps] = {}
    for method in list(chosen):
        geometry = method_geometry(method, engine.model)
        began = SYSTEM.now()
        try:
            attribution = core.explain(engine, clip.windows, [core.Target(index)], method)
        except IncompatibleError as error:
            notes.append(str(error))
            chosen.remove(method)
            del rows[method.name]
            continue
        rows[method.name].seconds.append(SYSTEM.now() - began)
        joined = [cell_geometry.join([m[i, 0] for m in attribution.maps], geometry) for i in range(WINDOWS)]
        maps[method.name] = [values for values, _ in joined], joined[0][1]
    return maps


def _add_maps(
    engine: Engine, clip: _Clip, index: int, maps: dict[str, ClipMaps], rows: dict[str, _Maps], *, insertion: bool
) -> None:
    """Add the maps of a clip to their rows, and the insertion area of its busiest window."""
    busiest = int(clip.truth.sum(axis=(1, 2, 3)).argmax())
    for key, (values, cells) in maps.items():
        rows[key].cells = cells.grid
        rows[key].pairs.append(_joined(values, clip.truth, cells))
        if insertion:
            prob = _probability(engine, index)
            area = faithfulness.insertion_area(clip.windows[busiest], values[busiest], cells, prob, imputer="blur")
            rows[key].areas.append(area)


def _draw_clips(engine: Engine, clips: int, seed: int) -> Iterator[_Clip]:
    """Draw the clips of every class; clips with a negative number choose the thresholds."""
    spec = engine.spec
    shape = (WINDOWS, spec.num_frames, *spec.crop)
    for label in ACTING:
        for number in range(-min(THRESHOLD_CLIPS, clips), clips):
            index, frames = 1000 * (seed + 1) + number, WINDOWS * spec.num_frames
            clip = draw_clip(label, index, frames=frames, size=spec.crop, seconds_between_frames=spec.seconds_between_frames)
            acting = clip.parts & clip.active[:, None, None]
            yield _Clip(label, clip.frames.reshape(*shape, 3), acting.reshape(shape), number < 0)


def _choose(engine: Engine, names: Sequence[str], seed: int) -> tuple[list[core.Method], list[str]]:
    """Return the methods that the model allows, each once, and a note on each of the others."""
    chosen: list[core.Method] = []
    notes: list[str] = []
    for method in map(get_method, dict.fromkeys(names)):
        try:
            check_method(method, engine.spec)
            chosen.append(method.with_seed(seed))
        except IncompatibleError as error:
            notes.append(str(error))
    return chosen, notes


def _joined(maps: Sequence[FloatArray], truth: Bools, where: cell_geometry.CellGeometry) -> tuple[FloatArray, Bools]:
    """Return the windows' maps joined end to end, and which of their cells the masks ``(WINDOWS,T,H,W)`` cover."""
    return np.concatenate(maps), np.concatenate([cell_geometry.covered(mask, where) for mask in truth])


def _probability(engine: Engine, index: int) -> Callable[[UInt8Array], FloatArray]:
    return lambda clips: engine.probabilities(engine.predict(clips))[:, index]


def _score_row(method: str, maps: _Maps, early: Sequence[bool], seed: int) -> Row:
    """Score the maps of a row, with the threshold that its early clips choose."""
    threshold = localisation.best_threshold([pair for pair, is_early in zip(maps.pairs, early, strict=True) if is_early])
    pairs = [pair for pair, is_early in zip(maps.pairs, early, strict=True) if not is_early]
    scored = [localisation.score_map(values, truth, threshold=threshold) for values, truth in pairs]
    has_places = maps.cells[1:] != (1, 1)  # a single cell for the whole picture says when, not where
    share = (0.0, 1.0)
    scores = {
        key: bootstrap([getattr(s, key) for s in scored], within=share, seed=seed) if has_places or key == "temporal" else None
        for key in localisation.SCORE_NAMES
    }
    insertion = bootstrap(maps.areas, within=share, seed=seed) if maps.areas else None
    ms = 1e3 * float(np.median(maps.seconds)) / WINDOWS if maps.seconds else 0.0
    return Row(maps.model, method, maps.cells, len(scored), threshold, scores, insertion, ms)


def _rank(row: Row) -> tuple[bool, float]:
    """Return a key that sorts the model's methods before the controls, and by the score that chose the threshold."""
    best = row.scores["space_time"]
    return not row.model, -best.mean if row.model and best else 0.0
