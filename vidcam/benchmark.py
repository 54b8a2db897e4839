"""Explanation methods against exact ground truth: drawn people whose acting parts are known to the pixel and the frame."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vidcam import charts, placement, synth
from vidcam.errors import IncompatibleError, UsageError
from vidcam.explainers import core, probe
from vidcam.files import atomic_write, check_output
from vidcam.pipeline import Progress
from vidcam.trust import localisation
from vidcam.trust.controls import CONTROLS
from vidcam.trust.faithfulness import Interval, bootstrap, faithfulness
from vidcam.types import FloatArray, UInt8Array

if TYPE_CHECKING:
    from vidcam.engine import TorchEngine

__all__ = ["ACTING", "Row", "drawn", "run", "table", "write_html", "write_json"]

Bools = npt.NDArray[np.bool_]

FIRST = 5_000_000_001
"""The first seed: odd, and far from those that training holds out; training draws even ones."""

ACTING = synth.CLASSES[1:-1]
"""The classes with acting parts: all but standing idle and nobody."""

CHOOSING = 3
"""Clips of each class, other than those of the report, on which the threshold of what is hot is chosen."""


@dataclass(frozen=True)
class Row:
    """One model and method (or a control, whose model is empty) over ``clips`` clips.

    ``scores`` have their 95 % intervals over the clips, as does ``insertion`` (the area with a blurred baseline, in probability
    of the explained class); ``ms`` is the time of one explanation; ``threshold`` see :func:`vidcam.trust.localisation.scores`.
    """

    model: str
    method: str
    clips: int
    threshold: float
    scores: Mapping[str, Interval]
    insertion: Interval | None
    ms: float


def drawn(label: str, index: int, *, frames: int = 16, size: tuple[int, int] = (112, 112), interval_s: float = 0.1) -> synth.Clip:
    """Clip ``index`` of a class, which no training has seen: speeds and difficulties as in training."""
    seed = FIRST + 2 * index
    speed = float(np.random.default_rng([seed, 9]).uniform(10 / 12, 10 / 7))
    return synth.sample(seed, label=label, frames=frames, size=size, interval_s=interval_s * speed)


def run(
    engine: TorchEngine,
    methods: Sequence[str],
    *,
    clips: int = 5,
    seed: int = 0,
    insertion: bool = True,
    name: str | None = None,
    progress: Progress | None = None,
) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """The rows of a model's methods, then those of the controls on the layer's cells; and notes on methods that refused.

    ``clips`` of each class in ``ACTING`` are explained for the class that was drawn where the model has a label of this name,
    else for its own answer. Raises UnknownNameError for a method, UsageError where none works on this model.
    """
    spec = engine.spec
    chosen: list[core.Method] = []
    notes: list[str] = []
    for one in dict.fromkeys(methods):
        method = core.get(one)
        try:
            core.check(method, spec)
            chosen.append(method)
        except IncompatibleError as refusal:
            notes.append(str(refusal))
    known = {label.casefold(): i for i, label in enumerate(engine.labels)}
    maps: dict[str, list[tuple[FloatArray, Bools]]] = {key: [] for key in (*(m.name for m in chosen), *CONTROLS)}
    areas: dict[str, list[float]] = {key: [] for key in maps}
    took: dict[str, float] = dict.fromkeys(maps, 0.0)
    early: list[bool] = []
    layer = probe.placements(engine.explained)
    done, total = 0, len(ACTING) * (clips + CHOOSING)
    for label in ACTING:
        for i in range(-CHOOSING, clips):
            clip = drawn(label, 1000 * (seed + 1) + i, frames=spec.frames, size=spec.crop, interval_s=spec.interval_s)
            mask = clip.parts & clip.active[:, None, None]
            done += 1
            if progress:
                progress("draw and explain", done, total)
            if not mask.any():
                continue
            early.append(i < 0)
            index = known.get(label, int(engine.predict(clip.frames[None])[0].argmax()))
            prob = _probability(engine, index)
            made: dict[str, tuple[FloatArray, placement.Placement]] = {}
            for method in list(chosen):
                began = time.perf_counter()
                try:
                    out = core.explain(engine, clip.frames[None], [core.Target(index)], method)
                except IncompatibleError as refusal:
                    notes.append(str(refusal))
                    chosen.remove(method)
                    del maps[method.name]
                    continue
                took[method.name] += time.perf_counter() - began
                made[method.name] = placement.join([m[0, 0] for m in out.maps], probe.where(method, engine.explained))
            where = placement.join([np.zeros(p.grid, np.float32) for p in layer], layer)[1]
            for key, control in CONTROLS.items():
                made[key] = control(clip.frames, where, np.random.default_rng([seed, done])), where
            for key, (values, cells) in made.items():
                maps[key].append((values, placement.covered(mask, cells)))
                if insertion and i >= 0:
                    areas[key].append(faithfulness(clip.frames, values, cells, prob, baseline="blur").insertion)
    if not chosen:
        raise UsageError(f"none of these methods works on {spec.name}: {', '.join(methods)}")
    rows = [
        _row(name or spec.name if key not in CONTROLS else "", key, pairs, early, areas[key], took[key], seed)
        for key, pairs in maps.items()
    ]
    return tuple(rows), tuple(dict.fromkeys(notes))


def _probability(engine: TorchEngine, index: int) -> Callable[[UInt8Array], FloatArray]:
    return lambda clips: engine.probabilities(engine.predict(clips))[:, index]


def _row(
    model: str,
    method: str,
    pairs: Sequence[tuple[FloatArray, Bools]],
    early: Sequence[bool],
    areas: Sequence[float],
    took: float,
    seed: int,
) -> Row:
    at = localisation.best_threshold([p for p, first in zip(pairs, early, strict=True) if first])
    scored = [localisation.scores(v, c, threshold=at) for (v, c), first in zip(pairs, early, strict=True) if not first]
    return Row(
        model, method, len(scored), at,
        {key: bootstrap([getattr(s, key) for s in scored], seed=seed) for key in localisation.NAMES},
        bootstrap(areas, seed=seed) if areas else None, 1e3 * took / len(pairs),
    )  # fmt: skip


HEADINGS = {
    "pointing": "pointing game", "energy": "energy inside", "spatial": "spatial IoU", "temporal": "temporal IoU",
    "space_time": "space-time IoU",
}  # fmt: skip


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| map | " + " | ".join(HEADINGS.values()) + " | insertion | ms |",
        "|---|" + "---|" * (len(HEADINGS) + 2),
    ]
    for row in rows:
        name = f"{row.model}, {row.method}" if row.model else f"*{row.method}*"
        figures = [f"{row.scores[key].mean:.1%}" for key in HEADINGS]
        inserted = "" if row.insertion is None else f"{row.insertion.mean:.3f}"
        lines.append(f"| {name} | " + " | ".join(figures) + f" | {inserted} | {row.ms:.0f} |")
    return "\n".join(lines)


def write_json(rows: Sequence[Row], notes: Sequence[str], path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write the rows with their intervals."""
    doc = {"schema_version": 1, "classes": list(ACTING), "rows": [asdict(r) for r in rows], "notes": list(notes)}
    _save(path, json.dumps(doc, indent=1) + "\n", overwrite=overwrite)


def write_html(rows: Sequence[Row], notes: Sequence[str], path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write one page: a chart for each score with its intervals, and the table."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    page = Environment(
        loader=PackageLoader("vidcam"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    named = {f"{r.model} {r.method}".strip(): r for r in rows}
    best = next((name for name, r in named.items() if r.model), "")
    plots = [
        charts.bars({n: _ends(r.scores[key]) for n, r in named.items()}, title=title, best=best)
        for key, title in HEADINGS.items()
    ]
    if any(r.insertion for r in rows):
        plots.append(
            charts.bars({n: _ends(r.insertion) for n, r in named.items() if r.insertion}, title="insertion area", best=best)
        )
    text = page.get_template("benchmark.html.j2").render(
        rows=rows, notes=notes, plots=plots, headings=HEADINGS, clips=max(r.clips for r in rows)
    )
    _save(path, text, overwrite=overwrite)


def _ends(i: Interval) -> tuple[float, float, float]:
    return i.mean, i.low, i.high


def _save(path: str | os.PathLike[str], text: str, *, overwrite: bool) -> None:
    check_output(Path(path), overwrite=overwrite)
    with atomic_write(path, overwrite=overwrite) as part:
        part.write_text(text, encoding="utf-8")
