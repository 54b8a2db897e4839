"""`vidcam annotate` beside a plain transcode and beside what one would write by hand, and how soon it begins."""

from __future__ import annotations

import itertools
import math
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.speed import commands, inputs
from benchmarks.speed.plan import NO_GRAD_CAM, Plan, have_grad_cam
from benchmarks.speed.race import Column, Race, rounds

__all__ = ["run"]

TRANSCODE = "plain transcode"
Run = Callable[[], tuple[commands.Took, inputs.SyntheticVideo]]


def run(plan: Plan) -> list[Race]:
    return [race for height in plan.main_heights for race in _beside(plan, height)] + [_start_up(plan)]


def _beside(plan: Plan, height: int) -> list[Race]:
    clips = [inputs.made(clip, plan.folder, height=height, seconds=plan.seconds) for clip in plan.clips]
    weights = {model: inputs.weights_for(model, plan.folder) for model in plan.models}
    hand_model = plan.models[-1]
    by_hand = f"script with grad-cam, {hand_model}"

    def runs(command: Callable[..., commands.Took], **how: Any) -> Run:
        turns = itertools.cycle(clips)

        def run() -> tuple[commands.Took, inputs.SyntheticVideo]:
            clip = next(turns)
            return command(clip.path, plan.folder, **how), clip

        return run

    contestants = {TRANSCODE: runs(commands.transcode)}
    for model in plan.models:
        contestants[f"vidcam, {model}"] = runs(commands.vidcam, model=model, weights=weights[model])
        contestants[f"vidcam, {model}, page"] = runs(commands.vidcam, model=model, weights=weights[model], output="vidcam.html")
    if have_grad_cam():
        contestants[by_hand] = runs(commands.by_hand, model=hand_model, weights=weights[hand_model])
    each = len(clips) > 1
    count, patience_s = (len(clips), math.inf) if each else (plan.rounds, plan.patience_s)
    found, _ = rounds(contestants, count=count, patience_s=patience_s, say=plan.say)
    columns = (
        Column("speed of the transcode", {name: TRANSCODE for name in contestants if name != TRANSCODE}),
        Column("times as fast as the script", {f"vidcam, {hand_model}": by_hand}),
    )
    named = ", ".join(f"{source.stem} ({float(clip.fps):.3g} frames/s)" for source, clip in zip(plan.clips, clips, strict=True))
    what = f"{named}: {'each ' * each}{plan.seconds:g} s at {2 * round(height * 8 / 9)}×{height}, default settings"
    notes = () if have_grad_cam() else (NO_GRAD_CAM,)
    steady = {name: [1e3 * took.inside_s / clip.frames for took, clip in some] for name, some in found.items()}
    whole = {name: [took.wall_s for took, _ in some] for name, some in found.items()}
    return [
        Race(
            f"steady-{height}", f"End to end at {height} lines, in the steady state", "ms a frame", steady, columns,
            f"{what}; without the start of the program and the loading of the model.", columns[0].title, notes=notes,
        ),
        Race(
            f"command-{height}", f"End to end at {height} lines, the whole command", "s", whole, columns,
            f"{what}; from the prompt to the prompt.", columns[0].title, notes=notes,
        ),
    ]  # fmt: skip


def _start_up(plan: Plan) -> Race:
    """Commands that do next to nothing, with an empty cache and with a filled one."""
    clip = inputs.made(plan.clips[0], plan.folder, height=256, seconds=2)

    def first(model: str, weights: Path | None, cache: Path | None) -> float:
        cache = cache or Path(tempfile.mkdtemp(dir=plan.folder))
        return commands.vidcam(clip.path, plan.folder, model=model, weights=weights, cache=cache).wall_s

    contestants: dict[str, Callable[[], float]] = {
        "python -c pass": lambda: commands.command(sys.executable, "-c", "pass")[1],
        "vidcam --help": lambda: commands.command(*commands.VIDCAM, "--help")[1],
    }
    for model in plan.models:
        weights = inputs.weights_for(model, plan.folder)
        contestants[f"vidcam, {model}, empty cache"] = partial(first, model, weights, None)
        contestants[f"vidcam, {model}, filled cache"] = partial(first, model, weights, plan.folder / "cache")
    found, _ = rounds(contestants, count=plan.rounds, patience_s=plan.patience_s, warm=True, say=plan.say)
    note = "The whole command: help, or `annotate` of 2 s of 256 lines, where next to everything is the start."
    return Race("start", "Start-up", "s", found, note=note, plot="figures")
