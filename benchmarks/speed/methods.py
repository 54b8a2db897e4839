"""What each registered method costs for one window, beside grad-cam and captum where they have the same method."""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.speed import inputs
from benchmarks.speed.plan import NO_GRAD_CAM, Plan, have_grad_cam
from benchmarks.speed.race import Column, Race, rounds, timed

if TYPE_CHECKING:
    import torch
    from torch import nn

    from vidcam.models.spec import ModelSpec

__all__ = ["run"]

FORWARD = "forward pass, torch"
# Its Score-CAM and Ablation-CAM are for pictures only.
GRAD_CAM = {
    "gradcam": "GradCAM", "gradcam++": "GradCAMPlusPlus", "xgradcam": "XGradCAM", "hirescam": "HiResCAM", "layercam": "LayerCAM",
    "eigencam": "EigenCAM",
}  # fmt: skip
Call = Callable[[], object]


def run(plan: Plan) -> list[Race]:
    return [_race(plan, model) for model in plan.method_models]


def _race(plan: Plan, model: str) -> Race:
    import torch

    from vidcam.engine import normalise, open_engine
    from vidcam.methods import core
    from vidcam.methods.lookup import get_method, list_methods
    from vidcam.models import loading

    weights = inputs.weights_for(model, plan.folder)
    engine = open_engine(model, weights=weights, device="cpu")
    spec = engine.spec
    frames = np.random.default_rng(0).integers(0, 256, (1, spec.num_frames, *spec.crop, 3), dtype=np.uint8)
    net = loading.load(model, weights=weights).module
    clip = normalise(frames, mean=spec.mean, std=spec.std)

    def forward() -> None:
        with torch.no_grad():
            net(clip)

    contestants: dict[str, Callable[[], float]] = {FORWARD: timed(forward)}
    theirs: dict[str, str] = {}
    notes = [] if have_grad_cam() else [NO_GRAD_CAM]
    for name in plan.methods or list_methods():
        method = get_method(name)
        if not method.requires <= spec.provides:
            continue
        contestants[name] = timed(partial(core.explain, engine, frames, [core.Target(1)], method))
        for package, call in {"grad-cam": _grad_cam(name, net, spec, clip), "captum": _captum(name, net, spec, clip)}.items():
            if call:
                contestants[f"{name}, {package}"] = timed(call)
                theirs[f"{name}, {package}"] = name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs, about hooks
        found, failed = rounds(contestants, count=plan.steps, patience_s=plan.step_patience_s, tolerate=Exception, say=plan.say)
    notes += [f"{name} does not work here: {reason}" for name, reason in failed.items()]
    # Where vidcam refuses, because a rule does not hold on this network, others' figures are for something else.
    found = {name: some for name, some in found.items() if theirs.get(name, name) in found}
    return Race(
        f"methods-{model}", f"One window of {model} by method", "ms", _ordered(found, theirs),
        (
            Column("forward passes", {name: FORWARD for name in found if name != FORWARD}, speed=False),
            Column("times as long as vidcam", theirs, speed=False),
        ),
        f"One class, {engine.name} on {engine.device}. The others get the network in torch and a clip that is "
            "normalised already; grad-cam also enlarges its map to the clip's size.",
        "times as long as vidcam", notes=notes,
    )  # fmt: skip


def _ordered(found: dict[str, list[float]], theirs: dict[str, str]) -> dict[str, list[float]]:
    """The methods from the cheapest to the dearest, each followed by others' of the same name."""
    own = sorted((n for n in found if n not in theirs), key=lambda n: (n != FORWARD, statistics.median(found[n])))
    return {name: found[name] for first in own for name in (first, *(n for n in found if theirs.get(n) == first))}


def _grad_cam(name: str, net: nn.Module, spec: ModelSpec, clip: torch.Tensor) -> Call | None:
    """grad-cam's method of this name, None where it has none."""
    if name not in GRAD_CAM or not have_grad_cam():
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pytorch_grad_cam
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    def call() -> None:
        with getattr(pytorch_grad_cam, GRAD_CAM[name])(model=net, target_layers=[net.get_submodule(spec.target_layer)]) as cam:
            cam(input_tensor=clip, targets=[ClassifierOutputTarget(1)])

    return call


def _captum(name: str, net: nn.Module, spec: ModelSpec, clip: torch.Tensor) -> Call | None:
    """captum's method of this name with the same number of steps, samples and blocks, None where it has none."""
    from captum import attr

    from vidcam.methods.input_gradients import STEPS
    from vidcam.methods.noise_tunnel import SAMPLES
    from vidcam.methods.perturbation import BLOCKS

    layer = net.get_submodule(spec.target_layer)
    grid = [min(n, most) for n, most in zip(clip.shape[2:], BLOCKS, strict=True)]
    steps = [n // (count + 1) for n, count in zip(clip.shape[2:], grid, strict=True)]
    sides = [n - (count - 1) * step for n, count, step in zip(clip.shape[2:], grid, steps, strict=True)]
    noise: dict[str, Any] = {"nt_samples": SAMPLES, "nt_samples_batch_size": 1}
    blocks: dict[str, Any] = {"sliding_window_shapes": (3, *sides), "strides": (3, *steps)}
    table: dict[str, Callable[[], Callable[..., object]]] = {
        "gradient": lambda: attr.Saliency(net).attribute,
        "gradientxinput": lambda: attr.InputXGradient(net).attribute,
        "guided-backprop": lambda: attr.GuidedBackprop(net).attribute,
        "guided-gradcam": lambda: attr.GuidedGradCam(net, layer).attribute,
        "gradcam": lambda: attr.LayerGradCam(net, layer).attribute,
        "integrated-gradients": lambda: partial(attr.IntegratedGradients(net).attribute, n_steps=STEPS, internal_batch_size=1),
        "smoothgrad": lambda: partial(attr.NoiseTunnel(attr.Saliency(net)).attribute, nt_type="smoothgrad", **noise),
        "vargrad": lambda: partial(attr.NoiseTunnel(attr.Saliency(net)).attribute, nt_type="vargrad", **noise),
        "occlusion": lambda: partial(attr.Occlusion(net).attribute, **blocks),
    }
    if name not in table:
        return None
    return lambda: table[name]()(clip.clone().requires_grad_(name != "occlusion"), target=1)
