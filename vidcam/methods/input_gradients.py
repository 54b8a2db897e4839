"""Gradients with respect to the clip itself: a value for every pixel of every frame, independent of the target layer.

The whole network is differentiated, one clip at a time: the memory is that of one clip's backward pass, and results do not depend
on the batch size. In the formulas S is the score (a logit, or a difference of two, never a probability), x is the normalised
clip, and sums over c are over the three colours. Maps are sums over small blocks (:mod:`vidcam.methods.pixel_blocks`).

The reference for "no input" is ``x = 0``: every pixel has the mean colour that the model subtracts.

The sign of a gradient says whether a pixel must get brighter or darker for the score to rise; neither is evidence for or against
the class. So ``gradient``, ``guided-backprop`` and ``guided-gradcam`` take absolute values and are unsigned; ``gradientxinput``
and ``integrated-gradients`` give shares of the score, whose sign is evidence for or against.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vidcam.engine.base import Clips, to_numpy
from vidcam.engine.gradients import differentiable
from vidcam.methods.cell_geometry import CellGeometry
from vidcam.methods.core import Attribution, Target, Targets, TorchModel, resolve, scores_of
from vidcam.methods.gradient_cam import explain_gradient_cam, gradcam
from vidcam.methods.pixel_blocks import over_blocks
from vidcam.methods.receptive_field import layer_geometry
from vidcam.methods.score_cam import upsampled

__all__ = [
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


def gradient(model: TorchModel, clips: Clips, targets: Targets) -> Attribution:
    """Return how much the score changes with a pixel: ``sum_c |dS / dx_c|``.

    Simonyan et al. 2014, section 3.1, who take the largest of the three colours instead of the sum.
    """
    return _explain(_size, model, clips, targets)


def gradientxinput(model: TorchModel, clips: Clips, targets: Targets) -> Attribution:
    """Return each pixel's share in the score as if the network were linear: ``sum_c x_c dS / dx_c``, signed.

    Shrikumar et al. 2016. As ``x = 0`` is the mean colour, a pixel of that colour has no share. If a network has no biases and no
    activations except ReLUs, the shares sum to the score (Euler's theorem); otherwise their sum has no meaning.
    """
    return _explain(lambda clip, slope: (clip * slope).sum(COLOURS), model, clips, targets)


def guided_backprop(model: TorchModel, clips: Clips, targets: Targets) -> Attribution:
    """Return the gradient with only positive values passed back through each ReLU: ``sum_c |R_c|``.

    Springenberg et al. 2015, fig. 1: ``R_l = [f_l > 0] [R_(l+1) > 0] R_(l+1)`` at every ReLU, whether it is a module, a function
    or works in place; and at every ReLU with a ceiling (ReLU6), whose own derivative then stands for ``[f_l > 0]``. Raises
    IncompatibleError for a network with other activations, see :func:`vidcam.engine.gradients.differentiable`.
    """
    return _explain(_size, model, clips, targets, guided=True)


def guided_gradcam(model: TorchModel, clips: Clips, targets: Targets) -> Attribution:
    """Return ``guided-backprop`` times the positive part of Grad-CAM of the target layer: ``sum_c |R_c| relu(L)``.

    Selvaraju et al. 2017, section 3.2. Grad-CAM ``L`` is brought to the pixels by :func:`spread`; if a layer has several
    pathways, their evidence for each pixel is added up first. Raises IncompatibleError as ``guided-backprop`` does.
    """
    coarse = explain_gradient_cam(gradcam, model, clips, targets)
    where = layer_geometry(model)
    shape = (clips.shape[2], clips.shape[3], clips.shape[4])
    inputs = model.tensor(clips)
    layers = [torch.from_numpy(m).to(inputs.device) for m in coarse.maps]

    def weight(b: int, n: int) -> Tensor:
        return torch.stack([spread(m[b, n], place, shape) for m, place in zip(layers, where, strict=True)]).sum(0).clamp(min=0)

    maps = []
    for b, clip in enumerate(inputs):
        with differentiable(model, guided=True) as run:
            output = run(clip[None])
            slopes = (_size(clip, output.gradients(target)[0]) for target in coarse.targets)
            maps.append(torch.stack([over_blocks(slope * weight(b, n)) for n, slope in enumerate(slopes)]))
    return Attribution(coarse.targets, coarse.logits, (to_numpy(torch.stack(maps)),))


def integrated_gradients(model: TorchModel, clips: Clips, targets: Targets) -> Attribution:
    """Return each pixel's share in the change of the score from ``x = 0`` to the clip, signed.

    Sundararajan et al. 2017, eq. 1: ``sum_c x_c`` times the mean of ``dS / dx_c`` on the straight line ``a x``, 0 <= a <= 1, by
    the midpoint rule (their eq. 3 takes the right ends, which converges more slowly). The exact integral sums to ``S(x) - S(0)``,
    which is returned as ``totals``. The error of :data:`STEPS` points cannot be bounded beforehand, because slopes jump where
    ReLUs switch. So the method does not promise completeness, and the error is shown with the map.
    """
    inputs, logits = model.tensor(clips), model.logits(clips)
    chosen = resolve(targets, logits)
    nothing = model.logits(torch.zeros_like(inputs[:1]))
    totals = scores_of(logits, chosen) - scores_of(nothing, chosen)
    maps = [_path(model, clip, chosen) for clip in inputs]
    return Attribution(chosen, logits, (to_numpy(torch.stack(maps)),), totals)


def _path(model: TorchModel, clip: Tensor, targets: Sequence[Target]) -> Tensor:
    """Return ``clip`` times the mean gradient on the line from 0 to it, over blocks: ``(N, T, h, w)``."""

    def share(_at: Tensor, slope: Tensor) -> Tensor:
        return (clip * slope).sum(COLOURS)

    total = clip.new_zeros(())
    for k in range(STEPS):
        total = total + _one(share, model, clip * ((k + 0.5) / STEPS), targets)[2]
    return total / STEPS


def spread(values: Tensor, where: CellGeometry, shape: tuple[int, int, int]) -> Tensor:
    """Return a layer's map ``(T', h, w)`` at every pixel of clips of ``shape`` (T, H, W), as evidence per pixel.

    The map is interpolated linearly from the measured centres (``where``; a map of another size follows the same law), and the
    outermost values are held. It is divided by the pixels that a cell stands for, so that maps of different grids can be added.
    """
    return upsampled(values, where, shape) / (where.time.stride * where.y.stride * where.x.stride)


def _size(_clip: Tensor, slope: Tensor) -> Tensor:
    return slope.abs().sum(COLOURS)


def _explain(relevance: Relevance, model: TorchModel, clips: Clips, targets: Targets, *, guided: bool = False) -> Attribution:
    if callable(targets) and len(clips) > 1:  # the choice depends on all clips
        targets = resolve(targets, model.logits(clips))
    chosen, logits, maps = zip(
        *(_one(relevance, model, clip, targets, guided=guided) for clip in model.tensor(clips)), strict=True
    )
    return Attribution(chosen[0], to_numpy(torch.stack(logits)), (to_numpy(torch.stack(maps)),))


def _one(
    relevance: Relevance, model: TorchModel, clip: Tensor, targets: Targets, *, guided: bool = False
) -> tuple[tuple[Target, ...], Tensor, Tensor]:
    """Return targets, logits ``(K,)`` and relevance ``(N, T, h, w)`` over blocks, from one pass of a clip ``(3, T, H, W)``."""
    with differentiable(model, guided=guided) as run:
        output = run(clip[None])
        chosen = resolve(targets, to_numpy(output.logits))
        maps = [over_blocks(relevance(clip, output.gradients(t)[0])) for t in chosen]
        return chosen, output.logits[0].detach(), torch.stack(maps)
