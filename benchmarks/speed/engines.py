"""Each model in each engine: one window without and with the evidence for five classes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.speed import inputs
from benchmarks.speed.plan import Plan
from benchmarks.speed.race import Column, Race, Samples, rounds, timed
from vidcam.errors import VidcamError

__all__ = ["run"]

ENGINES = ("torch", "torch-bf16", "openvino", "openvino-bf16")
CLASSES = 5


def run(plan: Plan) -> list[Race]:
    """One table of all models; they are loaded and measured one after the other."""
    samples: Samples = {}
    faster: dict[str, str] = {}
    evidence: dict[str, str] = {}
    notes: list[str] = []
    for model in plan.engine_models:
        samples |= _model(plan, model, faster, evidence, notes)
        plan.say(f"{model}: measured")
    return [
        Race(
            "engines", "One window in each engine", "ms", samples,
            (Column("times as fast as torch as it is", faster), Column("cost of evidence", evidence, speed=False)),
            f"On the processor; evidence is that of the default method for {CLASSES} classes.", notes=list(dict.fromkeys(notes)),
        )
    ]  # fmt: skip


def _model(plan: Plan, model: str, faster: dict[str, str], evidence: dict[str, str], notes: list[str]) -> Samples:
    """The milliseconds of one model; adds who is compared with whom, and what there is to say."""
    import torch

    from vidcam.engine import normalise, open_engine
    from vidcam.methods import core
    from vidcam.methods.lookup import choose_method
    from vidcam.models import loading

    weights = inputs.weights_for(model, plan.folder)
    loaded = loading.load(model, weights=weights)
    spec = loaded.spec
    frames = np.random.default_rng(0).integers(0, 256, (1, spec.num_frames, *spec.crop, 3), dtype=np.uint8)
    clip = normalise(frames, mean=spec.mean, std=spec.std)

    def eager() -> None:
        with torch.no_grad():
            loaded.module(clip)

    plain = f"{model}, torch as it is"
    contestants: dict[str, Callable[[], float]] = {plain: timed(eager)}
    method = choose_method(None, spec)
    targets = [core.Target(k) for k in range(min(CLASSES, len(loaded.labels)))]
    results: list[core.Attribution] = []
    for name in ENGINES:
        try:
            engine = open_engine(model, weights=weights, device="cpu", engine=name)
        except VidcamError as error:
            notes.append(f"{name}: {error}.")
            continue
        notes += [f"{name}: {engine.name} on {engine.device}.", *(f"{model}, {name}: {note}." for note in engine.notes)]
        explained = partial(core.explain, engine, frames, targets, method)
        results.append(explained())
        notes += [f"{model}, {name}: {text}" for text in _apart(results)]
        bare, full = f"{model}, vidcam's {name}", f"{model}, vidcam's {name}, with evidence"
        contestants |= {bare: timed(partial(engine.predict, frames)), full: timed(explained)}
        faster |= {bare: plain, full: plain}
        evidence[full] = bare
    found, _ = rounds(contestants, count=3 * plan.steps, patience_s=plan.step_patience_s)
    return found


def _apart(results: list[Any]) -> list[str]:
    """How far the newest of these results is from the first, in a sentence; nothing for the first itself."""
    first, last = results[0], results[-1]
    if last is first:
        return []
    apart = max(float(np.abs(a - b).max() / np.abs(a).max()) for a, b in zip(first.maps, last.maps, strict=True))
    same = bool((first.logits.argmax(1) == last.logits.argmax(1)).all())
    answer = "the same answer" if same else "another answer"
    return [f"{answer}, and maps at most {apart:.1e} of their largest value from those of {ENGINES[0]}."]
