"""Gradients with respect to the clip itself: a value for every pixel of every frame, whatever layer is explained.

The whole network is differentiated, one clip at a time: the memory is that of one clip's backward pass, and nothing depends on
how many clips come together. In the formulas S is the score (a logit, or a difference of two, never a probability), x the
normalised clip, and sums over c are over the three colours. Maps are sums over small blocks (:mod:`vidcam.methods.pixel_blocks`).

Where there is "no input", as a reference, ``x = 0``: every pixel has the mean colour that the model subtracts.

The sign of a gradient says whether a colour should get brighter or darker for the score to rise; neither is for or against the
class. So ``gradient``, ``guided-backprop`` and ``guided-gradcam`` take absolute values and are unsigned; ``gradientxinput`` and
``integrated-gradients`` give shares of the score, whose sign means something.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from vidcam.engine.base import Clips, to_numpy
from vidcam.engine.hooks import differentiable
from vidcam.methods.cell_geometry import AxisGeometry, CellGeometry, hats
from vidcam.methods.core import Attribution, Method, Target, Targets, TorchModel, get, register, resolve, scores_of
from vidcam.methods.pixel_blocks import cells, over_blocks
from vidcam.methods.probe import placements

__all__ = [
    "GRADIENT",
    "STEPS",
    "gradient",
    "gradientxinput",
    "guided_backprop",
    "guided_gradcam",
    "integrated_gradients",
    "spread",
]

STEPS = 32
"""Points of the midpoint rule of ``integrated-gradients``."""

COLOURS = 0

Relevance = Callable[[Tensor, Tensor], Tensor]
"""``(clip, slope) -> relevance``: both ``(3, T, H, W)``, the relevance ``(T, H, W)``, all float32."""


def gradient(explained: TorchModel, clips: Clips, targets: Targets) -> Attribution:
    """How much the score moves when a pixel does: ``sum_c |dS / dx_c|``.

    Simonyan et al. 2014, section 3.1. They take the largest of the three colours; here it is the sum, in which each one counts.
    """
    return _explain(_size, explained, clips, targets)


def gradientxinput(explained: TorchModel, clips: Clips, targets: Targets) -> Attribution:
    """Each pixel's share in the score, were the network linear: ``sum_c x_c dS / dx_c``, signed.

    Shrikumar et al. 2016. As ``x = 0`` is the mean colour, a pixel of that colour has no share. Where a network has no biases
    and no activations but ReLUs, the shares sum to the score (Euler's theorem); elsewhere to nothing in particular.
    """
    return _explain(lambda clip, slope: (clip * slope).sum(COLOURS), explained, clips, targets)


def guided_backprop(explained: TorchModel, clips: Clips, targets: Targets) -> Attribution:
    """Like ``gradient``, but only what raises the score all the way goes back through the ReLUs: ``sum_c |R_c|``.

    Springenberg et al. 2015, fig. 1: ``R_l = [f_l > 0] [R_(l+1) > 0] R_(l+1)`` at every ReLU, whether it is a module, a function
    or works in place; and at every ReLU with a ceiling (ReLU6), whose own derivative then stands for ``[f_l > 0]``. Raises
    IncompatibleError for a network with other activations, see :func:`vidcam.engine.hooks.differentiable`.
    """
    return _explain(_size, explained, clips, targets, guided=True)


def guided_gradcam(explained: TorchModel, clips: Clips, targets: Targets) -> Attribution:
    """``guided-backprop`` where Grad-CAM of the explained layer speaks for the target: ``sum_c |R_c| relu(L)``.

    Selvaraju et al. 2017, section 3.2, where Grad-CAM ``L`` has its ReLU. It is brought to the pixels by :func:`spread`; where a
    layer has several pathways, their evidence for each pixel is added up first. Raises IncompatibleError as ``guided-backprop``.
    """
    coarse = get("gradcam").explain(explained, clips, targets)
    where = placements(explained)
    shape = (clips.shape[2], clips.shape[3], clips.shape[4])
    inputs = explained.tensor(clips)
    layers = [torch.from_numpy(m).to(inputs.device) for m in coarse.maps]

    def weight(b: int, n: int) -> Tensor:
        return torch.stack([spread(m[b, n], place, shape) for m, place in zip(layers, where, strict=True)]).sum(0).clamp(min=0)

    maps = []
    for b, clip in enumerate(inputs):
        with differentiable(explained, guided=True) as run:
            seen = run(clip[None])
            slopes = (_size(clip, seen.gradients(target)[0]) for target in coarse.targets)
            maps.append(torch.stack([over_blocks(slope * weight(b, n)) for n, slope in enumerate(slopes)]))
    return Attribution(coarse.targets, coarse.logits, (to_numpy(torch.stack(maps)),))


def integrated_gradients(explained: TorchModel, clips: Clips, targets: Targets) -> Attribution:
    """Each pixel's share in what the score gains on the way from ``x = 0`` to the clip, signed.

    Sundararajan et al. 2017, eq. 1: ``sum_c x_c`` times the mean of ``dS / dx_c`` on the straight line ``a x``, 0 <= a <= 1, by
    the midpoint rule (their eq. 3 takes the right ends, which converges more slowly). The exact integral sums to ``S(x) - S(0)``,
    which is given as ``totals``. How far :data:`STEPS` points are off cannot be bounded beforehand, because slopes jump where
    ReLUs switch: so the method does not promise completeness, and the error is shown with the map.
    """
    inputs, logits = explained.tensor(clips), explained.logits(clips)
    chosen = resolve(targets, logits)
    nothing = explained.logits(torch.zeros_like(inputs[:1]))
    totals = scores_of(logits, chosen) - scores_of(nothing, chosen)
    maps = [_path(explained, clip, chosen) for clip in inputs]
    return Attribution(chosen, logits, (to_numpy(torch.stack(maps)),), totals)


def _path(explained: TorchModel, clip: Tensor, targets: Sequence[Target]) -> Tensor:
    """``(N, T, h, w)``: ``clip`` times the mean slope on the way to it, over blocks."""

    def share(_at: Tensor, slope: Tensor) -> Tensor:
        return (clip * slope).sum(COLOURS)

    total = clip.new_zeros(())
    for k in range(STEPS):
        total = total + _one(share, explained, clip * ((k + 0.5) / STEPS), targets)[2]
    return total / STEPS


def spread(values: Tensor, where: CellGeometry, shape: tuple[int, int, int]) -> Tensor:
    """A layer's map ``(T', h, w)`` at every pixel of clips of ``shape`` (T, H, W), as evidence per pixel.

    Linear interpolation from where the cells really are (``where``; a map of another size than its follows the same law), and the
    outermost cells' value held beyond them; divided by the pixels that a cell stands for, so that maps of different grids add up.
    """
    axes = (where.time, where.y, where.x)
    for dim, (axis, length, count) in enumerate(zip(axes, shape, values.shape, strict=True)):
        centres = AxisGeometry(axis.offset, axis.stride, count).centres()
        weights = torch.tensor(hats(centres, np.arange(length, dtype=np.float64)) / axis.stride).to(values)
        values = torch.tensordot(weights, values, dims=([1], [dim])).movedim(0, dim)
    return values


def _size(_clip: Tensor, slope: Tensor) -> Tensor:
    return slope.abs().sum(COLOURS)


def _explain(relevance: Relevance, explained: TorchModel, clips: Clips, targets: Targets, *, guided: bool = False) -> Attribution:
    if callable(targets) and len(clips) > 1:  # what is chosen depends on all of them
        targets = resolve(targets, explained.logits(clips))
    chosen, logits, maps = zip(
        *(_one(relevance, explained, clip, targets, guided=guided) for clip in explained.tensor(clips)), strict=True
    )
    return Attribution(chosen[0], to_numpy(torch.stack(logits)), (to_numpy(torch.stack(maps)),))


def _one(
    relevance: Relevance, explained: TorchModel, clip: Tensor, targets: Targets, *, guided: bool = False
) -> tuple[tuple[Target, ...], Tensor, Tensor]:
    """The targets, the logits ``(K,)`` and the relevance for each target over blocks ``(N, T, h, w)``.

    From one forward pass of the clip ``(3, T, H, W)``.
    """
    with differentiable(explained, guided=guided) as run:
        seen = run(clip[None])
        chosen = resolve(targets, to_numpy(seen.logits))
        return chosen, seen.logits[0].detach(), torch.stack([over_blocks(relevance(clip, seen.gradients(t)[0])) for t in chosen])


GRADIENT = register(
    Method(
        name="gradient",
        title="Gradient of the score (saliency)",
        paper="Simonyan et al., Deep Inside Convolutional Networks, ICLR workshop 2014, https://arxiv.org/abs/1312.6034",
        requires=frozenset({"gradient"}),
        signed=False,
        complete=False,
        cost="one forward pass, and a full backward pass for each class",
        explain=gradient,
        family="input",
        cells=cells,
    )
)
register(
    Method(
        name="gradientxinput",
        title="gradient × input",
        paper="Shrikumar et al., Not Just a Black Box, 2016, https://arxiv.org/abs/1605.01713",
        requires=frozenset({"gradient"}),
        signed=True,
        complete=False,
        cost="one forward pass, and a full backward pass for each class",
        explain=gradientxinput,
        family="input",
        cells=cells,
    )
)
register(
    Method(
        name="guided-backprop",
        title="Guided backpropagation (networks of ReLUs)",
        paper="Springenberg et al., Striving for Simplicity, ICLR workshop 2015, https://arxiv.org/abs/1412.6806",
        requires=frozenset({"gradient"}),
        signed=False,
        complete=False,
        cost="one forward pass, and a full backward pass for each class",
        explain=guided_backprop,
        family="input",
        cells=cells,
    )
)
register(
    Method(
        name="guided-gradcam",
        title="Guided Grad-CAM (networks of ReLUs)",
        paper="Selvaraju et al., Grad-CAM, ICCV 2017, https://arxiv.org/abs/1610.02391",
        requires=frozenset({"gradient"}),
        signed=False,
        complete=False,
        cost="two forward passes, and a full backward pass for each class",
        explain=guided_gradcam,
        family="input",
        cells=cells,
    )
)
register(
    Method(
        name="integrated-gradients",
        title="Integrated gradients from the mean colour",
        paper="Sundararajan et al., Axiomatic Attribution for Deep Networks, ICML 2017, https://arxiv.org/abs/1703.01365",
        requires=frozenset({"gradient"}),
        signed=True,
        complete=False,
        cost=f"{STEPS} forward passes, and {STEPS} full backward passes for each class",
        explain=integrated_gradients,
        family="input",
        cells=cells,
    )
)
