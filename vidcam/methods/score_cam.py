"""CAMs without gradients: showing or removing a channel of the target layer tells how much it matters.

Like other CAMs, the maps are weighted sums of the layer's channels; only the source of the weights differs. Both papers end with
a ReLU over the map. As in :mod:`vidcam.methods.gradient_cam`, negative values stay: they are evidence against the target. Each
pathway is explained separately.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor

from vidcam.engine.base import Clips, Float32Array, to_numpy
from vidcam.engine.hooks import capture, logits_after
from vidcam.interpolation import weight_matrix
from vidcam.methods.cell_geometry import CellGeometry
from vidcam.methods.core import Attribution, Targets, TorchModel, resolve, scores_of
from vidcam.methods.perturbation import CHUNK, blurred, score_each
from vidcam.methods.receptive_field import layer_geometry

__all__ = ["CHANNELS", "COPIED", "ablationcam", "scorecam", "upsampled"]

CHANNELS = 64
"""Channels of each pathway that ``scorecam`` tries."""

COPIED = 2**25
"""Size, in numbers (128 MB), of the copies of a layer's output that ``ablationcam`` passes through the head at once."""


def scorecam(model: TorchModel, clips: Clips, targets: Targets, *, channels: int = CHANNELS, chunk: int = CHUNK) -> Attribution:
    """Return Score-CAM: ``sum_k alpha_k A_k`` with ``alpha_k = S(x masked by A_k) - S(blurred x)``, the rise of the score.

    Wang et al. 2020, eqs. 5 to 8, with three deviations. The mask is the channel scaled to [0, 1] and interpolated from the
    measured places of its cells (:func:`upsampled`); the clip is shown where it is 1 and blurred where it is 0, where the paper
    shows black. ``S`` is the logit and ``alpha_k`` the rise itself, as in eq. 7: the softmax over channels that the paper's
    algorithm adds would make all weights positive and, for logits, nearly all of them zero. Only the :data:`CHANNELS` channels
    with the most energy (the sum of the squares of ``A_k``) are tried.
    """
    where = layer_geometry(model)
    inputs, output = model.tensor(clips), model.forward(clips)
    chosen = resolve(targets, output.logits)
    blurs = blurred(inputs)
    nothing = score_each(model, blurs.__getitem__, len(blurs), chosen, chunk)
    maps = []
    for activations, place in zip(output.activations, where, strict=True):
        of_pathway = []
        for clip, blur, every, none in zip(inputs, blurs, torch.from_numpy(activations), nothing, strict=True):
            strongest = every[every.square().sum((1, 2, 3)).topk(min(channels, len(every))).indices]
            through = partial(_through, clip, blur, _unit(strongest), place)
            alpha = score_each(model, through, len(strongest), chosen, chunk) - none
            of_pathway.append(np.einsum("kn,kthw->nthw", alpha, to_numpy(strongest)))
        maps.append(np.stack(of_pathway))
    return Attribution(chosen, output.logits, tuple(maps))


def _unit(channels: Tensor) -> Tensor:
    """Return each channel ``(C, T', h, w)`` scaled to [0, 1]; a constant channel becomes 0, so that it shows nothing."""
    low, high = channels.amin((1, 2, 3), keepdim=True), channels.amax((1, 2, 3), keepdim=True)
    return torch.where(high > low, (channels - low) / (high - low), 0)


def _through(clip: Tensor, blur: Tensor, masks: Tensor, place: CellGeometry, index: int) -> Tensor:
    t, h, w = clip.shape[1:]
    return blur + upsampled(masks[index], place, (t, h, w)).to(clip) * (clip - blur)


def upsampled(values: Tensor, place: CellGeometry, shape: tuple[int, int, int]) -> Tensor:
    """Return a layer's map ``(T', h, w)`` interpolated linearly at every pixel of a clip ``(T, H, W)``; held beyond the cells.

    A map of another size than the geometry's follows the same law.
    """
    for dim, (axis, length, count) in enumerate(zip((place.time, place.y, place.x), shape, values.shape, strict=True)):
        pixels = torch.from_numpy(weight_matrix(axis.positions(np.arange(length)), count)).to(values)
        values = torch.tensordot(pixels, values, dims=([1], [dim])).movedim(0, dim)
    return values


def ablationcam(model: TorchModel, clips: Clips, targets: Targets, *, chunk: int | None = None) -> Attribution:
    """Return Ablation-CAM: ``sum_k alpha_k A_k`` with ``alpha_k = S - S(A_k = 0)``, the drop when a channel is zeroed.

    Desai & Ramaswamy 2020, eqs. 1 and 2, without the division by S, one number for the whole map: it would flip the map's sign
    for a negative logit, and a difference of two logits may be zero. Only what follows the layer is computed again for each
    channel. With a class token, only the patches' values are zeroed. If the head is linear, ``alpha_k`` is the channel's share in
    the score, so the map is that of ``gradcam`` with every channel's weight times its sum over the cells.

    ``chunk`` channels are zeroed at once, each in a copy of its own; by default as many as :data:`COPIED` allows.
    """
    inputs = model.tensor(clips)
    with capture(model) as run:
        output = run(inputs)
    logits = to_numpy(output.logits)
    maps: list[list[Float32Array]] = [[] for _ in output.activations]
    chosen = resolve(targets, logits)
    for b, score in enumerate(scores_of(logits, chosen)):
        at_once = chunk or max(1, COPIED // sum(activations[b].numel() for activations in output.activations))
        for pathway, activations in enumerate(output.activations):
            without = []
            for start in range(0, activations.shape[1], at_once):
                ablated = range(start, min(start + at_once, activations.shape[1]))
                left = logits_after(model, inputs[b : b + 1], len(ablated), partial(_zero, pathway, ablated))
                without.append(scores_of(to_numpy(left), chosen))
            maps[pathway].append(np.einsum("kn,kthw->nthw", score - np.concatenate(without), to_numpy(activations[b])))
    return Attribution(chosen, logits, tuple(np.stack(of_pathway) for of_pathway in maps))


def _zero(pathway: int, channels: range, copies: tuple[Tensor, ...]) -> None:
    """Zero one of the ``channels`` in each copy."""
    for copy, channel in zip(copies[pathway], channels, strict=True):
        copy[channel] = 0
