"""Averages over noisy copies of the clip, for any method: its mean map (SmoothGrad) or how much its map varies (VarGrad).

``smoothgrad`` and ``vargrad`` are about ``gradient``; ``smoothgrad:layercam`` is the same about ``layercam``, and so on for every
method (:func:`vidcam.methods.core.get`).
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Literal

import numpy as np
import torch

from vidcam.engine.base import Clips, Float32Array
from vidcam.errors import UsageError
from vidcam.methods.core import Attribution, Method, Targets, TorchModel, register, resolve, seeded
from vidcam.methods.input_gradients import GRADIENT

__all__ = ["NOISE", "SAMPLES", "smooth"]

SAMPLES, NOISE = 16, 0.15

Statistic = Literal["mean", "variance"]

_PAPERS = {
    "mean": ("smoothgrad", "SmoothGrad", "Smilkov et al., SmoothGrad, 2017, https://arxiv.org/abs/1706.03825"),
    "variance": (
        "vargrad",
        "VarGrad",
        "Adebayo et al., Local Explanation Methods Lack Sensitivity to Parameter Values, 2018, https://arxiv.org/abs/1810.03307",
    ),
}


def smooth(method: Method, *, statistic: Statistic = "mean", samples: int = SAMPLES, noise: float = NOISE) -> Method:
    """A method that explains ``samples`` noisy copies of each clip by ``method``, and gives the statistic of their maps.

    ``mean`` is SmoothGrad (Smilkov et al. 2017): ``1/N sum_k M(x + e_k)``, in the unit of the method and with its sign.
    ``variance`` is VarGrad (Adebayo et al. 2018): the variance of the same maps, divided by N, in the square of that unit. M is
    the finished map: with ``gradient`` it is absolute values that are averaged, and slopes of changing sign do not cancel.

    ``e_k`` is Gaussian; its standard deviation is the fraction ``noise`` of the clip's own range, from its smallest to its
    largest value. The N patterns follow from the seed and the shape of a clip alone, so they are the same for every clip,
    whatever clips come together; a method that draws something itself is given the same seed. Logits, and targets chosen by
    them, are the clean clip's. Its score is not what the maps sum to, so the method is not complete, whatever ``method`` is.
    Raises UsageError for values that make no sense.
    """
    least = 1 if statistic == "mean" else 2
    if samples < least or not (noise > 0 and math.isfinite(noise)):
        raise UsageError(
            f"{statistic} over noisy clips needs at least {least} of them and a positive noise, got {samples}, {noise}"
        )
    name, title, paper = _PAPERS[statistic]
    return Method(
        name=f"{name}:{method.name}",
        title=f"{title} of {method.title}",
        paper=paper,
        requires=method.requires,
        signed=method.signed and statistic == "mean",
        complete=False,
        cost=f"{samples} times that of {method.name}",
        explain=partial(_explain, method, statistic, samples, noise),
        family=method.family,
        cells=method.cells,
        random=True,
    )


def _explain(
    method: Method,
    statistic: Statistic,
    samples: int,
    noise: float,
    explained: TorchModel,
    clips: Clips,
    targets: Targets,
    *,
    seed: int = 0,
) -> Attribution:
    inputs, logits = explained.tensor(clips), explained.logits(clips)
    chosen = resolve(targets, logits)
    deviation = noise * (inputs.amax((1, 2, 3, 4), keepdim=True) - inputs.amin((1, 2, 3, 4), keepdim=True))
    generator, inner = torch.Generator().manual_seed(seed), seeded(method, seed)
    mean: list[Float32Array] = []
    squares: list[Float32Array] = []  # of the distances from the mean, added up as Welford does: no difference of large numbers
    for k in range(samples):
        pattern = torch.randn(inputs.shape[1:], generator=generator).to(inputs)
        maps = inner.explain(explained, inputs + deviation * pattern, chosen).maps
        if k == 0:
            mean, squares = [np.zeros_like(m) for m in maps], [np.zeros_like(m) for m in maps]
        for m, average, square in zip(maps, mean, squares, strict=True):
            off = m - average
            average += off / (k + 1)
            square += off * (m - average)
    found = mean if statistic == "mean" else [np.divide(square.clip(min=0), samples, dtype=np.float32) for square in squares]
    return Attribution(chosen, logits, tuple(found))


register(replace(smooth(GRADIENT), name="smoothgrad", around=smooth))
register(replace(smooth(GRADIENT, statistic="variance"), name="vargrad", around=partial(smooth, statistic="variance")))
