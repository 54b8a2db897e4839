"""On a GPU: windows a second as a share of what its matrix units can do, and maps that agree with the processor's."""

from __future__ import annotations

from functools import partial

import numpy as np

from benchmarks.speed import inputs
from benchmarks.speed.plan import Plan
from benchmarks.speed.race import Column, Race, rounds, timed

__all__ = ["run"]

BATCHES = (1, 8, 32)
SIDE = 8192


def run(plan: Plan) -> list[Race]:
    import torch

    if not torch.cuda.is_available():
        plan.say("no CUDA GPU here: nothing to measure")
        return []
    return [_race(plan, model) for model in plan.models]


def _race(plan: Plan, model: str) -> Race:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from vidcam.engine import normalise, open_engine
    from vidcam.methods import core
    from vidcam.methods.lookup import choose_method
    from vidcam.models import loading

    weights = inputs.weights_for(model, plan.folder)
    cpu, gpu = (open_engine(model, weights=weights, device=device) for device in ("cpu", "cuda"))
    spec = cpu.spec
    frames = np.random.default_rng(0).integers(0, 256, (max(BATCHES), spec.num_frames, *spec.crop, 3), dtype=np.uint8)
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        loading.load(model, weights=weights).module(normalise(frames[:1], mean=spec.mean, std=spec.std))
    work = counted.get_total_flops() / 1e12

    square = torch.randn(SIDE, SIDE, device="cuda", dtype=torch.bfloat16)

    def multiply() -> None:
        for _ in range(10):
            square @ square
        torch.cuda.synchronize()

    peak = f"bf16 matrix product of {SIDE}"
    found, _ = rounds(
        {peak: timed(multiply)} | {f"vidcam, {n} windows at once": timed(partial(gpu.predict, frames[:n])) for n in BATCHES},
        count=3 * plan.steps, patience_s=plan.step_patience_s, say=plan.say,
    )  # fmt: skip
    done = {peak: 10 * 2 * SIDE**3 / 1e12} | {f"vidcam, {n} windows at once": n * work for n in BATCHES}
    per_work = {name: [took / done[name] for took in some] for name, some in found.items()}
    method, targets = choose_method(None, spec), [core.Target(1)]
    ours, theirs = (core.explain(engine, frames[:1], targets, method).maps[0] for engine in (cpu, gpu))
    apart = float(np.abs(ours - theirs).max() / np.abs(ours).max())
    rates = ", ".join(f"{1e3 * n / min(found[f'vidcam, {n} windows at once']):.0f} with {n} at once" for n in BATCHES)
    return Race(
        f"gpu-{model}", f"{model} on the GPU", "ms for 10¹² operations", per_work,
        (Column("share of the peak", dict.fromkeys(list(done)[1:], peak)),),
        f"{gpu.name} on {torch.cuda.get_device_name()}. A window is {work * 1e3:.1f}·10⁹ operations; bytes travel from and to "
            "the processor's memory.",
        "share of the peak",
        notes=[f"Windows a second: {rates}.", f"The maps are at most {apart:.1e} of their largest value from the processor's."],
    )  # fmt: skip
