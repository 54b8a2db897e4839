"""Choose the method that explains a video best: try one of each family on the clips that tell most."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from vidcam.analysis import Analysis
from vidcam.annotation.judging import find_telling_spans, most_probable_crop
from vidcam.io.source import Source
from vidcam.methods.cell_geometry import CellGeometry, join
from vidcam.methods.core import Method
from vidcam.methods.lookup import choose_of_each
from vidcam.methods.receptive_field import method_geometry
from vidcam.metrics.baselines import BASELINES
from vidcam.metrics.faithfulness import faithfulness_of
from vidcam.metrics.imputers import IMPUTERS
from vidcam.metrics.method_choice import MapFigures, MethodChoice, choose_best
from vidcam.metrics.removals import SharedRemovals
from vidcam.pipeline import Explanation, OnFrame, Progress, Session, explanations
from vidcam.settings import Settings
from vidcam.values import FloatArray

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = ["FAMILIES", "TESTED_CLIPS", "choose_for_video"]

FAMILIES = (
    ("cam", "gradcam"),
    ("cam-spread",),
    ("gradcam++",),
    ("guided-gradcam",),  # guided-backprop has the same map for every class
    ("lrp",),
    ("attention-rollout",),
    ("occlusion",),
)
"""What is tried besides the model's default, a method of each family: of each group the first that works on the model."""

TESTED_CLIPS = 3
"""On how many clips the methods are tested at most."""

STEPS = 6
"""Steps of the curves, as :data:`vidcam.metrics.faithfulness.STEPS`: half as many, because only their order matters."""


def choose_for_video(
    source: Source, engine: Engine, settings: Settings, analysis: Analysis, *, on_frame: OnFrame, progress: Progress | None
) -> MethodChoice:
    """Test methods on the first label of the analysis, and choose the one whose maps show best what the answer depends on.

    All methods explain the clips of :func:`~vidcam.annotation.judging.find_telling_spans` in one pass; those that read the same
    layer share each forward pass. Each map is tested by LeRF − MoRF with every imputer, beside the controls.

    Args:
        source: The video.
        engine: The model.
        settings: How to explain; ``method`` is left alone.
        analysis: The explanation by the model's default method, which is among the tested ones.
        on_frame: Gets each frame that is read.
        progress: Told ``"test methods"`` after each map.
    """
    label = analysis.labels[0]
    methods, refused = choose_of_each(((analysis.method,), *FAMILIES), engine.spec)
    spans = find_telling_spans(engine, analysis, count=TESTED_CLIPS)
    session = Session(
        engine,
        replace(settings, method=None, classes=(label,)),
        methods=[method.name for method in methods],
        skip=lambda span: span not in spans,
    )
    clips = list(explanations(source, session, on_frame))
    prob = partial(engine.class_probability, engine.labels.index(label))
    cells = {method.name: _cells(method, engine) for method in session.methods}
    total = len(clips) * (len(cells) + len(BASELINES))
    per_clip: dict[str, dict[str, list[float]]] = {name: {key: [] for key in IMPUTERS} for name in (*cells, *BASELINES)}
    done = 0
    for n, clip in enumerate(clips):
        crop = most_probable_crop(clip, prob)
        removals = SharedRemovals(clip.clips[crop], prob)
        for name, (values, where) in _maps(clip, crop, cells, np.random.default_rng([settings.seed, n])).items():
            for imputer, figures in per_clip[name].items():
                figures.append(faithfulness_of(values, removals.of(where, imputer), steps=STEPS).lerf_minus_morf)
            done += 1
            if progress:
                progress("test methods", done, total)
    tested = [MapFigures(name, per_clip[name]) for name in cells]
    controls = [MapFigures(name, per_clip[name]) for name in BASELINES]
    reasons = refused | {name: str(error) for name, error in session.refused.items()}
    short = {name: reason.partition(";")[0] for name, reason in reasons.items()}  # without the advice
    return choose_best(tested, controls, default=analysis.method, refused=short)


def _cells(method: Method, engine: Engine) -> CellGeometry:
    """Return where the cells of a method's maps are, its pathways joined."""
    geometry = method_geometry(method, engine.model)
    return join([np.zeros(place.grid, np.float32) for place in geometry], geometry)[1]


def _maps(
    clip: Explanation, crop: int, cells: dict[str, CellGeometry], rng: np.random.Generator
) -> dict[str, tuple[FloatArray, CellGeometry]]:
    """Return the maps of the methods and of the controls in one crop of a clip, with their cells."""
    maps = {}
    for name, where in cells.items():
        of_method = [e for e in clip.evidence if e.method == name]
        maps[name] = (of_method[crop].values, where)
    first = next(iter(cells.values()))  # the controls have the default method's cells
    return maps | {name: (control(clip.clips[crop], first, rng), first) for name, control in BASELINES.items()}
