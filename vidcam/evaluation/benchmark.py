"""Benchmark explanation methods on clips of which it is known who acts where: drawn people, or real clips with outlines."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vidcam.errors import UsageError
from vidcam.evaluation.known_clips import ACTING, WINDOWS, draw_clip, draw_clips, drawn_clip_count, load_clips
from vidcam.evaluation.map_scoring import ALL, Scoring
from vidcam.io.outline_files import find_outlined
from vidcam.pipeline import Progress
from vidcam.reports.benchmark import Benchmark

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = ["ACTING", "ALL", "TOLERANCE", "WINDOWS", "draw_clip", "run", "run_real"]

TOLERANCE = 0.05
"""The tolerance of the pointing game on real clips, as a share of the crop's short side."""


def run(
    engine: Engine,
    methods: Sequence[str],
    *,
    clips: int = 5,
    seed: int = 0,
    insertion: bool = True,
    imputers: Sequence[str] = (),
    name: str | None = None,
    progress: Progress | None = None,
) -> Benchmark:
    """Score methods on synthetic people, whose acting body parts are known exactly.

    Each clip is :data:`WINDOWS` windows long; its windows are explained one by one, and their maps joined end to end. A clip is
    explained for its own class if the model has a label of that name, else for the model's prediction.

    Args:
        engine: The model.
        methods: The names of the methods; :data:`ALL` for every method.
        clips: How many clips of each class in :data:`ACTING` are scored.
        seed: The seed of the clips and of random methods.
        insertion: Whether the insertion area is measured too, which takes more time.
        imputers: With which imputers LeRF − MoRF is measured, which takes twice that time for each.
        name: The model's name in the report.
        progress: Called with the stage, the clips done, and all clips.

    Returns:
        The model's methods, the best space-time IoU first, then the controls.

    Raises:
        UnknownNameError: There is no such method.
        UsageError: None of the methods works on the model, or there is no such imputer.
    """
    scoring = Scoring(engine, methods, seed, name, insertion, imputers)
    labels = {label.casefold() for label in engine.labels}
    if missing := [label for label in ACTING if label not in labels]:
        which = "none of the drawn classes" if len(missing) == len(ACTING) else f"no class called {', '.join(missing)}"
        scoring.notes.append(f"{scoring.name} has {which}, so in those clips the evidence for its own answer is scored")
    scoring.add_all(draw_clips(engine, clips, seed), drawn_clip_count(clips), "draw and explain", progress)
    return scoring.result(ACTING, WINDOWS)


def run_real(
    engine: Engine,
    methods: Sequence[str],
    folder: str | os.PathLike[str],
    *,
    outlines: str | os.PathLike[str] | None = None,
    windows: int = WINDOWS,
    tolerance: float = TOLERANCE,
    seed: int = 0,
    imputers: Sequence[str] = ("frozen",),
    name: str | None = None,
    progress: Progress | None = None,
) -> Benchmark:
    """Score methods on real clips with outlines of the people who act; docs/outlines.md describes their files.

    A clip is explained for the first of its labels that the model knows, else for the model's most probable answer that is no
    rejection; ``Benchmark.explained`` says which. The threshold above which a cell of a clip is hot is chosen on the other clips.

    Args:
        engine: The model.
        methods: The names of the methods; :data:`ALL` for every method.
        folder: Where the clips are.
        outlines: Where their outlines are; None: in ``folder``.
        windows: How many windows of each clip are scored at most.
        tolerance: How far outside the outline a cell's centre still counts as a hit in the pointing game, as a share of the
            crop's short side.
        seed: The seed of random methods and controls.
        imputers: With which imputers LeRF − MoRF is measured; with ``blur`` among them, the insertion area too.
        name: The model's name in the report.
        progress: Called with the stage, the clips done, and all clips.

    Returns:
        The model's methods, the best space-time IoU first, then the controls. Temporal IoU is None unless some clip has times in
        which nobody acts.

    Raises:
        UnknownNameError: There is no such method.
        UsageError: None of the methods works on the model, or a number or an imputer is not allowed.
        InputError: There are no outlines, a file is malformed, or a clip cannot be read.
    """
    if windows < 1 or not 0 <= tolerance <= 1:
        raise UsageError(f"at least 1 window and a tolerance from 0 to 1 are needed, got {windows} and {tolerance}")
    scoring = Scoring(engine, methods, seed, name, "blur" in imputers, imputers)
    outlined, missing = find_outlined(folder, outlines)
    scoring.notes += missing
    clips = load_clips(engine, outlined, windows=windows, tolerance=tolerance)
    scoring.add_all(clips, len(outlined), "explain", progress)
    classes = tuple(sorted({clip.outlines.labels[0] for clip in outlined}))
    return scoring.result(classes, windows, tolerance=tolerance)
