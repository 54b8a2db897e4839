"""How the cost grows with the video's length and size, the number of classes and the hop; and how much memory it takes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from benchmarks.speed import commands, inputs
from benchmarks.speed.plan import Plan
from benchmarks.speed.race import Column, Race, rounds

__all__ = ["run"]

HOPS = (1.0, 0.5, 0.25, 0.1)


def run(plan: Plan) -> list[Race]:
    first = inputs.made(plan.clips[0], plan.folder, height=plan.heights[0], seconds=plan.short_s)
    commands.vidcam(first.path, plan.folder, model="mini")  # what is made only once, such as a compiled model, is made now
    return [
        *(race for height, seconds in plan.lengths for race in _length(plan, height, seconds)),
        _size(plan),
        *(_classes(plan, height) for height in plan.main_heights),
        _hop(plan),
    ]


def _length(plan: Plan, height: int, lengths: tuple[int, ...]) -> list[Race]:
    """Seconds of work for a second of video, and memory, with every report written."""
    base = inputs.made(plan.clips[0], plan.folder, height=height, seconds=lengths[0])
    names = {seconds: f"vidcam, {seconds:g} s" for seconds in lengths}
    contestants = {}
    reports = [word for kind in ("report.html", "maps.npz") for word in (f"--{kind.split('.')[0]}", plan.folder / kind)]
    for seconds, name in names.items():
        clip = inputs.looped(base, plan.folder, round(seconds / lengths[0]))
        contestants[name] = partial(commands.vidcam, clip.path, plan.folder, *reports, model="mini")
    found, _ = rounds(contestants, count=plan.rounds, patience_s=plan.patience_s, say=plan.say)
    length = {name: seconds for seconds, name in names.items()}
    times = {name: [1e3 * took.inside_s / length[name] for took in some] for name, some in found.items()}
    memory = {name: [took.peak_mb for took in some] for name, some in found.items()}
    column = Column("of that of the first", dict.fromkeys(names.values(), names[lengths[0]]), speed=False)
    what = f"mini at {height} lines, with a page and the raw maps"
    races = [
        Race(
            f"length-{height}", f"Cost by length, {height} lines", "ms for a second of video", times, (column,),
            f"{what}, but without start-up and their writing.", "figures",
        ),
        Race(
            f"memory-{height}", f"Peak memory by length, {height} lines", "MB", memory, (column,),
            f"{what}; the most that was resident.", "figures",
        ),
    ]  # fmt: skip
    return [race for race in races if any(value for some in race.samples.values() for value in some)]


def _size(plan: Plan) -> Race:
    contestants, versus, frames = {}, {}, 1
    for height in plan.heights:
        clip = inputs.made(plan.clips[0], plan.folder, height=height, seconds=plan.short_s)
        frames = clip.frames
        plain, ours = f"plain transcode, {height} lines", f"vidcam, mini, {height} lines"
        contestants[plain] = partial(commands.transcode, clip.path, plan.folder)
        contestants[ours] = partial(commands.vidcam, clip.path, plan.folder, model="mini")
        versus[ours] = plain
    found, _ = rounds(contestants, count=plan.rounds, patience_s=plan.patience_s, say=plan.say)
    times = {name: [1e3 * took.inside_s / frames for took in some] for name, some in found.items()}
    column = Column("speed of the transcode", versus)
    return Race(
        "size", "Cost by size of the picture", "ms a frame", times, (column,), f"{plan.short_s:g} s, without start-up.",
        "figures",
    )  # fmt: skip


def _classes(plan: Plan, height: int) -> Race:
    from vidcam.models.table import get_spec

    labels = get_spec("x3d_s").labels()
    named = {n: tuple(word for label in labels[:n] for word in ("--class", label)) for n in plan.classes}
    settings = {f"vidcam, {n} class{'es' * (n > 1)}": words for n, words in named.items()}
    found, clip = _annotated(plan, "x3d_s", settings, height=height)
    names = list(found)
    return Race(
        f"classes-{height}", f"Cost by number of classes, {height} lines", "ms a frame", _per_frame(found, clip),
        (Column("of that of the first", dict.fromkeys(names, names[0]), speed=False),),
        f"`vidcam annotate --class …` with x3d_s, {clip.seconds:g} s at {height} lines, without start-up. The panel below the "
        "picture shows the evidence of up to four classes at a time, fewer in a small picture, each in rows of its own.",
        "figures",
    )  # fmt: skip


def _hop(plan: Plan) -> Race:
    found, clip = _annotated(plan, "mini", {f"vidcam, hop {hop:g} s": ("--hop", str(hop)) for hop in HOPS})
    names = list(found)
    return Race(
        "hop", "Cost by hop", "ms a frame", _per_frame(found, clip),
        (Column("of that of the first", dict.fromkeys(names, names[0]), speed=False),),
        f"`vidcam annotate --hop …` with mini, {clip.seconds:g} s at 256 lines, without start-up.", "figures",
    )  # fmt: skip


def _annotated(
    plan: Plan, model: str, settings: dict[str, tuple[str, ...]], *, height: int = 256
) -> tuple[dict[str, list[commands.Took]], inputs.SyntheticVideo]:
    """One short clip annotated with these ``settings`` by name."""
    clip = inputs.made(plan.clips[0], plan.folder, height=height, seconds=plan.short_s)
    weights: Path | None = inputs.weights_for(model, plan.folder)
    contestants = {
        name: partial(commands.vidcam, clip.path, plan.folder, *words, model=model, weights=weights)
        for name, words in settings.items()
    }
    return rounds(contestants, count=plan.rounds, patience_s=plan.patience_s, say=plan.say)[0], clip


def _per_frame(found: dict[str, list[commands.Took]], clip: inputs.SyntheticVideo) -> dict[str, list[float]]:
    return {name: [1e3 * took.inside_s / clip.frames for took in some] for name, some in found.items()}
