"""Noise tunnels: the mean (SmoothGrad) or the variance (VarGrad) of any method's maps over noisy copies of the clip.

``smoothgrad`` and ``vargrad`` wrap ``gradient``; ``smoothgrad:layercam`` wraps ``layercam``, and so on for every method
(:func:`vidcam.methods.lookup.get_method`).
"""

from __future__ import annotations

import math
from functools import partial
from typing import Literal

import numpy as np
import torch

from vidcam.engine.base import Clips, Float32Array
from vidcam.errors import UsageError
from vidcam.methods.core import Attribution, Targets, TorchModel, resolve
from vidcam.methods.lookup import get_method
from vidcam.methods.method import Method

__all__ = ["NOISE", "SAMPLES", "noise_tunnel", "smoothgrad", "vargrad", "variance_tunnel"]

SAMPLES, NOISE = 16, 0.15
"""Noisy copies, and the standard deviation of their noise as a fraction of the clip's range."""

Statistic = Literal["mean", "variance"]

_NAMES = {"mean": ("smoothgrad", "SmoothGrad"), "variance": ("vargrad", "VarGrad")}


def noise_tunnel(method: Method, *, statistic: Statistic = "mean", samples: int = SAMPLES, noise: float = NOISE) -> Method:
    """Return a method that explains ``samples`` noisy copies of each clip by ``method`` and returns a statistic of their maps.

    ``mean`` is SmoothGrad (Smilkov et al. 2017): ``1/N sum_k M(x + e_k)``, in the unit of the method and with its sign.
    ``variance`` is VarGrad (Adebayo et al. 2018): the variance of the same maps, divided by N, in the square of that unit. M is
    the finished map: with ``gradient``, absolute values are averaged, so slopes of changing sign do not cancel.

    ``e_k`` is Gaussian; its standard deviation is the fraction ``noise`` of the clip's own range, from its smallest to its
    largest value. The N patterns depend only on the seed and the shape of a clip, so they are the same for every clip and batch;
    a random ``method`` gets the same seed. Logits, and targets chosen by them, are the clean clip's. The maps do not sum to its
    score, so the method is never complete. Raises UsageError for fewer samples than the statistic needs, or noise that is not
    positive.
    """
    least = 1 if statistic == "mean" else 2
    if samples < least or not (noise > 0 and math.isfinite(noise)):
        raise UsageError(
            f"{statistic} over noisy clips needs at least {least} of them and a positive noise, got {samples}, {noise}"
        )
    name, title = _NAMES[statistic]
    return Method(
        name=f"{name}:{method.name}",
        title=f"{title} of {method.title}",
        paper=get_method(name).paper,
        requires=method.requires,
        signed=method.signed and statistic == "mean",
        cost=f"{samples} times that of {method.name}",
        function=partial(_explain, method, statistic, samples, noise),
        family=method.family,
        cells=method.cells,
        random=True,
    )


def _explain(
    method: Method,
    statistic: Statistic,
    samples: int,
    noise: float,
    model: TorchModel,
    clips: Clips,
    targets: Targets,
    *,
    seed: int = 0,
) -> Attribution:
    inputs, logits = model.tensor(clips), model.logits(clips)
    chosen = resolve(targets, logits)
    deviation = noise * (inputs.amax((1, 2, 3, 4), keepdim=True) - inputs.amin((1, 2, 3, 4), keepdim=True))
    generator, inner = torch.Generator().manual_seed(seed), method.with_seed(seed)
    mean: list[Float32Array] = []
    squares: list[Float32Array] = []  # of the distances from the mean, by Welford's update: no difference of large numbers
    for k in range(samples):
        pattern = torch.randn(inputs.shape[1:], generator=generator).to(inputs)
        maps = inner.explain(model, inputs + deviation * pattern, chosen).maps
        if k == 0:
            mean, squares = [np.zeros_like(m) for m in maps], [np.zeros_like(m) for m in maps]
        for m, average, square in zip(maps, mean, squares, strict=True):
            off = m - average
            average += off / (k + 1)
            square += off * (m - average)
    statistics = mean if statistic == "mean" else [np.divide(square.clip(min=0), samples, dtype=np.float32) for square in squares]
    return Attribution(chosen, logits, tuple(statistics))


variance_tunnel = partial(noise_tunnel, statistic="variance")


def smoothgrad(model: TorchModel, clips: Clips, targets: Targets, *, seed: int = 0) -> Attribution:
    """Explain clips by SmoothGrad of ``gradient``."""
    return noise_tunnel(get_method("gradient")).with_seed(seed).explain(model, clips, targets)


def vargrad(model: TorchModel, clips: Clips, targets: Targets, *, seed: int = 0) -> Attribution:
    """Explain clips by VarGrad of ``gradient``."""
    return variance_tunnel(get_method("gradient")).with_seed(seed).explain(model, clips, targets)
